//! The race: several variants on the same batches, with the same negatives and the same seed, and the events that tell
//! a watcher how they fare. It knows neither page nor terminal.

use std::sync::Arc;

use burn::tensor::{Device, ExecutionError, Tensor, TensorData, Transaction};
use web_time::{Duration, Instant};

use crate::checkpoint::{self, CheckpointError};
use crate::config::{Config, ConfigError, Rule, Variant};
use crate::data::protocol::{Batch, Dataset, Replay};
use crate::data::{DataError, Source};
use crate::device::{self, Watch};
use crate::message::{ClusterHealth, DeviceChoice, Evaluation, Event, Failure, FieldFrame, Losses, Side, Stage, State, TestKind};
use crate::metrics::{ClusterTally, Positives, TestRows, baseline_of};
use crate::model::batch::{Layout, Loader};
use crate::model::ghca::{Observation, Reseeded};
use crate::model::ranker::{Frozen, Ranker, Scored, Sight, StepLosses};
use crate::platform;
use crate::projection::Plane;

/// Both sides that have clusters.
const SIDES: [Side; 2] = [Side::Users, Side::Items];
/// Test batches scored before the thread is given up once and their figures are read.
const TEST_CHUNK: usize = 16;

/// What stops a run.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The rows cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The device gave an error or was lost.
    #[error("the device failed: {0}")]
    Device(String),
    /// Weights that do not fit.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// No device as asked for.
    #[error("{0}")]
    NoDevice(String),
    /// A loss is no number any more.
    #[error("the loss of {variant} is no longer a number at step {step}")]
    Diverged {
        /// Whose.
        variant: &'static str,
        /// When.
        step: u64,
    },
}

impl From<ExecutionError> for TrainError {
    fn from(error: ExecutionError) -> Self {
        Self::Device(error.to_string())
    }
}

impl From<&TrainError> for Failure {
    fn from(error: &TrainError) -> Self {
        let (what, next) = match error {
            TrainError::Config(_) => ("The configuration cannot be used.", "Change the value named below, or start from a preset."),
            TrainError::Data(_) => ("The rows cannot be used.", "Mend the line named below, or train on the synthetic stream."),
            TrainError::Weights(_) => ("The weights cannot be used.", "Take other weights, or start without any."),
            TrainError::Device(_) => ("The device stopped.", "Start again; choose the CPU if it happens again."),
            TrainError::NoDevice(_) => ("There is no such device here.", "Choose the CPU, or let the device be chosen automatically."),
            TrainError::Diverged { .. } => ("Training ran away.", "Start again with a smaller learning rate."),
        };
        Self { what: what.into(), detail: error.to_string(), next: next.into() }
    }
}

/// A rate that evaluation and waiting do not count in.
#[derive(Default)]
struct Pace {
    samples: u64,
    time: Duration,
}

/// Those of some variants that are trained: all but the rules.
pub fn trained(variants: &[Variant]) -> impl Iterator<Item = Variant> {
    variants.iter().copied().filter(|variant| variant.parts().rule.is_none())
}

/// Variants in training on one stream.
pub struct Race {
    config: Config,
    dataset: Dataset,
    /// `[items]`: the category of each.
    categories: Arc<[u32]>,
    replay: Replay,
    loader: Loader,
    rankers: Vec<Ranker>,
    parallel: bool,
    watch: Watch,
    panel: Vec<Arc<Batch>>,
    plane: Plane,
    frame_hits: Vec<f32>,
    pace: Pace,
    step: u64,
    steps: u64,
}

