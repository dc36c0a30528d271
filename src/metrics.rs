//! How good a ranker and its clusters are: exact areas under the curve with their uncertainty, by activity group and on
//! finer parts of the test, and the health of the clusters. Standard errors are clustered by user: `auc` says how and why.
//!
//! Pure functions of numbers, the same on every target: no input or output, no clock, and logarithms from `libm`.
//!
//! Groups are those of the protocol: low-active users are fixed before training (A22), everybody else is high-active.
//! What has no value (an area where one class is missing, a share of nothing) is NaN, so that it cannot be mistaken for
//! a score.

mod auc;
mod clusters;
mod collapse;
pub mod divergence;
mod losses;
#[cfg(test)]
mod naive;
mod scores;
mod significance;

pub use auc::{auc, delong, gauc, gauc_lift, headroom_share, lift};
pub use clusters::{ClusterHealth, ClusterTally, Positives, cluster_health};
pub use collapse::collapse;
pub use losses::{LossTerm, Losses, Term};
pub use scores::{Auc, ByGroup, Earlier, Evaluation, Gauc, Headroom, Lift, Score, Slice, SliceScore, TestKind};
pub use significance::{OverSeeds, critical, over_seeds, survivors};

use crate::data::protocol::{Batch, Dataset};
use crate::platform::{self, join};
use crate::variants::Variant;
use auc::{Ceiling, Partitions, Ranking, UserAreas, Users};

/// The steps of [`Earlier`], in order.
const EARLIER: [Earlier; 5] = [Earlier::None, Earlier::UpTo2, Earlier::UpTo5, Earlier::UpTo10, Earlier::More];

/// Tenths of the users.
const DECILES: u8 = 10;

/// The parts beside all rows and those of the two groups.
const WITHOUT_REPEATS: usize = 3;
const SEEN_ITEMS: usize = 5;

/// Where the parts of [`slices`] begin that are not deciles.
const TAIL_ITEMS: u8 = DECILES;
const HEAD_ITEMS: u8 = TAIL_ITEMS + 1;
const USER_ROWS: u8 = HEAD_ITEMS + 1;
const ITEM_ROWS: u8 = USER_ROWS + EARLIER.len() as u8;
const SEEN_AND_NEW: u8 = ITEM_ROWS + EARLIER.len() as u8;
/// The last slice.
const FEW_ROWS: u8 = SEEN_AND_NEW + 1;
/// The rows that are in neither of the last two.
const NOT_SEEN_AND_NEW: u8 = FEW_ROWS + 1;
const MANY_ROWS: u8 = NOT_SEEN_AND_NEW + 1;

/// The step of so many earlier rows.
pub fn earlier(rows: u32) -> Earlier {
    match rows {
        0 => Earlier::None,
        1..=2 => Earlier::UpTo2,
        3..=5 => Earlier::UpTo5,
        6..=10 => Earlier::UpTo10,
        _ => Earlier::More,
    }
}

/// Which of the variants the others are compared with: the first that is trained. None where there are only rules.
pub fn baseline_of(variants: &[Variant]) -> Option<usize> {
    variants.iter().position(|variant| variant.rule().is_none())
}

/// What is known of test rows (a request's candidate each) before any model scores them. All arrays are as long as there
/// are rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestRows {
    /// Labels of the reported task, "valid consumption".
    pub labels: Vec<bool>,
    /// Users.
    pub users: Vec<u32>,
    /// Whether the user is low-active.
    pub low_active: Vec<bool>,
    /// Whether the user had the item before; a negative that was drawn never has.
    pub repeat: Vec<bool>,
    /// Whether a training row had the item.
    pub seen: Vec<bool>,
    /// The user's tenth by activity, 0 the least active.
    pub decile: Vec<u8>,
    /// Whether the item is a tail item (A20).
    pub tail: Vec<bool>,
    /// The user's behaviours before the row.
    pub user_rows: Vec<Earlier>,
    /// The item's rows before the row.
    pub item_rows: Vec<Earlier>,
}

