//! From the host to the device: what a file holds in the place of what a model has.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::gathering::{Gathered, Gathering, Place};
use super::{CheckpointError, NETWORK, State, differences};
use crate::config::Config;
use crate::variants::Variant;

/// Keys of the configuration that no shape and no name depends on.
const SHAPELESS: [&str; 8] = ["version", "preset", "seed", "variants", "passes", "evaluate_every", "probe_set", "streaming_test"];

impl State {
    /// Refuses tensors that do not fit a variant of a configuration, before anything of it is overwritten.
    pub(crate) fn check(&self, variant: Variant, config: &Config, expected: &Gathering) -> Result<(), CheckpointError> {
        if self.description.variant != variant {
            let (found, expected) = (self.description.variant.key().into(), variant.key().into());
            return Err(CheckpointError::Variant { found, expected });
        }
        for Gathered { name, shape, at } in &expected.tensors {
            let array = self.array(name)?;
            if array.shape != *shape {
                let differs = differences(&self.description.config, config, &SHAPELESS);
                let differs = if differs.is_empty() { "its rows have other users or items".into() } else { differs };
                return Err(CheckpointError::Shape { name: name.clone(), found: array.shape.clone(), expected: shape.clone(), differs });
            }
            if matches!(at, Place::Floats(_)) {
                self.floats(name)?;
            }
        }
        Ok(())
    }

    /// A tensor on a device.
    pub(crate) fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Result<Tensor<D>, CheckpointError> {
        let data = TensorData::new(self.floats(name)?.to_vec(), self.array(name)?.shape.clone());
        Ok(Tensor::from_data(data, device))
    }

    /// `[rows, 3 * width]` of a table: weights and both moments.
    pub(crate) fn rows(&self, name: &str, device: &Device) -> Result<Tensor<2>, CheckpointError> {
        let part = |part: &str| self.tensor(&format!("{name}.{part}"), device);
        Ok(Tensor::cat(vec![part("weight")?, part("moment_1")?, part("moment_2")?], 1))
    }

    /// A module of a network's field with these dense parameters; what is not among them stays.
    pub(crate) fn parameters<M: Module>(&self, field: &str, module: M, device: &Device) -> M {
        module.map(&mut Replacing { state: self, path: vec![NETWORK.into(), field.into()], device: device.clone() })
    }
}

/// Puts the parameters of a file in the place of a network's own.
struct Replacing<'a> {
    state: &'a State,
    path: Vec<String>,
    device: Device,
}

impl ModuleMapper for Replacing<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.state.tensor::<D>(&self.path.join("."), &self.device) {
            Ok(tensor) => param.map(|_| tensor.require_grad()),
            Err(_) => param,
        }
    }
}
