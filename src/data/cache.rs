//! Rows as they were read and cleaned, by column, to be opened again in a moment.
//!
//! A file is, in this order: 8 bytes `DUIACOLS`; 4 bytes, the version of the format and of the readers; 8 bytes, the key of what the rows
//! were read from; 4 bytes, the length of the head; the head by postcard; the column of the items' categories; those of the users'
//! profiles and of the items' attributes, a byte a field; blocks of rows, each its seconds, its users, and its items times 8 plus
//! behaviours. Numbers take 4 bytes, the lowest first. Behind the head, these columns and each block stand the 8 bytes of their checksum.

use std::io::{self, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};

use super::features::Features;
use super::stored::{MOST_IDS, Packed, Rows};
use super::{Origin, Vocabulary};
use crate::platform::for_each;

const MAGIC: &[u8; 8] = b"DUIACOLS";

/// To be raised whenever the format changes, or what the readers make of a file.
const VERSION: u32 = 3;

/// Rows of a block.
const BLOCK: usize = 1 << 20;

/// Bytes of a row.
const ROW: usize = 12;

/// Bytes of a checksum.
const SUM: usize = 8;

/// Bytes before the head.
const BEFORE: usize = 24;

/// A longer head is none.
const LONGEST_HEAD: u32 = 1 << 24;

/// What rows were read from and how: another key, other rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// The key of everything that decides what is read.
    pub fn of(parts: &[&[u8]]) -> Self {
        let lengths = parts.iter().fold(Sum::default(), |sum, part| sum.and(&(part.len() as u64).to_le_bytes()));
        Self(parts.iter().fold(lengths, |sum, part| sum.and(part)).0)
    }
}

/// Why a cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is of a file that has changed since, or was read in another way.
    #[error("the file has changed, or is read in another way")]
    Stale,
    /// Another version of the program wrote it.
    #[error("another version of the program wrote it")]
    OtherVersion,
    /// It is cut off, damaged or no cache at all.
    #[error("it is damaged")]
    Damaged,
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Damaged } else { Self::Unreadable(error) }
    }
}

/// What stands before the columns.
#[derive(Serialize, Deserialize)]
struct Head {
    rows: u64,
    vocabulary: Vocabulary,
    /// Of users and of items.
    fields: [u32; 2],
    refused: Vec<(String, u64)>,
    notes: Vec<String>,
}

/// A checksum: 8 bytes at a time in the way of FNV-1a. It finds damage and keeps no secret.
#[derive(Clone, Copy)]
struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Sum {
    fn and(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let step = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        let sum = words.iter().fold(self.0, |sum, word| step(sum, u64::from_le_bytes(*word)));
        Self(rest.iter().fold(sum, |sum, byte| step(sum, u64::from(*byte) | 0x100)))
    }

    fn of(bytes: &[u8]) -> [u8; SUM] {
        Self::default().and(bytes).0.to_le_bytes()
    }
}

/// Writes rows that were read from what `key` stands for.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(rows: &Rows, key: Key, file: &mut impl Write) -> io::Result<()> {
    let Rows { rows, item_category, profiles, attributes, vocabulary, refused, notes, .. } = rows;
    let (all, fields) = (rows.len() as u64, [profiles.fields(), attributes.fields()]);
    let head = Head { rows: all, vocabulary: *vocabulary, fields, refused: refused.clone(), notes: notes.clone() };
    let head = postcard::to_stdvec(&head).map_err(io::Error::other)?;
    let before = [MAGIC, &VERSION.to_le_bytes()[..], &key.0.to_le_bytes(), &(head.len() as u32).to_le_bytes()].concat();
    let head = [before, head].concat();
    file.write_all(&head)?;
    file.write_all(&Sum::of(&head))?;
    let mut bytes = Vec::with_capacity(ROW * BLOCK);
    let column = |bytes: &mut Vec<u8>, file: &mut dyn Write| {
        file.write_all(bytes)?;
        file.write_all(&Sum::of(bytes))?;
        bytes.clear();
        io::Result::Ok(())
    };
    item_category.iter().for_each(|category| bytes.extend(category.to_le_bytes()));
    column(&mut bytes, file)?;
    for features in [profiles, attributes] {
        bytes.extend_from_slice(features.values());
        column(&mut bytes, file)?;
    }
    for block in rows.chunks(BLOCK) {
        let fields: [fn(&Packed) -> u32; 3] = [|row| row.seconds, |row| row.user, |row| row.done()];
        for field in fields {
            block.iter().for_each(|row| bytes.extend(field(row).to_le_bytes()));
        }
        column(&mut bytes, file)?;
    }
    file.flush()
}

