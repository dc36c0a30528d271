//! GHCA, the gradient-based hierarchical clustering of a stream (section 4.2, Eq. 2-5): two levels of centres in a
//! memory, each sample in its most similar centre and in that centre's most similar child, centres pulled towards
//! their samples.
//!
//! Every step runs on the device ([`Memory::assign`], [`Memory::learn`]). What is irregular runs on the host, on a clock
//! ([`Memory::tick`]): the first fill from sampled vectors (A6) and the re-seeding of dead centres (A7).

use burn::optim::{Adam, AdamConfig, AdamState, Optimizer};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::table::integers;
use crate::config::{CentreStart, CentreStep, Config, Similarity};
use crate::counter::{Counter, Stream};
use crate::kernels::{EPSILON, Levels, Pull, centre_pull, nearest};

/// Spread of a child around its parent where no sample of the parent was at hand (A6).
const CHILD_SPREAD: f64 = 0.05;
/// Deviation of centres that start at random, the literal reading of the paper.
const RANDOM_START: f64 = 0.01;
/// Re-seeding ends at this share of the run, so that the last centres can settle (A7).
const RESEED_UNTIL: f64 = 0.8;
/// Rounds of k-means (the sanity row of frozen centres).
const LLOYD_ROUNDS: usize = 10;
/// Weight of the newest batch in the running mean of vectors.
const MEAN_RATE: f32 = 0.05;

/// What a variant's user centres are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCentres {
    /// GHCA: two levels that follow the stream (Eq. 2-5).
    Learned,
    /// Sanity row: drawn at random once, as long as user vectors are, and never moved.
    Random,
    /// Sanity row: k-means of the user vectors at the end of the warm-up, never moved.
    KMeans,
}

/// What tells the users' memory (Eq. 2-5) from the items' (Eq. 11-14).
#[derive(Clone, Copy, Debug)]
struct Kind {
    levels: Levels,
    /// The weight of Eq. 15: rho or eta.
    weight: f64,
    /// Vectors that are expected to cluster in a step.
    per_step: f64,
    /// Sub-stream of [`Stream::Centres`].
    lane: u64,
    centres: UserCentres,
}

/// Two levels of centres, their search and their step.
pub struct Memory {
    kind: Kind,
    /// `[levels.rows(), m]`
    centres: Tensor<2>,
    /// `[levels.rows()]`: samples that each centre has taken since the start.
    hits: Tensor<1>,
    /// `[1, m]`: running mean of the vectors that clustered; zero until centres are filled.
    mean: Tensor<2>,
    adam: Adam,
    adam_state: Option<AdamState<2>>,
    filled: bool,
    clock: Clock,
    config: Config,
    device: Device,
}

/// When which level was last looked at, and what its hits were then.
#[derive(Default)]
struct Clock {
    last: [u64; 2],
    hits: [Vec<f32>; 2],
}

/// What the host sees of a memory at a tick: the last batch's vectors and the centres as that step left them.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// `[samples, m]`
    pub v: Vec<f32>,
    /// `[samples]`: whose vector each is, users or items.
    pub members: Vec<u32>,
    /// `[samples]`: whether the sample is a positive.
    pub positive: Vec<bool>,
    /// `[levels.rows(), m]`
    pub centres: Vec<f32>,
    /// `[levels.rows()]`: samples of each centre since the start.
    pub hits: Vec<f32>,
    /// `[m]`: the memory's running mean.
    pub mean: Vec<f32>,
}

/// Centres that a tick wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reseeded {
    /// Level-1 centres, whose children went with them.
    pub centres: Vec<u32>,
    /// Level-2 centres beside those.
    pub children: Vec<u32>,
    /// Whether this was the first fill.
    pub first_fill: bool,
}

/// Losses of a step, still on the device: Eq. 4 and Eq. 5, `[2]`.
pub type ClusterLosses = Tensor<1>;

impl Memory {
    /// The users' memory (Eq. 2-5). No centre is used before the first fill; centres that start at random are there from the
    /// first step on.
    pub fn users(config: &Config, centres: UserCentres, device: &Device) -> Self {
        let levels = Levels { first: config.centres, children: config.children };
        let per_step = config.cluster_share * config.batch as f64 / 2.0;
        Self::new(config, Kind { levels, weight: config.rho, per_step, lane: 0, centres }, device)
    }

