//! The plots of a run folder: `auc.svg`, `losses.svg` and `clusters.svg`.
//!
//! A plot is panels of curves; how a panel is drawn does not depend on what it shows.

use std::error::Error;
use std::ops::Range;

use duia::config::Variant;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::record::Record;
use super::series::{Point, Series};
use super::text::HALF_95;

/// A plot could not be drawn.
type Undrawn = Box<dyn Error>;

/// Most points of a curve: losses of single batches are means over spans beyond that.
const POINTS: usize = 300;

const PANEL: (u32, u32) = (520, 360);

/// Colours that stay apart for colour-blind eyes (Okabe and Ito).
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const INK: RGBColor = RGBColor(60, 60, 60);

/// Everything that is drawn of a run, by file name.
pub fn all(record: &Record) -> Result<Vec<(&'static str, String)>, Undrawn> {
    Ok(vec![("auc.svg", svg(&areas(record))?), ("losses.svg", svg(&losses(record))?), ("clusters.svg", svg(&clusters(record))?)])
}

/// One system of axes.
struct Panel {
    title: &'static str,
    /// Whether the axis goes from 0 to 1 instead of where the figures are.
    shares: bool,
    curves: Vec<Curve>,
}

/// One line over steps, with a 95 % band where its points have errors, and a closing figure of its own where there is one.
struct Curve {
    name: String,
    colour: RGBColor,
    points: Vec<Place>,
    last: Option<Place>,
}

/// A figure at a step and half the width of its 95 % interval.
#[derive(Clone, Copy)]
struct Place {
    step: f64,
    value: f64,
    half: f64,
}

impl Place {
    fn low(self) -> (f64, f64) {
        (self.step, self.value - self.half)
    }

    fn high(self) -> (f64, f64) {
        (self.step, self.value + self.half)
    }
}

fn colour(place: usize) -> RGBColor {
    [INK, ORANGE, BLUE, GREEN][place % 4]
}

fn places<'a>(points: impl Iterator<Item = &'a Point>) -> Vec<Place> {
    let place = |point: &Point| Place {
        step: point.step as f64,
        value: point.value,
        half: point.standard_error.filter(|error| error.is_finite()).map_or(0.0, |error| HALF_95 * error),
    };
    points.filter(|point| point.value.is_finite()).map(place).collect()
}

/// The curve of a metric, thinned to means over equal spans.
fn curve(series: &Series, name: impl Into<String>, colour: RGBColor, variant: Variant, metric: &str) -> Curve {
    let points = places(series.of(variant, metric));
    let mean = |span: &[Place]| {
        let of = |part: fn(&Place) -> f64| span.iter().map(part).sum::<f64>() / span.len() as f64;
        Place { step: of(|place| place.step), value: of(|place| place.value), half: of(|place| place.half) }
    };
    let points = points.chunks(points.len().div_ceil(POINTS).max(1)).map(mean).collect();
    Curve { name: name.into(), colour, points, last: None }
}

fn areas(record: &Record) -> Vec<Panel> {
    [
        ("AUC of low-active users: panel, and at the end the test set", "low"),
        ("AUC of high-active users: panel, and at the end the test set", "high"),
    ]
    .map(|(title, group)| {
        let of_variant = |(place, &variant): (usize, &Variant)| Curve {
            last: places(record.series.of(variant, &format!("test.auc.{group}"))).pop(),
            ..curve(&record.series, variant.name(), colour(place), variant, &format!("panel.auc.{group}"))
        };
        Panel { title, shares: false, curves: record.variants.iter().enumerate().map(of_variant).collect() }
    })
    .into()
}

fn losses(record: &Record) -> Vec<Panel> {
    [
        ("loss of the tasks", &["loss.mtl"][..]),
        ("loss of the auxiliary model, Eq. 1", &["loss.auxiliary"]),
        ("losses of the clusters, Eq. 4 and 5", &["loss.uie_1", "loss.uie_2"]),
    ]
    .map(|(title, metrics)| {
        let mut curves = Vec::new();
        for (place, &variant) in record.variants.iter().enumerate() {
            for (level, &metric) in metrics.iter().enumerate() {
                let name = if metrics.len() > 1 { format!("{}, level {}", variant.name(), level + 1) } else { variant.name().into() };
                curves.push(curve(&record.series, name, colour(place + level), variant, metric));
            }
        }
        Panel { title, shares: false, curves }
    })
    .into()
}

fn clusters(record: &Record) -> Vec<Panel> {
    let variant = record.clustering_variant();
    [
        ("hit rate", &[("level 1", "hit_rate_1"), ("level 2", "hit_rate_2")][..]),
        ("perplexity over number of centres", &[("level 1", "perplexity_1"), ("level 2", "perplexity_2")]),
        ("share of positives for which UIE stopped", &[("low-active", "stopped.low"), ("high-active", "stopped.high")]),
        ("share and error", &[("largest cluster", "top_share"), ("squared error relative to one centre", "relative_error")]),
        ("agreement with the planted groups", &[("NMI", "nmi"), ("purity", "purity")]),
    ]
    .into_iter()
    .map(|(title, metrics)| {
        let curves = metrics
            .iter()
            .enumerate()
            .map(|(place, (name, metric))| curve(&record.series, *name, colour(place + 1), variant, &format!("panel.clusters.{metric}")));
        Panel { title, shares: true, curves: curves.collect() }
    })
    .filter(|panel| panel.title != "agreement with the planted groups" || panel.curves.iter().any(|curve| !curve.points.is_empty()))
    .collect()
}

