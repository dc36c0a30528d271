//! Row-sparse tables: embeddings and personal vectors live off the autodiff graph, a step reads and writes only the
//! rows of its batch, and its cost does not know how long the table is.
//!
//! A row of a [`RowTable`] is `[weights | first moment | second moment]`, so that one pass over it does the whole of lazy
//! Adam: rows that a batch does not touch neither move nor forget, and there is one step count for all. A
//! [`BehaviourTable`] has no moments: its rows are written by the clustering's own rules.

use std::ops::Range;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::graph::joined;
use crate::counter::{Counter, Stream};
use crate::data::Side;
use crate::data::rows::{Bags, RowPlan, RowPlanner, Segment};
use crate::kernels::{AdamStep, RowRule, adam_rows, pool_rows, write_rows};
use crate::platform;

/// Plans are padded to a multiple of this, so that their buffers have few sizes and the device's pool finds them again.
const PLAN_STEP: usize = 512;

/// Numbers of a weight in a [`RowTable`]: itself and both moments.
pub const WITH_MOMENTS: usize = 3;

/// One id a sample.
pub const SINGLE: Bags = Bags { singles: 1, bags: 0, bag_len: 0 };

/// Ids on the device, `[samples, slots]`, and how they are laid out.
#[derive(Clone)]
pub struct Ids {
    ids: Tensor<2, Int>,
    bags: Bags,
}

/// Ids as the device takes them, still on the host.
pub struct HostIds {
    ids: Vec<i32>,
    bags: Bags,
}

impl HostIds {
    /// Those of a segment.
    pub fn new(segment: Segment<'_>) -> Self {
        // NO_ROW is u32::MAX, which is -1 here: padding.
        Self { ids: segment.ids.iter().map(|&id| id as i32).collect(), bags: segment.bags }
    }

    /// Moves them to the device.
    pub fn load(self, device: &Device) -> Ids {
        let slots = self.bags.slots();
        let shape = [self.ids.len() / slots, slots];
        Ids { ids: integers(self.ids, device).reshape(shape), bags: self.bags }
    }
}

impl Ids {
    /// Moves a segment's ids to the device.
    pub fn new(segment: Segment<'_>, device: &Device) -> Self {
        HostIds::new(segment).load(device)
    }

    /// One id a sample.
    pub fn single(ids: &[u32], device: &Device) -> Self {
        Self::new(Segment { ids, bags: SINGLE }, device)
    }

    /// Those of some samples.
    pub fn rows(&self, own: &Range<usize>) -> Self {
        Self { ids: self.ids.clone().slice([own.clone(), 0..self.bags.slots()]), bags: self.bags }
    }

    /// `[samples, slots]`
    pub fn tensor(&self) -> Tensor<2, Int> {
        self.ids.clone()
    }

    /// `[samples * slots]`
    pub fn flat(&self) -> Tensor<1, Int> {
        let [samples, slots] = self.ids.dims();
        self.ids.clone().reshape([samples * slots])
    }
}

/// The rows that a batch touches, on the device, and the contributions to each.
#[derive(Clone)]
pub struct Touched {
    plan: Tensor<1, Int>,
    positions: Tensor<1, Int>,
    weights: Tensor<1>,
}

/// The plan of [`Touched`] rows as the device takes it, still on the host.
pub struct HostTouched {
    plan: Vec<i32>,
    positions: Vec<i32>,
    weights: Vec<f32>,
}

impl HostTouched {
    /// Plans the ids of a batch.
    pub fn new(planner: &mut RowPlanner, segments: &[Segment<'_>]) -> Self {
        let RowPlan { rows, offsets, positions, weights } = planner.plan(segments);
        let padded = rows.len().next_multiple_of(PLAN_STEP);
        let end = positions.len() as i32;
        let mut plan: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        plan.resize(padded, -1);
        plan.extend(offsets.iter().map(|&offset| offset as i32));
        plan.resize(2 * padded + 1, end);
        let mut positions: Vec<i32> = positions.iter().map(|&p| p as i32).collect();
        let mut weights = weights.clone();
        let slots = segments.iter().map(|segment| segment.ids.len()).sum();
        positions.resize(slots, 0);
        weights.resize(slots, 0.0);
        Self { plan, positions, weights }
    }

    /// One id a sample.
    pub fn single(planner: &mut RowPlanner, ids: &[u32]) -> Self {
        Self::new(planner, &[Segment { ids, bags: SINGLE }])
    }

    /// Moves the plan to the device.
    pub fn load(self, device: &Device) -> Touched {
        let slots = self.weights.len();
        Touched {
            plan: integers(self.plan, device),
            positions: integers(self.positions, device),
            weights: Tensor::from_data(TensorData::new(self.weights, [slots]), device),
        }
    }
}

/// `values` as an integer tensor of 32 bits, whatever the device's default is.
pub fn integers(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), (device, DType::I32))
}

/// `values` as a table, its rows without gaps: CUDA pads those of a tensor that comes from the host in several dimensions, a row of two
/// numbers to 256 bytes.
pub fn rows_of(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    let length = values.len();
    Tensor::<1>::from_data(TensorData::new(values, [length]), device).reshape(shape)
}

