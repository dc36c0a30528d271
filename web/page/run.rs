//! The state of the run on show, as signals: each message changes only what it speaks of, and only that part redraws.

use std::sync::Arc;

use duia::data::{DataReport, Side};
use duia::metrics::{ClusterHealth, Evaluation, LossTerm, Losses};
use duia::variants::{self, Variant};
use duia::view::{FieldFrame, Portrait};
use duia::wire::{DeviceReport, Event, Failure, Reading, Remedy, Stage, State};
use leptos::prelude::*;

use crate::people::{self, People};
use crate::series::Series;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The trainer's program is on its way.
    Loading,
    /// The trainer is at something that takes a while.
    Preparing(Stage),
    /// Waiting for the person.
    Paused,
    /// Training.
    Playing,
    /// The stream has ended.
    Finished,
    /// It failed.
    Failed,
}

impl Phase {
    /// What the page says of it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Loading => "Loading the trainer",
            Self::Preparing(Stage::Device) => "Looking for a device",
            Self::Preparing(Stage::SelfTest) => "Comparing the device with the CPU",
            Self::Preparing(Stage::Data) => "Making ready the rows",
            Self::Preparing(Stage::Models) => "Building the models and compiling kernels",
            Self::Preparing(Stage::Passes) => "Choosing how often to go through the rows",
            Self::Preparing(Stage::FinalTest) => "Scoring the whole test set",
            Self::Preparing(Stage::StreamingTest) => "Scoring the test set again while training on it",
            Self::Paused => "Paused",
            Self::Playing => "Training",
            Self::Finished => "Finished",
            Self::Failed => "Stopped by a failure",
        }
    }

    /// Whether training is over and its end is being tested.
    pub fn is_testing(self) -> bool {
        matches!(self, Self::Preparing(Stage::FinalTest | Stage::StreamingTest))
    }

    /// Whether the trainer is at work, so that its silence means something.
    pub fn is_busy(self) -> bool {
        matches!(self, Self::Loading | Self::Preparing(_) | Self::Playing)
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps of the whole run; 0 until known.
    pub steps: u64,
    /// Samples a second.
    pub rate: f64,
}

/// Whose clusters.
pub type Clusters = (Variant, Side);

/// What a model is to a reader of the race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All differences are from it.
    Baseline,
    /// The one that is compared with it.
    Rival,
    /// What no ranker can pass.
    Ceiling,
    /// One in the background, by its index among these.
    Other(usize),
}

/// Losses of all variants at a step.
pub type LossPoint = (u64, Vec<Losses>);

/// Centres that were filled or born again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reseeding {
    /// When.
    pub step: u64,
    /// Level-1 centres.
    pub centres: Vec<u32>,
    /// Level-2 centres.
    pub children: Vec<u32>,
    /// Whether all were filled for the first time.
    pub first_fill: bool,
}

/// Where a recorded run comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// The day that it was made on.
    pub made: String,
    /// By which version of the sources.
    pub commit: String,
    /// By which command.
    pub command: String,
}

/// Pictures of the field that are kept to look back at.
type Pictures = Series<Arc<FieldFrame>, 128>;

