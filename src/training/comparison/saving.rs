//! A comparison into a checkpoint and out of one.

use std::io::{self, Write};

use web_time::Duration;

use super::{Comparison, planned_ahead};
use crate::checkpoint::CheckpointError;
use crate::checkpoint::run::{self, Checkpoint, Header, SaveError};
use crate::metrics::{Evaluation, TestKind};
use crate::variants::Variant;
use crate::wire::{self, Event};

impl Comparison {
    /// Writes a checkpoint of everything, with what was measured so far and what the shell wants to find again.
    ///
    /// # Errors
    /// A place that takes no more, a device that failed.
    pub async fn save(&self, measured: &[Event], note: &str, to: &mut dyn Write) -> Result<u64, SaveError> {
        let (format, program) = Header::versions();
        let header = Header {
            format,
            program,
            config: self.config.clone(),
            data: self.dataset.report().name,
            fingerprint: self.fingerprint.get_or_init(|| self.dataset.fingerprint()).clone(),
            step: self.step,
            steps: self.steps,
            pace: (self.pace.time.as_secs_f64(), self.pace.samples),
            score: score(measured, &self.config.variants.0),
            embeddings: self.learner.layout().embeddings(),
            models: self.learner.models(),
            note: note.into(),
        };
        let measured = wire::to_bytes(&measured.to_vec()).map_err(io::Error::other)?;
        run::write(&header, self.learner.gather_run(), &measured, to).await
    }

    /// Bytes of the tensors that [`Comparison::save`] would write now. Nothing is read from the device.
    pub fn bytes_to_save(&self) -> u64 {
        self.learner.gather_run().bytes()
    }

    /// Goes on from a checkpoint of the same configuration and the same rows, as if it had never stopped. Returns what was measured
    /// until then, in order.
    ///
    /// # Errors
    /// A checkpoint of anything else: then the comparison is of no more use.
    pub fn resume(&mut self, checkpoint: &mut Checkpoint) -> Result<Vec<Event>, CheckpointError> {
        checkpoint.header().require_config(&self.config)?;
        self.go_on(checkpoint)
    }

    /// Goes on from a checkpoint of the same rows under this comparison's configuration, which may differ in what can change under way
    /// ([`crate::config::Config::keeps_from`]). Returns what was measured until then, in order. With the same configuration it is
    /// [`Comparison::resume`].
    ///
    /// # Errors
    /// A setting that cannot change under way, or other rows: then the comparison is of no more use.
    pub fn branch(&mut self, checkpoint: &mut Checkpoint) -> Result<Vec<Event>, CheckpointError> {
        checkpoint.header().require_branch(&self.config)?;
        self.go_on(checkpoint)
    }

    fn go_on(&mut self, checkpoint: &mut Checkpoint) -> Result<Vec<Event>, CheckpointError> {
        let expected = self.fingerprint.get_or_init(|| self.dataset.fingerprint()).clone();
        let Header { fingerprint, step, pace: (seconds, samples), .. } = checkpoint.header().clone();
        if fingerprint != expected {
            return Err(CheckpointError::Rows { found: fingerprint, expected });
        }
        self.learner.resume(checkpoint)?;
        self.training = Some(planned_ahead(&self.dataset, &self.learner, step));
        (self.step, self.losses_told) = (step, step);
        self.pace.samples = samples;
        self.pace.time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        wire::from_bytes(&checkpoint.events()?).map_err(|error| CheckpointError::Foreign { detail: error.to_string() })
    }
}

/// Whether an event is a measurement, or a picture that was asked for, which a checkpoint keeps.
pub fn is_measured(event: &Event) -> bool {
    use Event::{Clusters, Evaluation, Field, Losses, Reseeded};
    matches!(event, Losses { .. } | Evaluation(_) | Clusters(_) | Field(_) | Reseeded { .. })
}

/// Mean AUC of the trained models when they were last evaluated.
fn score(measured: &[Event], variants: &[Variant]) -> Option<f64> {
    let last = measured.iter().rev().find_map(|event| match event {
        Event::Evaluation(evaluation @ Evaluation { kind: TestKind::ProbeSet, .. }) => Some(evaluation),
        _ => None,
    })?;
    let trained = variants.iter().zip(&last.scores).filter(|(variant, _)| variant.rule().is_none());
    let areas: Vec<f64> = trained.map(|(_, score)| score.auc.all.value).collect();
    let mean = areas.iter().sum::<f64>() / areas.len() as f64;
    mean.is_finite().then_some(mean)
}
