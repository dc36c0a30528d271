//! The centres of users and of items (GHCA, sections 4.2 and 4.4): what the auxiliary model's vectors are assigned to. The search,
//! the step and the seeding stand in [`crate::model::layers::ghca`].

use burn::tensor::{Tensor, activation::sigmoid};

use crate::checkpoint::{CheckpointError, Gathering};
use crate::data::Side;
use crate::metrics::Term;
use crate::model::batch::DeviceBatch;
use crate::model::component::{Building, Chosen, Component, Features, Found, GraphLoss, Kind, LEVELS, Reads, Restoring, Step, StepLoss};
use crate::model::export::{self, NoNodes};
use crate::model::layers::ghca::{Memory, Observation, Reseeded, UserCentres};
use crate::onnx::Graph;

/// The losses of the user centres.
const CLUSTERING: Term = Term {
    title: "Clustering loss",
    about: "Eq. 4 and 5: distance of users to centres and to children. It grows while their vectors do.",
    names: &["loss_uie_l1", "loss_uie_l2"],
};

/// The losses of the item centres.
const ITEM_CLUSTERING: Term = Term {
    title: "Item clustering loss",
    about: "Eq. 13 and 14: distance of items to centres and to children.",
    names: &["loss_uhse_l1", "loss_uhse_l2"],
};

/// Centres of users that follow the stream; three sanity rows whose centres no step moves; centres of items.
pub static KINDS: [Kind; 5] = [
    Kind { losses: &[&CLUSTERING], ..Kind::new("user-centres", |building| of_users(building, UserCentres::Learned)) },
    Kind::new("random-user-centres", |building| of_users(building, UserCentres::Random)),
    Kind::new("k-means-user-centres", |building| of_users(building, UserCentres::KMeans)),
    Kind::new("daily-user-centres", |building| of_users(building, UserCentres::DailyKMeans)),
    Kind { losses: &[&ITEM_CLUSTERING], ..Kind::new("item-centres", |building| Box::new(Memory::items(building.config, building.device))) },
];

fn of_users(building: &Building<'_>, centres: UserCentres) -> Box<dyn Component> {
    Box::new(Memory::users(building.config, centres, building.device))
}

/// What the tensors of a memory are called.
fn name(memory: &Memory) -> &'static str {
    match memory.side() {
        Side::Users => "user_centres",
        Side::Items => "item_centres",
    }
}

impl Component for Memory {
    fn forward(&self, _reads: &Reads<'_>, found: &mut Found, _features: &mut Features) {
        let found = found.side_mut(self.side());
        found.has_centres = true;
        found.chosen = found.v.as_ref().filter(|_| self.is_filled()).map(|v| Chosen::nearest(self, v));
    }

    fn export(
        &self,
        graph: &mut Graph,
        _reads: &export::Reads,
        found: &mut export::Found,
        _features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let found = found.side(self.side());
        found.chosen = found.v.as_ref().filter(|_| self.is_filled()).map(|v| self.export_nearest(graph, name(self), v));
        Ok(())
    }

    fn losses(&self, _reads: &Reads<'_>, found: &Found, _batch: &DeviceBatch) -> Vec<GraphLoss> {
        let is_wanted = self.commitment() > 0.0;
        let committed = found.towers.as_ref().zip(found.side(self.side()).chosen.as_ref()).filter(|_| is_wanted);
        let loss = |value: Tensor<1>| GraphLoss { term: None, value: value * self.commitment(), weight: 1.0 };
        committed.map(|(towers, chosen)| loss(commitment(towers.v_user.clone(), chosen.mu()))).into_iter().collect()
    }

    fn learn(&mut self, step: &Step<'_>) -> Option<StepLoss> {
        let side = self.side();
        let assigned = step.assigned(side)?;
        let v = step.clustered[side as usize].as_ref()?.v.clone();
        let (term, takes_part) = match side {
            Side::Users => (&CLUSTERING, &step.batch.clustered),
            Side::Items => (&ITEM_CLUSTERING, &step.batch.positive),
        };
        let gradient = step.centre_gradients[side as usize].clone();
        Some((term, Memory::learn(self, v, assigned, takes_part.clone(), gradient)?))
    }

    fn gather(&self, prefix: &str, into: &mut Gathering) {
        let name = name(self);
        into.floats(format!("{prefix}{name}"), self.centres());
        into.floats(format!("{prefix}{name}.hits"), self.hits());
        into.floats(format!("{prefix}{name}.mean"), self.mean());
        if into.is_of_run() {
            self.gather_course(&format!("{prefix}{name}"), into);
        }
    }

    fn restore(&mut self, from: &Restoring<'_>) -> Result<(), CheckpointError> {
        let name = name(self);
        let hits = from.state.floats(&format!("{name}.hits"))?.to_vec();
        let filled = from.state.description.filled[self.side() as usize];
        Memory::restore(self, from.tensor(name)?, hits, from.tensor(&format!("{name}.mean"))?, filled, from.step);
        if from.of_run { self.resume(name, from.state) } else { Ok(()) }
    }

    fn due(&self, step: u64, planned: u64) -> Option<(Side, [Tensor<2>; 3])> {
        self.is_due(step, planned).then(|| (self.side(), [self.centres(), self.mean(), self.hits().unsqueeze()]))
    }

    fn keep_up(&mut self, side: Side, step: u64, planned: u64, seen: &Observation) -> Option<Reseeded> {
        if side == self.side() { self.tick(step, planned, seen) } else { None }
    }
}

/// The option of A2: `mean sigma(v . mu) |v - mu|^2` of both levels with the centres fixed, which moves the users.
fn commitment(v_user: Tensor<2>, mu: Tensor<3>) -> Tensor<1> {
    let v = v_user.unsqueeze_dim::<3>(0);
    let mu = Tensor::from_inner(mu);
    let sigma = sigmoid((mu.clone() * v.clone()).sum_dim(2)).detach();
    (sigma * (v - mu).square().sum_dim(2)).mean() * LEVELS as f32
}
