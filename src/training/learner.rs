//! The training loop: a step of every ranker on a batch, then the host's part of their memories. Whatever trains, the comparison, a
//! device's trial, the simulation, a trace, does it here.

use std::sync::Arc;

use burn::tensor::Device;

use super::TrainError;
use super::losses::AskedLosses;
use super::readback::{Asked, ReadBack};
use crate::checkpoint::run::{self, Checkpoint, Model};
use crate::checkpoint::{CheckpointError, Gathering, State};
use crate::config::{Config, ConfigError};
use crate::data::protocol::Batch;
use crate::data::{Side, Vocabulary};
use crate::metrics::Losses;
use crate::model::batch::{DeviceBatch, Layout, Planned, PlannedTest, Planner, TestBatch, TestPlanner};
use crate::model::layers::ghca::Reseeded;
use crate::model::ranker::{Due, Observed, Ranker};
use crate::model::together::Together;
use crate::platform;
use crate::variants::Variant;

/// Centres that the host filled or re-seeded after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// Whose.
    pub variant: Variant,
    /// Users' or items'.
    pub side: Side,
    /// Which.
    pub reseeded: Reseeded,
}

/// Rankers in training on the same batches.
pub struct Learner {
    rankers: Vec<Ranker>,
    planner: Planner,
    layout: Layout,
    config: Config,
    device: Device,
    is_parallel: bool,
    step: u64,
    planned: u64,
    /// `[items]`: the category of each, where the items' centres are refreshed on a clock.
    categories: Option<Arc<[u32]>>,
    /// Batches moved to the device: what is drawn for one depends on how many came before.
    loaded: u64,
    together: Together,
}

impl Learner {
    /// Fresh rankers of variants that are trained, on a device without autodiff, before the first of `planned` steps: the clocks
    /// of re-seeding scale with them.
    pub fn new(config: &Config, variants: &[Variant], vocabulary: Vocabulary, device: &Device, planned: u64) -> Self {
        let layout = Layout::new(vocabulary, config);
        let rankers = variants.iter().map(|&variant| Ranker::new(config, variant, layout, device)).collect();
        Self::of(rankers, layout, config, device, planned)
    }

    /// The same of fresh rankers that the caller built ([`Ranker::with`]), all with this layout and configuration on this device.
    pub fn of(rankers: Vec<Ranker>, layout: Layout, config: &Config, device: &Device, planned: u64) -> Self {
        Self {
            planner: Planner::new(layout, rankers.iter().map(Ranker::views), config),
            rankers,
            layout,
            config: config.clone(),
            device: device.clone(),
            is_parallel: false,
            step: 0,
            planned,
            categories: None,
            loaded: 0,
            together: Together::default(),
        }
    }

    /// The same, every batch shared by several processes that take the same steps. Whatever else they do, each makes the same calls.
    ///
    /// # Errors
    /// A batch that has not as many requests for each.
    pub fn together(self, together: Together) -> Result<Self, ConfigError> {
        let (processes, per_request) = (together.processes(), self.config.batch / self.config.requests().max(1));
        if !self.config.requests().is_multiple_of(processes) {
            let wanted = format!("a multiple of {}, so that each of {processes} processes has as much of it", processes * per_request);
            return Err(ConfigError::new("batch", self.config.batch, wanted));
        }
        let rankers = self.rankers.into_iter().map(|ranker| ranker.together(together.clone())).collect();
        Ok(Self { rankers, together, ..self })
    }

    /// The same, every item's centre looked up anew on a clock (`refresh_every`), as it is before a test (A19). `categories` is the
    /// category of each item.
    #[must_use]
    pub fn refreshing(self, categories: Arc<[u32]>) -> Self {
        Self { categories: Some(categories), ..self }
    }

    /// The same, each ranker on a thread of its own: for the CPU. The numbers do not depend on it.
    #[must_use]
    pub fn in_parallel(self, is_parallel: bool) -> Self {
        Self { is_parallel, ..self }
    }

    /// The processes that share its batches.
    pub(crate) fn processes(&self) -> &Together {
        &self.together
    }

    /// Whether rankers take steps beside each other: not where they speak with other processes, which must hear all in one order.
    fn is_parallel(&self) -> bool {
        self.is_parallel && self.together.processes() == 1
    }

    /// One learner for each ranker, in their order, which goes on alone.
    pub fn apart(self) -> impl Iterator<Item = Self> {
        let Self { rankers, layout, config, device, step, planned, categories, together, .. } = self;
        rankers.into_iter().map(move |ranker| Self {
            planner: Planner::new(layout, std::iter::once(ranker.views()), &config),
            rankers: vec![ranker],
            layout,
            config: config.clone(),
            device: device.clone(),
            is_parallel: false,
            step,
            planned,
            categories: categories.clone(),
            loaded: 0,
            together: together.clone(),
        })
    }

    /// The rankers, in the order of their variants.
    pub fn rankers(&self) -> &[Ranker] {
        &self.rankers
    }

    /// Where each vocabulary begins in the embedding table.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Steps that were planned.
    pub fn planned(&self) -> u64 {
        self.planned
    }

    /// Trains every ranker on a batch, then fills and re-seeds the centres whose clock is due (A6, A7), and looks the items' up (A19).
    ///
    /// # Errors
    /// A device that failed.
    pub async fn learn(&mut self, batch: Arc<Batch>) -> Result<Vec<Upkeep>, TrainError> {
        let batch = self.plan(batch);
        self.learn_planned(batch).await
    }

