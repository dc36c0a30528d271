//! The measurements themselves, in a worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use duia::config::Config;
use duia::data::generator::Generator;
use duia::data::protocol::{Ahead, Batch, Dataset};
use duia::metrics::Losses;
use duia::model::batch::{DeviceBatch, Layout, Planner};
use duia::model::ranker::{Due, Observed, Ranker};
use duia::platform::{block_on, threads_ahead};
use duia::training::readback::ReadBack;
use duia::training::{Learner, TrainError};
use duia::variants::Variant;
use serde::{Deserialize, Serialize};

use super::batches::{Batches, vocabulary};
use super::launches::{Kernel, observe};
use super::plan::{AGREEMENT_STEPS, Case, Measure, agreement_config, config, graph_config};

/// What a worker tells of a measurement.
pub type Tell<'a> = &'a mut dyn FnMut(Finding);

/// The shortest round of steps between two looks at the clock.
const ROUND: Duration = Duration::from_millis(120);
/// Rounds of a figure at least.
const ROUNDS: usize = 3;
/// Steps before measuring: the first compile kernels, the third finds centres.
const WARM_UP: u64 = 4;
/// A run so long that its clocks never end.
const ENDLESS: u64 = 1_000_000_000;
/// Steps whose kernels are timed one by one.
const TIMED_STEPS: usize = 3;
/// Kernels that are named; the rest are one line.
const NAMED: usize = 12;

/// Something that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "measured", rename_all = "kebab-case")]
pub enum Finding {
    /// On the way to a figure.
    Progress {
        /// A line for a person.
        text: String,
    },
    /// How far losses are from the CPU's.
    Agreement(Agreement),
    /// How fast a step is.
    Throughput(Throughput),
    /// How fast a recorded step is.
    Graph(Replay),
    /// How fast the host is.
    Host(Host),
}

/// How far the losses of some steps are from the CPU's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// The model, by its key.
    pub model: String,
    /// Steps that were compared.
    pub steps: u64,
    /// The largest relative difference of the first step's losses: arithmetic alone.
    pub first: f64,
    /// The largest of all steps: arithmetic, and what training makes of it.
    pub all: f64,
    /// The loss that differed most.
    pub worst: String,
}

/// How fast a model trains.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Throughput {
    /// The model, by its key.
    pub model: String,
    /// Rows of a step.
    pub batch: usize,
    /// What computed: `fused`, `unfused`, or another program's modes.
    pub mode: String,
    /// Samples a second of steps on batches that lie on the device: the median round.
    pub samples_per_second: f64,
    /// Milliseconds a step: the median round, and its quartiles.
    pub step_ms: [f64; 3],
    /// Samples a second with planning each batch on other threads, moving it, and the clocks of the memories: a run without its reader.
    pub run_samples_per_second: Option<f64>,
    /// Milliseconds of a thread to plan a batch.
    pub plan_ms: Option<f64>,
    /// Milliseconds to move a planned batch to the device.
    pub load_ms: Option<f64>,
    /// Kernels launched in a step.
    pub dispatches: Option<f64>,
    /// Milliseconds of a step that the device computes, kernel by kernel.
    pub device_ms: Option<f64>,
    /// The kernels of a step that take longest.
    pub kernels: Vec<Kernel>,
    /// Bytes that tensors use, and that the device set aside.
    pub memory: Option<[u64; 2]>,
    /// Seconds until the first steps were done, with compiling their kernels.
    pub first_seconds: Option<f64>,
}

/// How fast one step is when it is recorded and replayed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Replay {
    /// The model, by its key.
    pub model: String,
    /// Rows of a step.
    pub batch: usize,
    /// Whether the device replays it as one graph; else it ran again operation by operation.
    pub recorded: bool,
    /// Milliseconds a replay, the median round.
    pub step_ms: f64,
    /// Samples a second.
    pub samples_per_second: f64,
}

/// What one thread of the host can do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// Samples a second that the protocol makes of rows (`Replay::next_train`), one thread, synthetic stream included.
    pub replay_samples_per_second: f64,
    /// Rows of the stream that it was measured on.
    pub rows: u64,
}

/// Measures a case within `seconds` a figure.
pub fn measure(case: &Case, device: &Device, on_cpu: bool, seconds: f64, tell: Tell<'_>) -> Result<(), String> {
    match case.measure {
        Measure::Agreement => agreement(case, device, tell),
        Measure::Throughput => throughput(case, device, on_cpu, seconds, tell),
        Measure::Graph => graph(case, device, seconds, tell),
        Measure::Host => host(case, seconds, tell),
    }?;
    // The next case's tables are of other sizes and find no place among these.
    sync(device)?;
    device.memory_cleanup();
    Ok(())
}

