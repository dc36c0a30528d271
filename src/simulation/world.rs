//! One arm's copy of the world: what its users took so far and what they were counted for.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::report::{METRICS, Metric, Outcome};
use super::visitors::{Draw, Session};
use super::{Arm, Learning, Simulation, SimulationError};
use crate::data::protocol::{Batch, Candidate, Histories};
use crate::data::{Event, Source, WINDOW_END};

/// Candidates of a training request: the positive, then its negative.
const TRAINED: usize = 2;
/// Seconds of a day.
const DAY: u64 = 86_400;

pub(super) struct World<'a> {
    simulation: &'a Simulation,
    histories: Histories,
    /// `[items]`: rows so far.
    item_rows: Vec<u32>,
    /// What was taken in the simulation; what was had before it is the same for all arms.
    had: HashSet<(u32, u32)>,
    /// The training batch that fills up.
    growing: Batch,
    /// Full ones that wait for their step.
    full: Vec<Arc<Batch>>,
    /// Themes, categories and tags that a user met today.
    today: HashSet<(u32, Metric, u32)>,
    outcome: Outcome,
}

impl<'a> World<'a> {
    pub(super) fn new(simulation: &'a Simulation) -> Self {
        let start = &simulation.start;
        Self {
            histories: start.histories.clone(),
            item_rows: start.item_rows.clone(),
            had: HashSet::new(),
            growing: simulation.batch(simulation.requests, TRAINED),
            full: Vec::new(),
            today: HashSet::new(),
            outcome: Outcome::new(simulation.dataset.vocabulary().users as usize),
            simulation,
        }
    }

    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The sessions of a block, scored with the state at its start.
    pub(super) async fn serve<A: Arm>(&mut self, arm: &mut A, block: Range<u64>) -> Result<(), SimulationError<A::Error>> {
        let config = &self.simulation.config;
        let sessions: Vec<Session> = block.map(|index| self.simulation.visitors.session(index)).collect();
        let batch = Arc::new(self.requests(&sessions));
        let scores = arm.score(batch.clone()).await.map_err(|source| failed(arm, source))?;
        if scores.len() != batch.samples() {
            return Err(SimulationError::Scores { name: arm.name(), expected: batch.samples(), found: scores.len() });
        }
        if scores.iter().any(|score| score.is_nan()) {
            let day = 1 + (sessions[0].index / u64::from(config.sessions)) as u32;
            return Err(SimulationError::NotANumber { name: arm.name(), day });
        }
        for (session, scores) in sessions.iter().zip(scores.chunks(config.candidates)) {
            self.visit(session, scores);
        }
        if config.learning == Learning::AtOnce {
            self.learn(arm).await?;
        }
        Ok(())
    }

    /// A day is over: what still waits is learned, and themes, categories and tags count anew.
    pub(super) async fn end_day<A: Arm>(&mut self, arm: &mut A) -> Result<(), SimulationError<A::Error>> {
        self.today.clear();
        self.learn(arm).await
    }

    async fn learn<A: Arm>(&mut self, arm: &mut A) -> Result<(), SimulationError<A::Error>> {
        for batch in std::mem::take(&mut self.full) {
            arm.learn(batch).await.map_err(|source| failed(arm, source))?;
            self.outcome.steps += 1;
        }
        Ok(())
    }

    /// One request a session.
    fn requests(&self, sessions: &[Session]) -> Batch {
        let config = &self.simulation.config;
        let mut batch = self.simulation.batch(config.block, config.candidates);
        for session in sessions {
            let candidates: Vec<Candidate> = session.candidates.iter().map(|&item| self.candidate(session.user, item, [0.0; 2])).collect();
            batch.push(&self.histories, session.user, self.simulation.dataset.is_low_active(session.user), false, &candidates);
            batch.push_profile(self.simulation.profile(session.user));
        }
        batch.pad();
        batch
    }

    fn candidate(&self, user: u32, item: u32, labels: [f32; 2]) -> Candidate {
        let item_rows = self.item_rows[item as usize];
        let category = self.simulation.visitors.generator().category(item);
        Candidate { item, category, labels, item_rows, repeat: self.has_had(user, item), seen: item_rows > 0 }
    }

    fn has_had(&self, user: u32, item: u32) -> bool {
        self.simulation.start.had.contains(&(user, item)) || self.had.contains(&(user, item))
    }

    /// What a user does with their session.
    fn visit(&mut self, session: &Session, scores: &[f32]) {
        let visitors = &self.simulation.visitors;
        let looked = visitors.ranking(session, scores).into_iter().take(visitors.looks(session.index));
        let (taken, left): (Vec<u32>, Vec<u32>) = looked.partition(|&item| visitors.takes(session, item));
        self.outcome.looks += (taken.len() + left.len()) as u64;
        for item in taken {
            self.train_on(session, item, &left);
            self.take(session, item);
        }
    }

    /// A positive with its negative, under the state before it is taken.
    fn train_on(&mut self, session: &Session, item: u32, left: &[u32]) {
        let (simulation, user) = (self.simulation, session.user);
        let visitors = &simulation.visitors;
        let strong = f32::from(u8::from(visitors.behaves(session, item).is_strong()));
        let negative = visitors.negative(session, item, left, |item| self.has_had(user, item));
        let pair = [self.candidate(user, item, [1.0, strong]), self.candidate(user, negative, [0.0; 2])];
        let low = simulation.dataset.is_low_active(user);
        let (of_low, of_high) = simulation.dataset.sampling();
        let clusters = visitors.lane(Draw::Clustered).lane(session.index).uniform(item.into()) < if low { of_low } else { of_high };
        self.growing.push(&self.histories, user, low, clusters, &pair);
        self.growing.push_profile(simulation.profile(user));
        if self.growing.is_full() {
            let next = simulation.batch(simulation.requests, TRAINED);
            self.full.push(Arc::new(std::mem::replace(&mut self.growing, next)));
        }
    }

    /// A valid consumption: into the history, and into what is counted.
    fn take(&mut self, session: &Session, item: u32) {
        let visitors = &self.simulation.visitors;
        let (user, category) = (session.user, visitors.generator().category(item));
        let time = WINDOW_END + (session.index * DAY / u64::from(self.simulation.config.sessions)) as i64;
        self.histories.add(&Event { user, item, category, behaviour: visitors.behaves(session, item), time });
        self.item_rows[item as usize] += 1;
        self.had.insert((user, item));
        let totals = &mut self.outcome.totals[user as usize];
        totals[Metric::Uvc as usize] += 1.0;
        totals[Metric::Udt as usize] += visitors.watches(session, item);
        let kinds = [visitors.generator().planted_item_group(item), category, visitors.generator().tag(item)];
        for (metric, id) in METRICS[2..].iter().zip(kinds) {
            totals[*metric as usize] += f64::from(u8::from(self.today.insert((user, *metric, id))));
        }
    }
}

fn failed<A: Arm>(arm: &A, source: A::Error) -> SimulationError<A::Error> {
    SimulationError::Arm { name: arm.name(), source }
}
