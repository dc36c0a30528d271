//! The kernels in CubeCL, for every GPU. A unit owns what it writes, walks samples in order and needs no atomics; no
//! kernel binds more than seven buffers, because a browser guarantees eight and the runtime takes one.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use cubecl::{CubeCount, CubeDim, calculate_cube_count_elemwise};

use super::{AdamStep, BETA_1, BETA_2, Bags, EPSILON, GraphKernels, Levels, Mix, RowKernels, RowRule, TINY};

#[cube(launch_unchecked)]
fn pool_rows_kernel(
    table: &Tensor<f32>,
    ids: &Tensor<i32>,
    output: &mut Tensor<f32>,
    units: usize,
    #[comptime] singles: usize,
    #[comptime] bags: usize,
    #[comptime] bag_len: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let fields = singles + bags;
    let slots = singles + bags * bag_len;
    let column = ABSOLUTE_POS % width;
    let position = ABSOLUTE_POS / width;
    let field = position % fields;
    let first = (position / fields) * slots;
    if field < singles {
        let row = usize::cast_from(ids[first + field]);
        output[ABSOLUTE_POS] = table[row * (3 * width) + column];
    } else {
        let start = first + singles + (field - singles) * bag_len;
        let mut sum = 0.0f32;
        let mut count = 0.0f32;
        for slot in start..start + bag_len {
            let id = ids[slot];
            if id >= 0 {
                sum += table[usize::cast_from(id) * (3 * width) + column];
                count += 1.0f32;
            }
        }
        if count < 1.0f32 {
            count = 1.0f32;
        }
        output[ABSOLUTE_POS] = sum * (1.0f32 / count);
    }
}

#[cube(launch_unchecked)]
fn adam_rows_kernel(
    table: &mut Tensor<f32>,
    grad: &Tensor<f32>,
    plan: &Tensor<i32>,
    positions: &Tensor<i32>,
    weights: &Tensor<f32>,
    rows: usize,
    learning_rate: f32,
    correction_1: f32,
    correction_2: f32,
    #[comptime] width: usize,
) {
    let index = ABSOLUTE_POS / width;
    let column = ABSOLUTE_POS % width;
    if index >= rows {
        terminate!();
    }
    let row = plan[index];
    if row >= 0 {
        let mut g = 0.0f32;
        let start = usize::cast_from(plan[rows + index]);
        let end = usize::cast_from(plan[rows + index + 1]);
        for c in start..end {
            g += weights[c] * grad[usize::cast_from(positions[c]) * width + column];
        }
        let at = usize::cast_from(row) * (3 * width) + column;
        let m = BETA_1 * table[at + width] + (1.0f32 - BETA_1) * g;
        let v = BETA_2 * table[at + 2 * width] + (1.0f32 - BETA_2) * g * g;
        let denominator = (v * correction_2).sqrt() + EPSILON;
        table[at] -= learning_rate * (m * correction_1) / denominator;
        table[at + width] = m;
        table[at + 2 * width] = v;
    }
}

