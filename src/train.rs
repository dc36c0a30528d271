//! The race: several variants on the same batches, with the same negatives and the same seed, and the events that tell
//! a watcher how they fare. It knows neither page nor terminal.

use std::sync::Arc;

use burn::tensor::{Device, ExecutionError, TensorData, Transaction};
use web_time::{Duration, Instant};

use crate::config::Config;
use crate::data::protocol::{Batch, Dataset, Replay};
use crate::data::{DataError, Source};
use crate::device::{self, Watch};
use crate::message::{ClusterHealth, DeviceChoice, Evaluation, Event, Failure, FieldFrame, Losses, Stage, State};
use crate::metrics::{ClusterTally, Positives, TestRows};
use crate::model::ghca::{Observation, Reseeded};
use crate::model::ranker::{LastStep, Layout, Loader, Ranker, Scored};
use crate::platform;
use crate::projection::Plane;

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

/// Variants in training on one stream.
pub struct Race {
    config: Config,
    dataset: Dataset,
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
        let layout = Layout::new(dataset.vocabulary(), config.history);
        let rankers: Vec<Ranker> = config.variants.0.iter().map(|&variant| Ranker::new(&config, variant, layout, device)).collect();
        Ok(Self {
            replay: dataset.replay(),
            panel: dataset.panel(config.panel).into_iter().map(Arc::new).collect(),
            steps: dataset.train_steps(),
            loader: Loader::new(layout, device),
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
        let positives = self.panel.iter().map(|batch| batch.valid as u64 / 2).sum();
        let variants = self.rankers.iter().map(Ranker::variant).collect();
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
        let batch = self.loader.load(Arc::new(batch));
        platform::for_each(&mut self.rankers, self.parallel, |ranker| ranker.step(&batch));
        self.step += 1;
        self.turn_clocks(sink).await?;
        self.pace.samples += batch.host.size as u64;
        self.pace.time += begun.elapsed();
        if self.step.is_multiple_of(self.config.evaluate_every) || self.step == self.steps {
            self.losses(sink).await?;
            self.evaluate_panel(sink).await?;
        }
        Ok(self.step < self.steps)
    }

    /// The memories' clocks: the first fill and re-seeding.
    async fn turn_clocks(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let (step, steps) = (self.step, self.steps);
        for ranker in &mut self.rankers {
            if let Some(Reseeded { centres, children, first_fill }) = turn_clock(ranker, step, steps).await? {
                self.watch.check()?;
                sink(Event::Reseeded { step, centres, children, first_fill });
            }
        }
        Ok(())
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
        let losses = read_losses(&self.rankers).await?;
        let astray = |l: &Losses| !l.mtl.is_finite() || l.auxiliary.is_some_and(|loss| !loss.is_finite());
        if let Some(index) = losses.iter().position(astray) {
            return Err(TrainError::Diverged { variant: self.rankers[index].variant().name(), step: self.step });
        }
        sink(Event::Losses { step: self.step, losses });
        self.watch.check()
    }

    /// Centres and the last batch's users in the plane. Nothing before the first fill.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn field(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let Some(ranker) = self.rankers.iter().find(|r| r.memory().is_some_and(|memory| memory.is_filled())) else { return Ok(()) };
        let (Some(memory), Some(last)) = (ranker.memory(), ranker.last()) else { return Ok(()) };
        let Some((assigned, stopped)) = last.chosen.clone() else { return Ok(()) };
        let (levels, m) = (memory.levels(), self.config.memory_width());
        let read = Transaction::default()
            .register(memory.centres())
            .register(memory.hits())
            .register(last.v_user.clone())
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
        let rows: Vec<usize> = (0..host.size).step_by(2).filter(|&s| known.insert(host.user[s])).collect();
        let vectors: Vec<f32> = rows.iter().flat_map(|&s| v[s * m..(s + 1) * m].iter().copied()).collect();
        self.frame_hits.resize(hits.len(), 0.0);
        let since = hits.iter().zip(&self.frame_hits).map(|(now, then)| now - then).collect();
        self.frame_hits = hits;
        sink(Event::Field(Box::new(FieldFrame {
            step: self.step,
            centres: levels.first as u32,
            children: levels.children as u32,
            centre_xy: self.plane.project(&centres, m),
            hits: since,
            users: rows.iter().map(|&s| host.user[s]).collect(),
            user_xy: self.plane.project(&vectors, m),
            assigned: rows.iter().flat_map(|&s| [assigned[2 * s] as u32, assigned[2 * s + 1] as u32]).collect(),
            low_active: rows.iter().map(|&s| host.low_active[s]).collect(),
            stopped: rows.iter().map(|&s| stopped[s] > 0.5).collect(),
        })));
        Ok(())
    }

