//! What a person can ask of the page, turned into commands to the trainer, and the watch over a trainer that falls silent.

use std::time::Duration;

use duia::config::{Config, Negatives, Preset, UNDER_WAY};
use duia::data::Side;
use duia::variants::{Variant, Variants};
use duia::view::Sitting;
use duia::wire::{Command, DeviceChoice, Event, Failure, Message, Remedy, RowsChoice, State};
use js_sys::Uint8Array;
use leptos::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::File;

use crate::address::{self, Address, FileName, Language, Theme};
use crate::own::{self, Own};
use crate::recorded;
use crate::run::{Phase, Run};
use crate::shelf::{Setting, Shelf};
use crate::trainer::{Report, Trainer};

/// How many times longer than a step the trainer may be silent while it compiles or scores the whole test set.
const PATIENCE_WHILE_PREPARING: f64 = 6.0;
/// Seconds until the page says that the trainer's program has not arrived.
const PATIENCE_WHILE_LOADING: f64 = 10.0;
/// Seconds between two counts of a silence: a screen reader reads each.
const COUNT: u32 = 10;
/// A longer gap between two looks means that the page slept, not that the trainer did.
const LONGEST_TICK: f64 = 2.0;

/// How fast a person wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Two steps a second: each flight can be followed.
    Slow,
    /// Ten steps a second.
    Brisk,
    /// As fast as the device goes.
    Full,
}

impl Speed {
    /// All, slowest first, with the words in the control.
    pub const ALL: [(Self, &'static str, &'static str); 3] =
        [(Self::Slow, "slow", "2 steps/s"), (Self::Brisk, "brisk", "10 steps/s"), (Self::Full, "full", "full speed")];

    /// Steps a second; 0 is no limit.
    pub fn steps_per_second(self) -> f32 {
        match self {
            Self::Slow => 2.0,
            Self::Brisk => 10.0,
            Self::Full => 0.0,
        }
    }
}

/// Seconds in which nothing was heard, once they are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Its program has not arrived.
    Program(u32),
    /// Of a trainer at work.
    Trainer(u32),
}

/// The page's one session: its link, its run and its trainer.
#[derive(Clone, Copy)]
pub struct Session {
    /// What the link says.
    pub address: RwSignal<Address>,
    /// What in the link could not be used.
    pub notices: RwSignal<Vec<String>>,
    /// What is shown.
    pub run: Run,
    /// The file of the person's own.
    pub own: Own,
    /// Runs that were left.
    pub shelf: Shelf,
    /// The speed asked for.
    pub speed: RwSignal<Speed>,
    /// A silence of the trainer, once it is too long.
    pub silence: RwSignal<Option<Silence>>,
    /// Whether the person wants it to play. The trainer follows, a moment later; a reset changes nothing in it.
    wants_play: RwSignal<bool>,
    /// Who sits for the portrait.
    pub sitting: RwSignal<Sitting>,
    /// The parts of the page that a link can hide.
    parts: fn() -> Vec<&'static str>,
    quiet: StoredValue<f64>,
    trainer: StoredValue<Option<Trainer>, LocalStorage>,
}

impl Session {
    /// Reads the link of a page with these parts, starts the trainer and the watch over it.
    pub fn open(parts: fn() -> Vec<&'static str>) -> Self {
        let (address, notices) = Address::read(&search(), &hash(), &parts());
        let session = Self {
            // A lesson asks first.
            wants_play: RwSignal::new(address.autoplay && address.lesson.is_none()),
            address: RwSignal::new(address),
            notices: RwSignal::new(notices),
            run: Run::new(),
            own: Own::new(),
            shelf: Shelf::new(),
            speed: RwSignal::new(Speed::Full),
            silence: RwSignal::new(None),
            sitting: RwSignal::new(Sitting::default()),
            parts,
            quiet: StoredValue::new(0.0),
            trainer: StoredValue::new_local(None),
        };
        session.start();
        let is_opening = |address: &Address| address.config == Config::opening() && address.file.is_none();
        if session.wants_play.get_untracked() && session.address.with_untracked(is_opening) {
            recorded::play(session.run, Config::opening());
        }
        session.watch();
        session.follow_link();
        session
    }

