//! Runs of this visit that are kept beside the one on show, and further seeds of its settings.

use std::sync::Arc;

use duia::config::Config;
use duia::metrics::{Evaluation, OverSeeds, TestKind, over_seeds};
use duia::variants::Variant;
use duia::wire::RowsChoice;
use leptos::prelude::*;

use crate::address::FileName;
use crate::contest::{Group, lift_of, rival, rival_model};
use crate::run::{Phase, Run};

/// The names of the places on the shelf: there are as many runs at most, and the oldest makes room.
const NAMES: [&str; 16] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P"];

/// All that a run follows from: the same again gives the same figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The configuration.
    pub config: Config,
    /// The rows that it asks for.
    pub rows: RowsChoice,
    /// The person's own file.
    pub file: Option<FileName>,
    /// The configurations before this one, each with the step at which the next branched off it, oldest first; none of a run that goes
    /// by one configuration from its beginning.
    pub course: Vec<(u64, Config)>,
}

impl Setting {
    /// The step at which it branched, the last time.
    pub fn branched_at(&self) -> Option<u64> {
        self.course.last().map(|(step, _)| *step)
    }

    /// The course of a run that branches off this one at a step.
    pub fn course_until(&self, step: u64) -> Vec<(u64, Config)> {
        let mut course: Vec<_> = self.course.iter().filter(|(until, _)| *until < step).cloned().collect();
        let then = self.course.iter().find(|(until, _)| *until >= step).map_or(&self.config, |(_, config)| config);
        course.push((step, then.clone()));
        course
    }

    /// Whether nothing but the seed is another, if that. A branch is of one seed alone.
    pub fn is_same_but_seed(&self, other: &Self) -> bool {
        if self != other && (self.branched_at(), other.branched_at()) != (None, None) {
            return false;
        }
        let seeded = |setting: &Self| Self { config: Config { seed: 0, ..setting.config.clone() }, ..setting.clone() };
        seeded(self) == seeded(other)
    }
}

/// A run on the shelf.
#[derive(Debug, PartialEq)]
pub struct Kept {
    /// Its place.
    pub name: &'static str,
    /// What it follows from.
    pub setting: Setting,
    /// The models that raced.
    pub variants: Vec<Variant>,
    /// Steps of the whole run.
    pub steps: u64,
    /// Its scores; one at least.
    pub evaluations: Vec<Evaluation>,
}

impl Kept {
    /// The newest figures that a verdict may rest on.
    pub fn newest(&self) -> Option<&Evaluation> {
        self.evaluations.iter().rfind(|evaluation| evaluation.kind != TestKind::Streaming)
    }

    /// Those of the whole test set, where the run came so far.
    fn tested(&self) -> Option<&Evaluation> {
        self.evaluations.iter().rfind(|evaluation| evaluation.kind == TestKind::Whole)
    }

    /// The place of a model in the race.
    pub fn place_of(&self, variant: Variant) -> Option<usize> {
        self.variants.iter().position(|other| *other == variant)
    }
}

/// The shelf.
#[derive(Clone, Copy)]
pub struct Shelf {
    /// Newest last.
    pub kept: RwSignal<Vec<Arc<Kept>>>,
    /// Those whose curves are laid over the race.
    pub laid: RwSignal<Vec<&'static str>>,
    /// Seeds that are still to be trained after the one on show.
    pub left: RwSignal<u32>,
    /// What the run on show follows from.
    pub setting: RwSignal<Option<Setting>>,
}

impl Shelf {
    /// An empty one.
    pub fn new() -> Self {
        Self { kept: RwSignal::new(Vec::new()), laid: RwSignal::new(Vec::new()), left: RwSignal::new(0), setting: RwSignal::new(None) }
    }

    /// Puts the run on show away, where it has figures of its own, and makes place for another.
    pub fn turn(self, run: Run, next: Setting) {
        let before = self.setting.get_untracked();
        if let Some(setting) = before.as_ref() {
            self.put_away(run, setting);
            if !setting.is_same_but_seed(&next) {
                self.left.set(0);
            }
        }
        self.setting.set(Some(next));
    }

