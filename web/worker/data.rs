//! Where the worker's rows come from: a sample that lies beside the page, or the generator.

use std::sync::Arc;

use duia::config::{Config, ConfigError};
use duia::data::{Source, generator::Generator, sample};
use duia::footprint::{self, Shape};
use duia::platform::stream::{Chunks, words};
use duia::platform::{available_memory, within};
use duia::wire::Failure;
use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Response, WorkerGlobalScope};

/// The sample's place, relative to the worker's script.
const SAMPLE: &str = "assets/sample.bin";
/// Longest that a host may keep silent in the midst of the sample. Some never end what they began.
const SILENCE_MS: i32 = 8_000;

/// The sample that lies beside the page, asked for once in a worker's life.
#[derive(Default)]
pub enum Sample {
    /// Nobody asked yet.
    #[default]
    Unknown,
    /// There is none, as in most places.
    Absent,
    /// Its rows.
    Read(Arc<dyn Source>),
    /// There is one that cannot be used, and why. A host's mistake must not stop its visitors.
    Unusable(String),
}

impl Sample {
    /// Asks the host for it.
    pub async fn fetch() -> Self {
        match bytes(SAMPLE).await {
            Ok(None) => Self::Absent,
            Ok(Some(bytes)) if bytes.is_empty() => Self::Unusable("the host sent an empty file".into()),
            Ok(Some(bytes)) => match sample::read(&bytes, "sample.bin") {
                Ok(rows) => Self::Read(Arc::new(rows)),
                Err(error) => Self::Unusable(error.to_string()),
            },
            Err(seen) => Self::Unusable(seen),
        }
    }

    /// Its rows, where it has any.
    pub fn rows(&self) -> Option<Arc<dyn Source>> {
        match self {
            Self::Read(rows) => Some(rows.clone()),
            Self::Unknown | Self::Absent | Self::Unusable(_) => None,
        }
    }
}

/// The seeded stream.
///
/// # Errors
/// Sizes that do not fit: the stream's own tables are made with it.
pub fn synthetic(config: &Config) -> Result<Arc<dyn Source>, ConfigError> {
    footprint::require(config, Shape::synthetic(config), available_memory())?;
    Ok(Arc::new(Generator::new(config)))
}

/// What a person is told where the synthetic stream takes the place of a sample.
pub fn set_aside(why: String) -> Failure {
    Failure {
        what: "The subset of real rows beside this page cannot be used.".into(),
        detail: format!("{SAMPLE}: {why}"),
        next: "The synthetic stream trains in its place.".into(),
    }
}

/// A file beside the page; `None` where there is none. Development servers answer a missing file with the page itself.
async fn bytes(path: &str) -> Result<Option<Vec<u8>>, String> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let response: Response = heard(scope.fetch_with_str(path)).await?.unchecked_into();
    let kind = response.headers().get("content-type").ok().flatten().unwrap_or_default();
    if matches!(response.status(), 404 | 410) || kind.starts_with("text/html") {
        return Ok(None);
    }
    if !response.ok() {
        return Err(format!("the host answered with status {}", response.status()));
    }
    let Some(chunks) = Chunks::of_response(&response).map_err(|error| not_read(&error))? else { return Ok(Some(Vec::new())) };
    let mut bytes = Vec::new();
    loop {
        let answer = heard(chunks.ask().map_err(|error| not_read(&error))?).await?;
        match Chunks::chunk_of(&answer) {
            Some(chunk) => bytes.extend(chunk.to_vec()),
            None => return Ok(Some(bytes)),
        }
    }
}

/// What the host answers, or what was seen instead.
async fn heard(answer: Promise) -> Result<JsValue, String> {
    match within(JsFuture::from(answer), SILENCE_MS).await {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(not_read(&error)),
        None => Err(format!("the host has sent nothing for {} s", SILENCE_MS / 1_000)),
    }
}

fn not_read(error: &JsValue) -> String {
    format!("it could not be read ({})", words(error))
}
