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
    "probe_set=64",
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
    refused(&folder, &["train", "--preset", "huge"], &["huge", "browser, long, calibrated, paper"]);
    refused(&folder, &["--seed", "minus"], &["minus"]);
    refused(&folder, &["--cards", "2"], &["NVIDIA's cards"]);
    refused(&folder, &["--cards", "0"], &["--cards <N>"]);
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
    refused(
        &folder,
        &huge,
        &["embedding = 512 cannot be used: it must be lower here, together with items, users", "GB of memory", "there are"],
    );
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
    let arguments = [&["ablate", "--out", "found", "--protocols", "u1", "--seeds", "7,8", "--variants", "ple,uie"], &TINY[..]].concat();
    let cells = |folder: &TempDir| -> Vec<_> {
        fs::read_dir(folder.path().join("found/cells")).unwrap().map(|cell| cell.unwrap().path()).collect()
    };
    let killed_in_the_second = || {
        let folder = tempdir().unwrap();
        let (mut child, said) = begun(folder.path(), &arguments, |line| line.contains("Cell 2 of 2"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(said.contains("seed 8"));
        folder
    };
    // One that was faster than the kill has finished both.
    let folder = (0..5).map(|_| killed_in_the_second()).find(|folder| cells(folder).len() < 2).expect("a queue that is killed in time");
    let [first] = &cells(&folder)[..] else { panic!("one cell was finished: {:?}", cells(&folder)) };
    let before = fs::metadata(first).unwrap().modified().unwrap();
    let again = duia(folder.path(), &arguments);
    let said = text(&again.stderr);
    assert!(again.status.success() && said.contains("Kept 1 of 2 cells") && !said.contains("Cell 1 of 2"), "{said}");
    assert_eq!((cells(&folder).len(), fs::metadata(first).unwrap().modified().unwrap()), (2, before));
}

#[cfg(unix)]
fn signal(child: &std::process::Child, signal: &str) {
    assert!(std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn an_interruption_tests_what_was_learned_where_that_was_asked_for() {
    for (name, weights) in [("-INT", &[][..]), ("-TERM", &["--weights-out", "weights"][..])] {
        let folder = tempdir().unwrap();
        let rows = ["--set", "rows=2000000", "--set", "train_share=0.99", "--out", "run", "--test-on-interrupt"];
        let long = [&TINY[..], &rows, weights].concat();
        let (child, _) = begun(folder.path(), &long, |line| line.contains("side by side"));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stdout);
        assert!(output.status.success() && said.contains("Ended early: ") && said.contains("AUC on the whole test set"), "{said}");
        let report: Value = serde_json::from_slice(&fs::read(folder.path().join("run/report.json")).unwrap()).unwrap();
        assert_eq!((&report["whole_test_set"], &report["failure"]), (&true.into(), &Value::Null));
        assert!(report["steps"].as_u64().unwrap() < report["planned_steps"].as_u64().unwrap());
        // What was learned is kept, whether anybody had asked for it or not.
        let kept = folder.path().join(if weights.is_empty() { "run/weights" } else { "weights" });
        for model in ["ple", "duia"] {
            assert!(kept.join(format!("{model}.safetensors")).is_file() && said.contains(&format!("{model}.safetensors")), "{said}");
        }
        assert!(!folder.path().join("run/unfinished.txt").exists());
    }
}

/// The test is long here, and training short.
#[cfg(unix)]
#[test]
fn ctrl_c_in_the_final_test_loses_nothing_that_was_learned() {
    let folder = tempdir().unwrap();
    let long = [&TINY[..], &["--set", "rows=1000000", "--set", "items=20000", "--set", "train_share=0.05", "--out", "run"]].concat();
    let long = [&long[..], &["--test-on-interrupt"]].concat();
    let (child, _) = begun(folder.path(), &long, |line| line.starts_with("Scoring the whole test set"));
    signal(&child, "-INT");
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("the whole test set was not scored") && said.contains("DUIA minus PLE"), "{said}");
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("run/report.json")).unwrap()).unwrap();
    assert_eq!((&report["whole_test_set"], &report["steps"]), (&false.into(), &report["planned_steps"]));
    assert!(report["models"][1]["score"]["auc"]["all"]["value"].is_number());
    for file in ["weights/ple.safetensors", "weights/duia.safetensors", "series.csv", "auc.svg"] {
        assert!(folder.path().join("run").join(file).is_file(), "{file}");
    }
}

/// A run of some seconds.
#[cfg(unix)]
const SHORT: [&str; 8] = ["--set", "rows=60000", "--weights-out", "weights", "--out", "run", "--checkpoint-every", "5"];

/// What a run leaves that must not depend on how often it was stopped.
#[cfg(unix)]
fn results(folder: &Path) -> Vec<Vec<u8>> {
    let files = ["run/series.csv", "weights/ple.safetensors", "weights/duia.safetensors"];
    files.map(|file| fs::read(folder.join(file)).unwrap()).into()
}

/// Those that are whole; what a kill left half written has another name.
#[cfg(unix)]
fn checkpoints(run: &Path) -> Vec<std::path::PathBuf> {
    let names = fs::read_dir(run.join("checkpoints")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("step-")).collect();
    all.sort();
    all
}

