//! The stream of protocol E1: what users were shown, and whether they took it.
//!
//! A row is an exposure. *When* and *who* are as in the stream of behaviours. *What*: four candidates (of the category the user is in,
//! of what their group likes, of what is popular, of all items), of which a logging policy shows the one that it holds for the best;
//! now and then it explores and shows any. The policy knows the user's odds with some noise, though not which of their interests the row
//! follows: the score of what it showed has an AUC near .80 of what was taken, near .75 where users mix interests. *Whether*: by the
//! odds, and by the place on the screen, which no feature tells. The second label is depth: whether the user stayed for [`DEEP`]
//! seconds, which the odds lengthen.
//!
//! What is taken is remembered as in the stream of behaviours, what is not taken is not.

use super::{ATTEMPTS, CART, Events, FAVOURED, FAVOURITES, Generator, UserState, square_share};
use crate::counter::{Counter, Stream};
use crate::data::Behaviour;

/// Items that the policy chooses from.
const POOL: usize = 4;
/// Share of the rows that show any of them.
const EXPLORES: f64 = 0.2;
/// Standard deviation of the policy's error, in log-odds: chosen for the AUC of its scores (`the_policy_ranks_as_a_deployed_one_does`).
const POLICY_NOISE: f64 = 0.8;
/// Places on the screen; a user looks at place `p` with probability `1 / (1 + PLACE p)`.
const PLACES: u64 = 10;
const PLACE: f64 = 0.05;

// The log-odds of taking an item that the user looks at.
const ODDS: f64 = -6.0;
const THEME: f64 = 3.7;
const STYLE: f64 = 2.7;
const FAVOURITE: f64 = 2.5;
const POPULARITY: f64 = 0.3;
const SAME_CATEGORY: f64 = 1.0;
const AGAIN: f64 = 0.6;

/// Seconds that a user stays for the second label.
pub const DEEP: f64 = 30.0;
/// Mean seconds that a user stays with what they take where its chance was 0, and what is added where it was 1.
const STAYS: [f64; 2] = [10.0, 50.0];
/// Width of the log-normal around it.
const STAYS_WIDTH: f64 = 0.8;

/// What a number of an exposure is for: the lanes of its stream.
#[derive(Clone, Copy)]
enum Draw {
    Pool,
    Noise,
    Explores,
    Explored,
    Interest,
    Place,
    Takes,
    Stays,
    Kind,
}

/// What the policy showed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub item: u32,
    /// The policy's own score of it, in log-odds.
    pub score: f64,
    /// The true log-odds of taking it once it is looked at.
    odds: f64,
}

impl Generator {
    fn exposure_lane(&self, draw: Draw) -> Counter {
        Counter::new(self.seed, Stream::Choices).lane(64 + draw as u64)
    }

    /// The log-odds with which a user who follows a group takes an item that they look at.
    fn odds(&self, user: u32, group: u32, state: &UserState, item: u32) -> f64 {
        let taste = self.taste_of(user, group, item);
        let stays = state.filled > 0 && self.item_category[state.last as usize] == self.item_category[item as usize];
        let if_so = |is_so: bool, odds: f64| if is_so { odds } else { 0.0 };
        ODDS + THEME * taste.theme
            + if_so(taste.style, STYLE)
            + FAVOURITE * taste.favourite
            + POPULARITY * taste.popularity
            + if_so(stays, SAME_CATEGORY)
            + if_so(state.has(item), AGAIN)
    }

    /// The chance that a user takes an item that is shown to them at a row, over the interests that they mix and the places on the
    /// screen.
    pub(super) fn chance_to_take(&self, row: u64, user: u32, item: u32, state: &UserState) -> f64 {
        let looks: f64 = (0..PLACES).map(looks_at).sum::<f64>() / PLACES as f64;
        looks * self.mean_appeal(row, user, item, state)
    }

