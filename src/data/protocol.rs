//! Protocol UB-T80: rows in time order become fixed-shape batches of positives and negatives.
//!
//! UB-T80-U1 in full: rows sorted by (time, row), cut at the 80 % row quantile; every row is a positive of task A and,
//! where it is a cart, favourite or buy, of task B; each positive comes with one uniformly drawn negative of the same
//! user; features see what was strictly before the row. Negatives and the share that clusters are counter hashes of
//! (seed, row), so that browser, server and reruns agree.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::{Behaviour, DataError, Event, Source, Vocabulary};
use crate::config::Config;
use crate::counter::{Counter, Stream};
use crate::message::DataReport;

/// "No row here": pads a history that is shorter than the window.
pub const NO_ROW: u32 = u32::MAX;

/// Tasks of the ranker: A, "valid consumption" (every row of the log), and B, a cart, favourite or buy.
pub const TASKS: usize = 2;

/// Redraws of a negative before the items after the last draw are tried one by one.
const REDRAWS: u64 = 32;

/// Counts enter features as `ln(1 + n)` over this, which keeps them near 0 to 2.
const COUNT_SCALE: f64 = 5.0;

/// A batch of `size` samples; sample `2 r` is a positive, sample `2 r + 1` its negative. All arrays are row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Samples, padding included. Always the configured batch, so that shapes never change.
    pub size: usize,
    /// Samples that count; the rest repeat the first rows of the batch (only the last batch of a test has any).
    pub valid: usize,
    /// Behaviours of the history window.
    pub history: usize,
    /// `[size]`: user.
    pub user: Vec<u32>,
    /// `[size]`: the item that is ranked.
    pub item: Vec<u32>,
    /// `[size]`: its category.
    pub category: Vec<u32>,
    /// `[size]`: the user's activity bucket, see [`activity_bucket`].
    pub activity: Vec<u32>,
    /// `[size, history]`: items of the user's last behaviours strictly before this row, newest first, [`NO_ROW`] after them.
    pub history_items: Vec<u32>,
    /// `[size, history]`: their categories.
    pub history_categories: Vec<u32>,
    /// `[size, Behaviour::COUNT]`: `ln(1 + n) / 5` of the user's behaviours before this row, by kind.
    pub counts: Vec<f32>,
    /// `[size]`: `ln(1 + n) / 5` of the item's rows before this row, in the whole stream.
    pub item_count: Vec<f32>,
    /// `[TASKS, size]`: labels, task A first.
    pub labels: Vec<f32>,
    /// `[size]`: 1 where the sample is among the share that clusters (A9), else 0. All 0 in test batches.
    pub clustered: Vec<f32>,
    /// `[size]`: whether the user is low-active (A22).
    pub low_active: Vec<bool>,
    /// `[size]`: whether the user had this item before. Never true of a negative.
    pub repeat: Vec<bool>,
    /// `[size]`: whether a training row had this item before this row.
    pub seen: Vec<bool>,
}

impl Batch {
    fn empty(size: usize, history: usize) -> Self {
        Self { size, history, labels: vec![0.0; TASKS * size], ..Self::default() }
    }

    /// Samples so far: every other array grows with this one.
    fn len(&self) -> usize {
        self.user.len()
    }

    /// Fills the batch up with its first samples, again and again where they are fewer than half.
    fn pad(&mut self) {
        self.valid = self.len();
        while self.len() < self.size {
            let from = self.len() - self.valid;
            let to = self.len();
            for task in 0..TASKS {
                self.labels[task * self.size + to] = self.labels[task * self.size + from];
            }
            for column in [&mut self.user, &mut self.item, &mut self.category, &mut self.activity] {
                column.push(column[from]);
            }
            for column in [&mut self.history_items, &mut self.history_categories] {
                column.extend_from_within(from * self.history..(from + 1) * self.history);
            }
            self.counts.extend_from_within(from * Behaviour::COUNT..(from + 1) * Behaviour::COUNT);
            for column in [&mut self.item_count, &mut self.clustered] {
                column.push(column[from]);
            }
            for column in [&mut self.low_active, &mut self.repeat, &mut self.seen] {
                column.push(column[from]);
            }
        }
    }
}

