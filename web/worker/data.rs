//! Where the worker's rows come from: a sample that lies beside the page, or the generator.

use std::sync::Arc;

use duia::config::Config;
use duia::data::{Source, generator::Generator, sample};
use duia::training::TrainError;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Response, WorkerGlobalScope};

/// The sample's place, relative to the worker's script.
const SAMPLE: &str = "assets/sample.bin";

/// The sample where it is wanted and there, else the synthetic stream.
pub async fn source(config: &Config, sample_wanted: bool) -> Result<Arc<dyn Source>, TrainError> {
    let bytes = if sample_wanted { fetch(SAMPLE).await.ok().flatten() } else { None };
    Ok(match bytes {
        Some(bytes) => Arc::new(sample::read(&bytes, "sample.bin")?),
        None => Arc::new(Generator::new(config)),
    })
}

/// A file beside the page; `None` where there is none. Development servers answer a missing file with the page itself.
async fn fetch(path: &str) -> Result<Option<Vec<u8>>, JsValue> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let response: Response = JsFuture::from(scope.fetch_with_str(path)).await?.dyn_into()?;
    let kind = response.headers().get("content-type")?.unwrap_or_default();
    if !response.ok() || kind.starts_with("text/html") {
        return Ok(None);
    }
    let buffer = JsFuture::from(response.array_buffer()?).await?;
    Ok(Some(Uint8Array::new(&buffer).to_vec()))
}