    /// Scores every variant on the panel.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn evaluate_panel(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let panel = self.panel.clone();
        let mut test = Test::new(&self.rankers, &self.dataset).await?;
        test.score(&self.rankers, &panel).await?;
        test.report(self.step, false, sink);
        self.watch.check()
    }

    /// Scores every variant on the whole test set, at the end of the stream.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn evaluate_all(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        sink(Event::Stage(Stage::FinalTest));
        let mut test = Test::new(&self.rankers, &self.dataset).await?;
        loop {
            let chunk: Vec<Arc<Batch>> = std::iter::from_fn(|| self.replay.next_test()).take(TEST_CHUNK).map(Arc::new).collect();
            if chunk.is_empty() {
                break;
            }
            test.score(&self.rankers, &chunk).await?;
            platform::breathe().await;
        }
        test.report(self.step, true, sink);
        sink(self.progress());
        sink(Event::State(State::Finished));
        self.watch.check()
    }
}

/// Predictions of all variants on test rows, memories frozen.
struct Test {
    rows: TestRows,
    predictions: Vec<Vec<f32>>,
    tallies: Vec<Option<ClusterTally>>,
    dataset: Dataset,
}

impl Test {
    async fn new(rankers: &[Ranker], dataset: &Dataset) -> Result<Self, TrainError> {
        let mut tallies = Vec::with_capacity(rankers.len());
        for ranker in rankers {
            let memory = ranker.memory().filter(|memory| memory.is_filled());
            tallies.push(match memory {
                Some(memory) => {
                    let centres = floats(memory.centres().into_data_async().await?);
                    Some(ClusterTally::new(centres, memory.levels().first, memory.levels().children))
                }
                None => None,
            });
        }
        Ok(Self { rows: TestRows::default(), predictions: vec![Vec::new(); rankers.len()], tallies, dataset: dataset.clone() })
    }

    async fn score(&mut self, rankers: &[Ranker], batches: &[Arc<Batch>]) -> Result<(), TrainError> {
        batches.iter().for_each(|batch| self.rows.push(batch));
        for (index, ranker) in rankers.iter().enumerate() {
            let network = ranker.frozen();
            let mut transaction = Transaction::default();
            let mut scored = Vec::with_capacity(batches.len());
            for batch in batches {
                let Scored { logits, clusters } = ranker.score(&network, batch.clone());
                transaction = transaction.register(logits);
                let chosen = clusters.and_then(|LastStep { v_user, chosen, .. }| chosen.map(|(a, s)| (v_user, a, s)));
                scored.push(chosen.is_some());
                if let Some((v_user, assigned, stopped)) = chosen {
                    transaction = transaction.register(v_user).register(assigned).register(stopped);
                }
            }
            let mut read = transaction.execute_async().await?.into_iter();
            for (batch, has_clusters) in batches.iter().zip(scored) {
                let mut next = || read.next().ok_or_else(|| TrainError::Device("a read-back came short".into()));
                self.predictions[index].extend_from_slice(&floats(next()?)[..batch.valid]);
                if has_clusters {
                    let (v, assigned, stopped) = (floats(next()?), integers(next()?), floats(next()?));
                    if let Some(tally) = &mut self.tallies[index] {
                        tally_batch(tally, &self.dataset, batch, &v, &assigned, &stopped);
                    }
                }
            }
        }
        Ok(())
    }

    fn report(self, step: u64, whole: bool, sink: &mut dyn FnMut(Event)) {
        let baseline = self.predictions.first();
        let scores = self.predictions.iter().enumerate().map(|(i, p)| self.rows.score(p, baseline.filter(|_| i > 0).map(Vec::as_slice)));
        sink(Event::Evaluation(Evaluation { step, whole, scores: scores.collect() }));
        let health: Vec<ClusterHealth> = self.tallies.iter().flatten().map(|tally| tally.health(step)).collect();
        health.into_iter().for_each(|health| sink(Event::Clusters(health)));
    }
}

