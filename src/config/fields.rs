//! What each field of the configuration may be: one table for files, for the command line, for links, and for what is said where
//! a value does not fit.

use std::fmt;

use super::{Config, ConfigError, VERSION, Widths};
use crate::variants::{Variant, Variants};

/// The values that a field may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Allowed {
    /// A whole number from the first to the second.
    Whole(u64, u64),
    /// An even one.
    Even(u64, u64),
    /// A number from the first to the second.
    Number(f64, f64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// Hidden widths.
    Layers,
    /// Models by their keys.
    Models,
}

use Allowed::{Even, Layers, Models, Number, OneOf, Switch, Whole};

/// Every field in the order of [`Config`].
const FIELDS: &[(&str, Allowed)] = &[
    ("version", Whole(VERSION as u64, VERSION as u64)),
    ("preset", OneOf(&["browser", "long", "calibrated", "paper"])),
    ("seed", Whole(0, u64::MAX)),
    ("variants", Models),
    ("users", Whole(2, 100_000_000)),
    ("items", Whole(16, 1_000_000_000)),
    ("categories", Whole(2, 1_000_000_000)),
    ("rows", Whole(1_000, 10_000_000_000)),
    ("user_groups", Whole(1, 100_000_000)),
    ("item_groups", Whole(1, 1_000_000_000)),
    ("item_popularity", OneOf(&["mild", "taobao"])),
    ("interests", Whole(1, 16)),
    ("interest_share", Number(0.0, 1.0)),
    ("drift", Number(0.0, 1.0)),
    ("new_items", Number(0.0, 0.95)),
    ("session_rows", Number(1.0, 1_000.0)),
    ("newcomers", Number(0.0, 0.95)),
    ("activity_spread", Number(0.0, 1.5)),
    ("profile_fields", Whole(0, 32)),
    ("item_fields", Whole(0, 32)),
    ("profile_missing", Number(0.0, 1.0)),
    ("train_share", Number(0.05, 0.99)),
    ("validation_share", Number(0.0, 0.5)),
    ("most_passes", Whole(0, 1_000)),
    ("passes", Whole(1, 1_000)),
    ("history", Whole(1, 50)),
    ("encoder", OneOf(&["attention", "unit"])),
    ("negatives", OneOf(&["uniform", "popular", "time-matched", "none"])),
    ("low_active_share", Number(0.01, 0.99)),
    ("batch", Even(8, 65_536)),
    ("learning_rate", Number(1e-7, 1.0)),
    ("embedding", Whole(2, 512)),
    ("embedding_std", Number(1e-6, 10.0)),
    ("specific_experts", Whole(1, 16)),
    ("shared_experts", Whole(1, 16)),
    ("expert_1", Layers),
    ("expert_2", Layers),
    ("tower", Layers),
    ("auxiliary", Layers),
    ("item_count", Switch),
    ("positive_weight", OneOf(&["merge-score", "constant"])),
    ("centres", Whole(2, 65_536)),
    ("children", Whole(2, 64)),
    ("item_centres", Whole(2, 65_536)),
    ("item_children", Whole(2, 64)),
    ("rho", Number(0.0, 0.5)),
    ("lambda", Number(0.0, 0.5)),
    ("eta", Number(0.0, 0.5)),
    ("memory_start", OneOf(&["touch", "zero"])),
    ("similarity", OneOf(&["cosine", "dot"])),
    ("centred", Switch),
    ("centre_step", OneOf(&["mean", "adam", "sgd"])),
    ("centre_start", OneOf(&["data", "random"])),
    ("sigma_in_graph", Switch),
    ("commit", Number(0.0, 10.0)),
    ("centres_from_main", Switch),
    ("refresh_every", Whole(0, 1_000_000_000)),
    ("warm_up", Whole(0, u64::MAX)),
    ("reseed", Switch),
    ("reseed_expect", Number(1.0, 10_000.0)),
    ("reseed_until", Number(0.0, 1.0)),
    ("mean_rate", Number(0.0001, 1.0)),
    ("cluster_share", Number(0.001, 1.0)),
    ("stop_rule", OneOf(&["either", "per-level"])),
    ("enhancement_scale", Number(0.0, 10.0)),
    ("enhancement_dropout", Number(0.0, 0.95)),
    ("enhancement_norm", Switch),
    ("enhancement_centred", Switch),
    ("consumers", Whole(1, 64)),
    ("contrastive_weight", Number(0.0, 10.0)),
    ("transfer_weight", Number(0.0, 10.0)),
    ("evaluate_every", Whole(1, 1_000_000)),
    ("probe_set", Whole(16, 1_000_000)),
    ("streaming_test", Switch),
];

