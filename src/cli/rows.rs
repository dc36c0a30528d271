//! The rows of a run: the synthetic stream, a UserBehavior.csv (a gzip of it, or a pipe) or a sample.

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
use duia::data::{Source, sample};
use duia::footprint::{self, Shape};
use duia::platform::available_memory;
use flate2::bufread::MultiGzDecoder;
use indicatif::HumanBytes;

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
pub fn open(data: Option<&Path>, config: &Config, quiet: bool) -> Result<Arc<dyn Source>, Refusal> {
    let Some(path) = data else {
        let fits = footprint::require(config, Shape::synthetic(config), available_memory());
        fits.map_err(|error| Refusal::input(error, "Choose smaller sizes, or a smaller --preset"))?;
        return Ok(Arc::new(Generator::new(config)));
    };
    let mut input = Input::open(path)?;
    if input.kind == Kind::Sample || path.extension() == Some(OsStr::new("bin")) {
        let mut bytes = Vec::new();
        input.reader.read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
        return Ok(Arc::new(sample::read(&bytes, &input.name)?));
    }
    Ok(Arc::new(input.rows(quiet)?))
}

/// Reads a UserBehavior.csv.
pub fn read_csv(path: &Path, quiet: bool) -> Result<Rows, Refusal> {
    Input::open(path)?.rows(quiet)
}

/// A file or a pipe, opened.
struct Input {
    name: String,
    kind: Kind,
    reader: Box<dyn Read>,
    /// Bytes of the whole; unknown for a pipe.
    size: Option<u64>,
    /// Bytes read so far.
    read: Rc<Cell<u64>>,
}

impl Input {
    fn open(path: &Path) -> Result<Self, Refusal> {
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
        let (kind, reader) = sniff::peek(counted).map_err(|error| unreadable(path, &error))?;
        Ok(Self { name, kind, reader: Box::new(reader), size, read })
    }

    fn rows(self, quiet: bool) -> Result<Rows, Refusal> {
        let Self { name, kind, reader, size, read } = self;
        let reader: Box<dyn Read> = match kind {
            Kind::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, reader))),
            _ => reader,
        };
        if quiet {
            return Ok(Rows::read(reader, &name)?);
        }
        let mut watch = Watch::begin(&name, kind, size);
        let rows = Rows::read_watched(reader, &name, &mut |progress| watch.show(progress, read.get()));
        watch.close();
        Ok(rows?)
    }
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
