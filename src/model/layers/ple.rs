//! PLE, Progressive Layered Extraction (Tang et al. 2020): the ranker.
//!
//! Level `j` of `N`: `g(k, j) = softmax(W g(k, j-1)) . [own experts of k; shared experts]`. The shared gate of levels
//! `1..N-1` selects among all experts of its level; the last level has none. A gate is one linear map, no batch norm.
//! All experts of a level are one product, all its gates another (at the first level, where they share their input, both
//! are one): a gate that may not see an expert has a logit of -1e9 there, whose softmax is exactly 0, forwards and
//! backwards.

use burn::module::{Module, Param};
use burn::tensor::{
    Tensor, TensorData,
    activation::{relu, softmax},
};

use crate::config::Config;
use crate::data::protocol::TASKS;
use crate::kernels::{Mix, mix};
use crate::metrics::Term;
use crate::model::layers::dense::{Init, Joint, Linear, Mlp};
use crate::onnx::{Graph, Value};

/// What a gate adds to the logit of an expert that it may not see. `exp` of it is 0 in f32.
const HIDDEN: f32 = -1e9;

/// The ranker's own loss, `L_MTL` of Eq. 15.
pub const RANKING: Term = Term { title: "Ranking loss", about: "Cross entropies of the tasks.", names: &["loss_mtl"] };

/// Sizes of a PLE.
#[derive(Clone, Debug)]
pub struct PleSizes {
    /// Tasks.
    pub tasks: usize,
    /// Experts of each task at each level.
    pub specific: usize,
    /// Shared experts at each level.
    pub shared: usize,
    /// Hidden widths of an expert, level by level.
    pub levels: Vec<Vec<usize>>,
    /// Hidden widths of a task tower.
    pub tower: Vec<usize>,
}

impl PleSizes {
    /// As configured.
    pub fn new(config: &Config) -> Self {
        Self {
            tasks: TASKS,
            specific: config.specific_experts,
            shared: config.shared_experts,
            levels: [&config.expert_1, &config.expert_2].map(|widths| widths.0.clone()).to_vec(),
            tower: config.tower.0.clone(),
        }
    }

    /// Experts of so many sixteenths of their widths.
    pub fn scaled(&self, sixteenths: usize) -> Self {
        let levels = self.levels.iter().map(|widths| widths.iter().map(|w| w * sixteenths / 16).collect());
        Self { levels: levels.collect(), ..self.clone() }
    }

    fn experts(&self) -> usize {
        self.tasks * self.specific + self.shared
    }

    /// Streams out of a level: one a task and, but at the last, the shared one.
    fn streams(&self, depth: usize) -> usize {
        self.tasks + usize::from(depth + 1 < self.levels.len())
    }

    /// `[streams * experts]`: 0 where a level's gate sees an expert, else [`HIDDEN`].
    fn mask(&self, depth: usize) -> Vec<f32> {
        let own = self.tasks * self.specific;
        let sees = |stream: usize, expert: usize| stream == self.tasks || expert / self.specific == stream || expert >= own;
        let streams = 0..self.streams(depth);
        streams.flat_map(|s| (0..self.experts()).map(move |e| (s, e))).map(|(s, e)| if sees(s, e) { 0.0 } else { HIDDEN }).collect()
    }

    /// Parameters of a PLE over so many features.
    pub fn parameters(&self, inputs: usize) -> usize {
        let (mut sum, mut from) = (0, inputs);
        for (depth, widths) in self.levels.iter().enumerate() {
            sum += self.experts() * Mlp::parameters(from, widths) + self.streams(depth) * (from + 1) * self.experts();
            from = widths.last().copied().unwrap_or(from);
        }
        let tower: Vec<usize> = self.tower.iter().copied().chain([1]).collect();
        sum + self.tasks * Mlp::parameters(from, &tower)
    }
}

/// The first level, over a request's and its candidates' features.
#[derive(Module, Debug)]
pub struct FirstLevel {
    /// The experts' first layer (in the order task 1's, task 2's, …, shared) and then the gates (the tasks', then the shared
    /// one where there is one).
    pub joint: Joint,
    /// The experts' further layers, where they have any.
    pub experts: Option<Mlp>,
    /// `[1, streams, experts]`: 0 or [`HIDDEN`]; a constant.
    mask: Param<Tensor<3>>,
}

/// A later level.
#[derive(Module, Debug)]
pub struct Level {
    /// All experts, in the order task 1's, task 2's, …, shared.
    pub experts: Mlp,
    /// All gates: the tasks', then the shared one where there is one.
    pub gates: Linear,
    /// `[streams, 1, experts]`: 0 or [`HIDDEN`]; a constant.
    mask: Param<Tensor<3>>,
    specific: usize,
    shared: usize,
}

/// The ranker: levels, then a tower for each task.
#[derive(Module, Debug)]
pub struct Ple {
    /// The first level.
    pub first: FirstLevel,
    /// The levels after it.
    pub levels: Vec<Level>,
    /// One tower a task.
    pub towers: Mlp,
}

