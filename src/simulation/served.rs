//! The models of a comparison as arms: trained side by side on the whole stream, then each in its own copy of the world.

use std::sync::Arc;

use burn::tensor::Device;

use super::{Arm, KnownUsers, Progress, Simulation, SimulationConfig, SimulationError, SimulationReport, Visitors};
use crate::config::{Config, ConfigError};
use crate::data::Source;
use crate::data::generator::Generator;
use crate::data::protocol::{Batch, Dataset};
use crate::footprint::{self, Shape};
use crate::model::component::Frozen;
use crate::platform;
use crate::training::device::{self, Opened, Watch};
use crate::training::readback::ReadBack;
use crate::training::{Learner, TrainError, score_by_rule};
use crate::variants::{Rule, Variant, trained};
use crate::wire::{DeviceChoice, Event, Failure};

/// What a watcher of a simulation hears.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Of the device and of the data.
    Event(Event),
    /// Of the training before the first day.
    Trained {
        /// Steps done, each of all models.
        step: u64,
        /// Steps in all.
        steps: u64,
    },
    /// Of the days.
    Served(Progress),
}

/// Trains the variants of `run` on the stream of the known users, lets each serve all days, and compares them with the first
/// one. The stream trains whole: there is no test, so `train_share` says nothing here.
///
/// # Errors
/// A sentence for a person: what happened, the detail, what to do next.
pub async fn simulate(
    run: &Config,
    sizes: SimulationConfig,
    choice: DeviceChoice,
    mut sink: impl FnMut(Notice),
) -> Result<SimulationReport, Failure> {
    if run.variants.0.is_empty() {
        return Err(Failure::from(&SimulationError::<TrainError>::NoArms));
    }
    let (simulation, mut arms) = prepare(run, sizes, choice, &mut sink).await.map_err(|error| Failure::from(&error))?;
    simulation.run(&mut arms, |progress| sink(Notice::Served(progress))).await.map_err(|error| Failure::from(&error))
}

async fn prepare(
    run: &Config,
    sizes: SimulationConfig,
    choice: DeviceChoice,
    sink: &mut dyn FnMut(Notice),
) -> Result<(Simulation, Vec<Served>), TrainError> {
    run.validate()?;
    require_untold(run)?;
    footprint::require(run, Shape::synthetic(run), platform::available_memory())?;
    let generator = Arc::new(Generator::new(run));
    sizes.validate(generator.vocabulary())?;
    let Opened { device, report, watch } = device::open(choice, run, &mut |event| sink(Notice::Event(event))).await?;
    sink(Notice::Event(Event::Device(report)));
    let known = Arc::new(KnownUsers::new(generator, run.seed, sizes.new_users));
    let run = with_the_whole_stream(run, known.rows());
    let dataset = Dataset::open(known.clone(), &run)?;
    sink(Notice::Event(Event::Data(dataset.report())));
    let simulation = Simulation::new(sizes, &run, &known, &dataset)?;
    let learner = train(&run, &dataset, &device, &watch, sink).await?;
    let arms = arms(&run, &dataset, simulation.visitors(), learner, &watch);
    Ok((simulation, arms))
}

/// Refuses models that are told what is planted: what visitors are told is that of no row.
fn require_untold(run: &Config) -> Result<(), ConfigError> {
    match run.variants.0.iter().find(|variant| variant.is_told()) {
        Some(told) => {
            Err(ConfigError::new("variants", told.key(), "left out of a simulation: nobody tells a model of its visitors' tastes"))
        }
        None => Ok(()),
    }
}

/// The run with every row in training but the last one, which the protocol wants for its test.
fn with_the_whole_stream(run: &Config, rows: u64) -> Config {
    Config { train_share: (rows as f64 - 0.5) / rows as f64, ..run.clone() }
}

/// All variants that are trained, after the stream, which they passed side by side.
async fn train(
    run: &Config,
    dataset: &Dataset,
    device: &Device,
    watch: &Watch,
    sink: &mut dyn FnMut(Notice),
) -> Result<Learner, TrainError> {
    let (variants, steps) = (trained(&run.variants.0).collect::<Vec<_>>(), dataset.train_steps());
    let mut learner = Learner::new(run, &variants, dataset.vocabulary(), device, steps).in_parallel(watch.is_cpu());
    learner = learner.refreshing(dataset.categories());
    let mut replay = dataset.replay();
    for step in 1..=if variants.is_empty() { 0 } else { steps } {
        let Some(batch) = replay.next_train() else { break };
        learner.learn(Arc::new(batch)).await?;
        watch.check()?;
        sink(Notice::Trained { step, steps });
    }
    Ok(learner)
}

