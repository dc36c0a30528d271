//! Protocols UB-T80: rows in time order become fixed-shape batches of positives and negatives.
//!
//! Rows are sorted by (time, row) and cut at the 80 % row quantile. A positive is a row: of task A, and of task B where it is a
//! cart, favourite or buy. Each comes with one negative of the same user, an item that they never had up to then; features see
//! what was strictly before the row. Negatives and the share that clusters are counter hashes of (seed, row), so that browser,
//! server and reruns agree, whoever builds which batch.
//!
//! - **T1**, the primary one ([`Negatives::TimeMatched`]): a positive is a row whose user never had the item; repeats are no
//!   samples, in training and in test, but fill histories and counts. The negative is the item of another such row, of another
//!   user and at most 256 rows later. So positives and negatives are new to the user alike, as popular, as new and as unseen in
//!   training as each other, and what tells them apart is the user. (Were negatives taken from any rows, other users' repeats would
//!   bring popular items: on the 655 real users "rare, so a positive" would then score .587.) Training rows take no
//!   negative from the test. A row without such a row after it, which only the last of a span can be, is no sample. (Where a few items are had by nearly
//!   everybody a residue stays, as other users' rows are then less often the first of a popular item: popularity alone scores .514 in
//!   a stream without preferences whose first item makes 7 % of the rows, and .501 on the real rows.)
//! - **U1** ([`Negatives::Uniform`]): every row is a positive, repeats among them, and the negative is one of all items alike.
//! - **P1** ([`Negatives::Popular`]): as U1, but a negative is drawn in proportion to `n^0.75`, `n` being the item's rows in the
//!   whole stream. Test rows count too: by training rows alone no negative could be an item that only the test has, and "never
//!   seen in training" would mean "positive". So P1 negatives know how popular items will be; no feature does.
//!
//! - **E1** ([`Negatives::None`]): rows are exposures with labels of their own, as a ranker's log has them; each is a sample and none is
//!   drawn. A request has one candidate, the item that was shown, and its two labels: taken (task A), and what the source counts as the
//!   second task (a cart, favourite or buy; a depth or time that was reached). What was shown and not taken is no behaviour: histories,
//!   counts and activity leave it out, as the other protocols leave it out altogether.
//!
//! Where the training rows are gone through several times (`passes`), each pass begins with no history, no count and nobody's
//! past, as the first did: were they to go on, a row would find itself and all that came after it in its own history. So a
//! row has the same features in every pass, and its own negative and chance to cluster in each. The test is that of one pass.
//!
//! [`Dataset`] answers for any batch alone, from an index of all rows. [`Replay`] goes through them in order; [`Ahead`] has other
//! threads work on them before they are asked for.

mod ahead;
mod asked;
mod batch;
mod counts;
mod index;
mod negatives;
mod replay;
#[cfg(test)]
mod stateful;

use std::ops::Range;
use std::sync::Arc;

pub use ahead::Ahead;
pub use asked::{Asked, Timeline};
pub use batch::{ACTIVITY_BUCKETS, Batch, COUNT_SCALE, Candidate, Histories, NO_ROW, Past, TASKS, Truth, activity_bucket};
pub use replay::Replay;

use self::counts::Counts;
use self::index::Index;
use self::negatives::NegativeSampler;
use super::{Behaviour, DataError, DataReport, Interest, Source, Vocabulary};
use crate::config::{Config, Negatives};
use crate::counter::{Counter, Stream};

/// The probabilities with which a request of a low-active and of a high-active user clusters (A9): each group gives half
/// of `share` where it can, the other one gives the rest. `low_rows` is the low-active users' share of the requests.
pub fn cluster_sampling(share: f64, low_rows: f64) -> (f64, f64) {
    let high_rows = 1.0 - low_rows;
    let give = |wanted: f64, rows: f64| if rows > 0.0 { (wanted / rows).clamp(0.0, 1.0) } else { 1.0 };
    let high = give(share - give(share / 2.0, low_rows) * low_rows, high_rows);
    (give(share - high * high_rows, low_rows), high)
}

/// Rows under a protocol: where the test begins, which rows are samples, who is low-active, how often a request clusters. Cheap to
/// clone; any of its batches can be built at any time, by any thread.
#[derive(Clone)]
pub struct Dataset {
    inner: Arc<Inner>,
    /// Behaviours that batches are told the truth by; none where they are told nothing.
    told_window: Option<usize>,
}

struct Inner {
    source: Arc<dyn Source>,
    vocabulary: Vocabulary,
    seed: u64,
    /// Requests of a batch.
    requests: usize,
    /// Candidates of a request: the positive, then its negative; under E1 what was shown.
    candidates: usize,
    history: usize,
    train_rows: u32,
    /// Where the test ends: at the last row, or where validation stands in its place at the last training row.
    end: u32,
    /// Times that the training rows are gone through.
    passes: u32,
    index: Index,
    samples: Samples,
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

/// The rows that are samples, in time order: behaviours with a negative, or exposures.
struct Samples {
    /// None where every row is one.
    rows: Option<Vec<u32>>,
    train: u32,
    all: u32,
}

impl Samples {
    fn of(index: &Index, negatives: &NegativeSampler, protocol: Negatives, [train_rows, end]: [u32; 2]) -> Self {
        let is_every_row = match protocol {
            Negatives::TimeMatched => false,
            Negatives::Uniform | Negatives::Popular => !index.has_exposures(),
            Negatives::None => true,
        };
        if is_every_row {
            return Self { rows: None, train: train_rows, all: end };
        }
        let rows: Vec<u32> = (0..end).filter(|&row| negatives.is_sample(index, row)).collect();
        Self { train: rows.partition_point(|&row| row < train_rows) as u32, all: rows.len() as u32, rows: Some(rows) }
    }

