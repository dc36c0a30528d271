//! The activation unit on a GPU.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::super::attention::WindowKernels;
use super::super::gpu::{dims, dot, launch, output};
use super::{ActivationKernels, UnitKernels};

impl ActivationKernels for CubeBackend {
    fn activation_unit(
        queries: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        unit: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let weights = Self::unit_weights(queries, offsets, unit, behaviours.clone(), bias, ids);
        Self::window_sum(weights, behaviours)
    }
}

impl UnitKernels for CubeBackend {
    fn unit_weights(
        queries: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        unit: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let ([count, _], [_, hidden]): ([usize; 2], [usize; 2]) = (dims(&queries), dims(&unit));
        let [requests, slots, width]: [usize; 3] = dims(&behaviours);
        let out = output(&queries, [count, slots]);
        launch!(unit_weights_kernel(queries, offsets, unit, behaviours, bias, ids) -> out;
            count * slots, slots, count / requests, width, hidden)
    }

    /// The gradient of a query's matrix `M` (see the CPU's side) is written once, `[queries, d, a]`; that of `B`, `P` and the query
    /// are sums over it.
    fn unit_grad(
        queries: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        unit: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        ids: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let ([count, _], [_, hidden]): ([usize; 2], [usize; 2]) = (dims(&queries), dims(&unit));
        let [requests, slots, width]: [usize; 3] = dims(&behaviours);
        let per_request = count / requests;
        let of_weights = output(&weights, [count, slots]);
        let in_weights = launch!(weights_grad_kernel(grad.clone(), behaviours.clone(), ids) -> of_weights;
            count * slots, slots, per_request, width);
        let of_hidden = |in_out: bool| {
            let (queries, offsets, unit) = (queries.clone(), offsets.clone(), unit.clone());
            let (behaviours, in_weights) = (behaviours.clone(), in_weights.clone());
            let out = output(&in_weights, [count, slots, hidden]);
            launch!(hidden_grad_kernel(queries, offsets, unit, behaviours, in_weights) -> out;
                count * slots * hidden, slots, per_request, width, hidden, in_out)
        };
        let (in_hidden, in_out) = (of_hidden(false), of_hidden(true));
        let of_behaviours = output(&behaviours, [requests, slots, width]);
        let in_behaviours = launch!(behaviours_grad_kernel(queries.clone(), unit.clone(), weights, grad, in_hidden.clone()) -> of_behaviours;
                requests * slots * width, slots, per_request, width, hidden);
        let of_matrix = output(&queries, [count, width, hidden]);
        let in_matrix = launch!(matrix_grad_kernel(behaviours, in_hidden.clone()) -> of_matrix;
            count * width * hidden, slots, per_request, width, hidden);

        let sum = |tensor: FloatTensor<Self>, along: usize, shape: [usize; 2]| {
            Self::float_reshape(Self::float_sum_dim(tensor, along), Shape::new(shape))
        };
        let by_query = Self::float_reshape(queries, Shape::new([count, width, 1]));
        let product = Self::float_slice(unit, &[(width..2 * width).into(), (0..hidden).into()]);
        let product = Self::float_reshape(product, Shape::new([1, width, hidden]));
        let in_unit = vec![
            sum(in_matrix.clone(), 0, [width, hidden]),
            sum(Self::float_mul(in_matrix.clone(), by_query), 0, [width, hidden]),
            sum(Self::float_reshape(in_out, Shape::new([count * slots, hidden])), 0, [1, hidden]),
        ];
        (
            sum(Self::float_mul(in_matrix, product), 2, [count, width]),
            sum(in_hidden, 1, [count, hidden]),
            Self::float_cat(in_unit, 0),
            in_behaviours,
            in_weights,
        )
    }
}

/// Hidden unit `a` of a query and the behaviour in `slot` of all windows, before ReLU.
#[cube]
fn hidden_unit(
    queries: &Tensor<f32>,
    offsets: &Tensor<f32>,
    unit: &Tensor<f32>,
    behaviours: &Tensor<f32>,
    query: usize,
    slot: usize,
    a: usize,
    #[comptime] width: usize,
    #[comptime] hidden: usize,
) -> f32 {
    let mut z = offsets[query * hidden + a];
    for k in 0..width {
        let weight = unit[k * hidden + a] + queries[query * width + k] * unit[(width + k) * hidden + a];
        z += behaviours[slot * width + k] * weight;
    }
    z
}

