//! The checkpoints of a run in its folder: when one is written, which stay, and which one a run goes on from.
//!
//! They lie in `checkpoints/` as `step-<N>.safetensors`, each whole or not there. So a kill or a full disk leaves those before it as
//! they were.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use duia::checkpoint::CheckpointError;
use duia::checkpoint::run::{Checkpoint, SaveError, peek};
use duia::training::{Keeper, Moment};
use serde::{Deserialize, Serialize};

use super::console::Console;
use super::files::{HALF, Whole};
use super::meter::{Meter, Unit};
use super::refusal::Refusal;
use super::text::{warn, whole};

/// The folder in the folder of a run.
pub const FOLDER: &str = "checkpoints";
/// What the names of checkpoints begin and end with.
const NAME: (&str, &str) = ("step-", ".safetensors");
/// Checkpoints from so many bytes on take long enough to check that it is shown.
const LONG: u64 = 1 << 28;
/// Training from this long on is saved before the tests.
const WORTH_SAVING: Duration = Duration::from_secs(60);

/// How often a checkpoint is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so many steps.
    Steps(u64),
    /// After so long.
    Time(Duration),
    /// Only where a run is interrupted.
    Never,
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
        let seconds = match unit {
            "" => None,
            "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            _ => return Err(wanted(text)),
        };
        let number = number.parse::<u64>().ok().filter(|&number| number > 0).ok_or_else(|| wanted(text))?;
        Ok(seconds.map_or(Self::Steps(number), |seconds| Self::Time(Duration::from_secs(number.saturating_mul(seconds)))))
    }
}

fn wanted(text: &str) -> String {
    format!("`{text}` is neither a number of steps, like 500, nor a time, like 90s, 10m or 2h, nor `never`")
}

/// What a checkpoint knows of the command that began the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The command line without the program.
    pub command: Vec<String>,
    /// The folder that its paths are of.
    pub folder: PathBuf,
    /// Seconds that the run took until then.
    pub seconds: f64,
    /// The steps at which it went on before.
    pub resumed_at: Vec<u64>,
}

/// Writes checkpoints into a run's folder and keeps the last few and the best.
pub struct Checkpoints<'a> {
    folder: PathBuf,
    every: Every,
    keep: usize,
    console: &'a RefCell<Console>,
    /// Of a checkpoint that would be written now.
    note: Note,
    began: Instant,
    /// When the last one was written, or training began.
    last: Option<Instant>,
    /// The last step that is saved.
    saved: Option<u64>,
    writing: Option<BufWriter<Whole>>,
    /// Why the last one could not be written.
    failed: Option<String>,
}

impl<'a> Checkpoints<'a> {
    /// For a run that begins, or goes on after a step.
    pub fn new(run: &Path, every: Every, keep: usize, note: Note, resumed: Option<u64>, console: &'a RefCell<Console>) -> Self {
        let folder = run.join(FOLDER);
        Self { folder, every, keep, console, note, began: Instant::now(), last: None, saved: resumed, writing: None, failed: None }
    }

    /// The file of the last step that is saved, or why there is none.
    pub fn last(&self) -> Result<PathBuf, String> {
        match (&self.failed, self.saved) {
            (None, Some(step)) => Ok(self.file(step)),
            (Some(why), Some(step)) => Err(format!("{why}. What is there is {}", self.file(step).display())),
            (why, None) => Err(why.clone().unwrap_or_else(|| "nothing was trained".into())),
        }
    }

    fn file(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{}{step:09}{}", NAME.0, NAME.1))
    }

    /// Puts what was written in its place.
    fn finish(&mut self) -> io::Result<()> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        writing.into_inner().map_err(io::IntoInnerError::into_error)?.keep()?;
        Ok(())
    }

    /// Removes all but the last few, the best, and what is none.
    fn prune(&self) {
        let all = all(&self.folder);
        let score = |path: &PathBuf| Some((File::open(path).ok().and_then(|mut file| peek(&mut file).ok())?.score?, path.clone()));
        let best = all.iter().filter_map(score).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, path)| path);
        for old in all.iter().skip(self.keep).filter(|&path| Some(path) != best.as_ref()) {
            // One that stays takes room and does no other harm.
            let _ = fs::remove_file(old);
        }
    }
}

impl Keeper for Checkpoints<'_> {
    fn wants(&mut self, step: u64, moment: Moment) -> bool {
        let last = *self.last.get_or_insert_with(Instant::now);
        if self.saved == Some(step) {
            return false;
        }
        match (moment, self.every) {
            (Moment::Stopped, _) => true,
            (_, Every::Never) => false,
            (Moment::Step, Every::Steps(steps)) => step.is_multiple_of(steps),
            (Moment::Step, Every::Time(time)) => last.elapsed() >= time,
            (Moment::Trained, Every::Steps(_)) => true,
            (Moment::Trained, Every::Time(time)) => self.saved.is_some() || last.elapsed() >= time.min(WORTH_SAVING),
        }
    }

    fn note(&self) -> String {
        let seconds = self.note.seconds + self.began.elapsed().as_secs_f64();
        serde_json::to_string(&Note { seconds, ..self.note.clone() }).unwrap_or_default()
    }

    fn open(&mut self, step: u64) -> io::Result<&mut dyn Write> {
        remove_halves(&self.folder);
        let file = Whole::create(&self.file(step))?;
        Ok(self.writing.insert(BufWriter::with_capacity(1 << 20, file)))
    }

    fn close(&mut self, step: u64, outcome: Result<u64, SaveError>) {
        self.last = Some(Instant::now());
        let finished = outcome.and_then(|bytes| self.finish().map(|()| bytes).map_err(SaveError::from));
        // Of one that failed nothing stays.
        self.writing = None;
        match finished {
            Ok(bytes) => {
                (self.saved, self.failed) = (Some(step), None);
                self.console.borrow_mut().saved(step, &self.file(step), bytes);
                self.prune();
            }
            Err(error) => {
                let why = format!("{} could not be written: {error}", self.file(step).display());
                self.console.borrow_mut().warn(&match self.saved {
                    Some(saved) => format!("{why}. That of step {} is there; training goes on.", whole(saved)),
                    None => format!("{why}. There is none yet; training goes on."),
                });
                self.failed = Some(why);
            }
        }
    }
}