impl TestRows {
    /// Adds the samples of a batch's requests that count; its padding is left out. The batch must be of the data set.
    pub fn push(&mut self, batch: &Batch, dataset: &Dataset) {
        self.push_by(batch, |user| dataset.decile(user), |item| dataset.is_tail(item));
    }

    fn push_by(&mut self, batch: &Batch, decile: impl Fn(u32) -> u8, is_tail: impl Fn(u32) -> bool) {
        let samples = ..batch.valid * batch.candidates;
        for request in 0..batch.valid {
            let user = batch.user[request];
            let rows = self.users.len() + batch.candidates;
            self.users.resize(rows, user);
            self.low_active.resize(rows, batch.low_active[request]);
            self.decile.resize(rows, decile(user));
            self.user_rows.resize(rows, earlier(batch.user_rows[request]));
        }
        self.labels.extend(batch.labels[samples].iter().map(|&label| label > 0.5));
        self.repeat.extend_from_slice(&batch.repeat[samples]);
        self.seen.extend_from_slice(&batch.seen[samples]);
        self.tail.extend(batch.item[samples].iter().map(|&item| is_tail(item)));
        self.item_rows.extend(batch.item_rows[samples].iter().map(|&rows| earlier(rows)));
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
    /// `auc_without_repeats` drops rows whose item the user had before (positives alone, but under E1), so that
    /// remembering items earns nothing. `auc_seen_items` drops rows whose item no training row had, positive or
    /// negative, so that guessing "unknown item, so a positive" earns nothing. `lift_over_parent` and `slices` are left empty: see
    /// [`TestRows::score_whole`].
    ///
    /// # Panics
    /// Where predictions and rows differ in number.
    pub fn score(&self, predictions: &[f32], baseline: Option<&[f32]>) -> Score {
        let users = Users::new(&self.users);
        let parts = self.parts(&users);
        let placed = baseline.map(|baseline| self.rank(baseline).placements(&parts));
        let areas = areas_and_lifts(&self.rank(predictions), &parts, placed.as_deref());
        common(areas, &self.areas_of_users(predictions), baseline.map(|baseline| self.areas_of_users(baseline)).as_ref())
    }

    /// Scores the predictions of all compared variants, `[variants, rows]`: the figures of [`TestRows::score`], the lift over
    /// the first trained variant ([`baseline_of`]), the lift over the parent ([`Variant::parent`], where that one
    /// is compared and is not the baseline), and every [`Slice`] that has both classes. The baseline has no lift.
    ///
    /// # Panics
    /// Where variants and predictions, or predictions and rows, differ in number.
    pub fn score_whole(&self, all: &[Vec<f32>], variants: &[Variant]) -> Vec<Score> {
        assert_eq!(all.len(), variants.len(), "predictions of each variant");
        // Twenty million rows of Table 3's sizes take minutes on one core.
        let sorted = platform::map(all, |predictions| join(|| self.rank(predictions), || self.areas_of_users(predictions)));
        let (rankings, areas_of_users): (Vec<Ranking>, Vec<UserAreas>) = sorted.into_iter().unzip();
        let users = Users::new(&self.users);
        let (parts, slices) = join(|| self.parts(&users), || self.slices(&users));
        let baseline = baseline_of(variants);
        let placements = |at: usize| join(|| rankings[at].placements(&parts), || rankings[at].placements(&slices));
        let (base_parts, base_slices) = baseline.map(placements).unzip();
        let ceilings: Vec<(Variant, Ceiling<4>, Ceiling<6>)> = (base_parts.iter().zip(&base_slices))
            .flat_map(|(base_parts, base_slices)| {
                let is_told = |(variant, _): &(&Variant, &Ranking)| variant.is_told();
                variants.iter().zip(&rankings).filter(is_told).map(|(&variant, ranking)| {
                    (variant, Ceiling::new(ranking, &parts, base_parts), Ceiling::new(ranking, &slices, base_slices))
                })
            })
            .collect();
        let score = |at: usize| {
            let own = &rankings[at];
            let compared = baseline.filter(|&baseline| baseline != at);
            let parent = parent_of(at, variants).filter(|&parent| baseline != Some(parent));
            let over_parent = parent.map(|parent| own.lifts(&parts, &rankings[parent].placements(&parts)));
            let is_below = compared.is_some() && !variants[at].is_told() && variants[at].rule().is_none();
            let headroom = |(ceiling, of_parts, of_slices): &(Variant, Ceiling<4>, Ceiling<6>)| {
                let of_slices = own.shares(&slices, base_slices.as_deref()?, of_slices);
                let of_parts = own.shares(&parts, base_parts.as_deref()?, of_parts);
                let with_both = self::slices().zip(of_slices).enumerate().filter(|(part, _)| slices.has_both_classes(*part));
                Some(Headroom {
                    ceiling: *ceiling,
                    share: by_group(&of_parts),
                    without_repeats: of_parts[WITHOUT_REPEATS],
                    slices: with_both.map(|(_, share)| share).collect(),
                })
            };
            let (of_parts, of_slices) = join(
                || areas_and_lifts(own, &parts, base_parts.as_deref().filter(|_| compared.is_some())),
                || slice_scores(own, &slices, base_slices.as_deref().filter(|_| compared.is_some())),
            );
            Score {
                lift_over_parent: over_parent.as_deref().map(by_group),
                lift_over_parent_without_repeats: over_parent.as_ref().map(|lifts| lifts[WITHOUT_REPEATS]),
                headroom: if is_below { ceilings.iter().filter_map(headroom).collect() } else { Vec::new() },
                slices: of_slices,
                ..common(of_parts, &areas_of_users[at], compared.map(|base| &areas_of_users[base]))
            }
        };
        (0..all.len()).map(score).collect()
    }

    fn areas_of_users(&self, predictions: &[f32]) -> UserAreas {
        UserAreas::new(predictions, &self.labels, &self.users)
    }

    fn rank(&self, predictions: &[f32]) -> Ranking {
        assert_eq!(predictions.len(), self.len(), "one prediction a test row");
        Ranking::new(predictions)
    }

    /// All rows; low-active beside high-active users' rows; rows but for repeats beside repeats; rows of seen items beside the
    /// others: the order of [`by_group`], then [`WITHOUT_REPEATS`] and [`SEEN_ITEMS`].
    fn parts(&self, users: &Users) -> Partitions<4> {
        Partitions::new(&self.labels, users, 7, |row| {
            let repeat = self.repeat[row];
            [
                0,
                if self.low_active[row] { 1 } else { 2 },
                WITHOUT_REPEATS as u8 + u8::from(repeat),
                SEEN_ITEMS as u8 + u8::from(!self.seen[row]),
            ]
        })
    }

    /// Rows by decile, by popularity of the item, by rows of the user, by rows of the item, those of items that were seen in
    /// training but are new to the user, and those of users with few rows: the order of [`slices`].
    fn slices(&self, users: &Users) -> Partitions<6> {
        Partitions::new(&self.labels, users, usize::from(MANY_ROWS) + 1, |row| {
            let seen_and_new = self.seen[row] && !self.repeat[row];
            [
                self.decile[row],
                if self.tail[row] { TAIL_ITEMS } else { HEAD_ITEMS },
                USER_ROWS + self.user_rows[row] as u8,
                ITEM_ROWS + self.item_rows[row] as u8,
                if seen_and_new { SEEN_AND_NEW } else { NOT_SEEN_AND_NEW },
                if self.user_rows[row] == Earlier::More { MANY_ROWS } else { FEW_ROWS },
            ]
        })
    }
}

/// What the probe set and the whole test have in common, of a model's areas and lifts of [`TestRows::parts`], its users' areas and those
/// of its baseline.
fn common((areas, lifts): (Vec<Auc>, Option<Vec<Lift>>), own: &UserAreas, base: Option<&UserAreas>) -> Score {
    Score {
        auc: by_group(&areas),
        gauc: own.gauc(),
        gauc_lift: base.map(|base| own.lift_over(base)),
        auc_without_repeats: areas[WITHOUT_REPEATS],
        auc_seen_items: areas[SEEN_ITEMS],
        lift: lifts.as_deref().map(by_group),
        lift_without_repeats: lifts.as_ref().map(|lifts| lifts[WITHOUT_REPEATS]),
        ..Score::default()
    }
}

/// The slices in the order of their parts.
fn slices() -> impl Iterator<Item = Slice> {
    let items = [Slice::TailItems, Slice::HeadItems];
    let earlier = EARLIER.map(Slice::UserRows).into_iter().chain(EARLIER.map(Slice::ItemRows));
    (0..DECILES).map(Slice::Decile).chain(items).chain(earlier).chain([Slice::SeenAndNew, Slice::FewUserRows])
}

/// The compared variant that another one adds something to.
fn parent_of(at: usize, variants: &[Variant]) -> Option<usize> {
    let below = variants[at].parent()?;
    variants.iter().position(|&variant| variant == below)
}

fn by_group<T: Copy>(parts: &[T]) -> ByGroup<T> {
    ByGroup { all: parts[0], low: parts[1], high: parts[2] }
}

/// Areas and, where there is a baseline, lifts of all parts.
fn areas_and_lifts<const P: usize>(
    own: &Ranking,
    partitions: &Partitions<P>,
    baseline: Option<&[[f64; P]]>,
) -> (Vec<Auc>, Option<Vec<Lift>>) {
    let Some(baseline) = baseline else { return (own.areas(partitions), None) };
    let (areas, lifts) = own.areas_and_lifts(partitions, baseline);
    (areas, Some(lifts))
}

fn slice_scores(own: &Ranking, partitions: &Partitions<6>, baseline: Option<&[[f64; 6]]>) -> Vec<SliceScore> {
    let (areas, lifts) = areas_and_lifts(own, partitions, baseline);
    let score = |(part, slice)| SliceScore { slice, auc: areas[part], lift: lifts.as_ref().map(|lifts| lifts[part]) };
    slices().enumerate().filter(|&(part, _)| partitions.has_both_classes(part)).map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Counter, Stream};

