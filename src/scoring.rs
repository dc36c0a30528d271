//! The scores of all variants on test rows, by rankers that are frozen or that train on, and the health of their clusters.

use std::sync::Arc;

use crate::config::{Config, Rule, Variant};
use crate::data::protocol::{Batch, Dataset};
use crate::kernels::Levels;
use crate::message::{ClusterHealth, Evaluation, Event, Side, TestKind};
use crate::metrics::divergence::{self, Divergence};
use crate::metrics::{ClusterTally, Positives, TestRows, baseline_of};
use crate::model::ranker::{Frozen, Ranker, Scored, Sight};
use crate::readback::{Answers, ReadBack};
use crate::train::TrainError;

/// Predictions of all variants on test rows, and the health of clusters that are frozen meanwhile.
pub struct Test {
    variants: Vec<Variant>,
    rows: TestRows,
    /// By variant.
    predictions: Vec<Vec<f32>>,
    /// By ranker.
    frozen: Vec<Frozen>,
    /// Whether clusters are tallied.
    has_clusters: bool,
    /// By ranker, for both sides; empty before the first batch.
    tallies: Vec<[Option<ClusterTally>; 2]>,
    /// By ranker, while its figures are on their way: the sides whose clusters are tallied.
    asked: Vec<(Variant, [Option<Levels>; 2])>,
    dataset: Dataset,
}

impl Test {
    /// Scores with the rankers as they are and every item looked up anew (`categories` is the category of each), and tallies
    /// their clusters.
    pub fn frozen(rankers: &[Ranker], categories: &[u32], dataset: &Dataset, config: &Config) -> Self {
        let frozen = rankers.iter().map(|ranker| ranker.frozen(categories)).collect();
        Self { frozen, has_clusters: true, ..Self::live(dataset, config) }
    }

    /// Scores with the rankers as training sees them, once it [follows](Test::follow) them.
    pub fn live(dataset: &Dataset, config: &Config) -> Self {
        let variants = config.variants.0.clone();
        Self {
            rows: TestRows::default(),
            predictions: vec![Vec::new(); variants.len()],
            frozen: Vec::new(),
            has_clusters: false,
            tallies: Vec::new(),
            asked: Vec::new(),
            variants,
            dataset: dataset.clone(),
        }
    }

    /// Scores from now on with the rankers as training sees them at present.
    pub fn follow(&mut self, rankers: &[Ranker]) {
        self.frozen = rankers.iter().map(Ranker::live).collect();
    }

    /// Scores batches of test rows, all in one read-back.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn score(&mut self, rankers: &[Ranker], batches: &[Arc<Batch>]) -> Result<(), TrainError> {
        let mut readback = ReadBack::default();
        self.ask(rankers, batches, &mut readback);
        self.take(batches, &mut readback.answers().await?)
    }

    /// Asks for the scores of batches of test rows. [`Test::take`] of the same batches has to follow.
    pub fn ask(&mut self, rankers: &[Ranker], batches: &[Arc<Batch>], readback: &mut ReadBack) {
        self.asked =
            rankers.iter().map(|ranker| (ranker.variant(), Side::BOTH.map(|side| self.ask_centres(ranker, side, readback)))).collect();
        for ((ranker, frozen), (_, sides)) in rankers.iter().zip(&self.frozen).zip(&self.asked) {
            for batch in batches {
                let Scored { logits, users, items } = ranker.score(frozen, batch);
                readback.ask(logits);
                for (sight, side) in [users, items].into_iter().zip(sides) {
                    if let (Some(Sight { v, chosen: Some((assigned, stopped)) }), Some(_)) = (sight, side) {
                        readback.ask(v);
                        readback.ask(assigned);
                        readback.ask(stopped);
                    }
                }
            }
        }
    }

    /// Whether a side's clusters are tallied and how large they are; their centres are asked for the first time.
    fn ask_centres(&self, ranker: &Ranker, side: Side, readback: &mut ReadBack) -> Option<Levels> {
        let memory = ranker.memory(side).filter(|memory| self.has_clusters && memory.is_filled())?;
        if self.tallies.is_empty() {
            readback.ask(memory.centres());
        }
        Some(memory.levels())
    }

    /// Takes what was asked for.
    ///
    /// # Errors
    /// Answers that came short.
    pub fn take(&mut self, batches: &[Arc<Batch>], answers: &mut Answers) -> Result<(), TrainError> {
        batches.iter().for_each(|batch| self.rows.push(batch, &self.dataset));
        for (variant, predictions) in self.variants.iter().zip(&mut self.predictions) {
            if let Some(rule) = variant.parts().rule {
                batches.iter().for_each(|batch| predictions.extend(score_by_rule(rule, batch, &self.dataset)));
            }
        }
        let asked = std::mem::take(&mut self.asked);
        if self.tallies.is_empty() {
            for &(variant, sides) in &asked {
                self.tallies.push(tallies(variant, sides, answers)?);
            }
        }
        for ((variant, _), tallies) in asked.into_iter().zip(&mut self.tallies) {
            let at = self.variants.iter().position(|&other| other == variant);
            for batch in batches {
                let logits = answers.floats()?;
                if let Some(at) = at {
                    self.predictions[at].extend_from_slice(&logits[..batch.valid * batch.candidates]);
                }
                for (side, tally) in Side::BOTH.into_iter().zip(tallies.iter_mut()) {
                    if let Some(tally) = tally {
                        let (v, assigned, stopped) = (answers.floats()?, answers.integers()?, answers.floats()?);
                        tally_batch(tally, side, &self.dataset, batch, &v, &assigned, &stopped);
                    }
                }
            }
        }
        Ok(())
    }

    /// The first trained variant whose scores show that it diverged. A rule may well have one score for all.
    pub fn diverged(&self) -> Option<(Variant, Divergence)> {
        let trained = |(variant, scores): (&Variant, &Vec<f32>)| {
            variant.parts().rule.is_none().then(|| divergence::in_scores(scores)).flatten().map(|why| (*variant, why))
        };
        self.variants.iter().zip(&self.predictions).find_map(trained)
    }

    /// Tells the scores and the state of the clusters.
    pub fn report(self, step: u64, kind: TestKind, sink: &mut dyn FnMut(Event)) {
        let scores = if kind != TestKind::Panel {
            self.rows.score_whole(&self.predictions, &self.variants)
        } else {
            let base = baseline_of(&self.variants);
            let baseline = |at: usize| base.filter(|&base| base != at).map(|base| self.predictions[base].as_slice());
            self.predictions.iter().enumerate().map(|(at, p)| self.rows.score(p, baseline(at))).collect()
        };
        sink(Event::Evaluation(Evaluation { step, kind, scores }));
        let health: Vec<ClusterHealth> = self.tallies.iter().flatten().flatten().map(|tally| tally.health(step)).collect();
        health.into_iter().for_each(|health| sink(Event::Clusters(health)));
    }
}

