//! What users told of themselves: fields with values, some of which are missing.

use crate::config::Config;
use crate::counter::{Counter, Stream};
use crate::data::PROFILE_VALUES;

/// Share of the known values that the user's group has for the field; the rest is any value. So one field tells little of the
/// group, and all of them together a good part.
const TELLING: f64 = 0.5;

/// The profiles of all users. A value is a function of (seed, user, field); what is kept is how active each user is.
pub(super) struct Profile {
    counter: Counter,
    fields: u32,
    /// Share of the fields that the least active user has not given.
    missing: f64,
    /// `[users]`: rank by expected rows, 0 the least active, 1 the most; empty without fields.
    rank: Vec<f32>,
}

impl Profile {
    /// Profiles of users with these activities.
    pub(super) fn new(config: &Config, activity: &[f64]) -> Self {
        let counter = Counter::new(config.seed, Stream::Users).lane(9);
        let (fields, missing) = (config.profile_fields, config.profile_missing);
        if fields == 0 {
            return Self { counter, fields, missing, rank: Vec::new() };
        }
        let arrival =
            |user: u32| super::Generator::arrival(config.newcomers, Counter::new(config.seed, Stream::Users).lane(6).uniform(user.into()));
        // The rows that a user can be expected to have before the test.
        let expected: Vec<f64> =
            (0..).zip(activity).map(|(user, activity)| activity * (config.train_share - arrival(user)).max(0.0)).collect();
        let mut order: Vec<u32> = (0..activity.len() as u32).collect();
        order.sort_by(|&a, &b| expected[a as usize].total_cmp(&expected[b as usize]));
        let mut rank = vec![0.0; activity.len()];
        order.iter().enumerate().for_each(|(place, &user)| rank[user as usize] = (place as f64 / (order.len().max(2) - 1) as f64) as f32);
        Self { counter, fields, missing, rank }
    }

    /// Fields of a profile.
    pub(super) fn fields(&self) -> u32 {
        self.fields
    }

    /// The value of a field, below [`PROFILE_VALUES`]; none where it is missing or where there is no such field. `group` is the
    /// user's main group at the start.
    pub(super) fn value(&self, user: u32, group: u32, field: u32) -> Option<u32> {
        if field >= self.fields {
            return None;
        }
        let index = u64::from(user) * u64::from(self.fields) + u64::from(field);
        let missing = self.missing * (1.0 - f64::from(self.rank[user as usize]));
        if self.counter.uniform(index) < missing {
            return None;
        }
        let tells = self.counter.lane(1).uniform(index) < TELLING;
        let of_group = self.counter.lane(2).below(u64::from(group) * u64::from(self.fields) + u64::from(field), PROFILE_VALUES.into());
        let any = self.counter.lane(3).below(index, PROFILE_VALUES.into());
        Some(if tells { of_group } else { any } as u32)
    }
}
