//! From parsed blocks to rows in time order: blocks are parsed by all cores, their values numbered in the order of the file, and the
//! rows sorted by time. What comes out is the same for any number of threads.

use std::sync::mpsc::{Receiver, sync_channel};

use super::features::Seen;
use super::ids::{Ids, Keys};
use super::names::Names;
use super::order::{Chunk, in_order};
use super::share::{Share, lot_of_number, lot_of_text};
use super::stored::{MOST_IDS, Packed, Progress, Rows};
use super::{Behaviour, DataError, Origin, Vocabulary};
use crate::platform::for_each;

/// Rows of a block, by column.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// `[rows]`.
    pub users: Keys,
    /// `[rows]`.
    pub items: Keys,
    /// `[rows]`, or nothing where all items are of one category.
    pub categories: Keys,
    /// `[rows]`.
    pub behaviours: Vec<Behaviour>,
    /// `[rows]`: unix seconds.
    pub times: Vec<u32>,
    /// `[rows]` for each column of the users' profiles.
    pub profiles: Vec<Keys>,
    /// `[rows]` for each column of the items' attributes.
    pub attributes: Vec<Keys>,
}

/// What a block says.
pub(super) struct Parsed<T> {
    /// Its rows.
    pub columns: Columns,
    /// Lines, for a person to watch.
    pub lines: u64,
    /// What is counted of it beside its rows.
    pub tally: T,
}

/// Where rows come from: blocks, which may be parsed in any order, and what is counted of them, which is added in order.
pub(super) trait Form: Sync {
    /// A part of the file.
    type Block: Send;
    /// What is counted of a block beside its rows.
    type Tally: Send;
    /// Reads a block; the first thing wrong with it, where that ends the reading.
    fn parse(&self, block: Self::Block) -> Result<Parsed<Self::Tally>, DataError>;
}

/// Rows as they come, with ids from 0.
pub(super) struct Gathered {
    users: Ids,
    items: Ids,
    categories: Ids,
    /// `[items]`.
    item_category: Vec<u32>,
    /// Rows that named another category than their item's first row.
    other_category: u64,
    profiles: Seen,
    attributes: Seen,
    chunks: Vec<Chunk>,
    lines: u64,
    rows: u64,
    threads: usize,
}

/// What is done with the values of the blocks of a round.
enum Numbering<'a> {
    Users {
        ids: &'a mut Ids,
        profiles: &'a mut Seen,
        keys: Vec<(Keys, Vec<Keys>)>,
        numbered: Vec<Vec<u32>>,
    },
    Items {
        ids: &'a mut Ids,
        categories: &'a mut Ids,
        item_category: &'a mut Vec<u32>,
        attributes: &'a mut Seen,
        keys: Vec<(Keys, Keys, Vec<Keys>)>,
        numbered: Vec<Vec<u32>>,
        other: u64,
    },
}

impl Numbering<'_> {
    fn work(&mut self) {
        match self {
            Self::Users { ids, profiles, keys, numbered } => {
                for (users, of_profiles) in std::mem::take(keys) {
                    let mut own = Vec::new();
                    ids.of_all(users, &mut own);
                    profiles.add(&own, of_profiles);
                    numbered.push(own);
                }
            }
            Self::Items { ids, categories, item_category, attributes, keys, numbered, other } => {
                let mut named = Vec::new();
                for (items, kinds, of_attributes) in std::mem::take(keys) {
                    let mut own = Vec::new();
                    ids.of_all(items, &mut own);
                    named.clear();
                    categories.of_all(kinds, &mut named);
                    for (row, &item) in own.iter().enumerate() {
                        let category = named.get(row).copied().unwrap_or(0);
                        match item_category.get(item as usize) {
                            None => item_category.push(category),
                            Some(&first) => *other += u64::from(first != category),
                        }
                    }
                    attributes.add(&own, of_attributes);
                    numbered.push(own);
                }
            }
        }
    }
}

impl Gathered {
    /// For a number of threads, of rows with these columns of users and of items.
    pub fn new(threads: usize, [profile, attributes]: [&[String]; 2]) -> Self {
        Self {
            users: Ids::default(),
            items: Ids::default(),
            categories: Ids::default(),
            item_category: Vec::new(),
            other_category: 0,
            profiles: Seen::of("user", profile),
            attributes: Seen::of("item", attributes),
            chunks: Vec::new(),
            lines: 0,
            rows: 0,
            threads: threads.max(1),
        }
    }

