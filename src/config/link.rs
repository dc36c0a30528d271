//! The configuration as a link: `#key=value&…`, written with what differs from its preset, and read so that one slip of the pen
//! costs one key and never the link.

use std::collections::HashMap;
use std::fmt;

use super::fields::{self, BOUNDS};
use super::{Config, ConfigError, Preset, VERSION, shortened};

/// Unknown keys that are named one by one; of more than these only the number is said.
const NAMED_STRANGERS: usize = 8;

/// What in a link was not taken as it was written: a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// No setting has this name.
    Unknown {
        /// The key in the link.
        key: String,
        /// The key that may have been meant.
        meant: Option<String>,
    },
    /// So many more keys that are no settings.
    MoreUnknown {
        /// How many.
        count: usize,
    },
    /// The value does not fit its key.
    Refused {
        /// Which key, its value, and what it should be.
        error: ConfigError,
        /// The value in its place.
        used: String,
    },
    /// The key has another name now; its value counts.
    Renamed {
        /// The key in the link.
        key: String,
        /// Its name.
        now: &'static str,
    },
    /// A key stands in the link more than once.
    Repeated {
        /// The key.
        key: String,
    },
    /// A setting that the link does not name had to follow one that it does.
    Follows {
        /// The setting.
        key: &'static str,
        /// Its value without the link.
        from: u64,
        /// Its value now.
        to: u64,
        /// The setting that it may not exceed.
        bound: &'static str,
    },
    /// The link is of another version of the settings, and nothing of it is taken.
    Version {
        /// The link's.
        found: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { key, meant: Some(meant) } => {
                write!(f, "`{}` is not a setting and is ignored: did you mean `{meant}`?", shortened(key))
            }
            Self::Unknown { key, meant: None } => write!(f, "`{}` is not a setting and is ignored.", shortened(key)),
            Self::MoreUnknown { count } => write!(f, "{count} more keys are not settings and are ignored."),
            Self::Refused { error, used } => write!(f, "{error}. Instead, {used} is used."),
            Self::Renamed { key, now } => write!(f, "`{key}` is now called `{now}`."),
            Self::Repeated { key } => write!(f, "{key} stands in the link more than once: the last one counts."),
            Self::Follows { key, from, to, bound } => {
                write!(f, "{key} is {to} instead of {from}, because it cannot be more than {bound} = {to}.")
            }
            Self::Version { found } => write!(
                f,
                "The link is of version {found} of the settings and this program reads version {VERSION}, so the link is not used. Make it \
                 again, or open it with the program that it came from."
            ),
        }
    }
}

/// The pairs of a link, decoded, in order. A leading `#` or `?` is not part of them, nor is the address of a whole one.
pub fn link_pairs(text: &str) -> Vec<(String, String)> {
    let text = text.trim();
    let is_address = text.split(['=', '&', '#', '?']).next().is_some_and(|start| start.contains("://"));
    let query = if is_address { text.split_once('#').or_else(|| text.split_once('?')).map_or("", |(_, query)| query) } else { text };
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query.trim_start_matches(['#', '?'])).unwrap_or_default();
    let trimmed = pairs.into_iter().map(|(key, value)| (key.trim().to_string(), value.trim().to_string()));
    trimmed.filter(|(key, value)| !key.is_empty() || !value.is_empty()).collect()
}

impl Config {
    /// A link to this run, to be put behind the page's address: `#key=value&…`.
    pub fn to_link(&self) -> String {
        format!("#{}", self.to_query())
    }

    /// [`Config::to_link`] without the `#`: only what differs from the preset, the version, the preset and the seed first.
    pub fn to_query(&self) -> String {
        let preset = Self::preset(self.preset).pairs();
        let named = |pair: &(String, String)| matches!(pair.0.as_str(), "version" | "preset" | "seed") || !preset.contains(pair);
        let own: Vec<(String, String)> = self.pairs().into_iter().filter(named).collect();
        serde_urlencoded::to_string(own).unwrap_or_default()
    }

