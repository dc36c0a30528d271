//! Batches on the device: where each vocabulary begins in the one embedding table, how ids are laid out, and what is moved
//! once for all models in training.

mod planner;
mod test;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

pub use self::planner::{Planned, Planner};
pub use self::test::{PlannedTest, TestBatch, TestPlanner};
use super::layers::table::{HostIds, Ids, Touched};
use crate::checkpoint::EmbeddingRows;
use crate::config::Config;
use crate::counter::Counter;
use crate::data::protocol::{ACTIVITY_BUCKETS, Batch, NO_ROW, TASKS, Truth};
use crate::data::rows::{Bags, Segment};
use crate::data::{Behaviour, PROFILE_VALUES, Side, Vocabulary};

/// Embedded fields of a candidate: item, category. Those of its attributes, where items have any, stand after them.
pub const CANDIDATE_FIELDS: usize = 2;
/// Embedded fields of a request: user, activity bucket, item and category of the newest behaviour. Those of the profile, where there is one,
/// stand after the activity bucket.
pub const REQUEST_FIELDS: usize = 4;

/// Where each vocabulary begins in the embedding table: items, categories, users, activity buckets, values of each field of a profile,
/// values of each field of attributes.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    vocabulary: Vocabulary,
    history: usize,
    profile_fields: usize,
    item_fields: usize,
}

impl Layout {
    /// The layout for a data set and the window of a configuration.
    pub fn new(vocabulary: Vocabulary, config: &Config) -> Self {
        Self {
            vocabulary,
            history: config.history,
            profile_fields: config.profile_fields as usize,
            item_fields: config.item_fields as usize,
        }
    }

    /// How many of each id there are.
    pub fn vocabulary(&self) -> Vocabulary {
        self.vocabulary
    }

    /// Where each vocabulary begins.
    pub fn embeddings(&self) -> EmbeddingRows {
        let Vocabulary { items: categories, .. } = self.vocabulary;
        let users = categories + self.vocabulary.categories;
        let activity = users + self.vocabulary.users;
        let end = activity + ACTIVITY_BUCKETS + (self.profile_fields + self.item_fields) as u32 * PROFILE_VALUES;
        EmbeddingRows { items: 0, categories, users, activity, end }
    }

    /// Fields of a user's profile.
    pub fn profile_fields(&self) -> usize {
        self.profile_fields
    }

    /// Fields of an item's attributes.
    pub fn item_fields(&self) -> usize {
        self.item_fields
    }

    /// Row of the first value of the first attribute.
    pub fn first_attribute(&self) -> u32 {
        self.embeddings().activity + ACTIVITY_BUCKETS + self.profile_fields as u32 * PROFILE_VALUES
    }

    /// Rows of the embedding table.
    pub fn rows(&self) -> usize {
        self.embeddings().end as usize
    }

    /// Row of category 0.
    fn first_category(&self) -> u32 {
        self.embeddings().categories
    }

    /// Ids of candidates: item, category.
    pub fn candidates(&self, items: &[u32], categories: &[u32]) -> Vec<u32> {
        items.iter().zip(categories).flat_map(|(&item, &category)| [item, self.first_category() + category]).collect()
    }

    /// How [`Layout::candidates`] are laid out.
    pub fn candidate_bags(&self) -> Bags {
        Bags { singles: CANDIDATE_FIELDS, bags: 0, bag_len: 0 }
    }

    /// Ids of a batch's candidates: item, category, attributes (padding where one is missing).
    fn samples(&self, batch: &Batch) -> Vec<u32> {
        let pairs = self.candidates(&batch.item, &batch.category);
        if self.item_fields == 0 {
            return pairs;
        }
        let mut ids = Vec::with_capacity(batch.samples() * self.sample_bags().slots());
        for (sample, pair) in pairs.as_chunks::<CANDIDATE_FIELDS>().0.iter().enumerate() {
            ids.extend(pair);
            for field in 0..self.item_fields {
                // Rows of another source may know none.
                let value = batch.attributes.get(sample * batch.item_fields + field).filter(|_| field < batch.item_fields);
                let row = value.and_then(|value| value.checked_add(self.first_attribute() + field as u32 * PROFILE_VALUES));
                ids.push(row.unwrap_or(NO_ROW));
            }
        }
        ids
    }

    fn sample_bags(&self) -> Bags {
        Bags { singles: CANDIDATE_FIELDS + self.item_fields, bags: 0, bag_len: 0 }
    }

