//! The rows of a run: the synthetic stream, a UserBehavior.csv, your own file (packed, or a pipe), or a subset.

use std::ffi::OsStr;
#[cfg(feature = "parquet")]
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use duia::config::Config;
use duia::data::csv::{Progress, Rows};
use duia::data::generator::Generator;
use duia::data::own::{self, Understood};
#[cfg(feature = "parquet")]
use duia::data::parquet;
use duia::data::schema::Schema;
use duia::data::sniff::Kind;
use duia::data::{DataError, Names, Source, sample};
use duia::footprint::{self, Shape};
use duia::platform::available_memory;
use indicatif::HumanBytes;

use super::cache::Cache;
use super::form::Form;
use super::input::{Input, PIPE, unreadable};
use super::log::Log;
use super::meter::{Meter, Unit};
use super::refusal::Refusal;
use super::text::{warn, whole};
use super::unpack::Reader;

/// Rows whose sorting takes long enough to be told.
const SLOW_TO_SORT: u64 = 1_000_000;

/// Who is told how far the reading of a file is.
#[derive(Default)]
pub struct Told<'a> {
    /// Nobody at the terminal.
    pub quiet: bool,
    pub log: Option<&'a mut Log>,
}

impl Told<'_> {
    /// Those at the terminal alone, unless `quiet`.
    pub fn unless(quiet: bool) -> Self {
        Self { quiet, log: None }
    }
}

/// Opens what `--data` names, or the synthetic stream. Unless quiet, it tells what it reads and how far it is.
pub fn open(data: Option<&Path>, form: &Form, config: &Config, told: Told<'_>) -> Result<Arc<dyn Source>, Refusal> {
    let Some(path) = data else {
        let fits = footprint::require(config, Shape::synthetic(config), available_memory());
        fits.map_err(|error| Refusal::input(error, "Choose smaller sizes, or a smaller --preset"))?;
        return Ok(Arc::new(Generator::new(config)));
    };
    let mut input = Input::open(path)?;
    if is_sample(&input, path, form) {
        let mut bytes = Vec::new();
        input.reader.read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
        return Ok(Arc::new(sample::read(&bytes, &input.name)?));
    }
    Ok(Arc::new(read_as(input, form, told)?))
}

/// [`open`], with what the rows call their users and items. A file is read itself: what is kept beside it has no names.
pub fn open_named(data: Option<&Path>, form: &Form, config: &Config, told: Told<'_>) -> Result<(Arc<dyn Source>, Names), Refusal> {
    let is_numbered = |path: &Path| Input::open(path).map(|input| is_sample(&input, path, form));
    if data.map_or(Ok(true), is_numbered)? {
        let source = open(data, form, config, told)?;
        let names = Names::numbers(source.vocabulary());
        return Ok((source, names));
    }
    let input = Input::open(data.unwrap_or(Path::new(PIPE)))?;
    let mut names = None;
    let rows = match form.resolve(&input)? {
        #[cfg(feature = "parquet")]
        Some(schema) if input.table().is_some() => {
            table(input, told, |open, name, watch| parquet::read_named(open, name, &schema, watch, &mut names))
        }
        Some(schema) => watched(input, told, |reader, name, watch| own::read_named(reader, name, &schema, watch, &mut names)),
        None => watched(input, told, |reader, name, watch| Rows::read_named(reader, name, watch, &mut names)),
    }?;
    let names = names.unwrap_or_else(|| Names::numbers(rows.vocabulary()));
    Ok((Arc::new(rows), names))
}

/// Whether it is a subset that `duia sample` wrote.
fn is_sample(input: &Input, path: &Path, form: &Form) -> bool {
    !form.is_given() && (input.kind == Kind::Sample || path.extension() == Some(OsStr::new("bin")))
}

/// Reads a UserBehavior.csv or your own file.
pub fn read(path: &Path, form: &Form, quiet: bool) -> Result<Rows, Refusal> {
    read_as(Input::open(path)?, form, Told::unless(quiet))
}

/// Reads it all in the form that is given, or opens the rows that are kept of it. Unless quiet, says so and how far it is.
fn read_as(input: Input, form: &Form, told: Told<'_>) -> Result<Rows, Refusal> {
    let quiet = told.quiet;
    let schema = form.resolve(&input)?;
    let text = serde_json::to_string(&schema).map_err(|error| Refusal::input(error, "Please report this"))?;
    let cache = input.path().filter(|_| !form.no_cache).and_then(|path| Cache::of(path, &text));
    if let Some(rows) = cache.as_ref().and_then(|cache| cache.open(quiet)) {
        return Ok(rows);
    }
    let rows = match schema {
        Some(schema) => read_own(input, &schema, told, &mut Vec::new()),
        None => watched(input, told, |reader, name, watch| Rows::read_watched(reader, name, watch)),
    }?;
    cache.iter().for_each(|cache| cache.keep(&rows, quiet));
    Ok(rows)
}

