//! User Positive Behavior Enhancement (section 4.3): a memory for each user into which a positive pulls the user centres
//! that are nearest to its ITEM, those most likely to consume it. DUIA for items does the same the other way round
//! (section 4.5, A20): a memory for each item, into which a positive pulls the item centres nearest to its user.
//!
//! `life` is the same memory without clusters, a sanity row: a positive pulls its item's own vector into it.

use burn::tensor::{Device, Tensor, activation::sigmoid};

use crate::checkpoint::{CheckpointError, Gathering};
use crate::config::{CentreStep, Config, MemoryStart};
use crate::data::Side;
use crate::kernels::{AdamStep, PRIOR_TOUCHES, RowRule, recall, sum_samples};
use crate::metrics::Term;
use crate::model::component::{
    Adds, Building, Component, Features, Found, Kind, LEVELS, Nothing, Reads, Restoring, Step, StepLoss, Takes, Vectors,
};
use crate::model::export::{self, NoNodes};
use crate::model::layers::ghca::Centres;
use crate::model::layers::table::{BehaviourTable, Ids, RowTable, Touched};
use crate::onnx::{Graph, Value};

const OF_USERS: Term = Term {
    title: "Behaviour loss",
    about: "Eq. 9 and 10: distance of memories to what their users took.",
    names: &["loss_upbe_l1", "loss_upbe_l2"],
};

const OF_LIVES: Term = Term {
    title: "Life loss",
    about: "Eq. 9 and 10 with each item's own vector in the place of centres.",
    names: &["loss_life_l1", "loss_life_l2"],
};

const OF_ITEMS: Term =
    Term { title: "Items' behaviour loss", about: "Eq. 9 and 10 on the item side.", names: &["loss_items_l1", "loss_items_l2"] };

/// UPBE of users and of items; of users without clusters.
pub static KINDS: [Kind; 3] = [
    Kind { losses: &[&OF_USERS], ..of_users("upbe", |building| build(building, Side::Users, Pulls::Centres)) },
    Kind {
        adds: |_| adds(Side::Items),
        losses: &[&OF_ITEMS],
        takes: |config| takes(config, Side::Items),
        ..Kind::new("item-upbe", |building| build(building, Side::Items, Pulls::Centres))
    },
    Kind { losses: &[&OF_LIVES], ..of_users("life", |building| build(building, Side::Users, Pulls::Vectors)) },
];

/// What a positive pulls into a memory.
#[derive(Clone, Copy, PartialEq)]
enum Pulls {
    /// The centres nearest to what was taken: UPBE.
    Centres,
    /// The vector of what was taken, on both levels.
    Vectors,
}

/// A memory of users.
const fn of_users(name: &'static str, build: fn(&Building<'_>) -> Box<dyn Component>) -> Kind {
    Kind { adds: |_| adds(Side::Users), takes: |config| takes(config, Side::Users), ..Kind::new(name, build) }
}

/// A memory of both levels and the number of its touches.
fn takes(config: &Config, side: Side) -> Takes {
    Takes::of_each(side, LEVELS * config.memory_width() + 1)
}

/// A vector of each level behind a gate.
fn adds(side: Side) -> Adds {
    let mut adds = Adds::default();
    adds.sides[side as usize] = Vectors { gated: LEVELS, ..Vectors::default() };
    adds
}

fn build(building: &Building<'_>, side: Side, pulls: Pulls) -> Box<dyn Component> {
    Box::new(Upbe { side, pulls, behaviours: Behaviours::new(building.config, building.members(side), building.device) })
}

/// A memory of positive behaviours: a row `[level 1 | level 2 | touches]` for each user or item, touches being the steps that
/// pulled something into it.
pub struct Behaviours {
    table: BehaviourTable,
    /// `[rows, 2 m]`, with moments: the memories in the place of the table's, which then counts touches alone; none but under
    /// [`CentreStep::Adam`].
    adam: Option<RowTable>,
    learning_rate: f64,
    /// `[1, 2 m]`
    mean: Tensor<2>,
    m: usize,
    rate: f64,
    mean_rate: f64,
    start: MemoryStart,
}

/// The centres, or vectors, that positives matched, found before anything of the step moves (A13, A15).
pub struct Matched {
    /// `[positives, 2 m]`: level 1, level 2.
    mu: Tensor<2>,
    /// `[positives, 1]`: 1 for a positive whose centres are not negatively correlated with whom the memory is of (A10).
    open: Tensor<2>,
}

/// Eq. 9 and 10 of a step, `[2]`, each before its weight.
pub type BehaviourLosses = Tensor<1>;

