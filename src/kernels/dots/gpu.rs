//! Dot products on a GPU.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

use super::super::gpu::{dims, dot, launch, output};
use super::{DotGradients, DotKernels};

impl DotKernels for CubeBackend {
    fn dots(users: FloatTensor<Self>, items: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([requests, m], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&users), dims(&items));
        let out = output(&items, [samples, 1]);
        launch!(dots_kernel(users, items) -> out; samples, samples / requests, m)
    }
}

impl DotGradients for CubeBackend {
    fn dots_grad_users(items: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self> {
        let [samples, m]: [usize; 2] = dims(&items);
        let out = output(&grad, [requests, m]);
        launch!(dots_grad_users_kernel(items, grad) -> out; requests * m, samples / requests, m)
    }

    fn dots_grad_items(users: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([requests, m], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&users), dims(&grad));
        let out = output(&grad, [samples, m]);
        launch!(dots_grad_items_kernel(users, grad) -> out; samples * m, samples / requests, m)
    }
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
