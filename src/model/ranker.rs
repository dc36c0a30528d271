//! One variant of the race: its network, its tables, its memories, and one step of training (section 7 of the design).
//!
//! Who receives whose gradient (Eq. 15 with the paper's stops):
//!
//! | parameter | L_MTL | L_aux | uie | upbe | uhse |
//! | --- | --- | --- | --- | --- | --- |
//! | embeddings, PLE, task towers | x | - | - | - | - |
//! | auxiliary towers | - | x | - | - | - |
//! | user centres | - | - | x | - | - |
//! | personal vectors, gates | x | - | - | - | - |
//! | memories of behaviours | - | - | - | x | - |
//! | item centres | - | - | - | - | x |

use std::sync::Arc;

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::kind::Basic;
use burn::tensor::{Device, ExecutionError, Gradients, IndexingUpdateOp, Int, Tensor, activation::log_sigmoid, activation::sigmoid};

use super::assignments::{Assignments, FrozenAssignments};
use super::audience::{self, CONSUMERS};
use super::auxiliary::{self, Towers};
use super::batch::{Dense, DeviceBatch, Kept, Layout, TestBatch};
use super::contrastive::{self, Correlations};
use super::enhancement::{Features, Given, Lendings, Means};
use super::ghca::{ClusterLosses, Memory, Observation, Reseeded};
use super::graph::{joined, lift, off_graph};
use super::network::{LEVELS, Network, Vectors};
use super::parts::Parts;
use super::table::{Ids, RowTable};
use super::uie::{Lent, lend};
use super::upbe::{BehaviourLosses, Behaviours, Met};
use super::{transfer, uhse};
use crate::checkpoint::{CheckpointError, Description, FORMAT, Gathering, State};
use crate::config::{Config, PositiveWeight};
use crate::counter::{Counter, Stream};
use crate::data::Side;
use crate::data::protocol::{Batch, TASKS};
use crate::data::rows::Segment;
use crate::kernels::{AdamStep, EPSILON};
use crate::variants::Variant;

/// Weight of a positive in Eq. 1 under [`PositiveWeight::Constant`].
const CONSTANT_WEIGHT: f32 = 1.5;
/// Deviation of personal vectors at the start (A11).
const PERSONAL_START: f64 = 0.01;
/// Items whose centres are looked up at once before an evaluation.
const REFRESH_CHUNK: usize = 16_384;

/// What is on the autodiff graph beside the dense parameters: rows of tables, pooled.
#[derive(Clone)]
pub struct Leaves {
    /// `[samples, 2 * embedding]`: item, category.
    pub candidates: Tensor<2>,
    /// `[requests, 4 * embedding]`: user, activity, recent items, recent categories.
    pub requests: Tensor<2>,
    /// `[requests, 2 or 4 * embedding]`: histories of views, in the two adaptations and in PLE with the whole history.
    pub views: Option<Tensor<2>>,
    /// `[requests, m]`: personal vectors.
    pub users: Option<Tensor<2>>,
    /// `[samples, m]`: the items' own vectors.
    pub items: Option<Tensor<2>>,
}

impl Leaves {
    fn require_grad(self) -> Self {
        let leaf = |tensor: Tensor<2>| Tensor::from_inner(tensor).require_grad();
        Self {
            candidates: leaf(self.candidates),
            requests: leaf(self.requests),
            views: self.views.map(leaf),
            users: self.users.map(leaf),
            items: self.items.map(leaf),
        }
    }
}

/// The losses of a batch on the graph, and the leaves beside the dense parameters.
pub struct Graph {
    /// Pooled rows.
    pub leaves: Leaves,
    /// Sum of the tasks' cross entropies, `[1]`.
    pub mtl: Tensor<1>,
    /// Eq. 1, `[1]`.
    pub auxiliary: Option<Tensor<1>>,
    /// The added loss of PLE with CL or with TL and its weight, `[1]`.
    pub adaptation: Option<(Tensor<1>, f64)>,
    commit: Option<Tensor<1>>,
    pass: Pass,
}

impl Graph {
    /// The part of Eq. 15 that a backward pass sees; the memories' parts are their own steps.
    pub fn loss(&self) -> Tensor<1> {
        let more = self.auxiliary.iter().chain(&self.commit).fold(self.mtl.clone(), |sum, loss| sum + loss.clone());
        match &self.adaptation {
            Some((loss, weight)) => more + loss.clone() * *weight,
            None => more,
        }
    }

    /// Logits of the tasks, `[tasks, samples, 1]`.
    pub fn logits(&self) -> Tensor<3> {
        self.pass.logits.clone()
    }

    /// The auxiliary model's vectors.
    pub fn towers(&self) -> Option<&Towers> {
        self.pass.towers.as_ref()
    }

    /// The centres that lent to a side and whether UIE stopped: `[n, 2]` and `[n, 1]`, `n` requests or samples. None before
    /// the first fill.
    pub fn chosen(&self, side: Side) -> Option<(Tensor<2, Int>, Tensor<2>)> {
        let chosen = match side {
            Side::Users => &self.pass.users,
            Side::Items => &self.pass.items,
        };
        chosen.as_ref().map(|chosen| (chosen.assigned.clone(), chosen.stopped.clone()))
    }

    /// What the user centres lent, `[2, requests, m]`, on the graph under the option of A3.
    pub fn lent(&self) -> Option<Tensor<3>> {
        self.pass.users.as_ref().map(|chosen| chosen.lent.clone())
    }
}

/// The gradients of a step.
pub struct StepGradients {
    /// As [`Leaves`].
    pub leaves: Leaves,
    /// The dense parameters'.
    pub dense: GradientsParams,
    /// The ranker's in the user centres and in the item centres (option A3).
    centres: [Option<Tensor<2>>; 2],
}

/// What the forward pass found.
struct Pass {
    logits: Tensor<3>,
    towers: Option<Towers>,
    /// The candidates' item centres, `[samples, 2]`.
    item_clusters: Option<Tensor<2, Int>>,
    users: Option<Chosen>,
    items: Option<Chosen>,
    /// What was lent to the users and to the items.
    given: [Option<Given>; 2],
}

