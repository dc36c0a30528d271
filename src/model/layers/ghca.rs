//! GHCA, the gradient-based hierarchical clustering of a stream (section 4.2, Eq. 2-5 of users, Eq. 11-14 of items): two levels of
//! centres in a memory, each sample in its most similar centre and in that centre's most similar child, centres pulled towards
//! their samples.
//!
//! | equation | here |
//! | --- | --- |
//! | 2, 3 and 11, 12: the search | [`Centres::assign`] |
//! | 7, 8: the search of the other side's vectors | [`Centres::sought`] |
//! | 4, 5 and 13, 14: the pull, its loss and its step | [`Memory::learn`] |
//!
//! Every step runs on the device. What is irregular runs on the host, on a clock ([`Memory::tick`]): the first fill from sampled
//! vectors (A6) and the re-seeding of dead centres (A7), both in `seeding.rs`.

mod search;
mod seeding;

use burn::optim::{Adam, AdamConfig, AdamState, Optimizer};
use burn::tensor::{Device, Int, Tensor, TensorData};

pub use self::search::Centres;
use self::seeding::Seeds;
use super::weights::{gather_moments, resume_moments};
use crate::checkpoint::{Array, CheckpointError, Gathering, State, Values};
use crate::config::{CentreStart, CentreStep, Config, Similarity};
use crate::counter::{Counter, Stream};
use crate::data::Side;
use crate::kernels::{EPSILON, Levels, Pull, centre_pull, follow};

/// Days of the stream, training and test together, that [`UserCentres::DailyKMeans`] counts.
const DAYS: f64 = 9.0;

/// Deviation of centres that start at random, the literal reading of the paper.
const RANDOM_START: f64 = 0.01;

/// What a model's user centres are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCentres {
    /// GHCA: two levels that follow the stream (Eq. 2-5).
    Learned,
    /// Sanity row: drawn at random once, as long as user vectors are, and never moved.
    Random,
    /// Sanity row: k-means of the user vectors at the end of the warm-up, never moved.
    KMeans,
    /// Sanity row: the same fitted anew at the end of each day, as a nightly job would; not moved in between.
    DailyKMeans,
}

impl UserCentres {
    fn is_k_means(self) -> bool {
        matches!(self, Self::KMeans | Self::DailyKMeans)
    }
}

/// What tells the users' memory (Eq. 2-5) from the items' (Eq. 11-14).
#[derive(Clone, Copy, Debug)]
struct Sort {
    side: Side,
    levels: Levels,
    /// The weight of Eq. 15: rho or eta.
    weight: f64,
    /// Vectors that are expected to cluster in a step.
    per_step: f64,
    /// Sub-stream of [`Stream::Centres`].
    lane: u64,
    centres: UserCentres,
}

/// Two levels of centres and what moves them: their step, and on the host their fill and their re-seeding.
pub struct Memory {
    sort: Sort,
    now: Centres,
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

impl std::ops::Deref for Memory {
    type Target = Centres;

    fn deref(&self) -> &Centres {
        &self.now
    }
}

impl Memory {
    /// The users' memory (Eq. 2-5). No centre is used before the first fill; centres that start at random are there from the
    /// first step on.
    pub fn users(config: &Config, centres: UserCentres, device: &Device) -> Self {
        let levels = Levels { first: config.centres, children: config.children };
        let per_step = config.cluster_share * config.requests() as f64;
        Self::new(config, Sort { side: Side::Users, levels, weight: config.rho, per_step, lane: 0, centres }, device)
    }

    /// The items' memory (Eq. 11-14), in which every positive clusters.
    pub fn items(config: &Config, device: &Device) -> Self {
        let levels = Levels { first: config.item_centres, children: config.item_children };
        let per_step = config.requests() as f64;
        Self::new(config, Sort { side: Side::Items, levels, weight: config.eta, per_step, lane: 1, centres: UserCentres::Learned }, device)
    }

    fn new(config: &Config, sort: Sort, device: &Device) -> Self {
        let (levels, m) = (sort.levels, config.memory_width());
        let counter = Counter::new(config.seed, Stream::Centres).lane(sort.lane);
        let random = config.centre_start == CentreStart::Random && sort.centres == UserCentres::Learned;
        let start = (0..(levels.rows() * m) as u64).map(|i| if random { (RANDOM_START * counter.normal(i)) as f32 } else { 0.0 });
        Self {
            sort,
            now: Centres {
                rows: Tensor::from_data(TensorData::new(start.collect::<Vec<_>>(), [levels.rows(), m]), device),
                hits: Tensor::zeros([levels.rows()], device),
                mean: Tensor::zeros([1, m], device),
                levels,
                is_cosine: config.similarity == Similarity::Cosine,
                is_centred: config.centred,
            },
            adam: AdamConfig::new().with_epsilon(EPSILON).build(),
            adam_state: None,
            filled: random,
            clock: Clock { last: [0; 2], hits: [vec![0.0; levels.first], vec![0.0; levels.rows() - levels.first]] },
            config: config.clone(),
            device: device.clone(),
        }
    }

