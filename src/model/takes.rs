//! The memory that a part of a model takes.

use crate::data::Side;

/// Numbers that a component keeps or computes beside its dense parameters and the vectors of its [`Adds`](super::component::Adds): what `footprint` cannot
/// know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// Kept for each user and for each item as long as a run lasts: memories, rows of tables with their moments.
    pub members: [usize; 2],
    /// Computed in a step for each request.
    pub request: usize,
    /// Computed in a step for each candidate.
    pub candidate: usize,
}

impl std::ops::Add for Takes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let members = [0, 1].map(|side| self.members[side] + other.members[side]);
        Self { members, request: self.request + other.request, candidate: self.candidate + other.candidate }
    }
}

impl Takes {
    /// What is too little to count.
    pub const NOTHING: Self = Self { members: [0; 2], request: 0, candidate: 0 };

    /// What it keeps of each member of a side.
    pub fn of_each(side: Side, numbers: usize) -> Self {
        let mut takes = Self::NOTHING;
        takes.members[side as usize] = numbers;
        takes
    }
}
