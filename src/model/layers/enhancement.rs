//! How enhancement vectors enter the ranker: the generalization layer (PEPNet's Gate NU, Chang et al. 2023; A11) over the vectors
//! of centres and of memories of behaviours, and the form in which they enter (A12). All vectors of a side are stacked, so that one
//! gating, one normalisation and one product serve them all, whatever components gave them.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation::relu};

use super::dense::{Init, Linear};
use super::graph::{joined, lift, off_graph};
use crate::kernels::{fit, gated, rms_norm, scaled, sum_samples};
use crate::onnx::{Graph, Value};

/// Deviation of the gate's last layer at the start. Near 0, `2 sigmoid(0) = 1`: the gate begins as the identity (A11).
const GATE_START: f64 = 0.01;

/// One side's enhancement: the user's, or the item's in DUIA for users and items.
#[derive(Module, Debug)]
pub struct Enhancement {
    /// One gate a gated vector; none where nothing is gated.
    gate: Option<Gate>,
    /// `[vectors, 1, m + 1]`: the learned scale of each normalised vector and of its fit, small at first (A12); `[vectors, 1, m]`
    /// where nothing is fitted, and none where vectors enter as they are.
    pub scale: Option<Param<Tensor<3>>>,
}

/// The form in which vectors enter (A12).
pub struct Form {
    /// Whether each has its fit to the other side's vector beside it.
    pub is_fitted: bool,
    /// Where the learned scale starts.
    pub scale: f32,
}

/// The generalization layer, a gate a vector.
#[derive(Module, Debug)]
pub struct Gate {
    /// `z W + b`
    pub hidden: Linear,
    /// `x W' + b'`
    pub out: Linear,
}

/// The enhancement vectors of a side of a batch before the gates.
pub struct Enhancing {
    /// `[gated, n, m]`: vectors that pass a gate (UIE, UPBE).
    pub gated: Option<Tensor<3>>,
    /// `[plain, n, m]`: vectors that do not (UHSE).
    pub plain: Option<Tensor<3>>,
    /// `[n, m]`: the personal vectors, where anything is gated.
    pub personal: Option<Tensor<2>>,
    /// `[n, 1]`: 1, or 0 where dropout takes all vectors; none outside training.
    pub kept: Option<Tensor<2>>,
}

/// The same as nodes of a graph, each vector by itself.
pub struct EnhancingNodes {
    /// `[requests, n, m]` each, `n` being 1 or the candidates: vectors that pass a gate.
    pub gated: Vec<Value>,
    /// The same of those that do not.
    pub plain: Vec<Value>,
    /// `[requests, n, m]`: the personal vectors, where anything is gated.
    pub personal: Option<Value>,
    /// The other side's vectors.
    pub other: Value,
    /// What the running means that are taken out are called.
    pub means: Option<&'static str>,
    /// Numbers of a vector.
    pub m: usize,
}

/// Keeps the root mean square of a zero vector from dividing by zero.
const TINY: f32 = 1e-6;

/// `x / sqrt(mean(x^2) + 1e-6)`
fn export_normed(graph: &mut Graph, x: &Value, m: usize) -> Value {
    let square = graph.dot(x, x);
    let mean = graph.times(&square, 1.0 / m as f32);
    let mean = graph.plus(&mean, TINY);
    let root = graph.sqrt(&mean);
    graph.div(x, &root)
}

/// What the ranker receives of a side.
pub struct Enhanced {
    /// `[n, vectors * m]`: the normalised vectors, scaled.
    pub vectors: Tensor<2>,
    /// `[samples, vectors]`: each vector's cosine with the other side's vector, scaled. None on a side without.
    pub fits: Option<Tensor<2>>,
    /// What the running means learn from.
    pub entered: Entered,
}

/// The vectors of a side that a batch entered with, off the graph.
#[derive(Clone)]
pub struct Entered {
    /// `[vectors, n, m]`, behind the gates.
    vectors: Tensor<3>,
    /// `[vectors, n, 1]`: 1 where there was a vector.
    open: Tensor<3>,
    /// `[n', m]`: the other side's vectors.
    other: Tensor<2>,
}

