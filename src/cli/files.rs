//! Files that are whole or not there, and run folders that are never written over.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::refusal::Refusal;

/// Writes a file beside its place and renames it, so that a kill leaves the old file or none.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = readable(&mut tempfile::Builder::new()).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Temporary files are private by default; these become results, with the rights that any new file gets.
#[cfg(unix)]
fn readable<'a, 'b, 'c>(builder: &'a mut tempfile::Builder<'b, 'c>) -> &'a mut tempfile::Builder<'b, 'c> {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(fs::Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn readable<'a, 'b, 'c>(builder: &'a mut tempfile::Builder<'b, 'c>) -> &'a mut tempfile::Builder<'b, 'c> {
    builder
}

/// The folder of a run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// `runs`, where the folder is named by date.
    parent: Option<PathBuf>,
}

impl RunFolder {
    /// Creates the folder before anything is trained, so that a place that cannot be written is known at once. A folder
    /// that was asked for must be new or empty; one that is named by date, and then by `name`, takes the next free
    /// one.
    pub fn create(out: Option<&Path>, name: &str) -> Result<Self, Refusal> {
        match out {
            Some(path) => Self::create_at(path),
            None => Self::create_by_date(Path::new("runs"), name),
        }
    }

    fn create_at(path: &Path) -> Result<Self, Refusal> {
        fs::create_dir_all(path).map_err(|error| Refusal::unwritable(path, error))?;
        match fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
            Ok(true) => Ok(Self { path: path.to_owned(), parent: None }),
            Ok(false) => Err(Refusal::unwritable(path, "it holds files already, and no run is written over")),
            Err(error) => Err(Refusal::unwritable(path, error)),
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
        Ok(Self { path, parent: Some(parent.to_owned()) })
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

    /// Removes it where nothing was written into it, and `runs` where it was the only run.
    pub fn discard_if_empty(self) {
        for folder in [Some(self.path), self.parent].into_iter().flatten() {
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
        RunFolder::create_at(&asked).unwrap();
        folder.write("report.json", b"{}").unwrap();
        assert!(RunFolder::create_at(&asked).unwrap_err().to_string().contains("no run is written over"));
        folder.discard_if_empty();
        assert_eq!(fs::read(asked.join("report.json")).unwrap(), b"{}");
    }

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("assets/sample.bin");
        write_whole(&path, b"old, longer").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