/// The arms of the run's variants, in their order.
fn arms(run: &Config, dataset: &Dataset, visitors: &Visitors, learner: Learner, watch: &Watch) -> Vec<Served> {
    let categories = dataset.categories();
    let mut learners = learner.apart();
    let mut scorer = |variant: Variant| match variant.rule() {
        Some(rule) => Some(Scorer::Rule { rule, dataset: dataset.clone(), visitors: visitors.clone() }),
        None => learners
            .next()
            .map(|learner| Scorer::Model(Box::new(Online { learner, categories: categories.clone(), frozen: None, watch: watch.clone() }))),
    };
    run.variants.0.iter().filter_map(|&variant| Some(Served { variant, scorer: scorer(variant)? })).collect()
}

/// A variant that serves.
struct Served {
    variant: Variant,
    scorer: Scorer,
}

enum Scorer {
    Model(Box<Online>),
    /// Learns nothing. The truth is what decides whether a user takes an item, so no ranking has more UVC.
    Rule {
        rule: Rule,
        dataset: Dataset,
        visitors: Visitors,
    },
}

/// A model that goes on learning. Its planned steps are those of the training before, so no centre is re-seeded any more (A7).
struct Online {
    learner: Learner,
    /// `[items]`
    categories: Arc<[u32]>,
    /// What scores, with every item's centre looked up anew (A19); none once the model has learned more.
    frozen: Option<Frozen>,
    watch: Watch,
}

impl Online {
    async fn score(&mut self, batch: Arc<Batch>) -> Result<Vec<f32>, TrainError> {
        let ranker = &self.learner.rankers()[0];
        let frozen = self.frozen.get_or_insert_with(|| ranker.frozen(&self.categories));
        let mut readback = ReadBack::default();
        let logits = readback.ask(ranker.score(frozen, &ranker.test_batch(batch)).logits);
        let scores = readback.answers().await?.take(logits)?;
        self.watch.check()?;
        Ok(scores)
    }

    async fn learn(&mut self, batch: Arc<Batch>) -> Result<(), TrainError> {
        self.frozen = None;
        self.learner.learn(batch).await?;
        self.watch.check()
    }
}

impl Arm for Served {
    type Error = TrainError;

    fn name(&self) -> String {
        self.variant.name().into()
    }

    async fn score(&mut self, batch: Arc<Batch>) -> Result<Vec<f32>, TrainError> {
        match &mut self.scorer {
            Scorer::Model(model) => model.score(batch).await,
            Scorer::Rule { rule: Rule::Truth, visitors, .. } => Ok(batch
                .item
                .iter()
                .enumerate()
                .map(|(at, &item)| visitors.appeal(batch.user[at / batch.candidates], item) as f32)
                .collect()),
            Scorer::Rule { rule, dataset, .. } => {
                let mut scores = score_by_rule(*rule, &batch, dataset);
                scores.resize(batch.samples(), 0.0);
                Ok(scores)
            }
        }
    }

    async fn learn(&mut self, batch: Arc<Batch>) -> Result<(), TrainError> {
        match &mut self.scorer {
            Scorer::Model(model) => model.learn(batch).await,
            Scorer::Rule { .. } => Ok(()),
        }
    }
}

impl From<&SimulationError<TrainError>> for Failure {
    fn from(error: &SimulationError<TrainError>) -> Self {
        let (what, next) = match error {
            SimulationError::Arm { source, .. } => return Self { detail: error.to_string(), ..Self::from(source) },
            SimulationError::NoArms => ("There is nothing to simulate.", "Name models, the baseline first."),
            SimulationError::Scores { .. } => ("A model and the simulation do not fit.", "Please report this."),
            SimulationError::NotANumber { .. } => ("Training ran away.", "Start again with a smaller learning rate."),
        };
        Self { what: what.into(), detail: error.to_string(), next: next.into() }
    }
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use super::*;
    use crate::checkpoint;
    use crate::platform::block_on;
    use crate::simulation::Group;

    fn run(variants: Vec<Variant>) -> Config {
        Config {
            users: 60,
            items: 200,
            categories: 20,
            user_groups: 4,
            item_groups: 5,
            rows: 2_000,
            batch: 64,
            history: 6,
            centres: 4,
            item_centres: 5,
            variants: crate::variants::Variants(variants),
            ..Config::default()
        }
    }

    fn sizes() -> SimulationConfig {
        SimulationConfig { days: 2, sessions: 100, candidates: 12, shown: 6, block: 16, ..SimulationConfig::default() }
    }

    fn prepared(variants: Vec<Variant>) -> (Simulation, Vec<Served>) {
        block_on(prepare(&run(variants), sizes(), DeviceChoice::Cpu, &mut |_| {})).unwrap()
    }

    fn model(arm: &mut Served) -> &mut Online {
        match &mut arm.scorer {
            Scorer::Model(model) => model,
            Scorer::Rule { .. } => panic!("a rule is no model"),
        }
    }

    fn weights(arm: &mut Served) -> Vec<u8> {
        checkpoint::to_bytes(&block_on(model(arm).learner.rankers()[0].state("")).unwrap()).unwrap()
    }

