//! `--log json`: a run as JSON lines, one object a line, for programs.
//!
//! Every line has `event` and `seconds` since the start. Lines by `event`:
//!
//! | event | other keys |
//! | --- | --- |
//! | `resumed` | `run`, its folder; `step` after which it goes on, `of` how many |
//! | `stage` | `stage`: `reading`, `device`, `self-test`, `data`, `models`, `training`, `test`, `streaming-test` |
//! | `stage_end` | `stage`, `took`: its seconds |
//! | `device`, `data` | as in `report.json` |
//! | `ready` | `models`, `steps`, `probe_positives` |
//! | `progress` | `stage`, `done`, `of` (null for a pipe), `unit`, in training `samples_per_second`, `left`: seconds that it will still take, null before it is known |
//! | `losses` | `step`, `models`: the losses of each by their names |
//! | `evaluation` | `step`, `test`: `probe`, `whole` or `streaming`, `models`: the score of each as in `report.json` |
//! | `clusters` | as in `report.json` |
//! | `reseeded` | `step`, `model`, `side`, `centres`, `children`, `first_fill` |
//! | `saved` | a checkpoint: `step`, `file`, `bytes` |
//! | `note` | `text`: what else a person is told |
//! | `failure` | `what`, `detail`, `next`: one that ends the run |
//! | `end` | `outcome`: `finished`, `stopped` or `failed` |

use std::fs::{File, OpenOptions};
use std::io::{self, Write, stdout};
use std::path::Path;
use std::time::{Duration, Instant};

use duia::metrics::TestKind;
use duia::variants::Variant;
use duia::wire::{Event, Stage, State};
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::series::side_key;

/// Time between two lines on how far something is.
const SILENCE: Duration = Duration::from_secs(1);

/// Writes a run as JSON lines.
pub struct Log {
    to: Box<dyn Write>,
    began: Instant,
    stage: Option<(&'static str, Instant)>,
    /// What was done when the stage was first told of: a run that goes on has done some before.
    first: Option<u64>,
    /// When it was last told how far the stage is, and what was done by then.
    told: Option<(Instant, u64)>,
    models: Vec<Variant>,
    steps: u64,
    /// A reader that has gone away, a disk that is full: said once.
    failed: bool,
}

impl Log {
    /// On standard output, or at the end of a file.
    pub fn new(file: Option<&Path>) -> Result<Self, Refusal> {
        let to: Box<dyn Write> = match file {
            None => Box::new(stdout()),
            Some(path) => Box::new(open(path).map_err(|error| Refusal::file(path, error, "Choose another place with --log-file"))?),
        };
        Ok(Self { to, began: Instant::now(), stage: None, first: None, told: None, models: Vec::new(), steps: 0, failed: false })
    }

    /// A stage that no event tells of.
    pub fn enter(&mut self, stage: &'static str) {
        self.leave();
        (self.stage, self.first, self.told) = (Some((stage, Instant::now())), None, None);
        self.line("stage", json!({ "stage": stage }));
    }

