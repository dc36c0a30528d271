//! Dense layers in stacks: several layers of one shape as one batched product, because on a GPU the number of
//! dispatches decides, not the arithmetic.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData, activation::relu};

use crate::counter::{Counter, Stream};

/// Starting values of dense parameters: a pure function of (seed, name, stack, row, column), so that two variants that
/// share a layer start it with the same numbers, whatever else they hold.
#[derive(Clone, Debug)]
pub struct Init {
    counter: Counter,
    device: Device,
}

impl Init {
    /// Starting values for a seed on a device.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { counter: Counter::new(seed, Stream::Parameters), device: device.clone() }
    }

    /// The device that parameters live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `[stack, rows, columns]` normal values.
    fn normal(&self, name: &str, [stack, rows, columns]: [usize; 3], deviation: f64) -> Param<Tensor<3>> {
        // FNV-1a: any stable hash of the name will do.
        let lane = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let counter = self.counter.lane(lane);
        let mut values = Vec::with_capacity(stack * rows * columns);
        for s in 0..stack {
            for r in 0..rows {
                values.extend((0..columns).map(|c| {
                    let index = ((s as u64) << 48) | ((r as u64) << 24) | c as u64;
                    (deviation * counter.normal(index)) as f32
                }));
            }
        }
        Param::from_data(TensorData::new(values, [stack, rows, columns]), &self.device)
    }

    /// `[stack, 1, columns]` of one value.
    pub fn constant(&self, [stack, columns]: [usize; 2], value: f32) -> Param<Tensor<3>> {
        Param::from_data(TensorData::new(vec![value; stack * columns], [stack, 1, columns]), &self.device)
    }
}

/// `stack` linear layers side by side: `[stack or 1, samples, inputs]` to `[stack, samples, outputs]`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[stack, inputs, outputs]`
    pub weight: Param<Tensor<3>>,
    /// `[stack, 1, outputs]`
    pub bias: Param<Tensor<3>>,
}

impl Linear {
    /// Glorot's normal start, biases 0.
    pub fn new(init: &Init, name: &str, stack: usize, inputs: usize, outputs: usize) -> Self {
        Self::with_deviation(init, name, stack, inputs, outputs, libm::sqrt(2.0 / (inputs + outputs) as f64))
    }

    /// Normal start of a given deviation, biases 0.
    pub fn with_deviation(init: &Init, name: &str, stack: usize, inputs: usize, outputs: usize, deviation: f64) -> Self {
        Self { weight: init.normal(name, [stack, inputs, outputs], deviation), bias: init.constant([stack, outputs], 0.0) }
    }

    /// `x W + b`. One input for all layers of the stack (`[1, …]`) is multiplied as one wide matrix.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [stack, inputs, outputs] = self.weight.dims();
        let [given, samples, _] = x.dims();
        if given == stack {
            return x.matmul(self.weight.val()) + self.bias.val();
        }
        let wide = self.weight.val().swap_dims(0, 1).reshape([inputs, stack * outputs]);
        let bias = self.bias.val().reshape([1, stack * outputs]);
        let product: Tensor<2> = x.reshape([samples, inputs]).matmul(wide) + bias;
        product.reshape([samples, stack, outputs]).swap_dims(0, 1)
    }
}

/// `stack` multilayer perceptrons side by side, ReLU between layers.
#[derive(Module, Debug)]
pub struct Mlp {
    /// From the input on.
    pub layers: Vec<Linear>,
    activate_last: bool,
}

impl Mlp {
    /// Widths of the layers; with `activate_last` the last has a ReLU too.
    pub fn new(init: &Init, name: &str, stack: usize, inputs: usize, widths: &[usize], activate_last: bool) -> Self {
        let mut layers = Vec::with_capacity(widths.len());
        let mut from = inputs;
        for (depth, &to) in widths.iter().enumerate() {
            layers.push(Linear::new(init, &format!("{name}.{depth}"), stack, from, to));
            from = to;
        }
        Self { layers, activate_last }
    }

    /// `[stack or 1, samples, inputs]` to `[stack, samples, last width]`.
    pub fn forward(&self, mut x: Tensor<3>) -> Tensor<3> {
        for (depth, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            if self.activate_last || depth + 1 < self.layers.len() {
                x = relu(x);
            }
        }
        x
    }
}
