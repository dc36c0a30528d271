//! A small stream, rankers that trained on it for a moment, and everything that a ranker holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use duia::config::Config;
use duia::data::Side;
use duia::data::generator::Generator;
use duia::data::protocol::{Batch, Dataset, NO_ROW, Replay, Truth};
use duia::model::batch::DeviceBatch;
use duia::model::component::Frozen;
use duia::model::components::consumers::Consumers;
use duia::model::components::enhancement::EnhancementOf;
use duia::model::components::evidence::Evidence;
use duia::model::components::uhse::Uhse;
use duia::model::components::upbe::Upbe;
use duia::model::ranker::{Ranker, Scored};
use duia::training::{Learner, Upkeep};
use duia::variants::{Variant, Variants, trained};

use super::block_on;

/// Steps that [`Trained::new`] takes, after the last of which every centre is filled.
pub const FILLED: u64 = 4;

/// A tiny stream and a tiny model, for runs from end to end that are evaluated at their end.
pub fn tiny() -> Config {
    Config {
        users: 60,
        items: 300,
        categories: 20,
        user_groups: 4,
        item_groups: 5,
        history: 8,
        centres: 4,
        children: 3,
        item_centres: 5,
        item_children: 2,
        warm_up: 4,
        learning_rate: 0.02,
        evaluate_every: 1_000,
        ..Config::default()
    }
}

/// A small stream and a small model whose centres are filled after [`FILLED`] steps and never re-seeded.
pub fn config() -> Config {
    Config {
        users: 120,
        items: 400,
        categories: 20,
        user_groups: 4,
        item_groups: 5,
        rows: 4_000,
        batch: 64,
        history: 8,
        centres: 4,
        children: 3,
        item_centres: 5,
        item_children: 2,
        warm_up: FILLED,
        reseed: false,
        cluster_share: 0.6,
        enhancement_dropout: 0.3,
        ..Config::default()
    }
}

/// All variants that are trained.
pub fn variants() -> Vec<Variant> {
    trained(&Variant::ALL).collect()
}

/// A ranker in training.
pub struct Trained {
    pub learner: Learner,
    pub config: Config,
    pub dataset: Dataset,
    replay: Replay,
}

impl Trained {
    /// A ranker after [`FILLED`] steps.
    pub fn new(config: &Config, variant: Variant) -> Self {
        // What is told to a model depends on which there are.
        let config = &Config { variants: Variants(vec![variant]), ..config.clone() };
        let dataset = Dataset::open(Arc::new(Generator::new(config)), config).unwrap();
        let learner = Learner::new(config, &[variant], dataset.vocabulary(), &Device::flex(), 1_000);
        let mut new = Self { learner, config: config.clone(), replay: dataset.replay(), dataset };
        (0..FILLED).for_each(|_| new.step());
        new
    }

    /// The ranker itself.
    pub fn ranker(&self) -> &Ranker {
        &self.learner.rankers()[0]
    }

    /// The next batch of the stream.
    pub fn next(&mut self) -> Batch {
        self.replay.next_train().unwrap()
    }

    /// A batch on the device.
    pub fn load(&mut self, batch: Batch) -> DeviceBatch {
        self.learner.load(Arc::new(batch))
    }

    /// Trains on the next batch of the stream.
    pub fn step(&mut self) {
        let batch = self.next();
        self.step_on(batch);
    }

    /// Trains on a batch.
    pub fn step_on(&mut self, batch: Batch) {
        let batch = self.load(batch);
        self.learn(&batch);
    }

    /// Trains on a batch that is on the device.
    pub fn learn(&mut self, batch: &DeviceBatch) -> Vec<Upkeep> {
        block_on(self.learner.learn_by(batch, Ranker::step)).unwrap()
    }

    /// Test batches.
    pub fn test_batches(&self, count: usize) -> Vec<Batch> {
        let mut replay = self.dataset.replay();
        std::iter::from_fn(|| replay.next_test()).take(count).collect()
    }

    /// Scores a test batch.
    pub fn score(&self, frozen: &Frozen, batch: &Batch) -> Scored {
        self.ranker().score(frozen, &self.ranker().test_batch(Arc::new(batch.clone())))
    }

    /// The category of each item.
    pub fn categories(&self) -> Vec<u32> {
        self.dataset.categories().to_vec()
    }

    /// A batch with a third candidate a request, which nobody wanted.
    pub fn with_a_third_candidate(&self, batch: &Batch) -> Batch {
        let (requests, items) = (batch.requests, self.dataset.vocabulary().items);
        let third = |r: usize| (batch.item[2 * r] + 7 * r as u32 + 1) % items;
        fn widened<T: Copy>(pairs: &[T], third: impl Fn(usize) -> T) -> Vec<T> {
            pairs.chunks(2).enumerate().flat_map(|(r, pair)| [pair[0], pair[1], third(r)]).collect()
        }
        Batch {
            candidates: 3,
            item: widened(&batch.item, third),
            category: widened(&batch.category, |r| self.dataset.category(third(r))),
            item_count: widened(&batch.item_count, |_| 0.0),
            item_rows: widened(&batch.item_rows, |_| 0),
            repeat: widened(&batch.repeat, |_| false),
            seen: widened(&batch.seen, |_| false),
            labels: batch.labels.chunks(2 * requests).flat_map(|of_task| widened(of_task, |_| 0.0)).collect(),
            truth: batch.truth.clone().map(|truth| {
                let known = |r: usize| self.dataset.planted_item_group(third(r)).unwrap();
                Box::new(Truth { item_group: widened(&truth.item_group, known), ..*truth })
            }),
            ..batch.clone()
        }
    }