impl Race {
    /// Opens the data and builds every variant.
    ///
    /// # Errors
    /// A configuration or rows that cannot be used.
    pub fn new(config: Config, source: Arc<dyn Source>, device: &Device, watch: Watch) -> Result<Self, TrainError> {
        config.validate()?;
        let dataset = Dataset::open(source, &config)?;
        require_truth(&config, &dataset)?;
        let layout = Layout::new(dataset.vocabulary(), &config);
        let variants: Vec<Variant> = trained(&config.variants.0).collect();
        let rankers: Vec<Ranker> = variants.iter().map(|&variant| Ranker::new(&config, variant, layout, device)).collect();
        Ok(Self {
            categories: (0..dataset.vocabulary().items).map(|item| dataset.category(item)).collect(),
            replay: dataset.replay(),
            panel: dataset.panel(config.panel).into_iter().map(Arc::new).collect(),
            steps: dataset.train_steps(),
            loader: Loader::new(layout, &variants, &config, device),
            parallel: watch.is_cpu(),
            plane: Plane::default(),
            frame_hits: Vec::new(),
            pace: Pace::default(),
            step: 0,
            rankers,
            watch,
            dataset,
            config,
        })
    }

    /// What a watcher must know before the first step.
    pub fn introduce(&self, sink: &mut dyn FnMut(Event)) {
        sink(Event::Data(self.dataset.report()));
        let positives = self.panel.iter().map(|batch| batch.valid as u64).sum();
        let variants = self.config.variants.0.clone();
        sink(Event::Ready { variants, steps: self.steps, panel_positives: positives });
    }

    /// One step of every variant, the clocks, and an evaluation where one is due. `false` once the stream has ended.
    ///
    /// # Errors
    /// A device that failed or a loss that is no number.
    pub async fn step(&mut self, sink: &mut dyn FnMut(Event)) -> Result<bool, TrainError> {
        let begun = Instant::now();
        if self.step >= self.steps {
            return Ok(false);
        }
        let Some(batch) = self.replay.next_train() else { return Ok(false) };
        self.pace.samples += batch.samples() as u64;
        self.step += 1;
        self.train_on(Arc::new(batch), self.step, sink).await?;
        self.pace.time += begun.elapsed();
        if self.step.is_multiple_of(self.config.evaluate_every) || self.step == self.steps {
            self.losses(sink).await?;
            self.evaluate_panel(sink).await?;
        }
        Ok(self.step < self.steps)
    }

    /// Trains every variant on a batch as step `step` of the run, the memories' clocks, that is the first fill and re-seeding,
    /// included.
    async fn train_on(&mut self, batch: Arc<Batch>, step: u64, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let batch = self.loader.load(batch);
        platform::for_each(&mut self.rankers, self.parallel, |ranker| ranker.step(&batch));
        for ranker in &mut self.rankers {
            let variant = ranker.variant();
            for (side, Reseeded { centres, children, first_fill }) in turn_clocks(ranker, step, self.steps).await? {
                self.watch.check()?;
                sink(Event::Reseeded { variant, side, step, centres, children, first_fill });
            }
        }
        Ok(())
    }

    /// Goes on from weights of another run ([`checkpoint::from_bytes`]) with the variant that they are of.
    ///
    /// # Errors
    /// Weights that do not fit, or of a variant that is not trained here. Then nothing has changed.
    pub fn load(&mut self, bytes: &[u8]) -> Result<Variant, TrainError> {
        let state = checkpoint::from_bytes(bytes)?;
        let variant = state.description.variant;
        let expected = || self.rankers.iter().map(|ranker| ranker.variant().key()).collect::<Vec<_>>().join(", ");
        let missing = || CheckpointError::Variant { found: variant.key().into(), expected: expected() };
        let at = self.rankers.iter().position(|ranker| ranker.variant() == variant).ok_or_else(missing)?;
        self.rankers[at].restore(&state, self.step)?;
        Ok(variant)
    }

