//! Marks: checkpoints in memory of the run under way, from which a person may branch it, and what was told until then.
//!
//! Their bytes lie outside this program's memory, which never shrinks and in which a model needs its place.

use std::io::{self, Cursor, Write};

use duia::checkpoint::run::Checkpoint;
use duia::training::{Comparison, is_measured};
use duia::view::Field;
use duia::wire::{Event, Failure};
use js_sys::Uint8Array;

/// Marks of a run, evenly over its steps.
const MARKS: u64 = 16;
/// Most bytes of all marks: more would be felt on a phone.
const ALL: usize = 192 << 20;
/// Most bytes of one: it stands in this program's memory for a moment.
const LARGEST: usize = 64 << 20;
/// Most pictures and most portraits that are told to a branch: as many as the page keeps.
const PICTURES: usize = 128;

/// The marks of the run under way, or of the one before as long as none has taken its place.
#[derive(Default)]
pub struct Marks {
    /// Oldest first.
    kept: Vec<Mark>,
    /// Steps from one to the next.
    every: u64,
    /// Of the whole run.
    steps: u64,
    /// Whether the centres were filled at the last step.
    is_filled: bool,
    /// Whether this run leaves none.
    is_off: bool,
    past: Vec<Event>,
}

struct Mark {
    step: u64,
    bytes: Uint8Array,
    /// The plane of the pictures until then.
    field: Field,
}

impl Marks {
    /// None, and no past: a run from its own beginning is next.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// None from now on in this run.
    pub fn stop(&mut self) {
        *self = Self { is_off: true, ..Self::default() };
    }

    /// A run of so many steps begins, after the steps that it shares with the one before: later marks are of another run.
    pub fn begin(&mut self, shared: u64, steps: u64) {
        self.kept.retain(|mark| mark.step <= shared);
        self.past.retain(|event| step_of(event).is_some_and(|step| step <= shared));
        self.every = self.every.max(steps.div_ceil(MARKS)).max(1);
        (self.steps, self.is_filled, self.is_off) = (steps, false, false);
    }

    /// Hears what the run tells, and keeps what a branch is told again.
    pub fn hear(&mut self, event: &Event) {
        if let Event::Reseeded { first_fill: true, .. } = event {
            self.is_filled = true;
        }
        let is_portrait = matches!(event, Event::Portrait(_));
        if self.is_off || !(is_portrait || is_measured(event)) {
            return;
        }
        let kind = std::mem::discriminant(event);
        let is_picture = is_portrait || matches!(event, Event::Field(_));
        if is_picture && self.past.iter().filter(|known| std::mem::discriminant(*known) == kind).count() >= PICTURES {
            let mut keep = false;
            self.past.retain(|known| {
                let is_kind = std::mem::discriminant(known) == kind;
                keep ^= is_kind;
                !is_kind || keep
            });
        }
        self.past.push(event.clone());
    }

    /// Whether one is wanted after this step.
    pub fn wants(&mut self, comparison: &Comparison) -> bool {
        let [step, _] = comparison.steps();
        let is_due = std::mem::take(&mut self.is_filled) || step.is_multiple_of(self.every);
        let is_wanted = is_due && !self.is_off && step < self.steps && self.kept.last().is_none_or(|mark| mark.step < step);
        if is_wanted && comparison.bytes_to_save() > LARGEST as u64 {
            self.stop();
            return false;
        }
        is_wanted
    }

    /// Keeps one that [`written`] wrote.
    pub fn keep(&mut self, step: u64, bytes: &[u8], field: &Field) {
        self.kept.push(Mark { step, bytes: Uint8Array::from(bytes), field: field.clone() });
        let total = |kept: &[Mark]| kept.iter().map(|mark| mark.bytes.length() as usize).sum::<usize>();
        while total(&self.kept) > ALL && self.kept.len() > 1 {
            // Every second, the newest stays.
            let mut keep = self.kept.len().is_multiple_of(2);
            self.kept.retain(|_| {
                keep = !keep;
                keep
            });
            self.every *= 2;
        }
    }

    /// The steps that can be branched from.
    pub fn steps(&self) -> Vec<u64> {
        self.kept.iter().map(|mark| mark.step).collect()
    }

    /// What was told until the last mark or the step that a branch began at.
    pub fn past(&self) -> Vec<Event> {
        self.past.clone()
    }

    /// Lets a fresh comparison go on from the mark of a step; gives the plane of its pictures.
    ///
    /// # Errors
    /// Why it cannot. Then the comparison is of no more use.
    pub fn branch(&self, comparison: &mut Comparison, step: u64) -> Result<Field, Failure> {
        let mark = self.kept.iter().find(|mark| mark.step == step);
        let mark = mark.ok_or_else(|| refused(step, "the trainer has no mark of that step any more".into()))?;
        let opened = Checkpoint::open(Box::new(Cursor::new(mark.bytes.to_vec())), &mut |_, _| {});
        let gone_on = opened.and_then(|mut checkpoint| comparison.branch(&mut checkpoint));
        gone_on.map_err(|error| refused(step, error.to_string()))?;
        Ok(mark.field.clone())
    }
}

/// A checkpoint of the run as it stands; none where it cannot be taken, which ends no training.
pub async fn written(comparison: &Comparison) -> Option<Vec<u8>> {
    let mut to = Bounded(Vec::with_capacity(comparison.bytes_to_save() as usize + (64 << 10)));
    comparison.save(&[], "", &mut to).await.ok().map(|_| to.0)
}

/// Takes no more than a mark may have.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST + (1 << 20) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The step of what a branch is told again; none of anything else.
fn step_of(event: &Event) -> Option<u64> {
    match event {
        Event::Losses { step, .. } | Event::Reseeded { step, .. } => Some(*step),
        Event::Evaluation(evaluation) => Some(evaluation.step),
        Event::Clusters(health) => Some(health.step),
        Event::Field(frame) => Some(frame.step),
        Event::Portrait(portrait) => Some(portrait.step),
        _ => None,
    }
}

fn refused(step: u64, detail: String) -> Failure {
    Failure { what: format!("The run could not be branched at step {step}."), detail, next: "It starts anew with these settings.".into() }
}
