//! The person's own file, read chunk by chunk, so that a command can end it at once, into rows of as many users as fit.

use std::sync::Arc;

use duia::config::Config;
use duia::data::csv::Rows;
use duia::data::own;
use duia::data::schema::Schema;
use duia::data::{DataError, Vocabulary};
use duia::footprint::{self, Shape};
use duia::platform::stream::{Chunks, GZIP, words};
use duia::platform::{available_memory, breathe};
use duia::training::TrainError;
use duia::wire::{Failure, Reading, Remedy};
use js_sys::Uint8Array;
use wasm_bindgen_futures::JsFuture;
use web_sys::File;
use web_time::{Duration, Instant};

/// Time between two words on how far the reading is.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Longest that the event loop waits for a turn.
const TURN: Duration = Duration::from_millis(40);

/// Rows that were read, and what they were read of.
pub struct Own {
    /// Name, size and time of the last change.
    file: (String, u64, u64),
    schema: String,
    config: Config,
    rows: Arc<Rows>,
    /// Whether they are of all users.
    is_whole: bool,
}

impl Own {
    /// The rows, where reading this file for this configuration would give the same.
    pub fn rows_for(&self, file: &File, schema: &str, config: &Config) -> Option<Arc<Rows>> {
        let fits = || self.is_whole && footprint::fits_read(config, Shape::of(&*self.rows), available_memory());
        let is_same = self.file == identity(file) && self.schema == schema && (self.config == *config || fits());
        is_same.then(|| self.rows.clone())
    }

    /// Reads a file whose columns mean what `schema` says, for a run of `config`.
    ///
    /// # Errors
    /// Sizes that fit with no rows at all, and what is wrong with the file.
    pub async fn read(file: &File, schema: &str, config: &Config, tell: &mut dyn FnMut(Reading)) -> Result<Self, TrainError> {
        config.validate()?;
        let available = available_memory();
        let least = Vocabulary { users: 2, items: 2, categories: 1 };
        footprint::require(config, Shape { vocabulary: least, rows: 0, is_synthetic: false }, available)?;
        let name = file.name();
        let understood: Schema = serde_json::from_str(schema).map_err(|error| DataError::Columns {
            name: name.clone(),
            problem: format!(" has columns that nobody understands: {error}"),
        })?;
        let fits = |vocabulary, rows| footprint::fits_read(config, Shape { vocabulary, rows, is_synthetic: false }, available);
        let (rows, is_whole) = read(file, &name, &understood, &fits, tell).await?;
        Ok(Self { file: identity(file), schema: schema.into(), config: config.clone(), rows: Arc::new(rows), is_whole })
    }

    /// The rows.
    pub fn rows(&self) -> Arc<Rows> {
        self.rows.clone()
    }
}

fn identity(file: &File) -> (String, u64, u64) {
    (file.name(), file.size() as u64, file.last_modified() as u64)
}

async fn read(
    file: &File,
    name: &str,
    schema: &Schema,
    fits: own::Fits<'_>,
    tell: &mut dyn FnMut(Reading),
) -> Result<(Rows, bool), DataError> {
    let gone = |error| unreadable(name, &words(&error));
    let is_packed = begins_with(file, &GZIP).await.map_err(gone)?;
    let chunks = if is_packed { Chunks::unpacked(file) } else { Chunks::of(file) }.map_err(gone)?;
    let mut reading = own::Reading::new(name, schema);
    let mut told = Reading { of: (!is_packed).then(|| file.size() as u64), ..Reading::default() };
    tell(told);
    let (mut said, mut breathed) = (Instant::now(), Instant::now());
    loop {
        let chunk = chunks.next().await.map_err(|error| if is_packed { not_unpacked(name, &words(&error)) } else { gone(error) })?;
        let Some(chunk) = chunk else { break };
        told.bytes += u64::from(chunk.length());
        reading.take(&chunk.to_vec(), fits)?;
        let own::Counts { rows, refused, .. } = reading.counts();
        (told.rows, told.refused) = (rows, refused);
        if said.elapsed() > TELL_EVERY {
            tell(told);
            said = Instant::now();
        }
        if breathed.elapsed() > TURN {
            breathe().await;
            breathed = Instant::now();
        }
    }
    tell(Reading { is_sorting: true, ..told });
    breathe().await;
    reading.finish(fits)
}

async fn begins_with(file: &File, first: &[u8]) -> Result<bool, wasm_bindgen::JsValue> {
    let beginning = file.slice_with_i32_and_i32(0, first.len() as i32)?;
    Ok(Uint8Array::new(&JsFuture::from(beginning.array_buffer()).await?).to_vec() == first)
}

/// A browser keeps a file's name and time, and reads nothing where either has changed since.
fn unreadable(name: &str, detail: &str) -> DataError {
    let detail = format!("it was changed, moved or removed since you chose it, or this page may not read it any more ({detail})");
    DataError::Unreadable { name: name.into(), detail }
}

fn not_unpacked(name: &str, detail: &str) -> DataError {
    DataError::Unreadable { name: name.into(), detail: format!("the browser cannot unpack it ({detail}); unpack it first, with `gunzip`") }
}

/// What a person is told where a run on their file failed, and the control beside it.
pub fn failure(error: &TrainError) -> (Failure, Remedy) {
    let TrainError::Data(data) = error else { return (error.into(), error.into()) };
    let mut failure = Failure::from(error);
    failure.next = match data {
        DataError::Columns { .. } | DataError::Table { .. } => "Correct what its columns mean, or choose another file.".into(),
        DataError::Unreadable { .. } => "Choose it once more, or another file.".into(),
        _ => format!("{}.", failure.next),
    };
    (failure, Remedy::ChooseRows)
}
