//! Memories of behaviours, item centres in the place of histories, and the complete model step by step against a plain f64
//! oracle; and the rules of who may change what.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Gradients, Int, Tensor, TensorData};
use common::oracle::{Centres, Oracle, Seeking, behave, live};
use common::training::{FILLED, Trained, config, described, differing, unwanted, variants};
use common::*;
use duia::config::{CentreStart, CentreStep, Config, Encoder, MemoryStart, Widths};
use duia::counter::{Counter, Stream};
use duia::data::Side;
use duia::data::protocol::{Batch, NO_ROW};
use duia::data::rows::RowPlanner;
use duia::kernels::pool_centres;
use duia::model::component::{Clustered, StepLoss};
use duia::model::components::consumers::Consumers;
use duia::model::components::enhancement::EnhancementOf;
use duia::model::components::evidence::Evidence;
use duia::model::components::history::History;
use duia::model::components::uhse::Uhse;
use duia::model::components::upbe::{Behaviours, Matched, Upbe};
use duia::model::layers::assignments::{Assignments, FrozenAssignments};
use duia::model::layers::enhancement::Means;
use duia::model::layers::ghca::{self, Memory, Observation, Reseeded, UserCentres};
use duia::model::layers::mixture::{CLUSTERS, Row};
use duia::model::layers::table::{HostTouched, Ids};
use duia::training::Upkeep;
use duia::variants::Variant;

const M: usize = 6;
const OWNERS: usize = 5;
const POSITIVES: usize = 24;

/// Sizes of memories alone.
fn sizes() -> Config {
    Config { auxiliary: Widths(vec![M]), centres: 4, children: 3, item_centres: 4, item_children: 3, warm_up: 1, ..Config::default() }
}

/// A memory whose centres were filled from some vectors.
fn filled(mut memory: Memory) -> Memory {
    let (n, rows) = (30, memory.levels().rows());
    let v = numbers(100, n * M, 1.0).iter().map(|&x| x as f32).collect();
    let members = (0..n as u32).collect();
    let seen = Observation { v, members, positive: vec![true; n], centres: vec![0.0; rows * M], hits: vec![0.0; rows], mean: vec![0.0; M] };
    memory.tick(1, 100, &seen).unwrap();
    memory
}

fn user_memory(config: &Config) -> Memory {
    filled(Memory::users(config, UserCentres::Learned, &Device::flex()))
}

fn rows(values: &[f64], width: usize) -> Vec<Vec<f64>> {
    values.chunks(width).map(<[f64]>::to_vec).collect()
}

/// Positives of a round: owners, several of each, their vectors and those of what they met; and whether they were wanted.
struct Round {
    owners: Vec<u32>,
    vectors: Vec<f64>,
    seekers: Vec<f64>,
    wanted: Vec<f64>,
}

impl Round {
    fn new(round: u64) -> Self {
        let random = Counter::new(5, Stream::Choices).lane(round);
        // A vector leans towards what it met, so that some dots are negative and some are not.
        let seekers = numbers(110 + round, POSITIVES * M, 1.0);
        let own = numbers(120 + round, POSITIVES * M, 1.0);
        Self {
            owners: (0..POSITIVES as u64).map(|p| random.below(p, OWNERS as u64 - 1) as u32).collect(),
            vectors: own.iter().zip(&seekers).map(|(a, b)| f64::from((a + 0.7 * b) as f32)).collect(),
            wanted: (0..POSITIVES).map(|p| f64::from(u8::from(p % 5 != 0))).collect(),
            seekers,
        }
    }

    fn positives(&self) -> Vec<Seeking> {
        let (vectors, seekers) = (rows(&self.vectors, M), rows(&self.seekers, M));
        (0..POSITIVES)
            .filter(|&p| self.wanted[p] > 0.5)
            .map(|p| Seeking { owner: self.owners[p] as usize, vector: vectors[p].clone(), seeker: seekers[p].clone() })
            .collect()
    }

    fn meet(&self, memory: &Memory) -> Matched {
        let on_device = |x: &[f64]| tensor::<2>(x, [POSITIVES, M], &Device::flex());
        Matched::new(memory, on_device(&self.seekers), None, on_device(&self.vectors), tensor(&self.wanted, [POSITIVES], &Device::flex()))
    }
}

/// Lets a round's positives into the memories, and gives Eq. 9 and 10.
fn learn(behaviours: &mut Behaviours, round: &Round, met: Matched) -> Vec<f64> {
    let device = Device::flex();
    let touched = HostTouched::single(&mut RowPlanner::new(OWNERS), &round.owners).load(&device);
    block_on(read(behaviours.learn(met, &Ids::single(&round.owners, &device), &touched, 1)))
}

#[test]
fn positives_pull_the_centres_of_what_they_met_into_their_owners_memory() {
    for memory_start in [MemoryStart::Touch, MemoryStart::Zero] {
        let config = Config { lambda: 0.2, memory_start, ..sizes() };
        let memory = user_memory(&config);
        let centres = Centres::new(&memory).centred(None);
        let mut behaviours = Behaviours::new(&config, OWNERS, &Device::flex());
        let (mut expected, mut mean) = (vec![vec![0.0; 2 * M + 1]; OWNERS], vec![0.0; 2 * M]);
        for round in (0..4).map(Round::new) {
            let met = round.meet(&memory);
            let open = block_on(read(met.open()));
            let agree = round.positives();
            let is_open = |p: &Seeking| centres.agree(&centres.sought(&p.seeker), &p.vector);
            let passing = agree.iter().filter(|p| is_open(p)).count();
            assert!(passing > 3 && passing < agree.len(), "some are skipped: {passing} of {}", agree.len());
            assert_eq!(open.iter().sum::<f64>(), passing as f64);
            assert!(open.iter().zip(&round.wanted).all(|(open, wanted)| open <= wanted));
            let losses = learn(&mut behaviours, &round, met);
            let (after, expected_losses) = behave(&expected, &mut mean, &centres, &agree, 0.2, memory_start == MemoryStart::Touch);
            expected = after;
            assert_close(&block_on(read(behaviours.rows())), &expected.concat(), 2e-5);
            assert_close(&losses, &expected_losses, 2e-5);
            assert_close(&block_on(read(behaviours.mean())), &mean, 2e-5);
        }
        assert_eq!(expected[OWNERS - 1], vec![0.0; 2 * M + 1], "an owner without a positive has no memory");
        // An untouched memory gives its user's own centres; the more often it was touched, the less of them. From zero it gives itself.
        let (own, own_mean) = (numbers(130, 2 * 2 * M, 1.0), numbers(131, M, 1.0));
        let on_device = tensor(&own, [2, 2, M], &Device::flex());
        let recalled = behaviours.recall(&Ids::single(&[4, 0], &Device::flex()), on_device, tensor(&own_mean, [1, M], &Device::flex()));
        let of = |place: usize, owner: usize, level: usize| -> Vec<f64> {
            let (own, row) = (&own[(2 * level + place) * M..][..M], &expected[owner]);
            let centred = |k: usize| (own[k] - own_mean[k], row[level * M + k] - mean[level * M + k], row[2 * M]);
            let blend = |(own, memory, touches): (f64, f64, f64)| own + touches / (touches + 1.0) * (memory - own);
            let literal = memory_start == MemoryStart::Zero;
            (0..M).map(|k| if literal { row[level * M + k] } else { blend(centred(k)) }).collect()
        };
        assert_eq!((expected[4][2 * M], expected[0][2 * M]), (0.0, 4.0));
        assert_close(&block_on(read(recalled)), &[of(0, 4, 0), of(1, 0, 0), of(0, 4, 1), of(1, 0, 1)].concat(), 2e-5);
    }
}

