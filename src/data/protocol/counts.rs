//! What the rows tell of users and items before any is a sample.

use std::cmp::Reverse;

use super::index::Index;
use crate::counter::{Counter, Stream};
use crate::data::{GroupInterest, Interest, Vocabulary};

/// Parts of the users by activity, of the same size but for rounding.
const DECILES: usize = 10;

/// Share of the items that are not tail items (A20).
const HEAD_SHARE: f64 = 0.1;

/// What the rows say of users and items.
pub(super) struct Counts {
    train_rows_of_user: Vec<u32>,
    train_rows_of_item: Vec<u32>,
    /// Distinct ones in the training rows.
    items_of_user: Vec<u32>,
    categories_of_user: Vec<u32>,
}

impl Counts {
    /// Counts users, items and pairs of them among the behaviours of the first `train_rows` rows.
    pub(super) fn of(index: &Index, vocabulary: Vocabulary, train_rows: u32) -> Self {
        let mut train_rows_of_user = vec![0; vocabulary.users as usize];
        (0..train_rows).filter(|&row| index.behaviour(row).is_taken()).for_each(|row| train_rows_of_user[index.user(row) as usize] += 1);
        let by_user = |of: &mut dyn FnMut(u32, u32) -> u32| (0..).zip(&train_rows_of_user).map(|(user, &rows)| of(user, rows)).collect();
        let mut scratch = Vec::new();
        Self {
            train_rows_of_item: (0..vocabulary.items).map(|item| index.item_rows(item, train_rows)).collect(),
            items_of_user: by_user(&mut |user, rows| index.distinct_items(user, rows)),
            categories_of_user: by_user(&mut |user, rows| index.distinct_categories(user, rows, &mut scratch)),
            train_rows_of_user,
        }
    }

    /// Users from the least active on by training rows, ties by hash (A22).
    pub(super) fn by_activity(&self, seed: u64) -> Vec<u32> {
        let ties = Counter::new(seed, Stream::Ties);
        let mut order: Vec<u32> = (0..self.train_rows_of_user.len() as u32).collect();
        order.sort_unstable_by_key(|&user| (self.train_rows_of_user[user as usize], ties.bits(user.into()), user));
        order
    }

    /// Whether each item is outside the tenth of all items with the most training rows, ties by hash; items without a
    /// training row always are.
    pub(super) fn tail_items(&self, seed: u64) -> Vec<bool> {
        let rows = &self.train_rows_of_item;
        let ties = Counter::new(seed, Stream::Ties).lane(1);
        let head = (rows.len() as f64 * HEAD_SHARE).round() as usize;
        let mut order: Vec<u32> = (0..rows.len() as u32).filter(|&item| rows[item as usize] > 0).collect();
        order.sort_unstable_by_key(|&item| (Reverse(rows[item as usize]), ties.bits(item.into()), item));
        let mut tail = vec![true; rows.len()];
        order.iter().take(head).for_each(|&item| tail[item as usize] = false);
        tail
    }

    /// Means of both activity groups over the training rows; NaN where a group has no user.
    ///
    /// `profile` says how many fields of a user's profile are known.
    pub(super) fn interest(&self, low_active: &[bool], profile: impl Fn(u32) -> u32) -> Interest {
        let profile_of_user: Vec<u32> = (0..low_active.len() as u32).map(profile).collect();
        let group = |low: bool| {
            let users = low_active.iter().filter(|&&active| active == low).count() as u64;
            let mean = |of_user: &[u32]| total(of_user, low, low_active) as f64 / users as f64;
            GroupInterest {
                users,
                behaviours: mean(&self.train_rows_of_user),
                items: mean(&self.items_of_user),
                categories: mean(&self.categories_of_user),
                profile: mean(&profile_of_user),
            }
        };
        Interest { low: group(true), high: group(false) }
    }
}

/// The sum over the users of an activity group.
fn total(of_user: &[u32], low: bool, low_active: &[bool]) -> u64 {
    of_user.iter().zip(low_active).filter(|(_, active)| **active == low).map(|(&n, _)| u64::from(n)).sum()
}

/// The bottom share of the users.
pub(super) fn low_active(by_activity: &[u32], share: f64) -> Vec<bool> {
    let low = (by_activity.len() as f64 * share).round() as usize;
    let mut low_active = vec![false; by_activity.len()];
    by_activity.iter().take(low).for_each(|&user| low_active[user as usize] = true);
    low_active
}

/// The tenth of each user.
pub(super) fn deciles(by_activity: &[u32]) -> Vec<u8> {
    let mut deciles = vec![0; by_activity.len()];
    for (rank, &user) in by_activity.iter().enumerate() {
        deciles[user as usize] = (rank * DECILES / by_activity.len()) as u8;
    }
    deciles
}