/// What a level's gates say beside its output.
pub struct LevelOutput {
    /// `[streams, samples, width]`: the tasks' streams, then the shared one where there is one.
    pub streams: Tensor<3>,
    /// `[streams, samples, experts]`: the gates; experts in the order task 1's, task 2's, …, shared.
    pub gates: Tensor<3>,
}

fn constant(init: &Init, values: Vec<f32>, shape: [usize; 3]) -> Param<Tensor<3>> {
    Param::from_data(TensorData::new(values, shape), init.device()).set_require_grad(false)
}

impl FirstLevel {
    fn new(init: &Init, sizes: &PleSizes, inputs: [usize; 2], fan_in: usize) -> Self {
        let (experts, streams, widths) = (sizes.experts(), sizes.streams(0), &sizes.levels[0]);
        let layers = [("ple.0.experts.0".to_string(), experts, widths[0]), ("ple.0.gates".to_string(), streams, experts)];
        Self {
            joint: Joint::new(init, &layers, inputs, fan_in),
            experts: (widths.len() > 1).then(|| Mlp::new(init, "ple.0.experts.rest", experts, widths[0], &widths[1..], true)),
            mask: constant(init, sizes.mask(0), [1, streams, experts]),
        }
    }

    fn forward(&self, request: Tensor<2>, candidate: Tensor<2>) -> LevelOutput {
        let [_, streams, experts] = self.mask.dims();
        let joint = self.joint.forward(request, candidate);
        let [samples, columns] = joint.dims();
        let split = columns - streams * experts;
        let first = relu(joint.clone().slice([0..samples, 0..split]).reshape([samples, experts, split / experts]));
        let logits = joint.slice([0..samples, split..columns]).reshape([samples, streams, experts]);
        let gates = softmax(logits + self.mask.val(), 2);
        let stacked = gates.clone().swap_dims(0, 1);
        let streams = match &self.experts {
            None => mix(gates, first, Mix { streams, samples, experts, width: split / experts, wide: true }),
            Some(rest) => mix_stacked(stacked.clone(), rest.forward(first.swap_dims(0, 1))),
        };
        LevelOutput { streams, gates: stacked }
    }

    /// The nodes of its streams.
    fn export(&self, graph: &mut Graph, path: &str, specific: usize, request: &Value, candidate: &Value) -> Vec<Value> {
        let [_, streams, experts] = self.mask.dims();
        let joint = Joint::export(graph, &format!("{path}.joint"), request, candidate);
        let [_, columns] = self.joint.bias.dims();
        let width = (columns - streams * experts) / experts;
        let parts = graph.split(&joint, &[vec![width; experts], vec![experts; streams]].concat());
        let (first, logits) = parts.split_at(experts);
        let further = |(expert, first): (usize, &Value)| {
            let first = graph.relu(first);
            match &self.experts {
                None => first,
                Some(rest) => rest.export(graph, &format!("{path}.experts"), expert, first, &[]),
            }
        };
        let outputs: Vec<Value> = first.iter().enumerate().map(further).collect();
        logits.iter().enumerate().map(|(stream, logits)| export_mix(graph, logits, &outputs, stream, specific)).collect()
    }
}

/// The nodes of a stream: what its gate takes of the experts that it sees.
fn export_mix(graph: &mut Graph, logits: &Value, experts: &[Value], stream: usize, specific: usize) -> Value {
    let sees = |expert: usize| stream == TASKS || expert / specific == stream || expert >= TASKS * specific;
    let mask = (0..experts.len()).map(|expert| if sees(expert) { 0.0 } else { HIDDEN }).collect();
    let mask = graph.constant(&format!("ple.mask.{stream}"), mask, &[experts.len()]);
    let logits = graph.add(logits, &mask);
    let gates = graph.softmax(&logits);
    let gates = graph.split(&gates, &vec![1; experts.len()]);
    let seen: Vec<Value> =
        (0..experts.len()).filter(|&expert| sees(expert)).map(|expert| graph.mul(&gates[expert], &experts[expert])).collect();
    seen.into_iter().reduce(|sum, more| graph.add(&sum, &more)).unwrap_or_else(|| logits.clone())
}

/// The outputs of gates `[streams, samples, experts]` over experts `[experts, samples, width]`.
fn mix_stacked(gates: Tensor<3>, experts: Tensor<3>) -> Tensor<3> {
    let ([streams, samples, _], [count, _, width]) = (gates.dims(), experts.dims());
    mix(gates, experts, Mix { streams, samples, experts: count, width, wide: false })
}

