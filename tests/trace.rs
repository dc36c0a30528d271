//! A trace, replayed from its numbers alone by plain loops in f64; and weights that go through a file and come back.
#![cfg(not(target_family = "wasm"))]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::tensor::Device;
use common::*;
use duia::checkpoint::{self, CheckpointError, State, Values};
use duia::config::Config;
use duia::data::Side;
use duia::data::generator::Generator;
use duia::data::protocol::{Batch, Dataset};
use duia::platform::block_on;
use duia::training::{Learner, RunOptions, run_with, trace};
use duia::variants::{Variant, Variants};
use duia::wire::DeviceChoice;

const STEPS: usize = 8;
const VARIANT: Variant = Variant::DuiaItems;

fn config() -> Config {
    let widths = |text: &str| text.parse().unwrap();
    Config {
        users: 30,
        items: 60,
        categories: 8,
        user_groups: 3,
        item_groups: 4,
        rows: 1_000,
        batch: 48,
        history: 5,
        embedding: 4,
        expert_1: widths("6"),
        expert_2: widths("5"),
        tower: widths("3"),
        auxiliary: widths("24x6"),
        centres: 4,
        children: 3,
        item_centres: 5,
        item_children: 2,
        warm_up: 2,
        reseed_expect: 2.0,
        cluster_share: 0.5,
        probe_set: 64,
        variants: Variants(vec![Variant::Ple, VARIANT]),
        ..Config::default()
    }
}

fn source(config: &Config) -> Arc<Generator> {
    Arc::new(Generator::new(config))
}

/// A trace as an independent program sees it: a file.
struct Trace {
    state: State,
    config: Config,
    /// By step the state that it began from, and the one that it left before its clocks.
    states: Vec<[BTreeMap<String, Rows>; 2]>,
}

/// A matrix, or a stack of them, row by row.
type Rows = Vec<Vec<f64>>;

/// Rows of a table with their weights in a mean.
type Bag = Vec<(usize, f64)>;

impl Trace {
    fn new() -> Self {
        Self::of(config())
    }

    fn of(config: Config) -> Self {
        Self::by(VARIANT, config)
    }

    fn by(variant: Variant, config: Config) -> Self {
        let recorded = block_on(trace::record(&config, variant, source(&config), STEPS as u64)).unwrap();
        let state = checkpoint::from_bytes(&checkpoint::to_bytes(&recorded).unwrap()).unwrap();
        assert_eq!(state, recorded, "a file loses nothing");
        let mut trace = Self { config: state.description.config.clone(), state, states: Vec::new() };
        let initial = trace.starting_with("initial.");
        let mut now: BTreeMap<String, Rows> = initial.map(|name| (name.clone(), trace.matrix(&format!("initial.{name}")))).collect();
        for step in 0..STEPS {
            if trace.has(step, "pass") && step > 0 {
                begin_pass(&mut now);
            }
            let before = now.clone();
            trace.update(&mut now, &format!("step.{step:05}.after."));
            let after = now.clone();
            trace.update(&mut now, &format!("step.{step:05}.clock."));
            trace.states.push([before, after]);
        }
        trace
    }

    /// What tensors are called behind a prefix.
    fn starting_with(&self, prefix: &str) -> impl Iterator<Item = String> {
        self.state.arrays.keys().filter_map(|name| name.strip_prefix(prefix)).map(String::from).collect::<Vec<_>>().into_iter()
    }

    fn matrix(&self, name: &str) -> Rows {
        let (shape, values) = self.find(name).unwrap_or_else(|| panic!("no {name}"));
        values.chunks(shape.last().copied().unwrap().max(1)).map(<[f64]>::to_vec).collect()
    }

    /// Puts what is called so in the place of the state's tensors; of one with `.rows` beside it only those rows.
    fn update(&self, state: &mut BTreeMap<String, Rows>, prefix: &str) {
        for name in self.starting_with(prefix).filter(|name| !name.ends_with(".rows")) {
            let values = self.matrix(&format!("{prefix}{name}"));
            match self.find(&format!("{prefix}{name}.rows")) {
                None => drop(state.insert(name, values)),
                Some((_, rows)) => {
                    let table = state.get_mut(&name).unwrap();
                    rows.iter().zip(values).for_each(|(&row, values)| table[row as usize] = values);
                }
            }
        }
    }

    fn find(&self, name: &str) -> Option<(Vec<usize>, Vec<f64>)> {
        let array = self.state.arrays.get(name)?;
        let values: Vec<f64> = match &array.values {
            Values::Floats(values) => values.iter().map(|&x| f64::from(x)).collect(),
            Values::Integers(values) => values.iter().map(|&x| f64::from(x)).collect(),
        };
        assert_eq!(values.len(), array.shape.iter().product::<usize>(), "{name}");
        Some((array.shape.clone(), values))
    }

    fn has(&self, step: usize, name: &str) -> bool {
        self.state.arrays.contains_key(&format!("step.{step:05}.{name}"))
    }

    fn at(&self, step: usize, name: &str) -> Vec<f64> {
        self.rows(step, name).concat()
    }

    /// Rows along the last axis.
    fn rows(&self, step: usize, name: &str) -> Rows {
        let (shape, values) = self.find(&format!("step.{step:05}.{name}")).unwrap_or_else(|| panic!("no {name} at {step}"));
        values.chunks(shape.last().copied().unwrap().max(1)).map(<[f64]>::to_vec).collect()
    }

    fn ids(&self, step: usize, name: &str) -> Vec<usize> {
        self.at(step, name).into_iter().map(|id| id as usize).collect()
    }

    /// What a step found.
    fn before(&self, step: usize, name: &str) -> Rows {
        self.states[step][0].get(name).unwrap_or_else(|| panic!("no {name} before {step}")).clone()
    }

