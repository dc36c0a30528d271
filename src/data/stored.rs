//! Rows in memory, cleaned and in time order.

use std::sync::Arc;

use super::features::Features;
use super::{Behaviour, Event, Origin, Source, Vocabulary};

/// How far reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many lines are read.
    Lines(u64),
    /// All lines are read; so many rows are sorted by time, and repetitions removed.
    Sorting(u64),
}

/// Rows in memory, cleaned and in time order. 12 bytes a row, 4 an item and one a field of a user or an item stay.
///
/// Ids are counted from 0 in the order in which kept rows first name them in the file, so the same file always gives
/// the same ids. Rows of the same second keep the order of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Rows {
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) rows: Vec<Packed>,
    /// `[items]`.
    pub(super) item_category: Vec<u32>,
    pub(super) profiles: Features,
    pub(super) attributes: Features,
    pub(super) vocabulary: Vocabulary,
    pub(super) refused: Vec<(String, u64)>,
    pub(super) notes: Vec<String>,
}

/// Users, or items, that can be told apart.
pub(super) const MOST_IDS: u32 = 1 << 29;

/// A row without its category, which its item tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Packed {
    /// Unix seconds: to the year 2106.
    pub seconds: u32,
    pub user: u32,
    /// The item, below [`MOST_IDS`], times 8 plus the behaviour.
    done: u32,
}

impl Packed {
    pub fn new(user: u32, item: u32, seconds: u32, behaviour: Behaviour) -> Self {
        Self { seconds, user, done: item << 3 | behaviour as u32 }
    }

    /// A row of its three numbers.
    pub fn of(seconds: u32, user: u32, done: u32) -> Self {
        Self { seconds, user, done }
    }

    /// The same row of a user and an item with other ids.
    pub fn renamed(self, user: u32, item: u32) -> Self {
        Self { user, done: item << 3 | self.done & 7, ..self }
    }

    /// The item times 8 plus the behaviour.
    pub fn done(self) -> u32 {
        self.done
    }

    pub fn item(self) -> u32 {
        self.done >> 3
    }

    /// Whether it names a behaviour: what was written here does.
    pub fn is_known(self) -> bool {
        ((self.done & 7) as usize) < Behaviour::OF_ROWS.len()
    }

    fn behaviour(self) -> Behaviour {
        Behaviour::OF_ROWS[(self.done & 7) as usize]
    }
}

impl Rows {
    /// Rows that are in order already, with ids below the vocabulary: what a sample holds.
    pub(super) fn of_sample(
        name: &str,
        rows: Vec<Packed>,
        item_category: Vec<u32>,
        [profiles, attributes]: [Features; 2],
        vocabulary: Vocabulary,
    ) -> Self {
        let (refused, notes) = (Vec::new(), Vec::new());
        Self { name: name.into(), origin: Origin::Sample, rows, item_category, profiles, attributes, vocabulary, refused, notes }
    }

    /// The rows in time order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        (0..self.rows.len()).filter_map(|at| self.event(at))
    }

    /// The row at a place in time order.
    fn event(&self, at: usize) -> Option<Event> {
        let row = *self.rows.get(at)?;
        Some(Event {
            user: row.user,
            item: row.item(),
            category: self.item_category[row.item() as usize],
            behaviour: row.behaviour(),
            time: row.seconds.into(),
        })
    }
}

impl Source for Rows {
    fn origin(&self) -> Origin {
        self.origin
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn vocabulary(&self) -> Vocabulary {
        self.vocabulary
    }

    fn category(&self, item: u32) -> u32 {
        self.item_category[item as usize]
    }

    fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    fn refused(&self) -> Vec<(String, u64)> {
        self.refused.clone()
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn profile_fields(&self) -> u32 {
        self.profiles.fields()
    }

    fn profile(&self, user: u32, field: u32) -> Option<u32> {
        self.profiles.get(user, field)
    }

    fn item_fields(&self) -> u32 {
        self.attributes.fields()
    }

    fn attribute(&self, item: u32, field: u32) -> Option<u32> {
        self.attributes.get(item, field)
    }

    fn events(self: Arc<Self>) -> Box<dyn Iterator<Item = Event> + Send> {
        Box::new((0..self.rows.len()).filter_map(move |at| self.event(at)))
    }
}
