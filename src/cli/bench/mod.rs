//! `duia bench`: how fast this machine trains, and what bounds it.
//!
//! The bench itself touches no device. It starts a worker for each way to run, hands it one case after the other, shows what comes
//! back and writes it down at once. A worker that fails or hangs is ended, its case is named as missing, and another goes on.

pub mod arguments;
mod batches;
mod launches;
mod machine;
mod measure;
mod plan;
mod record;
mod table;
mod worker;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use arguments::{Bench, SizesName};
use machine::{Machine, Meter};
use measure::Finding;
use plan::{Case, Wanted, cases};
use record::{FORMAT, Measured, Missing, Record};
use worker::{Line, Order};

use super::files::write_whole;
use super::refusal::Refusal;
use super::text::{say, warn, whole};

/// How long nothing is said at most.
const SILENCE: Duration = Duration::from_secs(2);
/// How long a worker may take to find its device.
const START: Duration = Duration::from_secs(60);
/// How long a case may go without a word before its worker is ended: a large model's first step compiles for long.
const STUCK: Duration = Duration::from_secs(150);
/// How long a worker of which a part panicked may still take to say so itself.
const AFTER_PANIC: Duration = Duration::from_secs(10);
/// Seconds over the time that a figure under way is waited for.
const GRACE: f64 = 10.0;
/// Seconds for each figure in a smoke test.
const SMOKE_SECONDS: f64 = 0.3;

/// Measures, or is a worker that does, or makes the table anew.
pub fn bench(arguments: &Bench) -> Result<(), Refusal> {
    if arguments.worker {
        return worker::work(arguments);
    }
    if arguments.table {
        return write_table(&arguments.out);
    }
    Supervisor::new(arguments).run()
}

/// Makes `table.md` of all the records of a folder.
fn write_table(folder: &Path) -> Result<(), Refusal> {
    let (records, others) = Record::all(folder)?;
    others.iter().for_each(|other| warn(&format!("{other} is no record of a bench and is left out.")));
    let path = folder.join("table.md");
    write_whole(&path, table::markdown(&records).as_bytes()).map_err(|error| Refusal::unwritable(&path, error))
}

struct Supervisor<'a> {
    arguments: &'a Bench,
    record: Record,
    meter: Option<Meter>,
    begun: Instant,
}

/// A worker and what it says.
struct Worker {
    child: Child,
    orders: ChildStdin,
    lines: Receiver<Line>,
    fusion: bool,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'a> Supervisor<'a> {
    fn new(arguments: &'a Bench) -> Self {
        let command: Vec<String> = std::env::args_os().skip(1).map(|part| part.to_string_lossy().into_owned()).collect();
        let record = Record {
            format: FORMAT,
            program: format!("duia {}", env!("CARGO_PKG_VERSION")),
            label: arguments.label.clone().unwrap_or_default(),
            backend: String::new(),
            device: String::new(),
            machine: Machine::here(),
            date: jiff::ZonedDateTime::now().strftime("%Y-%m-%d %H:%M").to_string(),
            command: format!("duia {}", command.join(" ")),
            results: Vec::new(),
            missing: Vec::new(),
        };
        Self { arguments, record, meter: Meter::start(), begun: Instant::now() }
    }

    fn left(&self) -> f64 {
        60.0 * self.arguments.minutes - self.begun.elapsed().as_secs_f64()
    }

    fn show(&self, text: &str) {
        warn(&format!("[{:4.0} s] {text}", self.begun.elapsed().as_secs_f64()));
    }

    fn run(mut self) -> Result<(), Refusal> {
        let Machine { processor, threads, cards, .. } = &self.record.machine;
        self.show(&format!(
            "{processor}, {threads} threads; {}",
            if cards.is_empty() { "no NVIDIA card".into() } else { cards.join("; ") }
        ));
        let mut worker = Some(self.start(true)?);
        self.save()?;
        for case in self.cases() {
            let title = case.title();
            if self.left() < case.least_seconds() {
                self.miss(&title, "no time was left");
                continue;
            }
            if worker.as_ref().is_none_or(|worker| worker.fusion != case.fusion) {
                drop(worker.take());
                worker = match self.start(case.fusion) {
                    Ok(worker) => Some(worker),
                    Err(refusal) => {
                        self.miss(&title, &refusal.to_string());
                        continue;
                    }
                };
            }
            self.show(&title);
            let outcome = worker.as_mut().map(|worker| self.measure(worker, &case));
            if let Some(Err(why)) = outcome {
                self.miss(&title, &why);
                worker = None;
            }
            self.save()?;
        }
        self.save()?;
        say(&format!("{}: {} figures, {} missing.", self.record.label, self.record.results.len(), self.record.missing.len()));
        say(&format!("Table: {}", self.arguments.out.join("table.md").display()));
        Ok(())
    }

    fn cases(&self) -> Vec<Case> {
        let Bench { sizes, models, batches, smoke, .. } = self.arguments;
        let on_cpu = self.record.backend == "CPU";
        if *smoke {
            let model = duia::variants::Variant::Duia;
            return cases(&Wanted { sizes: vec![SizesName::Browser], models: vec![model], batches: vec![512], on_cpu });
        }
        cases(&Wanted { sizes: sizes.clone(), models: models.clone(), batches: batches.clone(), on_cpu })
    }

    fn miss(&mut self, what: &str, why: &str) {
        self.show(&format!("{what}: {why}"));
        self.record.missing.push(Missing { what: what.into(), why: why.into() });
    }

    fn save(&self) -> Result<(), Refusal> {
        self.record.write(&self.arguments.out)?;
        write_table(&self.arguments.out)
    }

    /// Starts a worker and waits until it has its device.
    fn start(&mut self, fusion: bool) -> Result<Worker, Refusal> {
        let failed = |why: String| Refusal::input(format!("The bench cannot start: {why}"), "Choose another device with --device");
        let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
        let mut child = Command::new(program)
            .args(worker::command_line(self.arguments.device, fusion))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (orders, output) = (child.stdin.take(), child.stdout.take());
        let (Some(orders), Some(output)) = (orders, output) else { return Err(failed("no pipe to the worker".into())) };
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| Line::Failed(format!("the worker said: {line}")));
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let worker = Worker { child, orders, lines, fusion };
        match self.next(&worker, START) {
            Ok(Line::Ready { backend, adapter }) => {
                self.show(&format!("device: {backend} ({adapter})"));
                self.introduce(backend, adapter);
                Ok(worker)
            }
            Ok(_) => Err(failed("the worker did not say that it was ready".into())),
            Err(why) => Err(failed(why)),
        }
    }

