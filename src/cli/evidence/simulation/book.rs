//! Simulated seeds as tables, with the figures of the paper's Table 6 beside them.

use duia::simulation::{Group, Metric, MetricReport};
use duia::variants::Variant;

use super::super::super::text::{HALF_95, NONE, whole};
use super::super::statistics::{Estimate, Summary};
use super::super::table::{Fact, Row, Table};
use super::super::tables::Book;
use super::Simulated;

/// The table of what was served.
pub const SERVED: &str = "served";

/// How a change is written, and how its errors are combined.
pub const CHANGE: &str = "Changes are per cent of the first model's mean a user and day, of all users who came: mean ± half the 95 % \
                          interval of a bootstrap over users (over n seeds 1.96 sqrt(sum se²) / n), in brackets half the 95 % t interval \
                          over seeds. The first holds for these models as they were trained; by how much another training differs, \
                          only seeds show.";

const PAPER: &str = "The paper's figures are of real users in a live product: other data, compare the shape.";

/// What the metrics are here.
const METRICS_ARE: &str = "UVC: items taken. UDT: seconds watched. UCC1, UCC2, UCT: different themes, categories and pairs of theme and \
                           style that a user took from in a day.";

/// The metrics in the order of Table 6, with their names.
pub const METRICS: [(Metric, &str); 5] =
    [(Metric::Uvc, "UVC"), (Metric::Udt, "UDT"), (Metric::Ucc1, "UCC1"), (Metric::Ucc2, "UCC2"), (Metric::Uct, "UCT")];

/// The groups with their keys and names.
pub const GROUPS: [(Group, &str, &str); 3] =
    [(Group::Low, "low", "low-active users"), (Group::High, "high", "high-active users"), (Group::New, "new", "new users")];

/// The arms, the baseline first.
pub fn variants(done: &[Simulated]) -> &[Variant] {
    done.first().map_or(&[], |one| &one.config.variants.0)
}

/// The model that changes are from.
pub fn baseline(done: &[Simulated]) -> Option<Variant> {
    variants(done).first().copied()
}

/// The paper's changes of a group, where the baseline is the paper's.
pub fn of_paper(done: &[Simulated], variant: Variant, group: Group) -> Option<[f64; 5]> {
    let (low, high) = variant.row().paper.table_6.filter(|_| baseline(done) == Some(Variant::Ple))?;
    match group {
        Group::Low => Some(low),
        Group::High => high,
        Group::New => None,
    }
}

fn metric(one: &Simulated, arm: usize, group: Group, metric: Metric) -> Option<MetricReport> {
    let of_group = one.simulation.arms.get(arm)?.groups.iter().find(|of| of.group == group)?;
    of_group.metrics.iter().find(|of| of.metric == metric).copied()
}

/// The change of an arm from the first one in one seed. The standard error is that of a normal interval as wide as the
/// bootstrap's.
fn change(one: &Simulated, arm: usize, group: Group, which: Metric) -> Option<Estimate> {
    let change = metric(one, arm, group, which)?.change?;
    Some(Estimate { value: change.percent, standard_error: Some((change.high - change.low) / 2.0 / HALF_95) })
}

/// The change over seeds.
pub fn changes(done: &[Simulated], arm: usize, group: Group, which: Metric) -> Summary {
    Summary::of(done.iter().filter_map(|one| change(one, arm, group, which)))
}

/// All tables, and every figure that went into them.
pub fn of(done: &[Simulated]) -> Book {
    let mut book = Book::default();
    for (group, key, name) in GROUPS {
        let came = done.iter().flat_map(|one| &one.simulation.groups).any(|of| of.group == group && of.users > 0);
        if came && variants(done).len() > 1 {
            change_table(&mut book, done, group, key, name);
        }
    }
    values(&mut book, done);
    served(&mut book, done);
    book
}

fn header(first: String) -> Vec<String> {
    std::iter::once(first).chain(METRICS.map(|(_, name)| name.into())).collect()
}

