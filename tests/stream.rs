//! Whole races over the stream in other ways than once to its end: several passes, and the streaming test (A15).

mod common;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use common::block_on;
use common::training::tiny;
use duia::checkpoint;
use duia::config::{Config, MemoryStart, Negatives};
use duia::counter::{Counter, Stream};
use duia::data::generator::Generator;
use duia::data::own;
use duia::data::schema::Schema;
use duia::data::{Behaviour, Origin, Source, Vocabulary};
use duia::metrics::{Losses, Score, TestKind, critical};
use duia::training::{Comparison, RunOptions, device, run_with};
use duia::variants::{Role, Variant, Variants};
use duia::wire::{DeviceChoice, Event, Stage, State};

/// 14 steps, and a test of two full batches.
const TRAIN_ROWS: usize = 896;
const BATCH_ROWS: usize = 64;

fn config() -> Config {
    Config {
        rows: 1_024,
        train_share: 0.875,
        batch: 2 * BATCH_ROWS,
        probe_set: 16,
        streaming_test: true,
        variants: Variants(Variant::ALL.to_vec()),
        ..tiny()
    }
}

/// Events of a race, and the weights that it leaves.
fn race(config: &Config, source: Arc<dyn Source>) -> (Vec<Event>, Vec<Vec<u8>>) {
    let (mut events, mut left) = (Vec::new(), Vec::new());
    let mut keep = |_, bytes| left.push(bytes);
    let options = RunOptions { weights_out: Some(&mut keep), ..RunOptions::default() };
    block_on(run_with(config.clone(), source, DeviceChoice::Cpu, options, |event| events.push(event))).unwrap();
    (events, left)
}

fn generated(config: &Config) -> (Vec<Event>, Vec<Vec<u8>>) {
    race(config, Arc::new(Generator::new(config)))
}

/// The scores of a test, one a variant.
fn scores(events: &[Event], kind: TestKind) -> Vec<Score> {
    let of = |event: &Event| match event {
        Event::Evaluation(evaluation) if evaluation.kind == kind => Some(evaluation.scores.clone()),
        _ => None,
    };
    events.iter().rev().find_map(of).unwrap_or_default()
}

/// A variant's own areas as a text, in which those that do not exist are equal.
fn texts(events: &[Event], kind: TestKind) -> Vec<String> {
    scores(events, kind).iter().map(|Score { auc, gauc, .. }| format!("{auc:?} {gauc:?}")).collect()
}

/// The synthetic stream, but some rows were another behaviour: that is in no feature of a row itself, only in a label of what
/// it teaches.
struct Changed {
    stream: Arc<Generator>,
    rows: Range<usize>,
}

impl Source for Changed {
    fn origin(&self) -> Origin {
        self.stream.origin()
    }

    fn name(&self) -> String {
        self.stream.name()
    }

    fn vocabulary(&self) -> Vocabulary {
        self.stream.vocabulary()
    }

    fn category(&self, item: u32) -> u32 {
        self.stream.category(item)
    }

    fn rows(&self) -> u64 {
        self.stream.rows()
    }

    fn probability(&self, row: u64, user: u32, item: u32, history: &[u32]) -> Option<f64> {
        Some(self.stream.probability(row, user, item, history))
    }

    fn planted_groups(&self) -> u32 {
        Source::planted_groups(&*self.stream)
    }

    fn planted_item_groups(&self) -> u32 {
        Source::planted_item_groups(&*self.stream)
    }

    fn planted_group_at(&self, user: u32, row: u64) -> Option<u32> {
        Source::planted_group_at(&*self.stream, user, row)
    }

    fn planted_item_group(&self, item: u32) -> Option<u32> {
        Source::planted_item_group(&*self.stream, item)
    }

    fn group_posterior(&self, row: u64, history: &[u32]) -> Option<Vec<f64>> {
        Source::group_posterior(&*self.stream, row, history)
    }

    fn events(self: Arc<Self>) -> Box<dyn Iterator<Item = duia::data::Event> + Send> {
        let rows = self.rows.clone();
        Box::new(self.stream.clone().events().enumerate().map(move |(n, mut event)| {
            if rows.contains(&n) {
                event.behaviour = if event.behaviour == Behaviour::View { Behaviour::Buy } else { Behaviour::View };
            }
            event
        }))
    }
}

