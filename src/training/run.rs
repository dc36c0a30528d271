//! A whole run: a device, a comparison to the end of the stream, its tests, and checkpoints on the way.

use std::io::{self, Write};
use std::sync::Arc;

use web_time::Instant;

use super::comparison::{Comparison, TELL_EVERY, saving};
use super::{TrainError, device, passes};
use crate::checkpoint::run::{Checkpoint, SaveError};
use crate::config::Config;
use crate::data::{Side, Source};
use crate::footprint::{self, Shape};
use crate::model::together::Together;
use crate::platform;
use crate::variants::Variant;
use crate::view::Field;
use crate::wire::{DeviceChoice, Event, Failure, Stage, State};

/// Opens a device, compares all variants over a source to the end and tells `sink` everything.
///
/// # Errors
/// A sentence for a person: what happened, the detail, what to do next.
pub async fn run(config: Config, source: Arc<dyn Source>, choice: DeviceChoice, sink: impl FnMut(Event)) -> Result<(), Failure> {
    run_with(config, source, choice, RunOptions::default(), sink).await
}

/// What a run starts from, what may end it early, and what it leaves.
#[derive(Default)]
pub struct RunOptions<'a> {
    /// The bytes of weights that their variant starts from.
    pub weights_in: Option<&'a [u8]>,
    /// The checkpoint that the run goes on from. What was measured until then is told again.
    pub resume: Option<Checkpoint>,
    /// The processes that share every batch of this run. Each makes the same run; what is scored, told and kept is the first one's.
    pub together: Together,
    /// Takes checkpoints.
    pub keeper: Option<&'a mut dyn Keeper>,
    /// Looked at after each step and all through the tests: where it is true the run ends with a checkpoint, untested.
    pub stops: Option<&'a dyn Fn() -> bool>,
    /// Looked at after each step: where it is true training ends and what was learned is tested.
    pub is_over: Option<&'a dyn Fn() -> bool>,
    /// Looked at all through the tests: where it is true they end, and what is not scored by then has no score.
    pub skips_test: Option<&'a dyn Fn() -> bool>,
    /// Takes the weights of every trained variant at the end of training, before the tests: a streaming test trains on.
    pub weights_out: Option<&'a mut dyn FnMut(Variant, Vec<u8>)>,
    /// Whether `weights_out` only takes those of a run that is ended early, in training or in the test of the whole test set:
    /// where nobody asked for weights, what was learned is still not to be lost.
    pub weights_if_over: bool,
    /// Most pictures of the users' centres to tell on the way. Each costs a read-back.
    pub pictures: u64,
}

/// What takes the checkpoints of a run. A checkpoint that cannot be written never ends training.
pub trait Keeper {
    /// Whether one is wanted now.
    fn wants(&mut self, step: u64, moment: Moment) -> bool;

    /// What the shell wants to find again in the next one.
    fn note(&self) -> String;

    /// A new place for that of a step.
    ///
    /// # Errors
    /// A place that cannot be written.
    fn open(&mut self, step: u64) -> io::Result<&mut dyn Write>;

    /// It was written, so many bytes, or could not be.
    fn close(&mut self, step: u64, outcome: Result<u64, SaveError>);
}

/// When a checkpoint may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After a step of training.
    Step,
    /// After the last one, before the tests.
    Trained,
    /// The run ends here.
    Stopped,
}

/// [`run`], with [`RunOptions`].
///
/// # Errors
/// A sentence for a person: what happened, the detail, what to do next.
pub async fn run_with(
    config: Config,
    source: Arc<dyn Source>,
    choice: DeviceChoice,
    options: RunOptions<'_>,
    mut sink: impl FnMut(Event),
) -> Result<(), Failure> {
    run_to_end(config, source, choice, options, &mut sink).await.map_err(|error| Failure::from(&error))
}

/// What a run has measured, where checkpoints keep it, and who takes them.
struct Saver<'a> {
    keeper: Option<&'a mut dyn Keeper>,
    measured: Vec<Event>,
}

impl Saver<'_> {
    fn hear(&mut self, event: &Event) {
        if self.keeper.is_some() && saving::is_measured(event) {
            self.measured.push(event.clone());
        }
    }

    async fn save(&mut self, comparison: &Comparison, moment: Moment) {
        let Some(keeper) = &mut self.keeper else { return };
        let [step, _] = comparison.steps();
        if keeper.wants(step, moment) {
            let note = keeper.note();
            let outcome = match keeper.open(step) {
                Ok(to) => comparison.save(&self.measured, &note, to).await,
                Err(error) => Err(error.into()),
            };
            keeper.close(step, outcome);
        }
    }
}

