//! What a picture of the user clusters is made from, on its way from the device.

use std::sync::Arc;

use burn::tensor::Int;

use super::TrainError;
use super::readback::{Answers, Asked, ReadBack};
use crate::data::Side;
use crate::data::protocol::Batch;
use crate::kernels::Levels;
use crate::model::component::Clustered;
use crate::model::layers::ghca::Memory;
use crate::model::ranker::Ranker;
use crate::view::Snapshot;

/// A [`Snapshot`] that was asked for.
pub(super) struct AskedSnapshot {
    levels: Levels,
    width: usize,
    host: Arc<Batch>,
    centres: Asked,
    hits: Asked,
    vectors: Asked,
    stopped: Asked,
    assigned: Asked<Int>,
}

impl AskedSnapshot {
    /// Asks for a ranker's user centres and the users of its last step; `None` before the first fill.
    pub(super) fn ask(ranker: &Ranker, readback: &mut ReadBack) -> Option<Self> {
        let memory = ranker.memory(Side::Users).filter(|memory| Memory::is_filled(memory))?;
        let last = ranker.last()?;
        let Clustered { v, chosen: Some((assigned, stopped)) } = last.clustered[Side::Users as usize].clone()? else { return None };
        let [_, width] = v.dims();
        Some(Self {
            levels: memory.levels(),
            width,
            host: last.host.clone(),
            centres: readback.ask(memory.centres()),
            hits: readback.ask(memory.hits()),
            vectors: readback.ask(v),
            stopped: readback.ask(stopped),
            assigned: readback.ask(assigned),
        })
    }

    /// Takes it.
    ///
    /// # Errors
    /// Answers that came short.
    pub(super) fn take(self, step: u64, answers: &mut Answers) -> Result<Snapshot, TrainError> {
        let Levels { first, children } = self.levels;
        Ok(Snapshot {
            step,
            parents: first,
            children,
            width: self.width,
            centres: answers.take(self.centres)?,
            hits: answers.take(self.hits)?,
            vectors: answers.take(self.vectors)?,
            assigned: answers.take(self.assigned)?.into_iter().map(|id| id as u32).collect(),
            stopped: answers.take(self.stopped)?.into_iter().map(|stopped| stopped > 0.5).collect(),
            users: self.host.user[..self.host.requests].to_vec(),
            low_active: self.host.low_active[..self.host.requests].to_vec(),
        })
    }
}
