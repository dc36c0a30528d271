//! Row-sparse tables: embeddings and personal vectors live off the autodiff graph, a step reads and writes only the
//! rows of its batch, and its cost does not know how long the table is.
//!
//! A row is `[weights | first moment | second moment]`, so that one pass over it does the whole of lazy Adam: rows that
//! a batch does not touch neither move nor forget, and there is one step count for all.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::data::rows::{Bags, RowPlan, RowPlanner};
use crate::kernels::{AdamStep, adam_rows, pool_rows};

/// Plans are padded to a multiple of this, so that their buffers have few sizes and the device's pool finds them again.
const PLAN_STEP: usize = 1024;

/// A table with its own lazy Adam.
pub struct RowTable {
    /// `[rows, 3 * width]`; only absent while a step writes it, which is what keeps the write in place.
    rows: Option<Tensor<2>>,
    width: usize,
}

/// The rows that a batch touches, on the device.
#[derive(Clone)]
pub struct Touched {
    /// `[samples, slots]`
    ids: Tensor<2, Int>,
    bags: Bags,
    plan: Tensor<1, Int>,
    positions: Tensor<1, Int>,
    weights: Tensor<1>,
}

impl Touched {
    /// Plans a batch's ids `[samples, slots]` and moves them to the device.
    pub fn new(planner: &mut RowPlanner, ids: &[u32], bags: Bags, device: &Device) -> Self {
        let RowPlan { rows, offsets, positions, weights } = planner.plan(ids, bags);
        let padded = rows.len().next_multiple_of(PLAN_STEP);
        let end = positions.len() as i32;
        let mut plan: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        plan.resize(padded, -1);
        plan.extend(offsets.iter().map(|&offset| offset as i32));
        plan.resize(2 * padded + 1, end);
        let mut positions: Vec<i32> = positions.iter().map(|&p| p as i32).collect();
        let mut weights = weights.clone();
        positions.resize(ids.len(), 0);
        weights.resize(ids.len(), 0.0);
        let slots = bags.slots();
        Self {
            // NO_ROW is u32::MAX, which is -1 here: padding.
            ids: Tensor::from_data(TensorData::new(as_i32(ids), [ids.len() / slots, slots]), (device, DType::I32)),
            bags,
            plan: integers(plan, device),
            positions: integers(positions, device),
            weights: Tensor::from_data(TensorData::new(weights, [ids.len()]), device),
        }
    }

    /// Ids alone, for scoring without learning.
    pub fn ids(ids: &[u32], bags: Bags, device: &Device) -> Tensor<2, Int> {
        let slots = bags.slots();
        Tensor::from_data(TensorData::new(as_i32(ids), [ids.len() / slots, slots]), (device, DType::I32))
    }
}

fn as_i32(ids: &[u32]) -> Vec<i32> {
    ids.iter().map(|&id| id as i32).collect()
}

/// `values` as an integer tensor of 32 bits, whatever the device's default is.
pub fn integers(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), (device, DType::I32))
}

impl RowTable {
    /// `rows` rows of `width` starting values, moments 0.
    pub fn new(rows: usize, width: usize, device: &Device, value: impl Fn(u64) -> f32) -> Self {
        let mut data = vec![0.0f32; rows * 3 * width];
        for (r, row) in data.chunks_exact_mut(3 * width).enumerate() {
            row[..width].iter_mut().enumerate().for_each(|(k, w)| *w = value((r * width + k) as u64));
        }
        Self { rows: Some(Tensor::from_data(TensorData::new(data, [rows, 3 * width]), device)), width }
    }

    fn tensor(&self) -> &Tensor<2> {
        self.rows.as_ref().expect("present between two steps")
    }

    /// The touched rows' weights, pooled: `[samples, fields * width]`.
    pub fn pool(&self, touched: &Touched) -> Tensor<2> {
        self.pool_ids(touched.ids.clone(), touched.bags)
    }

    /// The same for ids alone.
    pub fn pool_ids(&self, ids: Tensor<2, Int>, bags: Bags) -> Tensor<2> {
        pool_rows(self.tensor(), ids, bags, self.width)
    }

    /// One step of lazy Adam from the gradient of what [`RowTable::pool`] gave.
    pub fn update(&mut self, touched: &Touched, gradient: Tensor<2>, step: AdamStep) {
        if let Some(rows) = self.rows.take() {
            let Touched { plan, positions, weights, .. } = touched.clone();
            self.rows = Some(adam_rows(rows, gradient, plan, positions, weights, step));
        }
    }

    /// `[rows, 3 * width]`: weights and moments.
    pub fn rows(&self) -> Tensor<2> {
        self.tensor().clone()
    }
}
