//! Clusters on a GPU.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::super::gpu::{add_lanes, dims, launch, launch_cubes, most_units, output, output_of};
use super::{ClusterKernels, Levels, pulled};

impl ClusterKernels for CubeBackend {
    fn nearest(v: FloatTensor<Self>, centres: FloatTensor<Self>, kind: IntTensor<Self>, levels: Levels, cosine: bool) -> IntTensor<Self> {
        let [samples, width]: [usize; 2] = dims(&v);
        let out = output_of(&v, [samples, 2], kind.dtype);
        let cubes = samples.div_ceil(TEAM);
        launch_cubes!(nearest_kernel(v, centres) -> out; cubes, TEAM * LANES, samples, levels.first, levels.children, width, cosine)
    }

    fn chosen_centres(centres: FloatTensor<Self>, assigned: IntTensor<Self>, levels: Levels) -> FloatTensor<Self> {
        let ([_, width], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&centres), dims(&assigned));
        let out = output(&centres, [2, samples, width]);
        launch!(chosen_centres_kernel(centres, assigned) -> out; 2 * samples * width, samples, levels.first, width)
    }

    fn entries(assigned: IntTensor<Self>, like: FloatTensor<Self>, step: f32) -> FloatTensor<Self> {
        let [samples, _]: [usize; 2] = dims(&assigned);
        let out = output(&like, [samples, 2]);
        launch!(entries_kernel(assigned) -> out; samples, step)
    }

    fn follow(mean: FloatTensor<Self>, v: FloatTensor<Self>, weights: FloatTensor<Self>, rate: f32) -> FloatTensor<Self> {
        let [samples, width]: [usize; 2] = dims(&v);
        let out = output(&v, [1, width]);
        let across = TEAM.min(width.next_power_of_two());
        let lanes = most_units(&v) / across;
        launch_cubes!(follow_kernel(mean, v, weights) -> out;
            width.div_ceil(across), across * lanes, samples, width, rate, across, lanes)
    }

    fn centre_pull(
        v: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        assigned: IntTensor<Self>,
        weights: FloatTensor<Self>,
        levels: Levels,
        sigma_in_graph: bool,
    ) -> FloatTensor<Self> {
        let ([samples, width], rows): ([usize; 2], usize) = (dims(&v), levels.rows());
        let (first, children, cubes) = (levels.first, levels.children, samples.div_ceil(TEAM));
        let sorted = output(&v, [8 * samples]);
        let sorted = launch_cubes!(sorted_pulls_kernel(v.clone(), centres.clone(), assigned, weights) -> sorted;
            cubes, TEAM * LANES, samples, first, width, sigma_in_graph);
        let out = output(&v, [pulled(levels, width)]);
        let lanes = most_units(&v);
        let out = launch!(centre_pull_kernel(v, centres, sorted.clone()) -> out; rows * width, samples, first, children, width);
        launch_cubes!(sum_pulls_kernel(sorted) -> out; 1, lanes, samples, rows * (width + 1), lanes)
    }

    fn pool_centres(
        centres: FloatTensor<Self>,
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self> {
        let ([_, width], [samples, slots]): ([usize; 2], [usize; 2]) = (dims(&centres), dims(&ids));
        let units = samples * (2 * width + 1);
        let out = output(&centres, [units]);
        launch!(pool_centres_kernel(centres, entries, born, ids) -> out; units, slots, levels.first, levels.children, width)
    }

    fn count_shared(
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        own: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self> {
        let ([bags, slots], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&ids), dims(&own));
        let out = output(&entries, [samples, 3]);
        launch!(count_shared_kernel(entries, born, ids, own) -> out; samples, slots, samples / bags, levels.children)
    }
}

/// Samples that a cube looks at side by side: units of one instruction read the same centre, each for its sample.
const TEAM: usize = 32;
/// Units that share the walk for one sample, each with a stretch of it.
const LANES: usize = 8;
/// What a sample that does not cluster is sorted by: after every centre.
const NOWHERE: i32 = i32::MAX;