/// The most similar of `count` rows of `centres` from row `start`, counted from `start`.
#[cube]
fn most_similar(
    v: &Tensor<f32>,
    sample: usize,
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
        for k in 0..width {
            let mu = centres[(start + c) * width + k];
            dot += v[sample * width + k] * mu;
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
    samples: usize,
    first: usize,
    children: usize,
    #[comptime] width: usize,
    #[comptime] cosine: bool,
) {
    if ABSOLUTE_POS >= samples {
        terminate!();
    }
    let parent = most_similar(v, ABSOLUTE_POS, centres, 0usize, first, width, cosine);
    let child = most_similar(v, ABSOLUTE_POS, centres, first + parent * children, children, width, cosine);
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
    rows: usize,
    samples: usize,
    first: usize,
    #[comptime] width: usize,
    #[comptime] sigma_in_graph: bool,
) {
    let row = ABSOLUTE_POS;
    if row >= rows {
        terminate!();
    }
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
fn write_rows_kernel(
    table: &mut Tensor<f32>,
    values: &Tensor<f32>,
    weights: &Tensor<f32>,
    plan: &Tensor<i32>,
    positions: &Tensor<i32>,
    rows: usize,
    #[comptime] width: usize,
    #[comptime] replace: bool,
) {
    let index = ABSOLUTE_POS / width;
    let column = ABSOLUTE_POS % width;
    if index >= rows {
        terminate!();
    }
    let row = plan[index];
    if row >= 0 {
        let mut value = 0.0f32;
        let mut count = 0.0f32;
        let start = usize::cast_from(plan[rows + index]);
        let end = usize::cast_from(plan[rows + index + 1]);
        for c in start..end {
            let sample = usize::cast_from(positions[c]);
            if weights[sample] > 0.0f32 {
                count += 1.0f32;
                if replace {
                    value = values[sample * width + column];
                } else {
                    value += values[sample * width + column];
                }
            }
        }
        if count > 0.0f32 {
            let at = usize::cast_from(row) * width + column;
            if replace {
                table[at] = value;
            } else {
                table[at] += value / count;
            }
        }
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
    samples: usize,
    slots: usize,
    per_bag: usize,
    per_parent: usize,
) {
    if ABSOLUTE_POS >= samples {
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

/// The product of the vector of `a` that begins at `of_a` with the vector of `b` that begins at `of_b`.
#[cube]
fn dot(a: &Tensor<f32>, of_a: usize, b: &Tensor<f32>, of_b: usize, #[comptime] width: usize) -> f32 {
    let mut sum = 0.0f32;
    for k in 0..width {
        sum += a[of_a + k] * b[of_b + k];
    }
    sum
}

/// Where the gates of (stream, sample) begin.
#[cube]
fn gate_at(
    stream: usize,
    sample: usize,
    samples: usize,
    #[comptime] streams: usize,
    #[comptime] count: usize,
    #[comptime] wide: bool,
) -> usize {
    let mut row = stream * samples + sample;
    if wide {
        row = sample * streams + stream;
    }
    row * count
}

/// Where the output of (expert, sample) begins.
#[cube]
fn expert_at(
    expert: usize,
    sample: usize,
    samples: usize,
    #[comptime] count: usize,
    #[comptime] width: usize,
    #[comptime] wide: bool,
) -> usize {
    let mut row = expert * samples + sample;
    if wide {
        row = sample * count + expert;
    }
    row * width
}

#[cube(launch_unchecked)]
fn mix_kernel(
    gates: &Tensor<f32>,
    experts: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    samples: usize,
    #[comptime] streams: usize,
    #[comptime] count: usize,
    #[comptime] width: usize,
    #[comptime] wide: bool,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let column = ABSOLUTE_POS % width;
    let row = ABSOLUTE_POS / width;
    let sample = row % samples;
    let gate = gate_at(row / samples, sample, samples, streams, count, wide);
    let mut sum = 0.0f32;
    for e in 0..count {
        sum += gates[gate + e] * experts[expert_at(e, sample, samples, count, width, wide) + column];
    }
    output[ABSOLUTE_POS] = sum;
}

#[cube(launch_unchecked)]
fn mix_grad_experts_kernel(
    gates: &Tensor<f32>,
    grad: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    samples: usize,
    #[comptime] streams: usize,
    #[comptime] count: usize,
    #[comptime] width: usize,
    #[comptime] wide: bool,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let column = ABSOLUTE_POS % width;
    let row = ABSOLUTE_POS / width;
    let mut sample = row % samples;
    let mut expert = row / samples;
    if wide {
        sample = row / count;
        expert = row % count;
    }
    let mut sum = 0.0f32;
    for s in 0..streams {
        let gate = gates[gate_at(s, sample, samples, streams, count, wide) + expert];
        sum += gate * grad[(s * samples + sample) * width + column];
    }
    output[ABSOLUTE_POS] = sum;
}

#[cube(launch_unchecked)]
fn mix_grad_gates_kernel(
    experts: &Tensor<f32>,
    grad: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    samples: usize,
    #[comptime] streams: usize,
    #[comptime] count: usize,
    #[comptime] width: usize,
    #[comptime] wide: bool,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let expert = ABSOLUTE_POS % count;
    let row = ABSOLUTE_POS / count;
    let mut sample = row % samples;
    let mut stream = row / samples;
    if wide {
        sample = row / streams;
        stream = row % streams;
    }
    let at = (stream * samples + sample) * width;
    let x = expert_at(expert, sample, samples, count, width, wide);
    output[ABSOLUTE_POS] = dot(grad, at, experts, x, width);
}

/// Component `k` of `(e - mean) open`, of the vector that begins at `at`.
#[cube]
fn centred(e: &Tensor<f32>, mean: &Tensor<f32>, at: usize, row: usize, k: usize, open: f32) -> f32 {
    (e[at + k] - mean[row + k]) * open
}

/// Its mean square over all components, kept from zero.
#[cube]
fn mean_square(e: &Tensor<f32>, mean: &Tensor<f32>, at: usize, row: usize, open: f32, #[comptime] width: usize) -> f32 {
    let mut sum = 0.0f32;
    for k in 0..width {
        let x = centred(e, mean, at, row, k, open);
        sum += x * x;
    }
    sum / f32::cast_from(width) + TINY
}

#[cube(launch_unchecked)]
fn rms_norm_kernel(
    e: &Tensor<f32>,
    mean: &Tensor<f32>,
    open: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    n: usize,
    #[comptime] vectors: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let of = ABSOLUTE_POS / width % vectors;
    let vector = of * n + ABSOLUTE_POS / (vectors * width);
    let (at, row, open) = (vector * width, of * width, open[vector]);
    let root = f32::sqrt(mean_square(e, mean, at, row, open, width));
    output[ABSOLUTE_POS] = centred(e, mean, at, row, ABSOLUTE_POS % width, open) / root;
}

/// With `r` the root: `(g - x sum(g x) / (m r^2)) / r`, times `open`.
#[cube(launch_unchecked)]
fn rms_norm_grad_kernel(
    e: &Tensor<f32>,
    mean: &Tensor<f32>,
    open: &Tensor<f32>,
    grad: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    n: usize,
    #[comptime] vectors: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let vector = ABSOLUTE_POS / width;
    let column = ABSOLUTE_POS % width;
    let (at, row, open) = (vector * width, vector / n * width, open[vector]);
    let of_grad = (vector % n * vectors + vector / n) * width;
    let square = mean_square(e, mean, at, row, open, width);
    let mut along = 0.0f32;
    for k in 0..width {
        along += grad[of_grad + k] * centred(e, mean, at, row, k, open);
    }
    let straight = grad[of_grad + column] - centred(e, mean, at, row, column, open) * along / (f32::cast_from(width) * square);
    output[ABSOLUTE_POS] = straight / f32::sqrt(square) * open;
}

#[cube(launch_unchecked)]
fn fit_kernel(
    normed: &Tensor<f32>,
    other: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    samples: usize,
    candidates: usize,
    #[comptime] vectors: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let sample = ABSOLUTE_POS % samples;
    let e = (sample / candidates * vectors + ABSOLUTE_POS / samples) * width;
    output[ABSOLUTE_POS] = dot(normed, e, other, sample * width, width) / f32::cast_from(width);
}

#[cube(launch_unchecked)]
fn fit_grad_kernel(
    other: &Tensor<f32>,
    grad: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    samples: usize,
    candidates: usize,
    #[comptime] vectors: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let of_vector = ABSOLUTE_POS / width % vectors * samples;
    let first = ABSOLUTE_POS / (vectors * width) * candidates;
    let mut sum = 0.0f32;
    for sample in first..first + candidates {
        sum += grad[of_vector + sample] * other[sample * width + ABSOLUTE_POS % width];
    }
    output[ABSOLUTE_POS] = sum / f32::cast_from(width);
}

#[cube(launch_unchecked)]
fn dots_kernel(
    users: &Tensor<f32>,
    items: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    candidates: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    output[ABSOLUTE_POS] = dot(users, ABSOLUTE_POS / candidates * width, items, ABSOLUTE_POS * width, width);
}

#[cube(launch_unchecked)]
fn dots_grad_items_kernel(
    users: &Tensor<f32>,
    grad: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    candidates: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let sample = ABSOLUTE_POS / width;
    output[ABSOLUTE_POS] = grad[sample] * users[sample / candidates * width + ABSOLUTE_POS % width];
}

#[cube(launch_unchecked)]
fn dots_grad_users_kernel(
    items: &Tensor<f32>,
    grad: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    candidates: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let first = ABSOLUTE_POS / width * candidates;
    let mut sum = 0.0f32;
    for sample in first..first + candidates {
        sum += grad[sample] * items[sample * width + ABSOLUTE_POS % width];
    }
    output[ABSOLUTE_POS] = sum;
}

#[cube(launch_unchecked)]
fn delta_kernel(gate: &Tensor<f32>, output: &mut Tensor<f32>, units: usize) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    output[ABSOLUTE_POS] = 2.0f32 / (1.0f32 + (-gate[ABSOLUTE_POS]).exp());
}

fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    tensor.meta.shape().dims()
}

fn output(like: &CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape, dtype)
}

fn grid(like: &CubeTensor, units: usize) -> (CubeCount, CubeDim) {
    let cube = CubeDim::new(&like.client, units);
    (calculate_cube_count_elemwise(&like.client, units, cube), cube)
}

impl RowKernels for CubeBackend {
    fn pool_rows(table: FloatTensor<Self>, ids: IntTensor<Self>, bags: Bags, width: usize) -> FloatTensor<Self> {
        let ids = into_contiguous(ids);
        let [samples, _]: [usize; 2] = dims(&ids);
        let units = samples * bags.fields() * width;
        let out = output(&table, Shape::new([samples, bags.fields() * width]), table.dtype);
        let (count, cube) = grid(&table, units);
        // SAFETY: units beyond the output end at once, ids are below the table's rows by construction of the batch.
        unsafe {
            pool_rows_kernel::launch_unchecked(
                &out.client.clone(),
                count,
                cube,
                table.into_tensor_arg(),
                ids.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                units,
                bags.singles,
                bags.bags,
                bags.bag_len,
                width,
            );
        }
        out
    }

    fn adam_rows(
        table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        weights: FloatTensor<Self>,
        step: AdamStep,
    ) -> FloatTensor<Self> {
        let [_, row_width]: [usize; 2] = dims(&table);
        let [plan_len]: [usize; 1] = dims(&plan);
        let (width, rows) = (row_width / 3, plan_len / 2);
        let grad = into_contiguous(grad);
        let table = if table.can_mut() { table } else { table.copy() };
        let (count, cube) = grid(&table, rows * width);
        // SAFETY: a plan names rows of the table once each, and positions of the gradient.
        unsafe {
            adam_rows_kernel::launch_unchecked(
                &table.client.clone(),
                count,
                cube,
                table.clone().into_tensor_arg(),
                grad.into_tensor_arg(),
                plan.into_tensor_arg(),
                positions.into_tensor_arg(),
                weights.into_tensor_arg(),
                rows,
                step.learning_rate,
                step.correction_1,
                step.correction_2,
                width,
            );
        }
        table
    }

    fn nearest(v: FloatTensor<Self>, centres: FloatTensor<Self>, kind: IntTensor<Self>, levels: Levels, cosine: bool) -> IntTensor<Self> {
        let (v, centres) = (into_contiguous(v), into_contiguous(centres));
        let [samples, width]: [usize; 2] = dims(&v);
        let out = output(&v, Shape::new([samples, 2]), kind.dtype);
        let (count, cube) = grid(&v, samples);
        // SAFETY: units beyond the samples end at once; rows are below `levels.rows()`.
        unsafe {
            nearest_kernel::launch_unchecked(
                &out.client.clone(),
                count,
                cube,
                v.into_tensor_arg(),
                centres.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                samples,
                levels.first,
                levels.children,
                width,
                cosine,
            );
        }
        out
    }

    fn centre_pull(
        v: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        assigned: IntTensor<Self>,
        weights: FloatTensor<Self>,
        levels: Levels,
        sigma_in_graph: bool,
    ) -> FloatTensor<Self> {
        let (v, centres, assigned) = (into_contiguous(v), into_contiguous(centres), into_contiguous(assigned));
        let [samples, width]: [usize; 2] = dims(&v);
        let out = output(&v, Shape::new([levels.rows() * (width + 2)]), v.dtype);
        let (count, cube) = grid(&v, levels.rows());
        // SAFETY: a unit writes only its own row.
        unsafe {
            centre_pull_kernel::launch_unchecked(
                &out.client.clone(),
                count,
                cube,
                v.into_tensor_arg(),
                centres.into_tensor_arg(),
                assigned.into_tensor_arg(),
                weights.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                levels.rows(),
                samples,
                levels.first,
                width,
                sigma_in_graph,
            );
        }
        out
    }

    fn write_rows(
        table: FloatTensor<Self>,
        values: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        rule: RowRule,
    ) -> FloatTensor<Self> {
        let [_, width]: [usize; 2] = dims(&table);
        let [plan_len]: [usize; 1] = dims(&plan);
        let rows = plan_len / 2;
        let (values, weights) = (into_contiguous(values), into_contiguous(weights));
        let table = if table.can_mut() { table } else { table.copy() };
        let (count, cube) = grid(&table, rows * width);
        // SAFETY: a plan names rows of the table once each, and samples of the values.
        unsafe {
            write_rows_kernel::launch_unchecked(
                &table.client.clone(),
                count,
                cube,
                table.clone().into_tensor_arg(),
                values.into_tensor_arg(),
                weights.into_tensor_arg(),
                plan.into_tensor_arg(),
                positions.into_tensor_arg(),
                rows,
                width,
                rule == RowRule::Replace,
            );
        }
        table
    }

    fn pool_centres(
        centres: FloatTensor<Self>,
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self> {
        let (centres, entries, ids) = (into_contiguous(centres), into_contiguous(entries), into_contiguous(ids));
        let [_, width]: [usize; 2] = dims(&centres);
        let [samples, slots]: [usize; 2] = dims(&ids);
        let units = samples * (2 * width + 1);
        let out = output(&centres, Shape::new([samples * (2 * width + 1)]), centres.dtype);
        let (count, cube) = grid(&centres, units);
        // SAFETY: units beyond the output end at once; ids are items, and children are below `levels.rows()`.
        unsafe {
            pool_centres_kernel::launch_unchecked(
                &out.client.clone(),
                count,
                cube,
                centres.into_tensor_arg(),
                entries.into_tensor_arg(),
                born.into_tensor_arg(),
                ids.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                units,
                slots,
                levels.first,
                levels.children,
                width,
            );
        }
        out
    }

    fn count_shared(
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        own: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self> {
        let (entries, ids, own) = (into_contiguous(entries), into_contiguous(ids), into_contiguous(own));
        let [bags, slots]: [usize; 2] = dims(&ids);
        let [samples, _]: [usize; 2] = dims(&own);
        let out = output(&entries, Shape::new([samples, 3]), entries.dtype);
        let (count, cube) = grid(&entries, samples);
        // SAFETY: units beyond the samples end at once; ids are entries, and children are below `levels.rows()`.
        unsafe {
            count_shared_kernel::launch_unchecked(
                &out.client.clone(),
                count,
                cube,
                entries.into_tensor_arg(),
                born.into_tensor_arg(),
                ids.into_tensor_arg(),
                own.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                samples,
                slots,
                samples / bags,
                levels.children,
            );
        }
        out
    }
}

impl GraphKernels for CubeBackend {
    fn mix(gates: FloatTensor<Self>, experts: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        let (gates, experts) = (into_contiguous(gates), into_contiguous(experts));
        let out = output(&gates, Shape::new([mix.streams, mix.samples, mix.width]), gates.dtype);
        let units = mix.streams * mix.samples * mix.width;
        let (cubes, cube) = grid(&gates, units);
        // SAFETY: a unit writes one element of the output and reads within both inputs.
        unsafe {
            mix_kernel::launch_unchecked(
                &out.client.clone(),
                cubes,
                cube,
                gates.into_tensor_arg(),
                experts.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                units,
                mix.samples,
                mix.streams,
                mix.experts,
                mix.width,
                mix.wide,
            );
        }
        out
    }

    fn mix_grad_experts(gates: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        let (gates, grad) = (into_contiguous(gates), into_contiguous(grad));
        let out = output(&gates, Shape::new(mix.experts()), gates.dtype);
        let units = mix.experts * mix.samples * mix.width;
        let (cubes, cube) = grid(&gates, units);
        // SAFETY: a unit writes one element of the output and reads within both inputs.
        unsafe {
            mix_grad_experts_kernel::launch_unchecked(
                &out.client.clone(),
                cubes,
                cube,
                gates.into_tensor_arg(),
                grad.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                units,
                mix.samples,
                mix.streams,
                mix.experts,
                mix.width,
                mix.wide,
            );
        }
        out
    }

    fn mix_grad_gates(experts: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        let (experts, grad) = (into_contiguous(experts), into_contiguous(grad));
        let out = output(&experts, Shape::new(mix.gates()), experts.dtype);
        let units = mix.streams * mix.samples * mix.experts;
        let (cubes, cube) = grid(&experts, units);
        // SAFETY: a unit writes one element of the output and reads within both inputs.
        unsafe {
            mix_grad_gates_kernel::launch_unchecked(
                &out.client.clone(),
                cubes,
                cube,
                experts.into_tensor_arg(),
                grad.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                units,
                mix.samples,
                mix.streams,
                mix.experts,
                mix.width,
                mix.wide,
            );
        }
        out
    }

    fn rms_norm(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>) -> FloatTensor<Self> {
        let [e, mean, open] = [e, mean, open].map(into_contiguous);
        let [vectors, n, m]: [usize; 3] = dims(&e);
        let out = output(&e, Shape::new([n, vectors * m]), e.dtype);
        let units = vectors * n * m;
        let (cubes, cube) = grid(&e, units);
        // SAFETY: a unit writes one element of the output and reads its vector, its mean and whether it is open.
        unsafe {
            rms_norm_kernel::launch_unchecked(
                &out.client.clone(),
                cubes,
                cube,
                e.into_tensor_arg(),
                mean.into_tensor_arg(),
                open.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                units,
                n,
                vectors,
                m,
            );
        }
        out
    }

    fn rms_norm_grad(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let [e, mean, open, grad] = [e, mean, open, grad].map(into_contiguous);
        let [vectors, n, m]: [usize; 3] = dims(&e);
        let out = output(&e, Shape::new([vectors, n, m]), e.dtype);
        let units = vectors * n * m;
        let (cubes, cube) = grid(&e, units);
        // SAFETY: as in the forward pass; the gradient is of the output's shape.
        unsafe {
            rms_norm_grad_kernel::launch_unchecked(
                &out.client.clone(),
                cubes,
                cube,
                e.into_tensor_arg(),
                mean.into_tensor_arg(),
                open.into_tensor_arg(),
                grad.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                units,
                n,
                vectors,
                m,
            );
        }
        out
    }

    fn fit(normed: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        let [normed, other] = [normed, other].map(into_contiguous);
        let ([requests, columns], [samples, m]): ([usize; 2], [usize; 2]) = (dims(&normed), dims(&other));
        let vectors = columns / m;
        let out = output(&normed, Shape::new([vectors, samples]), normed.dtype);
        let units = samples * vectors;
        let (cubes, cube) = grid(&normed, units);
        // SAFETY: a unit writes one element of the output and reads its vector and its sample's.
        unsafe {
            fit_kernel::launch_unchecked(
                &out.client.clone(),
                cubes,
                cube,
                normed.into_tensor_arg(),
                other.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                units,
                samples,
                samples / requests,
                vectors,
                m,
            );
        }
        out
    }

    fn fit_grad(other: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self> {
        let [other, grad] = [other, grad].map(into_contiguous);
        let ([vectors, samples], [_, m]): ([usize; 2], [usize; 2]) = (dims(&grad), dims(&other));
        let out = output(&grad, Shape::new([requests, vectors * m]), grad.dtype);
        let units = requests * vectors * m;
        let (cubes, cube) = grid(&grad, units);
        // SAFETY: a unit writes one element of the output and reads the fits and samples of its request.
        unsafe {
            fit_grad_kernel::launch_unchecked(
                &out.client.clone(),
                cubes,
                cube,
                other.into_tensor_arg(),
                grad.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                units,
                samples,
                samples / requests,
                vectors,
                m,
            );
        }
        out
    }

    fn dots(users: FloatTensor<Self>, items: FloatTensor<Self>) -> FloatTensor<Self> {
        let [users, items] = [users, items].map(into_contiguous);
        let ([requests, m], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&users), dims(&items));
        let out = output(&items, Shape::new([samples, 1]), items.dtype);
        let (cubes, cube) = grid(&items, samples);
        // SAFETY: a unit writes one element of the output and reads its sample's two vectors.
        unsafe {
            dots_kernel::launch_unchecked(
                &out.client.clone(),
                cubes,
                cube,
                users.into_tensor_arg(),
                items.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                samples,
                samples / requests,
                m,
            );
        }
        out
    }

    fn dots_grad_items(users: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let [users, grad] = [users, grad].map(into_contiguous);
        let ([requests, m], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&users), dims(&grad));
        let out = output(&grad, Shape::new([samples, m]), grad.dtype);
        let (cubes, cube) = grid(&grad, samples * m);
        // SAFETY: a unit writes one element of the output and reads its sample's gradient and user.
        unsafe {
            dots_grad_items_kernel::launch_unchecked(
                &out.client.clone(),
                cubes,
                cube,
                users.into_tensor_arg(),
                grad.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                samples * m,
                samples / requests,
                m,
            );
        }
        out
    }

    fn dots_grad_users(items: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self> {
        let [items, grad] = [items, grad].map(into_contiguous);
        let [samples, m]: [usize; 2] = dims(&items);
        let out = output(&grad, Shape::new([requests, m]), grad.dtype);
        let (cubes, cube) = grid(&grad, requests * m);
        // SAFETY: a unit writes one element of the output and reads the gradients and items of its request.
        unsafe {
            dots_grad_users_kernel::launch_unchecked(
                &out.client.clone(),
                cubes,
                cube,
                items.into_tensor_arg(),
                grad.into_tensor_arg(),
                out.clone().into_tensor_arg(),
                requests * m,
                samples / requests,
                m,
            );
        }
        out
    }

    fn delta(gate: FloatTensor<Self>) -> FloatTensor<Self> {
        let gate = into_contiguous(gate);
        let out = output(&gate, gate.meta.shape().clone(), gate.dtype);
        let units = gate.meta.shape().num_elements();
        let (cubes, cube) = grid(&gate, units);
        // SAFETY: a unit writes one element of the output and reads the same of the input.
        unsafe {
            delta_kernel::launch_unchecked(&out.client.clone(), cubes, cube, gate.into_tensor_arg(), out.clone().into_tensor_arg(), units);
        }
        out
    }

    fn gated(gate: FloatTensor<Self>, lent: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_mul(Self::delta(gate), lent)
    }
}
