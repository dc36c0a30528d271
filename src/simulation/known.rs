//! The training stream without the users who are to be new in the simulation.

use std::sync::Arc;

use crate::counter::{Counter, Stream};
use crate::data::generator::Generator;
use crate::data::{Event, Origin, Source, Vocabulary};

use super::visitors::Draw;

/// A generator's rows without those of a share of its users, chosen by hash of (seed, user). Their ids stay in the
/// vocabulary, so a model has a place for them, which no row ever trains. Under the protocol they count as low-active:
/// they have the fewest rows.
pub struct KnownUsers {
    generator: Arc<Generator>,
    counter: Counter,
    share: f64,
    rows: u64,
    new_users: u32,
}

impl KnownUsers {
    /// Leaves out `share` of the users. Reads the stream once to count what stays.
    pub fn new(generator: Arc<Generator>, seed: u64, share: f64) -> Self {
        let counter = Counter::new(seed, Stream::Simulation).lane(Draw::NewUser as u64);
        let mut known = Self { generator, counter, share, rows: 0, new_users: 0 };
        known.new_users = (0..known.vocabulary().users).filter(|&user| known.is_new(user)).count() as u32;
        known.rows = known.generator.clone().events().filter(|event| !known.is_new(event.user)).count() as u64;
        known
    }

    /// Whether a user is left out.
    pub fn is_new(&self, user: u32) -> bool {
        self.counter.uniform(user.into()) < self.share
    }

    /// About the row of the whole stream that a row of ours is: those left out lie evenly between.
    fn row_of_generator(&self, row: u64) -> u64 {
        (u128::from(row) * u128::from(self.generator.rows()) / u128::from(self.rows.max(1))) as u64
    }

    /// The generator of all users.
    pub fn generator(&self) -> &Arc<Generator> {
        &self.generator
    }
}

impl Source for KnownUsers {
    fn origin(&self) -> Origin {
        self.generator.origin()
    }

    fn name(&self) -> String {
        format!("{}, without {} users who are new in the simulation", self.generator.name(), self.new_users)
    }

    fn vocabulary(&self) -> Vocabulary {
        self.generator.vocabulary()
    }

    fn category(&self, item: u32) -> u32 {
        self.generator.category(item)
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn planted_group(&self, user: u32) -> Option<u32> {
        self.generator.planted_group(user)
    }

    fn planted_group_at(&self, user: u32, row: u64) -> Option<u32> {
        self.generator.planted_group_at(user, self.row_of_generator(row))
    }

    fn planted_groups(&self) -> u32 {
        self.generator.planted_groups()
    }

    fn planted_item_groups(&self) -> u32 {
        self.generator.planted_item_groups()
    }

    fn planted_item_group(&self, item: u32) -> Option<u32> {
        Some(self.generator.planted_item_group(item))
    }

    fn profile_fields(&self) -> u32 {
        self.generator.profile_fields()
    }

    fn profile(&self, user: u32, field: u32) -> Option<u32> {
        self.generator.profile(user, field)
    }

    fn probability(&self, row: u64, user: u32, item: u32, history: &[u32]) -> Option<f64> {
        Source::probability(&*self.generator, self.row_of_generator(row), user, item, history)
    }

    fn group_posterior(&self, row: u64, history: &[u32]) -> Option<Vec<f64>> {
        Some(self.generator.group_posterior(self.row_of_generator(row), history))
    }

    fn events(self: Arc<Self>) -> Box<dyn Iterator<Item = Event> + Send> {
        Box::new(self.generator.clone().events().filter(move |event| !self.is_new(event.user)))
    }
}