/// Scores of a rule for the samples of a batch that count.
pub(crate) fn score_by_rule(rule: Rule, batch: &Batch, dataset: &Dataset) -> Vec<f32> {
    let score = |sample: usize| {
        let request = sample / batch.candidates;
        let window = request * batch.history..(request + 1) * batch.history;
        match rule {
            Rule::Popularity => batch.item_rows[sample] as f32,
            Rule::CategoryRepeat => batch.history_categories[window].iter().filter(|&&c| c == batch.category[sample]).count() as f32,
            Rule::Truth => dataset.probability(batch.user[request], batch.item[sample], &batch.history_items[window]).unwrap_or(0.0) as f32,
        }
    };
    (0..batch.valid * batch.candidates).map(score).collect()
}

/// Adds a test batch's users, or its consumed items, to a tally of cluster health.
fn tally_batch(tally: &mut ClusterTally, side: Side, dataset: &Dataset, batch: &Batch, v: &[f32], assigned: &[i32], stopped: &[f32]) {
    let m = v.len() / batch.requests;
    let rows = 0..batch.valid;
    let members: Vec<u32> = match side {
        Side::Users => batch.user[rows.clone()].to_vec(),
        Side::Items => batch.consumed().take(batch.valid).collect(),
    };
    let planted = |&member: &u32| match side {
        Side::Users => dataset.planted_group(member),
        Side::Items => dataset.planted_item_group(member),
    };
    let planted: Option<Vec<u32>> = members.iter().map(planted).collect();
    let level = |level: usize| assigned.iter().skip(level).step_by(2).take(batch.valid).map(|&id| id as u32).collect::<Vec<_>>();
    tally.push(&Positives {
        members: &members,
        low_active: &batch.low_active[rows.clone()],
        level_1: &level(0),
        level_2: &level(1),
        stopped: &stopped[rows].iter().map(|&s| s > 0.5).collect::<Vec<_>>(),
        vectors: &v[..batch.valid * m],
        planted: planted.as_deref(),
    });
}

/// Tallies for both sides of a ranker, whose centres come first among the answers.
fn tallies(variant: Variant, sides: [Option<Levels>; 2], answers: &mut Answers) -> Result<[Option<ClusterTally>; 2], TrainError> {
    let mut tallies = [None, None];
    for ((side, levels), tally) in Side::BOTH.into_iter().zip(sides).zip(&mut tallies) {
        if let Some(Levels { first, children }) = levels {
            *tally = Some(ClusterTally::new(variant, side, answers.floats()?, first, children));
        }
    }
    Ok(tallies)
}
