//! Finished cells as charts. Bands and lines are the 95 % intervals that the test's users leave.

use duia::config::Negatives;
use duia::metrics::{Earlier, Slice};
use duia::variants::Variant;

use super::super::drawing::{Across, Curve, Forest, Panel, Place, Undrawn, line, svg};
use super::super::series::{earlier_key, slice_key};
use super::super::text::whole;
use super::arguments::Axis;
use super::cell::protocol;
use super::paper;
use super::queue::Done;
use super::statistics::Summary;
use super::tables::{Runs, compared, is_sanity, paper_gains, paper_sweep, protocols, stream, values, variants};

/// The plots of a report, by file name.
pub type Plots = Vec<(String, String)>;

/// Gains of all models beside the paper's, and the ladder's gains over parts of the test.
pub fn of_ablation(done: &[Done]) -> Result<Plots, Undrawn> {
    let mut plots = Vec::new();
    for negatives in protocols(done) {
        let runs = Runs { done, negatives, value: None };
        let key = protocol(negatives).to_lowercase();
        if !compared(done).is_empty() {
            plots.push((format!("gains-{key}.svg"), svg(&gains(runs))?));
            plots.push((format!("parts-{key}.svg"), svg(&parts(runs))?));
        }
    }
    Ok(plots)
}

/// Areas, gains and clusters by value, and the paper's areas in panels of their own.
pub fn of_sweep(axis: Axis, done: &[Done]) -> Result<Plots, Undrawn> {
    let plot = |negatives| Ok((format!("sweep-{}.svg", protocol(negatives).to_lowercase()), svg(&sweep(axis, done, negatives))?));
    protocols(done).into_iter().map(plot).collect()
}

fn half(summary: Summary) -> f64 {
    summary.half_rows().unwrap_or(0.0)
}

/// A row of panels for this data, and one for the paper's.
fn gains(runs: Runs<'_>) -> Vec<Forest> {
    const GROUPS: [(&str, &str); 3] = [("all", "all users"), ("low", "low-active"), ("high", "high-active")];
    let (sanity, papers): (Vec<Variant>, Vec<Variant>) = compared(runs.done).into_iter().partition(|&variant| is_sanity(variant));
    let shown: Vec<Variant> = papers.into_iter().chain(sanity).collect();
    let own = GROUPS.map(|(group, name)| {
        let row = |&variant: &Variant| {
            let summary = runs.summary(|run| run.figure(variant, &format!("test.lift.{group}")));
            (variant.name().to_owned(), summary.mean, half(summary))
        };
        Forest { title: format!("gain over PLE, {name}, {}", stream(runs.done)), rows: shown.iter().map(row).collect() }
    });
    let of_paper = GROUPS.map(|(group, name)| {
        let row = |&variant: &Variant| {
            let gain = match group {
                "all" => variant.row().paper.table_4.zip(Variant::Ple.row().paper.table_4).map(|(own, base)| own - base),
                "low" => paper_gains(variant).0,
                _ => paper_gains(variant).1,
            };
            (variant.name().to_owned(), gain.unwrap_or(f64::NAN), 0.0)
        };
        let data = if group == "all" { "Taobao" } else { "industrial data" };
        Forest { title: format!("the paper, {name}, {data}: compare the shape"), rows: shown.iter().map(row).collect() }
    });
    own.into_iter().chain(of_paper).collect()
}

fn parts(runs: Runs<'_>) -> Vec<Panel> {
    const EARLIER: [Earlier; 5] = [Earlier::None, Earlier::UpTo2, Earlier::UpTo5, Earlier::UpTo10, Earlier::More];
    let earlier = |of: fn(Earlier) -> Slice| EARLIER.map(|step| (earlier_key(step).to_owned(), of(step))).to_vec();
    let deciles = (0..10).map(|decile| ((decile + 1).to_string(), Slice::Decile(decile))).collect();
    let ladder: Vec<Variant> = compared(runs.done).into_iter().filter(|variant| Variant::LADDER.contains(variant)).collect();
    let panel = |(title, name, slices): (&str, &str, Vec<(String, Slice)>)| {
        let curve = |(place, &variant): (usize, &Variant)| {
            let metrics = slices.iter().map(|(_, slice)| format!("test.lift.{}", slice_key(*slice)));
            let summaries = metrics.map(|metric| runs.summary(|run| run.figure(variant, &metric)));
            Curve { name: variant.name().into(), line: line(place + 1), points: places(summaries), last: None }
        };
        Panel {
            title: format!("gain over PLE by {title}, {}", stream(runs.done)),
            shares: false,
            curves: ladder.iter().enumerate().map(curve).collect(),
            across: Across::Values { name: name.into(), labels: slices.iter().map(|(name, _)| name.clone()).collect() },
        }
    };
    [
        ("activity", "tenth of the users, 1 the least active", deciles),
        ("earlier behaviours of the user", "behaviours before the row", earlier(Slice::UserRows)),
        ("earlier rows of the item", "rows of the item before the row", earlier(Slice::ItemRows)),
    ]
    .map(panel)
    .into()
}

