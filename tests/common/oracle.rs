//! The complete model once more, from the paper and docs/assumptions.md alone: plain f64, one sample at a time, no tensor beyond
//! reading what a ranker holds.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use duia::config::{Config, MemoryStart, Similarity};
use duia::data::protocol::{ACTIVITY_BUCKETS, Batch, NO_ROW, TASKS};
use duia::data::{Side, Vocabulary};
use duia::kernels::Levels;
use duia::model::batch::Kept;
use duia::model::components::auxiliary::AuxiliaryModel;
use duia::model::components::consumers::Consumers;
use duia::model::components::enhancement::EnhancementOf;
use duia::model::components::evidence::Evidence;
use duia::model::components::history::History;
use duia::model::components::poso::PosoTowers;
use duia::model::components::told::{ItemGroup, UserGroup};
use duia::model::components::transfer::TransferLearning;
use duia::model::components::uhse::Uhse;
use duia::model::components::upbe::Upbe;
use duia::model::layers::attention::TargetAttention;
use duia::model::layers::dense::{Linear, Mlp};
use duia::model::layers::enhancement::{Enhancement, Means};
use duia::model::layers::ghca::Memory;
use duia::model::layers::mixture;
use duia::model::layers::ple::Ple;
use duia::model::ranker::Ranker;

use super::{block_on, dot, linear, mean, mlp, read, sigmoid, softmax};

/// Vectors, one a row.
type Rows = Vec<Vec<f64>>;

/// Weight `[inputs, outputs]` and bias.
pub type Layer = (Vec<f64>, Vec<f64>);

/// Parameters of a module in the order in which it holds them: `[stack, …]`, shape and values.
pub fn parameters<M: Module>(module: &M) -> Vec<(Vec<usize>, Vec<f64>)> {
    struct All(Vec<(Vec<usize>, Vec<f64>)>);
    impl ModuleVisitor for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push((param.dims().to_vec(), block_on(read(param.val()))));
        }
    }
    let mut all = All(Vec::new());
    module.visit(&mut all);
    all.0
}

/// Perceptron `index` of stacks of layers.
fn stack(parameters: &[(Vec<usize>, Vec<f64>)], index: usize) -> Vec<Layer> {
    let own = |(shape, values): &(Vec<usize>, Vec<f64>)| {
        let length = values.len() / shape[0];
        values[index * length..][..length].to_vec()
    };
    parameters.chunks(2).map(|layer| (own(&layer[0]), own(&layer[1]))).collect()
}

/// One layer of a stack.
pub fn layer(layer: &Linear, index: usize) -> Layer {
    stack(&parameters(layer), index).remove(0)
}

/// One perceptron of a stack.
pub fn layers(perceptrons: &Mlp, index: usize) -> Vec<Layer> {
    stack(&parameters(perceptrons), index)
}

fn chunks(values: Vec<f64>, width: usize) -> Vec<Vec<f64>> {
    values.chunks(width).map(<[f64]>::to_vec).collect()
}

/// A PLE: gate `k` sees its own experts and the shared ones, the shared gate all.
pub struct PleOracle {
    tasks: usize,
    specific: usize,
    experts: usize,
    /// By level: each expert's layers, each gate's layer.
    levels: Vec<(Vec<Vec<Layer>>, Vec<Layer>)>,
    towers: Vec<Vec<Layer>>,
}

impl PleOracle {
    /// What a module holds, of which the sizes are known.
    pub fn new(ple: &Ple, specific: usize, shared: usize) -> Self {
        let experts = TASKS * specific + shared;
        let mut levels = vec![first_level(ple, experts, TASKS + usize::from(!ple.levels.is_empty()))];
        for level in &ple.levels {
            let gates = parameters(&level.gates)[0].0[0];
            levels.push(((0..experts).map(|e| layers(&level.experts, e)).collect(), (0..gates).map(|g| layer(&level.gates, g)).collect()));
        }
        Self { tasks: TASKS, specific, experts, levels, towers: (0..TASKS).map(|k| layers(&ple.towers, k)).collect() }
    }

    /// The tasks' logits for a request's and a candidate's features.
    pub fn logits(&self, request: &[f64], candidate: &[f64]) -> Vec<f64> {
        self.logits_gated(request, candidate, &[])
    }

    /// The same with factors of the towers' hidden units: by task and layer, where there are any.
    pub fn logits_gated(&self, request: &[f64], candidate: &[f64], factors: &[Vec<Vec<f64>>]) -> Vec<f64> {
        let owner = |e: usize| (e / self.specific).min(self.tasks);
        let mut streams = vec![[request, candidate].concat(); self.tasks + 1];
        for (experts, gates) in &self.levels {
            let out: Vec<Vec<f64>> = experts.iter().enumerate().map(|(e, layers)| mlp(&streams[owner(e)], layers, true)).collect();
            let next = gates.iter().enumerate().map(|(k, (weight, bias))| {
                let logits = linear(&streams[k], weight, bias);
                let seen: Vec<usize> = (0..self.experts).filter(|&e| k == self.tasks || owner(e) == k || owner(e) == self.tasks).collect();
                let gate = softmax(&seen.iter().map(|&e| logits[e]).collect::<Vec<_>>());
                (0..out[0].len()).map(|o| seen.iter().zip(&gate).map(|(&e, g)| g * out[e][o]).sum()).collect()
            });
            streams = next.collect();
        }
        let tower = |k: usize| {
            let layers = &self.towers[k];
            layers.iter().enumerate().fold(streams[k].clone(), |x, (depth, (weight, bias))| {
                let factor = |unit: usize| factors.get(k).and_then(|of_task| of_task.get(depth)).map_or(1.0, |of_layer| of_layer[unit]);
                let y = linear(&x, weight, bias).into_iter().enumerate().map(|(unit, y)| y * factor(unit));
                if depth + 1 < layers.len() { y.map(|y| y.max(0.0)).collect() } else { y.collect() }
            })
        };
        (0..self.tasks).map(|k| tower(k)[0]).collect()
    }
}

/// The first level, whose experts' first layers and gates lie side by side in one product over request and candidate.
fn first_level(ple: &Ple, experts: usize, gates: usize) -> (Vec<Vec<Layer>>, Vec<Layer>) {
    let joint = parameters(&ple.first.joint);
    let outputs = joint[2].1.len();
    let columns = |from: usize, count: usize| -> Layer {
        let weight = joint[0].1.chunks(outputs).chain(joint[1].1.chunks(outputs)).flat_map(|row| row[from..from + count].to_vec());
        (weight.collect(), joint[2].1[from..from + count].to_vec())
    };
    let width = (outputs - gates * experts) / experts;
    let rest = |e: usize| ple.first.experts.as_ref().map_or(Vec::new(), |mlp| layers(mlp, e));
    (
        (0..experts).map(|e| [vec![columns(e * width, width)], rest(e)].concat()).collect(),
        (0..gates).map(|g| columns(experts * width + g * experts, experts)).collect(),
    )
}

