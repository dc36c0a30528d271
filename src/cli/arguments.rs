//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use duia::variants::Variant;

use super::bench::arguments::Bench;
use super::checkpoints::Every;
use super::choices::{DEFAULT_SAMPLE, Device, Language, LogForm, models_help};
use super::evidence::arguments::{Ablate, Simulate, Sweep};
use super::form::Form;
use super::settings::Settings;

/// Trains recommenders on the same stream of users, with and without clusters, and reports how much they differ.
///
/// Without a command it trains PLE and DUIA on the synthetic stream, on the best device available.
///
/// Which command answers which question?
/// What happens in one run: `train`. Which part of DUIA helps whom, over several seeds (Tables 2, 4 and 5): `ablate`.
/// How the gain depends on sizes (Tables 7, 8 and 9), and at which size it starts: `sweep`. How simulated users would respond
/// (Table 6): `simulate`. What can be set: `config`.
#[derive(Debug, Parser)]
#[command(name = "duia", version, args_conflicts_with_subcommands = true, after_help = models_help())]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub train: Train,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// What happens in one run? Trains the configuration's models once, side by side (the same as no command).
    ///
    /// Ctrl-C saves the run and says how to resume it; a second Ctrl-C ends the program at once. With --test-on-interrupt the first one
    /// ends training early and tests what was learned so far.
    #[command(after_help = models_help())]
    Train(Train),
    /// Which part of DUIA helps whom? Compares all models over several seeds: Tables 2, 4 and 5 of the paper.
    ///
    /// Finished runs are kept: stop at any time, and the same command continues where it stopped.
    Ablate(Ablate),
    /// How does the gain depend on a size, and at which size does it start? Tables 7, 8 and 9 of the paper, and more.
    ///
    /// Finished runs are kept: stop at any time, and the same command continues where it stopped.
    Sweep(Sweep),
    /// How would users respond? A simulated online A/B experiment on the synthetic stream: Table 6 of the paper.
    ///
    /// Each model serves simulated users with known preferences, who look, take and come back, and keeps learning. Nothing
    /// here measures real people.
    Simulate(Simulate),
    /// What would the models of a run make of my rows? Writes a file of rows once more, with the score of each by every model.
    ///
    /// A row is a user, an item and a time; the other columns do not matter. It is scored with what the run's own rows tell of both before
    /// that time. The scores are logits, of task A and of task B.
    Score(Score),
    /// Serve a model of a run elsewhere: writes it as an ONNX graph, for onnxruntime and others.
    ///
    /// Memories, centres and tables are in it, frozen as in the evaluation. Beside it stand two files with the number of each user and item.
    /// docs/export.md has the inputs, and a server in a few lines of Python.
    Export(Export),
    /// What do the columns of your file mean? Guesses, shows how the first rows are read and which rows would be refused and why,
    /// and writes a schema for `--schema`.
    Inspect(Inspect),
    /// Write the synthetic stream to a file of any size, CSV or Parquet.
    Generate(Generate),
    /// Write a compact subset of UserBehavior.csv, whole users at random, for the page to train on.
    Sample(Sample),
    /// What exactly does a step compute? Writes the first steps of one model on the CPU, number by number.
    ///
    /// The file is safetensors: an independent implementation can replay it. docs/trace.md explains its names and rules.
    #[command(after_help = models_help())]
    Trace(Trace),
    /// Record a run for the page, which shows it until its own has begun.
    ///
    /// Without settings: the page's own race, which is what the page plays. `make record` does this.
    Record(Record),
    /// How fast does this machine train, and what limits it? Measures steps on a device and writes a table.
    Bench(Bench),
    /// What can be set? Prints a configuration as JSON, and as a link to the page on standard error.
    #[command(after_help = models_help())]
    Config(Settings),
}