/// Centres chosen for vectors.
#[derive(Clone)]
struct Chosen {
    assigned: Tensor<2, Int>,
    mu: Tensor<3>,
    stopped: Tensor<2>,
    /// Eq. 6, `[2, n, m]`.
    lent: Tensor<3>,
}

/// Losses of a step, on the device until somebody reads them.
#[derive(Clone)]
pub struct StepLosses {
    /// Sum of the tasks' cross entropies, `[1]`.
    pub mtl: Tensor<1>,
    /// Eq. 1, `[1]`.
    pub auxiliary: Option<Tensor<1>>,
    /// Eq. 4 and 5, `[2]`.
    pub uie: Option<ClusterLosses>,
    /// Eq. 9 and 10, `[2]`.
    pub upbe: Option<BehaviourLosses>,
    /// Eq. 13 and 14, `[2]`.
    pub uhse: Option<ClusterLosses>,
    /// Eq. 9 and 10 of the items' memories, `[2]`.
    pub items: Option<BehaviourLosses>,
    /// The added loss of PLE with CL or with TL, `[1]`.
    pub adaptation: Option<Tensor<1>>,
}

/// What a clustering saw of a batch.
#[derive(Clone)]
pub struct Sight {
    /// `[n, m]`
    pub v: Tensor<2>,
    /// `[n, 2]`, `[n, 1]`: assignments and stops; none before the first fill.
    pub chosen: Option<(Tensor<2, Int>, Tensor<2>)>,
}

/// What the clustering saw in a step.
#[derive(Clone)]
pub struct LastStep {
    /// Users, one a request.
    pub users: Option<Sight>,
    /// Consumed items, one a request.
    pub items: Option<Sight>,
    /// Whose rows they are.
    pub host: Arc<Batch>,
}

/// What the host wants to see of a side's memory.
pub struct Due {
    /// Whose memory.
    pub side: Side,
    /// The vectors that clustered, the centres, their running mean and their hits: the tensors of an [`Observed`], in order.
    pub tensors: [Tensor<2>; 4],
}

/// The numbers of a [`Due`].
pub struct Observed {
    /// `[requests, m]`: the vectors that clustered.
    pub v: Vec<f32>,
    /// `[rows, m]`: the centres.
    pub centres: Vec<f32>,
    /// `[m]`: the running mean.
    pub mean: Vec<f32>,
    /// `[rows]`: samples of each centre.
    pub hits: Vec<f32>,
}

/// What a test batch gives.
pub struct Scored {
    /// Logits of the reported task, `[samples]`.
    pub logits: Tensor<1>,
    /// Users, one a request.
    pub users: Option<Sight>,
    /// Items, one a request: the first candidate's.
    pub items: Option<Sight>,
}

/// A ranker to score with: no autodiff, and the centre of each item.
pub struct Frozen {
    network: Network,
    assignments: Option<FrozenAssignments>,
    consumers: Option<FrozenAssignments>,
}

/// One variant in training.
pub struct Ranker {
    variant: Variant,
    parts: Parts,
    config: Config,
    layout: Layout,
    device: Device,
    network: Network,
    optimizer: ModuleOptimizer,
    embeddings: RowTable,
    user_vectors: Option<RowTable>,
    item_vectors: Option<RowTable>,
    user_centres: Option<Memory>,
    item_centres: Option<Memory>,
    user_behaviours: Option<Behaviours>,
    item_behaviours: Option<Behaviours>,
    user_means: Option<Means>,
    item_means: Option<Means>,
    /// Each item's own centre.
    assignments: Option<Assignments>,
    /// The user centres of each item's last consumers.
    consumers: Option<Assignments>,
    correlations: Option<Correlations>,
    steps: u64,
    pass: u32,
    /// Whether the memories are of a file and the training rows that come may be those that filled them.
    is_restored: bool,
    losses: Option<StepLosses>,
    last: Option<LastStep>,
}

impl Ranker {
    /// A fresh variant on a device (without autodiff; the ranker adds it where it needs it).
    pub fn new(config: &Config, variant: Variant, layout: Layout, device: &Device) -> Self {
        let parts = Parts::of(variant);
        let vocabulary = layout.vocabulary();
        let (users, items, m) = (vocabulary.users as usize, vocabulary.items as usize, config.memory_width());
        let embedding = Counter::new(config.seed, Stream::Embeddings);
        let personal = Counter::new(config.seed, Stream::Personal);
        let table = |rows: usize, width: usize, deviation: f64, counter: Counter| {
            RowTable::new(rows, width, device, |i| (deviation * counter.normal(i)) as f32)
        };
        let has_personal = parts.uie.is_some() || parts.upbe || parts.towers || parts.wide;
        let user_centres = parts.uie.map(|centres| Memory::users(config, centres, device));
        let item_centres = parts.has_item_centres().then(|| Memory::items(config, device));
        let given = |memory: &Option<Memory>, wanted: bool, places: usize| {
            memory.as_ref().filter(|_| wanted).map(|memory| Assignments::new(items, places, memory.levels(), device))
        };
        let has_means = config.lent_centred || config.centred;
        let means = |vectors: Vectors| (has_means && vectors.count() > 0).then(|| Means::new(vectors.count(), m, device));
        Self {
            network: Network::new(config, variant, &device.clone().autodiff()),
            optimizer: adam(),
            embeddings: table(layout.rows(), config.embedding, config.embedding_std, embedding),
            user_vectors: has_personal.then(|| table(users, m, PERSONAL_START, personal)),
            // Lane 1 is where a normal number takes its angle from.
            item_vectors: parts.items.then(|| table(items, m, PERSONAL_START, personal.lane(2))),
            user_behaviours: parts.upbe.then(|| Behaviours::new(config, users, device)),
            item_behaviours: parts.items.then(|| Behaviours::new(config, items, device)),
            assignments: given(&item_centres, parts.uhse, 1),
            consumers: given(&user_centres, parts.items, CONSUMERS),
            user_centres,
            item_centres,
            user_means: means(Vectors::of_users(parts)),
            item_means: means(Vectors::of_items(parts)),
            correlations: None,
            variant,
            parts,
            config: config.clone(),
            layout,
            device: device.clone(),
            steps: 0,
            pass: 0,
            is_restored: false,
            losses: None,
            last: None,
        }
    }

