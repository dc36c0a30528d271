//! What is known of the data of a run before a model sees them.

use serde::{Deserialize, Serialize};

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
    /// What was put right without refusing a row (sorted, a header skipped, ..), in sentences without their full stop.
    #[serde(default)]
    pub notes: Vec<String>,
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
    /// Distinct categories: where there is no profile, the nearest that the data have to the paper's profile features.
    pub categories: f64,
    /// Profile fields whose value is known; 0 where there is no profile.
    pub profile: f64,
}
