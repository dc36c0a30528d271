//! A spoken summary now and then, for those who do not see the charts move.

use std::time::Duration;

use leptos::prelude::*;

use crate::contest;
use crate::run::Phase;
use crate::session::Session;

/// Often enough to follow, seldom enough to bear.
const PAUSE: Duration = Duration::from_secs(20);

/// A line that only screen readers have.
#[component]
pub fn Speech() -> impl IntoView {
    let session = expect_context::<Session>();
    let said = RwSignal::new(String::new());
    let say = move || {
        let progress = session.run.progress.get_untracked();
        said.set(format!("Step {} of {}. {}", progress.step, progress.steps, untrack(|| contest::spoken(session.run))));
    };
    // Without a timer nothing is said on the way; changes of state still are.
    let _ = set_interval_with_handle(
        move || {
            let is_live = session.run.recorded.with_untracked(Option::is_none) && session.run.past.with_untracked(Option::is_none);
            if is_live && session.run.phase.get_untracked() == Phase::Playing {
                say();
            }
        },
        PAUSE,
    );
    Effect::new(move |_| {
        let phase = session.run.phase.get();
        match phase {
            Phase::Finished => say(),
            _ => said.set(phase.words().into()),
        }
    });
    view! {
        <p class="spoken" aria-live="polite">
            {move || said.get()}
        </p>
    }
}