#[test]
fn under_adam_a_memory_moves_by_adams_step_on_the_slope_of_equations_9_and_10() {
    let config = Config { lambda: 0.1, memory_start: MemoryStart::Zero, centre_step: CentreStep::Adam, ..sizes() };
    let memory = user_memory(&config);
    let centres = Centres::new(&memory).centred(None);
    let mut behaviours = Behaviours::new(&config, OWNERS, &Device::flex());
    let mut moments = vec![vec![[0.0; 2]; 2 * M]; OWNERS];
    for (t, round) in (1u64..).zip((0..3).map(Round::new)) {
        let before = rows(&block_on(read(behaviours.rows())), 2 * M + 1);
        let met = round.meet(&memory);
        let passing: Vec<Seeking> =
            round.positives().into_iter().filter(|p| centres.agree(&centres.sought(&p.seeker), &p.vector)).collect();
        let device = Device::flex();
        let touched = HostTouched::single(&mut RowPlanner::new(OWNERS), &round.owners).load(&device);
        drop(behaviours.learn(met, &Ids::single(&round.owners, &device), &touched, t));
        let mut expected = before.clone();
        for owner in round.owners.iter().map(|&owner| owner as usize).collect::<BTreeSet<_>>() {
            let mus: Vec<Vec<f64>> = passing.iter().filter(|p| p.owner == owner).map(|p| centres.sought(&p.seeker).concat()).collect();
            let old = before[owner][..2 * M].to_vec();
            let sigma = |mu: &[f64], level: usize| sigmoid(dot(&mu[level * M..][..M], &old[level * M..][..M]));
            // Sigma is a weight (A1), lambda the loss's.
            let loss = |x: &[f64]| -> f64 {
                let of = |mu: &Vec<f64>| (0..2 * M).map(|k| sigma(mu, k / M) * (mu[k] - x[k]).powi(2)).sum::<f64>();
                0.1 * mus.iter().map(of).sum::<f64>() / passing.len() as f64
            };
            for k in 0..2 * M {
                let [m, v] = &mut moments[owner][k];
                let gradient = slope(loss, &old, k);
                (*m, *v) = (0.9 * *m + 0.1 * gradient, 0.999 * *v + 0.001 * gradient * gradient);
                let (m, v) = (*m / (1.0 - 0.9f64.powi(t as i32)), *v / (1.0 - 0.999f64.powi(t as i32)));
                expected[owner][k] = old[k] - config.learning_rate * m / (v.sqrt() + 1e-8);
            }
            expected[owner][2 * M] += f64::from(u8::from(!mus.is_empty()));
        }
        assert_close(&block_on(read(behaviours.rows())), &expected.concat(), 2e-5);
        assert_ne!(before, rows(&block_on(read(behaviours.rows())), 2 * M + 1));
    }
}

#[test]
fn a_later_step_of_a_memory_is_minus_lambda_times_the_slope_of_equations_9_and_10() {
    // From zero, as Eq. 9 and 10 read literally: no mean of first touches.
    let config = Config { lambda: 0.1, memory_start: MemoryStart::Zero, ..sizes() };
    let memory = user_memory(&config);
    let centres = Centres::new(&memory).centred(None);
    let mut behaviours = Behaviours::new(&config, OWNERS, &Device::flex());
    for round in (10..12).map(Round::new) {
        let before = rows(&block_on(read(behaviours.rows())), 2 * M + 1);
        // One positive alone, so that means are itself.
        let device = Device::flex();
        let p = (0..POSITIVES).find(|&p| block_on(read(round.meet(&memory).open()))[p] > 0.5).unwrap();
        let one = |x: &[f64]| tensor::<2>(&x[p * M..][..M], [1, M], &device);
        let met = Matched::new(&memory, one(&round.seekers), None, one(&round.vectors), Tensor::ones([1], &device));
        let touched = HostTouched::single(&mut RowPlanner::new(OWNERS), &[0]).load(&device);
        behaviours.learn(met, &Ids::single(&[0], &device), &touched, 1);
        let mu = centres.sought(&round.seekers[p * M..][..M]).concat();
        let old = &before[0][..2 * M];
        let sigma: Vec<f64> = (0..2).map(|l| sigmoid(dot(&mu[l * M..][..M], &old[l * M..][..M]))).collect();
        let equation = |x: &[f64]| (0..2 * M).map(|k| sigma[k / M] * (mu[k] - x[k]).powi(2)).sum::<f64>();
        let expected: Vec<f64> = (0..2 * M).map(|k| old[k] - 0.1 * slope(equation, old, k)).collect();
        assert_close(&block_on(read(behaviours.rows()))[..2 * M], &expected, 1e-5);
    }
}

fn assigned(pairs: &[[i32; 2]]) -> Tensor<2, burn::tensor::Int> {
    let values: Vec<i32> = pairs.as_flattened().to_vec();
    Tensor::from_data(TensorData::new(values, [pairs.len(), 2]), (&Device::flex(), DType::I32))
}

fn padded(items: &[[i32; 4]]) -> Tensor<2, burn::tensor::Int> {
    let values: Vec<i32> = items.as_flattened().to_vec();
    Tensor::from_data(TensorData::new(values, [items.len(), 4]), (&Device::flex(), DType::I32))
}

