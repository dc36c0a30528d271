//! Rows of the person's own: a file is chosen, its columns are shown as they are understood and corrected, and the race trains on it.

use std::sync::Arc;

use duia::config::Negatives;
use duia::data::Behaviour;
use duia::data::own::{Column, Preview, Understood, in_short};
use duia::data::schema::Columns;
use leptos::prelude::*;

use super::refusals;
use crate::choice::Choice;
use crate::own::{Beginning, Own, Place, fitting};
use crate::session::Session;
use crate::table::Scroll;
use crate::text;

const DELIMITERS: [(char, &str, &str); 6] = [
    (',', "comma", "commas"),
    ('\t', "tab", "tabs"),
    (';', "semicolon", "semicolons"),
    ('|', "bar", "vertical bars"),
    (':', "colon", "colons"),
    (' ', "space", "spaces"),
];
/// What a word may mean.
const MEANINGS: [(Option<Behaviour>, &str, &str); 5] = [
    (Some(Behaviour::View), "view", "a look"),
    (Some(Behaviour::Cart), "cart", "put into the cart"),
    (Some(Behaviour::Favourite), "favourite", "made a favourite"),
    (Some(Behaviour::Buy), "buy", "bought"),
    (None, "refuse", "refuse its rows"),
];
/// How negatives are drawn, where rows have no labels.
const DRAWN: [(Negatives, &str, &str); 3] = [
    (Negatives::Uniform, "uniform", "any item, all alike (U1)"),
    (Negatives::Popular, "popular", "any item, popular ones more often (P1)"),
    (Negatives::TimeMatched, "time-matched", "what others first took at that time (T1)"),
];
/// And where they have.
const LABELLED: [(Negatives, &str, &str); 2] = [
    (Negatives::None, "none", "what was shown and not taken (E1)"),
    (Negatives::TimeMatched, "time-matched", "what others first took at that time (T1)"),
];

/// What a row says of what was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    Behaviour,
    Labels,
}

const SAYS: [(Says, &str, &str); 3] = [
    (Says::Nothing, "nothing", "nothing: every row is a look"),
    (Says::Behaviour, "behaviour", "a word: view, cart, buy …"),
    (Says::Labels, "labels", "a label: shown, taken or not"),
];

impl Says {
    fn of(columns: &Columns) -> Self {
        match (&columns.behavior, &columns.label) {
            (_, Some(_)) => Self::Labels,
            (Some(_), None) => Self::Behaviour,
            (None, None) => Self::Nothing,
        }
    }
}

fn listed<T: Copy>(all: &[(T, &str, &str)]) -> Vec<(T, String, String)> {
    all.iter().map(|(value, name, words)| (*value, (*name).to_string(), (*words).to_string())).collect()
}

/// The part of the panel.
#[component]
pub fn OwnRows(session: Session) -> impl IntoView {
    let own = session.own;
    view! {
        <div class="own" data-testid="own">
            <Place own />
            <p class="how">
                "CSV with a row for each thing that a user took: any separator, a header or none, plain or gzip, of any size; or a table in \
                 Parquet. The file is read on this device and never uploaded. Where not all users fit into memory, a hash of their names chooses who stays."
            </p>
            <p role="status" data-testid="own-status">
                {move || own.looking.get().map(|name| match own.unpacked.get() {
                    Some([rows, of]) => format!("Reading {name}: row {} of {} …", text::count(rows), text::count(of)),
                    None => format!("Looking at {name} …"),
                })}
            </p>
            {move || own.fault.get().map(|fault| view! { <p class="warning" role="alert" data-testid="own-fault">{fault}</p> })}
            {move || own.beginning.get().map(|beginning| view! { <Form session beginning /> })}
        </div>
    }
}

