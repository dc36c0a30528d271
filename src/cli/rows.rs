//! The rows of a run: the synthetic stream, a UserBehavior.csv or a file of one's own (a gzip of it, or a pipe), or a sample.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use duia::config::Config;
use duia::data::csv::{Progress, Rows};
use duia::data::generator::Generator;
use duia::data::sniff::{self, Kind};
use duia::data::{DataError, Source, own, sample};
use duia::footprint::{self, Shape};
use duia::platform::available_memory;
use flate2::bufread::MultiGzDecoder;
use indicatif::HumanBytes;

use super::form::Form;
use super::meter::{Meter, Unit};
use super::refusal::Refusal;
use super::text::{warn, whole};

/// What `--data` calls standard input.
const PIPE: &str = "-";

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
    if let Some(schema) = form.resolve(input.first())? {
        return Ok(Arc::new(input.read(quiet, &mut |reader, name, watch| own::read(reader, name, &schema, watch))?));
    }
    if input.kind == Kind::Sample || path.extension() == Some(OsStr::new("bin")) {
        let mut bytes = Vec::new();
        input.reader.read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
        return Ok(Arc::new(sample::read(&bytes, &input.name)?));
    }
    Ok(Arc::new(input.read(quiet, &mut |reader, name, watch| Rows::read_watched(reader, name, watch))?))
}

/// Reads a UserBehavior.csv.
pub fn read_csv(path: &Path, quiet: bool) -> Result<Rows, Refusal> {
    Input::open(path)?.read(quiet, &mut |reader, name, watch| Rows::read_watched(reader, name, watch))
}

/// Reads rows from a reader with a name, telling how far it is.
type ReadRows<'a> = dyn FnMut(Box<dyn Read>, &str, &mut dyn FnMut(Progress)) -> Result<Rows, DataError> + 'a;

/// A file or a pipe, opened; a gzip is unpacked on the way.
pub struct Input {
    name: String,
    /// What the file is, before it is unpacked.
    kind: Kind,
    first: Vec<u8>,
    reader: Box<dyn Read>,
    /// Bytes of the whole; unknown for a pipe.
    size: Option<u64>,
    /// Bytes read so far.
    read: Rc<Cell<u64>>,
}

impl Input {
    /// Opens what is there, `-` being standard input.
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        if path.is_dir() {
            return Err(Refusal::file(path, "it is a folder", "Name the file itself, as Tianchi publishes it: UserBehavior.csv"));
        }
        let (name, size, reader): (_, _, Box<dyn Read>) = if path.as_os_str() == PIPE {
            ("standard input".into(), None, Box::new(io::stdin()))
        } else {
            let file = File::open(path).map_err(|error| unreadable(path, &error))?;
            let size = file.metadata().ok().filter(|about| about.is_file()).map(|about| about.len());
            (name(path), size, Box::new(file))
        };
        let read = Rc::new(Cell::new(0));
        let counted = BufReader::with_capacity(BUFFER, Counted { reader, read: read.clone() });
        let peeked = |reader: Box<dyn Read>| sniff::peek(reader).map_err(|error| Refusal::from(cannot_be_read(&name, &error)));
        let (kind, mut reader) = peeked(Box::new(counted))?;
        if kind == Kind::Gzip {
            let unpacked = MultiGzDecoder::new(BufReader::with_capacity(BUFFER, reader));
            reader = peeked(Box::new(unpacked))?.1;
        }
        let first = reader.get_ref().0.get_ref().clone();
        Ok(Self { name, kind, first, reader: Box::new(reader), size, read })
    }

    /// The first bytes, unpacked.
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// Reads it all. Unless `quiet`, says so and how far it is.
    pub fn read(self, quiet: bool, read: &mut ReadRows<'_>) -> Result<Rows, Refusal> {
        let Self { name, kind, reader, size, read: bytes, .. } = self;
        if quiet {
            return Ok(read(reader, &name, &mut |_| {})?);
        }
        let mut watch = Watch::begin(&name, kind, size);
        let rows = read(reader, &name, &mut |progress| watch.show(progress, bytes.get()));
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
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.read.set(self.read.get() + n as u64);
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
        let unpacked = if kind == Kind::Gzip { ", unpacking it on the way" } else { "" };
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
