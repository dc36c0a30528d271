//! What the GPU sides share: how a kernel is launched.
//!
//! A kernel takes its inputs, then the tensor that it writes, then the number of its units, then sizes. A unit owns what it writes,
//! walks samples in order and needs no atomics; one beyond the last ends at once. Where a unit for each output would be too few for a
//! large card, the units of a cube share the walk and add up what they found in an order of its own, always the same. No kernel binds
//! more than seven buffers, because a browser guarantees eight and the runtime takes one; no cube has more than 256 units and 16 KiB
//! that they share, unless the adapter allows it.

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

/// `launch_cubes!(kernel(inputs...) -> output; cubes, units, sizes...)`: the same for a kernel whose cubes of so many units work
/// together: such a kernel gets no number of units, and no unit of it may end before the last meeting of its cube.
macro_rules! launch_cubes {
    ($kernel:ident($($input:expr),*) -> $output:expr; $cubes:expr, $units:expr $(, $size:expr)* $(,)?) => {{
        let (output, cubes): (burn_cubecl::tensor::CubeTensor, usize) = ($output, $cubes);
        let cubes = cubecl::calculate_cube_count_elemwise(&output.client, cubes, cubecl::CubeDim::new_single());
        // SAFETY: as in `launch!`; cubes beyond the last write nothing.
        unsafe {
            $kernel::launch_unchecked(
                &output.client,
                cubes,
                cubecl::CubeDim::new_1d($units as u32),
                $(burn_cubecl::kernel::into_contiguous($input).into_tensor_arg(),)*
                output.clone().into_tensor_arg(),
                $($size),*
            );
        }
        output
    }};
}
pub(super) use launch_cubes;

/// Units of a cube at most where many share a walk: what the adapter allows, 256 in a browser.
pub fn most_units(tensor: &CubeTensor) -> usize {
    (tensor.client.properties().hardware.max_units_per_cube as usize).min(1_024)
}

/// The sums of the lanes of a cube, place by place, in pairs and so in an order that never changes; those of lane 0 hold them. `found`
/// `[lanes, across]` has been written by all of the cube, which must be here as a whole; `lanes` is a power of two.
#[cube]
pub fn add_lanes(found: &mut Shared<[f32]>, #[comptime] across: usize, #[comptime] lanes: usize) {
    let unit = UNIT_POS as usize;
    sync_cube();
    let mut half = (lanes / 2).runtime();
    while half > 0 {
        if unit / across < half {
            let other = found[unit + half * across];
            found[unit] += other;
        }
        sync_cube();
        half /= 2;
    }
}

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
    // A copy may be padded again.
    if tensor.can_mut() { tensor } else { into_contiguous(tensor.copy()) }
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
