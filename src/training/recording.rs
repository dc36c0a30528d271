//! A whole run as a watcher is told it, with pictures of the users' centres and portraits on the way.

use std::sync::Arc;

use super::{Comparison, TrainError, device};
use crate::config::Config;
use crate::data::{Side, Source};
use crate::view::{Field, Sitting};
use crate::wire::Event;
use crate::wire::recording::thinned;

/// Users of each picture.
const MEMBERS: usize = 72;

/// The events of a run on the CPU, each with the step after which it was told. There are about `pictures` pictures and portraits.
/// After each step `watch` is told how many are done, and of how many.
///
/// # Errors
/// A configuration or rows that cannot be used, or a model that diverged.
pub async fn record(
    config: Config,
    source: Arc<dyn Source>,
    pictures: u64,
    watch: &mut dyn FnMut([u64; 2]),
) -> Result<Vec<(u64, Event)>, TrainError> {
    let opened = device::cpu("recorded runs are made on the CPU");
    let mut comparison = Comparison::new(config, source, &opened.device, opened.watch, &mut |_| {})?;
    let (mut tape, mut field) = (Tape::default(), Field::default());
    comparison.introduce(&mut |event| tape.take(event));
    let [_, steps] = comparison.steps();
    let every = (steps / pictures.max(1)).max(1);
    loop {
        tape.step += 1;
        let goes_on = comparison.step(&mut |event| tape.take(event)).await?;
        watch(comparison.steps());
        if tape.step.is_multiple_of(every) || !goes_on {
            tape.take(comparison.progress());
            if let Some(snapshot) = comparison.look(Side::Users, &mut |event| tape.take(event)).await? {
                tape.take(Event::Field(Box::new(thinned(field.frame(snapshot), MEMBERS))));
            }
            if let Some(portrait) = comparison.portray(Sitting::default()).await? {
                tape.take(Event::Portrait(Box::new(portrait)));
            }
        }
        if !goes_on {
            break;
        }
    }
    comparison.evaluate_all(&mut |event| tape.take(event)).await?;
    Ok(tape.events)
}

/// What was told so far, and the present step.
#[derive(Default)]
struct Tape {
    step: u64,
    events: Vec<(u64, Event)>,
}

impl Tape {
    /// Keeps an event, except what only says how long something takes on the machine of the record.
    fn take(&mut self, event: Event) {
        if !matches!(event, Event::Stage(_) | Event::Tested { .. } | Event::Device(_)) {
            self.events.push((self.step, event));
        }
    }
}