#[component]
fn Form(session: Session, beginning: Arc<Beginning>) -> impl IntoView {
    let own = session.own;
    let columns = Memo::new(move |_| own.columns());
    // Until a person chooses, as in the link.
    let wanted = RwSignal::new(None::<Negatives>);
    let negatives = Memo::new(move |_| {
        let wanted = wanted.get().unwrap_or_else(|| session.address.with(|address| address.config.negatives));
        fitting(own.schema.with(|schema| schema.columns.label.is_some()), wanted)
    });
    let packed = if beginning.is_packed { ", packed" } else { "" };
    let about = format!("{} ({}{packed})", beginning.file.name, text::bytes(beginning.file.bytes));
    let options = move || if own.schema.with(|schema| schema.columns.label.is_some()) { listed(&LABELLED) } else { listed(&DRAWN) };
    view! {
        <div class="own-form" data-testid="own-form">
            <fieldset>
                <legend>"What the columns of " <strong>{about}</strong> " mean"</legend>
                <div class="fields">
                    <Shape own />
                    <ColumnChoice own columns label="User" id="own-user" none="choose …" read=|c| Some(&c.user) write=|c, key| c.user = key.unwrap_or_default() />
                    <ColumnChoice own columns label="Item" id="own-item" none="choose …" read=|c| Some(&c.item) write=|c, key| c.item = key.unwrap_or_default() />
                    <ColumnChoice own columns label="Time" id="own-time" none="choose …" read=|c| Some(&c.time) write=|c, key| c.time = key.unwrap_or_default() />
                    <ColumnChoice own columns label="Category" id="own-category" none="none: all items of one" read=|c| c.category.as_deref() write=|c, key| c.category = key />
                    <Done own columns />
                    <Choice
                        label="Negatives"
                        id="own-negatives"
                        options
                        chosen=Signal::derive(move || Some(negatives.get()))
                        choose=move |negatives| wanted.set(Some(negatives))
                    />
                </div>
                <Words own columns />
                <Known own columns />
            </fieldset>
            {move || doubts(&own.doubts.get())}
            {move || own.preview().map(|preview| understanding(session, &beginning, preview, negatives))}
        </div>
    }
}

/// How values and lines are parted.
#[component]
fn Shape(own: Own) -> impl IntoView {
    let delimiter = Signal::derive(move || Some(own.schema.with(|schema| schema.delimiter)));
    let header = Signal::derive(move || Some(own.schema.with(|schema| schema.header)));
    let options = || listed(&[(true, "header", "names the columns"), (false, "row", "is a row")]);
    view! {
        <Choice label="Values parted by" id="own-delimiter" options=|| listed(&DELIMITERS) chosen=delimiter choose=move |delimiter| own.set_delimiter(delimiter) />
        <Choice label="The first line" id="own-header" options chosen=header choose=move |header| own.set_header(header) />
    }
}

/// Which column is what.
#[component]
fn ColumnChoice(
    own: Own,
    columns: Memo<Vec<Column>>,
    label: &'static str,
    id: &'static str,
    /// The words for no column.
    none: &'static str,
    read: fn(&Columns) -> Option<&str>,
    write: fn(&mut Columns, Option<String>),
) -> impl IntoView {
    let at = move |key: &str| columns.with(|columns| columns.iter().position(|column| column.key == key));
    let chosen = Signal::derive(move || Some(own.schema.with(|schema| read(&schema.columns).and_then(at))));
    let options = move || {
        let header = own.schema.with(|schema| schema.header);
        let option = |(at, column): (usize, &Column)| {
            let example = column.values.first().map_or(String::new(), |value| format!(" ({})", in_short(value)));
            let name = if header { in_short(&column.key) } else { format!("column {}", column.key) };
            (Some(at), column.key.clone(), format!("{name}{example}"))
        };
        let all = columns.with(|columns| columns.iter().enumerate().map(option).collect::<Vec<_>>());
        [vec![(None, String::new(), none.to_string())], all].concat()
    };
    let choose = move |at: Option<usize>| {
        let key = at.and_then(|at| columns.with_untracked(|columns| columns.get(at).map(|column| column.key.clone())));
        own.change(|schema| write(&mut schema.columns, key));
        if id == "own-behaviour" {
            own.take_usual_words();
        }
    };
    view! { <Choice label id options chosen choose own_words=true /> }
}

/// What a row says of what was done, and in which column.
#[component]
fn Done(own: Own, columns: Memo<Vec<Column>>) -> impl IntoView {
    let says = Memo::new(move |_| own.schema.with(|schema| Says::of(&schema.columns)));
    let say = move |says: Says| {
        let free = own.free_column();
        own.change(|schema| {
            let columns = &mut schema.columns;
            (columns.behavior, columns.label, columns.label2) = (None, None, None);
            match says {
                Says::Nothing => {}
                Says::Behaviour => columns.behavior = free,
                Says::Labels => columns.label = free,
            }
        });
        own.take_usual_words();
    };
    let column = move || {
        match says.get() {
        Says::Nothing => None,
        Says::Behaviour => Some(
            view! { <ColumnChoice own columns label="The word" id="own-behaviour" none="none" read=|c| c.behavior.as_deref() write=|c, key| c.behavior = key /> }
                .into_any(),
        ),
        Says::Labels => Some(
            view! {
                <ColumnChoice own columns label="Task A: taken" id="own-label" none="none" read=|c| column_of(&c.label) write=|c, key| c.label = key />
                <Least own label="Taken from" id="own-least" which=|c| &mut c.label />
                <ColumnChoice own columns label="Task B" id="own-label2" none="none" read=|c| column_of(&c.label2) write=|c, key| c.label2 = key />
                <Least own label="Task B from" id="own-least2" which=|c| &mut c.label2 />
            }
            .into_any(),
        ),
    }
    };
    view! {
        <Choice label="What was done" id="own-says" options=|| listed(&SAYS) chosen=Signal::derive(move || Some(says.get())) choose=say />
        {column}
    }
}