    /// The weights of every trained variant, as the bytes of a safetensors file each.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn weights(&self) -> Result<Vec<(Variant, Vec<u8>)>, TrainError> {
        let name = self.dataset.report().name;
        let mut all = Vec::with_capacity(self.rankers.len());
        for ranker in &self.rankers {
            all.push((ranker.variant(), checkpoint::to_bytes(&ranker.state(&name).await?)?));
        }
        Ok(all)
    }

    /// Where the run stands: cheap, no read-back.
    pub fn progress(&self) -> Event {
        let samples = self.step * self.config.batch as u64;
        let rate = self.pace.samples as f64 / self.pace.time.as_secs_f64().max(1e-9);
        Event::Progress { step: self.step, samples, samples_per_second: rate }
    }

    /// Losses of the last step, all in one read-back.
    ///
    /// # Errors
    /// A device that failed or a loss that is no number.
    pub async fn losses(&self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let losses = self.finite_losses(self.step).await?;
        let of = |variant: &Variant| self.rankers.iter().position(|ranker| ranker.variant() == *variant);
        let losses = self.config.variants.0.iter().map(|variant| of(variant).map(|at| losses[at]).unwrap_or_default()).collect();
        sink(Event::Losses { step: self.step, losses });
        self.watch.check()
    }

    /// Losses of every ranker's last step, which was `step`.
    async fn finite_losses(&self, step: u64) -> Result<Vec<Losses>, TrainError> {
        let losses = read_losses(&self.rankers).await?;
        let astray = |losses: &Losses| losses.named().any(|(_, loss)| !loss.is_finite());
        match losses.iter().position(astray) {
            Some(index) => Err(TrainError::Diverged { variant: self.rankers[index].variant().name(), step }),
            None => Ok(losses),
        }
    }

    /// Centres and the last batch's users in the plane. Nothing before the first fill.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn field(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let filled = |ranker: &&Ranker| ranker.memory(Side::Users).is_some_and(|memory| memory.is_filled());
        let Some(ranker) = self.rankers.iter().find(filled) else { return Ok(()) };
        let (Some(memory), Some(last)) = (ranker.memory(Side::Users), ranker.last()) else { return Ok(()) };
        let Some(Sight { v, chosen: Some((assigned, stopped)) }) = last.users.clone() else { return Ok(()) };
        let (levels, m) = (memory.levels(), self.config.memory_width());
        let read = Transaction::default()
            .register(memory.centres())
            .register(memory.hits())
            .register(v)
            .register(assigned)
            .register(stopped)
            .execute_async()
            .await?;
        let host = last.host.clone();
        let [centres, hits, v, assigned, stopped] = exactly(read)?;
        let (centres, hits, v, stopped) = (floats(centres), floats(hits), floats(v), floats(stopped));
        let assigned: Vec<i32> = integers(assigned);
        self.plane.follow(&centres[..levels.first * m], m);
        let mut known = std::collections::HashSet::new();
        let rows: Vec<usize> = (0..host.requests).filter(|&r| known.insert(host.user[r])).collect();
        let vectors: Vec<f32> = rows.iter().flat_map(|&r| v[r * m..(r + 1) * m].iter().copied()).collect();
        self.frame_hits.resize(hits.len(), 0.0);
        let since = hits.iter().zip(&self.frame_hits).map(|(now, then)| now - then).collect();
        self.frame_hits = hits;
        sink(Event::Field(Box::new(FieldFrame {
            step: self.step,
            centres: levels.first as u32,
            children: levels.children as u32,
            centre_xy: self.plane.project(&centres, m),
            hits: since,
            users: rows.iter().map(|&r| host.user[r]).collect(),
            user_xy: self.plane.project(&vectors, m),
            assigned: rows.iter().flat_map(|&r| [assigned[2 * r] as u32, assigned[2 * r + 1] as u32]).collect(),
            low_active: rows.iter().map(|&r| host.low_active[r]).collect(),
            stopped: rows.iter().map(|&r| stopped[r] > 0.5).collect(),
        })));
        Ok(())
    }

    /// Scores every variant on the panel.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn evaluate_panel(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let panel = self.panel.clone();
        let mut test = Test::new(&self.rankers, &self.config, &self.dataset);
        test.freeze(&self.rankers, &self.categories).await?;
        test.score(&self.rankers, &panel).await?;
        test.report(self.step, TestKind::Panel, sink);
        self.watch.check()
    }

    /// Scores every variant on the whole test set, at the end of the stream; then again while they train on it, where the
    /// configuration has a streaming test.
    ///
    /// # Errors
    /// A device that failed, or a loss that is no number.
    pub async fn evaluate_all(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        sink(Event::Stage(Stage::FinalTest));
        let mut test = Test::new(&self.rankers, &self.config, &self.dataset);
        test.freeze(&self.rankers, &self.categories).await?;
        loop {
            let chunk: Vec<Arc<Batch>> = std::iter::from_fn(|| self.replay.next_test()).take(TEST_CHUNK).map(Arc::new).collect();
            if chunk.is_empty() {
                break;
            }
            test.score(&self.rankers, &chunk).await?;
            platform::breathe().await;
        }
        test.report(self.step, TestKind::Whole, sink);
        if self.config.streaming_test {
            self.evaluate_streaming(sink).await?;
        }
        sink(self.progress());
        sink(Event::State(State::Finished));
        self.watch.check()
    }

    /// Goes through the test rows once more: scores each batch with everything as the batch before left it, then trains on it
    /// (A15). Afterwards the variants know the test.
    async fn evaluate_streaming(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        sink(Event::Stage(Stage::StreamingTest));
        let (mut replay, mut step) = (self.dataset.replay(), self.step);
        let mut test = Test::new(&self.rankers, &self.config, &self.dataset);
        while let Some(batch) = replay.next_streaming().map(Arc::new) {
            test.follow(&self.rankers);
            test.score(&self.rankers, std::slice::from_ref(&batch)).await?;
            // Nothing comes after the last batch, and only that one repeats rows to be full.
            if batch.valid == batch.requests {
                step += 1;
                self.train_on(batch, step, sink).await?;
            }
            platform::breathe().await;
        }
        self.finite_losses(step).await?;
        test.report(self.step, TestKind::Streaming, sink);
        Ok(())
    }
}

