//! `duia export`: a model of a run as an ONNX graph, with what a server needs beside it.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use duia::checkpoint::{self, Arrays, State};
use duia::data::Names;
use duia::onnx::{About, MOST};
use duia::platform::block_on;
use duia::training::{Exported, Scorer, TrainError, Trained};
use duia::variants::Variant;
use duia::wire::{DeviceChoice, Failure};

use super::arguments::Export;
use super::console::Console;
use super::files::Whole;
use super::refusal::Refusal;
use super::rows::{self, Told};
use super::score::{Kept, own_rows};
use super::text::{say, warn, whole};

/// What the files are called that stand beside the graph, in the place of its ending.
const ENDING: &str = "onnx";
const NUMBERS: &str = "onnx.data";
const USERS: &str = "users.csv";
const ITEMS: &str = "items.csv";
const EXAMPLES: &str = "examples.safetensors";
/// The metadata entry that says of what run the graph is.
const ENTRY: &str = "duia";

/// Writes all files, or none.
pub fn export(arguments: &Export) -> Result<(), Refusal> {
    let (out, quiet) = (&arguments.out, arguments.quiet);
    if out.extension().is_none_or(|ending| ending != ENDING) {
        return Err(Refusal::file(out, format!("its name does not end in .{ENDING}"), "Choose another name with --out"));
    }
    // A place that cannot be written is known at once.
    drop(Whole::create(out).map_err(|error| Refusal::unwritable(out, error))?);
    let Kept { trained, note, place } = Kept::find(&arguments.checkpoint, quiet)?;
    let model = chosen(&trained, arguments.model)?;
    let (data, form) = own_rows(arguments.data.as_deref(), &arguments.form, &trained, note.as_ref())?;

    let (source, names) = rows::open_named(data.as_deref(), &form, trained.config(), Told::unless(quiet))?;
    let mut console = Console::new(quiet);
    let failed = |failure| Refusal::Run { failure, begun: false };
    let scorer = block_on(Scorer::open(trained, source, DeviceChoice::Cpu, &mut |event| console.show(&event))).map_err(failed)?;
    if !quiet {
        warn(&format!("Exporting {} from {} …", model.name(), place.display()));
    }
    let refused = |error: TrainError| failed(Failure::from(&error));
    let exported = block_on(scorer.export(model)).map_err(refused)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let heard = interrupted.clone();
    // Where no handler can be set, Ctrl-C ends the program at once.
    let _ = ctrlc::set_handler(move || heard.store(true, Relaxed));
    let mut files = Files { out, whole: Vec::new() };
    files.graph(&exported, arguments.external_data || exported.graph.bytes() >= MOST)?;
    files.names(&names)?;
    if arguments.examples > 0 {
        let examples = block_on(scorer.examples(model, arguments.examples)).map_err(refused)?;
        files.examples(&exported, examples)?;
    }
    if interrupted.load(Relaxed) {
        return Err(Refusal::Interrupted("Ended as you asked; nothing was written".into()));
    }
    files.keep(&exported)
}

/// The model of a run that is named, or its only one.
fn chosen(trained: &Trained, asked: Option<Variant>) -> Result<Variant, Refusal> {
    let models = trained.models();
    let keys = || models.iter().map(|model| model.key()).collect::<Vec<_>>().join(", ");
    match (asked, models.as_slice()) {
        (Some(model), models) if models.contains(&model) => Ok(model),
        (Some(model), _) => {
            Err(Refusal::input(format!("the run has no {}", model.name()), format!("Name one of its models by --model: {}", keys())))
        }
        (None, [only]) => Ok(*only),
        (None, _) => Err(Refusal::input("the run has several models", format!("Name one of them by --model: {}", keys()))),
    }
}

/// The files of an export, none in its place before all are whole.
struct Files<'a> {
    out: &'a Path,
    whole: Vec<(PathBuf, Whole)>,
}

impl Files<'_> {
    fn beside(&self, ending: &str) -> PathBuf {
        self.out.with_extension(ending)
    }

    /// Writes a file that waits for the others.
    fn write(&mut self, path: PathBuf, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Refusal> {
        let written = || -> io::Result<Whole> {
            let mut file = BufWriter::with_capacity(1 << 20, Whole::create(&path)?);
            write(&mut file)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)
        };
        let whole = written().map_err(|error| Refusal::unwritable(&path, error))?;
        self.whole.push((path, whole));
        Ok(())
    }

    fn graph(&mut self, exported: &Exported, in_two: bool) -> Result<(), Refusal> {
        let Exported { graph, description } = exported;
        let entry = serde_json::to_string(description).map_err(|error| Refusal::input(error, "Please report this"))?;
        let about = About {
            name: description.variant.key(),
            text: &format!("{}: {}", description.variant.name(), description.variant.about()),
            version: description.steps,
            entries: &[(ENTRY, entry)],
        };
        if !in_two {
            return self.write(self.out.to_owned(), |file| graph.write(&about, file));
        }
        let numbers = self.beside(NUMBERS);
        let name = numbers.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut head = Vec::new();
        self.write(numbers, |file| graph.write_in_two(&about, &mut head, file, &name))?;
        self.write(self.out.to_owned(), |file| file.write_all(&head))
    }

    fn names(&mut self, names: &Names) -> Result<(), Refusal> {
        for (ending, column, names) in [(USERS, "user", names.users()), (ITEMS, "item", names.items())] {
            self.write(self.beside(ending), |file| {
                let mut table = csv::Writer::from_writer(file);
                table.write_record(["number", column])?;
                for (number, name) in names.iter().enumerate() {
                    table.write_record([number.to_string().as_bytes(), name])?;
                }
                table.flush()
            })?;
        }
        Ok(())
    }

    fn examples(&mut self, exported: &Exported, mut arrays: Arrays) -> Result<(), Refusal> {
        let Exported { graph, description } = exported;
        let ports: Vec<&str> = graph.inputs().iter().chain(graph.outputs()).map(|port| port.name).collect();
        arrays.retain(|name, _| ports.contains(&name.as_str()));
        let state = State { description: description.clone(), arrays };
        let bytes = checkpoint::to_bytes(&state).map_err(|error| Refusal::input(error, "Please report this"))?;
        self.write(self.beside(EXAMPLES), |file| file.write_all(&bytes))
    }

    /// Puts all in their places, the graph last: where there is one, what belongs to it is there.
    fn keep(mut self, exported: &Exported) -> Result<(), Refusal> {
        let mut said = String::new();
        self.whole.sort_by_key(|(path, _)| path == self.out);
        for (path, file) in self.whole {
            let bytes = file.keep().map_err(|error| Refusal::unwritable(&path, error))?;
            let _ = write!(said, "{}{} ({} bytes)", if said.is_empty() { "" } else { ", " }, path.display(), whole(bytes));
        }
        let Exported { graph, description } = exported;
        let inputs: Vec<&str> = graph.inputs().iter().map(|port| port.name).collect();
        say(&format!("Wrote {} after step {}: {said}.", description.variant.name(), whole(description.steps)));
        say(&format!("Its inputs are {}; docs/export.md explains them.", inputs.join(", ")));
        Ok(())
    }
}