    /// Play, pause, or start again where there is nothing left to play.
    pub fn toggle(self) {
        match self.run.phase.get_untracked() {
            Phase::Finished => {
                self.wants_play.set(true);
                self.start();
            }
            Phase::Failed => self.start_again(),
            phase if phase.is_testing() => {}
            Phase::Loading | Phase::Preparing(_) | Phase::Paused | Phase::Playing => {
                let play = !self.wants_play.get_untracked();
                self.wants_play.set(play);
                self.send(|run| if play { Command::Play { run } } else { Command::Pause { run } });
            }
        }
    }

    /// Whether it plays, or will once it is ready.
    pub fn plays(self) -> bool {
        match self.run.phase.get() {
            Phase::Finished | Phase::Failed => false,
            phase => self.wants_play.get() && !phase.is_testing(),
        }
    }

    /// One step.
    pub fn step(self) {
        match self.run.phase.get_untracked() {
            Phase::Paused | Phase::Playing => {
                self.wants_play.set(false);
                self.send(|run| Command::Step { run });
            }
            Phase::Loading | Phase::Preparing(_) | Phase::Finished | Phase::Failed => {}
        }
    }

    /// Ends training here and tests what was learned.
    pub fn finish(self) {
        if untrack(|| self.can_finish()) {
            self.send(|run| Command::Finish { run });
        }
    }

    /// Whether there is training to end.
    pub fn can_finish(self) -> bool {
        let is_live = self.run.recorded.with(Option::is_none);
        is_live && matches!(self.run.phase.get(), Phase::Paused | Phase::Playing) && self.run.progress.with(|progress| progress.step > 0)
    }

    /// A new run from the newest mark at or before the step on show, waiting there. The one that is left goes to the shelf.
    pub fn branch(self) {
        if let Some(step) = untrack(|| self.run.mark()) {
            self.wants_play.set(false);
            self.start_from(Some(step));
        }
    }

    /// The step at which the run on show branched off the one before, where it did.
    pub fn branched_at(self) -> Option<u64> {
        self.shelf.setting.with(|setting| setting.as_ref().and_then(Setting::branched_at))
    }

    /// The configurations before that of the run on show, each with the step at which it branched off; none of a run from its beginning.
    pub fn course(self) -> Vec<(u64, Config)> {
        self.shelf.setting.with_untracked(|setting| setting.as_ref().map(|setting| setting.course.clone()).unwrap_or_default())
    }

    /// Whether the run on show is a branch that a change of these settings branches anew, from the same step.
    pub fn branches_by(self, keys: &[&str]) -> bool {
        self.branched_at().is_some() && keys.iter().all(|key| UNDER_WAY.contains(key))
    }

    /// Where the run on show is a branch and can go by this configuration from its step on: that step.
    fn branch_under(self, config: &Config) -> Option<u64> {
        let setting = self.shelf.setting.get_untracked()?;
        let (step, before) = setting.course.last()?;
        (self.run.has_mark(*step) && before.keeps_from(config).is_empty()).then_some(*step)
    }

    /// The same configuration from the start; it goes on playing if it was.
    pub fn reset(self) {
        let failed = self.run.phase.get_untracked() == Phase::Failed;
        // A trainer that sorts many rows hears nothing until it is done.
        let sorts = self.run.reading.get_untracked().is_some_and(|reading| reading.is_sorting);
        if failed || sorts || self.silence.get_untracked().is_some() {
            self.trainer.set_value(None);
        }
        self.start();
    }

    /// The same configuration from the start, on a new trainer and playing.
    pub fn start_again(self) {
        self.wants_play.set(true);
        self.renew();
    }