/// `sigmoid(mu . v) mu` of both levels or, where a dot is negative, nothing (Eq. 6, the literal "or" of A10); and whether
/// it stopped.
pub fn equation_6(v: &[f64], mu: &[Vec<f64>; 2]) -> ([Vec<f64>; 2], f64) {
    weighted_unless(mu.iter().any(|mu| dot(mu, v) < 0.0), v, mu)
}

fn weighted_unless(stopped: bool, v: &[f64], mu: &[Vec<f64>; 2]) -> ([Vec<f64>; 2], f64) {
    let weight = |mu: &[f64]| if stopped { 0.0 } else { sigmoid(dot(mu, v)) };
    (mu.clone().map(|mu| mu.iter().map(|x| weight(&mu) * x).collect()), f64::from(u8::from(stopped)))
}

fn normed(x: &[f64]) -> Vec<f64> {
    let size = (dot(x, x) / x.len() as f64 + 1e-6).sqrt();
    x.iter().map(|x| x / size).collect()
}

/// One side's enhancement.
#[derive(Clone)]
pub struct EnhancementOracle {
    /// By gate: hidden and outer layer.
    pub gates: Vec<[Layer; 2]>,
    /// By vector: `m` scales, then that of the fit on a side that is fitted.
    pub scale: Vec<Vec<f64>>,
    /// By vector its running mean, then that of the other side's vectors.
    pub means: Vec<Vec<f64>>,
}

impl EnhancementOracle {
    /// What a module holds, and its running means, of which there may be none.
    pub fn new(enhancement: &Enhancement, means: Option<&Means>) -> Self {
        let mut all = parameters(enhancement);
        let scale = enhancement.scale.as_ref().and_then(|_| all.pop());
        let gates = (0..all.first().map_or(0, |(shape, _)| shape[0])).map(|g| {
            let [hidden, out]: [Layer; 2] = stack(&all, g).try_into().expect("two layers");
            [hidden, out]
        });
        let rows_of = |means: &Means| chunks(block_on(read(means.rows())), means.rows().dims()[1]);
        Self {
            gates: gates.collect(),
            scale: scale.map_or(Vec::new(), |(shape, scale)| chunks(scale, shape[2])),
            means: means.map_or(Vec::new(), rows_of),
        }
    }

    /// Gate NU: `2 sigmoid(relu(z W + b) W' + b')`, `z = [raw; personal]`.
    pub fn delta(&self, gate: usize, raw: &[f64], personal: &[f64]) -> Vec<f64> {
        let [hidden, out] = &self.gates[gate];
        let z = [raw, personal].concat();
        let x: Vec<f64> = linear(&z, &hidden.0, &hidden.1).into_iter().map(|x| x.max(0.0)).collect();
        linear(&x, &out.0, &out.1).into_iter().map(|x| 2.0 * sigmoid(x)).collect()
    }

    /// The vectors `[vectors * m]` and their fits to `other` `[vectors]`, none on a side that is not fitted. The gates see `z`, which is
    /// `raw` but for the gradient: theirs is stopped. Dropout leaves nothing. Without a scale vectors enter as they are.
    pub fn forward(&self, raw: &[Vec<f64>], z: &[Vec<f64>], personal: &[f64], other: &[f64], is_dropped: bool) -> (Vec<f64>, Vec<f64>) {
        let (mut vectors, mut fits) = (Vec::new(), Vec::new());
        let nothing = vec![0.0; other.len()];
        let of_other = self.means.last().unwrap_or(&nothing);
        let other = normed(&other.iter().zip(of_other).map(|(x, mean)| x - mean).collect::<Vec<_>>());
        for (index, (raw, z)) in raw.iter().zip(z).enumerate() {
            let delta = if index < self.gates.len() { self.delta(index, z, personal) } else { vec![1.0; raw.len()] };
            let e: Vec<f64> = delta.iter().zip(raw).map(|(d, x)| d * x).collect();
            let open = !is_dropped && e.iter().any(|&x| x != 0.0);
            let means = self.means.get(index).unwrap_or(&nothing);
            let e: Vec<f64> = e.iter().zip(means).map(|(x, mean)| if open { x - mean } else { 0.0 }).collect();
            if self.scale.is_empty() {
                vectors.extend(e);
                continue;
            }
            let e = normed(&e);
            fits.extend(self.scale[index].get(e.len()).map(|scale| scale * dot(&e, &other) / e.len() as f64));
            vectors.extend(e.iter().zip(&self.scale[index]).map(|(e, s)| e * s));
        }
        (vectors, fits)
    }
}

/// One window of a stack: how a candidate looks at it.
#[derive(Clone)]
pub struct AttentionOracle {
    /// To the query, or to the hidden units.
    candidate: Layer,
    /// The activation unit, row by row; none in attention.
    unit: Option<Rows>,
    places: Vec<f64>,
    kinds: Vec<f64>,
}

/// A behaviour of a window: its place, what was done, and its vector.
pub type Past = (usize, usize, Vec<f64>);

impl AttentionOracle {
    /// What a module holds of a window of its stack.
    pub fn new(module: &TargetAttention, level: usize) -> Self {
        let all = parameters(module);
        let own = |(shape, values): &(Vec<usize>, Vec<f64>)| {
            let length = values.len() / shape[0];
            values[level * length..][..length].to_vec()
        };
        let unit = (all.len() == 5).then(|| chunks(own(&all[2]), all[2].0[2]));
        Self { candidate: (own(&all[0]), own(&all[1])), unit, places: own(&all[all.len() - 2]), kinds: own(&all[all.len() - 1]) }
    }

    /// A number of the module's parameters, in their order.
    pub fn value(&mut self, part: usize, at: usize) -> &mut f64 {
        match (part, &mut self.unit) {
            (0, _) => &mut self.candidate.0[at],
            (1, _) => &mut self.candidate.1[at],
            (2, Some(unit)) => {
                let columns = unit[0].len();
                &mut unit[at / columns][at % columns]
            }
            (2, None) | (3, Some(_)) => &mut self.places[at],
            _ => &mut self.kinds[at],
        }
    }

