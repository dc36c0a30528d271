//! The weighted sum of experts behind a gate: what PLE is made of.

mod cpu;
mod gpu;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, binary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{Shape, Tensor};

use super::graph::finish;

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

    fn outputs(self) -> [usize; 3] {
        [self.streams, self.samples, self.width]
    }
}

#[backend_extension(Flex, Cube, Fusion, Autodiff)]
trait ExpertKernels: Backend {
    #[fusion(dtype = experts, shape = Shape::new(mix.outputs()))]
    fn mix(gates: FloatTensor<Self>, experts: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self>;
}

#[backend_extension(Flex, Cube, Fusion)]
trait ExpertGradients: Backend {
    #[fusion(dtype = grad, shape = Shape::new(mix.gates()))]
    fn mix_grad_gates(experts: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self>;

    #[fusion(dtype = gates, shape = Shape::new(mix.experts()))]
    fn mix_grad_experts(gates: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self>;
}

#[derive(Debug)]
struct MixBackward;

impl<B: ExpertGradients> Backward<B, 2> for MixBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, Mix);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let (gates, experts, mix) = ops.state;
        let in_gates = |grad| B::mix_grad_gates(experts, grad, mix);
        let in_experts = |grad| B::mix_grad_experts(gates, grad, mix);
        binary::<B, _, _>(ops.parents, ops.node, grads, in_gates, in_experts);
    }
}

impl<B: ExpertKernels + ExpertGradients, C: CheckpointStrategy> ExpertKernels for Autodiff<B, C> {
    fn mix(gates: FloatTensor<Self>, experts: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        let prepared = MixBackward.prepare::<C>([gates.node(), experts.node()]).compute_bound().stateful();
        let (gates, experts) = (gates.into_primitive(), experts.into_primitive());
        finish(prepared, B::mix(gates.clone(), experts.clone(), mix), (gates, experts, mix))
    }
}

/// The outputs of all gates: `out[g, s, :] = sum_e gates[g, s, e] experts[e, s, :]`, `[streams, samples, width]`, with
/// gates and experts laid out as `mix` says. Differentiable in both.
pub fn mix(gates: Tensor<3>, experts: Tensor<3>, mix: Mix) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::mix(gates.into_dispatch(), experts.into_dispatch(), mix))
}
