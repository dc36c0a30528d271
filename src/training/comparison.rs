//! The comparison: several variants on the same batches, with the same negatives and the same seed, and the events that tell
//! a watcher how they fare. It knows neither page nor terminal.

pub(super) mod saving;

use std::cell::OnceCell;
use std::hash::Hasher;
use std::sync::Arc;

use burn::tensor::Device;
use fnv::FnvHasher;
use web_time::{Duration, Instant};

use super::TrainError;
use super::device::Watch;
use super::evaluation::Test;
use super::learner::{Learner, Upkeep};
use super::losses::AskedLosses;
use super::portrait::{AskedPortrait, Sitter};
use super::readback::ReadBack;
use super::snapshot::AskedSnapshot;
use crate::config::{Config, ConfigError, Negatives};
use crate::data::protocol::{Ahead, Dataset};
use crate::data::{Side, Source, Vocabulary};
use crate::footprint::{self, Shape};
use crate::metrics::divergence::{self, Divergence};
use crate::metrics::{Evaluation, Losses, TestKind};
use crate::model::batch::{Planned, PlannedTest, TestBatch};
use crate::model::components::loss_terms;
use crate::model::layers::ghca::Reseeded;
use crate::model::together::Together;
use crate::variants::{Rule, Variant, trained};
use crate::view::{Portrait, Sitting, Snapshot};
use crate::wire::{self, Event, Stage, State};
use crate::{checkpoint, platform};

/// Test batches scored before the thread is given up once and their figures are read.
const TEST_CHUNK: usize = 16;

/// Time between two words on how far training or a test is.
pub(super) const TELL_EVERY: Duration = Duration::from_millis(200);

/// A rate that evaluation and waiting do not count in.
#[derive(Default)]
struct Pace {
    samples: u64,
    time: Duration,
}

/// Variants in training on one stream.
pub struct Comparison {
    config: Config,
    dataset: Dataset,
    /// `[items]`: the category of each.
    categories: Arc<[u32]>,
    /// Batches to train on; none once the test has begun.
    training: Option<Ahead<Planned>>,
    learner: Learner,
    watch: Watch,
    probe_set: Vec<TestBatch>,
    pace: Pace,
    /// Steps of training; a streaming test takes more.
    step: u64,
    steps: u64,
    /// The last step whose losses were told; 0 before the first.
    losses_told: u64,
    /// Of the rows, once a checkpoint wants it.
    fingerprint: OnceCell<String>,
    /// What was found out before it, to be told with the data.
    pub(super) notes: Vec<String>,
}

impl Comparison {
    /// Opens the data and builds every variant, which it tells: at the paper's sizes each takes seconds.
    ///
    /// # Errors
    /// A configuration or rows that cannot be used.
    pub fn new(
        config: Config,
        source: Arc<dyn Source>,
        device: &Device,
        watch: Watch,
        sink: &mut dyn FnMut(Event),
    ) -> Result<Self, TrainError> {
        // A model's fields are those of the rows: real ones have no profile, whatever the preset says of the synthetic stream.
        let config = Config { profile_fields: source.profile_fields(), item_fields: source.item_fields(), ..config };
        config.validate()?;
        if config.most_passes > 0 {
            return Err(
                ConfigError::new("most_passes", config.most_passes, "0 here: only the terminal chooses passes by validation").into()
            );
        }
        footprint::require(&config, Shape::of(&*source), platform::available_memory())?;
        let dataset = Dataset::open(source, &config)?;
        require_truth(&config, &dataset)?;
        require_clusters(&config, &dataset)?;
        sink(Event::Stage(Stage::Models));
        let (variants, steps) = (trained(&config.variants.0).collect::<Vec<_>>(), dataset.train_steps());
        let learner = Learner::new(&config, &variants, dataset.vocabulary(), device, steps).in_parallel(watch.is_cpu());
        let categories = dataset.categories();
        let learner = learner.refreshing(categories.clone());
        Ok(Self {
            categories,
            training: Some(planned_ahead(&dataset, &learner, 0)),
            probe_set: probe_set(&dataset, &learner, config.probe_set),
            steps,
            learner,
            pace: Pace::default(),
            step: 0,
            losses_told: 0,
            fingerprint: OnceCell::new(),
            notes: Vec::new(),
            watch,
            dataset,
            config,
        })
    }

