//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use duia::config::Preset;
use duia::message::DeviceChoice;

use super::sample::DEFAULT_SAMPLE;
use super::settings::Settings;

/// Trains PLE and PLE+UIE side by side on one stream of users, and says by how much they differ.
///
/// Without a command: trains on the synthetic stream, on the best device there is.
#[derive(Debug, Parser)]
#[command(name = "duia", version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub train: Train,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train PLE and PLE+UIE (the same as no command).
    Train(Train),
    /// Write a compact sample of whole users of UserBehavior.csv, for the page to train on.
    Sample(Sample),
    /// Print a configuration as JSON, and as a link query on standard error.
    Config(Settings),
}

#[derive(Debug, Args)]
pub struct Train {
    /// UserBehavior.csv, or a sample (.bin) that `duia sample` wrote. Without it: the synthetic stream.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub settings: Settings,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    /// Folder for the report, the series and the plots; it must be new or empty. Without it: `runs/<date-time>-<preset>-seed<N>`.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// No progress, only the closing tables.
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct Sample {
    /// UserBehavior.csv of Tianchi 649.
    pub file: PathBuf,
    /// Users to keep, each with all his rows.
    #[arg(long, default_value_t = 655, value_parser = clap::value_parser!(u32).range(1..))]
    pub users: u32,
    /// Which users: another seed keeps others.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Where to write it. The page reads the default place.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_SAMPLE)]
    pub out: PathBuf,
}

/// [`Preset`] as an argument.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PresetName {
    /// 2,000 users, 32 x 4 user centres: well under a minute.
    Browser,
    /// 20,000 users, the same model: long enough for the curves to settle.
    Long,
    /// Table 3 of the paper: 512 x 10 user centres, 100 million rows.
    Paper,
}

impl From<PresetName> for Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Browser => Self::Browser,
            PresetName::Long => Self::Long,
            PresetName::Paper => Self::Paper,
        }
    }
}

/// [`DeviceChoice`] as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// A GPU where there is one that passes the self-test, else the CPU.
    Auto,
    /// The GPU, or an error.
    Gpu,
    /// The CPU: equal seeds give equal bytes.
    Cpu,
}

impl From<Device> for DeviceChoice {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Self::Auto,
            Device::Gpu => Self::Gpu,
            Device::Cpu => Self::Cpu,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_train_is_the_default() {
        Arguments::command().debug_assert();
        let bare = Arguments::parse_from(["duia", "--device", "cpu", "--quiet"]);
        assert!(bare.command.is_none() && bare.train.quiet && bare.train.device == Device::Cpu);
        assert!(Arguments::try_parse_from(["duia", "sample"]).is_err());
    }
}
