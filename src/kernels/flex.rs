//! The kernels as plain loops over slices, for the CPU.

use burn::backend::Flex;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, TensorData};

use super::{AdamStep, BETA_1, BETA_2, Bags, EPSILON, Levels, Mix, MixKernels, RowKernels, RowRule};

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

/// [`LANES`] sums side by side, which the compiler can vectorise; a single one must be added in order.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        (0..LANES).for_each(|k| sums[k] += a[k] * b[k]);
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum::<f32>()
}

/// Centres whose similarities grow side by side.
const LANES: usize = 8;

/// Centres `[count, m]` in blocks of [`LANES`], component by component, each times its key; what is missing in the last block is 0.
fn blocks(centres: &[f32], m: usize, key: impl Fn(&[f32]) -> f32) -> Vec<[f32; LANES]> {
    let mut blocks = Vec::with_capacity(centres.len().div_ceil(LANES) + m);
    for rows in centres.chunks(LANES * m) {
        let keys: Vec<f32> = rows.chunks_exact(m).map(&key).collect();
        blocks.extend((0..m).map(|k| std::array::from_fn(|lane| keys.get(lane).map_or(0.0, |key| key * rows[lane * m + k]))));
    }
    blocks
}

/// The centre of `count` in `blocks` with the largest product with `v`; the first where several have.
fn most_similar(v: &[f32], blocks: &[[f32; LANES]], count: usize) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (block, components) in blocks.chunks_exact(v.len()).enumerate() {
        let mut sums = [0.0f32; LANES];
        for (x, mu) in v.iter().zip(components) {
            (0..LANES).for_each(|lane| sums[lane] += x * mu[lane]);
        }
        let first = block * LANES;
        for (lane, &sum) in sums.iter().enumerate().take(count - first) {
            if sum > best.1 {
                best = (first + lane, sum);
            }
        }
    }
    best.0
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
        let key = |mu: &[f32]| if cosine { 1.0 / (dot(mu, mu) + 1e-12).sqrt() } else { 1.0 };
        let (parents, children) = centres.split_at(levels.first * m);
        let parents = blocks(parents, m, key);
        let per_parent = levels.children.div_ceil(LANES) * m;
        let children: Vec<[f32; LANES]> = children.chunks_exact(levels.children * m).flat_map(|rows| blocks(rows, m, key)).collect();
        let mut out = Vec::with_capacity(samples * 2);
        for v in v.chunks_exact(m) {
            let parent = most_similar(v, &parents, levels.first);
            let child = most_similar(v, &children[parent * per_parent..][..per_parent], levels.children);
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

    fn write_rows(
        mut table: FloatTensor<Self>,
        values: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        rule: RowRule,
    ) -> FloatTensor<Self> {
        let [_, width]: [usize; 2] = dims(&table);
        slice!(values, f32);
        slice!(weights, f32);
        slice!(plan, i32);
        slice!(positions, i32);
        let (rows, bounds) = plan.split_at(plan.len() / 2);
        let mut sum = vec![0.0f32; width];
        let storage: &mut [f32] = table.storage_mut();
        for (index, &row) in rows.iter().enumerate().filter(|(_, row)| **row >= 0) {
            let members = positions[bounds[index] as usize..bounds[index + 1] as usize].iter().map(|&s| s as usize);
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
                let row = &mut storage[row as usize * width..][..width];
                match rule {
                    RowRule::AddMean => row.iter_mut().zip(&sum).for_each(|(row, sum)| *row += sum / count),
                    RowRule::Replace => row.copy_from_slice(&sum),
                }
            }
        }
        table
    }

    fn pool_centres(
        centres: FloatTensor<Self>,
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self> {
        let [_, m]: [usize; 2] = dims(&centres);
        let [samples, slots]: [usize; 2] = dims(&ids);
        slice!(centres, f32);
        slice!(entries, f32);
        slice!(born, f32);
        slice!(ids, i32);
        let mut out = vec![0.0f32; samples * (2 * m + 1)];
        for (out, ids) in out.chunks_exact_mut(2 * m + 1).zip(ids.chunks_exact(slots)) {
            let entry = |&id: &i32| (entries[2 * id as usize] as usize, entries[2 * id as usize + 1]);
            let known = ids.iter().filter(|&&id| id >= 0).map(entry).filter(|&(child, given)| given >= born[child]);
            let mut count = 0.0f32;
            for (child, _) in known {
                count += 1.0;
                for (level, row) in [child / levels.children, levels.first + child].into_iter().enumerate() {
                    let mu = &centres[row * m..][..m];
                    out[level * m..][..m].iter_mut().zip(mu).for_each(|(o, mu)| *o += mu);
                }
            }
            if count > 0.0 {
                out[..2 * m].iter_mut().for_each(|o| *o /= count);
                out[2 * m] = 1.0;
            }
        }
        float(out, [samples, 2 * m + 1])
    }

    fn count_shared(
        entries: FloatTensor<Self>,
        born: FloatTensor<Self>,
        ids: IntTensor<Self>,
        own: IntTensor<Self>,
        levels: Levels,
    ) -> FloatTensor<Self> {
        let ([bags, slots], [samples, _]): ([usize; 2], [usize; 2]) = (dims(&ids), dims(&own));
        slice!(entries, f32);
        slice!(born, f32);
        slice!(ids, i32);
        slice!(own, i32);
        let (mut out, mut known) = (Vec::with_capacity(samples * 3), Vec::with_capacity(slots));
        for (ids, own) in ids.chunks_exact(slots).zip(own.chunks_exact(samples / bags * 2)) {
            let entry = |&id: &i32| (entries[2 * id as usize] as usize, entries[2 * id as usize + 1]);
            let given = ids.iter().filter(|&&id| id >= 0).map(entry).filter(|&(child, given)| given >= born[child]);
            known.clear();
            known.extend(given.map(|(child, _)| child));
            for own in own.chunks_exact(2) {
                let (first, own) = (own[0] as usize * levels.children, own[1] as usize);
                let parents = known.iter().filter(|&&child| child.wrapping_sub(first) < levels.children).count();
                let children = known.iter().filter(|&&child| child == own).count();
                out.extend([parents, children, known.len()].map(|count| count as f32));
            }
        }
        float(out, [samples, 3])
    }
}

