//! A model of a run as an ONNX graph, and samples of its test to hold a server to.

use super::Scorer;
use crate::checkpoint::{Array, Arrays, Description, Gathering, State, Values};
use crate::data::Behaviour;
use crate::data::protocol::{Asked, Batch, Dataset};
use crate::model::export::{ATTRIBUTES, CATEGORIES, ITEM_CENTRES, LOW_ACTIVE, PROFILES};
use crate::model::layers::assignments::valid;
use crate::onnx::Graph;
use crate::training::TrainError;
use crate::variants::Variant;

/// What a dense parameter and a table have beside their weights, which no score reads.
const MOMENTS: [&str; 2] = [".moment_1", ".moment_2"];

/// A model as a graph.
pub struct Exported {
    /// The graph: logits of both tasks.
    pub graph: Graph,
    /// Of what run it is.
    pub description: Description,
}

impl Scorer {
    /// A model with everything that it knows, frozen as when it scores.
    ///
    /// # Errors
    /// A model that cannot be a graph, a device that failed.
    ///
    /// # Panics
    /// Where `model` is none of [`Scorer::models`].
    pub async fn export(&self, model: Variant) -> Result<Exported, TrainError> {
        let at = self.place(model);
        let (ranker, dataset) = (&self.learner.rankers()[at], self.timeline.dataset());
        let State { description, mut arrays } = ranker.state(&dataset.report().name).await?;
        arrays.retain(|name, _| !MOMENTS.iter().any(|moment| name.ends_with(moment)));
        arrays.extend(known(dataset));
        if let Some(assignments) = &self.frozen[at].assignments {
            let mut gathering = Gathering::default();
            gathering.floats("entries", assignments.entries.clone());
            gathering.floats("born", assignments.born.clone());
            let read = gathering.read().await?;
            let floats = |name: &str| read.get(name).and_then(Array::as_floats).unwrap_or_default();
            let centres = valid(floats("entries"), floats("born"));
            arrays.insert(ITEM_CENTRES.into(), Array { shape: vec![centres.len()], values: Values::Integers(centres) });
        }
        Ok(Exported { graph: ranker.export(arrays)?, description })
    }

    /// Up to so many samples of the test: the inputs of [`Scorer::export`]'s graph by name, and the logits that this program gives them,
    /// `logit_a` and `logit_b`.
    ///
    /// # Errors
    /// A device that failed.
    ///
    /// # Panics
    /// Where `model` is none of [`Scorer::models`].
    pub async fn examples(&self, model: Variant, samples: usize) -> Result<Arrays, TrainError> {
        let dataset = self.timeline.dataset();
        let (mut examples, mut asked) = (Examples::default(), Vec::new());
        for step in 0..dataset.test_steps() {
            let batch = dataset.test_batch(step);
            let requests = batch.valid.min((samples - asked.len()).div_ceil(batch.candidates));
            asked.extend((0..requests * batch.candidates).map(|sample| {
                let request = sample / batch.candidates;
                Asked { user: batch.user[request], item: batch.item[sample], row: batch.row[request] }
            }));
            examples.add(&batch, requests);
            if asked.len() >= samples {
                break;
            }
        }
        let mut scores = self.score(&asked).await?;
        let [a, b] = scores.swap_remove(self.place(model));
        Ok(examples.arrays(a, b))
    }

    fn place(&self, model: Variant) -> usize {
        let place = self.learner.rankers().iter().position(|ranker| ranker.variant() == model);
        place.expect("a model of this run")
    }
}

/// What the rows tell that a graph holds.
fn known(dataset: &Dataset) -> [(String, Array); 4] {
    let users = dataset.vocabulary().users;
    let categories = dataset.categories();
    let low = (0..users).map(|user| f32::from(u8::from(dataset.is_low_active(user)))).collect();
    let ((profiles, fields), (attributes, item_fields)) = (dataset.profiles(), dataset.attributes());
    [
        (CATEGORIES.into(), Array::ids(&categories, &[categories.len()])),
        (LOW_ACTIVE.into(), Array::floats(low, &[users as usize])),
        (PROFILES.into(), Array::ids(&profiles, &[users as usize, fields])),
        (ATTRIBUTES.into(), Array::ids(&attributes, &[categories.len(), item_fields])),
    ]
}

/// Inputs of requests, one after the other.
#[derive(Default)]
struct Examples {
    requests: usize,
    history: usize,
    user: Vec<u32>,
    history_items: Vec<u32>,
    history_behaviours: Vec<u32>,
    counts: Vec<u32>,
    item: Vec<u32>,
    item_count: Vec<u32>,
}

impl Examples {
    fn add(&mut self, batch: &Batch, requests: usize) {
        let (window, samples) = (requests * batch.history, requests * batch.candidates);
        self.requests += requests;
        self.history = batch.history;
        self.user.extend_from_slice(&batch.user[..requests]);
        self.history_items.extend_from_slice(&batch.history_items[..window]);
        self.history_behaviours.extend(batch.history_behaviours[..window].iter().map(|&behaviour| behaviour as u32));
        self.counts.extend((0..requests).flat_map(|request| batch.behaviours(request)));
        self.item.extend_from_slice(&batch.item[..samples]);
        self.item_count.extend_from_slice(&batch.item_rows[..samples]);
    }

    fn arrays(self, a: Vec<f32>, b: Vec<f32>) -> Arrays {
        let of_candidates = [self.requests, a.len() / self.requests.max(1)];
        let window = [self.requests, self.history];
        let arrays = [
            ("user", Array::ids(&self.user, &[self.requests])),
            ("history_items", Array::ids(&self.history_items, &window)),
            ("history_behaviours", Array::ids(&self.history_behaviours, &window)),
            ("counts", Array::ids(&self.counts, &[self.requests, Behaviour::COUNT])),
            ("item", Array::ids(&self.item, &of_candidates)),
            ("item_count", Array::ids(&self.item_count, &of_candidates)),
            ("logit_a", Array::floats(a, &of_candidates)),
            ("logit_b", Array::floats(b, &of_candidates)),
        ];
        arrays.map(|(name, array)| (name.to_string(), array)).into()
    }
}
