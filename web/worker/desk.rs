//! Where the page's commands arrive: [`Control`] as it stands, and a bell for whoever waits for it to change.

use std::cell::{Cell, RefCell};

use async_channel::{Receiver, Sender};
use duia::control::{Control, Next, Order};
use duia::wire::{Command, Event, Stage};
use web_sys::File;

use crate::post;

/// The commands so far. They arrive whenever the worker gives up its thread, in the midst of a run too.
pub struct Desk {
    control: RefCell<Control>,
    /// Holds one ring at most: it says that something changed, and [`Control`] says what.
    bell: (Sender<()>, Receiver<()>),
    /// What takes a while at the moment, whichever run it is for.
    stage: Cell<Option<Stage>>,
    /// The person's own file that came last.
    file: RefCell<Option<File>>,
}

impl Desk {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self { control: RefCell::default(), bell: async_channel::bounded(1), stage: Cell::new(None), file: RefCell::default() }
    }

    /// Takes a command in.
    pub fn take(&self, command: Command) {
        let is_start = matches!(command, Command::Start { .. });
        self.control.borrow_mut().take(command);
        // A run that has to wait for a stage of the one before says so at once, or it would look like a dead worker.
        if let Some(stage) = self.stage.get().filter(|_| is_start) {
            self.tell(Event::Stage(stage));
        }
        // Full is as good: whoever waits will look.
        let _ = self.bell.0.try_send(());
    }

    /// Takes in the file that goes beside a command.
    pub fn take_file(&self, file: File) {
        *self.file.borrow_mut() = Some(file);
    }

    /// The file that came last.
    pub fn file(&self) -> Option<File> {
        self.file.borrow().clone()
    }

    /// Tells the watcher of the newest run.
    pub fn tell(&self, event: Event) {
        if let Event::Stage(stage) = &event {
            self.stage.set(Some(*stage));
        }
        let run = self.control.borrow().run();
        post(run, event);
    }

    /// The next run, once one is asked for.
    pub async fn order(&self) -> Order {
        self.stage.set(None);
        loop {
            let order = self.control.borrow_mut().begin();
            match order {
                Some(order) => return order,
                None => self.changed().await,
            }
        }
    }

    /// What to do next in the run that has begun.
    pub fn decide(&self) -> Next {
        // What rang so far is in what comes now.
        while self.bell.1.try_recv().is_ok() {}
        self.control.borrow_mut().decide()
    }

    /// Whether a newer run is asked for.
    pub fn is_superseded(&self) -> bool {
        self.control.borrow().is_superseded()
    }

    /// At most so many steps a second; 0 is no limit.
    pub fn steps_per_second(&self) -> f32 {
        self.control.borrow().steps_per_second()
    }

    /// Waits for a command.
    pub async fn changed(&self) {
        // Both ends live here, so it is never closed.
        let _ = self.bell.1.recv().await;
    }

    /// Waits until a newer run is asked for.
    pub async fn superseded(&self) {
        while !self.is_superseded() {
            self.changed().await;
        }
    }
}