    /// The chance that a user takes an item once they look at it, over the interests that they mix.
    fn mean_appeal(&self, row: u64, user: u32, item: u32, state: &UserState) -> f64 {
        self.mixture(user, row).map(|(group, share)| share * sigmoid(self.odds(user, group, state, item))).sum()
    }

    /// The probability of a category among a user's favourites.
    pub(super) fn favourite_share(&self, user: u32, category: u32) -> f64 {
        let favourites = (0..FAVOURITES as u32).filter(|&which| self.favourite_category(user, which) == category);
        favourites.map(|which| square_share(which, FAVOURITES as u32)).sum()
    }
}

impl Events {
    /// What is shown to a user who follows a group.
    pub(super) fn show(&self, user: u32, group: u32) -> Shown {
        let generator = &self.generator;
        let state = &self.users[self.place(user)];
        let noise = generator.exposure_lane(Draw::Noise);
        let guessed = generator.chosen_group(user, self.row, generator.exposure_lane(Draw::Interest).uniform(self.row));
        let seen = |place: usize| {
            let item = self.candidate(user, guessed, state, place);
            let known = generator.mean_appeal(self.row, user, item, state);
            let score = libm::log(known / (1.0 - known)) + POLICY_NOISE * noise.lane(place as u64).normal(self.row);
            Shown { item, score, odds: generator.odds(user, group, state, item) }
        };
        if generator.exposure_lane(Draw::Explores).uniform(self.row) < EXPLORES {
            return seen(generator.exposure_lane(Draw::Explored).below(self.row, POOL as u64) as usize);
        }
        let first = seen(0);
        (1..POOL).map(seen).fold(first, |best, other| if other.score > best.score { other } else { best })
    }

    /// An item that the policy may show: one that has appeared yet.
    fn candidate(&self, user: u32, group: u32, state: &UserState, place: usize) -> u32 {
        let generator = &self.generator;
        let lane = generator.exposure_lane(Draw::Pool).lane(place as u64);
        let pick = |attempt: u64| {
            let uniform = |which: u64| lane.lane(4 * attempt + which).uniform(self.row);
            let of_category = |category: u32| generator.draw_of_category(category, uniform(0));
            match place {
                0 if state.filled > 0 => of_category(generator.item_category[state.last as usize]),
                0 => of_category(generator.favourite(user, uniform(1))),
                1 => of_category(generator.category_of_group(group, uniform(1), uniform(2))),
                2 => of_category(generator.popular_category(uniform(1), uniform(2))),
                _ => lane.lane(4 * attempt + 3).below(self.row, generator.vocabulary.items.into()) as u32,
            }
        };
        let passed = generator.passed(self.row);
        let first = pick(0);
        std::iter::once(first).chain((1..ATTEMPTS).map(pick)).find(|&item| generator.item_arrival(item) <= passed).unwrap_or(first)
    }

    /// What becomes of it.
    pub(super) fn outcome(&self, shown: Shown) -> Behaviour {
        let draw = |what: Draw| self.generator.exposure_lane(what);
        let chance = sigmoid(shown.odds);
        let place = draw(Draw::Place).below(self.row, PLACES);
        if draw(Draw::Takes).uniform(self.row) >= chance * looks_at(place) {
            return Behaviour::Shown;
        }
        let mean = STAYS[0] + STAYS[1] * chance;
        let seconds = mean * libm::exp(STAYS_WIDTH * draw(Draw::Stays).normal(self.row) - STAYS_WIDTH * STAYS_WIDTH / 2.0);
        if seconds < DEEP {
            return Behaviour::View;
        }
        match draw(Draw::Kind).uniform(self.row) {
            kind if kind < CART => Behaviour::Cart,
            kind if kind < CART + FAVOURED => Behaviour::Favourite,
            _ => Behaviour::Buy,
        }
    }
}

