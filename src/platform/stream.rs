//! The bytes of a file or of a host's answer, as a browser gives them: chunk by chunk.

use js_sys::{Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

/// How a gzip file begins.
pub const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Chunks that are still to come. What is left unread is let go of.
pub struct Chunks(Reader);

impl Chunks {
    /// Of a `File`, a `Blob` or a `ReadableStream`'s own body; none where there is no such thing.
    ///
    /// # Errors
    /// What the browser says where it gives no bytes.
    pub fn of(source: &JsValue) -> Result<Self, JsValue> {
        Ok(Self(source.unchecked_ref::<Source>().stream()?.reader()?))
    }

    /// Of a gzip file, unpacked on the way.
    ///
    /// # Errors
    /// As [`Chunks::of`], and where the browser cannot unpack.
    pub fn unpacked(source: &JsValue) -> Result<Self, JsValue> {
        let packed = source.unchecked_ref::<Source>().stream()?;
        Ok(Self(packed.pipe_through(&Unpacker::new("gzip")?)?.reader()?))
    }

    /// Of a response of a host; none where it has no body.
    ///
    /// # Errors
    /// As [`Chunks::of`].
    pub fn of_response(response: &JsValue) -> Result<Option<Self>, JsValue> {
        response.unchecked_ref::<Answer>().body().map(|body| body.reader().map(Self)).transpose()
    }

    /// Asks for the next chunk; see [`Chunks::chunk_of`].
    ///
    /// # Errors
    /// As [`Chunks::of`].
    pub fn ask(&self) -> Result<Promise, JsValue> {
        self.0.read()
    }

    /// The bytes of what was asked for; none at the end.
    pub fn chunk_of(answer: &JsValue) -> Option<Uint8Array> {
        let chunk = answer.unchecked_ref::<Chunk>();
        (!chunk.done()).then(|| chunk.value())
    }

    /// The next chunk; none at the end.
    ///
    /// # Errors
    /// What the browser says where it can read no further.
    pub async fn next(&self) -> Result<Option<Uint8Array>, JsValue> {
        Ok(Self::chunk_of(&JsFuture::from(self.ask()?).await?))
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        // Of a stream that failed it is refused, which nobody must be told.
        if let Ok(cancelled) = self.0.cancel() {
            spawn_local(async move { drop(JsFuture::from(cancelled).await) });
        }
    }
}

/// What a thrown value says of itself.
pub fn words(error: &JsValue) -> String {
    let get = |key: &str| Reflect::get(error, &key.into()).ok().and_then(|word| word.as_string()).filter(|word| !word.is_empty());
    match (get("name"), get("message")) {
        (Some(name), Some(message)) => format!("{name}: {message}"),
        (name, message) => message.or(name).unwrap_or_else(|| format!("{error:?}")),
    }
}

// By its names: web-sys's own streams would be features that burn's web-sys would be compiled with, too.
#[wasm_bindgen]
extern "C" {
    type Source;
    #[wasm_bindgen(method, catch)]
    fn stream(this: &Source) -> Result<Body, JsValue>;

    type Answer;
    #[wasm_bindgen(method, getter)]
    fn body(this: &Answer) -> Option<Body>;

    type Body;
    #[wasm_bindgen(method, catch, js_name = getReader)]
    fn reader(this: &Body) -> Result<Reader, JsValue>;
    #[wasm_bindgen(method, catch, js_name = pipeThrough)]
    fn pipe_through(this: &Body, by: &Unpacker) -> Result<Body, JsValue>;

    #[wasm_bindgen(js_name = DecompressionStream)]
    type Unpacker;
    #[wasm_bindgen(constructor, catch, js_class = "DecompressionStream")]
    fn new(format: &str) -> Result<Unpacker, JsValue>;

    type Reader;
    #[wasm_bindgen(method, catch)]
    fn read(this: &Reader) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn cancel(this: &Reader) -> Result<Promise, JsValue>;

    type Chunk;
    #[wasm_bindgen(method, getter)]
    fn done(this: &Chunk) -> bool;
    #[wasm_bindgen(method, getter)]
    fn value(this: &Chunk) -> Uint8Array;
}
