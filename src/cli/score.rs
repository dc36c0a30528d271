//! `duia score`: a file of rows with the scores that the models of a run give them.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use duia::checkpoint::{self, CheckpointError};
use duia::config::Config;
use duia::data::generator::Generator;
use duia::data::output::Format;
#[cfg(feature = "parquet")]
use duia::data::parquet;
use duia::data::protocol::Asked;
use duia::data::requests::{Request, Requests};
use duia::data::schema::Schema;
use duia::data::sniff::Kind;
use duia::data::{Names, Source};
use duia::platform::block_on;
use duia::training::{Scorer, Trained};
use duia::variants::Variant;
use duia::wire::Failure;

use super::arguments::Score;
use super::checkpoints::{self, Note};
use super::choices::{Device, FORMATS};
use super::console::Console;
use super::files::Whole;
use super::form::Form;
use super::input::{Input, PIPE};
use super::meter::{Meter, Unit};
use super::refusal::Refusal;
use super::rows::{self, Told};
use super::text::{say, warn, whole};
use super::training::command_of;

/// Batches that are scored at once.
const BATCHES: usize = 8;
/// Longest silence while a pipe is scored.
const SILENCE: Duration = Duration::from_secs(10);
/// What the scores of the two tasks are called, after their model.
const TASKS: [&str; 2] = ["a", "b"];

/// Scores all rows, or writes nothing.
pub fn score(arguments: &Score) -> Result<(), Refusal> {
    let (file, out) = (&arguments.file, &arguments.out);
    let format = Format::of(out).ok_or_else(|| Refusal::file(out, "its ending tells no format", FORMATS))?;
    if fs::canonicalize(file).is_ok_and(|file| fs::canonicalize(out).is_ok_and(|out| file == out)) {
        return Err(Refusal::file(out, "it is the file that is to be scored", "Choose another place with --out"));
    }
    let unwritable = |error: io::Error| Refusal::unwritable(out, error);
    // A place that cannot be written is known at once.
    drop(Whole::create(out).map_err(unwritable)?);
    let Kept { trained, note, place } = Kept::find(&arguments.checkpoint, arguments.quiet)?;
    let (data, form) = own_rows(arguments.data.as_deref(), &arguments.form, &trained, note.as_ref())?;

    let input = Input::open(file)?;
    let (size, read, name) = (input.size, input.read.clone(), input.name.clone());
    let requests = requests(input, if arguments.form.is_given() { &arguments.form } else { &form })?;

    let (models, steps) = (trained.models(), trained.steps());
    let mut console = Console::new(arguments.quiet);
    let (source, names) = rows::open_named(data.as_deref(), &form, trained.config(), Told::unless(arguments.quiet))?;
    let device = arguments.device.unwrap_or(Device::Auto).into();
    let refused = |failure| Refusal::Run { failure, begun: false };
    let scorer = block_on(Scorer::open(trained, source, device, &mut |event| console.show(&event))).map_err(refused)?;
    if !arguments.quiet {
        let of: Vec<&str> = models.iter().map(|model| model.name()).collect();
        warn(&format!("Scoring {name} with {} after step {} ({}) …", of.join("; "), whole(steps), place.display()));
    }

    let interrupted = Arc::new(AtomicBool::new(false));
    let heard = interrupted.clone();
    // Where no handler can be set, Ctrl-C ends the program at once.
    let _ = ctrlc::set_handler(move || heard.store(true, Relaxed));
    let mut written = Whole::create(out).map_err(unwritable)?;
    let mut table = Table::new(format, &mut written, requests.columns(), &models).map_err(unwritable)?;
    let mut progress = Progress::new(arguments.quiet, size);
    let mut tally = Tally::default();
    let mut requests = requests.peekable();
    while requests.peek().is_some() {
        let rows: Vec<Request> = requests.by_ref().take(BATCHES * scorer.requests()).collect::<Result<_, _>>()?;
        let asked: Vec<Option<Asked>> = rows.iter().map(|row| tally.resolve(row, &names, &scorer)).collect();
        let known: Vec<Asked> = asked.iter().copied().flatten().collect();
        let scores = block_on(scorer.score(&known)).map_err(|error| Refusal::Run { failure: Failure::from(&error), begun: true })?;
        table.write(&rows, &spread(&asked, &scores)).map_err(unwritable)?;
        progress.show(read.load(Relaxed), tally.rows);
        if interrupted.load(Relaxed) {
            return Err(Refusal::Interrupted("Ended as you asked; nothing was written".into()));
        }
    }
    progress.close();
    table.finish().map_err(unwritable)?;
    if tally.scored == 0 {
        let what = format!("{} has {} rows, and none can be scored: {}", file.display(), whole(tally.rows), tally.left_out().join(", "));
        return Err(Refusal::input(
            what,
            "Give rows of users and items that the run was trained on, and say with --columns which column is which",
        ));
    }
    written.keep().map_err(unwritable)?;
    say(&format!("Scored {} of {} rows: {}.", whole(tally.scored), whole(tally.rows), out.display()));
    if tally.scored < tally.rows {
        say(&format!("The scores of the others are empty: {}.", tally.left_out().join(", ")));
    }
    Ok(())
}

