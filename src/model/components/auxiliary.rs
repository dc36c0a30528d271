//! The auxiliary model: a user tower and an item tower whose dot product predicts a valid consumption (Eq. 1). Their
//! inputs are the ranker's embeddings with the gradient stopped, so it learns from them and never moves them.

use burn::module::Module;
use burn::tensor::{Tensor, activation::log_sigmoid, activation::sigmoid};

use crate::config::{Config, PositiveWeight};
use crate::data::Side;
use crate::kernels::{dots, mean};
use crate::metrics::Term;
use crate::model::batch::{CANDIDATE_FIELDS, DeviceBatch};
use crate::model::component::{Component, Features, Found, GraphLoss, Kind, Reads, Takes, Towers, with_history};
use crate::model::export::{self, NoNodes};
use crate::model::layers::dense::{Init, Mlp};
use crate::model::layers::graph::off_graph;
use crate::model::layers::weights::{Parameters, Weights};
use crate::onnx::Graph;

/// The logit of Eq. 1 is clamped to +-15 (A17), where its sigmoid is 3e-7 from 0 or 1.
const LOGIT_BOUND: f32 = 15.0;

/// Weight of a positive under [`PositiveWeight::Constant`].
const CONSTANT_WEIGHT: f32 = 1.5;

const LOSS: Term =
    Term { title: "Auxiliary loss", about: "Eq. 1: the towers whose user vectors are clustered.", names: &["loss_auxiliary"] };

/// The auxiliary model.
pub static KINDS: [Kind; 1] = [Kind {
    losses: &[&LOSS],
    parameters: |config, base| {
        let tower = |inputs: usize| Mlp::parameters(inputs, &config.auxiliary.0);
        tower(base.request) + tower(item_inputs(config))
    },
    takes: |config| {
        let layers = config.auxiliary.0.iter().sum();
        Takes { request: layers, candidate: layers, ..Takes::NOTHING }
    },
    ..Kind::new("auxiliary", |building| {
        let inputs = (building.base.request, item_inputs(building.config));
        Box::new(AuxiliaryModel {
            weights: Weights::new("auxiliary", Auxiliary::new(building.init, &building.config.auxiliary.0, inputs.0, inputs.1)),
            positive_weight: building.config.positive_weight,
            sees_count: building.config.item_count,
        })
    })
}];

/// Features of the item tower.
fn item_inputs(config: &Config) -> usize {
    CANDIDATE_FIELDS * config.embedding + usize::from(config.item_count)
}

/// User tower and item tower, last layer linear.
#[derive(Module, Debug)]
pub struct Auxiliary {
    user: Mlp,
    item: Mlp,
}

impl Auxiliary {
    /// Towers of the given widths over so many features of a user and of an item.
    pub fn new(init: &Init, widths: &[usize], user_inputs: usize, item_inputs: usize) -> Self {
        Self {
            user: Mlp::new(init, "auxiliary.user", 1, user_inputs, widths, false),
            item: Mlp::new(init, "auxiliary.item", 1, item_inputs, widths, false),
        }
    }

    /// `v_user` `[requests, m]` from `[requests, user inputs]`.
    pub fn user(&self, features: Tensor<2>) -> Tensor<2> {
        self.user.forward(features.unsqueeze_dim(0)).squeeze_dim(0)
    }

    /// `v_item` `[samples, m]` from `[samples, item inputs]`.
    pub fn item(&self, features: Tensor<2>) -> Tensor<2> {
        self.item.forward(features.unsqueeze_dim(0)).squeeze_dim(0)
    }
}

/// Eq. 1, a mean over the batch, negatives included: `-(1/n) sum [w y ln p + (1 - y) ln (1 - p)]`,
/// `p = sigmoid(v_user . v_item)`. `labels` and `weights` are `[samples, 1]`, the weights those of positives.
pub fn loss(Towers { v_user, v_item }: Towers, labels: Tensor<2>, weights: Tensor<2>) -> Tensor<1> {
    let logit = dots(v_user, v_item).clamp(-LOGIT_BOUND, LOGIT_BOUND);
    // ln sigmoid(z) = z + ln sigmoid(-z): one stable logarithm for both classes.
    let negative = log_sigmoid(logit.clone().neg());
    let positive = labels.clone() * weights;
    let share = positive.clone() + labels.neg() + 1.0;
    mean(negative * share + logit * positive).neg()
}

