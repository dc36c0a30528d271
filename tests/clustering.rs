//! GHCA on streams with known truth: collapse, repulsion, mean step, re-seeding, planted groups.

mod common;

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use common::*;
use duia::config::{CentreStart, CentreStep, Config, Similarity, Variant, Widths};
use duia::counter::{Counter, Stream};
use duia::data::generator::Generator;
use duia::kernels::Levels;
use duia::message::{DeviceChoice, Event};
use duia::metrics::{Positives, cluster_health};
use duia::model::ghca::{Memory, Observation};

const M: usize = 16;
const BATCH: usize = 256;
const GROUPS: u64 = 24;

/// Sizes of the memory alone.
fn config() -> Config {
    Config { auxiliary: Widths(vec![M]), centres: 24, children: 3, batch: BATCH, cluster_share: 1.0, warm_up: 1, ..Config::default() }
}

/// How user vectors lie: how long they are, and how much of a direction they all share (real ones share most of it).
#[derive(Clone, Copy)]
struct Lie {
    length: f64,
    shared: f64,
}

const SPREAD: Lie = Lie { length: 3.85, shared: 0.0 };
const PARALLEL: Lie = Lie { length: 3.85, shared: 2.0 };

/// A user's vector: its group's direction, a little of its own, and what all share.
fn vector(user: u64, Lie { length, shared }: Lie) -> Vec<f64> {
    let (group, own) = (Counter::new(1, Stream::Users), Counter::new(2, Stream::Users));
    let mut v: Vec<f64> = (0..M as u64).map(|k| shared + group.lane(user % GROUPS).normal(k) + 0.35 * own.lane(user).normal(k)).collect();
    let norm = dot(&v, &v).sqrt();
    v.iter_mut().for_each(|x| *x *= length / norm);
    v
}

/// Users of a step, positives all.
fn users(step: u64) -> Vec<u64> {
    let counter = Counter::new(3, Stream::Choices).lane(step);
    (0..BATCH as u64).map(|s| counter.below(s, 4_000)).collect()
}

