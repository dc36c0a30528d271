//! The worker that trains, as the page holds it: commands out, messages in, and every way in which it can break.

use std::cell::RefCell;
use std::rc::Rc;

use duia::wire::{Command, Failure, Message, from_bytes, to_bytes};
use js_sys::{Array, ArrayBuffer, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{MessageEvent, Worker, WorkerOptions, WorkerType};

/// What bundler and worker agree on: the script beside the page that loads the worker's program.
const SCRIPT: &str = "worker_loader.js";
/// What the worker says, once, when it can take commands. Before that a message to it is lost.
const READY: &str = "ready";

/// What comes from a worker.
pub enum Report {
    /// An event of a run.
    Message(Message),
    /// The worker is of no more use.
    Broken(Failure),
}

/// A living worker. It ends when this is dropped.
pub struct Trainer {
    worker: Worker,
    /// Commands given before the worker was ready; none once it is.
    waiting: Rc<RefCell<Option<Vec<Command>>>>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut(JsValue)>,
    _unreadable: Closure<dyn FnMut(JsValue)>,
}

impl Trainer {
    /// Starts a worker that reports to `report`.
    ///
    /// # Errors
    /// Where the browser refuses to start any worker.
    pub fn spawn(report: impl Fn(Report) + Clone + 'static) -> Result<Self, Failure> {
        let worker = start_script().map_err(|error| broken("The trainer could not be started.", describe(&error)))?;
        let waiting = Rc::new(RefCell::new(Some(Vec::new())));
        let message = on_message(&worker, &waiting, report.clone());
        let error = on_trouble(report.clone(), "The trainer stopped: its program failed or could not be loaded.");
        let unreadable = on_trouble(report, "The trainer sent something that the browser could not pass on.");
        worker.set_onmessage(Some(message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(error.as_ref().unchecked_ref()));
        worker.set_onmessageerror(Some(unreadable.as_ref().unchecked_ref()));
        Ok(Self { worker, waiting, _message: message, _error: error, _unreadable: unreadable })
    }

    /// Gives a command, now or as soon as the worker is ready.
    pub fn send(&self, command: Command) {
        if let Some(queue) = self.waiting.borrow_mut().as_mut() {
            queue.push(command);
        } else {
            post(&self.worker, &command);
        }
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.set_onmessageerror(None);
        self.worker.terminate();
    }
}

/// The script is looked up beside the page, so that the page works in any folder.
fn start_script() -> Result<Worker, JsValue> {
    let base = leptos::prelude::document().base_uri()?.unwrap_or_default();
    let url = web_sys::Url::new_with_base(SCRIPT, &base)?;
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    options.set_name("duia-trainer");
    Worker::new_with_options(&url.href(), &options)
}

fn post(worker: &Worker, command: &Command) {
    let Ok(bytes) = to_bytes(command) else { return };
    let buffer = Uint8Array::from(bytes.as_slice()).buffer();
    // A worker that is gone takes messages in silence; the watchdog notices.
    let _ = worker.post_message_with_transfer(&buffer, &Array::of1(&buffer));
}

fn on_message(
    worker: &Worker,
    waiting: &Rc<RefCell<Option<Vec<Command>>>>,
    report: impl Fn(Report) + 'static,
) -> Closure<dyn FnMut(MessageEvent)> {
    let (worker, waiting) = (worker.clone(), waiting.clone());
    Closure::new(move |event: MessageEvent| {
        let data = event.data();
        if data.as_string().as_deref() == Some(READY) {
            let queued = waiting.borrow_mut().take().unwrap_or_default();
            queued.iter().for_each(|command| post(&worker, command));
        } else {
            report(decode(data));
        }
    })
}

fn decode(data: JsValue) -> Report {
    let bytes = data.dyn_into::<ArrayBuffer>().map(|buffer| Uint8Array::new(&buffer).to_vec());
    match bytes.map(|bytes| from_bytes::<Message>(&bytes)) {
        Ok(Ok(message)) => Report::Message(message),
        Ok(Err(error)) => Report::Broken(mixed_builds(error.to_string())),
        Err(other) => Report::Broken(mixed_builds(format!("not a byte buffer: {}", describe(&other)))),
    }
}

fn on_trouble(report: impl Fn(Report) + 'static, what: &'static str) -> Closure<dyn FnMut(JsValue)> {
    Closure::new(move |event: JsValue| report(Report::Broken(broken(what, describe(&event)))))
}

fn broken(what: &str, detail: String) -> Failure {
    Failure { what: what.into(), detail, next: "Start again: a new trainer is loaded and the run begins anew.".into() }
}

fn mixed_builds(detail: String) -> Failure {
    Failure {
        what: "The trainer speaks another language than this page: the two come from different builds.".into(),
        detail,
        next: "Reload the page without its cache.".into(),
    }
}

/// The message of an error event where it has one. A script that cannot be loaded gives an event without any.
fn describe(value: &JsValue) -> String {
    let message = Reflect::get(value, &"message".into()).ok().and_then(|message| message.as_string());
    message.filter(|text| !text.is_empty()).unwrap_or_else(|| format!("no detail was given; the script is {SCRIPT}"))
}
