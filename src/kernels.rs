//! The kernels that burn has no operation for, or for which it takes a dozen, each written twice: loops for the CPU (`loops`, to
//! which `flex` gives the tensors) and CubeCL for every GPU (`cube`). Both walk samples in the same order and use no float atomics,
//! so a step is deterministic.
//!
//! The functions here take and give burn tensors; which of the two runs follows from the tensors' device.

mod cube;
mod flex;
mod loops;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Int, Shape, Tensor};

pub use crate::data::rows::Bags;

use burn::backend::autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};

/// Two levels of centres in one tensor: `first` level-1 rows, then `children` rows for each of them in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Levels {
    /// Level-1 centres.
    pub first: usize,
    /// Level-2 centres of each level-1 centre.
    pub children: usize,
}

impl Levels {
    /// Rows of both levels.
    pub fn rows(self) -> usize {
        self.first * (1 + self.children)
    }
}

/// What becomes of a row of a table that no gradient writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowRule {
    /// The mean of its samples' values is added.
    AddMean,
    /// Its last sample's values take its place.
    Replace,
}

/// Sizes of a weighted sum of experts, and how gates and experts lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mix {
    /// Gates, each with an output stream of its own.
    pub streams: usize,
    /// Samples.
    pub samples: usize,
    /// Experts.
    pub experts: usize,
    /// Width of an expert's output.
    pub width: usize,
    /// Whether a sample's gates and experts lie side by side (`[samples, streams, experts]`, `[samples, experts, width]`:
    /// the columns of one wide product) instead of in stacks (`[streams, samples, experts]`, `[experts, samples, width]`).
    pub wide: bool,
}

impl Mix {
    fn gates(self) -> [usize; 3] {
        if self.wide { [self.samples, self.streams, self.experts] } else { [self.streams, self.samples, self.experts] }
    }

    fn experts(self) -> [usize; 3] {
        if self.wide { [self.samples, self.experts, self.width] } else { [self.experts, self.samples, self.width] }
    }
}

/// What one Adam step needs beside the gradient (Kingma and Ba 2014), the bias corrections already inverted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub learning_rate: f32,
    /// `1 / (1 - beta_1^t)`.
    pub correction_1: f32,
    /// `1 / (1 - beta_2^t)`.
    pub correction_2: f32,
}

/// Decay of the first moment.
pub const BETA_1: f32 = 0.9;
/// Decay of the second moment.
pub const BETA_2: f32 = 0.999;
/// The paper's reference 34 says 1e-8; burn's default is 1e-5.
pub const EPSILON: f32 = 1e-8;
/// Keeps the root mean square of a zero vector from dividing by zero.
const TINY: f32 = 1e-6;

impl AdamStep {
    /// The step number `t`, counted from 1.
    pub fn new(learning_rate: f64, t: u64) -> Self {
        let correction = |beta: f32| (1.0 / (1.0 - libm::pow(f64::from(beta), t as f64))) as f32;
        Self { learning_rate: learning_rate as f32, correction_1: correction(BETA_1), correction_2: correction(BETA_2) }
    }
}

/// The row-sparse tables and the clustering: nothing here is on the autodiff graph.
#[backend_extension(Flex, Cube, Fusion)]
trait RowKernels: Backend {
    #[fusion(dtype = table, shape = Shape::new([ids[0], bags.fields() * width]))]
    fn pool_rows(table: FloatTensor<Self>, ids: IntTensor<Self>, bags: Bags, width: usize) -> FloatTensor<Self>;

