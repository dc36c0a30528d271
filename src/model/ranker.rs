//! One variant of the race: its network, its tables, its memory, and one step of training (section 7 of the design).
//!
//! Who receives whose gradient (Eq. 15 with the paper's stops):
//!
//! | parameter | L_MTL | L_aux | L_uie |
//! | --- | --- | --- | --- |
//! | embeddings, PLE, towers | x | - | - |
//! | auxiliary towers | - | x | - |
//! | user centres | - | - | x |
//! | personal vectors, gates | x | - | - |

use std::sync::Arc;

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData, activation::log_sigmoid};

use super::auxiliary::{self, Auxiliary};
use super::dense::Init;
use super::ghca::{ClusterLosses, Memory};
use super::ple::{Ple, PleSizes};
use super::table::{RowTable, Touched};
use super::uie::{Gate, lend};
use crate::config::{Config, PositiveWeight, Variant};
use crate::counter::{Counter, Stream};
use crate::data::protocol::{ACTIVITY_BUCKETS, Batch, TASKS};
use crate::data::rows::{Bags, RowPlanner};
use crate::data::{Behaviour, Vocabulary};
use crate::kernels::{AdamStep, EPSILON};

/// Weight of a positive in Eq. 1 under [`PositiveWeight::Constant`].
const CONSTANT_WEIGHT: f32 = 1.5;
/// Fields that describe the item: item, category. They come first, so that each tower's features are one slice.
const ITEM_FIELDS: usize = 2;

/// Where each vocabulary begins in the one embedding table, and how a sample's ids are laid out.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    vocabulary: Vocabulary,
    history: usize,
}

impl Layout {
    /// The layout for a data set and a history window.
    pub fn new(vocabulary: Vocabulary, history: usize) -> Self {
        Self { vocabulary, history }
    }

    /// Rows of the embedding table: items, categories, users, activity buckets.
    pub fn rows(&self) -> usize {
        let v = self.vocabulary;
        v.items as usize + v.categories as usize + v.users as usize + ACTIVITY_BUCKETS as usize
    }

    /// Item, category, user, activity; then the history's items and its categories, averaged.
    pub fn bags(&self) -> Bags {
        Bags { singles: 4, bags: 2, bag_len: self.history }
    }

    /// Table rows of a batch, `[size, slots]`.
    fn ids(&self, batch: &Batch) -> Vec<u32> {
        let categories = self.vocabulary.items;
        let users = categories + self.vocabulary.categories;
        let activity = users + self.vocabulary.users;
        let mut ids = Vec::with_capacity(batch.size * self.bags().slots());
        for s in 0..batch.size {
            let window = s * self.history..(s + 1) * self.history;
            ids.extend([batch.item[s], categories + batch.category[s], users + batch.user[s], activity + batch.activity[s]]);
            ids.extend_from_slice(&batch.history_items[window.clone()]);
            // NO_ROW stays NO_ROW.
            ids.extend(batch.history_categories[window].iter().map(|&c| c.checked_add(categories).unwrap_or(c)));
        }
        ids
    }
}

/// A batch on the device, made once for all variants.
#[derive(Clone)]
pub struct DeviceBatch {
    fields: Touched,
    users: Touched,
    inputs: Inputs,
    /// `[tasks, samples, 1]`
    labels: Tensor<3>,
    /// `[samples]`
    clustered: Tensor<1>,
    /// The batch as the host knows it.
    pub host: Arc<Batch>,
}

/// Dense features of a batch.
#[derive(Clone)]
struct Inputs {
    /// `[samples, Behaviour::COUNT]`
    counts: Tensor<2>,
    /// `[samples, 1]`, for the item tower where the configuration gives it the count.
    item_count: Tensor<2>,
}

impl Inputs {
    fn new(batch: &Batch, device: &Device) -> Self {
        Self {
            counts: Tensor::from_data(TensorData::new(batch.counts.clone(), [batch.size, Behaviour::COUNT]), device),
            item_count: Tensor::from_data(TensorData::new(batch.item_count.clone(), [batch.size, 1]), device),
        }
    }
}

