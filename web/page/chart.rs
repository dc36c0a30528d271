//! One way to draw a chart: lines by step, each with a dash of its own and perhaps a band, on a canvas.

use std::rc::Rc;

use leptos::html::Canvas;
use leptos::prelude::*;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters_canvas::CanvasBackend;

use crate::frame;
use crate::look::{Colour, Look, Palette, density};

/// Which of the palette's colours a line has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Low-active users.
    Low,
    /// High-active users.
    High,
    /// The baseline.
    Plain,
    /// What belongs to clusters.
    Hit,
}

impl Ink {
    fn of(self, palette: &Palette) -> Colour {
        match self {
            Self::Low => palette.low,
            Self::High => palette.high,
            Self::Plain => palette.muted,
            Self::Hit => palette.hit,
        }
    }

    /// The class that gives an element the same colour.
    pub fn class(self) -> &'static str {
        match self {
            Self::Low => "ink-low",
            Self::High => "ink-high",
            Self::Plain => "ink-plain",
            Self::Hit => "ink-hit",
        }
    }
}

/// Whether a line is drawn through. Colour alone would tell nothing to some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dash {
    /// Drawn through.
    Solid,
    /// Dashed.
    Dashed,
    /// Dotted.
    Dotted,
    /// Long dashes.
    Long,
}

impl Dash {
    /// Length of a dash and of the gap after it, in pixels of the page; none for a line drawn through.
    fn pattern(self) -> Option<(f64, f64)> {
        match self {
            Self::Solid => None,
            Self::Dashed => Some((6.0, 4.0)),
            Self::Dotted => Some((1.5, 3.5)),
            Self::Long => Some((12.0, 4.0)),
        }
    }
}

/// Width of a line in pixels of the page.
const WEIGHT: f64 = 2.0;

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its colour.
    pub ink: Ink,
    /// Its dash.
    pub dash: Dash,
    /// Its width in pixels of the page.
    pub weight: f64,
    /// Step and value.
    pub points: Vec<(f64, f64)>,
    /// Half the width of the band about each point; empty where there is none.
    pub band: Vec<f64>,
}

impl Line {
    /// A line without a band; points that are no numbers are left out.
    pub fn plain(ink: Ink, dash: Dash, points: impl Iterator<Item = (f64, f64)>) -> Self {
        Self { ink, dash, weight: WEIGHT, points: points.filter(|point| point.1.is_finite()).collect(), band: Vec::new() }
    }

    /// A line with a band, from `(step, value, half width)`.
    pub fn banded(ink: Ink, dash: Dash, points: impl Iterator<Item = (f64, f64, f64)>) -> Self {
        let (points, band) = points.filter(|p| p.1.is_finite() && p.2.is_finite()).map(|(x, y, half)| ((x, y), half)).unzip();
        Self { ink, dash, weight: WEIGHT, points, band }
    }

    /// The same line as a thin one without a band, for what stands in the background.
    pub fn thin(self) -> Self {
        Self { weight: WEIGHT / 2.0, band: Vec::new(), ..self }
    }

    fn extent(&self) -> impl Iterator<Item = f64> + '_ {
        let half = |at: usize| self.band.get(at).copied().unwrap_or(0.0);
        self.points.iter().enumerate().flat_map(move |(at, point)| [point.1 - half(at), point.1 + half(at)])
    }
}

/// What a chart shows.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// Its lines; the last is drawn on top.
    pub lines: Vec<Line>,
    /// The step at the right edge.
    pub steps: f64,
    /// The least height of the vertical axis, so that noise does not fill the chart.
    pub least_span: f64,
    /// Values that must be on the axis.
    pub include: Vec<f64>,
    /// How the vertical axis is written.
    pub unit: Unit,
}

/// How values are written on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As shares.
    Percent,
    /// With so many decimals.
    Decimals(usize),
}

impl Default for Unit {
    fn default() -> Self {
        Self::Decimals(2)
    }
}