/// The pictures of a run, evenly over its steps. One that goes on after a stop has those of the same steps, though from there on perhaps
/// turned, because a checkpoint does not keep the plane that they are drawn in.
struct Pictured {
    /// Steps from one to the next; none where none are wanted.
    every: Option<u64>,
    field: Field,
}

impl Pictured {
    fn new(most: u64, comparison: &Comparison) -> Self {
        let [_, steps] = comparison.steps();
        Self { every: (most > 0).then(|| steps.div_ceil(most).max(1)), field: Field::default() }
    }

    /// Tells one, where it is time. Losses have their own times.
    async fn look(&mut self, comparison: &mut Comparison, sink: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        let [step, _] = comparison.steps();
        if self.every.is_some_and(|every| step.is_multiple_of(every))
            && let Some(snapshot) = comparison.look(Side::Users, &mut |_| {}).await?
        {
            sink(Event::Field(Box::new(self.field.frame(snapshot))));
        }
        Ok(())
    }
}

async fn run_to_end(
    config: Config,
    source: Arc<dyn Source>,
    choice: DeviceChoice,
    options: RunOptions<'_>,
    sink: &mut dyn FnMut(Event),
) -> Result<(), TrainError> {
    config.validate()?;
    let together = options.together;
    // Before the device: its self-test takes steps of the run's own widths.
    let memory = platform::available_memory().map(|bytes| bytes / together.on_this_machine());
    footprint::require(&config, Shape::of(&*source), memory)?;
    let opened = device::open_card(choice, together.place(), &config, sink).await?;
    sink(Event::Device(opened.report));
    sink(Event::Stage(Stage::Data));
    let asks = |asked: Option<&dyn Fn() -> bool>| asked.is_some_and(|asked| asked());
    let ends = || together.any(asks(options.is_over) || asks(options.stops));
    // A checkpoint's run has chosen.
    let chosen = match config.most_passes {
        0 => None,
        _ => passes::choose(&config, &source, (&opened.device, &opened.watch, &together), &ends, sink).await?,
    };
    let passes = chosen.as_ref().map_or(config.passes, |chosen| chosen.passes);
    let mut comparison = Comparison::new(Config { passes, most_passes: 0, ..config }, source, &opened.device, opened.watch, sink)?;
    comparison.notes.extend(chosen.map(|chosen| chosen.note()));
    if let Some(bytes) = options.weights_in {
        comparison.load(bytes)?;
    }
    let measured = options.resume.map(|mut checkpoint| comparison.resume(&mut checkpoint));
    let measured = measured.transpose().map_err(TrainError::Checkpoint)?.unwrap_or_default();
    let mut comparison = comparison.together(together.clone())?;
    comparison.introduce(sink);
    measured.iter().for_each(|event| sink(event.clone()));
    let mut saver = Saver { keeper: options.keeper, measured };
    let stops = || asks(options.stops);

    sink(Event::State(State::Playing));
    let (mut told, mut is_over, mut stopped) = (Instant::now(), false, false);
    let mut pictured = Pictured::new(options.pictures, &comparison);
    while comparison.step(&mut told_to(&mut saver, sink)).await? {
        pictured.look(&mut comparison, &mut told_to(&mut saver, sink)).await?;
        (stopped, is_over) = (together.any(stops()), together.any(asks(options.is_over)));
        if stopped || is_over {
            break;
        }
        saver.save(&comparison, Moment::Step).await;
        if told.elapsed() > TELL_EVERY {
            sink(comparison.progress());
            told = Instant::now();
        }
    }
    sink(comparison.progress());
    if stopped {
        saver.save(&comparison, Moment::Stopped).await;
        return Ok(());
    }
    saver.save(&comparison, Moment::Trained).await;
    let (mut keep, asked) = (options.weights_out, !options.weights_if_over || is_over);
    if let Some(keep) = keep.as_mut().filter(|_| asked) {
        comparison.weights().await?.into_iter().for_each(|(variant, bytes)| keep(variant, bytes));
    }
    let is_tested = comparison.evaluate_while(&|| !asks(options.skips_test) && !stops(), sink).await?;
    if !is_tested && stops() {
        saver.save(&comparison, Moment::Stopped).await;
    } else if let Some(keep) = keep.as_mut().filter(|_| !asked && !is_tested) {
        comparison.weights().await?.into_iter().for_each(|(variant, bytes)| keep(variant, bytes));
    }
    Ok(())
}

/// Tells a sink, and the saver what it keeps.
fn told_to<'a>(saver: &'a mut Saver<'_>, sink: &'a mut dyn FnMut(Event)) -> impl FnMut(Event) + 'a {
    move |event| {
        saver.hear(&event);
        sink(event);
    }
}
