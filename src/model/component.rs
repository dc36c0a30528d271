//! What a component of a model is, and the two blackboards on which components meet: what a forward pass reads ([`Reads`]), and
//! what it found ([`Found`]).
//!
//! A component knows no other component. What one finds for others, vectors of the towers, centres that were chosen, stands on the
//! blackboard. It hands over vectors before they are stacked: the ranker stacks all of a side, so that one gating, one
//! normalisation and one matrix product serve them all.

use std::any::Any;
use std::cell::OnceCell;

use burn::tensor::kind::Basic;
use burn::tensor::{Device, Gradients, Int, Tensor};

use super::batch::{CANDIDATE_FIELDS, Dense, DeviceBatch, Kept, View, WHOLE};
use super::export::{self, NoNodes};
use super::layers::assignments::FrozenAssignments;
use super::layers::dense::Init;
use super::layers::enhancement::Entered;
use super::layers::ghca::{Centres, Observation, Reseeded};
use super::layers::graph::{lift, off_graph};
use super::layers::ple::PleSizes;
use super::layers::table::{Ids, PersonalTable, RowTable};
use super::layers::weights::Parameters;
pub use super::takes::Takes;
use super::together::Together;
use crate::checkpoint::{CheckpointError, Gathering, State};
use crate::config::Config;
use crate::data::protocol::Batch;
use crate::data::{Side, Vocabulary};
use crate::metrics::Term;
use crate::onnx::Graph;
use crate::variants::Variant;

/// Levels of every memory.
pub const LEVELS: usize = 2;

/// Vectors that a component gives to one side, each as wide as a memory, and what stands beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vectors {
    /// Those that pass a gate.
    pub gated: usize,
    /// Those that do not.
    pub plain: usize,
    /// Bits beside them: stopped, has a history with centres.
    pub flags: usize,
    /// Numbers of each candidate beside them: how well it matches.
    pub matches: usize,
}

impl Vectors {
    /// All vectors.
    pub fn count(self) -> usize {
        self.gated + self.plain
    }
}

/// What a component adds to the ranker's features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adds {
    /// Columns of a request's features.
    pub request: usize,
    /// Columns of a candidate's features.
    pub candidate: usize,
    /// Vectors of the user side and of the item side.
    pub sides: [Vectors; 2],
}

impl Adds {
    /// What a component adds that only learns or only gives to others.
    pub const NOTHING: Self = {
        const NONE: Vectors = Vectors { gated: 0, plain: 0, flags: 0, matches: 0 };
        Self { request: 0, candidate: 0, sides: [NONE; 2] }
    };
}

impl std::ops::Add for Adds {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let vectors = |a: Vectors, b: Vectors| Vectors {
            gated: a.gated + b.gated,
            plain: a.plain + b.plain,
            flags: a.flags + b.flags,
            matches: a.matches + b.matches,
        };
        Self {
            request: self.request + other.request,
            candidate: self.candidate + other.candidate,
            sides: [vectors(self.sides[0], other.sides[0]), vectors(self.sides[1], other.sides[1])],
        }
    }
}

/// Columns of the features that every model has, of a request and of a candidate: what the towers read too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// Of a request.
    pub request: usize,
    /// Of a candidate.
    pub candidate: usize,
}

/// What a component is built from.
pub struct Building<'a> {
    /// Every choice.
    pub config: &'a Config,
    /// Starting values of dense parameters, on a device with autodiff.
    pub init: &'a Init,
    /// The device, without autodiff.
    pub device: &'a Device,
    /// How many of each id there are.
    pub vocabulary: Vocabulary,
    /// The features that every model has.
    pub base: Base,
}

impl Building<'_> {
    /// Users or items.
    pub fn members(&self, side: Side) -> usize {
        match side {
            Side::Users => self.vocabulary.users as usize,
            Side::Items => self.vocabulary.items as usize,
        }
    }

    /// Personal vectors of a side.
    pub fn personal(&self, side: Side) -> PersonalTable {
        PersonalTable::new(side, self.members(side), self.config.memory_width(), self.config.seed, self.device)
    }
}

