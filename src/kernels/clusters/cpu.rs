//! Clusters on the CPU.

#![allow(clippy::extra_unused_type_parameters, reason = "the attribute asks for one; the compiler does the vectorising")]

use burn::backend::Flex;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape, TensorData};
use macerator::Simd;

use super::super::cpu::{LANES, add_products, dims, dot, float, slices};
use super::{ClusterKernels, Levels, pulled};

/// Level-1 centres whose similarities grow side by side: with [`LANES`] of them the search waited for its own additions.
const PARENTS: usize = 32;

impl ClusterKernels for Flex {
    fn nearest(v: FloatTensor<Self>, centres: FloatTensor<Self>, _kind: IntTensor<Self>, levels: Levels, cosine: bool) -> IntTensor<Self> {
        let [samples, m]: [usize; 2] = dims(&v);
        slices!(f32: v, centres);
        let ids = nearest(v, centres, m, levels, cosine);
        Flex::int_from_data(TensorData::new(ids, [samples, 2]).convert_dtype(DType::I32), &Default::default())
    }

    fn chosen_centres(centres: FloatTensor<Self>, assigned: IntTensor<Self>, levels: Levels) -> FloatTensor<Self> {
        let ([_, m], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&centres), dims(&assigned));
        slices!(f32: centres);
        slices!(i32: assigned);
        let rows = |level: usize| assigned.chunks_exact(2).map(move |own| own[level] as usize + level * levels.first);
        let chosen = rows(0).chain(rows(1)).flat_map(|row| &centres[row * m..][..m]).copied().collect();
        float(chosen, [2, samples, m])
    }

    fn entries(assigned: IntTensor<Self>, _like: FloatTensor<Self>, step: f32) -> FloatTensor<Self> {
        let [samples, _]: [usize; 2] = dims(&assigned);
        slices!(i32: assigned);
        float(assigned.chunks_exact(2).flat_map(|own| [own[1] as f32, step]).collect(), [samples, 2])
    }

    /// In burn's operations: the sums are its matrix product's.
    fn follow(mean: FloatTensor<Self>, v: FloatTensor<Self>, weights: FloatTensor<Self>, rate: f32) -> FloatTensor<Self> {
        let ([samples, _], one): ([usize; 2], f32) = (dims(&v), 1.0);
        let count = Flex::float_reshape(Flex::float_sum(weights.clone()), Shape::new([1, 1]));
        let sum = Flex::float_matmul(Flex::float_reshape(weights, Shape::new([1, samples])), v);
        let away = Flex::float_sub(sum, Flex::float_mul(mean.clone(), count.clone()));
        let share = Flex::float_mul_scalar(Flex::float_recip(Flex::float_clamp_min(count, one.into())), rate.into());
        Flex::float_add(mean, Flex::float_mul(away, share))
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
        slices!(f32: v, centres, weights);
        slices!(i32: assigned);
        let (mut out, losses) = centre_pull(v, centres, m, assigned, weights, levels, sigma_in_graph);
        let sum = |values: &[f32]| {
            let sum = Flex::float_sum(float(values.to_vec(), [values.len()]));
            slices!(f32: sum);
            sum[0]
        };
        let (of_parents, of_children) = losses.split_at(levels.first);
        let samples = sum(&out[levels.rows() * m..][..levels.first]);
        out.extend([sum(of_parents), sum(of_children), samples]);
        float(out, [pulled(levels, m)])
    }

    fn pool_centres(
        centres: FloatTensor<Self>,
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self> {
        let ([_, m], [samples, slots]): ([usize; 2], [usize; 2]) = (dims(&centres), dims(&ids));
        slices!(f32: centres, entries, born);
        slices!(i32: ids);
        float(pool_centres(centres, m, entries, born, ids, slots, levels), [samples * (2 * m + 1)])
    }

    fn count_shared(
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        own: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self> {
        let ([bags, slots], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&ids), dims(&own));
        slices!(f32: entries, born);
        slices!(i32: ids, own);
        float(count_shared(entries, born, ids, slots, own, samples / bags, levels), [samples, 3])
    }
}

/// Centres `[count, m]` in blocks of `N`, component by component, each times its key; what is missing in the last block is 0.
#[inline(always)]
fn blocks<const N: usize>(centres: &[f32], m: usize, key: impl Fn(&[f32]) -> f32) -> Vec<[f32; N]> {
    let mut blocks = Vec::with_capacity(centres.len().div_ceil(N) + m);
    for rows in centres.chunks(N * m) {
        let keys: Vec<f32> = rows.chunks_exact(m).map(&key).collect();
        blocks.extend((0..m).map(|k| std::array::from_fn(|lane| keys.get(lane).map_or(0.0, |key| key * rows[lane * m + k]))));
    }
    blocks
}

/// The centre of `count` in `blocks` with the largest product with `v`; the first where several have.
#[inline(always)]
fn most_similar<const N: usize>(v: &[f32], blocks: &[[f32; N]], count: usize) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (block, components) in blocks.chunks_exact(v.len()).enumerate() {
        let mut sums = [0.0f32; N];
        for (x, mu) in v.iter().zip(components) {
            add_products(&mut sums, &[*x; N], mu);
        }
        let first = block * N;
        for (lane, &sum) in sums.iter().enumerate().take(count - first) {
            if sum > best.1 {
                best = (first + lane, sum);
            }
        }
    }
    best.0
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

