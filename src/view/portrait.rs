//! One user as each model sees them: what they did, which cluster they are in, how the models score a few items for them, and
//! what one more behaviour would change.

use serde::{Deserialize, Serialize};

/// Which user sits for a portrait, and what is added to their history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sitting {
    /// The user by their place among the low-active users of the probe set; counted on from the first after the last.
    pub nth: u32,
    /// The offer, by its place, that the user is assumed to have taken as well.
    pub added: Option<u32>,
}

/// An item and its category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// The item.
    pub item: u32,
    /// Its category.
    pub category: u32,
}

/// An item that is scored for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The item.
    pub thing: Thing,
    /// Whether it is what the user took next. No model has seen that row.
    pub taken: bool,
}

/// A user and what the models make of them at a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Portrait {
    /// The step.
    pub step: u64,
    /// Who and what was asked for.
    pub sitting: Sitting,
    /// The user.
    pub user: u32,
    /// Whether they are low-active.
    pub low_active: bool,
    /// Their behaviours before the moment.
    pub behaviours: u32,
    /// The group that the generator planted them in; none for real rows.
    pub group: Option<u32>,
    /// Their last behaviours, newest first.
    pub history: Vec<Thing>,
    /// What is scored.
    pub offers: Vec<Offer>,
    /// As it is.
    pub now: Glance,
    /// With what is added.
    pub then: Option<Glance>,
}

/// What the models make of a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Glance {
    /// Level-1 centre and level-2 centre (`children * parent + child`), of the first model with user centres; none before the
    /// first fill.
    pub cluster: Option<[u32; 2]>,
    /// Whether that model lends nothing, because a centre points away from the user (A10).
    pub stopped: bool,
    /// `[m]`: the user's vector there; empty where no model has one.
    pub vector: Vec<f32>,
    /// `[variants][offers]`: probabilities, or a rule's own scores.
    pub scores: Vec<Vec<f32>>,
}

impl Portrait {
    /// Where the taken item stands among the offers by a model, 1 for the first; ties share the worst place.
    pub fn rank(&self, glance: &Glance, variant: usize) -> Option<usize> {
        let scores = glance.scores.get(variant)?;
        let taken = self.offers.iter().position(|offer| offer.taken)?;
        let own = *scores.get(taken)?;
        Some(scores.iter().filter(|&&score| score >= own).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_of_what_was_taken_counts_ties_against_it() {
        let offer = |item: u32| Offer { thing: Thing { item, category: 0 }, taken: item == 1 };
        let portrait = Portrait { offers: (0..4).map(offer).collect(), ..Portrait::default() };
        let glance = Glance { scores: vec![vec![0.2, 0.5, 0.5, 0.9], vec![0.1, 0.8, 0.2, 0.3], vec![]], ..Glance::default() };
        assert_eq!([0, 1, 2, 3].map(|variant| portrait.rank(&glance, variant)), [Some(3), Some(1), None, None]);
    }
}
