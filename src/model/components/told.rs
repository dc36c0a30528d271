//! Ceilings: a ranker that is told what the generator of a synthetic stream knows of whose tastes are alike. What it gains is all that
//! clusters could: the group itself, and, fairer, what the window tells of it.
//!
//! A group is a vector that the ranker's loss teaches, and told in the form in which the history is: the vector, and how much of the
//! candidate is in it.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::config::Config;
use crate::model::batch::{CANDIDATE_FIELDS, Told};
use crate::model::component::{Adds, Building, Component, Features, Found, Kind, Reads, of_fields};
use crate::model::export::{self, NoNodes};
use crate::model::layers::dense::Init;
use crate::model::layers::weights::{Parameters, Weights};
use crate::onnx::Graph;

/// Why a ceiling has no nodes.
const UNSERVED: NoNodes = NoNodes("it is told what only the generator of a synthetic stream knows, and no server does");

/// Deviation of the groups' vectors at the start.
const START: f64 = 0.1;

/// The user's planted group, the item's beside it, and what the window tells of the user's.
pub static KINDS: [Kind; 3] = [
    Kind {
        adds: of_user,
        parameters: |config, _| config.user_groups as usize * width(config),
        ..Kind::new("told-group", |building| users(building, |told| &told.group))
    },
    Kind {
        adds: of_user,
        parameters: |config, _| config.user_groups as usize * width(config),
        ..Kind::new("told-posterior", |building| users(building, |told| &told.posterior))
    },
    Kind {
        adds: |config| Adds { candidate: width(config) + 1, ..Adds::default() },
        parameters: |config, _| config.item_groups as usize * (width(config) + config.user_groups as usize),
        ..Kind::new("told-item-group", |building| {
            let (config, init) = (building.config, building.init);
            let (items, users) = (config.item_groups as usize, config.user_groups as usize);
            let vectors = Vectors::new(init, "told.items", [items, width(config)]);
            Box::new(ItemGroup {
                weights: Weights::new("told_items", Pairs { vectors, tastes: Vectors::new(init, "told.tastes", [users, items]) }),
            })
        })
    },
];

/// Columns of a candidate.
fn width(config: &Config) -> usize {
    CANDIDATE_FIELDS * config.embedding
}

fn of_user(config: &Config) -> Adds {
    Adds { request: width(config), candidate: CANDIDATE_FIELDS, ..Adds::default() }
}

fn users(building: &Building<'_>, which: fn(&Told) -> &Tensor<2>) -> Box<dyn Component> {
    let config = building.config;
    let vectors = Vectors::new(building.init, "told.users", [config.user_groups as usize, width(config)]);
    Box::new(UserGroup { weights: Weights::new("told_users", vectors), which })
}

/// A vector a group.
#[derive(Module, Debug)]
pub struct Vectors {
    /// `[1, groups, columns]`
    pub rows: Param<Tensor<3>>,
}

impl Vectors {
    fn new(init: &Init, name: &str, [groups, columns]: [usize; 2]) -> Self {
        Self { rows: init.normal(name, [1, groups, columns], START) }
    }

    fn groups(&self) -> usize {
        self.rows.dims()[1]
    }

    /// What is expected under probabilities of groups `[n, groups]`.
    fn expected(&self, groups: Tensor<2>) -> Tensor<2> {
        groups.matmul(self.rows.val().squeeze_dim(0))
    }
}

/// What is told of groups, `[n, groups]`; nothing at all where nobody knows, as in a benchmark's made-up batch.
fn groups(reads: &Reads<'_>, which: fn(&Told) -> &Tensor<2>, shape: [usize; 2]) -> Tensor<2> {
    let nothing = || Tensor::zeros(shape, &reads.dense.counts.device());
    reads.lift(reads.dense.told.as_ref().map_or_else(nothing, |told| which(told).clone()))
}

/// Item groups' vectors, and what each group of users thinks of each group of items.
#[derive(Module, Debug)]
pub struct Pairs {
    /// Of items' groups.
    pub vectors: Vectors,
    /// `[1, groups, item groups]`
    pub tastes: Vectors,
}

/// What is told of users.
pub struct UserGroup {
    weights: Weights<Vectors>,
    which: fn(&Told) -> &Tensor<2>,
}

impl UserGroup {
    /// The groups' vectors.
    pub fn module(&self) -> &Vectors {
        self.weights.module()
    }
}

impl Component for UserGroup {
    fn weights(&self) -> Option<&dyn Parameters> {
        Some(&self.weights)
    }

    fn weights_mut(&mut self) -> Option<&mut dyn Parameters> {
        Some(&mut self.weights)
    }

    fn forward(&self, reads: &Reads<'_>, _found: &mut Found, features: &mut Features) {
        let candidates = reads.pairs();
        let ([samples, d], [requests, _]) = (candidates.dims(), reads.leaves.requests.dims());
        let module = self.weights.read(reads.is_training());
        let vectors = module.expected(groups(reads, self.which, [requests, module.groups()]));
        let product = candidates.reshape([requests, samples / requests, d]) * vectors.clone().unsqueeze_dim(1);
        features.request.push(vectors);
        features.candidate.push(of_fields(product, samples));
    }

    fn export(
        &self,
        _graph: &mut Graph,
        _reads: &export::Reads,
        _found: &mut export::Found,
        _features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        Err(UNSERVED)
    }
}

/// What is told of items beside the user's group.
pub struct ItemGroup {
    weights: Weights<Pairs>,
}

impl ItemGroup {
    /// The groups' vectors and tastes.
    pub fn module(&self) -> &Pairs {
        self.weights.module()
    }
}

impl Component for ItemGroup {
    fn weights(&self) -> Option<&dyn Parameters> {
        Some(&self.weights)
    }

    fn weights_mut(&mut self) -> Option<&mut dyn Parameters> {
        Some(&mut self.weights)
    }

    fn forward(&self, reads: &Reads<'_>, _found: &mut Found, features: &mut Features) {
        let pairs = self.weights.read(reads.is_training());
        let ([samples, _], [requests, _]) = (reads.leaves.candidates.dims(), reads.leaves.requests.dims());
        let items = pairs.vectors.groups();
        let group = groups(reads, |told| &told.group, [requests, pairs.tastes.groups()]);
        let item_group = groups(reads, |told| &told.item_group, [samples, items]);
        let taste = pairs.tastes.expected(group).unsqueeze_dim::<3>(1) * item_group.clone().reshape([requests, samples / requests, items]);
        features.candidate.push(pairs.vectors.expected(item_group));
        features.candidate.push(taste.reshape([samples, items]).sum_dim(1));
    }

    fn export(
        &self,
        _graph: &mut Graph,
        _reads: &export::Reads,
        _found: &mut export::Found,
        _features: &mut export::Features,
    ) -> Result<(), NoNodes> {
        Err(UNSERVED)
    }
}
