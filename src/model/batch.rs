//! Batches on the device: where each vocabulary begins in the one embedding table, how ids are laid out, and what is moved
//! once for all variants of a race.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::parts::Parts;
use super::table::{Ids, SINGLE, Touched};
use crate::config::Config;
use crate::counter::{Counter, Stream};
use crate::data::protocol::{ACTIVITY_BUCKETS, Batch, NO_ROW, TASKS};
use crate::data::rows::{Bags, RowPlanner, Segment};
use crate::data::{Behaviour, Vocabulary};
use crate::variants::Variant;

/// Embedded fields of a candidate: item, category.
pub const CANDIDATE_FIELDS: usize = 2;
/// Embedded fields of a request: user, activity bucket, pooled recent items, pooled recent categories.
pub const REQUEST_FIELDS: usize = 4;
/// Probability that a view of the contrastive model drops a history value (section 4 of the design).
const VIEW_DROP: f64 = 0.3;
/// Behaviours of the short history of the transfer model: where the paper's users count as having few (A21).
pub const FEW: usize = 5;

/// Where each vocabulary begins in the embedding table: items, categories, users, activity buckets.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    vocabulary: Vocabulary,
    history: usize,
    recent: usize,
}

impl Layout {
    /// The layout for a data set and the history windows of a configuration.
    pub fn new(vocabulary: Vocabulary, config: &Config) -> Self {
        Self { vocabulary, history: config.history, recent: config.recent }
    }

    /// How many of each id there are.
    pub fn vocabulary(&self) -> Vocabulary {
        self.vocabulary
    }

    /// Rows of the embedding table.
    pub fn rows(&self) -> usize {
        let v = self.vocabulary;
        v.items as usize + v.categories as usize + v.users as usize + ACTIVITY_BUCKETS as usize
    }

    /// Row of category 0.
    fn first_category(&self) -> u32 {
        self.vocabulary.items
    }

    /// Ids of candidates: item, category.
    pub fn candidates(&self, items: &[u32], categories: &[u32]) -> Vec<u32> {
        items.iter().zip(categories).flat_map(|(&item, &category)| [item, self.first_category() + category]).collect()
    }

    /// How [`Layout::candidates`] are laid out.
    pub fn candidate_bags(&self) -> Bags {
        Bags { singles: CANDIDATE_FIELDS, bags: 0, bag_len: 0 }
    }

    /// Ids of requests: user, activity, then the history's items and its categories.
    fn requests(&self, batch: &Batch) -> Vec<u32> {
        let users = self.first_category() + self.vocabulary.categories;
        let activity = users + self.vocabulary.users;
        let mut ids = Vec::with_capacity(batch.requests * self.request_bags().slots());
        for r in 0..batch.requests {
            ids.extend([users + batch.user[r], activity + batch.activity[r]]);
            ids.extend(self.history(batch, r, self.recent, |_| true));
        }
        ids
    }

    fn request_bags(&self) -> Bags {
        Bags { singles: 2, bags: 2, bag_len: self.recent }
    }

    /// Ids of whole histories: of each request the items, then the categories.
    fn whole_histories(&self, batch: &Batch) -> Vec<u32> {
        (0..batch.requests).flat_map(|r| self.history(batch, r, self.history, |_| true)).collect()
    }

    fn items_of_history(&self) -> Bags {
        Bags { singles: 0, bags: 1, bag_len: self.history }
    }

    fn whole_bags(&self) -> Bags {
        Bags { singles: 0, bags: 2, bag_len: self.history }
    }

    /// Ids of the `newest` of a request's history, items and then categories; places that are not kept are padding.
    fn history<'a>(
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

    /// Ids of two contrastive views a request: in each, values of the whole history of a low-active user are dropped, item and
    /// category together. Nobody else has views.
    fn contrastive_views(&self, batch: &Batch, random: Counter) -> Vec<u32> {
        let views = (0..batch.requests).flat_map(|r| (0..2).map(move |view| (r, view)));
        let keep = |r: usize, view: usize| {
            let lane = random.lane((2 * r + view) as u64);
            move |place: usize| batch.low_active[r] && lane.uniform(place as u64) >= VIEW_DROP
        };
        views.flat_map(|(r, view)| self.history(batch, r, self.history, keep(r, view)).collect::<Vec<_>>()).collect()
    }