impl Entered {
    /// What [`Means::learn`] makes of it, in one row: sums, counts, and the mean of the other side's vectors, `[1, (vectors + 1) m +
    /// vectors]`.
    pub fn summed(&self) -> Tensor<2> {
        let ([vectors, _, m], [others, _]) = (self.vectors.dims(), self.other.dims());
        let sums = sum_samples(self.vectors.clone()).reshape([1, vectors * m]);
        let counts = sum_samples(self.open.clone()).reshape([1, vectors]);
        Tensor::cat(vec![sums, counts, sum_samples(self.other.clone()) / others as f32], 1)
    }

    /// Several batches of one size by what [`Entered::summed`] gave of each, `[batches, ..]`: the means learn the same from it.
    #[must_use]
    pub fn of_sums(&self, rows: Tensor<2>) -> Self {
        let ([vectors, _, m], [batches, columns]) = (self.vectors.dims(), rows.dims());
        let (sums, counts) = (vectors * m, vectors * (m + 1));
        Self {
            vectors: rows.clone().slice([0..batches, 0..sums]).reshape([batches, vectors, m]).swap_dims(0, 1),
            open: rows.clone().slice([0..batches, sums..counts]).reshape([batches, vectors, 1]).swap_dims(0, 1),
            other: rows.slice([0..batches, counts..columns]),
        }
    }

    /// `e` `[vectors, n, m]`, which is [`Entered::vectors`] on or off the graph, without its running mean and normalised: `[n, vectors *
    /// m]`. Zero stays zero, and what is not `kept` `[n, 1]` becomes zero.
    fn normed(&self, e: Tensor<3>, kept: Option<Tensor<2>>, means: Option<&Means>) -> Tensor<2> {
        let training = e.is_autodiff();
        let [vectors, _, m] = e.dims();
        let open = kept.into_iter().fold(self.open.clone(), |open, kept| open * kept.unsqueeze_dim(0));
        let mean = means.map_or_else(|| Tensor::zeros([vectors, 1, m], &open.device()), |means| means.vectors.clone());
        rms_norm(e, lift(mean, training), lift(open, training))
    }

    /// `e` `[vectors, n, m]` without its running mean and without what is not `kept`, `[n, vectors * m]`.
    fn as_they_are(&self, e: Tensor<3>, kept: Option<Tensor<2>>, means: Option<&Means>) -> Tensor<2> {
        let (training, [vectors, n, m]) = (e.is_autodiff(), e.dims());
        let open = kept.into_iter().fold(self.open.clone(), |open, kept| open * kept.unsqueeze_dim(0));
        let e = means.map_or(e.clone(), |means| e - lift(means.vectors.clone(), training)) * lift(open, training);
        e.swap_dims(0, 1).reshape([n, vectors * m])
    }

    /// The other side's vectors without their running mean, normalised: `[n', m]`.
    fn normed_other(&self, means: Option<&Means>) -> Tensor<2> {
        let mean = means.map_or_else(|| self.other.clone().slice([0..1]).zeros_like(), |means| means.other.clone());
        let [others, _] = self.other.dims();
        let open = Tensor::ones([1, others, 1], &mean.device());
        rms_norm(self.other.clone().unsqueeze_dim(0), mean.unsqueeze_dim(0), open)
    }
}

/// Running means of the enhancement vectors of a side and of the other side's vectors, to which they are fitted and which seek its centres
/// (Eq. 7). A row of a batch never sees its own share of them: they move after the step (A15).
#[derive(Clone)]
pub struct Means {
    /// `[vectors, 1, m]`, over those who had a vector; zero until somebody had.
    vectors: Tensor<3>,
    /// `[1, m]`; zero until the first step.
    other: Tensor<2>,
    /// Weight of the newest batch.
    rate: f32,
}

