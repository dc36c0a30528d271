//! What the machine is: its processor, its card and its driver, and how busy the card is meanwhile.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde::{Deserialize, Serialize};

/// What a table says of the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Threads that it runs at once.
    pub threads: usize,
    /// NVIDIA's cards with driver and memory, as `nvidia-smi` names them; empty without one.
    pub cards: Vec<String>,
    /// The operating system's kernel.
    pub system: String,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let field = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        };
        let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| field(&text, "model name"));
        Self {
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.into()),
            threads: thread::available_parallelism().map_or(1, usize::from),
            cards: ask(&["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]),
            system: fs::read_to_string("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()).unwrap_or_default(),
        }
    }
}

/// The lines that `nvidia-smi` answers with; none where there is no card.
fn ask(arguments: &[&str]) -> Vec<String> {
    let output = Command::new("nvidia-smi").args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else { return Vec::new() };
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// How the card was while something was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Mean percentage of the time in which a kernel ran, as the driver counts it.
    pub busy: f64,
    /// The most memory in use, in MiB, all programs together.
    pub memory: f64,
    /// Mean power, in watts.
    pub power: f64,
    samples: u32,
}

impl Load {
    fn add(&mut self, busy: f64, memory: f64, power: f64) {
        let n = f64::from(self.samples);
        self.busy = (self.busy * n + busy) / (n + 1.0);
        self.power = (self.power * n + power) / (n + 1.0);
        self.memory = self.memory.max(memory);
        self.samples += 1;
    }
}

/// Looks at the first card twice a second until it is dropped.
pub struct Meter {
    child: Child,
    load: Arc<Mutex<Load>>,
}

impl Meter {
    /// None where there is no card to look at.
    pub fn start() -> Option<Self> {
        let query = ["-i", "0", "--query-gpu=utilization.gpu,memory.used,power.draw", "--format=csv,noheader,nounits", "-lms", "500"];
        let mut child =
            Command::new("nvidia-smi").args(query).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let lines = BufReader::new(child.stdout.take()?).lines();
        let load = Arc::new(Mutex::new(Load::default()));
        let seen = load.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let numbers: Vec<f64> = line.split(',').filter_map(|part| part.trim().parse().ok()).collect();
                if let [busy, memory, power] = numbers[..] {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).add(busy, memory, power);
                }
            }
        });
        Some(Self { child, load })
    }

    /// How the card was since the last call.
    pub fn take(&self) -> Option<Load> {
        let load = std::mem::take(&mut *self.load.lock().unwrap_or_else(PoisonError::into_inner));
        (load.samples > 0).then_some(load)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_a_mean_of_what_was_seen_and_the_most_memory() {
        let mut load = Load::default();
        load.add(10.0, 500.0, 100.0);
        load.add(30.0, 400.0, 200.0);
        assert_eq!((load.busy, load.memory, load.power, load.samples), (20.0, 500.0, 150.0, 2));
    }
}
