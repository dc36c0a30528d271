//! The kernels as plain loops over slices, for the CPU.

use burn::backend::Flex;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, TensorData};

use super::{AdamStep, BETA_1, BETA_2, Bags, EPSILON, Levels, MixKernels, RowKernels};

/// A float tensor's numbers, contiguous.
macro_rules! slice {
    ($tensor:ident, $type:ty) => {
        let $tensor = if $tensor.is_contiguous() { $tensor } else { $tensor.to_contiguous() };
        let $tensor: &[$type] = $tensor.as_slice().expect("a contiguous tensor of the type that the kernels are given");
    };
}

fn float<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FloatTensor<Flex> {
    Flex::float_from_data(TensorData::new(values, shape), &Default::default())
}

fn dims<const D: usize>(tensor: &FloatTensor<Flex>) -> [usize; D] {
    tensor.layout().shape().dims()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

impl RowKernels for Flex {
    fn pool_rows(table: FloatTensor<Self>, ids: IntTensor<Self>, bags: Bags, width: usize) -> FloatTensor<Self> {
        let [samples, slots]: [usize; 2] = dims(&ids);
        slice!(table, f32);
        slice!(ids, i32);
        let row = |id: i32| &table[id as usize * 3 * width..][..width];
        let mut out = vec![0.0f32; samples * bags.fields() * width];
        for (out, ids) in out.chunks_exact_mut(bags.fields() * width).zip(ids.chunks_exact(slots)) {
            let (singles, pooled) = out.split_at_mut(bags.singles * width);
            for (out, &id) in singles.chunks_exact_mut(width).zip(ids) {
                out.copy_from_slice(row(id));
            }
            for (out, ids) in pooled.chunks_exact_mut(width).zip(ids[bags.singles..].chunks_exact(bags.bag_len.max(1))) {
                let mut count = 0.0f32;
                for &id in ids.iter().filter(|&&id| id >= 0) {
                    count += 1.0;
                    out.iter_mut().zip(row(id)).for_each(|(o, r)| *o += r);
                }
                let scale = 1.0 / count.max(1.0);
                out.iter_mut().for_each(|o| *o *= scale);
            }
        }
        float(out, [samples, bags.fields() * width])
    }

    fn adam_rows(
        mut table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        weights: FloatTensor<Self>,
        step: AdamStep,
    ) -> FloatTensor<Self> {
        let [_, row_width]: [usize; 2] = dims(&table);
        let width = row_width / 3;
        slice!(grad, f32);
        slice!(plan, i32);
        slice!(positions, i32);
        slice!(weights, f32);
        let (rows, bounds) = plan.split_at(plan.len() / 2);
        let mut sum = vec![0.0f32; width];
        let storage: &mut [f32] = table.storage_mut();
        for (index, &row) in rows.iter().enumerate().filter(|(_, row)| **row >= 0) {
            sum.fill(0.0);
            for c in bounds[index] as usize..bounds[index + 1] as usize {
                let g = &grad[positions[c] as usize * width..][..width];
                sum.iter_mut().zip(g).for_each(|(s, g)| *s += weights[c] * g);
            }
            let (w, moments) = storage[row as usize * row_width..][..row_width].split_at_mut(width);
            let (m, v) = moments.split_at_mut(width);
            for k in 0..width {
                m[k] = BETA_1 * m[k] + (1.0 - BETA_1) * sum[k];
                v[k] = BETA_2 * v[k] + (1.0 - BETA_2) * sum[k] * sum[k];
                let denominator = (v[k] * step.correction_2).sqrt() + EPSILON;
                w[k] -= step.learning_rate * (m[k] * step.correction_1) / denominator;
            }
        }
        table
    }

    fn nearest(v: FloatTensor<Self>, centres: FloatTensor<Self>, _kind: IntTensor<Self>, levels: Levels, cosine: bool) -> IntTensor<Self> {
        let [samples, m]: [usize; 2] = dims(&v);
        slice!(v, f32);
        slice!(centres, f32);
        let keys: Vec<f32> = centres.chunks_exact(m).map(|mu| if cosine { 1.0 / (dot(mu, mu) + 1e-12).sqrt() } else { 1.0 }).collect();
        let best = |v: &[f32], start: usize, count: usize| {
            let mut best = (0, f32::NEG_INFINITY);
            for c in 0..count {
                let similarity = dot(v, &centres[(start + c) * m..][..m]) * keys[start + c];
                if similarity > best.1 {
                    best = (c, similarity);
                }
            }
            best.0
        };
        let mut out = Vec::with_capacity(samples * 2);
        for v in v.chunks_exact(m) {
            let parent = best(v, 0, levels.first);
            let child = best(v, levels.first + parent * levels.children, levels.children);
            out.extend([parent as i32, (parent * levels.children + child) as i32]);
        }
        Flex::int_from_data(TensorData::new(out, [samples, 2]).convert_dtype(DType::I32), &Default::default())
    }

    fn centre_pull(
        v: FloatTensor<Self>,
        centres: FloatTensor<Self>,
        assigned: IntTensor<Self>,
        weights: FloatTensor<Self>,
        levels: Levels,
        sigma_in_graph: bool,
    ) -> FloatTensor<Self> {
        let [_, m]: [usize; 2] = dims(&v);
        slice!(v, f32);
        slice!(centres, f32);
        slice!(assigned, i32);
        slice!(weights, f32);
        let mut out = vec![0.0f32; levels.rows() * (m + 2)];
        for (s, v) in v.chunks_exact(m).enumerate().filter(|(s, _)| weights[*s] > 0.0) {
            let rows = [assigned[2 * s] as usize, levels.first + assigned[2 * s + 1] as usize];
            for row in rows {
                let mu = &centres[row * m..][..m];
                let out = &mut out[row * (m + 2)..][..m + 2];
                let sigma = sigmoid(dot(v, mu));
                let distance: f32 = v.iter().zip(mu).map(|(v, mu)| (v - mu) * (v - mu)).sum();
                let slope = if sigma_in_graph { 0.5 * sigma * (1.0 - sigma) * distance } else { 0.0 };
                for k in 0..m {
                    out[k] += sigma * (v[k] - mu[k]) - slope * v[k];
                }
                out[m] += 1.0;
                out[m + 1] += sigma * distance;
            }
        }
        float(out, [levels.rows(), m + 2])
    }
}

impl MixKernels for Flex {
    fn mix(gates: FloatTensor<Self>, experts: FloatTensor<Self>) -> FloatTensor<Self> {
        let [streams, samples, count]: [usize; 3] = dims(&gates);
        let [_, _, width]: [usize; 3] = dims(&experts);
        slice!(gates, f32);
        slice!(experts, f32);
        let mut out = vec![0.0f32; streams * samples * width];
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            for e in 0..count {
                let gate = gates[row * count + e];
                let x = &experts[(e * samples + row % samples) * width..][..width];
                out.iter_mut().zip(x).for_each(|(o, x)| *o += gate * x);
            }
        }
        float(out, [streams, samples, width])
    }

    fn mix_grad_experts(gates: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let [streams, samples, count]: [usize; 3] = dims(&gates);
        let [_, _, width]: [usize; 3] = dims(&grad);
        slice!(gates, f32);
        slice!(grad, f32);
        let mut out = vec![0.0f32; count * samples * width];
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let (e, b) = (row / samples, row % samples);
            for s in 0..streams {
                let gate = gates[(s * samples + b) * count + e];
                let g = &grad[(s * samples + b) * width..][..width];
                out.iter_mut().zip(g).for_each(|(o, g)| *o += gate * g);
            }
        }
        float(out, [count, samples, width])
    }

    fn mix_grad_gates(experts: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let [count, _, width]: [usize; 3] = dims(&experts);
        let [streams, samples, _]: [usize; 3] = dims(&grad);
        slice!(experts, f32);
        slice!(grad, f32);
        let mut out = vec![0.0f32; streams * samples * count];
        for (row, out) in out.chunks_exact_mut(count).enumerate() {
            let g = &grad[row * width..][..width];
            for (e, out) in out.iter_mut().enumerate() {
                *out = dot(g, &experts[(e * samples + row % samples) * width..][..width]);
            }
        }
        float(out, [streams, samples, count])
    }
}