/// Adds a test batch's positives to a tally of cluster health.
fn tally_batch(tally: &mut ClusterTally, dataset: &Dataset, batch: &Batch, v: &[f32], assigned: &[i32], stopped: &[f32]) {
    let m = v.len() / batch.size;
    let rows: Vec<usize> = (0..batch.valid).step_by(2).collect();
    let users: Vec<u32> = rows.iter().map(|&s| batch.user[s]).collect();
    let planted: Option<Vec<u32>> = users.iter().map(|&user| dataset.planted_group(user)).collect();
    tally.push(&Positives {
        users: &users,
        low_active: &rows.iter().map(|&s| batch.low_active[s]).collect::<Vec<_>>(),
        level_1: &rows.iter().map(|&s| assigned[2 * s] as u32).collect::<Vec<_>>(),
        level_2: &rows.iter().map(|&s| assigned[2 * s + 1] as u32).collect::<Vec<_>>(),
        stopped: &rows.iter().map(|&s| stopped[s] > 0.5).collect::<Vec<_>>(),
        vectors: &rows.iter().flat_map(|&s| v[s * m..(s + 1) * m].iter().copied()).collect::<Vec<_>>(),
        planted: planted.as_deref(),
    });
}

/// One look at a memory's clock: the host's part of it where it is due.
///
/// # Errors
/// A device that failed.
pub async fn turn_clock(ranker: &mut Ranker, step: u64, steps: u64) -> Result<Option<Reseeded>, TrainError> {
    let (Some(memory), Some(last)) = (ranker.memory(), ranker.last()) else { return Ok(None) };
    if !memory.is_due(step, steps) {
        return Ok(None);
    }
    let read =
        Transaction::default().register(last.v_user.clone()).register(memory.centres()).register(memory.hits()).execute_async().await?;
    let [v, centres, hits] = exactly(read)?;
    let positive = last.host.labels[..last.host.size].iter().map(|&label| label > 0.5).collect();
    let users = last.host.user.clone();
    let seen = Observation { v: floats(v), users, positive, centres: floats(centres), hits: floats(hits) };
    Ok(ranker.memory_mut().and_then(|memory| memory.tick(step, steps, &seen)))
}

/// Losses of every ranker's last step, all in one read-back; nothing before the first step.
///
/// # Errors
/// A device that failed.
pub async fn read_losses(rankers: &[Ranker]) -> Result<Vec<Losses>, TrainError> {
    let mut transaction = Transaction::default();
    for losses in rankers.iter().filter_map(Ranker::losses) {
        transaction = transaction.register(losses.mtl.clone());
        transaction = losses.auxiliary.iter().fold(transaction, |t, loss| t.register(loss.clone()));
        transaction = losses.clusters.iter().fold(transaction, |t, loss| t.register(loss.clone()));
    }
    let mut read = transaction.execute_async().await?.into_iter().map(floats);
    let mut next = || read.next().unwrap_or_default();
    let at = |values: &[f32], index: usize| values.get(index).copied().unwrap_or(f32::NAN);
    let mut all = Vec::with_capacity(rankers.len());
    for losses in rankers.iter().filter_map(Ranker::losses) {
        let mtl = at(&next(), 0);
        let auxiliary = losses.auxiliary.as_ref().map(|_| at(&next(), 0));
        let clusters = losses.clusters.as_ref().map(|_| next());
        let level = |index| clusters.as_ref().map(|values| at(values, index));
        all.push(Losses { mtl, auxiliary, uie_l1: level(0), uie_l2: level(1) });
    }
    Ok(all)
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
pub async fn run(config: Config, source: Arc<dyn Source>, choice: DeviceChoice, mut sink: impl FnMut(Event)) -> Result<(), Failure> {
    run_to_end(config, source, choice, &mut sink).await.map_err(|error| Failure::from(&error))
}

async fn run_to_end(config: Config, source: Arc<dyn Source>, choice: DeviceChoice, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
    config.validate()?;
    let opened = device::open(choice, &config, sink).await?;
    sink(Event::Device(opened.report));
    sink(Event::Stage(Stage::Data));
    let mut race = Race::new(config, source, &opened.device, opened.watch)?;
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
    race.evaluate_all(sink).await
}