    /// What a candidate reads in a window; nothing in an empty one.
    pub fn read(&self, candidate: &[f64], window: &[Past]) -> Vec<f64> {
        let asked = linear(candidate, &self.candidate.0, &self.candidate.1);
        let bias = |(place, kind, _): &Past| self.places[*place] + self.kinds[*kind];
        let d = candidate.len();
        let weights: Vec<f64> = match &self.unit {
            None => {
                let logits: Vec<f64> = window.iter().map(|past| dot(&asked, &past.2) / (d as f64).sqrt() + bias(past)).collect();
                softmax(&logits)
            }
            Some(unit) => {
                let hidden =
                    |b: &[f64], a: usize| asked[a] + (0..d).map(|k| b[k] * unit[k][a] + candidate[k] * b[k] * unit[d + k][a]).sum::<f64>();
                let weight = |past: &Past| (0..asked.len()).map(|a| hidden(&past.2, a).max(0.0) * unit[2 * d][a]).sum::<f64>();
                window.iter().map(|past| weight(past) + bias(past)).collect()
            }
        };
        (0..d).map(|k| weights.iter().zip(window).map(|(weight, past)| weight * past.2[k]).sum()).collect()
    }
}

/// Two levels of centres.
#[derive(Clone)]
pub struct Centres {
    levels: Levels,
    /// Level 1, then the children of each in turn.
    pub rows: Vec<Vec<f64>>,
    /// Running mean of the vectors of the centres' side.
    mean: Vec<f64>,
    /// What the search and the sign test take out of vectors of the centres' own side, and what of the other side's.
    means: [Vec<f64>; 2],
    similarity: Similarity,
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

impl Centres {
    /// What a memory holds.
    pub fn new(memory: &Memory) -> Self {
        let m = memory.centres().dims()[1];
        let none = vec![0.0; m];
        let mean = block_on(read(memory.mean()));
        Self {
            levels: memory.levels(),
            rows: chunks(block_on(read(memory.centres())), m),
            mean,
            means: [none.clone(), none],
            similarity: Similarity::Cosine,
        }
    }

    /// The same as a configuration has them searched.
    pub fn searched(self, config: &Config, others: Option<&Means>) -> Self {
        let own = Self { similarity: config.similarity, ..self };
        if config.centred { own.centred(others) } else { own }
    }

    /// The same with running means taken out: that of the vectors that clustered, and the other side's.
    pub fn centred(self, others: Option<&Means>) -> Self {
        let [_, other] = &self.means;
        let others = others.map_or(other.clone(), |means| block_on(read(means.of_others())));
        Self { means: [self.mean.clone(), others], ..self }
    }

    /// Rows of the most similar first-level centre by cosine, or by dot product, and of the most similar of its own children (Eq. 2, 3).
    pub fn nearest(&self, v: &[f64]) -> [usize; 2] {
        self.search(&minus(v, &self.means[0]))
    }

    fn search(&self, v: &[f64]) -> [usize; 2] {
        let similarity = |row: usize| {
            let mu = minus(&self.rows[row], &self.means[0]);
            let length = if self.similarity == Similarity::Cosine { dot(&mu, &mu).sqrt() } else { 1.0 };
            dot(v, &mu) / length
        };
        let best = |rows: std::ops::Range<usize>| rows.max_by(|&a, &b| similarity(a).total_cmp(&similarity(b))).expect("centres");
        let parent = best(0..self.levels.first);
        let children = self.levels.first + parent * self.levels.children;
        [parent, best(children..children + self.levels.children)]
    }

    /// Both chosen centres.
    pub fn chosen(&self, v: &[f64]) -> [Vec<f64>; 2] {
        self.nearest(v).map(|row| self.rows[row].clone())
    }

    /// Both centres that a vector of the other side finds (Eq. 7, 8).
    pub fn sought(&self, v: &[f64]) -> [Vec<f64>; 2] {
        self.search(&minus(v, &self.means[1])).map(|row| self.rows[row].clone())
    }

    /// Whether neither of two centres is negatively correlated with a vector of their side (A10).
    pub fn agree(&self, mu: &[Vec<f64>; 2], v: &[f64]) -> bool {
        mu.iter().all(|mu| dot(&minus(mu, &self.means[0]), &minus(v, &self.means[0])) >= 0.0)
    }

    /// A centre as a candidate looks at it: as the search sees it, and of length root `m`.
    fn looked_at(&self, row: usize) -> Vec<f64> {
        normed(&minus(&self.rows[row], &self.means[0]))
    }

    /// Rows of what was given level-2 centre `child`: its parent's and its own.
    fn rows_of(&self, child: usize) -> [usize; 2] {
        [child / self.levels.children, self.levels.first + child]
    }

