//! What a watcher wants of a trainer: every [`Command`] is folded into one state as it comes, so that no order of arrival
//! can leave a trainer waiting. Of several runs that were asked for only the newest is kept.
//!
//! A queue of commands once stood here. Two quick resets left the second [`Command::Start`] in it while the trainer waited
//! for a third that nobody sent.

use crate::config::Config;
use crate::data::Side;
use crate::view::Sitting;
use crate::wire::{Command, DeviceChoice, RowsChoice, State};

/// A run that is asked for and not begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its id, chosen by the asker.
    pub run: u32,
    /// What to run.
    pub config: Box<Config>,
    /// Which device to use.
    pub device: DeviceChoice,
    /// On which rows.
    pub rows: RowsChoice,
    /// The step at which it branches off the run before.
    pub from: Option<u64>,
}

/// What a trainer does next in the run that it has begun.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Leave this run: another is asked for.
    Leave,
    /// Go on from the weights of a file.
    Load {
        /// What the person calls the file.
        name: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Picture the centres of this side, now and from now on.
    Show(Side),
    /// Portray this user, now and from now on.
    Portray(Sitting),
    /// End training and test what was learned.
    Conclude,
    /// Tell the watcher that the run is now playing or paused.
    Tell(State),
    /// Take one step.
    Step {
        /// Whether it was asked for by itself, so that its result is shown at once.
        single: bool,
    },
    /// Wait for a command.
    Wait,
}

/// The commands so far, as what is wanted now.
#[derive(Default)]
pub struct Control {
    /// The newest run that was asked for, begun or not.
    run: u32,
    order: Option<Order>,
    wanted: Wanted,
}

/// What is wanted of the newest run.
#[derive(Default)]
struct Wanted {
    playing: bool,
    /// Single steps to take.
    steps: u32,
    is_over: bool,
    steps_per_second: f32,
    weights: std::collections::VecDeque<(String, Vec<u8>)>,
    /// What to picture, where that changed. Of several wishes the newest counts.
    side: Option<Side>,
    sitting: Option<Sitting>,
    /// What the watcher was told last.
    told: Option<State>,
}

impl Control {
    /// Takes a command in. One for a run that is not the newest changes nothing.
    pub fn take(&mut self, command: Command) {
        match command {
            Command::Start { run, config, device, rows, from } => {
                *self = Self { run, order: Some(Order { run, config, device, rows, from }), wanted: Wanted::default() };
            }
            Command::Play { run } if run == self.run => self.wanted.playing = true,
            Command::Pause { run } if run == self.run => (self.wanted.playing, self.wanted.steps) = (false, 0),
            Command::Step { run } if run == self.run => {
                self.wanted.playing = false;
                self.wanted.steps += 1;
            }
            Command::Finish { run } if run == self.run => self.wanted.is_over = true,
            Command::Speed { run, steps_per_second } if run == self.run => self.wanted.steps_per_second = steps_per_second,
            Command::Show { run, side } if run == self.run => self.wanted.side = Some(side),
            Command::Portray { run, sitting } if run == self.run => self.wanted.sitting = Some(sitting),
            Command::Load { run, name, bytes } if run == self.run => self.wanted.weights.push_back((name, bytes)),
            _ => {}
        }
    }

    /// The run to begin, where one is asked for. What was wanted of it meanwhile still counts.
    pub fn begin(&mut self) -> Option<Order> {
        self.order.take()
    }

    /// Whether a newer run than the one begun is asked for.
    pub fn is_superseded(&self) -> bool {
        self.order.is_some()
    }

    /// The newest run that was asked for.
    pub fn run(&self) -> u32 {
        self.run
    }

    /// At most so many steps a second; 0 is no limit.
    pub fn steps_per_second(&self) -> f32 {
        self.wanted.steps_per_second
    }

    /// What to do next, and counts it as done. [`Next::Wait`] only where nothing at all is wanted.
    pub fn decide(&mut self) -> Next {
        if self.is_superseded() {
            return Next::Leave;
        }
        let wanted = &mut self.wanted;
        if let Some((name, bytes)) = wanted.weights.pop_front() {
            return Next::Load { name, bytes };
        }
        if let Some(side) = wanted.side.take() {
            return Next::Show(side);
        }
        if let Some(sitting) = wanted.sitting.take() {
            return Next::Portray(sitting);
        }
        if std::mem::take(&mut wanted.is_over) {
            return Next::Conclude;
        }
        let state = if wanted.playing { State::Playing } else { State::Paused };
        if wanted.told.replace(state) != Some(state) {
            return Next::Tell(state);
        }
        if wanted.steps > 0 {
            wanted.steps -= 1;
            return Next::Step { single: true };
        }
        if wanted.playing { Next::Step { single: false } } else { Next::Wait }
    }
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use super::*;
    use crate::counter::{Counter, Stream};

    fn start(run: u32) -> Command {
        Command::Start { run, config: Box::default(), device: DeviceChoice::Cpu, rows: RowsChoice::Synthetic, from: None }
    }

    /// A trainer without a model: what the worker's loop does with [`Control`], one decision at a time.
    #[derive(Default)]
    struct Trainer {
        control: Control,
        begun: Option<u32>,
        steps: u32,
        told: Option<State>,
    }

