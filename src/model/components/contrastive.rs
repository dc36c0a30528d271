//! PLE with CL: contrastive learning for low-active users (Yao et al. 2021), in an adaptation of ours.
//!
//! Two views of each low-active user of a batch who has a history (once a user): complementary correlated feature masking (a
//! seed feature and the `floor(k / 2)` features most correlated with it by mutual information are masked in one view, the
//! others in the other) over histories from which each value was dropped with probability 0.3. Both views pass one perceptron
//! over the shared user embeddings, and InfoNCE on their cosines pulls the views of a user together. `L = L_MTL + 0.1 L_self`.

use std::collections::HashMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, activation::log_softmax};

use crate::checkpoint::{Array, CheckpointError, Gathering, Values};
use crate::counter::{Counter, Stream};
use crate::data::Behaviour;
use crate::data::protocol::Batch;
use crate::data::rows::Bags;
use crate::metrics::Term;
use crate::model::batch::{DeviceBatch, Layout, REQUEST_FIELDS, View, flags};
use crate::model::component::{Component, Found, GraphLoss, Kind, Reads, Restoring, Takes};
use crate::model::export::{self, NoNodes};
use crate::model::layers::dense::{Init, Mlp};
use crate::model::layers::weights::{Parameters, Weights};
use crate::onnx::Graph;

const LOSS: Term = Term { title: "Added loss", about: "What PLE+CL or PLE+TL adds to the ranking loss.", names: &["loss_adaptation"] };

/// Two views of each low-active user's whole history with dropped values.
const VIEWS: View = View { name: "contrastive", is_scored: false, bags: |layout| Bags { bags: 4, ..layout.whole_bags() }, ids: views };

/// PLE with CL.
pub static KINDS: [Kind; 1] = [Kind {
    view: Some(&VIEWS),
    losses: &[&LOSS],
    takes: |config| Takes { request: VIEW_COPIES * config.embedding, ..Takes::NOTHING },
    ..Kind::new("contrastive", |building| {
        Box::new(ContrastiveLearning {
            weights: Weights::new("contrastive", Contrastive::new(building.init, building.config.embedding)),
            correlations: None,
            weight: building.config.contrastive_weight,
            random: Counter::new(building.config.seed, Stream::Views).lane(u64::MAX),
        })
    })
}];

/// Embeddings of both views, items and categories, pooled and in the encoder's input.
const VIEW_COPIES: usize = 8;
/// Probability that a view drops a history value.
const VIEW_DROP: f64 = 0.3;
/// Temperature of InfoNCE.
const TEMPERATURE: f32 = 0.1;
/// Widths of the perceptron over a view.
const WIDTHS: [usize; 2] = [128, 64];
/// Features that are masked: the embedded fields and the counts.
const FEATURES: usize = REQUEST_FIELDS + 1;
/// What the features that go together are called in a checkpoint.
const CORRELATIONS: &str = "contrastive.partners";
/// Keeps the cosine of a view of which nothing is left from an infinite gradient.
const TINY: f32 = 1e-6;
/// Logit of a pair that does not count.
const HIDDEN: f32 = -1e9;

/// The perceptron over views.
#[derive(Module, Debug)]
pub struct Contrastive {
    tower: Mlp,
}

/// Which features go together: `floor(k / 2)` partners of each, by mutual information over the requests of a batch.
#[derive(Clone, Debug)]
pub struct Correlations([Vec<usize>; FEATURES]);

impl Correlations {
    /// Of the users' features in a batch; a bag counts by its newest value.
    pub fn new(batch: &Batch) -> Self {
        let features: [Vec<u64>; FEATURES] = [
            batch.user.iter().map(|&id| id.into()).collect(),
            batch.activity.iter().map(|&id| id.into()).collect(),
            batch.history_items.iter().step_by(batch.history).map(|&id| id.into()).collect(),
            batch.history_categories.iter().step_by(batch.history).map(|&id| id.into()).collect(),
            // Counts to a quarter of their logarithm's scale.
            batch.counts.iter().step_by(Behaviour::COUNT).map(|&count| (20.0 * count) as u64).collect(),
        ];
        Self(std::array::from_fn(|seed| {
            let mut others: Vec<usize> = (0..FEATURES).filter(|&other| other != seed).collect();
            let information = |other: usize| mutual_information(&features[seed], &features[other]);
            others.sort_by(|&a, &b| information(b).total_cmp(&information(a)).then(a.cmp(&b)));
            others.truncate(FEATURES / 2);
            others
        }))
    }

