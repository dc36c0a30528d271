//! Protocol UB-T80: rows in time order become fixed-shape batches of positives and negatives.
//!
//! UB-T80-U1 in full: rows sorted by (time, row), cut at the 80 % row quantile; every row is a positive of task A and,
//! where it is a cart, favourite or buy, of task B; each positive comes with one uniformly drawn negative of the same
//! user, an item that he never had up to then; features see what was strictly before the row. Negatives and the share
//! that clusters are counter hashes of (seed, row), so that browser, server and reruns agree.
//!
//! UB-T80-P1 differs in one thing: a negative is drawn in proportion to `n^0.75`, `n` being the item's rows in the whole
//! stream. Test rows count too: by training rows alone no negative could be an item that only the test has, and "never
//! seen in training" would mean "positive". So P1 negatives know how popular items will be; no feature does.
//!
//! Where the training rows are gone through several times (`passes`), each pass begins with no history, no count and nobody's
//! past, as the first did: were they to go on, a row would find itself and all that came after it in its own history. So a
//! row has the same features in every pass, and its own negative and chance to cluster in each. The test is that of one pass.

mod batch;
mod counts;
mod negatives;
mod pairs;

use std::sync::Arc;

pub use batch::{ACTIVITY_BUCKETS, Batch, Candidate, Histories, NO_ROW, TASKS, activity_bucket};

use self::counts::Counts;
use self::negatives::NegativeSampler;
use self::pairs::{Pairs, pair};
use super::{DataError, DataReport, Event, Interest, Source, Vocabulary};
use crate::config::{Config, Negatives};
use crate::counter::{Counter, Stream};

/// Candidates of a request: the positive, then its negative.
const CANDIDATES: usize = 2;

/// The probabilities with which a request of a low-active and of a high-active user clusters (A9): each group gives half
/// of `share` where it can, the other one gives the rest. `low_rows` is the low-active users' share of the requests.
pub fn cluster_sampling(share: f64, low_rows: f64) -> (f64, f64) {
    let high_rows = 1.0 - low_rows;
    let give = |wanted: f64, rows: f64| if rows > 0.0 { (wanted / rows).clamp(0.0, 1.0) } else { 1.0 };
    let high = give(share - give(share / 2.0, low_rows) * low_rows, high_rows);
    (give(share - high * high_rows, low_rows), high)
}

/// Rows under the protocol: where the test begins, who is low-active, how often a request clusters. Cheap to
/// clone.
#[derive(Clone)]
pub struct Dataset {
    inner: Arc<Inner>,
}

struct Inner {
    source: Arc<dyn Source>,
    vocabulary: Vocabulary,
    seed: u64,
    /// Requests of a batch.
    requests: usize,
    history: usize,
    train_rows: u64,
    /// Times that the training rows are gone through.
    passes: u32,
    negatives: NegativeSampler,
    /// `[users]`.
    low_active: Vec<bool>,
    /// `[users]`: tenth by activity.
    decile: Vec<u8>,
    /// `[items]`.
    tail: Vec<bool>,
    interest: Interest,
    low_active_row_share: f64,
    unseen_test_share: f64,
    /// Of low-active and of high-active users.
    sampling: (f64, f64),
}