    /// What a step left, before its clocks.
    fn after(&self, step: usize, name: &str) -> Rows {
        self.states[step][1].get(name).unwrap_or_else(|| panic!("no {name} after {step}")).clone()
    }

    fn filled(&self, step: usize) -> bool {
        (0..step).any(|earlier| self.has(earlier, "users.first_fill"))
    }

    /// Rows of the embedding table that enter each pooled vector of a step, and with what weight: candidates', requests', windows'
    /// and whole histories'.
    fn pooled(&self, step: usize) -> [Vec<Vec<Bag>>; 4] {
        let rows = self.state.description.embeddings;
        let [items, first_user, first_bucket] = [rows.categories, rows.users, rows.activity].map(|row| row as usize);
        let candidates = self.ids(step, "batch.item").into_iter().zip(self.ids(step, "batch.category"));
        let candidates = candidates.map(|(item, category)| vec![vec![(item, 1.0)], vec![(items + category, 1.0)]]);
        let bag = |ids: &[f64], first: usize| {
            let ids: Vec<usize> = ids.iter().filter(|&&id| id >= 0.0).map(|&id| first + id as usize).collect();
            ids.iter().map(|&id| (id, 1.0 / ids.len() as f64)).collect::<Vec<_>>()
        };
        let (users, buckets) = (self.ids(step, "batch.user"), self.ids(step, "batch.activity"));
        let (of_items, of_categories) = (self.rows(step, "batch.history_items"), self.rows(step, "batch.history_categories"));
        let whole = self.config.history;
        let history = |r: usize, newest: usize| [bag(&of_items[r][..newest], 0), bag(&of_categories[r][..newest], items)];
        let requests = (0..users.len()).map(|r| {
            let single = [first_user + users[r], first_bucket + buckets[r]].map(|row| vec![(row, 1.0)]);
            single.into_iter().chain(history(r, 1)).collect()
        });
        let behaviour = |r: usize, h: usize| [bag(&of_items[r][h..=h], 0), bag(&of_categories[r][h..=h], items)];
        let windows = (0..users.len()).map(|r| (0..whole).flat_map(|h| behaviour(r, h)).collect());
        [candidates.collect(), requests.collect(), windows.collect(), (0..users.len()).map(|r| history(r, whole).to_vec()).collect()]
    }

    /// The pooled embeddings of the candidates, of the requests, of the windows and of the whole histories of a step.
    fn features(&self, step: usize) -> [Rows; 4] {
        let table = self.before(step, "embeddings.weight");
        let pool = |rows: &Bag| -> Vec<f64> {
            (0..table[0].len()).map(|k| rows.iter().map(|&(row, weight)| weight * table[row][k]).sum()).collect()
        };
        self.pooled(step).map(|samples| samples.iter().map(|fields| fields.iter().flat_map(pool).collect()).collect())
    }

    /// Weight and bias of one perceptron of a stack, layer by layer.
    fn layers(&self, step: usize, name: &str, index: usize) -> Vec<(Vec<f64>, Vec<f64>)> {
        let depth = (0..).take_while(|depth| self.find(&format!("initial.{name}.{depth}.weight")).is_some()).count();
        (0..depth).map(|depth| self.layer(step, &format!("{name}.{depth}"), index)).collect()
    }

    fn layer(&self, step: usize, name: &str, index: usize) -> (Vec<f64>, Vec<f64>) {
        let (shape, _) = self.find(&format!("initial.{name}.weight")).unwrap();
        let weight = self.before(step, &format!("{name}.weight"))[index * shape[1]..(index + 1) * shape[1]].concat();
        (weight, self.before(step, &format!("{name}.bias"))[index].clone())
    }
}

/// What begins anew before the first step of a further pass.
fn begin_pass(state: &mut BTreeMap<String, Rows>) {
    if let Some(sizes) = state.get("evidence.sizes").map(|sizes| sizes.concat()) {
        let shares: Vec<f64> = sizes.iter().map(|size| size / sizes.iter().sum::<f64>()).collect();
        let prior = 50.0 * (1.0 + state["evidence.seen"][0][0] / 5_000.0);
        for row in state.get_mut("evidence.categories").unwrap() {
            let all = row.iter().sum::<f64>() + prior;
            row.iter_mut().zip(&shares).for_each(|(count, share)| *count = 3.0 * (*count + prior * share) / all);
        }
        state.insert("evidence.sizes".into(), vec![shares.iter().map(|share| 640.0 * share).collect()]);
        state.insert("evidence.seen".into(), vec![vec![0.0]]);
    }
    let zero = ["user_behaviours", "item_behaviours", "evidence.items", "evidence.lives", "evidence.lengths"].map(|name| (name, 0.0));
    for (name, empty) in zero.into_iter().chain([("item_consumers", -1.0)]) {
        if let Some(rows) = state.get_mut(name) {
            rows.iter_mut().for_each(|row| row.fill(empty));
        }
    }
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    dot(a, b) / dot(b, b).sqrt()
}

/// Eq. 2 and 3: the most similar of the parents, then of its children.
fn nearest(v: &[f64], centres: &Rows, parents: usize) -> [usize; 2] {
    let children = centres.len() / parents - 1;
    let similar = |row: usize| cosine(v, &centres[row]);
    // The first where several are.
    let best = |rows: std::ops::Range<usize>| rows.max_by(|&a, &b| similar(a).total_cmp(&similar(b)).then(b.cmp(&a))).unwrap();
    let parent = best(0..parents);
    let first = parents + parent * children;
    [parent, best(first..first + children) - parents]
}

/// The rows of both levels' centres.
fn both(assigned: [usize; 2], parents: usize) -> [usize; 2] {
    [assigned[0], parents + assigned[1]]
}

