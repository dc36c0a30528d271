//! "How it works": the text stands in index.html, where it can be read before there is a program. Its buttons lead to the live thing.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

use crate::session::Session;

/// Its name in links (`hide=`).
pub const KEY: &str = "article";
/// How long a panel stays lit that a button led to.
const LIT: Duration = Duration::from_secs(2);

/// Makes the buttons work, and hides all of it where the link says so.
pub fn attend(session: Session) {
    let Some(article) = document().get_element_by_id(KEY) else { return };
    Effect::new(move |_| {
        let _ = article.toggle_attribute_with_force("hidden", session.hides(KEY));
    });
    let pressed = window_event_listener(leptos::ev::click, |event| {
        let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        if let Some(button) = target.and_then(|target| target.closest("#article [data-show]").ok().flatten()) {
            lead(&button);
        }
    });
    on_cleanup(move || pressed.remove());
}

/// Shows the panel that a button names, pressed open at the block that it names.
fn lead(button: &Element) {
    let find = |attribute: &str, place: &str| {
        let key = button.get_attribute(attribute)?;
        document().query_selector(&format!("[data-testid={place}{key}]")).ok().flatten()
    };
    let Some(panel) = find("data-show", "panel-") else { return };
    if let Some(block) = find("data-press", "").and_then(|block| block.dyn_into::<HtmlElement>().ok()) {
        // Later: a click that is made within a click comes back to the listener that is still at work, which wasm-bindgen forbids.
        set_timeout(move || block.click(), Duration::ZERO);
    }
    panel.scroll_into_view();
    let _ = panel.set_attribute("data-led", "");
    set_timeout(move || drop(panel.remove_attribute("data-led")), LIT);
}
