//! Whether the clustering works: hit rates, spread and stops, each as a small chart, and a sentence where it does not.

use duia::data::{Origin, Side};
use duia::metrics::{ClusterHealth, collapse};
use leptos::prelude::*;

use super::{Panel, Place};
use crate::chart::{Chart, Figure, Ink, Key, Line, Style, Unit};
use crate::choice::Choice;
use crate::contest::total;
use crate::run::{Clusters, Run};
use crate::session::Session;
use crate::table::{Unfold, by_step};
use crate::text;

/// Its row.
pub const PANEL: Panel = Panel {
    key: "clusters",
    title: "Are the clusters healthy?",
    place: Place::Below,
    body: |session| view! { <Health session /> }.into_any(),
};

/// A line of a card about the clusters.
#[derive(Clone, Copy)]
struct Trace {
    name: &'static str,
    style: Style,
    value: fn(&ClusterHealth) -> f64,
}

const fn trace(name: &'static str, style: Style, value: fn(&ClusterHealth) -> f64) -> Trace {
    Trace { name, style, value }
}

/// A card about the clusters.
#[derive(Clone, Copy)]
struct Card {
    title: &'static str,
    how: &'static str,
    traces: &'static [Trace],
    /// Values that the axis must reach.
    include: &'static [f64],
    /// The greatest value that there can be. None is below 0.
    greatest: f64,
    /// Whether it needs the planted truth of the synthetic stream.
    planted: bool,
}

const CARDS: [Card; 5] = [
    Card {
        title: "Hit rate",
        how: "Share of centres that are the nearest of at least one test positive.",
        traces: &[
            trace("centres", Style::solid(Ink::Hit), |health| health.hit_rate_1),
            trace("children", Style::dashed(Ink::Plain), |health| health.hit_rate_2),
        ],
        include: &[0.0, 1.0],
        greatest: 1.0,
        planted: false,
    },
    Card {
        title: "Evenness",
        how: "Perplexity of the assignment over the number of centres: 1 is evenly used.",
        traces: &[
            trace("centres", Style::solid(Ink::Hit), |health| health.perplexity_1),
            trace("children", Style::dashed(Ink::Plain), |health| health.perplexity_2),
        ],
        include: &[0.0, 1.0],
        greatest: 1.0,
        planted: false,
    },
    Card {
        title: "Tightness",
        how: "Squared distance to the centre over that to the mean, and the share of the largest cluster: lower is better.",
        traces: &[
            trace("relative error", Style::solid(Ink::Hit), |health| health.relative_error),
            trace("largest share", Style::dashed(Ink::Plain), |health| health.top_share),
        ],
        include: &[0.0],
        greatest: f64::INFINITY,
        planted: false,
    },
    Card {
        title: "Stopped",
        how: "Share of test positives whose user gets no enhancement, because a centre points away from them.",
        traces: &[
            trace("low-active", Style::solid(Ink::Low), |health| health.stopped.low),
            trace("high-active", Style::dashed(Ink::High), |health| health.stopped.high),
        ],
        include: &[0.0],
        greatest: 1.0,
        planted: false,
    },
    Card {
        title: "Planted groups found",
        how: "Agreement with the groups that the synthetic stream was made from: 1 is perfect.",
        traces: &[
            trace("purity", Style::solid(Ink::Hit), |health| health.purity.unwrap_or(f64::NAN)),
            trace("NMI", Style::dashed(Ink::Plain), |health| health.nmi.unwrap_or(f64::NAN)),
        ],
        include: &[0.0, 1.0],
        greatest: 1.0,
        planted: true,
    },
];

#[component]
fn Health(session: Session) -> impl IntoView {
    let run = session.run;
    let synthetic = Memo::new(move |_| run.data.with(|data| data.as_ref().is_none_or(|data| data.origin == Origin::Synthetic)));
    let positives = Memo::new(move |_| run.with_health(|series| series.last().map(|health| health.positives)));
    view! {
        <ClusterChoice run />
        <p class="how" data-testid="clusters-shown">
            {move || match run.shown_clusters().zip(positives.get()) {
                Some((clusters, positives)) => {
                    format!("Clusters of {}, measured on {} test positives with memories frozen.", name(clusters), text::count(positives))
                }
                None => "The first figures come with the first evaluation after the centres are filled.".into(),
            }}
        </p>
        <Collapse session />
        <div class="cards">{CARDS.map(|card| move || (!card.planted || synthetic.get()).then(|| view! { <ClusterCard run card /> }))}</div>
        <Unfold summary="The clusters' curves as a table" body=move || cluster_table(run).into_any() />
    }
}

