//! What a model scored: areas under the curve with their uncertainty, differences, and the parts of the test they are of.

use serde::{Deserialize, Serialize};

use crate::variants::Variant;

/// An area under the curve with its uncertainty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Auc {
    /// The area; 0.5 is chance. NaN where one class is missing.
    pub value: f64,
    /// Its standard error, clustered by user: see [`super::auc`]. NaN where one class is missing or all rows are one user's.
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
    /// Standard error of the difference, clustered by user: see [`super::lift`].
    pub standard_error: f64,
}

/// The mean of the users' own areas, weighted by their rows, with its uncertainty (GAUC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gauc {
    /// The mean. NaN where no user has rows of both classes.
    pub value: f64,
    /// Its standard error over users.
    pub standard_error: f64,
    /// Users with rows of both classes, whose areas it is the mean of.
    pub users: u64,
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
    pub gauc: Gauc,
    /// Paired difference of GAUC from the first variant; none for the first itself.
    pub gauc_lift: Option<Lift>,
    /// The area without positives that repeat an item of the user.
    pub auc_without_repeats: Auc,
    /// As [`Score::lift`], without those positives.
    pub lift_without_repeats: Option<Lift>,
    /// As [`Score::lift_over_parent`], without those positives.
    pub lift_over_parent_without_repeats: Option<Lift>,
    /// The area over rows whose items were seen in training.
    pub auc_seen_items: Auc,
    /// Paired difference from the first variant; none for the first itself.
    pub lift: Option<ByGroup<Lift>>,
    /// Paired difference from [`crate::variants::Variant::parent`], where that one is compared too and is not the first. Not on the probe set.
    pub lift_over_parent: Option<ByGroup<Lift>>,
    /// Finer parts of the test. Empty on the probe set.
    pub slices: Vec<SliceScore>,
    /// What the gain over the first variant is of those of the variants that are told the truth, where such ones race. Empty on the
    /// probe set, and for the first and for such a variant itself.
    pub headroom: Vec<Headroom>,
}

/// The share of a ceiling's gain that a variant wins: its own gain over the ceiling's. See [`super::headroom_share`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Headroom {
    /// The variant that is told the truth.
    pub ceiling: Variant,
    /// The share and its standard error, by group.
    pub share: ByGroup<Lift>,
    /// Without repeats.
    pub without_repeats: Lift,
    /// Over the parts of [`Score::slices`].
    pub slices: Vec<(Slice, Lift)>,
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
    /// Rows whose item was seen in training and is new to the user.
    SeenAndNew,
    /// Rows of users with at most ten behaviours before the row.
    FewUserRows,
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
    /// The probe set of live curves, memories frozen.
    ProbeSet,
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
