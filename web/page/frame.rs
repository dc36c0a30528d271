//! When canvases are drawn: one chart a frame, each a few times a second at most, whatever the training rate. Without a GPU the
//! browser draws on the thread that answers to clicks, and drawing must never be what a person waits for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use leptos::prelude::{request_animation_frame, set_timeout, window};

/// Milliseconds between two drawings of one chart.
const PAUSE: f64 = 400.0;

/// What draws.
type Draw = Rc<dyn Fn()>;

/// A canvas, what draws it, and whether it waits to be drawn.
struct Canvas {
    draw: Draw,
    drawn: f64,
    waits: bool,
}

#[derive(Default)]
struct Queue {
    canvases: BTreeMap<usize, Canvas>,
    running: bool,
    names: usize,
}

thread_local! {
    static QUEUE: RefCell<Queue> = RefCell::default();
}

/// Adds a canvas and what draws it, and gives its name in the queue.
pub fn add(draw: impl Fn() + 'static) -> usize {
    QUEUE.with_borrow_mut(|queue| {
        queue.names += 1;
        queue.canvases.insert(queue.names, Canvas { draw: Rc::new(draw), drawn: f64::NEG_INFINITY, waits: false });
        queue.names
    })
}

/// Takes a canvas out of the queue.
pub fn remove(name: usize) {
    QUEUE.with_borrow_mut(|queue| queue.canvases.remove(&name));
}

/// Draws the named canvas soon. Asking again before it is drawn changes nothing.
pub fn request(name: usize) {
    let start = QUEUE.with_borrow_mut(|queue| {
        if let Some(canvas) = queue.canvases.get_mut(&name) {
            canvas.waits = true;
        }
        !std::mem::replace(&mut queue.running, true)
    });
    if start {
        request_animation_frame(tick);
    }
}

/// Draws every canvas now, for paper.
pub fn draw_all() {
    let all: Vec<Draw> = QUEUE.with_borrow(|queue| queue.canvases.values().map(|canvas| canvas.draw.clone()).collect());
    all.iter().for_each(|draw| draw());
}

/// Milliseconds since the page was opened.
pub fn now() -> f64 {
    window().performance().map_or(0.0, |clock| clock.now())
}

fn tick() {
    let now = now();
    if let Some(draw) = QUEUE.with_borrow_mut(|queue| queue.due(now)) {
        draw();
    }
    match QUEUE.with_borrow_mut(|queue| queue.rest(now)) {
        None => {}
        Some(rest) if rest <= 0.0 => request_animation_frame(tick),
        Some(rest) => set_timeout(|| request_animation_frame(tick), Duration::from_secs_f64(rest / 1_000.0)),
    }
}

impl Queue {
    /// Of those that wait and were not drawn just now, the one that has waited longest.
    fn due(&mut self, now: f64) -> Option<Draw> {
        let waiting = self.canvases.values_mut().filter(|canvas| canvas.waits && now - canvas.drawn >= PAUSE);
        let canvas = waiting.min_by(|a, b| a.drawn.total_cmp(&b.drawn))?;
        (canvas.drawn, canvas.waits) = (now, false);
        Some(canvas.draw.clone())
    }

    /// Milliseconds until another is due; none where nothing waits, and then the queue rests.
    fn rest(&mut self, now: f64) -> Option<f64> {
        let rests = self.canvases.values().filter(|canvas| canvas.waits).map(|canvas| canvas.drawn + PAUSE - now);
        let rest = rests.min_by(f64::total_cmp);
        self.running = rest.is_some();
        rest
    }
}
