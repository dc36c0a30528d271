//! How a file of one's own is to be read.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use duia::data::Behaviour;
use duia::data::schema::{Columns, Schema, behaviours};

use super::refusal::Refusal;

/// What to do about a schema that cannot be used.
const INSPECT: &str = "Start from what `duia inspect` writes";

/// Options of a file that has not the form of UserBehavior.csv.
#[derive(Debug, Default, Args)]
pub struct Form {
    /// What the columns mean, as `duia inspect` wrote it.
    #[arg(long, value_name = "FILE.json", conflicts_with = "columns")]
    pub schema: Option<PathBuf>,
    /// Which column is which, by its name in the header or its number from 1: `user=uid,item=pid,category=cat,behavior=type,time=ts`.
    /// Category and behavior may be left out.
    #[arg(long, value_name = "FIELD=COLUMN,..")]
    pub columns: Option<Columns>,
    /// What the words of the behaviour's column mean: `view=1,favourite=2,cart=3,buy=4`. Without it: the usual words.
    #[arg(long, value_name = "KIND=WORD,..", requires = "columns", value_parser = behaviours)]
    pub behaviors: Option<BTreeMap<String, Behaviour>>,
    /// What stands between values, or `tab`. Without it: guessed from the first lines.
    #[arg(long, value_name = "CHARACTER", requires = "columns", value_parser = delimiter)]
    pub delimiter: Option<char>,
}

impl Form {
    /// The schema that was asked for, for a file that begins with `first`; none for the form of UserBehavior.csv.
    pub fn resolve(&self, first: &[u8]) -> Result<Option<Schema>, Refusal> {
        if let Some(path) = &self.schema {
            let text = fs::read_to_string(path).map_err(|error| Refusal::file(path, error, INSPECT))?;
            return serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| Refusal::file(path, format!("it is no schema ({error})"), INSPECT));
        }
        let Some(columns) = &self.columns else { return Ok(None) };
        let is_number = |column: &str| column.bytes().all(|byte| byte.is_ascii_digit());
        Ok(Some(Schema {
            delimiter: self.delimiter.unwrap_or_else(|| Schema::delimiter_of(first)),
            header: !columns.all().into_iter().flatten().all(is_number),
            columns: columns.clone(),
            behaviors: self.behaviors.clone().unwrap_or_default(),
        }))
    }
}

fn delimiter(text: &str) -> Result<char, String> {
    match text {
        "tab" | "\\t" => Ok('\t'),
        _ => text.parse::<char>().ok().filter(char::is_ascii).ok_or_else(|| format!("`{text}` is neither one character nor `tab`")),
    }
}
