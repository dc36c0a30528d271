//! What the generator knows of its own users: the probability of the next row, and the taste behind it.

use super::{
    CONTINUE, FAVOURITE, GROUP_SKEW, Generator, MAIN_THEMES, REPEAT, STYLE_PULL, STYLES, UserState, WINDOW_DAYS, square_draw, square_share,
};
use crate::counter::Counter;
use crate::data::Behaviour;

/// What draws a user to an item and does not change with what they did lately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Taste {
    /// Share of the item's theme in what their group looks for, over the share of the theme that it likes most: 0 to 1.
    pub theme: f64,
    /// Whether the item has the style that their group likes in its theme.
    pub style: bool,
    /// How much of their favourite categories the item's is: 0 to 1.
    pub favourite: f64,
    /// 1 for the most popular item of its category, falling to 0 with the rank.
    pub popularity: f64,
}

impl Generator {
    /// The generator's own probability that the user's next row, at `row` of the stream, is this item, after `history`: their items
    /// so far, newest first, ended by anything that is no item. It sums to 1 over all items. Against uniform negatives no score is
    /// better, but for what the window leaves out. Under E1 it is the chance that the user takes the item, once it is shown to them.
    ///
    /// Exact where the history holds all that the user may come back to (16 items) and no new draw gave an item that they could
    /// have come back to. Else the part of the repeats that belongs to items before the history goes to the known ones, and
    /// a row that may have been either counts as a repeat, which is far likelier.
    ///
    /// # Panics
    /// Where there is no such user or item.
    pub fn probability(&self, row: u64, user: u32, item: u32, history: &[u32]) -> f64 {
        let state = self.state_after(history);
        if self.is_exposed {
            return self.chance_to_take(row, user, item, &state);
        }
        let category = self.item_category[item as usize];
        let favourite = self.favourite_share(user, category);
        let passed = self.passed(row);
        let over_groups = |share_of_category: &dyn Fn(f64) -> f64| -> f64 {
            let of_group = |(group, share): (u32, f64)| {
                let moves = FAVOURITE * favourite + (1.0 - FAVOURITE) * self.category_share(group, category);
                share * (share_of_category(moves) * self.item_share(group, item, passed))
            };
            self.mixture(user, row).map(of_group).sum()
        };
        if state.filled == 0 {
            return over_groups(&|moves| moves);
        }
        let again = Self::repeat_share(&state, item);
        let stays = f64::from(u8::from(self.item_category[state.last as usize] == category));
        REPEAT * again + over_groups(&|moves| (1.0 - REPEAT) * (CONTINUE * stays + (1.0 - CONTINUE) * moves))
    }

