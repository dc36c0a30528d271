//! Requests with their candidates in fixed shapes, and what is known of each user when one is made.

use std::sync::LazyLock;

use crate::data::{Behaviour, Event};

/// "No row here": pads a history that is shorter than the window.
pub const NO_ROW: u32 = u32::MAX;

/// Tasks of the ranker: A, "valid consumption" (every row of the log), and B, a cart, favourite or buy.
pub const TASKS: usize = 2;

/// Number of activity buckets.
pub const ACTIVITY_BUCKETS: u32 = 16;

/// Counts enter features as `ln(1 + n)` over this, which keeps them near 0 to 2.
pub const COUNT_SCALE: f64 = 5.0;

/// Requests of one user each, with the same number of candidates for all. Samples are request-major: sample
/// `request * candidates + candidate`. All arrays are row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Requests, padding included, so that shapes never change. Under the protocol half of the configured batch.
    pub requests: usize,
    /// Candidates of a request. Under the protocol 2: the positive, then its negative.
    pub candidates: usize,
    /// Requests that count; the rest repeat the first ones (under the protocol only the last batch of a test has any).
    pub valid: usize,
    /// Behaviours of the history window.
    pub history: usize,
    /// Passes over the training rows that came before; the test belongs to the last one.
    pub pass: u32,
    /// Fields of a user's profile.
    pub profile_fields: usize,
    /// Fields of an item's attributes.
    pub item_fields: usize,
    /// `[requests]`: the row of the stream that the request is, counted from 0; [`NO_ROW`] in a simulation, which comes after all.
    pub row: Vec<u32>,
    /// `[requests, profile_fields]`: values of the user's profile, [`NO_ROW`] where one is missing.
    pub profile: Vec<u32>,
    /// `[requests]`: user.
    pub user: Vec<u32>,
    /// `[requests]`: the user's activity bucket, see [`activity_bucket`].
    pub activity: Vec<u32>,
    /// `[requests, history]`: items of the user's last behaviours strictly before this row, newest first, [`NO_ROW`] after
    /// them.
    pub history_items: Vec<u32>,
    /// `[requests, history]`: their categories.
    pub history_categories: Vec<u32>,
    /// `[requests, history]`: what was done; a view where there is padding.
    pub history_behaviours: Vec<Behaviour>,
    /// `[requests, Behaviour::COUNT]`: `ln(1 + n) / 5` of the user's behaviours before this row, by kind.
    pub counts: Vec<f32>,
    /// `[requests]`: 1 where the request is among the share that clusters (A9), else 0. All 0 in test batches.
    pub clustered: Vec<f32>,
    /// `[requests]`: whether the user is low-active (A22).
    pub low_active: Vec<bool>,
    /// `[requests]`: the user's behaviours before this row.
    pub user_rows: Vec<u32>,
    /// `[requests, candidates]`: the item that is ranked.
    pub item: Vec<u32>,
    /// `[requests, candidates]`: its category.
    pub category: Vec<u32>,
    /// `[requests, candidates, item_fields]`: values of the item's attributes, [`NO_ROW`] where one is missing.
    pub attributes: Vec<u32>,
    /// `[requests, candidates]`: `ln(1 + n) / 5` of the item's rows before this row, in the whole stream.
    pub item_count: Vec<f32>,
    /// `[requests, candidates]`: those rows.
    pub item_rows: Vec<u32>,
    /// `[requests, candidates]`: whether the user had this item before. Never true of a negative.
    pub repeat: Vec<bool>,
    /// `[requests, candidates]`: whether a training row had this item before this row.
    pub seen: Vec<bool>,
    /// `[TASKS, requests, candidates]`: labels, task A first.
    pub labels: Vec<f32>,
    /// What the generator knows of these requests, where the data set [tells](super::Dataset::telling) it.
    pub truth: Option<Box<Truth>>,
}

/// What the generator knows of the requests of a batch, padding included: for rows that are told the truth, as ceilings are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Truth {
    /// Planted groups of users.
    pub groups: usize,
    /// Planted groups of items.
    pub item_groups: usize,
    /// `[requests]`: the planted group of the user when the row comes, below [`Truth::groups`].
    pub group: Vec<u32>,
    /// `[requests, candidates]`: the planted group of the item, below [`Truth::item_groups`].
    pub item_group: Vec<u32>,
    /// `[requests, groups]`: the generator's own probability of each group of users, given the newest behaviours: the most that can
    /// be known from them. Sums to 1. All groups alike where the generator has none (E1).
    pub posterior: Vec<f32>,
}

