//! Tables of which a step reads and writes only the rows of its batch. Nothing here is on the autodiff graph.

mod cpu;
mod gpu;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{Int, Shape, Tensor};

pub use crate::data::rows::Bags;

/// What becomes of a row of a table that no gradient writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowRule {
    /// The mean of its samples' values is added.
    AddMean,
    /// Its last sample's values take its place.
    Replace,
}

/// What one Adam step needs beside the gradient (Kingma and Ba 2014), the bias corrections already inverted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub learning_rate: f32,
    /// `1 / (1 - beta_1^t)`.
    pub correction_1: f32,
    /// `1 / (1 - beta_2^t)`.
    pub correction_2: f32,
}

/// Touches that the vectors of a memory's owner count for in [`recall`].
pub const PRIOR_TOUCHES: f32 = 1.0;

/// Decay of the first moment.
pub const BETA_1: f32 = 0.9;
/// Decay of the second moment.
pub const BETA_2: f32 = 0.999;
/// The paper's reference 34 says 1e-8; burn's default is 1e-5.
pub const EPSILON: f32 = 1e-8;

impl AdamStep {
    /// The step number `t`, counted from 1.
    pub fn new(learning_rate: f64, t: u64) -> Self {
        let correction = |beta: f32| (1.0 / (1.0 - libm::pow(f64::from(beta), t as f64))) as f32;
        Self { learning_rate: learning_rate as f32, correction_1: correction(BETA_1), correction_2: correction(BETA_2) }
    }
}

#[backend_extension(Flex, Cube, Fusion)]
trait RowKernels: Backend {
    #[fusion(dtype = table, shape = Shape::new([ids[0], bags.fields() * width]))]
    fn pool_rows(table: FloatTensor<Self>, ids: IntTensor<Self>, bags: Bags, width: usize) -> FloatTensor<Self>;

    #[fusion(dtype = table, shape = table)]
    fn adam_rows(
        table: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        weights: FloatTensor<Self>,
        step: AdamStep,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = own, shape = own)]
    fn recall(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        own: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        own_mean: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = table, shape = table)]
    fn write_rows(
        table: FloatTensor<Self>,
        values: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        plan: IntTensor<Self>,
        positions: IntTensor<Self>,
        rule: RowRule,
    ) -> FloatTensor<Self>;
}

/// Rows of `table` `[rows, 3 * width]` (weights, then Adam's two moments) for `ids` `[samples, slots]`: the weights of
/// single ids as they are, those of a bag averaged over its ids, padding (negative) as zeros. `[samples, fields * width]`.
pub fn pool_rows(table: &Tensor<2>, ids: Tensor<2, Int>, bags: Bags, width: usize) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::pool_rows(table.clone().into_dispatch(), ids.into_dispatch(), bags, width))
}

/// One step of lazy Adam on the touched rows of `table` `[rows, 3 * width]`, in place where nobody else holds it.
///
/// `grad` `[samples, fields * width]` is the gradient of the pooled fields. `plan` `[2 n + 1]` holds the touched rows
/// (negative: none, padding) and then the bounds of each row's contributions: positions `sample * fields + field` in
/// `positions`, with their `weights`. Rows that are not in the plan do not move and their moments do not decay.
pub fn adam_rows(
    table: Tensor<2>,
    grad: Tensor<2>,
    plan: Tensor<1, Int>,
    positions: Tensor<1, Int>,
    weights: Tensor<1>,
    step: AdamStep,
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::adam_rows(
        table.into_dispatch(),
        grad.into_dispatch(),
        plan.into_dispatch(),
        positions.into_dispatch(),
        weights.into_dispatch(),
        step,
    ))
}

/// What memories hold of `ids` `[n]`, `[2, n, m]`: the rows of `table` `[rows, 2 m + 1]` are two vectors and how often they were
/// touched. The share `touches / (touches + 1)` of a row's vectors without their `mean` `[1, 2 m]`, the rest of `own` `[2, n, m]` without
/// `own_mean` `[1, m]`.
pub fn recall(table: Tensor<2>, ids: Tensor<1, Int>, own: Tensor<3>, mean: Tensor<2>, own_mean: Tensor<2>) -> Tensor<3> {
    Tensor::from_dispatch(Dispatch::recall(
        table.into_dispatch(),
        ids.into_dispatch(),
        own.into_dispatch(),
        mean.into_dispatch(),
        own_mean.into_dispatch(),
    ))
}

/// Writes the rows of `table` `[rows, width]` that a plan of single ids names (see [`adam_rows`]), in place where nobody
/// else holds it: each from the `values` `[samples, width]` of those of its samples whose weight in `weights` `[samples]`
/// is above 0. A row without any stays as it is.
pub fn write_rows(
    table: Tensor<2>,
    values: Tensor<2>,
    weights: Tensor<1>,
    plan: Tensor<1, Int>,
    positions: Tensor<1, Int>,
    rule: RowRule,
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::write_rows(
        table.into_dispatch(),
        values.into_dispatch(),
        weights.into_dispatch(),
        plan.into_dispatch(),
        positions.into_dispatch(),
        rule,
    ))
}
