//! The activation unit on the CPU. A query turns `B` and `P` into one matrix, `M[k, :] = B[k, :] + query[k] P[k, :]`, which every
//! behaviour of its window then passes.

#![allow(clippy::extra_unused_type_parameters, reason = "the attribute asks for one; the compiler does the vectorising")]

use burn::backend::Flex;
use burn::backend::tensor::{FloatTensor, IntTensor};
use macerator::Simd;

use super::super::attention::WindowKernels;
use super::super::cpu::{LANES, add_scaled, dims, dot_in_pairs, float, in_pairs, slices};
use super::{ActivationKernels, UnitKernels};

impl ActivationKernels for Flex {
    fn activation_unit(
        queries: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        unit: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let weights = Self::unit_weights(queries, offsets, unit, behaviours.clone(), bias, ids);
        Self::window_sum(weights, behaviours)
    }
}

impl UnitKernels for Flex {
    fn unit_weights(
        queries: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        unit: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        ids: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let ([_, hidden], [requests, slots, width]): ([usize; 2], [usize; 3]) = (dims(&unit), dims(&behaviours));
        let [count, _]: [usize; 2] = dims(&queries);
        slices!(f32: queries, offsets, unit, behaviours, bias);
        slices!(i32: ids);
        let sizes = Sizes { per_request: count / requests, slots, width, hidden };
        float(unit_weights(Inputs { queries, offsets, unit, behaviours, ids }, bias, sizes), [count, slots])
    }

    fn unit_grad(
        queries: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        unit: FloatTensor<Self>,
        behaviours: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        ids: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let ([rows, hidden], [requests, slots, width]): ([usize; 2], [usize; 3]) = (dims(&unit), dims(&behaviours));
        let [count, _]: [usize; 2] = dims(&queries);
        slices!(f32: queries, offsets, unit, behaviours, weights, grad);
        slices!(i32: ids);
        let sizes = Sizes { per_request: count / requests, slots, width, hidden };
        let slopes = unit_grad(Inputs { queries, offsets, unit, behaviours, ids }, weights, grad, sizes);
        (
            float(slopes.queries, [count, width]),
            float(slopes.offsets, [count, hidden]),
            float(slopes.unit, [rows, hidden]),
            float(slopes.behaviours, [requests, slots, width]),
            float(slopes.weights, [count, slots]),
        )
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    per_request: usize,
    slots: usize,
    width: usize,
    hidden: usize,
}

/// What both passes read.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    queries: &'a [f32],
    offsets: &'a [f32],
    unit: &'a [f32],
    behaviours: &'a [f32],
    ids: &'a [i32],
}

/// Gradients.
struct Slopes {
    queries: Vec<f32>,
    offsets: Vec<f32>,
    unit: Vec<f32>,
    behaviours: Vec<f32>,
    weights: Vec<f32>,
}

/// Hidden units in blocks of [`LANES`], those missing in the last 0: a 0 in `u` and everywhere else adds nothing.
struct Unit {
    /// `[blocks][d]`: the rows of `B`.
    direct: Vec<[f32; LANES]>,
    /// `[blocks][d]`: the rows of `P`.
    product: Vec<[f32; LANES]>,
    /// `[blocks]`: `u`.
    out: Vec<[f32; LANES]>,
}

/// The numbers of one block of a row; what is missing is 0.
#[inline(always)]
fn block(row: &[f32], block: usize) -> [f32; LANES] {
    let rest = &row[block * LANES..];
    std::array::from_fn(|lane| rest.get(lane).copied().unwrap_or(0.0))
}

impl Unit {
    fn new(unit: &[f32], width: usize, hidden: usize) -> Self {
        let rows = |first: usize, count: usize| {
            let of_block = move |b: usize| (first..first + count).map(move |row| block(&unit[row * hidden..][..hidden], b));
            (0..hidden.div_ceil(LANES)).flat_map(of_block).collect()
        };
        Self { direct: rows(0, width), product: rows(width, width), out: rows(2 * width, 1) }
    }

    /// `M` of a query: `[blocks][d]`.
    #[inline(always)]
    fn matrix(&self, query: &[f32], matrix: &mut [[f32; LANES]]) {
        let rows =
            matrix.chunks_exact_mut(query.len()).zip(self.direct.chunks_exact(query.len()).zip(self.product.chunks_exact(query.len())));
        for (rows, (direct, product)) in rows {
            for (((row, direct), product), x) in rows.iter_mut().zip(direct).zip(product).zip(query) {
                for lane in 0..LANES {
                    row[lane] = direct[lane] + x * product[lane];
                }
            }
        }
    }
}

/// One block of `z` of a behaviour. Four sums grow side by side, else each addition waits for the one before.
#[inline(always)]
fn hidden_block(offset: &[f32; LANES], behaviour: &[f32], rows: &[[f32; LANES]]) -> [f32; LANES] {
    let mut sums = [*offset, [0.0; LANES], [0.0; LANES], [0.0; LANES]];
    let (behaviours, rest) = behaviour.as_chunks::<4>();
    let (rows, rest_rows) = rows.split_at(4 * behaviours.len());
    for (behaviour, rows) in behaviours.iter().zip(rows.chunks_exact(4)) {
        for part in 0..4 {
            for lane in 0..LANES {
                sums[part][lane] += behaviour[part] * rows[part][lane];
            }
        }
    }
    for (x, row) in rest.iter().zip(rest_rows) {
        for lane in 0..LANES {
            sums[0][lane] += x * row[lane];
        }
    }
    std::array::from_fn(|lane| (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]))
}

