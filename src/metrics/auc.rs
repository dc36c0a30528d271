//! The area under the ROC curve: exact, by group, paired, and with its uncertainty.
//!
//! The area is the probability that a positive outranks a negative, a tie counting one half. One sort of the scores and
//! one walk through the ranking serve many parts of the rows at once.

use super::{Auc, Lift};

/// The area under the curve over all pairs of a positive and a negative, ties counting one half, in `O(n log n)`.
///
/// The standard error is Hanley and McNeil's (1982): with `q1 = A / (2 - A)`, `q2 = 2 A^2 / (1 + A)`, `m` positives and
/// `n` negatives, `se^2 = (A (1 - A) + (m - 1)(q1 - A^2) + (n - 1)(q2 - A^2)) / (m n)`. It is that of one area; for the
/// difference of two models on the same rows see [`delong`].
///
/// Value and error are NaN where one class is missing. A score that is NaN is a number like any other: scores are in the
/// order of [`f32::total_cmp`] with -0 equal to 0, which puts a positive NaN above infinity, so a model that
/// has come apart and predicts NaN alone scores 0.5.
///
/// # Panics
/// Where scores and labels differ in number.
pub fn auc(scores: &[f32], labels: &[bool]) -> Auc {
    assert_eq!(scores.len(), labels.len(), "one label a score");
    Ranking::new(scores).areas(&Partitions::whole(labels))[0]
}

/// The mean of the users' own areas, weighted by their rows, over users with rows of both classes (GAUC). NaN where no
/// user has both.
///
/// # Panics
/// Where scores, labels and users differ in number.
pub fn gauc(scores: &[f32], labels: &[bool], users: &[u32]) -> f64 {
    assert_eq!(scores.len(), labels.len(), "one label a score");
    assert_eq!(scores.len(), users.len(), "one user a score");
    let mut rows: Vec<(u64, bool)> = users
        .iter()
        .zip(scores)
        .zip(labels)
        .map(|((&user, &score), &label)| (u64::from(user) << 32 | u64::from(key(score)), label))
        .collect();
    rows.sort_unstable();
    let (mut sum, mut weight) = (0.0, 0.0);
    for of_user in rows.chunk_by(|a, b| a.0 >> 32 == b.0 >> 32) {
        let mut area = Area::default();
        for tie in of_user.chunk_by(|a, b| a.0 == b.0) {
            let mut tied = Classes::default();
            tie.iter().for_each(|row| tied.add(row.1));
            area.add(tied);
        }
        if area.below.has_both() {
            sum += area.value() * of_user.len() as f64;
            weight += of_user.len() as f64;
        }
    }
    sum / weight
}

/// The area of `b` minus the area of `a` on the same rows, with the standard error of DeLong, DeLong and Clarke-Pearson
/// (1988) for correlated areas.
///
/// A row's placement is the share of the other class below it, ties one half (for a negative 1988 counts above, which
/// changes the sign of a difference and not its square); the variance of the difference is the variance of the
/// placements' differences over positives divided by their number, plus the same over negatives. Placements come from one
/// sort a model, as in Sun and Xu (2014), instead of from all pairs. The value is NaN where one class is missing, the
/// error also where a class has a single row.
///
/// # Panics
/// Where scores and labels differ in number.
pub fn delong(a: &[f32], b: &[f32], labels: &[bool]) -> Lift {
    assert_eq!(a.len(), labels.len(), "one label a score of the baseline");
    assert_eq!(b.len(), labels.len(), "one label a score");
    let whole = Partitions::whole(labels);
    Ranking::new(b).lifts(&whole, &Ranking::new(a).placements(&whole))[0]
}

/// A score as an integer of the same order: [`f32::total_cmp`], but -0 equals 0.
fn key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// Rows cut in `P` ways at once: each row lies in one part of each partition.
pub(super) struct Partitions<'a, const P: usize> {
    labels: &'a [bool],
    /// `[rows]`: the row's parts, counted over all partitions together.
    parts_of_row: Vec<[u8; P]>,
    /// `[parts]`: how many positives and negatives.
    sizes: Vec<Classes>,
}

impl<'a> Partitions<'a, 1> {
    /// All rows in the one part of one partition.
    fn whole(labels: &'a [bool]) -> Self {
        Self::new(labels, 1, |_| [0])
    }
}

impl<'a, const P: usize> Partitions<'a, P> {
    /// `parts` parts, of which `parts_of(row)` are the row's. No part may be in two partitions.
    pub(super) fn new(labels: &'a [bool], parts: usize, parts_of: impl Fn(usize) -> [u8; P]) -> Self {
        let parts_of_row: Vec<[u8; P]> = (0..labels.len()).map(parts_of).collect();
        let mut sizes = vec![Classes::default(); parts];
        for (parts, &label) in parts_of_row.iter().zip(labels) {
            parts.iter().for_each(|&part| sizes[usize::from(part)].add(label));
        }
        Self { labels, parts_of_row, sizes }
    }

