//! What a person names to be read: a file, a packed one, or a pipe.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use duia::data::DataError;
use duia::data::sniff::{self, Kind};

use super::refusal::Refusal;
use super::unpack::{Reader, nested, of_zip, unpacked};

/// What `--data` calls standard input.
pub const PIPE: &str = "-";

/// Bytes that a file is read by.
const BUFFER: usize = 1 << 20;

/// A file or a pipe, opened; a gzip is unpacked on the way.
pub struct Input {
    pub(super) name: String,
    /// What the file is, before it is unpacked.
    pub(super) kind: Kind,
    first: Vec<u8>,
    pub(super) reader: Reader,
    /// Bytes of the whole; unknown for a pipe.
    pub(super) size: Option<u64>,
    /// Bytes read so far.
    pub(super) read: Arc<AtomicU64>,
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

    /// Where it is; nowhere for a pipe.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
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

fn cannot_be_read(name: &str, error: &io::Error) -> DataError {
    DataError::Unreadable { name: name.into(), detail: error.to_string() }
}

/// Why a file cannot be read, and what to do.
pub fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    Refusal::file(path, error, "Check the path and the rights of the file")
}

/// The file's own name: reports name data, not machines.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