/// The column of a label, without what it must reach.
fn column_of(label: &Option<String>) -> Option<&str> {
    label.as_deref().map(without_least)
}

fn without_least(label: &str) -> &str {
    label.split(">=").next().unwrap_or(label).trim()
}

/// From which value on a label says yes.
#[component]
fn Least(own: Own, label: &'static str, id: &'static str, which: fn(&mut Columns) -> &mut Option<String>) -> impl IntoView {
    let current = Memo::new(move |_| own.schema.with(|schema| which(&mut schema.columns.clone()).clone()));
    let least = move || current.with(|label| label.as_deref().and_then(|label| Some(label.split_once(">=")?.1.trim().to_string())));
    let set = move |event| {
        let text: String = event_target_value(&event);
        own.change(|schema| {
            let label = which(&mut schema.columns);
            if let Some(column) = column_of(label).map(str::to_owned) {
                *label = Some(if text.trim().is_empty() { column } else { format!("{column}>={}", text.trim()) });
            }
        });
    };
    view! {
        <label>
            <span>{label}</span>
            <input
                class="seed"
                inputmode="decimal"
                autocomplete="off"
                data-testid=id
                prop:value=move || least().unwrap_or_else(|| "0.5".into())
                disabled=move || current.with(Option::is_none)
                on:change=set
            />
        </label>
    }
}

/// What a word or a column of the file means: one of a few. Its name is the file's own and stays as it is in every language.
#[component]
fn Meaning<T: Copy + PartialEq + Send + Sync + 'static>(
    name: String,
    id: String,
    /// Meanings, each with its key and its words.
    all: &'static [(Option<T>, &'static str, &'static str)],
    chosen: Memo<Option<T>>,
    choose: impl Fn(Option<T>) + 'static,
) -> impl IntoView {
    let option = |&(meaning, key, words): &'static (Option<T>, &'static str, &'static str)| {
        view! {
            <option value=key selected=move || chosen.get() == meaning>
                {words}
            </option>
        }
    };
    let options: Vec<_> = all.iter().map(option).collect();
    let choose = move |event| {
        let key = event_target_value(&event);
        choose(all.iter().find(|(_, known, _)| *known == key).and_then(|(meaning, ..)| *meaning));
    };
    view! {
        <label>
            <span translate="no">{name}</span>
            <select data-testid=id on:change=choose>
                {options}
            </select>
        </label>
    }
}

/// What the words of the behaviour's column mean.
#[component]
fn Words(own: Own, columns: Memo<Vec<Column>>) -> impl IntoView {
    let words = Memo::new(move |_| {
        let column = own.schema.with(|schema| schema.columns.behavior.clone());
        columns.with(|columns| columns.iter().find(|own| Some(&own.key) == column.as_ref()).map(|column| column.values.clone()))
    });
    let choice = move |(at, word): (usize, String)| {
        let (name, of) = (in_short(&word), word.clone());
        let chosen = Memo::new(move |_| own.schema.with(|schema| schema.behaviour(&of)));
        let choose = move |meaning| own.say_word(&word, meaning);
        view! { <Meaning name id=format!("own-word-{at}") all=&MEANINGS chosen choose /> }
    };
    move || {
        let words = words.get().filter(|words| !words.is_empty())?;
        let choices: Vec<_> = words.into_iter().enumerate().map(choice).collect();
        Some(view! {
            <div class="fields words" role="group" aria-label="What the words mean">
                {choices}
            </div>
        })
    }
}

/// What a column that is nothing else tells.
const TELLS: [(Option<usize>, &str, &str); 3] =
    [(None, "nothing", "nothing"), (Some(0), "user", "something of the user"), (Some(1), "item", "something of the item")];