impl Level {
    fn new(init: &Init, sizes: &PleSizes, depth: usize, inputs: usize) -> Self {
        let (experts, streams) = (sizes.experts(), sizes.streams(depth));
        Self {
            experts: Mlp::new(init, &format!("ple.{depth}.experts"), experts, inputs, &sizes.levels[depth], true),
            gates: Linear::new(init, &format!("ple.{depth}.gates"), streams, inputs, experts),
            mask: constant(init, sizes.mask(depth), [streams, 1, experts]),
            specific: sizes.specific,
            shared: sizes.shared,
        }
    }

    /// The nodes of its streams from those of the level before.
    fn export(&self, graph: &mut Graph, path: &str, streams: Vec<Value>) -> Vec<Value> {
        let [gates, _, experts] = self.mask.dims();
        let of_expert = |expert: usize| streams[(expert / self.specific).min(TASKS)].clone();
        let outputs: Vec<Value> =
            (0..experts).map(|expert| self.experts.export(graph, &format!("{path}.experts"), expert, of_expert(expert), &[])).collect();
        let mix = |stream: usize| {
            let logits = Linear::export(graph, &format!("{path}.gates"), stream, &streams[stream]);
            export_mix(graph, &logits, &outputs, stream, self.specific)
        };
        (0..gates).map(mix).collect()
    }

    /// The input of each expert: its own stream's output.
    fn expert_inputs(&self, streams: &Tensor<3>) -> Tensor<3> {
        let [count, samples, width] = streams.dims();
        if self.specific == 1 && self.shared == 1 {
            return streams.clone();
        }
        let repeated = (0..count).map(|stream| {
            let copies = if stream + 1 == count { self.shared } else { self.specific };
            streams.clone().slice([stream..stream + 1]).expand([copies, samples, width])
        });
        Tensor::cat(repeated.collect(), 0)
    }

    fn forward(&self, streams: Tensor<3>) -> LevelOutput {
        let experts = self.experts.forward(self.expert_inputs(&streams));
        let [gated, _, _] = self.mask.dims();
        // The last level has no shared gate, so its shared stream feeds experts only.
        let gate_inputs = if gated < streams.dims()[0] { streams.slice([0..gated]) } else { streams };
        let gates = softmax(self.gates.forward(gate_inputs) + self.mask.val(), 2);
        LevelOutput { streams: mix_stacked(gates.clone(), experts), gates }
    }
}

impl Ple {
    /// A PLE over so many features of a request and of a candidate. For `fan_in` see [`Joint::new`].
    pub fn new(init: &Init, sizes: &PleSizes, inputs: [usize; 2], fan_in: usize) -> Self {
        let width = |depth: usize| sizes.levels[depth].last().copied().unwrap_or(1);
        let levels = (1..sizes.levels.len()).map(|depth| Level::new(init, sizes, depth, width(depth - 1))).collect();
        let tower: Vec<usize> = sizes.tower.iter().copied().chain([1]).collect();
        Self {
            first: FirstLevel::new(init, sizes, inputs, fan_in),
            levels,
            towers: Mlp::new(init, "ple.towers", sizes.tasks, width(sizes.levels.len() - 1), &tower, false),
        }
    }

    /// `[requests, request inputs]` and `[samples, candidate inputs]` to the tasks' logits, `[tasks, samples, 1]`. `tower_gates` are
    /// factors of the towers' hidden units, layer by layer, `[tasks, samples, width]`; none for those of layers without.
    pub fn forward(&self, request: Tensor<2>, candidate: Tensor<2>, tower_gates: &[Tensor<3>]) -> Tensor<3> {
        let first = self.first.forward(request, candidate).streams;
        self.towers.forward_gated(self.levels.iter().fold(first, |streams, level| level.forward(streams).streams), tower_gates)
    }

    /// The nodes of its logits, one `[requests, candidates, 1]` a task, from `[requests, 1, request inputs]` and `[requests, candidates,
    /// candidate inputs]`. `specific` experts are each task's own, and `tower_gates` are factors layer by layer and task by task.
    pub fn export(
        &self,
        graph: &mut Graph,
        path: &str,
        specific: usize,
        (request, candidate): (&Value, &Value),
        tower_gates: &[Vec<Value>],
    ) -> [Value; TASKS] {
        let mut streams = self.first.export(graph, &format!("{path}.first"), specific, request, candidate);
        for (depth, level) in self.levels.iter().enumerate() {
            streams = level.export(graph, &format!("{path}.levels.{depth}"), streams);
        }
        std::array::from_fn(|task| {
            let gates: Vec<Value> = tower_gates.iter().map(|of_layer| of_layer[task].clone()).collect();
            self.towers.export(graph, &format!("{path}.towers"), task, streams[task].clone(), &gates)
        })
    }

    /// Every level's output in turn, for tests and for showing the gates.
    pub fn levels(&self, request: Tensor<2>, candidate: Tensor<2>) -> Vec<LevelOutput> {
        let mut outputs = vec![self.first.forward(request, candidate)];
        for (depth, level) in self.levels.iter().enumerate() {
            outputs.push(level.forward(outputs[depth].streams.clone()));
        }
        outputs
    }
}