/// Keys of earlier files, flags and links, each with its present name.
const RENAMED: [(&str, &str); 3] =
    [("withheld_share", "enhancement_dropout"), ("lent_centred", "enhancement_centred"), ("panel", "probe_set")];

/// Fields that are at most another one: the second bounds the first. A bound that is itself bounded comes first.
pub(super) const BOUNDS: [(&str, &str); 3] = [("categories", "items"), ("user_groups", "users"), ("item_groups", "categories")];

/// The fields by their keys.
pub(super) fn keys<'a>() -> impl Iterator<Item = &'a str> {
    FIELDS.iter().map(|(key, _)| *key)
}

/// What a field may be, where there is one of that name.
pub(super) fn allowed(key: &str) -> Option<Allowed> {
    FIELDS.iter().find(|(name, _)| *name == key).map(|(_, allowed)| *allowed)
}

impl Allowed {
    /// Refuses a value, as text, that the field may not have.
    ///
    /// # Errors
    /// [`ConfigError`] with the field, the value and what is allowed.
    pub(super) fn check(self, key: &str, value: &str) -> Result<(), ConfigError> {
        let whole = |low: u64, high: u64| value.parse().is_ok_and(|number: u64| (low..=high).contains(&number));
        let fits = match self {
            Whole(low, high) => whole(low, high),
            Even(low, high) => whole(low, high) && value.parse().is_ok_and(|number: u64| number.is_multiple_of(2)),
            // NaN is in no range.
            Number(low, high) => value.parse().is_ok_and(|number: f64| (low..=high).contains(&number)),
            OneOf(words) => words.contains(&value),
            Switch => matches!(value, "true" | "false"),
            Layers => value.parse::<Widths>().is_ok(),
            Models => Variants::try_from(value.to_string()).is_ok(),
        };
        if fits { Ok(()) } else { Err(ConfigError::new(key, value, self.for_a_person(value))) }
    }

    /// What is allowed, in words, with what `value` may have meant.
    fn for_a_person(self, value: &str) -> String {
        let meant = |words: &[&'static str], of: &str| match nearest(of, words.iter().copied()) {
            Some(word) => format!(" (did you mean {word}?)"),
            None => String::new(),
        };
        match self {
            OneOf(words) => format!("{self}{}", meant(words, value)),
            Models => {
                let models = Variant::ALL.map(Variant::key);
                let stranger = value.split(',').find(|key| !models.contains(key));
                match stranger {
                    Some(stranger) => format!("{self}; `{}` is not a model{}", super::shortened(stranger), meant(&models, stranger)),
                    None => self.to_string(),
                }
            }
            Whole(..) | Even(..) | Number(..) | Switch | Layers => self.to_string(),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whole(low, high) if low == high => write!(f, "{low}"),
            Whole(low, high) => write!(f, "a whole number from {low} to {high}"),
            Even(low, high) => write!(f, "an even number from {low} to {high}, because each positive comes with its negative"),
            Number(low, high) => write!(f, "a number from {low} to {high}"),
            OneOf(words) => f.write_str(&alternatives(words)),
            Switch => f.write_str("true or false"),
            Layers => f.write_str("one to eight layer widths from 1 to 4096, like 256x128"),
            Models => write!(f, "models by their keys, each once, with commas between: {}", Variant::ALL.map(Variant::key).join(", ")),
        }
    }
}

/// `a, b or c`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_string(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

/// The word that `typed` most likely stands for, if any is near enough.
pub(super) fn nearest<'a>(typed: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Longer than any key with its typing errors; the distance to a whole novel would take a while.
    const LONGEST: usize = 40;
    if typed.len() > LONGEST {
        return None;
    }
    let typed = typed.to_lowercase().replace(['-', ' '], "_");
    let distance = |word: &str| strsim::osa_distance(&typed, &word.replace('-', "_"));
    let near = |word: &&str| distance(word) <= 1 + word.len() / 5;
    words.filter(near).min_by_key(|word| distance(word))
}