    /// Which variant this is.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// The clusters of a side.
    pub fn memory(&self, side: Side) -> Option<&Memory> {
        match side {
            Side::Users => self.user_centres.as_ref(),
            Side::Items => self.item_centres.as_ref(),
        }
    }

    /// What the host wants to see of the last step: the memories whose clock is due at a step of `planned`.
    pub fn due(&self, step: u64, planned: u64) -> Vec<Due> {
        let due = |side: Side| {
            let (memory, last) = (self.memory(side)?, self.last.as_ref()?);
            let seen = match side {
                Side::Users => last.users.as_ref(),
                Side::Items => last.items.as_ref(),
            };
            let Sight { v, .. } = seen.filter(|_| memory.is_due(step, planned))?;
            Some(Due { side, tensors: [v.clone(), memory.centres(), memory.mean(), memory.hits().unsqueeze()] })
        };
        Side::BOTH.into_iter().filter_map(due).collect()
    }

    /// The host's part of a side's memory, after [`Ranker::due`] wanted it: the first fill (A6), or re-seeding (A7), after which
    /// whoever stood for a centre that was born again stands for it no longer.
    pub fn keep_up(&mut self, side: Side, step: u64, planned: u64, observed: Observed) -> Option<Reseeded> {
        let host = &self.last.as_ref()?.host;
        let members = match side {
            Side::Users => host.user.clone(),
            Side::Items => host.consumed().collect(),
        };
        let positive = host.consumed_labels().map(|label| label > 0.5).collect();
        let Observed { v, centres, mean, hits } = observed;
        let (memory, dependants) = match side {
            Side::Users => (&mut self.user_centres, &mut self.consumers),
            Side::Items => (&mut self.item_centres, &mut self.assignments),
        };
        let reseeded = memory.as_mut()?.tick(step, planned, &Observation { v, members, positive, centres, hits, mean })?;
        if let Some(assignments) = dependants {
            assignments.forget(&reseeded, self.steps);
        }
        Some(reseeded)
    }

    /// Losses of the last step.
    pub fn losses(&self) -> Option<&StepLosses> {
        self.losses.as_ref()
    }

    /// The clustering's view of the last step.
    pub fn last(&self) -> Option<&LastStep> {
        self.last.as_ref()
    }

    /// The dense parameters.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The embedding table.
    pub fn embeddings(&self) -> &RowTable {
        &self.embeddings
    }

    /// The users' personal vectors.
    pub fn user_vectors(&self) -> Option<&RowTable> {
        self.user_vectors.as_ref()
    }

    /// The items' own vectors.
    pub fn item_vectors(&self) -> Option<&RowTable> {
        self.item_vectors.as_ref()
    }

    /// The memories of positive behaviours of a side.
    pub fn behaviours(&self, side: Side) -> Option<&Behaviours> {
        match side {
            Side::Users => self.user_behaviours.as_ref(),
            Side::Items => self.item_behaviours.as_ref(),
        }
    }

    /// The running means of what is lent to a side.
    pub fn means(&self, side: Side) -> Option<&Means> {
        match side {
            Side::Users => self.user_means.as_ref(),
            Side::Items => self.item_means.as_ref(),
        }
    }

    /// Each item's centre, as it last passed.
    pub fn assignments(&self) -> Option<&Assignments> {
        self.assignments.as_ref()
    }

    /// The user centres of each item's last consumers.
    pub fn consumers(&self) -> Option<&Assignments> {
        self.consumers.as_ref()
    }