/// The changes of a group, and the paper's below.
fn change_table(book: &mut Book, done: &[Simulated], group: Group, key: &str, name: &str) {
    let id = format!("table-6-{key}");
    let base = baseline(done).map_or("", Variant::name);
    let (mut rows, mut of_the_paper) = (Vec::new(), Vec::new());
    for (arm, &variant) in variants(done).iter().enumerate().skip(1) {
        let mut cells = vec![variant.name().to_owned()];
        for (which, metric) in METRICS {
            let of = |one: &Simulated| change(one, arm, group, which);
            cells.push(written(measure(book, done, [&id, variant.key(), key, &format!("{metric} change %")], of)));
        }
        rows.push(Row::Cells(cells));
        if let Some(changes) = of_paper(done, variant, group) {
            for ((_, metric), value) in METRICS.into_iter().zip(changes) {
                let at = [&id, variant.key(), key, &format!("{metric} change %")];
                book.facts.push(fact(at, "paper".into(), Estimate { value, standard_error: None }));
            }
            let cells = std::iter::once(variant.name().to_owned()).chain(changes.map(|value| format!("{value:+.2}")));
            of_the_paper.push(Row::Cells(cells.collect()));
        }
    }
    let is_beside = !of_the_paper.is_empty();
    if is_beside {
        rows.push(Row::Rule("the paper, real users: other data, compare the shape".into()));
        rows.append(&mut of_the_paper);
    }
    let title = format!("Table 6 in a simulation: change from {base}, per cent, {name}, synthetic stream");
    let notes = [CHANGE, METRICS_ARE, PAPER];
    let notes = notes[..if is_beside { 3 } else { 2 }].join(" ");
    book.tables.push(Table { id, title, notes, header: header(format!("change from {base}, %")), rows });
}

/// The means themselves.
fn values(book: &mut Book, done: &[Simulated]) {
    const TABLE: &str = "values";
    let mut rows = Vec::new();
    for (group, key, name) in GROUPS {
        let count = |of: fn(&duia::simulation::GroupReport) -> u64| {
            let groups = done.iter().flat_map(|one| &one.simulation.groups).filter(|report| report.group == group);
            whole(groups.map(of).sum()).to_string()
        };
        rows.push(Row::Rule(format!("{name}: {} came in {} sessions", count(|group| group.users), count(|group| group.sessions))));
        for (arm, &variant) in variants(done).iter().enumerate() {
            let mut cells = vec![variant.name().to_owned()];
            for (which, metric_name) in METRICS {
                let of = |one: &Simulated| Some(Estimate { value: metric(one, arm, group, which)?.value, standard_error: None });
                let mean = measure(book, done, [TABLE, variant.key(), key, metric_name], of).mean;
                cells.push(if mean.is_finite() { format!("{mean:.3}") } else { NONE.into() });
            }
            rows.push(Row::Cells(cells));
        }
    }
    let title = "Means a user and day in the simulation, synthetic stream".into();
    let notes = format!("Over the simulated users who came at least once, days without a session included. {METRICS_ARE}");
    book.tables.push(Table { id: TABLE.into(), title, notes, header: header("model".into()), rows });
}

/// What each model did.
fn served(book: &mut Book, done: &[Simulated]) {
    let mut rows = Vec::new();
    for one in done {
        for (arm, variant) in one.simulation.arms.iter().zip(&one.config.variants.0) {
            let steps = if variant.rule().is_some() { NONE.into() } else { whole(arm.steps).to_string() };
            rows.push(Row::Cells(vec![one.config.seed.to_string(), arm.name.clone(), whole(arm.looks).to_string(), steps]));
        }
    }
    let header = ["seed", "model", "items looked at", "training steps"].map(String::from).to_vec();
    let notes = "Steps of the days alone, after those of the stream. How far a user looks does not depend on the model.".into();
    book.tables.push(Table { id: SERVED.into(), title: "What was served in the simulation, synthetic stream".into(), notes, header, rows });
}

/// Writes a figure of every seed and their summary down.
fn measure(book: &mut Book, done: &[Simulated], at: [&str; 4], of: impl Fn(&Simulated) -> Option<Estimate>) -> Summary {
    let figures: Vec<(u64, Estimate)> = done.iter().filter_map(|one| Some((one.config.seed, of(one)?))).collect();
    let summary = Summary::of(figures.iter().map(|figure| figure.1));
    book.facts.extend(figures.into_iter().map(|(seed, estimate)| fact(at, seed.to_string(), estimate)));
    if summary.n > 0 {
        let mean = Estimate { value: summary.mean, standard_error: summary.standard_error };
        book.facts.push(Fact { sd: summary.sd, n: summary.n, ..fact(at, "mean".into(), mean) });
    }
    summary
}

fn fact([table, row, group, metric]: [&str; 4], seed: String, Estimate { value, standard_error }: Estimate) -> Fact {
    let [table, row, group, metric] = [table, row, group, metric].map(String::from);
    Fact { table, row, group, metric, seed, value, sd: None, standard_error, n: 1 }
}

/// A change over seeds with both intervals.
fn written(summary: Summary) -> String {
    if !summary.mean.is_finite() {
        return NONE.into();
    }
    let mut text = format!("{:+.2}", summary.mean);
    if let Some(half) = summary.half_rows() {
        text += &format!(" ± {half:.2}");
    }
    if let Some(half) = summary.half_seeds() {
        text += &format!(" ({half:.2})");
    }
    text
}