/// Reads the rows of the file `name` that were read from what `key` stands for, on so many threads, each of which opens the cache for
/// itself.
///
/// # Errors
/// Why they have to be read from their own file once more.
pub fn read<R: Read + Seek>(open: impl Fn() -> io::Result<R> + Sync, name: &str, key: Key, threads: usize) -> Result<Rows, Unusable> {
    let mut file = open()?;
    let mut before = [0; BEFORE];
    file.read_exact(&mut before)?;
    let number = |from: usize| u32::from_le_bytes([before[from], before[from + 1], before[from + 2], before[from + 3]]);
    if before[..8] != *MAGIC {
        return Err(Unusable::Damaged);
    }
    if number(8) != VERSION {
        return Err(Unusable::OtherVersion);
    }
    if before[12..20] != key.0.to_le_bytes() {
        return Err(Unusable::Stale);
    }
    let length = number(20);
    if length > LONGEST_HEAD {
        return Err(Unusable::Damaged);
    }
    let mut head = before.to_vec();
    checked(&mut file, &mut head, length as usize)?;
    let Head { rows, vocabulary, fields, refused, notes } = postcard::from_bytes(&head[BEFORE..]).map_err(|_| Unusable::Damaged)?;
    let items = vocabulary.items as usize;
    let members = [vocabulary.users, vocabulary.items];
    let features = [0, 1].map(|side| members[side] as usize * fields[side] as usize);
    let columns = (4 * items + features[0] + features[1] + 3 * SUM) as u64;
    let start = file.stream_position()? + columns;
    let blocks = rows.div_ceil(BLOCK as u64);
    let size = rows.checked_mul(ROW as u64).and_then(|bytes| bytes.checked_add(start + SUM as u64 * blocks));
    if file.seek(SeekFrom::End(0))? != size.ok_or(Unusable::Damaged)? {
        return Err(Unusable::Damaged);
    }
    file.seek(SeekFrom::Start(start - columns))?;
    let mut bytes = Vec::new();
    checked(&mut file, &mut bytes, 4 * items)?;
    let item_category: Vec<u32> = numbers(&bytes).collect();
    if vocabulary.items > MOST_IDS || item_category.iter().any(|category| *category >= vocabulary.categories) {
        return Err(Unusable::Damaged);
    }
    let mut of_side = |side: usize| {
        let mut bytes = Vec::new();
        checked(&mut file, &mut bytes, features[side])?;
        Features::of(fields[side], bytes, members[side]).ok_or(Unusable::Damaged)
    };
    let (profiles, attributes) = (of_side(0)?, of_side(1)?);
    let mut rows = vec![Packed::default(); rows as usize];
    let per_thread = rows.len().div_ceil(BLOCK).div_ceil(threads.max(1)).max(1);
    let mut parts: Vec<_> = rows.chunks_mut(per_thread * BLOCK).map(|part| (part, Ok(()))).zip(0u64..).collect();
    for_each(&mut parts, threads > 1, |((part, outcome), at)| {
        let from = start + *at * (per_thread * (ROW * BLOCK + SUM)) as u64;
        *outcome = open().map_err(Unusable::from).and_then(|file| read_part(file, from, part, vocabulary));
    });
    parts.into_iter().try_for_each(|((_, outcome), _)| outcome)?;
    Ok(Rows { name: name.into(), origin: Origin::File, rows, item_category, profiles, attributes, vocabulary, refused, notes })
}