impl Mix {
    fn gate(self, stream: usize, sample: usize) -> usize {
        self.experts * if self.wide { sample * self.streams + stream } else { stream * self.samples + sample }
    }

    fn expert(self, expert: usize, sample: usize) -> usize {
        self.width * if self.wide { sample * self.experts + expert } else { expert * self.samples + sample }
    }

    fn output(self, stream: usize, sample: usize) -> usize {
        self.width * (stream * self.samples + sample)
    }
}

impl MixKernels for Flex {
    fn mix(gates: FloatTensor<Self>, experts: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        slice!(gates, f32);
        slice!(experts, f32);
        let mut out = vec![0.0f32; mix.streams * mix.samples * mix.width];
        for g in 0..mix.streams {
            for s in 0..mix.samples {
                let out = &mut out[mix.output(g, s)..][..mix.width];
                for e in 0..mix.experts {
                    let gate = gates[mix.gate(g, s) + e];
                    out.iter_mut().zip(&experts[mix.expert(e, s)..][..mix.width]).for_each(|(o, x)| *o += gate * x);
                }
            }
        }
        float(out, [mix.streams, mix.samples, mix.width])
    }

    fn mix_grad_experts(gates: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        slice!(gates, f32);
        slice!(grad, f32);
        let mut out = vec![0.0f32; mix.experts * mix.samples * mix.width];
        for e in 0..mix.experts {
            for s in 0..mix.samples {
                let out = &mut out[mix.expert(e, s)..][..mix.width];
                for g in 0..mix.streams {
                    let gate = gates[mix.gate(g, s) + e];
                    out.iter_mut().zip(&grad[mix.output(g, s)..][..mix.width]).for_each(|(o, g)| *o += gate * g);
                }
            }
        }
        float(out, mix.experts())
    }

    fn mix_grad_gates(experts: FloatTensor<Self>, grad: FloatTensor<Self>, mix: Mix) -> FloatTensor<Self> {
        slice!(experts, f32);
        slice!(grad, f32);
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
        float(out, mix.gates())
    }
}