/// A memory after so many steps on that stream, and its centres.
fn trained(config: &Config, steps: u64, lie: Lie) -> (Memory, Vec<f64>) {
    let device = Device::flex();
    let mut memory = Memory::new(config, &device);
    for step in 1..=steps {
        let users = users(step);
        let v: Vec<f64> = users.iter().flat_map(|&user| vector(user, lie)).collect();
        let tensor = tensor::<2>(&v, [BATCH, M], &device);
        if memory.is_filled() {
            let assigned = memory.assign(tensor.clone());
            memory.learn(tensor, assigned, Tensor::ones([BATCH], &device), None);
        }
        let seen = Observation {
            v: v.iter().map(|&x| x as f32).collect(),
            users: users.iter().map(|&u| u as u32).collect(),
            positive: vec![true; BATCH],
            centres: floats(memory.centres()),
            hits: floats(memory.hits()),
        };
        memory.tick(step, steps, &seen);
    }
    let centres = block_on(read(memory.centres()));
    (memory, centres)
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// Hit rate of the first level and NMI with the groups, over fresh users.
fn health(memory: &Memory, lie: Lie) -> duia::message::ClusterHealth {
    let users: Vec<u32> = (10_000..12_000).collect();
    let v: Vec<f64> = users.iter().flat_map(|&user| vector(user.into(), lie)).collect();
    let assigned: Vec<i32> = memory.assign(tensor(&v, [users.len(), M], &Device::flex())).into_data().try_into_vec().unwrap();
    let Levels { first, children } = memory.levels();
    let level = |l: usize| assigned.iter().skip(l).step_by(2).map(|&id| id as u32).collect::<Vec<_>>();
    let planted: Vec<u32> = users.iter().map(|&user| user % GROUPS as u32).collect();
    cluster_health(
        0,
        &floats(memory.centres()),
        first,
        children,
        &Positives {
            users: &users,
            low_active: &vec![false; users.len()],
            level_1: &level(0),
            level_2: &level(1),
            stopped: &vec![false; users.len()],
            vectors: &v.iter().map(|&x| x as f32).collect::<Vec<_>>(),
            planted: Some(&planted),
        },
    )
}

#[test]
fn sigma_in_the_graph_repels_long_vectors_and_attracts_short_ones() {
    // A1: near mu = 0 the descent direction is v (1 - |v|^2 / 4): attraction only while |v| < 2.
    let final_dot = |length: f64, sigma_in_graph: bool| {
        let config = Config {
            centres: 2,
            children: 2,
            rho: 0.05,
            sigma_in_graph,
            centre_start: CentreStart::Random,
            similarity: Similarity::Dot,
            ..config()
        };
        let mut memory = Memory::new(&config, &Device::flex());
        let v: Vec<f64> = vec![length / (M as f64).sqrt(); M];
        let batch: Tensor<2> = tensor(&v.repeat(8), [8, M], &Device::flex());
        let zero = Tensor::from_data(TensorData::new(vec![0i32; 16], [8, 2]), (&Device::flex(), burn::tensor::DType::I32));
        for _ in 0..4_000 {
            memory.learn(batch.clone(), zero.clone(), Tensor::ones([8], &Device::flex()), None);
        }
        dot(&v, &block_on(read(memory.centres()))[..M])
    };
    assert!((final_dot(1.9, true) - 1.9 * 1.9).abs() < 0.05, "a short vector ends in its centre");
    assert!(final_dot(2.1, true) < -5.0, "a long vector drives its centre to the other side");
    assert!((final_dot(2.1, false) - 2.1 * 2.1).abs() < 0.05, "with sigma a weight no length repels");
}

#[test]
fn a_random_start_collapses_and_a_start_from_data_does_not() {
    let literal = Config { centre_start: CentreStart::Random, similarity: Similarity::Dot, reseed: false, ..config() };
    let collapsed = health(&trained(&literal, 150, PARALLEL).0, PARALLEL);
    let alive = health(&trained(&config(), 150, PARALLEL).0, PARALLEL);
    assert!(collapsed.hit_rate_1 < 0.5, "{collapsed:?}");
    assert!(alive.hit_rate_1 > 0.85, "{alive:?}");
}

#[test]
fn re_seeding_brings_dead_centres_back() {
    let start = Config { centre_start: CentreStart::Random, similarity: Similarity::Dot, ..config() };
    let dead = health(&trained(&Config { reseed: false, ..start.clone() }, 200, PARALLEL).0, PARALLEL);
    let reborn = health(&trained(&start, 200, PARALLEL).0, PARALLEL);
    assert!(reborn.hit_rate_1 > dead.hit_rate_1 + 0.3, "{} and {}", dead.hit_rate_1, reborn.hit_rate_1);
}

#[test]
fn planted_groups_are_found_far_better_than_by_frozen_random_centres() {
    let found = health(&trained(&config(), 200, SPREAD).0, SPREAD);
    let frozen = Config { centre_start: CentreStart::Random, rho: 0.0, reseed: false, ..config() };
    let random = health(&trained(&frozen, 200, SPREAD).0, SPREAD);
    let (found, random) = (found.nmi.unwrap(), random.nmi.unwrap());
    assert!(found > random + 0.15 && found > 0.8, "{found} and {random}");
}

#[test]
fn the_mean_step_is_its_formula_and_the_plain_step_hardly_moves() {
    let device = Device::flex();
    let moved = |centre_step| {
        let config = Config { centres: 2, children: 2, centre_start: CentreStart::Random, centre_step, ..config() };
        let mut memory = Memory::new(&config, &device);
        let before = block_on(read(memory.centres()));
        let v = numbers(80, 3 * M, 1.0);
        let assigned = vec![0i32, 1, 0, 0, 1, 2];
        let ids = Tensor::from_data(TensorData::new(assigned, [3, 2]), (&device, burn::tensor::DType::I32));
        memory.learn(tensor(&v, [3, M], &device), ids, Tensor::ones([3], &device), None);
        (before, v, block_on(read(memory.centres())))
    };
    let (before, v, after) = moved(CentreStep::Mean);
    // Level-1 centre 0 has samples 0 and 1; child 0 has sample 1, child 1 sample 0; centre 1 and child 2 have sample 2.
    for (row, members) in [(0, vec![0, 1]), (1, vec![2]), (2, vec![1]), (3, vec![0]), (4, vec![2]), (5, vec![])] {
        let mu = &before[row * M..][..M];
        let expected: Vec<f64> = (0..M)
            .map(|k| {
                let pull = |&s: &usize| sigmoid(dot(&v[s * M..][..M], mu)) * (v[s * M + k] - mu[k]);
                mu[k] + 2.0 * 0.05 * members.iter().map(pull).sum::<f64>() / members.len().max(1) as f64
            })
            .collect();
        assert_close(&after[row * M..][..M], &expected, 1e-6);
    }
    let distance =
        |(before, _, after): (Vec<f64>, Vec<f64>, Vec<f64>)| -> f64 { before.iter().zip(&after).map(|(a, b)| (a - b).abs()).sum() };
    assert!(distance(moved(CentreStep::Sgd)) < 0.02 * distance(moved(CentreStep::Mean)));
}

/// Events of a whole small race on the CPU.
fn race(config: &Config) -> Vec<Event> {
    let mut events = Vec::new();
    let source = Arc::new(Generator::new(config));
    block_on(duia::train::run(config.clone(), source, DeviceChoice::Cpu, |event| events.push(event))).unwrap();
    // How fast it went is not part of a run.
    events.retain(|event| !matches!(event, Event::Progress { .. }));
    events
}

fn small() -> Config {
    Config { users: 600, items: 2_500, categories: 60, rows: 60_000, batch: 256, evaluate_every: 40, panel: 512, ..Config::default() }
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_does_not() {
    let events = race(&small());
    assert_eq!(format!("{events:?}"), format!("{:?}", race(&small())));
    assert_ne!(format!("{events:?}"), format!("{:?}", race(&Config { seed: 8, ..small() })));
}

#[test]
fn a_race_learns_and_its_clusters_find_planted_users() {
    let events = race(&small());
    let last = events.iter().rev().find_map(|event| match event {
        Event::Evaluation(evaluation) if evaluation.whole => Some(evaluation.clone()),
        _ => None,
    });
    for (score, variant) in last.unwrap().scores.iter().zip(Variant::ALL) {
        assert!(score.auc.all.value > 0.7, "{variant:?}: {}", score.auc.all.value);
    }
    let clusters: Vec<_> = events.iter().filter_map(|e| if let Event::Clusters(c) = e { Some(c.clone()) } else { None }).collect();
    let frozen: Vec<_> = race(&Config { rho: 0.0, reseed: false, centre_start: CentreStart::Random, ..small() })
        .into_iter()
        .filter_map(|e| if let Event::Clusters(c) = e { Some(c) } else { None })
        .collect();
    let (found, random) = (clusters.last().unwrap().nmi.unwrap(), frozen.last().unwrap().nmi.unwrap());
    assert!(found > random + 0.1, "{found} and {random}");
}

#[test]
fn children_follow_their_parent_when_it_is_born_again() {
    let config = config();
    let (memory, centres) = trained(&config, 60, SPREAD);
    let Levels { first, children } = memory.levels();
    let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let near = (0..first * children).filter(|&child| {
        let (mu, parent) = (&centres[(first + child) * M..][..M], &centres[child / children * M..][..M]);
        cosine(mu, parent) > 0.5
    });
    assert!(near.count() as f64 > 0.9 * (first * children) as f64);
}
