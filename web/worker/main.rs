//! The page's training worker: takes [`Command`]s, runs a [`Comparison`] and posts [`Message`]s. A thin shell: everything it
//! decides itself is when to look up from training.
//!
//! It posts the string `"ready"` once it listens, because what is posted to a worker before that is lost.

mod data;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_channel::{Receiver, Sender};
use duia::config::Config;
use duia::platform::{breathe, pause};
use duia::training::device::{self, Opened};
use duia::training::{Comparison, TrainError};
use duia::view::Field;
use duia::wire::{self, Command, DeviceChoice, Event, Failure, Message, Stage, State};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};
use web_time::{Duration, Instant};

/// Time between two looks at the field and the losses, which cost a read-back.
const LOOK: Duration = Duration::from_millis(200);
/// Longest the event loop waits for a turn while steps are short.
const TURN: Duration = Duration::from_millis(12);
/// Longest wait between two steps before commands are looked at again.
const NAP_MS: i32 = 50;

/// The run that a panic belongs to.
static CURRENT_RUN: AtomicU32 = AtomicU32::new(0);

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

/// Posts a message as one buffer that is transferred, not copied.
fn post(message: &Message) {
    let Ok(bytes) = wire::to_bytes(message) else { return };
    let array = Uint8Array::from(bytes.as_slice());
    // Fails only while the page goes away, and then there is nobody to tell.
    let _ = scope().post_message_with_transfer(&array.buffer(), &Array::of1(&array.buffer()));
}

fn main() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        let what = "The trainer met an error that it did not expect and stopped.".to_string();
        let next = "Start again. If it happens again, choose the CPU and tell the authors the detail below.".to_string();
        let run = CURRENT_RUN.load(Ordering::Relaxed);
        post(&Message { run, event: Event::Failed(Failure { what, detail: info.to_string(), next }) });
    }));
    let (sender, commands) = async_channel::unbounded();
    listen(sender);
    wasm_bindgen_futures::spawn_local(Worker { commands, queue: VecDeque::new(), opened: None }.serve());
    let _ = scope().post_message(&JsValue::from_str("ready"));
}

fn listen(sender: Sender<Command>) {
    let heard = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let bytes = Uint8Array::new(&event.data()).to_vec();
        if let Ok(command) = wire::from_bytes(&bytes) {
            // The receiver lives as long as the worker.
            let _ = sender.try_send(command);
        }
    });
    scope().set_onmessage(Some(heard.as_ref().unchecked_ref()));
    heard.forget();
}

/// What the watcher wants of the run at the moment.
struct Wish {
    playing: bool,
    steps: u32,
    /// Whether training ends here.
    is_over: bool,
    steps_per_second: f32,
    /// Names and bytes of files to go on from.
    weights: Vec<(String, Vec<u8>)>,
}

