//! What the models win of what those win that are told the truth: a table for each such ceiling.

use duia::config::Negatives;
use duia::variants::Variant;

use super::super::super::text::NONE;
use super::super::arguments::Axis;
use super::super::cell::Finished;
use super::super::queue::Done;
use super::super::statistics::{Gains, Summary};
use super::{At, Book, Row, Runs, by_value, compared, lift, table_id, variants};

/// The parts of the test that a share is of, and their columns.
const PARTS: [(&str, &str); 10] = [
    ("all", "all"),
    ("low", "low-active"),
    ("high", "high-active"),
    ("without_repeats", "without repeats"),
    ("seen_and_new", "seen, new to the user"),
    ("user_rows.0", "0 behaviours"),
    ("user_rows.1-2", "1-2"),
    ("user_rows.3-5", "3-5"),
    ("user_rows.6-10", "6-10"),
    ("user_rows.0-10", "0-10"),
];

impl Book {
    /// A table for each ceiling that raced, by value where there is an axis.
    pub(super) fn headroom(&mut self, axis: Option<Axis>, done: &[Done], negatives: Negatives) {
        let has_baseline = !compared(done).is_empty();
        for &ceiling in variants(done).iter().filter(|variant| has_baseline && variant.is_told()) {
            self.headroom_below(ceiling, axis, Runs { done, negatives, value: None });
        }
    }

    fn headroom_below(&mut self, ceiling: Variant, axis: Option<Axis>, all: Runs<'_>) {
        let id = format!("headroom-{}", ceiling.key());
        let table = table_id(&axis.map_or(id.clone(), |axis| format!("sweep-{}-{id}", axis.key())), all);
        let rows = by_value(axis, all, |runs, variant| {
            let row = super::row_key(runs.value, variant.key());
            let cell = |(part, _): &(&str, &str)| self.share_or_gain(At(&table, &row, part, ""), runs, ceiling, variant);
            std::iter::once(variant.name().into()).chain(PARTS.iter().map(cell)).collect()
        });
        let first = if axis.is_some() { 2 } else { 1 };
        let is_shown = |row: &Row| !matches!(row, Row::Cells(cells) if cells[first..].iter().all(|cell| cell == NONE));
        let rows = rows.into_iter().filter(|row| is_shown(row)).collect();
        let name = ceiling.name();
        let notes = format!(
            "The row of {name} is its difference from PLE, the headroom; the others are shares of it, a model's mean gain over the \
             ceiling's: ± half the 95 % interval that the test's users leave (clustered by user, both gains being of the same rows), in \
             brackets half the 95 % t interval over seeds. Where the users' interval of the headroom holds zero no share is told. The last \
             columns are users by earlier behaviours."
        );
        let names = ["model"].into_iter().chain(PARTS.map(|(_, title)| title));
        let header: Vec<&str> = axis.map(Axis::name).into_iter().chain(names).collect();
        let title = axis.map_or(String::new(), |axis| format!(", by {}", axis.name()));
        self.push(all, &table, &format!("Share of the headroom that {name} shows{title}"), &notes, &header, rows);
    }

    /// The ceiling's gain in its own row, else the share of it; nothing for PLE and for what is told more.
    fn share_or_gain(&mut self, At(table, row, part, _): At<'_>, runs: Runs<'_>, ceiling: Variant, variant: Variant) -> String {
        let gain_of = |run: &Finished, of: Variant| run.figure(of, &format!("test.lift.{part}"));
        if variant == ceiling {
            return lift(self.measure(At(table, row, part, "lift"), runs, |run| gain_of(run, ceiling)));
        }
        if variant == Variant::Ple || variant.is_told() || variant.rule().is_some() {
            return NONE.into();
        }
        let stored = |run: &Finished| run.figure(variant, &format!("test.share.{}.{part}", ceiling.key()));
        let headroom = runs.summary(|run| gain_of(run, ceiling));
        let gains = runs.iter().filter_map(|done| {
            let run = &done.result;
            Some(Gains { own: gain_of(run, variant)?, ceiling: gain_of(run, ceiling)?, share: stored(run) })
        });
        let summary = Summary::of_shares(gains);
        if headroom.mean > 0.0 && headroom.excludes_zero(1)[0] {
            text(self.note(At(table, row, part, "share"), runs, stored, summary))
        } else {
            NONE.into()
        }
    }
}

