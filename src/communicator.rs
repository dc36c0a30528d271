//! What several processes tell each other that train one model together, each on its part of every batch. Whatever carries it stands
//! behind [`Communicator`]: threads of one process here, MPI in `communicator/mpi.rs`, the cards of a machine in `communicator/cards.rs`.

#[cfg(feature = "cuda")]
pub mod cards;
#[cfg(feature = "mpi")]
pub mod mpi;

use std::sync::{Arc, Barrier, Mutex, PoisonError};

use burn::tensor::Tensor;

/// The processes of a run, as one of them sees them. All make the same calls in the same order, each as long as the others'; a call
/// returns once every process has made it. Where one is gone it never returns: whoever started the processes ends them.
pub trait Communicator: Send + Sync {
    /// This process, counted from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn processes(&self) -> usize;

    /// The machine that it runs on, by a number.
    fn machine(&self) -> u64;

    /// What all gave, in the order of their ranks.
    fn gather(&self, own: &[f32]) -> Vec<f32>;

    /// Gives every process its part of `own`, parts of one length in the order of the ranks; what all gave this one, in that order.
    fn exchange(&self, own: &[f32]) -> Vec<f32>;

    /// The mean of what all gave, place by place. It is summed in the order of the ranks, once for all: every process has the same bytes.
    fn mean(&self, mut own: Vec<f32>) -> Vec<f32> {
        let (length, processes) = (own.len(), self.processes());
        let part = length.div_ceil(processes);
        own.resize(part * processes, 0.0);
        let parts = self.exchange(&own);
        let sum = |place: usize| parts.iter().skip(place).step_by(part).map(|&value| f64::from(value)).sum::<f64>();
        let means: Vec<f32> = (0..part).map(|place| (sum(place) / processes as f64) as f32).collect();
        let mut all = self.gather(&means);
        all.truncate(length);
        all
    }

    /// The same of tensors, where the devices make it among themselves; none where numbers go through the host.
    fn mean_on_devices(&self, _own: &[Tensor<1>]) -> Option<Vec<Tensor<1>>> {
        None
    }

    /// How many of those before this process run on its machine: which of several cards there it takes.
    fn place(&self) -> usize {
        let own = self.machine();
        self.words(own).into_iter().take(self.rank()).filter(|&machine| machine == own).count()
    }

    /// How many of them run on this machine and share its memory.
    fn on_this_machine(&self) -> usize {
        let own = self.machine();
        self.words(own).into_iter().filter(|&machine| machine == own).count()
    }

    /// Whether any process says so.
    fn any(&self, own: bool) -> bool {
        self.gather(&[f32::from(u8::from(own))]).iter().any(|&said| said > 0.0)
    }

    /// What each says, in the order of their ranks.
    fn words(&self, own: u64) -> Vec<u64> {
        let halves = [own as u32, (own >> 32) as u32].map(f32::from_bits);
        let words = self.gather(&halves);
        words.chunks_exact(2).map(|halves| u64::from(halves[0].to_bits()) | u64::from(halves[1].to_bits()) << 32).collect()
    }
}

/// A process that is a thread of this one: for tests, and for whoever shares a batch among threads.
pub struct Thread {
    rank: usize,
    shared: Arc<Shared>,
}

/// What the threads have given.
struct Shared {
    given: Mutex<Vec<Vec<f32>>>,
    turn: Barrier,
}

impl Thread {
    /// So many, in the order of their ranks.
    pub fn several(processes: usize) -> Vec<Self> {
        let shared = Arc::new(Shared { given: Mutex::new(vec![Vec::new(); processes]), turn: Barrier::new(processes) });
        (0..processes).map(|rank| Self { rank, shared: shared.clone() }).collect()
    }

    /// Gives, waits for all, takes, and waits until all have taken.
    fn round(&self, own: &[f32], take: impl Fn(&[f32]) -> &[f32]) -> Vec<f32> {
        let given = || self.shared.given.lock().unwrap_or_else(PoisonError::into_inner);
        given()[self.rank] = own.to_vec();
        self.shared.turn.wait();
        let taken = given().iter().flat_map(|of_one| take(of_one)).copied().collect();
        self.shared.turn.wait();
        taken
    }
}

impl Communicator for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn processes(&self) -> usize {
        self.shared.given.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn machine(&self) -> u64 {
        0
    }

    fn gather(&self, own: &[f32]) -> Vec<f32> {
        self.round(own, |of_one| of_one)
    }

    fn exchange(&self, own: &[f32]) -> Vec<f32> {
        let part = own.len() / self.processes();
        self.round(own, |of_one| &of_one[self.rank * part..(self.rank + 1) * part])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each<R: Send>(processes: usize, task: impl Fn(&Thread) -> R + Sync) -> Vec<R> {
        crate::platform::map(&Thread::several(processes), task)
    }

    #[test]
    fn a_mean_is_the_same_bytes_everywhere_whatever_its_length() {
        for length in [0, 1, 2, 5, 6] {
            let given = |rank: usize| (0..length).map(|place| 0.1 * (rank * rank * 10 + place) as f32).collect::<Vec<_>>();
            let means = each(3, |thread| thread.mean(given(thread.rank())));
            assert!(means.iter().all(|mean| *mean == means[0]) && means[0].len() == length);
            for (place, &mean) in means[0].iter().enumerate() {
                let expected = (0..3).map(|rank| f64::from(given(rank)[place])).sum::<f64>() / 3.0;
                assert_eq!(mean, expected as f32);
            }
        }
    }

    #[test]
    fn words_and_flags_reach_all() {
        let words = [7, u64::MAX - 2, 0x7ff8_0000_7fc0_0001];
        assert_eq!(each(3, |thread| thread.words(words[thread.rank()])), vec![words.to_vec(); 3]);
        assert_eq!(each(3, |thread| thread.any(thread.rank() == 2)), [true; 3]);
        assert_eq!(each(3, |thread| thread.any(false)), [false; 3]);
    }

    #[test]
    fn a_place_is_counted_on_each_machine() {
        struct Elsewhere<'a>(&'a Thread);
        impl Communicator for Elsewhere<'_> {
            fn rank(&self) -> usize {
                self.0.rank()
            }
            fn processes(&self) -> usize {
                self.0.processes()
            }
            fn machine(&self) -> u64 {
                self.rank() as u64 % 2
            }
            fn gather(&self, own: &[f32]) -> Vec<f32> {
                self.0.gather(own)
            }
            fn exchange(&self, own: &[f32]) -> Vec<f32> {
                self.0.exchange(own)
            }
        }
        assert_eq!(each(4, Communicator::place), [0, 1, 2, 3]);
        assert_eq!(each(5, |thread| Elsewhere(thread).place()), [0, 0, 1, 1, 2]);
        assert_eq!(each(5, |thread| Elsewhere(thread).on_this_machine()), [3, 2, 3, 2, 3]);
    }
}
