//! Tables that may be wider or longer than their place.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event};

/// A place that scrolls and that the keyboard reaches, because without a focus nobody can scroll it without a mouse.
#[component]
pub fn Scroll(
    /// What is in it, for those who do not see it.
    #[prop(into)]
    label: String,
    children: Children,
) -> impl IntoView {
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label=label>
            {children()}
        </div>
    }
}

/// A table that is made when a person opens it: one of every evaluation would be slow to lay out at each.
#[component]
pub fn Unfold(
    /// What opens it.
    summary: &'static str,
    /// The table; made anew with what it reads.
    body: impl Fn() -> AnyView + Send + Copy + 'static,
) -> impl IntoView {
    let open = RwSignal::new(false);
    view! {
        <details on:toggle=move |event| open.set(is_open(&event))>
            <summary>{summary}</summary>
            {move || open.get().then(body)}
        </details>
    }
}

/// Whether the `<details>` of a toggle event is open.
fn is_open(event: &Event) -> bool {
    event.target().and_then(|target| target.dyn_into::<Element>().ok()).is_some_and(|element| element.has_attribute("open"))
}

/// A table with a caption, its steps in the first column.
pub fn by_step(caption: &'static str, heads: AnyView, rows: AnyView) -> impl IntoView {
    view! {
        <Scroll label=caption>
            <table>
                <caption>{caption}</caption>
                <thead>
                    <tr>
                        <th scope="col">"step"</th>
                        {heads}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </Scroll>
    }
}