impl Means {
    /// Before the first step, for so many vectors `m` wide; `rate` is the weight of the newest batch.
    pub fn new(vectors: usize, m: usize, rate: f32, device: &Device) -> Self {
        Self { vectors: Tensor::zeros([vectors, 1, m], device), other: Tensor::zeros([1, m], device), rate }
    }

    /// `[vectors + 1, m]`: of the enhancement vectors, one by one, then of the other side's vectors.
    pub fn rows(&self) -> Tensor<2> {
        let [vectors, _, m] = self.vectors.dims();
        Tensor::cat(vec![self.vectors.clone().reshape([vectors, m]), self.other.clone()], 0)
    }

    /// Puts back what [`Means::rows`] gave.
    pub fn restore(&mut self, rows: Tensor<2>) {
        let [vectors, _, m] = self.vectors.dims();
        self.vectors = rows.clone().slice([0..vectors, 0..m]).reshape([vectors, 1, m]);
        self.other = rows.slice([vectors..vectors + 1, 0..m]);
    }

    /// `[1, m]`: the running mean of the other side's vectors.
    pub fn of_others(&self) -> Tensor<2> {
        self.other.clone()
    }

    /// Moves towards the means of a batch.
    pub fn learn(&mut self, entered: Entered) {
        let count = sum_samples(entered.open);
        let of_batch = sum_samples(entered.vectors) / count.clone().clamp_min(1.0);
        // A vector that nobody had keeps its mean.
        let rate = count.clamp_max(1.0) * self.rate;
        self.vectors = self.vectors.clone() + (of_batch - self.vectors.clone()) * rate;
        let [others, _] = entered.other.dims();
        self.other = self.other.clone() * (1.0 - self.rate) + sum_samples(entered.other) / others as f32 * self.rate;
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

    /// `delta x` with `z = [sg(x); p]`, `delta = 2 sigmoid(relu(z W + b) W' + b')`, `[gates, n, m]`, from the vectors `x`
    /// `[gates, n, m]` and the personal vectors `[n, m]`.
    pub fn forward(&self, x: Tensor<3>, personal: Tensor<2>) -> Tensor<3> {
        let personal = personal.unsqueeze_dim::<3>(0).expand(x.dims());
        let z = Tensor::cat(vec![x.clone().detach(), personal], 2);
        gated(self.out.forward(relu(self.hidden.forward(z))), x)
    }

    /// The nodes of one gate.
    fn export(graph: &mut Graph, path: &str, index: usize, x: &Value, personal: &Value) -> Value {
        let z = graph.concat(&[x.clone(), personal.clone()]);
        let hidden = Linear::export(graph, &format!("{path}.hidden"), index, &z);
        let hidden = graph.relu(&hidden);
        let out = Linear::export(graph, &format!("{path}.out"), index, &hidden);
        let open = graph.sigmoid(&out);
        let delta = graph.times(&open, 2.0);
        graph.mul(&delta, x)
    }
}

impl Enhancement {
    /// So many gated and plain vectors `m` wide, in a form, or as they are.
    pub fn new(init: &Init, name: &str, [gated, plain]: [usize; 2], m: usize, form: Option<Form>) -> Self {
        let scale = form.map(|form| init.constant([gated + plain, m + usize::from(form.is_fitted)], form.scale));
        Self { gate: (gated > 0).then(|| Gate::new(init, name, gated, m)), scale }
    }

