//! The bar: what a person can do, how far the run is, on which device and on which rows.

use duia::config::Preset;
use duia::wire::Reading;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent, MouseEvent};

use crate::address::{Language, Theme};
use crate::choice::Choice;
use crate::data::DataBadge;
use crate::device::DeviceBadge;
use crate::help::{Help, HelpDialog};
use crate::look::Look;
use crate::models::Models;
use crate::run::{About, Phase};
use crate::session::{Session, Speed};
use crate::text;

/// The whole part.
#[component]
pub fn Bar() -> impl IntoView {
    let session = expect_context::<Session>();
    let help = HelpDialog::new();
    listen(session, help);
    view! {
        <section class="bar" aria-label="Controls">
            <div class="row">
                <Transport session />
                <SpeedChoice session />
                <PresetChoice session />
                <Models />
                <SeedInput session />
                <span class="gap"></span>
                <DeviceBadge />
                <DataBadge />
                <LanguageChoice session />
                <ThemeButton session />
                <button type="button" data-testid="help-button" title="What is shown and what the keys do (?)" on:click=move |_| help.open()>
                    "Help"
                </button>
            </div>
            <Progress session />
            <Help dialog=help />
        </section>
    }
}

#[component]
fn Transport(session: Session) -> impl IntoView {
    let phase = session.run.phase;
    let plays = Memo::new(move |_| session.plays());
    let is_testing = Memo::new(move |_| phase.get().is_testing());
    let can_step = Memo::new(move |_| matches!(phase.get(), Phase::Paused | Phase::Playing));
    let can_finish = Memo::new(move |_| session.can_finish());
    let label = move || match phase.get() {
        Phase::Finished | Phase::Failed => "Play again",
        _ if plays.get() => "Pause",
        _ => "Play",
    };
    // A double click is one press: its second would take the first one back, as if nothing had happened. A key's press counts no clicks.
    let toggle = move |event: MouseEvent| {
        if event.detail() <= 1 {
            session.toggle();
        }
    };
    let icon = move || if plays.get() { "M3 2h4v12H3zM9 2h4v12H9z" } else { "M3 1.5l11 6.5-11 6.5z" };
    view! {
        <div class="group">
            <button
                type="button"
                class="primary play"
                data-testid="play"
                title="Space"
                disabled=move || is_testing.get()
                on:click=toggle
            >
                <svg viewBox="0 0 16 16" aria-hidden="true">
                    <path d=icon />
                </svg>
                {label}
            </button>
            <button type="button" data-testid="step" title="One step ( . )" disabled=move || !can_step.get() on:click=move |_| session.step()>
                "Step"
            </button>
            <button
                type="button"
                data-testid="finish"
                title="End training here and test what was learned (E)"
                disabled=move || !can_finish.get()
                on:click=move |_| session.finish()
            >
                "Finish"
            </button>
            <button type="button" data-testid="reset" title="The same run from the start (R)" on:click=move |_| session.reset()>
                "Reset"
            </button>
        </div>
    }
}

#[component]
fn SpeedChoice(session: Session) -> impl IntoView {
    let options = || Speed::ALL.map(|(speed, name, words)| (speed, name.to_string(), words.to_string())).to_vec();
    let chosen = Signal::derive(move || Some(session.speed.get()));
    view! { <Choice label="Speed" id="speed" options chosen choose=move |speed| session.set_speed(speed) /> }
}

/// The paper's sizes do not fit a browser; they are on the list only where a link asks for them.
#[component]
fn PresetChoice(session: Session) -> impl IntoView {
    const PRESETS: [(Preset, &str, &str); 4] = [
        (Preset::Browser, "browser", "short run"),
        (Preset::Long, "long", "long run"),
        (Preset::Calibrated, "calibrated", "calibrated"),
        (Preset::Paper, "paper", "paper's sizes"),
    ];
    let current = Memo::new(move |_| session.address.with(|address| address.config.preset));
    let options = move || {
        let shown = PRESETS.into_iter().filter(|(preset, _, _)| *preset != Preset::Paper || current.get() == Preset::Paper);
        shown.map(|(preset, name, words)| (preset, name.to_string(), words.to_string())).collect::<Vec<_>>()
    };
    let chosen = Signal::derive(move || Some(current.get()));
    view! { <Choice label="Run" id="preset" options chosen choose=move |preset| session.set_preset(preset) /> }
}

