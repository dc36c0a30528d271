//! One way to draw a chart: lines by step on a canvas, each with a hue, a dash and a marker of its own, perhaps a band, a name
//! at its end and a figure of the final test.

pub mod export;

use leptos::html::Canvas;
use leptos::prelude::*;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters_canvas::CanvasBackend;

use crate::frame;
use crate::look::{Colour, Look, Palette, density, say};

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
    /// A model in the background, by its index among these. The hues repeat; dash and marker then still differ.
    Model(usize),
}

impl Ink {
    fn of(self, palette: &Palette) -> Colour {
        match self {
            Self::Low => palette.low,
            Self::High => palette.high,
            Self::Plain => palette.muted,
            Self::Hit => palette.hit,
            Self::Model(n) => palette.models[n % palette.models.len()],
        }
    }

    /// The class that gives an element the same colour.
    pub fn class(self) -> &'static str {
        match self {
            Self::Low => "ink-low",
            Self::High => "ink-high",
            Self::Plain => "ink-plain",
            Self::Hit => "ink-hit",
            Self::Model(n) => ["ink-model-1", "ink-model-2", "ink-model-3", "ink-model-4", "ink-model-5"][n % 5],
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
    /// Short dashes.
    Short,
}

impl Dash {
    /// Length of a dash and of the gap after it, in pixels of the page; none for a line drawn through.
    fn pattern(self) -> Option<(f64, f64)> {
        match self {
            Self::Solid => None,
            Self::Dashed => Some((6.0, 4.0)),
            Self::Dotted => Some((1.5, 3.5)),
            Self::Long => Some((12.0, 4.0)),
            Self::Short => Some((3.0, 2.5)),
        }
    }
}

/// The sign on a line's points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// A disc.
    Disc,
    /// A square.
    Square,
    /// A square on its corner.
    Diamond,
    /// A triangle.
    Triangle,
    /// A saltire.
    Cross,
}

impl Marker {
    /// Corners in a square of side 2 about 0, y downwards; none for a disc.
    fn corners(self) -> &'static [(f64, f64)] {
        match self {
            Self::Disc => &[],
            Self::Square => &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
            Self::Diamond => &[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)],
            Self::Triangle => &[(0.0, -1.1), (1.1, 0.9), (-1.1, 0.9)],
            Self::Cross => &[
                (-1.1, -0.7),
                (-0.7, -1.1),
                (0.0, -0.4),
                (0.7, -1.1),
                (1.1, -0.7),
                (0.4, 0.0),
                (1.1, 0.7),
                (0.7, 1.1),
                (0.0, 0.4),
                (-0.7, 1.1),
                (-1.1, 0.7),
                (-0.4, 0.0),
            ],
        }
    }
}

/// How a line looks, the same in its chart and in its legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Its hue.
    pub ink: Ink,
    /// Its dash.
    pub dash: Dash,
    /// The sign on its points.
    pub marker: Marker,
}

impl Style {
    /// A line drawn through.
    pub const fn solid(ink: Ink) -> Self {
        Self { ink, dash: Dash::Solid, marker: Marker::Disc }
    }

    /// A dashed line.
    pub const fn dashed(ink: Ink) -> Self {
        Self { ink, dash: Dash::Dashed, marker: Marker::Square }
    }
}

/// Width of a line in pixels of the page.
const WEIGHT: f64 = 2.0;
/// Pixels of the page between two markers of a line.
const MARKERS_APART: f64 = 44.0;
/// Height of a name at the end of a line.
const NAME_HEIGHT: f64 = 12.5;
/// Mean width of a letter of such a name.
const LETTER: f64 = 6.3;
/// Room for the labels of the vertical axis.
const LABELS: f64 = 42.0;
/// Room at the right edge.
const RIGHT: f64 = 8.0;

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// How it looks.
    pub style: Style,
    /// Its width in pixels of the page.
    pub weight: f64,
    /// Step and value.
    pub points: Vec<(f64, f64)>,
    /// Half the width of the band about each point; empty where there is none.
    pub band: Vec<f64>,
    /// What it is, where a pointer asks and in a file.
    pub tag: &'static str,
    /// The name at its end.
    pub name: Option<&'static str>,
    /// The value on the whole test set and half the width of its interval. It is another set than that of the points, so it
    /// stands apart from them.
    pub tested: Option<(f64, f64)>,
}

