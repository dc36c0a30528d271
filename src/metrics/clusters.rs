//! The health of the clusters of users or of items over test positives, memories frozen. A member is the positive's user
//! in the one case and its item in the other.
//!
//! With `k` centres of a level, `n` test positives and `n_i` of them at centre `i`:
//!
//! - **hit rate** = share of the `k` centres with `n_i > 0` (Table 9 of the paper). It grows with `n`, so `n` is
//!   reported beside it;
//! - **perplexity** = `exp(-sum_i (n_i / n) ln(n_i / n)) / k`: 1 where all centres are used alike, `1 / k` where one takes
//!   everything. It hardly depends on `n`;
//! - **top share** = `max_i n_i / n` of level 1;
//! - **relative error** = `sum |v - mu_i|^2 / sum |v - mean v|^2` over the positives, `mu_i` the level-1 centre of `v`: 1
//!   is as good as a single centre at the mean, more is worse than that;
//! - **stopped** = share of the positives whose UIE stopped (A10), by activity group; of users only.
//!
//! Against planted groups, each member counted once, by its first positive, with `u` members and `u_ig` of them of group
//! `g` at level-1 centre `i`:
//!
//! - **NMI** = `2 I / (H_cluster + H_group)`, the mutual information over the arithmetic mean of the entropies; 1 for equal
//!   partitions, near 0 for independent ones (above 0 on few members). Two trivial partitions are equal, so 1;
//! - **purity** = `sum_i max_g u_ig / u`.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::ByGroup;
use crate::data::Side;
use crate::variants::Variant;

/// State of the clusters over the test positives of an evaluation, memories frozen.
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

/// A block of test positives. All slices have one entry a positive, except the vectors. Items have no activity and
/// nothing that stops: `low_active` and `stopped` are empty on their side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Positives<'a> {
    /// Users or items.
    pub members: &'a [u32],
    /// Whether the user is low-active. Empty on the item side.
    pub low_active: &'a [bool],
    /// Level-1 centre of the member.
    pub level_1: &'a [u32],
    /// Level-2 centre, `children * parent + child`.
    pub level_2: &'a [u32],
    /// Whether UIE stopped. Empty on the item side.
    pub stopped: &'a [bool],
    /// `[positives, width]`: the members' vectors.
    pub vectors: &'a [f32],
    /// Planted groups of the members, where there are any.
    pub planted: Option<&'a [u32]>,
}

/// Cluster health in the making: fed block by block, so that the vectors of a whole test set need not be kept.
#[derive(Clone, Debug)]
pub struct ClusterTally {
    variant: Variant,
    side: Side,
    centres: Vec<f32>,
    width: usize,
    positives: u64,
    hits_1: Vec<u64>,
    hits_2: Vec<u64>,
    error: f64,
    spread: Spread,
    stopped: ByGroup<Share>,
    counted_members: HashSet<u32>,
    members_by_cluster_and_group: BTreeMap<(u32, u32), u64>,
}

impl ClusterTally {
    /// Counts for the `k` level-1 centres, with `children` level-2 centres each, of a variant's side. `centres` is `[k * (1 + children), width]`,
    /// level 1 first.
    ///
    /// # Panics
    /// Where `centres` is not so many vectors.
    pub fn new(variant: Variant, side: Side, centres: Vec<f32>, k: usize, children: usize) -> Self {
        let number = k * (1 + children);
        assert!(number > 0 && centres.len().is_multiple_of(number), "{number} centre vectors of one width");
        let width = centres.len() / number;
        Self {
            variant,
            side,
            centres,
            width,
            positives: 0,
            hits_1: vec![0; k],
            hits_2: vec![0; k * children],
            error: 0.0,
            spread: Spread::new(width),
            stopped: ByGroup::default(),
            counted_members: HashSet::new(),
            members_by_cluster_and_group: BTreeMap::new(),
        }
    }

