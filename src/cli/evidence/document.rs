//! A report on its way to its files.

use super::plots::Plots;
use super::table::{csv, latex, markdown};
use super::tables::Book;

/// Everything that `report.md`, `report.csv`, `report.tex` and the plots say.
#[derive(Debug)]
pub struct Document<'a> {
    pub title: String,
    /// What was computed on what, and how to read it.
    pub facts: Vec<String>,
    /// The commands that made it.
    pub commands: Vec<String>,
    pub book: &'a Book,
    pub plots: Plots,
}

impl Document<'_> {
    /// The files by name, those that others refer to first.
    pub fn files(self) -> Result<Vec<(String, String)>, csv::Error> {
        let texts = [("report.csv", csv(&self.book.facts)?), ("report.tex", self.tex()), ("report.md", self.md())];
        Ok(self.plots.into_iter().chain(texts.map(|(name, text)| (name.to_owned(), text))).collect())
    }

    fn md(&self) -> String {
        let mut parts = vec![format!("# {}\n", self.title)];
        parts.extend(self.facts.iter().map(|line| format!("{line}\n")));
        parts.push(format!("```sh\n{}\n```\n", self.commands.join("\n")));
        parts.extend(self.plots.iter().map(|(name, _)| format!("![{name}]({name})\n")));
        parts.extend(self.book.tables.iter().map(markdown));
        parts.join("\n")
    }

    fn tex(&self) -> String {
        let comment = |line: &String| format!("% {}\n", line.replace('\n', " "));
        let mut text = comment(&format!("{}. Needs \\usepackage{{booktabs}}.", self.title));
        text.extend(self.facts.iter().chain(&self.commands).map(comment));
        text.extend(self.book.tables.iter().map(|table| format!("\n{}", latex(table))));
        text
    }
}
