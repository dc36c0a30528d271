//! How much memory a run takes, told from its sizes alone, before anything is allocated.
//!
//! A run that does not fit otherwise ends in the middle of its work: the system kills it, or a browser's tab dies with a bare
//! "unreachable". The figures are those of a run on the CPU; `tests/footprint.rs` holds them against what runs really take.

use crate::config::{Config, ConfigError, Negatives, Preset, Widths};
use crate::data::protocol::TASKS;
use crate::data::{Origin, Source, Vocabulary};
use crate::model::batch::Layout;
use crate::model::component::{Kind, Takes};
use crate::model::components;
use crate::model::layers::table::WITH_MOMENTS;
use crate::model::ranker::sizes::{adds, base, inputs};
use crate::platform;
use crate::variants::{Variant, trained};

const FLOAT: u64 = 4;

/// A row that is read into memory and stays there, and once more while rows are sorted; an item's category.
const READ_ROW: u64 = 12;
const READ_ITEM: u64 = 4;
/// While a file is read, what it calls a user or an item: in a table that grows, or as a text of some length.
const READ_ID: u64 = 120;

/// The program itself and the buffers of its reports.
const PROGRAM: u64 = 35_000_000;
/// Each model that trains has a thread of its own, whose heap keeps what it freed; from the third on they share most of it (measured on
/// two cores).
const THREAD_OF_MODEL: u64 = 43_000_000;
const FURTHER_THREAD: u64 = 14_000_000;

/// The generator keeps a group and a column of an alias table of each user, and a category of each item.
const STREAM_OF_USER: u64 = 12;
const STREAM_OF_ITEM: u64 = 4;
/// A pass over the generator keeps the newest items of each user.
const PASS_OF_USER: u64 = 72;

/// A row in the index of all rows: user, place, item, behaviour, counts, the place by item and the row by item, and what moves
/// them there.
const INDEX_OF_ROW: u64 = 26;
/// Under T1 also whether it is new to its user, and its number where it is a sample.
const SAMPLE_OF_ROW: u64 = 5;
/// Under E1 what it showed and what became of it, taken or not, and whether.
const SHOWN_OF_ROW: u64 = 11;
/// Activity and counts, for as long as the run goes.
const PROTOCOL_OF_USER: u64 = 2 + 4;
const PROTOCOL_OF_ITEM: u64 = 1 + 4 + 8;
/// A planner's stamps of a user or of an item, of whom the embedding table has a row and another table has one.
const PLANNER: u64 = 2 * 8;
/// Counts before the first batch.
const COUNTS_OF_USER: u64 = 20;
const COUNTS_OF_ITEM: u64 = 12;

/// What is kept of a sample of the test: its flags and ids, and what scoring cuts and sorts.
const TEST_SAMPLE: u64 = 12 + 8 + 16;
/// And of each model's score of it: the score, and its place in the ranking.
const TEST_SCORE: u64 = 4 + 8;
/// And where models are compared: its placements among the baseline's, the parent's and the model's own.
const TEST_COMPARED: u64 = (10 + 4 + 10) * 8;
/// And for each variant that is told the truth: its placements.
const TEST_TOLD: u64 = 10 * 8;
/// Batches of the test that are scored at once.
const TEST_CHUNK: u64 = 16;

/// Copies of an output of the ranker's layers that a step holds at its fullest: the value and its gradient.
const COPIES_OF_OUTPUT: u64 = 2;
/// Copies of an enhancement vector or an output of a tower.
const COPIES_OF_VECTOR: u64 = 3;
/// Copies of a dense parameter: itself, its gradient and both moments.
const COPIES_OF_PARAMETER: u64 = 4;
/// A place of a window on the host: item, category, what was done. And on the device: its ids as each part wants them, what was done,
/// and the plan of the rows that it touches.
const HOST_OF_SLOT: u64 = 9;
const DEVICE_OF_SLOT: u64 = 52;
/// Copies of a training batch: the rows', and the ids of candidates, requests and histories on the device.
const COPIES_OF_BATCH: u64 = 3;

/// The rows that a run is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many of each id there are.
    pub vocabulary: Vocabulary,
    /// Rows, training and test together.
    pub rows: u64,
    /// Whether the generator makes them: then sizes of the configuration can make them fewer.
    pub is_synthetic: bool,
}