/// Lets a model go on from a file. One that does not fit is refused and changes nothing.
async fn load(comparison: &mut Comparison, name: String, bytes: &[u8], sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
    match comparison.load(bytes) {
        Ok(variant) => {
            sink(Event::Loaded { variant, name });
            comparison.evaluate_panel(sink).await
        }
        Err(error @ TrainError::Weights(_)) => {
            let failure = Failure::from(&error);
            sink(Event::Refused(Failure { what: format!("{name}: {}", failure.what), ..failure }));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Tells where the run stands, its losses and, once there are centres, the next frame of the field.
async fn look(comparison: &mut Comparison, field: &mut Field, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
    sink(comparison.progress());
    if let Some(snapshot) = comparison.look(sink).await? {
        sink(Event::Field(Box::new(field.frame(snapshot))));
    }
    Ok(())
}

/// The end of training: what it left to see, and the tests.
async fn conclude(comparison: &mut Comparison, field: &mut Field, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
    look(comparison, field, sink).await?;
    comparison.evaluate_all(sink).await
}

struct Worker {
    commands: Receiver<Command>,
    queue: VecDeque<Command>,
    /// The device, once opened: a browser opens it once for a worker.
    opened: Option<(DeviceChoice, Rc<Opened>)>,
}

impl Worker {
    async fn serve(mut self) {
        loop {
            let command = match self.queue.pop_front() {
                Some(command) => command,
                None => match self.commands.recv().await {
                    Ok(command) => command,
                    Err(_) => return,
                },
            };
            if let Command::Start { run, config, device, sample } = command
                && let Err(error) = self.run(run, *config, device, sample).await
            {
                post(&Message { run, event: Event::Failed(Failure::from(&error)) });
            }
        }
    }

    async fn open(&mut self, run: u32, choice: DeviceChoice, config: &Config) -> Result<Rc<Opened>, TrainError> {
        if let Some((_, opened)) = self.opened.as_ref().filter(|(known, _)| *known == choice) {
            return Ok(opened.clone());
        }
        let opened = Rc::new(device::open(choice, config, &mut |event| post(&Message { run, event })).await?);
        self.opened = Some((choice, opened.clone()));
        Ok(opened)
    }

    /// A whole run, until its end or until another is asked for.
    async fn run(&mut self, run: u32, config: Config, choice: DeviceChoice, sample: bool) -> Result<(), TrainError> {
        CURRENT_RUN.store(run, Ordering::Relaxed);
        let mut sink = |event: Event| post(&Message { run, event });
        let opened = self.open(run, choice, &config).await?;
        sink(Event::Device(opened.report.clone()));
        sink(Event::Stage(Stage::Data));
        breathe().await;
        let source = data::source(&config, sample).await?;
        let mut comparison = Comparison::new(config, source, &opened.device, opened.watch.clone())?;
        let mut field = Field::default();
        comparison.introduce(&mut sink);
        sink(Event::State(State::Paused));
        let mut wish = Wish { playing: false, steps: 0, is_over: false, steps_per_second: 0.0, weights: Vec::new() };
        let (mut looked, mut turn) = (Instant::now(), Instant::now());
        loop {
            if !wish.playing && wish.steps == 0 {
                match self.commands.recv().await {
                    Ok(command) => self.queue.push_back(command),
                    Err(_) => return Ok(()),
                }
            }
            let was_playing = wish.playing;
            if self.obey(run, &mut wish) {
                return Ok(());
            }
            for (name, bytes) in wish.weights.drain(..) {
                load(&mut comparison, name, &bytes, &mut sink).await?;
            }
            if wish.is_over {
                return conclude(&mut comparison, &mut field, &mut sink).await;
            }
            if wish.playing != was_playing {
                // The exact step comes with the news, so that a pause shows where it stopped.
                sink(comparison.progress());
                sink(Event::State(if wish.playing { State::Playing } else { State::Paused }));
            }
            if !wish.playing && wish.steps == 0 {
                continue;
            }
            let begun = Instant::now();
            let more = comparison.step(&mut sink).await?;
            let single = wish.steps > 0;
            wish.steps = wish.steps.saturating_sub(1);
            if !more {
                return conclude(&mut comparison, &mut field, &mut sink).await;
            }
            if single || looked.elapsed() > LOOK {
                look(&mut comparison, &mut field, &mut sink).await?;
                looked = Instant::now();
            }
            if single && !wish.playing {
                sink(Event::State(State::Paused));
            }
            self.rest(begun, wish.steps_per_second).await;
            if turn.elapsed() > TURN {
                breathe().await;
                turn = Instant::now();
            }
        }
    }

    /// Takes the commands that have come. `true` where another run is asked for.
    fn obey(&mut self, run: u32, wish: &mut Wish) -> bool {
        while let Ok(command) = self.commands.try_recv() {
            self.queue.push_back(command);
        }
        while let Some(command) = self.queue.pop_front() {
            match command {
                Command::Start { .. } => {
                    self.queue.push_front(command);
                    return true;
                }
                Command::Play { run: of } if of == run => wish.playing = true,
                Command::Pause { run: of } if of == run => wish.playing = false,
                Command::Step { run: of } if of == run => {
                    wish.playing = false;
                    wish.steps += 1;
                }
                Command::Finish { run: of } if of == run => wish.is_over = true,
                Command::Speed { run: of, steps_per_second } if of == run => wish.steps_per_second = steps_per_second,
                Command::Load { run: of, name, bytes } if of == run => wish.weights.push((name, bytes)),
                _ => {}
            }
        }
        false
    }

    /// Waits until a step at this speed is over, or a command comes.
    async fn rest(&self, begun: Instant, steps_per_second: f32) {
        if steps_per_second <= 0.0 {
            return;
        }
        let step = Duration::from_secs_f32(1.0 / steps_per_second);
        while begun.elapsed() < step && self.commands.is_empty() {
            let left = (step.saturating_sub(begun.elapsed())).as_millis() as i32;
            pause(left.clamp(1, NAP_MS)).await;
        }
    }
}
