//! A file of the person's own, on its way to be trained on: its beginning, and what its columns are taken to mean.

use std::sync::Arc;

use duia::config::Negatives;
use duia::data::own::{self, Column, Preview};
use duia::data::schema::{Columns, Guess, Schema, word};
use duia::data::{Behaviour, DataError};
use duia::platform::stream::{Chunks, GZIP, words};
use duia::wire::RowsChoice;
use js_sys::Uint8Array;
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Element, File, HtmlElement, HtmlInputElement};

use crate::address::FileName;
use crate::parquet::{self, Text};

/// Bytes of a file's beginning that are looked at.
const LOOK: usize = 256 << 10;
/// What to do about a table that cannot be text.
const OTHERWISE: &str = "Choose another file, or write this one as CSV.";
/// What stands in the document: the control that takes a file, and the heading above it.
const INPUT: &str = "own-file";
const TITLE: &str = "own-title";

/// What is known of a file before it is read.
#[derive(Debug, PartialEq, Eq)]
pub struct Beginning {
    /// What the person calls it, and its bytes.
    pub file: FileName,
    /// Whether it is packed; its first bytes are then unpacked.
    pub is_packed: bool,
    first: Vec<u8>,
    /// Whether it has no more bytes.
    is_whole: bool,
}

impl Beginning {
    /// How many bytes were looked at.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Whether that is all.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// The file that a person chose, and the one that is trained on.
#[derive(Clone, Copy)]
pub struct Own {
    /// What was chosen last.
    pub beginning: RwSignal<Option<Arc<Beginning>>>,
    /// What its columns are taken to mean.
    pub schema: RwSignal<Schema>,
    /// What a person should check.
    pub doubts: RwSignal<Vec<String>>,
    /// Why a file cannot be looked at.
    pub fault: RwSignal<Option<String>>,
    /// The file that is being looked at.
    pub looking: RwSignal<Option<String>>,
    /// Rows of a table that are text by now, and all it has.
    pub unpacked: RwSignal<Option<[u64; 2]>>,
    chosen: StoredValue<Option<File>, LocalStorage>,
    /// What the run trains on, where it is a file of the person's own.
    accepted: StoredValue<Option<(File, Schema)>, LocalStorage>,
    /// Counts choices: a late answer to an older one is ignored.
    choice: StoredValue<u32>,
}

impl Own {
    /// Nothing is chosen.
    pub fn new() -> Self {
        Self {
            beginning: RwSignal::new(None),
            schema: RwSignal::new(Schema::default()),
            doubts: RwSignal::new(Vec::new()),
            fault: RwSignal::new(None),
            looking: RwSignal::new(None),
            unpacked: RwSignal::new(None),
            chosen: StoredValue::new_local(None),
            accepted: StoredValue::new_local(None),
            choice: StoredValue::new(0),
        }
    }

    /// Looks at the beginning of a file, and guesses what its columns mean.
    pub fn choose(self, file: File) {
        self.forget();
        let (choice, name) = (self.choice.get_value(), file.name());
        self.looking.set(Some(name.clone()));
        wasm_bindgen_futures::spawn_local(async move {
            let is_wanted = move || self.choice.get_value() == choice;
            let looked = match parquet::is_table(&file).await {
                Ok(true) => self.look_at_table(&file, is_wanted).await,
                // What cannot be read is told by the look itself.
                _ => Ok(Some((file, Vec::new()))),
            };
            let looked = match looked {
                Ok(None) => return,
                Ok(Some((file, said))) => match look(&file).await {
                    Ok(beginning) => Ok((file, beginning, said)),
                    Err(detail) => Err(format!("{name} cannot be read ({detail}). Choose it once more, or another file.")),
                },
                Err(why) => Err(format!("{why} {OTHERWISE}")),
            };
            if !is_wanted() {
                return;
            }
            self.looking.set(None);
            self.unpacked.set(None);
            match looked {
                Ok((file, beginning, said)) => {
                    let (Guess { schema, doubts }, lack) = Schema::sketch(&beginning.first);
                    self.schema.set(schema);
                    self.doubts.set(said.into_iter().chain(lack.map(capital)).chain(doubts).collect());
                    self.chosen.set_value(Some(file));
                    self.beginning.set(Some(Arc::new(beginning)));
                }
                Err(why) => self.fault.set(Some(why)),
            }
        });
    }

    /// A table's text, with what a person should know of it; none where it is wanted no more.
    async fn look_at_table(self, file: &File, is_wanted: impl Fn() -> bool) -> Result<Option<(File, Vec<String>)>, String> {
        let told = |rows| {
            if is_wanted() {
                self.unpacked.set(Some(rows));
            }
            is_wanted()
        };
        let Some(Text { file, left_out }) = parquet::as_text(file, told).await? else { return Ok(None) };
        let mut said = vec!["A Parquet table, read as lines of text: the first line holds the names, and row 1 is line 2.".to_string()];
        if !left_out.is_empty() {
            said.push(format!("Left out, because a row has not one number or text there: {}.", left_out.join(", ")));
        }
        Ok(Some((file, said)))
    }

