//! The scores of all variants on test rows, by rankers that are frozen or that train on, and the health of their clusters.

use burn::tensor::Int;

use super::TrainError;
use super::readback::{Answers, Asked, ReadBack};
use crate::config::Config;
use crate::data::Side;
use crate::data::protocol::{Batch, Dataset};
use crate::kernels::Levels;
use crate::metrics::divergence::{self, Divergence};
use crate::metrics::{ClusterHealth, ClusterTally, Evaluation, Positives, TestKind, TestRows, baseline_of};
use crate::model::batch::TestBatch;
use crate::model::component::{Clustered, Frozen};
use crate::model::ranker::{Ranker, Scored};
use crate::variants::{Rule, Variant};
use crate::wire::Event;

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
    dataset: Dataset,
}

/// A ranker's scores of some batches, on their way from the device.
pub struct AskedScores {
    variant: Variant,
    /// Of both sides, where their clusters are tallied and this is the first time.
    centres: [Option<(Levels, Asked)>; 2],
    batches: Vec<AskedBatch>,
}

struct AskedBatch {
    logits: Asked,
    /// Of both sides, where their clusters are tallied.
    sides: [Option<AskedSide>; 2],
}

struct AskedSide {
    v: Asked,
    assigned: Asked<Int>,
    stopped: Asked,
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
    pub async fn score(&mut self, rankers: &[Ranker], batches: &[TestBatch]) -> Result<(), TrainError> {
        let mut readback = ReadBack::default();
        let asked = self.ask(rankers, batches, &mut readback);
        self.take(asked, batches, &mut readback.answers().await?)
    }

    /// Asks for the scores of batches of test rows, to be [taken](Test::take) with the same batches.
    pub fn ask(&self, rankers: &[Ranker], batches: &[TestBatch], readback: &mut ReadBack) -> Vec<AskedScores> {
        let mut ask = |(ranker, frozen): (&Ranker, &Frozen)| {
            let filled = Side::BOTH.map(|side| ranker.memory(side).filter(|memory| self.has_clusters && memory.is_filled()));
            // The centres are frozen as well: they are read with the first batches.
            let is_first = self.tallies.is_empty();
            let centres = filled.map(|memory| memory.filter(|_| is_first).map(|memory| (memory.levels(), readback.ask(memory.centres()))));
            let batches = batches.iter().map(|batch| {
                let Scored { logits, clustered: [users, items] } = ranker.score(frozen, batch);
                let mut of_side = |seen: Option<Clustered>, is_tallied: bool| {
                    let Clustered { v, chosen } = seen.filter(|_| is_tallied)?;
                    let (assigned, stopped) = chosen?;
                    Some(AskedSide { v: readback.ask(v), assigned: readback.ask(assigned), stopped: readback.ask(stopped) })
                };
                let sides = [of_side(users, filled[0].is_some()), of_side(items, filled[1].is_some())];
                AskedBatch { logits: readback.ask(logits), sides }
            });
            AskedScores { variant: ranker.variant(), batches: batches.collect(), centres }
        };
        rankers.iter().zip(&self.frozen).map(&mut ask).collect()
    }