/// Moves batches to the device.
pub struct Loader {
    layout: Layout,
    fields: RowPlanner,
    users: RowPlanner,
    device: Device,
}

/// Personal vectors: one id a sample.
const PERSONAL: Bags = Bags { singles: 1, bags: 0, bag_len: 0 };

impl Loader {
    /// A loader for a layout.
    pub fn new(layout: Layout, device: &Device) -> Self {
        let fields = RowPlanner::new(layout.rows());
        let users = RowPlanner::new(layout.vocabulary.users as usize);
        Self { layout, fields, users, device: device.clone() }
    }

    /// A batch to train on.
    pub fn load(&mut self, batch: Arc<Batch>) -> DeviceBatch {
        let ids = self.layout.ids(&batch);
        DeviceBatch {
            fields: Touched::new(&mut self.fields, &ids, self.layout.bags(), &self.device),
            users: Touched::new(&mut self.users, &batch.user, PERSONAL, &self.device),
            inputs: Inputs::new(&batch, &self.device),
            labels: Tensor::from_data(TensorData::new(batch.labels.clone(), [TASKS, batch.size, 1]), &self.device),
            clustered: Tensor::from_data(TensorData::new(batch.clustered.clone(), [batch.size]), &self.device),
            host: batch,
        }
    }
}

/// The dense parameters of a variant.
#[derive(Module, Debug)]
pub struct Network {
    /// The ranker.
    pub ple: Ple,
    /// The towers, in variants that cluster.
    pub auxiliary: Option<Auxiliary>,
    /// The generalization layer, in variants with UIE.
    pub gate: Option<Gate>,
}

impl Network {
    fn new(config: &Config, variant: Variant, device: &Device) -> Self {
        let init = Init::new(config.seed, device);
        let (d, m) = (config.embedding, config.memory_width());
        let inputs = 6 * d + Behaviour::COUNT;
        let sizes = PleSizes {
            tasks: TASKS,
            specific: config.specific_experts,
            shared: config.shared_experts,
            levels: vec![config.expert_1.0.clone(), config.expert_2.0.clone()],
            tower: config.tower.0.clone(),
        };
        let enhancement = if variant.has_uie() { Gate::outputs(m) } else { 0 };
        Self {
            ple: Ple::new(&init, &sizes, inputs + enhancement),
            auxiliary: variant.has_uie().then(|| {
                Auxiliary::new(&init, &config.auxiliary.0, inputs - ITEM_FIELDS * d, ITEM_FIELDS * d + usize::from(config.item_count))
            }),
            gate: variant.has_uie().then(|| Gate::new(&init, m, config.enhancement_scale)),
        }
    }
}

/// The losses of a batch on the graph, and the leaves beside the dense parameters.
pub struct Graph {
    /// `[samples, 6 * embedding]`: the pooled embeddings.
    pub fields: Tensor<2>,
    /// `[samples, m]`: the personal vectors.
    pub personal: Option<Tensor<2>>,
    /// Sum of the tasks' cross entropies, `[1]`.
    pub mtl: Tensor<1>,
    /// Eq. 1, `[1]`.
    pub auxiliary: Option<Tensor<1>>,
    commit: Option<Tensor<1>>,
    pass: Pass,
}

impl Graph {
    /// The part of Eq. 15 that a backward pass sees; the centres' part is their own step.
    fn loss(&self) -> Tensor<1> {
        self.auxiliary.iter().chain(&self.commit).fold(self.mtl.clone(), |sum, loss| sum + loss.clone())
    }

    /// `[2, samples, m]`: the centres that were chosen, where there are any.
    pub fn chosen(&self) -> Option<Tensor<3>> {
        self.pass.chosen.as_ref().map(|chosen| chosen.mu.clone())
    }
}

/// What the forward pass found, the user's side of it with its gradient stopped.
struct Pass {
    logits: Tensor<3>,
    towers: Option<Towers>,
    chosen: Option<Chosen>,
}

