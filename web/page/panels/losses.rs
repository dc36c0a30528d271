//! Whether the models learn: each loss of Eq. 15 as a small chart.

use duia::metrics::{LossTerm, Losses};
use duia::variants::Variant;
use leptos::prelude::*;

use super::{Panel, Place};
use crate::chart::{Chart, Figure, Ink, Key, Line, Unit};
use crate::contest::{lines, style, total};
use crate::run::{Role, Run};
use crate::table::{Unfold, by_step};
use crate::text;

/// Its row.
pub const PANEL: Panel = Panel {
    key: "losses",
    title: "Are the models learning?",
    place: Place::Below,
    body: |session| view! { <LossCards run=session.run /> }.into_any(),
};

/// Every loss is a cross entropy or a squared distance: none is below 0.
const LOSSES: (f64, f64) = (0.0, f64::INFINITY);

#[component]
fn LossCards(run: Run) -> impl IntoView {
    view! {
        <p class="how">"Losses of the training batch: the lower, the better the fit to it."</p>
        <div class="cards">{move || run.terms.get().into_iter().map(|term| view! { <LossCard run term /> }).collect::<Vec<_>>()}</div>
        <Unfold summary="The losses as a table" body=move || loss_table(run).into_any() />
    }
}

#[component]
fn LossCard(run: Run, term: LossTerm) -> impl IntoView {
    let (title, about) = (term.title.clone(), term.about.clone());
    let term = StoredValue::new(term);
    let value = move |all: &[Losses], at: usize| all.get(at).and_then(|losses| term.with_value(|term| term.value(losses)));
    let shown = Memo::new(move |_| {
        let all = run.roles().into_iter().enumerate().map(|(at, (variant, role))| (at, variant, role));
        all.filter(|(_, variant, _)| term.with_value(|term| term.variants.contains(variant))).collect::<Vec<_>>()
    });
    let figure = Signal::derive(move || {
        let line = |at: usize, role: Role| {
            let (look, name) = (style(role, Ink::Hit), run.variants.with(|all| all.get(at).map_or("", |variant| variant.name())));
            let point = |(step, all): &(u64, Vec<Losses>)| Some((*step as f64, f64::from(value(all, at)?)));
            run.with_losses(|series| Line::plain(look, name, series.iter().filter_map(point)))
        };
        let models = shown.get().into_iter().map(|(at, _, role)| (at, role));
        Figure {
            lines: lines(models, line),
            steps: total(run),
            least_span: 0.1,
            include: Vec::new(),
            bounds: LOSSES,
            unit: Unit::Decimals(2),
        }
    });
    let newest = move |at: usize| run.with_losses(|series| text::loss(series.last().and_then(|(_, all)| value(all, at))));
    let keys = move || {
        let key = |(at, variant, role): (usize, Variant, Role)| {
            view! { <Key name=variant.name() style=style(role, Ink::Hit) value=move || newest(at) /> }
        };
        shown.get().into_iter().map(key).collect::<Vec<_>>()
    };
    let name = title.clone();
    let label = move || {
        let parts = shown.get().into_iter().map(|(at, variant, _)| format!("{} {}", variant.name(), newest(at)));
        format!("{name} by step: {}", parts.collect::<Vec<_>>().join(", "))
    };
    let test_id = format!("loss-{}", title.split(' ').next().unwrap_or_default().to_lowercase());
    view! {
        <article class="card">
            <h3>{title.clone()}</h3>
            <p class="how">{about}</p>
            <Chart title=format!("Loss: {title}") label figure />
            <p class="key" data-testid=test_id>
                {keys}
            </p>
        </article>
    }
}

/// The charts for those who do not see them.
fn loss_table(run: Run) -> impl IntoView {
    let terms = run.terms.get();
    let heads: Vec<_> = run
        .variants
        .get()
        .into_iter()
        .flat_map(|variant| terms.iter().map(move |term| format!("{}, {}", term.title, variant.name())))
        .map(|head| view! { <th scope="col">{head}</th> })
        .collect();
    let row = |(step, all): &(u64, Vec<Losses>)| {
        let cells: Vec<_> = all
            .iter()
            .flat_map(|losses| terms.iter().map(move |term| term.value(losses)))
            .map(|loss| view! { <td>{text::loss(loss)}</td> })
            .collect();
        view! {
            <tr>
                <th scope="row">{text::count(*step)}</th>
                {cells}
            </tr>
        }
    };
    let rows = run.with_losses(|series| series.iter().rev().take(TABLE_ROWS).map(row).collect::<Vec<_>>());
    by_step("Losses, newest first", heads.into_any(), rows.into_any())
}

/// Losses come often; a table of all of them would be slow to lay out at each.
const TABLE_ROWS: usize = 40;
