//! Tests that this machine cannot run.

use std::fs::OpenOptions;
use std::io::{Write, stderr};

/// Says what is not tested and why, past the capture of a test that passes, and leaves the line for the end of `make test`.
pub fn skip(what: &str, why: &str) {
    let line = format!("NOT TESTED: {what}: {why}\n");
    let _ = stderr().write_all(line.as_bytes());
    let kept = OpenOptions::new().create(true).append(true).open(concat!(env!("CARGO_TARGET_TMPDIR"), "/not-tested.txt"));
    let _ = kept.and_then(|mut file| file.write_all(line.as_bytes()));
}
