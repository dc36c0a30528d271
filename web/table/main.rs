//! The page's reader of tables in Parquet. The page and its trainer read text alone, so it gives a file that comes once more as text,
//! piece by piece ([`TableText`]). It is a program of its own, which nobody fetches who has no such file.
//!
//! It posts the string `"ready"` once it listens, because what is posted to a worker before that is lost.

use std::cell::RefCell;
use std::io::{self, BufReader, Read};

use bytes::Bytes;
use duia::data::parquet::text;
use duia::wire::{self, TableText};
use js_sys::{Array, ArrayBuffer, Uint8Array};
use parquet::errors::{ParquetError, Result as Answer};
use parquet::file::reader::{ChunkReader, Length};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, DedicatedWorkerGlobalScope, File, MessageEvent};

/// Bytes that are asked for at once where a reader takes a few.
const AT_ONCE: usize = 1 << 16;

thread_local! {
    /// The file that came. A handle of the browser's cannot be sent to another thread, as the library asks of what it reads from.
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

#[wasm_bindgen]
extern "C" {
    // By its name: web-sys's own would be a feature that burn's web-sys would be compiled with, too.
    type FileReaderSync;
    #[wasm_bindgen(constructor, catch)]
    fn new() -> Result<FileReaderSync, JsValue>;
    #[wasm_bindgen(method, catch, js_name = readAsArrayBuffer)]
    fn read(this: &FileReaderSync, blob: &Blob) -> Result<ArrayBuffer, JsValue>;
}

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

fn post(told: &TableText) {
    let Ok(bytes) = wire::to_bytes(told) else { return };
    let array = Uint8Array::from(bytes.as_slice());
    // Fails only while the page goes away, and then there is nobody to tell.
    let _ = scope().post_message_with_transfer(&array.buffer(), &Array::of1(&array.buffer()));
}

fn main() {
    // Some damaged tables make the library panic.
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        post(&TableText::Failed("The table is damaged.".into()));
    }));
    let heard = Closure::<dyn FnMut(MessageEvent)>::new(|event: MessageEvent| {
        if let Ok(file) = event.data().dyn_into::<File>() {
            tell(file);
        }
    });
    scope().set_onmessage(Some(heard.as_ref().unchecked_ref()));
    heard.forget();
    let _ = scope().post_message(&JsValue::from_str("ready"));
}

fn tell(file: File) {
    let name = file.name();
    let length = file.size() as u64;
    FILE.with(|place| place.replace(Some(file)));
    let told = text(|| Ok(Chosen { length }), &name, &mut |text, rows| post(&TableText::Piece { text, rows }));
    post(&match told {
        Ok(left_out) => TableText::End { left_out },
        Err(error) => TableText::Failed(format!("{}.", error.problem())),
    });
}

/// The file that came.
#[derive(Clone, Copy)]
struct Chosen {
    length: u64,
}

impl Chosen {
    fn bytes(self, start: u64, length: usize) -> io::Result<Vec<u8>> {
        let gone = |_| io::Error::other("it was changed, moved or removed since you chose it");
        let end = (start + length as u64).min(self.length);
        FILE.with_borrow(|file| {
            let file = file.as_ref().ok_or_else(|| io::Error::other("no file came"))?;
            let part = file.slice_with_f64_and_f64(start as f64, end as f64).map_err(gone)?;
            let buffer = FileReaderSync::new().and_then(|reader| reader.read(&part)).map_err(gone)?;
            Ok(Uint8Array::new(&buffer).to_vec())
        })
    }
}

impl Length for Chosen {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Chosen {
    type T = BufReader<Onward>;

    fn get_read(&self, start: u64) -> Answer<Self::T> {
        Ok(BufReader::with_capacity(AT_ONCE, Onward { file: *self, at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Answer<Bytes> {
        let bytes = self.bytes(start, length)?;
        let cut = || ParquetError::EOF(format!("{length} bytes are asked for and {} are there", bytes.len()));
        if bytes.len() == length { Ok(bytes.into()) } else { Err(cut()) }
    }
}

/// The file from a place on.
struct Onward {
    file: Chosen,
    at: u64,
}

impl Read for Onward {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.bytes(self.at, into.len())?;
        into[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}