#[component]
fn SeedInput(session: Session) -> impl IntoView {
    let seed = Memo::new(move |_| session.address.with(|address| address.config.seed.to_string()));
    view! {
        <label>
            <span>"Seed"</span>
            <input
                class="seed"
                data-testid="seed"
                inputmode="numeric"
                autocomplete="off"
                prop:value=move || seed.get()
                on:change=move |event| session.set_seed(&event_target_value(&event))
            />
        </label>
    }
}

#[component]
fn LanguageChoice(session: Session) -> impl IntoView {
    let shown = expect_context::<Look>().language;
    let option = move |(language, name): (Language, &'static str)| {
        view! {
            <option value=language.word() lang=language.word() selected=move || shown.get() == language>
                {name}
            </option>
        }
    };
    let choose = move |event| {
        let word = event_target_value(&event);
        if let Some((language, _)) = Language::ALL.into_iter().find(|(language, _)| language.word() == word) {
            session.set_language(language);
        }
    };
    view! {
        <select class="language" data-testid="language" aria-label="Language" on:change=choose>
            {Language::ALL.map(option)}
        </select>
    }
}

#[component]
fn ThemeButton(session: Session) -> impl IntoView {
    let theme = Memo::new(move |_| session.address.with(|address| address.theme));
    let sign = move || match theme.get() {
        Theme::System => "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1zm0 1.5v11a5.5 5.5 0 0 1 0-11z",
        Theme::Light => {
            "M8 4.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM7.3 0h1.4v3H7.3zM7.3 13h1.4v3H7.3zM0 7.3h3v1.4H0zM13 7.3h3v1.4h-3z\
             M2.8 1.8l2.1 2.1-1 1-2.1-2.1zM12.1 11.1l2.1 2.1-1 1-2.1-2.1zM13.2 1.8l1 1-2.1 2.1-1-1zM3.9 11.1l1 1-2.1 2.1-1-1z"
        }
        Theme::Dark => "M6 1.2A7 7 0 1 0 14.8 10 6 6 0 0 1 6 1.2z",
    };
    let label = move || format!("Theme: {}. Change it", theme.get().word());
    view! {
        <button type="button" class="icon" data-testid="theme" aria-label=label title=label on:click=move |_| session.set_theme(theme.get().next())>
            <svg viewBox="0 0 16 16" aria-hidden="true">
                <path d=sign />
            </svg>
        </button>
    }
}

#[component]
fn Progress(session: Session) -> impl IntoView {
    let run = session.run;
    let progress = run.progress;
    let step = Memo::new(move |_| progress.with(|progress| progress.step));
    let steps = Memo::new(move |_| progress.with(|progress| progress.steps));
    let pace = Memo::new(move |_| {
        let (batch, rate) = (session.address.with(|address| address.config.batch) as f64, progress.with(|progress| progress.rate));
        let wanted = f64::from(session.speed.get().steps_per_second());
        if wanted > 0.0 { wanted.min(rate / batch) } else { rate / batch }
    });
    let figures = move || {
        if let Some(reading) = run.reading.get() {
            return text::reading(reading);
        }
        if run.phase.get() != Phase::Playing || progress.with(|progress| progress.rate) <= 0.0 {
            return String::new();
        }
        let left = (steps.get().saturating_sub(step.get())) as f64 / pace.get();
        format!("{} samples/s · about {} left", text::rate(progress.with(|progress| progress.rate)), text::duration(left))
    };
    let words = move || match run.phase.get() {
        Phase::Finished if step.get() < steps.get() => "Finished early",
        phase => phase.words(),
    };
    let racing = move || {
        let names: Vec<_> = run.variants.get().into_iter().map(|variant| variant.name()).collect();
        match names.as_slice() {
            [] => String::new(),
            [one] => format!("{one} alone"),
            [first @ .., last] if first.len() < 4 => format!("{} and {last} side by side", first.join(", ")),
            many => format!("{} models side by side", many.len()),
        }
    };
    // While a file is read, how far that is.
    let done = move || match run.reading.get() {
        Some(Reading { bytes, of: Some(of), .. }) => (bytes, of),
        _ => (step.get(), steps.get()),
    };
    view! {
        <div class="progress">
            <progress aria-label="Progress of the run" max=move || done().1.max(1).to_string() value=move || done().0.to_string()></progress>
            <p>
                <strong data-testid="phase">{words}</strong>
                <span>
                    "step "
                    <b data-testid="step-count">{move || step.get().to_string()}</b>
                    {move || format!(" of {}", text::count(steps.get()))}
                </span>
                <Origin session />
                <span class="optional">{racing}</span>
                <span>{figures}</span>
            </p>
            <LookBack session />
        </div>
    }
}