/// What is wrong with the clusters on show, where they have collapsed.
#[component]
fn Collapse(session: Session) -> impl IntoView {
    let said = Memo::new(move |_| {
        let config = session.address.with(|address| address.config.clone());
        session.run.with_health(|series| series.last().and_then(|health| collapse(health, &config)))
    });
    // It is there from the start, so that a screen reader says what comes into it.
    view! {
        <p class="warning" role="status" data-testid="collapse">
            {move || said.get()}
        </p>
    }
}

/// Whose clusters, in words.
fn name((variant, side): Clusters) -> String {
    match side {
        Side::Users => format!("{}: users", variant.name()),
        Side::Items => format!("{}: items", variant.name()),
    }
}

/// Which clusters are shown, where there are several.
#[component]
fn ClusterChoice(run: Run) -> impl IntoView {
    let all = Memo::new(move |_| run.all_clusters());
    let options = move || all.get().into_iter().map(|clusters| (clusters, name(clusters), name(clusters))).collect::<Vec<_>>();
    let chosen = Signal::derive(move || run.shown_clusters());
    let choose = move |clusters| run.show_clusters(clusters);
    move || (all.with(Vec::len) > 1).then(|| view! { <Choice label="Clusters of" id="clusters" options chosen choose /> })
}

#[component]
fn ClusterCard(run: Run, card: Card) -> impl IntoView {
    let figure = Signal::derive(move || {
        let line = |trace: &Trace| {
            let points = |health: &ClusterHealth| (health.step as f64, (trace.value)(health));
            run.with_health(|series| Line::plain(trace.style, trace.name, series.iter().map(points)))
        };
        Figure {
            lines: card.traces.iter().map(line).collect(),
            steps: total(run),
            least_span: 0.2,
            include: card.include.to_vec(),
            bounds: (0.0, card.greatest),
            unit: Unit::Percent,
        }
    });
    let newest = move |trace: Trace| run.with_health(|series| series.last().map_or(f64::NAN, |health| (trace.value)(health)));
    let keys = move || {
        let key = |&trace: &Trace| view! { <Key name=trace.name style=trace.style value=move || text::percent(newest(trace)) /> };
        card.traces.iter().map(key).collect::<Vec<_>>()
    };
    let label = move || {
        let parts = card.traces.iter().map(|&trace| format!("{} {}", trace.name, text::percent(newest(trace))));
        format!("{} by step: {}", card.title, parts.collect::<Vec<_>>().join(", "))
    };
    view! {
        <article class="card">
            <h3>{card.title}</h3>
            <p class="how">{card.how}</p>
            <Chart title=card.title label figure />
            <p class="key">{keys()}</p>
        </article>
    }
}

/// The charts for those who do not see them.
fn cluster_table(run: Run) -> impl IntoView {
    let traces: Vec<Trace> = CARDS.iter().flat_map(|card| card.traces.iter().copied()).collect();
    let heads: Vec<_> = CARDS
        .iter()
        .flat_map(|card| card.traces.iter().map(|trace| format!("{}: {}", card.title, trace.name)))
        .map(|head| view! { <th scope="col">{head}</th> })
        .collect();
    let row = |health: &ClusterHealth| {
        let cells: Vec<_> = traces.iter().map(|trace| view! { <td>{text::percent((trace.value)(health))}</td> }).collect();
        view! {
            <tr>
                <th scope="row">{text::count(health.step)}</th>
                {cells}
            </tr>
        }
    };
    let rows = run.with_health(|series| series.iter().rev().map(row).collect::<Vec<_>>());
    by_step("Clusters", heads.into_any(), rows.into_any())
}
