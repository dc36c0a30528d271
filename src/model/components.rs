//! The components, one file each: what it adds to the ranker's features, what it computes, what it learns, its losses, what it
//! saves, and the equations that it stands for.
//!
//! | file | component | paper |
//! | --- | --- | --- |
//! | [`history`] | the window, read by target attention | 4.1 |
//! | [`auxiliary`] | user tower and item tower | 4.2, Eq. 1 |
//! | [`centres`] | the centres of users and of items (GHCA) | 4.2 and 4.4, Eq. 2-5, 11-14 |
//! | [`uie`] | the nearest centres as enhancement vectors | 4.2, Eq. 6 |
//! | [`upbe`] | memories of positive behaviours | 4.3, Eq. 7-10 |
//! | [`uhse`] | item centres in the place of the history's items | 4.4 |
//! | [`consumers`] | user centres in the place of an item's consumers | 4.5 |
//! | [`evidence`] | clusters by what their members take | |
//! | [`contrastive`], [`transfer`] | PLE with CL, PLE with TL: our adaptations | 5.2 |
//! | [`poso`] | gates of the towers by how new a user is | reference 31 |
//! | [`shares`] | how much of the window is the candidate's own | |
//! | [`told`] | ceilings: what the generator knows | |
//! | [`wide`] | sanity row | |
//! | [`enhancement`] | how the vectors of a side enter the ranker, all at once | 4.2 |
//!
//! A new component is a file with its `KINDS`, its name in the list below, and a row of the registry that names it.

use super::component::Kind;
use super::layers::ple::RANKING;
use crate::metrics::LossTerm;
use crate::variants::{Variant, trained};

pub mod enhancement;

macro_rules! components {
    ($($component:ident),* $(,)?) => {
        $(pub mod $component;)*

        /// Every component that a row of the registry can name, file by file.
        fn kinds() -> impl Iterator<Item = &'static Kind> {
            [$($component::KINDS.as_slice()),*].into_iter().flatten()
        }
    };
}

components! {
    history,
    auxiliary,
    centres,
    uie,
    upbe,
    uhse,
    consumers,
    evidence,
    contrastive,
    transfer,
    shares,
    told,
    wide,
    poso,
}

/// The components of a model, in the order of its row.
///
/// # Panics
/// Where the row names a component that no file has: a test holds every row to one.
pub fn of(variant: Variant) -> Vec<&'static Kind> {
    let find = |&name: &&str| kinds().find(|kind| kind.name == name).unwrap_or_else(|| panic!("no component is called `{name}`"));
    variant.row().components.iter().map(find).collect()
}

/// The losses of some models, each with the models that have it.
pub fn loss_terms(variants: &[Variant]) -> Vec<LossTerm> {
    let all = std::iter::once(&RANKING).chain(kinds().flat_map(|kind| kind.losses.iter().copied()));
    let mut terms: Vec<LossTerm> = Vec::new();
    for term in all {
        let has = |variant: &Variant| {
            let own = |kind: &&Kind| kind.losses.iter().any(|own| own.names == term.names);
            term.names == RANKING.names || of(*variant).iter().any(own)
        };
        let variants: Vec<Variant> = trained(variants).filter(has).collect();
        if !variants.is_empty() && !terms.iter().any(|known| known.title == term.title) {
            terms.push(LossTerm::new(term, variants));
        }
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_registry_names_components_that_there_are_and_every_component_is_named() {
        let named: Vec<&str> = Variant::ALL.into_iter().flat_map(|variant| of(variant).into_iter().map(|kind| kind.name)).collect();
        for kind in kinds() {
            assert!(named.contains(&kind.name), "no model has `{}`", kind.name);
            assert_eq!(kinds().filter(|other| other.name == kind.name).count(), 1, "`{}` is one component", kind.name);
        }
    }

    #[test]
    fn views_and_losses_of_a_model_have_one_name_each() {
        for variant in Variant::ALL {
            let views: Vec<&str> = of(variant).iter().filter_map(|kind| kind.view).map(|view| view.name).collect();
            assert!(views.iter().all(|name| views.iter().filter(|other| *other == name).count() == 1), "{variant:?}");
            let mut names: Vec<&str> = of(variant).iter().flat_map(|kind| kind.losses).flat_map(|term| term.names).copied().collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{variant:?}");
        }
    }

    #[test]
    fn terms_tell_which_models_have_them() {
        let terms = loss_terms(&[Variant::Popularity, Variant::Ple, Variant::Contrastive, Variant::Duia]);
        let titles: Vec<&str> = terms.iter().map(|term| term.title.as_str()).collect();
        assert_eq!(titles, ["Ranking loss", "Auxiliary loss", "Clustering loss", "Item clustering loss", "Behaviour loss", "Added loss"]);
        assert_eq!(terms[0].variants, [Variant::Ple, Variant::Contrastive, Variant::Duia]);
        assert_eq!((&terms[5].names, &terms[5].variants), (&vec!["loss_adaptation".to_string()], &vec![Variant::Contrastive]));
    }
}
