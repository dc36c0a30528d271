//! The kernels' loops over slices, for the CPU. Each is compiled for every generation of vector instructions and runs with the
//! newest that the machine has. What adds up side by side is written as such ([`LANES`]), so the sums do not depend on it.

#![allow(clippy::extra_unused_type_parameters, reason = "the attribute asks for one; the compiler does the vectorising")]

use macerator::Simd;

use super::{AdamStep, BETA_1, BETA_2, Bags, EPSILON, Levels, Mix, RowRule, TINY};

/// `sums += a b`, place by place. A loop: `for_each` over places stayed a function of its own, without the vector instructions.
#[inline(always)]
fn add_products<const N: usize>(sums: &mut [f32; N], a: &[f32; N], b: &[f32; N]) {
    for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
        *sum += a * b;
    }
}

/// [`LANES`] sums side by side, which the compiler can vectorise; a single one must be added in order.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        add_products(&mut sums, a, b);
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum::<f32>()
}

/// The same of one row, the lanes summed in pairs.
#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    let (x, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for x in x {
        sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
    }
    in_pairs(sums) + rest.iter().sum::<f32>()
}

#[inline(always)]
fn in_pairs(mut sums: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        (0..half).for_each(|k| sums[k] += sums[k + half]);
        half /= 2;
    }
    sums[0]
}

/// [`dot`], the lanes summed in pairs: what burn's sum of a product gives.
#[inline(always)]
fn dot_in_pairs(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        add_products(&mut sums, a, b);
    }
    in_pairs(sums) + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// Sums that grow side by side.
const LANES: usize = 8;
/// Level-1 centres whose similarities grow side by side: with [`LANES`] of them the search waited for its own additions.
const PARENTS: usize = 32;

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

