//! What a person may take along: the link, every series as CSV, the run as JSON, and each chart as a picture.

use duia::data::Side;
use duia::replay::{Made, Replay};
use js_sys::Array;
use leptos::prelude::*;
use serde::Serialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, HtmlElement, Url};

use super::{Panel, Place};
use crate::address::Language;
use crate::beside;
use crate::chart::export;
use crate::contest::Group;
use crate::look::Look;
use crate::run::Run;
use crate::session::Session;

/// Its row.
pub const PANEL: Panel =
    Panel { key: "keep", title: "Take it with you", place: Place::Below, body: |session| view! { <Keep session /> }.into_any() };

#[component]
fn Keep(session: Session) -> impl IntoView {
    let run = session.run;
    let language = expect_context::<Look>().language;
    let said = RwSignal::new(String::new());
    // Its figures are not of this device.
    let is_recorded = move || run.recorded.with(Option::is_some);
    let chart = RwSignal::new(String::new());
    // The charts are on the list once all panels are mounted; more come with a race of other losses.
    let titles = RwSignal::new(Vec::<String>::new());
    let look = move || titles.set(export::titles());
    Effect::new(move |_| {
        run.terms.track();
        run.phase.track();
        request_animation_frame(look);
    });
    let chosen = move || {
        let title = chart.get_untracked();
        let title = if title.is_empty() { export::titles().into_iter().next()? } else { title };
        export::drawn(&title).map(|drawn| (title, drawn))
    };
    let share = move |_| {
        let link = window().location().href().unwrap_or_default();
        let is_branch = !session.course().is_empty();
        let has_file = session.address.with_untracked(|address| address.file.is_some());
        wasm_bindgen_futures::spawn_local(async move {
            said.set(match copy(&link).await {
                true if is_branch => "The link is on the clipboard: it holds these settings from the start, and not the branch.".into(),
                true if has_file => "The link is on the clipboard: it holds the whole experiment but for the rows of your file.".into(),
                true => "The link is on the clipboard: it holds the whole experiment.".into(),
                false => format!("The browser does not let the page copy. This is the link: {link}"),
            });
        });
    };
    let tell = move |what: &'static str, done: bool| {
        said.set(if done { format!("{what} is among your downloads.") } else { format!("{what} could not be made.") });
    };
    let picture = move |_| {
        let saved = chosen().and_then(|(title, drawn)| {
            let url = drawn.canvas?.to_data_url().ok()?;
            save_url(&format!("{}.png", file_name(&title)), &url)
        });
        tell("The picture", saved.is_some());
    };
    let vector = move |_| {
        let saved = chosen().and_then(|(title, drawn)| save(&format!("{}.svg", file_name(&title)), &export::svg(&title, &drawn)?));
        tell("The drawing", saved.is_some());
    };
    view! {
        <p class="how">"Everything stays on this device until you send it somewhere."</p>
        <div class="keep-row">
            <button type="button" data-testid="share" on:click=share>"Copy the link"</button>
            <button
                type="button"
                data-testid="save-csv"
                disabled=is_recorded
                on:click=move |_| tell("The table", save("duia-run.csv", &table(run)).is_some())
            >
                "All series as CSV"
            </button>
            <button
                type="button"
                data-testid="save-run"
                disabled=is_recorded
                on:click=move |_| tell("The run", record(session).and_then(|text| save("run.json", &text)).is_some())
            >
                "The run as JSON"
            </button>
            <button
                type="button"
                data-testid="save-html"
                disabled=is_recorded
                on:click=move |_| {
                    wasm_bindgen_futures::spawn_local(async move {
                        let saved = match texts(language.get_untracked()).await {
                            Ok(texts) => replay(session, texts.as_deref()).and_then(|text| save("duia-run.html", &text)),
                            Err(_) => None,
                        };
                        tell("The replay", saved.is_some());
                    })
                }
            >
                "Replay as HTML"
            </button>
            <label>
                <span>"Chart"</span>
                <select data-testid="chart" on:change=move |event| chart.set(event_target_value(&event))>
                    {move || titles.get().into_iter().map(|title| view! { <option value=title.clone()>{title.clone()}</option> }).collect::<Vec<_>>()}
                </select>
            </label>
            <button type="button" data-testid="save-svg" on:click=vector>"SVG"</button>
            <button type="button" data-testid="save-png" on:click=picture>"PNG"</button>
        </div>
        <p class="how" role="status" data-testid="kept">
            {move || said.get()}
        </p>
    }
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["navigator", "clipboard"], js_name = writeText, catch)]
    fn write_text(text: &str) -> Result<js_sys::Promise, JsValue>;
}