/// See [`super::nearest`].
#[macerator::with_simd]
fn nearest<S: Simd>(v: &[f32], centres: &[f32], m: usize, levels: Levels, cosine: bool) -> Vec<i32> {
    let key = |mu: &[f32]| if cosine { 1.0 / (dot(mu, mu) + 1e-12).sqrt() } else { 1.0 };
    let (parents, children) = centres.split_at(levels.first * m);
    let parents: Vec<[f32; PARENTS]> = blocks(parents, m, key);
    let per_parent = levels.children.div_ceil(LANES) * m;
    let children: Vec<[f32; LANES]> = children.chunks_exact(levels.children * m).flat_map(|rows| blocks(rows, m, key)).collect();
    let mut out = Vec::with_capacity(v.len() / m * 2);
    for v in v.chunks_exact(m) {
        let parent = most_similar(v, &parents, levels.first);
        let child = most_similar(v, &children[parent * per_parent..][..per_parent], levels.children);
        out.extend([parent as i32, (parent * levels.children + child) as i32]);
    }
    out
}

/// See [`super::centre_pull`]; the loss of each centre beside.
#[macerator::with_simd]
fn centre_pull<S: Simd>(
    v: &[f32],
    centres: &[f32],
    m: usize,
    assigned: &[i32],
    weights: &[f32],
    levels: Levels,
    sigma_in_graph: bool,
) -> (Vec<f32>, Vec<f32>) {
    let rows = levels.rows();
    let (mut out, mut loss) = (vec![0.0f32; rows * (m + 1)], vec![0.0f32; rows]);
    let (towards, count) = out.split_at_mut(rows * m);
    for (s, v) in v.chunks_exact(m).enumerate().filter(|(s, _)| weights[*s] > 0.0) {
        for row in [assigned[2 * s] as usize, levels.first + assigned[2 * s + 1] as usize] {
            let mu = &centres[row * m..][..m];
            let sigma = sigmoid(dot(v, mu));
            let distance: f32 = v.iter().zip(mu).map(|(v, mu)| (v - mu) * (v - mu)).sum();
            let slope = if sigma_in_graph { 0.5 * sigma * (1.0 - sigma) * distance } else { 0.0 };
            let towards = &mut towards[row * m..][..m];
            towards.iter_mut().zip(v).zip(mu).for_each(|((to, v), mu)| *to += sigma * (v - mu) - slope * v);
            count[row] += 1.0;
            loss[row] += sigma * distance;
        }
    }
    (out, loss)
}

/// The level-2 centres that still stand for a bag's items.
#[inline(always)]
fn known(ids: &[i32], entries: &[f32], born: &[f32]) -> impl Iterator<Item = usize> {
    let entry = |&id: &i32| (entries[2 * id as usize] as usize, entries[2 * id as usize + 1]);
    let given = ids.iter().filter(|&&id| id >= 0).map(entry).filter(|&(child, given)| given >= born[child]);
    given.map(|(child, _)| child)
}

/// See [`super::pool_centres`].
#[macerator::with_simd]
fn pool_centres<S: Simd>(centres: &[f32], m: usize, entries: &[f32], born: &[f32], ids: &[i32], slots: usize, levels: Levels) -> Vec<f32> {
    let samples = ids.len() / slots;
    let mut out = vec![0.0f32; samples * (2 * m + 1)];
    let (parents, children_and_flags) = out.split_at_mut(samples * m);
    let (children, flags) = children_and_flags.split_at_mut(samples * m);
    let of_samples = parents.chunks_exact_mut(m).zip(children.chunks_exact_mut(m)).zip(flags);
    for (((parent, child), flag), ids) in of_samples.zip(ids.chunks_exact(slots)) {
        let mut count = 0.0f32;
        for own in known(ids, entries, born) {
            count += 1.0;
            for (out, row) in [(&mut *parent, own / levels.children), (&mut *child, levels.first + own)] {
                out.iter_mut().zip(&centres[row * m..][..m]).for_each(|(o, mu)| *o += mu);
            }
        }
        if count > 0.0 {
            [parent, child].into_iter().for_each(|out| out.iter_mut().for_each(|o| *o /= count));
            *flag = 1.0;
        }
    }
    out
}

/// See [`super::count_shared`]; `candidates` samples a bag.
#[macerator::with_simd]
fn count_shared<S: Simd>(
    entries: &[f32],
    born: &[f32],
    ids: &[i32],
    slots: usize,
    own: &[i32],
    candidates: usize,
    levels: Levels,
) -> Vec<f32> {
    let (mut out, mut children) = (Vec::with_capacity(own.len() / 2 * 3), Vec::with_capacity(slots));
    for (ids, own) in ids.chunks_exact(slots).zip(own.chunks_exact(2 * candidates)) {
        children.clear();
        children.extend(known(ids, entries, born).map(|child| child as u32));
        for own in own.chunks_exact(2) {
            let (first, own) = (own[0] as u32 * levels.children as u32, own[1] as u32);
            let (mut of_parent, mut of_child) = (0u32, 0u32);
            for &child in &children {
                of_parent += u32::from(child.wrapping_sub(first) < levels.children as u32);
                of_child += u32::from(child == own);
            }
            out.extend([of_parent, of_child, children.len() as u32].map(|count| count as f32));
        }
    }
    out
}
