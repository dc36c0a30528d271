//! The batches of a data set in their order.

use super::{Batch, Dataset};

/// The batches of a data set in time order: all of training, as often as there are passes, then the test. What a model has learned
/// is the model's own affair: a replay is nothing but a place in the order, and may begin at any.
pub struct Replay {
    dataset: Dataset,
    /// Training batches given; all of them once the test has begun.
    trained: u64,
    tested: u64,
}

impl Replay {
    pub(super) fn new(dataset: Dataset) -> Self {
        Self { dataset, trained: 0, tested: 0 }
    }

    /// The next training batch, always full; none once fewer samples of the last pass are left than one needs, or once the test
    /// has begun.
    pub fn next_train(&mut self) -> Option<Batch> {
        let step = self.trained;
        (step < self.dataset.train_steps()).then(|| {
            self.trained += 1;
            self.dataset.train_batch(step)
        })
    }

    /// The next test batch; the last one is padded. It ends training.
    pub fn next_test(&mut self) -> Option<Batch> {
        self.next_of_test().map(|step| self.dataset.test_batch(step))
    }

    /// The next batch of a streaming test, see [`Dataset::streaming_batch`]. It ends training.
    pub fn next_streaming(&mut self) -> Option<Batch> {
        self.next_of_test().map(|step| self.dataset.streaming_batch(step))
    }

    fn next_of_test(&mut self) -> Option<u64> {
        self.trained = self.dataset.train_steps();
        (self.tested < self.dataset.test_steps()).then(|| {
            self.tested += 1;
            self.tested - 1
        })
    }
}
