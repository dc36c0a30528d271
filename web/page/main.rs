//! The page: draws what the trainer in the worker tells and passes on what a person asks. No tensor is computed here.

mod address;
mod bar;
mod card;
mod chart;
mod contest;
mod data;
mod device;
mod failure;
mod frame;
mod help;
mod look;
mod models;
mod panels;
mod run;
mod series;
mod session;
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
    let session = session::Session::open();
    provide_context(session);
    provide_context(look::Look::follow(session));
    view! {
        <bar::Bar />
        <failure::Banners />
        <panels::Panels />
        <speech::Speech />
    }
}
