//! Target attention on a GPU.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::super::gpu::{dims, dot, launch, output as output_like};
use super::{AttentionKernels, WindowKernels};

impl AttentionKernels for CubeBackend {
    fn attend(
        queries: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::window_sum(Self::attention_weights(queries, behaviours.clone(), bias, ids), behaviours)
    }
}

impl WindowKernels for CubeBackend {
    fn attention_weights(
        queries: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let ([count, _], [requests, slots, width]): ([usize; 2], [usize; 3]) = (dims(&queries), dims(&behaviours));
        let per_request = count / requests;
        let out = output_like(&queries, [count, slots]);
        let logits = launch!(logits_kernel(queries, behaviours, bias) -> out; count * slots, slots, per_request, width);
        launch!(softmax_kernel(ids) -> logits; count, slots, per_request)
    }

    fn window_sum(weights: FloatTensor<Self>, behaviours: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([count, _], [requests, slots, width]): ([usize; 2], [usize; 3]) = (dims(&weights), dims(&behaviours));
        let out = output_like(&weights, [count, width]);
        launch!(window_sum_kernel(weights, behaviours) -> out; count * width, slots, count / requests, width)
    }

    fn attention_grad(
        queries: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        output: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let ([count, _], [requests, slots, width]): ([usize; 2], [usize; 3]) = (dims(&queries), dims(&behaviours));
        let per_request = count / requests;
        let (of_logits, of_behaviours) = (output_like(&weights, [count, slots]), output_like(&behaviours, [requests, slots, width]));
        let in_logits = launch!(logits_grad_kernel(behaviours.clone(), weights.clone(), output, grad.clone()) -> of_logits;
            count * slots, slots, per_request, width);
        let in_behaviours = launch!(behaviours_grad_kernel(queries, weights, grad, in_logits.clone()) -> of_behaviours;
            requests * slots * width, slots, per_request, width);
        (Self::window_sum(in_logits.clone(), behaviours), in_behaviours, in_logits)
    }
}

/// Logits of all slots, padding too.
#[cube(launch_unchecked)]
fn logits_kernel(
    queries: &Tensor<f32>,
    behaviours: &Tensor<f32>,
    bias: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    slots: usize,
    per_request: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let query = ABSOLUTE_POS / slots;
    let slot = query / per_request * slots + ABSOLUTE_POS % slots;
    output[ABSOLUTE_POS] = dot(queries, query * width, behaviours, slot * width, width) + bias[slot];
}

/// The softmax over the slots of each query, in place; padding gets 0.
#[cube(launch_unchecked)]
fn softmax_kernel(ids: &Tensor<i32>, logits: &mut Tensor<f32>, units: usize, slots: usize, per_request: usize) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let at = ABSOLUTE_POS * slots;
    let of_ids = ABSOLUTE_POS / per_request * slots;
    // Not -inf: WGSL has no such literal.
    let mut top = f32::new(-3.0e38);
    for h in 0..slots {
        if ids[of_ids + h] >= 0 && logits[at + h] > top {
            top = logits[at + h];
        }
    }
    let mut total = 0.0f32;
    for h in 0..slots {
        let mut weight = 0.0f32;
        if ids[of_ids + h] >= 0 {
            weight = (logits[at + h] - top).exp();
        }
        logits[at + h] = weight;
        total += weight;
    }
    if total > 0.0f32 {
        for h in 0..slots {
            logits[at + h] /= total;
        }
    }
}

#[cube(launch_unchecked)]
fn window_sum_kernel(
    weights: &Tensor<f32>,
    behaviours: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    slots: usize,
    per_request: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let query = ABSOLUTE_POS / width;
    let window = query / per_request * slots;
    let mut sum = 0.0f32;
    for h in 0..slots {
        sum += weights[query * slots + h] * behaviours[(window + h) * width + ABSOLUTE_POS % width];
    }
    output[ABSOLUTE_POS] = sum;
}

#[cube(launch_unchecked)]
fn logits_grad_kernel(
    behaviours: &Tensor<f32>,
    weights: &Tensor<f32>,
    attended: &Tensor<f32>,
    grad: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    slots: usize,
    per_request: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let query = ABSOLUTE_POS / slots;
    let slot = query / per_request * slots + ABSOLUTE_POS % slots;
    let through_slot = dot(grad, query * width, behaviours, slot * width, width);
    let through_all = dot(grad, query * width, attended, query * width, width);
    output[ABSOLUTE_POS] = weights[ABSOLUTE_POS] * (through_slot - through_all);
}

#[cube(launch_unchecked)]
fn behaviours_grad_kernel(
    queries: &Tensor<f32>,
    weights: &Tensor<f32>,
    grad: &Tensor<f32>,
    in_logits: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    slots: usize,
    per_request: usize,
    #[comptime] width: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let column = ABSOLUTE_POS % width;
    let slot = ABSOLUTE_POS / width;
    let first = slot / slots * per_request;
    let mut sum = 0.0f32;
    for query in first..first + per_request {
        let at = query * slots + slot % slots;
        sum += weights[at] * grad[query * width + column] + in_logits[at] * queries[query * width + column];
    }
    output[ABSOLUTE_POS] = sum;
}
