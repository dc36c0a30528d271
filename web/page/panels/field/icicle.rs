//! The same hierarchy by occupancy: a bar for each level-1 centre, as wide as its share of the recent samples, and below it its
//! children by theirs.

use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::brush::{Gaze, cleared, css, hue};
use super::scene::Scene;
use crate::look::{Colour, Palette};

/// Share of the height that the level-1 bars take.
const UPPER: f64 = 0.42;
/// Pixels between two bars.
const GAP: f64 = 1.5;
/// Bars narrower than this have no number.
const NUMBERED: f64 = 20.0;

/// A level-1 bar: from where to where, in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// The centre.
    pub centre: usize,
    /// Its left edge.
    pub left: f64,
    /// Its right edge.
    pub right: f64,
}

/// The bars that are on a canvas of this width, the largest first. A centre that took nobody has none.
pub fn bars(scene: &Scene, width: f64) -> Vec<Bar> {
    let mut shares: Vec<(usize, f64)> =
        (0..scene.parents).map(|centre| (centre, scene.share(centre))).filter(|(_, share)| *share > 0.0).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut left = 0.0;
    let bar = |(centre, share): (usize, f64)| {
        let bar = Bar { centre, left, right: left + share * width };
        left = bar.right;
        bar
    };
    shares.into_iter().map(bar).collect()
}

/// Draws them.
pub fn draw(canvas: &HtmlCanvasElement, scene: &Scene, palette: &Palette, gaze: Gaze) {
    let (width, height) = (f64::from(canvas.client_width()), f64::from(canvas.client_height()));
    let Some(context) = cleared(canvas, width, height) else { return };
    let pen = Pen { context, palette, height };
    for bar in bars(scene, width) {
        let colour = if gaze.by_centre { hue(bar.centre as u32, palette) } else { palette.hit };
        let alpha = if gaze.lit.is_none_or(|lit| lit == bar.centre) { 0.85 } else { 0.25 };
        pen.upper(bar, colour, alpha);
        let family = scene.family(bar.centre);
        let all: f32 = family.iter().map(|child| child.occupancy).sum();
        let mut left = bar.left;
        for child in family {
            let right = left + f64::from(child.occupancy / all.max(1e-6)) * (bar.right - bar.left);
            pen.lower(left, right, colour, 0.6 * alpha);
            left = right;
        }
    }
}

struct Pen<'a> {
    context: CanvasRenderingContext2d,
    palette: &'a Palette,
    height: f64,
}

impl Pen<'_> {
    fn upper(&self, Bar { centre, left, right }: Bar, colour: Colour, alpha: f64) {
        self.block(left, right, 0.0, UPPER * self.height, colour, alpha);
        if right - left < NUMBERED {
            return;
        }
        let size = 12.0 * self.palette.type_size / 16.0;
        self.context.set_font(&format!("600 {size}px system-ui, sans-serif"));
        self.context.set_text_align("center");
        self.context.set_fill_style_str(&css(self.palette.panel, 1.0));
        // It fails only where the numbers are none.
        let _ = self.context.fill_text(&(centre + 1).to_string(), 0.5 * (left + right), 0.5 * UPPER * self.height + 0.35 * size);
    }

    fn lower(&self, left: f64, right: f64, colour: Colour, alpha: f64) {
        self.block(left, right, UPPER * self.height + GAP, self.height, colour, alpha);
    }

    fn block(&self, left: f64, right: f64, top: f64, bottom: f64, colour: Colour, alpha: f64) {
        let width = (right - left - GAP).max(0.0);
        self.context.set_fill_style_str(&css(colour, alpha));
        self.context.fill_rect(left, top, width, bottom - top);
    }
}
