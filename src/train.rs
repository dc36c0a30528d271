//! The race: several variants on the same batches, with the same negatives and the same seed, and the events that tell
//! a watcher how they fare. It knows neither page nor terminal.

use std::sync::Arc;

use burn::tensor::{Device, ExecutionError};
use web_time::{Duration, Instant};

use crate::checkpoint::{self, CheckpointError};
use crate::config::{Config, ConfigError, Rule, Variant};
use crate::data::protocol::{Batch, Dataset, Replay};
use crate::data::{DataError, Source};
use crate::device::{self, Watch};
use crate::kernels::Levels;
use crate::message::{DeviceChoice, Event, Failure, FieldFrame, Losses, Side, Stage, State, TestKind};
use crate::metrics::divergence::{self, Divergence};
use crate::model::batch::{Layout, Loader};
use crate::model::ghca::{Memory, Observation, Reseeded};
use crate::model::ranker::{Ranker, Sight, StepLosses};
use crate::platform;
use crate::projection::Plane;
use crate::readback::{Answers, ReadBack};
use crate::scoring::Test;

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
    /// A model is beyond repair.
    #[error("{variant} diverged at step {step}: {why}")]
    Diverged {
        /// The model's name.
        variant: &'static str,
        /// When it was seen.
        step: u64,
        /// What was seen.
        why: Divergence,
        /// What to lower ([`divergence::what_to_lower`]).
        advice: String,
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
            TrainError::Diverged { advice, .. } => ("Training diverged.", advice.as_str()),
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
    /// The last step whose losses were told; 0 before the first.
    losses_told: u64,
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
        require_clusters(&config, &dataset)?;
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
            losses_told: 0,
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
    /// A device that failed or a model that diverged.
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

    /// What the last step left to look at, all in one read-back: every loss, and centres and users in the plane once centres are
    /// filled.
    ///
    /// # Errors
    /// A device that failed or a model that diverged.
    pub async fn look(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let mut readback = ReadBack::default();
        let (losses, field) = (AskedLosses::ask(&self.rankers, &mut readback), self.ask_field(&mut readback));
        let mut answers = readback.answers().await?;
        self.tell_losses(losses.take(&mut answers)?, sink)?;
        if let Some(field) = field {
            let frame = self.frame(field, &mut answers)?;
            sink(Event::Field(Box::new(frame)));
        }
        self.watch.check()
    }

    /// Tells the losses of the last step, once: a look and an evaluation may both have read them.
    fn tell_losses(&mut self, losses: Vec<Losses>, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        self.require_sound(&losses, self.step)?;
        if self.step > self.losses_told {
            self.losses_told = self.step;
            let of = |variant: &Variant| self.rankers.iter().position(|ranker| ranker.variant() == *variant);
            let by_variant = |variant: &Variant| of(variant).and_then(|at| losses.get(at)).copied().unwrap_or_default();
            sink(Event::Losses { step: self.step, losses: self.config.variants.0.iter().map(by_variant).collect() });
        }
        Ok(())
    }

    fn require_sound(&self, losses: &[Losses], step: u64) -> Result<(), TrainError> {
        let seen =
            std::iter::zip(&self.rankers, losses).find_map(|(ranker, losses)| Some((ranker.variant(), divergence::in_losses(losses)?)));
        self.require_none(seen, step)
    }

    fn require_none(&self, diverged: Option<(Variant, Divergence)>, step: u64) -> Result<(), TrainError> {
        diverged.map_or(Ok(()), |(variant, why)| {
            Err(TrainError::Diverged { variant: variant.name(), step, why, advice: divergence::what_to_lower(&self.config) })
        })
    }

    /// Asks for the centres and the last batch's users of the first model that has any; `None` before the first fill.
    fn ask_field(&self, readback: &mut ReadBack) -> Option<AskedField> {
        let filled = |ranker: &&Ranker| ranker.memory(Side::Users).is_some_and(Memory::is_filled);
        let ranker = self.rankers.iter().find(filled)?;
        let (memory, last) = (ranker.memory(Side::Users)?, ranker.last()?);
        let Sight { v, chosen: Some((assigned, stopped)) } = last.users.clone()? else { return None };
        [memory.centres(), memory.hits().unsqueeze(), v, stopped].into_iter().for_each(|tensor| readback.ask(tensor));
        readback.ask(assigned);
        Some(AskedField { levels: memory.levels(), host: last.host.clone() })
    }

    /// The picture that was asked for.
    fn frame(&mut self, AskedField { levels, host }: AskedField, answers: &mut Answers) -> Result<FieldFrame, TrainError> {
        let [centres, hits, v, stopped] = [answers.floats()?, answers.floats()?, answers.floats()?, answers.floats()?];
        let assigned = answers.integers()?;
        let m = self.config.memory_width();
        self.plane.follow(&centres[..levels.first * m], m);
        let mut known = std::collections::HashSet::new();
        let rows: Vec<usize> = (0..host.requests).filter(|&r| known.insert(host.user[r])).collect();
        let vectors: Vec<f32> = rows.iter().flat_map(|&r| v[r * m..(r + 1) * m].iter().copied()).collect();
        self.frame_hits.resize(hits.len(), 0.0);
        let since = hits.iter().zip(&self.frame_hits).map(|(now, then)| now - then).collect();
        self.frame_hits = hits;
        Ok(FieldFrame {
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
        })
    }

    /// Scores every variant on the panel and tells the losses of the last step, all in one read-back.
    ///
    /// # Errors
    /// A device that failed or a model that diverged.
    pub async fn evaluate_panel(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let panel = self.panel.clone();
        let mut test = Test::frozen(&self.rankers, &self.categories, &self.dataset, &self.config);
        let mut readback = ReadBack::default();
        let losses = AskedLosses::ask(&self.rankers, &mut readback);
        test.ask(&self.rankers, &panel, &mut readback);
        let mut answers = readback.answers().await?;
        self.tell_losses(losses.take(&mut answers)?, sink)?;
        test.take(&panel, &mut answers)?;
        let diverged = test.diverged();
        test.report(self.step, TestKind::Panel, sink);
        self.require_none(diverged, self.step)?;
        self.watch.check()
    }

    /// Scores every variant on the whole test set, at the end of the stream; then again while they train on it, where the
    /// configuration has a streaming test.
    ///
    /// # Errors
    /// A device that failed, or a model that diverged.
    pub async fn evaluate_all(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        sink(Event::Stage(Stage::FinalTest));
        let mut test = Test::frozen(&self.rankers, &self.categories, &self.dataset, &self.config);
        loop {
            let chunk: Vec<Arc<Batch>> = std::iter::from_fn(|| self.replay.next_test()).take(TEST_CHUNK).map(Arc::new).collect();
            if chunk.is_empty() {
                break;
            }
            test.score(&self.rankers, &chunk).await?;
            platform::breathe().await;
        }
        let diverged = test.diverged();
        test.report(self.step, TestKind::Whole, sink);
        self.require_none(diverged, self.step)?;
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
        let mut test = Test::live(&self.dataset, &self.config);
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
        self.require_sound(&read_losses(&self.rankers).await?, step)?;
        test.report(self.step, TestKind::Streaming, sink);
        Ok(())
    }
}

