//! What a bench has measured, as a file that `duia bench` and `benches/gpu_peer.py` both write.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::machine::{Load, Machine};
use super::measure::Finding;
use crate::cli::files::write_whole;
use crate::cli::refusal::Refusal;

/// The version of the file.
pub const FORMAT: u32 = 1;

/// Everything that one program measured on one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`FORMAT`].
    pub format: u32,
    /// The program and its version.
    pub program: String,
    /// What a table calls it.
    pub label: String,
    /// What runs the kernels.
    pub backend: String,
    /// The device.
    pub device: String,
    /// The machine.
    #[serde(default)]
    pub machine: Machine,
    /// When it began.
    pub date: String,
    /// How it was called.
    pub command: String,
    /// What was measured.
    pub results: Vec<Measured>,
    /// What was not, and why.
    #[serde(default)]
    pub missing: Vec<Missing>,
}

/// A finding with what it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// `paper` or `browser`.
    pub sizes: String,
    /// Whether operations were fused.
    #[serde(default = "yes")]
    pub fusion: bool,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// How the card was meanwhile.
    #[serde(default)]
    pub load: Option<Load>,
}

/// A case that gave no figures, or not all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    /// The case.
    pub what: String,
    /// Why.
    pub why: String,
}

fn yes() -> bool {
    true
}

impl Record {
    /// Writes it as `<label>.json` into a folder.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Refusal> {
        let path = folder.join(format!("{}.json", file_name(&self.label)));
        let json = serde_json::to_vec_pretty(self).map_err(|error| Refusal::unwritable(&path, error))?;
        write_whole(&path, &json).map_err(|error| Refusal::unwritable(&path, error))
    }

    /// All records of a folder, by file name, and the names of files that are none.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn all(folder: &Path) -> Result<(Vec<Self>, Vec<String>), Refusal> {
        let refuse = |error: std::io::Error| Refusal::file(folder, error, "Name a folder that `duia bench` wrote");
        let mut paths: Vec<_> = fs::read_dir(folder).map_err(refuse)?.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        let (mut records, mut others) = (Vec::new(), Vec::new());
        for path in paths {
            let read = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
            match read.filter(|record| record.format == FORMAT) {
                Some(record) => records.push(record),
                None => others.push(path.display().to_string()),
            }
        }
        Ok((records, others))
    }
}

/// A label as the name of a file.
fn file_name(label: &str) -> String {
    let kept = label.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect::<String>();
    let name = kept.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if name.is_empty() { "bench".into() } else { name }
}

#[cfg(test)]
pub mod tests {
    use super::super::measure::{Agreement, FAR, Host, Replay, Throughput};
    use super::*;

    /// A record with one finding of each kind.
    pub fn example(label: &str, factor: f64) -> Record {
        let finding = |finding| Measured { sizes: "paper".into(), fusion: true, finding, load: None };
        let throughput = |model: &str, batch: usize, samples_per_second: f64| {
            finding(Finding::Throughput(Throughput {
                model: model.into(),
                batch,
                mode: "fused".into(),
                samples_per_second: samples_per_second * factor,
                step_ms: [2.0, 1.9, 2.1],
                run_samples_per_second: Some(samples_per_second * factor / 2.0),
                plan_ms: Some(2.5),
                load_ms: Some(1.5),
                dispatches: Some(440.0),
                device_ms: Some(1.0),
                memory: Some([2_000_000_000, 3_000_000_000]),
                ..Throughput::default()
            }))
        };
        Record {
            format: FORMAT,
            program: "duia 0.1.0".into(),
            label: label.into(),
            backend: "CUDA".into(),
            device: "Some card".into(),
            machine: Machine {
                processor: "Some processor".into(),
                threads: 16,
                cards: vec!["Some card, 580.1, 80 GiB".into()],
                ..Machine::default()
            },
            date: "2026-11-26".into(),
            command: "duia bench".into(),
            results: vec![
                finding(Finding::Agreement(Agreement {
                    model: "duia".into(),
                    steps: 8,
                    first: 1e-6,
                    all: FAR,
                    worst: "mtl of step 8".into(),
                })),
                throughput("ple", 4_096, 2e6),
                throughput("duia", 4_096, 1e6),
                finding(Finding::Graph(Replay {
                    model: "duia".into(),
                    batch: 4_096,
                    recorded: true,
                    step_ms: 0.5,
                    samples_per_second: 8e6,
                })),
                finding(Finding::Host(Host { replay_samples_per_second: 9e5, rows: 1_000_000 })),
            ],
            missing: vec![Missing { what: "throughput of UIE".into(), why: "no time was left".into() }],
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_other_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let record = example("duia, CUDA", 1.0);
        record.write(folder.path()).unwrap();
        fs::write(folder.path().join("other.json"), "{}").unwrap();
        let (records, others) = Record::all(folder.path()).unwrap();
        assert_eq!(records, [record]);
        assert!(folder.path().join("duia-cuda.json").exists() && others.len() == 1 && others[0].ends_with("other.json"));
    }
}