    /// Whose centres they are.
    pub fn side(&self) -> Side {
        self.sort.side
    }

    /// The weight of a loss that also moves users towards their centres (A2); 0 of items.
    pub fn commitment(&self) -> f64 {
        if self.sort.side == Side::Users { self.config.commit } else { 0.0 }
    }

    /// Whether there are centres to search.
    pub fn is_filled(&self) -> bool {
        self.filled
    }

    /// Whether no step moves the centres.
    fn is_frozen(&self) -> bool {
        self.sort.centres != UserCentres::Learned
    }

    /// Puts back centres, their hits `[levels.rows()]`, the running mean and whether the centres are filled. The re-seeding
    /// clocks count from `step` of the run under way.
    pub fn restore(&mut self, centres: Tensor<2>, hits: Vec<f32>, mean: Tensor<2>, filled: bool, step: u64) {
        let (first, second) = hits.split_at(self.sort.levels.first);
        self.clock = Clock { last: [step; 2], hits: [first.to_vec(), second.to_vec()] };
        let hits = Tensor::from_data(TensorData::new(hits, [self.sort.levels.rows()]), &self.device);
        self.now = Centres { rows: centres, hits, mean, ..self.now.clone() };
        (self.filled, self.adam_state) = (filled, None);
    }

    /// Names what only a run that goes on needs: the clocks, and moments under [`CentreStep::Adam`].
    pub fn gather_course(&self, name: &str, into: &mut Gathering) {
        let Clock { last, hits: [first, second] } = &self.clock;
        into.host(format!("{name}.clock"), Array { shape: vec![2], values: Values::Integers(last.map(|step| step as i32).to_vec()) });
        into.host(format!("{name}.clock_hits"), Array::floats([&first[..], &second[..]].concat(), &[self.sort.levels.rows()]));
        if let Some(state) = &self.adam_state {
            gather_moments(name, state, into);
        }
    }

    /// Puts back what [`Memory::gather_course`] named.
    ///
    /// # Errors
    /// A tensor that is not there, or not as long.
    pub fn resume(&mut self, name: &str, state: &State) -> Result<(), CheckpointError> {
        let [last, hits] = ["clock", "clock_hits"].map(|part| format!("{name}.{part}"));
        let short = |name: &str| CheckpointError::Missing { name: name.into() };
        let last = <[i32; 2]>::try_from(state.integers(&last)?).map_err(|_| short(&last))?.map(|step| step as u64);
        let (first, second) = state.floats(&hits)?.split_at_checked(self.sort.levels.first).ok_or_else(|| short(&hits))?;
        self.clock = Clock { last, hits: [first.to_vec(), second.to_vec()] };
        // A branch may have left Adam.
        let is_adam = self.config.centre_step == CentreStep::Adam;
        self.adam_state = if is_adam { resume_moments(name, state, &self.device)? } else { None };
        Ok(())
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
        let Pull { towards, count, losses, samples } =
            centre_pull(v, self.now.rows.clone(), assigned, clustered, self.sort.levels, self.config.sigma_in_graph);
        let samples = samples.clamp_min(1.0);
        self.now.hits = self.now.hits.clone() + count.clone();
        let rate = 2.0 * self.sort.weight;
        let batch_mean = |towards: Tensor<2>| towards * rate / samples.clone().unsqueeze_dim(1);
        let learning_rate = self.config.learning_rate;
        self.now.rows = match self.config.centre_step {
            CentreStep::Mean => self.now.rows.clone() + towards * rate / count.clamp_min(1.0).unsqueeze_dim(1),
            CentreStep::Sgd => self.now.rows.clone() + batch_mean(towards) * learning_rate,
            CentreStep::Adam => {
                let (centres, state) =
                    self.adam.step(learning_rate, self.now.rows.clone(), batch_mean(towards).neg(), self.adam_state.take());
                self.adam_state = state;
                centres
            }
        };
        if let Some(gradient) = ranker {
            self.now.rows = self.now.rows.clone() - gradient * learning_rate;
        }
        Some(losses / samples)
    }

