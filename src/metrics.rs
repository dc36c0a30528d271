//! How good a ranker and its clusters are: exact areas under the curve with their uncertainty, by activity group, and
//! the health of the user clusters.
//!
//! Pure functions of numbers, the same on every target: no input or output, no clock, and logarithms from `libm`.
//!
//! Groups are those of the protocol: low-active users are fixed before training (A22), everybody else is high-active.
//! What has no value (an area where one class is missing, a share of nothing) is NaN, so that it cannot be mistaken for
//! a score.

mod auc;
mod clusters;

pub use auc::{auc, delong, gauc};
pub use clusters::{ClusterTally, Positives, cluster_health};

use crate::data::protocol::Batch;
use crate::message::{ByGroup, Score};
use auc::Ranking;

/// What is known of test rows before any model scores them. All arrays are as long as there are rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestRows {
    /// Labels of the reported task, "valid consumption".
    pub labels: Vec<bool>,
    /// Users.
    pub users: Vec<u32>,
    /// Whether the user is low-active.
    pub low_active: Vec<bool>,
    /// Whether the user had the item before; only positives can.
    pub repeat: Vec<bool>,
    /// Whether a training row had the item.
    pub seen: Vec<bool>,
}

impl TestRows {
    /// Adds the samples of a batch that count; its padding is left out.
    pub fn push(&mut self, batch: &Batch) {
        let valid = ..batch.valid;
        self.labels.extend(batch.labels[valid].iter().map(|&label| label > 0.5));
        self.users.extend_from_slice(&batch.user[valid]);
        self.low_active.extend_from_slice(&batch.low_active[valid]);
        self.repeat.extend_from_slice(&batch.repeat[valid]);
        self.seen.extend_from_slice(&batch.seen[valid]);
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no row yet.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Scores predictions, one a row, and compares them with a baseline's predictions of the same rows.
    ///
    /// Every subset is an area over rows, not a mean of areas: `auc.low` ranks all rows of low-active users together.
    /// `auc_without_repeats` drops positives whose item the user had before (negatives never have one), so that
    /// remembering items earns nothing. `auc_seen_items` drops rows whose item no training row had, positive or
    /// negative, so that guessing "unknown item, so a positive" earns nothing.
    ///
    /// # Panics
    /// Where predictions and rows differ in number.
    pub fn score(&self, predictions: &[f32], baseline: Option<&[f32]>) -> Score {
        assert_eq!(predictions.len(), self.len(), "one prediction a test row");
        let own = Ranking::new(predictions);
        let everything = |_| true;
        let low = |row: usize| self.low_active[row];
        let high = |row: usize| !self.low_active[row];
        let lift = baseline.map(|baseline| {
            assert_eq!(baseline.len(), self.len(), "one prediction of the baseline a test row");
            let base = Ranking::new(baseline);
            ByGroup {
                all: own.lift(&base, &self.labels, everything),
                low: own.lift(&base, &self.labels, low),
                high: own.lift(&base, &self.labels, high),
            }
        });
        Score {
            auc: ByGroup { all: own.auc(&self.labels, everything), low: own.auc(&self.labels, low), high: own.auc(&self.labels, high) },
            gauc: gauc(predictions, &self.labels, &self.users),
            auc_without_repeats: own.auc(&self.labels, |row| !(self.labels[row] && self.repeat[row])),
            auc_seen_items: own.auc(&self.labels, |row| self.seen[row]),
            lift,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Counter, Stream};

    fn rows(n: usize) -> (TestRows, Vec<f32>, Vec<f32>) {
        let draw = |lane| Counter::new(3, Stream::Choices).lane(lane);
        let flag = |lane, share: f64| (0..n as u64).map(|i| draw(lane).uniform(i) < share).collect::<Vec<bool>>();
        let rows = TestRows {
            labels: (0..n).map(|i| i % 2 == 0).collect(),
            users: (0..n as u64).map(|i| draw(0).below(i / 2, 40) as u32).collect(),
            low_active: flag(1, 0.3),
            repeat: flag(2, 0.2).iter().enumerate().map(|(i, &r)| r && i % 2 == 0).collect(),
            seen: flag(3, 0.7),
        };
        let predictions =
            |lane| (0..n).map(|i| draw(lane).normal(i as u64) as f32 + if rows.labels[i] { 0.8 } else { 0.0 }).collect::<Vec<f32>>();
        let (a, b) = (predictions(4), predictions(5));
        (rows, a, b)
    }

    #[test]
    fn a_score_is_the_measures_of_the_subsets() {
        let (rows, base, own) = rows(600);
        let score = rows.score(&own, Some(&base));
        let pick = |keep: &dyn Fn(usize) -> bool, of: &[f32]| -> (Vec<f32>, Vec<bool>) {
            (0..rows.len()).filter(|&i| keep(i)).map(|i| (of[i], rows.labels[i])).unzip()
        };
        let low = |i: usize| rows.low_active[i];
        let (own_low, labels_low) = pick(&low, &own);
        let (base_low, _) = pick(&low, &base);
        assert_eq!(score.auc.low, auc(&own_low, &labels_low));
        assert_eq!(score.lift.unwrap().low, delong(&base_low, &own_low, &labels_low));
        assert_eq!(score.auc.all, auc(&own, &rows.labels));
        assert_eq!(score.auc.low.positives + score.auc.high.positives, score.auc.all.positives);
        assert_eq!(score.gauc, gauc(&own, &rows.labels, &rows.users));
        let (fresh, labels) = pick(&|i| !rows.repeat[i], &own);
        assert_eq!(score.auc_without_repeats, auc(&fresh, &labels));
        let (seen, labels) = pick(&|i| rows.seen[i], &own);
        assert_eq!(score.auc_seen_items, auc(&seen, &labels));
        assert!(rows.score(&own, None).lift.is_none());
    }

    #[test]
    fn padding_is_left_out() {
        let batch = Batch {
            size: 4,
            valid: 2,
            user: vec![5, 5, 9, 9],
            labels: vec![1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            low_active: vec![true, true, false, false],
            repeat: vec![true, false, true, false],
            seen: vec![false, true, true, true],
            ..Batch::default()
        };
        let mut rows = TestRows::default();
        assert!(rows.is_empty());
        rows.push(&batch);
        rows.push(&batch);
        assert_eq!(rows.len(), 4);
        assert_eq!(rows.labels, [true, false, true, false]);
        assert_eq!((rows.users[3], rows.low_active[2], rows.repeat[2], rows.seen[3]), (5, true, true, true));
    }

    #[test]
    fn no_rows_score_nothing() {
        let score = TestRows::default().score(&[], Some(&[]));
        assert!(score.auc.all.value.is_nan() && score.gauc.is_nan() && score.lift.unwrap().all.value.is_nan());
    }
}
