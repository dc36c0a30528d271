//! The area under the ROC curve: exact, by group, paired, and with its uncertainty.
//!
//! The area is the probability that a positive outranks a negative, a tie counting one half. One sort of the scores and
//! one walk through the ranking serve many parts of the rows at once.
//!
//! # Standard errors clustered by user
//!
//! The rows of one user are not independent: they share a taste, a history and a vector. So an error over rows is too small
//! (on 655 real users half of what it should be). With `m` positives and `n` negatives, a row's placement `V` is the share of
//! the other class that it outranks (for a negative: that outranks it), and DeLong's influence value is `(V - A) / m` of a
//! positive, `(V - A) / n` of a negative: the area is `A` plus their sum, to first order. The values of a user's rows are
//! added before they are squared. With `G` users the variance is
//!
//! ```text
//! se^2 = G / (G - 1) * sum over users of (sum over the user's rows of the influence)^2
//! ```
//!
//! (Obuchowski 1997 has the same estimator for clustered data; with one row a user it is that of DeLong et al. 1988 but for
//! `G / (G - 1)`). The influence on a difference of two areas is the difference of the influences. All of it takes one walk
//! through the ranking, `O(n)` after the sort, and no bootstrap.

use super::{Auc, Gauc, Lift};

/// The area under the curve over all pairs of a positive and a negative, ties counting one half, in `O(n log n)`. Its
/// standard error is clustered by user, see the module.
///
/// The value is NaN where one class is missing, the error also where all rows are one user's. A score that is NaN is a number
/// like any other: scores are in the order of [`f32::total_cmp`] with -0 equal to 0, which puts a positive NaN above infinity,
/// so a model that has come apart and predicts NaN alone scores 0.5.
///
/// # Panics
/// Where scores, labels and users differ in number.
pub fn auc(scores: &[f32], labels: &[bool], users: &[u32]) -> Auc {
    assert_eq!(scores.len(), labels.len(), "one label a score");
    Ranking::new(scores).areas(&Partitions::whole(labels, &Users::new(users)))[0]
}

/// The area of `b` minus the area of `a` on the same rows, with a standard error clustered by user; see the module. A model
/// against itself has value and error 0.
///
/// # Panics
/// Where scores, labels and users differ in number.
pub fn lift(a: &[f32], b: &[f32], labels: &[bool], users: &[u32]) -> Lift {
    assert_eq!(a.len(), labels.len(), "one label a score of the baseline");
    assert_eq!(b.len(), labels.len(), "one label a score");
    let users = Users::new(users);
    let whole = Partitions::whole(labels, &users);
    Ranking::new(b).lifts(&whole, &Ranking::new(a).placements(&whole))[0]
}

/// The mean of the users' own areas, weighted by their rows, over users with rows of both classes (GAUC). Its standard error is
/// that of a ratio of two sums over `G` users: `se^2 = G / (G - 1) * sum (w (A_u - GAUC) / sum w)^2`, `A_u` being a user's own
/// area and `w` their rows. The value is NaN where no user has both classes, the error where fewer than two have.
///
/// # Panics
/// Where scores, labels and users differ in number.
pub fn gauc(scores: &[f32], labels: &[bool], users: &[u32]) -> Gauc {
    UserAreas::new(scores, labels, users).gauc()
}

/// GAUC of `b` minus GAUC of `a` on the same rows, with the error of [`gauc`] over the differences of the users' areas.
///
/// # Panics
/// Where scores, labels and users differ in number.
pub fn gauc_lift(a: &[f32], b: &[f32], labels: &[bool], users: &[u32]) -> Lift {
    let [a, b] = [a, b].map(|scores| UserAreas::new(scores, labels, users));
    b.lift_over(&a)
}