impl Shape {
    /// The synthetic stream of a configuration.
    pub fn synthetic(config: &Config) -> Self {
        let vocabulary = Vocabulary { users: config.users, items: config.items, categories: config.categories };
        Self { vocabulary, rows: config.rows, is_synthetic: true }
    }

    /// The rows of an opened source.
    pub fn of(source: &dyn Source) -> Self {
        Self { vocabulary: source.vocabulary(), rows: source.rows(), is_synthetic: source.origin() == Origin::Synthetic }
    }
}

/// Bytes that a run takes at its fullest, by what takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// The generator, where the rows are synthetic.
    pub stream: u64,
    /// The index of all rows, and what is known of users and items.
    pub protocol: u64,
    /// Embeddings and personal vectors of all models, with their moments.
    pub tables: u64,
    /// Memories of behaviours and assignments to clusters.
    pub memories: u64,
    /// Threads and dense parameters of all models, and what a step computes on its way.
    pub step: u64,
    /// Scores of the whole test.
    pub test: u64,
}

impl Footprint {
    /// Of a run of a valid configuration over rows of a shape.
    pub fn new(config: &Config, shape: Shape) -> Self {
        let models = &config.variants.0;
        let of_all = |bytes: &dyn Fn(Variant) -> u64| trained(models).map(bytes).sum();
        Self {
            stream: stream(shape),
            protocol: protocol(config, shape),
            tables: of_all(&|model| tables(config, model, shape.vocabulary)),
            memories: of_all(&|model| memories(config, model, shape.vocabulary)),
            step: of_all(&|model| step(config, model)) + threads(config) + batches(config, shape),
            test: test(config, shape),
        }
    }

    /// All of it, the program included.
    pub fn total(&self) -> u64 {
        PROGRAM + self.stream + self.protocol + self.tables + self.memories + self.step + self.test
    }

    /// The part that takes most, in words.
    fn largest(&self) -> (&'static str, u64) {
        let by_part = [
            ("the synthetic stream", self.stream),
            ("what is known of users and items", self.protocol),
            ("tables of embeddings", self.tables),
            ("memories of users and items", self.memories),
            ("what a step computes", self.step),
            ("the scores of the test", self.test),
        ];
        by_part.into_iter().max_by_key(|(_, bytes)| *bytes).unwrap_or_default()
    }
}

fn stream(shape: Shape) -> u64 {
    let Vocabulary { users, items, .. } = shape.vocabulary;
    if shape.is_synthetic { STREAM_OF_USER * u64::from(users) + STREAM_OF_ITEM * u64::from(items) } else { 0 }
}

/// Bytes that the synthetic stream takes while its rows are made: they grow with users and items, not with rows.
pub fn of_stream(vocabulary: Vocabulary) -> u64 {
    let Vocabulary { users, items, .. } = vocabulary;
    PROGRAM + (STREAM_OF_USER + PASS_OF_USER) * u64::from(users) + STREAM_OF_ITEM * u64::from(items)
}

/// The rows pass once, into an index; then users and items are counted.
fn protocol(config: &Config, shape: Shape) -> u64 {
    let (users, items) = (u64::from(shape.vocabulary.users), u64::from(shape.vocabulary.items));
    let of_protocol = match config.negatives {
        Negatives::TimeMatched => SAMPLE_OF_ROW,
        Negatives::None => SHOWN_OF_ROW,
        Negatives::Uniform | Negatives::Popular => 0,
    };
    let row = INDEX_OF_ROW + of_protocol;
    let pass = if shape.is_synthetic { PASS_OF_USER * users } else { 0 };
    let counting = COUNTS_OF_USER * users + COUNTS_OF_ITEM * items;
    let planners = platform::threads_ahead() as u64 * PLANNER * (users + items);
    planners + PROTOCOL_OF_USER * users + PROTOCOL_OF_ITEM * items + row * shape.rows + pass.max(counting)
}

/// Embeddings, and the personal vectors of a side whose vectors pass a gate.
fn tables(config: &Config, model: Variant, vocabulary: Vocabulary) -> u64 {
    let (m, ids) = (config.memory_width(), Layout::new(vocabulary, config).rows());
    let sides = adds(config, &components::of(model)).sides.into_iter().zip(members(vocabulary));
    let personal: u64 = sides.map(|(vectors, members)| if vectors.gated > 0 { members * m as u64 } else { 0 }).sum();
    FLOAT * WITH_MOMENTS as u64 * (ids as u64 * config.embedding as u64 + personal)
}

