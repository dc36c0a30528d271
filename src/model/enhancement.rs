//! What the ranker receives of the memories: the generalization layer (PEPNet's Gate NU, Chang et al. 2023; A11) over what
//! centres and memories of behaviours lend, and the form in which it enters (A12).

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation::relu, activation::sigmoid};

use super::dense::{Init, Linear};

/// Deviation of the gate's last layer at the start. Near 0, `2 sigmoid(0) = 1`: the gate begins as the identity (A11).
const GATE_START: f64 = 0.01;
/// Keeps the root mean square of a zero vector from dividing by zero.
const TINY: f32 = 1e-6;

/// One side's enhancement: the user's, or the item's in DUIA for users and items.
#[derive(Module, Debug)]
pub struct Enhancement {
    /// One gate a gated vector; none where nothing is gated.
    gate: Option<Gate>,
    /// `[vectors, 1, m + 1]`: the learned scale of each normalised vector and of its fit, small at first (A12).
    pub scale: Param<Tensor<3>>,
}

/// The generalization layer, a gate a vector.
#[derive(Module, Debug)]
pub struct Gate {
    /// `z W + b`
    pub hidden: Linear,
    /// `x W' + b'`
    pub out: Linear,
}

/// What is lent to a side of a batch before the gates.
pub struct Lendings {
    /// `[gated, n, m]`: vectors that pass a gate (UIE, UPBE).
    pub gated: Option<Tensor<3>>,
    /// `[plain, n, m]`: vectors that do not (UHSE).
    pub plain: Option<Tensor<3>>,
    /// `[n, m]`: the personal vectors, where anything is gated.
    pub personal: Option<Tensor<2>>,
}

/// What the ranker receives of a side.
pub struct Features {
    /// `[n, vectors * m]`: the normalised vectors, scaled.
    pub vectors: Tensor<2>,
    /// `[samples, vectors]`: each vector's cosine with the other side's vector, scaled.
    pub fits: Tensor<2>,
}

impl Gate {
    /// So many gates for vectors `m` wide.
    pub fn new(init: &Init, name: &str, gates: usize, m: usize) -> Self {
        Self {
            hidden: Linear::new(init, &format!("{name}.gate.hidden"), gates, 2 * m, m),
            out: Linear::with_deviation(init, &format!("{name}.gate.out"), gates, m, m, GATE_START),
        }
    }

    /// `z = [sg(lent); p]`, `delta = 2 sigmoid(relu(z W + b) W' + b')`, `[gates, n, m]`, from what is lent `[gates, n, m]`
    /// and the personal vectors `[n, m]`.
    pub fn forward(&self, lent: Tensor<3>, personal: Tensor<2>) -> Tensor<3> {
        let personal = personal.unsqueeze_dim::<3>(0).expand(lent.dims());
        let z = Tensor::cat(vec![lent.detach(), personal], 2);
        sigmoid(self.out.forward(relu(self.hidden.forward(z)))) * 2.0
    }
}

impl Enhancement {
    /// So many gated and plain vectors `m` wide.
    pub fn new(init: &Init, name: &str, gated: usize, plain: usize, m: usize, scale: f64) -> Self {
        Self { gate: (gated > 0).then(|| Gate::new(init, name, gated, m)), scale: init.constant([gated + plain, m + 1], scale as f32) }
    }

    /// `e = delta * lent`, normalised and scaled, and its fit to the `other` side's vectors `[n', m]` (gradient stopped): a
    /// quantised user says nothing about an item by itself, so the ranker also sees how an item fits what the cluster lends
    /// (A12). Of `n` and `n'` one counts requests and the other samples, request-major; `requests` says how many there are.
    pub fn forward(&self, lendings: Lendings, other: Tensor<2>, requests: usize) -> Features {
        let gated = match (&self.gate, lendings.gated, lendings.personal) {
            (Some(gate), Some(lent), Some(personal)) => Some(gate.forward(lent.clone(), personal) * lent),
            _ => None,
        };
        let mut parts: Vec<Tensor<3>> = gated.into_iter().chain(lendings.plain).collect();
        let e = if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) };
        let [vectors, n, m] = e.dims();
        // Root mean squares, not a full layer norm: a stopped user's zero stays zero.
        let normed = e.clone() / (e.square().mean_dim(2) + TINY).sqrt();
        let others = other.dims()[0];
        let other = (other.clone() / (other.square().mean_dim(1) + TINY).sqrt()).reshape([1, requests, others / requests, m]);
        let samples = n.max(others);
        let fit = (normed.clone().reshape([vectors, requests, n / requests, m]) * other).mean_dim(3);
        // Two dimensions all the way: with a third of length 1, burn's fusion on a GPU summed the wrong samples into the scale's
        // gradient.
        let of_fit = self.scale.val().slice([0..vectors, 0..1, m..m + 1]).reshape([vectors, 1]);
        let fits = fit.reshape([vectors, samples]) * of_fit;
        let scaled = normed * self.scale.val().slice([0..vectors, 0..1, 0..m]);
        Features { vectors: scaled.swap_dims(0, 1).reshape([n, vectors * m]), fits: fits.swap_dims(0, 1) }
    }
}
