//! Protocol UB-T80-T1 on the excerpt of real rows that may lie beside the repository. It is read in place and never copied:
//! without it the test says so and passes.

use std::fs::File;
use std::sync::Arc;

use duia::config::{Config, Negatives};
use duia::data::csv::Rows;
use duia::data::protocol::Dataset;
use duia::metrics;

const EXCERPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/taobao-userbehavior-655users.csv");

/// An independent script counts 9,604 test rows of items that are new to their user and have such a row of another user within 256
/// rows after them. Under U1 popularity alone is inverted (.303), and 72 % of the positives and 17 % of the negatives are unseen in
/// training; were time-matched negatives taken from any rows, popularity would be inverted too (.413).
#[test]
fn on_real_rows_neither_popularity_nor_novelty_tells_a_time_matched_positive() {
    let Ok(file) = File::open(EXCERPT) else {
        eprintln!("skipped: no excerpt of real rows beside the repository");
        return;
    };
    let rows = Rows::read(file, "excerpt.csv").expect("the excerpt is clean enough to read");
    let config = Config { negatives: Negatives::TimeMatched, ..Config::default() };
    let dataset = Dataset::open(Arc::new(rows), &config).expect("655 users are enough");
    let mut replay = dataset.replay();
    let (mut popularity, mut labels, mut users) = (Vec::new(), Vec::new(), Vec::new());
    let (mut unseen, mut new) = ([0.0; 2], [0.0; 2]);
    while let Some(batch) = replay.next_test() {
        for sample in 0..2 * batch.valid {
            popularity.push(batch.item_rows[sample] as f32);
            labels.push(sample % 2 == 0);
            users.push(batch.user[sample / 2]);
            unseen[sample % 2] += f64::from(u8::from(!batch.seen[sample]));
            new[sample % 2] += f64::from(u8::from(batch.item_rows[sample] == 0));
        }
        assert!(batch.repeat.iter().all(|repeat| !repeat));
    }
    let positives = labels.len() / 2;
    assert_eq!(positives, 9_604);
    let [unseen, new] = [unseen, new].map(|counts| counts.map(|count| count / positives as f64));
    let area = metrics::auc(&popularity, &labels, &users);
    eprintln!("popularity {area:?}; unseen in training, positives and negatives: {unseen:?}; without any row before: {new:?}");
    assert!((area.value - 0.5).abs() < 1.96 * area.standard_error && area.standard_error < 0.01, "{area:?}");
    assert!((unseen[0] - 0.845).abs() < 0.001 && (unseen[0] - unseen[1]).abs() < 0.01, "{unseen:?}");
    assert!((new[0] - 0.829).abs() < 0.001 && (new[0] - new[1]).abs() < 0.01, "{new:?}");
}