    /// [`Learner::learn`] on a batch that a planner of this learner planned, after as many others as were learned from.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn learn_planned(&mut self, batch: Planned) -> Result<Vec<Upkeep>, TrainError> {
        let batch = self.load_planned(batch);
        self.learn_by(&batch, Ranker::step).await
    }

    /// [`Learner::learn`] on a batch that [`Learner::load`] gave, with another way to take [`Ranker::step`]: one that looks at what
    /// it finds on the way.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn learn_by(
        &mut self,
        batch: &DeviceBatch,
        step: impl Fn(&mut Ranker, &DeviceBatch) + Sync,
    ) -> Result<Vec<Upkeep>, TrainError> {
        self.step += 1;
        let is_parallel = self.is_parallel();
        platform::for_each(&mut self.rankers, is_parallel, |ranker| step(ranker, batch));
        let kept = self.keep_up().await?;
        let every = self.config.refresh_every;
        if let Some(categories) = self.categories.as_ref().filter(|_| every > 0 && self.step.is_multiple_of(every)) {
            platform::for_each(&mut self.rankers, is_parallel, |ranker| ranker.refresh(categories));
        }
        Ok(kept)
    }

    /// Moves a batch to the device, once for all rankers.
    pub fn load(&mut self, batch: Arc<Batch>) -> DeviceBatch {
        let batch = self.plan(batch);
        self.load_planned(batch)
    }

    fn load_planned(&mut self, batch: Planned) -> DeviceBatch {
        self.loaded += 1;
        let batch = batch.load(&self.device);
        match self.together.part(batch.host.requests) {
            Some(requests) => batch.with_own(requests),
            None => batch,
        }
    }

    /// Plans the next batch.
    pub fn plan(&mut self, batch: Arc<Batch>) -> Planned {
        self.planner.plan(self.loaded, batch)
    }

    /// What lays out test batches for all rankers, here or on another thread.
    pub fn test_planner(&self) -> TestPlanner {
        TestPlanner::new(self.layout, self.rankers.iter().map(Ranker::views))
    }

    /// Moves a test batch to the device, once for all rankers.
    pub fn test_batch(&self, batch: PlannedTest) -> TestBatch {
        batch.load(&self.device)
    }

    /// A planner for another thread.
    pub fn planner(&self) -> Planner {
        Planner::new(self.layout, self.rankers.iter().map(Ranker::views), &self.config)
    }

    /// Lets the ranker that weights are of go on from them.
    ///
    /// # Errors
    /// Weights that do not fit, or of a variant that is not trained here. Then nothing has changed.
    pub fn restore(&mut self, state: &State) -> Result<Variant, CheckpointError> {
        let variant = state.description.variant;
        let expected = || self.rankers.iter().map(|ranker| ranker.variant().key()).collect::<Vec<_>>().join(", ");
        let missing = || CheckpointError::Variant { found: variant.key().into(), expected: expected() };
        let at = self.rankers.iter().position(|ranker| ranker.variant() == variant).ok_or_else(missing)?;
        self.rankers[at].restore(state, self.step)?;
        Ok(variant)
    }

    /// All that the next steps depend on, with its name in a checkpoint.
    pub(crate) fn gather_run(&self) -> Gathering {
        let mut gathering = Gathering::of_run();
        self.rankers.iter().for_each(|ranker| ranker.gather(&run::prefix(ranker.variant()), &mut gathering));
        gathering
    }

    /// What a checkpoint says of the rankers.
    pub(crate) fn models(&self) -> Vec<Model> {
        let model = |ranker: &Ranker| {
            let (steps, pass) = ranker.course();
            Model { variant: ranker.variant(), steps, pass, filled: ranker.filled() }
        };
        self.rankers.iter().map(model).collect()
    }

    /// Goes on from a checkpoint as if it had never stopped, ranker by ranker.
    ///
    /// # Errors
    /// A checkpoint of other models or of other sizes: then the learner is of no more use.
    pub(crate) fn resume(&mut self, checkpoint: &mut Checkpoint) -> Result<(), CheckpointError> {
        for ranker in &mut self.rankers {
            let state = checkpoint.state(ranker.variant())?;
            let pass = checkpoint.header().models.iter().find(|model| model.variant == ranker.variant()).map_or(0, |model| model.pass);
            ranker.resume(&state, pass)?;
        }
        self.step = checkpoint.header().step;
        self.loaded = self.step;
        Ok(())
    }

    /// Losses of every ranker's last step, all in one read-back; nothing before the first step.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn losses(&self) -> Result<Vec<Losses>, TrainError> {
        let mut readback = ReadBack::default();
        let asked = AskedLosses::ask(&self.rankers, &mut readback);
        asked.take(&mut readback.answers().await?)
    }

    /// The host's part, all that is due in one read-back.
    async fn keep_up(&mut self) -> Result<Vec<Upkeep>, TrainError> {
        let mut readback = ReadBack::default();
        let mut asked: Vec<(usize, Side, [Asked; 4])> = Vec::new();
        for (at, ranker) in self.rankers.iter().enumerate() {
            for Due { side, tensors } in ranker.due(self.step, self.planned) {
                asked.push((at, side, tensors.map(|tensor| readback.ask(tensor))));
            }
        }
        let (mut answers, mut kept) = (readback.answers().await?, Vec::new());
        for (at, side, [v, centres, mean, hits]) in asked {
            let observed =
                Observed { v: answers.take(v)?, centres: answers.take(centres)?, mean: answers.take(mean)?, hits: answers.take(hits)? };
            let ranker = &mut self.rankers[at];
            if let Some(reseeded) = ranker.keep_up(side, self.step, self.planned, observed) {
                kept.push(Upkeep { variant: ranker.variant(), side, reseeded });
            }
        }
        Ok(kept)
    }
}
