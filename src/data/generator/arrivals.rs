//! Items that appear on the way: which have, and how much of a category's popularity they carry.

use super::Generator;
use super::{STYLES, Source};

/// What has appeared of a category, item after item.
struct Appeared {
    /// The part of the window after which the item appears.
    at: f64,
    /// The popularity of all items so far: as any draw has it, then as a draw of each style has it.
    shares: [f64; 1 + STYLES as usize],
}

/// Sums over the items that have appeared, by look-up: a probability must not go through a category.
pub(super) struct Arrivals {
    /// `[items]`, by category and then in the order of their arrival.
    appeared: Vec<Appeared>,
}

impl Arrivals {
    /// Of a generator whose catalogue is known.
    pub(super) fn of(generator: &Generator) -> Self {
        let mut appeared = Vec::with_capacity(generator.item_category.len());
        for category in 0..generator.vocabulary().categories {
            let span = generator.items_of(category);
            let mut items: Vec<(f64, u32)> = span.clone().map(|item| (generator.item_arrival(item), item)).collect();
            items.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let mut shares = [0.0; 1 + STYLES as usize];
            for (at, item) in items {
                let rank = item - span.start;
                shares[0] += generator.popularity.share(rank, span.len() as u32);
                let (style, of_style) = (rank % STYLES, (span.len() as u32 - rank % STYLES).div_ceil(STYLES));
                shares[1 + style as usize] += generator.popularity.share(rank / STYLES, of_style);
                appeared.push(Appeared { at, shares });
            }
        }
        Self { appeared }
    }

    /// The popularity that has appeared once a part of the window has passed, of the items `span` of a category: as any draw has it,
    /// and as a draw of the items at `offset` modulo 4 has it.
    pub(super) fn shares(&self, span: std::ops::Range<u32>, offset: u32, passed: f64) -> [f64; 2] {
        let items = &self.appeared[span.start as usize..span.end as usize];
        let last = &items[items.partition_point(|item| item.at <= passed).max(1) - 1];
        [last.shares[0], last.shares[1 + offset as usize]]
    }
}