    /// Parses and numbers all blocks on all threads, handing what is counted of each to `take` in the order of the file. The first
    /// failure ends it.
    ///
    /// # Errors
    /// Of the first block, in the order of the file, that has one.
    pub fn gather<F: Form>(
        &mut self,
        form: &F,
        blocks: impl Iterator<Item = Result<F::Block, DataError>> + Send,
        name: &str,
        watch: &mut dyn FnMut(Progress),
        take: &mut dyn FnMut(F::Tally),
    ) -> Result<(), DataError> {
        if self.threads == 1 {
            return blocks.into_iter().try_for_each(|block| self.round(form, vec![block], name, watch, take));
        }
        std::thread::scope(|scope| {
            // One thread reads ahead of those that parse.
            let (sender, receiver) = sync_channel(2 * self.threads);
            scope.spawn(move || {
                // Nobody listens any more where the reading was ended.
                for block in blocks {
                    if sender.send(block).is_err() {
                        return;
                    }
                }
            });
            loop {
                let round = self.next_round(&receiver);
                if round.is_empty() {
                    return Ok(());
                }
                self.round(form, round, name, watch, take)?;
            }
        })
    }

    /// As many blocks as there are threads.
    fn next_round<B>(&self, receiver: &Receiver<B>) -> Vec<B> {
        receiver.iter().take(self.threads).collect()
    }

