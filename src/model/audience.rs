//! UHSE the other way round, for items (section 4.5, of which the paper gives no detail): an item's history is who consumed it.
//! Each of its last consumers is replaced by his user centre, and a candidate is told how many of them are of the requesting
//! user's own clusters.

use burn::tensor::{Int, Tensor};

use super::assignments::FrozenAssignments;
use super::ghca::Memory;
use super::table::Ids;

/// Consumers that an item keeps.
pub const CONSUMERS: usize = 16;
/// Consumers that chance counts for.
const PRIOR_CONSUMERS: f32 = 2.0;

/// The share of each item's last consumers that are of the user's own clusters above what chance would give, on both levels:
/// `(c - n p) / (n + 2)`, `[samples, 2]`, for `n` consumers of which `c` are, where a share `p` of all that ever clustered did so in
/// that centre. `items` `[samples]`, the users' centres `own` `[requests, 2]`.
///
/// Nobody is nothing: an item that was never consumed gives 0, as one that was consumed by chance does in the mean. A plain
/// share would say "never consumed", which means "positive" wherever test items are new.
pub fn shares(consumers: &FrozenAssignments, users: &Memory, items: &Ids, own: Tensor<2, Int>) -> Tensor<2> {
    let places = consumers.places_of(items);
    let ([samples, _], [requests, _]) = (places.dims(), own.dims());
    let chance = chance(users, &own).unsqueeze_dim::<3>(1).repeat_dim(1, samples / requests).reshape([samples, 2]);
    let own = own.unsqueeze_dim::<3>(1).repeat_dim(1, samples / requests).reshape([samples, 2]);
    let (shared, known) = consumers.count(places, own);
    (shared - chance * known.clone()) / (known + PRIOR_CONSUMERS)
}

/// The share of all that ever clustered that did so in each of the centres `own` `[n, 2]`: `[n, 2]`.
fn chance(users: &Memory, own: &Tensor<2, Int>) -> Tensor<2> {
    let [n, _] = own.dims();
    let hits = users.hits().select(0, users.rows_of(own)).reshape([2, n]).swap_dims(0, 1);
    // Each sample is a hit on both levels.
    hits * 2.0 / users.hits().sum().clamp_min(1.0).unsqueeze_dim(0)
}
