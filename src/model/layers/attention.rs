//! How a window of behaviours becomes a vector for each candidate, who asks which of them matter: target attention, in one of two
//! forms ([`Encoder`]). Several windows of the same places, as UHSE has one a level, are a stack and pass together.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

use super::dense::{Init, Linear};
use crate::config::Encoder;
use crate::data::Behaviour;
use crate::kernels::{activation_unit, attend, product};
use crate::model::export;
use crate::model::takes::Takes;
use crate::onnx::{Graph, HIDDEN as MASKED, Value};

/// Hidden units of DIN's activation unit.
const HIDDEN: usize = 16;
/// What every behaviour weighs under the activation unit at the start: the sum begins as five times the mean of a full window.
const UNIT_WEIGHT: f32 = 0.1;
/// Deviation of weights that start near 0.
const START: f64 = 0.01;

/// Behaviours that candidates look at.
pub struct Window {
    /// `[stack * requests, slots, d]`
    pub behaviours: Tensor<3>,
    /// `[requests, slots, Behaviour::COUNT]`: 1 at each behaviour's kind.
    pub kinds: Tensor<3>,
    /// `[requests, slots]`: negative where there is none.
    pub ids: Tensor<2, Int>,
}

/// The same as nodes of a graph.
pub struct WindowNodes {
    /// `[requests, slots, d]`, zeros where there is none.
    pub behaviours: Value,
    /// `[requests, slots]`: what was done.
    pub kinds: Value,
    /// `[requests, slots]`: 1 where there is a behaviour.
    pub known: Value,
}

impl WindowNodes {
    /// The window as it is embedded.
    pub fn of(window: &export::Window) -> Self {
        Self { behaviours: window.behaviours.clone(), kinds: window.kinds.clone(), known: window.known.clone() }
    }
}

/// The weights of a stack of windows.
#[derive(Module, Debug)]
pub struct TargetAttention {
    /// From a candidate to its query `[stack, d, d]`, or to the hidden units of the activation unit `[stack, d, hidden]`.
    pub candidate: Linear,
    /// The activation unit, `[stack, 2 d + 1, hidden]`; none in attention.
    pub unit: Option<Param<Tensor<3>>>,
    /// What a place adds to the weight of its behaviour, the newest first: `[stack, 1, slots]`.
    pub places: Param<Tensor<3>>,
    /// What the kind of a behaviour adds, `[stack, Behaviour::COUNT, 1]`.
    pub kinds: Param<Tensor<3>>,
}

impl TargetAttention {
    /// For a stack of windows of so many slots `d` wide. In attention a candidate is `scale` times itself when it asks, at the start.
    pub fn new(init: &Init, name: &str, encoder: Encoder, [stack, slots, d]: [usize; 3], scale: f32) -> Self {
        let part = |part: &str| format!("{name}.{part}");
        let (candidate, unit, place) = match encoder {
            Encoder::Attention => (Linear::near_identity(init, &part("query"), [stack, d], scale, START), None, 0.0),
            Encoder::Unit => {
                let unit = init.normal(&part("unit"), [stack, 2 * d + 1, HIDDEN], libm::sqrt(2.0 / (2 * d + HIDDEN) as f64));
                (Linear::new(init, &part("offsets"), stack, d, HIDDEN), Some(unit), UNIT_WEIGHT)
            }
        };
        let kinds = init.normal(&part("kinds"), [stack, Behaviour::COUNT, 1], START);
        Self { candidate, unit, places: init.constant([stack, slots], place), kinds }
    }

    /// Parameters of such a stack.
    pub fn parameters(encoder: Encoder, [stack, slots, d]: [usize; 3]) -> usize {
        let own = match encoder {
            Encoder::Attention => (d + 1) * d,
            Encoder::Unit => (d + 1) * HIDDEN + (2 * d + 1) * HIDDEN,
        };
        stack * (own + slots + Behaviour::COUNT)
    }

    /// What a step computes with it: of a request its behaviours and what they add, of a candidate the weight of each behaviour and
    /// what it asks and reads.
    pub fn takes([stack, slots, d]: [usize; 3]) -> Takes {
        Takes { request: stack * slots * (d + 2), candidate: stack * (slots + 2 * d), ..Takes::NOTHING }
    }

