//! What the generator knows of its own users: the probability of the next row, and the taste behind it.

use super::{CONTINUE, FAVOURITE, FAVOURITES, Generator, MAIN_THEMES, REPEAT, STYLE_PULL, STYLES, UserState, square_draw, square_share};
use crate::counter::Counter;
use crate::data::Behaviour;

/// What draws a user to an item and does not change with what he did lately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Taste {
    /// Share of the item's theme in what his group looks for, over the share of the theme that it likes most: 0 to 1.
    pub theme: f64,
    /// Whether the item has the style that his group likes in its theme.
    pub style: bool,
    /// How much of his favourite categories the item's is: 0 to 1.
    pub favourite: f64,
    /// 1 for the most popular item of its category, falling to 0 with the rank.
    pub popularity: f64,
}

impl Generator {
    /// The generator's own probability that the user's next row is this item, after `history`: his items so far, newest
    /// first, ended by anything that is no item. It sums to 1 over all items. Against uniform negatives no score is better,
    /// but for what the window leaves out.
    ///
    /// Exact where the history holds all that the user may come back to (16 items) and no new draw gave an item that he could
    /// have come back to. Else the part of the repeats that belongs to items before the history goes to the known ones, and
    /// a row that may have been either counts as a repeat, which is far likelier.
    ///
    /// # Panics
    /// Where there is no such user or item.
    pub fn probability(&self, user: u32, item: u32, history: &[u32]) -> f64 {
        let state = self.state_after(history);
        let category = self.item_category[item as usize];
        let inside = self.item_share(user, item);
        if state.filled == 0 {
            return self.category_share(user, category) * inside;
        }
        let again: f64 = (1..=u32::from(state.filled))
            .filter(|&age| state.recent(age as usize) == item)
            .map(|age| square_share(age - 1, state.filled.into()))
            .sum();
        let stays = f64::from(u8::from(self.item_category[state.last as usize] == category));
        let moves = self.category_share(user, category);
        REPEAT * again + (1.0 - REPEAT) * (CONTINUE * stays + (1.0 - CONTINUE) * moves) * inside
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

    /// The probability of a category where the row neither repeats an item nor stays in a category.
    fn category_share(&self, user: u32, category: u32) -> f64 {
        let theme = self.category_theme[category as usize];
        let (first, next) = (self.theme_start[theme as usize], self.theme_start[theme as usize + 1]);
        let by_group = self.theme_share(self.user_group[user as usize], theme) * square_share(category - first, next - first);
        FAVOURITE * self.favourite_share(user, category) + (1.0 - FAVOURITE) * by_group
    }

    /// The probability of a theme among what a user group looks for.
    fn theme_share(&self, group: u32, theme: u32) -> f64 {
        let main = MAIN_THEMES.iter().zip(self.main_themes[group as usize]).filter(|(_, main)| *main == theme);
        let others = 1.0 - MAIN_THEMES.iter().sum::<f64>();
        main.map(|(share, _)| share).sum::<f64>() + others * square_share(theme, self.item_groups)
    }

    /// The probability of a category among a user's favourites.
    fn favourite_share(&self, user: u32, category: u32) -> f64 {
        let favourites = (0..FAVOURITES as u32).filter(|&which| self.favourite_category(user, which) == category);
        favourites.map(|which| square_share(which, FAVOURITES as u32)).sum()
    }

    /// The probability of an item once its category is chosen.
    fn item_share(&self, user: u32, item: u32) -> f64 {
        let category = self.item_category[item as usize];
        let (first, next) = (self.category_start[category as usize], self.category_start[category as usize + 1]);
        let (rank, size) = (item - first, next - first);
        let any = self.popularity.share(rank, size);
        let style = self.liked_style(self.user_group[user as usize], self.category_theme[category as usize]);
        let offset = (style + STYLES - category % STYLES) % STYLES;
        if offset >= size {
            return any;
        }
        let of_style = if rank % STYLES == offset { self.popularity.share(rank / STYLES, (size - offset).div_ceil(STYLES)) } else { 0.0 };
        STYLE_PULL * of_style + (1.0 - STYLE_PULL) * any
    }

    /// What draws a user to an item.
    pub(crate) fn taste(&self, user: u32, item: u32) -> Taste {
        let group = self.user_group[user as usize];
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

    /// A user in proportion to his activity.
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
        let theme = square_draw(self.item_groups, counter.uniform(index)) as usize;
        let (first, next) = (self.theme_start[theme], self.theme_start[theme + 1]);
        self.draw_of_category(first + square_draw(next - first, counter.lane(1).uniform(index)), counter.lane(2).uniform(index))
    }

    fn draw_of_category(&self, category: u32, uniform: f64) -> u32 {
        let (first, next) = (self.category_start[category as usize], self.category_start[category as usize + 1]);
        first + self.popularity.draw(next - first, uniform)
    }

    /// What the user does with an item that he takes.
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

    use super::super::{CHOICES, Events};
    use super::*;
    use crate::config::{Config, ItemPopularity};
    use crate::counter::Stream;
    use crate::data::Source;

    fn small() -> Config {
        Config { users: 12, items: 160, categories: 12, rows: 1_000, user_groups: 3, item_groups: 5, ..Config::default() }
    }

    /// Newest first. The user comes back to items 7 and 150; 150 is his last.
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
        let mut events = Events { generator: generator.clone(), lanes, row: 0, hour: 0, users };
        let mut shares = vec![0.0; generator.vocabulary.items as usize];
        for row in 0..draws {
            events.row = row;
            shares[events.item(user, generator.user_group[user as usize]).0 as usize] += 1.0 / draws as f64;
        }
        shares
    }

    /// Each share within five standard errors, and the whole within what chi-square allows.
    fn agrees(generator: &Generator, user: u32, history: &[u32], shares: &[f64], draws: u64) {
        let mut distance = 0.0;
        for (item, share) in shares.iter().enumerate() {
            let p = generator.probability(user, item as u32, history);
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
        let generators = [ItemPopularity::Mild, ItemPopularity::Taobao].map(|item_popularity| Config { item_popularity, ..small() });
        for (config, user) in generators.iter().flat_map(|config| [(config, 0), (config, 5)]) {
            let generator = Arc::new(Generator::new(config));
            agrees(&generator, user, &[], &drawn(&generator, user, &[], 0, draws), draws);
            agrees(&generator, user, &HISTORY, &drawn(&generator, user, &[64, 12, 150, 7, 90, 33], 150, draws), draws);
            // More items than he may come back to: the ring forgets the oldest.
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
        for config in [small(), smallest, narrow, taobao] {
            let generator = Generator::new(&config);
            for history in [&[][..], &[3], &[3, 3, 9], &HISTORY[1..4]] {
                let sum: f64 = (0..config.items).map(|item| generator.probability(1, item, history)).sum();
                assert!((sum - 1.0).abs() < 1e-12, "{config:?}: {sum}");
            }
        }
    }

    #[test]
    fn only_ids_of_the_source_have_a_probability() {
        let generator = Generator::new(&small());
        assert_eq!(Source::probability(&generator, 12, 0, &[]), None);
        assert_eq!(Source::probability(&generator, 0, 160, &[]), None);
        assert_eq!(Source::probability(&generator, 0, 0, &HISTORY), Some(generator.probability(0, 0, &HISTORY)));
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
                let [own, other] = [event.item, other].map(|item| generator.probability(event.user, item, &window));
                wins += if own > other { 1.0 } else { f64::from(u8::from(own == other)) / 2.0 };
                rows += 1.0;
            }
            history.push(event.item);
        }
        assert!(wins / rows > 0.9, "{}", wins / rows);
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
