//! What the tests of the model share: a plain f64 oracle that knows nothing of tensors, and a way to run one test
//! natively and in a browser.
#![allow(dead_code, reason = "every test file uses a part of it")]

#[cfg(not(target_family = "wasm"))]
pub mod oracle;
#[cfg(not(target_family = "wasm"))]
pub mod skip;
#[cfg(not(target_family = "wasm"))]
pub mod together;
#[cfg(not(target_family = "wasm"))]
pub mod training;

use burn::tensor::{Device, Tensor, TensorData};
use duia::counter::{Counter, Stream};

/// Numbers for tests, the same everywhere.
pub fn numbers(lane: u64, count: usize, deviation: f64) -> Vec<f64> {
    let counter = Counter::new(2024, Stream::Parameters).lane(lane);
    // Through f32, so that the oracle and the tensors start from the same value.
    (0..count as u64).map(|i| f64::from((deviation * counter.normal(i)) as f32)).collect()
}

pub fn tensor<const D: usize>(values: &[f64], shape: [usize; D], device: &Device) -> Tensor<D> {
    let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub async fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let tensor = if tensor.is_autodiff() { tensor.inner() } else { tensor };
    let data = tensor.into_data_async().await.expect("a device that reads back");
    data.try_into_vec::<f32>().expect("floats").into_iter().map(f64::from).collect()
}

#[track_caller]
pub fn assert_close(got: &[f64], expected: &[f64], bound: f64) {
    assert_eq!(got.len(), expected.len());
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= bound * b.abs().max(1.0), "element {i}: {a} is not {b}");
    }
}

pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The mean of some vectors.
pub fn mean(vectors: &[&[f64]]) -> Vec<f64> {
    (0..vectors[0].len()).map(|k| vectors.iter().map(|v| v[k]).sum::<f64>() / vectors.len() as f64).collect()
}

/// One linear layer for one sample: `weight` is `[inputs, outputs]` row-major.
pub fn linear(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let outputs = bias.len();
    (0..outputs).map(|o| bias[o] + x.iter().enumerate().map(|(i, x)| x * weight[i * outputs + o]).sum::<f64>()).collect()
}

/// A perceptron for one sample, ReLU between layers and, where asked, after the last.
pub fn mlp(x: &[f64], layers: &[(Vec<f64>, Vec<f64>)], activate_last: bool) -> Vec<f64> {
    layers.iter().enumerate().fold(x.to_vec(), |x, (depth, (weight, bias))| {
        let y = linear(&x, weight, bias);
        if activate_last || depth + 1 < layers.len() { y.into_iter().map(|y| y.max(0.0)).collect() } else { y }
    })
}

pub fn softmax(x: &[f64]) -> Vec<f64> {
    let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = x.iter().map(|x| (x - top).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|e| e / sum).collect()
}

/// A central difference of `f` in coordinate `i` of `x`.
pub fn slope(f: impl Fn(&[f64]) -> f64, x: &[f64], i: usize) -> f64 {
    let h = 1e-5;
    let at = |d: f64| {
        let mut x = x.to_vec();
        x[i] += d;
        f(&x)
    };
    (at(h) - at(-h)) / (2.0 * h)
}

#[cfg(not(target_family = "wasm"))]
pub fn block_on<F: Future>(future: F) -> F::Output {
    duia::platform::block_on(future)
}
