//! Models as ONNX graphs: onnxruntime gives the logits that this program gives. `tests/onnx/check.py` compares them.

#![cfg(not(target_family = "wasm"))]

#[path = "common/skip.rs"]
mod skip;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use duia::variants::{Role, Variant};
use skip::skip;
use tempfile::{TempDir, tempdir};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What `check.py` needs, from PyPI.
const PACKAGES: [&str; 2] = ["numpy", "onnxruntime"];

/// A Python with them, made once for all tests; or why there is none.
static PYTHON: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx-venv");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let done = |command: &mut Command| {
        let output = command.output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    };
    let is_there = done(Command::new(&python).args(["-c", &format!("import {}", PACKAGES.join(", "))]));
    if is_there.is_err() {
        done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        done(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    }
    Ok(python)
});

/// Runs `check.py` over models of a folder; none where this machine cannot.
fn check(folder: &Path, models: &[String]) -> Option<Output> {
    let python = PYTHON.as_ref().map_err(|why| skip("ONNX graphs in onnxruntime", why)).ok()?;
    let script = Path::new(ROOT).join("tests/onnx/check.py");
    Some(Command::new(python).current_dir(folder).arg(script).args(models).output().unwrap())
}

fn holds(folder: &Path, models: &[String]) {
    if let Some(output) = check(folder, models) {
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        println!("{said}");
        assert!(output.status.success(), "{said}");
    }
}

fn duia<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_duia")).current_dir(folder).args(arguments).output().unwrap()
}

fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = duia(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Settings of a run that takes a moment: 62 steps.
const SMALL: [&str; 3] = ["rows=5000", "batch=128", "evaluate_every=1000"];

/// A run with these models and settings, and options in the place of those for checkpoints, in the folder `run`.
fn trained(models: &str, settings: &[&str]) -> TempDir {
    let folder = tempdir().unwrap();
    let variants = format!("variants={models}");
    let mut train = vec!["train", "--device", "cpu", "--quiet", "--out", "run"];
    let (own, more): (Vec<&str>, Vec<&str>) = settings.iter().partition(|setting| setting.contains('='));
    let always = [&variants, "users=200", "items=800", "categories=40", "user_groups=4", "probe_set=64"];
    train.extend(always.into_iter().chain(own).flat_map(|setting| ["--set", setting]));
    train.extend(if more.is_empty() { vec!["--checkpoint-every", "100000"] } else { more });
    done(folder.path(), &train);
    folder
}

/// Exports a model of that run as `<key>.onnx`.
fn export(folder: &Path, model: &str, more: &[&str]) -> String {
    export_from(folder, &["--checkpoint", "run"], model, more)
}

fn export_from(folder: &Path, checkpoint: &[&str], model: &str, more: &[&str]) -> String {
    let file = format!("{model}.onnx");
    done(folder, &[&["export", "--model", model, "--out", &file, "--quiet"], checkpoint, more].concat());
    file
}

#[test]
fn onnxruntime_gives_the_same_logits_on_ten_thousand_rows() {
    let folder = trained("ple,duia,duia-items", &["rows=26000"]);
    let models = ["ple", "duia", "duia-items"].map(|model| export(folder.path(), model, &["--examples", "10000"]));
    holds(folder.path(), &models);
    let examples = fs::read(folder.path().join("duia.examples.safetensors")).unwrap();
    assert!(String::from_utf8_lossy(&examples).contains("\"item\":{\"dtype\":\"I32\",\"shape\":[5000,2]"));
}

/// Every model that learns, but the ceilings, which are told what nobody knows; before the fill of the centres those that have any.
#[test]
fn every_model_is_exported() {
    let served = |model: &Variant| model.rule().is_none() && model.row().role != Role::Ceiling;
    let models: Vec<&str> = Variant::ALL.iter().filter(|model| served(model)).map(|model| model.key()).collect();
    let folder = trained(&models.join(","), &[&SMALL[..], &["warm_up=4"]].concat());
    let files: Vec<String> = models.iter().map(|model| export(folder.path(), model, &["--examples", "500"])).collect();
    holds(folder.path(), &files);

    let early = ["uie", "uie-upbe", "duia-items", "duia-shares"];
    let folder = trained(&early.join(","), &[&SMALL[..], &["warm_up=4", "--checkpoint-every", "3", "--keep", "100"]].concat());
    let unfilled = ["--checkpoint", "run/checkpoints/step-000000003.safetensors"];
    let files: Vec<String> = early.iter().map(|model| export_from(folder.path(), &unfilled, model, &["--examples", "500"])).collect();
    holds(folder.path(), &files);
}

/// What the configuration changes of the forward pass.
#[test]
fn options_are_exported() {
    let models = "ple,uie,duia-items,duia-plus,duia-shares";
    let all: [&[&str]; 3] = [
        &["encoder=unit", "profile_fields=3", "item_count=true", "stop_rule=per-level"],
        &["specific_experts=2", "shared_experts=3", "expert_1=24x16", "history=7", "similarity=dot", "centred=false"],
        &["enhancement_norm=false", "enhancement_centred=false", "memory_start=zero", "passes=2"],
    ];
    for settings in all {
        let folder = trained(models, &[&SMALL[..], &["warm_up=4"], settings].concat());
        let files: Vec<String> = models.split(',').map(|model| export(folder.path(), model, &["--examples", "500"])).collect();
        holds(folder.path(), &files);
    }
}

/// Numbers in a file of their own are the same model, and one that is changed there is seen.
#[test]
fn a_changed_number_is_seen() {
    let folder = trained("duia", &[&SMALL[..], &["warm_up=4"]].concat());
    let file = export(folder.path(), "duia", &["--examples", "500", "--external-data"]);
    holds(folder.path(), std::slice::from_ref(&file));
    let numbers = folder.path().join("duia.onnx.data");
    let mut bytes = fs::read(&numbers).unwrap();
    // Every tensor begins at a page: the first number of each is off by a thousandth. Ids, read as floats, are none.
    for page in bytes.chunks_mut(4_096) {
        let number = f32::from_le_bytes(page[..4].try_into().unwrap());
        if number.is_normal() {
            page[..4].copy_from_slice(&(number + 1e-3).to_le_bytes());
        }
    }
    fs::write(&numbers, bytes).unwrap();
    if let Some(output) = check(folder.path(), &[file]) {
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(1) && said.contains("largest difference"), "{said}");
    }
}

