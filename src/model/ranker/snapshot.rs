//! What a ranker knows, by name, and how it is put back.

use burn::tensor::ExecutionError;

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
        let filled = Side::BOTH.map(|side| self.memory(side).is_some_and(Memory::is_filled));
        let config = self.config.clone();
        let embeddings = Some(self.layout.embeddings());
        let (format, variant, steps) = (FORMAT, self.variant, self.steps);
        let description = Description { format, variant, config, data: data.into(), steps, filled, embeddings };
        let mut gathering = Gathering::default();
        self.gather("", &mut gathering);
        Ok(State { description, arrays: gathering.read().await? })
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
        let mut expected = Gathering::default();
        self.gather("", &mut expected);
        state.check(self.variant, &self.config, &expected)?;
        let device = self.device.clone();
        self.ple.restore(state, &device);
        self.embeddings.restore(state.rows("embeddings", &device)?);
        let from = Restoring { state, device: &device, step };
        for component in &mut self.components {
            if let Some(weights) = component.weights_mut() {
                weights.restore(state, &device);
            }
            if let Some(table) = component.table_mut() {
                table.rows.restore(state.rows(table.name(), &device)?);
            }
            component.restore(&from)?;
        }
        (self.steps, self.last, self.is_restored) = (state.description.steps, None, true);
        Ok(())
    }

    /// Dense parameters, masks of gates included.
    pub fn dense_count(&self) -> usize {
        let own = self.components.iter().filter_map(|component| component.weights()).map(|weights| weights.count());
        self.ple.count() + own.sum::<usize>()
    }
}
