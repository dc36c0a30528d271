//! The address bar: the configuration and the page's own keys as `#key=value&…`, so that every experiment is a link.

use duia::config::{Config, ConfigError};
use duia::wire::DeviceChoice;

/// Light, dark, or what the system says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// What the system says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// The word in the link and in the document's `data-theme`.
    pub fn word(self) -> &'static str {
        word_of(&THEMES, self)
    }

    /// The theme after this one when a button walks through them.
    pub fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }
}

const THEMES: [(&str, Theme); 3] = [("system", Theme::System), ("light", Theme::Light), ("dark", Theme::Dark)];
const DEVICES: [(&str, DeviceChoice); 3] = [("auto", DeviceChoice::Auto), ("gpu", DeviceChoice::Gpu), ("cpu", DeviceChoice::Cpu)];
const SWITCH: [(&str, bool); 2] = [("on", true), ("off", false)];
const WATCHDOG_SECONDS: std::ops::RangeInclusive<u32> = 5..=120;

/// What a link says.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    /// What to train.
    pub config: Config,
    /// How the page looks.
    pub theme: Theme,
    /// Which device to ask for.
    pub device: DeviceChoice,
    /// Whether a real sample beside the page may be used.
    pub sample: bool,
    /// Whether training starts by itself.
    pub autoplay: bool,
    /// Seconds of a playing trainer's silence before the page says so.
    pub watchdog: u32,
}

impl Default for Address {
    fn default() -> Self {
        Self { config: Config::default(), theme: Theme::System, device: DeviceChoice::Auto, sample: true, autoplay: true, watchdog: 20 }
    }
}

impl Address {
    /// Reads the part of the address after `#`. What does not fit is left at its default and said in a sentence.
    pub fn read(hash: &str) -> (Self, Vec<String>) {
        let query = hash.trim_start_matches('#');
        let mut pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
        let mut notices = Vec::new();
        let default = Self::default();
        let mut own = |key: &str| {
            let at = pairs.iter().rposition(|(k, _)| k == key)?;
            Some(pairs.swap_remove(at).1)
        };
        let (theme, device, sample, autoplay, watchdog) = (own("theme"), own("device"), own("sample"), own("autoplay"), own("watchdog"));
        let address = Self {
            theme: choice("theme", theme, &THEMES, default.theme, &mut notices),
            device: choice("device", device, &DEVICES, default.device, &mut notices),
            sample: choice("sample", sample, &SWITCH, default.sample, &mut notices),
            autoplay: choice("autoplay", autoplay, &SWITCH, default.autoplay, &mut notices),
            watchdog: seconds(watchdog, default.watchdog, &mut notices),
            config: config(pairs, &mut notices),
        };
        (address, notices)
    }

    /// The part of the address after `#`: the configuration, then the page's keys that are not at their defaults.
    pub fn write(&self) -> String {
        let default = Self::default();
        let mut text = self.config.to_query();
        let mut add = |differs: bool, key: &str, value: &str| {
            if differs {
                text.push_str(&format!("&{key}={value}"));
            }
        };
        add(self.theme != default.theme, "theme", self.theme.word());
        add(self.device != default.device, "device", word_of(&DEVICES, self.device));
        add(self.sample != default.sample, "sample", word_of(&SWITCH, self.sample));
        add(self.autoplay != default.autoplay, "autoplay", word_of(&SWITCH, self.autoplay));
        add(self.watchdog != default.watchdog, "watchdog", &self.watchdog.to_string());
        text
    }
}

fn word_of<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, v)| *v == value).map_or("", |(word, _)| word)
}

fn choice<T: Copy>(key: &str, given: Option<String>, words: &[(&str, T)], default: T, notices: &mut Vec<String>) -> T {
    let Some(given) = given else { return default };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == given) {
        return *value;
    }
    let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    notices.push(format!("{key} = {given} cannot be used: it must be one of {}. The default is used.", allowed.join(", ")));
    default
}

fn seconds(given: Option<String>, default: u32, notices: &mut Vec<String>) -> u32 {
    let Some(given) = given else { return default };
    match given.parse() {
        Ok(seconds) if WATCHDOG_SECONDS.contains(&seconds) => seconds,
        _ => {
            notices.push(format!("watchdog = {given} cannot be used: it must be from 5 to 120 seconds. The default is used."));
            default
        }
    }
}

/// The configuration that the pairs describe. A key with a bad value is left out and said, the others still count.
fn config(mut pairs: Vec<(String, String)>, notices: &mut Vec<String>) -> Config {
    loop {
        let query = serde_urlencoded::to_string(&pairs).unwrap_or_default();
        match Config::from_query(&query) {
            Ok(config) => return config,
            Err(error) => {
                notices.push(format!("{error}. The default is used."));
                if !remove(&mut pairs, &error) {
                    return Config::default();
                }
            }
        }
    }
}

fn remove(pairs: &mut Vec<(String, String)>, error: &ConfigError) -> bool {
    let before = pairs.len();
    pairs.retain(|(key, _)| *key != error.field);
    pairs.len() < before
}
