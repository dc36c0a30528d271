//! Choosing a device: a GPU that computes what the CPU computes and is faster at it, else the CPU, and a sentence that says why.
//!
//! A kernel that fails validation in a browser is only logged and leaves stale numbers behind (tracel-ai/cubecl#1641),
//! so no GPU is trusted before it has trained a few steps of the very model and agreed with the CPU.

#[cfg(feature = "cuda")]
pub mod cuda;

use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuBackend, wgpu};
use web_time::Instant;

use super::{Learner, TrainError};
use crate::config::Config;
use crate::data::generator::Generator;
use crate::data::protocol::{Batch, Dataset};
use crate::metrics::Losses;
use crate::platform::within;
use crate::variants::trained;
use crate::wire::{DeviceChoice, DeviceReport, Event, Stage};

/// Steps of the self-test: one before the centres are filled, two with them.
const SELF_TEST_STEPS: u64 = 3;
/// Largest relative difference of a loss from the CPU's that passes.
const SELF_TEST_BOUND: f32 = 1e-3;
/// The same through CUDA, whose products of matrices round their factors to TF32: 2^-11 of each, half of [`SELF_TEST_BOUND`] before
/// anything is summed. On an H200 the losses of eight steps were off by 8.7e-3 at most.
const TF32_BOUND: f32 = 2e-2;
/// The same of the memories' losses: distances of vectors that are nearly parallel, in which the rounding weighs more, to centres of which
/// another may be the nearest. On an H200 they were off by .13 at most.
const TF32_MEMORY_BOUND: f32 = 0.5;
/// Losses that no search goes into.
const SMOOTH: [&str; 3] = ["loss_mtl", "loss_auxiliary", "loss_adaptation"];

/// Seconds that the pace of a device is taken for, once its kernels are compiled.
const PACE: f64 = 0.5;
/// Least steps of it: the first of them waits for what the self-test left to do.
const PACE_STEPS: u32 = 2;

/// Longest that a browser may take to answer for an adapter or for its device. Some never answer, and a page then waits for ever.
const ANSWER_MS: i32 = 10_000;

/// An opened device.
pub struct Opened {
    /// For tensors, without autodiff.
    pub device: Device,
    /// What to tell a person.
    pub report: DeviceReport,
    /// Its troubles.
    pub watch: Watch,
}

/// Hears of errors that no call returns: validation errors of a kernel, a lost device.
#[derive(Clone, Default)]
pub struct Watch {
    trouble: Arc<Mutex<Option<String>>>,
    gpu: bool,
}

impl Watch {
    /// Whether the device is the CPU.
    pub fn is_cpu(&self) -> bool {
        !self.gpu
    }

    /// What was heard since the start, as an error.
    ///
    /// # Errors
    /// The first trouble heard.
    pub fn check(&self) -> Result<(), TrainError> {
        match self.trouble.lock().ok().and_then(|trouble| trouble.clone()) {
            Some(trouble) => Err(TrainError::Device(trouble)),
            None => Ok(()),
        }
    }

    fn listen(&self, device: &wgpu::Device) {
        let note = |slot: Arc<Mutex<Option<String>>>, text: String| {
            if let Ok(mut slot) = slot.lock() {
                slot.get_or_insert(text);
            }
        };
        let slot = self.trouble.clone();
        device.on_uncaptured_error(Arc::new(move |error| note(slot.clone(), error.to_string())));
        let slot = self.trouble.clone();
        device.set_device_lost_callback(move |reason, text| note(slot.clone(), format!("device lost ({reason:?}): {text}")));
    }
}

/// The CPU, always there.
pub fn cpu(reason: impl Into<String>) -> Opened {
    let report = DeviceReport { backend: "CPU".into(), adapter: "burn-flex".into(), reason: reason.into(), self_test: None };
    Opened { device: Device::flex(), report, watch: Watch::default() }
}

/// Opens the device that was asked for. `config` sizes the self-test, which also compiles the kernels of the run.
///
/// # Errors
/// Where the GPU was asked for by name and there is none that works.
pub async fn open(choice: DeviceChoice, config: &Config, sink: &mut dyn FnMut(Event)) -> Result<Opened, TrainError> {
    open_card(choice, 0, config, sink).await
}