/// The mean of the centres that stand for the items of each bag, and whether there was any.
fn encode(centres: &ghca::Centres, given: &FrozenAssignments, items: Tensor<2, Int>) -> (Tensor<3>, Tensor<2>) {
    pool_centres(centres.centres(), given.entries.clone(), given.born.clone(), items, centres.levels())
}

#[test]
fn a_history_is_the_mean_of_its_items_centres_until_they_are_born_again() {
    let device = Device::flex();
    let memory = filled(Memory::items(&sizes(), &device));
    let centres = Centres::new(&memory);
    let mut items = Assignments::new(8, 1, memory.levels(), &device);
    let give = |items: &mut Assignments, ids: &[u32], pairs: &[[i32; 2]], positive: Tensor<1>, step: u64| {
        items.give(
            &Ids::single(ids, &device),
            &HostTouched::single(&mut RowPlanner::new(8), ids).load(&device),
            assigned(pairs),
            positive,
            step,
        );
    };
    // Items 0 to 3 pass at step 3 as positives, 4 as none; item 0 twice, of which the second passing counts.
    let (ids, pairs) = ([0, 1, 2, 3, 4, 0], [[3, 10], [1, 4], [1, 5], [2, 6], [0, 1], [0, 2]]);
    let positive = tensor(&[1.0, 1.0, 1.0, 1.0, 0.0, 1.0], [6], &device);
    give(&mut items, &ids, &pairs, positive, 3);
    let histories = [[0, 1, 2, 3], [4, 7, -1, -1], [1, 1, 2, -1], [-1, -1, -1, -1], [4, 3, -1, -1]];
    // What each history is: the level-2 centres that count.
    let check = |items: &Assignments, counting: [&[usize]; 5]| {
        let (encoded, has) = encode(&memory, &items.frozen(), padded(&histories));
        let encoded = rows(&block_on(read(encoded)), M);
        let has = block_on(read(has));
        for (r, children) in counting.into_iter().enumerate() {
            assert_eq!(has[r], f64::from(u8::from(!children.is_empty())), "history {r}");
            for level in 0..2 {
                let row = |&child: &usize| centres.rows[if level == 0 { child / 3 } else { 4 + child }].as_slice();
                let expected = if children.is_empty() { vec![0.0; M] } else { mean(&children.iter().map(row).collect::<Vec<_>>()) };
                assert_close(&encoded[level * histories.len() + r], &expected, 1e-6);
            }
        }
    };
    check(&items, [&[2, 4, 5, 6], &[], &[4, 4, 5], &[], &[6]]);
    // Child 5 is born again after step 3, and centre 2 with all its children.
    items.forget(&Reseeded { centres: vec![2], children: vec![5], first_fill: false }, 3);
    check(&items, [&[2, 4], &[], &[4, 4], &[], &[]]);
    // An item that passes after the birth has its centre again.
    give(&mut items, &[2, 3], &[[1, 5], [2, 8]], Tensor::ones([2], &device), 4);
    check(&items, [&[2, 4, 5, 8], &[], &[4, 4, 5], &[], &[8]]);
    // Before an evaluation every item is looked up anew, and all count.
    let all: Vec<[i32; 2]> = (0..8).map(|item| [item / 3, item]).collect();
    let (encoded, has) = encode(&memory, &items.refreshed(assigned(&all)), padded(&[[4, 7, 5, -1]]));
    let first = mean(&[&centres.rows[1], &centres.rows[2], &centres.rows[1]]);
    let second = mean(&[&centres.rows[4 + 4], &centres.rows[4 + 7], &centres.rows[4 + 5]]);
    assert_close(&block_on(read(encoded)), &[first, second].concat(), 1e-6);
    assert_eq!(block_on(read(has)), [1.0]);
}

/// Whose items pass when, and which centres are born again, is written down here and compared with what histories see.
#[test]
fn an_item_is_forgotten_when_its_centre_is_born_again_until_it_passes_once_more() {
    for variant in by_rule().filter(|variant| variant.has("uhse")) {
        let mut trained = Trained::new(&Config { reseed: true, reseed_expect: 1.0, ..config() }, variant);
        let (items, children) = (trained.config.items as i32, trained.config.item_children as u32);
        let all = Tensor::from_data(TensorData::new((0..items).collect::<Vec<i32>>(), [items as usize, 1]), (&Device::flex(), DType::I32));
        let (mut known, mut forgotten) = (BTreeMap::new(), 0);
        for step in FILLED + 1..FILLED + 13 {
            let batch = trained.next();
            let on_device = trained.load(batch.clone());
            let kept = trained.learn(&on_device);
            let (pairs, _) = trained.ranker().last().unwrap().clustered[1].clone().unwrap().chosen.unwrap();
            let pairs: Vec<i32> = pairs.into_data().try_into_vec().unwrap();
            known.extend((0..batch.requests).map(|r| (batch.item[2 * r], pairs[2 * r + 1] as u32)));
            let before = known.len();
            for Upkeep { side, reseeded: reborn, .. } in kept {
                let is_reborn = |child: u32| reborn.centres.contains(&(child / children)) || reborn.children.contains(&child);
                known.retain(|_, child| side == Side::Users || !is_reborn(*child));
            }
            forgotten += before - known.len();
            let memory = trained.ranker().memory(Side::Items).unwrap();
            let (encoded, has) = encode(memory, &assigned_items(&trained).frozen(), all.clone());
            let expected: Vec<f64> = (0..items as u32).map(|item| f64::from(u8::from(known.contains_key(&item)))).collect();
            assert_eq!(block_on(read(has)), expected, "{variant:?}, step {step}");
            let (centres, encoded) = (Centres::new(memory), rows(&block_on(read(encoded)), trained.config.memory_width()));
            for (&item, &child) in &known {
                assert_close(&encoded[(items as u32 + item) as usize], &centres.rows[trained.config.item_centres + child as usize], 1e-6);
            }
        }
        assert!(forgotten > 0, "{variant:?}: some centre was born again");
    }
}

fn assigned_items(trained: &Trained) -> &Assignments {
    trained.ranker().parts::<Uhse>().next().unwrap().assignments()
}

fn last_consumers(trained: &Trained) -> &Assignments {
    trained.ranker().parts::<Consumers>().next().unwrap().assignments()
}

