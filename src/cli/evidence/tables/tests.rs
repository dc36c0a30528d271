use super::super::super::example;
use super::super::cell::Cell;
use super::super::table::{csv, latex, markdown};
use super::*;
use duia::config::Config;
use duia::variants::Variants;

/// Cells of seeds 7 and 8 in which all is as in [`example::record`], but 0.002 more at the second seed.
pub(super) fn done(variants: &[Variant], values: &[Option<u64>]) -> Vec<Done> {
    let cells = [7, 8].into_iter().flat_map(|seed| values.iter().map(move |&value| (seed, value)));
    let finish = |(place, (seed, value)): (usize, (u64, Option<u64>))| {
        let config = Config { seed, variants: Variants(variants.to_vec()), ..Config::default() };
        let mut result = Finished::of(example::record(&config), &config, String::new(), "duia ablate", 60.0).unwrap();
        result.figures.iter_mut().for_each(|point| point.value += if seed == 8 { 0.002 } else { 0.0 });
        Done { place, cell: Cell { value, config }, result }
    };
    cells.enumerate().map(finish).collect()
}

pub(super) fn table<'a>(book: &'a Book, id: &str) -> &'a Table {
    book.tables.iter().find(|table| table.id == id).unwrap()
}

pub(super) fn row(table: &Table, name: &str) -> Vec<String> {
    let is_it = |row: &&Row| matches!(row, Row::Cells(cells) if cells[0] == name);
    match table.rows.iter().find(is_it).unwrap() {
        Row::Cells(cells) => cells.clone(),
        Row::Rule(_) => Vec::new(),
    }
}

#[test]
fn an_ablation_has_the_papers_tables_with_its_figures_beside() {
    let variants = [Variant::Ple, Variant::Popularity, Variant::Uie];
    let book = Book::of_ablation(&done(&variants, &[None]));
    // UIE is the third: area .82 and .822, sd .002 / sqrt 2; lift .008 and .010, users 1.96 sqrt(2) .0005 / 2,
    // t 12.706 * .002 / sqrt 2 / sqrt 2.
    let lift = "+0.0090 ± 0.0007 (0.0127)";
    assert_eq!(row(table(&book, "table-4-u1"), "UIE"), ["UIE", "0.8210 ± 0.0014", lift, lift, "0.8940", "+0.0104"]);
    let notes = &table(&book, "table-4-u1").notes;
    assert!(notes.contains("(Bonferroni at 5 % over 1) by the test's users for: UIE; by the seeds for: none."), "{notes}");
    // The gains of both groups are equal here; the error of their difference is sqrt 2 as large.
    let gains = row(table(&book, "table-5-gains-u1"), "UIE");
    assert_eq!(gains, ["UIE", lift, lift, "+0.0000 ± 0.0010 (0.0000)", "+0.0044", "+0.0025", "+0.0019"]);
    // .05 more than frozen at both seeds, and a lift of .012 and .014.
    let streaming = row(table(&book, "streaming-u1"), "UIE");
    // .0130 is above the .0127 of the seeds.
    let (frozen, more) = (["0.8210 ± 0.0014", "+0.0500 (0.0000)", lift], "+0.0130 ± 0.0007 (0.0127) *");
    assert_eq!(streaming, [["UIE", "0.8710 ± 0.0014"].as_slice(), &frozen, &[more; 3]].concat());
    assert_eq!(row(table(&book, "table-2"), "low over high")[2], "0.50");
    assert_eq!(row(table(&book, "clusters-u1"), "UIE")[1..3], ["1,234", "0.9310 ± 0.0014"]);
    let rows = &table(&book, "table-5-u1").rows;
    assert_eq!(rows[2], Row::Rule(SANITY.into()));
    assert!(matches!(&rows[3], Row::Cells(cells) if cells[0] == "popularity" && cells[4] == NONE));
    for table in &book.tables {
        let width = |row: &Row| if let Row::Cells(cells) = row { cells.len() } else { table.header.len() };
        assert!(table.rows.iter().all(|row| width(row) == table.header.len()), "{}", table.id);
        assert!(table.title.contains("synthetic stream"), "{}", table.title);
        assert!(markdown(table).lines().count() >= 5 && latex(table).contains("\\bottomrule"));
    }
    let text = csv(&book.facts).unwrap();
    assert!(text.contains("table-4-u1,uie,all,lift,7,0.008,,0.0005,1\n"), "{text}");
    assert!(text.contains("table-4-u1,uie,all,auc,paper,0.894,,,1\n") && text.contains(",mean,"));
    assert!(text.contains("losses-u1,ple,last step,loss_mtl,7,0.5,,,1\n"));
}

#[test]
fn a_sweep_has_a_row_for_each_value_and_the_papers_below() {
    let book = Book::of_sweep(Axis::NfcUie, &done(&[Variant::Ple, Variant::Uie], &[Some(8), Some(16)]));
    let names = |id: &str| -> Vec<String> {
        let name = |row: &Row| match row {
            Row::Cells(cells) => cells[..2].join(" "),
            Row::Rule(name) => name.clone(),
        };
        table(&book, id).rows.iter().map(name).collect()
    };
    assert_eq!(names("sweep-nfc-uie-u1")[..6], ["8 PLE", "8 UIE", "16 PLE", "16 UIE", "the paper, Table 7, industrial data", "128 UIE"]);
    assert_eq!(names("sweep-nfc-uie-gains-u1")[..2], ["8 UIE", "16 UIE"]);
    let hits = Book::of_sweep(Axis::HitRate, &done(&[Variant::Uie], &[Some(8)]));
    assert_eq!(hits.tables.iter().map(|table| table.id.as_str()).collect::<Vec<_>>(), ["sweep-hit-rate-u1", "clusters-u1", "runs"]);
    assert_eq!(row(table(&hits, "clusters-u1"), "2,048")[..4], ["2,048", "UIE", NONE, "0.68"]);
}
