//! Where the rows come from: the badge in the bar, where others can be asked for.

use duia::data::{DataReport, Origin};
use leptos::prelude::*;
use web_sys::HtmlSelectElement;

use crate::card::Card;
use crate::session::Session;

fn title(origin: Origin) -> &'static str {
    match origin {
        Origin::Synthetic => "Synthetic stream",
        Origin::Sample => "Real subset",
        Origin::File => "Your file",
    }
}

/// For the badge: the bar has little room.
fn short(origin: Origin) -> &'static str {
    match origin {
        Origin::Synthetic => "Synthetic",
        Origin::Sample => "Real subset",
        Origin::File => "Your file",
    }
}

/// What kind of rows they are, in words.
pub fn explanation(origin: Origin) -> &'static str {
    match origin {
        Origin::Synthetic => {
            "Made up by a seeded generator in the shape of a shop's click stream, with planted groups of users and items. \
             No row is Taobao's. On a stream this short a lift need not show: the interval says what may be concluded."
        }
        Origin::Sample => {
            "Whole users of a real file, prepared with `duia sample` and read from beside this page. A few hundred users are \
             little evidence: the interval says what may be concluded."
        }
        Origin::File => "Rows of a file that was read on this device and not uploaded. The interval says what may be concluded from them.",
    }
}

/// Where the rows come from in a word, and on a closer look which; others can be asked for there.
#[component]
pub fn DataBadge() -> impl IntoView {
    let session = expect_context::<Session>();
    let run = session.run;
    let origin = Memo::new(move |_| run.data.with(|data| data.as_ref().map(|data| data.origin)));
    let word = Signal::derive(move || origin.get().map_or("…", short).to_string());
    let wants_sample = Memo::new(move |_| session.address.with(|address| address.sample));
    let file = Memo::new(move |_| session.address.with(|address| address.file.as_ref().map(|file| file.name.clone())));
    let none_here = move || wants_sample.get() && file.with(Option::is_none) && origin.get() == Some(Origin::Synthetic);
    let changed = move |event: web_sys::Event| match event_target_value(&event).as_str() {
        "own" => {
            if !session.return_to_own() {
                // Nothing has changed yet.
                let word = if wants_sample.get_untracked() { "sample" } else { "synthetic" };
                event_target::<HtmlSelectElement>(&event).set_value(word);
            }
        }
        subset => session.set_sample(subset == "sample"),
    };
    view! {
        <Card kind="Data" name="data-badge" value=word>
            {move || origin.get().map(|origin| view! { <span>{explanation(origin)}</span> })}
            {move || none_here().then(|| view! { <span>"There is no usable subset of real rows beside this page. " <code>"duia sample"</code> " makes one."</span> })}
            <label>
                <span>"Rows from"</span>
                <select data-testid="data" on:change=changed>
                    <option value="sample" selected=move || file.with(Option::is_none) && wants_sample.get()>
                        "a subset of real rows, if there is one"
                    </option>
                    <option value="synthetic" selected=move || file.with(Option::is_none) && !wants_sample.get()>
                        "the synthetic stream"
                    </option>
                    <option value="own" selected=move || file.with(Option::is_some)>
                        {move || file.get().unwrap_or_else(|| "a file of your own …".into())}
                    </option>
                </select>
            </label>
            <button type="button" on:click=to_panel>
                "All figures of the data"
            </button>
        </Card>
    }
}

fn to_panel(_: web_sys::MouseEvent) {
    if let Some(panel) = document().get_element_by_id("data-title") {
        panel.scroll_into_view();
    }
}

/// The title and the name, or the title alone where the name begins with it.
pub fn full_name(data: &DataReport) -> String {
    let title = title(data.origin);
    match data.name.get(..title.len()).filter(|begin| begin.eq_ignore_ascii_case(title)) {
        Some(_) => format!("{title}{}", &data.name[title.len()..]),
        None => format!("{title}: {}", data.name),
    }
}