impl Matched {
    /// Eq. 7 and 8, the second among the children of the first (A14): the centres nearest to `seeker` `[positives, m]`, and
    /// whether they may be pulled into the memory of `owner` `[positives, m]`. `positive` `[positives]` is 1 where there
    /// was a positive at all.
    pub fn new(centres: &Centres, seeker: Tensor<2>, mean: Option<Tensor<2>>, owner: Tensor<2>, positive: Tensor<1>) -> Self {
        let [positives, m] = owner.dims();
        let mu = centres.chosen(centres.sought(seeker, mean));
        let sign = centres.seen(mu.clone().reshape([2 * positives, m])).reshape([2, positives, m]) * centres.seen(owner).unsqueeze_dim(0);
        let agrees = sign.sum_dim(2).greater_equal_scalar(0.0).float().min_dim(0).squeeze_dim::<2>(0);
        Self { mu: mu.swap_dims(0, 1).reshape([positives, 2 * m]), open: agrees * positive.unsqueeze_dim(1) }
    }

    /// Without clusters: the vector of what was taken, `taken` `[positives, m]`, on both levels.
    fn without_clusters(taken: Tensor<2>, positive: Tensor<1>) -> Self {
        Self { mu: taken.repeat_dim(1, LEVELS), open: positive.unsqueeze_dim(1) }
    }

    /// Whether each positive's update is made, `[positives, 1]`.
    pub fn open(&self) -> Tensor<2> {
        self.open.clone()
    }
}

impl Behaviours {
    /// A memory of so many users or items, zero and unused.
    pub fn new(config: &Config, rows: usize, device: &Device) -> Self {
        let m = config.memory_width();
        Self {
            table: BehaviourTable::new(Tensor::<1>::zeros([rows * (2 * m + 1)], device).reshape([rows, 2 * m + 1])),
            adam: (config.centre_step == CentreStep::Adam).then(|| RowTable::new(rows, 2 * m, device, |_| 0.0)),
            learning_rate: config.learning_rate,
            mean: Tensor::zeros([1, 2 * m], device),
            m,
            rate: 2.0 * config.lambda,
            mean_rate: config.mean_rate,
            start: config.memory_start,
        }
    }

    /// The enhancement vectors of `ids`, `[2, n, m]`: the more often a memory was touched the more of it, and the rest of its
    /// owner's own centres `own` `[2, n, m]`. So a new user is enhanced by their cluster (section 4.6), and a memory of one touch
    /// is not taken for one of a hundred. Under [`MemoryStart::Zero`] it is the memory alone, as the paper has it.
    ///
    /// Both lose their mean first, the centres that of their side, `own_mean` `[1, m]`: else the two would differ in what is common
    /// to all, and tell that an item was never consumed. Where test items are new, "never consumed" means "positive": with a flag
    /// in its place an items' side gained .045 on 655 real users that was none.
    pub fn recall(&self, ids: &Ids, own: Tensor<3>, own_mean: Tensor<2>) -> Tensor<3> {
        match self.start {
            MemoryStart::Touch => recall(self.rows(), ids.flat(), own, self.mean.clone(), own_mean),
            MemoryStart::Zero => self.as_it_is(ids),
        }
    }

    /// The nodes of [`Behaviours::recall`], level by level, from the rows `[requests, n, 2 m + 1]` of the tensors called `name`.
    fn export(&self, graph: &mut Graph, name: &str, rows: &Value, own: &[Value; 2], own_mean: Option<&Value>) -> [Value; 2] {
        let parts = graph.split(rows, &[self.m, self.m, 1]);
        if self.start == MemoryStart::Zero {
            return [parts[0].clone(), parts[1].clone()];
        }
        let mean = graph.parameter(&format!("{name}.mean"));
        let means = graph.split(&mean, &[self.m, self.m]);
        let touched = graph.plus(&parts[2], PRIOR_TOUCHES);
        let trust = graph.div(&parts[2], &touched);
        [0, 1].map(|level| {
            let own = own_mean.map_or_else(|| own[level].clone(), |mean| graph.sub(&own[level], mean));
            let memory = graph.sub(&parts[level], &means[level]);
            let away = graph.sub(&memory, &own);
            let away = graph.mul(&away, &trust);
            graph.add(&own, &away)
        })
    }

    /// The memories of `ids`, `[2, n, m]`, with nothing in the place of what is not there.
    fn as_it_is(&self, ids: &Ids) -> Tensor<3> {
        let rows = self.look_up(ids);
        let [n, _] = rows.dims();
        rows.slice([0..n, 0..2 * self.m]).reshape([n, 2, self.m]).swap_dims(0, 1)
    }

