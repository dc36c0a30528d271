//! A list to choose one of a few from.

use leptos::prelude::*;

/// A list with its label.
#[component]
pub fn Choice<T: Copy + PartialEq + Send + Sync + 'static>(
    /// What stands before it.
    label: &'static str,
    /// Its name in the document.
    id: &'static str,
    /// What there is to choose from: each value, its name in the document, and the words that a person reads.
    options: impl Fn() -> Vec<(T, String, String)> + Copy + Send + 'static,
    /// The one that is set.
    chosen: Signal<Option<T>>,
    /// Sets another.
    choose: impl Fn(T) + Copy + 'static,
    /// Whether the words are a person's own, which nobody translates; those of no choice are not.
    #[prop(optional)]
    own_words: bool,
) -> impl IntoView {
    let list = move || {
        let option = |(value, name, words): (T, String, String)| {
            let translate = (own_words && !name.is_empty()).then_some("no");
            view! {
                <option value=name translate=translate selected=move || chosen.get() == Some(value)>
                    {words}
                </option>
            }
        };
        options().into_iter().map(option).collect::<Vec<_>>()
    };
    let changed = move |event| {
        let name = event_target_value(&event);
        if let Some((value, _, _)) = untrack(options).into_iter().find(|(_, own, _)| *own == name) {
            choose(value);
        }
    };
    view! {
        <label>
            <span>{label}</span>
            <select data-testid=id title=label on:change=changed>
                {list}
            </select>
        </label>
    }
}
