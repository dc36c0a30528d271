//! Drawing charts as SVG: curves with bands in one system of axes, and rows of figures with intervals. How a chart is
//! drawn does not depend on what it shows.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

/// A chart could not be drawn.
pub type Undrawn = Box<dyn Error>;

type Drawn<D> = Result<(), DrawingAreaErrorKind<<D as DrawingBackend>::ErrorType>>;

/// Charts side by side at most.
const COLUMNS: usize = 3;

const INK: RGBColor = RGBColor(60, 60, 60);

/// Colours that stay apart for colour-blind eyes (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    INK,
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// The line of a place in a legend: colours first, then the same again, thinner.
pub fn line(place: usize) -> ShapeStyle {
    COLOURS[place % COLOURS.len()].stroke_width(if place < COLOURS.len() { 2 } else { 1 })
}

/// Something that fills a part of a drawing.
pub trait Chart {
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);

    /// Draws it into its part.
    fn draw<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn<D>;
}

/// One system of axes.
pub struct Panel {
    pub title: String,
    pub across: Across,
    /// Whether the axis goes from 0 to 1 instead of where the figures are.
    pub shares: bool,
    pub curves: Vec<Curve>,
}

/// What the horizontal axis is.
#[derive(Clone)]
pub enum Across {
    /// Steps of a run.
    Steps,
    /// Values of a setting, evenly apart in their order; a place's `x` is an index.
    Values {
        /// The setting.
        name: String,
        /// What the values are called.
        labels: Vec<String>,
    },
}

/// One line with a 95 % band where its points have errors, and a closing figure of its own where there is one.
pub struct Curve {
    pub name: String,
    pub line: ShapeStyle,
    pub points: Vec<Place>,
    pub last: Option<Place>,
}

/// A figure and half the width of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub x: f64,
    pub value: f64,
    pub half: f64,
}

impl Place {
    fn low(self) -> (f64, f64) {
        (self.x, self.value - self.half)
    }

    fn high(self) -> (f64, f64) {
        (self.x, self.value + self.half)
    }
}

/// Figures with intervals, one a row, around a line at zero.
pub struct Forest {
    pub title: String,
    /// Name, figure and half the width of its 95 % interval.
    pub rows: Vec<(String, f64, f64)>,
}

/// Charts side by side, three in a row at most.
pub fn svg<C: Chart>(charts: &[C]) -> Result<String, Undrawn> {
    let columns = charts.len().clamp(1, COLUMNS);
    let rows = charts.len().div_ceil(columns).max(1);
    let largest = |side: fn((u32, u32)) -> u32| charts.iter().map(|chart| side(chart.size())).max().unwrap_or(1);
    let mut text = String::new();
    {
        let size = (largest(|size| size.0) * columns as u32, largest(|size| size.1) * rows as u32);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, chart) in root.split_evenly((rows, columns)).iter().zip(charts) {
            chart.draw(area).map_err(|error| error.to_string())?;
        }
        root.present()?;
    }
    Ok(text)
}

impl Chart for Panel {
    fn size(&self) -> (u32, u32) {
        (520, 360)
    }

    fn draw<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn<D> {
        let values = self.value_range();
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .caption(&self.title, ("sans-serif", 17).into_font().color(&INK))
            .x_label_area_size(36)
            .y_label_area_size(58)
            .build_cartesian_2d(self.across.range(self.places()), values.clone())?;
        let decimals = decimals(&values);
        chart
            .configure_mesh()
            .x_desc(self.across.name())
            .x_labels(self.across.labels())
            .y_labels(6)
            .x_label_formatter(&|x| self.across.label(*x))
            .y_label_formatter(&|value| format!("{value:.decimals$}"))
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.12))
            .axis_style(INK.mix(0.5))
            .label_style(("sans-serif", 12).into_font().color(&INK))
            .draw()?;
        for curve in self.curves.iter().filter(|curve| !curve.points.is_empty()) {
            let line = curve.line;
            if curve.points.iter().any(|place| place.half > 0.0) {
                let outline = curve.points.iter().map(|place| place.high()).chain(curve.points.iter().rev().map(|place| place.low()));
                chart.draw_series([Polygon::new(outline.collect::<Vec<_>>(), line.color.mix(0.15).filled())])?;
            }
            chart
                .draw_series(LineSeries::new(curve.points.iter().map(|place| (place.x, place.value)), line))?
                .label(&curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], line));
            if let Some(last) = curve.last {
                chart.draw_series([PathElement::new([last.low(), last.high()], line.color.stroke_width(1))])?;
                chart.draw_series([Circle::new((last.x, last.value), 4, line.color.filled())])?;
            }
        }
        if self.curves.iter().any(|curve| !curve.points.is_empty()) {
            chart
                .configure_series_labels()
                .position(self.free_corner(&values))
                .background_style(WHITE.mix(0.8))
                .label_font(("sans-serif", 13).into_font().color(&INK))
                .draw()?;
        }
        Ok(())
    }
}

impl Panel {
    fn places(&self) -> impl Iterator<Item = Place> {
        self.curves.iter().flat_map(|curve| curve.points.iter().copied().chain(curve.last))
    }

