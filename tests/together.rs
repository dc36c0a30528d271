//! A batch that several processes share, here threads that speak through memory: all take the same steps, those of one process with the
//! whole batch. `tests/mpi.rs` holds real processes to these.

#![cfg(not(target_family = "wasm"))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use burn::tensor::Device;
use common::together::{Learned, eventful, learned, shared};
#[cfg(feature = "cuda")]
use common::together::{each, learned_on};
use common::training::{config, variants};
use duia::communicator::{Communicator, Thread};
use duia::config::{CentreStep, Config, Preset};
use duia::data::generator::Generator;
use duia::data::protocol::Dataset;
use duia::model::together::Together;
use duia::training::Learner;
use duia::variants::{Variant, Variants};

/// Largest difference of any number of a model, a hundredth of a step of Adam: the first gradients of some parameters are hardly more than
/// rounding, and their first steps are whole ones.
const OFF: f32 = 3e-5;
/// Largest relative difference of a loss.
const OFF_OF_LOSSES: f32 = 1e-6;

fn same(all: &[Learned]) -> bool {
    all.windows(2).all(|pair| pair[0].words() == pair[1].words())
}

#[test]
fn several_processes_take_the_steps_of_one() {
    let all = eventful(Variant::DuiaItems);
    // What only an option computes: gradients in centres, users who move towards theirs, moments of centres and memories.
    let options = [Config { centres_from_main: true, commit: 0.5, ..all.clone() }, Config { centre_step: CentreStep::Adam, ..all }];
    for config in variants().into_iter().map(eventful).chain(options) {
        let variant = config.variants.0[0];
        // Two steps before centres are filled, then some with everything.
        let steps = 10;
        let alone = learned(&config, steps, None);
        for processes in [2, 4] {
            let several = shared(&config, steps, processes);
            assert!(same(&several), "{variant:?}: {processes} processes hold different models");
            let (most, name, of_losses) = several[0].off(&alone);
            assert!(most < OFF, "{variant:?}, {processes} processes: {name} is off by {most:.1e}");
            assert!(of_losses < OFF_OF_LOSSES, "{variant:?}, {processes} processes: losses are off by {of_losses:.1e}");
        }
    }
}

/// Needs two NVIDIA cards and NCCL: `cargo test --release --features cuda --test together cards`.
#[cfg(feature = "cuda")]
#[test]
fn cards_take_the_steps_of_one() {
    use duia::communicator::cards::Card;
    use duia::training::device::cuda;

    let there = cuda::cards().unwrap_or_default();
    if there < 2 {
        return common::skip::skip("several cards", &format!("there are {there} NVIDIA cards here, and it takes two"));
    }
    for config in variants().into_iter().map(eventful) {
        let variant = config.variants.0[0];
        let alone = learned_on(&Device::cuda(0), &config, 10, None);
        let several = each(Card::several(2), |card| learned_on(&card.device(), &config, 10, Some(Arc::new(card))));
        assert!(same(&several), "{variant:?}: two cards hold different models");
        let (most, name, of_losses) = several[0].off(&alone);
        assert!(most < OFF && of_losses < OFF_OF_LOSSES, "{variant:?}: {name} is off by {most:.1e}, losses by {of_losses:.1e}");
    }
}

/// `cargo test --release --test together two_hundred -- --nocapture` prints the table of docs/scale.md.
///
/// The longer a run, the likelier that rounding tips something over: a sample between two centres, or at the edge of a hidden unit's ReLU.
/// From there on the two are different runs, so what is asked of two hundred steps is asked of most models.
#[test]
fn two_hundred_steps_of_two_processes_are_those_of_one() {
    let (mut within, all) = (0, variants());
    for &variant in &all {
        let config = eventful(variant);
        let (alone, several) = (learned(&config, 200, None), shared(&config, 200, 2));
        assert!(same(&several), "{variant:?}: two processes hold different models");
        let (most, name, of_losses) = several[0].off(&alone);
        println!("| {} | {most:.1e} | {name} | {of_losses:.1e} |", variant.key());
        within += usize::from(most < OFF && of_losses < OFF_OF_LOSSES);
    }
    println!("{within} of {} within {OFF:.0e} and {OFF_OF_LOSSES:.0e}", all.len());
    assert!(2 * within > all.len(), "only {within} of {} models", all.len());
}

