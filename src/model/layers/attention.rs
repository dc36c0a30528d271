//! How a window of behaviours becomes a vector for each candidate, who asks which of them matter: target attention, in one of two
//! forms ([`Encoder`]). Several windows of the same places, as UHSE has one a level, are a stack and pass together.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

use super::dense::{Init, Linear};
use crate::config::Encoder;
use crate::data::Behaviour;
use crate::kernels::{activation_unit, attend, product};
use crate::model::takes::Takes;

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
}