/// Refuses the row that knows the truth where there is none to know.
fn require_truth(config: &Config, dataset: &Dataset) -> Result<(), ConfigError> {
    let wanted = config.variants.0.iter().any(|variant| variant.parts().rule == Some(Rule::Truth));
    if wanted && dataset.probability(0, 0, &[]).is_none() {
        return Err(ConfigError::new("variants", Variant::Truth.key(), "left out on real rows: only the generator knows true preferences"));
    }
    Ok(())
}

/// Predictions of all variants on test rows, and the health of clusters that are frozen meanwhile.
struct Test {
    variants: Vec<Variant>,
    rows: TestRows,
    /// By variant.
    predictions: Vec<Vec<f32>>,
    /// By ranker.
    frozen: Vec<Frozen>,
    /// By ranker, for both sides.
    tallies: Vec<[Option<ClusterTally>; 2]>,
    dataset: Dataset,
}

impl Test {
    fn new(rankers: &[Ranker], config: &Config, dataset: &Dataset) -> Self {
        let variants = config.variants.0.clone();
        Self {
            rows: TestRows::default(),
            predictions: vec![Vec::new(); variants.len()],
            frozen: Vec::new(),
            tallies: rankers.iter().map(|_| [None, None]).collect(),
            variants,
            dataset: dataset.clone(),
        }
    }

    /// Scores from now on with the rankers as they are and every item looked up anew, and tallies their clusters.
    async fn freeze(&mut self, rankers: &[Ranker], categories: &[u32]) -> Result<(), TrainError> {
        self.frozen = rankers.iter().map(|ranker| ranker.frozen(categories)).collect();
        for (ranker, of_sides) in rankers.iter().zip(&mut self.tallies) {
            for (side, tally) in SIDES.into_iter().zip(of_sides) {
                if let Some(memory) = ranker.memory(side).filter(|memory| memory.is_filled()) {
                    let centres = floats(memory.centres().into_data_async().await?);
                    *tally = Some(ClusterTally::new(ranker.variant(), side, centres, memory.levels().first, memory.levels().children));
                }
            }
        }
        Ok(())
    }

