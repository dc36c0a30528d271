//! The terminal shell around the core: arguments in; progress, a table and a run folder out. It knows files, clocks and
//! terminals, which the core does not.

mod arguments;
mod bench;
mod cache;
mod cards;
mod checkpoints;
mod choices;
mod console;
mod drawing;
mod evidence;
#[cfg(test)]
mod example;
mod export;
mod files;
mod form;
mod generate;
mod html;
mod input;
mod inspect;
mod interruption;
mod log;
mod meter;
mod plots;
mod processes;
mod record;
mod recording;
mod refusal;
mod replay;
mod report;
mod rows;
mod run_folder;
mod sample;
mod score;
mod series;
mod settings;
mod summary;
mod tensorboard;
mod text;
mod trace;
mod training;
mod unpack;
mod zip;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use processes::Processes;
use refusal::Refusal;
use text::warn;

/// Runs the program. Exit code 2 says that an argument or a file cannot be used, 1 that a run failed.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let processes = match Processes::join(&arguments) {
        Ok(processes) => processes,
        Err(refusal) => return told(&refusal.to_string(), &refusal),
    };
    let outcome = match arguments.command {
        None => training::train(&arguments.train, processes.together()),
        Some(Command::Train(train)) => training::train(&train, processes.together()),
        Some(Command::Ablate(ablate)) => evidence::ablate(&ablate),
        Some(Command::Sweep(sweep)) => evidence::sweep(&sweep),
        Some(Command::Simulate(simulate)) => evidence::simulate(&simulate),
        Some(Command::Inspect(inspect)) => inspect::inspect(&inspect),
        Some(Command::Generate(generate)) => generate::generate(&generate),
        Some(Command::Sample(sample)) => sample::sample(&sample),
        Some(Command::Score(asked)) => score::score(&asked),
        Some(Command::Export(asked)) => export::export(&asked),
        Some(Command::Trace(trace)) => trace::trace(&trace),
        Some(Command::Record(record)) => recording::record(&record),
        Some(Command::Bench(bench)) => bench::bench(&bench),
        Some(Command::Config(settings)) => settings.resolve().and_then(|config| settings::print(&config)),
    };
    let code = match &outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => told(&processes.signed(&refusal.to_string()), refusal),
    };
    processes.end(&outcome);
    code
}

/// Says why the program stops.
fn told(sentence: &str, refusal: &Refusal) -> ExitCode {
    warn(sentence);
    refusal.code()
}
