//! A cell: one run of all variants at one protocol, seed and value of a setting, and the file that keeps its result.

use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read};
use std::path::Path;

use duia::config::{Config, Negatives};
use duia::data::DataReport;
use duia::metrics::TestKind;
use duia::variants::Variant;
use duia::wire::DeviceReport;
use fnv::FnvHasher;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::super::form::Form;
use super::super::record::Record;
use super::super::refusal::Refusal;
use super::super::series::Point;
use super::statistics::Estimate;

/// Version of a cell's file and of what its figures mean. A cell of another version is computed again.
pub const RESULT: u32 = 2;

/// The sources that compute a run and the versions of what they use, by their hash (`build.rs`).
const PROGRAM: &str = env!("DUIA_SOURCES");

/// What is to be computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The value of the setting that a sweep varies.
    pub value: Option<u64>,
    pub config: Config,
}

impl Cell {
    /// How a person calls it.
    pub fn name(&self, setting: &str) -> String {
        let value = self.value.map(|value| format!("{setting} {value}, ")).unwrap_or_default();
        format!("{value}protocol {}, seed {}", protocol(self.config.negatives), self.config.seed)
    }
}

/// How a protocol is called.
pub fn protocol(negatives: Negatives) -> &'static str {
    match negatives {
        Negatives::Uniform => "U1",
        Negatives::Popular => "P1",
        Negatives::TimeMatched => "T1",
        Negatives::None => "E1",
    }
}

/// Which rows a cell was computed on, whatever the file is called and wherever it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(String);

impl Identity {
    /// The synthetic stream, which the configuration decides.
    pub fn synthetic() -> Self {
        Self("synthetic".into())
    }

    /// A file: its size, a hash of all its bytes, and as what its columns are read.
    pub fn of_file(path: &Path, form: &Form) -> Result<Self, Refusal> {
        let form = form.identity()?;
        let read = || -> io::Result<Self> {
            let (mut file, mut hash, mut size, mut buffer) = (File::open(path)?, FnvHasher::default(), 0, vec![0; 1 << 20]);
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(Self(format!("{size} bytes, FNV-1a {:016x}{form}", hash.finish()))),
                    read => {
                        hash.write(&buffer[..read]);
                        size += read;
                    }
                }
            }
        };
        read().map_err(|error| Refusal::file(path, error, "Check the path and the rights of the file"))
    }
}

/// The name of a cell's file: a hash of everything that decides its result, the same on every machine. What the program computes
/// is part of it: were a cell kept over a change of the model, a table would mix two of them.
pub fn id(config: &Config, data: &Identity) -> Result<String, Refusal> {
    id_under(PROGRAM, config, data)
}

fn id_under(program: &str, config: &Config, data: &Identity) -> Result<String, Refusal> {
    let config = serde_json::to_string(config).map_err(|error| Refusal::input(error, "Please report this"))?;
    let mut hash = FnvHasher::default();
    hash.write(format!("{RESULT}\n{program}\n{}\n{config}\n", data.0).as_bytes());
    Ok(format!("{:016x}", hash.finish()))
}

/// The result of a cell, as its file holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// [`RESULT`].
    pub version: u32,
    /// Its [`id`].
    pub cell: String,
    /// The command that computed it.
    pub command: String,
    pub config: Config,
    pub device: Option<DeviceReport>,
    #[serde(deserialize_with = "without_nulls")]
    pub data: DataReport,
    /// Steps done.
    pub steps: u64,
    /// Samples that each variant has seen.
    pub samples: u64,
    /// Wall time, reading, evaluating and compiling included.
    pub seconds: f64,
    /// Speed of training alone, all variants together.
    pub samples_per_second: f64,
    /// Scores and clusters of the whole test set, scores of the streaming test and the last losses, as `series.csv` names them.
    pub figures: Vec<Point>,
}

/// Means of a group without users are null in JSON; 0 stands for them, beside 0 users.
fn without_nulls<'de, D: Deserializer<'de>>(json: D) -> Result<DataReport, D::Error> {
    fn fill(value: &mut Value) {
        match value {
            Value::Null => *value = 0.into(),
            Value::Array(values) => values.iter_mut().for_each(fill),
            Value::Object(fields) => fields.values_mut().for_each(fill),
            _ => {}
        }
    }
    let mut value = Value::deserialize(json)?;
    fill(&mut value);
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}

