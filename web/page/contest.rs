//! What the figures of a run say of its models: areas under the curve, the difference that is paired, and what may be concluded.
//!
//! Curves are of the probe set, a part of the test; the final test is of the whole test set. Wherever a figure of one stands where
//! the other could be meant, it says which it is.

use duia::metrics::{Auc, ByGroup, Evaluation, Lift, TestKind};
use duia::variants::Variant;
use leptos::prelude::*;

use crate::chart::{Dash, Ink, Line, Marker, Style};
use crate::run::{Role, Run};
use crate::text;

/// Standard errors of a 95 % interval.
pub const WIDTH_95: f64 = 1.96;

/// A group of users that the race is shown for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Everybody.
    All,
    /// The least active.
    Low,
    /// All others.
    High,
}

impl Group {
    /// All, the one that the story is about first.
    pub const ALL: [Self; 3] = [Self::Low, Self::High, Self::All];

    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "All users",
            Self::Low => "Low-active users",
            Self::High => "High-active users",
        }
    }

    /// As the headline says it.
    pub fn short(self) -> &'static str {
        match self {
            Self::All => "All users",
            Self::Low => "Quiet users",
            Self::High => "Active users",
        }
    }

    /// In test ids and files.
    pub fn key(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Low => "low",
            Self::High => "high",
        }
    }

    /// Its colour.
    pub fn ink(self) -> Ink {
        match self {
            Self::All => Ink::Plain,
            Self::Low => Ink::Low,
            Self::High => Ink::High,
        }
    }

    /// Its part of a figure.
    pub fn of<T: Copy>(self, by_group: &ByGroup<T>) -> T {
        match self {
            Self::All => by_group.all,
            Self::Low => by_group.low,
            Self::High => by_group.high,
        }
    }
}

/// The baseline is plain and dashed, what is set against it has the group's hue and is drawn through, and each of the others has
/// a hue, a dash and a marker that only together repeat.
pub fn style(role: Role, front: Ink) -> Style {
    match role {
        Role::Baseline => Style::dashed(Ink::Plain),
        Role::Rival => Style::solid(front),
        Role::Ceiling => Style { ink: Ink::Plain, dash: Dash::Solid, marker: Marker::Cross },
        Role::Other(n) => Style {
            ink: Ink::Model(n),
            dash: [Dash::Long, Dash::Dotted, Dash::Short][n % 3],
            marker: [Marker::Diamond, Marker::Triangle, Marker::Cross, Marker::Square][n % 4],
        },
    }
}

/// A run on the shelf, by its name: in the background, as models there are.
pub fn shelved(name: &str) -> Style {
    let place = name.bytes().next().map_or(0, |letter| usize::from(letter - b'A'));
    style(Role::Other(place), Ink::Plain)
}

/// A line of each model: those of the background first and thin, then the baseline, and what is set against it in front.
pub fn lines(models: impl Iterator<Item = (usize, Role)>, line: impl Fn(usize, Role) -> Line) -> Vec<Line> {
    let mut lines: Vec<(Role, Line)> = models.map(|(at, role)| (role, line(at, role))).collect();
    lines.sort_by_key(|(role, _)| match role {
        Role::Other(_) | Role::Ceiling => 0,
        Role::Baseline => 1,
        Role::Rival => 2,
    });
    let weigh = |(role, line): (Role, Line)| if matches!(role, Role::Other(_) | Role::Ceiling) { line.thin() } else { line };
    lines.into_iter().map(weigh).collect()
}

/// The newest figures that a verdict may rest on, or those of the past that is on show. A streaming test scores models that train on it, so it is none.
pub fn newest(run: Run) -> Option<Evaluation> {
    let is_meant = |evaluation: &&Evaluation| evaluation.kind != TestKind::Streaming && run.is_shown(evaluation.step);
    run.evaluations.with(|series| series.iter().rfind(is_meant).cloned())
}

/// Steps of the whole run.
pub fn total(run: Run) -> f64 {
    run.progress.with(|progress| progress.steps) as f64
}

/// The place in the race of what is set against the baseline.
pub fn rival(run: Run) -> Option<usize> {
    run.roles().iter().position(|(_, role)| *role == Role::Rival)
}

/// The model that is set against the baseline.
pub fn rival_model(run: Run) -> Option<Variant> {
    run.roles().into_iter().find(|(_, role)| *role == Role::Rival).map(|(variant, _)| variant)
}

/// A model against the baseline.
pub fn lift_of(evaluation: &Evaluation, at: usize, group: Group) -> Option<Lift> {
    evaluation.scores.get(at)?.lift.as_ref().map(|lift| group.of(lift))
}

/// The newest difference, and what may be said of it.
#[derive(Clone, Default, PartialEq)]
pub struct Verdict {
    /// The difference with its interval, in figures.
    pub text: String,
    /// What may be said.
    pub judgement: &'static str,
    /// On which rows it was measured.
    pub measured_on: String,
    /// Whether that is the whole test set.
    pub is_final: bool,
}