/// What was kept of a run.
pub struct Kept {
    /// Its models.
    pub trained: Trained,
    /// How the run began, where that was kept.
    pub note: Option<Note>,
    /// The file.
    pub place: PathBuf,
}

impl Kept {
    /// The newest whole checkpoint of a run's folder, or the checkpoint or the weights that are named.
    pub fn find(asked: &Path, quiet: bool) -> Result<Self, Refusal> {
        if !asked.is_dir() {
            return Self::open(asked, quiet)
                .map_err(|error| Refusal::file(asked, error, "Name another checkpoint, or the folder of a run"));
        }
        let mut refused: Vec<String> = Vec::new();
        for path in checkpoints::all(&asked.join(checkpoints::FOLDER)) {
            match Self::open(&path, quiet) {
                Ok(kept) => {
                    refused.iter().for_each(|why| warn(&format!("{why}. {} is taken instead.", path.display())));
                    return Ok(kept);
                }
                Err(error) => refused.push(format!("{} cannot be used: {error}", path.display())),
            }
        }
        if refused.is_empty() {
            let next = "Train with --checkpoint-every 500, or name a file that `duia train --weights-out` wrote";
            return Err(Refusal::file(asked, "it holds no checkpoint", next));
        }
        Err(Refusal::input(refused.join(". "), "Name a file that `duia train --weights-out` wrote, or train again"))
    }

    fn open(path: &Path, quiet: bool) -> Result<Self, CheckpointError> {
        let (trained, note) = match checkpoints::open(path, quiet) {
            Ok((checkpoint, note)) => (Trained::Run(Box::new(checkpoint)), Some(note)),
            Err(CheckpointError::Foreign { .. }) => (Trained::Weights(Box::new(weights(path)?)), None),
            Err(error) => return Err(error),
        };
        Ok(Self { trained, note, place: path.to_owned() })
    }
}

fn weights(path: &Path) -> Result<checkpoint::State, CheckpointError> {
    let bytes = fs::read(path).map_err(|error| CheckpointError::Unreadable { detail: error.to_string() })?;
    checkpoint::from_bytes(&bytes)
}

/// The rows that the run was trained on, and their form; no path where they are the synthetic stream.
pub fn own_rows(data: Option<&Path>, form: &Form, trained: &Trained, note: Option<&Note>) -> Result<(Option<PathBuf>, Form), Refusal> {
    let began = note.map(command_of).transpose()?;
    let form = began.as_ref().map_or_else(|| form.clone(), |began| began.form.clone());
    let data = data.map(Path::to_owned).or(began.and_then(|began| began.data));
    let is_synthetic = || is_stream(trained.config(), trained.data());
    match data {
        Some(data) if data.as_os_str() == PIPE => {
            Err(Refusal::input("the run was trained on rows from a pipe, which are gone", "Give them as a file by --data"))
        }
        None if !is_synthetic() => {
            Err(Refusal::input(format!("the weights were trained on {}", trained.data()), "Give that file by --data: it has the histories"))
        }
        data => Ok((data, form)),
    }
}

fn is_stream(config: &Config, data: &str) -> bool {
    Generator::new(config).name() == data
}

/// The rows to be scored, begun.
fn requests(input: Input, form: &Form) -> Result<Requests<impl Read + use<>>, Refusal> {
    let name = input.name.clone();
    if input.kind == Kind::Parquet {
        return Err(Refusal::input(format!("{name} is a Parquet table"), "Write the rows to be scored as CSV"));
    }
    let schema = match form.is_given() {
        true => form.resolve(&input)?,
        false => None,
    };
    let schema = schema.map_or_else(|| Schema::guess(input.first()).map(|guess| guess.schema), Ok).map_err(|why| {
        let next = "Say with --columns which column is which, like user=1,item=2,time=3";
        Refusal::input(format!("{name} cannot be understood: {why}"), next)
    })?;
    let first = input.first().to_vec();
    Ok(Requests::new(input.reader, &name, &schema, &first)?)
}

