//! One user of the probe set as the models see them while they learn: scored with a few items at one moment, as it is and with one
//! more behaviour.

use std::sync::Arc;

use burn::tensor::Int;

use super::TrainError;
use super::evaluation::score_by_rule;
use super::readback::{Answers, Asked, ReadBack};
use crate::data::protocol::{Batch, Candidate, Dataset, Past};
use crate::data::{Behaviour, Side};
use crate::model::batch::TestBatch;
use crate::model::component::Clustered;
use crate::model::ranker::{Ranker, Scored};
use crate::variants::Variant;
use crate::view::{Glance, Offer, Portrait, Sitting, Thing};

/// Items that are scored: what the user took, what was drawn at random beside it, and what others took.
const OFFERS: usize = 8;
/// Behaviours below which there is nothing to tell of a user.
const LEAST_BEHAVIOURS: u32 = 3;
/// The request of the user as they are, and the one with one more behaviour.
const REQUESTS: usize = 2;

/// The two requests of a portrait, and what is known of them without a model.
pub(super) struct Sitter {
    batch: Batch,
    portrait: Portrait,
}

/// A portrait that was asked for.
pub(super) struct AskedPortrait {
    sitter: Sitter,
    logits: Vec<(Variant, Asked)>,
    clusters: Option<(Asked<Int>, Asked)>,
    vector: Option<Asked>,
}

impl Sitter {
    /// The user that is asked for; `None` where nobody in the probe set has a history.
    pub(super) fn find(probes: &[TestBatch], dataset: &Dataset, sitting: Sitting) -> Option<Self> {
        let all = || probes.iter().flat_map(|TestBatch { host, .. }| (0..host.valid).map(move |request| (&**host, request)));
        let known = |least: u32, low: bool| {
            let fits = move |&(batch, request): &(&Batch, usize)| {
                batch.has_history(request) && batch.user_rows[request] >= least && (batch.low_active[request] || !low)
            };
            Some(all().filter(fits).collect::<Vec<_>>()).filter(|found| !found.is_empty())
        };
        let sitters = known(LEAST_BEHAVIOURS, true).or_else(|| known(1, true)).or_else(|| known(1, false))?;
        let (batch, request) = sitters[sitting.nth as usize % sitters.len()];
        let history = history(batch, request);
        let candidates = candidates(batch, request, all().map(|(batch, request)| (batch, request * batch.candidates)), &history);
        let offers: Vec<Offer> = candidates
            .iter()
            .enumerate()
            .map(|(at, one)| Offer { thing: Thing { item: one.item, category: one.category }, taken: at == 0 })
            .collect();
        let sitting = Sitting { added: sitting.added.filter(|&at| (at as usize) < offers.len()), ..sitting };
        let profile = batch.profile[request * batch.profile_fields..(request + 1) * batch.profile_fields].repeat(REQUESTS);
        let (pass, profile_fields) = (batch.pass, batch.profile_fields);
        let mut both = Batch { pass, profile_fields, profile, ..Batch::new(REQUESTS, candidates.len(), batch.history) };
        let (user, counts, flags) = (batch.user[request], batch.behaviours(request), [batch.low_active[request], false]);
        let who = [batch.row[request], user];
        let done = &batch.history_behaviours[request * batch.history..][..history.len()];
        let past = |(thing, &behaviour): (&Thing, &Behaviour)| Past { item: thing.item, category: thing.category, behaviour };
        let known: Vec<Past> = history.iter().zip(done).map(past).collect();
        both.push_known(who, counts, known.iter().copied(), flags, &candidates);
        let added = sitting.added.map(|at| offers[at as usize].thing);
        let mut more = counts;
        more[Behaviour::View as usize] += u32::from(added.is_some());
        let viewed = added.as_ref().map(|thing| past((thing, &Behaviour::View)));
        both.push_known(who, more, viewed.into_iter().chain(known), flags, &candidates);
        let portrait = Portrait {
            sitting,
            user,
            low_active: batch.low_active[request],
            behaviours: batch.user_rows[request],
            group: dataset.planted_group_at(user, batch.row[request]),
            history,
            offers,
            ..Portrait::default()
        };
        Some(Self { batch: dataset.told(both), portrait })
    }
}

