//! What the GPU sides share: how a kernel is launched.
//!
//! A kernel takes its inputs, then the tensor that it writes, then the number of its units, then sizes. A unit owns what it writes,
//! walks samples in order and needs no atomics; one beyond the last ends at once. No kernel binds more than seven buffers, because
//! a browser guarantees eight and the runtime takes one.

use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// `launch!(kernel(inputs...) -> output; units, sizes...)`: runs a kernel with so many units on the queue of its output, and gives
/// the output back. Inputs are made contiguous.
macro_rules! launch {
    ($kernel:ident($($input:expr),*) -> $output:expr; $units:expr $(, $size:expr)* $(,)?) => {{
        let (output, units): (burn_cubecl::tensor::CubeTensor, usize) = ($output, $units);
        let cube = cubecl::CubeDim::new(&output.client, units);
        let cubes = cubecl::calculate_cube_count_elemwise(&output.client, units, cube);
        // SAFETY: units beyond the last end at once, a unit writes only what it owns, and the sizes are those of the tensors. Ids,
        // plans and assignments name rows that exist, by construction of the batch, and kernels skip padding.
        unsafe {
            $kernel::launch_unchecked(
                &output.client,
                cubes,
                cube,
                $(burn_cubecl::kernel::into_contiguous($input).into_tensor_arg(),)*
                output.clone().into_tensor_arg(),
                units,
                $($size),*
            );
        }
        output
    }};
}
pub(super) use launch;

/// A tensor's shape.
pub fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    tensor.meta.shape().dims()
}

/// A tensor to be written, of so many dimensions, where and of what type `like` is.
pub fn output<const D: usize>(like: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    output_of(like, shape, like.dtype)
}

/// The same of another type.
pub fn output_of<const D: usize>(like: &CubeTensor, shape: [usize; D], dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), Shape::new(shape), dtype)
}

/// The tensor itself where nobody else holds it, else a copy, its rows without gaps.
///
/// CUDA lays what comes from the host out with padded rows (192 bytes in 256). Kernels count rows without padding, so that writing into
/// such a table would put every row elsewhere. On an H200 losses were not numbers from the second step on, most likely for this.
pub fn writable(tensor: CubeTensor) -> CubeTensor {
    let tensor = into_contiguous(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

/// The product of the vector of `a` that begins at `of_a` with the vector of `b` that begins at `of_b`.
#[cube]
pub fn dot(a: &Tensor<f32>, of_a: usize, b: &Tensor<f32>, of_b: usize, #[comptime] width: usize) -> f32 {
    let mut sum = 0.0f32;
    for k in 0..width {
        sum += a[of_a + k] * b[of_b + k];
    }
    sum
}