/// All that is shown of a run.
#[derive(Clone, Copy)]
pub struct Run {
    /// Messages of other runs are late and ignored.
    pub id: RwSignal<u32>,
    /// Where it stands.
    pub phase: RwSignal<Phase>,
    /// The device in use.
    pub device: RwSignal<Option<DeviceReport>>,
    /// The data in use.
    pub data: RwSignal<Option<DataReport>>,
    /// How far the person's own file is read, while it is.
    pub reading: RwSignal<Option<Reading>>,
    /// The models that race.
    pub variants: RwSignal<Vec<Variant>>,
    /// Positives of the probe set.
    pub probe_positives: RwSignal<u64>,
    /// How far it is.
    pub progress: RwSignal<Progress>,
    /// The losses that there are.
    pub terms: RwSignal<Vec<LossTerm>>,
    /// Losses so far.
    pub losses: RwSignal<Series<LossPoint>>,
    /// Scores so far.
    pub evaluations: RwSignal<Series<Evaluation>>,
    /// State of all clusters so far.
    health: RwSignal<Vec<(Clusters, Series<ClusterHealth>)>>,
    /// The model that a person set against the baseline.
    rival: RwSignal<Option<Variant>>,
    /// The clusters that a person chose to see.
    clusters: RwSignal<Option<Clusters>>,
    /// The files that models went on from.
    pub loaded: RwSignal<Vec<(Variant, String)>>,
    /// Why a file could not be used.
    pub refused: RwSignal<Option<Failure>>,
    /// Whose centres are pictured.
    pub side: RwSignal<Side>,
    /// The newest portrait of a user.
    pub portrait: RwSignal<Option<Arc<Portrait>>>,
    /// The scores of what the followed user took, by model, so far.
    pub followed: RwSignal<Series<(u64, Vec<f32>)>>,
    /// Who came to each centre of users lately, whichever side is pictured.
    pub people: RwSignal<Vec<People>>,
    /// The newest picture of the field.
    pub field: RwSignal<Option<Arc<FieldFrame>>>,
    /// The newest re-seeding.
    pub reseeding: RwSignal<Option<Reseeding>>,
    /// Centres born again so far, both levels.
    pub reborn: RwSignal<usize>,
    /// What failed, and the next step.
    pub failure: RwSignal<Option<(Failure, Remedy)>>,
    /// The recorded run that is on show, until the live one takes its first step.
    pub recorded: RwSignal<Option<About>>,
    /// Whether the live run followed a recorded one.
    pub took_over: RwSignal<bool>,
    /// What the live run told while the recorded one is on show.
    held: StoredValue<Vec<Event>>,
    /// The step in the past that is on show; none is the present.
    pub past: RwSignal<Option<u64>>,
    /// The steps that the run can be branched from, for as long as its trainer lives.
    marks: RwSignal<Vec<u64>>,
    pictures: StoredValue<Pictures>,
    portraits: StoredValue<Series<Arc<Portrait>, 512>>,
}

