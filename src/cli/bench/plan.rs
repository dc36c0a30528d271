//! What a bench measures, in the order of what one wants to know first: the time may end anywhere.

use duia::config::{Config, Preset};
use duia::variants::{Variant, trained};
use serde::{Deserialize, Serialize};

use super::arguments::SizesName;

/// Steps of an agreement: centres are filled after the second.
pub const AGREEMENT_STEPS: u64 = 8;
/// The batch of an agreement.
const AGREEMENT_BATCH: usize = 512;
/// The paper's ladder without UPBE alone.
const MODELS: [Variant; 4] = [Variant::Ple, Variant::Duia, Variant::Uie, Variant::DuiaItems];

/// A thing to measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// What is measured.
    pub measure: Measure,
    /// Sizes of the model and of its tables.
    pub sizes: SizesName,
    /// The models.
    pub models: Vec<Variant>,
    /// Rows of a step, one measurement each.
    pub batches: Vec<usize>,
    /// Whether burn may fuse operations into one kernel. A program decides once, before its first tensor.
    pub fusion: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Losses of some steps against the CPU's.
    Agreement,
    /// Samples a second, and where a step spends its time.
    Throughput,
    /// One step recorded and replayed as a graph.
    Graph,
    /// Rows a second of the host's part.
    Host,
}

impl Case {
    /// What it is, for a line of progress.
    pub fn title(&self) -> String {
        let measure = match self.measure {
            Measure::Agreement => "agreement with the CPU",
            Measure::Throughput => "throughput",
            Measure::Graph => "graph replay",
            Measure::Host => "the host's part",
        };
        let models: Vec<&str> = self.models.iter().map(|model| model.name()).collect();
        let models = match models.len() {
            0 => String::new(),
            n if n > MODELS.len() => format!(", {n} models"),
            _ => format!(", {}", models.join(", ")),
        };
        format!("{measure}, {} sizes{models}{}", self.sizes.key(), if self.fusion { "" } else { ", without fusion" })
    }

    /// Seconds that it takes at least, on a fast machine: what is not worth starting any more.
    pub fn least_seconds(&self) -> f64 {
        match self.measure {
            Measure::Agreement | Measure::Host => 2.0,
            Measure::Throughput | Measure::Graph => 3.0,
        }
    }
}

/// The configuration of some sizes at a batch.
pub fn config(sizes: SizesName, batch: usize) -> Config {
    let preset = match sizes {
        SizesName::Browser => Preset::Browser,
        SizesName::Paper => Preset::Paper,
    };
    Config { batch, warm_up: 2, ..Config::preset(preset) }
}

/// The configuration of an agreement: the widths of the sizes, with few rows of everything else.
pub fn agreement_config(sizes: SizesName) -> Config {
    let rows = AGREEMENT_BATCH as u64 * AGREEMENT_STEPS;
    let few = Config { users: 256, items: 4_096, categories: 64, user_groups: 8, item_groups: 8, rows, ..config(sizes, AGREEMENT_BATCH) };
    Config { evaluate_every: 1_000, ..few }
}

/// The configuration of a graph: the model of the sizes with few rows of everything, which a replay does not see.
pub fn graph_config(sizes: SizesName, batch: usize) -> Config {
    Config { users: 20_000, items: 50_000, categories: 1_000, ..config(sizes, batch) }
}

/// What is asked for.
pub struct Wanted {
    /// Sizes, the most interesting first.
    pub sizes: Vec<SizesName>,
    /// Models; empty for the usual ones.
    pub models: Vec<Variant>,
    /// Rows of a step.
    pub batches: Vec<usize>,
    /// Whether the device is the CPU, which agrees with itself and has no dispatches.
    pub on_cpu: bool,
}

/// All cases, those first that one would miss most.
pub fn cases(wanted: &Wanted) -> Vec<Case> {
    let Wanted { sizes, models, batches, on_cpu } = wanted;
    let models: Vec<Variant> = if models.is_empty() { MODELS.to_vec() } else { models.clone() };
    let case = |measure, sizes, models: &[Variant], batches: &[usize], fusion| Case {
        measure,
        sizes,
        models: models.to_vec(),
        batches: batches.to_vec(),
        fusion,
    };
    let each = |measure, fusion, batches: &[usize]| -> Vec<Case> {
        if batches.is_empty() {
            return Vec::new();
        }
        let pairs = models.iter().flat_map(|&model| sizes.iter().map(move |&sizes| (model, sizes)));
        pairs.map(|(model, sizes)| case(measure, sizes, &[model], batches, fusion)).collect()
    };
    if *on_cpu {
        return each(Measure::Throughput, true, batches).into_iter().chain([case(Measure::Host, sizes[0], &[], &[], true)]).collect();
    }
    let every: Vec<Variant> = trained(&Variant::ALL).collect();
    let middle = |count: usize| -> Vec<usize> { batches.iter().copied().filter(|&batch| batch >= 4_096).take(count).collect() };
    let mut all = vec![case(Measure::Agreement, sizes[0], &models, &[], true)];
    all.extend(each(Measure::Throughput, true, batches));
    all.extend(each(Measure::Graph, true, &middle(2)));
    all.push(case(Measure::Host, sizes[0], &[], &[], true));
    all.extend(sizes.iter().map(|&sizes| case(Measure::Agreement, sizes, &every, &[], true)));
    all.extend(sizes.iter().map(|&sizes| case(Measure::Agreement, sizes, &models, &[], false)));
    all.extend(each(Measure::Throughput, false, &middle(1)));
    all
}
