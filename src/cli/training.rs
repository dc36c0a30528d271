//! `duia train`: one run from its data to its folder.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use duia::config::Config;
use duia::data::Source;
use duia::platform::block_on;
use duia::training::RunOptions;
use duia::variants::Variant;
use duia::wire::Failure;

use super::arguments::Train;
use super::console::Console;
use super::files::{RunFolder, UNFINISHED, write_whole};
use super::interruption::Interruption;
use super::record::Record;
use super::refusal::Refusal;
use super::report::Report;
use super::settings::preset_name;
use super::summary::summary;
use super::text::{say, warn, whole};
use super::trace::read_weights;
use super::{plots, rows};

/// Trains, shows and writes. Where the run fails on its way, what was measured is written all the same.
pub fn train(arguments: &Train) -> Result<(), Refusal> {
    let began = Instant::now();
    let config = arguments.settings.resolve()?;
    let weights_in = arguments.weights_in.as_deref().map(read_weights).transpose()?;
    let interruption = Interruption::listen();
    let folder = RunFolder::create(arguments.out.as_deref(), &format!("{}-seed{}", preset_name(&config), config.seed))?;
    let folder = Arc::new(folder);
    interruption.guard(&folder);
    let prepared = prepare(arguments, &config, &folder).inspect_err(|_| folder.discard_if_empty());
    let (source, weights) = prepared?;

    let (mut record, console, weights) = (Record::default(), RefCell::new(Console::new(arguments.quiet)), RefCell::new(weights));
    let (is_over, skips_test) = (|| interruption.ends_training(), || interruption.ends_test());
    let mut keep = |variant, bytes| {
        if let Err(why) = weights.borrow_mut().keep(variant, bytes) {
            console.borrow().line(&format!("{why}. It is tried once more at the end."));
        }
    };
    let options = RunOptions {
        weights_in: weights_in.as_deref(),
        is_over: Some(&is_over),
        skips_test: Some(&skips_test),
        weights_out: Some(&mut keep),
        weights_if_over: arguments.weights_out.is_none(),
    };
    let outcome = block_on(duia::training::run_with(config.clone(), source, arguments.device.into(), options, |event| {
        interruption.follow(&event);
        console.borrow_mut().show(&event);
        record.take(event);
    }));
    interruption.writing();
    console.into_inner().close();
    if let Err(failure) = outcome {
        record.failure = Some(failure);
    }
    conclude(arguments, &config, &record, &folder, weights.into_inner(), began.elapsed().as_secs_f64())?;
    let begun = !record.variants.is_empty();
    match record.failure {
        Some(failure) => Err(Refusal::Run { failure, begun }),
        None if interruption.ends_test() && !record.is_tested() => Err(Refusal::Untested),
        None => Ok(()),
    }
}

/// The place of the weights, which must be one that can be written, and the rows.
fn prepare(arguments: &Train, config: &Config, folder: &RunFolder) -> Result<(Arc<dyn Source>, Weights), Refusal> {
    let rows = || rows::open(arguments.data.as_deref(), &arguments.form, config, arguments.quiet);
    let (source, place) = match &arguments.weights_out {
        Some(asked) => {
            let is_new = !asked.exists();
            fs::create_dir_all(asked).map_err(|error| Refusal::file(asked, error, "Choose another place with --weights-out"))?;
            // Nothing is left behind where there is nothing to train on; a folder that holds something stays.
            let source = rows().inspect_err(|_| drop(is_new.then(|| fs::remove_dir(asked))))?;
            (source, asked.clone())
        }
        None => (rows()?, folder.path().join("weights")),
    };
    Ok((source, Weights { folder: place, written: Vec::new(), unwritten: Vec::new() }))
}

