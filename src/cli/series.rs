//! Everything that was measured on the way, one figure a line.
//!
//! `series.csv` has the columns `step,variant,metric,value,standard_error,positives`. There is no time in it: on the CPU
//! equal configurations give equal bytes. A variant is its key in configurations. A figure that does not exist (an area
//! with one class missing) is empty, and so are the error and the positives of a figure that has none. Metrics:
//!
//! - `panel.*` on the probe set of live curves, `test.*` on the whole test set at the end: `auc.all`, `auc.low`, `auc.high`
//!   (low-active and high-active users), `auc.without_repeats`, `auc.seen_items`, `gauc`, and `lift.all`, `lift.low`,
//!   `lift.high`, `lift.without_repeats`, `lift.gauc`, the paired difference from the first variant; all errors are clustered by
//!   user;
//! - `streaming.*`, the same as `test.*` but for clusters: the test set once more, each batch scored and then trained on;
//! - `test.rung.*` by group and without repeats: the paired difference from the variant that this one adds something to, where that one was compared
//!   and is not the first;
//! - `test.auc.PART` and `test.lift.PART` over parts of the test: `decile.0` (the least active tenth of the users) to
//!   `decile.9`, `tail_items`, `head_items`, `seen_and_new` (items seen in training, new to the user), and `user_rows.N` and `item_rows.N`, where the user or the item had N rows
//!   before: `0`, `1-2`, `3-5`, `6-10`, `11+`, of the user also `0-10`;
//! - `test.share.CEILING.PART`, by group, without repeats and over those parts: the difference from the first variant over that of
//!   `CEILING`, a variant that is told the truth;
//! - `loss_mtl` and the other losses of Eq. 15 before their weights;
//! - `panel.clusters.SIDE.*`, `test.clusters.SIDE.*`, the sides being `users` and `items`: `positives`, `hit_rate_1`,
//!   `hit_rate_2`, `perplexity_1`, `perplexity_2` (over the number of centres), `top_share`, `relative_error`,
//!   `stopped.all`, `stopped.low`, `stopped.high`, and on the synthetic stream `nmi` and `purity`;
//! - `reseeded.SIDE.1`, `reseeded.SIDE.2`: centres of a level born again at a step, the first fill not counted.

use std::fmt::Write;

use duia::data::Side;
use duia::metrics::{Auc, ByGroup, ClusterHealth, Earlier, Evaluation, Headroom, Lift, Losses, Slice, TestKind};
use duia::variants::Variant;
use serde::{Deserialize, Deserializer, Serialize};

/// One figure of one variant at one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub step: u64,
    pub variant: Variant,
    pub metric: String,
    /// NaN, which JSON writes as null, where it does not exist.
    #[serde(deserialize_with = "or_nan")]
    pub value: f64,
    pub standard_error: Option<f64>,
    /// Positives that an area was computed on.
    pub positives: Option<u64>,
}

fn or_nan<'de, D: Deserializer<'de>>(json: D) -> Result<f64, D::Error> {
    Option::deserialize(json).map(|value| value.unwrap_or(f64::NAN))
}

/// All figures in the order in which they were measured.
#[derive(Clone, Debug, Default)]
pub struct Series {
    points: Vec<Point>,
    whole: bool,
}

