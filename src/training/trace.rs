//! A run written down number by number, so that an independent implementation can replay it: what every step read, found,
//! learned and left. `docs/trace.md` has the names, the shapes and the rules.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;

use super::{Learner, TrainError, Upkeep};
use crate::checkpoint::{Array, Arrays, Gathering, NETWORK, State, Values};
use crate::config::{Config, ConfigError};
use crate::data::protocol::{Batch, Dataset, TASKS};
use crate::data::{Behaviour, Side, Source};
use crate::model::batch::DeviceBatch;
use crate::model::layers::ghca::Reseeded;
use crate::model::ranker::{Graph, Ranker};
use crate::variants::{Variant, Variants};

/// Bytes of numbers that a trace may have: it is kept in memory until it is written.
const LIMIT: u64 = 2 << 30;

/// What the state after the begin of a further pass, after a step and after its clocks is called. The first is not written: a rule
/// says what it is.
const MOMENTS: [&str; 3] = ["begin.", "after.", "clock."];

/// The first `steps` steps of a variant on the CPU; fewer where the stream has fewer.
///
/// # Errors
/// A variant that is not trained, a trace that would be too large, a configuration or rows that cannot be used.
pub async fn record(config: &Config, variant: Variant, source: Arc<dyn Source>, steps: u64) -> Result<State, TrainError> {
    // As in a run: a model's fields are those of the rows.
    let config = &Config { profile_fields: source.profile_fields(), item_fields: source.item_fields(), ..config.clone() };
    config.validate()?;
    if variant.rule().is_some() {
        return Err(ConfigError::new("variant", variant.key(), "a model that is trained").into());
    }
    let device = Device::flex();
    // What a batch is told depends on the models that there are.
    let dataset = Dataset::open(source, &Config { variants: Variants(vec![variant]), ..config.clone() })?;
    let planned = dataset.train_steps();
    let (mut learner, mut replay) = (Learner::new(config, &[variant], dataset.vocabulary(), &device, planned), dataset.replay());
    let mut initial = Gathering::default();
    learner.rankers()[0].gather("", &mut initial);
    let mut known = Known { state: initial.read().await?, lengths: lengths(&learner) };
    let mut arrays: Arrays = known.state.iter().map(|(name, array)| (format!("initial.{name}"), array.clone())).collect();
    let (start, steps, mut pass) = (bytes(&arrays), steps.min(planned), None);
    for step in 0..steps {
        let Some(batch) = replay.next_train() else { break };
        let begins = pass.replace(batch.pass) != Some(batch.pass);
        let recorded = known.changes(record_step(&mut learner, Arc::new(batch), begins).await?);
        require_room(start, bytes(&recorded), steps)?;
        arrays.extend(recorded.into_iter().map(|(name, array)| (format!("step.{step:05}.{name}"), array)));
    }
    let State { description, .. } = learner.rankers()[0].state(&dataset.report().name).await?;
    Ok(State { description, arrays })
}

/// The state as the last step left it.
struct Known {
    state: Arrays,
    lengths: [usize; 3],
}

impl Known {
    /// What a step recorded, with the changed rows in the place of each table, and the state that it leaves.
    fn changes(&mut self, mut recorded: Arrays) -> Arrays {
        for moment in MOMENTS {
            let names: Vec<String> = recorded.keys().filter(|name| name.starts_with(moment)).cloned().collect();
            for name in names {
                let Some(now) = recorded.remove(&name) else { continue };
                let of = &name[moment.len()..];
                let changed = self.state.get(of).filter(|_| self.is_table(of, &now)).and_then(|before| changed_rows(before, &now));
                self.state.insert(of.into(), now.clone());
                match changed {
                    _ if moment == MOMENTS[0] => {}
                    None => drop(recorded.insert(name, now)),
                    Some((rows, values)) => {
                        recorded.insert(format!("{name}.rows"), Array::ids(&rows, &[rows.len()]));
                        recorded.insert(name, values);
                    }
                }
            }
        }
        recorded
    }