    /// A training batch of the stream: any is as good as one of the days.
    fn batch() -> Arc<Batch> {
        let run = run(vec![]);
        Arc::new(Dataset::open(Arc::new(Generator::new(&run)), &run).unwrap().replay().next_train().unwrap())
    }

    #[test]
    fn scoring_changes_nothing_and_learning_does() {
        let (_, mut arms) = prepared(vec![Variant::Ple, Variant::DuiaItems]);
        let batch = batch();
        for arm in &mut arms {
            let before = weights(arm);
            let scores = block_on(arm.score(batch.clone())).unwrap();
            assert_eq!(scores, block_on(arm.score(batch.clone())).unwrap());
            assert!(scores.len() == batch.samples() && scores.iter().any(|score| *score != scores[0]));
            assert_eq!(before, weights(arm), "{}", arm.name());
            block_on(arm.learn(batch.clone())).unwrap();
            assert_ne!(before, weights(arm), "{}", arm.name());
            assert_ne!(scores, block_on(arm.score(batch.clone())).unwrap(), "{}", arm.name());
        }
    }

    /// After the last step nothing may be known of a state before it: the scores are those of a ranker that is frozen now.
    #[test]
    fn what_scores_is_as_new_as_what_was_learned() {
        let (_, mut arms) = prepared(vec![Variant::Duia]);
        let batch = batch();
        block_on(arms[0].score(batch.clone())).unwrap();
        block_on(arms[0].learn(batch.clone())).unwrap();
        let scores = block_on(arms[0].score(batch.clone())).unwrap();
        let model = model(&mut arms[0]);
        let ranker = &model.learner.rankers()[0];
        let fresh = ranker.score(&ranker.frozen(&model.categories), &ranker.test_batch(batch.clone())).logits;
        assert_eq!(scores, block_on(fresh.into_data_async()).unwrap().try_into_vec::<f32>().unwrap());
    }

    #[test]
    fn the_whole_stream_trains_and_new_users_are_not_in_it() {
        let mut steps = Vec::new();
        let mut data = None;
        let (simulation, mut arms) = block_on(prepare(&run(vec![Variant::Ple]), sizes(), DeviceChoice::Cpu, &mut |notice| match notice {
            Notice::Trained { step, steps: all } => steps.push((step, all)),
            Notice::Event(Event::Data(report)) => data = Some(report),
            _ => {}
        }))
        .unwrap();
        let data = data.unwrap();
        assert!(data.rows < 2_000 && data.train_rows == data.rows - 1 && data.name.contains("new in the simulation"));
        assert_eq!(steps.last(), Some(&(data.train_rows / 32, data.train_rows / 32)));
        assert_eq!(model(&mut arms[0]).learner.steps(), data.train_rows / 32);
        assert!((0..60).any(|user| simulation.group(user) == Group::New));
    }

    #[test]
    fn the_truth_is_far_above_a_model() {
        let variants = vec![Variant::Popularity, Variant::Ple, Variant::Truth];
        let mut last = None;
        let report = block_on(simulate(&run(variants), sizes(), DeviceChoice::Cpu, |notice| last = Some(notice))).unwrap();
        assert!(matches!(last, Some(Notice::Served(Progress { day: 2, arm: 2, served: 600, sessions: 600 }))));
        assert_eq!(report.arms.iter().map(|arm| arm.name.as_str()).collect::<Vec<_>>(), ["popularity", "PLE", "true preference"]);
        let all = |arm: usize| -> f64 {
            let groups = report.groups.iter().zip(&report.arms[arm].groups);
            groups.map(|(group, of_arm)| of_arm.metrics[0].value * group.users as f64).sum()
        };
        assert!(all(2) > 1.1 * all(1), "{} {} {}", all(0), all(1), all(2));
        assert!(report.arms[1].steps > 0);
    }

    #[test]
    fn failures_are_sentences() {
        let failure = |run: &Config, sizes| block_on(simulate(run, sizes, DeviceChoice::Cpu, |_| {})).unwrap_err();
        let none = failure(&run(vec![]), sizes());
        assert!(none.what.contains("nothing to simulate"), "{none:?}");
        let days = failure(&run(vec![Variant::Ple]), SimulationConfig { days: 0, ..sizes() });
        assert!(days.detail.contains("days = 0"), "{days:?}");
        let told = failure(&run(vec![Variant::Ple, Variant::Group]), sizes());
        assert!(told.detail.contains("variants = ple-group"), "{told:?}");
        let ran_away = SimulationError::<TrainError>::NotANumber { name: "PLE".into(), day: 3 };
        let ran_away = Failure::from(&ran_away);
        assert!(ran_away.detail.contains("PLE") && ran_away.next.contains("learning rate"), "{ran_away:?}");
    }
}
