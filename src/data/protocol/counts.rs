//! What the first pass over the rows tells of users and items.

use std::cmp::Reverse;
use std::sync::Arc;

use super::pairs::{Pairs, pair};
use crate::counter::{Counter, Stream};
use crate::data::{GroupInterest, Interest, Source};

/// Parts of the users by activity, of the same size but for rounding.
const DECILES: usize = 10;

/// Share of the items that are not tail items (A20).
const HEAD_SHARE: f64 = 0.1;

/// What the first pass counts.
pub(super) struct Counts {
    pub(super) rows_of_user: Vec<u32>,
    pub(super) rows_of_item: Vec<u32>,
    pub(super) unseen_test_rows: u64,
    train_rows_of_user: Vec<u32>,
    train_rows_of_item: Vec<u32>,
    /// Distinct ones in the training rows.
    items_of_user: Vec<u32>,
    categories_of_user: Vec<u32>,
}

impl Counts {
    pub(super) fn of(source: &Arc<dyn Source>, train_rows: u64) -> Self {
        let vocabulary = source.vocabulary();
        let by_user = || vec![0; vocabulary.users as usize];
        let mut counts = Self {
            rows_of_user: by_user(),
            rows_of_item: vec![0; vocabulary.items as usize],
            unseen_test_rows: 0,
            train_rows_of_user: Vec::new(),
            train_rows_of_item: Vec::new(),
            items_of_user: by_user(),
            categories_of_user: by_user(),
        };
        let (mut items, mut categories) = (Pairs::default(), Pairs::default());
        let mut events = source.clone().events();
        for event in events.by_ref().take(usize::try_from(train_rows).unwrap_or(usize::MAX)) {
            let user = event.user as usize;
            counts.rows_of_user[user] += 1;
            counts.rows_of_item[event.item as usize] += 1;
            counts.items_of_user[user] += u32::from(items.insert(pair(event.user, event.item)));
            counts.categories_of_user[user] += u32::from(categories.insert(pair(event.user, event.category)));
        }
        counts.train_rows_of_user.clone_from(&counts.rows_of_user);
        counts.train_rows_of_item.clone_from(&counts.rows_of_item);
        for event in events {
            counts.rows_of_user[event.user as usize] += 1;
            counts.rows_of_item[event.item as usize] += 1;
            counts.unseen_test_rows += u64::from(counts.train_rows_of_item[event.item as usize] == 0);
        }
        counts
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

    /// Training rows of the low-active users, or of the others.
    pub(super) fn train_rows_of(&self, low: bool, low_active: &[bool]) -> u64 {
        total(&self.train_rows_of_user, low, low_active)
    }

    /// Means of both activity groups over the training rows; NaN where a group has no user.
    pub(super) fn interest(&self, low_active: &[bool]) -> Interest {
        let group = |low: bool| {
            let users = low_active.iter().filter(|&&active| active == low).count() as u64;
            let mean = |of_user: &[u32]| total(of_user, low, low_active) as f64 / users as f64;
            GroupInterest {
                users,
                behaviours: mean(&self.train_rows_of_user),
                items: mean(&self.items_of_user),
                categories: mean(&self.categories_of_user),
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