    /// Lets go of the file that was chosen; a run on it goes on.
    pub fn forget(self) {
        self.choice.update_value(|choice| *choice += 1);
        self.chosen.set_value(None);
        self.looking.set(None);
        self.unpacked.set(None);
        self.fault.set(None);
        self.doubts.set(Vec::new());
        self.beginning.set(None);
    }

    /// The columns of the file that was chosen.
    pub fn columns(self) -> Vec<Column> {
        let Some(beginning) = self.beginning.get() else { return Vec::new() };
        self.schema.with(|schema| own::columns(&beginning.first, schema))
    }

    /// Its first rows as they are understood, or why they are not.
    pub fn preview(self) -> Option<Result<Preview, String>> {
        let beginning = self.beginning.get()?;
        let preview = self.schema.with(|schema| {
            let Beginning { first, file, is_whole, .. } = &*beginning;
            if let Some(lack) = self.lack(&schema.columns) {
                // Another kind of file has no columns to choose.
                let other = own::preview(first, *is_whole, &file.name, schema).err().filter(|error| !is_of_columns(error));
                return Err(other.map_or(lack, |error| in_full(&error)));
            }
            own::preview(first, *is_whole, &file.name, schema).map_err(|error| in_full(&error))
        });
        Some(preview)
    }

    /// What is not said yet of the columns that every row needs.
    fn lack(self, columns: &Columns) -> Option<String> {
        let needed = [("user", &columns.user), ("item", &columns.item), ("time", &columns.time)];
        let lacking: Vec<&str> = needed.into_iter().filter(|(_, column)| column.is_empty()).map(|(field, _)| field).collect();
        let there = self.columns().len();
        match lacking[..] {
            [] => None,
            _ if there < needed.len() => Some(format!(
                "A line has {}, and a user, an item and a time are needed. Say otherwise what parts the values, or choose \
                 another file.",
                if there == 1 { "one column" } else { "two columns" }
            )),
            _ => Some(format!("Choose which column is the {}.", lacking.join(", and which the "))),
        }
    }

    /// Changes what the columns mean.
    pub fn change(self, change: impl FnOnce(&mut Schema)) {
        self.schema.update(change);
        self.doubts.set(Vec::new());
    }

    /// Parts values by another character; what the columns were is then unknown.
    pub fn set_delimiter(self, delimiter: char) {
        self.change(|schema| *schema = Schema { delimiter, header: schema.header, ..Schema::default() });
    }

    /// Takes the first line for a header or a row; what each column is stays.
    pub fn set_header(self, header: bool) {
        let keys = |own: Self| untrack(|| own.columns()).into_iter().map(|column| column.key).collect::<Vec<_>>();
        let before = keys(self);
        self.change(|schema| schema.header = header);
        let after = keys(self);
        let moved = |key: &mut String| {
            let (column, least) = key.split_once(">=").map_or((&**key, None), |(column, least)| (column, Some(least)));
            let at = before.iter().position(|before| before == column).and_then(|at| after.get(at));
            let column = at.cloned().unwrap_or_default();
            *key = least.map_or(column.clone(), |least| format!("{column}>={least}"));
        };
        self.schema.update(|schema| {
            let Columns { user, item, category, behavior, time, label, label2, profile, attribute } = &mut schema.columns;
            let others = [category, behavior, label, label2].into_iter().flatten();
            [user, item, time].into_iter().chain(others).chain(profile.iter_mut()).chain(attribute.iter_mut()).for_each(moved);
            [profile, attribute].into_iter().for_each(|columns| columns.retain(|column| !column.is_empty()));
        });
    }

    /// A column that is nothing yet, for a person to change; the first where there is none.
    pub fn free_column(self) -> Option<String> {
        let columns = untrack(|| self.columns());
        let taken = self.schema.with_untracked(|schema| schema.columns.clone());
        let is_free = |column: &&Column| !taken.all().contains(&Some(&*column.key)) && !taken.features().concat().contains(&column.key);
        columns.iter().find(is_free).or(columns.first()).map(|column| column.key.clone())
    }

    /// Whether a column tells something of users (0) or of items (1).
    pub fn say_of(self, column: &str, tells: Option<usize>) {
        self.change(|schema| {
            for (side, columns) in [&mut schema.columns.profile, &mut schema.columns.attribute].into_iter().enumerate() {
                columns.retain(|known| known != column);
                columns.extend((tells == Some(side)).then(|| column.to_owned()));
            }
        });
    }

    /// What a word of the behaviour's column means; with none its rows are refused.
    pub fn say_word(self, word: &str, meaning: Option<Behaviour>) {
        self.change(|schema| {
            match meaning {
                Some(meaning) => schema.behaviors.insert(word.into(), meaning),
                None => schema.behaviors.remove(word),
            };
        });
    }