/// A component of the registry's rows: what is known of it before it is built.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name in rows of the registry.
    pub name: &'static str,
    /// What it adds to the ranker's features.
    pub adds: fn(&Config) -> Adds,
    /// Its dense parameters.
    pub parameters: fn(&Config, Base) -> usize,
    /// What else it takes of memory.
    pub takes: fn(&Config) -> Takes,
    /// Histories whose embeddings it learns beside those of the newest behaviour.
    pub view: Option<&'static View>,
    /// Losses that it has.
    pub losses: &'static [&'static Term],
    /// The ranker's sizes where it changes them: from those of a model without it, its number of inputs, and the number of dense
    /// parameters of any model.
    pub sizes: fn(PleSizes, usize, &dyn Fn(Variant) -> usize) -> PleSizes,
    /// Builds it.
    pub build: fn(&Building<'_>) -> Box<dyn Component>,
}

impl Kind {
    /// A component that adds nothing, to be overwritten field by field.
    pub const fn new(name: &'static str, build: fn(&Building<'_>) -> Box<dyn Component>) -> Self {
        Self {
            name,
            adds: |_| Adds::NOTHING,
            parameters: |_, _| 0,
            takes: |_| Takes::NOTHING,
            view: None,
            losses: &[],
            sizes: |sizes, _, _| sizes,
            build,
        }
    }
}

/// A loss on the autodiff graph, and its weight in the sum.
#[derive(Clone)]
pub struct GraphLoss {
    /// What it is; none where nobody reads it.
    pub term: Option<&'static Term>,
    /// `[1]`
    pub value: Tensor<1>,
    /// Its weight.
    pub weight: f64,
}

/// A loss of a step, on the device: one number for each name of its term.
pub type StepLoss = (&'static Term, Tensor<1>);

/// A component in training.
pub trait Component: Any + Send {
    /// Its dense parameters.
    fn weights(&self) -> Option<&dyn Parameters> {
        None
    }

    /// The same, for a step.
    fn weights_mut(&mut self) -> Option<&mut dyn Parameters> {
        None
    }

    /// A table of its own whose rows the ranker's loss reaches.
    fn table(&self) -> Option<&PersonalTable> {
        None
    }

    /// The same, for a step.
    fn table_mut(&mut self) -> Option<&mut PersonalTable> {
        None
    }

    /// Before the first batch of a further pass, and before the first that goes on from a file: what remembers behaviours may hold
    /// each row's own label before the row is scored (A15), so it begins anew as histories do.
    fn begin_pass(&mut self) {}

    /// Before each batch that it trains on.
    fn prepare(&mut self, _batch: &Batch) {}

    /// What it computes of a batch, from the memories as the step before left them: a row never sees its own update (A15).
    fn forward(&self, _reads: &Reads<'_>, _found: &mut Found, _features: &mut Features) {}

    /// The same outside training as nodes of an ONNX graph ([`crate::model::export`]).
    ///
    /// # Errors
    /// Why it has none.
    fn export(
        &self,
        _graph: &mut Graph,
        _reads: &export::Reads,
        _found: &mut export::Found,
        _features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        Err(NoNodes("nobody has said its nodes yet: write its `Component::export`"))
    }

    /// Its losses on the graph, once the ranker has its logits.
    fn losses(&self, _reads: &Reads<'_>, _found: &Found, _batch: &DeviceBatch) -> Vec<GraphLoss> {
        Vec::new()
    }

    /// The ranker's gradient in a side's centres, where the configuration lets it through (A3).
    fn centre_gradient(&self, _found: &Found, _gradients: &mut Gradients) -> Option<(Side, Tensor<2>)> {
        None
    }

    /// Its own step after the backward pass, from what was found before anything moved (A15). Gives its losses.
    fn learn(&mut self, _step: &Step<'_>) -> Option<StepLoss> {
        None
    }

    /// Names the tensors of its memories, and where the gathering is [of a run](Gathering::is_of_run) whatever else its next step
    /// depends on.
    fn gather(&self, _prefix: &str, _into: &mut Gathering) {}

    /// Puts back what [`Component::gather`] named.
    ///
    /// # Errors
    /// A tensor that is not there.
    fn restore(&mut self, _from: &Restoring<'_>) -> Result<(), CheckpointError> {
        Ok(())
    }

    /// What it keeps for scoring with every item's centre looked up anew.
    fn freeze(&self, _all: &dyn Fn() -> Option<Tensor<2, Int>>, _frozen: &mut Frozen) {}

    /// Takes over every item's centre `[items, 2]`, looked up anew at a step of training as it is before a test (A19).
    fn refresh(&mut self, _assigned: &Tensor<2, Int>, _step: u64) {}

    /// `v_item` `[samples, m]` of candidates' embeddings, off the graph, where it has a tower for them.
    fn encode_items(&self, _candidates: &Tensor<2>) -> Option<Tensor<2>> {
        None
    }

    /// What the host wants to see of its memory after a step of `planned`: whose it is, centres, running mean and hits.
    fn due(&self, _step: u64, _planned: u64) -> Option<(Side, [Tensor<2>; 3])> {
        None
    }

    /// The host's part of a side's memory, after [`Component::due`] wanted it.
    fn keep_up(&mut self, _side: Side, _step: u64, _planned: u64, _seen: &Observation) -> Option<Reseeded> {
        None
    }

    /// Some centres of a side were born again at `step`: whatever stood for them stands for them no longer (A7).
    fn forget(&mut self, _side: Side, _reseeded: &Reseeded, _step: u64) {}
}

/// What a state puts back.
pub struct Restoring<'a> {
    /// The tensors by name, and whose.
    pub state: &'a State,
    /// Where they go.
    pub device: &'a Device,
    /// The step of the run under way, from which clocks count.
    pub step: u64,
    /// Whether the state is of this run, which goes on as if it had never stopped; else only of weights from which another begins.
    pub of_run: bool,
}

impl Restoring<'_> {
    /// A tensor.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn tensor<const D: usize>(&self, name: &str) -> Result<Tensor<D>, CheckpointError> {
        self.state.tensor(name, self.device)
    }
}

