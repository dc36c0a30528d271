//! What a variant is made of, as flags.

use super::ghca::UserCentres;
use crate::variants::Variant;

/// What a variant is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// User centres of UIE (section 4.2).
    pub uie: Option<UserCentres>,
    /// The memory of positive behaviours (section 4.3).
    pub upbe: bool,
    /// Item centres in the place of the history's items (section 4.4).
    pub uhse: bool,
    /// UIE and UPBE on the item side too (section 4.5).
    pub items: bool,
    /// Contrastive learning for low-active users (Yao et al. 2021, adapted).
    pub contrastive: bool,
    /// Transfer from long to short histories (Zhang et al. 2021, adapted).
    pub transfer: bool,
    /// Sanity row: the ranker widened to DUIA's number of parameters, with a vector of its own for each user.
    pub wide: bool,
    /// Sanity row: the auxiliary model's user vector itself instead of a centre.
    pub towers: bool,
    /// Sanity row: the ranker reads the whole history too: its mean, and how much of it is the candidate's own item and category.
    pub long: bool,
}

impl Parts {
    /// Those of a variant.
    pub fn of(variant: Variant) -> Self {
        let named = |(name, centres): (&str, UserCentres)| variant.has(name).then_some(centres);
        let centres = [
            ("user-centres", UserCentres::Learned),
            ("random-user-centres", UserCentres::Random),
            ("k-means-user-centres", UserCentres::KMeans),
        ];
        Self {
            uie: centres.into_iter().find_map(named),
            upbe: variant.has("upbe"),
            uhse: variant.has("uhse"),
            items: variant.has("item-uie"),
            contrastive: variant.has("contrastive"),
            transfer: variant.has("transfer"),
            wide: variant.has("wide"),
            towers: variant.has("own-vector"),
            long: variant.has("long-history"),
        }
    }

    /// Whether the auxiliary towers are trained.
    pub fn has_towers(self) -> bool {
        self.uie.is_some() || self.has_item_centres() || self.towers
    }

    /// Whether there are item centres.
    pub fn has_item_centres(self) -> bool {
        self.uhse || self.items
    }
}