impl Line {
    /// A line without a band; points that are no numbers are left out.
    pub fn plain(style: Style, tag: &'static str, points: impl Iterator<Item = (f64, f64)>) -> Self {
        let points = points.filter(|point| point.1.is_finite()).collect();
        Self { style, tag, weight: WEIGHT, points, band: Vec::new(), name: None, tested: None }
    }

    /// A line with a band, from `(step, value, half width)`.
    pub fn banded(style: Style, tag: &'static str, points: impl Iterator<Item = (f64, f64, f64)>) -> Self {
        let (points, band) = points.filter(|p| p.1.is_finite() && p.2.is_finite()).map(|(x, y, half)| ((x, y), half)).unzip();
        Self { style, tag, weight: WEIGHT, points, band, name: None, tested: None }
    }

    /// The same line as a thin one without a band, for what stands in the background.
    pub fn thin(self) -> Self {
        Self { weight: 0.7 * WEIGHT, band: Vec::new(), tested: self.tested.map(|(value, _)| (value, 0.0)), ..self }
    }

    /// The same line with a name at its end and perhaps a value on the whole test set.
    pub fn ending(self, name: Option<&'static str>, tested: Option<(f64, f64)>) -> Self {
        Self { name, tested: tested.filter(|(value, half)| value.is_finite() && half.is_finite()), ..self }
    }

    /// The point that is nearest to a step.
    fn at(&self, step: f64) -> Option<(f64, f64)> {
        self.points.iter().copied().min_by(|a, b| (a.0 - step).abs().total_cmp(&(b.0 - step).abs()))
    }

    fn extent(&self) -> impl Iterator<Item = f64> + '_ {
        let half = |at: usize| self.band.get(at).copied().unwrap_or(0.0);
        let points = self.points.iter().enumerate().flat_map(move |(at, point)| [point.1 - half(at), point.1 + half(at)]);
        points.chain(self.tested.into_iter().flat_map(|(value, half)| [value - half, value + half]))
    }
}

/// What a chart shows.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its lines; the last is drawn on top.
    pub lines: Vec<Line>,
    /// The step at the right edge.
    pub steps: f64,
    /// The least height of the vertical axis, so that noise does not fill the chart.
    pub least_span: f64,
    /// Values that must be on the axis.
    pub include: Vec<f64>,
    /// The least and the greatest value that there can be: no axis goes on past them.
    pub bounds: (f64, f64),
    /// How the vertical axis is written.
    pub unit: Unit,
}

/// Width of the column of the final test, as a share of that of the steps.
const FINAL_SHARE: f64 = 0.14;

impl Figure {
    /// Whether it shows the final test.
    fn is_tested(&self) -> bool {
        self.lines.iter().any(|line| line.tested.is_some())
    }

    /// Letters that the names at the ends of the lines may have on a chart of this width, in pixels of the type's size.
    fn letters(&self, width: f64) -> usize {
        let longest = self.lines.iter().filter_map(|line| line.name).map(|name| breadth(&say(name))).max().unwrap_or(0);
        longest.min((0.3 * width / LETTER) as usize)
    }

    /// Left and right edge of the plane on a chart of this width, both in pixels of the type's size.
    fn plane(&self, width: f64) -> (f64, f64) {
        (LABELS, width - RIGHT - LETTER * self.letters(width) as f64)
    }

    /// The right edge of the chart, in steps.
    fn right(&self) -> f64 {
        self.steps.max(1.0) * if self.is_tested() { 1.0 + FINAL_SHARE } else { 1.0 }
    }

    /// Where the final test stands, in steps.
    fn tested_at(&self) -> f64 {
        self.steps.max(1.0) * (1.0 + 0.65 * FINAL_SHARE)
    }
}

/// How values are written on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As shares.
    Percent,
    /// With so many decimals.
    Decimals(usize),
}

