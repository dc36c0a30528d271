//! One step of several processes: what each found and each gradient of its part becomes that of the whole batch, the same bytes in every
//! process, so that all take the same step ([`crate::model::together`]).

use burn::tensor::{Int, Tensor};

use super::Ranker;
use super::step::{Graph, StepGradients};
use crate::communicator::Communicator;
use crate::data::Side;
use crate::model::component::{Found, GraphLoss, Leaves, SideFound};
use crate::model::layers::weights::Parameters;
use crate::model::together::{gathered, means};

/// What a side's own steps read of a pass, row by row.
struct SideRows {
    v: Option<Tensor<2>>,
    chosen: Option<(Tensor<2, Int>, Tensor<2>)>,
    entered: Option<Tensor<2>>,
}

impl SideRows {
    fn of(found: &Found, side: Side) -> Self {
        Self {
            v: found.first_vectors(side),
            chosen: found.clustered(side).and_then(|clustered| clustered.chosen),
            entered: found.side(side).entered.as_ref().map(|entered| entered.summed()),
        }
    }

    fn tables(self) -> impl Iterator<Item = Tensor<2>> {
        let Self { v, chosen, entered } = self;
        v.into_iter().chain(chosen.into_iter().flat_map(|(assigned, stopped)| [assigned.float(), stopped])).chain(entered)
    }
}

impl Ranker {
    /// The graph and the gradients of a part of a batch, as those of the whole.
    pub(super) fn joint(&self, graph: Graph, gradients: StepGradients) -> (Graph, StepGradients) {
        match self.together.several() {
            None => (graph, gradients),
            Some(communicator) => {
                let (graph, gradients) = self.averaged(communicator, graph, gradients);
                self.gathered(communicator, graph, gradients)
            }
        }
    }

    /// Means over the processes: of losses, and of the gradients of what every process holds whole.
    fn averaged(&self, communicator: &dyn Communicator, graph: Graph, gradients: StepGradients) -> (Graph, StepGradients) {
        let StepGradients { leaves, ple, components, centres } = gradients;
        let weights = || self.components.iter().map(|component| component.weights());
        let mut own = self.ple.listed(&ple);
        own.extend(weights().zip(&components).filter_map(|(weights, of_it)| Some(weights?.listed(of_it.as_ref()?))).flatten());
        own.extend(centres.iter().flatten().map(|gradient| gradient.clone().flatten(0, 1)));
        own.push(graph.mtl.clone().inner());
        own.extend(graph.losses.iter().map(|loss| loss.value.clone().inner()));

        let mut all = means(communicator, own);
        let ple = self.ple.replaced(ple, &mut all);
        let components = weights().zip(components).map(|(weights, of_it)| Some(weights?.replaced(of_it?, &mut all))).collect();
        let centres = centres.map(|gradient| gradient.map(|own| all.next().map_or(own.clone(), |mean| mean.reshape(own.dims()))));
        let Graph { leaves: pooled, mtl, losses, found } = graph;
        let mut mean = |own: Tensor<1>| all.next().map_or(own, Tensor::from_inner);
        let mtl = mean(mtl);
        let losses = losses.into_iter().map(|loss| GraphLoss { value: mean(loss.value), ..loss }).collect();
        (Graph { leaves: pooled, mtl, losses, found }, StepGradients { leaves, ple, components, centres })
    }

    /// Rows of all processes: gradients of pooled rows, and what the components' own steps read of a pass.
    fn gathered(&self, communicator: &dyn Communicator, graph: Graph, gradients: StepGradients) -> (Graph, StepGradients) {
        // Of the mean over the batch, and not over the part.
        let share = 1.0 / communicator.processes() as f64;
        let mut own: Vec<Tensor<2>> = gradients.leaves.each().map(|leaf| leaf.clone() * share).collect();
        let sides = Side::BOTH.map(|side| SideRows::of(&graph.found, side));
        let there = sides.each_ref().map(|rows| (rows.v.is_some(), rows.chosen.is_some(), rows.entered.is_some()));
        own.extend(sides.into_iter().flat_map(SideRows::tables));

        let (device, mut all) = (&self.device, gathered(communicator, own).into_iter());
        let mut floats = || all.next().map(|rows| rows.floats(device));
        let leaves: Leaves = gradients.leaves.map(|own| floats().unwrap_or_else(|| own.clone()));
        let mut found = Found::default();
        for ((side, before), (has_v, has_chosen, has_entered)) in Side::BOTH.into_iter().zip(graph.found.sides).zip(there) {
            let v = has_v.then(|| all.next()).flatten().map(|rows| rows.floats(device));
            let chosen = has_chosen.then(|| Some((all.next()?.integers(device), all.next()?.floats(device)))).flatten();
            let chosen = before.chosen.zip(chosen).map(|(before, (assigned, stopped))| before.by(assigned, stopped));
            let sums = has_entered.then(|| all.next()).flatten().map(|rows| rows.floats(device));
            let entered = before.entered.zip(sums).map(|(entered, sums)| entered.of_sums(sums));
            *found.side_mut(side) = SideFound { v, chosen, entered, ..before };
        }
        (Graph { found, ..graph }, StepGradients { leaves, ..gradients })
    }
}
