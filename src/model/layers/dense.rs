//! Dense layers in stacks: several layers of one shape as one batched product, because on a GPU the number of
//! dispatches decides, not the arithmetic.

use std::hash::Hasher;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData, activation::relu};
use fnv::FnvHasher;

use crate::counter::{Counter, Stream};
use crate::kernels::{linear, product};
use crate::onnx::{Graph, Value};

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
    pub fn normal(&self, name: &str, [stack, rows, columns]: [usize; 3], deviation: f64) -> Param<Tensor<3>> {
        let lane = self.lane(name);
        let mut values = Vec::with_capacity(stack * rows * columns);
        for s in 0..stack {
            for r in 0..rows {
                values.extend((0..columns).map(|c| lane.value(deviation, s, r, c)));
            }
        }
        Param::from_data(TensorData::new(values, [stack, rows, columns]), &self.device)
    }

    /// The numbers of one layer.
    fn lane(&self, name: &str) -> Lane {
        // Any stable hash of the name will do.
        let mut hash = FnvHasher::default();
        hash.write(name.as_bytes());
        Lane(self.counter.lane(hash.finish()))
    }

    /// `[stack, 1, columns]` of one value.
    pub fn constant(&self, [stack, columns]: [usize; 2], value: f32) -> Param<Tensor<3>> {
        Param::from_data(TensorData::new(vec![value; stack * columns], [stack, 1, columns]), &self.device)
    }
}

/// The numbers of one layer by place.
struct Lane(Counter);

impl Lane {
    fn value(&self, deviation: f64, stack: usize, row: usize, column: usize) -> f32 {
        let index = ((stack as u64) << 48) | ((row as u64) << 24) | column as u64;
        (deviation * self.0.normal(index)) as f32
    }
}

/// Glorot's deviation.
fn glorot(inputs: usize, outputs: usize) -> f64 {
    libm::sqrt(2.0 / (inputs + outputs) as f64)
}

/// Layers that share an input, as one wide product over a request's features and its candidates' features. What a request
/// contributes is multiplied once, however many candidates it has.
#[derive(Module, Debug)]
pub struct Joint {
    /// `[request inputs, outputs]`
    pub request: Param<Tensor<2>>,
    /// `[candidate inputs, outputs]`
    pub candidate: Param<Tensor<2>>,
    /// `[1, outputs]`
    pub bias: Param<Tensor<2>>,
}

impl Joint {
    /// The layers `(name, stack, outputs)` side by side. `fan_in` is what Glorot's start takes for the number of inputs: that
    /// of the baseline's features, so that a variant with more of them starts the shared ones with the same numbers.
    pub fn new(init: &Init, layers: &[(String, usize, usize)], [request, candidate]: [usize; 2], fan_in: usize) -> Self {
        let outputs = layers.iter().map(|(_, stack, columns)| stack * columns).sum();
        let block = |side: &str, rows: usize| {
            let mut values = vec![0.0; rows * outputs];
            let mut start = 0;
            for (name, stack, columns) in layers {
                let (lane, deviation) = (init.lane(&format!("{name}.{side}")), glorot(fan_in, *columns));
                for r in 0..rows {
                    for at in 0..stack * columns {
                        values[r * outputs + start + at] = lane.value(deviation, at / columns, r, at % columns);
                    }
                }
                start += stack * columns;
            }
            Param::from_data(TensorData::new(values, [rows, outputs]), &init.device)
        };
        Self {
            request: block("request", request),
            candidate: block("candidate", candidate),
            bias: Param::from_data(TensorData::new(vec![0.0f32; outputs], [1, outputs]), &init.device),
        }
    }

    /// `[requests, request inputs]` and `[samples, candidate inputs]`, request-major, to `[samples, outputs]`.
    pub fn forward(&self, request: Tensor<2>, candidate: Tensor<2>) -> Tensor<2> {
        let ([requests, _], [samples, _]) = (request.dims(), candidate.dims());
        let of_request = linear(request, self.request.val(), self.bias.val());
        let of_candidate = product(candidate, self.candidate.val());
        let [_, outputs] = of_request.dims();
        let sum = of_candidate.reshape([requests, samples / requests, outputs]) + of_request.reshape([requests, 1, outputs]);
        sum.reshape([samples, outputs])
    }