    /// Test rows at random, and predictions of some models on a grid of 1/8, so that there are ties.
    fn rows(n: usize, models: u64) -> (TestRows, Vec<Vec<f32>>) {
        let draw = |lane| Counter::new(3, Stream::Choices).lane(lane);
        let flag = |lane, share: f64| (0..n as u64).map(|i| draw(lane).uniform(i) < share).collect::<Vec<bool>>();
        let steps = |lane| (0..n as u64).map(|i| earlier(draw(lane).below(i, 14) as u32)).collect::<Vec<Earlier>>();
        let labels: Vec<bool> = (0..n).map(|i| i % 2 == 0).collect();
        let rows = TestRows {
            users: (0..n as u64).map(|i| draw(0).below(i / 2, 40) as u32).collect(),
            low_active: flag(1, 0.3),
            repeat: flag(2, 0.2).iter().zip(&labels).map(|(&repeat, &positive)| repeat && positive).collect(),
            seen: flag(3, 0.7),
            decile: (0..n as u64).map(|i| draw(4).below(i, 10) as u8).collect(),
            tail: flag(5, 0.6),
            user_rows: steps(6),
            item_rows: steps(7),
            labels,
        };
        let score = |lane, i: usize| draw(lane).normal(i as u64) + if rows.labels[i] { 0.8 } else { 0.0 };
        let predictions = (0..models).map(|m| (0..n).map(|i| ((score(8 + m, i) * 8.0).round() / 8.0) as f32).collect()).collect();
        (rows, predictions)
    }

