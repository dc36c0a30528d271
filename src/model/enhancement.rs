//! What the ranker receives of the memories: the generalization layer (PEPNet's Gate NU, Chang et al. 2023; A11) over what
//! centres and memories of behaviours lend, and the form in which it enters (A12).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation::relu, activation::sigmoid};

use super::dense::{Init, Linear};
use super::graph::{joined, lift, off_graph};

/// Deviation of the gate's last layer at the start. Near 0, `2 sigmoid(0) = 1`: the gate begins as the identity (A11).
const GATE_START: f64 = 0.01;
/// Keeps the root mean square of a zero vector from dividing by zero.
const TINY: f32 = 1e-6;
/// Weight of the newest batch in the running means.
const MEAN_RATE: f32 = 0.05;

/// One side's enhancement: the user's, or the item's in DUIA for users and items.
#[derive(Module, Debug)]
pub struct Enhancement {
    /// One gate a gated vector; none where nothing is gated.
    gate: Option<Gate>,
    /// `[vectors, 1, m + 1]`: the learned scale of each normalised vector and of its fit, small at first (A12); `[vectors, 1, m]`
    /// where nothing is fitted.
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
    /// `[n, 1]`: 1, or 0 from whom everything is withheld; none outside training.
    pub kept: Option<Tensor<2>>,
}

/// What the ranker receives of a side.
pub struct Features {
    /// `[n, vectors * m]`: the normalised vectors, scaled.
    pub vectors: Tensor<2>,
    /// `[samples, vectors]`: each vector's cosine with the other side's vector, scaled. None on a side without.
    pub fits: Option<Tensor<2>>,
    /// What the running means learn from.
    pub given: Given,
}

/// What a batch lent to a side, off the graph.
#[derive(Clone)]
pub struct Given {
    /// `[vectors, n, m]`, behind the gates.
    lent: Tensor<3>,
    /// `[vectors, n, 1]`: 1 where something was lent.
    open: Tensor<3>,
    /// `[n', m]`: the other side's vectors.
    other: Tensor<2>,
}

impl Given {
    /// `e` `[vectors, n, m]`, which is [`Given::lent`] on or off the graph, without its running mean. Zero stays zero, and what
    /// is not `kept` `[n, 1]` becomes zero.
    fn centred(&self, e: Tensor<3>, kept: Option<Tensor<2>>, means: Option<&Means>) -> Tensor<3> {
        let training = e.is_autodiff();
        let kept = kept.map(|kept| kept.unsqueeze_dim::<3>(0));
        match (means, kept) {
            (Some(means), kept) => {
                let open = kept.into_iter().fold(self.open.clone(), |open, kept| open * kept);
                (e - lift(means.lent.clone(), training)) * lift(open, training)
            }
            (None, Some(kept)) => e * lift(kept, training),
            (None, None) => e,
        }
    }

    /// The other side's vectors without their running mean, `[n', m]`.
    fn centred_other(&self, training: bool, means: Option<&Means>) -> Tensor<2> {
        let other = self.other.clone();
        lift(means.map_or(other.clone(), |means| other - means.other.clone()), training)
    }
}

/// Running means of what is lent to a side and of the other side's vectors, to which it is fitted and which seek its centres
/// (Eq. 7). A row of a batch never sees its own share of them: they move after the step (A15).
#[derive(Clone)]
pub struct Means {
    /// `[vectors, 1, m]`, of those who were lent something; zero until somebody was.
    lent: Tensor<3>,
    /// `[1, m]`; zero until the first step.
    other: Tensor<2>,
}

impl Means {
    /// Before the first step, for so many vectors `m` wide.
    pub fn new(vectors: usize, m: usize, device: &Device) -> Self {
        Self { lent: Tensor::zeros([vectors, 1, m], device), other: Tensor::zeros([1, m], device) }
    }

    /// `[vectors + 1, m]`: of what is lent, vector by vector, then of the other side's vectors.
    pub fn rows(&self) -> Tensor<2> {
        let [vectors, _, m] = self.lent.dims();
        Tensor::cat(vec![self.lent.clone().reshape([vectors, m]), self.other.clone()], 0)
    }

