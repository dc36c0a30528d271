//! Files that come packed, read without unpacking them first: gzip, Zstandard, and a zip with one file in it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use duia::data::sniff::Kind;
use flate2::Crc;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder};

use super::refusal::Refusal;
use super::zip::{self, Entry};

/// Bytes that are read at once.
const BUFFER: usize = 1 << 20;

/// Names of an archive that a refusal tells.
const TOLD: usize = 4;

/// A reader that another thread may have.
pub type Reader = Box<dyn Read + Send>;

/// A stream of this kind, unpacked; other kinds as they are.
pub fn unpacked(kind: Kind, reader: Reader) -> io::Result<Reader> {
    let buffered = BufReader::with_capacity(BUFFER, reader);
    Ok(match kind {
        Kind::Gzip => Box::new(MultiGzDecoder::new(buffered)),
        Kind::Zstandard => Box::new(zstd::Decoder::with_buffer(buffered)?),
        _ => Box::new(buffered),
    })
}

/// Whether a kind of file holds others.
pub fn is_archive(kind: Kind) -> bool {
    use Kind::{Bzip2, Gzip, Lz4, Rar, SevenZip, Tar, Xz, Zip, Zstandard};
    matches!(kind, Gzip | Zstandard | Zip | Bzip2 | Xz | Lz4 | SevenZip | Rar | Tar)
}

/// The refusal of a file within an archive that is an archive itself, or a table that cannot be read as a stream.
pub fn nested(path: &Path, kind: Kind) -> Option<Refusal> {
    let what = match kind {
        Kind::Parquet => "a Parquet table lies packed within it, and such a table is packed already",
        kind if is_archive(kind) => "within it lies another archive",
        _ => return None,
    };
    Some(Refusal::file(path, what, "Unpack it, and give the file itself"))
}

/// The one file within a zip archive, unpacked as it is read; `count` counts the archive's bytes on their way.
pub fn of_zip(path: &Path, count: impl FnOnce(File) -> Reader) -> Result<Reader, Refusal> {
    let unreadable = |error: io::Error| Refusal::file(path, error, "Check the path and the rights of the file");
    let mut file = File::open(path).map_err(unreadable)?;
    let entries = zip::entries(&mut file).map_err(|error| Refusal::file(path, error, ZIP))?;
    // What macOS adds for itself is none of the rows.
    let files: Vec<&Entry> = entries
        .iter()
        .filter(|entry| !entry.name.ends_with('/') && !entry.name.starts_with("__MACOSX/") && !entry.name.ends_with(".DS_Store"))
        .collect();
    let [entry] = files[..] else {
        let names: Vec<&str> = files.iter().take(TOLD).map(|entry| &*entry.name).collect();
        let more = if files.len() > TOLD { ", …" } else { "" };
        let holds = match files.len() {
            0 => "it is a zip archive without a file".into(),
            count => format!("it is a zip archive of {count} files ({}{more})", names.join(", ")),
        };
        return Err(Refusal::file(path, holds, "Unpack it with `unzip`, and give the one file that holds the rows"));
    };
    let refuse = |why: String, next: &str| Refusal::file(path, format!("{} within it is {why}", entry.name), next);
    if entry.is_encrypted {
        return Err(refuse("encrypted".into(), "Unpack it with `unzip`, which asks for the password"));
    }
    zip::seek(&mut file, entry).map_err(|error| Refusal::file(path, error, ZIP))?;
    let packed = BufReader::with_capacity(BUFFER, count(file).take(entry.packed));
    let reader: Reader = match entry.method {
        zip::STORED => Box::new(packed),
        zip::DEFLATED => Box::new(DeflateDecoder::new(packed)),
        other => return Err(refuse(format!("packed in a rare way (method {other})"), "Unpack it with `unzip` or `7z x`")),
    };
    Ok(Box::new(Checked { reader, crc: Crc::new(), size: entry.size, sum: entry.sum }))
}

/// What to do about a zip archive that cannot be read.
const ZIP: &str = "Download it again, or unpack it with `unzip`, which says what is wrong";

/// A reader that knows how many bytes there should be, and their checksum.
struct Checked {
    reader: Reader,
    crc: Crc,
    size: u64,
    sum: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.crc.update(&buffer[..read]);
        // The checksum counts bytes by 32 bits.
        if read == 0 && !buffer.is_empty() && (self.crc.amount() != self.size as u32 || self.crc.sum() != self.sum) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the archive is damaged: its checksum is another one"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::zip::example::archive;
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut text = Vec::new();
        let mut reader = of_zip(file.path(), |file| Box::new(file)).map_err(|error| error.to_string())?;
        reader.read_to_end(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    #[test]
    fn one_file_is_read_and_damage_is_seen() {
        let rows = b"1,2,3,pv,1511544070\n".repeat(5_000);
        for method in [zip::STORED, zip::DEFLATED] {
            let packed = archive(&[("a/", b""), ("a/rows.csv", &rows), ("__MACOSX/a/._rows.csv", b"x")], method);
            assert_eq!(read(&packed).unwrap(), rows);
            for cut in [10, packed.len() / 2, packed.len() - 5] {
                assert!(read(&packed[..cut]).unwrap_err().contains("damaged"), "{cut}");
            }
        }
        // Only the checksum tells that a stored byte has changed.
        let mut stored = archive(&[("rows.csv", &rows)], zip::STORED);
        stored[1_000] ^= 1;
        assert!(read(&stored).unwrap_err().contains("checksum"));
    }

    #[test]
    fn several_files_or_none_and_secrets_are_named() {
        let two = archive(&[("a.csv", b"1"), ("b.csv", b"2")], zip::STORED);
        assert!(read(&two).unwrap_err().contains("a zip archive of 2 files (a.csv, b.csv). Unpack it"));
        assert!(read(&archive(&[], zip::STORED)).unwrap_err().contains("without a file"));
        assert!(read(&archive(&[("rows.csv", b"1")], 98)).unwrap_err().contains("rows.csv within it is packed in a rare way (method 98)"));
        let mut secret = archive(&[("rows.csv", b"12345678901234567890")], zip::STORED);
        let directory = secret.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        secret[directory + 8] |= 1;
        let said = read(&secret).unwrap_err();
        assert!(said.contains("rows.csv within it is encrypted") && said.contains("password"), "{said}");
    }
}