    /// Ids of requests: user, activity, profile fields (padding where one is missing), then item and category of the newest behaviour.
    fn requests(&self, batch: &Batch) -> Vec<u32> {
        let EmbeddingRows { users, activity, .. } = self.embeddings();
        let mut ids = Vec::with_capacity(batch.requests * self.request_bags().slots());
        for r in 0..batch.requests {
            ids.extend([users + batch.user[r], activity + batch.activity[r]]);
            let first = |field: u32| activity + ACTIVITY_BUCKETS + field * PROFILE_VALUES;
            let known = &batch.profile[r * self.profile_fields..(r + 1) * self.profile_fields];
            ids.extend((0..).zip(known).map(|(field, value)| value.checked_add(first(field)).unwrap_or(NO_ROW)));
            ids.extend(self.history(batch, r, 1, |_| true));
        }
        ids
    }

    fn request_bags(&self) -> Bags {
        Bags { singles: REQUEST_FIELDS + self.profile_fields, bags: 0, bag_len: 0 }
    }

    /// Ids of whole histories: of each request the items, then the categories.
    fn whole_histories(&self, batch: &Batch) -> Vec<u32> {
        (0..batch.requests).flat_map(|r| self.history(batch, r, self.history, |_| true)).collect()
    }

    fn items_of_history(&self) -> Bags {
        Bags { singles: 0, bags: 1, bag_len: self.history }
    }

    /// How whole histories are laid out: items, then categories.
    pub fn whole_bags(&self) -> Bags {
        Bags { singles: 0, bags: 2, bag_len: self.history }
    }

    /// Ids of whole histories, behaviour by behaviour: item, category, item, …
    fn windows(&self, batch: &Batch) -> Vec<u32> {
        let categories = self.first_category();
        // NO_ROW stays NO_ROW.
        let category = |&c: &u32| c.checked_add(categories).unwrap_or(c);
        batch.history_items.iter().zip(&batch.history_categories).flat_map(|(&item, c)| [item, category(c)]).collect()
    }

    fn window_bags(&self) -> Bags {
        Bags { singles: CANDIDATE_FIELDS * self.history, bags: 0, bag_len: 0 }
    }

    /// Ids of the `newest` of a request's history, items and then categories; places that are not kept are padding.
    pub fn history<'a>(
        &self,
        batch: &'a Batch,
        request: usize,
        newest: usize,
        keep: impl Fn(usize) -> bool + Copy + 'a,
    ) -> impl Iterator<Item = u32> + 'a {
        let start = request * self.history;
        let window = start..start + newest;
        let categories = self.first_category();
        let kept = move |(place, id): (usize, u32)| if keep(place) { id } else { NO_ROW };
        let items = batch.history_items[window.clone()].iter().copied();
        // NO_ROW stays NO_ROW.
        let of_category = batch.history_categories[window].iter().map(move |&c| c.checked_add(categories).unwrap_or(c));
        items.enumerate().map(kept).chain(of_category.enumerate().map(kept))
    }
}

/// Histories whose embeddings a model learns beside those of the newest behaviour.
#[derive(Clone, Copy)]
pub struct View {
    /// Its name: models with the same views share their ids.
    pub name: &'static str,
    /// Whether scoring reads it too.
    pub is_scored: bool,
    /// How the ids of a request are laid out.
    pub bags: fn(&Layout) -> Bags,
    /// The ids of a batch, with random numbers of the batch.
    pub ids: fn(&Layout, &Batch, Counter) -> Vec<u32>,
}

/// The whole history, pooled.
pub const WHOLE: View =
    View { name: "whole", is_scored: true, bags: Layout::whole_bags, ids: |layout, batch, _| layout.whole_histories(batch) };

/// The whole history, behaviour by behaviour: item, category, item, …
pub const WINDOW: View = View { name: "window", is_scored: true, bags: Layout::window_bags, ids: |layout, batch, _| layout.windows(batch) };