impl Unit {
    fn write(self, value: f64) -> String {
        // Rounding must not give a minus to nothing.
        let value = if value.abs() < 1e-9 { 0.0 } else { value };
        match self {
            Self::Percent => crate::text::percent(value),
            Self::Decimals(decimals) => format!("{value:.decimals$}").replace('-', "−"),
        }
    }
}

/// The vertical range of several figures, so that they can share it.
pub fn range(figures: &[&Figure]) -> (f64, f64) {
    let values = figures.iter().flat_map(|figure| figure.lines.iter().flat_map(Line::extent).chain(figure.include.iter().copied()));
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let least = figures.iter().map(|figure| figure.least_span).fold(1e-9, f64::max);
    if low > high {
        return (0.0, least);
    }
    let missing = (least - (high - low)).max(0.0) / 2.0;
    let margin = 0.04 * (high - low).max(least);
    (low - missing - margin, high + missing + margin)
}

/// A chart that redraws when its figure or the look of the page changes.
#[component]
pub fn Chart(
    /// What it shows, for those who do not see it.
    #[prop(into)]
    label: Signal<String>,
    /// What it draws.
    #[prop(into)]
    figure: Signal<Figure>,
    /// Figures that share its vertical axis.
    #[prop(optional, into)]
    beside: Option<Signal<Figure>>,
    /// The class that gives it its size.
    #[prop(default = "chart")]
    class: &'static str,
) -> impl IntoView {
    let look = expect_context::<Look>();
    let canvas = NodeRef::<Canvas>::new();
    let name = frame::name();
    Effect::new(move |_| {
        figure.track();
        look.track();
        if canvas.get().is_none() {
            return;
        }
        let draw = move || {
            if let Some(canvas) = canvas.try_get_untracked().flatten() {
                let figure = figure.get_untracked();
                let beside = beside.map(|beside| beside.get_untracked());
                let shared: Vec<&Figure> = std::iter::once(&figure).chain(beside.as_ref()).collect();
                draw(&canvas, &figure, range(&shared), &look.palette.get_untracked());
            }
        };
        frame::request(name, Rc::new(draw));
    });
    view! { <canvas node_ref=canvas class=class role="img" aria-label=label></canvas> }
}

/// A drawing that fails leaves the old one; the table beside it still has the figures.
fn draw(canvas: &web_sys::HtmlCanvasElement, figure: &Figure, range: (f64, f64), palette: &Palette) {
    let density = density();
    let size = |css: i32| (f64::from(css) * density).round() as u32;
    let (width, height) = (size(canvas.client_width()), size(canvas.client_height()));
    if width < 40 || height < 30 {
        return;
    }
    if (canvas.width(), canvas.height()) != (width, height) {
        canvas.set_width(width);
        canvas.set_height(height);
    }
    if let Some(backend) = CanvasBackend::with_canvas_object(canvas.clone()) {
        let pen = Pen { palette, scale: density * palette.type_size / 16.0 };
        let _ = pen.figure(&backend.into_drawing_area(), figure, range);
    }
}

type Plane<'a, DB> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

struct Pen<'a> {
    palette: &'a Palette,
    scale: f64,
}

