//! The dense parameters of a variant, and what each part contributes to the ranker's features.

use burn::module::Module;
use burn::tensor::Device;

use super::auxiliary::Auxiliary;
use super::batch::{CANDIDATE_FIELDS, REQUEST_FIELDS};
use super::contrastive::Contrastive;
use super::dense::{Init, Mlp};
use super::enhancement::Enhancement;
use super::parts::Parts;
use super::ple::{Ple, PleSizes};
use super::transfer::Transfer;
use crate::config::Config;
use crate::data::Behaviour;
use crate::data::protocol::TASKS;
use crate::variants::Variant;

/// Levels of every memory.
pub const LEVELS: usize = 2;

/// The dense parameters of a variant.
#[derive(Module, Debug)]
pub struct Network {
    /// The ranker.
    pub ple: Ple,
    /// The towers, in variants that cluster.
    pub auxiliary: Option<Auxiliary>,
    /// The user side's generalization layer.
    pub users: Option<Enhancement>,
    /// The item side's generalization layer.
    pub items: Option<Enhancement>,
    /// The perceptron of PLE with CL.
    pub contrastive: Option<Contrastive>,
    /// The tower of PLE with TL.
    pub transfer: Option<Transfer>,
}

/// Vectors that a variant's memories give to one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vectors {
    /// Those that pass a gate.
    pub gated: usize,
    /// Those that do not.
    pub plain: usize,
    /// Bits beside them: stopped, has a history with centres.
    pub flags: usize,
}

impl Vectors {
    /// Of the user side.
    pub fn of_users(parts: Parts) -> Self {
        let (lends, behaves) = (usize::from(parts.uie.is_some() || parts.towers), usize::from(parts.upbe));
        let history = usize::from(parts.uhse);
        Self { gated: LEVELS * (lends + behaves), plain: LEVELS * history, flags: lends + history }
    }

    /// Of the item side: what centres lend, and the memory of behaviours.
    pub fn of_items(parts: Parts) -> Self {
        if parts.items { Self { gated: 2 * LEVELS, plain: 0, flags: 1 } } else { Self::default() }
    }

    /// All of them.
    pub fn count(self) -> usize {
        self.gated + self.plain
    }
}

/// How many features a variant has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inputs {
    /// Those of a request that every variant has; the user tower has as many.
    request: usize,
    /// Those of a candidate that every variant has.
    candidate: usize,
    /// What the variant adds to a request's.
    more_request: usize,
    /// What the variant adds to a candidate's.
    more_candidate: usize,
}

impl Inputs {
    fn new(config: &Config, parts: Parts) -> Self {
        let (d, m) = (config.embedding, config.memory_width());
        let (users, items) = (Vectors::of_users(parts), Vectors::of_items(parts));
        Self {
            request: REQUEST_FIELDS * d + Behaviour::COUNT,
            candidate: CANDIDATE_FIELDS * d,
            more_request: users.count() * m
                + users.flags
                + m * usize::from(parts.transfer)
                + m * usize::from(parts.wide)
                + 2 * d * usize::from(parts.long),
            more_candidate: users.count()
                + items.count() * m
                + items.flags
                + LEVELS * (usize::from(parts.uhse) + usize::from(parts.items))
                + CANDIDATE_FIELDS * usize::from(parts.long),
        }
    }

    fn shared(self) -> usize {
        self.request + self.candidate
    }

    fn both(self) -> [usize; 2] {
        [self.request + self.more_request, self.candidate + self.more_candidate]
    }
}

impl Network {
    /// The starting network of a variant.
    pub fn new(config: &Config, variant: Variant, device: &Device) -> Self {
        let init = Init::new(config.seed, device);
        let (parts, m) = (Parts::of(variant), config.memory_width());
        let inputs = Inputs::new(config, parts);
        // Items' vectors are not fitted: in training a fit to the user had the items' embeddings lean on it, and it cost .0010 to .0020.
        let side = |name: &str, Vectors { gated, plain, .. }: Vectors, fitted: bool| {
            (gated + plain > 0).then(|| Enhancement::new(&init, name, gated, plain, m, fitted, config.enhancement_scale))
        };
        Self {
            ple: Ple::new(&init, &sizes(config, parts), inputs.both(), inputs.shared()),
            auxiliary: parts.has_towers().then(|| {
                let of_item = inputs.candidate + usize::from(config.item_count);
                Auxiliary::new(&init, &config.auxiliary.0, inputs.request, of_item)
            }),
            users: side("users", Vectors::of_users(parts), true),
            items: side("items", Vectors::of_items(parts), false),
            contrastive: parts.contrastive.then(|| Contrastive::new(&init, config.embedding)),
            transfer: parts.transfer.then(|| Transfer::new(&init, inputs.request, &config.auxiliary.0)),
        }
    }
}

/// The ranker's sizes: as configured, or widened step by step until a variant without memories has at least as many dense
/// parameters as DUIA.
fn sizes(config: &Config, parts: Parts) -> PleSizes {
    let scaled = |sixteenths: usize| PleSizes {
        tasks: TASKS,
        specific: config.specific_experts,
        shared: config.shared_experts,
        levels: [&config.expert_1, &config.expert_2].map(|widths| widths.0.iter().map(|w| w * sixteenths / 16).collect()).to_vec(),
        tower: config.tower.0.clone(),
    };
    if !parts.wide {
        return scaled(16);
    }
    let inputs: usize = Inputs::new(config, parts).both().iter().sum();
    let wanted = dense_parameters(config, Parts::of(Variant::Duia));
    (16..).map(scaled).find(|sizes| sizes.parameters(inputs) >= wanted).unwrap_or_else(|| scaled(16))
}

/// Dense parameters of a variant without adaptations: ranker, towers, gates and scales.
fn dense_parameters(config: &Config, parts: Parts) -> usize {
    let (inputs, m) = (Inputs::new(config, parts), config.memory_width());
    let tower = |from: usize| Mlp::parameters(from, &config.auxiliary.0);
    let towers = tower(inputs.request) + tower(inputs.candidate + usize::from(config.item_count));
    let gate = (2 * m + 1) * m + (m + 1) * m;
    let side = |vectors: Vectors, fits: usize| vectors.gated * gate + vectors.count() * (m + fits);
    let ranker = sizes(config, Parts { wide: false, ..parts }).parameters(inputs.both().iter().sum());
    ranker + towers * usize::from(parts.has_towers()) + side(Vectors::of_users(parts), 1) + side(Vectors::of_items(parts), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameters that learn: a gate's mask is a constant.
    fn learned(config: &Config, variant: Variant) -> usize {
        let network = Network::new(config, variant, &Device::flex());
        let masks = if config.specific_experts == 1 { 3 * 3 + 2 * 3 } else { unreachable!("the presets of this test") };
        network.num_params() - masks
    }

    #[test]
    fn the_count_is_the_networks_own() {
        let config = Config::default();
        for variant in [Variant::Ple, Variant::Uie, Variant::Duia, Variant::DuiaItems] {
            assert_eq!(dense_parameters(&config, Parts::of(variant)), learned(&config, variant), "{variant:?}");
        }
    }

    #[test]
    fn the_wider_ple_has_at_least_as_many_and_hardly_more() {
        let config = Config::default();
        let (wide, duia) = (learned(&config, Variant::Wide), learned(&config, Variant::Duia));
        assert!((duia..duia + duia / 8).contains(&wide), "{wide} and {duia}");
    }
}