/// What is on the autodiff graph beside the dense parameters: rows of tables, pooled.
#[derive(Clone)]
pub struct Leaves {
    /// `[samples, (2 + fields) * embedding]`: item, category, attributes.
    pub candidates: Tensor<2>,
    /// `[requests, 4 * embedding]`: user, activity, newest item, newest category.
    pub requests: Tensor<2>,
    /// `[requests, fields * embedding]`: the histories of the model's views, by name.
    pub views: Vec<(&'static str, Tensor<2>)>,
    /// Rows of the components' own tables, by their names: `[requests, m]` of users, `[samples, m]` of items.
    pub own: Vec<(&'static str, Tensor<2>)>,
}

impl Leaves {
    /// Rows of a component's own table.
    pub fn own(&self, table: &str) -> Option<&Tensor<2>> {
        self.own.iter().find(|(name, _)| *name == table).map(|(_, rows)| rows)
    }

    /// A history, pooled as its view is laid out.
    pub fn view(&self, view: &View) -> Option<&Tensor<2>> {
        self.views.iter().find(|(name, _)| *name == view.name).map(|(_, rows)| rows)
    }

    /// Leaf by leaf, in the order of [`Leaves::map`].
    pub(super) fn each(&self) -> impl Iterator<Item = &Tensor<2>> {
        let named = self.views.iter().chain(&self.own).map(|(_, rows)| rows);
        [&self.candidates, &self.requests].into_iter().chain(named)
    }

    /// The same of another kind, leaf by leaf.
    pub(super) fn map(&self, mut leaf: impl FnMut(&Tensor<2>) -> Tensor<2>) -> Self {
        Self {
            candidates: leaf(&self.candidates),
            requests: leaf(&self.requests),
            views: self.views.iter().map(|(name, rows)| (*name, leaf(rows))).collect(),
            own: self.own.iter().map(|(name, rows)| (*name, leaf(rows))).collect(),
        }
    }
}

/// What a forward pass reads.
pub struct Reads<'a> {
    /// The batch as the host knows it: for what is counted there.
    pub host: &'a Batch,
    /// `[samples]` of item, category, attributes.
    pub candidates: &'a Ids,
    /// `[requests]` users.
    pub users: &'a Ids,
    /// `[samples]` items.
    pub items: &'a Ids,
    /// Dense features, and the whole history.
    pub dense: &'a Dense,
    /// `[requests, 1]`: 1 for low-active users.
    pub low_active: &'a Tensor<2>,
    /// Dropout of the enhancement vectors; none outside training.
    pub kept: Option<&'a Kept>,
    /// Rows of tables.
    pub leaves: &'a Leaves,
    /// What was looked up anew for scoring.
    pub frozen: &'a Frozen,
    /// Steps that were trained before this batch.
    pub steps: u64,
    /// The batch that this is a part of, where several processes share one; else the same as `host`.
    pub joint: &'a Batch,
    /// The processes: for a loss in which the rows of a batch meet.
    pub together: &'a Together,
    /// The embedding table.
    pub(super) embeddings: &'a RowTable,
    pub(super) whole: OnceCell<Tensor<2>>,
}

impl Reads<'_> {
    /// `[samples, 2 * embedding]`: item and category of the candidates, without their attributes: what is compared with behaviours.
    pub fn pairs(&self) -> Tensor<2> {
        let (leaf, width) = (self.leaves.candidates.clone(), self.embeddings.width());
        let [samples, columns] = leaf.dims();
        if columns > CANDIDATE_FIELDS * width { leaf.slice([0..samples, 0..CANDIDATE_FIELDS * width]) } else { leaf }
    }