    /// Ids of each request's history, cut to its newest [`FEW`] and then whole.
    fn short_and_whole_histories(&self, batch: &Batch) -> Vec<u32> {
        let cut = |r: usize, few: usize| self.history(batch, r, self.history, move |place| place < few);
        (0..batch.requests).flat_map(|r| cut(r, FEW).chain(cut(r, self.history)).collect::<Vec<_>>()).collect()
    }
}

/// Histories that a variant learns embeddings from beside the recent ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// None.
    Recent,
    /// Two views with dropped values.
    Contrastive,
    /// The history cut short, and the whole of it.
    ShortAndWhole,
    /// The whole of it.
    Whole,
}

impl View {
    fn of(variant: Variant) -> Self {
        match Parts::of(variant) {
            parts if parts.contrastive => Self::Contrastive,
            parts if parts.transfer => Self::ShortAndWhole,
            parts if parts.long => Self::Whole,
            _ => Self::Recent,
        }
    }
}

/// Ids that touch the embedding table, and their plan.
#[derive(Clone)]
pub struct Fields {
    /// `[samples]` of item and category.
    pub candidates: Ids,
    /// `[requests]` of user, activity, recent items, recent categories.
    pub requests: Ids,
    /// More bags of history a request, items and categories of each: two views, the short and the whole one, or the whole one.
    pub views: Option<Ids>,
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
}

impl Dense {
    fn new(layout: &Layout, batch: &Batch, device: &Device) -> Self {
        Self {
            counts: Tensor::from_data(TensorData::new(batch.counts.clone(), [batch.requests, Behaviour::COUNT]), device),
            item_count: Tensor::from_data(TensorData::new(batch.item_count.clone(), [batch.samples(), 1]), device),
            history: Ids::new(Segment { ids: &layout.whole_histories(batch), bags: layout.whole_bags() }, device),
            history_items: Ids::new(Segment { ids: &batch.history_items, bags: layout.items_of_history() }, device).tensor(),
        }
    }
}

/// To whom memories lend in training: 1, or 0 from whom everything is withheld.
#[derive(Clone)]
pub struct Kept {
    /// `[requests, 1]`, on the user side.
    pub users: Tensor<2>,
    /// `[samples, 1]`, on the item side; one answer a request.
    pub items: Tensor<2>,
}

/// A training batch on the device.
#[derive(Clone)]
pub struct DeviceBatch {
    fields: Vec<(View, Fields)>,
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
    /// `[requests, 1]`: 1 for the first request of each low-active user that has a history: who takes part in the contrast.
    pub contrasted: Tensor<2>,
    /// To whom memories lend.
    pub kept: Kept,
    /// The batch as the host knows it.
    pub host: Arc<Batch>,
}

impl DeviceBatch {
    /// The ids that a variant reads.
    pub fn fields(&self, variant: Variant) -> &Fields {
        let view = View::of(variant);
        let found = self.fields.iter().find(|(other, _)| *other == view);
        &found.expect("the loader was made for this variant").1
    }
}

/// A test batch on the device.
pub struct TestBatch {
    /// `[samples]` of item and category.
    pub candidates: Ids,
    /// `[requests]` of user, activity, recent items, recent categories.
    pub requests: Ids,
    /// `[requests]` users.
    pub users: Ids,
    /// `[samples]` items.
    pub items: Ids,
    /// Dense features.
    pub dense: Dense,
    /// `[requests, 1]`: 1 for low-active users.
    pub low_active: Tensor<2>,
}

fn flags(values: impl Iterator<Item = bool>, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.map(|flag| f32::from(u8::from(flag))).collect();
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length, 1]), device)
}