/// Reads it all under a schema, and shows the first rows as they are understood.
pub fn read_own(input: Input, schema: &Schema, told: Told<'_>, first: &mut Vec<Understood>) -> Result<Rows, Refusal> {
    #[cfg(feature = "parquet")]
    if input.table().is_some() {
        return table(input, told, |open, name, watch| parquet::read_shown(open, name, schema, watch, first));
    }
    watched(input, told, |reader, name, watch| own::read_shown(reader, name, schema, watch, first))
}

/// Reads all of a table, which is opened in many places at once. Unless quiet, says so and how far it is.
#[cfg(feature = "parquet")]
fn table(
    input: Input,
    told: Told<'_>,
    read: impl FnOnce(&(dyn Fn() -> std::io::Result<File> + Sync), &str, &mut dyn FnMut(Progress)) -> Result<Rows, DataError>,
) -> Result<Rows, Refusal> {
    let path = input.table().unwrap_or(Path::new("")).to_owned();
    let open = || File::open(&path);
    let (size, rows, bytes) = (input.size.unwrap_or(0), parquet::rows(open, &input.name)?, input.read.clone());
    watched(input, told, |_, name, watch| {
        let watch = &mut |progress| {
            if let Progress::Lines(lines) = progress {
                // Bytes are read in many places; rows tell how far it is.
                bytes.store((size as f64 * lines as f64 / rows.max(1) as f64) as u64, Relaxed);
            }
            watch(progress);
        };
        read(&open, name, watch)
    })
}

/// Reads it all. Unless quiet, says so and how far it is.
fn watched(
    input: Input,
    told: Told<'_>,
    read: impl FnOnce(Reader, &str, &mut dyn FnMut(Progress)) -> Result<Rows, DataError>,
) -> Result<Rows, Refusal> {
    let Input { name, kind, reader, size, read: bytes, .. } = input;
    let mut watch = Watch::begin(&name, kind, size, told);
    let rows = read(reader, &name, &mut |progress| watch.show(progress, bytes.load(Relaxed)));
    watch.close();
    Ok(rows?)
}

/// What is told while a file is read.
struct Watch<'a> {
    told: Told<'a>,
    /// Bytes of the file; unknown of a pipe.
    size: Option<u64>,
    /// Of those.
    meter: Option<Meter>,
    said: Instant,
}

impl<'a> Watch<'a> {
    /// Longest silence while a pipe is read.
    const SILENCE: Duration = Duration::from_secs(10);

    fn begin(name: &str, kind: Kind, size: Option<u64>, told: Told<'a>) -> Self {
        if told.quiet {
            return Self { told, size, meter: None, said: Instant::now() };
        }
        let unpacked = if matches!(kind, Kind::Gzip | Kind::Zstandard | Kind::Zip) { ", unpacking it on the way" } else { "" };
        let size_text = size.map(|size| format!(" ({})", HumanBytes(size))).unwrap_or_default();
        warn(&format!("Reading {name}{size_text}{unpacked} …"));
        Self { told, size, meter: size.map(|size| Meter::new(size, Unit::Bytes)), said: Instant::now() }
    }

    fn show(&mut self, progress: Progress, bytes: u64) {
        let size = self.size;
        self.told.log.iter_mut().for_each(|log| log.reading(size.map_or(bytes, |size| bytes.min(size)), size));
        if self.told.quiet {
            return;
        }
        match (progress, &mut self.meter) {
            (Progress::Lines(lines), Some(meter)) => meter.show(bytes, format!("{} lines", whole(lines))),
            (Progress::Lines(lines), None) if self.said.elapsed() > Self::SILENCE => {
                self.said = Instant::now();
                warn(&format!("{} lines", whole(lines)));
            }
            (Progress::Lines(_), None) => {}
            (Progress::Sorting(rows), meter) => {
                meter.take().into_iter().for_each(Meter::close);
                if rows >= SLOW_TO_SORT {
                    warn(&format!("Sorting {} rows by time …", whole(rows)));
                }
            }
        }
    }

    fn close(self) {
        self.meter.into_iter().for_each(Meter::close);
    }
}
