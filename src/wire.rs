//! The one set of messages between a trainer and what watches it: the page (across a worker boundary) and the
//! terminal (by a plain call). The core sends [`Event`]s and takes [`Command`]s and knows nothing of either.
//!
//! Across the worker boundary a message is one byte buffer ([`to_bytes`], [`from_bytes`]), transferred and not copied.

pub mod recording;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::config::Config;
use crate::data::{DataReport, Side};
use crate::metrics::{ClusterHealth, Evaluation, LossTerm, Losses, TestKind};
use crate::variants::Variant;
use crate::view::{FieldFrame, Portrait, Sitting};

/// What a watcher may ask of a trainer. `run` is chosen by the asker; a command for another run is ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Drop whatever runs and prepare this run; it starts paused, and answers with [`Event::Ready`].
    Start {
        /// The new run's id.
        run: u32,
        /// What to run. Checked again by the trainer.
        config: Box<Config>,
        /// Which device to use.
        device: DeviceChoice,
        /// On which rows.
        rows: RowsChoice,
        /// The step at which it branches off the run before, where that one left a mark there ([`Event::Marked`]). It then stands at that
        /// step, with what was measured until then told again. Where it cannot, it starts anew, and [`Event::Refused`] says why.
        from: Option<u64>,
    },
    /// Train on until paused or finished.
    Play {
        /// The run meant.
        run: u32,
    },
    /// Stop after the step under way.
    Pause {
        /// The run meant.
        run: u32,
    },
    /// One step, then pause.
    Step {
        /// The run meant.
        run: u32,
    },
    /// End training here and test what was learned, as at the end of the stream.
    Finish {
        /// The run meant.
        run: u32,
    },
    /// At most so many steps a second; 0 is as fast as the device goes.
    Speed {
        /// The run meant.
        run: u32,
        /// Steps a second.
        steps_per_second: f32,
    },
    /// Picture the centres of this side from now on, those of users at first. Answered with [`Event::Field`].
    Show {
        /// The run meant.
        run: u32,
        /// Whose centres.
        side: Side,
    },
    /// Portray this user from now on, and at once. Answered with [`Event::Portrait`].
    Portray {
        /// The run meant.
        run: u32,
        /// Who, and what is added to their history.
        sitting: Sitting,
    },
    /// Let the model that a file is of go on from its weights and memories. Answered with [`Event::Loaded`] or, where
    /// the file does not fit, with [`Event::Refused`], after which the run goes on as it was.
    Load {
        /// The run meant.
        run: u32,
        /// What the person calls the file.
        name: String,
        /// A safetensors file that `duia train --weights-out` wrote.
        bytes: Vec<u8>,
    },
}

/// Which device a run asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceChoice {
    /// The faster of GPU and CPU, where there is a GPU that agrees with the CPU.
    Auto,
    /// The GPU or an error.
    Gpu,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU through CUDA, or an error.
    Cuda,
    /// A graphics adapter through Vulkan, a software one included, or an error.
    Vulkan,
}

/// Which rows a run asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowsChoice {
    /// The synthetic stream.
    Synthetic,
    /// A subset of real rows that lies beside the page, where there is one; else the synthetic stream.
    Subset,
    /// A file of the person's own, which goes beside the command.
    Own {
        /// What its columns mean: a [`crate::data::schema::Schema`] as JSON.
        schema: String,
    },
}

/// An event of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The run it belongs to, as the asker numbered it.
    pub run: u32,
    /// What happened.
    pub event: Event,
}

