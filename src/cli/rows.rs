//! The rows of a run: the synthetic stream, a UserBehavior.csv or a file of one's own (a gzip of it, or a pipe), or a sample.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use duia::config::Config;
use duia::data::csv::{Progress, Rows};
use duia::data::generator::Generator;
use duia::data::own::{self, Understood};
#[cfg(feature = "parquet")]
use duia::data::parquet;
use duia::data::schema::Schema;
use duia::data::sniff::{self, Kind};
use duia::data::{DataError, Source, sample};
use duia::footprint::{self, Shape};
use duia::platform::available_memory;
use indicatif::HumanBytes;

use super::cache::Cache;
use super::form::Form;
use super::meter::{Meter, Unit};
use super::refusal::Refusal;
use super::text::{warn, whole};
use super::unpack::{Reader, nested, of_zip, unpacked};

/// What `--data` calls standard input.
pub const PIPE: &str = "-";

/// Rows whose sorting takes long enough to be told.
const SLOW_TO_SORT: u64 = 1_000_000;

/// Bytes that a file is read by.
const BUFFER: usize = 1 << 20;

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
    Ok(Arc::new(input.read(form, quiet)?))
}

/// Reads a UserBehavior.csv or a file of one's own.
pub fn read(path: &Path, form: &Form, quiet: bool) -> Result<Rows, Refusal> {
    Input::open(path)?.read(form, quiet)
}

/// A file or a pipe, opened; a gzip is unpacked on the way.
pub struct Input {
    name: String,
    /// What the file is, before it is unpacked.
    kind: Kind,
    first: Vec<u8>,
    reader: Reader,
    /// Bytes of the whole; unknown for a pipe.
    size: Option<u64>,
    /// Bytes read so far.
    read: Arc<AtomicU64>,
    /// Where it is; nowhere for a pipe.
    path: Option<PathBuf>,
}

impl Input {
    /// Opens what is there, `-` being standard input.
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        if path.is_dir() {
            return Err(Refusal::file(path, "it is a folder", "Name the file itself, as Tianchi publishes it: UserBehavior.csv"));
        }
        let (name, size, reader): (_, _, Reader) = if path.as_os_str() == PIPE {
            ("standard input".into(), None, Box::new(io::stdin()))
        } else {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            let size = file.metadata().ok().filter(|about| about.is_file()).map(|about| about.len());
            (name(path), size, Box::new(file))
        };
        let file = size.map(|_| path.to_owned());
        let read = Arc::new(AtomicU64::new(0));
        let counted = |reader| -> Reader { Box::new(Counted { reader, read: read.clone() }) };
        let failed = |error: io::Error| Refusal::from(cannot_be_read(&name, &error));
        let peeked = |reader: Reader| sniff::peek(reader).map_err(failed);
        let (kind, reader) = peeked(Box::new(BufReader::with_capacity(BUFFER, counted(reader))))?;
        let packed: Reader = match kind {
            Kind::Zip if size.is_some() => {
                // It is opened once more, so what was read to know its kind does not count.
                read.store(0, Relaxed);
                of_zip(path, |file| counted(Box::new(file)))?
            }
            Kind::Gzip | Kind::Zstandard => unpacked(kind, Box::new(reader)).map_err(failed)?,
            _ => {
                let first = reader.get_ref().0.get_ref().clone();
                return Ok(Self { name, kind, first, reader: Box::new(reader), size, read, path: file });
            }
        };
        let (inner, reader) = peeked(packed)?;
        if let Some(refusal) = nested(path, inner) {
            return Err(refusal);
        }
        let first = reader.get_ref().0.get_ref().clone();
        Ok(Self { name, kind, first, reader: Box::new(reader), size, read, path: file })
    }

    /// The first bytes, unpacked.
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// The path of a table, which is read in many places at once.
    pub fn table(&self) -> Option<&Path> {
        self.path.as_deref().filter(|_| cfg!(feature = "parquet") && self.kind == Kind::Parquet)
    }

    /// Reads it all in the form that is given, or opens the rows that are kept of it. Unless `quiet`, says so and how far it is.
    fn read(self, form: &Form, quiet: bool) -> Result<Rows, Refusal> {
        let schema = form.resolve(&self)?;
        let text = serde_json::to_string(&schema).map_err(|error| Refusal::input(error, "Please report this"))?;
        let cache = self.path.as_deref().filter(|_| !form.no_cache).and_then(|path| Cache::of(path, &text));
        if let Some(rows) = cache.as_ref().and_then(|cache| cache.open(quiet)) {
            return Ok(rows);
        }
        let rows = match schema {
            Some(schema) => self.read_own(&schema, quiet, &mut Vec::new()),
            None => self.watched(quiet, |reader, name, watch| Rows::read_watched(reader, name, watch)),
        }?;
        cache.iter().for_each(|cache| cache.keep(&rows, quiet));
        Ok(rows)
    }

    /// Reads it all under a schema, and shows the first rows as they are understood.
    pub fn read_own(self, schema: &Schema, quiet: bool, first: &mut Vec<Understood>) -> Result<Rows, Refusal> {
        #[cfg(feature = "parquet")]
        if let Some(path) = self.table().map(Path::to_owned) {
            let open = || File::open(&path);
            let (size, rows, read) = (self.size.unwrap_or(0), parquet::rows(open, &self.name)?, self.read.clone());
            return self.watched(quiet, |_, name, watch| {
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
        self.watched(quiet, |reader, name, watch| own::read_shown(reader, name, schema, watch, first))
    }

    /// Reads it all. Unless `quiet`, says so and how far it is.
    fn watched(
        self,
        quiet: bool,
        read: impl FnOnce(Reader, &str, &mut dyn FnMut(Progress)) -> Result<Rows, DataError>,
    ) -> Result<Rows, Refusal> {
        let Self { name, kind, reader, size, read: bytes, .. } = self;
        if quiet {
            return Ok(read(reader, &name, &mut |_| {})?);
        }
        let mut watch = Watch::begin(&name, kind, size);
        let rows = read(reader, &name, &mut |progress| watch.show(progress, bytes.load(Relaxed)));
        watch.close();
        Ok(rows?)
    }
}

fn cannot_be_read(name: &str, error: &io::Error) -> DataError {
    DataError::Unreadable { name: name.into(), detail: error.to_string() }
}

/// A reader that counts its bytes.
struct Counted<R> {
    reader: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.read.fetch_add(n as u64, Relaxed);
        Ok(n)
    }
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

fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    Refusal::file(path, error, "Check the path and the rights of the file")
}

/// The file's own name: reports name data, not machines.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
