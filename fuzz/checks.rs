//! What must hold for any bytes, one check for each thing that reads bytes of strangers. The fuzz targets run them on what the fuzzer
//! makes up; `tests/bytes.rs` runs them on every file in `fuzz/cases`.

use std::hash::Hasher;
use std::io::Cursor;
use std::sync::Arc;

use duia::checkpoint::run::{Checkpoint, peek};
use duia::checkpoint::{self, Array, Values};
use duia::config::Config;
use duia::data::cache::{self, Key};
use duia::data::csv::Rows;
use duia::data::schema::Schema;
use duia::data::{Source, own, sample};
use duia::lesson;
use duia::variants::Variant;
use duia::wire::{Command, Event, Message, from_bytes, to_bytes};

/// A CSV file: rows in time order whose ids are in the vocabulary, or a sentence.
pub fn csv(bytes: &[u8]) {
    match Rows::read(bytes, "file.csv") {
        Ok(rows) => coherent(rows),
        Err(error) => sentence(&error.to_string()),
    }
}

/// A file of somebody's own, under the schema that its beginning suggests: as a CSV file. In pieces it is the same, rows or sentence, and
/// its beginning can be looked at wherever it is cut.
pub fn own(bytes: &[u8]) {
    let (guess, lack) = Schema::sketch(&bytes[..bytes.len().min(4_096)]);
    lack.iter().for_each(|why| sentence(why));
    for cut in [bytes.len(), bytes.len() / 2] {
        own::columns(&bytes[..cut], &guess.schema);
        let previewed = own::preview(&bytes[..cut], cut == bytes.len(), "own.csv", &guess.schema);
        previewed.err().iter().for_each(|error| sentence(&error.to_string()));
    }
    let whole = own::read(bytes, "own.csv", &guess.schema, &mut |_| {});
    let mut reading = own::Reading::new("own.csv", &guess.schema);
    let mut pieces = bytes.chunks(1 + bytes.len() % 977);
    let pieces = pieces.try_for_each(|piece| reading.take(piece, &|_, _| true)).and_then(|()| reading.finish(&|_, _| true));
    match (whole, pieces) {
        (Ok(rows), Ok((pieces, true))) => {
            assert!(rows == pieces);
            coherent(rows);
        }
        (Err(error), Err(other)) => {
            assert_eq!(error, other);
            sentence(&error.to_string());
        }
        (whole, _) => panic!("whole it is {}, in pieces it is not", if whole.is_ok() { "rows" } else { "an error" }),
    }
}

/// Rows that are kept: those of the file, or why not. The bytes are tried as they are and, so that the checksums keep nobody out, as
/// rows that were written and then damaged where the bytes say.
pub fn cache(bytes: &[u8]) {
    let key = Key::of(&[b"key"]);
    let read = |bytes: &[u8]| match cache::read(|| Ok(Cursor::new(bytes)), "rows.csv", key, 1) {
        Ok(rows) => coherent(rows),
        Err(why) => sentence(&why.to_string()),
    };
    read(bytes);
    if let Ok(rows) = Rows::read(bytes, "rows.csv") {
        let mut written = Vec::new();
        cache::write(&rows, key, &mut written).expect("memory can be written");
        let back = cache::read(|| Ok(Cursor::new(&written[..])), "rows.csv", key, 1).expect("what was written can be read");
        assert!(back == rows);
        let at = bytes.len() % written.len();
        written[at] ^= 1;
        assert!(cache::read(|| Ok(Cursor::new(&written[..])), "rows.csv", key, 1).is_err(), "damage at {at} is not seen");
    }
}

/// A subset of whole users: as a CSV file. What is read and written again is read as the same. The bytes are tried as a file and, so
/// that the hash keeps nobody out, as what a file holds behind its right hash.
pub fn subset(bytes: &[u8]) {
    let mut hash = fnv::FnvHasher::default();
    hash.write(bytes);
    whole_subset(bytes);
    whole_subset(&[b"DUIAROWS\x02".as_slice(), &hash.finish().to_le_bytes(), bytes].concat());
}

fn whole_subset(bytes: &[u8]) {
    match sample::read(bytes, "sample.bin") {
        Ok(rows) => {
            let again = sample::write(&rows, usize::MAX, 7);
            let read = sample::read(&again, "sample.bin").expect("what was written can be read");
            assert_eq!(read.rows(), rows.rows());
            coherent(rows);
        }
        Err(error) => sentence(&error.to_string()),
    }
}

/// A link: always a configuration that can be used, whose own link says the same.
pub fn link(bytes: &[u8]) {
    let (config, notices) = Config::from_link(&String::from_utf8_lossy(bytes), &["theme", "device"]);
    config.validate().expect("a link gives a valid configuration");
    assert_eq!(Config::from_link(&config.to_link(), &[]), (config, Vec::new()));
    notices.iter().for_each(|notice| sentence(&notice.to_string()));
}