    /// The mean step of A4 over the vectors that take part, and Eq. 4 and 5 before it.
    pub fn step(&self, vectors: &[Vec<f64>], takes_part: &[bool], weight: f64) -> (Vec<Vec<f64>>, [f64; 2]) {
        let taking: Vec<(&Vec<f64>, [usize; 2])> =
            vectors.iter().zip(takes_part).filter(|(_, part)| **part).map(|(v, _)| (v, self.nearest(v))).collect();
        let (mut rows, mut loss) = (self.rows.clone(), [0.0; 2]);
        for (row, after) in rows.iter_mut().enumerate() {
            let level = usize::from(row >= self.levels.first);
            let members: Vec<&Vec<f64>> = taking.iter().filter(|(_, chosen)| chosen[level] == row).map(|(v, _)| *v).collect();
            let mu = &self.rows[row];
            for v in &members {
                let sigma = sigmoid(dot(v, mu));
                for k in 0..mu.len() {
                    after[k] += 2.0 * weight * sigma * (v[k] - mu[k]) / members.len() as f64;
                }
                loss[level] += sigma * v.iter().zip(mu).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / taking.len() as f64;
            }
        }
        (rows, loss)
    }
}

/// A positive that may reach a memory: whose memory, their vector, and the vector that seeks centres.
pub struct Seeking {
    pub owner: usize,
    pub vector: Vec<f64>,
    pub seeker: Vec<f64>,
}

/// UPBE: `rows` `[mu_1 | mu_2 | touches]` after a step's positives (Eq. 7 to 10, A13, A14), and Eq. 9 and 10 before it.
/// With `averages` the first touches make the mean of what they meet. `mean` moves a twentieth towards the memories that were
/// touched again.
pub fn behave(
    rows: &[Vec<f64>],
    mean: &mut [f64],
    centres: &Centres,
    positives: &[Seeking],
    lambda: f64,
    averages: bool,
) -> (Vec<Vec<f64>>, [f64; 2]) {
    let chosen: Vec<(usize, [Vec<f64>; 2])> = positives
        .iter()
        .map(|p| (p.owner, p, centres.sought(&p.seeker)))
        .filter(|(_, p, mu)| centres.agree(mu, &p.vector))
        .map(|(owner, _, mu)| (owner, mu))
        .collect();
    pull(rows, mean, &chosen, lambda, averages)
}

/// The same without clusters: each positive pulls the vector of its item, on both levels.
pub fn live(rows: &[Vec<f64>], mean: &mut [f64], positives: &[Seeking], lambda: f64) -> (Vec<Vec<f64>>, [f64; 2]) {
    let taken: Vec<(usize, [Vec<f64>; 2])> = positives.iter().map(|p| (p.owner, [p.seeker.clone(), p.seeker.clone()])).collect();
    pull(rows, mean, &taken, lambda, true)
}

fn pull(rows: &[Vec<f64>], mean: &mut [f64], chosen: &[(usize, [Vec<f64>; 2])], lambda: f64, averages: bool) -> (Vec<Vec<f64>>, [f64; 2]) {
    let again: Vec<&Vec<f64>> = chosen.iter().map(|(owner, _)| &rows[*owner]).filter(|row| row[mean.len()] > 0.0).collect();
    for (k, mean) in mean.iter_mut().enumerate().filter(|_| !again.is_empty()) {
        *mean += 0.05 * (again.iter().map(|row| row[k]).sum::<f64>() / again.len() as f64 - *mean);
    }
    let (mut after, mut loss) = (rows.to_vec(), [0.0; 2]);
    for (owner, row) in rows.iter().enumerate() {
        let own: Vec<&[Vec<f64>; 2]> = chosen.iter().filter(|(other, _)| *other == owner).map(|(_, mu)| mu).collect();
        if own.is_empty() {
            continue;
        }
        let m = row.len() / 2;
        for level in 0..2 {
            let memory = &row[level * m..][..m];
            let mut move_by = vec![0.0; m];
            for mu in own.iter().map(|mu| &mu[level]) {
                let sigma = sigmoid(dot(mu, memory));
                loss[level] += sigma * mu.iter().zip(memory).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / chosen.len() as f64;
                let least = if averages { 1.0 / (row[2 * m] + 1.0) } else { 0.0 };
                let rate = f64::max(2.0 * lambda * sigma, least);
                (0..m).for_each(|k| move_by[k] += rate * (mu[k] - memory[k]) / own.len() as f64);
            }
            after[owner][level * m..][..m].iter_mut().zip(move_by).for_each(|(x, by)| *x += by);
        }
        after[owner][2 * m] += 1.0;
    }
    (after, loss)
}

/// What the model says of a batch.
pub struct Told {
    /// `[tasks]` by sample.
    pub logits: Vec<Vec<f64>>,
    /// By request.
    pub v_user: Vec<Vec<f64>>,
    /// By sample.
    pub v_item: Vec<Vec<f64>>,
}

/// Everything that a ranker holds. Centres are compared by cosine, and no re-seeding has made an item forget its centre.
#[derive(Clone)]
pub struct Oracle {
    vocabulary: Vocabulary,
    config: Config,
    variant: duia::variants::Variant,
    embeddings: Vec<Vec<f64>>,
    pub user_vectors: Vec<Vec<f64>>,
    pub item_vectors: Vec<Vec<f64>>,
    ple: std::rc::Rc<PleOracle>,
    towers: [Vec<Layer>; 2],
    transfer: Vec<Layer>,
    history: Option<AttentionOracle>,
    /// By level.
    uhse: Vec<AttentionOracle>,
    /// Vectors of the planted groups of users and of items, and what the former think of the latter.
    told: [Rows; 3],
    /// Clusters by evidence.
    pub evidence: Option<EvidenceOracle>,
    /// POSO by task and tower layer: hidden and outer layer of the gate.
    poso: Vec<Vec<[Layer; 2]>>,
    users: Option<EnhancementOracle>,
    items: Option<EnhancementOracle>,
    pub user_centres: Option<Centres>,
    pub item_centres: Option<Centres>,
    pub user_behaviours: Vec<Vec<f64>>,
    pub item_behaviours: Vec<Vec<f64>>,
    /// Running means of the memories of both sides.
    pub behaviour_means: [Vec<f64>; 2],
    /// By item: level-2 centre and the step at which it was given.
    pub assignments: Vec<Vec<f64>>,
    /// By item: level-2 user centre and step of each of its last consumers, the last first.
    pub consumers: Vec<Vec<f64>>,
    /// By user centre: what it has taken.
    user_hits: Vec<f64>,
    /// By sample: whether dropout takes the vectors of its user and of its item; empty outside training.
    dropped: Vec<[bool; 2]>,
}

impl Oracle {
    /// What a ranker holds now.
    pub fn new(ranker: &Ranker, run: &Config, vocabulary: Vocabulary) -> Self {
        let config = &run.of(ranker.variant());
        let m = config.memory_width();
        let table = |side: Side| ranker.tables().find(|table| table.side() == side).map(|table| &table.rows);
        let behaviours = |side: Side| ranker.parts::<Upbe>().find(|upbe| upbe.side() == side).map(Upbe::behaviours);
        let enhancement = |side: Side| ranker.parts::<EnhancementOf>().find(|enhancement| enhancement.side() == side);
        let means = |side: Side| enhancement(side).and_then(EnhancementOf::means);
        let entered = |side: Side| {
            let shown = means(side).filter(|_| config.enhancement_centred);
            enhancement(side).map(|enhancement| EnhancementOracle::new(enhancement.module(), shown))
        };
        let weights = |table: Option<&duia::model::layers::table::RowTable>, width: usize| -> Vec<Vec<f64>> {
            table.map_or(Vec::new(), |table| block_on(read(table.rows())).chunks(3 * width).map(|row| row[..width].to_vec()).collect())
        };
        let memories = |side: Side| behaviours(side).map_or(Vec::new(), |b| chunks(block_on(read(b.rows())), 2 * m + 1));
        let towers = ranker.parts::<AuxiliaryModel>().next().map_or(Vec::new(), |model| stack(&parameters(model.towers()), 0));
        let (user, item) = towers.split_at(towers.len() / 2);
        let centres = |side: Side| {
            let memory = ranker.memory(side).filter(|memory| memory.is_filled())?;
            Some(Centres::new(memory).searched(config, means(side)))
        };
        Self {
            vocabulary,
            config: config.clone(),
            variant: ranker.variant(),
            embeddings: weights(Some(ranker.embeddings()), config.embedding),
            user_vectors: weights(table(Side::Users), m),
            item_vectors: weights(table(Side::Items), m),
            ple: PleOracle::new(ranker.ple(), config.specific_experts, config.shared_experts).into(),
            towers: [user.to_vec(), item.to_vec()],
            transfer: ranker.parts::<TransferLearning>().next().map_or(Vec::new(), |learning| stack(&parameters(learning.module()), 0)),
            poso: ranker.parts::<PosoTowers>().next().map_or(Vec::new(), |poso| {
                let gates = |task: usize| poso.module().gates.iter().map(move |gate| [layer(&gate.hidden, task), layer(&gate.out, task)]);
                (0..TASKS).map(|task| gates(task).collect()).collect()
            }),
            history: ranker.parts::<History>().next().map(|history| AttentionOracle::new(history.module(), 0)),
            uhse: ranker.parts::<Uhse>().next().map_or(Vec::new(), |uhse| (0..2).map(|l| AttentionOracle::new(uhse.module(), l)).collect()),
            told: {
                let rows = |(shape, values): (Vec<usize>, Vec<f64>)| chunks(values, shape[2]);
                let users = ranker.parts::<UserGroup>().next().map(|told| rows(parameters(told.module()).remove(0)));
                let items = ranker.parts::<ItemGroup>().next().map(|told| parameters(told.module()).into_iter().map(rows));
                let mut items = items.map_or(Vec::new(), Iterator::collect).into_iter();
                [users.unwrap_or_default(), items.next().unwrap_or_default(), items.next().unwrap_or_default()]
            },
            evidence: ranker.parts::<Evidence>().next().map(EvidenceOracle::new),
            users: entered(Side::Users),
            items: entered(Side::Items),
            user_centres: centres(Side::Users),
            item_centres: centres(Side::Items),
            user_behaviours: memories(Side::Users),
            item_behaviours: memories(Side::Items),
            behaviour_means: [Side::Users, Side::Items].map(|side| behaviours(side).map_or(Vec::new(), |b| block_on(read(b.mean())))),
            assignments: ranker.parts::<Uhse>().next().map(Uhse::assignments).map_or(Vec::new(), |a| chunks(block_on(read(a.rows())), 2)),
            consumers: ranker
                .parts::<Consumers>()
                .next()
                .map(Consumers::assignments)
                .map_or(Vec::new(), |c| chunks(block_on(read(c.rows())), 2 * config.consumers)),
            user_hits: ranker.memory(Side::Users).map_or(Vec::new(), |memory| block_on(read(memory.hits()))),
            dropped: Vec::new(),
        }
    }