    #[fusion(dtype = table, shape = table)]
    fn adam_rows(
        table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        weights: FloatTensor<Self>,
        step: AdamStep,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = kind, shape = Shape::new([v[0], 2]))]
    fn nearest(v: FloatTensor<Self>, centres: FloatTensor<Self>, kind: IntTensor<Self>, levels: Levels, cosine: bool) -> IntTensor<Self>;

    #[fusion(dtype = v, shape = Shape::new([centres[0] * (v[1] + 2)]))]
    fn centre_pull(
        v: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        assigned: IntTensor<Self>,
        weights: FloatTensor<Self>,
        levels: Levels,
        sigma_in_graph: bool,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = table, shape = table)]
    fn write_rows(
        table: FloatTensor<Self>,
        values: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        rule: RowRule,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = centres, shape = Shape::new([ids[0] * (2 * centres[1] + 1)]))]
    fn pool_centres(
        centres: FloatTensor<Self>,
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = entries, shape = Shape::new([own[0], 3]))]
    fn count_shared(
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        own: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self>;
}

/// What is on the autodiff graph: the weighted sum of experts, and what becomes of vectors that memories lend.
#[backend_extension(Flex, Cube, Fusion, Autodiff)]
trait GraphKernels: Backend {
    #[fusion(dtype = experts, shape = Shape::new([mix.streams, mix.samples, mix.width]))]
    fn mix(gates: FloatTensor<Self>, experts: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self>;

    #[fusion(dtype = gates, shape = Shape::new(mix.experts()))]
    fn mix_grad_experts(gates: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self>;

    #[fusion(dtype = grad, shape = Shape::new(mix.gates()))]
    fn mix_grad_gates(experts: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self>;

    #[fusion(dtype = e, shape = Shape::new([e[1], e[0] * e[2]]))]
    fn rms_norm(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = e, shape = e)]
    fn rms_norm_grad(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = normed, shape = Shape::new([normed[1] / other[1], other[0]]))]
    fn fit(normed: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = grad, shape = Shape::new([*requests, grad[0] * other[1]]))]
    fn fit_grad(other: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self>;

    #[fusion(dtype = items, shape = Shape::new([items[0], 1]))]
    fn dots(users: FloatTensor<Self>, items: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = grad, shape = Shape::new([grad[0], users[1]]))]
    fn dots_grad_items(users: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = grad, shape = Shape::new([*requests, items[1]]))]
    fn dots_grad_users(items: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self>;

    #[fusion(dtype = gate, shape = gate)]
    fn delta(gate: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = lent, shape = lent)]
    fn gated(gate: FloatTensor<Self>, lent: FloatTensor<Self>) -> FloatTensor<Self>;
}

#[derive(Debug)]
struct MixBackward;

impl<B: GraphKernels> Backward<B, 2> for MixBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, Mix);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [gates_node, experts_node] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (gates, experts, mix) = ops.state;
        if let Some(node) = gates_node {
            grads.register::<B>(node.id, B::mix_grad_gates(experts, grad.clone(), mix));
        }
        if let Some(node) = experts_node {
            grads.register::<B>(node.id, B::mix_grad_experts(gates, grad, mix));
        }
    }
}

#[derive(Debug)]
struct RmsNormBackward;

impl<B: GraphKernels> Backward<B, 1> for RmsNormBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [parent] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (e, mean, open) = ops.state;
        if let Some(node) = parent {
            grads.register::<B>(node.id, B::rms_norm_grad(e, mean, open, grad));
        }
    }
}

#[derive(Debug)]
struct FitBackward;

impl<B: GraphKernels> Backward<B, 1> for FitBackward {
    type State = (FloatTensor<B>, usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [parent] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (other, requests) = ops.state;
        if let Some(node) = parent {
            grads.register::<B>(node.id, B::fit_grad(other, grad, requests));
        }
    }
}

#[derive(Debug)]
struct DotsBackward;

impl<B: GraphKernels> Backward<B, 2> for DotsBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [users_node, items_node] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (users, items) = ops.state;
        if let Some(node) = users_node {
            let requests = users.shape()[0];
            grads.register::<B>(node.id, B::dots_grad_users(items, grad.clone(), requests));
        }
        if let Some(node) = items_node {
            grads.register::<B>(node.id, B::dots_grad_items(users, grad));
        }
    }
}

#[derive(Debug)]
struct GatedBackward;