/// Number of activity buckets.
pub const ACTIVITY_BUCKETS: u32 = 16;

/// The bucket of a user with `n` behaviours before: 0 for none, then by powers of two.
pub fn activity_bucket(n: u32) -> u32 {
    (u32::BITS - n.leading_zeros()).min(ACTIVITY_BUCKETS - 1)
}

/// The probabilities with which a sample of a low-active and of a high-active user clusters (A9): each group gives half
/// of `share` where it can, the other one gives the rest. `low_rows` is the low-active users' share of the samples.
pub fn cluster_sampling(share: f64, low_rows: f64) -> (f64, f64) {
    let high_rows = 1.0 - low_rows;
    let give = |wanted: f64, rows: f64| if rows > 0.0 { (wanted / rows).clamp(0.0, 1.0) } else { 1.0 };
    let high = give(share - give(share / 2.0, low_rows) * low_rows, high_rows);
    (give(share - high * high_rows, low_rows), high)
}

/// Rows under the protocol: where the test begins, who is low-active, how often a sample clusters. Cheap to clone.
#[derive(Clone)]
pub struct Dataset {
    inner: Arc<Inner>,
}

struct Inner {
    source: Arc<dyn Source>,
    vocabulary: Vocabulary,
    seed: u64,
    batch: usize,
    history: usize,
    train_rows: u64,
    /// `[users]`.
    low_active: Vec<bool>,
    low_active_row_share: f64,
    unseen_test_share: f64,
    /// Of low-active and of high-active users.
    sampling: (f64, f64),
}

impl Dataset {
    /// Reads the rows once to count them. Time grows with rows, memory with users and items.
    ///
    /// # Errors
    /// [`DataError::TooLittle`] where the rows give no training batch, no test row or, for some user, no negative.
    pub fn open(source: Arc<dyn Source>, config: &Config) -> Result<Self, DataError> {
        let vocabulary = source.vocabulary();
        let train_rows = (source.rows() as f64 * config.train_share) as u64;
        require_enough(&*source, train_rows, config)?;
        let counts = Counts::of(&source, train_rows);
        require_negatives(&source, &counts.rows_of_user)?;
        let low_active = low_active(&counts.train_rows_of_user, config);
        let low_rows: u64 = counts.train_rows_of_user.iter().zip(&low_active).filter(|(_, low)| **low).map(|(n, _)| u64::from(*n)).sum();
        let low_active_row_share = low_rows as f64 / train_rows as f64;
        let unseen_test_share = counts.unseen_test_rows as f64 / (source.rows() - train_rows) as f64;
        Ok(Self {
            inner: Arc::new(Inner {
                vocabulary,
                seed: config.seed,
                batch: config.batch,
                history: config.history,
                train_rows,
                low_active,
                low_active_row_share,
                unseen_test_share,
                sampling: cluster_sampling(config.cluster_share, low_active_row_share),
                source,
            }),
        })
    }

    /// What a person should know of the rows.
    pub fn report(&self) -> DataReport {
        let inner = &self.inner;
        DataReport {
            origin: inner.source.origin(),
            name: inner.source.name(),
            rows: inner.source.rows(),
            refused: inner.source.refused(),
            users: inner.vocabulary.users.into(),
            items: inner.vocabulary.items.into(),
            categories: inner.vocabulary.categories.into(),
            train_rows: inner.train_rows,
            test_rows: inner.source.rows() - inner.train_rows,
            low_active_users: inner.low_active.iter().filter(|low| **low).count() as u64,
            low_active_row_share: inner.low_active_row_share,
            unseen_test_share: inner.unseen_test_share,
        }
    }

    /// How many of each id there are.
    pub fn vocabulary(&self) -> Vocabulary {
        self.inner.vocabulary
    }

    /// Whether a user is low-active: fixed before training (A22).
    ///
    /// # Panics
    /// Where there is no such user.
    pub fn is_low_active(&self, user: u32) -> bool {
        self.inner.low_active[user as usize]
    }

