//! A checkpoint: everything that a run under way depends on, in one file. A run that goes on from it gives the bytes that it would
//! have given without a stop (on the CPU; on a GPU to rounding), on any number of threads.
//!
//! The file is safetensors, so any framework reads it:
//!
//! - the tensors of each model under `<key>.`, as in a file of weights, with the moments of the dense parameters, the clocks of the
//!   centres and whatever else a component [names for a run](super::Gathering::is_of_run);
//! - `events`, bytes: what was measured so far, in a form of the caller's;
//! - `checksum`, last: CRC-32C of all bytes before it;
//! - one metadata entry, `duia_run`: a [`Header`] as JSON.
//!
//! Random numbers need no place in it: they are counters of the step. Tensors are read from the device some megabytes at a
//! time and written as they come, so a checkpoint takes the memory of the largest of them; a model is put back as it is read.

#[cfg(feature = "train")]
mod saving;

use std::io::{self, Read, Seek, SeekFrom};

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::{Deserialize, Serialize};

use super::{Array, CheckpointError, Description, EmbeddingRows, FORMAT, State, Values, differences};
use crate::config::Config;
use crate::variants::Variant;

#[cfg(feature = "train")]
pub use saving::SaveError;
#[cfg(feature = "train")]
pub(crate) use saving::write;

/// Version of the file beside [`FORMAT`], which counts too.
const RUN_FORMAT: u32 = 1;
/// The metadata entry that makes a safetensors file a checkpoint.
const ENTRY: &str = "duia_run";
const EVENTS: &str = "events";
/// Longest header that is believed: a damaged length must not ask for all memory.
const LONGEST_HEADER: u64 = 100 << 20;
/// Bytes that are read at once.
const BUFFER: usize = 1 << 20;

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the file and of the tensors.
    pub format: (u32, u32),
    /// Version of the program that wrote it.
    pub program: String,
    /// The configuration of the run.
    pub config: Config,
    /// What the rows are called.
    pub data: String,
    /// Which rows they are, see [`crate::data::protocol::Dataset::fingerprint`].
    pub fingerprint: String,
    /// Steps that were trained.
    pub step: u64,
    /// Steps of the whole training.
    pub steps: u64,
    /// Seconds of training, evaluation not counted, and the samples that were trained in them.
    pub pace: (f64, u64),
    /// Mean AUC of the trained models on the probe set when they were last evaluated; none before.
    pub score: Option<f64>,
    /// Where each vocabulary begins in the tables of embeddings.
    pub embeddings: EmbeddingRows,
    /// The trained models.
    pub models: Vec<Model>,
    /// What the shell wants to find again.
    pub note: String,
}

/// A trained model of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Which.
    pub variant: Variant,
    /// Steps: the count `t` of Adam's bias correction.
    pub steps: u64,
    /// The pass of the training rows that the last one was in.
    pub pass: u32,
    /// Whether the user centres and the item centres are filled.
    pub filled: [bool; 2],
}

impl Header {
    /// This program's own versions.
    pub fn versions() -> ((u32, u32), String) {
        ((RUN_FORMAT, FORMAT), env!("CARGO_PKG_VERSION").into())
    }

    /// Refuses a checkpoint of another configuration.
    ///
    /// # Errors
    /// In what they differ.
    pub fn require_config(&self, config: &Config) -> Result<(), CheckpointError> {
        if self.config == *config {
            return Ok(());
        }
        let differs = differences(&self.config, config, &[]);
        Err(CheckpointError::Config { differs })
    }

    /// Refuses a checkpoint of a run that cannot go on under a configuration.
    ///
    /// # Errors
    /// The settings that cannot change under way.
    pub fn require_branch(&self, config: &Config) -> Result<(), CheckpointError> {
        let keys = self.config.keeps_from(config);
        if keys.is_empty() { Ok(()) } else { Err(CheckpointError::Branch { keys: keys.join(", ") }) }
    }
}

/// What a checkpoint is read from.
pub trait File: Read + Seek {}

impl<T: Read + Seek> File for T {}

/// A whole checkpoint, opened.
pub struct Checkpoint {
    file: Box<dyn File>,
    header: Header,
    tensors: Metadata,
    /// Where the tensors begin.
    start: u64,
}

fn damaged(detail: impl Into<String>) -> CheckpointError {
    CheckpointError::Damaged { detail: detail.into() }
}

fn unreadable(error: io::Error) -> CheckpointError {
    CheckpointError::Unreadable { detail: error.to_string() }
}

