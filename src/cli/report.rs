//! `report.json`: a run, for programs and for people.
//!
//! | key | what |
//! | --- | --- |
//! | `schema` | version of these keys, [`SCHEMA`] |
//! | `duia` | version of the program |
//! | `command` | the command line, the program itself left out |
//! | `config` | every key of the configuration: saved as a file of its own, `--config` reads it |
//! | `link` | the same as a link, to put behind the page's address |
//! | `weights_in` | the file of weights that one model started from; null where all started afresh |
//! | `device` | backend, adapter, why it was chosen, and the self-test's largest difference |
//! | `data` | origin (`synthetic`, `sample` or `file`), rows, those `refused` by reason, `notes` on what was put right, users, items, the split |
//! | `steps`, `planned_steps` | steps done, and steps of the whole run |
//! | `samples` | samples that each model has seen |
//! | `seconds` | wall time of the whole run, reading, evaluating and compiling included |
//! | `samples_per_second` | speed of training alone, all models together |
//! | `whole_test_set` | whether the scores are of the whole test set; else of the probe set, where a run failed or its test was left out |
//! | `models` | one entry a model: `variant`, `name`, its last `losses` by their names in `series.csv` (none of a rule), its `score`, its score in the `streaming` test or null |
//! | `clusters` | state of the clusters over the test positives, one entry for each `variant` and `side` (`users`, `items`) |
//! | `failure` | null, or what failed, in detail, and what to do next |
//!
//! A `score` holds `auc` (`all`, `low`, `high`, each with `value`, `standard_error`, `positives`, `negatives`), `gauc`
//! (`value`, `standard_error`, `users`), `auc_without_repeats`, `auc_seen_items` and, from the second model on, `lift`: the paired difference from the first
//! by group, with its standard error, `lift_without_repeats` and `gauc_lift`. All errors are clustered by user. In both tests of the whole test set there are also `lift_over_parent` and
//! `lift_over_parent_without_repeats`, the paired differences from the model that this one adds something to (where that one was compared and is not the first), and `slices`: area and lift over parts of
//! the test. A figure that does not exist (an area with one class missing) is null.

use std::collections::BTreeMap;
use std::path::Path;

use duia::config::Config;
use duia::data::DataReport;
use duia::metrics::{ClusterHealth, Evaluation, Losses, Score};
use duia::variants::Variant;
use duia::wire::{DeviceReport, Failure};
use serde::Serialize;

use super::input::name;
use super::record::Record;

/// Version of the schema. It grows when a key changes its meaning or goes away; new keys may come without.
pub const SCHEMA: u32 = 3;

/// The file.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    schema: u32,
    duia: &'static str,
    command: &'a [String],
    config: &'a Config,
    link: String,
    weights_in: Option<String>,
    device: Option<&'a DeviceReport>,
    data: Option<&'a DataReport>,
    steps: u64,
    planned_steps: u64,
    samples: u64,
    resumed_at: &'a [u64],
    seconds: f64,
    samples_per_second: f64,
    whole_test_set: bool,
    models: Vec<Model<'a>>,
    clusters: &'a [ClusterHealth],
    failure: Option<&'a Failure>,
}

/// One model of the comparison.
#[derive(Debug, Serialize)]
struct Model<'a> {
    variant: Variant,
    name: &'static str,
    losses: BTreeMap<&'a str, f32>,
    score: Option<&'a Score>,
    streaming: Option<&'a Score>,
}

impl<'a> Report<'a> {
    /// The report of a record. `command` is the command line without the program, `seconds` the wall time.
    pub fn new(record: &'a Record, config: &'a Config, command: &'a [String], seconds: f64) -> Self {
        fn scores(evaluation: Option<&Evaluation>) -> &[Score] {
            evaluation.map_or(&[], |evaluation| &evaluation.scores)
        }
        let (frozen, streaming) = (scores(record.evaluation.as_ref()), scores(record.streaming.as_ref()));
        let model = |(place, &variant): (usize, &Variant)| Model {
            variant,
            name: variant.name(),
            losses: record.losses.get(place).into_iter().flat_map(Losses::named).collect(),
            score: frozen.get(place),
            streaming: streaming.get(place),
        };
        Self {
            schema: SCHEMA,
            duia: env!("CARGO_PKG_VERSION"),
            command,
            config,
            link: config.to_link(),
            weights_in: None,
            device: record.device.as_ref(),
            data: record.data.as_ref(),
            steps: record.steps,
            planned_steps: record.planned_steps,
            samples: record.samples,
            resumed_at: &record.resumed_at,
            seconds,
            samples_per_second: record.samples_per_second,
            whole_test_set: record.is_tested(),
            models: record.variants.iter().enumerate().map(model).collect(),
            clusters: &record.clusters,
            failure: record.failure.as_ref(),
        }
    }

    /// The report of a run that started from weights.
    pub fn starting_from(mut self, file: Option<&Path>) -> Self {
        self.weights_in = file.map(name);
        self
    }

    /// The file's text.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|json| json + "\n")
    }
}