    /// Puts back what [`Means::rows`] gave.
    pub fn restore(&mut self, rows: Tensor<2>) {
        let [vectors, _, m] = self.lent.dims();
        self.lent = rows.clone().slice([0..vectors, 0..m]).reshape([vectors, 1, m]);
        self.other = rows.slice([vectors..vectors + 1, 0..m]);
    }

    /// `[1, m]`: the running mean of the other side's vectors.
    pub fn of_others(&self) -> Tensor<2> {
        self.other.clone()
    }

    /// Moves towards the means of a batch.
    pub fn learn(&mut self, given: Given) {
        let count = given.open.sum_dim(1);
        let of_batch = given.lent.sum_dim(1) / count.clone().clamp_min(1.0);
        // A vector that was lent to nobody keeps its mean.
        let rate = count.clamp_max(1.0) * MEAN_RATE;
        self.lent = self.lent.clone() + (of_batch - self.lent.clone()) * rate;
        self.other = self.other.clone() * (1.0 - MEAN_RATE) + given.other.mean_dim(0) * MEAN_RATE;
    }
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
    /// So many gated and plain vectors `m` wide, `fitted` or not.
    pub fn new(init: &Init, name: &str, gated: usize, plain: usize, m: usize, fitted: bool, scale: f64) -> Self {
        let scale = init.constant([gated + plain, m + usize::from(fitted)], scale as f32);
        Self { gate: (gated > 0).then(|| Gate::new(init, name, gated, m)), scale }
    }

    /// `e = delta * lent`, normalised and scaled, and on a side that is fitted its fit to the `other` side's vectors `[n', m]`
    /// (off the graph): a quantised user says nothing about an item by itself, so the ranker also sees how an item fits what
    /// the cluster lends (A12). Of `n` and `n'` one counts requests and the other samples, request-major; `requests` says how
    /// many there are. `means`, where there are any, are taken out first.
    pub fn forward(&self, lendings: Lendings, other: Tensor<2>, requests: usize, means: Option<&Means>) -> Features {
        let gated = match (&self.gate, lendings.gated, lendings.personal) {
            (Some(gate), Some(lent), Some(personal)) => Some(gate.forward(lent.clone(), personal) * lent),
            _ => None,
        };
        let e = joined(gated.into_iter().chain(lendings.plain).collect(), 0);
        let [vectors, n, m] = e.dims();
        let training = e.is_autodiff();
        let lent = off_graph(e.clone());
        let open = lent.clone().square().sum_dim(2).greater_scalar(0.0).float();
        let given = Given { lent, open, other };
        let e = given.centred(e, lendings.kept, means);
        // Root mean squares, not a full layer norm: a stopped user's zero stays zero.
        let normed = e.clone() / (e.square().mean_dim(2) + TINY).sqrt();
        let [_, _, scales] = self.scale.dims();
        let fits = (scales > m).then(|| self.fits(normed.clone(), given.centred_other(training, means), requests));
        let scaled = normed * self.scale.val().slice([0..vectors, 0..1, 0..m]);
        Features { vectors: scaled.swap_dims(0, 1).reshape([n, vectors * m]), fits, given }
    }

    /// Cosines of vectors `[vectors, n, m]` of length root `m` with the other side's `[n', m]`, scaled: `[samples, vectors]`.
    fn fits(&self, normed: Tensor<3>, other: Tensor<2>, requests: usize) -> Tensor<2> {
        let ([vectors, n, m], [others, _]) = (normed.dims(), other.dims());
        let other = (other.clone() / (other.square().mean_dim(1) + TINY).sqrt()).reshape([1, requests, others / requests, m]);
        let fit = (normed.reshape([vectors, requests, n / requests, m]) * other).mean_dim(3);
        // Two dimensions all the way: with a third of length 1, burn's fusion on a GPU summed the wrong samples into the scale's
        // gradient.
        let of_fit = self.scale.val().slice([0..vectors, 0..1, m..m + 1]).reshape([vectors, 1]);
        (fit.reshape([vectors, n.max(others)]) * of_fit).swap_dims(0, 1)
    }
}