    /// Whether a part has rows of both classes.
    pub(super) fn has_both_classes(&self, part: usize) -> bool {
        self.sizes[part].has_both()
    }
}

/// Rows in ascending order of their scores: each entry is a score's key and, below it, the row.
pub(super) struct Ranking(Vec<u64>);

impl Ranking {
    /// Sorts once for all the measures below.
    pub(super) fn new(scores: &[f32]) -> Self {
        assert!(u32::try_from(scores.len()).is_ok(), "at most 2^32 rows are scored together");
        let mut entries: Vec<u64> = scores.iter().enumerate().map(|(row, &score)| u64::from(key(score)) << 32 | row as u64).collect();
        entries.sort_unstable();
        Self(entries)
    }

    /// The area of each part.
    pub(super) fn areas<const P: usize>(&self, partitions: &Partitions<'_, P>) -> Vec<Auc> {
        self.walk(partitions, |_, _| ()).into_iter().map(Area::report).collect()
    }

    /// `[rows]`: the placement of each row in each of its parts; see [`delong`].
    pub(super) fn placements<const P: usize>(&self, partitions: &Partitions<'_, P>) -> Vec<[f64; P]> {
        let mut placements = vec![[0.0; P]; partitions.labels.len()];
        self.walk(partitions, |row, placed| placements[row] = placed);
        placements
    }

    /// The paired difference of each part from a baseline with these placements; see [`delong`].
    pub(super) fn lifts<const P: usize>(&self, partitions: &Partitions<'_, P>, baseline: &[[f64; P]]) -> Vec<Lift> {
        self.areas_and_lifts(partitions, baseline).1
    }

    /// The area of each part and its paired difference from the baseline, in one walk.
    pub(super) fn areas_and_lifts<const P: usize>(&self, partitions: &Partitions<'_, P>, baseline: &[[f64; P]]) -> (Vec<Auc>, Vec<Lift>) {
        let mut differences = vec![Difference::default(); partitions.sizes.len()];
        let areas = self.walk(partitions, |row, placed| {
            for p in 0..P {
                let part = usize::from(partitions.parts_of_row[row][p]);
                differences[part].add(partitions.labels[row], placed[p] - baseline[row][p]);
            }
        });
        (areas.into_iter().map(Area::report).collect(), differences.into_iter().map(Difference::report).collect())
    }

    /// Goes from the lowest score up and fills the areas of all parts; `visit` gets each row with its placements.
    fn walk<const P: usize>(&self, partitions: &Partitions<'_, P>, mut visit: impl FnMut(usize, [f64; P])) -> Vec<Area> {
        let mut areas = vec![Area::default(); partitions.sizes.len()];
        let mut tied = vec![Classes::default(); partitions.sizes.len()];
        for tie in self.0.chunk_by(|a, b| a >> 32 == b >> 32) {
            let rows = || tie.iter().map(|&entry| row(entry));
            for row in rows() {
                partitions.parts_of_row[row].iter().for_each(|&part| tied[usize::from(part)].add(partitions.labels[row]));
            }
            for row in rows() {
                let placement = |part: u8| {
                    let part = usize::from(part);
                    areas[part].below.placement(tied[part], partitions.sizes[part], partitions.labels[row])
                };
                visit(row, partitions.parts_of_row[row].map(placement));
            }
            for part in rows().flat_map(|row| partitions.parts_of_row[row]).map(usize::from) {
                // Taken, so that further rows of the tie add nothing to a part that has it.
                areas[part].add(std::mem::take(&mut tied[part]));
            }
        }
        areas
    }
}

/// The row of a ranking's entry.
fn row(entry: u64) -> usize {
    (entry & u64::from(u32::MAX)) as usize
}

/// Rows of each class, negatives first: a label is an index, as a branch on it would be guessed wrong half of the time.
#[derive(Clone, Copy, Debug, Default)]
struct Classes([u64; 2]);

impl Classes {
    fn add(&mut self, label: bool) {
        self.0[usize::from(label)] += 1;
    }

    fn negatives(self) -> u64 {
        self.0[0]
    }

    fn positives(self) -> u64 {
        self.0[1]
    }

    fn has_both(self) -> bool {
        self.negatives() > 0 && self.positives() > 0
    }

    /// The placement of a row of class `label` among `all`, with these below it and `tied` at its score, itself included.
    fn placement(self, tied: Self, all: Self, label: bool) -> f64 {
        let other = usize::from(!label);
        (2 * self.0[other] + tied.0[other]) as f64 / (2 * all.0[other]) as f64
    }
}

