use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::counter::{Counter, Stream};
use crate::data::generator::Generator;
use crate::wire::{from_bytes, to_bytes};

/// Waits for a future that never has to.
fn wait<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a fake arm waits for nothing"),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the device is gone")]
struct Gone;

enum Ranks {
    ByTruth,
    ByChance,
    ByNothing,
    TooFew,
    NotANumber,
    Fails,
}

/// Scores without a model, and keeps what it was asked and taught.
struct Fake {
    ranks: Ranks,
    visitors: Visitors,
    asked: Vec<Arc<Batch>>,
    taught: Vec<Arc<Batch>>,
    /// `s` and `l`, in the order of the calls, shared where the order of arms matters.
    calls: Rc<RefCell<String>>,
}

impl Arm for Fake {
    type Error = Gone;

    fn name(&self) -> String {
        "fake".into()
    }

    async fn score(&mut self, batch: Arc<Batch>) -> Result<Vec<f32>, Gone> {
        self.calls.borrow_mut().push('s');
        let chance = Counter::new(5, Stream::Choices).lane(self.asked.len() as u64);
        self.asked.push(batch.clone());
        let score = |sample: usize| match self.ranks {
            Ranks::ByTruth => self.visitors.appeal(batch.user[sample / batch.candidates], batch.item[sample]) as f32,
            Ranks::ByChance => chance.uniform(sample as u64) as f32,
            Ranks::NotANumber => f32::NAN,
            Ranks::ByNothing | Ranks::TooFew | Ranks::Fails => 0.0,
        };
        match self.ranks {
            Ranks::Fails => Err(Gone),
            Ranks::TooFew => Ok(vec![0.0; 3]),
            _ => Ok((0..batch.samples()).map(score).collect()),
        }
    }

    async fn learn(&mut self, batch: Arc<Batch>) -> Result<(), Gone> {
        self.calls.borrow_mut().push('l');
        self.taught.push(batch);
        Ok(())
    }
}

fn world() -> Config {
    Config { users: 300, items: 1_200, categories: 60, rows: 12_000, batch: 64, history: 10, item_groups: 12, ..Config::default() }
}

fn sizes() -> SimulationConfig {
    SimulationConfig { days: 3, sessions: 300, candidates: 30, shown: 8, block: 32, ..SimulationConfig::default() }
}

fn simulation(config: SimulationConfig) -> (Arc<KnownUsers>, Simulation) {
    let run = world();
    let known = Arc::new(KnownUsers::new(Arc::new(Generator::new(&run)), run.seed, config.new_users));
    let dataset = Dataset::open(known.clone(), &run).unwrap();
    let simulation = Simulation::new(config, &run, &known, &dataset).unwrap();
    (known, simulation)
}

fn fakes<const N: usize>(simulation: &Simulation, ranks: [Ranks; N]) -> [Fake; N] {
    let calls = Rc::new(RefCell::new(String::new()));
    ranks.map(|ranks| Fake { ranks, visitors: simulation.visitors().clone(), asked: Vec::new(), taught: Vec::new(), calls: calls.clone() })
}

fn run(simulation: &Simulation, arms: &mut [Fake]) -> SimulationReport {
    wait(simulation.run(arms, |_| {})).unwrap()
}

fn metric(arm: &ArmReport, group: usize, metric: Metric) -> MetricReport {
    let found = arm.groups[group].metrics[metric as usize];
    assert_eq!(found.metric, metric);
    found
}

#[test]
fn an_arm_that_knows_the_truth_beats_chance_by_far_in_every_group() {
    let (_, simulation) = simulation(sizes());
    let report = run(&simulation, &mut fakes(&simulation, [Ranks::ByChance, Ranks::ByTruth]));
    assert_eq!(report.groups.iter().map(|group| group.group).collect::<Vec<_>>(), [Group::Low, Group::High, Group::New]);
    assert_eq!(report.groups.iter().map(|group| group.sessions).sum::<u64>(), 900);
    for group in 0..3 {
        assert!(report.groups[group].users > 10, "{:?}", report.groups);
        for kind in [Metric::Uvc, Metric::Udt] {
            assert_eq!(metric(&report.arms[0], group, kind).change, None);
            let change = metric(&report.arms[1], group, kind).change.unwrap();
            assert!(change.low > 50.0 && change.low < change.percent && change.percent < change.high, "{change:?}");
        }
        let uvc = metric(&report.arms[1], group, Metric::Uvc).value;
        let [themes, categories, tags] = [Metric::Ucc1, Metric::Ucc2, Metric::Uct].map(|kind| metric(&report.arms[1], group, kind).value);
        assert!(0.0 < themes && themes < categories && categories <= uvc && themes < tags && tags <= uvc);
    }
    assert_eq!(report.arms[0].looks, report.arms[1].looks);
}

