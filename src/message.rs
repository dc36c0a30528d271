//! The one set of messages between a trainer and whoever watches it: the page (across a worker boundary) and the
//! terminal (by a plain call). The core sends [`Event`]s and takes [`Command`]s and knows nothing of either.
//!
//! Across the worker boundary a message is one byte buffer ([`to_bytes`], [`from_bytes`]), transferred and not copied.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::config::{Config, Variant};

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
        /// Whether a sample of real rows that lies beside the page may be used instead of the synthetic stream.
        sample: bool,
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
    /// A GPU where there is one that passes the self-test, else the CPU.
    Auto,
    /// The GPU or an error.
    Gpu,
    /// The CPU.
    Cpu,
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
        /// The models that race, in order; every array by variant below follows it.
        variants: Vec<Variant>,
        /// Steps of the whole run.
        steps: u64,
        /// Positives of the panel that live curves are computed on.
        panel_positives: u64,
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
    /// Losses at a step, by variant.
    Losses {
        /// The step.
        step: u64,
        /// One entry a variant.
        losses: Vec<Losses>,
    },
    /// Scores on the panel or, at the end, on the whole test set, once or twice.
    Evaluation(Evaluation),
    /// State of the user clusters.
    Clusters(ClusterHealth),
    /// Centres and a batch of users in the plane.
    Field(Box<FieldFrame>),
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
    /// A model goes on from the weights of a file. An evaluation of the panel follows.
    Loaded {
        /// The model.
        variant: Variant,
        /// The file.
        name: String,
    },
    /// What was given cannot be used. The run goes on as it was.
    Refused(Failure),
    /// Something failed. Whatever was shown stays true; the run goes no further.
    Failed(Failure),
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

/// Where rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The seeded generator. Never to be shown as Taobao's.
    Synthetic,
    /// A compact sample of real rows, made by `duia sample`.
    Sample,
    /// A `UserBehavior.csv`.
    File,
}

/// The data of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataReport {
    /// Where they come from.
    pub origin: Origin,
    /// The file's name, or a word on the generator.
    pub name: String,
    /// Rows kept.
    pub rows: u64,
    /// Rows refused, by reason, in words.
    pub refused: Vec<(String, u64)>,
    /// Users.
    pub users: u64,
    /// Items.
    pub items: u64,
    /// Categories.
    pub categories: u64,
    /// Rows that train.
    pub train_rows: u64,
    /// Rows that test.
    pub test_rows: u64,
    /// Low-active users (A22).
    pub low_active_users: u64,
    /// Share of the training rows that are low-active users'.
    pub low_active_row_share: f64,
    /// Share of test positives whose item no training row has.
    pub unseen_test_share: f64,
    /// What is known of each group of users (Table 2).
    pub interest: Interest,
}

/// What is known of low-active and of high-active users before the test (Table 2 of the paper).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interest {
    /// Low-active users.
    pub low: GroupInterest,
    /// High-active users.
    pub high: GroupInterest,
}

/// Means a user of a group, over the training rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupInterest {
    /// Users of the group.
    pub users: u64,
    /// Behaviours.
    pub behaviours: f64,
    /// Distinct items.
    pub items: f64,
    /// Distinct categories: the nearest that the data have to the paper's profile features.
    pub categories: f64,
}

/// The losses of Eq. 15 at a step, each before its weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Sum of the tasks' cross entropies.
    pub mtl: f32,
    /// Eq. 1. None where the variant has no auxiliary model.
    pub auxiliary: Option<f32>,
    /// Eq. 4. None until the centres are filled.
    pub uie_l1: Option<f32>,
    /// Eq. 5. None until the centres are filled.
    pub uie_l2: Option<f32>,
    /// Eq. 9, on the user side. None until the centres are filled.
    pub upbe_l1: Option<f32>,
    /// Eq. 10, on the user side. None until the centres are filled.
    pub upbe_l2: Option<f32>,
    /// Eq. 13. None until the item centres are filled.
    pub uhse_l1: Option<f32>,
    /// Eq. 14. None until the item centres are filled.
    pub uhse_l2: Option<f32>,
    /// Eq. 9 and 10 on the item side. None until the item centres are filled.
    pub items: Option<[f32; 2]>,
    /// The added loss of PLE+CL or of PLE+TL.
    pub adaptation: Option<f32>,
}

impl Losses {
    /// Every loss that there is, with its name in files and charts.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f32)> {
        let items = |level: usize| self.items.map(|losses| losses[level]);
        [
            ("loss_mtl", Some(self.mtl)),
            ("loss_auxiliary", self.auxiliary),
            ("loss_uie_l1", self.uie_l1),
            ("loss_uie_l2", self.uie_l2),
            ("loss_upbe_l1", self.upbe_l1),
            ("loss_upbe_l2", self.upbe_l2),
            ("loss_uhse_l1", self.uhse_l1),
            ("loss_uhse_l2", self.uhse_l2),
            ("loss_items_l1", items(0)),
            ("loss_items_l2", items(1)),
            ("loss_adaptation", self.adaptation),
        ]
        .into_iter()
        .filter_map(|(name, loss)| loss.map(|loss| (name, loss)))
    }
}

/// An area under the curve with its uncertainty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Auc {
    /// The area; 0.5 is chance. NaN where one class is missing.
    pub value: f64,
    /// Its standard error (Hanley and McNeil 1982).
    pub standard_error: f64,
    /// Positives it was computed on.
    pub positives: u64,
    /// Negatives it was computed on.
    pub negatives: u64,
}

