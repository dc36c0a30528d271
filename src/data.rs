//! Rows, from the generator or a file, and the protocol that turns them into batches.

mod alias;
mod blocks;
pub mod cache;
pub mod csv;
mod features;
mod gather;
pub mod generator;
mod ids;
mod names;
mod order;
pub mod output;
pub mod own;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod protocol;
mod report;
pub mod requests;
pub mod rows;
pub mod sample;
pub mod schema;
mod share;
pub mod sniff;
mod stored;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use names::Names;
pub use report::{DataReport, GroupInterest, Interest, Origin};

/// What a user did, in the order of the dense count features; then what may come of an item that was shown and not taken
/// (protocol E1), which is no behaviour of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// Was shown it and did nothing.
    Shown,
    /// Was shown it and did only what task B is about: stayed, and did not take it.
    Stayed,
}

impl Behaviour {
    /// How many kinds of behaviours there are, without [`Behaviour::Shown`] and [`Behaviour::Stayed`].
    pub const COUNT: usize = 4;

    /// All of them, in their order.
    pub const ALL: [Self; Self::COUNT] = [Self::View, Self::Cart, Self::Favourite, Self::Buy];

    /// All that a row can say, in their order: the behaviours, and what may come of an item that was not taken.
    pub const OF_ROWS: [Self; Self::COUNT + 2] = [Self::View, Self::Cart, Self::Favourite, Self::Buy, Self::Shown, Self::Stayed];

    /// Whether the row is a positive of task A: a behaviour of the user, which histories and counts keep.
    pub fn is_taken(self) -> bool {
        !matches!(self, Self::Shown | Self::Stayed)
    }

    /// Whether the row is a positive of task B: stronger interest than a look.
    pub fn is_strong(self) -> bool {
        !matches!(self, Self::View | Self::Shown)
    }

    /// What a row of two labels is: task A's, then task B's.
    pub fn of_labels(labels: [bool; 2]) -> Self {
        match labels {
            [false, false] => Self::Shown,
            [false, true] => Self::Stayed,
            [true, false] => Self::View,
            [true, true] => Self::Buy,
        }
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

/// The first second of the data set's window: 2017-11-25 00:00 in Beijing (UTC+8), in unix seconds.
pub const WINDOW_START: i64 = 1_511_539_200;

/// The first second after the window: 2017-12-04 00:00 in Beijing, nine days later.
pub const WINDOW_END: i64 = 1_512_316_800;

/// Values of a field of a user's profile, and of an item's attributes.
pub const PROFILE_VALUES: u32 = 8;

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

/// One of the two kinds of things that meet in a row, and of which there are clusters and memories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Users.
    #[default]
    Users,
    /// Items.
    Items,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Users, Self::Items];

    /// The side that meets this one in a row.
    pub fn other(self) -> Self {
        match self {
            Self::Users => Self::Items,
            Self::Items => Self::Users,
        }
    }
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
    /// What was put right without refusing a row, in sentences without their full stop.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
    /// The planted group of a user, where there is one.
    fn planted_group(&self, _user: u32) -> Option<u32> {
        None
    }
    /// The planted group of a user when a row comes, where there is one: it may drift. A row beyond the last stands for the end.
    fn planted_group_at(&self, user: u32, _row: u64) -> Option<u32> {
        self.planted_group(user)
    }
    /// Planted groups of users; 0 where there are none.
    fn planted_groups(&self) -> u32 {
        0
    }
    /// Planted groups of items; 0 where there are none.
    fn planted_item_groups(&self) -> u32 {
        0
    }
    /// The planted group of an item, where there is one.
    fn planted_item_group(&self, _item: u32) -> Option<u32> {
        None
    }
    /// Fields of a user's profile.
    fn profile_fields(&self) -> u32 {
        0
    }
    /// The value of a profile field, below [`PROFILE_VALUES`]; none where it is missing.
    fn profile(&self, _user: u32, _field: u32) -> Option<u32> {
        None
    }
    /// Fields of an item's attributes, beside its category.
    fn item_fields(&self) -> u32 {
        0
    }
    /// The value of an item's field, below [`PROFILE_VALUES`]; none where it is missing.
    fn attribute(&self, _item: u32, _field: u32) -> Option<u32> {
        None
    }
    /// The probability with which the source itself would give this item as the user's next row at `row` of the stream, after a
    /// history of items (newest first; what is no item ends it). None where the source is no model of its rows or has no such user
    /// or item.
    fn probability(&self, _row: u64, _user: u32, _item: u32, _history: &[u32]) -> Option<f64> {
        None
    }
    /// What a history of items (newest first; what is no item ends it) tells of the planted group of its user at `row`: the source's
    /// own probability of each group. None where the source is no model of its rows.
    fn group_posterior(&self, _row: u64, _history: &[u32]) -> Option<Vec<f64>> {
        None
    }
    /// The rows, sorted by time and then by row.
    fn events(self: Arc<Self>) -> Box<dyn Iterator<Item = Event> + Send>;
}