    /// Scores from now on with the rankers as training sees them.
    fn follow(&mut self, rankers: &[Ranker]) {
        self.frozen = rankers.iter().map(Ranker::live).collect();
    }

    async fn score(&mut self, rankers: &[Ranker], batches: &[Arc<Batch>]) -> Result<(), TrainError> {
        batches.iter().for_each(|batch| self.rows.push(batch, &self.dataset));
        for (variant, predictions) in self.variants.iter().zip(&mut self.predictions) {
            if let Some(rule) = variant.parts().rule {
                batches.iter().for_each(|batch| predictions.extend(score_by_rule(rule, batch, &self.dataset)));
            }
        }
        for (index, ranker) in rankers.iter().enumerate() {
            self.score_ranker(index, ranker, batches).await?;
        }
        Ok(())
    }

    async fn score_ranker(&mut self, index: usize, ranker: &Ranker, batches: &[Arc<Batch>]) -> Result<(), TrainError> {
        let mut transaction = Transaction::default();
        let mut has_clusters = Vec::with_capacity(batches.len());
        for batch in batches {
            let Scored { logits, users, items } = ranker.score(&self.frozen[index], batch);
            transaction = transaction.register(logits);
            let chosen = |sight: Option<Sight>| sight.and_then(|Sight { v, chosen }| chosen.map(|(a, s)| (v, a, s)));
            let [of_users, of_items] = &self.tallies[index];
            let seen = [chosen(users).filter(|_| of_users.is_some()), chosen(items).filter(|_| of_items.is_some())];
            has_clusters.push([seen[0].is_some(), seen[1].is_some()]);
            for (v, assigned, stopped) in seen.into_iter().flatten() {
                transaction = transaction.register(v).register(assigned).register(stopped);
            }
        }
        let mut read = transaction.execute_async().await?.into_iter();
        let mut next = || read.next().ok_or_else(|| TrainError::Device("a read-back came short".into()));
        let at = self.variants.iter().position(|&variant| variant == ranker.variant()).unwrap_or(index);
        for (batch, has_clusters) in batches.iter().zip(has_clusters) {
            self.predictions[at].extend_from_slice(&floats(next()?)[..batch.valid * batch.candidates]);
            for ((side, tally), has) in SIDES.into_iter().zip(&mut self.tallies[index]).zip(has_clusters) {
                if has {
                    let (v, assigned, stopped) = (floats(next()?), integers(next()?), floats(next()?));
                    if let Some(tally) = tally {
                        tally_batch(tally, side, &self.dataset, batch, &v, &assigned, &stopped);
                    }
                }
            }
        }
        Ok(())
    }

    fn report(self, step: u64, kind: TestKind, sink: &mut dyn FnMut(Event)) {
        let scores = if kind != TestKind::Panel {
            self.rows.score_whole(&self.predictions, &self.variants)
        } else {
            let base = baseline_of(&self.variants);
            let baseline = |at: usize| base.filter(|&base| base != at).map(|base| self.predictions[base].as_slice());
            self.predictions.iter().enumerate().map(|(at, p)| self.rows.score(p, baseline(at))).collect()
        };
        sink(Event::Evaluation(Evaluation { step, kind, scores }));
        let health: Vec<ClusterHealth> = self.tallies.iter().flatten().flatten().map(|tally| tally.health(step)).collect();
        health.into_iter().for_each(|health| sink(Event::Clusters(health)));
    }
}

/// Scores of a rule for the samples of a batch that count.
pub(crate) fn score_by_rule(rule: Rule, batch: &Batch, dataset: &Dataset) -> Vec<f32> {
    let score = |sample: usize| {
        let request = sample / batch.candidates;
        let window = request * batch.history..(request + 1) * batch.history;
        match rule {
            Rule::Popularity => batch.item_rows[sample] as f32,
            Rule::CategoryRepeat => batch.history_categories[window].iter().filter(|&&c| c == batch.category[sample]).count() as f32,
            Rule::Truth => dataset.probability(batch.user[request], batch.item[sample], &batch.history_items[window]).unwrap_or(0.0) as f32,
        }
    };
    (0..batch.valid * batch.candidates).map(score).collect()
}

