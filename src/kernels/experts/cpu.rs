//! Experts on the CPU.

#![allow(clippy::extra_unused_type_parameters, reason = "the attribute asks for one; the compiler does the vectorising")]

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use macerator::Simd;

use super::super::cpu::{add_scaled, dot, float, slices};
use super::{ExpertGradients, ExpertKernels, Mix};

impl ExpertKernels for Flex {
    fn mix(gates: FloatTensor<Self>, experts: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        slices!(f32: gates, experts);
        float(self::mix(gates, experts, mix), mix.outputs())
    }
}

impl ExpertGradients for Flex {
    fn mix_grad_gates(experts: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        slices!(f32: experts, grad);
        float(mix_grad_gates(experts, grad, mix), mix.gates())
    }

    fn mix_grad_experts(gates: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        slices!(f32: gates, grad);
        float(mix_grad_experts(gates, grad, mix), mix.experts())
    }
}

impl Mix {
    #[inline(always)]
    fn gate(self, stream: usize, sample: usize) -> usize {
        self.experts * if self.wide { sample * self.streams + stream } else { stream * self.samples + sample }
    }

    #[inline(always)]
    fn expert(self, expert: usize, sample: usize) -> usize {
        self.width * if self.wide { sample * self.experts + expert } else { expert * self.samples + sample }
    }

    #[inline(always)]
    fn output(self, stream: usize, sample: usize) -> usize {
        self.width * (stream * self.samples + sample)
    }
}

/// See [`super::mix`].
#[macerator::with_simd]
fn mix<S: Simd>(gates: &[f32], experts: &[f32], mix: Mix) -> Vec<f32> {
    let mut out = vec![0.0f32; mix.streams * mix.samples * mix.width];
    for g in 0..mix.streams {
        for s in 0..mix.samples {
            let out = &mut out[mix.output(g, s)..][..mix.width];
            for e in 0..mix.experts {
                let gate = gates[mix.gate(g, s) + e];
                add_scaled(out, gate, &experts[mix.expert(e, s)..][..mix.width]);
            }
        }
    }
    out
}

/// Its gradient in the experts.
#[macerator::with_simd]
fn mix_grad_experts<S: Simd>(gates: &[f32], grad: &[f32], mix: Mix) -> Vec<f32> {
    let mut out = vec![0.0f32; mix.experts * mix.samples * mix.width];
    for e in 0..mix.experts {
        for s in 0..mix.samples {
            let out = &mut out[mix.expert(e, s)..][..mix.width];
            for g in 0..mix.streams {
                let gate = gates[mix.gate(g, s) + e];
                add_scaled(out, gate, &grad[mix.output(g, s)..][..mix.width]);
            }
        }
    }
    out
}

/// Its gradient in the gates.
#[macerator::with_simd]
fn mix_grad_gates<S: Simd>(experts: &[f32], grad: &[f32], mix: Mix) -> Vec<f32> {
    let mut out = vec![0.0f32; mix.streams * mix.samples * mix.experts];
    for g in 0..mix.streams {
        for s in 0..mix.samples {
            let g_out = &grad[mix.output(g, s)..][..mix.width];
            let out = &mut out[mix.gate(g, s)..][..mix.experts];
            for (e, out) in out.iter_mut().enumerate() {
                *out = dot(g_out, &experts[mix.expert(e, s)..][..mix.width]);
            }
        }
    }
    out
}