/// The newest difference with its interval, what may be said of it, and on which rows it was measured.
pub fn verdict(run: Run, group: Group) -> Verdict {
    let rival = rival(run);
    let measured = newest(run).and_then(|evaluation| {
        let lift = lift_of(&evaluation, rival?, group).filter(|lift| lift.value.is_finite())?;
        Some((lift, evaluation))
    });
    let Some((lift, evaluation)) = measured else {
        return Verdict { text: "not measured yet".into(), ..Verdict::default() };
    };
    let half = WIDTH_95 * lift.standard_error;
    let (low, high) = (lift.value - half, lift.value + half);
    let judgement = match (low > 0.0, high < 0.0) {
        (true, _) => "higher in this run",
        (_, true) => "lower in this run",
        _ => "no difference shown yet",
    };
    Verdict {
        text: format!("{} [{}, {}]", text::signed(lift.value), text::signed(low), text::signed(high)),
        judgement,
        measured_on: measured_on(&evaluation, group),
        is_final: evaluation.kind == TestKind::Whole,
    }
}

/// Which rows figures are of.
pub fn measured_on(evaluation: &Evaluation, group: Group) -> String {
    let positives = evaluation.scores.first().map_or(0, |score| group.of(&score.auc).positives);
    let positives = text::count(positives);
    match evaluation.kind {
        TestKind::ProbeSet => format!("probe set at step {}, {positives} positives", text::count(evaluation.step)),
        TestKind::Whole => format!("final test: whole test set, {positives} positives"),
        TestKind::Streaming => format!("streaming test, {positives} positives"),
    }
}

/// A group's figures in words.
pub fn standing(run: Run, group: Group) -> String {
    let names = run.variants.get();
    let Some(newest) = newest(run) else { return "Nothing is measured yet.".into() };
    let parts = names.iter().zip(&newest.scores).map(|(variant, score)| format!("{} {}", variant.name(), interval(group.of(&score.auc))));
    format!("{} ({})", parts.collect::<Vec<_>>().join(", "), measured_on(&newest, group))
}

/// What a screen reader is told now and then.
pub fn spoken(run: Run) -> String {
    let groups = [Group::Low, Group::High].map(|group| format!("{}: {}.", group.name(), standing(run, group)));
    groups.join(" ")
}

/// An area and half the width of its interval.
pub fn interval(auc: Auc) -> String {
    format!("{} ± {}", text::area(auc.value), text::area(WIDTH_95 * auc.standard_error))
}

/// The newest difference between what is set against the baseline and the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The difference of AUC.
    pub value: f64,
    /// The lower end of its 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Positives that it was measured on.
    pub positives: u64,
    /// The step.
    pub step: u64,
    /// On which rows.
    pub kind: TestKind,
}

impl Finding {
    /// Whether the two models put every row in the same place, so that nothing of the difference is left to chance.
    pub fn is_zero(&self) -> bool {
        self.low == 0.0 && self.high == 0.0
    }
}

/// The newest difference for a group; none before the first evaluation and where nothing is compared.
pub fn finding(run: Run, group: Group) -> Option<Finding> {
    let (evaluation, rival) = (newest(run)?, rival(run)?);
    let lift = lift_of(&evaluation, rival, group).filter(|lift| lift.value.is_finite())?;
    let half = WIDTH_95 * lift.standard_error;
    let positives = group.of(&evaluation.scores.get(rival)?.auc).positives;
    let (value, step, kind) = (lift.value, evaluation.step, evaluation.kind);
    Some(Finding { value, low: value - half, high: value + half, positives, step, kind })
}

/// The model that no ranker can pass, by its place in the race; of several one that is trained, which is nearer to what can be won.
pub fn ceiling(run: Run) -> Option<usize> {
    let roles = run.roles();
    let is_ceiling = |at: &usize| roles[*at].1 == Role::Ceiling;
    let trained = (0..roles.len()).find(|at| is_ceiling(at) && roles[*at].0.rule().is_none());
    trained.or_else(|| (0..roles.len()).find(is_ceiling))
}

/// The share of what the ceiling leaves to win above the baseline that is won; none without a ceiling or below a hundredth of AUC,
/// where the share is noise.
pub fn headroom(run: Run, group: Group) -> Option<f64> {
    let (evaluation, ceiling, rival) = (newest(run)?, ceiling(run)?, rival(run)?);
    let area = |at: usize| evaluation.scores.get(at).map(|score| group.of(&score.auc).value);
    let (baseline, won) = (area(0)?, area(rival)?);
    let left = area(ceiling)? - baseline;
    (left > 0.01).then(|| (won - baseline) / left)
}

/// The differences of both groups in a few words.
pub fn in_a_line(run: Run) -> String {
    let part = |group: Group| {
        let found = finding(run, group)?;
        Some(format!(
            "{} {} ± {}",
            group.short().to_lowercase(),
            text::points(found.value),
            text::points(0.5 * (found.high - found.low)).replace('+', "")
        ))
    };
    let parts: Vec<String> = [Group::Low, Group::High].into_iter().filter_map(part).collect();
    if parts.is_empty() { "no difference is measured yet".into() } else { parts.join(", ") }
}