impl Config {
    /// The field whose key `typed` most likely stands for, if any is near enough.
    pub fn key_like(typed: &str) -> Option<&'static str> {
        nearest(typed, keys())
    }

    /// The present name of a key that was renamed.
    pub fn renamed(key: &str) -> Option<&'static str> {
        RENAMED.iter().find(|(old, _)| *old == key).map(|(_, now)| *now)
    }

    /// The fields as text, in order.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        serde_urlencoded::to_string(self).ok().and_then(|text| serde_urlencoded::from_str(&text).ok()).unwrap_or_default()
    }

    /// A field of whole numbers by its key; 0 where there is none.
    pub(super) fn whole(&self, key: &str) -> u64 {
        self.pairs().iter().find(|(name, _)| name == key).and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
    }

    /// This configuration with what a model's row of the registry sets for itself.
    pub fn of(&self, variant: Variant) -> Self {
        let set = |config: Self, (key, value): &(&str, &str)| config.with(key, value).ok().flatten().unwrap_or(config);
        variant.row().settings.iter().fold(self.clone(), set)
    }

    /// Checks every field and the relations between them.
    ///
    /// # Errors
    /// [`ConfigError`] names the field, its value and what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (key, value) in self.pairs() {
            if let Some(allowed) = allowed(&key) {
                allowed.check(&key, &value)?;
            }
        }
        BOUNDS.iter().try_for_each(|(key, bound)| self.within_bound(key, bound))
    }

    fn within_bound(&self, key: &str, bound: &str) -> Result<(), ConfigError> {
        let (value, most) = (self.whole(key), self.whole(bound));
        if value <= most {
            return Ok(());
        }
        Err(ConfigError::new(key, value, format!("{most} or less, because {bound} = {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    #[test]
    fn the_table_names_every_field_in_order_and_allows_what_the_presets_have() {
        for preset in [Preset::Browser, Preset::Long, Preset::Calibrated, Preset::Paper] {
            let pairs = Config::preset(preset).pairs();
            assert!(pairs.iter().map(|(key, _)| key.as_str()).eq(keys()));
            pairs.iter().for_each(|(key, value)| allowed(key).unwrap().check(key, value).unwrap());
        }
    }

    #[test]
    fn every_word_and_every_limit_of_the_table_is_one_that_the_field_reads() {
        for &(key, allowed) in FIELDS {
            let values = match allowed {
                Whole(low, high) | Even(low, high) => vec![low.to_string(), high.to_string()],
                Number(low, high) => vec![low.to_string(), high.to_string()],
                OneOf(words) => words.iter().map(ToString::to_string).collect(),
                Switch => vec!["true".into(), "false".into()],
                Layers => vec!["4096x1".into()],
                Models => vec![Variant::ALL.map(Variant::key).join(",")],
            };
            for value in values {
                let read = Config::default().with(key, &value).unwrap().unwrap();
                let text = read.pairs().into_iter().find(|(name, _)| name == key).unwrap().1;
                assert!(text == value || text.parse::<f64>() == value.parse(), "{key} = {value} became {text}");
            }
        }
    }

    /// `serde` reads the old names of whole files by the aliases in [`Config`].
    #[test]
    fn renamed_keys_are_still_read_from_a_whole_file() {
        let config = Config { enhancement_dropout: 0.25, enhancement_centred: false, probe_set: 64, ..Config::default() };
        let mut file = serde_json::to_string(&config).unwrap();
        for (old, now) in RENAMED {
            assert!(allowed(old).is_none() && file.contains(&format!("\"{now}\"")), "{old}");
            file = file.replace(&format!("\"{now}\""), &format!("\"{old}\""));
        }
        assert_eq!(serde_json::from_str::<Config>(&file).unwrap(), config);
    }

    #[test]
    fn what_a_row_of_the_registry_sets_is_set() {
        for variant in Variant::ALL {
            let own = Config::default().of(variant);
            own.validate().unwrap();
            for (key, value) in variant.row().settings {
                assert!(own.pairs().contains(&((*key).into(), (*value).into())), "{variant:?}: {key} = {value}");
                assert!(!Config::default().pairs().contains(&((*key).into(), (*value).into())), "{variant:?}: {key} is {value} anyway");
            }
        }
    }

    #[test]
    fn what_is_allowed_is_said_in_words_and_a_slip_of_the_pen_is_found() {
        let said = |key: &str, value: &str| allowed(key).unwrap().check(key, value).unwrap_err().to_string();
        assert_eq!(said("rho", "much"), "rho = much cannot be used: it must be a number from 0 to 0.5");
        assert_eq!(said("similarity", "dott"), "similarity = dott cannot be used: it must be cosine or dot (did you mean dot?)");
        assert_eq!(said("reseed", "yes"), "reseed = yes cannot be used: it must be true or false");
        assert!(said("variants", "ple,duai").ends_with("; `duai` is not a model (did you mean duia?)"));
        assert!(said("variants", "ple,ple").contains("each once"));
        assert_eq!(nearest("learning-rate", keys()), Some("learning_rate"));
        assert_eq!(nearest("centers", keys()), Some("centres"));
        assert_eq!(nearest("lr", keys()), None);
        assert_eq!(nearest(&"users".repeat(100), keys()), None);
    }
}
