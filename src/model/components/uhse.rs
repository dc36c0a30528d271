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

use crate::checkpoint::{CheckpointError, Gathering};
use crate::data::Side;
use crate::kernels::{Levels, pool_centres};
use crate::model::component::{
    Adds, Component, Features, Found, Frozen, Kind, LEVELS, Nothing, Reads, Restoring, Step, StepLoss, Takes, Vectors,
};
use crate::model::layers::assignments::{Assignments, FrozenAssignments, PLACE};
use crate::model::layers::ghca::{Centres, Reseeded};

/// UHSE: a vector of each level without a gate, whether there was any centre, and how well each candidate matches.
pub static KINDS: [Kind; 1] = [Kind {
    adds: |_| Adds {
        sides: [Vectors { plain: LEVELS, flags: 1, matches: LEVELS, ..Vectors::default() }, Vectors::default()],
        ..Adds::default()
    },
    // The item's place, and once more while all items are looked up before an evaluation.
    takes: |_| Takes::of_each(Side::Items, 2 * PLACE),
    ..Kind::new("uhse", |building| {
        let levels = Levels { first: building.config.item_centres, children: building.config.item_children };
        Box::new(Uhse { assignments: Assignments::new(building.members(Side::Items), 1, levels, building.device) })
    })
}];

/// The enhancement sequence of each history in `items` `[requests, history]` (negative: padding), encoded: the mean of
/// its centres on both levels `[2, requests, m]`, and whether there was any `[requests, 1]`. Items without a centre are
/// masked.
pub fn encode(centres: &Centres, assignments: &FrozenAssignments, items: Tensor<2, Int>) -> (Tensor<3>, Tensor<2>) {
    pool_centres(centres.centres(), assignments.entries.clone(), assignments.born.clone(), items, centres.levels())
}

/// The share of each history's centres that are the candidate's own, on both levels: `[samples, 2]` from `items` `[requests,
/// history]` and the candidates' centres `own` `[samples, 2]`. 0 where the history has no centre.
pub fn shares(assignments: &FrozenAssignments, items: Tensor<2, Int>, own: Tensor<2, Int>) -> Tensor<2> {
    let (shared, known) = assignments.count(items, own);
    shared / known.clamp_min(1.0)
}

/// UHSE, with each item's own centre as it last passed.
pub struct Uhse {
    assignments: Assignments,
}

impl Uhse {
    /// Each item's centre, as it last passed.
    pub fn assignments(&self) -> &Assignments {
        &self.assignments
    }
}

impl Component for Uhse {
    fn forward(&self, reads: &Reads<'_>, found: &mut Found, features: &mut Features) {
        let (Some(v_user), Some(v_item)) = (&found.side(Side::Users).v, &found.side(Side::Items).v) else { return };
        let into = features.side(Side::Users);
        let Some(chosen) = &found.side(Side::Items).chosen else {
            let (nothing, [samples, _]) = (Nothing::of(v_user), v_item.dims());
            into.plain.push(reads.lift(nothing.vectors));
            into.flags.push(nothing.flag);
            into.matches.push(reads.lift(Tensor::zeros([samples, LEVELS], &v_item.device())));
            return;
        };
        let assignments = reads.frozen.assignments.clone().unwrap_or_else(|| self.assignments.frozen());
        let (encoded, has) = encode(&chosen.centres, &assignments, reads.dense.history_items.clone());
        into.plain.push(reads.lift(encoded));
        into.flags.push(has);
        into.matches.push(reads.lift(shares(&assignments, reads.dense.history_items.clone(), chosen.assigned.clone())));
    }

    fn learn(&mut self, step: &Step<'_>) -> Option<StepLoss> {
        let (assigned, consumed) = (step.assigned(Side::Items)?, &step.batch.consumed);
        self.assignments.give(&consumed.ids, &consumed.touched, assigned, step.batch.positive.clone(), step.steps);
        None
    }

    fn gather(&self, prefix: &str, into: &mut Gathering) {
        into.floats(format!("{prefix}item_assignments"), self.assignments.rows());
        into.floats(format!("{prefix}item_assignments.born"), self.assignments.born());
    }

    fn restore(&mut self, from: &Restoring<'_>) -> Result<(), CheckpointError> {
        self.assignments.restore(from.tensor("item_assignments")?, from.state.floats("item_assignments.born")?.to_vec());
        Ok(())
    }

    /// Every item's centre looked up anew (A19), where the centres can be searched for every item.
    fn freeze(&self, all: &dyn Fn() -> Option<Tensor<2, Int>>, frozen: &mut Frozen) {
        frozen.assignments = Some(all().map_or_else(|| self.assignments.frozen(), |assigned| self.assignments.refreshed(assigned)));
    }

    fn forget(&mut self, side: Side, reseeded: &Reseeded, step: u64) {
        if side == Side::Items {
            self.assignments.forget(reseeded, step);
        }
    }
}
