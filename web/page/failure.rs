//! What the page says when something breaks: what happened, what is still there and the button for the next thing to do.

use duia::data::Origin;
use duia::wire::{DeviceChoice, Failure, Remedy};
use leptos::prelude::*;

use crate::address::FileName;
use crate::own::Chooser;
use crate::session::{Session, Silence};
use crate::text;

/// The banners: a failure, a silent trainer, what was given and could not be used.
#[component]
pub fn Banners() -> impl IntoView {
    let session = expect_context::<Session>();
    let failure = move || {
        session.run.failure.get().map(|(Failure { what, detail, next }, remedy)| {
            // Where a setting or a file is at fault, the detail is the sentence that names it.
            let is_told = matches!(remedy, Remedy::Defaults | Remedy::UseSynthetic | Remedy::ChooseRows | Remedy::LowerLearningRate);
            let kept = session.run.progress.with_untracked(|progress| progress.step > 0);
            let kept = kept.then_some(" The charts and the field up to there are still true and stay. ");
            view! {
                <div class="banner bad" role="alert" data-testid="failure">
                    <p>
                        <strong>{what}</strong>
                        {kept.unwrap_or(" ")}
                        {next}
                    </p>
                    <details open=is_told>
                        <summary>"Detail"</summary>
                        <code>{detail}</code>
                    </details>
                    {controls(session, &untrack(|| next_steps(session, remedy)))}
                </div>
            }
        })
    };
    let silence = move || {
        session.silence.get().filter(|_| session.run.failure.with(Option::is_none)).map(|silence| {
            let (what, next, remedies) = match silence {
                Silence::Program(seconds) => (
                    format!("The trainer's program has not arrived for {seconds} s."),
                    " It is some megabytes long; training begins by itself once it is here. Reload if it never comes.",
                    vec![Remedy::Reload],
                ),
                Silence::Trainer(seconds) => (
                    format!("The trainer has not answered for {seconds} s."),
                    " It may have been ended by the browser, or the device is very slow. The charts stay; if it answers, this goes away.",
                    untrack(|| next_steps(session, Remedy::UseCpu)),
                ),
            };
            view! {
                <div class="banner bad" role="alert" data-testid="failure">
                    <p>
                        <strong>{what}</strong>
                        {next}
                    </p>
                    {controls(session, &remedies)}
                </div>
            }
        })
    };
    let refused = move || {
        session.run.refused.get().map(|failure| {
            view! {
                <div class="banner" role="alert" data-testid="refused">
                    <p>
                        <strong>{failure.what}</strong>
                        " "
                        {failure.next}
                    </p>
                    <p>{failure.detail}</p>
                    <button type="button" on:click=move |_| session.run.refused.set(None)>"Understood"</button>
                </div>
            }
        })
    };
    let missing = Memo::new(move |_| session.missing_file());
    let missing = move || {
        missing.get().map(|FileName { name, bytes }| {
            let words = format!("Choose {name}");
            view! {
                <div class="banner" role="status" data-testid="missing-file">
                    <p>
                        "This link was made for the file " <strong translate="no">{name}</strong>
                        {format!(" of {} bytes, which is not in it: files stay with those who have them. Until you choose it, ", text::count(bytes))}
                        "other rows train."
                    </p>
                    <Chooser own=session.own words id="missing-file-input" />
                </div>
            }
        })
    };
    let notices = move || {
        let notices = session.notices.get();
        (!notices.is_empty()).then(|| {
            let items: Vec<_> = notices.into_iter().map(|notice| view! { <li>{notice}</li> }).collect();
            view! {
                <div class="banner" role="status" data-testid="notice">
                    <p>"These values could not be used:"</p>
                    <ul>{items}</ul>
                    <button type="button" on:click=move |_| session.notices.set(Vec::new())>"Understood"</button>
                </div>
            }
        })
    };
    view! {
        {failure}
        {silence}
        {refused}
        {missing}
        {notices}
    }
}

/// The next steps after a failure, the likeliest first: none that would change nothing.
fn next_steps(session: Session, likeliest: Remedy) -> Vec<Remedy> {
    // The device on show is that of the run before, where this one asked for a GPU and found none.
    let asked_for_gpu = session.address.with(|address| address.device == DeviceChoice::Gpu);
    let on_cpu = !asked_for_gpu && session.run.device.with(|device| device.as_ref().is_some_and(|device| device.backend == "CPU"));
    let on_sample = session.run.data.with(|data| data.as_ref().is_some_and(|data| data.origin == Origin::Sample));
    let is_own = session.address.with(|address| address.file.is_some());
    let is_default = session.address.with(|address| address.is_default());
    let mut steps = vec![likeliest, Remedy::StartAgain];
    if matches!(likeliest, Remedy::Defaults | Remedy::ChooseRows) {
        steps.push(Remedy::UseSynthetic);
    }
    steps.push(Remedy::Defaults);
    let mut offered = Vec::new();
    for step in steps {
        let changes_something = match step {
            Remedy::UseCpu => !on_cpu,
            Remedy::UseSynthetic => on_sample || is_own,
            Remedy::Defaults => !is_default,
            Remedy::StartAgain | Remedy::LowerLearningRate | Remedy::Reload | Remedy::ChooseRows => true,
        };
        if changes_something && !offered.contains(&step) {
            offered.push(step);
        }
    }
    offered
}

/// A button for each step, the first in front.
fn controls(session: Session, steps: &[Remedy]) -> impl IntoView + use<> {
    let button = |(at, &step): (usize, &Remedy)| {
        let (name, words) = match step {
            Remedy::StartAgain => ("restart", "Start again"),
            Remedy::UseCpu => ("use-cpu", "Train on the CPU"),
            Remedy::UseSynthetic => ("use-synthetic", "Use synthetic data"),
            Remedy::Defaults => ("back-to-defaults", "Back to defaults"),
            Remedy::LowerLearningRate => ("lower-rate", "Lower the learning rate"),
            Remedy::Reload => ("reload", "Reload"),
            Remedy::ChooseRows => ("choose-rows", "See the file and its columns"),
        };
        view! {
            <button type="button" class:primary=at == 0 data-testid=name on:click=move |_| session.apply(step)>
                {words}
            </button>
        }
    };
    steps.iter().enumerate().map(button).collect::<Vec<_>>()
}

/// Makes a panic of the page itself a sentence in the page, besides the stack in the console.
pub fn say_panics() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        let text =
            format!("The page itself failed and no longer follows the trainer ({info}). What is drawn stays. Reload to start again.");
        let place = web_sys::window().and_then(|window| window.document()).and_then(|document| document.get_element_by_id("page-failure"));
        if let Some(place) = place {
            if let Some(words) = place.first_element_child() {
                words.set_text_content(Some(&text));
            }
            let _ = place.remove_attribute("hidden");
        }
    }));
}
