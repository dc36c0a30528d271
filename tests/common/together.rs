//! Every variant in one process and in several that share its batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Device;
use duia::communicator::{Communicator, Thread};
use duia::config::Config;
use duia::data::generator::Generator;
use duia::data::protocol::Dataset;
use duia::model::together::Together;
use duia::training::Learner;
use duia::variants::{Variant, Variants};

use super::block_on;
use super::training::{config, state};

/// What a model holds, by name, to the bit.
pub type State = BTreeMap<&'static str, Vec<u32>>;

/// What steps of a model leave: its state, and the losses of the last one.
pub struct Learned {
    pub state: State,
    pub losses: Vec<f32>,
}

impl Learned {
    /// All of it, to be compared or kept.
    pub fn words(&self) -> Vec<u32> {
        self.state.values().flatten().copied().chain(self.losses.iter().map(|loss| loss.to_bits())).collect()
    }

    /// The largest difference of a number from another's, and where; and the largest of a loss, relative to it.
    pub fn off(&self, other: &Self) -> (f32, &'static str, f32) {
        let of = |(name, bits): (&&'static str, &Vec<u32>)| {
            let pairs = bits.iter().zip(&other.state[*name]).map(|(&a, &b)| (f32::from_bits(a) - f32::from_bits(b)).abs());
            (pairs.fold(0.0, f32::max), *name)
        };
        let (most, name) = self.state.iter().map(of).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        let of_losses = self.losses.iter().zip(&other.losses).map(|(a, b)| (a - b).abs() / a.abs().max(1e-3));
        (most, name, of_losses.fold(0.0, f32::max))
    }
}

/// Sizes at which everything happens early that a run has: centres are filled and born again, items' are looked up anew.
pub fn eventful(variant: Variant) -> Config {
    let variants = Variants(vec![variant]);
    Config { variants, rows: 9_000, warm_up: 2, reseed: true, reseed_expect: 2.0, refresh_every: 3, ..config() }
}

/// So many steps in one process on the CPU, which shares its batches with others or does not.
pub fn learned(config: &Config, steps: u64, communicator: Option<Arc<dyn Communicator>>) -> Learned {
    learned_on(&Device::flex(), config, steps, communicator)
}

/// The same on another device.
pub fn learned_on(device: &Device, config: &Config, steps: u64, communicator: Option<Arc<dyn Communicator>>) -> Learned {
    let dataset = Dataset::open(Arc::new(Generator::new(config)), config).unwrap();
    let learner = Learner::new(config, &config.variants.0, dataset.vocabulary(), device, 1_000);
    let learner = learner.refreshing(dataset.categories());
    let mut learner = learner.together(communicator.map(Together::from).unwrap_or_default()).unwrap();
    for step in 0..steps {
        block_on(learner.learn(Arc::new(dataset.train_batch(step)))).unwrap();
    }
    let losses = block_on(learner.losses()).unwrap().remove(0);
    Learned { state: state(&learner.rankers()[0]), losses: losses.named().map(|(_, value)| value).collect() }
}

/// The same in several threads that share every batch, by rank.
pub fn shared(config: &Config, steps: u64, processes: usize) -> Vec<Learned> {
    each(Thread::several(processes), |thread| learned(config, steps, Some(Arc::new(thread))))
}

/// What every one of several makes on a thread of its own.
pub fn each<T: Send>(all: Vec<T>, task: impl Fn(T) -> Learned + Sync) -> Vec<Learned> {
    let task = &task;
    std::thread::scope(|scope| {
        let begun: Vec<_> = all.into_iter().map(|one| scope.spawn(move || task(one))).collect();
        begun.into_iter().map(|one| one.join().unwrap()).collect()
    })
}