impl Pen<'_> {
    fn px(&self, css: f64) -> i32 {
        (css * self.scale).round() as i32
    }

    fn figure<DB: DrawingBackend>(&self, area: &DrawingArea<DB, plotters::coord::Shift>, figure: &Figure, range: (f64, f64)) -> Drawn<DB> {
        area.fill(&rgb(self.palette.panel))?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(self.px(6.0))
            .margin_right(self.px(8.0))
            .set_label_area_size(LabelAreaPosition::Left, self.px(42.0))
            .set_label_area_size(LabelAreaPosition::Bottom, self.px(18.0))
            .build_cartesian_2d(0.0..figure.steps.max(1.0), range.0..range.1)?;
        self.axes(area, &mut chart, figure, range)?;
        for line in &figure.lines {
            self.band(&mut chart, line)?;
        }
        for line in &figure.lines {
            self.line(&mut chart, line)?;
        }
        Ok(())
    }

    /// Grid and labels are drawn here and not by plotters, which would measure each label in the document.
    fn axes<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
        chart: &mut Plane<'_, DB>,
        figure: &Figure,
        (low, high): (f64, f64),
    ) -> Drawn<DB> {
        let right = figure.steps.max(1.0);
        let font = ("system-ui, sans-serif", 11.0 * self.scale).into_font();
        let style = |h: HPos, v: VPos| font.color(&rgb(self.palette.muted)).pos(Pos::new(h, v));
        let rows = f64::from(chart.plotting_area().dim_in_pixel().1) / (27.0 * self.scale);
        for y in ticks(low, high, rows) {
            let ink = if y.abs() < 1e-9 && low < 0.0 { self.palette.muted } else { self.palette.grid };
            chart.draw_series([PathElement::new(vec![(0.0, y), (right, y)], rgb(ink).stroke_width(self.px(1.0).max(1) as u32))])?;
            let at = chart.backend_coord(&(0.0, y));
            area.draw_text(&figure.unit.write(y), &style(HPos::Right, VPos::Center), (at.0 - self.px(6.0), at.1))?;
        }
        let columns = f64::from(chart.plotting_area().dim_in_pixel().0) / (64.0 * self.scale);
        for x in ticks(0.0, right, columns) {
            let at = chart.backend_coord(&(x, low));
            let side = if x > 0.93 * right { HPos::Right } else { HPos::Center };
            let text = crate::text::count(x as u64);
            area.draw_text(&text, &style(side, VPos::Top), (at.0, at.1 + self.px(5.0)))?;
        }
        Ok(())
    }

    fn band<DB: DrawingBackend>(&self, chart: &mut Plane<'_, DB>, line: &Line) -> Drawn<DB> {
        if line.band.len() < 2 {
            return Ok(());
        }
        let edge = |sign: f64| line.points.iter().zip(&line.band).map(move |(point, half)| (point.0, point.1 + sign * half));
        let outline: Vec<(f64, f64)> = edge(1.0).chain(edge(-1.0).rev()).collect();
        chart.draw_series([Polygon::new(outline, rgb(line.ink.of(self.palette)).mix(0.16))]).map(drop)
    }

    fn line<DB: DrawingBackend>(&self, chart: &mut Plane<'_, DB>, line: &Line) -> Drawn<DB> {
        let colour = rgb(line.ink.of(self.palette));
        let style = colour.stroke_width(self.px(line.weight).max(1) as u32);
        let points = line.points.iter().copied();
        match line.dash.pattern() {
            None => chart.draw_series(LineSeries::new(points, style))?,
            Some((dash, gap)) => chart.draw_series(DashedLineSeries::new(points, self.px(dash), self.px(gap), style))?,
        };
        if let (Some(&last), true) = (line.points.last(), line.dash == Dash::Solid || line.points.len() == 1) {
            chart.draw_series([Circle::new(last, self.px(3.0), colour.filled())])?;
        }
        Ok(())
    }
}

fn rgb((red, green, blue): Colour) -> RGBColor {
    RGBColor(red, green, blue)
}

/// Round values between two ends, about as many as there is room for.
fn ticks(low: f64, high: f64, room: f64) -> Vec<f64> {
    let rough = (high - low) / room.max(1.5);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|round| round * power).find(|&step| step >= rough).unwrap_or(10.0 * power);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|at| at as f64 * step).collect()
}

/// The sign of a line in a legend: its dash and, by class, its colour.
#[component]
pub fn Swatch(
    /// The line's colour.
    ink: Ink,
    /// The line's dash.
    dash: Dash,
) -> impl IntoView {
    let pattern = dash.pattern().map_or_else(|| "none".into(), |(dash, gap)| format!("{dash} {gap}"));
    view! {
        <svg class=format!("swatch {}", ink.class()) viewBox="0 0 26 10" aria-hidden="true">
            <line x1="1" y1="5" x2="25" y2="5" stroke="currentColor" stroke-width="2.4" stroke-dasharray=pattern />
        </svg>
    }
}