fn means(trained: &Trained, side: Side) -> Option<&Means> {
    trained.ranker().parts::<EnhancementOf>().find(|enhancement| enhancement.side() == side)?.means()
}

fn memories(trained: &Trained, side: Side) -> Option<&Behaviours> {
    trained.ranker().parts::<Upbe>().find(|upbe| upbe.side() == side).map(Upbe::behaviours)
}

/// A loss of a step by one of its names.
fn loss_of(losses: &[StepLoss], name: &str) -> Option<Tensor<1>> {
    losses.iter().find(|(term, _)| term.names.contains(&name)).map(|(_, value)| value.clone())
}

/// A ranker some steps past the fill.
fn ready(config: &Config, variant: Variant) -> Trained {
    let mut trained = Trained::new(config, variant);
    (0..3).for_each(|_| trained.step());
    trained
}

fn oracle(trained: &Trained) -> Oracle {
    Oracle::new(trained.ranker(), &trained.config, trained.dataset.vocabulary())
}

/// Variants whose centres and memories move by rules of their own: Adam's moments move them on where no row says so, and it never
/// re-seeds.
fn by_rule() -> impl Iterator<Item = Variant> {
    variants().into_iter().filter(|&variant| config().of(variant).centre_step == CentreStep::Mean)
}

#[test]
fn the_losses_of_a_batch_are_the_oracles_in_every_variant_before_and_after_the_fill() {
    for variant in variants() {
        // With and without a profile and attributes, of whose fields some are missing.
        for (warm_up, profile_fields, item_fields) in [(FILLED, 0, 0), (100, 0, 0), (FILLED, 3, 2)] {
            let mut trained = ready(&Config { warm_up, profile_fields, item_fields, ..config() }, variant);
            let batch = trained.next();
            let batch = trained.with_a_third_candidate(&batch);
            let batch = if item_fields > 0 { described(&batch) } else { batch };
            let on_device = trained.load(batch.clone());
            let oracle = oracle(&trained).with_dropout(&on_device.kept);
            let from_start = config().of(variant).centre_start == CentreStart::Random;
            assert_eq!(oracle.user_centres.is_some(), variant.has("uie") && (warm_up == FILLED || from_start));
            let (mtl, auxiliary) = oracle.losses(&batch, &oracle.tell(&batch));
            let graph = trained.ranker().graph(&on_device);
            assert_close(&block_on(read(graph.mtl.clone())), &[mtl], 1e-4);
            if let Some(got) = graph.loss_named("loss_auxiliary") {
                assert_close(&block_on(read(got.value.clone())), &[auxiliary], 1e-4);
            }
        }
    }
}

#[test]
fn test_scores_are_the_oracles_with_every_item_looked_up_anew() {
    for variant in variants() {
        let trained = ready(&Config { profile_fields: 2, item_fields: 2, ..config() }, variant);
        let mut oracle = oracle(&trained);
        if let (Some(centres), false) = (&oracle.item_centres, oracle.assignments.is_empty()) {
            let categories = trained.categories();
            let first = trained.config.item_centres;
            let child = |item: u32| centres.nearest(&oracle.v_item(item, categories[item as usize]))[1] - first;
            oracle.assignments = (0..categories.len() as u32).map(|item| vec![child(item) as f64, 0.0]).collect();
        }
        let frozen = trained.ranker().frozen(&trained.categories());
        for batch in trained.test_batches(2) {
            let batch = described(&trained.with_a_third_candidate(&batch));
            let expected: Vec<f64> = oracle.tell(&batch).logits.iter().map(|logits| logits[0]).collect();
            assert_close(&block_on(read(trained.score(&frozen, &batch).logits)), &expected, 2e-4);
        }
    }
}

#[test]
fn every_items_centre_is_looked_up_anew_on_the_clock() {
    let mut trained = Trained::new(&Config { refresh_every: FILLED + 2, ..config() }, Variant::Duia);
    let categories = trained.categories();
    trained.learner = trained.learner.refreshing(categories.clone().into());
    let kept = |trained: &Trained| {
        let rows = block_on(read(trained.ranker().parts::<Uhse>().next().unwrap().assignments().rows()));
        rows.chunks(2).map(|place| place[0] as i64).collect::<Vec<_>>()
    };
    let anew = |trained: &Trained| {
        let entries = trained.ranker().frozen(&categories).assignments.unwrap().entries;
        block_on(read(entries)).chunks(2).map(|place| place[0] as i64).collect::<Vec<_>>()
    };
    trained.step();
    assert_ne!(kept(&trained), anew(&trained), "most items never passed");
    trained.step();
    assert_eq!(kept(&trained), anew(&trained));
}

#[test]
fn dropout_takes_the_vectors_of_a_share_of_the_requests_a_side_at_a_time() {
    let share = |enhancement_dropout: f64| {
        let shares = Config { enhancement_dropout, ..config() };
        let mut trained = ready(&shares, Variant::DuiaItems);
        let (mut users, mut items, mut both) = (0.0, 0.0, 0.0);
        for _ in 0..40 {
            let batch = trained.next();
            let kept = trained.load(batch).kept;
            let (of_users, of_items) = (block_on(read(kept.users)), block_on(read(kept.items)));
            for (user, items_of) in of_users.iter().zip(of_items.chunks(2)) {
                assert_eq!(items_of[0], items_of[1], "one answer a request");
                users += user / 1_280.0;
                items += items_of[0] / 1_280.0;
                both += user * items_of[0] / 1_280.0;
            }
        }
        [users, items, both]
    };
    share(0.0).into_iter().for_each(|kept| assert!((kept - 1.0).abs() < 1e-9, "{kept}"));
    for (kept, expected) in share(0.4).into_iter().zip([0.6, 0.6, 0.36]) {
        assert!((kept - expected).abs() < 0.05, "{kept} is not {expected}");
    }
}

