//! Draws in proportion to weights.

/// Vose's alias table: an index in proportion to its weight, in two look-ups.
pub(super) struct Alias {
    /// `[n]`: the column keeps its own index below this, on a scale of `2^32`, and gives the other one above it.
    columns: Vec<(u32, u32)>,
}

impl Alias {
    /// A table over the indices of `weights`, of which at least one must be above 0.
    pub(super) fn new(weights: &[f64]) -> Self {
        let scale = weights.len() as f64 / weights.iter().sum::<f64>();
        let mut share: Vec<f64> = weights.iter().map(|w| w * scale).collect();
        let mut columns: Vec<(u32, u32)> = (0..weights.len() as u32).map(|i| (u32::MAX, i)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..share.len()).partition(|&i| share[i] < 1.0);
        while let (Some(&poor), Some(&rich)) = (small.last(), large.last()) {
            small.pop();
            columns[poor] = ((share[poor] * (1u64 << 32) as f64) as u32, rich as u32);
            share[rich] -= 1.0 - share[poor];
            if share[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Self { columns }
    }

    /// The index of a uniformly drawn column and 64 random bits.
    pub(super) fn pick(&self, column: usize, bits: u64) -> u32 {
        let (own, other) = self.columns[column];
        if ((bits >> 32) as u32) < own { column as u32 } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Counter, Stream};

    #[test]
    fn an_alias_table_draws_in_proportion() {
        let weights = [1.0, 0.0, 3.0, 6.0];
        let alias = Alias::new(&weights);
        let counter = Counter::new(3, Stream::Choices);
        let mut bins = [0.0; 4];
        (0..100_000).for_each(|i| bins[alias.pick(counter.lane(1).below(i, 4) as usize, counter.lane(2).bits(i)) as usize] += 1e-4);
        weights.iter().zip(bins).for_each(|(w, b)| assert!((w - b).abs() < 0.1, "{bins:?}"));
    }
}