    fn close(own: f64, naive: f64) {
        assert!((own - naive).abs() < 1e-12, "{own} is not {naive}");
    }

    /// Compares area and lift with those from all pairs of the kept rows alone.
    fn check(rows: &TestRows, keep: &dyn Fn(usize) -> bool, own: &[f32], auc: Auc, against: Option<(&[f32], Lift)>) {
        let kept: Vec<usize> = (0..rows.len()).filter(|&row| keep(row)).collect();
        let of = |predictions: &[f32]| kept.iter().map(|&row| predictions[row]).collect::<Vec<f32>>();
        let labels: Vec<bool> = kept.iter().map(|&row| rows.labels[row]).collect();
        let users: Vec<u32> = kept.iter().map(|&row| rows.users[row]).collect();
        close(auc.value, naive::quadratic(&of(own), &labels));
        close(auc.standard_error, naive::clustered_area(&of(own), &labels, &users));
        let positives = labels.iter().filter(|label| **label).count() as u64;
        assert_eq!((auc.positives, auc.negatives), (positives, labels.len() as u64 - positives));
        if let Some((baseline, lift)) = against {
            let expected = naive::clustered(&of(baseline), &of(own), &labels, &users);
            close(lift.value, expected.value);
            close(lift.standard_error, expected.standard_error);
        }
    }