/// `DUIA_KILLS=50 cargo test --release --test cli again_and_again` does it fifty times.
#[cfg(unix)]
#[test]
fn a_run_that_is_killed_again_and_again_leaves_the_same_bytes() {
    use duia::counter::{Counter, Stream};

    let arguments = [&TINY[..], &SHORT].concat();
    let whole = tempdir().unwrap();
    assert!(duia(whole.path(), &arguments).status.success());

    let kills: u64 = std::env::var("DUIA_KILLS").map_or(5, |kills| kills.parse().unwrap());
    let (mut killed, mut sitting, moments) = (0, 0, Counter::new(7, Stream::Sample));
    let mut folder = tempdir().unwrap();
    while killed < kills {
        let goes_on = !checkpoints(&folder.path().join("run")).is_empty();
        let command: &[&str] = if goes_on { &["train", "--resume", "run", "--checkpoint-every", "5"] } else { &arguments };
        let (mut child, _) = begun(folder.path(), command, |line| line.contains("side by side"));
        sitting += 1;
        std::thread::sleep(std::time::Duration::from_millis(moments.below(sitting, 300)));
        child.kill().unwrap();
        // What it does to its files in its last moment it has done once it is gone.
        let was_faster = child.wait().unwrap().success();
        let run = folder.path().join("run");
        if was_faster || run.join("report.json").exists() && !run.join("unfinished.txt").exists() {
            // It was faster, if only by what comes after the last file: the next one begins anew.
            assert_eq!(results(folder.path()), results(whole.path()), "after {killed} kills");
            folder = tempdir().unwrap();
        } else {
            killed += 1;
        }
    }
    // Another number of threads goes on.
    let goes_on = !checkpoints(&folder.path().join("run")).is_empty();
    let command: &[&str] = if goes_on { &["train", "--resume", "run"] } else { &arguments };
    let mut rest = std::process::Command::new("taskset");
    let rest = rest.args(["-c", "0", env!("CARGO_BIN_EXE_duia")]).current_dir(folder.path()).args(command).output();
    let rest = rest.unwrap_or_else(|_| duia(folder.path(), command));
    assert!(rest.status.success(), "{}", text(&rest.stderr));
    assert_eq!(results(folder.path()), results(whole.path()), "after {killed} kills");
    assert!(!folder.path().join("run/unfinished.txt").exists() && checkpoints(&folder.path().join("run")).len() <= 3);
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("run/report.json")).unwrap()).unwrap();
    assert_eq!(report["resumed_at"].as_array().unwrap().is_empty(), !goes_on);
    refused(&folder, &["train", "--resume", "run"], &["the run in it has ended"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_and_sigterm_save_the_run_and_say_how_to_go_on() {
    // A test that lasts longer than it takes to send a signal.
    let rows = ["--set", "rows=120000", "--set", "train_share=0.3"];
    let arguments = [&TINY[..], &rows, &SHORT[2..6], &["--html", "film.html"]].concat();
    // But for the places in its pictures: a run that goes on may draw them turned.
    let film = |folder: &TempDir| {
        let html = fs::read_to_string(folder.path().join("film.html")).unwrap();
        let (_, run) = html.split_once("<script type=\"application/json\" id=\"run\">").unwrap();
        let mut run: Value = serde_json::from_str(run.split_once("</script>").unwrap().0).unwrap();
        for picture in run["pictures"].as_array_mut().unwrap() {
            (picture["places"], picture["members"]) = (Value::Null, Value::Null);
        }
        run
    };
    let whole = tempdir().unwrap();
    assert!(duia(whole.path(), &arguments).status.success());
    for (name, moment) in [("-INT", "side by side"), ("-TERM", "Scoring the whole test set")] {
        let folder = tempdir().unwrap();
        let (child, _) = begun(folder.path(), &arguments, |line| line.contains(moment));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(said.contains("all of it is in run/checkpoints/step-") && said.contains("duia train --resume run"), "{said}");
        let [file] = &checkpoints(&folder.path().join("run"))[..] else { panic!("one checkpoint") };
        refused(&folder, &arguments, &["stopped on its way", "duia train --resume run"]);
        refused(&folder, &["train", "--resume", "run", "--seed", "8"], &["of another configuration: seed is 7 there and 8 here"]);
        // The same settings once more are no other ones, and a file of the folder is as good as the folder.
        let again = [&TINY[2..], &rows, &["--resume", file.to_str().unwrap()]].concat();
        let output = duia(folder.path(), &again);
        assert!(output.status.success() && text(&output.stderr).contains("Going on with"), "{}", text(&output.stderr));
        assert_eq!(results(folder.path()), results(whole.path()), "{name}");
        assert!(film(&folder) == film(&whole), "{name}: the run as one file is another one");
    }
}

#[cfg(unix)]
#[test]
fn a_damaged_checkpoint_is_passed_over_for_an_older_one() {
    let folder = tempdir().unwrap();
    let arguments = [&TINY[..], &SHORT, &["--keep", "3"]].concat();
    let (mut child, _) = begun(folder.path(), &arguments, |line| line.contains("Saved at step 30"));
    child.kill().unwrap();
    child.wait().unwrap();
    let run = folder.path().join("run");
    let kept = checkpoints(&run);
    assert!((3..=4).contains(&kept.len()), "{kept:?}");
    let newest = kept.last().unwrap();
    let mut bytes = fs::read(newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(newest, &bytes).unwrap();
    let output = duia(folder.path(), ["train", "--resume", "run", "--checkpoint-every", "never"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("damaged: its checksum is") && said.contains("an older one that is whole"), "{said}");

    fs::write(run.join("unfinished.txt"), "").unwrap();
    kept.iter().filter(|path| path.exists()).for_each(|path| fs::write(path, &bytes[..1000]).unwrap());
    refused(&folder, &["train", "--resume", "run"], &["cannot be used: the checkpoint is damaged", "Begin a new run"]);
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    refused(&folder, &["train", "--resume", "run"], &["it holds no checkpoint", "begin a new run"]);
    refused(&folder, &["train", "--resume", "nowhere"], &["there is no such folder"]);
    refused(&folder, &["train", "--resume", "weights/ple.safetensors"], &["does not lie in the folder of a run"]);
    refused(&folder, &["train", "--checkpoint-every", "3 days"], &["neither a number of steps"]);
}

/// A file may have no more than so many bytes here, as where a disk is full; then there is a file where the folder should be.
#[cfg(unix)]
#[test]
fn a_full_disk_ends_no_training_and_takes_no_checkpoint_away() {
    let folder = tempdir().unwrap();
    let arguments = [&TINY[..], &["--out", "run", "--checkpoint-every", "20"]].concat();
    let full = r#"trap "" XFSZ; ulimit -f 200; exec "$0" "$@""#;
    let mut shell = std::process::Command::new("sh");
    let output = shell.args(["-c", full, env!("CARGO_BIN_EXE_duia")]).args(&arguments).current_dir(folder.path()).output().unwrap();
    let said = text(&output.stderr);
    assert!(said.contains("step-000000020.safetensors could not be written: ") && said.contains("training goes on"), "{said}");
    let left = fs::read_dir(folder.path().join("run/checkpoints")).into_iter().flatten().count();
    assert!(output.status.success() && left == 0, "{left} files are left: {said}");

    let arguments = [&TINY[..], &["--set", "rows=2000000", "--out", "other", "--checkpoint-every", "20"]].concat();
    let (child, _) = begun(folder.path(), &arguments, |line| line.contains("Saved at step 20"));
    let saved = folder.path().join("other/checkpoints");
    // Else it might make the folder anew in between.
    signal(&child, "-STOP");
    fs::rename(&saved, folder.path().join("other/saved")).unwrap();
    fs::write(&saved, "").unwrap();
    signal(&child, "-INT");
    signal(&child, "-CONT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
}

/// A run tells a program in JSON lines all that it tells a person in sentences and tables.
#[test]
fn a_run_is_told_in_json_lines() {
    let folder = tempdir().unwrap();
    let told = ["--log", "json", "--log-file", "log.jsonl", "--out", "run", "--checkpoint-every", "20"];
    let plain = duia(folder.path(), [&TINY[..], &told].concat());
    let (said, tables) = (text(&plain.stderr), text(&plain.stdout));
    assert!(plain.status.success(), "{said}");
    let log = fs::read_to_string(folder.path().join("log.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.windows(2).all(|pair| pair[0]["seconds"].as_f64() <= pair[1]["seconds"].as_f64()));
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    let stages = |event: &str| of(event).iter().map(|line| line["stage"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(stages("stage"), ["reading", "data", "models", "training", "test"]);
    assert_eq!(stages("stage"), stages("stage_end"));

    // Each sentence once more, out of the lines.
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let whole = |value: &Value| {
        let digits = value.as_u64().unwrap().to_string();
        let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
        groups.join(",")
    };
    let (device, data, ready) = (of("device")[0], of("data")[0], of("ready")[0]);
    let sentence = |part: String| assert!(said.contains(&part), "no `{part}` in {said}");
    sentence(format!("Device: {} ({}). {}", word(&device["backend"]), word(&device["adapter"]), word(&device["reason"])));
    sentence(format!("Data: {} (synthetic", word(&data["name"])));
    sentence(format!("{} rows, {} users, {} items", whole(&data["rows"]), whole(&data["users"]), whole(&data["items"])));
    sentence(format!("{} rows train, {} test", whole(&data["train_rows"]), whole(&data["test_rows"])));
    sentence(format!("side by side for {} steps", whole(&ready["steps"])));
    sentence(format!("a probe set of {} test positives", whole(&ready["probe_positives"])));
    assert_eq!(of("saved").len(), said.matches("Saved at step").count());
    for saved in of("saved") {
        sentence(format!("Saved at step {}: {}, {} bytes.", whole(&saved["step"]), word(&saved["file"]), whole(&saved["bytes"])));
    }
    for stage in ["training", "test"] {
        let progress = of("progress").into_iter().filter(|line| line["stage"] == stage).collect::<Vec<_>>();
        assert!(progress.last().is_some_and(|line| line["done"] == line["of"] && line["left"] == 0.0), "{stage}: {progress:?}");
        assert!(progress.windows(2).all(|pair| pair[0]["done"].as_u64() < pair[1]["done"].as_u64()), "{stage}: {progress:?}");
    }
    let evaluations = of("evaluation");
    let series = fs::read_to_string(folder.path().join("run/series.csv")).unwrap();
    assert!(evaluations.len() >= 3 && of("losses").len() == series.matches(",ple,loss_mtl,").count());
    let [probe @ .., test] = &evaluations[..] else { panic!("evaluations") };
    assert!(probe.iter().all(|line| line["test"] == "probe") && test["test"] == "whole");
    for model in ["ple", "duia"] {
        for group in ["all", "low", "high"] {
            let area = &test["models"][model]["auc"][group];
            let (value, error) = (area["value"].as_f64().unwrap(), area["standard_error"].as_f64().unwrap());
            assert!(tables.contains(&format!("{value:.4} ± {:.4}", 1.96 * error)), "{model}, {group}: {value} ± {error} in {tables}");
        }
    }
    assert!(of("clusters").iter().any(|line| line["variant"] == "duia" && line["hit_rate_1"].is_number()));
    assert_eq!((of("note").len(), of("failure").len(), of("end")[0]["outcome"].as_str()), (0, 0, Some("finished")));
    assert_eq!(lines.last().unwrap()["event"], "end");

    // Where a program reads standard output there is nothing else on it, and the tables go where people still see them.
    let piped = duia(folder.path(), [&TINY[..], &["--log", "json", "--out", "piped", "--quiet"]].concat());
    assert!(text(&piped.stderr).contains("DUIA minus PLE"));
    let figures = |log: &str| {
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["event"] == "evaluation").map(|line| line["models"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(figures(&text(&piped.stdout)), figures(&log));
}

#[cfg(unix)]
#[test]
fn a_run_that_stops_or_fails_says_so_in_its_log() {
    let folder = tempdir().unwrap();
    let events = |log: &str| log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
    fs::write(folder.path().join("number.csv"), b"1,2,3,pv,1511600000\n1,two,3,pv,1511600001\n").unwrap();
    let refused = duia(folder.path(), ["train", "--log", "json", "--data", "number.csv"]);
    let lines = events(&text(&refused.stdout));
    let [.., failure, end] = &lines[..] else { panic!("{lines:?}") };
    assert!(failure["what"].as_str().unwrap().contains("line 2") && end["outcome"] == "failed", "{lines:?}");
    assert_eq!(refused.status.code(), Some(2));

    let arguments = [&TINY[..], &SHORT[..6], &["--log", "json", "--log-file", "log.jsonl"]].concat();
    let (child, _) = begun(folder.path(), &arguments, |line| line.contains("side by side"));
    signal(&child, "-INT");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    let log = || events(&fs::read_to_string(folder.path().join("log.jsonl")).unwrap());
    let stopped = log();
    let [.., saved, _, end] = &stopped[..] else { panic!("{stopped:?}") };
    assert!(saved["event"] == "saved" && end["outcome"] == "stopped", "{stopped:?}");
    assert!(duia(folder.path(), ["train", "--resume", "run", "--log", "json", "--log-file", "log.jsonl"]).status.success());
    let all = log();
    assert_eq!(all[..stopped.len()], stopped[..]);
    assert_eq!((&all[stopped.len()]["event"], &all[stopped.len()]["step"]), (&"resumed".into(), &saved["step"]));
    assert_eq!(all.last().unwrap()["outcome"], "finished");
}

/// What TensorFlow's `record_writer.h`, `event.proto` and `summary.proto` say, read by a reader of its own.
mod event_files {
    /// CRC-32C, bit by bit, turned and moved.
    fn masked(bytes: &[u8]) -> u32 {
        let mut crc = u32::MAX;
        for byte in bytes {
            crc ^= u32::from(*byte);
            (0..8).for_each(|_| crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 });
        }
        let crc = !crc;
        crc.rotate_right(15).wrapping_add(0xa282_ead8)
    }

    /// The messages of a file, whose sums must be right.
    pub fn messages(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let sum = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let message = &bytes[12..12 + length];
            assert_eq!((sum(8), sum(12 + length)), (masked(&bytes[..8]), masked(message)));
            messages.push(message);
            bytes = &bytes[16 + length..];
        }
        messages
    }

    /// What a field of a message holds.
    #[derive(Debug)]
    pub enum Field<'a> {
        Number(u64),
        Double(f64),
        Float(f32),
        Bytes(&'a [u8]),
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let (number, rest) = bytes.split_at(length);
        *bytes = rest;
        number.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f))
    }

    /// The fields of a message with their numbers.
    pub fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
        let mut fields = Vec::new();
        while !message.is_empty() {
            let key = varint(&mut message);
            let mut take = |length: usize| {
                let (taken, rest) = message.split_at(length);
                message = rest;
                taken
            };
            let field = match key & 7 {
                0 => Field::Number(varint(&mut message)),
                1 => Field::Double(f64::from_le_bytes(take(8).try_into().unwrap())),
                5 => Field::Float(f32::from_le_bytes(take(4).try_into().unwrap())),
                2 => {
                    let length = varint(&mut message) as usize;
                    let (taken, rest) = message.split_at(length);
                    message = rest;
                    Field::Bytes(taken)
                }
                kind => panic!("a field of kind {kind}"),
            };
            fields.push((key >> 3, field));
        }
        fields
    }

    /// Step, tag and value of a message with one scalar.
    pub fn scalar(message: &[u8]) -> (u64, String, f32) {
        let event = fields(message);
        let [(1, Field::Double(time)), (2, Field::Number(step)), (5, Field::Bytes(summary))] = event[..] else { panic!("{event:?}") };
        assert!(time > 1.7e9, "{time}");
        let [(1, Field::Bytes(value))] = fields(summary)[..] else { panic!("one value") };
        let value = fields(value);
        let [(1, Field::Bytes(tag)), (2, Field::Float(figure))] = value[..] else { panic!("{value:?}") };
        (step, String::from_utf8(tag.to_vec()).unwrap(), figure)
    }
}

#[test]
fn tensorboard_gets_every_figure_of_the_series() {
    let folder = tempdir().unwrap();
    let output = duia(folder.path(), [&TINY[..], &["--tensorboard", "--out", "run", "--quiet"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let run = folder.path().join("run");
    let series = fs::read_to_string(run.join("series.csv")).unwrap();
    for variant in ["ple", "duia"] {
        let files: Vec<_> = fs::read_dir(run.join("tensorboard").join(variant)).unwrap().map(|file| file.unwrap().path()).collect();
        let [file] = &files[..] else { panic!("{files:?}") };
        // TensorBoard looks for this in the name.
        assert!(file.file_name().unwrap().to_str().unwrap().starts_with("events.out.tfevents."));
        let bytes = fs::read(file).unwrap();
        let messages = event_files::messages(&bytes);
        let version = event_files::fields(messages[0]);
        assert!(matches!(version[..], [(1, _), (3, event_files::Field::Bytes(b"brain.Event:2"))]), "{version:?}");
        let figures: Vec<(u64, String, f32)> = messages[1..].iter().map(|message| event_files::scalar(message)).collect();
        let of_series = series.lines().skip(1).filter_map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let finite = cells[1] == variant && !cells[3].is_empty();
            finite.then(|| (cells[0].parse().unwrap(), cells[2].replacen('.', "/", 1), cells[3].parse::<f64>().unwrap() as f32))
        });
        assert_eq!(figures, of_series.collect::<Vec<_>>(), "{variant}");
        for wanted in ["test/auc.all", "panel/auc.low", "loss_mtl"] {
            assert!(figures.iter().any(|(_, tag, _)| tag == wanted), "{variant}: no {wanted}");
        }
    }
}

#[test]
fn the_page_of_a_run_asks_nobody_and_has_its_tables_and_charts() {
    let folder = tempdir().unwrap();
    let rows: String = (0..4000_u64).map(|n| format!("{},{},{},pv,{}\n", n * 7 % 40, n * n % 4001, n % 5, 1_511_550_000 + n)).collect();
    fs::write(folder.path().join("a&b<i>.csv"), rows).unwrap();
    let arguments = ["--data", "a&b<i>.csv", "--out", "run", "--set", "batch=64", "--device", "cpu", "--quiet"];
    let output = duia(folder.path(), arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = fs::read_to_string(folder.path().join("run/report.html")).unwrap();
    assert!(page.contains("<h1>duia: a run on a&amp;b&lt;i&gt;.csv</h1>") && !page.contains("<i>"));
    assert!(page.contains("content=\"default-src 'none';") && page.matches("<svg").count() == 3);
    let tables = text(&output.stdout);
    let areas: Vec<&str> = tables.split_whitespace().filter(|word| word.starts_with("0.") && word.len() == 6).collect();
    assert!(areas.len() > 8 && areas.iter().all(|area| page.contains(area)), "{areas:?}");
    let addresses = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for request in ["://", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "<img", "<object", "<embed"] {
        assert!(!addresses.contains(request), "{request}");
    }
}

#[test]
fn a_run_as_one_file_has_the_figures_of_its_series_to_the_last_digit() {
    let folder = tempdir().unwrap();
    let asked = ["--out", "run", "--quiet", "--html", "films/it's a run.html"];
    let output = duia(folder.path(), [&TINY[..], &asked].concat());
    assert!(output.status.success() && text(&output.stdout).contains("The run to play again: films/it's a run.html, "), "{output:?}");
    let html = fs::read_to_string(folder.path().join("films/it's a run.html")).unwrap();
    let (_, rest) = html.split_once("<script type=\"application/json\" id=\"run\">").unwrap();
    let run: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    assert!(run["command"].as_str().unwrap().ends_with("--html 'films/it'\\''s a run.html'"), "{}", run["command"]);
    // Each line of the series that the file shows, as text: a digit that is lost would be seen.
    let number = |text: &str| if text.is_empty() { "null".into() } else { serde_json::to_string(&text.parse::<f64>().unwrap()).unwrap() };
    let series = fs::read_to_string(folder.path().join("run/series.csv")).unwrap();
    let (mut areas, mut rates) = (0, 0);
    for line in series.lines().skip(1) {
        let [_, _, metric, value, error, _] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
        if let Some(group) = ["all", "low", "high"]
            .into_iter()
            .find(|group| ["panel", "test"].iter().any(|set| ["auc", "lift"].iter().any(|what| metric == format!("{set}.{what}.{group}"))))
        {
            let pair = format!("\"{group}\":[{},{}]", number(value), number(error));
            assert!(html.contains(&pair), "{line}: no {pair}");
            areas += 1;
        } else if metric.contains(".clusters.") && metric.ends_with(".hit_rate_1") {
            let pair = format!("\"hit_rate_1\":{}", number(value));
            assert!(html.contains(&pair), "{line}: no {pair}");
            rates += 1;
        }
    }
    assert!(areas > 10 && rates > 2, "{areas} areas, {rates} hit rates:\n{series}");
    assert!(!run["pictures"].as_array().unwrap().is_empty(), "the users find their clusters on the way");
    assert!(run["evaluations"].as_array().unwrap().iter().any(|evaluation| evaluation["kind"] == "whole"));

    // In Chinese the same run has its texts beside it, and may run what reads them.
    let asked = ["--out", "again", "--quiet", "--html", "zh.html", "--html-language", "zh"];
    assert!(duia(folder.path(), [&TINY[..], &asked].concat()).status.success());
    let chinese = fs::read_to_string(folder.path().join("zh.html")).unwrap();
    let figures = |html: &str| html.split_once("\"evaluations\":").unwrap().1.split_once("</script>").unwrap().0.to_owned();
    assert_eq!(figures(&chinese), figures(&html));
    assert!(chinese.starts_with("<!doctype html>\n<html lang=\"zh-CN\">") && chinese.contains("低活用户") && !html.contains("低活用户"));

    fs::create_dir(folder.path().join("taken")).unwrap();
    refused(&folder, &[&TINY[..], &["--html", "taken"]].concat(), &["taken", "it is a folder", "Choose another place with --html"]);
}

/// Exposures with labels, in time order, each a second after the one before: who likes what follows from both.
fn exposures(rows: u64) -> Vec<String> {
    let row = |n: u64| {
        let (user, item) = (n * 7 % 41, n * n % 211);
        let likes = (user + item).is_multiple_of(3) || n.is_multiple_of(11);
        format!("u-{user},\"item, {item}\",{},{}", 1_600_000_000 + n, u8::from(likes))
    };
    (0..rows).map(row).collect()
}

/// The chance that a positive stands before a negative, one pair at a time.
fn area(scores: &[(f64, bool)]) -> f64 {
    let of = |wanted: bool| scores.iter().filter(move |(_, label)| *label == wanted).map(|(score, _)| *score);
    let won = |a: f64, b: f64| if a > b { 1.0 } else { f64::from(u8::from(a == b)) / 2.0 };
    let all: f64 = of(true).map(|a| of(false).map(|b| won(a, b)).sum::<f64>()).sum();
    all / (of(true).count() * of(false).count()) as f64
}

#[test]
fn rows_are_scored_as_the_evaluation_of_the_run_scored_them() {
    let folder = tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let rows = exposures(6_000);
    write("shown.csv", format!("who,what,when,clicked\n{}\n", rows.join("\n")));
    // A profile and attributes too, which are found again by whoever scores.
    let columns = "user=who,item=what,time=when,label=clicked,profile=who,attribute=what";
    let train = ["train", "--data", "shown.csv", "--columns", columns, "--set", "negatives=none", "--set", "batch=64", "--device", "cpu"];
    let more = ["--out", "run", "--checkpoint-every", "30", "--weights-out", "weights", "--quiet"];
    let trained = duia(folder.path(), [&train[..], &more].concat());
    assert!(trained.status.success(), "{}", text(&trained.stderr));

    // The other way round: scores follow the file, not time.
    let backwards: Vec<&str> = rows.iter().rev().map(String::as_str).collect();
    write("backwards.csv", format!("who,what,when,clicked\n{}\n", backwards.join("\n")));
    let score = |file: &str, checkpoint: &str, out: &str, more: &[&str]| {
        duia(folder.path(), [&["score", file, "--checkpoint", checkpoint, "--out", out, "--device", "cpu"], more].concat())
    };
    let scored = score("backwards.csv", "run", "scores.csv", &[]);
    assert!(scored.status.success() && text(&scored.stderr).contains("Scoring backwards.csv with PLE; DUIA"), "{}", text(&scored.stderr));
    assert!(text(&scored.stdout).contains("Scored 6,000 of 6,000 rows: scores.csv."), "{}", text(&scored.stdout));
    let scores = read("scores.csv");
    let mut lines = scores.lines();
    assert_eq!(lines.next(), Some("who,what,when,ple_a,ple_b,duia_a,duia_b"));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), rows.len());
    let report: Value = serde_json::from_str(&read("run/report.json")).unwrap();
    assert!(report["data"]["interest"]["high"]["profile"].as_f64().unwrap() > 0.0, "{}", report["data"]);
    for (model, column) in [(0, 4), (1, 2)] {
        let of = |(row, line): (&&str, &&str)| {
            let (ids, label) = row.rsplit_once(',').unwrap();
            assert!(line.starts_with(&format!("{ids},")), "{line} is not of {row}");
            (line.rsplit(',').nth(column - 1).unwrap().parse::<f64>().unwrap(), label == "1")
        };
        // The newest fifth is the test.
        let test: Vec<(f64, bool)> = backwards.iter().zip(&lines).take(rows.len() / 5).map(of).collect();
        let expected = report["models"][model]["score"]["auc"]["all"]["value"].as_f64().unwrap();
        assert!((area(&test) - expected).abs() < 1e-12, "{} and {expected}", area(&test));
    }

    // Weights give the same scores as the checkpoint, and want to be told the rows.
    let told = ["--columns", columns, "--data", "shown.csv", "--quiet"];
    let alone = score("backwards.csv", "weights/duia.safetensors", "alone.csv", &told);
    assert!(alone.status.success() && alone.stderr.is_empty(), "{}", text(&alone.stderr));
    let last =
        |text: String| text.lines().map(|line| line.rsplitn(3, ',').take(2).map(str::to_owned).collect()).collect::<Vec<Vec<String>>>();
    assert_eq!(last(read("alone.csv")), last(scores.clone()));

    // Candidates that are no rows, some of nobody and nothing that the run knows: a header of their own, times as dates, a tab between.
    let candidates = "sku\tcustomer\tat\nitem, 1\tu-5\t2021-01-01T00:00:00Z\nitem, 4\tu-5\t2021-01-01\nitem, 4\tnobody\t2021-01-01\n\
        nothing\tu-5\t2021-01-01\nitem, 4\tu-5\tlater\n";
    write("candidates.tsv", candidates.into());
    let form = ["--columns", "user=customer,item=sku,time=at", "--delimiter", "tab"];
    let some = score("candidates.tsv", "run", "some.csv", &form);
    let said = text(&some.stdout);
    assert!(said.contains("Scored 2 of 5 rows: some.csv."), "{said}{}", text(&some.stderr));
    for part in ["1 of a user that", "1 of an item that", "1 without a time that can be read"] {
        assert!(said.contains(part), "{said}");
    }
    let some = read("some.csv");
    let some: Vec<&str> = some.lines().collect();
    assert_eq!(some[0], "customer,sku,at,ple_a,ple_b,duia_a,duia_b");
    assert!(some[1].starts_with("u-5,\"item, 1\",2021-01-01T00:00:00Z,") && some[3] == "nobody,\"item, 4\",2021-01-01,,,,");

    let none = ["--columns", "user=sku,item=customer,time=at", "--delimiter", "tab"];
    let arguments = ["score", "candidates.tsv", "--checkpoint", "run", "--device", "cpu", "--quiet", "--out", "x.csv"];
    refused(&folder, &[&arguments[..], &none].concat(), &["5 rows, and none can be scored", "5 of a user", "--columns"]);
}

#[test]
fn what_cannot_be_scored_with_is_refused_with_a_sentence() {
    let folder = tempdir().unwrap();
    let (run, rows) = (folder.path().join("run"), folder.path().join("rows.csv"));
    let small =
        [&TINY[..], &["--set", "rows=6000", "--out", "run", "--checkpoint-every", "5", "--weights-out", "weights", "--quiet"]].concat();
    assert!(duia(folder.path(), &small).status.success());
    fs::write(&rows, "user_id,item_id,timestamp\n3,7,1511600000\n4,8,1511600000\n").unwrap();
    let score = |checkpoint: &str| {
        ["score", "rows.csv", "--out", "s.csv", "--device", "cpu", "--quiet", "--checkpoint", checkpoint].map(str::to_owned)
    };
    let refused = |arguments: &[String], parts: &[&str]| {
        refused(&folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), parts);
    };
    let good = duia(folder.path(), score("run"));
    assert!(good.status.success(), "{}", text(&good.stderr));
    let first = fs::read(folder.path().join("s.csv")).unwrap();
    let again = duia(folder.path(), score("run"));
    assert!(again.status.success() && fs::read(folder.path().join("s.csv")).unwrap() == first);
    fs::remove_file(folder.path().join("s.csv")).unwrap();

    refused(&score("nowhere"), &["nowhere cannot be used"]);
    refused(&score("weights"), &["weights cannot be used: it holds no checkpoint", "--checkpoint-every 500"]);
    refused(&score("rows.csv"), &["rows.csv cannot be used"]);
    let mut other = score("run");
    other[3] = "s.xlsx".into();
    refused(&other, &["s.xlsx cannot be used: its ending tells no format", ".csv"]);
    other[3] = "rows.csv".into();
    refused(&other, &["it is the file that is to be scored"]);
    let generate = ["generate", "--rows", "3000", "--out", "other.csv"];
    assert!(duia(folder.path(), generate).status.success());
    refused(&[&score("run")[..], &["--data", "other.csv"].map(str::to_owned)].concat(), &["of other rows", "--data"]);
    fs::write(folder.path().join("lacks.csv"), "who,item_id\n3,7\n").unwrap();
    let mut lacks = score("run");
    lacks[1] = "lacks.csv".into();
    refused(&lacks, &["lacks.csv cannot be understood", "--columns"]);

    // The newest is cut off: the one before it is taken, and said so; then none is left.
    let mut kept: Vec<_> = fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    kept.sort();
    let cut = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    cut(kept.last().unwrap());
    let older = duia(folder.path(), score("run"));
    assert!(older.status.success() && text(&older.stderr).contains("it was cut off"), "{}", text(&older.stderr));
    fs::remove_file(folder.path().join("s.csv")).unwrap();
    refused(&score(kept.last().unwrap().to_str().unwrap()), &["the checkpoint is damaged", "it was cut off", "Name another checkpoint"]);
    kept[..kept.len() - 1].iter().for_each(cut);
    refused(&score("run"), &["cannot be used: the checkpoint is damaged", "train again"]);
}

/// A pipe that never ends: there is nothing to keep yet.
#[cfg(unix)]
#[test]
fn a_signal_while_rows_are_read_ends_the_program_and_leaves_nothing_behind() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    let folder = tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_duia"));
    command.current_dir(folder.path()).args(["train", "--data", "-", "--device", "cpu"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(rows(2_000).as_bytes()).unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(said.next().unwrap(), "Reading standard input …");
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(said.any(|line| line.contains("before training began")));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    drop(pipe);
}

/// Ten billion rows are on their way when it comes.
#[cfg(unix)]
#[test]
fn a_signal_while_rows_are_written_leaves_nothing_behind() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let folder = tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_duia"));
    command.current_dir(folder.path()).args(["generate", "--rows", "10000000000", "--out", "rows.csv"]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(said.next().unwrap(), "Writing 10,000,000,000 rows to rows.csv …");
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(said.any(|line| line == "Ended as you asked; nothing was written."));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Two places are taken while the run goes on; what can be written is written, and the table comes first.
#[cfg(unix)]
#[test]
fn what_can_be_written_is_written_and_the_rest_is_said() {
    let folder = tempdir().unwrap();
    let arguments = [&TINY[..], &["--set", "rows=60000", "--out", "run", "--weights-out", "weights"]].concat();
    let (child, _) = begun(folder.path(), &arguments, |line| line.contains("side by side"));
    for taken in ["run/series.csv/taken", "weights/ple.safetensors/taken"] {
        fs::create_dir_all(folder.path().join(taken)).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("AUC on the whole test set") && said.contains("Weights of DUIA: weights/duia.safetensors"), "{said}");
    assert!(!said.contains("Report, series and plots"), "{said}");
    for file in ["run/report.json", "run/auc.svg", "run/losses.svg", "weights/duia.safetensors", "run/unfinished.txt"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_was_killed_is_not_taken_for_a_whole_one() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = [&TINY[..], &["--set", "rows=2000000", "--out", "run"]].concat();
    let (mut child, _) = begun(folder.path(), &arguments, |line| line.contains("side by side"));
    refused(&folder, &arguments, &["another run is at work in it", "--out"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["unfinished.txt"]);
    assert!(fs::read_to_string(out.join("unfinished.txt")).unwrap().contains("not the whole of it"));
    // The same command goes on, as there is nothing to write over; once there is, it does not.
    let output = duia(folder.path(), [&TINY[..], &["--set", "rows=4000", "--quiet", "--out", "run"]].concat());
    assert!(
        output.status.success() && out.join("report.json").exists() && !out.join("unfinished.txt").exists(),
        "{}",
        text(&output.stderr)
    );
    fs::write(out.join("unfinished.txt"), "").unwrap();
    refused(&folder, &arguments, &["what a run left that did not end", "--out"]);
}

/// Made-up rows, in time order, of 40 users and 97 items of 7 categories.
fn rows(count: u64) -> String {
    (0..count).map(|n| row(n, n * n % 97 % 7)).collect()
}

fn row(n: u64, category: u64) -> String {
    let behaviour = ["pv", "pv", "pv", "cart", "fav", "pv", "buy"][(n % 7) as usize];
    format!("{},{},{category},{behaviour},{}\n", n * 7 % 40, n * n % 97, 1_511_550_000 + n)
}

/// A run over a file of made-up rows: a moment.
const OWN: [&str; 12] = [
    "train",
    "--device",
    "cpu",
    "--set",
    "variants=ple",
    "--set",
    "batch=16",
    "--set",
    "probe_set=16",
    "--set",
    "evaluate_every=5",
    "--data",
];

#[test]
fn what_the_reader_put_right_is_said_and_reported() {
    let folder = tempdir().unwrap();
    // Every tenth row names another category for its item; the first line is a header, the second row is repeated.
    let other: String = (0..400).map(|n| row(n, if n % 10 == 9 { 900 } else { n * n % 97 % 7 })).collect();
    let file = format!("user_id,item_id,category_id,behavior_type,timestamp\n{}{other}", row(0, 0));
    fs::write(folder.path().join("rows.csv"), file).unwrap();
    let output = duia(folder.path(), [&OWN[..], &["rows.csv", "--out", "run"]].concat());
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("run/report.json")).unwrap()).unwrap();
    assert_eq!((&report["data"]["rows"], &report["data"]["refused"][0][1]), (&400.into(), &1.into()));
    let notes = report["data"]["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 2, "{notes:?}");
    for (note, part) in notes.iter().zip(["the header \"user_id,item_id", "rows named another category"]) {
        let note = note.as_str().unwrap();
        assert!(note.contains(part) && said.contains(note), "{note} in {said}");
    }
    assert!(said.contains("Refused 1 rows: exact repetitions"), "{said}");
    let sampled = duia(folder.path(), ["sample", "rows.csv", "--out", "sample.bin"]);
    assert!(text(&sampled.stdout).contains("rows named another category"));
    // A sample is known by what it holds, whatever it is called.
    fs::rename(folder.path().join("sample.bin"), folder.path().join("sample.csv")).unwrap();
    let output = duia(folder.path(), [&OWN[..], &["sample.csv", "--out", "sampled"]].concat());
    assert!(text(&output.stderr).contains("a subset of real rows"), "{}", text(&output.stderr));
}

/// A zip archive with these files, not compressed.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let mut crc = flate2::Crc::new();
        crc.update(text);
        let size = text.len() as u32;
        let sizes = [crc.sum(), size, size].map(u32::to_le_bytes).concat();
        let common = [&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0], &sizes[..], &(name.len() as u32).to_le_bytes()].concat();
        let start = (bytes.len() as u32).to_le_bytes();
        bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), text].concat());
        directory.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10], &start, name.as_bytes()].concat());
    }
    let count = [files.len() as u8, 0, files.len() as u8, 0];
    let places = [directory.len() as u32, bytes.len() as u32].map(u32::to_le_bytes).concat();
    [&bytes[..], &directory, b"PK\x05\x06\0\0\0\0", &count, &places, &[0, 0]].concat()
}