    /// Counts a block.
    ///
    /// # Panics
    /// Where a slice is shorter than `members` (but for those that are empty on the item side) or a centre does not exist.
    pub fn push(&mut self, positives: &Positives<'_>) {
        self.positives += positives.members.len() as u64;
        for (n, &member) in positives.members.iter().enumerate() {
            let i = positives.level_1[n];
            self.hits_1[i as usize] += 1;
            self.hits_2[positives.level_2[n] as usize] += 1;
            let vector = &positives.vectors[n * self.width..][..self.width];
            self.error += squared_distance(vector, &self.centres[i as usize * self.width..][..self.width]);
            self.spread.add(vector);
            if self.side == Side::Users {
                self.add_stopped(positives.low_active[n], positives.stopped[n]);
            }
            if let Some(planted) = positives.planted
                && self.counted_members.insert(member)
            {
                *self.members_by_cluster_and_group.entry((i, planted[n])).or_default() += 1;
            }
        }
    }

    fn add_stopped(&mut self, low_active: bool, stopped: bool) {
        self.stopped.all.add(stopped);
        if low_active { self.stopped.low.add(stopped) } else { self.stopped.high.add(stopped) }
    }

    /// The health so far, reported at `step`. Shares of nothing are NaN.
    pub fn health(&self, step: u64) -> ClusterHealth {
        let largest = self.hits_1.iter().max().copied().unwrap_or(0);
        let planted = !self.members_by_cluster_and_group.is_empty();
        ClusterHealth {
            variant: self.variant,
            side: self.side,
            step,
            positives: self.positives,
            hit_rate_1: hit_rate(&self.hits_1),
            hit_rate_2: hit_rate(&self.hits_2),
            perplexity_1: perplexity(&self.hits_1),
            perplexity_2: perplexity(&self.hits_2),
            top_share: Share { hits: largest, of: self.positives }.value(),
            relative_error: self.error / self.spread.squared(),
            stopped: ByGroup { all: self.stopped.all.value(), low: self.stopped.low.value(), high: self.stopped.high.value() },
            nmi: planted.then(|| nmi(&self.members_by_cluster_and_group)),
            purity: planted.then(|| purity(&self.members_by_cluster_and_group)),
        }
    }
}

/// The health of UIE's user centres, `k` of level 1 with `children` of level 2 each, over one block of test positives; see
/// [`ClusterTally`] for `centres` and for more blocks than one.
///
/// # Panics
/// As [`ClusterTally::new`] and [`ClusterTally::push`] do.
pub fn cluster_health(step: u64, centres: &[f32], k: usize, children: usize, positives: &Positives<'_>) -> ClusterHealth {
    let mut tally = ClusterTally::new(Variant::Uie, Side::Users, centres.to_vec(), k, children);
    tally.push(positives);
    tally.health(step)
}

/// A share in the making.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    hits: u64,
    of: u64,
}

impl Share {
    fn add(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.of += 1;
    }

    fn value(self) -> f64 {
        self.hits as f64 / self.of as f64
    }
}

/// The squared distances of vectors from their mean, in one pass. Vectors are taken relative to the first, so that
/// nothing cancels where they are close together and far from zero.
#[derive(Clone, Debug)]
struct Spread {
    first: Option<Vec<f32>>,
    number: f64,
    sum: Vec<f64>,
    squares: f64,
}

impl Spread {
    fn new(width: usize) -> Self {
        Self { first: None, number: 0.0, sum: vec![0.0; width], squares: 0.0 }
    }

    fn add(&mut self, vector: &[f32]) {
        let first = self.first.get_or_insert_with(|| vector.to_vec());
        self.number += 1.0;
        for ((sum, &value), &origin) in self.sum.iter_mut().zip(vector).zip(first.iter()) {
            let difference = f64::from(value) - f64::from(origin);
            *sum += difference;
            self.squares += difference * difference;
        }
    }

    fn squared(&self) -> f64 {
        self.squares - self.sum.iter().map(|sum| sum * sum).sum::<f64>() / self.number
    }
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| (f64::from(x) - f64::from(y)) * (f64::from(x) - f64::from(y))).sum()
}

fn hit_rate(hits: &[u64]) -> f64 {
    hits.iter().filter(|&&n| n > 0).count() as f64 / hits.len() as f64
}

/// Perplexity over the number of centres; NaN without a hit.
fn perplexity(hits: &[u64]) -> f64 {
    libm::exp(entropy(hits.iter().copied())) / hits.len() as f64
}

