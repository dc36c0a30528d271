//! Processes that an MPI started (`mpirun -n 2 duia …`), on one machine or on many.

use std::hash::Hasher;
use std::mem::ManuallyDrop;

use fnv::FnvHasher;
use mpi::environment::Universe;
use mpi::topology::{Communicator as _, SimpleCommunicator};
use mpi::traits::CommunicatorCollectives;
use mpi::{Threading, environment};

use super::Communicator;

/// Being one of the processes of an MPI. It lasts until it is [left](Membership::leave) or the process ends; a process that ends
/// without leaving, by an error or a panic, ends the others: they would wait for it for ever.
pub struct Membership(ManuallyDrop<Universe>);

impl Membership {
    /// Joins the processes that were started with this one; none where that was done before.
    pub fn join() -> Option<Self> {
        // One thread at a time speaks, whichever it is.
        let (universe, _) = mpi::initialize_with_threading(Threading::Serialized)?;
        Some(Self(ManuallyDrop::new(universe)))
    }

    /// The processes.
    pub fn communicator(&self) -> Mpi {
        let world = self.0.world();
        Mpi { rank: world.rank() as usize, processes: world.size() as usize }
    }

    /// Waits for the others to leave, too.
    pub fn leave(self) {
        drop(ManuallyDrop::into_inner(self.0));
    }

    /// Ends all processes, with a code for whoever started them.
    pub fn abort(self, code: u8) -> ! {
        self.0.world().abort(code.into())
    }
}

/// All processes of an MPI.
pub struct Mpi {
    rank: usize,
    processes: usize,
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn processes(&self) -> usize {
        self.processes
    }

    fn machine(&self) -> u64 {
        let mut hasher = FnvHasher::default();
        hasher.write(environment::processor_name().unwrap_or_default().as_bytes());
        hasher.finish()
    }

    fn gather(&self, own: &[f32]) -> Vec<f32> {
        let mut all = vec![0.0; own.len() * self.processes];
        SimpleCommunicator::world().all_gather_into(own, &mut all[..]);
        all
    }

    fn exchange(&self, own: &[f32]) -> Vec<f32> {
        let mut all = vec![0.0; own.len()];
        SimpleCommunicator::world().all_to_all_into(own, &mut all[..]);
        all
    }
}