/// What can happen. Arrays are flat and their shapes are stated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Something that takes a while has begun: said so that nobody waits before a still page.
    Stage(Stage),
    /// The device was chosen.
    Device(DeviceReport),
    /// The data are known.
    Data(DataReport),
    /// The run can be played.
    Ready {
        /// The models that are compared, in order; every array by variant below follows it.
        variants: Vec<Variant>,
        /// Steps of the whole run.
        steps: u64,
        /// Positives of the probe set that live curves are computed on.
        probe_positives: u64,
        /// The losses that there are, and which models have each.
        losses: Vec<LossTerm>,
    },
    /// Where the run stands. Sent a few times a second at most.
    Progress {
        /// Steps done.
        step: u64,
        /// Samples that each variant has seen.
        samples: u64,
        /// Samples a second of training (all variants together count once), evaluation not counted.
        samples_per_second: f64,
    },
    /// How far a test of the whole test set is. Sent a few times a second at most, and at its end.
    Tested {
        /// Which of the two tests; the probe set's while passes are chosen, when rows are those trained on, of the most that may be.
        kind: TestKind,
        /// Test rows scored.
        rows: u64,
        /// Test rows of the whole test set.
        of: u64,
    },
    /// Losses at a step, by variant.
    Losses {
        /// The step.
        step: u64,
        /// One entry a model; that of a rule is empty.
        losses: Vec<Losses>,
    },
    /// Scores on the probe set or, at the end, on the whole test set, once or twice.
    Evaluation(Evaluation),
    /// State of the user clusters.
    Clusters(ClusterHealth),
    /// Centres and a batch of their members in the plane.
    Field(Box<FieldFrame>),
    /// One user as each model sees them.
    Portrait(Box<Portrait>),
    /// Centres that were filled or born again at this step.
    Reseeded {
        /// Which variant's centres.
        variant: Variant,
        /// Whose centres.
        side: Side,
        /// The step.
        step: u64,
        /// Level-1 centres.
        centres: Vec<u32>,
        /// Level-2 centres (`children * parent + child`), not counting children of the above.
        children: Vec<u32>,
        /// Whether this was the first fill of all centres.
        first_fill: bool,
    },
    /// Playing, paused or finished.
    State(State),
    /// A model goes on from the weights of a file. An evaluation of the probe set follows.
    Loaded {
        /// The model.
        variant: Variant,
        /// The file.
        name: String,
    },
    /// What was given cannot be used. The run goes on without it.
    Refused(Failure),
    /// Something failed. Whatever was shown stays true; the run goes no further.
    Failed {
        /// What happened, in words.
        failure: Failure,
        /// The next step, as something that a control can do.
        remedy: Remedy,
    },
    /// How far the reading of one's own file is. Sent a few times a second at most, and at its end.
    Reading(Reading),
    /// The run can be branched from this step ([`Command::Start`]) for as long as its trainer lives.
    Marked {
        /// The step.
        step: u64,
    },
    /// What the run before told until the step at which this one branched off it, in order. One message, so that it is drawn once.
    Past(Vec<Event>),
}

/// How far the reading of a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Bytes read, unpacked where the file is packed.
    pub bytes: u64,
    /// Bytes of all; unknown of a packed file.
    pub of: Option<u64>,
    /// Rows kept so far.
    pub rows: u64,
    /// Rows refused so far.
    pub refused: u64,
    /// Whether all is read, and the rows are being sorted.
    pub is_sorting: bool,
}

/// What a reader of tables tells the page, which reads text alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableText {
    /// The next piece of the text, CSV.
    Piece {
        /// Its bytes.
        text: Vec<u8>,
        /// Rows so far, and all that there are.
        rows: [u64; 2],
    },
    /// All of it was told.
    End {
        /// The columns that were left out: their values are not one number or text each.
        left_out: Vec<String>,
    },
    /// What is wrong with the table, in a sentence.
    Failed(String),
}

/// What takes a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Looking for a device.
    Device,
    /// Comparing the device with the CPU.
    SelfTest,
    /// Reading or generating the rows.
    Data,
    /// Building the models and compiling kernels.
    Models,
    /// Scoring the whole test set at the end.
    FinalTest,
    /// Scoring it once more, each batch before the models train on it.
    StreamingTest,
    /// Choosing by validation how often to go through the training rows.
    Passes,
}

/// Playing, paused or finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Steps are being done.
    Playing,
    /// Waiting for a command.
    Paused,
    /// Training has ended, with the stream or by [`Command::Finish`], and the whole test set is scored.
    Finished,
}

/// The device in use and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// `WebGPU`, `Vulkan`, `Metal`, `DX12`, `CUDA` or `CPU`.
    pub backend: String,
    /// The adapter's name, or what the CPU backend is.
    pub adapter: String,
    /// Why this one, in a sentence.
    pub reason: String,
    /// The largest difference from the CPU in the self-test; none where the device is the CPU.
    pub self_test: Option<f32>,
}

/// What failed, what is still there and what to do next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What happened, in a sentence for a person.
    pub what: String,
    /// The technical detail.
    pub detail: String,
    /// What the person can do next.
    pub next: String,
}

/// What a control beside a failure does about it: advice alone is a dead end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// The same run once more, on a new trainer.
    StartAgain,
    /// The same run on the CPU.
    UseCpu,
    /// The synthetic stream in place of the rows that cannot be used.
    UseSynthetic,
    /// All settings at their defaults.
    Defaults,
    /// The same run with a tenth of the learning rate.
    LowerLearningRate,
    /// The page once more from its host: a part of it is missing, changed or of another build.
    Reload,
    /// Another file, or other columns of this one.
    ChooseRows,
}

/// A message as bytes.
///
/// # Errors
/// Where the value cannot be encoded, which its types rule out.
pub fn to_bytes<T: Serialize>(message: &T) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_stdvec(message)
}

/// A message from bytes.
///
/// # Errors
/// Where the bytes are not such a message: page and worker come from different builds.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, postcard::Error> {
    postcard::from_bytes(bytes)
}