/// A paired difference of two areas on the same rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lift {
    /// This variant's area minus the baseline's.
    pub value: f64,
    /// Standard error of the difference (DeLong et al. 1988).
    pub standard_error: f64,
}

/// One figure for all users, for low-active and for high-active users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ByGroup<T> {
    /// All users.
    pub all: T,
    /// Low-active users.
    pub low: T,
    /// High-active users.
    pub high: T,
}

/// What a variant scored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Area under the curve of the reported task, by group.
    pub auc: ByGroup<Auc>,
    /// The mean of the users' own areas, weighted by their rows (GAUC).
    pub gauc: f64,
    /// The area without positives that repeat an item of the user.
    pub auc_without_repeats: Auc,
    /// As [`Score::lift`], without those positives.
    pub lift_without_repeats: Option<Lift>,
    /// As [`Score::rung`], without those positives.
    pub rung_without_repeats: Option<Lift>,
    /// The area over rows whose items were seen in training.
    pub auc_seen_items: Auc,
    /// Paired difference from the first variant; none for the first itself.
    pub lift: Option<ByGroup<Lift>>,
    /// Paired difference from [`Variant::rung_below`], where that one races too and is not the first. Not on the panel.
    pub rung: Option<ByGroup<Lift>>,
    /// Finer parts of the test. Empty on the panel.
    pub slices: Vec<SliceScore>,
}

/// A part of the test rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slice {
    /// Rows of the users of a tenth by training behaviours, 0 the least active; ties by hash (A22).
    Decile(u8),
    /// Rows whose item is outside the top tenth of the items by training rows (A20).
    TailItems,
    /// Rows whose item is in the top tenth.
    HeadItems,
    /// Rows of users with so many behaviours before the row; unseen users are `Earlier::None` (A21).
    UserRows(Earlier),
    /// Rows whose item had so many rows before.
    ItemRows(Earlier),
}

/// How many rows came before, in the steps of A21.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Earlier {
    /// 0.
    None,
    /// 1 or 2.
    UpTo2,
    /// 3 to 5.
    UpTo5,
    /// 6 to 10.
    UpTo10,
    /// More than 10.
    More,
}

/// What a variant scored on a part of the test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceScore {
    /// The part.
    pub slice: Slice,
    /// Its area.
    pub auc: Auc,
    /// Paired difference from the first variant; none for the first itself.
    pub lift: Option<Lift>,
}

/// Which test rows are scored, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestKind {
    /// The panel of live curves, memories frozen.
    Panel,
    /// The whole test set at the end, memories frozen.
    Whole,
    /// The whole test set after that: each batch is scored, then trained on (A15).
    Streaming,
}

/// Scores of all variants at a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The step of training after which it began.
    pub step: u64,
    /// Which rows, and how.
    pub kind: TestKind,
    /// One entry a variant.
    pub scores: Vec<Score>,
}

/// Whose clusters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Users' (UIE).
    #[default]
    Users,
    /// Items' (UHSE).
    Items,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Users, Self::Items];
}

/// State of the clusters over the test positives of an evaluation, memories frozen (section 6 of the design).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterHealth {
    /// Which variant's clusters.
    pub variant: Variant,
    /// Whose clusters.
    pub side: Side,
    /// The step.
    pub step: u64,
    /// Test positives it was computed on: a hit rate means nothing without it.
    pub positives: u64,
    /// Share of level-1 centres that are the most similar of at least one test positive (Table 9).
    pub hit_rate_1: f64,
    /// The same of level-2 centres.
    pub hit_rate_2: f64,
    /// Perplexity of the level-1 assignment over the number of level-1 centres.
    pub perplexity_1: f64,
    /// Perplexity of the level-2 assignment over the number of level-2 centres.
    pub perplexity_2: f64,
    /// Share of the largest level-1 cluster.
    pub top_share: f64,
    /// Squared distance to the level-1 centre over squared distance to the mean.
    pub relative_error: f64,
    /// Share of positives whose UIE stopped (A10), by group.
    pub stopped: ByGroup<f64>,
    /// Normalised mutual information with the planted groups; none on real rows.
    pub nmi: Option<f64>,
    /// Share of users in a cluster where their planted group is the largest; none on real rows.
    pub purity: Option<f64>,
}

/// Centres and a batch of users in the plane: the two main axes of the level-1 centres, turned as little as possible
/// from frame to frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldFrame {
    /// The step.
    pub step: u64,
    /// Level-1 centres.
    pub centres: u32,
    /// Level-2 centres of each level-1 centre.
    pub children: u32,
    /// `[centres * (1 + children), 2]`: x, y in about -1..1; level 1 first.
    pub centre_xy: Vec<f32>,
    /// `[centres * (1 + children)]`: samples that each centre took since the last frame.
    pub hits: Vec<f32>,
    /// User ids of the points, each user once.
    pub users: Vec<u32>,
    /// `[users, 2]`: x, y of the users' vectors.
    pub user_xy: Vec<f32>,
    /// `[users, 2]`: level-1 centre and level-2 centre (`children * parent + child`).
    pub assigned: Vec<u32>,
    /// `[users]`: whether the user is low-active.
    pub low_active: Vec<bool>,
    /// `[users]`: whether UIE stopped for the user.
    pub stopped: Vec<bool>,
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
