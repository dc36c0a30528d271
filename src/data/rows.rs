//! Which rows of an embedding table a batch touches, and with what weight: the plan of the row-sparse optimizer.

use super::protocol::NO_ROW;

/// How the ids of a sample are laid out: single ids first, then bags of equal length whose rows are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bags {
    /// Slots that are a field each.
    pub singles: usize,
    /// Bags, a field each.
    pub bags: usize,
    /// Slots of a bag, padding included.
    pub bag_len: usize,
}

impl Bags {
    /// Ids of a sample.
    pub fn slots(self) -> usize {
        self.singles + self.bags * self.bag_len
    }

    /// Vectors that a sample's ids become.
    pub fn fields(self) -> usize {
        self.singles + self.bags
    }
}

/// Ids that are laid out alike: `[samples, bags.slots()]`, with [`NO_ROW`] for padding.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The ids.
    pub ids: &'a [u32],
    /// How a sample's ids are laid out.
    pub bags: Bags,
}

impl Segment<'_> {
    /// Vectors that the ids become.
    ///
    /// # Panics
    /// Where the ids are no whole number of samples.
    pub fn vectors(&self) -> usize {
        let slots = self.bags.slots();
        assert!(self.ids.is_empty() || self.ids.len().is_multiple_of(slots), "{} ids in samples of {slots}", self.ids.len());
        if self.ids.is_empty() { 0 } else { self.ids.len() / slots * self.bags.fields() }
    }
}

/// The contributions of each touched row, as compressed sparse rows: row `rows[r]` enters the vectors
/// `positions[offsets[r]..offsets[r + 1]]` with the weights beside them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowPlan {
    /// `[n]`: touched rows of the table, each once, in order of first appearance.
    pub rows: Vec<u32>,
    /// `[n + 1]`: where the contributions of each begin.
    pub offsets: Vec<u32>,
    /// `[contributions]`: `sample * fields + field` within its segment, counted on from segment to segment; ascending
    /// within a row.
    pub positions: Vec<u32>,
    /// `[contributions]`: 1 for a single id, 1 over the ids of the bag for an id in a bag.
    pub weights: Vec<f32>,
}

/// Makes plans in time proportional to the ids of a batch, whatever the size of the table, and without allocating
/// once its buffers have grown.
pub struct RowPlanner {
    /// `[table_rows]`: the plan in which a row was last touched, and its place there.
    stamps: Vec<(u32, u32)>,
    epoch: u32,
    /// `[n]`: where the next contribution of each touched row goes.
    next: Vec<u32>,
    plan: RowPlan,
}

impl RowPlanner {
    /// A planner for a table. Keeps 8 bytes a row.
    pub fn new(table_rows: usize) -> Self {
        Self { stamps: vec![(0, 0); table_rows], epoch: 0, next: Vec::new(), plan: RowPlan::default() }
    }

