//! Which centres stand for whom: an item's own (A19, what UHSE replaces a history by), and those of the users who last consumed
//! an item. Kept as ids, so that a centre that moves takes all it stands for with it, and a look-up is a gather.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::ghca::Reseeded;
use super::table::{BehaviourTable, Ids, Touched, integers, rows_of};
use crate::kernels::{Levels, RowRule, count_shared, entries};
use crate::model::export::Assigned;
use crate::onnx::{Graph, Value};

/// Numbers of a place: the centre and the step.
pub const PLACE: usize = 2;
/// The step of a place that was never given: before any centre was born.
const NEVER: f32 = -1.0;

/// The level-2 centres (`children * parent + child`, each its parent with it) that each owner was last given.
///
/// A place is `[centre, step at which it was given]`, and a centre knows the step at which it was born. So what stood for a
/// centre that is born again is forgotten (A7) by one number, however many owners there are. Ids and steps are kept as floats,
/// which are exact up to 16 million.
pub struct Assignments {
    table: BehaviourTable,
    /// `[level-2 centres]`, on the host and on the device.
    born: Vec<f32>,
    born_there: Tensor<1>,
    places: usize,
    levels: Levels,
    device: Device,
}

/// Assignments to look up in.
#[derive(Clone)]
pub struct FrozenAssignments {
    /// `[owners * places, 2]`
    pub entries: Tensor<2>,
    /// `[level-2 centres]`
    pub born: Tensor<1>,
    places: usize,
    levels: Levels,
}

impl Assignments {
    /// So many owners with so many places each, none given.
    pub fn new(owners: usize, places: usize, levels: Levels, device: &Device) -> Self {
        let never = rows_of([0.0, NEVER].repeat(owners * places), [owners, 2 * places], device);
        let born = vec![0.0; levels.first * levels.children];
        let born_there = there(&born, device);
        Self { table: BehaviourTable::new(never), born, born_there, places, levels, device: device.clone() }
    }

    /// `[owners, 2 * places]`, each owner's newest place first.
    pub fn rows(&self) -> Tensor<2> {
        self.table.rows()
    }

    /// `[level-2 centres]`: the step at which each was born again, plus 1; 0 for those that never were. Places that were given
    /// before are void.
    pub fn born(&self) -> Tensor<1> {
        self.born_there.clone()
    }

    /// Puts back what [`Assignments::rows`] and [`Assignments::born`] gave.
    pub fn restore(&mut self, rows: Tensor<2>, born: Vec<f32>) {
        self.table.restore(rows);
        self.born_there = there(&born, &self.device);
        self.born = born;
    }

    /// Gives the owners `ids` of positives (`positive` `[n]`) the centres `assigned` `[n, 2]` at `step`. Their oldest place
    /// goes. Of several positives of one owner the last counts.
    pub fn give(&mut self, ids: &Ids, touched: &Touched, assigned: Tensor<2, Int>, positive: Tensor<1>, step: u64) {
        let newest = entries(assigned, self.born_there.clone(), step as f32);
        let [n, _] = newest.dims();
        let row = if self.places == 1 {
            newest
        } else {
            Tensor::cat(vec![newest, self.table.look_up(ids).slice([0..n, 0..2 * (self.places - 1)])], 1)
        };
        self.table.write(touched, row, positive, RowRule::Replace);
    }

    /// Gives every owner, with one place each, a centre at `step`: `[owners, 2]`.
    pub fn renew(&mut self, assigned: Tensor<2, Int>, step: u64) {
        debug_assert_eq!(self.places, 1, "one centre an owner");
        self.table.restore(entries(assigned, self.born_there.clone(), step as f32));
    }

    /// An owner whose centre was born again after `step` no longer has it (A7).
    pub fn forget(&mut self, reseeded: &Reseeded, step: u64) {
        let per_parent = self.levels.children as u32;
        let of_parents = reseeded.centres.iter().flat_map(|&centre| centre * per_parent..(centre + 1) * per_parent);
        of_parents.chain(reseeded.children.iter().copied()).for_each(|child| self.born[child as usize] = step as f32 + 1.0);
        self.born_there = there(&self.born, &self.device);
    }

    /// Takes every place back.
    pub fn clear(&mut self) {
        let [owners, _] = self.table.rows().dims();
        let fresh = Self::new(owners, self.places, self.levels, &self.device);
        *self = Self { born: std::mem::take(&mut self.born), born_there: self.born_there.clone(), ..fresh };
    }

    /// As they are.
    pub fn frozen(&self) -> FrozenAssignments {
        let [owners, columns] = self.rows().dims();
        let entries = self.rows().reshape([owners * columns / 2, 2]);
        FrozenAssignments { entries, born: self.born(), places: self.places, levels: self.levels }
    }

    /// Those of all owners with one place each, `[owners, 2]`, found in one pass.
    pub fn refreshed(&self, assigned: Tensor<2, Int>) -> FrozenAssignments {
        let born = Tensor::zeros([self.born.len()], &self.device);
        FrozenAssignments { entries: entries(assigned, born.clone(), 0.0), born, places: 1, levels: self.levels }
    }
}

impl Assignments {
    /// The nodes of a look-up of `owners` `[requests, n]` in the tensors called `name`, `[requests, n, places]`.
    pub fn export_places(&self, graph: &mut Graph, name: &str, owners: &Value) -> Assigned {
        let (entries, born) = (graph.floats(name), graph.floats(&format!("{name}.born")));
        let valid = valid(&entries, &born);
        let shape = [valid.len() / self.places, self.places];
        let table = graph.table(&format!("{name}.valid"), valid, &shape);
        let given = graph.gather_ids(&table, owners);
        let known = graph.known(&given);
        let children = graph.looked_up(&given);
        let per_parent = graph.integer(self.levels.children as i64);
        Assigned { rows: [graph.div(&children, &per_parent), children], known }
    }
}

/// The level-2 centre of each place, or -1, from `[places, 2]` entries and the steps at which centres were born.
pub fn valid(entries: &[f32], born: &[f32]) -> Vec<i32> {
    let is_valid = |entry: &[f32; 2]| born.get(entry[0] as usize).is_some_and(|&born| entry[1] >= born);
    entries.as_chunks::<2>().0.iter().map(|entry| if is_valid(entry) { entry[0] as i32 } else { -1 }).collect()
}

fn there(born: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(born.to_vec(), [born.len()]), device)
}

impl FrozenAssignments {
    /// The places of owners `[n]`, `[n, places]`.
    pub fn places_of(&self, owners: &Ids) -> Tensor<2, Int> {
        let places = integers((0..self.places as i32).collect(), &self.born.device());
        let first = owners.flat() * self.places as i32;
        first.unsqueeze_dim::<2>(1) + places.unsqueeze_dim(0)
    }

    /// How many of the places `ids` `[bags, slots]` (negative: padding) stand for a sample's own centres `own` `[samples, 2]`, the
    /// samples of a bag in a row: `[samples, 2]` by level, and how many stand for any, `[samples, 1]`.
    pub fn count(&self, ids: Tensor<2, Int>, own: Tensor<2, Int>) -> (Tensor<2>, Tensor<2>) {
        let [samples, _] = own.dims();
        let counts = count_shared(self.entries.clone(), self.born.clone(), ids, own, self.levels);
        (counts.clone().slice([0..samples, 0..2]), counts.slice([0..samples, 2..3]))
    }
}
