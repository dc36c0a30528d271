//! `duia inspect`: what a file is taken for, before anything is trained on it.

use std::path::PathBuf;

use duia::data::own::Understood;
use duia::data::schema::{Columns, Guess, Schema};
use duia::data::{Behaviour, Source};

use super::arguments::Inspect;
use super::console::reader_text;
use super::files::write_whole;
use super::input::Input;
use super::refusal::Refusal;
use super::rows::{Told, read_own};
use super::summary::of_texts;
use super::text::{say, whole};

/// Shows and writes.
pub fn inspect(arguments: &Inspect) -> Result<(), Refusal> {
    let input = Input::open(&arguments.file)?;
    let file = arguments.file.display();
    let Guess { schema, doubts } = match arguments.form.resolve(&input)? {
        Some(schema) => Guess { schema, doubts: Vec::new() },
        None => Schema::guess(input.first()).map_err(|why| {
            Refusal::input(
                format!("{file} cannot be understood: {why}"),
                "Say with --columns which column is which, like user=1,item=2,time=5",
            )
        })?,
    };
    tell(&schema, &doubts, input.table().is_some());
    let mut understood = Vec::new();
    let is_table = input.table().is_some();
    let rows = read_own(input, &schema, Told::default(), &mut understood);
    say(&of_texts(
        &[if is_table { "row" } else { "line" }, "user", "item", "category", "behaviour", "time"].map(String::from),
        understood.iter().map(cells),
    )
    .to_string());
    let rows = rows?;
    let vocabulary = rows.vocabulary();
    say(&format!(
        "{} rows would be read, of {} users, {} items and {} categories.",
        whole(rows.rows()),
        whole(vocabulary.users.into()),
        whole(vocabulary.items.into()),
        whole(vocabulary.categories.into())
    ));
    reader_text(&rows.refused(), &rows.notes()).iter().for_each(|line| say(line));
    write(arguments, &schema)
}

/// The schema in words.
fn tell(schema: &Schema, doubts: &[String], is_table: bool) {
    let between = match schema.delimiter {
        ',' => "commas".into(),
        '\t' => "tabs".into(),
        ';' => "semicolons".into(),
        other => format!("`{other}`"),
    };
    if is_table {
        say("A table in Parquet.");
    } else {
        say(&format!("Values are parted by {between}; the first line {}.", if schema.header { "names the columns" } else { "is a row" }));
    }
    let columns = Columns::FIELDS.iter().zip(schema.columns.all()).map(|(field, column)| match column {
        Some(column) => format!("{field} = {column}"),
        None => format!("no {field}"),
    });
    let of_users = schema.columns.profile.iter().map(|column| format!("profile = {column}"));
    let of_items = schema.columns.attribute.iter().map(|column| format!("attribute = {column}"));
    say(&format!("Columns: {}.", columns.chain(of_users).chain(of_items).collect::<Vec<_>>().join(", ")));
    if !schema.behaviors.is_empty() {
        let words: Vec<String> = schema.behaviors.iter().map(|(word, behaviour)| format!("{word} = {}", name(*behaviour))).collect();
        say(&format!("Behaviours: {}.", words.join(", ")));
    }
    doubts.iter().for_each(|doubt| say(&format!("Check: {doubt}.")));
    if !doubts.is_empty() {
        say("What is wrong you can say with --columns, and what words mean with --behaviors.");
    }
}

fn name(behaviour: Behaviour) -> &'static str {
    match behaviour {
        Behaviour::View => "view",
        Behaviour::Cart => "cart",
        Behaviour::Favourite => "favourite",
        Behaviour::Buy => "buy",
        Behaviour::Shown => "not taken",
        Behaviour::Stayed => "not taken, label2",
    }
}

fn cells(Understood { line, row }: &Understood) -> Vec<String> {
    let line = line.to_string();
    match row {
        Ok((ids, behaviour, time)) => {
            let [user, item, category] = ids.clone();
            let time = jiff::Timestamp::from_second((*time).into()).map_or_else(|_| time.to_string(), |time| time.to_string());
            vec![line, user, item, category, name(*behaviour).into(), time]
        }
        Err(why) => vec![line, format!("refused: {why}"), String::new(), String::new(), String::new(), String::new()],
    }
}

/// Writes the schema, but over no other file.
fn write(arguments: &Inspect, schema: &Schema) -> Result<(), Refusal> {
    let own = || PathBuf::from(format!("{}.schema.json", arguments.file.display()));
    let path = arguments.out.clone().unwrap_or_else(own);
    let text = serde_json::to_string_pretty(schema).map_err(|error| Refusal::input(error, "Please report this"))? + "\n";
    if path.exists() && std::fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
        return Err(Refusal::unwritable(&path, "it is there already and says something else"));
    }
    write_whole(&path, text.as_bytes()).map_err(|error| Refusal::unwritable(&path, error))?;
    say(&format!("Written: {}. Change it where it is wrong; train with", path.display()));
    say(&format!("  duia train --data {} --schema {}", arguments.file.display(), path.display()));
    Ok(())
}
