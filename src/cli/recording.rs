//! `duia record`: the run that the page shows until its own has begun.

use std::process::Command;

use duia::config::Config;
use duia::platform::block_on;
use duia::wire::Failure;
use duia::wire::recording::Recording;
use indicatif::ProgressBar;

use super::arguments::Record;
use super::files::write_whole;
use super::refusal::Refusal;
use super::rows::{self, Told};
use super::text::{say, whole};

/// Records and writes.
pub fn record(arguments: &Record) -> Result<(), Refusal> {
    let config = match arguments.settings.is_empty() {
        true => Config::opening(),
        false => arguments.settings.resolve()?,
    };
    let source = rows::open(None, &Default::default(), &config, Told::unless(false))?;
    say(&format!("Training {} on the CPU to the end …", config.variants.0.iter().map(|model| model.name()).collect::<Vec<_>>().join(", ")));
    let bar = ProgressBar::new(0);
    let mut watch = |[step, steps]: [u64; 2]| {
        bar.set_length(steps);
        bar.set_position(step);
    };
    let events = block_on(duia::training::recording::record(config.clone(), source, arguments.pictures, &mut watch));
    bar.finish_and_clear();
    let events = events.map_err(|error| Refusal::Run { failure: Failure::from(&error), begun: true })?;
    let recording = Recording {
        made: jiff::ZonedDateTime::now().strftime("%Y-%m-%d").to_string(),
        commit: arguments.commit.clone().or_else(commit).unwrap_or_else(|| "unknown".into()),
        command: std::iter::once("duia".into()).chain(std::env::args().skip(1)).collect::<Vec<String>>().join(" "),
        config,
        steps: events.last().map_or(0, |(step, _)| *step),
        events,
    };
    let bytes = recording.to_bytes().map_err(|error| Refusal::unwritable(&arguments.out, error))?;
    write_whole(&arguments.out, &bytes).map_err(|error| Refusal::unwritable(&arguments.out, error))?;
    let (steps, events, bytes) = (whole(recording.steps), whole(recording.events.len() as u64), whole(bytes.len() as u64));
    say(&format!("Wrote {}: {steps} steps, {events} events, {bytes} bytes, of commit {}.", arguments.out.display(), recording.commit));
    Ok(())
}

/// The commit of the sources here, where Git knows one.
fn commit() -> Option<String> {
    let said = Command::new("git").args(["rev-parse", "--short=7", "HEAD"]).output().ok().filter(|said| said.status.success())?;
    Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
}
