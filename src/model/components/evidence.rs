//! Clusters by evidence (A30), beside the paper: not whose vector is near, but who takes what this user takes. What the clusters count
//! and how they learn stands in [`crate::model::layers::mixture`].
//!
//! The ranker is told how much likelier than everybody this user's clusters take the candidate's category and the candidate itself, given
//! the user's newest behaviours and given all that they did. It has no parameter, and no gradient reaches it.

use burn::tensor::{Tensor, TensorData};

use crate::checkpoint::{CheckpointError, Gathering};
use crate::model::component::{Adds, Component, Features, Found, Kind, Reads, Restoring, Step, StepLoss, Takes};
use crate::model::export::{self, NoNodes};
use crate::model::layers::mixture::{CLUSTERS, MATCHES, Mixture};
use crate::onnx::Graph;

/// Clusters by evidence.
pub static KINDS: [Kind; 1] = [Kind {
    adds: |_| Adds { candidate: MATCHES, ..Adds::default() },
    // The evidence of each user and of how much it is, and what each cluster took of each item.
    takes: |_| Takes { members: [CLUSTERS + 1, CLUSTERS], candidate: MATCHES, ..Takes::NOTHING },
    ..Kind::new("evidence", |building| Box::new(Evidence { mixture: Mixture::new(building.config.seed, building.vocabulary) }))
}];

/// Clusters by evidence in training.
pub struct Evidence {
    mixture: Mixture,
}

impl Evidence {
    /// What the clusters took.
    pub fn mixture(&self) -> &Mixture {
        &self.mixture
    }
}

impl Component for Evidence {
    fn begin_pass(&mut self) {
        self.mixture.begin_pass();
    }

    fn forward(&self, reads: &Reads<'_>, _found: &mut Found, features: &mut Features) {
        let (matches, shape) = (self.mixture.matches(reads.host), [reads.host.samples(), MATCHES]);
        features.candidate.push(reads.lift(Tensor::from_data(TensorData::new(matches, shape), &reads.dense.counts.device())));
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        _found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        features.candidate.push(self.mixture.export(graph, reads));
        Ok(())
    }

    fn learn(&mut self, step: &Step<'_>) -> Option<StepLoss> {
        self.mixture.learn(&step.batch.host);
        None
    }

    fn gather(&self, prefix: &str, into: &mut Gathering) {
        self.mixture.arrays().into_iter().for_each(|(name, array)| into.host(format!("{prefix}{name}"), array));
    }

    fn restore(&mut self, from: &Restoring<'_>) -> Result<(), CheckpointError> {
        self.mixture.restore(from.state)
    }
}