#[test]
fn running_means_are_those_of_the_vectors_before_the_step() {
    let mut trained = ready(&config(), Variant::DuiaItems);
    let m = trained.config.memory_width();
    let of = |trained: &Trained, side: Side| -> Vec<Vec<f64>> {
        block_on(read(means(trained, side).unwrap().rows())).chunks(m).map(<[f64]>::to_vec).collect()
    };
    let (before, batch) = (oracle(&trained), trained.next());
    let told = before.tell(&batch);
    let at = [of(&trained, Side::Users), of(&trained, Side::Items)];
    let (gated, others) = before.gated(&batch, &told);
    trained.step_on(batch);
    for (side, index) in [(Side::Users, 0), (Side::Items, 1)] {
        let after = of(&trained, side);
        let vectors = gated[index][0].len();
        assert_eq!(after.len(), vectors + 1);
        for (vector, after) in after.iter().enumerate() {
            let rows: Vec<&Vec<f64>> = match vector {
                last if last == vectors => others[index].iter().collect(),
                vector => gated[index].iter().map(|row| &row[vector]).filter(|row| row.iter().any(|&x| x != 0.0)).collect(),
            };
            assert!(!rows.is_empty());
            let mean = |k: usize| rows.iter().map(|row| row[k]).sum::<f64>() / rows.len() as f64;
            let expected: Vec<f64> = (0..m).map(|k| 0.95 * at[index][vector][k] + 0.05 * mean(k)).collect();
            assert_close(after, &expected, 1e-5);
        }
    }
}

#[test]
fn gradients_of_personal_vectors_are_finite_differences_of_the_whole_model() {
    let mut trained = ready(&config(), Variant::DuiaItems);
    let batch = trained.next();
    let on_device = trained.load(batch.clone());
    let graph = trained.ranker().graph(&on_device);
    let leaves = trained.ranker().backward(&graph).leaves;
    let oracle = oracle(&trained).with_dropout(&on_device.kept);
    let mtl = |oracle: &Oracle| oracle.losses(&batch, &oracle.tell(&batch)).0;
    let m = trained.config.memory_width();
    let (users, items) =
        (block_on(read(leaves.own("user_vectors").unwrap().clone())), block_on(read(leaves.own("item_vectors").unwrap().clone())));
    let sum_over = |gradient: &[f64], ids: &[u32], id: u32, k: usize| -> f64 {
        ids.iter().enumerate().filter(|(_, other)| **other == id).map(|(n, _)| gradient[n * m + k]).sum()
    };
    let h = 1e-4;
    for k in [0, 7, 13] {
        let (user, item) = (batch.user[k], batch.item[2 * k]);
        let moved = |by: f64, of_user: bool| {
            let mut oracle = oracle.clone();
            let table = if of_user { &mut oracle.user_vectors[user as usize] } else { &mut oracle.item_vectors[item as usize] };
            table[k] += by;
            mtl(&oracle)
        };
        for (of_user, got) in [(true, sum_over(&users, &batch.user, user, k)), (false, sum_over(&items, &batch.item, item, k))] {
            let expected = (moved(h, of_user) - moved(-h, of_user)) / (2.0 * h);
            assert!((got - expected).abs() < 0.02 * expected.abs() + 1e-7, "{of_user} {k}: {got} is not {expected}");
            assert!(got != 0.0);
        }
    }
}

/// The ranker's loss moves what candidates look with, at the window and at its centres.
#[test]
fn gradients_of_target_attention_are_finite_differences_of_the_whole_model() {
    for encoder in [Encoder::Attention, Encoder::Unit] {
        let mut trained = ready(&Config { encoder, ..config() }, Variant::Duia);
        let batch = trained.next();
        let on_device = trained.load(batch.clone());
        let mut gradients = trained.ranker().graph(&on_device).mtl.backward();
        let oracle = oracle(&trained).with_dropout(&on_device.kept);
        let mtl = |oracle: &Oracle| oracle.losses(&batch, &oracle.tell(&batch)).0;
        let (history, uhse) = (trained.ranker().parts::<History>().next().unwrap(), trained.ranker().parts::<Uhse>().next().unwrap());
        let h = 1e-4;
        let [of_history, of_uhse] = [history.module(), uhse.module()].map(|module| gradients_of(module, &mut gradients));
        for (got, level, of) in [(&of_history, 0, 0), (&of_uhse, 0, 1), (&of_uhse, 1, 2)] {
            for (part, (shape, values)) in got.iter().enumerate() {
                let length = values.len() / shape[0];
                for at in [0, length / 2, length - 1] {
                    let moved = |by: f64| {
                        let mut oracle = oracle.clone();
                        *oracle.attention(of).value(part, at) += by;
                        mtl(&oracle)
                    };
                    let (got, expected) = (values[level * length + at], (moved(h) - moved(-h)) / (2.0 * h));
                    assert!((got - expected).abs() < 0.02 * expected.abs() + 2e-6, "{encoder:?} {of} {part} {at}: {got} is not {expected}");
                }
            }
        }
    }
}

/// Stepwise EM in single precision, beside plain sums and logarithms; longer windows and lives than count in full are among them.
#[test]
fn clusters_by_evidence_count_the_positives_of_a_step_one_by_one() {
    let mut trained = ready(&Config { history: 12, ..config() }, Variant::Evidence);
    for round in 0..12 {
        let batch = unwanted(&trained.next(), |r| r % 4 == round % 4);
        let before = oracle(&trained).evidence.unwrap();
        let mut expected = before.clone();
        expected.learn(&batch);
        trained.step_on(batch);
        let after = oracle(&trained).evidence.unwrap();
        assert_close(&after.counts(), &expected.counts(), 2e-4);
        assert_ne!(after.counts(), before.counts());
    }
    let mixture = trained.ranker().parts::<Evidence>().next().unwrap().mixture();
    assert!(mixture.lengths.iter().any(|&length| length > 8.0), "{:?}", mixture.lengths);
}

#[test]
fn what_clusters_by_evidence_know_of_items_and_of_users_begins_anew_with_each_pass() {
    let mut trained = Trained::new(&Config { passes: 2, rows: 1_600, ..config() }, Variant::Evidence);
    let mixture = |trained: &Trained| trained.ranker().parts::<Evidence>().next().unwrap().mixture().clone();
    let first_of_second = loop {
        let batch = trained.next();
        if batch.pass == 1 {
            break batch;
        }
        trained.step_on(batch);
    };
    let before = mixture(&trained);
    trained.step_on(first_of_second.clone());
    let after = mixture(&trained);
    let known = |rows: &[Row]| (0..rows.len() as u32).filter(|&id| rows[id as usize] != [0.0; CLUSTERS]).collect::<Vec<u32>>();
    for (before, after, known_now) in
        [(&before.items, &after.items, &first_of_second.item), (&before.lives, &after.lives, &first_of_second.user)]
    {
        assert!(known(after).len() < known(before).len() && known(after).iter().all(|id| known_now.contains(id)));
    }
    assert_eq!(after.seen as usize, first_of_second.requests);
    // A cluster stays the same one: a category that the batch does not hold has 3 positives, nearly in the shares that it had.
    let (wide, positives) = (|row: &Row| row.map(f64::from), first_of_second.category.iter().step_by(first_of_second.candidates));
    let positives: Vec<usize> = positives.map(|&category| category as usize).collect();
    let (sizes, unit) = (wide(&before.sizes), 1.0 + f64::from(before.seen) / 5_000.0);
    let others: Vec<usize> = (0..before.categories.len()).filter(|category| !positives.contains(category)).collect();
    assert!(!others.is_empty());
    for category in others {
        let row = wide(&before.categories[category]);
        let all = row.iter().sum::<f64>() + 50.0 * unit;
        let share = |k: usize| (row[k] + 50.0 * unit * sizes[k] / sizes.iter().sum::<f64>()) / all;
        let expected: Vec<f64> = (0..CLUSTERS).map(|k| 3.0 * share(k)).collect();
        assert_close(&wide(&after.categories[category]), &expected, 1e-5);
    }
    let kept = after.categories.concat().iter().sum::<f32>() - 3.0 * after.categories.len() as f32;
    assert!((kept - first_of_second.requests as f32).abs() < 0.5, "3 of each category, and the batch: {kept}");
}