    /// Everything that the variant knows, in one read-back. `data` is what its rows are called.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn state(&self, data: &str) -> Result<State, ExecutionError> {
        let filled = Side::BOTH.map(|side| self.memory(side).is_some_and(Memory::is_filled));
        let config = self.config.clone();
        let description = Description { format: FORMAT, variant: self.variant, config, data: data.into(), steps: self.steps, filled };
        let mut gathering = Gathering::default();
        self.gather("", &mut gathering);
        Ok(State { description, arrays: gathering.read().await? })
    }

    /// Names every tensor that a [`State`] holds.
    pub(crate) fn gather(&self, prefix: &str, into: &mut Gathering) {
        into.parameters(prefix, &self.network, None);
        into.rows(&format!("{prefix}embeddings"), self.embeddings.rows());
        for (name, table) in [("user_vectors", &self.user_vectors), ("item_vectors", &self.item_vectors)] {
            if let Some(table) = table {
                into.rows(&format!("{prefix}{name}"), table.rows());
            }
        }
        self.gather_memories(prefix, into);
    }

    /// Names the tensors of the memories alone.
    pub(crate) fn gather_memories(&self, prefix: &str, into: &mut Gathering) {
        for (side, name) in [(Side::Users, "user"), (Side::Items, "item")] {
            if let Some(memory) = self.memory(side) {
                into.floats(format!("{prefix}{name}_centres"), memory.centres());
                into.floats(format!("{prefix}{name}_centres.hits"), memory.hits());
                into.floats(format!("{prefix}{name}_centres.mean"), memory.mean());
            }
            if let Some(behaviours) = self.behaviours(side) {
                into.floats(format!("{prefix}{name}_behaviours"), behaviours.rows());
                into.floats(format!("{prefix}{name}_behaviours.mean"), behaviours.mean());
            }
            if let Some(means) = self.means(side) {
                into.floats(format!("{prefix}{name}_means"), means.rows());
            }
        }
        for (name, assignments) in [("item_assignments", &self.assignments), ("item_consumers", &self.consumers)] {
            if let Some(assignments) = assignments {
                into.floats(format!("{prefix}{name}"), assignments.rows());
                into.floats(format!("{prefix}{name}.born"), assignments.born());
            }
        }
    }

    /// Goes on from what [`Ranker::state`] gave, at `step` of the run under way. Scores are then the same bit by bit on the
    /// same device. Where training goes on, the dense parameters' moments begin anew, and so does what remembers behaviours
    /// ([`Ranker::prepare`]).
    ///
    /// # Errors
    /// A state of another variant or of other sizes. Then nothing has changed.
    pub fn restore(&mut self, state: &State, step: u64) -> Result<(), CheckpointError> {
        let mut expected = Gathering::default();
        self.gather("", &mut expected);
        state.check(self.variant, &self.config, &expected)?;
        let device = self.device.clone();
        self.network = state.network(self.network.clone(), &device.clone().autodiff());
        self.optimizer = adam();
        self.embeddings.restore(state.rows("embeddings", &device)?);
        for (name, table) in [("user_vectors", &mut self.user_vectors), ("item_vectors", &mut self.item_vectors)] {
            if let Some(table) = table {
                table.restore(state.rows(name, &device)?);
            }
        }
        let memories =
            [("user", &mut self.user_centres, &mut self.user_behaviours), ("item", &mut self.item_centres, &mut self.item_behaviours)];
        for ((name, centres, behaviours), filled) in memories.into_iter().zip(state.description.filled) {
            if let Some(memory) = centres {
                let name = |part: &str| format!("{name}_centres{part}");
                let hits = state.floats(&name(".hits"))?.to_vec();
                memory.restore(state.tensor(&name(""), &device)?, hits, state.tensor(&name(".mean"), &device)?, filled, step);
            }
            if let Some(behaviours) = behaviours {
                let part = |part: &str| state.tensor(&format!("{name}_behaviours{part}"), &device);
                behaviours.restore(part("")?, part(".mean")?);
            }
        }
        for (name, means) in [("user", &mut self.user_means), ("item", &mut self.item_means)] {
            if let Some(means) = means {
                means.restore(state.tensor(&format!("{name}_means"), &device)?);
            }
        }
        for (name, assignments) in [("item_assignments", &mut self.assignments), ("item_consumers", &mut self.consumers)] {
            if let Some(assignments) = assignments {
                assignments.restore(state.tensor(name, &device)?, state.floats(&format!("{name}.born"))?.to_vec());
            }
        }
        (self.steps, self.last, self.is_restored) = (state.description.steps, None, true);
        Ok(())
    }

    /// The forward pass and its losses, with the leaves that gradients reach. It reads the memories as the step before left
    /// them, so a row never sees its own update (A15).
    pub fn graph(&self, batch: &DeviceBatch) -> Graph {
        let fields = batch.fields(self.variant);
        let leaves = Leaves {
            candidates: self.embeddings.pool(&fields.candidates),
            requests: self.embeddings.pool(&fields.requests),
            views: fields.views.as_ref().map(|ids| self.embeddings.pool(ids)),
            users: self.user_vectors.as_ref().map(|table| table.pool(&batch.users.ids)),
            items: self.item_vectors.as_ref().map(|table| table.pool(&batch.items.ids)),
        };
        let leaves = leaves.require_grad();
        let context = Context {
            candidates: &fields.candidates,
            dense: &batch.dense,
            users: &batch.users.ids,
            items: &batch.items.ids,
            low_active: &batch.low_active,
            kept: Some(&batch.kept),
            assignments: self.assignments.as_ref().map(Assignments::frozen),
            consumers: self.consumers.as_ref().map(Assignments::frozen),
        };
        let pass = self.forward(&self.network, &leaves, &context);
        let mtl = mtl_loss(pass.logits.clone(), Tensor::from_inner(batch.labels.clone()));
        let auxiliary = pass.towers.as_ref().map(|towers| self.auxiliary_loss(towers, &pass.logits, &batch.labels));
        let commit = match (&pass.towers, &pass.users) {
            (Some(towers), Some(chosen)) if self.config.commit > 0.0 => {
                Some(commitment(towers.v_user.clone(), chosen.mu.clone()) * self.config.commit)
            }
            _ => None,
        };
        Graph { adaptation: self.adaptation(&leaves, batch), leaves, mtl, auxiliary, commit, pass }
    }

    /// One step: the graph, one backward pass, Adam on the dense parameters, lazy Adam on the touched rows, then the
    /// memories' own steps. Nothing is read back.
    pub fn step(&mut self, batch: &DeviceBatch) {
        self.prepare(batch);
        let graph = self.graph(batch);
        let gradients = self.backward(&graph);
        self.apply(batch, graph, gradients);
    }

    /// What is done before the first batch of a further pass, and before the first that goes on from a file: what remembers
    /// behaviours may hold each row's own label before the row is scored (A15), so it begins anew as histories do. And which
    /// features the contrastive views mask together is decided by the first batch in which most users have a history: at the
    /// start of a stream nobody has, and whatever goes together there is chance.
    pub fn prepare(&mut self, batch: &DeviceBatch) {
        if batch.host.pass > self.pass || self.is_restored {
            (self.pass, self.is_restored) = (batch.host.pass, false);
            [&mut self.user_behaviours, &mut self.item_behaviours].into_iter().flatten().for_each(Behaviours::clear);
            self.consumers.iter_mut().for_each(Assignments::clear);
        }
        if self.parts.contrastive && self.correlations.is_none() && mostly_known(&batch.host) {
            self.correlations = Some(Correlations::new(&batch.host));
        }
    }

    /// The gradients of a graph's loss.
    pub fn backward(&self, graph: &Graph) -> StepGradients {
        let mut gradients = graph.loss().backward();
        let mut of = |leaf: &Tensor<2>| leaf.grad_remove(&mut gradients).unwrap_or_else(|| leaf.clone().inner().zeros_like());
        let leaves = Leaves {
            candidates: of(&graph.leaves.candidates),
            requests: of(&graph.leaves.requests),
            views: graph.leaves.views.as_ref().map(&mut of),
            users: graph.leaves.users.as_ref().map(&mut of),
            items: graph.leaves.items.as_ref().map(&mut of),
        };
        let towers = graph.pass.towers.as_ref();
        let mut in_centres = |memory: &Option<Memory>, chosen: &Option<Chosen>, v: Option<&Tensor<2>>| {
            let (memory, chosen, v) = (memory.as_ref()?, chosen.as_ref()?, v?);
            self.ranker_gradient(memory, chosen, off_graph(v.clone()), &mut gradients)
        };
        let centres = [
            in_centres(&self.user_centres, &graph.pass.users, towers.map(|t| &t.v_user)),
            in_centres(&self.item_centres, &graph.pass.items, towers.map(|t| &t.v_item)),
        ];
        StepGradients { leaves, centres, dense: GradientsParams::from_grads(gradients, &self.network) }
    }

    /// Moves everything once: by the gradients, and the memories by their own rules.
    pub fn apply(&mut self, batch: &DeviceBatch, graph: Graph, gradients: StepGradients) {
        self.steps += 1;
        let adam = AdamStep::new(self.config.learning_rate, self.steps);
        let Leaves { candidates, requests, views, users, items } = gradients.leaves;
        let fields = [candidates, requests].into_iter().chain(views).collect();
        self.embeddings.update(&batch.fields(self.variant).touched, fields, adam);
        if let (Some(table), Some(gradient)) = (&mut self.user_vectors, users) {
            table.update(&batch.users.touched, vec![gradient], adam);
        }
        if let (Some(table), Some(gradient)) = (&mut self.item_vectors, items) {
            table.update(&batch.items.touched, vec![gradient], adam);
        }
        self.network = self.optimizer.step(self.config.learning_rate, self.network.clone(), gradients.dense);
        self.losses = Some(StepLosses {
            mtl: graph.mtl.inner(),
            auxiliary: graph.auxiliary.map(Tensor::inner),
            adaptation: graph.adaptation.map(|(loss, _)| loss.inner()),
            ..self.learn_clusters(graph.pass, batch, gradients.centres)
        });
    }

    /// A ranker to score with: the network without autodiff, and every item's centre looked up anew (A19).
    ///
    /// With `item_count` an item's vector depends on the moment, so the centres stay those of the item's last passing.
    /// `categories` is the category of each item.
    pub fn frozen(&self, categories: &[u32]) -> Frozen {
        let network = self.network.valid();
        let assignments = match (&self.assignments, &self.item_centres, &network.auxiliary) {
            (Some(assignments), Some(memory), Some(auxiliary)) if memory.is_filled() && !self.config.item_count => {
                let items: Vec<u32> = (0..categories.len() as u32).collect();
                let chunks = items.chunks(REFRESH_CHUNK).zip(categories.chunks(REFRESH_CHUNK)).map(|(items, categories)| {
                    let ids = self.layout.candidates(items, categories);
                    let ids = Ids::new(Segment { ids: &ids, bags: self.layout.candidate_bags() }, &self.device);
                    memory.assign(auxiliary.item(self.embeddings.pool(&ids)))
                });
                Some(assignments.refreshed(Tensor::cat(chunks.collect(), 0)))
            }
            (Some(assignments), ..) => Some(assignments.frozen()),
            _ => None,
        };
        Frozen { network, assignments, consumers: self.consumers.as_ref().map(Assignments::frozen) }
    }

    /// A ranker to score with between steps of training, which sees the items' centres as training does: as they last passed.
    /// Looking every item up anew would have to be done after each step.
    pub fn live(&self) -> Frozen {
        let frozen = |assignments: &Option<Assignments>| assignments.as_ref().map(Assignments::frozen);
        Frozen { network: self.network.valid(), assignments: frozen(&self.assignments), consumers: frozen(&self.consumers) }
    }

    /// Scores a test batch with a [`Ranker::frozen`] or [`Ranker::live`] self.
    pub fn score(&self, frozen: &Frozen, batch: &Batch) -> Scored {
        let batch_on_device = TestBatch::new(&self.layout, batch, &self.device);
        let TestBatch { candidates, requests, users, items, dense, low_active } = &batch_on_device;
        let leaves = Leaves {
            candidates: self.embeddings.pool(candidates),
            requests: self.embeddings.pool(requests),
            views: None,
            users: self.user_vectors.as_ref().map(|table| table.pool(users)),
            items: self.item_vectors.as_ref().map(|table| table.pool(items)),
        };
        let Frozen { assignments, consumers, .. } = frozen;
        let (assignments, consumers) = (assignments.clone(), consumers.clone());
        let context = Context { candidates, dense, users, items, low_active, kept: None, assignments, consumers };
        let pass = self.forward(&frozen.network, &leaves, &context);
        let [_, samples, _] = pass.logits.dims();
        let (users, items) = self.sights(&pass, batch.requests);
        Scored { logits: pass.logits.slice([0..1]).reshape([samples]), users, items }
    }

    fn forward(&self, network: &Network, leaves: &Leaves, context: &Context<'_>) -> Pass {
        let training = leaves.requests.is_autodiff();
        let lift = |tensor: Tensor<2>| lift(tensor, training);
        let counts = lift(context.dense.counts.clone());
        let mut request = vec![leaves.requests.clone(), counts.clone()];
        let mut candidate = vec![leaves.candidates.clone()];
        if self.parts.wide {
            request.extend(leaves.users.clone());
        }
        // Where the variant learns embeddings from the whole history, the leaf of it.
        let leaf = leaves.views.as_ref().filter(|_| self.parts.long);
        let whole = || leaf.map_or_else(|| self.embeddings.pool(&context.dense.history), |leaf| off_graph(leaf.clone()));
        if let Some(transfer) = &network.transfer {
            let history = leaves.views.clone().map_or_else(whole, |views| halves(views)[1].clone());
            request.push(transfer.features(with_history(&leaves.requests, history, &counts), lift(context.low_active.clone())));
        }
        if self.parts.long {
            request.push(leaf.cloned().unwrap_or_else(whole));
            candidate.push(lift(raw_shares(&context.dense.history, context.candidates)));
        }
        let towers = network.auxiliary.as_ref().map(|auxiliary| {
            // Not the recent ones as well: then clusters were of moments more than of users (purity .55 for .8).
            let of_user = with_history(&off_graph(leaves.requests.clone()), whole(), &context.dense.counts);
            let mut of_item = off_graph(leaves.candidates.clone());
            if self.config.item_count {
                of_item = Tensor::cat(vec![of_item, context.dense.item_count.clone()], 1);
            }
            Towers { v_user: auxiliary.user(lift(of_user)), v_item: auxiliary.item(lift(of_item)) }
        });
        let (mut users, mut items, mut item_clusters, mut given_to) = (None, None, None, [None, None]);
        if let Some(towers) = &towers {
            let v = Towers { v_user: off_graph(towers.v_user.clone()), v_item: off_graph(towers.v_item.clone()) };
            let [samples, _] = v.v_item.dims();
            let shares = |shares: Option<Tensor<2>>| lift(shares.unwrap_or_else(|| Tensor::zeros([samples, LEVELS], &self.device)));
            item_clusters = clusters(&self.item_centres, &v.v_item);
            if let Some(enhancement) = &network.users {
                let (lendings, flags) = self.user_lendings(&v, leaves, context, &mut users, training);
                let means = self.means_of_lent(Side::Users);
                let Features { vectors, fits, given } = enhancement.forward(lendings, v.v_item.clone(), means);
                given_to[0] = Some(given);
                request.push(vectors);
                request.extend(flags.into_iter().map(lift));
                candidate.extend(fits);
            }
            if let Some(assignments) = &context.assignments {
                let own = item_clusters.clone();
                candidate.push(shares(own.map(|own| uhse::shares(assignments, context.dense.history_items.clone(), own))));
            }
            if let Some(enhancement) = &network.items {
                let (lendings, flags) = self.item_lendings(&v, leaves, context, item_clusters.as_ref(), &mut items, training);
                let means = self.means_of_lent(Side::Items);
                let Features { vectors, given, .. } = enhancement.forward(lendings, v.v_user.clone(), means);
                given_to[1] = Some(given);
                candidate.push(vectors);
                candidate.extend(flags.into_iter().map(lift));
            }
            if let (Some(consumers), Some(memory)) = (&context.consumers, &self.user_centres) {
                let own = users.as_ref().map(|chosen| chosen.assigned.clone());
                candidate.push(shares(own.map(|own| audience::shares(consumers, memory, context.items, own))));
            }
        }
        let logits = network.ple.forward(joined(request, 1), joined(candidate, 1));
        Pass { logits, towers, item_clusters, users, items, given: given_to }
    }

    /// The running means that are taken out of what a side is lent.
    fn means_of_lent(&self, side: Side) -> Option<&Means> {
        self.means(side).filter(|_| self.config.lent_centred)
    }

    /// What the user side is lent, and its flags: by centres (UIE), by the memory of behaviours (UPBE), by the history's item
    /// centres (UHSE).
    fn user_lendings(
        &self,
        v: &Towers,
        leaves: &Leaves,
        context: &Context<'_>,
        chosen: &mut Option<Chosen>,
        training: bool,
    ) -> (Lendings, Vec<Tensor<2>>) {
        let nothing = Nothing::of(&v.v_user);
        let (mut gated, mut plain, mut flags) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(memory) = &self.user_centres {
            let clusters = clusters(&self.user_centres, &v.v_user);
            let (lent, stopped) = self.lend_centres(memory, &v.v_user, clusters, chosen, training, &nothing);
            gated.push(lent);
            flags.push(stopped);
        }
        if self.parts.towers {
            // The limit of ever more centres: each user's is the user himself.
            let own = v.v_user.clone().unsqueeze_dim::<3>(0).repeat_dim(0, LEVELS);
            let Lent { weighted, stopped } = lend(v.v_user.clone(), own.clone(), v.v_user.clone(), own, self.config.stop_rule);
            gated.push(lift(weighted, training));
            flags.push(stopped);
        }
        if let Some(behaviours) = &self.user_behaviours {
            let (own, mean) = own_centres(&self.user_centres, chosen, &nothing);
            gated.push(lift(behaviours.lend(context.users, own, mean), training));
        }
        if let (Some(assignments), Some(memory)) = (&context.assignments, &self.item_centres) {
            let items = context.dense.history_items.clone();
            let (encoded, has) = if memory.is_filled() { uhse::encode(memory, assignments, items) } else { nothing.clone().into() };
            plain.push(lift(encoded, training));
            flags.push(has);
        }
        (
            Lendings {
                gated: stacked(gated),
                plain: stacked(plain),
                personal: leaves.users.clone(),
                kept: context.kept.map(|kept| kept.users.clone()),
            },
            flags,
        )
    }

    /// What the item side is lent, and its flags: by item centres, and by the memory of who consumed it (A20).
    fn item_lendings(
        &self,
        v: &Towers,
        leaves: &Leaves,
        context: &Context<'_>,
        clusters: Option<&Tensor<2, Int>>,
        chosen: &mut Option<Chosen>,
        training: bool,
    ) -> (Lendings, Vec<Tensor<2>>) {
        let nothing = Nothing::of(&v.v_item);
        let (mut gated, mut flags) = (Vec::new(), Vec::new());
        if let Some(memory) = &self.item_centres {
            let (lent, stopped) = self.lend_centres(memory, &v.v_item, clusters.cloned(), chosen, training, &nothing);
            gated.push(lent);
            flags.push(stopped);
        }
        if let Some(behaviours) = &self.item_behaviours {
            let (own, mean) = own_centres(&self.item_centres, chosen, &nothing);
            gated.push(lift(behaviours.lend(context.items, own, mean), training));
        }
        (
            Lendings {
                gated: stacked(gated),
                plain: None,
                personal: leaves.items.clone(),
                kept: context.kept.map(|kept| kept.items.clone()),
            },
            flags,
        )
    }

    /// Eq. 6 of the nearest centres `clusters` `[n, 2]` of `v` `[n, m]`, or nothing before there are any.
    fn lend_centres(
        &self,
        memory: &Memory,
        v: &Tensor<2>,
        clusters: Option<Tensor<2, Int>>,
        chosen: &mut Option<Chosen>,
        training: bool,
        nothing: &Nothing,
    ) -> (Tensor<3>, Tensor<2>) {
        let Some(assigned) = clusters else {
            return (lift(nothing.vectors.clone(), training), nothing.flag.clone());
        };
        let mu = memory.chosen(memory.rows_of(&assigned));
        let Lent { weighted, stopped } = lend_from(memory, v.clone(), mu.clone(), &self.config);
        let mut lent = lift(weighted, training);
        if training && self.config.centres_from_main {
            lent = lent.require_grad();
        }
        *chosen = Some(Chosen { assigned, mu, stopped: stopped.clone(), lent: lent.clone() });
        (lent, stopped)
    }

    fn auxiliary_loss(&self, towers: &Towers, logits: &Tensor<3>, labels: &Tensor<3>) -> Tensor<1> {
        let labels: Tensor<2> = labels.clone().slice([0..1]).squeeze_dim(0);
        let weights = match self.config.positive_weight {
            PositiveWeight::MergeScore => auxiliary::positive_weight(logits.clone().inner()),
            PositiveWeight::Constant => labels.zeros_like() + CONSTANT_WEIGHT,
        };
        auxiliary::loss(towers.clone(), Tensor::from_inner(labels), Tensor::from_inner(weights))
    }

    /// The added loss of PLE with CL or of PLE with TL.
    fn adaptation(&self, leaves: &Leaves, batch: &DeviceBatch) -> Option<(Tensor<1>, f64)> {
        let views = leaves.views.clone()?;
        let counts = Tensor::from_inner(batch.dense.counts.clone());
        let requests = leaves.requests.clone();
        if let (Some(contrastive), Some(correlations)) = (&self.network.contrastive, &self.correlations) {
            let weights = Tensor::from_inner(batch.contrasted.clone());
            let random = (Counter::new(self.config.seed, Stream::Views).lane(u64::MAX), self.steps);
            return Some((contrastive.loss(requests, views, counts, weights, correlations, random), contrastive::WEIGHT));
        }
        let transfer = self.network.transfer.as_ref()?;
        let [short, whole] = halves(views).map(|history| with_history(&requests, history, &counts));
        let low = Tensor::from_inner(batch.low_active.clone());
        Some((transfer.loss(short, whole, low), transfer::WEIGHT))
    }

    /// The ranker's gradient in the centres, summed over the samples that chose each (option A3); none by default.
    fn ranker_gradient(&self, memory: &Memory, chosen: &Chosen, v: Tensor<2>, gradients: &mut Gradients) -> Option<Tensor<2>> {
        let gradient = chosen.lent.grad_remove(gradients)?;
        let mu = Tensor::from_inner(chosen.mu.clone()).require_grad();
        let [levels, n, m] = gradient.dims();
        let lent = lend_from(memory, Tensor::from_inner(v), mu.clone(), &self.config).weighted;
        let update = mu.grad(&(lent * Tensor::from_inner(gradient)).sum().backward())?.reshape([levels * n, m]);
        let rows = memory.rows_of(&chosen.assigned);
        Some(memory.centres().zeros_like().select_assign(0, rows, update, IndexingUpdateOp::Add))
    }

    /// The memories' own steps: every search is done before anything moves (A15).
    fn learn_clusters(&mut self, pass: Pass, batch: &DeviceBatch, centres: [Option<Tensor<2>>; 2]) -> StepLosses {
        let requests = batch.host.requests;
        let (users, items) = self.sights(&pass, requests);
        let mut losses = StepLosses {
            mtl: Tensor::zeros([1], &self.device),
            auxiliary: None,
            uie: None,
            upbe: None,
            uhse: None,
            items: None,
            adaptation: None,
        };
        let positive = batch.positive.clone();
        if let Some(towers) = pass.towers {
            let v = Towers { v_user: off_graph(towers.v_user), v_item: first_candidates(off_graph(towers.v_item), requests) };
            let met = |memory: &Option<Memory>, seeker: &Tensor<2>, means: &Option<Means>, owner: &Tensor<2>| {
                let memory = memory.as_ref().filter(|memory| memory.is_filled())?;
                let mean = means.as_ref().map(Means::of_others);
                Some(Met::new(memory, seeker.clone(), mean, owner.clone(), positive.clone()))
            };
            let by_users = self.user_behaviours.as_ref().and_then(|_| met(&self.user_centres, &v.v_item, &self.user_means, &v.v_user));
            let by_items = self.item_behaviours.as_ref().and_then(|_| met(&self.item_centres, &v.v_user, &self.item_means, &v.v_item));
            let [from_users, from_items] = centres;
            let assigned = |sight: &Option<Sight>| sight.as_ref()?.chosen.as_ref().map(|chosen| chosen.0.clone());
            if let (Some(memory), Some(assigned)) = (&mut self.user_centres, assigned(&users)) {
                losses.uie = memory.learn(v.v_user, assigned, batch.clustered.clone(), from_users);
            }
            if let (Some(memory), Some(assigned)) = (&mut self.item_centres, assigned(&items)) {
                losses.uhse = memory.learn(v.v_item, assigned.clone(), positive.clone(), from_items);
                if let Some(assignments) = &mut self.assignments {
                    assignments.give(&batch.consumed.ids, &batch.consumed.touched, assigned, positive.clone(), self.steps);
                }
            }
            if let (Some(consumers), Some(of_users)) = (&mut self.consumers, assigned(&users)) {
                consumers.give(&batch.consumed.ids, &batch.consumed.touched, of_users, positive.clone(), self.steps);
            }
            if let (Some(behaviours), Some(met)) = (&mut self.user_behaviours, by_users) {
                losses.upbe = Some(behaviours.learn(met, &batch.users.ids, &batch.users.touched));
            }
            if let (Some(behaviours), Some(met)) = (&mut self.item_behaviours, by_items) {
                losses.items = Some(behaviours.learn(met, &batch.consumed.ids, &batch.consumed.touched));
            }
        }
        for (means, given) in [&mut self.user_means, &mut self.item_means].into_iter().zip(pass.given) {
            if let (Some(means), Some(given)) = (means, given) {
                means.learn(given);
            }
        }
        self.last = Some(LastStep { users, items, host: batch.host.clone() });
        losses
    }

    /// What each clustering saw: all users, and the first candidate of each request (the consumed item, in training).
    fn sights(&self, pass: &Pass, requests: usize) -> (Option<Sight>, Option<Sight>) {
        let Some(towers) = &pass.towers else { return (None, None) };
        let users = self.user_centres.as_ref().map(|_| Sight {
            v: off_graph(towers.v_user.clone()),
            chosen: pass.users.clone().map(|chosen| (chosen.assigned, chosen.stopped)),
        });
        let items = self.item_centres.as_ref().map(|_| {
            let first =
                |clusters: &Tensor<2, Int>| (first_candidates(clusters.clone(), requests), Tensor::zeros([requests, 1], &self.device));
            Sight { v: first_candidates(off_graph(towers.v_item.clone()), requests), chosen: pass.item_clusters.as_ref().map(first) }
        });
        (users, items)
    }
}