    fn introduce(&mut self, backend: String, adapter: String) {
        if self.record.label.is_empty() {
            self.record.label = format!("duia, {backend}");
        }
        (self.record.backend, self.record.device) = (backend, adapter);
    }

    /// The worker's next line that is no panic. While none comes, something is shown all the same.
    fn next(&self, worker: &Worker, patience: Duration) -> Result<Line, String> {
        let (waiting, mut panicked) = (Instant::now(), None);
        loop {
            if self.left() < -GRACE {
                return Err("the time was over".into());
            }
            let patience = if panicked.is_some() { AFTER_PANIC } else { patience };
            match worker.lines.recv_timeout(SILENCE) {
                Ok(Line::Panicked(text)) => {
                    self.show(&format!("panic: {text}"));
                    panicked.get_or_insert(text);
                }
                Ok(Line::Failed(why)) => return Err(panicked.unwrap_or(why)),
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Timeout) if waiting.elapsed() > patience => {
                    return Err(panicked.unwrap_or_else(|| format!("nothing was heard for {} s", patience.as_secs())));
                }
                Err(RecvTimeoutError::Timeout) => self.show("…"),
                Err(RecvTimeoutError::Disconnected) => return Err(panicked.unwrap_or_else(|| "the worker ended".into())),
            }
        }
    }

    /// Has a case measured. Each figure is written down when it comes, so what was found before a failure is kept.
    fn measure(&mut self, worker: &mut Worker, case: &Case) -> Result<(), String> {
        if let Some(meter) = &self.meter {
            meter.take();
        }
        let seconds = if self.arguments.smoke { SMOKE_SECONDS } else { self.arguments.seconds };
        let order = serde_json::to_string(&Order { case: case.clone(), seconds }).map_err(|error| error.to_string())?;
        writeln!(worker.orders, "{order}").and_then(|()| worker.orders.flush()).map_err(|error| error.to_string())?;
        loop {
            match self.next(worker, STUCK)? {
                Line::Found(Finding::Progress { text }) => self.show(&text),
                Line::Found(finding) => {
                    self.show(&sentence(&finding));
                    let load = self.meter.as_ref().and_then(Meter::take);
                    self.record.results.push(Measured { sizes: case.sizes.key().into(), fusion: case.fusion, finding, load });
                    self.save().map_err(|refusal| refusal.to_string())?;
                }
                Line::Done => return Ok(()),
                _ => return Err("the worker answered something else".into()),
            }
        }
    }
}

/// A finding as a line of progress.
fn sentence(finding: &Finding) -> String {
    match finding {
        Finding::Progress { text } => text.clone(),
        Finding::Agreement(found) => {
            format!(
                "{}: at most {:.1e} from the CPU in the first step, {:.1e} in {} steps",
                found.model, found.first, found.all, found.steps
            )
        }
        Finding::Throughput(found) => format!(
            "{}, batch {}: {} samples/s ({:.2} ms a step{}), {} as a run",
            found.model,
            whole(found.batch as u64),
            whole(found.samples_per_second as u64),
            found.step_ms[0],
            found.dispatches.map(|count| format!(", {count} dispatches")).unwrap_or_default(),
            whole(found.run_samples_per_second.unwrap_or_default() as u64)
        ),
        Finding::Graph(found) => format!(
            "{}, batch {}: {} samples/s {}",
            found.model,
            whole(found.batch as u64),
            whole(found.samples_per_second as u64),
            if found.recorded { "as a graph" } else { "again, because nothing was recorded" }
        ),
        Finding::Host(found) => format!("one thread makes batches of {} samples/s", whole(found.replay_samples_per_second as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_a_line() {
        for measured in record::tests::example("card", 1.0).results {
            assert!(sentence(&measured.finding).len() > 20);
        }
    }
}