impl Run {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            id: RwSignal::new(0),
            phase: RwSignal::new(Phase::Loading),
            device: RwSignal::new(None),
            data: RwSignal::new(None),
            reading: RwSignal::new(None),
            variants: RwSignal::new(Vec::new()),
            probe_positives: RwSignal::new(0),
            progress: RwSignal::new(Progress::default()),
            terms: RwSignal::new(Vec::new()),
            losses: RwSignal::new(Series::default()),
            evaluations: RwSignal::new(Series::default()),
            health: RwSignal::new(Vec::new()),
            rival: RwSignal::new(None),
            clusters: RwSignal::new(None),
            loaded: RwSignal::new(Vec::new()),
            refused: RwSignal::new(None),
            side: RwSignal::new(Side::Users),
            portrait: RwSignal::new(None),
            followed: RwSignal::new(Series::default()),
            people: RwSignal::new(Vec::new()),
            field: RwSignal::new(None),
            reseeding: RwSignal::new(None),
            reborn: RwSignal::new(0),
            failure: RwSignal::new(None),
            recorded: RwSignal::new(None),
            took_over: RwSignal::new(false),
            held: StoredValue::new(Vec::new()),
            past: RwSignal::new(None),
            marks: RwSignal::new(Vec::new()),
            pictures: StoredValue::new(Series::default()),
            portraits: StoredValue::new(Series::default()),
        }
    }

    /// Empties everything for the next run. Device and data stay on show until the new ones are known.
    pub fn begin(self) {
        self.id.update(|id| *id += 1);
        self.phase.set(Phase::Loading);
        self.failure.set(None);
        self.reading.set(None);
        self.loaded.set(Vec::new());
        self.refused.set(None);
        self.recorded.set(None);
        self.took_over.set(false);
        self.held.set_value(Vec::new());
        self.marks.set(Vec::new());
        self.clear();
    }

    /// Empties every chart and picture.
    fn clear(self) {
        self.past.set(None);
        self.pictures.set_value(Series::default());
        self.portraits.set_value(Series::default());
        self.progress.set(Progress::default());
        self.losses.set(Series::default());
        self.evaluations.set(Series::default());
        self.health.set(Vec::new());
        self.field.set(None);
        self.portrait.set(None);
        self.followed.set(Series::default());
        self.people.set(Vec::new());
        self.reseeding.set(None);
        self.reborn.set(0);
    }

    /// Takes in what the live run told. While a recorded run is on show, what would be drawn waits for the first step.
    pub fn apply(self, event: Event) {
        if self.recorded.with_untracked(Option::is_some) {
            match event {
                Event::Stage(_) | Event::Device(_) | Event::Data(_) | Event::Reading(_) | Event::Refused(_) | Event::Failed { .. } => {}
                Event::State(State::Playing) => {}
                Event::Ready { .. } | Event::Portrait(_) | Event::Progress { step: 0, .. } => {
                    return self.held.update_value(|held| held.push(event));
                }
                _ => self.go_live(),
            }
        }
        self.take(event);
    }

    /// A recorded run is on show from now on.
    pub fn show_recorded(self, about: About) {
        self.recorded.set(Some(about));
    }

    /// Takes in what a recorded run told: its figures and pictures, but not what the trainer does.
    pub fn replay(self, event: Event) {
        match event {
            Event::Stage(_) | Event::Device(_) | Event::State(_) | Event::Tested { .. } | Event::Progress { .. } => {}
            Event::Ready { variants, steps, probe_positives, losses } => self.set_out(variants, steps, probe_positives, losses),
            event => self.take(event),
        }
    }

    /// How far the recorded run is.
    pub fn replay_to(self, step: u64) {
        self.progress.update(|progress| progress.step = step);
    }

    /// Whether the live run has taken a step.
    pub fn has_moved(self) -> bool {
        self.recorded.with_untracked(Option::is_none) && self.progress.with_untracked(|progress| progress.step > 0)
    }

    /// The live run takes the place of the recorded one, from its own beginning.
    fn go_live(self) {
        let phase = self.phase.get_untracked();
        self.recorded.set(None);
        self.took_over.set(true);
        self.clear();
        let held = self.held.try_update_value(std::mem::take).unwrap_or_default();
        held.into_iter().for_each(|event| self.take(event));
        // The trainer may play already.
        if phase == Phase::Playing {
            self.phase.set(phase);
        }
    }

    /// Shows the run as it stood at a step in the past, or as it stands.
    pub fn look_back(self, past: Option<u64>) {
        self.past.set(past);
        self.field.set(self.pictures.with_value(|all| all.until(past, |picture| picture.step).cloned()));
        self.portrait.set(self.portraits.with_value(|all| all.until(past, |portrait| portrait.step).cloned()));
    }

    /// The newest step to branch from at or before the one on show.
    pub fn mark(self) -> Option<u64> {
        let shown = self.past.get().unwrap_or_else(|| self.progress.with(|progress| progress.step));
        self.marks.with(|marks| marks.iter().copied().filter(|mark| *mark <= shown).max())
    }

    /// Whether it can be branched from this step.
    pub fn has_mark(self, step: u64) -> bool {
        self.marks.with_untracked(|marks| marks.contains(&step))
    }

    /// Empties everything for a branch at this step. The marks until there stay.
    pub fn begin_branch(self, step: u64) {
        let marks = self.marks.get_untracked();
        self.begin();
        self.marks.set(marks.into_iter().filter(|mark| *mark <= step).collect());
    }

    /// The trainer that held the marks is no more.
    pub fn forget_marks(self) {
        self.marks.set(Vec::new());
    }

    /// Whether what was told at a step is on show.
    pub fn is_shown(self, step: u64) -> bool {
        self.past.get().is_none_or(|past| step <= past)
    }

    /// Pictures another side's centres from now on.
    pub fn show_side(self, side: Side) {
        self.side.set(side);
        self.field.set(None);
        self.pictures.set_value(Series::default());
    }

    fn set_out(self, variants: Vec<Variant>, steps: u64, probe_positives: u64, losses: Vec<LossTerm>) {
        self.terms.set(losses);
        self.variants.set(variants);
        self.probe_positives.set(probe_positives);
        self.progress.set(Progress { steps, ..Progress::default() });
    }

    fn take(self, event: Event) {
        match event {
            Event::Stage(stage) => self.phase.set(Phase::Preparing(stage)),
            Event::Device(device) => self.device.set(Some(device)),
            Event::Data(data) => {
                self.reading.set(None);
                self.data.set(Some(data));
            }
            Event::Reading(reading) => self.reading.set(Some(reading)),
            Event::Ready { variants, steps, probe_positives, losses } => {
                self.set_out(variants, steps, probe_positives, losses);
                self.phase.set(Phase::Paused);
                // The trainer tells those that it still has.
                self.forget_marks();
            }
            Event::Marked { step } => self.marks.update(|marks| marks.push(step)),
            Event::Past(events) => events.into_iter().for_each(|event| self.take(event)),
            Event::Progress { step, samples_per_second, .. } => {
                self.progress.update(|progress| *progress = Progress { step, rate: samples_per_second, ..*progress });
            }
            Event::Tested { .. } => {}
            Event::Losses { step, losses } => self.losses.update(|series| series.push((step, losses))),
            Event::Evaluation(evaluation) => self.evaluations.update(|series| series.push(evaluation)),
            Event::Clusters(health) => self.keep(health),
            // One of the other side was under way when the person chose this one.
            Event::Field(frame) if frame.side == self.side.get_untracked() => {
                if frame.side == Side::Users {
                    self.people.update(|all| people::take(all, &frame));
                }
                let picture: Arc<FieldFrame> = Arc::from(frame);
                self.pictures.update_value(|all| all.push(picture.clone()));
                if self.past.with_untracked(Option::is_none) {
                    self.field.set(Some(picture));
                }
            }
            Event::Field(_) => {}
            Event::Portrait(portrait) => self.follow(Arc::from(portrait)),
            Event::Reseeded { variant, side, step, centres, children, first_fill } if self.shows(variant, side) => {
                if !first_fill {
                    self.reborn.update(|reborn| *reborn += centres.len() + children.len());
                }
                self.reseeding.set(Some(Reseeding { step, centres, children, first_fill }));
            }
            Event::Reseeded { .. } => {}
            Event::State(State::Playing) => self.phase.set(Phase::Playing),
            Event::State(State::Paused) => self.phase.set(Phase::Paused),
            Event::State(State::Finished) => self.phase.set(Phase::Finished),
            Event::Loaded { variant, name } => {
                self.refused.set(None);
                self.forget_marks();
                self.loaded.update(|loaded| {
                    loaded.retain(|(other, _)| *other != variant);
                    loaded.push((variant, name));
                });
            }
            Event::Refused(failure) => self.refused.set(Some(failure)),
            Event::Failed { failure, remedy } => self.fail(failure, remedy),
        }
    }

    fn follow(self, portrait: Arc<Portrait>) {
        if self.portraits.with_value(|all| all.last().is_none_or(|known| known.user != portrait.user)) {
            self.followed.set(Series::default());
            self.portraits.set_value(Series::default());
        }
        if let Some(taken) = portrait.offers.iter().position(|offer| offer.taken) {
            let scores = portrait.now.scores.iter().map(|scores| scores.get(taken).copied().unwrap_or(f32::NAN)).collect();
            self.followed.update(|series| series.push((portrait.step, scores)));
        }
        self.portraits.update_value(|all| all.push(portrait.clone()));
        if self.past.with_untracked(Option::is_none) {
            self.portrait.set(Some(portrait));
        }
    }

    fn keep(self, health: ClusterHealth) {
        let of = (health.variant, health.side);
        self.health.update(|all| match all.iter_mut().find(|(clusters, _)| *clusters == of) {
            Some((_, series)) => series.push(health),
            None => {
                let mut series = Series::default();
                series.push(health);
                all.push((of, series));
            }
        });
    }

    /// The field is of the first variant with centres of that side, as the trainer's frames are.
    fn shows(self, variant: Variant, side: Side) -> bool {
        let has_centres = |variant: &Variant| match side {
            Side::Users => variant.has_user_centres(),
            Side::Items => variant.has_item_centres(),
        };
        let first = self.variants.with_untracked(|all| all.iter().copied().find(has_centres));
        side == self.side.get_untracked() && first == Some(variant)
    }

    /// All clusters of the race, users' first for each model.
    pub fn all_clusters(self) -> Vec<Clusters> {
        let of = |variant: Variant| {
            let sides = [(Side::Users, variant.has_user_centres()), (Side::Items, variant.has_item_centres())];
            sides.into_iter().filter_map(move |(side, has)| has.then_some((variant, side)))
        };
        self.variants.get().into_iter().flat_map(of).collect()
    }

    /// The clusters on show: those that were chosen, or the first.
    pub fn shown_clusters(self) -> Option<Clusters> {
        let all = self.all_clusters();
        self.clusters.get().filter(|chosen| all.contains(chosen)).or(all.first().copied())
    }

    /// Shows these clusters from now on.
    pub fn show_clusters(self, clusters: Clusters) {
        self.clusters.set(Some(clusters));
    }

    /// The state of the clusters on show, oldest first, until the step that is on show.
    pub fn with_health<T>(self, read: impl FnOnce(&[ClusterHealth]) -> T) -> T {
        let (shown, past) = (self.shown_clusters(), self.past.get());
        self.health.with(|all| match all.iter().find(|(clusters, _)| Some(*clusters) == shown) {
            Some((_, series)) => read(series.before(past, |health| health.step)),
            None => read(&[]),
        })
    }

    /// The losses, oldest first, until the step that is on show.
    pub fn with_losses<T>(self, read: impl FnOnce(&[LossPoint]) -> T) -> T {
        let past = self.past.get();
        self.losses.with(|series| read(series.before(past, |(step, _)| *step)))
    }

    /// All clusters' states, for a file.
    pub fn health_untracked(self) -> Vec<(Clusters, Series<ClusterHealth>)> {
        self.health.get_untracked()
    }

    /// The pictures of the field that are kept, for a file.
    pub fn pictures(self) -> Vec<FieldFrame> {
        self.pictures.with_value(|all| all.iter().map(|picture| FieldFrame::clone(picture)).collect())
    }

    /// What each model of the race is to a reader of its charts, in the race's order. Unless a person chose another, DUIA is what
    /// is set against the baseline, or else the last model that is trained.
    pub fn roles(self) -> Vec<(Variant, Role)> {
        let (all, chosen) = (self.variants.get(), self.rival.get());
        let others = all.get(1..).unwrap_or_default();
        let rival = chosen.filter(|chosen| others.contains(chosen)).or(variants::rival(&all));
        let mut background = 0..;
        let role = |(at, &variant): (usize, &Variant)| match at {
            0 => (variant, Role::Baseline),
            _ if Some(variant) == rival => (variant, Role::Rival),
            _ if variant.knows_truth() => (variant, Role::Ceiling),
            _ => (variant, Role::Other(background.next().unwrap_or_default())),
        };
        all.iter().enumerate().map(role).collect()
    }

    /// Sets this model against the baseline from now on.
    pub fn set_rival(self, variant: Variant) {
        self.rival.set(Some(variant));
    }

    /// The run goes no further; what it showed stays.
    pub fn fail(self, failure: Failure, remedy: Remedy) {
        self.phase.set(Phase::Failed);
        // Of all that ends a run only a divergence leaves a trainer that can go on from before it.
        if remedy != Remedy::LowerLearningRate {
            self.forget_marks();
        }
        self.reading.set(None);
        self.failure.set(Some((failure, remedy)));
    }
}
