//! Records as tables in Markdown: one document for all that was measured on a machine, other programs' figures included.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::launches::Kernel;
use super::measure::{Agreement, FAR, Finding, Replay, Throughput};
use super::record::{Measured, Record};
use crate::cli::text::{NONE, whole};

/// Sizes in the order in which tables show them.
const SIZES: [(&str, &str); 2] =
    [("paper", "Table 3's sizes, tables of 1,000,000 users and 4,160,000 items"), ("browser", "The page's sizes")];
/// Two losses that are this near agree.
const AGREES: f64 = 1e-3;

/// The document.
pub fn markdown(records: &[Record]) -> String {
    let mut out = String::from("# What was measured\n\n");
    provenance(&mut out, records);
    agreement(&mut out, records);
    for (sizes, title) in SIZES {
        throughput(&mut out, records, sizes, title);
        steps(&mut out, records, sizes);
    }
    graphs(&mut out, records);
    hosts(&mut out, records);
    kernels(&mut out, records);
    missing(&mut out, records);
    out
}

fn row(out: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

fn head(out: &mut String, cells: &[&str]) {
    row(out, cells.iter().map(ToString::to_string));
    row(out, cells.iter().map(|_| "---".to_string()));
}

fn section(out: &mut String, title: &str) {
    let _ = write!(out, "\n## {title}\n\n");
}

fn provenance(out: &mut String, records: &[Record]) {
    head(out, &["label", "program", "device", "machine", "date", "command"]);
    for record in records {
        let machine = &record.machine;
        let cards = machine.cards.join("; ");
        let machine = format!("{}, {} threads{}{cards}", machine.processor, machine.threads, if cards.is_empty() { "" } else { "; " });
        let device = format!("{}: {}", record.backend, record.device);
        row(out, [record.label.clone(), record.program.clone(), device, machine, record.date.clone(), format!("`{}`", record.command)]);
    }
}

/// Every finding with its record.
fn findings(records: &[Record]) -> impl Iterator<Item = (&Record, &Measured)> {
    records.iter().flat_map(|record| record.results.iter().map(move |measured| (record, measured)))
}

fn distance(off: f64) -> String {
    if off >= FAR { "not a number".into() } else { format!("{off:.1e}") }
}

fn agreement(out: &mut String, records: &[Record]) {
    let found: Vec<(&Record, &Measured, &Agreement)> = findings(records)
        .filter_map(|(record, measured)| match &measured.finding {
            Finding::Agreement(found) => Some((record, measured, found)),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return;
    }
    section(out, "Agreement with the CPU");
    out.push_str("The largest relative difference of a loss from the CPU's, in the first step and in all of some steps.\n\n");
    head(out, &["label", "sizes", "fusion", "model", "first step", "all steps", "which", ""]);
    for (record, measured, found) in found {
        row(
            out,
            [
                record.label.clone(),
                measured.sizes.clone(),
                if measured.fusion { "on" } else { "off" }.into(),
                found.model.clone(),
                distance(found.first),
                format!("{} in {}", distance(found.all), found.steps),
                found.worst.clone(),
                if found.first <= AGREES && found.all < FAR { "agrees" } else { "DIFFERS" }.into(),
            ],
        );
    }
}

/// The column of a throughput: whose, and in which mode.
fn column(record: &Record, found: &Throughput) -> String {
    match found.mode.as_str() {
        "fused" => record.label.clone(),
        mode => format!("{}, {mode}", record.label),
    }
}

fn of_sizes<'a>(records: &'a [Record], sizes: &'a str) -> impl Iterator<Item = (&'a Record, &'a Measured, &'a Throughput)> {
    findings(records).filter_map(move |(record, measured)| match &measured.finding {
        Finding::Throughput(found) if measured.sizes == sizes => Some((record, measured, found)),
        _ => None,
    })
}

/// Samples a second, a row for each model and batch, a column for each way to run.
fn throughput(out: &mut String, records: &[Record], sizes: &str, title: &str) {
    let mut columns: Vec<String> = Vec::new();
    let mut cells: BTreeMap<(usize, usize), BTreeMap<usize, f64>> = BTreeMap::new();
    let mut models: Vec<&str> = Vec::new();
    for (record, _, found) in of_sizes(records, sizes) {
        let name = column(record, found);
        let at = columns.iter().position(|column| *column == name).unwrap_or_else(|| {
            columns.push(name);
            columns.len() - 1
        });
        let model = models.iter().position(|model| *model == found.model).unwrap_or_else(|| {
            models.push(&found.model);
            models.len() - 1
        });
        cells.entry((model, found.batch)).or_default().insert(at, found.samples_per_second);
    }
    if columns.is_empty() {
        return;
    }
    section(out, &format!("{title}: samples a second"));
    out.push_str("Steps on batches that lie on the device already: forward, backward, Adam, the memories' own steps. Median round.\n\n");
    let titles: Vec<&str> = ["model", "batch"].into_iter().chain(columns.iter().map(String::as_str)).collect();
    head(out, &titles);
    for ((model, batch), figures) in cells {
        let figure = |at: usize| figures.get(&at).map_or_else(|| NONE.into(), |figure| whole(*figure as u64).to_string());
        let figures = (0..columns.len()).map(figure);
        row(out, [models[model].to_string(), whole(batch as u64).to_string()].into_iter().chain(figures));
    }
}

fn optional(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| NONE.into(), |figure| format!("{figure:.digits$}"))
}

