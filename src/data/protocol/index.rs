//! Rows as an index: what was known before any row is looked up, not replayed.
//!
//! Rows are sorted by time, and each user's rows lie together in time order (compressed sparse rows). Then the history of a row
//! is a prefix of its user's list, its counts are prefix counts, whether an item was had before is a binary search, and how
//! often an item came before is one too. So any batch can be built without the ones before it, by many threads at once and
//! first thing after a resume. Once built, nothing changes.

use std::sync::Arc;

use crate::data::{Behaviour, DataError, Source};

/// Behaviours between two kept counts: a count is one look-up and a walk over fewer than this many.
const BLOCK: usize = 32;

/// A user just before a row: what came earlier is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// The user.
    pub user: u32,
    /// Rows of the stream before this are known.
    pub row: u32,
    /// Where the user's known rows end, see [`Index::place`].
    end: u32,
}

impl Moment {
    /// The moment after the user's row itself.
    pub(super) fn after(self) -> Self {
        Self { row: self.row + 1, end: self.end + 1, ..self }
    }
}

/// The rows of a source by time, by user and by item. Keeps 21.5 bytes a row, 4 a user and 8 an item; where some items were shown and
/// not taken, 5 more a row and 4 an item.
///
/// Such exposures are rows of the stream and no behaviours: histories, counts and rows by item leave them out, and a place is where the
/// user's next behaviour lies.
#[derive(PartialEq)]
pub(super) struct Index {
    /// `[rows]`: the user of each row in time order.
    user: Vec<u32>,
    /// `[rows]`: where each row lies among all users' rows.
    place: Vec<u32>,
    /// What the rows showed, where some are no behaviours.
    shown: Option<Shown>,
    /// `[users + 1]`: where each user's rows begin.
    user_start: Vec<u32>,
    /// `[rows]`, by user and then in time order: their items.
    items: Vec<u32>,
    /// `[rows]`, in the same order: what was done.
    behaviours: Vec<Behaviour>,
    /// `[rows / BLOCK + 1]`: at every place that is a multiple of it, the behaviours by kind before it of the user whom it belongs to.
    counts: Vec<[u32; Behaviour::COUNT]>,
    /// `[rows]`, by user: the places of their rows by item, and those of an item in time order.
    by_item: Vec<u32>,
    /// `[items + 1]`: where each item's rows begin.
    item_start: Vec<u32>,
    /// `[rows]`, by item and then in time order: the rows.
    rows_of_item: Vec<u32>,
    /// `[items]`.
    categories: Vec<u32>,
}

/// Rows of which some were shown and not taken.
#[derive(PartialEq)]
struct Shown {
    /// `[rows]`: what was shown.
    item: Vec<u32>,
    /// `[rows]`: what was done.
    behaviour: Vec<Behaviour>,
    /// `[items]`: the first row that showed it; the number of rows where none did.
    first: Vec<u32>,
}

impl Shown {
    fn new(item: &[u32], behaviour: &[Behaviour], items: u32) -> Self {
        let mut first = vec![item.len() as u32; items as usize];
        (0..).zip(item).for_each(|(row, &item): (u32, &u32)| first[item as usize] = first[item as usize].min(row));
        Self { item: item.to_vec(), behaviour: behaviour.to_vec(), first }
    }
}