/// A behaviour of a user's history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past {
    /// The item.
    pub item: u32,
    /// Its category.
    pub category: u32,
    /// What was done.
    pub behaviour: Behaviour,
}

/// An item that a request ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The item.
    pub item: u32,
    /// Its category.
    pub category: u32,
    /// Its label in each task, 0 or 1.
    pub labels: [f32; TASKS],
    /// Rows of the item before this one, in the whole stream.
    pub item_rows: u32,
    /// Whether the user had it before.
    pub repeat: bool,
    /// Whether a training row had it before.
    pub seen: bool,
}

impl Batch {
    /// An empty batch with room for `requests` of `candidates` each and a window of `history` behaviours.
    pub fn new(requests: usize, candidates: usize, history: usize) -> Self {
        let (samples, window) = (requests * candidates, requests * history);
        Self {
            requests,
            candidates,
            valid: 0,
            history,
            pass: 0,
            profile_fields: 0,
            item_fields: 0,
            row: Vec::with_capacity(requests),
            profile: Vec::new(),
            user: Vec::with_capacity(requests),
            activity: Vec::with_capacity(requests),
            history_items: Vec::with_capacity(window),
            history_categories: Vec::with_capacity(window),
            history_behaviours: Vec::with_capacity(window),
            counts: Vec::with_capacity(requests * Behaviour::COUNT),
            clustered: Vec::with_capacity(requests),
            low_active: Vec::with_capacity(requests),
            user_rows: Vec::with_capacity(requests),
            item: Vec::with_capacity(samples),
            category: Vec::with_capacity(samples),
            attributes: Vec::new(),
            item_count: Vec::with_capacity(samples),
            item_rows: Vec::with_capacity(samples),
            repeat: Vec::with_capacity(samples),
            seen: Vec::with_capacity(samples),
            labels: vec![0.0; TASKS * samples],
            truth: None,
        }
    }

    /// Some of its requests, with everything that is of them.
    pub fn part(&self, requests: std::ops::Range<usize>) -> Self {
        fn rows<T: Clone>(all: &[T], requests: &std::ops::Range<usize>, of_request: usize) -> Vec<T> {
            all[requests.start * of_request..requests.end * of_request].to_vec()
        }
        let (own, pairs) = (&requests, self.candidates);
        Self {
            requests: own.len(),
            candidates: pairs,
            valid: self.valid.clamp(own.start, own.end) - own.start,
            history: self.history,
            pass: self.pass,
            profile_fields: self.profile_fields,
            item_fields: self.item_fields,
            row: rows(&self.row, own, 1),
            profile: rows(&self.profile, own, self.profile_fields),
            user: rows(&self.user, own, 1),
            activity: rows(&self.activity, own, 1),
            history_items: rows(&self.history_items, own, self.history),
            history_categories: rows(&self.history_categories, own, self.history),
            history_behaviours: rows(&self.history_behaviours, own, self.history),
            counts: rows(&self.counts, own, Behaviour::COUNT),
            clustered: rows(&self.clustered, own, 1),
            low_active: rows(&self.low_active, own, 1),
            user_rows: rows(&self.user_rows, own, 1),
            item: rows(&self.item, own, pairs),
            category: rows(&self.category, own, pairs),
            attributes: rows(&self.attributes, own, pairs * self.item_fields),
            item_count: rows(&self.item_count, own, pairs),
            item_rows: rows(&self.item_rows, own, pairs),
            repeat: rows(&self.repeat, own, pairs),
            seen: rows(&self.seen, own, pairs),
            labels: self.labels.chunks_exact(self.samples()).flat_map(|of_task| rows(of_task, own, pairs)).collect(),
            truth: self.truth.as_ref().map(|truth| {
                Box::new(Truth {
                    group: rows(&truth.group, own, 1),
                    item_group: rows(&truth.item_group, own, pairs),
                    posterior: rows(&truth.posterior, own, truth.groups),
                    ..**truth
                })
            }),
        }
    }

