//! `duia train`: one run from its data to its folder.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use duia::checkpoint::run::Checkpoint;
use duia::config::Config;
use duia::data::Source;
use duia::model::together::Together;
use duia::platform::block_on;
use duia::training::RunOptions;
use duia::variants::Variant;
use duia::wire::Failure;

use super::arguments::{Arguments, Command, Train};
use super::cards;
use super::checkpoints::{Checkpoints, Found, Note, has_any};
use super::choices::{Device, LogForm};
use super::console::Console;
use super::files::write_whole;
use super::form::Form;
use super::html;
use super::input::PIPE;
use super::interruption::{Interruption, Voice};
use super::log::Log;
use super::plots;
use super::record::Record;
use super::refusal::Refusal;
use super::replay::Replay;
use super::report::Report;
use super::rows::{self, Told};
use super::run_folder::{RunFolder, UNFINISHED};
use super::settings::preset_name;
use super::summary::summary;
use super::tensorboard::TensorBoard;
use super::text::{say, warn, whole};
use super::trace::read_weights;

/// Trains, shows and writes. Where the run fails on its way, what was measured is written all the same.
pub fn train(asked: &Train, together: Together) -> Result<(), Refusal> {
    let together = if asked.cards > 1 { cards::join(asked, &together, follow)? } else { together };
    if !together.leads() {
        return follow(asked, together, &Interruption::listen(asked.test_on_interrupt, Voice::Silent));
    }
    let log = asked.log.map(|LogForm::Json| Log::new(asked.log_file.as_deref())).transpose()?;
    let console = RefCell::new(Console::new(asked.quiet).logging(log));
    let outcome = run(asked, &console, together);
    console.borrow_mut().log().into_iter().for_each(|log| log.end(&outcome));
    outcome
}

/// One of several processes, or of several cards of one, but the first.
fn follow(asked: &Train, together: Together, interruption: &Interruption) -> Result<(), Refusal> {
    let console = RefCell::new(Console::new(true));
    let Start { arguments, config, resume, .. } = Start::of(&Train { quiet: true, ..asked.clone() }, &console)?;
    let weights_in = arguments.weights_in.as_deref().filter(|_| resume.is_none()).map(read_weights).transpose()?;
    let source = rows::open(arguments.data.as_deref(), &arguments.form, &config, Told::unless(true))?;
    let (is_over, skips_test, stops) = (|| interruption.ends_training(), || interruption.ends_test(), || interruption.stops());
    let options = RunOptions {
        weights_in: weights_in.as_deref(),
        resume: resume.map(|(_, checkpoint)| checkpoint),
        together,
        stops: Some(&stops),
        is_over: Some(&is_over),
        skips_test: Some(&skips_test),
        ..RunOptions::default()
    };
    let device = arguments.device.unwrap_or(Device::Auto).into();
    let outcome = block_on(duia::training::run_with(config, source, device, options, |event| interruption.follow(&event)));
    outcome.map_err(|failure| Refusal::Run { failure, begun: true })
}