/// A picture of the field on its way from the device.
struct AskedField {
    levels: Levels,
    host: Arc<Batch>,
}

/// Refuses the row that knows the truth where there is none to know.
fn require_truth(config: &Config, dataset: &Dataset) -> Result<(), ConfigError> {
    let wanted = config.variants.0.iter().any(|variant| variant.parts().rule == Some(Rule::Truth));
    if wanted && dataset.probability(0, 0, &[]).is_none() {
        return Err(ConfigError::new("variants", Variant::Truth.key(), "left out on real rows: only the generator knows true preferences"));
    }
    Ok(())
}

/// Refuses a warm-up that the run does not outlast: what is shown under a model's name would be that model without its clusters.
fn require_clusters(config: &Config, dataset: &Dataset) -> Result<(), ConfigError> {
    let steps = dataset.train_steps();
    let has_clusters = |variant: &Variant| variant.parts().has_user_centres() || variant.parts().has_item_centres();
    if config.warm_up >= steps.max(1) && config.variants.0.iter().any(has_clusters) {
        let wanted = format!("less than the {steps} steps of this run, or 0 for the rule: clusters begin after it");
        return Err(ConfigError::new("warm_up", config.warm_up, wanted));
    }
    Ok(())
}

/// One look at a ranker's clocks: the host's part of them where it is due.
///
/// # Errors
/// A device that failed.
pub async fn turn_clocks(ranker: &mut Ranker, step: u64, steps: u64) -> Result<Vec<(Side, Reseeded)>, TrainError> {
    let mut all = Vec::new();
    for side in Side::BOTH {
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
    let mut readback = ReadBack::default();
    [v.clone(), memory.centres(), memory.mean(), memory.hits().unsqueeze()].into_iter().for_each(|tensor| readback.ask(tensor));
    let mut answers = readback.answers().await?;
    let host = &last.host;
    let members = match side {
        Side::Users => host.user.clone(),
        Side::Items => host.consumed().collect(),
    };
    let positive = host.consumed_labels().map(|label| label > 0.5).collect();
    let [v, centres, mean, hits] = [answers.floats()?, answers.floats()?, answers.floats()?, answers.floats()?];
    let seen = Observation { v, members, positive, centres, hits, mean };
    Ok(ranker.memory_mut(side).and_then(|memory| memory.tick(step, steps, &seen)))
}

/// Losses of every ranker's last step, all in one read-back; nothing before the first step.
///
/// # Errors
/// A device that failed.
pub async fn read_losses(rankers: &[Ranker]) -> Result<Vec<Losses>, TrainError> {
    let mut readback = ReadBack::default();
    let asked = AskedLosses::ask(rankers, &mut readback);
    asked.take(&mut readback.answers().await?)
}

/// Losses on their way from the device, ranker by ranker.
struct AskedLosses(Vec<[bool; 7]>);

impl AskedLosses {
    fn ask(rankers: &[Ranker], readback: &mut ReadBack) -> Self {
        let mut ask = |losses: &StepLosses| {
            let StepLosses { mtl, auxiliary, uie, upbe, uhse, items, adaptation } = losses.clone();
            [Some(mtl), auxiliary, uie, upbe, uhse, items, adaptation].map(|loss| loss.map(|loss| readback.ask(loss)).is_some())
        };
        Self(rankers.iter().filter_map(Ranker::losses).map(&mut ask).collect())
    }

    fn take(self, answers: &mut Answers) -> Result<Vec<Losses>, TrainError> {
        let mut losses = Vec::with_capacity(self.0.len());
        for there in self.0 {
            let mut parts: [Option<Vec<f32>>; 7] = Default::default();
            for (part, _) in parts.iter_mut().zip(there).filter(|(_, there)| *there) {
                *part = Some(answers.floats()?);
            }
            let [mtl, auxiliary, uie, upbe, uhse, items, adaptation] = parts;
            let at = |part: &Option<Vec<f32>>, level: usize| part.as_ref().map(|part| part.get(level).copied().unwrap_or(f32::NAN));
            losses.push(Losses {
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
            });
        }
        Ok(losses)
    }
}

/// Opens a device, races all variants over a source to the end and tells `sink` everything.
///
/// # Errors
/// A sentence for a person: what happened, the detail, what to do next.
pub async fn run(config: Config, source: Arc<dyn Source>, choice: DeviceChoice, sink: impl FnMut(Event)) -> Result<(), Failure> {
    run_with(config, source, choice, Course::default(), sink).await
}

/// How a run goes: what it starts from, what may end it early, and what it leaves.
#[derive(Default)]
pub struct Course<'a> {
    /// The bytes of weights that their variant starts from.
    pub weights_in: Option<&'a [u8]>,
    /// Looked at after each step: where it is true training ends and what was learned is tested.
    pub is_over: Option<&'a dyn Fn() -> bool>,
    /// Takes the weights of every trained variant at the end of training, before the tests: a streaming test trains on.
    pub weights_out: Option<&'a mut dyn FnMut(Variant, Vec<u8>)>,
}

