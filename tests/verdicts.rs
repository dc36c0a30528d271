//! What the program says of a run that went wrong, where its figures alone would look like a run.

#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::process::Output;

use serde_json::Value;
use tempfile::{TempDir, tempdir};

const SMALL: &str = "users=200 items=800 user_groups=4 probe_set=64 evaluate_every=5 rows=20000";

/// `duia train` of a small run with these settings into the folder's `run`.
fn train(folder: &TempDir, settings: &str) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_duia"));
    command.current_dir(folder.path()).args(["train", "--quiet", "--device", "cpu", "--out", "run"]);
    for setting in SMALL.split(' ').chain(settings.split(' ')) {
        command.args(["--set", setting]);
    }
    command.output().unwrap()
}

fn report(folder: &TempDir) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.path().join("run/report.json")).unwrap()).unwrap()
}

#[test]
fn metrics_of_a_run_that_diverged_are_kept_and_what_to_lower_is_said() {
    // Seen by its scores; and by its losses, at its first evaluation.
    for settings in ["learning_rate=1 embedding_std=10 passes=3", "learning_rate=1 embedding_std=10 batch=16 evaluate_every=60"] {
        let folder = tempdir().unwrap();
        let output = train(&folder, settings);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("diverged at step ") && (said.contains("PLE diverged") || said.contains("DUIA diverged")), "{said}");
        assert!(said.contains("Lower learning_rate (it is 1; the preset has 0.003) and embedding_std (it is 10"), "{said}");
        let failure = report(&folder)["failure"]["detail"].as_str().unwrap().to_owned();
        assert!(said.contains(&failure), "{failure} in {said}");
    }
}

#[test]
fn metrics_of_a_collapsed_clustering_come_with_a_sentence() {
    let folder = tempdir().unwrap();
    let output = train(&folder, "similarity=dot centred=false reseed=false");
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    let clusters = &report(&folder)["clusters"][0];
    let share = format!("Collapse: {:.0} % of the test positives", 100.0 * clusters["top_share"].as_f64().unwrap());
    assert!(said.contains(&share) && said.contains("Turn on re-seeding (reseed=true)"), "{said}");

    let healthy = tempdir().unwrap();
    let output = train(&healthy, "passes=3");
    assert!(!String::from_utf8(output.stdout).unwrap().contains("Collapse"), "{}", report(&healthy)["clusters"]);
}