/// The share of the headroom that a model wins: its area minus that of `a`, over the area of `ceiling` minus that of `a`, on the same rows.
/// Its standard error, clustered by user, is that of a ratio of two figures that the same users make, by the delta method: with share
/// `r` it is the error of the area minus `r` times the ceiling's minus `1 - r` times the baseline's, over the headroom. Both are NaN
/// where the ceiling is not above the baseline.
///
/// # Panics
/// Where scores, labels and users differ in number.
pub fn headroom_share(a: &[f32], b: &[f32], ceiling: &[f32], labels: &[bool], users: &[u32]) -> Lift {
    for scores in [a, b, ceiling] {
        assert_eq!(scores.len(), labels.len(), "one label a score");
    }
    let users = Users::new(users);
    let whole = Partitions::whole(labels, &users);
    let (baseline, own) = (Ranking::new(a).placements(&whole), Ranking::new(b));
    let ceiling = Ceiling::new(&Ranking::new(ceiling), &whole, &baseline);
    own.shares(&whole, &baseline, &ceiling)[0]
}

/// What other models' gains are shares of.
pub(super) struct Ceiling<const P: usize> {
    /// `[rows]`: its placements.
    placed: Vec<[f64; P]>,
    /// `[parts]`: its gains over the baseline.
    gains: Vec<f64>,
}

impl<const P: usize> Ceiling<P> {
    /// A ranking as a ceiling above a baseline with these placements.
    pub(super) fn new(ranking: &Ranking, partitions: &Partitions<P>, baseline: &[[f64; P]]) -> Self {
        let gains = ranking.lifts(partitions, baseline).iter().map(|lift| lift.value).collect();
        Self { placed: ranking.placements(partitions), gains }
    }
}

/// A user's own area, weighted by their rows.
struct UserArea {
    weight: f64,
    value: f64,
}

/// The areas of the users who have both classes, by user.
pub(super) struct UserAreas(Vec<UserArea>);

impl UserAreas {
    /// Of some scores.
    pub(super) fn new(scores: &[f32], labels: &[bool], users: &[u32]) -> Self {
        Self(areas_of_users(scores, labels, users))
    }

    /// See [`gauc`].
    pub(super) fn gauc(&self) -> Gauc {
        let (value, standard_error) = weighted_mean(self.0.iter().map(|area| (area.weight, area.value)));
        Gauc { value, standard_error, users: self.0.len() as u64 }
    }

    /// The difference from areas of the same rows; see [`gauc_lift`].
    pub(super) fn lift_over(&self, base: &Self) -> Lift {
        let (value, standard_error) = weighted_mean(base.0.iter().zip(&self.0).map(|(a, b)| (a.weight, b.value - a.value)));
        Lift { value, standard_error }
    }
}

fn areas_of_users(scores: &[f32], labels: &[bool], users: &[u32]) -> Vec<UserArea> {
    assert_eq!(scores.len(), labels.len(), "one label a score");
    assert_eq!(scores.len(), users.len(), "one user a score");
    let mut rows: Vec<(u64, bool)> = users
        .iter()
        .zip(scores)
        .zip(labels)
        .map(|((&user, &score), &label)| (u64::from(user) << 32 | u64::from(key(score)), label))
        .collect();
    rows.sort_unstable();
    let mut areas = Vec::new();
    for of_user in rows.chunk_by(|a, b| a.0 >> 32 == b.0 >> 32) {
        let mut area = Area::default();
        for tie in of_user.chunk_by(|a, b| a.0 == b.0) {
            let mut tied = Classes::default();
            tie.iter().for_each(|row| tied.add(row.1));
            area.add(tied);
        }
        if area.below.has_both() {
            areas.push(UserArea { weight: of_user.len() as f64, value: area.value() });
        }
    }
    areas
}

/// The mean of weighted values, one a cluster, and its standard error; see [`gauc`].
fn weighted_mean(of: impl Iterator<Item = (f64, f64)> + Clone) -> (f64, f64) {
    let (mut sum, mut weights, mut number) = (0.0, 0.0, 0.0);
    for (weight, value) in of.clone() {
        sum += value * weight;
        weights += weight;
        number += 1.0;
    }
    let mean = sum / weights;
    let squares: f64 = of.map(|(weight, value)| (weight * (value - mean) / weights).powi(2)).sum();
    (mean, standard_error(squares, number))
}

/// The error of a sum over `clusters` from the sum of the squares of their influences. NaN for fewer than two.
fn standard_error(squares: f64, clusters: f64) -> f64 {
    if clusters < 2.0 { f64::NAN } else { (squares * clusters / (clusters - 1.0)).sqrt() }
}