/// Characters of a value that an error shows.
const SHOWN: usize = 40;

/// A value as an error shows it: readable text as it is, the rest escaped, the end cut off.
fn shown(value: &[u8]) -> String {
    let text = match std::str::from_utf8(value) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => value.escape_ascii().to_string(),
    };
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}

/// Why rows cannot be used. Every text names the data, says what is wrong there and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}. {}", self.problem(), self.advice())]
pub enum DataError {
    /// The file stopped being readable.
    Unreadable {
        /// The file.
        name: String,
        /// What the system said.
        detail: String,
    },
    /// Another kind of file: an archive, a page, a pointer to the rows.
    Foreign {
        /// The file.
        name: String,
        /// What it is, with its article.
        what: String,
        /// What to do.
        advice: String,
    },
    /// A line is not a row.
    Line {
        /// The file.
        name: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        problem: String,
        /// The value, escaped and shortened.
        value: String,
        /// What to do.
        advice: String,
    },
    /// The columns of a file are not those that were said, or no row has in them what it should.
    Columns {
        /// The file.
        name: String,
        /// What is wrong, to be read right after the name.
        problem: String,
    },
    /// A table's columns are not those that are needed.
    Table {
        /// The file.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A sample is damaged, cut off, of another version or no sample at all.
    Sample {
        /// The file.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// More rows than can be numbered.
    TooMany {
        /// The file, or the generator.
        name: String,
        /// Its rows.
        rows: u64,
        /// How many could be.
        most: u64,
    },
    /// Every row may be right, but there is nothing to train and test on.
    TooLittle {
        /// The file, or the generator.
        name: String,
        /// What is missing, to be read after the name.
        problem: String,
        /// What to do.
        advice: String,
    },
}

impl DataError {
    /// What is wrong and where, a sentence without its full stop.
    pub fn problem(&self) -> String {
        match self {
            Self::Unreadable { name, detail } => format!("{name} cannot be read: {detail}"),
            Self::Foreign { name, what, .. } => format!("{name} is {what}, not rows"),
            Self::Line { name, line, problem, value, .. } => format!("{name}, line {line}: {problem}, found \"{value}\""),
            Self::Columns { name, problem } => format!("{name}{problem}"),
            Self::Table { name, problem } => format!("{name} cannot be understood: {problem}"),
            Self::Sample { name, problem } => format!("{name} is not a usable subset: {problem}"),
            Self::TooMany { name, rows, most } => format!("{name} has {rows} rows, more than the {most} that one run can go through"),
            Self::TooLittle { name, problem, .. } => format!("{name} {problem}"),
        }
    }

    /// What to do, a sentence without its full stop.
    pub fn advice(&self) -> &str {
        match self {
            Self::Unreadable { .. } => "Check that the file is there, whole and readable, then try again",
            Self::Columns { .. } => "`duia inspect` shows what can be guessed; --columns and --behaviors say it otherwise",
            Self::Table { .. } => "Say with --columns which column is which, like user=user_id,item=item_id,time=timestamp",
            Self::Sample { .. } => "Make it again with `duia sample`",
            Self::TooMany { .. } => "Use a part of them",
            Self::Foreign { advice, .. } | Self::Line { advice, .. } | Self::TooLittle { advice, .. } => advice,
        }
    }
}
