//! Which models race, and the weights that one of them may go on from.

use duia::data::Origin;
use duia::variants::Variant;
use leptos::html::{Button, Div};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, EventTarget, HtmlElement, HtmlInputElement, Node};

use crate::run::Phase;
use crate::session::Session;

/// The models in the order of the list: the baseline and the paper's first, then what is held against them.
fn listed() -> impl Iterator<Item = Variant> {
    let first = Variant::LADDER.into_iter().chain([Variant::Uhse]);
    let others = Variant::ALL.into_iter().filter(|variant| !Variant::LADDER.contains(variant) && *variant != Variant::Uhse);
    first.chain(others)
}

/// A button that opens the list.
#[component]
pub fn Models() -> impl IntoView {
    let session = expect_context::<Session>();
    let open = RwSignal::new(false);
    let racing = Memo::new(move |_| session.address.with(|address| address.config.variants.0.clone()));
    // What is ticked and not yet raced. It follows the link.
    let chosen = RwSignal::new(Vec::new());
    Effect::new(move |_| chosen.set(racing.get()));
    let (menu, button, body) = (NodeRef::<Div>::new(), NodeRef::<Button>::new(), NodeRef::<Div>::new());
    let is_outside = move |target: Option<EventTarget>| {
        let target = target.and_then(|target| target.dyn_into::<Node>().ok());
        menu.get_untracked().zip(target).is_some_and(|(menu, target)| !menu.contains(Some(&target)))
    };
    let escape = window_event_listener(leptos::ev::keydown, move |event| {
        if event.key() == "Escape" && open.get_untracked() {
            open.set(false);
            // The focus would be lost with the element that has it.
            let _ = button.get_untracked().map(|button| button.focus());
        }
    });
    let outside = window_event_listener(leptos::ev::pointerdown, move |event| {
        if is_outside(event.target()) {
            open.set(false);
        }
    });
    let resized = window_event_listener(leptos::ev::resize, move |_| keep_in_window(menu, body));
    Effect::new(move |_| {
        if open.get() {
            request_animation_frame(move || keep_in_window(menu, body));
        }
    });
    on_cleanup(move || {
        escape.remove();
        outside.remove();
        resized.remove();
    });
    let race = move |_| {
        open.set(false);
        session.set_variants(in_order(&racing.get_untracked(), &chosen.get_untracked()));
    };
    let same = Memo::new(move |_| {
        let racing = racing.get();
        in_order(&racing, &chosen.get()) == racing
    });
    // On rows of a person's own a ceiling that is asked for does not race: nobody knows their truth.
    let count = move || {
        let (asked, live) = (racing.get(), session.run.variants.get());
        if !live.is_empty() && live.iter().all(|variant| asked.contains(variant)) { live.len() } else { asked.len() }
    };
    let baseline = move || racing.with(|racing| racing.first().copied());
    view! {
        <div
            class="menu"
            node_ref=menu
            on:focusout=move |event| {
                if is_outside(event.related_target()) {
                    open.set(false);
                }
            }
        >
            <button
                type="button"
                node_ref=button
                data-testid="models"
                aria-expanded=move || open.get().to_string()
                aria-controls="models-list"
                on:click=move |_| open.update(|open| *open = !*open)
            >
                {move || format!("Models: {}", count())}
            </button>
            <div class="menu-body" id="models-list" node_ref=body hidden=move || !open.get()>
                <fieldset>
                    <legend>"Race on the same batches, from the same seed"</legend>
                    {listed()
                        .map(|variant| view! { <Choice session variant chosen baseline=Signal::derive(baseline) /> })
                        .collect::<Vec<_>>()}
                </fieldset>
                <button type="button" class="primary" data-testid="race-these" disabled=move || same.get() on:click=race>
                    "Race these from the start"
                </button>
                <Weights session />
            </div>
        </div>
    }
}

/// Moves the open list so far to the left, and makes it so low, that all of it is in the window.
fn keep_in_window(menu: NodeRef<Div>, body: NodeRef<Div>) {
    /// Pixels to the window's edge, and the least height.
    const MARGIN: f64 = 12.0;
    const LEAST: f64 = 240.0;
    let (Some(menu), Some(body), Some(root)) = (menu.get_untracked(), body.get_untracked(), document().document_element()) else { return };
    let place = menu.get_bounding_client_rect();
    let (width, height) = (f64::from(root.client_width()), f64::from(root.client_height()));
    let left = place.left().min(width - MARGIN - f64::from(body.offset_width())).max(MARGIN);
    let room = (height - MARGIN - place.bottom()).max(LEAST);
    let style = HtmlElement::style(&body);
    let _ = style.set_property("--shift", &format!("{:.0}px", left - place.left()));
    let _ = style.set_property("--room", &format!("{room:.0}px"));
}

/// The chosen models as the race has them: the baseline first, the others in the order of the list.
fn in_order(racing: &[Variant], chosen: &[Variant]) -> Vec<Variant> {
    let baseline = racing.first().copied();
    let kept: Vec<Variant> = racing.iter().copied().filter(|variant| chosen.contains(variant)).collect();
    if kept.len() == chosen.len() {
        return kept;
    }
    let others = listed().filter(|variant| Some(*variant) != baseline && chosen.contains(variant));
    baseline.into_iter().chain(others).collect()
}

#[component]
fn Choice(session: Session, variant: Variant, chosen: RwSignal<Vec<Variant>>, baseline: Signal<Option<Variant>>) -> impl IntoView {
    let is_baseline = move || baseline.get() == Some(variant);
    // Only the generator knows what its users truly prefer.
    let is_unknown = move || {
        let real = session.run.data.with(|data| data.as_ref().is_some_and(|data| data.origin != Origin::Synthetic));
        variant.knows_truth() && real
    };
    let toggle = move |event: Event| {
        let ticked = event_target_checked(&event);
        chosen.update(|chosen| {
            chosen.retain(|other| *other != variant);
            if ticked {
                chosen.push(variant);
            }
        });
    };
    view! {
        <label class="choice">
            <input
                type="checkbox"
                data-testid=format!("model-{}", variant.key())
                prop:checked=move || chosen.with(|chosen| chosen.contains(&variant))
                disabled=move || is_baseline() || is_unknown()
                on:change=toggle
            />
            <b>{variant.name()}</b>
            <span>{variant.about()}</span>
        </label>
    }
}

/// Weights out of a file, and which models have them.
#[component]
fn Weights(session: Session) -> impl IntoView {
    let run = session.run;
    let can_load = move || matches!(run.phase.get(), Phase::Paused | Phase::Playing);
    let choose = move |event: Event| {
        let Some(input) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) else { return };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            session.load_weights(file);
        }
        // So that the same file can be chosen again.
        input.set_value("");
    };
    view! {
        <div class="weights">
            <label>
                <span>"Go on from weights"</span>
                <input type="file" accept=".safetensors" data-testid="weights" disabled=move || !can_load() on:change=choose />
            </label>
            <p class="how">
                "A file of "
                <code>"duia train --weights-out"</code>
                ", of a model in this race. It stays on this machine."
            </p>
            <ul data-testid="loaded">
                {move || {
                    run.loaded
                        .get()
                        .into_iter()
                        .map(|(variant, name)| view! { <li>{format!("{} goes on from {name}.", variant.name())}</li> })
                        .collect::<Vec<_>>()
                }}
            </ul>
        </div>
    }
}
