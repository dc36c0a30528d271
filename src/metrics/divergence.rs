//! When a model is beyond repair. Training must stop there and say so: elsewhere people watched an AUC of exactly 0.5 for
//! half a day before they looked at the losses.

use std::fmt;

use super::Losses;
use crate::config::Config;

/// A loss above this is no longer training. Cross entropies start near `ln 2` a task, and squared distances between user
/// vectors and centres stay below some hundreds, at whatever size; a model that ran away passes a million within a few steps.
pub const LARGEST_LOSS: f32 = 1e6;

/// How a model diverged.
#[derive(Clone, Debug, PartialEq)]
pub enum Divergence {
    /// A loss, by its name in files, is not a finite number.
    NotFinite(String),
    /// A loss, by its name in files, is above [`LARGEST_LOSS`].
    TooLarge(String, f32),
    /// Every test row has the same score, so that every AUC is exactly 0.5.
    OneScore,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite(name) => write!(f, "{name} is no longer a number"),
            Self::TooLarge(name, value) => write!(f, "{name} is {value:.1e}"),
            Self::OneScore => f.write_str("it gives every test row the same score, so its AUC is exactly 0.5"),
        }
    }
}

/// Whether a model's losses show that it diverged.
pub fn in_losses(losses: &Losses) -> Option<Divergence> {
    losses.named().find_map(|(name, loss)| match loss {
        loss if !loss.is_finite() => Some(Divergence::NotFinite(name.into())),
        loss if loss > LARGEST_LOSS => Some(Divergence::TooLarge(name.into(), loss)),
        _ => None,
    })
}

/// Whether a model's scores of test rows show that it diverged. A single row tells nothing.
pub fn in_scores(scores: &[f32]) -> Option<Divergence> {
    let (first, others) = scores.split_first()?;
    (!others.is_empty() && others.iter().all(|score| score == first)).then_some(Divergence::OneScore)
}

/// What to lower: the settings that make steps large and are above their preset's value, or else the learning rate.
pub fn what_to_lower(config: &Config) -> String {
    let preset = Config::preset(config.preset);
    let settings = |of: &Config| {
        [
            ("learning_rate", of.learning_rate),
            ("embedding_std", of.embedding_std),
            ("enhancement_scale", of.enhancement_scale),
            ("commit", of.commit),
            ("rho", of.rho),
            ("lambda", of.lambda),
            ("eta", of.eta),
        ]
    };
    let raised: Vec<String> = std::iter::zip(settings(config), settings(&preset))
        .filter(|((_, now), (_, usual))| now > usual)
        .map(|((name, now), (_, usual))| format!("{name} (it is {now}; the preset has {usual})"))
        .collect();
    match raised.split_last() {
        None => format!("Lower learning_rate (it is {}).", config.learning_rate),
        Some((only, [])) => format!("Lower {only}."),
        Some((last, others)) => format!("Lower {} and {last}.", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_a_run_that_learns_pass_and_those_of_one_that_ran_away_do_not() {
        let healthy = [("loss_mtl", 2.8), ("loss_auxiliary", 0.7), ("loss_uie_l1", 310.0)];
        let with = |name: &'static str, value: f32| -> Losses { healthy.into_iter().chain([(name, value)]).collect() };
        assert_eq!(in_losses(&healthy.into_iter().collect()), None);
        assert_eq!(in_losses(&with("loss_upbe_l1", 3e8)), Some(Divergence::TooLarge("loss_upbe_l1".into(), 3e8)));
        assert_eq!(in_losses(&with("loss_upbe_l1", f32::NAN)), Some(Divergence::NotFinite("loss_upbe_l1".into())));
        assert_eq!(in_losses(&with("loss_uie_l2", f32::INFINITY)), Some(Divergence::NotFinite("loss_uie_l2".into())));
        assert_eq!(Divergence::TooLarge("loss_auxiliary".into(), 3e8).to_string(), "loss_auxiliary is 3.0e8");
    }

    #[test]
    fn a_model_with_one_score_for_all_is_dead_and_one_with_two_is_not() {
        assert_eq!(in_scores(&[0.25; 9]), Some(Divergence::OneScore));
        assert_eq!(in_scores(&[0.25, 0.25, 0.3]), None);
        assert_eq!(in_scores(&[0.25]), None);
        assert_eq!(in_scores(&[]), None);
    }

    #[test]
    fn advice_names_what_was_raised_and_its_usual_value() {
        let usual = Config::default();
        assert_eq!(what_to_lower(&usual), "Lower learning_rate (it is 0.003).");
        let wild = Config { learning_rate: 1.0, embedding_std: 10.0, ..usual.clone() };
        assert_eq!(
            what_to_lower(&wild),
            "Lower learning_rate (it is 1; the preset has 0.003) and embedding_std (it is 10; the preset has 0.1)."
        );
        assert_eq!(what_to_lower(&Config { rho: 0.5, learning_rate: 1e-4, ..usual }), "Lower rho (it is 0.5; the preset has 0.05).");
    }
}
