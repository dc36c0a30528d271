//! Which users stay where not all of them fit: those with a small enough lot, a hash of what the file calls them.
//!
//! The share is halved until its rows fit. Who is left then depends on the file and on what fits, not on the order in which the file came.

use super::ids::shortest;
use super::sample::fnv;
use crate::counter::{Counter, Stream};

/// Of the lots: the same for every run, so that a file and a memory give the same users.
const SEED: u64 = 1;

/// A share of all users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    halvings: u32,
}

impl Share {
    /// Half of it; none where no user would be left of any number.
    pub fn halved(self) -> Option<Self> {
        (self.halvings < 63).then_some(Self { halvings: self.halvings + 1 })
    }

    /// Whether it is all users.
    pub fn is_all(self) -> bool {
        self.halvings == 0
    }

    /// Whether it has the user with a lot.
    pub fn has(self, lot: impl FnOnce() -> u64) -> bool {
        self.is_all() || lot() >> (64 - self.halvings) == 0
    }

    /// How many users there are about, given those in it: to two digits, because it is an estimate.
    pub fn of_about(self, kept: u32) -> u64 {
        let all = u128::from(kept) << self.halvings;
        let unit = 10u128.pow(all.max(1).ilog10().saturating_sub(1));
        u64::try_from((all + unit / 2) / unit * unit).unwrap_or(u64::MAX)
    }
}

/// The lot of a user as a file calls them.
pub(super) fn lot_of_value(value: &[u8]) -> u64 {
    shortest(value).map_or_else(|| lot_of_text(value), lot_of_number)
}

/// The lot of a user who is called by a number.
pub(super) fn lot_of_number(number: u64) -> u64 {
    Counter::new(SEED, Stream::Sample).bits(number)
}

/// The lot of a user who is called by a text.
pub(super) fn lot_of_text(text: &[u8]) -> u64 {
    Counter::new(SEED, Stream::Sample).lane(1).bits(fnv(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_halving_keeps_half_of_those_before() {
        let mut share = Share::default();
        let mut before: Vec<u64> = (0..40_000).collect();
        for halvings in 1..=6 {
            share = share.halved().unwrap();
            let kept: Vec<u64> = (0..40_000).filter(|user| share.has(|| lot_of_number(*user))).collect();
            assert!(kept.iter().all(|user| before.contains(user)), "who is left was there before");
            let expected = 40_000.0 / 2f64.powi(halvings);
            // Five standard deviations of the count.
            assert!((kept.len() as f64 - expected).abs() < 5.0 * expected.sqrt(), "{} of {expected}", kept.len());
            assert!((share.of_about(kept.len() as u32) as f64 / 40_000.0 - 1.0).abs() < 0.2);
            before = kept;
        }
        assert!((0..57).fold(share, |share, _| share.halved().unwrap()).halved().is_none());
    }

    #[test]
    fn texts_have_lots_too_and_an_estimate_has_two_digits() {
        let half = Share::default().halved().unwrap();
        let kept = (0..10_000).filter(|n| half.has(|| lot_of_text(format!("user {n}").as_bytes()))).count();
        assert!((4_700..5_300).contains(&kept), "{kept}");
        assert_eq!([0, 1, 7, 419_876].map(|kept| half.of_about(kept)), [0, 2, 14, 840_000]);
        assert_eq!((Share::default().of_about(123), half.has(|| u64::MAX), half.has(|| 1)), (120, false, true));
    }
}
