//! What is kept of a run's events.

use duia::data::DataReport;
use duia::metrics::{ClusterHealth, Evaluation, Losses, TestKind};
use duia::variants::Variant;
use duia::wire::{DeviceReport, Event, Failure};

use super::series::Series;

/// A run as far as its events have told it.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub device: Option<DeviceReport>,
    pub data: Option<DataReport>,
    /// The models that are compared, in order.
    pub variants: Vec<Variant>,
    /// Steps of the whole run.
    pub planned_steps: u64,
    /// Steps done.
    pub steps: u64,
    /// Samples that each variant has seen.
    pub samples: u64,
    pub samples_per_second: f64,
    /// The last losses, one a variant.
    pub losses: Vec<Losses>,
    /// The last evaluation with frozen memories: that of the whole test set where the run finished.
    pub evaluation: Option<Evaluation>,
    /// The streaming test, where there was one.
    pub streaming: Option<Evaluation>,
    /// The last state of the clusters, one entry for each variant and side that clusters.
    pub clusters: Vec<ClusterHealth>,
    pub failure: Option<Failure>,
    pub series: Series,
    /// The steps after which it went on from a checkpoint.
    pub resumed_at: Vec<u64>,
}

impl Record {
    /// Whether the scores are of the whole test set; else of the probe set, where a run failed on its way.
    pub fn is_tested(&self) -> bool {
        self.evaluation.as_ref().is_some_and(|evaluation| evaluation.kind == TestKind::Whole)
    }

    /// Takes an event in.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Device(device) => self.device = Some(device),
            Event::Data(data) => self.data = Some(data),
            Event::Ready { variants, steps, .. } => {
                self.variants = variants;
                self.planned_steps = steps;
            }
            Event::Progress { step, samples, samples_per_second } => {
                self.steps = step;
                self.samples = samples;
                self.samples_per_second = samples_per_second;
            }
            Event::Losses { step, losses } => {
                self.series.add_losses(&self.variants, step, &losses);
                self.losses = losses;
            }
            Event::Evaluation(evaluation) => {
                self.series.add_evaluation(&self.variants, &evaluation);
                match evaluation.kind {
                    TestKind::ProbeSet | TestKind::Whole => self.evaluation = Some(evaluation),
                    TestKind::Streaming => self.streaming = Some(evaluation),
                }
            }
            Event::Clusters(health) => {
                self.series.add_clusters(&health);
                self.clusters.retain(|last| (last.variant, last.side) != (health.variant, health.side));
                self.clusters.push(health);
            }
            Event::Reseeded { variant, side, step, centres, children, first_fill: false } => {
                self.series.add_reseeded(variant, side, step, [centres.len(), children.len()]);
            }
            Event::Failed { failure, .. } => self.failure = Some(failure),
            Event::Reseeded { first_fill: true, .. }
            | Event::Stage(_)
            | Event::Tested { .. }
            | Event::Field(_)
            | Event::Portrait(_)
            | Event::State(_) => {}
            // Answers to a watcher's files, which the terminal gives before the run.
            Event::Loaded { .. } | Event::Refused(_) | Event::Reading(_) | Event::Marked { .. } | Event::Past(_) => {}
        }
    }
}