/// Ids that touch the embedding table, and their plan.
#[derive(Clone)]
pub struct Fields {
    /// `[samples]` of item, category, attributes.
    pub candidates: Ids,
    /// `[requests]` of user, activity, profile, newest item, newest category.
    pub requests: Ids,
    /// The histories of the model's views, by name.
    pub views: Vec<(&'static str, Ids)>,
    /// The plan of all of them, in this order.
    pub touched: Touched,
}

/// Single ids of one kind and their plan.
#[derive(Clone)]
pub struct Rows {
    /// The ids.
    pub ids: Ids,
    /// Their plan.
    pub touched: Touched,
}

/// Dense features and labels of a batch.
#[derive(Clone)]
pub struct Dense {
    /// `[requests, Behaviour::COUNT]`
    pub counts: Tensor<2>,
    /// `[samples, 1]`, for the item tower where the configuration gives it the count.
    pub item_count: Tensor<2>,
    /// Whole histories, `[requests]` of items, categories.
    pub history: Ids,
    /// Their items alone, `[requests, history]`, negative for padding: cut out of [`Dense::history`], they were copied three times.
    pub history_items: Tensor<2, Int>,
    /// What the generator knows of the batch; none where it is told nothing.
    pub told: Option<Told>,
    /// What was done, `[requests, history, Behaviour::COUNT]`: 1 at the behaviour's kind, nothing where there is padding.
    pub history_kinds: Tensor<3>,
}

/// What [`Dense`] is made from and takes time to lay out.
struct Windows {
    history: HostIds,
    history_items: HostIds,
    history_kinds: Vec<f32>,
}

impl Windows {
    fn new(layout: &Layout, batch: &Batch) -> Self {
        Self {
            history: HostIds::new(Segment { ids: &layout.whole_histories(batch), bags: layout.whole_bags() }),
            history_items: HostIds::new(Segment { ids: &batch.history_items, bags: layout.items_of_history() }),
            history_kinds: kinds(batch),
        }
    }