    /// How candidates look at the window, at its level-1 centres or at its level-2 centres.
    pub fn attention(&mut self, of: usize) -> &mut AttentionOracle {
        match of {
            0 => self.history.as_mut().expect("a history"),
            level => &mut self.uhse[level - 1],
        }
    }

    /// The same for a batch that trains, with its dropout where it has any.
    pub fn with_dropout(self, kept: &Kept) -> Self {
        if self.config.enhancement_dropout == 0.0 {
            return self;
        }
        let (users, items) = (block_on(read(kept.users.clone())), block_on(read(kept.items.clone())));
        let candidates = items.len() / users.len();
        Self { dropped: items.iter().enumerate().map(|(s, &item)| [users[s / candidates] == 0.0, item == 0.0]).collect(), ..self }
    }

    fn embedding(&self, row: u32) -> &[f64] {
        &self.embeddings[row as usize]
    }

    /// Item and category.
    fn candidate_fields(&self, item: u32, category: u32) -> Vec<f64> {
        [self.embedding(item), self.embedding(self.vocabulary.items + category)].concat()
    }

    /// The attributes of a sample's item, zeros where one is missing.
    fn attributes(&self, batch: &Batch, s: usize) -> Vec<f64> {
        let first = self.vocabulary.items + self.vocabulary.categories + self.vocabulary.users + ACTIVITY_BUCKETS;
        let first = first + 8 * batch.profile_fields as u32;
        let vector = |field: usize| match batch.attributes[s * batch.item_fields + field] {
            NO_ROW => vec![0.0; self.config.embedding],
            value => self.embedding(first + 8 * field as u32 + value).to_vec(),
        };
        (0..batch.item_fields).flat_map(vector).collect()
    }

    /// Mean item and mean category of the newest so many of a history.
    fn newest(&self, batch: &Batch, r: usize, newest: usize) -> Vec<f64> {
        let window = r * batch.history..r * batch.history + newest;
        let pooled = |ids: &[u32], first: u32| {
            let rows: Vec<&[f64]> = ids.iter().filter(|&&id| id != NO_ROW).map(|&id| self.embedding(first + id)).collect();
            if rows.is_empty() { vec![0.0; self.config.embedding] } else { mean(&rows) }
        };
        [pooled(&batch.history_items[window.clone()], 0), pooled(&batch.history_categories[window], self.vocabulary.items)].concat()
    }

    /// User, activity and profile, the newest so many of a history, counts.
    fn with_history(&self, batch: &Batch, r: usize, newest: usize) -> Vec<f64> {
        let users = self.vocabulary.items + self.vocabulary.categories;
        let buckets = users + self.vocabulary.users;
        assert!(batch.activity[r] < ACTIVITY_BUCKETS);
        let nothing = vec![0.0; self.config.embedding];
        let profile = (0..batch.profile_fields).map(|field| match batch.profile[r * batch.profile_fields + field] {
            NO_ROW => &nothing[..],
            value => self.embedding(buckets + ACTIVITY_BUCKETS + 8 * field as u32 + value),
        });
        let own: Vec<&[f64]> =
            [self.embedding(users + batch.user[r]), self.embedding(buckets + batch.activity[r])].into_iter().chain(profile).collect();
        let own = own.concat();
        own.into_iter().chain(self.newest(batch, r, newest)).chain(batch.counts[r * 4..][..4].iter().map(|&x| x.into())).collect()
    }

    fn v_user(&self, batch: &Batch, r: usize) -> Vec<f64> {
        mlp(&self.with_history(batch, r, batch.history), &self.towers[0], false)
    }

    /// The vector of an item (`item_count` is off).
    pub fn v_item(&self, item: u32, category: u32) -> Vec<f64> {
        mlp(&self.candidate_fields(item, category), &self.towers[1], false)
    }

    /// Vectors and a flag of centres, or nothing before there are any.
    fn by_centres(&self, centres: &Option<Centres>, v: &[f64]) -> ([Vec<f64>; 2], f64) {
        let nothing = || ([vec![0.0; v.len()], vec![0.0; v.len()]], 0.0);
        centres.as_ref().map_or_else(nothing, |centres| {
            let mu = centres.chosen(v);
            weighted_unless(!centres.agree(&mu, v), v, &mu)
        })
    }

