//! The directory of a zip archive (PKWARE's APPNOTE, 4.3), archives of more than 4 GB included (4.5.3).

use std::io::{self, Read, Seek, SeekFrom};

/// Packed in no way.
pub const STORED: u16 = 0;
/// Packed as gzip packs.
pub const DEFLATED: u16 = 8;

/// Bytes of the end of a directory without its comment, which may be as long as 16 bits say.
const END: usize = 22;
const LONGEST_END: u64 = END as u64 + 65_535;

/// A larger directory is none of an archive with one file.
const LONGEST_DIRECTORY: u64 = 1 << 24;

/// What stands in 32 bits where the value needs 64.
const LONG: u64 = 0xffff_ffff;

/// A file within an archive.
#[derive(Debug)]
pub struct Entry {
    /// Its path; one of a folder ends with a slash.
    pub name: String,
    pub is_encrypted: bool,
    /// [`STORED`], [`DEFLATED`] or another.
    pub method: u16,
    /// CRC-32 of the file.
    pub sum: u32,
    /// Bytes within the archive.
    pub packed: u64,
    /// Bytes of the file.
    pub size: u64,
    /// Where its own header begins.
    header: u64,
}

/// All files of an archive.
///
/// # Errors
/// Where it cannot be read, or is damaged.
pub fn entries(archive: &mut (impl Read + Seek)) -> io::Result<Vec<Entry>> {
    let size = archive.seek(SeekFrom::End(0))?;
    let from = size.saturating_sub(LONGEST_END);
    let tail = bytes(archive, from, size - from)?;
    let at = (0..(tail.len() + 1).saturating_sub(END)).rev().find(|at| tail[*at..].starts_with(b"PK\x05\x06")).ok_or_else(damaged)?;
    let end = &tail[at..];
    let (mut count, mut length, mut start) = (number(end, 10, 2)?, number(end, 12, 4)?, number(end, 16, 4)?);
    // In front of the end: where the end with 64 bits is.
    if let Some(locator) = at.checked_sub(20).map(|at| &tail[at..]).filter(|locator| locator.starts_with(b"PK\x06\x07")) {
        let end = bytes(archive, number(locator, 8, 8)?, 56)?;
        (count, length, start) = (number(&end, 32, 8)?, number(&end, 40, 8)?, number(&end, 48, 8)?);
    }
    if length > LONGEST_DIRECTORY {
        return Err(damaged());
    }
    let directory = bytes(archive, start, length)?;
    let mut rest = &directory[..];
    (0..count).map(|_| entry(&mut rest)).collect()
}

/// The next entry of a directory.
fn entry(rest: &mut &[u8]) -> io::Result<Entry> {
    if !rest.starts_with(b"PK\x01\x02") {
        return Err(damaged());
    }
    let field = |from: usize, length: usize| number(rest, from, length);
    let lengths = [field(28, 2)?, field(30, 2)?, field(32, 2)?].map(|length| length as usize);
    let [name, extra, comment] = lengths;
    let text = rest.get(46..46 + name).ok_or_else(damaged)?;
    let (mut size, mut packed, mut header) = (field(24, 4)?, field(20, 4)?, field(42, 4)?);
    let mut extra_fields = rest.get(46 + name..46 + name + extra).ok_or_else(damaged)?;
    while extra_fields.len() >= 4 {
        let (kind, length) = (number(extra_fields, 0, 2)?, number(extra_fields, 2, 2)? as usize);
        let mut long = extra_fields.get(4..4 + length).ok_or_else(damaged)?;
        extra_fields = &extra_fields[4 + length..];
        if kind == 1 {
            // Only what needs 64 bits is here, in this order.
            for value in [&mut size, &mut packed, &mut header].into_iter().filter(|value| **value == LONG) {
                *value = number(long, 0, 8)?;
                long = &long[8..];
            }
        }
    }
    let entry = Entry {
        name: String::from_utf8_lossy(text).into_owned(),
        is_encrypted: field(8, 2)? & 1 != 0,
        method: field(10, 2)? as u16,
        sum: field(16, 4)? as u32,
        packed,
        size,
        header,
    };
    *rest = rest.get(46 + name + extra + comment..).ok_or_else(damaged)?;
    Ok(entry)
}

