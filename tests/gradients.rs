//! Who receives whose gradient: every '-' of the table in `model::ranker` is an exact zero, every 'x' is not, in every
//! variant that is trained.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};
use common::training::{Trained, config, differing, variants};
use common::*;
use duia::config::{CentreStart, Config, MemoryStart};
use duia::data::Side;
use duia::model::batch::DeviceBatch;
use duia::model::components::auxiliary::AuxiliaryModel;
use duia::model::components::contrastive::ContrastiveLearning;
use duia::model::components::enhancement::EnhancementOf;
use duia::model::components::history::History;
use duia::model::components::poso::PosoTowers;
use duia::model::components::told::{ItemGroup, UserGroup};
use duia::model::components::transfer::TransferLearning;
use duia::model::components::uhse::Uhse;
use duia::model::components::upbe::Upbe;
use duia::model::ranker::{Graph, Ranker};
use duia::variants::Variant;

/// Which loss is followed back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    Mtl,
    Auxiliary,
    Adaptation,
}

/// How far a loss reaches into a part.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reach {
    /// Every gradient is an exact zero, or there is none.
    Nothing,
    /// Some parameters have a gradient and others have none: neither an 'x' nor a '-'.
    Some,
    /// Every parameter has a gradient.
    All,
}

impl Reach {
    fn of(gradients: &[Option<Tensor<1>>]) -> Self {
        let felt = |gradient: &Option<Tensor<1>>| gradient.clone().is_some_and(|g| g.abs().sum().into_scalar::<f32>() != 0.0);
        match gradients.iter().filter(|gradient| felt(gradient)).count() {
            0 => Self::Nothing,
            count if count == gradients.len() => Self::All,
            _ => Self::Some,
        }
    }
}

/// How far gradients reach into the parameters of a part.
fn reached<M: Module>(part: &M, gradients: &mut Gradients) -> Reach {
    struct Each<'a>(&'a GradientsParams, Vec<Option<Tensor<1>>>);
    impl burn::module::ModuleVisitor for Each<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            if param.val().is_require_grad() {
                self.1.push(self.0.get::<D>(param.id).map(|gradient| gradient.flatten(0, D - 1)));
            }
        }
    }
    let gradients = GradientsParams::from_module(gradients, part);
    let mut each = Each(&gradients, Vec::new());
    part.visit(&mut each);
    Reach::of(&each.1)
}

/// A ranker whose centres and memories are all in use, and the next batch.
fn ready(config: &Config, variant: Variant) -> (Trained, DeviceBatch) {
    let mut trained = Trained::new(config, variant);
    (0..2).for_each(|_| trained.step());
    let batch = trained.next();
    let batch = trained.load(batch);
    (trained, batch)
}

/// The parts of a variant and how far a loss reaches into them.
fn reaches(ranker: &Ranker, graph: Graph, of: Of) -> BTreeMap<&'static str, Reach> {
    let loss_named = |name: &str| graph.loss_named(name).unwrap().value.clone();
    let loss = match of {
        Of::Mtl => graph.mtl.clone(),
        Of::Auxiliary => loss_named("loss_auxiliary"),
        Of::Adaptation => loss_named("loss_adaptation"),
    };
    let mut gradients = loss.backward();
    let leaf = |tensor: &Tensor<2>| Reach::of(&[tensor.grad(&gradients).map(|gradient| gradient.flatten(0, 1))]);
    let leaves = &graph.leaves;
    let mut all = BTreeMap::from([("candidates", leaf(&leaves.candidates)), ("requests", leaf(&leaves.requests))]);
    all.extend(leaves.views.iter().map(|(view, rows)| (*view, leaf(rows))));
    let rows = [("user vectors", leaves.own("user_vectors")), ("item vectors", leaves.own("item_vectors"))];
    all.extend(rows.into_iter().filter_map(|(name, there)| Some((name, leaf(there?)))));
    if let Some(interest) = graph.interest(Side::Users) {
        all.insert("user centres", Reach::of(&[interest.grad(&gradients).map(|gradient| gradient.flatten(0, 2))]));
    }
    all.insert("ple", reached(ranker.ple(), &mut gradients));
    if let Some(model) = ranker.parts::<AuxiliaryModel>().next() {
        all.insert("towers", reached(model.towers(), &mut gradients));
    }
    // A side without gates and scales has nothing to learn: the items' under the literal reading.
    for enhancement in ranker.parts::<EnhancementOf>().filter(|enhancement| enhancement.module().num_params() > 0) {
        let name = if enhancement.side() == Side::Users { "users' gates" } else { "items' gates" };
        all.insert(name, reached(enhancement.module(), &mut gradients));
    }
    if let Some(history) = ranker.parts::<History>().next() {
        all.insert("history", reached(history.module(), &mut gradients));
    }
    if let Some(uhse) = ranker.parts::<Uhse>().next() {
        all.insert("uhse", reached(uhse.module(), &mut gradients));
    }
    if let Some(told) = ranker.parts::<UserGroup>().next() {
        all.insert("told users", reached(told.module(), &mut gradients));
    }
    if let Some(told) = ranker.parts::<ItemGroup>().next() {
        all.insert("told items", reached(told.module(), &mut gradients));
    }
    if let Some(learning) = ranker.parts::<ContrastiveLearning>().next() {
        all.insert("contrastive network", reached(learning.module(), &mut gradients));
    }
    if let Some(poso) = ranker.parts::<PosoTowers>().next() {
        all.insert("poso", reached(poso.module(), &mut gradients));
    }
    if let Some(learning) = ranker.parts::<TransferLearning>().next() {
        all.insert("transfer network", reached(learning.module(), &mut gradients));
    }
    all
}

