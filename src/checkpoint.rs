//! What a variant knows, by name and as bytes: weights, moments and memories in the safetensors format, which every
//! framework reads.
//!
//! A file is tensors of 32-bit floats or integers, little-endian, and one metadata entry, `duia`: a [`Description`] as JSON.
//! The names and their shapes are in `docs/trace.md`. Not in a file of weights: the moments of the dense parameters and of centres
//! under [`crate::config::CentreStep::Adam`], which start from zero again, as at the start of any run. A checkpoint of a whole run
//! ([`run`]) holds them too.

#[cfg(feature = "train")]
mod gathering;
#[cfg(feature = "train")]
mod restoring;
pub mod run;

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::variants::Variant;

#[cfg(feature = "train")]
pub use gathering::Gathering;
#[cfg(feature = "train")]
pub(crate) use gathering::{Visitor, for_each_parameter};

/// Version of the names and shapes. A file of another version is refused with a sentence: before 6 models did not read the history by
/// target attention.
pub const FORMAT: u32 = 6;

/// The metadata entry that makes a safetensors file one of ours.
const ENTRY: &str = "duia";
/// What the names of the dense parameters begin with.
pub const NETWORK: &str = "network";

/// Numbers of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    Floats(Vec<f32>),
    /// 32-bit integers: ids, -1 for none.
    Integers(Vec<i32>),
}

/// A tensor off any device.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its shape.
    pub shape: Vec<usize>,
    /// As many numbers as the shape says.
    pub values: Values,
}

impl Array {
    /// Floats in a shape.
    pub fn floats(values: Vec<f32>, shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), values: Values::Floats(values) }
    }

    /// Ids in a shape; what is no row ([`crate::data::protocol::NO_ROW`]) becomes -1.
    pub fn ids(ids: &[u32], shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), values: Values::Integers(ids.iter().map(|&id| id as i32).collect()) }
    }

    /// The numbers, where they are floats.
    pub fn as_floats(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Floats(values) => Some(values),
            Values::Integers(_) => None,
        }
    }

    /// Bytes of its numbers.
    pub fn bytes(&self) -> u64 {
        4 * self.shape.iter().product::<usize>() as u64
    }
}

/// Tensors by name.
pub type Arrays = BTreeMap<String, Array>;

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// [`FORMAT`].
    pub format: u32,
    /// Whose tensors they are.
    pub variant: Variant,
    /// The configuration of the run.
    pub config: Config,
    /// What the rows are called.
    pub data: String,
    /// Steps that were trained: the count `t` of Adam's bias correction.
    pub steps: u64,
    /// Whether the user centres and the item centres are filled.
    pub filled: [bool; 2],
    /// Where each vocabulary begins in the embedding table.
    pub embeddings: EmbeddingRows,
}

/// Where each vocabulary begins in the embedding table. Item `i` has row `items + i`, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingRows {
    /// Row of item 0.
    pub items: u32,
    /// Row of category 0.
    pub categories: u32,
    /// Row of user 0.
    pub users: u32,
    /// Row of the first activity bucket.
    pub activity: u32,
    /// All rows.
    pub end: u32,
}

/// What a variant knows, or a trace of it.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Of what.
    pub description: Description,
    /// The tensors.
    pub arrays: Arrays,
}

/// Why a file cannot be used. Every text says what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not of the format at all, or damaged.
    #[error("the file is no whole safetensors file ({detail}); take one that `duia train --weights-out` wrote")]
    Unreadable {
        /// What the format's reader said.
        detail: String,
    },
    /// Somebody else's.
    #[error("the file is a safetensors file, but not one that `duia train --weights-out` wrote ({detail})")]
    Foreign {
        /// What is missing.
        detail: String,
    },
    /// Ours, of another time.
    #[error("the file's format is version {found}, and this program reads version {FORMAT}; use the program that wrote it, or train again")]
    Version {
        /// The file's.
        found: u32,
    },
    /// Another model's.
    #[error("the file holds {found}, and this run trains {expected}; add `{found}` to the models, or take another file")]
    Variant {
        /// The file's, as a key.
        found: String,
        /// The run's, as keys.
        expected: String,
    },
    /// A checkpoint that is not what was written.
    #[error("the checkpoint is damaged: {detail}")]
    Damaged {
        /// What does not agree.
        detail: String,
    },
    /// A checkpoint of another program.
    #[error(
        "the checkpoint was written by duia {program}, in a form that this one ({}) does not read; go on with that one, or start a new run",
        env!("CARGO_PKG_VERSION")
    )]
    Program {
        /// The version of that program.
        program: String,
    },
    /// A checkpoint under another configuration.
    #[error(
        "the checkpoint is of another configuration: {differs}; a run goes on as it began, so leave these settings out, or start a new run"
    )]
    Config {
        /// In what they differ.
        differs: String,
    },
    /// A branch with another value of a setting that cannot change under way.
    #[error(
        "a run cannot change {keys} under way: it has trained with that from its first step, so only a run from the start can change it"
    )]
    Branch {
        /// The settings.
        keys: String,
    },
    /// A checkpoint of other rows.
    #[error(
        "the checkpoint is of other rows: {found} there, {expected} here; give the file that the run began with by --data, or start a new run"
    )]
    Rows {
        /// The checkpoint's, see [`crate::data::protocol::Dataset::fingerprint`].
        found: String,
        /// The run's.
        expected: String,
    },
    /// Without something that the model needs.
    #[error("the file has no tensor `{name}`; take a file that `duia train --weights-out` wrote")]
    Missing {
        /// What is missing.
        name: String,
    },
    /// Of other sizes.
    #[error(
        "the file's `{name}` is {found:?} and this run's is {expected:?}: {differs}; train with the settings and rows that it was made with"
    )]
    Shape {
        /// Which tensor.
        name: String,
        /// The file's.
        found: Vec<usize>,
        /// The run's.
        expected: Vec<usize>,
        /// In what the settings differ.
        differs: String,
    },
    /// Of other numbers.
    #[error("the file's `{name}` does not hold 32-bit floats; take a file that `duia train --weights-out` wrote")]
    Kind {
        /// Which tensor.
        name: String,
    },
}