fn floats(values: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

impl TestBatch {
    /// Moves a batch to the device, to be scored.
    pub fn new(layout: &Layout, batch: &Batch, device: &Device) -> Self {
        let (candidates, requests) = (layout.candidates(&batch.item, &batch.category), layout.requests(batch));
        let requests = Ids::new(Segment { ids: &requests, bags: layout.request_bags() }, device);
        Self {
            candidates: Ids::new(Segment { ids: &candidates, bags: layout.candidate_bags() }, device),
            users: Ids::single(&batch.user, device),
            items: Ids::single(&batch.item, device),
            dense: Dense::new(layout, batch, device),
            low_active: flags(batch.low_active.iter().copied(), device),
            requests,
        }
    }
}

/// Moves training batches to the device, once for all variants.
pub struct Loader {
    layout: Layout,
    views: Vec<View>,
    fields: RowPlanner,
    users: RowPlanner,
    items: RowPlanner,
    random: Counter,
    withheld: Counter,
    withheld_share: f64,
    batches: u64,
    device: Device,
}

impl Loader {
    /// A loader for some variants.
    pub fn new(layout: Layout, variants: &[Variant], config: &Config, device: &Device) -> Self {
        let mut views = Vec::new();
        for view in variants.iter().map(|&variant| View::of(variant)) {
            if !views.contains(&view) {
                views.push(view);
            }
        }
        let v = layout.vocabulary;
        Self {
            layout,
            views,
            fields: RowPlanner::new(layout.rows()),
            users: RowPlanner::new(v.users as usize),
            items: RowPlanner::new(v.items as usize),
            random: Counter::new(config.seed, Stream::Views),
            withheld: Counter::new(config.seed, Stream::Withheld),
            withheld_share: config.withheld_share,
            batches: 0,
            device: device.clone(),
        }
    }

    /// A batch to train on.
    pub fn load(&mut self, batch: Arc<Batch>) -> DeviceBatch {
        let device = self.device.clone();
        let fields: Vec<(View, Fields)> = self.views.clone().into_iter().map(|view| (view, self.fields(view, &batch))).collect();
        self.batches += 1;
        let consumed: Vec<u32> = batch.consumed().collect();
        let positive: Vec<f32> = batch.consumed_labels().collect();
        let mut met = std::collections::HashSet::new();
        // Without a history one of the two views is nothing: every cosine is 0, the exact gradient is 0, and Adam made whole steps
        // of its rounding, other ones on every device.
        let contrasted = (0..batch.requests).map(|r| batch.low_active[r] && batch.has_history(r) && met.insert(batch.user[r]));
        DeviceBatch {
            users: rows(&mut self.users, &batch.user, &device),
            items: rows(&mut self.items, &batch.item, &device),
            consumed: rows(&mut self.items, &consumed, &device),
            dense: Dense::new(&self.layout, &batch, &device),
            labels: Tensor::from_data(TensorData::new(batch.labels.clone(), [TASKS, batch.samples(), 1]), &device),
            clustered: floats(&batch.clustered, &device),
            positive: floats(&positive, &device),
            low_active: flags(batch.low_active.iter().copied(), &device),
            contrasted: flags(contrasted, &device),
            kept: self.kept(&batch),
            fields,
            host: batch,
        }
    }

    /// Draws to whom this batch's memories lend.
    fn kept(&self, batch: &Batch) -> Kept {
        let side = |lane: usize| {
            let draws = self.withheld.lane(2 * self.batches + lane as u64);
            move |request: usize| draws.uniform(request as u64) >= self.withheld_share
        };
        let (users, items) = (side(0), side(1));
        Kept {
            users: flags((0..batch.requests).map(users), &self.device),
            items: flags((0..batch.samples()).map(|sample| items(sample / batch.candidates)), &self.device),
        }
    }

    fn fields(&mut self, view: View, batch: &Batch) -> Fields {
        let (candidates, requests) = (self.layout.candidates(&batch.item, &batch.category), self.layout.requests(batch));
        let whole = self.layout.whole_bags();
        let two = Bags { bags: 4, ..whole };
        let views = match view {
            View::Recent => None,
            View::Contrastive => Some((self.layout.contrastive_views(batch, self.random.lane(self.batches)), two)),
            View::ShortAndWhole => Some((self.layout.short_and_whole_histories(batch), two)),
            View::Whole => Some((self.layout.whole_histories(batch), whole)),
        };
        let mut segments = vec![
            Segment { ids: &candidates, bags: self.layout.candidate_bags() },
            Segment { ids: &requests, bags: self.layout.request_bags() },
        ];
        segments.extend(views.iter().map(|(ids, bags)| Segment { ids, bags: *bags }));
        let mut ids: Vec<Ids> = segments.iter().map(|&segment| Ids::new(segment, &self.device)).collect();
        let touched = Touched::new(&mut self.fields, &segments, &self.device);
        let views = (ids.len() > 2).then(|| ids.remove(2));
        let requests = ids.remove(1);
        Fields { candidates: ids.remove(0), requests, views, touched }
    }
}

fn rows(planner: &mut RowPlanner, ids: &[u32], device: &Device) -> Rows {
    Rows { ids: Ids::new(Segment { ids, bags: SINGLE }, device), touched: Touched::single(planner, ids, device) }
}
