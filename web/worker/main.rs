//! The page's training worker: takes [`Command`]s, runs a [`Comparison`] and posts [`Message`]s. A thin shell: what is wanted
//! says [`duia::control::Control`]; it decides itself only when to look up from training.
//!
//! It posts the string `"ready"` once it listens, because what is posted to a worker before that is lost.

mod data;
mod desk;
mod marks;
mod own;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use data::Sample;
use desk::Desk;
use duia::config::Config;
use duia::control::{Next, Order};
use duia::data::{DataError, Side, Source};
use duia::footprint::{self, Shape};
use duia::platform::{available_memory, breathe, pause, unless};
use duia::training::device::{self, Opened};
use duia::training::{Comparison, TrainError};
use duia::view::{Field, Sitting};
use duia::wire::{self, DeviceChoice, Event, Failure, Message, Remedy, RowsChoice, Stage, State};
use js_sys::{Array, Promise, Uint8Array};
use marks::Marks;
use own::Own;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{DedicatedWorkerGlobalScope, File, MessageEvent};
use web_time::{Duration, Instant};

/// Time between two looks at the field and the losses, which cost a read-back.
const LOOK: Duration = Duration::from_millis(200);
/// Looks until the next portrait.
const LOOKS_A_PORTRAIT: u32 = 5;
/// Longest the event loop waits for a turn while steps are short.
const TURN: Duration = Duration::from_millis(12);

/// The run that a panic belongs to.
static CURRENT_RUN: AtomicU32 = AtomicU32::new(0);

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Posts an event of a run as one buffer that is transferred, not copied.
fn post(run: u32, event: Event) {
    let Ok(bytes) = wire::to_bytes(&Message { run, event }) else { return };
    let array = Uint8Array::from(bytes.as_slice());
    // Fails only while the page goes away, and then there is nobody to tell.
    let _ = scope().post_message_with_transfer(&array.buffer(), &Array::of1(&array.buffer()));
}

fn main() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        let what = "The trainer met an error that it did not expect and stopped.".to_string();
        let next = "Start again. If it happens again, train on the CPU and tell the authors the detail below.".to_string();
        let failure = Failure { what, detail: info.to_string(), next };
        post(CURRENT_RUN.load(Ordering::Relaxed), Event::Failed { failure, remedy: Remedy::UseCpu });
    }));
    let desk = Rc::new(Desk::new());
    listen(desk.clone());
    spawn_local(Worker { desk, opened: None, sample: Sample::Unknown, own: None, marks: Rc::default() }.serve());
    spawn_local(announce());
}

fn listen(desk: Rc<Desk>) {
    let heard = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        // A command, or a command and the file that it is about.
        let data = event.data();
        let data = match data.dyn_ref::<Array>() {
            Some(both) => {
                both.get(1).dyn_into::<File>().into_iter().for_each(|file| desk.take_file(file));
                both.get(0)
            }
            None => data,
        };
        let bytes = Uint8Array::new(&data).to_vec();
        if let Ok(command) = wire::from_bytes(&bytes) {
            desk.take(command);
        }
    });
    scope().set_onmessage(Some(heard.as_ref().unchecked_ref()));
    heard.forget();
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["navigator", "locks"], js_name = request, catch)]
    fn request_lock(name: &str, held: JsValue) -> Result<Promise, JsValue>;
}

/// Says that commands are heard from now on. Before that it takes the lock of this worker's name, which a browser frees only
/// when the worker ends, however it ends: the page stands in line for it, and so knows of a death at once. Without locks (a page
/// that is not secure has none) the page must judge by silence.
async fn announce() {
    let held = Closure::once_into_js(|| -> Promise {
        say_ready();
        Promise::new(&mut |_, _| {})
    });
    let lock = match request_lock(&scope().name(), held) {
        Ok(lock) => JsFuture::from(lock).await,
        Err(error) => Err(error),
    };
    if lock.is_err() {
        say_ready();
    }
}