impl Series {
    /// All figures.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The figures of a variant's metric, in order of steps.
    pub fn of<'a>(&'a self, variant: Variant, metric: &'a str) -> impl Iterator<Item = &'a Point> {
        self.points.iter().filter(move |point| point.variant == variant && point.metric == metric)
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The file.
    pub fn to_csv(&self) -> String {
        let mut text = String::from("step,variant,metric,value,standard_error,positives\n");
        for Point { step, variant, metric, value, standard_error, positives } in &self.points {
            let number = |value: f64| if value.is_finite() { value.to_string() } else { String::new() };
            let error = standard_error.map(number).unwrap_or_default();
            let positives = positives.map(|count| count.to_string()).unwrap_or_default();
            let _ = writeln!(text, "{step},{},{metric},{},{error},{positives}", variant.key(), number(*value));
        }
        text
    }

    /// Adds the scores of an evaluation. The clusters that follow that of the whole test set are of the whole test set.
    pub fn add_evaluation(&mut self, variants: &[Variant], evaluation: &Evaluation) {
        let set = match evaluation.kind {
            TestKind::Streaming => "streaming",
            TestKind::ProbeSet | TestKind::Whole => {
                self.whole = evaluation.kind == TestKind::Whole;
                self.set()
            }
        };
        for (&variant, score) in variants.iter().zip(&evaluation.scores) {
            let mut add = |metric: String, value, standard_error, positives| {
                let metric = format!("{set}.{metric}");
                self.points.push(Point { step: evaluation.step, variant, metric, value, standard_error, positives });
            };
            let groups = by_group(&score.auc).map(|(group, auc)| (group.to_owned(), *auc));
            let subsets = [("without_repeats", score.auc_without_repeats), ("seen_items", score.auc_seen_items)];
            let parts = score.slices.iter().map(|part| (slice_key(part.slice), part.auc));
            for (name, auc) in groups.into_iter().chain(subsets.map(|(name, auc)| (name.to_owned(), auc))).chain(parts) {
                let Auc { value, standard_error, positives, .. } = auc;
                add(format!("auc.{name}"), value, Some(standard_error), Some(positives));
            }
            add("gauc".into(), score.gauc.value, Some(score.gauc.standard_error), None);
            for (what, lifts) in [("lift", score.lift), ("rung", score.lift_over_parent)] {
                for (group, lift) in lifts.iter().flat_map(by_group) {
                    add(format!("{what}.{group}"), lift.value, Some(lift.standard_error), None);
                }
            }
            for (what, lift) in [("lift", score.lift_without_repeats), ("rung", score.lift_over_parent_without_repeats)] {
                if let Some(Lift { value, standard_error }) = lift {
                    add(format!("{what}.without_repeats"), value, Some(standard_error), None);
                }
            }
            if let Some(Lift { value, standard_error }) = score.gauc_lift {
                add("lift.gauc".into(), value, Some(standard_error), None);
            }
            for Headroom { ceiling, share, without_repeats, slices } in &score.headroom {
                let groups = by_group(share).map(|(group, share)| (group.to_owned(), *share));
                let parts = slices.iter().map(|(slice, share)| (slice_key(*slice), *share));
                for (name, share) in groups.into_iter().chain([("without_repeats".to_owned(), *without_repeats)]).chain(parts) {
                    add(format!("share.{}.{name}", ceiling.key()), share.value, Some(share.standard_error), None);
                }
            }
            for (slice, Lift { value, standard_error }) in score.slices.iter().filter_map(|part| Some((part.slice, part.lift?))) {
                add(format!("lift.{}", slice_key(slice)), value, Some(standard_error), None);
            }
        }
    }

    /// Adds the losses of a step.
    pub fn add_losses(&mut self, variants: &[Variant], step: u64, losses: &[Losses]) {
        for (&variant, losses) in variants.iter().zip(losses) {
            for (name, value) in losses.named() {
                self.add(step, variant, name.into(), value.into());
            }
        }
    }

    /// Adds a state of clusters.
    pub fn add_clusters(&mut self, health: &ClusterHealth) {
        let of = format!("{}.clusters.{}", self.set(), side_key(health.side));
        let mut add = |metric: &str, value| self.add(health.step, health.variant, format!("{of}.{metric}"), value);
        add("positives", health.positives as f64);
        add("hit_rate_1", health.hit_rate_1);
        add("hit_rate_2", health.hit_rate_2);
        add("perplexity_1", health.perplexity_1);
        add("perplexity_2", health.perplexity_2);
        add("top_share", health.top_share);
        add("relative_error", health.relative_error);
        for (group, share) in by_group(&health.stopped) {
            add(&format!("stopped.{group}"), *share);
        }
        for (name, value) in [("nmi", health.nmi), ("purity", health.purity)] {
            if let Some(value) = value {
                add(name, value);
            }
        }
    }

    /// Adds centres that were born again, `[level 1, level 2]`.
    pub fn add_reseeded(&mut self, variant: Variant, side: Side, step: u64, centres: [usize; 2]) {
        for (level, count) in (1..).zip(centres) {
            self.add(step, variant, format!("reseeded.{}.{level}", side_key(side)), count as f64);
        }
    }

    fn set(&self) -> &'static str {
        if self.whole { "test" } else { "panel" }
    }

    fn add(&mut self, step: u64, variant: Variant, metric: String, value: f64) {
        self.points.push(Point { step, variant, metric, value, standard_error: None, positives: None });
    }
}

/// All users, low-active and high-active users, with their names in metrics.
fn by_group<T>(figures: &ByGroup<T>) -> [(&'static str, &T); 3] {
    [("all", &figures.all), ("low", &figures.low), ("high", &figures.high)]
}

/// Whose clusters, in metrics.
pub fn side_key(side: Side) -> &'static str {
    match side {
        Side::Users => "users",
        Side::Items => "items",
    }
}