/// Chances over the looks of the default sizes, exactly: no draw decides.
#[test]
fn a_random_ranking_is_taken_up_sometimes_and_the_best_one_often() {
    let run = Config::default();
    let visitors = Visitors::new(Arc::new(Generator::new(&run)), run.seed, SimulationConfig::default());
    let (mut chance, mut truth, mut looks) = (0.0, 0.0, 0.0);
    for index in 0..400 {
        let session = visitors.session(index);
        let mut appeals: Vec<f64> = session.candidates.iter().map(|&item| visitors.appeal(session.user, item)).collect();
        appeals.sort_by(|a, b| b.total_cmp(a));
        let mean = appeals.iter().sum::<f64>() / appeals.len() as f64;
        for (place, appeal) in appeals.iter().take(10).enumerate() {
            let reached = 0.9f64.powi(place as i32);
            looks += reached;
            truth += reached * appeal;
            chance += reached * mean;
        }
    }
    let (chance, truth) = (chance / looks, truth / looks);
    assert!((0.10..0.15).contains(&chance) && (0.35..0.45).contains(&truth), "{chance} by chance, {truth} by truth");
}

#[test]
fn watch_time_has_the_mean_that_it_states() {
    let (_, simulation) = simulation(sizes());
    let visitors = simulation.visitors();
    let session = |index| Session { index, user: 3, candidates: Vec::new() };
    for item in [1, 700] {
        let mean = (0..20_000).map(|index| visitors.watches(&session(index), item)).sum::<f64>() / 20_000.0;
        let stated = 15.0 + 60.0 * visitors.appeal(3, item);
        assert!((mean / stated - 1.0).abs() < 0.04, "{mean} s, {stated} s stated");
        let taken = (0..20_000).filter(|&index| visitors.takes(&session(index), item)).count() as f64 / 20_000.0;
        assert!((taken - visitors.appeal(3, item)).abs() < 0.015);
    }
}

#[test]
fn two_arms_that_rank_alike_differ_by_nothing_at_all() {
    let (_, simulation) = simulation(sizes());
    let report = run(&simulation, &mut fakes(&simulation, [Ranks::ByTruth, Ranks::ByTruth]));
    for group in &report.arms[1].groups {
        for metric in &group.metrics {
            assert_eq!(metric.change, Some(Change { percent: 0.0, low: 0.0, high: 0.0 }));
        }
    }
}

#[test]
fn a_seed_is_one_report_and_a_file_keeps_it() {
    let (_, first) = simulation(sizes());
    let report = run(&first, &mut fakes(&first, [Ranks::ByNothing, Ranks::ByTruth]));
    let (_, second) = simulation(sizes());
    assert_eq!(report, run(&second, &mut fakes(&second, [Ranks::ByNothing, Ranks::ByTruth])));
    assert_eq!(from_bytes::<SimulationReport>(&to_bytes(&report).unwrap()).unwrap(), report);
    let (_, other) = simulation(SimulationConfig { sessions: 299, ..sizes() });
    assert_ne!(report.arms, run(&other, &mut fakes(&other, [Ranks::ByNothing, Ranks::ByTruth])).arms);
}

#[test]
fn new_users_have_no_row_in_training_but_come() {
    let (known, simulation) = simulation(sizes());
    let mut rows = [0u32; 300];
    known.clone().events().for_each(|event| rows[event.user as usize] += 1);
    assert_eq!(known.rows(), known.clone().events().count() as u64);
    assert!(known.rows() < 12_000);
    let new = (0..300).filter(|&user| known.is_new(user)).count();
    assert!((15..50).contains(&new), "{new}");
    for user in 0..300 {
        assert!(!known.is_new(user) || rows[user as usize] == 0);
        assert_eq!(simulation.group(user) == Group::New, rows[user as usize] == 0);
    }
    assert!((0..900).any(|session| known.is_new(simulation.visitors().user(session))));
}