fn members(vocabulary: Vocabulary) -> [u64; 2] {
    [vocabulary.users.into(), vocabulary.items.into()]
}

fn memories(config: &Config, model: Variant, vocabulary: Vocabulary) -> u64 {
    let of_component = |kind: &'static Kind| {
        let of_each = (kind.takes)(config).members.into_iter().zip(members(vocabulary));
        of_each.map(|(numbers, members)| numbers as u64 * members).sum::<u64>()
    };
    FLOAT * components::of(model).into_iter().map(of_component).sum::<u64>()
}

/// Dense parameters, and what a step computes. In 64 bits: absurd widths are what it is asked about.
fn step(config: &Config, model: Variant) -> u64 {
    let sum = |widths: &Widths| widths.0.iter().map(|&width| width as u64).sum::<u64>();
    let (experts, streams) = ((TASKS * config.specific_experts + config.shared_experts) as u64, TASKS as u64 + 1);
    let level = |widths: &Widths| experts * sum(widths) + streams * (experts + widths.last() as u64);
    let chain = |input: u64, widths: &Widths| widths.0.iter().fold((0, input), |(all, from), &to| (all + from * to as u64, to as u64)).0;
    let kinds = components::of(model);
    let takes: Vec<Takes> = kinds.iter().map(|kind| (kind.takes)(config)).collect();
    let of_own = |part: fn(&Takes) -> usize| takes.iter().map(|takes| part(takes) as u64).sum::<u64>();
    let [users, items] = adds(config, &kinds).sides.map(|vectors| (config.memory_width() * vectors.count()) as u64);
    let computed = (users + of_own(|takes| takes.request)) / 2 + items + of_own(|takes| takes.candidate);
    let base = base(config);
    let outputs =
        (base.request / 2 + base.candidate) as u64 + level(&config.expert_1) + level(&config.expert_2) + TASKS as u64 * sum(&config.tower);
    let [request, candidate] = inputs(config, &kinds);
    let own: usize = kinds.iter().map(|kind| (kind.parameters)(config, base)).sum();
    let parameters = experts
        * (chain((request + candidate) as u64, &config.expert_1) + chain(config.expert_1.last() as u64, &config.expert_2))
        + TASKS as u64 * chain(config.expert_2.last() as u64, &config.tower)
        + own as u64;
    let of_sample = COPIES_OF_OUTPUT * outputs + COPIES_OF_VECTOR * computed;
    FLOAT * (config.batch as u64 * of_sample + COPIES_OF_PARAMETER * parameters)
}

fn threads(config: &Config) -> u64 {
    let models = trained(&config.variants.0).count() as u64;
    THREAD_OF_MODEL * models.min(2) + FURTHER_THREAD * models.saturating_sub(2)
}

/// Ids and flags of a training batch, of the probe set and of the test batches at hand.
fn batches(config: &Config, shape: Shape) -> u64 {
    let requests = config.requests() as u64;
    let request = HOST_OF_SLOT * config.history as u64 + 100;
    let chunk = TEST_CHUNK.min(test_rows(config, shape) / requests + 1);
    requests * (request * (COPIES_OF_BATCH + chunk) + DEVICE_OF_SLOT * config.history as u64) + config.probe_set as u64 * request
}

fn test_rows(config: &Config, shape: Shape) -> u64 {
    (shape.rows as f64 * (1.0 - config.train_share)) as u64
}

fn test(config: &Config, shape: Shape) -> u64 {
    let models = &config.variants.0;
    let compared = if trained(models).count() > 1 { TEST_COMPARED } else { 0 };
    let told = TEST_TOLD * models.iter().filter(|model| model.is_told()).count() as u64;
    config.candidates() as u64 * test_rows(config, shape) * (TEST_SAMPLE + TEST_SCORE * models.len() as u64 + compared + told)
}

/// Settings that decide how much memory a run takes; the first three only where the rows are synthetic.
const SIZES: [&str; 14] = [
    "items",
    "users",
    "rows",
    "batch",
    "embedding",
    "auxiliary",
    "expert_1",
    "expert_2",
    "tower",
    "specific_experts",
    "shared_experts",
    "history",
    "probe_set",
    "variants",
];
const SIZES_OF_THE_STREAM: usize = 3;