    /// The planted group of a user; none on real rows.
    pub fn planted_group(&self, user: u32) -> Option<u32> {
        self.inner.source.planted_group(user)
    }

    /// Full batches of the training rows. The rows after the last one train nothing, but histories and counts know them.
    pub fn train_steps(&self) -> u64 {
        self.inner.train_rows / (self.inner.batch as u64 / 2)
    }

    /// The probabilities with which a training sample of a low-active and of a high-active user clusters (A9).
    pub fn sampling(&self) -> (f64, f64) {
        self.inner.sampling
    }

    /// The batches from the first row on. See [`Replay`] for what it keeps in memory.
    pub fn replay(&self) -> Replay {
        Replay::new(self.inner.clone())
    }

    /// A fixed part of the test for live curves: one row, chosen by hash, out of each of `positives` equal spans of the
    /// test, with its negative; all rows where the test has no more. Reads the whole stream once.
    pub fn panel(&self, positives: usize) -> Vec<Batch> {
        let mut replay = self.replay();
        replay.skip_training();
        let hash = Counter::new(self.inner.seed, Stream::Sample).lane(1);
        let test_rows = self.inner.source.rows() - self.inner.train_rows;
        let spans = (positives as u64).min(test_rows);
        let start = |span: u64| (u128::from(span) * u128::from(test_rows) / u128::from(spans)) as u64;
        let mut batches = Vec::new();
        let mut batch = Batch::empty(self.inner.batch, self.inner.history);
        for span in 0..spans {
            let chosen = self.inner.train_rows + start(span) + hash.below(span, start(span + 1) - start(span));
            while replay.row < chosen && replay.advance(None) {}
            if batch.len() == batch.size {
                batches.push(finished(&mut batch));
            }
            replay.advance(Some(&mut batch));
        }
        if batch.len() > 0 {
            batches.push(finished(&mut batch));
        }
        batches
    }
}

/// Takes the padded batch and leaves an empty one.
fn finished(batch: &mut Batch) -> Batch {
    batch.pad();
    let next = Batch::empty(batch.size, batch.history);
    std::mem::replace(batch, next)
}

fn require_enough(source: &dyn Source, train_rows: u64, config: &Config) -> Result<(), DataError> {
    let too_little = |problem: String, advice: &str| Err(DataError::TooLittle { name: source.name(), problem, advice: advice.into() });
    let positives = config.batch as u64 / 2;
    if train_rows < positives {
        let problem = format!("has {train_rows} training rows, fewer than the {positives} positives of one batch");
        return too_little(problem, "Use more rows or a smaller batch");
    }
    if train_rows >= source.rows() {
        return too_little(format!("has {} rows, of which none is left to test", source.rows()), "Use more rows or a smaller train_share");
    }
    Ok(())
}

/// Refuses rows in which a user had every item: he has no negative. Only a user with as many rows as there are items can.
fn require_negatives(source: &Arc<dyn Source>, rows_of_user: &[u32]) -> Result<(), DataError> {
    let items = source.vocabulary().items;
    let suspect = |user: u32| rows_of_user[user as usize] >= items;
    if !(0..rows_of_user.len() as u32).any(suspect) {
        return Ok(());
    }
    let mut had = Pairs::default();
    let mut distinct = vec![0u32; rows_of_user.len()];
    for event in source.clone().events().filter(|event| suspect(event.user)) {
        distinct[event.user as usize] += u32::from(had.insert(pair(event.user, event.item)));
    }
    if distinct.iter().all(|&n| n < items) {
        return Ok(());
    }
    Err(DataError::TooLittle {
        name: source.name(),
        problem: format!("has {items} items and a user who had every one, so there is no negative for him"),
        advice: "Use rows with more items".into(),
    })
}

/// What the first pass counts.
struct Counts {
    rows_of_user: Vec<u32>,
    train_rows_of_user: Vec<u32>,
    unseen_test_rows: u64,
}

