//! One user of the test, followed through training: what the models score a few items for them, and what one more behaviour would
//! change.

use duia::view::{Glance, Portrait, Sitting};
use leptos::prelude::*;

use super::{Panel, Place};
use crate::session::Session;
use crate::table::Scroll;
use crate::text;

/// Its row.
pub const PANEL: Panel =
    Panel { key: "user", title: "One user, and what if", place: Place::Below, body: |session| view! { <User session /> }.into_any() };

#[component]
fn User(session: Session) -> impl IntoView {
    let run = session.run;
    view! {
        <p class="how">
            "The user in the picture above, at a moment of the test that no model has trained on: every model's score for the item they took \
             next and for others. Let them take one more thing and see what changes."
        </p>
        {move || match run.portrait.get() {
            Some(seen) => view! { <p data-testid="what-if">{changes(&seen, session)}</p> {table(&seen, session)} }.into_any(),
            None => view! { <p class="how">"Nobody is followed before the first step."</p> }.into_any(),
        }}
    }
}

/// What the added behaviour did to the cluster and to the vector.
fn changes(seen: &Portrait, session: Session) -> String {
    let who = format!("User {}, at step {}", seen.user, text::count(seen.step));
    let (Some(added), Some(then)) = (seen.sitting.added, &seen.then) else {
        return format!("{who}: as they are.");
    };
    let category = seen.offers.get(added as usize).map_or(0, |offer| offer.thing.category);
    let children = session.address.with(|address| address.config.children.max(1)) as u32;
    let place = |[centre, child]: [u32; 2]| format!("centre {}, child {}", centre + 1, child % children + 1);
    let moved = match (seen.now.cluster, then.cluster) {
        (Some(now), Some(then)) if now == then => format!("they stay in {}", place(now)),
        (Some(now), Some(then)) => format!("they move from {} to {}", place(now), place(then)),
        _ => "no cluster is filled yet".into(),
    };
    let stopped = match (seen.now.stopped, then.stopped) {
        (false, true) => ", which now points away from them, so they get no enhancement",
        (true, false) => ", which no longer points away from them",
        _ => "",
    };
    let turned =
        cosine(&seen.now, then).map(|cosine| format!("; their vector turns by {:.0}°", cosine.clamp(-1.0, 1.0).acos().to_degrees()));
    format!("{who}, had they also taken something of category {category}: {moved}{stopped}{}.", turned.unwrap_or_default())
}

fn cosine(a: &Glance, b: &Glance) -> Option<f32> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let norms = dot(&a.vector, &a.vector).sqrt() * dot(&b.vector, &b.vector).sqrt();
    (norms > 0.0).then(|| dot(&a.vector, &b.vector) / norms)
}

fn table(seen: &Portrait, session: Session) -> impl IntoView + use<> {
    let names: Vec<&'static str> = session.run.variants.get().into_iter().map(|variant| variant.name()).collect();
    let heads: Vec<_> = names.iter().map(|name| view! { <th scope="col">{*name}</th> }).collect();
    let row = |at: usize| {
        let offer = seen.offers[at];
        let is_added = seen.sitting.added == Some(at as u32);
        let cells: Vec<_> = (0..names.len()).map(|variant| cell(seen, variant, at)).collect();
        let sitting = Sitting { added: (!is_added).then_some(at as u32), ..seen.sitting };
        view! {
            <tr class:taken=offer.taken>
                <th scope="row">{format!("item {}", offer.thing.item)}</th>
                <td>{offer.thing.category}</td>
                <td>{if offer.taken { "took it" } else { "" }}</td>
                {cells}
                <td>
                    <button
                        type="button"
                        class="small"
                        data-testid=format!("add-{at}")
                        aria-pressed=is_added.to_string()
                        on:click=move |_| session.portray(sitting)
                    >
                        {if is_added { "take it back" } else { "let them take it" }}
                    </button>
                </td>
            </tr>
        }
    };
    let rows: Vec<_> = (0..seen.offers.len()).map(row).collect();
    view! {
        <Scroll label="Scores of a few items for this user">
            <table data-testid="offers">
                <thead>
                    <tr>
                        <th scope="col">"item"</th>
                        <th scope="col">"category"</th>
                        <th scope="col">"next"</th>
                        {heads}
                        <th scope="col">"what if"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </Scroll>
    }
}

/// A model's score, and with the added behaviour.
fn cell(seen: &Portrait, variant: usize, at: usize) -> impl IntoView + use<> {
    let score = |glance: &Glance| glance.scores.get(variant).and_then(|scores| scores.get(at)).copied();
    let text = match (score(&seen.now), seen.then.as_ref().and_then(score)) {
        (Some(now), Some(then)) => format!("{} → {}", text::score(now), text::score(then)),
        (Some(now), None) => text::score(now),
        (None, _) => "–".into(),
    };
    view! { <td>{text}</td> }
}