fn say_ready() {
    let _ = scope().post_message(&JsValue::from_str("ready"));
}

struct Worker {
    desk: Rc<Desk>,
    /// The device, once opened: a browser opens it once for a worker.
    opened: Option<(DeviceChoice, Rc<Opened>)>,
    sample: Sample,
    /// The rows of the person's own file, once read.
    own: Option<Own>,
    /// Where the run under way can be branched, or the one before.
    marks: Rc<RefCell<Marks>>,
}

impl Worker {
    async fn serve(mut self) {
        loop {
            let order = self.desk.order().await;
            let (run, is_own) = (order.run, matches!(order.rows, RowsChoice::Own { .. }));
            CURRENT_RUN.store(run, Ordering::Relaxed);
            if let Err(error) = self.run(order).await {
                let (failure, remedy) = if is_own { own::failure(&error) } else { (Failure::from(&error), Remedy::from(&error)) };
                post(run, Event::Failed { failure, remedy });
            }
        }
    }

    /// A whole run, until its end or until another is asked for.
    async fn run(&mut self, Order { run, config, device, rows, from }: Order) -> Result<(), TrainError> {
        let (desk, marks) = (self.desk.clone(), self.marks.clone());
        let mut sink = |event: Event| {
            marks.borrow_mut().hear(&event);
            post(run, event);
        };
        if from.is_none() {
            marks.borrow_mut().clear();
        }
        if rows == RowsChoice::Synthetic {
            // Before the device: its self-test takes steps of the run's own widths.
            footprint::require(&config, Shape::synthetic(&config), available_memory())?;
        }
        let opened = self.open(device, &config).await?;
        sink(Event::Device(opened.report.clone()));
        desk.tell(Event::Stage(Stage::Data));
        breathe().await;
        let looked = unless(self.look_for(&rows, &config, &mut sink), desk.superseded()).await;
        looked.unwrap_or(Ok(()))?;
        if desk.is_superseded() {
            return Ok(());
        }
        let (mut comparison, mut easel) = self.branch_or_begin(*config, &rows, &opened, from, run)?;
        let mut attention = Attention::new();
        loop {
            match desk.decide() {
                Next::Leave => return Ok(()),
                Next::Load { name, bytes } => {
                    if load(&mut comparison, name, &bytes, &mut sink).await? {
                        // From here on it is a run of somebody else's weights, too.
                        marks.borrow_mut().stop();
                    }
                }
                Next::Show(side) => easel.show(side, &mut comparison, &mut sink).await?,
                Next::Portray(sitting) => easel.portray(sitting, &mut comparison, &mut sink).await?,
                Next::Conclude => break,
                Next::Tell(state) => tell(&comparison, state, &mut sink),
                Next::Wait => desk.changed().await,
                Next::Step { single } => {
                    let begun = Instant::now();
                    if !comparison.step(&mut sink).await? {
                        break;
                    }
                    let is_wanted = marks.borrow_mut().wants(&comparison);
                    if is_wanted && let Some(bytes) = marks::written(&comparison).await {
                        let [step, _] = comparison.steps();
                        marks.borrow_mut().keep(step, &bytes, &easel.field);
                        sink(Event::Marked { step });
                    }
                    if single || attention.is_due() {
                        easel.look(single, &mut comparison, &mut sink).await?;
                    }
                    rest(&desk, begun).await;
                    attention.breathe().await;
                }
            }
        }
        // What the end tells is not of a branch's past, even of one at this step.
        let mut sink = |event: Event| post(run, event);
        // A person who wants another run does not wait for the test of this one.
        unless(conclude(&mut comparison, &mut easel, &mut sink), desk.superseded()).await.unwrap_or(Ok(()))
    }

