//! The negative of a row: an item that its user never had, drawn by a counter hash of (seed, row).

use super::index::{Index, Moment};
use crate::config;
use crate::counter::{Counter, Stream};
use crate::data::alias::Alias;

/// Redraws of a negative before what comes after the last draw is tried one by one.
const REDRAWS: u64 = 32;

/// Lanes of the first pass are its redraws; later passes have a lane of their own after those.
const LATER_PASSES: u64 = REDRAWS;

/// P1 draws an item in proportion to its rows to this power.
const POPULARITY_POWER: f64 = 0.75;

/// T1 takes a negative from a row that is at most so many rows later.
pub(super) const WINDOW: u32 = 256;

/// What draws negatives.
pub(super) struct NegativeSampler {
    counter: Counter,
    kind: Kind,
}

enum Kind {
    /// U1: every one of so many items alike.
    Uniform(u32),
    /// P1: 9 bytes an item.
    Popular(Popular),
    /// T1: a byte a row.
    TimeMatched(TimeMatched),
    /// E1.
    None,
}

/// The items by their rows in the whole stream.
struct Popular {
    alias: Alias,
    /// `[items]`: whether any row has the item.
    in_stream: Vec<bool>,
}

/// Rows whose user had their item for the first time, and where training and the test end.
struct TimeMatched {
    /// `[rows]`.
    is_first: Vec<bool>,
    spans: [u32; 2],
}

impl NegativeSampler {
    /// The sampler of a protocol. `spans` are where training and where the test end.
    pub(super) fn new(protocol: config::Negatives, seed: u64, index: &Index, items: u32, spans: [u32; 2]) -> Self {
        let kind = match protocol {
            config::Negatives::Uniform => Kind::Uniform(items),
            config::Negatives::Popular => Kind::Popular(Popular::new((0..items).map(|item| index.rows_of(item).len() as u32))),
            config::Negatives::TimeMatched => Kind::TimeMatched(TimeMatched::new(index, spans)),
            config::Negatives::None => Kind::None,
        };
        Self { counter: Counter::new(seed, Stream::Negatives), kind }
    }

    /// Whether a row is a sample, in every pass: under E1 every row is, else a behaviour with a negative, which under U1 and P1 every
    /// one has (a user who had every item is refused before).
    pub(super) fn is_sample(&self, index: &Index, row: u32) -> bool {
        match &self.kind {
            Kind::TimeMatched(matched) => {
                matched.is_first[row as usize] && matched.window(row).any(|other| matched.fits(index, row, other))
            }
            Kind::Uniform(_) | Kind::Popular(_) => index.behaviour(row).is_taken(),
            Kind::None => true,
        }
    }

    /// The negative of a row that is a sample: an item that its user never had up to and including the row, a function of (seed,
    /// pass, row) and the rows alone. None under E1.
    pub(super) fn draw(&self, index: &Index, pass: u32, row: u32) -> Option<u32> {
        let counter = if pass == 0 { self.counter } else { self.counter.lane(LATER_PASSES + u64::from(pass)) };
        let after = index.before(row).after();
        Some(match &self.kind {
            Kind::Uniform(items) => {
                let uniform = |lane: Counter| lane.below(row.into(), (*items).into()) as u32;
                never_had(*items, counter, uniform, |_| true, |item| index.had(after, item))
            }
            Kind::Popular(popular) => {
                let pick = |lane: Counter| popular.pick(lane, row);
                let in_stream = |item: u32| popular.in_stream[item as usize];
                never_had(popular.in_stream.len() as u32, counter, pick, in_stream, |item| index.had(after, item))
            }
            Kind::TimeMatched(matched) => index.item(matched.draw(index, counter, row)),
            Kind::None => return None,
        })
    }
}

