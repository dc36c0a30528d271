//! A table in Parquet as the text that everything else here reads, made by a worker of its own.

use std::cell::RefCell;

use async_channel::{Receiver, Sender};
use duia::wire::{TableText, from_bytes};
use js_sys::{Array, ArrayBuffer, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File, MessageEvent, Worker};

use crate::trainer::start_script;

/// How a table begins.
const MAGIC: [u8; 4] = *b"PAR1";
/// The script beside the page that loads the reader's program.
const SCRIPT: &str = "table_loader.js";
/// What the reader says, once, when it listens.
const READY: &str = "ready";

/// A table as text.
pub struct Text {
    /// CSV under the table's name.
    pub file: File,
    /// Columns that it leaves out.
    pub left_out: Vec<String>,
}

/// Whether a file is such a table.
///
/// # Errors
/// What the browser says where it reads nothing.
pub async fn is_table(file: &File) -> Result<bool, JsValue> {
    let first = file.slice_with_i32_and_i32(0, MAGIC.len() as i32)?;
    Ok(Uint8Array::new(&JsFuture::from(first.array_buffer()).await?).to_vec() == MAGIC)
}

/// The table's text. `tell` hears how many rows of how many are there, and says whether it is still wanted; none where it is not.
///
/// # Errors
/// In a sentence, what is wrong with the table, or why there is no reader.
pub async fn as_text(file: &File, mut tell: impl FnMut([u64; 2]) -> bool) -> Result<Option<Text>, String> {
    let reader = Reader::start(file)?;
    // A piece is the browser's from now on, which may keep it on the disk.
    let pieces = Array::new();
    loop {
        // Both ends live in the reader, so it is never closed.
        let told = reader.heard.recv().await.map_err(|_| "The reader of tables ended without a word.".to_string())?;
        match told? {
            TableText::Piece { text, rows } => {
                let piece = Blob::new_with_u8_array_sequence(&Array::of1(&Uint8Array::from(text.as_slice())));
                let piece = piece.map_err(|_| "The browser keeps no more of it: it may be too large.".to_string())?;
                pieces.push(piece.as_ref());
                if !tell(rows) {
                    return Ok(None);
                }
            }
            TableText::End { left_out } => {
                let text = File::new_with_blob_sequence(&pieces, &file.name());
                return text.map(|file| Some(Text { file, left_out })).map_err(|_| "The browser cannot keep it as text.".to_string());
            }
            TableText::Failed(why) => return Err(why),
        }
    }
}

type Told = Result<TableText, String>;

/// A worker that reads a file. It ends when this is dropped.
struct Reader {
    worker: Worker,
    heard: Receiver<Told>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut(JsValue)>,
}

impl Reader {
    fn start(file: &File) -> Result<Self, String> {
        let failed = |_| format!("The reader of tables could not be started: {SCRIPT} did not load.");
        let (say, heard) = async_channel::unbounded();
        let worker = start_script(SCRIPT, "duia-table").map_err(failed)?;
        let message = on_message(worker.clone(), file.clone(), say.clone());
        let error = Closure::new(move |_| drop(say.try_send(Err(failed(JsValue::NULL)))));
        worker.set_onmessage(Some(message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(error.as_ref().unchecked_ref()));
        Ok(Self { worker, heard, _message: message, _error: error })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

/// The file is given once the reader listens; then all that it tells is passed on.
fn on_message(worker: Worker, file: File, say: Sender<Told>) -> Closure<dyn FnMut(MessageEvent)> {
    let file = RefCell::new(Some(file));
    Closure::new(move |event: MessageEvent| {
        let data = event.data();
        if data.as_string().as_deref() == Some(READY) {
            // A worker that is gone takes it in silence; its error tells.
            let _ = file.take().map(|file| worker.post_message(&file));
            return;
        }
        let told = data.dyn_into::<ArrayBuffer>().ok().and_then(|buffer| from_bytes(&Uint8Array::new(&buffer).to_vec()).ok());
        let other_build = || "The reader of tables and this page come from different builds.".to_string();
        // Nobody listens any more where the person chose another file.
        let _ = say.try_send(told.ok_or_else(other_build));
    })
}
