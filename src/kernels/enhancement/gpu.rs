//! Enhancement vectors on a GPU.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::super::gpu::{dims, dot, launch, output};
use super::{EnhancementGradients, EnhancementKernels, TINY};

impl EnhancementKernels for CubeBackend {
    fn rms_norm(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>) -> FloatTensor<Self> {
        let [vectors, n, m]: [usize; 3] = dims(&e);
        let out = output(&e, [n, vectors * m]);
        launch!(rms_norm_kernel(e, mean, open) -> out; vectors * n * m, n, vectors, m)
    }

    fn fit(normed: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([requests, columns], [samples, m]): ([usize; 2], [usize; 2]) = (dims(&normed), dims(&other));
        let vectors = columns / m;
        let out = output(&normed, [vectors, samples]);
        launch!(fit_kernel(normed, other) -> out; vectors * samples, samples, samples / requests, vectors, m)
    }

    fn gated(gate: FloatTensor<Self>, vectors: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_mul(Self::delta(gate), vectors)
    }
}

impl EnhancementGradients for CubeBackend {
    fn rms_norm_grad(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let [vectors, n, m]: [usize; 3] = dims(&e);
        let out = output(&e, [vectors, n, m]);
        launch!(rms_norm_grad_kernel(e, mean, open, grad) -> out; vectors * n * m, n, vectors, m)
    }

    fn fit_grad(other: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self> {
        let ([vectors, samples], [_, m]): ([usize; 2], [usize; 2]) = (dims(&grad), dims(&other));
        let out = output(&grad, [requests, vectors * m]);
        launch!(fit_grad_kernel(other, grad) -> out; requests * vectors * m, samples, samples / requests, vectors, m)
    }

    fn delta(gate: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape: [usize; 3] = dims(&gate);
        let out = output(&gate, shape);
        launch!(delta_kernel(gate) -> out; shape.iter().product())
    }
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
fn delta_kernel(gate: &Tensor<f32>, output: &mut Tensor<f32>, units: usize) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    output[ABSOLUTE_POS] = 2.0f32 / (1.0f32 + (-gate[ABSOLUTE_POS]).exp());
}
