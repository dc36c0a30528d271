//! User Interest Enhancement (section 4.2): what the user's nearest centres know, weighted by how much he is like them
//! (Eq. 6) and fitted to him by a gate with his personal vector (PEPNet's Gate NU, Chang et al. 2023).

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation::relu, activation::sigmoid};

use super::dense::{Init, Linear};
use crate::config::StopRule;

/// Deviation of the gate's last layer at the start. Near 0, `2 sigmoid(0) = 1`: the gate begins as the identity (A11).
const GATE_START: f64 = 0.01;

/// Enhancement vectors of both levels and what the ranker is told beside them.
pub struct Lent {
    /// `[2, samples, m]`: Eq. 6, zero where UIE stopped.
    pub weighted: Tensor<3>,
    /// `[samples, 1]`: 1 where UIE stopped (at both levels, under the paper's rule).
    pub stopped: Tensor<2>,
}

/// Eq. 6 and the stop rule A10: `sigmoid(mu . v) mu` of both levels, from the chosen centres `mu` `[2, samples, m]`.
/// `sign_v` and `sign_mu` are what the sign test sees: `v` and `mu` themselves, or without their running mean.
pub fn lend(v: Tensor<2>, mu: Tensor<3>, sign_v: Tensor<2>, sign_mu: Tensor<3>, rule: StopRule) -> Lent {
    let dots = (mu.clone() * v.unsqueeze_dim(0)).sum_dim(2);
    let negative = (sign_mu * sign_v.unsqueeze_dim(0)).sum_dim(2).lower_scalar(0.0).float();
    let either = negative.clone().max_dim(0);
    let (open, stopped) = match rule {
        StopRule::Either => (either.clone().neg() + 1.0, either.squeeze_dim(0)),
        StopRule::PerLevel => (negative.clone().neg() + 1.0, negative.min_dim(0).squeeze_dim(0)),
    };
    Lent { weighted: sigmoid(dots) * open * mu, stopped }
}

/// The generalization layer: one gate a level, one personal vector for both (A11).
#[derive(Module, Debug)]
pub struct Gate {
    /// `z W + b`, a layer a level.
    pub hidden: Linear,
    /// `x W' + b'`, a layer a level.
    pub out: Linear,
    /// `[2, 1, m + 1]`: the learned scale of the normalised vectors and of their fit to the item, small at first (A12).
    pub scale: Param<Tensor<3>>,
}

/// What the ranker receives of UIE.
pub struct Enhancement {
    /// `[samples, 2 (m + 1) + 1]`: each vector and its cosine with the item's vector, scaled; whether UIE stopped.
    pub features: Tensor<2>,
    /// `[2, samples, m]`: the gates' factors, between 0 and 2.
    pub delta: Tensor<3>,
}

impl Gate {
    /// Gates for memories `m` wide.
    pub fn new(init: &Init, m: usize, scale: f64) -> Self {
        Self {
            hidden: Linear::new(init, "uie.gate.hidden", 2, 2 * m, m),
            out: Linear::with_deviation(init, "uie.gate.out", 2, m, m, GATE_START),
            scale: init.constant([2, m + 1], scale as f32),
        }
    }

    /// Features that [`Gate::forward`] adds to the ranker, for memories `m` wide.
    pub fn outputs(m: usize) -> usize {
        2 * m + 3
    }

    /// `z = [sg(v_weighted); p_u]`, `delta = 2 sigmoid(relu(z W + b) W' + b')`, `e = delta * v_weighted`.
    ///
    /// `personal` is `[samples, m]`. `v_item` `[samples, m]` comes with its gradient stopped: a quantised user says
    /// nothing about an item by itself, so the ranker also sees how the item fits what the cluster lends (A12).
    pub fn forward(&self, lent: Lent, personal: Tensor<2>, v_item: Tensor<2>) -> Enhancement {
        let [levels, samples, m] = lent.weighted.dims();
        let personal = personal.unsqueeze_dim::<3>(0).expand([levels, samples, m]);
        let z = Tensor::cat(vec![lent.weighted.clone().detach(), personal], 2);
        let delta = sigmoid(self.out.forward(relu(self.hidden.forward(z)))) * 2.0;
        let e = delta.clone() * lent.weighted;
        // Root mean squares, not a full layer norm: a stopped user's zero stays zero.
        let normed = e.clone() / (e.square().mean_dim(2) + 1e-6).sqrt();
        let item = v_item.clone() / (v_item.square().mean_dim(1) + 1e-6).sqrt();
        let fit = (normed.clone() * item.unsqueeze_dim(0)).mean_dim(2);
        let scaled = Tensor::cat(vec![normed, fit], 2) * self.scale.val();
        let scaled = scaled.swap_dims(0, 1).reshape([samples, levels * (m + 1)]);
        Enhancement { features: Tensor::cat(vec![scaled, lent.stopped], 1), delta }
    }
}
