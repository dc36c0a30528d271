//! Simulated changes as charts, and the paper's below: one file a metric.

use super::super::super::drawing::{Forest, Undrawn, svg};
use super::super::plots::Plots;
use super::Simulated;
use super::book::{GROUPS, METRICS, baseline, changes, of_paper, variants};

/// The plots of a report, by file name. Lines are the 95 % intervals of the bootstrap over users.
pub fn of(done: &[Simulated]) -> Result<Plots, Undrawn> {
    let compared = if variants(done).len() > 1 { &METRICS[..] } else { &[] };
    let plot =
        |(place, &(_, name)): (usize, &(_, &str))| Ok((format!("simulation-{}.svg", name.to_lowercase()), svg(&forests(done, place))?));
    compared.iter().enumerate().map(plot).collect()
}

/// The groups of a metric, then the paper's.
fn forests(done: &[Simulated], place: usize) -> Vec<Forest> {
    let (metric, name) = METRICS[place];
    let base = baseline(done).map_or("", |variant| variant.name());
    let own = GROUPS.iter().map(|&(group, _, users)| {
        let row = |(arm, variant): (usize, &duia::variants::Variant)| {
            let summary = changes(done, arm, group, metric);
            (variant.name().to_owned(), summary.mean, summary.half_rows().unwrap_or(0.0))
        };
        let rows = variants(done).iter().enumerate().skip(1).map(row).collect();
        Forest { title: format!("simulation: {name}, % from {base}, {users}"), rows }
    });
    let papers = GROUPS.iter().map(|&(group, _, users)| {
        let row = |&variant: &duia::variants::Variant| Some((variant.name().to_owned(), of_paper(done, variant, group)?[place], 0.0));
        let rows = variants(done).iter().skip(1).filter_map(row).collect();
        Forest { title: format!("the paper, real users, {users}: compare the shape"), rows }
    });
    own.chain(papers.filter(|forest| !forest.rows.is_empty())).collect()
}
