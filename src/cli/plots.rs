//! The plots of a run folder: `auc.svg`, `losses.svg` and `clusters.svg`.

use duia::variants::Variant;
use plotters::style::ShapeStyle;

use super::drawing::{Across, Curve, Panel, Place, Undrawn, line, svg};
use super::record::Record;
use super::series::{Point, Series, side_key};
use super::text::HALF_95;

/// Most points of a curve: losses of single batches are means over spans beyond that.
const POINTS: usize = 300;

/// Everything that is drawn of a run, by file name.
pub fn all(record: &Record) -> Result<Vec<(&'static str, String)>, Undrawn> {
    Ok(vec![("auc.svg", svg(&areas(record))?), ("losses.svg", svg(&losses(record))?), ("clusters.svg", svg(&clusters(record))?)])
}

fn panel(title: &str, shares: bool, curves: Vec<Curve>) -> Panel {
    Panel { title: title.into(), across: Across::Steps, shares, curves }
}

fn places<'a>(points: impl Iterator<Item = &'a Point>) -> Vec<Place> {
    let place = |point: &Point| Place {
        x: point.step as f64,
        value: point.value,
        half: point.standard_error.filter(|error| error.is_finite()).map_or(0.0, |error| HALF_95 * error),
    };
    points.filter(|point| point.value.is_finite()).map(place).collect()
}

/// The curve of a metric, thinned to means over equal spans.
fn curve(series: &Series, name: impl Into<String>, line: ShapeStyle, variant: Variant, metric: &str) -> Curve {
    let points = places(series.of(variant, metric));
    let mean = |span: &[Place]| {
        let of = |part: fn(&Place) -> f64| span.iter().map(part).sum::<f64>() / span.len() as f64;
        Place { x: of(|place| place.x), value: of(|place| place.value), half: of(|place| place.half) }
    };
    let points = points.chunks(points.len().div_ceil(POINTS).max(1)).map(mean).collect();
    Curve { name: name.into(), line, points, last: None }
}

fn areas(record: &Record) -> Vec<Panel> {
    [
        ("AUC of low-active users: probe set, and at the end the test set", "low"),
        ("AUC of high-active users: probe set, and at the end the test set", "high"),
    ]
    .map(|(title, group)| {
        let of_variant = |(place, &variant): (usize, &Variant)| Curve {
            last: places(record.series.of(variant, &format!("test.auc.{group}"))).pop(),
            ..curve(&record.series, variant.name(), line(place), variant, &format!("panel.auc.{group}"))
        };
        panel(title, false, record.variants.iter().enumerate().map(of_variant).collect())
    })
    .into()
}

/// A panel for each loss that a model of the run has; that of the tasks always.
fn losses(record: &Record) -> Vec<Panel> {
    [
        ("loss of the tasks", "loss_mtl"),
        ("auxiliary model, Eq. 1", "loss_auxiliary"),
        ("UIE, level 1, Eq. 4", "loss_uie_l1"),
        ("UIE, level 2, Eq. 5", "loss_uie_l2"),
        ("UPBE, level 1, Eq. 9", "loss_upbe_l1"),
        ("UPBE, level 2, Eq. 10", "loss_upbe_l2"),
        ("UHSE, level 1, Eq. 13", "loss_uhse_l1"),
        ("UHSE, level 2, Eq. 14", "loss_uhse_l2"),
        ("UPBE of items, level 1", "loss_items_l1"),
        ("UPBE of items, level 2", "loss_items_l2"),
        ("added loss of PLE+CL and PLE+TL", "loss_adaptation"),
    ]
    .into_iter()
    .map(|(title, metric)| {
        let of_variant = |(place, &variant): (usize, &Variant)| curve(&record.series, variant.name(), line(place), variant, metric);
        (metric, panel(title, false, record.variants.iter().enumerate().map(of_variant).collect()))
    })
    .filter(|(metric, panel)| *metric == "loss_mtl" || has_points(panel))
    .map(|(_, panel)| panel)
    .collect()
}

fn clusters(record: &Record) -> Vec<Panel> {
    const PLANTED: [&str; 2] = ["nmi", "purity"];
    [
        ("hit rate, level 1", "hit_rate_1"),
        ("hit rate, level 2", "hit_rate_2"),
        ("perplexity over number of centres, level 1", "perplexity_1"),
        ("perplexity over number of centres, level 2", "perplexity_2"),
        ("share of the largest cluster", "top_share"),
        ("squared error relative to one centre", "relative_error"),
        ("share of low-active positives without a centre", "stopped.low"),
        ("share of high-active positives without a centre", "stopped.high"),
        ("NMI with the planted groups", PLANTED[0]),
        ("purity against the planted groups", PLANTED[1]),
    ]
    .into_iter()
    .map(|(title, metric)| {
        let of_clusters = record.clusters.iter().enumerate().map(|(place, health)| {
            let side = side_key(health.side);
            let name = format!("{}, {side}", health.variant.name());
            curve(&record.series, name, line(place + 1), health.variant, &format!("panel.clusters.{side}.{metric}"))
        });
        (metric, panel(title, true, of_clusters.collect()))
    })
    .filter(|(metric, panel)| !PLANTED.contains(metric) || has_points(panel))
    .map(|(_, panel)| panel)
    .collect()
}

fn has_points(panel: &Panel) -> bool {
    panel.curves.iter().any(|curve| !curve.points.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use duia::data::Side;
    use duia::metrics::{Auc, ByGroup, ClusterHealth, Evaluation, Score, TestKind};
    use duia::wire::Event;

    #[test]
    fn an_empty_run_and_figures_that_do_not_exist_can_be_drawn() {
        let mut record = Record::default();
        assert_eq!(all(&record).unwrap().len(), 3);
        record.take(Event::Ready { variants: Variant::ALL.to_vec(), steps: 1, probe_positives: 1, losses: Vec::new() });
        let missing = Auc { value: f64::NAN, standard_error: f64::NAN, ..Auc::default() };
        let score = Score { auc: ByGroup { all: missing, low: missing, high: Auc { value: 0.5, ..missing } }, ..Score::default() };
        let scores = vec![score; Variant::ALL.len()];
        record.take(Event::Losses { step: 1, losses: vec![[("loss_mtl", f32::INFINITY)].into_iter().collect(); Variant::ALL.len()] });
        record.take(Event::Evaluation(Evaluation { step: 1, kind: TestKind::ProbeSet, scores: scores.clone() }));
        let health = example::health(Variant::Duia, Side::Items);
        record.take(Event::Clusters(ClusterHealth { relative_error: f64::NAN, nmi: Some(f64::NAN), ..health }));
        record.take(Event::Evaluation(Evaluation { step: 1, kind: TestKind::Whole, scores }));
        for (name, text) in all(&record).unwrap() {
            assert!(text.starts_with("<svg") && text.contains("</svg>") && !text.contains("NaN"), "{name}");
        }
        assert!(all(&record).unwrap()[2].1.contains("DUIA, items"));
    }

    #[test]
    fn long_curves_are_thinned_to_means() {
        let mut series = Series::default();
        for step in 0..10_000 {
            series.add_losses(&[Variant::Ple], step, &[[("loss_mtl", (step % 2) as f32)].into_iter().collect()]);
        }
        let thin = curve(&series, "", line(0), Variant::Ple, "loss_mtl");
        assert!(thin.points.len() <= POINTS && thin.points.iter().all(|place| (place.value - 0.5).abs() < 0.02));
    }
}