/// Refuses a run that takes more than the `available` bytes, before it takes any. On a GPU the tables end up in its memory, but
/// they are made in this one.
///
/// # Errors
/// [`ConfigError`] names the setting to lower, the largest value that fits, the bytes needed and the bytes there are.
pub fn require(config: &Config, shape: Shape, available: Option<u64>) -> Result<(), ConfigError> {
    let needed = Footprint::new(config, shape);
    match available {
        Some(available) if needed.total() > available => Err(refusal(config, shape, needed, available)),
        _ => Ok(()),
    }
}

/// Whether rows fit that are read from a file into the memory that the run is in: while they are read, and with the run.
pub fn fits_read(config: &Config, shape: Shape, available: Option<u64>) -> bool {
    let Vocabulary { users, items, .. } = shape.vocabulary;
    let kept = READ_ROW * shape.rows + READ_ITEM * u64::from(items);
    let reading = PROGRAM + 2 * kept + READ_ID * (u64::from(users) + u64::from(items));
    let training = kept + Footprint::new(config, shape).total();
    available.is_none_or(|available| reading.max(training) <= available)
}

fn refusal(config: &Config, shape: Shape, needed: Footprint, available: u64) -> ConfigError {
    let (what, bytes) = needed.largest();
    let [total, bytes, available_words] = [needed.total(), bytes, available].map(in_words);
    let figures = format!("the run needs about {total} of memory, {bytes} of it for {what}, and there are {available_words} here");
    let lowered = lowered(config, shape, available);
    let refuse = |key: &str, allowed: String| ConfigError::new(key, config.text_of(key), format!("{allowed}: {figures}"));
    match lowered[..] {
        [] => refuse("preset", "run on a machine with more memory".into()),
        [key] => refuse(key, format!("{} here", largest_that_fits(config, key, shape, available))),
        [first, .., last] => {
            let others = lowered[1..lowered.len() - 1].iter().fold(String::new(), |all, key| all + key + ", ");
            refuse(first, format!("lower here, together with {others}{last}"))
        }
    }
}

/// The settings that have to be lowered for a run to fit, those first that save most; none where that is not enough.
fn lowered(config: &Config, shape: Shape, available: u64) -> Vec<&'static str> {
    let keys = if shape.is_synthetic { &SIZES[..] } else { &SIZES[SIZES_OF_THE_STREAM..] };
    let mut keys: Vec<&str> = keys.iter().copied().filter(|key| total(&usual(config, key), shape) < total(config, shape)).collect();
    keys.sort_by_key(|key| total(&usual(config, key), shape));
    let (mut smaller, mut lowered) = (config.clone(), Vec::new());
    for key in keys {
        smaller = usual(&smaller, key);
        lowered.push(key);
        if total(&smaller, shape) <= available {
            return lowered;
        }
    }
    Vec::new()
}

/// Bytes of a run whose stream, where it is synthetic, has the configuration's sizes.
fn total(config: &Config, shape: Shape) -> u64 {
    Footprint::new(config, if shape.is_synthetic { Shape::synthetic(config) } else { shape }).total()
}

/// The configuration with one setting as the browser's preset has it.
fn usual(config: &Config, key: &str) -> Config {
    let usual = Config::preset(Preset::Browser).text_of(key);
    config.with(key, &usual).ok().flatten().unwrap_or_else(|| config.clone())
}