    /// Whether gradients are wanted.
    pub fn is_training(&self) -> bool {
        self.leaves.requests.is_autodiff()
    }

    /// A tensor without a graph as a constant of one, in training; else itself.
    pub fn lift<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        lift(tensor, self.is_training())
    }

    /// `[requests, Behaviour::COUNT]`: counts by behaviour.
    pub fn counts(&self) -> Tensor<2> {
        self.lift(self.dense.counts.clone())
    }

    /// `[requests, 2 * embedding]`: the whole history pooled, items and categories, off the graph.
    pub fn whole_history(&self) -> Tensor<2> {
        let leaf = self.leaves.view(&WHOLE);
        let pooled = || leaf.map_or_else(|| self.embeddings.pool(&self.dense.history), |leaf| off_graph(leaf.clone()));
        self.whole.get_or_init(pooled).clone()
    }

    /// Users or items.
    pub fn members(&self, side: Side) -> &Ids {
        match side {
            Side::Users => self.users,
            Side::Items => self.items,
        }
    }
}

/// A request's fields with another history `[requests, 2 * embedding]` in the place of the newest behaviour, and the counts.
pub fn with_history(requests: &Tensor<2>, history: Tensor<2>, counts: &Tensor<2>) -> Tensor<2> {
    let ([n, columns], [_, of_history]) = (requests.dims(), history.dims());
    let own = requests.clone().slice([0..n, 0..columns - of_history]);
    Tensor::cat(vec![own, history, counts.clone()], 1)
}

/// How much of candidates is in what was read for them: a sum of each field of their `product`, of `samples` candidates in all, with
/// `[samples, CANDIDATE_FIELDS]` sums. A ranker of dense layers cannot compare two vectors by itself.
pub fn of_fields<const D: usize>(product: Tensor<D>, samples: usize) -> Tensor<2> {
    let width = product.shape().num_elements() / (samples * CANDIDATE_FIELDS);
    product.reshape([samples * CANDIDATE_FIELDS, width]).sum_dim(1).reshape([samples, CANDIDATE_FIELDS])
}

/// The first and the last half of the columns.
pub fn halves(tensor: Tensor<2>) -> [Tensor<2>; 2] {
    let [n, columns] = tensor.dims();
    [0..columns / 2, columns / 2..columns].map(|half| tensor.clone().slice([0..n, half]))
}

/// Rows of the first candidates, `[requests, columns]`, from `[samples, columns]`.
pub fn first_candidates<K: Basic>(rows: Tensor<2, K>, requests: usize) -> Tensor<2, K> {
    let [samples, columns] = rows.dims();
    rows.reshape([requests, samples / requests * columns]).slice([0..requests, 0..columns])
}

