//! What it costs a step to read the history by target attention, at the browser's sizes on one thread: the rows gathered, attention or
//! the activation unit forward and backward, and lazy Adam on the rows. Each in turns with a whole step of today's PLE.
//!
//! `cargo bench --bench attention`

use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use duia::config::Config;
use duia::data::generator::Generator;
use duia::data::protocol::{Batch, Dataset};
use duia::data::rows::{RowPlan, RowPlanner, Segment};
use duia::kernels::{AdamStep, Bags, activation_unit, adam_rows, attend, pool_rows};
use duia::platform::block_on;
use duia::training::Learner;
use duia::variants::Variant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Steps of a measured round.
const STEPS: usize = 40;
/// Rounds of a comparison.
const ROUNDS: usize = 15;
/// Hidden units of the activation unit.
const HIDDEN: usize = 16;

/// What reads the window.
#[derive(Clone, Copy, PartialEq)]
enum Encoder {
    /// Rows alone: gathered, and written by lazy Adam.
    Rows,
    Attention,
    Unit,
}

/// The histories of some batches, and all that reading them needs.
struct Window {
    table: Option<Tensor<2>>,
    planner: RowPlanner,
    batches: Vec<Arc<Batch>>,
    queries: Tensor<2>,
    offsets: Tensor<2>,
    unit: Tensor<2>,
    bias: Tensor<2>,
    bags: Bags,
    embedding: usize,
    categories: u32,
    device: Device,
    step: usize,
}

fn values<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.37).sin() * 0.1).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn integers<const D: usize>(values: Vec<i32>, shape: [usize; D], device: &Device) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::I32))
}

impl Window {
    fn new(config: &Config, batches: Vec<Arc<Batch>>) -> Self {
        let device = Device::flex();
        let (embedding, rows) = (config.embedding, (config.items + config.categories) as usize);
        let (requests, samples, width) = (config.batch / 2, config.batch, 2 * config.embedding);
        Self {
            table: Some(values([rows, 3 * embedding], &device)),
            planner: RowPlanner::new(rows),
            batches,
            queries: values([samples, width], &device),
            offsets: values([samples, HIDDEN], &device),
            unit: values([2 * width + 1, HIDDEN], &device),
            bias: values([requests, config.history], &device),
            bags: Bags { singles: 2 * config.history, bags: 0, bag_len: 0 },
            embedding,
            categories: config.items,
            device,
            step: 0,
        }
    }

    fn step(&mut self, encoder: Encoder) {
        let batch = self.batches[self.step % self.batches.len()].clone();
        self.step += 1;
        let (requests, slots) = (batch.requests, batch.history);
        let category = |&id: &u32| id.checked_add(self.categories).unwrap_or(id);
        let interleaved = batch.history_items.iter().zip(&batch.history_categories).flat_map(|(item, id)| [*item, category(id)]);
        let interleaved: Vec<u32> = interleaved.collect();
        let RowPlan { rows, offsets, positions, weights } = self.planner.plan(&[Segment { ids: &interleaved, bags: self.bags }]);
        let plan: Vec<i32> = rows.iter().chain(offsets).map(|&x| x as i32).collect();
        let length = plan.len();
        let plan = integers(plan, [length], &self.device);
        let positions = integers(positions.iter().map(|&p| p as i32).collect(), [positions.len()], &self.device);
        let weights = Tensor::from_data(TensorData::new(weights.clone(), [weights.len()]), &self.device);
        let ids = integers(interleaved.iter().map(|&id| id as i32).collect(), [requests, 2 * slots], &self.device);
        let known = integers(batch.history_items.iter().map(|&id| id as i32).collect(), [requests, slots], &self.device);

        let table = self.table.take().expect("present between two steps");
        let pooled = pool_rows(&table, ids, self.bags, self.embedding);
        let gradient = match encoder {
            Encoder::Rows => pooled,
            Encoder::Attention | Encoder::Unit => {
                let behaviours = Tensor::from_inner(pooled).require_grad();
                let window = behaviours.clone().reshape([requests, slots, 2 * self.embedding]);
                let on_graph = |tensor: &Tensor<2>| Tensor::from_inner(tensor.clone()).require_grad();
                let (queries, bias) = (on_graph(&self.queries), on_graph(&self.bias));
                let out = match encoder {
                    Encoder::Unit => activation_unit(queries, on_graph(&self.offsets), on_graph(&self.unit), window, bias, known),
                    _ => attend(queries, window, bias, known),
                };
                let gradients = out.sum().backward();
                behaviours.grad(&gradients).expect("the loss depends on the behaviours")
            }
        };
        let gradient = gradient.reshape([requests * self.bags.singles, self.embedding]);
        self.table = Some(adam_rows(table, gradient, plan, positions, weights, AdamStep::new(1e-3, self.step as u64)));
    }
}

fn timed(mut step: impl FnMut()) -> f64 {
    let begun = Instant::now();
    (0..STEPS).for_each(|_| step());
    (begun.elapsed() / STEPS as u32).as_secs_f64()
}

fn main() {
    let config = Config { warm_up: 10, ..Config::default() };
    let dataset = Dataset::open(Arc::new(Generator::new(&config)), &config).expect("the generator's rows fit the protocol");
    let mut replay = dataset.replay();
    // From the middle of the stream on, where histories are as long as they mostly are.
    let all = std::iter::from_fn(|| replay.next_train()).skip(150).take(60).map(Arc::new);
    let batches: Vec<Arc<Batch>> = all.collect();
    let mut learner = Learner::new(&config, &[Variant::Ple], dataset.vocabulary(), &Device::flex(), 1_000_000);
    let mut ple = || {
        let batch = batches[learner.steps() as usize % batches.len()].clone();
        block_on(learner.learn(batch)).expect("the CPU reads back");
    };
    let filled = batches.iter().flat_map(|batch| &batch.history_items).filter(|&&id| id != u32::MAX).count();
    let share = filled as f64 / (batches.len() * config.batch / 2 * config.history) as f64;
    println!("batch {}, history {} of which {:.0} % is there, embedding {}", config.batch, config.history, 100.0 * share, config.embedding);
    for (name, encoder) in [("rows alone", Encoder::Rows), ("attention", Encoder::Attention), ("activation unit", Encoder::Unit)] {
        let mut window = Window::new(&config, batches.clone());
        (0..STEPS).for_each(|_| {
            ple();
            window.step(encoder);
        });
        let mut rounds: Vec<[f64; 2]> = (0..ROUNDS).map(|_| [timed(&mut ple), timed(|| window.step(encoder))]).collect();
        rounds.sort_by(|a, b| (a[1] / a[0]).total_cmp(&(b[1] / b[0])));
        let [of_ple, own] = rounds[ROUNDS / 2].map(Duration::from_secs_f64);
        let [low, ratio, high] = [ROUNDS / 4, ROUNDS / 2, 3 * ROUNDS / 4].map(|at| rounds[at][1] / rounds[at][0]);
        println!("{name:16} {own:8.2?} beside a step of PLE of {of_ple:8.2?}: {ratio:.2} ({low:.2} to {high:.2}) of it on top");
    }
}