    /// Samples, padding included.
    pub fn samples(&self) -> usize {
        self.requests * self.candidates
    }

    /// Whether the user of a request has done anything before.
    pub fn has_history(&self, request: usize) -> bool {
        self.history_items[request * self.history] != NO_ROW
    }

    /// `[requests]`: the consumed items, the first candidates.
    pub fn consumed(&self) -> impl Iterator<Item = u32> {
        self.item.iter().step_by(self.candidates).copied()
    }

    /// `[requests]`: label A of the first candidates.
    pub fn consumed_labels(&self) -> impl Iterator<Item = f32> {
        self.labels[..self.samples()].iter().step_by(self.candidates).copied()
    }

    /// A request's user's behaviours before it, by kind: what `counts` holds the logarithms of. Exact up to some 100,000.
    pub fn behaviours(&self, request: usize) -> [u32; Behaviour::COUNT] {
        std::array::from_fn(|kind| libm::round(libm::expm1(f64::from(self.counts[request * Behaviour::COUNT + kind]) * COUNT_SCALE)) as u32)
    }

    /// Requests so far: what [`Batch::push`] and [`Batch::pad`] added.
    pub fn filled(&self) -> usize {
        self.user.len()
    }

    /// Whether there is no room for another request.
    pub fn is_full(&self) -> bool {
        self.filled() == self.requests
    }

    /// Adds a request: the user as `histories` know them now, and their candidates.
    ///
    /// # Panics
    /// Where the batch is full, the number of candidates is another or the user is unknown to `histories`.
    pub fn push(&mut self, histories: &Histories, user: u32, low_active: bool, clustered: bool, candidates: &[Candidate]) {
        assert_eq!(self.history, histories.history, "behaviours of the history window");
        let (counts, newest) = (histories.counts[user as usize], histories.newest(user));
        self.push_known([NO_ROW, user], counts, newest, [low_active, clustered], candidates);
    }

    /// Adds the profile of the user whose request was added last: a value or none for each of the batch's fields.
    pub fn push_profile(&mut self, values: impl Iterator<Item = Option<u32>>) {
        self.profile.extend(values.map(|value| value.unwrap_or(NO_ROW)));
    }

    /// Adds a request at a row, of a user whose behaviours so far are `counts` by kind, with the `newest` first; no more of these are
    /// taken than the window holds.
    ///
    /// # Panics
    /// Where the batch is full or the number of candidates is another.
    pub(crate) fn push_known(
        &mut self,
        [row, user]: [u32; 2],
        counts: [u32; Behaviour::COUNT],
        newest: impl Iterator<Item = Past>,
        [low_active, clustered]: [bool; 2],
        candidates: &[Candidate],
    ) {
        assert!(!self.is_full(), "no room in a batch of {} requests", self.requests);
        assert_eq!(candidates.len(), self.candidates, "candidates of a request");
        for candidate in candidates {
            self.push_candidate(candidate);
        }
        let before = counts.iter().sum();
        self.user_rows.push(before);
        self.activity.push(activity_bucket(before));
        self.counts.extend(counts.map(log_count));
        let end = self.history_items.len() + self.history;
        for Past { item, category, behaviour } in newest.take(self.history) {
            self.history_items.push(item);
            self.history_categories.push(category);
            self.history_behaviours.push(behaviour);
        }
        self.history_items.resize(end, NO_ROW);
        self.history_categories.resize(end, NO_ROW);
        self.row.push(row);
        self.history_behaviours.resize(end, Behaviour::View);
        self.user.push(user);
        self.low_active.push(low_active);
        self.clustered.push(f32::from(u8::from(clustered)));
        self.valid = self.filled();
    }

    fn push_candidate(&mut self, candidate: &Candidate) {
        let (sample, samples) = (self.item.len(), self.samples());
        for (task, label) in candidate.labels.into_iter().enumerate() {
            self.labels[task * samples + sample] = label;
        }
        self.item.push(candidate.item);
        self.category.push(candidate.category);
        self.item_rows.push(candidate.item_rows);
        self.item_count.push(log_count(candidate.item_rows));
        self.repeat.push(candidate.repeat);
        self.seen.push(candidate.seen);
    }