    /// Moves the running mean towards that of the vectors `v` `[samples, m]` that clustered; where none did it stays.
    fn follow(&mut self, v: &Tensor<2>, clustered: &Tensor<1>) {
        self.now.mean = follow(self.now.mean.clone(), v.clone(), clustered.clone(), self.config.mean_rate as f32);
    }

    /// Whether the clock wants an [`Observation`] at this step of `total`.
    pub fn is_due(&self, step: u64, total: u64) -> bool {
        if !self.filled {
            return step >= self.config.warm_up_steps(total);
        }
        if self.sort.centres == UserCentres::DailyKMeans {
            return step >= self.clock.last[0] + self.day(total);
        }
        self.config.reseed
            && !self.is_frozen()
            && (step as f64) < self.config.reseed_until * total as f64
            && (0..2).any(|level| self.span_over(level, step))
    }

    /// Steps of a day of the stream, of which `total` go through the training rows `passes` times.
    fn day(&self, total: u64) -> u64 {
        let days = DAYS * self.config.train_share * f64::from(self.config.passes.max(1));
        ((total as f64 / days) as u64).max(1)
    }

    /// A level-2 centre has the share of its parent divided by `children`: its span is that much longer.
    fn span_over(&self, level: usize, step: u64) -> bool {
        let levels = self.sort.levels;
        let span = (self.config.reseed_expect * levels.first as f64 / self.sort.per_step).ceil() as u64;
        step >= self.clock.last[level] + span.max(1) * if level == 0 { 1 } else { levels.children as u64 }
    }

    /// The host's part: the first fill (of daily k-means also the next ones), or re-seeding centres that took no sample since their level was last looked at. A centre
    /// that is born again keeps the hits of its former lives, few as they are: what is asked of hits is how often the place was
    /// found at all, and from zero on no chance could be told for it.
    pub fn tick(&mut self, step: u64, total: u64, seen: &Observation) -> Option<Reseeded> {
        if !self.is_due(step, total) {
            return None;
        }
        let counter = Counter::new(self.config.seed, Stream::Centres).lane(self.sort.lane).lane(step);
        let mut seeds = Seeds::new(seen, self.sort.levels, &self.config, counter);
        let goes_on = self.filled && self.sort.centres != UserCentres::DailyKMeans;
        let reseeded = if goes_on { self.reseed(step, seen, &mut seeds) } else { self.fill(step, seen, &mut seeds) };
        if reseeded.centres.is_empty() && reseeded.children.is_empty() {
            return None;
        }
        self.now.rows = Tensor::from_data(TensorData::new(seeds.centres, self.now.rows.dims()), &self.device);
        Some(reseeded)
    }

    fn fill(&mut self, step: u64, seen: &Observation, seeds: &mut Seeds) -> Reseeded {
        let first_fill = !std::mem::replace(&mut self.filled, true);
        // From here on the search takes it out, so it starts at what the centres are made of: started at zero, it moved what was
        // nearest for sixty steps.
        let mean = seeds.candidate_mean();
        self.now.mean = Tensor::from_data(TensorData::new(mean.clone(), [1, mean.len()]), &self.device);
        seeds.look_around(mean);
        self.restart(0, step, seen);
        self.restart(1, step, seen);
        let centres: Vec<u32> = (0..self.sort.levels.first as u32).collect();
        match self.sort.centres {
            UserCentres::Random => seeds.scatter(),
            UserCentres::Learned | UserCentres::KMeans | UserCentres::DailyKMeans => {
                // Parents first, all of them: a child takes the vectors that fall in its parent, which needs every parent.
                centres.iter().for_each(|&centre| seeds.plant_parent(centre));
                if self.sort.centres.is_k_means() {
                    seeds.settle_parents();
                }
                centres.iter().for_each(|&centre| seeds.plant_children(centre));
                if self.sort.centres.is_k_means() {
                    seeds.settle_children();
                }
            }
        }
        Reseeded { centres, children: Vec::new(), first_fill }
    }

    fn reseed(&mut self, step: u64, seen: &Observation, seeds: &mut Seeds) -> Reseeded {
        seeds.look_around(seen.mean.clone());
        let dead = |level: usize, clock: &Clock| -> Vec<u32> {
            let (first, second) = seen.hits.split_at(self.sort.levels.first);
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
            let orphan = |child: &u32| !reseeded.centres.contains(&(child / self.sort.levels.children as u32));
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
        let (first, second) = seen.hits.split_at(self.sort.levels.first);
        self.clock.last[level] = step;
        self.clock.hits[level] = if level == 0 { first.to_vec() } else { second.to_vec() };
    }
}