/// Whether most of a batch's users have a history.
fn mostly_known(batch: &Batch) -> bool {
    2 * (0..batch.requests).filter(|&request| batch.has_history(request)).count() > batch.requests
}

/// The dense parameters' optimizer.
fn adam() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(EPSILON).init()
}

/// What a forward pass reads beside the leaves.
struct Context<'a> {
    candidates: &'a Ids,
    dense: &'a Dense,
    users: &'a Ids,
    items: &'a Ids,
    low_active: &'a Tensor<2>,
    /// From whom nothing is withheld; none outside training.
    kept: Option<&'a Kept>,
    assignments: Option<FrozenAssignments>,
    consumers: Option<FrozenAssignments>,
}

/// What is lent before there is anything to lend.
#[derive(Clone)]
struct Nothing {
    vectors: Tensor<3>,
    flag: Tensor<2>,
}

impl Nothing {
    fn of(v: &Tensor<2>) -> Self {
        let [n, m] = v.dims();
        Self { vectors: Tensor::zeros([LEVELS, n, m], &v.device()), flag: Tensor::zeros([n, 1], &v.device()) }
    }

    /// `[1, m]`
    fn mean(&self) -> Tensor<2> {
        let [_, _, m] = self.vectors.dims();
        Tensor::zeros([1, m], &self.vectors.device())
    }
}

