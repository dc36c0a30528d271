//! The tables that end a run.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use duia::config::Variant;
use duia::message::{Auc, ByGroup, ClusterHealth, Evaluation, Lift, Origin, Score};

use super::record::Record;
use super::text::{NONE, difference, duration, figure, interval, percent, whole};

/// All of a record that a person wants at the end, as text.
pub fn summary(record: &Record, seconds: f64) -> String {
    let mut parts = vec![String::new()];
    if let Some(evaluation) = &record.evaluation {
        parts.push(scores_title(record, evaluation));
        parts.push(areas(&record.variants, &evaluation.scores).to_string());
        parts.push("GAUC is the mean of the users' own areas. Repeats are items that the user had before.".into());
        parts.push(other_areas(&record.variants, &evaluation.scores).to_string());
    }
    if let Some(health) = &record.clusters {
        parts.push(format!("User clusters of {}, over {} test positives", record.clustering_variant().name(), whole(health.positives)));
        parts.push(clusters(health).to_string());
        parts.push(stops(health));
    }
    parts.push(format!(
        "{} of {} steps, {} samples a model in {}; training alone {} samples/s.",
        whole(record.steps),
        whole(record.planned_steps),
        whole(record.samples),
        duration(seconds),
        whole(record.samples_per_second as u64)
    ));
    parts.join("\n")
}

fn scores_title(record: &Record, evaluation: &Evaluation) -> String {
    let set = if evaluation.whole { "the whole test set" } else { "the panel (the run did not finish)" };
    let synthetic = record.data.as_ref().is_some_and(|data| data.origin == Origin::Synthetic);
    let stream = if synthetic { " of the synthetic stream" } else { "" };
    let Auc { positives, negatives, .. } = evaluation.scores.first().map(|score| score.auc.all).unwrap_or_default();
    format!("AUC on {set}{stream}, {} positives and {} negatives, with 95 % intervals", whole(positives), whole(negatives))
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The areas by group, and below them the paired differences from the first model.
fn areas(variants: &[Variant], scores: &[Score]) -> Table {
    let mut table = table(&["model", "all users", "low-active", "high-active"]);
    let area = |auc: Auc| interval(auc.value, auc.standard_error);
    let lift = |lift: Lift| difference(lift.value, lift.standard_error);
    for (variant, score) in variants.iter().zip(scores) {
        let ByGroup { all, low, high } = score.auc;
        table.add_row([variant.name().into(), area(all), area(low), area(high)]);
    }
    for (variant, score) in variants.iter().zip(scores) {
        if let (Some(ByGroup { all, low, high }), Some(first)) = (score.lift, variants.first()) {
            table.add_row([format!("{} minus {}, paired", variant.name(), first.name()), lift(all), lift(low), lift(high)]);
        }
    }
    table
}

fn other_areas(variants: &[Variant], scores: &[Score]) -> Table {
    let mut table = table(&["model", "GAUC", "without repeats", "items seen in training"]);
    let area = |auc: Auc| interval(auc.value, auc.standard_error);
    for (variant, score) in variants.iter().zip(scores) {
        table.add_row([variant.name().into(), figure(score.gauc), area(score.auc_without_repeats), area(score.auc_seen_items)]);
    }
    table
}

fn clusters(health: &ClusterHealth) -> Table {
    let mut table = table(&["", "level 1", "level 2"]);
    let mut row = |what: &str, level_1: String, level_2: String| {
        table.add_row([what.to_owned(), level_1, level_2]);
    };
    row("hit rate: centres nearest to a positive", percent(health.hit_rate_1), percent(health.hit_rate_2));
    row("perplexity over number of centres", figure(health.perplexity_1), figure(health.perplexity_2));
    row("share of the largest cluster", percent(health.top_share), NONE.into());
    row("squared error relative to one centre", figure(health.relative_error), NONE.into());
    if let (Some(nmi), Some(purity)) = (health.nmi, health.purity) {
        row("NMI with the planted groups", figure(nmi), NONE.into());
        row("purity against the planted groups", percent(purity), NONE.into());
    }
    table
}

fn stops(health: &ClusterHealth) -> String {
    let ByGroup { all, low, high } = health.stopped;
    let shares = [all, low, high].map(percent);
    format!(
        "UIE stopped on a negative correlation for {} of the positives: low-active {}, high-active {}.",
        shares[0], shares[1], shares[2]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_run_shows_every_figure_and_an_empty_one_none() {
        let area = |value| Auc { value, standard_error: 0.001, positives: 1_234, negatives: 1_234 };
        let lift = Lift { value: 0.0044, standard_error: 0.0005 };
        let score = |value, lift| Score {
            auc: ByGroup { all: area(value), low: area(value), high: area(f64::NAN) },
            gauc: 0.7,
            auc_without_repeats: area(0.61),
            auc_seen_items: area(0.62),
            lift,
        };
        let record = Record {
            variants: Variant::ALL.to_vec(),
            steps: 10,
            planned_steps: 10,
            evaluation: Some(Evaluation {
                step: 10,
                whole: true,
                scores: vec![score(0.8836, None), score(0.888, Some(ByGroup { all: lift, low: lift, high: lift }))],
            }),
            clusters: Some(ClusterHealth {
                positives: 1_234,
                hit_rate_1: 0.93,
                nmi: Some(0.5),
                purity: Some(0.75),
                ..ClusterHealth::default()
            }),
            ..Record::default()
        };
        let text = summary(&record, 12.0);
        for part in [
            "0.8836 ± 0.0020",
            "+0.0044 ± 0.0010",
            "PLE+UIE minus PLE, paired",
            "1,234 test positives",
            "93.0 %",
            "75.0 %",
            "low-active 0.0 %",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
        assert!(!summary(&Record::default(), 0.0).contains("AUC"));
    }
}