async fn copy(text: &str) -> bool {
    match write_text(text) {
        Ok(written) => JsFuture::from(written).await.is_ok(),
        Err(_) => false,
    }
}

/// Gives a file to the browser's downloads.
fn save(name: &str, text: &str) -> Option<()> {
    let blob = Blob::new_with_str_sequence(&Array::of1(&text.into())).ok()?;
    let url = Url::create_object_url_with_blob(&blob).ok()?;
    save_url(name, &url)
}

fn save_url(name: &str, url: &str) -> Option<()> {
    let link = document().create_element("a").ok()?.dyn_into::<HtmlElement>().ok()?;
    link.set_attribute("href", url).ok()?;
    link.set_attribute("download", name).ok()?;
    document().body()?.append_child(&link).ok()?;
    link.click();
    link.remove();
    Some(())
}

/// A title as the name of a file.
fn file_name(title: &str) -> String {
    let words: Vec<String> =
        title.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    words.join("-")
}

/// Every series of the run, a value a row: step, what, of which model, of whom, value, half of its 95 % interval.
fn table(run: Run) -> String {
    let mut text = String::from("step,measured_on,figure,model,group,value,half_width_95\n");
    let names: Vec<&'static str> = run.variants.get_untracked().into_iter().map(|variant| variant.key()).collect();
    let mut row = |step: u64, on: &str, figure: &str, model: &str, group: &str, value: f64, half: Option<f64>| {
        if value.is_finite() {
            let half = half.map(|half| half.to_string()).unwrap_or_default();
            text.push_str(&format!("{step},{on},{figure},{model},{group},{value},{half}\n"));
        }
    };
    run.evaluations.with_untracked(|series| {
        for evaluation in series.iter() {
            let on = match evaluation.kind {
                duia::metrics::TestKind::ProbeSet => "probe-set",
                duia::metrics::TestKind::Whole => "whole-test",
                duia::metrics::TestKind::Streaming => "streaming-test",
            };
            for (name, score) in names.iter().zip(&evaluation.scores) {
                for group in Group::ALL {
                    let auc = group.of(&score.auc);
                    row(evaluation.step, on, "auc", name, group.key(), auc.value, Some(crate::contest::WIDTH_95 * auc.standard_error));
                    if let Some(lift) = score.lift.as_ref().map(|lift| group.of(lift)) {
                        row(
                            evaluation.step,
                            on,
                            "lift",
                            name,
                            group.key(),
                            lift.value,
                            Some(crate::contest::WIDTH_95 * lift.standard_error),
                        );
                    }
                }
            }
        }
    });
    for ((variant, side), series) in run.health_untracked() {
        let side = if side == Side::Users { "users" } else { "items" };
        for health in series.iter() {
            let figures = [
                ("hit-rate-1", health.hit_rate_1),
                ("hit-rate-2", health.hit_rate_2),
                ("perplexity-1", health.perplexity_1),
                ("perplexity-2", health.perplexity_2),
                ("relative-error", health.relative_error),
                ("top-share", health.top_share),
                ("purity", health.purity.unwrap_or(f64::NAN)),
                ("nmi", health.nmi.unwrap_or(f64::NAN)),
            ];
            figures.into_iter().for_each(|(figure, value)| row(health.step, "probe-set", figure, variant.key(), side, value, None));
            row(health.step, "probe-set", "stopped", variant.key(), "low", health.stopped.low, None);
            row(health.step, "probe-set", "stopped", variant.key(), "high", health.stopped.high, None);
        }
    }
    let terms = run.terms.get_untracked();
    run.losses.with_untracked(|series| {
        for (step, all) in series.iter() {
            for (name, losses) in names.iter().zip(all) {
                for term in &terms {
                    if let Some(value) = term.value(losses) {
                        row(*step, "batch", &format!("loss {}", term.title).replace(',', ""), name, "all", value.into(), None);
                    }
                }
            }
        }
    });
    text
}

