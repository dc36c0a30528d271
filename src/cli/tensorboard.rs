//! `--tensorboard`: every figure of `series.csv` as scalars in the event files that TensorBoard reads, a folder a model, so that a
//! chart shows the models over one another.
//!
//! A file is records: the length of the message in 8 bytes, a sum of those, the message, a sum of that. A sum is CRC-32C, turned by 15
//! bits and moved by a constant (TensorFlow's `record_writer.h`). A message is a protocol buffer (`event.proto`, `summary.proto`):
//! its time, its step, and the version of the file, one scalar, or that the run begins again at this step: what a run that was killed
//! wrote beyond its last checkpoint is then left out. That is all that is needed of either, and less than a crate for them would bring
//! along.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::series::{Point, Series};
use super::text::warn;

/// What the first record of every file says.
const VERSION: &[u8] = b"brain.Event:2";

/// Writes the figures of a run as they come.
pub struct TensorBoard {
    folder: PathBuf,
    files: BTreeMap<&'static str, Events>,
    /// The step after which the run goes on.
    resumed: Option<u64>,
    /// Points of the series that were looked at.
    seen: usize,
    failed: bool,
}

impl TensorBoard {
    /// Into a folder, from the start of a run or after a step of it: figures that are there from before are not written again.
    pub fn new(folder: &Path, resumed: Option<u64>) -> Self {
        Self { folder: folder.to_owned(), files: BTreeMap::new(), resumed, seen: 0, failed: false }
    }

    /// Writes what is new. A place that cannot be written is said once.
    pub fn follow(&mut self, series: &Series) {
        let new = &series.points()[self.seen..];
        self.seen = series.points().len();
        if self.failed || new.is_empty() {
            return;
        }
        if let Err(error) = self.write(new) {
            self.failed = true;
            warn(&format!("{} cannot be written: {error}. The run goes on without TensorBoard.", self.folder.display()));
        }
    }

    fn write(&mut self, points: &[Point]) -> io::Result<()> {
        let time = now();
        for Point { step, variant, metric, value, .. } in points {
            let events = match self.files.entry(variant.key()) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(Events::begin(&self.folder.join(variant.key()), self.resumed)?),
            };
            if events.known.is_none_or(|known| *step > known) && value.is_finite() {
                // Its charts are grouped by what stands before a slash.
                let tag = metric.replacen('.', "/", 1);
                events.file.write_all(&record(&scalar(time, *step, &tag, *value as f32)))?;
            }
        }
        self.files.values_mut().try_for_each(|events| events.file.flush())
    }
}

/// The file of a model.
struct Events {
    file: BufWriter<File>,
    /// Figures up to this step are in a file from before.
    known: Option<u64>,
}

impl Events {
    fn begin(folder: &Path, resumed: Option<u64>) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let known = resumed.filter(|_| fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some()));
        let name = format!("events.out.tfevents.{:010}.duia.{}", now() as u64, std::process::id());
        let mut file = BufWriter::new(File::create(folder.join(name))?);
        file.write_all(&record(&version(now())))?;
        if let Some(known) = known {
            file.write_all(&record(&restart(now(), known + 1)))?;
        }
        Ok(Self { file, known })
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// A message with its length and sums.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), message, &masked(message).to_le_bytes()].concat()
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Kinds of fields of a protocol buffer.
const VARINT: u8 = 0;
const DOUBLE: u8 = 1;
const BYTES: u8 = 2;
const FLOAT: u8 = 5;

fn key(field: u8, kind: u8) -> u8 {
    field << 3 | kind
}