    fn put_away(self, run: Run, setting: &Setting) {
        let evaluations: Vec<Evaluation> = run.evaluations.with_untracked(|series| series.iter().cloned().collect());
        // A recorded run is not of this device, and weights from a file are of another run.
        let is_its_own = run.recorded.with_untracked(Option::is_none) && run.loaded.with_untracked(Vec::is_empty);
        // A branch that was not played on shows the past of the run before.
        let is_its_own = is_its_own && evaluations.last().is_some_and(|newest| Some(newest.step) > setting.branched_at());
        if evaluations.is_empty() || !is_its_own || run.phase.get_untracked() == Phase::Failed {
            return;
        }
        let last = |all: &[Evaluation]| all.last().map(|evaluation| evaluation.step);
        let is_longer = |kept: &Arc<Kept>| kept.setting == *setting && last(&kept.evaluations) > last(&evaluations);
        if self.kept.with_untracked(|kept| kept.iter().any(is_longer)) {
            return;
        }
        self.remove_where(|kept| kept.setting == *setting);
        let oldest = self.kept.with_untracked(|kept| (kept.len() == NAMES.len()).then(|| kept.first().map(|kept| kept.name)).flatten());
        self.remove_where(|kept| Some(kept.name) == oldest);
        let is_free = |name: &&'static str| !self.kept.with_untracked(|kept| kept.iter().any(|kept| kept.name == *name));
        let Some(name) = NAMES.into_iter().find(|name| is_free(name)) else { return };
        let (variants, steps) = (run.variants.get_untracked(), run.progress.with_untracked(|progress| progress.steps));
        self.kept.update(|kept| kept.push(Arc::new(Kept { name, setting: setting.clone(), variants, steps, evaluations })));
        self.laid.update(|laid| laid.push(name));
    }

    /// Lays a run's curves over the race, or takes them away.
    pub fn lay(self, name: &'static str, is_laid: bool) {
        self.laid.update(|laid| {
            laid.retain(|other| *other != name);
            if is_laid {
                laid.push(name);
            }
        });
    }

    /// Takes a run off the shelf.
    pub fn remove(self, name: &'static str) {
        self.remove_where(|kept| kept.name == name);
    }

    fn remove_where(self, is_meant: impl Fn(&Kept) -> bool) {
        let (gone, stays): (Vec<_>, Vec<_>) = self.kept.get_untracked().into_iter().partition(|kept| is_meant(kept));
        if !gone.is_empty() {
            self.kept.set(stays);
            self.laid.update(|laid| laid.retain(|name| !gone.iter().any(|gone| gone.name == *name)));
        }
    }

    /// The runs whose curves are laid over the race.
    pub fn over(self) -> Vec<Arc<Kept>> {
        let laid = self.laid.get();
        self.kept.with(|kept| kept.iter().filter(|kept| laid.contains(&kept.name)).cloned().collect())
    }

    /// A seed for the settings on show that has not been trained to its end.
    pub fn fresh_seed(self) -> Option<u64> {
        let setting = self.setting.get_untracked()?;
        let done: Vec<u64> = self.kept.with_untracked(|kept| {
            let is_done = |kept: &&Arc<Kept>| kept.setting.is_same_but_seed(&setting) && kept.tested().is_some();
            kept.iter().filter(is_done).map(|kept| kept.setting.config.seed).collect()
        });
        (setting.config.seed + 1..).find(|seed| !done.contains(seed))
    }

    /// What the seeds of the settings on show say together of the difference in a group: the whole test set's, of runs that came to their
    /// end, the one on show among them.
    pub fn spread(self, run: Run, group: Group) -> Option<OverSeeds> {
        let setting = self.setting.get()?;
        let (place, rival) = (rival(run)?, rival_model(run)?);
        if setting.branched_at().is_some() {
            return None;
        }
        let here = run.evaluations.with(|series| {
            let tested = series.iter().rfind(|evaluation| evaluation.kind == TestKind::Whole)?;
            Some(lift_of(tested, place, group)?.value)
        });
        let others = self.kept.with(|all| {
            let is_other = |kept: &&Arc<Kept>| kept.setting != setting && kept.setting.is_same_but_seed(&setting);
            let lift = |kept: &Arc<Kept>| Some(lift_of(kept.tested()?, kept.place_of(rival)?, group)?.value);
            all.iter().filter(is_other).filter_map(lift).collect::<Vec<f64>>()
        });
        // A run that was reset is on the shelf until it ends once more.
        let before = || {
            self.kept.with(|all| {
                let same = all.iter().find(|kept| kept.setting == setting)?;
                Some(lift_of(same.tested()?, same.place_of(rival)?, group)?.value)
            })
        };
        over_seeds(&[others, here.or_else(before).into_iter().collect()].concat())
    }
}
