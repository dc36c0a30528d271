//! What a person sees of a run: centres and their members in the plane, and one user as each model sees them.

mod field;
mod portrait;
mod projection;

pub use field::{Field, Snapshot};
pub use portrait::{Glance, Offer, Portrait, Sitting, Thing};
pub use projection::Plane;

use serde::{Deserialize, Serialize};

use crate::data::Side;

/// Centres and a batch of their members in the plane: the two main axes of the level-1 centres, turned as little as possible
/// from frame to frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldFrame {
    /// The step.
    pub step: u64,
    /// Whose centres.
    pub side: Side,
    /// Level-1 centres.
    pub centres: u32,
    /// Level-2 centres of each level-1 centre.
    pub children: u32,
    /// `[centres * (1 + children), 2]`: x, y in about -1..1; level 1 first.
    pub centre_xy: Vec<f32>,
    /// `[centres * (1 + children)]`: samples that each centre took since the last frame.
    pub hits: Vec<f32>,
    /// Ids of the points, users or items, each once.
    pub members: Vec<u32>,
    /// `[members, 2]`: x, y of their vectors.
    pub member_xy: Vec<f32>,
    /// `[members, 2]`: level-1 centre and level-2 centre (`children * parent + child`).
    pub assigned: Vec<u32>,
    /// `[members]`: whether a user is low-active, or an item of the tail.
    pub low_active: Vec<bool>,
    /// `[members]`: whether UIE stopped for the user.
    pub stopped: Vec<bool>,
    /// `[members]`: the category that a user took something of, or that an item is of.
    pub categories: Vec<u32>,
    /// `[members]`: the group that the generator planted them in; empty for real rows.
    pub groups: Vec<u32>,
}
