//! The synthetic stream: Taobao-shaped rows with planted groups of users and of items, a pure function of the seed.
//!
//! A row is drawn in four steps. *When*: the row's quantile of a day-night curve over the nine days. *Who*: users in
//! proportion to an activity whose quantiles are Taobao's. *Where*: an item the user had lately, the category they are in,
//! one of their few favourite categories, or a category that their group likes. *What*: an item of that category, by style
//! and popularity.
//!
//! What is planted, and what a model can know from it:
//! - A user group likes three themes (groups of categories) far more than the others. A user's favourites are drawn from
//!   that preference, so the group knows themes that the user's own few rows have not shown yet.
//! - In each theme a user group likes one of four styles of items. Styles cut across categories and popularity: only
//!   the item's id tells them. A group's style in one theme says nothing about its style in another.
//! - Activity is independent of the group, so low-active users share exactly the groups of the others.
//!
//! Off by default, each a setting of its own (`Config`), and all of them in [`Preset::Calibrated`](crate::config::Preset):
//! - *interests*: a user mixes several groups; each new choice follows one of them, the main one most often.
//! - *drift*: at the end of a day a user's main group may be drawn anew. Their favourite categories stay.
//! - *new items*: a share of the catalogue appears on the way, and cannot be chosen before.
//! - *sessions*: a user's rows come in runs, a minute or so apart.
//! - *newcomers* and *activity spread*: users who come on the way, and how unequal users are.
//! - *profile*: fields of a user that tell of their group, missing more often the less active they are (`generator/profile.rs`).
//!
//! Under protocol E1 (`Negatives::None`) the rows are exposures with two labels instead: `generator/exposures.rs`.
//!
//! Memory grows with users and items, never with rows. Only `libm` and IEEE arithmetic are used: a browser and a server
//! see the same bytes.

mod arrivals;
mod exposures;
mod parallel;
mod profile;
mod truth;

use std::sync::Arc;

use self::arrivals::Arrivals;
pub use self::exposures::DEEP;
use self::exposures::Shown;
use self::profile::Profile;
use super::alias::Alias;
use super::{Behaviour, Event, Origin, Source, Vocabulary, WINDOW_END, WINDOW_START};
use crate::config::{Config, ItemPopularity, Negatives};
use crate::counter::{Counter, Stream};

/// Median rows of a user in the 982-user prefix of the real file; only ratios matter, as rows are configured.
const MEDIAN_ACTIVITY: f64 = 73.5;
/// Its 10 % and 90 % quantiles.
const LOW_ACTIVITY: f64 = 19.0;
const HIGH_ACTIVITY: f64 = 219.9;
/// The 90 % quantile of the standard normal.
const NORMAL_P90: f64 = 1.2816;
/// Normals beyond this are cut, so that one user in a million does not outweigh a city.
const ACTIVITY_CUT: f64 = 3.0;

/// Themes that a user group prefers, with the share of each; what is left spreads over all themes by popularity.
const MAIN_THEMES: [f64; 3] = [0.35, 0.25, 0.15];
/// The first of `g` groups has `g^(-1 / GROUP_SKEW)` of the users: groups are unequal.
const GROUP_SKEW: f64 = 1.3;
/// Styles of items inside a category.
const STYLES: u32 = 4;
/// Share of the draws inside a category that look for the group's style; the rest takes any.
const STYLE_PULL: f64 = 0.6;
/// Favourite categories of a user.
const FAVOURITES: u64 = 8;
/// Items that a user may come back to.
const RECENT: usize = 16;

/// Part of a category's items at which half its rows are reached, under [`ItemPopularity::Taobao`]: the first `x` of the items have
/// `x (1 + c) / (x + c)` of the rows. Fitted to Cen et al. 2020 (ComiRec, Table 2), who kept the items with five clicks or more:
/// 1,708,530 of 4,162,024, with 85.4 of 89.8 million clicks.
const TAOBAO_HEAD: f64 = 0.04;

/// Probability that a row comes back to a recent item.
const REPEAT: f64 = 0.24;
/// Probability that a row that does not stays in the category of the row before.
const CONTINUE: f64 = 0.40;
/// Probability that a row that does neither is in a favourite category.
const FAVOURITE: f64 = 0.25;

/// Probability of a cart, favourite or buy where the item has the style that the user's group likes, and elsewhere.
const STRONG_IN_STYLE: f64 = 0.125;
const STRONG_ELSEWHERE: f64 = 0.052;
/// Shares of cart and favourite among them; the rest buys.
const CART: f64 = 5.45 / 10.3;
const FAVOURED: f64 = 2.75 / 10.3;

/// Seconds from a row of a session to the next, in the mean: 77 is the median of the 655 users.
const SESSION_PAUSE: f64 = 77.0;
/// Draws of a user who has come yet, or of an item that has appeared yet, before the next best is taken. With the least share
/// of either, .05, one in 30,000 needs more.
const ATTEMPTS: u64 = 200;
/// Days of the window: how often a main group may drift, less one.
const WINDOW_DAYS: u64 = 9;

/// Rows by hour of the day in Beijing, relative: rounded figures of 655 whole users from a prefix of Tianchi data set 649.
const HOURS: [u32; 24] = [35, 15, 9, 4, 5, 7, 17, 27, 31, 40, 47, 45, 43, 50, 53, 58, 53, 44, 45, 62, 77, 87, 84, 62];
/// Rows by day, relative, from the same users: the last two days are a weekend.
const DAYS: [u32; 9] = [10, 10, 10, 10, 11, 10, 11, 14, 13];

/// A seeded stream; see the module.
pub struct Generator {
    seed: u64,
    rows: u64,
    vocabulary: Vocabulary,
    item_groups: u32,
    popularity: ItemPopularity,
    user_groups: u32,
    interests: u32,
    interest_share: f64,
    drift: f64,
    new_items: f64,
    /// Where items appear on the way.
    arrivals: Option<Arrivals>,
    session_rows: f64,
    newcomers: f64,
    /// Whether rows are exposures (E1).
    is_exposed: bool,
    profile: Profile,
    activity: Alias,
    /// `[users]`: main group at the start.
    user_group: Vec<u32>,
    /// `[user_groups]`: themes that the group prefers.
    main_themes: Vec<[u32; MAIN_THEMES.len()]>,
    /// `[item_groups + 1]`: the first category of each theme.
    theme_start: Vec<u32>,
    /// `[categories]`.
    category_theme: Vec<u32>,
    /// `[categories + 1]`: the first item of each category. Inside a category the most popular items come first.
    category_start: Vec<u32>,
    /// `[items]`.
    item_category: Vec<u32>,
    /// `[24 * 9 + 1]`: share of the rows before each hour.
    hour_start: Vec<f64>,
}