impl From<Nothing> for (Tensor<3>, Tensor<2>) {
    fn from(nothing: Nothing) -> Self {
        (nothing.vectors, nothing.flag)
    }
}

/// The chosen centres themselves and the mean of their side, or nothing before there are any.
fn own_centres(memory: &Option<Memory>, chosen: &Option<Chosen>, nothing: &Nothing) -> (Tensor<3>, Tensor<2>) {
    match (memory, chosen) {
        (Some(memory), Some(chosen)) => (chosen.mu.clone(), memory.mean()),
        _ => (nothing.vectors.clone(), nothing.mean()),
    }
}

/// [`lend`] with the sign test on what the memory sees.
fn lend_from(memory: &Memory, v: Tensor<2>, mu: Tensor<3>, config: &Config) -> Lent {
    let [levels, n, m] = mu.dims();
    let training = v.is_autodiff();
    let sign_v = lift(memory.seen(off_graph(v.clone())), training);
    let flat = mu.clone().reshape([levels * n, m]);
    let sign_mu = lift(memory.seen(off_graph(flat)), training).reshape([levels, n, m]);
    lend(v, mu, sign_v, sign_mu, config.stop_rule)
}

/// The nearest centres of `v` `[n, m]`, `[n, 2]`; none before there are any.
fn clusters(memory: &Option<Memory>, v: &Tensor<2>) -> Option<Tensor<2, Int>> {
    memory.as_ref().filter(|memory| memory.is_filled()).map(|memory| memory.assign(v.clone()))
}

