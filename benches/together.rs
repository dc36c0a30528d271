//! What a step costs each of several processes that share its batch: processor time, so that a machine with other work gives the same.
//!
//! `cargo bench --bench together`; each process is a thread here, and what it gives the others is copied through memory. Planning is left
//! out, which other threads do ahead. Linux only: others do not say how long a thread ran.

use std::sync::Arc;
use std::{fs, thread};

use burn::tensor::Device;
use duia::communicator::{Communicator, Thread};
use duia::config::{Config, Preset};
use duia::data::generator::Generator;
use duia::data::protocol::Dataset;
use duia::model::together::Together;
use duia::platform::block_on;
use duia::training::Learner;
use duia::variants::{Variant, Variants};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps before those that are measured: buffers grow, and memories have their centres.
const BEFORE: usize = 15;
/// Rounds of a comparison, of one step each.
const ROUNDS: usize = 15;

/// Milliseconds that this thread ran until now.
fn ran() -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e6
}

/// The median step of one of the processes, in milliseconds.
fn step(config: &Config, communicator: Option<Arc<dyn Communicator>>) -> f64 {
    let dataset = Dataset::open(Arc::new(Generator::new(config)), config).expect("the generator's rows fit the protocol");
    let learner = Learner::new(config, &config.variants.0, dataset.vocabulary(), &Device::flex(), 1_000_000);
    let mut learner = learner.together(communicator.map(Together::from).unwrap_or_default()).expect("a batch of even parts");
    let one = |step: u64| {
        let planned = learner.plan(Arc::new(dataset.train_batch(step)));
        let begun = ran();
        block_on(learner.learn_planned(planned)).expect("the CPU reads back");
        ran() - begun
    };
    let mut times: Vec<f64> = (0..(BEFORE + ROUNDS) as u64).map(one).skip(BEFORE).collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

/// The same among so many.
fn among(config: &Config, processes: usize) -> f64 {
    if processes == 1 {
        return step(config, None);
    }
    thread::scope(|scope| {
        let begun = |process: Thread| scope.spawn(move || step(config, Some(Arc::new(process))));
        let all: Vec<_> = Thread::several(processes).into_iter().map(begun).collect();
        all.into_iter().map(|one| one.join().expect("no step fails")).fold(0.0, f64::max)
    })
}

fn main() {
    let browser = Config { rows: 600_000, batch: 4_096, warm_up: 10, ..Config::default() };
    let Config { users, items, categories, user_groups, item_groups, .. } = Config::default();
    let paper = Config { users, items, categories, user_groups, item_groups, rows: 100_000, ..Config::preset(Preset::Paper) };
    let paper = Config { batch: 1_024, warm_up: 10, ..paper };
    println!("Milliseconds of one processor for a step, in each of 1, 2 and 4 processes:");
    for (sizes, config) in [("the browser's sizes", browser), ("Table 3's widths", paper)] {
        for variant in [Variant::Ple, Variant::Duia] {
            let config = Config { variants: Variants(vec![variant]), ..config.clone() };
            let [one, two, four] = [1, 2, 4].map(|processes| among(&config, processes));
            println!(
                "{}, {sizes}, batch {}: {one:.1}, {two:.1} ({:.2} times as fast), {four:.1} ({:.2} times)",
                variant.name(),
                config.batch,
                one / two,
                one / four
            );
        }
    }
}