#[track_caller]
fn assert_rows(got: &Rows, expected: &Rows, bound: f64) {
    assert_close(&got.concat(), &expected.concat(), bound);
}

/// The logits of both tasks before there are centres: memories give zero.
fn ple(trace: &Trace, request: &[f64], candidate: &[f64]) -> [f64; 2] {
    let (of_request, of_candidate) =
        (trace.before(0, "network.ple.first.joint.request"), trace.before(0, "network.ple.first.joint.candidate"));
    let bias = &trace.before(0, "network.ple.first.joint.bias")[0];
    let product = |x: &[f64], weight: &Rows, o: usize| x.iter().zip(weight).map(|(x, row)| x * row[o]).sum::<f64>();
    let joint: Vec<f64> =
        (0..bias.len()).map(|o| product(request, &of_request, o) + product(candidate, &of_candidate, o) + bias[o]).collect();
    // Experts: task A's, task B's, the shared one; gates in the same order.
    let sees = |stream: usize, expert: usize| stream == 2 || expert == 2 || expert == stream;
    let mixed = |stream: usize, logits: &[f64], experts: &[Vec<f64>]| -> Vec<f64> {
        let seen: Vec<usize> = (0..3).filter(|&expert| sees(stream, expert)).collect();
        let gate = softmax(&seen.iter().map(|&expert| logits[expert]).collect::<Vec<_>>());
        (0..experts[0].len()).map(|k| seen.iter().zip(&gate).map(|(&expert, gate)| gate * experts[expert][k]).sum()).collect()
    };
    let (hidden, gates) = joint.split_at(joint.len() - 9);
    let experts: Vec<Vec<f64>> = hidden.chunks(hidden.len() / 3).map(|x| x.iter().map(|x| x.max(0.0)).collect()).collect();
    let streams: Vec<Vec<f64>> = (0..3).map(|stream| mixed(stream, &gates[3 * stream..][..3], &experts)).collect();
    let experts: Vec<Vec<f64>> =
        (0..3).map(|e| mlp(&streams[e], &trace.layers(0, "network.ple.levels.0.experts.layers", e), true)).collect();
    [0, 1].map(|task| {
        let (weight, bias) = trace.layer(0, "network.ple.levels.0.gates", task);
        let stream = mixed(task, &linear(&streams[task], &weight, &bias), &experts);
        mlp(&stream, &trace.layers(0, "network.ple.towers.layers", task), false)[0]
    })
}

/// What a candidate reads in its request's window in the first step, and how much of its item and category is in it.
fn attended(trace: &Trace, request: usize, candidate: &[f64], window: &[f64]) -> Vec<f64> {
    let (weight, bias) = trace.layer(0, "network.history.candidate", 0);
    let (places, kinds) = (trace.before(0, "network.history.places").concat(), trace.before(0, "network.history.kinds").concat());
    let (query, d) = (linear(candidate, &weight, &bias), candidate.len());
    let (items, done) = (&trace.rows(0, "batch.history_items")[request], &trace.rows(0, "batch.history_behaviours")[request]);
    let known: Vec<usize> = (0..items.len()).filter(|&h| items[h] >= 0.0).collect();
    let behaviour = |h: usize| &window[h * d..(h + 1) * d];
    let logit = |&h: &usize| dot(&query, behaviour(h)) / (d as f64).sqrt() + places[h] + kinds[done[h] as usize];
    let weights = softmax(&known.iter().map(logit).collect::<Vec<_>>());
    let read: Vec<f64> = (0..d).map(|k| known.iter().zip(&weights).map(|(&h, weight)| weight * behaviour(h)[k]).sum()).collect();
    let shared = [0..d / 2, d / 2..d].map(|field| dot(&read[field.clone()], &candidate[field]));
    [read, shared.to_vec()].concat()
}

#[test]
fn the_forward_pass_of_the_first_step_is_ple_over_embeddings_and_what_candidates_read() {
    let trace = Trace::new();
    let ([candidates, requests, windows, _], counts) = (trace.features(0), trace.rows(0, "batch.counts"));
    let of_sample = |s: usize| {
        let candidate = [candidates[s].clone(), attended(&trace, s / 2, &candidates[s], &windows[s / 2])].concat();
        ple(&trace, &[requests[s / 2].clone(), counts[s / 2].clone()].concat(), &candidate)
    };
    let logits: Vec<[f64; 2]> = (0..candidates.len()).map(of_sample).collect();
    let by_task = |task: usize| logits.iter().map(|of_sample| of_sample[task]).collect::<Vec<_>>();
    assert_rows(&trace.rows(0, "logits"), &vec![by_task(0), by_task(1)], 1e-5);
}

#[test]
fn every_step_has_the_towers_and_the_losses_of_the_paper() {
    let trace = Trace::new();
    for step in 0..STEPS {
        let ([candidates, requests, _, whole], counts) = (trace.features(step), trace.rows(step, "batch.counts"));
        let (user, item) = (trace.layers(step, "network.auxiliary.user.layers", 0), trace.layers(step, "network.auxiliary.item.layers", 0));
        let of_user = |r: usize| [&requests[r][..requests[r].len() / 2], &whole[r], &counts[r]].concat();
        let v_user: Rows = (0..requests.len()).map(|r| mlp(&of_user(r), &user, false)).collect();
        let v_item: Rows = candidates.iter().map(|x| mlp(x, &item, false)).collect();
        assert_rows(&trace.rows(step, "v_user"), &v_user, 1e-5);
        assert_rows(&trace.rows(step, "v_item"), &v_item, 1e-5);
        let (logits, labels) = (trace.rows(step, "logits"), trace.rows(step, "batch.labels"));
        let samples = candidates.len();
        let entropy = |p: f64, y: f64| -(y * p.ln() + (1.0 - y) * (1.0 - p).ln());
        let mtl: f64 =
            (0..2).flat_map(|task| (0..samples).map(move |s| (task, s))).map(|(t, s)| entropy(sigmoid(logits[t][s]), labels[t][s])).sum();
        assert_close(&trace.at(step, "loss.mtl"), &[mtl / samples as f64], 1e-5);
        let equation_1 = |s: usize| {
            let weight = 1.0 + sigmoid(sigmoid(logits[0][s]) + sigmoid(logits[1][s]));
            let p = sigmoid(dot(&v_user[s / 2], &v_item[s]).clamp(-15.0, 15.0));
            if labels[0][s] > 0.5 { -weight * p.ln() } else { -(1.0 - p).ln() }
        };
        let auxiliary = (0..samples).map(equation_1).sum::<f64>() / samples as f64;
        assert_close(&trace.at(step, "loss.auxiliary"), &[auxiliary], 1e-5);
        assert_close(&trace.at(step, "loss.backward"), &[auxiliary + mtl / samples as f64], 1e-5);
    }
}

