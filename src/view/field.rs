//! The field: centres and their members as a person sees them, frame by frame.

use std::collections::HashSet;

use super::{FieldFrame, Plane};
use crate::data::Side;

/// What a frame is made from: the centres of one side of one model, and the users or the consumed items of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The step.
    pub step: u64,
    /// Whose centres.
    pub side: Side,
    /// Level-1 centres.
    pub parents: usize,
    /// Level-2 centres of each level-1 centre.
    pub children: usize,
    /// Width of a vector.
    pub width: usize,
    /// `[parents * (1 + children), width]`, level 1 first.
    pub centres: Vec<f32>,
    /// `[parents * (1 + children)]`: samples that each centre has taken.
    pub hits: Vec<f32>,
    /// `[requests, width]`: the members' vectors.
    pub vectors: Vec<f32>,
    /// `[requests, 2]`: level-1 centre and level-2 centre (`children * parent + child`).
    pub assigned: Vec<u32>,
    /// `[requests]`: whether UIE stopped for the user.
    pub stopped: Vec<bool>,
    /// `[requests]`: whose vectors they are; a user or an item may come more than once.
    pub members: Vec<u32>,
    /// `[requests]`: whether a user is low-active, or an item of the tail.
    pub low_active: Vec<bool>,
    /// `[requests]`: the category of the consumed item.
    pub categories: Vec<u32>,
    /// `[requests]`: planted groups; empty for real rows.
    pub groups: Vec<u32>,
}

/// The plane of the frames so far, and what each centre had taken in the last.
#[derive(Clone, Debug, Default)]
pub struct Field {
    side: Side,
    plane: Plane,
    hits: Vec<f32>,
}

impl Field {
    /// The next frame. One of the other side begins a plane of its own.
    pub fn frame(&mut self, seen: Snapshot) -> FieldFrame {
        if seen.side != self.side {
            *self = Self { side: seen.side, ..Self::default() };
        }
        let m = seen.width;
        self.plane.follow(&seen.centres[..seen.parents * m], m);
        let mut known = HashSet::new();
        let rows: Vec<usize> = (0..seen.members.len()).filter(|&r| known.insert(seen.members[r])).collect();
        let vectors: Vec<f32> = rows.iter().flat_map(|&r| seen.vectors[r * m..(r + 1) * m].iter().copied()).collect();
        self.hits.resize(seen.hits.len(), 0.0);
        let since = seen.hits.iter().zip(&self.hits).map(|(now, then)| now - then).collect();
        self.hits = seen.hits;
        FieldFrame {
            step: seen.step,
            side: seen.side,
            centres: seen.parents as u32,
            children: seen.children as u32,
            centre_xy: self.plane.project(&seen.centres, m),
            hits: since,
            members: rows.iter().map(|&r| seen.members[r]).collect(),
            member_xy: self.plane.project(&vectors, m),
            assigned: rows.iter().flat_map(|&r| [seen.assigned[2 * r], seen.assigned[2 * r + 1]]).collect(),
            low_active: rows.iter().map(|&r| seen.low_active[r]).collect(),
            stopped: rows.iter().map(|&r| seen.stopped[r]).collect(),
            categories: rows.iter().filter_map(|&r| seen.categories.get(r).copied()).collect(),
            groups: rows.iter().filter_map(|&r| seen.groups.get(r).copied()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two centres with a child each, and three requests of two users.
    fn snapshot(hits: [f32; 4]) -> Snapshot {
        Snapshot {
            step: 3,
            parents: 2,
            children: 1,
            width: 2,
            centres: vec![1.0, 0.0, 0.0, 1.0, 2.0, 0.1, 0.1, 2.0],
            hits: hits.to_vec(),
            vectors: vec![3.0, 0.0, 0.0, 3.0, 9.0, 9.0],
            assigned: vec![0, 0, 1, 1, 0, 0],
            stopped: vec![false, true, false],
            members: vec![7, 8, 7],
            low_active: vec![true, false, true],
            categories: vec![5, 6, 5],
            groups: vec![],
            side: Side::Users,
        }
    }

    #[test]
    fn a_frame_shows_each_user_once_and_what_centres_took_since_the_last() {
        let mut field = Field::default();
        let first = field.frame(snapshot([4.0, 1.0, 4.0, 1.0]));
        assert_eq!(
            (first.members, first.assigned, first.low_active, first.stopped, first.categories, first.groups),
            (vec![7, 8], vec![0, 0, 1, 1], vec![true, false], vec![false, true], vec![5, 6], vec![])
        );
        assert_eq!((first.hits, first.centre_xy.len(), first.member_xy.len()), (vec![4.0, 1.0, 4.0, 1.0], 8, 4));
        assert_eq!(field.frame(snapshot([5.0, 3.0, 5.0, 3.0])).hits, [1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    fn a_frame_of_the_other_side_counts_from_its_own_beginning() {
        let mut field = Field::default();
        field.frame(snapshot([4.0, 1.0, 4.0, 1.0]));
        let items = Snapshot { side: Side::Items, ..snapshot([5.0, 3.0, 5.0, 3.0]) };
        assert_eq!(field.frame(items).hits, [5.0, 3.0, 5.0, 3.0]);
    }
}
