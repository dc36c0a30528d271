use super::super::naive::{self, quadratic};
use super::*;
use crate::counter::{Counter, Stream};

/// The area where each row is a user of its own.
fn area(scores: &[f32], labels: &[bool]) -> Auc {
    auc(scores, labels, &each(labels))
}

fn each(labels: &[bool]) -> Vec<u32> {
    (0..labels.len() as u32).collect()
}

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
        let area = area(&scores, &labels);
        assert!((area.value - quadratic(&scores, &labels)).abs() < 1e-14, "{steps}");
        assert_eq!(area.positives, labels.iter().filter(|l| **l).count() as u64);
        assert_eq!(area.positives + area.negatives, 701);
    }
    assert_eq!(area(&[0.1, 0.2, 0.3, 0.4], &[false, false, true, true]).value, 1.0);
    assert_eq!(area(&[0.1, 0.2, 0.3, 0.4], &[true, true, false, false]).value, 0.0);
    assert_eq!(area(&[-0.0, 0.0], &[true, false]).value, 0.5);
    assert_eq!(area(&[-2.0, -1.0, f32::NEG_INFINITY, f32::INFINITY], &[true, false, false, true]).value, 0.75);
}

#[test]
fn a_missing_class_is_nan_and_a_nan_score_is_a_score() {
    for labels in [[true; 3], [false; 3]] {
        let area = area(&[0.1, 0.5, 0.9], &labels);
        assert!(area.value.is_nan() && area.standard_error.is_nan());
        let gauc = gauc(&[0.1, 0.5, 0.9], &labels, &[1, 1, 2]);
        assert!(gauc.value.is_nan() && gauc.standard_error.is_nan() && gauc.users == 0);
        let clustered = super::lift(&[0.1, 0.5, 0.9], &[0.2, 0.4, 0.9], &labels, &[1, 1, 2]);
        assert!(clustered.value.is_nan() && clustered.standard_error.is_nan());
        let lift = delong(&[0.1, 0.5, 0.9], &[0.2, 0.4, 0.9], &labels);
        assert!(lift.value.is_nan() && lift.standard_error.is_nan());
    }
    assert_eq!(area(&[f32::NAN; 4], &[true, false, true, false]).value, 0.5);
    assert_eq!(area(&[f32::NAN, f32::INFINITY], &[true, false]).value, 1.0);
    assert_eq!(area(&[-f32::NAN, f32::NEG_INFINITY], &[true, false]).value, 0.0);
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
    assert!((gauc(&scores, &labels, &users).value - sum / weight).abs() < 1e-13);
    let one = gauc(&[0.1, 0.2, 0.9], &[false, true, true], &[1, 1, 2]);
    assert_eq!((one.value, one.users), (1.0, 1));
    assert!(one.standard_error.is_nan(), "one user tells nothing of others");
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
        assert!((fast.value - (area(&b, &labels).value - area(&a, &labels).value)).abs() < 1e-13);
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

    let single = bootstrap(&labels, |rows| area(&take(&a, rows), &classes(rows)).value);
    let one = area(&a, &labels).standard_error;
    assert!((one / single - 1.0).abs() < 0.15, "an area {one} bootstrap {single}");

    let paired = bootstrap(&labels, |rows| delong(&take(&a, rows), &take(&b, rows), &classes(rows)).value);
    let delong = delong(&a, &b, &labels).standard_error;
    assert!((delong / paired - 1.0).abs() < 0.12, "DeLong {delong} bootstrap {paired}");
    assert!(delong < one, "pairing must pay");
    // Where each row is a user of its own both are DeLong's, but for the degrees of freedom.
    let clustered = lift(&a, &b, &labels, &each(&labels)).standard_error;
    assert!((clustered / delong - 1.0).abs() < 0.002, "{clustered} {delong}");
}

