//! Requests that are no rows of the stream: a user, an item and a time, with what was known of both by then.

use super::{Batch, Candidate, Dataset, Past};

/// What is to be scored: a user and an item, under what the rows of the stream before one tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The user.
    pub user: u32,
    /// The item.
    pub item: u32,
    /// Rows of the stream before this are known; the number of rows where all are.
    pub row: u32,
}

/// When the rows of a data set were, to look up what was known at a time. Keeps 8 bytes a row.
pub struct Timeline {
    dataset: Dataset,
    /// `[rows]`: unix seconds.
    seconds: Vec<u32>,
    /// `[behaviours]`, by user: their rows.
    rows_by_place: Vec<u32>,
}

impl Timeline {
    /// Reads the rows once.
    pub fn new(dataset: &Dataset) -> Self {
        let inner = &dataset.inner;
        let seconds = inner.source.clone().events().map(|event| u32::try_from(event.time).unwrap_or(0)).collect();
        Self { dataset: dataset.clone(), seconds, rows_by_place: inner.index.rows_by_place() }
    }

    /// The data set.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Requests of a batch.
    pub fn requests(&self) -> usize {
        self.dataset.inner.requests
    }

    /// Candidates of a request, of which the first is the one that counts.
    pub fn candidates(&self) -> usize {
        self.dataset.inner.candidates
    }

    /// What was known when a user and an item met: every row of an earlier second. Where the meeting is itself a row that took the item,
    /// it is asked as the protocol asks it, with the rows before it in its own second as well.
    ///
    /// # Panics
    /// Where there is no such user or item.
    pub fn asked(&self, user: u32, item: u32, seconds: u32) -> Asked {
        let from = self.seconds.partition_point(|&own| own < seconds);
        let to = from + self.seconds[from..].partition_point(|&own| own == seconds);
        let own = self.dataset.inner.index.row_between([user, item], [from as u32, to as u32], &self.rows_by_place);
        Asked { user, item, row: own.unwrap_or(from as u32) }
    }

    /// A batch of a request each, in the shape of a batch of the test, with memories frozen: padded where `asked` are fewer, and with the
    /// item in the place of every candidate. Another shape would give other last digits.
    ///
    /// # Panics
    /// Where `asked` are none or more than [`Timeline::requests`], or of no user, item or row.
    pub fn batch(&self, asked: &[Asked]) -> Batch {
        let inner = &self.dataset.inner;
        let index = &inner.index;
        let profile_fields = inner.source.profile_fields() as usize;
        let mut batch = Batch { pass: inner.passes - 1, profile_fields, ..Batch::new(inner.requests, inner.candidates, inner.history) };
        for &Asked { user, item, row } in asked {
            let moment = index.at(user, row, &self.rows_by_place);
            let past = |(&item, &behaviour)| Past { item, category: index.category(item), behaviour };
            let newest = index.history(moment).iter().zip(index.done(moment)).rev().map(past);
            let candidate = Candidate { repeat: index.had(moment, item), ..inner.candidate(item, row) };
            batch.push_profile((0..profile_fields as u32).map(|field| inner.source.profile(user, field)));
            batch.push_known(
                [row, user],
                index.counts(moment),
                newest,
                [inner.low_active[user as usize], false],
                &vec![candidate; inner.candidates],
            );
        }
        batch.pad();
        self.dataset.told(batch)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Config, Negatives};
    use crate::data::Source;
    use crate::data::generator::Generator;

    /// Every candidate of every batch of the test, asked for one by one, meets the same past as in its batch.
    #[test]
    fn what_is_asked_meets_the_past_that_the_protocol_shows() {
        for negatives in [Negatives::Uniform, Negatives::TimeMatched] {
            let config = Config {
                users: 60,
                items: 300,
                categories: 20,
                rows: 5_000,
                batch: 64,
                history: 7,
                item_groups: 6,
                negatives,
                ..Config::default()
            };
            let source = Arc::new(Generator::new(&config));
            let dataset = Dataset::open(source.clone(), &config).unwrap();
            let timeline = Timeline::new(&dataset);
            let times: Vec<u32> = source.events().map(|event| event.time as u32).collect();
            for step in 0..dataset.test_steps() {
                let batch = dataset.test_batch(step);
                for request in 0..batch.valid {
                    let (user, row) = (batch.user[request], batch.row[request]);
                    // The row itself is found by its second.
                    let own = timeline.asked(user, batch.item[2 * request], times[row as usize]);
                    assert!(own.row == row || times[own.row as usize] == times[row as usize] && own.row < row, "{own:?}, row {row}");
                    for sample in [2 * request, 2 * request + 1] {
                        let asked = timeline.batch(&[Asked { user, item: batch.item[sample], row }]);
                        let (one, window) = (request..request + 1, request * 7..request * 7 + 7);
                        assert_eq!(asked.history_items[..7], batch.history_items[window.clone()]);
                        assert_eq!(asked.history_categories[..7], batch.history_categories[window.clone()]);
                        assert_eq!(asked.history_behaviours[..7], batch.history_behaviours[window]);
                        assert_eq!(asked.counts[..4], batch.counts[4 * request..4 * request + 4]);
                        assert_eq!((&asked.activity[..1], &asked.low_active[..1]), (&batch.activity[one.clone()], &batch.low_active[one]));
                        let of = |batch: &Batch, at: usize| (batch.item[at], batch.category[at], batch.item_count[at], batch.repeat[at]);
                        assert_eq!(of(&asked, 0), of(&batch, sample));
                    }
                }
            }
        }
    }

    #[test]
    fn before_all_rows_nothing_is_known_and_after_them_everything() {
        let config =
            Config { users: 60, items: 300, categories: 20, rows: 5_000, batch: 64, history: 7, item_groups: 6, ..Config::default() };
        let source = Arc::new(Generator::new(&config));
        let dataset = Dataset::open(source.clone(), &config).unwrap();
        let timeline = Timeline::new(&dataset);
        let events: Vec<_> = source.events().collect();
        let [first, last] = [events.first(), events.last()].map(|event| event.unwrap().time as u32);
        let early = timeline.batch(&[timeline.asked(3, 5, first - 1)]);
        assert!(!early.has_history(0) && early.user_rows[0] == 0 && early.item_rows[0] == 0);
        let late = timeline.batch(&[timeline.asked(3, 5, last + 1)]);
        assert_eq!(late.user_rows[0] as usize, events.iter().filter(|event| event.user == 3).count());
        assert_eq!(late.item_rows[0] as usize, events.iter().filter(|event| event.item == 5).count());
        let newest = events.iter().rev().find(|event| event.user == 3).unwrap();
        assert_eq!(late.history_items[0], newest.item);
        // The second of a row is not before it.
        let then = timeline.batch(&[timeline.asked(3, u32::from(newest.item == 5) + 5, newest.time as u32)]);
        let earlier = events.iter().filter(|event| event.user == 3 && event.time < newest.time).count();
        assert_eq!(then.user_rows[0] as usize, earlier);
    }
}