/// The table first, then each file by itself; then what could be written is said, and what could not.
fn conclude(
    arguments: &Train,
    config: &Config,
    record: &Record,
    folder: &RunFolder,
    mut weights: Weights,
    seconds: f64,
) -> Result<(), Refusal> {
    if record.series.is_empty() && weights.is_empty() {
        folder.discard_if_empty();
        return Ok(());
    }
    say(&summary(record, config, seconds));
    let mut files = Files { folder, written: Vec::new(), failed: weights.try_again() };
    files.write("series.csv", Ok(record.series.to_csv()));
    match plots::all(record) {
        Ok(plots) => plots.into_iter().for_each(|(name, text)| files.write(name, Ok(text))),
        Err(error) => files.failed.push(format!("the plots: {error}")),
    }
    let command: Vec<String> = std::env::args_os().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
    // Last: a folder with a report and without the mark of an unfinished run is whole.
    let report = Report::new(record, config, &command, seconds).starting_from(arguments.weights_in.as_deref());
    files.write("report.json", report.to_json().map_err(|error| error.to_string()));
    if files.failed.is_empty()
        && let Err(refusal) = folder.finish()
    {
        files.failed.push(refusal.to_string());
    }
    weights.written.iter().for_each(|line| say(line));
    if files.failed.is_empty() {
        say(&format!("Report, series and plots: {}", folder.path().display()));
        return Ok(());
    }
    Err(files.refusal(record.failure.as_ref()))
}

/// The weights of a run: written as soon as training ends, so that nothing that comes after it loses them.
struct Weights {
    folder: PathBuf,
    /// What was written, in sentences.
    written: Vec<String>,
    unwritten: Vec<(Variant, Vec<u8>)>,
}

impl Weights {
    fn is_empty(&self) -> bool {
        self.written.is_empty() && self.unwritten.is_empty()
    }

    /// Writes a file, or keeps its bytes until the end of the run and says why.
    fn keep(&mut self, variant: Variant, bytes: Vec<u8>) -> Result<(), String> {
        let path = self.folder.join(format!("{}.safetensors", variant.key()));
        match write_whole(&path, &bytes) {
            Ok(()) => {
                self.written.push(format!("Weights of {}: {}, {} bytes.", variant.name(), path.display(), whole(bytes.len() as u64)));
                Ok(())
            }
            Err(error) => {
                self.unwritten.push((variant, bytes));
                let stale = if path.is_file() { " (what lies there is of an earlier run)" } else { "" };
                Err(format!("{}: {error}{stale}", path.display()))
            }
        }
    }

    /// Tries once more what could not be written; returns what still cannot, and why.
    fn try_again(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unwritten).into_iter().filter_map(|(variant, bytes)| self.keep(variant, bytes).err()).collect()
    }
}

/// The files of a run's folder.
struct Files<'a> {
    folder: &'a RunFolder,
    written: Vec<String>,
    /// What could not be written, and why.
    failed: Vec<String>,
}

impl Files<'_> {
    fn write(&mut self, name: &str, text: Result<String, String>) {
        let path = self.folder.path().join(name);
        match text.and_then(|text| write_whole(&path, text.as_bytes()).map_err(|error| error.to_string())) {
            Ok(()) => self.written.push(name.to_owned()),
            Err(why) => self.failed.push(format!("{}: {why}", path.display())),
        }
    }

    /// What is missing, and what is there in spite of it; and what failed before, where the run did.
    fn refusal(self, failure: Option<&Failure>) -> Refusal {
        let Self { folder, written, failed } = self;
        if let Some(Failure { what, detail, next }) = failure {
            [what, detail, next].into_iter().for_each(|line| warn(line));
        }
        let there = if written.is_empty() { "nothing".into() } else { written.join(", ") };
        let failure = Failure {
            what: "The tables above are the result, but not all files could be written".into(),
            detail: format!("Not written: {}. Written to {}: {there}", failed.join("; "), folder.path().display()),
            next: format!("Make room or choose another place, and run again; {UNFINISHED} marks this folder as one that is not whole"),
        };
        Refusal::Run { failure, begun: true }
    }
}