/// The area of `b` minus the area of `a` on the same rows, with the standard error of DeLong, DeLong and Clarke-Pearson
/// (1988), which holds every row for independent of all others. For tests of what clustering changes: see [`lift`].
///
/// The variance of the difference is the variance of the placements' differences over positives divided by their number, plus
/// the same over negatives. Placements come from one sort a model, as in Sun and Xu (2014), instead of from all pairs. The
/// value is NaN where one class is missing, the error also where a class has a single row.
///
/// # Panics
/// Where scores and labels differ in number.
pub fn delong(a: &[f32], b: &[f32], labels: &[bool]) -> Lift {
    assert_eq!(a.len(), labels.len(), "one label a score of the baseline");
    assert_eq!(b.len(), labels.len(), "one label a score");
    let users = Users::of_rows(labels.len());
    let whole = Partitions::whole(labels, &users);
    let baseline = Ranking::new(a).placements(&whole);
    let mut difference = Difference::default();
    Ranking::new(b).walk(&whole, |row, placed| difference.add(labels[row], placed[0] - baseline[row][0]));
    difference.delong()
}

/// A score as an integer of the same order: [`f32::total_cmp`], but -0 equals 0.
fn key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The users of rows, counted from 0 without a gap.
pub(super) struct Users {
    /// `[rows]`.
    of_row: Vec<u32>,
    number: usize,
}

impl Users {
    /// Users of any ids.
    pub(super) fn new(ids: &[u32]) -> Self {
        let mut known = ids.to_vec();
        known.sort_unstable();
        known.dedup();
        // Every id is known.
        let place = |id: &u32| known.binary_search(id).unwrap_or_default() as u32;
        Self { of_row: ids.iter().map(place).collect(), number: known.len() }
    }

    /// A user for each row.
    fn of_rows(rows: usize) -> Self {
        Self { of_row: (0..rows as u32).collect(), number: rows }
    }
}

/// What a walk through a ranking needs of a row, in one place: ranked rows lie anywhere in memory, and a walk waits for little else.
struct Row<const P: usize> {
    user: u32,
    label: bool,
    /// Its parts, counted over all partitions together.
    parts: [u8; P],
}

/// Rows cut in `P` ways at once: each row lies in one part of each partition.
pub(super) struct Partitions<const P: usize> {
    rows: Vec<Row<P>>,
    /// `[parts]`: how many positives and negatives.
    sizes: Vec<Classes>,
    /// `[parts]`: what a placement of a negative and of a positive counts in the influence on the part's area.
    scales: Vec<[f64; 2]>,
    /// `[users, parts]`: how many negatives and positives are the user's.
    sizes_of_users: Vec<[u32; 2]>,
}

impl Partitions<1> {
    /// All rows in the one part of one partition.
    fn whole(labels: &[bool], users: &Users) -> Self {
        Self::new(labels, users, 1, |_| [0])
    }
}

impl<const P: usize> Partitions<P> {
    /// `parts` parts, of which `parts_of(row)` are the row's. No part may be in two partitions. Keeps `P + 5` bytes a row, rounded up to
    /// a multiple of 4, and 8 bytes for each user and part.
    ///
    /// # Panics
    /// Where labels and users differ in number.
    pub(super) fn new(labels: &[bool], users: &Users, parts: usize, parts_of: impl Fn(usize) -> [u8; P]) -> Self {
        assert_eq!(labels.len(), users.of_row.len(), "one user a row");
        let of_row = |(row, (&label, &user)): (usize, (&bool, &u32))| Row { user, label, parts: parts_of(row) };
        let rows: Vec<Row<P>> = labels.iter().zip(&users.of_row).enumerate().map(of_row).collect();
        let mut sizes = vec![Classes::default(); parts];
        let mut sizes_of_users = vec![[0; 2]; users.number * parts];
        for row in &rows {
            for part in row.parts.map(usize::from) {
                sizes[part].add(row.label);
                sizes_of_users[row.user as usize * parts + part][usize::from(row.label)] += 1;
            }
        }
        let scales = sizes.iter().map(|size| [-1.0 / size.negatives() as f64, 1.0 / size.positives() as f64]).collect();
        Self { rows, sizes, scales, sizes_of_users }
    }