    /// Takes what was asked for.
    ///
    /// # Errors
    /// Answers that came short.
    pub fn take(&mut self, asked: Vec<AskedScores>, batches: &[TestBatch], answers: &mut Answers) -> Result<(), TrainError> {
        let batches: Vec<&Batch> = batches.iter().map(|batch| &*batch.host).collect();
        batches.iter().for_each(|batch| self.rows.push(batch, &self.dataset));
        for (variant, predictions) in self.variants.iter().zip(&mut self.predictions) {
            if let Some(rule) = variant.rule() {
                batches.iter().for_each(|batch| predictions.extend(score_by_rule(rule, batch, &self.dataset)));
            }
        }
        self.tallies.resize_with(asked.len(), Default::default);
        for (AskedScores { variant, centres, batches: scored }, tallies) in asked.into_iter().zip(&mut self.tallies) {
            for ((side, centres), tally) in Side::BOTH.into_iter().zip(centres).zip(tallies.iter_mut()) {
                if let Some((Levels { first, children }, centres)) = centres {
                    *tally = Some(ClusterTally::new(variant, side, answers.take(centres)?, first, children));
                }
            }
            let at = self.variants.iter().position(|&other| other == variant);
            for (&batch, AskedBatch { logits, sides }) in batches.iter().zip(scored) {
                let logits = answers.take(logits)?;
                if let Some(at) = at {
                    self.predictions[at].extend_from_slice(&logits[..batch.valid * batch.candidates]);
                }
                for ((side, asked), tally) in Side::BOTH.into_iter().zip(sides).zip(tallies.iter_mut()) {
                    if let (Some(AskedSide { v, assigned, stopped }), Some(tally)) = (asked, tally) {
                        let (v, assigned, stopped) = (answers.take(v)?, answers.take(assigned)?, answers.take(stopped)?);
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
            variant.rule().is_none().then(|| divergence::in_scores(scores)).flatten().map(|why| (*variant, why))
        };
        self.variants.iter().zip(&self.predictions).find_map(trained)
    }

    /// Tells the scores and the state of the clusters.
    pub fn report(self, step: u64, kind: TestKind, sink: &mut dyn FnMut(Event)) {
        let scores = if kind != TestKind::ProbeSet {
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
pub fn score_by_rule(rule: Rule, batch: &Batch, dataset: &Dataset) -> Vec<f32> {
    let score = |sample: usize| {
        let request = sample / batch.candidates;
        let window = request * batch.history..(request + 1) * batch.history;
        match rule {
            Rule::Popularity => batch.item_rows[sample] as f32,
            Rule::CategoryRepeat => batch.history_categories[window].iter().filter(|&&c| c == batch.category[sample]).count() as f32,
            Rule::Truth => dataset
                .probability(batch.row[request], batch.user[request], batch.item[sample], &batch.history_items[window])
                .unwrap_or(0.0) as f32,
        }
    };
    (0..batch.valid * batch.candidates).map(score).collect()
}

/// Adds a test batch's users, or its consumed items, to a tally of cluster health.
fn tally_batch(tally: &mut ClusterTally, side: Side, dataset: &Dataset, batch: &Batch, v: &[f32], assigned: &[i32], stopped: &[f32]) {
    let m = v.len() / batch.requests;
    // Of exposures those that were taken are positives; elsewhere all are.
    let labels: Vec<f32> = batch.consumed_labels().take(batch.valid).collect();
    let rows: Vec<usize> = (0..batch.valid).filter(|&request| labels[request] > 0.5).collect();
    let consumed: Vec<u32> = batch.consumed().collect();
    let members: Vec<u32> = match side {
        Side::Users => rows.iter().map(|&row| batch.user[row]).collect(),
        Side::Items => rows.iter().map(|&row| consumed[row]).collect(),
    };
    let planted = |(&member, &row): (&u32, &usize)| match side {
        Side::Users => dataset.planted_group_at(member, batch.row[row]),
        Side::Items => dataset.planted_item_group(member),
    };
    let planted: Option<Vec<u32>> = members.iter().zip(&rows).map(planted).collect();
    let level = |level: usize| rows.iter().map(|&row| assigned[2 * row + level] as u32).collect::<Vec<_>>();
    tally.push(&Positives {
        members: &members,
        low_active: &rows.iter().map(|&row| batch.low_active[row]).collect::<Vec<_>>(),
        level_1: &level(0),
        level_2: &level(1),
        stopped: &rows.iter().map(|&row| stopped[row] > 0.5).collect::<Vec<_>>(),
        vectors: &rows.iter().flat_map(|&row| &v[row * m..(row + 1) * m]).copied().collect::<Vec<_>>(),
        planted: planted.as_deref(),
    });
}
