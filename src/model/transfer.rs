//! PLE with TL: transfer from users with many behaviours to those with few (Zhang et al. 2021, MIRec), in an adaptation of
//! ours.
//!
//! A user tower sees the history cut to its newest few and the whole of it. On high-active users `F` learns to lead from the
//! first to the second: `|F(v_few) - sg(v_many)|^2`. Low-active users, whose history is always short, receive `F(v)` as a
//! feature; high-active ones receive zeros, as nothing is transferred to them. `L = L_MTL + 0.1 L_transfer`.

use burn::module::Module;
use burn::tensor::Tensor;

use super::dense::{Init, Linear, Mlp};

/// Weight of the loss.
pub const WEIGHT: f64 = 0.1;

/// The user tower and `F`.
#[derive(Module, Debug)]
pub struct Transfer {
    tower: Mlp,
    lead: Linear,
}

impl Transfer {
    /// A tower of the auxiliary model's widths over so many features of a request.
    pub fn new(init: &Init, inputs: usize, widths: &[usize]) -> Self {
        let m = widths.last().copied().unwrap_or(inputs);
        Self { tower: Mlp::new(init, "transfer.tower", 1, inputs, widths, false), lead: Linear::new(init, "transfer.lead", 1, m, m) }
    }

    fn vector(&self, features: Tensor<2>) -> Tensor<2> {
        self.tower.forward(features.unsqueeze_dim(0)).squeeze_dim(0)
    }

    fn led(&self, vector: Tensor<2>) -> Tensor<2> {
        self.lead.forward(vector.unsqueeze_dim(0)).squeeze_dim(0)
    }

    /// What low-active users (`low` `[requests, 1]`) receive, `[requests, m]`, from the features with the whole history.
    pub fn features(&self, whole: Tensor<2>, low: Tensor<2>) -> Tensor<2> {
        self.led(self.vector(whole)) * low
    }

    /// The loss over high-active users, `[1]`, from the features with the short and with the whole history.
    pub fn loss(&self, short: Tensor<2>, whole: Tensor<2>, low: Tensor<2>) -> Tensor<1> {
        let high = low.neg() + 1.0;
        let distance = (self.led(self.vector(short)) - self.vector(whole).detach()).square().mean_dim(1);
        (distance * high.clone()).sum() / high.sum().clamp_min(1.0)
    }
}
