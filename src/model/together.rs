//! A batch among several processes: each computes a part of it, and then all make the same step of the whole.
//!
//! A loss is a mean over samples, so the mean of the processes' losses is that of the batch, and so are its gradients. What rows of a
//! batch contribute is gathered in the order of the batch, so that tables and memories take the very step of one process.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, Transaction};

use super::layers::table::{integers, rows_of};
use crate::communicator::Communicator;

/// The processes that share every batch; none where there is only this one.
#[derive(Clone, Default)]
pub struct Together(Option<Arc<dyn Communicator>>);

impl From<Arc<dyn Communicator>> for Together {
    fn from(communicator: Arc<dyn Communicator>) -> Self {
        Self(Some(communicator).filter(|communicator| communicator.processes() > 1))
    }
}

impl Together {
    /// What carries the words of several processes.
    pub fn several(&self) -> Option<&dyn Communicator> {
        self.0.as_deref()
    }

    /// Whether this process tells what is found, and writes it.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// This process among them, counted from 0.
    pub fn rank(&self) -> usize {
        self.several().map_or(0, Communicator::rank)
    }

    /// How many processes there are.
    pub fn processes(&self) -> usize {
        self.several().map_or(1, Communicator::processes)
    }

    /// That all of them are about to do the same, told by a number of it.
    ///
    /// # Errors
    /// Which one is not, in a sentence.
    pub fn require_same(&self, what: u64) -> Result<(), String> {
        let words = self.several().map(|communicator| communicator.words(what)).unwrap_or_default();
        match words.iter().position(|&other| other != words[0]) {
            Some(other) => Err(format!("process {other} of {} reads other rows, another configuration or another checkpoint", words.len())),
            None => Ok(()),
        }
    }

    /// How many of them share this machine's memory.
    pub fn on_this_machine(&self) -> u64 {
        self.several().map_or(1, |communicator| communicator.on_this_machine() as u64)
    }

    /// Which of the cards of this machine is this process's.
    pub fn place(&self) -> usize {
        self.several().map_or(0, Communicator::place)
    }

    /// Whether any of them says so.
    pub fn any(&self, own: bool) -> bool {
        self.several().map_or(own, |communicator| communicator.any(own))
    }

    /// What the leading process says.
    pub fn first(&self, own: f64) -> f64 {
        self.several().map_or(own, |communicator| f64::from_bits(communicator.words(own.to_bits())[0]))
    }

    /// This process's part of so many requests; none where it has all of them.
    pub fn part(&self, requests: usize) -> Option<Range<usize>> {
        let communicator = self.several()?;
        let part = requests / communicator.processes();
        Some(communicator.rank() * part..(communicator.rank() + 1) * part)
    }

    /// Rows `[own rows, columns]` on the graph, with those of the other processes around them as constants: `[rows, columns]`.
    pub fn among_all(&self, own: Tensor<2>) -> Tensor<2> {
        let Some(communicator) = self.several() else { return own };
        let ([part, columns], rank) = (own.dims(), communicator.rank());
        let all = gathered(communicator, vec![own.clone().inner()]).remove(0).floats(&own.device());
        let [rows, _] = all.dims();
        let others = |rows: Range<usize>| Tensor::from_inner(all.clone().slice([rows, 0..columns]));
        let spans = [0..rank * part, (rank + 1) * part..rows].map(|span| (!span.is_empty()).then(|| others(span)));
        let [before, after] = spans;
        Tensor::cat(before.into_iter().chain([own]).chain(after).collect(), 0)
    }

    /// A loss of the whole batch, of which this process has its own rows on the graph ([`Together::among_all`]): its gradient is as
    /// large as that of the process's own mean, of which the mean over all processes is taken.
    pub fn of_whole(&self, loss: Tensor<1>) -> Tensor<1> {
        let processes = self.processes() as f64;
        if processes == 1.0 { loss } else { loss.clone() * processes - loss.detach() * (processes - 1.0) }
    }

    /// A mean over `own` of the `all` rows that count, on the same scale: the mean over the processes is that over all.
    pub fn of_counted(&self, mean: Tensor<1>, own: usize, all: usize) -> Tensor<1> {
        let processes = self.processes() as f64;
        if processes == 1.0 { mean } else { mean * (processes * own as f64 / all.max(1) as f64) }
    }
}

/// Numbers on their way through the host.
fn numbers<const D: usize>(tensors: Vec<Tensor<D>>) -> Vec<f32> {
    let asked = tensors.into_iter().fold(Transaction::default(), Transaction::register);
    let answers = asked.execute();
    answers.into_iter().flat_map(|data| data.try_into_vec::<f32>().unwrap_or_default()).collect()
}

/// The means of tensors over all processes.
pub fn means(communicator: &dyn Communicator, own: Vec<Tensor<1>>) -> impl Iterator<Item = Tensor<1>> {
    communicator.mean_on_devices(&own).unwrap_or_else(|| through_the_host(communicator, own)).into_iter()
}

fn through_the_host(communicator: &dyn Communicator, own: Vec<Tensor<1>>) -> Vec<Tensor<1>> {
    let sizes: Vec<(usize, Device)> = own.iter().map(|tensor| (tensor.dims()[0], tensor.device())).collect();
    let mut all = communicator.mean(numbers(own)).into_iter();
    let mean = |(length, device): (usize, Device)| Tensor::from_data(all.by_ref().take(length).collect::<Vec<f32>>().as_slice(), &device);
    sizes.into_iter().map(mean).collect()
}

/// A table of all processes, in the order of their ranks.
pub struct Rows {
    values: Vec<f32>,
    columns: usize,
}

impl Rows {
    /// As numbers, `[rows, columns]`.
    pub fn floats(self, device: &Device) -> Tensor<2> {
        let rows = self.values.len() / self.columns;
        rows_of(self.values, [rows, self.columns], device)
    }

    /// As ids, which were given as numbers: exact up to 16 million.
    pub fn integers(self, device: &Device) -> Tensor<2, Int> {
        let rows = self.values.len() / self.columns;
        integers(self.values.into_iter().map(|id| id as i32).collect(), device).reshape([rows, self.columns])
    }
}

/// The rows of tables of all processes, all in one message.
pub fn gathered(communicator: &dyn Communicator, own: Vec<Tensor<2>>) -> Vec<Rows> {
    let shapes: Vec<[usize; 2]> = own.iter().map(Tensor::dims).collect();
    let all = communicator.gather(&numbers(own));
    let message = shapes.iter().map(|[rows, columns]| rows * columns).sum::<usize>().max(1);
    let mut first = 0;
    let rows = |[rows, columns]: [usize; 2]| {
        let own = first..first + rows * columns;
        first = own.end;
        Rows { values: all.chunks_exact(message).flat_map(|of_one| &of_one[own.clone()]).copied().collect(), columns }
    };
    shapes.into_iter().map(rows).collect()
}
