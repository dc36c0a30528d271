//! Sums over the batch on a GPU: the units of a cube share the samples and add up what they found in pairs.

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::super::gpu::{add_lanes, launch_cubes, most_units, output};
use super::{BatchSums, DenseKernels, MeanKernels, summed, weights};

/// Columns that a cube sums side by side: a read of so many numbers is one of the card's.
const COLUMNS: usize = 32;
/// Samples that a unit adds up at least, and at most before another cube takes the next.
const WALK: [usize; 2] = [16, 512];
/// Weights of a side of a block of a matrix product: each block walks all samples.
const BLOCK: usize = 64;
/// Blocks that a large card computes at once.
const BLOCKS: usize = 256;
/// Samples of a part of a product at least.
const PART: usize = 512;

impl DenseKernels for CubeBackend {}

impl MeanKernels for CubeBackend {
    fn mean(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let count = x.shape().num_elements();
        Self::float_reshape(sums(x, [1, count, 1], 1.0 / count as f32), Shape::new([1]))
    }
}

impl BatchSums for CubeBackend {
    fn sum_samples(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = x.shape();
        let [samples, columns] = last_two(&shape);
        Self::float_reshape(sums(x, [shape.num_elements() / (samples * columns), samples, columns], 1.0), summed(&shape))
    }

    fn sum_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let [rows, columns] = last_two(&x.shape());
        sums(x, [rows, columns, 1], 1.0)
    }

    fn product_grad_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = weights(&x.shape(), &grad.shape());
        let ([inputs, outputs], [samples, _]) = (last_two(&shape), last_two(&grad.shape()));
        let stack = shape.num_elements() / (inputs * outputs);
        let parts = parts(stack * inputs.div_ceil(BLOCK) * outputs.div_ceil(BLOCK), samples);
        let product = |x, grad| Self::float_matmul(Self::float_transpose(x), grad);
        if parts == 1 {
            return product(x, grad);
        }
        let split = |tensor, columns| Self::float_reshape(tensor, Shape::new([stack * parts, samples / parts, columns]));
        Self::float_reshape(sums(product(split(x, inputs), split(grad, outputs)), [stack, parts, inputs * outputs], 1.0), shape)
    }
}

fn last_two(shape: &Shape) -> [usize; 2] {
    let last = shape.num_dims() - 1;
    [shape[last - 1], shape[last]]
}

/// In how many parts of the samples a product is computed whose result has so many blocks: the fewer blocks the more.
fn parts(blocks: usize, samples: usize) -> usize {
    let mut parts = 1;
    while 2 * parts * blocks <= BLOCKS && samples.is_multiple_of(2 * parts) && samples / (2 * parts) >= PART {
        parts *= 2;
    }
    parts
}

/// `factor` times the sums over the samples of `x` `[stack, samples, columns]`: `[stack, columns]`.
fn sums(x: CubeTensor, [stack, samples, columns]: [usize; 3], factor: f32) -> CubeTensor {
    let across = COLUMNS.min(columns.next_power_of_two());
    let lanes = samples.div_ceil(WALK[0]).next_power_of_two().min(most_units(&x) / across);
    let (blocks, tiles) = (columns.div_ceil(across), samples.div_ceil(lanes * WALK[1]));
    let out = output(&x, [stack * tiles, columns]);
    let cubes = stack * tiles * blocks;
    let out = launch_cubes!(sum_samples_kernel(x) -> out;
        cubes, across * lanes, cubes, blocks, tiles, samples, columns, if tiles == 1 { factor } else { 1.0 }, across, lanes);
    if tiles == 1 { out } else { sums(out, [stack, tiles, columns], factor) }
}

#[cube(launch_unchecked)]
fn sum_samples_kernel(
    x: &Tensor<f32>,
    output: &mut Tensor<f32>,
    cubes: usize,
    blocks: usize,
    tiles: usize,
    samples: usize,
    columns: usize,
    factor: f32,
    #[comptime] across: usize,
    #[comptime] lanes: usize,
) {
    let mut found = Shared::<[f32]>::new_slice(across * lanes);
    let unit = UNIT_POS as usize;
    let (lane, column) = (unit / across, CUBE_POS % blocks * across + unit % across);
    let tile = CUBE_POS / blocks;
    let is_inside = CUBE_POS < cubes && column < columns;
    let mut sum = 0.0f32;
    if is_inside {
        let stretch = samples.div_ceil(tiles);
        let first = tile % tiles * stretch;
        let end = min(first + stretch, samples);
        let at = tile / tiles * samples;
        let mut sample = first + lane;
        while sample < end {
            sum += x[(at + sample) * columns + column];
            sample += lanes;
        }
    }
    found[unit] = sum;
    add_lanes(&mut found, across, lanes);
    if is_inside && lane == 0 {
        output[tile * columns + column] = found[unit] * factor;
    }
}
