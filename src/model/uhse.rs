//! User History Sequence Enhancement (section 4.4): each item of a user's history is replaced by its item centre, and the
//! enhancement sequence is encoded as the raw history is, by its mean.
//!
//! Searching the centre of every history item would cost two hundred times the history itself. So the search is done once
//! for an item, when it passes as a positive (Eq. 11 and 12), and kept (A19): history look-up is then a gather.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::ghca::{Memory, Reseeded};
use super::table::{BehaviourTable, Touched};
use super::upbe::unpack;
use crate::kernels::{Levels, RowRule, pool_centres};

/// The step of an item that never passed: before any centre was born.
const NEVER: f32 = -1.0;

/// Each item's level-2 centre (`children * parent + child`, its parent with it), as last seen.
///
/// An entry is `[centre, step at which it was given]`, and a centre knows the step at which it was born. So the items of a
/// centre that is born again are forgotten (A7) by one number, however many there are. Ids and steps are kept as floats,
/// which are exact up to 16 million.
pub struct Assignments {
    entries: BehaviourTable,
    /// `[level-2 centres]`
    born: Vec<f32>,
    levels: Levels,
    device: Device,
}

/// Assignments to look histories up in.
#[derive(Clone)]
pub struct FrozenAssignments {
    entries: Tensor<2>,
    born: Tensor<1>,
}

impl Assignments {
    /// So many items, none assigned.
    pub fn new(items: usize, levels: Levels, device: &Device) -> Self {
        let born = vec![0.0; levels.first * levels.children];
        let never = TensorData::new([0.0, NEVER].repeat(items), [items, 2]);
        Self { entries: BehaviourTable::new(Tensor::from_data(never, device)), born, levels, device: device.clone() }
    }

    /// `[items, 2]`
    pub fn rows(&self) -> Tensor<2> {
        self.entries.rows()
    }

    /// `[level-2 centres]`: the step at which each was born again, plus 1; 0 for those that never were. Entries that were
    /// given before are void.
    pub fn born(&self) -> Tensor<1> {
        Tensor::from_data(TensorData::new(self.born.clone(), [self.born.len()]), &self.device)
    }

    /// Puts back what [`Assignments::rows`] and [`Assignments::born`] gave.
    pub fn restore(&mut self, rows: Tensor<2>, born: Vec<f32>) {
        self.entries.restore(rows);
        self.born = born;
    }

    /// Writes down the centres `assigned` `[positives, 2]` of the items that passed as positives (`positive` `[positives]`)
    /// at `step`.
    pub fn write(&mut self, touched: &Touched, assigned: Tensor<2, Int>, positive: Tensor<1>, step: u64) {
        self.entries.write(touched, entries(assigned, step as f32), positive, RowRule::Replace);
    }

    /// Items of centres that were born again after `step` become unassigned (A7).
    pub fn forget(&mut self, reseeded: &Reseeded, step: u64) {
        let per_parent = self.levels.children as u32;
        let of_parents = reseeded.centres.iter().flat_map(|&centre| centre * per_parent..(centre + 1) * per_parent);
        of_parents.chain(reseeded.children.iter().copied()).for_each(|child| self.born[child as usize] = step as f32 + 1.0);
    }

    /// As they are.
    pub fn frozen(&self) -> FrozenAssignments {
        FrozenAssignments { entries: self.rows(), born: self.born() }
    }

    /// Assignments of all items, `[items, 2]`, found in one pass.
    pub fn refreshed(&self, assigned: Tensor<2, Int>) -> FrozenAssignments {
        FrozenAssignments { entries: entries(assigned, 0.0), born: Tensor::zeros([self.born.len()], &self.device) }
    }
}

fn entries(assigned: Tensor<2, Int>, step: f32) -> Tensor<2> {
    let [n, _] = assigned.dims();
    let child = assigned.slice([0..n, 1..2]).float();
    Tensor::cat(vec![child.clone(), child * 0.0 + step], 1)
}

impl FrozenAssignments {
    /// The enhancement sequence of each history in `items` `[requests, history]` (negative: padding), encoded: the mean of
    /// its centres on both levels `[2, requests, m]`, and whether there was any `[requests, 1]`. Items without a centre are
    /// masked.
    pub fn encode(&self, memory: &Memory, items: Tensor<2, Int>) -> (Tensor<3>, Tensor<2>) {
        let centres = memory.centres();
        let [_, m] = centres.dims();
        unpack(pool_centres(centres, self.entries.clone(), self.born.clone(), items, memory.levels()), m)
    }
}
