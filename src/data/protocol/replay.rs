//! The batches of a data set in their order, built when they are asked for or by other threads before.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::{Batch, Dataset};

/// Batches that each thread keeps ready.
const READY: usize = 4;

/// The batches of a data set in time order: all of training, as often as there are passes, then the test. What a model has learned
/// is the model's own affair: a replay is nothing but a place in the order, and may begin at any.
pub struct Replay {
    dataset: Dataset,
    /// Training batches given; all of them once the test has begun.
    trained: u64,
    tested: u64,
    ahead: Option<Ahead>,
}

impl Replay {
    pub(super) fn new(dataset: Dataset) -> Self {
        Self { dataset, trained: 0, tested: 0, ahead: None }
    }

    /// Goes on after so many training batches, as a resumed run does; in the test where there are no more.
    #[must_use]
    pub fn from_step(self, step: u64) -> Self {
        Self { trained: step.min(self.dataset.train_steps()), ..self }
    }

    /// Lets so many threads build training batches ahead of the caller; the batches are the same. With none, or where no thread
    /// can be started (a browser), each batch is built when it is asked for.
    #[must_use]
    pub fn ahead(self, threads: usize) -> Self {
        let ahead = Ahead::start(&self.dataset, self.trained, threads);
        Self { ahead, ..self }
    }

    /// The next training batch, always full; none once fewer samples of the last pass are left than one needs, or once the test
    /// has begun.
    pub fn next_train(&mut self) -> Option<Batch> {
        if self.trained >= self.dataset.train_steps() {
            self.end_training();
            return None;
        }
        let step = self.trained;
        self.trained += 1;
        let built = self.ahead.as_ref().and_then(|ahead| ahead.take(step));
        Some(built.unwrap_or_else(|| self.dataset.train_batch(step)))
    }

    /// The next test batch; the last one is padded. It ends training.
    pub fn next_test(&mut self) -> Option<Batch> {
        self.end_training();
        let step = self.next_of_test()?;
        Some(self.dataset.test_batch(step))
    }

    /// The next batch of a streaming test, see [`Dataset::streaming_batch`]. It ends training.
    pub fn next_streaming(&mut self) -> Option<Batch> {
        self.end_training();
        let step = self.next_of_test()?;
        Some(self.dataset.streaming_batch(step))
    }

    fn next_of_test(&mut self) -> Option<u64> {
        (self.tested < self.dataset.test_steps()).then(|| {
            self.tested += 1;
            self.tested - 1
        })
    }

    fn end_training(&mut self) {
        self.trained = self.dataset.train_steps();
        self.ahead = None;
    }
}

/// Threads that build every `n`th batch each and hand them over in order. They end when this is dropped.
struct Ahead {
    first: u64,
    /// `[threads]`.
    built: Vec<Receiver<Batch>>,
}

impl Ahead {
    fn start(dataset: &Dataset, first: u64, threads: usize) -> Option<Self> {
        let mut built = Vec::new();
        for thread in 0..threads as u64 {
            let (send, receive) = sync_channel(READY);
            let dataset = dataset.clone();
            let build = move || {
                for step in (first + thread..dataset.train_steps()).step_by(threads) {
                    // Nobody waits for more where sending fails.
                    if send.send(dataset.train_batch(step)).is_err() {
                        break;
                    }
                }
            };
            // A browser has no threads: then the caller builds.
            thread::Builder::new().name(format!("batches {thread}")).spawn(build).ok()?;
            built.push(receive);
        }
        (threads > 0).then_some(Self { first, built })
    }

    /// The batch of a step, the next in order. None where its thread is gone.
    fn take(&self, step: u64) -> Option<Batch> {
        let thread = (step - self.first) % self.built.len() as u64;
        self.built[thread as usize].recv().ok()
    }
}
