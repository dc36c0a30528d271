//! Counter-based randomness: a number is a pure function of (seed, stream, index).
//!
//! No generator is carried along, so a browser, a thread pool and a resumed run all see the same number at the same
//! index, whatever was drawn before.

/// What a stream of numbers is for. Two streams never share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// Dense parameters at the start.
    Parameters = 1,
    /// Embedding rows at the start.
    Embeddings,
    /// Personal vectors at the start.
    Personal,
    /// Traits of synthetic users.
    Users,
    /// Traits of synthetic items and categories.
    Items,
    /// Choices of synthetic users, row by row.
    Choices,
    /// Negatives (protocol UB-T80).
    Negatives,
    /// Which samples cluster (A9).
    Clustered,
    /// Ties of the activity groups (A22).
    Ties,
    /// Centres at the start and re-seeded centres (A6, A7).
    Centres,
    /// Which users a sample keeps.
    Sample,
    /// Views of the contrastive model.
    Views,
    /// Everything that is drawn in a simulation of an online experiment.
    Simulation,
    /// Dropout of enhancement vectors (A24).
    Dropout,
    /// Clusters by evidence before the first positive (A30).
    Evidence,
}

/// One stream of counter-based numbers.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    key: u64,
}

impl Counter {
    /// The stream of a seed.
    pub fn new(seed: u64, stream: Stream) -> Self {
        Self { key: mix(mix(seed ^ 0x6a09_e667_f3bc_c909) ^ (stream as u64)) }
    }

    /// A sub-stream, for draws that need more than one number an index.
    #[must_use]
    pub fn lane(self, lane: u64) -> Self {
        Self { key: mix(self.key ^ lane.wrapping_mul(0xd6e8_feb8_6659_fd93)) }
    }

    /// 64 random bits.
    pub fn bits(self, index: u64) -> u64 {
        mix(self.key ^ mix(index.wrapping_add(0x9e37_79b9_7f4a_7c15)))
    }

    /// Uniform in `[0, 1)`.
    pub fn uniform(self, index: u64) -> f64 {
        (self.bits(index) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `0..n`, by multiplication (the bias is below `n / 2^64`). `n` must not be 0.
    pub fn below(self, index: u64, n: u64) -> u64 {
        ((u128::from(self.bits(index)) * u128::from(n)) >> 64) as u64
    }

    /// Standard normal (Box-Muller, with a libm that is the same on every target).
    pub fn normal(self, index: u64) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform(index)));
        radius * libm::cos(core::f64::consts::TAU * self.lane(1).uniform(index))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_pure_uniform_and_normal() {
        let counter = Counter::new(1, Stream::Choices);
        assert_eq!(counter.bits(5), counter.bits(5));
        assert_ne!(counter.bits(5), Counter::new(1, Stream::Negatives).bits(5));
        assert_ne!(counter.bits(5), counter.lane(1).bits(5));
        let n = 200_000;
        let mean = |f: &dyn Fn(u64) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
        assert!((mean(&|i| counter.uniform(i)) - 0.5).abs() < 0.003);
        assert!(mean(&|i| counter.normal(i)).abs() < 0.01);
        assert!((mean(&|i| counter.normal(i).powi(2)) - 1.0).abs() < 0.02);
        assert!((mean(&|i| counter.normal(i) * counter.normal(i + 1))).abs() < 0.01);
        let mut bins = [0u32; 10];
        (0..n).for_each(|i| bins[counter.below(i, 10) as usize] += 1);
        assert!(bins.iter().all(|&b| (b as f64 - 20_000.0).abs() < 600.0), "{bins:?}");
    }
}