/// A share over seeds with both intervals, in per cent.
fn text(summary: Summary) -> String {
    if !summary.mean.is_finite() {
        return NONE.into();
    }
    let mut text = format!("{:.0} %", 100.0 * summary.mean);
    if let Some(half) = summary.half_rows() {
        text += &format!(" ± {:.0}", 100.0 * half);
    }
    if let Some(half) = summary.half_seeds() {
        text += &format!(" ({:.0})", 100.0 * half);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::{done, row, table};
    use super::*;

    #[test]
    fn what_is_won_of_the_headroom_has_a_table_for_each_ceiling() {
        let book = Book::of_ablation(&done(&[Variant::Ple, Variant::Group, Variant::Uie], &[None]));
        let of_group = table(&book, "headroom-ple-group-u1");
        // Gains of .004 and .006 told, of .008 and .010 not: .018 of .010. Users: the stored errors of .04 of .004 and of .006,
        // 1.96 sqrt(.00016^2 + .00024^2) / .010; seeds: .008 - 1.8 * .004 and .010 - 1.8 * .006 are ±.0008, t 12.706 * .0008 / .005.
        let share = "180 % ± 6 (203)";
        let shares = |name: &str| row(of_group, name);
        assert_eq!(shares("UIE")[..5], ["UIE", share, share, share, share]);
        assert_eq!(shares("UIE")[5..], [NONE; 6], "the example has no such parts");
        assert_eq!(shares("PLE, told groups")[1..3], ["+0.0050 ± 0.0007 (0.0127)"; 2]);
        assert!(of_group.rows.iter().all(|row| !matches!(row, Row::Cells(cells) if cells[0] == "PLE")));
        let fact = |seed: &str, value: f64| {
            book.facts.iter().any(|fact| {
                fact.metric == "share" && fact.row == "uie" && fact.group == "low" && fact.seed == seed && (fact.value - value).abs() < 1e-9
            })
        };
        assert!(fact("7", 0.5) && fact("mean", 1.8), "{:?}", book.facts.iter().filter(|fact| fact.metric == "share").collect::<Vec<_>>());
        assert!(!book.tables.iter().any(|table| table.id.contains("ple-posterior")), "none raced");
    }

    #[test]
    fn a_sweep_has_shares_by_value_and_none_where_there_is_no_headroom() {
        let mut cells = done(&[Variant::Ple, Variant::Group, Variant::Uie], &[Some(5), Some(50)]);
        for cell in cells.iter_mut().filter(|cell| cell.cell.value == Some(50)) {
            let told = cell.result.figures.iter_mut().filter(|point| point.variant == Variant::Group && point.metric.contains(".lift."));
            told.for_each(|point| point.value = 0.0004);
        }
        let book = Book::of_sweep(Axis::Length, &cells);
        let rows = &table(&book, "sweep-length-headroom-ple-group-u1").rows;
        let of = |value: &str, name: &str| {
            let found = rows.iter().find_map(|row| match row {
                Row::Cells(cells) if cells[0] == value && cells[1] == name => Some(cells[2].clone()),
                _ => None,
            });
            found.unwrap_or_default()
        };
        assert_eq!((of("5", "UIE"), of("50", "UIE")), ("180 % ± 6 (203)".into(), String::new()), "{rows:?}");
        assert_eq!(of("50", "PLE, told groups"), "+0.0004 ± 0.0007 (0.0000)");
        assert!(table(&book, "sweep-length-user-rows-u1").header.contains(&"0-10".to_owned()));
    }
}