/// Whether what moves is recorded, and that it no longer is.
#[component]
fn Origin(session: Session) -> impl IntoView {
    let run = session.run;
    let branch = Memo::new(move |_| {
        let at = session.branched_at();
        (at, run.progress.with(|progress| Some(progress.step) == at) && !session.plays())
    });
    let words = move || match (run.recorded.get(), run.took_over.get()) {
        (Some(About { made, commit, command }), _) => {
            let title = format!("Made on {made} by `{command}` of commit {commit}, with the settings that the page opens with.");
            let text = format!("Recorded run of {made} (commit {commit}). The live one takes over at its first step.");
            Some(view! { <span class="recorded" data-testid="recorded" title=title>{text}</span> }.into_any())
        }
        _ if branch.get().0.is_some() => {
            let (step, waits) = branch.get();
            let step = text::count(step.unwrap_or_default());
            let text = match waits {
                true => format!("Branched at step {step}. Change a setting that acts from here on, then play."),
                false => format!("Branched at step {step}."),
            };
            Some(view! { <span data-testid="branched">{text}</span> }.into_any())
        }
        (None, true) => {
            Some(view! { <span data-testid="took-over">"Live: this device trains, and the recorded run is over."</span> }.into_any())
        }
        (None, false) => None,
    };
    view! { <span role="status">{words}</span> }
}

/// A slider over the steps that have been; the buttons at its end lead back to the present, and into another future.
#[component]
fn LookBack(session: Session) -> impl IntoView {
    let run = session.run;
    let now = Memo::new(move |_| run.progress.with(|progress| progress.step));
    let at = move || run.past.get().map_or(now.get(), |past| past.min(now.get()));
    let look = move |event| {
        if let Ok(step) = event_target_value(&event).parse::<u64>() {
            run.look_back((step < now.get_untracked()).then_some(step));
        }
    };
    let words = move || match run.past.get() {
        Some(past) => format!("as it stood at step {}", text::count(past)),
        None => "now".into(),
    };
    let mark = Memo::new(move |_| run.mark());
    let from = move || match mark.get() {
        Some(step) => format!("A new run that goes on from step {}, with this one laid over it", text::count(step)),
        None => "There is nothing to branch from at or before this step: a run leaves marks on its way".into(),
    };
    view! {
        <div class="look-back">
            <label>
                <span>"Look back"</span>
                <input
                    type="range"
                    min="0"
                    step="1"
                    data-testid="look-back"
                    max=move || now.get().to_string()
                    prop:value=move || at().to_string()
                    aria-valuetext=words
                    disabled=move || now.get() == 0
                    on:input=look
                />
            </label>
            <b data-testid="shown-step">{words}</b>
            <button
                type="button"
                class="small"
                data-testid="live"
                disabled=move || run.past.with(Option::is_none)
                on:click=move |_| run.look_back(None)
            >
                "Live"
            </button>
            <button
                type="button"
                class="small"
                data-testid="branch"
                title=from
                disabled=move || mark.get().is_none()
                on:click=move |_| session.branch()
            >
                "Branch here"
            </button>
        </div>
    }
}

/// The keys, except where the person is typing or a button has the focus that Space would press anyway.
fn listen(session: Session, help: HelpDialog) {
    let keys = window_event_listener(leptos::ev::keydown, move |event: KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() || help.is_open() || is_in(&event, &["INPUT", "SELECT", "TEXTAREA"]) {
            return;
        }
        match event.key().as_str() {
            " " if !is_in(&event, &["BUTTON", "SUMMARY", "A"]) => session.toggle(),
            "." => session.step(),
            "e" | "E" => session.finish(),
            "r" | "R" => session.reset(),
            "?" => help.open(),
            _ => return,
        }
        event.prevent_default();
    });
    on_cleanup(move || keys.remove());
}

fn is_in(event: &KeyboardEvent, tags: &[&str]) -> bool {
    let element = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
    element.is_some_and(|element| tags.contains(&element.tag_name().as_str()))
}