#[derive(Clone, Debug, Args)]
pub struct Train {
    /// UserBehavior.csv (also as .gz, or `-` for a pipe), your own file with --columns or --schema, or a subset (.bin) that
    /// `duia sample` wrote. Default: the synthetic stream.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub form: Form,
    #[command(flatten)]
    pub settings: Settings,
    /// Where to compute. Default: the best device available.
    #[arg(long, value_enum)]
    pub device: Option<Device>,
    /// NVIDIA cards of this machine that share every batch, through NCCL. For --device cuda.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub cards: u16,
    /// Resume a run that was stopped or killed: name its folder or one of its checkpoints. It keeps the configuration and the rows
    /// that it began with.
    #[arg(long, value_name = "RUN_FOLDER", conflicts_with_all = ["out", "weights_in"])]
    pub resume: Option<PathBuf>,
    /// How often the run is saved in its folder: steps (500), a time (90s, 10m, 2h), or `never`.
    #[arg(long, value_name = "STEPS|TIME", default_value = "10m")]
    pub checkpoint_every: Every,
    /// How many of the newest checkpoints to keep. The best one by the probe set's AUC is kept as well.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub keep: u16,
    /// On the first Ctrl-C, test what was learned so far instead of saving the run.
    #[arg(long)]
    pub test_on_interrupt: bool,
    /// Folder for the report, the series and the plots; it must be new or empty. Default: `runs/<date-time>-<preset>-seed<N>`.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Also write the run as one HTML file that plays it again without a network: headline, curves, clusters and every figure, by a slider.
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// What that file is read in. Default: English.
    #[arg(long, value_name = "LANGUAGE", requires = "html")]
    pub html_language: Option<Language>,
    /// Start one model from weights that `--weights-out` wrote. The model must be part of the run, with the same sizes and rows.
    #[arg(long, value_name = "FILE")]
    pub weights_in: Option<PathBuf>,
    /// Folder for the weights of every model at the end of training, before a streaming test, as <model>.safetensors.
    #[arg(long, value_name = "FOLDER")]
    pub weights_out: Option<PathBuf>,
    /// Write the run as JSON lines: progress, evaluations, ends of stages. They go to standard output, and the tables to standard error
    /// instead, or to the end of --log-file.
    #[arg(long, value_enum, value_name = "FORM")]
    pub log: Option<LogForm>,
    /// The file for --log.
    #[arg(long, value_name = "FILE", requires = "log")]
    pub log_file: Option<PathBuf>,
    /// Write TensorBoard's event files, a folder a model: into this folder, or into `tensorboard` in the folder of the run.
    #[arg(long, value_name = "FOLDER")]
    pub tensorboard: Option<Option<PathBuf>>,
    /// Print no progress, only the final tables.
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct Trace {
    /// UserBehavior.csv (also as .gz, or `-` for a pipe), your own file with --columns or --schema, or a subset (.bin) that
    /// `duia sample` wrote. Default: the synthetic stream.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub form: Form,
    #[command(flatten)]
    pub settings: Settings,
    /// Number of steps to write.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
    /// The model, by its key.
    #[arg(long, value_name = "KEY", default_value = Variant::DuiaItems.key(), value_parser = |text: &str| Variant::try_from(text.to_owned()))]
    pub variant: Variant,
    /// Where to write it.
    #[arg(long, value_name = "FILE", default_value = "trace.safetensors")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct Record {
    #[command(flatten)]
    pub settings: Settings,
    /// About how many pictures of the field, and portraits of a user.
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u64).range(1..=200))]
    pub pictures: u64,
    /// The commit that is said to have made it. Without it: the one that Git names here.
    #[arg(long, value_name = "NAME")]
    pub commit: Option<String>,
    /// Where to write it. The page reads the default place.
    #[arg(long, value_name = "FILE", default_value = "assets/recorded.bin")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct Score {
    /// The rows: CSV with any delimiter, also packed, or `-` for a pipe. Without --columns or --schema they are read in the form of the run's
    /// own rows, or their columns are guessed where that is UserBehavior.csv's.
    pub file: PathBuf,
    /// The folder of a run, one of its checkpoints, or weights that --weights-out wrote.
    #[arg(long, value_name = "RUN_FOLDER|FILE")]
    pub checkpoint: PathBuf,
    /// Where to write them: `.csv`, or `.parquet` in a build with it.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub form: Form,
    /// The rows that the run was trained on, where they are elsewhere now, or the checkpoint is weights: they have the histories.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Where to compute. Default: the best device available.
    #[arg(long, value_enum)]
    pub device: Option<Device>,
    /// Print no progress.
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct Export {
    /// The folder of a run, one of its checkpoints, or weights that --weights-out wrote.
    #[arg(long, value_name = "RUN_FOLDER|FILE")]
    pub checkpoint: PathBuf,
    /// Which model of the run. Default: the only one that it has.
    #[arg(long, value_name = "KEY", value_parser = |text: &str| Variant::try_from(text.to_owned()))]
    pub model: Option<Variant>,
    /// Where to write it. `<name>.users.csv` and `<name>.items.csv` are written beside it.
    #[arg(long, value_name = "FILE.onnx")]
    pub out: PathBuf,
    /// Write the numbers into `<name>.onnx.data`, which a runtime can map into memory. A model of 2 GiB or more is always written so.
    #[arg(long)]
    pub external_data: bool,
    /// Also write so many samples of the test, with their inputs and their logits as this program computes them, into
    /// `<name>.examples.safetensors`: to hold a server to.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub examples: usize,
    #[command(flatten)]
    pub form: Form,
    /// The rows that the run was trained on, where they are elsewhere now, or the checkpoint is weights: they have the ids.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Print no progress.
    #[arg(long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// The file: CSV with any delimiter, also as .gz.
    pub file: PathBuf,
    #[command(flatten)]
    pub form: Form,
    /// Where to write the schema. Default: `<file>.schema.json`, unless that exists.
    #[arg(long, value_name = "FILE.json")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Generate {
    /// How many rows. Default: as the configuration says.
    #[arg(long, value_name = "N")]
    pub rows: Option<u64>,
    /// Where to write them: `.csv` in the form of UserBehavior.csv, or `.parquet` with the same five columns.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct Sample {
    /// UserBehavior.csv of Tianchi 649, or your own file with --columns or --schema.
    pub file: PathBuf,
    #[command(flatten)]
    pub form: Form,
    /// Users to keep, each with all their rows.
    #[arg(long, default_value_t = 655, value_parser = clap::value_parser!(u32).range(1..))]
    pub users: u32,
    /// Decides which users are kept.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Where to write it. The page reads the default.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_SAMPLE)]
    pub out: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_train_is_the_default() {
        Arguments::command().debug_assert();
        let bare = Arguments::parse_from(["duia", "--device", "cpu", "--quiet"]);
        assert!(bare.command.is_none() && bare.train.quiet && bare.train.device == Some(Device::Cpu));
        assert!(Arguments::try_parse_from(["duia", "sample"]).is_err());
    }
}