impl Unit {
    /// A value as a pointer gets it, finer than the axis.
    fn exact(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{:.1} %", 100.0 * value),
            Self::Decimals(_) => format!("{value:.4}").replace('-', "−"),
        }
    }

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
    let (low, high) = (low - missing - margin, high + missing + margin);
    // What a bound takes on one side is given on the other, as far as that side's bound.
    let bounds = figures.iter().map(|figure| figure.bounds).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let (least_value, greatest_value) = bounds.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    let high = high + (least_value - low).max(0.0);
    let low = low - (high - greatest_value).max(0.0);
    (low.max(least_value), high.min(greatest_value))
}

/// A chart that redraws when its figure or the look of the page changes. A pointer gets the values at its step, beside the drawing
/// and not in it: a chart is not drawn anew for every move of a mouse.
#[component]
pub fn Chart(
    /// Its name in lists of charts.
    #[prop(into)]
    title: String,
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
    let shared = move || {
        let own = figure.get_untracked();
        let beside = beside.map(|beside| beside.get_untracked());
        let all: Vec<&Figure> = std::iter::once(&own).chain(beside.as_ref()).collect();
        let range = range(&all);
        (own, range)
    };
    let name = frame::add(move || {
        if let Some(canvas) = canvas.try_get_untracked().flatten() {
            let (figure, range) = shared();
            draw(&canvas, &figure, range, &look.palette.get_untracked());
        }
    });
    let listed = export::list(title, move || {
        let (figure, range) = shared();
        export::Drawn { figure, range, palette: look.palette.get_untracked(), canvas: canvas.try_get_untracked().flatten() }
    });
    on_cleanup(move || {
        frame::remove(name);
        export::unlist(listed);
    });
    Effect::new(move |_| {
        figure.track();
        look.track();
        if canvas.get().is_some() {
            frame::request(name);
        }
    });
    let pointed = RwSignal::new(None::<f64>);
    view! {
        <div
            class="plot"
            on:pointermove=move |event| pointed.set(Some(event.offset_x()))
            on:pointerleave=move |_| pointed.set(None)
        >
            <canvas node_ref=canvas class=class role="img" aria-label=label></canvas>
            {move || {
                let canvas = canvas.get()?;
                let (x, look) = (pointed.get()?, look.palette.get().type_size / 16.0);
                figure.with(|figure| hair(figure, x, f64::from(canvas.client_width()), look))
            }}
        </div>
    }
}