/// Reads blocks that follow each other.
fn read_part(mut file: impl Read + Seek, from: u64, part: &mut [Packed], vocabulary: Vocabulary) -> Result<(), Unusable> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    for block in part.chunks_mut(BLOCK) {
        bytes.clear();
        checked(&mut file, &mut bytes, ROW * block.len())?;
        let (seconds, rest) = bytes.split_at(4 * block.len());
        let (users, done) = rest.split_at(4 * block.len());
        for (row, ((seconds, user), done)) in block.iter_mut().zip(numbers(seconds).zip(numbers(users)).zip(numbers(done))) {
            *row = Packed::of(seconds, user, done);
        }
        if !block.iter().all(|row| row.user < vocabulary.users && row.item() < vocabulary.items && row.is_known()) {
            return Err(Unusable::Damaged);
        }
    }
    Ok(())
}

/// Appends so many bytes and checks all of `bytes` against the checksum behind them.
fn checked(file: &mut impl Read, bytes: &mut Vec<u8>, length: usize) -> Result<(), Unusable> {
    let before = bytes.len();
    file.take(length as u64).read_to_end(bytes)?;
    let mut sum = [0; SUM];
    file.read_exact(&mut sum)?;
    if bytes.len() == before + length && sum == Sum::of(bytes) { Ok(()) } else { Err(Unusable::Damaged) }
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::counter::{Counter, Stream};

    const KEY: &[&[u8]] = &[b"a file", b"a form"];

    fn rows(lines: u64) -> Rows {
        let line =
            |n: u64| format!("{},{},{},{},{}\n", n % 97, n * n % 1_009, n % 7, ["pv", "buy"][(n % 2) as usize], 1_511_550_000 + n / 9);
        Rows::read(("1,2,3,pv,5\n".to_owned() + &(0..lines).map(line).collect::<String>()).as_bytes(), "rows.csv").unwrap()
    }

    /// Rows whose users have three fields, and items two.
    fn profiled() -> Rows {
        let rows = rows(50);
        let of = |fields: u32, members: u32| {
            let values = (0..fields * members).map(|n| if n % 5 == 0 { Features::MISSING } else { (n % 8) as u8 }).collect();
            Features::of(fields, values, members).unwrap()
        };
        Rows { profiles: of(3, rows.vocabulary.users), attributes: of(2, rows.vocabulary.items), ..rows }
    }

    fn written(rows: &Rows) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(rows, Key::of(KEY), &mut bytes).unwrap();
        bytes
    }

    fn read_back(bytes: &[u8], key: Key, threads: usize) -> Result<Rows, String> {
        read(|| Ok(Cursor::new(bytes)), "rows.csv", key, threads).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_are_read_back_with_all_that_is_told_of_them() {
        let rows = rows(2_200_000);
        assert!(rows.rows.len() > 2 * BLOCK && !rows.refused.is_empty() && !rows.notes.is_empty());
        let bytes = written(&rows);
        for threads in [1, 2, 3, 8] {
            assert!(read_back(&bytes, Key::of(KEY), threads).unwrap() == rows, "{threads} threads");
        }
    }

    #[test]
    fn profiles_are_read_back() {
        let bytes = written(&profiled());
        assert!(read_back(&bytes, Key::of(KEY), 2).unwrap() == profiled());
    }

    #[test]
    fn another_file_form_or_version_is_told() {
        let bytes = written(&rows(50));
        for other in [&[b"a file".as_slice(), b"a norm"], &[b"a fil", b"ea form"], &[b"", b"a filea form"]] {
            assert!(read_back(&bytes, Key::of(other), 1).unwrap_err().contains("has changed"));
        }
        let mut other = bytes.clone();
        other[8] += 1;
        assert!(read_back(&other, Key::of(KEY), 1).unwrap_err().contains("another version"));
        assert!(read_back(b"user,item,category,behavior,time\n", Key::of(KEY), 1).unwrap_err().contains("damaged"));
    }

    /// Each byte changed or missing is seen, and the end moved.
    #[test]
    fn damage_is_seen() {
        let bytes = written(&profiled());
        let random = Counter::new(1, Stream::Choices);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << random.below(at as u64, 8);
            assert!(read_back(&damaged, Key::of(KEY), 2).is_err(), "byte {at}");
            assert!(read_back(&bytes[..at], Key::of(KEY), 2).unwrap_err().contains("damaged"), "{at} bytes");
        }
        assert!(read_back(&[&bytes[..], b"x"].concat(), Key::of(KEY), 2).is_err());
    }
}