/// See [`UnitKernels::unit_weights`].
#[macerator::with_simd]
fn unit_weights<'a, S: Simd>(inputs: Inputs<'a>, bias: &[f32], sizes: Sizes) -> Vec<f32> {
    let Sizes { per_request, slots, width, hidden } = sizes;
    let Inputs { queries, offsets, unit, behaviours, ids } = inputs;
    let (unit, blocks) = (Unit::new(unit, width, hidden), hidden.div_ceil(LANES));
    let mut matrix = vec![[0.0f32; LANES]; blocks * width];
    let mut out = vec![0.0f32; queries.len() / width * slots];
    for (q, (out, query)) in out.chunks_exact_mut(slots).zip(queries.chunks_exact(width)).enumerate() {
        unit.matrix(query, &mut matrix);
        let (window, offsets) = (q / per_request * slots, &offsets[q * hidden..][..hidden]);
        for (h, out) in out.iter_mut().enumerate().filter(|(h, _)| ids[window + h] >= 0) {
            let behaviour = &behaviours[(window + h) * width..][..width];
            let mut weight = [0.0f32; LANES];
            for b in 0..blocks {
                let z = hidden_block(&block(offsets, b), behaviour, &matrix[b * width..][..width]);
                for lane in 0..LANES {
                    weight[lane] += z[lane].max(0.0) * unit.out[b][lane];
                }
            }
            *out = weight.iter().sum::<f32>() + bias[window + h];
        }
    }
    out
}

/// See [`UnitKernels::unit_grad`].
#[macerator::with_simd]
fn unit_grad<'a, S: Simd>(inputs: Inputs<'a>, weights: &[f32], grad: &[f32], sizes: Sizes) -> Slopes {
    let Sizes { per_request, slots, width, hidden } = sizes;
    let Inputs { queries, offsets, unit, behaviours, ids } = inputs;
    let mut slopes = Slopes {
        queries: vec![0.0; queries.len()],
        offsets: vec![0.0; offsets.len()],
        unit: vec![0.0; unit.len()],
        behaviours: vec![0.0; behaviours.len()],
        weights: vec![0.0; weights.len()],
    };
    let (unit, blocks) = (Unit::new(unit, width, hidden), hidden.div_ceil(LANES));
    let mut matrix = vec![[0.0f32; LANES]; blocks * width];
    let mut in_matrix = matrix.clone();
    let (mut in_offsets, mut in_out) = (vec![[0.0f32; LANES]; blocks], vec![[0.0f32; LANES]; blocks]);
    let (mut in_direct, mut in_product) = (matrix.clone(), matrix.clone());
    for (q, (query, grad)) in queries.chunks_exact(width).zip(grad.chunks_exact(width)).enumerate() {
        unit.matrix(query, &mut matrix);
        in_matrix.fill([0.0; LANES]);
        in_offsets.fill([0.0; LANES]);
        let (window, offsets) = (q / per_request * slots, &offsets[q * hidden..][..hidden]);
        for h in (0..slots).filter(|h| ids[window + h] >= 0) {
            let behaviour = &behaviours[(window + h) * width..][..width];
            let in_behaviour = &mut slopes.behaviours[(window + h) * width..][..width];
            let in_weight = dot_in_pairs(grad, behaviour);
            slopes.weights[q * slots + h] = in_weight;
            add_scaled(in_behaviour, weights[q * slots + h], grad);
            for b in 0..blocks {
                let rows = &matrix[b * width..][..width];
                let z = hidden_block(&block(offsets, b), behaviour, rows);
                let mut in_z = [0.0f32; LANES];
                for lane in 0..LANES {
                    in_out[b][lane] += in_weight * z[lane].max(0.0);
                    in_z[lane] = if z[lane] > 0.0 { in_weight * unit.out[b][lane] } else { 0.0 };
                    in_offsets[b][lane] += in_z[lane];
                }
                for (((in_row, row), x), in_x) in
                    in_matrix[b * width..][..width].iter_mut().zip(rows).zip(behaviour).zip(&mut *in_behaviour)
                {
                    let mut through = [0.0f32; LANES];
                    for lane in 0..LANES {
                        in_row[lane] += x * in_z[lane];
                        through[lane] = row[lane] * in_z[lane];
                    }
                    *in_x += in_pairs(through);
                }
            }
        }
        let in_query = &mut slopes.queries[q * width..][..width];
        for (k, at) in (0..blocks).flat_map(|b| (0..width).map(move |k| (k, b * width + k))) {
            let mut through = [0.0f32; LANES];
            for lane in 0..LANES {
                in_direct[at][lane] += in_matrix[at][lane];
                in_product[at][lane] += query[k] * in_matrix[at][lane];
                through[lane] = in_matrix[at][lane] * unit.product[at][lane];
            }
            in_query[k] += in_pairs(through);
        }
        unblock(&in_offsets, 1, &mut slopes.offsets[q * hidden..][..hidden], hidden);
    }
    let (of_direct, rest) = slopes.unit.split_at_mut(width * hidden);
    let (of_product, of_out) = rest.split_at_mut(width * hidden);
    unblock(&in_direct, width, of_direct, hidden);
    unblock(&in_product, width, of_product, hidden);
    unblock(&in_out, 1, of_out, hidden);
    slopes
}

/// Blocks `[blocks][rows]` as rows `[rows, hidden]`.
#[inline(always)]
fn unblock(blocks: &[[f32; LANES]], rows: usize, out: &mut [f32], hidden: usize) {
    for (row, out) in out.chunks_exact_mut(hidden).enumerate() {
        for (b, out) in out.chunks_mut(LANES).enumerate() {
            out.copy_from_slice(&blocks[b * rows + row][..out.len()]);
        }
    }
}
