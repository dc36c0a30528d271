//! A badge in the bar, with a card that opens under the pointer and with a press: what is in use, why, and how to change it.

use leptos::html::{Button, Div};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::Node;

/// A badge and its card. `name` is the badge's test id, and the card's with `card` in the place of `badge`.
#[component]
pub fn Card(kind: &'static str, name: &'static str, #[prop(into)] value: Signal<String>, children: Children) -> impl IntoView {
    let open = RwSignal::new(false);
    let (all, badge) = (NodeRef::<Div>::new(), NodeRef::<Button>::new());
    let outside = window_event_listener(leptos::ev::pointerdown, move |event| {
        let target = event.target().and_then(|target| target.dyn_into::<Node>().ok());
        if let Some(all) = all.get_untracked()
            && !all.contains(target.as_ref())
        {
            open.set(false);
        }
    });
    on_cleanup(move || outside.remove());
    let escape = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" && open.get_untracked() {
            open.set(false);
            if let Some(badge) = badge.get_untracked() {
                // It is on the page, so it takes the focus.
                let _ = badge.focus();
            }
        }
    };
    let card = format!("{}-card", name.trim_end_matches("-badge"));
    view! {
        <div class="hover" class:open=move || open.get() node_ref=all on:keydown=escape>
            <button
                type="button"
                class="badge"
                node_ref=badge
                data-testid=name
                aria-expanded=move || open.get().to_string()
                aria-controls=card.clone()
                on:click=move |_| open.update(|open| *open = !*open)
            >
                <span class="badge-kind">{kind}</span>
                <span class="badge-value">{move || value.get()}</span>
            </button>
            <div class="hover-card" id=card.clone() data-testid=card>
                {children()}
            </div>
        </div>
    }
}