    fn round<F: Form>(
        &mut self,
        form: &F,
        blocks: Vec<Result<F::Block, DataError>>,
        name: &str,
        watch: &mut dyn FnMut(Progress),
        take: &mut dyn FnMut(F::Tally),
    ) -> Result<(), DataError> {
        let mut places: Vec<_> = blocks.into_iter().map(|block| (Some(block), None)).collect();
        for_each(&mut places, self.threads > 1, |(block, parsed)| {
            *parsed = block.take().map(|block| block.and_then(|block| form.parse(block)));
        });
        let (mut users, mut items, mut moments, mut failure) = (Vec::new(), Vec::new(), Vec::new(), None);
        for parsed in places.into_iter().filter_map(|(_, parsed)| parsed) {
            match parsed {
                Ok(Parsed { columns, lines, tally }) => {
                    take(tally);
                    self.lines += lines;
                    self.rows += columns.times.len() as u64;
                    users.push((columns.users, columns.profiles));
                    items.push((columns.items, columns.categories, columns.attributes));
                    moments.push((columns.times, columns.behaviours));
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        self.number(users, items, moments);
        self.require_ids(name)?;
        watch(Progress::Lines(self.lines));
        Ok(())
    }

    /// Numbers the values of blocks in the order of the file: users and their profiles on one thread, items with their categories
    /// and attributes on another.
    fn number(&mut self, users: Vec<(Keys, Vec<Keys>)>, items: Vec<(Keys, Keys, Vec<Keys>)>, moments: Vec<(Vec<u32>, Vec<Behaviour>)>) {
        let mut jobs = [
            Numbering::Users { ids: &mut self.users, profiles: &mut self.profiles, keys: users, numbered: Vec::new() },
            Numbering::Items {
                ids: &mut self.items,
                categories: &mut self.categories,
                item_category: &mut self.item_category,
                attributes: &mut self.attributes,
                keys: items,
                numbered: Vec::new(),
                other: 0,
            },
        ];
        for_each(&mut jobs, self.threads > 1, Numbering::work);
        let [Numbering::Users { numbered: users, .. }, Numbering::Items { numbered: items, other, .. }] = jobs else { return };
        self.other_category += other;
        let mut chunks: Vec<_> = users.into_iter().zip(items).zip(moments).map(|columns| (columns, Chunk::default())).collect();
        for_each(&mut chunks, self.threads > 1, |(((users, items), (times, behaviours)), chunk)| {
            let rows = users.iter().zip(&*items).zip(times.iter().zip(&*behaviours));
            *chunk = Chunk::of(rows.map(|((&user, &item), (&time, &behaviour))| Packed::new(user, item, time, behaviour)).collect());
        });
        self.chunks.extend(chunks.into_iter().map(|(_, chunk)| chunk));
    }

    /// Refuses more ids than a row has room for.
    fn require_ids(&self, name: &str) -> Result<(), DataError> {
        match self.users.len().max(self.items.len()) {
            ids if ids <= MOST_IDS => Ok(()),
            _ => Err(DataError::TooLittle {
                name: name.into(),
                problem: format!("names more than {MOST_IDS} users or items"),
                advice: "Use a part of its rows".into(),
            }),
        }
    }

    /// Forgets the rows of users who are not in the share, and what only those named: as if they had never come, but for the categories
    /// of items that they were the first to name.
    pub fn keep(&mut self, share: Share) {
        let stays = self.users.each(|number| share.has(|| lot_of_number(number)), |text| share.has(|| lot_of_text(text)));
        let (mut users, mut items) = (Renumbered::of(self.users.len()), Renumbered::of(self.items.len()));
        let mut categories = Renumbered::of(self.categories.len());
        let mut item_category = Vec::new();
        let all = &self.item_category;
        for chunk in &mut self.chunks {
            chunk.filter_map(|row| {
                stays[row.user as usize].then(|| {
                    let (user, item) = (users.get(row.user), items.get(row.item()));
                    if item as usize == item_category.len() {
                        let category = all[row.item() as usize];
                        // Without a column of categories all items are of one that no value names.
                        item_category.push(if categories.is_empty() { category } else { categories.get(category) });
                    }
                    row.renamed(user, item)
                })
            });
        }
        self.rows = self.chunks.iter().map(|chunk| chunk.len() as u64).sum();
        self.item_category = item_category;
        self.profiles.renumber(&users.new);
        self.attributes.renumber(&items.new);
        for (ids, new) in [(&mut self.users, users), (&mut self.items, items), (&mut self.categories, categories)] {
            *ids = std::mem::take(ids).renumbered(&new.new);
        }
    }

    /// How many of each id there are so far.
    pub fn vocabulary(&self) -> Vocabulary {
        Vocabulary { users: self.users.len(), items: self.items.len(), categories: self.categories.len().max(1) }
    }

    /// Lines so far.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Users and items that were named.
    pub fn named(&self) -> (u32, u32) {
        (self.users.len(), self.items.len())
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The rows of a file in order of time, repetitions left out. Adds what is told of rows of any form: `refused` holds what was refused
    /// before, and `notes` what was put right. What the file calls its users and items goes to `names`, where somebody wants it.
    pub fn finish(self, name: &str, mut refused: Vec<(String, u64)>, mut notes: Vec<String>, names: Option<&mut Option<Names>>) -> Rows {
        let Self { users, items, categories, item_category, other_category, profiles, attributes, chunks, threads, .. } = self;
        let vocabulary = Vocabulary { users: users.len(), items: items.len(), categories: categories.len().max(1) };
        match names {
            Some(names) => *names = Some(Names::of(users, items)),
            // Their memory is wanted for sorting.
            None => drop((users, items, categories)),
        }
        let (profiles, of_profiles) = profiles.finish(vocabulary.users);
        let (attributes, of_attributes) = attributes.finish(vocabulary.items);
        let ordered = in_order(chunks, threads);
        refused.extend((ordered.repeated > 0).then(|| (REPEATED.into(), ordered.repeated)));
        notes.extend([noted(ordered.unsorted, UNSORTED), noted(other_category, OTHER_CATEGORY)].into_iter().flatten());
        notes.extend(of_profiles.into_iter().chain(of_attributes));
        Rows {
            name: name.into(),
            origin: Origin::File,
            rows: ordered.rows,
            item_category,
            profiles,
            attributes,
            vocabulary,
            refused,
            notes,
        }
    }
}

/// New ids for old ones, in the order in which they are asked for.
struct Renumbered {
    new: Vec<Option<u32>>,
    next: u32,
}

impl Renumbered {
    fn of(ids: u32) -> Self {
        Self { new: vec![None; ids as usize], next: 0 }
    }

    fn is_empty(&self) -> bool {
        self.new.is_empty()
    }

    fn get(&mut self, old: u32) -> u32 {
        *self.new[old as usize].get_or_insert_with(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

/// Notes on rows of any form: how many, and what was done; none for no row.
pub(super) fn noted(rows: u64, what: &str) -> Option<String> {
    (rows > 0).then(|| format!("{rows} {what}"))
}

const UNSORTED: &str = "rows came right after a later one; all rows were sorted by time";
const OTHER_CATEGORY: &str = "rows named another category than the item's first row; the first one was kept";
/// The reason of a refusal.
const REPEATED: &str = "exact repetitions of another row";

/// Refuses rows of fewer than two users or items.
pub(super) fn require_two(name: &str, (users, items): (u32, u32)) -> Result<(), DataError> {
    let (what, advice) = if users < 2 {
        ("user", "Use a file with more users: one user has no group to learn from")
    } else if items < 2 {
        ("item", "Use a file with more items: a negative is an item that the user did not have")
    } else {
        return Ok(());
    };
    Err(DataError::TooLittle { name: name.into(), problem: format!("has rows of one {what} only"), advice: advice.into() })
}