    /// `[FEATURES, FEATURES / 2]`
    fn to_array(&self) -> Array {
        let partners = self.0.iter().flatten().map(|&feature| feature as i32).collect();
        Array { shape: vec![FEATURES, FEATURES / 2], values: Values::Integers(partners) }
    }

    /// What [`Correlations::to_array`] gave.
    fn from_array(partners: &[i32]) -> Self {
        let of = |seed: usize| partners.iter().skip(seed * (FEATURES / 2)).take(FEATURES / 2).map(|&feature| feature as usize);
        Self(std::array::from_fn(|seed| of(seed).collect()))
    }

    /// The features that are masked in the first view: 1 where masked.
    fn masked(&self, seed: usize) -> [bool; FEATURES] {
        std::array::from_fn(|feature| feature == seed || self.0[seed].contains(&feature))
    }
}

/// Mutual information of two discrete features in nats, by their empirical frequencies.
fn mutual_information(a: &[u64], b: &[u64]) -> f64 {
    let entropy = |keys: &mut dyn Iterator<Item = (u64, u64)>| {
        let mut counts: HashMap<(u64, u64), f64> = HashMap::new();
        keys.for_each(|key| *counts.entry(key).or_default() += 1.0);
        let mut shares: Vec<f64> = counts.into_values().map(|n| n / a.len() as f64).collect();
        // Summed in one order, whatever the hash map's is.
        shares.sort_by(f64::total_cmp);
        -shares.into_iter().map(|p| p * libm::log(p)).sum::<f64>()
    };
    let single = |values: &[u64]| entropy(&mut values.iter().map(|&value| (value, 0)));
    single(a) + single(b) - entropy(&mut a.iter().copied().zip(b.iter().copied()))
}

impl Contrastive {
    /// For embeddings of width `d`.
    pub fn new(init: &Init, d: usize) -> Self {
        Self { tower: Mlp::new(init, "contrastive", 1, REQUEST_FIELDS * d + Behaviour::COUNT, &WIDTHS, false) }
    }

    /// Both views of each user, of length 1, `[requests, 64]` each, from the request fields (`[requests, fields d]`, user and activity
    /// first), both views' histories `[requests, 4 d]` (items and categories of the first, then of the second), and the counts. The seed
    /// feature is drawn from `random` at `step`.
    pub fn views(
        &self,
        requests: Tensor<2>,
        views: Tensor<2>,
        counts: Tensor<2>,
        correlations: &Correlations,
        (random, step): (Counter, u64),
    ) -> [Tensor<2>; 2] {
        let [n, columns] = views.dims();
        let d = columns / 4;
        let first = correlations.masked(random.below(step, FEATURES as u64) as usize);
        let own = requests.slice([0..n, 0..2 * d]);
        let embed = |view: usize, masked: [bool; FEATURES]| {
            let history = views.clone().slice([0..n, 2 * view * d..2 * (view + 1) * d]);
            let features = Tensor::cat(vec![own.clone(), history, counts.clone()], 1) * mask(masked, d, &counts.device());
            let z = self.tower.forward(features.unsqueeze_dim(0)).squeeze_dim::<2>(0);
            z.clone() / (z.square().sum_dim(1) + TINY).sqrt()
        };
        [embed(0, first), embed(1, first.map(|masked| !masked))]
    }
}

/// `[1, 4 d + counts]`: 0 where a feature is masked.
fn mask(masked: [bool; FEATURES], d: usize, device: &Device) -> Tensor<2> {
    let widths = [d, d, d, d, Behaviour::COUNT];
    let values: Vec<f32> = masked.iter().zip(widths).flat_map(|(&masked, width)| vec![if masked { 0.0 } else { 1.0 }; width]).collect();
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [1, length]), device)
}

/// `-(1/n) sum_i ln (exp(a_i . b_i / tau) / sum_j exp(a_i . b_j / tau))` over the `n` rows with weight 1, `[1]`.
pub fn info_nce(a: Tensor<2>, b: Tensor<2>, weights: Tensor<2>) -> Tensor<1> {
    let absent = (weights.clone().swap_dims(0, 1).neg() + 1.0) * HIDDEN;
    let logits = a.matmul(b.swap_dims(0, 1)) / TEMPERATURE + absent;
    let [n, _] = logits.dims();
    let diagonal = Tensor::<2>::eye(n, &weights.device());
    let own = (log_softmax(logits, 1) * diagonal).sum_dim(1);
    (own * weights.clone()).sum().neg() / weights.sum().clamp_min(1.0)
}