/// Vectors of the auxiliary model, on the graph of L_aux.
struct Towers {
    v_user: Tensor<2>,
    v_item: Tensor<2>,
}

/// Centres chosen for a batch.
#[derive(Clone)]
struct Chosen {
    assigned: Tensor<2, Int>,
    rows: Tensor<1, Int>,
    mu: Tensor<3>,
    stopped: Tensor<2>,
}

/// Losses of a step, on the device until somebody reads them.
#[derive(Clone)]
pub struct StepLosses {
    /// Sum of the tasks' cross entropies, `[1]`.
    pub mtl: Tensor<1>,
    /// Eq. 1, `[1]`.
    pub auxiliary: Option<Tensor<1>>,
    /// Eq. 4 and 5, `[2]`.
    pub clusters: Option<ClusterLosses>,
}

/// What the clustering saw in the last step.
#[derive(Clone)]
pub struct LastStep {
    /// `[samples, m]`
    pub v_user: Tensor<2>,
    /// `[samples, 2]`, `[samples, 1]`: assignments and stops; none before the first fill.
    pub chosen: Option<(Tensor<2, Int>, Tensor<2>)>,
    /// Whose rows they are.
    pub host: Arc<Batch>,
}

/// What a test batch gives.
pub struct Scored {
    /// Logits of the reported task, `[samples]`.
    pub logits: Tensor<1>,
    /// The clustering's view of the batch.
    pub clusters: Option<LastStep>,
}

/// One variant in training.
pub struct Ranker {
    variant: Variant,
    config: Config,
    layout: Layout,
    device: Device,
    network: Network,
    optimizer: ModuleOptimizer,
    embeddings: RowTable,
    personal: Option<RowTable>,
    memory: Option<Memory>,
    steps: u64,
    losses: Option<StepLosses>,
    last: Option<LastStep>,
}

impl Ranker {
    /// A fresh variant on a device (without autodiff; the ranker adds it where it needs it).
    pub fn new(config: &Config, variant: Variant, layout: Layout, device: &Device) -> Self {
        let embedding = Counter::new(config.seed, Stream::Embeddings);
        let personal = Counter::new(config.seed, Stream::Personal);
        let deviation = config.embedding_std;
        let (users, m) = (layout.vocabulary.users as usize, config.memory_width());
        Self {
            variant,
            network: Network::new(config, variant, &device.clone().autodiff()),
            optimizer: AdamConfig::new().with_epsilon(EPSILON).init(),
            embeddings: RowTable::new(layout.rows(), config.embedding, device, |i| (deviation * embedding.normal(i)) as f32),
            personal: variant.has_uie().then(|| RowTable::new(users, m, device, |i| (0.01 * personal.normal(i)) as f32)),
            memory: variant.has_uie().then(|| Memory::new(config, device)),
            config: config.clone(),
            layout,
            device: device.clone(),
            steps: 0,
            losses: None,
            last: None,
        }
    }

