//! What the CPU sides share: tensors of burn-flex as slices and back, and sums side by side.
//!
//! A loop is compiled for every generation of vector instructions (`macerator::with_simd`) and runs with the newest that the
//! machine has. What adds up side by side is written as such ([`LANES`]), so no sum depends on it.

use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::TensorData;

/// Shadows tensors with their numbers as slices, contiguous: `slices!(f32: table, grad)`.
macro_rules! slices {
    ($type:ty: $($tensor:ident),+) => {$(
        let $tensor = if $tensor.is_contiguous() { $tensor } else { $tensor.to_contiguous() };
        let $tensor: &[$type] = $tensor.as_slice().expect("a contiguous tensor of the type that the kernels are given");
    )+};
}
pub(super) use slices;

/// A tensor of these values.
pub fn float<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FloatTensor<Flex> {
    Flex::float_from_data(TensorData::new(values, shape), &Default::default())
}

/// A tensor's shape.
pub fn dims<const D: usize>(tensor: &FloatTensor<Flex>) -> [usize; D] {
    tensor.layout().shape().dims()
}

/// Sums that grow side by side.
pub const LANES: usize = 8;

/// `sums += a b`, place by place. A loop: `for_each` over places stayed a function of its own, without the vector instructions.
#[inline(always)]
pub fn add_products<const N: usize>(sums: &mut [f32; N], a: &[f32; N], b: &[f32; N]) {
    for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
        *sum += a * b;
    }
}

/// The lanes of a dot product and what is left of it.
#[inline(always)]
fn products(a: &[f32], b: &[f32]) -> ([f32; LANES], f32) {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.iter().zip(b) {
        add_products(&mut sums, a, b);
    }
    (sums, a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum())
}

/// The dot product: [`LANES`] sums side by side, which the compiler can vectorise; a single one must be added in order.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (sums, rest) = products(a, b);
    sums.iter().sum::<f32>() + rest
}

/// [`dot`], the lanes summed in pairs: what burn's sum of a product gives.
#[inline(always)]
pub fn dot_in_pairs(a: &[f32], b: &[f32]) -> f32 {
    let (sums, rest) = products(a, b);
    in_pairs(sums) + rest
}

/// The sum of a row, the lanes summed in pairs.
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    let (x, rest) = x.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for x in x {
        sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
    }
    in_pairs(sums) + rest.iter().sum::<f32>()
}

/// The sum of the lanes, in pairs.
#[inline(always)]
pub fn in_pairs(mut sums: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        (0..half).for_each(|k| sums[k] += sums[k + half]);
        half /= 2;
    }
    sums[0]
}

/// `out += factor x`, place by place.
#[inline(always)]
pub fn add_scaled(out: &mut [f32], factor: f32, x: &[f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out += factor * x);
}