impl Generator {
    /// The stream of a valid configuration. Takes time and memory in proportion to users and items.
    pub fn new(config: &Config) -> Self {
        let (themes, categories, items) = (config.item_groups, config.categories, config.items);
        let theme_start = boundaries(themes, categories, |h| 1.0 / libm::sqrt(f64::from(h + 1)));
        let category_theme = owners(&theme_start);
        let category_start = boundaries(categories, items, |c| {
            let theme = category_theme[c as usize];
            let (first, next) = (theme_start[theme as usize], theme_start[theme as usize + 1]);
            libm::pow(square_share(theme, themes) * square_share(c - first, next - first), 0.8)
        });
        let traits = Counter::new(config.seed, Stream::Users);
        let groups = f64::from(config.user_groups);
        let user_group = (0..u64::from(config.users)).map(|u| (groups * libm::pow(traits.lane(1).uniform(u), GROUP_SKEW)) as u32).collect();
        let spread = config.activity_spread;
        let weights: Vec<f64> = (0..u64::from(config.users)).map(|u| activity(spread, traits.lane(2).normal(u))).collect();
        let tastes = Counter::new(config.seed, Stream::Items).lane(1);
        let mut generator = Self {
            seed: config.seed,
            rows: config.rows,
            vocabulary: Vocabulary { users: config.users, items, categories },
            item_groups: themes,
            popularity: config.item_popularity,
            user_groups: config.user_groups,
            interests: config.interests.min(config.user_groups),
            interest_share: config.interest_share,
            drift: config.drift,
            new_items: config.new_items,
            arrivals: None,
            is_exposed: config.negatives == Negatives::None,
            session_rows: config.session_rows,
            newcomers: config.newcomers,
            profile: Profile::new(config, &weights),
            activity: Alias::new(&weights),
            user_group,
            main_themes: (0..config.user_groups).map(|g| distinct_themes(tastes.lane(g.into()), themes)).collect(),
            item_category: owners(&category_start),
            theme_start,
            category_theme,
            category_start,
            hour_start: hour_starts(),
        };
        if generator.new_items > 0.0 {
            generator.arrivals = Some(Arrivals::of(&generator));
        }
        generator
    }

    /// The items of a category.
    fn items_of(&self, category: u32) -> std::ops::Range<u32> {
        self.category_start[category as usize]..self.category_start[category as usize + 1]
    }

    /// The planted group of an item: the theme of its category, below `item_groups`.
    pub fn planted_item_group(&self, item: u32) -> u32 {
        self.category_theme[self.item_category[item as usize] as usize]
    }

    /// The style of an item, below 4. No category, count or other feature tells it.
    pub fn planted_style(&self, item: u32) -> u32 {
        let category = self.item_category[item as usize];
        (item - self.category_start[category as usize] + category) % STYLES
    }

    /// The part of the window that has passed when a row comes, 0 to 1.
    fn passed(&self, row: u64) -> f64 {
        row.min(self.rows) as f64 / self.rows as f64
    }

    /// When something that comes on the way is there for the first time: a share comes on the way, the rest is there at 0.
    fn arrival(share: f64, uniform: f64) -> f64 {
        if uniform < share { uniform / share } else { 0.0 }
    }

    /// The part of the window after which a user comes for the first time.
    fn user_arrival(&self, user: u32) -> f64 {
        Self::arrival(self.newcomers, Counter::new(self.seed, Stream::Users).lane(6).uniform(user.into()))
    }

    /// The part of the window after which an item appears. The most popular of each style of a category are always there.
    fn item_arrival(&self, item: u32) -> f64 {
        if self.new_items == 0.0 || item - self.category_start[self.item_category[item as usize] as usize] < STYLES {
            return 0.0;
        }
        Self::arrival(self.new_items, Counter::new(self.seed, Stream::Items).lane(3).uniform(item.into()))
    }

    /// A user's main group when a row comes.
    ///
    /// # Panics
    /// Where there is no such user.
    pub fn main_group(&self, user: u32, row: u64) -> u32 {
        let mut group = self.user_group[user as usize];
        if self.drift == 0.0 {
            return group;
        }
        let traits = Counter::new(self.seed, Stream::Users).lane(7);
        let days = row.min(self.rows - 1) * WINDOW_DAYS / self.rows;
        for day in 0..days {
            let index = u64::from(user) * WINDOW_DAYS + day;
            if traits.uniform(index) < self.drift {
                group = traits.lane(1).below(index, self.user_groups.into()) as u32;
            }
        }
        group
    }

    /// The groups that a user's taste mixes when a row comes, with their shares, the main one first. A further group may be the
    /// main one too: their shares then add.
    pub fn mixture(&self, user: u32, row: u64) -> impl Iterator<Item = (u32, f64)> {
        let main = self.main_group(user, row);
        let others = self.interests - 1;
        let share = if others == 0 { 1.0 } else { self.interest_share };
        let rest = (1.0 - share) / f64::from(others.max(1));
        std::iter::once((main, share)).chain((0..others).map(move |other| (self.further_group(user, other), rest)))
    }

    /// One of the groups beside the main one, which do not drift.
    fn further_group(&self, user: u32, other: u32) -> u32 {
        let index = u64::from(user) * u64::from(self.interests) + u64::from(other);
        Counter::new(self.seed, Stream::Users).lane(8).below(index, self.user_groups.into()) as u32
    }

    /// The group that a choice follows.
    fn chosen_group(&self, user: u32, row: u64, draw: f64) -> u32 {
        if self.interests > 1 && draw >= self.interest_share {
            let rest = (draw - self.interest_share) / (1.0 - self.interest_share);
            let others = self.interests - 1;
            return self.further_group(user, ((f64::from(others) * rest) as u32).min(others - 1));
        }
        self.main_group(user, row)
    }