/// A table with its own lazy Adam.
pub struct RowTable {
    /// `[rows, 3 * width]`; only absent while a step writes it, which is what keeps the write in place.
    rows: Option<Tensor<2>>,
    width: usize,
}

impl RowTable {
    /// `rows` rows of `width` starting values, moments 0. `value` is asked on all cores: the tables of the paper's sizes have half a
    /// billion starting values.
    pub fn new(rows: usize, width: usize, device: &Device, value: impl Fn(u64) -> f32 + Sync) -> Self {
        let mut data = vec![0.0f32; rows * WITH_MOMENTS * width];
        let share = rows.div_ceil(platform::threads()).max(1);
        let mut parts: Vec<(usize, &mut [f32])> = data.chunks_mut(share * WITH_MOMENTS * width).enumerate().collect();
        platform::for_each(&mut parts, true, |(part, rows)| {
            for (r, row) in rows.chunks_exact_mut(WITH_MOMENTS * width).enumerate() {
                let first = ((*part * share + r) * width) as u64;
                row[..width].iter_mut().zip(first..).for_each(|(w, index)| *w = value(index));
            }
        });
        Self { rows: Some(rows_of(data, [rows, WITH_MOMENTS * width], device)), width }
    }

    fn tensor(&self) -> &Tensor<2> {
        self.rows.as_ref().expect("present between two steps")
    }

    /// The weights of a batch's rows, pooled: `[samples, fields * width]`.
    pub fn pool(&self, ids: &Ids) -> Tensor<2> {
        pool_rows(self.tensor(), ids.ids.clone(), ids.bags, self.width)
    }

    /// One step of lazy Adam from the gradients of what [`RowTable::pool`] gave for each segment of the plan, in order.
    pub fn update(&mut self, touched: &Touched, gradients: Vec<Tensor<2>>, step: AdamStep) {
        let Some(rows) = self.rows.take() else { return };
        let vectors = gradients.into_iter().map(|gradient| {
            let [samples, columns] = gradient.dims();
            gradient.reshape([samples * columns / self.width, self.width])
        });
        let gradient = joined(vectors.collect(), 0);
        let Touched { plan, positions, weights } = touched.clone();
        self.rows = Some(adam_rows(rows, gradient, plan, positions, weights, step));
    }

    /// Numbers of a row, its moments apart.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `[rows, 3 * width]`: weights and moments.
    pub fn rows(&self) -> Tensor<2> {
        self.tensor().clone()
    }

    /// Puts back what [`RowTable::rows`] gave.
    pub fn restore(&mut self, rows: Tensor<2>) {
        self.rows = Some(rows);
    }
}

/// Deviation of personal vectors at the start (A11).
const PERSONAL_START: f64 = 0.01;

/// A vector for each user or each item, `m` wide, which the ranker's loss reaches.
pub struct PersonalTable {
    side: Side,
    /// Its rows.
    pub rows: RowTable,
}

impl PersonalTable {
    /// For every user or item, near 0.
    pub fn new(side: Side, members: usize, m: usize, seed: u64, device: &Device) -> Self {
        let counter = Counter::new(seed, Stream::Personal);
        // Lane 1 is where a normal number takes its angle from.
        let counter = match side {
            Side::Users => counter,
            Side::Items => counter.lane(2),
        };
        Self { side, rows: RowTable::new(members, m, device, |i| (PERSONAL_START * counter.normal(i)) as f32) }
    }

    /// Whose vectors they are.
    pub fn side(&self) -> Side {
        self.side
    }

    /// What its tensors are called.
    pub fn name(&self) -> &'static str {
        match self.side {
            Side::Users => "user_vectors",
            Side::Items => "item_vectors",
        }
    }
}

/// A table whose rows are written by a rule and not by a gradient: memories of behaviours, item assignments.
pub struct BehaviourTable {
    /// `[rows, width]`; only absent while a step writes it.
    rows: Option<Tensor<2>>,
}

impl BehaviourTable {
    /// A table that starts as `rows` `[rows, width]`.
    pub fn new(rows: Tensor<2>) -> Self {
        Self { rows: Some(rows) }
    }

    /// `[rows, width]`
    pub fn rows(&self) -> Tensor<2> {
        self.rows.clone().expect("present between two steps")
    }

    /// The rows of so many ids, `[ids, width]`.
    pub fn look_up(&self, ids: &Ids) -> Tensor<2> {
        self.rows().select(0, ids.flat())
    }

    /// Writes the rows of a plan of single ids from `values` `[samples, width]`, of which only those with a weight above 0
    /// in `weights` `[samples]` count.
    pub fn write(&mut self, touched: &Touched, values: Tensor<2>, weights: Tensor<1>, rule: RowRule) {
        if let Some(rows) = self.rows.take() {
            self.rows = Some(write_rows(rows, values, weights, touched.plan.clone(), touched.positions.clone(), rule));
        }
    }

    /// Puts other rows in the place of these.
    pub fn restore(&mut self, rows: Tensor<2>) {
        self.rows = Some(rows);
    }
}