/// The same of one of several cards, which CUDA counts from 0; where there are fewer, processes share them.
///
/// # Errors
/// Where the GPU was asked for by name and there is none that works.
pub async fn open_card(choice: DeviceChoice, card: usize, config: &Config, sink: &mut dyn FnMut(Event)) -> Result<Opened, TrainError> {
    if choice == DeviceChoice::Cpu {
        return Ok(cpu("The CPU was asked for."));
    }
    sink(Event::Stage(Stage::Device));
    match gpu(choice, card, config, sink).await {
        Ok(opened) => Ok(opened),
        Err(reason) if choice == DeviceChoice::Auto => Ok(cpu(format!("{reason} So the CPU trains."))),
        Err(reason) => Err(TrainError::NoDevice(reason)),
    }
}

/// Opens the device that was asked for without the self-test, for a caller that compares it with the CPU itself.
///
/// # Errors
/// Where there is no such device.
pub async fn find(choice: DeviceChoice) -> Result<Opened, TrainError> {
    if choice == DeviceChoice::Cpu {
        return Ok(cpu("The CPU was asked for."));
    }
    let mut missing = Vec::new();
    for &way in ways(choice) {
        match found(way, choice, 0).await {
            Ok(found) => return Ok(found.opened("It was asked for.".into(), None)),
            Err(reason) => missing.push(reason),
        }
    }
    Err(TrainError::NoDevice(missing.join(" ")))
}

/// A way to reach a GPU.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Cuda,
    Vulkan,
    /// Whatever graphics interface the machine has: WebGPU in a browser, else Vulkan, Metal or DX12.
    Graphics,
}

/// The ways that a choice allows, in the order in which they are tried.
fn ways(choice: DeviceChoice) -> &'static [Way] {
    match choice {
        DeviceChoice::Cuda => &[Way::Cuda],
        DeviceChoice::Vulkan => &[Way::Vulkan],
        _ if cfg!(feature = "cuda") => &[Way::Cuda, Way::Graphics],
        _ => &[Way::Graphics],
    }
}

/// A GPU that has not shown yet that it agrees with the CPU.
struct Found {
    device: Device,
    watch: Watch,
    backend: &'static str,
    adapter: String,
    software: bool,
}

impl Found {
    fn opened(self, reason: String, self_test: Option<f32>) -> Opened {
        let Self { device, watch, backend, adapter, .. } = self;
        Opened { device, report: DeviceReport { backend: backend.into(), adapter, reason, self_test }, watch }
    }
}

/// The first GPU that a choice allows and that agrees with the CPU. What was wrong with those before it is told with it: on an H200
/// CUDA's losses were not numbers from the second step on, while the same card agreed through Vulkan.
async fn gpu(choice: DeviceChoice, card: usize, config: &Config, sink: &mut dyn FnMut(Event)) -> Result<Opened, String> {
    let mut refused = Vec::new();
    for &way in ways(choice) {
        match agreeing(way, choice, card, config, sink).await {
            Ok(mut opened) => {
                refused.push(opened.report.reason);
                opened.report.reason = refused.join(" ");
                return Ok(opened);
            }
            Err(reason) => refused.push(reason),
        }
    }
    Err(refused.join(" "))
}

async fn agreeing(way: Way, choice: DeviceChoice, card: usize, config: &Config, sink: &mut dyn FnMut(Event)) -> Result<Opened, String> {
    let found = found(way, choice, card).await?;
    let what = if way == Way::Cuda { "CUDA" } else { "The graphics adapter" };
    sink(Event::Stage(Stage::SelfTest));
    let is_timed = choice == DeviceChoice::Auto;
    let test = self_test(&found.device, config, &found.watch, is_timed);
    let SelfTest { differences, pace } = test.await.map_err(|error| format!("{what} failed the self-test: {error}."))?;
    if let Some((name, off)) = differences.iter().find(|(name, off)| *off > bound(way, name)) {
        return Err(format!("{what} computes other losses than the CPU ({name} is off by {off:.1e})."));
    }
    let reason = match pace.map(|[here, cpu]| here / cpu) {
        Some(times) if times < 1.0 => {
            return Err(format!(
                "{what} agrees with the CPU, and takes {:.1} times as long for a step of these models. It trains where you ask for it.",
                1.0 / times
            ));
        }
        Some(times) => format!("{} A step of these models takes the CPU {times:.1} times as long.", reason(way, found.software)),
        None => reason(way, found.software).into(),
    };
    let difference = differences.iter().map(|(_, off)| *off).fold(0.0, f32::max);
    Ok(found.opened(reason, Some(difference)))
}

