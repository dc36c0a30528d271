//! Where centres come from: the first fill from sampled vectors (A6), re-seeding (A7), and the frozen centres of the sanity rows.
//! All of it runs on the host, on a clock.

use super::Observation;
use crate::config::{Config, Similarity};
use crate::counter::Counter;
use crate::kernels::Levels;
use crate::platform;

/// Spread of a child around its parent where no sample of the parent was at hand (A6).
const CHILD_SPREAD: f64 = 0.05;
/// Rounds of k-means (the sanity row of frozen centres).
const LLOYD_ROUNDS: usize = 10;

/// Sampled vectors that become centres: positives of distinct users (or items) (a negative has its positive's `v_user`, so taking
/// every row would make twins), in an order that the seed decides.
pub(super) struct Seeds {
    candidates: Vec<Vec<f32>>,
    /// The level-1 centre of each candidate; none after a level-1 centre moved. Looked up anew for every child that it planted,
    /// the clock once took a sixth of the training.
    parents: Option<Vec<u32>>,
    /// Candidates that no centre has taken yet, as indices.
    free: Vec<usize>,
    pub(super) centres: Vec<f32>,
    /// `[m]`: what is taken out before a search, as on the device ([`super::Centres::seen`]).
    origin: Vec<f32>,
    levels: Levels,
    m: usize,
    centred: bool,
    similarity: Similarity,
    counter: Counter,
    draws: u64,
}

