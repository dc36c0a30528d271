//! The panels. Each is a file in `panels/` that says what it shows, and a row of [`ALL`]. The page does the rest: the heading, the
//! place, and leaving out what `hide=` in the link names.

mod clusters;
mod controls;
mod data;
mod field;
mod flow;
mod keep;
mod losses;
mod race;
mod shelf;
mod user;

use leptos::prelude::*;

use crate::course::Course;
use crate::session::Session;

/// The panels in the order of the page.
const ALL: &[Panel] = &[
    field::PANEL,
    race::PANEL,
    user::PANEL,
    controls::PANEL,
    shelf::PANEL,
    flow::PANEL,
    clusters::PANEL,
    losses::PANEL,
    data::PANEL,
    keep::PANEL,
];

/// A part of the page with a heading.
pub struct Panel {
    /// Its name in links (`hide=`), and its class in the style sheet.
    pub key: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Where it stands.
    pub place: Place,
    /// What stands below the heading.
    pub body: fn(Session) -> AnyView,
}

/// Where a panel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the top, beside another one where there is room.
    Stage,
    /// Below, as wide as the page.
    Below,
}

/// The names of all panels.
pub fn keys() -> Vec<&'static str> {
    ALL.iter().map(|panel| panel.key).collect()
}

/// The panels that the link does not hide.
#[component]
pub fn Panels() -> impl IntoView {
    let session = expect_context::<Session>();
    let at = move |place: Place| {
        let shown = ALL.iter().filter(|panel| panel.place == place && !session.hides(panel.key));
        shown.map(|panel| frame(panel, session)).collect::<Vec<_>>()
    };
    view! {
        <div class="stage-row">{move || at(Place::Stage)}</div>
        {move || at(Place::Below)}
    }
}

fn frame(panel: &'static Panel, session: Session) -> impl IntoView {
    let course = expect_context::<Course>();
    let title = format!("{}-title", panel.key);
    view! {
        <section class=format!("panel {}", panel.key) class:lit=move || course.points_to(panel.key) aria-labelledby=title.clone() data-testid=format!("panel-{}", panel.key)>
            <h2 id=title.clone()>{panel.title}</h2>
            {(panel.body)(session)}
        </section>
    }
}
