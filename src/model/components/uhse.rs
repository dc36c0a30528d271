//! User History Sequence Enhancement (section 4.4): each item of the user's window is replaced by its item centre. The enhancement
//! sequence, one of each level, is encoded as the window itself is (A19): the candidate's own centre looks at the centres of the window,
//! each with its behaviour's kind and place, and takes from them what matters to it.
//!
//! Searching the centre of every history item would cost two hundred times the history itself. So the search is done once
//! for an item, when it passes as a positive (Eq. 11 and 12), and kept (A19): history look-up is then a gather.

use burn::tensor::{Int, Tensor};

use crate::checkpoint::{CheckpointError, Gathering};
use crate::config::Config;
use crate::data::Side;
use crate::kernels::{Levels, pool_centres};
use crate::model::component::{
    Adds, Component, Features, Found, Frozen, Kind, LEVELS, Nothing, Reads, Restoring, Step, StepLoss, Takes, Vectors,
};
use crate::model::export::{self, NoNodes};
use crate::model::layers::assignments::{Assignments, FrozenAssignments, PLACE};
use crate::model::layers::attention::{TargetAttention, Window, WindowNodes};
use crate::model::layers::ghca::{Centres, Reseeded};
use crate::model::layers::weights::{Parameters, Weights};
use crate::onnx::{Graph, Value};

/// What a centre is multiplied with before it asks, at the start: in a full window one behaviour in the own cluster then weighs
/// as much as all others.
const QUERY_SCALE: f32 = 1.0;
/// What keeps the length of no centre at all from a division by 0.
const TINY: f32 = 1e-6;

/// UHSE: a vector of each level without a gate and how much of the candidate's own centre is in it, and whether there was any centre.
/// What was read is of a candidate as much as of the user, so it enters with the vectors of the items' side.
pub static KINDS: [Kind; 1] = [Kind {
    adds: |_| Adds {
        candidate: LEVELS,
        sides: [Vectors { flags: 1, ..Vectors::default() }, Vectors { plain: LEVELS, ..Vectors::default() }],
        ..Adds::default()
    },
    // The item's place, and once more while all items are looked up before an evaluation.
    takes: |config| TargetAttention::takes(sizes(config)) + Takes::of_each(Side::Items, 2 * PLACE),
    parameters: |config, _| TargetAttention::parameters(config.encoder, sizes(config)),
    ..Kind::new("uhse", |building| {
        let (config, levels) = (building.config, Levels { first: building.config.item_centres, children: building.config.item_children });
        Box::new(Uhse {
            assignments: Assignments::new(building.members(Side::Items), 1, levels, building.device),
            weights: Weights::new("uhse", TargetAttention::new(building.init, "uhse", config.encoder, sizes(config), QUERY_SCALE)),
        })
    })
}];

/// A window a level, its slots, and the width of a centre.
fn sizes(config: &Config) -> [usize; 3] {
    [LEVELS, config.history, config.memory_width()]
}

/// UHSE, with each item's own centre as it last passed.
pub struct Uhse {
    assignments: Assignments,
    weights: Weights<TargetAttention>,
}

/// The centres as candidates look at them: as the search sees them, and of length `sqrt m`, `[levels.rows(), m]`. Centres of all sizes are
/// then as easily seen, and a window's share in the candidate's own cluster is what a dot product says.
pub fn looked_at(centres: &Centres) -> Tensor<2> {
    let seen = centres.seen(centres.centres());
    seen.clone() / (seen.square().mean_dim(1) + TINY).sqrt()
}

impl Uhse {
    /// Each item's centre, as it last passed.
    pub fn assignments(&self) -> &Assignments {
        &self.assignments
    }

    /// What the candidates' centres look with.
    pub fn module(&self) -> &TargetAttention {
        self.weights.module()
    }

    /// What the candidates' own centres `own` `[2, samples, m]` read, of the same shape, and whether there was anything, `[requests, 1]`.
    fn read(&self, reads: &Reads<'_>, centres: &Centres, own: Tensor<3>) -> (Tensor<3>, Tensor<2>) {
        let Frozen { assignments } = reads.frozen;
        let FrozenAssignments { entries, born, .. } = assignments.clone().unwrap_or_else(|| self.assignments.frozen());
        let (items, levels) = (reads.dense.history_items.clone(), centres.levels());
        let ([requests, slots], [_, _, m]) = (items.dims(), own.dims());
        let each = items.clone().reshape([requests * slots, 1]);
        let (behaviours, has) = pool_centres(looked_at(centres), entries, born, each, levels);
        let has = has.reshape([requests, slots]);
        let window = Window {
            behaviours: reads.lift(behaviours).reshape([LEVELS * requests, slots, m]),
            kinds: reads.lift(reads.dense.history_kinds.clone()),
            ids: items.mask_fill(has.clone().lower_scalar(0.5), -1),
        };
        (self.weights.read(reads.is_training()).forward(reads.lift(own), window), has.max_dim(1))
    }
}