fn minus(rows: &Rows, mean: &[f64]) -> Rows {
    rows.iter().map(|row| row.iter().zip(mean).map(|(x, mean)| x - mean).collect()).collect()
}

/// The mean step of centres (A4), and Eq. 4 and 5 as means over the samples that cluster.
fn move_centres(centres: &Rows, v: &Rows, assigned: &[[usize; 2]], takes_part: &[bool], parents: usize, weight: f64) -> (Rows, [f64; 2]) {
    let mut pulls: Vec<(f64, Vec<f64>)> = vec![(0.0, vec![0.0; v[0].len()]); centres.len()];
    let mut losses = [0.0; 2];
    for (sample, v) in v.iter().enumerate().filter(|(sample, _)| takes_part[*sample]) {
        for (level, row) in both(assigned[sample], parents).into_iter().enumerate() {
            let sigma = sigmoid(dot(v, &centres[row]));
            let away: Vec<f64> = v.iter().zip(&centres[row]).map(|(v, mu)| v - mu).collect();
            losses[level] += sigma * dot(&away, &away);
            pulls[row].0 += 1.0;
            pulls[row].1.iter_mut().zip(&away).for_each(|(pull, away)| *pull += sigma * away);
        }
    }
    let samples = takes_part.iter().filter(|takes| **takes).count().max(1) as f64;
    let moved = centres
        .iter()
        .zip(&pulls)
        .map(|(mu, (count, pull))| mu.iter().zip(pull).map(|(mu, pull)| mu + 2.0 * weight * pull / count.max(1.0)).collect());
    (moved.collect(), losses.map(|loss| loss / samples))
}

/// The memories of owners after a step (A13): what positives found among the `centres`, each nothing where it was not pulled in.
fn remember(memory: &Rows, owners: &[usize], found: &[Option<[usize; 2]>], centres: &Rows, weight: f64) -> Rows {
    let m = centres[0].len();
    let mut after = memory.clone();
    for owner in 0..memory.len() {
        let row = &memory[owner];
        let pull = |rows: [usize; 2]| -> Vec<f64> {
            let of_level = |level: usize| {
                let (mu, own) = (&centres[rows[level]], &row[level * m..][..m]);
                let rate = f64::max(2.0 * weight * sigmoid(dot(mu, own)), 1.0 / (row[2 * m] + 1.0));
                (0..m).map(move |k| rate * (mu[k] - own[k]))
            };
            (0..2).flat_map(of_level).collect()
        };
        let pulls: Vec<Vec<f64>> = (0..owners.len()).filter(|&p| owners[p] == owner).filter_map(|p| found[p]).map(pull).collect();
        if !pulls.is_empty() {
            (0..2 * m).for_each(|k| after[owner][k] += pulls.iter().map(|pull| pull[k]).sum::<f64>() / pulls.len() as f64);
            after[owner][2 * m] += 1.0;
        }
    }
    after
}

/// The running mean of memories after a step: a twentieth of the way towards those that were touched again.
fn follow(mean: &[f64], memory: &Rows, owners: &[usize], found: &[Option<[usize; 2]>]) -> Vec<f64> {
    let touched = (0..owners.len()).filter(|&p| found[p].is_some()).map(|p| &memory[owners[p]]);
    let again: Vec<&Vec<f64>> = touched.filter(|row| row[mean.len()] > 0.0).collect();
    let of_step = |k: usize| again.iter().map(|row| row[k]).sum::<f64>() / again.len() as f64;
    mean.iter().enumerate().map(|(k, &mean)| if again.is_empty() { mean } else { mean + 0.05 * (of_step(k) - mean) }).collect()
}