fn sync(device: &Device) -> Result<(), String> {
    device.sync().map_err(|error| error.to_string())
}

/// A model in training on drawn batches.
struct Subject {
    ranker: Ranker,
    layout: Layout,
    device: Device,
    config: Config,
    /// Rows of a step by the memories' clocks.
    batch: u64,
    samples: u64,
}

impl Subject {
    fn new(config: &Config, model: Variant, device: &Device) -> Self {
        let layout = Layout::new(vocabulary(config), config);
        let ranker = Ranker::new(config, model, layout, device);
        Self { layout, device: device.clone(), config: config.clone(), ranker, batch: config.batch as u64, samples: 0 }
    }

    fn planner(&self) -> Planner {
        Planner::new(self.layout, std::iter::once(self.ranker.views()), &self.config)
    }

    fn load(&self, batch: &Arc<Batch>) -> DeviceBatch {
        self.planner().plan(0, batch.clone()).load(&self.device)
    }

    /// A step as training takes it, the memories' clocks included. They count samples and not steps, so that one model can be
    /// measured at several batches and re-seeds as often as it would in a run of each.
    fn train(&mut self, batch: &DeviceBatch) -> Result<(), String> {
        self.samples += batch.host.samples() as u64;
        self.ranker.step(batch);
        block_on(self.keep_up()).map_err(|error| error.to_string())
    }

    /// The host's part, as [`Learner`] has it.
    async fn keep_up(&mut self) -> Result<(), TrainError> {
        let clock = self.samples.div_ceil(self.batch);
        for Due { side, tensors } in self.ranker.due(clock, ENDLESS) {
            let mut readback = ReadBack::default();
            let [v, centres, mean, hits] = tensors.map(|tensor| readback.ask(tensor));
            let mut answers = readback.answers().await?;
            let observed =
                Observed { v: answers.take(v)?, centres: answers.take(centres)?, mean: answers.take(mean)?, hits: answers.take(hits)? };
            self.ranker.keep_up(side, clock, ENDLESS, observed);
        }
        Ok(())
    }
}

