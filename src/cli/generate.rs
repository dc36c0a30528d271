//! `duia generate`: the synthetic stream as a file of any size, for other programs and for trials of one's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use duia::data::Source;
use duia::data::generator::Generator;
use duia::data::output::{Format, write};
use duia::footprint::{self, Shape};
use duia::platform::available_memory;
use indicatif::HumanBytes;

use super::arguments::Generate;
use super::choices::FORMATS;
use super::files::Whole;
use super::meter::{Meter, Unit};
use super::refusal::Refusal;
use super::settings::Settings;
use super::text::{say, warn, whole};

/// Writes the stream, all of it or nothing.
pub fn generate(arguments: &Generate) -> Result<(), Refusal> {
    let rows = arguments.rows.map(|rows| format!("rows={rows}"));
    let set = arguments.settings.set.iter().cloned().chain(rows).collect();
    let config = Settings { set, ..arguments.settings.clone() }.resolve()?;
    let out = &arguments.out;
    let format = Format::of(out).ok_or_else(|| Refusal::file(out, "its ending tells no format", FORMATS))?;
    let needed = footprint::of_stream(Shape::synthetic(&config).vocabulary);
    if let Some(there) = available_memory().filter(|there| *there < needed) {
        let what = format!("the stream needs {} of memory, and there are {} here", HumanBytes(needed), HumanBytes(there));
        return Err(Refusal::input(what, "Choose fewer users or items"));
    }

    let interrupted = Arc::new(AtomicBool::new(false));
    let heard = interrupted.clone();
    // Where no handler can be set, Ctrl-C ends the program at once.
    let _ = ctrlc::set_handler(move || heard.store(true, Relaxed));
    let unwritable = |error| Refusal::unwritable(out, error);
    let mut file = Whole::create(out).map_err(unwritable)?;
    let stream: Arc<dyn Source> = Arc::new(Generator::new(&config));
    warn(&format!("Writing {} rows to {} …", whole(config.rows), out.display()));
    let began = Instant::now();
    let mut meter = Meter::new(config.rows, Unit::Each("row"));
    let written = write(stream, format, &mut file, &mut |done| {
        meter.show(done, format!("{} rows/s", whole((done as f64 / began.elapsed().as_secs_f64()) as u64)));
        !interrupted.load(Relaxed)
    });
    meter.close();
    let rows = written.map_err(unwritable)?;
    if rows < config.rows {
        return Err(Refusal::Interrupted("Ended as you asked; nothing was written".into()));
    }
    let bytes = file.keep().map_err(unwritable)?;
    say(&format!("Wrote {}: {} rows, {}.", out.display(), whole(rows), HumanBytes(bytes)));
    Ok(())
}