impl Finished {
    /// What is kept of a run's record; `None` where the run did not come to its end.
    pub fn of(record: Record, config: &Config, cell: String, command: &str, seconds: f64) -> Option<Self> {
        let last = record.evaluation.as_ref().filter(|evaluation| evaluation.kind == TestKind::Whole)?.step;
        let is_test = |metric: &str| metric.starts_with("test.") || metric.starts_with("streaming.");
        let is_kept = |point: &&Point| is_test(&point.metric) || point.metric.starts_with("loss_") && point.step == last;
        Some(Self {
            version: RESULT,
            cell,
            command: command.into(),
            config: config.clone(),
            device: record.device,
            data: record.data?,
            steps: record.steps,
            samples: record.samples,
            seconds,
            samples_per_second: record.samples_per_second,
            figures: record.series.points().iter().filter(is_kept).cloned().collect(),
        })
    }

    /// A figure of a variant, as `series.csv` names it.
    pub fn figure(&self, variant: Variant, metric: &str) -> Option<Estimate> {
        let point = self.figures.iter().find(|point| point.variant == variant && point.metric == metric)?;
        Some(Estimate { value: point.value, standard_error: point.standard_error })
    }

    /// The difference from the variant that this one adds something to, by group: where that is the first of the run,
    /// the difference from the first.
    pub fn lift_over_parent(&self, variant: Variant, group: &str) -> Option<Estimate> {
        let is_first = variant.parent().is_some() && variant.parent() == self.config.variants.0.first().copied();
        self.figure(variant, &format!("test.{}.{group}", if is_first { "lift" } else { "rung" }))
    }

    /// The file's bytes.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// The result in a file.
    ///
    /// # Errors
    /// Why it is not the result of the cell `id`, in words.
    pub fn from_json(bytes: &[u8], id: &str) -> Result<Self, String> {
        let result: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match (result.version, result.cell == id) {
            (RESULT, true) => Ok(result),
            (RESULT, false) => Err("it is another cell's".into()),
            (version, _) => Err(format!("it is of version {version}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::example;
    use super::*;
    use duia::variants::Variants;

    #[test]
    fn a_cell_is_named_by_what_decides_it() {
        let config = Config::default();
        let data = Identity::synthetic();
        let name = id(&config, &data).unwrap();
        assert_eq!(name, id(&config.clone(), &Identity::synthetic()).unwrap());
        assert_ne!(name, id(&Config { seed: 8, ..config.clone() }, &data).unwrap());
        // A change of a kernel within a test's tolerance is another program too.
        assert_eq!((name.clone(), PROGRAM.len()), (id_under(PROGRAM, &config, &data).unwrap(), 16));
        assert_ne!(name, id_under("0123456789abcdef", &config, &data).unwrap());

        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Identity::of_file(&path, &Form::default()).unwrap()
        };
        // The published test vector of FNV-1a.
        assert_eq!(file("a", "foobar").0, "6 bytes, FNV-1a 85944171f73967e8");
        assert_eq!(file("a", "foobar"), file("b", "foobar"));
        assert_ne!(id(&config, &file("a", "foobar")).unwrap(), id(&config, &file("a", "foobaz")).unwrap());

        let read_as = |columns: &str| {
            let form = Form { columns: Some(columns.parse().unwrap()), ..Form::default() };
            Identity::of_file(&folder.path().join("a"), &form).unwrap()
        };
        assert_eq!(read_as("user=1,item=2,time=3"), read_as("item=2,user=1,time=3"));
        assert_ne!(read_as("user=1,item=2,time=3"), read_as("user=2,item=1,time=3"));
        assert_ne!(read_as("user=1,item=2,time=3"), file("a", "foobaz"));
    }

    #[test]
    fn a_result_survives_its_file_and_no_other() {
        let config = Config { variants: Variants(vec![Variant::Ple, Variant::Uie, Variant::Upbe]), ..Config::default() };
        let mut record = example::record(&config);
        record.data.as_mut().unwrap().interest.low.behaviours = f64::NAN;
        let result = Finished::of(record, &config, "abc".into(), "duia ablate", 1.0).unwrap();
        let bytes = result.to_json().unwrap();
        let back = Finished::from_json(&bytes, "abc").unwrap();
        assert_eq!((&back.figures, back.data.interest.low.behaviours), (&result.figures, 0.0));
        assert!(Finished::from_json(&bytes, "abd").unwrap_err().contains("another"));
        assert!(Finished::from_json(&bytes[..bytes.len() / 2], "abc").is_err());
        assert_eq!(back.lift_over_parent(Variant::Uie, "low"), back.figure(Variant::Uie, "test.lift.low"));
        assert_eq!((back.lift_over_parent(Variant::Upbe, "low"), back.lift_over_parent(Variant::Ple, "low")), (None, None));
        assert!(back.figure(Variant::Ple, "loss_mtl").is_some());
    }
}