    /// Fills the batch up with its first requests, again and again where they are fewer than half.
    ///
    /// # Panics
    /// Where there is room but no request to repeat.
    pub fn pad(&mut self) {
        self.valid = self.filled();
        while !self.is_full() {
            self.repeat_request(self.filled() - self.valid);
        }
    }

    /// Copies a request to the end.
    fn repeat_request(&mut self, from: usize) {
        let (samples, to) = (self.samples(), self.item.len());
        let one = from..from + 1;
        let window = from * self.history..(from + 1) * self.history;
        let of_request = from * self.candidates..(from + 1) * self.candidates;
        for task in 0..TASKS {
            let start = task * samples;
            self.labels.copy_within(start + of_request.start..start + of_request.end, start + to);
        }
        for column in [&mut self.history_items, &mut self.history_categories] {
            column.extend_from_within(window.clone());
        }
        self.history_behaviours.extend_from_within(window);
        self.counts.extend_from_within(from * Behaviour::COUNT..(from + 1) * Behaviour::COUNT);
        self.clustered.extend_from_within(one.clone());
        self.low_active.extend_from_within(one.clone());
        self.profile.extend_from_within(from * self.profile_fields..(from + 1) * self.profile_fields);
        for column in [&mut self.row, &mut self.user, &mut self.activity, &mut self.user_rows] {
            column.extend_from_within(one.clone());
        }
        for column in [&mut self.item, &mut self.category, &mut self.item_rows] {
            column.extend_from_within(of_request.clone());
        }
        self.item_count.extend_from_within(of_request.clone());
        for column in [&mut self.repeat, &mut self.seen] {
            column.extend_from_within(of_request.clone());
        }
    }
}

/// The bucket of a user with `n` behaviours before: 0 for none, then by powers of two.
pub fn activity_bucket(n: u32) -> u32 {
    (u32::BITS - n.leading_zeros()).min(ACTIVITY_BUCKETS - 1)
}

/// Small counts are nearly all counts, and a logarithm is a large part of a request.
static SMALL_LOG_COUNTS: LazyLock<Vec<f32>> = LazyLock::new(|| (0..1_024).map(computed_log_count).collect());

fn log_count(n: u32) -> f32 {
    SMALL_LOG_COUNTS.get(n as usize).copied().unwrap_or_else(|| computed_log_count(n))
}

fn computed_log_count(n: u32) -> f32 {
    (libm::log1p(f64::from(n)) / COUNT_SCALE) as f32
}

/// What is known of each user: counts by behaviour and a ring of the last behaviours. Keeps 20 bytes a user and 12 bytes
/// a place of the history of each user that was met.
#[derive(Clone, Debug)]
pub struct Histories {
    history: usize,
    counts: Vec<[u32; Behaviour::COUNT]>,
    /// `[users]`: place in the rings, [`NO_ROW`] before the first behaviour.
    ring_of_user: Vec<u32>,
    /// `[users met, history]`: behaviour `n` of a user lies at `n % history`.
    rings: Vec<Past>,
}

impl Histories {
    /// Users without a behaviour, and a window of `history` behaviours for each.
    pub fn new(users: usize, history: usize) -> Self {
        Self { history, counts: vec![[0; Behaviour::COUNT]; users], ring_of_user: vec![NO_ROW; users], rings: Vec::new() }
    }

    /// Behaviours of a user so far.
    ///
    /// # Panics
    /// Where there is no such user.
    pub fn behaviours(&self, user: u32) -> u32 {
        self.counts[user as usize].iter().sum()
    }

    /// Adds a behaviour: later requests of its user see it.
    ///
    /// # Panics
    /// Where there is no such user.
    pub fn add(&mut self, event: &Event) {
        let user = event.user as usize;
        let before = self.behaviours(event.user) as usize;
        if self.ring_of_user[user] == NO_ROW {
            self.ring_of_user[user] = (self.rings.len() / self.history) as u32;
            let nothing = Past { item: NO_ROW, category: NO_ROW, behaviour: Behaviour::View };
            self.rings.resize(self.rings.len() + self.history, nothing);
        }
        let start = self.ring_of_user[user] as usize * self.history;
        let Event { item, category, behaviour, .. } = *event;
        self.rings[start + before % self.history] = Past { item, category, behaviour };
        self.counts[user][event.behaviour as usize] += 1;
    }