/// Vectors of the auxiliary model.
#[derive(Clone)]
pub struct Towers {
    /// `[requests, m]`
    pub v_user: Tensor<2>,
    /// `[samples, m]`
    pub v_item: Tensor<2>,
}

/// Centres chosen for a side's vectors.
#[derive(Clone)]
pub struct Chosen {
    /// `[n, 2]`: level-1 centre and level-2 centre (`children * parent + child`).
    pub assigned: Tensor<2, Int>,
    /// The centres as they were when they were searched.
    pub centres: Centres,
    /// `[n, 1]`: whether UIE stopped (A10); none where there is no UIE.
    pub stopped: Option<Tensor<2>>,
    /// Eq. 6, `[2, n, m]`, on the graph under the option of A3; none where there is no UIE.
    pub interest: Option<Tensor<3>>,
    mu: OnceCell<Tensor<3>>,
}

impl Chosen {
    /// The nearest centres of `v` `[n, m]`.
    pub fn nearest(centres: &Centres, v: &Tensor<2>) -> Self {
        let assigned = centres.assign(v.clone());
        Self { assigned, centres: centres.clone(), stopped: None, interest: None, mu: OnceCell::new() }
    }

    /// The same centres, chosen by others, as [`Found::clustered`] tells it.
    pub(super) fn by(&self, assigned: Tensor<2, Int>, stopped: Tensor<2>) -> Self {
        Self { assigned, centres: self.centres.clone(), stopped: Some(stopped), interest: None, mu: OnceCell::new() }
    }

    /// The chosen centres themselves, `[2, n, m]`.
    pub fn mu(&self) -> Tensor<3> {
        self.mu.get_or_init(|| self.centres.chosen(self.assigned.clone())).clone()
    }
}

/// What a pass found of a side.
#[derive(Default)]
pub struct SideFound {
    /// `[n, m]`: vectors of the side off the graph, `n` requests or samples; none in a model without towers.
    pub v: Option<Tensor<2>>,
    /// Whether the model has centres of the side.
    pub has_centres: bool,
    /// The centres chosen for them; none before the first fill.
    pub chosen: Option<Chosen>,
    /// `[1, m]`: the running mean of the other side's vectors, which seek centres of this one (Eq. 7).
    pub mean_of_others: Option<Tensor<2>>,
    /// What entered the ranker.
    pub entered: Option<Entered>,
}

/// What a forward pass found.
#[derive(Default)]
pub struct Found {
    /// The auxiliary model's vectors, on the graph.
    pub towers: Option<Towers>,
    /// Of users and of items.
    pub sides: [SideFound; 2],
    /// Which item is of which centre; none before UHSE has looked.
    pub assignments: Option<FrozenAssignments>,
    /// Logits of the tasks, `[tasks, samples, 1]`.
    pub logits: Option<Tensor<3>>,
    firsts: OnceCell<Tensor<2>>,
}

/// What a clustering saw of a batch.
#[derive(Clone)]
pub struct Clustered {
    /// `[requests, m]`: a vector a request, of its user or of its first candidate, the consumed item in training.
    pub v: Tensor<2>,
    /// `[requests, 2]`, `[requests, 1]`: assignments and stops; none before the first fill.
    pub chosen: Option<(Tensor<2, Int>, Tensor<2>)>,
}

impl Found {
    /// What was found of a side.
    pub fn side(&self, side: Side) -> &SideFound {
        &self.sides[side as usize]
    }

    /// The same, to add to it.
    pub fn side_mut(&mut self, side: Side) -> &mut SideFound {
        &mut self.sides[side as usize]
    }

    /// `[requests, m]`: the vectors of users, or of the first candidates; none without towers.
    pub fn first_vectors(&self, side: Side) -> Option<Tensor<2>> {
        let v_user = self.side(Side::Users).v.as_ref()?;
        match side {
            Side::Users => Some(v_user.clone()),
            Side::Items => {
                let v_item = self.side(Side::Items).v.as_ref()?;
                Some(self.firsts.get_or_init(|| first_candidates(v_item.clone(), v_user.dims()[0])).clone())
            }
        }
    }

