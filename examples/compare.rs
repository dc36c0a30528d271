//! Trains PLE and DUIA on the same synthetic stream and prints the AUC of both, with the paired difference.
//!
//! `cargo run --release --example compare`: about a minute.

use std::sync::Arc;

use duia::config::Config;
use duia::data::generator::Generator;
use duia::metrics::TestKind;
use duia::platform::block_on;
use duia::training::run;
use duia::variants::{Variant, Variants};
use duia::wire::{DeviceChoice, Event};

fn main() {
    let config = Config { variants: Variants(vec![Variant::Ple, Variant::Duia]), rows: 40_000, ..Config::default() };
    let variants = config.variants.0.clone();
    // A source of rows: the generator here, `duia::data::csv` for a file.
    let source = Arc::new(Generator::new(&config));
    // All that happens arrives as events, here as in the page and in the terminal.
    let sink = |event| {
        if let Event::Evaluation(evaluation) = event {
            let of = match evaluation.kind {
                TestKind::ProbeSet => "probe set",
                TestKind::Whole => "whole test",
                TestKind::Streaming => "streaming test",
            };
            for (variant, score) in variants.iter().zip(&evaluation.scores) {
                let auc = score.auc.all;
                print!("step {:4}, {of}: {:5} AUC {:.4} ± {:.4}", evaluation.step, variant.name(), auc.value, 1.96 * auc.standard_error);
                match &score.lift {
                    Some(lift) => println!(", {:+.4} ± {:.4} against the first", lift.all.value, 1.96 * lift.all.standard_error),
                    None => println!(),
                }
            }
        }
    };
    if let Err(failure) = block_on(run(config, source, DeviceChoice::Cpu, sink)) {
        eprintln!("{}\n{}\n{}", failure.what, failure.detail, failure.next);
        std::process::exit(1);
    }
}