async fn found(way: Way, choice: DeviceChoice, card: usize) -> Result<Found, String> {
    if way == Way::Cuda { cuda(card) } else { graphics(way, choice).await }
}

#[cfg(feature = "cuda")]
fn cuda(card: usize) -> Result<Found, String> {
    let card = card % cuda::cards()?;
    let adapter = cuda::probe(card)?;
    Ok(Found { device: Device::cuda(card), watch: Watch { gpu: true, ..Watch::default() }, backend: "CUDA", adapter, software: false })
}

#[cfg(not(feature = "cuda"))]
fn cuda(_card: usize) -> Result<Found, String> {
    Err("This program was built without CUDA; `cargo build --release --features cuda` builds it in.".into())
}

/// The best graphics adapter.
async fn graphics(way: Way, choice: DeviceChoice) -> Result<Found, String> {
    let api = if way == Way::Vulkan { WgpuBackend::Vulkan } else { WgpuBackend::Auto };
    let software = answered(probe(api)).await??;
    // A software adapter in a native program is slower than the CPU backend; in a browser it is what was switched on.
    if software && choice == DeviceChoice::Auto && !cfg!(target_family = "wasm") {
        return Err("The only graphics adapter is a software one, slower than the CPU backend.".into());
    }
    let options = Device::wgpu_options();
    let options = if api == WgpuBackend::Auto { options } else { options.graphics_api(api) };
    let (device, setup) =
        answered(options.init_with_setup_async()).await?.map_err(|error| format!("The graphics adapter was refused: {error}."))?;
    let watch = Watch { gpu: true, ..Watch::default() };
    watch.listen(&setup.device);
    let info = setup.adapter.get_info();
    let adapter = if info.name.is_empty() { info.driver } else { info.name };
    Ok(Found { device, watch, backend: backend_name(info.backend), adapter, software })
}

/// Why a GPU is used, and what it is where it is none but in name.
fn reason(way: Way, software: bool) -> &'static str {
    match way {
        Way::Cuda => "There is an NVIDIA card and it agrees with the CPU.",
        _ if software => {
            "This is a software adapter: the processor computes what a graphics card would, more slowly than the CPU backend does. It \
             agrees with the CPU."
        }
        _ => "There is a graphics adapter and it agrees with the CPU.",
    }
}

/// What the graphics driver answers, or a sentence where it does not.
async fn answered<T>(question: impl Future<Output = T>) -> Result<T, String> {
    within(question, ANSWER_MS).await.ok_or_else(|| format!("The graphics adapter has not answered for {} s.", ANSWER_MS / 1_000))
}

/// Whether there is an adapter that the runtime can use, and whether it is a software one. Asked first, because the
/// runtime panics in a browser where the adapter cannot time itself.
async fn probe(api: WgpuBackend) -> Result<bool, String> {
    let instance = if api == WgpuBackend::Vulkan {
        let any = wgpu::InstanceDescriptor::new_without_display_handle();
        wgpu::Instance::new(wgpu::InstanceDescriptor { backends: wgpu::Backends::VULKAN, ..any })
    } else {
        wgpu::Instance::default()
    };
    let options = wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    let adapter = instance.request_adapter(&options).await.map_err(|error| format!("There is no graphics adapter here ({error})."))?;
    if cfg!(target_family = "wasm") && !adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
        return Err("The graphics adapter lacks timestamp queries, which the runtime needs in a browser.".into());
    }
    Ok(adapter.get_info().device_type == wgpu::DeviceType::Cpu)
}

fn backend_name(backend: wgpu::Backend) -> &'static str {
    match backend {
        wgpu::Backend::BrowserWebGpu => "WebGPU",
        wgpu::Backend::Vulkan => "Vulkan",
        wgpu::Backend::Metal => "Metal",
        wgpu::Backend::Dx12 => "DX12",
        wgpu::Backend::Gl => "OpenGL",
        wgpu::Backend::Noop => "none",
    }
}

/// Largest difference of a loss that passes.
fn bound(way: Way, loss: &str) -> f32 {
    match way {
        Way::Cuda if SMOOTH.contains(&loss) => TF32_BOUND,
        Way::Cuda => TF32_MEMORY_BOUND,
        Way::Vulkan | Way::Graphics => SELF_TEST_BOUND,
    }
}

/// What a device and the CPU make of the same steps.
struct SelfTest {
    /// How far the losses are apart ([`Losses::differences`]), by name.
    differences: Vec<(String, f32)>,
    /// Steps a second of both, where they were timed.
    pace: Option<[f64; 2]>,
}