fn varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn bytes(into: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    into.push(key(field, BYTES));
    varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

/// `Event { wall_time = 1 }`
fn event(time: f64) -> Vec<u8> {
    [&[key(1, DOUBLE)][..], &time.to_le_bytes()].concat()
}

/// `Event { wall_time = 1, step = 2 }`
fn at(time: f64, step: u64) -> Vec<u8> {
    let mut message = event(time);
    message.push(key(2, VARINT));
    varint(&mut message, step);
    message
}

/// `Event { wall_time = 1, file_version = 3 }`
fn version(time: f64) -> Vec<u8> {
    let mut message = event(time);
    bytes(&mut message, 3, VERSION);
    message
}

/// `Event { wall_time = 1, step = 2, session_log = 7 }`, the log being `SessionLog { status = 1 }` with `START = 1`: whatever was written
/// of this step and those after it does not count.
fn restart(time: f64, step: u64) -> Vec<u8> {
    let mut message = at(time, step);
    bytes(&mut message, 7, &[key(1, VARINT), 1]);
    message
}

/// `Event { wall_time = 1, step = 2, summary = 5 }`, the summary being one `Value { tag = 1, simple_value = 2 }` as its field 1.
fn scalar(time: f64, step: u64, tag: &str, value: f32) -> Vec<u8> {
    let (mut figure, mut summary, mut message) = (Vec::new(), Vec::new(), at(time, step));
    bytes(&mut figure, 1, tag.as_bytes());
    figure.push(key(2, FLOAT));
    figure.extend_from_slice(&value.to_le_bytes());
    bytes(&mut summary, 1, &figure);
    bytes(&mut message, 5, &summary);
    message
}

#[cfg(test)]
mod tests {
    use duia::metrics::Losses;
    use duia::variants::Variant;

    use super::*;

    #[test]
    fn a_record_is_framed_as_tensorflow_frames_it() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        // The first record that TensorFlow writes at second 0, its sums by a loop over bits.
        let written = record(&version(0.0));
        let length: [u8; 8] = [24, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!((written.len(), &written[..8]), (8 + 4 + 24 + 4, &length[..]));
        assert_eq!(written[8..12], 0x224b_7fa3_u32.to_le_bytes());
        assert_eq!(&written[12..36], b"\x09\0\0\0\0\0\0\0\0\x1a\x0dbrain.Event:2");
        assert_eq!(written[36..], 0xa328_dfee_u32.to_le_bytes());
    }

    #[test]
    fn numbers_of_any_length_and_messages_in_messages() {
        let mut long = Vec::new();
        varint(&mut long, 300);
        assert_eq!(long, [0xac, 0x02]);
        let message = scalar(1.0, 300, "loss", 0.5);
        assert_eq!(message[9..], *b"\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\0\x3f");
    }

    #[test]
    fn a_run_that_goes_on_writes_only_what_is_new() {
        let written = |is_there: bool| {
            let folder = tempfile::tempdir().unwrap();
            let of_ple = folder.path().join("ple");
            if is_there {
                fs::create_dir(&of_ple).unwrap();
                fs::write(of_ple.join("before"), "").unwrap();
            }
            let loss = |value: f32| [("loss_mtl", value)].into_iter().collect::<Losses>();
            let mut series = Series::default();
            let mut board = TensorBoard::new(folder.path(), Some(3));
            for (step, value) in [(3, 1.0), (4, f32::NAN), (5, 2.0)] {
                series.add_losses(&[Variant::Ple], step, &[loss(value)]);
                board.follow(&series);
            }
            let file = fs::read_dir(of_ple).unwrap().map(|entry| entry.unwrap().path()).find(|path| !path.ends_with("before"));
            fs::read(file.unwrap()).unwrap()
        };
        // What follows the time of each record: the version, what begins again, figures.
        let messages = |bytes: Vec<u8>| {
            let (mut messages, mut from) = (Vec::new(), 0);
            while from < bytes.len() {
                let length = u64::from_le_bytes(bytes[from..from + 8].try_into().unwrap()) as usize;
                messages.push(bytes[from + 12 + 9..from + 12 + length].to_vec());
                from += 16 + length;
            }
            messages
        };
        let [version, again, figure] = &messages(written(true))[..] else { panic!("three records") };
        assert!(version.ends_with(VERSION) && again[..] == *b"\x10\x04\x3a\x02\x08\x01" && figure.starts_with(b"\x10\x05"));
        let steps: Vec<u8> = messages(written(false))[1..].iter().map(|message| message[1]).collect();
        assert_eq!(steps, [3, 5], "a folder with nothing in it gets all of the run");
    }
}
