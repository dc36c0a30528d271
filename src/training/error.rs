//! What stops a run, and what a person is told of it.

use burn::tensor::ExecutionError;

use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::data::DataError;
use crate::metrics::divergence::Divergence;
use crate::model::ranker::ExportError;
use crate::wire::{Failure, Remedy};

/// What stops a run.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The rows cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The device gave an error or was lost.
    #[error("the device failed: {0}")]
    Device(String),
    /// Weights that do not fit.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// A checkpoint that does not fit.
    #[error("{0}")]
    Checkpoint(CheckpointError),
    /// A model that cannot be a graph.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// No device as asked for.
    #[error("{0}")]
    NoDevice(String),
    /// Processes that cannot train together.
    #[error("{0}")]
    Processes(String),
    /// A model is beyond repair.
    #[error("{variant} diverged at step {step}: {why}")]
    Diverged {
        /// The model's name.
        variant: &'static str,
        /// When it was seen.
        step: u64,
        /// What was seen.
        why: Divergence,
        /// What to lower ([`crate::metrics::divergence::what_to_lower`]).
        advice: String,
    },
}

impl From<ExecutionError> for TrainError {
    fn from(error: ExecutionError) -> Self {
        Self::Device(error.to_string())
    }
}

impl From<&TrainError> for Failure {
    fn from(error: &TrainError) -> Self {
        let (what, next) = match error {
            TrainError::Config(_) => ("The configuration cannot be used.", "Change the value named below, or start from a preset."),
            TrainError::Data(error) => {
                let (detail, next) = (error.problem(), error.advice().into());
                return Self { what: "The rows cannot be used.".into(), detail, next };
            }
            TrainError::Weights(_) => ("The weights cannot be used.", "Take other weights, or start without any."),
            TrainError::Checkpoint(_) => {
                ("The run cannot go on from its checkpoint.", "Nothing was changed: the checkpoint is there as it was.")
            }
            TrainError::Device(_) => ("The device stopped.", "Start again; choose the CPU if it happens again."),
            TrainError::Export(_) => ("The model cannot be exported.", "Name another model of the run by --model."),
            TrainError::NoDevice(_) => ("There is no such device here.", "Choose the CPU, or let the device be chosen automatically."),
            TrainError::Processes(_) => ("The processes cannot train together.", "Start all of them with the same arguments and files."),
            TrainError::Diverged { advice, .. } => ("Training diverged.", advice.as_str()),
        };
        Self { what: what.into(), detail: error.to_string(), next: next.into() }
    }
}

impl From<&TrainError> for Remedy {
    fn from(error: &TrainError) -> Self {
        match error {
            TrainError::Config(_) | TrainError::Processes(_) => Self::Defaults,
            TrainError::Data(_) => Self::UseSynthetic,
            TrainError::Weights(_) | TrainError::Checkpoint(_) | TrainError::Export(_) => Self::StartAgain,
            TrainError::Device(_) | TrainError::NoDevice(_) => Self::UseCpu,
            TrainError::Diverged { .. } => Self::LowerLearningRate,
        }
    }
}
