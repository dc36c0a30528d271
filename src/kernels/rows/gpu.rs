//! Rows of tables on a GPU.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::super::gpu::{add_lanes, dims, launch, launch_cubes, most_units, output, writable};
use super::{AdamStep, BETA_1, BETA_2, Bags, EPSILON, PRIOR_TOUCHES, RowKernels, RowRule};

/// Units that share the walk over a row's contributions on a large card. At Table 3's sizes the most frequent category has tens of
/// thousands in a batch of 16,384: one unit's walk took 2.7 ms on an H200.
const LANES: usize = 8;
/// Columns that a cube steps side by side at most.
const COLUMNS: usize = 32;
/// Units of a cube by which a large card is known. A browser allows 256; an adapter made of software waits long where units meet.
const LARGE: usize = 1_024;

impl RowKernels for CubeBackend {
    fn pool_rows(table: FloatTensor<Self>, ids: IntTensor<Self>, bags: Bags, width: usize) -> FloatTensor<Self> {
        let [samples, _]: [usize; 2] = dims(&ids);
        let columns = bags.fields() * width;
        let out = output(&table, [samples, columns]);
        launch!(pool_rows_kernel(table, ids) -> out; samples * columns, bags.singles, bags.bags, bags.bag_len, width)
    }

    fn adam_rows(
        table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        weights: FloatTensor<Self>,
        step: AdamStep,
    ) -> FloatTensor<Self> {
        let ([_, columns], [plan_len]): ([usize; 2], [usize; 1]) = (dims(&table), dims(&plan));
        let (width, rows) = (columns / 3, plan_len / 2);
        let AdamStep { learning_rate, correction_1, correction_2 } = step;
        if most_units(&grad) < LARGE {
            return launch!(adam_rows_kernel(grad, plan, positions, weights) -> writable(table);
                rows * width, learning_rate, correction_1, correction_2, width);
        }
        let across = COLUMNS.min(width.next_power_of_two());
        let blocks = width.div_ceil(across);
        launch_cubes!(adam_long_rows_kernel(grad, plan, positions, weights) -> writable(table);
            rows * blocks, across * LANES, rows, blocks, learning_rate, correction_1, correction_2, width, across, LANES)
    }

    fn recall(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        own: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        own_mean: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [levels, n, width]: [usize; 3] = dims(&own);
        let out = output(&own, [levels, n, width]);
        launch!(recall_kernel(table, ids, own, mean, own_mean) -> out; levels * n * width, n, width)
    }

    fn write_rows(
        table: FloatTensor<Self>,
        values: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        rule: RowRule,
    ) -> FloatTensor<Self> {
        let ([_, width], [plan_len]): ([usize; 2], [usize; 1]) = (dims(&table), dims(&plan));
        let rows = plan_len / 2;
        launch!(write_rows_kernel(values, weights, plan, positions) -> writable(table); rows * width, width, rule == RowRule::Replace)
    }
}

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
        let id = ids[first + field];
        let mut weight = 0.0f32;
        if id >= 0 {
            weight = table[usize::cast_from(id) * (3 * width) + column];
        }
        output[ABSOLUTE_POS] = weight;
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

/// Adam on one number of a row, at `at` of the table, from its gradient.
#[cube]
fn adam(table: &mut Tensor<f32>, at: usize, g: f32, learning_rate: f32, correction_1: f32, correction_2: f32, #[comptime] width: usize) {
    let m = BETA_1 * table[at + width] + (1.0f32 - BETA_1) * g;
    let v = BETA_2 * table[at + 2 * width] + (1.0f32 - BETA_2) * g * g;
    let denominator = (v * correction_2).sqrt() + EPSILON;
    table[at] -= learning_rate * (m * correction_1) / denominator;
    table[at + width] = m;
    table[at + 2 * width] = v;
}

#[cube(launch_unchecked)]
fn adam_rows_kernel(
    grad: &Tensor<f32>,
    plan: &Tensor<i32>,
    positions: &Tensor<i32>,
    weights: &Tensor<f32>,
    table: &mut Tensor<f32>,
    units: usize,
    learning_rate: f32,
    correction_1: f32,
    correction_2: f32,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let rows = units / width;
    let index = ABSOLUTE_POS / width;
    let column = ABSOLUTE_POS % width;
    let row = plan[index];
    if row >= 0 {
        let mut g = 0.0f32;
        let start = usize::cast_from(plan[rows + index]);
        let end = usize::cast_from(plan[rows + index + 1]);
        for c in start..end {
            g += weights[c] * grad[usize::cast_from(positions[c]) * width + column];
        }
        adam(table, usize::cast_from(row) * (3 * width) + column, g, learning_rate, correction_1, correction_2, width);
    }
}

/// The same, a row's contributions shared among the units of a cube.
#[cube(launch_unchecked)]
fn adam_long_rows_kernel(
    grad: &Tensor<f32>,
    plan: &Tensor<i32>,
    positions: &Tensor<i32>,
    weights: &Tensor<f32>,
    table: &mut Tensor<f32>,
    rows: usize,
    blocks: usize,
    learning_rate: f32,
    correction_1: f32,
    correction_2: f32,
    #[comptime] width: usize,
    #[comptime] across: usize,
    #[comptime] lanes: usize,
) {
    let mut found = Shared::<[f32]>::new_slice(across * lanes);
    let unit = UNIT_POS as usize;
    let index = CUBE_POS / blocks;
    let (lane, column) = (unit / across, CUBE_POS % blocks * across + unit % across);
    let is_inside = index < rows && column < width;
    let mut sum = 0.0f32;
    if is_inside {
        let end = usize::cast_from(plan[rows + index + 1]);
        let mut c = usize::cast_from(plan[rows + index]) + lane;
        while c < end {
            sum += weights[c] * grad[usize::cast_from(positions[c]) * width + column];
            c += lanes;
        }
    }
    found[unit] = sum;
    add_lanes(&mut found, across, lanes);
    if is_inside && lane == 0 && plan[index] >= 0 {
        let at = usize::cast_from(plan[index]) * (3 * width) + column;
        adam(table, at, found[unit], learning_rate, correction_1, correction_2, width);
    }
}

#[cube(launch_unchecked)]
fn recall_kernel(
    table: &Tensor<f32>,
    ids: &Tensor<i32>,
    own: &Tensor<f32>,
    mean: &Tensor<f32>,
    own_mean: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    n: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let (row, column) = (ABSOLUTE_POS / width, ABSOLUTE_POS % width);
    let (level, at) = (row / n, usize::cast_from(ids[row % n]) * (2 * width + 1));
    let touches = table[at + 2 * width];
    let memory = table[at + level * width + column] - mean[level * width + column];
    let of_own = own[ABSOLUTE_POS] - own_mean[column];
    output[ABSOLUTE_POS] = of_own + (memory - of_own) * (touches / (touches + PRIOR_TOUCHES));
}

#[cube(launch_unchecked)]
fn write_rows_kernel(
    values: &Tensor<f32>,
    weights: &Tensor<f32>,
    plan: &Tensor<i32>,
    positions: &Tensor<i32>,
    table: &mut Tensor<f32>,
    units: usize,
    #[comptime] width: usize,
    #[comptime] replace: bool,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let rows = units / width;
    let index = ABSOLUTE_POS / width;
    let column = ABSOLUTE_POS % width;
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