impl Index {
    /// Reads the rows once. Each user's items are sorted on `threads` threads; the index is the same for any number.
    ///
    /// # Errors
    /// [`DataError::TooMany`] where a row has no number below `2^32`.
    pub(super) fn of(source: &Arc<dyn Source>, threads: usize) -> Result<Self, DataError> {
        let vocabulary = source.vocabulary();
        let rows = source.rows();
        if rows > u64::from(u32::MAX) {
            return Err(DataError::TooMany { name: source.name(), rows, most: u32::MAX.into() });
        }
        let (mut user, mut item, mut behaviour) = by_row(source, rows as usize);
        let taken: Vec<bool> = behaviour.iter().map(|behaviour| behaviour.is_taken()).collect();
        let shown = taken.contains(&false).then(|| Shown::new(&item, &behaviour, vocabulary.items));
        let user_start = starts(&user, &taken, vocabulary.users);
        let place = places(&user, &taken, &user_start);
        let item_start = starts(&item, &taken, vocabulary.items);
        let mut rows_of_item = vec![0; item_start[vocabulary.items as usize] as usize];
        let places_of_items = places(&item, &taken, &item_start);
        (0..).zip(&taken).filter(|(_, taken)| **taken).for_each(|(row, _)| rows_of_item[places_of_items[row as usize] as usize] = row);
        item = scattered(item, &taken, &place);
        behaviour = scattered(behaviour, &taken, &place);
        user.shrink_to_fit();
        Ok(Self {
            shown,
            counts: block_counts(&behaviour, &user_start),
            by_item: sorted_by_item(&item, &user_start, threads),
            categories: (0..vocabulary.items).map(|item| source.category(item)).collect(),
            user,
            place,
            user_start,
            items: item,
            behaviours: behaviour,
            item_start,
            rows_of_item,
        })
    }

    /// A sum over every row and category: other rows, or the same in another order, have another one but for one chance in four
    /// billion.
    pub(super) fn checksum(&self) -> u32 {
        let behaviours: Vec<u8> = self.behaviours.iter().map(|&behaviour| behaviour as u8).collect();
        let numbers = [&self.user, &self.items, &self.categories].map(|numbers| bytemuck::cast_slice(numbers));
        numbers.into_iter().chain([&behaviours[..]]).fold(0, crc32c::crc32c_append)
    }

    /// Rows.
    pub(super) fn rows(&self) -> u32 {
        self.user.len() as u32
    }

    /// The user of a row.
    pub(super) fn user(&self, row: u32) -> u32 {
        self.user[row as usize]
    }

    /// The item of a row.
    pub(super) fn item(&self, row: u32) -> u32 {
        self.shown.as_ref().map_or_else(|| self.items[self.place[row as usize] as usize], |shown| shown.item[row as usize])
    }

    /// What was done in a row.
    pub(super) fn behaviour(&self, row: u32) -> Behaviour {
        self.shown.as_ref().map_or_else(|| self.behaviours[self.place[row as usize] as usize], |shown| shown.behaviour[row as usize])
    }

    /// Whether some rows showed what was not taken.
    pub(super) fn has_exposures(&self) -> bool {
        self.shown.is_some()
    }

    /// The first row with an item, taken or not; none where there is no such row.
    pub(super) fn first_row(&self, item: u32) -> Option<u32> {
        match &self.shown {
            Some(shown) => Some(shown.first[item as usize]).filter(|&row| row < self.rows()),
            None => self.rows_of(item).first().copied(),
        }
    }

    /// The category of an item.
    pub(super) fn category(&self, item: u32) -> u32 {
        self.categories[item as usize]
    }

    /// The user of a row, just before it.
    pub(super) fn before(&self, row: u32) -> Moment {
        Moment { user: self.user(row), row, end: self.place[row as usize] }
    }

    /// A user before any row of the stream, `rows_by_place` being that of [`Index::rows_by_place`].
    pub(super) fn at(&self, user: u32, row: u32, rows_by_place: &[u32]) -> Moment {
        let [start, end] = self.span(user);
        let known = rows_by_place[start as usize..end as usize].partition_point(|&own| own < row) as u32;
        Moment { user, row, end: start + known }
    }

    /// The first of a user's rows from one row to another that took an item.
    pub(super) fn row_between(&self, [user, item]: [u32; 2], [from, to]: [u32; 2], rows_by_place: &[u32]) -> Option<u32> {
        let [start, end] = self.span(user);
        let own = &rows_by_place[start as usize..end as usize];
        let first = own.partition_point(|&row| row < from);
        let between = own[first..].iter().zip(&self.items[start as usize + first..]).take_while(|(row, _)| **row < to);
        between.filter(|(_, other)| **other == item).map(|(row, _)| *row).next()
    }