/// Takes a few steps of the run's variants here and on the CPU, and where it `is_timed` some more.
async fn self_test(device: &Device, config: &Config, watch: &Watch, is_timed: bool) -> Result<SelfTest, TrainError> {
    let here = trial(device, config, is_timed).await?;
    watch.check()?;
    let there = trial(&Device::flex(), config, is_timed).await?;
    if here.losses.len() != there.losses.len() {
        return Ok(SelfTest { differences: vec![("the number of steps".into(), f32::INFINITY)], pace: None });
    }
    let all = here.losses.iter().zip(&there.losses).flat_map(|(here, there)| here.differences(there));
    let differences = all.map(|(name, off)| (name.to_owned(), off as f32)).collect();
    Ok(SelfTest { differences, pace: here.pace.zip(there.pace).map(<[f64; 2]>::from) })
}

/// What a device made of a small stream.
#[derive(Debug)]
struct Trial {
    /// Step by step and model by model.
    losses: Vec<Losses>,
    /// Steps a second, where they were timed.
    pace: Option<f64>,
}

/// A few steps on a small stream: the run's own widths and batch, few rows of everything else.
async fn trial(device: &Device, config: &Config, is_timed: bool) -> Result<Trial, TrainError> {
    let small = Config {
        users: 64,
        items: 1_024,
        categories: 16,
        user_groups: 4,
        item_groups: 4,
        rows: (config.batch as u64) * (SELF_TEST_STEPS + 1),
        warm_up: 1,
        train_share: 0.8,
        ..config.clone()
    };
    let dataset = Dataset::open(Arc::new(Generator::new(&small)), &small)?;
    let variants: Vec<_> = trained(&small.variants.0).collect();
    let mut learner = Learner::new(&small, &variants, dataset.vocabulary(), device, SELF_TEST_STEPS);
    let (mut replay, mut losses, mut last) = (dataset.replay(), Vec::new(), None);
    for batch in std::iter::from_fn(|| replay.next_train()).take(SELF_TEST_STEPS as usize) {
        let batch = Arc::new(batch);
        learner.learn(batch.clone()).await?;
        losses.extend(learner.losses().await?);
        last = Some(batch);
    }
    let pace = match last {
        Some(batch) if is_timed => Some(pace(&mut learner, &batch).await?),
        _ => None,
    };
    Ok(Trial { losses, pace })
}

/// Steps a second on the same batch again and again. Each is read back: a queue that takes them all at once would look fast.
async fn pace(learner: &mut Learner, batch: &Arc<Batch>) -> Result<f64, TrainError> {
    let (begun, mut steps) = (Instant::now(), 0);
    while steps < PACE_STEPS || begun.elapsed().as_secs_f64() < PACE {
        learner.learn(batch.clone()).await?;
        learner.losses().await?;
        steps += 1;
    }
    Ok(f64::from(steps) / begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::block_on;

    #[test]
    fn a_software_adapter_is_called_one() {
        assert!(reason(Way::Graphics, true).contains("software adapter") && !reason(Way::Graphics, false).contains("software"));
    }

    #[test]
    fn only_cuda_may_round_to_tf32() {
        assert_eq!([Way::Vulkan, Way::Graphics].map(|way| bound(way, "loss_mtl")), [SELF_TEST_BOUND; 2]);
        assert_eq!(["loss_mtl", "loss_uie_l1"].map(|loss| bound(Way::Cuda, loss)), [TF32_BOUND, TF32_MEMORY_BOUND]);
    }

    /// The trial is of the device and not of the run's split: with few rows to train on it once took one step or none.
    #[test]
    fn the_trial_takes_the_same_steps_whatever_the_split() {
        let losses =
            |train_share: f64| block_on(trial(&Device::flex(), &Config { train_share, ..Config::default() }, false)).unwrap().losses;
        assert_eq!(losses(0.05), losses(0.8));
    }

    #[test]
    fn a_pace_is_taken_where_it_is_asked_for() {
        let small = Config { batch: 32, embedding: 8, ..Config::default() };
        let timed = |is_timed| block_on(trial(&Device::flex(), &small, is_timed)).unwrap();
        let (timed, untimed) = (timed(true), timed(false));
        assert!(timed.pace.is_some_and(|pace| pace.is_finite() && pace > 0.0) && untimed.pace.is_none());
        assert_eq!(timed.losses, untimed.losses, "the pace comes after the losses that are compared");
    }
}