impl Counts {
    fn of(source: &Arc<dyn Source>, train_rows: u64) -> Self {
        let vocabulary = source.vocabulary();
        let mut in_training = vec![false; vocabulary.items as usize];
        let mut counts = Self { rows_of_user: vec![0; vocabulary.users as usize], train_rows_of_user: Vec::new(), unseen_test_rows: 0 };
        let mut events = source.clone().events();
        for event in events.by_ref().take(usize::try_from(train_rows).unwrap_or(usize::MAX)) {
            counts.rows_of_user[event.user as usize] += 1;
            in_training[event.item as usize] = true;
        }
        counts.train_rows_of_user.clone_from(&counts.rows_of_user);
        for event in events {
            counts.rows_of_user[event.user as usize] += 1;
            counts.unseen_test_rows += u64::from(!in_training[event.item as usize]);
        }
        counts
    }
}

/// The bottom share of the users by training rows, ties by hash (A22).
fn low_active(train_rows_of_user: &[u32], config: &Config) -> Vec<bool> {
    let ties = Counter::new(config.seed, Stream::Ties);
    let mut order: Vec<u32> = (0..train_rows_of_user.len() as u32).collect();
    order.sort_unstable_by_key(|&user| (train_rows_of_user[user as usize], ties.bits(user.into()), user));
    let low = (order.len() as f64 * config.low_active_share).round() as usize;
    let mut low_active = vec![false; order.len()];
    order.iter().take(low).for_each(|&user| low_active[user as usize] = true);
    low_active
}

/// A user and an item in one key.
fn pair(user: u32, item: u32) -> u64 {
    u64::from(user) << 32 | u64::from(item)
}

type Pairs = HashSet<u64, BuildHasherDefault<PairHasher>>;

/// Multiplies and folds a pair: fast, the same in every run, and good enough for keys that nobody chooses to collide.
#[derive(Default)]
struct PairHasher(u64);

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

/// The batches of a data set in time order: all of training, then the test. Histories, counts and past items go on
/// through the test; what a model has learned is the model's own affair.
///
/// Memory: 20 bytes a user, 8 bytes a place of the history of each user that was met, 5 bytes an item, and 9 to 21 bytes
/// for each pair of a user and an item that he had (the exact past, without which a negative might be none).
pub struct Replay {
    inner: Arc<Inner>,
    events: Box<dyn Iterator<Item = Event> + Send>,
    /// The row that comes next.
    row: u64,
    negatives: Counter,
    clustered: Counter,
    users: Users,
    had: Pairs,
    /// `[items]`: rows so far.
    item_rows: Vec<u32>,
    /// `[items]`: whether a training row had the item.
    in_training: Vec<bool>,
}

impl Replay {
    fn new(inner: Arc<Inner>) -> Self {
        let items = inner.vocabulary.items as usize;
        Self {
            events: inner.source.clone().events(),
            row: 0,
            negatives: Counter::new(inner.seed, Stream::Negatives),
            clustered: Counter::new(inner.seed, Stream::Clustered),
            users: Users::new(inner.vocabulary.users as usize, inner.history),
            had: Pairs::default(),
            item_rows: vec![0; items],
            in_training: vec![false; items],
            inner,
        }
    }

    /// The next training batch, always full; none once fewer rows are left than one needs.
    pub fn next_train(&mut self) -> Option<Batch> {
        let positives = self.inner.batch as u64 / 2;
        if self.row + positives > self.inner.train_rows {
            self.skip_training();
            return None;
        }
        self.next_batch(self.inner.train_rows)
    }

    /// The next test batch; the last one is padded. Training rows that are left are passed over first.
    pub fn next_test(&mut self) -> Option<Batch> {
        self.skip_training();
        self.next_batch(self.inner.source.rows())
    }

    fn skip_training(&mut self) {
        while self.row < self.inner.train_rows && self.advance(None) {}
    }

    fn next_batch(&mut self, end: u64) -> Option<Batch> {
        let mut batch = Batch::empty(self.inner.batch, self.inner.history);
        while batch.len() < batch.size && self.row < end && self.advance(Some(&mut batch)) {}
        (batch.len() > 0).then(|| finished(&mut batch))
    }