    /// `[behaviours]`: the row that lies at each place.
    pub(super) fn rows_by_place(&self) -> Vec<u32> {
        let mut rows = vec![0; self.items.len()];
        let taken = (0..self.rows()).filter(|&row| self.shown.is_none() || self.behaviour(row).is_taken());
        taken.for_each(|row| rows[self.place[row as usize] as usize] = row);
        rows
    }

    /// Items of the user's rows so far, oldest first.
    pub(super) fn history(&self, moment: Moment) -> &[u32] {
        &self.items[self.start(moment.user)..moment.end as usize]
    }

    /// What the user did in their rows so far, oldest first.
    pub(super) fn done(&self, moment: Moment) -> &[Behaviour] {
        &self.behaviours[self.start(moment.user)..moment.end as usize]
    }

    /// The user's behaviours so far, by kind.
    pub(super) fn counts(&self, moment: Moment) -> [u32; Behaviour::COUNT] {
        let (start, end) = (self.start(moment.user), moment.end as usize);
        // The last block that begins among the known rows, and so is the user's own.
        let block = end.saturating_sub(1) / BLOCK;
        let (mut counts, from) = match block * BLOCK {
            first if first > start => (self.counts[block], first),
            _ => ([0; Behaviour::COUNT], start),
        };
        self.behaviours[from..end].iter().for_each(|&behaviour| counts[behaviour as usize] += 1);
        counts
    }

    /// Whether the user had an item so far.
    pub(super) fn had(&self, moment: Moment, item: u32) -> bool {
        let [start, end] = self.span(moment.user);
        let own = &self.by_item[start as usize..end as usize];
        let first = own.partition_point(|&place| self.items[place as usize] < item);
        own.get(first).is_some_and(|&place| self.items[place as usize] == item && place < moment.end)
    }

    /// Behaviours with an item before a row of the stream.
    pub(super) fn item_rows(&self, item: u32, row: u32) -> u32 {
        self.rows_of(item).partition_point(|&other| other < row) as u32
    }

    /// The rows that took an item, in time order.
    pub(super) fn rows_of(&self, item: u32) -> &[u32] {
        &self.rows_of_item[self.item_start[item as usize] as usize..self.item_start[item as usize + 1] as usize]
    }

    /// How many behaviours each user has.
    pub(super) fn rows_of_users(&self) -> impl Iterator<Item = u32> {
        self.user_start.windows(2).map(|span| span[1] - span[0])
    }

    /// How many different items of a user's first `rows` rows there are.
    pub(super) fn distinct_items(&self, user: u32, rows: u32) -> u32 {
        let [start, end] = self.span(user);
        let mut last = None;
        let is_first =
            |&&place: &&u32| last.replace(self.items[place as usize]) != Some(self.items[place as usize]) && place < start + rows;
        self.by_item[start as usize..end as usize].iter().filter(is_first).count() as u32
    }

    /// How many different categories of a user's first `rows` rows there are. `scratch` is for further calls.
    pub(super) fn distinct_categories(&self, user: u32, rows: u32, scratch: &mut Vec<u32>) -> u32 {
        let start = self.start(user);
        scratch.clear();
        scratch.extend(self.items[start..start + rows as usize].iter().map(|&item| self.category(item)));
        scratch.sort_unstable();
        scratch.dedup();
        scratch.len() as u32
    }

    fn start(&self, user: u32) -> usize {
        self.user_start[user as usize] as usize
    }

    fn span(&self, user: u32) -> [u32; 2] {
        [self.user_start[user as usize], self.user_start[user as usize + 1]]
    }
}