/// The probability that a user looks at a place.
fn looks_at(place: u64) -> f64 {
    1.0 / (1.0 + PLACE * place as f64)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;
    use crate::config::{Config, Negatives, Preset};
    use crate::data::{Event, Source};
    use crate::metrics;

    fn exposed(base: Config) -> Config {
        Config { negatives: Negatives::None, rows: 60_000, ..base }
    }

    fn configs() -> [Config; 2] {
        [Config::default(), Config::preset(Preset::Calibrated)].map(exposed)
    }

    #[test]
    fn the_policy_ranks_as_a_deployed_one_does() {
        // Where users mix interests, the one that a row follows is news to the policy.
        for (config, like) in configs().into_iter().zip([0.77..0.83, 0.72..0.78]) {
            let generator = Arc::new(Generator::new(&config));
            let mut events = Events::new(generator.clone(), 1);
            let (mut scores, mut labels, mut users, mut deep, mut truth) = (Vec::new(), Vec::new(), Vec::new(), 0, Vec::new());
            while events.row < generator.rows {
                let user = events.user();
                let (event, shown) = events.exposure(user);
                events.row += 1;
                scores.push(shown.score as f32);
                labels.push(event.behaviour.is_taken());
                truth.push(sigmoid(shown.odds) as f32);
                users.push(event.user);
                deep += u32::from(event.behaviour.is_strong());
            }
            let area = metrics::auc(&scores, &labels, &users).value;
            let best = metrics::auc(&truth, &labels, &users).value;
            let taken = labels.iter().filter(|label| **label).count() as f64;
            eprintln!(
                "policy {area:.3}, true odds {best:.3}, taken {:.3}, of them deep {:.3}",
                taken / labels.len() as f64,
                f64::from(deep) / taken
            );
            assert!(like.contains(&area), "the policy's AUC is {area}");
            assert!(best > area + 0.01, "a better ranker than the policy can be had: {best}");
            assert!((0.08..0.4).contains(&(taken / labels.len() as f64)) && (0.2..0.7).contains(&(f64::from(deep) / taken)));
        }
    }

    /// By tenths of what it says, rows are taken as often as the chance says.
    #[test]
    fn the_chance_to_take_is_how_often_it_is_taken() {
        for config in configs() {
            let generator = Arc::new(Generator::new(&config));
            let mut histories: HashMap<u32, Vec<u32>> = HashMap::new();
            let mut tenths = vec![[0.0; 3]; 10];
            for (row, event) in generator.clone().events().enumerate() {
                let history = histories.entry(event.user).or_default();
                let window: Vec<u32> = history.iter().rev().take(50).copied().collect();
                let chance = Source::probability(&*generator, row as u64, event.user, event.item, &window).unwrap();
                let taken = event.behaviour.is_taken();
                let tenth = &mut tenths[((10.0 * chance) as usize).min(9)];
                *tenth = [tenth[0] + 1.0, tenth[1] + chance, tenth[2] + f64::from(u8::from(taken))];
                if taken {
                    history.push(event.item);
                }
            }
            for [rows, said, taken] in tenths.into_iter().filter(|tenth| tenth[0] > 200.0) {
                let error = (said / rows * (1.0 - said / rows) / rows).sqrt();
                assert!((taken - said).abs() / rows < 4.0 * error + 0.005, "{rows} rows: {said} said, {taken} taken");
            }
        }
    }

    #[test]
    fn a_stream_of_exposures_is_pure_and_has_what_it_says() {
        let [config, calibrated] = configs();
        let events = |config: &Config| -> Vec<Event> { Arc::new(Generator::new(config)).events().collect() };
        let (one, other) = (events(&config), events(&config));
        assert_eq!((one.len(), &one), (60_000, &other));
        assert!(one.windows(2).all(|pair| pair[0].time <= pair[1].time));
        let generator = Generator::new(&calibrated);
        let late = events(&calibrated);
        assert!(late.iter().zip(0..).all(|(event, row)| generator.item_arrival(event.item) <= generator.passed(row)));
        assert_eq!(Source::group_posterior(&generator, 0, &[]), None, "a policy stands between a group and what it takes");
    }
}
