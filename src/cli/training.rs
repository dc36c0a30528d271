//! `duia train`: one run from its data to its folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use duia::platform::block_on;
use duia::training::RunOptions;
use duia::wire::Failure;

use super::arguments::Train;
use super::console::Console;
use super::files::RunFolder;
use super::record::Record;
use super::refusal::Refusal;
use super::report::Report;
use super::settings::preset_name;
use super::summary::summary;
use super::text::{say, warn};
use super::trace::{create_folder, read_weights, write_weights};
use super::{plots, rows};

/// What a shell expects of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Trains, shows and writes. Where the run fails on its way, what was measured is written all the same.
pub fn train(arguments: &Train) -> Result<(), Refusal> {
    let began = Instant::now();
    let config = arguments.settings.resolve()?;
    let source = rows::open(arguments.data.as_deref(), &config)?;
    let weights_in = arguments.weights_in.as_deref().map(read_weights).transpose()?;
    arguments.weights_out.as_deref().map(create_folder).transpose()?;
    let folder = RunFolder::create(arguments.out.as_deref(), &format!("{}-seed{}", preset_name(&config), config.seed))?;

    let mut record = Record::default();
    let mut console = Console::new(arguments.quiet);
    let mut weights_out = Vec::new();
    let mut keep = |variant, bytes| weights_out.push((variant, bytes));
    let interrupted = interruption();
    let is_over = || interrupted.load(Ordering::Relaxed);
    let options = RunOptions {
        weights_in: weights_in.as_deref(),
        is_over: Some(&is_over),
        weights_out: arguments.weights_out.is_some().then_some(&mut keep),
    };
    let outcome = block_on(duia::training::run_with(config.clone(), source, arguments.device.into(), options, |event| {
        console.show(&event);
        record.take(event);
    }));
    console.close();
    if let Err(failure) = outcome {
        record.failure = Some(failure);
    }

    let seconds = began.elapsed().as_secs_f64();
    if record.series.is_empty() {
        folder.discard_if_empty();
    } else {
        let command: Vec<String> = std::env::args_os().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
        write(&folder, &record, &Report::new(&record, &config, &command, seconds).starting_from(arguments.weights_in.as_deref()))?;
        say(&summary(&record, &config, seconds));
        say(&format!("Report, series and plots: {}", folder.path().display()));
        if let Some(folder) = &arguments.weights_out {
            write_weights(folder, &weights_out)?;
        }
    }
    let begun = !record.variants.is_empty();
    record.failure.map_or(Ok(()), |failure| Err(Refusal::Run { failure, begun }))
}

/// Becomes true with the first Ctrl-C; the second ends the program. Where no handler can be set, the first does.
fn interruption() -> Arc<AtomicBool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let told = interrupted.clone();
    let _ = ctrlc::set_handler(move || {
        if told.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        warn("Training ends with this step; then what was learned is tested. Ctrl-C once more ends the program at once.");
    });
    interrupted
}

fn write(folder: &RunFolder, record: &Record, report: &Report<'_>) -> Result<(), Refusal> {
    let failed = |what: &str, detail: String| {
        let what = format!("The run is done, but its {what} could not be made");
        Refusal::Run { failure: Failure { what, detail, next: "Please report this".into() }, begun: true }
    };
    let json = report.to_json().map_err(|error| failed("report", error.to_string()))?;
    folder.write("report.json", json.as_bytes())?;
    folder.write("series.csv", record.series.to_csv().as_bytes())?;
    for (name, text) in plots::all(record).map_err(|error| failed("plots", error.to_string()))? {
        folder.write(name, text.as_bytes())?;
    }
    Ok(())
}