/// A line at the step under the pointer, and the values there.
fn hair(figure: &Figure, x: f64, width: f64, scale: f64) -> Option<AnyView> {
    let (left, right) = figure.plane(width / scale);
    let (left, right) = (left * scale, right * scale);
    let wanted = (x - left) / (right - left).max(1.0) * figure.right();
    if !(0.0..=figure.steps.max(1.0)).contains(&wanted) {
        return None;
    }
    let (step, _) =
        figure.lines.iter().filter_map(|line| line.at(wanted)).min_by(|a, b| (a.0 - wanted).abs().total_cmp(&(b.0 - wanted).abs()))?;
    let value = |line: &Line| {
        let (_, value) = line.at(step)?;
        Some(view! { <span class=line.style.ink.class()>{format!("{} {}", line.tag, figure.unit.exact(value))}</span> })
    };
    let values: Vec<_> = figure.lines.iter().rev().filter_map(value).collect();
    let at = left + step / figure.right() * (right - left);
    let side = if at > 0.5 * width { "values left" } else { "values" };
    Some(
        view! {
            <div class="hair" aria-hidden="true" style:--x=format!("{at:.1}px")>
                <p class=side>
                    <b>{format!("step {}", crate::text::count(step as u64))}</b>
                    {values}
                </p>
            </div>
        }
        .into_any(),
    )
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
        let letters = figure.letters(f64::from(area.dim_in_pixel().0) / self.scale);
        let mut chart = ChartBuilder::on(area)
            .margin_top(self.px(7.0))
            .margin_right(self.px(RIGHT + LETTER * letters as f64))
            .set_label_area_size(LabelAreaPosition::Left, self.px(LABELS))
            .set_label_area_size(LabelAreaPosition::Bottom, self.px(18.0))
            .build_cartesian_2d(0.0..figure.right(), range.0..range.1)?;
        self.axes(area, &mut chart, figure, range)?;
        for line in &figure.lines {
            self.band(&mut chart, line)?;
        }
        for line in &figure.lines {
            self.line(area, &mut chart, line)?;
        }
        self.tests(area, &mut chart, figure, range)?;
        self.names(area, &chart, figure, letters)
    }

    /// Grid and labels are drawn here and not by plotters, which would measure each label in the document.
    fn axes<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
        chart: &mut Plane<'_, DB>,
        figure: &Figure,
        (low, high): (f64, f64),
    ) -> Drawn<DB> {
        let right = figure.right();
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
        let last = if figure.is_tested() { 0.8 * figure.steps } else { figure.steps };
        for x in ticks(0.0, last.max(1.0), columns) {
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
        chart.draw_series([Polygon::new(outline, rgb(line.style.ink.of(self.palette)).mix(0.16))]).map(drop)
    }

    fn line<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
        chart: &mut Plane<'_, DB>,
        line: &Line,
    ) -> Drawn<DB> {
        let colour = rgb(line.style.ink.of(self.palette));
        let style = colour.stroke_width(self.px(line.weight).max(1) as u32);
        let points = line.points.iter().copied();
        match line.style.dash.pattern() {
            None => chart.draw_series(LineSeries::new(points, style))?,
            Some((dash, gap)) => chart.draw_series(DashedLineSeries::new(points, self.px(dash), self.px(gap), style))?,
        };
        // The newest point has a marker, and before it one now and then: a dash alone is hard to follow where lines cross.
        let mut free = i32::MAX;
        for &point in line.points.iter().rev() {
            let at = chart.backend_coord(&point);
            if free == i32::MAX || (line.style.dash != Dash::Solid && at.0 <= free) {
                self.marker(area, line, at)?;
                free = at.0 - self.px(MARKERS_APART);
            }
        }
        Ok(())
    }

    fn marker<DB: DrawingBackend>(&self, area: &DrawingArea<DB, plotters::coord::Shift>, line: &Line, (x, y): (i32, i32)) -> Drawn<DB> {
        let colour = rgb(line.style.ink.of(self.palette)).filled();
        let radius = if line.weight < WEIGHT { 2.8 } else { 3.4 };
        match line.style.marker.corners() {
            [] => area.draw(&Circle::new((x, y), self.px(radius), colour)),
            corners => {
                let corner = |&(dx, dy): &(f64, f64)| (x + self.px(radius * dx), y + self.px(radius * dy));
                area.draw(&Polygon::new(corners.iter().map(corner).collect::<Vec<_>>(), colour))
            }
        }
    }

    /// The final test, in a column of its own behind the last step: a marker for each model, with its interval.
    fn tests<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
        chart: &mut Plane<'_, DB>,
        figure: &Figure,
        (low, high): (f64, f64),
    ) -> Drawn<DB> {
        if !figure.is_tested() {
            return Ok(());
        }
        let grid = rgb(self.palette.muted).stroke_width(self.px(1.0).max(1) as u32);
        let border = figure.steps * (1.0 + 0.25 * FINAL_SHARE);
        chart.draw_series(DashedLineSeries::new([(border, low), (border, high)], self.px(2.0), self.px(3.0), grid))?;
        let font = ("system-ui, sans-serif", 11.0 * self.scale).into_font();
        let style = font.color(&rgb(self.palette.ink)).pos(Pos::new(HPos::Right, VPos::Top));
        let corner = chart.backend_coord(&(figure.right(), low));
        area.draw_text(&say("final test"), &style, (corner.0 + self.px(6.0), corner.1 + self.px(5.0)))?;
        for line in &figure.lines {
            let Some((value, half)) = line.tested else { continue };
            let [low, at, high] = [value - half, value, value + half].map(|value| chart.backend_coord(&(figure.tested_at(), value)));
            let stroke = rgb(line.style.ink.of(self.palette)).stroke_width(self.px(1.5).max(1) as u32);
            let foot = self.px(3.0);
            area.draw(&PathElement::new(vec![low, high], stroke))?;
            for end in [low, high].into_iter().filter(|_| half > 0.0) {
                area.draw(&PathElement::new(vec![(end.0 - foot, end.1), (end.0 + foot, end.1)], stroke))?;
            }
            self.marker(area, line, at)?;
        }
        Ok(())
    }

    /// The lines' names at their ends, moved apart where they would meet; the last line's name is the last to go where there is
    /// no room for all.
    fn names<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, plotters::coord::Shift>,
        chart: &Plane<'_, DB>,
        figure: &Figure,
        letters: usize,
    ) -> Drawn<DB> {
        let height = self.px(NAME_HEIGHT);
        let (top, bottom) = (chart.plotting_area().get_pixel_range().1.start, chart.plotting_area().get_pixel_range().1.end);
        let end = |line: &Line| match line.tested {
            Some((value, _)) => Some((figure.tested_at(), value)),
            None => line.points.last().copied(),
        };
        let mut names: Vec<(&'static str, Colour, (i32, i32))> = figure
            .lines
            .iter()
            .rev()
            .filter_map(|line| Some((line.name?, line.style.ink.of(self.palette), chart.backend_coord(&end(line)?))))
            .take(((bottom - top) / height.max(1)).max(1) as usize)
            .collect();
        names.sort_by_key(|(_, _, (_, y))| *y);
        let mut free = top + height / 2;
        for (_, _, (_, y)) in &mut names {
            *y = (*y).max(free);
            free = *y + height;
        }
        let mut free = bottom - height / 2;
        for (_, _, (_, y)) in names.iter_mut().rev() {
            *y = (*y).min(free);
            free = *y - height;
        }
        let font = ("system-ui, sans-serif", 11.0 * self.scale).into_font();
        for (name, colour, (x, y)) in names {
            let style = font.color(&rgb(colour)).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw_text(&shortened(&say(name), letters), &style, (x + self.px(7.0), y))?;
        }
        Ok(())
    }
}

