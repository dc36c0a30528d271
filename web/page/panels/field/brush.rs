//! The plane as it is drawn.

use leptos::prelude::window;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::scene::{MEMORY, Member, Scene};
use crate::look::{Colour, Palette};

const TURN: f64 = std::f64::consts::TAU;
/// Rays of a flash.
const RAYS: u32 = 8;
/// Room for the marks of centres at the edges.
const MARGIN: f64 = 16.0;
/// How much of them is left of members that are not of the lit centre.
const DIMMED: f64 = 0.22;

/// From the plane to the canvas, in CSS pixels.
pub struct Space<'a> {
    scene: &'a Scene,
    width: f64,
    height: f64,
}

impl<'a> Space<'a> {
    /// Of a scene on a canvas.
    pub fn of(canvas: &HtmlCanvasElement, scene: &'a Scene) -> Self {
        Self { scene, width: f64::from(canvas.client_width()), height: f64::from(canvas.client_height()) }
    }

    /// Where a place of the plane is.
    pub fn place(&self, place: [f32; 2]) -> (f64, f64) {
        let (x, y) = self.scene.view.unit(place);
        (MARGIN + x * (self.width - 2.0 * MARGIN), MARGIN + y * (self.height - 2.0 * MARGIN))
    }
}

/// What a person looks at in a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gaze {
    /// The centre that is outlined, and whose members are lit while all others are dimmed.
    pub lit: Option<usize>,
    /// Whether members have the colour of their centre and not that of their group.
    pub by_centre: bool,
}

/// Draws the plane.
pub fn draw(canvas: &HtmlCanvasElement, scene: &Scene, palette: &Palette, gaze: Gaze, now: f64) {
    let space = Space::of(canvas, scene);
    let Some(context) = cleared(canvas, space.width, space.height) else { return };
    let brush = Brush { context, space, palette, now, size: palette.type_size / 16.0, gaze };
    brush.families();
    brush.ties();
    brush.members();
    brush.children();
    brush.parents();
}

/// The canvas without a picture, as large as its place and as fine as the screen.
pub fn cleared(canvas: &HtmlCanvasElement, width: f64, height: f64) -> Option<CanvasRenderingContext2d> {
    let density = window().device_pixel_ratio();
    let size = ((width * density).round() as u32, (height * density).round() as u32);
    if (canvas.width(), canvas.height()) != size {
        canvas.set_width(size.0);
        canvas.set_height(size.1);
    }
    let context = canvas.get_context("2d").ok().flatten()?.dyn_into::<CanvasRenderingContext2d>().ok()?;
    let _ = context.set_transform(density, 0.0, 0.0, density, 0.0, 0.0);
    context.clear_rect(0.0, 0.0, width, height);
    Some(context)
}

struct Brush<'a> {
    context: CanvasRenderingContext2d,
    space: Space<'a>,
    palette: &'a Palette,
    now: f64,
    size: f64,
    gaze: Gaze,
}