    /// The same, every batch shared by several processes. Each holds all models; the first scores them and tells what it found.
    ///
    /// # Errors
    /// A batch that has not as many requests for each, or another process that trains something else.
    pub fn together(self, together: Together) -> Result<Self, TrainError> {
        let mut hasher = FnvHasher::default();
        hasher.write(&wire::to_bytes(&self.config).unwrap_or_default());
        let Vocabulary { items, categories, users } = self.dataset.vocabulary();
        [items, categories, users].into_iter().for_each(|ids| hasher.write_u32(ids));
        [self.steps, self.step].into_iter().for_each(|steps| hasher.write_u64(steps));
        together.require_same(hasher.finish()).map_err(TrainError::Processes)?;
        Ok(Self { learner: self.learner.together(together)?, ..self })
    }

    /// The processes that share its batches.
    pub(super) fn processes(&self) -> &Together {
        self.learner.processes()
    }

    /// What a watcher must know before the first step.
    pub fn introduce(&self, sink: &mut dyn FnMut(Event)) {
        let mut report = self.dataset.report();
        report.notes.extend(self.notes.iter().cloned());
        sink(Event::Data(report));
        let positives = self.probe_set.iter().map(|batch| batch.host.valid as u64).sum();
        let variants = self.config.variants.0.clone();
        let losses = loss_terms(&variants);
        sink(Event::Ready { variants, steps: self.steps, probe_positives: positives, losses });
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
        let Some(batch) = self.training.as_mut().and_then(Iterator::next) else { return Ok(false) };
        self.pace.samples += batch.samples() as u64;
        self.step += 1;
        self.learn(batch, sink).await?;
        self.pace.time += begun.elapsed();
        if self.step.is_multiple_of(self.config.evaluate_every) || self.step == self.steps {
            self.evaluate_probe_set(sink).await?;
        }
        Ok(self.step < self.steps)
    }

    /// Trains every variant on a batch, and tells which centres were filled or re-seeded.
    async fn learn(&mut self, batch: Planned, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let kept = self.learner.learn_planned(batch).await?;
        self.watch.check()?;
        for Upkeep { variant, side, reseeded: Reseeded { centres, children, first_fill } } in kept {
            sink(Event::Reseeded { variant, side, step: self.learner.steps(), centres, children, first_fill });
        }
        Ok(())
    }

    /// Goes on from weights of another run ([`checkpoint::from_bytes`]) with the variant that they are of.
    ///
    /// # Errors
    /// Weights that do not fit, or of a variant that is not trained here. Then nothing has changed.
    pub fn load(&mut self, bytes: &[u8]) -> Result<Variant, TrainError> {
        Ok(self.learner.restore(&checkpoint::from_bytes(bytes)?)?)
    }

