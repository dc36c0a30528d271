//! A ranker: PLE over what its components give, and one step of training. It knows no component: it loops over those that the
//! registry's row names.
//!
//! Who receives whose gradient (Eq. 15 with the paper's stops):
//!
//! | parameter | L_MTL | L_aux | uie | upbe | uhse |
//! | --- | --- | --- | --- | --- | --- |
//! | embeddings, PLE, task towers | x | - | - | - | - |
//! | auxiliary towers | - | x | - | - | - |
//! | user centres | - | - | x | - | - |
//! | personal vectors, gates | x | - | - | - | - |
//! | memories of behaviours | - | - | - | x | - |
//! | item centres | - | - | - | - | x |

mod export;
mod joint;
pub(crate) mod sizes;
mod snapshot;
mod step;

use std::any::Any;
use std::cell::OnceCell;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};

pub use self::export::ExportError;
pub use self::sizes::dense_parameters;
pub use self::step::{Graph, StepGradients};
use super::batch::{Layout, TestBatch, TestPlanner, View};
use super::component::{Building, Clustered, Component, Features, Found, Frozen, Kind, Leaves, Reads, SideFeatures, StepLoss};
use super::components;
use super::components::enhancement::EnhancementOf;
use super::layers::dense::Init;
use super::layers::ghca::{Memory, Observation, Reseeded};
use super::layers::graph::joined;
use super::layers::ple::Ple;
use super::layers::table::{Ids, PersonalTable, RowTable};
use super::layers::weights::Weights;
use super::together::Together;
use crate::config::Config;
use crate::counter::{Counter, Stream};
use crate::data::Side;
use crate::data::protocol::Batch;
use crate::data::rows::Segment;
use crate::variants::Variant;

/// Items whose centres are looked up at once before an evaluation.
const REFRESH_CHUNK: usize = 16_384;

/// What the clustering saw in a step.
#[derive(Clone)]
pub struct LastStep {
    /// Users and consumed items, one a request.
    pub clustered: [Option<Clustered>; 2],
    /// Whose rows they are.
    pub host: Arc<Batch>,
}

/// What a test batch gives.
pub struct Scored {
    /// Logits of the reported task, `[samples]`.
    pub logits: Tensor<1>,
    /// Users and first candidates, one a request.
    pub clustered: [Option<Clustered>; 2],
}

/// What the host wants to see of a side's memory.
pub struct Due {
    /// Whose memory.
    pub side: Side,
    /// The vectors that clustered, the centres, their running mean and their hits: the tensors of an [`Observed`], in order.
    pub tensors: [Tensor<2>; 4],
}

/// The numbers of a [`Due`].
pub struct Observed {
    /// `[requests, m]`: the vectors that clustered.
    pub v: Vec<f32>,
    /// `[rows, m]`: the centres.
    pub centres: Vec<f32>,
    /// `[m]`: the running mean.
    pub mean: Vec<f32>,
    /// `[rows]`: samples of each centre.
    pub hits: Vec<f32>,
}

/// One model in training.
pub struct Ranker {
    variant: Variant,
    config: Config,
    layout: Layout,
    device: Device,
    embeddings: RowTable,
    ple: Weights<Ple>,
    components: Vec<Box<dyn Component>>,
    /// What they are called.
    names: Vec<&'static str>,
    views: Vec<&'static View>,
    steps: u64,
    pass: u32,
    /// Whether the memories are of a file and the training rows that come may be those that filled them.
    is_restored: bool,
    losses: Option<Vec<StepLoss>>,
    last: Option<LastStep>,
    together: Together,
}

impl Ranker {
    /// A fresh model on a device (without autodiff; the ranker adds it where it needs it).
    pub fn new(config: &Config, variant: Variant, layout: Layout, device: &Device) -> Self {
        Self::with(config, variant, &[], layout, device)
    }