/// Counts what a process gives the others.
struct Counted {
    thread: Thread,
    given: [AtomicUsize; 2],
}

impl Communicator for Counted {
    fn rank(&self) -> usize {
        self.thread.rank()
    }

    fn processes(&self) -> usize {
        self.thread.processes()
    }

    fn machine(&self) -> u64 {
        self.thread.machine()
    }

    fn gather(&self, own: &[f32]) -> Vec<f32> {
        self.given[0].fetch_add(4 * own.len(), SeqCst);
        self.thread.gather(own)
    }

    fn exchange(&self, own: &[f32]) -> Vec<f32> {
        self.given[1].fetch_add(4 * own.len() / self.processes(), SeqCst);
        self.thread.exchange(own)
    }
}

/// Bytes that each of two processes gives the other in a step: rows, and means, of which half goes there and half comes back.
fn given(config: &Config) -> [usize; 2] {
    let counted: Vec<_> = Thread::several(2).into_iter().map(|thread| Arc::new(Counted { thread, given: Default::default() })).collect();
    std::thread::scope(|scope| {
        let one = |process: &Arc<Counted>| {
            let process: Arc<dyn Communicator> = process.clone();
            scope.spawn(move || learned(config, 1, Some(process)))
        };
        counted.iter().map(one).collect::<Vec<_>>().into_iter().for_each(|one| drop(one.join().unwrap()));
    });
    let [gathered, exchanged] = counted[0].given.each_ref().map(|bytes| bytes.load(SeqCst));
    // A mean is exchanged, and then the sums of each are gathered.
    [gathered - exchanged, 2 * exchanged]
}

/// `cargo test --release --test together what_is_given -- --nocapture` prints the bytes of docs/scale.md.
#[test]
fn what_is_given_depends_on_the_batch_and_not_on_the_tables() {
    for variant in [Variant::Ple, Variant::Duia] {
        // Table 3's widths over few rows.
        let Config { users, items, categories, user_groups, item_groups, .. } = Config::default();
        let few = Config { users, items, categories, user_groups, item_groups, rows: 20_000, batch: 512, ..Config::preset(Preset::Paper) };
        let config = Config { variants: Variants(vec![variant]), ..few };
        let [rows, means] = given(&config);
        assert_eq!(given(&Config { users: 2 * users, items: 2 * items, ..config.clone() }), [rows, means]);
        let [of_half, same] = given(&Config { batch: config.batch / 2, ..config.clone() });
        assert_eq!(same, means);
        // Each of two processes has half of the samples. What does not grow with them are sums for a few running means.
        let of_sample = (rows - of_half) as f64 / (config.batch / 4) as f64;
        let rest = rows as f64 - of_sample * (config.batch / 2) as f64;
        println!("{}: {of_sample} bytes a sample of a window of {}, {} beside them, {means} of means", variant.key(), config.history, rest);
        assert!(rest < 0.01 * rows as f64, "{rest} bytes of {rows}");
    }
}

#[test]
fn a_batch_that_cannot_be_shared_evenly_is_refused() {
    let config = Config { batch: 62, ..config() };
    let dataset = Dataset::open(Arc::new(Generator::new(&config)), &config).unwrap();
    let learner = Learner::new(&config, &[Variant::Ple], dataset.vocabulary(), &Device::flex(), 10);
    let thread: Arc<dyn Communicator> = Arc::new(Thread::several(2).remove(0));
    let Err(error) = learner.together(Together::from(thread)) else { panic!("31 requests for two") };
    let said = error.to_string();
    assert!(said.contains("batch") && said.contains("62") && said.contains("a multiple of 4") && said.contains("2 processes"), "{said}");
}