    impl Trainer {
        /// `false` where it would wait for a command.
        fn turn(&mut self) -> bool {
            let Some(run) = self.begun else {
                let Some(order) = self.control.begin() else { return false };
                (self.begun, self.steps, self.told) = (Some(order.run), 0, None);
                return true;
            };
            match self.control.decide() {
                Next::Leave | Next::Conclude => self.begun = None,
                Next::Load { .. } | Next::Show(_) | Next::Portray(_) => {}
                Next::Tell(state) => self.told = Some(state),
                Next::Step { .. } => {
                    assert_eq!(run, self.control.run(), "no step of a run that nobody wants any more");
                    self.steps += 1;
                }
                Next::Wait => return false,
            }
            true
        }
    }

    /// The two resets that hung the page.
    #[test]
    fn of_two_starts_in_a_row_the_newest_runs() {
        let mut trainer = Trainer::default();
        [start(1), Command::Play { run: 1 }].into_iter().for_each(|command| trainer.control.take(command));
        (0..5).for_each(|_| assert!(trainer.turn()));
        [start(2), start(3), Command::Play { run: 3 }].into_iter().for_each(|command| trainer.control.take(command));
        (0..5).for_each(|_| assert!(trainer.turn()));
        assert_eq!((trainer.begun, trainer.told), (Some(3), Some(State::Playing)));
        assert!(trainer.steps > 0);
    }

    /// A person who presses twice, or changes a setting while the branch is still built.
    #[test]
    fn of_two_branches_in_a_row_the_newest_begins_where_it_was_asked_to() {
        let mut control = Control::default();
        let branch = |run, from| match start(run) {
            Command::Start { run, config, device, rows, .. } => Command::Start { run, config, device, rows, from: Some(from) },
            other => other,
        };
        [start(1), branch(2, 30), branch(3, 20)].into_iter().for_each(|command| control.take(command));
        assert_eq!(control.begin().map(|order| (order.run, order.from)), Some((3, Some(20))));
        control.take(start(4));
        assert_eq!(control.begin().map(|order| (order.run, order.from)), Some((4, None)));
    }

    #[test]
    fn whatever_the_order_and_the_gaps_the_newest_run_ends_up_playing() {
        for seed in 0..200 {
            let (random, mut drawn) = (Counter::new(seed, Stream::Choices), 0);
            let mut below = |n: u32| {
                drawn += 1;
                random.below(drawn, n.into()) as u32
            };
            let mut trainer = Trainer::default();
            let mut newest = 0;
            for _ in 0..60 {
                let run = below(newest + 2);
                let command = match below(10) {
                    0..=2 => {
                        newest += 1;
                        start(newest)
                    }
                    3 => Command::Play { run },
                    4 => Command::Pause { run },
                    5 => Command::Step { run },
                    6 => Command::Finish { run },
                    7 => Command::Show { run, side: Side::Items },
                    8 => Command::Portray { run, sitting: Sitting { nth: run, added: None } },
                    _ => Command::Load { run, name: String::new(), bytes: Vec::new() },
                };
                trainer.control.take(command);
                for _ in 0..below(6) {
                    trainer.turn();
                }
            }
            newest += 1;
            [start(newest), Command::Play { run: newest }].into_iter().for_each(|command| trainer.control.take(command));
            for _ in 0..10 {
                assert!(trainer.turn(), "seed {seed}: it waits though a run is to be played");
            }
            assert_eq!((trainer.begun, trainer.told), (Some(newest), Some(State::Playing)), "seed {seed}");
            assert!(trainer.steps > 0, "seed {seed}");
        }
    }

    #[test]
    fn a_step_pauses_and_is_one_step() {
        let mut control = Control::default();
        [start(1), Command::Play { run: 1 }].into_iter().for_each(|command| control.take(command));
        assert_eq!(control.begin().map(|order| order.run), Some(1));
        assert_eq!([control.decide(), control.decide()], [Next::Tell(State::Playing), Next::Step { single: false }]);
        control.take(Command::Step { run: 1 });
        assert_eq!(
            [control.decide(), control.decide(), control.decide()],
            [Next::Tell(State::Paused), Next::Step { single: true }, Next::Wait]
        );
    }

    #[test]
    fn a_command_for_an_older_run_changes_nothing() {
        let mut control = Control::default();
        [start(1), start(2), Command::Play { run: 1 }, Command::Finish { run: 1 }].into_iter().for_each(|command| control.take(command));
        assert_eq!(control.begin().map(|order| order.run), Some(2));
        assert_eq!([control.decide(), control.decide()], [Next::Tell(State::Paused), Next::Wait]);
    }

    #[test]
    fn a_pause_takes_back_the_steps_that_were_not_taken() {
        let mut control = Control::default();
        [start(1), Command::Step { run: 1 }, Command::Step { run: 1 }, Command::Pause { run: 1 }].into_iter().for_each(|c| control.take(c));
        control.begin();
        assert_eq!([control.decide(), control.decide()], [Next::Tell(State::Paused), Next::Wait]);
    }

    #[test]
    fn of_what_to_picture_the_newest_wish_counts_and_once() {
        let mut control = Control::default();
        let portray = |nth| Command::Portray { run: 1, sitting: Sitting { nth, added: None } };
        let show = |side| Command::Show { run: 1, side };
        [start(1), show(Side::Items), portray(3), show(Side::Users), portray(4)].into_iter().for_each(|command| control.take(command));
        control.begin();
        let wanted = [Next::Show(Side::Users), Next::Portray(Sitting { nth: 4, added: None }), Next::Tell(State::Paused), Next::Wait];
        assert_eq!([control.decide(), control.decide(), control.decide(), control.decide()], wanted);
    }
}