/// `w = 1 + sigmoid(merge_score)`, the merge score being the sum of the tasks' predictions (A16), from their logits
/// `[tasks, samples, 1]`. `[samples, 1]`. The caller stops the gradient.
pub fn positive_weight(logits: Tensor<3>) -> Tensor<2> {
    sigmoid(sigmoid(logits).sum_dim(0).squeeze_dim::<2>(0)) + 1.0
}

/// The auxiliary model in training.
pub struct AuxiliaryModel {
    weights: Weights<Auxiliary>,
    positive_weight: PositiveWeight,
    /// Whether the item tower sees how often its item came so far.
    sees_count: bool,
}

impl AuxiliaryModel {
    /// The towers.
    pub fn towers(&self) -> &Auxiliary {
        self.weights.module()
    }
}

impl Component for AuxiliaryModel {
    fn weights(&self) -> Option<&dyn Parameters> {
        Some(&self.weights)
    }

    fn weights_mut(&mut self) -> Option<&mut dyn Parameters> {
        Some(&mut self.weights)
    }

    fn forward(&self, reads: &Reads<'_>, found: &mut Found, _features: &mut Features) {
        let auxiliary = self.weights.read(reads.is_training());
        // Not the recent ones as well: then clusters were of moments more than of users (purity .55 for .8).
        let of_user = with_history(&off_graph(reads.leaves.requests.clone()), reads.whole_history(), &reads.dense.counts);
        let mut of_item = off_graph(reads.pairs());
        if self.sees_count {
            of_item = Tensor::cat(vec![of_item, reads.dense.item_count.clone()], 1);
        }
        let towers = Towers { v_user: auxiliary.user(reads.lift(of_user)), v_item: auxiliary.item(reads.lift(of_item)) };
        found.side_mut(Side::Users).v = Some(off_graph(towers.v_user.clone()));
        found.side_mut(Side::Items).v = Some(off_graph(towers.v_item.clone()));
        found.towers = Some(towers);
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        found: &mut export::Found,
        _features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let (auxiliary, path) = (self.weights.module(), self.weights.path());
        let of_user = reads.with_history(graph, &reads.whole);
        let mut of_item = vec![reads.candidates.clone()];
        of_item.extend(self.sees_count.then(|| reads.item_count.clone()));
        let of_item = graph.concat(&of_item);
        found.side(Side::Users).v = Some(auxiliary.user.export(graph, &format!("{path}.user"), 0, of_user, &[]));
        found.side(Side::Items).v = Some(auxiliary.item.export(graph, &format!("{path}.item"), 0, of_item, &[]));
        Ok(())
    }

    fn losses(&self, _reads: &Reads<'_>, found: &Found, batch: &DeviceBatch) -> Vec<GraphLoss> {
        let (Some(towers), Some(logits)) = (&found.towers, &found.logits) else { return Vec::new() };
        let labels: Tensor<2> = batch.labels.clone().slice([0..1]).squeeze_dim(0);
        let weights = match self.positive_weight {
            PositiveWeight::MergeScore => positive_weight(logits.clone().inner()),
            PositiveWeight::Constant => labels.zeros_like() + CONSTANT_WEIGHT,
        };
        let value = loss(towers.clone(), Tensor::from_inner(labels), Tensor::from_inner(weights));
        vec![GraphLoss { term: Some(&LOSS), value, weight: 1.0 }]
    }

    /// With the count an item's vector depends on the moment, so none is looked up anew.
    fn encode_items(&self, candidates: &Tensor<2>) -> Option<Tensor<2>> {
        (!self.sees_count).then(|| self.weights.read(false).item(candidates.clone()))
    }
}