/// An area in the making, fed with ties from the lowest score up. Pairs are counted in halves, so that nothing is rounded.
#[derive(Clone, Copy, Debug, Default)]
struct Area {
    below: Classes,
    half_pairs: u128,
}

impl Area {
    fn add(&mut self, tied: Classes) {
        self.half_pairs += u128::from(tied.positives()) * u128::from(2 * self.below.negatives() + tied.negatives());
        self.below.0[0] += tied.negatives();
        self.below.0[1] += tied.positives();
    }

    /// NaN (0 / 0) where one class is missing.
    fn value(self) -> f64 {
        self.half_pairs as f64 / (2.0 * self.below.positives() as f64 * self.below.negatives() as f64)
    }

    /// A variance that rounding took below 0 is 0; NaN stays NaN.
    fn report(self) -> Auc {
        let (a, m, n) = (self.value(), self.below.positives() as f64, self.below.negatives() as f64);
        let (q1, q2) = (a / (2.0 - a), 2.0 * a * a / (1.0 + a));
        let variance = (a * (1.0 - a) + (m - 1.0) * (q1 - a * a) + (n - 1.0) * (q2 - a * a)) / (m * n);
        let (positives, negatives) = (self.below.positives(), self.below.negatives());
        Auc { value: a, standard_error: variance.clamp(0.0, 1.0).sqrt(), positives, negatives }
    }
}

/// A paired difference in the making: the differences of placements by class, negatives first.
#[derive(Clone, Copy, Debug, Default)]
struct Difference([Moments; 2]);

impl Difference {
    fn add(&mut self, label: bool, difference: f64) {
        self.0[usize::from(label)].add(difference);
    }

    fn report(self) -> Lift {
        let [negatives, positives] = self.0;
        if negatives.number == 0.0 || positives.number == 0.0 {
            return Lift { value: f64::NAN, standard_error: f64::NAN };
        }
        let variance = positives.variance_of_mean() + negatives.variance_of_mean();
        Lift { value: positives.sum / positives.number, standard_error: variance.sqrt() }
    }
}