#[test]
fn clustered_errors_are_the_sums_of_influence_by_user() {
    for (seed, steps) in [(1, 2.0), (2, 1e6), (3, 0.7)] {
        let (a, labels) = draw(seed, 500, 0.6, steps);
        let noise = Counter::new(seed, Stream::Ties);
        let b: Vec<f32> =
            a.iter().enumerate().map(|(i, s)| s + (noise.normal(i as u64) * steps / 4.0).round() as f32 / steps as f32).collect();
        // Ids with gaps; some users have rows of one class only.
        let users: Vec<u32> = (0..500).map(|i| 1_000 * noise.lane(9).below(i, 60) as u32).collect();
        let (own, naive) = (auc(&b, &labels, &users), naive::clustered_area(&b, &labels, &users));
        assert!((own.standard_error - naive).abs() < 1e-13, "{own:?} {naive}");
        let (own, naive) = (lift(&a, &b, &labels, &users), naive::clustered(&a, &b, &labels, &users));
        assert!((own.value - naive.value).abs() < 1e-13, "{own:?} {naive:?}");
        assert!((own.standard_error - naive.standard_error).abs() < 1e-13, "{own:?} {naive:?}");
    }
    assert!(lift(&[0.1, 0.2], &[0.2, 0.1], &[true, false], &[4, 4]).standard_error.is_nan());
}

#[test]
fn a_model_against_itself_gains_exactly_nothing() {
    let (a, labels) = draw(4, 800, 0.6, 3.0);
    let users: Vec<u32> = (0..800).map(|i| i / 7).collect();
    let same = lift(&a, &a, &labels, &users);
    assert_eq!((same.value, same.standard_error), (0.0, 0.0));
    let same = gauc_lift(&a, &a, &labels, &users);
    assert_eq!((same.value, same.standard_error), (0.0, 0.0));
}

#[test]
fn a_ceiling_wins_all_of_its_headroom_and_the_baseline_none() {
    let (a, labels) = draw(4, 800, 0.6, 1e6);
    let (ceiling, _) = draw(4, 800, 1.2, 1e6);
    let users: Vec<u32> = (0..800).map(|i| i / 7).collect();
    let share = |b: &[f32]| headroom_share(&a, b, &ceiling, &labels, &users);
    let (all, none) = (share(&ceiling), share(&a));
    assert_eq!((all.value, none.value, none.standard_error), (1.0, 0.0, 0.0));
    assert!(all.standard_error < 1e-12, "{all:?}");
    let middle: Vec<f32> = a.iter().zip(&ceiling).map(|(a, b)| a + b).collect();
    let (some, won, there) = (share(&middle), lift(&a, &middle, &labels, &users), lift(&a, &ceiling, &labels, &users));
    assert!((some.value - won.value / there.value).abs() < 1e-12 && some.standard_error > 0.0);
    let nothing = headroom_share(&ceiling, &a, &a, &labels, &users);
    assert!(nothing.value.is_nan() && nothing.standard_error.is_nan(), "no headroom: {nothing:?}");
}

/// Test rows of users who differ, and two models' scores of them. A positive scores `shift + x + noise`, a negative
/// `y + noise`, with an `x` and a `y` for each user and model.
struct Population {
    users: Vec<u32>,
    labels: Vec<bool>,
    models: [Vec<f32>; 2],
}

/// By how much positives are above negatives, and how much users differ, in each model.
const SHIFTS: [f64; 2] = [0.8, 1.1];
const SPREADS: [f64; 2] = [0.6, 0.9];

impl Population {
    /// So many users with 1 to 24 positives, each with a negative.
    fn draw(seed: u64, users: u32) -> Self {
        let lane = |lane| Counter::new(seed, Stream::Choices).lane(lane);
        let mut own = Self { users: Vec::new(), labels: Vec::new(), models: [Vec::new(), Vec::new()] };
        for user in 0..users {
            for _ in 0..=lane(0).below(user.into(), 24) {
                for label in [true, false] {
                    let row = own.users.len() as u64;
                    for (m, scores) in own.models.iter_mut().enumerate() {
                        let taste = lane(1 + 2 * m as u64 + u64::from(label)).normal(user.into());
                        let shift = if label { SHIFTS[m] } else { 0.0 };
                        // Most of the noise is common to both models: they are trained on the same rows.
                        let noise = 0.8 * lane(9).normal(row) + 0.6 * lane(10 + m as u64).normal(row);
                        scores.push((shift + SPREADS[m] * taste + noise) as f32);
                    }
                    own.users.push(user);
                    own.labels.push(label);
                }
            }
        }
        own
    }

    /// The area of a model over all users that there could be: both scores have the variance `1 + spread^2`.
    fn true_area(model: usize) -> f64 {
        let z = SHIFTS[model] / (2.0 * (1.0 + SPREADS[model] * SPREADS[model])).sqrt();
        0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
    }

