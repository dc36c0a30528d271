//! The one place where native and browser differ: threads, yielding, blocking, time limits, and how much memory there is.

use std::pin::pin;
use std::task::Poll;

#[cfg(not(target_family = "wasm"))]
mod memory;
#[cfg(target_family = "wasm")]
pub mod stream;

/// Threads of the machine to each that builds and plans batches while the device works: one makes a million samples a second of Table
/// 3's sizes, and a GPU trains on more.
const THREADS_TO_ONE_AHEAD: usize = 4;
/// Threads that do so at most.
const MOST_AHEAD: usize = 4;

/// Threads that plan batches ahead of the device here, at least one; a browser has none to start.
pub fn threads_ahead() -> usize {
    (threads() / THREADS_TO_ONE_AHEAD).clamp(1, MOST_AHEAD)
}

/// Runs `work` to its end, unless `stop` ends first: then `work` is dropped where it waits, and there is `None`.
pub async fn unless<T>(work: impl Future<Output = T>, stop: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut stop) = (pin!(work), pin!(stop));
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => stop.as_mut().poll(context).map(|()| None),
    })
    .await
}

#[cfg(not(target_family = "wasm"))]
mod here {
    pub use super::memory::available as available_memory;

    /// Runs `task` on every element, each on a thread of its own where `parallel`. The results do not depend on it.
    pub fn for_each<T: Send>(items: &mut [T], parallel: bool, task: impl Fn(&mut T) + Sync) {
        if !parallel || items.len() < 2 {
            return items.iter_mut().for_each(task);
        }
        let task = &task;
        std::thread::scope(|scope| {
            let (first, rest) = items.split_at_mut(1);
            rest.iter_mut().for_each(|item| {
                scope.spawn(move || task(item));
            });
            first.iter_mut().for_each(task);
        });
    }

    /// Runs two pieces of work at the same time. The results do not depend on it.
    pub fn join<A, B: Send>(here: impl FnOnce() -> A, there: impl FnOnce() -> B + Send) -> (A, B) {
        std::thread::scope(|scope| {
            let there = scope.spawn(there);
            let here = here();
            (here, there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// What `task` gives of each element, each on a thread of its own. The results do not depend on it.
    pub fn map<T: Sync, R: Send>(items: &[T], task: impl Fn(&T) -> R + Sync) -> Vec<R> {
        let task = &task;
        std::thread::scope(|scope| {
            let all: Vec<_> = items.iter().map(|item| scope.spawn(move || task(item))).collect();
            all.into_iter().map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    }

    /// Threads that run at once here.
    pub fn threads() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// Lets whoever shares this thread have a turn: nobody does natively.
    pub async fn breathe() {}

    /// Runs `work` to its end. Natively a driver that never answers blocks the thread, so no limit can be kept.
    pub async fn within<T>(work: impl Future<Output = T>, _milliseconds: i32) -> Option<T> {
        Some(work.await)
    }

    /// Waits for a future on this thread.
    #[cfg(feature = "train")]
    pub fn block_on<F: Future>(future: F) -> F::Output {
        burn::backend::read_sync(future)
    }
}

#[cfg(target_family = "wasm")]
mod here {
    use wasm_bindgen::{JsCast, JsValue};
    use wasm_bindgen_futures::JsFuture;

    /// Runs `task` on every element; a worker has one thread.
    pub fn for_each<T: Send>(items: &mut [T], _parallel: bool, task: impl Fn(&mut T) + Sync) {
        items.iter_mut().for_each(task);
    }

    /// Runs two pieces of work; a worker has one thread.
    pub fn join<A, B: Send>(here: impl FnOnce() -> A, there: impl FnOnce() -> B + Send) -> (A, B) {
        (here(), there())
    }

    /// What `task` gives of each element; a worker has one thread.
    pub fn map<T: Sync, R: Send>(items: &[T], task: impl Fn(&T) -> R + Sync) -> Vec<R> {
        items.iter().map(task).collect()
    }

    /// Bytes that a run may take here. WebAssembly has 4 GB of addresses; half of them, because memory that grows is moved, and what
    /// was freed is never given back. Where the browser says that the device has less, half of what it has.
    pub fn available_memory() -> Option<u64> {
        const MOST: f64 = 2e9;
        let get = |of: &JsValue, name: &str| js_sys::Reflect::get(of, &name.into()).ok();
        let gigabytes = get(&js_sys::global(), "navigator").and_then(|navigator| get(&navigator, "deviceMemory")?.as_f64());
        Some(gigabytes.map_or(MOST, |all| (all * 1e9 / 2.0).min(MOST)) as u64)
    }

    /// Threads that run at once here: a worker has one.
    pub fn threads() -> usize {
        1
    }

    /// Lets the worker's event loop have a turn, so that a command sent meanwhile is heard.
    pub async fn breathe() {
        pause(0).await;
    }

    /// Runs `work` to its end, unless it takes longer than so many milliseconds.
    pub async fn within<T>(work: impl Future<Output = T>, milliseconds: i32) -> Option<T> {
        super::unless(work, pause(milliseconds)).await
    }

    /// Waits for so many milliseconds without holding the event loop.
    pub async fn pause(milliseconds: i32) {
        let promise = js_sys::Promise::new(&mut |resolve, _| {
            let scope: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
            // Refused only while the worker shuts down; then nobody waits for the promise either.
            let _ = scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds);
        });
        let _ = JsFuture::from(promise).await;
    }
}

pub use here::*;