impl Dataset {
    /// Reads the rows once to count them. Time grows with rows, memory with users and items, and until it returns with the
    /// pairs of a user and an item or a category in the training rows, 9 to 21 bytes each.
    ///
    /// # Errors
    /// [`DataError::TooLittle`] where the rows give no training batch, no test row or, for some user, no negative.
    pub fn open(source: Arc<dyn Source>, config: &Config) -> Result<Self, DataError> {
        let vocabulary = source.vocabulary();
        let train_rows = (source.rows() as f64 * config.train_share) as u64;
        require_enough(&*source, train_rows, config)?;
        let counts = Counts::of(&source, train_rows);
        require_negatives(&source, &counts.rows_of_user)?;
        let by_activity = counts.by_activity(config.seed);
        let low_active = counts::low_active(&by_activity, config.low_active_share);
        let interest = counts.interest(&low_active);
        let low_active_row_share = counts.train_rows_of(true, &low_active) as f64 / train_rows as f64;
        let unseen_test_share = counts.unseen_test_rows as f64 / (source.rows() - train_rows) as f64;
        Ok(Self {
            inner: Arc::new(Inner {
                vocabulary,
                seed: config.seed,
                requests: config.batch / CANDIDATES,
                history: config.history,
                train_rows,
                passes: config.passes,
                negatives: match config.negatives {
                    Negatives::Uniform => NegativeSampler::uniform(config.seed, vocabulary.items),
                    Negatives::Popular => NegativeSampler::popular(config.seed, &counts.rows_of_item),
                },
                decile: counts::deciles(&by_activity),
                tail: counts.tail_items(config.seed),
                low_active,
                interest,
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
            notes: inner.source.notes(),
            users: inner.vocabulary.users.into(),
            items: inner.vocabulary.items.into(),
            categories: inner.vocabulary.categories.into(),
            train_rows: inner.train_rows,
            test_rows: inner.source.rows() - inner.train_rows,
            low_active_users: inner.low_active.iter().filter(|low| **low).count() as u64,
            low_active_row_share: inner.low_active_row_share,
            unseen_test_share: inner.unseen_test_share,
            interest: inner.interest,
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

    /// The tenth of the users that a user is in by training rows, 0 the least active, ties as [`Dataset::is_low_active`]
    /// has them.
    ///
    /// # Panics
    /// Where there is no such user.
    pub fn decile(&self, user: u32) -> u8 {
        self.inner.decile[user as usize]
    }

    /// Whether an item is outside the tenth of the items with the most training rows, ties by hash (A20). An item without
    /// a training row is.
    ///
    /// # Panics
    /// Where there is no such item.
    pub fn is_tail(&self, item: u32) -> bool {
        self.inner.tail[item as usize]
    }

    /// What is known of low-active and of high-active users: means a user over the training rows (Table 2). NaN for a
    /// group without a user.
    pub fn interest(&self) -> Interest {
        self.inner.interest
    }

    /// The category of an item.
    pub fn category(&self, item: u32) -> u32 {
        self.inner.source.category(item)
    }

    /// The generator's own probability of an item as a user's next row ([`Source::probability`]); none on real rows.
    pub fn probability(&self, user: u32, item: u32, history: &[u32]) -> Option<f64> {
        self.inner.source.probability(user, item, history)
    }

    /// The planted group of an item; none on real rows.
    pub fn planted_item_group(&self, item: u32) -> Option<u32> {
        self.inner.source.planted_item_group(item)
    }

    /// The planted group of a user; none on real rows.
    pub fn planted_group(&self, user: u32) -> Option<u32> {
        self.inner.source.planted_group(user)
    }

    /// Full batches of the training rows, over all passes. The rows after the last one of a pass train nothing, but histories
    /// and counts of the test know them.
    pub fn train_steps(&self) -> u64 {
        self.inner.train_rows / self.inner.requests as u64 * u64::from(self.inner.passes)
    }

    /// The probabilities with which a training request of a low-active and of a high-active user clusters (A9).
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
        let mut batch = self.inner.empty_batch();
        for span in 0..spans {
            let chosen = self.inner.train_rows + start(span) + hash.below(span, start(span + 1) - start(span));
            while replay.row < chosen && replay.advance(None) {}
            if batch.is_full() {
                batches.push(std::mem::replace(&mut batch, self.inner.empty_batch()));
            }
            replay.advance(Some(&mut batch));
        }
        if batch.filled() > 0 {
            batch.pad();
            batches.push(batch);
        }
        batches
    }
}

impl Inner {
    fn empty_batch(&self) -> Batch {
        Batch::new(self.requests, CANDIDATES, self.history)
    }
}

fn require_enough(source: &dyn Source, train_rows: u64, config: &Config) -> Result<(), DataError> {
    let too_little = |problem: String, advice: &str| Err(DataError::TooLittle { name: source.name(), problem, advice: advice.into() });
    let positives = (config.batch / CANDIDATES) as u64;
    if train_rows < positives {
        let problem = format!("has {train_rows} training rows, fewer than the {positives} positives of one batch");
        // The smallest batch that a configuration may have is 8: four positives and four negatives.
        return match train_rows {
            0..4 => too_little(problem, "Use more rows"),
            _ => {
                let fits = largest_batch(train_rows);
                too_little(problem, &format!("Use more rows or a smaller batch: `batch={fits}` fits (in a terminal `--set batch={fits}`)"))
            }
        };
    }
    if train_rows >= source.rows() {
        return too_little(format!("has {} rows, of which none is left to test", source.rows()), "Use more rows or a smaller train_share");
    }
    Ok(())
}

/// The largest batch, a power of two, whose positives so many training rows can fill.
fn largest_batch(train_rows: u64) -> u64 {
    let positives = 1 << train_rows.max(1).ilog2();
    positives * CANDIDATES as u64
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
        problem: format!("has {items} items and a user who had every one, so there is no negative for them"),
        advice: "Use rows with more items".into(),
    })
}

/// The batches of a data set in time order: all of training, as often as there are passes, then the test. Histories, counts
/// and past items begin anew with each pass and go on from the last one through the test; what a model has learned is the
/// model's own affair.
///
/// Memory: that of the [`Histories`], 5 bytes an item, and 9 to 21 bytes for each pair of a user and an item that he had
/// (the exact past, without which a negative might be none).
pub struct Replay {
    inner: Arc<Inner>,
    events: Box<dyn Iterator<Item = Event> + Send>,
    /// Passes that came before this one.
    pass: u32,
    /// The row that comes next.
    row: u64,
    clustered: Counter,
    histories: Histories,
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
            pass: 0,
            row: 0,
            clustered: Counter::new(inner.seed, Stream::Clustered),
            histories: Histories::new(inner.vocabulary.users as usize, inner.history),
            had: Pairs::default(),
            item_rows: vec![0; items],
            in_training: vec![false; items],
            inner,
        }
    }

