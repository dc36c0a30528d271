//! Scores of any user and item at any time, by the models of a run that was kept.

mod export;

use std::sync::Arc;

pub use self::export::Exported;
use super::device::{self, Watch};
use super::readback::ReadBack;
use super::{Learner, TrainError};
use crate::checkpoint::run::Checkpoint;
use crate::checkpoint::{CheckpointError, State};
use crate::config::Config;
use crate::data::Source;
use crate::data::protocol::{Asked, Dataset, TASKS, Timeline};
use crate::footprint::{self, Shape};
use crate::model::component::Frozen;
use crate::platform;
use crate::variants::Variant;
use crate::wire::{DeviceChoice, Event, Failure};

/// What the models of a run learned.
pub enum Trained {
    /// A checkpoint: all of its models.
    Run(Box<Checkpoint>),
    /// The weights of one.
    Weights(Box<State>),
}

impl Trained {
    /// The configuration of the run.
    pub fn config(&self) -> &Config {
        match self {
            Self::Run(checkpoint) => &checkpoint.header().config,
            Self::Weights(state) => &state.description.config,
        }
    }

    /// What its rows are called.
    pub fn data(&self) -> &str {
        match self {
            Self::Run(checkpoint) => &checkpoint.header().data,
            Self::Weights(state) => &state.description.data,
        }
    }

    /// Steps that it was trained.
    pub fn steps(&self) -> u64 {
        match self {
            Self::Run(checkpoint) => checkpoint.header().step,
            Self::Weights(state) => state.description.steps,
        }
    }

    /// Its models.
    pub fn models(&self) -> Vec<Variant> {
        match self {
            Self::Run(checkpoint) => checkpoint.header().models.iter().map(|model| model.variant).collect(),
            Self::Weights(state) => vec![state.description.variant],
        }
    }
}

/// Models that score and learn no more.
pub struct Scorer {
    timeline: Timeline,
    learner: Learner,
    /// By model.
    frozen: Vec<Frozen>,
    watch: Watch,
}

impl Scorer {
    /// Opens a device and the rows that the run was trained on, and puts the models back as they were.
    ///
    /// # Errors
    /// A sentence for a person: no such device, other rows than the run's, a checkpoint that cannot be used.
    pub async fn open(
        trained: Trained,
        source: Arc<dyn Source>,
        choice: DeviceChoice,
        sink: &mut dyn FnMut(Event),
    ) -> Result<Self, Failure> {
        Self::open_with(trained, source, choice, sink).await.map_err(|error| match &error {
            TrainError::Checkpoint(error) | TrainError::Weights(error) => Failure {
                what: "The models cannot be put back".into(),
                detail: error.to_string(),
                next: "Give the rows that the run was trained on by --data".into(),
            },
            error => Failure::from(error),
        })
    }

    async fn open_with(
        mut trained: Trained,
        source: Arc<dyn Source>,
        choice: DeviceChoice,
        sink: &mut dyn FnMut(Event),
    ) -> Result<Self, TrainError> {
        let config = trained.config().clone();
        footprint::require(&config, Shape::of(&*source), platform::available_memory())?;
        let opened = device::open(choice, &config, sink).await?;
        sink(Event::Device(opened.report));
        let dataset = Dataset::open(source, &config)?;
        let vocabulary = dataset.vocabulary();
        let mut learner = Learner::new(&config, &trained.models(), vocabulary, &opened.device, dataset.train_steps());
        match &mut trained {
            Trained::Run(checkpoint) => {
                let (found, expected) = (checkpoint.header().fingerprint.clone(), dataset.fingerprint());
                if found != expected {
                    return Err(TrainError::Checkpoint(CheckpointError::Rows { found, expected }));
                }
                learner.resume(checkpoint).map_err(TrainError::Checkpoint)?;
            }
            Trained::Weights(state) => drop(learner.restore(state)?),
        }
        let categories = dataset.categories();
        let frozen = learner.rankers().iter().map(|ranker| ranker.frozen(&categories)).collect();
        Ok(Self { timeline: Timeline::new(&dataset), learner, frozen, watch: opened.watch })
    }

    /// Its models.
    pub fn models(&self) -> Vec<Variant> {
        self.learner.rankers().iter().map(|ranker| ranker.variant()).collect()
    }

    /// Rows of a batch.
    pub fn requests(&self) -> usize {
        self.timeline.requests()
    }

    /// What was known when a user and an item met.
    ///
    /// # Panics
    /// Where the run has no such user or item.
    pub fn asked(&self, user: u32, item: u32, seconds: u32) -> Asked {
        self.timeline.asked(user, item, seconds)
    }