#[test]
fn memories_move_by_their_own_rules_once_they_are_filled() {
    let trace = Trace::new();
    let Config { centres: users, item_centres: items, rho, lambda, eta, .. } = trace.config;
    let (mut moved, mut behaved, mut stopped) = (0, 0, 0.0);
    for step in 0..STEPS {
        let [user_centres, item_centres] = ["user_centres", "item_centres"].map(|name| trace.before(step, name));
        let [user_memory, item_memory] = ["user_behaviours", "item_behaviours"].map(|name| trace.before(step, name));
        if !trace.filled(step) {
            assert!(!trace.has(step, "users.assigned"));
            assert_rows(&trace.after(step, "user_centres"), &user_centres, 0.0);
            assert_rows(&trace.after(step, "user_behaviours"), &user_memory, 0.0);
            continue;
        }
        let (v_user, all_items) = (trace.rows(step, "v_user"), trace.rows(step, "v_item"));
        let v_item: Rows = all_items.iter().step_by(2).cloned().collect();
        // Searches and sign tests see vectors and centres without their running means.
        let mean = |name: &str| trace.before(step, name).pop().unwrap();
        let of_sides = [mean("user_centres.mean"), mean("item_centres.mean")];
        let of_seekers = [mean("user_means"), mean("item_means")];
        let seen_centres = [minus(&user_centres, &of_sides[0]), minus(&item_centres, &of_sides[1])];
        let search = |v: &Rows, side: usize, mean: &[f64]| -> Vec<[usize; 2]> {
            minus(v, mean).iter().map(|v| nearest(v, &seen_centres[side], [users, items][side])).collect()
        };
        let agree = |v: &Rows, side: usize, assigned: &[[usize; 2]]| -> Vec<bool> {
            let rows = assigned.iter().map(|&assigned| both(assigned, [users, items][side]));
            minus(v, &of_sides[side])
                .iter()
                .zip(rows)
                .map(|(v, rows)| rows.iter().all(|&row| dot(v, &seen_centres[side][row]) >= 0.0))
                .collect()
        };
        let pairs = |name: &str| trace.rows(step, name).into_iter().map(|pair| [pair[0] as usize, pair[1] as usize]).collect::<Vec<_>>();
        let of_users = search(&v_user, 0, &of_sides[0]);
        assert_eq!(pairs("users.assigned"), of_users);
        assert_eq!(pairs("items.assigned"), search(&all_items, 1, &of_sides[1]));
        let stops: Vec<f64> = agree(&v_user, 0, &of_users).into_iter().map(|agrees| f64::from(u8::from(!agrees))).collect();
        assert_eq!(trace.at(step, "users.stopped"), stops);
        stopped += stops.iter().sum::<f64>();

        let clustered: Vec<bool> = trace.at(step, "batch.clustered").iter().map(|&flag| flag > 0.0).collect();
        let (after, [l1, l2]) = move_centres(&user_centres, &v_user, &of_users, &clustered, users, rho);
        assert_rows(&trace.after(step, "user_centres"), &after, 1e-5);
        assert_close(&[trace.at(step, "loss.uie_l1"), trace.at(step, "loss.uie_l2")].concat(), &[l1, l2], 1e-5);
        let of_items = search(&v_item, 1, &of_sides[1]);
        let (after, [l1, l2]) = move_centres(&item_centres, &v_item, &of_items, &vec![true; v_item.len()], items, eta);
        assert_rows(&trace.after(step, "item_centres"), &after, 1e-5);
        assert_close(&[trace.at(step, "loss.uhse_l1"), trace.at(step, "loss.uhse_l2")].concat(), &[l1, l2], 1e-5);
        moved += usize::from(after != item_centres);
        let every = vec![true; v_item.len()];
        for (name, mean, v, takes_part) in [("user", &of_sides[0], &v_user, &clustered), ("item", &of_sides[1], &v_item, &every)] {
            let taking: Vec<&Vec<f64>> = v.iter().zip(takes_part).filter(|(_, part)| **part).map(|(v, _)| v).collect();
            let of_step = |k: usize| taking.iter().map(|v| v[k]).sum::<f64>() / taking.len() as f64;
            let after: Vec<f64> = mean.iter().enumerate().map(|(k, mean)| mean + 0.05 * (of_step(k) - mean)).collect();
            assert_close(&trace.after(step, &format!("{name}_centres.mean")).concat(), &after, 1e-5);
        }

        let (owners, consumed) = (trace.ids(step, "batch.user"), trace.ids(step, "batch.item").into_iter().step_by(2).collect::<Vec<_>>());
        let sides = [
            ("user", &owners, &v_user, &v_item, &user_memory, &user_centres),
            ("item", &consumed, &v_item, &v_user, &item_memory, &item_centres),
        ];
        for (side, (name, owners, own, seekers, memory, centres)) in sides.into_iter().enumerate() {
            let sought = search(seekers, side, &of_seekers[side]);
            let open = agree(own, side, &sought);
            let found: Vec<_> = sought.iter().zip(open).map(|(&found, open)| open.then(|| both(found, [users, items][side]))).collect();
            let after = remember(memory, owners, &found, centres, lambda);
            assert_rows(&trace.after(step, &format!("{name}_behaviours")), &after, 1e-5);
            let mean = follow(&mean(&format!("{name}_behaviours.mean")), memory, owners, &found);
            assert_close(&trace.after(step, &format!("{name}_behaviours.mean")).concat(), &mean, 1e-5);
            behaved += usize::from(after != *memory);
        }
        let entries = trace.after(step, "item_assignments");
        for (item, assigned) in consumed.iter().zip(&of_items) {
            assert_eq!(entries[*item], [assigned[1] as f64, (step + 1) as f64]);
        }
        let mut consumers = trace.before(step, "item_consumers");
        let places = consumers.clone();
        for (&item, assigned) in consumed.iter().zip(&of_users) {
            let older = &places[item][..places[item].len() - 2];
            consumers[item] = [&[assigned[1] as f64, (step + 1) as f64], older].concat();
        }
        assert_rows(&trace.after(step, "item_consumers"), &consumers, 0.0);
    }
    assert!(moved > 3 && behaved > 3, "steps with centres that moved: {moved}, with memories: {behaved}; stopped users: {stopped}");
    assert!(
        (0..STEPS).any(|step| trace.has(step, "users.reseeded") && trace.at(step, "users.first_fill") == [0.0]),
        "centres were re-seeded"
    );
}

/// Clusters by evidence as a step found them, from the numbers of a trace.
struct Clusters {
    sizes: Vec<f64>,
    categories: Rows,
    items: Rows,
    lives: Rows,
    lengths: Rows,
    seen: f64,
}