#[test]
fn archives_and_pipes_are_read_or_named() {
    use std::io::Write;

    let folder = tempdir().unwrap();
    let plain = rows(300);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(plain.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("rows.csv", plain.as_bytes());
    // A gzip by its name, by its first bytes alone, and in two members.
    write("rows.csv.gz", &packed);
    write("packed.csv", &packed);
    write("twice.gz", &[&packed[..], &packed[..]].concat());
    write("cut.gz", &packed[..packed.len() / 2]);
    write("broken.zip", b"PK\x03\x04\x14\0\0\0\x08\0rows");
    write("rows.zip", &zip(&[("UserBehavior.csv", plain.as_bytes())]));
    write("two.zip", &zip(&[("a.csv", plain.as_bytes()), ("b.csv", plain.as_bytes())]));
    write("nested.zip", &zip(&[("rows.csv.gz", &packed)]));
    write("rows.csv.zst", &zstd::encode_all(plain.as_bytes(), 3).unwrap());
    write("cut.zst", &zstd::encode_all(plain.as_bytes(), 3).unwrap()[..500]);
    write("nested.gz", &{
        let mut twice = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        twice.write_all(&packed).unwrap();
        twice.finish().unwrap()
    });
    write("pointer.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:5a\nsize 3672356734\n");
    write("page.csv", b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n");

    let series = |name: &str| {
        let out = format!("run-{name}");
        let output = duia(folder.path(), [&OWN[..], &[name, "--out", &out]].concat());
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let said = text(&output.stderr);
        let size =
            said.split_once(&format!("Reading {name} (")).and_then(|(_, rest)| rest.split(')').next()).unwrap_or_else(|| panic!("{said}"));
        // The end of a zip, its directory, is not read with the rows.
        let amount = |text: &str| text.trim().split(' ').next().and_then(|number| number.parse::<f64>().ok());
        let last = said.split_once(&format!(" of {size}: ")).and_then(|(before, _)| amount(before.rsplit('\n').next()?));
        let (last, all) = last.zip(amount(size)).unwrap_or_else(|| panic!("{said}"));
        assert!(last <= all && last > 0.9 * all, "never more than all: {said}");
        fs::read_to_string(folder.path().join(out).join("series.csv")).unwrap()
    };
    let expected = series("rows.csv");
    for name in ["rows.csv.gz", "packed.csv", "twice.gz", "rows.zip", "rows.csv.zst"] {
        assert_eq!(series(name), expected, "{name}");
    }
    let piped = std::process::Command::new(env!("CARGO_BIN_EXE_duia"))
        .current_dir(folder.path())
        .args([&OWN[..], &["-", "--out", "piped"]].concat())
        .stdin(fs::File::open(folder.path().join("packed.csv")).unwrap())
        .output()
        .unwrap();
    assert!(piped.status.success(), "{}", text(&piped.stderr));
    assert_eq!(fs::read_to_string(folder.path().join("piped/series.csv")).unwrap(), expected);

    refused(&folder, &[&OWN[..], &["cut.gz"]].concat(), &["cut.gz cannot be read"]);
    for (name, parts) in [
        ("cut.zst", &["cut.zst cannot be read"][..]),
        ("broken.zip", &["broken.zip cannot be used: it is a damaged zip archive", "Download it again"]),
        ("two.zip", &["a zip archive of 2 files (a.csv, b.csv)", "the one file that holds the rows"]),
        ("nested.zip", &["within it lies another archive", "Unpack it"]),
        ("nested.gz", &["within it lies another archive", "Unpack it"]),
    ] {
        refused(&folder, &[&OWN[..], &[name]].concat(), parts);
    }
    refused(&folder, &[&OWN[..], &["pointer.csv"]].concat(), &["a Git LFS pointer", "`git lfs pull`"]);
    refused(&folder, &[&OWN[..], &["page.csv"]].concat(), &["a web page", "<!DOCTYPE html>", "Download the file again"]);
}

/// Another shop's log: text ids, dates, its own words, semicolons, and two rows that are none.
#[test]
fn a_file_of_ones_own_is_inspected_and_trained_on() {
    let folder = tempdir().unwrap();
    let words = ["view", "view", "view", "cart", "wishlist", "view", "purchase"];
    let line = |n: u64| {
        let time = 1_700_000_000 + n * 3_600;
        format!("{};{};shoes-{};u{};i{}\n", time * 1_000, words[(n % 7) as usize], n * n % 97 % 7, n * 7 % 40, n * n % 97)
    };
    let text = format!(
        "ts;what;kind;who;which\n{}noon;view;shoes;u1;i1\n1700000000000;remove;shoes;u1;i1\n",
        (0..400).map(line).collect::<String>()
    );
    fs::write(folder.path().join("shop.csv"), &text).unwrap();
    let guessed = duia(folder.path(), ["inspect", "shop.csv", "--out", "guess.json"]);
    assert!(text_of(&guessed).contains("Check: Column 3 is taken for the user by its place."), "{}", text_of(&guessed));
    let columns = "user=who,item=which,category=kind,behavior=what,time=ts";
    let inspected = duia(folder.path(), ["inspect", "shop.csv", "--columns", columns]);
    let said = text_of(&inspected);
    assert!(inspected.status.success(), "{said}");
    for part in [
        "parted by semicolons",
        "u7",
        "2023-11-14T23:13:20Z",
        "400 rows would be read, of 40 users",
        "Refused 1 rows: a time that is neither a number of seconds nor a date, first in line 402: \"noon\"",
        "Refused 1 rows: a behaviour that the schema does not name (`remove`), first in line 403",
        "--schema shop.csv.schema.json",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let run = |out: &str, form: &[&str]| {
        let output = duia(folder.path(), [&OWN[..], &["shop.csv", "--out", out], form].concat());
        assert!(output.status.success(), "{}", text_of(&output));
        let report: Value = serde_json::from_slice(&fs::read(folder.path().join(out).join("report.json")).unwrap()).unwrap();
        assert_eq!((&report["data"]["rows"], &report["data"]["users"], &report["data"]["items"]), (&400.into(), &40.into(), &49.into()));
        fs::read_to_string(folder.path().join(out).join("series.csv")).unwrap()
    };
    assert_eq!(run("by-columns", &["--columns", columns]), run("by-schema", &["--schema", "shop.csv.schema.json"]));
    refused(
        &folder,
        &[&OWN[..], &["shop.csv", "--columns", "user=who,item=which,time=when"]].concat(),
        &["no column `when`", "ts, what", "duia inspect"],
    );
    refused(&folder, &[&OWN[..], &["shop.csv", "--columns", "user=who"]].concat(), &["no column is the item"]);
    refused(&folder, &[&OWN[..], &["shop.csv", "--schema", "shop.csv"]].concat(), &["it is no schema", "duia inspect"]);
}

/// Rows of the known form give the same run when they are read as somebody's own.
#[test]
fn the_known_form_under_a_schema_is_the_same_run() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("rows.csv"), rows(300)).unwrap();
    let inspected = duia(folder.path(), ["inspect", "rows.csv", "--out", "form.json"]);
    assert!(inspected.status.success(), "{}", text_of(&inspected));
    let series = |out: &str, form: &[&str]| {
        let output = duia(folder.path(), [&OWN[..], &["rows.csv", "--out", out], form].concat());
        assert!(output.status.success(), "{}", text_of(&output));
        fs::read_to_string(folder.path().join(out).join("series.csv")).unwrap()
    };
    assert_eq!(series("known", &[]), series("own", &["--schema", "form.json"]));

    // The commands that go through a file many times, and the one that cuts it, read it in the same way.
    let sampled = |form: &[&str], out: &str| {
        let output = duia(folder.path(), [&["sample", "rows.csv", "--users", "20", "--out", out], form].concat());
        assert!(output.status.success(), "{}", text_of(&output));
        fs::read(folder.path().join(out)).unwrap()
    };
    assert_eq!(sampled(&[], "known.bin"), sampled(&["--schema", "form.json"], "own.bin"));
    assert_ne!(sampled(&[], "known.bin"), sampled(&["--columns", "user=2,item=1,time=5"], "other.bin"));
    for command in [&["ablate", "--data"][..], &["sweep", "length", "--data"]] {
        let arguments = [command, &["rows.csv", "--columns", "user=1,item=2,category=3,time=9"]].concat();
        refused(&folder, &arguments, &["rows.csv, line 1", "no column `9`", "duia inspect"]);
    }
}

#[test]
fn a_stream_is_generated_whole_or_not_at_all() {
    let folder = tempdir().unwrap();
    let generate = ["generate", "--rows", "2000", "--set", "users=50", "--out"];
    let output = duia(folder.path(), [&generate[..], &["made/rows.csv"]].concat());
    assert!(output.status.success() && text(&output.stdout).starts_with("Wrote made/rows.csv: 2,000 rows, "), "{}", text_of(&output));
    assert_eq!(fs::read_dir(folder.path().join("made")).unwrap().count(), 1);
    let made = fs::read_to_string(folder.path().join("made/rows.csv")).unwrap();
    assert_eq!(made.lines().count(), 2_000);
    // Options in another order, and over what lies there.
    let output = duia(folder.path(), ["generate", "--out", "made/rows.csv", "--set", "users=50", "--set", "rows=2000"]);
    assert!(output.status.success(), "{}", text_of(&output));
    assert_eq!(fs::read_to_string(folder.path().join("made/rows.csv")).unwrap(), made);
    refused(&folder, &[&generate[..], &["rows.txt"]].concat(), &["rows.txt cannot be used", "Name it .csv"]);
    refused(&folder, &["generate", "--rows", "5", "--out", "rows.csv"], &["rows = 5 cannot be used"]);
    fs::write(folder.path().join("file"), "").unwrap();
    refused(&folder, &[&generate[..], &["file/rows.csv"]].concat(), &["cannot be written", "--out"]);
}

fn text_of(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn a_long_file_and_a_whole_test_show_how_far_they_are() {
    let folder = tempdir().unwrap();
    // So many items that nobody had them all.
    let line = |n: u64| format!("{},{},{},pv,{}\n", 1_000_000 + n * 7 % 40, n * 31 % 100_003, n * 31 % 100_003 % 7, 1_511_550_000 + n);
    fs::write(folder.path().join("rows.csv"), (0..600_000).map(line).collect::<String>()).unwrap();
    let output = duia(folder.path(), ["sample", "rows.csv", "--out", "sample.bin"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.starts_with("Reading rows.csv ("), "{said}");
    let shares: Vec<&str> = said.lines().filter(|line| line.contains("MiB of ") && line.contains(" lines")).collect();
    assert!((5..=12).contains(&shares.len()), "{said}");

    // Its rows are kept, and opened while neither the file nor the way to read it changes.
    let cache = folder.path().join("rows.csv.duia-cache");
    let sample = fs::read(folder.path().join("sample.bin")).unwrap();
    let again = |more: &[&str], part: &str| {
        let output = duia(folder.path(), [&["sample", "rows.csv", "--out", "again.bin"], more].concat());
        let said = text(&output.stderr);
        assert!(output.status.success() && said.contains(part), "{part} in {said}");
        assert_eq!(said.contains("Reading rows.csv ("), part != "Opened the rows", "{said}");
        fs::read(folder.path().join("again.bin")).unwrap()
    };
    let kept = fs::read(&cache).unwrap();
    assert_eq!(again(&[], "Opened the rows"), sample);
    assert_eq!(again(&["--no-cache"], "Reading rows.csv"), sample);
    again(&["--columns", "user=2,item=1,time=5"], "the file has changed, or is read in another way. rows.csv is read again");
    again(&[], "is read in another way");
    fs::write(&cache, &kept[..kept.len() / 2]).unwrap();
    assert_eq!(again(&[], "it is damaged. rows.csv is read again"), sample);
    assert_eq!(fs::read(&cache).unwrap(), kept);
    let other_version = [&kept[..8], &[kept[8] + 1], &kept[9..]].concat();
    fs::write(&cache, other_version).unwrap();
    assert_eq!(again(&[], "another version of the program wrote it"), sample);
    let mut changed = fs::read(folder.path().join("rows.csv")).unwrap();
    changed.truncate(changed.len() - 1_000);
    changed.truncate(1 + changed.iter().rposition(|byte| *byte == b'\n').unwrap());
    fs::write(folder.path().join("rows.csv"), changed).unwrap();
    assert_ne!(again(&[], "the file has changed"), sample);

    let output =
        duia(folder.path(), [&OWN[..], &["sample.bin", "--out", "run", "--set", "train_share=0.05", "--set", "batch=512"]].concat());
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("test row ") && said.contains(" of 570,000: scored"), "{said}");
}

#[test]
fn rows_too_few_are_refused_with_a_batch_that_fits() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("few.csv"), rows(14)).unwrap();
    let arguments = [&OWN[..], &["few.csv", "--set", "batch=512"]].concat();
    refused(&folder, &arguments, &["few.csv has 11 training rows", "--set batch=16"]);
    let said = text(&duia(folder.path(), &arguments).stderr);
    assert!(!said.contains("the line named") && !said.contains("Mend"), "{said}");
    fs::write(folder.path().join("three.csv"), rows(3)).unwrap();
    refused(&folder, &[&OWN[..], &["three.csv"]].concat(), &["three.csv has 2 training rows", "Use more rows"]);
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
