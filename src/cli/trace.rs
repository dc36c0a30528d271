//! `duia trace`: a run number by number.

use std::fs;
use std::path::Path;

use duia::checkpoint;
use duia::platform::block_on;
use duia::wire::Failure;

use super::arguments::Trace;
use super::files::write_whole;
use super::refusal::Refusal;
use super::rows::{self, Told};
use super::text::{say, whole};

/// Records and writes a trace.
pub fn trace(arguments: &Trace) -> Result<(), Refusal> {
    let config = arguments.settings.resolve()?;
    let source = rows::open(arguments.data.as_deref(), &arguments.form, &config, Told::unless(false))?;
    let recorded = block_on(duia::training::trace::record(&config, arguments.variant, source, arguments.steps));
    let state = recorded.map_err(|error| Refusal::Run { failure: Failure::from(&error), begun: false })?;
    let bytes = checkpoint::to_bytes(&state).map_err(|error| Refusal::unwritable(&arguments.out, error))?;
    let (steps, tensors) = (whole(state.description.steps), whole(state.arrays.len() as u64));
    say(&format!("{steps} steps of {}: {tensors} tensors, {} bytes.", arguments.variant.name(), whole(bytes.len() as u64)));
    write_whole(&arguments.out, &bytes).map_err(|error| Refusal::unwritable(&arguments.out, error))?;
    say(&format!("Written: {}. docs/trace.md says how to replay it.", arguments.out.display()));
    Ok(())
}

/// Reads the file of `--weights-in`.
pub fn read_weights(path: &Path) -> Result<Vec<u8>, Refusal> {
    fs::read(path).map_err(|error| Refusal::file(path, error, "Check the path and the rights of the file"))
}