    /// Whether it has a row for each user, for each item or for each id that is embedded.
    fn is_table(&self, name: &str, array: &Array) -> bool {
        array.shape.len() == 2 && self.lengths.contains(&array.shape[0]) && !name.starts_with(NETWORK)
    }
}

/// Rows of a table of users, of items and of everything that is embedded.
fn lengths(learner: &Learner) -> [usize; 3] {
    let vocabulary = learner.layout().vocabulary();
    [vocabulary.users as usize, vocabulary.items as usize, learner.layout().rows()]
}

/// The rows of a matrix that have other bits than before, and what they are now; none where the sizes differ.
fn changed_rows(before: &Array, now: &Array) -> Option<(Vec<u32>, Array)> {
    fn rows<T: Copy>(before: &[T], now: &[T], columns: usize, is_same: impl Fn(T, T) -> bool) -> (Vec<u32>, Vec<T>) {
        let pairs = before.chunks(columns).zip(now.chunks(columns)).zip(0..);
        let changed = pairs.filter(|((before, now), _)| !before.iter().zip(*now).all(|(&before, &now)| is_same(before, now)));
        let (rows, values): (Vec<u32>, Vec<&[T]>) = changed.map(|((_, now), row)| (row, now)).unzip();
        (rows, values.concat())
    }
    let columns = *now.shape.last().filter(|_| before.shape == now.shape)?;
    let (rows, values) = match (&before.values, &now.values) {
        (Values::Floats(before), Values::Floats(now)) => {
            let (rows, values) = rows(before, now, columns, |before, now| before.to_bits() == now.to_bits());
            (rows, Values::Floats(values))
        }
        (Values::Integers(before), Values::Integers(now)) => {
            let (rows, values) = rows(before, now, columns, |before, now| before == now);
            (rows, Values::Integers(values))
        }
        _ => return None,
    };
    let shape = vec![rows.len(), columns];
    Some((rows, Array { shape, values }))
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
async fn record_step(learner: &mut Learner, batch: Arc<Batch>, begins_pass: bool) -> Result<Arrays, TrainError> {
    let mut arrays = batch_arrays(&batch);
    if begins_pass {
        arrays.insert("pass".into(), Array::ids(&[batch.pass], &[1]));
    }
    let batch = learner.load(batch);
    let gathering = Mutex::new(Gathering::default());
    let kept = learner
        .learn_by(&batch, |ranker, batch| {
            // One ranker steps alone, so nobody else ever holds the lock.
            let mut gathering = gathering.lock().unwrap_or_else(PoisonError::into_inner);
            gather_step(ranker, batch, begins_pass, &mut gathering);
        })
        .await?;
    arrays.extend(gathering.into_inner().unwrap_or_else(PoisonError::into_inner).read().await?);
    for losses in learner.losses().await? {
        arrays.extend(losses.named().map(|(name, loss)| (name.replacen('_', ".", 1), Array::floats(vec![loss], &[1]))));
    }
    if !kept.is_empty() {
        let mut gathering = Gathering::default();
        learner.rankers()[0].gather_memories(MOMENTS[2], &mut gathering);
        arrays.extend(gathering.read().await?);
    }
    kept.iter().for_each(|Upkeep { side, reseeded, .. }| arrays.extend(reseeded_arrays(*side, reseeded)));
    Ok(arrays)
}

/// A ranker's step ([`Ranker::step`]), each tensor that it meets on the way with its name.
fn gather_step(ranker: &mut Ranker, batch: &DeviceBatch, begins_pass: bool, into: &mut Gathering) {
    ranker.prepare(batch);
    if begins_pass {
        ranker.gather_memories(MOMENTS[0], into);
    }
    for (view, ids) in &batch.fields(ranker.views()).views {
        into.integers(format!("batch.{view}"), ids.tensor());
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
    ranker.gather(MOMENTS[1], into);
}

/// What the host knows of a batch.
fn batch_arrays(batch: &Batch) -> Arrays {
    let (requests, samples, history) = (batch.requests, batch.samples(), batch.history);
    let kinds: Vec<u32> = batch.history_behaviours.iter().map(|&behaviour| behaviour as u32).collect();
    let low: Vec<u32> = batch.low_active.iter().map(|&low| u32::from(low)).collect();
    let arrays = [
        ("user", Array::ids(&batch.user, &[requests])),
        ("activity", Array::ids(&batch.activity, &[requests])),
        ("history_items", Array::ids(&batch.history_items, &[requests, history])),
        ("history_categories", Array::ids(&batch.history_categories, &[requests, history])),
        ("history_behaviours", Array::ids(&kinds, &[requests, history])),
        ("counts", Array::floats(batch.counts.clone(), &[requests, Behaviour::COUNT])),
        ("clustered", Array::floats(batch.clustered.clone(), &[requests])),
        ("low_active", Array::ids(&low, &[requests])),
        ("item", Array::ids(&batch.item, &[samples])),
        ("category", Array::ids(&batch.category, &[samples])),
        ("item_count", Array::floats(batch.item_count.clone(), &[samples])),
        ("labels", Array::floats(batch.labels.clone(), &[TASKS, samples])),
    ];
    let told = batch.truth.iter().flat_map(|truth| {
        [
            ("told.group", Array::ids(&truth.group, &[requests])),
            ("told.posterior", Array::floats(truth.posterior.clone(), &[requests, truth.groups])),
            ("told.item_group", Array::ids(&truth.item_group, &[samples])),
        ]
    });
    let profile = (batch.profile_fields > 0).then(|| ("profile", Array::ids(&batch.profile, &[requests, batch.profile_fields])));
    let attributes = (batch.item_fields > 0).then(|| ("attributes", Array::ids(&batch.attributes, &[samples, batch.item_fields])));
    arrays.into_iter().chain(profile).chain(attributes).chain(told).map(|(name, array)| (format!("batch.{name}"), array)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_that_would_be_too_large_is_refused_with_the_steps_that_fit() {
        require_room(LIMIT / 2, LIMIT / 8, 4).unwrap();
        let said = |start, steps| require_room(start, LIMIT / 8, steps).unwrap_err().to_string();
        assert!(said(LIMIT / 2, 5).starts_with("steps = 5 cannot be used: it must be 4 or fewer: each takes 256 MB"));
        assert!(said(LIMIT, 1).starts_with("steps = 1 cannot be used: it must be of a smaller stream"));
    }

    #[test]
    fn of_a_table_only_rows_that_changed_are_kept_and_of_anything_else_all() {
        let table = |values: [f32; 6]| Array::floats(values.to_vec(), &[3, 2]);
        let (before, after) = (table([1.0, 2.0, 3.0, 4.0, 0.0, 6.0]), table([1.0, 2.0, 3.0, 5.0, -0.0, 6.0]));
        let centres = |last| Array::floats(vec![0.0, 0.0, 0.0, last], &[2, 2]);
        let state = [("users".to_string(), before.clone()), ("centres".to_string(), centres(0.0))];
        let mut known = Known { state: state.into(), lengths: [3, 7, 9] };
        let kept = known.changes([("after.users".to_string(), after.clone()), ("clock.users".to_string(), after.clone())].into());
        assert_eq!(kept["after.users.rows"], Array::ids(&[1, 2], &[2]));
        assert_eq!(kept["after.users"], Array::floats(vec![3.0, 5.0, -0.0, 6.0], &[2, 2]));
        assert_eq!((kept["clock.users.rows"].bytes(), &kept["clock.users"].shape), (0, &vec![0, 2]));
        assert_eq!(known.changes([("after.centres".to_string(), centres(1.0))].into())["after.centres"], centres(1.0));
        assert_eq!(changed_rows(&before, &Array::floats(vec![0.0; 8], &[4, 2])), None);
    }
}
