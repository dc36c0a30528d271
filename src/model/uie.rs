//! User Interest Enhancement (section 4.2): what the user's nearest centres know, weighted by how much he is like them
//! (Eq. 6). DUIA for items does the same with an item and item centres (section 4.5, A20).

use burn::tensor::{Tensor, activation::sigmoid};

use crate::config::StopRule;

/// What the centres of both levels lend.
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