/// Commands and events between page and worker: what can be read is written and read as the same.
pub fn messages(bytes: &[u8]) {
    if let Ok(command) = from_bytes::<Command>(bytes) {
        let written = to_bytes(&command).expect("what was read can be written");
        let again: Command = from_bytes(&written).expect("what was written can be read");
        // Not the values themselves: NaN is not equal to itself.
        assert_eq!(to_bytes(&again).ok(), Some(written));
    }
    if let Ok(message) = from_bytes::<Message>(bytes) {
        let written = to_bytes(&message).expect("what was read can be written");
        let again: Message = from_bytes(&written).expect("what was written can be read");
        assert_eq!(to_bytes(&again).ok(), Some(written));
    }
}

/// Weights: every tensor has as many numbers as its shape says, or a sentence. What is read and written again is read as the same. The
/// bytes are tried as a file and as a [`head_and_body`].
pub fn weights(bytes: &[u8]) {
    whole_weights(bytes);
    whole_weights(&head_and_body(bytes));
}

fn whole_weights(bytes: &[u8]) {
    match checkpoint::from_bytes(bytes) {
        Ok(state) => {
            state.arrays.values().for_each(full);
            let written = checkpoint::to_bytes(&state).expect("what was read can be written");
            let again = checkpoint::from_bytes(&written).expect("what was written can be read");
            assert_eq!(checkpoint::to_bytes(&again).ok(), Some(written));
        }
        Err(error) => sentence(&error.to_string()),
    }
}

/// A checkpoint of a run: its events and the tensors of its models, or a sentence. The bytes are tried as a file and as a
/// [`head_and_body`] with its right checksum.
pub fn checkpoint(bytes: &[u8]) {
    whole_checkpoint(bytes);
    let mut summed = head_and_body(bytes);
    summed.extend(crc32c::crc32c(&summed).to_le_bytes());
    whole_checkpoint(&summed);
}

fn whole_checkpoint(bytes: &[u8]) {
    if let Err(error) = peek(&mut Cursor::new(bytes)) {
        sentence(&error.to_string());
    }
    let mut checkpoint = match Checkpoint::open(Box::new(Cursor::new(bytes.to_vec())), &mut |done, all| assert!(done <= all)) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return sentence(&error.to_string()),
    };
    match checkpoint.events() {
        // The messages of a run, or a refusal.
        Ok(bytes) => drop(from_bytes::<Vec<Event>>(&bytes)),
        Err(error) => sentence(&error.to_string()),
    }
    for variant in Variant::ALL {
        match checkpoint.state(variant) {
            Ok(state) => state.arrays.values().for_each(full),
            Err(error) => sentence(&error.to_string()),
        }
    }
}

/// A lesson: steps that can be run, or a sentence with a line that there is.
pub fn lesson(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match lesson::read(&text, &["field", "race"]) {
        Ok(lesson) => {
            assert!(!lesson.steps.is_empty());
            lesson.steps.iter().for_each(|step| step.config.validate().expect("a step has a valid configuration"));
        }
        Err(error) => {
            assert!((1..=text.lines().count().max(1)).contains(&error.line), "line {} of {}", error.line, text.lines().count());
            sentence(&error.to_string());
        }
    }
}

/// A safetensors file out of the text of its head, a line feed and its tensors, so that neither the head's length nor a version keeps
/// anybody out: `FORMAT` in the head stands for this program's.
fn head_and_body(bytes: &[u8]) -> Vec<u8> {
    let (head, body) = bytes.split_at(bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len()));
    let head = String::from_utf8_lossy(head).replace("FORMAT", &checkpoint::FORMAT.to_string());
    [&(head.len() as u64).to_le_bytes(), head.as_bytes(), body.get(1..).unwrap_or_default()].concat()
}

/// As many numbers as the shape says.
fn full(array: &Array) {
    let numbers = match &array.values {
        Values::Floats(values) => values.len(),
        Values::Integers(values) => values.len(),
    };
    assert_eq!(numbers, array.shape.iter().product::<usize>());
}

fn coherent(rows: Rows) {
    let (vocabulary, count) = (rows.vocabulary(), rows.rows());
    assert!(vocabulary.users >= 2 && vocabulary.items >= 2);
    let (mut seen, mut before) = (0, i64::MIN);
    for event in Arc::new(rows).events() {
        assert!(event.user < vocabulary.users && event.item < vocabulary.items && event.category < vocabulary.categories);
        assert!(event.time >= before);
        (before, seen) = (event.time, seen + 1);
    }
    assert_eq!(seen, count);
}

/// Something that a person can read: not empty, and not a page long.
fn sentence(text: &str) {
    assert!((10..2_000).contains(&text.chars().count()), "{text}");
}