    /// The next training batch, always full; none once fewer rows of the last pass are left than one needs.
    pub fn next_train(&mut self) -> Option<Batch> {
        if self.row + self.inner.requests as u64 > self.inner.train_rows {
            if self.pass + 1 >= self.inner.passes {
                self.skip_training();
                return None;
            }
            *self = Self { pass: self.pass + 1, ..Self::new(self.inner.clone()) };
        }
        self.next_batch(self.inner.train_rows)
    }

    /// The next test batch; the last one is padded. Training rows that are left are passed over first.
    pub fn next_test(&mut self) -> Option<Batch> {
        self.skip_training();
        self.next_batch(self.inner.source.rows())
    }

    /// The next test batch of a streaming test, which is trained on once it is scored: as [`Replay::next_test`] gives it, but
    /// its requests cluster as those of training do.
    pub fn next_streaming(&mut self) -> Option<Batch> {
        self.skip_training();
        let first = self.row;
        let mut batch = self.next_test()?;
        for r in 0..batch.valid {
            batch.clustered[r] = f32::from(u8::from(self.clusters(first + r as u64, batch.low_active[r])));
        }
        Some(batch)
    }

    /// Ends training: every pass leaves the same, so that further ones need not be gone through.
    fn skip_training(&mut self) {
        while self.row < self.inner.train_rows && self.advance(None) {}
        self.pass = self.inner.passes;
    }

    /// Which pass a row is drawn for: the test has the draws of the first, however many there were.
    fn draws(&self, row: u64) -> u32 {
        if row < self.inner.train_rows { self.pass } else { 0 }
    }

    /// Whether a row that is trained on is among the share that clusters (A9).
    fn clusters(&self, row: u64, low_active: bool) -> bool {
        let (low, high) = self.inner.sampling;
        let counter = match self.draws(row) {
            0 => self.clustered,
            later => self.clustered.lane(later.into()),
        };
        counter.uniform(row) < if low_active { low } else { high }
    }

    fn next_batch(&mut self, end: u64) -> Option<Batch> {
        let mut batch = Batch { pass: self.pass.min(self.inner.passes - 1), ..self.inner.empty_batch() };
        while !batch.is_full() && self.row < end && self.advance(Some(&mut batch)) {}
        (batch.filled() > 0).then(|| {
            batch.pad();
            batch
        })
    }

