//! Several cards of one machine, a thread each. What every card holds whole is averaged by NCCL, through burn's `all_reduce`, and never
//! leaves the cards; rows go through memory, as between any threads.

use std::sync::Arc;

use burn::tensor::distributed::{ReduceOperation, all_reduce};
use burn::tensor::{Device, Tensor};

use super::{Communicator, Thread};

/// A card among those that share every batch.
pub struct Card {
    thread: Thread,
    all: Arc<[Device]>,
}

impl Card {
    /// So many, in the order in which CUDA counts them.
    pub fn several(cards: usize) -> Vec<Self> {
        let all: Arc<[Device]> = (0..cards).map(Device::cuda).collect();
        Thread::several(cards).into_iter().map(|thread| Self { thread, all: all.clone() }).collect()
    }

    /// The card's own device.
    pub fn device(&self) -> Device {
        self.all[self.thread.rank()].clone()
    }
}

impl Communicator for Card {
    fn rank(&self) -> usize {
        self.thread.rank()
    }

    fn processes(&self) -> usize {
        self.thread.processes()
    }

    fn machine(&self) -> u64 {
        self.thread.machine()
    }

    fn gather(&self, own: &[f32]) -> Vec<f32> {
        self.thread.gather(own)
    }

    fn exchange(&self, own: &[f32]) -> Vec<f32> {
        self.thread.exchange(own)
    }

    /// In one message: a launch for each of a model's weights would cost more than the sum.
    fn mean_on_devices(&self, own: &[Tensor<1>]) -> Option<Vec<Tensor<1>>> {
        let all = all_reduce(Tensor::cat(own.to_vec(), 0), ReduceOperation::Mean, self.all.to_vec()).resolve();
        let lengths: Vec<usize> = own.iter().map(|tensor| tensor.dims()[0]).collect();
        Some(all.split_with_sizes(lengths, 0))
    }
}
