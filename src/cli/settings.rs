//! The configuration of a run, from a preset, a file and single keys.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use duia::config::{Config, Notice, Preset};
use serde_json::{Map, Value};

use super::choices::PresetName;
use super::refusal::Refusal;
use super::text::{say, warn};

const ALL_KEYS: &str = "`duia config` prints all keys with their values";

/// Where a configuration comes from. Single keys go over the file, and the file over the preset it names.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// Which sizes to start from. Default: browser.
    #[arg(long, value_enum, conflicts_with = "config")]
    pub preset: Option<PresetName>,
    /// A configuration as `duia config` prints it. It needs to hold only what differs from the preset that it names.
    #[arg(long, value_name = "FILE.json")]
    pub config: Option<PathBuf>,
    /// Change one key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The seed of everything random.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl Settings {
    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.preset.is_none() && self.config.is_none() && self.set.is_empty() && self.seed.is_none()
    }

    /// The configuration, checked.
    pub fn resolve(&self) -> Result<Config, Refusal> {
        self.resolve_over(Config::preset)
    }

    /// What was asked for of a run of a configuration: single keys go over that one.
    pub fn resolve_again(&self, config: &Config) -> Result<Config, Refusal> {
        match (&self.preset, &self.config) {
            (None, None) => self.resolve_over(|_| config.clone()),
            _ => self.resolve(),
        }
    }

    /// [`Settings::resolve`] over something else than the preset itself.
    pub fn resolve_over(&self, base: impl Fn(Preset) -> Config) -> Result<Config, Refusal> {
        let (mut config, mut written) = match (&self.config, self.preset) {
            (Some(path), _) => from_file(path, base)?,
            (None, preset) => (base(preset.map_or(Preset::Browser, Preset::from)), Vec::new()),
        };
        for assignment in &self.set {
            let (key, changed) = with(&config, assignment)?;
            config = changed;
            written.push(key);
        }
        config.seed = self.seed.unwrap_or(config.seed);
        for notice in config.follow(&written.iter().map(String::as_str).collect::<Vec<_>>()) {
            match notice {
                Notice::Refused { error, .. } => return Err(Refusal::input(error, ALL_KEYS)),
                followed => warn(&followed.to_string()),
            }
        }
        config.validate().map_err(|error| Refusal::input(error, ALL_KEYS))?;
        Ok(config)
    }
}

/// The preset that a configuration started from, as it is typed.
pub fn preset_name(config: &Config) -> String {
    format!("{:?}", config.preset).to_lowercase()
}

/// Prints a configuration: the file on standard output, so that it can be redirected, the link on standard error.
pub fn print(config: &Config) -> Result<(), Refusal> {
    let json = serde_json::to_string_pretty(config).map_err(|error| Refusal::input(error, ALL_KEYS))?;
    say(&json);
    warn(&format!("As a link, to put behind the page's address: {}", config.to_link()));
    Ok(())
}

/// The key of an assignment, and the configuration with it.
fn with(config: &Config, assignment: &str) -> Result<(String, Config), Refusal> {
    let Some((key, value)) = assignment.split_once('=') else {
        return Err(Refusal::input(format!("`--set {assignment}` has no value"), "Write it as --set key=value"));
    };
    if key == "preset" {
        return Err(Refusal::input("`--set preset` would change the name and none of the sizes", format!("Write --preset {value}")));
    }
    let key = present_name(key);
    match config.with(key, value) {
        Ok(Some(changed)) => Ok((key.into(), changed)),
        Ok(None) => Err(unknown(key)),
        Err(error) => Err(Refusal::input(error, ALL_KEYS)),
    }
}

/// The key itself, or where it was renamed its present name, which is said.
fn present_name(key: &str) -> &str {
    let Some(now) = Config::renamed(key) else { return key };
    warn(&Notice::Renamed { key: key.into(), now }.to_string());
    now
}

fn unknown(key: &str) -> Refusal {
    let meant = Config::key_like(key).map(|meant| format!("; the nearest one is `{meant}`")).unwrap_or_default();
    Refusal::input(format!("`{key}` is not a key of the configuration{meant}"), ALL_KEYS)
}

