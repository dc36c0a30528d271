//! The command line of the evidence commands.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use duia::config::Negatives;
use duia::simulation::{Learning, SimulationConfig};
use duia::variants::Variants;

use super::super::choices::{Device, models_help};
use super::super::form::Form;
use super::super::settings::Settings;

/// Most seeds of a command.
const MOST_SEEDS: usize = 1_000;

#[derive(Debug, Args)]
#[command(after_help = models_help())]
pub struct Ablate {
    #[command(flatten)]
    pub common: Common,
    /// Negatives: u1 draws them uniformly, p1 by popularity, t1 from other users' next rows; e1 draws none, rows have labels of their own.
    /// Default: u1 and p1.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "u1,p1")]
    pub protocols: Vec<Protocol>,
}

#[derive(Debug, Args)]
#[command(after_help = models_help())]
pub struct Sweep {
    /// What to vary.
    #[arg(value_enum)]
    pub axis: Axis,
    /// Its values, joined by commas. Default: the paper's for `--preset paper`, else scaled to the preset.
    #[arg(long, value_delimiter = ',', value_name = "N,N,..")]
    pub values: Vec<u64>,
    #[command(flatten)]
    pub common: Common,
    /// Negatives: u1 draws them uniformly, p1 by popularity, t1 from other users' next rows; e1 draws none, rows have labels of their own.
    /// Default: as the configuration says.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "u1,p1")]
    pub protocols: Vec<Protocol>,
}

#[derive(Debug, Args)]
pub struct Common {
    /// UserBehavior.csv (also as .gz), your own file with --columns or --schema, or a subset (.bin) that `duia sample` wrote.
    /// Default: the synthetic stream.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub form: Form,
    #[command(flatten)]
    pub settings: Settings,
    /// How many seeds, from the configuration's seed on (`3`), or which ones (`7,8,9`).
    #[arg(long, value_name = "N or N,N,..")]
    pub seeds: Option<Seeds>,
    /// The models of each run, by their keys. PLE is added wherever something is compared.
    #[arg(long, value_name = "KEY,KEY,..", value_parser = |text: &str| Variants::try_from(text.to_owned()))]
    pub variants: Option<Variants>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    /// Folder of the cells and the report: new, empty, or one of the same command, which then continues.
    /// Default: a folder in `runs` named by the command and by the preset or the file.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Print no progress, only the results.
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = models_help())]
pub struct Simulate {
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub sizes: Sizes,
    /// How many seeds, from the configuration's seed on (`3`), or which ones (`7,8,9`); each is its own world.
    #[arg(long, value_name = "N or N,N,..", default_value = "1")]
    pub seeds: Seeds,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    /// Folder for the report and the plots; it must be new or empty. Default: `runs/<date-time>-simulation-<preset>`.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Print no progress, only the results.
    #[arg(long)]
    pub quiet: bool,
}

/// [`SimulationConfig`] as arguments.
#[derive(Debug, Args)]
pub struct Sizes {
    /// Days that each model serves.
    #[arg(long, value_name = "N", default_value_t = SimulationConfig::default().days)]
    pub days: u32,
    /// Sessions of a day.
    #[arg(long, value_name = "N", default_value_t = SimulationConfig::default().sessions)]
    pub sessions: u32,
    /// Items that a model ranks in a session.
    #[arg(long, value_name = "N", default_value_t = SimulationConfig::default().candidates)]
    pub candidates: usize,
    /// Items of them that the user is shown.
    #[arg(long, value_name = "N", default_value_t = SimulationConfig::default().shown)]
    pub shown: usize,
    /// Sessions that are scored at once; what is taken in them is known to the next ones only.
    #[arg(long, value_name = "N", default_value_t = SimulationConfig::default().block)]
    pub block: usize,
    /// Share of the users that have no row in training, from 0 to 0.5.
    #[arg(long, value_name = "SHARE", default_value_t = SimulationConfig::default().new_users)]
    pub new_users: f64,
    /// When a model learns from what was taken.
    #[arg(long, value_enum, default_value_t = When::AtOnce)]
    pub learning: When,
}