    /// The comparison of a run, which it introduces: one that goes on from a mark of the run before, with its past told again, or one
    /// from its own beginning.
    fn branch_or_begin(
        &self,
        config: Config,
        rows: &RowsChoice,
        opened: &Opened,
        from: Option<u64>,
        run: u32,
    ) -> Result<(Comparison, Easel), TrainError> {
        // Nothing that is told here is news to the marks.
        let mut sink = |event: Event| post(run, event);
        let mut comparison = self.prepare(config.clone(), rows, opened, &mut sink)?;
        let branched = from.map(|step| (step, self.marks.borrow().branch(&mut comparison, step)));
        let [_, steps] = comparison.steps();
        let mut marks = self.marks.borrow_mut();
        match branched {
            Some((step, Ok(field))) => {
                marks.begin(step, steps);
                comparison.introduce(&mut sink);
                marks.steps().into_iter().for_each(|step| sink(Event::Marked { step }));
                sink(Event::Past(marks.past()));
                sink(comparison.progress());
                Ok((comparison, Easel { field, ..Easel::default() }))
            }
            Some((_, Err(failure))) => {
                // The old one first: both may not fit.
                drop(comparison);
                marks.clear();
                marks.begin(0, steps);
                let comparison = self.prepare(config, rows, opened, &mut sink)?;
                comparison.introduce(&mut sink);
                sink(Event::Refused(failure));
                Ok((comparison, Easel::default()))
            }
            None => {
                marks.begin(0, steps);
                comparison.introduce(&mut sink);
                Ok((comparison, Easel::default()))
            }
        }
    }

    async fn open(&mut self, choice: DeviceChoice, config: &Config) -> Result<Rc<Opened>, TrainError> {
        if let Some((_, opened)) = self.opened.as_ref().filter(|(known, _)| *known == choice) {
            return Ok(opened.clone());
        }
        let opened = Rc::new(device::open(choice, config, &mut |event| self.desk.tell(event)).await?);
        self.opened = Some((choice, opened.clone()));
        Ok(opened)
    }

    /// Looks for the rows that a run wants: the host's subset, or those of the person's own file.
    async fn look_for(&mut self, rows: &RowsChoice, config: &Config, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        match rows {
            RowsChoice::Subset if matches!(self.sample, Sample::Unknown) => self.sample = Sample::fetch().await,
            RowsChoice::Own { schema } => {
                let file = self.desk.file().ok_or_else(no_file)?;
                let config = without_truth(config);
                if self.own.as_ref().and_then(|own| own.rows_for(&file, schema, &config)).is_none() {
                    // The old ones first: both may not fit.
                    self.own = None;
                    self.own = Some(Own::read(&file, schema, &config, &mut |reading| sink(Event::Reading(reading))).await?);
                }
            }
            RowsChoice::Subset | RowsChoice::Synthetic => {}
        }
        Ok(())
    }

    /// The comparison on the rows that were found; on the synthetic stream where no subset can be used.
    fn prepare(&self, config: Config, rows: &RowsChoice, opened: &Opened, sink: &mut dyn FnMut(Event)) -> Result<Comparison, TrainError> {
        let sample = *rows == RowsChoice::Subset;
        let on = |config: Config, rows: Arc<dyn Source>, sink: &mut dyn FnMut(Event)| {
            Comparison::new(config, rows, &opened.device, opened.watch.clone(), sink)
        };
        if let RowsChoice::Own { .. } = rows {
            return on(without_truth(&config), self.own.as_ref().ok_or_else(no_file)?.rows(), sink);
        }
        let why = match (&self.sample, self.sample.rows()) {
            (_, Some(rows)) if sample => match on(without_truth(&config), rows, sink) {
                Err(TrainError::Data(error)) => error.to_string(),
                outcome => return outcome,
            },
            (Sample::Unusable(why), _) if sample => why.clone(),
            _ => return on(config.clone(), data::synthetic(&config)?, sink),
        };
        sink(Event::Refused(data::set_aside(why)));
        on(config.clone(), data::synthetic(&config)?, sink)
    }
}

/// A page of this build sends the file with its command.
fn no_file() -> DataError {
    let advice = "Choose it once more".into();
    DataError::TooLittle { name: "The file".into(), problem: "did not come with its command".into(), advice }
}

