//! What a person sees while a run goes on: a bar on a terminal, a line every tenth of the run where standard error is a
//! file or a pipe.

use std::io::{IsTerminal, stderr};

use duia::data::{DataReport, Origin};
use duia::metrics::{Evaluation, TestKind};
use duia::variants::Variant;
use duia::wire::{DeviceReport, Event, Stage};
use indicatif::{ProgressBar, ProgressStyle};

use super::text::{figure, percent, warn, whole};

const TENTHS: u64 = 10;

/// Models whose areas fit on a line of progress.
const AREAS_SHOWN: usize = 4;

/// Shows events on standard error.
#[derive(Debug, Default)]
pub struct Console {
    quiet: bool,
    meter: Option<Meter>,
    variants: Vec<Variant>,
    areas: String,
}

/// How far something is, of which all is known to come.
#[derive(Debug)]
pub struct Meter {
    bar: Option<ProgressBar>,
    unit: &'static str,
    total: u64,
    tenths_said: u64,
}

impl Meter {
    /// Of `total` units, by the name of one.
    pub fn new(total: u64, unit: &'static str) -> Self {
        let bar = || {
            let style =
                ProgressStyle::with_template(&format!("{{bar:24}} {{human_pos}}/{{human_len}} {unit}s  {{eta}} left  {{wide_msg}}"));
            ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        };
        Self { bar: stderr().is_terminal().then(bar), unit, total, tenths_said: 0 }
    }

    /// Shows that `done` are done, and how it goes.
    pub fn show(&mut self, done: u64, state: String) {
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(state);
            }
            None => {
                let tenths = done * TENTHS / self.total.max(1);
                if tenths > self.tenths_said {
                    self.tenths_said = tenths;
                    warn(&format!("{} {} of {}: {state}", self.unit, whole(done), whole(self.total)));
                }
            }
        }
    }

    /// A line above the bar.
    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => warn(text),
        }
    }

    /// Takes the bar away.
    pub fn close(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Console {
    /// A console that says nothing where `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, ..Self::default() }
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event) {
        if self.quiet {
            return;
        }
        match event {
            Event::Stage(stage) => self.line(stage_text(*stage)),
            Event::Device(device) => self.line(&device_text(device)),
            Event::Data(data) => data_text(data).iter().for_each(|line| self.line(line)),
            Event::Ready { variants, steps, panel_positives, .. } => self.begin(variants, *steps, *panel_positives),
            Event::Progress { step, samples_per_second, .. } => self.progress(*step, *samples_per_second),
            Event::Evaluation(evaluation) if evaluation.kind == TestKind::Panel => self.areas = areas_text(&self.variants, evaluation),
            _ => {}
        }
    }

    /// Takes the bar away; what follows is the closing table or an error.
    pub fn close(&mut self) {
        if let Some(meter) = self.meter.take() {
            meter.close();
        }
    }

    fn line(&self, text: &str) {
        match &self.meter {
            Some(meter) => meter.line(text),
            None => warn(text),
        }
    }

    fn begin(&mut self, variants: &[Variant], steps: u64, panel_positives: u64) {
        self.variants = variants.to_vec();
        let names: Vec<&str> = variants.iter().map(|variant| variant.name()).collect();
        self.line(&format!(
            "Training {} side by side for {} steps; the AUC on the way is that of a panel of {} test positives.",
            names.join("; "),
            whole(steps),
            whole(panel_positives)
        ));
        self.meter = Some(Meter::new(steps, "step"));
    }

    fn progress(&mut self, step: u64, samples_per_second: f64) {
        if let Some(meter) = &mut self.meter {
            meter.show(step, format!("{} samples/s{}", whole(samples_per_second as u64), self.areas));
        }
    }
}

fn stage_text(stage: Stage) -> &'static str {
    match stage {
        Stage::Device => "Looking for a device …",
        Stage::SelfTest => "Comparing the device with the CPU …",
        Stage::Data => "Counting the rows …",
        Stage::Models => "Building the models …",
        Stage::FinalTest => "Scoring the whole test set …",
        Stage::StreamingTest => "Scoring it once more, and training on each batch once it is scored …",
    }
}

fn device_text(device: &DeviceReport) -> String {
    let tested = device.self_test.map(|difference| format!(" Self-test: at most {difference:.1e} from the CPU.")).unwrap_or_default();
    format!("Device: {} ({}). {}{tested}", device.backend, device.adapter, device.reason)
}

/// The data in sentences. Synthetic rows are called so.
pub fn data_text(data: &DataReport) -> Vec<String> {
    let origin = match data.origin {
        Origin::Synthetic => "synthetic: no real user in it",
        Origin::Sample => "a sample of real rows",
        Origin::File => "real rows",
    };
    let mut lines = vec![
        format!(
            "Data: {} ({origin}). {} rows, {} users, {} items, {} categories.",
            data.name,
            whole(data.rows),
            whole(data.users),
            whole(data.items),
            whole(data.categories)
        ),
        format!(
            "Split by time: {} rows train, {} test; {} low-active users have {} of the training rows; {} of the test positives are items \
             that training never shows.",
            whole(data.train_rows),
            whole(data.test_rows),
            whole(data.low_active_users),
            percent(data.low_active_row_share),
            percent(data.unseen_test_share)
        ),
    ];
    lines.extend(data.refused.iter().map(|(reason, rows)| format!("Refused {} rows: {reason}.", whole(*rows))));
    lines
}

/// Areas of all users: of each model, or of the first and the best where they are too many for a line.
fn areas_text(variants: &[Variant], evaluation: &Evaluation) -> String {
    let mut areas: Vec<(&str, f64)> =
        variants.iter().zip(&evaluation.scores).map(|(variant, score)| (variant.name(), score.auc.all.value)).collect();
    if areas.len() > AREAS_SHOWN {
        let best = areas[1..].iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        areas.truncate(1);
        areas.extend(best.map(|(_, area)| ("best of the others", area)));
    }
    let shown: Vec<String> = areas.iter().map(|(name, area)| format!("{name} {}", figure(*area))).collect();
    if shown.is_empty() { String::new() } else { format!("  AUC: {}", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn synthetic_is_called_synthetic_and_refusals_are_said() {
        let data = example::data();
        let lines = data_text(&data);
        assert!(lines[0].contains("synthetic") && lines[0].contains("200,000 rows"));
        assert_eq!(lines[2], "Refused 3 rows: outside the window.");
        assert!(!data_text(&DataReport { origin: Origin::File, ..data })[0].contains("synthetic"));
    }
}