    fn check_groups(rows: &TestRows, own: &[f32], auc: ByGroup<Auc>, against: Option<(&[f32], ByGroup<Lift>)>) {
        check(rows, &|_| true, own, auc.all, against.map(|(base, lift)| (base, lift.all)));
        check(rows, &|row| rows.low_active[row], own, auc.low, against.map(|(base, lift)| (base, lift.low)));
        check(rows, &|row| !rows.low_active[row], own, auc.high, against.map(|(base, lift)| (base, lift.high)));
    }

    #[test]
    fn a_score_is_the_measures_of_the_subsets() {
        let (rows, models) = rows(600, 2);
        let (base, own) = (&models[0], &models[1]);
        let score = rows.score(own, Some(base));
        check_groups(&rows, own, score.auc, Some((base, score.lift.unwrap())));
        let against = Some((base.as_slice(), score.lift_without_repeats.unwrap()));
        check(&rows, &|row| !rows.repeat[row], own, score.auc_without_repeats, against);
        check(&rows, &|row| rows.seen[row], own, score.auc_seen_items, None);
        assert_eq!(score.gauc, gauc(own, &rows.labels, &rows.users));
        assert_eq!(score.gauc_lift, Some(gauc_lift(base, own, &rows.labels, &rows.users)));
        let alone = rows.score(own, None);
        assert_eq!((alone.lift, alone.auc), (None, score.auc));
        assert!(alone.lift_without_repeats.is_none() && alone.gauc_lift.is_none());
        assert!(score.lift_over_parent.is_none() && score.lift_over_parent_without_repeats.is_none() && score.slices.is_empty());
    }

    #[test]
    fn the_whole_test_is_scored_by_slice_against_the_baseline_and_the_parent() {
        let (rows, models) = rows(900, 5);
        // The baseline is the first that is trained, not the first. It is the parent of UIE; that of k-means is not compared.
        let variants = [Variant::Popularity, Variant::Ple, Variant::Upbe, Variant::Uie, Variant::KMeansCentres];
        let scores = rows.score_whole(&models, &variants);
        let have_parents: Vec<bool> = scores.iter().map(|score| score.lift_over_parent.is_some()).collect();
        assert_eq!(have_parents, [false, false, true, false, false], "of UPBE over UIE alone");
        check_groups(&rows, &models[2], scores[2].auc, Some((&models[3], scores[2].lift_over_parent.unwrap())));
        let fresh = (models[3].as_slice(), scores[2].lift_over_parent_without_repeats.unwrap());
        check(&rows, &|row| !rows.repeat[row], &models[2], scores[2].auc_without_repeats, Some(fresh));
        for (at, (score, own)) in scores.iter().zip(&models).enumerate() {
            let base = &models[1];
            let expected = rows.score(own, (at != 1).then_some(base));
            assert_eq!(
                Score { lift_over_parent: None, lift_over_parent_without_repeats: None, slices: Vec::new(), ..score.clone() },
                expected
            );
            assert_eq!(score.slices.len(), 24);
            for slice in &score.slices {
                let keep = |row: usize| match slice.slice {
                    Slice::Decile(decile) => rows.decile[row] == decile,
                    Slice::TailItems => rows.tail[row],
                    Slice::HeadItems => !rows.tail[row],
                    Slice::UserRows(step) => rows.user_rows[row] == step,
                    Slice::ItemRows(step) => rows.item_rows[row] == step,
                    Slice::SeenAndNew => rows.seen[row] && !rows.repeat[row],
                    Slice::FewUserRows => rows.user_rows[row] != Earlier::More,
                };
                assert_eq!(slice.lift.is_some(), at != 1);
                check(&rows, &keep, own, slice.auc, slice.lift.map(|lift| (base.as_slice(), lift)));
            }
        }
        let distinct: std::collections::BTreeSet<Slice> = scores[0].slices.iter().map(|slice| slice.slice).collect();
        assert_eq!(distinct.len(), 24);
    }