    /// The user's last behaviours, newest first.
    fn newest(&self, user: u32) -> impl Iterator<Item = Past> {
        let before = self.behaviours(user) as usize;
        let known = before.min(self.history);
        let start = if known > 0 { self.ring_of_user[user as usize] as usize * self.history } else { 0 };
        let (wrapped, older) = self.rings[start..start + known].split_at(if known > 0 { before % self.history } else { 0 });
        wrapped.iter().rev().chain(older.iter().rev()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(item: u32) -> Candidate {
        Candidate {
            item,
            category: item / 10,
            labels: [f32::from(u8::from(item.is_multiple_of(2))), f32::from(u8::from(item.is_multiple_of(3)))],
            item_rows: item,
            repeat: item.is_multiple_of(5),
            seen: item.is_multiple_of(7),
        }
    }

    #[test]
    fn requests_of_many_candidates_are_padded_whole_and_again_and_again() {
        let mut histories = Histories::new(10, 3);
        for item in [1, 2, 3, 4] {
            histories.add(&Event { user: 4, item, category: 9, behaviour: Behaviour::Cart, time: 0 });
        }
        let mut batch = Batch::new(7, 5, 3);
        for user in [4, 5] {
            let of_user: Vec<Candidate> = (0..5).map(|c| candidate(user * 5 + c)).collect();
            batch.push(&histories, user, user == 4, user == 5, &of_user);
        }
        batch.pad();
        assert_eq!((batch.samples(), batch.filled(), batch.valid), (35, 7, 2));
        assert_eq!(batch.history_items[..6], [4, 3, 2, NO_ROW, NO_ROW, NO_ROW]);
        for request in 0..7 {
            let user = 4 + request as u32 % 2;
            assert_eq!((batch.user[request], batch.user_rows[request]), (user, if user == 4 { 4 } else { 0 }));
            assert_eq!((batch.low_active[request], batch.clustered[request]), (user == 4, (user - 4) as f32));
            assert_eq!(batch.activity[request], if user == 4 { 3 } else { 0 });
            let (windows, counts) = (batch.history_items.chunks(3), batch.counts.chunks(Behaviour::COUNT));
            assert_eq!(windows.clone().nth(request), windows.clone().nth(request % 2));
            assert_eq!(batch.history_categories[request * 3] == 9, user == 4);
            let done = &batch.history_behaviours[request * 3..][..3];
            assert!(done.iter().all(|&done| (done == Behaviour::Cart) == (user == 4)), "{done:?}");
            assert_eq!(counts.clone().nth(request), counts.clone().nth(request % 2));
            for c in 0..5 {
                let (s, expected) = (request * 5 + c, candidate(user * 5 + c as u32));
                let labels = [batch.labels[s], batch.labels[35 + s]];
                assert_eq!((batch.item[s], batch.category[s], labels), (expected.item, expected.category, expected.labels));
                assert_eq!((batch.item_rows[s], batch.item_count[s]), (expected.item_rows, log_count(expected.item_rows)));
                assert_eq!((batch.repeat[s], batch.seen[s]), (expected.repeat, expected.seen));
            }
        }
        assert_eq!(batch.item.len() + batch.item_count.len() + batch.repeat.len() + batch.seen.len(), 4 * 35);
    }

    #[test]
    fn behaviours_are_read_back_from_their_logarithms() {
        let mut batch = Batch::new(1, 1, 1);
        for n in (0..3_000).chain([10_000, 123_456]) {
            (batch.counts, batch.user) = (vec![log_count(n), 0.0, log_count(n + 1), 0.0], vec![0]);
            assert_eq!(batch.behaviours(0), [n, 0, n + 1, 0]);
        }
    }

    #[test]
    fn activity_buckets_are_powers_of_two() {
        let cases = [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (16_383, 14), (16_384, 15), (u32::MAX, 15)];
        cases.iter().for_each(|&(n, bucket)| assert_eq!(activity_bucket(n), bucket, "{n}"));
    }
}
