//! What drawing on a canvas must know of the style sheet: its colours, its type size and when they change.

use leptos::prelude::*;
use wasm_bindgen::prelude::*;

use crate::address::Theme;
use crate::session::Session;

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
    /// `--reborn`: a centre that was filled or born again.
    pub reborn: Colour,
    /// Pixels of the root's type.
    pub type_size: f64,
}

/// The palette of the moment, and a count that changes when canvases have another size.
#[derive(Clone, Copy)]
pub struct Look {
    /// Changes with the theme.
    pub palette: RwSignal<Palette>,
    /// Changes with the window.
    pub layout: RwSignal<u32>,
}

impl Look {
    /// Keeps the document's theme and the palette as the link and the system say.
    pub fn follow(session: Session) -> Self {
        let look = Self { palette: RwSignal::new(Palette::read()), layout: RwSignal::new(0) };
        let theme = Memo::new(move |_| session.address.with(|address| address.theme));
        Effect::new(move |_| {
            show(theme.get());
            look.palette.set(Palette::read());
        });
        look.follow_system();
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

    fn follow_system(self) {
        let Ok(Some(query)) = window().match_media("(prefers-color-scheme: dark)") else { return };
        let changed = Closure::<dyn FnMut()>::new(move || self.palette.set(Palette::read()));
        query.set_onchange(Some(changed.as_ref().unchecked_ref()));
        // It lives as long as the page.
        changed.forget();
    }
}

impl Palette {
    fn read() -> Self {
        let root = document().document_element();
        let style = root.and_then(|root| window().get_computed_style(&root).ok().flatten());
        let text = |name: &str| style.as_ref().and_then(|style| style.get_property_value(name).ok()).unwrap_or_default();
        let colour = |name: &str| parse(text(name).trim());
        Self {
            panel: colour("--panel"),
            ink: colour("--ink"),
            muted: colour("--muted"),
            grid: colour("--grid"),
            low: colour("--low"),
            high: colour("--high"),
            hit: colour("--hit"),
            reborn: colour("--reborn"),
            type_size: text("font-size").trim_end_matches("px").parse().unwrap_or(16.0),
        }
    }
}

/// Whether the person asked for less motion.
pub fn wants_stillness() -> bool {
    window().match_media("(prefers-reduced-motion: reduce)").ok().flatten().is_some_and(|query| query.matches())
}

/// Device pixels of a CSS pixel, at least two: chart coordinates are whole pixels, and at one a slow curve climbs in stairs.
pub fn density() -> f64 {
    window().device_pixel_ratio().max(2.0)
}

fn show(theme: Theme) {
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("data-theme", theme.word());
    }
}

/// `#rrggbb`; anything else is grey, which is seen and harmless.
fn parse(text: &str) -> Colour {
    let value = text.strip_prefix('#').filter(|digits| digits.len() == 6).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    value.map_or((128, 128, 128), |value| ((value >> 16) as u8, (value >> 8) as u8, value as u8))
}
