//! The tables that end a run.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use duia::config::Config;
use duia::data::{Origin, Side};
use duia::metrics::{Auc, ByGroup, ClusterHealth, Evaluation, Lift, Score, Slice, collapse, survivors};
use duia::variants::Variant;

use super::record::Record;
use super::text::{NONE, difference, duration, interval, short, whole};

/// A paragraph or a table.
pub enum Part {
    Text(String),
    Table(Box<Table>),
}

/// All of a record of a run of `config` that a person wants at the end, as text.
pub fn summary(record: &Record, config: &Config, seconds: f64) -> String {
    let text = |part| match part {
        Part::Text(text) => text,
        Part::Table(table) => table.to_string(),
    };
    std::iter::once(String::new()).chain(parts(record, config, seconds).into_iter().map(text)).collect::<Vec<_>>().join("\n")
}

/// The same, part by part.
pub fn parts(record: &Record, config: &Config, seconds: f64) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(evaluation) = &record.evaluation {
        parts.push(Part::Text(scores_title(record, evaluation)));
        parts.push(Part::Table(Box::new(areas(&record.variants, &evaluation.scores))));
        if evaluation.scores.iter().any(|score| score.lift.is_some()) {
            parts.push(Part::Table(Box::new(differences(&record.variants, &evaluation.scores))));
            parts.extend(what_survives(&record.variants, &evaluation.scores).map(Part::Text));
        }
        parts.push(Part::Text("GAUC is the mean of the users' own areas. Repeats are items that the user had before.".into()));
        parts.push(Part::Table(Box::new(other_areas(&record.variants, &evaluation.scores))));
        if record.is_tested() && evaluation.scores.iter().any(|score| score.lift.is_some()) {
            parts.push(Part::Text(
                "The same differences over parts of the test; the head is the top tenth of the items by training rows.".into(),
            ));
            parts.push(Part::Table(Box::new(slices(&record.variants, &evaluation.scores))));
        }
    }
    if let Some(streaming) = &record.streaming {
        parts.push(Part::Text("Streaming test: AUC on the same rows once more, each batch scored and then trained on.".into()));
        parts.push(Part::Table(Box::new(areas(&record.variants, &streaming.scores))));
        if streaming.scores.iter().any(|score| score.lift.is_some()) {
            parts.push(Part::Table(Box::new(differences(&record.variants, &streaming.scores))));
        }
    }
    if let Some(ClusterHealth { positives, .. }) = record.clusters.first() {
        parts.push(Part::Text(format!(
            "Clusters over {} test positives. Hit rate: centres nearest to one. Perplexity: over the number of centres.\n\
             Error: squared, relative to one centre. Stopped: positives without enhancement, for a negative correlation.",
            whole(*positives)
        )));
        parts.push(Part::Table(Box::new(clusters(&record.clusters))));
        parts.extend(
            record
                .clusters
                .iter()
                .filter_map(|health| Some(format!("{}: {}", clusters_of(health), collapse(health, config)?)))
                .map(Part::Text),
        );
    }
    let early = if record.is_tested() && record.steps < record.planned_steps { "Ended early: " } else { "" };
    parts.push(Part::Text(format!(
        "{early}{} of {} steps, {} samples a model in {}; training alone {} samples/s.",
        whole(record.steps),
        whole(record.planned_steps),
        whole(record.samples),
        duration(seconds),
        whole(record.samples_per_second as u64)
    )));
    parts
}

fn scores_title(record: &Record, evaluation: &Evaluation) -> String {
    let set = if record.is_tested() { "the whole test set" } else { "the probe set (the whole test set was not scored)" };
    let synthetic = record.data.as_ref().is_some_and(|data| data.origin == Origin::Synthetic);
    let stream = if synthetic { " of the synthetic stream" } else { "" };
    let Auc { positives, negatives, .. } = evaluation.scores.first().map(|score| score.auc.all).unwrap_or_default();
    format!("AUC on {set}{stream}, {} positives, {} negatives, 95 % intervals by user", whole(positives), whole(negatives))
}

/// Names in lines that a terminal holds.
fn wrapped<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const WIDTH: usize = 80;
    let (mut text, mut width) = (String::new(), 0);
    for name in names {
        if !text.is_empty() {
            text.push_str(if width > WIDTH { ",\n" } else { ", " });
            width = if width > WIDTH { 0 } else { width };
        }
        text.push_str(name);
        width += name.chars().count() + 2;
    }
    if text.is_empty() { "none".into() } else { text }
}

/// Which differences of all users from the first model exclude zero together; nothing to say of a single one.
fn what_survives(variants: &[Variant], scores: &[Score]) -> Option<String> {
    let (names, lifts): (Vec<&str>, Vec<Lift>) =
        variants.iter().zip(scores).filter_map(|(variant, score)| Some((variant.name(), score.lift?.all))).unzip();
    let survive = survivors(&lifts);
    let of = |wanted: bool| wrapped(names.iter().zip(&survive).filter(|(_, survives)| **survives == wanted).map(|(name, _)| *name));
    (lifts.len() > 1).then(|| {
        let all = lifts.len();
        format!(
            "All {all} differences of all users together (Bonferroni, 5 %). These exclude zero:\n{}\nThese do not:\n{}",
            of(true),
            of(false)
        )
    })
}

fn table(header: &[&str]) -> Table {
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    of_texts(&header, std::iter::empty())
}

/// A table for the terminal, names on the left and figures on the right.
pub fn of_texts(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.add_rows(rows);
    table
}

