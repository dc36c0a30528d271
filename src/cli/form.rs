//! How your own file is to be read.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use duia::data::Behaviour;
#[cfg(feature = "parquet")]
use duia::data::parquet;
use duia::data::schema::{Columns, Schema, behaviours};

use super::input::Input;
#[cfg(feature = "parquet")]
use super::input::name;
use super::refusal::Refusal;

/// What to do about a schema that cannot be used.
const INSPECT: &str = "Start from what `duia inspect` writes";

/// Options for a file in another form than UserBehavior.csv.
#[derive(Clone, Debug, Default, Args)]
pub struct Form {
    /// What the columns mean, as `duia inspect` wrote it.
    #[arg(long, value_name = "FILE.json", conflicts_with = "columns")]
    pub schema: Option<PathBuf>,
    /// Which column is which, by its name in the header or its number from 1: `user=uid,item=pid,category=cat,behavior=type,time=ts`.
    /// Category and behavior are optional; `profile=gender,profile=age,attribute=brand` adds what is known of users and of items.
    #[arg(long, value_name = "FIELD=COLUMN,..")]
    pub columns: Option<Columns>,
    /// What the words of the behaviour's column mean: `view=1,favourite=2,cart=3,buy=4`. Default: the usual words.
    #[arg(long, value_name = "KIND=WORD,..", requires = "columns", value_parser = behaviours)]
    pub behaviors: Option<BTreeMap<String, Behaviour>>,
    /// The separator between values, or `tab`. Default: guessed from the first lines.
    #[arg(long, value_name = "CHARACTER", requires = "columns", value_parser = delimiter)]
    pub delimiter: Option<char>,
    /// Read the file itself. Without this, the rows of a large file are kept beside it in `<file>.duia-cache` and reopened from there.
    #[arg(long)]
    pub no_cache: bool,
}

impl Form {
    /// Whether anything is said of the form.
    pub fn is_given(&self) -> bool {
        self.schema.is_some() || self.columns.is_some()
    }

    /// What decides how a file is read, the same for the same: empty where its form tells.
    pub fn identity(&self) -> Result<String, Refusal> {
        // What stands between values in a file's first lines follows from the file.
        let schema = self.schema_for(b"")?;
        let text = schema.map(|schema| serde_json::to_string(&schema)).transpose().map_err(|error| Refusal::input(error, INSPECT))?;
        Ok(text.map(|text| format!(", read as {text}")).unwrap_or_default())
    }

    /// The schema that was asked for, or that the names of a table's columns tell; none for the form of UserBehavior.csv.
    pub fn resolve(&self, input: &Input) -> Result<Option<Schema>, Refusal> {
        #[cfg(feature = "parquet")]
        if let Some(path) = input.table().filter(|_| !self.is_given()) {
            let columns = parquet::columns(|| fs::File::open(path), &name(path))?;
            return Ok(Some(Schema { delimiter: ',', header: true, columns, behaviors: BTreeMap::new() }));
        }
        self.schema_for(input.first())
    }

    /// The schema that was asked for, for a file that begins with `first`.
    fn schema_for(&self, first: &[u8]) -> Result<Option<Schema>, Refusal> {
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
            header: !columns
                .all()
                .into_iter()
                .flatten()
                .chain(columns.features().into_iter().flatten().map(|column| &**column))
                .all(is_number),
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