/// The gradients of a module's parameters, in its order.
fn gradients_of<M: Module>(module: &M, gradients: &mut Gradients) -> Vec<(Vec<usize>, Vec<f64>)> {
    struct Each<'a>(&'a GradientsParams, Vec<(Vec<usize>, Vec<f64>)>);
    impl ModuleVisitor for Each<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = self.0.get::<D>(param.id).expect("every parameter has a gradient");
            self.1.push((param.dims().to_vec(), block_on(read(gradient))));
        }
    }
    let gradients = GradientsParams::from_module(gradients, module);
    let mut each = Each(&gradients, Vec::new());
    module.visit(&mut each);
    each.1
}

/// Positives of a batch, those of users or, the other way round, those of items.
fn seeking(batch: &Batch, v_user: &[Vec<f64>], v_item: &[Vec<f64>], side: Side) -> Vec<Seeking> {
    let wanted = (0..batch.requests).filter(|&r| batch.labels[r * batch.candidates] > 0.5);
    wanted
        .map(|r| {
            let (user, item) = (v_user[r].clone(), v_item[r * batch.candidates].clone());
            match side {
                Side::Users => Seeking { owner: batch.user[r] as usize, vector: user, seeker: item },
                Side::Items => Seeking { owner: batch.item[r * batch.candidates] as usize, vector: item, seeker: user },
            }
        })
        .collect()
}

fn centres_of(trained: &Trained, side: Side) -> Vec<f64> {
    trained.ranker().memory(side).map_or(Vec::new(), |memory| block_on(read(memory.centres())))
}

fn behaviours_of(trained: &Trained, side: Side) -> Vec<f64> {
    memories(trained, side).map_or(Vec::new(), |behaviours| block_on(read(behaviours.rows())))
}

#[test]
fn a_step_moves_every_memory_by_its_rule_from_what_was_there_before_the_step() {
    let config = Config { rho: 0.3, lambda: 0.4, eta: 0.2, ..config() };
    for variant in [Variant::Uie, Variant::Upbe, Variant::Duia, Variant::DuiaItems, Variant::Uhse] {
        let mut trained = ready(&config, variant);
        for round in 0..2 {
            let batch = unwanted(&trained.next(), |r| r % 4 == round);
            let before = oracle(&trained);
            let told = before.tell(&batch);
            let firsts: Vec<Vec<f64>> = told.v_item.iter().step_by(batch.candidates).cloned().collect();
            let wanted: Vec<bool> = batch.labels[..batch.samples()].iter().step_by(batch.candidates).map(|&y| y > 0.5).collect();
            let clustered: Vec<bool> = batch.clustered.iter().map(|&c| c > 0.5).collect();
            assert!(clustered.contains(&true) && clustered.contains(&false));
            let step = FILLED + 3 + round as u64 + 1;
            trained.step_on(batch.clone());
            let losses = trained.ranker().losses().unwrap().to_vec();
            let read_loss = |name: &str| loss_of(&losses, name).map(|loss| block_on(read(loss)));
            if let Some(centres) = &before.user_centres {
                let (after, loss) = centres.step(&told.v_user, &clustered, 0.3);
                assert_close(&centres_of(&trained, Side::Users), &after.concat(), 5e-5);
                assert_close(&read_loss("loss_uie_l1").unwrap(), &loss, 2e-4);
            }
            if let Some(centres) = &before.item_centres {
                let (after, loss) = centres.step(&firsts, &wanted, 0.2);
                assert_close(&centres_of(&trained, Side::Items), &after.concat(), 5e-5);
                assert_close(&read_loss("loss_uhse_l1").unwrap(), &loss, 2e-4);
                let mut assignments = before.assignments.clone();
                if !assignments.is_empty() {
                    for (r, v) in firsts.iter().enumerate().filter(|(r, _)| wanted[*r]) {
                        let child = centres.nearest(v)[1] - config.item_centres;
                        assignments[batch.item[r * batch.candidates] as usize] = vec![child as f64, step as f64];
                    }
                    assert_eq!(block_on(read(assigned_items(&trained).rows())), assignments.concat());
                }
            }
            if let Some(centres) = before.user_centres.as_ref().filter(|_| !before.consumers.is_empty()) {
                let mut consumers = before.consumers.clone();
                for r in (0..batch.requests).filter(|&r| wanted[r]) {
                    let item = batch.item[r * batch.candidates] as usize;
                    let child = centres.nearest(&told.v_user[r])[1] - config.centres;
                    let older = &before.consumers[item][..2 * (config.consumers - 1)];
                    consumers[item] = [&[child as f64, step as f64], older].concat();
                }
                assert_eq!(block_on(read(last_consumers(&trained).rows())), consumers.concat());
                assert!(consumers.iter().any(|places| places[3] >= 0.0), "somebody came second");
            }
            let sides = [
                (Side::Users, &before.user_behaviours, &before.user_centres, "loss_upbe_l1"),
                (Side::Items, &before.item_behaviours, &before.item_centres, "loss_items_l1"),
            ];
            for ((side, rows, centres, loss), mean) in sides.into_iter().zip(&before.behaviour_means) {
                let (mut mean, seeking) = (mean.clone(), seeking(&batch, &told.v_user, &told.v_item, side));
                let (loss, (after, expected)) = match centres {
                    _ if rows.is_empty() => continue,
                    Some(centres) => (loss, behave(rows, &mut mean, centres, &seeking, 0.4, true)),
                    None if variant.has("life") => ("loss_life_l1", live(rows, &mut mean, &seeking, 0.4)),
                    None => continue,
                };
                assert_close(&block_on(read(memories(&trained, side).unwrap().mean())), &mean, 5e-5);
                assert_close(&behaviours_of(&trained, side), &after.concat(), 5e-5);
                assert_close(&read_loss(loss).unwrap(), &expected, 2e-4);
                assert!(after != *rows, "{variant:?}: somebody's memory moved");
            }
        }
    }
}