    /// The rows of `ids`, `[n, 2 m + 1]`.
    fn look_up(&self, ids: &Ids) -> Tensor<2> {
        let rows = self.table.look_up(ids);
        let [n, columns] = rows.dims();
        match &self.adam {
            Some(adam) => Tensor::cat(vec![adam.pool(ids), rows.slice([0..n, columns - 1..columns])], 1),
            None => rows,
        }
    }

    /// `[1, 2 m]`: the running mean of the memories that were touched again; zero until one was.
    pub fn mean(&self) -> Tensor<2> {
        self.mean.clone()
    }

    /// Forgets every memory: before the first row of a pass nobody has done anything yet. The running mean stays: it holds what all
    /// memories share, and nothing of any one user or item.
    pub fn clear(&mut self) {
        self.table.restore(self.table.rows().zeros_like());
        if let Some(adam) = &mut self.adam {
            adam.restore(adam.rows().zeros_like());
        }
    }

    /// `[rows, 2 m + 1]`
    pub fn rows(&self) -> Tensor<2> {
        let rows = self.table.rows();
        let ([n, columns], Some(adam)) = (rows.dims(), &self.adam) else { return rows };
        Tensor::cat(vec![adam.rows().slice([0..n, 0..2 * self.m]), rows.slice([0..n, columns - 1..columns])], 1)
    }

    /// `[rows, 4 m]`: Adam's moments of the memories, where they have any.
    fn moments(&self) -> Option<Tensor<2>> {
        let rows = self.adam.as_ref()?.rows();
        let [n, columns] = rows.dims();
        Some(rows.slice([0..n, 2 * self.m..columns]))
    }

    /// Puts back what [`Behaviours::rows`] and [`Behaviours::mean`] gave, and moments; without them they begin anew.
    pub fn restore(&mut self, rows: Tensor<2>, mean: Tensor<2>, moments: Option<Tensor<2>>) {
        if let Some(adam) = &mut self.adam {
            let [n, _] = rows.dims();
            let memory = rows.clone().slice([0..n, 0..2 * self.m]);
            let moments = moments.unwrap_or_else(|| Tensor::cat(vec![memory.zeros_like(), memory.zeros_like()], 1));
            adam.restore(Tensor::cat(vec![memory, moments], 1));
        }
        self.table.restore(rows);
        self.mean = mean;
    }

    /// Moves the mean towards that of a step's memories `[positives, 2 m]`, of which those count that `counts` `[positives, 1]` says.
    fn follow(&mut self, memory: Tensor<2>, counts: Tensor<2>) {
        let counts = counts.clamp_max(1.0);
        let count = sum_samples(counts.clone());
        let of_step = sum_samples(memory * counts) / count.clone().clamp_min(1.0);
        self.mean = self.mean.clone() + (of_step - self.mean.clone()) * count.clamp_max(1.0) * self.mean_rate;
    }

    /// Eq. 9 and 10 as the mean step of A4: `memory += r mean(mu - memory)` over a row's own positives of the step. `ids` are
    /// the owners of the positives. `r = 2 lambda sigma(mu . memory)`, but no less than `1 / (touches + 1)`: the first touches
    /// make the mean of what they matched (A13), where a fixed rate would keep the very first in it for a dozen more.
    ///
    /// Under [`CentreStep::Adam`] it is Adam's step on the gradient of Eq. 9 and 10, a mean over the positives, at step `steps`.
    pub fn learn(&mut self, matched: Matched, ids: &Ids, touched: &Touched, steps: u64) -> BehaviourLosses {
        let Matched { mu, open } = matched;
        let [positives, _] = mu.dims();
        let row = self.look_up(ids);
        let memory = row.clone().slice([0..positives, 0..2 * self.m]);
        let touches = row.slice([0..positives, 2 * self.m..2 * self.m + 1]);
        let levels = [positives, 2, self.m];
        let sigma = sigmoid((mu.clone() * memory.clone()).reshape(levels).sum_dim(2));
        let away = (mu - memory.clone()).reshape(levels);
        let loss = (sigma.clone() * away.clone().square().sum_dim(2)).reshape([positives, 2]) * open.clone();
        let updates = open.clone().sum().clamp_min(1.0);
        if let Some(adam) = &mut self.adam {
            let gradient = (away.clone() * sigma.clone() * -self.rate).reshape([positives, 2 * self.m]) * open.clone();
            adam.update(touched, vec![gradient / updates.clone().unsqueeze_dim(1)], AdamStep::new(self.learning_rate, steps));
        }
        let rate = match self.start {
            MemoryStart::Touch => (sigma * self.rate).max_pair((touches.clone() + 1.0).recip().reshape([positives, 1, 1]).repeat_dim(1, 2)),
            MemoryStart::Zero => sigma * self.rate,
        };
        let values = Tensor::cat(vec![(away * rate).reshape([positives, 2 * self.m]), touches.ones_like()], 1);
        self.follow(memory, touches * open.clone());
        self.table.write(touched, values, open.squeeze_dim(1), RowRule::AddMean);
        sum_samples(loss).squeeze_dim::<1>(0) / updates
    }
}

