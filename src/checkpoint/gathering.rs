//! From the device to the host: tensors by name, and the dense parameters of a module by their paths.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{ExecutionError, Int, Tensor, TensorData, Transaction};

use super::{Array, Arrays, NETWORK, Values};

/// A module's constant that is no parameter: which expert a gate sees.
const CONSTANT: &str = "mask";

/// Tensors by name, on their way to the host: all in one read-back, or one after the other.
#[derive(Default)]
pub struct Gathering {
    /// In the order of registration.
    pub(super) tensors: Vec<Gathered>,
    of_run: bool,
}

pub(super) struct Gathered {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) at: Place,
}

/// Where the numbers are.
pub(super) enum Place {
    /// On a device, and how to ask for them.
    Floats(Ask),
    Integers(Ask),
    Host(Values),
}

pub(super) type Ask = Box<dyn FnOnce(Transaction) -> Transaction + Send>;

impl Gathering {
    /// For a checkpoint: components name what only a run that goes on needs, too.
    pub fn of_run() -> Self {
        Self { of_run: true, ..Self::default() }
    }

    /// Whether what only a run that goes on needs is wanted: clocks, moments.
    pub fn is_of_run(&self) -> bool {
        self.of_run
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| 4 * tensor.shape.iter().product::<usize>() as u64).sum()
    }

    /// A float tensor, off whatever graph it is on.
    pub fn floats<const D: usize>(&mut self, name: impl Into<String>, tensor: Tensor<D>) {
        let tensor = if tensor.is_autodiff() { tensor.inner() } else { tensor };
        let shape = tensor.dims().to_vec();
        self.tensors.push(Gathered { name: name.into(), shape, at: Place::Floats(Box::new(|asked| asked.register(tensor))) });
    }

    /// A tensor of ids.
    pub fn integers<const D: usize>(&mut self, name: impl Into<String>, tensor: Tensor<D, Int>) {
        let shape = tensor.dims().to_vec();
        self.tensors.push(Gathered { name: name.into(), shape, at: Place::Integers(Box::new(|asked| asked.register(tensor))) });
    }

    /// Numbers that the host has.
    pub fn host(&mut self, name: impl Into<String>, array: Array) {
        self.tensors.push(Gathered { name: name.into(), shape: array.shape, at: Place::Host(array.values) });
    }

    /// Weights and moments of a table `[rows, 3 * width]`.
    pub fn rows(&mut self, name: &str, rows: Tensor<2>) {
        let [n, columns] = rows.dims();
        let width = columns / 3;
        for (part, at) in ["weight", "moment_1", "moment_2"].into_iter().zip(0..) {
            self.floats(format!("{name}.{part}"), rows.clone().slice([0..n, at * width..(at + 1) * width]));
        }
    }

    /// The dense parameters of a module that is a network's field, by module path, or their gradients where they have one.
    pub fn parameters<M: Module>(&mut self, prefix: &str, field: &str, module: &M, gradients: Option<&GradientsParams>) {
        for_each_parameter(prefix, field, module, &mut Naming { gradients, into: self });
    }

    /// Everything on the host, in one read-back.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn read(self) -> Result<Arrays, ExecutionError> {
        let (mut asked, mut waiting, mut arrays) = (Transaction::default(), Vec::new(), Arrays::new());
        for Gathered { name, shape, at } in self.tensors {
            match at {
                Place::Floats(ask) | Place::Integers(ask) => {
                    asked = ask(asked);
                    waiting.push((name, shape));
                }
                Place::Host(values) => drop(arrays.insert(name, Array { shape, values })),
            }
        }
        let read = asked.execute_async().await?;
        arrays.extend(waiting.into_iter().zip(read).map(|((name, shape), data)| (name, Array { shape, values: values(data) })));
        Ok(arrays)
    }
}

pub(super) fn values(data: TensorData) -> Values {
    if data.dtype().is_float() {
        Values::Floats(data.try_into_vec().unwrap_or_default())
    } else {
        Values::Integers(data.try_into_vec().unwrap_or_default())
    }
}

/// What visits the dense parameters of a module, each by its name.
pub(crate) trait Visitor {
    /// A parameter.
    fn visit<const D: usize>(&mut self, name: String, param: &Param<Tensor<D>>);
}

/// Visits the dense parameters of a module that is a network's field; what is no parameter is left out.
pub(crate) fn for_each_parameter<M: Module>(prefix: &str, field: &str, module: &M, visitor: &mut impl Visitor) {
    module.visit(&mut Walk { path: vec![format!("{prefix}{NETWORK}"), field.into()], visitor });
}

/// Names parameters by their path.
struct Walk<'a, V> {
    path: Vec<String>,
    visitor: &'a mut V,
}

impl<V: Visitor> ModuleVisitor for Walk<'_, V> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.path.last().is_none_or(|name| name != CONSTANT) {
            self.visitor.visit(self.path.join("."), param);
        }
    }
}

/// Gathers parameters or gradients.
struct Naming<'a> {
    gradients: Option<&'a GradientsParams>,
    into: &'a mut Gathering,
}

impl Visitor for Naming<'_> {
    fn visit<const D: usize>(&mut self, name: String, param: &Param<Tensor<D>>) {
        let tensor = match self.gradients {
            None => Some(param.val()),
            Some(gradients) => gradients.get::<D>(param.id),
        };
        if let Some(tensor) = tensor {
            self.into.floats(name, tensor);
        }
    }
}
