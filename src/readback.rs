//! Numbers on their way from the device, many tensors in one round trip: on a GPU it is the trip that costs.

use burn::tensor::{Tensor, TensorData, Transaction, kind};

use crate::train::TrainError;

/// Tensors that are read back together.
#[derive(Default)]
pub struct ReadBack(Transaction);

/// The numbers of the tensors of a [`ReadBack`], in the order in which they were asked for.
pub struct Answers(std::vec::IntoIter<TensorData>);

impl ReadBack {
    /// One tensor more.
    pub fn ask<const D: usize, K: kind::Transaction>(&mut self, tensor: Tensor<D, K>) {
        self.0 = std::mem::take(&mut self.0).register(tensor);
    }

    /// The round trip.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn answers(self) -> Result<Answers, TrainError> {
        Ok(Answers(self.0.execute_async().await?.into_iter()))
    }
}

impl Answers {
    /// The numbers of the next tensor, one of floats.
    ///
    /// # Errors
    /// Nothing that can be read as such is left.
    pub fn floats(&mut self) -> Result<Vec<f32>, TrainError> {
        self.next()?.try_into_vec().map_err(|_| short())
    }

    /// The numbers of the next tensor, one of integers.
    ///
    /// # Errors
    /// Nothing that can be read as such is left.
    pub fn integers(&mut self) -> Result<Vec<i32>, TrainError> {
        self.next()?.try_into_vec().map_err(|_| short())
    }

    fn next(&mut self) -> Result<TensorData, TrainError> {
        self.0.next().ok_or_else(short)
    }
}

fn short() -> TrainError {
    TrainError::Device("a read-back came short".into())
}