    /// The weights of every trained variant, as the bytes of a safetensors file each.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn weights(&self) -> Result<Vec<(Variant, Vec<u8>)>, TrainError> {
        let name = self.dataset.report().name;
        let mut all = Vec::with_capacity(self.learner.rankers().len());
        for ranker in self.learner.rankers() {
            all.push((ranker.variant(), checkpoint::to_bytes(&ranker.state(&name).await?)?));
        }
        Ok(all)
    }

    /// Steps of training that were done, and all that there are.
    pub fn steps(&self) -> [u64; 2] {
        [self.step, self.steps]
    }

    /// Where the run stands: cheap, no read-back.
    pub fn progress(&self) -> Event {
        let samples = self.step * self.config.batch as u64;
        let rate = self.pace.samples as f64 / self.pace.time.as_secs_f64().max(1e-9);
        Event::Progress { step: self.step, samples, samples_per_second: rate }
    }

    /// Tells the losses of the last step, and gives what a picture of one side's clusters is made from, all in one read-back. Nothing
    /// to picture before centres are filled.
    ///
    /// # Errors
    /// A device that failed or a model that diverged.
    pub async fn look(&mut self, side: Side, sink: &mut dyn FnMut(Event)) -> Result<Option<Snapshot>, TrainError> {
        let mut readback = ReadBack::default();
        let losses = AskedLosses::ask(self.learner.rankers(), &mut readback);
        let snapshot = self.learner.rankers().iter().find_map(|ranker| AskedSnapshot::ask(ranker, side, &mut readback));
        let mut answers = readback.answers().await?;
        self.tell_losses(losses.take(&mut answers)?, sink)?;
        let snapshot = snapshot.map(|asked| asked.take(self.step, &self.dataset, &mut answers)).transpose()?;
        self.watch.check()?;
        Ok(snapshot)
    }

    /// A user of the probe set as every model sees them now; none where none of them has a history.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn portray(&mut self, sitting: Sitting) -> Result<Option<Portrait>, TrainError> {
        let Some(sitter) = Sitter::find(&self.probe_set, &self.dataset, sitting) else { return Ok(None) };
        let mut readback = ReadBack::default();
        let asked = AskedPortrait::ask(sitter, self.learner.rankers(), &mut readback);
        let mut answers = readback.answers().await?;
        let portrait = asked.take(self.step, &self.config.variants.0, &self.dataset, &mut answers)?;
        self.watch.check()?;
        Ok(Some(portrait))
    }

    /// Tells the losses of the last step, once: a look and an evaluation may both have read them.
    fn tell_losses(&mut self, losses: Vec<Losses>, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        if self.step > self.losses_told {
            self.losses_told = self.step;
            let rankers = self.learner.rankers();
            let of = |variant: &Variant| rankers.iter().position(|ranker| ranker.variant() == *variant);
            let by_variant = |variant: &Variant| of(variant).and_then(|at| losses.get(at)).cloned().unwrap_or_default();
            sink(Event::Losses { step: self.step, losses: self.config.variants.0.iter().map(by_variant).collect() });
        }
        // After they are told: those that show a divergence are the last of a report that is kept.
        self.require_sound(&losses, self.step)
    }

    fn require_sound(&self, losses: &[Losses], step: u64) -> Result<(), TrainError> {
        let seen = std::iter::zip(self.learner.rankers(), losses)
            .find_map(|(ranker, losses)| Some((ranker.variant(), divergence::in_losses(losses)?)));
        self.require_none(seen, step)
    }

    fn require_none(&self, diverged: Option<(Variant, Divergence)>, step: u64) -> Result<(), TrainError> {
        diverged.map_or(Ok(()), |(variant, why)| {
            Err(TrainError::Diverged { variant: variant.name(), step, why, advice: divergence::what_to_lower(&self.config) })
        })
    }

    /// Scores every variant on the probe_set and tells the losses of the last step, all in one read-back.
    ///
    /// # Errors
    /// A device that failed or a model that diverged.
    pub async fn evaluate_probe_set(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        if !self.processes().leads() {
            return self.watch.check();
        }
        let (rankers, probe_set) = (self.learner.rankers(), self.probe_set.clone());
        let mut test = Test::frozen(rankers, &self.categories, &self.dataset, &self.config);
        let mut readback = ReadBack::default();
        let losses = AskedLosses::ask(rankers, &mut readback);
        let scores = test.ask(rankers, &probe_set, &mut readback);
        let mut answers = readback.answers().await?;
        self.tell_losses(losses.take(&mut answers)?, sink)?;
        test.take(scores, &probe_set, &mut answers)?;
        let diverged = test.diverged();
        test.report(self.step, TestKind::ProbeSet, sink);
        self.require_none(diverged, self.step)?;
        self.watch.check()
    }

    /// The batches of the whole test set, built and laid out on other threads.
    fn test_batches(&self) -> Ahead<PlannedTest> {
        Ahead::start(0..self.dataset.test_steps(), platform::threads_ahead(), || {
            let (dataset, planner) = (self.dataset.clone(), self.learner.test_planner());
            move |step| planner.plan(Arc::new(dataset.test_batch(step)))
        })
    }

    fn loaded(&self, planned: impl Iterator<Item = PlannedTest>) -> Vec<TestBatch> {
        planned.map(|batch| self.learner.test_batch(batch)).collect()
    }

    /// Steps that go through the training rows once.
    pub(super) fn steps_of_a_pass(&self) -> u64 {
        self.steps / u64::from(self.config.passes)
    }

    /// The area of the first variant over the whole test set, as it is now; training may go on afterwards.
    ///
    /// # Errors
    /// A device that failed, or a model that diverged.
    pub(super) async fn area_of_first(&mut self) -> Result<f64, TrainError> {
        let area = if self.processes().leads() { self.own_area_of_first().await? } else { 0.0 };
        Ok(self.processes().first(area))
    }

    async fn own_area_of_first(&mut self) -> Result<f64, TrainError> {
        let mut test = Test::frozen(self.learner.rankers(), &self.categories, &self.dataset, &self.config);
        let mut batches = self.test_batches();
        loop {
            let chunk = self.loaded(batches.by_ref().take(TEST_CHUNK));
            if chunk.is_empty() {
                break;
            }
            test.score(self.learner.rankers(), &chunk).await?;
        }
        self.require_none(test.diverged(), self.step)?;
        let mut area = f64::NAN;
        test.report(self.step, TestKind::ProbeSet, &mut |event| {
            if let Event::Evaluation(Evaluation { scores, .. }) = event {
                area = scores.first().map_or(area, |score| score.auc.all.value);
            }
        });
        Ok(area)
    }

    /// Scores every variant on the whole test set, at the end of the stream; then again while they train on it, where the
    /// configuration has a streaming test.
    ///
    /// # Errors
    /// A device that failed, or a model that diverged.
    pub async fn evaluate_all(&mut self, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        self.evaluate_while(&|| true, sink).await.map(|_| ())
    }

    /// [`Comparison::evaluate_all`] for as long as `wanted` is true: a test that it ends has no score, one before it keeps its own.
    /// `false` where the whole test set has none.
    ///
    /// # Errors
    /// A device that failed, or a model that diverged.
    pub async fn evaluate_while(&mut self, wanted: &dyn Fn() -> bool, sink: &mut dyn FnMut(Event)) -> Result<bool, TrainError> {
        self.training = None;
        let is_tested = if self.processes().leads() { self.evaluate_frozen(wanted, sink).await? } else { true };
        let is_tested = !self.processes().any(!is_tested);
        if is_tested && self.config.streaming_test {
            self.evaluate_streaming(wanted, sink).await?;
        }
        sink(self.progress());
        sink(Event::State(State::Finished));
        self.watch.check()?;
        Ok(is_tested)
    }

    /// Scores every variant on the whole test set as training left it. `false` where the test was ended before its end.
    async fn evaluate_frozen(&mut self, wanted: &dyn Fn() -> bool, sink: &mut dyn FnMut(Event)) -> Result<bool, TrainError> {
        sink(Event::Stage(Stage::FinalTest));
        let mut scored = self.scored_rows(TestKind::Whole);
        let mut test = Test::frozen(self.learner.rankers(), &self.categories, &self.dataset, &self.config);
        let mut batches = self.test_batches();
        loop {
            if !wanted() {
                return Ok(false);
            }
            let chunk = self.loaded(batches.by_ref().take(TEST_CHUNK));
            if chunk.is_empty() {
                break;
            }
            test.score(self.learner.rankers(), &chunk).await?;
            scored.add(&chunk, sink);
            platform::breathe().await;
        }
        let diverged = test.diverged();
        test.report(self.step, TestKind::Whole, sink);
        self.require_none(diverged, self.step)?;
        Ok(true)
    }

    fn scored_rows(&self, kind: TestKind) -> ScoredRows {
        ScoredRows { kind, rows: 0, of: self.dataset.report().test_rows, told: Instant::now() }
    }

    /// Goes through the test rows once more: scores each batch with everything as the batch before left it, then trains on it
    /// (A15). Afterwards the variants know the test, or the part of it that was wanted.
    async fn evaluate_streaming(&mut self, wanted: &dyn Fn() -> bool, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        sink(Event::Stage(Stage::StreamingTest));
        let mut replay = self.dataset.replay();
        let mut scored = self.scored_rows(TestKind::Streaming);
        let mut test = Test::live(&self.dataset, &self.config);
        let planner = self.learner.test_planner();
        while let Some(batch) = replay.next_streaming().map(Arc::new) {
            if self.processes().any(!wanted()) {
                return Ok(());
            }
            if self.processes().leads() {
                test.follow(self.learner.rankers());
                let to_score = [self.learner.test_batch(planner.plan(batch.clone()))];
                test.score(self.learner.rankers(), &to_score).await?;
                scored.add(&to_score, sink);
            }
            // Nothing comes after the last batch, and only that one repeats rows to be full.
            if batch.valid == batch.requests {
                let batch = self.learner.plan(batch);
                self.learn(batch, sink).await?;
            }
            platform::breathe().await;
        }
        self.require_sound(&self.learner.losses().await?, self.learner.steps())?;
        if !self.processes().leads() {
            return Ok(());
        }
        test.report(self.step, TestKind::Streaming, sink);
        Ok(())
    }
}

