//! On and off the autodiff graph, and what is joined there.

use burn::tensor::{Tensor, kind::Basic};

/// A tensor without a graph as a constant of one, in training; else itself.
pub fn lift<const D: usize>(tensor: Tensor<D>, training: bool) -> Tensor<D> {
    if training { Tensor::from_inner(tensor) } else { tensor }
}

/// The value of a tensor, off whatever graph it is on.
pub fn off_graph<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.is_autodiff() { tensor.inner() } else { tensor }
}

/// Several tensors along a dimension; one alone costs no copy.
///
/// # Panics
/// Where there is none.
pub fn joined<const D: usize, K: Basic>(mut parts: Vec<Tensor<D, K>>, dimension: usize) -> Tensor<D, K> {
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, dimension) }
}