/// A part of the test, in metrics.
pub fn slice_key(slice: Slice) -> String {
    match slice {
        Slice::Decile(decile) => format!("decile.{decile}"),
        Slice::TailItems => "tail_items".into(),
        Slice::HeadItems => "head_items".into(),
        Slice::SeenAndNew => "seen_and_new".into(),
        Slice::FewUserRows => "user_rows.0-10".into(),
        Slice::UserRows(earlier) => format!("user_rows.{}", earlier_key(earlier)),
        Slice::ItemRows(earlier) => format!("item_rows.{}", earlier_key(earlier)),
    }
}

/// A step of A21 as the rows it stands for.
pub fn earlier_key(earlier: Earlier) -> &'static str {
    match earlier {
        Earlier::None => "0",
        Earlier::UpTo2 => "1-2",
        Earlier::UpTo5 => "3-5",
        Earlier::UpTo10 => "6-10",
        Earlier::More => "11+",
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use duia::metrics::{Gauc, Score, SliceScore};

    fn health(step: u64, nmi: Option<f64>) -> ClusterHealth {
        ClusterHealth { step, hit_rate_1: 0.5, nmi, ..example::health(Variant::Uie, Side::Users) }
    }

    #[test]
    fn the_file_is_long_and_leaves_empty_what_does_not_exist() {
        let variants = [Variant::Ple, Variant::Uie];
        let mut series = Series::default();
        series.add_losses(
            &variants,
            3,
            &[[("loss_mtl", 0.5)].into_iter().collect(), [("loss_mtl", 0.25), ("loss_uie_l1", 2.0)].into_iter().collect()],
        );
        let area = |value, standard_error| Auc { value, standard_error, positives: 8, negatives: 9 };
        let lift = Lift { value: 0.25, standard_error: 0.125 };
        let scored =
            Score { auc: ByGroup { all: area(0.75, 0.125), low: area(f64::NAN, f64::NAN), ..ByGroup::default() }, ..Score::default() };
        series.add_evaluation(&variants, &Evaluation { step: 4, kind: TestKind::ProbeSet, scores: vec![scored.clone()] });
        series.add_clusters(&health(4, Some(0.5)));
        let lift_over_parent = Some(ByGroup { low: lift, ..ByGroup::default() });
        let slices = vec![SliceScore { slice: Slice::UserRows(Earlier::UpTo2), auc: area(0.5, 0.25), lift: Some(lift) }];
        let gauc = Gauc { value: 0.75, standard_error: 0.25, users: 3 };
        let whole = Score { lift_over_parent, slices, gauc, gauc_lift: Some(lift), ..scored };
        series.add_evaluation(&variants, &Evaluation { step: 9, kind: TestKind::Whole, scores: vec![whole.clone()] });
        series.add_clusters(&health(9, None));
        series.add_evaluation(&variants, &Evaluation { step: 9, kind: TestKind::Streaming, scores: vec![whole] });
        let text = series.to_csv();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["step,variant,metric,value,standard_error,positives", "3,ple,loss_mtl,0.5,,", "3,uie,loss_mtl,0.25,,"]);
        for line in [
            "3,uie,loss_uie_l1,2,,",
            "4,ple,panel.auc.all,0.75,0.125,8",
            "4,ple,panel.auc.low,,,8",
            "4,uie,panel.clusters.users.nmi,0.5,,",
            "9,ple,test.auc.all,0.75,0.125,8",
            "9,ple,test.rung.low,0.25,0.125,",
            "9,ple,test.gauc,0.75,0.25,",
            "9,ple,test.lift.gauc,0.25,0.125,",
            "9,ple,streaming.auc.all,0.75,0.125,8",
            "9,ple,streaming.rung.low,0.25,0.125,",
            "9,ple,test.auc.user_rows.1-2,0.5,0.25,8",
            "9,ple,test.lift.user_rows.1-2,0.25,0.125,",
            "9,uie,test.clusters.users.hit_rate_1,0.5,,",
        ] {
            assert!(lines.contains(&line), "{line} in {text}");
        }
        assert!(lines.iter().all(|line| line.split(',').count() == 6));
        assert!(!text.contains("9,uie,test.clusters.users.nmi"));
        assert_eq!(series.of(Variant::Ple, "panel.auc.all").count(), 1);
    }

    #[test]
    fn a_point_survives_json_though_it_does_not_exist() {
        let point = Point {
            step: 1,
            variant: Variant::Duia,
            metric: "test.auc.low".into(),
            value: f64::NAN,
            standard_error: None,
            positives: Some(0),
        };
        let back: Point = serde_json::from_str(&serde_json::to_string(&point).unwrap()).unwrap();
        assert!(back.value.is_nan() && back.positives == Some(0) && back.variant == Variant::Duia);
    }
}
