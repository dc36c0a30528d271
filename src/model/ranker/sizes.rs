//! How many features and how many dense parameters a model has, before it is built.

use crate::config::Config;
use crate::data::{Behaviour, Side};
use crate::model::batch::{CANDIDATE_FIELDS, REQUEST_FIELDS};
use crate::model::component::{Adds, Base, Kind};
use crate::model::components;
use crate::model::components::enhancement;
use crate::model::layers::ple::PleSizes;
use crate::variants::Variant;

/// The features that every model has.
pub(crate) fn base(config: &Config) -> Base {
    let fields = REQUEST_FIELDS + config.profile_fields as usize;
    let of_candidate = CANDIDATE_FIELDS + config.item_fields as usize;
    Base { request: fields * config.embedding + Behaviour::COUNT, candidate: of_candidate * config.embedding }
}

/// What a model's components add to them.
pub(crate) fn adds(config: &Config, kinds: &[&Kind]) -> Adds {
    kinds.iter().map(|kind| (kind.adds)(config)).fold(Adds::default(), |sum, adds| sum + adds)
}

/// All features of a request and of a candidate.
pub(crate) fn inputs(config: &Config, kinds: &[&Kind]) -> [usize; 2] {
    let (base, Adds { request, candidate, sides: [users, items] }) = (base(config), adds(config, kinds));
    let m = config.memory_width();
    let fits = if enhancement::is_fitted(config, Side::Users) { users.count() } else { 0 };
    [
        base.request + request + users.count() * m + users.flags,
        base.candidate + candidate + fits + users.matches + items.count() * m + items.flags + items.matches,
    ]
}

/// PLE's sizes.
pub(crate) fn ple(config: &Config, kinds: &[&Kind]) -> PleSizes {
    let inputs = inputs(config, kinds).iter().sum();
    kinds.iter().fold(PleSizes::new(config), |sizes, kind| (kind.sizes)(sizes, inputs, &|other| dense_parameters(config, other)))
}

/// Dense parameters of a model: PLE's as configured, those of its components, gates and scales.
pub fn dense_parameters(run: &Config, variant: Variant) -> usize {
    let config = &run.of(variant);
    let kinds = components::of(variant);
    let own: usize = kinds.iter().map(|kind| (kind.parameters)(config, base(config))).sum();
    let sides = Side::BOTH.into_iter().zip(adds(config, &kinds).sides);
    let of_sides: usize = sides.map(|(side, vectors)| enhancement::parameters(config, side, vectors)).sum();
    PleSizes::new(config).parameters(inputs(config, &kinds).iter().sum()) + own + of_sides
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::data::Vocabulary;
    use crate::model::batch::Layout;
    use crate::model::ranker::Ranker;

    /// Parameters that learn: a gate's mask is a constant.
    fn learned(config: &Config, variant: Variant) -> usize {
        let layout = Layout::new(Vocabulary { users: 5, items: 20, categories: 3 }, config);
        let ranker = Ranker::new(config, variant, layout, &Device::flex());
        let masks = if config.specific_experts == 1 { 3 * 3 + 2 * 3 } else { unreachable!("the presets of this test") };
        ranker.dense_count() - masks
    }

    #[test]
    fn the_count_is_the_models_own() {
        for config in [Config::default(), Config { profile_fields: 3, item_fields: 2, ..Config::default() }] {
            for variant in [Variant::Ple, Variant::Uie, Variant::Duia, Variant::DuiaItems] {
                assert_eq!(dense_parameters(&config, variant), learned(&config, variant), "{variant:?}");
            }
        }
    }

    #[test]
    fn the_wider_ple_has_at_least_as_many_and_hardly_more() {
        let config = Config::default();
        let (wide, duia) = (learned(&config, Variant::Wide), learned(&config, Variant::Duia));
        assert!((duia..duia + duia / 8).contains(&wide), "{wide} and {duia}");
    }
}