    /// A memory of behaviours and, the less it was touched, its owner's own centres, who is `v`; both without their means. From zero it is
    /// the memory alone.
    fn remembered(&self, side: Side, id: u32, v: &[f64]) -> [Vec<f64>; 2] {
        let (rows, mean, centres) = match side {
            Side::Users => (&self.user_behaviours, &self.behaviour_means[0], &self.user_centres),
            Side::Items => (&self.item_behaviours, &self.behaviour_means[1], &self.item_centres),
        };
        let (row, m) = (&rows[id as usize], self.config.memory_width());
        let nothing = || [vec![0.0; m], vec![0.0; m]];
        let own = centres.as_ref().map_or_else(nothing, |centres| centres.chosen(v).map(|mu| minus(&mu, &centres.mean)));
        if self.config.memory_start == MemoryStart::Zero {
            return [row[..m].to_vec(), row[m..2 * m].to_vec()];
        }
        let (memory, touches) = (minus(&row[..2 * m], mean), row[2 * m]);
        [0, 1].map(|level| (0..m).map(|k| (touches * memory[level * m + k] + own[level][k]) / (touches + 1.0)).collect())
    }

    /// UHSE: the centres of the window's items that have one, on both levels, and by them their rows.
    fn sequences(&self, batch: &Batch, r: usize) -> [Vec<(usize, Past)>; 2] {
        let Some(centres) = &self.item_centres else { return Default::default() };
        let of_level = |level: usize| {
            let entry = |h: usize| {
                let at = r * batch.history + h;
                let entry = (batch.history_items[at] != NO_ROW).then(|| &self.assignments[batch.history_items[at] as usize])?;
                let row = (entry[1] >= 0.0).then(|| centres.rows_of(entry[0] as usize)[level])?;
                Some((row, (h, batch.history_behaviours[at] as usize, centres.looked_at(row))))
            };
            (0..batch.history).filter_map(entry).collect()
        };
        [of_level(0), of_level(1)]
    }

    /// UHSE: what the candidate's own centres read in them, on both levels, and how much of them is in it.
    fn sequences_read(&self, batch: &Batch, r: usize, v_item: &[f64]) -> [(Vec<f64>, f64); 2] {
        let nothing = (vec![0.0; self.config.memory_width()], 0.0);
        let Some(centres) = &self.item_centres else { return [nothing.clone(), nothing] };
        let (own, sequences) = (centres.nearest(v_item), self.sequences(batch, r));
        [0, 1].map(|level| {
            let window: Vec<Past> = sequences[level].iter().map(|(_, past)| past.clone()).collect();
            let own = centres.looked_at(own[level]);
            let read = self.uhse[level].read(&own, &window);
            let shared = dot(&read, &own) / own.len() as f64;
            (read, shared)
        })
    }

    /// What the candidate reads in the window, and how much of its item and of its category is in it.
    fn window_read(&self, batch: &Batch, r: usize, candidate: &[f64]) -> (Vec<f64>, [f64; 2]) {
        let places = (0..batch.history).map(|h| (h, r * batch.history + h)).filter(|(_, at)| batch.history_items[*at] != NO_ROW);
        let past = |(h, at): (usize, usize)| {
            (h, batch.history_behaviours[at] as usize, self.candidate_fields(batch.history_items[at], batch.history_categories[at]))
        };
        let read = self.history.as_ref().expect("a history").read(candidate, &places.map(past).collect::<Vec<_>>());
        let d = self.config.embedding;
        let shared = [0, 1].map(|field| dot(&read[field * d..][..d], &candidate[field * d..][..d]));
        (read, shared)
    }

    /// The share of the window's centres that are the candidate's own, on both levels.
    fn shares_of_history(&self, batch: &Batch, r: usize, v_item: &[f64]) -> [f64; 2] {
        let Some(centres) = &self.item_centres else { return [0.0; 2] };
        let (own, sequences) = (centres.nearest(v_item), self.sequences(batch, r));
        let share = |level: usize| sequences[level].iter().filter(|(row, _)| *row == own[level]).count() as f64;
        [0, 1].map(|level| share(level) / sequences[level].len().max(1) as f64)
    }

    /// The share of an item's last consumers in the user's own clusters above chance, on both levels.
    fn shares_of_consumers(&self, item: u32, v_user: &[f64]) -> [f64; 2] {
        let Some(centres) = &self.user_centres else { return [0.0; 2] };
        let places = self.consumers[item as usize].chunks(2).filter(|place| place[1] >= 0.0);
        let consumers: Vec<[usize; 2]> = places.map(|place| centres.rows_of(place[0] as usize)).collect();
        let own = centres.nearest(v_user);
        let hits: f64 = self.user_hits[..centres.levels.first].iter().sum();
        [0, 1].map(|level| {
            let chance = self.user_hits[own[level]] / hits.max(0.5);
            let there = consumers.iter().filter(|rows| rows[level] == own[level]).count() as f64;
            (there - consumers.len() as f64 * chance) / (consumers.len() as f64 + 2.0)
        })
    }

    /// The share of a whole history that is the candidate's own item and own category.
    fn raw_shares(batch: &Batch, r: usize, s: usize) -> [f64; 2] {
        let window = r * batch.history..(r + 1) * batch.history;
        [(&batch.history_items, batch.item[s]), (&batch.history_categories, batch.category[s])].map(|(history, own)| {
            let known: Vec<u32> = history[window.clone()].iter().copied().filter(|&id| id != NO_ROW).collect();
            known.iter().filter(|&&id| id == own).count() as f64 / known.len().max(1) as f64
        })
    }

    /// The enhancement vectors of a user before the gates, and their flags.
    fn vectors_of_user(&self, batch: &Batch, r: usize, v: &[f64]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let has = |component: &str| self.variant.has(component);
        let (mut all, mut flags) = (Vec::new(), Vec::new());
        let mut add = |(vectors, flag): ([Vec<f64>; 2], Option<f64>)| {
            all.extend(vectors);
            flags.extend(flag);
        };
        let flagged = |(vectors, flag)| (vectors, Some(flag));
        if has("uie") {
            add(flagged(self.by_centres(&self.user_centres, v)));
        }
        if has("own-vector") {
            add(flagged(equation_6(v, &[v.to_vec(), v.to_vec()])));
        }
        if has("upbe") || has("life") {
            add((self.remembered(Side::Users, batch.user[r], v), None));
        }
        if has("uhse") {
            flags.push(f64::from(u8::from(!self.sequences(batch, r)[0].is_empty())));
        }
        (all, flags)
    }

    /// The enhancement vectors of a candidate before the gates, and their flag.
    fn vectors_of_item(&self, batch: &Batch, s: usize, v: &[f64]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let (mut all, mut flags) = (Vec::new(), Vec::new());
        if self.variant.has("item-uie") {
            let (raw, stopped) = self.by_centres(&self.item_centres, v);
            all.extend(raw);
            all.extend(self.remembered(Side::Items, batch.item[s], v));
            flags.push(stopped);
        }
        if self.variant.has("uhse") {
            all.extend(self.sequences_read(batch, s / batch.candidates, v).map(|(read, _)| read));
        }
        (all, flags)
    }

