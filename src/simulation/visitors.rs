//! The people of the simulation: who comes, what there is to rank for them and what they do with what they are shown.
//! Everything here is a pure function of (seed, session, item), so all arms meet the same people.

use std::sync::Arc;

use super::SimulationConfig;
use crate::counter::{Counter, Stream};
use crate::data::generator::Generator;
use crate::data::{Behaviour, Source};

/// The chance that a user looks at the next place too.
const PATIENCE: f64 = 0.9;
/// Draws of a candidate before the items after the last draw are tried one by one.
const REDRAWS: u64 = 8;

// The link from taste to the log-odds of taking an item that they look at. With the default sizes a random ranking has about
// one look in eight end so, and the best one two in five.
const ODDS: f64 = -3.9;
const THEME: f64 = 2.6;
const STYLE: f64 = 1.4;
const FAVOURITE: f64 = 2.0;
const POPULARITY: f64 = 0.3;

/// Mean seconds that an item is watched for where the chance of taking it is 0, and what is added where it is 1.
const WATCH: [f64; 2] = [15.0, 60.0];
/// Width of the log-normal around the mean.
const WATCH_WIDTH: f64 = 0.8;

/// What a number of the simulation is for: the lanes of its stream.
#[derive(Clone, Copy)]
pub(super) enum Draw {
    NewUser,
    User,
    Candidate,
    Patience,
    Take,
    Watch,
    Behaviour,
    Negative,
    Tie,
    Clustered,
    Resample,
}

/// One visit.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Which of all sessions, from 0.
    pub index: u64,
    /// Who comes.
    pub user: u32,
    /// `[candidates]`: different items, in turn from the themes of their group, from what is popular with everybody and from
    /// all items alike.
    pub candidates: Vec<u32>,
}

/// Everybody who may come.
#[derive(Clone)]
pub struct Visitors {
    generator: Arc<Generator>,
    counter: Counter,
    config: SimulationConfig,
}

impl Visitors {
    pub(super) fn new(generator: Arc<Generator>, seed: u64, config: SimulationConfig) -> Self {
        Self { generator, counter: Counter::new(seed, Stream::Simulation), config }
    }

    pub(super) fn lane(&self, draw: Draw) -> Counter {
        self.counter.lane(draw as u64)
    }

    pub(super) fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The user of a session, by the generator's law of activity.
    pub fn user(&self, session: u64) -> u32 {
        self.generator.draw_user(self.lane(Draw::User), session)
    }

    /// A session.
    pub fn session(&self, index: u64) -> Session {
        let user = self.user(index);
        let mut candidates = Vec::with_capacity(self.config.candidates);
        for place in 0..self.config.candidates as u64 {
            candidates.push(self.candidate(user, index, place, &candidates));
        }
        Session { index, user, candidates }
    }

    /// An item that the session does not have yet. The scan ends because there are at least as many items as
    /// candidates.
    fn candidate(&self, user: u32, session: u64, place: u64, taken: &[u32]) -> u32 {
        let items = self.generator.vocabulary().items;
        let counter = self.lane(Draw::Candidate).lane(session);
        let mut item = 0;
        for redraw in 0..REDRAWS {
            let index = place * REDRAWS + redraw;
            item = match place % 3 {
                0 => self.generator.draw_of_his_themes(user, counter, index),
                1 => self.generator.draw_popular(counter, index),
                _ => counter.below(index, items.into()) as u32,
            };
            if !taken.contains(&item) {
                return item;
            }
        }
        while taken.contains(&item) {
            item = (item + 1) % items;
        }
        item
    }

    /// The chance that a user takes an item that they look at:
    /// `sigmoid(-3.9 + 2.6 theme + 1.4 style + 2 favourite + 0.3 popularity)`, each term from 0 to 1 (how much their group likes
    /// the theme over its best one, the liked style or not, the category's share of their favourites, its rank in the
    /// category). What they did lately does not change it.
    ///
    /// # Panics
    /// Where there is no such user or item.
    pub fn appeal(&self, user: u32, item: u32) -> f64 {
        let taste = self.generator.taste(user, item);
        let style = f64::from(u8::from(taste.style));
        let odds = ODDS + THEME * taste.theme + STYLE * style + FAVOURITE * taste.favourite + POPULARITY * taste.popularity;
        1.0 / (1.0 + libm::exp(-odds))
    }

    /// How many of the shown items a user looks at, from the top: each further one with probability 0.9, the first one
    /// always.
    pub fn looks(&self, session: u64) -> usize {
        let draw = self.lane(Draw::Patience).uniform(session);
        let mut reached = PATIENCE;
        let mut looks = 1;
        while looks < self.config.shown && draw < reached {
            looks += 1;
            reached *= PATIENCE;
        }
        looks
    }

    /// Whether they take an item that they look at.
    pub fn takes(&self, session: &Session, item: u32) -> bool {
        self.lane(Draw::Take).lane(session.index).uniform(item.into()) < self.appeal(session.user, item)
    }

    /// Seconds that they watch an item that they take: log-normal, its mean 15 s and 60 s more times the appeal.
    pub fn watches(&self, session: &Session, item: u32) -> f64 {
        let mean = WATCH[0] + WATCH[1] * self.appeal(session.user, item);
        let normal = self.lane(Draw::Watch).lane(session.index).normal(item.into());
        mean * libm::exp(WATCH_WIDTH * normal - WATCH_WIDTH * WATCH_WIDTH / 2.0)
    }

    /// What they do with an item that they take, by the generator's law.
    pub fn behaves(&self, session: &Session, item: u32) -> Behaviour {
        self.generator.draw_behaviour(session.user, item, self.lane(Draw::Behaviour).lane(session.index), item.into())
    }

    /// The candidates that are shown, best score first, ties by hash.
    pub(super) fn ranking(&self, session: &Session, scores: &[f32]) -> Vec<u32> {
        let ties = self.lane(Draw::Tie).lane(session.index);
        let mut ranking: Vec<(f32, u32)> = scores.iter().copied().zip(session.candidates.iter().copied()).collect();
        let by_score = |a: &(f32, u32), b: &(f32, u32)| b.0.partial_cmp(&a.0).unwrap_or(std::cmp::Ordering::Equal);
        ranking.sort_by(|a, b| by_score(a, b).then_with(|| ties.bits(a.1.into()).cmp(&ties.bits(b.1.into()))));
        ranking.into_iter().take(self.config.shown).map(|(_, item)| item).collect()
    }

    /// What a positive is trained against: an item that they looked at and left, else a uniform one that they never had.
    pub(super) fn negative(&self, session: &Session, positive: u32, left: &[u32], had: impl Fn(u32) -> bool) -> u32 {
        let counter = self.lane(Draw::Negative).lane(session.index);
        if !left.is_empty() {
            return left[counter.below(positive.into(), left.len() as u64) as usize];
        }
        let items = self.generator.vocabulary().items;
        let mut item = counter.below(positive.into(), items.into()) as u32;
        for _ in 0..items {
            if item != positive && !had(item) {
                break;
            }
            item = (item + 1) % items;
        }
        item
    }
}