/// The most similar to `own` of `count` rows of `centres` from row `start`, counted from `start`: each lane looks at a stretch of them,
/// then the first of the most similar of all lanes.
#[cube]
#[allow(clippy::too_many_arguments, reason = "a kernel's part has the kernel's arguments")]
fn most_similar(
    own: &Array<f32>,
    centres: &Tensor<f32>,
    start: usize,
    count: usize,
    best_similarities: &mut Shared<[f32]>,
    bests: &mut Shared<[u32]>,
    #[comptime] width: usize,
    #[comptime] cosine: bool,
) -> usize {
    let unit = UNIT_POS as usize;
    let place = unit % TEAM;
    let stretch = count.div_ceil(LANES);
    let first = unit / TEAM * stretch;
    let mut best = first;
    // Not -inf: WGSL has no such literal.
    let mut best_similarity = f32::new(-3.0e38);
    for c in first..min(first + stretch, count) {
        let mut dot = 0.0f32;
        let mut norm = 0.0f32;
        #[unroll]
        for k in 0..width {
            let mu = centres[(start + c) * width + k];
            dot += own[k] * mu;
            if cosine {
                norm += mu * mu;
            }
        }
        let mut similarity = dot;
        if cosine {
            similarity = dot * (1.0f32 / (norm + 1e-12f32).sqrt());
        }
        if similarity > best_similarity {
            best_similarity = similarity;
            best = c;
        }
    }
    best_similarities[unit] = best_similarity;
    bests[unit] = best as u32;
    sync_cube();
    let mut most = best_similarities[place];
    let mut found = bests[place];
    for lane in 1..LANES {
        let similarity = best_similarities[lane * TEAM + place];
        if similarity > most {
            most = similarity;
            found = bests[lane * TEAM + place];
        }
    }
    // The next search writes where this one is still read.
    sync_cube();
    found as usize
}

#[cube(launch_unchecked)]
fn nearest_kernel(
    v: &Tensor<f32>,
    centres: &Tensor<f32>,
    output: &mut Tensor<i32>,
    samples: usize,
    first: usize,
    children: usize,
    #[comptime] width: usize,
    #[comptime] cosine: bool,
) {
    let mut similarities = Shared::<[f32]>::new_slice(TEAM * LANES);
    let mut bests = Shared::<[u32]>::new_slice(TEAM * LANES);
    let unit = UNIT_POS as usize;
    let sample = CUBE_POS * TEAM + unit % TEAM;
    // Beyond the last sample a unit looks at the last: its cube waits for it.
    let at = min(sample, samples - 1) * width;
    // In registers: each is compared with every centre.
    let mut own = Array::<f32>::new(width);
    #[unroll]
    for k in 0..width {
        own[k] = v[at + k];
    }
    let parent = most_similar(&own, centres, 0usize, first, &mut similarities, &mut bests, width, cosine);
    let child = most_similar(&own, centres, first + parent * children, children, &mut similarities, &mut bests, width, cosine);
    if unit < TEAM && sample < samples {
        output[2 * sample] = i32::cast_from(parent);
        output[2 * sample + 1] = i32::cast_from(parent * children + child);
    }
}

/// What sample `sample` is sorted by: its level-2 centre, which its level-1 centre follows from.
#[cube]
fn key(assigned: &Tensor<i32>, weights: &Tensor<f32>, sample: usize) -> i32 {
    let mut key = i32::new(NOWHERE as i64);
    if weights[sample] > 0.0f32 {
        key = assigned[2 * sample + 1];
    }
    key
}

#[cube(launch_unchecked)]
fn chosen_centres_kernel(
    centres: &Tensor<f32>,
    assigned: &Tensor<i32>,
    output: &mut Tensor<f32>,
    units: usize,
    samples: usize,
    first: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let (row, column) = (ABSOLUTE_POS / width, ABSOLUTE_POS % width);
    let (level, sample) = (row / samples, row % samples);
    let centre = usize::cast_from(assigned[2 * sample + level]) + level * first;
    output[ABSOLUTE_POS] = centres[centre * width + column];
}

#[cube(launch_unchecked)]
fn entries_kernel(assigned: &Tensor<i32>, output: &mut Tensor<f32>, units: usize, step: f32) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    output[2 * ABSOLUTE_POS] = f32::cast_from(assigned[2 * ABSOLUTE_POS + 1]);
    output[2 * ABSOLUTE_POS + 1] = step;
}