    /// Does what a control beside a failure promises.
    pub fn apply(self, remedy: Remedy) {
        self.wants_play.set(true);
        match remedy {
            Remedy::StartAgain => self.renew(),
            Remedy::UseCpu => self.set_device(DeviceChoice::Cpu),
            Remedy::UseSynthetic => self.set_sample(false),
            Remedy::Defaults => self.set_defaults(),
            Remedy::LowerLearningRate => {
                let config = self.address.with_untracked(|address| address.config.clone());
                self.change(Config { learning_rate: (config.learning_rate / 10.0).max(1e-7), ..config });
            }
            Remedy::ChooseRows => own::show(),
            // Refused only where there is no window left.
            Remedy::Reload => drop(location().reload()),
        }
    }

    /// Another device. A browser opens a device once for a worker, so this takes a new one.
    pub fn set_device(self, device: DeviceChoice) {
        self.address.update(|address| address.device = device);
        self.write_link(Entry::New);
        self.renew();
    }

    /// Whether a sample of real rows beside the page may be used.
    pub fn set_sample(self, sample: bool) {
        self.address.update(|address| (address.sample, address.file) = (sample, None));
        self.write_link(Entry::New);
        self.reset();
    }

    /// The file that was looked at, from the start, with negatives drawn like this.
    pub fn train_on_own(self, negatives: Negatives) {
        let Some(file) = self.own.accept() else { return };
        self.address.update(|address| address.file = Some(file));
        let config = self.address.with_untracked(|address| address.config.clone());
        self.wants_play.set(true);
        self.set_config(Config { negatives, ..config });
    }

    /// The file that was trained on before; where there was none, says `false` and shows where one is chosen.
    pub fn return_to_own(self) -> bool {
        let Some(file) = self.own.accepted() else {
            own::show();
            return false;
        };
        self.address.update(|address| address.file = Some(file));
        self.set_config(self.address.with_untracked(|address| address.config.clone()));
        true
    }

    /// So many further seeds of these settings, each to its end, one after the other.
    pub fn train_seeds(self, more: u32) {
        self.shelf.left.set(more);
        match self.run.phase.get_untracked() {
            Phase::Finished => self.next_seed(),
            // This one has to come to its end too.
            _ => self.play(),
        }
    }

    fn next_seed(self) {
        let Some(seed) = self.shelf.fresh_seed() else { return };
        self.shelf.left.update(|left| *left -= 1);
        self.address.update(|address| address.config.seed = seed);
        self.write_link(Entry::Same);
        self.wants_play.set(true);
        self.start();
    }

    /// A run of the shelf once more, from the start.
    pub fn run_again(self, Setting { config, rows, file, .. }: &Setting) {
        self.address.update(|address| (address.sample, address.file) = (*rows == RowsChoice::Subset, file.clone()));
        self.wants_play.set(true);
        self.set_config(config.clone());
    }

    /// The file that the link names and that nobody has chosen here.
    pub fn missing_file(self) -> Option<address::FileName> {
        // Told anew with each run, because what was chosen is no signal.
        self.run.id.track();
        self.address.with(|address| address.file.clone()).filter(|file| self.own.rows_of(file).is_none())
    }

    /// Everything as the page comes, the look aside.
    pub fn set_defaults(self) {
        self.notices.set(Vec::new());
        self.address.update(|address| *address = address.with_defaults());
        self.wants_play.set(true);
        self.write_link(Entry::New);
        self.renew();
    }

    /// Plays, where it does not yet.
    pub fn play(self) {
        if !self.wants_play.get_untracked() || self.run.phase.get_untracked() == Phase::Finished {
            self.toggle();
        }
    }

    /// Pauses, where it plays.
    pub fn pause(self) {
        if self.wants_play.get_untracked() {
            self.toggle();
        }
    }

    /// A step of a lesson: its configuration from the start, waiting. The name of a lesson that a link can have, with its step.
    pub fn enter(self, config: Config, lesson: Option<(String, usize)>) {
        self.wants_play.set(false);
        // It asks about rows that it knows.
        self.address.update(|address| (address.lesson, address.file) = (lesson, None));
        self.set_config(config);
    }

