//! A run that goes on from a checkpoint is the run that never stopped, to the last bit; a checkpoint that does not fit is refused by
//! name.

#![cfg(not(target_family = "wasm"))]

mod common;

use std::io::{self, Cursor, Write};
use std::sync::Arc;

use common::block_on;
use common::training::{config, variants};
use duia::checkpoint::CheckpointError;
use duia::checkpoint::run::{Checkpoint, SaveError};
use duia::config::{CentreStep, Config};
use duia::data::generator::Generator;
use duia::training::{Keeper, Moment, RunOptions, run_with};
use duia::variants::{Variant, Variants};
use duia::wire::{DeviceChoice, Event, Failure};

/// Keeps a checkpoint of every `every`th step in memory, and stops where it is told to.
#[derive(Default)]
struct Memory {
    every: u64,
    kept: Vec<(u64, Vec<u8>)>,
    writing: Vec<u8>,
}

impl Keeper for Memory {
    fn wants(&mut self, step: u64, _moment: Moment) -> bool {
        step.is_multiple_of(self.every) && self.kept.last().is_none_or(|(last, _)| *last != step)
    }

    fn note(&self) -> String {
        "a note".into()
    }

    fn open(&mut self, _step: u64) -> io::Result<&mut dyn Write> {
        self.writing.clear();
        Ok(&mut self.writing)
    }

    fn close(&mut self, step: u64, outcome: Result<u64, SaveError>) {
        assert_eq!(outcome.unwrap(), self.writing.len() as u64);
        self.kept.push((step, self.writing.clone()));
    }
}

/// What a run told of itself, the bytes of its weights and its checkpoints.
struct Ran {
    measured: Vec<Event>,
    weights: Vec<(Variant, Vec<u8>)>,
    kept: Vec<(u64, Vec<u8>)>,
}

fn opened(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    Checkpoint::open(Box::new(Cursor::new(bytes.to_vec())), &mut |_, _| {})
}

fn ran(config: &Config, every: u64, from: Option<&[u8]>) -> Result<Ran, Failure> {
    let (mut measured, mut weights, mut memory) = (Vec::new(), Vec::new(), Memory { every, ..Memory::default() });
    let mut keep = |variant, bytes| weights.push((variant, bytes));
    let options = RunOptions {
        resume: from.map(|bytes| opened(bytes).unwrap()),
        keeper: Some(&mut memory),
        weights_out: Some(&mut keep),
        ..RunOptions::default()
    };
    let hear = |event: Event| {
        if matches!(event, Event::Losses { .. } | Event::Evaluation(_) | Event::Clusters(_) | Event::Reseeded { .. }) {
            measured.push(event);
        }
    };
    block_on(run_with(config.clone(), Arc::new(Generator::new(config)), DeviceChoice::Cpu, options, hear))?;
    Ok(Ran { measured, weights, kept: memory.kept })
}

/// Every trained model, two passes, centres that are born again, a streaming test.
fn all() -> Config {
    Config {
        variants: Variants(std::iter::once(Variant::Popularity).chain(variants()).collect()),
        rows: 1_500,
        passes: 2,
        probe_set: 32,
        evaluate_every: 5,
        reseed: true,
        reseed_expect: 2.0,
        streaming_test: true,
        ..config()
    }
}

/// NaN is equal to itself here.
fn bytes(event: &Event) -> Vec<u8> {
    duia::wire::to_bytes(event).unwrap()
}

#[test]
fn a_run_that_goes_on_is_the_run_that_never_stopped() {
    for config in [all(), Config { centre_step: CentreStep::Adam, variants: Variants(vec![Variant::Ple, Variant::DuiaItems]), ..all() }] {
        let whole = ran(&config, 7, None).unwrap();
        let reseeded = |event: &&Event| matches!(event, Event::Reseeded { first_fill: false, .. });
        assert!(whole.measured.iter().filter(reseeded).count() > 2, "clocks that matter");
        let (last, end) = whole.kept.last().unwrap();
        // In the first pass before the centres are filled, after, and in the second one.
        let steps: Vec<u64> = whole.kept.iter().map(|(step, _)| *step).collect();
        assert!(steps.len() > 5 && steps[0] > 4, "{steps:?}");
        for at in [0, steps.len() / 2, steps.len() - 1] {
            let (step, from) = &whole.kept[at];
            let rest = ran(&config, 7, Some(from)).unwrap();
            let differs = rest.measured.iter().zip(&whole.measured).find(|(got, expected)| bytes(got) != bytes(expected));
            assert!(differs.is_none() && rest.measured.len() == whole.measured.len(), "measured from step {step}: {differs:?}");
            for ((variant, expected), (other, got)) in whole.weights.iter().zip(&rest.weights) {
                assert!(variant == other && expected == got, "weights of {variant:?}, from step {step}");
            }
            // All of it, and not only what weights show: moments and clocks.
            if let Some((again, bytes)) = rest.kept.last() {
                assert_eq!(again, last);
                let (mut expected, mut got) = (opened(end).unwrap(), opened(bytes).unwrap());
                for variant in config.variants.0.iter().filter(|variant| variant.rule().is_none()) {
                    assert!(expected.state(*variant).unwrap() == got.state(*variant).unwrap(), "all of {variant:?}, from step {step}");
                }
            }
        }
    }
}