    /// The row of a sample.
    fn row(&self, sample: u32) -> u32 {
        self.rows.as_ref().map_or(sample, |rows| rows[sample as usize])
    }

    fn train(&self) -> Range<u32> {
        0..self.train
    }

    fn test(&self) -> Range<u32> {
        self.train..self.all
    }
}

/// Which requests of a batch cluster (A9).
#[derive(Clone, Copy)]
enum Clustering {
    /// A share, drawn for the pass.
    Of { pass: u32 },
    /// None: memories are frozen.
    Never,
}

impl Dataset {
    /// Reads the rows once and indexes them, on all cores where there are threads. Keeps 21.5 bytes a row (T1: up to 26.5), 9 a
    /// user and 9 an item, under P1 18.
    ///
    /// # Errors
    /// [`DataError::TooLittle`] where the rows give no training batch, no test row or, for some user, no negative;
    /// [`DataError::TooMany`] where there are `2^32` rows or more.
    pub fn open(source: Arc<dyn Source>, config: &Config) -> Result<Self, DataError> {
        let vocabulary = source.vocabulary();
        let end = (source.rows() as f64 * config.train_share) as u64;
        let [train_rows, end] = match config.validation_share {
            0.0 => [end, source.rows()],
            share => [(end as f64 * (1.0 - share)) as u64, end],
        };
        require_rows(&*source, train_rows, config)?;
        let index = Index::of(&source, threads())?;
        // As many as were indexed.
        let [train_rows, end] = [train_rows, end].map(|rows| rows as u32);
        match config.negatives {
            Negatives::Uniform | Negatives::Popular => require_negatives(&*source, &index)?,
            Negatives::None => require_exposures(&*source, &index)?,
            Negatives::TimeMatched => {}
        }
        let negatives = NegativeSampler::new(config.negatives, config.seed, &index, vocabulary.items, [train_rows, end]);
        let samples = Samples::of(&index, &negatives, config.negatives, [train_rows, end]);
        require_samples(&*source, &samples, config)?;
        let counts = Counts::of(&index, vocabulary, train_rows);
        let by_activity = counts.by_activity(config.seed);
        let low_active = counts::low_active(&by_activity, config.low_active_share);
        let share = |span: Range<u32>, is: &dyn Fn(u32) -> bool| {
            let number = f64::from(span.len() as u32);
            span.filter(|&sample| is(samples.row(sample))).count() as f64 / number
        };
        let known_fields = |user| (0..source.profile_fields()).filter(|&field| source.profile(user, field).is_some()).count() as u32;
        let is_low = |row: u32| low_active[index.user(row) as usize];
        let is_unseen = |row: u32| index.first_row(index.item(row)).is_none_or(|first| first >= train_rows);
        let low_active_row_share = (0..train_rows).filter(|&row| is_low(row)).count() as f64 / f64::from(train_rows);
        Ok(Self {
            inner: Arc::new(Inner {
                vocabulary,
                seed: config.seed,
                requests: config.requests(),
                candidates: config.candidates(),
                history: config.history,
                train_rows,
                end,
                passes: config.passes,
                decile: counts::deciles(&by_activity),
                tail: counts.tail_items(config.seed),
                interest: counts.interest(&low_active, known_fields),
                low_active_row_share,
                unseen_test_share: share(samples.test(), &is_unseen),
                sampling: cluster_sampling(config.cluster_share, share(samples.train(), &is_low)),
                low_active,
                samples,
                negatives,
                index,
                source,
            }),
            told_window: config.variants.0.iter().any(|variant| variant.is_told()).then_some(config.history),
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
            train_rows: inner.train_rows.into(),
            test_rows: u64::from(inner.end - inner.train_rows),
            low_active_users: inner.low_active.iter().filter(|low| **low).count() as u64,
            low_active_row_share: inner.low_active_row_share,
            unseen_test_share: inner.unseen_test_share,
            interest: inner.interest,
        }
    }

    /// Which rows these are, whatever they are called and wherever they came from.
    pub fn fingerprint(&self) -> String {
        let Vocabulary { users, items, categories } = self.inner.vocabulary;
        let (rows, (profiles, _), (attributes, _)) = (self.inner.index.rows(), self.profiles(), self.attributes());
        let sum = crc32c::crc32c_append(self.inner.index.checksum(), bytemuck::cast_slice(&profiles));
        let sum = crc32c::crc32c_append(sum, bytemuck::cast_slice(&attributes));
        format!("{rows} rows, {users} users, {items} items, {categories} categories, sum {sum:08x}")
    }

    /// `[users, fields]`: the values of all users' profiles, [`NO_ROW`] where one is missing; and how many fields there are.
    pub fn profiles(&self) -> (Vec<u32>, usize) {
        let fields = self.inner.source.profile_fields();
        let profile_of = |user: u32| (0..fields).map(move |field| self.inner.source.profile(user, field).unwrap_or(NO_ROW));
        ((0..if fields > 0 { self.inner.vocabulary.users } else { 0 }).flat_map(profile_of).collect(), fields as usize)
    }

    /// `[items, fields]`: the values of all items' attributes, [`NO_ROW`] where one is missing; and how many fields there are.
    pub fn attributes(&self) -> (Vec<u32>, usize) {
        self.attributes_of(0..self.inner.vocabulary.items)
    }

    /// The same of some items.
    fn attributes_of(&self, items: impl Iterator<Item = u32>) -> (Vec<u32>, usize) {
        let (source, fields) = (&self.inner.source, self.inner.source.item_fields());
        let of_item = |item: u32| (0..fields).map(move |field| source.attribute(item, field).unwrap_or(NO_ROW));
        (if fields > 0 { items.flat_map(of_item).collect() } else { Vec::new() }, fields as usize)
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

    /// `[items]`: the category of each.
    pub fn categories(&self) -> Arc<[u32]> {
        (0..self.vocabulary().items).map(|item| self.category(item)).collect()
    }

    /// The generator's own probability of an item as a user's next row at `row` of the stream ([`Source::probability`]); none on real
    /// rows.
    pub fn probability(&self, row: u32, user: u32, item: u32, history: &[u32]) -> Option<f64> {
        self.inner.source.probability(row.into(), user, item, history)
    }

    /// What the generator knows of a batch, with the newest `window` behaviours of each request as evidence; none on real rows, and
    /// for requests of no row, as in a simulation.
    pub fn truth(&self, batch: &Batch, window: usize) -> Option<Truth> {
        let source = &self.inner.source;
        let (groups, item_groups) = self.planted_groups();
        let windows = batch.history_items.chunks(batch.history).map(|items| &items[..window.min(batch.history)]);
        let alike = || vec![1.0 / f64::from(groups); groups as usize];
        let posteriors = windows.zip(&batch.row).map(|(items, &row)| source.group_posterior(row.into(), items).unwrap_or_else(alike));
        Some(Truth {
            groups: groups as usize,
            item_groups: item_groups as usize,
            group: batch
                .user
                .iter()
                .zip(&batch.row)
                .map(|(&user, &row)| source.planted_group_at(user, row.into()))
                .collect::<Option<_>>()?,
            item_group: batch.item.iter().map(|&item| source.planted_item_group(item)).collect::<Option<_>>()?,
            posterior: posteriors.flatten().map(|probability| probability as f32).collect(),
        })
    }

    /// The same rows, their batches with what the generator knows of them ([`Dataset::truth`], [`Batch::truth`]).
    #[must_use]
    pub fn telling(self, window: usize) -> Self {
        Self { told_window: Some(window), ..self }
    }

    /// Planted groups of users and of items; 0 where there are none.
    pub fn planted_groups(&self) -> (u32, u32) {
        (self.inner.source.planted_groups(), self.inner.source.planted_item_groups())
    }

    /// The planted group of an item; none on real rows.
    pub fn planted_item_group(&self, item: u32) -> Option<u32> {
        self.inner.source.planted_item_group(item)
    }

    /// The planted group of a user at a row of the stream; none on real rows.
    pub fn planted_group_at(&self, user: u32, row: u32) -> Option<u32> {
        self.inner.source.planted_group_at(user, row.into())
    }

    /// Full batches of the training samples, over all passes. The samples after the last one of a pass train nothing, but
    /// histories and counts of the test know their rows.
    pub fn train_steps(&self) -> u64 {
        self.inner.steps_of_a_pass() * u64::from(self.inner.passes)
    }

    /// Batches of the test, the last one padded.
    pub fn test_steps(&self) -> u64 {
        (self.inner.samples.test().len() as u64).div_ceil(self.inner.requests as u64)
    }

    /// The probabilities with which a training request of a low-active and of a high-active user clusters (A9).
    pub fn sampling(&self) -> (f64, f64) {
        self.inner.sampling
    }

    /// A training batch, always full: any of [`Dataset::train_steps`], without the ones before it.
    ///
    /// # Panics
    /// Where there is no such step.
    pub fn train_batch(&self, step: u64) -> Batch {
        assert!(step < self.train_steps(), "training has {} batches", self.train_steps());
        let steps = self.inner.steps_of_a_pass();
        let (pass, first) = ((step / steps) as u32, (step % steps) as u32 * self.inner.requests as u32);
        self.told(self.inner.batch(first..first + self.inner.requests as u32, pass, Clustering::Of { pass }))
    }

    /// A batch of the test with frozen memories: any of [`Dataset::test_steps`].
    ///
    /// # Panics
    /// Where there is no such batch.
    pub fn test_batch(&self, step: u64) -> Batch {
        self.of_test(step, Clustering::Never)
    }

    /// A batch of a streaming test, which is trained on once it is scored: as [`Dataset::test_batch`] gives it, but its requests
    /// cluster as those of training do.
    ///
    /// # Panics
    /// Where there is no such batch.
    pub fn streaming_batch(&self, step: u64) -> Batch {
        // The test has the draws of the first pass, however many there were.
        self.of_test(step, Clustering::Of { pass: 0 })
    }

    fn of_test(&self, step: u64, clustering: Clustering) -> Batch {
        assert!(step < self.test_steps(), "the test has {} batches", self.test_steps());
        let (test, requests) = (self.inner.samples.test(), self.inner.requests as u32);
        let first = test.start + step as u32 * requests;
        self.told(self.inner.batch(first..test.end.min(first + requests), self.inner.passes - 1, clustering))
    }

    /// A batch with what the generator knows of it, where the data set tells it.
    pub(crate) fn told(&self, batch: Batch) -> Batch {
        let truth = self.told_window.and_then(|window| self.truth(&batch, window)).map(Box::new);
        let (attributes, item_fields) = self.attributes_of(batch.item.iter().copied());
        Batch { truth, item_fields, attributes, ..batch }
    }

    /// The batches in their order.
    pub fn replay(&self) -> Replay {
        Replay::new(self.clone())
    }

    /// A fixed part of the test for live curves: one sample, chosen by hash, out of each of `positives` equal spans of the
    /// test; all samples where the test has no more.
    pub fn probe_set(&self, positives: usize) -> Vec<Batch> {
        let inner = &self.inner;
        let hash = Counter::new(inner.seed, Stream::Sample).lane(1);
        let (test, number) = (inner.samples.test(), inner.samples.test().len() as u64);
        let spans = (positives as u64).min(number);
        let start = |span: u64| (u128::from(span) * u128::from(number) / u128::from(spans)) as u64;
        let chosen = |span: u64| test.start + (start(span) + hash.below(span, start(span + 1) - start(span))) as u32;
        let all: Vec<u32> = (0..spans).map(chosen).collect();
        all.chunks(inner.requests).map(|samples| self.told(inner.batch(samples.iter().copied(), 0, Clustering::Never))).collect()
    }
}

impl Inner {
    fn steps_of_a_pass(&self) -> u64 {
        (self.samples.train().len() / self.requests) as u64
    }

    /// A batch of samples, padded where they do not fill it. `pass` is what the batch says; test samples have the draws of the first.
    fn batch(&self, samples: impl IntoIterator<Item = u32>, pass: u32, clustering: Clustering) -> Batch {
        let profile_fields = self.source.profile_fields() as usize;
        let mut batch = Batch { pass, profile_fields, ..Batch::new(self.requests, self.candidates, self.history) };
        samples.into_iter().for_each(|sample| self.request(&mut batch, self.samples.row(sample), pass, clustering));
        batch.pad();
        batch
    }

    /// What a row is about, and its negative where one is drawn, under what was known before the row.
    fn request(&self, batch: &mut Batch, row: u32, pass: u32, clustering: Clustering) {
        let index = &self.index;
        let moment = index.before(row);
        let low = self.low_active[moment.user as usize];
        let item = index.item(row);
        let behaviour = index.behaviour(row);
        let labels = [behaviour.is_taken(), behaviour.is_strong()].map(|label| f32::from(u8::from(label)));
        let own = Candidate { labels, repeat: index.had(moment, item), ..self.candidate(item, row) };
        let draws = if row < self.train_rows { pass } else { 0 };
        let negative = self.negatives.draw(index, draws, row).map(|item| self.candidate(item, row));
        let both = [own, negative.unwrap_or(own)];
        let past = |(&item, &behaviour): (&u32, &Behaviour)| Past { item, category: index.category(item), behaviour };
        let newest = index.history(moment).iter().zip(index.done(moment)).rev().map(past);
        let clusters = match clustering {
            Clustering::Of { pass } => self.clusters(row, pass, low),
            Clustering::Never => false,
        };
        batch.push_profile((0..batch.profile_fields as u32).map(|field| self.source.profile(moment.user, field)));
        batch.push_known([row, moment.user], index.counts(moment), newest, [low, clusters], &both[..self.candidates]);
    }

    /// An item as a negative of a row.
    fn candidate(&self, item: u32, row: u32) -> Candidate {
        // Training rows come first.
        let seen = self.index.first_row(item).is_some_and(|first| first < row.min(self.train_rows));
        let item_rows = self.index.item_rows(item, row);
        Candidate { item, category: self.index.category(item), labels: [0.0; TASKS], item_rows, repeat: false, seen }
    }

    /// Whether a row that is trained on is among the share that clusters (A9).
    fn clusters(&self, row: u32, pass: u32, low_active: bool) -> bool {
        let (low, high) = self.sampling;
        let counter = Counter::new(self.seed, Stream::Clustered);
        let counter = if pass == 0 { counter } else { counter.lane(pass.into()) };
        counter.uniform(row.into()) < if low_active { low } else { high }
    }
}

/// Threads that this machine has for us: one in a browser.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn too_little(source: &dyn Source, problem: String, advice: &str) -> Result<(), DataError> {
    Err(DataError::TooLittle { name: source.name(), problem, advice: advice.into() })
}

fn require_rows(source: &dyn Source, train_rows: u64, config: &Config) -> Result<(), DataError> {
    let requests = config.requests() as u64;
    if train_rows < requests {
        let what = if config.candidates() == 1 { "exposures" } else { "positives" };
        let problem = format!("has {train_rows} training rows, fewer than the {requests} {what} of one batch");
        // The smallest batch that a configuration may have is 8: four positives and four negatives.
        return match train_rows {
            0..4 => too_little(source, problem, "Use more rows"),
            _ => {
                let fits = largest_batch(train_rows, config.candidates() as u64);
                too_little(
                    source,
                    problem,
                    &format!("Use more rows or a smaller batch: `batch={fits}` fits (in a terminal `--set batch={fits}`)"),
                )
            }
        };
    }
    if train_rows >= source.rows() {
        let problem = format!("has {} rows, of which none is left to test", source.rows());
        return too_little(source, problem, "Use more rows or a smaller train_share");
    }
    Ok(())
}

/// The largest batch, a power of two, whose requests so many training rows can fill.
fn largest_batch(train_rows: u64, candidates: u64) -> u64 {
    let requests: u64 = 1 << train_rows.max(1).ilog2();
    requests * candidates
}

/// Refuses rows in which a user had every item, who has no negative.
fn require_negatives(source: &dyn Source, index: &Index) -> Result<(), DataError> {
    let items = source.vocabulary().items;
    let had_all = |(user, rows): (u32, u32)| rows >= items && index.distinct_items(user, rows) >= items;
    if !(0..).zip(index.rows_of_users()).any(had_all) {
        return Ok(());
    }
    let problem = format!("has {items} items and a user who had every one, so there is no negative for them");
    too_little(source, problem, "Use rows with more items")
}

/// Refuses rows without labels of their own (E1).
fn require_exposures(source: &dyn Source, index: &Index) -> Result<(), DataError> {
    let is_taken = |row| index.behaviour(row).is_taken();
    let rows = || 0..index.rows();
    if rows().any(is_taken) && !rows().all(is_taken) {
        return Ok(());
    }
    let problem = "has no exposures of both kinds, taken and not taken, which are the labels of protocol E1".into();
    too_little(source, problem, "Say with --columns which column is the label (label=clicked), or use negatives=time-matched")
}

/// Refuses rows of which too few are positives with a negative (T1).
fn require_samples(source: &dyn Source, samples: &Samples, config: &Config) -> Result<(), DataError> {
    let (train, test, positives) = (samples.train().len(), samples.test().len(), config.requests());
    if train < positives {
        let problem =
            format!("has {train} training rows of items that are new to their user, fewer than the {positives} positives of one batch");
        return too_little(source, problem, "Use more rows, a smaller batch or negatives=uniform");
    }
    if test == 0 {
        let problem = "has no test row of an item that is new to its user with another user's within 256 rows after it".into();
        return too_little(source, problem, "Use more rows, a smaller train_share or negatives=uniform");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::stateful::Stateful;
    use super::*;
    use crate::data::generator::Generator;
    use crate::data::{Behaviour, Event, Origin};

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

    /// Rows at random: users and items unequal, items with many repeats, times that only rise.
    struct Random {
        events: Vec<Event>,
        vocabulary: Vocabulary,
    }

    impl Random {
        fn draw(seed: u64, rows: usize, users: u32, items: u32) -> Arc<Self> {
            let lane = |lane| Counter::new(seed, Stream::Choices).lane(lane);
            let square = |lane_of, row, n: u32| (lane(lane_of).uniform(row) * lane(lane_of + 1).uniform(row) * f64::from(n)) as u32;
            let kinds = [Behaviour::View, Behaviour::Cart, Behaviour::Favourite, Behaviour::Buy];
            let event = |row: u64| {
                let item = square(2, row, items);
                let kind = kinds[lane(4).below(row, 4) as usize];
                Event { user: square(0, row, users), item, category: item % 7, behaviour: kind, time: row as i64 }
            };
            Arc::new(Self { events: (0..rows as u64).map(event).collect(), vocabulary: Vocabulary { users, items, categories: 7 } })
        }

        /// The same rows, of which about half were shown and not taken.
        fn exposed(&self) -> Arc<Self> {
            let kinds = [Behaviour::Shown, Behaviour::Stayed, Behaviour::Shown];
            let event = |event: &Event| {
                let draw = Counter::new(1, Stream::Choices).below(event.time as u64, 6) as usize;
                Event { behaviour: kinds.get(draw).copied().unwrap_or(event.behaviour), ..*event }
            };
            Arc::new(Self { events: self.events.iter().map(event).collect(), vocabulary: self.vocabulary })
        }
    }

    impl Source for Random {
        fn origin(&self) -> Origin {
            Origin::File
        }

        fn name(&self) -> String {
            "random.csv".into()
        }

        fn vocabulary(&self) -> Vocabulary {
            self.vocabulary
        }

        fn category(&self, item: u32) -> u32 {
            item % 7
        }

        fn rows(&self) -> u64 {
            self.events.len() as u64
        }

        fn events(self: Arc<Self>) -> Box<dyn Iterator<Item = Event> + Send> {
            Box::new((0..self.events.len()).map(move |row| self.events[row]))
        }
    }

    const PROTOCOLS: [Negatives; 3] = [Negatives::TimeMatched, Negatives::Uniform, Negatives::Popular];

    /// The index against what a replay that remembers everything finds, for every protocol and on streams of all shapes: few users
    /// with long histories, many with short ones, catalogues that users nearly exhaust.
    #[test]
    fn every_batch_of_the_index_is_that_of_a_replay_row_by_row() {
        let shapes = [(1, 900, 12, 200), (2, 1_500, 200, 90), (3, 700, 3, 450), (4, 1_201, 60, 60), (5, 600, 500, 500), (6, 64, 9, 40)];
        for (seed, rows, users, items) in shapes {
            let taken = Random::draw(seed, rows, users, items);
            let exposed = taken.exposed();
            let categories: Vec<u32> = (0..items).map(|item| taken.category(item)).collect();
            let cases = PROTOCOLS.map(|protocol| (protocol, &taken));
            let of_exposures = PROTOCOLS.map(|protocol| (protocol, &exposed));
            for (negatives, source) in cases.into_iter().chain(of_exposures).chain([(Negatives::None, &exposed)]) {
                let config =
                    Config { seed, negatives, batch: 16, history: 1 + seed as usize, passes: 2, train_share: 0.7, ..Config::default() };
                let dataset = Dataset::open(source.clone(), &config).unwrap();
                let stateful = Stateful {
                    events: &source.events,
                    users,
                    categories: &categories,
                    config: &config,
                    low_active: (0..users).map(|user| dataset.is_low_active(user)).collect(),
                    sampling: dataset.sampling(),
                };
                let train = stateful.train();
                assert_eq!(train_batches(&dataset), train, "{negatives:?}, shape {seed}");
                assert_eq!(test_batches(&dataset), stateful.test(false), "{negatives:?}, shape {seed}");
                let mut replay = dataset.replay();
                let streamed: Vec<Batch> = std::iter::from_fn(|| replay.next_streaming()).collect();
                assert_eq!(streamed, stateful.test(true), "{negatives:?}, shape {seed}");
                // Any batch alone, in any order.
                for step in (0..dataset.train_steps()).rev() {
                    assert_eq!(dataset.train_batch(step), train[step as usize]);
                }
            }
        }
    }

    /// Validation is a test within the training rows: what comes after them is not looked at.
    #[test]
    fn a_validation_slice_is_the_end_of_the_training_rows_and_knows_no_row_of_the_test() {
        for negatives in [Negatives::TimeMatched, Negatives::Uniform] {
            let config = Config { negatives, validation_share: 0.25, batch: 16, ..Config::default() };
            let source = Random::draw(3, 1_000, 40, 200);
            let dataset = Dataset::open(source.clone(), &config).unwrap();
            let (report, rows) = (dataset.report(), |batches: Vec<Batch>| batches.into_iter().flat_map(|b| b.row).collect::<Vec<u32>>());
            assert_eq!((report.train_rows, report.test_rows), (600, 200));
            assert!(rows(train_batches(&dataset)).iter().all(|&row| row < 600));
            assert!(rows(test_batches(&dataset)).iter().all(|row| (600..800).contains(row)));
            // Were the test's rows others, nothing would change.
            let mut other = Random { events: source.events.clone(), vocabulary: source.vocabulary };
            other.events[800..].iter_mut().for_each(|event| (event.user, event.item) = (0, 1));
            other.events[800..].iter_mut().for_each(|event| event.category = 1);
            let other = Dataset::open(Arc::new(other), &config).unwrap();
            assert_eq!(test_batches(&dataset), test_batches(&other));
        }
    }

    #[test]
    fn an_exposure_is_a_request_of_one_candidate_with_two_labels_and_what_was_not_taken_is_no_behaviour() {
        let source = Random::draw(2, 1_500, 40, 90).exposed();
        let config = Config { negatives: Negatives::None, batch: 32, history: 4, ..Config::default() };
        let dataset = Dataset::open(source.clone(), &config).unwrap();
        assert_eq!((dataset.train_steps(), dataset.test_steps()), (1_200 / 32, 300u64.div_ceil(32)));
        for step in 0..dataset.test_steps() {
            let batch = dataset.test_batch(step);
            assert_eq!((batch.requests, batch.candidates, batch.labels.len()), (32, 1, 64));
            for r in 0..batch.valid {
                let row = 1_200 + 32 * step as usize + r;
                let event = source.events[row];
                let before = || source.events[..row].iter().filter(|other| other.behaviour.is_taken());
                let own: Vec<u32> = before().filter(|other| other.user == event.user).map(|other| other.item).collect();
                assert_eq!((batch.row[r], batch.user[r], batch.item[r]), (row as u32, event.user, event.item));
                let labels = match event.behaviour {
                    Behaviour::Shown => [0.0, 0.0],
                    Behaviour::Stayed => [0.0, 1.0],
                    Behaviour::View => [1.0, 0.0],
                    _ => [1.0, 1.0],
                };
                assert_eq!([batch.labels[r], batch.labels[32 + r]], labels);
                let history: Vec<u32> = batch.history_items[4 * r..4 * r + 4].iter().copied().filter(|&item| item != NO_ROW).collect();
                assert_eq!(history, own.iter().rev().take(4).copied().collect::<Vec<_>>());
                assert_eq!(batch.user_rows[r] as usize, own.len());
                assert_eq!(batch.repeat[r], own.contains(&event.item));
                assert_eq!(batch.item_rows[r] as usize, before().filter(|other| other.item == event.item).count());
                assert_eq!(batch.seen[r], source.events[..1_200].iter().any(|other| other.item == event.item));
            }
        }
        for events in [Random::draw(2, 1_500, 40, 90), Random::draw(2, 40, 4, 9)] {
            let Err(error) = Dataset::open(events, &config) else { panic!("rows without labels") };
            let said = error.to_string();
            assert!(said.contains("exposures"), "{said}");
        }
    }

    #[test]
    fn batches_are_the_same_whoever_builds_them_and_wherever_they_begin() {
        let (_, dataset) = open(&Config { passes: 2, ..small() });
        let train = train_batches(&dataset);
        let builder = |dataset: &Dataset| {
            let dataset = dataset.clone();
            move |step| dataset.train_batch(step)
        };
        for threads in [0, 1, 2, 5] {
            for from in [0, 1, 130, 249, 250, 1_000] {
                let rest: Vec<Batch> = Ahead::start(from..dataset.train_steps(), threads, || builder(&dataset)).collect();
                assert_eq!(rest, train[(from as usize).min(250)..], "{threads} threads from step {from}");
            }
        }
        // Threads that nobody asks any more do not wait.
        let weak = Arc::downgrade(&dataset.inner);
        let mut ahead = Ahead::start(0..dataset.train_steps(), 3, || builder(&dataset));
        assert!(ahead.next().is_some());
        drop((ahead, dataset));
        let waited = (0..1_000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            weak.strong_count() == 0
        });
        assert!(waited, "threads ended with the work");
    }

    #[test]
    fn the_index_is_the_same_on_any_number_of_threads() {
        let source: Arc<dyn Source> = Random::draw(9, 3_000, 37, 400);
        let one = Index::of(&source, 1).unwrap();
        for threads in [2, 3, 16, 100] {
            assert!(Index::of(&source, threads).unwrap() == one, "{threads}");
        }
    }

    /// What T1 is for: a positive and its negative are new to the user, from the same time and from the same span.
    #[test]
    fn a_time_matched_negative_is_new_to_its_user_and_from_the_next_rows_of_others() {
        let source = Random::draw(8, 4_000, 80, 300);
        let config = Config { negatives: Negatives::TimeMatched, batch: 64, passes: 2, ..Config::default() };
        let dataset = Dataset::open(source.clone(), &config).unwrap();
        let (events, train) = (&source.events, 3_200);
        let mut had = HashSet::new();
        let firsts: Vec<bool> = events.iter().map(|event| had.insert((event.user, event.item))).collect();
        assert!(firsts.iter().filter(|first| !**first).count() > 400, "there are repeats to leave out");
        let (mut had, mut row, mut distances) = (HashSet::new(), 0, Vec::new());
        let batches = train_batches(&dataset);
        let once = &batches[..batches.len() / 2];
        let requests = |batches: &[Batch]| -> Vec<[u32; 3]> {
            let of =
                |batch: &Batch| (0..batch.valid).map(|r| [batch.user[r], batch.item[2 * r], batch.item[2 * r + 1]]).collect::<Vec<_>>();
            batches.iter().flat_map(of).collect()
        };
        for (end, requests) in [(train, requests(once)), (4_000, requests(&test_batches(&dataset)))] {
            for [user, positive, negative] in requests {
                // The row of the sample: the next one of that user and item that is no repeat.
                while !(firsts[row] && (events[row].user, events[row].item) == (user, positive)) {
                    had.insert((events[row].user, events[row].item));
                    row += 1;
                }
                had.insert((user, positive));
                assert!(!had.contains(&(user, negative)), "row {row}: a negative that the user had");
                let window = row + 1..end.min(row + 257);
                let from =
                    window.into_iter().filter(|&other| firsts[other] && events[other].user != user && events[other].item == negative);
                distances.extend(from.take(1).map(|other| other - row));
                row += 1;
            }
            // The rest of the span fills no batch but is had.
            while row < end {
                had.insert((events[row].user, events[row].item));
                row += 1;
            }
        }
        let samples: usize = once.iter().chain(&test_batches(&dataset)).map(|batch| batch.valid).sum();
        assert_eq!(distances.len(), samples, "each negative is such a row's");
        assert!(distances.iter().any(|&distance| distance > 200) && distances.iter().any(|&distance| distance < 50));
        let [first, second] = [once, &batches[batches.len() / 2..]].map(requests);
        let same = first.iter().zip(&second).filter(|(a, b)| a[2] == b[2]).count();
        assert!(first.iter().zip(&second).all(|(a, b)| a[..2] == b[..2]) && same < first.len() / 10, "a pass has draws of its own");
        assert_eq!(dataset.test_steps(), test_batches(&dataset).len() as u64);
    }

    #[test]
    fn rows_without_a_time_matched_negative_are_no_samples() {
        let event = |user, item, time| Event { user, item, category: item % 7, behaviour: Behaviour::View, time };
        // Training: the second row has two later rows of another user, one a repeat and one an item that user 0 had; test: the last
        // row has none after it, the one before has.
        let rows = [(0, 1), (0, 2), (1, 1), (1, 1), (0, 3), (1, 4), (0, 5), (1, 6)];
        let events: Vec<Event> = (0..).zip(rows).map(|(time, (user, item))| event(user, item, time)).collect();
        let source = Arc::new(Random { events, vocabulary: Vocabulary { users: 2, items: 16, categories: 7 } });
        let config = Config { negatives: Negatives::TimeMatched, batch: 2, train_share: 0.5, ..Config::default() };
        let refused = Dataset::open(source.clone(), &config).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("0 training rows of items that are new to their user"), "{refused}");
        let dataset = Dataset::open(source, &Config { train_share: 0.8, ..config }).unwrap();
        let pairs = |batches: Vec<Batch>| batches.iter().map(|batch| [batch.user[0], batch.item[0], batch.item[1]]).collect::<Vec<_>>();
        // Rows 0 and 1 find item 4 alone, row 2 (user 1 has had item 1 only) item 3, row 4 item 4; row 5 ends the training.
        assert_eq!(pairs(train_batches(&dataset)), [[0, 1, 4], [0, 2, 4], [1, 1, 3], [0, 3, 4]]);
        assert_eq!(pairs(test_batches(&dataset)), [[0, 5, 6]]);
    }