    /// One row: its request into `batch`, if any, and then the row into what later rows see. False at the end.
    fn advance(&mut self, batch: Option<&mut Batch>) -> bool {
        let Some(event) = self.events.next() else { return false };
        let repeat = !self.had.insert(pair(event.user, event.item));
        if let Some(batch) = batch {
            self.request(batch, &event, repeat);
        }
        self.histories.add(&event);
        self.item_rows[event.item as usize] += 1;
        if self.row < self.inner.train_rows {
            self.in_training[event.item as usize] = true;
        }
        self.row += 1;
        true
    }

    /// The positive of a row and its negative, under the state before the row.
    fn request(&self, batch: &mut Batch, event: &Event, repeat: bool) {
        let low = self.inner.low_active[event.user as usize];
        let clustered = self.row < self.inner.train_rows && self.clusters(self.row, low);
        let labels = [1.0, f32::from(u8::from(event.behaviour.is_strong()))];
        let positive = Candidate { labels, repeat, ..self.candidate(event.item, event.category) };
        let negative = self.negative(event.user);
        let negative = self.candidate(negative, self.inner.source.category(negative));
        batch.push(&self.histories, event.user, low, clustered, &[positive, negative]);
    }

    /// An item as a negative.
    fn candidate(&self, item: u32, category: u32) -> Candidate {
        let (item_rows, seen) = (self.item_rows[item as usize], self.in_training[item as usize]);
        Candidate { item, category, labels: [0.0; TASKS], item_rows, repeat: false, seen }
    }