    /// Logits, for each model and each task: `[asked]` each, in the order of what was asked.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn score(&self, asked: &[Asked]) -> Result<Vec<[Vec<f32>; TASKS]>, TrainError> {
        let rankers = self.learner.rankers();
        let mut scores: Vec<[Vec<f32>; TASKS]> = rankers.iter().map(|_| Default::default()).collect();
        let planner = self.learner.test_planner();
        let (mut readback, mut waiting) = (ReadBack::default(), Vec::new());
        let [requests, candidates] = [self.timeline.requests(), self.timeline.candidates()];
        for asked in asked.chunks(requests) {
            let batch = self.learner.test_batch(planner.plan(Arc::new(self.timeline.batch(asked))));
            for (ranker, frozen) in rankers.iter().zip(&self.frozen) {
                waiting.push((asked.len(), readback.ask(ranker.score_tasks(frozen, &batch))));
            }
        }
        let mut answers = readback.answers().await?;
        for (place, (valid, logits)) in waiting.into_iter().enumerate() {
            let logits = answers.take(logits)?;
            for (of_task, logits) in scores[place % rankers.len()].iter_mut().zip(logits.chunks(requests * candidates)) {
                of_task.extend(logits.iter().step_by(candidates).take(valid));
            }
        }
        self.watch.check()?;
        Ok(scores)
    }
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use std::io::{self, Cursor, Write};

    use super::*;
    use crate::checkpoint::{from_bytes, run::SaveError};
    use crate::data::generator::Generator;
    use crate::platform::block_on;
    use crate::training::{Keeper, Moment, RunOptions, run_with};

    /// Keeps the last checkpoint in memory.
    #[derive(Default)]
    struct InMemory(Vec<u8>);

    impl Keeper for InMemory {
        fn wants(&mut self, _step: u64, moment: Moment) -> bool {
            moment == Moment::Trained
        }

        fn note(&self) -> String {
            String::new()
        }

        fn open(&mut self, _step: u64) -> io::Result<&mut dyn Write> {
            self.0.clear();
            Ok(&mut self.0)
        }

        fn close(&mut self, _step: u64, outcome: Result<u64, SaveError>) {
            outcome.unwrap();
        }
    }

    /// A sample of the test has the score that the evaluation gives it, to the bit: out of the checkpoint and out of the weights, whatever
    /// stands around it in its batch.
    #[test]
    fn scores_are_those_of_the_evaluation() {
        let config =
            Config { users: 60, items: 300, categories: 20, rows: 5_000, batch: 64, history: 7, item_groups: 6, ..Config::default() };
        let config = config.with("variants", "ple,duia-items").unwrap().unwrap();
        let source = || Arc::new(Generator::new(&config));
        let (mut keeper, mut weights) = (InMemory::default(), Vec::new());
        let options = RunOptions {
            keeper: Some(&mut keeper),
            weights_out: Some(&mut |variant, bytes| weights.push((variant, bytes))),
            ..RunOptions::default()
        };
        block_on(run_with(config.clone(), source(), DeviceChoice::Cpu, options, |_| {})).unwrap();
        let checkpoint = || Checkpoint::open(Box::new(Cursor::new(keeper.0.clone())), &mut |_, _| {}).unwrap();
        let open = |trained| block_on(Scorer::open(trained, source(), DeviceChoice::Cpu, &mut |_| {}));
        let scorer = open(Trained::Run(Box::new(checkpoint()))).unwrap();

        let dataset = Dataset::open(source(), &config).unwrap();
        let (mut asked, mut expected) = (Vec::new(), vec![Vec::new(); 2]);
        for step in 0..dataset.test_steps() {
            let batch = dataset.test_batch(step);
            let own = |sample: usize| Asked { user: batch.user[sample / 2], item: batch.item[sample], row: batch.row[sample / 2] };
            asked.extend((0..2 * batch.valid).map(own));
            let tested = scorer.learner.test_batch(scorer.learner.test_planner().plan(Arc::new(dataset.test_batch(step))));
            for ((ranker, frozen), expected) in scorer.learner.rankers().iter().zip(&scorer.frozen).zip(&mut expected) {
                let mut readback = ReadBack::default();
                let logits = readback.ask(ranker.score(frozen, &tested).logits);
                let logits = block_on(readback.answers()).unwrap().take(logits).unwrap();
                expected.extend_from_slice(&logits[..2 * batch.valid]);
            }
        }
        let scores = block_on(scorer.score(&asked)).unwrap();
        let bits = |scores: &[f32]| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
        for (scores, expected) in scores.iter().zip(&expected) {
            let other = bits(&scores[0]).iter().zip(bits(expected)).filter(|(a, b)| **a != *b).count();
            assert_eq!(other, 0, "of {} scores are other ones", asked.len());
            assert!(scores[1].len() == asked.len() && scores[0] != scores[1]);
        }
        for (place, (variant, bytes)) in weights.iter().enumerate() {
            let alone = open(Trained::Weights(Box::new(from_bytes(bytes).unwrap()))).unwrap();
            let again = block_on(alone.score(&asked[37..41])).unwrap();
            assert_eq!(bits(&again[0][0]), bits(&expected[place][37..41]), "{}", variant.key());
        }
        let other = Arc::new(Generator::new(&Config { seed: 8, ..config.clone() }));
        let refused = block_on(Scorer::open(Trained::Run(Box::new(checkpoint())), other, DeviceChoice::Cpu, &mut |_| {}));
        assert!(refused.err().unwrap().detail.contains("of other rows"));
    }
}
