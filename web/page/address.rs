//! The address bar: the configuration and the page's own keys as `#key=value&…`, so that every experiment is a link. The same
//! after `?` is read too, as other tools write links; what stands after `#` counts more.

use duia::config::{Config, link_pairs};
use duia::wire::DeviceChoice;
use web_sys::File;

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

/// The language that the page is read in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// What the browser prefers of those that there are.
    #[default]
    System,
    /// English, the language of the source.
    English,
    /// Chinese.
    Chinese,
}

impl Language {
    /// Those that a person can choose, as their readers call them.
    pub const ALL: [(Self, &'static str); 2] = [(Self::English, "English"), (Self::Chinese, "中文")];

    /// The word in the link.
    pub fn word(self) -> &'static str {
        word_of(&LANGUAGES, self)
    }

    /// The language of a document, by its `lang`.
    pub fn of(lang: &str) -> Self {
        let is_named = |word: &str| !word.is_empty() && lang.starts_with(word);
        LANGUAGES.iter().find(|(word, _)| is_named(word)).map_or(Self::English, |(_, language)| *language)
    }
}

const LANGUAGES: [(&str, Language); 3] = [("system", Language::System), ("en", Language::English), ("zh", Language::Chinese)];
const THEMES: [(&str, Theme); 3] = [("system", Theme::System), ("light", Theme::Light), ("dark", Theme::Dark)];
const DEVICES: [(&str, DeviceChoice); 3] = [("auto", DeviceChoice::Auto), ("gpu", DeviceChoice::Gpu), ("cpu", DeviceChoice::Cpu)];
/// The page's own keys.
const KEYS: [&str; 13] =
    ["theme", "lang", "device", "sample", "autoplay", "watchdog", "hide", "lesson", "step", "embed", "present", "file", "bytes"];
/// Longest name of a lesson.
const LONGEST_NAME: usize = 60;
/// Longest name of a file: what file systems allow.
const LONGEST_FILE: usize = 255;
const SWITCH: [(&str, bool); 2] = [("on", true), ("off", false)];
/// As other pages write it in a frame's address.
const EITHER: [(&str, bool); 4] = [("1", true), ("0", false), ("on", true), ("off", false)];
const WATCHDOG_SECONDS: std::ops::RangeInclusive<u32> = 5..=120;

/// What tells a file of the person's own from another. The file itself is in no link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

impl FileName {
    /// Of a file.
    pub fn of(file: &File) -> Self {
        Self { name: file.name(), bytes: file.size() as u64 }
    }
}

/// What a link says.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    /// What to train.
    pub config: Config,
    /// How the page looks.
    pub theme: Theme,
    /// The language that it is read in.
    pub language: Language,
    /// Which device to ask for.
    pub device: DeviceChoice,
    /// Whether a real sample beside the page may be used.
    pub sample: bool,
    /// The file of the person's own to train on, which counts more than the sample.
    pub file: Option<FileName>,
    /// Whether training starts by itself.
    pub autoplay: bool,
    /// Seconds of a playing trainer's silence before the page says so.
    pub watchdog: u32,
    /// Panels that are left out.
    pub hide: Vec<&'static str>,
    /// The lesson that is open, and its step from 0.
    pub lesson: Option<(String, usize)>,
    /// Whether the page is part of another one, and shows the tool alone.
    pub embed: bool,
    /// Whether it is shown to a room: large type, and the lesson's notes.
    pub present: bool,
}

impl Default for Address {
    fn default() -> Self {
        Self {
            config: Config::opening(),
            theme: Theme::System,
            language: Language::System,
            device: DeviceChoice::Auto,
            sample: true,
            file: None,
            autoplay: true,
            watchdog: 20,
            hide: Vec::new(),
            lesson: None,
            embed: false,
            present: false,
        }
    }
}

