//! Rows of tables on the CPU.

#![allow(clippy::extra_unused_type_parameters, reason = "the attribute asks for one; the compiler does the vectorising")]

use burn::backend::Flex;
use burn::backend::tensor::{FloatTensor, IntTensor};
use macerator::Simd;

use super::super::cpu::{dims, float, slices};
use super::{AdamStep, BETA_1, BETA_2, Bags, EPSILON, PRIOR_TOUCHES, RowKernels, RowRule};

impl RowKernels for Flex {
    fn pool_rows(table: FloatTensor<Self>, ids: IntTensor<Self>, bags: Bags, width: usize) -> FloatTensor<Self> {
        let [samples, _]: [usize; 2] = dims(&ids);
        slices!(f32: table);
        slices!(i32: ids);
        float(pool_rows(table, ids, bags, width), [samples, bags.fields() * width])
    }

    fn adam_rows(
        mut table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        weights: FloatTensor<Self>,
        step: AdamStep,
    ) -> FloatTensor<Self> {
        let [_, columns]: [usize; 2] = dims(&table);
        slices!(f32: grad, weights);
        slices!(i32: plan, positions);
        adam_rows(table.storage_mut(), columns / 3, grad, plan, positions, weights, step);
        table
    }

    fn recall(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        own: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        own_mean: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [levels, n, m]: [usize; 3] = dims(&own);
        slices!(f32: table, own, mean, own_mean);
        slices!(i32: ids);
        float(recall(table, ids, own, mean, own_mean), [levels, n, m])
    }

    fn write_rows(
        mut table: FloatTensor<Self>,
        values: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        rule: RowRule,
    ) -> FloatTensor<Self> {
        let [_, width]: [usize; 2] = dims(&table);
        slices!(f32: values, weights);
        slices!(i32: plan, positions);
        write_rows(table.storage_mut(), width, values, weights, plan, positions, rule);
        table
    }
}

/// See [`super::pool_rows`].
#[macerator::with_simd]
fn pool_rows<S: Simd>(table: &[f32], ids: &[i32], bags: Bags, width: usize) -> Vec<f32> {
    let row = |id: i32| &table[id as usize * 3 * width..][..width];
    let mut out = vec![0.0f32; ids.len() / bags.slots() * bags.fields() * width];
    for (out, ids) in out.chunks_exact_mut(bags.fields() * width).zip(ids.chunks_exact(bags.slots())) {
        let (singles, pooled) = out.split_at_mut(bags.singles * width);
        for (out, &id) in singles.chunks_exact_mut(width).zip(ids).filter(|(_, id)| **id >= 0) {
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
    out
}

/// The rows of a plan (see [`super::adam_rows`]) with the bounds of their contributions.
#[inline(always)]
fn planned(plan: &[i32]) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
    let (rows, bounds) = plan.split_at(plan.len() / 2);
    let bounds = bounds.windows(2).map(|b| b[0] as usize..b[1] as usize);
    rows.iter().zip(bounds).filter(|(row, _)| **row >= 0).map(|(&row, bounds)| (row as usize, bounds))
}

/// See [`super::adam_rows`].
#[macerator::with_simd]
fn adam_rows<S: Simd>(table: &mut [f32], width: usize, grad: &[f32], plan: &[i32], positions: &[i32], weights: &[f32], step: AdamStep) {
    let mut sum = vec![0.0f32; width];
    for (row, bounds) in planned(plan) {
        sum.fill(0.0);
        for c in bounds {
            let g = &grad[positions[c] as usize * width..][..width];
            sum.iter_mut().zip(g).for_each(|(s, g)| *s += weights[c] * g);
        }
        let (w, moments) = table[row * 3 * width..][..3 * width].split_at_mut(width);
        let (m, v) = moments.split_at_mut(width);
        for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(&sum) {
            *m = BETA_1 * *m + (1.0 - BETA_1) * g;
            *v = BETA_2 * *v + (1.0 - BETA_2) * g * g;
            *w -= step.learning_rate * (*m * step.correction_1) / ((*v * step.correction_2).sqrt() + EPSILON);
        }
    }
}

/// See [`super::recall`].
#[macerator::with_simd]
fn recall<S: Simd>(table: &[f32], ids: &[i32], own: &[f32], mean: &[f32], own_mean: &[f32]) -> Vec<f32> {
    let m = own_mean.len();
    let mut out = Vec::with_capacity(own.len());
    for (level, (mean, own)) in mean.chunks_exact(m).zip(own.chunks_exact(ids.len() * m)).enumerate() {
        for (&id, own) in ids.iter().zip(own.chunks_exact(m)) {
            let row = &table[id as usize * (2 * m + 1)..][..2 * m + 1];
            let trust = row[2 * m] / (row[2 * m] + PRIOR_TOUCHES);
            let vectors = row[level * m..][..m].iter().zip(mean).zip(own.iter().zip(own_mean));
            out.extend(vectors.map(|((memory, mean), (own, own_mean))| {
                let (memory, own) = (memory - mean, own - own_mean);
                own + (memory - own) * trust
            }));
        }
    }
    out
}

/// See [`super::write_rows`].
#[macerator::with_simd]
fn write_rows<S: Simd>(table: &mut [f32], width: usize, values: &[f32], weights: &[f32], plan: &[i32], positions: &[i32], rule: RowRule) {
    let mut sum = vec![0.0f32; width];
    for (row, bounds) in planned(plan) {
        let members = positions[bounds].iter().map(|&s| s as usize);
        let mut count = 0.0f32;
        sum.fill(0.0);
        for s in members.filter(|&s| weights[s] > 0.0) {
            let value = &values[s * width..][..width];
            count += 1.0;
            match rule {
                RowRule::AddMean => sum.iter_mut().zip(value).for_each(|(sum, x)| *sum += x),
                RowRule::Replace => sum.copy_from_slice(value),
            }
        }
        if count > 0.0 {
            let row = &mut table[row * width..][..width];
            match rule {
                RowRule::AddMean => row.iter_mut().zip(&sum).for_each(|(row, sum)| *row += sum / count),
                RowRule::Replace => row.copy_from_slice(&sum),
            }
        }
    }
}