/// What a sanity row's ranker sees of a whole history beside its mean: the share of it that is the candidate's own item and own
/// category, `[samples, 2]`, as UHSE has it of clusters. `history` are its items and then its categories.
fn raw_shares(history: &Ids, candidates: &Ids) -> Tensor<2> {
    let (history, own) = (history.tensor(), candidates.tensor());
    let ([requests, slots], [samples, fields]) = (history.dims(), own.dims());
    let history = history.reshape([requests, 1, fields, slots / fields]);
    let own = own.reshape([requests, samples / requests, fields, 1]);
    let known = history.clone().greater_equal_scalar(0.0).float().sum_dim(3).clamp_min(1.0);
    (history.equal(own).float().sum_dim(3) / known).reshape([samples, fields])
}

/// Rows of the first candidates, `[requests, columns]`, from `[samples, columns]`.
fn first_candidates<K: Basic>(rows: Tensor<2, K>, requests: usize) -> Tensor<2, K> {
    let [samples, columns] = rows.dims();
    rows.reshape([requests, samples / requests * columns]).slice([0..requests, 0..columns])
}

/// The first and the last half of the columns.
fn halves(tensor: Tensor<2>) -> [Tensor<2>; 2] {
    let [n, columns] = tensor.dims();
    [0..columns / 2, columns / 2..columns].map(|half| tensor.clone().slice([0..n, half]))
}