impl Address {
    /// Reads what stands after `?` and after `#`, on a page that can hide these `parts`. A link that names no setting opens the page's own
    /// race. What does not fit is left at its default and said in a sentence.
    pub fn read(search: &str, hash: &str, parts: &[&'static str]) -> (Self, Vec<String>) {
        let pairs: Vec<(String, String)> = own(search).into_iter().chain(link_pairs(hash)).collect();
        let (linked, said) = Config::from_link(&serde_urlencoded::to_string(&pairs).unwrap_or_default(), &KEYS);
        let mut notices: Vec<String> = said.iter().map(ToString::to_string).collect();
        let default = Self::default();
        let config = if pairs.iter().any(|(key, _)| is_setting(key)) { linked } else { default.config };
        let last = |key: &str| pairs.iter().rfind(|(k, _)| k == key).map(|(_, value)| value.clone());
        let [theme, lang, device, sample, autoplay, watchdog, hide, lesson, step, embed, present, file, bytes] = KEYS.map(last);
        let address = Self {
            theme: choice("theme", theme, &THEMES, default.theme, &mut notices),
            language: choice("lang", lang, &LANGUAGES, default.language, &mut notices),
            device: choice("device", device, &DEVICES, default.device, &mut notices),
            sample: choice("sample", sample, &SWITCH, default.sample, &mut notices),
            file: file_of(file, bytes, &mut notices),
            autoplay: choice("autoplay", autoplay, &SWITCH, default.autoplay, &mut notices),
            watchdog: seconds(watchdog, default.watchdog, &mut notices),
            hide: hidden(hide, parts, &mut notices),
            lesson: lesson_of(lesson, step, &mut notices),
            embed: choice("embed", embed, &EITHER, default.embed, &mut notices),
            present: choice("present", present, &EITHER, default.present, &mut notices),
            config,
        };
        (address, notices)
    }

    /// The look as it is, and every setting as the page comes.
    pub fn with_defaults(&self) -> Self {
        let Self { theme, language, embed, present, .. } = *self;
        Self { theme, language, embed, present, hide: self.hide.clone(), ..Self::default() }
    }

    /// Whether every setting is as the page comes, the look aside.
    pub fn is_default(&self) -> bool {
        *self == self.with_defaults()
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
        add(self.language != default.language, "lang", self.language.word());
        add(self.device != default.device, "device", device_word(self.device));
        add(self.sample != default.sample, "sample", word_of(&SWITCH, self.sample));
        add(self.autoplay != default.autoplay, "autoplay", word_of(&SWITCH, self.autoplay));
        add(self.watchdog != default.watchdog, "watchdog", &self.watchdog.to_string());
        add(self.hide != default.hide, "hide", &self.hide.join(","));
        if let Some((lesson, step)) = &self.lesson {
            add(true, "lesson", lesson);
            add(true, "step", &(step + 1).to_string());
        }
        add(self.embed, "embed", "1");
        add(self.present, "present", "1");
        if let Some(FileName { name, bytes }) = &self.file {
            // A name may have any letter.
            let pairs = [("file", name.clone()), ("bytes", bytes.to_string())];
            text.push_str(&format!("&{}", serde_urlencoded::to_string(pairs).unwrap_or_default()));
        }
        text
    }
}

/// The pairs of a `?` part, where one of them is the page's. Hosts and trackers keep their own there.
fn own(search: &str) -> Vec<(String, String)> {
    let pairs = link_pairs(search);
    if pairs.iter().any(|(key, _)| is_own(key)) { pairs } else { Vec::new() }
}

fn is_own(key: &str) -> bool {
    KEYS.contains(&key) || is_setting(key)
}

fn is_setting(key: &str) -> bool {
    Config::renamed(key).is_some() || !matches!(Config::default().with(key, ""), Ok(None))
}

/// A `?` part without what is the page's, which stands after `#` from now on.
pub fn foreign(search: &str) -> String {
    let foreign = |part: &&str| !part.is_empty() && link_pairs(part).iter().all(|(key, _)| !is_own(key));
    let kept: Vec<&str> = search.trim_start_matches('?').split('&').filter(foreign).collect();
    if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) }
}

/// The word for a device in the link.
pub fn device_word(device: DeviceChoice) -> &'static str {
    word_of(&DEVICES, device)
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

/// Parts of the page by their names, `hide=losses,data`.
fn hidden(given: Option<String>, parts: &[&'static str], notices: &mut Vec<String>) -> Vec<&'static str> {
    let given = given.unwrap_or_default();
    let (mut hide, mut strangers) = (Vec::new(), Vec::new());
    for word in given.split(',').filter(|word| !word.is_empty()) {
        match parts.iter().find(|part| **part == word) {
            Some(part) if !hide.contains(part) => hide.push(*part),
            Some(_) => {}
            None => strangers.push(word),
        }
    }
    if !strangers.is_empty() {
        notices.push(format!("hide = {} names no panel: the panels are {}.", strangers.join(","), parts.join(", ")));
    }
    hide
}

/// A file by its name and size, `file=shop.csv&bytes=2490370`.
fn file_of(name: Option<String>, bytes: Option<String>, notices: &mut Vec<String>) -> Option<FileName> {
    let (name, bytes) = (name?, bytes.unwrap_or_default());
    match bytes.parse() {
        Ok(bytes) if !name.is_empty() && name.len() <= LONGEST_FILE => Some(FileName { name, bytes }),
        _ => {
            notices.push("file= takes the name of a file, and bytes= its size, a whole number. No file is asked for.".into());
            None
        }
    }
}

/// A lesson by its name, `lesson=collapse&step=2`. The name is a file's, so it is letters, digits and dashes.
fn lesson_of(name: Option<String>, step: Option<String>, notices: &mut Vec<String>) -> Option<(String, usize)> {
    let name = name?;
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fits) {
        notices.push("lesson= takes the name of a lesson: letters, digits and dashes. No lesson is opened.".into());
        return None;
    }
    let step = step.map_or(Some(1), |step| step.parse::<usize>().ok().filter(|&step| step > 0));
    if step.is_none() {
        notices.push("step= takes the number of a step, from 1. The lesson begins with its first.".into());
    }
    Some((name, step.unwrap_or(1) - 1))
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