/// [`run`], on a [`Course`].
///
/// # Errors
/// A sentence for a person: what happened, the detail, what to do next.
pub async fn run_with(
    config: Config,
    source: Arc<dyn Source>,
    choice: DeviceChoice,
    course: Course<'_>,
    mut sink: impl FnMut(Event),
) -> Result<(), Failure> {
    run_to_end(config, source, choice, course, &mut sink).await.map_err(|error| Failure::from(&error))
}

async fn run_to_end(
    config: Config,
    source: Arc<dyn Source>,
    choice: DeviceChoice,
    course: Course<'_>,
    sink: &mut dyn FnMut(Event),
) -> Result<(), TrainError> {
    config.validate()?;
    let opened = device::open(choice, &config, sink).await?;
    sink(Event::Device(opened.report));
    sink(Event::Stage(Stage::Data));
    let mut race = Race::new(config, source, &opened.device, opened.watch)?;
    if let Some(bytes) = course.weights_in {
        race.load(bytes)?;
    }
    race.introduce(sink);
    sink(Event::State(State::Playing));
    let mut told = Instant::now();
    while race.step(sink).await? && !course.is_over.is_some_and(|is_over| is_over()) {
        if told.elapsed() > Duration::from_millis(200) {
            sink(race.progress());
            told = Instant::now();
        }
    }
    sink(race.progress());
    if let Some(keep) = course.weights_out {
        race.weights().await?.into_iter().for_each(|(variant, bytes)| keep(variant, bytes));
    }
    race.evaluate_all(sink).await
}