/// A race on real rows, which nobody knows the truth of: the page's own race has a ceiling.
fn without_truth(config: &Config) -> Config {
    let mut config = config.clone();
    if config.variants.0.iter().any(|variant| !variant.knows_truth()) {
        config.variants.0.retain(|variant| !variant.knows_truth());
    }
    config
}

/// Tells whether the run plays, and with it the exact step, so that a pause shows where it stopped.
fn tell(comparison: &Comparison, state: State, sink: &mut dyn FnMut(Event)) {
    sink(comparison.progress());
    sink(Event::State(state));
}

/// Lets a model go on from a file, and says whether it does. One that does not fit is refused and changes nothing.
async fn load(comparison: &mut Comparison, name: String, bytes: &[u8], sink: &mut dyn FnMut(Event)) -> Result<bool, TrainError> {
    match comparison.load(bytes) {
        Ok(variant) => {
            sink(Event::Loaded { variant, name });
            comparison.evaluate_probe_set(sink).await.map(|()| true)
        }
        Err(error @ TrainError::Weights(_)) => {
            let Failure { what, detail, next } = Failure::from(&error);
            sink(Event::Refused(Failure { what: format!("{name}: {what}"), detail, next: format!("The run goes on as it was. {next}") }));
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// What of the run is pictured for the person who watches.
#[derive(Default)]
struct Easel {
    side: Side,
    field: Field,
    sitting: Sitting,
    /// Looks since the last portrait, which costs a forward pass of every model.
    looks: u32,
}

impl Easel {
    /// Pictures another side's centres.
    async fn show(&mut self, side: Side, comparison: &mut Comparison, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        self.side = side;
        self.frame(comparison, sink).await
    }

    /// Portrays another user, or the same with another history.
    async fn portray(&mut self, sitting: Sitting, comparison: &mut Comparison, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        (self.sitting, self.looks) = (sitting, 0);
        if let Some(portrait) = comparison.portray(sitting).await? {
            sink(Event::Portrait(Box::new(portrait)));
        }
        Ok(())
    }

    /// Tells where the run stands, its losses and, once there are centres, the next frame of the field; now and then, or where the
    /// person wants to see this very step, the portrait too.
    async fn look(&mut self, closely: bool, comparison: &mut Comparison, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        sink(comparison.progress());
        self.frame(comparison, sink).await?;
        self.looks += 1;
        if closely || self.looks >= LOOKS_A_PORTRAIT {
            self.portray(self.sitting, comparison, sink).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, comparison: &mut Comparison, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        if let Some(snapshot) = comparison.look(self.side, sink).await? {
            sink(Event::Field(Box::new(self.field.frame(snapshot))));
        }
        Ok(())
    }
}

/// The end of training: what it left to see, and the tests.
async fn conclude(comparison: &mut Comparison, easel: &mut Easel, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
    easel.look(true, comparison, sink).await?;
    comparison.evaluate_all(sink).await
}

/// Waits until a step at the wanted speed is over, or a command comes.
async fn rest(desk: &Desk, begun: Instant) {
    let speed = desk.steps_per_second();
    if speed > 0.0 {
        let left = Duration::from_secs_f32(1.0 / speed).saturating_sub(begun.elapsed());
        let _ = unless(pause(left.as_millis() as i32), desk.changed()).await;
    }
}

/// When the trainer last looked up from its steps.
struct Attention {
    looked: Instant,
    breathed: Instant,
}

impl Attention {
    fn new() -> Self {
        Self { looked: Instant::now(), breathed: Instant::now() }
    }

    /// Whether it is time to show what the steps did.
    fn is_due(&mut self) -> bool {
        let due = self.looked.elapsed() > LOOK;
        if due {
            self.looked = Instant::now();
        }
        due
    }

    /// Lets commands be heard.
    async fn breathe(&mut self) {
        if self.breathed.elapsed() > TURN {
            breathe().await;
            self.breathed = Instant::now();
        }
    }
}
