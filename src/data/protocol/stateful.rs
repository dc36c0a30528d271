//! The protocols as they read, row after row with everything remembered on the way: what the index is tested with. Negatives and
//! ties are searched from the rows themselves, only the random numbers are shared.

use std::collections::{HashMap, HashSet};

use super::{Batch, Candidate, Histories, TASKS};
use crate::config::{Config, Negatives};
use crate::counter::{Counter, Stream};
use crate::data::Event;
use crate::data::alias::Alias;

/// Draws of a negative before a search, and the lanes of later passes after those.
const REDRAWS: u64 = 32;

/// Rows in time order, cut and gone through under a protocol.
pub(super) struct Stateful<'a> {
    pub events: &'a [Event],
    pub users: u32,
    /// `[items]`: their categories.
    pub categories: &'a [u32],
    pub config: &'a Config,
    pub low_active: Vec<bool>,
    /// Of low-active and of high-active users.
    pub sampling: (f64, f64),
}

impl Stateful<'_> {
    fn train_rows(&self) -> usize {
        (self.events.len() as f64 * self.config.train_share) as usize
    }

    fn is_exposed(&self) -> bool {
        self.config.negatives == Negatives::None
    }

    fn requests(&self) -> usize {
        self.config.batch / if self.is_exposed() { 1 } else { 2 }
    }

    /// The training batches of all passes.
    pub fn train(&self) -> Vec<Batch> {
        let (requests, end) = (self.requests(), self.train_rows());
        let pass = |pass: u32| {
            let mut batches = self.batches(0..end, pass, true);
            batches.retain(|batch| batch.valid == requests);
            batches.into_iter().map(move |batch| Batch { pass, ..batch })
        };
        (0..self.config.passes).flat_map(pass).collect()
    }

    /// The batches of the test, which cluster where they are trained on.
    pub fn test(&self, streaming: bool) -> Vec<Batch> {
        let batches = self.batches(self.train_rows()..self.events.len(), 0, streaming);
        batches.into_iter().map(|batch| Batch { pass: self.config.passes - 1, ..batch }).collect()
    }

    /// The batches of a span of rows; all rows before it are known.
    fn batches(&self, span: std::ops::Range<usize>, pass: u32, clustering: bool) -> Vec<Batch> {
        let requests = self.requests();
        let mut histories = Histories::new(self.users as usize, self.config.history);
        let mut had: HashSet<(u32, u32)> = HashSet::new();
        let mut item_rows: HashMap<u32, u32> = HashMap::new();
        let mut seen: HashSet<u32> = HashSet::new();
        let (firsts, rows_of_item) = (self.firsts(), self.rows_of_item());
        let mut batches: Vec<Batch> = Vec::new();
        for (row, event) in self.events[..span.end].iter().enumerate() {
            let taken = event.behaviour.is_taken();
            let repeat = had.contains(&(event.user, event.item));
            if taken {
                had.insert((event.user, event.item));
            }
            let negative = || self.negative(row, pass, &span, &had, &firsts, &rows_of_item);
            let negative = if self.is_exposed() { Some((event.item, event.category)) } else { taken.then(negative).flatten() };
            if let Some((item, category)) = negative.filter(|_| span.contains(&row)) {
                let known = |item: u32| (item_rows.get(&item).copied().unwrap_or(0), seen.contains(&item));
                let ((own_rows, own_seen), (rows, is_seen)) = (known(event.item), known(item));
                let labels = [taken, event.behaviour.is_strong()].map(|label| f32::from(u8::from(label)));
                let own = Candidate { item: event.item, category: event.category, labels, item_rows: own_rows, repeat, seen: own_seen };
                let negative = Candidate { item, category, labels: [0.0; TASKS], item_rows: rows, repeat: false, seen: is_seen };
                if batches.last().is_none_or(Batch::is_full) {
                    batches.push(Batch::new(requests, self.config.batch / requests, self.config.history));
                }
                let low = self.low_active[event.user as usize];
                let clusters = clustering && self.clusters(row, pass, low);
                if let Some(batch) = batches.last_mut() {
                    batch.push(&histories, event.user, low, clusters, &[own, negative][..batch.candidates]);
                    batch.row.pop();
                    batch.row.push(row as u32);
                }
            }
            if taken {
                histories.add(event);
                *item_rows.entry(event.item).or_insert(0) += 1;
            }
            if row < self.train_rows() {
                seen.insert(event.item);
            }
        }
        if let Some(last) = batches.last_mut() {
            last.pad();
        }
        batches
    }

    /// Whether each row's user had its item for the first time.
    fn firsts(&self) -> Vec<bool> {
        let mut had = HashSet::new();
        self.events.iter().map(|event| event.behaviour.is_taken() && had.insert((event.user, event.item))).collect()
    }

    /// Over the whole stream.
    fn rows_of_item(&self) -> Vec<u32> {
        let mut rows = vec![0; self.categories.len()];
        self.events.iter().filter(|event| event.behaviour.is_taken()).for_each(|event| rows[event.item as usize] += 1);
        rows
    }

    fn clusters(&self, row: usize, pass: u32, low: bool) -> bool {
        let counter = Counter::new(self.config.seed, Stream::Clustered);
        let counter = if pass == 0 { counter } else { counter.lane(pass.into()) };
        counter.uniform(row as u64) < if low { self.sampling.0 } else { self.sampling.1 }
    }

    /// The negative of a row with its category; none where the row is no sample. `had` holds the row itself.
    fn negative(
        &self,
        row: usize,
        pass: u32,
        span: &std::ops::Range<usize>,
        had: &HashSet<(u32, u32)>,
        firsts: &[bool],
        rows_of_item: &[u32],
    ) -> Option<(u32, u32)> {
        let user = self.events[row].user;
        let counter = Counter::new(self.config.seed, Stream::Negatives);
        let counter = if pass == 0 { counter } else { counter.lane(REDRAWS + u64::from(pass)) };
        if self.config.negatives == Negatives::TimeMatched {
            let end = span.end.min(row + 257);
            let fits = |other: &usize| {
                let event = &self.events[*other];
                firsts[*other] && event.user != user && !had.contains(&(user, event.item))
            };
            let window: Vec<usize> = (row + 1..end).collect();
            if !firsts[row] || !window.iter().any(fits) {
                return None;
            }
            let draw = |redraw: u64| window[counter.lane(redraw).below(row as u64, window.len() as u64) as usize];
            let drawn = (0..REDRAWS).map(draw).find(|other| fits(other));
            let from = draw(REDRAWS - 1) - window[0];
            let other = drawn.or_else(|| window[from..].iter().chain(&window[..from]).copied().find(|other| fits(other)))?;
            return Some((self.events[other].item, self.events[other].category));
        }
        let items = self.categories.len() as u32;
        let column = |redraw: u64| counter.lane(redraw).below(row as u64, items.into()) as u32;
        let popular = (self.config.negatives == Negatives::Popular).then(|| {
            let weights: Vec<f64> = rows_of_item.iter().map(|&rows| libm::pow(rows.into(), 0.75)).collect();
            Alias::new(&weights)
        });
        let draw = |redraw: u64| match &popular {
            Some(alias) => alias.pick(column(redraw) as usize, counter.lane(redraw).lane(1).bits(row as u64)),
            None => column(redraw),
        };
        let free = |item: &u32| !had.contains(&(user, *item));
        let from = draw(REDRAWS - 1);
        let others = || (from..items).chain(0..from).filter(free);
        let in_stream = |item: &u32| popular.is_none() || rows_of_item[*item as usize] > 0;
        let item = (0..REDRAWS).map(draw).find(free).or_else(|| others().find(in_stream)).or_else(|| others().next())?;
        Some((item, self.categories[item as usize]))
    }
}
