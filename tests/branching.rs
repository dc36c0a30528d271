//! A branch of a run: it goes on from a checkpoint under other settings, and what cannot change under way is refused by name.

#![cfg(not(target_family = "wasm"))]

mod common;

use std::io::Cursor;
use std::sync::Arc;

use common::block_on;
use common::training::{config, variants};
use duia::checkpoint::CheckpointError;
use duia::checkpoint::run::Checkpoint;
use duia::config::{CentreStep, Config, UNDER_WAY};
use duia::data::Side;
use duia::data::generator::Generator;
use duia::training::{Comparison, device, is_measured};
use duia::variants::{Variant, Variants};
use duia::wire::{DeviceChoice, Event};

/// The step of the mark: all centres are filled.
const MARK: u64 = 8;
/// Steps after it that are looked at.
const MORE: u64 = 14;

/// Every trained model, with centres that are born again.
fn all() -> Config {
    Config {
        variants: Variants(variants()),
        rows: 1_500,
        probe_set: 32,
        evaluate_every: 5,
        reseed: true,
        reseed_expect: 2.0,
        reseed_until: 1.0,
        ..config()
    }
}

fn begun(config: &Config) -> Comparison {
    let opened = block_on(device::open(DeviceChoice::Cpu, config, &mut |_| {})).unwrap();
    Comparison::new(config.clone(), Arc::new(Generator::new(config)), &opened.device, opened.watch, &mut |_| {}).unwrap()
}

/// Steps to `end`, and gives what was measured, with the losses of each step.
fn stepped(comparison: &mut Comparison, end: u64) -> Vec<Event> {
    let mut measured = Vec::new();
    let mut hear = |event: Event| {
        if is_measured(&event) {
            measured.push(event);
        }
    };
    while comparison.steps()[0] < end {
        block_on(comparison.step(&mut hear)).unwrap();
        block_on(comparison.look(Side::Users, &mut hear)).unwrap();
    }
    measured
}

/// A checkpoint, with what was measured. Its header holds times, which no two runs share.
fn saved(comparison: &Comparison, measured: &[Event]) -> Vec<u8> {
    let mut bytes = Vec::new();
    block_on(comparison.save(measured, "", &mut bytes)).unwrap();
    bytes
}

fn opened(bytes: &[u8]) -> Checkpoint {
    Checkpoint::open(Box::new(Cursor::new(bytes.to_vec())), &mut |_, _| {}).unwrap()
}

/// NaN is equal to itself here.
fn bytes(events: &[Event]) -> Vec<Vec<u8>> {
    events.iter().map(|event| duia::wire::to_bytes(event).unwrap()).collect()
}

/// A run to its mark and on; its past, the mark, what came after it, and all that it was at the end.
struct Whole {
    past: Vec<Event>,
    mark: Vec<u8>,
    rest: Vec<Event>,
    end: Vec<u8>,
}

fn whole(config: &Config) -> Whole {
    let mut comparison = begun(config);
    let past = stepped(&mut comparison, MARK);
    let mark = saved(&comparison, &past);
    let rest = stepped(&mut comparison, MARK + MORE);
    let end = saved(&comparison, &[]);
    Whole { past, mark, rest, end }
}

/// The past of a branch, what came after it, and all that it was at the end.
type Branch = (Vec<Event>, Vec<Event>, Vec<u8>);

/// A branch from a mark under a configuration.
fn branched(config: &Config, mark: &[u8]) -> Result<Branch, CheckpointError> {
    let mut comparison = begun(config);
    let past = comparison.branch(&mut opened(mark))?;
    assert_eq!(comparison.steps()[0], MARK);
    let rest = stepped(&mut comparison, MARK + MORE);
    let end = saved(&comparison, &[]);
    Ok((past, rest, end))
}

/// The models whose tensors differ between two checkpoints.
fn differing(config: &Config, one: &[u8], other: &[u8]) -> Vec<Variant> {
    let (mut one, mut other) = (opened(one), opened(other));
    let differs = |variant: &Variant| one.state(*variant).unwrap().arrays != other.state(*variant).unwrap().arrays;
    config.variants.0.iter().copied().filter(differs).collect()
}

/// The losses of a step.
fn losses(events: &[Event], at: u64) -> Vec<u8> {
    let told = events.iter().find(|event| matches!(event, Event::Losses { step, .. } if *step == at)).unwrap();
    duia::wire::to_bytes(told).unwrap()
}

