//! What runs really take, against what is said of them before they start.

#![cfg(all(target_os = "linux", feature = "native"))]

use std::alloc::{GlobalAlloc, Layout};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use duia::config::Config;
use duia::data::generator::Generator;
use duia::footprint::{Footprint, Shape};
use duia::platform::block_on;
use duia::wire::{DeviceChoice, Event};

/// The program's own allocator, which counts: what it keeps of freed memory belongs to what a run takes.
struct Counting(mimalloc::MiMalloc);

#[global_allocator]
static ALLOCATOR: Counting = Counting(mimalloc::MiMalloc);

/// Bytes that the program asked for and has not given back.
static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything goes to mimalloc; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(size, Relaxed);
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { self.0.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { self.0.dealloc(place, layout) }
    }
}

/// Tells a process of its own which run to measure.
const RUN: &str = "DUIA_MEASURED_RUN";

/// Runs in which one part after the other is large: nothing, models, tables, memories of both sides, a batch, rows.
const RUNS: [&str; 6] = [
    "#rows=60000",
    "#rows=10000&variants=ple,uie,uie-upbe,duia,duia-items",
    "#users=300000&items=1000000&categories=5000&rows=20000",
    "#users=200000&items=300000&categories=2000&rows=20000&variants=ple,uie-upbe,duia-items",
    "#batch=16384&embedding=64&rows=60000",
    "#rows=3000000&variants=popularity",
];

#[test]
fn what_a_run_takes_is_what_was_said_within_thirty_percent() {
    for run in RUNS {
        let config = config(run);
        let said = Footprint::new(&config, Shape::synthetic(&config));
        let ratio = || {
            let taken = taken(run);
            let ratio = said.total() as f64 / taken as f64;
            eprintln!("{run}: said {} MB, taken {} MB, ratio {ratio:.2}, {said:?}", said.total() / 1_000_000, taken / 1_000_000);
            ratio
        };
        // The pages that the allocator keeps make it swing by a tenth: one that is far off is measured again.
        let is_near = (0..3).any(|_| (0.7..=1.3).contains(&ratio()));
        assert!(is_near, "{run}: three times more than thirty per cent off, as printed above: {said:?}");
    }
}

/// The most memory that a run held, in bytes.
fn taken(run: &str) -> u64 {
    let text = printed(run, "a_measured_run");
    text.lines().find_map(|line| line.split_once("taken ")?.1.trim().parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// What an ignored test of this file prints of a run, in a process of its own.
fn printed(run: &str, test: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).env(RUN, run).args(["--exact", test, "--ignored", "--nocapture"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The run that the environment names, in a process of its own, and the most memory that it held.
#[test]
#[ignore = "a part of the test above"]
fn a_measured_run() {
    let config = config(&std::env::var(RUN).unwrap());
    let source = Arc::new(Generator::new(&config));
    block_on(duia::training::run(config, source, DeviceChoice::Cpu, |_| {})).unwrap();
    println!("taken {}", of_status("VmHWM:"));
}

/// Growth of the memory that a run may have once it is under way. What the system says of the process would not do: with the pages
/// that the allocator keeps it swings by a tenth from one evaluation to the next, which failed this test once without any leak.
const FLAT: f64 = 1.01;

/// `DUIA_SOAK=100000 cargo test --release --test footprint flat` takes so many steps.
#[test]
fn memory_stays_flat_step_after_step() {
    let steps: u64 = std::env::var("DUIA_SOAK").map_or(3_000, |steps| steps.parse().unwrap());
    // 250 steps a pass.
    let passes = steps.div_ceil(250);
    let run = format!("#users=300&items=1500&categories=40&rows=20000&batch=128&passes={passes}&evaluate_every=100&probe_set=256");
    let text = printed(&format!("{run}&variants=ple,duia-items,duia-plus"), "a_long_run");
    let held: Vec<f64> = text.lines().filter_map(|line| line.split_once("held ")?.1.trim().parse().ok()).collect();
    assert!(held.len() >= 10, "{text}");
    let most = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
    // The first third is warm-up: centres are filled, buffers grow to what they need.
    let (_, under_way) = held.split_at(held.len() / 3);
    let (before, after) = under_way.split_at(under_way.len() / 2);
    let growth = most(after) / most(before);
    eprintln!("{steps} steps: {:.2} MB, then {:.2} MB at most", most(before) / 1e6, most(after) / 1e6);
    assert!(growth <= FLAT, "memory grew by {:.1} %: {held:?}", 100.0 * (growth - 1.0));
}

/// The run that the environment names, in a process of its own, and the bytes that it held each time it was evaluated.
#[test]
#[ignore = "a part of the test above"]
fn a_long_run() {
    let config = config(&std::env::var(RUN).unwrap());
    let source = Arc::new(Generator::new(&config));
    let tell = |event: Event| {
        if let Event::Evaluation(_) = event {
            println!("held {}", LIVE.load(Relaxed));
        }
    };
    block_on(duia::training::run(config, source, DeviceChoice::Cpu, tell)).unwrap();
}

/// Bytes that the system says of this process.
fn of_status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    1024 * line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
}

fn config(link: &str) -> Config {
    let (config, notices) = Config::from_link(link, &[]);
    assert!(notices.is_empty(), "{notices:?}");
    config
}
