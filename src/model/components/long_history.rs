//! Sanity row: a ranker that reads the whole history beside the recent one, as UHSE does with centres: its mean, and how much of
//! it is the candidate's own item and category.

use burn::tensor::Tensor;

use crate::model::batch::{CANDIDATE_FIELDS, WHOLE};
use crate::model::component::{Adds, Component, Features, Found, Kind, Reads, Takes};
use crate::model::layers::table::Ids;

/// The whole history.
pub static KINDS: [Kind; 1] = [Kind {
    adds: |config| Adds { request: 2 * config.embedding, candidate: CANDIDATE_FIELDS, ..Adds::default() },
    view: Some(&WHOLE),
    takes: |config| Takes { request: 2 * config.embedding, ..Takes::NOTHING },
    ..Kind::new("long-history", |_| Box::new(LongHistory))
}];

struct LongHistory;

impl Component for LongHistory {
    fn forward(&self, reads: &Reads<'_>, _found: &mut Found, features: &mut Features) {
        features.request.push(reads.leaves.views.clone().unwrap_or_else(|| reads.whole_history()));
        features.candidate.push(reads.lift(shares(&reads.dense.history, reads.candidates)));
    }
}

/// The share of each history that is the candidate's own item and own category, `[samples, 2]`, as UHSE has it of clusters.
/// `history` are its items and then its categories.
fn shares(history: &Ids, candidates: &Ids) -> Tensor<2> {
    let (history, own) = (history.tensor(), candidates.tensor());
    let ([requests, slots], [samples, fields]) = (history.dims(), own.dims());
    let history = history.reshape([requests, 1, fields, slots / fields]);
    let own = own.reshape([requests, samples / requests, fields, 1]);
    let known = history.clone().greater_equal_scalar(0.0).float().sum_dim(3).clamp_min(1.0);
    (history.equal(own).float().sum_dim(3) / known).reshape([samples, fields])
}
