//! What a person sees while a simulation goes on.

use duia::data::DataReport;
use duia::simulation::{Notice, Progress};
use duia::variants::Variant;
use duia::wire::{DeviceReport, Event};

use super::super::super::console::{Console, data_text};
use super::super::super::meter::{Meter, Unit};
use super::super::super::text::warn;

/// Shows notices on standard error and keeps what the report needs of them.
pub struct Watcher {
    pub device: Option<DeviceReport>,
    pub data: Option<DataReport>,
    /// Whether training had begun.
    pub begun: bool,
    names: Vec<&'static str>,
    days: u32,
    quiet: bool,
    console: Console,
    training: Option<Meter>,
    serving: Option<Meter>,
}

impl Watcher {
    /// For so many days with these models; one that says nothing where `quiet`.
    pub fn new(variants: &[Variant], days: u32, quiet: bool) -> Self {
        let names = variants.iter().map(|variant| variant.name()).collect();
        let console = Console::new(quiet);
        Self { device: None, data: None, begun: false, names, days, quiet, console, training: None, serving: None }
    }

    /// Takes a notice in.
    pub fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Event(Event::Data(data)) => {
                if !self.quiet {
                    // The split that the other lines tell of is none here.
                    data_text(&data).first().into_iter().for_each(|line| warn(line));
                }
                self.data = Some(data);
            }
            Notice::Event(event) => {
                self.console.show(&event);
                if let Event::Device(device) = event {
                    self.device = Some(device);
                }
            }
            Notice::Trained { step, steps } => self.trained(step, steps),
            Notice::Served(progress) => self.served(progress),
        }
    }

    /// Takes the bars away; what follows is the closing table or an error.
    pub fn close(mut self) -> Self {
        [self.training.take(), self.serving.take()].into_iter().flatten().for_each(Meter::close);
        self
    }

    fn trained(&mut self, step: u64, steps: u64) {
        self.begun = true;
        if !self.quiet {
            let state = format!("training {} before the simulation", self.names.join("; "));
            self.training.get_or_insert_with(|| Meter::new(steps, Unit::Each("step"))).show(step, state);
        }
    }

    fn served(&mut self, Progress { day, arm, served, sessions }: Progress) {
        self.begun = true;
        self.training.take().into_iter().for_each(Meter::close);
        if !self.quiet {
            let state = format!("day {day} of {} of the simulation, {}", self.days, self.names.get(arm).copied().unwrap_or_default());
            self.serving.get_or_insert_with(|| Meter::new(sessions, Unit::Each("session"))).show(served, state);
        }
    }
}
