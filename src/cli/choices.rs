//! What the arguments of several commands choose from.

use clap::ValueEnum;
use duia::config::Preset;
use duia::variants::Variant;
use duia::wire::DeviceChoice;

/// Where the page looks for a subset of real rows, and `duia sample` writes it.
pub const DEFAULT_SAMPLE: &str = "assets/sample.bin";

/// What to do about a file of no format that can be written.
pub const FORMATS: &str =
    if cfg!(feature = "parquet") { "Name it .csv or .parquet" } else { "Name it .csv, or .parquet in a build with `--features parquet`" };

/// The models by their keys: what `variants` may hold.
pub fn models_help() -> String {
    let lines = Variant::ALL.map(|variant| format!("  {:<16} {:<16} {}", variant.key(), variant.name(), variant.about()));
    format!("Models, for --set variants=ple,uie,.. or --variants:\n{}", lines.join("\n"))
}

/// [`Preset`] as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PresetName {
    /// 2,000 users, 32 x 4 user centres: well under a minute.
    Browser,
    /// 20,000 users, the same model: long enough for the curves to flatten.
    Long,
    /// The browser's sizes, users like the paper's and rows like the real file's, protocol T1.
    Calibrated,
    /// Table 3 of the paper: 512 x 10 user centres, 100 million rows.
    Paper,
}

impl From<PresetName> for Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Browser => Self::Browser,
            PresetName::Calibrated => Self::Calibrated,
            PresetName::Long => Self::Long,
            PresetName::Paper => Self::Paper,
        }
    }
}

/// What a log is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// One JSON object a line.
    Json,
}

/// What a replay can be read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
}

/// [`DeviceChoice`] as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The faster of GPU and CPU, where there is a GPU that agrees with the CPU.
    Auto,
    /// The GPU, or an error.
    Gpu,
    /// The CPU: equal seeds give equal bytes.
    Cpu,
    /// An NVIDIA GPU through CUDA, or an error. Needs a build with `--features cuda`.
    Cuda,
    /// A graphics adapter through Vulkan, or an error.
    Vulkan,
}

impl From<Device> for DeviceChoice {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Self::Auto,
            Device::Gpu => Self::Gpu,
            Device::Cpu => Self::Cpu,
            Device::Cuda => Self::Cuda,
            Device::Vulkan => Self::Vulkan,
        }
    }
}