impl<B: GraphKernels> Backward<B, 2> for GatedBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [gate_node, lent_node] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (delta, lent) = ops.state;
        if let Some(node) = gate_node {
            let in_delta = B::float_mul(grad.clone(), lent);
            let in_sigmoid = B::float_mul_scalar(in_delta, 2.into());
            let sigmoid = B::float_mul_scalar(delta.clone(), 0.5.into());
            grads.register::<B>(node.id, B::sigmoid_backward(sigmoid, in_sigmoid));
        }
        if let Some(node) = lent_node {
            grads.register::<B>(node.id, B::float_mul(grad, delta));
        }
    }
}

impl<B: GraphKernels, C: CheckpointStrategy> GraphKernels for Autodiff<B, C> {
    fn mix(gates: FloatTensor<Self>, experts: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        match MixBackward.prepare::<C>([gates.node(), experts.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (gates, experts) = (gates.into_primitive(), experts.into_primitive());
                let output = B::mix(gates.clone(), experts.clone(), mix);
                prep.finish((gates, experts, mix), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::mix(gates.into_primitive(), experts.into_primitive(), mix)),
        }
    }

    fn mix_grad_experts(_gates: FloatTensor<Self>, _grad: FloatTensor<Self>, _mix: Mix) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }

    fn mix_grad_gates(_experts: FloatTensor<Self>, _grad: FloatTensor<Self>, _mix: Mix) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }

    fn rms_norm(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>) -> FloatTensor<Self> {
        let (mean, open) = (mean.into_primitive(), open.into_primitive());
        match RmsNormBackward.prepare::<C>([e.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let e = e.into_primitive();
                let output = B::rms_norm(e.clone(), mean.clone(), open.clone());
                prep.finish((e, mean, open), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::rms_norm(e.into_primitive(), mean, open)),
        }
    }

    fn rms_norm_grad(
        _e: FloatTensor<Self>,
        _mean: FloatTensor<Self>,
        _open: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }

    fn fit(normed: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        let other = other.into_primitive();
        match FitBackward.prepare::<C>([normed.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let normed = normed.into_primitive();
                let requests = normed.shape()[0];
                let output = B::fit(normed, other.clone());
                prep.finish((other, requests), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::fit(normed.into_primitive(), other)),
        }
    }

    fn fit_grad(_other: FloatTensor<Self>, _grad: FloatTensor<Self>, _requests: usize) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }

    fn dots(users: FloatTensor<Self>, items: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = DotsBackward.prepare::<C>([users.node(), items.node()]).compute_bound().stateful();
        let (users, items) = (users.into_primitive(), items.into_primitive());
        let output = B::dots(users.clone(), items.clone());
        match prepared {
            OpsKind::Tracked(prep) => prep.finish((users, items), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn dots_grad_items(_users: FloatTensor<Self>, _grad: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }

    fn dots_grad_users(_items: FloatTensor<Self>, _grad: FloatTensor<Self>, _requests: usize) -> FloatTensor<Self> {
        unreachable!("the backward pass runs on the inner backend")
    }

    fn delta(_gate: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("only the inner backend is asked for it")
    }

    fn gated(gate: FloatTensor<Self>, lent: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = GatedBackward.prepare::<C>([gate.node(), lent.node()]).compute_bound().stateful();
        let (delta, lent) = (B::delta(gate.into_primitive()), lent.into_primitive());
        let output = B::float_mul(delta.clone(), lent.clone());
        match prepared {
            OpsKind::Tracked(prep) => prep.finish((delta, lent), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// Rows of `table` `[rows, 3 * width]` (weights, then Adam's two moments) for `ids` `[samples, slots]`: the weights of
/// single ids as they are, those of a bag averaged over its ids. `[samples, fields * width]`.
pub fn pool_rows(table: &Tensor<2>, ids: Tensor<2, Int>, bags: Bags, width: usize) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::pool_rows(table.clone().into_dispatch(), ids.into_dispatch(), bags, width))
}

/// One step of lazy Adam on the touched rows of `table` `[rows, 3 * width]`, in place where nobody else holds it.
///
/// `grad` `[samples, fields * width]` is the gradient of the pooled fields. `plan` `[2 n + 1]` holds the touched rows
/// (negative: none, padding) and then the bounds of each row's contributions: positions `sample * fields + field` in
/// `positions`, with their `weights`. Rows that are not in the plan do not move and their moments do not decay.
pub fn adam_rows(
    table: Tensor<2>,
    grad: Tensor<2>,
    plan: Tensor<1, Int>,
    positions: Tensor<1, Int>,
    weights: Tensor<1>,
    step: AdamStep,
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::adam_rows(
        table.into_dispatch(),
        grad.into_dispatch(),
        plan.into_dispatch(),
        positions.into_dispatch(),
        weights.into_dispatch(),
        step,
    ))
}

/// Eq. 2 and 3: for each of `v` `[samples, m]` the most similar level-1 row of `centres` `[levels.rows(), m]` and the
/// most similar of its children, `[samples, 2]` (the second counts children only: `children * parent + child`).
/// `kind` is any integer tensor of the device: it says which integer type the ids take.
pub fn nearest(v: Tensor<2>, centres: Tensor<2>, kind: Tensor<1, Int>, levels: Levels, cosine: bool) -> Tensor<2, Int> {
    Tensor::from_dispatch(Dispatch::nearest(v.into_dispatch(), centres.into_dispatch(), kind.into_dispatch(), levels, cosine))
}

/// What the samples of each centre want of it, and what it cost.
pub struct Pull {
    /// `[levels.rows(), m]`: the sum over its samples of minus half the gradient of Eq. 4 or 5, `sigma (v - mu)` (with
    /// `sigma_in_graph` also minus half of sigma's own, `-(1/2) sigma (1 - sigma) |v - mu|^2 v`).
    pub towards: Tensor<2>,
    /// `[levels.rows()]`: the number of its samples.
    pub count: Tensor<1>,
    /// `[levels.rows()]`: the sum of `sigma |v - mu|^2`, the loss itself.
    pub loss: Tensor<1>,
}

/// Eq. 4 and 5 of vectors `v` `[samples, m]` in the centres `[levels.rows(), m]` that they are `assigned` `[samples, 2]`. Samples with
/// weight 0 do not cluster.
pub fn centre_pull(
    v: Tensor<2>,
    centres: Tensor<2>,
    assigned: Tensor<2, Int>,
    weights: Tensor<1>,
    levels: Levels,
    sigma_in_graph: bool,
) -> Pull {
    let ([_, m], rows) = (v.dims(), levels.rows());
    let flat: Tensor<1> = Tensor::from_dispatch(Dispatch::centre_pull(
        v.into_dispatch(),
        centres.into_dispatch(),
        assigned.into_dispatch(),
        weights.into_dispatch(),
        levels,
        sigma_in_graph,
    ));
    let [of_towards, of_count, of_loss] = [0..rows * m, rows * m..rows * (m + 1), rows * (m + 1)..rows * (m + 2)];
    Pull {
        towards: flat.clone().slice([of_towards]).reshape([rows, m]),
        count: flat.clone().slice([of_count]),
        loss: flat.slice([of_loss]),
    }
}

/// Writes the rows of `table` `[rows, width]` that a plan of single ids names (see [`adam_rows`]), in place where nobody
/// else holds it: each from the `values` `[samples, width]` of those of its samples whose weight in `weights` `[samples]`
/// is above 0. A row without any stays as it is.
pub fn write_rows(
    table: Tensor<2>,
    values: Tensor<2>,
    weights: Tensor<1>,
    plan: Tensor<1, Int>,
    positions: Tensor<1, Int>,
    rule: RowRule,
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::write_rows(
        table.into_dispatch(),
        values.into_dispatch(),
        weights.into_dispatch(),
        plan.into_dispatch(),
        positions.into_dispatch(),
        rule,
    ))
}

/// The mean of the centres that stand for the items of a bag, both levels `[2, samples, m]`, and 1 where the bag has any `[samples,
/// 1]`. `entries` `[items, 2]` is each item's level-2 centre (`children * parent + child`) and the step at which it was given; it
/// counts where that was no earlier than the centre was `born` `[level-2 centres]`. `ids` `[samples, slots]` are the items
/// (negative: padding), `centres` is `[levels.rows(), m]`.
pub fn pool_centres(
    centres: Tensor<2>,
    entries: Tensor<2>,
    born: Tensor<1>,
    ids: Tensor<2, Int>,
    levels: Levels,
) -> (Tensor<3>, Tensor<2>) {
    let ([_, m], [samples, _]) = (centres.dims(), ids.dims());
    let flat: Tensor<1> = Tensor::from_dispatch(Dispatch::pool_centres(
        centres.into_dispatch(),
        entries.into_dispatch(),
        born.into_dispatch(),
        ids.into_dispatch(),
        levels,
    ));
    let means = 2 * samples * m;
    (flat.clone().slice([0..means]).reshape([2, samples, m]), flat.slice([means..means + samples]).reshape([samples, 1]))
}

/// How much of a bag is in a sample's own clusters: `[samples, 3]`, the entries of its bag that stand for its own level-1 centre,
/// for its own level-2 centre, and for any. `entries`, `born` and `ids` `[bags, slots]` are as in [`pool_centres`], `own`
/// `[samples, 2]` as [`nearest`] gives it, the samples of a bag in a row.
pub fn count_shared(entries: Tensor<2>, born: Tensor<1>, ids: Tensor<2, Int>, own: Tensor<2, Int>, levels: Levels) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::count_shared(
        entries.into_dispatch(),
        born.into_dispatch(),
        ids.into_dispatch(),
        own.into_dispatch(),
        levels,
    ))
}

/// What is lent, normalised (A12): `x / sqrt(mean(x^2) + 1e-6)` of `x = (e - mean) open`, the mean over a vector's components, from
/// vectors `e` `[vectors, n, m]`, their `mean` `[vectors, 1, m]` and whether each is `open` `[vectors, n, 1]`: where that is 0 the
/// output is. The vectors of each of the `n` side by side, `[n, vectors * m]`. Differentiable in `e`. A root mean square and not a
/// full layer norm: a stopped user's zero stays zero.
pub fn rms_norm(e: Tensor<3>, mean: Tensor<3>, open: Tensor<3>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::rms_norm(e.into_dispatch(), mean.into_dispatch(), open.into_dispatch()))
}

