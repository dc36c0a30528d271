//! The area under the ROC curve: exact, by group, paired, and with its uncertainty.
//!
//! The area is the probability that a positive outranks a negative, a tie counting one half. One sort of the scores
//! serves every subset of the rows.

use crate::message::{Auc, Lift};

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
    Ranking::new(scores).auc(labels, |_| true)
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
            let positives = tie.iter().filter(|row| row.1).count() as u64;
            area.add(positives, tie.len() as u64 - positives);
        }
        if area.positives > 0 && area.negatives > 0 {
            sum += area.value() * of_user.len() as f64;
            weight += of_user.len() as f64;
        }
    }
    sum / weight
}

/// The area of `b` minus the area of `a` on the same rows, with the standard error of DeLong, DeLong and Clarke-Pearson
/// (1988) for correlated areas.
///
/// A positive's placement is the share of negatives below it, a negative's the share of positives above it (ties one
/// half); the variance of the difference is the variance of the placements' differences over positives divided by their
/// number, plus the same over negatives. Placements come from one sort a model, as in Sun and Xu (2014), instead of from
/// all pairs. The value is NaN where one class is missing, the error also where a class has a single row.
///
/// # Panics
/// Where scores and labels differ in number.
pub fn delong(a: &[f32], b: &[f32], labels: &[bool]) -> Lift {
    assert_eq!(a.len(), labels.len(), "one label a score of the baseline");
    assert_eq!(b.len(), labels.len(), "one label a score");
    Ranking::new(b).lift(&Ranking::new(a), labels, |_| true)
}

/// A score as an integer of the same order: [`f32::total_cmp`], but -0 equals 0.
fn key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
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

    /// The rows that share a score, from the lowest score up.
    fn ties(&self) -> impl Iterator<Item = &[u64]> {
        self.0.chunk_by(|a, b| a >> 32 == b >> 32)
    }

    /// Positives and negatives among the kept rows of a tie.
    fn count(tie: &[u64], labels: &[bool], keep: impl Fn(usize) -> bool) -> (u64, u64) {
        tie.iter()
            .map(|&entry| row(entry))
            .filter(|&row| keep(row))
            .fold((0, 0), |(positives, negatives), row| if labels[row] { (positives + 1, negatives) } else { (positives, negatives + 1) })
    }

    fn area(&self, labels: &[bool], keep: impl Fn(usize) -> bool + Copy) -> Area {
        let mut area = Area::default();
        for tie in self.ties() {
            let (positives, negatives) = Self::count(tie, labels, keep);
            area.add(positives, negatives);
        }
        area
    }

    /// The area over the kept rows.
    pub(super) fn auc(&self, labels: &[bool], keep: impl Fn(usize) -> bool + Copy) -> Auc {
        self.area(labels, keep).report()
    }

    /// The paired difference from a baseline over the kept rows; see [`delong`].
    pub(super) fn lift(&self, baseline: &Self, labels: &[bool], keep: impl Fn(usize) -> bool + Copy) -> Lift {
        let mut difference = vec![0.0; labels.len()];
        let area = self.add_placements(1.0, labels, keep, &mut difference);
        baseline.add_placements(-1.0, labels, keep, &mut difference);
        let of_class = |class: bool, number: u64| {
            let values = || (0..labels.len()).filter(|&row| labels[row] == class && keep(row)).map(|row| difference[row]);
            let number = number as f64;
            let mean = values().sum::<f64>() / number;
            let variance = values().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (number - 1.0);
            (mean, variance / number)
        };
        let (_, from_negatives) = of_class(false, area.negatives);
        let (value, from_positives) = of_class(true, area.positives);
        let missing = area.positives == 0 || area.negatives == 0;
        Lift {
            value: if missing { f64::NAN } else { value },
            standard_error: if missing { f64::NAN } else { (from_positives + from_negatives).sqrt() },
        }
    }

    /// Adds `sign` times the placement of each kept row.
    fn add_placements(&self, sign: f64, labels: &[bool], keep: impl Fn(usize) -> bool + Copy, into: &mut [f64]) -> Area {
        let total = self.area(labels, keep);
        let mut below = Area::default();
        for tie in self.ties() {
            let (positives, negatives) = Self::count(tie, labels, keep);
            let of_positive = (below.negatives as f64 + negatives as f64 / 2.0) / total.negatives as f64;
            let of_negative = (total.positives as f64 - below.positives as f64 - positives as f64 / 2.0) / total.positives as f64;
            for row in tie.iter().map(|&entry| row(entry)).filter(|&row| keep(row)) {
                into[row] += sign * if labels[row] { of_positive } else { of_negative };
            }
            below.add(positives, negatives);
        }
        total
    }
}