/// A request's fields with another history `[requests, 2 * embedding]` in the place of the recent one, and the counts.
fn with_history(requests: &Tensor<2>, history: Tensor<2>, counts: &Tensor<2>) -> Tensor<2> {
    let [own, _] = halves(requests.clone());
    Tensor::cat(vec![own, history, counts.clone()], 1)
}

fn stacked(vectors: Vec<Tensor<3>>) -> Option<Tensor<3>> {
    (!vectors.is_empty()).then(|| joined(vectors, 0))
}

/// Sum over the tasks of the mean binary cross entropy; `logits` and `labels` are `[tasks, samples, 1]`.
fn mtl_loss(logits: Tensor<3>, labels: Tensor<3>) -> Tensor<1> {
    // ln sigmoid(z) = z + ln sigmoid(-z), so one stable logarithm serves both classes.
    (log_sigmoid(logits.clone().neg()) + labels * logits).mean() * -(TASKS as f32)
}

/// The option of A2: `mean sigma(v . mu) |v - mu|^2` of both levels with the centres fixed, which moves the users.
fn commitment(v_user: Tensor<2>, mu: Tensor<3>) -> Tensor<1> {
    let v = v_user.unsqueeze_dim::<3>(0);
    let mu = Tensor::from_inner(mu);
    let sigma = sigmoid((mu.clone() * v.clone()).sum_dim(2)).detach();
    (sigma * (v - mu).square().sum_dim(2)).mean() * LEVELS as f32
}