    fn load(self, batch: &Batch, device: &Device) -> Dense {
        let kinds = TensorData::new(self.history_kinds, [batch.requests, batch.history, Behaviour::COUNT]);
        Dense {
            counts: Tensor::from_data(TensorData::new(batch.counts.clone(), [batch.requests, Behaviour::COUNT]), device),
            item_count: Tensor::from_data(TensorData::new(batch.item_count.clone(), [batch.samples(), 1]), device),
            history: self.history.load(device),
            history_items: self.history_items.load(device).tensor(),
            history_kinds: Tensor::from_data(kinds, device),
            told: batch.truth.as_ref().map(|truth| Told::new(truth, device)),
        }
    }
}

/// What ceilings are told, each a probability of groups.
#[derive(Clone)]
pub struct Told {
    /// `[requests, groups]`: 1 at the planted group of the user.
    pub group: Tensor<2>,
    /// `[requests, groups]`: what the window tells of it.
    pub posterior: Tensor<2>,
    /// `[samples, item groups]`: 1 at the planted group of the item.
    pub item_group: Tensor<2>,
}

impl Told {
    fn new(truth: &Truth, device: &Device) -> Self {
        let floats = |values: Vec<f32>, columns: usize| {
            let rows = values.len() / columns.max(1);
            Tensor::from_data(TensorData::new(values, [rows, columns]), device)
        };
        let one_hot = |groups: &[u32], columns: usize| {
            let of_group = |&group: &u32| (0..columns as u32).map(move |column| f32::from(u8::from(column == group)));
            floats(groups.iter().flat_map(of_group).collect(), columns)
        };
        Self {
            group: one_hot(&truth.group, truth.groups),
            posterior: floats(truth.posterior.clone(), truth.groups),
            item_group: one_hot(&truth.item_group, truth.item_groups),
        }
    }
}

/// See [`Dense::history_kinds`].
fn kinds(batch: &Batch) -> Vec<f32> {
    let mut kinds = vec![0.0f32; batch.history_items.len() * Behaviour::COUNT];
    let known = batch.history_items.iter().zip(&batch.history_behaviours).enumerate().filter(|(_, (item, _))| **item != NO_ROW);
    known.for_each(|(place, (_, &behaviour))| kinds[place * Behaviour::COUNT + behaviour as usize] = 1.0);
    kinds
}

/// Dropout of the enhancement vectors in training: 1, or 0 where all of a side are taken.
#[derive(Clone)]
pub struct Kept {
    /// `[requests, 1]`, on the user side.
    pub users: Tensor<2>,
    /// `[samples, 1]`, on the item side; one answer a request.
    pub items: Tensor<2>,
}

impl Kept {
    /// That of a side.
    pub fn of(&self, side: Side) -> Tensor<2> {
        match side {
            Side::Users => self.users.clone(),
            Side::Items => self.items.clone(),
        }
    }
}

/// A training batch on the device.
#[derive(Clone)]
pub struct DeviceBatch {
    fields: Vec<(Vec<&'static str>, Fields)>,
    /// `[requests]` users.
    pub users: Rows,
    /// `[samples]` items.
    pub items: Rows,
    /// `[requests]`: the item of each request's first candidate, the one that was consumed.
    pub consumed: Rows,
    /// Dense features.
    pub dense: Dense,
    /// `[tasks, samples, 1]`
    pub labels: Tensor<3>,
    /// `[requests]`: 1 where the request is among the share that clusters.
    pub clustered: Tensor<1>,
    /// `[requests]`: label A of the first candidate.
    pub positive: Tensor<1>,
    /// `[requests, 1]`: 1 for low-active users.
    pub low_active: Tensor<2>,
    /// Dropout of the enhancement vectors.
    pub kept: Kept,
    /// The batch as the host knows it.
    pub host: Arc<Batch>,
    /// The batch that it is a part of, as the host knows it; itself where it is whole.
    pub whole: Arc<Batch>,
    /// The part of it that this process computes; none where that is all of it.
    pub own: Option<Arc<DeviceBatch>>,
}

impl DeviceBatch {
    /// The ids that a model with such views reads.
    ///
    /// # Panics
    /// Where it was not planned for such views.
    pub fn fields(&self, views: &[&'static View]) -> &Fields {
        let found = self.fields.iter().find(|(names, _)| names.iter().copied().eq(views.iter().map(|view| view.name)));
        &found.expect("planned for these views").1
    }

    /// The same, of which this process computes some requests.
    #[must_use]
    pub(crate) fn with_own(self, requests: Range<usize>) -> Self {
        Self { own: Some(Arc::new(self.part(requests))), ..self }
    }

    /// What is computed of some requests. The plans of touched rows, and what components' own steps read, stay those of the whole.
    fn part(&self, requests: Range<usize>) -> Self {
        let host = self.host.part(requests.clone());
        let samples = requests.start * host.candidates..requests.end * host.candidates;
        let of_requests = |table: &Tensor<2>| rows(table, &requests);
        Self {
            fields: self.fields.iter().map(|(names, fields)| (names.clone(), fields.part(&requests, &samples))).collect(),
            users: self.users.part(&requests),
            items: self.items.part(&samples),
            dense: self.dense.part(&requests, &samples),
            labels: self.labels.clone().slice([0..TASKS, samples.clone(), 0..1]),
            low_active: of_requests(&self.low_active),
            kept: Kept { users: of_requests(&self.kept.users), items: rows(&self.kept.items, &samples) },
            host: Arc::new(host),
            own: None,
            ..self.clone()
        }
    }
}

/// Some rows of a table, `[rows, columns]`.
fn rows(table: &Tensor<2>, own: &Range<usize>) -> Tensor<2> {
    table.clone().slice([own.clone(), 0..table.dims()[1]])
}

impl Fields {
    fn part(&self, requests: &Range<usize>, samples: &Range<usize>) -> Self {
        Self {
            candidates: self.candidates.rows(samples),
            requests: self.requests.rows(requests),
            views: self.views.iter().map(|(name, ids)| (*name, ids.rows(requests))).collect(),
            touched: self.touched.clone(),
        }
    }
}

impl Rows {
    fn part(&self, own: &Range<usize>) -> Self {
        Self { ids: self.ids.rows(own), touched: self.touched.clone() }
    }
}

impl Dense {
    fn part(&self, requests: &Range<usize>, samples: &Range<usize>) -> Self {
        let ([_, slots], [_, history, kinds]) = (self.history_items.dims(), self.history_kinds.dims());
        Self {
            counts: rows(&self.counts, requests),
            item_count: rows(&self.item_count, samples),
            history: self.history.rows(requests),
            history_items: self.history_items.clone().slice([requests.clone(), 0..slots]),
            told: self.told.as_ref().map(|told| Told {
                group: rows(&told.group, requests),
                posterior: rows(&told.posterior, requests),
                item_group: rows(&told.item_group, samples),
            }),
            history_kinds: self.history_kinds.clone().slice([requests.clone(), 0..history, 0..kinds]),
        }
    }
}

/// `[values, 1]`: 1 where true.
pub fn flags(values: impl Iterator<Item = bool>, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.map(|flag| f32::from(u8::from(flag))).collect();
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length, 1]), device)
}

fn floats(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}