/// How wide a text is, in letters: those of Chinese are as wide as two.
fn breadth(text: &str) -> usize {
    text.chars().map(wide).sum()
}

fn wide(letter: char) -> usize {
    if letter < '\u{2e80}' { 1 } else { 2 }
}

/// A name of at most so many letters.
fn shortened(name: &str, letters: usize) -> String {
    if breadth(name) <= letters {
        return name.into();
    }
    let mut free = letters.saturating_sub(1);
    let fits = |letter: &char| {
        let fits = wide(*letter) <= free;
        free = free.saturating_sub(wide(*letter));
        fits
    };
    let mut short: String = name.chars().take_while(fits).collect();
    short.truncate(short.trim_end_matches([' ', ',']).len());
    short + "…"
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

/// The sign of a line in a legend.
#[component]
pub fn Swatch(
    /// How the line looks.
    style: Style,
) -> impl IntoView {
    let pattern = style.dash.pattern().map_or_else(|| "none".into(), |(dash, gap)| format!("{dash} {gap}"));
    let marker = match style.marker.corners() {
        [] => view! { <circle cx="14" cy="6" r="3.6" fill="currentColor" /> }.into_any(),
        corners => {
            let points: Vec<String> = corners.iter().map(|(x, y)| format!("{:.1},{:.1}", 14.0 + 3.6 * x, 6.0 + 3.6 * y)).collect();
            view! { <polygon points=points.join(" ") fill="currentColor" /> }.into_any()
        }
    };
    view! {
        <svg class=format!("swatch {}", style.ink.class()) viewBox="0 0 28 12" aria-hidden="true">
            <line x1="1" y1="6" x2="27" y2="6" stroke="currentColor" stroke-width="2.2" stroke-dasharray=pattern />
            {marker}
        </svg>
    }
}

/// A legend entry with the newest figure.
#[component]
pub fn Key(
    /// The line's name.
    name: &'static str,
    /// How it looks.
    style: Style,
    /// Its newest figure.
    #[prop(into)]
    value: Signal<String>,
) -> impl IntoView {
    view! {
        <span class="entry">
            <Swatch style />
            {name}
            " "
            <b>{move || value.get()}</b>
        </span>
    }
}