    /// Whether a part has rows of both classes.
    pub(super) fn has_both_classes(&self, part: usize) -> bool {
        self.sizes[part].has_both()
    }

    fn parts(&self) -> usize {
        self.sizes.len()
    }
}

/// The influence of each user on a figure of each part, in the making: see the module.
struct Influence {
    /// `[users, parts]`: the sum of the user's placements, those of positives over their number in the part and those of
    /// negatives over minus theirs (a placement counts below, which for a negative is 1 less the share above).
    sums: Vec<f64>,
}

impl Influence {
    fn new<const P: usize>(partitions: &Partitions<P>) -> Self {
        Self { sums: vec![0.0; partitions.sizes_of_users.len()] }
    }

    /// Adds a row's placements, or their differences from a baseline's.
    fn add<const P: usize>(&mut self, partitions: &Partitions<P>, row: usize, placed: [f64; P]) {
        let row = &partitions.rows[row];
        let first = row.user as usize * partitions.parts();
        for (part, placed) in row.parts.into_iter().zip(placed) {
            let part = usize::from(part);
            self.sums[first + part] += placed * partitions.scales[part][usize::from(row.label)];
        }
    }

    /// `[parts]`: the standard errors, `means[part]` being the mean of what was added of positives and of negatives. NaN where
    /// a class is missing or where all rows are one user's.
    fn errors<const P: usize>(&self, partitions: &Partitions<P>, means: impl Fn(usize) -> [f64; 2]) -> Vec<f64> {
        let parts = partitions.parts();
        let (mut squares, mut users) = (vec![0.0; parts], vec![0.0; parts]);
        for (at, (&sum, &[negatives, positives])) in self.sums.iter().zip(&partitions.sizes_of_users).enumerate() {
            if negatives + positives > 0 {
                let (part, all) = (at % parts, partitions.sizes[at % parts]);
                let [of_positives, of_negatives] = means(part);
                let expected = |mean: f64, own: u32, all: u64| if own == 0 { 0.0 } else { mean * f64::from(own) / all as f64 };
                let influence =
                    sum - expected(of_positives, positives, all.positives()) + expected(of_negatives, negatives, all.negatives());
                squares[part] += influence * influence;
                users[part] += 1.0;
            }
        }
        let error = |part: usize| if partitions.has_both_classes(part) { standard_error(squares[part], users[part]) } else { f64::NAN };
        (0..parts).map(error).collect()
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
    pub(super) fn areas<const P: usize>(&self, partitions: &Partitions<P>) -> Vec<Auc> {
        let mut influence = Influence::new(partitions);
        let areas = self.walk(partitions, |row, placed| influence.add(partitions, row, placed));
        report(&areas, partitions, &influence)
    }

    /// `[rows]`: the placement of each row in each of its parts, the share of the other class below it, ties one half.
    pub(super) fn placements<const P: usize>(&self, partitions: &Partitions<P>) -> Vec<[f64; P]> {
        let mut placements = vec![[0.0; P]; partitions.rows.len()];
        self.walk(partitions, |row, placed| placements[row] = placed);
        placements
    }

    /// The paired difference of each part from a baseline with these placements; see [`lift`].
    pub(super) fn lifts<const P: usize>(&self, partitions: &Partitions<P>, baseline: &[[f64; P]]) -> Vec<Lift> {
        self.areas_and_lifts(partitions, baseline).1
    }

    /// The share of the headroom of each part; see [`headroom_share`].
    pub(super) fn shares<const P: usize>(&self, partitions: &Partitions<P>, baseline: &[[f64; P]], ceiling: &Ceiling<P>) -> Vec<Lift> {
        let won = self.lifts(partitions, baseline);
        let share = |part: usize| if ceiling.gains[part] > 0.0 { won[part].value / ceiling.gains[part] } else { f64::NAN };
        let shares: Vec<f64> = (0..partitions.parts()).map(share).collect();
        // What would win the same share of every row's placement.
        let mixed = |row: usize| -> [f64; P] {
            std::array::from_fn(|p| {
                let share = shares[usize::from(partitions.rows[row].parts[p])];
                share * ceiling.placed[row][p] + (1.0 - share) * baseline[row][p]
            })
        };
        let mixed: Vec<[f64; P]> = (0..baseline.len()).map(mixed).collect();
        let errors = self.lifts(partitions, &mixed);
        let of = |(part, error): (usize, &Lift)| Lift { value: shares[part], standard_error: error.standard_error / ceiling.gains[part] };
        errors.iter().enumerate().map(of).collect()
    }

    /// The area of each part and its paired difference from the baseline, in one walk.
    pub(super) fn areas_and_lifts<const P: usize>(&self, partitions: &Partitions<P>, baseline: &[[f64; P]]) -> (Vec<Auc>, Vec<Lift>) {
        let mut differences = vec![Difference::default(); partitions.parts()];
        let [mut own, mut paired] = [(); 2].map(|()| Influence::new(partitions));
        let areas = self.walk(partitions, |row, placed| {
            let difference: [f64; P] = std::array::from_fn(|p| placed[p] - baseline[row][p]);
            let Row { label, parts, .. } = partitions.rows[row];
            for (part, difference) in parts.into_iter().zip(difference) {
                differences[usize::from(part)].add(label, difference);
            }
            own.add(partitions, row, placed);
            paired.add(partitions, row, difference);
        });
        let values: Vec<f64> = differences.into_iter().map(Difference::value).collect();
        let errors = paired.errors(partitions, |part| [values[part], -values[part]]);
        let lifts = values.iter().zip(errors).map(|(&value, standard_error)| Lift { value, standard_error }).collect();
        (report(&areas, partitions, &own), lifts)
    }

    /// Goes from the lowest score up and fills the areas of all parts; `visit` gets each row with its placements.
    fn walk<const P: usize>(&self, partitions: &Partitions<P>, mut visit: impl FnMut(usize, [f64; P])) -> Vec<Area> {
        let mut areas = vec![Area::default(); partitions.sizes.len()];
        let mut tied = vec![Classes::default(); partitions.sizes.len()];
        for tie in self.0.chunk_by(|a, b| a >> 32 == b >> 32) {
            let rows = || tie.iter().map(|&entry| row(entry));
            for Row { label, parts, .. } in rows().map(|row| &partitions.rows[row]) {
                parts.iter().for_each(|&part| tied[usize::from(part)].add(*label));
            }
            for row in rows() {
                let Row { label, parts, .. } = partitions.rows[row];
                let placement = |part: u8| {
                    let part = usize::from(part);
                    areas[part].below.placement(tied[part], partitions.sizes[part], label)
                };
                visit(row, parts.map(placement));
            }
            for part in rows().flat_map(|row| partitions.rows[row].parts).map(usize::from) {
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
}

/// The areas of all parts with their errors.
fn report<const P: usize>(areas: &[Area], partitions: &Partitions<P>, influence: &Influence) -> Vec<Auc> {
    let errors = influence.errors(partitions, |part| [areas[part].value(), 1.0 - areas[part].value()]);
    let report = |(area, standard_error): (&Area, f64)| Auc {
        value: area.value(),
        standard_error,
        positives: area.below.positives(),
        negatives: area.below.negatives(),
    };
    areas.iter().zip(errors).map(report).collect()
}

/// A paired difference in the making: the differences of placements by class, negatives first.
#[derive(Clone, Copy, Debug, Default)]
struct Difference([Moments; 2]);

impl Difference {
    fn add(&mut self, label: bool, difference: f64) {
        self.0[usize::from(label)].add(difference);
    }

    /// The mean over positives; NaN where one class is missing.
    fn value(self) -> f64 {
        let [negatives, positives] = self.0;
        if negatives.number == 0.0 { f64::NAN } else { positives.sum / positives.number }
    }

    fn delong(self) -> Lift {
        let [negatives, positives] = self.0;
        let value = self.value();
        if value.is_nan() {
            return Lift { value, standard_error: f64::NAN };
        }
        Lift { value, standard_error: (positives.variance_of_mean() + negatives.variance_of_mean()).sqrt() }
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
mod tests;