/// What a loss reaches of what a variant has.
fn expected(has: &BTreeMap<&'static str, Reach>, variant: Variant, of: Of) -> BTreeSet<&'static str> {
    let wanted: &[&str] = match of {
        // PLE with TL feeds F(v) to the ranker, so its loss teaches F too.
        Of::Mtl => &[
            "candidates",
            "requests",
            "window",
            "whole",
            "history",
            "uhse",
            "told users",
            "told items",
            "user vectors",
            "item vectors",
            "ple",
            "users' gates",
            "items' gates",
            "transfer network",
            "poso",
        ],
        Of::Auxiliary => &["towers"],
        Of::Adaptation if variant.has("contrastive") => &["requests", "contrastive", "contrastive network"],
        Of::Adaptation => &["requests", "transfer", "transfer network"],
    };
    // PLE with TL feeds its view to the ranker too, behind F.
    let history = (of == Of::Mtl && variant.has("transfer")).then_some("transfer");
    wanted.iter().copied().chain(history).filter(|name| has.contains_key(name)).collect()
}

fn assert_table(config: &Config, variant: Variant, of: Of, more: &[&'static str]) {
    let (trained, batch) = ready(config, variant);
    let got = reaches(trained.ranker(), trained.ranker().graph(&batch), of);
    let mut wanted = expected(&got, variant, of);
    wanted.extend(more);
    for (name, reach) in &got {
        let expected = if wanted.contains(name) { Reach::All } else { Reach::Nothing };
        assert_eq!(*reach, expected, "{of:?} in {variant:?}: {name}");
    }
}

#[test]
fn the_rankers_loss_reaches_everything_but_towers_and_memories() {
    variants().into_iter().for_each(|variant| assert_table(&config(), variant, Of::Mtl, &[]));
}

#[test]
fn the_auxiliary_loss_reaches_the_towers_alone() {
    let with_towers = variants().into_iter().filter(|variant| variant.has("auxiliary"));
    with_towers.for_each(|variant| assert_table(&config(), variant, Of::Auxiliary, &[]));
}

#[test]
fn the_adaptations_reach_their_own_network_and_the_users_embeddings() {
    [Variant::Contrastive, Variant::Transfer].into_iter().for_each(|variant| assert_table(&config(), variant, Of::Adaptation, &[]));
}

#[test]
fn only_the_option_lets_the_rankers_loss_reach_centres() {
    let through = Config { centres_from_main: true, ..config() };
    for variant in [Variant::Uie, Variant::DuiaItems] {
        assert_table(&through, variant, Of::Mtl, &["user centres"]);
        assert_table(&through, variant, Of::Auxiliary, &[]);
    }
}

#[test]
fn backward_gives_the_gradients_of_the_whole_loss_to_every_leaf() {
    for variant in variants() {
        let (trained, batch) = ready(&config(), variant);
        let gradients = trained.ranker().backward(&trained.ranker().graph(&batch));
        let leaf = |own: &Tensor<2>, all: &burn::tensor::Gradients| {
            own.grad(all).map_or_else(|| vec![0.0; own.shape().num_elements()], |gradient| block_on(read(gradient)))
        };
        // The same batch on a graph of its own: a backward pass uses its graph up.
        let graph = trained.ranker().graph(&batch);
        let all = graph.loss().backward();
        assert_eq!(block_on(read(gradients.leaves.requests.clone())), leaf(&graph.leaves.requests, &all), "{variant:?}");
        assert_eq!(block_on(read(gradients.leaves.candidates.clone())), leaf(&graph.leaves.candidates, &all));
        let (got, own) = (&gradients.leaves, &graph.leaves);
        let tables = ["user_vectors", "item_vectors"].map(|name| (got.own(name), own.own(name)));
        let views = got.views.iter().zip(&own.views).map(|((_, got), (_, own))| (Some(got), Some(own)));
        for (got, own) in views.chain(tables) {
            assert_eq!(got.map(|got| block_on(read(got.clone()))), own.map(|own| leaf(own, &all)), "{variant:?}");
        }
    }
}

/// What two runs that differ in a weight of Eq. 15 differ in, so many steps after the fill.
fn difference(variant: Variant, steps: usize, other: Config) -> Vec<&'static str> {
    let after = |config: &Config| {
        let mut trained = Trained::new(config, variant);
        (0..steps).for_each(|_| trained.step());
        trained.state()
    };
    differing(&after(&config()), &after(&other))
}

#[test]
fn a_clustering_loss_moves_its_own_memory_and_nothing_else() {
    // Random centres, and a memory that needs none, learn from the first step on, and then everything differs after a few.
    let later = |variant: &Variant| config().of(*variant).centre_start == CentreStart::Data && !variant.has("life");
    for variant in variants().into_iter().filter(later) {
        let learned = variant.has("user-centres");
        let own = |there: bool, names: &[&'static str]| if there { names.to_vec() } else { Vec::new() };
        assert_eq!(difference(variant, 1, Config { rho: 0.2, ..config() }), own(learned, &["user centres"]), "{variant:?}");
        let centres = own(variant.has_item_centres(), &["item centres"]);
        assert_eq!(difference(variant, 1, Config { eta: 0.2, ..config() }), centres, "{variant:?}");
        // The first touches make a mean, whatever lambda is, unless it moves faster than a mean would: here from the second on.
        let other = Config { lambda: 0.5, ..config() };
        assert_eq!(difference(variant, 1, other.clone()), own(false, &[]), "{variant:?}");
        let memories = ["item behaviours", "user behaviours"];
        let second = difference(variant, 2, other.clone());
        assert!(second.iter().all(|moved| memories.contains(moved)), "{variant:?}: {second:?}");
        let later = difference(variant, 4, other);
        assert_eq!(memories.map(|memory| later.contains(&memory)), [variant.has("item-upbe"), variant.has("upbe")], "{variant:?}");
    }
}

#[test]
fn without_their_weights_no_loss_moves_a_centre() {
    for variant in variants() {
        let still = Config { rho: 0.0, eta: 0.0, ..config() };
        let mut trained = Trained::new(&still, variant);
        let before = trained.state();
        trained.step();
        let moved = differing(&before, &trained.state());
        assert!(!moved.contains(&"user centres") && !moved.contains(&"item centres"), "{variant:?}: {moved:?}");
        assert!(moved.contains(&"network") && moved.contains(&"embeddings"));
    }
}

/// The columns of L_MTL, L_aux, uie and uhse in the row of the memories of behaviours: they are touched, and stay exactly what they
/// were.
#[test]
fn without_lambda_nothing_moves_a_memory_of_behaviours() {
    for variant in variants().into_iter().filter(|variant| variant.has("upbe") || variant.has("life")) {
        let still = Config { lambda: 0.0, rho: 0.3, eta: 0.3, memory_start: MemoryStart::Zero, ..config() };
        let mut trained = Trained::new(&still, variant);
        (0..4).for_each(|_| trained.step());
        let width = 2 * still.memory_width() + 1;
        for side in [Side::Users, Side::Items] {
            let Some(behaviours) = trained.ranker().parts::<Upbe>().find(|upbe| upbe.side() == side).map(Upbe::behaviours) else {
                continue;
            };
            let rows = block_on(read(behaviours.rows()));
            assert!(rows.chunks(width).any(|row| row[width - 1] > 1.0), "{variant:?}, {side:?}: some were touched again");
            assert!(rows.chunks(width).all(|row| row[..width - 1].iter().all(|&x| x == 0.0)), "{variant:?}, {side:?}");
        }
    }
}

#[test]
fn the_option_moves_centres_of_both_sides_by_the_rankers_loss() {
    let still = Config { rho: 0.0, eta: 0.0, centres_from_main: true, ..config() };
    let mut trained = Trained::new(&still, Variant::DuiaItems);
    let before = trained.state();
    trained.step();
    let moved = differing(&before, &trained.state());
    assert!(moved.contains(&"user centres") && moved.contains(&"item centres"), "{moved:?}");
}

#[test]
fn the_commitment_option_moves_the_users_tower_alone() {
    let (committed, batch) = ready(&Config { commit: 0.5, ..config() }, Variant::Uie);
    let graph = committed.ranker().graph(&batch);
    assert!(committed.ranker().memory(Side::Users).unwrap().is_filled());
    let plain = block_on(read(graph.mtl.clone() + graph.loss_named("loss_auxiliary").unwrap().value.clone()))[0];
    assert!(block_on(read(graph.loss()))[0] > plain);
    let moved = difference(Variant::Uie, 1, Config { commit: 0.5, ..config() });
    assert_eq!(moved, ["network"], "embeddings and centres do not feel it");
}
