//! Files that are whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// What the names of files that are not whole begin with.
pub const HALF: &str = ".writing-";

/// Writes a file beside its place and renames it, so that a kill leaves the old file or none.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Whole::create(path)?;
    file.write_all(bytes)?;
    file.keep()?;
    Ok(())
}

/// A file that is written beside its place until it is whole. Dropped before, it leaves nothing; a kill leaves one whose name begins
/// with [`HALF`].
pub struct Whole {
    file: NamedTempFile,
    path: PathBuf,
}

impl Whole {
    /// Begins a file, and the folder that it is to be in.
    pub fn create(path: &Path) -> io::Result<Self> {
        let folder = folder(path);
        fs::create_dir_all(folder)?;
        Ok(Self { file: temporary().tempfile_in(folder)?, path: path.to_owned() })
    }

    /// Puts a file in its place whose checksums would tell if the system lost a part of it; so nobody waits for the disk.
    pub fn keep_checked(self) -> io::Result<()> {
        self.file.persist(&self.path)?;
        Ok(())
    }

    /// Puts it in its place. Returns its bytes.
    pub fn keep(self) -> io::Result<u64> {
        self.file.as_file().sync_all()?;
        let bytes = self.file.persist(&self.path)?.metadata()?.len();
        // The name as well as the bytes.
        if cfg!(unix) {
            File::open(folder(&self.path))?.sync_all()?;
        }
        Ok(bytes)
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Temporary files are private by default; these become results, with the rights that any new file gets.
fn temporary<'a, 'b>() -> tempfile::Builder<'a, 'b> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(HALF);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

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