    /// The style that a user group likes in a theme.
    fn liked_style(&self, group: u32, theme: u32) -> u32 {
        let index = u64::from(group) * u64::from(self.item_groups) + u64::from(theme);
        Counter::new(self.seed, Stream::Items).lane(2).below(index, STYLES.into()) as u32
    }

    /// A category that a user group likes, from two uniform numbers.
    fn category_of_group(&self, group: u32, theme_draw: f64, category_draw: f64) -> u32 {
        let mut rest = theme_draw;
        let mut theme = None;
        for (share, main) in MAIN_THEMES.iter().zip(self.main_themes[group as usize]) {
            if theme.is_none() && rest < *share {
                theme = Some(main);
            }
            rest -= share;
        }
        let others = 1.0 - MAIN_THEMES.iter().sum::<f64>();
        let theme = theme.unwrap_or_else(|| square_draw(self.item_groups, (rest / others).clamp(0.0, 1.0)));
        let (first, next) = (self.theme_start[theme as usize], self.theme_start[theme as usize + 1]);
        first + square_draw(next - first, category_draw)
    }

    /// One of a user's favourite categories, which come in falling order.
    fn favourite(&self, user: u32, draw: f64) -> u32 {
        self.favourite_category(user, square_draw(FAVOURITES as u32, draw))
    }

    /// A user's favourite category of a place. They are drawn once for a user, by hash, and never stored.
    fn favourite_category(&self, user: u32, place: u32) -> u32 {
        let traits = Counter::new(self.seed, Stream::Users);
        let index = u64::from(user) * FAVOURITES + u64::from(place);
        // Of the tastes that the user began with.
        let group = self.chosen_group(user, 0, traits.lane(5).uniform(index));
        self.category_of_group(group, traits.lane(3).uniform(index), traits.lane(4).uniform(index))
    }

    /// An item of a category: of the group's style more often than not, and popular ones first.
    fn item_of_category(&self, category: u32, group: u32, style_draw: f64, item_draw: f64) -> u32 {
        let (first, next) = (self.category_start[category as usize], self.category_start[category as usize + 1]);
        let size = next - first;
        if style_draw < STYLE_PULL {
            let style = self.liked_style(group, self.category_theme[category as usize]);
            let offset = (style + STYLES - category % STYLES) % STYLES;
            if offset < size {
                let of_style = (size - offset).div_ceil(STYLES);
                return first + offset + STYLES * self.popularity.draw(of_style, item_draw);
            }
        }
        first + self.popularity.draw(size, item_draw)
    }

    fn behaviour(&self, item: u32, group: u32, strength: f64, kind: f64) -> Behaviour {
        let liked = self.planted_style(item) == self.liked_style(group, self.planted_item_group(item));
        if strength >= if liked { STRONG_IN_STYLE } else { STRONG_ELSEWHERE } {
            Behaviour::View
        } else if kind < CART {
            Behaviour::Cart
        } else if kind < CART + FAVOURED {
            Behaviour::Favourite
        } else {
            Behaviour::Buy
        }
    }
}

impl Source for Generator {
    fn origin(&self) -> Origin {
        Origin::Synthetic
    }

    fn name(&self) -> String {
        format!("synthetic stream, seed {}", self.seed)
    }

    fn vocabulary(&self) -> Vocabulary {
        self.vocabulary
    }

    fn category(&self, item: u32) -> u32 {
        self.item_category[item as usize]
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn planted_group(&self, user: u32) -> Option<u32> {
        self.user_group.get(user as usize).copied()
    }

    fn planted_group_at(&self, user: u32, row: u64) -> Option<u32> {
        (user < self.vocabulary.users).then(|| self.main_group(user, row))
    }

    fn planted_groups(&self) -> u32 {
        self.user_groups
    }

    fn planted_item_groups(&self) -> u32 {
        self.item_groups
    }

    fn profile_fields(&self) -> u32 {
        self.profile.fields()
    }

    fn profile(&self, user: u32, field: u32) -> Option<u32> {
        self.profile.value(user, self.user_group[user as usize], field)
    }

    fn planted_item_group(&self, item: u32) -> Option<u32> {
        Some(Self::planted_item_group(self, item))
    }

    fn probability(&self, row: u64, user: u32, item: u32, history: &[u32]) -> Option<f64> {
        let known = user < self.vocabulary.users && item < self.vocabulary.items;
        known.then(|| self.probability(row, user, item, history))
    }

    fn group_posterior(&self, row: u64, history: &[u32]) -> Option<Vec<f64>> {
        // What a policy shows tells of its candidates as much as of the user.
        (!self.is_exposed).then(|| self.group_posterior(row, history))
    }

    fn events(self: Arc<Self>) -> Box<dyn Iterator<Item = Event> + Send> {
        parallel::events(self)
    }
}

/// What a choice of a row is for: the lanes of its stream.
#[derive(Clone, Copy)]
enum Choice {
    Time,
    User,
    UserAlias,
    Mode,
    Continue,
    Favourite,
    Theme,
    Category,
    Style,
    Item,
    Recent,
    Strength,
    Kind,
    Interest,
    Session,
    Open,
}

const CHOICES: usize = Choice::Open as usize + 1;

/// What the stream remembers of a user: a ring of recent items and the last one.
#[derive(Clone, Default)]
struct UserState {
    recent: [u32; RECENT],
    last: u32,
    filled: u8,
    next: u8,
}

impl UserState {
    /// The item of an age: 1 is the newest, `filled` the oldest.
    fn recent(&self, age: usize) -> u32 {
        self.recent[(usize::from(self.next) + RECENT - age) % RECENT]
    }

    /// Whether an item is among the recent ones.
    fn has(&self, item: u32) -> bool {
        (1..=usize::from(self.filled)).any(|age| self.recent(age) == item)
    }

