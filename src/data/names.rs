//! What a file calls the users and items that a run knows by number.

use super::Vocabulary;
use super::ids::Ids;

/// The ids of users and items by what a file calls them.
pub struct Names(Kind);

enum Kind {
    /// Those of a file that was read.
    Own { users: Ids, items: Ids },
    /// The ids themselves: the synthetic stream, a subset.
    Numbers(Vocabulary),
}

impl Names {
    pub(super) fn of(users: Ids, items: Ids) -> Self {
        Self(Kind::Own { users, items })
    }

    /// Users and items that are called by their ids.
    pub fn numbers(vocabulary: Vocabulary) -> Self {
        Self(Kind::Numbers(vocabulary))
    }

    /// What users are called, by their ids.
    pub fn users(&self) -> Vec<Box<[u8]>> {
        match &self.0 {
            Kind::Own { users, .. } => users.values(),
            Kind::Numbers(vocabulary) => numbers(vocabulary.users),
        }
    }

    /// What items are called, by their ids.
    pub fn items(&self) -> Vec<Box<[u8]>> {
        match &self.0 {
            Kind::Own { items, .. } => items.values(),
            Kind::Numbers(vocabulary) => numbers(vocabulary.items),
        }
    }

    /// The user with a name; none where the run knows no such user.
    pub fn user(&self, name: &[u8]) -> Option<u32> {
        match &self.0 {
            Kind::Own { users, .. } => users.find(name.trim_ascii()),
            Kind::Numbers(vocabulary) => number(name, vocabulary.users),
        }
    }

    /// The item with a name; none where the run knows no such item.
    pub fn item(&self, name: &[u8]) -> Option<u32> {
        match &self.0 {
            Kind::Own { items, .. } => items.find(name.trim_ascii()),
            Kind::Numbers(vocabulary) => number(name, vocabulary.items),
        }
    }
}

fn numbers(end: u32) -> Vec<Box<[u8]>> {
    (0..end).map(|id| id.to_string().into_bytes().into()).collect()
}

fn number(name: &[u8], end: u32) -> Option<u32> {
    std::str::from_utf8(name.trim_ascii()).ok()?.parse().ok().filter(|id| *id < end)
}