/// The server of docs/export.md runs as it stands there.
#[test]
fn the_server_of_the_documentation_runs() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/export.md")).unwrap();
    let program = text.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a program");
    let folder = trained("duia", &SMALL);
    export(folder.path(), "duia", &[]);
    let Ok(python) = PYTHON.as_ref() else { return skip("the program of docs/export.md", "there is no onnxruntime") };
    let output = Command::new(python).current_dir(folder.path()).args(["-c", program]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.lines().count() == 3, "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_cannot_be_exported_is_refused_with_a_sentence_and_leaves_nothing() {
    let folder = trained("ple,ple-group", &SMALL);
    fs::write(folder.path().join("file"), "no folder").unwrap();
    let names = || {
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let refused = |model: &str, checkpoint: &str, out: &str, parts: &[&str]| {
        let mut arguments = vec!["export", "--checkpoint", checkpoint, "--out", out, "--quiet"];
        if !model.is_empty() {
            arguments.extend(["--model", model]);
        }
        let output = duia(folder.path(), &arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty() && !said.contains("panicked") && parts.iter().all(|part| said.contains(part)), "{said}");
        assert_eq!(names(), before, "{arguments:?} left something behind");
    };
    refused("ple", "run", "model.pb", &["model.pb cannot be used", ".onnx", "--out"]);
    refused("ple", "run", "file/model.onnx", &["cannot be written", "--out"]);
    refused("ple", "nowhere", "model.onnx", &["nowhere cannot be used"]);
    refused("gbdt", "run", "model.onnx", &["`gbdt` is not a model"]);
    refused("duia", "run", "model.onnx", &["the run has no DUIA", "ple, ple-group"]);
    refused("", "run", "model.onnx", &["several models", "--model: ple, ple-group"]);
    refused("ple-group", "run", "model.onnx", &["cannot be exported", "told-group", "only the generator", "--model"]);

    let checkpoint = fs::read_dir(folder.path().join("run/checkpoints")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &whole[..whole.len() / 2]).unwrap();
    refused("ple", "run", "model.onnx", &["the checkpoint is damaged", "train again"]);
}

/// A file's own ids stand beside the graph, in the order of their numbers, and what else is known of users and items within.
#[test]
fn ids_stand_beside_the_graph() {
    let folder = tempdir().unwrap();
    let row = |n: u64| format!("u-{},\"item, {}\",{}\n", n * 7 % 41, n * 13 % 977, 1_600_000_000 + n);
    fs::write(folder.path().join("rows.csv"), format!("who,what,when\n{}", (0..6_000).map(row).collect::<String>())).unwrap();
    let columns = ["--columns", "user=who,item=what,time=when,profile=who,attribute=what"];
    let train = ["train", "--data", "rows.csv", "--set", "batch=64", "--set", "variants=ple", "--device", "cpu", "--quiet"];
    done(folder.path(), &[&train[..], &columns, &["--out", "run", "--weights-out", "weights"]].concat());
    let told = ["--data", "rows.csv", "--checkpoint", "weights/ple.safetensors", "--out", "served/ple.onnx", "--examples", "2000"];
    let said = done(folder.path(), &[&["export"], &told[..], &columns].concat());
    assert!(said.contains("Wrote PLE after step") && said.contains("served/ple.items.csv"), "{said}");
    let read = |name: &str| fs::read_to_string(folder.path().join("served").join(name)).unwrap();
    let (users, items) = (read("ple.users.csv"), read("ple.items.csv"));
    assert!(users.starts_with("number,user\n0,u-0\n1,u-7\n") && users.lines().count() == 42, "{users}");
    assert!(items.starts_with("number,item\n0,\"item, 0\"\n1,\"item, 13\"\n2,\"item, 26\"\n"), "{items}");
    holds(&folder.path().join("served"), &["ple.onnx".to_owned()]);
}