#[test]
fn a_checkpoint_says_what_it_is_and_holds_moments_and_clocks() {
    let config = Config { variants: Variants(vec![Variant::Ple, Variant::Duia]), ..all() };
    let whole = ran(&config, 7, None).unwrap();
    let (step, bytes) = &whole.kept[1];
    let mut checkpoint = opened(bytes).unwrap();
    let header = checkpoint.header().clone();
    assert_eq!((header.step, header.note.as_str(), &header.config), (*step, "a note", &config));
    assert!(header.score.unwrap() > 0.3 && header.pace.1 == step * config.batch as u64);
    let state = checkpoint.state(Variant::Duia).unwrap();
    for name in [
        "embeddings.moment_2",
        "network.ple.towers.layers.0.weight.moment_1",
        "network.ple.towers.layers.0.weight.moment_steps",
        "user_centres.clock",
        "user_behaviours",
    ] {
        assert!(state.arrays.contains_key(name), "no {name}");
    }
    assert_eq!(state.integers("network.ple.towers.layers.0.weight.moment_steps").unwrap(), [*step as i32]);
    // Any reader of the format reads it.
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    assert!(file.tensor("ple.embeddings.weight").is_ok());
    assert!(matches!(checkpoint.state(Variant::Uie), Err(CheckpointError::Variant { .. })));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let config = Config { variants: Variants(vec![Variant::Ple]), streaming_test: false, passes: 1, ..all() };
    let whole = ran(&config, 7, None).unwrap();
    let (_, good) = &whole.kept[0];
    let said = |bytes: &[u8]| match opened(bytes) {
        Ok(_) => "nothing".into(),
        Err(error) => error.to_string(),
    };

    // Any bit that flips is seen, wherever it is; and any end that is missing.
    for at in (0..good.len()).step_by(good.len() / 97) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        assert_ne!(said(&bad), "nothing", "byte {at}");
        assert_ne!(said(&good[..at]), "nothing", "cut at {at}");
    }
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    assert!(said(&bad).contains("damaged: its checksum is"), "{}", said(&bad));
    assert!(said(&good[..good.len() - 9]).contains("cut off"), "{}", said(&good[..good.len() - 9]));
    assert!(said(&[good.as_slice(), b"x"].concat()).contains("something was added"));
    assert!(said(b"").contains("damaged: it has 0 bytes"));
    let (_, weights) = &whole.weights[0];
    assert!(said(weights).contains("holds weights of one model; begin a new run from them by --weights-in"), "{}", said(weights));
    let version = String::from_utf8_lossy(good).find("\\\"format\\\":[1,").unwrap() + "\\\"format\\\":[".len();
    let mut later = good.clone();
    later[version] = b'7';
    assert!(said(&later).contains("does not read; go on with that one, or start a new run"), "{}", said(&later));

    let refused = |config: &Config| match ran(config, 7, Some(good)) {
        Ok(_) => panic!("it went on"),
        Err(failure) => failure.detail,
    };
    let detail = refused(&Config { learning_rate: 0.5, ..config.clone() });
    assert!(detail.contains("of another configuration: learning_rate is 0.003 there and 0.5 here"), "{detail}");
    let detail = refused(&Config { variants: Variants(vec![Variant::Uie]), ..config.clone() });
    assert!(detail.contains("variants is [\"ple\"] there") || detail.contains("variants is \"ple\" there"), "{detail}");
    let other: Arc<Generator> = Arc::new(Generator::new(&Config { seed: 99, ..config.clone() }));
    let options = RunOptions { resume: Some(opened(good).unwrap()), ..RunOptions::default() };
    let failure = block_on(run_with(config.clone(), other, DeviceChoice::Cpu, options, |_| {})).unwrap_err();
    assert!(failure.detail.contains("of other rows") && failure.detail.contains("--data"), "{failure:?}");
}
