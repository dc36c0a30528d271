//! Made-up figures for tests.

use duia::config::Config;
use duia::data::{DataReport, GroupInterest, Interest, Origin, Side};
use duia::metrics::{Auc, ByGroup, ClusterHealth, Earlier, Evaluation, Gauc, Headroom, Lift, Score, Slice, SliceScore, TestKind};
use duia::variants::Variant;
use duia::wire::Event;

use super::record::Record;

/// Clusters in good health.
pub fn health(variant: Variant, side: Side) -> ClusterHealth {
    ClusterHealth {
        variant,
        side,
        step: 1,
        positives: 1_234,
        hit_rate_1: 0.93,
        hit_rate_2: 0.5,
        perplexity_1: 0.75,
        perplexity_2: 0.25,
        top_share: 0.1,
        relative_error: 0.4,
        stopped: ByGroup { all: 0.02, low: 0.03, high: 0.01 },
        nmi: Some(0.5),
        purity: Some(0.75),
    }
}

/// A synthetic stream.
pub fn data() -> DataReport {
    let group =
        |users, of: f64| GroupInterest { users, behaviours: 100.0 * of, items: 80.0 * of, categories: 20.0 * of, profile: 8.0 * of };
    DataReport {
        origin: Origin::Synthetic,
        name: "generator".into(),
        rows: 200_000,
        refused: vec![("outside the window".into(), 3)],
        notes: vec!["2 rows came right after a later one; all rows were sorted by time".into()],
        users: 2_000,
        items: 8_400,
        categories: 200,
        train_rows: 160_000,
        test_rows: 40_000,
        low_active_users: 640,
        low_active_row_share: 0.1,
        unseen_test_share: 0.05,
        interest: Interest { low: group(640, 0.5), high: group(1_360, 1.0) },
    }
}

/// The scores of a variant: every area is `area`, every difference `lift`, or none for the first variant.
pub fn score(area: f64, lift: Option<f64>) -> Score {
    let auc = Auc { value: area, standard_error: 0.001, positives: 1_234, negatives: 1_234 };
    let lift = lift.map(|value| Lift { value, standard_error: 0.0005 });
    let by_group = |of: Lift| ByGroup { all: of, low: of, high: of };
    Score {
        auc: ByGroup { all: auc, low: auc, high: auc },
        gauc: Gauc { value: area, standard_error: 0.002, users: 400 },
        gauc_lift: lift,
        auc_without_repeats: auc,
        auc_seen_items: auc,
        lift: lift.map(by_group),
        lift_over_parent: None,
        lift_without_repeats: lift,
        lift_over_parent_without_repeats: None,
        slices: [Slice::Decile(0), Slice::TailItems, Slice::HeadItems].map(|slice| SliceScore { slice, auc, lift }).to_vec(),
        headroom: Vec::new(),
    }
}

/// Half of what each variant wins that is told the truth.
fn headroom(variants: &[Variant]) -> Vec<Headroom> {
    let half = Lift { value: 0.5, standard_error: 0.04 };
    let share = ByGroup { all: half, low: half, high: half };
    let told = variants.iter().filter(|variant| variant.is_told());
    told.map(|&ceiling| Headroom { ceiling, share, without_repeats: half, slices: vec![(Slice::UserRows(Earlier::None), half)] }).collect()
}

/// A finished run of the configuration's variants: the `n`th scores `.8 + .01 n`, `n` times .004 above the first, and in the
/// streaming test .05 and `n` times .002 more.
pub fn record(config: &Config) -> Record {
    let variants = config.variants.0.clone();
    let mut record = Record::default();
    record.take(Event::Data(data()));
    record.take(Event::Ready { variants: variants.clone(), steps: 10, probe_positives: 64, losses: Vec::new() });
    record.take(Event::Losses { step: 10, losses: vec![[("loss_mtl", 0.5)].into_iter().collect(); variants.len()] });
    record.take(Event::Progress { step: 10, samples: 5_120, samples_per_second: 1_000.0 });
    let scores = |more: f64, gain: f64| {
        let of = |n: usize| Score {
            headroom: if n > 0 && !variants[n].is_told() { headroom(&variants) } else { Vec::new() },
            ..score(0.8 + more + 0.01 * n as f64, (n > 0).then_some(gain * n as f64))
        };
        (0..variants.len()).map(of).collect()
    };
    record.take(Event::Evaluation(Evaluation { step: 10, kind: TestKind::Whole, scores: scores(0.0, 0.004) }));
    record.take(Event::Evaluation(Evaluation { step: 10, kind: TestKind::Streaming, scores: scores(0.05, 0.006) }));
    for &variant in &variants {
        for (side, has) in [(Side::Users, variant.has_user_centres()), (Side::Items, variant.has_item_centres())] {
            if has {
                record.take(Event::Clusters(ClusterHealth { step: 10, ..health(variant, side) }));
            }
        }
    }
    record
}
