//! The arguments of `duia bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use duia::variants::Variant;
use serde::{Deserialize, Serialize};

use crate::cli::choices::Device;

/// Sizes to measure at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizesName {
    /// Table 3 of the paper with full tables: 1,000,000 users and 4,160,000 items.
    Paper,
    /// The page's.
    Browser,
}

impl SizesName {
    /// As it is typed.
    pub fn key(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Browser => "browser",
        }
    }
}

#[derive(Debug, Args)]
pub struct Bench {
    /// Which device to measure.
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    /// Minutes that it may take. What is measured by then is kept; the rest is listed as not measured.
    #[arg(long, value_name = "M", default_value_t = 4.0, value_parser = minutes)]
    pub minutes: f64,
    /// Sizes of the model and of its tables.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [SizesName::Paper, SizesName::Browser])]
    pub sizes: Vec<SizesName>,
    /// Models by their keys. Default: PLE, UIE, DUIA and DUIA for users and items.
    #[arg(long, value_name = "KEYS", value_delimiter = ',', value_parser = |text: &str| Variant::try_from(text.to_owned()))]
    pub models: Vec<Variant>,
    /// Batch sizes to measure.
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [4_096, 16_384, 512, 65_536], value_parser = batch)]
    pub batches: Vec<usize>,
    /// Seconds for each figure.
    #[arg(long, value_name = "S", default_value_t = 1.5, value_parser = minutes)]
    pub seconds: f64,
    /// A minute's worth: one model at the page's sizes, to see whether everything works.
    #[arg(long)]
    pub smoke: bool,
    /// Folder for <label>.json, and for table.md, which is built from all such files in it.
    #[arg(long, value_name = "FOLDER", default_value = "runs/bench")]
    pub out: PathBuf,
    /// What the table calls this measurement. Default: the device's name.
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    /// Only rebuild table.md from the files in the folder.
    #[arg(long)]
    pub table: bool,
    /// Measure cases given on standard input: what a bench starts for itself, so that none that fails takes others with it.
    #[arg(long, hide = true)]
    pub worker: bool,
    /// In a worker: no fused kernels.
    #[arg(long, hide = true)]
    pub no_fusion: bool,
}

fn minutes(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err(format!("`{text}` must be above 0")) }
}

fn batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rows) if (8..=65_536usize).contains(&rows) && rows.is_multiple_of(2) => Ok(rows),
        _ => Err(format!("`{text}` is not an even number from 8 to 65,536")),
    }
}