/// Times `work` round by round for about `seconds`: milliseconds of one piece of work, sorted, one entry a round.
fn rounds(seconds: f64, device: &Device, mut work: impl FnMut(usize) -> Result<(), String>) -> Result<Vec<f64>, String> {
    let (mut done, mut pieces, mut times) = (0, 1, Vec::new());
    let begun = Instant::now();
    sync(device)?;
    while times.len() < ROUNDS || begun.elapsed().as_secs_f64() < seconds {
        let round = Instant::now();
        for _ in 0..pieces {
            work(done)?;
            done += 1;
        }
        sync(device)?;
        let took = round.elapsed();
        if took < ROUND / 2 {
            // Too short for a clock: not a round but a measure for the next.
            let wanted = ROUND.as_secs_f64() / took.as_secs_f64().max(1e-6) * pieces as f64;
            pieces = (wanted.ceil() as usize).clamp(pieces + 1, 16 * pieces);
            continue;
        }
        times.push(took.as_secs_f64() * 1e3 / pieces as f64);
        // Half a minute for a step is an answer too.
        if begun.elapsed().as_secs_f64() > 3.0 * seconds.max(3.0) {
            break;
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// The median of sorted numbers between their quartiles.
fn quartiles(sorted: &[f64]) -> [f64; 3] {
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    [at(0.5), at(0.25), at(0.75)]
}

fn throughput(case: &Case, device: &Device, on_cpu: bool, seconds: f64, tell: Tell<'_>) -> Result<(), String> {
    let Some(&model) = case.models.first() else { return Ok(()) };
    let config = config(case.sizes, case.batches.first().copied().unwrap_or(512));
    tell(progress(format!("building the tables of {}", model.name())));
    let mut subject = Subject::new(&config, model, device);
    let mut drawn = Batches::new(&config);
    for &batch in &case.batches {
        let copies = if batch > 16_384 { 2 } else { 4 };
        let host: Vec<Arc<Batch>> = (0..copies).map(|_| Arc::new(drawn.draw(batch))).collect();
        let found = at_batch(&mut subject, &host, device, on_cpu, seconds, tell)?;
        let mode = if case.fusion { "fused" } else { "unfused" };
        tell(Finding::Throughput(Throughput { model: model.key().into(), batch, mode: mode.into(), ..found }));
    }
    Ok(())
}

fn progress(text: impl Into<String>) -> Finding {
    Finding::Progress { text: text.into() }
}

fn at_batch(
    subject: &mut Subject,
    host: &[Arc<Batch>],
    device: &Device,
    on_cpu: bool,
    seconds: f64,
    tell: Tell<'_>,
) -> Result<Throughput, String> {
    let samples = host[0].samples() as f64;
    let begun = Instant::now();
    let batches: Vec<DeviceBatch> = host.iter().map(|batch| subject.load(batch)).collect();
    for step in 0..WARM_UP {
        subject.train(&batches[step as usize % batches.len()])?;
        sync(device)?;
        tell(progress(format!("warm-up step {} of batch {samples} after {:.1} s", step + 1, begun.elapsed().as_secs_f64())));
    }
    let first_seconds = begun.elapsed().as_secs_f64();

    let at = |place: usize| place % host.len();
    let step_ms = quartiles(&rounds(seconds, device, |n| {
        subject.ranker.step(&batches[at(n)]);
        Ok(())
    })?);
    let run_ms = {
        let mut ahead = Ahead::start(0..u64::MAX, threads_ahead(), || {
            let (mut planner, host) = (subject.planner(), host.to_vec());
            move |step| planner.plan(step, host[step as usize % host.len()].clone())
        });
        let subject = &mut *subject;
        quartiles(&rounds(seconds / 2.0, device, |_| {
            let planned = ahead.next().expect("it has no end");
            subject.train(&planned.load(device))
        })?)[0]
    };
    let mut planner = subject.planner();
    let plan_ms = quartiles(&rounds(seconds / 8.0, device, |n| {
        let _planned = planner.plan(0, host[at(n)].clone());
        Ok(())
    })?)[0];
    let load_ms = quartiles(&rounds(seconds / 4.0, device, |n| {
        let _batch = planner.plan(0, host[at(n)].clone()).load(device);
        Ok(())
    })?)[0];
    let mut found = Throughput {
        samples_per_second: samples * 1e3 / step_ms[0],
        step_ms,
        run_samples_per_second: Some(samples * 1e3 / run_ms),
        plan_ms: Some(plan_ms),
        load_ms: Some((load_ms - plan_ms).max(0.0)),
        memory: device.memory_pool_usage().map(|usage| [usage.bytes_in_use, usage.bytes_reserved]),
        first_seconds: Some(first_seconds),
        ..Throughput::default()
    };
    if !on_cpu {
        let per_step = |kernels: Vec<Kernel>, steps: f64| -> Vec<Kernel> {
            let scaled = |kernel: Kernel| Kernel { launches: kernel.launches / steps, milliseconds: kernel.milliseconds / steps, ..kernel };
            kernels.into_iter().map(scaled).collect()
        };
        let mut outcome = Ok(());
        let mut steps = |count: usize| {
            (0..count).for_each(|n| subject.ranker.step(&batches[at(n)]));
            outcome = sync(device);
        };
        found.dispatches = Some(observe(false, || steps(1)).iter().map(|kernel| kernel.launches).sum());
        let kernels = per_step(observe(true, || steps(TIMED_STEPS)), TIMED_STEPS as f64);
        outcome?;
        found.device_ms = Some(kernels.iter().map(|kernel| kernel.milliseconds).sum()).filter(|&sum: &f64| sum > 0.0);
        found.kernels = named(kernels);
    }
    Ok(found)
}

/// The first kernels, and all others as one.
fn named(mut kernels: Vec<Kernel>) -> Vec<Kernel> {
    if kernels.len() > NAMED {
        let rest = kernels.split_off(NAMED);
        kernels.push(Kernel {
            name: format!("{} others", rest.len()),
            launches: rest.iter().map(|kernel| kernel.launches).sum(),
            milliseconds: rest.iter().map(|kernel| kernel.milliseconds).sum(),
        });
    }
    kernels
}

/// The losses of each step by their names, of one model on one device.
fn losses(config: &Config, model: Variant, dataset: &Dataset, device: &Device, tell: Tell<'_>) -> Result<Vec<Losses>, String> {
    let failed = |error: TrainError| error.to_string();
    let mut learner = Learner::new(config, &[model], dataset.vocabulary(), device, ENDLESS);
    let (mut replay, mut all) = (dataset.replay(), Vec::new());
    for step in 1..=AGREEMENT_STEPS {
        let Some(batch) = replay.next_train() else { break };
        block_on(learner.learn(Arc::new(batch))).map_err(failed)?;
        all.extend(block_on(learner.losses()).map_err(failed)?);
        tell(progress(format!("{}, step {step} of {AGREEMENT_STEPS}", model.name())));
    }
    Ok(all)
}

fn agreement(case: &Case, device: &Device, tell: Tell<'_>) -> Result<(), String> {
    let config = agreement_config(case.sizes);
    let dataset = Dataset::open(Arc::new(Generator::new(&config)), &config).map_err(|error| error.to_string())?;
    for &model in &case.models {
        let here = losses(&config, model, &dataset, device, tell)?;
        let there = losses(&config, model, &dataset, &Device::flex(), &mut |_| {})?;
        tell(Finding::Agreement(compared(model, &here, &there)));
    }
    Ok(())
}

/// How far a loss is that is no number, or that only one of two devices has. JSON knows no infinity.
pub const FAR: f64 = 1e9;

/// How far two devices are from each other.
fn compared(model: Variant, here: &[Losses], there: &[Losses]) -> Agreement {
    let mut found = Agreement { model: model.key().into(), steps: there.len() as u64, first: 0.0, all: 0.0, worst: String::new() };
    if here.len() != there.len() {
        return Agreement { first: FAR, all: FAR, worst: "another number of steps".into(), ..found };
    }
    for (step, (here, there)) in here.iter().zip(there).enumerate() {
        for (name, off) in here.differences(there) {
            let off = off.min(FAR);
            if step == 0 {
                found.first = found.first.max(off);
            }
            if off > found.all {
                (found.all, found.worst) = (off, format!("{name} of step {}", step + 1));
            }
        }
    }
    found
}

fn graph(case: &Case, device: &Device, seconds: f64, tell: Tell<'_>) -> Result<(), String> {
    let Some(&model) = case.models.first() else { return Ok(()) };
    let config = graph_config(case.sizes, case.batches.first().copied().unwrap_or(512));
    tell(progress(format!("building the tables of {}", model.name())));
    let mut subject = Subject::new(&config, model, device);
    let mut drawn = Batches::new(&config);
    for &batch in &case.batches {
        let on_device = subject.load(&Arc::new(drawn.draw(batch)));
        for _ in 0..WARM_UP {
            subject.train(&on_device)?;
        }
        sync(device)?;
        tell(progress(format!("recording a step of batch {batch}")));
        let ranker = &mut subject.ranker;
        let mut recorded = burn::tensor::capture(device, || ranker.step(&on_device));
        let is_recorded = recorded.is_hardware();
        let times = rounds(seconds, device, |_| {
            // SAFETY: the step's tensors live in the ranker and in the batch, which nobody else touches.
            unsafe { recorded.replay() };
            Ok(())
        })?;
        let step_ms = quartiles(&times)[0];
        let samples_per_second = batch as f64 * 1e3 / step_ms;
        tell(Finding::Graph(Replay { model: model.key().into(), batch, recorded: is_recorded, step_ms, samples_per_second }));
    }
    Ok(())
}

fn host(case: &Case, seconds: f64, tell: Tell<'_>) -> Result<(), String> {
    let batch = 4_096;
    let config = Config { rows: 1_000_000, ..config(case.sizes, batch) };
    let source = Arc::new(Generator::new(&config));
    tell(progress("counting the rows of the synthetic stream"));
    let dataset = Dataset::open(source, &config).map_err(|error| error.to_string())?;
    let mut replay = dataset.replay();
    let (begun, mut samples) = (Instant::now(), 0);
    while begun.elapsed().as_secs_f64() < seconds {
        let Some(batch) = replay.next_train() else { break };
        samples += batch.samples();
    }
    let replay_samples_per_second = samples as f64 / begun.elapsed().as_secs_f64();
    tell(Finding::Host(Host { replay_samples_per_second, rows: config.rows }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_no_number_agrees_with_nothing() {
        let mtl = |value: f32| -> Losses { [("mtl", value)].into_iter().collect() };
        let cpu = [mtl(1.0), mtl(2.0)];
        let near = compared(Variant::Ple, &[mtl(1.001), mtl(2.02)], &cpu);
        assert!((near.first - 0.001).abs() < 1e-5 && (near.all - 0.01).abs() < 1e-5 && near.worst == "mtl of step 2");
        assert_eq!(compared(Variant::Ple, &[mtl(f32::NAN), mtl(2.0)], &cpu).first, FAR);
        assert_eq!(compared(Variant::Ple, &cpu[..1], &cpu).all, FAR);
    }

    #[test]
    fn rounds_are_long_enough_to_be_timed_and_end() {
        let times = rounds(0.2, &Device::flex(), |_| {
            std::thread::sleep(Duration::from_micros(200));
            Ok(())
        })
        .unwrap();
        assert!(times.len() >= ROUNDS && times.is_sorted() && times[0] >= 0.2, "{times:?}");
    }
}