    /// The features of a request and of one of its candidates.
    fn features(&self, batch: &Batch, r: usize, s: usize, v_user: &[f64], v_item: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let has = |component: &str| self.variant.has(component);
        let (user, item) = (batch.user[r], batch.item[s]);
        let [from_user, from_item] = self.dropped.get(s).copied().unwrap_or_default();
        let mut request = self.with_history(batch, r, 1);
        let mut candidate = self.candidate_fields(item, batch.category[s]);
        let fields = candidate.clone();
        candidate.extend(self.attributes(batch, s));
        if has("history") {
            let (read, shared) = self.window_read(batch, r, &fields);
            candidate.extend(read.into_iter().chain(shared));
        }
        if let Some(truth) = batch.truth.as_ref().filter(|_| self.variant.is_told()) {
            let one_hot = |group: u32, groups: usize| (0..groups as u32).map(|other| f64::from(u8::from(other == group))).collect();
            let posterior = truth.posterior[r * truth.groups..][..truth.groups].iter().map(|&p| f64::from(p)).collect();
            let known: Vec<f64> = if has("told-posterior") { posterior } else { one_hot(truth.group[r], truth.groups) };
            let expected =
                |rows: &Rows| -> Vec<f64> { (0..rows[0].len()).map(|k| known.iter().zip(rows).map(|(p, x)| p * x[k]).sum()).collect() };
            let vector = expected(&self.told[0]);
            let d = self.config.embedding;
            candidate.extend([0, 1].map(|field| dot(&vector[field * d..][..d], &fields[field * d..][..d])));
            request.extend(vector);
            if has("told-item-group") {
                let group = truth.item_group[s] as usize;
                candidate.extend(&self.told[1][group]);
                candidate.push(expected(&self.told[2])[group]);
            }
        }
        if has("wide") {
            request.extend(&self.user_vectors[user as usize]);
        }
        if has("transfer") {
            let low = f64::from(u8::from(batch.low_active[r]));
            let (lead, tower) = self.transfer.split_last().expect("the lead");
            let v = mlp(&self.with_history(batch, r, batch.history), tower, false);
            request.extend(linear(&v, &lead.0, &lead.1).into_iter().map(|x| x * low));
        }
        if has("mean-history") {
            request.extend(self.newest(batch, r, batch.history));
        }
        if has("shares") {
            candidate.extend(Self::raw_shares(batch, r, s));
        }
        if has("uhse") {
            candidate.extend(self.sequences_read(batch, r, v_item).map(|(_, shared)| shared));
        }
        if has("cluster-shares") {
            candidate.extend(self.shares_of_history(batch, r, v_item));
        }
        if let Some(evidence) = &self.evidence {
            candidate.extend(evidence.matches(batch, s));
        }
        let personal = |table: &[Vec<f64>], id: u32| table.get(id as usize).cloned().unwrap_or_default();
        if let Some(users) = &self.users {
            let (raw, flags) = self.vectors_of_user(batch, r, v_user);
            let (vectors, fits) = users.forward(&raw, &raw, &personal(&self.user_vectors, user), v_item, from_user);
            request.extend([vectors, flags].concat());
            candidate.extend(fits);
        } else {
            // UHSE alone has a flag and no vector of this side.
            request.extend(self.vectors_of_user(batch, r, v_user).1);
        }
        if let Some(items) = &self.items {
            let (raw, flags) = self.vectors_of_item(batch, s, v_item);
            let (vectors, fits) = items.forward(&raw, &raw, &personal(&self.item_vectors, item), v_user, from_item);
            assert!(fits.is_empty());
            candidate.extend([vectors, flags].concat());
        }
        if has("consumers") {
            candidate.extend(self.shares_of_consumers(item, v_user));
        }
        (request, candidate)
    }

    /// The enhancement vectors of each user and of each item of a batch behind the gates, and what each is fitted to.
    pub fn gated(&self, batch: &Batch, told: &Told) -> ([Vec<Rows>; 2], [Rows; 2]) {
        let gated = |side: &Option<EnhancementOracle>, raw: Rows, personal: &[f64]| -> Rows {
            let oracle = side.as_ref().expect("an enhancement");
            let delta = |index: usize, x: &[f64]| match index < oracle.gates.len() {
                true => oracle.delta(index, x, personal),
                false => vec![1.0; x.len()],
            };
            raw.iter().enumerate().map(|(index, x)| delta(index, x).iter().zip(x).map(|(d, x)| d * x).collect()).collect()
        };
        let to_user = |r: usize| {
            let (raw, _) = self.vectors_of_user(batch, r, &told.v_user[r]);
            gated(&self.users, raw, &self.user_vectors[batch.user[r] as usize])
        };
        let to_item = |s: usize| {
            let (v, item) = (&told.v_item[s], batch.item[s]);
            let (raw, _) = self.vectors_of_item(batch, s, v);
            gated(&self.items, raw, &self.item_vectors[item as usize])
        };
        let vectors = [(0..batch.requests).map(to_user).collect(), (0..batch.samples()).map(to_item).collect()];
        (vectors, [told.v_item.clone(), told.v_user.clone()])
    }

    /// The forward pass.
    pub fn tell(&self, batch: &Batch) -> Told {
        let v_user: Vec<Vec<f64>> = (0..batch.requests).map(|r| self.v_user(batch, r)).collect();
        let v_item: Vec<Vec<f64>> = (0..batch.samples()).map(|s| self.v_item(batch.item[s], batch.category[s])).collect();
        let logits = (0..batch.samples()).map(|s| {
            let r = s / batch.candidates;
            let (request, candidate) = self.features(batch, r, s, &v_user[r], &v_item[s]);
            self.ple.logits_gated(&request, &candidate, &self.tower_factors(batch, r))
        });
        Told { logits: logits.collect(), v_user, v_item }
    }

    /// POSO: `2 sigmoid(relu(x W + b) W' + b')` of a request's counts, by task and tower layer.
    fn tower_factors(&self, batch: &Batch, r: usize) -> Vec<Vec<Vec<f64>>> {
        let counts: Vec<f64> = batch.counts[r * 4..][..4].iter().map(|&x| x.into()).collect();
        let factor = |[hidden, out]: &[Layer; 2]| {
            let x: Vec<f64> = linear(&counts, &hidden.0, &hidden.1).into_iter().map(|x| x.max(0.0)).collect();
            linear(&x, &out.0, &out.1).into_iter().map(|z| 2.0 * sigmoid(z)).collect()
        };
        self.poso.iter().map(|of_task| of_task.iter().map(factor).collect()).collect()
    }

