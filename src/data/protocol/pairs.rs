//! Sets of (user, item) and (user, category) pairs.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// A user and an item or a category in one key.
pub(super) fn pair(user: u32, other: u32) -> u64 {
    u64::from(user) << 32 | u64::from(other)
}

/// A set of pairs: 9 to 21 bytes for each.
pub(super) type Pairs = HashSet<u64, BuildHasherDefault<PairHasher>>;

/// Multiplies and folds a pair: fast, the same in every run, and good enough for keys that nobody chooses to collide.
#[derive(Default)]
pub(super) struct PairHasher(u64);

impl Hasher for PairHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(self.0 ^ u64::from(byte)));
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(value ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93_u128;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