    /// What each clustering saw: all users, and the first candidate of each request (the consumed item, in training).
    pub fn clustered(&self, side: Side) -> Option<Clustered> {
        let v = self.first_vectors(side).filter(|_| self.side(side).has_centres)?;
        let [requests, _] = v.dims();
        let chosen = self.side(side).chosen.as_ref().map(|chosen| match side {
            Side::Users => {
                let stopped = chosen.stopped.clone().unwrap_or_else(|| Tensor::zeros([requests, 1], &v.device()));
                (chosen.assigned.clone(), stopped)
            }
            Side::Items => (first_candidates(chosen.assigned.clone(), requests), Tensor::zeros([requests, 1], &v.device())),
        });
        Some(Clustered { v, chosen })
    }
}

/// What components give the ranker before it is stacked.
#[derive(Default)]
pub struct Features {
    /// Columns of requests, `[requests, …]`.
    pub request: Vec<Tensor<2>>,
    /// Columns of candidates, `[samples, …]`.
    pub candidate: Vec<Tensor<2>>,
    /// Of the user side and of the item side.
    pub sides: [SideFeatures; 2],
    /// Factors of the hidden units of the task towers, layer by layer, `[tasks, samples, width]`.
    pub tower_gates: Vec<Tensor<3>>,
}

impl Features {
    /// Those of a side.
    pub fn side(&mut self, side: Side) -> &mut SideFeatures {
        &mut self.sides[side as usize]
    }
}

/// Vectors of a side and what stands beside them.
#[derive(Default)]
pub struct SideFeatures {
    /// `[2, n, m]` each: vectors that pass a gate.
    pub gated: Vec<Tensor<3>>,
    /// `[2, n, m]` each: vectors that do not.
    pub plain: Vec<Tensor<3>>,
    /// `[n, 1]` each.
    pub flags: Vec<Tensor<2>>,
    /// `[samples, 2]` each.
    pub matches: Vec<Tensor<2>>,
    /// `[n, vectors * m]`: the vectors behind the gates, normalised and scaled.
    pub vectors: Option<Tensor<2>>,
    /// `[samples, vectors]`: how each vector fits the other side's.
    pub fits: Option<Tensor<2>>,
}

/// What a component's own step sees: the whole batch, whatever part of it this process computed. Of what several processes found there are
/// the vectors of users and of first candidates, their centres, and what the running means learn from.
pub struct Step<'a> {
    /// The batch.
    pub batch: &'a DeviceBatch,
    /// What the forward pass found.
    pub found: &'a Found,
    /// What the clusterings of both sides saw.
    pub clustered: [Option<Clustered>; 2],
    /// Steps that were trained, this one included.
    pub steps: u64,
    /// The ranker's gradient in the centres of both sides (A3).
    pub centre_gradients: [Option<Tensor<2>>; 2],
}

impl Step<'_> {
    /// The centres of a side that its first vectors were in, `[requests, 2]`; none before the first fill.
    pub fn assigned(&self, side: Side) -> Option<Tensor<2, Int>> {
        let clustered = self.clustered[side as usize].as_ref()?;
        clustered.chosen.as_ref().map(|(assigned, _)| assigned.clone())
    }
}

/// What scoring looks up anew, once for many batches.
#[derive(Default)]
pub struct Frozen {
    /// Every item's centre.
    pub assignments: Option<FrozenAssignments>,
}

/// Vectors that enhance nobody, before there are centres.
pub struct Nothing {
    /// `[2, n, m]`
    pub vectors: Tensor<3>,
    /// `[n, 1]`
    pub flag: Tensor<2>,
}

impl Nothing {
    /// For vectors `[n, m]`.
    pub fn of(v: &Tensor<2>) -> Self {
        let [n, m] = v.dims();
        Self { vectors: Tensor::zeros([LEVELS, n, m], &v.device()), flag: Tensor::zeros([n, 1], &v.device()) }
    }
}