    /// [`Ranker::new`] with components beside those of the variant's row: what a crate that uses this one adds
    /// (`examples/add_component.rs`).
    pub fn with(run: &Config, variant: Variant, added: &[&'static Kind], layout: Layout, device: &Device) -> Self {
        let config = &run.of(variant);
        let init = Init::new(config.seed, &device.clone().autodiff());
        let kinds = [components::of(variant), added.to_vec()].concat();
        let (base, adds) = (sizes::base(config), sizes::adds(config, &kinds));
        let building = Building { config, init: &init, device, vocabulary: layout.vocabulary(), base };
        let mut components: Vec<Box<dyn Component>> = kinds.iter().map(|kind| (kind.build)(&building)).collect();
        let mut names: Vec<&'static str> = kinds.iter().map(|kind| kind.name).collect();
        for (side, vectors) in Side::BOTH.into_iter().zip(adds.sides) {
            if let Some(enhancement) = EnhancementOf::new(&building, side, vectors) {
                names.push(enhancement.name());
                components.push(Box::new(enhancement));
            }
        }
        let embeddings = Counter::new(config.seed, Stream::Embeddings);
        let starting = |i: u64| (config.embedding_std * embeddings.normal(i)) as f32;
        Self {
            embeddings: RowTable::new(layout.rows(), config.embedding, device, starting),
            ple: Weights::new(
                "ple",
                Ple::new(&init, &sizes::ple(config, &kinds), sizes::inputs(config, &kinds), base.request + base.candidate),
            ),
            views: kinds.iter().filter_map(|kind| kind.view).collect(),
            components,
            names,
            variant,
            config: run.clone(),
            layout,
            device: device.clone(),
            steps: 0,
            pass: 0,
            is_restored: false,
            losses: None,
            last: None,
            together: Together::default(),
        }
    }

    /// The same, a part of every batch computed here and the others by other processes.
    #[must_use]
    pub fn together(self, together: Together) -> Self {
        Self { together, ..self }
    }

    /// Which model this is.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// The histories whose embeddings it learns beside those of the newest behaviour.
    pub fn views(&self) -> &[&'static View] {
        &self.views
    }

    /// PLE.
    pub fn ple(&self) -> &Ple {
        self.ple.module()
    }

    /// The embedding table.
    pub fn embeddings(&self) -> &RowTable {
        &self.embeddings
    }

    /// Its components of a type.
    pub fn parts<T: Component>(&self) -> impl Iterator<Item = &T> {
        self.components.iter().filter_map(|component| (component.as_ref() as &dyn Any).downcast_ref())
    }

    /// The components' own tables.
    pub fn tables(&self) -> impl Iterator<Item = &PersonalTable> {
        self.components.iter().filter_map(|component| component.table())
    }

    /// The clusters of a side.
    pub fn memory(&self, side: Side) -> Option<&Memory> {
        self.parts::<Memory>().find(|memory| memory.side() == side)
    }

    /// Losses of the last step.
    pub fn losses(&self) -> Option<&[StepLoss]> {
        self.losses.as_deref()
    }

    /// The clustering's view of the last step.
    pub fn last(&self) -> Option<&LastStep> {
        self.last.as_ref()
    }

    /// What the host wants to see of the last step: the memories whose clock is due at a step of `planned`.
    pub fn due(&self, step: u64, planned: u64) -> Vec<Due> {
        let Some(last) = &self.last else { return Vec::new() };
        let due = self.components.iter().filter_map(|component| component.due(step, planned));
        let seen = |(side, [centres, mean, hits]): (Side, [Tensor<2>; 3])| {
            let v = last.clustered[side as usize].as_ref()?.v.clone();
            Some(Due { side, tensors: [v, centres, mean, hits] })
        };
        due.filter_map(seen).collect()
    }

    /// The host's part of a side's memory, after [`Ranker::due`] wanted it: the first fill (A6), or re-seeding (A7), after which
    /// whatever stood for a centre that was born again stands for it no longer.
    pub fn keep_up(&mut self, side: Side, step: u64, planned: u64, observed: Observed) -> Option<Reseeded> {
        let host = &self.last.as_ref()?.host;
        let members = match side {
            Side::Users => host.user.clone(),
            Side::Items => host.consumed().collect(),
        };
        let positive = host.consumed_labels().map(|label| label > 0.5).collect();
        let Observed { v, centres, mean, hits } = observed;
        let seen = Observation { v, members, positive, centres, hits, mean };
        let reseeded = self.components.iter_mut().find_map(|component| component.keep_up(side, step, planned, &seen))?;
        let steps = self.steps;
        self.components.iter_mut().for_each(|component| component.forget(side, &reseeded, steps));
        Some(reseeded)
    }

    /// What scoring looks up anew, once for many batches: every item's centre (A19). `categories` is the category of each item.
    pub fn frozen(&self, categories: &[u32]) -> Frozen {
        let mut frozen = Frozen::default();
        let all = || self.assign_items(categories);
        self.components.iter().for_each(|component| component.freeze(&all, &mut frozen));
        frozen
    }

    /// Looks every item's centre up anew, for the steps of training that come: those of items that have not passed for long stand for
    /// what they were then. `categories` is the category of each item.
    pub fn refresh(&mut self, categories: &[u32]) {
        if let Some(assigned) = self.assign_items(categories) {
            let steps = self.steps;
            self.components.iter_mut().for_each(|component| component.refresh(&assigned, steps));
        }
    }

    /// What scoring between steps of training looks up: nothing anew, so it sees the items' centres as training does, as they last
    /// passed or were refreshed. Looking every item up would have to be done after each step.
    pub fn live(&self) -> Frozen {
        Frozen::default()
    }

    /// Moves a batch to the device, to be scored by this model.
    pub fn test_batch(&self, batch: Arc<Batch>) -> TestBatch {
        TestPlanner::new(self.layout, std::iter::once(self.views())).plan(batch).load(&self.device)
    }

    /// Every item's centre, `[items, 2]`; none where an item's vector is not its own alone, and before the first fill.
    fn assign_items(&self, categories: &[u32]) -> Option<Tensor<2, Int>> {
        let memory = self.memory(Side::Items).filter(|memory| memory.is_filled())?;
        let items: Vec<u32> = (0..categories.len() as u32).collect();
        let chunks = items.chunks(REFRESH_CHUNK).zip(categories.chunks(REFRESH_CHUNK)).map(|(items, categories)| {
            let ids = self.layout.candidates(items, categories);
            let ids = Ids::new(Segment { ids: &ids, bags: self.layout.candidate_bags() }, &self.device);
            let candidates = self.embeddings.pool(&ids);
            Some(memory.assign(self.components.iter().find_map(|component| component.encode_items(&candidates))?))
        });
        Some(Tensor::cat(chunks.collect::<Option<Vec<_>>>()?, 0))
    }

    /// Scores a test batch, with what [`Ranker::frozen`] or [`Ranker::live`] looked up.
    pub fn score(&self, frozen: &Frozen, batch: &TestBatch) -> Scored {
        let (found, logits) = self.look_at(frozen, batch);
        let [_, samples, _] = logits.dims();
        let clustered = Side::BOTH.map(|side| found.clustered(side));
        Scored { logits: logits.slice([0..1]).reshape([samples]), clustered }
    }

    /// The logits of every task for a test batch, `[tasks, samples]`.
    pub fn score_tasks(&self, frozen: &Frozen, batch: &TestBatch) -> Tensor<2> {
        let (_, logits) = self.look_at(frozen, batch);
        let [tasks, samples, _] = logits.dims();
        logits.reshape([tasks, samples])
    }

    /// What the components find for a test batch, and the logits.
    fn look_at(&self, frozen: &Frozen, batch: &TestBatch) -> (Found, Tensor<3>) {
        let TestBatch { candidates, requests, views, users, items, dense, low_active, host } = batch;
        let is_own = |name: &str| self.views.iter().any(|view| view.name == name);
        let leaves = Leaves {
            candidates: self.embeddings.pool(candidates),
            requests: self.embeddings.pool(requests),
            views: views.iter().filter(|(name, _)| is_own(name)).map(|(name, ids)| (*name, self.embeddings.pool(ids))).collect(),
            own: self.own_rows(users, items),
        };
        let reads = Reads {
            host,
            candidates,
            users,
            items,
            dense,
            low_active,
            kept: None,
            leaves: &leaves,
            frozen,
            steps: self.steps,
            joint: host,
            together: &self.together,
            embeddings: &self.embeddings,
            whole: OnceCell::new(),
        };
        self.forward(&reads)
    }

    /// Rows of the components' own tables.
    fn own_rows(&self, users: &Ids, items: &Ids) -> Vec<(&'static str, Tensor<2>)> {
        let ids = |side: Side| match side {
            Side::Users => users,
            Side::Items => items,
        };
        self.tables().map(|table| (table.name(), table.rows.pool(ids(table.side())))).collect()
    }

    /// Every component in turn, then PLE over what they gave. The components' features stand before those of the sides.
    fn forward(&self, reads: &Reads<'_>) -> (Found, Tensor<3>) {
        let (mut found, mut features) = (Found::default(), Features::default());
        self.components.iter().for_each(|component| component.forward(reads, &mut found, &mut features));
        let Features { request, candidate, sides: [users, items], tower_gates } = features;
        let mut request: Vec<Tensor<2>> = [reads.leaves.requests.clone(), reads.counts()].into_iter().chain(request).collect();
        let mut candidate: Vec<Tensor<2>> = std::iter::once(reads.leaves.candidates.clone()).chain(candidate).collect();
        let lift = |flags: Vec<Tensor<2>>| flags.into_iter().map(|flag| reads.lift(flag)).collect::<Vec<_>>();
        let SideFeatures { vectors, flags, fits, matches, .. } = users;
        request.extend(vectors.into_iter().chain(lift(flags)));
        candidate.extend(fits.into_iter().chain(matches));
        let SideFeatures { vectors, flags, matches, .. } = items;
        candidate.extend(vectors.into_iter().chain(lift(flags)).chain(matches));
        let ple = self.ple.read(reads.is_training());
        let logits = ple.forward(joined(request, 1), joined(candidate, 1), &tower_gates);
        found.logits = Some(logits.clone());
        (found, logits)
    }
}