/// An item that was not had: the first of [`REDRAWS`] draws that fits, or else the first item from the last draw on; one that is
/// not `preferred` only where no other is left. There must be one.
fn never_had(
    items: u32,
    counter: Counter,
    draw: impl Fn(Counter) -> u32,
    preferred: impl Fn(u32) -> bool,
    had: impl Fn(u32) -> bool,
) -> u32 {
    let mut last = 0;
    for redraw in 0..REDRAWS {
        last = draw(counter.lane(redraw));
        if !had(last) {
            return last;
        }
    }
    let free = || (last..items).chain(0..last).filter(|&item| !had(item));
    free().find(|&item| preferred(item)).or_else(|| free().next()).unwrap_or(last)
}

impl Popular {
    /// In proportion to the rows of each item to the power of 0.75; at least one item must have a row.
    fn new(rows_of_item: impl Iterator<Item = u32> + Clone) -> Self {
        let weights: Vec<f64> = rows_of_item.clone().map(|rows| libm::pow(rows.into(), POPULARITY_POWER)).collect();
        Self { alias: Alias::new(&weights), in_stream: rows_of_item.map(|rows| rows > 0).collect() }
    }

    fn pick(&self, lane: Counter, row: u32) -> u32 {
        let column = lane.below(row.into(), self.in_stream.len() as u64) as usize;
        self.alias.pick(column, lane.lane(1).bits(row.into()))
    }
}

impl TimeMatched {
    fn new(index: &Index, spans: [u32; 2]) -> Self {
        let is_first = |row: u32| index.behaviour(row).is_taken() && !index.had(index.before(row), index.item(row));
        Self { is_first: (0..index.rows()).map(is_first).collect(), spans }
    }

    /// The rows that may give a negative: up to [`WINDOW`] later ones. Training rows take none of the test, and the last rows have
    /// fewer.
    fn window(&self, row: u32) -> std::ops::Range<u32> {
        let [train, test] = self.spans;
        let end = if row < train { train } else { test };
        row + 1..end.min(row.saturating_add(1 + WINDOW))
    }

    /// Whether the item of another row may be the negative of this one: the other user had it there for the first time, as every
    /// positive is, and this one never had it.
    fn fits(&self, index: &Index, row: u32, other: u32) -> bool {
        let after: Moment = index.before(row).after();
        self.is_first[other as usize] && index.user(other) != after.user && !index.had(after, index.item(other))
    }

    /// The row whose item is the negative: the first of [`REDRAWS`] draws from the window that fits, or else the first from the last
    /// draw on, around the window's end. There must be one.
    fn draw(&self, index: &Index, counter: Counter, row: u32) -> u32 {
        let window = self.window(row);
        let mut last = window.start;
        for redraw in 0..REDRAWS {
            last = window.start + counter.lane(redraw).below(row.into(), u64::from(window.end - window.start)) as u32;
            if self.fits(index, row, last) {
                return last;
            }
        }
        (last..window.end).chain(window.start..last).find(|&other| self.fits(index, row, other)).unwrap_or(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_had_nearly_everything_gets_what_is_left() {
        // Items 0..50 have rows, 50..60 none.
        let popular = Popular::new((0..60).map(|item| if item < 50 { 1_000 * item + 1 } else { 0 }));
        let counter = |pass: u64| Counter::new(7, Stream::Negatives).lane(100 + pass);
        let of_popular = |pass: u64, row: u32, had: &dyn Fn(u32) -> bool| {
            never_had(60, counter(pass), |lane| popular.pick(lane, row), |item| popular.in_stream[item as usize], had)
        };
        let of_all = |pass: u64, row: u32, had: &dyn Fn(u32) -> bool| {
            never_had(60, counter(pass), |lane| lane.below(row.into(), 60) as u32, |_| true, had)
        };
        for row in 0..200 {
            assert_eq!(of_popular(0, row, &|item| item != 0 && item != 55), 0, "the only one with a row");
            assert_eq!(of_popular(1, row, &|item| item != 55), 55, "the only one");
            assert_eq!(of_all(1, row, &|item| item != 55), 55);
            assert!(of_popular(0, row, &|_| false) < 50, "nothing without a row is drawn");
        }
    }
}
