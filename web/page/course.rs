//! A lesson on the page: it asks before a run, runs to an event, and answers by what the run showed.

use std::sync::Arc;

use duia::lesson::{self, Facts, Lesson, Step, Until};
use duia::metrics::collapse;
use js_sys::Reflect;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, HtmlInputElement};

use crate::address::Language;
use crate::beside;
use crate::contest::{Group, finding};
use crate::own;
use crate::run::Phase;
use crate::session::Session;

/// The lessons that lie beside the page, in `lessons/`, with their titles.
pub const SHIPPED: [(&str, &str); 6] = [
    ("cluster", "What a cluster gives"),
    ("collapse", "Collapse, and what prevents it"),
    ("window", "Short and long histories"),
    ("levels", "Two levels, and who is hit"),
    ("gradient", "Who may receive whose gradient"),
    ("real", "Is it real?"),
];

/// The lesson of the page, if any, and where a person is in it.
#[derive(Clone, Copy)]
pub struct Course {
    session: Session,
    /// The language to tell it in.
    language: RwSignal<Language>,
    /// The panels that a lesson may point to.
    panels: fn() -> Vec<&'static str>,
    lesson: RwSignal<Option<Arc<Lesson>>>,
    /// Its name in the link; none of a file that a person opened.
    name: RwSignal<Option<String>>,
    at: RwSignal<usize>,
    /// What the person said, by outcome.
    said: RwSignal<Option<String>>,
    /// What the run came to; the inner is none where it shows too little.
    found: RwSignal<Option<Option<&'static str>>>,
    /// What each step showed.
    facts: RwSignal<Vec<Option<Facts>>>,
    /// Why a lesson could not be opened.
    fault: RwSignal<Option<String>>,
}

impl Course {
    /// The lesson that the link names, and the watch over its runs. Lessons may point to these panels.
    pub fn open(session: Session, language: RwSignal<Language>, panels: fn() -> Vec<&'static str>) -> Self {
        let course = Self {
            session,
            language,
            panels,
            lesson: RwSignal::new(None),
            name: RwSignal::new(None),
            at: RwSignal::new(0),
            said: RwSignal::new(None),
            found: RwSignal::new(None),
            facts: RwSignal::new(Vec::new()),
            fault: RwSignal::new(None),
        };
        let linked = Memo::new(move |_| session.address.with(|address| address.lesson.clone()));
        // Whoever goes back in the browser goes back in the lesson.
        Effect::new(move |_| match linked.get() {
            Some((name, step)) if course.name.get_untracked().as_ref() != Some(&name) => course.fetch(name, step),
            Some((_, step)) if course.at.get_untracked() != step => course.show(step),
            None if course.name.get_untracked().is_some() => course.close(),
            Some(_) | None => {}
        });
        Effect::new(move |_| {
            language.track();
            course.tell_anew();
        });
        Effect::new(move |_| {
            if course.said.with(Option::is_some) && course.found.with(Option::is_none) && course.has_come() {
                untrack(|| course.reveal());
            }
        });
        course
    }

    /// The panel that the present step points to, once its answer is known.
    pub fn points_to(self, panel: &str) -> bool {
        self.found.with(Option::is_some) && self.with_step(|step| step.highlight.as_deref() == Some(panel)).unwrap_or_default()
    }

    fn with_step<T>(self, read: impl FnOnce(&Step) -> T) -> Option<T> {
        self.lesson.with(|lesson| lesson.as_ref().and_then(|lesson| lesson.steps.get(self.at.get()).map(read)))
    }

    /// Fetches a lesson of this name from beside the page.
    fn fetch(self, name: String, step: usize) {
        wasm_bindgen_futures::spawn_local(async move {
            let language = self.language.get_untracked();
            match told(&name, language).await {
                Ok((path, text)) => {
                    self.take(&text, &path, Some(name), step);
                    if self.language.get_untracked() != language {
                        self.tell_anew();
                    }
                }
                Err(why) => {
                    self.fault.set(Some(format!("The lesson `{name}` could not be opened: {why}.")));
                    // The page waited for it.
                    if self.session.address.with_untracked(|address| address.autoplay) {
                        self.session.play();
                    }
                }
            }
        });
    }

