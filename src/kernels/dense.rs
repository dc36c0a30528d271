//! Dense layers, whose backward pass sums over the batch: burn gives one unit of a GPU a whole sum, which a large card waits for.

mod cpu;
mod gpu;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, binary, unary};
use burn::backend::fusion::{Fusion, FusionBackend};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};

use super::graph::finish;

/// Forwards burn's own operations, which its fusion knows.
#[backend_extension(Flex, Cube, Autodiff)]
trait DenseKernels: Backend {
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(x, weight)
    }

    fn shifted(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_add(x, bias)
    }

    fn scaled(x: FloatTensor<Self>, scale: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_mul(x, scale)
    }
}

impl<B: FusionBackend + DenseKernels> DenseKernels for Fusion<B> {}

#[backend_extension(Flex, Cube, Fusion, Autodiff)]
trait MeanKernels: Backend {
    #[fusion(dtype = x, shape = Shape::new([1]))]
    fn mean(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

#[backend_extension(Flex, Cube, Fusion)]
trait BatchSums: Backend {
    #[fusion(dtype = x, shape = summed(x))]
    fn sum_samples(x: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = Shape::new([x[0], 1]))]
    fn sum_rows(x: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = weights(x, grad))]
    fn product_grad_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The shape with one sample.
fn summed(x: &Shape) -> Shape {
    let mut shape = x.clone();
    let samples = shape.num_dims() - 2;
    shape[samples] = 1;
    shape
}

/// The shape of the weights between `x` `[.., samples, inputs]` and `grad` `[.., samples, outputs]`.
fn weights(x: &Shape, grad: &Shape) -> Shape {
    let mut shape = grad.clone();
    let last = shape.num_dims() - 1;
    shape[last - 1] = x[last];
    shape
}

#[derive(Debug)]
struct ProductBackward;

impl<B: DenseKernels + BatchSums> Backward<B, 2> for ProductBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (x, weight) = ops.state;
        let in_x = |grad| B::product(grad, B::float_transpose(weight));
        let in_weight = |grad| B::product_grad_weight(x, grad);
        binary::<B, _, _>(ops.parents, ops.node, grads, in_x, in_weight);
    }
}

#[derive(Debug)]
struct ShiftedBackward;

impl<B: BatchSums> Backward<B, 2> for ShiftedBackward {
    type State = ();

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        binary::<B, _, _>(ops.parents, ops.node, grads, |grad| grad, B::sum_samples);
    }
}

#[derive(Debug)]
struct ScaledBackward;

impl<B: BatchSums> Backward<B, 2> for ScaledBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (x, scale) = ops.state;
        let is_of_columns = scale.shape()[0] == 1;
        let in_x = |grad| B::float_mul(grad, scale);
        let in_scale = |grad| {
            let products = B::float_mul(grad, x);
            if is_of_columns { B::sum_samples(products) } else { B::sum_rows(products) }
        };
        binary::<B, _, _>(ops.parents, ops.node, grads, in_x, in_scale);
    }
}

impl<B: DenseKernels + BatchSums, C: CheckpointStrategy> DenseKernels for Autodiff<B, C> {
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = ProductBackward.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful();
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        finish(prepared, B::product(x.clone(), weight.clone()), (x, weight))
    }

    fn shifted(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = ShiftedBackward.prepare::<C>([x.node(), bias.node()]).compute_bound().stateful();
        finish(prepared, B::shifted(x.into_primitive(), bias.into_primitive()), ())
    }

    fn scaled(x: FloatTensor<Self>, scale: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = ScaledBackward.prepare::<C>([x.node(), scale.node()]).compute_bound().stateful();
        let (x, scale) = (x.into_primitive(), scale.into_primitive());
        finish(prepared, B::scaled(x.clone(), scale.clone()), (x, scale))
    }
}

#[derive(Debug)]
struct MeanBackward;

impl<B: Backend> Backward<B, 1> for MeanBackward {
    type State = Shape;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let shape = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |grad| {
            let share = 1.0 / shape.num_elements() as f64;
            let one = Shape::new_raw(vec![1; shape.num_dims()].into());
            B::float_expand(B::float_reshape(B::float_mul_scalar(grad, share.into()), one), shape)
        });
    }
}

impl<B: MeanKernels, C: CheckpointStrategy> MeanKernels for Autodiff<B, C> {
    fn mean(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = MeanBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let x = x.into_primitive();
        let shape = x.shape();
        finish(prepared, B::mean(x), shape)
    }
}

/// `x W` of `[.., samples, inputs]` and `[.., inputs, outputs]`, alike in what stands before. Differentiable in both.
pub fn product<const D: usize>(x: Tensor<D>, weight: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::product(x.into_dispatch(), weight.into_dispatch()))
}

/// `x W + b`, as [`product`], the bias `[.., 1, outputs]`. Differentiable in all three.
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<D>, bias: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::shifted(product(x, weight).into_dispatch(), bias.into_dispatch()))
}

/// `x` `[samples, columns]` times a scale of each column `[1, columns]`, or of each row `[samples, 1]`. Differentiable in both.
pub fn scaled(x: Tensor<2>, scale: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::scaled(x.into_dispatch(), scale.into_dispatch()))
}

/// The mean of all numbers, `[1]`. Differentiable.
pub fn mean<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::mean(x.into_dispatch()))
}

/// The sum over the samples of `[.., samples, columns]`, `[.., 1, columns]`. Off the graph.
pub fn sum_samples<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::sum_samples(x.into_dispatch()))
}
