//! Processes that `mpirun` starts: `make mpi` installs Debian's Open MPI and runs these.

#![cfg(unix)]

mod common;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::skip::skip;
use common::together::{eventful, learned, shared};
use common::training::variants;
use duia::communicator::Communicator;
use duia::communicator::mpi::Membership;
use tempfile::tempdir;

/// Steps of every model.
const STEPS: u64 = 200;
/// Where the processes of [`one_of_several`] leave what they learned.
const KEPT: &str = "DUIA_MPI_KEPT";

/// So many processes, more than there are processors if need be.
fn mpirun(processes: usize) -> Command {
    let mut command = Command::new("mpirun");
    // One that waits lets others run: elsewhere it would hold a processor until the system takes it away, ten milliseconds each time.
    command.args(["--mca", "mpi_yield_when_idle", "1"]);
    command.args(["--allow-run-as-root", "--oversubscribe", "-n", &processes.to_string()]);
    command
}

/// Whether there is a `mpirun`; else the line of what is not tested.
fn is_there(what: &str) -> bool {
    let there = Command::new("mpirun").arg("--version").output().is_ok();
    if !there {
        skip(what, "there is no mpirun here; `make mpi` installs it");
    }
    there
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a process of [`every_model_in_two_processes`] does; by itself it is no test.
#[test]
#[ignore = "started by mpirun"]
fn one_of_several() {
    let Ok(kept) = env::var(KEPT) else { return };
    let membership = Membership::join().unwrap();
    let communicator: Arc<dyn Communicator> = Arc::new(membership.communicator());
    for variant in variants() {
        let words = learned(&eventful(variant), STEPS, Some(communicator.clone())).words();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        fs::write(Path::new(&kept).join(format!("{}.{}", variant.key(), communicator.rank())), bytes).unwrap();
    }
    membership.leave();
}

#[test]
fn every_model_in_two_processes_is_that_of_one() {
    if !is_there("two processes of an MPI") {
        return;
    }
    let kept = tempdir().unwrap();
    let mut processes = mpirun(2);
    let output = processes.arg(env::current_exe().unwrap()).args(["--exact", "--ignored", "one_of_several"]).env(KEPT, kept.path());
    let output = output.output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    for variant in variants() {
        // The bytes of one process that sums in the same order; `tests/together.rs` holds those to one that does not share its batches.
        let expected = shared(&eventful(variant), STEPS, 2).remove(0).words();
        for rank in 0..2 {
            let bytes = fs::read(kept.path().join(format!("{}.{rank}", variant.key()))).unwrap();
            let words: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
            assert!(words == expected, "{variant:?}: process {rank} holds other numbers");
        }
    }
}

/// A run of some seconds.
const RUN: [&str; 18] = [
    "train",
    "--device",
    "cpu",
    "--set",
    "users=200",
    "--set",
    "items=800",
    "--set",
    "rows=60000",
    "--set",
    "user_groups=4",
    "--set",
    "probe_set=64",
    "--set",
    "evaluate_every=20",
    "--set",
    "variants=ple,duia,ple-cl",
    "--quiet",
];

fn duia(folder: &Path, processes: usize, arguments: &[&str]) -> Output {
    let mut command = if processes == 1 { Command::new(env!("CARGO_BIN_EXE_duia")) } else { mpirun(processes) };
    if processes > 1 {
        command.arg(env!("CARGO_BIN_EXE_duia"));
    }
    command.current_dir(folder).args(arguments).output().unwrap()
}

/// What a run leaves that depends on nothing but its sums.
fn results(folder: &Path) -> Vec<Vec<u8>> {
    let files = ["ple", "duia", "ple-cl"].map(|model| format!("weights/{model}.safetensors"));
    files.into_iter().chain(["run/series.csv".into()]).map(|file| fs::read(folder.join(file)).unwrap()).collect()
}

/// The areas of a run's models.
fn areas(folder: &Path) -> Vec<f64> {
    let report: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("run/report.json")).unwrap()).unwrap();
    let area = |model: &serde_json::Value| model["score"]["auc"]["all"]["value"].as_f64().unwrap();
    report["models"].as_array().unwrap().iter().map(area).collect()
}

fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder.join("run/checkpoints")).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The process of a rank among those that `folder` is the working directory of.
fn process_of(folder: &Path, rank: usize) -> Option<String> {
    let wanted = format!("OMPI_COMM_WORLD_RANK={rank}");
    let is_it = |process: &Path| {
        let is_here = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
        is_here && fs::read(process.join("environ")).is_ok_and(|all| all.split(|&byte| byte == 0).any(|one| one == wanted.as_bytes()))
    };
    let processes = fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    processes.filter(|process| is_it(process)).find_map(|process| Some(process.file_name()?.to_str()?.to_owned()))
}

#[test]
fn a_worker_that_dies_ends_the_run_with_a_sentence_and_it_goes_on() {
    if !is_there("a process of an MPI that dies") {
        return;
    }
    let arguments = [&RUN[..], &["--out", "run", "--weights-out", "weights", "--checkpoint-every", "20"]].concat();
    let [whole, folder, other, alone] = [(); 4].map(|()| tempdir().unwrap());
    let output = duia(whole.path(), 2, &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    // One process alone has the same areas, to what rounding makes of a thousand steps.
    assert!(duia(alone.path(), 1, &arguments).status.success());
    let off = areas(whole.path()).iter().zip(areas(alone.path())).map(|(two, one)| (two - one).abs()).fold(0.0, f64::max);
    assert!(off < 5e-3, "areas are off by {off}");

    let mut two = mpirun(2);
    let two = two.arg(env!("CARGO_BIN_EXE_duia")).args(&arguments).current_dir(folder.path());
    let two = two.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let (began, at) = (Instant::now(), folder.path().canonicalize().unwrap());
    while checkpoints(&at).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(120), "no checkpoint");
        sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-KILL", &process_of(&at, 1).unwrap()]).status().unwrap().success());
    let output = two.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("A process of this run has ended"), "{said}");
    assert!(said.contains("duia train --resume run") && !said.contains("panicked"), "{said}");

    // Whatever number of processes goes on: as many leave the same bytes, and one the same but for rounding.
    Command::new("cp").args(["-r", at.join("run").to_str().unwrap(), other.path().to_str().unwrap()]).status().unwrap();
    let goes_on = ["train", "--quiet", "--resume", "run"];
    let output = duia(&at, 2, &goes_on);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(results(&at), results(whole.path()));
    let output = duia(other.path(), 1, &[&goes_on[..], &["--weights-out", "weights"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let off = areas(other.path()).iter().zip(areas(whole.path())).map(|(one, two)| (one - two).abs()).fold(0.0, f64::max);
    assert!(off < 5e-3, "areas are off by {off}");
}

#[test]
fn what_several_processes_cannot_do_is_said() {
    if !is_there("what an MPI's processes refuse") {
        return;
    }
    let folder = tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let output = duia(folder.path(), 2, arguments);
        assert!(!output.status.success());
        text(&output.stderr)
    };
    let uneven = said(&[&RUN[..], &["--out", "run", "--set", "batch=62"]].concat());
    assert!(uneven.contains("a multiple of 4") && uneven.contains("2 processes"), "{uneven}");
    let other = said(&["simulate"]);
    assert!(other.contains("Start this command without mpirun"), "{other}");
}