    /// One row: its two samples into `batch`, if any, and then the row into what later rows see. False at the end.
    fn advance(&mut self, batch: Option<&mut Batch>) -> bool {
        let Some(event) = self.events.next() else { return false };
        let repeat = !self.had.insert(pair(event.user, event.item));
        if let Some(batch) = batch {
            self.sample(batch, &event, repeat);
        }
        self.users.add(&event);
        self.item_rows[event.item as usize] += 1;
        if self.row < self.inner.train_rows {
            self.in_training[event.item as usize] = true;
        }
        self.row += 1;
        true
    }

    /// The positive of a row and its negative, under the state before the row.
    fn sample(&self, batch: &mut Batch, event: &Event, repeat: bool) {
        let first = batch.len();
        batch.labels[first] = 1.0;
        batch.labels[batch.size + first] = f32::from(u8::from(event.behaviour.is_strong()));
        let negative = self.negative(event.user);
        let low = self.inner.low_active[event.user as usize];
        let probability = match self.row < self.inner.train_rows {
            true if low => self.inner.sampling.0,
            true => self.inner.sampling.1,
            false => 0.0,
        };
        for (side, item, category) in [(0, event.item, event.category), (1, negative, self.inner.source.category(negative))] {
            batch.user.push(event.user);
            batch.item.push(item);
            batch.category.push(category);
            batch.item_count.push(log_count(self.item_rows[item as usize]));
            batch.clustered.push(f32::from(u8::from(self.clustered.uniform(2 * self.row + side) < probability)));
            batch.low_active.push(low);
            batch.repeat.push(repeat && side == 0);
            batch.seen.push(self.in_training[item as usize]);
        }
        self.users.write(batch, event.user);
    }

    /// An item that the user never had up to and including this row: a function of (seed, row, his past) alone.
    /// The scan ends because no user has had every item ([`require_negatives`]).
    fn negative(&self, user: u32) -> u32 {
        let items = u64::from(self.inner.vocabulary.items);
        let mut item = 0;
        for redraw in 0..REDRAWS {
            item = self.negatives.lane(redraw).below(self.row, items) as u32;
            if !self.had.contains(&pair(user, item)) {
                return item;
            }
        }
        while self.had.contains(&pair(user, item)) {
            item = (item + 1) % self.inner.vocabulary.items;
        }
        item
    }
}

/// What is known of each user: counts by behaviour and a ring of the last behaviours.
struct Users {
    history: usize,
    counts: Vec<[u32; Behaviour::COUNT]>,
    /// `[users]`: place in the rings, [`NO_ROW`] before the first behaviour.
    ring_of_user: Vec<u32>,
    /// `[users met, history]`: item and category; behaviour `n` of a user lies at `n % history`.
    rings: Vec<(u32, u32)>,
}

impl Users {
    fn new(users: usize, history: usize) -> Self {
        Self { history, counts: vec![[0; Behaviour::COUNT]; users], ring_of_user: vec![NO_ROW; users], rings: Vec::new() }
    }

    fn add(&mut self, event: &Event) {
        let user = event.user as usize;
        let before = self.counts[user].iter().sum::<u32>() as usize;
        if self.ring_of_user[user] == NO_ROW {
            self.ring_of_user[user] = (self.rings.len() / self.history) as u32;
            self.rings.resize(self.rings.len() + self.history, (NO_ROW, NO_ROW));
        }
        let start = self.ring_of_user[user] as usize * self.history;
        self.rings[start + before % self.history] = (event.item, event.category);
        self.counts[user][event.behaviour as usize] += 1;
    }

