//! The program as a person runs it.

#![cfg(not(target_family = "wasm"))]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Output;

use duia::config::Config;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// A run that takes a moment: 16,000 training rows in batches of 512.
const TINY: [&str; 14] = [
    "--device",
    "cpu",
    "--set",
    "users=200",
    "--set",
    "items=800",
    "--set",
    "rows=20000",
    "--set",
    "user_groups=4",
    "--set",
    "panel=64",
    "--set",
    "evaluate_every=20",
];

fn duia<S: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_duia")).current_dir(folder).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit code 2 and a sentence with all of `parts`, nothing on standard output, no panic and nothing left behind.
fn refused(folder: &TempDir, arguments: &[&str], parts: &[&str]) {
    let count = || fs::read_dir(folder.path()).unwrap().count();
    let before = count();
    let output = duia(folder.path(), arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty() && !said.contains("panicked"), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: no `{part}` in: {said}");
    }
    assert_eq!(before, count(), "{arguments:?} left something behind");
}

#[test]
fn bad_arguments_are_refused_with_a_sentence() {
    let folder = tempdir().unwrap();
    refused(&folder, &["--no-such-option"], &["--no-such-option", "--help"]);
    refused(&folder, &["dance"], &["dance"]);
    refused(&folder, &["train", "--preset", "huge"], &["huge", "browser, long, paper"]);
    refused(&folder, &["--seed", "minus"], &["minus"]);
    refused(&folder, &["--set", "centers=3"], &["`centers` is not a key", "duia config"]);
    refused(&folder, &["--set", "rho"], &["--set key=value"]);
    refused(&folder, &["--set", "rho=NaN"], &["rho = NaN cannot be used"]);
    refused(&folder, &["--set", "batch=7"], &["batch = 7 cannot be used", "from 8"]);
    refused(&folder, &["config", "--set", "tower=16x"], &["tower", "16x"]);
    refused(&folder, &["sample", "rows.csv", "--users", "0"], &["0"]);
    refused(&folder, &["ablate", "--seeds", "7,7"], &["7,8,9"]);
    refused(&folder, &["ablate", "--variants", "ple,gbdt"], &["`gbdt` is not a model"]);
    refused(&folder, &["ablate", "--protocols", "u2"], &["u1, p1"]);
    refused(&folder, &["sweep"], &["<AXIS>"]);
    refused(&folder, &["sweep", "depth"], &["depth", "width"]);
    refused(&folder, &["sweep", "length", "--values", "51"], &["history = 51 cannot be used"]);
    refused(&folder, &["sweep", "size", "--data", "rows.csv"], &["a file has one", "--data"]);
}