    /// `e = delta * x`, normalised and scaled, and on a side that is fitted its fit to the `other` side's vectors `[n', m]`
    /// (off the graph): a quantised user says nothing about an item by itself, so the ranker also sees how an item fits
    /// the enhancement vectors (A12). Then `n` counts requests and `n'` their samples, request-major. `means`, where there are any, are
    /// taken out first.
    pub fn forward(&self, enhancing: Enhancing, other: Tensor<2>, means: Option<&Means>) -> Enhanced {
        let gated = match (&self.gate, enhancing.gated, enhancing.personal) {
            (Some(gate), Some(x), Some(personal)) => Some(gate.forward(x, personal)),
            _ => None,
        };
        let e = joined(gated.into_iter().chain(enhancing.plain).collect(), 0);
        let [vectors, _, m] = e.dims();
        let training = e.is_autodiff();
        let vectors_in = off_graph(e.clone());
        let open = vectors_in.clone().square().sum_dim(2).greater_scalar(0.0).float();
        let entered = Entered { vectors: vectors_in, open, other };
        let Some(scale) = &self.scale else {
            return Enhanced { vectors: entered.as_they_are(e, enhancing.kept, means), fits: None, entered };
        };
        let normed = entered.normed(e, enhancing.kept, means);
        let [_, _, scales] = scale.dims();
        let fits = (scales > m).then(|| fits(scale.val(), normed.clone(), lift(entered.normed_other(means), training)));
        let of_vectors = scale.val().slice([0..vectors, 0..1, 0..m]).reshape([1, vectors * m]);
        Enhanced { vectors: scaled(normed, of_vectors), fits, entered }
    }

    /// Its nodes, of parameters whose names begin with `path`: vectors and fits, side by side.
    pub fn export(&self, graph: &mut Graph, path: &str, enhancing: EnhancingNodes) -> (Value, Option<Value>) {
        let EnhancingNodes { gated, plain, personal, other, means, m } = enhancing;
        let mut all = gated;
        if let Some(personal) = &personal {
            let gate = format!("{path}.gate");
            all.iter_mut().enumerate().for_each(|(index, x)| *x = Gate::export(graph, &gate, index, x, personal));
        }
        all.extend(plain);
        let other = means.map_or_else(|| other.clone(), |means| centred(graph, &other, means, all.len()));
        let other = export_normed(graph, &other, m);
        let (mut vectors, mut fits) = (Vec::new(), Vec::new());
        for (index, e) in all.iter().enumerate() {
            let open = export_open(graph, e);
            let x = means.map_or_else(|| e.clone(), |means| centred(graph, e, means, index));
            let x = graph.mul(&x, &open);
            let Some(scale) = &self.scale else {
                vectors.push(x);
                continue;
            };
            let normed = export_normed(graph, &x, m);
            let scales = graph.layer(&format!("{path}.scale"), index);
            let [_, _, columns] = scale.dims();
            let scales = graph.split(&scales, &[&[m][..], &vec![1; columns - m]].concat());
            vectors.push(graph.mul(&normed, &scales[0]));
            if let Some(scale) = scales.get(1) {
                let fit = graph.dot(&normed, &other);
                let fit = graph.times(&fit, 1.0 / m as f32);
                fits.push(graph.mul(&fit, scale));
            }
        }
        (graph.concat(&vectors), (!fits.is_empty()).then(|| graph.concat(&fits)))
    }
}

/// 1 where a vector is not zero.
fn export_open(graph: &mut Graph, e: &Value) -> Value {
    let (square, nothing) = (graph.dot(e, e), graph.number(0.0));
    let open = graph.is_less(&nothing, &square);
    graph.float(&open)
}

/// Vectors without one of the running means.
fn centred(graph: &mut Graph, vectors: &Value, means: &str, index: usize) -> Value {
    let mean = graph.layer(means, index);
    graph.sub(vectors, &mean)
}

/// Cosines of vectors `[n, vectors * m]` with the other side's `[n', m]`, both of length root `m`, scaled by the last column of `scale`
/// `[vectors, 1, m + 1]`: `[n', vectors]`.
fn fits(scale: Tensor<3>, normed: Tensor<2>, other: Tensor<2>) -> Tensor<2> {
    let [vectors, _, scales] = scale.dims();
    let of_fit = scale.slice([0..vectors, 0..1, scales - 1..scales]).reshape([vectors, 1]);
    scaled(fit(normed, other), of_fit).swap_dims(0, 1)
}