    /// What each candidate `[stack, samples, d]` reads in its request's window, `[stack, samples, d]`; the samples of a request in a
    /// row. Nothing where the window is empty.
    pub fn forward(&self, candidates: Tensor<3>, window: Window) -> Tensor<3> {
        let Window { behaviours, kinds, ids } = window;
        let ([stack, samples, d], [requests, slots]) = (candidates.dims(), ids.dims());
        let kinds = kinds.reshape([1, requests * slots, Behaviour::COUNT]).expand([stack, requests * slots, Behaviour::COUNT]);
        let bias = product(kinds, self.kinds.val()).reshape([stack, requests, slots]) + self.places.val();
        let asked = self.candidate.forward(candidates.clone());
        let Some(unit) = &self.unit else {
            let flat = |tensor: Tensor<3>, rows: usize, columns: usize| tensor.reshape([stack * rows, columns]);
            return attend(flat(asked, samples, d), behaviours, flat(bias, requests, slots), ids.repeat_dim(0, stack))
                .reshape([stack, samples, d]);
        };
        let of_level = |level: usize| {
            let cut = |tensor: &Tensor<3>| tensor.clone().slice([level..level + 1]).squeeze_dim::<2>(0);
            let own = behaviours.clone().slice([level * requests..(level + 1) * requests]);
            activation_unit(cut(&candidates), cut(&asked), cut(&unit.val()), own, cut(&bias), ids.clone())
        };
        Tensor::stack((0..stack).map(of_level).collect(), 0)
    }

    /// Numbers of a behaviour.
    pub fn width(&self) -> usize {
        self.candidate.weight.dims()[1]
    }

    /// The nodes of one window of the stack, whose parameters' names begin with `path`: what candidates `[requests, candidates, d]` read.
    pub fn export(&self, graph: &mut Graph, path: &str, level: usize, candidates: &Value, window: &WindowNodes) -> Value {
        let asked = Linear::export(graph, &format!("{path}.candidate"), level, candidates);
        let [places, kinds] = ["places", "kinds"].map(|part| graph.layer(&format!("{path}.{part}"), level));
        let of_kind = graph.gather(&kinds, &window.kinds);
        let of_kind = graph.squeeze(&of_kind, -1);
        let bias = graph.add(&of_kind, &places);
        let [bias, known] = [&bias, &window.known].map(|of_slots| graph.unsqueeze(of_slots, 1));
        let weights = match &self.unit {
            None => {
                let asked = graph.times(&asked, 1.0 / (self.width() as f32).sqrt());
                let behaviours = graph.transpose(&window.behaviours, &[0, 2, 1]);
                let logits = graph.matmul(&asked, &behaviours);
                let logits = graph.add(&logits, &bias);
                let [nothing, masked] = [0.0, MASKED].map(|number| graph.number(number));
                let counts = graph.is_less(&nothing, &known);
                let logits = graph.choose(&counts, &logits, &masked);
                graph.softmax(&logits)
            }
            Some(_) => {
                let weights = self.export_unit(graph, path, level, (candidates, &asked), &window.behaviours);
                let weights = graph.add(&weights, &bias);
                graph.mul(&weights, &known)
            }
        };
        graph.matmul(&weights, &window.behaviours)
    }

    /// What the activation unit says, `[requests, candidates, slots]`.
    fn export_unit(
        &self,
        graph: &mut Graph,
        path: &str,
        level: usize,
        (candidates, offsets): (&Value, &Value),
        behaviours: &Value,
    ) -> Value {
        let (d, numbers) = (self.width(), graph.floats(&format!("{path}.unit")));
        let rows = |part: std::ops::Range<usize>| {
            let start = level * (2 * d + 1) * HIDDEN;
            numbers.get(start + part.start * HIDDEN..start + part.end * HIDDEN).unwrap_or_default().to_vec()
        };
        let part = |name: &str| format!("{path}.unit.{level}.{name}");
        let alone = graph.constant(&part("behaviour"), rows(0..d), &[d, HIDDEN]);
        let product = graph.constant(&part("product"), rows(d..2 * d), &[d, HIDDEN]);
        let last = graph.constant(&part("last"), rows(2 * d..2 * d + 1), &[HIDDEN]);
        let (candidates, offsets) = (graph.unsqueeze(candidates, 2), graph.unsqueeze(offsets, 2));
        let behaviours = graph.unsqueeze(behaviours, 1);
        let of_behaviour = graph.matmul(&behaviours, &alone);
        let both = graph.mul(&candidates, &behaviours);
        let of_both = graph.matmul(&both, &product);
        let hidden = graph.add(&offsets, &of_behaviour);
        let hidden = graph.add(&hidden, &of_both);
        let hidden = graph.relu(&hidden);
        let weights = graph.dot(&hidden, &last);
        graph.squeeze(&weights, -1)
    }
}
