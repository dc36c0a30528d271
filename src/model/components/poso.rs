//! POSO, personalised cold-start modules (Dai et al. 2021, reference 31 of the paper): a small network looks at how new a user is
//! and gates the hidden units of the task towers. A new user's requests then pass other units than a regular's, whose signal would
//! drown theirs.
//!
//! Their linear module, `x' = C g(x_pc) * (W x)`, in each hidden layer of a tower before its ReLU: `g` has one hidden layer and a
//! sigmoid at its end, `C = 2`, and `x_pc` is how often the user did what so far. Started near 0, `2 sigmoid(0) = 1`: the towers
//! begin as PLE's.

use burn::module::Module;
use burn::tensor::{Tensor, activation::relu, activation::sigmoid};

use crate::config::Config;
use crate::data::Behaviour;
use crate::data::protocol::TASKS;
use crate::model::component::{Component, Features, Found, Kind, Reads};
use crate::model::export::{self, NoNodes};
use crate::model::layers::dense::{Init, Linear};
use crate::model::layers::weights::{Parameters, Weights};
use crate::onnx::Graph;

/// Hidden units of a gate.
const HIDDEN: usize = 8;
/// Deviation of a gate's last layer at the start.
const START: f64 = 0.01;
/// The scale `C`.
const SCALE: f32 = 2.0;

/// POSO over PLE's task towers.
pub static KINDS: [Kind; 1] = [Kind {
    parameters: |config, _| {
        TASKS * config.tower.0.iter().map(|width| (Behaviour::COUNT + 1) * HIDDEN + (HIDDEN + 1) * width).sum::<usize>()
    },
    ..Kind::new("poso", |building| Box::new(PosoTowers { weights: Weights::new("poso", Poso::new(building.init, building.config)) }))
}];

/// The gates of a layer, one a task.
#[derive(Module, Debug)]
pub struct TowerGate {
    /// `[tasks, counts, hidden]`
    pub hidden: Linear,
    /// `[tasks, hidden, width]`
    pub out: Linear,
}

/// The gates of the towers, layer by layer.
#[derive(Module, Debug)]
pub struct Poso {
    /// From the first hidden layer on.
    pub gates: Vec<TowerGate>,
}

impl Poso {
    /// Gates for the hidden layers of a configuration's towers.
    pub fn new(init: &Init, config: &Config) -> Self {
        let gate = |(depth, &width): (usize, &usize)| TowerGate {
            hidden: Linear::new(init, &format!("poso.{depth}.hidden"), TASKS, Behaviour::COUNT, HIDDEN),
            out: Linear::with_deviation(init, &format!("poso.{depth}.out"), TASKS, HIDDEN, width, START),
        };
        Self { gates: config.tower.0.iter().enumerate().map(gate).collect() }
    }

    /// Factors of the hidden units of each layer, `[tasks, requests, width]`, from the users' counts `[requests, Behaviour::COUNT]`.
    pub fn factors(&self, counts: &Tensor<2>) -> Vec<Tensor<3>> {
        let [requests, columns] = counts.dims();
        let counts = counts.clone().unsqueeze_dim::<3>(0).expand([TASKS, requests, columns]);
        self.gates.iter().map(|gate| sigmoid(gate.out.forward(relu(gate.hidden.forward(counts.clone())))) * SCALE).collect()
    }
}

/// POSO in training.
pub struct PosoTowers {
    weights: Weights<Poso>,
}

impl PosoTowers {
    /// The gates.
    pub fn module(&self) -> &Poso {
        self.weights.module()
    }
}

impl Component for PosoTowers {
    fn weights(&self) -> Option<&dyn Parameters> {
        Some(&self.weights)
    }

    fn weights_mut(&mut self) -> Option<&mut dyn Parameters> {
        Some(&mut self.weights)
    }

    fn forward(&self, reads: &Reads<'_>, _found: &mut Found, features: &mut Features) {
        let [samples, _] = reads.leaves.candidates.dims();
        let of_sample = |factors: Tensor<3>| {
            let [tasks, requests, width] = factors.dims();
            factors.unsqueeze_dim::<4>(2).repeat_dim(2, samples / requests).reshape([tasks, samples, width])
        };
        let factors = self.weights.read(reads.is_training()).factors(&reads.counts());
        features.tower_gates.extend(factors.into_iter().map(of_sample));
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        _found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        for depth in 0..self.module().gates.len() {
            let path = format!("{}.gates.{depth}", self.weights.path());
            let factor = |task: usize| {
                let hidden = Linear::export(graph, &format!("{path}.hidden"), task, &reads.counts);
                let hidden = graph.relu(&hidden);
                let out = Linear::export(graph, &format!("{path}.out"), task, &hidden);
                let open = graph.sigmoid(&out);
                graph.times(&open, SCALE)
            };
            features.tower_gates.push((0..TASKS).map(factor).collect());
        }
        Ok(())
    }
}
