//! User History Sequence Enhancement (section 4.4): each item of a user's history is replaced by its item centre. The
//! enhancement sequence is encoded twice: as the raw history is, by its mean, and by how much of it is in the candidate's own
//! clusters.
//!
//! The paper does not say how the sequence is encoded. A mean of centres hides what the sequence is good for: of fifty places two
//! in the candidate's cluster move it by a twenty-fifth. Their share is attention to the candidate as sequence models have it
//! (DIN, Zhou et al. 2018), with weights of 0 and 1, and clusters are what makes it possible: of items themselves hardly one
//! comes again.
//!
//! Searching the centre of every history item would cost two hundred times the history itself. So the search is done once
//! for an item, when it passes as a positive (Eq. 11 and 12), and kept (A19): history look-up is then a gather.

use burn::tensor::{Int, Tensor};

use super::assignments::FrozenAssignments;
use super::ghca::Memory;
use crate::kernels::pool_centres;

/// The enhancement sequence of each history in `items` `[requests, history]` (negative: padding), encoded: the mean of
/// its centres on both levels `[2, requests, m]`, and whether there was any `[requests, 1]`. Items without a centre are
/// masked.
pub fn encode(memory: &Memory, assignments: &FrozenAssignments, items: Tensor<2, Int>) -> (Tensor<3>, Tensor<2>) {
    pool_centres(memory.centres(), assignments.entries.clone(), assignments.born.clone(), items, memory.levels())
}

/// The share of each history's centres that are the candidate's own, on both levels: `[samples, 2]` from `items` `[requests,
/// history]` and the candidates' centres `own` `[samples, 2]`. 0 where the history has no centre.
pub fn shares(assignments: &FrozenAssignments, items: Tensor<2, Int>, own: Tensor<2, Int>) -> Tensor<2> {
    let (shared, known) = assignments.count(items, own);
    shared / known.clamp_min(1.0)
}