/// Where a step's time goes.
fn steps(out: &mut String, records: &[Record], sizes: &str) {
    let mut found = of_sizes(records, sizes).peekable();
    if found.peek().is_none() {
        return;
    }
    out.push_str(
        "\nMilliseconds a step (quartiles), of which the kernels themselves; kernels launched; milliseconds of a thread to plan a \
         batch; milliseconds to move it to the device; samples a second of a run, that is with batches planned ahead, moved, and the memories' \
         clocks; the card's share of the time with a kernel \
         running, by the driver; memory in use and set aside, in GB; seconds until the first steps were done.\n\n",
    );
    head(
        out,
        &[
            "label",
            "model",
            "batch",
            "ms a step",
            "ms on the device",
            "dispatches",
            "ms to plan",
            "ms to move",
            "run, samples/s",
            "busy",
            "GB",
            "first steps",
        ],
    );
    for (record, measured, found) in found {
        let gigabytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1e9);
        let [median, low, high] = found.step_ms;
        row(
            out,
            [
                column(record, found),
                found.model.clone(),
                whole(found.batch as u64).to_string(),
                format!("{median:.2} ({low:.2} to {high:.2})"),
                optional(found.device_ms, 2),
                optional(found.dispatches, 0),
                optional(found.plan_ms, 2),
                optional(found.load_ms, 2),
                found.run_samples_per_second.map_or_else(|| NONE.into(), |rate| whole(rate as u64).to_string()),
                measured.load.map_or_else(|| NONE.into(), |load| format!("{:.0} %", load.busy)),
                found.memory.map_or_else(|| NONE.into(), |[used, held]| format!("{} of {}", gigabytes(used), gigabytes(held))),
                found.first_seconds.map_or_else(|| NONE.into(), |seconds| format!("{seconds:.1} s")),
            ],
        );
    }
}

fn graphs(out: &mut String, records: &[Record]) {
    let eager = |sizes: &str, replay: &Replay, label: &str| {
        let same = of_sizes(records, sizes).find(|(record, _, found)| {
            record.label == label && found.mode == "fused" && found.model == replay.model && found.batch == replay.batch
        });
        same.map(|(_, _, found)| found.samples_per_second)
    };
    let found: Vec<(&Record, &Measured, &Replay)> = findings(records)
        .filter_map(|(record, measured)| match &measured.finding {
            Finding::Graph(found) => Some((record, measured, found)),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return;
    }
    section(out, "Graph replay");
    out.push_str(
        "One recorded step, replayed: what is left when launching costs nothing. Training cannot use it yet, because numbers that the host \
         counts (Adam's corrections) are frozen in it. Tables are small here (20,000 users, 50,000 items).\n\n",
    );
    head(out, &["label", "sizes", "model", "batch", "recorded", "ms a step", "samples/s", "times the step itself"]);
    for (record, measured, found) in found {
        let times = eager(&measured.sizes, found, &record.label).map(|rate| found.samples_per_second / rate);
        row(
            out,
            [
                record.label.clone(),
                measured.sizes.clone(),
                found.model.clone(),
                whole(found.batch as u64).to_string(),
                if found.recorded { "yes" } else { "no: the step ran again" }.into(),
                format!("{:.2}", found.step_ms),
                whole(found.samples_per_second as u64).to_string(),
                optional(times, 2),
            ],
        );
    }
}

fn hosts(out: &mut String, records: &[Record]) {
    let mut first = true;
    for (record, measured) in findings(records) {
        let Finding::Host(found) = &measured.finding else { continue };
        if first {
            section(out, "The host");
            head(out, &["label", "sizes", "rows", "samples a second that one thread makes of rows"]);
            first = false;
        }
        let rate = whole(found.replay_samples_per_second as u64).to_string();
        row(out, [record.label.clone(), measured.sizes.clone(), whole(found.rows).to_string(), rate]);
    }
}

/// The kernels of the largest model's step, where the device timed them.
fn kernels(out: &mut String, records: &[Record]) {
    for (sizes, _) in SIZES {
        for (record, _, found) in of_sizes(records, sizes) {
            if found.kernels.is_empty() || found.device_ms.is_none() || found.batch != 4_096 || found.mode != "fused" {
                continue;
            }
            section(out, &format!("Kernels of a step: {}, {sizes} sizes, {}, batch 4,096", record.label, found.model));
            head(out, &["kernel", "launches", "ms", "share"]);
            for Kernel { name, launches, milliseconds } in &found.kernels {
                let share = milliseconds / found.device_ms.unwrap_or(f64::NAN);
                row(out, [format!("`{name}`"), format!("{launches:.0}"), format!("{milliseconds:.3}"), format!("{:.0} %", 100.0 * share)]);
            }
        }
    }
}

fn missing(out: &mut String, records: &[Record]) {
    if records.iter().all(|record| record.missing.is_empty()) {
        return;
    }
    section(out, "Not measured");
    head(out, &["label", "what", "why"]);
    for record in records {
        for missing in &record.missing {
            let why = missing.why.replace(['\n', '|'], " ").chars().take(300).collect();
            row(out, [record.label.clone(), missing.what.clone(), why]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::example;
    use super::*;

    #[test]
    fn programs_stand_side_by_side_and_nothing_is_left_out() {
        let mut peer = example("peer", 0.5);
        for measured in &mut peer.results {
            if let Finding::Throughput(found) = &mut measured.finding {
                found.mode = "eager".into();
            }
        }
        let text = markdown(&[example("duia", 1.0), peer]);
        for line in [
            "| model | batch | duia | peer, eager |",
            "| ple | 4,096 | 2,000,000 | 1,000,000 |",
            "| duia | paper | on | duia | 1.0e-6 | not a number in 8 | mtl of step 8 | DIFFERS |",
            "| duia | paper | duia | 4,096 | yes | 0.50 | 8,000,000 | 8.00 |",
            "| peer | throughput of UIE | no time was left |",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        let tables = text.lines().filter(|line| line.starts_with('|'));
        assert!(tables.clone().all(|line| line.ends_with('|')) && tables.count() > 20);
    }
}