/// How each sample of the other side fits what is lent: `out[v, s] = mean_k normed[r, v m + k] other[s, k]`, `[vectors, samples]`,
/// from vectors `[requests, vectors * m]` and the other side's `[samples, m]`, the samples of request `r` in a row. Differentiable in
/// `normed`.
pub fn fit(normed: Tensor<2>, other: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fit(normed.into_dispatch(), other.into_dispatch()))
}

/// The dot product of each sample's two vectors, `[samples, 1]`, from users `[requests, m]` and items `[samples, m]`, the samples of a
/// request in a row. Differentiable in both.
pub fn dots(users: Tensor<2>, items: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::dots(users.into_dispatch(), items.into_dispatch()))
}

/// `2 sigmoid(gate) lent` (A11), all of one shape. Differentiable in both. It remembers the sigmoid: burn's computes it again in
/// the backward pass, which was a fiftieth of DUIA's step.
pub fn gated(gate: Tensor<3>, lent: Tensor<3>) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::gated(gate.into_dispatch(), lent.into_dispatch()))
}

/// The outputs of all gates: `out[g, s, :] = sum_e gates[g, s, e] experts[e, s, :]`, `[streams, samples, width]`, with
/// gates and experts laid out as `mix` says. Differentiable in both.
pub fn mix(gates: Tensor<3>, experts: Tensor<3>, mix: Mix) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::mix(gates.into_dispatch(), experts.into_dispatch(), mix))
}