    /// Takes the usual meaning of the words in the behaviour's column.
    pub fn take_usual_words(self) {
        let columns = untrack(|| self.columns());
        self.schema.update(|schema| {
            let column = columns.iter().find(|column| Some(&column.key) == schema.columns.behavior.as_ref());
            let values = column.map(|column| &column.values[..]).unwrap_or_default();
            schema.behaviors = values.iter().filter_map(|value| Some((value.clone(), word(value)?))).collect();
        });
    }

    /// Makes the file that was chosen the one that is trained on; its name.
    pub fn accept(self) -> Option<FileName> {
        let file = self.chosen.get_value()?;
        let name = FileName::of(&file);
        self.accepted.set_value(Some((file, self.schema.get_untracked())));
        Some(name)
    }

    /// The name of the file that can be trained on at once.
    pub fn accepted(self) -> Option<FileName> {
        self.accepted.with_value(|accepted| accepted.as_ref().map(|(file, _)| FileName::of(file)))
    }

    /// The rows of this file for a trainer, with the file; none where it has to be chosen first.
    pub fn rows_of(self, name: &FileName) -> Option<(RowsChoice, File)> {
        let (file, schema) = self.accepted.get_value().filter(|(file, _)| FileName::of(file) == *name)?;
        Some((RowsChoice::Own { schema: serde_json::to_string(&schema).ok()? }, file))
    }

    /// How negatives may be drawn on the file that is trained on, given what is asked for: labels are there or not.
    pub fn negatives(self, wanted: Negatives) -> Negatives {
        let has_labels = self.accepted.with_value(|accepted| accepted.as_ref().map(|(_, schema)| schema.columns.label.is_some()));
        has_labels.map_or(wanted, |has_labels| fitting(has_labels, wanted))
    }
}

/// How negatives are drawn where rows have labels of their own, or have none.
pub fn fitting(has_labels: bool, wanted: Negatives) -> Negatives {
    match (has_labels, wanted) {
        (true, Negatives::Uniform | Negatives::Popular) => Negatives::None,
        (false, Negatives::None) => Negatives::Uniform,
        (_, wanted) => wanted,
    }
}

/// Whether other columns may mend it.
fn is_of_columns(error: &DataError) -> bool {
    matches!(error, DataError::Columns { .. } | DataError::Table { .. })
}

fn in_full(error: &DataError) -> String {
    let advice = if is_of_columns(error) { "Say otherwise what the columns mean, or choose another file" } else { error.advice() };
    format!("{}. {advice}.", error.problem())
}

/// With a capital at its beginning.
fn capital(sentence: String) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

async fn look(file: &File) -> Result<Beginning, String> {
    let failed = |error: JsValue| words(&error);
    let slice = file.slice_with_f64_and_f64(0.0, LOOK as f64).map_err(failed)?;
    let mut first = Uint8Array::new(&JsFuture::from(slice.array_buffer()).await.map_err(failed)?).to_vec();
    let name = FileName::of(file);
    let mut is_whole = first.len() as u64 == name.bytes;
    let is_packed = first.starts_with(&GZIP);
    if is_packed {
        first.clear();
        is_whole = false;
        let chunks = Chunks::unpacked(file).map_err(failed)?;
        while first.len() < LOOK && !is_whole {
            match chunks.next().await.map_err(|error| format!("the browser cannot unpack it: {}", words(&error)))? {
                Some(chunk) => first.extend(chunk.to_vec()),
                None => is_whole = true,
            }
        }
        first.truncate(if is_whole { first.len() } else { LOOK });
    }
    Ok(Beginning { file: name, is_packed, first, is_whole })
}

/// A place to choose a file of rows, or to drop one on.
#[component]
pub fn Chooser(
    own: Own,
    /// What stands on it.
    #[prop(into)]
    words: Signal<String>,
    /// Its name in the document.
    id: &'static str,
) -> impl IntoView {
    let choose = move |event: web_sys::Event| {
        let Some(input) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) else { return };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            own.choose(file);
            show();
        }
        // So that the same file can be chosen again.
        input.set_value("");
    };
    view! {
        <label class="file drop">
            <span>{move || words.get()}</span>
            <input type="file" id=id data-testid=id on:change=choose />
        </label>
    }
}

/// The place in the panel, which [`show`] leads to.
#[component]
pub fn Place(own: Own) -> impl IntoView {
    view! {
        <h3 id=TITLE>"Rows of your own"</h3>
        <Chooser own words="Drop a file here, or choose it" id=INPUT />
    }
}

/// Leads a person to where a file is chosen and its columns are corrected.
pub fn show() {
    let document = document();
    if let Some(title) = document.get_element_by_id(TITLE) {
        title.scroll_into_view();
    }
    let input = document.get_element_by_id(INPUT).and_then(|input| input.dyn_into::<HtmlElement>().ok());
    // It is on the page, so it takes the focus.
    let _ = input.map(|input| input.focus());
}

/// Whether something was dropped on a place for rows.
pub fn is_place(target: Option<web_sys::EventTarget>) -> bool {
    let element = target.and_then(|target| target.dyn_into::<Element>().ok());
    element.is_some_and(|element| element.closest(".drop, .own").ok().flatten().is_some())
}
