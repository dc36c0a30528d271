//! The evidence commands turn what they measure into tables, figures and plots that can stand beside the paper's: `duia
//! ablate` and `duia sweep` work through a queue of runs, `duia simulate` serves simulated users.

pub mod arguments;
mod cell;
mod document;
mod paper;
mod plan;
mod plots;
mod queue;
mod report;
mod simulation;
mod statistics;
mod table;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use duia::data::Source;
use duia::platform::block_on;
use duia::wire::Failure;

use super::console::Console;
use super::record::Record;
use super::refusal::Refusal;
use super::rows::{self, Told};
use super::settings::preset_name;
use super::summary::of_texts;
use super::text::{say, warn};
use arguments::{Ablate, Axis, Common, Sweep};
use cell::{Cell, Finished, Identity};
use queue::Queue;
use report::Subject;
use table::{Row, Table};

pub use simulation::simulate;

/// `duia ablate`.
pub fn ablate(arguments: &Ablate) -> Result<(), Refusal> {
    work(&plan::ablation(arguments)?, &arguments.common, None)
}

/// `duia sweep`.
pub fn sweep(arguments: &Sweep) -> Result<(), Refusal> {
    work(&plan::sweep(arguments)?, &arguments.common, Some(arguments.axis))
}

/// Works through the cells and reports after each.
fn work(cells: &[Cell], common: &Common, axis: Option<Axis>) -> Result<(), Refusal> {
    let name = axis.map_or("ablate".into(), |axis| format!("sweep {}", axis.key()));
    let command = command_line();
    if let Some(file) = common.data.as_deref().filter(|_| !common.quiet) {
        warn(&format!("Reading {} once, to know it again when this command goes on …", file.display()));
    }
    let data = common.data.as_deref().map_or(Ok(Identity::synthetic()), |path| Identity::of_file(path, &common.form))?;
    let queue = Queue::open(&out(common, &name, cells), &name)?;
    let subject = Subject { axis, command: &command, cells: cells.len() };
    let mut file = None;
    let compute = |place: usize, cell: &Cell, id: &str| {
        if !common.quiet {
            let setting = axis.map_or("", Axis::name);
            warn(&format!("\nCell {} of {}: {}.", place + 1, cells.len(), cell.name(setting)));
        }
        run(cell, id, common, &command, &mut file)
    };
    let tell = |line: &str| {
        if !common.quiet {
            warn(line);
        }
    };
    let outcome = queue.work(cells, &data, compute, tell, |done| subject.write(&queue, done));
    let (done, failed) = outcome.inspect_err(|_| queue.discard_if_empty())?;
    if done.is_empty() {
        queue.discard_if_empty();
    } else {
        subject.book(&done).tables.iter().filter(|table| is_headline(&table.id, axis)).for_each(say_table);
        say(&format!("\n{}", tables::LIFT));
        say(&format!("Report, figures and plots: {}", queue.path().display()));
    }
    if failed == 0 {
        return Ok(());
    }
    let failure = Failure {
        what: format!("{failed} of {} cells failed", cells.len()),
        detail: "The report holds the others".into(),
        next: "The same command tries them again".into(),
    };
    Err(Refusal::Run { failure, begun: true })
}

/// Runs a cell. A file is read once, for the first cell that needs it.
fn run(cell: &Cell, id: &str, common: &Common, command: &str, file: &mut Option<Arc<dyn Source>>) -> Result<Finished, Refusal> {
    let began = Instant::now();
    let source = match (file.as_ref(), common.data.as_deref()) {
        (Some(source), _) => source.clone(),
        (None, data) => rows::open(data, &common.form, &cell.config, Told::unless(common.quiet))?,
    };
    if common.data.is_some() {
        *file = Some(source.clone());
    }
    let mut record = Record::default();
    let mut console = Console::new(common.quiet);
    let outcome = block_on(duia::training::run(cell.config.clone(), source, common.device.into(), |event| {
        console.show(&event);
        record.take(event);
    }));
    console.close();
    let begun = !record.variants.is_empty();
    outcome.map_err(|failure| Refusal::Run { failure, begun })?;
    let unfinished = Failure {
        what: "The run ended before its test".into(),
        detail: format!("step {} of {}", record.steps, record.planned_steps),
        next: "The same command tries it again".into(),
    };
    Finished::of(record, &cell.config, id.into(), command, began.elapsed().as_secs_f64()).ok_or(Refusal::Run { failure: unfinished, begun })
}

/// A table in the terminal.
fn say_table(table: &Table) {
    let texts = table.rows.iter().map(|row| match row {
        Row::Cells(cells) => cells.clone(),
        Row::Rule(name) => vec![format!("– {}", name.replace(", ", ",\n  ").replace(": ", ":\n  "))],
    });
    say(&format!("\n{}", table.title));
    say(&of_texts(&table.header, texts).to_string());
}

/// The tables that end a command in the terminal; the report has all.
fn is_headline(id: &str, axis: Option<Axis>) -> bool {
    match axis {
        None => id.starts_with("table-4") || id.starts_with("table-5-gains"),
        Some(Axis::HitRate) => id.starts_with("clusters"),
        Some(_) => id.starts_with("sweep-"),
    }
}

/// The folder: as asked for, or always the same for the same command and data, so that it goes on where it was.
fn out(common: &Common, name: &str, cells: &[Cell]) -> PathBuf {
    let preset = cells.first().map(|cell| preset_name(&cell.config)).unwrap_or_default();
    let stem = common.data.as_deref().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    let own = || Path::new("runs").join(format!("{}-{}", name.replace(' ', "-"), stem.unwrap_or(preset)));
    common.out.clone().unwrap_or_else(own)
}

/// The command line as it can be typed again, the program by its own name.
fn command_line() -> String {
    let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "-_./,=:@+%".contains(c));
    let quoted = |part: String| if plain(&part) { part } else { format!("'{}'", part.replace('\'', r"'\''")) };
    let arguments = std::env::args_os().skip(1).map(|part| quoted(part.to_string_lossy().into_owned()));
    std::iter::once("duia".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}
