//! Enhancement vectors on the CPU.

#![allow(clippy::extra_unused_type_parameters, reason = "the attribute asks for one; the compiler does the vectorising")]

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use macerator::Simd;

use super::super::cpu::{add_scaled, dims, dot_in_pairs, float, slices, sum};
use super::{EnhancementGradients, EnhancementKernels, TINY};

impl EnhancementKernels for Flex {
    fn rms_norm(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>) -> FloatTensor<Self> {
        let [vectors, n, m]: [usize; 3] = dims(&e);
        slices!(f32: e, mean, open);
        float(rms_norm(e, mean, open, n, m), [n, vectors * m])
    }

    fn fit(normed: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([requests, columns], [samples, m]): ([usize; 2], [usize; 2]) = (dims(&normed), dims(&other));
        slices!(f32: normed, other);
        float(fit(normed, other, requests, m), [columns / m, samples])
    }

    fn gated(gate: FloatTensor<Self>, vectors: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_mul(Self::delta(gate), vectors)
    }
}

impl EnhancementGradients for Flex {
    fn rms_norm_grad(e: FloatTensor<Self>, mean: FloatTensor<Self>, open: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let [vectors, n, m]: [usize; 3] = dims(&e);
        slices!(f32: e, mean, open, grad);
        float(rms_norm_grad(e, mean, open, grad, n, m), [vectors, n, m])
    }

    fn fit_grad(other: FloatTensor<Self>, grad: FloatTensor<Self>, requests: usize) -> FloatTensor<Self> {
        let ([vectors, _], [_, m]): ([usize; 2], [usize; 2]) = (dims(&grad), dims(&other));
        slices!(f32: other, grad);
        float(fit_grad(other, grad, requests, m), [requests, vectors * m])
    }

    fn delta(gate: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape: [usize; 3] = dims(&gate);
        slices!(f32: gate);
        float(delta(gate), shape)
    }
}

/// `(e - mean) open`
#[inline(always)]
fn centre(x: &mut [f32], e: &[f32], mean: &[f32], open: f32) {
    x.iter_mut().zip(e).zip(mean).for_each(|((x, e), mean)| *x = (e - mean) * open);
}

/// See [`super::rms_norm`]; `n` vectors share a mean.
#[macerator::with_simd]
fn rms_norm<S: Simd>(e: &[f32], mean: &[f32], open: &[f32], n: usize, m: usize) -> Vec<f32> {
    let vectors = e.len() / m / n;
    let mut out = vec![0.0f32; e.len()];
    for (r, out) in out.chunks_exact_mut(vectors * m).enumerate() {
        for (v, (x, mean)) in out.chunks_exact_mut(m).zip(mean.chunks_exact(m)).enumerate() {
            let at = v * n + r;
            centre(x, &e[at * m..][..m], mean, open[at]);
            let root = (dot_in_pairs(x, x) / m as f32 + TINY).sqrt();
            x.iter_mut().for_each(|x| *x /= root);
        }
    }
    out
}

/// Its gradient in `e`, of the output's gradient `grad`.
#[macerator::with_simd]
fn rms_norm_grad<S: Simd>(e: &[f32], mean: &[f32], open: &[f32], grad: &[f32], n: usize, m: usize) -> Vec<f32> {
    let vectors = e.len() / m / n;
    let (mut out, mut x) = (vec![0.0f32; e.len()], vec![0.0f32; m]);
    for (r, grad) in grad.chunks_exact(vectors * m).enumerate() {
        for (v, (grad, mean)) in grad.chunks_exact(m).zip(mean.chunks_exact(m)).enumerate() {
            let at = v * n + r;
            centre(&mut x, &e[at * m..][..m], mean, open[at]);
            let out = &mut out[at * m..][..m];
            let square = dot_in_pairs(&x, &x) / m as f32 + TINY;
            let root = square.sqrt();
            let (over, squared) = (1.0 / root, root * root);
            out.iter_mut().zip(&x).zip(grad).for_each(|((out, x), g)| *out = g * (-x / squared));
            let through_root = sum(out) * (square.powf(-0.5) / 2.0);
            let through_mean = 1.0 / m as f32 * through_root;
            for ((out, x), g) in out.iter_mut().zip(&x).zip(grad) {
                let half = through_mean * x;
                *out = (g * over + half + half) * open[at];
            }
        }
    }
    out
}

/// See [`super::fit`].
#[macerator::with_simd]
fn fit<S: Simd>(normed: &[f32], other: &[f32], requests: usize, m: usize) -> Vec<f32> {
    let (vectors, candidates) = (normed.len() / m / requests, other.len() / m / requests);
    let mut out = Vec::with_capacity(vectors * requests * candidates);
    for v in 0..vectors {
        for (normed, others) in normed.chunks_exact(vectors * m).zip(other.chunks_exact(candidates * m)) {
            let e = &normed[v * m..][..m];
            out.extend(others.chunks_exact(m).map(|other| dot_in_pairs(e, other) / m as f32));
        }
    }
    out
}

/// Its gradient in `normed`, of the fits' gradient `grad`.
#[macerator::with_simd]
fn fit_grad<S: Simd>(other: &[f32], grad: &[f32], requests: usize, m: usize) -> Vec<f32> {
    let samples = other.len() / m;
    let (vectors, candidates) = (grad.len() / samples, samples / requests);
    let mut out = vec![0.0f32; requests * vectors * m];
    for (r, (out, others)) in out.chunks_exact_mut(vectors * m).zip(other.chunks_exact(candidates * m)).enumerate() {
        for (v, out) in out.chunks_exact_mut(m).enumerate() {
            let grad = &grad[v * samples + r * candidates..][..candidates];
            for (g, other) in grad.iter().zip(others.chunks_exact(m)) {
                add_scaled(out, 1.0 / m as f32 * g, other);
            }
        }
    }
    out
}

/// `2 sigmoid(gate)` as burn computes it, but without a branch: gates are as often above 0 as below, which no processor can foresee.
#[macerator::with_simd]
fn delta<S: Simd>(gate: &[f32]) -> Vec<f32> {
    let twice = |&x: &f32| {
        let e = (-x.abs()).exp();
        2.0 * ((if x >= 0.0 { 1.0 } else { e }) / (1.0 + e))
    };
    gate.iter().map(twice).collect()
}
