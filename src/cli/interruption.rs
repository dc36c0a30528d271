//! Ctrl-C, and SIGTERM and SIGHUP like it: each ends the stage under way, and nothing that was learned is lost.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use duia::wire::{Event, Stage, State};

use super::files::RunFolder;
use super::text::warn;

/// What a shell expects of a program that Ctrl-C ended.
pub const INTERRUPTED: u8 = 130;

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
    /// Not even that.
    Nothing,
}

/// What an interruption in a phase leaves wanted, and what is said about it.
fn answer(phase: Phase, wanted: Wanted) -> (Wanted, &'static str) {
    const AT_ONCE: &str = "Ended at once.";
    match (phase, wanted) {
        (Phase::Preparing, _) => (Wanted::Nothing, "Ended before training began: there is nothing to keep."),
        (Phase::Training, Wanted::All) => {
            (Wanted::Test, "Training ends with this step; then what was learned is kept and tested. Ctrl-C once more leaves the test out.")
        }
        (Phase::Training, Wanted::Test) => (Wanted::Files, "The test is left out, too. Ctrl-C once more ends the program at once."),
        (Phase::Testing, Wanted::All | Wanted::Test) => (
            Wanted::Files,
            "The test ends here; what was learned and measured until now is written. Ctrl-C once more ends the program at once.",
        ),
        (Phase::Writing, Wanted::All | Wanted::Test) => {
            (Wanted::Files, "The files are being written. Ctrl-C once more ends the program at once.")
        }
        (_, Wanted::Files | Wanted::Nothing) => (Wanted::Nothing, AT_ONCE),
    }
}

/// Hears interruptions. Where no handler can be set, the first one ends the program.
#[derive(Clone)]
pub struct Interruption(Arc<Shared>);

struct Shared {
    phase: AtomicU8,
    wanted: AtomicU8,
    folder: Mutex<Option<Arc<RunFolder>>>,
}

impl Interruption {
    /// Listens from now on.
    pub fn listen() -> Self {
        let shared = Arc::new(Shared {
            phase: AtomicU8::new(Phase::Preparing as u8),
            wanted: AtomicU8::new(Wanted::All as u8),
            folder: Mutex::new(None),
        });
        let heard = shared.clone();
        let _ = ctrlc::set_handler(move || heard.hear());
        Self(shared)
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
            Event::State(State::Playing) => self.enter(Phase::Training),
            Event::Stage(Stage::FinalTest) => self.enter(Phase::Testing),
            _ => {}
        }
    }

    /// The run is over; what follows are its files.
    pub fn writing(&self) {
        self.enter(Phase::Writing);
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
    fn phase(&self) -> Phase {
        match self.phase.load(SeqCst) {
            0 => Phase::Preparing,
            1 => Phase::Training,
            2 => Phase::Testing,
            _ => Phase::Writing,
        }
    }

    fn wanted(&self) -> Wanted {
        match self.wanted.load(SeqCst) {
            0 => Wanted::All,
            1 => Wanted::Test,
            2 => Wanted::Files,
            _ => Wanted::Nothing,
        }
    }

    fn hear(&self) {
        let (wanted, said) = answer(self.phase(), self.wanted());
        self.wanted.store(wanted as u8, SeqCst);
        warn(said);
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
    fn each_interruption_ends_the_stage_under_way() {
        let from = |phase, wanted| answer(phase, wanted).0;
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
}
