//! Tables that may be wider or longer than their place.

use leptos::prelude::*;

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
