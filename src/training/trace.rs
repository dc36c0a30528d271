//! A run written down number by number, so that an independent implementation can replay it: what every step read, found,
//! learned and left. `docs/trace.md` has the names, the shapes and the rules.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;

use super::{Learner, TrainError, Upkeep};
use crate::checkpoint::{Array, Arrays, Gathering, State};
use crate::config::{Config, ConfigError};
use crate::data::protocol::{Batch, Dataset, TASKS};
use crate::data::{Behaviour, Side, Source};
use crate::model::batch::DeviceBatch;
use crate::model::layers::ghca::Reseeded;
use crate::model::ranker::{Graph, Ranker};
use crate::variants::Variant;

/// Bytes of numbers that a trace may have: it is kept in memory until it is written.
const LIMIT: u64 = 2 << 30;

/// The first `steps` steps of a variant on the CPU; fewer where the stream has fewer.
///
/// # Errors
/// A variant that is not trained, a trace that would be too large, a configuration or rows that cannot be used.
pub async fn record(config: &Config, variant: Variant, source: Arc<dyn Source>, steps: u64) -> Result<State, TrainError> {
    config.validate()?;
    if variant.rule().is_some() {
        return Err(ConfigError::new("variant", variant.key(), "a model that is trained").into());
    }
    let device = Device::flex();
    let dataset = Dataset::open(source, config)?;
    let planned = dataset.train_steps();
    let (mut learner, mut replay) = (Learner::new(config, &[variant], dataset.vocabulary(), &device, planned), dataset.replay());
    let mut initial = Gathering::default();
    learner.rankers()[0].gather("initial.", &mut initial);
    let mut arrays = initial.read().await?;
    let (start, steps) = (bytes(&arrays), steps.min(planned));
    for step in 0..steps {
        let Some(batch) = replay.next_train() else { break };
        let recorded = record_step(&mut learner, Arc::new(batch)).await?;
        require_room(start, bytes(&recorded), steps)?;
        arrays.extend(recorded.into_iter().map(|(name, array)| (format!("step.{step:05}.{name}"), array)));
    }
    let State { description, .. } = learner.rankers()[0].state(&dataset.report().name).await?;
    Ok(State { description, arrays })
}

fn bytes(arrays: &Arrays) -> u64 {
    arrays.values().map(Array::bytes).sum()
}

fn require_room(start: u64, step: u64, steps: u64) -> Result<(), ConfigError> {
    let most = LIMIT.saturating_sub(start) / step.max(1);
    if steps <= most {
        return Ok(());
    }
    let each = format!("each takes {} MB, and a trace {} MB at most", step >> 20, LIMIT >> 20);
    if most == 0 {
        return Err(ConfigError::new("steps", steps, format!("of a smaller stream: {each}")));
    }
    Err(ConfigError::new("steps", steps, format!("{most} or fewer: {each}")))
}

/// One step: what it read, what it found, what it left; then what the clocks changed.
async fn record_step(learner: &mut Learner, batch: Arc<Batch>) -> Result<Arrays, TrainError> {
    let mut arrays = batch_arrays(&batch);
    let batch = learner.load(batch);
    let gathering = Mutex::new(Gathering::default());
    let kept = learner
        .learn_by(&batch, |ranker, batch| {
            // One ranker steps alone, so nobody else ever holds the lock.
            let mut gathering = gathering.lock().unwrap_or_else(PoisonError::into_inner);
            gather_step(ranker, batch, &mut gathering);
        })
        .await?;
    arrays.extend(gathering.into_inner().unwrap_or_else(PoisonError::into_inner).read().await?);
    for losses in learner.losses().await? {
        arrays.extend(losses.named().map(|(name, loss)| (name.replacen('_', ".", 1), Array::floats(vec![loss], &[1]))));
    }
    if !kept.is_empty() {
        let mut gathering = Gathering::default();
        learner.rankers()[0].gather_memories("clock.", &mut gathering);
        arrays.extend(gathering.read().await?);
    }
    kept.iter().for_each(|Upkeep { side, reseeded, .. }| arrays.extend(reseeded_arrays(*side, reseeded)));
    Ok(arrays)
}