/// Entropy of counts in nats; NaN where all are 0.
fn entropy(counts: impl Iterator<Item = u64>) -> f64 {
    let counts: Vec<f64> = counts.filter(|&n| n > 0).map(|n| n as f64).collect();
    let total = counts.iter().sum::<f64>();
    if counts.is_empty() { f64::NAN } else { -counts.iter().map(|n| n / total * libm::log(n / total)).sum::<f64>() }
}

/// Counts summed over the other half of the pair.
fn marginal(joint: &BTreeMap<(u32, u32), u64>, half: impl Fn((u32, u32)) -> u32) -> BTreeMap<u32, u64> {
    let mut sums = BTreeMap::new();
    for (&pair, &n) in joint {
        *sums.entry(half(pair)).or_default() += n;
    }
    sums
}

fn nmi(joint: &BTreeMap<(u32, u32), u64>) -> f64 {
    let of_clusters = entropy(marginal(joint, |pair| pair.0).into_values());
    let of_groups = entropy(marginal(joint, |pair| pair.1).into_values());
    let of_both = entropy(joint.values().copied());
    if of_clusters + of_groups == 0.0 {
        return 1.0;
    }
    (2.0 * (of_clusters + of_groups - of_both) / (of_clusters + of_groups)).clamp(0.0, 1.0)
}

