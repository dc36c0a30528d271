//! The history as the ranker reads it: the candidate looks at the behaviours of the user's window, each an item, its category, what
//! was done and how long ago (its place), and takes from them what matters to it (DIN, Zhou et al. 2018).
//!
//! Beside what was read stands how much of the candidate is in it, a dot product of the items and one of the categories: a ranker
//! of dense layers cannot compare two vectors by itself.

use crate::config::Config;
use crate::model::batch::{CANDIDATE_FIELDS, WHOLE, WINDOW};
use crate::model::component::{Adds, Component, Features, Found, Kind, Reads, Takes, of_fields};
use crate::model::export::{self, NoNodes};
use crate::model::layers::attention::{self, TargetAttention, Window};
use crate::model::layers::weights::{Parameters, Weights};
use crate::onnx::Graph;

/// What a candidate is multiplied with before it asks, at the start. Embeddings begin so small that without it all behaviours weigh the
/// same: at 4 the AUC was lower than at 16 by .004 at a window of 5 and by .007 to .009 at one of 50, and at 32 no higher.
const QUERY_SCALE: f32 = 16.0;

/// The history by target attention, and by its mean.
pub static KINDS: [Kind; 2] = [
    Kind {
        adds: |config| Adds { candidate: CANDIDATE_FIELDS * (config.embedding + 1), ..Adds::default() },
        view: Some(&WINDOW),
        takes: |config| TargetAttention::takes(sizes(config)),
        parameters: |config, _| TargetAttention::parameters(config.encoder, sizes(config)),
        ..Kind::new("history", |building| {
            let (config, init) = (building.config, building.init);
            Box::new(History {
                weights: Weights::new("history", TargetAttention::new(init, "history", config.encoder, sizes(config), QUERY_SCALE)),
            })
        })
    },
    Kind {
        adds: |config| Adds { request: CANDIDATE_FIELDS * config.embedding, ..Adds::default() },
        view: Some(&WHOLE),
        takes: |config| Takes { request: CANDIDATE_FIELDS * config.embedding, ..Takes::NOTHING },
        ..Kind::new("mean-history", |_| Box::new(MeanHistory))
    },
];

/// One window, its slots, and the width of a behaviour.
fn sizes(config: &Config) -> [usize; 3] {
    [1, config.history, CANDIDATE_FIELDS * config.embedding]
}

/// The history by target attention.
pub struct History {
    weights: Weights<TargetAttention>,
}

impl History {
    /// What the candidates look with.
    pub fn module(&self) -> &TargetAttention {
        self.weights.module()
    }
}

impl Component for History {
    fn weights(&self) -> Option<&dyn Parameters> {
        Some(&self.weights)
    }

    fn weights_mut(&mut self) -> Option<&mut dyn Parameters> {
        Some(&mut self.weights)
    }

    fn forward(&self, reads: &Reads<'_>, _found: &mut Found, features: &mut Features) {
        let Some(behaviours) = reads.leaves.view(&WINDOW) else { return };
        let (candidates, ids) = (reads.pairs(), reads.dense.history_items.clone());
        let ([samples, d], [requests, slots]) = (candidates.dims(), ids.dims());
        let window = Window {
            behaviours: behaviours.clone().reshape([requests, slots, d]),
            kinds: reads.lift(reads.dense.history_kinds.clone()),
            ids,
        };
        let read = self.weights.read(reads.is_training()).forward(candidates.clone().unsqueeze_dim(0), window).squeeze_dim::<2>(0);
        let own = of_fields(read.clone() * candidates, samples);
        features.candidate.extend([read, own]);
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        _found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let read = self.module().export(graph, &self.weights.path(), 0, &reads.candidates, &attention::WindowNodes::of(&reads.window));
        let product = graph.mul(&read, &reads.candidates);
        let width = self.module().width() / CANDIDATE_FIELDS;
        let own = graph.split(&product, &[width; CANDIDATE_FIELDS]).iter().map(|field| graph.sum(field, -1)).collect::<Vec<_>>();
        features.candidate.extend([vec![read], own].concat());
        Ok(())
    }
}

/// Sanity row: the mean of the window's items and of its categories.
struct MeanHistory;

impl Component for MeanHistory {
    fn forward(&self, reads: &Reads<'_>, _found: &mut Found, features: &mut Features) {
        features.request.extend(reads.leaves.view(&WHOLE).cloned());
    }

    fn export(
        &self,
        _graph: &mut Graph,
        reads: &export::Reads,
        _found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        features.request.push(reads.whole.clone());
        Ok(())
    }
}
