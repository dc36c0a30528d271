//! Who receives whose gradient: every '-' of the table in `model::ranker` is an exact zero, every 'x' is not.

mod common;

use std::sync::Arc;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Gradients, Tensor};
use common::*;
use duia::config::{Config, Variant};
use duia::data::generator::Generator;
use duia::data::protocol::Dataset;
use duia::model::ranker::{DeviceBatch, Layout, Loader, Ranker};
use duia::train::turn_clock;

fn config() -> Config {
    Config {
        users: 120,
        items: 400,
        categories: 20,
        user_groups: 4,
        item_groups: 5,
        rows: 4_000,
        batch: 64,
        centres: 4,
        children: 3,
        warm_up: 2,
        ..Config::default()
    }
}

/// A UIE ranker some steps past the fill of its centres, and the next batch.
async fn ready(config: &Config) -> (Ranker, DeviceBatch) {
    let device = Device::flex();
    let dataset = Dataset::open(Arc::new(Generator::new(config)), config).unwrap();
    let layout = Layout::new(dataset.vocabulary(), config.history);
    let (mut loader, mut replay) = (Loader::new(layout, &device), dataset.replay());
    let mut ranker = Ranker::new(config, Variant::Uie, layout, &device);
    for step in 1..=6 {
        let batch = loader.load(Arc::new(replay.next_train().unwrap()));
        ranker.step(&batch);
        turn_clock(&mut ranker, step, 1_000).await.unwrap();
    }
    assert!(ranker.memory().unwrap().is_filled());
    (ranker, loader.load(Arc::new(replay.next_train().unwrap())))
}

/// Sum of absolute gradients over the parameters of a part; 0 also where no gradient arrived at all.
fn reached<M: Module>(part: &M, gradients: &GradientsParams) -> f64 {
    struct Sum<'a>(&'a GradientsParams, f64);
    impl ModuleVisitor for Sum<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                self.1 += f64::from(gradient.abs().sum().into_scalar::<f32>());
            }
        }
    }
    let mut sum = Sum(gradients, 0.0);
    part.visit(&mut sum);
    sum.1
}

fn leaf<const D: usize>(tensor: &Tensor<D>, gradients: &Gradients) -> f64 {
    tensor.grad(gradients).map_or(0.0, |gradient| f64::from(gradient.abs().sum().into_scalar::<f32>()))
}

/// What a loss reaches: embeddings, personal vectors, PLE, gates, towers, centres.
fn reaches(ranker: &Ranker, batch: &DeviceBatch, auxiliary: bool) -> [bool; 6] {
    let graph = ranker.graph(batch);
    let gradients = if auxiliary { graph.auxiliary.clone().unwrap().backward() } else { graph.mtl.backward() };
    let (fields, personal) = (leaf(&graph.fields, &gradients), leaf(graph.personal.as_ref().unwrap(), &gradients));
    let centres = leaf(&graph.chosen().unwrap(), &gradients);
    let network = ranker.network();
    let dense = GradientsParams::from_grads(gradients, network);
    let (gate, towers) = (network.gate.as_ref().unwrap(), network.auxiliary.as_ref().unwrap());
    [fields, personal, reached(&network.ple, &dense), reached(gate, &dense), reached(towers, &dense), centres].map(|sum| sum != 0.0)
}

#[test]
fn the_ranker_loss_reaches_all_but_towers_and_centres() {
    let (ranker, batch) = block_on(ready(&config()));
    assert_eq!(reaches(&ranker, &batch, false), [true, true, true, true, false, false]);
}

#[test]
fn the_auxiliary_loss_reaches_the_towers_alone() {
    let (ranker, batch) = block_on(ready(&config()));
    assert_eq!(reaches(&ranker, &batch, true), [false, false, false, false, true, false]);
}

#[test]
fn only_the_option_lets_the_ranker_loss_reach_centres() {
    let (ranker, batch) = block_on(ready(&Config { centres_from_main: true, ..config() }));
    assert_eq!(reaches(&ranker, &batch, false), [true, true, true, true, false, true]);
    assert_eq!(reaches(&ranker, &batch, true), [false, false, false, false, true, false]);
}

/// Everything of a ranker but its centres, and the centres.
async fn state(ranker: &Ranker) -> (Vec<f64>, Vec<f64>) {
    struct All(Vec<f64>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(block_on(read(param.val())));
        }
    }
    let mut all = All(read(ranker.embeddings().rows()).await);
    all.0.extend(read(ranker.personal().unwrap().rows()).await);
    ranker.network().visit(&mut all);
    (all.0, read(ranker.memory().unwrap().centres()).await)
}

/// Two rankers that differ in a clustering option only, one step from the same state.
async fn after_one_step(config: &Config) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut ranker, batch) = ready(config).await;
    let before = read(ranker.memory().unwrap().centres()).await;
    ranker.step(&batch);
    let (rest, centres) = state(&ranker).await;
    (rest, before, centres)
}

#[test]
fn the_clustering_loss_moves_centres_and_nothing_else() {
    // Before the fill no centre exists, so up to there both runs are one; the batch after the fill is the first to differ.
    let filled_last = Config { warm_up: 6, ..config() };
    let (with, before, after) = block_on(after_one_step(&filled_last));
    let (without, still_before, still) = block_on(after_one_step(&Config { rho: 0.0, ..filled_last }));
    assert_eq!(before, still_before);
    assert_ne!(before, after, "rho moves centres");
    assert_eq!(still, still_before, "without rho not even the ranker's loss moves a centre");
    assert_eq!(with, without, "users, items, towers and gates do not feel rho");
}

#[test]
fn the_commitment_option_moves_users_through_their_tower() {
    let (ranker, batch) = block_on(ready(&config()));
    let (committed, same) = block_on(ready(&Config { commit: 0.5, warm_up: 6, ..config() }));
    assert!(ranker.graph(&batch).chosen().is_some() && committed.graph(&same).chosen().is_some());
    let filled_last = Config { warm_up: 6, ..config() };
    let (with, ..) = block_on(after_one_step(&Config { commit: 0.5, ..filled_last.clone() }));
    let (without, ..) = block_on(after_one_step(&filled_last));
    assert_ne!(with, without);
}
