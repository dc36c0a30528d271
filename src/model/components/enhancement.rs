//! How the vectors of a side's components enter the ranker, all at once: the generalization layer, the running means and the
//! dropout. The layer itself stands in [`crate::model::layers::enhancement`]. A model has one of each side that has vectors; no row
//! of the registry names it.

use burn::tensor::Tensor;

use crate::checkpoint::{CheckpointError, Gathering};
use crate::config::Config;
use crate::data::Side;
use crate::model::component::{Building, Component, Features, Found, Reads, Restoring, Step, StepLoss, Vectors};
use crate::model::export::{self, NoNodes};
use crate::model::layers::enhancement::{Enhanced, Enhancement, Enhancing, EnhancingNodes, Form, Means};
use crate::model::layers::graph::joined;
use crate::model::layers::table::PersonalTable;
use crate::model::layers::weights::{Parameters, Weights};
use crate::onnx::Graph;

/// Dense parameters of a side's enhancement: its gates, its scales and, where it is fitted, a scale of each fit.
pub fn parameters(config: &Config, side: Side, vectors: Vectors) -> usize {
    let m = config.memory_width();
    let gate = (2 * m + 1) * m + (m + 1) * m;
    let scale = if config.enhancement_norm { m + usize::from(is_fitted(config, side)) } else { 0 };
    vectors.gated * gate + vectors.count() * scale
}

/// Items' vectors are not fitted: in training a fit to the user had the items' embeddings lean on it, and it cost .0010 to .0020.
pub fn is_fitted(config: &Config, side: Side) -> bool {
    config.enhancement_norm && side == Side::Users
}

/// The form in which a side's vectors enter.
fn form(config: &Config, side: Side) -> Option<Form> {
    config.enhancement_norm.then(|| Form { is_fitted: is_fitted(config, side), scale: config.enhancement_scale as f32 })
}

/// A side's enhancement in training: gates and scales, the personal vectors of Gate NU, and the running means.
pub struct EnhancementOf {
    side: Side,
    weights: Weights<Enhancement>,
    personal: Option<PersonalTable>,
    means: Option<Means>,
    /// Whether a running mean is taken out of the vectors and of what they are fitted to.
    is_centred: bool,
    /// Whether dropout takes any; the draws are the run's.
    has_dropout: bool,
    /// Numbers of a vector.
    m: usize,
}

impl EnhancementOf {
    /// For the vectors of a side; `None` where there are none.
    pub fn new(building: &Building<'_>, side: Side, vectors: Vectors) -> Option<Self> {
        let (config, m) = (building.config, building.config.memory_width());
        let (gated, plain) = (vectors.gated, vectors.plain);
        let name = match side {
            Side::Users => "users",
            Side::Items => "items",
        };
        (vectors.count() > 0).then(|| Self {
            side,
            weights: Weights::new(name, Enhancement::new(building.init, name, [gated, plain], m, form(config, side))),
            personal: (gated > 0).then(|| building.personal(side)),
            means: (config.enhancement_centred || config.centred)
                .then(|| Means::new(vectors.count(), m, config.mean_rate as f32, building.device)),
            is_centred: config.enhancement_centred,
            has_dropout: config.enhancement_dropout > 0.0,
            m,
        })
    }

    /// Whose vectors they are.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The gates and scales.
    pub fn module(&self) -> &Enhancement {
        self.weights.module()
    }

    /// The running means.
    pub fn means(&self) -> Option<&Means> {
        self.means.as_ref()
    }

    /// What it is called among a model's components.
    pub fn name(&self) -> &'static str {
        match self.side {
            Side::Users => "user-enhancement",
            Side::Items => "item-enhancement",
        }
    }

    /// What its running means are called.
    fn name_of_means(&self) -> &'static str {
        match self.side {
            Side::Users => "user_means",
            Side::Items => "item_means",
        }
    }
}

impl Component for EnhancementOf {
    fn weights(&self) -> Option<&dyn Parameters> {
        Some(&self.weights)
    }

    fn weights_mut(&mut self) -> Option<&mut dyn Parameters> {
        Some(&mut self.weights)
    }

    fn table(&self) -> Option<&PersonalTable> {
        self.personal.as_ref()
    }

    fn table_mut(&mut self) -> Option<&mut PersonalTable> {
        self.personal.as_mut()
    }

    fn forward(&self, reads: &Reads<'_>, found: &mut Found, features: &mut Features) {
        let into = features.side(self.side);
        let Some(other) = found.side(self.side.other()).v.clone() else { return };
        let stacked = |vectors: &mut Vec<Tensor<3>>| (!vectors.is_empty()).then(|| joined(std::mem::take(vectors), 0));
        let enhancing = Enhancing {
            gated: stacked(&mut into.gated),
            plain: stacked(&mut into.plain),
            personal: self.personal.as_ref().and_then(|table| reads.leaves.own(table.name())).cloned(),
            kept: reads.kept.filter(|_| self.has_dropout).map(|kept| kept.of(self.side)),
        };
        let means = self.means.as_ref().filter(|_| self.is_centred);
        let Enhanced { vectors, fits, entered } = self.weights.read(reads.is_training()).forward(enhancing, other, means);
        (into.vectors, into.fits) = (Some(vectors), fits);
        let found = found.side_mut(self.side);
        (found.entered, found.mean_of_others) = (Some(entered), self.means.as_ref().map(Means::of_others));
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let into = features.side(self.side);
        let Some(other) = found.side(self.side.other()).v.clone() else { return Ok(()) };
        let personal = self.personal.as_ref().map(|table| {
            let rows = graph.parameter(&format!("{}.weight", table.name()));
            reads.of_members(graph, self.side, &rows)
        });
        let enhancing = EnhancingNodes {
            gated: std::mem::take(&mut into.gated),
            plain: std::mem::take(&mut into.plain),
            personal,
            other,
            means: (self.is_centred && self.means.is_some()).then(|| self.name_of_means()),
            m: self.m,
        };
        let (vectors, fits) = self.module().export(graph, &self.weights.path(), enhancing);
        (into.vectors, into.fits) = (Some(vectors), fits);
        Ok(())
    }

    fn learn(&mut self, step: &Step<'_>) -> Option<StepLoss> {
        if let (Some(means), Some(entered)) = (&mut self.means, step.found.side(self.side).entered.clone()) {
            means.learn(entered);
        }
        None
    }

    fn gather(&self, prefix: &str, into: &mut Gathering) {
        if let Some(means) = &self.means {
            into.floats(format!("{prefix}{}", self.name_of_means()), means.rows());
        }
    }

    fn restore(&mut self, from: &Restoring<'_>) -> Result<(), CheckpointError> {
        let name = self.name_of_means();
        if let Some(means) = &mut self.means {
            means.restore(from.tensor(name)?);
        }
        Ok(())
    }
}
