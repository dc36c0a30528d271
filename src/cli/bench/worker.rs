//! The program that measures: it takes cases on standard input and answers on standard output, a line of JSON each. A card that
//! fails may take its program with it; then the bench starts another and goes on.

use std::io::{BufRead, Write, stdin, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn_cubecl::fusion;
use duia::platform::block_on;
use duia::training::device;
use serde::{Deserialize, Serialize};

use super::arguments::Bench;
use super::measure::{Finding, measure};
use super::plan::Case;
use crate::cli::choices::Device;
use crate::cli::refusal::Refusal;

/// What a worker is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// What to measure.
    pub case: Case,
    /// Seconds for each figure.
    pub seconds: f64,
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// It has a device and waits for cases.
    Ready {
        /// What runs the kernels.
        backend: String,
        /// The device's name.
        adapter: String,
    },
    /// Something was found.
    Found(Finding),
    /// A part of the program panicked.
    Panicked(String),
    /// The case is over.
    Done,
    /// The case, or the device, failed.
    Failed(String),
}

/// Measures what it is told until its input ends.
pub fn work(arguments: &Bench) -> Result<(), Refusal> {
    std::panic::set_hook(Box::new(|panic| say(&Line::Panicked(panic.to_string().chars().take(600).collect()))));
    if arguments.no_fusion {
        for name in fusion::BUILTIN_NAMES {
            fusion::remove(name).map_err(|error| Refusal::input(error, "Report this, please"))?;
        }
    }
    let opened = match catch_unwind(AssertUnwindSafe(|| block_on(device::find(arguments.device.into())))) {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return fail(&error.to_string()),
        Err(_) => return fail("the device could not be opened"),
    };
    let on_cpu = opened.watch.is_cpu();
    say(&Line::Ready { backend: opened.report.backend.clone(), adapter: opened.report.adapter.clone() });
    for line in stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Ok(Order { case, seconds }) = serde_json::from_str(&line) else { return fail("an order that cannot be read") };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let found = measure(&case, &opened.device, on_cpu, seconds, &mut |finding| say(&Line::Found(finding)));
            found.and_then(|()| opened.watch.check().map_err(|error| error.to_string()))
        }));
        match outcome {
            Ok(Ok(())) => say(&Line::Done),
            Ok(Err(why)) => return fail(&why),
            Err(_) => return fail("the program panicked"),
        }
    }
    Ok(())
}

/// A device that failed once is not asked again: the next worker starts from nothing.
fn fail(why: &str) -> Result<(), Refusal> {
    say(&Line::Failed(why.into()));
    Ok(())
}

fn say(line: &Line) {
    if let Ok(text) = serde_json::to_string(line) {
        let mut out = stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }
}

/// The arguments that start a worker.
pub fn command_line(device: Device, fusion: bool) -> Vec<String> {
    use clap::ValueEnum;
    let name = device.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut line = vec!["bench".to_owned(), "--worker".to_owned(), "--device".to_owned(), name];
    line.extend((!fusion).then(|| "--no-fusion".to_owned()));
    line
}