/// Sums for a mean and its variance. Differences of placements are as large as their spread or smaller, so squares
/// may be summed without a shift.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    number: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.number += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    /// NaN (0 / 0) for a single value. What rounding takes below 0 is 0.
    fn variance_of_mean(self) -> f64 {
        let around_mean = (self.squares - self.sum * self.sum / self.number).max(0.0);
        around_mean / (self.number - 1.0) / self.number
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive::{self, quadratic};
    use super::*;
    use crate::counter::{Counter, Stream};

    /// Scores on a grid of `steps` values, so that there are ties, positives `shift` higher in the mean.
    fn draw(seed: u64, n: usize, shift: f64, steps: f64) -> (Vec<f32>, Vec<bool>) {
        let noise = Counter::new(seed, Stream::Choices);
        (0..n)
            .map(|i| {
                let positive = noise.lane(2).uniform(i as u64) < 0.4;
                let score = noise.normal(i as u64) + if positive { shift } else { 0.0 };
                (((score * steps).round() / steps) as f32, positive)
            })
            .unzip()
    }

    #[test]
    fn equals_the_quadratic_count_with_ties() {
        for (seed, steps) in [(1, 1.0), (2, 4.0), (3, 1e6), (4, 0.2)] {
            let (scores, labels) = draw(seed, 701, 0.7, steps);
            let area = auc(&scores, &labels);
            assert!((area.value - quadratic(&scores, &labels)).abs() < 1e-14, "{steps}");
            assert_eq!(area.positives, labels.iter().filter(|l| **l).count() as u64);
            assert_eq!(area.positives + area.negatives, 701);
        }
        assert_eq!(auc(&[0.1, 0.2, 0.3, 0.4], &[false, false, true, true]).value, 1.0);
        assert_eq!(auc(&[0.1, 0.2, 0.3, 0.4], &[true, true, false, false]).value, 0.0);
        assert_eq!(auc(&[-0.0, 0.0], &[true, false]).value, 0.5);
        assert_eq!(auc(&[-2.0, -1.0, f32::NEG_INFINITY, f32::INFINITY], &[true, false, false, true]).value, 0.75);
    }

    #[test]
    fn a_missing_class_is_nan_and_a_nan_score_is_a_score() {
        for labels in [[true; 3], [false; 3]] {
            let area = auc(&[0.1, 0.5, 0.9], &labels);
            assert!(area.value.is_nan() && area.standard_error.is_nan());
            assert!(gauc(&[0.1, 0.5, 0.9], &labels, &[1, 1, 2]).is_nan());
            let lift = delong(&[0.1, 0.5, 0.9], &[0.2, 0.4, 0.9], &labels);
            assert!(lift.value.is_nan() && lift.standard_error.is_nan());
        }
        assert_eq!(auc(&[f32::NAN; 4], &[true, false, true, false]).value, 0.5);
        assert_eq!(auc(&[f32::NAN, f32::INFINITY], &[true, false]).value, 1.0);
        assert_eq!(auc(&[-f32::NAN, f32::NEG_INFINITY], &[true, false]).value, 0.0);
    }

    #[test]
    fn gauc_weighs_users_by_rows_and_skips_those_of_one_class() {
        let (scores, labels) = draw(5, 900, 0.5, 3.0);
        let users: Vec<u32> = (0..900).map(|i| (i % 37) * (i % 3) % 41).collect();
        let (mut sum, mut weight) = (0.0, 0.0);
        for user in 0..41 {
            let mine: Vec<usize> = (0..900).filter(|&i| users[i] == user).collect();
            let s: Vec<f32> = mine.iter().map(|&i| scores[i]).collect();
            let l: Vec<bool> = mine.iter().map(|&i| labels[i]).collect();
            if l.contains(&true) && l.contains(&false) {
                sum += quadratic(&s, &l) * mine.len() as f64;
                weight += mine.len() as f64;
            }
        }
        assert!((gauc(&scores, &labels, &users) - sum / weight).abs() < 1e-13);
        assert_eq!(gauc(&[0.1, 0.2, 0.9], &[false, true, true], &[1, 1, 2]), 1.0);
    }

    #[test]
    fn delong_equals_the_count_over_all_pairs() {
        for (seed, steps) in [(1, 2.0), (2, 1e6), (3, 0.7)] {
            let (a, labels) = draw(seed, 500, 0.6, steps);
            let noise = Counter::new(seed, Stream::Ties);
            let b: Vec<f32> =
                a.iter().enumerate().map(|(i, s)| s + (noise.normal(i as u64) * steps / 4.0).round() as f32 / steps as f32).collect();
            let (fast, naive) = (delong(&a, &b, &labels), naive::delong(&a, &b, &labels));
            assert!((fast.value - naive.value).abs() < 1e-13, "{fast:?} {naive:?}");
            assert!((fast.standard_error - naive.standard_error).abs() < 1e-13, "{fast:?} {naive:?}");
            assert!((fast.value - (auc(&b, &labels).value - auc(&a, &labels).value)).abs() < 1e-13);
            let same = delong(&a, &a, &labels);
            assert_eq!((same.value, same.standard_error), (0.0, 0.0));
        }
        assert!(delong(&[0.1, 0.2], &[0.2, 0.1], &[true, false]).standard_error.is_nan());
    }

    /// The standard deviation of a statistic over bootstrap samples, drawn within each class.
    fn bootstrap(labels: &[bool], statistic: impl Fn(&[usize]) -> f64) -> f64 {
        let rounds = 600;
        let of = |class: bool| (0..labels.len()).filter(|&i| labels[i] == class).collect::<Vec<_>>();
        let (positives, negatives) = (of(true), of(false));
        let values: Vec<f64> = (0..rounds)
            .map(|round| {
                let pick = Counter::new(round, Stream::Sample);
                let again = |rows: &[usize], lane| -> Vec<usize> {
                    (0..rows.len()).map(|i| rows[pick.lane(lane).below(i as u64, rows.len() as u64) as usize]).collect()
                };
                statistic(&[again(&positives, 0), again(&negatives, 1)].concat())
            })
            .collect();
        let mean = values.iter().sum::<f64>() / rounds as f64;
        (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (rounds - 1) as f64).sqrt()
    }

    #[test]
    fn standard_errors_agree_with_the_bootstrap() {
        let (a, labels) = draw(8, 1_200, 1.2, 1e6);
        let noise = Counter::new(8, Stream::Ties);
        let b: Vec<f32> = a.iter().enumerate().map(|(i, s)| s + 0.5 * noise.normal(i as u64) as f32).collect();
        let take = |of: &[f32], rows: &[usize]| rows.iter().map(|&i| of[i]).collect::<Vec<f32>>();
        let classes = |rows: &[usize]| rows.iter().map(|&i| labels[i]).collect::<Vec<bool>>();

        let single = bootstrap(&labels, |rows| auc(&take(&a, rows), &classes(rows)).value);
        let hanley = auc(&a, &labels).standard_error;
        assert!((hanley / single - 1.0).abs() < 0.15, "Hanley-McNeil {hanley} bootstrap {single}");

        let paired = bootstrap(&labels, |rows| delong(&take(&a, rows), &take(&b, rows), &classes(rows)).value);
        let lift = delong(&a, &b, &labels).standard_error;
        assert!((lift / paired - 1.0).abs() < 0.12, "DeLong {lift} bootstrap {paired}");
        assert!(lift < hanley, "pairing must pay");
    }
}
