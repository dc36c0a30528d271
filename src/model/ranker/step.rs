//! One step of training: the graph, one backward pass, Adam on the dense parameters, lazy Adam on the touched rows, then the
//! components' own steps. Nothing is read back.

use std::cell::OnceCell;

use burn::optim::GradientsParams;
use burn::tensor::{Int, Tensor, activation::log_sigmoid};

use super::{LastStep, Ranker};
use crate::checkpoint::Gathering;
use crate::data::Side;
use crate::data::protocol::TASKS;
use crate::kernels::{AdamStep, mean};
use crate::model::batch::DeviceBatch;
use crate::model::component::{Found, Frozen, GraphLoss, Leaves, Reads, Step, StepLoss, Towers};
use crate::model::layers::ple::RANKING;
use crate::model::layers::weights::Parameters;

/// The losses of a batch on the graph, and the leaves beside the dense parameters.
pub struct Graph {
    /// Pooled rows.
    pub leaves: Leaves,
    /// Sum of the tasks' cross entropies, `[1]`.
    pub mtl: Tensor<1>,
    /// The components' losses, in their order.
    pub losses: Vec<GraphLoss>,
    pub(super) found: Found,
}

impl Graph {
    /// The part of Eq. 15 that a backward pass sees; the memories' parts are their own steps.
    pub fn loss(&self) -> Tensor<1> {
        self.losses.iter().fold(self.mtl.clone(), |sum, loss| {
            let value = loss.value.clone();
            sum + if loss.weight == 1.0 { value } else { value * loss.weight }
        })
    }

    /// A component's loss, by one of its names.
    pub fn loss_named(&self, name: &str) -> Option<&GraphLoss> {
        self.losses.iter().find(|loss| loss.term.is_some_and(|term| term.names.contains(&name)))
    }

    /// Logits of the tasks, `[tasks, samples, 1]`.
    pub fn logits(&self) -> Option<Tensor<3>> {
        self.found.logits.clone()
    }

    /// The auxiliary model's vectors.
    pub fn towers(&self) -> Option<&Towers> {
        self.found.towers.as_ref()
    }

    /// The centres that enhance a side and whether UIE stopped: `[n, 2]` and `[n, 1]`, `n` requests or samples. None before the
    /// first fill, and where there is no UIE of the side.
    pub fn chosen(&self, side: Side) -> Option<(Tensor<2, Int>, Tensor<2>)> {
        let chosen = self.found.side(side).chosen.as_ref()?;
        Some((chosen.assigned.clone(), chosen.stopped.clone()?))
    }

    /// Eq. 6 of a side, `[2, n, m]`, on the graph under the option of A3.
    pub fn interest(&self, side: Side) -> Option<Tensor<3>> {
        self.found.side(side).chosen.as_ref()?.interest.clone()
    }
}

/// The gradients of a step.
pub struct StepGradients {
    /// As [`Leaves`].
    pub leaves: Leaves,
    /// PLE's dense parameters'.
    pub ple: GradientsParams,
    /// Those of the components, in their order; none of one without dense parameters.
    pub components: Vec<Option<GradientsParams>>,
    /// The ranker's in the user centres and in the item centres (option A3).
    pub(super) centres: [Option<Tensor<2>>; 2],
}

impl Ranker {
    /// One step on a batch, of which this process computes its own part.
    pub fn step(&mut self, batch: &DeviceBatch) {
        self.prepare(batch);
        let graph = self.graph(batch.own.as_deref().unwrap_or(batch));
        let gradients = self.backward(&graph);
        let (graph, gradients) = self.joint(graph, gradients);
        self.apply(batch, graph, gradients);
    }

    /// What is done before a batch; before the first of a further pass, and before the first that goes on from a file, what remembers
    /// behaviours begins anew.
    pub fn prepare(&mut self, batch: &DeviceBatch) {
        if batch.host.pass > self.pass || self.is_restored {
            (self.pass, self.is_restored) = (batch.host.pass, false);
            self.components.iter_mut().for_each(|component| component.begin_pass());
        }
        self.components.iter_mut().for_each(|component| component.prepare(&batch.host));
    }

    /// The forward pass and its losses, with the leaves that gradients reach. It reads the memories as the step before left them, so
    /// a row never sees its own update (A15).
    pub fn graph(&self, batch: &DeviceBatch) -> Graph {
        let fields = batch.fields(&self.views);
        let leaves = Leaves {
            candidates: self.embeddings.pool(&fields.candidates),
            requests: self.embeddings.pool(&fields.requests),
            views: fields.views.iter().map(|(name, ids)| (*name, self.embeddings.pool(ids))).collect(),
            own: self.own_rows(&batch.users.ids, &batch.items.ids),
        };
        let leaves = leaves.map(|leaf| Tensor::from_inner(leaf.clone()).require_grad());
        let frozen = Frozen::default();
        let reads = Reads {
            host: &batch.host,
            candidates: &fields.candidates,
            users: &batch.users.ids,
            items: &batch.items.ids,
            dense: &batch.dense,
            low_active: &batch.low_active,
            kept: Some(&batch.kept),
            leaves: &leaves,
            frozen: &frozen,
            steps: self.steps,
            joint: &batch.whole,
            together: &self.together,
            embeddings: &self.embeddings,
            whole: OnceCell::new(),
        };
        let (found, logits) = self.forward(&reads);
        let mtl = mtl_loss(logits, Tensor::from_inner(batch.labels.clone()));
        let losses = self.components.iter().flat_map(|component| component.losses(&reads, &found, batch)).collect();
        drop(reads);
        Graph { leaves, mtl, losses, found }
    }

