//! The charts of the page as files: each is on a list while it is on the page, and can be drawn once more for a file.

use std::cell::RefCell;
use std::rc::Rc;

use plotters::prelude::*;
use web_sys::HtmlCanvasElement;

use super::{Figure, Palette, Pen, breadth, rgb};
use crate::look::say;

/// Pixels of a chart in a file.
const SIZE: (u32, u32) = (960, 420);
/// Height of a line of the legend below it.
const LEGEND: u32 = 26;
/// How much larger than on the page everything is drawn.
const SCALE: f64 = 1.5;

/// A chart as it is drawn on the page.
pub struct Drawn {
    /// What it shows.
    pub figure: Figure,
    /// Its vertical axis.
    pub range: (f64, f64),
    /// Its colours.
    pub palette: Palette,
    /// Where it is drawn.
    pub canvas: Option<HtmlCanvasElement>,
}

type Listed = (usize, String, Rc<dyn Fn() -> Drawn>);

thread_local! {
    static CHARTS: RefCell<(usize, Vec<Listed>)> = RefCell::default();
}

/// Puts a chart on the list; the number takes it off again.
pub fn list(title: String, drawn: impl Fn() -> Drawn + 'static) -> usize {
    CHARTS.with_borrow_mut(|(number, charts)| {
        *number += 1;
        charts.push((*number, title, Rc::new(drawn)));
        *number
    })
}

/// Takes a chart off the list.
pub fn unlist(number: usize) {
    CHARTS.with_borrow_mut(|(_, charts)| charts.retain(|(own, ..)| *own != number));
}

/// The titles of the charts on the page, in its order.
pub fn titles() -> Vec<String> {
    CHARTS.with_borrow(|(_, charts)| charts.iter().map(|(_, title, _)| title.clone()).collect())
}

/// The chart of a title, as it stands.
pub fn drawn(title: &str) -> Option<Drawn> {
    let chart = CHARTS.with_borrow(|(_, charts)| charts.iter().find(|(_, own, _)| own == title).map(|(_, _, drawn)| drawn.clone()))?;
    Some(chart())
}

/// A chart with its legend as an SVG file; none where it cannot be drawn.
pub fn svg(title: &str, Drawn { figure, range, palette, .. }: &Drawn) -> Option<String> {
    let (across, height) = (SIZE.0, SIZE.1 + 2 * LEGEND);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (across, height)).into_drawing_area();
        root.fill(&rgb(palette.panel)).ok()?;
        let font = |size: f64| ("system-ui, sans-serif", size).into_font();
        let (above, rest) = root.split_vertically(LEGEND);
        let (chart, below) = rest.split_vertically(SIZE.1);
        above.draw_text(&say(title), &font(17.0).color(&rgb(palette.ink)), (12, 6)).ok()?;
        Pen { palette, scale: SCALE }.figure(&chart, figure, *range).ok()?;
        let mut x = 12;
        for line in &figure.lines {
            let colour = rgb(line.style.ink.of(palette));
            below.draw(&PathElement::new(vec![(x, 12), (x + 22, 12)], colour.stroke_width(3))).ok()?;
            let tag = say(line.tag);
            below.draw_text(&tag, &font(14.0).color(&rgb(palette.ink)), (x + 28, 4)).ok()?;
            x += 44 + 8 * breadth(&tag) as i32;
        }
        root.present().ok()?;
    }
    Some(text)
}
