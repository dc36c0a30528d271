//! The excerpt of real rows that may lie beside the repository, from the file to the batches. It is read in place and
//! never copied: without it the tests say so and pass.

#[path = "common/skip.rs"]
mod skip;

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;

use duia::config::Config;
use duia::data::csv::Rows;
use duia::data::protocol::Dataset;
use duia::data::{Origin, Source, Vocabulary, WINDOW_END, WINDOW_START, sample};
use skip::skip;

const EXCERPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/taobao-userbehavior-655users.csv");

fn excerpt() -> Option<Rows> {
    let Ok(file) = File::open(EXCERPT) else {
        skip("the protocol on real rows", "no excerpt of them lies beside the repository");
        return None;
    };
    Some(Rows::read(file, "excerpt.csv").expect("the excerpt is clean enough to read"))
}

#[test]
fn the_excerpt_has_its_known_counts() {
    let Some(rows) = excerpt() else { return };
    assert_eq!(rows.rows(), 66_136);
    assert_eq!(rows.vocabulary(), Vocabulary { users: 655, items: 44_477, categories: 2_662 });
    let refused: Vec<u64> = rows.refused().iter().map(|reason| reason.1).collect();
    assert_eq!(refused, [28], "rows outside the window; none is repeated");
    assert_eq!(rows.notes().len(), 2, "on the order, as users are contiguous, and on one item with two categories: {:?}", rows.notes());
    let times: Vec<i64> = Arc::new(rows).events().map(|event| event.time).collect();
    assert!(times.is_sorted() && times[0] >= WINDOW_START && times[66_135] < WINDOW_END);
}

#[test]
fn the_excerpt_becomes_batches_under_the_protocol() {
    let Some(rows) = excerpt() else { return };
    let dataset = Dataset::open(Arc::new(rows), &Config::default()).expect("655 users are enough");
    let report = dataset.report();
    assert_eq!((report.origin, report.train_rows, report.test_rows), (Origin::File, 52_908, 13_228));
    assert_eq!(report.low_active_users, 210);
    assert!((0.05..0.12).contains(&report.low_active_row_share), "{}", report.low_active_row_share);
    assert_eq!((report.unseen_test_share * 13_228.0).round(), 9_576.0, "counted by an independent script");
    assert_eq!(dataset.train_steps(), 206);
    assert_eq!((report.interest.low.users, report.interest.high.users), (210, 445));
    assert!(
        (report.interest.low.categories / report.interest.high.categories)
            > report.interest.low.behaviours / report.interest.high.behaviours
    );

    let mut replay = dataset.replay();
    let mut had = HashSet::new();
    let (mut steps, mut clustered) = (0, 0.0);
    while let Some(batch) = replay.next_train() {
        for (request, &user) in batch.user.iter().enumerate() {
            let [positive, negative] = [2 * request, 2 * request + 1];
            assert_eq!(batch.repeat[positive], !had.insert((user, batch.item[positive])));
            assert!(!had.contains(&(user, batch.item[negative])), "a negative that the user had");
        }
        clustered += batch.clustered.iter().sum::<f32>() / batch.requests as f32;
        steps += 1;
    }
    assert_eq!(steps, 206);
    assert!((clustered / 206.0 - 0.3).abs() < 0.01, "{clustered}");
    let test: usize = std::iter::from_fn(|| replay.next_test()).map(|batch| batch.valid).sum();
    assert_eq!(test, 13_228);
}

#[test]
fn a_sample_of_the_excerpt_is_small_and_whole() {
    let Some(rows) = excerpt() else { return };
    let bytes = sample::write(&rows, 100, 7);
    let kept = sample::read(&bytes, "sample.bin").expect("what was written can be read");
    assert_eq!((kept.origin(), kept.vocabulary().users), (Origin::Sample, 100));
    assert!(bytes.len() < 12 * kept.rows() as usize, "{} bytes for {} rows", bytes.len(), kept.rows());
}