    /// The gradients of a graph's loss.
    pub fn backward(&self, graph: &Graph) -> StepGradients {
        let mut gradients = graph.loss().backward();
        let leaves = graph.leaves.map(|leaf| leaf.grad_remove(&mut gradients).unwrap_or_else(|| leaf.clone().inner().zeros_like()));
        let mut centres = [None, None];
        for component in &self.components {
            if let Some((side, gradient)) = component.centre_gradient(&graph.found, &mut gradients) {
                centres[side as usize] = Some(gradient);
            }
        }
        let ple = self.ple.gradients(&mut gradients);
        let weights = self.components.iter().map(|component| component.weights());
        let components = weights.map(|weights| weights.map(|weights| weights.gradients(&mut gradients))).collect();
        StepGradients { leaves, ple, components, centres }
    }

    /// Moves everything once: by the gradients, and the memories by their own rules, every search of which was done before anything
    /// moves (A15).
    pub fn apply(&mut self, batch: &DeviceBatch, graph: Graph, gradients: StepGradients) {
        self.steps += 1;
        let rate = self.config.learning_rate;
        let adam = AdamStep::new(rate, self.steps);
        let StepGradients { leaves: Leaves { candidates, requests, views, own }, ple, components, centres } = gradients;
        let fields = [candidates, requests].into_iter().chain(views.into_iter().map(|(_, gradient)| gradient)).collect();
        self.embeddings.update(&batch.fields(&self.views).touched, fields, adam);
        let tables = self.components.iter_mut().filter_map(|component| component.table_mut());
        for (table, (_, gradient)) in tables.zip(own) {
            let rows = match table.side() {
                Side::Users => &batch.users,
                Side::Items => &batch.items,
            };
            table.rows.update(&rows.touched, vec![gradient], adam);
        }
        self.ple.step(rate, ple);
        for (component, gradients) in self.components.iter_mut().zip(components) {
            if let (Some(weights), Some(gradients)) = (component.weights_mut(), gradients) {
                weights.step(rate, gradients);
            }
        }
        self.learn(batch, graph, centres);
    }

    /// The components' own steps, and what is left of this one to look at.
    fn learn(&mut self, batch: &DeviceBatch, graph: Graph, centre_gradients: [Option<Tensor<2>>; 2]) {
        let Graph { mtl, losses, found, .. } = graph;
        let clustered = Side::BOTH.map(|side| found.clustered(side));
        let step = Step { batch, found: &found, clustered, steps: self.steps, centre_gradients };
        let own: Vec<Option<StepLoss>> = self.components.iter_mut().map(|component| component.learn(&step)).collect();
        let on_graph = losses.into_iter().filter_map(|loss| Some((loss.term?, loss.value.inner())));
        self.losses = Some(std::iter::once((&RANKING, mtl.inner())).chain(on_graph).chain(own.into_iter().flatten()).collect());
        self.last = Some(LastStep { clustered: step.clustered, host: batch.host.clone() });
    }

    /// Names every gradient of a step that a trace holds.
    pub(crate) fn gather_gradients(&self, gradients: &StepGradients, into: &mut Gathering) {
        self.ple.gather("gradient.", Some(&gradients.ple), into);
        for (component, gradients) in self.components.iter().zip(&gradients.components) {
            if let Some(weights) = component.weights() {
                weights.gather("gradient.", gradients.as_ref(), into);
            }
        }
        let Leaves { candidates, requests, views, own } = gradients.leaves.clone();
        into.floats("gradient.fields.candidates", candidates);
        into.floats("gradient.fields.requests", requests);
        views.into_iter().for_each(|(view, gradient)| into.floats(format!("gradient.fields.{view}"), gradient));
        own.into_iter().for_each(|(name, gradient)| into.floats(format!("gradient.{name}"), gradient));
    }
}

/// Sum over the tasks of the mean binary cross entropy; `logits` and `labels` are `[tasks, samples, 1]`.
fn mtl_loss(logits: Tensor<3>, labels: Tensor<3>) -> Tensor<1> {
    // ln sigmoid(z) = z + ln sigmoid(-z), so one stable logarithm serves both classes.
    mean(log_sigmoid(logits.clone().neg()) + labels * logits) * -(TASKS as f32)
}