    /// The link without its lesson; the run stays.
    pub fn leave_lesson(self) {
        self.address.update(|address| address.lesson = None);
        self.write_link(Entry::New);
    }

    /// Large type and notes, or not.
    pub fn set_present(self, present: bool) {
        self.address.update(|address| address.present = present);
        self.write_link(Entry::Same);
    }

    /// Some settings by their keys, as in a link, from the start or, where the run is a branch and they can change under way, from its
    /// step. What does not fit is said and changes nothing.
    pub fn set_pairs(self, pairs: &[(&str, &str)]) {
        let mut config = self.address.with_untracked(|address| address.config.clone());
        for (key, value) in pairs {
            match config.with(key, value) {
                Ok(Some(changed)) => config = changed,
                Ok(None) => {}
                Err(error) => return self.notices.set(vec![error.to_string()]),
            }
        }
        match config.validate() {
            Ok(()) => self.change(config),
            Err(error) => self.notices.set(vec![error.to_string()]),
        }
    }

    /// Whether the link leaves out this panel.
    pub fn hides(self, panel: &str) -> bool {
        self.address.with(|address| address.hide.contains(&panel))
    }

    /// Pictures this side's centres in this and later runs.
    pub fn show_side(self, side: Side) {
        if self.run.side.get_untracked() != side {
            self.run.show_side(side);
            self.send(|run| Command::Show { run, side });
        }
    }

    /// Portrays this user in this and later runs.
    pub fn portray(self, sitting: Sitting) {
        self.sitting.set(sitting);
        self.send(|run| Command::Portray { run, sitting });
    }

    /// Sets the speed of this and later runs.
    pub fn set_speed(self, speed: Speed) {
        self.speed.set(speed);
        self.send(|run| Command::Speed { run, steps_per_second: speed.steps_per_second() });
    }

    /// The sizes of a preset with the present seed.
    pub fn set_preset(self, preset: Preset) {
        let seed = self.address.with_untracked(|address| address.config.seed);
        self.set_config(Config { seed, ..Config::preset(preset) });
    }

    /// Another race: these models against the first, from the start.
    pub fn set_variants(self, variants: Vec<Variant>) {
        let config = self.address.with_untracked(|address| address.config.clone());
        if config.variants.0 != variants {
            self.set_config(Config { variants: Variants(variants), ..config });
        }
    }

    /// Lets a model of this run go on from a file of weights that a person chose. It never leaves this machine.
    pub fn load_weights(self, file: File) {
        let run = self.run.id.get_untracked();
        let name = file.name();
        wasm_bindgen_futures::spawn_local(async move {
            match JsFuture::from(file.array_buffer()).await {
                Ok(buffer) => {
                    let bytes = Uint8Array::new(&buffer).to_vec();
                    self.send(|_| Command::Load { run, name, bytes });
                }
                Err(_) => self.run.refused.set(Some(Failure {
                    what: format!("{name} could not be read."),
                    detail: "the browser did not give the file's bytes".into(),
                    next: "Choose the file once more.".into(),
                })),
            }
        });
    }

    /// Another seed, or a notice where the text is none.
    pub fn set_seed(self, text: &str) {
        let config = self.address.with_untracked(|address| address.config.clone());
        match config.with("seed", text.trim()) {
            Ok(Some(changed)) if changed == config => {}
            Ok(changed) => self.set_config(changed.unwrap_or(config)),
            Err(error) => self.notices.set(vec![format!("{error}. The seed stays {}.", config.seed)]),
        }
    }

    /// Another look.
    pub fn set_theme(self, theme: Theme) {
        self.address.update(|address| address.theme = theme);
        self.write_link(Entry::Same);
    }

    /// Another language; the run goes on.
    pub fn set_language(self, language: Language) {
        self.address.update(|address| address.language = language);
        self.write_link(Entry::Same);
    }