#[test]
fn a_branch_without_a_change_is_the_run_that_never_stopped() {
    for config in [all(), Config { centre_step: CentreStep::Adam, variants: Variants(vec![Variant::Duia, Variant::DuiaItems]), ..all() }] {
        let whole = whole(&config);
        let (past, rest, end) = branched(&config, &whole.mark).unwrap();
        assert!(bytes(&past) == bytes(&whole.past) && past.len() > 10);
        assert!(bytes(&rest) == bytes(&whole.rest));
        assert_eq!(differing(&config, &end, &whole.end), [], "all of it, moments and clocks too");
    }
}

#[test]
fn a_branch_with_another_learning_rate_keeps_the_past_and_the_next_batch_and_parts_after_it() {
    let before = all();
    let whole = whole(&before);
    let after = Config { learning_rate: 3.0 * before.learning_rate, ..before.clone() };
    let (past, rest, end) = branched(&after, &whole.mark).unwrap();
    assert!(bytes(&past) == bytes(&whole.past));
    // Losses are of before a step's move: equal ones on equal weights are of the same batch.
    assert!(losses(&rest, MARK + 1) == losses(&whole.rest, MARK + 1));
    assert!(losses(&rest, MARK + 2) != losses(&whole.rest, MARK + 2));
    assert_eq!(differing(&before, &end, &whole.end), before.variants.0);
}

/// Another value of each setting that can change under way.
fn another(key: &str) -> &'static str {
    match key {
        "learning_rate" => "0.02",
        "positive_weight" => "constant",
        "rho" | "lambda" | "eta" => "0.3",
        "similarity" => "dot",
        "centred" | "enhancement_centred" | "reseed" => "false",
        "centre_step" => "sgd",
        "sigma_in_graph" | "centres_from_main" => "true",
        "commit" => "1",
        "refresh_every" => "2",
        "reseed_expect" => "500",
        "reseed_until" => "0",
        "mean_rate" => "0.9",
        "stop_rule" => "per-level",
        "enhancement_dropout" => "0.7",
        "contrastive_weight" | "transfer_weight" => "7",
        "evaluate_every" => "3",
        _ => panic!("no other value of {key}"),
    }
}

#[test]
fn every_model_branches_by_every_setting_that_can_change_and_each_acts() {
    let before = all();
    let whole = whole(&before);
    for key in UNDER_WAY {
        let after = before.with(key, another(key)).unwrap().unwrap();
        assert_ne!(after, before, "{key}");
        let (past, _, end) = branched(&after, &whole.mark).unwrap_or_else(|error| panic!("{key}: {error}"));
        assert!(bytes(&past) == bytes(&whole.past), "{key}");
        let parted = differing(&before, &end, &whole.end);
        // How often is measured moves nothing.
        assert_eq!(parted.is_empty(), key == "evaluate_every", "{key}: {parted:?}");
    }
}

#[test]
fn adam_on_the_centres_may_be_left_under_way() {
    let adam = Config { centre_step: CentreStep::Adam, variants: Variants(vec![Variant::Duia, Variant::DuiaItems]), ..all() };
    let whole = whole(&adam);
    let mean = Config { centre_step: CentreStep::Mean, ..adam.clone() };
    let (_, _, end) = branched(&mean, &whole.mark).unwrap();
    assert_eq!(differing(&adam, &end, &whole.end), adam.variants.0);
    // And it leaves nothing of Adam behind that a later mark would hold.
    assert!(opened(&end).state(Variant::Duia).unwrap().arrays.keys().all(|name| !name.starts_with("user_centres.moment")));
}

#[test]
fn what_cannot_change_under_way_is_refused_by_name() {
    let before = Config { variants: Variants(vec![Variant::Ple, Variant::Duia]), ..all() };
    let whole = whole(&before);
    let fixed = [
        ("seed", "8"),
        ("variants", "ple"),
        ("history", "9"),
        ("passes", "2"),
        ("negatives", "popular"),
        ("batch", "32"),
        ("embedding", "8"),
        ("cluster_share", "0.5"),
        ("warm_up", "5"),
        ("centre_start", "random"),
        ("centre_step", "adam"),
        ("memory_start", "zero"),
        ("enhancement_scale", "2"),
        ("enhancement_norm", "false"),
        ("probe_set", "64"),
        ("streaming_test", "true"),
    ];
    for (key, value) in fixed {
        let after = before.with(key, value).unwrap().unwrap();
        assert_ne!(after, before, "{key}");
        let refused = opened(&whole.mark).header().require_branch(&after).unwrap_err();
        assert_eq!(refused, CheckpointError::Branch { keys: key.into() });
    }
    let after = Config { history: 9, learning_rate: 0.02, ..before };
    let refused = branched(&after, &whole.mark).unwrap_err().to_string();
    assert!(refused.starts_with("a run cannot change history under way: "), "{refused}");
}
