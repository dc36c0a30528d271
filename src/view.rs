//! What a picture of the clusters is made of: centres and users in the plane.

mod field;
mod projection;

pub use field::{Field, Snapshot};
pub use projection::Plane;

use serde::{Deserialize, Serialize};

/// Centres and a batch of users in the plane: the two main axes of the level-1 centres, turned as little as possible
/// from frame to frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldFrame {
    /// The step.
    pub step: u64,
    /// Level-1 centres.
    pub centres: u32,
    /// Level-2 centres of each level-1 centre.
    pub children: u32,
    /// `[centres * (1 + children), 2]`: x, y in about -1..1; level 1 first.
    pub centre_xy: Vec<f32>,
    /// `[centres * (1 + children)]`: samples that each centre took since the last frame.
    pub hits: Vec<f32>,
    /// User ids of the points, each user once.
    pub users: Vec<u32>,
    /// `[users, 2]`: x, y of the users' vectors.
    pub user_xy: Vec<f32>,
    /// `[users, 2]`: level-1 centre and level-2 centre (`children * parent + child`).
    pub assigned: Vec<u32>,
    /// `[users]`: whether the user is low-active.
    pub low_active: Vec<bool>,
    /// `[users]`: whether UIE stopped for the user.
    pub stopped: Vec<bool>,
}