impl State {
    fn array(&self, name: &str) -> Result<&Array, CheckpointError> {
        self.arrays.get(name).ok_or_else(|| CheckpointError::Missing { name: name.into() })
    }

    /// The numbers of a tensor.
    ///
    /// # Errors
    /// Where there is no such tensor, or one of integers.
    pub fn floats(&self, name: &str) -> Result<&[f32], CheckpointError> {
        self.array(name)?.as_floats().ok_or_else(|| CheckpointError::Kind { name: name.into() })
    }

    /// The numbers of a tensor of integers.
    ///
    /// # Errors
    /// Where there is no such tensor, or one of floats.
    pub fn integers(&self, name: &str) -> Result<&[i32], CheckpointError> {
        match &self.array(name)?.values {
            Values::Integers(values) => Ok(values),
            Values::Floats(_) => Err(CheckpointError::Kind { name: name.into() }),
        }
    }

    /// Bytes of all numbers.
    pub fn bytes(&self) -> u64 {
        self.arrays.values().map(Array::bytes).sum()
    }
}

/// In what two configurations differ, apart from some keys, for a person.
fn differences(theirs: &Config, ours: &Config, apart_from: &[&str]) -> String {
    let object = |config: &Config| match serde_json::to_value(config) {
        Ok(serde_json::Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    let (theirs, ours) = (object(theirs), object(ours));
    let other = theirs.iter().filter(|(key, value)| ours.get(*key) != Some(value) && !apart_from.contains(&key.as_str()));
    let all: Vec<String> = other.map(|(key, value)| format!("{key} is {value} there and {} here", ours[key])).collect();
    all.join(", ")
}

/// A state as the bytes of a safetensors file: equal states give equal bytes.
///
/// # Errors
/// Where a shape and its numbers disagree.
pub fn to_bytes(state: &State) -> Result<Vec<u8>, CheckpointError> {
    let failed = |detail: String| CheckpointError::Unreadable { detail };
    // One entry, because the format's writer gives several in an order that changes from run to run.
    let description = serde_json::to_string(&state.description).map_err(|error| failed(error.to_string()))?;
    let views: Result<Vec<_>, _> = state.arrays.iter().map(|(name, array)| view(array).map(|view| (name, view))).collect();
    let views = views.map_err(|error| failed(error.to_string()))?;
    let metadata = std::iter::once((ENTRY.to_string(), description)).collect();
    serialize(views, Some(metadata)).map_err(|error| failed(error.to_string()))
}

fn view(array: &Array) -> Result<TensorView<'_>, safetensors::SafeTensorError> {
    match &array.values {
        Values::Floats(values) => TensorView::new(Dtype::F32, array.shape.clone(), bytemuck::cast_slice(values)),
        Values::Integers(values) => TensorView::new(Dtype::I32, array.shape.clone(), bytemuck::cast_slice(values)),
    }
}

/// A state from the bytes of a file.
///
/// # Errors
/// Bytes that are no safetensors file, not ours, of another version, or of other numbers.
pub fn from_bytes(bytes: &[u8]) -> Result<State, CheckpointError> {
    let unreadable = |error: safetensors::SafeTensorError| CheckpointError::Unreadable { detail: error.to_string() };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
    let description = describe(header.metadata().as_ref().and_then(|metadata| metadata.get(ENTRY)))?;
    let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
    let array = |(name, view): (&str, TensorView<'_>)| {
        let values = match view.dtype() {
            Dtype::F32 => Values::Floats(bytemuck::pod_collect_to_vec(view.data())),
            Dtype::I32 => Values::Integers(bytemuck::pod_collect_to_vec(view.data())),
            _ => return Err(CheckpointError::Kind { name: name.into() }),
        };
        Ok((name.to_string(), Array { shape: view.shape().to_vec(), values }))
    };
    Ok(State { description, arrays: file.iter().map(array).collect::<Result<_, _>>()? })
}

fn describe(entry: Option<&String>) -> Result<Description, CheckpointError> {
    /// All that every version has.
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let foreign = |detail: String| CheckpointError::Foreign { detail };
    let text = entry.ok_or_else(|| foreign(format!("its metadata have no `{ENTRY}`")))?;
    let Version { format } = serde_json::from_str(text).map_err(|error| foreign(error.to_string()))?;
    if format != FORMAT {
        return Err(CheckpointError::Version { found: format });
    }
    serde_json::from_str(text).map_err(|error| foreign(error.to_string()))
}
