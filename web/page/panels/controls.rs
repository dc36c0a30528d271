//! What a person may change of the model: how much the ranker reads, the sizes of the clusters, and switches that break it.

use duia::config::Config;
use leptos::prelude::*;

use super::{Panel, Place};
use crate::address::Address;
use crate::session::Session;
use crate::text;

/// Its row.
pub const PANEL: Panel =
    Panel { key: "controls", title: "Change it, break it", place: Place::Below, body: |session| view! { <Controls session /> }.into_any() };

/// A setting with steps to slide over.
struct Slider {
    key: &'static str,
    name: &'static str,
    about: &'static str,
    stops: &'static [&'static str],
}

const SLIDERS: [Slider; 7] = [
    Slider {
        key: "history",
        name: "Behaviours that are read",
        about: "The window: how many of a user's newest behaviours the ranker and the clusters see.",
        stops: &["1", "2", "3", "5", "8", "12", "20", "30", "50"],
    },
    Slider { key: "centres", name: "Centres of users", about: "Level 1.", stops: &["2", "4", "8", "16", "32", "64", "128", "256"] },
    Slider { key: "children", name: "Children of each", about: "Level 2.", stops: &["2", "4", "8", "16"] },
    Slider {
        key: "item_centres",
        name: "Centres of items",
        about: "What UHSE reads a history by.",
        stops: &["4", "8", "16", "32", "64", "128", "256"],
    },
    Slider {
        key: "rho",
        name: "How fast centres move",
        about: "Rho of Eq. 15.",
        stops: &["0", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5"],
    },
    Slider { key: "embedding", name: "Width of an embedding", about: "Of every id.", stops: &["4", "8", "16", "32", "64"] },
    Slider { key: "learning_rate", name: "Learning rate", about: "Of Adam.", stops: &["0.0003", "0.001", "0.003", "0.01", "0.03"] },
];

/// A choice that can be taken the other way, as keys and values.
struct Switch {
    id: &'static str,
    name: &'static str,
    about: &'static str,
    pairs: &'static [(&'static str, &'static str)],
}

const SWITCHES: [Switch; 6] = [
    Switch {
        id: "raw-dot",
        name: "Raw dot product",
        about: "The nearest centre is the one with the largest dot product, as in Eq. 2 and 3: the longest centre takes most users.",
        pairs: &[("similarity", "dot"), ("centred", "false")],
    },
    Switch { id: "no-reseeding", name: "No re-seeding", about: "An unused centre stays where it is.", pairs: &[("reseed", "false")] },
    Switch {
        id: "random-start",
        name: "Random start",
        about: "Centres start as noise around 0, not as users' vectors: most are never anyone's nearest.",
        pairs: &[("centre_start", "random")],
    },
    Switch {
        id: "sigma-in-graph",
        name: "Sigma in the graph",
        about: "The weight sigma is differentiated too: a centre can lower its loss by fleeing from its users.",
        pairs: &[("sigma_in_graph", "true")],
    },
    Switch {
        id: "plain-sgd",
        name: "Plain descent",
        about: "Centres move by plain gradient descent: they hardly move.",
        pairs: &[("centre_step", "sgd")],
    },
    Switch {
        id: "literal",
        name: "The paper word for word",
        about: "Every choice that the paper leaves open, read literally: random start, raw dot product, Adam on the centres, memories \
                from zero, no re-seeding, nothing dropped, centred or normalised.",
        pairs: &[
            ("similarity", "dot"),
            ("centred", "false"),
            ("centre_start", "random"),
            ("centre_step", "adam"),
            ("memory_start", "zero"),
            ("reseed", "false"),
            ("enhancement_dropout", "0"),
            ("enhancement_norm", "false"),
            ("enhancement_centred", "false"),
        ],
    },
];

#[component]
fn Controls(session: Session) -> impl IntoView {
    view! {
        <p class="how" data-testid="changes">
            {move || match session.branched_at() {
                None => "Each change starts the run anew with the same seed and stands in the link. Press a switch again to take it back.".into(),
                Some(step) => format!(
                    "This run is a branch. A change of what is marked branches anew from step {}, any other starts the run anew. Each stands in \
                     the link.",
                    text::count(step),
                ),
            }}
        </p>
        <p class="views"><Defaults session /></p>
        <div class="sliders">{SLIDERS.iter().map(|slider| view! { <Slide session slider /> }).collect::<Vec<_>>()}</div>
        <div class="switches" role="group" aria-label="Break it">
            {SWITCHES.iter().map(|switch| view! { <Flip session switch /> }).collect::<Vec<_>>()}
        </div>
    }
}

#[component]
fn Defaults(session: Session) -> impl IntoView {
    let are_set = Memo::new(move |_| session.address.with(Address::is_default));
    view! {
        <button
            type="button"
            data-testid="defaults"
            title="Every setting as the page comes"
            disabled=move || are_set.get()
            on:click=move |_| session.set_defaults()
        >
            "Back to defaults"
        </button>
    }
}

/// A slider over the stops, and the present value among them where it is none of them.
#[component]
fn Slide(session: Session, slider: &'static Slider) -> impl IntoView {
    let value = Memo::new(move |_| session.address.with(|address| address.config.text_of(slider.key)));
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
    let stops = Memo::new(move |_| {
        let mut stops: Vec<String> = slider.stops.iter().map(|stop| (*stop).to_string()).collect();
        let present = value.get();
        if !stops.iter().any(|stop| number(stop) == number(&present)) {
            stops.push(present);
            stops.sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
        stops
    });
    let at = move || {
        let present = number(&value.get());
        stops.with(|stops| stops.iter().position(|stop| number(stop) == present)).unwrap_or_default()
    };
    // What stands under the thumb while a person moves it.
    let moving = RwSignal::new(None::<usize>);
    let place = |event: &web_sys::Event| event_target_value(event).parse::<usize>().ok();
    let shown = move || match moving.get().and_then(|at| stops.with(|stops| stops.get(at).cloned())) {
        Some(stop) => stop,
        None => value.get(),
    };
    view! {
        <label class="slider" title=slider.about>
            <span>{slider.name} " " <b>{shown}</b> <Acts session keys=vec![slider.key] /></span>
            <input
                type="range"
                min="0"
                max=move || stops.with(|stops| stops.len().saturating_sub(1)).to_string()
                step="1"
                data-testid=format!("slide-{}", slider.key)
                prop:value=move || at().to_string()
                aria-valuetext=shown
                on:input=move |event| moving.set(place(&event))
                on:change=move |event| {
                    moving.set(None);
                    if let Some(stop) = place(&event).and_then(|at| stops.with_untracked(|stops| stops.get(at).cloned())) {
                        session.set_pairs(&[(slider.key, &stop)]);
                    }
                }
            />
        </label>
    }
}

#[component]
fn Flip(session: Session, switch: &'static Switch) -> impl IntoView {
    let on = Memo::new(move |_| session.address.with(|address| holds(&address.config, switch.pairs)));
    let flip = move |_| {
        if on.get_untracked() {
            let preset = session.address.with_untracked(|address| Config::preset(address.config.preset));
            let back: Vec<(&str, String)> = switch.pairs.iter().map(|(key, _)| (*key, preset.text_of(key))).collect();
            session.set_pairs(&back.iter().map(|(key, value)| (*key, value.as_str())).collect::<Vec<_>>());
        } else {
            session.set_pairs(switch.pairs);
        }
    };
    view! {
        <div class="switch">
            <button type="button" data-testid=format!("switch-{}", switch.id) aria-pressed=move || on.get().to_string() on:click=flip>
                {switch.name}
            </button>
            <p class="how">{switch.about} <Acts session keys=switch.pairs.iter().map(|(key, _)| *key).collect() /></p>
        </div>
    }
}

/// Marks a control that acts from the step of a branch on.
#[component]
fn Acts(session: Session, keys: Vec<&'static str>) -> impl IntoView {
    let acts = Memo::new(move |_| session.branches_by(&keys).then(|| session.branched_at()).flatten());
    let words = move |step| view! { " " <em class="acts">{format!("acts from step {} on", text::count(step))}</em> };
    move || acts.get().map(words)
}

/// Whether a configuration has all these values.
fn holds(config: &Config, pairs: &[(&str, &str)]) -> bool {
    pairs.iter().all(|(key, value)| config.with(key, value).is_ok_and(|with| with.as_ref() == Some(config)))
}