#[test]
fn a_row_of_the_streaming_test_is_scored_before_it_teaches() {
    let streaming = |rows: Range<usize>| {
        let (events, _) = race(&config(), Arc::new(Changed { stream: Arc::new(Generator::new(&config())), rows }));
        texts(&events, TestKind::Streaming)
    };
    let (second, end) = (TRAIN_ROWS + BATCH_ROWS, TRAIN_ROWS + 2 * BATCH_ROWS);
    let (none, last, first) = (streaming(0..0), streaming(end - 1..end), streaming(TRAIN_ROWS..second));
    assert_eq!(none.len(), Variant::ALL.len());
    assert_eq!(none, last, "nobody is scored after the last row");
    for (place, variant) in Variant::ALL.into_iter().enumerate() {
        assert_eq!(none[place] != first[place], variant.rule().is_none(), "{variant:?}: the second batch knows the first");
    }
}

#[test]
fn what_nobody_taught_between_is_scored_as_with_frozen_memories() {
    // A test of less than one batch: nothing is trained on before it is over.
    let single = Config { rows: 1_000, train_share: 0.8, batch: 512, warm_up: 2, ..config() };
    let (events, _) = generated(&single);
    let (frozen, streaming) = (texts(&events, TestKind::Whole), texts(&events, TestKind::Streaming));
    assert_eq!(streaming.len(), Variant::ALL.len());
    for (place, variant) in Variant::ALL.into_iter().enumerate() {
        // Frozen, every item of a history has a centre; the live table knows those that passed as positives.
        assert_eq!(frozen[place] == streaming[place], !variant.has("uhse"), "{variant:?}");
    }
}

#[test]
fn who_learns_nothing_gains_nothing_and_who_learns_does_not_stay() {
    let longer = Config { rows: 2_048, train_share: 0.5, ..config() };
    // Running means move at no configured rate.
    let rates = Config { learning_rate: 1e-7, rho: 0.0, lambda: 0.0, eta: 0.0, ..longer.clone() };
    let still = Config { memory_start: MemoryStart::Zero, enhancement_centred: false, centred: false, ..rates };
    let change = |config: &Config| -> Vec<f64> {
        let (events, _) = generated(config);
        let areas = |kind| scores(&events, kind).into_iter().map(|score| score.auc.all.value).collect::<Vec<f64>>();
        areas(TestKind::Streaming).into_iter().zip(areas(TestKind::Whole)).map(|(streaming, frozen)| streaming - frozen).collect()
    };
    let (still, learning) = (change(&still), change(&longer));
    for (place, variant) in Variant::ALL.into_iter().enumerate() {
        // A touch makes a memory count for more, whatever the rates, UHSE's live table fills, evidence is counted, and k-means is
        // fitted again at the end of a day.
        if !["upbe", "life", "uhse", "evidence", "daily-user-centres"].into_iter().any(|component| variant.has(component)) {
            assert!(still[place].abs() < 1e-4, "{variant:?}: {}", still[place]);
        }
        assert_eq!(learning[place].abs() > 1e-4, variant.rule().is_none(), "{variant:?}: {}", learning[place]);
    }
}

#[test]
fn the_streaming_test_changes_neither_the_weights_nor_the_frozen_test() {
    let with = Config { variants: Variants(vec![Variant::Ple, Variant::DuiaItems]), ..config() };
    let (events, weights) = generated(&with);
    let (without, others) = generated(&Config { streaming_test: false, ..with });
    assert!(scores(&without, TestKind::Streaming).is_empty());
    assert_eq!(texts(&events, TestKind::Whole), texts(&without, TestKind::Whole));
    let clusters =
        |events: &[Event]| format!("{:?}", events.iter().filter(|event| matches!(event, Event::Clusters(_))).collect::<Vec<_>>());
    assert_eq!(clusters(&events), clusters(&without), "clusters that move meanwhile have no health");
    assert_eq!(weights.len(), 2);
    assert_eq!(arrays(&weights), arrays(&others));
}

/// What the numbers of weights are, their descriptions left out.
fn arrays(weights: &[Vec<u8>]) -> Vec<checkpoint::Arrays> {
    weights.iter().map(|bytes| checkpoint::from_bytes(bytes).unwrap().arrays).collect()
}

