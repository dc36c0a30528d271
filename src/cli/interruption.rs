//! Ctrl-C, and SIGTERM and SIGHUP like it: the first one saves the run, to go on from, and the second ends the program at once. With
//! `--test-on-interrupt` each ends the stage under way instead. Nothing that was learned is lost.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use duia::wire::{Event, Stage, State};

use super::checkpoints::has_any;
use super::refusal::INTERRUPTED;
use super::run_folder::RunFolder;
use super::text::warn;

/// Where a run stands, as far as an interruption is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Phase {
    /// Nothing is learned yet.
    Preparing,
    Training,
    Testing,
    /// The tests are over; tables and files are being made.
    Writing,
}

/// What is still wanted of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Wanted {
    All,
    /// No more training.
    Test,
    /// No test either: what there is.
    Files,
    /// No test and no files but a checkpoint, to go on from.
    Checkpoint,
    /// Not even that.
    Nothing,
}

const ALL_WANTED: [Wanted; 5] = [Wanted::All, Wanted::Test, Wanted::Files, Wanted::Checkpoint, Wanted::Nothing];

/// What an interruption in a phase leaves wanted, and what is said about it. `tests` is whether the first one in training begins the
/// test of what was learned; else all is saved, to go on from.
fn answer(phase: Phase, wanted: Wanted, tests: bool) -> (Wanted, &'static str) {
    match (phase, wanted) {
        (Phase::Preparing, _) => (Wanted::Nothing, "Ended before training began: there is nothing to keep."),
        (_, Wanted::Files | Wanted::Checkpoint | Wanted::Nothing) => (Wanted::Nothing, "Ended at once."),
        (Phase::Writing, _) => (Wanted::Files, "The files are being written. Ctrl-C once more ends the program at once."),
        (Phase::Training, Wanted::All) if !tests => {
            (Wanted::Checkpoint, "Training ends with this step, and all of it is saved. Ctrl-C once more ends the program at once.")
        }
        (Phase::Testing, Wanted::All) if !tests => {
            (Wanted::Checkpoint, "The test ends here, and what was learned is saved. Ctrl-C once more ends the program at once.")
        }
        (Phase::Training, Wanted::All) => {
            (Wanted::Test, "Training ends with this step; then what was learned is kept and tested. Ctrl-C once more leaves the test out.")
        }
        (Phase::Training, Wanted::Test) => (Wanted::Files, "The test is left out, too. Ctrl-C once more ends the program at once."),
        (Phase::Testing, Wanted::All | Wanted::Test) => (
            Wanted::Files,
            "The test ends here; what was learned and measured until now is written. Ctrl-C once more ends the program at once.",
        ),
    }
}

/// Hears interruptions. Where no handler can be set, the first one ends the program.
#[derive(Clone)]
pub struct Interruption(Arc<Shared>);

/// Who speaks of an interruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// The only process of a run.
    OfOne,
    /// The first of several. `mpirun` interrupts them where one of them died, or where it was interrupted itself, and ends them a second
    /// later: a step that waits for the dead never ends.
    OfSeveral,
    /// Another of several.
    Silent,
}

struct Shared {
    phase: AtomicU8,
    wanted: AtomicU8,
    tests: bool,
    voice: Voice,
    folder: Mutex<Option<Arc<RunFolder>>>,
}

impl Interruption {
    /// Listens from now on. With `tests` the first one in training begins the test.
    pub fn listen(tests: bool, voice: Voice) -> Self {
        let shared = Arc::new(Shared::new(tests, voice));
        let heard = shared.clone();
        let _ = ctrlc::set_handler(move || heard.hear());
        Self(shared)
    }

    /// Of a thread beside the one that listens: what that one hears, every step tells all of them.
    #[cfg(feature = "cuda")]
    pub fn unheard(tests: bool) -> Self {
        Self(Arc::new(Shared::new(tests, Voice::Silent)))
    }

    /// The folder to remove where the program ends before it holds anything.
    pub fn guard(&self, folder: &Arc<RunFolder>) {
        if let Ok(mut guarded) = self.0.folder.lock() {
            *guarded = Some(folder.clone());
        }
    }

    /// Follows a run by its events.
    pub fn follow(&self, event: &Event) {
        match event {
            // Not only when it plays: the line that training begins is shown now, and an interruption upon it must keep the run.
            Event::Ready { .. } | Event::State(State::Playing) => self.enter(Phase::Training),
            Event::Stage(Stage::FinalTest) => self.enter(Phase::Testing),
            _ => {}
        }
    }

