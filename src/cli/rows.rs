//! The rows of a run: the synthetic stream, a UserBehavior.csv or a sample.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::Arc;

use duia::config::Config;
use duia::data::csv::Rows;
use duia::data::generator::Generator;
use duia::data::{Source, sample};
use duia::footprint::{self, Shape};
use duia::platform::available_memory;

use super::refusal::Refusal;

/// Opens what `--data` names, or the synthetic stream.
pub fn open(data: Option<&Path>, config: &Config) -> Result<Arc<dyn Source>, Refusal> {
    match data {
        None => {
            let fits = footprint::require(config, Shape::synthetic(config), available_memory());
            fits.map_err(|error| Refusal::input(error, "Choose smaller sizes, or a smaller --preset"))?;
            Ok(Arc::new(Generator::new(config)))
        }
        Some(path) if path.extension() == Some(OsStr::new("bin")) => Ok(Arc::new(read_sample(path)?)),
        Some(path) => Ok(Arc::new(read_csv(path)?)),
    }
}

/// Reads a UserBehavior.csv.
pub fn read_csv(path: &Path) -> Result<Rows, Refusal> {
    if path.is_dir() {
        return Err(Refusal::file(path, "it is a folder", "Name the file itself, as Tianchi publishes it: UserBehavior.csv"));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(Rows::read(BufReader::with_capacity(1 << 20, file), &name(path))?)
}

fn read_sample(path: &Path) -> Result<Rows, Refusal> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    Ok(sample::read(&bytes, &name(path))?)
}

fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    Refusal::file(path, error, "Check the path and the rights of the file")
}

/// The file's own name: reports name data, not machines.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