/// Figures at their places; those that do not exist are left out.
fn places(summaries: impl Iterator<Item = Summary>) -> Vec<Place> {
    let place = |(x, summary): (usize, Summary)| Place { x: x as f64, value: summary.mean, half: half(summary) };
    summaries.enumerate().map(place).filter(|place| place.value.is_finite()).collect()
}

fn sweep(axis: Axis, done: &[Done], negatives: Negatives) -> Vec<Panel> {
    let values = values(done);
    let labels = values.iter().flatten().map(|&value| whole(value).to_string()).collect();
    let across = Across::Values { name: axis.name().into(), labels };
    let curve = |name: String, place: usize, variant: Variant, metric: &str| {
        let summaries = values.iter().map(|&value| Runs { done, negatives, value }.summary(|run| run.figure(variant, metric)));
        Curve { name, line: line(place), points: places(summaries), last: None }
    };
    let panel = |title: &str, shares: bool, curves: Vec<Curve>| Panel {
        title: format!("{title}, {}", stream(done)),
        across: across.clone(),
        shares,
        curves,
    };
    let by_model = |variants: &[Variant], first: usize, metric: &str| -> Vec<Curve> {
        variants.iter().enumerate().map(|(place, &variant)| curve(variant.name().into(), place + first, variant, metric)).collect()
    };
    let mut panels = vec![
        panel("AUC, low-active", false, by_model(variants(done), 0, "test.auc.low")),
        panel("AUC, high-active", false, by_model(variants(done), 0, "test.auc.high")),
    ];
    let compared = compared(done);
    if !compared.is_empty() {
        for (group, name) in [("all", "all users"), ("low", "low-active"), ("high", "high-active")] {
            let title = format!("gain over PLE, {name}");
            panels.push(panel(&title, false, by_model(&compared, 1, &format!("test.lift.{group}"))));
        }
    }
    let mut shares = Vec::new();
    for &variant in variants(done) {
        for (side, has) in [("users", variant.has_user_centres()), ("items", variant.has_item_centres())] {
            let metrics = [("hit rate 1", "hit_rate_1"), ("perplexity 1", "perplexity_1"), ("largest", "top_share")];
            for (name, metric) in metrics.into_iter().filter(|_| has) {
                let name = format!("{}, {side}: {name}", variant.name());
                shares.push(curve(name, shares.len(), variant, &format!("test.clusters.{side}.{metric}")));
            }
        }
    }
    if !shares.is_empty() {
        panels.push(panel("clusters", true, shares));
    }
    panels.extend(papers(axis));
    panels
}

/// The paper's curves of an axis.
fn papers(axis: Axis) -> Vec<Panel> {
    let panel = |title: String, shares: bool, points: Vec<(u64, f64)>, name: &str| Panel {
        title,
        shares,
        across: Across::Values { name: axis.name().into(), labels: points.iter().map(|(value, _)| whole(*value).to_string()).collect() },
        curves: vec![Curve {
            name: name.into(),
            line: line(1),
            points: points.iter().enumerate().map(|(x, &(_, value))| Place { x: x as f64, value, half: 0.0 }).collect(),
            last: None,
        }],
    };
    if axis == Axis::HitRate {
        return vec![panel("the paper's Table 9, industrial data".into(), true, paper::TABLE_9.into(), "UIE: hit rate")];
    }
    let (number, model, rows) = paper_sweep(axis);
    type Column = (&'static str, fn(&paper::Row) -> (u64, f64));
    let columns: [Column; 2] = [("low-active", |row| (row.0, row.1)), ("high-active", |row| (row.0, row.2))];
    let of_column = |(group, column): Column| {
        panel(format!("the paper's {number}, {group}, industrial data"), false, rows.iter().map(column).collect(), model.name())
    };
    if rows.is_empty() { Vec::new() } else { columns.map(of_column).into() }
}