/// The batches from a step to the end of training, built and planned on other threads.
fn planned_ahead(dataset: &Dataset, learner: &Learner, from: u64) -> Ahead<Planned> {
    Ahead::start(from..dataset.train_steps(), platform::threads_ahead(), || {
        let (dataset, mut planner) = (dataset.clone(), learner.planner());
        move |step| planner.plan(step, Arc::new(dataset.train_batch(step)))
    })
}

/// The positives that are scored again and again, on the device for as long as the run goes.
fn probe_set(dataset: &Dataset, learner: &Learner, positives: usize) -> Vec<TestBatch> {
    let planner = learner.test_planner();
    dataset.probe_set(positives).into_iter().map(|batch| learner.test_batch(planner.plan(Arc::new(batch)))).collect()
}

/// How far a test is, told a few times a second and at its end.
struct ScoredRows {
    kind: TestKind,
    rows: u64,
    of: u64,
    told: Instant,
}

impl ScoredRows {
    fn add(&mut self, scored: &[TestBatch], sink: &mut dyn FnMut(Event)) {
        self.rows += scored.iter().map(|batch| batch.host.valid as u64).sum::<u64>();
        if self.rows >= self.of || self.told.elapsed() > TELL_EVERY {
            self.told = Instant::now();
            sink(Event::Tested { kind: self.kind, rows: self.rows, of: self.of });
        }
    }
}