    /// Its nodes, of the layers whose parameters' names begin with `path`.
    pub fn export(graph: &mut Graph, path: &str, request: &Value, candidate: &Value) -> Value {
        let [of_request, of_candidate, bias] = ["request", "candidate", "bias"].map(|part| graph.parameter(&format!("{path}.{part}")));
        let of_request = graph.matmul(request, &of_request);
        let of_request = graph.add(&of_request, &bias);
        let of_candidate = graph.matmul(candidate, &of_candidate);
        graph.add(&of_candidate, &of_request)
    }
}

/// `stack` linear layers side by side: `[stack, samples, inputs]` to `[stack, samples, outputs]`.
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
        Self::with_deviation(init, name, stack, inputs, outputs, glorot(inputs, outputs))
    }

    /// Normal start of a given deviation, biases 0.
    pub fn with_deviation(init: &Init, name: &str, stack: usize, inputs: usize, outputs: usize, deviation: f64) -> Self {
        Self { weight: init.normal(name, [stack, inputs, outputs], deviation), bias: init.constant([stack, outputs], 0.0) }
    }

    /// `scale` times the identity of `width`, and normal values of a given deviation; biases 0.
    pub fn near_identity(init: &Init, name: &str, [stack, width]: [usize; 2], scale: f32, deviation: f64) -> Self {
        let lane = init.lane(name);
        let place = |at: usize| (at / (width * width), at / width % width, at % width);
        let value = |(s, r, c): (usize, usize, usize)| lane.value(deviation, s, r, c) + if r == c { scale } else { 0.0 };
        let values: Vec<f32> = (0..stack * width * width).map(place).map(value).collect();
        let weight = Param::from_data(TensorData::new(values, [stack, width, width]), &init.device);
        Self { weight, bias: init.constant([stack, width], 0.0) }
    }

    /// `x W + b`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        linear(x, self.weight.val(), self.bias.val())
    }

    /// The nodes of a layer of a stack whose parameters' names begin with `path`.
    pub fn export(graph: &mut Graph, path: &str, index: usize, x: &Value) -> Value {
        let [weight, bias] = ["weight", "bias"].map(|part| graph.layer(&format!("{path}.{part}"), index));
        let product = graph.matmul(x, &weight);
        graph.add(&product, &bias)
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

    /// Parameters of one such perceptron.
    pub fn parameters(inputs: usize, widths: &[usize]) -> usize {
        widths.iter().fold((0, inputs), |(sum, from), &to| (sum + (from + 1) * to, to)).0
    }

    /// `[stack, samples, inputs]` to `[stack, samples, last width]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward_gated(x, &[])
    }

    /// The same, with factors of the units of each layer before their ReLU, `[stack, samples, width]`, for as many layers as there
    /// are factors.
    pub fn forward_gated(&self, mut x: Tensor<3>, gates: &[Tensor<3>]) -> Tensor<3> {
        for (depth, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            if let Some(gate) = gates.get(depth) {
                x = x * gate.clone();
            }
            if self.activate_last || depth + 1 < self.layers.len() {
                x = relu(x);
            }
        }
        x
    }

    /// The nodes of one perceptron of the stack, whose parameters' names begin with `path`.
    pub fn export(&self, graph: &mut Graph, path: &str, index: usize, mut x: Value, gates: &[Value]) -> Value {
        for depth in 0..self.layers.len() {
            x = Linear::export(graph, &format!("{path}.layers.{depth}"), index, &x);
            if let Some(gate) = gates.get(depth) {
                x = graph.mul(&x, gate);
            }
            if self.activate_last || depth + 1 < self.layers.len() {
                x = graph.relu(&x);
            }
        }
        x
    }
}
