//! What the page says when something breaks: what happened, what is still there and the button for the next thing to do.

use leptos::prelude::*;

use crate::session::Session;

/// The banners: a failure, a silent trainer, and what in the link could not be used.
#[component]
pub fn Banners() -> impl IntoView {
    let session = expect_context::<Session>();
    let restart = move || view! { <Restart session /> };
    let failure = move || {
        session.run.failure.get().map(|failure| {
            view! {
                <div class="banner bad" role="alert" data-testid="failure">
                    <p>
                        <strong>{failure.what}</strong>
                        " The charts and the field above what happened are still true and stay. "
                        {failure.next}
                    </p>
                    <details>
                        <summary>"Technical detail"</summary>
                        <code>{failure.detail}</code>
                    </details>
                    {restart()}
                </div>
            }
        })
    };
    let silence = move || {
        session.silence.get().filter(|_| session.run.failure.with(Option::is_none)).map(|seconds| {
            view! {
                <div class="banner bad" role="alert" data-testid="failure">
                    <p>
                        <strong>{format!("The trainer has not answered for {seconds} s.")}</strong>
                        " It may have been ended by the browser, or the device is very slow. The charts stay; if it answers, this goes away."
                    </p>
                    {restart()}
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
                        " The run goes on as it was. "
                        {failure.next}
                    </p>
                    <p>{failure.detail}</p>
                    <button type="button" on:click=move |_| session.run.refused.set(None)>"Understood"</button>
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
                    <p>"Something in the link could not be used:"</p>
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
        {notices}
    }
}

#[component]
fn Restart(session: Session) -> impl IntoView {
    view! {
        <button type="button" class="primary" data-testid="restart" on:click=move |_| session.revive()>
            "Start again"
        </button>
    }
}

/// Makes a panic of the page itself a sentence in the page, besides the stack in the console.
pub fn say_panics() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        let text =
            format!("The page itself failed and no longer follows the trainer ({info}). What is drawn stays. Reload to start again.");
        let place = web_sys::window().and_then(|window| window.document()).and_then(|document| document.get_element_by_id("page-failure"));
        if let Some(place) = place {
            place.set_text_content(Some(&text));
            let _ = place.remove_attribute("hidden");
        }
    }));
}
