//! What a training step costs on the CPU, at the browser's sizes: each variant beside PLE, and DUIA on tables of 20,000 and of
//! 2,000,000 rows, each two in turns.
//!
//! `cargo bench --bench step`; one thread, as a worker in a browser has, and the allocator of `duia`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use duia::config::Config;
use duia::data::generator::Generator;
use duia::data::protocol::{Batch, Dataset};
use duia::platform::block_on;
use duia::training::Learner;
use duia::variants::{Variant, Variants, trained};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps of a measured round.
const STEPS: usize = 40;
/// Rounds of a comparison.
const ROUNDS: usize = 15;

/// A variant with its data, ready to be stepped.
struct Runner {
    learner: Learner,
    batches: Vec<Arc<Batch>>,
    next: usize,
}

impl Runner {
    fn new(config: &Config, variant: Variant) -> Self {
        let config = &Config { variants: Variants(vec![variant]), ..config.clone() };
        let dataset = Dataset::open(Arc::new(Generator::new(config)), config).expect("the generator's rows fit the protocol");
        let mut replay = dataset.replay();
        let batches = std::iter::from_fn(|| replay.next_train()).take(60).map(Arc::new).collect();
        let learner = Learner::new(config, &[variant], dataset.vocabulary(), &Device::flex(), 1_000_000);
        let mut runner = Self { learner, batches, next: 0 };
        // Warm-up: buffers grow, and memories have their centres.
        (0..60).for_each(|_| runner.step());
        runner
    }

    fn step(&mut self) {
        let batch = self.batches[self.next % self.batches.len()].clone();
        self.next += 1;
        block_on(self.learner.learn(batch)).expect("the CPU reads back");
    }

    fn round(&mut self) -> Duration {
        let begun = Instant::now();
        (0..STEPS).for_each(|_| self.step());
        begun.elapsed() / STEPS as u32
    }
}

/// Step times of two runners and how they compare.
struct Beside {
    /// Medians.
    times: [Duration; 2],
    /// The second over the first: quartiles of the rounds' ratios.
    ratio: [f64; 3],
}

/// Two runners round by round in turns: a machine that drifts or is shared drifts for both, and the ratio of two adjacent rounds
/// hardly knows. With all variants in one turn the same program gave 2.0 and 2.1.
fn beside(first: &mut Runner, second: &mut Runner) -> Beside {
    let rounds: Vec<[Duration; 2]> = (0..ROUNDS).map(|_| [first.round(), second.round()]).collect();
    let sorted = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values
    };
    let time = |which: usize| Duration::from_secs_f64(sorted(rounds.iter().map(|round| round[which].as_secs_f64()).collect())[ROUNDS / 2]);
    let ratios = sorted(rounds.iter().map(|[first, second]| second.as_secs_f64() / first.as_secs_f64()).collect());
    Beside { times: [time(0), time(1)], ratio: [ROUNDS / 4, ROUNDS / 2, 3 * ROUNDS / 4].map(|place| ratios[place]) }
}

fn main() {
    let config = Config { warm_up: 10, ..Config::default() };
    let mut ple = Runner::new(&config, Variant::Ple);
    println!("batch {}, one thread, loading the batch included; times PLE: median and quartiles of {ROUNDS} rounds", config.batch);
    for variant in trained(&Variant::ALL) {
        let Beside { times: [_, time], ratio: [low, ratio, high] } = beside(&mut ple, &mut Runner::new(&config, variant));
        let rate = config.batch as f64 / time.as_secs_f64();
        let time = time.as_secs_f64() * 1e3;
        println!("{:18} {time:5.2} ms a step, {rate:7.0} samples/s, {ratio:4.2} ({low:.2} to {high:.2}) times PLE", variant.name());
    }

    let sized = |items: u32| Config { items, categories: 200, users: 2_000, rows: 60_000, ..config.clone() };
    let [mut small, mut large] = [17_700, 1_997_700].map(|items| Runner::new(&sized(items), Variant::Duia));
    let Beside { times: [small, large], ratio: [low, ratio, high] } = beside(&mut small, &mut large);
    println!(
        "DUIA on tables of 20,000 and 2,000,000 rows: {:.2} and {:.2} ms a step, {ratio:.2} ({low:.2} to {high:.2})",
        small.as_secs_f64() * 1e3,
        large.as_secs_f64() * 1e3
    );
}
