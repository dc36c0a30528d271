//! Rows of a large file are kept beside it as they were read, and opened again in a moment while neither the file nor the way it is
//! read has changed.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use duia::data::cache::{self, Key, Unusable};
use duia::data::csv::Rows;
use duia::platform::threads;

use super::files::Whole;
use super::input::name;
use super::text::warn;

/// A smaller file is read in less than a second.
const LARGE: u64 = 16 << 20;

/// Pieces of a file that are looked at, from its beginning to its end, and their bytes.
const PIECES: u64 = 16;
const PIECE: u64 = 1 << 16;

/// The cache of a file.
pub struct Cache {
    file: PathBuf,
    place: PathBuf,
    form: String,
    /// Of the file as it was found.
    key: Key,
}

impl Cache {
    /// The cache of a file that is read in a form; none for a small one.
    pub fn of(file: &Path, form: &str) -> Option<Self> {
        let key = key(file, form).ok()??;
        let mut own = file.file_name()?.to_owned();
        own.push(".duia-cache");
        Some(Self { file: file.to_owned(), place: file.with_file_name(own), form: form.to_owned(), key })
    }

    /// The rows, where they are kept as they would be read. Unless `quiet`, tells where they come from, and why not from here.
    pub fn open(&self, quiet: bool) -> Option<Rows> {
        match cache::read(|| File::open(&self.place), &name(&self.file), self.key, threads()) {
            Ok(rows) => {
                if !quiet {
                    warn(&format!("Opened the rows of {} as kept in {}.", self.file.display(), self.place.display()));
                }
                Some(rows)
            }
            Err(Unusable::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(why) => {
                warn(&format!("The rows kept in {} cannot be used: {why}. {} is read again.", self.place.display(), self.file.display()));
                None
            }
        }
    }

    /// Keeps rows that were read. That they cannot be kept is no failure, and told unless `quiet`.
    pub fn keep(&self, rows: &Rows, quiet: bool) {
        let kept = || -> io::Result<bool> {
            // A file that was changed while it was read is known by its key.
            if key(&self.file, &self.form)? != Some(self.key) {
                return Ok(false);
            }
            let mut file = Whole::create(&self.place)?;
            cache::write(rows, self.key, &mut file)?;
            file.keep_checked()?;
            Ok(true)
        };
        match kept() {
            Ok(true) if !quiet => warn(&format!("Kept the rows in {}, to be opened at once next time.", self.place.display())),
            Err(error) if !quiet => {
                warn(&format!("The rows cannot be kept in {}, and are read anew next time: {error}.", self.place.display()))
            }
            _ => {}
        }
    }
}

/// The key of a file and of the form in which it is read: its size, when it was changed, and pieces of what it holds; none for a small
/// file or what is no file.
fn key(path: &Path, form: &str) -> io::Result<Option<Key>> {
    let about = fs::metadata(path)?;
    if !about.is_file() || about.len() < LARGE {
        return Ok(None);
    }
    let changed = about.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let (mut file, mut pieces) = (File::open(path)?, Vec::new());
    for piece in 0..PIECES {
        file.seek(SeekFrom::Start((about.len() - PIECE) * piece / (PIECES - 1)))?;
        (&file).take(PIECE).read_to_end(&mut pieces)?;
    }
    Ok(Some(Key::of(&[&about.len().to_le_bytes(), &changed.to_le_bytes(), &pieces, form.as_bytes()])))
}