/// Which of the columns that are nothing else tell something of users or of items.
#[component]
fn Known(own: Own, columns: Memo<Vec<Column>>) -> impl IntoView {
    let free = Memo::new(move |_| {
        let taken = own.schema.with(|schema| schema.columns.clone());
        let is_free = |column: &&Column| !taken.all().map(|key| key.map(without_least)).contains(&Some(&*column.key));
        columns.with(|columns| columns.iter().filter(is_free).cloned().collect::<Vec<_>>())
    });
    let choice = move |(at, column): (usize, Column)| {
        let Column { key, values } = column;
        let name = format!("{} ({})", in_short(&key), values.first().map_or(String::new(), |value| in_short(value)));
        let of = key.clone();
        let chosen =
            Memo::new(move |_| own.schema.with(|schema| schema.columns.features().iter().position(|columns| columns.contains(&of))));
        let choose = move |tells| own.say_of(&key, tells);
        view! { <Meaning name id=format!("own-known-{at}") all=&TELLS chosen choose /> }
    };
    move || {
        let free = free.get();
        (!free.is_empty()).then(|| {
            let choices: Vec<_> = free.into_iter().enumerate().map(choice).collect();
            view! {
                <div class="fields known" role="group" aria-label="What else is known">
                    <p class="how">
                        "What else is known (each column becomes features of every ranker; a user or an item has the value of their first row):"
                    </p>
                    {choices}
                </div>
            }
        })
    }
}

/// What a person should check.
fn doubts(doubts: &[String]) -> impl IntoView + use<> {
    let lines: Vec<_> = doubts.iter().map(|doubt| view! { <li>{format!("{doubt}.")}</li> }).collect();
    (!lines.is_empty()).then(|| {
        view! {
            <p>"Check:"</p>
            <ul class="refused" data-testid="own-doubts">{lines}</ul>
        }
    })
}

/// The first rows as they are understood and the button that trains on them, or why there are none.
fn understanding(
    session: Session,
    beginning: &Beginning,
    preview: Result<Preview, String>,
    negatives: Memo<Negatives>,
) -> impl IntoView + use<> {
    let own = session.own;
    let put_away = view! {
        <button type="button" data-testid="own-forget" on:click=move |_| own.forget()>
            "Put the file away"
        </button>
    };
    let preview = match preview {
        Ok(preview) => preview,
        Err(problem) => {
            return view! {
                <p class="warning" role="alert" data-testid="own-problem">{problem}</p>
                <div class="keep-row">{put_away}</div>
            }
            .into_any();
        }
    };
    let part =
        if beginning.is_whole() { "Of the whole file".into() } else { format!("Of the first {}", text::bytes(beginning.len() as u64)) };
    let refused: u64 = preview.refused.iter().map(|(_, rows)| rows).sum();
    let kept = format!("{part}, {} rows would be kept and {} refused.", text::count(preview.rows), text::count(refused));
    let none_left = preview.rows == 0;
    let hint = none_left.then_some(" Say otherwise what the columns mean, or choose another file.");
    view! {
        <p>"The first rows, as they are understood:"</p>
        {table(&preview.first, own.schema.with_untracked(|schema| schema.columns.label.is_some()))}
        <p data-testid="own-kept" class:warning=none_left>
            {kept}
            {hint}
        </p>
        {(refused > 0).then(|| refusals(&preview.refused))}
        <div class="keep-row">
            <button
                type="button"
                class="primary"
                data-testid="own-train"
                disabled=none_left
                on:click=move |_| session.train_on_own(negatives.get_untracked())
            >
                "Train on these rows"
            </button>
            {put_away}
        </div>
    }
    .into_any()
}

fn table(first: &[Understood], is_labelled: bool) -> impl IntoView + use<> {
    let rows: Vec<_> = first.iter().map(|understood| row(understood, is_labelled)).collect();
    view! {
        <Scroll label="The first rows as they are understood">
            <table data-testid="own-rows">
                <thead>
                    <tr>
                        <th scope="col">"line"</th>
                        <th scope="col">"user"</th>
                        <th scope="col">"item"</th>
                        <th scope="col">"category"</th>
                        <th scope="col">"done"</th>
                        <th scope="col">"time (UTC)"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </Scroll>
    }
}

fn row(Understood { line, row }: &Understood, is_labelled: bool) -> impl IntoView + use<> {
    let line = text::count(*line);
    let cells = match row {
        Ok((ids, behaviour, time)) => {
            let [user, item, category] = ids.clone();
            let done = match behaviour {
                Behaviour::View if is_labelled => "taken",
                Behaviour::Buy if is_labelled => "taken, task B",
                Behaviour::View => "look",
                Behaviour::Cart => "cart",
                Behaviour::Favourite => "favourite",
                Behaviour::Buy => "bought",
                Behaviour::Shown => "not taken",
                Behaviour::Stayed => "not taken, task B",
            };
            view! {
                <td translate="no">{user}</td>
                <td translate="no">{item}</td>
                <td translate="no">{category}</td>
                <td>{done}</td>
                <td>{text::moment(*time)}</td>
            }
            .into_any()
        }
        Err(why) => view! { <td colspan="5" class="warning">{format!("refused: {why}")}</td> }.into_any(),
    };
    view! {
        <tr>
            <th scope="row">{line}</th>
            {cells}
        </tr>
    }
}