fn run(asked: &Train, console: &RefCell<Console>, together: Together) -> Result<(), Refusal> {
    let began = Instant::now();
    let voice = if together.processes() > 1 && asked.cards == 1 { Voice::OfSeveral } else { Voice::OfOne };
    let interruption = Interruption::listen(asked.test_on_interrupt, voice);
    let Start { arguments, config, resume, note } = Start::of(asked, console)?;
    let weights_in = arguments.weights_in.as_deref().filter(|_| resume.is_none()).map(read_weights).transpose()?;
    let name = || format!("{}-seed{}", preset_name(&config), config.seed);
    let folder = match &resume {
        Some((run, _)) => RunFolder::reopen(run)?,
        None => RunFolder::create(arguments.out.as_deref(), &name())?,
    };
    let folder = Arc::new(folder);
    interruption.guard(&folder);
    let prepared = prepare(&arguments, &config, &folder, &mut console.borrow_mut()).inspect_err(|_| folder.discard_if_empty());
    let (source, weights) = prepared?;
    let mut replay = Replay::asked(&arguments, &note).inspect_err(|_| folder.discard_if_empty())?;

    let before = note.seconds;
    let resumed = resume.as_ref().map(|(_, checkpoint)| checkpoint.header().step);
    let record = Record { resumed_at: note.resumed_at.clone(), ..Record::default() };
    let (mut record, weights) = (record, RefCell::new(weights));
    let board = arguments.tensorboard.as_ref();
    let mut board = board.map(|asked| TensorBoard::new(asked.as_ref().unwrap_or(&folder.path().join("tensorboard")), resumed));
    let keep = usize::from(arguments.keep);
    let mut checkpoints = Checkpoints::new(folder.path(), arguments.checkpoint_every, keep, note, resumed, console);
    let (is_over, skips_test, stops) = (|| interruption.ends_training(), || interruption.ends_test(), || interruption.stops());
    let mut keep_weights = |variant, bytes| {
        if let Err(why) = weights.borrow_mut().keep(variant, bytes) {
            console.borrow_mut().note(&format!("{why}. It is tried once more at the end."));
        }
    };
    let options = RunOptions {
        weights_in: weights_in.as_deref(),
        resume: resume.map(|(_, checkpoint)| checkpoint),
        together,
        keeper: Some(&mut checkpoints),
        stops: Some(&stops),
        is_over: Some(&is_over),
        skips_test: Some(&skips_test),
        weights_out: Some(&mut keep_weights),
        weights_if_over: arguments.weights_out.is_none(),
        pictures: if replay.is_some() { duia::replay::PICTURES as u64 } else { 0 },
    };
    let device = arguments.device.unwrap_or(Device::Auto).into();
    let outcome = block_on(duia::training::run_with(config.clone(), source, device, options, |event| {
        interruption.follow(&event);
        console.borrow_mut().show(&event);
        replay.iter_mut().for_each(|replay| replay.take(&event));
        record.take(event);
        board.iter_mut().for_each(|board| board.follow(&record.series));
    }));
    interruption.writing();
    console.borrow_mut().close();
    if let Err(failure) = outcome {
        record.failure = Some(failure);
    }
    if interruption.stops() && record.failure.is_none() && !record.is_tested() {
        return stopped(&arguments, &record, &folder, checkpoints.last());
    }
    let seconds = before + began.elapsed().as_secs_f64();
    conclude(&arguments, &config, &record, &folder, weights.into_inner(), replay, seconds)?;
    let begun = !record.variants.is_empty();
    match record.failure {
        Some(failure) => Err(Refusal::Run { failure, begun }),
        None if interruption.ends_test() && !record.is_tested() => Err(Refusal::Untested),
        None => Ok(()),
    }
}

/// What a run starts from.
struct Start {
    /// Those of the command that began it, and over them those of the one under way.
    arguments: Train,
    config: Config,
    /// The folder of a run that goes on, and its checkpoint.
    resume: Option<(PathBuf, Checkpoint)>,
    note: Note,
}

impl Start {
    fn of(asked: &Train, console: &RefCell<Console>) -> Result<Self, Refusal> {
        let command: Vec<String> = std::env::args_os().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
        let Some(path) = &asked.resume else {
            let folder = std::env::current_dir().unwrap_or_default();
            let note = Note { command, folder, seconds: 0.0, resumed_at: Vec::new() };
            return Ok(Self { arguments: asked.clone(), config: asked.settings.resolve()?, resume: None, note });
        };
        let Found { run, checkpoint, mut note } = Found::of(path, asked.quiet)?;
        let header = checkpoint.header();
        if !asked.settings.is_empty() {
            let refused = |error| Refusal::file(path, error, "Leave the settings out");
            header.require_config(&asked.settings.resolve_again(&header.config)?).map_err(refused)?;
        }
        let (step, steps) = (header.step, header.steps);
        console.borrow_mut().resumed(&run, step, steps);
        note.resumed_at.push(step);
        let config = header.config.clone();
        Ok(Self { arguments: gone_on_with(asked, &note)?, config, resume: Some((run, checkpoint)), note })
    }
}

/// The arguments that began a run, its paths as they are from here.
pub fn command_of(note: &Note) -> Result<Train, Refusal> {
    let began = Arguments::try_parse_from(std::iter::once("duia").chain(note.command.iter().map(String::as_str)));
    let began =
        began.map_err(|_| Refusal::input("the checkpoint was begun by a command that this program does not know", "Begin a new run"))?;
    let began = match began.command {
        Some(Command::Train(train)) => train,
        _ => began.train,
    };
    let there = |path: PathBuf| if path.as_os_str() == PIPE { path } else { note.folder.join(path) };
    Ok(Train {
        data: began.data.map(there),
        form: Form { schema: began.form.schema.map(there), ..began.form },
        weights_out: began.weights_out.map(there),
        html: began.html.map(there),
        tensorboard: began.tensorboard.map(|folder| folder.map(there)),
        ..began
    })
}