/// UPBE of a side.
pub struct Upbe {
    side: Side,
    pulls: Pulls,
    behaviours: Behaviours,
}

impl Upbe {
    /// Whose memories they are.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The memories.
    pub fn behaviours(&self) -> &Behaviours {
        &self.behaviours
    }

    /// What its tensors are called.
    fn name(&self) -> &'static str {
        match self.side {
            Side::Users => "user_behaviours",
            Side::Items => "item_behaviours",
        }
    }

    /// Eq. 7 and 8 of a step's positives: the other side's vectors seek centres of this one. None before the first fill.
    fn matched(&self, step: &Step<'_>) -> Option<Matched> {
        if self.pulls == Pulls::Vectors {
            return Some(Matched::without_clusters(step.found.first_vectors(self.side.other())?, step.batch.positive.clone()));
        }
        let found = step.found.side(self.side);
        let centres = &found.chosen.as_ref()?.centres;
        let (seeker, owner) = (step.found.first_vectors(self.side.other())?, step.found.first_vectors(self.side)?);
        Some(Matched::new(centres, seeker, found.mean_of_others.clone(), owner, step.batch.positive.clone()))
    }
}

impl Component for Upbe {
    fn begin_pass(&mut self) {
        self.behaviours.clear();
    }

    fn forward(&self, reads: &Reads<'_>, found: &mut Found, features: &mut Features) {
        let found = found.side(self.side);
        let Some(v) = &found.v else { return };
        let (own, mean) = match &found.chosen {
            Some(chosen) => (chosen.mu(), chosen.centres.mean()),
            None => {
                let [_, m] = v.dims();
                (Nothing::of(v).vectors, Tensor::zeros([1, m], &v.device()))
            }
        };
        features.side(self.side).gated.push(reads.lift(self.behaviours.recall(reads.members(self.side), own, mean)));
    }

    fn export(
        &self,
        graph: &mut Graph,
        reads: &export::Reads,
        found: &mut export::Found,
        features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        let found = found.side(self.side);
        let Some(v) = &found.v else { return Ok(()) };
        let own = found.chosen.as_ref().map_or_else(
            || {
                let nothing = graph.zeros_like(v);
                [nothing.clone(), nothing]
            },
            |chosen| chosen.mu.clone(),
        );
        let table = graph.parameter(self.name());
        let rows = reads.of_members(graph, self.side, &table);
        let mean = found.chosen.as_ref().map(|chosen| &chosen.mean);
        features.side(self.side).gated.extend(self.behaviours.export(graph, self.name(), &rows, &own, mean));
        Ok(())
    }

    fn learn(&mut self, step: &Step<'_>) -> Option<StepLoss> {
        let matched = self.matched(step)?;
        let (term, rows) = match (self.side, self.pulls) {
            (Side::Users, Pulls::Centres) => (&OF_USERS, &step.batch.users),
            (Side::Users, Pulls::Vectors) => (&OF_LIVES, &step.batch.users),
            (Side::Items, _) => (&OF_ITEMS, &step.batch.consumed),
        };
        Some((term, self.behaviours.learn(matched, &rows.ids, &rows.touched, step.steps)))
    }

    fn gather(&self, prefix: &str, into: &mut Gathering) {
        let name = self.name();
        into.floats(format!("{prefix}{name}"), self.behaviours.rows());
        into.floats(format!("{prefix}{name}.mean"), self.behaviours.mean());
        if let Some(moments) = self.behaviours.moments().filter(|_| into.is_of_run()) {
            into.floats(format!("{prefix}{name}.moments"), moments);
        }
    }

    fn restore(&mut self, from: &Restoring<'_>) -> Result<(), CheckpointError> {
        let name = self.name();
        let moments = (from.of_run && self.behaviours.moments().is_some()).then(|| from.tensor(&format!("{name}.moments")));
        self.behaviours.restore(from.tensor(name)?, from.tensor(&format!("{name}.mean"))?, moments.transpose()?);
        Ok(())
    }
}