    /// A new item takes the place of the oldest one.
    fn remember(&mut self, item: u32, again: bool) {
        self.last = item;
        if !again {
            self.recent[usize::from(self.next)] = item;
            self.next = (self.next + 1) % RECENT as u8;
            self.filled = (self.filled + 1).min(RECENT as u8);
        }
    }
}

struct Events {
    generator: Arc<Generator>,
    lanes: [Counter; CHOICES],
    row: u64,
    hour: usize,
    /// Of how many parts of the users one is remembered; 1 for all.
    parts: u32,
    /// `[users / parts]`.
    users: Vec<UserState>,
    /// Users in a session, whose rows come in turns; empty without sessions.
    open: Vec<Option<u32>>,
}

impl Events {
    fn new(generator: Arc<Generator>, parts: u32) -> Self {
        let users = vec![UserState::default(); generator.vocabulary.users.div_ceil(parts) as usize];
        let choices = Counter::new(generator.seed, Stream::Choices);
        // As many as send a row each pause.
        let seconds = (WINDOW_END - WINDOW_START) as f64;
        let open = vec![None; ((generator.rows as f64 * SESSION_PAUSE / seconds) as usize).max(1)];
        Self { lanes: std::array::from_fn(|lane| choices.lane(lane as u64)), generator, row: 0, hour: 0, parts, users, open }
    }

    /// Where a user is remembered: those of a part are every `parts`th.
    fn place(&self, user: u32) -> usize {
        (user / self.parts) as usize
    }

    /// The row of a user.
    fn event(&mut self, user: u32) -> Event {
        if self.generator.is_exposed {
            return self.exposure(user).0;
        }
        let time = self.time();
        let group = self.generator.chosen_group(user, self.row, self.draw(Choice::Interest));
        let (item, again) = self.item(user, group);
        let behaviour = self.generator.behaviour(item, group, self.draw(Choice::Strength), self.draw(Choice::Kind));
        let place = self.place(user);
        self.users[place].remember(item, again);
        Event { user, item, category: self.generator.item_category[item as usize], behaviour, time }
    }

    /// The row of a user where rows are exposures, and what the policy knew of it.
    fn exposure(&mut self, user: u32) -> (Event, Shown) {
        let time = self.time();
        let group = self.generator.chosen_group(user, self.row, self.draw(Choice::Interest));
        let shown = self.show(user, group);
        let behaviour = self.outcome(shown);
        let place = self.place(user);
        let state = &mut self.users[place];
        if behaviour.is_taken() {
            let again = state.has(shown.item);
            state.remember(shown.item, again);
        }
        let category = self.generator.item_category[shown.item as usize];
        (Event { user, item: shown.item, category, behaviour, time }, shown)
    }

    fn draw(&self, choice: Choice) -> f64 {
        self.lanes[choice as usize].uniform(self.row)
    }

    fn below(&self, choice: Choice, n: u64) -> u64 {
        self.lanes[choice as usize].below(self.row, n)
    }

    /// The row's quantile of the day-night curve. The jitter stays inside the row's own share, so time never goes back.
    fn time(&mut self) -> i64 {
        let quantile = (self.row as f64 + self.draw(Choice::Time)) / self.generator.rows as f64;
        let starts = &self.generator.hour_start;
        while self.hour + 2 < starts.len() && quantile >= starts[self.hour + 1] {
            self.hour += 1;
        }
        let inside = (quantile - starts[self.hour]) / (starts[self.hour + 1] - starts[self.hour]);
        WINDOW_START + 3_600 * self.hour as i64 + ((3_600.0 * inside) as i64).clamp(0, 3_599)
    }

    /// Whose row it is: someone in a session, or someone by their activity who then has one.
    fn user(&mut self) -> u32 {
        if self.generator.session_rows <= 1.0 {
            return self.visitor();
        }
        let place = self.below(Choice::Open, self.open.len() as u64) as usize;
        let goes_on = self.draw(Choice::Session) >= 1.0 / self.generator.session_rows;
        let user = self.open[place].filter(|_| goes_on).unwrap_or_else(|| self.visitor());
        self.open[place] = Some(user);
        user
    }

    /// A user in proportion to their activity, of those who have come yet.
    fn visitor(&self) -> u32 {
        let (columns, alias) = (self.lanes[Choice::User as usize], self.lanes[Choice::UserAlias as usize]);
        let pick = |columns: Counter, alias: Counter| {
            let column = columns.below(self.row, self.generator.vocabulary.users.into()) as usize;
            self.generator.activity.pick(column, alias.bits(self.row))
        };
        let first = pick(columns, alias);
        if self.generator.newcomers == 0.0 {
            return first;
        }
        let passed = self.generator.passed(self.row);
        let has_come = |user: &u32| self.generator.user_arrival(*user) <= passed;
        let again = (1..ATTEMPTS).map(|attempt| pick(columns.lane(attempt), alias.lane(attempt)));
        std::iter::once(first).chain(again).find(has_come).unwrap_or(first)
    }

    /// An item of a category that has appeared yet, as a group chooses.
    fn item_of_category(&self, category: u32, group: u32) -> u32 {
        let generator = &self.generator;
        let (styles, items) = (self.lanes[Choice::Style as usize], self.lanes[Choice::Item as usize]);
        let pick = |styles: Counter, items: Counter| {
            generator.item_of_category(category, group, styles.uniform(self.row), items.uniform(self.row))
        };
        let first = pick(styles, items);
        if generator.new_items == 0.0 {
            return first;
        }
        let passed = generator.passed(self.row);
        let has_appeared = |item: &u32| generator.item_arrival(*item) <= passed;
        let again = (1..ATTEMPTS).map(|attempt| pick(styles.lane(attempt), items.lane(attempt)));
        std::iter::once(first).chain(again).find(has_appeared).unwrap_or(generator.category_start[category as usize])
    }