    #[test]
    fn slices_without_both_classes_are_left_out_and_rules_alone_have_no_baseline() {
        let (mut rows, models) = rows(200, 1);
        for row in 0..200 {
            rows.tail[row] = rows.labels[row];
            rows.decile[row] = 3;
        }
        let scores = rows.score_whole(&models, &[Variant::Popularity]);
        assert!(scores[0].lift.is_none() && scores[0].slices.iter().all(|slice| slice.lift.is_none()));
        let slices: Vec<Slice> = scores[0].slices.iter().map(|slice| slice.slice).collect();
        assert_eq!(slices[..2], [Slice::Decile(3), Slice::UserRows(Earlier::None)]);
        assert_eq!((baseline_of(&[]), baseline_of(&[Variant::CategoryRepeat, Variant::Duia])), (None, Some(1)));
    }

    #[test]
    fn a_request_becomes_a_row_a_candidate_and_padding_is_left_out() {
        let batch = Batch {
            requests: 3,
            candidates: 2,
            valid: 2,
            user: vec![5, 9, 5],
            low_active: vec![true, false, true],
            user_rows: vec![0, 7, 0],
            item: vec![10, 11, 12, 13, 10, 11],
            item_rows: vec![11, 10, 5, 2, 11, 10],
            labels: [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]].concat(),
            repeat: vec![true, false, false, false, true, false],
            seen: vec![false, true, true, true, false, true],
            ..Batch::default()
        };
        let mut rows = TestRows::default();
        assert!(rows.is_empty());
        for _ in 0..2 {
            rows.push_by(&batch, |user| (user / 5) as u8, |item| item == 12);
        }
        assert_eq!(rows.len(), 8);
        let twice = |once: &[bool]| [once, once].concat();
        assert_eq!(rows.users, [5, 5, 9, 9, 5, 5, 9, 9]);
        assert_eq!(rows.labels, twice(&[true, false, false, true]));
        assert_eq!(rows.low_active, twice(&[true, true, false, false]));
        assert_eq!((rows.repeat, rows.seen), (twice(&[true, false, false, false]), twice(&[false, true, true, true])));
        assert_eq!((rows.tail, &rows.decile[..4]), (twice(&[false, false, true, false]), &[1, 1, 1, 1][..]));
        assert_eq!(rows.user_rows[..4], [Earlier::None, Earlier::None, Earlier::UpTo10, Earlier::UpTo10]);
        assert_eq!(rows.item_rows[4..], [Earlier::More, Earlier::UpTo10, Earlier::UpTo5, Earlier::UpTo2]);
    }

    #[test]
    fn no_rows_score_nothing() {
        let score = TestRows::default().score(&[], Some(&[]));
        assert!(score.auc.all.value.is_nan() && score.gauc.value.is_nan() && score.lift.unwrap().all.value.is_nan());
        let whole = TestRows::default().score_whole(&[Vec::new()], &[Variant::Ple]);
        assert!(whole[0].slices.is_empty() && whole[0].auc.all.value.is_nan());
        assert!(TestRows::default().score_whole(&[], &[]).is_empty());
    }
}
