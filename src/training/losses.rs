//! The losses of rankers on their way from the device.

use super::TrainError;
use super::readback::{Answers, Asked, ReadBack};
use crate::metrics::{Losses, Term};
use crate::model::ranker::Ranker;

/// Losses that were asked for, ranker by ranker.
pub(super) struct AskedLosses(Vec<Vec<(&'static Term, Asked)>>);

impl AskedLosses {
    /// Asks for those of every ranker's last step.
    pub(super) fn ask(rankers: &[Ranker], readback: &mut ReadBack) -> Self {
        let steps = rankers.iter().filter_map(Ranker::losses);
        Self(steps.map(|losses| losses.iter().map(|(term, value)| (*term, readback.ask(value.clone()))).collect()).collect())
    }

    /// Takes them.
    ///
    /// # Errors
    /// Answers that came short.
    pub(super) fn take(self, answers: &mut Answers) -> Result<Vec<Losses>, TrainError> {
        let mut of_ranker = |asked: Vec<(&'static Term, Asked)>| {
            let mut losses = Losses::default();
            for (term, asked) in asked {
                let values = answers.take(asked)?;
                term.names.iter().zip(values).for_each(|(&name, value)| losses.push(name, value));
            }
            Ok(losses)
        };
        self.0.into_iter().map(&mut of_ranker).collect()
    }
}
