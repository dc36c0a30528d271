//! `report.md`, `report.csv`, `report.tex` and the plots of a queue.

use duia::data::Origin;
use duia::wire::Failure;

use super::super::console::data_text;
use super::super::refusal::Refusal;
use super::arguments::Axis;
use super::document::Document;
use super::plots;
use super::queue::{Done, Queue};
use super::tables::Book;

/// What a report is of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The axis of a sweep; none for an ablation.
    pub axis: Option<Axis>,
    /// The command line, as the person typed it.
    pub command: &'a str,
    /// Cells of the whole queue.
    pub cells: usize,
}

impl Subject<'_> {
    /// The tables of the finished cells.
    pub fn book(&self, done: &[Done]) -> Book {
        self.axis.map_or_else(|| Book::of_ablation(done), |axis| Book::of_sweep(axis, done))
    }

    /// Writes the report of the finished cells.
    pub fn write(&self, queue: &Queue, done: &[Done]) -> Result<(), Refusal> {
        let failed = |what: &str, detail: String| {
            let what = format!("The cells are kept, but their {what} could not be made");
            Refusal::Run { failure: Failure { what, detail, next: "Please report this".into() }, begun: false }
        };
        let book = self.book(done);
        let plots = self.axis.map_or_else(|| plots::of_ablation(done), |axis| plots::of_sweep(axis, done));
        let plots = plots.map_err(|error| failed("plots", error.to_string()))?;
        let document =
            Document { title: self.title(), facts: self.facts(done), commands: commands(self.command, done), book: &book, plots };
        for (name, text) in document.files().map_err(|error| failed("figures", error.to_string()))? {
            queue.write(&name, text.as_bytes())?;
        }
        Ok(())
    }

    fn title(&self) -> String {
        self.axis.map_or("Ablation of DUIA".into(), |axis| format!("DUIA by {}", axis.name()))
    }

    /// What was computed on what, and how to read the errors.
    fn facts(&self, done: &[Done]) -> Vec<String> {
        let mut lines = vec![format!("{} of {} cells are finished.", done.len(), self.cells)];
        let Some(first) = done.first() else { return lines };
        let data = &first.result.data;
        if data.origin == Origin::Synthetic {
            lines.push(
                "All rows are synthetic: a seeded generator with planted groups, no real user in it. Each seed is a stream of its own, \
                 so errors over seeds are independent."
                    .into(),
            );
        } else {
            lines.push(format!(
                "The rows are those of {}. All seeds share its positives, so their errors are not quite independent: what the test rows \
                 leave of a mean lies between the interval given and the mean of the runs' own intervals.",
                data.name
            ));
        }
        lines.push(format!("The first cell. {}", data_text(data).join(" ")));
        lines.push("Every cell's file in `cells` holds its whole configuration.".into());
        lines
    }
}

/// The commands that computed the cells, and the one that made the report, each once.
fn commands(last: &str, done: &[Done]) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for command in done.iter().map(|done| done.result.command.as_str()).chain([last]) {
        if !commands.iter().any(|known| known == command) {
            commands.push(command.into());
        }
    }
    commands
}