#[test]
fn sessions_have_different_candidates_of_all_three_kinds() {
    let (known, simulation) = simulation(sizes());
    let generator = known.generator();
    let (mut liked, mut all) = ([0.0; 3], [0.0; 3]);
    for index in 0..300 {
        let session = simulation.visitors().session(index);
        assert_eq!(session, simulation.visitors().session(index));
        assert_eq!(session.candidates.iter().collect::<HashSet<_>>().len(), 30);
        for (place, &item) in session.candidates.iter().enumerate() {
            liked[place % 3] += generator.taste(session.user, item).theme;
            all[place % 3] += 1.0;
        }
        assert!((1..=8).contains(&simulation.visitors().looks(index)));
    }
    let [themes, popular, uniform] = [0, 1, 2].map(|kind| liked[kind] / all[kind]);
    assert!(themes > popular + 0.1 && themes > uniform + 0.1, "{themes} {popular} {uniform}");
    let mean = (0..900).map(|session| simulation.visitors().looks(session) as f64).sum::<f64>() / 900.0;
    let expected: f64 = (0..8).map(|place| 0.9f64.powi(place)).sum();
    assert!((mean - expected).abs() < 0.3, "{mean} looks, {expected} expected");
    // As many items as candidates: every one is found.
    let all = Simulation::new(SimulationConfig { candidates: 1_200, ..sizes() }, &world(), &known, &simulation.dataset).unwrap();
    assert_eq!(all.visitors().session(0).candidates.iter().collect::<HashSet<_>>().len(), 1_200);
}

/// Follows one arm by hand: what it was asked must show exactly what was taken in blocks before, and what it was taught
/// exactly what was taken.
#[test]
fn only_what_is_taken_enters_histories_and_training() {
    let config = SimulationConfig { block: 20, ..sizes() };
    let (known, simulation) = simulation(config);
    let mut arms = fakes(&simulation, [Ranks::ByTruth]);
    let report = run(&simulation, &mut arms);
    let visitors = simulation.visitors();
    let mut past: Vec<Vec<u32>> = vec![Vec::new(); 300];
    known.clone().events().for_each(|event| past[event.user as usize].push(event.item));
    let mut taken: Vec<Taken> = Vec::new();
    for (block, asked) in arms[0].asked.iter().enumerate() {
        assert_eq!((asked.requests, asked.candidates, asked.valid), (20, 30, 20));
        assert!(asked.labels.iter().all(|&label| label == 0.0) && asked.clustered.iter().all(|&share| share == 0.0));
        let first = taken.len();
        for request in 0..asked.valid {
            let session = visitors.session((block * 20 + request) as u64);
            let before = &past[session.user as usize];
            assert_eq!((asked.user[request], asked.user_rows[request]), (session.user, before.len() as u32));
            let window = asked.history_items[request * 10..].iter().take(before.len().min(10));
            assert!(window.eq(before.iter().rev().take(10)));
            let mut best = best_scores(visitors, &session);
            best.sort_by(|a, b| b.total_cmp(a));
            let shown = visitors.ranking(&session, &best_scores(visitors, &session));
            let appeals = |items: &[u32]| items.iter().map(|&item| visitors.appeal(session.user, item) as f32).collect::<Vec<_>>();
            assert_eq!(appeals(&shown), best[..8]);
            let looked = &shown[..visitors.looks(session.index)];
            taken.extend(
                looked.iter().filter(|&&item| visitors.takes(&session, item)).map(|&item| (session.clone(), item, looked.to_vec())),
            );
        }
        taken[first..].iter().for_each(|(session, item, _)| past[session.user as usize].push(*item));
    }
    assert_eq!(arms[0].asked.len(), 45);
    for (metric, distinct) in counted(known.generator(), &taken) {
        let reported: f64 =
            (0..3).map(|g| report.arms[0].groups[g].metrics[metric as usize].value * report.groups[g].users as f64 * 3.0).sum();
        assert!((reported - distinct as f64).abs() < 1e-6, "{metric:?}: {reported} reported, {distinct} counted");
    }
    let mut before: Vec<u32> = vec![0; 300];
    known.clone().events().for_each(|event| before[event.user as usize] += 1);
    assert_eq!(arms[0].taught.len(), taken.len() / 32);
    assert!(taken.len() > 500);
    for (at, (session, item, looked)) in taken.iter().take(arms[0].taught.len() * 32).enumerate() {
        let (batch, request) = (&arms[0].taught[at / 32], at % 32);
        assert_eq!((batch.candidates, batch.valid, batch.user[request]), (2, 32, session.user));
        assert_eq!(batch.user_rows[request], before[session.user as usize]);
        before[session.user as usize] += 1;
        assert_eq!((batch.item[2 * request], batch.labels[2 * request], batch.labels[2 * request + 1]), (*item, 1.0, 0.0));
        let strong = batch.labels[batch.samples() + 2 * request] == 1.0;
        assert_eq!(strong, visitors.behaves(session, *item).is_strong());
        let negative = batch.item[2 * request + 1];
        let left = looked.iter().any(|&item| !visitors.takes(session, item));
        assert!(!left || looked.contains(&negative) && !visitors.takes(session, negative));
        assert!(left || negative != *item && !batch.repeat[2 * request + 1]);
    }
    let clustered: f32 = arms[0].taught.iter().flat_map(|batch| &batch.clustered).sum();
    assert!(clustered > 0.0);
}