/// Panels side by side, three in a row at most.
fn svg(panels: &[Panel]) -> Result<String, Undrawn> {
    let columns = panels.len().clamp(1, 3);
    let rows = panels.len().div_ceil(columns).max(1);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (PANEL.0 * columns as u32, PANEL.1 * rows as u32)).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, panel) in root.split_evenly((rows, columns)).iter().zip(panels) {
            draw(area, panel).map_err(|error| error.to_string())?;
        }
        root.present()?;
    }
    Ok(text)
}

fn draw<D: DrawingBackend>(area: &DrawingArea<D, Shift>, panel: &Panel) -> Result<(), DrawingAreaErrorKind<D::ErrorType>> {
    let (steps, values) = (step_range(panel), value_range(panel));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(panel.title, ("sans-serif", 17).into_font().color(&INK))
        .x_label_area_size(36)
        .y_label_area_size(52)
        .build_cartesian_2d(steps, values.clone())?;
    let decimals = if values.end - values.start < 0.05 { 3 } else { 2 };
    chart
        .configure_mesh()
        .x_desc("step")
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|step| format!("{step:.0}"))
        .y_label_formatter(&|value| format!("{value:.decimals$}"))
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.5))
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .draw()?;
    for curve in panel.curves.iter().filter(|curve| !curve.points.is_empty()) {
        let colour = curve.colour;
        if curve.points.iter().any(|place| place.half > 0.0) {
            let outline = curve.points.iter().map(|place| place.high()).chain(curve.points.iter().rev().map(|place| place.low()));
            chart.draw_series([Polygon::new(outline.collect::<Vec<_>>(), colour.mix(0.15).filled())])?;
        }
        chart
            .draw_series(LineSeries::new(curve.points.iter().map(|place| (place.step, place.value)), colour.stroke_width(2)))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        if let Some(last) = curve.last {
            chart.draw_series([PathElement::new([last.low(), last.high()], colour.stroke_width(1))])?;
            chart.draw_series([Circle::new((last.step, last.value), 4, colour.filled())])?;
        }
    }
    if panel.curves.iter().any(|curve| !curve.points.is_empty()) {
        chart
            .configure_series_labels()
            .position(free_corner(panel, &values))
            .background_style(WHITE.mix(0.8))
            .label_font(("sans-serif", 13).into_font().color(&INK))
            .draw()?;
    }
    Ok(())
}

fn all_places(panel: &Panel) -> impl Iterator<Item = Place> {
    panel.curves.iter().flat_map(|curve| curve.points.iter().copied().chain(curve.last))
}

/// The right corner that the ends of the curves leave free.
fn free_corner(panel: &Panel, values: &Range<f64>) -> SeriesLabelPosition {
    let ends: Vec<f64> = panel.curves.iter().filter_map(|curve| curve.points.last()).map(|place| place.value).collect();
    let above = ends.iter().sum::<f64>() / ends.len() as f64 > (values.start + values.end) / 2.0;
    if above { SeriesLabelPosition::LowerRight } else { SeriesLabelPosition::UpperRight }
}

fn step_range(panel: &Panel) -> Range<f64> {
    0.0..all_places(panel).map(|place| place.step).fold(1.0, f64::max) * 1.02
}

/// Where the figures are, with room around; shares from 0 to 1 or to the largest figure above.
fn value_range(panel: &Panel) -> Range<f64> {
    let low = all_places(panel).map(|place| place.low().1).fold(f64::INFINITY, f64::min);
    let high = all_places(panel).map(|place| place.high().1).fold(f64::NEG_INFINITY, f64::max);
    if panel.shares {
        return 0.0..high.max(1.0) * 1.02;
    }
    if low > high {
        return 0.0..1.0;
    }
    let room = ((high - low) * 0.05).max(1e-6);
    low - room..high + room
}

#[cfg(test)]
mod tests {
    use super::*;
    use duia::message::{Auc, ByGroup, ClusterHealth, Evaluation, Event, Losses, Score};

    #[test]
    fn an_empty_run_and_figures_that_do_not_exist_can_be_drawn() {
        let mut record = Record::default();
        assert_eq!(all(&record).unwrap().len(), 3);
        record.take(Event::Ready { variants: Variant::ALL.to_vec(), steps: 1, panel_positives: 1 });
        let missing = Auc { value: f64::NAN, standard_error: f64::NAN, ..Auc::default() };
        let score = Score { auc: ByGroup { all: missing, low: missing, high: Auc { value: 0.5, ..missing } }, ..Score::default() };
        record.take(Event::Losses { step: 1, losses: vec![Losses { mtl: f32::INFINITY, ..Losses::default() }; 2] });
        record.take(Event::Evaluation(Evaluation { step: 1, whole: false, scores: vec![score.clone(), score.clone()] }));
        record.take(Event::Clusters(ClusterHealth { relative_error: f64::NAN, nmi: Some(f64::NAN), ..ClusterHealth::default() }));
        record.take(Event::Evaluation(Evaluation { step: 1, whole: true, scores: vec![score.clone(), score] }));
        for (name, text) in all(&record).unwrap() {
            assert!(text.starts_with("<svg") && text.contains("</svg>") && !text.contains("NaN"), "{name}");
        }
    }

    #[test]
    fn long_curves_are_thinned_to_means() {
        let mut series = Series::default();
        for step in 0..10_000 {
            series.add_losses(&[Variant::Ple], step, &[Losses { mtl: (step % 2) as f32, ..Losses::default() }]);
        }
        let thin = curve(&series, "", INK, Variant::Ple, "loss.mtl");
        assert!(thin.points.len() <= POINTS && thin.points.iter().all(|place| (place.value - 0.5).abs() < 0.02));
    }
}