/// `(e - mean) open`
#[inline(always)]
fn centre(x: &mut [f32], e: &[f32], mean: &[f32], open: f32) {
    x.iter_mut().zip(e).zip(mean).for_each(|((x, e), mean)| *x = (e - mean) * open);
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

/// See [`super::pool_rows`].
#[macerator::with_simd]
pub fn pool_rows<S: Simd>(table: &[f32], ids: &[i32], bags: Bags, width: usize) -> Vec<f32> {
    let row = |id: i32| &table[id as usize * 3 * width..][..width];
    let mut out = vec![0.0f32; ids.len() / bags.slots() * bags.fields() * width];
    for (out, ids) in out.chunks_exact_mut(bags.fields() * width).zip(ids.chunks_exact(bags.slots())) {
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
pub fn adam_rows<S: Simd>(table: &mut [f32], width: usize, grad: &[f32], plan: &[i32], positions: &[i32], weights: &[f32], step: AdamStep) {
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

/// See [`super::nearest`].
#[macerator::with_simd]
pub fn nearest<S: Simd>(v: &[f32], centres: &[f32], m: usize, levels: Levels, cosine: bool) -> Vec<i32> {
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

/// See [`super::centre_pull`].
#[macerator::with_simd]
pub fn centre_pull<S: Simd>(
    v: &[f32],
    centres: &[f32],
    m: usize,
    assigned: &[i32],
    weights: &[f32],
    levels: Levels,
    sigma_in_graph: bool,
) -> Vec<f32> {
    let rows = levels.rows();
    let mut out = vec![0.0f32; rows * (m + 2)];
    let (towards, counts_and_losses) = out.split_at_mut(rows * m);
    let (count, loss) = counts_and_losses.split_at_mut(rows);
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
    out
}

/// See [`super::write_rows`].
#[macerator::with_simd]
pub fn write_rows<S: Simd>(
    table: &mut [f32],
    width: usize,
    values: &[f32],
    weights: &[f32],
    plan: &[i32],
    positions: &[i32],
    rule: RowRule,
) {
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

/// The level-2 centres that still stand for a bag's items.
#[inline(always)]
fn known(ids: &[i32], entries: &[f32], born: &[f32]) -> impl Iterator<Item = usize> {
    let entry = |&id: &i32| (entries[2 * id as usize] as usize, entries[2 * id as usize + 1]);
    let given = ids.iter().filter(|&&id| id >= 0).map(entry).filter(|&(child, given)| given >= born[child]);
    given.map(|(child, _)| child)
}

/// See [`super::pool_centres`].
#[macerator::with_simd]
pub fn pool_centres<S: Simd>(
    centres: &[f32],
    m: usize,
    entries: &[f32],
    born: &[f32],
    ids: &[i32],
    slots: usize,
    levels: Levels,
) -> Vec<f32> {
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
pub fn count_shared<S: Simd>(
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

/// See [`super::mix`].
#[macerator::with_simd]
pub fn mix<S: Simd>(gates: &[f32], experts: &[f32], mix: Mix) -> Vec<f32> {
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
    out
}

/// Its gradient in the experts.
#[macerator::with_simd]
pub fn mix_grad_experts<S: Simd>(gates: &[f32], grad: &[f32], mix: Mix) -> Vec<f32> {
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
    out
}

/// Its gradient in the gates.
#[macerator::with_simd]
pub fn mix_grad_gates<S: Simd>(experts: &[f32], grad: &[f32], mix: Mix) -> Vec<f32> {
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

/// See [`super::rms_norm`]; `n` vectors share a mean.
#[macerator::with_simd]
pub fn rms_norm<S: Simd>(e: &[f32], mean: &[f32], open: &[f32], n: usize, m: usize) -> Vec<f32> {
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
pub fn rms_norm_grad<S: Simd>(e: &[f32], mean: &[f32], open: &[f32], grad: &[f32], n: usize, m: usize) -> Vec<f32> {
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

/// See [`super::dots`].
#[macerator::with_simd]
pub fn dots<S: Simd>(users: &[f32], items: &[f32], requests: usize, m: usize) -> Vec<f32> {
    let of_request = items.len() / requests;
    let mut out = Vec::with_capacity(items.len() / m);
    for (user, items) in users.chunks_exact(m).zip(items.chunks_exact(of_request)) {
        out.extend(items.chunks_exact(m).map(|item| dot_in_pairs(item, user)));
    }
    out
}

/// Their gradient in the items, of the dots' gradient `grad`.
#[macerator::with_simd]
pub fn dots_grad_items<S: Simd>(users: &[f32], grad: &[f32], requests: usize, m: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; grad.len() * m];
    let of_requests = grad.chunks_exact(grad.len() / requests).zip(users.chunks_exact(m));
    for (out, (grad, user)) in out.chunks_exact_mut(grad.len() / requests * m).zip(of_requests) {
        for (out, g) in out.chunks_exact_mut(m).zip(grad) {
            out.iter_mut().zip(user).for_each(|(out, x)| *out = g * x);
        }
    }
    out
}

/// Their gradient in the users, of the dots' gradient `grad`.
#[macerator::with_simd]
pub fn dots_grad_users<S: Simd>(items: &[f32], grad: &[f32], requests: usize, m: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; requests * m];
    let of_requests = grad.chunks_exact(grad.len() / requests).zip(items.chunks_exact(items.len() / requests));
    for (out, (grad, items)) in out.chunks_exact_mut(m).zip(of_requests) {
        for (item, g) in items.chunks_exact(m).zip(grad) {
            out.iter_mut().zip(item).for_each(|(out, x)| *out += g * x);
        }
    }
    out
}

/// See [`super::fit`].
#[macerator::with_simd]
pub fn fit<S: Simd>(normed: &[f32], other: &[f32], requests: usize, m: usize) -> Vec<f32> {
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
pub fn fit_grad<S: Simd>(other: &[f32], grad: &[f32], requests: usize, m: usize) -> Vec<f32> {
    let samples = other.len() / m;
    let (vectors, candidates) = (grad.len() / samples, samples / requests);
    let mut out = vec![0.0f32; requests * vectors * m];
    for (r, (out, others)) in out.chunks_exact_mut(vectors * m).zip(other.chunks_exact(candidates * m)).enumerate() {
        for (v, out) in out.chunks_exact_mut(m).enumerate() {
            let grad = &grad[v * samples + r * candidates..][..candidates];
            for (g, other) in grad.iter().zip(others.chunks_exact(m)) {
                let g = 1.0 / m as f32 * g;
                out.iter_mut().zip(other).for_each(|(out, x)| *out += g * x);
            }
        }
    }
    out
}

/// `2 sigmoid(gate)` as burn computes it, but without a branch: gates are as often above 0 as below, which no processor can foresee.
#[macerator::with_simd]
pub fn delta<S: Simd>(gate: &[f32]) -> Vec<f32> {
    let twice = |&x: &f32| {
        let e = (-x.abs()).exp();
        2.0 * ((if x >= 0.0 { 1.0 } else { e }) / (1.0 + e))
    };
    gate.iter().map(twice).collect()
}
