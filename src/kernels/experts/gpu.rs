//! Experts on a GPU.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::super::gpu::{dot, launch, output};
use super::{ExpertGradients, ExpertKernels, Mix};

impl ExpertKernels for CubeBackend {
    fn mix(gates: FloatTensor<Self>, experts: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        let out = output(&gates, mix.outputs());
        let Mix { streams, samples, experts: count, width, wide } = mix;
        launch!(mix_kernel(gates, experts) -> out; streams * samples * width, samples, streams, count, width, wide)
    }
}

impl ExpertGradients for CubeBackend {
    fn mix_grad_gates(experts: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        let out = output(&experts, mix.gates());
        let Mix { streams, samples, experts: count, width, wide } = mix;
        launch!(mix_grad_gates_kernel(experts, grad) -> out; streams * samples * count, samples, streams, count, width, wide)
    }

    fn mix_grad_experts(gates: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        let out = output(&gates, mix.experts());
        let Mix { streams, samples, experts: count, width, wide } = mix;
        launch!(mix_grad_experts_kernel(gates, grad) -> out; count * samples * width, samples, streams, count, width, wide)
    }
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
