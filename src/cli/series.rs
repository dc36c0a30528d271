//! Everything that was measured on the way, one figure a line.
//!
//! `series.csv` has the columns `step,variant,metric,value,standard_error`. There is no time in it: on the CPU equal
//! configurations give equal bytes. A figure that does not exist (an area with one class missing) is empty, and so is the
//! error of a figure that has none. Metrics:
//!
//! - `panel.*` on the panel of live curves, `test.*` on the whole test set at the end: `auc.all`, `auc.low`, `auc.high`
//!   (low-active and high-active users), `auc.without_repeats`, `auc.seen_items`, `gauc`, and `lift.all`, `lift.low`,
//!   `lift.high`, the paired difference from the first variant;
//! - `loss.mtl`, `loss.auxiliary`, `loss.uie_1`, `loss.uie_2`: the losses of Eq. 15 before their weights;
//! - `panel.clusters.*`, `test.clusters.*` of the variant that clusters: `positives`, `hit_rate_1`, `hit_rate_2`,
//!   `perplexity_1`, `perplexity_2` (over the number of centres), `top_share`, `relative_error`, `stopped.all`,
//!   `stopped.low`, `stopped.high`, and on the synthetic stream `nmi` and `purity`;
//! - `reseeded_1`, `reseeded_2`: centres born again at a step, the first fill not counted.

use std::fmt::Write;

use duia::config::Variant;
use duia::message::{Auc, ByGroup, ClusterHealth, Evaluation, Lift, Losses};

/// One figure of one variant at one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub step: u64,
    pub variant: Variant,
    pub metric: String,
    pub value: f64,
    pub standard_error: Option<f64>,
}

/// All figures in the order in which they were measured.
#[derive(Clone, Debug, Default)]
pub struct Series {
    points: Vec<Point>,
    whole: bool,
}

impl Series {
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
        let mut text = String::from("step,variant,metric,value,standard_error\n");
        for Point { step, variant, metric, value, standard_error } in &self.points {
            let number = |value: f64| if value.is_finite() { value.to_string() } else { String::new() };
            let error = standard_error.map(number).unwrap_or_default();
            let _ = writeln!(text, "{step},{},{metric},{},{error}", variant.name(), number(*value));
        }
        text
    }

    /// Adds the scores of an evaluation. The clusters that follow that of the whole test set are of the whole test set.
    pub fn add_evaluation(&mut self, variants: &[Variant], evaluation: &Evaluation) {
        self.whole = evaluation.whole;
        let set = self.set();
        for (&variant, score) in variants.iter().zip(&evaluation.scores) {
            let mut add = |metric: &str, value, error| self.add(evaluation.step, variant, format!("{set}.{metric}"), value, error);
            for (group, Auc { value, standard_error, .. }) in by_group(&score.auc) {
                add(&format!("auc.{group}"), *value, Some(*standard_error));
            }
            for (name, area) in [("without_repeats", score.auc_without_repeats), ("seen_items", score.auc_seen_items)] {
                add(&format!("auc.{name}"), area.value, Some(area.standard_error));
            }
            add("gauc", score.gauc, None);
            for (group, Lift { value, standard_error }) in score.lift.iter().flat_map(by_group) {
                add(&format!("lift.{group}"), *value, Some(*standard_error));
            }
        }
    }

    /// Adds the losses of a step.
    pub fn add_losses(&mut self, variants: &[Variant], step: u64, losses: &[Losses]) {
        for (&variant, loss) in variants.iter().zip(losses) {
            let parts = [("mtl", Some(loss.mtl)), ("auxiliary", loss.auxiliary), ("uie_1", loss.uie_l1), ("uie_2", loss.uie_l2)];
            for (name, value) in parts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                self.add(step, variant, format!("loss.{name}"), value.into(), None);
            }
        }
    }

    /// Adds the state of the clusters of `variant`.
    pub fn add_clusters(&mut self, variant: Variant, health: &ClusterHealth) {
        let set = self.set();
        let mut add = |metric: &str, value| self.add(health.step, variant, format!("{set}.clusters.{metric}"), value, None);
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

    /// Adds centres that were born again.
    pub fn add_reseeded(&mut self, variant: Variant, step: u64, centres: usize, children: usize) {
        self.add(step, variant, "reseeded_1".into(), centres as f64, None);
        self.add(step, variant, "reseeded_2".into(), children as f64, None);
    }

    fn set(&self) -> &'static str {
        if self.whole { "test" } else { "panel" }
    }

    fn add(&mut self, step: u64, variant: Variant, metric: String, value: f64, standard_error: Option<f64>) {
        self.points.push(Point { step, variant, metric, value, standard_error });
    }
}

fn by_group<T>(figures: &ByGroup<T>) -> [(&'static str, &T); 3] {
    [("all", &figures.all), ("low", &figures.low), ("high", &figures.high)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use duia::message::Score;

    #[test]
    fn the_file_is_long_and_leaves_empty_what_does_not_exist() {
        let variants = [Variant::Ple, Variant::Uie];
        let mut series = Series::default();
        series.add_losses(
            &variants,
            3,
            &[Losses { mtl: 0.5, ..Losses::default() }, Losses { mtl: 0.25, uie_l1: Some(2.0), ..Losses::default() }],
        );
        let area = |value, standard_error| Auc { value, standard_error, ..Auc::default() };
        let scored =
            Score { auc: ByGroup { all: area(0.75, 0.125), low: area(f64::NAN, f64::NAN), ..ByGroup::default() }, ..Score::default() };
        series.add_evaluation(&variants, &Evaluation { step: 4, whole: false, scores: vec![scored.clone()] });
        series.add_clusters(Variant::Uie, &ClusterHealth { step: 4, nmi: Some(0.5), ..ClusterHealth::default() });
        series.add_evaluation(&variants, &Evaluation { step: 9, whole: true, scores: vec![scored] });
        series.add_clusters(Variant::Uie, &ClusterHealth { step: 9, ..ClusterHealth::default() });
        let text = series.to_csv();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["step,variant,metric,value,standard_error", "3,PLE,loss.mtl,0.5,", "3,PLE+UIE,loss.mtl,0.25,"]);
        for line in [
            "3,PLE+UIE,loss.uie_1,2,",
            "4,PLE,panel.auc.all,0.75,0.125",
            "4,PLE,panel.auc.low,,",
            "4,PLE+UIE,panel.clusters.nmi,0.5,",
            "9,PLE,test.auc.all,0.75,0.125",
            "9,PLE+UIE,test.clusters.hit_rate_1,0,",
        ] {
            assert!(lines.contains(&line), "{line} in {text}");
        }
        assert!(lines.iter().all(|line| line.split(',').count() == 5));
        assert!(!text.contains("9,PLE+UIE,test.clusters.nmi"));
        assert_eq!(series.of(Variant::Ple, "panel.auc.all").count(), 1);
    }
}