/// The arguments that began a run, and over them those that it goes on with.
fn gone_on_with(asked: &Train, note: &Note) -> Result<Train, Refusal> {
    let began = command_of(note)?;
    let (data, form) = match &asked.data {
        Some(data) => (Some(data.clone()), asked.form.clone()),
        None => (began.data, began.form),
    };
    if asked.data.is_none() && data.as_deref().is_some_and(|data| data.as_os_str() == PIPE) {
        return Err(Refusal::input("the run began with rows from a pipe, which are gone", "Give them once more by --data"));
    }
    Ok(Train {
        data,
        form,
        device: asked.device.or(began.device),
        weights_in: began.weights_in,
        weights_out: asked.weights_out.clone().or(began.weights_out),
        tensorboard: asked.tensorboard.clone().or(began.tensorboard),
        html: asked.html.clone().or(began.html),
        html_language: asked.html_language.or(began.html_language),
        ..asked.clone()
    })
}

/// How the end of a run is told: on standard output, unless a program reads its log there.
fn tells(arguments: &Train) -> fn(&str) {
    if arguments.log.is_some() && arguments.log_file.is_none() { warn } else { say }
}

/// What a person is told of a run that an interruption ended.
fn stopped(arguments: &Train, record: &Record, folder: &RunFolder, saved: Result<PathBuf, String>) -> Result<(), Refusal> {
    let (step, steps) = (whole(record.steps), whole(record.planned_steps));
    match saved {
        Ok(file) => {
            let tell = tells(arguments);
            tell(&format!("Stopped after step {step} of {steps}; all of it is in {}.", file.display()));
            tell(&format!("Go on with it: duia train --resume {}", folder.path().display()));
            Err(Refusal::Stopped)
        }
        Err(why) => {
            folder.discard_if_empty();
            let next =
                format!("Make room; what was saved before is there, and `duia train --resume {}` goes on from it", folder.path().display());
            let failure = Failure { what: format!("The run stopped after step {step} of {steps}, and was not saved"), detail: why, next };
            Err(Refusal::Run { failure, begun: true })
        }
    }
}

/// The place of the weights, which must be one that can be written, and the rows.
fn prepare(arguments: &Train, config: &Config, folder: &RunFolder, console: &mut Console) -> Result<(Arc<dyn Source>, Weights), Refusal> {
    console.log().into_iter().for_each(|log| log.enter("reading"));
    let mut rows = || rows::open(arguments.data.as_deref(), &arguments.form, config, Told { quiet: arguments.quiet, log: console.log() });
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
    replay: Option<Replay>,
    seconds: f64,
) -> Result<(), Refusal> {
    if record.series.is_empty() && weights.is_empty() {
        folder.discard_if_empty();
        return Ok(());
    }
    let tell = tells(arguments);
    tell(&summary(record, config, seconds));
    let mut files = Files { folder, written: Vec::new(), failed: weights.try_again() };
    files.write("series.csv", Ok(record.series.to_csv()));
    match plots::all(record) {
        Ok(plots) => plots.into_iter().for_each(|(name, text)| files.write(name, Ok(text))),
        Err(error) => files.failed.push(format!("the plots: {error}")),
    }
    let command: Vec<String> = std::env::args_os().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
    files.write("report.html", html::page(record, config, &command, seconds).map_err(|error| error.to_string()));
    let replay = replay.map(|replay| replay.write(config, record.failure.as_ref()));
    let replayed = replay.and_then(|written| written.map_err(|why| files.failed.push(why)).ok());
    // Last: a folder with a report and without the mark of an unfinished run is whole.
    let report = Report::new(record, config, &command, seconds).starting_from(arguments.weights_in.as_deref());
    files.write("report.json", report.to_json().map_err(|error| error.to_string()));
    // A run that failed on its way may go on from its last checkpoint.
    let goes_on = record.failure.is_some() && has_any(folder.path());
    if goes_on {
        tell(&format!("Go on from the last checkpoint: duia train --resume {}", folder.path().display()));
    }
    if files.failed.is_empty()
        && !goes_on
        && let Err(refusal) = folder.finish()
    {
        files.failed.push(refusal.to_string());
    }
    weights.written.iter().chain(&replayed).for_each(|line| tell(line));
    if files.failed.is_empty() {
        tell(&format!("Report, series and plots: {}", folder.path().display()));
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