impl Clusters {
    fn before(trace: &Trace, step: usize) -> Self {
        let rows = |name: &str| trace.before(step, &format!("evidence.{name}"));
        let (sizes, seen) = (rows("sizes").concat(), rows("seen")[0][0]);
        Self { sizes, categories: rows("categories"), items: rows("items"), lives: rows("lives"), lengths: rows("lengths"), seen }
    }

    /// By cluster: its share, and how much likelier its members take a category and an item.
    fn ratios(&self, [item, category]: [usize; 2]) -> Vec<[f64; 3]> {
        let (unit, all) = (1.0 + self.seen / 5_000.0, self.sizes.iter().sum::<f64>());
        let (categories, items) = (&self.categories[category], &self.items[item]);
        let of_cluster = |k: usize| {
            let share = self.sizes[k] / all;
            let q = (categories[k] + 2.0 * unit * share) / (categories.iter().sum::<f64>() + 2.0 * unit);
            let p = (items[k] + 4.0 * unit * q) / (items.iter().sum::<f64>() + 4.0 * unit);
            [share, (q / share).clamp(1e-4, 1e4), (p / share).clamp(1e-4, 1e4)]
        };
        (0..self.sizes.len()).map(of_cluster).collect()
    }

    /// What things say of each cluster.
    fn evidence(&self, things: &[[usize; 2]]) -> Vec<f64> {
        let mut sum = vec![0.0; self.sizes.len()];
        for thing in things {
            sum.iter_mut().zip(self.ratios(*thing)).for_each(|(sum, [_, _, p])| *sum += p.ln());
        }
        sum
    }

    fn posterior(&self, evidence: &[f64], weight: f64) -> Vec<f64> {
        let all = self.sizes.iter().sum::<f64>();
        softmax(&self.sizes.iter().zip(evidence).map(|(size, evidence)| (size / all).ln() + weight * evidence).collect::<Vec<_>>())
    }
}

/// A request's behaviours, the newest first: item and category.
fn things(trace: &Trace, step: usize, request: usize) -> Vec<[usize; 2]> {
    let of = |name: &str| trace.rows(step, &format!("batch.history_{name}"))[request].clone();
    let known = of("items").into_iter().zip(of("categories")).filter(|(item, _)| *item >= 0.0);
    known.map(|(item, category)| [item as usize, category as usize]).collect()
}

#[test]
fn clusters_by_evidence_tell_the_ranker_what_a_trace_says_and_count_its_positives() {
    let trace = Trace::by(Variant::Evidence, Config { history: 7, batch: 400, passes: 2, ..config() });
    let users = |step: usize| trace.ids(step, "batch.user");
    let candidates = |step: usize| -> Vec<[usize; 2]> {
        trace.ids(step, "batch.item").into_iter().zip(trace.ids(step, "batch.category")).map(|(item, category)| [item, category]).collect()
    };
    // The forward pass of the first step.
    let ([fields, requests, windows, _], counts) = (trace.features(0), trace.rows(0, "batch.counts"));
    let (clusters, things_of) = (Clusters::before(&trace, 0), |r: usize| things(&trace, 0, r));
    let of_sample = |s: usize| {
        let r = s / 2;
        let window = things_of(r);
        let present = &window[..window.len().min(3)];
        let weight = |n: usize| f64::min(1.0, 8.0 / n.max(1) as f64);
        let known = [present, &window].map(|things| clusters.posterior(&clusters.evidence(things), weight(things.len())));
        let ratios = clusters.ratios(candidates(0)[s]);
        let likelier = |pi: &Vec<f64>, of: usize| pi.iter().zip(&ratios).map(|(pi, ratio)| pi * ratio[of]).sum::<f64>().ln();
        let request = [requests[r].clone(), counts[r].clone()].concat();
        let mut candidate = [fields[s].clone(), attended(&trace, r, &fields[s], &windows[r])].concat();
        candidate.extend(known.iter().flat_map(|pi| [likelier(pi, 1), likelier(pi, 2)]));
        ple(&trace, &request, &candidate)
    };
    let logits: Vec<[f64; 2]> = (0..fields.len()).map(of_sample).collect();
    let by_task = |task: usize| logits.iter().map(|of_sample| of_sample[task]).collect::<Vec<_>>();
    assert_rows(&trace.rows(0, "logits"), &vec![by_task(0), by_task(1)], 1e-5);
    // What every step counts, those of a further pass too.
    assert!((1..STEPS).any(|step| trace.has(step, "pass")));
    for step in 0..STEPS {
        let mut clusters = Clusters::before(&trace, step);
        for (r, user) in users(step).into_iter().enumerate() {
            let (positive, window) = (candidates(step)[2 * r], things(&trace, step, r));
            let own = clusters.evidence(&[positive]);
            let both: Vec<f64> = clusters.evidence(&window[..window.len().min(5)]).iter().zip(&own).map(|(a, b)| a + b).collect();
            let (pi, unit) = (clusters.posterior(&both, 0.7), 1.0 + clusters.seen / 5_000.0);
            for k in 0..pi.len() {
                clusters.sizes[k] += unit * pi[k];
                clusters.items[positive[0]][k] += unit * pi[k];
                clusters.categories[positive[1]][k] += unit * pi[k];
                clusters.lives[user][k] = 0.95 * clusters.lives[user][k] + own[k];
            }
            clusters.lengths[user][0] = 0.95 * clusters.lengths[user][0] + 1.0;
            clusters.seen += 1.0;
        }
        let Clusters { sizes, categories, items, lives, lengths, seen } = clusters;
        let expected = [
            ("sizes", vec![sizes]),
            ("categories", categories),
            ("items", items),
            ("lives", lives),
            ("lengths", lengths),
            ("seen", vec![vec![seen]]),
        ];
        expected.iter().for_each(|(name, rows)| assert_rows(&trace.after(step, &format!("evidence.{name}")), rows, 1e-4));
    }
}

