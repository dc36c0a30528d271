//! The dense parameters of a component, their optimizer, and their names.

use std::borrow::Cow;

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Gradients};

use crate::checkpoint::{Gathering, State};
use crate::kernels::EPSILON;

/// A module in training.
pub struct Weights<M> {
    /// The field that its parameters' names begin with.
    name: &'static str,
    module: M,
    optimizer: ModuleOptimizer,
}

impl<M: Module> Weights<M> {
    /// A module that has not trained yet.
    pub fn new(name: &'static str, module: M) -> Self {
        Self { name, module, optimizer: adam() }
    }

    /// The module, on the autodiff graph.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// The module for a pass: on the graph in training, off it else.
    pub fn read(&self, training: bool) -> Cow<'_, M> {
        if training { Cow::Borrowed(&self.module) } else { Cow::Owned(self.module.valid()) }
    }
}

/// What a ranker does with the dense parameters of any component.
pub trait Parameters {
    /// The field that the parameters' names begin with.
    fn name(&self) -> &'static str;

    /// Those of a backward pass's gradients that are the parameters'.
    fn gradients(&self, all: &mut Gradients) -> GradientsParams;

    /// One step of Adam.
    fn step(&mut self, learning_rate: f64, gradients: GradientsParams);

    /// Names every parameter, or its gradient where there are gradients.
    fn gather(&self, prefix: &str, gradients: Option<&GradientsParams>, into: &mut Gathering);

    /// Puts back what was gathered; what is not in the state stays. Moments begin anew.
    fn restore(&mut self, state: &State, device: &Device);

    /// Numbers, a mask's too.
    fn count(&self) -> usize;
}

impl<M: Module> Parameters for Weights<M> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn gradients(&self, all: &mut Gradients) -> GradientsParams {
        GradientsParams::from_module(all, &self.module)
    }

    fn step(&mut self, learning_rate: f64, gradients: GradientsParams) {
        self.module = self.optimizer.step(learning_rate, self.module.clone(), gradients);
    }

    fn gather(&self, prefix: &str, gradients: Option<&GradientsParams>, into: &mut Gathering) {
        into.parameters(prefix, self.name, &self.module, gradients);
    }

    fn restore(&mut self, state: &State, device: &Device) {
        self.module = state.parameters(self.name, self.module.clone(), &device.clone().autodiff());
        self.optimizer = adam();
    }

    fn count(&self) -> usize {
        self.module.num_params()
    }
}

/// The dense parameters' optimizer.
fn adam() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(EPSILON).init()
}