impl Seeds {
    pub(super) fn new(seen: &Observation, levels: Levels, config: &Config, counter: Counter) -> Self {
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
    pub(super) fn candidate_mean(&self) -> Vec<f32> {
        mean_of(&self.candidates.iter().collect::<Vec<_>>(), self.m)
    }

    /// Searches from now on as the device does with the running mean `mean` `[m]`.
    pub(super) fn look_around(&mut self, mean: Vec<f32>) {
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
    pub(super) fn plant_parent(&mut self, centre: u32) {
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

    pub(super) fn plant_children(&mut self, centre: u32) {
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
    pub(super) fn plant_orphans(&mut self, dead: &[u32]) -> Vec<u32> {
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
        let parents = self.parents.take().unwrap_or_else(|| self.all_parents());
        let members = self.candidates.iter().zip(&parents).filter(|(_, parent)| **parent == centre).map(|(v, _)| v.clone()).collect();
        self.parents = Some(parents);
        members
    }

    /// Centres without any sense: random directions from what the search takes out, as far away as the candidates are on average.
    pub(super) fn scatter(&mut self) {
        let distance = |v: &Vec<f32>| v.iter().zip(&self.origin).map(|(x, o)| (x - o) * (x - o)).sum::<f32>().sqrt();
        let mean = self.candidates.iter().map(distance).sum::<f32>() / self.candidates.len().max(1) as f32;
        let deviation = f64::from(mean) / (self.m as f64).sqrt();
        for (index, x) in self.centres.iter_mut().enumerate() {
            *x = self.origin[index % self.m] + (deviation * self.counter.normal(index as u64)) as f32;
        }
    }

    /// Lloyd's k-means over the candidates, from the planted parents.
    pub(super) fn settle_parents(&mut self) {
        for _ in 0..LLOYD_ROUNDS {
            let owners: Vec<usize> = self.all_parents().into_iter().map(|parent| parent as usize).collect();
            self.settle(0..self.levels.first, &owners);
        }
    }

    /// The same among each parent's children. Parents stay where they are meanwhile, so they are looked for once.
    pub(super) fn settle_children(&mut self) {
        let parents = self.all_parents();
        for _ in 0..LLOYD_ROUNDS {
            let owner = |(v, parent): (&Vec<f32>, &u32)| {
                let start = self.child_row(parent * self.levels.children as u32);
                self.most_similar(v, start..start + self.levels.children)
            };
            let owners: Vec<usize> = self.candidates.iter().zip(&parents).map(owner).collect();
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

    /// The most similar level-1 centre of each candidate, to the bit as [`Self::most_similar`] finds it: centres side by side, which the
    /// compiler can vectorise, and candidates on all cores. At Table 3's sizes one candidate after the other took most of a run on a GPU.
    fn all_parents(&self) -> Vec<u32> {
        let (m, is_cosine) = (self.m, self.similarity == Similarity::Cosine);
        let rows = self.centres[..self.levels.first * m].chunks(SIDE * m);
        let block = |rows: &[f32]| -> Block {
            let components = |k: usize| std::array::from_fn(|lane| rows.get(lane * m + k).map_or(0.0, |b| b - self.origin[k]));
            let components: Vec<[f32; SIDE]> = (0..m).map(components).collect();
            let norms = summed(components.iter().map(|b| b.map(|b| b * b)));
            let keys = norms.map(|norm| if is_cosine { (norm + 1e-12).sqrt() } else { 1.0 });
            Block { components, keys, count: rows.len() / m }
        };
        let blocks: Vec<Block> = rows.map(block).collect();
        let (origin, mut parents) = (&self.origin, vec![0; self.candidates.len()]);
        let share = parents.len().div_ceil(platform::threads()).max(1);
        let mut parts: Vec<(&[Vec<f32>], &mut [u32])> = self.candidates.chunks(share).zip(parents.chunks_mut(share)).collect();
        let is_long = self.candidates.len() * self.levels.first * m > WORTH_THREADS;
        platform::for_each(&mut parts, is_long, |(candidates, parents)| {
            for (v, parent) in candidates.iter().zip(parents.iter_mut()) {
                let v: Vec<f32> = v.iter().zip(origin).map(|(a, o)| a - o).collect();
                *parent = nearest(&v, &blocks) as u32;
            }
        });
        parents
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

/// Products below which starting threads takes longer than it saves.
const WORTH_THREADS: usize = 1 << 20;
/// Centres that are compared with a vector at once.
const SIDE: usize = 16;

/// Some centres without what the search takes out, component by component.
struct Block {
    components: Vec<[f32; SIDE]>,
    /// What each product is divided by.
    keys: [f32; SIDE],
    /// How many there are; the rest is 0.
    count: usize,
}

/// Sums side by side, each in order, as `sum` adds up one.
fn summed(values: impl Iterator<Item = [f32; SIDE]>) -> [f32; SIDE] {
    values.fold([-0.0; SIDE], |mut sums, values| {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        sums
    })
}

/// The most similar centre of all blocks; the first where several are.
fn nearest(v: &[f32], blocks: &[Block]) -> usize {
    let mut best = (f32::NEG_INFINITY, 0);
    for (index, block) in blocks.iter().enumerate() {
        let products = summed(v.iter().zip(&block.components).map(|(a, b)| b.map(|b| a * b)));
        for (lane, (product, key)) in products.iter().zip(&block.keys).enumerate().take(block.count) {
            let similarity = product / key;
            if similarity.total_cmp(&best.0).is_gt() {
                best = (similarity, index * SIDE + lane);
            }
        }
    }
    best.1
}

/// The mean of vectors `m` wide; zero where there are none.
fn mean_of(vectors: &[&Vec<f32>], m: usize) -> Vec<f32> {
    let n = vectors.len().max(1) as f32;
    (0..m).map(|k| vectors.iter().map(|v| v[k]).sum::<f32>() / n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::Stream;

    /// Blocks of centres that are full, and a last one that is not; a tie; vectors that nothing is like.
    #[test]
    fn all_parents_are_those_found_one_by_one() {
        for (first, similarity, centred) in [(3, Similarity::Cosine, true), (37, Similarity::Cosine, true), (48, Similarity::Dot, false)] {
            let config = Config { similarity, centred, auxiliary: crate::config::Widths(vec![8, 7]), ..Config::default() };
            let counter = Counter::new(5, Stream::Centres);
            let levels = Levels { first, children: 1 };
            let drawn = |lane: u64, count: usize| -> Vec<f32> { (0..count as u64).map(|i| counter.lane(lane).normal(i) as f32).collect() };
            let mut centres = drawn(2, levels.rows() * 7);
            centres.copy_within(0..7, (first - 1) * 7);
            let members: Vec<u32> = (0..90).collect();
            let mut v = drawn(3, members.len() * 7);
            v[..7].fill(0.0);
            v[7..14].copy_from_slice(&centres[..7]);
            let seen = Observation { v, positive: vec![true; members.len()], members, centres, ..Observation::default() };
            let mut seeds = Seeds::new(&seen, levels, &config, counter);
            seeds.look_around(drawn(4, 7));
            let one_by_one: Vec<u32> = seeds.candidates.iter().map(|v| seeds.most_similar(v, 0..first) as u32).collect();
            assert_eq!(seeds.all_parents(), one_by_one);
            assert!(one_by_one.iter().any(|&parent| parent > 0));
        }
    }
}
