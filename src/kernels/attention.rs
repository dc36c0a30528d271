//! Target attention over a user's window of behaviours: every candidate asks which of them matter to it.
//!
//! One head needs no projection of the behaviours. With keys `K b` and values `V b`, `(Q q) . (K b) = (K' Q q) . b` and `sum w V b = V
//! sum w b`: a linear layer on the query and one on the output say the same for a fraction of the work, since there are far fewer
//! candidates than behaviours. Several heads are several queries: reshape queries `[samples, heads * d]` to `[samples * heads, d]` and
//! the output back.

mod cpu;
mod gpu;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Int, Shape, Tensor};

use super::graph::{finish, register};

#[backend_extension(Flex, Cube, Fusion, Autodiff)]
trait AttentionKernels: Backend {
    #[fusion(dtype = queries, shape = queries)]
    fn attend(
        queries: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// What [`attend`] and [`super::activation_unit`] are made of.
#[backend_extension(Flex, Cube, Fusion)]
pub(super) trait WindowKernels: Backend {
    /// `softmax(queries . behaviours + bias)` over the slots that are no padding, `[queries, slots]`.
    #[fusion(dtype = queries, shape = Shape::new([queries[0], ids[1]]))]
    fn attention_weights(
        queries: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self>;

    /// `sum_h weights[q, h] behaviours[r, h]`, `[queries, d]`.
    #[fusion(dtype = weights, shape = Shape::new([weights[0], behaviours[2]]))]
    fn window_sum(weights: FloatTensor<Self>, behaviours: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradients of [`attend`] in its queries, its behaviours and the logits `[queries, slots]`.
    #[fusion(meta = |queries, behaviours, weights, _output, _grad| (queries.clone(), behaviours.clone(), weights.clone()))]
    fn attention_grad(
        queries: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        output: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// The gradient of a bias `[requests, slots]` from that of its logits `[queries, slots]`: the sum over a request's queries.
pub(super) fn bias_grad<B: Backend>(logits: FloatTensor<B>, requests: usize) -> FloatTensor<B> {
    let [queries, slots] = logits.shape().dims();
    let by_request = B::float_reshape(logits, Shape::new([requests, queries / requests, slots]));
    B::float_reshape(B::float_sum_dim(by_request, 1), Shape::new([requests, slots]))
}

#[derive(Debug)]
struct AttendBackward;

impl<B: WindowKernels> Backward<B, 3> for AttendBackward {
    /// Queries, behaviours, weights and output.
    type State = [FloatTensor<B>; 4];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [queries, behaviours, weights, output] = ops.state;
        let requests = behaviours.shape()[0];
        let (in_queries, in_behaviours, in_logits) = B::attention_grad(queries, behaviours, weights, output, grad);
        let in_bias = ops.parents[2].is_some().then(|| bias_grad::<B>(in_logits, requests));
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        register::<B, 3>(grads, parents, [Some(in_queries), Some(in_behaviours), in_bias]);
    }
}

impl<B: WindowKernels, C: CheckpointStrategy> AttentionKernels for Autodiff<B, C> {
    fn attend(
        queries: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let prepared = AttendBackward.prepare::<C>([queries.node(), behaviours.node(), bias.node()]).compute_bound().stateful();
        let (queries, behaviours) = (queries.into_primitive(), behaviours.into_primitive());
        let weights = B::attention_weights(queries.clone(), behaviours.clone(), bias.into_primitive(), ids);
        let output = B::window_sum(weights.clone(), behaviours.clone());
        finish(prepared, output.clone(), [queries, behaviours, weights, output])
    }
}

/// Scaled dot-product target attention (Vaswani et al. 2017; as DIN's with the candidate as the query, Zhou et al. 2018).
///
/// ```text
/// w[q, h]   = softmax over h of (queries[q] . behaviours[r, h] / sqrt(d) + bias[r, h])
/// out[q, :] = sum_h w[q, h] behaviours[r, h, :]
/// ```
///
/// - `queries` `[queries, d]`: of each candidate (and head), those of request `r` in a row; so many for each request.
/// - `behaviours` `[requests, slots, d]`: the window, in any order. Gathered as single ids, interleaved by slot (item, category, item,
///   ...), [`super::pool_rows`] gives `[requests, slots * d]`, which reshapes without a copy.
/// - `bias` `[requests, slots]`: what a behaviour's kind and age add to its logit; zeros for nothing.
/// - `ids` `[requests, slots]`: negative marks padding. Its weight is exactly 0, and so is the gradient of its behaviour and bias. A
///   window of padding alone gives zeros.
///
/// Gives `[queries, d]`. Differentiable in `queries`, `behaviours` and `bias`.
///
/// # Panics
/// Where the shapes do not belong together.
pub fn attend(queries: Tensor<2>, behaviours: Tensor<3>, bias: Tensor<2>, ids: Tensor<2, Int>) -> Tensor<2> {
    let width = window(&queries, &behaviours, &bias, &ids);
    let queries = queries * (1.0 / (width as f32).sqrt());
    Tensor::from_dispatch(Dispatch::attend(queries.into_dispatch(), behaviours.into_dispatch(), bias.into_dispatch(), ids.into_dispatch()))
}

/// Checks that a window and its queries belong together, and gives their width.
pub(super) fn window(queries: &Tensor<2>, behaviours: &Tensor<3>, bias: &Tensor<2>, ids: &Tensor<2, Int>) -> usize {
    let ([count, d], [requests, slots, width]) = (queries.dims(), behaviours.dims());
    assert_eq!(d, width, "queries [{count}, {d}] and behaviours [{requests}, {slots}, {width}] differ in width");
    assert!(count.is_multiple_of(requests), "{count} queries are no whole number for each of {requests} requests");
    assert_eq!((bias.dims(), ids.dims()), ([requests, slots], [requests, slots]), "bias and ids are [requests, slots]");
    width
}
