//! `duia bench`, from its command line to its table.
#![cfg(all(feature = "native", not(target_family = "wasm")))]

use std::fs;
use std::process::{Command, Output};

fn duia(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_duia")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_bench_of_the_cpu_ends_in_time_with_a_table_and_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let output = duia(&["bench", "--device", "cpu", "--smoke", "--minutes", "0.5", "--label", "this, CPU", "--out", out]);
    assert!(output.status.success(), "{}", said(&output));
    let record: serde_json::Value = serde_json::from_slice(&fs::read(folder.path().join("this-cpu.json")).unwrap()).unwrap();
    assert_eq!(record["backend"], "CPU");
    let results = record["results"].as_array().unwrap();
    let throughput = results.iter().find(|result| result["measured"] == "throughput").unwrap();
    assert!(throughput["samples_per_second"].as_f64().unwrap() > 100.0 && throughput["run_samples_per_second"].as_f64().unwrap() > 100.0);
    let table = fs::read_to_string(folder.path().join("table.md")).unwrap();
    assert!(table.contains("| model | batch | this, CPU |") && table.contains("## The host"), "{table}");
}

#[test]
fn what_no_time_is_left_for_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let output = duia(&["bench", "--device", "cpu", "--sizes", "browser", "--batches", "512", "--minutes", "0.01", "--out", out]);
    assert!(output.status.success(), "{}", said(&output));
    let table = fs::read_to_string(folder.path().join("table.md")).unwrap();
    assert!(table.contains("no time was left"), "{table}");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_is_not_there_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let output = duia(&["bench", "--device", "cuda", "--minutes", "0.2", "--out", folder.path().to_str().unwrap()]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("CUDA") || said.contains("NVIDIA"), "{said}");
    let output = duia(&["train", "--device", "cuda", "--quiet", "--out", folder.path().join("run").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
}