    /// What a history (newest first, ended by anything that is no item) tells of its user's main group at `row`: the probability of
    /// each group, before favourites are known, which the group is not told by: each new choice counts for itself. A history is read
    /// as if nothing had drifted since; what was done with the items is not looked at.
    pub fn group_posterior(&self, row: u64, history: &[u32]) -> Vec<f64> {
        let passed = self.passed(row);
        let mut log: Vec<f64> = self.group_prior(row).into_iter().map(libm::log).collect();
        let known = history.iter().position(|&item| item >= self.vocabulary.items).unwrap_or(history.len());
        let mut state = UserState::default();
        for &item in history[..known].iter().rev() {
            let (is_repeat, chances) = self.chances(&state, item, passed);
            let mean = chances.iter().sum::<f64>() / chances.len() as f64;
            let share = if self.interests > 1 { self.interest_share } else { 1.0 };
            let again = if state.filled == 0 { 0.0 } else { REPEAT * Self::repeat_share(&state, item) };
            let of_group = |&own: &f64| again + share * own + (1.0 - share) * mean;
            if chances.iter().map(of_group).all(|chance| chance > 0.0) {
                log.iter_mut().zip(&chances).for_each(|(log, own)| *log += libm::log(of_group(own)));
            }
            state.remember(item, is_repeat);
        }
        let best = log.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = log.into_iter().map(|log| libm::exp(log - best)).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    /// Whether an item may be a repeat, and by group the probability that it is a new choice in this state.
    fn chances(&self, state: &UserState, item: u32, passed: f64) -> (bool, Vec<f64>) {
        let category = self.item_category[item as usize];
        let is_repeat = (1..=usize::from(state.filled)).any(|age| state.recent(age) == item);
        let stays = state.filled > 0 && self.item_category[state.last as usize] == category;
        let chance = |group: u32| {
            let moves = self.category_share(group, category);
            let of_category = match state.filled {
                0 => moves,
                _ => (1.0 - REPEAT) * (CONTINUE * f64::from(u8::from(stays)) + (1.0 - CONTINUE) * moves),
            };
            of_category * self.item_share(group, item, passed)
        };
        (is_repeat, (0..self.user_groups).map(chance).collect())
    }

    /// The share of each group among users' main groups at `row`.
    fn group_prior(&self, row: u64) -> Vec<f64> {
        let groups = f64::from(self.user_groups);
        let before = |group: u32| libm::pow(f64::from(group) / groups, 1.0 / GROUP_SKEW);
        let days = (row.min(self.rows - 1) * WINDOW_DAYS / self.rows) as f64;
        let stays = libm::pow(1.0 - self.drift, days);
        (0..self.user_groups).map(|group| stays * (before(group + 1) - before(group)) + (1.0 - stays) / groups).collect()
    }

    /// The share of the repeats that are of an item.
    fn repeat_share(state: &UserState, item: u32) -> f64 {
        let of_age = |age: u32| square_share(age - 1, state.filled.into());
        (1..=u32::from(state.filled)).filter(|&age| state.recent(age as usize) == item).map(of_age).sum()
    }

    /// What the stream would remember of a user with this history, newest first.
    fn state_after(&self, history: &[u32]) -> UserState {
        let mut state = UserState::default();
        let known = history.iter().position(|&item| item >= self.vocabulary.items).unwrap_or(history.len());
        for &item in history[..known].iter().rev() {
            let again = (1..=usize::from(state.filled)).any(|age| state.recent(age) == item);
            state.remember(item, again);
        }
        state
    }

    /// The probability of a category where a group chooses anew.
    fn category_share(&self, group: u32, category: u32) -> f64 {
        let theme = self.category_theme[category as usize];
        let (first, next) = (self.theme_start[theme as usize], self.theme_start[theme as usize + 1]);
        self.theme_share(group, theme) * square_share(category - first, next - first)
    }

    /// The probability of a theme among what a user group looks for.
    fn theme_share(&self, group: u32, theme: u32) -> f64 {
        let main = MAIN_THEMES.iter().zip(self.main_themes[group as usize]).filter(|(_, main)| *main == theme);
        let others = 1.0 - MAIN_THEMES.iter().sum::<f64>();
        main.map(|(share, _)| share).sum::<f64>() + others * square_share(theme, self.item_groups)
    }

    /// The probability of an item once its category is chosen, of those that have appeared yet.
    fn item_share(&self, group: u32, item: u32, passed: f64) -> f64 {
        let Some(arrivals) = &self.arrivals else { return self.share_of_all(group, item) };
        if self.item_arrival(item) > passed {
            return 0.0;
        }
        let category = self.item_category[item as usize];
        let (span, offset) = (self.items_of(category), self.offset_of_style(group, category));
        let [any, of_style] = arrivals.shares(span.clone(), offset, passed);
        let pulled = if offset < span.len() as u32 { STYLE_PULL } else { 0.0 };
        self.share_of_all(group, item) / (pulled * of_style + (1.0 - pulled) * any)
    }

    /// Items of the style that a group likes in a category's theme lie at this place modulo 4.
    fn offset_of_style(&self, group: u32, category: u32) -> u32 {
        let style = self.liked_style(group, self.category_theme[category as usize]);
        (style + STYLES - category % STYLES) % STYLES
    }

    /// The probability of an item once its category is chosen, if all had appeared.
    fn share_of_all(&self, group: u32, item: u32) -> f64 {
        let category = self.item_category[item as usize];
        let (first, next) = (self.category_start[category as usize], self.category_start[category as usize + 1]);
        let (rank, size) = (item - first, next - first);
        let any = self.popularity.share(rank, size);
        let offset = self.offset_of_style(group, category);
        if offset >= size {
            return any;
        }
        let of_style = if rank % STYLES == offset { self.popularity.share(rank / STYLES, (size - offset).div_ceil(STYLES)) } else { 0.0 };
        STYLE_PULL * of_style + (1.0 - STYLE_PULL) * any
    }

    /// What draws a user to an item, by the main group that they began with.
    pub(crate) fn taste(&self, user: u32, item: u32) -> Taste {
        self.taste_of(user, self.user_group[user as usize], item)
    }

    /// What draws a user who follows a group to an item.
    pub(super) fn taste_of(&self, user: u32, group: u32, item: u32) -> Taste {
        let theme = self.planted_item_group(item);
        let best = self.main_themes[group as usize].map(|theme| self.theme_share(group, theme)).into_iter().fold(0.0, f64::max);
        let category = self.item_category[item as usize];
        let (first, next) = (self.category_start[category as usize], self.category_start[category as usize + 1]);
        Taste {
            theme: self.theme_share(group, theme) / best,
            style: self.planted_style(item) == self.liked_style(group, theme),
            favourite: self.favourite_share(user, category),
            popularity: 1.0 - f64::from(item - first) / f64::from(next - first),
        }
    }

    /// A user in proportion to their activity.
    pub(crate) fn draw_user(&self, counter: Counter, index: u64) -> u32 {
        let column = counter.below(index, self.vocabulary.users.into()) as usize;
        self.activity.pick(column, counter.lane(1).bits(index))
    }

    /// An item of a theme that the user's group likes, of any style.
    pub(crate) fn draw_of_his_themes(&self, user: u32, counter: Counter, index: u64) -> u32 {
        let category = self.category_of_group(self.user_group[user as usize], counter.uniform(index), counter.lane(1).uniform(index));
        self.draw_of_category(category, counter.lane(2).uniform(index))
    }

    /// An item that many look at, whoever they are.
    pub(crate) fn draw_popular(&self, counter: Counter, index: u64) -> u32 {
        let category = self.popular_category(counter.uniform(index), counter.lane(1).uniform(index));
        self.draw_of_category(category, counter.lane(2).uniform(index))
    }

    /// A category by its popularity, from two uniform numbers.
    pub(super) fn popular_category(&self, theme_draw: f64, category_draw: f64) -> u32 {
        let theme = square_draw(self.item_groups, theme_draw) as usize;
        let (first, next) = (self.theme_start[theme], self.theme_start[theme + 1]);
        first + square_draw(next - first, category_draw)
    }

    /// An item of a category by its popularity, from a uniform number.
    pub(super) fn draw_of_category(&self, category: u32, uniform: f64) -> u32 {
        let (first, next) = (self.category_start[category as usize], self.category_start[category as usize + 1]);
        first + self.popularity.draw(next - first, uniform)
    }

    /// What the user does with an item that they take.
    pub(crate) fn draw_behaviour(&self, user: u32, item: u32, counter: Counter, index: u64) -> Behaviour {
        self.behaviour(item, self.user_group[user as usize], counter.uniform(index), counter.lane(1).uniform(index))
    }

    /// Theme and style of an item in one number, below 4 times the themes.
    pub(crate) fn tag(&self, item: u32) -> u32 {
        self.planted_item_group(item) * STYLES + self.planted_style(item)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{CHOICES, Choice, Events};
    use super::*;
    use crate::config::{Config, ItemPopularity};
    use crate::counter::Stream;
    use crate::data::Source;

    fn small() -> Config {
        Config { users: 12, items: 160, categories: 12, rows: 1_000, user_groups: 3, item_groups: 5, ..Config::default() }
    }

    /// Newest first. The user comes back to items 7 and 150; 150 is their last.
    const HISTORY: [u32; 9] = [150, 7, 33, 90, 7, 150, 12, 64, u32::MAX];

    /// How often each item comes next, drawn by the generator itself from one fixed state: its ring, oldest first, and
    /// the last item.
    fn drawn(generator: &Arc<Generator>, user: u32, ring: &[u32], last: u32, draws: u64) -> Vec<f64> {
        let mut users = vec![UserState::default(); generator.vocabulary.users as usize];
        let state = &mut users[user as usize];
        ring.iter().for_each(|&item| state.remember(item, false));
        state.last = last;
        let choices = Counter::new(99, Stream::Choices);
        let lanes: [Counter; CHOICES] = std::array::from_fn(|lane| choices.lane(lane as u64));
        let mut events = Events { generator: generator.clone(), lanes, row: 0, hour: 0, parts: 1, users, open: Vec::new() };
        let mut shares = vec![0.0; generator.vocabulary.items as usize];
        for row in 0..draws {
            events.row = row;
            let group = generator.chosen_group(user, row, events.draw(Choice::Interest));
            shares[events.item(user, group).0 as usize] += 1.0 / draws as f64;
        }
        shares
    }

    /// Each share within five standard errors, and the whole within what chi-square allows.
    fn agrees(generator: &Generator, user: u32, history: &[u32], shares: &[f64], draws: u64) {
        let mut distance = 0.0;
        for (item, share) in shares.iter().enumerate() {
            let p = generator.probability(0, user, item as u32, history);
            let error = (p * (1.0 - p) / draws as f64).sqrt();
            assert!((share - p).abs() <= 5.0 * error, "user {user}, item {item}: {share} drawn, {p} said");
            distance += if p > 0.0 { (share - p).powi(2) * draws as f64 / p } else { 0.0 };
        }
        let freedom = shares.len() as f64;
        assert!(distance < freedom + 5.0 * (2.0 * freedom).sqrt(), "chi-square {distance}");
    }

    #[test]
    fn the_probability_is_how_often_the_generator_draws_the_item() {
        let draws = 60_000;
        let mut generators =
            [ItemPopularity::Mild, ItemPopularity::Taobao].map(|item_popularity| Config { item_popularity, ..small() }).to_vec();
        generators.push(Config { interests: 3, interest_share: 0.5, ..small() });
        for (config, user) in generators.iter().flat_map(|config| [(config, 0), (config, 5)]) {
            let generator = Arc::new(Generator::new(config));
            agrees(&generator, user, &[], &drawn(&generator, user, &[], 0, draws), draws);
            agrees(&generator, user, &HISTORY, &drawn(&generator, user, &[64, 12, 150, 7, 90, 33], 150, draws), draws);
            // More items than they may come back to: the ring forgets the oldest.
            let ring: Vec<u32> = (20..50).collect();
            let history: Vec<u32> = ring.iter().rev().copied().collect();
            agrees(&generator, user, &history, &drawn(&generator, user, &ring, 49, draws), draws);
        }
    }

    #[test]
    fn probabilities_sum_to_one() {
        let smallest = Config { users: 2, items: 16, categories: 2, user_groups: 1, item_groups: 1, ..small() };
        let narrow = Config { items: 26, categories: 20, item_groups: 2, ..small() };
        let taobao = Config { item_popularity: ItemPopularity::Taobao, ..small() };
        let lively = Config { interests: 2, drift: 0.3, new_items: 0.5, ..small() };
        for (config, row) in [(small(), 0), (smallest, 0), (narrow, 0), (taobao, 0), (lively.clone(), 0), (lively, 700)] {
            let generator = Generator::new(&config);
            for history in [&[][..], &[3], &[3, 3, 9], &HISTORY[1..4]] {
                let sum: f64 = (0..config.items).map(|item| generator.probability(row, 1, item, history)).sum();
                assert!((sum - 1.0).abs() < 1e-12, "{config:?}: {sum}");
            }
        }
    }

    #[test]
    fn only_ids_of_the_source_have_a_probability() {
        let generator = Generator::new(&small());
        assert_eq!(Source::probability(&generator, 0, 12, 0, &[]), None);
        assert_eq!(Source::probability(&generator, 0, 0, 160, &[]), None);
        assert_eq!(Source::probability(&generator, 0, 0, 0, &HISTORY), Some(generator.probability(0, 0, 0, &HISTORY)));
    }

    /// What the stream gives must be far likelier than what the protocol draws against it.
    #[test]
    fn rows_of_the_stream_are_likelier_than_uniform_items() {
        let config = Config { rows: 20_000, users: 200, ..Config::default() };
        let generator = Arc::new(Generator::new(&config));
        let uniform = Counter::new(1, Stream::Negatives);
        let mut histories = vec![Vec::new(); 200];
        let (mut wins, mut rows) = (0.0, 0.0);
        for (row, event) in generator.clone().events().enumerate() {
            let history: &mut Vec<u32> = &mut histories[event.user as usize];
            if row > 10_000 && row % 10 == 0 {
                let window: Vec<u32> = history.iter().rev().take(20).copied().collect();
                let other = uniform.below(row as u64, config.items.into()) as u32;
                let [own, other] = [event.item, other].map(|item| generator.probability(row as u64, event.user, item, &window));
                wins += if own > other { 1.0 } else { f64::from(u8::from(own == other)) / 2.0 };
                rows += 1.0;
            }
            history.push(event.item);
        }
        assert!(wins / rows > 0.9, "{}", wins / rows);
    }

    /// Items that appear on the way have the probability with which they are drawn once they are there, and none before.
    #[test]
    fn new_items_are_drawn_from_the_day_they_appear_on_and_the_probability_knows_it() {
        let config = Config { rows: 400_000, users: 300, new_items: 0.5, drift: 0.1, interests: 2, ..small() };
        let generator = Arc::new(Generator::new(&config));
        let late = (0..160).filter(|&item| generator.item_arrival(item) > 0.0).count();
        assert!((40..80).contains(&late), "{late} of 160 appear on the way");
        // Rows of users without a history, so that only what may be drawn anew counts.
        let mut known = vec![false; 300];
        let (mut expected, mut drawn) = (0.0, 0);
        for (row, event) in generator.clone().events().enumerate() {
            assert!(generator.item_arrival(event.item) <= generator.passed(row as u64), "row {row}");
            if !std::mem::replace(&mut known[event.user as usize], true) {
                let p: Vec<f64> = (0..160).map(|item| generator.probability(row as u64, event.user, item, &[])).collect();
                assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12 && p[event.item as usize] > 0.0);
                expected += p.iter().zip(0..).filter(|(_, item)| item % 2 == 0).map(|(p, _)| p).sum::<f64>();
                drawn += u32::from(event.item % 2 == 0);
            }
        }
        assert!((f64::from(drawn) - expected).abs() < 4.0 * (300.0f64 * 0.25).sqrt(), "{drawn} even items drawn, {expected} expected");
    }

    /// The groups that a posterior names are the true ones about as often as it says, and more often the longer the history. An
    /// independent implementation that knows nothing of repeats finds 55, 71, 89 and 97 % with 1-2, 3-5, 6-10 and 11-20 behaviours.
    #[test]
    fn the_posterior_names_the_group_as_often_as_it_says() {
        let config = Config { rows: 60_000, ..Config::default() };
        let generator = Arc::new(Generator::new(&config));
        let mut histories = vec![Vec::new(); config.users as usize];
        let mut tally = [[0.0; 3]; 4];
        for (row, event) in generator.clone().events().enumerate() {
            let history: &mut Vec<u32> = &mut histories[event.user as usize];
            let place = [2, 5, 10, 20].iter().position(|&most| history.len() <= most);
            if let Some(place) = place.filter(|_| !history.is_empty() && row % 3 == 0) {
                let window: Vec<u32> = history.iter().rev().copied().collect();
                let posterior = generator.group_posterior(row as u64, &window);
                assert!((posterior.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                let (named, sure) = posterior.iter().zip(0u32..).fold((0, 0.0), |best, (&p, g)| if p > best.1 { (g, p) } else { best });
                tally[place][0] += 1.0;
                tally[place][1] += f64::from(u8::from(Some(named) == generator.planted_group(event.user)));
                tally[place][2] += sure;
            }
            history.push(event.item);
        }
        let shares = tally.map(|[rows, right, sure]| [right / rows, sure / rows]);
        eprintln!("right and said, by behaviours: {shares:.3?}");
        for ([right, sure], expected) in shares.into_iter().zip([0.55, 0.71, 0.89, 0.97]) {
            assert!(right > expected, "{right} right, {expected} by categories and items alone");
            assert!((sure - right).abs() < 0.03, "{right} right, {sure} said");
        }
        let prior = generator.group_posterior(0, &[]);
        let users = |group: u32| (0..config.users).filter(|&user| generator.planted_group(user) == Some(group)).count() as f64;
        prior.iter().zip(0..).for_each(|(p, group)| assert!((p - users(group) / 2_000.0).abs() < 0.025, "group {group}: {p}"));
    }

    #[test]
    fn taste_follows_theme_style_favourites_and_popularity() {
        let generator = Generator::new(&small());
        for item in 0..160 {
            let taste = generator.taste(3, item);
            assert!(
                (0.0..=1.0).contains(&taste.theme) && (0.0..=1.0).contains(&taste.favourite) && (0.0..=1.0).contains(&taste.popularity)
            );
            assert_eq!(generator.tag(item) / STYLES, generator.planted_item_group(item));
        }
        assert!((0..160).any(|item| generator.taste(3, item).theme == 1.0));
        let favourites = (0..12).map(|category| generator.favourite_share(3, category)).sum::<f64>();
        assert!((favourites - 1.0).abs() < 1e-12);
    }
}
