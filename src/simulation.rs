//! A simulation of an online A/B experiment (Table 6 of the paper) on the generator's own users. No figure of it is a
//! measurement of real people.
//!
//! The training stream is over. From then on every arm, one model each, serves its own copy of the world for some days:
//! a session draws a user and their candidates, the arm scores them in one request, the user looks at the best ones from
//! the top and takes what suits their true taste. What they take enters their history and trains the arm, with one negative,
//! as it would online.
//!
//! - *Paired*: who comes, the candidates, how far they look, whether they take an item and how long they watch it are
//!   counter-based numbers of (seed, session, item), the same for all arms. Arms differ only where their rankings do.
//! - *Cold start* (section 4.6): a share of the users has no row in the training stream, see [`KnownUsers`]. They are a
//!   group of their own.
//! - *Blocks*: the sessions of a block are scored in one batch, with the state at the start of the block. What is taken
//!   in one of them is seen by later blocks only.
//!
//! The comparison knows no model: anything that implements [`Arm`] can be compared. Those of a comparison do in `served.rs`.

mod known;
mod report;
#[cfg(feature = "train")]
mod served;
mod visitors;
mod world;

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::known::KnownUsers;
pub use self::report::{ArmGroup, ArmReport, Change, Group, GroupReport, Metric, MetricReport, SimulationReport};
#[cfg(feature = "train")]
pub use self::served::{Notice, simulate};
pub use self::visitors::{Session, Visitors};
use self::world::World;
use crate::config::{Config, ConfigError, Negatives};
use crate::data::protocol::{Batch, Dataset, Histories};
use crate::data::{Source, Vocabulary};

/// A model under test. It comes trained on the whole training stream.
pub trait Arm {
    /// What scoring or learning can fail with.
    type Error: std::error::Error + 'static;

    /// The name in the report.
    fn name(&self) -> String;

    /// One score for each sample of the batch, padding included; higher is shown first. Labels are 0 and nothing may be
    /// learned.
    ///
    /// # Errors
    /// Whatever keeps the arm from scoring.
    fn score(&mut self, batch: Arc<Batch>) -> impl Future<Output = Result<Vec<f32>, Self::Error>>;

    /// One training step on a full batch under the protocol: a positive, then its negative.
    ///
    /// # Errors
    /// Whatever keeps the arm from learning.
    fn learn(&mut self, batch: Arc<Batch>) -> impl Future<Output = Result<(), Self::Error>>;
}

/// When an arm learns from what was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Learning {
    /// After the block in which a training batch became full.
    AtOnce,
    /// After the day.
    Daily,
}

/// The sizes of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimulationConfig {
    /// Days after the training stream; the paper's experiment took 7.
    pub days: u32,
    /// Sessions of a day.
    pub sessions: u32,
    /// Items that an arm scores for a session.
    pub candidates: usize,
    /// Items of them that the user is shown.
    pub shown: usize,
    /// Sessions that are scored in one batch.
    pub block: usize,
    /// Share of the users that are kept out of the training stream.
    pub new_users: f64,
    /// When arms learn.
    pub learning: Learning,
}

impl Default for SimulationConfig {
    fn default() -> Self {
        Self { days: 7, sessions: 3_000, candidates: 50, shown: 10, block: 64, new_users: 0.1, learning: Learning::AtOnce }
    }
}

impl SimulationConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`ConfigError`] names the field, its value and what is allowed.
    pub fn validate(&self, vocabulary: Vocabulary) -> Result<(), ConfigError> {
        let items = (vocabulary.items as usize).min(10_000);
        whole("days", self.days as usize, 1, 365)?;
        whole("sessions", self.sessions as usize, 1, 100_000_000)?;
        whole("candidates", self.candidates, 2, items)?;
        whole("shown", self.shown, 1, self.candidates)?;
        whole("block", self.block, 1, 65_536)?;
        if (0.0..=0.5).contains(&self.new_users) {
            return Ok(());
        }
        Err(ConfigError { field: "new_users".into(), value: self.new_users.to_string(), allowed: "from 0 to 0.5".into() })
    }

    /// Sessions of all days.
    pub fn all_sessions(&self) -> u64 {
        u64::from(self.days) * u64::from(self.sessions)
    }
}

fn whole(field: &str, value: usize, low: usize, high: usize) -> Result<(), ConfigError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ConfigError { field: field.into(), value: value.to_string(), allowed: format!("from {low} to {high}") })
}

/// Why a simulation stopped.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError<E: std::error::Error + 'static> {
    /// There is nothing to compare.
    #[error("a simulation needs at least one model. Name some, the baseline first")]
    NoArms,
    /// An arm failed.
    #[error("{name} failed in the simulation: {source}")]
    Arm {
        /// The arm.
        name: String,
        /// Its own error.
        source: E,
    },
    /// An arm gave too few or too many scores.
    #[error("{name} gave {found} scores for {expected} samples. The model and the simulation do not fit: report this as a fault")]
    Scores {
        /// The arm.
        name: String,
        /// Samples of the batch.
        expected: usize,
        /// Scores.
        found: usize,
    },
    /// A score is no number.
    #[error("{name} gave a score that is no number on day {day} of the simulation. Train again with a smaller learning_rate")]
    NotANumber {
        /// The arm.
        name: String,
        /// The day, from 1.
        day: u32,
    },
}

