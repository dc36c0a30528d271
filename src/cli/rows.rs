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
use duia::data::{DataError, Source, sample};
use duia::footprint::{self, Shape};
use duia::platform::available_memory;
use indicatif::HumanBytes;

use super::cache::Cache;
use super::form::Form;
use super::input::{Input, unreadable};
use super::meter::{Meter, Unit};
use super::refusal::Refusal;
use super::text::{warn, whole};
use super::unpack::Reader;

/// Rows whose sorting takes long enough to be told.
const SLOW_TO_SORT: u64 = 1_000_000;

/// Opens what `--data` names, or the synthetic stream. Unless `quiet`, it tells what it reads and how far it is.
pub fn open(data: Option<&Path>, form: &Form, config: &Config, quiet: bool) -> Result<Arc<dyn Source>, Refusal> {
    let Some(path) = data else {
        let fits = footprint::require(config, Shape::synthetic(config), available_memory());
        fits.map_err(|error| Refusal::input(error, "Choose smaller sizes, or a smaller --preset"))?;
        return Ok(Arc::new(Generator::new(config)));
    };
    let mut input = Input::open(path)?;
    if !form.is_given() && (input.kind == Kind::Sample || path.extension() == Some(OsStr::new("bin"))) {
        let mut bytes = Vec::new();
        input.reader.read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
        return Ok(Arc::new(sample::read(&bytes, &input.name)?));
    }
    Ok(Arc::new(read_as(input, form, quiet)?))
}

/// Reads a UserBehavior.csv or your own file.
pub fn read(path: &Path, form: &Form, quiet: bool) -> Result<Rows, Refusal> {
    read_as(Input::open(path)?, form, quiet)
}

/// Reads it all in the form that is given, or opens the rows that are kept of it. Unless `quiet`, says so and how far it is.
fn read_as(input: Input, form: &Form, quiet: bool) -> Result<Rows, Refusal> {
    let schema = form.resolve(&input)?;
    let text = serde_json::to_string(&schema).map_err(|error| Refusal::input(error, "Please report this"))?;
    let cache = input.path().filter(|_| !form.no_cache).and_then(|path| Cache::of(path, &text));
    if let Some(rows) = cache.as_ref().and_then(|cache| cache.open(quiet)) {
        return Ok(rows);
    }
    let rows = match schema {
        Some(schema) => read_own(input, &schema, quiet, &mut Vec::new()),
        None => watched(input, quiet, |reader, name, watch| Rows::read_watched(reader, name, watch)),
    }?;
    cache.iter().for_each(|cache| cache.keep(&rows, quiet));
    Ok(rows)
}

/// Reads it all under a schema, and shows the first rows as they are understood.
pub fn read_own(input: Input, schema: &Schema, quiet: bool, first: &mut Vec<Understood>) -> Result<Rows, Refusal> {
    #[cfg(feature = "parquet")]
    if let Some(path) = input.table().map(Path::to_owned) {
        let open = || File::open(&path);
        let (size, rows, read) = (input.size.unwrap_or(0), parquet::rows(open, &input.name)?, input.read.clone());
        return watched(input, quiet, |_, name, watch| {
            let watch = &mut |progress| {
                if let Progress::Lines(lines) = progress {
                    // Bytes are read in many places; rows tell how far it is.
                    read.store((size as f64 * lines as f64 / rows.max(1) as f64) as u64, Relaxed);
                }
                watch(progress);
            };
            parquet::read_shown(open, name, schema, watch, first)
        });
    }
    watched(input, quiet, |reader, name, watch| own::read_shown(reader, name, schema, watch, first))
}

/// Reads it all. Unless `quiet`, says so and how far it is.
fn watched(
    input: Input,
    quiet: bool,
    read: impl FnOnce(Reader, &str, &mut dyn FnMut(Progress)) -> Result<Rows, DataError>,
) -> Result<Rows, Refusal> {
    let Input { name, kind, reader, size, read: bytes, .. } = input;
    if quiet {
        return Ok(read(reader, &name, &mut |_| {})?);
    }
    let mut watch = Watch::begin(&name, kind, size);
    let rows = read(reader, &name, &mut |progress| watch.show(progress, bytes.load(Relaxed)));
    watch.close();
    Ok(rows?)
}

/// What a person sees while a file is read.
struct Watch {
    /// Of the file's bytes; none for a pipe, whose end is not known.
    meter: Option<Meter>,
    said: Instant,
}

impl Watch {
    /// Longest silence while a pipe is read.
    const SILENCE: Duration = Duration::from_secs(10);

    fn begin(name: &str, kind: Kind, size: Option<u64>) -> Self {
        let unpacked = if matches!(kind, Kind::Gzip | Kind::Zstandard | Kind::Zip) { ", unpacking it on the way" } else { "" };
        let size_text = size.map(|size| format!(" ({})", HumanBytes(size))).unwrap_or_default();
        warn(&format!("Reading {name}{size_text}{unpacked} …"));
        Self { meter: size.map(|size| Meter::new(size, Unit::Bytes)), said: Instant::now() }
    }

    fn show(&mut self, progress: Progress, bytes: u64) {
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
