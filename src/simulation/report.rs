//! What a simulation found: the metrics of Table 6 by group, each arm against the first, with intervals by bootstrap
//! over users.

use serde::{Deserialize, Serialize};

use super::visitors::Draw;
use super::{Simulation, SimulationConfig};

/// Resamples of the bootstrap.
const RESAMPLES: u64 = 1_000;
/// What a 95 % interval leaves out on each side.
const TAIL: f64 = 0.025;

/// The metrics of section 5.1, each a user and day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Metric {
    /// User Valid Consumption: items taken.
    Uvc,
    /// User Duration Time: seconds watched.
    Udt,
    /// User Consumption on Category 1: different themes (planted groups of categories) taken from.
    Ucc1,
    /// User Consumption on Category 2: different categories taken from.
    Ucc2,
    /// User Consumption on Tag: different pairs of a theme and a style taken from.
    Uct,
}

pub(super) const METRICS: [Metric; 5] = [Metric::Uvc, Metric::Udt, Metric::Ucc1, Metric::Ucc2, Metric::Uct];

/// Whom a figure is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Low-active users (A22) with at least one row in the training stream.
    Low,
    /// High-active users.
    High,
    /// Users without a row in the training stream (section 4.6).
    New,
}

const GROUPS: [Group; 3] = [Group::Low, Group::High, Group::New];

/// The result of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimulationReport {
    /// The sizes.
    pub config: SimulationConfig,
    /// Low-active, high-active and new users who came, in this order; every list by group below follows it.
    pub groups: Vec<GroupReport>,
    /// The arms, the baseline first.
    pub arms: Vec<ArmReport>,
}

/// Who came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// The group.
    pub group: Group,
    /// Its users with at least one session.
    pub users: u64,
    /// Their sessions.
    pub sessions: u64,
}

/// What an arm reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmReport {
    /// The arm's name.
    pub name: String,
    /// Items that were looked at.
    pub looks: u64,
    /// Training steps in the simulation.
    pub steps: u64,
    /// One entry a group.
    pub groups: Vec<ArmGroup>,
}

/// What an arm reached in a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmGroup {
    /// The group.
    pub group: Group,
    /// One entry a metric, in the order of Table 6.
    pub metrics: Vec<MetricReport>,
}

/// A metric of an arm in a group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricReport {
    /// Which metric.
    pub metric: Metric,
    /// Its mean a day over the group's users who came at least once, days without a session included. 0 where nobody
    /// came.
    pub value: f64,
    /// The change from the first arm. None for the first arm itself, and where its value is 0.
    pub change: Option<Change>,
}

/// A relative change with its 95 % interval: percentiles of 1,000 bootstrap resamples of the group's users, the same
/// users for both arms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Per cent.
    pub percent: f64,
    /// Lower end, per cent.
    pub low: f64,
    /// Upper end, per cent.
    pub high: f64,
}

/// What an arm's users were counted for.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// `[users]`: totals of the whole simulation by metric.
    pub totals: Vec<[f64; METRICS.len()]>,
    pub looks: u64,
    pub steps: u64,
}

impl Outcome {
    pub(super) fn new(users: usize) -> Self {
        Self { totals: vec![[0.0; METRICS.len()]; users], looks: 0, steps: 0 }
    }
}

/// Compares the arms with the first one.
pub(super) fn compare(simulation: &Simulation, arms: Vec<(String, &Outcome)>) -> SimulationReport {
    let config = simulation.config;
    let mut sessions = vec![0u64; simulation.dataset.vocabulary().users as usize];
    (0..config.all_sessions()).for_each(|session| sessions[simulation.visitors.user(session) as usize] += 1);
    let came: Vec<u32> = (0..sessions.len() as u32).filter(|&user| sessions[user as usize] > 0).collect();
    let members = GROUPS.map(|group| came.iter().copied().filter(|&user| simulation.group(user) == group).collect::<Vec<u32>>());
    let groups = GROUPS.iter().zip(&members).map(|(&group, users)| {
        let sessions = users.iter().map(|&user| sessions[user as usize]).sum();
        GroupReport { group, users: users.len() as u64, sessions }
    });
    let mut reports: Vec<ArmReport> =
        arms.iter().map(|(name, o)| ArmReport { name: name.clone(), looks: o.looks, steps: o.steps, groups: Vec::new() }).collect();
    for (group, users) in GROUPS.into_iter().zip(&members) {
        let outcomes: Vec<&Outcome> = arms.iter().map(|(_, outcome)| *outcome).collect();
        let counter = simulation.visitors.lane(Draw::Resample).lane(group as u64);
        let metrics = group_metrics(users, &outcomes, config.days, |index, n| counter.below(index, n));
        reports.iter_mut().zip(metrics).for_each(|(report, metrics)| report.groups.push(ArmGroup { group, metrics }));
    }
    SimulationReport { config, groups: groups.collect(), arms: reports }
}

