//! What a picture of the clusters is made from, on its way from the device.

use std::sync::Arc;

use burn::tensor::Int;

use super::TrainError;
use super::readback::{Answers, Asked, ReadBack};
use crate::data::Side;
use crate::data::protocol::{Batch, Dataset};
use crate::kernels::Levels;
use crate::model::component::Clustered;
use crate::model::layers::ghca::Memory;
use crate::model::ranker::Ranker;
use crate::view::Snapshot;

/// A [`Snapshot`] that was asked for.
pub(super) struct AskedSnapshot {
    side: Side,
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
    /// Asks for a ranker's centres of a side and their members in its last step; `None` before the first fill.
    pub(super) fn ask(ranker: &Ranker, side: Side, readback: &mut ReadBack) -> Option<Self> {
        let memory = ranker.memory(side).filter(|memory| Memory::is_filled(memory))?;
        let last = ranker.last()?;
        let Clustered { v, chosen: Some((assigned, stopped)) } = last.clustered[side as usize].clone()? else { return None };
        let [_, width] = v.dims();
        Some(Self {
            side,
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
    pub(super) fn take(self, step: u64, dataset: &Dataset, answers: &mut Answers) -> Result<Snapshot, TrainError> {
        let Levels { first, children } = self.levels;
        let host = &self.host;
        let members: Vec<u32> = match self.side {
            Side::Users => host.user[..host.requests].to_vec(),
            Side::Items => host.consumed().take(host.requests).collect(),
        };
        let (low_active, groups) = match self.side {
            Side::Users => {
                let group = |(&id, &row): (&u32, &u32)| dataset.planted_group_at(id, row);
                (host.low_active[..host.requests].to_vec(), members.iter().zip(&host.row).map_while(group).collect())
            }
            Side::Items => {
                let tail = members.iter().map(|&id| dataset.is_tail(id)).collect();
                (tail, members.iter().map_while(|&id| dataset.planted_item_group(id)).collect())
            }
        };
        Ok(Snapshot {
            step,
            side: self.side,
            parents: first,
            children,
            width: self.width,
            centres: answers.take(self.centres)?,
            hits: answers.take(self.hits)?,
            vectors: answers.take(self.vectors)?,
            assigned: answers.take(self.assigned)?.into_iter().map(|id| id as u32).collect(),
            stopped: answers.take(self.stopped)?.into_iter().map(|stopped| stopped > 0.5).collect(),
            categories: host.category.iter().step_by(host.candidates).take(host.requests).copied().collect(),
            members,
            low_active,
            groups,
        })
    }
}