/// A cube for some components: its lanes share the samples.
#[cube(launch_unchecked)]
fn follow_kernel(
    mean: &Tensor<f32>,
    v: &Tensor<f32>,
    weights: &Tensor<f32>,
    output: &mut Tensor<f32>,
    samples: usize,
    width: usize,
    rate: f32,
    #[comptime] across: usize,
    #[comptime] lanes: usize,
) {
    let mut sums = Shared::<[f32]>::new_slice(across * lanes);
    let mut counts = Shared::<[f32]>::new_slice(across * lanes);
    let unit = UNIT_POS as usize;
    let (lane, column) = (unit / across, CUBE_POS * across + unit % across);
    let mut sum = 0.0f32;
    let mut count = 0.0f32;
    if column < width {
        let mut sample = lane;
        while sample < samples {
            let weight = weights[sample];
            sum += weight * v[sample * width + column];
            count += weight;
            sample += lanes;
        }
    }
    sums[unit] = sum;
    counts[unit] = count;
    add_lanes(&mut sums, across, lanes);
    add_lanes(&mut counts, across, lanes);
    if lane == 0 && column < width {
        let (sum, count) = (sums[unit], counts[unit]);
        let was = mean[column];
        output[column] = was + (sum - was * count) * (rate / max(count, 1.0f32));
    }
}

/// The samples sorted by their level-2 centres, those of one centre in their order: `output` `[8 samples]` holds which sample comes at
/// each place, then its centre as a number, then of its level-1 and its level-2 centre each sigma, what sigma's own gradient adds, and
/// the loss. All are floats, exact up to 16 million.
#[cube(launch_unchecked)]
fn sorted_pulls_kernel(
    v: &Tensor<f32>,
    centres: &Tensor<f32>,
    assigned: &Tensor<i32>,
    weights: &Tensor<f32>,
    output: &mut Tensor<f32>,
    samples: usize,
    first: usize,
    #[comptime] width: usize,
    #[comptime] sigma_in_graph: bool,
) {
    let mut before = Shared::<[u32]>::new_slice(TEAM * LANES);
    let unit = UNIT_POS as usize;
    let (lane, sample) = (unit / TEAM, CUBE_POS * TEAM + unit % TEAM);
    let own = min(sample, samples - 1);
    let own_key = key(assigned, weights, own);
    let stretch = samples.div_ceil(LANES);
    let mut count = 0u32;
    for other in lane * stretch..min((lane + 1) * stretch, samples) {
        let other_key = key(assigned, weights, other);
        if other_key < own_key || (other_key == own_key && other < own) {
            count += 1u32;
        }
    }
    before[unit] = count;
    sync_cube();
    if lane < 2 && sample < samples {
        let mut place = 0u32;
        for other in 0..LANES {
            place += before[other * TEAM + unit % TEAM];
        }
        let place = place as usize;
        if lane == 0 {
            output[place] = f32::cast_from(own);
            output[samples + place] = f32::cast_from(own_key);
        }
        if own_key < NOWHERE {
            let mut row = usize::cast_from(assigned[2 * own + lane]);
            if lane == 1 {
                row += first;
            }
            let mut dot = 0.0f32;
            let mut distance = 0.0f32;
            for k in 0..width {
                let mu = centres[row * width + k];
                let x = v[own * width + k];
                dot += x * mu;
                distance += (x - mu) * (x - mu);
            }
            let sigma = 1.0f32 / (1.0f32 + (-dot).exp());
            let mut slope = 0.0f32;
            if sigma_in_graph {
                slope = 0.5f32 * sigma * (1.0f32 - sigma) * distance;
            }
            let at = 2 * samples + 3 * (2 * place + lane);
            output[at] = sigma;
            output[at + 1] = slope;
            output[at + 2] = sigma * distance;
        }
    }
}