/// The row of a ranking's entry.
fn row(entry: u64) -> usize {
    (entry & u64::from(u32::MAX)) as usize
}

/// An area in the making, fed with ties from the lowest score up. Pairs are counted in halves, so that nothing is rounded.
#[derive(Clone, Copy, Debug, Default)]
struct Area {
    positives: u64,
    negatives: u64,
    half_pairs: u128,
}

impl Area {
    fn add(&mut self, positives: u64, negatives: u64) {
        self.half_pairs += u128::from(positives) * u128::from(2 * self.negatives + negatives);
        self.positives += positives;
        self.negatives += negatives;
    }

    /// NaN (0 / 0) where one class is missing.
    fn value(self) -> f64 {
        self.half_pairs as f64 / (2.0 * self.positives as f64 * self.negatives as f64)
    }

    /// A variance that rounding took below 0 is 0; NaN stays NaN.
    fn report(self) -> Auc {
        let (a, m, n) = (self.value(), self.positives as f64, self.negatives as f64);
        let (q1, q2) = (a / (2.0 - a), 2.0 * a * a / (1.0 + a));
        let variance = (a * (1.0 - a) + (m - 1.0) * (q1 - a * a) + (n - 1.0) * (q2 - a * a)) / (m * n);
        Auc { value: a, standard_error: variance.clamp(0.0, 1.0).sqrt(), positives: self.positives, negatives: self.negatives }
    }
}

#[cfg(test)]
mod tests {
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

    /// 1 where the positive is above, 1/2 in a tie.
    fn above(positive: f32, negative: f32) -> f64 {
        if positive > negative {
            1.0
        } else if positive == negative {
            0.5
        } else {
            0.0
        }
    }

    fn split(scores: &[f32], labels: &[bool]) -> (Vec<f32>, Vec<f32>) {
        let of = |class| scores.iter().zip(labels).filter(|(_, l)| **l == class).map(|(s, _)| *s).collect();
        (of(true), of(false))
    }

    fn quadratic(scores: &[f32], labels: &[bool]) -> f64 {
        let (positives, negatives) = split(scores, labels);
        let pairs: f64 = positives.iter().map(|&p| negatives.iter().map(|&n| above(p, n)).sum::<f64>()).sum();
        pairs / (positives.len() * negatives.len()) as f64
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

    /// DeLong's variance from all pairs, as the paper of 1988 writes it.
    fn naive_delong(a: &[f32], b: &[f32], labels: &[bool]) -> Lift {
        let ((pa, na), (pb, nb)) = (split(a, labels), split(b, labels));
        let (m, n) = (pa.len(), na.len());
        let of_positive: Vec<f64> =
            (0..m).map(|i| (0..n).map(|j| above(pb[i], nb[j]) - above(pa[i], na[j])).sum::<f64>() / n as f64).collect();
        let of_negative: Vec<f64> =
            (0..n).map(|j| (0..m).map(|i| above(pb[i], nb[j]) - above(pa[i], na[j])).sum::<f64>() / m as f64).collect();
        let value = of_positive.iter().sum::<f64>() / m as f64;
        let variance = |v: &[f64]| v.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (v.len() - 1) as f64;
        Lift { value, standard_error: (variance(&of_positive) / m as f64 + variance(&of_negative) / n as f64).sqrt() }
    }

    #[test]
    fn delong_equals_the_count_over_all_pairs() {
        for (seed, steps) in [(1, 2.0), (2, 1e6), (3, 0.7)] {
            let (a, labels) = draw(seed, 500, 0.6, steps);
            let noise = Counter::new(seed, Stream::Ties);
            let b: Vec<f32> =
                a.iter().enumerate().map(|(i, s)| s + (noise.normal(i as u64) * steps / 4.0).round() as f32 / steps as f32).collect();
            let (fast, naive) = (delong(&a, &b, &labels), naive_delong(&a, &b, &labels));
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
