//! The dense parameters of a component, their optimizer, and their names.

use std::borrow::Cow;
use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::{Adam, AdamConfig, AdamState, AdaptiveMomentumState, DynState, GradientsParams, Optimizer};
use burn::tensor::{Device, Gradients, Tensor};

use crate::checkpoint::{Array, CheckpointError, Gathering, NETWORK, State, Values, Visitor, for_each_parameter};
use crate::kernels::EPSILON;

/// A module in training.
pub struct Weights<M> {
    /// The field that its parameters' names begin with.
    name: &'static str,
    module: M,
    optimizer: ModuleAdam,
}

impl<M: Module> Weights<M> {
    /// A module that has not trained yet.
    pub fn new(name: &'static str, module: M) -> Self {
        Self { name, module, optimizer: ModuleAdam::new() }
    }

    /// The module, on the autodiff graph.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// What the names of its parameters begin with.
    pub fn path(&self) -> String {
        format!("{NETWORK}.{}", self.name)
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

    /// Gradients one by one, flat, in the order of the parameters.
    fn listed(&self, gradients: &GradientsParams) -> Vec<Tensor<1>>;

    /// Others in the place of those that [`Parameters::listed`] gave, in that order.
    fn replaced(&self, gradients: GradientsParams, by: &mut dyn Iterator<Item = Tensor<1>>) -> GradientsParams;

    /// One step of Adam.
    fn step(&mut self, learning_rate: f64, gradients: GradientsParams);

    /// Names every parameter, or its gradient where there are gradients; for a run that goes on its moments too.
    fn gather(&self, prefix: &str, gradients: Option<&GradientsParams>, into: &mut Gathering);

    /// Puts back what was gathered; what is not in the state stays. Moments begin anew.
    fn restore(&mut self, state: &State, device: &Device);

    /// Puts back what was gathered for a run that goes on, moments too.
    ///
    /// # Errors
    /// Moments without their count of steps, or the other way round.
    fn resume(&mut self, state: &State, device: &Device) -> Result<(), CheckpointError>;

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

    fn listed(&self, gradients: &GradientsParams) -> Vec<Tensor<1>> {
        let mut listing = Listing { gradients, list: Vec::new() };
        for_each_parameter("", self.name, &self.module, &mut listing);
        listing.list
    }

    fn replaced(&self, gradients: GradientsParams, by: &mut dyn Iterator<Item = Tensor<1>>) -> GradientsParams {
        let mut replacing = Replacing { before: gradients, by, after: GradientsParams::new() };
        for_each_parameter("", self.name, &self.module, &mut replacing);
        replacing.after
    }

    fn step(&mut self, learning_rate: f64, gradients: GradientsParams) {
        let Self { module, optimizer, .. } = self;
        self.module = module.clone().map(&mut Stepping { optimizer, learning_rate, gradients });
    }

    fn gather(&self, prefix: &str, gradients: Option<&GradientsParams>, into: &mut Gathering) {
        into.parameters(prefix, self.name, &self.module, gradients);
        if into.is_of_run() && gradients.is_none() {
            for_each_parameter(prefix, self.name, &self.module, &mut Saving { states: &self.optimizer.states, into });
        }
    }

    fn restore(&mut self, state: &State, device: &Device) {
        self.module = state.parameters(self.name, self.module.clone(), &device.clone().autodiff());
        self.optimizer = ModuleAdam::new();
    }

    fn resume(&mut self, state: &State, device: &Device) -> Result<(), CheckpointError> {
        self.restore(state, device);
        let mut resuming = Resuming { state, device, states: &mut self.optimizer.states, error: None };
        for_each_parameter("", self.name, &self.module, &mut resuming);
        resuming.error.map_or(Ok(()), Err)
    }

    fn count(&self) -> usize {
        self.module.num_params()
    }
}

/// Adam on the dense parameters of a module, with moments that can be saved.
struct ModuleAdam {
    adam: Adam,
    /// Of every parameter that had a gradient.
    states: HashMap<ParamId, DynState>,
}

impl ModuleAdam {
    fn new() -> Self {
        Self { adam: AdamConfig::new().with_epsilon(EPSILON).build(), states: HashMap::new() }
    }
}

/// One step, parameter by parameter.
struct Stepping<'a> {
    optimizer: &'a mut ModuleAdam,
    learning_rate: f64,
    gradients: GradientsParams,
}

