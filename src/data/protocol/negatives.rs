//! The negative of a row: an item that its user never had, drawn by a counter hash of (seed, row).

use crate::counter::{Counter, Stream};
use crate::data::alias::Alias;

/// Redraws of a negative before the items after the last draw are tried one by one.
const REDRAWS: u64 = 32;

/// Lanes of the first pass are its redraws; later passes have a lane of their own after those.
const LATER_PASSES: u64 = REDRAWS;

/// P1 draws an item in proportion to its rows to this power.
const POPULARITY_POWER: f64 = 0.75;

/// What draws negatives. UB-T80-U1 keeps nothing; UB-T80-P1 keeps 9 bytes an item.
pub(super) struct NegativeSampler {
    counter: Counter,
    items: u32,
    popular: Option<Popular>,
}

/// The items by their rows in the whole stream.
struct Popular {
    alias: Alias,
    /// `[items]`: whether any row has the item.
    in_stream: Vec<bool>,
}

impl NegativeSampler {
    /// U1: every one of `items` alike.
    pub(super) fn uniform(seed: u64, items: u32) -> Self {
        Self { counter: Counter::new(seed, Stream::Negatives), items, popular: None }
    }

    /// P1: in proportion to `rows_of_item` to the power of 0.75; at least one item must have a row.
    pub(super) fn popular(seed: u64, rows_of_item: &[u32]) -> Self {
        let weights: Vec<f64> = rows_of_item.iter().map(|&rows| libm::pow(rows.into(), POPULARITY_POWER)).collect();
        let popular = Popular { alias: Alias::new(&weights), in_stream: rows_of_item.iter().map(|&rows| rows > 0).collect() };
        Self { popular: Some(popular), ..Self::uniform(seed, rows_of_item.len() as u32) }
    }

    /// An item that is not among those `had`: a function of (seed, pass, row, what was had) alone. There must be one.
    pub(super) fn draw(&self, pass: u32, row: u64, had: impl Fn(u32) -> bool) -> u32 {
        let counter = if pass == 0 { self.counter } else { self.counter.lane(LATER_PASSES + u64::from(pass)) };
        let mut last = 0;
        for redraw in 0..REDRAWS {
            last = self.item(counter.lane(redraw), row);
            if !had(last) {
                return last;
            }
        }
        self.scan(last, had)
    }

    fn item(&self, lane: Counter, row: u64) -> u32 {
        let uniform = lane.below(row, self.items.into()) as u32;
        self.popular.as_ref().map_or(uniform, |popular| popular.alias.pick(uniform as usize, lane.lane(1).bits(row)))
    }

    /// The first item from `last` on that was not had; under P1 one without a row only where no other is left.
    fn scan(&self, last: u32, had: impl Fn(u32) -> bool) -> u32 {
        let free = || (last..self.items).chain(0..last).filter(|&item| !had(item));
        let in_stream = |item: &u32| self.popular.as_ref().is_none_or(|popular| popular.in_stream[*item as usize]);
        free().find(in_stream).or_else(|| free().next()).unwrap_or(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_had_nearly_everything_gets_what_is_left() {
        // Items 0..50 have rows, 50..60 none.
        let rows: Vec<u32> = (0..60).map(|item| if item < 50 { 1_000 * item + 1 } else { 0 }).collect();
        let popular = NegativeSampler::popular(7, &rows);
        let uniform = NegativeSampler::uniform(7, 60);
        for row in 0..200 {
            assert_eq!(popular.draw(0, row, |item| item != 0 && item != 55), 0, "the only one with a row");
            assert_eq!(popular.draw(1, row, |item| item != 55), 55, "the only one");
            assert_eq!(uniform.draw(1, row, |item| item != 55), 55);
            assert!(popular.draw(0, row, |_| false) < 50, "nothing without a row is drawn");
        }
    }
}