/// What a setting may be so that the run fits: the largest number, to two digits, or the browser's own value.
fn largest_that_fits(config: &Config, key: &str, shape: Shape, available: u64) -> String {
    let usual = Config::preset(Preset::Browser).text_of(key);
    let (Ok(mut low), Ok(mut high)) = (usual.parse::<u64>(), config.text_of(key).parse::<u64>()) else { return usual };
    let fits = |value: u64| {
        let changed = config.with(key, &value.to_string()).ok().flatten();
        changed.is_some_and(|changed| total(&changed, shape) <= available)
    };
    while low + 2 < high {
        let middle = low + (high - low) / 4 * 2;
        let middle = if middle == low { low + 2 } else { middle };
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    let digit = 10u64.pow(low.max(1).ilog10().saturating_sub(1));
    format!("{} or less", (low / digit * digit).max(usual.parse().unwrap_or(low)))
}

/// Bytes in a unit that a person reads.
fn in_words(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Preset};

    fn refused(link: &str, available: u64) -> String {
        let (config, notices) = Config::from_link(link, &[]);
        assert!(notices.is_empty(), "{notices:?}");
        require(&config, Shape::synthetic(&config), Some(available)).unwrap_err().to_string()
    }

    /// In a browser these ended as a bare "unreachable", up to two minutes later; natively the system killed the program.
    #[test]
    fn sizes_that_cannot_fit_are_refused_by_the_name_of_the_one_to_lower() {
        let tab = 2_000_000_000;
        for (link, start) in [
            ("items=1000000000&categories=1000", "items = 1000000000 cannot be used: it must be "),
            ("users=100000000", "users = 100000000 cannot be used: it must be "),
            ("rows=10000000000", "rows = 10000000000 cannot be used: it must be "),
            ("preset=paper", "rows = 100000000 cannot be used: it must be lower here, together with "),
        ] {
            let said = refused(link, tab);
            assert!(said.starts_with(start) && said.contains(" GB of memory, ") && said.ends_with("there are 2.0 GB here"), "{said}");
        }
        let said = refused("batch=65536&embedding=512", tab);
        assert!(said.starts_with("embedding = 512") || said.starts_with("batch = 65536"), "{said}");
        for preset in [Preset::Browser, Preset::Long] {
            let config = Config::preset(preset);
            assert_eq!(require(&config, Shape::synthetic(&config), Some(1_000_000_000)), Ok(()));
            assert_eq!(require(&config, Shape::synthetic(&config), None), Ok(()));
        }
    }

    #[test]
    fn the_largest_value_that_is_named_fits_and_twice_as_much_does_not() {
        for key in ["items", "users", "rows", "batch", "embedding"] {
            let huge = match key {
                "batch" => "65536",
                "embedding" => "512",
                _ => "100000000",
            };
            let config = Config::default().with(key, huge).unwrap().unwrap();
            let shape = Shape::synthetic(&config);
            let available = u64::midpoint(total(&config, shape), total(&Config::default(), shape));
            let said = require(&config, shape, Some(available)).unwrap_err();
            assert_eq!(said.field, key);
            let most: u64 = said.allowed.split(' ').next().unwrap().parse().unwrap();
            let with = |value: u64| total(&config.with(key, &value.to_string()).unwrap().unwrap(), shape);
            assert!(with(most) <= available && with((2 * most).min(huge.parse().unwrap())) > available, "{said}");
        }
    }

    /// More of anything takes more memory, so a reader can find what fits by leaving out; and a run that fits by itself may not fit
    /// beside its rows.
    #[test]
    fn rows_that_are_read_fit_less_the_more_there_are() {
        let config = Config::default();
        let shape = |users: u32, items: u32, rows: u64| Shape {
            vocabulary: Vocabulary { users, items, categories: 100 },
            rows,
            is_synthetic: false,
        };
        let least = |shape: Shape| (0..4_000).find(|&tens| fits_read(&config, shape, Some(tens * 10_000_000))).unwrap();
        let some = least(shape(20_000, 80_000, 2_000_000));
        for more in [shape(2_000_000, 80_000, 2_000_000), shape(20_000, 8_000_000, 2_000_000), shape(20_000, 80_000, 20_000_000)] {
            assert!(least(more) > some, "{more:?}");
        }
        let alone = Footprint::new(&config, shape(20_000, 80_000, 2_000_000)).total();
        assert!(some * 10_000_000 >= alone + 24_000_000, "{some} against {alone}");
        assert!(fits_read(&config, shape(1 << 29, 1 << 29, 1 << 32), None));
    }

    #[test]
    fn on_real_rows_only_what_can_be_set_is_named_and_a_tiny_machine_is_told_so() {
        let config = Config { batch: 65_536, ..Config::default() };
        let vocabulary = Vocabulary { users: 500_000, items: 2_000_000, categories: 9_000 };
        let shape = Shape { vocabulary, rows: 50_000_000, is_synthetic: false };
        let needed = Footprint::new(&config, shape).total();
        let said = require(&config, shape, Some(needed - 1_000_000)).unwrap_err().to_string();
        assert!(said.starts_with("batch = 65536 cannot be used"), "{said}");
        let said = require(&config, shape, Some(1_000_000)).unwrap_err().to_string();
        assert!(said.starts_with("preset = browser cannot be used: it must be run on a machine with more memory: the run needs"), "{said}");
    }
}
