//! The losses of rankers on their way from the device.

use super::TrainError;
use super::readback::{Answers, Asked, ReadBack};
use crate::metrics::Losses;
use crate::model::ranker::{Ranker, StepLosses};

/// Losses that were asked for, ranker by ranker.
pub(super) struct AskedLosses(Vec<[Option<Asked>; 7]>);

impl AskedLosses {
    /// Asks for those of every ranker's last step.
    pub(super) fn ask(rankers: &[Ranker], readback: &mut ReadBack) -> Self {
        let mut ask = |losses: &StepLosses| {
            let StepLosses { mtl, auxiliary, uie, upbe, uhse, items, adaptation } = losses.clone();
            [Some(mtl), auxiliary, uie, upbe, uhse, items, adaptation].map(|loss| loss.map(|loss| readback.ask(loss)))
        };
        Self(rankers.iter().filter_map(Ranker::losses).map(&mut ask).collect())
    }

    /// Takes them.
    ///
    /// # Errors
    /// Answers that came short.
    pub(super) fn take(self, answers: &mut Answers) -> Result<Vec<Losses>, TrainError> {
        let mut losses = Vec::with_capacity(self.0.len());
        for asked in self.0 {
            let mut parts: [Option<Vec<f32>>; 7] = Default::default();
            for (part, asked) in parts.iter_mut().zip(asked) {
                *part = asked.map(|asked| answers.take(asked)).transpose()?;
            }
            let [mtl, auxiliary, uie, upbe, uhse, items, adaptation] = parts;
            let at = |part: &Option<Vec<f32>>, level: usize| part.as_ref().map(|part| part.get(level).copied().unwrap_or(f32::NAN));
            losses.push(Losses {
                mtl: at(&mtl, 0).unwrap_or(f32::NAN),
                auxiliary: at(&auxiliary, 0),
                uie_l1: at(&uie, 0),
                uie_l2: at(&uie, 1),
                upbe_l1: at(&upbe, 0),
                upbe_l2: at(&upbe, 1),
                uhse_l1: at(&uhse, 0),
                uhse_l2: at(&uhse, 1),
                items: at(&items, 0).zip(at(&items, 1)).map(|(l1, l2)| [l1, l2]),
                adaptation: at(&adaptation, 0),
            });
        }
        Ok(losses)
    }
}
