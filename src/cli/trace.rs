//! `duia trace`: a run number by number.

use std::fs;
use std::path::Path;

use duia::checkpoint;
use duia::platform::block_on;
use duia::variants::Variant;
use duia::wire::Failure;

use super::arguments::Trace;
use super::files::write_whole;
use super::refusal::Refusal;
use super::rows;
use super::text::{say, whole};

/// What to do where weights cannot be written.
const ELSEWHERE: &str = "Choose another place with --weights-out";

/// Records and writes a trace.
pub fn trace(arguments: &Trace) -> Result<(), Refusal> {
    let config = arguments.settings.resolve()?;
    let source = rows::open(arguments.data.as_deref(), &config)?;
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

/// Creates the folder of `--weights-out` before anything is trained, so that a place that cannot be written is known at once.
pub fn create_folder(folder: &Path) -> Result<(), Refusal> {
    fs::create_dir_all(folder).map_err(|error| Refusal::file(folder, error, ELSEWHERE))
}

/// Writes weights into the folder of `--weights-out`, a file a model.
pub fn write_weights(folder: &Path, all: &[(Variant, Vec<u8>)]) -> Result<(), Refusal> {
    for (variant, bytes) in all {
        let path = folder.join(format!("{}.safetensors", variant.key()));
        write_whole(&path, bytes).map_err(|error| Refusal::file(&path, error, ELSEWHERE))?;
        say(&format!("Weights of {}: {}, {} bytes.", variant.name(), path.display(), whole(bytes.len() as u64)));
    }
    Ok(())
}