    /// The lesson that is open in another language: where a person is in it, what they said and what was found stay.
    fn tell_anew(self) {
        let Some(name) = self.name.get_untracked() else { return };
        wasm_bindgen_futures::spawn_local(async move {
            let Ok((_, text)) = told(&name, self.language.get_untracked()).await else { return };
            let Ok(lesson) = lesson::read(&text, &(self.panels)()) else { return };
            let steps = self.lesson.with_untracked(|old| old.as_ref().map(|old| old.steps.len()));
            if self.name.get_untracked() == Some(name) && steps == Some(lesson.steps.len()) {
                self.lesson.set(Some(Arc::new(lesson)));
            }
        });
    }

    /// Opens a file that a person chose or dropped.
    pub fn open_file(self, file: File) {
        wasm_bindgen_futures::spawn_local(async move {
            let name = file.name();
            match JsFuture::from(file.text()).await.ok().and_then(|text| text.as_string()) {
                Some(text) => self.take(&text, &name, None, 0),
                None => self.fault.set(Some(format!("{name} could not be read as text."))),
            }
        });
    }

    fn take(self, text: &str, file: &str, name: Option<String>, step: usize) {
        match lesson::read(text, &(self.panels)()) {
            Ok(lesson) => {
                let last = lesson.steps.len() - 1;
                self.fault.set(None);
                self.facts.set(vec![None; lesson.steps.len()]);
                self.name.set(name);
                self.lesson.set(Some(Arc::new(lesson)));
                self.enter(step.min(last));
            }
            Err(error) => self.fault.set(Some(format!("{file}, {error}."))),
        }
    }

    /// Goes to a step: its configuration, from the start, waiting for what the person says.
    fn enter(self, at: usize) {
        self.show(at);
        if let Some(config) = untrack(|| self.with_step(|step| step.config.clone())) {
            self.session.enter(config, self.name.get_untracked().map(|name| (name, at)));
        }
    }

    /// Shows a step that nobody has answered yet; one that there is not is the last.
    fn show(self, at: usize) {
        let last = self.lesson.with_untracked(|lesson| lesson.as_ref().map_or(0, |lesson| lesson.steps.len() - 1));
        self.at.set(at.min(last));
        self.said.set(None);
        self.found.set(None);
    }

    /// Leaves the lesson; the run stays.
    fn leave(self) {
        self.close();
        self.session.leave_lesson();
    }

    fn close(self) {
        self.lesson.set(None);
        self.name.set(None);
        self.fault.set(None);
    }

    fn say(self, outcome: String) {
        self.said.set(Some(outcome));
        self.session.play();
    }

    /// Whether the event has come that the step runs to.
    fn has_come(self) -> bool {
        let run = self.session.run;
        if run.phase.get() == Phase::Finished {
            return true;
        }
        match self.with_step(|step| step.until).unwrap_or(Until::End) {
            Until::End => false,
            Until::Step(step) => run.progress.with(|progress| progress.step >= step) && finding(run, Group::Low).is_some(),
            Until::FirstFill => run.reseeding.with(Option::is_some),
            Until::FirstReseed => run.reborn.get() > 0,
            Until::Collapse => self.collapsed(),
        }
    }

    fn collapsed(self) -> bool {
        let config = self.session.address.with(|address| address.config.clone());
        self.session.run.with_health(|series| series.last().is_some_and(|health| collapse(health, &config).is_some()))
    }

    /// Stops the run and reads its answer.
    fn reveal(self) {
        let run = self.session.run;
        self.session.pause();
        run.look_back(None);
        let figure = |group| finding(run, group).map(|found| (found.value, 0.5 * (found.high - found.low)));
        let facts = Facts {
            quiet: figure(Group::Low),
            active: figure(Group::High),
            collapsed: self.collapsed(),
            hit_rates: run.with_health(|series| series.last().map(|health| [health.hit_rate_1, health.hit_rate_2])),
        };
        let at = self.at.get();
        let before = at.checked_sub(1).and_then(|before| self.facts.with(|all| all.get(before).copied().flatten()));
        self.facts.update(|all| {
            if let Some(place) = all.get_mut(at) {
                *place = Some(facts);
            }
        });
        self.found.set(Some(self.with_step(|step| step.measure.outcome(facts, before)).flatten()));
        if let Some(panel) = self.with_step(|step| step.highlight.clone()).flatten()
            && let Some(title) = document().get_element_by_id(&format!("{panel}-title"))
            && self.session.address.with(|address| address.present)
        {
            title.scroll_into_view();
        }
    }
}