    /// The items' memory (Eq. 11-14), in which every positive clusters.
    pub fn items(config: &Config, device: &Device) -> Self {
        let levels = Levels { first: config.item_centres, children: config.item_children };
        let per_step = config.batch as f64 / 2.0;
        Self::new(config, Kind { levels, weight: config.eta, per_step, lane: 1, centres: UserCentres::Learned }, device)
    }

    fn new(config: &Config, kind: Kind, device: &Device) -> Self {
        let (levels, m) = (kind.levels, config.memory_width());
        let counter = Counter::new(config.seed, Stream::Centres).lane(kind.lane);
        let random = config.centre_start == CentreStart::Random && kind.centres == UserCentres::Learned;
        let start = (0..(levels.rows() * m) as u64).map(|i| if random { (RANDOM_START * counter.normal(i)) as f32 } else { 0.0 });
        Self {
            kind,
            centres: Tensor::from_data(TensorData::new(start.collect::<Vec<_>>(), [levels.rows(), m]), device),
            hits: Tensor::zeros([levels.rows()], device),
            mean: Tensor::zeros([1, m], device),
            adam: AdamConfig::new().with_epsilon(EPSILON).build(),
            adam_state: None,
            filled: random,
            clock: Clock { last: [0; 2], hits: [vec![0.0; levels.first], vec![0.0; levels.rows() - levels.first]] },
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Whether there are centres to search.
    pub fn is_filled(&self) -> bool {
        self.filled
    }

    /// The two levels' sizes.
    pub fn levels(&self) -> Levels {
        self.kind.levels
    }

    /// Whether the centres never move once they are filled.
    fn is_frozen(&self) -> bool {
        self.kind.centres != UserCentres::Learned
    }

    /// `[levels.rows(), m]`, level 1 first.
    pub fn centres(&self) -> Tensor<2> {
        self.centres.clone()
    }

    /// `[levels.rows()]`: samples that each centre has taken.
    pub fn hits(&self) -> Tensor<1> {
        self.hits.clone()
    }

    /// `[1, m]`: the running mean of the vectors that clustered; zero until centres are filled.
    pub fn mean(&self) -> Tensor<2> {
        self.mean.clone()
    }

    /// Puts back centres, their hits `[levels.rows()]`, the running mean and whether the centres are filled. The re-seeding
    /// clocks count from `step` of the run under way.
    pub fn restore(&mut self, centres: Tensor<2>, hits: Vec<f32>, mean: Tensor<2>, filled: bool, step: u64) {
        let (first, second) = hits.split_at(self.kind.levels.first);
        self.clock = Clock { last: [step; 2], hits: [first.to_vec(), second.to_vec()] };
        self.hits = Tensor::from_data(TensorData::new(hits, [self.kind.levels.rows()]), &self.device);
        (self.centres, self.mean, self.filled, self.adam_state) = (centres, mean, filled, None);
    }

    /// `v` as the search and the sign test see it: itself, or without the running mean.
    pub fn seen(&self, v: Tensor<2>) -> Tensor<2> {
        if self.config.centred { v - self.mean.clone() } else { v }
    }

    /// Eq. 2 and 3, the second restricted to the children of the first (A8): `[samples, 2]`, see
    /// [`nearest`].
    pub fn assign(&self, v: Tensor<2>) -> Tensor<2, Int> {
        self.nearest(self.seen(v))
    }

    /// Eq. 7 and 8: the same for `seekers` `[samples, m]` of the other side, whose running mean `mean` `[1, m]` the search takes
    /// out where it takes out its own.
    pub fn sought(&self, seekers: Tensor<2>, mean: Option<Tensor<2>>) -> Tensor<2, Int> {
        self.nearest(match mean.filter(|_| self.config.centred) {
            Some(mean) => seekers - mean,
            None => seekers,
        })
    }

    fn nearest(&self, seen: Tensor<2>) -> Tensor<2, Int> {
        let kind = integers(vec![0], &self.device);
        nearest(seen, self.seen(self.centres.clone()), kind, self.kind.levels, self.config.similarity == Similarity::Cosine)
    }

    /// Rows of [`Memory::centres`] for assignments `[samples, 2]`: both levels, `[2 * samples]`, level 1 first.
    pub fn rows_of(&self, assigned: &Tensor<2, Int>) -> Tensor<1, Int> {
        let [samples, _] = assigned.dims();
        let parents = assigned.clone().slice([0..samples, 0..1]);
        let children = assigned.clone().slice([0..samples, 1..2]) + self.kind.levels.first as i32;
        Tensor::cat(vec![parents, children], 0).reshape([2 * samples])
    }

    /// The chosen centres of both levels, `[2, samples, m]`.
    pub fn chosen(&self, rows: Tensor<1, Int>) -> Tensor<3> {
        let [_, m] = self.centres.dims();
        let samples = rows.dims()[0] / 2;
        self.centres.clone().select(0, rows).reshape([2, samples, m])
    }

    /// One step of the centres (A4) from vectors `v` `[samples, m]` that were `assigned` before the step; only samples
    /// whose `clustered` `[samples]` is 1 and not 0 take part. `ranker` is the gradient of the ranker's loss in the
    /// centres, where the configuration lets it through (A3). Of frozen centres only the running mean learns, so that they are
    /// searched as all others are.
    pub fn learn(
        &mut self,
        v: Tensor<2>,
        assigned: Tensor<2, Int>,
        clustered: Tensor<1>,
        ranker: Option<Tensor<2>>,
    ) -> Option<ClusterLosses> {
        self.follow(&v, &clustered);
        if self.is_frozen() {
            return None;
        }
        let (first, rows) = (self.kind.levels.first, self.kind.levels.rows());
        let Pull { towards, count, loss } =
            centre_pull(v, self.centres.clone(), assigned, clustered, self.kind.levels, self.config.sigma_in_graph);
        let samples = count.clone().slice([0..first]).sum().clamp_min(1.0);
        self.hits = self.hits.clone() + count.clone();
        let rate = 2.0 * self.kind.weight;
        let batch_mean = |towards: Tensor<2>| towards * rate / samples.clone().unsqueeze_dim(1);
        let learning_rate = self.config.learning_rate;
        self.centres = match self.config.centre_step {
            CentreStep::Mean => self.centres.clone() + towards * rate / count.clamp_min(1.0).unsqueeze_dim(1),
            CentreStep::Sgd => self.centres.clone() + batch_mean(towards) * learning_rate,
            CentreStep::Adam => {
                let (centres, state) =
                    self.adam.step(learning_rate, self.centres.clone(), batch_mean(towards).neg(), self.adam_state.take());
                self.adam_state = state;
                centres
            }
        };
        if let Some(gradient) = ranker {
            self.centres = self.centres.clone() - gradient * learning_rate;
        }
        Some(Tensor::cat(vec![loss.clone().slice([0..first]).sum(), loss.slice([first..rows]).sum()], 0) / samples)
    }

    /// Moves the running mean towards that of the vectors `v` `[samples, m]` that clustered; where none did it stays.
    fn follow(&mut self, v: &Tensor<2>, clustered: &Tensor<1>) {
        let count: Tensor<2> = clustered.clone().sum().unsqueeze();
        let sum = clustered.clone().unsqueeze_dim::<2>(0).matmul(v.clone());
        let away = sum - self.mean.clone() * count.clone();
        self.mean = self.mean.clone() + away * (count.clamp_min(1.0).recip() * MEAN_RATE);
    }

    /// Whether the clock wants an [`Observation`] at this step of `total`.
    pub fn is_due(&self, step: u64, total: u64) -> bool {
        if !self.filled {
            return step >= self.config.warm_up_steps(total);
        }
        self.config.reseed
            && !self.is_frozen()
            && (step as f64) < RESEED_UNTIL * total as f64
            && (0..2).any(|level| self.span_over(level, step))
    }

    /// A level-2 centre has the share of its parent divided by `children`: its span is that much longer.
    fn span_over(&self, level: usize, step: u64) -> bool {
        let levels = self.kind.levels;
        let span = (self.config.reseed_expect * levels.first as f64 / self.kind.per_step).ceil() as u64;
        step >= self.clock.last[level] + span.max(1) * if level == 0 { 1 } else { levels.children as u64 }
    }

    /// The host's part: the first fill, or re-seeding centres that took no sample since their level was last looked at.
    pub fn tick(&mut self, step: u64, total: u64, seen: &Observation) -> Option<Reseeded> {
        if !self.is_due(step, total) {
            return None;
        }
        let counter = Counter::new(self.config.seed, Stream::Centres).lane(self.kind.lane).lane(step);
        let mut seeds = Seeds::new(seen, self.kind.levels, &self.config, counter);
        let reseeded = if self.filled { self.reseed(step, seen, &mut seeds) } else { self.fill(step, seen, &mut seeds) };
        if reseeded.centres.is_empty() && reseeded.children.is_empty() {
            return None;
        }
        self.centres = Tensor::from_data(TensorData::new(seeds.centres, self.centres.dims()), &self.device);
        Some(reseeded)
    }

    fn fill(&mut self, step: u64, seen: &Observation, seeds: &mut Seeds) -> Reseeded {
        self.filled = true;
        // From here on the search takes it out, so it starts at what the centres are made of: started at zero, it moved what was
        // nearest for sixty steps.
        let mean = seeds.candidate_mean();
        self.mean = Tensor::from_data(TensorData::new(mean.clone(), [1, mean.len()]), &self.device);
        seeds.look_around(mean);
        self.restart(0, step, seen);
        self.restart(1, step, seen);
        let centres: Vec<u32> = (0..self.kind.levels.first as u32).collect();
        match self.kind.centres {
            UserCentres::Random => seeds.scatter(),
            UserCentres::Learned | UserCentres::KMeans => {
                // Parents first, all of them: a child takes the vectors that fall in its parent, which needs every parent.
                centres.iter().for_each(|&centre| seeds.plant_parent(centre));
                if self.kind.centres == UserCentres::KMeans {
                    seeds.settle_parents();
                }
                centres.iter().for_each(|&centre| seeds.plant_children(centre));
                if self.kind.centres == UserCentres::KMeans {
                    seeds.settle_children();
                }
            }
        }
        Reseeded { centres, children: Vec::new(), first_fill: true }
    }

    fn reseed(&mut self, step: u64, seen: &Observation, seeds: &mut Seeds) -> Reseeded {
        seeds.look_around(seen.mean.clone());
        let dead = |level: usize, clock: &Clock| -> Vec<u32> {
            let (first, second) = seen.hits.split_at(self.kind.levels.first);
            let hits = if level == 0 { first } else { second };
            let unhit = hits.iter().zip(&clock.hits[level]).enumerate().filter(|(_, (now, then))| now <= then);
            unhit.map(|(index, _)| index as u32).collect()
        };
        let mut reseeded = Reseeded::default();
        if self.span_over(0, step) {
            reseeded.centres = dead(0, &self.clock);
            reseeded.centres.iter().for_each(|&centre| seeds.plant_parent(centre));
            reseeded.centres.iter().for_each(|&centre| seeds.plant_children(centre));
        }
        if self.span_over(1, step) {
            let orphan = |child: &u32| !reseeded.centres.contains(&(child / self.kind.levels.children as u32));
            let orphans: Vec<u32> = dead(1, &self.clock).into_iter().filter(orphan).collect();
            reseeded.children = seeds.plant_orphans(&orphans);
        }
        for level in 0..2 {
            if self.span_over(level, step) {
                self.restart(level, step, seen);
            }
        }
        reseeded
    }

    fn restart(&mut self, level: usize, step: u64, seen: &Observation) {
        let (first, second) = seen.hits.split_at(self.kind.levels.first);
        self.clock.last[level] = step;
        self.clock.hits[level] = if level == 0 { first.to_vec() } else { second.to_vec() };
    }
}

/// Sampled vectors that become centres: positives of distinct users (or items) (a negative has its positive's `v_user`, so taking
/// every row would make twins), in an order that the seed decides.
struct Seeds {
    candidates: Vec<Vec<f32>>,
    /// The level-1 centre of each candidate; none after a level-1 centre moved. Looked up anew for every child that it planted,
    /// the clock once took a sixth of the training.
    parents: Option<Vec<u32>>,
    /// Candidates that no centre has taken yet, as indices.
    free: Vec<usize>,
    centres: Vec<f32>,
    /// `[m]`: what is taken out before a search, as on the device ([`Memory::seen`]).
    origin: Vec<f32>,
    levels: Levels,
    m: usize,
    centred: bool,
    similarity: Similarity,
    counter: Counter,
    draws: u64,
}

impl Seeds {
    fn new(seen: &Observation, levels: Levels, config: &Config, counter: Counter) -> Self {
        let m = config.memory_width();
        let mut known = std::collections::HashSet::new();
        let distinct = (0..seen.members.len()).filter(|&s| seen.positive[s] && known.insert(seen.members[s]));
        let mut order: Vec<usize> = distinct.collect();
        order.sort_by_key(|&s| counter.bits(s as u64));
        let candidates: Vec<Vec<f32>> = order.into_iter().map(|s| seen.v[s * m..(s + 1) * m].to_vec()).collect();
        let free = (0..candidates.len()).rev().collect();
        let (centres, counter) = (seen.centres.clone(), counter.lane(1));
        let (centred, similarity) = (config.centred, config.similarity);
        let origin = vec![0.0; m];
        Self { candidates, parents: None, free, centres, origin, levels, m, centred, similarity, counter, draws: 0 }
    }

    /// `[m]`: the mean of the candidates; zero where there are none.
    fn candidate_mean(&self) -> Vec<f32> {
        mean_of(&self.candidates.iter().collect::<Vec<_>>(), self.m)
    }

    /// Searches from now on as the device does with the running mean `mean` `[m]`.
    fn look_around(&mut self, mean: Vec<f32>) {
        if self.centred {
            (self.origin, self.parents) = (mean, None);
        }
    }

    fn noisy(&mut self, vector: &[f32]) -> Vec<f32> {
        vector
            .iter()
            .map(|x| {
                self.draws += 1;
                x + (CHILD_SPREAD * self.counter.normal(self.draws)) as f32
            })
            .collect()
    }

    fn write(&mut self, row: usize, vector: &[f32]) {
        if row < self.levels.first {
            self.parents = None;
        }
        self.centres[row * self.m..(row + 1) * self.m].copy_from_slice(vector);
    }

    fn read(&self, row: usize) -> Vec<f32> {
        self.centres[row * self.m..(row + 1) * self.m].to_vec()
    }

    fn child_row(&self, child: u32) -> usize {
        self.levels.first + child as usize
    }

    /// A level-1 centre takes a vector of its own; where there are more centres than users, a neighbour of one.
    fn plant_parent(&mut self, centre: u32) {
        let vector = match self.free.pop() {
            Some(candidate) => self.candidates[candidate].clone(),
            None if self.candidates.is_empty() => return,
            None => {
                let any = self.candidates[centre as usize % self.candidates.len()].clone();
                self.noisy(&any)
            }
        };
        self.write(centre as usize, &vector);
    }

    fn plant_children(&mut self, centre: u32) {
        let parent = self.read(centre as usize);
        let members = self.members(centre);
        for slot in 0..self.levels.children {
            let vector = members.get(slot).cloned().unwrap_or_else(|| self.noisy(&parent));
            self.write(self.child_row(centre * self.levels.children as u32 + slot as u32), &vector);
        }
    }

    /// Dead children, in ascending order, take vectors of their parents' members, each another one: of twins only the first is
    /// ever the nearest. Those for whom none is left are born near the parent; where a parent has no member in the batch they
    /// wait. Returns who was planted.
    fn plant_orphans(&mut self, dead: &[u32]) -> Vec<u32> {
        let children = self.levels.children as u32;
        let parent_of = |child: u32| child / children;
        let mut planted = Vec::with_capacity(dead.len());
        for siblings in dead.chunk_by(|&a, &b| parent_of(a) == parent_of(b)) {
            let members = self.members(parent_of(siblings[0]));
            if members.is_empty() {
                continue;
            }
            let parent = self.read(parent_of(siblings[0]) as usize);
            for (place, &child) in siblings.iter().enumerate() {
                let vector = members.get(place).cloned().unwrap_or_else(|| self.noisy(&parent));
                self.write(self.child_row(child), &vector);
                planted.push(child);
            }
        }
        planted
    }

    /// Candidates whose most similar level-1 centre is this one.
    fn members(&mut self, centre: u32) -> Vec<Vec<f32>> {
        let parents = self.parents.take().unwrap_or_else(|| self.candidates.iter().map(|v| self.parent_of(v)).collect());
        let members = self.candidates.iter().zip(&parents).filter(|(_, parent)| **parent == centre).map(|(v, _)| v.clone()).collect();
        self.parents = Some(parents);
        members
    }

    /// Centres without any sense: random directions from what the search takes out, as far away as the candidates are on average.
    fn scatter(&mut self) {
        let distance = |v: &Vec<f32>| v.iter().zip(&self.origin).map(|(x, o)| (x - o) * (x - o)).sum::<f32>().sqrt();
        let mean = self.candidates.iter().map(distance).sum::<f32>() / self.candidates.len().max(1) as f32;
        let deviation = f64::from(mean) / (self.m as f64).sqrt();
        for (index, x) in self.centres.iter_mut().enumerate() {
            *x = self.origin[index % self.m] + (deviation * self.counter.normal(index as u64)) as f32;
        }
    }

    /// Lloyd's k-means over the candidates, from the planted parents.
    fn settle_parents(&mut self) {
        for _ in 0..LLOYD_ROUNDS {
            let owners: Vec<usize> = self.candidates.iter().map(|v| self.parent_of(v) as usize).collect();
            self.settle(0..self.levels.first, &owners);
        }
    }

    /// The same among each parent's children.
    fn settle_children(&mut self) {
        for _ in 0..LLOYD_ROUNDS {
            let owner = |v: &Vec<f32>| {
                let start = self.child_row(self.parent_of(v) * self.levels.children as u32);
                self.most_similar(v, start..start + self.levels.children)
            };
            let owners: Vec<usize> = self.candidates.iter().map(owner).collect();
            self.settle(self.levels.first..self.levels.rows(), &owners);
        }
    }

    /// Moves rows to the mean of the candidates that they own; a row without any stays.
    fn settle(&mut self, rows: std::ops::Range<usize>, owners: &[usize]) {
        for row in rows {
            let owned: Vec<&Vec<f32>> = self.candidates.iter().zip(owners).filter(|(_, owner)| **owner == row).map(|(v, _)| v).collect();
            if !owned.is_empty() {
                self.write(row, &mean_of(&owned, self.m));
            }
        }
    }

    fn parent_of(&self, v: &[f32]) -> u32 {
        self.most_similar(v, 0..self.levels.first) as u32
    }

    /// The most similar of some rows; the first where several are.
    fn most_similar(&self, v: &[f32], rows: std::ops::Range<usize>) -> usize {
        let similarity = |row: usize| {
            let mu = &self.centres[row * self.m..(row + 1) * self.m];
            let pairs = || v.iter().zip(mu).zip(&self.origin).map(|((a, b), o)| (a - o, b - o));
            let dot: f32 = pairs().map(|(a, b)| a * b).sum();
            let norm: f32 = pairs().map(|(_, b)| b * b).sum();
            if self.similarity == Similarity::Cosine { dot / (norm + 1e-12).sqrt() } else { dot }
        };
        let best = rows.map(|row| (similarity(row), row)).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        best.map_or(0, |(_, row)| row)
    }
}

/// The mean of vectors `m` wide; zero where there are none.
fn mean_of(vectors: &[&Vec<f32>], m: usize) -> Vec<f32> {
    let n = vectors.len().max(1) as f32;
    (0..m).map(|k| vectors.iter().map(|v| v[k]).sum::<f32>() / n).collect()
}