/// Users, items and behaviours of the rows in time order.
fn by_row(source: &Arc<dyn Source>, rows: usize) -> (Vec<u32>, Vec<u32>, Vec<Behaviour>) {
    let (mut users, mut items, mut behaviours) = (Vec::with_capacity(rows), Vec::with_capacity(rows), Vec::with_capacity(rows));
    for event in source.clone().events() {
        debug_assert_eq!(event.category, source.category(event.item), "a category is its item's");
        users.push(event.user);
        items.push(event.item);
        behaviours.push(event.behaviour);
    }
    (users, items, behaviours)
}

/// Where the rows of each owner that are `taken` begin once they lie together: `[owners + 1]`.
fn starts(owner_of_row: &[u32], taken: &[bool], owners: u32) -> Vec<u32> {
    let mut starts = vec![0; owners as usize + 1];
    owner_of_row.iter().zip(taken).for_each(|(&owner, &taken)| starts[owner as usize + 1] += u32::from(taken));
    let mut before = 0;
    starts.iter_mut().for_each(|start| {
        before += *start;
        *start = before;
    });
    starts
}

/// Where each row lies once the taken rows of each owner lie together in time order; one that is not taken has the place of the next.
fn places(owner_of_row: &[u32], taken: &[bool], starts: &[u32]) -> Vec<u32> {
    let mut next = starts.to_vec();
    let place = |(&owner, &taken): (&u32, &bool)| {
        let next = &mut next[owner as usize];
        *next += u32::from(taken);
        *next - u32::from(taken)
    };
    owner_of_row.iter().zip(taken).map(place).collect()
}

/// Values of the rows that are taken, each at its row's place.
fn scattered<T: Copy>(of_row: Vec<T>, taken: &[bool], places: &[u32]) -> Vec<T> {
    let mut scattered = of_row.clone();
    let rows = taken.iter().filter(|taken| **taken).count();
    of_row
        .into_iter()
        .zip(taken)
        .zip(places)
        .filter(|((_, taken), _)| **taken)
        .for_each(|((value, _), &place)| scattered[place as usize] = value);
    scattered.truncate(rows);
    scattered.shrink_to_fit();
    scattered
}

/// See [`Index::counts`].
fn block_counts(behaviours: &[Behaviour], user_start: &[u32]) -> Vec<[u32; Behaviour::COUNT]> {
    let mut blocks = vec![[0; Behaviour::COUNT]; behaviours.len() / BLOCK + 1];
    for span in user_start.windows(2) {
        let mut counts = [0; Behaviour::COUNT];
        for place in span[0] as usize..span[1] as usize {
            if place.is_multiple_of(BLOCK) {
                blocks[place / BLOCK] = counts;
            }
            counts[behaviours[place] as usize] += 1;
        }
    }
    blocks
}

/// See [`Index::by_item`].
fn sorted_by_item(items: &[u32], user_start: &[u32], threads: usize) -> Vec<u32> {
    let mut by_item: Vec<u32> = (0..items.len() as u32).collect();
    let sort = |users: &[u32], own: &mut [u32]| {
        let first = users[0];
        for span in users.windows(2) {
            let own = &mut own[(span[0] - first) as usize..(span[1] - first) as usize];
            own.sort_unstable_by_key(|&place| u64::from(items[place as usize]) << 32 | u64::from(place));
        }
    };
    let users = user_start.len() - 1;
    let share = users.div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        let mut rest = by_item.as_mut_slice();
        let mut first = 0;
        while first < users {
            let next = (first + share).min(users);
            let users_of_part = &user_start[first..=next];
            let (part, others) = rest.split_at_mut((user_start[next] - user_start[first]) as usize);
            // The last part is this thread's own: with one thread, as in a browser, no other is started.
            if next == users {
                sort(users_of_part, part);
            } else {
                scope.spawn(move || sort(users_of_part, part));
            }
            (rest, first) = (others, next);
        }
    });
    by_item
}
