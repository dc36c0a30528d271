//! PLE, Progressive Layered Extraction (Tang et al. 2020): the ranker.
//!
//! Level `j` of `N`: `g(k, j) = softmax(W g(k, j-1)) . [own experts of k; shared experts]`. The shared gate of levels
//! `1..N-1` selects among all experts of its level; the last level has none. A gate is one linear map, no batch norm.
//! All experts of a level are one stacked product, all its gates another: a gate that may not see an expert has a logit
//! of -1e9 there, whose softmax is exactly 0, forwards and backwards.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData, activation::softmax};

use super::dense::{Init, Linear, Mlp};
use crate::kernels::mix;

/// What a gate adds to the logit of an expert that it may not see. `exp` of it is 0 in f32.
const HIDDEN: f32 = -1e9;

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

/// One level: its experts and its gates.
#[derive(Module, Debug)]
pub struct Level {
    /// All experts, in the order task 1's, task 2's, …, shared.
    pub experts: Mlp,
    /// All gates: the tasks', then the shared one where there is one.
    pub gates: Linear,
    /// `[streams out, 1, experts]`: 0 or [`HIDDEN`]; a constant.
    mask: Param<Tensor<3>>,
    specific: usize,
    shared: usize,
    last: bool,
}

/// The ranker: levels, then a tower for each task.
#[derive(Module, Debug)]
pub struct Ple {
    /// Levels of experts and gates.
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

impl Level {
    fn new(init: &Init, name: &str, sizes: &PleSizes, inputs: usize, widths: &[usize], last: bool) -> Self {
        let experts = sizes.tasks * sizes.specific + sizes.shared;
        let streams = if last { sizes.tasks } else { sizes.tasks + 1 };
        let sees = |stream: usize, expert: usize| {
            stream == sizes.tasks || expert / sizes.specific == stream || expert >= sizes.tasks * sizes.specific
        };
        let mask: Vec<f32> = (0..streams).flat_map(|s| (0..experts).map(move |e| if sees(s, e) { 0.0 } else { HIDDEN })).collect();
        Self {
            experts: Mlp::new(init, &format!("{name}.experts"), experts, inputs, widths, true),
            gates: Linear::new(init, &format!("{name}.gates"), streams, inputs, experts),
            mask: Param::from_data(TensorData::new(mask, [streams, 1, experts]), init.device()).set_require_grad(false),
            specific: sizes.specific,
            shared: sizes.shared,
            last,
        }
    }

    /// The input of each expert: one for all at the first level, later its own stream's.
    fn expert_inputs(&self, streams: &Tensor<3>) -> Tensor<3> {
        let [count, samples, width] = streams.dims();
        if count == 1 || (self.specific == 1 && self.shared == 1) {
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
        let [count, _, _] = streams.dims();
        // The last level has no shared gate, so its shared stream feeds experts only.
        let gate_inputs = if self.last && count > 1 { streams.slice([0..count - 1]) } else { streams };
        let gates = softmax(self.gates.forward(gate_inputs) + self.mask.val(), 2);
        LevelOutput { streams: mix(gates.clone(), experts), gates }
    }
}

impl Ple {
    /// A PLE over `inputs` features.
    pub fn new(init: &Init, sizes: &PleSizes, inputs: usize) -> Self {
        let mut levels = Vec::with_capacity(sizes.levels.len());
        let mut from = inputs;
        for (depth, widths) in sizes.levels.iter().enumerate() {
            let last = depth + 1 == sizes.levels.len();
            levels.push(Level::new(init, &format!("ple.{depth}"), sizes, from, widths, last));
            from = widths.last().copied().unwrap_or(from);
        }
        let tower: Vec<usize> = sizes.tower.iter().copied().chain([1]).collect();
        Self { levels, towers: Mlp::new(init, "ple.towers", sizes.tasks, from, &tower, false) }
    }

    /// `[samples, inputs]` to the tasks' logits, `[tasks, samples, 1]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<3> {
        let streams = self.levels.iter().fold(x.unsqueeze_dim(0), |streams, level| level.forward(streams).streams);
        self.towers.forward(streams)
    }

    /// Every level's output in turn, for tests and for showing the gates.
    pub fn levels(&self, x: Tensor<2>) -> Vec<LevelOutput> {
        let mut outputs: Vec<LevelOutput> = Vec::with_capacity(self.levels.len());
        for level in &self.levels {
            let input = outputs.last().map_or_else(|| x.clone().unsqueeze_dim(0), |output| output.streams.clone());
            outputs.push(level.forward(input));
        }
        outputs
    }
}
