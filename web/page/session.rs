//! What a person can ask of the page, turned into commands to the trainer, and the watch over a trainer that falls silent.

use std::time::Duration;

use duia::config::{Config, Preset};
use duia::variants::{Variant, Variants};
use duia::wire::{Command, Event, Failure, Message};
use js_sys::Uint8Array;
use leptos::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::File;

use crate::address::{Address, Theme};
use crate::run::{Phase, Run};
use crate::trainer::{Report, Trainer};

/// How many times longer than a step the trainer may be silent while it loads, compiles or scores the whole test set.
const PATIENCE_WHILE_PREPARING: f64 = 6.0;
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

/// The page's one session: its link, its run and its trainer.
#[derive(Clone, Copy)]
pub struct Session {
    /// What the link says.
    pub address: RwSignal<Address>,
    /// What in the link could not be used.
    pub notices: RwSignal<Vec<String>>,
    /// What is shown.
    pub run: Run,
    /// The speed asked for.
    pub speed: RwSignal<Speed>,
    /// Seconds of silence, once they are too many.
    pub silence: RwSignal<Option<u32>>,
    /// Whether the run that is being made ready will play at once.
    pub play_when_ready: RwSignal<bool>,
    quiet: StoredValue<f64>,
    trainer: StoredValue<Option<Trainer>, LocalStorage>,
}

impl Session {
    /// Reads the link, starts the trainer and the watch over it.
    pub fn open() -> Self {
        let (address, notices) = Address::read(&hash());
        let session = Self {
            play_when_ready: RwSignal::new(address.autoplay),
            address: RwSignal::new(address),
            notices: RwSignal::new(notices),
            run: Run::new(),
            speed: RwSignal::new(Speed::Full),
            silence: RwSignal::new(None),
            quiet: StoredValue::new(0.0),
            trainer: StoredValue::new_local(None),
        };
        session.start();
        session.watch();
        session.follow_link();
        session
    }

    /// Play, pause, or start again where there is nothing left to play.
    pub fn toggle(self) {
        match self.run.phase.get_untracked() {
            Phase::Playing => self.send(|run| Command::Pause { run }),
            Phase::Paused => self.send(|run| Command::Play { run }),
            Phase::Loading | Phase::Preparing(_) => self.play_when_ready.update(|play| *play = !*play),
            Phase::Finished => {
                self.play_when_ready.set(true);
                self.start();
            }
            Phase::Failed => self.revive(),
        }
    }

    /// One step.
    pub fn step(self) {
        match self.run.phase.get_untracked() {
            Phase::Paused | Phase::Playing => self.send(|run| Command::Step { run }),
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
        matches!(self.run.phase.get(), Phase::Paused | Phase::Playing) && self.run.progress.with(|progress| progress.step > 0)
    }

    /// The same configuration from the start; it goes on playing if it was.
    pub fn reset(self) {
        let phase = self.run.phase.get_untracked();
        if phase == Phase::Failed || self.silence.get_untracked().is_some() {
            return self.revive();
        }
        if !matches!(phase, Phase::Loading | Phase::Preparing(_)) {
            self.play_when_ready.set(phase == Phase::Playing);
        }
        self.start();
    }

    /// A new trainer in place of one that failed or fell silent, and the same configuration from the start.
    pub fn revive(self) {
        self.trainer.set_value(None);
        self.play_when_ready.set(true);
        self.start();
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
        self.write_link();
    }

    fn set_config(self, config: Config) {
        self.notices.set(Vec::new());
        self.address.update(|address| address.config = config);
        self.write_link();
        self.reset();
    }

    fn write_link(self) {
        let hash = format!("#{}", self.address.with_untracked(Address::write));
        // Relative to the document and not to its base, which a published page may set.
        let url = location().pathname().unwrap_or_default() + &location().search().unwrap_or_default() + &hash;
        if let Ok(history) = window().history() {
            let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&url));
        }
    }

    fn start(self) {
        self.run.begin();
        self.heard();
        if self.trainer.with_value(Option::is_none) {
            match Trainer::spawn(move |report| self.take(report)) {
                Ok(trainer) => self.trainer.set_value(Some(trainer)),
                Err(failure) => return self.run.fail(failure),
            }
        }
        let address = self.address.get_untracked();
        self.send(|run| Command::Start { run, config: Box::new(address.config.clone()), device: address.device, sample: address.sample });
    }

    fn send(self, command: impl FnOnce(u32) -> Command) {
        let command = command(self.run.id.get_untracked());
        self.trainer.with_value(|trainer| {
            if let Some(trainer) = trainer {
                trainer.send(command);
            }
        });
    }

    fn take(self, report: Report) {
        match report {
            Report::Message(Message { run, event }) if run == self.run.id.get_untracked() => {
                self.heard();
                let ready = matches!(event, Event::Ready { .. });
                self.run.apply(event);
                if ready {
                    self.send(|run| Command::Speed { run, steps_per_second: self.speed.get_untracked().steps_per_second() });
                    if self.play_when_ready.get_untracked() {
                        self.send(|run| Command::Play { run });
                    }
                }
            }
            Report::Message(_) => {}
            Report::Broken(failure) => self.run.fail(failure),
        }
    }

    fn heard(self) {
        self.quiet.set_value(0.0);
        if self.silence.get_untracked().is_some() {
            self.silence.set(None);
        }
    }

    /// A trainer that is killed says nothing, so silence is the only sign. It is no verdict: the next message takes it back.
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
            let patience = if phase == Phase::Playing { 1.0 } else { PATIENCE_WHILE_PREPARING };
            let quiet = self.quiet.get_value();
            if quiet > patience * f64::from(self.address.with_untracked(|address| address.watchdog)) {
                self.silence.set(Some(quiet as u32));
            }
        };
        // Without a timer there is no watch, and nothing else is lost.
        let _ = set_interval_with_handle(look, Duration::from_secs(1));
    }

    fn follow_link(self) {
        let changed = window_event_listener(leptos::ev::hashchange, move |_| {
            let (address, notices) = Address::read(&hash());
            let same_run = self
                .address
                .with_untracked(|old| (&old.config, old.device, old.sample) == (&address.config, address.device, address.sample));
            self.notices.set(notices);
            self.address.set(address);
            if !same_run {
                self.reset();
            }
        });
        on_cleanup(move || changed.remove());
    }
}

fn hash() -> String {
    location().hash().unwrap_or_default()
}

/// Seconds since the page was opened.
fn now() -> f64 {
    window().performance().map_or(0.0, |clock| clock.now() / 1_000.0)
}
