//! DIN's activation unit over a user's window of behaviours (Zhou et al. 2018, section 4.3): a small network looks at a candidate and
//! a behaviour together and says how much the behaviour counts.

mod cpu;
mod gpu;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Int, Shape, Tensor};

use super::attention::{WindowKernels, bias_grad, window};
use super::graph::{finish, register};

#[backend_extension(Flex, Cube, Fusion, Autodiff)]
trait ActivationKernels: Backend {
    #[fusion(dtype = queries, shape = queries)]
    fn activation_unit(
        queries: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        unit: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

#[backend_extension(Flex, Cube, Fusion)]
trait UnitKernels: Backend {
    /// The weights of [`activation_unit`], `[queries, slots]`.
    #[fusion(dtype = queries, shape = Shape::new([queries[0], ids[1]]))]
    fn unit_weights(
        queries: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        unit: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self>;

    /// The gradients of [`activation_unit`] in its queries, offsets, unit, behaviours and weights.
    #[allow(clippy::type_complexity, reason = "the macro of backends takes a plain tuple of tensors")]
    #[fusion(meta = |queries, offsets, unit, behaviours, weights, _ids, _grad| {
        (queries.clone(), offsets.clone(), unit.clone(), behaviours.clone(), weights.clone())
    })]
    fn unit_grad(
        queries: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        unit: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        ids: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

#[derive(Debug)]
struct UnitBackward;

impl<B: UnitKernels> Backward<B, 5> for UnitBackward {
    /// Queries, offsets, unit, behaviours and weights; ids.
    type State = ([FloatTensor<B>; 5], IntTensor<B>);

    fn backward(self, ops: Ops<Self::State, 5>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([queries, offsets, unit, behaviours, weights], ids) = ops.state;
        let requests = behaviours.shape()[0];
        let (in_queries, in_offsets, in_unit, in_behaviours, in_weights) =
            B::unit_grad(queries, offsets, unit, behaviours, weights, ids, grad);
        let in_bias = ops.parents[4].is_some().then(|| bias_grad::<B>(in_weights, requests));
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B, 5>(grads, parents, [Some(in_queries), Some(in_offsets), Some(in_unit), Some(in_behaviours), in_bias]);
    }
}

impl<B: UnitKernels + WindowKernels, C: CheckpointStrategy> ActivationKernels for Autodiff<B, C> {
    fn activation_unit(
        queries: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        unit: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [queries.node(), offsets.node(), unit.node(), behaviours.node(), bias.node()];
        let prepared = UnitBackward.prepare::<C>(nodes).compute_bound().stateful();
        let [queries, offsets, unit, behaviours, bias] = [queries, offsets, unit, behaviours, bias].map(|tensor| tensor.into_primitive());
        let weights = B::unit_weights(queries.clone(), offsets.clone(), unit.clone(), behaviours.clone(), bias, ids.clone());
        let output = B::window_sum(weights.clone(), behaviours.clone());
        finish(prepared, output, ([queries, offsets, unit, behaviours, weights], ids))
    }
}

/// DIN's activation unit with `a` hidden units, and the sum that it weighs.
///
/// ```text
/// z[q, h, :] = offsets[q] + behaviours[r, h] B + (queries[q] * behaviours[r, h]) P        (* element by element)
/// w[q, h]    = relu(z[q, h]) . u + bias[r, h]
/// out[q, :]  = sum_h w[q, h] behaviours[r, h, :]
/// ```
///
/// It is the unit of the public code: a layer over `[query; behaviour; query - behaviour; query * behaviour]` with the weights `[W1; W2;
/// W3; W4]` is `offsets = queries (W1 + W3) + b`, a linear layer of the caller that runs once a candidate, `B = W2 - W3` and `P = W4`.
/// As in the paper the weights are not normalised, so that their sum tells how strong an interest is; its PReLU (Dice) is a ReLU here.
///
/// - `queries` `[queries, d]`, `behaviours` `[requests, slots, d]`, `bias` and `ids` `[requests, slots]`: as in [`super::attend`].
/// - `offsets` `[queries, a]`.
/// - `unit` `[2 d + 1, a]`: the rows of `B`, those of `P`, then `u`.
///
/// Gives `[queries, d]`. Differentiable in all floats. The slope of ReLU at 0 is 0. Padding has a weight of exactly 0, and so are
/// the gradients of its behaviour and bias.
///
/// # Panics
/// Where the shapes do not belong together.
pub fn activation_unit(
    queries: Tensor<2>,
    offsets: Tensor<2>,
    unit: Tensor<2>,
    behaviours: Tensor<3>,
    bias: Tensor<2>,
    ids: Tensor<2, Int>,
) -> Tensor<2> {
    let width = window(&queries, &behaviours, &bias, &ids);
    let ([count, _], [_, hidden]) = (queries.dims(), unit.dims());
    assert_eq!(unit.dims(), [2 * width + 1, hidden], "a unit is [2 d + 1, a]");
    assert_eq!(offsets.dims(), [count, hidden], "offsets are [queries, a]");
    Tensor::from_dispatch(Dispatch::activation_unit(
        queries.into_dispatch(),
        offsets.into_dispatch(),
        unit.into_dispatch(),
        behaviours.into_dispatch(),
        bias.into_dispatch(),
        ids.into_dispatch(),
    ))
}
