//! The losses of a training step.

use serde::{Deserialize, Serialize};

/// The losses of Eq. 15 at a step, each before its weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Sum of the tasks' cross entropies.
    pub mtl: f32,
    /// Eq. 1. None where the variant has no auxiliary model.
    pub auxiliary: Option<f32>,
    /// Eq. 4. None until the centres are filled.
    pub uie_l1: Option<f32>,
    /// Eq. 5. None until the centres are filled.
    pub uie_l2: Option<f32>,
    /// Eq. 9, on the user side. None until the centres are filled.
    pub upbe_l1: Option<f32>,
    /// Eq. 10, on the user side. None until the centres are filled.
    pub upbe_l2: Option<f32>,
    /// Eq. 13. None until the item centres are filled.
    pub uhse_l1: Option<f32>,
    /// Eq. 14. None until the item centres are filled.
    pub uhse_l2: Option<f32>,
    /// Eq. 9 and 10 on the item side. None until the item centres are filled.
    pub items: Option<[f32; 2]>,
    /// The added loss of PLE+CL or of PLE+TL.
    pub adaptation: Option<f32>,
}

impl Losses {
    /// Every loss that there is, with its name in files and charts.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f32)> {
        let items = |level: usize| self.items.map(|losses| losses[level]);
        [
            ("loss_mtl", Some(self.mtl)),
            ("loss_auxiliary", self.auxiliary),
            ("loss_uie_l1", self.uie_l1),
            ("loss_uie_l2", self.uie_l2),
            ("loss_upbe_l1", self.upbe_l1),
            ("loss_upbe_l2", self.upbe_l2),
            ("loss_uhse_l1", self.uhse_l1),
            ("loss_uhse_l2", self.uhse_l2),
            ("loss_items_l1", items(0)),
            ("loss_items_l2", items(1)),
            ("loss_adaptation", self.adaptation),
        ]
        .into_iter()
        .filter_map(|(name, loss)| loss.map(|loss| (name, loss)))
    }
}