    /// Which variant this is.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The user clusters.
    pub fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// The user clusters, for their clock.
    pub fn memory_mut(&mut self) -> Option<&mut Memory> {
        self.memory.as_mut()
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

    /// The personal vectors.
    pub fn personal(&self) -> Option<&RowTable> {
        self.personal.as_ref()
    }

    /// Dense parameters, tables and memories excluded.
    pub fn parameters(&self) -> usize {
        self.network.num_params()
    }

    /// The forward pass and its losses, with the leaves that gradients reach. It reads the memory as the step before left
    /// it, so a row never sees its own update (A15).
    pub fn graph(&self, batch: &DeviceBatch) -> Graph {
        let pooled = self.embeddings.pool(&batch.fields);
        let fields = Tensor::from_inner(pooled.clone()).require_grad();
        let personal = self.personal.as_ref().map(|table| Tensor::from_inner(table.pool(&batch.users)).require_grad());
        let pass = self.forward(&self.network, pooled, fields.clone(), personal.clone(), &batch.inputs);
        let mtl = mtl_loss(pass.logits.clone(), Tensor::from_inner(batch.labels.clone()));
        let auxiliary = pass.towers.as_ref().map(|towers| self.auxiliary_loss(towers, &pass.logits, &batch.labels));
        let commit = match (&pass.towers, &pass.chosen) {
            (Some(towers), Some(chosen)) if self.config.commit > 0.0 => {
                Some(commitment(towers.v_user.clone(), chosen.mu.clone().inner()) * self.config.commit)
            }
            _ => None,
        };
        Graph { fields, personal, mtl, auxiliary, commit, pass }
    }

    /// One step: the graph, one backward pass, Adam on the dense parameters, lazy Adam on the touched rows, then the
    /// memory's own step. Nothing is read back.
    pub fn step(&mut self, batch: &DeviceBatch) {
        self.steps += 1;
        let graph = self.graph(batch);
        let mut gradients = graph.loss().backward();
        let adam = AdamStep::new(self.config.learning_rate, self.steps);
        if let Some(gradient) = graph.fields.grad_remove(&mut gradients) {
            self.embeddings.update(&batch.fields, gradient, adam);
        }
        let personal = graph.personal.as_ref().and_then(|leaf| leaf.grad_remove(&mut gradients));
        if let (Some(table), Some(gradient)) = (&mut self.personal, personal) {
            table.update(&batch.users, gradient, adam);
        }
        let centres = graph.pass.chosen.as_ref().and_then(|chosen| self.ranker_gradient(chosen, &mut gradients));
        let dense = GradientsParams::from_grads(gradients, &self.network);
        self.network = self.optimizer.step(self.config.learning_rate, self.network.clone(), dense);
        let clusters = self.learn_clusters(&graph.pass, batch, centres);
        self.losses = Some(StepLosses { mtl: graph.mtl.inner(), auxiliary: graph.auxiliary.map(Tensor::inner), clusters });
    }

    /// Scores a test batch, memories frozen, with a [`Ranker::frozen`] network.
    pub fn score(&self, network: &Network, batch: Arc<Batch>) -> Scored {
        let ids = Touched::ids(&self.layout.ids(&batch), self.layout.bags(), &self.device);
        let x = self.embeddings.pool_ids(ids, self.layout.bags());
        let personal = self.personal.as_ref().map(|table| table.pool_ids(Touched::ids(&batch.user, PERSONAL, &self.device), PERSONAL));
        let pass = self.forward(network, x.clone(), x, personal, &Inputs::new(&batch, &self.device));
        let [_, samples, _] = pass.logits.dims();
        Scored {
            logits: pass.logits.slice([0..1]).reshape([samples]),
            clusters: pass.towers.map(|towers| LastStep {
                v_user: towers.v_user,
                chosen: pass.chosen.map(|chosen| (chosen.assigned, chosen.stopped)),
                host: batch,
            }),
        }
    }

    /// The network without autodiff, for scoring.
    pub fn frozen(&self) -> Network {
        self.network.valid()
    }

    /// `pooled` is `x` off the graph: what the towers see of the embeddings, their gradient stopped.
    fn forward(&self, network: &Network, pooled: Tensor<2>, x: Tensor<2>, personal: Option<Tensor<2>>, inputs: &Inputs) -> Pass {
        let lift = |tensor: Tensor<2>| if x.is_autodiff() { Tensor::from_inner(tensor) } else { tensor };
        let counts = lift(inputs.counts.clone());
        let mut features = vec![x.clone(), counts];
        let (mut towers, mut chosen) = (None, None);
        if let (Some(auxiliary), Some(gate), Some(memory), Some(personal)) = (&network.auxiliary, &network.gate, &self.memory, personal) {
            let [samples, width] = pooled.dims();
            let item = ITEM_FIELDS * self.config.embedding;
            let of_user = Tensor::cat(vec![pooled.clone().slice([0..samples, item..width]), inputs.counts.clone()], 1);
            let mut of_item = pooled.slice([0..samples, 0..item]);
            if self.config.item_count {
                of_item = Tensor::cat(vec![of_item, inputs.item_count.clone()], 1);
            }
            let v = Towers { v_user: auxiliary.user(lift(of_user)), v_item: auxiliary.item(lift(of_item)) };
            let (v_user, v_item) = (off_graph(v.v_user.clone()), off_graph(v.v_item.clone()));
            let m = self.config.memory_width();
            if memory.is_filled() {
                let choice = self.choose(memory, v_user.clone(), x.is_autodiff());
                let mu = &choice.mu;
                let seen = memory.seen(mu.clone().detach().reshape([2 * samples, m])).reshape([2, samples, m]);
                let lent = lend(lift(v_user.clone()), mu.clone(), lift(memory.seen(v_user)), seen, self.config.stop_rule);
                chosen = Some(Chosen { stopped: off_graph(lent.stopped.clone()), ..choice });
                features.push(gate.forward(lent, personal, lift(v_item)).features);
            } else {
                features.push(lift(Tensor::zeros([samples, Gate::outputs(m)], &self.device)));
            }
            towers = Some(v);
        }
        Pass { logits: network.ple.forward(Tensor::cat(features, 1)), towers, chosen }
    }

    fn choose(&self, memory: &Memory, v_user: Tensor<2>, training: bool) -> Chosen {
        let assigned = memory.assign(v_user);
        let rows = memory.rows_of(&assigned);
        let mut mu = memory.chosen(rows.clone());
        let [_, samples, _] = mu.dims();
        if training {
            mu = Tensor::from_inner(mu);
            if self.config.centres_from_main {
                mu = mu.require_grad();
            }
        }
        Chosen { assigned, rows, mu, stopped: Tensor::zeros([samples, 1], &self.device) }
    }

    fn auxiliary_loss(&self, towers: &Towers, logits: &Tensor<3>, labels: &Tensor<3>) -> Tensor<1> {
        let labels: Tensor<2> = labels.clone().slice([0..1]).squeeze_dim(0);
        let weights = match self.config.positive_weight {
            PositiveWeight::MergeScore => auxiliary::positive_weight(logits.clone().inner()),
            PositiveWeight::Constant => labels.zeros_like() + CONSTANT_WEIGHT,
        };
        auxiliary::loss(towers.v_user.clone(), towers.v_item.clone(), Tensor::from_inner(labels), Tensor::from_inner(weights))
    }

    /// The ranker's gradient in the centres, summed over the samples that chose each (option A3); none by default.
    fn ranker_gradient(&self, chosen: &Chosen, gradients: &mut Gradients) -> Option<Tensor<2>> {
        let memory = self.memory.as_ref()?;
        let gradient = chosen.mu.grad_remove(gradients)?;
        let [levels, samples, m] = gradient.dims();
        let zeros = memory.centres().zeros_like();
        let update = gradient.reshape([levels * samples, m]);
        Some(zeros.select_assign(0, chosen.rows.clone(), update, burn::tensor::IndexingUpdateOp::Add))
    }

    fn learn_clusters(&mut self, pass: &Pass, batch: &DeviceBatch, ranker: Option<Tensor<2>>) -> Option<ClusterLosses> {
        let v_user = pass.towers.as_ref()?.v_user.clone().inner();
        let chosen = pass.chosen.clone();
        self.last =
            Some(LastStep { v_user: v_user.clone(), chosen: chosen.clone().map(|c| (c.assigned, c.stopped)), host: batch.host.clone() });
        let memory = self.memory.as_mut()?;
        Some(memory.learn(v_user, chosen?.assigned, batch.clustered.clone(), ranker))
    }
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
    let sigma = burn::tensor::activation::sigmoid((mu.clone() * v.clone()).sum_dim(2)).detach();
    (sigma * (v - mu).square().sum_dim(2)).mean() * 2.0
}

/// The value of a tensor, off whatever graph it is on.
fn off_graph(tensor: Tensor<2>) -> Tensor<2> {
    if tensor.is_autodiff() { tensor.inner() } else { tensor }
}