    fn item(&self, user: u32, group: u32) -> (u32, bool) {
        let state = &self.users[self.place(user)];
        let filled = u32::from(state.filled);
        if filled > 0 && self.draw(Choice::Mode) < REPEAT {
            let age = 1 + square_draw(filled, self.draw(Choice::Recent)) as usize;
            return (state.recent(age), true);
        }
        let generator = &self.generator;
        let category = if filled > 0 && self.draw(Choice::Continue) < CONTINUE {
            generator.item_category[state.last as usize]
        } else {
            let favourite = self.draw(Choice::Favourite);
            if favourite < FAVOURITE {
                generator.favourite(user, favourite / FAVOURITE)
            } else {
                generator.category_of_group(group, self.draw(Choice::Theme), self.draw(Choice::Category))
            }
        };
        (self.item_of_category(category, group), false)
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.row >= self.generator.rows {
            return None;
        }
        let user = self.user();
        let event = self.event(user);
        self.row += 1;
        Some(event)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.generator.rows - self.row).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

/// A user's activity from a standard normal: lognormal with one width below the median and another above it, both times a spread.
fn activity(spread: f64, normal: f64) -> f64 {
    let z = spread * normal.clamp(-ACTIVITY_CUT, ACTIVITY_CUT);
    let ratio = if z < 0.0 { MEDIAN_ACTIVITY / LOW_ACTIVITY } else { HIGH_ACTIVITY / MEDIAN_ACTIVITY };
    MEDIAN_ACTIVITY * libm::exp(z * libm::log(ratio) / NORMAL_P90)
}

/// Up to three different themes, popular ones more often.
fn distinct_themes(counter: Counter, themes: u32) -> [u32; MAIN_THEMES.len()] {
    let mut chosen = [0; MAIN_THEMES.len()];
    for k in 0..chosen.len() {
        let mut theme = square_draw(themes, counter.uniform(k as u64));
        // Where there are fewer themes than places the last ones repeat.
        for _ in 0..themes {
            if !chosen[..k].contains(&theme) {
                break;
            }
            theme = (theme + 1) % themes;
        }
        chosen[k] = theme;
    }
    chosen
}

/// An index below `n` by a power law of exponent 1/2, from a uniform number.
fn square_draw(n: u32, uniform: f64) -> u32 {
    ((f64::from(n) * uniform * uniform) as u32).min(n - 1)
}

impl ItemPopularity {
    /// The rank of an item among `n` by popularity, from a uniform number.
    fn draw(self, n: u32, uniform: f64) -> u32 {
        let quantile = match self {
            Self::Mild => uniform * uniform * uniform,
            Self::Taobao => TAOBAO_HEAD * uniform / (1.0 + TAOBAO_HEAD - uniform),
        };
        ((f64::from(n) * quantile) as u32).min(n - 1)
    }

