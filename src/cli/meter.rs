//! How far something is: a bar on a terminal, and a line now and then where standard error is a file or a pipe.

use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::text::{duration, warn, whole};

const TENTHS: u64 = 10;

/// Longest silence between two lines.
const SILENCE: Duration = Duration::from_secs(30);

/// Time between two lines on something of unknown length.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bar is drawn again so often, with the time that is left, though nothing new was told.
const REDRAW: Duration = Duration::from_millis(250);

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// Steps, sessions, rows, by the name of one.
    Each(&'static str),
    /// Bytes of a file.
    Bytes,
}

/// How far something is, of which all is known to come.
#[derive(Debug)]
pub struct Meter {
    bar: Option<ProgressBar>,
    lines: Lines,
}

impl Meter {
    /// Of `total` units.
    pub fn new(total: u64, unit: Unit) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let position = match unit {
                Unit::Each(name) => format!("{{human_pos}}/{{human_len}} {name}s"),
                Unit::Bytes => "{bytes}/{total_bytes}".into(),
            };
            let style = ProgressStyle::with_template(&format!("{{bar:24}} {position}  {{eta}} left  {{wide_msg}}"));
            let bar = ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(REDRAW);
            bar
        });
        Self { bar, lines: Lines { unit, total, tenths: 0, said: Duration::ZERO, began: Instant::now() } }
    }

    /// Shows that `done` are done, and how it goes.
    pub fn show(&mut self, done: u64, state: String) {
        // Of an archive a few bytes are read twice.
        let done = done.min(self.lines.total);
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(state);
            }
            None => self.lines.due(done, &state, self.lines.began.elapsed()).into_iter().for_each(|line| warn(&line)),
        }
    }

    /// A line above the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => warn(text),
        }
    }

    /// Takes the bar away.
    pub fn close(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Something that takes an unknown time: on a terminal a line that counts the seconds, and where there is none a line now and then.
#[derive(Debug)]
pub struct Wait {
    bar: Option<ProgressBar>,
    /// Dropped, it ends the thread that says how long it has been.
    _end: Option<Sender<()>>,
}

impl Wait {
    /// Says `what` now, and for how long it has been going on from then on.
    pub fn new(what: &str) -> Self {
        if stderr().is_terminal() {
            let style = ProgressStyle::with_template("{msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::new_spinner().with_style(style).with_message(what.to_owned());
            bar.enable_steady_tick(REDRAW);
            return Self { bar: Some(bar), _end: None };
        }
        warn(what);
        let (end, ended) = channel::<()>();
        let (what, began) = (what.to_owned(), Instant::now());
        let say = move || {
            while ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                warn(&format!("{what} {}", duration(began.elapsed().as_secs_f64())));
            }
        };
        // Where no thread can be started, it is silent.
        let _ = thread::Builder::new().name("wait".into()).spawn(say);
        Self { bar: None, _end: Some(end) }
    }

    /// A line above it.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => warn(text),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            // What was done stays to be read.
            bar.finish();
        }
    }
}

/// The lines of a meter without a terminal.
#[derive(Debug)]
struct Lines {
    unit: Unit,
    total: u64,
    tenths: u64,
    /// When the last line was said.
    said: Duration,
    began: Instant,
}

impl Lines {
    /// The line that is due after `elapsed`: at each tenth, and after a long silence.
    fn due(&mut self, done: u64, state: &str, elapsed: Duration) -> Option<String> {
        let tenths = done.saturating_mul(TENTHS) / self.total.max(1);
        if tenths <= self.tenths && elapsed < self.said + SILENCE {
            return None;
        }
        (self.tenths, self.said) = (tenths, elapsed);
        let position = match self.unit {
            Unit::Each(name) => format!("{name} {} of {}", whole(done), whole(self.total)),
            Unit::Bytes => format!("{} of {}", HumanBytes(done), HumanBytes(self.total)),
        };
        let left = elapsed.as_secs_f64() * self.total.saturating_sub(done) as f64 / done.max(1) as f64;
        let left = if done < self.total && left >= 1.0 { format!("; about {} left", duration(left)) } else { String::new() };
        Some(format!("{position}: {state}{left}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_with_each_tenth_and_after_a_long_silence() {
        let mut lines = Lines { unit: Unit::Each("step"), total: 100, tenths: 0, said: Duration::ZERO, began: Instant::now() };
        let mut due = |done, seconds| lines.due(done, "9 samples/s", Duration::from_secs(seconds));
        assert_eq!(due(9, 9), None);
        assert_eq!(due(10, 10).unwrap(), "step 10 of 100: 9 samples/s; about 1 min 30 s left");
        assert_eq!(due(11, 39), None);
        assert_eq!(due(12, 40).unwrap(), "step 12 of 100: 9 samples/s; about 4 min 53 s left");
        assert_eq!(due(100, 50).unwrap(), "step 100 of 100: 9 samples/s");
        let mut bytes = Lines { unit: Unit::Bytes, total: 1 << 30, tenths: 0, said: Duration::ZERO, began: Instant::now() };
        assert_eq!(bytes.due(1 << 29, "5 lines", Duration::ZERO).unwrap(), "512.00 MiB of 1.00 GiB: 5 lines");
    }
}
