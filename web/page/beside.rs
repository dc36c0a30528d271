//! Files that lie beside the page, at its host.

use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

/// The text of one; in words what kept it away.
pub async fn text(path: &str) -> Result<String, String> {
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    let url = web_sys::Url::new_with_base(path, &base).map_err(|_| "its address cannot be read".to_string())?;
    let silent = |_| format!("the host did not send {path}");
    let response: Response = JsFuture::from(window().fetch_with_str(&url.href())).await.map_err(silent)?.unchecked_into();
    let kind = response.headers().get("content-type").ok().flatten().unwrap_or_default();
    if !response.ok() || kind.starts_with("text/html") {
        return Err(format!("there is no {path} beside this page"));
    }
    let text = JsFuture::from(response.text().map_err(|_| format!("{path} is no text"))?).await.map_err(silent)?;
    text.as_string().ok_or_else(|| format!("{path} is no text"))
}