    /// The probability of rank `i` under [`ItemPopularity::draw`].
    fn share(self, i: u32, n: u32) -> f64 {
        let before = |i: u32| {
            let quantile = f64::from(i) / f64::from(n);
            match self {
                Self::Mild => libm::cbrt(quantile),
                Self::Taobao => quantile * (1.0 + TAOBAO_HEAD) / (quantile + TAOBAO_HEAD),
            }
        };
        before(i + 1) - before(i)
    }
}

/// The probability of index `i` under [`square_draw`].
fn square_share(i: u32, n: u32) -> f64 {
    let before = |i: u32| libm::sqrt(f64::from(i) / f64::from(n));
    before(i + 1) - before(i)
}

/// Cuts `0..total` into `parts` runs of about the given weights, none of them empty: `[parts + 1]` starts.
fn boundaries(parts: u32, total: u32, weight: impl Fn(u32) -> f64) -> Vec<u32> {
    let sum: f64 = (0..parts).map(&weight).sum();
    let free = f64::from(total - parts);
    let mut starts = Vec::with_capacity(parts as usize + 1);
    let mut before = 0.0;
    for part in 0..parts {
        starts.push(part + ((free * before / sum) as u32).min(total - parts));
        before += weight(part);
    }
    starts.push(total);
    starts
}

/// The run that each index lies in: the inverse of [`boundaries`].
fn owners(starts: &[u32]) -> Vec<u32> {
    let mut owners = Vec::with_capacity(starts.last().copied().unwrap_or(0) as usize);
    for (owner, run) in starts.windows(2).enumerate() {
        owners.resize(run[1] as usize, owner as u32);
    }
    owners
}

fn hour_starts() -> Vec<f64> {
    let weights: Vec<u32> = DAYS.iter().flat_map(|day| HOURS.iter().map(move |hour| day * hour)).collect();
    let total = f64::from(weights.iter().sum::<u32>());
    let mut before = 0;
    let mut starts = vec![0.0];
    for weight in weights {
        before += weight;
        starts.push(f64::from(before) / total);
    }
    starts
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;
    use crate::config::Preset;
    use crate::data::WINDOW_END;

    fn stream(config: &Config) -> (Arc<Generator>, Vec<Event>) {
        let generator = Arc::new(Generator::new(config));
        let events = generator.clone().events().collect();
        (generator, events)
    }

    /// Shares of the last day's rows whose category and whose item the user had on an earlier day: the definition
    /// under which the real prefix gives 58.8 % and 15.9 %.
    fn last_day_repeats(events: &[Event]) -> (f64, f64) {
        let last = WINDOW_END - 86_400;
        let before = || events.iter().filter(|e| e.time < last);
        let categories: HashSet<_> = before().map(|e| (e.user, e.category)).collect();
        let items: HashSet<_> = before().map(|e| (e.user, e.item)).collect();
        let day: Vec<_> = events.iter().filter(|e| e.time >= last).collect();
        let share = |f: &dyn Fn(&Event) -> bool| day.iter().filter(|e| f(e)).count() as f64 / day.len() as f64;
        (share(&|e| categories.contains(&(e.user, e.category))), share(&|e| items.contains(&(e.user, e.item))))
    }

    fn same_category_as_before(events: &[Event]) -> f64 {
        let mut last = HashMap::new();
        let (mut same, mut all) = (0u32, 0u32);
        for e in events {
            if let Some(category) = last.insert(e.user, e.category) {
                same += u32::from(category == e.category);
                all += 1;
            }
        }
        f64::from(same) / f64::from(all)
    }

    fn near(name: &str, value: f64, target: f64, tolerance: f64) {
        eprintln!("{name}: {value:.4} (real {target})");
        assert!((value - target).abs() <= tolerance, "{name} is {value}, should be {target} within {tolerance}");
    }

    #[test]
    fn a_stream_of_the_prefix_size_has_the_figures_of_the_real_prefix() {
        let config = Config { users: 982, rows: 99_918, ..Config::preset(Preset::Paper) };
        let (_, events) = stream(&config);
        let mut rows = vec![0u32; 982];
        events.iter().for_each(|e| rows[e.user as usize] += 1);
        rows.sort_unstable();
        let quantile = |q: f64| f64::from(rows[(982.0 * q) as usize]);
        near("rows a user, p10", quantile(0.1), 19.0, 19.0 * 0.12);
        near("rows a user, p50", quantile(0.5), 73.5, 73.5 * 0.12);
        near("rows a user, p90", quantile(0.9), 219.9, 219.9 * 0.12);
        let items: HashSet<u32> = events.iter().map(|e| e.item).collect();
        near("distinct items", items.len() as f64, 64_418.0, 64_418.0 * 0.15);
        let (category, item) = last_day_repeats(&events);
        near("last day, category of an earlier day", category, 0.588, 0.04);
        near("last day, item of an earlier day", item, 0.159, 0.03);
        near("category of the row before", same_category_as_before(&events), 0.41, 0.04);
        let share = |b| events.iter().filter(|e| e.behaviour == b).count() as f64 / events.len() as f64;
        near("views", share(Behaviour::View), 0.897, 0.01);
        near("carts", share(Behaviour::Cart), 0.0545, 0.005);
        near("favourites", share(Behaviour::Favourite), 0.0275, 0.004);
        near("buys", share(Behaviour::Buy), 0.0210, 0.004);
        let categories: HashSet<_> = events.iter().map(|e| (e.user, e.category)).collect();
        eprintln!("categories a user: {:.1} (real 24.2)", categories.len() as f64 / 982.0);
    }

    #[test]
    fn rows_are_pure_in_time_order_inside_the_window_and_within_the_vocabulary() {
        for preset in [Preset::Browser, Preset::Paper] {
            let config = Config { users: 2_000, rows: 60_000, ..Config::preset(preset) };
            let (generator, events) = stream(&config);
            assert_eq!(events.len(), 60_000);
            assert_eq!(events, stream(&config).1);
            assert_ne!(events, stream(&Config { seed: 8, ..config.clone() }).1);
            assert!(events.windows(2).all(|pair| pair[0].time <= pair[1].time));
            assert!(events.first().is_some_and(|e| e.time >= WINDOW_START) && events.last().is_some_and(|e| e.time < WINDOW_END));
            let v = generator.vocabulary();
            assert!(events.iter().all(|e| e.user < v.users && e.item < v.items && e.category < v.categories));
            assert!(events.iter().all(|e| e.category == generator.category(e.item)));
        }
    }

    #[test]
    fn the_first_rows_are_these_on_every_target() {
        let (_, events) = stream(&Config { rows: 1_000, ..Config::default() });
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for e in &events {
            for value in [u64::from(e.user), u64::from(e.item), u64::from(e.category), e.behaviour as u64, e.time as u64] {
                hash = (hash ^ value).wrapping_mul(0x0100_0000_01b3);
            }
        }
        assert_eq!(hash, FIRST_ROWS, "the stream changed: every figure measured on it must be measured again");
    }

    const FIRST_ROWS: u64 = 0xec15_7a54_7201_2231;

    /// As the whole file: 24 rows an item. Of its 4,162,024 items 59 % have fewer than five clicks.
    #[test]
    fn items_are_as_unequal_as_those_of_the_whole_file_where_they_are_told_to_be() {
        let rare = |item_popularity: ItemPopularity| {
            let config = Config { users: 2_000, items: 8_400, rows: 201_600, item_popularity, ..Config::default() };
            let mut clicks = vec![0u32; 8_400];
            let events = stream(&config).1;
            events.iter().filter(|e| e.behaviour == Behaviour::View).for_each(|e| clicks[e.item as usize] += 1);
            let rare: Vec<u32> = clicks.iter().copied().filter(|&n| n < 5).collect();
            (rare.len() as f64 / 8_400.0, f64::from(rare.iter().sum::<u32>()) / f64::from(clicks.iter().sum::<u32>()))
        };
        let (items, clicks) = rare(ItemPopularity::Taobao);
        near("items with fewer than five clicks", items, 0.59, 0.06);
        near("their clicks", clicks, 0.049, 0.02);
        assert!(rare(ItemPopularity::Mild).0 < 0.5 * items);
    }

    #[test]
    fn the_smallest_sizes_work() {
        let config = Config { users: 2, items: 16, categories: 2, rows: 1_000, user_groups: 1, item_groups: 1, ..Config::default() };
        let (generator, events) = stream(&config);
        assert_eq!(events.len(), 1_000);
        assert_eq!(generator.planted_group(1), Some(0));
        assert_eq!(generator.planted_group(2), None);
    }

    /// Users of a group share themes and styles, and the low-active ones do so exactly as the others do.
    #[test]
    fn groups_show_in_themes_and_styles_of_active_and_inactive_users_alike() {
        let (generator, events) = stream(&Config::default());
        let groups = 16usize;
        let mut rows = vec![0u32; 2_000];
        events.iter().for_each(|e| rows[e.user as usize] += 1);
        let mut sorted = rows.clone();
        sorted.sort_unstable();
        let cut = sorted[640];
        let mut present = vec![0u32; groups];
        (0..2_000).for_each(|u| present[generator.planted_group(u).unwrap() as usize] += 1);
        assert!(present.iter().all(|&n| n > 30), "{present:?}");
        for low in [true, false] {
            let own: Vec<&Event> = events.iter().filter(|e| (rows[e.user as usize] < cut) == low).collect();
            let group = |e: &Event| generator.planted_group(e.user).unwrap();
            let share = |f: &dyn Fn(&Event) -> bool| own.iter().filter(|e| f(e)).count() as f64 / own.len() as f64;
            let main = share(&|e| generator.main_themes[group(e) as usize].contains(&generator.planted_item_group(e.item)));
            let style =
                share(&|e| generator.planted_style(e.item) == generator.liked_style(group(e), generator.planted_item_group(e.item)));
            eprintln!("low-active {low}: main themes {main:.3}, liked style {style:.3}");
            assert!((0.72..0.90).contains(&main), "main themes {main}");
            assert!((0.62..0.78).contains(&style), "liked style {style}");
            let other = share(&|e| {
                let stranger = (group(e) + 1) % groups as u32;
                generator.main_themes[stranger as usize].contains(&generator.planted_item_group(e.item))
            });
            assert!(other < main - 0.2, "another group's themes {other}");
        }
    }

    /// Seconds from each row of a user to the next one.
    fn gaps(events: &[Event]) -> Vec<i64> {
        let mut last = HashMap::new();
        events.iter().filter_map(|e| last.insert(e.user, e.time).map(|before| e.time - before)).collect()
    }

    #[test]
    fn a_user_of_several_interests_follows_the_main_one_most() {
        let config = Config { interests: 3, interest_share: 0.6, rows: 100_000, ..Config::default() };
        let (generator, events) = stream(&config);
        let mixture: Vec<(u32, f64)> = generator.mixture(5, 0).collect();
        assert_eq!((mixture.len(), mixture[0]), (3, (generator.planted_group(5).unwrap(), 0.6)));
        assert!((mixture.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-12);
        // The style says which group an item was chosen for; the share that is of the main one's taste falls with it.
        let in_style = |events: &[Event], generator: &Generator, which: usize| {
            let of = |e: &&Event| {
                let group = generator.mixture(e.user, 0).nth(which).map_or(0, |(group, _)| group);
                generator.planted_style(e.item) == generator.liked_style(group, generator.planted_item_group(e.item))
                    && generator.main_themes[group as usize].contains(&generator.planted_item_group(e.item))
            };
            events.iter().filter(of).count() as f64 / events.len() as f64
        };
        let (hard, hard_events) = stream(&Config { interests: 1, ..config });
        let (main, further, alone) = (in_style(&events, &generator, 0), in_style(&events, &generator, 1), in_style(&hard_events, &hard, 0));
        eprintln!("in main theme and style: main {main:.3}, further {further:.3}, alone {alone:.3}");
        assert!(main > further + 0.05 && alone > main + 0.1, "{main} {further} {alone}");
    }

    #[test]
    fn main_groups_drift_from_day_to_day_and_rows_follow_them() {
        let config = Config { drift: 0.1, rows: 100_000, ..Config::default() };
        let (generator, events) = stream(&config);
        let changed = |day: u64| {
            let row = day * config.rows / 9 + 1;
            let is_other = |user: &u32| Some(generator.main_group(*user, row)) != generator.planted_group(*user);
            (0..config.users).filter(is_other).count() as f64 / f64::from(config.users)
        };
        for day in 0..9 {
            // One in sixteen is drawn again as it was.
            let expected = (1.0 - 0.9f64.powi(day)) * 15.0 / 16.0;
            assert!((changed(day as u64) - expected).abs() < 0.03, "day {day}: {}, not {expected}", changed(day as u64));
        }
        assert_eq!(generator.planted_group_at(3, u64::MAX), Some(generator.main_group(3, config.rows - 1)));
        let last = &events[90_000..];
        let moved: Vec<&Event> =
            last.iter().filter(|e| Some(generator.main_group(e.user, 95_000)) != generator.planted_group(e.user)).collect();
        let share = |group: &dyn Fn(u32) -> u32| {
            let of = |e: &&&Event| generator.main_themes[group(e.user) as usize].contains(&generator.planted_item_group(e.item));
            moved.iter().filter(of).count() as f64 / moved.len() as f64
        };
        let (now, then) = (share(&|user| generator.main_group(user, 95_000)), share(&|user| generator.planted_group(user).unwrap()));
        assert!(now > then + 0.1, "themes of the group now {now}, of the group then {then}");
    }

    #[test]
    fn new_items_come_every_day() {
        let config = Config { new_items: 0.4, rows: 100_000, ..Config::default() };
        let (generator, events) = stream(&config);
        let late = (0..config.items).filter(|&item| generator.item_arrival(item) > 0.0).count() as f64 / f64::from(config.items);
        assert!((0.3..0.4).contains(&late), "{late}: the first items of each category are always there");
        let unseen = |events: &[Event]| {
            let seen: HashSet<u32> = events[..80_000].iter().map(|e| e.item).collect();
            events[80_000..].iter().filter(|e| !seen.contains(&e.item)).count() as f64 / 20_000.0
        };
        let (_, still) = stream(&Config { new_items: 0.0, ..config.clone() });
        assert!(unseen(&events) > unseen(&still) + 0.02, "{} {}", unseen(&events), unseen(&still));
        let mut first_rows = HashMap::new();
        events.iter().enumerate().for_each(|(row, e)| {
            first_rows.entry(e.item).or_insert(row);
        });
        for day in 1..9 {
            let rows = day * 100_000 / 9..(day + 1) * 100_000 / 9;
            let new = |item: &u32| generator.item_arrival(*item) > 0.0 && rows.contains(&first_rows[item]);
            assert!(first_rows.keys().filter(|item| new(item)).count() > 100, "day {day}");
        }
    }

    #[test]
    fn rows_of_a_session_follow_each_other_within_minutes() {
        let config = Config { session_rows: 6.0, rows: 100_000, ..Config::default() };
        let (_, events) = stream(&config);
        assert!(events.windows(2).all(|pair| pair[0].time <= pair[1].time));
        let within = |events: &[Event]| {
            let gaps = gaps(events);
            gaps.iter().filter(|gap| **gap < 1_800).count() as f64 / gaps.len() as f64
        };
        // Of six rows in a session five follow another one of it; 84 % of the real rows do within half an hour.
        let (_, apart) = stream(&Config { session_rows: 1.0, ..config.clone() });
        let (together, alone) = (within(&events), within(&apart));
        eprintln!("rows within half an hour of the user's last: {together:.3}, without sessions {alone:.3} (real .839)");
        assert!((0.78..0.90).contains(&together) && alone < 0.3, "{together} {alone}");
        let mut pauses: Vec<i64> = gaps(&events).into_iter().filter(|gap| *gap < 1_800).collect();
        pauses.sort_unstable();
        assert!((20..120).contains(&pauses[pauses.len() / 2]), "median pause {}", pauses[pauses.len() / 2]);
        // Users are as active as they were.
        let rows = |events: &[Event]| {
            let mut rows = vec![0u32; 2_000];
            events.iter().for_each(|e| rows[e.user as usize] += 1);
            rows.sort_unstable();
            rows[1_000]
        };
        assert!((f64::from(rows(&events)) / f64::from(rows(&apart)) - 1.0).abs() < 0.15);
    }

    #[test]
    fn newcomers_have_no_row_before_they_come() {
        let config = Config { newcomers: 0.5, rows: 100_000, ..Config::default() };
        let (generator, events) = stream(&config);
        let late = (0..2_000).filter(|&user| generator.user_arrival(user) > 0.0).count();
        assert!((940..1_060).contains(&late), "{late}");
        assert!(events.iter().enumerate().all(|(row, e)| generator.user_arrival(e.user) <= generator.passed(row as u64)));
        let users = |events: &[Event]| events.iter().map(|e| e.user).collect::<HashSet<_>>().len();
        assert!(users(&events[..11_000]) < 1_250 && users(&events[89_000..]) > 1_700);
    }

    #[test]
    fn the_spread_of_activity_goes_from_none_to_the_real_files() {
        let ratio = |activity_spread: f64| {
            let mut rows = vec![0u32; 2_000];
            stream(&Config { activity_spread, ..Config::default() }).1.iter().for_each(|e| rows[e.user as usize] += 1);
            rows.sort_unstable();
            f64::from(rows[1_800]) / f64::from(rows[200])
        };
        let (none, half, all) = (ratio(0.0), ratio(0.5), ratio(1.0));
        assert!(none < 1.4 && half > 2.5 && half < 5.0 && all > 9.0, "{none} {half} {all}");
    }

    #[test]
    fn profiles_tell_of_the_group_and_are_emptier_the_less_active_a_user_is() {
        let config = Config { profile_fields: 8, profile_missing: 0.7, ..Config::default() };
        let (generator, events) = stream(&config);
        let mut rows = vec![0u32; 2_000];
        events.iter().for_each(|e| rows[e.user as usize] += 1);
        let mut order: Vec<u32> = (0..2_000).collect();
        order.sort_by_key(|&user| rows[user as usize]);
        let known = |users: &[u32]| {
            let of = |&user: &u32| (0..8).filter(|&field| generator.profile(user, field).is_some()).count();
            users.iter().map(of).sum::<usize>() as f64 / (8.0 * users.len() as f64)
        };
        // The mean rank of the first tenth is .05, so 66 % are missing; of the last tenth 4 %.
        near("known fields of the least active tenth", known(&order[..200]), 0.335, 0.04);
        near("known fields of the most active tenth", known(&order[1_800..]), 0.965, 0.02);
        let values: Vec<u32> = (0..2_000).filter_map(|user| generator.profile(user, 3)).collect();
        assert!(values.iter().all(|&value| value < crate::data::PROFILE_VALUES));
        // Half of the values are the group's own, an eighth of the others by chance.
        let mut by_group: HashMap<u32, [u32; 8]> = HashMap::new();
        for user in 0..2_000 {
            if let Some(value) = generator.profile(user, 3) {
                by_group.entry(generator.planted_group(user).unwrap()).or_default()[value as usize] += 1;
            }
        }
        let most: u32 = by_group.values().map(|counts| counts.iter().max().unwrap()).sum();
        near("values that are their group's most frequent", f64::from(most) / values.len() as f64, 0.5625, 0.05);
        assert_eq!((generator.profile(7, 8), generator.profile_fields()), (None, 8));
        assert_eq!(Generator::new(&Config::default()).profile(7, 0), None);
    }

    /// Of the paper's users: Table 2's ratios of low-active to high-active users, and their share of the test.
    #[test]
    fn the_calibrated_preset_is_like_the_papers_users() {
        use crate::data::protocol::Dataset;
        for seed in [0, 1, 2] {
            let config = Config { seed, ..Config::preset(Preset::Calibrated) };
            let dataset = Dataset::open(Arc::new(Generator::new(&config)), &config).unwrap();
            let (low, high) = (dataset.interest().low, dataset.interest().high);
            near("behaviours, low over high", low.behaviours / high.behaviours, 0.41, 0.02);
            near("known profile fields, low over high", low.profile / high.profile, 0.54, 0.03);
            let mut replay = dataset.replay();
            let rows: Vec<bool> =
                std::iter::from_fn(|| replay.next_test()).flat_map(|batch| batch.low_active[..batch.valid].to_vec()).collect();
            near("low-active share of the test", rows.iter().filter(|low| **low).count() as f64 / rows.len() as f64, 0.3, 0.02);
        }
    }

    /// Of the real rows: at the excerpt's size its repeats, unseen items and persistence. The excerpt is of 655 users, and of a part of
    /// the catalogue that nobody has counted: as large as its distinct items say.
    #[test]
    fn the_calibrated_preset_is_like_the_real_rows() {
        let groups = Config { user_groups: 256, item_groups: 400, ..Config::preset(Preset::Calibrated) };
        for seed in [0, 1, 2] {
            let config = Config { seed, users: 655, rows: 66_136, items: 1_000_000, categories: 9_439, ..groups.clone() };
            let (_, events) = stream(&config);
            let (train, test) = events.split_at(52_908);
            let seen: HashSet<u32> = train.iter().map(|e| e.item).collect();
            let mut had: HashSet<(u32, u32)> = train.iter().map(|e| (e.user, e.item)).collect();
            let share = |n: usize| n as f64 / test.len() as f64;
            near("distinct items", events.iter().map(|e| e.item).collect::<HashSet<_>>().len() as f64, 44_477.0, 44_477.0 * 0.1);
            near("test rows of items unseen in training", share(test.iter().filter(|e| !seen.contains(&e.item)).count()), 0.724, 0.03);
            near("test rows that are repeats", share(test.iter().filter(|e| !had.insert((e.user, e.item))).count()), 0.274, 0.03);
            near("category of the row before", same_category_as_before(&events), 0.407, 0.03);
            let gaps = gaps(&events);
            let within = gaps.iter().filter(|gap| **gap < 1_800).count() as f64 / gaps.len() as f64;
            near("rows within half an hour of the user's last", within, 0.839, 0.03);
        }
    }

    #[test]
    fn strong_behaviour_prefers_the_liked_style() {
        let (generator, events) = stream(&Config::default());
        let strong = |liked: bool| {
            let of: Vec<_> = events
                .iter()
                .filter(|e| {
                    let group = generator.planted_group(e.user).unwrap();
                    (generator.planted_style(e.item) == generator.liked_style(group, generator.planted_item_group(e.item))) == liked
                })
                .collect();
            of.iter().filter(|e| e.behaviour.is_strong()).count() as f64 / of.len() as f64
        };
        assert!(strong(true) > 1.8 * strong(false), "{} {}", strong(true), strong(false));
    }
}
