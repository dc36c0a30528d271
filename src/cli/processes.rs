//! The processes that `mpirun` started. The first one is a run as any other; the others compute their part of every batch, and say and
//! write nothing.

use std::env;

use duia::model::together::Together;

use super::arguments::{Arguments, Command};
use super::refusal::Refusal;

/// Where launchers say how many processes they started: Open MPI's, and those of MPICH's kin.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// This process among those that were started with it.
#[derive(Default)]
pub struct Processes {
    together: Together,
    #[cfg(feature = "mpi")]
    membership: Option<duia::communicator::mpi::Membership>,
}

impl Processes {
    /// Joins those that were started with this one, where there are any and the command is for several.
    pub fn join(arguments: &Arguments) -> Result<Self, Refusal> {
        let started = SIZES.iter().find_map(|name| env::var(name).ok()?.parse::<usize>().ok()).unwrap_or(1);
        if started == 1 {
            return Ok(Self::default());
        }
        if !matches!(arguments.command, None | Some(Command::Train(_))) {
            return Err(Refusal::input(format!("{started} processes would do the same each"), "Start this command without mpirun"));
        }
        Self::joined(started)
    }

    #[cfg(feature = "mpi")]
    fn joined(_started: usize) -> Result<Self, Refusal> {
        use std::sync::Arc;

        use duia::communicator::Communicator;
        use duia::communicator::mpi::Membership;

        let membership = Membership::join();
        let communicator = membership.as_ref().map(|membership| Arc::new(membership.communicator()) as Arc<dyn Communicator>);
        Ok(Self { together: communicator.map(Together::from).unwrap_or_default(), membership })
    }

    #[cfg(not(feature = "mpi"))]
    fn joined(started: usize) -> Result<Self, Refusal> {
        let why = format!("this program was built without MPI, and {started} processes would each train the whole");
        Err(Refusal::input(why, "Build it with `cargo build --release --features mpi`, or start it without mpirun"))
    }

    /// How this process shares its batches.
    pub fn together(&self) -> Together {
        self.together.clone()
    }

    /// Whose sentence it is, where it may be that of another process than the first.
    pub fn signed(&self, sentence: &str) -> String {
        match self.together.several() {
            Some(several) if several.rank() > 0 => format!("Process {} of {}: {sentence}", several.rank(), several.processes()),
            _ => sentence.into(),
        }
    }

    /// Leaves the others, which end as this one does. After an error they cannot: then they are ended.
    #[cfg(feature = "mpi")]
    pub fn end(self, outcome: &Result<(), Refusal>) {
        let Some(membership) = self.membership else { return };
        match outcome {
            Ok(()) | Err(Refusal::Stopped | Refusal::Untested) => membership.leave(),
            Err(refusal) => membership.abort(refusal.number()),
        }
    }

    #[cfg(not(feature = "mpi"))]
    pub fn end(self, _outcome: &Result<(), Refusal>) {}
}
