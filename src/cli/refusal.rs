//! Why the program stops before it is done.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use duia::data::DataError;
use duia::wire::Failure;

/// What a shell expects of a program that Ctrl-C ended.
pub const INTERRUPTED: u8 = 130;

/// A reason to stop, as sentences for a person: what is wrong, then what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// An argument or a file cannot be used.
    #[error("{what}. {next}.")]
    Input {
        /// What cannot be used and why.
        what: String,
        /// What to do.
        next: String,
    },
    /// Rows cannot be used.
    #[error("{}.", bare(.0))]
    Data(#[from] DataError),
    /// The run could not start (no such device, too few rows), or failed on its way.
    #[error("{}. {}. {}.", bare(&.failure.what), bare(&.failure.detail), bare(&.failure.next))]
    Run {
        /// What failed.
        failure: Failure,
        /// Whether training had begun.
        begun: bool,
    },
    /// The run was interrupted before its test was done. Everything else is written.
    #[error("The whole test set was not scored, as you asked: the tables and the report hold the last scores of the probe set.")]
    Untested,
    /// Ctrl-C or its like; what that means for what was asked for.
    #[error("{0}.")]
    Interrupted(String),
    /// The run was interrupted. All of it is saved, and how to go on was said.
    #[error("The run is not at its end.")]
    Stopped,
}

impl Refusal {
    /// An input that cannot be used.
    pub fn input(what: impl Display, next: impl Display) -> Self {
        Self::Input { what: bare(what), next: bare(next) }
    }

    /// A file that cannot be used.
    pub fn file(path: &Path, why: impl Display, next: impl Display) -> Self {
        Self::input(format!("{} cannot be used: {why}", path.display()), next)
    }

    /// A file or folder that cannot be written.
    pub fn unwritable(path: &Path, why: impl Display) -> Self {
        Self::input(format!("{} cannot be written: {why}", path.display()), "Choose another place with --out")
    }

    /// 2 where the person can change an argument or a file, 1 where a run failed, 130 where it was interrupted.
    pub fn number(&self) -> u8 {
        match self {
            Self::Input { .. } | Self::Data(_) | Self::Run { begun: false, .. } => 2,
            Self::Run { begun: true, .. } => 1,
            Self::Untested | Self::Stopped | Self::Interrupted(_) => INTERRUPTED,
        }
    }

    /// The same, as what the program ends with.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }
}

/// A sentence without its full stop.
fn bare(sentence: impl Display) -> String {
    sentence.to_string().trim_end().trim_end_matches('.').to_owned()
}