/// The first place of `sorted` (see [`sorted_pulls_kernel`]) whose centre is `key` or comes after it.
#[cube]
fn place_of(sorted: &Tensor<f32>, samples: usize, key: usize) -> usize {
    let mut low = 0usize;
    let mut high = samples;
    let key = f32::cast_from(key);
    while low < high {
        let middle = (low + high) / 2;
        if sorted[samples + middle] < key {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// A unit for each component of each centre: it walks the samples of its centre alone, in their order.
#[cube(launch_unchecked)]
fn centre_pull_kernel(
    v: &Tensor<f32>,
    centres: &Tensor<f32>,
    sorted: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    samples: usize,
    first: usize,
    children: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let (row, column) = (ABSOLUTE_POS / width, ABSOLUTE_POS % width);
    let mut level = 0usize;
    let mut start = row * children;
    let mut end = start + children;
    if row >= first {
        level = 1usize;
        start = row - first;
        end = start + 1;
    }
    let mu = centres[ABSOLUTE_POS];
    let mut towards = 0.0f32;
    let begin = place_of(sorted, samples, start);
    let end = place_of(sorted, samples, end);
    for place in begin..end {
        let x = v[usize::cast_from(sorted[place]) * width + column];
        let at = 2 * samples + 3 * (2 * place + level);
        towards += sorted[at] * (x - mu) - sorted[at + 1] * x;
    }
    output[ABSOLUTE_POS] = towards;
    if column == 0 {
        output[units + row] = f32::cast_from(end - begin);
    }
}

/// One cube: the losses of both levels and the number of samples, from number `at` of the output on.
#[cube(launch_unchecked)]
fn sum_pulls_kernel(sorted: &Tensor<f32>, output: &mut Tensor<f32>, samples: usize, at: usize, #[comptime] lanes: usize) {
    let mut of_parents = Shared::<[f32]>::new_slice(lanes);
    let mut of_children = Shared::<[f32]>::new_slice(lanes);
    let mut counts = Shared::<[f32]>::new_slice(lanes);
    let unit = UNIT_POS as usize;
    let mut parents = 0.0f32;
    let mut children = 0.0f32;
    let mut count = 0.0f32;
    let mut place = unit;
    while place < samples {
        if sorted[samples + place] < f32::new(NOWHERE as f32) {
            parents += sorted[2 * samples + 6 * place + 2];
            children += sorted[2 * samples + 6 * place + 5];
            count += 1.0f32;
        }
        place += lanes;
    }
    of_parents[unit] = parents;
    of_children[unit] = children;
    counts[unit] = count;
    add_lanes(&mut of_parents, 1usize, lanes);
    add_lanes(&mut of_children, 1usize, lanes);
    add_lanes(&mut counts, 1usize, lanes);
    if CUBE_POS == 0 && unit == 0 {
        output[at] = of_parents[0];
        output[at + 1] = of_children[0];
        output[at + 2] = counts[0];
    }
}

#[cube(launch_unchecked)]
fn pool_centres_kernel(
    centres: &Tensor<f32>,
    entries: &Tensor<f32>,
    born: &Tensor<f32>,
    ids: &Tensor<i32>,
    output: &mut Tensor<f32>,
    units: usize,
    slots: usize,
    first: usize,
    per_parent: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let samples = units / (2 * width + 1);
    let block = samples * width;
    let mut sample = ABSOLUTE_POS % block / width;
    let column = ABSOLUTE_POS % width;
    let level = ABSOLUTE_POS / block;
    if level == 2 {
        sample = ABSOLUTE_POS - 2 * block;
    }
    let mut sum = 0.0f32;
    let mut count = 0.0f32;
    for slot in 0..slots {
        let id = ids[sample * slots + slot];
        if id >= 0 {
            let entry = 2 * usize::cast_from(id);
            let child = usize::cast_from(entries[entry]);
            if entries[entry + 1] >= born[child] {
                count += 1.0f32;
                if level == 0 {
                    sum += centres[(child / per_parent) * width + column];
                } else if level == 1 {
                    sum += centres[(first + child) * width + column];
                }
            }
        }
    }
    if level == 2 {
        if count > 0.0f32 {
            sum = 1.0f32;
        }
    } else if count > 0.0f32 {
        sum /= count;
    }
    output[ABSOLUTE_POS] = sum;
}

#[cube(launch_unchecked)]
fn count_shared_kernel(
    entries: &Tensor<f32>,
    born: &Tensor<f32>,
    ids: &Tensor<i32>,
    own: &Tensor<i32>,
    output: &mut Tensor<f32>,
    units: usize,
    slots: usize,
    per_bag: usize,
    per_parent: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let bag = ABSOLUTE_POS / per_bag;
    let parent = usize::cast_from(own[2 * ABSOLUTE_POS]);
    let own_child = usize::cast_from(own[2 * ABSOLUTE_POS + 1]);
    let mut parents = 0.0f32;
    let mut children = 0.0f32;
    let mut known = 0.0f32;
    for slot in 0..slots {
        let id = ids[bag * slots + slot];
        if id >= 0 {
            let entry = 2 * usize::cast_from(id);
            let child = usize::cast_from(entries[entry]);
            if entries[entry + 1] >= born[child] {
                known += 1.0f32;
                if child / per_parent == parent {
                    parents += 1.0f32;
                }
                if child == own_child {
                    children += 1.0f32;
                }
            }
        }
    }
    output[3 * ABSOLUTE_POS] = parents;
    output[3 * ABSOLUTE_POS + 1] = children;
    output[3 * ABSOLUTE_POS + 2] = known;
}