#[test]
fn what_nobody_wanted_changes_no_memory() {
    for variant in by_rule() {
        let mut trained = ready(&config(), variant);
        let before = trained.state();
        let nothing = unwanted(&trained.next(), |_| true);
        assert!(nothing.labels[..nothing.samples()].iter().all(|&label| label == 0.0));
        assert!(nothing.clustered.contains(&1.0), "the user centres may move: they cluster users, not wishes");
        trained.step_on(nothing);
        let moved = differing(&before, &trained.state());
        assert!(moved.contains(&"network"), "the ranker learns from what nobody wanted");
        let of_items = ["item centres", "item hits", "mean of item centres", "assignments", "assigned when", "consumers"];
        let of_behaviours = ["user behaviours", "item behaviours", "mean of user behaviours", "mean of item behaviours"];
        let of_evidence = ["evidence.sizes", "evidence.categories", "evidence.items", "evidence.lives", "evidence.lengths"];
        assert!(of_items.iter().chain(&of_behaviours).chain(&of_evidence).all(|memory| !moved.contains(memory)), "{variant:?}: {moved:?}");
        assert_eq!(moved.contains(&"user centres"), variant.has("user-centres"), "{variant:?}: {moved:?}");

        let before = trained.state();
        let quiet = Batch { clustered: vec![0.0; trained.config.batch / 2], ..unwanted(&trained.next(), |_| true) };
        trained.step_on(quiet);
        let moved = differing(&before, &trained.state());
        let of_users = ["user centres", "user hits", "mean of user centres"];
        assert!(of_users.iter().all(|memory| !moved.contains(memory)), "{variant:?}: {moved:?}");
    }
}

#[test]
fn no_row_sees_its_own_update() {
    for variant in variants() {
        let mut trained = ready(&config(), variant);
        let batch = trained.next();
        let on_device = trained.load(batch);
        let before = trained.ranker().graph(&on_device);
        let told: Vec<Vec<f64>> =
            before.losses.iter().filter(|loss| loss.term.is_some()).map(|loss| block_on(read(loss.value.clone()))).collect();
        let mtl = block_on(read(before.mtl.clone()));
        let own = config().of(variant);
        let centred = |side: Side| Some(Centres::new(trained.ranker().memory(side)?).searched(&own, means(&trained, side)));
        let centres = [Side::Users, Side::Items].map(centred);
        trained.learn(&on_device);
        let losses = trained.ranker().losses().unwrap().to_vec();
        let after: Vec<Vec<f64>> = losses.iter().take(1 + told.len()).map(|(_, value)| block_on(read(value.clone()))).collect();
        assert_eq!((&after[0], &after[1..]), (&mtl, &told[..]), "{variant:?}");
        // What the step says of its rows is what the centres of before said.
        let last = trained.ranker().last().unwrap().clone();
        for (side, sight, centres) in [("users", last.clustered[0].clone(), &centres[0]), ("items", last.clustered[1].clone(), &centres[1])]
        {
            let (Some(Clustered { v, chosen: Some((pairs, _)) }), Some(centres)) = (sight, centres) else { continue };
            let first = centres.rows.len() / (1 + if side == "users" { 3 } else { 2 });
            let vectors = rows(&block_on(read(v)), trained.config.memory_width());
            let pairs: Vec<i32> = pairs.into_data().try_into_vec().unwrap();
            for (v, pair) in vectors.iter().zip(pairs.chunks(2)) {
                assert_eq!(centres.nearest(v), [pair[0] as usize, first + pair[1] as usize], "{variant:?}, {side}");
            }
        }
    }
}

#[test]
fn test_rows_touch_nothing() {
    for variant in variants() {
        let trained = ready(&config(), variant);
        let before = trained.state();
        let frozen = trained.ranker().frozen(&trained.categories());
        let scores = |batches: &[Batch]| -> Vec<f64> {
            batches.iter().flat_map(|batch| block_on(read(trained.score(&frozen, batch).logits))).collect()
        };
        let batches = trained.test_batches(6);
        let first = scores(&batches);
        assert_eq!(first, scores(&batches), "{variant:?}: a score does not depend on what was scored before");
        assert_eq!(differing(&before, &trained.state()), Vec::<&str>::new(), "{variant:?}");
    }
}

#[test]
fn children_belong_to_their_parent_on_both_sides() {
    let reborn = Config { reseed: true, reseed_expect: 1.0, ..config() };
    for variant in variants().into_iter().filter(|variant| variant.has_user_centres() || variant.has_item_centres()) {
        let mut trained = Trained::new(&reborn, variant);
        for _ in 0..12 {
            trained.step();
            let last = trained.ranker().last().unwrap().clone();
            let frozen = trained.ranker().frozen(&trained.categories());
            let tested = trained.score(&frozen, &trained.test_batches(1)[0]);
            for (children, side) in [(3, Side::Users), (2, Side::Items)] {
                let sights = [&last.clustered, &tested.clustered].map(|clustered| clustered[side as usize].clone());
                for (assigned, _) in sights.into_iter().flatten().filter_map(|sight| sight.chosen) {
                    let pairs: Vec<i32> = assigned.into_data().try_into_vec().unwrap();
                    assert!(pairs.chunks(2).all(|pair| pair[1] / children == pair[0]), "{variant:?}: {pairs:?}");
                }
            }
        }
    }
}

#[test]
fn frozen_centres_never_move() {
    for variant in [Variant::RandomCentres, Variant::KMeansCentres] {
        let mut trained = Trained::new(&Config { reseed: true, reseed_expect: 1.0, ..config() }, variant);
        let filled = trained.state();
        assert!(trained.ranker().memory(Side::Users).unwrap().is_filled());
        assert!(centres_of(&trained, Side::Users).iter().any(|&x| x != 0.0));
        for _ in 0..12 {
            trained.step();
            let moved = differing(&filled, &trained.state());
            assert!(!moved.contains(&"user centres"), "{variant:?}");
            assert!(moved.contains(&"mean of user centres"), "{variant:?}: they are searched as all others are");
            assert!(loss_of(trained.ranker().losses().unwrap(), "loss_uie_l1").is_none());
        }
    }
}