    /// The run is over; what follows are its files.
    pub fn writing(&self) {
        self.enter(Phase::Writing);
    }

    /// Whether the run is to end with a checkpoint.
    pub fn stops(&self) -> bool {
        self.0.wanted() == Wanted::Checkpoint
    }

    /// Whether training is to end.
    pub fn ends_training(&self) -> bool {
        self.0.wanted() > Wanted::All
    }

    /// Whether the tests are to end.
    pub fn ends_test(&self) -> bool {
        self.0.wanted() > Wanted::Test
    }

    fn enter(&self, phase: Phase) {
        self.0.phase.store(phase as u8, SeqCst);
    }
}

impl Shared {
    fn new(tests: bool, voice: Voice) -> Self {
        let (phase, wanted) = (AtomicU8::new(Phase::Preparing as u8), AtomicU8::new(Wanted::All as u8));
        Self { phase, wanted, tests, voice, folder: Mutex::new(None) }
    }

    fn phase(&self) -> Phase {
        match self.phase.load(SeqCst) {
            0 => Phase::Preparing,
            1 => Phase::Training,
            2 => Phase::Testing,
            _ => Phase::Writing,
        }
    }

    fn wanted(&self) -> Wanted {
        ALL_WANTED.into_iter().find(|&wanted| wanted as u8 == self.wanted.load(SeqCst)).unwrap_or(Wanted::Nothing)
    }

    /// What is true of several processes, whatever interrupted them.
    fn said_of_several(&self) -> String {
        let folder = self.folder.lock().ok().and_then(|folder| folder.as_ref().map(|folder| folder.path().to_owned()));
        let next = match folder.filter(|folder| has_any(folder)) {
            Some(folder) => format!("it goes on from its last checkpoint: duia train --resume {}", folder.display()),
            None => "it has no checkpoint yet, so begin it again".into(),
        };
        format!("A process of this run has ended, or all are told to end. Where no word comes that the run is saved, {next}")
    }

    fn hear(&self) {
        let phase = self.phase();
        let (wanted, said) = answer(phase, self.wanted(), self.tests);
        self.wanted.store(wanted as u8, SeqCst);
        match self.voice {
            Voice::Silent => {}
            Voice::OfSeveral if matches!(phase, Phase::Training | Phase::Testing) => warn(&self.said_of_several()),
            Voice::OfOne | Voice::OfSeveral => warn(said),
        }
        if wanted == Wanted::Nothing {
            if let Ok(folder) = self.folder.lock() {
                folder.iter().for_each(|folder| folder.discard_if_empty());
            }
            std::process::exit(INTERRUPTED.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_has_begun_as_soon_as_it_is_said_to_begin() {
        let interruption = Interruption(Arc::new(Shared::new(true, Voice::OfOne)));
        assert_eq!(interruption.0.phase(), Phase::Preparing);
        interruption.follow(&Event::Ready { variants: Vec::new(), steps: 10, probe_positives: 16, losses: Vec::new() });
        assert_eq!(interruption.0.phase(), Phase::Training);
    }

    #[test]
    fn each_interruption_ends_the_stage_under_way() {
        let from = |phase, wanted| answer(phase, wanted, true).0;
        assert_eq!(from(Phase::Preparing, Wanted::All), Wanted::Nothing);
        assert_eq!(from(Phase::Training, Wanted::All), Wanted::Test);
        assert_eq!(from(Phase::Training, Wanted::Test), Wanted::Files);
        // The second one, while the test that the first one began is under way; and the first one in the test of a whole run.
        assert_eq!([Wanted::Test, Wanted::All].map(|wanted| from(Phase::Testing, wanted)), [Wanted::Files; 2]);
        assert_eq!(from(Phase::Writing, Wanted::All), Wanted::Files);
        for phase in [Phase::Training, Phase::Testing, Phase::Writing] {
            assert_eq!(from(phase, Wanted::Files), Wanted::Nothing);
        }
    }
    #[test]
    fn the_first_interruption_saves_and_the_second_ends_at_once() {
        let from = |phase, wanted| answer(phase, wanted, false).0;
        assert_eq!(from(Phase::Preparing, Wanted::All), Wanted::Nothing);
        for phase in [Phase::Training, Phase::Testing] {
            assert_eq!(from(phase, Wanted::All), Wanted::Checkpoint);
            assert_eq!(from(phase, Wanted::Checkpoint), Wanted::Nothing);
        }
        assert_eq!(from(Phase::Writing, Wanted::All), Wanted::Files);
    }
}