#[test]
fn neither_the_probe_set_nor_the_frozen_test_moves_anything() {
    let rarely = Config { streaming_test: false, variants: Variants(vec![Variant::Ple, Variant::DuiaItems]), ..config() };
    let often = Config { evaluate_every: 3, ..rarely.clone() };
    let (_, weights) = generated(&rarely);
    assert_eq!(arrays(&weights), arrays(&generated(&often).1), "the probe set is scored and changes nothing");
    let opened = block_on(device::open(DeviceChoice::Cpu, &rarely, &mut |_| {})).unwrap();
    let mut comparison =
        Comparison::new(rarely.clone(), Arc::new(Generator::new(&rarely)), &opened.device, opened.watch, &mut |_| {}).unwrap();
    weights.iter().for_each(|bytes| assert!(comparison.load(bytes).is_ok()));
    block_on(comparison.evaluate_all(&mut |_| {})).unwrap();
    let after: Vec<Vec<u8>> = block_on(comparison.weights()).unwrap().into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(arrays(&after), arrays(&weights), "and so is the test");
}

#[test]
fn a_run_that_is_ended_early_is_tested_like_any_other() {
    let config = Config { streaming_test: false, ..config() };
    let (mut events, mut left) = (Vec::new(), 0);
    let looks = std::cell::Cell::new(0);
    let is_over = || looks.replace(looks.get() + 1) == 4;
    let mut keep = |_, _| left += 1;
    let options = RunOptions { is_over: Some(&is_over), weights_out: Some(&mut keep), ..RunOptions::default() };
    let source = Arc::new(Generator::new(&config));
    block_on(run_with(config.clone(), source, DeviceChoice::Cpu, options, |event| events.push(event))).unwrap();
    let tested = events.iter().filter_map(|event| if let Event::Evaluation(e) = event { Some((e.kind, e.step)) } else { None });
    assert_eq!(tested.filter(|(kind, _)| *kind == TestKind::Whole).collect::<Vec<_>>(), [(TestKind::Whole, 5)]);
    assert!(matches!(events.last(), Some(Event::State(State::Finished))));
    assert_eq!(left, duia::variants::trained(&Variant::ALL).count(), "what was learned is kept");
    let whole = generated(&config).0;
    let positives = |events: &[Event]| scores(events, TestKind::Whole)[0].auc.all.positives;
    assert_eq!(positives(&events), positives(&whole), "on all of the test");
    assert_ne!(texts(&events, TestKind::Whole), texts(&whole, TestKind::Whole));
}

#[test]
fn a_warm_up_that_the_run_does_not_outlast_is_refused() {
    let refused = |config: Config| {
        let source = Arc::new(Generator::new(&config));
        block_on(run_with(config, source, DeviceChoice::Cpu, RunOptions::default(), |_| {})).err().map(|failure| failure.detail)
    };
    let only = |variant: Variant, warm_up: u64| Config { warm_up, variants: Variants(vec![variant]), streaming_test: false, ..config() };
    let said = refused(only(Variant::Uie, 14)).unwrap();
    assert!(said.contains("warm_up") && said.contains("14 steps"), "{said}");
    assert_eq!((refused(only(Variant::Uie, 13)), refused(only(Variant::Ple, 14))), (None, None));
}

#[test]
fn clocks_run_over_all_passes() {
    let twice = Config { passes: 2, reseed_expect: 1.0, variants: Variants(vec![Variant::Ple, Variant::DuiaItems]), ..config() };
    let (events, _) = generated(&twice);
    let steps = events.iter().find_map(|event| if let Event::Ready { steps, .. } = event { Some(*steps) } else { None });
    assert_eq!(steps, Some(28));
    let reborn = |event: &Event| match event {
        Event::Reseeded { step, first_fill: false, .. } => Some(*step),
        _ => None,
    };
    let reborn: Vec<u64> = events.iter().filter_map(reborn).collect();
    // Re-seeding ends at 80 % of the run: step 22 of 28, where one pass would have ended it at step 11.
    assert!(reborn.iter().any(|&step| step > 14) && reborn.iter().all(|&step| step <= 22), "{reborn:?}");
    let once = generated(&Config { passes: 1, ..twice }).0;
    let last = |events: &[Event]| scores(events, TestKind::Whole)[0].auc.all.value;
    assert!(last(&events) != last(&once), "the second pass teaches");
}