/// The texts of a language, which go into a replay; none for English.
async fn texts(language: Language) -> Result<Option<String>, String> {
    match language {
        Language::System | Language::English => Ok(None),
        Language::Chinese => beside::text(&format!("assets/{}.json", language.word())).await.map(Some),
    }
}

/// The run as one file that plays it again, offline, in the language of these texts.
fn replay(session: Session, texts: Option<&str>) -> Option<String> {
    let run = session.run;
    let config = session.address.with_untracked(|address| address.config.clone());
    let data = run.data.get_untracked();
    let code = document().document_element().and_then(|root| root.get_attribute("lang")).unwrap_or_default();
    let course = session.course();
    let made = Made {
        config: &config,
        course: &course,
        day: String::from(js_sys::Date::new_0().to_iso_string()).chars().take("2026-11-26".len()).collect(),
        command: if course.is_empty() { duia::replay::command(&config, data.as_ref()) } else { String::new() },
        link: window().location().href().unwrap_or_default(),
        language: texts.map(|texts| duia::replay::Language { code: &code, texts }),
    };
    let replay = Replay {
        device: run.device.get_untracked(),
        data,
        variants: run.variants.get_untracked(),
        terms: run.terms.get_untracked(),
        steps: run.progress.with_untracked(|progress| progress.steps),
        step: run.progress.with_untracked(|progress| progress.step),
        evaluations: run.evaluations.with_untracked(|series| series.iter().cloned().collect()),
        clusters: run.health_untracked().iter().flat_map(|(_, series)| series.iter().cloned()).collect(),
        losses: run.losses.with_untracked(|series| series.iter().cloned().collect()),
        pictures: run.pictures(),
        failure: run.failure.with_untracked(|failure| failure.as_ref().map(|(failure, _)| failure.clone())),
    };
    replay.page(&made).ok()
}

/// The run as a file: its link, its settings, where it ran, and its figures.
fn record(session: Session) -> Option<String> {
    #[derive(Serialize)]
    struct Record {
        link: String,
        config: duia::config::Config,
        /// The step at which it branched, the last time, and the configurations before, each with the step until which it held.
        branched_at: Option<u64>,
        before: Vec<Until>,
        device: Option<duia::wire::DeviceReport>,
        data: Option<duia::data::DataReport>,
        models: Vec<duia::variants::Variant>,
        evaluations: Vec<duia::metrics::Evaluation>,
    }
    #[derive(Serialize)]
    struct Until {
        until_step: u64,
        config: duia::config::Config,
    }
    let (run, course) = (session.run, session.course());
    let record = Record {
        branched_at: course.last().map(|(step, _)| *step),
        before: course.into_iter().map(|(until_step, config)| Until { until_step, config }).collect(),
        link: window().location().href().unwrap_or_default(),
        config: session.address.with_untracked(|address| address.config.clone()),
        device: run.device.get_untracked(),
        data: run.data.get_untracked(),
        models: run.variants.get_untracked(),
        evaluations: run.evaluations.with_untracked(|series| series.iter().cloned().collect()),
    };
    serde_json::to_string_pretty(&record).ok()
}
