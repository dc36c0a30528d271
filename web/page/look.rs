//! What drawing on a canvas must know of the style sheet: its colours, its type size and when they change.

use leptos::prelude::*;
use wasm_bindgen::prelude::*;

use web_sys::HtmlElement;

use crate::address::{Address, Language, Theme};
use crate::frame;

/// Red, green and blue.
pub type Colour = (u8, u8, u8);

/// The style sheet's colours. A name here is the name of a CSS variable there.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Palette {
    /// `--panel`
    pub panel: Colour,
    /// `--ink`
    pub ink: Colour,
    /// `--muted`
    pub muted: Colour,
    /// `--grid`
    pub grid: Colour,
    /// `--low`: low-active users.
    pub low: Colour,
    /// `--high`: high-active users.
    pub high: Colour,
    /// `--hit`: a centre that took users.
    pub hit: Colour,
    /// `--reborn`: a centre that was filled or re-seeded.
    pub reborn: Colour,
    /// `--model-1` to `--model-5`: models in the background of the race.
    pub models: [Colour; 5],
    /// Pixels of the root's type.
    pub type_size: f64,
}

/// The palette of the moment, and a count that changes when canvases have another size.
#[derive(Clone, Copy)]
pub struct Look {
    /// The language that the page is in, which is English where the texts of the one that is asked for did not arrive.
    pub language: RwSignal<Language>,
    /// Changes with the theme.
    pub palette: RwSignal<Palette>,
    /// Changes with the window.
    pub layout: RwSignal<u32>,
}

impl Look {
    /// Keeps the document's theme, the palette and the language as the link and the system say. What cannot be so is a notice.
    pub fn follow(link: RwSignal<Address>, notices: RwSignal<Vec<String>>) -> Self {
        let look = Self { language: RwSignal::new(spoken_language()), palette: RwSignal::new(Palette::read()), layout: RwSignal::new(0) };
        look.follow_language(link, notices);
        let theme = Memo::new(move |_| link.with(|link| link.theme));
        let flags = Memo::new(move |_| link.with(|link| (link.present, link.embed)));
        Effect::new(move |_| {
            show(theme.get(), flags.get());
            look.palette.set(Palette::read());
            look.layout.update(|layout| *layout += 1);
        });
        look.follow_media();
        let resized = window_event_listener(leptos::ev::resize, move |_| {
            look.palette.set(Palette::read());
            look.layout.update(|layout| *layout += 1);
        });
        on_cleanup(move || resized.remove());
        look
    }

    /// Follows anything that can change a drawing besides its data.
    pub fn track(self) {
        self.palette.track();
        self.layout.track();
    }

    /// Asks for the language of the link, and draws the canvases anew when it has come.
    fn follow_language(self, link: RwSignal<Address>, notices: RwSignal<Vec<String>>) {
        let spoken = window_event_listener_untyped("spoken", move |event| {
            let missing = js_sys::Reflect::get(&event, &"detail".into()).ok().and_then(|word| word.as_string());
            if let Some(word) = missing.filter(|word| !word.is_empty()) {
                notices.update(|all| all.push(format!("lang = {word} cannot be used: its texts did not arrive. English is shown.")));
            }
            self.language.set(spoken_language());
            self.layout.update(|layout| *layout += 1);
        });
        on_cleanup(move || spoken.remove());
        let language = Memo::new(move |_| link.with(|link| link.language));
        Effect::new(move |_| speak(language.get().word()));
    }

    /// The palette changes with the system's theme and contrast, and for paper, which is white.
    fn follow_media(self) {
        for query in ["(prefers-color-scheme: dark)", "(forced-colors: active)", "print"] {
            let Ok(Some(media)) = window().match_media(query) else { continue };
            let changed = Closure::<dyn FnMut()>::new(move || {
                self.palette.set(Palette::read());
                // A page is printed before the next frame.
                frame::draw_all();
            });
            media.set_onchange(Some(changed.as_ref().unchecked_ref()));
            // It lives as long as the page, and so must the query that calls it.
            changed.forget();
            std::mem::forget(media);
        }
    }
}

#[wasm_bindgen]
extern "C" {
    /// Shows the page in this language (`assets/boot.js`).
    #[wasm_bindgen(js_namespace = duia)]
    fn speak(word: &str);

    /// A text in the page's language, for canvases; what is in the document is translated there.
    #[wasm_bindgen(js_namespace = duia)]
    pub fn say(text: &str) -> String;
}

impl Palette {
    /// Colours are read as an element has them, so that names and the system's own colours arrive as red, green and blue.
    fn read() -> Self {
        let probe = document().create_element("i").ok().and_then(|element| element.dyn_into::<HtmlElement>().ok());
        let Some(probe) = probe else { return Self::default() };
        probe.set_class_name("probe");
        let _ = document().body().map(|body| body.append_child(&probe));
        let style = window().get_computed_style(&probe).ok().flatten();
        let text = |name: &str| style.as_ref().and_then(|style| style.get_property_value(name).ok()).unwrap_or_default();
        let colour = |name: &str| {
            let _ = probe.style().set_property("color", &format!("var(--{name})"));
            parse(&text("color"))
        };
        let palette = Self {
            panel: colour("panel"),
            ink: colour("ink"),
            muted: colour("muted"),
            grid: colour("grid"),
            low: colour("low"),
            high: colour("high"),
            hit: colour("hit"),
            reborn: colour("reborn"),
            models: ["model-1", "model-2", "model-3", "model-4", "model-5"].map(colour),
            type_size: text("font-size").trim_end_matches("px").parse().unwrap_or(16.0),
        };
        probe.remove();
        palette
    }
}

/// The language of the document.
fn spoken_language() -> Language {
    let lang = document().document_element().and_then(|root| root.get_attribute("lang"));
    Language::of(&lang.unwrap_or_default())
}

/// Whether the person asked for less motion.
pub fn wants_stillness() -> bool {
    window().match_media("(prefers-reduced-motion: reduce)").ok().flatten().is_some_and(|query| query.matches())
}

/// Device pixels of a CSS pixel, at least two: chart coordinates are whole pixels, and at one a slow curve climbs in stairs.
pub fn density() -> f64 {
    window().device_pixel_ratio().max(2.0)
}

/// What the style sheet goes by.
fn show(theme: Theme, (present, embed): (bool, bool)) {
    let Some(root) = document().document_element() else { return };
    let _ = root.set_attribute("data-theme", theme.word());
    for (name, on) in [("data-present", present), ("data-embed", embed)] {
        let _ = if on { root.set_attribute(name, "") } else { root.remove_attribute(name) };
    }
}

/// `rgb(r, g, b)`, as a browser writes a computed colour; anything else is grey, which is seen and harmless.
fn parse(text: &str) -> Colour {
    let inside = text.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    let parts = inside.map(|(parts, _)| parts.split(',').map_while(|part| part.trim().parse().ok()).collect::<Vec<u8>>());
    match parts.as_deref() {
        Some([red, green, blue, ..]) => (*red, *green, *blue),
        _ => (128, 128, 128),
    }
}
