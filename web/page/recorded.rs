//! A recorded run of the page's own race, which plays until the trainer's program has come and has taken its first step.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use duia::config::Config;
use duia::wire::Event;
use duia::wire::recording::Recording;
use js_sys::{ArrayBuffer, Uint8Array};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use crate::frame::now;
use crate::run::{About, Run};

/// Where it lies beside the page.
const FILE: &str = "assets/recorded.bin";
/// Milliseconds that all of it takes.
const LENGTH: f64 = 24_000.0;
/// Time between two looks at what is due.
const TICK: Duration = Duration::from_millis(100);

/// Plays it where there is one of this configuration. Without it the page waits for its trainer as it would have.
pub fn play(run: Run, config: Config) {
    let id = run.id.get_untracked();
    wasm_bindgen_futures::spawn_local(async move {
        let Some(recording) = fetch().await.filter(|recording| recording.config == config) else { return };
        // The live run may have begun meanwhile, or be another.
        if run.id.get_untracked() == id && !run.has_moved() {
            start(run, recording);
        }
    });
}

async fn fetch() -> Option<Recording> {
    let response: Response = JsFuture::from(window().fetch_with_str(FILE)).await.ok()?.dyn_into().ok()?;
    if !response.ok() {
        return None;
    }
    let buffer: ArrayBuffer = JsFuture::from(response.array_buffer().ok()?).await.ok()?.dyn_into().ok()?;
    Recording::from_bytes(&Uint8Array::new(&buffer).to_vec()).ok()
}

/// From the first picture on: what was before it is on show at once, for nothing moved then.
fn start(run: Run, recording: Recording) {
    let Recording { made, commit, command, steps, events, .. } = recording;
    let first = events.iter().find(|(_, event)| matches!(event, Event::Field(_))).map_or(0, |(step, _)| *step);
    run.show_recorded(About { made, commit, command });
    let left = RefCell::new(VecDeque::from(events));
    let begun = now();
    let play_due = move || {
        let due = first as f64 + (now() - begun) / LENGTH * steps as f64;
        let next = || left.borrow_mut().pop_front_if(|(step, _)| *step as f64 <= due);
        while let Some((_, event)) = next() {
            run.replay(event);
        }
        run.replay_to((due as u64).min(steps));
    };
    play_due();
    let timer = Rc::new(Cell::new(None::<IntervalHandle>));
    let its_own = timer.clone();
    let tick = move || match its_own.get() {
        Some(timer) if run.recorded.with_untracked(Option::is_none) => timer.clear(),
        _ => play_due(),
    };
    // Without a timer its beginning stays on show.
    timer.set(set_interval_with_handle(tick, TICK).ok());
}