/// Goes to where a file's packed bytes begin.
///
/// # Errors
/// Where the archive cannot be read, or is damaged.
pub fn seek(archive: &mut (impl Read + Seek), entry: &Entry) -> io::Result<()> {
    let header = bytes(archive, entry.header, 30)?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err(damaged());
    }
    let start = entry.header.saturating_add(30 + number(&header, 26, 2)? + number(&header, 28, 2)?);
    archive.seek(SeekFrom::Start(start)).map(|_| ())
}

/// So many bytes of the archive.
fn bytes(archive: &mut (impl Read + Seek), from: u64, length: u64) -> io::Result<Vec<u8>> {
    archive.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    archive.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(damaged()) }
}

/// A number of up to 8 bytes, the lowest first.
fn number(bytes: &[u8], from: usize, length: usize) -> io::Result<u64> {
    let own = bytes.get(from..from + length).ok_or_else(damaged)?;
    Ok(own.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is a damaged zip archive")
}

/// Archives for tests.
#[cfg(test)]
pub mod example {
    use std::io::Write;

    use super::*;

    /// An archive with these files.
    pub fn archive(files: &[(&str, &[u8])], method: u16) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, text) in files {
            let packed = if method == DEFLATED { deflated(text) } else { text.to_vec() };
            let mut crc = flate2::Crc::new();
            crc.update(text);
            // Version, flags, method, time, date; sum and sizes; lengths of the name and of extra fields.
            let mut common = [20, 0, method, 0, 0].map(u16::to_le_bytes).concat();
            common.extend([crc.sum(), packed.len() as u32, text.len() as u32].map(u32::to_le_bytes).concat());
            common.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
            let header = bytes.len() as u32;
            bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat());
            directory.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10], &header.to_le_bytes(), name.as_bytes()].concat());
        }
        let (count, start, length) = (files.len() as u16, bytes.len() as u32, directory.len() as u32);
        let end = [[0, 0, count, count].map(u16::to_le_bytes).concat(), [length, start].map(u32::to_le_bytes).concat()].concat();
        [bytes, directory, b"PK\x05\x06".to_vec(), end, vec![0, 0]].concat()
    }

    fn deflated(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use duia::counter::{Counter, Stream};

    #[test]
    fn values_of_64_bits_are_read_where_32_are_too_few() {
        let name = b"rows.csv";
        let mut entry_bytes = [b"PK\x01\x02".as_slice(), &[0; 42], name].concat();
        entry_bytes[20..28].fill(0xff);
        entry_bytes[28] = name.len() as u8;
        entry_bytes[30] = 20;
        entry_bytes.extend([&[1, 0, 16, 0], &5_000_000_000_u64.to_le_bytes()[..], &4_900_000_000_u64.to_le_bytes()].concat());
        let entry = entry(&mut &entry_bytes[..]).unwrap();
        assert_eq!((entry.size, entry.packed, entry.header, &*entry.name), (5_000_000_000, 4_900_000_000, 0, "rows.csv"));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let good = example::archive(&[("a.csv", b"1,2,3"), ("b.csv", b"4")], DEFLATED);
        assert_eq!(entries(&mut io::Cursor::new(&good)).unwrap().len(), 2);
        let random = Counter::new(9, Stream::Choices);
        for case in 0..20_000 {
            let mut damaged = good.clone();
            (0..3).for_each(|n| damaged[random.below(8 * case + n, good.len() as u64) as usize] = random.bits(8 * case + 4 + n) as u8);
            damaged.truncate(random.below(8 * case + 7, 2 * good.len() as u64) as usize);
            let mut archive = io::Cursor::new(&damaged);
            if let Ok(entries) = entries(&mut archive) {
                entries.iter().for_each(|entry| drop(seek(&mut archive, entry)));
            }
        }
    }
}
