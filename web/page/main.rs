//! The page: draws what the trainer in the worker tells and passes on what a person asks. No tensor is computed here.

mod address;
mod article;
mod bar;
mod beside;
mod card;
mod chart;
mod choice;
mod contest;
mod course;
mod data;
mod device;
mod failure;
mod frame;
mod headline;
mod help;
mod look;
mod models;
mod own;
mod panels;
mod parquet;
mod people;
mod recorded;
mod run;
mod series;
mod session;
mod shelf;
mod speech;
mod table;
mod text;
mod trainer;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

fn main() {
    failure::say_panics();
    let Some(place) = document().get_element_by_id("app").and_then(|place| place.dyn_into::<HtmlElement>().ok()) else { return };
    place.set_inner_html("");
    leptos::mount::mount_to(place, Page).forget();
}

/// All parts.
#[component]
fn Page() -> impl IntoView {
    let session = session::Session::open(parts);
    provide_context(session);
    let look = look::Look::follow(session.address, session.notices);
    provide_context(look);
    provide_context(course::Course::open(session, look.language, panels::keys));
    article::attend(session);
    view! {
        {move || (!session.hides("headline")).then(|| view! { <headline::Headline /> })}
        {move || (!session.hides("lessons")).then(|| view! { <course::Lessons /> })}
        <bar::Bar />
        <failure::Banners />
        <panels::Panels />
        <speech::Speech />
    }
}

/// What a link can hide, by name.
fn parts() -> Vec<&'static str> {
    [panels::keys(), vec!["headline", "lessons", article::KEY]].concat()
}