impl From<&Sizes> for SimulationConfig {
    fn from(sizes: &Sizes) -> Self {
        let Sizes { days, sessions, candidates, shown, block, new_users, learning } = *sizes;
        Self { days, sessions, candidates, shown, block, new_users, learning: learning.into() }
    }
}

/// [`Learning`] as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// As soon as a batch is full.
    AtOnce,
    /// After the day.
    Daily,
}

impl From<When> for Learning {
    fn from(when: When) -> Self {
        match when {
            When::AtOnce => Self::AtOnce,
            When::Daily => Self::Daily,
        }
    }
}

/// How many seeds, or which ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeds {
    Count(usize),
    These(Vec<u64>),
}

impl FromStr for Seeds {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is neither a number of seeds from 1 to {MOST_SEEDS} nor a list of different ones like 7,8,9");
        let numbers: Vec<u64> = text.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| refuse())?;
        match numbers[..] {
            [count] if (1..=MOST_SEEDS as u64).contains(&count) => Ok(Self::Count(count as usize)),
            [_] => Err(refuse()),
            _ if numbers.len() > MOST_SEEDS || (1..numbers.len()).any(|at| numbers[..at].contains(&numbers[at])) => Err(refuse()),
            _ => Ok(Self::These(numbers)),
        }
    }
}

impl Seeds {
    /// The seeds, counted from `first`.
    pub fn from(&self, first: u64) -> Vec<u64> {
        match self {
            Self::Count(count) => (0..*count as u64).map(|n| first.wrapping_add(n)).collect(),
            Self::These(seeds) => seeds.clone(),
        }
    }
}

/// [`Negatives`] as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// UB-T80-U1: negatives uniformly.
    U1,
    /// UB-T80-P1: negatives in proportion to their rows to the power of 0.75.
    P1,
    /// UB-T80-T1: items new to their user, negatives from other users' next rows.
    T1,
    /// E1: exposures with labels of their own, no negatives.
    E1,
}

impl From<Protocol> for Negatives {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::U1 => Self::Uniform,
            Protocol::P1 => Self::Popular,
            Protocol::T1 => Self::TimeMatched,
            Protocol::E1 => Self::None,
        }
    }
}

/// What a sweep varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    /// Table 8: the width of the memories and of the auxiliary vectors, for DUIA.
    Width,
    /// Table 7: level-1 user centres, for UIE.
    NfcUie,
    /// Table 7: level-1 item centres, for UHSE alone.
    NfcUhse,
    /// Table 9: the share of UIE's level-1 centres that is hit, by their number; five seeds.
    HitRate,
    /// With how many users does DUIA start to help? Rows in proportion; synthetic stream only.
    Size,
    /// With how many behaviours that a model may read does DUIA help?
    Length,
    /// With how many rows of the same users does DUIA start to help? Synthetic stream only.
    Rows,
    /// After how many passes over the training rows does DUIA start to help?
    Epochs,
}

impl Axis {
    /// The name on the command line.
    pub fn key(self) -> &'static str {
        match self {
            Self::Width => "width",
            Self::NfcUie => "nfc-uie",
            Self::NfcUhse => "nfc-uhse",
            Self::HitRate => "hit-rate",
            Self::Size => "size",
            Self::Length => "length",
            Self::Rows => "rows",
            Self::Epochs => "epochs",
        }
    }

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Width => "width",
            Self::NfcUie | Self::HitRate => "user NFC",
            Self::NfcUhse => "item NFC",
            Self::Size => "users",
            Self::Length => "history",
            Self::Rows => "rows",
            Self::Epochs => "passes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_or_a_list() {
        assert_eq!("3".parse::<Seeds>().unwrap().from(7), [7, 8, 9]);
        assert_eq!("7,11".parse::<Seeds>().unwrap().from(1), [7, 11]);
        for text in ["", "0", "1001", "7,7", "7,", "three", "-1"] {
            assert!(text.parse::<Seeds>().unwrap_err().contains("7,8,9"), "{text}");
        }
    }
}