    /// One plan of all segments: a row that is touched by several of them takes one step. It stays until the next call.
    ///
    /// # Panics
    /// Where an id is not in the table, or where a segment is no whole number of samples.
    pub fn plan(&mut self, segments: &[Segment<'_>]) -> &RowPlan {
        self.touch(segments);
        let mut first = 0;
        for segment in segments {
            self.place(*segment, first);
            first += segment.vectors();
        }
        &self.plan
    }

    /// Finds the touched rows and turns their counts into offsets.
    fn touch(&mut self, segments: &[Segment<'_>]) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.stamps.fill((0, 0));
            self.epoch = 1;
        }
        self.plan.rows.clear();
        self.next.clear();
        for &id in segments.iter().flat_map(|segment| segment.ids).filter(|&&id| id != NO_ROW) {
            let stamp = &mut self.stamps[id as usize];
            if stamp.0 != self.epoch {
                *stamp = (self.epoch, self.next.len() as u32);
                self.plan.rows.push(id);
                self.next.push(0);
            }
            self.next[stamp.1 as usize] += 1;
        }
        let mut total = 0;
        self.plan.offsets.clear();
        for count in &mut self.next {
            self.plan.offsets.push(total);
            total += std::mem::replace(count, total);
        }
        self.plan.offsets.push(total);
        self.plan.positions.resize(total as usize, 0);
        self.plan.weights.resize(total as usize, 0.0);
    }

    /// Writes the contributions of a segment, sample by sample; its vectors are counted from `start`.
    fn place(&mut self, Segment { ids, bags }: Segment<'_>, start: usize) {
        if ids.is_empty() {
            return;
        }
        for (sample, ids) in ids.chunks_exact(bags.slots()).enumerate() {
            let first = (start + sample * bags.fields()) as u32;
            let (singles, rest) = ids.split_at(bags.singles);
            for (field, &id) in singles.iter().enumerate() {
                self.put(id, first + field as u32, 1.0);
            }
            for bag in 0..bags.bags {
                let ids = &rest[bag * bags.bag_len..(bag + 1) * bags.bag_len];
                let count = ids.iter().filter(|&&id| id != NO_ROW).count();
                for &id in ids {
                    self.put(id, first + (bags.singles + bag) as u32, 1.0 / count as f32);
                }
            }
        }
    }

    fn put(&mut self, id: u32, position: u32, weight: f32) {
        if id == NO_ROW {
            return;
        }
        let next = &mut self.next[self.stamps[id as usize].1 as usize];
        self.plan.positions[*next as usize] = position;
        self.plan.weights[*next as usize] = weight;
        *next += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::counter::{Counter, Stream};

    /// Contributions by row, slot by slot as the definition reads.
    fn naive(ids: &[u32], bags: Bags) -> BTreeMap<u32, Vec<(u32, f32)>> {
        let mut by_row: BTreeMap<u32, Vec<(u32, f32)>> = BTreeMap::new();
        for (at, &id) in ids.iter().enumerate().filter(|(_, id)| **id != NO_ROW) {
            let (b, s) = (at / bags.slots(), at % bags.slots());
            let field = if s < bags.singles { s } else { bags.singles + (s - bags.singles) / bags.bag_len };
            let weight = if s < bags.singles {
                1.0
            } else {
                let start = b * bags.slots() + bags.singles + (field - bags.singles) * bags.bag_len;
                1.0 / ids[start..start + bags.bag_len].iter().filter(|id| **id != NO_ROW).count() as f32
            };
            by_row.entry(id).or_default().push(((b * bags.fields() + field) as u32, weight));
        }
        by_row
    }

    #[test]
    fn a_plan_is_the_naive_one_batch_after_batch() {
        let mut planner = RowPlanner::new(50);
        let counter = Counter::new(5, Stream::Choices);
        for round in 0..40 {
            let bags = Bags { singles: (round % 4) as usize, bags: (round % 3) as usize, bag_len: 1 + (round % 5) as usize };
            let samples = if bags.slots() == 0 { 0 } else { 17 };
            let random = counter.lane(round);
            let ids: Vec<u32> = (0..(samples * bags.slots()) as u64)
                .map(|i| if random.uniform(2 * i) < 0.3 { NO_ROW } else { random.below(2 * i + 1, 50) as u32 })
                .collect();
            if round == 20 {
                planner.epoch = u32::MAX - 1;
            }
            let plan = planner.plan(&[Segment { ids: &ids, bags }]);
            let expected = naive(&ids, bags);
            assert_eq!(plan.rows.len(), expected.len());
            assert_eq!(plan.offsets.len(), plan.rows.len() + 1);
            let mut first_seen = Vec::new();
            ids.iter().filter(|id| **id != NO_ROW).for_each(|id| {
                if !first_seen.contains(id) {
                    first_seen.push(*id)
                }
            });
            assert_eq!(plan.rows, first_seen);
            for (r, row) in plan.rows.iter().enumerate() {
                let span = plan.offsets[r] as usize..plan.offsets[r + 1] as usize;
                let own: Vec<(u32, f32)> = plan.positions[span.clone()].iter().copied().zip(plan.weights[span].iter().copied()).collect();
                assert_eq!(own, expected[row], "row {row}");
            }
            assert_eq!(plan.positions.len(), plan.offsets.last().copied().unwrap() as usize);
        }
    }

    #[test]
    fn a_bag_of_padding_contributes_nothing() {
        let mut planner = RowPlanner::new(4);
        let ids = [2, NO_ROW, NO_ROW, 2, 3, NO_ROW];
        let plan = planner.plan(&[Segment { ids: &ids, bags: Bags { singles: 1, bags: 1, bag_len: 2 } }]);
        assert_eq!(*plan, RowPlan { rows: vec![2, 3], offsets: vec![0, 2, 3], positions: vec![0, 2, 3], weights: vec![1.0; 3] });
    }

    #[test]
    fn a_row_of_two_segments_is_touched_once() {
        let mut planner = RowPlanner::new(4);
        let candidates = Segment { ids: &[1, 3, 0, 3], bags: Bags { singles: 2, bags: 0, bag_len: 0 } };
        let requests = Segment { ids: &[2, 3, 1], bags: Bags { singles: 1, bags: 1, bag_len: 2 } };
        let plan = planner.plan(&[candidates, requests]);
        assert_eq!(plan.rows, [1, 3, 0, 2]);
        assert_eq!(plan.offsets, [0, 2, 5, 6, 7]);
        assert_eq!(plan.positions, [0, 5, 1, 3, 5, 2, 4]);
        assert_eq!(plan.weights, [1.0, 0.5, 1.0, 1.0, 0.5, 1.0, 1.0]);
    }
}