#[test]
fn files_that_cannot_be_used_are_refused_with_a_sentence() {
    let folder = tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("empty.csv", b"");
    write("columns.csv", b"1,2,3,pv,1511600000\n1,2,3,pv\n");
    write("number.csv", b"1,2,3,pv,1511600000\n1,two,3,pv,1511600001\n");
    write("notes.bin", b"this is no sample");
    write("broken.json", b"{");
    write("unknown.json", br#"{"centers": 3}"#);
    fs::create_dir(folder.path().join("folder.csv")).unwrap();

    refused(&folder, &["train", "--data", "missing.csv"], &["missing.csv cannot be used", "Check the path"]);
    refused(&folder, &["train", "--data", "missing.bin"], &["missing.bin cannot be used", "Check the path"]);
    refused(&folder, &["train", "--data", "folder.csv"], &["it is a folder"]);
    refused(&folder, &["train", "--device", "cpu", "--data", "empty.csv"], &["empty.csv"]);
    refused(&folder, &["train", "--data", "columns.csv"], &["columns.csv", "line 2"]);
    refused(&folder, &["train", "--data", "number.csv"], &["number.csv", "line 2", "two"]);
    refused(&folder, &["train", "--data", "notes.bin"], &["notes.bin", "duia sample"]);
    refused(&folder, &["sample", "missing.csv"], &["missing.csv cannot be used"]);
    refused(&folder, &["sample", "columns.csv"], &["columns.csv", "line 2"]);
    let huge = ["train", "--set", "items=1000000000", "--set", "users=100000000", "--set", "embedding=512"];
    refused(&folder, &huge, &["= 1000000000 cannot be used: it must be lower here, together with", "GB of memory", "there are"]);
    refused(&folder, &["--config", "missing.json"], &["missing.json cannot be used"]);
    refused(&folder, &["--config", "broken.json"], &["not a JSON object", "duia config"]);
    refused(&folder, &["--config", "unknown.json"], &["`centers` is not a key"]);
    refused(&folder, &["--out", "columns.csv"], &["cannot be written", "--out"]);
    refused(&folder, &["ablate", "--data", "missing.csv"], &["missing.csv cannot be used", "Check the path"]);
    refused(&folder, &["ablate", "--data", "number.csv"], &["number.csv", "line 2", "two"]);
    refused(&folder, &["sweep", "width", "--out", "."], &["did not write", "--out"]);
}

#[test]
fn config_prints_a_file_that_config_reads() {
    let folder = tempdir().unwrap();
    let paper = duia(folder.path(), ["config", "--preset", "paper", "--set", "rho=0.1"]);
    assert!(paper.status.success());
    let config: Value = serde_json::from_slice(&paper.stdout).unwrap();
    assert_eq!((&config["centres"], &config["rho"]), (&512.into(), &0.1.into()));
    let printed = text(&paper.stderr);
    let link = printed.split_whitespace().last().unwrap();
    assert_eq!(link, "#version=1&preset=paper&seed=7&rho=0.1");
    let (opened, notices) = Config::from_link(link, &[]);
    assert_eq!((serde_json::to_value(&opened).unwrap(), notices), (config.clone(), vec![]));

    fs::write(folder.path().join("own.json"), &paper.stdout).unwrap();
    let again = duia(folder.path(), ["config", "--config", "own.json"]);
    assert_eq!(text(&again.stdout), text(&paper.stdout));
}

#[test]
fn a_run_leaves_a_report_and_equal_seeds_give_equal_series() {
    let folder = tempdir().unwrap();
    let run = |out: &str, more: &[&str]| {
        let output = duia(folder.path(), [&["train", "--out", out], &TINY[..], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    };
    let read = |out: &str, name: &str| fs::read_to_string(folder.path().join(out).join(name)).unwrap();

    let first = run("first", &[]);
    assert!(text(&first.stderr).contains("synthetic") && text(&first.stderr).contains("Device: CPU"));
    assert!(text(&first.stdout).contains("DUIA minus PLE") && text(&first.stdout).contains("hit rate"));
    let report: Value = serde_json::from_str(&read("first", "report.json")).unwrap();
    assert_eq!((&report["schema"], &report["data"]["origin"]), (&3.into(), &"synthetic".into()));
    assert_eq!((&report["clusters"][0]["variant"], &report["clusters"][0]["side"]), (&"duia".into(), &"users".into()));
    assert_eq!((&report["steps"], &report["whole_test_set"]), (&report["planned_steps"], &true.into()));
    let (opened, notices) = Config::from_link(report["link"].as_str().unwrap(), &[]);
    assert_eq!((serde_json::to_value(&opened).unwrap(), notices), (report["config"].clone(), vec![]));
    assert!(report["failure"].is_null() && report["clusters"][0]["hit_rate_1"].is_number());
    let names: Vec<&str> = report["models"].as_array().unwrap().iter().filter_map(|model| model["name"].as_str()).collect();
    assert_eq!(names, ["PLE", "DUIA"]);
    for model in report["models"].as_array().unwrap() {
        let area = model["score"]["auc"]["all"]["value"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&area));
    }
    assert!(report["models"][1]["score"]["lift"]["low"]["standard_error"].is_number());
    for plot in ["auc.svg", "losses.svg", "clusters.svg"] {
        assert!(read("first", plot).starts_with("<svg"), "{plot}");
    }

    let quiet = run("second", &["--quiet"]);
    assert!(quiet.stderr.is_empty(), "{}", text(&quiet.stderr));
    run("third", &["--seed", "8"]);
    let series = ["first", "second", "third"].map(|out| read(out, "series.csv"));
    assert!(series[0].starts_with("step,variant,metric,value,standard_error,positives\n") && series[0].contains("duia,test.auc.low,"));
    assert_eq!(series[0], series[1]);
    assert_ne!(series[0], series[2]);

    refused(&folder, &["train", "--out", "first"], &["no run is written over", "--out"]);
}

#[test]
fn a_run_without_a_name_goes_to_a_folder_of_its_own() {
    let folder = tempdir().unwrap();
    for _ in 0..2 {
        let output = duia(folder.path(), [&TINY[..], &["--set", "rows=4000", "--quiet"]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let names: Vec<String> =
        fs::read_dir(folder.path().join("runs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.len() == 2 && names.iter().all(|name| name.contains("-browser-seed7")), "{names:?}");
}

#[test]
fn an_ablation_is_kept_and_reported_and_another_command_stays_out() {
    let folder = tempdir().unwrap();
    let small = ["--variants", "uie", "--protocols", "p1", "--seeds", "1", "--set", "rows=4000"];
    let run = || {
        let output = duia(folder.path(), [&["ablate"], &TINY[..], &small].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    };
    let out = folder.path().join("runs/ablate-browser");
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let first = run();
    assert!(text(&first.stderr).contains("Cell 1 of 1: protocol P1, seed 7.") && text(&first.stdout).contains("synthetic stream"));
    let report = read("report.md");
    assert!(report.contains("duia ablate --device cpu") && report.contains("## Table 4") && report.contains("## Clusters"));
    assert!(report.contains("synthetic") && !report.contains(&*folder.path().to_string_lossy()));
    assert!(read("report.csv").contains("table-5-gains-p1,uie,low,lift,7,"));
    assert!(read("report.tex").contains("\\toprule") && read("gains-p1.svg").starts_with("<svg"));

    let again = run();
    assert!(text(&again.stderr).contains("Kept 1 of 1 cells") && !text(&again.stderr).contains("Cell 1 of 1"));
    assert_eq!((read("report.md"), again.stdout), (report, first.stdout));
    refused(&folder, &["sweep", "width", "--out", "runs/ablate-browser"], &["what `duia ablate` found", "--out"]);
}

/// Starts the program and returns when `ready` says so; what it writes on standard error is left unread until then.
#[cfg(unix)]
fn begun(folder: &Path, arguments: &[&str], mut ready: impl FnMut(&str) -> bool) -> (std::process::Child, String) {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let mut command = Command::new(env!("CARGO_BIN_EXE_duia"));
    let mut child = command.current_dir(folder).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let said = lines.by_ref().map(Result::unwrap).find(|line| ready(line)).expect("it came so far");
    // Read to the end, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    (child, said)
}

#[cfg(unix)]
#[test]
fn a_queue_that_is_killed_goes_on_where_it_was() {
    let folder = tempdir().unwrap();
    let arguments = [&["ablate", "--out", "found", "--protocols", "u1", "--seeds", "7,8", "--variants", "ple,uie"], &TINY[..]].concat();
    let (mut child, said) = begun(folder.path(), &arguments, |line| line.contains("Cell 2 of 2"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(said.contains("seed 8"));
    let cells = || fs::read_dir(folder.path().join("found/cells")).unwrap().map(|cell| cell.unwrap().path()).collect::<Vec<_>>();
    let [first] = &cells()[..] else { panic!("one cell was finished: {:?}", cells()) };
    let before = fs::metadata(first).unwrap().modified().unwrap();
    let again = duia(folder.path(), &arguments);
    let said = text(&again.stderr);
    assert!(again.status.success() && said.contains("Kept 1 of 2 cells") && !said.contains("Cell 1 of 2"), "{said}");
    assert_eq!((cells().len(), fs::metadata(first).unwrap().modified().unwrap()), (2, before));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_training_and_tests_what_was_learned() {
    let folder = tempdir().unwrap();
    let long = [&TINY[..], &["--set", "rows=2000000", "--set", "train_share=0.99", "--out", "run"]].concat();
    let (child, _) = begun(folder.path(), &long, |line| line.contains("side by side"));
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("Ended early: ") && said.contains("AUC on the whole test set"), "{said}");
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("run/report.json")).unwrap()).unwrap();
    assert_eq!((&report["whole_test_set"], &report["failure"]), (&true.into(), &Value::Null));
    assert!(report["steps"].as_u64().unwrap() < report["planned_steps"].as_u64().unwrap());
}

#[test]
fn a_simulation_says_so_and_has_table_6_and_equal_seeds_give_equal_bytes() {
    let small = [
        "simulate",
        "--device",
        "cpu",
        "--days",
        "2",
        "--sessions",
        "60",
        "--candidates",
        "20",
        "--block",
        "16",
        "--set",
        "users=120",
        "--set",
        "items=400",
        "--set",
        "rows=2500",
        "--set",
        "user_groups=4",
        "--set",
        "batch=64",
        "--out",
        "ab",
    ];
    let run = |more: &[&str]| {
        let folder = tempdir().unwrap();
        let output = duia(folder.path(), [&small[..], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        (folder, output)
    };
    let read = |folder: &TempDir, name: &str| fs::read_to_string(folder.path().join("ab").join(name)).unwrap();

    let (first, output) = run(&["--set", "variants=ple,duia", "--seeds", "2"]);
    let (said, shown) = (text(&output.stderr), text(&output.stdout));
    assert!(said.contains("Simulation 2 of 2: seed 8."), "{said}");
    assert!(said.contains("session 240 of 240: day 2 of 2 of the simulation, DUIA"), "{said}");
    assert!(shown.contains("Table 6 in a simulation") && shown.contains("other data") && shown.contains("new users"), "{shown}");
    let report = read(&first, "report.md");
    assert!(report.starts_with("# A simulated online A/B experiment\n\nThis is a simulation on a synthetic stream: no real user"));
    assert!(report.contains("```sh\nduia simulate --device cpu --days 2") && report.contains("2 of 2 seeds are finished: 7, 8."));
    let rows = |title: &str| -> Vec<Vec<String>> {
        let lines = report.split(&format!("## {title}")).nth(1).unwrap().lines().skip_while(|line| !line.starts_with('|'));
        let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        lines.take_while(|line| line.starts_with('|')).map(cells).collect()
    };
    for (group, papers) in [("low-active users", 2), ("high-active users", 2), ("new users", 0)] {
        let rows = rows(&format!("Table 6 in a simulation: change from PLE, per cent, {group}, synthetic stream"));
        assert_eq!(rows[0], ["change from PLE, %", "UVC", "UDT", "UCC1", "UCC2", "UCT"]);
        assert_eq!(rows.len(), 3 + papers, "{rows:?}");
        assert_eq!(rows[2][0], "DUIA");
        // Mean, the interval of the users and that of the seeds.
        assert!(rows[2][1..].iter().all(|cell| cell.contains(" ± ") && cell.contains(" (")), "{rows:?}");
        assert!(rows.iter().all(|row| row.len() == 6));
    }
    assert!(report.contains("| DUIA | +8.12 | +4.05 | +3.96 | +4.60 | +5.23 |"));
    assert_eq!(rows("Means a user and day in the simulation").len(), 2 + 3 * 3);
    let figures = read(&first, "report.csv");
    assert!(figures.contains("table-6-low,duia,low,UVC change %,paper,8.12,,,1\n") && figures.contains("values,ple,new,UDT,7,"));
    assert!(read(&first, "report.tex").contains("\\caption{Table 6 in a simulation"));
    for plot in ["uvc", "udt", "ucc1", "ucc2", "uct"] {
        assert!(read(&first, &format!("simulation-{plot}.svg")).contains("simulation"), "{plot}");
    }
    let seed: Value = serde_json::from_str(&read(&first, "seed-8.json")).unwrap();
    assert_eq!((&seed["config"]["seed"], &seed["simulation"]["arms"][1]["name"]), (&8.into(), &"DUIA".into()));

    let (again, _) = run(&["--set", "variants=ple,duia", "--seeds", "2"]);
    let names = |folder: &TempDir| {
        let mut names: Vec<_> = fs::read_dir(folder.path().join("ab")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!((names(&first), names(&first).len()), (names(&again), 10));
    for name in names(&first) {
        let bytes = |folder: &TempDir| fs::read(folder.path().join("ab").join(&name)).unwrap();
        assert_eq!(bytes(&first), bytes(&again), "{name:?}");
    }

    let (rules, output) = run(&["--set", "variants=popularity,truth", "--seed", "8", "--quiet"]);
    assert!(output.stderr.is_empty() && !read(&rules, "report.md").contains("the paper, real users"));
    let other: Value = serde_json::from_str(&read(&rules, "seed-8.json")).unwrap();
    assert_eq!(seed["simulation"]["groups"], other["simulation"]["groups"]);
}

#[test]
fn a_simulation_that_cannot_be_is_refused_with_a_sentence() {
    let folder = tempdir().unwrap();
    refused(&folder, &["simulate", "--new-users", "0.7"], &["new_users = 0.7 cannot be used", "--new-users"]);
    refused(&folder, &["simulate", "--shown", "51"], &["shown = 51", "from 1 to 50", "--shown"]);
    refused(&folder, &["simulate", "--learning", "never"], &["never", "at-once, daily"]);
    refused(&folder, &["simulate", "--set", "variants=ple,gbdt"], &["`gbdt` is not a model"]);
    refused(&folder, &["simulate", "--data", "rows.csv"], &["--data"]);
    refused(&folder, &["simulate", "--device", "cpu", "--set", "rows=1000", "--set", "batch=8192"], &["training rows", "smaller batch"]);
}