/// The checkpoints of a folder, the newest first.
pub fn all(folder: &Path) -> Vec<PathBuf> {
    let step = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?.parse::<u64>().ok();
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<(u64, PathBuf)> = paths.filter_map(|path| Some((step(&path)?, path))).collect();
    all.sort_by(|a, b| b.cmp(a));
    all.into_iter().map(|(_, path)| path).collect()
}

/// Removes what a kill left half written. Only the run that holds the folder's lock does.
fn remove_halves(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(HALF) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a run's folder has a checkpoint.
pub fn has_any(run: &Path) -> bool {
    !all(&run.join(FOLDER)).is_empty()
}

/// A checkpoint that a run goes on from.
pub struct Found {
    /// The folder of the run.
    pub run: PathBuf,
    /// The file, whole.
    pub checkpoint: Checkpoint,
    /// How the run began.
    pub note: Note,
}

impl Found {
    /// The newest whole checkpoint of a run's folder, or the one that is named. Says which ones could not be used.
    pub fn of(asked: &Path, quiet: bool) -> Result<Self, Refusal> {
        let (run, files) = if asked.is_file() {
            let run = asked.parent().filter(|folder| folder.ends_with(FOLDER)).and_then(Path::parent);
            let advice = "Name the folder of a run, or a file in its `checkpoints`";
            (run.ok_or_else(|| Refusal::file(asked, "it does not lie in the folder of a run", advice))?, vec![asked.to_owned()])
        } else {
            (asked, all(&asked.join(FOLDER)))
        };
        if files.is_empty() {
            let why = if asked.is_dir() { "it holds no checkpoint" } else { "there is no such folder" };
            return Err(Refusal::file(asked, why, "Name the folder of a run that was interrupted, or begin a new run"));
        }
        let mut refused: Vec<String> = Vec::new();
        for path in &files {
            match open(path, quiet) {
                Ok((checkpoint, note)) => {
                    if !refused.is_empty() {
                        warn(&format!("{}. Going on from an older one that is whole: {}.", refused.join(". "), path.display()));
                    }
                    return Ok(Self { run: run.to_owned(), checkpoint, note });
                }
                Err(error) => refused.push(format!("{} cannot be used: {error}", path.display())),
            }
        }
        Err(Refusal::input(refused.join(". "), "Begin a new run"))
    }
}

/// A checkpoint and how its run began, every byte checked.
pub fn open(path: &Path, quiet: bool) -> Result<(Checkpoint, Note), CheckpointError> {
    let unreadable = |error: io::Error| CheckpointError::Unreadable { detail: error.to_string() };
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut meter = (!quiet && length >= LONG).then(|| {
        warn(&format!("Checking {} …", path.display()));
        Meter::new(length, Unit::Bytes)
    });
    let mut told = |done, _| meter.iter_mut().for_each(|meter| meter.show(done, "whole so far".into()));
    let checkpoint = Checkpoint::open(Box::new(file), &mut told);
    meter.into_iter().for_each(Meter::close);
    let checkpoint = checkpoint?;
    let note = serde_json::from_str(&checkpoint.header().note);
    Ok((checkpoint, note.map_err(|error| CheckpointError::Foreign { detail: format!("its note is none: {error}") })?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_times_are_told_apart() {
        assert_eq!("500".parse(), Ok(Every::Steps(500)));
        assert_eq!("90s".parse(), Ok(Every::Time(Duration::from_secs(90))));
        assert_eq!("10m".parse(), Ok(Every::Time(Duration::from_secs(600))));
        assert_eq!("2h".parse(), Ok(Every::Time(Duration::from_secs(7_200))));
        assert_eq!("never".parse(), Ok(Every::Never));
        for wrong in ["", "0", "m", "-5", "1.5h", "3 days"] {
            assert!(wrong.parse::<Every>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_newest_comes_first_and_half_ones_go() {
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        for name in ["step-000000020.safetensors", "step-000000003.safetensors", "step-1000000000.safetensors", ".writing-x", "step-4.txt"]
        {
            fs::write(folder.join(name), "").unwrap();
        }
        let names = || all(&folder).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(), ["step-1000000000.safetensors", "step-000000020.safetensors", "step-000000003.safetensors"]);
        remove_halves(&folder);
        assert!(!folder.join(".writing-x").exists() && names().len() == 3);
    }
}
