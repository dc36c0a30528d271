//! Clusters on a GPU.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::super::gpu::{dims, launch, output, output_of};
use super::{ClusterKernels, Levels};

impl ClusterKernels for CubeBackend {
    fn nearest(v: FloatTensor<Self>, centres: FloatTensor<Self>, kind: IntTensor<Self>, levels: Levels, cosine: bool) -> IntTensor<Self> {
        let [samples, width]: [usize; 2] = dims(&v);
        let out = output_of(&v, [samples, 2], kind.dtype);
        launch!(nearest_kernel(v, centres) -> out; samples, levels.first, levels.children, width, cosine)
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
        let out = output(&v, [rows * (width + 2)]);
        launch!(centre_pull_kernel(v, centres, assigned, weights) -> out; rows, samples, levels.first, width, sigma_in_graph)
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

/// The most similar to `own` of `count` rows of `centres` from row `start`, counted from `start`.
#[cube]
fn most_similar(
    own: &Array<f32>,
    centres: &Tensor<f32>,
    start: usize,
    count: usize,
    #[comptime] width: usize,
    #[comptime] cosine: bool,
) -> usize {
    let mut best = 0usize;
    // Not -inf: WGSL has no such literal.
    let mut best_similarity = f32::new(-3.0e38);
    for c in 0..count {
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
    best
}

#[cube(launch_unchecked)]
fn nearest_kernel(
    v: &Tensor<f32>,
    centres: &Tensor<f32>,
    output: &mut Tensor<i32>,
    units: usize,
    first: usize,
    children: usize,
    #[comptime] width: usize,
    #[comptime] cosine: bool,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    // In registers: the vectors of neighbouring units never share a cache line, and each is compared with every centre.
    let mut own = Array::<f32>::new(width);
    #[unroll]
    for k in 0..width {
        own[k] = v[ABSOLUTE_POS * width + k];
    }
    let parent = most_similar(&own, centres, 0usize, first, width, cosine);
    let child = most_similar(&own, centres, first + parent * children, children, width, cosine);
    output[2 * ABSOLUTE_POS] = i32::cast_from(parent);
    output[2 * ABSOLUTE_POS + 1] = i32::cast_from(parent * children + child);
}

#[cube(launch_unchecked)]
fn centre_pull_kernel(
    v: &Tensor<f32>,
    centres: &Tensor<f32>,
    assigned: &Tensor<i32>,
    weights: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    samples: usize,
    first: usize,
    #[comptime] width: usize,
    #[comptime] sigma_in_graph: bool,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let (row, rows) = (ABSOLUTE_POS, units);
    let at = row * width;
    for k in 0..width {
        output[at + k] = 0.0f32;
    }
    let mut count = 0.0f32;
    let mut loss = 0.0f32;
    let mut level = 0usize;
    let mut own = row;
    if row >= first {
        level = 1usize;
        own = row - first;
    }
    for s in 0..samples {
        if weights[s] > 0.0f32 && usize::cast_from(assigned[2 * s + level]) == own {
            let mut dot = 0.0f32;
            let mut distance = 0.0f32;
            for k in 0..width {
                let mu = centres[row * width + k];
                let x = v[s * width + k];
                dot += x * mu;
                distance += (x - mu) * (x - mu);
            }
            let sigma = 1.0f32 / (1.0f32 + (-dot).exp());
            let mut slope = 0.0f32;
            if sigma_in_graph {
                slope = 0.5f32 * sigma * (1.0f32 - sigma) * distance;
            }
            for k in 0..width {
                let x = v[s * width + k];
                output[at + k] += sigma * (x - centres[row * width + k]) - slope * x;
            }
            count += 1.0f32;
            loss += sigma * distance;
        }
    }
    output[rows * width + row] = count;
    output[rows * (width + 1) + row] = loss;
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