/// The metrics of every arm over some users. `draw(index, n)` is a number below `n`.
fn group_metrics(users: &[u32], arms: &[&Outcome], days: u32, draw: impl Fn(u64, u64) -> u64) -> Vec<Vec<MetricReport>> {
    let whole = sums(arms, users.iter().copied());
    let resamples: Vec<Vec<Sums>> = (0..if users.is_empty() { 0 } else { RESAMPLES })
        .map(|resample| {
            let n = users.len() as u64;
            sums(arms, (0..n).map(|place| users[draw(resample * n + place, n) as usize]))
        })
        .collect();
    let user_days = (users.len().max(1) as f64) * f64::from(days);
    let report = |arm: usize, metric: Metric| {
        let at = metric as usize;
        let percent = |sums: &[Sums]| (sums[0][at] > 0.0).then(|| 100.0 * (sums[arm][at] / sums[0][at] - 1.0));
        let drawn = || resamples.iter().filter_map(|sums| percent(sums)).collect();
        let change = percent(&whole).filter(|_| arm > 0).and_then(|value| interval(value, drawn()));
        MetricReport { metric, value: whole[arm][at] / user_days, change }
    };
    (0..arms.len()).map(|arm| METRICS.map(|metric| report(arm, metric)).to_vec()).collect()
}

/// An arm's totals over some users, by metric.
type Sums = [f64; METRICS.len()];

/// `[arms]`. A user who is drawn twice counts twice.
fn sums(arms: &[&Outcome], users: impl Iterator<Item = u32>) -> Vec<Sums> {
    let mut sums = vec![[0.0; METRICS.len()]; arms.len()];
    for user in users {
        for (sum, arm) in sums.iter_mut().zip(arms) {
            sum.iter_mut().zip(arm.totals[user as usize]).for_each(|(sum, total)| *sum += total);
        }
    }
    sums
}

/// The percentile interval. None where no resample has anything to compare with.
fn interval(percent: f64, mut drawn: Vec<f64>) -> Option<Change> {
    drawn.sort_unstable_by(f64::total_cmp);
    let last = drawn.len().checked_sub(1)?;
    let at = |quantile: f64| drawn[(quantile * last as f64).round() as usize];
    Some(Change { percent, low: at(TAIL), high: at(1.0 - TAIL) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Counter, Stream};

    fn outcome(users: usize, total: impl Fn(u64) -> f64) -> Outcome {
        Outcome { totals: (0..users as u64).map(|user| [total(user); METRICS.len()]).collect(), ..Outcome::new(0) }
    }

    fn compared(users: &[u32], arms: &[&Outcome]) -> Vec<Vec<MetricReport>> {
        let counter = Counter::new(3, Stream::Simulation);
        group_metrics(users, arms, 4, |index, n| counter.below(index, n))
    }

    #[test]
    fn an_arm_with_a_tenth_more_of_every_user_is_ten_per_cent_better_beyond_doubt() {
        let base = outcome(50, |user| 1.0 + user as f64);
        let more = outcome(50, |user| 1.1 * (1.0 + user as f64));
        let users: Vec<u32> = (10..50).collect();
        let arms = compared(&users, &[&base, &more]);
        assert!((arms[0][0].value - (11..=50).sum::<u32>() as f64 / 40.0 / 4.0).abs() < 1e-9);
        let change = arms[1][0].change.unwrap();
        [change.percent, change.low, change.high].iter().for_each(|percent| assert!((percent - 10.0).abs() < 1e-9, "{change:?}"));
    }

    /// The bootstrap against the delta method: the variance of a ratio of two means over the same users.
    #[test]
    fn the_interval_is_as_wide_as_the_delta_method_says() {
        let noise = Counter::new(8, Stream::Choices);
        let base = outcome(400, |user| 2.0 + noise.lane(1).normal(user).abs());
        let other = outcome(400, |user| 2.2 + noise.lane(2).normal(user).abs());
        let users: Vec<u32> = (0..400).collect();
        let change = compared(&users, &[&base, &other])[1][0].change.unwrap();
        let (x, y) = (base.totals.iter().map(|t| t[0]), other.totals.iter().map(|t| t[0]));
        let (mean_x, mean_y) = (x.clone().sum::<f64>() / 400.0, y.clone().sum::<f64>() / 400.0);
        let ratio = mean_y / mean_x;
        let variance = x.zip(y).map(|(x, y)| (y - ratio * x).powi(2)).sum::<f64>() / 400.0 / 400.0 / (mean_x * mean_x);
        let width = 2.0 * 1.96 * 100.0 * variance.sqrt();
        assert!((change.percent - 100.0 * (ratio - 1.0)).abs() < 1e-9);
        assert!(((change.high - change.low) / width - 1.0).abs() < 0.15, "{change:?}, {width} by the delta method");
    }

    #[test]
    fn nothing_is_compared_with_nothing() {
        let (none, some) = (outcome(5, |_| 0.0), outcome(5, |_| 1.0));
        assert_eq!(compared(&[0, 1], &[&none, &some])[1][0].change, None);
        let empty = compared(&[], &[&some, &some]);
        assert_eq!((empty[1][0].value, empty[1][0].change), (0.0, None));
    }
}
