//! What a run may change under way. A branch goes on from a checkpoint with other values of these settings, as if the run before had
//! taken them from that step on.

use super::{CentreStep, Config};

/// Settings that act from the step on at which they change. Not among them is what changes rows, negatives, the order of batches or who
/// clusters; the shape of a tensor; what is scored on the way; and what acts once, at the start or at the first fill.
pub const UNDER_WAY: [&str; 22] = [
    "learning_rate",
    "positive_weight",
    "rho",
    "lambda",
    "eta",
    "similarity",
    "centred",
    "centre_step",
    "sigma_in_graph",
    "commit",
    "centres_from_main",
    "refresh_every",
    "reseed",
    "reseed_expect",
    "reseed_until",
    "mean_rate",
    "stop_rule",
    "enhancement_dropout",
    "enhancement_centred",
    "contrastive_weight",
    "transfer_weight",
    "evaluate_every",
];

impl Config {
    /// The settings that keep a run of this configuration from going on under `next`; none where it can.
    pub fn keeps_from(&self, next: &Self) -> Vec<String> {
        let differs = next.unlike(self).into_iter().map(|(key, _)| key);
        differs.filter(|key| !UNDER_WAY.contains(&key.as_str()) || self.lacks_state(key, next)).collect()
    }

    /// Whether a setting of `next` needs what a run of this configuration has not learned: moments of the memories under Adam, running
    /// means of the enhancement vectors.
    fn lacks_state(&self, key: &str, next: &Self) -> bool {
        let has_means = |config: &Self| config.centred || config.enhancement_centred;
        match key {
            "centre_step" => next.centre_step == CentreStep::Adam,
            "centred" | "enhancement_centred" => has_means(next) && !has_means(self),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fields::keys;

    #[test]
    fn only_what_acts_from_a_step_on_may_change_under_way() {
        assert!(UNDER_WAY.iter().all(|key| keys().any(|known| known == *key)));
        let before = Config::default();
        let with =
            |pairs: &[(&str, &str)]| pairs.iter().fold(before.clone(), |config, (key, value)| config.with(key, value).unwrap().unwrap());
        assert!(before.keeps_from(&before).is_empty());
        assert!(before.keeps_from(&with(&[("learning_rate", "0.01"), ("similarity", "dot"), ("centred", "false")])).is_empty());
        assert_eq!(before.keeps_from(&with(&[("seed", "8"), ("rho", "0.1"), ("history", "5")])), ["seed", "history"]);
    }

    #[test]
    fn what_needs_state_that_was_never_learned_may_only_be_left() {
        let with = |key: &str, value: &str| Config::default().with(key, value).unwrap().unwrap();
        let (mean, adam) = (Config::default(), with("centre_step", "adam"));
        assert_eq!(mean.keeps_from(&adam), ["centre_step"]);
        assert!(adam.keeps_from(&mean).is_empty() && mean.keeps_from(&with("centre_step", "sgd")).is_empty());
        let bare = Config { centred: false, enhancement_centred: false, ..Config::default() };
        assert_eq!(bare.keeps_from(&Config::default()), ["centred", "enhancement_centred"]);
        assert!(Config::default().keeps_from(&bare).is_empty());
    }
}