#[cube(launch_unchecked)]
fn unit_weights_kernel(
    queries: &Tensor<f32>,
    offsets: &Tensor<f32>,
    unit: &Tensor<f32>,
    behaviours: &Tensor<f32>,
    bias: &Tensor<f32>,
    ids: &Tensor<i32>,
    output: &mut Tensor<f32>,
    units: usize,
    slots: usize,
    per_request: usize,
    #[comptime] width: usize,
    #[comptime] hidden: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let query = ABSOLUTE_POS / slots;
    let slot = query / per_request * slots + ABSOLUTE_POS % slots;
    let mut weight = 0.0f32;
    if ids[slot] >= 0 {
        weight = bias[slot];
        for a in 0..hidden {
            let z = hidden_unit(queries, offsets, unit, behaviours, query, slot, a, width, hidden);
            if z > 0.0f32 {
                weight += z * unit[2 * width * hidden + a];
            }
        }
    }
    output[ABSOLUTE_POS] = weight;
}

/// What the weights receive; padding nothing.
#[cube(launch_unchecked)]
fn weights_grad_kernel(
    grad: &Tensor<f32>,
    behaviours: &Tensor<f32>,
    ids: &Tensor<i32>,
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
    let mut in_weight = 0.0f32;
    if ids[slot] >= 0 {
        in_weight = dot(grad, query * width, behaviours, slot * width, width);
    }
    output[ABSOLUTE_POS] = in_weight;
}

/// `[queries, slots, a]`: what the hidden units receive, or with `in_out` what they give to the gradient of `u`.
#[cube(launch_unchecked)]
fn hidden_grad_kernel(
    queries: &Tensor<f32>,
    offsets: &Tensor<f32>,
    unit: &Tensor<f32>,
    behaviours: &Tensor<f32>,
    in_weights: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    slots: usize,
    per_request: usize,
    #[comptime] width: usize,
    #[comptime] hidden: usize,
    #[comptime] in_out: bool,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let a = ABSOLUTE_POS % hidden;
    let weight = ABSOLUTE_POS / hidden;
    let query = weight / slots;
    let slot = query / per_request * slots + weight % slots;
    let z = hidden_unit(queries, offsets, unit, behaviours, query, slot, a, width, hidden);
    let mut slope = 0.0f32;
    if z > 0.0f32 {
        if in_out {
            slope = in_weights[weight] * z;
        } else {
            slope = in_weights[weight] * unit[2 * width * hidden + a];
        }
    }
    output[ABSOLUTE_POS] = slope;
}

#[cube(launch_unchecked)]
fn matrix_grad_kernel(
    behaviours: &Tensor<f32>,
    in_hidden: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    slots: usize,
    per_request: usize,
    #[comptime] width: usize,
    #[comptime] hidden: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let a = ABSOLUTE_POS % hidden;
    let k = ABSOLUTE_POS / hidden % width;
    let query = ABSOLUTE_POS / (width * hidden);
    let window = query / per_request * slots;
    let mut sum = 0.0f32;
    for h in 0..slots {
        sum += behaviours[(window + h) * width + k] * in_hidden[(query * slots + h) * hidden + a];
    }
    output[ABSOLUTE_POS] = sum;
}

#[cube(launch_unchecked)]
fn behaviours_grad_kernel(
    queries: &Tensor<f32>,
    unit: &Tensor<f32>,
    weights: &Tensor<f32>,
    grad: &Tensor<f32>,
    in_hidden: &Tensor<f32>,
    output: &mut Tensor<f32>,
    units: usize,
    slots: usize,
    per_request: usize,
    #[comptime] width: usize,
    #[comptime] hidden: usize,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let k = ABSOLUTE_POS % width;
    let slot = ABSOLUTE_POS / width;
    let first = slot / slots * per_request;
    let mut sum = 0.0f32;
    for query in first..first + per_request {
        let weight = query * slots + slot % slots;
        sum += weights[weight] * grad[query * width + k];
        let x = queries[query * width + k];
        for a in 0..hidden {
            sum += in_hidden[weight * hidden + a] * (unit[k * hidden + a] + x * unit[(width + k) * hidden + a]);
        }
    }
    output[ABSOLUTE_POS] = sum;
}