/// Whoever waits for a run must read what it waits for, and a rule has no loss: it once was shown with a loss of 0.
#[test]
fn stages_come_in_order_and_only_models_that_train_have_losses() {
    let variants = vec![Variant::Popularity, Variant::Ple, Variant::DuiaItems, Variant::CategoryRepeat];
    let config = Config { streaming_test: false, variants: Variants(variants.clone()), ..config() };
    let (events, _) = generated(&config);
    let place = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).unwrap();
    let stage = |stage: Stage| place(&|event| *event == Event::Stage(stage));
    assert!(stage(Stage::Data) < stage(Stage::Models) && stage(Stage::Models) < place(&|event| matches!(event, Event::Ready { .. })));
    assert!(stage(Stage::Models) < stage(Stage::FinalTest));
    let losses: Vec<_> =
        events.iter().filter_map(|event| if let Event::Losses { losses, .. } = event { Some(losses) } else { None }).collect();
    assert!(!losses.is_empty());
    for losses in losses {
        assert_eq!(losses.iter().map(Losses::is_empty).collect::<Vec<_>>(), [true, false, false, true]);
    }
    let Some(Event::Ready { losses: terms, .. }) = events.iter().find(|event| matches!(event, Event::Ready { .. })) else { unreachable!() };
    assert!(terms.iter().all(|term| !term.variants.contains(&Variant::Popularity)));
    let told: Vec<&str> = events
        .iter()
        .filter_map(|event| if let Event::Losses { losses, .. } = event { Some(losses) } else { None })
        .flatten()
        .flat_map(|losses| losses.named().map(|(name, _)| name))
        .collect();
    assert!(told.iter().all(|name| terms.iter().any(|term| term.names.iter().any(|own| own == name))), "every loss has a term");
}

/// A stream whose rows exchanged their items within spans of so many rows: who took what is chance, when and how often is not.
struct Shuffled {
    stream: Arc<Generator>,
    events: Vec<duia::data::Event>,
}

impl Shuffled {
    fn new(config: &Config, span: usize) -> Self {
        let stream = Arc::new(Generator::new(config));
        let mut events: Vec<duia::data::Event> = stream.clone().events().collect();
        let order = Counter::new(config.seed, Stream::Sample);
        for (block, rows) in events.chunks_mut(span).enumerate() {
            let mut items: Vec<(u64, u32, u32)> =
                rows.iter().zip(0..).map(|(event, row)| (order.lane(block as u64).bits(row), event.item, event.category)).collect();
            items.sort_unstable();
            rows.iter_mut().zip(items).for_each(|(event, (_, item, category))| (event.item, event.category) = (item, category));
        }
        Self { stream, events }
    }
}

impl Source for Shuffled {
    fn origin(&self) -> Origin {
        Origin::File
    }

    fn name(&self) -> String {
        "shuffled.csv".into()
    }

    fn vocabulary(&self) -> Vocabulary {
        self.stream.vocabulary()
    }

    fn category(&self, item: u32) -> u32 {
        self.stream.category(item)
    }

    fn rows(&self) -> u64 {
        self.events.len() as u64
    }

    fn events(self: Arc<Self>) -> Box<dyn Iterator<Item = duia::data::Event> + Send> {
        Box::new((0..self.events.len()).map(move |row| self.events[row]))
    }
}

/// Models that need no truth.
fn untold() -> Vec<Variant> {
    Variant::ALL.into_iter().filter(|variant| !matches!(variant.row().role, Role::Bound | Role::Ceiling)).collect()
}

