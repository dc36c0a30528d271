//! Charts are drawn one a frame and each a few times a second at most, whatever the training rate: drawing must never be
//! what a person waits for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use leptos::prelude::{request_animation_frame, window};

/// Milliseconds between two drawings of one chart.
const PAUSE: f64 = 250.0;

/// What draws.
type Draw = Rc<dyn Fn()>;

#[derive(Default)]
struct Queue {
    waiting: Vec<(usize, Draw)>,
    drawn: HashMap<usize, f64>,
    running: bool,
    names: usize,
}

thread_local! {
    static QUEUE: RefCell<Queue> = RefCell::default();
}

/// A name for a chart in the queue.
pub fn name() -> usize {
    QUEUE.with_borrow_mut(|queue| {
        queue.names += 1;
        queue.names
    })
}

/// Draws the named chart soon. Asking again before it is drawn changes nothing.
pub fn request(name: usize, draw: Draw) {
    let start = QUEUE.with_borrow_mut(|queue| {
        if !queue.waiting.iter().any(|(waiting, _)| *waiting == name) {
            queue.waiting.push((name, draw));
        }
        !std::mem::replace(&mut queue.running, true)
    });
    if start {
        request_animation_frame(tick);
    }
}

fn tick() {
    let now = window().performance().map_or(0.0, |clock| clock.now());
    let draw = QUEUE.with_borrow_mut(|queue| queue.due(now));
    if let Some(draw) = draw {
        draw();
    }
    let more = QUEUE.with_borrow_mut(|queue| {
        queue.running = !queue.waiting.is_empty();
        queue.running
    });
    if more {
        request_animation_frame(tick);
    }
}

impl Queue {
    /// The first that has waited long enough.
    fn due(&mut self, now: f64) -> Option<Draw> {
        let at = self.waiting.iter().position(|(name, _)| self.drawn.get(name).is_none_or(|drawn| now - drawn >= PAUSE))?;
        let (name, draw) = self.waiting.remove(at);
        self.drawn.insert(name, now);
        Some(draw)
    }
}
