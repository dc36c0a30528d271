//! The stream made by several threads: all that a row takes from the rows before it is its user's own, so each thread makes the rows
//! of some users, and all of them draw whose row each is. Half a minute instead of more than a minute for 100 million rows on two cores.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::{Events, Generator};
use crate::data::Event;
use crate::platform;

/// Rows below which threads are not worth starting.
const WORTH_THREADS: u64 = 1 << 21;
/// Threads at most: each draws the users of all rows.
const MOST_THREADS: usize = 8;
/// Rows that are put in order at once.
const BLOCK: u64 = 1 << 16;
/// Blocks that each thread keeps ready.
const READY: usize = 4;

/// The rows of a stream, by as many threads as it is worth.
pub(super) fn events(generator: Arc<Generator>) -> Box<dyn Iterator<Item = Event> + Send> {
    let threads = platform::threads().min(MOST_THREADS);
    // In sessions, whose row it is depends on the rows before.
    let is_worth_it = generator.rows >= WORTH_THREADS && threads > 1 && generator.session_rows <= 1.0;
    let in_order = is_worth_it.then(|| Merged::start(&generator, threads as u32)).flatten();
    in_order.map_or_else(|| Box::new(Events::new(generator, 1)) as _, |merged| Box::new(merged) as _)
}

/// The blocks of all threads, one after the other.
struct Merged {
    rows: u64,
    /// `[threads]`: the rows of each thread's users in a block, with their places in it.
    parts: Vec<Receiver<Vec<(u32, Event)>>>,
    block: Vec<Event>,
    /// Rows of the block that were given.
    given: usize,
    /// Where the next block begins.
    next: u64,
}

impl Merged {
    /// Starts the threads; none where one cannot be started.
    fn start(generator: &Arc<Generator>, threads: u32) -> Option<Self> {
        let start = |part: u32| {
            let (send, receive) = sync_channel(READY);
            let mut events = Events::new(generator.clone(), threads);
            let make = move || {
                for block in blocks(events.generator.rows) {
                    // Nobody waits for more where sending fails.
                    if send.send(events.own_rows(part, block)).is_err() {
                        break;
                    }
                }
            };
            thread::Builder::new().name(format!("rows {part}")).spawn(make).ok().map(|_| receive)
        };
        let parts = (0..threads).map(start).collect::<Option<_>>()?;
        Some(Self { rows: generator.rows, parts, block: Vec::new(), given: 0, next: 0 })
    }

    /// Puts the next block in order.
    fn fill(&mut self) {
        let rows = (self.rows - self.next).min(BLOCK) as usize;
        let mut placed: Vec<Option<Event>> = vec![None; rows];
        for part in &self.parts {
            // A thread ends early only where it came apart, and said so.
            for (place, event) in part.recv().expect("the thread makes every block") {
                placed[place as usize] = Some(event);
            }
        }
        self.next += rows as u64;
        (self.block, self.given) = (placed.into_iter().map(|event| event.expect("someone's row")).collect(), 0);
    }
}

impl Iterator for Merged {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.given == self.block.len() {
            if self.next >= self.rows {
                return None;
            }
            self.fill();
        }
        self.given += 1;
        Some(self.block[self.given - 1])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.rows - self.next).unwrap_or(usize::MAX).saturating_add(self.block.len() - self.given);
        (left, Some(left))
    }
}

fn blocks(rows: u64) -> impl Iterator<Item = Range<u64>> {
    (0..rows).step_by(BLOCK as usize).map(move |first| first..(first + BLOCK).min(rows))
}

impl Events {
    /// The rows of a block that are of this part of the users, with their places in it.
    fn own_rows(&mut self, part: u32, block: Range<u64>) -> Vec<(u32, Event)> {
        let (first, mut own) = (block.start, Vec::with_capacity((BLOCK / u64::from(self.parts)) as usize * 5 / 4));
        for row in block {
            self.row = row;
            let user = self.user();
            if user % self.parts == part {
                own.push(((row - first) as u32, self.event(user)));
            }
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Negatives};

    #[test]
    fn threads_make_the_same_rows() {
        let rows = 3 * BLOCK + 17;
        let base = Config { users: 301, rows, ..Config::default() };
        let lively = Config { seed: 9, newcomers: 0.3, interests: 3, drift: 0.1, new_items: 0.2, ..base.clone() };
        for config in [base.clone(), lively, Config { negatives: Negatives::None, ..base }] {
            let generator = Arc::new(Generator::new(&config));
            let alone: Vec<Event> = Events::new(generator.clone(), 1).collect();
            assert_eq!(alone.len() as u64, rows);
            for threads in [1, 2, 5] {
                let merged = Merged::start(&generator, threads).unwrap();
                assert_eq!(merged.size_hint(), (rows as usize, Some(rows as usize)));
                assert!(merged.eq(alone.iter().copied()), "{threads} threads");
            }
        }
    }

    #[test]
    fn threads_end_with_the_stream() {
        let generator = Arc::new(Generator::new(&Config { rows: 40 * BLOCK, ..Config::default() }));
        let mut merged = Merged::start(&generator, 3).unwrap();
        assert!(merged.next().is_some());
        drop(merged);
        let ended = (0..1_000).any(|_| {
            thread::sleep(std::time::Duration::from_millis(5));
            Arc::strong_count(&generator) == 1
        });
        assert!(ended);
    }
}
