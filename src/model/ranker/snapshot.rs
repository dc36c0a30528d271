//! What a ranker knows, by name, and how it is put back.

use burn::tensor::{Device, ExecutionError};

use super::Ranker;
use crate::checkpoint::{CheckpointError, Description, FORMAT, Gathering, State};
use crate::data::Side;
use crate::model::component::Restoring;
use crate::model::layers::ghca::Memory;
use crate::model::layers::weights::Parameters;

impl Ranker {
    /// Everything that the model knows, in one read-back. `data` is what its rows are called.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn state(&self, data: &str) -> Result<State, ExecutionError> {
        let filled = self.filled();
        let config = self.config.clone();
        let embeddings = self.layout.embeddings();
        let (format, variant, steps) = (FORMAT, self.variant, self.steps);
        let description = Description { format, variant, config, data: data.into(), steps, filled, embeddings };
        let mut gathering = Gathering::default();
        self.gather("", &mut gathering);
        Ok(State { description, arrays: gathering.read().await? })
    }

    /// Whether the user centres and the item centres are filled.
    pub(crate) fn filled(&self) -> [bool; 2] {
        Side::BOTH.map(|side| self.memory(side).is_some_and(Memory::is_filled))
    }

    /// Steps that were trained, and the pass of the training rows that the last one was in.
    pub(crate) fn course(&self) -> (u64, u32) {
        (self.steps, self.pass)
    }

    /// Names every tensor that a [`State`] holds.
    pub(crate) fn gather(&self, prefix: &str, into: &mut Gathering) {
        self.ple.gather(prefix, None, into);
        into.rows(&format!("{prefix}embeddings"), self.embeddings.rows());
        for component in &self.components {
            if let Some(weights) = component.weights() {
                weights.gather(prefix, None, into);
            }
            if let Some(table) = component.table() {
                into.rows(&format!("{prefix}{}", table.name()), table.rows.rows());
            }
        }
        self.gather_memories(prefix, into);
    }

    /// Names the tensors of the memories alone.
    pub(crate) fn gather_memories(&self, prefix: &str, into: &mut Gathering) {
        self.components.iter().for_each(|component| component.gather(prefix, into));
    }

    /// Goes on from what [`Ranker::state`] gave, at `step` of the run under way. Scores are then the same bit by bit on the
    /// same device. Where training goes on, the dense parameters' moments begin anew, and so does what remembers behaviours
    /// ([`Ranker::prepare`]).
    ///
    /// # Errors
    /// A state of another variant or of other sizes. Then nothing has changed.
    pub fn restore(&mut self, state: &State, step: u64) -> Result<(), CheckpointError> {
        self.put_back(state, step, false)?;
        self.is_restored = true;
        Ok(())
    }

    /// Goes on from what [`Ranker::gather`] named for a run, in `pass` of the training rows, as if it had never stopped.
    ///
    /// # Errors
    /// A state of another variant or of other sizes. Then nothing has changed.
    pub(crate) fn resume(&mut self, state: &State, pass: u32) -> Result<(), CheckpointError> {
        self.put_back(state, state.description.steps, true)?;
        (self.pass, self.is_restored) = (pass, false);
        Ok(())
    }

    fn put_back(&mut self, state: &State, step: u64, of_run: bool) -> Result<(), CheckpointError> {
        let mut expected = if of_run { Gathering::of_run() } else { Gathering::default() };
        self.gather("", &mut expected);
        state.check(self.variant, &self.config, &expected)?;
        let device = self.device.clone();
        put_back(&mut self.ple, state, &device, of_run)?;
        self.embeddings.restore(state.rows("embeddings", &device)?);
        let from = Restoring { state, device: &device, step, of_run };
        for component in &mut self.components {
            if let Some(weights) = component.weights_mut() {
                put_back(weights, state, &device, of_run)?;
            }
            if let Some(table) = component.table_mut() {
                table.rows.restore(state.rows(table.name(), &device)?);
            }
            component.restore(&from)?;
        }
        (self.steps, self.last) = (state.description.steps, None);
        Ok(())
    }

    /// Dense parameters, masks of gates included.
    pub fn dense_count(&self) -> usize {
        let own = self.components.iter().filter_map(|component| component.weights()).map(|weights| weights.count());
        self.ple.count() + own.sum::<usize>()
    }
}

fn put_back(weights: &mut dyn Parameters, state: &State, device: &Device, of_run: bool) -> Result<(), CheckpointError> {
    if of_run {
        return weights.resume(state, device);
    }
    weights.restore(state, device);
    Ok(())
}