/// Adam's decays are 32-bit floats.
const BETAS: [f64; 2] = [0.9_f32 as f64, 0.999_f32 as f64];

/// The move of one number by Adam, and its moments.
fn adam(gradient: f64, [m, v]: [f64; 2], rate: f64, t: i32) -> (f64, [f64; 2]) {
    let m = BETAS[0] * m + (1.0 - BETAS[0]) * gradient;
    let v = BETAS[1] * v + (1.0 - BETAS[1]) * gradient * gradient;
    let unbiased = |moment: f64, beta: f64| moment / (1.0 - beta.powi(t));
    (-rate * unbiased(m, BETAS[0]) / (unbiased(v, BETAS[1]).sqrt() + 1e-8), [m, v])
}

#[test]
fn dense_parameters_move_by_adam() {
    let trace = Trace::new();
    for name in ["network.ple.towers.layers.0.weight", "network.auxiliary.user.layers.1.weight", "network.ple.first.joint.bias"] {
        let mut weights = trace.before(0, name).concat();
        let mut moments = vec![[0.0; 2]; weights.len()];
        for step in 0..STEPS {
            let gradient = trace.at(step, &format!("gradient.{name}"));
            for ((weight, moments), gradient) in weights.iter_mut().zip(&mut moments).zip(gradient) {
                let (move_by, next) = adam(gradient, *moments, trace.config.learning_rate, step as i32 + 1);
                (*weight, *moments) = (*weight + move_by, next);
            }
            assert_close(&trace.after(step, name).concat(), &weights, 1e-5);
        }
    }
}

#[test]
fn touched_rows_of_the_embeddings_move_by_adam_and_no_others() {
    let trace = Trace::new();
    let (rate, parts) = (trace.config.learning_rate, ["weight", "moment_1", "moment_2"].map(|part| format!("embeddings.{part}")));
    for step in 0..STEPS {
        let before = parts.clone().map(|name| trace.before(step, &name));
        let width = before[0][0].len();
        let mut gradients: Vec<Option<Vec<f64>>> = vec![None; before[0].len()];
        let of_fields = ["candidates", "requests", "window"].map(|name| trace.rows(step, &format!("gradient.fields.{name}")));
        for (samples, gradient) in trace.pooled(step).iter().zip(&of_fields) {
            for (fields, gradient) in samples.iter().zip(gradient) {
                for (rows, gradient) in fields.iter().zip(gradient.chunks(width)) {
                    for &(row, weight) in rows {
                        let sum = gradients[row].get_or_insert_with(|| vec![0.0; width]);
                        sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += weight * g);
                    }
                }
            }
        }
        let untouched = gradients.iter().filter(|gradient| gradient.is_none()).count();
        assert!(untouched > 0 && untouched < gradients.len());
        let mut after = before.clone();
        for (row, gradient) in gradients.iter().enumerate().filter_map(|(row, gradient)| Some((row, gradient.as_ref()?))) {
            for k in 0..width {
                let (move_by, [m, v]) = adam(gradient[k], [before[1][row][k], before[2][row][k]], rate, step as i32 + 1);
                (after[0][row][k], after[1][row][k], after[2][row][k]) = (before[0][row][k] + move_by, m, v);
            }
        }
        for (name, after) in parts.iter().zip(&after) {
            assert_rows(&trace.after(step, name), after, 2e-5);
        }
    }
}

#[test]
fn a_trace_of_what_cannot_be_traced_is_refused() {
    let config = config();
    let said = |config: &Config, variant, steps| block_on(trace::record(config, variant, source(config), steps)).unwrap_err().to_string();
    assert!(said(&config, Variant::Popularity, 3).contains("variant = popularity cannot be used"));
}

/// Ten steps on the rows of a real file once took 351 MB, nearly all of it rows that had not moved.
#[test]
fn a_step_holds_only_the_rows_that_it_moved() {
    let trace = Trace::new();
    for step in 0..STEPS {
        let touched: BTreeSet<usize> = trace.pooled(step).into_iter().flatten().flatten().flatten().map(|(row, _)| row).collect();
        let rows = trace.ids(step, "after.embeddings.weight.rows");
        assert!(rows.iter().all(|row| touched.contains(row)) && rows.len() * 2 > touched.len(), "{step}");
        assert!(rows.len() < trace.before(step, "embeddings.weight").len());
        let consumed: BTreeSet<usize> = trace.ids(step, "batch.item").into_iter().step_by(2).collect();
        let assigned: BTreeSet<usize> = trace.ids(step, "after.item_assignments.rows").into_iter().collect();
        assert_eq!(assigned, if trace.filled(step) { consumed } else { BTreeSet::new() });
    }
}

#[test]
fn a_further_pass_is_marked_and_memories_of_behaviours_begin_anew() {
    let trace = Trace::of(Config { batch: 400, passes: 2, warm_up: 1, ..config() });
    let begins: Vec<usize> = (0..STEPS).filter(|&step| trace.has(step, "pass")).collect();
    assert_eq!(begins, [0, 4]);
    assert_eq!((trace.at(0, "pass"), trace.at(4, "pass")), (vec![0.0], vec![1.0]));
    for (name, m) in [("user_behaviours", trace.config.memory_width()), ("item_behaviours", trace.config.memory_width())] {
        let touches = |rows: Rows| rows.into_iter().map(|row| row[2 * m]).collect::<Vec<_>>();
        assert!(touches(trace.after(3, name)).iter().any(|&touches| touches > 0.0));
        let first: Vec<usize> = touches(trace.after(4, name)).iter().enumerate().filter(|(_, n)| **n == 1.0).map(|(row, _)| row).collect();
        assert_eq!(trace.ids(4, &format!("after.{name}.rows")), first, "{name}: nothing but what the step touched");
    }
    assert_eq!(trace.before(4, "item_assignments"), trace.after(3, "item_assignments"), "assignments stay");
}

