//! The rows: their figures, and what the reader refused or put right.

mod own;

use duia::data::DataReport;
use duia::wire::Reading;
use leptos::prelude::*;

use super::{Panel, Place};
use crate::data::{explanation, full_name};
use crate::run::Run;
use crate::session::Session;
use crate::text;

/// Its row.
pub const PANEL: Panel =
    Panel { key: "data", title: "The data", place: Place::Below, body: |session| view! { <Body session /> }.into_any() };

#[component]
fn Body(session: Session) -> impl IntoView {
    view! {
        <Now session />
        <Figures run=session.run />
        <own::OwnRows session />
    }
}

/// How far the reading of a file is.
#[component]
fn Now(session: Session) -> impl IntoView {
    let of = move |reading: Reading| {
        let name = session.address.with(|address| address.file.as_ref().map_or(String::new(), |file| file.name.clone()));
        let done = reading.of.map_or(0, |of| 100 * reading.bytes / of.max(1));
        view! {
            <p data-testid="reading">{format!("{name}: {}", text::reading(reading))}</p>
            <progress aria-label="Reading the file" max="100" value=reading.of.map(|_| done.to_string())></progress>
        }
    };
    move || session.run.reading.get().map(of)
}

#[component]
fn Figures(run: Run) -> impl IntoView {
    move || match run.data.get() {
        Some(data) => figures(&data).into_any(),
        None => view! { <p class="how">"Nothing is read yet."</p> }.into_any(),
    }
}

fn figures(data: &DataReport) -> impl IntoView + use<> {
    let facts = [
        ("rows", text::count(data.rows)),
        ("that train", text::count(data.train_rows)),
        ("that test", text::count(data.test_rows)),
        ("users", text::count(data.users)),
        ("items", text::count(data.items)),
        ("categories", text::count(data.categories)),
        ("low-active users", text::count(data.low_active_users)),
        ("their share of training rows", text::percent(data.low_active_row_share)),
        ("test positives of unseen items", text::percent(data.unseen_test_share)),
    ];
    let facts = facts.map(|(name, value)| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd>{value}</dd>
            </div>
        }
    });
    view! {
        <p>
            <strong>{full_name(data)}</strong>
            ". "
            {explanation(data.origin)}
        </p>
        <dl class="facts">{facts}</dl>
        {refusals(&data.refused)}
        {notes(&data.notes)}
    }
}

/// What the reader put right.
fn notes(notes: &[String]) -> impl IntoView + use<> {
    let lines: Vec<_> = notes.iter().map(|note| view! { <li>{note.clone()}</li> }).collect();
    (!lines.is_empty()).then(|| {
        view! {
            <p>"Put right on reading:"</p>
            <ul class="refused" data-testid="notes">{lines}</ul>
        }
    })
}

fn refusals(refused: &[(String, u64)]) -> impl IntoView + use<> {
    let rows: Vec<_> = refused.iter().map(|(reason, rows)| view! { <li>{format!("{} rows: {reason}", text::count(*rows))}</li> }).collect();
    if rows.is_empty() {
        view! { <p class="how">"No row was refused."</p> }.into_any()
    } else {
        view! {
            <p>"Refused rows, by reason:"</p>
            <ul class="refused">{rows}</ul>
        }
        .into_any()
    }
}