    /// An event of the run.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Stage(stage) => self.enter(stage_key(*stage)),
            Event::State(State::Playing) => self.enter("training"),
            Event::Device(device) => self.line("device", json!(device)),
            Event::Data(data) => self.line("data", json!(data)),
            Event::Ready { variants, steps, probe_positives, .. } => {
                (self.models, self.steps) = (variants.clone(), *steps);
                self.line("ready", json!({ "models": variants, "steps": steps, "probe_positives": probe_positives }));
            }
            Event::Progress { step, samples_per_second, .. } if self.stage.is_some_and(|(stage, _)| stage == "training") => {
                self.progress(*step, Some(self.steps), "step", Some(*samples_per_second));
            }
            Event::Tested { rows, of, .. } => self.progress(*rows, Some(*of), "row", None),
            Event::Losses { step, losses } => {
                let of = losses.iter().map(|losses| json!(losses.named().collect::<std::collections::BTreeMap<_, _>>())).collect();
                let models = self.by_model(of);
                self.line("losses", json!({ "step": step, "models": models }));
            }
            Event::Evaluation(evaluation) => {
                let test = match evaluation.kind {
                    TestKind::ProbeSet => "probe",
                    TestKind::Whole => "whole",
                    TestKind::Streaming => "streaming",
                };
                let models = self.by_model(evaluation.scores.iter().map(|score| json!(score)).collect());
                self.line("evaluation", json!({ "step": evaluation.step, "test": test, "models": models }));
            }
            Event::Clusters(health) => self.line("clusters", json!(health)),
            Event::Reseeded { variant, side, step, centres, children, first_fill } => self.line(
                "reseeded",
                json!({
                    "step": step, "model": variant, "side": side_key(*side), "centres": centres.len(), "children": children.len(),
                    "first_fill": first_fill
                }),
            ),
            _ => {}
        }
    }

    /// How far the reading of a file is, in bytes; of a pipe nobody knows its end.
    pub fn reading(&mut self, done: u64, of: Option<u64>) {
        self.progress(done, of, "byte", None);
    }

    /// The run goes on after a step.
    pub fn resumed(&mut self, run: &Path, step: u64, of: u64) {
        self.line("resumed", json!({ "run": run, "step": step, "of": of }));
    }

    /// A checkpoint was written.
    pub fn saved(&mut self, step: u64, file: &Path, bytes: u64) {
        self.line("saved", json!({ "step": step, "file": file, "bytes": bytes }));
    }

    /// A sentence for a person that no other line has.
    pub fn note(&mut self, text: &str) {
        self.line("note", json!({ "text": text }));
    }

    /// The last lines.
    pub fn end(&mut self, outcome: &Result<(), Refusal>) {
        self.leave();
        let outcome = match outcome {
            Ok(()) => "finished",
            Err(Refusal::Stopped | Refusal::Untested | Refusal::Interrupted(_)) => "stopped",
            Err(refusal) => {
                self.line("failure", failure(refusal));
                "failed"
            }
        };
        self.line("end", json!({ "outcome": outcome }));
    }

    fn leave(&mut self) {
        if let Some((stage, entered)) = self.stage.take() {
            self.line("stage_end", json!({ "stage": stage, "took": entered.elapsed().as_secs_f64() }));
        }
    }

    /// Now and then, and at the end of a stage.
    fn progress(&mut self, done: u64, of: Option<u64>, unit: &str, samples_per_second: Option<f64>) {
        let Some((stage, entered)) = self.stage else { return };
        let first = *self.first.get_or_insert(done);
        let is_over = of.is_some_and(|of| done >= of);
        if self.told.is_some_and(|(told, last)| last == done || !is_over && told.elapsed() < SILENCE) {
            return;
        }
        self.told = Some((Instant::now(), done));
        let left = of.filter(|&of| done > first || done >= of).map(|of| {
            let each = entered.elapsed().as_secs_f64() / (done - first).max(1) as f64;
            each * of.saturating_sub(done) as f64
        });
        let mut about = json!({ "stage": stage, "done": done, "of": of, "unit": unit, "left": left });
        if let Some(rate) = samples_per_second {
            about["samples_per_second"] = json!(rate);
        }
        self.line("progress", about);
    }

    fn by_model(&self, values: Vec<Value>) -> Value {
        Value::Object(self.models.iter().map(|variant| variant.key().to_owned()).zip(values).collect())
    }

    fn line(&mut self, event: &str, about: Value) {
        let mut line =
            Map::from_iter([("event".to_owned(), json!(event)), ("seconds".to_owned(), json!(self.began.elapsed().as_secs_f64()))]);
        if let Value::Object(about) = about {
            line.extend(about);
        }
        let written = writeln!(self.to, "{}", Value::Object(line)).and_then(|()| self.to.flush());
        if let Err(error) = written
            && !std::mem::replace(&mut self.failed, true)
        {
            super::text::warn(&format!("The log cannot be written any more: {error}. The run goes on."));
        }
    }
}

fn failure(refusal: &Refusal) -> Value {
    match refusal {
        Refusal::Run { failure, .. } => json!(failure),
        Refusal::Input { what, next } => json!({ "what": what, "detail": "", "next": next }),
        other => json!({ "what": other.to_string(), "detail": "", "next": "" }),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn stage_key(stage: Stage) -> &'static str {
    match stage {
        Stage::Device => "device",
        Stage::SelfTest => "self-test",
        Stage::Data => "data",
        Stage::Models => "models",
        Stage::FinalTest => "test",
        Stage::StreamingTest => "streaming-test",
        Stage::Passes => "passes",
    }
}