/// How far a simulation is. Sent after every block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The day under way, from 1.
    pub day: u32,
    /// Which arm serves, from 0.
    pub arm: usize,
    /// Sessions served, all arms together.
    pub served: u64,
    /// Sessions to serve in all, all arms together.
    pub sessions: u64,
}

/// The world at the end of the training stream, and who comes after it.
pub struct Simulation {
    config: SimulationConfig,
    /// Requests of a training batch.
    requests: usize,
    history: usize,
    visitors: Visitors,
    dataset: Dataset,
    start: Start,
}

/// What is known at the end of the training stream.
struct Start {
    histories: Histories,
    /// `[items]`: rows.
    item_rows: Vec<u32>,
    /// Who had what.
    had: HashSet<(u32, u32)>,
}

impl Start {
    fn of(known: &Arc<KnownUsers>, history: usize) -> Self {
        let sizes = known.vocabulary();
        let mut start = Self {
            histories: Histories::new(sizes.users as usize, history),
            item_rows: vec![0; sizes.items as usize],
            had: HashSet::new(),
        };
        for event in known.clone().events() {
            start.histories.add(&event);
            start.item_rows[event.item as usize] += 1;
            start.had.insert((event.user, event.item));
        }
        start
    }
}

impl Simulation {
    /// A simulation after the stream of `known`, which `dataset` was opened on with `run`. Reads the stream once and
    /// keeps what it leaves behind: histories, and each pair of a user and an item that they had.
    ///
    /// # Errors
    /// [`ConfigError`] names the size that does not fit.
    pub fn new(config: SimulationConfig, run: &Config, known: &Arc<KnownUsers>, dataset: &Dataset) -> Result<Self, ConfigError> {
        config.validate(known.vocabulary())?;
        if run.negatives == Negatives::None {
            return Err(ConfigError::new(
                "negatives",
                "none",
                "uniform, popular or time-matched: users of a simulation take behaviours with negatives",
            ));
        }
        let visitors = Visitors::new(known.generator().clone(), run.seed, config);
        let (requests, start) = (run.requests(), Start::of(known, run.history));
        Ok(Self { config, requests, history: run.history, visitors, dataset: dataset.clone(), start })
    }

    /// An empty batch.
    fn batch(&self, requests: usize, candidates: usize) -> Batch {
        let profile_fields = self.visitors.generator().profile_fields() as usize;
        Batch { profile_fields, ..Batch::new(requests, candidates, self.history) }
    }

    /// What is known of a user's profile.
    fn profile(&self, user: u32) -> impl Iterator<Item = Option<u32>> {
        let generator = self.visitors.generator();
        (0..generator.profile_fields()).map(move |field| generator.profile(user, field))
    }

    /// The users and their sessions.
    pub fn visitors(&self) -> &Visitors {
        &self.visitors
    }

    /// The group that a user is reported in. New users have no row in the training stream, whatever else they are.
    ///
    /// # Panics
    /// Where there is no such user.
    pub fn group(&self, user: u32) -> Group {
        if self.start.histories.behaviours(user) == 0 {
            Group::New
        } else if self.dataset.is_low_active(user) {
            Group::Low
        } else {
            Group::High
        }
    }

    /// Serves all days with every arm, the baseline first, and compares them.
    ///
    /// # Errors
    /// [`SimulationError`]: no arm, or one that failed.
    pub async fn run<A: Arm>(&self, arms: &mut [A], mut sink: impl FnMut(Progress)) -> Result<SimulationReport, SimulationError<A::Error>> {
        if arms.is_empty() {
            return Err(SimulationError::NoArms);
        }
        let mut worlds: Vec<World<'_>> = arms.iter().map(|_| World::new(self)).collect();
        let mut progress = Progress { day: 0, arm: 0, served: 0, sessions: self.config.all_sessions() * arms.len() as u64 };
        for day in 0..self.config.days {
            for (index, (arm, world)) in arms.iter_mut().zip(&mut worlds).enumerate() {
                let first = u64::from(day) * u64::from(self.config.sessions);
                let end = first + u64::from(self.config.sessions);
                for start in (first..end).step_by(self.config.block) {
                    let block = start..(start + self.config.block as u64).min(end);
                    progress = Progress { day: day + 1, arm: index, served: progress.served + (block.end - block.start), ..progress };
                    world.serve(arm, block).await?;
                    sink(progress);
                }
                world.end_day(arm).await?;
            }
        }
        Ok(report::compare(self, arms.iter().map(Arm::name).zip(worlds.iter().map(World::outcome)).collect()))
    }
}

#[cfg(test)]
mod tests;
