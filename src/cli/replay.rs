//! `duia train --html`: the run as one file that plays it again.

use std::path::PathBuf;

use duia::config::Config;
use duia::replay::{self, Made};
use duia::wire::{Event, Failure};

use super::arguments::Train;
use super::checkpoints::Note;
use super::choices::Language;
use super::files::{Whole, write_whole};
use super::refusal::Refusal;
use super::text::whole;

/// The file that was asked for, and what goes into it.
pub struct Replay {
    path: PathBuf,
    language: Option<Language>,
    /// The command line that began the run.
    command: String,
    run: replay::Replay,
}

impl Replay {
    /// Where one was asked for. A place that cannot be written is known before anything is trained.
    pub fn asked(arguments: &Train, note: &Note) -> Result<Option<Self>, Refusal> {
        let Some(path) = arguments.html.clone() else { return Ok(None) };
        let refused = |error: String| Refusal::file(&path, error, "Choose another place with --html");
        if path.is_dir() {
            return Err(refused("it is a folder".into()));
        }
        Whole::create(&path).map_err(|error| refused(error.to_string()))?;
        let words: Vec<String> = std::iter::once("duia").chain(note.command.iter().map(String::as_str)).map(replay::quoted).collect();
        Ok(Some(Self { path, language: arguments.html_language, command: words.join(" "), run: replay::Replay::default() }))
    }

    /// Takes an event in.
    pub fn take(&mut self, event: &Event) {
        self.run.take(event);
    }

    /// Writes what there is, and says where; or why it could not be written.
    pub fn write(mut self, config: &Config, failure: Option<&Failure>) -> Result<String, String> {
        self.run.failure = failure.cloned();
        let day = jiff::ZonedDateTime::now().strftime("%Y-%m-%d").to_string();
        let language = self.language.and_then(texts);
        let made = Made { config, day, command: self.command, course: &[], link: config.to_link(), language };
        let page = self.run.page(&made).map_err(|error| error.to_string())?;
        write_whole(&self.path, page.as_bytes()).map_err(|error| format!("{}: {error}", self.path.display()))?;
        Ok(format!("The run to play again: {}, {} bytes.", self.path.display(), whole(page.len() as u64)))
    }
}

/// What a replay in this language has in it; English is there anyway.
fn texts(language: Language) -> Option<replay::Language<'static>> {
    match language {
        Language::En => None,
        Language::Zh => Some(replay::Language { code: "zh-CN", texts: include_str!("../../assets/zh.json") }),
    }
}
