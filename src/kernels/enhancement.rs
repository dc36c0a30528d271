//! The form in which enhancement vectors reach the ranker: behind a gate (A11), centred and normalised, with their fit to the other
//! side (A12).

mod cpu;
mod gpu;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, binary, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};

use super::graph::finish;

/// Keeps the root mean square of a zero vector from dividing by zero.
const TINY: f32 = 1e-6;

#[backend_extension(Flex, Cube, Fusion, Autodiff)]
trait EnhancementKernels: Backend {
    #[fusion(dtype = e, shape = Shape::new([e[1], e[0] * e[2]]))]
    fn rms_norm(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = normed, shape = Shape::new([normed[1] / other[1], other[0]]))]
    fn fit(normed: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = vectors, shape = vectors)]
    fn gated(gate: FloatTensor<Self>, vectors: FloatTensor<Self>) -> FloatTensor<Self>;
}

#[backend_extension(Flex, Cube, Fusion)]
trait EnhancementGradients: Backend {
    #[fusion(dtype = e, shape = e)]
    fn rms_norm_grad(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = grad, shape = Shape::new([*requests, grad[0] * other[1]]))]
    fn fit_grad(other: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self>;

    /// `2 sigmoid(gate)`
    #[fusion(dtype = gate, shape = gate)]
    fn delta(gate: FloatTensor<Self>) -> FloatTensor<Self>;
}

#[derive(Debug)]
struct RmsNormBackward;

impl<B: EnhancementGradients> Backward<B, 1> for RmsNormBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (e, mean, open) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::rms_norm_grad(e, mean, open, grad));
    }
}

#[derive(Debug)]
struct FitBackward;

impl<B: EnhancementGradients> Backward<B, 1> for FitBackward {
    type State = (FloatTensor<B>, usize);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (other, requests) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::fit_grad(other, grad, requests));
    }
}

#[derive(Debug)]
struct GatedBackward;

impl<B: EnhancementGradients> Backward<B, 2> for GatedBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (delta, vectors) = ops.state;
        let sigmoid = B::float_mul_scalar(delta.clone(), 0.5.into());
        let in_gate = |grad| B::sigmoid_backward(sigmoid, B::float_mul_scalar(B::float_mul(grad, vectors), 2.into()));
        let in_vectors = |grad| B::float_mul(grad, delta);
        binary::<B, _, _>(ops.parents, ops.node, grads, in_gate, in_vectors);
    }
}

impl<B: EnhancementKernels + EnhancementGradients, C: CheckpointStrategy> EnhancementKernels for Autodiff<B, C> {
    fn rms_norm(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = RmsNormBackward.prepare::<C>([e.node()]).compute_bound().stateful();
        let (e, mean, open) = (e.into_primitive(), mean.into_primitive(), open.into_primitive());
        finish(prepared, B::rms_norm(e.clone(), mean.clone(), open.clone()), (e, mean, open))
    }

    fn fit(normed: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = FitBackward.prepare::<C>([normed.node()]).compute_bound().stateful();
        let (normed, other) = (normed.into_primitive(), other.into_primitive());
        let requests = normed.shape()[0];
        finish(prepared, B::fit(normed, other.clone()), (other, requests))
    }

    fn gated(gate: FloatTensor<Self>, vectors: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = GatedBackward.prepare::<C>([gate.node(), vectors.node()]).compute_bound().stateful();
        let (delta, vectors) = (B::delta(gate.into_primitive()), vectors.into_primitive());
        finish(prepared, B::float_mul(delta.clone(), vectors.clone()), (delta, vectors))
    }
}

/// Enhancement vectors, normalised (A12): `x / sqrt(mean(x^2) + 1e-6)` of `x = (e - mean) open`, the mean over a vector's components,
/// from vectors `e` `[vectors, n, m]`, their `mean` `[vectors, 1, m]` and whether each is `open` `[vectors, n, 1]`: where that is 0
/// the output is. The vectors of each of the `n` side by side, `[n, vectors * m]`. Differentiable in `e`. A root mean square and not
/// a full layer norm: the zero of a user whose clusters are of no use to them stays zero.
pub fn rms_norm(e: Tensor<3>, mean: Tensor<3>, open: Tensor<3>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::rms_norm(e.into_dispatch(), mean.into_dispatch(), open.into_dispatch()))
}

/// How each sample of the other side fits the enhancement vectors: `out[v, s] = mean_k normed[r, v m + k] other[s, k]`, `[vectors,
/// samples]`, from vectors `[requests, vectors * m]` and the other side's `[samples, m]`, the samples of request `r` in a row.
/// Differentiable in `normed`.
pub fn fit(normed: Tensor<2>, other: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fit(normed.into_dispatch(), other.into_dispatch()))
}

/// `2 sigmoid(gate) vectors` (A11), all of one shape. Differentiable in both. It remembers the sigmoid: burn's computes it again in
/// the backward pass, which was a fiftieth of DUIA's step.
pub fn gated(gate: Tensor<3>, vectors: Tensor<3>) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::gated(gate.into_dispatch(), vectors.into_dispatch()))
}
