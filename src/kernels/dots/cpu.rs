//! Dot products on the CPU.

#![allow(clippy::extra_unused_type_parameters, reason = "the attribute asks for one; the compiler does the vectorising")]

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use macerator::Simd;

use super::super::cpu::{add_scaled, dims, dot_in_pairs, float, slices};
use super::{DotGradients, DotKernels};

impl DotKernels for Flex {
    fn dots(users: FloatTensor<Self>, items: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([requests, m], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&users), dims(&items));
        slices!(f32: users, items);
        float(dots(users, items, requests, m), [samples, 1])
    }
}

impl DotGradients for Flex {
    fn dots_grad_users(items: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self> {
        let [_, m]: [usize; 2] = dims(&items);
        slices!(f32: items, grad);
        float(dots_grad_users(items, grad, requests, m), [requests, m])
    }

    fn dots_grad_items(users: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([requests, m], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&users), dims(&grad));
        slices!(f32: users, grad);
        float(dots_grad_items(users, grad, requests, m), [samples, m])
    }
}

/// See [`super::dots`].
#[macerator::with_simd]
fn dots<S: Simd>(users: &[f32], items: &[f32], requests: usize, m: usize) -> Vec<f32> {
    let of_request = items.len() / requests;
    let mut out = Vec::with_capacity(items.len() / m);
    for (user, items) in users.chunks_exact(m).zip(items.chunks_exact(of_request)) {
        out.extend(items.chunks_exact(m).map(|item| dot_in_pairs(item, user)));
    }
    out
}

/// Their gradient in the users, of the dots' gradient `grad`.
#[macerator::with_simd]
fn dots_grad_users<S: Simd>(items: &[f32], grad: &[f32], requests: usize, m: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; requests * m];
    let of_requests = grad.chunks_exact(grad.len() / requests).zip(items.chunks_exact(items.len() / requests));
    for (out, (grad, items)) in out.chunks_exact_mut(m).zip(of_requests) {
        for (item, g) in items.chunks_exact(m).zip(grad) {
            add_scaled(out, *g, item);
        }
    }
    out
}

/// Their gradient in the items, of the dots' gradient `grad`.
#[macerator::with_simd]
fn dots_grad_items<S: Simd>(users: &[f32], grad: &[f32], requests: usize, m: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; grad.len() * m];
    let of_requests = grad.chunks_exact(grad.len() / requests).zip(users.chunks_exact(m));
    for (out, (grad, user)) in out.chunks_exact_mut(grad.len() / requests * m).zip(of_requests) {
        for (out, g) in out.chunks_exact_mut(m).zip(grad) {
            out.iter_mut().zip(user).for_each(|(out, x)| *out = g * x);
        }
    }
    out
}
