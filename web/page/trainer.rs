//! The worker that trains, as the page holds it: commands out, messages in, and every way in which it can break.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use duia::wire::{Command, Failure, Message, Remedy, from_bytes, to_bytes};
use js_sys::{Array, ArrayBuffer, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{File, MessageEvent, Worker, WorkerOptions, WorkerType};

/// What bundler and worker agree on: the script beside the page that loads the worker's program.
const SCRIPT: &str = "worker_loader.js";
/// All files of the worker's program.
const FILES: [&str; 3] = [SCRIPT, "worker.js", "worker_bg.wasm"];
/// What the worker says, once, when it can take commands. Before that a message to it is lost.
const READY: &str = "ready";

/// What comes from a worker.
pub enum Report {
    /// An event of a run.
    Message(Message),
    /// The worker is of no more use.
    Broken(Failure, Remedy),
}

/// A living worker. It ends when this is dropped.
pub struct Trainer {
    worker: Worker,
    bond: Rc<Bond>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut(JsValue)>,
    _unreadable: Closure<dyn FnMut(JsValue)>,
}

/// A command, and the file that it is about.
type Given = (Command, Option<File>);

/// What the trainer and the callbacks of its worker share.
struct Bond {
    /// Commands given before the worker was ready; none once it is.
    waiting: RefCell<Option<Vec<Given>>>,
    /// Whether the worker is of no more use, or was let go of.
    over: Cell<bool>,
    report: Box<dyn Fn(Report)>,
}

impl Bond {
    fn is_ready(&self) -> bool {
        self.waiting.borrow().is_none()
    }

    /// Says that the worker is of no more use, once.
    fn break_off(&self, failure: Failure, remedy: Remedy) {
        if !self.over.replace(true) {
            (self.report)(Report::Broken(failure, remedy));
        }
    }
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["navigator", "locks"], js_name = request, catch)]
    fn request_lock(name: &str, granted: JsValue) -> Result<Promise, JsValue>;

    /// Why a program did not start, as far as its files and the place where the page runs can tell (`assets/boot.js`).
    #[wasm_bindgen(js_namespace = duia, catch)]
    async fn diagnose(files: Vec<String>, error: &str) -> Result<JsValue, JsValue>;
}