    /// Everything that the ranker holds, to the bit.
    pub fn state(&self) -> BTreeMap<&'static str, Vec<u32>> {
        state(self.ranker())
    }
}

/// A batch in which the first candidates of some requests were not wanted after all.
pub fn unwanted(batch: &Batch, which: impl Fn(usize) -> bool) -> Batch {
    let mut batch = batch.clone();
    (0..batch.requests).filter(|&r| which(r)).for_each(|r| batch.labels[r * batch.candidates] = 0.0);
    batch
}

fn bits<const D: usize>(tensor: Tensor<D>) -> Vec<u32> {
    tensor.into_data().try_into_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// The dense parameters, to the bit.
fn network(ranker: &Ranker) -> Vec<u32> {
    let state = block_on(ranker.state("")).unwrap();
    let dense = state.arrays.into_iter().filter(|(name, _)| name.starts_with("network."));
    dense.flat_map(|(_, array)| array.as_floats().unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect()
}

/// Everything that a ranker holds, to the bit.
pub fn state(ranker: &Ranker) -> BTreeMap<&'static str, Vec<u32>> {
    let mut all = BTreeMap::from([("embeddings", bits(ranker.embeddings().rows())), ("network", network(ranker))]);
    let mut add = |name, there: Option<Vec<u32>>| there.map(|bits| all.insert(name, bits));
    for side in Side::BOTH {
        let of = |[users, items]: [&'static str; 2]| if side == Side::Users { users } else { items };
        let table = ranker.tables().find(|table| table.side() == side);
        add(of(["user vectors", "item vectors"]), table.map(|table| bits(table.rows.rows())));
        let behaviours = ranker.parts::<Upbe>().find(|upbe| upbe.side() == side).map(Upbe::behaviours);
        add(of(["user behaviours", "item behaviours"]), behaviours.map(|behaviours| bits(behaviours.rows())));
        add(of(["mean of user behaviours", "mean of item behaviours"]), behaviours.map(|behaviours| bits(behaviours.mean())));
        let means = ranker.parts::<EnhancementOf>().find(|enhancement| enhancement.side() == side).and_then(EnhancementOf::means);
        add(of(["user means", "item means"]), means.map(|means| bits(means.rows())));
    }
    add("user centres", ranker.memory(Side::Users).map(|memory| bits(memory.centres())));
    add("item centres", ranker.memory(Side::Items).map(|memory| bits(memory.centres())));
    add("user hits", ranker.memory(Side::Users).map(|memory| bits(memory.hits())));
    add("item hits", ranker.memory(Side::Items).map(|memory| bits(memory.hits())));
    add("mean of user centres", ranker.memory(Side::Users).map(|memory| bits(memory.mean())));
    add("mean of item centres", ranker.memory(Side::Items).map(|memory| bits(memory.mean())));
    add("assignments", ranker.parts::<Uhse>().next().map(Uhse::assignments).map(|assignments| bits(assignments.rows())));
    add("assigned when", ranker.parts::<Uhse>().next().map(Uhse::assignments).map(|assignments| bits(assignments.born())));
    add("consumers", ranker.parts::<Consumers>().next().map(Consumers::assignments).map(|consumers| bits(consumers.rows())));
    if let Some(evidence) = ranker.parts::<Evidence>().next() {
        let bits = |name: &str| {
            let (_, array) = evidence.mixture().arrays().into_iter().find(|(of, _)| *of == name).unwrap();
            array.as_floats().unwrap().iter().map(|x| x.to_bits()).collect()
        };
        all.extend(
            ["evidence.sizes", "evidence.categories", "evidence.items", "evidence.lives", "evidence.lengths"]
                .map(|name| (name, bits(name))),
        );
    }
    all
}

/// What differs between two states.
pub fn differing(a: &BTreeMap<&'static str, Vec<u32>>, b: &BTreeMap<&'static str, Vec<u32>>) -> Vec<&'static str> {
    a.iter().filter(|(name, bits)| b[*name] != **bits).map(|(name, _)| *name).collect()
}

/// The batch with two attributes of each item, some of them missing.
pub fn described(batch: &Batch) -> Batch {
    let values = |&item: &u32| [if item % 3 == 0 { NO_ROW } else { item % 8 }, item / 8 % 8];
    Batch { item_fields: 2, attributes: batch.item.iter().flat_map(values).collect(), ..batch.clone() }
}
