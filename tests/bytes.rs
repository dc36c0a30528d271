//! Bytes of strangers: every file in `fuzz/cases`, those among them that once broke something, under the checks of the fuzz targets;
//! and the same files cut off and damaged.

#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::path::Path;

use duia::counter::{Counter, Stream};

#[path = "../fuzz/checks.rs"]
mod checks;

/// Damaged copies of each case.
const COPIES: u64 = 300;

/// Runs a check on every case of a target, cut short at many places too: a file that broke off is the commonest damage.
fn on_every_case(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/cases").join(target);
    let mut cases = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        check(&bytes);
        (0..64).for_each(|part| check(&bytes[..bytes.len() * part / 64]));
        (0..COPIES).for_each(|copy| check(&damaged(&bytes, Counter::new(copy, Stream::Choices))));
        cases += 1;
    }
    assert!(cases > 0, "no case in {}", folder.display());
}

/// A copy with up to eight bytes changed, and now and then a stretch of it missing or twice there.
fn damaged(bytes: &[u8], random: Counter) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = |draw: u64, bytes: &[u8]| random.below(draw, bytes.len().max(1) as u64) as usize;
    for change in 0..1 + random.below(0, 8) {
        let place = at(3 * change + 1, &bytes);
        if let Some(byte) = bytes.get_mut(place) {
            *byte =
                if random.uniform(3 * change + 2) < 0.5 { *byte ^ 1 << random.below(3 * change + 3, 8) } else { random.bits(change) as u8 };
        }
    }
    let (from, to) = (at(40, &bytes), at(41, &bytes));
    match random.below(42, 4) {
        0 if from < to => drop(bytes.drain(from..to)),
        1 if from < to => bytes.extend_from_within(from..to),
        _ => {}
    }
    bytes
}

#[test]
fn csv_files() {
    on_every_case("csv", checks::csv);
}

#[test]
fn subsets_of_users() {
    on_every_case("subset", checks::subset);
}

#[test]
fn own_files() {
    on_every_case("own", checks::own);
}

#[test]
fn kept_rows() {
    on_every_case("cache", checks::cache);
}

#[test]
fn links() {
    on_every_case("link", checks::link);
}

#[test]
fn messages() {
    on_every_case("messages", checks::messages);
}

#[test]
fn weights() {
    on_every_case("weights", checks::weights);
}

#[test]
fn checkpoints() {
    on_every_case("checkpoint", checks::checkpoint);
}

#[test]
fn lessons() {
    on_every_case("lesson", checks::lesson);
}