/// How much of each candidate's own centre `own` is in what it read, both `[2, samples, m]`: `[samples, 2]`.
pub fn matches(read: Tensor<3>, own: Tensor<3>) -> Tensor<2> {
    (read * own).mean_dim(2).squeeze_dim::<2>(2).swap_dims(0, 1)
}

/// The centres that stand for the items of a window.
fn export_assigned(graph: &mut Graph, window: &export::Window, chosen: &export::Chosen) -> export::Assigned {
    let table = graph.parameter(export::ITEM_CENTRES);
    let items = graph.looked_up(&window.items);
    let children = graph.gather_ids(&table, &items);
    let has = graph.known(&children);
    let known = graph.mul(&has, &window.known);
    let children = graph.looked_up(&children);
    let per_parent = graph.integer(chosen.levels.children as i64);
    export::Assigned { rows: [graph.div(&children, &per_parent), children], known }
}

/// The nodes' [`looked_at`], level by level.
fn export_looked_at(graph: &mut Graph, chosen: &export::Chosen, m: usize) -> [Value; 2] {
    chosen.centres.each_ref().map(|centres| {
        let seen = chosen.seen(graph, centres);
        let square = graph.dot(&seen, &seen);
        let mean = graph.times(&square, 1.0 / m as f32);
        let mean = graph.plus(&mean, TINY);
        let length = graph.sqrt(&mean);
        graph.div(&seen, &length)
    })
}

impl Component for Uhse {
    fn weights(&self) -> Option<&dyn Parameters> {
        Some(&self.weights)
    }

    fn weights_mut(&mut self) -> Option<&mut dyn Parameters> {
        Some(&mut self.weights)
    }

    fn forward(&self, reads: &Reads<'_>, found: &mut Found, features: &mut Features) {
        let (Some(v_user), Some(v_item)) = (&found.side(Side::Users).v, &found.side(Side::Items).v) else { return };
        let [samples, m] = v_item.dims();
        let Some(chosen) = &found.side(Side::Items).chosen else {
            features.side(Side::Users).flags.push(Nothing::of(v_user).flag);
            features.side(Side::Items).plain.push(reads.lift(Nothing::of(v_item).vectors));
            features.candidate.push(reads.lift(Tensor::zeros([samples, LEVELS], &v_item.device())));
            return;
        };
        let rows = chosen.centres.rows_of(&chosen.assigned);
        let own = looked_at(&chosen.centres).select(0, rows).reshape([LEVELS, samples, m]);
        let (read, has) = self.read(reads, &chosen.centres, own.clone());
        features.side(Side::Users).flags.push(has);
        features.candidate.push(matches(read.clone(), reads.lift(own)));
        features.side(Side::Items).plain.push(read);
        found.assignments = Some(reads.frozen.assignments.clone().unwrap_or_else(|| self.assignments.frozen()));
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let (Some(v_user), Some(v_item)) = (found.side(Side::Users).v.clone(), found.side(Side::Items).v.clone()) else { return Ok(()) };
        let Some(chosen) = found.side(Side::Items).chosen.clone() else {
            let [of_user, of_item] = [v_user, v_item].map(|v| graph.zeros_like(&v));
            let [flag, shared] = [&of_user, &of_item].map(|nothing| graph.sum(nothing, -1));
            features.side(Side::Users).flags.push(flag);
            features.side(Side::Items).plain.extend([of_item.clone(), of_item]);
            features.candidate.extend([shared.clone(), shared]);
            return Ok(());
        };
        let assigned = export_assigned(graph, &reads.window, &chosen);
        let m = self.module().width();
        let tables = export_looked_at(graph, &chosen, m);
        let slots = graph.unsqueeze(&assigned.known, -1);
        for (level, table) in tables.iter().enumerate() {
            let own = graph.gather(table, &chosen.rows[level]);
            let behaviours = graph.gather(table, &assigned.rows[level]);
            let behaviours = graph.mul(&behaviours, &slots);
            let window = WindowNodes { behaviours, kinds: reads.window.kinds.clone(), known: assigned.known.clone() };
            let read = self.module().export(graph, &self.weights.path(), level, &own, &window);
            let shared = graph.dot(&read, &own);
            features.candidate.push(graph.times(&shared, 1.0 / m as f32));
            features.side(Side::Items).plain.push(read);
        }
        let known = graph.sum(&assigned.known, -1);
        let one = graph.number(1.0);
        let has = graph.min(&known, &one);
        features.side(Side::Users).flags.push(graph.unsqueeze(&has, -1));
        found.assigned = Some(assigned);
        Ok(())
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

    fn refresh(&mut self, assigned: &Tensor<2, Int>, step: u64) {
        self.assignments.renew(assigned.clone(), step);
    }

    fn forget(&mut self, side: Side, reseeded: &Reseeded, step: u64) {
        if side == Side::Items {
            self.assignments.forget(reseeded, step);
        }
    }
}