/// Ids of two views a request: in each, values of the whole history of a low-active user are dropped, item and category together.
/// Nobody else has views.
fn views(layout: &Layout, batch: &Batch, random: Counter) -> Vec<u32> {
    let views = (0..batch.requests).flat_map(|r| (0..2).map(move |view| (r, view)));
    let keep = |r: usize, view: usize| {
        let lane = random.lane((2 * r + view) as u64);
        move |place: usize| batch.low_active[r] && lane.uniform(place as u64) >= VIEW_DROP
    };
    views.flat_map(|(r, view)| layout.history(batch, r, batch.history, keep(r, view)).collect::<Vec<_>>()).collect()
}

/// PLE with CL in training.
pub struct ContrastiveLearning {
    weights: Weights<Contrastive>,
    /// Which features are masked together: decided by the first batch in which most users have a history. At the start of a stream
    /// nobody has, and whatever goes together there is chance.
    correlations: Option<Correlations>,
    /// Of the loss.
    weight: f64,
    random: Counter,
}

impl ContrastiveLearning {
    /// The perceptron over views.
    pub fn module(&self) -> &Contrastive {
        self.weights.module()
    }
}

impl Component for ContrastiveLearning {
    fn weights(&self) -> Option<&dyn Parameters> {
        Some(&self.weights)
    }

    fn weights_mut(&mut self) -> Option<&mut dyn Parameters> {
        Some(&mut self.weights)
    }

    /// Nothing: it only learns.
    fn export(
        &self,
        _graph: &mut Graph,
        _reads: &export::Reads,
        _found: &mut export::Found,
        _features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        Ok(())
    }

    fn prepare(&mut self, batch: &Batch) {
        if self.correlations.is_none() && mostly_known(batch) {
            self.correlations = Some(Correlations::new(batch));
        }
    }

    fn gather(&self, prefix: &str, into: &mut Gathering) {
        if let Some(correlations) = self.correlations.as_ref().filter(|_| into.is_of_run()) {
            into.host(format!("{prefix}{CORRELATIONS}"), correlations.to_array());
        }
    }

    fn restore(&mut self, from: &Restoring<'_>) -> Result<(), CheckpointError> {
        if from.of_run {
            let is_there = from.state.arrays.contains_key(CORRELATIONS);
            self.correlations = is_there.then(|| from.state.integers(CORRELATIONS).map(Correlations::from_array)).transpose()?;
        }
        Ok(())
    }

    fn losses(&self, reads: &Reads<'_>, _found: &Found, _batch: &DeviceBatch) -> Vec<GraphLoss> {
        let (Some(views), Some(correlations)) = (reads.leaves.view(&VIEWS), &self.correlations) else { return Vec::new() };
        let weights = reads.lift(taking_part(reads.joint, &reads.low_active.device()));
        let (requests, random) = (reads.leaves.requests.clone(), (self.random, reads.steps));
        let own = self.module().views(requests, views.clone(), reads.counts(), correlations, random);
        // All users of the batch meet, whichever process has them.
        let [a, b] = own.map(|own| reads.together.among_all(own));
        let value = reads.together.of_whole(info_nce(a, b, weights));
        vec![GraphLoss { term: Some(&LOSS), value, weight: self.weight }]
    }
}

/// Whether most of a batch's users have a history.
fn mostly_known(batch: &Batch) -> bool {
    2 * (0..batch.requests).filter(|&request| batch.has_history(request)).count() > batch.requests
}

/// `[requests, 1]`: 1 for the first request of each low-active user that has a history.
///
/// Without a history one of the two views is nothing: every cosine is 0, the exact gradient is 0, and Adam made whole steps of its
/// rounding, other ones on every device.
fn taking_part(batch: &Batch, device: &Device) -> Tensor<2> {
    let mut known = std::collections::HashSet::new();
    flags((0..batch.requests).map(|r| batch.low_active[r] && batch.has_history(r) && known.insert(batch.user[r])), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutual_information_is_entropy_for_twins_and_none_for_strangers() {
        let a: Vec<u64> = (0..64).map(|i| i % 4).collect();
        let twin: Vec<u64> = a.iter().map(|x| 7 - x).collect();
        let stranger: Vec<u64> = (0..64).map(|i| i / 4 % 4).collect();
        assert!((mutual_information(&a, &twin) - 4.0f64.ln()).abs() < 1e-12);
        assert!(mutual_information(&a, &stranger).abs() < 1e-12);
    }

    #[test]
    fn the_views_masks_are_complements_of_seed_and_partners() {
        let correlations = Correlations([vec![1, 4], vec![0, 4], vec![3, 0], vec![2, 0], vec![1, 0]]);
        assert_eq!(correlations.masked(2), [true, false, true, true, false]);
    }
}
