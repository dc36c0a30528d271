//! Sums over the batch on the CPU: burn's own.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;

use super::{BatchSums, DenseKernels, MeanKernels};

impl DenseKernels for Flex {}

impl MeanKernels for Flex {
    fn mean(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Flex::float_mean(x)
    }
}

impl BatchSums for Flex {
    fn sum_samples(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let samples = x.shape().num_dims() - 2;
        Flex::float_sum_dim(x, samples)
    }

    fn sum_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Flex::float_sum_dim(x, 1)
    }

    fn product_grad_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        Flex::float_matmul(Flex::float_transpose(x), grad)
    }
}
