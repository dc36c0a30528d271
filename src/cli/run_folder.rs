//! The folder of a run, which is never written over.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::checkpoints::{self, has_any};
use super::files::write_whole;
use super::refusal::Refusal;

/// What lies in the folder of a run until the run has ended and all of it is written. The file is locked by its run, so that a
/// living run is told from one that was killed.
pub const UNFINISHED: &str = "unfinished.txt";

/// What that file says.
const UNFINISHED_TEXT: &str = "This run has not ended, or not all of it could be written.\n\
    Where no duia works on it any more, it was stopped on its way, and what lies here is not the whole of it.\n";

/// The folder of a run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// `runs`, where the folder is named by date.
    parent: Option<PathBuf>,
    /// [`UNFINISHED`], open and locked.
    _lock: File,
}

impl RunFolder {
    /// Creates the folder before anything is trained, so that a place that cannot be written is known at once. A folder
    /// that was asked for must be new or empty, or hold nothing but the mark of a run that was killed; one that is named by
    /// date, and then by `name`, takes the next free one.
    pub fn create(out: Option<&Path>, name: &str) -> Result<Self, Refusal> {
        match out {
            Some(path) => Self::create_at(path),
            None => Self::create_by_date(Path::new("runs"), name),
        }
    }

    fn create_at(path: &Path) -> Result<Self, Refusal> {
        fs::create_dir_all(path).map_err(|error| Refusal::unwritable(path, error))?;
        let mut entries = fs::read_dir(path).map_err(|error| Refusal::unwritable(path, error))?;
        let is_nothing = |name: &OsStr| name == UNFINISHED || (name == checkpoints::FOLDER && !has_any(path));
        if entries.any(|entry| !entry.is_ok_and(|entry| is_nothing(&entry.file_name()))) {
            if path.join(UNFINISHED).exists() && has_any(path) {
                let next = format!("Go on with it: `duia train --resume {}`, or choose another place with --out", path.display());
                return Err(Refusal::input(format!("{} holds a run that was stopped on its way", path.display()), next));
            }
            let holds = if path.join(UNFINISHED).exists() { "what a run left that did not end" } else { "files already" };
            return Err(Refusal::unwritable(path, format!("it holds {holds}, and no run is written over")));
        }
        Self::marked(path.to_owned(), None)
    }

    /// The folder of a run that was stopped on its way, to go on with it.
    pub fn reopen(path: &Path) -> Result<Self, Refusal> {
        if !path.join(UNFINISHED).exists() {
            return Err(Refusal::file(path, "the run in it has ended", "Its tables and weights are there; begin a new run"));
        }
        Self::marked(path.to_owned(), None)
    }

    /// The folder with its mark in it.
    fn marked(path: PathBuf, parent: Option<PathBuf>) -> Result<Self, Refusal> {
        let marked = || -> io::Result<Option<File>> {
            let mut file = File::options().create(true).write(true).truncate(false).open(path.join(UNFINISHED))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            file.set_len(0)?;
            file.write_all(UNFINISHED_TEXT.as_bytes())?;
            Ok(Some(file))
        };
        match marked() {
            Ok(Some(lock)) => Ok(Self { path, parent, _lock: lock }),
            Ok(None) => Err(Refusal::unwritable(&path, "another run is at work in it")),
            Err(error) => Err(Refusal::unwritable(&path, error)),
        }
    }

    fn create_by_date(parent: &Path, name: &str) -> Result<Self, Refusal> {
        fs::create_dir_all(parent).map_err(|error| Refusal::unwritable(parent, error))?;
        let name = format!("{}-{name}", jiff::ZonedDateTime::now().strftime("%Y-%m-%d-%H%M%S"));
        let mut path = parent.join(&name);
        for again in 2.. {
            match fs::create_dir(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => path = parent.join(format!("{name}-{again}")),
                Err(error) => return Err(Refusal::unwritable(&path, error)),
                Ok(()) => break,
            }
        }
        Self::marked(path, Some(parent.to_owned()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Refusal> {
        let path = self.path.join(name);
        write_whole(&path, bytes).map_err(|error| Refusal::unwritable(&path, error))
    }

    /// Says that the run has ended and all of it is written.
    pub fn finish(&self) -> Result<(), Refusal> {
        let mark = self.path.join(UNFINISHED);
        fs::remove_file(&mark).map_err(|error| Refusal::unwritable(&mark, error))
    }

    /// Removes it where nothing was written into it, and `runs` where it was the only run.
    pub fn discard_if_empty(&self) {
        let only_mark = fs::read_dir(&self.path).is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == UNFINISHED));
        if only_mark {
            let _ = fs::remove_file(self.path.join(UNFINISHED));
        }
        for folder in [Some(&self.path), self.parent.as_ref()].into_iter().flatten() {
            // A folder that holds something stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_run_is_written_over() {
        let parent = tempfile::tempdir().unwrap();
        let folders: Vec<RunFolder> = (0..3).map(|_| RunFolder::create_by_date(parent.path(), "browser-seed7").unwrap()).collect();
        assert!(folders[0].path() != folders[1].path() && folders[1].path() != folders[2].path());
        assert!(folders[0].path().file_name().unwrap().to_string_lossy().ends_with("-browser-seed7"));

        let asked = parent.path().join("a/b");
        let folder = RunFolder::create_at(&asked).unwrap();
        folder.discard_if_empty();
        assert!(!asked.exists());
        let folder = RunFolder::create_at(&asked).unwrap();
        folder.write("report.json", b"{}").unwrap();
        assert!(RunFolder::create_at(&asked).unwrap_err().to_string().contains("no run is written over"));
        folder.discard_if_empty();
        assert_eq!(fs::read(asked.join("report.json")).unwrap(), b"{}");
    }

    #[test]
    fn a_run_that_did_not_end_is_never_taken_for_one_that_did() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let said = || RunFolder::create_at(&path).unwrap_err().to_string();
        let living = RunFolder::create_at(&path).unwrap();
        assert!(said().contains("another run is at work in it"), "{}", said());
        assert!(fs::read_to_string(path.join(UNFINISHED)).unwrap().contains("has not ended"));
        // Killed before it wrote anything: the same command goes on.
        drop(living);
        let living = RunFolder::create_at(&path).unwrap();
        // Killed on its way.
        living.write("series.csv", b"").unwrap();
        drop(living);
        assert!(said().contains("what a run left that did not end"), "{}", said());

        let ended = RunFolder::create_at(&parent.path().join("other")).unwrap();
        ended.write("series.csv", b"").unwrap();
        ended.finish().unwrap();
        let names: Vec<_> = fs::read_dir(ended.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["series.csv"]);
    }
}
