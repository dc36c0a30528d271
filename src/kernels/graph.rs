//! How an operation enters burn's autodiff graph.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend};

/// Puts an output on the graph, with the `state` that its backward pass needs where a parent wants a gradient.
pub fn finish<B, C, O, const N: usize>(
    prepared: OpsKind<O, B, O::State, C, N>,
    output: FloatTensor<B>,
    state: O::State,
) -> FloatTensor<Autodiff<B, C>>
where
    B: Backend,
    C: CheckpointStrategy,
    O: Backward<B, N>,
{
    match prepared {
        OpsKind::Tracked(prepared) => prepared.finish(state, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    }
}

/// Gives each parent that is on the graph its gradient.
pub fn register<B: Backend, const N: usize>(grads: &mut Gradients, parents: [Option<NodeId>; N], gradients: [Option<FloatTensor<B>>; N]) {
    for (parent, gradient) in parents.into_iter().zip(gradients) {
        if let (Some(parent), Some(gradient)) = (parent, gradient) {
            grads.register::<B>(parent, gradient);
        }
    }
}
