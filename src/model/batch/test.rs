//! Test batches: what the host lays out, which other threads do ahead, and what is then on the device.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::{Dense, Layout, View, Windows, flags};
use crate::counter::{Counter, Stream};
use crate::data::protocol::Batch;
use crate::data::rows::Segment;
use crate::model::layers::table::{HostIds, Ids, SINGLE};

/// Lays out test batches, once for all models.
#[derive(Clone)]
pub struct TestPlanner {
    layout: Layout,
    views: Vec<&'static View>,
}

/// A test batch with everything that is moved to the device.
pub struct PlannedTest {
    candidates: HostIds,
    requests: HostIds,
    views: Vec<(&'static str, HostIds)>,
    users: HostIds,
    items: HostIds,
    windows: Windows,
    batch: Arc<Batch>,
}

/// A test batch on the device.
#[derive(Clone)]
pub struct TestBatch {
    /// `[samples]` of item, category, attributes.
    pub candidates: Ids,
    /// `[requests]` of user, activity, profile, newest item, newest category.
    pub requests: Ids,
    /// The histories of those of the models' views that are scored, by name.
    pub views: Vec<(&'static str, Ids)>,
    /// `[requests]` users.
    pub users: Ids,
    /// `[samples]` items.
    pub items: Ids,
    /// Dense features.
    pub dense: Dense,
    /// `[requests, 1]`: 1 for low-active users.
    pub low_active: Tensor<2>,
    /// The batch as the host knows it.
    pub host: Arc<Batch>,
}

impl TestPlanner {
    /// For models with such views each.
    pub fn new<'a>(layout: Layout, wanted: impl Iterator<Item = &'a [&'static View]>) -> Self {
        let mut views: Vec<&'static View> = Vec::new();
        for view in wanted.flatten().filter(|view| view.is_scored) {
            if views.iter().all(|known| known.name != view.name) {
                views.push(view);
            }
        }
        Self { layout, views }
    }

    /// A batch to be scored.
    pub fn plan(&self, batch: Arc<Batch>) -> PlannedTest {
        let layout = &self.layout;
        // No view that is scored draws anything.
        let of_view = |view: &View| (view.ids)(layout, &batch, Counter::new(0, Stream::Views));
        let ids = |ids: &[u32], bags| HostIds::new(Segment { ids, bags });
        PlannedTest {
            candidates: ids(&layout.samples(&batch), layout.sample_bags()),
            requests: ids(&layout.requests(&batch), layout.request_bags()),
            views: self.views.iter().map(|view| (view.name, ids(&of_view(view), (view.bags)(layout)))).collect(),
            users: ids(&batch.user, SINGLE),
            items: ids(&batch.item, SINGLE),
            windows: Windows::new(layout, &batch),
            batch,
        }
    }
}

impl PlannedTest {
    /// Moves it to the device.
    pub fn load(self, device: &Device) -> TestBatch {
        let batch = self.batch;
        TestBatch {
            candidates: self.candidates.load(device),
            requests: self.requests.load(device),
            views: self.views.into_iter().map(|(name, ids)| (name, ids.load(device))).collect(),
            users: self.users.load(device),
            items: self.items.load(device),
            dense: self.windows.load(&batch, device),
            low_active: flags(batch.low_active.iter().copied(), device),
            host: batch,
        }
    }
}
