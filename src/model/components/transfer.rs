//! PLE with TL: transfer from users with many behaviours to those with few (Zhang et al. 2021, MIRec), in an adaptation of
//! ours.
//!
//! A user tower sees the history cut to its newest few and the whole of it. On high-active users `F` learns to lead from the
//! first to the second: `|F(v_few) - sg(v_many)|^2`. Low-active users, whose history is always short, receive `F(v)` as a
//! feature; high-active ones receive zeros, as nothing is transferred to them. `L = L_MTL + 0.1 L_transfer`.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::counter::Counter;
use crate::data::Side;
use crate::data::protocol::Batch;
use crate::data::rows::Bags;
use crate::metrics::Term;
use crate::model::batch::{DeviceBatch, Layout, View};
use crate::model::component::{Adds, Component, Features, Found, GraphLoss, Kind, Reads, Takes, halves, with_history};
use crate::model::export::{self, NoNodes};
use crate::model::layers::dense::{Init, Linear, Mlp};
use crate::model::layers::weights::{Parameters, Weights};
use crate::onnx::Graph;

const LOSS: Term = Term { title: "Added loss", about: "What PLE+CL or PLE+TL adds to the ranking loss.", names: &["loss_adaptation"] };

/// Each request's history, cut to its newest [`FEW`] and then whole.
const VIEWS: View = View { name: "transfer", is_scored: false, bags: |layout| Bags { bags: 4, ..layout.whole_bags() }, ids: views };

/// PLE with TL.
pub static KINDS: [Kind; 1] = [Kind {
    adds: |config| Adds { request: config.memory_width(), ..Adds::default() },
    view: Some(&VIEWS),
    losses: &[&LOSS],
    takes: |config| Takes { request: VIEW_COPIES * config.embedding + config.auxiliary.0.iter().sum::<usize>(), ..Takes::NOTHING },
    ..Kind::new("transfer", |building| {
        let module = Transfer::new(building.init, building.base.request, &building.config.auxiliary.0);
        Box::new(TransferLearning { weights: Weights::new("transfer", module), weight: building.config.transfer_weight })
    })
}];

/// Embeddings of both histories, items and categories, pooled and in the tower's input.
const VIEW_COPIES: usize = 8;

/// Behaviours of the short history: where the paper's users count as having few (A21).
pub const FEW: usize = 5;

/// The user tower and `F`.
#[derive(Module, Debug)]
pub struct Transfer {
    tower: Mlp,
    lead: Linear,
}

impl Transfer {
    /// A tower of the auxiliary model's widths over so many features of a request.
    pub fn new(init: &Init, inputs: usize, widths: &[usize]) -> Self {
        let m = widths.last().copied().unwrap_or(inputs);
        Self { tower: Mlp::new(init, "transfer.tower", 1, inputs, widths, false), lead: Linear::new(init, "transfer.lead", 1, m, m) }
    }

    fn vector(&self, features: Tensor<2>) -> Tensor<2> {
        self.tower.forward(features.unsqueeze_dim(0)).squeeze_dim(0)
    }

    fn led(&self, vector: Tensor<2>) -> Tensor<2> {
        self.lead.forward(vector.unsqueeze_dim(0)).squeeze_dim(0)
    }

    /// What low-active users (`low` `[requests, 1]`) receive, `[requests, m]`, from the features with the whole history.
    pub fn features(&self, whole: Tensor<2>, low: Tensor<2>) -> Tensor<2> {
        self.led(self.vector(whole)) * low
    }

    /// The loss over high-active users, `[1]`, from the features with the short and with the whole history.
    pub fn loss(&self, short: Tensor<2>, whole: Tensor<2>, low: Tensor<2>) -> Tensor<1> {
        let high = low.neg() + 1.0;
        let distance = (self.led(self.vector(short)) - self.vector(whole).detach()).square().mean_dim(1);
        (distance * high.clone()).sum() / high.sum().clamp_min(1.0)
    }
}

fn high_active(batch: &Batch) -> usize {
    batch.low_active.iter().filter(|&&low| !low).count()
}

fn views(layout: &Layout, batch: &Batch, _random: Counter) -> Vec<u32> {
    let cut = |r: usize, few: usize| layout.history(batch, r, batch.history, move |place| place < few);
    (0..batch.requests).flat_map(|r| cut(r, FEW).chain(cut(r, batch.history)).collect::<Vec<_>>()).collect()
}

/// PLE with TL in training.
pub struct TransferLearning {
    weights: Weights<Transfer>,
    /// Of the loss.
    weight: f64,
}

impl TransferLearning {
    /// The tower and `F`.
    pub fn module(&self) -> &Transfer {
        self.weights.module()
    }
}

impl Component for TransferLearning {
    fn weights(&self) -> Option<&dyn Parameters> {
        Some(&self.weights)
    }

    fn weights_mut(&mut self) -> Option<&mut dyn Parameters> {
        Some(&mut self.weights)
    }

    fn forward(&self, reads: &Reads<'_>, _found: &mut Found, features: &mut Features) {
        let whole = reads.leaves.view(&VIEWS).cloned().map_or_else(|| reads.whole_history(), |views| halves(views)[1].clone());
        let whole = with_history(&reads.leaves.requests, whole, &reads.counts());
        features.request.push(self.weights.read(reads.is_training()).features(whole, reads.lift(reads.low_active.clone())));
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        _found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let (path, whole) = (self.weights.path(), reads.with_history(graph, &reads.whole));
        let vector = self.module().tower.export(graph, &format!("{path}.tower"), 0, whole, &[]);
        let led = Linear::export(graph, &format!("{path}.lead"), 0, &vector);
        let low = graph.parameter(export::LOW_ACTIVE);
        let low = reads.of_members(graph, Side::Users, &low);
        let low = graph.unsqueeze(&low, -1);
        features.request.push(graph.mul(&led, &low));
        Ok(())
    }

    fn losses(&self, reads: &Reads<'_>, _found: &Found, _batch: &DeviceBatch) -> Vec<GraphLoss> {
        let Some(views) = reads.leaves.view(&VIEWS).cloned() else { return Vec::new() };
        let [short, whole] = halves(views).map(|history| with_history(&reads.leaves.requests, history, &reads.counts()));
        let mean = self.module().loss(short, whole, reads.lift(reads.low_active.clone()));
        let [own, all] = [reads.host, reads.joint].map(high_active);
        let value = reads.together.of_counted(mean, own, all);
        vec![GraphLoss { term: Some(&LOSS), value, weight: self.weight }]
    }
}