/// The text of a lesson beside the page and its path, in English where there is none in the language.
async fn told(name: &str, language: Language) -> Result<(String, String), String> {
    if language == Language::Chinese {
        let path = format!("lessons/{}/{name}.md", language.word());
        if let Ok(text) = beside::text(&path).await {
            return Ok((path, text));
        }
    }
    let path = format!("lessons/{name}.md");
    beside::text(&path).await.map(|text| (path, text))
}

/// The lessons to choose from, and the one that is open.
#[component]
pub fn Lessons() -> impl IntoView {
    let course = expect_context::<Course>();
    let session = course.session;
    listen_to_drops(course);
    let choose = move |event: web_sys::Event| {
        let Some(input) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) else { return };
        if let Some(file) = input.files().and_then(|files| files.get(0)) {
            course.open_file(file);
        }
        // So that the same file can be chosen again.
        input.set_value("");
    };
    let choices = SHIPPED.map(|(name, title)| {
        view! {
            <button
                type="button"
                class="small"
                data-testid=format!("lesson-{name}")
                aria-pressed=move || course.name.with(|open| open.as_deref() == Some(name)).to_string()
                on:click=move |_| course.fetch(name.into(), 0)
            >
                {title}
            </button>
        }
    });
    view! {
        <section class="lessons" aria-label="Lessons">
            <div class="lesson-list" role="group" aria-label="Lessons: predict, run, explain">
                <span class="badge-kind">"Lessons"</span>
                {choices}
                <label class="file">
                    "Open a file …"
                    <input type="file" accept=".md,.txt" data-testid="lesson-file" on:change=choose />
                </label>
                <button
                    type="button"
                    class="small"
                    data-testid="present"
                    title="Large type, and notes for the one who presents"
                    aria-pressed=move || session.address.with(|address| address.present).to_string()
                    on:click=move |_| session.set_present(!session.address.with_untracked(|address| address.present))
                >
                    "Present"
                </button>
            </div>
            <div role="status">
                {move || {
                    course.fault.get().map(|fault| view! { <p class="warning" data-testid="lesson-fault">{fault}</p> })
                }}
            </div>
            {move || course.lesson.get().map(|lesson| view! { <Sheet course lesson /> })}
        </section>
    }
}

/// The step on show.
#[component]
fn Sheet(course: Course, lesson: Arc<Lesson>) -> impl IntoView {
    let steps = lesson.steps.len();
    let at = course.at;
    let session = course.session;
    let step = {
        let lesson = lesson.clone();
        move || lesson.steps[at.get().min(steps - 1)].clone()
    };
    let is_last = move || at.get() + 1 >= steps;
    let part = move |step: &Step| {
        let options: Vec<_> =
            step.options.iter().map(|(outcome, text)| view! { <Answer course outcome=outcome.clone() text=text.clone() /> }).collect();
        let step = step.clone();
        let result = move || result(course, &step);
        view! {
            <div class="answers" role="group" aria-label="Say what you expect, then it runs">
                {options}
            </div>
            <div role="status" data-testid="lesson-result">
                {result}
            </div>
        }
    };
    let (about, title) = (lesson.about.clone(), lesson.title.clone());
    let (heading, question, body, note) = (step.clone(), step.clone(), step.clone(), step);
    view! {
        <article class="sheet" data-testid="lesson">
            <div class="sheet-head">
                <h2>{title}</h2>
                <span class="how">{move || format!("step {} of {steps}: {}", at.get() + 1, heading().title)}</span>
                <span class="gap"></span>
                <button type="button" class="small" data-testid="lesson-back" disabled=move || at.get() == 0 on:click=move |_| course.enter(at.get_untracked() - 1)>
                    "Back"
                </button>
                <button type="button" class="small" data-testid="lesson-again" on:click=move |_| course.enter(at.get_untracked())>
                    "Again"
                </button>
                <button
                    type="button"
                    class="small"
                    data-testid="lesson-next"
                    disabled=is_last
                    on:click=move |_| course.enter(at.get_untracked() + 1)
                >
                    "Next"
                </button>
                <button type="button" class="small" data-testid="lesson-leave" on:click=move |_| course.leave()>
                    "Leave"
                </button>
            </div>
            {move || (at.get() == 0).then(|| view! { <p class="how">{about.clone()}</p> })}
            <p class="question">{move || question().question}</p>
            {move || part(&body())}
            {move || {
                let note = note().note;
                (session.address.with(|address| address.present) && !note.is_empty())
                    .then(|| view! { <p class="note" data-testid="lesson-note">{format!("Note: {note}")}</p> })
            }}
        </article>
    }
}

