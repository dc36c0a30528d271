//! What a person sees while a run goes on, on standard error, and a program in the log.

use std::path::Path;

use duia::data::{DataReport, Origin};
use duia::metrics::{Evaluation, TestKind};
use duia::variants::Variant;
use duia::wire::{DeviceReport, Event, Stage};

use super::log::Log;
use super::meter::{Meter, Unit, Wait};
use super::text::{figure, percent, warn, whole};

/// Models whose areas fit on a line of progress.
const AREAS_SHOWN: usize = 4;

/// Shows events on standard error, and hands them to the log, where there is one.
#[derive(Default)]
pub struct Console {
    quiet: bool,
    log: Option<Log>,
    meter: Option<Meter>,
    /// What goes on without a measure.
    wait: Option<Wait>,
    /// The test that the meter is of; none while it is of training.
    testing: Option<TestKind>,
    variants: Vec<Variant>,
    areas: String,
}

impl Console {
    /// One that says nothing where `quiet`.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, ..Self::default() }
    }

    /// The same, with a log that hears all of it even where `quiet`.
    pub fn logging(self, log: Option<Log>) -> Self {
        Self { log, ..self }
    }

    /// The log, for what only it is told.
    pub fn log(&mut self) -> Option<&mut Log> {
        self.log.as_mut()
    }

    /// Shows an event.
    pub fn show(&mut self, event: &Event) {
        self.log.iter_mut().for_each(|log| log.take(event));
        if self.quiet {
            return;
        }
        match event {
            Event::Stage(stage) => {
                if matches!(stage, Stage::FinalTest | Stage::StreamingTest) {
                    self.close();
                }
                self.wait(stage_text(*stage));
            }
            Event::Device(device) => {
                self.wait = None;
                self.line(&device_text(device));
            }
            Event::Data(data) => {
                self.wait = None;
                data_text(data).iter().for_each(|line| self.line(line));
            }
            Event::Ready { variants, steps, probe_positives, .. } => self.begin(variants, *steps, *probe_positives),
            Event::Progress { step, samples_per_second, .. } => self.progress(*step, *samples_per_second),
            Event::Tested { kind, rows, of } => self.tested(*kind, *rows, *of),
            Event::Evaluation(evaluation) if evaluation.kind == TestKind::ProbeSet => self.areas = areas_text(&self.variants, evaluation),
            Event::Evaluation(_) => self.wait = None,
            _ => {}
        }
    }

    /// Says what goes on until the next event that says anything.
    fn wait(&mut self, what: &str) {
        // The line of what was waited for before ends first.
        self.wait = None;
        self.wait = Some(Wait::new(what));
    }

    /// Takes the bar away; what follows is the closing table or an error.
    pub fn close(&mut self) {
        self.wait = None;
        if let Some(meter) = self.meter.take() {
            meter.close();
        }
    }

    /// Says that a run goes on after a step.
    pub fn resumed(&mut self, run: &Path, step: u64, of: u64) {
        self.log.iter_mut().for_each(|log| log.resumed(run, step, of));
        self.line(&format!("Going on with {} after step {} of {}.", run.display(), whole(step), whole(of)));
    }

    /// Says that a checkpoint was written.
    pub fn saved(&mut self, step: u64, file: &Path, bytes: u64) {
        self.log.iter_mut().for_each(|log| log.saved(step, file, bytes));
        self.line(&format!("Saved at step {}: {}, {} bytes.", whole(step), file.display(), whole(bytes)));
    }

    /// A line above the bar, unless quiet, and in the log.
    pub fn note(&mut self, text: &str) {
        self.log.iter_mut().for_each(|log| log.note(text));
        self.line(text);
    }

    /// A line on standard error that is said even where quiet, and in the log.
    pub fn warn(&mut self, text: &str) {
        self.log.iter_mut().for_each(|log| log.note(text));
        match (&self.meter, &self.wait) {
            (Some(meter), _) => meter.line(text),
            (None, Some(wait)) => wait.line(text),
            (None, None) => warn(text),
        }
    }

    /// A line above the bar, unless quiet.
    fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        match (&self.meter, &self.wait) {
            (Some(meter), _) => meter.line(text),
            (None, Some(wait)) => wait.line(text),
            (None, None) => warn(text),
        }
    }

    fn begin(&mut self, variants: &[Variant], steps: u64, probe_positives: u64) {
        self.close();
        self.variants = variants.to_vec();
        let names: Vec<&str> = variants.iter().map(|variant| variant.name()).collect();
        self.line(&format!(
            "Training {} side by side for {} steps; until the test, AUC is measured on a probe set of {} test positives.",
            names.join("; "),
            whole(steps),
            whole(probe_positives)
        ));
        self.meter = Some(Meter::new(steps, Unit::Each("step")));
    }

    fn tested(&mut self, kind: TestKind, rows: u64, of: u64) {
        if self.testing != Some(kind) {
            self.testing = Some(kind);
            self.close();
        }
        let (unit, state) = match kind {
            TestKind::ProbeSet => ("row", "trained on, of the most that may be"),
            TestKind::Whole => ("test row", "scored"),
            TestKind::Streaming => ("test row", "scored and then trained on"),
        };
        self.meter.get_or_insert_with(|| Meter::new(of, Unit::Each(unit))).show(rows, state.into());
        if rows >= of && kind != TestKind::ProbeSet {
            // Of twenty million rows they take a minute.
            self.close();
            self.wait("Computing the figures of the test …");
        }
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
        Stage::Passes => "Choosing by validation how often to go through the training rows …",
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
        Origin::Sample => "a subset of real rows",
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
    lines.extend(reader_text(&data.refused, &data.notes));
    lines
}

/// What the reader refused and put right, in sentences.
pub fn reader_text(refused: &[(String, u64)], notes: &[String]) -> Vec<String> {
    let refused = refused.iter().map(|(reason, rows)| format!("Refused {} rows: {reason}.", whole(*rows)));
    refused.chain(notes.iter().map(|note| format!("{note}."))).collect()
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
        assert_eq!(lines[3], "2 rows came right after a later one; all rows were sorted by time.");
        assert!(!data_text(&DataReport { origin: Origin::File, ..data })[0].contains("synthetic"));
    }
}