    /// The ranker's loss and that of the auxiliary model (Eq. 1 with A16).
    pub fn losses(&self, batch: &Batch, told: &Told) -> (f64, f64) {
        let n = batch.samples();
        let label = |task: usize, s: usize| f64::from(batch.labels[task * n + s]);
        let (mut mtl, mut auxiliary) = (0.0, 0.0);
        for (s, logits) in told.logits.iter().enumerate() {
            for (task, z) in logits.iter().enumerate() {
                let (y, p) = (label(task, s), sigmoid(*z));
                mtl -= (y * p.ln() + (1.0 - y) * (1.0 - p).ln()) / n as f64;
            }
            if !self.towers[0].is_empty() {
                let p = sigmoid(dot(&told.v_user[s / batch.candidates], &told.v_item[s]).clamp(-15.0, 15.0));
                let weight = 1.0 + sigmoid(logits.iter().map(|z| sigmoid(*z)).sum());
                auxiliary -= if label(0, s) > 0.5 { weight * p.ln() } else { (1.0 - p).ln() } / n as f64;
            }
        }
        (mtl, auxiliary)
    }
}

/// Clusters by evidence (A30), in plain sums and logarithms.
#[derive(Clone)]
pub struct EvidenceOracle {
    sizes: Vec<f64>,
    categories: Rows,
    items: Rows,
    lives: Rows,
    lengths: Vec<f64>,
    seen: f64,
}

impl EvidenceOracle {
    /// What a ranker holds now.
    pub fn new(evidence: &Evidence) -> Self {
        let wide = |row: &[f32]| row.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let rows = |rows: &[mixture::Row]| rows.iter().map(|row| wide(row)).collect::<Rows>();
        let mixture = evidence.mixture();
        Self {
            sizes: wide(&mixture.sizes),
            categories: rows(&mixture.categories),
            items: rows(&mixture.items),
            lives: rows(&mixture.lives),
            lengths: wide(&mixture.lengths),
            seen: mixture.seen.into(),
        }
    }

    /// All that it counts, in one list.
    pub fn counts(&self) -> Vec<f64> {
        [&self.sizes, &self.categories.concat(), &self.items.concat(), &self.lives.concat(), &self.lengths, &vec![self.seen]]
            .map(Vec::as_slice)
            .concat()
    }

    fn unit(&self) -> f64 {
        1.0 + self.seen / 5_000.0
    }

    fn share(&self, k: usize) -> f64 {
        self.sizes[k] / self.sizes.iter().sum::<f64>()
    }

    /// `p(k | category)` and `p(k | item)`.
    fn of_cluster(&self, k: usize, item: u32, category: u32) -> [f64; 2] {
        let (categories, items) = (&self.categories[category as usize], &self.items[item as usize]);
        let smoothed = |row: &[f64], prior: f64, towards: f64| (row[k] + prior * towards) / (row.iter().sum::<f64>() + prior);
        let of_category = smoothed(categories, 2.0 * self.unit(), self.share(k));
        [of_category, smoothed(items, 4.0 * self.unit(), of_category)]
    }

    fn ratio(&self, k: usize, item: u32, category: u32) -> [f64; 2] {
        self.of_cluster(k, item, category).map(|p| (p / self.share(k)).clamp(1e-4, 1e4))
    }

    fn posterior(&self, evidence: &[f64], weight: f64) -> Vec<f64> {
        softmax(&(0..evidence.len()).map(|k| self.share(k).ln() + weight * evidence[k]).collect::<Vec<_>>())
    }

    /// The evidence of behaviours, and how many there are.
    fn evidence(&self, behaviours: &[(u32, u32)]) -> (Vec<f64>, f64) {
        let sum = |k: usize| behaviours.iter().map(|&(item, category)| self.ratio(k, item, category)[1].ln()).sum();
        ((0..self.sizes.len()).map(sum).collect(), behaviours.len() as f64)
    }

    fn behaviours(batch: &Batch, r: usize) -> Vec<(u32, u32)> {
        let window = r * batch.history..(r + 1) * batch.history;
        let pairs = batch.history_items[window.clone()].iter().zip(&batch.history_categories[window]);
        pairs.map(|(&item, &category)| (item, category)).filter(|(item, _)| *item != NO_ROW).collect()
    }

    /// A user's probability of each cluster: by the present behaviours, and by their life.
    fn known(&self, batch: &Batch, r: usize) -> [Vec<f64>; 2] {
        let (behaviours, user) = (Self::behaviours(batch, r), batch.user[r] as usize);
        let (present, few) = self.evidence(&behaviours[..behaviours.len().min(3)]);
        let (window, many) = self.evidence(&behaviours);
        let life: Vec<f64> = window.iter().zip(&self.lives[user]).map(|(a, b)| a + b).collect();
        let scale = |n: f64| f64::min(1.0, 8.0 / n.max(1.0));
        [self.posterior(&present, scale(few)), self.posterior(&life, scale(many + self.lengths[user]))]
    }

    /// Columns of a candidate.
    pub fn matches(&self, batch: &Batch, s: usize) -> Vec<f64> {
        let (known, item, category) = (self.known(batch, s / batch.candidates), batch.item[s], batch.category[s]);
        let likelier =
            |pi: &[f64], level: usize| pi.iter().enumerate().map(|(k, p)| p * self.ratio(k, item, category)[level]).sum::<f64>().ln();
        known.iter().flat_map(|pi| [likelier(pi, 0), likelier(pi, 1)]).collect()
    }

    /// Stepwise EM on the positives of a batch.
    pub fn learn(&mut self, batch: &Batch) {
        for r in (0..batch.requests).filter(|&r| batch.labels[r * batch.candidates] > 0.5) {
            let (item, category) = (batch.item[r * batch.candidates], batch.category[r * batch.candidates]);
            let behaviours = Self::behaviours(batch, r);
            let own = self.evidence(&[(item, category)]).0;
            let newest = self.evidence(&behaviours[..behaviours.len().min(5)]).0;
            let both: Vec<f64> = own.iter().zip(&newest).map(|(a, b)| a + b).collect();
            let (taken, unit, user) = (self.posterior(&both, 0.7), self.unit(), batch.user[r] as usize);
            for (k, taken) in taken.into_iter().enumerate() {
                self.sizes[k] += unit * taken;
                self.categories[category as usize][k] += unit * taken;
                self.items[item as usize][k] += unit * taken;
                self.lives[user][k] = 0.95 * self.lives[user][k] + own[k];
            }
            self.lengths[user] = 0.95 * self.lengths[user] + 1.0;
            self.seen += 1.0;
        }
    }
}