/// Reads a file over the `base` of the preset that it names, and tells which keys it holds.
fn from_file(path: &Path, base: impl Fn(Preset) -> Config) -> Result<(Config, Vec<String>), Refusal> {
    let refuse = |why: String| Refusal::file(path, why, "Start from what `duia config` prints");
    let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let given: Map<String, Value> = serde_json::from_str(&text).map_err(|error| refuse(format!("it is not a JSON object ({error})")))?;
    let preset = match given.get("preset") {
        None => Preset::Browser,
        Some(name) => serde_json::from_value(name.clone())
            .map_err(|_| refuse(format!("preset = {name} is not browser, long, calibrated or paper")))?,
    };
    let mut fields = match serde_json::to_value(base(preset)) {
        Ok(Value::Object(fields)) => fields,
        _ => return Err(refuse("its preset has no keys".into())),
    };
    let mut written = Vec::new();
    for (key, value) in &given {
        let name = present_name(key);
        if name != key && given.contains_key(name) {
            return Err(refuse(format!("it holds both `{name}` and its earlier name `{key}`")));
        }
        match fields.get_mut(name) {
            Some(field) => *field = value.clone(),
            None => return Err(refuse(format!("`{key}` is not a key of the configuration"))),
        }
        written.push(name.to_string());
    }
    let config = serde_json::from_value(Value::Object(fields)).map_err(|error| refuse(error.to_string()))?;
    Ok((config, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(set: &[&str]) -> Settings {
        Settings { set: set.iter().map(ToString::to_string).collect(), ..Settings::default() }
    }

    fn file(text: &str) -> Result<Config, Refusal> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        from_file(file.path(), Config::preset).map(|(config, _)| config)
    }

    #[test]
    fn keys_go_over_the_preset_and_the_seed_over_all() {
        let given = Settings { preset: Some(PresetName::Paper), seed: Some(9), ..settings(&["rho=0.25", "expert_1=32x16", "seed=1"]) };
        let config = given.resolve().unwrap();
        assert_eq!((config.preset, config.rho, config.seed), (Preset::Paper, 0.25, 9));
        assert_eq!(config.expert_1.to_string(), "32x16");
    }

    #[test]
    fn a_file_holds_all_keys_or_only_what_differs() {
        let long = Config { rho: 0.3, ..Config::preset(Preset::Long) };
        assert_eq!(file(&serde_json::to_string(&long).unwrap()).unwrap(), long);
        assert_eq!(file(r#"{"preset": "long", "rho": 0.3}"#).unwrap(), long);
    }

    #[test]
    fn keys_that_were_renamed_are_still_read() {
        let flags = settings(&["withheld_share=0.25", "lent_centred=false", "panel=64"]).resolve().unwrap();
        let old = file(r#"{"withheld_share": 0.25, "lent_centred": false, "panel": 64}"#).unwrap();
        assert_eq!(flags, Config { enhancement_dropout: 0.25, enhancement_centred: false, probe_set: 64, ..Config::default() });
        assert_eq!(old, flags);
        let both = file(r#"{"panel": 64, "probe_set": 32}"#).unwrap_err().to_string();
        assert!(both.contains("both `probe_set` and its earlier name `panel`"), "{both}");
    }

    #[test]
    fn what_nobody_set_follows_what_somebody_did() {
        let config = settings(&["users=10"]).resolve().unwrap();
        assert_eq!((config.users, config.user_groups), (10, 10));
        let both = settings(&["users=10", "user_groups=11"]).resolve().unwrap_err().to_string();
        assert!(both.starts_with("user_groups = 11 cannot be used: it must be 10 or less, because users = 10"), "{both}");
    }

    #[test]
    fn nonsense_is_a_sentence() {
        let said = |settings: Settings| settings.resolve().unwrap_err().to_string();
        assert!(said(settings(&["centers=3"])).starts_with("`centers` is not a key of the configuration; the nearest one is `centres`. "));
        assert!(said(settings(&["lr=3"])).starts_with("`lr` is not a key of the configuration. `duia config`"));
        assert!(said(settings(&["rho"])).contains("--set key=value"));
        assert!(said(settings(&["rho=much"])).contains("rho = much cannot be used"));
        assert!(said(settings(&["batch=7"])).contains("batch = 7 cannot be used"));
        assert!(said(settings(&["preset=paper"])).contains("--preset paper"));
        for text in ["", "[]", r#"{"preset": 3}"#, r#"{"rows": "many"}"#, r#"{"centers": 3}"#] {
            assert!(file(text).unwrap_err().to_string().contains("cannot be used"), "{text}");
        }
    }
}