    /// Counts, activity and history, once for the positive and once for its negative.
    fn write(&self, batch: &mut Batch, user: u32) {
        let counts = &self.counts[user as usize];
        let before = counts.iter().sum::<u32>();
        batch.activity.extend([activity_bucket(before); 2]);
        let logs = counts.map(log_count);
        batch.counts.extend(logs);
        batch.counts.extend(logs);
        let known = (before as usize).min(self.history);
        let first = batch.history_items.len();
        if known > 0 {
            let start = self.ring_of_user[user as usize] as usize * self.history;
            let (wrapped, older) = self.rings[start..start + known].split_at(before as usize % self.history);
            for &(item, category) in wrapped.iter().rev().chain(older.iter().rev()) {
                batch.history_items.push(item);
                batch.history_categories.push(category);
            }
        }
        for column in [&mut batch.history_items, &mut batch.history_categories] {
            column.resize(first + self.history, NO_ROW);
            column.extend_from_within(first..);
        }
    }
}

fn log_count(n: u32) -> f32 {
    (libm::log1p(f64::from(n)) / COUNT_SCALE) as f32
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::data::generator::Generator;

    fn small() -> Config {
        Config { users: 60, items: 300, categories: 20, rows: 5_000, batch: 64, history: 7, item_groups: 6, ..Config::default() }
    }

    fn open(config: &Config) -> (Vec<Event>, Dataset) {
        let source = Arc::new(Generator::new(config));
        (source.clone().events().collect(), Dataset::open(source, config).unwrap())
    }

    fn train_batches(dataset: &Dataset) -> Vec<Batch> {
        let mut replay = dataset.replay();
        std::iter::from_fn(|| replay.next_train()).collect()
    }

    fn test_batches(dataset: &Dataset) -> Vec<Batch> {
        let mut replay = dataset.replay();
        std::iter::from_fn(|| replay.next_test()).collect()
    }

    /// Checks one positive and its negative against the rows before `row`, searched from scratch.
    fn check(batch: &Batch, at: usize, events: &[Event], row: usize, dataset: &Dataset) {
        let (event, before) = (events[row], &events[..row]);
        let own: Vec<&Event> = before.iter().filter(|e| e.user == event.user).collect();
        let train = dataset.report().train_rows as usize;
        let log = |n: usize| ((1.0 + n as f64).ln() / 5.0) as f32;
        for s in [at, at + 1] {
            let positive = s == at;
            assert_eq!(batch.user[s], event.user);
            let item = batch.item[s];
            assert_eq!(positive, item == event.item);
            assert_eq!(batch.labels[s], f32::from(u8::from(positive)));
            assert_eq!(batch.labels[batch.size + s], f32::from(u8::from(positive && event.behaviour.is_strong())));
            assert_eq!(batch.activity[s], activity_bucket(own.len() as u32));
            assert_eq!(batch.repeat[s], own.iter().any(|e| e.item == item), "row {row}");
            assert!(positive || !batch.repeat[s]);
            assert_eq!(batch.seen[s], events[..row.min(train)].iter().any(|e| e.item == item));
            assert!((batch.item_count[s] - log(before.iter().filter(|e| e.item == item).count())).abs() < 1e-6);
            assert_eq!(batch.low_active[s], dataset.is_low_active(event.user));
            for kind in 0..Behaviour::COUNT {
                let n = own.iter().filter(|e| e.behaviour as usize == kind).count();
                assert!((batch.counts[s * Behaviour::COUNT + kind] - log(n)).abs() < 1e-6);
            }
            for h in 0..batch.history {
                let expected = own.iter().rev().nth(h).map_or((NO_ROW, NO_ROW), |e| (e.item, e.category));
                let place = s * batch.history + h;
                assert_eq!((batch.history_items[place], batch.history_categories[place]), expected, "row {row}, place {h}");
            }
        }
    }

    #[test]
    fn every_feature_is_what_a_search_through_the_rows_before_finds() {
        let config = small();
        let (events, dataset) = open(&config);
        assert_eq!(dataset.train_steps(), 4_000 / 32);
        let train = train_batches(&dataset);
        assert_eq!(train.len(), 125);
        let positives = config.batch / 2;
        for (b, batch) in train.iter().enumerate() {
            assert_eq!((batch.size, batch.valid, batch.history), (64, 64, 7));
            (0..positives).for_each(|r| check(batch, 2 * r, &events, b * positives + r, &dataset));
        }
        let test = test_batches(&dataset);
        assert_eq!(test.iter().map(|b| b.valid).sum::<usize>(), 2_000);
        for (b, batch) in test.iter().enumerate() {
            (0..batch.valid / 2).for_each(|r| check(batch, 2 * r, &events, 4_000 + b * positives + r, &dataset));
            assert!(batch.clustered.iter().all(|&c| c == 0.0));
        }
    }

    #[test]
    fn every_array_has_its_stated_length_and_padding_repeats_the_first_rows() {
        let (_, dataset) = open(&small());
        let test = test_batches(&dataset);
        let last = test.last().unwrap();
        assert_eq!((test.len(), last.valid), (32, 2 * (1_000 - 31 * 32)));
        for batch in &test {
            for n in [batch.user.len(), batch.item.len(), batch.category.len(), batch.activity.len(), batch.item_count.len()] {
                assert_eq!(n, batch.size);
            }
            assert_eq!(batch.history_items.len(), batch.size * batch.history);
            assert_eq!(batch.history_categories.len(), batch.size * batch.history);
            assert_eq!(batch.counts.len(), batch.size * Behaviour::COUNT);
            assert_eq!(batch.labels.len(), batch.size * TASKS);
            for n in [batch.clustered.len(), batch.low_active.len(), batch.repeat.len(), batch.seen.len()] {
                assert_eq!(n, batch.size);
            }
        }
        for s in last.valid..last.size {
            let from = s % last.valid;
            assert_eq!((last.user[s], last.item[s], last.seen[s]), (last.user[from], last.item[from], last.seen[from]));
            assert_eq!(last.labels[s], last.labels[from]);
            assert_eq!(last.history_items[s * 7..s * 7 + 7], last.history_items[from * 7..from * 7 + 7]);
        }
    }

    #[test]
    fn a_rerun_gives_the_same_batches_whichever_way_the_training_rows_were_passed() {
        let config = small();
        let (_, dataset) = open(&config);
        assert_eq!(train_batches(&dataset), train_batches(&open(&config).1));
        let skipped = test_batches(&dataset);
        let mut replay = dataset.clone().replay();
        while replay.next_train().is_some() {}
        assert_eq!(skipped, std::iter::from_fn(|| replay.next_test()).collect::<Vec<_>>());
        let other = Config { seed: 8, ..config };
        assert_ne!(train_batches(&dataset), train_batches(&open(&other).1));
    }

    /// The rest of the training rows trains nothing but is known to what follows.
    #[test]
    fn the_partial_batch_at_the_end_of_training_is_skipped_but_known() {
        let config = Config { rows: 5_010, ..small() };
        let (events, dataset) = open(&config);
        assert_eq!((dataset.report().train_rows, dataset.train_steps()), (4_008, 125));
        let mut replay = dataset.replay();
        assert_eq!(std::iter::from_fn(|| replay.next_train()).count(), 125);
        check(&replay.next_test().unwrap(), 0, &events, 4_008, &dataset);
    }

    #[test]
    fn the_panel_is_an_even_fixed_part_of_the_test() {
        let (events, dataset) = open(&small());
        let panel = dataset.panel(50);
        assert_eq!(panel.iter().map(|b| b.valid).collect::<Vec<_>>(), [64, 36]);
        assert_eq!(panel, dataset.panel(50));
        // Which row a sample is shows in its user, item and history: find each in its span of 20 rows.
        let samples = panel.iter().flat_map(|b| (0..b.valid / 2).map(move |r| (b, 2 * r)));
        for (span, (batch, at)) in samples.enumerate() {
            let rows = 4_000 + 20 * span..4_020 + 20 * span;
            let row = rows.into_iter().find(|&row| (events[row].user, events[row].item) == (batch.user[at], batch.item[at]));
            assert!(row.is_some(), "span {span}");
            assert!(batch.clustered[at] == 0.0);
        }
        assert_eq!(dataset.panel(1_000_000), test_batches(&dataset));
    }

    #[test]
    fn low_active_users_are_the_bottom_by_training_rows() {
        let config = small();
        let (events, dataset) = open(&config);
        let mut rows = [0u32; 60];
        events[..4_000].iter().for_each(|e| rows[e.user as usize] += 1);
        let of = |low: bool| (0..60u32).filter(move |&u| dataset.is_low_active(u) == low).map(|u| rows[u as usize]);
        assert_eq!(of.clone()(true).count(), 19);
        assert!(of.clone()(true).max() <= of(false).min());
    }

    #[test]
    fn each_activity_group_gives_half_of_the_clustered_share_where_it_can() {
        let close =
            |(low, high): (f64, f64), (l, h): (f64, f64)| assert!((low - l).abs() < 0.005 && (high - h).abs() < 0.005, "{low} {high}");
        // 32 % of the users, each .41 as active as the others.
        let share = 0.32 * 0.41 / (0.32 * 0.41 + 0.68);
        close(cluster_sampling(0.3, share), (0.93, 0.18));
        // Real rows: all of the few low-active samples, and more of the others.
        close(cluster_sampling(0.3, 0.1), (1.0, 0.2 / 0.9));
        // Few high-active samples: the low-active ones give what is missing.
        close(cluster_sampling(0.3, 0.9), (0.2 / 0.9, 1.0));
        close(cluster_sampling(1.0, 0.3), (1.0, 1.0));
        for share in [0.001, 0.3, 0.77, 1.0] {
            for low in [0.0, 0.01, 0.161, 0.5, 0.99, 1.0] {
                let (p_low, p_high) = cluster_sampling(share, low);
                assert!((low * p_low + (1.0 - low) * p_high - share).abs() < 1e-9, "{share} of {low}: {p_low} {p_high}");
                assert!((0.0..=1.0).contains(&p_low) && (0.0..=1.0).contains(&p_high));
            }
        }
    }

    #[test]
    fn the_configured_share_of_the_training_samples_clusters() {
        let (_, dataset) = open(&Config { rows: 60_000, ..Config::default() });
        let batches = train_batches(&dataset);
        let share = |low: Option<bool>| {
            let samples = || batches.iter().flat_map(|b| b.clustered.iter().zip(&b.low_active)).filter(|s| low.is_none_or(|l| l == *s.1));
            f64::from(samples().map(|s| s.0).sum::<f32>()) / samples().count() as f64
        };
        let (low, high) = dataset.sampling();
        assert!((share(None) - 0.3).abs() < 0.01, "{}", share(None));
        assert!((share(Some(true)) - low).abs() < 0.02 && (share(Some(false)) - high).abs() < 0.01);
    }

    #[test]
    fn negatives_are_spread_evenly_over_the_items() {
        let (_, dataset) = open(&Config { users: 2_000, items: 100, categories: 10, item_groups: 5, rows: 40_000, ..Config::default() });
        let mut bins = [0u32; 100];
        let batches = train_batches(&dataset);
        batches.iter().for_each(|b| b.item.iter().skip(1).step_by(2).for_each(|&item| bins[item as usize] += 1));
        let (least, most) = (bins.iter().min().unwrap(), bins.iter().max().unwrap());
        assert!(*least > 150 && *most < 500, "{least} {most}");
    }

    #[test]
    fn users_who_had_every_item_or_rows_too_few_are_refused_with_advice() {
        let all = Config { users: 2, items: 16, categories: 2, user_groups: 1, item_groups: 1, rows: 20_000, ..Config::default() };
        let refused = |config: &Config| Dataset::open(Arc::new(Generator::new(config)), config).err().unwrap().to_string();
        let text = refused(&all);
        assert!(text.contains("every one") && text.contains("more items"), "{text}");
        let text = refused(&Config { rows: 1_000, batch: 2_048, ..Config::default() });
        assert!(text.contains("800 training rows") && text.contains("1024 positives"), "{text}");
    }

    #[test]
    fn activity_buckets_are_powers_of_two() {
        let cases = [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (16_383, 14), (16_384, 15), (u32::MAX, 15)];
        cases.iter().for_each(|&(n, bucket)| assert_eq!(activity_bucket(n), bucket, "{n}"));
    }
}
