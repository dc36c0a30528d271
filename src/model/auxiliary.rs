//! The auxiliary model: a user tower and an item tower whose dot product predicts a valid consumption (Eq. 1). Their
//! inputs are the ranker's embeddings with the gradient stopped, so it learns from them and never moves them.

use burn::module::Module;
use burn::tensor::{Tensor, activation::log_sigmoid, activation::sigmoid};

use super::dense::{Init, Mlp};
use crate::kernels::dots;

/// The logit of Eq. 1 is clamped to +-15 (A17), where its sigmoid is 3e-7 from 0 or 1.
const LOGIT_BOUND: f32 = 15.0;

/// User tower and item tower, last layer linear.
#[derive(Module, Debug)]
pub struct Auxiliary {
    user: Mlp,
    item: Mlp,
}

/// Vectors of the auxiliary model.
#[derive(Clone)]
pub struct Towers {
    /// `[requests, m]`
    pub v_user: Tensor<2>,
    /// `[samples, m]`
    pub v_item: Tensor<2>,
}

impl Auxiliary {
    /// Towers of the given widths over so many features of a user and of an item.
    pub fn new(init: &Init, widths: &[usize], user_inputs: usize, item_inputs: usize) -> Self {
        Self {
            user: Mlp::new(init, "auxiliary.user", 1, user_inputs, widths, false),
            item: Mlp::new(init, "auxiliary.item", 1, item_inputs, widths, false),
        }
    }

    /// `v_user` `[requests, m]` from `[requests, user inputs]`.
    pub fn user(&self, features: Tensor<2>) -> Tensor<2> {
        self.user.forward(features.unsqueeze_dim(0)).squeeze_dim(0)
    }

    /// `v_item` `[samples, m]` from `[samples, item inputs]`.
    pub fn item(&self, features: Tensor<2>) -> Tensor<2> {
        self.item.forward(features.unsqueeze_dim(0)).squeeze_dim(0)
    }
}

/// Eq. 1, a mean over the batch, negatives included: `-(1/n) sum [w y ln p + (1 - y) ln (1 - p)]`,
/// `p = sigmoid(v_user . v_item)`. `labels` and `weights` are `[samples, 1]`, the weights those of positives.
pub fn loss(Towers { v_user, v_item }: Towers, labels: Tensor<2>, weights: Tensor<2>) -> Tensor<1> {
    let logit = dots(v_user, v_item).clamp(-LOGIT_BOUND, LOGIT_BOUND);
    // ln sigmoid(z) = z + ln sigmoid(-z): one stable logarithm for both classes.
    let negative = log_sigmoid(logit.clone().neg());
    let positive = labels.clone() * weights;
    let share = positive.clone() + labels.neg() + 1.0;
    (negative * share + logit * positive).mean().neg()
}

/// `w = 1 + sigmoid(merge_score)`, the merge score being the sum of the tasks' predictions (A16), from their logits
/// `[tasks, samples, 1]`. `[samples, 1]`. The caller stops the gradient.
pub fn positive_weight(logits: Tensor<3>) -> Tensor<2> {
    sigmoid(sigmoid(logits).sum_dim(0).squeeze_dim::<2>(0)) + 1.0
}
