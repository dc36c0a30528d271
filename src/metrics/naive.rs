//! The measures from all pairs of a positive and a negative, as their definitions read: what the fast ones are tested with.

use std::collections::BTreeMap;

use super::Lift;

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

/// The area from all pairs.
pub(super) fn quadratic(scores: &[f32], labels: &[bool]) -> f64 {
    let (positives, negatives) = split(scores, labels);
    let pairs: f64 = positives.iter().map(|&p| negatives.iter().map(|&n| above(p, n)).sum::<f64>()).sum();
    pairs / (positives.len() * negatives.len()) as f64
}

/// DeLong's variance from all pairs, as the paper of 1988 writes it.
pub(super) fn delong(a: &[f32], b: &[f32], labels: &[bool]) -> Lift {
    let ((pa, na), (pb, nb)) = (split(a, labels), split(b, labels));
    let (m, n) = (pa.len(), na.len());
    let of_positive: Vec<f64> = (0..m).map(|i| (0..n).map(|j| above(pb[i], nb[j]) - above(pa[i], na[j])).sum::<f64>() / n as f64).collect();
    let of_negative: Vec<f64> = (0..n).map(|j| (0..m).map(|i| above(pb[i], nb[j]) - above(pa[i], na[j])).sum::<f64>() / m as f64).collect();
    let value = of_positive.iter().sum::<f64>() / m as f64;
    let variance = |v: &[f64]| v.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (v.len() - 1) as f64;
    Lift { value, standard_error: (variance(&of_positive) / m as f64 + variance(&of_negative) / n as f64).sqrt() }
}

/// The influence of each row on the difference of `b` and `a` from all pairs, and the difference.
fn influence(a: &[f32], b: &[f32], labels: &[bool]) -> (Vec<f64>, f64) {
    let of = |class: bool| (0..labels.len()).filter(|&row| labels[row] == class).collect::<Vec<usize>>();
    let (positives, negatives) = (of(true), of(false));
    let pair = |p: usize, n: usize| above(b[p], b[n]) - above(a[p], a[n]);
    let pairs = (positives.len() * negatives.len()) as f64;
    let value = positives.iter().map(|&p| negatives.iter().map(|&n| pair(p, n)).sum::<f64>()).sum::<f64>() / pairs;
    let of_row = |row: usize| {
        let (others, own) = if labels[row] { (&negatives, &positives) } else { (&positives, &negatives) };
        let sum: f64 = others.iter().map(|&other| if labels[row] { pair(row, other) } else { pair(other, row) }).sum();
        (sum / others.len() as f64 - value) / own.len() as f64
    };
    ((0..labels.len()).map(of_row).collect(), value)
}

/// The paired difference with its variance clustered by user, as its definition reads.
pub(super) fn clustered(a: &[f32], b: &[f32], labels: &[bool], users: &[u32]) -> Lift {
    let (influence, value) = influence(a, b, labels);
    let mut of_user = BTreeMap::new();
    users.iter().zip(influence).for_each(|(user, of_row)| *of_user.entry(user).or_insert(0.0) += of_row);
    let number = of_user.len() as f64;
    let squares: f64 = of_user.values().map(|sum| sum * sum).sum();
    Lift { value, standard_error: (number / (number - 1.0) * squares).sqrt() }
}

/// The clustered error of one area: its difference from scores that are all the same, which have no influence.
pub(super) fn clustered_area(scores: &[f32], labels: &[bool], users: &[u32]) -> f64 {
    clustered(&vec![0.0; scores.len()], scores, labels, users).standard_error
}