    /// The right corner that the ends of the curves leave free.
    fn free_corner(&self, values: &Range<f64>) -> SeriesLabelPosition {
        let ends: Vec<f64> = self.curves.iter().filter_map(|curve| curve.points.last()).map(|place| place.value).collect();
        let above = ends.iter().sum::<f64>() / ends.len() as f64 > (values.start + values.end) / 2.0;
        if above { SeriesLabelPosition::LowerRight } else { SeriesLabelPosition::UpperRight }
    }

    /// Where the figures are, with room around; shares from 0 to 1 or to the largest figure above.
    fn value_range(&self) -> Range<f64> {
        let around = room(self.places().flat_map(|place| [place.low().1, place.high().1]));
        if self.shares { 0.0..around.end.max(1.02) } else { around }
    }
}

impl Across {
    fn range(&self, places: impl Iterator<Item = Place>) -> Range<f64> {
        match self {
            Self::Steps => 0.0..places.map(|place| place.x).fold(1.0, f64::max) * 1.02,
            Self::Values { labels, .. } => -0.2..labels.len().max(1) as f64 - 0.8,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Steps => "step",
            Self::Values { name, .. } => name,
        }
    }

    fn labels(&self) -> usize {
        match self {
            Self::Steps => 6,
            Self::Values { labels, .. } => labels.len(),
        }
    }

    /// What stands at `x`; nothing between two values.
    fn label(&self, x: f64) -> String {
        match self {
            Self::Steps => format!("{x:.0}"),
            Self::Values { labels, .. } if (x - x.round()).abs() < 1e-6 => labels.get(x.round() as usize).cloned().unwrap_or_default(),
            Self::Values { .. } => String::new(),
        }
    }
}

impl Chart for Forest {
    fn size(&self) -> (u32, u32) {
        (440, 90 + 26 * self.rows.len() as u32)
    }

    fn draw<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn<D> {
        let count = self.rows.len().max(1);
        let across = room(self.rows.iter().flat_map(|(_, value, half)| [value - half, value + half]).chain([0.0]));
        let decimals = decimals(&across);
        // Row r stands at -r, so that the first is on top.
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .caption(&self.title, ("sans-serif", 15).into_font().color(&INK))
            .x_label_area_size(24)
            .y_label_area_size(110)
            .build_cartesian_2d(across, 0.5 - count as f64..0.5)?;
        let name = |y: &f64| self.rows.get((-y).round() as usize).map(|row| row.0.clone()).unwrap_or_default();
        chart
            .configure_mesh()
            .x_labels(5)
            .y_labels(2 * count)
            .x_label_formatter(&|value| format!("{value:+.decimals$}"))
            .y_label_formatter(&|y| if (y - y.round()).abs() < 1e-6 { name(y) } else { String::new() })
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.08))
            .axis_style(INK.mix(0.5))
            .label_style(("sans-serif", 12).into_font().color(&INK))
            .draw()?;
        chart.draw_series([PathElement::new([(0.0, 0.5 - count as f64), (0.0, 0.5)], INK.mix(0.6).stroke_width(1))])?;
        for (row, &(_, value, half)) in self.rows.iter().enumerate().filter(|(_, row)| row.1.is_finite()) {
            let y = -(row as f64);
            chart.draw_series([PathElement::new([(value - half, y), (value + half, y)], line(2))])?;
            chart.draw_series([Circle::new((value, y), 4, line(2).color.filled())])?;
        }
        Ok(())
    }
}

/// From the least to the greatest figure with a little room; 0 to 1 where there is none.
fn room(figures: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) =
        figures.filter(|figure| figure.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), f| (low.min(f), high.max(f)));
    if low > high {
        return 0.0..1.0;
    }
    let room = ((high - low) * 0.05).max(1e-6);
    low - room..high + room
}

/// Decimals that tell the labels of an axis apart.
fn decimals(range: &Range<f64>) -> usize {
    match range.end - range.start {
        wide if wide >= 0.05 => 2,
        wide if wide >= 0.005 => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_labelled_where_they_are_and_rows_from_the_top() {
        let across = Across::Values { name: "width".into(), labels: ["6", "12", "24"].map(String::from).to_vec() };
        assert_eq!([-0.2, 0.0, 0.5, 2.0, 3.0].map(|x| across.label(x)), ["", "6", "", "24", ""]);
        let rows = vec![("DUIA".into(), 0.004, 0.001), ("absent".into(), f64::NAN, f64::NAN)];
        let text = svg(&[Forest { title: "gain".into(), rows }]).unwrap();
        let height = |name: &str| -> u32 {
            let tag = text[..text.find(&format!("\n{name}\n")).unwrap()].rsplit("<text").next().unwrap();
            tag.split(" y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        assert!(height("DUIA") < height("absent") && !text.contains("NaN"));
        assert_eq!(text.matches("<circle").count(), 1);
        let places = (0..3).map(|x| Place { x: f64::from(x), value: 0.5, half: 0.1 }).collect();
        let curve = Curve { name: "DUIA".into(), line: line(1), points: places, last: None };
        let text = svg(&[Panel { title: "t".into(), across, shares: false, curves: vec![curve] }]).unwrap();
        assert!([">\n6\n<", ">\n12\n<", ">\n24\n<"].iter().all(|label| text.contains(label)), "{text}");
    }
}
