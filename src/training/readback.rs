//! Numbers on their way from the device, many tensors in one round trip: on a GPU it is the trip that costs.
//!
//! A tensor that is asked for gives a handle of its kind, and the handle takes the numbers: nothing depends on the order in
//! which others ask.

use std::marker::PhantomData;

use burn::tensor::{Element, Float, Int, Tensor, TensorData, Transaction, kind};

use super::TrainError;

/// A kind of tensor that can be read back, and what its numbers are on the host.
pub trait Readable: kind::Transaction {
    /// A number on the host.
    type Number: Element;
}

impl Readable for Float {
    type Number = f32;
}

impl Readable for Int {
    type Number = i32;
}

/// Tensors that are read back together.
#[derive(Default)]
pub struct ReadBack {
    transaction: Transaction,
    tensors: usize,
}

/// A tensor that was asked for: what takes its numbers from the [`Answers`] of the same [`ReadBack`], once.
#[must_use]
pub struct Asked<K = Float> {
    place: usize,
    kind: PhantomData<K>,
}

/// The numbers of the tensors of a [`ReadBack`].
pub struct Answers(Vec<Option<TensorData>>);

impl ReadBack {
    /// One tensor more.
    pub fn ask<const D: usize, K: Readable>(&mut self, tensor: Tensor<D, K>) -> Asked<K> {
        self.transaction = std::mem::take(&mut self.transaction).register(tensor);
        self.tensors += 1;
        Asked { place: self.tensors - 1, kind: PhantomData }
    }

    /// The round trip; none where nothing was asked for.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn answers(self) -> Result<Answers, TrainError> {
        if self.tensors == 0 {
            return Ok(Answers(Vec::new()));
        }
        Ok(Answers(self.transaction.execute_async().await?.into_iter().map(Some).collect()))
    }
}

impl Answers {
    /// The numbers of a tensor, row-major.
    ///
    /// # Errors
    /// A device that gave fewer tensors, or others, than it was asked for.
    pub fn take<K: Readable>(&mut self, asked: Asked<K>) -> Result<Vec<K::Number>, TrainError> {
        let short = || TrainError::Device("a read-back came short".into());
        let data = self.0.get_mut(asked.place).and_then(Option::take).ok_or_else(short)?;
        data.try_into_vec().map_err(|_| short())
    }
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::platform::block_on;

    #[test]
    fn each_handle_takes_its_own_numbers_in_whatever_order() {
        let device = Device::flex();
        let mut readback = ReadBack::default();
        let ones = readback.ask(Tensor::<2>::ones([1, 2], &device));
        let ids = readback.ask(Tensor::<1, Int>::from_data(TensorData::from([3i32, 4]), (&device, burn::tensor::DType::I32)));
        let zeros = readback.ask(Tensor::<1>::zeros([1], &device));
        let mut answers = block_on(readback.answers()).unwrap();
        assert_eq!(answers.take(zeros).unwrap(), [0.0f32]);
        assert_eq!(answers.take(ids).unwrap(), [3, 4]);
        assert_eq!(answers.take(ones).unwrap(), [1.0f32, 1.0]);
    }
}