#[component]
fn Answer(course: Course, outcome: String, text: String) -> impl IntoView {
    let own = outcome.clone();
    let pressed = move || course.said.with(|said| said.as_ref() == Some(&own)).to_string();
    let id = format!("answer-{outcome}");
    view! {
        <button
            type="button"
            data-testid=id
            aria-pressed=pressed
            disabled=move || course.said.with(Option::is_some)
            on:click=move |_| course.say(outcome.clone())
        >
            {text}
        </button>
    }
}

/// What the run came to, beside what the person said.
fn result(course: Course, step: &Step) -> Option<AnyView> {
    let said = course.said.get()?;
    let Some(found) = course.found.get() else {
        let words = match step.until {
            Until::FirstFill => "It runs until the centres are filled …".to_string(),
            Until::FirstReseed => "It runs until unused centres are re-seeded …".into(),
            Until::Collapse => "It runs until the clusters collapse, or to its end …".into(),
            Until::Step(at) => format!("It runs to step {at} …"),
            Until::End => "It runs to its end and is tested …".into(),
        };
        return Some(view! { <p class="how">{words}</p> }.into_any());
    };
    let name =
        |outcome: &str| step.options.iter().find(|(of, _)| of == outcome).map_or_else(|| outcome.to_string(), |(_, text)| text.clone());
    let Some(found) = found else {
        let text = "The run shows too little to say. Where the question compares with the step before, go back and run that one first.";
        return Some(view! { <p>{text}</p> }.into_any());
    };
    let verdict = if said == found { "As you said." } else { "Not as you said." };
    let figures = crate::contest::in_a_line(course.session.run);
    Some(
        view! {
            <p>
                <b>{format!("{verdict} The run says: {}", name(found))}</b>
                {format!(" ({figures})")}
            </p>
            <p>{step.explanation(found).unwrap_or_default().to_string()}</p>
        }
        .into_any(),
    )
}

/// A file that is dropped on the page is a lesson where it may be one by its name, the weights of a model, or rows to train on.
fn listen_to_drops(course: Course) {
    let over = window_event_listener(leptos::ev::dragover, |event| event.prevent_default());
    let dropped = window_event_listener(leptos::ev::drop, move |event| {
        event.prevent_default();
        match first_file(&event) {
            Some(file) if file.name().ends_with(".safetensors") => course.session.load_weights(file),
            Some(file) if is_lesson(&file.name()) && !own::is_place(event.target()) => course.open_file(file),
            Some(file) => {
                course.session.own.choose(file);
                own::show();
            }
            None => {}
        }
    });
    on_cleanup(move || {
        over.remove();
        dropped.remove();
    });
}

fn is_lesson(name: &str) -> bool {
    [".md", ".txt"].iter().any(|ending| name.to_ascii_lowercase().ends_with(ending))
}

/// The first file of a drop. By its names: web-sys's own would add features that burn's web-sys would be compiled with, too.
fn first_file(event: &JsValue) -> Option<File> {
    let get = |from: &JsValue, key: &str| Reflect::get(from, &key.into()).ok().filter(|value| !value.is_null() && !value.is_undefined());
    let files = get(&get(event, "dataTransfer")?, "files")?;
    Reflect::get_u32(&files, 0).ok()?.dyn_into::<File>().ok()
}