    /// Reads a link over the preset that it names, with or without a leading `#` or `?`. Every key that can be used is used; what
    /// cannot is named, with what it should be. Settings that the link does not name follow those that it does. `others` are keys of
    /// the reader's own, which are passed over.
    ///
    /// The configuration is always valid.
    pub fn from_link(text: &str, others: &[&str]) -> (Self, Vec<Notice>) {
        let (pairs, mut notices) = by_present_names(link_pairs(text));
        let (given, repeated) = distinct(pairs);
        notices.extend(repeated);
        let of = |key: &str| given.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let version = of("version").filter(|found| found.parse::<u64>().is_ok_and(|found| found != u64::from(VERSION)));
        if let Some(found) = version {
            return (Self::default(), vec![Notice::Version { found: shortened(found) }]);
        }
        let mut config = Self::preset(of("preset").and_then(Preset::named).unwrap_or(Preset::Browser));
        let (mut written, mut strangers) = (Vec::new(), Vec::new());
        for (key, value) in &given {
            match config.with(key, value) {
                Ok(Some(changed)) => {
                    config = changed;
                    written.push(key.as_str());
                }
                Ok(None) if others.contains(&key.as_str()) => {}
                Ok(None) => strangers.push(key.as_str()),
                Err(error) => notices.push(Notice::Refused { error, used: config.text_of(key) }),
            }
        }
        notices.extend(unknown(&strangers, others));
        notices.extend(config.follow(&written));
        (config, notices)
    }

    /// Lowers each setting that is more than its bound allows: one that the person did not write follows, one that is among the
    /// `written` is refused, and the bound is named as what else to set.
    pub fn follow(&mut self, written: &[&str]) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (key, bound) in BOUNDS {
            let (value, most) = (self.whole(key), self.whole(bound));
            if value <= most {
                continue;
            }
            let used = if written.contains(&key) {
                let used = Self::preset(self.preset).whole(key).min(most);
                let allowed = match written.contains(&bound) {
                    true => format!("{most} or less, because {bound} = {most}"),
                    false => format!("{most} or less, unless you set {bound} to more as well"),
                };
                notices.push(Notice::Refused { error: ConfigError::new(key, value, allowed), used: used.to_string() });
                used
            } else {
                notices.push(Notice::Follows { key, from: value, to: most, bound });
                most
            };
            if let Ok(Some(lowered)) = self.with(key, &used.to_string()) {
                *self = lowered;
            }
        }
        notices
    }

    /// This configuration with one field read from text, or `None` where no field has that name.
    ///
    /// # Errors
    /// [`ConfigError`] where the value is not one that the field may have.
    pub fn with(&self, key: &str, value: &str) -> Result<Option<Self>, ConfigError> {
        let Some(allowed) = fields::allowed(key) else { return Ok(None) };
        allowed.check(key, value)?;
        let mut pairs = self.pairs();
        if let Some(pair) = pairs.iter_mut().find(|(name, _)| name == key) {
            value.clone_into(&mut pair.1);
        }
        let text = serde_urlencoded::to_string(&pairs).unwrap_or_default();
        serde_urlencoded::from_str(&text).map(Some).map_err(|error| ConfigError::new(key, value, format!("{allowed} ({error})")))
    }

    /// What differs from another configuration: the keys, with the values that they have here, as in a link.
    pub fn unlike(&self, other: &Self) -> Vec<(String, String)> {
        let theirs = other.pairs();
        self.pairs().into_iter().filter(|pair| !theirs.contains(pair)).collect()
    }

    /// A field as it stands in a link; nothing where there is none of that name.
    pub fn text_of(&self, key: &str) -> String {
        self.pairs().into_iter().find(|(name, _)| name == key).map(|(_, value)| value).unwrap_or_default()
    }
}

/// Pairs whose keys have their present names, and which had others.
fn by_present_names(pairs: Vec<(String, String)>) -> (Vec<(String, String)>, Vec<Notice>) {
    let mut notices = Vec::new();
    let pairs = pairs.into_iter().map(|(key, value)| match Config::renamed(&key) {
        None => (key, value),
        Some(now) => {
            notices.push(Notice::Renamed { key, now });
            (now.into(), value)
        }
    });
    (pairs.collect(), notices)
}

/// The last value of each key, in the order of the keys' first appearance, and which keys came with several.
fn distinct(pairs: Vec<(String, String)>) -> (Vec<(String, String)>, Vec<Notice>) {
    let mut place = HashMap::new();
    let (mut given, mut notices): (Vec<(String, String)>, Vec<Notice>) = (Vec::new(), Vec::new());
    for (key, value) in pairs {
        let at = *place.entry(key.clone()).or_insert(given.len());
        match given.get_mut(at) {
            None => given.push((key, value)),
            Some(earlier) if earlier.1 == value => {}
            Some(earlier) => {
                earlier.1 = value;
                if fields::allowed(&key).is_some() {
                    notices.push(Notice::Repeated { key });
                }
            }
        }
    }
    (given, notices)
}