/// Adds a test batch's users, or its consumed items, to a tally of cluster health.
fn tally_batch(tally: &mut ClusterTally, side: Side, dataset: &Dataset, batch: &Batch, v: &[f32], assigned: &[i32], stopped: &[f32]) {
    let m = v.len() / batch.requests;
    let rows = 0..batch.valid;
    let members: Vec<u32> = match side {
        Side::Users => batch.user[rows.clone()].to_vec(),
        Side::Items => batch.item.iter().step_by(batch.candidates).take(batch.valid).copied().collect(),
    };
    let planted = |&member: &u32| match side {
        Side::Users => dataset.planted_group(member),
        Side::Items => dataset.planted_item_group(member),
    };
    let planted: Option<Vec<u32>> = members.iter().map(planted).collect();
    let level = |level: usize| assigned.iter().skip(level).step_by(2).take(batch.valid).map(|&id| id as u32).collect::<Vec<_>>();
    tally.push(&Positives {
        members: &members,
        low_active: &batch.low_active[rows.clone()],
        level_1: &level(0),
        level_2: &level(1),
        stopped: &stopped[rows].iter().map(|&s| s > 0.5).collect::<Vec<_>>(),
        vectors: &v[..batch.valid * m],
        planted: planted.as_deref(),
    });
}

/// One look at a ranker's clocks: the host's part of them where it is due.
///
/// # Errors
/// A device that failed.
pub async fn turn_clocks(ranker: &mut Ranker, step: u64, steps: u64) -> Result<Vec<(Side, Reseeded)>, TrainError> {
    let mut all = Vec::new();
    for side in SIDES {
        if let Some(reseeded) = turn_clock(ranker, side, step, steps).await? {
            ranker.forget(side, &reseeded);
            all.push((side, reseeded));
        }
    }
    Ok(all)
}

async fn turn_clock(ranker: &mut Ranker, side: Side, step: u64, steps: u64) -> Result<Option<Reseeded>, TrainError> {
    let (Some(memory), Some(last)) = (ranker.memory(side), ranker.last()) else { return Ok(None) };
    let sight = match side {
        Side::Users => &last.users,
        Side::Items => &last.items,
    };
    let Some(Sight { v, .. }) = sight.as_ref().filter(|_| memory.is_due(step, steps)) else { return Ok(None) };
    let read = Transaction::default().register(v.clone()).register(memory.centres()).register(memory.hits()).execute_async().await?;
    let [v, centres, hits] = exactly(read)?;
    let host = &last.host;
    let members = match side {
        Side::Users => host.user.clone(),
        Side::Items => host.item.iter().step_by(host.candidates).copied().collect(),
    };
    let positive = host.labels[..host.samples()].iter().step_by(host.candidates).map(|&label| label > 0.5).collect();
    let seen = Observation { v: floats(v), members, positive, centres: floats(centres), hits: floats(hits) };
    Ok(ranker.memory_mut(side).and_then(|memory| memory.tick(step, steps, &seen)))
}