impl Trainer {
    /// Starts a worker that reports to `report`.
    ///
    /// # Errors
    /// Where the browser refuses to start any worker.
    pub fn spawn(report: impl Fn(Report) + 'static) -> Result<Self, (Failure, Remedy)> {
        let name = format!("duia-trainer-{}", js_sys::Math::random());
        let worker = start_script(SCRIPT, &name).map_err(|error| stopped("The trainer could not be started.", describe(&error)))?;
        let bond = Rc::new(Bond { waiting: RefCell::new(Some(Vec::new())), over: Cell::new(false), report: Box::new(report) });
        let message = on_message(&worker, &bond, name);
        let error = on_error(&bond);
        let unreadable = on_unreadable(&bond);
        worker.set_onmessage(Some(message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(error.as_ref().unchecked_ref()));
        worker.set_onmessageerror(Some(unreadable.as_ref().unchecked_ref()));
        Ok(Self { worker, bond, _message: message, _error: error, _unreadable: unreadable })
    }

    /// Gives a command, with the file that it is about, now or as soon as the worker is ready.
    pub fn send(&self, command: Command, file: Option<File>) {
        if let Some(queue) = self.bond.waiting.borrow_mut().as_mut() {
            queue.push((command, file));
        } else {
            post(&self.worker, &command, file.as_ref());
        }
    }

    /// Whether its program has arrived and takes commands.
    pub fn is_ready(&self) -> bool {
        self.bond.is_ready()
    }

    /// Whether it is of no more use.
    pub fn is_broken(&self) -> bool {
        self.bond.over.get()
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        self.bond.over.set(true);
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.set_onmessageerror(None);
        self.worker.terminate();
    }
}

/// A worker by its script and its name. The script is looked up beside the page, so that the page works in any folder.
pub fn start_script(script: &str, name: &str) -> Result<Worker, JsValue> {
    let base = leptos::prelude::document().base_uri()?.unwrap_or_default();
    let url = web_sys::Url::new_with_base(script, &base)?;
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    options.set_name(name);
    Worker::new_with_options(&url.href(), &options)
}

/// A file goes as it is: the worker gets a handle and reads it itself.
fn post(worker: &Worker, command: &Command, file: Option<&File>) {
    let Ok(bytes) = to_bytes(command) else { return };
    let buffer = Uint8Array::from(bytes.as_slice()).buffer();
    let message = file.map_or_else(|| buffer.clone().into(), |file| JsValue::from(Array::of2(&buffer, file)));
    // A worker that is gone takes messages in silence; its lock and the watch tell.
    let _ = worker.post_message_with_transfer(&message, &Array::of1(&buffer));
}

fn on_message(worker: &Worker, bond: &Rc<Bond>, name: String) -> Closure<dyn FnMut(MessageEvent)> {
    let (worker, bond) = (worker.clone(), bond.clone());
    Closure::new(move |event: MessageEvent| {
        let data = event.data();
        if data.as_string().as_deref() == Some(READY) {
            let queued = bond.waiting.borrow_mut().take().unwrap_or_default();
            queued.iter().for_each(|(command, file)| post(&worker, command, file.as_ref()));
            await_death(&name, &bond);
            return;
        }
        match decode(data) {
            Ok(message) => (bond.report)(Report::Message(message)),
            Err(detail) => bond.break_off(other_build(detail), Remedy::Reload),
        }
    })
}

fn decode(data: JsValue) -> Result<Message, String> {
    let buffer = data.dyn_into::<ArrayBuffer>().map_err(|other| format!("not a byte buffer: {}", describe(&other)))?;
    from_bytes(&Uint8Array::new(&buffer).to_vec()).map_err(|error| error.to_string())
}

/// Stands in line for the lock that the worker holds as long as it lives. Where there are no locks silence must tell.
fn await_death(name: &str, bond: &Rc<Bond>) {
    let bond = bond.clone();
    let granted = Closure::once_into_js(move || {
        let detail = "the worker ended without a word".to_string();
        let what = "The trainer was ended by the browser, most often because memory ran out.";
        bond.break_off(stopped(what, detail).0, Remedy::StartAgain);
    });
    if let Ok(line) = request_lock(name, granted) {
        // It is refused where locks are not allowed; nothing else is lost.
        spawn_local(async move { drop(JsFuture::from(line).await) });
    }
}

/// A program that fails while it loads is looked into: the event itself seldom says why.
fn on_error(bond: &Rc<Bond>) -> Closure<dyn FnMut(JsValue)> {
    let bond = bond.clone();
    Closure::new(move |event: JsValue| {
        let detail = describe(&event);
        if bond.is_ready() {
            let (failure, remedy) = ended(detail);
            return bond.break_off(failure, remedy);
        }
        let bond = bond.clone();
        spawn_local(async move {
            bond.break_off(not_loaded(&detail).await, Remedy::Reload);
        });
    })
}

fn on_unreadable(bond: &Rc<Bond>) -> Closure<dyn FnMut(JsValue)> {
    let bond = bond.clone();
    Closure::new(move |event: JsValue| {
        let (failure, remedy) = stopped("The trainer sent something that the browser could not pass on.", describe(&event));
        bond.break_off(failure, remedy);
    })
}

/// The end of a program in the midst of its work. Of one that met an unexpected error its own words came before.
fn ended(detail: String) -> (Failure, Remedy) {
    let signs = ["unreachable", "out of memory", "allocation", "memory access", "Invalid array"];
    if signs.iter().any(|sign| detail.contains(sign)) {
        let failure = Failure {
            what: "The trainer's program crashed, most often because memory ran out.".into(),
            detail,
            next: "Choose smaller sizes, go back to the defaults, or start again.".into(),
        };
        (failure, Remedy::Defaults)
    } else {
        stopped("The trainer's program failed.", detail)
    }
}

async fn not_loaded(detail: &str) -> Failure {
    let seen = diagnose(FILES.map(Into::into).to_vec(), detail).await.unwrap_or_default();
    let word = |key: &str| Reflect::get(&seen, &key.into()).ok().and_then(|word| word.as_string());
    Failure {
        what: format!("The trainer could not start: {}.", word("what").unwrap_or_else(|| "its program did not load".into())),
        detail: detail.into(),
        next: word("next").unwrap_or_else(|| "Reload the page.".into()),
    }
}

fn stopped(what: &str, detail: String) -> (Failure, Remedy) {
    let next = "Start again: a new trainer is loaded and the run begins anew.".into();
    (Failure { what: what.into(), detail, next }, Remedy::StartAgain)
}

fn other_build(detail: String) -> Failure {
    Failure {
        what: "The trainer and this page come from different builds and do not understand each other.".into(),
        detail,
        next: "Reload the page without its cache.".into(),
    }
}

/// The message of an error event where it has one. A script that cannot be loaded gives an event without any.
fn describe(value: &JsValue) -> String {
    let message = Reflect::get(value, &"message".into()).ok().and_then(|message| message.as_string());
    message.filter(|text| !text.is_empty()).unwrap_or_else(|| format!("no detail was given; the script is {SCRIPT}"))
}