#[test]
fn daily_k_means_is_fitted_anew_at_the_end_of_each_day_and_only_then() {
    // Forty steps of one pass through four fifths of nine days: five and a half steps a day.
    let (planned, config) = (40, Config { train_share: 0.8, passes: 1, ..sizes() });
    let mut memory = Memory::users(&config, UserCentres::DailyKMeans, &Device::flex());
    let (n, rows_of_centres) = (30, memory.levels().rows());
    let mut fitted = Vec::new();
    for step in 1..=planned {
        let before = block_on(read(memory.centres()));
        let v = numbers(200 + step, n * M, 1.0);
        let seen = Observation {
            v: v.iter().map(|&x| x as f32).collect(),
            members: (0..n as u32).collect(),
            positive: vec![true; n],
            centres: before.iter().map(|&x| x as f32).collect(),
            hits: vec![0.0; rows_of_centres],
            mean: block_on(read(memory.mean())).iter().map(|&x| x as f32).collect(),
        };
        let reseeded = memory.tick(step, planned, &seen);
        let after = block_on(read(memory.centres()));
        assert_eq!(reseeded.is_some(), before != after, "step {step}");
        let Some(reseeded) = reseeded else { continue };
        assert_eq!(reseeded.first_fill, fitted.is_empty());
        fitted.push(step);
        // Lloyd's rounds end where every centre is the mean of the vectors that are nearest to it.
        let assigned: Vec<i32> = memory.assign(tensor(&v, [n, M], &Device::flex())).into_data().try_into_vec().unwrap();
        let (v, centres) = (rows(&v, M), rows(&after, M));
        for (centre, mu) in centres[..4].iter().enumerate() {
            let own: Vec<&Vec<f64>> =
                v.iter().zip(assigned.chunks(2)).filter(|(_, pair)| pair[0] == centre as i32).map(|(v, _)| v).collect();
            assert!(!own.is_empty());
            let mean: Vec<f64> = (0..M).map(|k| own.iter().map(|v| v[k]).sum::<f64>() / own.len() as f64).collect();
            assert_close(mu, &mean, 1e-5);
        }
    }
    assert_eq!(fitted, [1, 6, 11, 16, 21, 26, 31, 36]);
}

#[test]
fn the_same_seed_gives_the_complete_model_the_same_bytes() {
    let after = |config: &Config| ready(config, Variant::DuiaItems).state();
    let once = after(&config());
    assert_eq!(differing(&once, &after(&config())), Vec::<&str>::new());
    let other = differing(&once, &after(&Config { seed: 8, ..config() }));
    assert!(other.contains(&"network") && other.contains(&"user behaviours"), "{other:?}");
}

#[test]
fn an_empty_history_has_no_centres() {
    let mut trained = ready(&config(), Variant::Duia);
    let mut batch = trained.next();
    batch.history_items.fill(NO_ROW);
    batch.history_categories.fill(NO_ROW);
    let on_device = trained.load(batch.clone());
    let oracle = oracle(&trained).with_dropout(&on_device.kept);
    let graph = trained.ranker().graph(&on_device);
    assert_close(&block_on(read(graph.mtl)), &[oracle.losses(&batch, &oracle.tell(&batch)).0], 1e-4);
}

/// Whose memories of behaviours were touched.
fn touched(trained: &Trained, side: Side) -> Vec<usize> {
    let width = 2 * trained.config.memory_width() + 1;
    let memories = rows(&behaviours_of(trained, side), width);
    (0..memories.len()).filter(|&owner| memories[owner][width - 1] > 0.0).collect()
}

/// Items of which a consumer is known.
fn consumed(trained: &Trained) -> Vec<usize> {
    let places = rows(&block_on(read(last_consumers(trained).rows())), 2 * trained.config.consumers);
    (0..places.len()).filter(|&item| places[item][1] >= 0.0).collect()
}

/// What remembers behaviours remembers some of a batch and nothing else.
fn knows_only(trained: &Trained, batch: &Batch) {
    for (owners, known) in
        [(touched(trained, Side::Users), &batch.user), (touched(trained, Side::Items), &batch.item), (consumed(trained), &batch.item)]
    {
        assert!(!owners.is_empty() && owners.iter().all(|&owner| known.contains(&(owner as u32))));
    }
}

/// Weights are of the same rows, as the help says: with their memories each row would be met by its own outcome.
#[test]
fn memories_of_behaviours_of_a_file_begin_anew_when_training_goes_on() {
    let mut trained = ready(&config(), Variant::DuiaItems);
    let batch = trained.next();
    let known = |trained: &Trained| (touched(trained, Side::Users), touched(trained, Side::Items), consumed(trained));
    let before = known(&trained);
    let state = block_on(trained.ranker().state("a stream")).unwrap();
    trained.learner.restore(&state).unwrap();
    assert_eq!(known(&trained), before, "a test goes on from them");
    trained.step_on(batch.clone());
    knows_only(&trained, &batch);
    trained.step();
    assert!(touched(&trained, Side::Users).iter().any(|&user| !batch.user.contains(&(user as u32))), "once");
}

/// A memory that knew the last pass would hold a row's own label before the row is scored.
#[test]
fn memories_of_behaviours_begin_anew_with_each_pass_and_go_on_into_the_test() {
    let config = Config { passes: 2, rows: 1_600, ..config() };
    let mut trained = Trained::new(&config, Variant::DuiaItems);
    let first_of_second = loop {
        let batch = trained.next();
        if batch.pass == 1 {
            break batch;
        }
        trained.step_on(batch);
    };
    let before = [Side::Users, Side::Items].map(|side| touched(&trained, side).len());
    assert!(consumed(&trained).len() >= before[1]);
    trained.step_on(first_of_second.clone());
    assert!(touched(&trained, Side::Users).len() < before[0] && touched(&trained, Side::Items).len() < before[1]);
    knows_only(&trained, &first_of_second);
    let mut replay = trained.dataset.replay();
    while replay.next_train().is_some() {}
    assert_eq!(replay.next_test().unwrap().pass, 1, "the test goes on from the last pass");
}