impl Brush<'_> {
    /// Lines from each child to its parent.
    fn families(&self) {
        self.stroke(self.palette.muted, 0.35, 1.0);
        self.context.begin_path();
        let scene = self.space.scene;
        for parent in 0..scene.parents {
            let from = self.space.place(scene.centres[parent].at(self.now));
            for child in scene.family(parent) {
                self.segment(from, self.space.place(child.at(self.now)));
            }
        }
        self.context.stroke();
    }

    /// Lines from the members of the newest frame to their children.
    fn ties(&self) {
        for (low, colour) in [(false, self.palette.high), (true, self.palette.low)] {
            self.stroke(colour, if self.gaze.lit.is_some() { 0.5 } else { 0.28 }, 0.8);
            self.context.begin_path();
            let newest = self.space.scene.members.values().filter(|member| member.age == 0 && member.low == low && !member.stopped);
            for member in newest.filter(|member| member.has_arrived(self.now) && self.is_lit(member)) {
                if let Some(child) = self.space.scene.child(member.child) {
                    self.segment(self.space.place(member.at(self.now)), self.space.place(child.at(self.now)));
                }
            }
            self.context.stroke();
        }
    }

    /// Members, the longest unseen first; low-active ones on top, because the story is theirs.
    fn members(&self) {
        for age in (0..=MEMORY).rev() {
            for low in [false, true] {
                for stopped in [true, false] {
                    self.group(age, low, stopped);
                }
            }
        }
    }

    fn is_lit(&self, member: &Member) -> bool {
        self.gaze.lit.is_none_or(|lit| member.centre as usize == lit)
    }

    fn group(&self, age: u8, low: bool, stopped: bool) {
        let members = || {
            let all =
                self.space.scene.members.values().filter(move |member| (member.age, member.low, member.stopped) == (age, low, stopped));
            all.filter(|member| member.shows(self.now))
        };
        let fresh = 0.9 * 0.68f64.powi(age.into()) * if stopped { 0.6 } else { 1.0 };
        let colour = if low { self.palette.low } else { self.palette.high };
        let (lit, dim): (Vec<&Member>, Vec<&Member>) = members().partition(|member| self.is_lit(member));
        self.marks(&dim, self.palette.muted, DIMMED * fresh, stopped);
        if self.gaze.by_centre {
            for member in lit {
                self.marks(&[member], hue(member.centre, self.palette), fresh, stopped);
            }
        } else {
            // Who belongs to the lit centre is seen however long ago they came.
            self.marks(&lit, colour, if self.gaze.lit.is_some() { fresh.max(0.6) } else { fresh }, stopped);
        }
    }

    fn marks(&self, members: &[&Member], colour: Colour, alpha: f64, stopped: bool) {
        if members.is_empty() {
            return;
        }
        self.stroke(colour, alpha, 1.2);
        self.fill(colour, alpha);
        self.context.begin_path();
        members.iter().for_each(|member| self.mark(member));
        if stopped { self.context.stroke() } else { self.context.fill() }
    }

    fn mark(&self, member: &Member) {
        let (x, y) = self.space.place(member.at(self.now));
        let context = &self.context;
        if member.low {
            let r = 4.4 * self.size;
            context.move_to(x, y - r);
            context.line_to(x + 0.87 * r, y + 0.6 * r);
            context.line_to(x - 0.87 * r, y + 0.6 * r);
            context.close_path();
        } else {
            // Circles are centres.
            let side = 5.0 * self.size;
            context.rect(x - 0.5 * side, y - 0.5 * side, side, side);
        }
    }

    fn children(&self) {
        for centre in self.space.scene.centres.iter().skip(self.space.scene.parents) {
            let (x, y) = self.space.place(centre.at(self.now));
            self.context.begin_path();
            self.circle(x, y, 2.6 * self.size);
            if centre.occupancy > 0.5 {
                self.fill(self.palette.ink, 0.85);
                self.context.fill();
            } else {
                self.fill(self.palette.panel, 1.0);
                self.context.fill();
                self.stroke(self.palette.muted, 0.9, 1.0);
                self.context.stroke();
            }
            self.flash(x, y, 5.0, centre.flash(self.now));
        }
    }

    fn parents(&self) {
        let scene = self.space.scene;
        for (at, centre) in scene.centres.iter().take(scene.parents).enumerate() {
            let (x, y) = self.space.place(centre.at(self.now));
            let radius = self.size * (5.0 + 16.0 * scene.share(at).sqrt());
            let used = centre.occupancy > 0.5;
            if centre.hits > 0.0 {
                self.fill(self.palette.hit, 0.22);
                self.context.begin_path();
                self.circle(x, y, radius + 5.0 * self.size);
                self.context.fill();
            }
            self.context.begin_path();
            self.circle(x, y, radius);
            self.fill(self.palette.panel, if used { 0.75 } else { 1.0 });
            self.context.fill();
            let ring = match (used, self.gaze.by_centre) {
                (false, _) => self.palette.muted,
                (true, true) => hue(at as u32, self.palette),
                (true, false) => self.palette.ink,
            };
            self.stroke(ring, 1.0, if self.gaze.lit == Some(at) { 3.4 } else { 1.8 });
            self.context.stroke();
            if used {
                self.fill(self.palette.ink, 1.0);
                self.context.begin_path();
                self.circle(x, y, 1.6 * self.size);
                self.context.fill();
            }
            self.flash(x, y, radius, centre.flash(self.now));
        }
    }

    /// Rays that fly out and fade; they stay where they are for who wants less motion.
    fn flash(&self, x: f64, y: f64, radius: f64, strength: f32) {
        if strength <= 0.0 {
            return;
        }
        let (strength, flown) = if self.space.scene.still { (1.0, 0.5) } else { (f64::from(strength), 1.0 - f64::from(strength)) };
        let (inner, outer) = (radius + self.size * (3.0 + 10.0 * flown), radius + self.size * (9.0 + 12.0 * flown));
        self.stroke(self.palette.reborn, strength, 2.2);
        self.context.begin_path();
        for ray in 0..RAYS {
            let (sin, cos) = (TURN * f64::from(ray) / f64::from(RAYS)).sin_cos();
            self.segment((x + inner * cos, y + inner * sin), (x + outer * cos, y + outer * sin));
        }
        self.context.stroke();
    }

    fn segment(&self, from: (f64, f64), to: (f64, f64)) {
        self.context.move_to(from.0, from.1);
        self.context.line_to(to.0, to.1);
    }

    fn circle(&self, x: f64, y: f64, radius: f64) {
        self.context.move_to(x + radius, y);
        // It fails only for a negative radius.
        let _ = self.context.arc(x, y, radius, 0.0, TURN);
    }

    fn stroke(&self, colour: Colour, alpha: f64, width: f64) {
        self.context.set_stroke_style_str(&css(colour, alpha));
        self.context.set_line_width(width * self.size);
    }

    fn fill(&self, colour: Colour, alpha: f64) {
        self.context.set_fill_style_str(&css(colour, alpha));
    }
}

/// A colour for each centre: neighbours in number are far apart in hue, and all are as light as the theme needs.
pub fn hue(centre: u32, palette: &Palette) -> Colour {
    let is_dark = palette.panel.1 < 128;
    let turn = f64::from(centre) * 0.381_966 % 1.0 * 6.0;
    // HSL with saturation 0.65.
    let lightness = if is_dark { 0.66 } else { 0.40 };
    let chroma = (1.0 - (2.0 * lightness - 1.0f64).abs()) * 0.65;
    let channel = |offset: f64| {
        let at = (turn + offset).rem_euclid(6.0);
        let share = (2.0 - (at - 3.0).abs()).clamp(0.0, 1.0);
        (255.0 * (lightness - chroma / 2.0 + chroma * share)).round() as u8
    };
    (channel(3.0), channel(1.0), channel(5.0))
}

/// A colour for a canvas.
pub fn css((red, green, blue): Colour, alpha: f64) -> String {
    format!("rgba({red},{green},{blue},{alpha:.3})")
}
