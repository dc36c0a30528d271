//! How much of a user's window is the candidate's own: its item and its category, and its item clusters. The paper has neither;
//! both are hard search as sequence models have it (SIM, Pi et al. 2020), by id and by cluster, and so each is a row of its own.

use burn::tensor::{Int, Tensor};

use crate::data::Side;
use crate::model::batch::CANDIDATE_FIELDS;
use crate::model::component::{Adds, Component, Features, Found, Kind, LEVELS, Reads};
use crate::model::export::{self, NoNodes};
use crate::model::layers::assignments::FrozenAssignments;
use crate::model::layers::table::Ids;
use crate::onnx::{Graph, Value};

/// Shares by item and category, and shares by clusters of both levels.
pub static KINDS: [Kind; 2] = [
    Kind { adds: |_| Adds { candidate: CANDIDATE_FIELDS, ..Adds::default() }, ..Kind::new("shares", |_| Box::new(Shares)) },
    Kind { adds: |_| Adds { candidate: LEVELS, ..Adds::default() }, ..Kind::new("cluster-shares", |_| Box::new(ClusterShares)) },
];

struct Shares;

impl Component for Shares {
    fn forward(&self, reads: &Reads<'_>, _found: &mut Found, features: &mut Features) {
        features.candidate.push(reads.lift(own(&reads.dense.history, reads.candidates)));
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        _found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let window = &reads.window;
        let rows = [(&window.items, &reads.item), (&window.categories, &reads.category)];
        features.candidate.extend(export_shares(graph, rows, &window.known));
        Ok(())
    }
}

/// The share of each history that is the candidate's own item and own category, `[samples, 2]`. `history` are its items and then its
/// categories.
fn own(history: &Ids, candidates: &Ids) -> Tensor<2> {
    let (history, own) = (history.tensor(), candidates.tensor());
    let ([requests, slots], [samples, columns], fields) = (history.dims(), own.dims(), CANDIDATE_FIELDS);
    let own = if columns > fields { own.slice([0..samples, 0..fields]) } else { own };
    let history = history.reshape([requests, 1, fields, slots / fields]);
    let own = own.reshape([requests, samples / requests, fields, 1]);
    let known = history.clone().greater_equal_scalar(0.0).float().sum_dim(3).clamp_min(1.0);
    (history.equal(own).float().sum_dim(3) / known).reshape([samples, fields])
}

/// Behind UHSE in a row of the registry: it looks up which item is of which centre.
struct ClusterShares;

impl Component for ClusterShares {
    fn forward(&self, reads: &Reads<'_>, found: &mut Found, features: &mut Features) {
        let of_clusters = match (&found.assignments, &found.side(Side::Items).chosen) {
            (Some(assignments), Some(chosen)) => shares(assignments, reads.dense.history_items.clone(), chosen.assigned.clone()),
            _ => {
                let [samples, _] = reads.leaves.candidates.dims();
                Tensor::zeros([samples, LEVELS], &reads.dense.item_count.device())
            }
        };
        features.candidate.push(reads.lift(of_clusters));
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        match (found.assigned.clone(), found.side(Side::Items).chosen.clone()) {
            (Some(assigned), Some(chosen)) => {
                let rows = [0, 1].map(|level| (&assigned.rows[level], &chosen.rows[level]));
                features.candidate.extend(export_shares(graph, rows, &assigned.known));
            }
            _ => {
                let nothing = graph.sum(&reads.candidates, -1);
                let nothing = graph.zeros_like(&nothing);
                features.candidate.extend([nothing.clone(), nothing]);
            }
        }
        Ok(())
    }
}

/// The share of a window `[requests, slots]` that is a candidate's own `[requests, candidates]`, of each pair of both.
fn export_shares(graph: &mut Graph, rows: [(&Value, &Value); 2], known: &Value) -> [Value; 2] {
    let known = graph.unsqueeze(known, 1);
    let all = graph.sum(&known, -1);
    let one = graph.number(1.0);
    let all = graph.max(&all, &one);
    rows.map(|(rows, own)| {
        let (rows, own) = (graph.unsqueeze(rows, 1), graph.unsqueeze(own, -1));
        let shared = export::count(graph, &rows, &known, &own);
        graph.div(&shared, &all)
    })
}

/// The share of each history's centres that are the candidate's own, on both levels: `[samples, 2]` from `items` `[requests,
/// history]` and the candidates' centres `own` `[samples, 2]`. 0 where the history has no centre.
pub fn shares(assignments: &FrozenAssignments, items: Tensor<2, Int>, own: Tensor<2, Int>) -> Tensor<2> {
    let (shared, known) = assignments.count(items, own);
    shared / known.clamp_min(1.0)
}