/// A ranker's step ([`Ranker::step`]), each tensor that it meets on the way with its name.
fn gather_step(ranker: &mut Ranker, batch: &DeviceBatch, into: &mut Gathering) {
    ranker.prepare(batch);
    if let Some(views) = &batch.fields(ranker.view()).views {
        into.integers("batch.views", views.tensor());
    }
    let (requests, samples) = (batch.host.requests, batch.host.samples());
    into.floats("batch.kept.users", batch.kept.users.clone().reshape([requests]));
    into.floats("batch.kept.items", batch.kept.items.clone().reshape([samples]));
    let graph = ranker.graph(batch);
    gather_pass(&graph, into);
    let gradients = ranker.backward(&graph);
    ranker.gather_gradients(&gradients, into);
    ranker.apply(batch, graph, gradients);
    if let Some((consumed, _)) = ranker.last().and_then(|last| last.clustered[Side::Items as usize].as_ref()?.chosen.clone()) {
        into.integers("consumed.assigned", consumed);
    }
    ranker.gather("after.", into);
}

/// What the host knows of a batch.
fn batch_arrays(batch: &Batch) -> Arrays {
    let (requests, samples, history) = (batch.requests, batch.samples(), batch.history);
    let low: Vec<u32> = batch.low_active.iter().map(|&low| u32::from(low)).collect();
    let arrays = [
        ("user", Array::ids(&batch.user, &[requests])),
        ("activity", Array::ids(&batch.activity, &[requests])),
        ("history_items", Array::ids(&batch.history_items, &[requests, history])),
        ("history_categories", Array::ids(&batch.history_categories, &[requests, history])),
        ("counts", Array::floats(batch.counts.clone(), &[requests, Behaviour::COUNT])),
        ("clustered", Array::floats(batch.clustered.clone(), &[requests])),
        ("low_active", Array::ids(&low, &[requests])),
        ("item", Array::ids(&batch.item, &[samples])),
        ("category", Array::ids(&batch.category, &[samples])),
        ("item_count", Array::floats(batch.item_count.clone(), &[samples])),
        ("labels", Array::floats(batch.labels.clone(), &[TASKS, samples])),
    ];
    arrays.into_iter().map(|(name, array)| (format!("batch.{name}"), array)).collect()
}

/// What the forward pass found.
fn gather_pass(graph: &Graph, into: &mut Gathering) {
    if let Some(logits) = graph.logits() {
        let [tasks, samples, _] = logits.dims();
        into.floats("logits", logits.reshape([tasks, samples]));
    }
    into.floats("loss.backward", graph.loss());
    if let Some(towers) = graph.towers() {
        into.floats("v_user", towers.v_user.clone());
        into.floats("v_item", towers.v_item.clone());
    }
    for (side, name) in [(Side::Users, "users"), (Side::Items, "items")] {
        if let Some((assigned, stopped)) = graph.chosen(side) {
            let [n, _] = stopped.dims();
            into.integers(format!("{name}.assigned"), assigned);
            into.floats(format!("{name}.stopped"), stopped.reshape([n]));
        }
    }
}

/// Which centres a clock wrote.
fn reseeded_arrays(side: Side, reseeded: &Reseeded) -> Arrays {
    let name = match side {
        Side::Users => "users",
        Side::Items => "items",
    };
    let Reseeded { centres, children, first_fill } = reseeded;
    let arrays = [
        ("reseeded", Array::ids(centres, &[centres.len()])),
        ("reseeded_children", Array::ids(children, &[children.len()])),
        ("first_fill", Array::ids(&[u32::from(*first_fill)], &[1])),
    ];
    arrays.into_iter().map(|(part, array)| (format!("{name}.{part}"), array)).collect()
}
