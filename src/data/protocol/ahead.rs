//! Work on batches that other threads do before it is asked for.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Pieces that each thread keeps ready.
const READY: usize = 2;

/// Makes a piece of work for each step of a span, in order, on threads of its own. They end when this is dropped.
pub struct Ahead<T> {
    first: u64,
    next: u64,
    end: u64,
    /// `[threads]`: each makes every `n`th piece.
    ready: Vec<Receiver<T>>,
    /// Makes what no thread could be started for (a browser has none).
    here: Box<dyn FnMut(u64) -> T + Send>,
}

impl<T: Send + 'static> Ahead<T> {
    /// Starts `threads` threads with a `worker` each. A piece depends on its step alone, so the number of threads changes nothing.
    pub fn start<W: FnMut(u64) -> T + Send + 'static>(steps: Range<u64>, threads: usize, worker: impl Fn() -> W) -> Self {
        let spawned = |thread: usize| {
            let (send, ready) = sync_channel(READY);
            let (mut work, own) = (worker(), (steps.start + thread as u64..steps.end).step_by(threads));
            let make = move || {
                for step in own {
                    // Nobody waits for more where sending fails.
                    if send.send(work(step)).is_err() {
                        break;
                    }
                }
            };
            thread::Builder::new().name(format!("ahead {thread}")).spawn(make).map(|_| ready)
        };
        let ready = (0..threads).map(spawned).collect::<Result<_, _>>().unwrap_or_default();
        Self { first: steps.start, next: steps.start, end: steps.end, ready, here: Box::new(worker()) }
    }
}

impl<T> Iterator for Ahead<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.next >= self.end {
            return None;
        }
        let step = self.next;
        self.next += 1;
        let made = match self.ready.len() as u64 {
            0 => None,
            threads => self.ready[((step - self.first) % threads) as usize].recv().ok(),
        };
        Some(made.unwrap_or_else(|| (self.here)(step)))
    }
}