/// Were anything of the label, of the future or of how negatives are drawn in a feature, a model would learn it here.
#[test]
fn where_nobody_prefers_anything_no_model_tells_a_time_matched_positive() {
    let variants = untold();
    // Items so many and users so little active that hardly any item is had by everybody, where T1 has a residue.
    let wide = Config { users: 1_200, items: 24_000, categories: 600, item_groups: 24, rows: 24_000, train_share: 0.7, ..config() };
    let leak = Config {
        batch: 256,
        history: 20,
        negatives: Negatives::TimeMatched,
        learning_rate: 0.01,
        variants: Variants(variants.clone()),
        ..wide
    };
    let (events, _) = race(&leak, Arc::new(Shuffled::new(&leak, 500)));
    for kind in [TestKind::Whole, TestKind::Streaming] {
        for (variant, Score { auc, gauc, .. }) in variants.iter().zip(scores(&events, kind)) {
            assert!(auc.all.standard_error < 0.01 && auc.all.positives > 3_000, "{variant:?}: {auc:?}");
            let most = critical(variants.len(), None);
            assert!((auc.all.value - 0.5).abs() < most * auc.all.standard_error, "{variant:?}: {auc:?}");
            assert!((gauc.value - 0.5).abs() < most * gauc.standard_error, "{variant:?}: {gauc:?}");
        }
    }
    // The same models on the rows as they were.
    let told = Config { variants: Variants(vec![Variant::Ple]), streaming_test: false, ..leak };
    let (events, _) = generated(&told);
    assert!(scores(&events, TestKind::Whole)[0].auc.all.value > 0.54);
}

/// Protocol E1 from end to end: every model trains on single exposures with labels of their own, and is scored on them.
#[test]
fn every_model_learns_from_exposures() {
    let variants = untold();
    let exposures = Config { negatives: Negatives::None, rows: 12_000, users: 150, variants: Variants(variants.clone()), ..config() };
    let (events, left) = generated(&exposures);
    assert_eq!(left.len(), variants.iter().filter(|variant| variant.rule().is_none()).count());
    for (variant, Score { auc, gauc, .. }) in variants.iter().zip(scores(&events, TestKind::Whole)) {
        eprintln!("{}: {:.4} ± {:.4}", variant.key(), auc.all.value, auc.all.standard_error);
        assert_eq!(auc.all.positives + auc.all.negatives, 1_500, "{variant:?}");
        assert!(variant.rule().is_some() || auc.all.value > 0.55, "{variant:?} learned nothing: {auc:?}");
        assert!(gauc.users > 20);
    }
}

/// The first model chooses by validation how often all go through the training rows, and a person is told.
#[test]
fn validation_chooses_the_passes_of_every_model() {
    let chosen = Config { most_passes: 3, streaming_test: false, variants: Variants(vec![Variant::Ple, Variant::Duia]), ..config() };
    let (events, _) = generated(&chosen);
    let notes = events.iter().find_map(|event| if let Event::Data(report) = event { Some(report.notes.clone()) } else { None }).unwrap();
    let steps = events.iter().find_map(|event| if let Event::Ready { steps, .. } = event { Some(*steps) } else { None }).unwrap();
    assert!(notes.len() == 1 && notes[0].contains("Validation chose"), "{notes:?}");
    let passes = steps / (TRAIN_ROWS / BATCH_ROWS) as u64;
    assert!((1..=3).contains(&passes) && steps.is_multiple_of((TRAIN_ROWS / BATCH_ROWS) as u64), "{steps}");
    let same = Config { most_passes: 0, passes: passes as u32, ..chosen };
    assert_eq!(texts(&events, TestKind::Whole), texts(&generated(&same).0, TestKind::Whole), "choosing leaves no trace in the run");
}

/// The planted group as a column of the file: a ranker that reads it ranks better, as one that is told it does.
#[test]
fn a_column_of_the_profile_is_what_a_ranker_reads() {
    let config = Config { users: 300, items: 600, rows: 20_000, user_groups: 6, history: 1, batch: 32, ..Config::default() };
    let config = Config { variants: Variants(vec![Variant::Ple]), ..config };
    let stream = Arc::new(Generator::new(&config));
    let mut text = String::from("user,item,category,time,group\n");
    for event in stream.clone().events() {
        let group = Source::planted_group(&*stream, event.user).unwrap();
        writeln!(text, "{},{},{},{},group {group}", event.user, event.item, event.category, event.time).unwrap();
    }
    let area = |columns: &str| {
        let columns = format!("user=user,item=item,category=category,time=time{columns}").parse().unwrap();
        let schema = Schema { delimiter: ',', header: true, columns, behaviors: BTreeMap::new() };
        let rows = own::read(text.as_bytes(), "own.csv", &schema, &mut |_| {}).unwrap();
        scores(&race(&config, Arc::new(rows)).0, TestKind::Whole)[0].auc.all.value
    };
    let (with, without) = (area(",profile=group"), area(""));
    assert!(with > without + 0.01, "{with} with the group and {without} without");
}