    /// Another configuration: of a branch from its step on where that can be, else from the start.
    fn change(self, config: Config) {
        let from = self.branch_under(&config);
        self.adopt(config);
        match from {
            Some(step) => self.start_from(Some(step)),
            None => self.reset(),
        }
    }

    /// Another configuration, from the start.
    fn set_config(self, config: Config) {
        self.adopt(config);
        self.reset();
    }

    fn adopt(self, config: Config) {
        self.notices.set(Vec::new());
        self.address.update(|address| {
            // A preset knows nothing of the labels of a file.
            let negatives = if address.file.is_some() { self.own.negatives(config.negatives) } else { config.negatives };
            address.config = Config { negatives, ..config };
        });
        self.write_link(Entry::New);
    }

    fn write_link(self, entry: Entry) {
        let (hash, search) = (self.address.with_untracked(Address::write), address::foreign(&search()));
        // In a frame, Back belongs to the page around it.
        let entry = if self.address.with_untracked(|address| address.embed) { Entry::Same } else { entry };
        // Relative to the document and not to its base, which a published page may set.
        let url = format!("{}{search}#{hash}", location().pathname().unwrap_or_default());
        let Ok(history) = window().history() else { return };
        let entry = if location().href().is_ok_and(|href| href.ends_with(&url)) { Entry::Same } else { entry };
        // Refused where somebody changes the link a hundred times in half a minute; the run is what it says all the same.
        let _ = match entry {
            Entry::New => history.push_state_with_url(&JsValue::NULL, "", Some(&url)),
            Entry::Same => history.replace_state_with_url(&JsValue::NULL, "", Some(&url)),
        };
    }

    /// A new trainer in place of the one there is, and the same configuration from the start.
    fn renew(self) {
        self.trainer.set_value(None);
        self.start();
    }

    /// The present configuration from the start.
    fn start(self) {
        self.start_from(None);
    }

    /// The present configuration, from the start or from a mark of the run on show.
    fn start_from(self, from: Option<u64>) {
        let is_alive = self.trainer.with_value(|trainer| trainer.as_ref().is_some_and(|trainer| !trainer.is_broken()));
        // A trainer takes its marks with it.
        let from = from.filter(|_| is_alive);
        let course = from.and_then(|step| Some(self.shelf.setting.get_untracked()?.course_until(step))).unwrap_or_default();
        let address = self.address.get_untracked();
        let (rows, file) = match address.file.as_ref().and_then(|file| self.own.rows_of(file)) {
            Some((rows, file)) => (rows, Some(file)),
            None if address.sample => (RowsChoice::Subset, None),
            None => (RowsChoice::Synthetic, None),
        };
        let file_name = file.as_ref().map(FileName::of);
        self.shelf.turn(self.run, Setting { config: address.config.clone(), rows: rows.clone(), file: file_name, course });
        match from {
            Some(step) => self.run.begin_branch(step),
            None => self.run.begin(),
        }
        self.heard();
        if !is_alive {
            // The old one first: two at a time would need the memory of two.
            self.trainer.set_value(None);
            match Trainer::spawn(move |report| self.take(report)) {
                Ok(trainer) => self.trainer.set_value(Some(trainer)),
                Err((failure, remedy)) => return self.run.fail(failure, remedy),
            }
        }
        let run = self.run.id.get_untracked();
        self.give(Command::Start { run, config: Box::new(address.config), device: address.device, rows, from }, file);
        self.send(|run| Command::Speed { run, steps_per_second: self.speed.get_untracked().steps_per_second() });
        self.send(|run| Command::Show { run, side: self.run.side.get_untracked() });
        self.send(|run| Command::Portray { run, sitting: self.sitting.get_untracked() });
        if self.wants_play.get_untracked() {
            self.send(|run| Command::Play { run });
        }
    }

    fn send(self, command: impl FnOnce(u32) -> Command) {
        self.give(command(self.run.id.get_untracked()), None);
    }

    fn give(self, command: Command, file: Option<File>) {
        self.trainer.with_value(|trainer| {
            if let Some(trainer) = trainer {
                trainer.send(command, file);
            }
        });
    }