/// The areas by group.
fn areas(variants: &[Variant], scores: &[Score]) -> Table {
    let mut table = table(&["model", "all users", "low-active", "high-active"]);
    let area = |auc: Auc| interval(auc.value, auc.standard_error);
    for (variant, score) in variants.iter().zip(scores) {
        let ByGroup { all, low, high } = score.auc;
        table.add_row([variant.name().into(), area(all), area(low), area(high)]);
    }
    table
}

/// The paired differences from the first model, and from the model that each one adds something to.
fn differences(variants: &[Variant], scores: &[Score]) -> Table {
    let mut table = table(&["paired difference", "all users", "low-active", "high-active"]);
    let mut add = |variant: &Variant, from: &Variant, lifts: ByGroup<Lift>| {
        let ByGroup { all, low, high } = lifts;
        let [all, low, high] = [all, low, high].map(|lift| difference(lift.value, lift.standard_error));
        table.add_row([format!("{} minus {}", variant.name(), from.name()), all, low, high]);
    };
    for (variant, score) in variants.iter().zip(scores) {
        if let (Some(lift), Some(first)) = (score.lift, variants.first()) {
            add(variant, first, lift);
        }
    }
    for (variant, score) in variants.iter().zip(scores) {
        if let (Some(lift), Some(parent)) = (score.lift_over_parent, variant.parent()) {
            add(variant, &parent, lift);
        }
    }
    table
}

fn other_areas(variants: &[Variant], scores: &[Score]) -> Table {
    let mut table = table(&["model", "GAUC", "without repeats", "items seen in training"]);
    let area = |auc: Auc| interval(auc.value, auc.standard_error);
    for (variant, score) in variants.iter().zip(scores) {
        let gauc = interval(score.gauc.value, score.gauc.standard_error);
        table.add_row([variant.name().into(), gauc, area(score.auc_without_repeats), area(score.auc_seen_items)]);
    }
    table
}

/// Differences from the first model over the parts that say most about sparse interest; `series.csv` has all.
fn slices(variants: &[Variant], scores: &[Score]) -> Table {
    let mut table = table(&["model", "tail items", "head items", "least active tenth", "most active tenth"]);
    for (variant, score) in variants.iter().zip(scores).filter(|(_, score)| score.lift.is_some()) {
        let cell = |slice: Slice| {
            let lift = score.slices.iter().find(|part| part.slice == slice).and_then(|part| part.lift);
            lift.map_or(NONE.into(), |lift| difference(lift.value, lift.standard_error))
        };
        let [tail, head, least, most] = [Slice::TailItems, Slice::HeadItems, Slice::Decile(0), Slice::Decile(9)].map(cell);
        table.add_row([variant.name().into(), tail, head, least, most]);
    }
    table
}

/// Whose clusters, in words.
fn clusters_of(health: &ClusterHealth) -> String {
    let side = if health.side == Side::Items { ", items" } else { "" };
    format!("{}{side}", health.variant.name())
}

fn clusters(all: &[ClusterHealth]) -> Table {
    let mut table = table(&[
        "clusters of",
        "hit rate\nlevels 1, 2",
        "perplexity\nlevels 1, 2",
        "largest\ncluster",
        "error",
        "NMI,\npurity",
        "stopped\nlow, high",
    ]);
    for health in all {
        let both = |first: f64, second: f64| format!("{}, {}", short(first), short(second));
        table.add_row([
            clusters_of(health),
            both(health.hit_rate_1, health.hit_rate_2),
            both(health.perplexity_1, health.perplexity_2),
            short(health.top_share),
            short(health.relative_error),
            health.nmi.zip(health.purity).map_or(NONE.into(), |(nmi, purity)| both(nmi, purity)),
            both(health.stopped.low, health.stopped.high),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use duia::config::Similarity;
    use duia::variants::Variants;

    #[test]
    fn a_finished_run_shows_every_figure_and_an_empty_one_none() {
        let config = Config { variants: Variants(Variant::ALL.to_vec()), ..Config::default() };
        let mut record = example::record(&config);
        let scores = &mut record.evaluation.as_mut().unwrap().scores;
        scores[1].auc.high.value = f64::NAN;
        let duia = config.variants.0.iter().position(|&variant| variant == Variant::Duia).unwrap();
        scores[duia].lift_over_parent = scores[1].lift;
        let text = summary(&record, &config, 12.0);
        for part in [
            "0.8000 ± 0.0020",
            "+0.0040 ± 0.0010",
            "Streaming test",
            "0.8500 ± 0.0020",
            "+0.0060 ± 0.0010",
            "DUIA u+i minus popularity",
            "DUIA minus UIE+UPBE",
            "1,234 test positives",
            "0.93, 0.50",
            "0.03, 0.01",
            "10 of 10 steps",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
        assert!(!text.contains("Collapse"));
        assert!(!summary(&Record::default(), &config, 0.0).contains("AUC"));
    }

    #[test]
    fn a_collapse_is_said_below_the_table_of_its_figures() {
        let config = Config { similarity: Similarity::Dot, reseed: false, ..Config::default() };
        let mut record = example::record(&config);
        record.clusters[0] = ClusterHealth { top_share: 0.65, hit_rate_1: 0.07, perplexity_1: 0.07, ..record.clusters[0].clone() };
        let text = summary(&record, &config, 12.0);
        let (table, sentence) = text.split_once("DUIA: Collapse: 65 % of the test positives").unwrap();
        assert!(table.contains("0.07, 0.25") && sentence.contains("93 % of the centres are unused. Turn on re-seeding"), "{text}");
        assert_eq!(text.matches("Collapse").count(), 1, "the items' clusters are healthy");
    }
}