/// A ranker some steps past its fill, test rows, and the category of each item.
fn trained(config: &Config) -> (Learner, Vec<Batch>, Vec<u32>) {
    let dataset = Dataset::open(source(config), config).unwrap();
    let mut replay = dataset.replay();
    let mut learner = fresh(config);
    (0..6).for_each(|_| drop(block_on(learner.learn(Arc::new(replay.next_train().unwrap()))).unwrap()));
    let categories = dataset.categories().to_vec();
    (learner, dataset.probe_set(64), categories)
}

/// A ranker before its first step.
fn fresh(config: &Config) -> Learner {
    let dataset = Dataset::open(source(config), config).unwrap();
    Learner::new(config, &[VARIANT], dataset.vocabulary(), &Device::flex(), 30)
}

fn scores(learner: &Learner, batches: &[Batch], categories: &[u32]) -> Vec<u32> {
    let ranker = &learner.rankers()[0];
    let frozen = ranker.frozen(categories);
    let scored = |batch: &Batch| ranker.score(&frozen, &ranker.test_batch(Arc::new(batch.clone()))).logits;
    batches.iter().flat_map(|batch| scored(batch).into_data().try_into_vec::<f32>().unwrap()).map(f32::to_bits).collect()
}

#[test]
fn weights_come_back_to_the_bit() {
    let config = config();
    let (learner, batches, categories) = trained(&config);
    let state = block_on(learner.rankers()[0].state("a stream")).unwrap();
    assert_eq!((state.description.steps, state.description.filled), (6, [true; 2]));
    let bytes = checkpoint::to_bytes(&state).unwrap();
    let mut fresh = fresh(&Config { seed: 99, ..config });
    let expected = scores(&learner, &batches, &categories);
    assert_ne!(scores(&fresh, &batches, &categories), expected);
    fresh.restore(&checkpoint::from_bytes(&bytes).unwrap()).unwrap();
    assert_eq!(scores(&fresh, &batches, &categories), expected);
    assert!(fresh.rankers()[0].memory(Side::Users).unwrap().is_filled());
    assert_eq!(block_on(fresh.rankers()[0].state("a stream")).unwrap().arrays, state.arrays);
}

#[test]
fn files_that_do_not_fit_are_refused_and_change_nothing() {
    let config = config();
    let (mut learner, batches, categories) = trained(&config);
    let state = block_on(learner.rankers()[0].state("a stream")).unwrap();
    let bytes = checkpoint::to_bytes(&state).unwrap();
    let before = scores(&learner, &batches, &categories);

    assert!(matches!(checkpoint::from_bytes(b"user,item"), Err(CheckpointError::Unreadable { .. })));
    assert!(matches!(checkpoint::from_bytes(&bytes[..bytes.len() - 1]), Err(CheckpointError::Unreadable { .. })));
    assert!(matches!(checkpoint::from_bytes(b"\x02\0\0\0\0\0\0\0{}"), Err(CheckpointError::Foreign { .. })));
    let mut later = state.clone();
    later.description.format = 7;
    let later = checkpoint::from_bytes(&checkpoint::to_bytes(&later).unwrap()).unwrap_err();
    assert_eq!(later, CheckpointError::Version { found: 7 });
    let mut earlier = state.clone();
    earlier.description.format = 4;
    let earlier = checkpoint::from_bytes(&checkpoint::to_bytes(&earlier).unwrap()).unwrap_err();
    assert_eq!(earlier, CheckpointError::Version { found: 4 });

    let mut other = state.clone();
    other.description.variant = Variant::Duia;
    assert!(learner.restore(&other).unwrap_err().to_string().contains("holds duia, and this run trains duia-items"));
    let mut without = state.clone();
    without.arrays.remove("user_centres.mean");
    assert!(learner.restore(&without).unwrap_err().to_string().contains("no tensor `user_centres.mean`"));
    let mut wider = fresh(&Config { tower: "9".parse().unwrap(), ..config });
    let said = wider.restore(&state).unwrap_err().to_string();
    assert!(said.contains("`network.ple.towers.layers.0.weight` is [2, 5, 3] and this run's is [2, 5, 9]"), "{said}");
    assert!(said.contains(r#"tower is "3" there and "9" here"#), "{said}");
    assert_eq!(scores(&learner, &batches, &categories), before);
}

#[test]
fn a_run_starts_from_weights_and_leaves_them() {
    let run = |config: &Config, from: Option<&[u8]>| {
        let mut kept = Vec::new();
        let mut keep = |variant, bytes| kept.push((variant, bytes));
        let options = RunOptions { weights_in: from, weights_out: Some(&mut keep), ..RunOptions::default() };
        let outcome = block_on(run_with(config.clone(), source(config), DeviceChoice::Cpu, options, |_| {}));
        outcome.map(|()| kept)
    };
    let config = config();
    let first = run(&config, None).unwrap();
    assert_eq!(first.iter().map(|(variant, _)| *variant).collect::<Vec<_>>(), [Variant::Ple, VARIANT]);
    let steps = |bytes: &[u8]| checkpoint::from_bytes(bytes).unwrap().description.steps;
    let second = run(&config, Some(&first[1].1)).unwrap();
    assert_eq!(second[0], first[0], "the others start afresh");
    assert_eq!(steps(&second[1].1), 2 * steps(&first[1].1));
    let alone = Config { variants: Variants(vec![Variant::Ple]), ..config };
    let refused = run(&alone, Some(&first[1].1)).unwrap_err();
    assert!(refused.detail.contains("holds duia-items, and this run trains ple"), "{refused:?}");
}
