//! Protocol UB-T80: rows in time order become fixed-shape batches of positives and negatives.

/// "No row here": pads a history that is shorter than the window.
pub const NO_ROW: u32 = u32::MAX;

/// Tasks of the ranker: A, "valid consumption" (every row of the log), and B, a cart, favourite or buy.
pub const TASKS: usize = 2;

/// A batch of `size` samples; sample `2 r` is a positive, sample `2 r + 1` its negative. All arrays are row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Samples, padding included. Always the configured batch, so that shapes never change.
    pub size: usize,
    /// Samples that count; the rest repeat the first rows of the batch (only the last batch of a test has any).
    pub valid: usize,
    /// Behaviours of the history window.
    pub history: usize,
    /// `[size]`: user.
    pub user: Vec<u32>,
    /// `[size]`: the item that is ranked.
    pub item: Vec<u32>,
    /// `[size]`: its category.
    pub category: Vec<u32>,
    /// `[size]`: the user's activity bucket, see [`activity_bucket`].
    pub activity: Vec<u32>,
    /// `[size, history]`: items of the user's last behaviours strictly before this row, newest first, [`NO_ROW`] after them.
    pub history_items: Vec<u32>,
    /// `[size, history]`: their categories.
    pub history_categories: Vec<u32>,
    /// `[size, Behaviour::COUNT]`: `ln(1 + n) / 5` of the user's behaviours before this row, by kind.
    pub counts: Vec<f32>,
    /// `[size]`: `ln(1 + n) / 5` of the item's rows before this row, in the whole stream.
    pub item_count: Vec<f32>,
    /// `[TASKS, size]`: labels, task A first.
    pub labels: Vec<f32>,
    /// `[size]`: 1 where the sample is among the share that clusters (A9), else 0. All 0 in test batches.
    pub clustered: Vec<f32>,
    /// `[size]`: whether the user is low-active (A22).
    pub low_active: Vec<bool>,
    /// `[size]`: whether the user had this item before. Never true of a negative.
    pub repeat: Vec<bool>,
    /// `[size]`: whether a training row had this item before this row.
    pub seen: Vec<bool>,
}

/// Number of activity buckets.
pub const ACTIVITY_BUCKETS: u32 = 16;

/// The bucket of a user with `n` behaviours before: 0 for none, then by powers of two.
pub fn activity_bucket(n: u32) -> u32 {
    (u32::BITS - n.leading_zeros()).min(ACTIVITY_BUCKETS - 1)
}