    fn take(self, report: Report) {
        match report {
            Report::Message(Message { run, event }) => {
                // A late message of another run is a sign of life too.
                self.heard();
                if run == self.run.id.get_untracked() {
                    let has_ended = event == Event::State(State::Finished);
                    if has_ended {
                        self.wants_play.set(false);
                    }
                    if let Event::Progress { step, .. } = event
                        && self.shelf.setting.with_untracked(|now| now.as_ref().and_then(Setting::branched_at)) > Some(step)
                    {
                        // The trainer could not branch and has begun anew.
                        self.shelf.setting.update(|now| now.iter_mut().for_each(|setting| setting.course.clear()));
                    }
                    self.run.apply(event);
                    if has_ended && self.shelf.left.get_untracked() > 0 {
                        self.next_seed();
                    }
                }
            }
            // What the trainer itself said of its end is better than what the browser says.
            Report::Broken(..) if self.run.phase.get_untracked() == Phase::Failed => self.run.forget_marks(),
            Report::Broken(failure, remedy) => {
                self.run.fail(failure, remedy);
                self.run.forget_marks();
            }
        }
    }

    fn heard(self) {
        self.quiet.set_value(0.0);
        if self.silence.get_untracked().is_some() {
            self.silence.set(None);
        }
    }

    /// A trainer that is killed says nothing, and where there are no locks silence is the only sign. It is no verdict: the next
    /// message takes it back.
    fn watch(self) {
        let last = StoredValue::new(now());
        let look = move || {
            let passed = (now() - last.get_value()).min(LONGEST_TICK);
            last.set_value(now());
            let phase = self.run.phase.get_untracked();
            if !phase.is_busy() {
                return self.heard();
            }
            self.quiet.update_value(|quiet| *quiet += passed);
            let is_ready = self.trainer.with_value(|trainer| trainer.as_ref().is_some_and(Trainer::is_ready));
            let watchdog = f64::from(self.address.with_untracked(|address| address.watchdog));
            let (patience, silence): (f64, fn(u32) -> Silence) = match phase {
                _ if !is_ready => (PATIENCE_WHILE_LOADING, Silence::Program),
                Phase::Preparing(_) => (PATIENCE_WHILE_PREPARING * watchdog, Silence::Trainer),
                _ => (watchdog, Silence::Trainer),
            };
            let quiet = self.quiet.get_value();
            if quiet > patience {
                let counted = (quiet - patience) as u32 / COUNT * COUNT + patience as u32;
                if self.silence.get_untracked() != Some(silence(counted)) {
                    self.silence.set(Some(silence(counted)));
                }
            }
        };
        // Without a timer there is no watch, and nothing else is lost.
        let _ = set_interval_with_handle(look, Duration::from_secs(1));
    }

    /// Follows the link when a person goes back, or writes another.
    fn follow_link(self) {
        let changed = window_event_listener(leptos::ev::popstate, move |_| {
            let (address, notices) = Address::read(&search(), &hash(), &(self.parts)());
            let old = self.address.get_untracked();
            self.notices.set(notices);
            self.address.set(address.clone());
            let is_same_but_config = (old.sample, &old.file) == (address.sample, &address.file);
            let branch = self.branch_under(&address.config).filter(|_| is_same_but_config && old.config != address.config);
            if old.device != address.device {
                self.renew();
            } else if branch.is_some() {
                self.start_from(branch);
            } else if (&old.config, old.sample, &old.file) != (&address.config, address.sample, &address.file) {
                self.reset();
            }
        });
        on_cleanup(move || changed.remove());
    }
}

/// Whether a change of the link can be taken back with the browser's Back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// Another experiment.
    New,
    /// The same in another look.
    Same,
}

fn search() -> String {
    location().search().unwrap_or_default()
}

fn hash() -> String {
    location().hash().unwrap_or_default()
}

/// Seconds since the page was opened.
fn now() -> f64 {
    window().performance().map_or(0.0, |clock| clock.now() / 1_000.0)
}