    /// The rows of users drawn with replacement; a user drawn twice counts as two.
    fn resample(&self, seed: u64) -> Self {
        let starts: Vec<usize> = (0..self.users.len()).filter(|&i| i == 0 || self.users[i] != self.users[i - 1]).collect();
        let pick = Counter::new(seed, Stream::Sample);
        let mut own = Self { users: Vec::new(), labels: Vec::new(), models: [Vec::new(), Vec::new()] };
        for user in 0..starts.len() {
            let from = pick.below(user as u64, starts.len() as u64) as usize;
            for row in starts[from]..starts.get(from + 1).copied().unwrap_or(self.users.len()) {
                own.users.push(user as u32);
                own.labels.push(self.labels[row]);
                own.models.iter_mut().zip(&self.models).for_each(|(own, scores)| own.push(scores[row]));
            }
        }
        own
    }

    fn lift(&self) -> Lift {
        lift(&self.models[0], &self.models[1], &self.labels, &self.users)
    }

    fn auc(&self) -> Auc {
        auc(&self.models[1], &self.labels, &self.users)
    }

    /// Of the second model, under a ceiling that is told a part of the labels.
    fn share(&self) -> Lift {
        let [a, b] = &self.models;
        let told = |(score, &label): (&f32, &bool)| score + f32::from(u8::from(label));
        let ceiling: Vec<f32> = b.iter().zip(&self.labels).map(told).collect();
        headroom_share(a, b, &ceiling, &self.labels, &self.users)
    }

    fn gauc(&self) -> Gauc {
        gauc(&self.models[1], &self.labels, &self.users)
    }

    fn gauc_lift(&self) -> Lift {
        gauc_lift(&self.models[0], &self.models[1], &self.labels, &self.users)
    }
}

#[test]
fn clustered_errors_agree_with_a_bootstrap_over_users() {
    let population = Population::draw(11, 400);
    let draws: Vec<Population> = (0..200).map(|draw| population.resample(draw)).collect();
    let check = |name: &str, own: f64, of: &dyn Fn(&Population) -> f64| {
        let values: Vec<f64> = draws.iter().map(of).collect();
        let mean = values.iter().sum::<f64>() / 200.0;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 199.0).sqrt();
        eprintln!("{name}: {own:.5}, bootstrap {deviation:.5}");
        assert!((own / deviation - 1.0).abs() < 0.15, "{name} {own} bootstrap {deviation}");
    };
    check("area", population.auc().standard_error, &|draw| draw.auc().value);
    check("difference", population.lift().standard_error, &|draw| draw.lift().value);
    check("GAUC", population.gauc().standard_error, &|draw| draw.gauc().value);
    check("difference of GAUC", population.gauc_lift().standard_error, &|draw| draw.gauc_lift().value);
    check("share of the headroom", population.share().standard_error, &|draw| draw.share().value);
    // What clustering is for: rows held for independent say half of it.
    let delong = delong(&population.models[0], &population.models[1], &population.labels).standard_error;
    assert!(population.lift().standard_error > 1.3 * delong, "{} {delong}", population.lift().standard_error);
}

#[test]
fn the_95_percent_intervals_hold_the_truth_in_95_percent_of_the_draws() {
    let [first, second] = [0, 1].map(Population::true_area);
    let mut held = [0; 4];
    // A large population stands for the truth of GAUC, which has no closed form.
    let large = Population::draw(1_000, 30_000).gauc().value;
    for seed in 0..200 {
        let draw = Population::draw(seed, 120);
        let delong = delong(&draw.models[0], &draw.models[1], &draw.labels);
        let (auc, lift, gauc) = (draw.auc(), draw.lift(), draw.gauc());
        let holds = |value: f64, error: f64, truth: f64| usize::from((value - truth).abs() <= 1.96 * error);
        held[0] += holds(auc.value, auc.standard_error, second);
        held[1] += holds(lift.value, lift.standard_error, second - first);
        held[2] += holds(gauc.value, gauc.standard_error, large);
        held[3] += holds(delong.value, delong.standard_error, second - first);
    }
    eprintln!("area, difference, GAUC and, not clustered, difference: {held:?} of 200");
    assert!(held[..3].iter().all(|held| (184..=196).contains(held)), "{held:?}");
    assert!(held[3] < 175, "rows held for independent hold it too rarely: {held:?}");
}
