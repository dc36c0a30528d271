//! The dot product of a user with each of their candidates: the auxiliary model's score (Eq. 1).

mod cpu;
mod gpu;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, binary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};

use super::graph::finish;

#[backend_extension(Flex, Cube, Fusion, Autodiff)]
trait DotKernels: Backend {
    #[fusion(dtype = items, shape = Shape::new([items[0], 1]))]
    fn dots(users: FloatTensor<Self>, items: FloatTensor<Self>) -> FloatTensor<Self>;
}

#[backend_extension(Flex, Cube, Fusion)]
trait DotGradients: Backend {
    #[fusion(dtype = grad, shape = Shape::new([*requests, items[1]]))]
    fn dots_grad_users(items: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self>;

    #[fusion(dtype = grad, shape = Shape::new([grad[0], users[1]]))]
    fn dots_grad_items(users: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

#[derive(Debug)]
struct DotsBackward;

impl<B: DotGradients> Backward<B, 2> for DotsBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (users, items) = ops.state;
        let requests = users.shape()[0];
        let in_users = |grad| B::dots_grad_users(items, grad, requests);
        let in_items = |grad| B::dots_grad_items(users, grad);
        binary::<B, _, _>(ops.parents, ops.node, grads, in_users, in_items);
    }
}

impl<B: DotKernels + DotGradients, C: CheckpointStrategy> DotKernels for Autodiff<B, C> {
    fn dots(users: FloatTensor<Self>, items: FloatTensor<Self>) -> FloatTensor<Self> {
        let prepared = DotsBackward.prepare::<C>([users.node(), items.node()]).compute_bound().stateful();
        let (users, items) = (users.into_primitive(), items.into_primitive());
        finish(prepared, B::dots(users.clone(), items.clone()), (users, items))
    }
}

/// The dot product of each sample's two vectors, `[samples, 1]`, from users `[requests, m]` and items `[samples, m]`, the samples of a
/// request in a row. Differentiable in both.
pub fn dots(users: Tensor<2>, items: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::dots(users.into_dispatch(), items.into_dispatch()))
}