/// Losses of every ranker's last step, all in one read-back; nothing before the first step.
///
/// # Errors
/// A device that failed.
pub async fn read_losses(rankers: &[Ranker]) -> Result<Vec<Losses>, TrainError> {
    let parts = |losses: &StepLosses| -> [Option<Tensor<1>>; 7] {
        let StepLosses { mtl, auxiliary, uie, upbe, uhse, items, adaptation } = losses.clone();
        [Some(mtl), auxiliary, uie, upbe, uhse, items, adaptation]
    };
    let all: Vec<_> = rankers.iter().filter_map(Ranker::losses).map(parts).collect();
    let register = |transaction: Transaction, loss: &Tensor<1>| transaction.register(loss.clone());
    let transaction = all.iter().flatten().flatten().fold(Transaction::default(), register);
    let mut read = transaction.execute_async().await?.into_iter().map(floats);
    let mut next = |there: &Option<Tensor<1>>| there.as_ref().map(|_| read.next().unwrap_or_default());
    let at = |values: &Option<Vec<f32>>, index: usize| values.as_ref().map(|values| values.get(index).copied().unwrap_or(f32::NAN));
    Ok(all
        .iter()
        .map(|parts| {
            let [mtl, auxiliary, uie, upbe, uhse, items, adaptation] = parts.each_ref().map(&mut next);
            Losses {
                mtl: at(&mtl, 0).unwrap_or(f32::NAN),
                auxiliary: at(&auxiliary, 0),
                uie_l1: at(&uie, 0),
                uie_l2: at(&uie, 1),
                upbe_l1: at(&upbe, 0),
                upbe_l2: at(&upbe, 1),
                uhse_l1: at(&uhse, 0),
                uhse_l2: at(&uhse, 1),
                items: at(&items, 0).zip(at(&items, 1)).map(|(l1, l2)| [l1, l2]),
                adaptation: at(&adaptation, 0),
            }
        })
        .collect())
}

fn exactly<const N: usize>(read: Vec<TensorData>) -> Result<[TensorData; N], TrainError> {
    <[TensorData; N]>::try_from(read).map_err(|_| TrainError::Device("a read-back came short".into()))
}

/// The numbers of a float tensor that was read back.
pub(crate) fn floats(data: TensorData) -> Vec<f32> {
    data.try_into_vec().unwrap_or_default()
}

fn integers(data: TensorData) -> Vec<i32> {
    data.try_into_vec().unwrap_or_default()
}

/// Opens a device, races all variants over a source to the end and tells `sink` everything.
///
/// # Errors
/// A sentence for a person: what happened, the detail, what to do next.
pub async fn run(config: Config, source: Arc<dyn Source>, choice: DeviceChoice, sink: impl FnMut(Event)) -> Result<(), Failure> {
    run_with(config, source, choice, Weights::default(), sink).await
}

/// What a run starts from and what it leaves.
#[derive(Default)]
pub struct Weights<'a> {
    /// The bytes of weights that their variant starts from.
    pub from: Option<&'a [u8]>,
    /// Takes the weights of every trained variant at the end of training, before the tests: a streaming test trains on.
    pub keep: Option<&'a mut dyn FnMut(Variant, Vec<u8>)>,
}

/// [`run`], from weights and to weights.
///
/// # Errors
/// A sentence for a person: what happened, the detail, what to do next.
pub async fn run_with(
    config: Config,
    source: Arc<dyn Source>,
    choice: DeviceChoice,
    weights: Weights<'_>,
    mut sink: impl FnMut(Event),
) -> Result<(), Failure> {
    run_to_end(config, source, choice, weights, &mut sink).await.map_err(|error| Failure::from(&error))
}

async fn run_to_end(
    config: Config,
    source: Arc<dyn Source>,
    choice: DeviceChoice,
    weights: Weights<'_>,
    sink: &mut dyn FnMut(Event),
) -> Result<(), TrainError> {
    config.validate()?;
    let opened = device::open(choice, &config, sink).await?;
    sink(Event::Device(opened.report));
    sink(Event::Stage(Stage::Data));
    let mut race = Race::new(config, source, &opened.device, opened.watch)?;
    if let Some(bytes) = weights.from {
        race.load(bytes)?;
    }
    race.introduce(sink);
    sink(Event::State(State::Playing));
    let mut told = Instant::now();
    while race.step(sink).await? {
        if told.elapsed() > Duration::from_millis(200) {
            sink(race.progress());
            told = Instant::now();
        }
    }
    sink(race.progress());
    if let Some(keep) = weights.keep {
        race.weights().await?.into_iter().for_each(|(variant, bytes)| keep(variant, bytes));
    }
    race.evaluate_all(sink).await
}