/// The user's last behaviours, newest first.
fn history(batch: &Batch, request: usize) -> Vec<Thing> {
    let window = request * batch.history..(request + 1) * batch.history;
    let known = (batch.user_rows[request] as usize).min(batch.history);
    let pairs = batch.history_items[window.clone()].iter().zip(&batch.history_categories[window]);
    pairs.take(known).map(|(&item, &category)| Thing { item, category }).collect()
}

/// The request's own candidates, then what others took: items that differ and that the user never had.
fn candidates<'a>(batch: &Batch, request: usize, others: impl Iterator<Item = (&'a Batch, usize)>, history: &[Thing]) -> Vec<Candidate> {
    let own = (0..batch.candidates).map(|at| candidate(batch, request * batch.candidates + at, at == 0));
    let mut all: Vec<Candidate> = own.collect();
    for (batch, sample) in others {
        if all.len() >= OFFERS {
            break;
        }
        let item = batch.item[sample];
        if all.iter().all(|other| other.item != item) && history.iter().all(|thing| thing.item != item) {
            all.push(Candidate { repeat: false, ..candidate(batch, sample, false) });
        }
    }
    all
}

fn candidate(batch: &Batch, sample: usize, taken: bool) -> Candidate {
    Candidate {
        item: batch.item[sample],
        category: batch.category[sample],
        labels: [f32::from(u8::from(taken)), 0.0],
        item_rows: batch.item_rows[sample],
        repeat: batch.repeat[sample],
        seen: batch.seen[sample],
    }
}

impl AskedPortrait {
    /// Asks every ranker, as training sees it at present.
    pub(super) fn ask(sitter: Sitter, rankers: &[Ranker], readback: &mut ReadBack) -> Self {
        let (mut logits, mut clusters, mut vector) = (Vec::new(), None, None);
        let batch = Arc::new(sitter.batch.clone());
        for ranker in rankers {
            let Scored { logits: scored, clustered: [users, _] } = ranker.score(&ranker.live(), &ranker.test_batch(batch.clone()));
            logits.push((ranker.variant(), readback.ask(scored)));
            if let (None, Some(Clustered { v, chosen })) = (&vector, users) {
                vector = Some(readback.ask(v));
                let is_filled = ranker.memory(Side::Users).is_some_and(|memory| memory.is_filled());
                clusters = chosen.filter(|_| is_filled).map(|(assigned, stopped)| (readback.ask(assigned), readback.ask(stopped)));
            }
        }
        Self { sitter, logits, clusters, vector }
    }

    /// Takes it. `variants` are those of the race, rules too.
    ///
    /// # Errors
    /// Answers that came short.
    pub(super) fn take(self, step: u64, variants: &[Variant], dataset: &Dataset, answers: &mut Answers) -> Result<Portrait, TrainError> {
        let Self { sitter: Sitter { batch, portrait }, logits, clusters, vector } = self;
        let mut scored = Vec::with_capacity(logits.len());
        for (variant, asked) in logits {
            scored.push((variant, answers.take(asked)?));
        }
        let vectors = vector.map(|vector| answers.take(vector)).transpose()?.unwrap_or_default();
        let clusters = match clusters {
            Some((assigned, stopped)) => Some((answers.take(assigned)?, answers.take(stopped)?)),
            None => None,
        };
        let offers = batch.candidates;
        let glance = |request: usize| {
            let own = request * offers..(request + 1) * offers;
            let scores = |variant: &Variant| match variant.rule() {
                Some(rule) => score_by_rule(rule, &batch, dataset)[own.clone()].to_vec(),
                None => {
                    let logits = scored.iter().find(|(of, _)| of == variant).map(|(_, logits)| &logits[own.clone()]);
                    logits.unwrap_or_default().iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()
                }
            };
            let width = vectors.len() / REQUESTS;
            Glance {
                cluster: clusters.as_ref().map(|(assigned, _)| [0, 1].map(|level| assigned[2 * request + level] as u32)),
                stopped: clusters.as_ref().is_some_and(|(_, stopped)| stopped[request] > 0.5),
                vector: vectors[request * width..(request + 1) * width].to_vec(),
                scores: variants.iter().map(scores).collect(),
            }
        };
        Ok(Portrait { step, now: glance(0), then: portrait.sitting.added.map(|_| glance(1)), ..portrait })
    }
}