/// What a checkpoint says of itself, its bytes not yet checked; with its tensors, where they begin, and the file's length.
fn read_header(file: &mut dyn File) -> Result<(Header, Metadata, u64, u64), CheckpointError> {
    let length = file.seek(SeekFrom::End(0)).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|_| damaged(format!("it has {length} bytes, too few for any checkpoint")))?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST_HEADER || size + 8 > length {
        return Err(damaged(format!("its header should have {size} bytes, and the file has {length}")));
    }
    let mut head = vec![0; size as usize];
    file.read_exact(&mut head).map_err(unreadable)?;
    let tensors: Metadata = serde_json::from_slice(&head).map_err(|error| damaged(format!("its header is none ({error})")))?;
    let entries = tensors.metadata().as_ref();
    let Some(text) = entries.and_then(|entries| entries.get(ENTRY)) else {
        let what = if entries.is_some_and(|entries| entries.contains_key(super::ENTRY)) {
            "it holds weights of one model; begin a new run from them by --weights-in"
        } else {
            "its metadata have no `duia_run`"
        };
        return Err(CheckpointError::Foreign { detail: what.into() });
    };
    /// All that every version has.
    #[derive(Deserialize)]
    struct Version {
        format: (u32, u32),
        program: String,
    }
    let foreign = |error: serde_json::Error| CheckpointError::Foreign { detail: error.to_string() };
    let Version { format, program } = serde_json::from_str(text).map_err(foreign)?;
    if format != (RUN_FORMAT, FORMAT) {
        return Err(CheckpointError::Program { program });
    }
    let header = serde_json::from_str(text).map_err(|_| CheckpointError::Program { program })?;
    Ok((header, tensors, size + 8, length))
}

/// What a checkpoint says of itself, without a look at the rest of it.
///
/// # Errors
/// A file that is none, or of another version.
pub fn peek(file: &mut dyn File) -> Result<Header, CheckpointError> {
    read_header(file).map(|(header, ..)| header)
}

impl Checkpoint {
    /// Opens a checkpoint and checks every byte of it. `told` hears how many bytes of how many are checked.
    ///
    /// # Errors
    /// A file that is none, or damaged, or of another version.
    pub fn open(mut file: Box<dyn File>, told: &mut dyn FnMut(u64, u64)) -> Result<Self, CheckpointError> {
        let (header, tensors, start, length) = read_header(&mut *file)?;
        let expected = start + tensors.data_len() as u64;
        if length != expected {
            return Err(damaged(format!("it has {length} bytes and should have {expected}: it was cut off, or something was added")));
        }
        file.rewind().map_err(unreadable)?;
        let (mut sum, mut left, mut buffer) = (0, length - 4, vec![0; BUFFER]);
        while left > 0 {
            let part = &mut buffer[..BUFFER.min(left as usize)];
            file.read_exact(part).map_err(unreadable)?;
            sum = crc32c::crc32c_append(sum, part);
            left -= part.len() as u64;
            told(length - left, length);
        }
        let mut stated = [0; 4];
        file.read_exact(&mut stated).map_err(unreadable)?;
        if sum != u32::from_le_bytes(stated) {
            let stated = u32::from_le_bytes(stated);
            return Err(damaged(format!("its checksum is {stated:08x} and its bytes give {sum:08x}: some of them have changed")));
        }
        Ok(Self { file, header, tensors, start })
    }

    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was measured until then, as it was written.
    ///
    /// # Errors
    /// A file that cannot be read any more.
    pub fn events(&mut self) -> Result<Vec<u8>, CheckpointError> {
        self.bytes(EVENTS)
    }

    /// A model of it, read now.
    ///
    /// # Errors
    /// A model that is not in it, a file that cannot be read any more.
    pub fn state(&mut self, variant: Variant) -> Result<State, CheckpointError> {
        let expected = || variant.key().to_owned();
        let found = || self.header.models.iter().map(|model| model.variant.key()).collect::<Vec<_>>().join(", ");
        let model = self.header.models.iter().find(|model| model.variant == variant);
        let model = model.ok_or_else(|| CheckpointError::Variant { found: found(), expected: expected() })?;
        let description = Description {
            format: FORMAT,
            variant,
            config: self.header.config.clone(),
            data: self.header.data.clone(),
            steps: model.steps,
            filled: model.filled,
            embeddings: self.header.embeddings,
        };
        let prefix = prefix(variant);
        let names = self.tensors.offset_keys().into_iter();
        let own: Vec<String> = names.filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned)).collect();
        let arrays = own.into_iter().map(|name| Ok((name.clone(), self.array(&format!("{prefix}{name}"))?)));
        let arrays = arrays.collect::<Result<_, CheckpointError>>()?;
        Ok(State { description, arrays })
    }

    fn array(&mut self, name: &str) -> Result<Array, CheckpointError> {
        let bytes = self.bytes(name)?;
        let missing = || CheckpointError::Missing { name: name.into() };
        let TensorInfo { dtype, shape, .. } = self.tensors.info(name).ok_or_else(missing)?;
        let values = match dtype {
            Dtype::F32 => Values::Floats(bytemuck::pod_collect_to_vec(&bytes)),
            Dtype::I32 => Values::Integers(bytemuck::pod_collect_to_vec(&bytes)),
            _ => return Err(CheckpointError::Kind { name: name.into() }),
        };
        Ok(Array { shape: shape.clone(), values })
    }

    fn bytes(&mut self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        let info = self.tensors.info(name).ok_or_else(|| CheckpointError::Missing { name: name.into() })?;
        let (first, end) = info.data_offsets;
        let mut bytes = vec![0; end - first];
        self.file.seek(SeekFrom::Start(self.start + first as u64)).map_err(unreadable)?;
        self.file.read_exact(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }
}

/// What the names of a model's tensors begin with.
pub(crate) fn prefix(variant: Variant) -> String {
    format!("{}.", variant.key())
}
