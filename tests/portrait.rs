//! The portrait of a user: what it says is so, what is added to their history counts, and the models do not notice it.

mod common;

use std::sync::Arc;

use common::block_on;
use common::training::tiny;
use duia::checkpoint;
use duia::config::Config;
use duia::data::generator::Generator;
use duia::training::{Comparison, device};
use duia::variants::{Variant, Variants};
use duia::view::{Glance, Portrait, Sitting};
use duia::wire::DeviceChoice;

const REPEAT: usize = 2;

fn config() -> Config {
    Config {
        rows: 2_048,
        batch: 128,
        probe_set: 64,
        variants: Variants(vec![Variant::Ple, Variant::Duia, Variant::CategoryRepeat, Variant::Truth]),
        ..tiny()
    }
}

fn comparison() -> Comparison {
    let config = config();
    let opened = block_on(device::open(DeviceChoice::Cpu, &config, &mut |_| {})).unwrap();
    Comparison::new(config.clone(), Arc::new(Generator::new(&config)), &opened.device, opened.watch, &mut |_| {}).unwrap()
}

fn portray(comparison: &mut Comparison, nth: u32, added: Option<u32>) -> Portrait {
    block_on(comparison.portray(Sitting { nth, added })).unwrap().expect("somebody in the probe set has a history")
}

/// How often each offer's category is in a history, counted here.
fn repeats(portrait: &Portrait, more: Option<u32>) -> Vec<f32> {
    let window: Vec<u32> = more.into_iter().chain(portrait.history.iter().map(|thing| thing.category)).take(config().history).collect();
    portrait.offers.iter().map(|offer| window.iter().filter(|&&category| category == offer.thing.category).count() as f32).collect()
}

#[test]
fn a_portrait_is_of_one_user_and_one_more_behaviour_counts() {
    let mut comparison = comparison();
    assert_eq!(portray(&mut comparison, 0, None).now.cluster, None, "no centre is filled yet");
    for _ in 0..8 {
        block_on(comparison.step(&mut |_| {})).unwrap();
    }
    for nth in 0..4 {
        let plain = portray(&mut comparison, nth, None);
        assert_eq!((plain.step, plain.then.is_none(), plain.offers.len()), (8, true, 8));
        assert_eq!(plain.history.len(), (plain.behaviours as usize).min(config().history));
        assert!(plain.offers[0].taken && plain.offers[1..].iter().all(|offer| !offer.taken));
        assert_eq!(plain.now.scores[REPEAT], repeats(&plain, None));
        let is_sound = |glance: &Glance| {
            let [centre, child] = glance.cluster.expect("the centres are filled");
            assert!(centre < 4 && child / 3 == centre, "{child} is no child of {centre}");
            glance.scores.iter().all(|scores| scores.len() == 8 && scores.iter().all(|score| score.is_finite()))
        };
        let more = portray(&mut comparison, nth, Some(5));
        assert_eq!((more.user, &more.now, &more.offers), (plain.user, &plain.now, &plain.offers), "what is stays");
        let then = more.then.as_ref().unwrap();
        assert_eq!(then.scores[REPEAT], repeats(&plain, Some(plain.offers[5].thing.category)));
        assert!(is_sound(&more.now) && is_sound(then));
        for trained in [0, 1] {
            assert_ne!(then.scores[trained], more.now.scores[trained], "the models see it");
            assert!(then.scores[trained].iter().all(|score| (0.0..=1.0).contains(score)));
        }
        assert_ne!(then.vector, more.now.vector);
    }
    let users: std::collections::HashSet<u32> = (0..4).map(|nth| portray(&mut comparison, nth, None).user).collect();
    assert!(users.len() > 1, "another place is another user: {users:?}");
    assert_eq!(portray(&mut comparison, 0, Some(99)).then, None, "an offer that there is not adds nothing");
}

#[test]
fn whoever_sits_for_a_portrait_changes_no_model() {
    let weights = |portraits: bool| {
        let mut comparison = comparison();
        for step in 0..8 {
            block_on(comparison.step(&mut |_| {})).unwrap();
            if portraits {
                portray(&mut comparison, step, Some(2));
            }
        }
        let all = block_on(comparison.weights()).unwrap();
        all.into_iter().map(|(_, bytes)| checkpoint::from_bytes(&bytes).unwrap().arrays).collect::<Vec<_>>()
    };
    assert_eq!(weights(false), weights(true));
}
