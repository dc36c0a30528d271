//! Dense layers on the CPU: burn's own operations, large products on all cores.

use std::ops::Range;

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;

use super::{BatchSums, DenseKernels, MeanKernels};
use crate::platform;

/// Multiplications of a product that is worth a thread for each part: a few milliseconds of one. The page's layers take less time than
/// threads take to start.
const WORTH_THREADS: usize = 1 << 26;

impl DenseKernels for Flex {
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = x.shape();
        let outputs = weight.shape()[shape.num_dims() - 1];
        let parts = if shape.num_elements() * outputs < WORTH_THREADS { 1 } else { platform::threads() };
        product(x, weight, parts)
    }
}

/// `a b` in parts of `a`'s first axis, or of its rows where the first axis has fewer than there are parts, each on a thread of its own. A
/// number of the product is summed in the same order whatever part it is in, so the bytes do not depend on them.
fn product(a: FloatTensor<Flex>, b: FloatTensor<Flex>, parts: usize) -> FloatTensor<Flex> {
    if parts == 1 {
        return Flex::float_matmul(a, b);
    }
    let shape = a.shape();
    let rows = shape.num_dims() - 2;
    let axis = if shape[0] < parts { rows } else { 0 };
    let share = shape[axis].div_ceil(parts).max(1);
    let bounds: Vec<Range<usize>> = (0..shape[axis]).step_by(share).map(|first| first..(first + share).min(shape[axis])).collect();
    let cut = |x: &FloatTensor<Flex>, own: &Range<usize>| {
        let shape = x.shape();
        let whole = (0..shape.num_dims()).map(|of| if of == axis { own.clone() } else { 0..shape[of] });
        Flex::float_slice(x.clone(), &whole.map(Into::into).collect::<Vec<_>>())
    };
    let of_part = |own: &Range<usize>| Flex::float_matmul(cut(&a, own), if axis < rows { cut(&b, own) } else { b.clone() });
    Flex::float_cat(platform::map(&bounds, of_part), axis)
}

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
        Self::product(Flex::float_transpose(x), grad)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cpu::float;
    use super::*;
    use crate::counter::{Counter, Stream};

    fn random<const D: usize>(shape: [usize; D], seed: u64) -> FloatTensor<Flex> {
        let random = Counter::new(seed, Stream::Parameters);
        float((0..shape.iter().product()).map(|place: usize| random.uniform(place as u64) as f32 - 0.5).collect(), shape)
    }

    fn words(x: FloatTensor<Flex>) -> Vec<u32> {
        let x = x.to_contiguous();
        x.as_slice::<f32>().unwrap().iter().map(|value| value.to_bits()).collect()
    }

    /// Sizes that no block of a product divides, and sums longer than a block; whole layers and layers side by side, upright and transposed.
    #[test]
    fn the_bytes_of_a_product_do_not_depend_on_its_parts() {
        let (x, weight) = (random([301, 1_203], 1), random([1_203, 67], 2));
        let (side, beside) = (random([3, 301, 203], 3), random([3, 203, 67], 4));
        let pairs = [(x.clone(), weight), (Flex::float_transpose(x), random([301, 67], 5)), (side, beside)];
        for (a, b) in pairs {
            let whole = words(product(a.clone(), b.clone(), 1));
            for parts in [2, 3, 5, 16] {
                assert!(words(product(a.clone(), b.clone(), parts)) == whole, "{parts} parts of {:?}", a.shape());
            }
        }
    }
}
