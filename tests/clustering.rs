//! GHCA on streams with known truth: collapse, repulsion, mean step, re-seeding, planted groups.

mod common;

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use common::oracle::Centres;
use common::*;
use duia::config::{CentreStart, CentreStep, Config, Similarity, Widths};
use duia::counter::{Counter, Stream};
use duia::data::generator::Generator;
use duia::kernels::Levels;
use duia::metrics::{Positives, TestKind, cluster_health};
use duia::model::layers::ghca::{Memory, Observation, UserCentres};
use duia::variants::{Variant, Variants};
use duia::wire::{DeviceChoice, Event};

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
    let mut memory = Memory::users(config, UserCentres::Learned, &device);
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
            members: users.iter().map(|&u| u as u32).collect(),
            positive: vec![true; BATCH],
            centres: floats(memory.centres()),
            hits: floats(memory.hits()),
            mean: floats(memory.mean()),
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
fn health(memory: &Memory, lie: Lie) -> duia::metrics::ClusterHealth {
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
            members: &users,
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
        let mut memory = Memory::users(&config, UserCentres::Learned, &Device::flex());
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
fn the_mean_step_is_its_formula_on_both_sides_and_the_plain_step_hardly_moves() {
    let device = Device::flex();
    let moved = |items: bool, centre_step| {
        let sizes = Config { centres: 2, children: 2, item_centres: 2, item_children: 2, rho: 0.05, eta: 0.2, ..config() };
        let config = Config { centre_start: CentreStart::Random, centre_step, ..sizes };
        let mut memory = if items { Memory::items(&config, &device) } else { Memory::users(&config, UserCentres::Learned, &device) };
        let before = block_on(read(memory.centres()));
        let v = numbers(80, 4 * M, 1.0);
        let assigned = vec![0i32, 1, 0, 0, 1, 2, 0, 0];
        let ids = Tensor::from_data(TensorData::new(assigned, [4, 2]), (&device, burn::tensor::DType::I32));
        let loss = memory.learn(tensor(&v, [4, M], &device), ids, tensor(&[1.0, 1.0, 1.0, 0.0], [4], &device), None).unwrap();
        (before, v, block_on(read(memory.centres())), block_on(read(loss)), block_on(read(memory.hits())))
    };
    for (items, weight) in [(false, 0.05), (true, 0.2)] {
        let (before, v, after, loss, hits) = moved(items, CentreStep::Mean);
        let mut expected_loss = [0.0; 2];
        // Level-1 centre 0 has samples 0 and 1; child 0 has sample 1, child 1 sample 0; centre 1 and child 2 have sample 2.
        // Sample 3 does not cluster.
        for (row, members) in [(0, vec![0, 1]), (1, vec![2]), (2, vec![1]), (3, vec![0]), (4, vec![2]), (5, vec![])] {
            let mu = &before[row * M..][..M];
            let sample = |s: usize| &v[s * M..][..M];
            let expected: Vec<f64> = (0..M)
                .map(|k| {
                    let pull = |&s: &usize| sigmoid(dot(sample(s), mu)) * (sample(s)[k] - mu[k]);
                    mu[k] + 2.0 * weight * members.iter().map(pull).sum::<f64>() / members.len().max(1) as f64
                })
                .collect();
            assert_close(&after[row * M..][..M], &expected, 1e-6);
            assert_eq!(hits[row], members.len() as f64);
            let distance = |s: usize| sample(s).iter().zip(mu).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            expected_loss[row / 2 % 2 + row / 4] += members.iter().map(|&s| sigmoid(dot(sample(s), mu)) * distance(s) / 3.0).sum::<f64>();
        }
        assert_close(&loss, &expected_loss, 1e-5);
        let distance = |after: &[f64]| -> f64 { before.iter().zip(after).map(|(a, b)| (a - b).abs()).sum() };
        assert!(distance(&moved(items, CentreStep::Sgd).2) < 0.02 * distance(&after));
    }
}

/// Events of a whole small race on the CPU.
fn race(config: &Config) -> Vec<Event> {
    let mut events = Vec::new();
    let source = Arc::new(Generator::new(config));
    block_on(duia::training::run(config.clone(), source, DeviceChoice::Cpu, |event| events.push(event))).unwrap();
    // How fast it went is not part of a run, nor how often it said so.
    events.retain(|event| !matches!(event, Event::Progress { .. } | Event::Tested { .. }));
    events
}

fn small() -> Config {
    Config { users: 600, items: 2_500, categories: 60, rows: 60_000, batch: 256, evaluate_every: 40, probe_set: 512, ..Config::default() }
}

#[test]
fn the_same_seed_gives_the_complete_model_the_same_events_and_another_does_not() {
    let complete = Config { rows: 16_000, variants: Variants(vec![Variant::Ple, Variant::DuiaItems]), ..small() };
    let events = race(&complete);
    assert_eq!(format!("{events:?}"), format!("{:?}", race(&complete)));
    assert_ne!(format!("{events:?}"), format!("{:?}", race(&Config { seed: 8, ..complete })));
}

#[test]
fn a_race_learns_and_its_clusters_find_planted_users() {
    let events = race(&small());
    let last = events.into_iter().rev().find_map(|event| match event {
        Event::Evaluation(evaluation) if evaluation.kind == TestKind::Whole => Some(evaluation),
        _ => None,
    });
    for (score, variant) in last.unwrap().scores.iter().zip(small().variants.0) {
        assert!(score.auc.all.value > 0.7, "{variant:?}: {}", score.auc.all.value);
    }
    let nmi = |config: &Config| {
        let found = race(config).into_iter().rev().find_map(|event| if let Event::Clusters(c) = event { c.nmi } else { None });
        found.expect("a synthetic stream")
    };
    // Only 600 users are planted, so another training moves either by a few hundredths; centres that do not learn gain nothing.
    let gains: Vec<f64> = [7, 8, 9]
        .into_iter()
        .map(|seed| {
            let learned = Config { seed, ..small() };
            let frozen = Config { rho: 0.0, reseed: false, centre_start: CentreStart::Random, ..learned.clone() };
            nmi(&learned) - nmi(&frozen)
        })
        .collect();
    assert!(gains.iter().sum::<f64>() / gains.len() as f64 > 0.03, "{gains:?}");
}

/// What the host sees of a batch of users, with so many hits for each centre.
fn observation(memory: &Memory, step: u64, hits: Vec<f32>) -> Observation {
    let users = users(step);
    Observation {
        v: users.iter().flat_map(|&user| vector(user, SPREAD)).map(|x| x as f32).collect(),
        members: users.iter().map(|&u| u as u32).collect(),
        positive: vec![true; BATCH],
        centres: floats(memory.centres()),
        hits,
        mean: floats(memory.mean()),
    }
}

#[test]
fn a_dead_centre_is_born_again_with_its_children_and_no_other_moves() {
    let (mut memory, _) = trained(&config(), 1, SPREAD);
    let Levels { first, children } = memory.levels();
    let before = Centres::new(&memory);
    // Everybody was hit since the fill but centre 5 with its children, and child 2 of centre 0.
    let dead_child = 2;
    let is_dead = |row: usize| row == 5 || row == first + dead_child || (row >= first && (row - first) / children == 5);
    let hits = (0..memory.levels().rows()).map(|row| if is_dead(row) { 0.0 } else { 1.0 }).collect();
    let seen = observation(&memory, 100, hits);
    let reseeded = memory.tick(100, 1_000, &seen).unwrap();
    assert_eq!((reseeded.centres, reseeded.first_fill), (vec![5], false));
    assert!(reseeded.children.iter().all(|&child| child == dead_child as u32), "{:?}", reseeded.children);
    let after = Centres::new(&memory);
    for (row, (then, now)) in before.rows.iter().zip(&after.rows).enumerate() {
        let is_reborn = row == 5 || (row >= first && (row - first) / children == 5);
        assert!(if is_reborn { then != now } else { then == now || row == first + dead_child }, "row {row}");
    }
    let vectors: Vec<&[f32]> = seen.v.chunks(M).collect();
    let parent: Vec<f32> = after.rows[5].iter().map(|&x| x as f32).collect();
    assert!(vectors.contains(&&parent[..]), "a centre is born where a user of the batch is");
    for child in 0..children {
        let (mu, parent) = (&after.rows[first + 5 * children + child], &after.rows[5]);
        let cosine = dot(mu, parent) / (dot(mu, mu) * dot(parent, parent)).sqrt();
        assert!(cosine > 0.5, "child {child} is born near its parent: {cosine}");
    }
}

/// Of twins only the first is ever the nearest, so the others would stay dead.
#[test]
fn children_that_are_born_again_together_are_no_twins() {
    let many = Config { children: 40, ..config() };
    let (mut memory, _) = trained(&many, 1, PARALLEL);
    let Levels { first, children } = memory.levels();
    let is_dead = |row: usize| row >= first;
    let hits = (0..memory.levels().rows()).map(|row| if is_dead(row) { 0.0 } else { 1.0 }).collect();
    let seen = observation(&memory, 900, hits);
    let reseeded = memory.tick(900, 10_000, &seen).unwrap();
    assert!(reseeded.centres.is_empty() && reseeded.children.len() > BATCH, "more are dead than a batch has vectors");
    let rows = Centres::new(&memory).rows;
    for siblings in reseeded.children.chunk_by(|a, b| a / children as u32 == b / children as u32) {
        for (place, &child) in siblings.iter().enumerate() {
            assert!(siblings[..place].iter().all(|&other| rows[first + other as usize] != rows[first + child as usize]), "{child}");
        }
    }
}

/// The children of a fresh centre take vectors that the search gives to it, which is not the search over raw vectors where
/// they share most of their direction.
#[test]
fn children_are_planted_where_the_search_finds_them() {
    let (memory, _) = trained(&config(), 1, PARALLEL);
    let Levels { first, children } = memory.levels();
    let centres = Centres::new(&memory).centred(None);
    let planted: Vec<Vec<f64>> =
        users(1).iter().map(|&user| vector(user, PARALLEL).iter().map(|&x| f64::from(x as f32)).collect()).collect();
    let of_batch: Vec<usize> = (first..memory.levels().rows()).filter(|&row| planted.contains(&centres.rows[row])).collect();
    assert!(of_batch.len() > first, "most children are vectors of the batch");
    for row in of_batch {
        assert_eq!(centres.nearest(&centres.rows[row])[0], (row - first) / children, "child {row}");
    }
}

#[test]
fn no_centre_is_born_again_late_or_against_the_switch() {
    let seeds = |config: &Config, step: u64| {
        let (mut memory, _) = trained(config, 1, SPREAD);
        let seen = observation(&memory, step, vec![0.0; memory.levels().rows()]);
        memory.tick(step, 1_000, &seen)
    };
    assert!(seeds(&config(), 799).is_some());
    assert_eq!(seeds(&config(), 800), None, "the last centres can settle");
    assert_eq!(seeds(&Config { reseed: false, ..config() }, 799), None);
}
