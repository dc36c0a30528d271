//! UHSE the other way round, for items (section 4.5, of which the paper gives no detail): an item's history is who consumed it.
//! Each of its last consumers is replaced by their user centre, and a candidate is told how many of them are of the requesting
//! user's own clusters.

use burn::tensor::{Int, Tensor};

use crate::checkpoint::{CheckpointError, Gathering};
use crate::data::Side;
use crate::kernels::Levels;
use crate::model::component::{Adds, Component, Features, Found, Kind, LEVELS, Reads, Restoring, Step, StepLoss, Takes, Vectors};
use crate::model::export::{self, NoNodes};
use crate::model::layers::assignments::{Assignments, FrozenAssignments, PLACE};
use crate::model::layers::ghca::{Centres, Reseeded};
use crate::model::layers::table::Ids;
use crate::onnx::Graph;

/// The consumers of an item: how well each candidate matches the user.
pub static KINDS: [Kind; 1] = [Kind {
    adds: |_| Adds { sides: [Vectors::default(), Vectors { matches: LEVELS, ..Vectors::default() }], ..Adds::default() },
    takes: |config| Takes::of_each(Side::Items, PLACE * config.consumers),
    ..Kind::new("consumers", |building| {
        let levels = Levels { first: building.config.centres, children: building.config.children };
        Box::new(Consumers {
            consumers: Assignments::new(building.members(Side::Items), building.config.consumers, levels, building.device),
        })
    })
}];

/// What its tensors are called.
const CONSUMERS: &str = "item_consumers";
/// Consumers that chance counts for.
const PRIOR_CONSUMERS: f32 = 2.0;

/// The share of each item's last consumers that are of the user's own clusters above what chance would give, on both levels:
/// `(c - n p) / (n + 2)`, `[samples, 2]`, for `n` consumers of which `c` are, where a share `p` of all that ever clustered did so in
/// that centre. `items` `[samples]`, the users' centres `own` `[requests, 2]`.
///
/// Nobody is nothing: an item that was never consumed gives 0, as one that was consumed by chance does in the mean. A plain
/// share would say "never consumed", which means "positive" wherever test items are new.
pub fn shares(consumers: &FrozenAssignments, users: &Centres, items: &Ids, own: Tensor<2, Int>) -> Tensor<2> {
    let places = consumers.places_of(items);
    let ([samples, _], [requests, _]) = (places.dims(), own.dims());
    let chance = chance(users, &own).unsqueeze_dim::<3>(1).repeat_dim(1, samples / requests).reshape([samples, 2]);
    let own = own.unsqueeze_dim::<3>(1).repeat_dim(1, samples / requests).reshape([samples, 2]);
    let (shared, known) = consumers.count(places, own);
    (shared - chance * known.clone()) / (known + PRIOR_CONSUMERS)
}

/// The share of all that ever clustered that did so in each of the centres `own` `[n, 2]`: `[n, 2]`.
fn chance(users: &Centres, own: &Tensor<2, Int>) -> Tensor<2> {
    let [n, _] = own.dims();
    let hits = users.hits().select(0, users.rows_of(own)).reshape([2, n]).swap_dims(0, 1);
    // Each sample is a hit on both levels.
    hits * 2.0 / users.hits().sum().clamp_min(1.0).unsqueeze_dim(0)
}

/// The user centres of each item's last consumers.
pub struct Consumers {
    consumers: Assignments,
}

impl Consumers {
    /// The user centres of each item's last consumers.
    pub fn assignments(&self) -> &Assignments {
        &self.consumers
    }
}

impl Component for Consumers {
    fn begin_pass(&mut self) {
        self.consumers.clear();
    }

    fn forward(&self, reads: &Reads<'_>, found: &mut Found, features: &mut Features) {
        let Some(v_item) = &found.side(Side::Items).v else { return };
        let [samples, _] = v_item.dims();
        let shares = match &found.side(Side::Users).chosen {
            Some(chosen) => shares(&self.consumers.frozen(), &chosen.centres, reads.items, chosen.assigned.clone()),
            None => Tensor::zeros([samples, LEVELS], &v_item.device()),
        };
        features.side(Side::Items).matches.push(reads.lift(shares));
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let Some(v_item) = found.side(Side::Items).v.clone() else { return Ok(()) };
        let Some(chosen) = found.side(Side::Users).chosen.clone() else {
            let nobody = graph.sum(&v_item, -1);
            let nobody = graph.zeros_like(&nobody);
            features.side(Side::Items).matches.extend([nobody.clone(), nobody]);
            return Ok(());
        };
        let there = self.consumers.export_places(graph, CONSUMERS, &reads.item);
        let hits = graph.floats("user_centres.hits");
        let (of_parents, of_children) = hits.split_at(chosen.levels.first.min(hits.len()));
        // Each sample is a hit on both levels.
        let all = hits.iter().sum::<f32>().max(1.0);
        let known = graph.sum(&there.known, -1);
        let weight = graph.plus(&known, PRIOR_CONSUMERS);
        for (level, hits) in [of_parents, of_children].into_iter().enumerate() {
            let own = graph.unsqueeze(&chosen.rows[level], -1);
            let shared = export::count(graph, &there.rows[level], &there.known, &own);
            let chances = hits.iter().map(|hits| hits * 2.0 / all).collect();
            let chances = graph.constant(&format!("user_centres.chances.{}", level + 1), chances, &[hits.len()]);
            let chance = graph.gather(&chances, &own);
            let by_chance = graph.mul(&chance, &known);
            let above = graph.sub(&shared, &by_chance);
            features.side(Side::Items).matches.push(graph.div(&above, &weight));
        }
        Ok(())
    }

    fn learn(&mut self, step: &Step<'_>) -> Option<StepLoss> {
        let (of_users, consumed) = (step.assigned(Side::Users)?, &step.batch.consumed);
        self.consumers.give(&consumed.ids, &consumed.touched, of_users, step.batch.positive.clone(), step.steps);
        None
    }

    fn gather(&self, prefix: &str, into: &mut Gathering) {
        into.floats(format!("{prefix}{CONSUMERS}"), self.consumers.rows());
        into.floats(format!("{prefix}{CONSUMERS}.born"), self.consumers.born());
    }

    fn restore(&mut self, from: &Restoring<'_>) -> Result<(), CheckpointError> {
        self.consumers.restore(from.tensor(CONSUMERS)?, from.state.floats(&format!("{CONSUMERS}.born"))?.to_vec());
        Ok(())
    }

    fn forget(&mut self, side: Side, reseeded: &Reseeded, step: u64) {
        if side == Side::Users {
            self.consumers.forget(reseeded, step);
        }
    }
}
