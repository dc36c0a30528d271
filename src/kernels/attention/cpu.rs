//! Target attention on the CPU.

#![allow(clippy::extra_unused_type_parameters, reason = "the attribute asks for one; the compiler does the vectorising")]

use burn::backend::Flex;
use burn::backend::tensor::{FloatTensor, IntTensor};
use macerator::Simd;

use super::super::cpu::{add_scaled, dims, dot_in_pairs, float, slices};
use super::{AttentionKernels, WindowKernels};

impl AttentionKernels for Flex {
    fn attend(
        queries: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::window_sum(Self::attention_weights(queries, behaviours.clone(), bias, ids), behaviours)
    }
}

impl WindowKernels for Flex {
    fn attention_weights(
        queries: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let ([count, _], [_, slots, width]): ([usize; 2], [usize; 3]) = (dims(&queries), dims(&behaviours));
        slices!(f32: queries, behaviours, bias);
        slices!(i32: ids);
        float(attention_weights(queries, behaviours, bias, ids, slots, width), [count, slots])
    }

    fn window_sum(weights: FloatTensor<Self>, behaviours: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([count, _], [_, slots, width]): ([usize; 2], [usize; 3]) = (dims(&weights), dims(&behaviours));
        slices!(f32: weights, behaviours);
        float(window_sum(weights, behaviours, slots, width), [count, width])
    }

    fn attention_grad(
        queries: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        output: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let ([count, _], [requests, slots, width]): ([usize; 2], [usize; 3]) = (dims(&queries), dims(&behaviours));
        slices!(f32: queries, behaviours, weights, output, grad);
        let (in_queries, in_behaviours, in_logits) = attention_grad(queries, behaviours, weights, output, grad, slots, width);
        (float(in_queries, [count, width]), float(in_behaviours, [requests, slots, width]), float(in_logits, [count, slots]))
    }
}

/// See [`WindowKernels::attention_weights`].
#[macerator::with_simd]
fn attention_weights<S: Simd>(queries: &[f32], behaviours: &[f32], bias: &[f32], ids: &[i32], slots: usize, width: usize) -> Vec<f32> {
    let (requests, count) = (ids.len() / slots, queries.len() / width);
    let mut out = vec![0.0f32; count * slots];
    let of_request = out.chunks_exact_mut(count / requests * slots).zip(queries.chunks_exact(count / requests * width));
    let windows = behaviours.chunks_exact(slots * width).zip(bias.chunks_exact(slots)).zip(ids.chunks_exact(slots));
    for ((out, queries), ((behaviours, bias), ids)) in of_request.zip(windows) {
        for (weights, query) in out.chunks_exact_mut(slots).zip(queries.chunks_exact(width)) {
            let mut top = f32::NEG_INFINITY;
            for (h, weight) in weights.iter_mut().enumerate().filter(|(h, _)| ids[*h] >= 0) {
                *weight = dot_in_pairs(query, &behaviours[h * width..][..width]) + bias[h];
                top = top.max(*weight);
            }
            let mut total = 0.0f32;
            for (weight, _) in weights.iter_mut().zip(ids).filter(|(_, id)| **id >= 0) {
                *weight = (*weight - top).exp();
                total += *weight;
            }
            if total > 0.0 {
                weights.iter_mut().for_each(|weight| *weight /= total);
            }
        }
    }
    out
}

/// See [`WindowKernels::window_sum`].
#[macerator::with_simd]
fn window_sum<S: Simd>(weights: &[f32], behaviours: &[f32], slots: usize, width: usize) -> Vec<f32> {
    let (count, requests) = (weights.len() / slots, behaviours.len() / width / slots);
    let mut out = vec![0.0f32; count * width];
    let of_request = out.chunks_exact_mut(count / requests * width).zip(weights.chunks_exact(count / requests * slots));
    for ((out, weights), behaviours) in of_request.zip(behaviours.chunks_exact(slots * width)) {
        for (out, weights) in out.chunks_exact_mut(width).zip(weights.chunks_exact(slots)) {
            for (weight, behaviour) in weights.iter().zip(behaviours.chunks_exact(width)).filter(|(weight, _)| **weight != 0.0) {
                add_scaled(out, *weight, behaviour);
            }
        }
    }
    out
}

/// See [`WindowKernels::attention_grad`]. Since `sum_h w[h] (grad . b[h]) = grad . out`, the logit of slot `h` gets
/// `w[h] (grad . b[h] - grad . out)`.
#[macerator::with_simd]
fn attention_grad<S: Simd>(
    queries: &[f32],
    behaviours: &[f32],
    weights: &[f32],
    output: &[f32],
    grad: &[f32],
    slots: usize,
    width: usize,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (count, requests) = (queries.len() / width, behaviours.len() / width / slots);
    let (mut in_queries, mut in_behaviours, mut in_logits) =
        (vec![0.0f32; queries.len()], vec![0.0f32; behaviours.len()], vec![0.0f32; weights.len()]);
    for q in 0..count {
        let r = q / (count / requests);
        let (query, grad, output) = (&queries[q * width..][..width], &grad[q * width..][..width], &output[q * width..][..width]);
        let (in_query, through_all) = (&mut in_queries[q * width..][..width], dot_in_pairs(grad, output));
        for h in (0..slots).filter(|h| weights[q * slots + h] != 0.0) {
            let (weight, behaviour) = (weights[q * slots + h], &behaviours[(r * slots + h) * width..][..width]);
            let logit = weight * (dot_in_pairs(grad, behaviour) - through_all);
            in_logits[q * slots + h] = logit;
            add_scaled(in_query, logit, behaviour);
            let in_behaviour = &mut in_behaviours[(r * slots + h) * width..][..width];
            for ((out, grad), query) in in_behaviour.iter_mut().zip(grad).zip(query) {
                *out += weight * grad + logit * query;
            }
        }
    }
    (in_queries, in_behaviours, in_logits)
}