    /// An item that the user never had up to and including this row. There is one, as no user has had every item
    /// ([`require_negatives`]).
    fn negative(&self, user: u32) -> u32 {
        self.inner.negatives.draw(self.draws(self.row), self.row, |item| self.had.contains(&pair(user, item)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::data::Behaviour;
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

    /// Checks a request, one positive and its negative, against the rows before `row`, searched from scratch.
    fn check(batch: &Batch, r: usize, events: &[Event], row: usize, dataset: &Dataset) {
        let (event, before) = (events[row], &events[..row]);
        let own: Vec<&Event> = before.iter().filter(|e| e.user == event.user).collect();
        let train = dataset.report().train_rows as usize;
        let log = |n: usize| ((1.0 + n as f64).ln() / 5.0) as f32;
        assert_eq!((batch.user[r], batch.user_rows[r]), (event.user, own.len() as u32));
        assert_eq!(batch.activity[r], activity_bucket(own.len() as u32));
        assert_eq!(batch.low_active[r], dataset.is_low_active(event.user));
        for kind in 0..Behaviour::COUNT {
            let n = own.iter().filter(|e| e.behaviour as usize == kind).count();
            assert!((batch.counts[r * Behaviour::COUNT + kind] - log(n)).abs() < 1e-6);
        }
        for h in 0..batch.history {
            let expected = own.iter().rev().nth(h).map_or((NO_ROW, NO_ROW), |e| (e.item, e.category));
            let place = r * batch.history + h;
            assert_eq!((batch.history_items[place], batch.history_categories[place]), expected, "row {row}, place {h}");
        }
        for s in [2 * r, 2 * r + 1] {
            let positive = s == 2 * r;
            let item = batch.item[s];
            assert_eq!(positive, item == event.item);
            assert_eq!(batch.category[s], dataset.inner.source.category(item));
            assert_eq!(batch.labels[s], f32::from(u8::from(positive)));
            assert_eq!(batch.labels[batch.samples() + s], f32::from(u8::from(positive && event.behaviour.is_strong())));
            assert_eq!(batch.repeat[s], own.iter().any(|e| e.item == item), "row {row}");
            assert!(positive || !batch.repeat[s]);
            assert_eq!(batch.seen[s], events[..row.min(train)].iter().any(|e| e.item == item));
            let rows = before.iter().filter(|e| e.item == item).count();
            assert_eq!(batch.item_rows[s], rows as u32);
            assert!((batch.item_count[s] - log(rows)).abs() < 1e-6);
        }
    }

    #[test]
    fn every_feature_is_what_a_search_through_the_rows_before_finds() {
        for negatives in [Negatives::Uniform, Negatives::Popular] {
            let config = Config { negatives, ..small() };
            let (events, dataset) = open(&config);
            assert_eq!(dataset.train_steps(), 4_000 / 32);
            let train = train_batches(&dataset);
            assert_eq!(train.len(), 125);
            for (b, batch) in train.iter().enumerate() {
                assert_eq!((batch.requests, batch.candidates, batch.samples(), batch.valid, batch.history), (32, 2, 64, 32, 7));
                (0..32).for_each(|r| check(batch, r, &events, b * 32 + r, &dataset));
            }
            let test = test_batches(&dataset);
            assert_eq!(test.iter().map(|b| b.valid).sum::<usize>(), 1_000);
            for (b, batch) in test.iter().enumerate() {
                (0..batch.valid).for_each(|r| check(batch, r, &events, 4_000 + b * 32 + r, &dataset));
                assert!(batch.clustered.iter().all(|&c| c == 0.0));
            }
        }
    }

    #[test]
    fn only_the_last_batch_of_the_test_is_padded_with_whole_requests() {
        let (_, dataset) = open(&small());
        let test = test_batches(&dataset);
        let last = test.last().unwrap();
        assert_eq!((test.len(), last.valid), (32, 1_000 - 31 * 32));
        for batch in &test {
            let requests = [batch.user.len(), batch.activity.len(), batch.user_rows.len(), batch.clustered.len(), batch.low_active.len()];
            assert_eq!(requests, [32; 5]);
            let samples = [batch.item.len(), batch.category.len(), batch.item_rows.len(), batch.item_count.len()];
            assert_eq!(samples, [64; 4]);
            assert_eq!((batch.repeat.len(), batch.seen.len(), batch.labels.len()), (64, 64, 64 * TASKS));
            assert_eq!((batch.history_items.len(), batch.history_categories.len()), (32 * 7, 32 * 7));
            assert_eq!((batch.counts.len(), batch.filled()), (32 * Behaviour::COUNT, 32));
        }
        for r in last.valid..32 {
            let from = r % last.valid;
            assert_eq!((last.user[r], last.user_rows[r]), (last.user[from], last.user_rows[from]));
            assert_eq!(last.item[2 * r..2 * r + 2], last.item[2 * from..2 * from + 2]);
            assert_eq!(last.labels[64 + 2 * r], last.labels[64 + 2 * from]);
        }
    }

    /// The numbers of UB-T80-U1 are fixed: figures that were published stay those of the protocol.
    #[test]
    fn negatives_of_u1_are_these() {
        let (_, dataset) = open(&small());
        let items = |batch: &Batch| -> Vec<u32> { batch.item.iter().skip(1).step_by(2).copied().collect() };
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for item in train_batches(&dataset).iter().chain(&test_batches(&dataset)).flat_map(items) {
            hash = (hash ^ u64::from(item)).wrapping_mul(0x0100_0000_01b3);
        }
        assert_eq!(hash, U1_NEGATIVES);
    }

    const U1_NEGATIVES: u64 = 0x9571_a87b_e638_42ac;

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

    /// Every pass is held against a search through the rows before, which knows nothing of passes.
    #[test]
    fn a_later_pass_has_the_same_rows_with_other_draws_and_the_test_is_that_of_one_pass() {
        for negatives in [Negatives::Uniform, Negatives::Popular] {
            // The last training rows fill no batch.
            let once = Config { rows: 5_010, negatives, ..small() };
            let (events, dataset) = open(&Config { passes: 3, ..once.clone() });
            let (_, first) = open(&once);
            let batches = train_batches(&dataset);
            assert_eq!((dataset.train_steps(), batches.len()), (375, 375));
            assert_eq!(batches[..125], train_batches(&first));
            for (b, batch) in batches.iter().enumerate().skip(125) {
                (0..32).for_each(|r| check(batch, r, &events, b % 125 * 32 + r, &dataset));
            }
            for (one, other) in [(0, 1), (0, 2), (1, 2)] {
                let rows = |pass: usize| batches[125 * pass..125 * (pass + 1)].iter();
                let shared = |of: &dyn Fn(&Batch, usize) -> u32| {
                    let same = |(a, b): (&Batch, &Batch)| (0..32).filter(|&r| of(a, r) == of(b, r)).count();
                    rows(one).zip(rows(other)).map(same).sum::<usize>() as f64 / 4_000.0
                };
                // 300 items, and a share of .3 that clusters: .3^2 + .7^2, a little more as the groups differ.
                assert!(shared(&|batch, r| batch.item[2 * r + 1]) < 0.05);
                let clustered = shared(&|batch, r| batch.clustered[r] as u32);
                assert!((0.5..0.75).contains(&clustered), "{clustered}");
            }
            // A test batch says that it belongs to the last pass.
            let last = dataset.inner.passes - 1;
            let expected: Vec<Batch> = test_batches(&first).into_iter().map(|batch| Batch { pass: last, ..batch }).collect();
            assert_eq!(test_batches(&dataset), expected);
            assert_eq!(dataset.panel(50), first.panel(50));
            let mut replay = dataset.replay();
            while replay.next_train().is_some() {}
            assert_eq!(expected, std::iter::from_fn(|| replay.next_test()).collect::<Vec<_>>());
            // A test that has begun ends training, whatever passes were left.
            let mut replay = dataset.replay();
            assert!(replay.next_train().is_some() && replay.next_test() == expected.into_iter().next());
            assert_eq!(replay.next_train(), None);
        }
    }

    #[test]
    fn a_streaming_test_has_the_batches_of_the_test_which_cluster() {
        let (_, dataset) = open(&Config { passes: 2, ..small() });
        let mut replay = dataset.replay();
        let streamed: Vec<Batch> = std::iter::from_fn(|| replay.next_streaming()).collect();
        let unclustered = |batch: &Batch| Batch { clustered: vec![0.0; batch.requests], ..batch.clone() };
        assert_eq!(streamed.iter().map(unclustered).collect::<Vec<_>>(), test_batches(&dataset));
        let random = Counter::new(small().seed, Stream::Clustered);
        for (b, batch) in streamed.iter().enumerate() {
            for r in 0..batch.valid {
                let chance = if batch.low_active[r] { dataset.sampling().0 } else { dataset.sampling().1 };
                assert_eq!(batch.clustered[r] > 0.5, random.uniform(4_000 + 32 * b as u64 + r as u64) < chance);
            }
        }
        let share = streamed.iter().flat_map(|b| &b.clustered).sum::<f32>() / 1_000.0;
        assert!((0.2..0.4).contains(&share), "{share}");
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
        assert_eq!(panel.iter().map(|b| b.valid).collect::<Vec<_>>(), [32, 18]);
        assert_eq!(panel, dataset.panel(50));
        // Which row a sample is shows in its user, item and history: find each in its span of 20 rows.
        let requests = panel.iter().flat_map(|b| (0..b.valid).map(move |r| (b, r)));
        for (span, (batch, r)) in requests.enumerate() {
            let rows = 4_000 + 20 * span..4_020 + 20 * span;
            let row = rows.into_iter().find(|&row| (events[row].user, events[row].item) == (batch.user[r], batch.item[2 * r]));
            assert!(row.is_some(), "span {span}");
            assert!(batch.clustered[r] == 0.0);
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
    fn deciles_follow_activity_and_end_where_low_active_ends() {
        let config = Config { low_active_share: 0.3, ..small() };
        let (events, dataset) = open(&config);
        let mut rows = [0u32; 60];
        events[..4_000].iter().for_each(|e| rows[e.user as usize] += 1);
        for decile in 0..10u8 {
            let of = |d: u8| (0..60).filter(|&u| dataset.decile(u) == d).map(|u| rows[u as usize]).collect::<Vec<u32>>();
            assert_eq!(of(decile).len(), 6);
            assert!(decile == 9 || of(decile).iter().max() <= of(decile + 1).iter().min());
        }
        (0..60).for_each(|user| assert_eq!(dataset.is_low_active(user), dataset.decile(user) < 3, "{user}"));
    }

    #[test]
    fn tail_items_are_all_but_the_tenth_with_the_most_training_rows() {
        let (events, dataset) = open(&small());
        let mut rows = [0u32; 300];
        events[..4_000].iter().for_each(|e| rows[e.item as usize] += 1);
        let of = |tail: bool| (0..300u32).filter(move |&item| dataset.is_tail(item) == tail).map(|item| rows[item as usize]);
        assert_eq!(of.clone()(false).count(), 30);
        assert!(of.clone()(true).max() <= of(false).min());
        // Fewer items with training rows than a tenth of the catalogue: the others stay in the tail.
        let (events, dataset) = open(&Config { items: 100_000, rows: 1_000, ..small() });
        let trained: HashSet<u32> = events[..800].iter().map(|e| e.item).collect();
        assert!((0..100_000).all(|item| dataset.is_tail(item) != trained.contains(&item)));
    }

    #[test]
    fn interest_is_what_the_training_rows_say() {
        let (events, dataset) = open(&small());
        let interest = dataset.interest();
        assert_eq!(dataset.report().interest, interest);
        for (group, low) in [(interest.low, true), (interest.high, false)] {
            let users = (0..60).filter(|&user| dataset.is_low_active(user) == low).count();
            let own: Vec<&Event> = events[..4_000].iter().filter(|e| dataset.is_low_active(e.user) == low).collect();
            let items: HashSet<_> = own.iter().map(|e| (e.user, e.item)).collect();
            let categories: HashSet<_> = own.iter().map(|e| (e.user, e.category)).collect();
            let totals = [group.behaviours, group.items, group.categories].map(|mean| (mean * users as f64).round() as usize);
            assert_eq!((group.users as usize, totals), (users, [own.len(), items.len(), categories.len()]));
        }
        assert!(interest.low.categories > 0.0 && interest.low.categories < interest.high.categories);
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
    fn the_configured_share_of_the_training_requests_clusters() {
        let (_, dataset) = open(&Config { rows: 60_000, ..Config::default() });
        let batches = train_batches(&dataset);
        let share = |low: Option<bool>| {
            let requests = || batches.iter().flat_map(|b| b.clustered.iter().zip(&b.low_active)).filter(|r| low.is_none_or(|l| l == *r.1));
            f64::from(requests().map(|r| r.0).sum::<f32>()) / requests().count() as f64
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

    /// Every row's chances are worked out from the rows before it: rows of an item to the power of 3/4, of the items that
    /// the user never had. Over all rows, an item's count has the mean and the variance of a sum of such draws.
    #[test]
    fn popular_negatives_are_drawn_by_the_power_of_their_rows_among_items_never_had() {
        let config = Config { users: 400, items: 150, rows: 12_000, negatives: Negatives::Popular, ..small() };
        let (events, dataset) = open(&config);
        let negatives: Vec<u32> = (train_batches(&dataset).iter().chain(&test_batches(&dataset)))
            .flat_map(|b| (0..b.valid).map(|r| b.item[2 * r + 1]).collect::<Vec<_>>())
            .collect();
        assert_eq!(negatives.len(), events.len());
        let mut weights = vec![0.0f64; 150];
        events.iter().for_each(|e| weights[e.item as usize] += 1.0);
        weights.iter_mut().for_each(|weight| *weight = weight.powf(0.75));
        let mut had = HashSet::new();
        let (mut drawn, mut mean, mut variance) = ([0.0; 150], [0.0; 150], [0.0; 150]);
        for (event, &negative) in events.iter().zip(&negatives) {
            had.insert((event.user, event.item));
            assert!(!had.contains(&(event.user, negative)));
            let free = |item: usize| if had.contains(&(event.user, item as u32)) { 0.0 } else { weights[item] };
            let total: f64 = (0..150).map(free).sum();
            for item in 0..150 {
                let chance = free(item) / total;
                mean[item] += chance;
                variance[item] += chance * (1.0 - chance);
            }
            drawn[negative as usize] += 1.0;
        }
        let chi: Vec<f64> = (0..150).filter(|&i| variance[i] > 0.0).map(|i| (drawn[i] - mean[i]).powi(2) / variance[i]).collect();
        let average = chi.iter().sum::<f64>() / chi.len() as f64;
        assert!((0.6..1.4).contains(&average), "{average} over {} items", chi.len());
        assert!(dataset.replay().next_train() == dataset.replay().next_train());
        assert_ne!(train_batches(&dataset), train_batches(&open(&Config { negatives: Negatives::Uniform, ..config }).1));
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
}