/// A session, what was taken in it and all that was looked at.
type Taken = (Session, u32, Vec<u32>);

/// Consumptions, and different themes, categories and tags of a user and a day (300 sessions), over all of them.
fn counted(generator: &Generator, taken: &[Taken]) -> [(Metric, usize); 4] {
    let distinct = |id: &dyn Fn(u32) -> u32| {
        taken.iter().map(|(session, item, _)| (session.user, session.index / 300, id(*item))).collect::<HashSet<_>>().len()
    };
    [
        (Metric::Uvc, taken.len()),
        (Metric::Ucc1, distinct(&|item| generator.planted_item_group(item))),
        (Metric::Ucc2, distinct(&|item| generator.category(item))),
        (Metric::Uct, distinct(&|item| 4 * generator.planted_item_group(item) + generator.planted_style(item))),
    ]
}

fn best_scores(visitors: &Visitors, session: &Session) -> Vec<f32> {
    session.candidates.iter().map(|&item| visitors.appeal(session.user, item) as f32).collect()
}

#[test]
fn arms_learn_at_once_or_after_the_day() {
    let order = |learning| {
        let (_, simulation) = simulation(SimulationConfig { learning, block: 30, ..sizes() });
        let mut arms = fakes(&simulation, [Ranks::ByTruth]);
        let report = run(&simulation, &mut arms);
        assert_eq!(report.arms[0].steps, arms[0].taught.len() as u64);
        arms[0].calls.take()
    };
    let (daily, at_once) = (order(Learning::Daily), order(Learning::AtOnce));
    let days: Vec<&str> = daily.split_inclusive("ls").collect();
    assert_eq!(days.len(), 3, "{daily}");
    assert!(daily.starts_with(&"s".repeat(10)) && daily.matches('s').count() == 30);
    assert!(at_once.matches("ls").count() > 5, "{at_once}");
    assert_eq!(daily.matches('l').count(), at_once.matches('l').count());
}

#[test]
fn what_cannot_be_compared_is_refused_in_words() {
    let (known, simulation) = simulation(sizes());
    let refused = |ranks: Ranks| wait(simulation.run(&mut fakes(&simulation, [ranks]), |_| {})).unwrap_err().to_string();
    assert!(refused(Ranks::TooFew).contains("fake gave 3 scores for 960 samples"));
    assert!(refused(Ranks::NotANumber).contains("no number on day 1"));
    assert!(refused(Ranks::Fails).contains("fake failed in the simulation: the device is gone"));
    assert!(wait(simulation.run::<Fake>(&mut [], |_| {})).unwrap_err().to_string().contains("at least one model"));
    for (config, field) in [
        (SimulationConfig { candidates: 1_201, ..sizes() }, "candidates"),
        (SimulationConfig { shown: 31, ..sizes() }, "shown"),
        (SimulationConfig { new_users: 0.6, ..sizes() }, "new_users"),
        (SimulationConfig { new_users: f64::NAN, ..sizes() }, "new_users"),
        (SimulationConfig { days: 0, ..sizes() }, "days"),
    ] {
        assert_eq!(Simulation::new(config, &world(), &known, &simulation.dataset).err().unwrap().field, field);
    }
}

#[test]
fn progress_goes_through_days_and_arms_to_the_end() {
    let (_, simulation) = simulation(SimulationConfig { sessions: 70, ..sizes() });
    let mut steps = Vec::new();
    wait(simulation.run(&mut fakes(&simulation, [Ranks::ByNothing, Ranks::ByTruth]), |progress| steps.push(progress))).unwrap();
    assert_eq!(steps.len(), 3 * 2 * 3);
    assert_eq!(steps[0], Progress { day: 1, arm: 0, served: 32, sessions: 420 });
    assert_eq!(steps[17], Progress { day: 3, arm: 1, served: 420, sessions: 420 });
}