/// What is said of keys that are no settings.
fn unknown(strangers: &[&str], others: &[&str]) -> Vec<Notice> {
    let named = strangers.iter().take(NAMED_STRANGERS).map(|key| {
        let meant = fields::nearest(key, fields::keys().chain(others.iter().copied()));
        Notice::Unknown { key: shortened(key), meant: meant.map(Into::into) }
    });
    let count = strangers.len().saturating_sub(NAMED_STRANGERS);
    named.chain((count > 0).then_some(Notice::MoreUnknown { count })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Similarity, Widths};
    use crate::counter::{Counter, Stream};
    use crate::variants::{Variant, Variants};

    fn read(link: &str) -> (Config, Vec<String>) {
        let (config, notices) = Config::from_link(link, &["theme", "device"]);
        (config, notices.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_differs_is_told_with_the_values_here() {
        let plain = Config::opening();
        let other = Config { seed: 5, history: 3, ..plain.clone() };
        let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
        let mut unlike = other.unlike(&plain);
        unlike.sort();
        assert_eq!(unlike, [pair("history", "3"), pair("seed", "5")]);
        assert!(plain.unlike(&plain).is_empty());
    }

    #[test]
    fn every_preset_survives_a_link_and_a_file() {
        for preset in [Preset::Browser, Preset::Long, Preset::Calibrated, Preset::Paper] {
            let config = Config {
                seed: 11,
                rho: 0.125,
                variants: Variants(vec![Variant::Uie]),
                similarity: Similarity::Dot,
                tower: Widths(vec![24, 8]),
                ..Config::preset(preset)
            };
            config.validate().unwrap();
            assert_eq!(read(&config.to_link()), (config.clone(), vec![]));
            let file = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<Config>(&file).unwrap(), config);
        }
    }

    #[test]
    fn a_link_begins_with_a_hash_holds_only_what_differs_and_may_stand_behind_an_address() {
        let config = Config { seed: 11, ..Config::default() };
        assert_eq!(config.to_link(), "#version=1&preset=browser&seed=11");
        for before in ["", "#", "?", "https://host/a/#", "http://host:8080/?", "https://host/?seed=3#", " \n#"] {
            assert_eq!(read(&format!("{before}version=1&preset=browser&seed=11")), (config.clone(), vec![]), "{before}");
        }
        assert_eq!(read("theme=dark&preset=browser"), (Config::default(), vec![]));
        assert_eq!(read("https://host/"), (Config::default(), vec![]));
    }

    /// One bad key once threw the whole link away.
    #[test]
    fn good_keys_are_used_and_each_bad_one_is_named_with_what_it_should_be() {
        let (config, said) =
            read("#seed=11&rho=much&centres=64&similarity=dott&usres=50&device=gpu&preset=huge&nonsense=1&evaluate_every=");
        assert_eq!(config, Config { seed: 11, centres: 64, ..Config::default() });
        assert_eq!(
            said,
            [
                "rho = much cannot be used: it must be a number from 0 to 0.5. Instead, 0.05 is used.",
                "similarity = dott cannot be used: it must be cosine or dot (did you mean dot?). Instead, cosine is used.",
                "preset = huge cannot be used: it must be browser, long, calibrated or paper. Instead, browser is used.",
                "evaluate_every =  cannot be used: it must be a whole number from 1 to 1000000. Instead, 25 is used.",
                "`usres` is not a setting and is ignored: did you mean `users`?",
                "`nonsense` is not a setting and is ignored.",
            ]
        );
        assert_eq!(read("#thme=dark").1, ["`thme` is not a setting and is ignored: did you mean `theme`?"]);
        assert_eq!(read("#seed=1&seed=2&seed=2").1, ["seed stands in the link more than once: the last one counts."]);
    }

    #[test]
    fn a_renamed_key_counts_and_its_present_name_is_said() {
        let (config, said) = read("#withheld_share=0.25&lent_centred=false&panel=64");
        assert_eq!((config.enhancement_dropout, config.enhancement_centred, config.probe_set), (0.25, false, 64));
        let names = ["`withheld_share` is now called `enhancement_dropout`.", "`lent_centred` is now called `enhancement_centred`."];
        assert_eq!(said, [&names[..], &["`panel` is now called `probe_set`."]].concat());
        assert!(config.to_link().ends_with("enhancement_dropout=0.25&enhancement_centred=false&probe_set=64"));
        let (config, said) = read("#probe_set=32&panel=64");
        assert_eq!(config.probe_set, 64);
        assert_eq!(said[1], "probe_set stands in the link more than once: the last one counts.");
        assert!(read("#panel=few").1[1].starts_with("probe_set = few cannot be used"));
    }

    /// `users=10` was once refused for `user_groups`, which nobody wrote.
    #[test]
    fn settings_that_depend_on_another_follow_it_or_are_refused_by_their_own_name() {
        let (config, said) = read("#users=10&items=100");
        assert_eq!((config.users, config.user_groups, config.categories, config.item_groups), (10, 10, 100, 24));
        assert_eq!(
            said,
            [
                "categories is 100 instead of 200, because it cannot be more than items = 100.",
                "user_groups is 10 instead of 16, because it cannot be more than users = 10.",
            ]
        );
        let (config, said) = read("#users=10&user_groups=50");
        assert_eq!(config.user_groups, 10);
        assert_eq!(said, ["user_groups = 50 cannot be used: it must be 10 or less, because users = 10. Instead, 10 is used."]);
        let (config, said) = read("#user_groups=5000");
        assert_eq!(config.user_groups, 16);
        let wanted =
            "user_groups = 5000 cannot be used: it must be 2000 or less, unless you set users to more as well. Instead, 16 is used.";
        assert_eq!(said, [wanted]);
        assert_eq!(read("#items=16").0.item_groups, 16, "through categories");
    }

    #[test]
    fn very_long_values_and_very_many_keys_stay_readable() {
        let (config, said) = read(&format!("#seed={}&centres=64", "9".repeat(300)));
        assert_eq!((config.seed, config.centres), (7, 64));
        let wanted = "it must be a whole number from 0 to 18446744073709551615. Instead, 7 is used.";
        assert_eq!(said, [format!("seed = {}… (300 characters) cannot be used: {wanted}", "9".repeat(24))]);
        let link: String = (0..20_000).map(|i| format!("{i}key{i}=a&")).collect();
        let said = read(&link).1;
        assert_eq!((said.len(), said[8].as_str()), (9, "19992 more keys are not settings and are ignored."));
        assert!(read("#rho=\u{7}a%0Ab").1[0].starts_with("rho = \u{fffd}a\u{fffd}b cannot"));
    }

    #[test]
    fn a_link_of_another_version_is_never_half_understood() {
        let (config, said) = read("#version=2&seed=11");
        assert_eq!(config, Config::default());
        assert!(said.len() == 1 && said[0].starts_with("The link is of version 2 of the settings"));
        assert_eq!(read("#version=new&seed=11").0.seed, 11);
    }

    /// A thousand links of pieces of good and bad ones: always a configuration that can be used, whose own link says the same.
    #[test]
    fn any_link_gives_a_valid_configuration_or_a_notice_or_both() {
        let keys: Vec<&str> = fields::keys().chain(["theme", "device", "usres", "", "é", "a b", "%"]).collect();
        let numbers = "0 1 2 3 7 10 16 50 64 1000 100000 999999999 1000000000 10000000000 18446744073709551616 -1 0.5 1e-3 NaN inf";
        let words =
            "true false 8x4 4096x4096x4096 ple ple,duia uie,truth browser long paper mild taobao dot adam random zero x %zz %F0%9F = #";
        let values: Vec<&str> = numbers.split(' ').chain(words.split(' ')).chain(["", " ", "日本", "&&", "?"]).collect();
        let random = Counter::new(3, Stream::Choices);
        for link in 0..1_000u64 {
            let draw = random.lane(link);
            let pick = |at: u64, of: u64| draw.below(at, of) as usize;
            let pairs = (0..1 + pick(0, 12) as u64).map(|pair| {
                let key = keys[pick(10 + 2 * pair, keys.len() as u64)];
                format!("{key}={}", values[pick(11 + 2 * pair, values.len() as u64)])
            });
            let text = format!("{}{}", ["", "#", "?"][pick(1, 3)], pairs.collect::<Vec<_>>().join("&"));
            let (config, said) = read(&text);
            config.validate().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read(&config.to_link()), (config.clone(), vec![]), "{text}");
            let equal = |one: &str, other: &str| one == other || one.parse::<f64>().is_ok_and(|one| other.parse() == Ok(one));
            let own = |key: &str| ["theme", "device"].contains(&key);
            let taken = link_pairs(&text).iter().all(|(key, value)| equal(&config.text_of(key), value) || own(key));
            assert!(taken || !said.is_empty(), "{text}: something was passed over in silence");
        }
    }
}
