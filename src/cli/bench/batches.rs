//! Batches for measuring: of the protocol's shapes, with ids drawn so that no row of data is needed and tables of any size can be
//! measured.
//!
//! Users are uniform; items and their categories follow Zipf's law; each positive comes with a uniform negative; histories are
//! of every length from none to the whole window. `benches/gpu_peer.py` draws its batches in the same way.

use duia::config::Config;
use duia::counter::{Counter, Stream};
use duia::data::protocol::{Batch, NO_ROW, TASKS, activity_bucket};
use duia::data::{Behaviour, PROFILE_VALUES, Vocabulary};

/// Share of the requests whose user is low-active.
const LOW_ACTIVE: f64 = 0.3;
/// Share of the positives of task B.
const STRONG: f64 = 0.1;

/// So many ids of each kind as a configuration's synthetic stream has.
pub fn vocabulary(config: &Config) -> Vocabulary {
    Vocabulary { users: config.users, items: config.items, categories: config.categories }
}

/// What a request is drawn for: the lanes of its numbers.
#[derive(Clone, Copy)]
enum Draw {
    User,
    Positive,
    Negative,
    Known,
    History,
    Count,
    Clustered,
    LowActive,
    Strong,
    Category,
    Profile,
}

/// Draws batches of a configuration.
pub struct Batches<'a> {
    config: &'a Config,
    seed: Counter,
    next: u64,
}

impl<'a> Batches<'a> {
    /// Batches of the configuration's own seed.
    pub fn new(config: &'a Config) -> Self {
        Self { config, seed: Counter::new(config.seed, Stream::Choices), next: 0 }
    }

    /// The next batch of `batch` rows.
    pub fn draw(&mut self, batch: usize) -> Batch {
        let (config, requests) = (self.config, batch / 2);
        let profile_fields = config.profile_fields as usize;
        let mut out = Batch { profile_fields, ..Batch::new(requests, 2, config.history) };
        let first = self.next;
        self.next += requests as u64;
        let of = |draw: Draw| self.seed.lane(draw as u64);
        let category = |item: u32| zipf(of(Draw::Category).uniform(item.into()), config.categories);
        for r in 0..requests {
            let index = first + r as u64;
            let known = of(Draw::Known).below(index, config.history as u64 + 1) as usize;
            out.user.push(of(Draw::User).below(index, config.users.into()) as u32);
            out.user_rows.push(known as u32);
            out.activity.push(activity_bucket(known as u32));
            out.low_active.push(of(Draw::LowActive).uniform(index) < LOW_ACTIVE);
            out.clustered.push(f32::from(u8::from(of(Draw::Clustered).uniform(index) < config.cluster_share)));
            for place in 0..config.history {
                let item = zipf(of(Draw::History).uniform(index * config.history as u64 + place as u64), config.items);
                out.history_items.push(if place < known { item } else { NO_ROW });
                out.history_categories.push(if place < known { category(item) } else { NO_ROW });
                out.history_behaviours.push(Behaviour::View);
            }
            let value = |field: u32| of(Draw::Profile).lane(field.into()).below(index, PROFILE_VALUES.into()) as u32;
            out.push_profile((0..config.profile_fields).map(|field| Some(value(field))));
            for kind in 0..Behaviour::COUNT as u64 {
                out.counts.push(of(Draw::Count).uniform(index * Behaviour::COUNT as u64 + kind) as f32);
            }
            let positive = zipf(of(Draw::Positive).uniform(index), config.items);
            let negative = of(Draw::Negative).below(index, config.items.into()) as u32;
            for item in [positive, negative] {
                out.item.push(item);
                out.category.push(category(item));
                out.item_rows.push(0);
                out.item_count.push(0.0);
                out.repeat.push(false);
                out.seen.push(true);
            }
            let strong = of(Draw::Strong).uniform(index) < STRONG;
            for (task, label) in [true, strong].into_iter().enumerate().take(TASKS) {
                out.labels[task * batch + 2 * r] = f32::from(u8::from(label));
            }
        }
        out.valid = requests;
        out
    }
}

/// An id below `n` by Zipf's law: id `i` in proportion to `1 / (i + 1)`, by the inverse of the integral.
fn zipf(uniform: f64, n: u32) -> u32 {
    (((uniform * f64::from(n + 1).ln()).exp() as u32).max(1) - 1).min(n - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_of_the_protocols_shapes_and_never_twice_the_same() {
        let config = Config::default();
        let mut batches = Batches::new(&config);
        let [a, b] = [batches.draw(512), batches.draw(512)];
        assert!(a != b && a.is_full() && a.samples() == 512);
        for batch in [&a, &b] {
            assert_eq!(batch.history_items.len(), 256 * config.history);
            assert!(batch.item.iter().all(|&item| item < config.items) && batch.user.iter().all(|&user| user < config.users));
            assert!(batch.consumed_labels().all(|label| label == 1.0));
            assert!((0..batch.requests).all(|r| batch.has_history(r) == (batch.user_rows[r] > 0)));
            assert_eq!(batch.labels.len(), TASKS * 512);
        }
        let first = a.consumed().filter(|&item| item == 0).count();
        assert!(first > 5, "the most popular item came {first} times of 256: not Zipf's law");
    }
}