/// What became of the rows.
#[derive(Default)]
struct Tally {
    rows: u64,
    scored: u64,
    users: u64,
    items: u64,
    times: u64,
}

impl Tally {
    /// What a row asks; none where the run does not know what it names.
    fn resolve(&mut self, row: &Request, names: &Names, scorer: &Scorer) -> Option<Asked> {
        let (user, item, seconds) = (names.user(&row.user), names.item(&row.item), row.seconds());
        self.rows += 1;
        self.users += u64::from(user.is_none());
        self.items += u64::from(item.is_none());
        self.times += u64::from(seconds.is_none());
        let asked = scorer.asked(user?, item?, seconds?);
        self.scored += 1;
        Some(asked)
    }

    /// Why rows have no score.
    fn left_out(&self) -> Vec<String> {
        let all = [
            (self.users, "of a user that the run does not know"),
            (self.items, "of an item that the run does not know"),
            (self.times, "without a time that can be read"),
        ];
        all.into_iter().filter(|(rows, _)| *rows > 0).map(|(rows, why)| format!("{} {why}", whole(rows))).collect()
    }
}

/// Scores of what could be asked as columns over all rows.
fn spread(asked: &[Option<Asked>], scores: &[[Vec<f32>; 2]]) -> Vec<Vec<Option<f32>>> {
    let column = |scores: &Vec<f32>| {
        let mut scores = scores.iter().copied();
        asked.iter().map(|asked| asked.and_then(|_| scores.next())).collect()
    };
    scores.iter().flatten().map(column).collect()
}

/// The file that is written.
enum Table<W: Write + Send> {
    Csv(csv::Writer<W>),
    #[cfg(feature = "parquet")]
    Parquet(parquet::Scores<W>),
}

impl<W: Write + Send> Table<W> {
    fn new(format: Format, file: W, who: &[String; 3], models: &[Variant]) -> io::Result<Self> {
        let scores: Vec<String> = models.iter().flat_map(|model| TASKS.map(|task| format!("{}_{task}", model.key()))).collect();
        match format {
            Format::Csv => {
                let mut writer = csv::WriterBuilder::new().buffer_capacity(1 << 20).from_writer(file);
                writer.write_record(who.iter().chain(&scores))?;
                Ok(Self::Csv(writer))
            }
            #[cfg(feature = "parquet")]
            Format::Parquet => parquet::Scores::new(file, who, &scores).map(Self::Parquet),
        }
    }

    fn write(&mut self, rows: &[Request], scores: &[Vec<Option<f32>>]) -> io::Result<()> {
        match self {
            Self::Csv(writer) => {
                for (place, Request { user, item, time }) in rows.iter().enumerate() {
                    [user, item, time].into_iter().try_for_each(|field| writer.write_field(field))?;
                    for column in scores {
                        writer.write_field(column[place].map(|score| score.to_string()).unwrap_or_default())?;
                    }
                    writer.write_record(None::<&[u8]>)?;
                }
                Ok(())
            }
            #[cfg(feature = "parquet")]
            Self::Parquet(table) => table.write(rows, scores),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Csv(mut writer) => writer.flush(),
            #[cfg(feature = "parquet")]
            Self::Parquet(table) => table.finish(),
        }
    }
}

/// How far it is.
struct Progress {
    quiet: bool,
    meter: Option<Meter>,
    began: Instant,
    said: Instant,
}

impl Progress {
    fn new(quiet: bool, size: Option<u64>) -> Self {
        let meter = size.filter(|_| !quiet).map(|size| Meter::new(size, Unit::Bytes));
        Self { quiet, meter, began: Instant::now(), said: Instant::now() }
    }

    fn show(&mut self, bytes: u64, rows: u64) {
        let text = format!("{} rows, {} rows/s", whole(rows), whole((rows as f64 / self.began.elapsed().as_secs_f64()) as u64));
        match &mut self.meter {
            Some(meter) => meter.show(bytes, text),
            None if !self.quiet && self.said.elapsed() > SILENCE => {
                self.said = Instant::now();
                warn(&text);
            }
            None => {}
        }
    }

    fn close(self) {
        self.meter.into_iter().for_each(Meter::close);
    }
}