/// Refuses the row that knows the truth where there is none to know.
fn require_truth(config: &Config, dataset: &Dataset) -> Result<(), ConfigError> {
    let wanted = config.variants.0.iter().any(|variant| variant.rule() == Some(Rule::Truth));
    if wanted && dataset.probability(0, 0, 0, &[]).is_none() {
        return Err(ConfigError::new("variants", Variant::Truth.key(), "left out on real rows: only the generator knows true preferences"));
    }
    match config.variants.0.iter().find(|variant| variant.is_told()) {
        Some(told) if dataset.planted_groups().0 == 0 => {
            Err(ConfigError::new("variants", told.key(), "left out on real rows: only the generator knows whose tastes are alike"))
        }
        _ if config.negatives == Negatives::None && config.variants.0.contains(&Variant::Posterior) => {
            let why = "left out of exposures: what a policy shows stands between a user's group and what they take";
            Err(ConfigError::new("variants", Variant::Posterior.key(), why))
        }
        _ => Ok(()),
    }
}

/// Refuses a warm-up that the run does not outlast: what is shown under a model's name would be that model without its clusters.
fn require_clusters(config: &Config, dataset: &Dataset) -> Result<(), ConfigError> {
    let steps = dataset.train_steps();
    let has_clusters = |variant: &Variant| variant.has_user_centres() || variant.has_item_centres();
    if config.warm_up >= steps.max(1) && config.variants.0.iter().any(has_clusters) {
        let wanted = format!("less than the {steps} steps of this run, or 0 for the rule: clusters begin after it");
        return Err(ConfigError::new("warm_up", config.warm_up, wanted));
    }
    Ok(())
}