impl ModuleMapper for Stepping<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        let Some(gradient) = self.gradients.remove::<D>(id) else { return param };
        let ModuleAdam { adam, states } = &mut *self.optimizer;
        let (learning_rate, before) = (self.learning_rate, states.remove(&id).map(DynState::downcast::<AdamState<D>>));
        param.map(|parameter| {
            let (stepped, state) = adam.step(learning_rate, parameter.inner(), gradient, before);
            if let Some(state) = state {
                states.insert(id, DynState::create(state, D));
            }
            Tensor::from_inner(stepped).require_grad()
        })
    }
}

struct Listing<'a> {
    gradients: &'a GradientsParams,
    list: Vec<Tensor<1>>,
}

impl Visitor for Listing<'_> {
    fn visit<const D: usize>(&mut self, _name: String, param: &Param<Tensor<D>>) {
        self.list.extend(self.gradients.get::<D>(param.id).map(|gradient| gradient.flatten(0, D - 1)));
    }
}

struct Replacing<'a> {
    before: GradientsParams,
    by: &'a mut dyn Iterator<Item = Tensor<1>>,
    after: GradientsParams,
}

impl Visitor for Replacing<'_> {
    fn visit<const D: usize>(&mut self, _name: String, param: &Param<Tensor<D>>) {
        if let Some((before, by)) = self.before.remove::<D>(param.id).and_then(|before| Some((before, self.by.next()?))) {
            self.after.register(param.id, by.reshape(before.dims()));
        }
    }
}

/// Names of a parameter's moments, and of the number of steps that they are of.
fn moments(parameter: &str) -> [String; 3] {
    ["moment_1", "moment_2", "moment_steps"].map(|part| format!("{parameter}.{part}"))
}

/// The names of an Adam's moments of a tensor into a gathering.
pub fn gather_moments<const D: usize>(parameter: &str, state: &AdamState<D>, into: &mut Gathering) {
    let AdaptiveMomentumState { time, moment_1, moment_2, .. } = &state.momentum;
    let [first, second, steps] = moments(parameter);
    into.floats(first, moment_1.clone());
    into.floats(second, moment_2.clone());
    into.host(steps, Array { shape: vec![1], values: Values::Integers(vec![*time as i32]) });
}

/// What [`gather_moments`] named; none where there was none yet.
///
/// # Errors
/// Moments without their count of steps, or the other way round.
pub fn resume_moments<const D: usize>(parameter: &str, state: &State, device: &Device) -> Result<Option<AdamState<D>>, CheckpointError> {
    let [first, second, steps] = moments(parameter);
    if !state.arrays.contains_key(&steps) {
        return Ok(None);
    }
    let time = state.integers(&steps)?.first().copied().unwrap_or_default() as usize;
    Ok(Some(AdamState::new(AdaptiveMomentumState::new(time, state.tensor(&first, device)?, state.tensor(&second, device)?))))
}

struct Saving<'a> {
    states: &'a HashMap<ParamId, DynState>,
    into: &'a mut Gathering,
}

impl Visitor for Saving<'_> {
    fn visit<const D: usize>(&mut self, name: String, param: &Param<Tensor<D>>) {
        if let Some(state) = self.states.get(&param.id) {
            gather_moments(&name, state.downcast_ref::<AdamState<D>>(), self.into);
        }
    }
}

struct Resuming<'a> {
    state: &'a State,
    device: &'a Device,
    states: &'a mut HashMap<ParamId, DynState>,
    error: Option<CheckpointError>,
}

impl Visitor for Resuming<'_> {
    fn visit<const D: usize>(&mut self, name: String, param: &Param<Tensor<D>>) {
        match resume_moments::<D>(&name, self.state, self.device) {
            Ok(state) => self.states.extend(state.map(|state| (param.id, DynState::create(state, D)))),
            Err(error) => self.error = Some(error),
        }
    }
}