    /// With labels that nothing tells apart, nothing does: no feature of an item ranks positives above negatives.
    #[test]
    fn without_preferences_popularity_and_novelty_tell_no_time_matched_positive() {
        // Items come up and fade, and a quarter of the rows are repeats: what positives of a user are must not matter.
        let lane = |lane| Counter::new(17, Stream::Choices).lane(lane);
        let (users, items, rows) = (400u32, 20_000u32, 60_000u64);
        let mut last: Vec<Vec<u32>> = vec![Vec::new(); users as usize];
        let mut events = Vec::new();
        for row in 0..rows {
            let user = (lane(0).uniform(row) * lane(1).uniform(row) * f64::from(users)) as u32;
            let own = &mut last[user as usize];
            let item = if !own.is_empty() && lane(2).uniform(row) < 0.25 {
                own[lane(3).below(row, own.len() as u64) as usize]
            } else {
                // A window of the catalogue that moves on, its first items far more popular.
                let moved = 10_000 * row / rows;
                (moved as f64 + 10_000.0 * lane(4).uniform(row).powi(2)) as u32
            };
            own.push(item);
            events.push(Event { user, item, category: item % 7, behaviour: Behaviour::View, time: row as i64 });
        }
        let source = Arc::new(Random { events, vocabulary: Vocabulary { users, items, categories: 7 } });
        let area = |negatives: Negatives| {
            let dataset = Dataset::open(source.clone(), &Config { negatives, ..Config::default() }).unwrap();
            let (mut popularity, mut unseen, mut labels, mut users) = (Vec::new(), [0.0; 2], Vec::new(), Vec::new());
            for batch in test_batches(&dataset) {
                for sample in 0..2 * batch.valid {
                    popularity.push(batch.item_rows[sample] as f32);
                    labels.push(sample % 2 == 0);
                    users.push(batch.user[sample / 2]);
                    unseen[sample % 2] += f64::from(u8::from(batch.item_rows[sample] == 0));
                }
            }
            (crate::metrics::auc(&popularity, &labels, &users), unseen.map(|count| count / (labels.len() / 2) as f64))
        };
        let (matched, unseen) = area(Negatives::TimeMatched);
        eprintln!("popularity alone: {matched:?}, unseen {unseen:?}");
        assert!((matched.value - 0.5).abs() < 1.96 * matched.standard_error, "{matched:?}");
        assert!(matched.standard_error < 0.01 && (unseen[0] - unseen[1]).abs() < 0.01, "{matched:?} {unseen:?}");
        let (uniform, _) = area(Negatives::Uniform);
        assert!(uniform.value > 0.55, "which uniform negatives give away: {uniform:?}");
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
            assert_eq!(dataset.probe_set(50), first.probe_set(50));
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
    fn the_probe_set_is_an_even_fixed_part_of_the_test() {
        let (events, dataset) = open(&small());
        let probe_set = dataset.probe_set(50);
        assert_eq!(probe_set.iter().map(|b| b.valid).collect::<Vec<_>>(), [32, 18]);
        assert_eq!(probe_set, dataset.probe_set(50));
        // Which row a sample is shows in its user, item and history: find each in its span of 20 rows.
        let requests = probe_set.iter().flat_map(|b| (0..b.valid).map(move |r| (b, r)));
        for (span, (batch, r)) in requests.enumerate() {
            let rows = 4_000 + 20 * span..4_020 + 20 * span;
            let row = rows.into_iter().find(|&row| (events[row].user, events[row].item) == (batch.user[r], batch.item[2 * r]));
            assert!(row.is_some(), "span {span}");
            assert!(batch.clustered[r] == 0.0);
        }
        assert_eq!(dataset.probe_set(1_000_000), test_batches(&dataset));
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

    /// What rows that are told the truth need: groups at the row, not at the start, and what the window tells of them.
    #[test]
    fn a_batch_can_be_told_the_planted_groups_and_what_its_windows_reveal() {
        let config = Config { drift: 0.3, user_groups: 5, profile_fields: 3, ..small() };
        let generator = Arc::new(Generator::new(&config));
        let dataset = Dataset::open(generator.clone(), &config).unwrap();
        assert_eq!(dataset.planted_groups(), (5, 6));
        let batch = dataset.test_batch(dataset.test_steps() - 1);
        assert_eq!(batch.truth, None);
        let told = dataset.clone().telling(4);
        let Truth { group: groups, item_group: items, posterior: posteriors, .. } = dataset.truth(&batch, 4).unwrap();
        assert_eq!((groups.len(), items.len(), posteriors.len()), (32, 64, 32 * 5));
        assert_eq!(told.test_batch(dataset.test_steps() - 1).truth.map(|truth| *truth), dataset.truth(&batch, 4));
        assert_eq!(told.train_batch(3).truth.map(|truth| *truth), dataset.truth(&dataset.train_batch(3), 4));
        assert_ne!(dataset.truth(&batch, 7).unwrap().posterior, posteriors, "more behaviours tell more");
        let events: Vec<Event> = generator.clone().events().collect();
        let mut right = 0;
        for r in 0..batch.requests {
            let row = batch.row[r];
            assert_eq!((events[row as usize].user, events[row as usize].item), (batch.user[r], batch.item[2 * r]));
            assert_eq!(groups[r], generator.main_group(batch.user[r], row.into()));
            assert_eq!(items[2 * r + 1], generator.planted_item_group(batch.item[2 * r + 1]));
            let own = &posteriors[5 * r..5 * r + 5];
            assert!((own.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            right += usize::from(own.iter().all(|p| *p <= own[groups[r] as usize]));
            let profile: Vec<u32> = (0..3).map(|field| generator.profile(batch.user[r], field).unwrap_or(NO_ROW)).collect();
            assert_eq!(batch.profile[3 * r..3 * r + 3], profile);
        }
        assert!(right > 8, "{right} of 32 found, where one in five would be by chance");
        let moved = (0..60).filter(|&user| generator.main_group(user, 4_999) != generator.main_group(user, 0)).count();
        assert!(moved > 30, "{moved} of 60 users drifted");
        let real = Dataset::open(Random::draw(1, 900, 12, 200), &Config { batch: 16, ..config }).unwrap();
        let batch = real.test_batch(0);
        assert_eq!((real.planted_groups(), real.truth(&batch, 4)), ((0, 0), None));
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
