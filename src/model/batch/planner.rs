//! What the host works out of a training batch before it is moved to the device: ids laid out for every model, the plan of the
//! rows that they touch, and the draws of dropout. It asks no device, so other threads do it ahead.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use super::{DeviceBatch, Fields, Kept, Layout, Rows, View, Windows, flags, floats};
use crate::config::Config;
use crate::counter::{Counter, Stream};
use crate::data::protocol::{Batch, TASKS};
use crate::data::rows::{Bags, RowPlanner, Segment};
use crate::model::layers::table::{HostIds, HostTouched, SINGLE};

/// Plans training batches, once for all models.
pub struct Planner {
    layout: Layout,
    /// By model, those with the same views once.
    views: Vec<Vec<&'static View>>,
    fields: RowPlanner,
    users: RowPlanner,
    items: RowPlanner,
    random: Counter,
    dropout: Counter,
    enhancement_dropout: f64,
}

/// A training batch with everything that is moved to the device.
pub struct Planned {
    fields: Vec<(Vec<&'static str>, HostFields)>,
    users: HostRows,
    items: HostRows,
    consumed: HostRows,
    windows: Windows,
    kept: [Vec<bool>; 2],
    batch: Arc<Batch>,
}

/// What becomes [`Fields`].
struct HostFields {
    candidates: HostIds,
    requests: HostIds,
    views: Vec<(&'static str, HostIds)>,
    touched: HostTouched,
}

/// What becomes [`Rows`].
struct HostRows {
    ids: HostIds,
    touched: HostTouched,
}

impl Planner {
    /// A planner for models with such views each. Keeps 8 bytes a row of every table.
    pub fn new<'a>(layout: Layout, wanted: impl Iterator<Item = &'a [&'static View]>, config: &Config) -> Self {
        let mut views: Vec<Vec<&'static View>> = Vec::new();
        for of_model in wanted {
            if !views.iter().any(|known| names(known) == names(of_model)) {
                views.push(of_model.to_vec());
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
            dropout: Counter::new(config.seed, Stream::Dropout),
            enhancement_dropout: config.enhancement_dropout,
        }
    }

    /// A batch to train on, after `before` others. What is drawn for it depends on that number alone.
    pub fn plan(&mut self, before: u64, batch: Arc<Batch>) -> Planned {
        let views = self.views.clone();
        let consumed: Vec<u32> = batch.consumed().collect();
        Planned {
            fields: views.iter().map(|views| (names(views), self.fields(before, views, &batch))).collect(),
            users: rows(&mut self.users, &batch.user),
            items: rows(&mut self.items, &batch.item),
            consumed: rows(&mut self.items, &consumed),
            windows: Windows::new(&self.layout, &batch),
            kept: self.kept(before, &batch),
            batch,
        }
    }

    /// Draws from whom dropout takes the enhancement vectors: `[requests]` users, `[samples]` items.
    fn kept(&self, before: u64, batch: &Batch) -> [Vec<bool>; 2] {
        let side = |lane: usize| {
            let draws = self.dropout.lane(2 * (before + 1) + lane as u64);
            move |request: usize| draws.uniform(request as u64) >= self.enhancement_dropout
        };
        let (users, items) = (side(0), side(1));
        [(0..batch.requests).map(users).collect(), (0..batch.samples()).map(|sample| items(sample / batch.candidates)).collect()]
    }

    fn fields(&mut self, before: u64, views: &[&'static View], batch: &Batch) -> HostFields {
        let (candidates, requests) = (self.layout.samples(batch), self.layout.requests(batch));
        let random = self.random.lane(before);
        let of_views: Vec<(Vec<u32>, Bags)> =
            views.iter().map(|view| ((view.ids)(&self.layout, batch, random), (view.bags)(&self.layout))).collect();
        let mut segments = vec![
            Segment { ids: &candidates, bags: self.layout.sample_bags() },
            Segment { ids: &requests, bags: self.layout.request_bags() },
        ];
        segments.extend(of_views.iter().map(|(ids, bags)| Segment { ids, bags: *bags }));
        HostFields {
            candidates: HostIds::new(segments[0]),
            requests: HostIds::new(segments[1]),
            views: names(views).into_iter().zip(segments[2..].iter().map(|&segment| HostIds::new(segment))).collect(),
            touched: HostTouched::new(&mut self.fields, &segments),
        }
    }
}

impl Planned {
    /// Candidates in it.
    pub fn samples(&self) -> usize {
        self.batch.samples()
    }

    /// Moves it to the device.
    pub fn load(self, device: &Device) -> DeviceBatch {
        let batch = self.batch;
        let positive: Vec<f32> = batch.consumed_labels().collect();
        let [users, items] = self.kept.map(|kept| flags(kept.into_iter(), device));
        DeviceBatch {
            fields: self.fields.into_iter().map(|(views, fields)| (views, fields.load(device))).collect(),
            users: self.users.load(device),
            items: self.items.load(device),
            consumed: self.consumed.load(device),
            dense: self.windows.load(&batch, device),
            labels: Tensor::from_data(TensorData::new(batch.labels.clone(), [TASKS, batch.samples(), 1]), device),
            clustered: floats(&batch.clustered, device),
            positive: floats(&positive, device),
            low_active: flags(batch.low_active.iter().copied(), device),
            kept: Kept { users, items },
            whole: batch.clone(),
            host: batch,
            own: None,
        }
    }
}

impl HostFields {
    fn load(self, device: &Device) -> Fields {
        Fields {
            candidates: self.candidates.load(device),
            requests: self.requests.load(device),
            views: self.views.into_iter().map(|(name, ids)| (name, ids.load(device))).collect(),
            touched: self.touched.load(device),
        }
    }
}

impl HostRows {
    fn load(self, device: &Device) -> Rows {
        Rows { ids: self.ids.load(device), touched: self.touched.load(device) }
    }
}

fn rows(planner: &mut RowPlanner, ids: &[u32]) -> HostRows {
    HostRows { ids: HostIds::new(Segment { ids, bags: SINGLE }), touched: HostTouched::single(planner, ids) }
}

fn names(views: &[&'static View]) -> Vec<&'static str> {
    views.iter().map(|view| view.name).collect()
}