fn purity(joint: &BTreeMap<(u32, u32), u64>) -> f64 {
    let mut largest = BTreeMap::<u32, u64>::new();
    for (&(cluster, _), &n) in joint {
        let most = largest.entry(cluster).or_default();
        *most = n.max(*most);
    }
    largest.values().sum::<u64>() as f64 / joint.values().sum::<u64>() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Counter, Stream};

    /// Four level-1 centres on a line with two children each, one wide.
    const CENTRES: [f32; 12] = [0.0, 1.0, 2.0, 3.0, -0.1, 0.1, 0.9, 1.1, 1.9, 2.1, 2.9, 3.1];

    #[test]
    fn a_hand_made_case() {
        let positives = Positives {
            members: &[10, 11, 12, 10, 13],
            low_active: &[true, false, false, true, false],
            level_1: &[0, 1, 1, 0, 1],
            level_2: &[0, 2, 3, 1, 3],
            stopped: &[true, false, false, false, true],
            vectors: &[-0.5, 1.0, 1.5, 0.5, 1.5],
            planted: Some(&[7, 8, 8, 7, 9]),
        };
        let health = cluster_health(40, &CENTRES, 4, 2, &positives);
        assert_eq!((health.step, health.positives), (40, 5));
        assert_eq!((health.hit_rate_1, health.hit_rate_2), (2.0 / 4.0, 4.0 / 8.0));
        let entropy = -(0.4 * 0.4f64.ln() + 0.6 * 0.6f64.ln());
        assert!((health.perplexity_1 - entropy.exp() / 4.0).abs() < 1e-12);
        assert_eq!(health.top_share, 0.6);
        // Squared errors .25 + 0 + .25 + .25 + .25; the mean is .8, squared distances 1.69 + .04 + .49 + .09 + .49.
        assert!((health.relative_error - 1.0 / 2.8).abs() < 1e-12);
        assert_eq!(health.stopped, ByGroup { all: 2.0 / 5.0, low: 1.0 / 2.0, high: 1.0 / 3.0 });
        // Users: 10 at 0 (group 7), 11 and 12 at 1 (group 8), 13 at 1 (group 9).
        assert_eq!(health.purity, Some(3.0 / 4.0));
    }

    #[test]
    fn items_have_the_same_figures_but_nothing_that_stops() {
        let users = Positives {
            members: &[10, 11, 10],
            low_active: &[true, false, true],
            level_1: &[0, 1, 0],
            level_2: &[0, 2, 0],
            stopped: &[true, true, true],
            vectors: &[-0.5, 1.0, 1.5],
            planted: Some(&[7, 8, 7]),
        };
        let of_users = cluster_health(3, &CENTRES, 4, 2, &users);
        let mut tally = ClusterTally::new(Variant::DuiaItems, Side::Items, CENTRES.to_vec(), 4, 2);
        tally.push(&Positives { low_active: &[], stopped: &[], ..users });
        let of_items = tally.health(3);
        assert_eq!((of_items.variant, of_items.side, of_items.positives), (Variant::DuiaItems, Side::Items, 3));
        assert!(of_items.stopped.all.is_nan() && of_users.stopped.all == 1.0);
        let stopped = of_users.stopped;
        assert_eq!(ClusterHealth { variant: Variant::Uie, side: Side::Users, stopped, ..of_items }, of_users);
    }

    #[test]
    fn blocks_count_like_one_and_real_rows_have_no_truth() {
        let n = 64;
        let draw = Counter::new(1, Stream::Users);
        let users: Vec<u32> = (0..n).collect();
        let level_1: Vec<u32> = users.iter().map(|u| u % 4).collect();
        let level_2: Vec<u32> = users.iter().map(|u| (u % 4) * 2 + u % 2).collect();
        let flags = vec![false; n as usize];
        let vectors: Vec<f32> = (0..u64::from(n)).map(|i| 100.0 + draw.normal(i) as f32).collect();
        let block = |from: usize, to: usize| Positives {
            members: &users[from..to],
            low_active: &flags[from..to],
            level_1: &level_1[from..to],
            level_2: &level_2[from..to],
            stopped: &flags[from..to],
            vectors: &vectors[from..to],
            planted: None,
        };
        let whole = cluster_health(1, &CENTRES, 4, 2, &block(0, 64));
        let mut tally = ClusterTally::new(Variant::Uie, Side::Users, CENTRES.to_vec(), 4, 2);
        tally.push(&block(0, 30));
        tally.push(&block(30, 64));
        assert_eq!((whole.perplexity_1, whole.nmi, whole.purity), (1.0, None, None));
        assert!(whole.stopped.low.is_nan());
        assert_eq!(format!("{whole:?}"), format!("{:?}", tally.health(1)));

        let mean = vectors.iter().map(|&v| f64::from(v)).sum::<f64>() / f64::from(n);
        let spread: f64 = vectors.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
        let error: f64 = vectors.iter().zip(&level_1).map(|(&v, &i)| (f64::from(v) - f64::from(CENTRES[i as usize])).powi(2)).sum();
        assert!((whole.relative_error / (error / spread) - 1.0).abs() < 1e-9);
    }

    fn joint(pairs: impl Iterator<Item = (u32, u32)>) -> BTreeMap<(u32, u32), u64> {
        let mut counts = BTreeMap::new();
        pairs.for_each(|pair| *counts.entry(pair).or_default() += 1);
        counts
    }

    #[test]
    fn known_values_of_nmi_and_purity() {
        let renamed = joint((0..60).map(|u| (u % 5, 9 - u % 5)));
        assert!((nmi(&renamed) - 1.0).abs() < 1e-12 && purity(&renamed) == 1.0);

        let independent = joint((0..60).map(|u| (u % 5, u / 5 % 4)));
        assert!(nmi(&independent) < 1e-12 && (purity(&independent) - 0.25).abs() < 1e-12);

        let draw = Counter::new(2, Stream::Users);
        let random = joint((0..20_000).map(|u| (draw.below(u, 8) as u32, draw.lane(1).below(u, 8) as u32)));
        assert!(nmi(&random) < 0.002 && purity(&random) < 0.15);

        // Two groups, the second split over two clusters: I = H(group) = ln 2, H(cluster) = 1.5 ln 2.
        let split = joint((0..40).map(|u| (if u % 2 == 0 { 0 } else { 1 + u / 2 % 2 }, u % 2)));
        assert!((nmi(&split) - 0.8).abs() < 1e-12 && purity(&split) == 1.0);

        let one_cluster = joint((0..40).map(|u| (0, u % 2)));
        assert!(nmi(&one_cluster) == 0.0 && purity(&one_cluster) == 0.5);
        assert_eq!(nmi(&joint((0..3).map(|_| (0, 0)))), 1.0);
    }

    #[test]
    fn no_positive_is_no_figure() {
        let health = cluster_health(0, &CENTRES, 4, 2, &Positives::default());
        assert_eq!((health.positives, health.hit_rate_1), (0, 0.0));
        assert!(health.perplexity_1.is_nan() && health.top_share.is_nan() && health.relative_error.is_nan());
    }
}
