//! Rows, from the generator or a file, and the protocol that turns them into batches.

pub mod csv;
pub mod generator;
pub mod protocol;
pub mod sample;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::message::Origin;

/// What a user did, in the order of the dense count features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Behaviour {
    /// Looked at an item's page.
    View,
    /// Put it in the cart.
    Cart,
    /// Made it a favourite.
    Favourite,
    /// Bought it.
    Buy,
}

impl Behaviour {
    /// How many kinds there are.
    pub const COUNT: usize = 4;

    /// Whether the row is a positive of task B: stronger interest than a look.
    pub fn is_strong(self) -> bool {
        self != Self::View
    }
}

/// One row, its ids counted from 0 within the data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// User, below [`Vocabulary::users`].
    pub user: u32,
    /// Item, below [`Vocabulary::items`].
    pub item: u32,
    /// The item's category, below [`Vocabulary::categories`].
    pub category: u32,
    /// What the user did.
    pub behaviour: Behaviour,
    /// Unix seconds.
    pub time: i64,
}

/// How many of each id there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// Users.
    pub users: u32,
    /// Items.
    pub items: u32,
    /// Categories.
    pub categories: u32,
}

/// Rows in time order that can be read again and again: once to count, once to train.
pub trait Source: Send + Sync {
    /// Where the rows come from.
    fn origin(&self) -> Origin;
    /// The file's name, or a word on the generator.
    fn name(&self) -> String;
    /// How many of each id there are.
    fn vocabulary(&self) -> Vocabulary;
    /// The category of an item (negatives need it).
    fn category(&self, item: u32) -> u32;
    /// Rows that [`Source::events`] yields.
    fn rows(&self) -> u64;
    /// Rows that were refused, by reason.
    fn refused(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
    /// The planted group of a user, where there is one.
    fn planted_group(&self, _user: u32) -> Option<u32> {
        None
    }
    /// The rows, sorted by time and then by row.
    fn events(self: Arc<Self>) -> Box<dyn Iterator<Item = Event> + Send>;
}
