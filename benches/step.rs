//! What a training step costs on the CPU, at the browser's sizes: samples a second of each variant beside a step of PLE,
//! and the ratio of step times for tables of 20,000 and 2,000,000 rows, measured in turns in one run.
//!
//! `cargo bench --bench step`; one thread, as a worker in a browser has, and the allocator of `duia`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use duia::config::{Config, Variant};
use duia::data::generator::Generator;
use duia::data::protocol::{Batch, Dataset};
use duia::model::batch::{Layout, Loader};
use duia::model::ranker::Ranker;
use duia::platform::block_on;
use duia::train::{trained, turn_clocks};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps of a measured round.
const STEPS: usize = 40;
/// Rounds, of which the median counts.
const ROUNDS: usize = 9;

/// A variant with its data, ready to be stepped.
struct Runner {
    loader: Loader,
    ranker: Ranker,
    batches: Vec<Arc<Batch>>,
    next: usize,
}

impl Runner {
    fn new(config: &Config, variant: Variant) -> Self {
        let dataset = Dataset::open(Arc::new(Generator::new(config)), config).expect("the generator's rows fit the protocol");
        let layout = Layout::new(dataset.vocabulary(), config);
        let mut replay = dataset.replay();
        let batches = std::iter::from_fn(|| replay.next_train()).take(60).map(Arc::new).collect();
        let device = Device::flex();
        let mut runner = Self {
            loader: Loader::new(layout, &[variant], config, &device),
            ranker: Ranker::new(config, variant, layout, &device),
            batches,
            next: 0,
        };
        // Warm-up: buffers grow, and memories have their centres.
        (0..60).for_each(|_| runner.step());
        runner
    }

    fn step(&mut self) {
        let batch = self.loader.load(self.batches[self.next % self.batches.len()].clone());
        self.next += 1;
        self.ranker.step(&batch);
        block_on(turn_clocks(&mut self.ranker, self.next as u64, 1_000_000)).expect("the CPU reads back");
    }

    fn round(&mut self) -> Duration {
        let begun = Instant::now();
        (0..STEPS).for_each(|_| self.step());
        begun.elapsed() / STEPS as u32
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Median step times of several runners, measured in turns so that a drifting machine drifts for all.
fn in_turns(runners: &mut [Runner]) -> Vec<Duration> {
    let mut times = vec![Vec::new(); runners.len()];
    for _ in 0..ROUNDS {
        for (runner, times) in runners.iter_mut().zip(&mut times) {
            times.push(runner.round());
        }
    }
    times.into_iter().map(median).collect()
}

fn main() {
    let config = Config { warm_up: 10, ..Config::default() };
    let variants: Vec<Variant> = trained(&Variant::ALL).collect();
    let mut runners: Vec<Runner> = variants.iter().map(|&variant| Runner::new(&config, variant)).collect();
    println!("batch {}, one thread, loading the batch included:", config.batch);
    let times = in_turns(&mut runners);
    for (variant, time) in variants.iter().zip(&times) {
        let rate = config.batch as f64 / time.as_secs_f64();
        let ratio = time.as_secs_f64() / times[0].as_secs_f64();
        println!(
            "{:14} {:6.2} ms a step, {rate:7.0} samples/s, {ratio:4.2} times {}",
            variant.name(),
            time.as_secs_f64() * 1e3,
            variants[0].name()
        );
    }

    let sized = |items: u32| Config { items, categories: 200, users: 2_000, rows: 60_000, ..config.clone() };
    let mut tables = [17_700, 1_997_700].map(|items| Runner::new(&sized(items), Variant::Duia));
    let times = in_turns(&mut tables);
    println!(
        "DUIA on tables of 20,000 and 2,000,000 rows: {:.2} and {:.2} ms a step, ratio {:.2}",
        times[0].as_secs_f64() * 1e3,
        times[1].as_secs_f64() * 1e3,
        times[1].as_secs_f64() / times[0].as_secs_f64()
    );
}
