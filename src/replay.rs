//! A run as one HTML file that plays it again: headline, curves, clusters, pictures and every figure, at any step, by a slider.
//!
//! The file asks nobody for anything. Its policy allows its own script and its own style, by their hashes, and nothing else. The terminal
//! and the page make it by [`Replay::page`], so both give the same file of the same run. Figures are the run's to the last digit; places in
//! pictures are rounded. A run that is too long for [`LONGEST`] is thinned: what is left out is a point of a curve, never a digit.

use serde::Serialize;

use crate::config::{Config, link_pairs};
use crate::data::{DataReport, Origin, Side};
use crate::metrics::{Auc, ByGroup, ClusterHealth, Evaluation, Lift, LossTerm, Losses, Score, TestKind};
use crate::variants::{self, Variant};
use crate::view::FieldFrame;
use crate::wire::{DeviceReport, Event, Failure};

/// Most bytes of a file.
pub const LONGEST: usize = 2_000_000;
/// Most points of a curve: two a pixel of a wide chart.
const POINTS: usize = 1_000;
/// Most pictures that a file shows.
pub const PICTURES: usize = 120;
/// Most members of each.
const MEMBERS: usize = 200;
/// Steps of a coordinate of a picture in a unit.
const GRID: f32 = 500.0;

const STYLE: &str = include_str!("replay/style.css");
const SCRIPT: &str = include_str!("replay/play.js");
/// The page's own translator, and what sets it going here.
const TRANSLATOR: &str = concat!(include_str!("../assets/language.js"), include_str!("replay/translate.js"));

/// What is kept of a run to play it again.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Where it was trained.
    pub device: Option<DeviceReport>,
    /// On what.
    pub data: Option<DataReport>,
    /// The models, in order.
    pub variants: Vec<Variant>,
    /// The losses that there are.
    pub terms: Vec<LossTerm>,
    /// Steps of the whole run.
    pub steps: u64,
    /// Steps done.
    pub step: u64,
    /// In the order in which they were told.
    pub evaluations: Vec<Evaluation>,
    /// In the order in which they were told.
    pub clusters: Vec<ClusterHealth>,
    /// Step, and the losses of each model.
    pub losses: Vec<(u64, Vec<Losses>)>,
    /// Centres and their members, where somebody watched.
    pub pictures: Vec<FieldFrame>,
    /// Why it did not end.
    pub failure: Option<Failure>,
}

/// Where a run comes from.
#[derive(Clone, Debug)]
pub struct Made<'a> {
    /// What was trained.
    pub config: &'a Config,
    /// The day, as `2026-11-26`.
    pub day: String,
    /// The command that makes it again; of a branch there is none.
    pub command: String,
    /// The configurations before it, each with the step at which the next branched off it; none of a run that never branched.
    pub course: &'a [(u64, Config)],
    /// The page's address with the run's link, or only what goes behind it.
    pub link: String,
    /// What it is read in; none for English.
    pub language: Option<Language<'a>>,
}

/// A language besides English.
#[derive(Clone, Copy, Debug)]
pub struct Language<'a> {
    /// As documents name it: `zh-CN`.
    pub code: &'a str,
    /// Its file of texts, `assets/zh.json`. They go into the replay.
    pub texts: &'a str,
}

/// The command that trains a configuration on such rows in the terminal. A file of a person's own needs its columns said beside it.
pub fn command(config: &Config, data: Option<&DataReport>) -> String {
    let mut command = String::from("duia train");
    for (key, value) in link_pairs(&config.to_query()) {
        match key.as_str() {
            "version" => {}
            "preset" | "seed" => command += &format!(" --{key} {value}"),
            _ => command += &format!(" --set {}", quoted(&format!("{key}={value}"))),
        }
    }
    match data.filter(|data| data.origin != Origin::Synthetic) {
        Some(data) => format!("{command} --data {}", quoted(&data.name)),
        None => command,
    }
}

/// A word as a shell takes it for one.
pub fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=.,/:+@%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

impl Replay {
    /// Takes an event in.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Device(device) => self.device = Some(device.clone()),
            Event::Data(data) => self.data = Some(data.clone()),
            Event::Ready { variants, steps, losses, .. } => {
                (self.variants, self.steps, self.terms) = (variants.clone(), *steps, losses.clone());
            }
            Event::Progress { step, .. } => self.step = *step,
            Event::Losses { step, losses } => self.losses.push((*step, losses.clone())),
            Event::Evaluation(evaluation) => self.evaluations.push(evaluation.clone()),
            Event::Clusters(health) => self.clusters.push(health.clone()),
            Event::Field(frame) => self.pictures.push(FieldFrame::clone(frame)),
            Event::Failed { failure, .. } => self.failure = Some(failure.clone()),
            _ => {}
        }
    }

    /// Whether nothing was measured, so that there is nothing to play.
    pub fn is_empty(&self) -> bool {
        self.evaluations.is_empty() && self.losses.is_empty()
    }

    /// The file.
    ///
    /// # Errors
    /// Where a value cannot be encoded, which its types rule out.
    pub fn page(&self, made: &Made<'_>) -> serde_json::Result<String> {
        let (mut points, mut pictures) = (POINTS, PICTURES);
        loop {
            let page = self.written(made, points, pictures)?;
            if page.len() <= LONGEST || points < 4 {
                return Ok(page);
            }
            (points, pictures) = (points / 2, pictures / 2);
        }
    }

    fn written(&self, made: &Made<'_>, points: usize, pictures: usize) -> serde_json::Result<String> {
        let run = in_script(&serde_json::to_string(&self.told(made, points, pictures))?);
        let policy = format!(
            "default-src 'none'; script-src '{}' '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
            env!("DUIA_REPLAY_SCRIPT"),
            env!("DUIA_REPLAY_TRANSLATOR"),
            env!("DUIA_REPLAY_STYLE")
        );
        let (code, translation) = match made.language {
            None => ("en", String::new()),
            Some(Language { code, texts }) => {
                (code, format!(include_str!("replay/translation.html"), texts = in_script(texts), script = TRANSLATOR))
            }
        };
        Ok(format!(
            include_str!("replay/page.html"),
            code = code,
            policy = policy,
            style = STYLE,
            script = SCRIPT,
            run = run,
            translation = translation
        ))
    }

    fn told<'a>(&'a self, made: &'a Made<'a>, points: usize, pictures: usize) -> Run<'a> {
        let rival = variants::rival(&self.variants);
        let model = |variant: &Variant| Model {
            key: variant.key(),
            name: variant.name(),
            about: variant.about(),
            is_told: variant.knows_truth(),
            is_rival: Some(*variant) == rival,
        };
        let whole = self.evaluations.iter().rfind(|evaluation| evaluation.kind == TestKind::Whole);
        let (probed, tested): (Vec<_>, Vec<_>) = self.evaluations.iter().partition(|evaluation| evaluation.kind == TestKind::ProbeSet);
        Run {
            program: concat!("duia ", env!("CARGO_PKG_VERSION")),
            made: &made.day,
            command: &made.command,
            link: &made.link,
            settings: made.config.pairs(),
            course: made.course.iter().map(|(step, before)| Until { step: *step, settings: before.unlike(made.config) }).collect(),
            device: self.device.as_ref().map(|device| format!("{} ({})", device.backend, device.adapter)),
            data: self.data.as_ref().map(Rows::of),
            steps: self.steps,
            step: self.step,
            models: self.variants.iter().map(model).collect(),
            evaluations: thinned(&probed, points).into_iter().chain(&tested).map(|evaluation| Figures::of(evaluation)).collect(),
            clusters: self.clustered(whole.map(|whole| whole.step), points),
            terms: self.terms.iter().map(|term| Term { title: &term.title, about: &term.about }).collect(),
            losses: thinned(&self.losses, points).into_iter().map(|(step, losses)| (*step, self.values(losses))).collect(),
            pictures: thinned(&self.pictures, pictures).into_iter().map(Picture::of).collect(),
            failure: self.failure.as_ref(),
        }
    }

    /// The state of the clusters, a series for each model and side. The clusters that follow the test of the whole test set are of it.
    fn clustered(&self, whole: Option<u64>, points: usize) -> Vec<Clusters<'_>> {
        let mut all: Vec<(Variant, Side)> = Vec::new();
        for health in &self.clusters {
            if !all.contains(&(health.variant, health.side)) {
                all.push((health.variant, health.side));
            }
        }
        let series = |(variant, side): (Variant, Side)| {
            let told: Vec<_> = self.clusters.iter().filter(|health| (health.variant, health.side) == (variant, side)).collect();
            let last = told.last().copied().filter(|last| Some(last.step) == whole);
            let on_the_way = &told[..told.len() - usize::from(last.is_some())];
            Clusters { model: variant.key(), side, probed: thinned(on_the_way, points).into_iter().copied().collect(), tested: last }
        };
        all.into_iter().map(series).collect()
    }

    /// A step's losses: for each model one a term.
    fn values(&self, losses: &[Losses]) -> Vec<Vec<Option<f32>>> {
        let of = |losses: &Losses| self.terms.iter().map(|term| term.value(losses)).collect();
        losses.iter().map(of).collect()
    }
}

/// JSON as it may stand in a script, which nothing else can end.
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// At most so many of all, evenly, the last among them.
fn thinned<T>(all: &[T], most: usize) -> Vec<&T> {
    let every = all.len().div_ceil(most.max(1)).max(1);
    let last = all.len().saturating_sub(1);
    all.iter().enumerate().filter(|(at, _)| (last - at).is_multiple_of(every)).map(|(_, one)| one).collect()
}

/// A run as it stands in the file.
#[derive(Serialize)]
struct Run<'a> {
    program: &'static str,
    made: &'a str,
    command: &'a str,
    link: &'a str,
    settings: Vec<(String, String)>,
    course: Vec<Until>,
    device: Option<String>,
    data: Option<Rows<'a>>,
    steps: u64,
    step: u64,
    models: Vec<Model>,
    evaluations: Vec<Figures>,
    clusters: Vec<Clusters<'a>>,
    terms: Vec<Term<'a>>,
    /// Step, models, terms.
    losses: Vec<(u64, Vec<Vec<Option<f32>>>)>,
    pictures: Vec<Picture<'a>>,
    failure: Option<&'a Failure>,
}

/// What was other before a branch, until its step.
#[derive(Serialize)]
struct Until {
    step: u64,
    settings: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Rows<'a> {
    name: &'a str,
    is_synthetic: bool,
    rows: u64,
    users: u64,
    items: u64,
}

impl<'a> Rows<'a> {
    fn of(data: &'a DataReport) -> Self {
        Self { name: &data.name, is_synthetic: data.origin == Origin::Synthetic, rows: data.rows, users: data.users, items: data.items }
    }
}

#[derive(Serialize)]
struct Model {
    key: &'static str,
    name: &'static str,
    about: &'static str,
    is_told: bool,
    is_rival: bool,
}

#[derive(Serialize)]
struct Term<'a> {
    title: &'a str,
    about: &'a str,
}

/// A figure and its standard error.
type Pair = (f64, f64);

#[derive(Serialize)]
struct Figures {
    step: u64,
    kind: TestKind,
    positives: ByGroup<u64>,
    models: Vec<Scored>,
}

impl Figures {
    fn of(evaluation: &Evaluation) -> Self {
        let positives =
            evaluation.scores.first().map_or(ByGroup { all: 0, low: 0, high: 0 }, |score| by_group(&score.auc, |auc| auc.positives));
        Self { step: evaluation.step, kind: evaluation.kind, positives, models: evaluation.scores.iter().map(Scored::of).collect() }
    }
}

#[derive(Serialize)]
struct Scored {
    auc: ByGroup<Pair>,
    lift: Option<ByGroup<Pair>>,
    without_repeats: Pair,
    lift_without_repeats: Option<Pair>,
    gauc: Pair,
    gauc_lift: Option<Pair>,
}

impl Scored {
    fn of(score: &Score) -> Self {
        let area = |auc: &Auc| (auc.value, auc.standard_error);
        let difference = |lift: &Lift| (lift.value, lift.standard_error);
        Self {
            auc: by_group(&score.auc, area),
            lift: score.lift.as_ref().map(|lift| by_group(lift, difference)),
            without_repeats: area(&score.auc_without_repeats),
            lift_without_repeats: score.lift_without_repeats.as_ref().map(difference),
            gauc: (score.gauc.value, score.gauc.standard_error),
            gauc_lift: score.gauc_lift.as_ref().map(difference),
        }
    }
}

fn by_group<T, U>(all: &ByGroup<T>, of: impl Fn(&T) -> U) -> ByGroup<U> {
    ByGroup { all: of(&all.all), low: of(&all.low), high: of(&all.high) }
}

#[derive(Serialize)]
struct Clusters<'a> {
    model: &'static str,
    side: Side,
    probed: Vec<&'a ClusterHealth>,
    /// On the whole test set.
    tested: Option<&'a ClusterHealth>,
}

/// Centres and their members. Places are whole numbers, [`GRID`] a unit.
#[derive(Serialize)]
struct Picture<'a> {
    step: u64,
    side: Side,
    centres: u32,
    children: u32,
    /// x, y; level 1 first.
    places: Vec<i32>,
    /// x, y.
    members: Vec<i32>,
    /// The level-1 and the level-2 centre of each member.
    at: &'a [u32],
    /// Whether each member is low-active.
    low: Vec<u8>,
    ids: &'a [u32],
}

impl<'a> Picture<'a> {
    fn of(frame: &'a FieldFrame) -> Self {
        let on_grid = |places: &[f32]| places.iter().map(|place| (place * GRID).round() as i32).collect();
        let most = frame.members.len().min(MEMBERS);
        Self {
            step: frame.step,
            side: frame.side,
            centres: frame.centres,
            children: frame.children,
            places: on_grid(&frame.centre_xy),
            members: on_grid(&frame.member_xy[..2 * most]),
            at: &frame.assigned[..2 * most],
            low: frame.low_active.iter().take(most).map(|low| u8::from(*low)).collect(),
            ids: &frame.members[..most],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::data::GroupInterest;
    use crate::metrics::Gauc;

    fn made(config: &Config) -> Made<'_> {
        Made { config, day: "2026-11-27".into(), command: command(config, None), course: &[], link: config.to_link(), language: None }
    }

    /// Figures that need all of their digits.
    fn score(n: f64, is_first: bool) -> Score {
        let auc = |more: f64| Auc { value: 0.7 + 0.1 / (n + 3.0) + more, standard_error: 0.01 / (n + 7.0), positives: 64, negatives: 64 };
        let lift = (!is_first).then_some(Lift { value: 0.001 / (n + 3.0), standard_error: 0.0003 });
        Score {
            auc: ByGroup { all: auc(0.0), low: auc(-0.1), high: auc(0.1) },
            gauc: Gauc { value: f64::NAN, standard_error: f64::NAN, users: 0 },
            gauc_lift: lift,
            auc_without_repeats: auc(0.2),
            lift_without_repeats: lift,
            lift_over_parent_without_repeats: None,
            auc_seen_items: auc(0.0),
            lift: lift.map(|all| ByGroup { all, low: all, high: all }),
            lift_over_parent: None,
            slices: Vec::new(),
            headroom: Vec::new(),
        }
    }

    fn health(step: u64, hit_rate_1: f64) -> ClusterHealth {
        ClusterHealth {
            variant: Variant::Duia,
            side: Side::Users,
            step,
            positives: 64,
            hit_rate_1,
            hit_rate_2: 1.0 / 3.0,
            perplexity_1: 0.5,
            perplexity_2: 0.25,
            top_share: 0.1,
            relative_error: f64::NAN,
            stopped: ByGroup { all: 0.0, low: 0.1, high: 0.2 },
            nmi: None,
            purity: None,
        }
    }

    /// A run of so many evaluations, then its final test.
    fn replay(variants: &[Variant], evaluations: u64) -> Replay {
        let mut replay = Replay::default();
        let terms = vec![LossTerm {
            title: "Ranking".into(),
            about: "It ranks.".into(),
            names: vec!["loss_mtl".into()],
            variants: variants.to_vec(),
        }];
        replay.take(&Event::Ready { variants: variants.to_vec(), steps: 10 * evaluations, probe_positives: 64, losses: terms });
        let scores = |step: u64| (0..variants.len()).map(|n| score(step as f64 + n as f64, n == 0)).collect();
        for step in (1..=evaluations).map(|n| 10 * n) {
            replay.take(&Event::Losses { step, losses: vec![[("loss_mtl", 1.0 / step as f32)].into_iter().collect(); variants.len()] });
            replay.take(&Event::Evaluation(Evaluation { step, kind: TestKind::ProbeSet, scores: scores(step) }));
            replay.take(&Event::Clusters(health(step, 1.0 / step as f64)));
            replay.take(&Event::Progress { step, samples: step, samples_per_second: 1.0 });
        }
        let step = 10 * evaluations;
        replay.take(&Event::Evaluation(Evaluation { step, kind: TestKind::Whole, scores: scores(step + 1) }));
        replay.take(&Event::Clusters(health(step, 2.0 / 3.0)));
        replay
    }

    fn told(page: &str) -> Value {
        let (_, rest) = page.split_once("<script type=\"application/json\" id=\"run\">").unwrap();
        serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
    }

    #[test]
    fn a_file_of_a_branch_says_what_was_other_until_its_step() {
        let config = Config::opening();
        let course = [(40, Config { learning_rate: 0.01, ..config.clone() }), (70, config.clone())];
        let run = told(&replay(&[Variant::Ple], 9).page(&Made { course: &course, command: String::new(), ..made(&config) }).unwrap());
        assert_eq!(run["course"][0]["step"], 40);
        assert_eq!(run["course"][0]["settings"], serde_json::json!([["learning_rate", "0.01"]]));
        assert_eq!(
            (&run["course"][1]["step"], &run["course"][1]["settings"], &run["command"]),
            (&70.into(), &serde_json::json!([]), &"".into())
        );
    }

    #[test]
    fn a_file_has_every_figure_to_the_last_digit() {
        let (config, variants) = (Config::opening(), [Variant::Ple, Variant::Duia]);
        let replay = replay(&variants, 20);
        let page = replay.page(&made(&config)).unwrap();
        let run = told(&page);
        assert_eq!(run["evaluations"].as_array().unwrap().len(), 21);
        for (evaluation, written) in replay.evaluations.iter().zip(run["evaluations"].as_array().unwrap()) {
            assert_eq!(written["step"], evaluation.step);
            for (score, written) in evaluation.scores.iter().zip(written["models"].as_array().unwrap()) {
                // As text: this parser rounds the last digit of some, a browser's does not.
                for (group, auc) in [("all", score.auc.all), ("low", score.auc.low), ("high", score.auc.high)] {
                    let pair = serde_json::to_string(&(auc.value, auc.standard_error)).unwrap();
                    assert!(page.contains(&format!("\"{group}\":{pair}")), "{group}: {pair}");
                }
                assert_eq!(written["lift"].is_null(), score.lift.is_none());
                assert_eq!(written["gauc"], serde_json::json!([null, null]), "what does not exist is null");
            }
        }
        assert_eq!(run["evaluations"][20]["kind"], "whole");
        let clusters = &run["clusters"][0];
        assert_eq!((clusters["probed"].as_array().unwrap().len(), clusters["tested"]["hit_rate_1"].as_f64()), (20, Some(2.0 / 3.0)));
        assert_eq!(clusters["probed"][19]["hit_rate_1"].as_f64(), Some(1.0 / 200.0));
        assert!(page.contains(&format!("[70,[[{0}],[{0}]]]", 1.0 / 70.0_f32)));
        assert_eq!((&run["models"][1]["key"], &run["models"][1]["is_rival"]), (&"duia".into(), &true.into()));
    }

    #[test]
    fn a_file_asks_nobody_and_no_name_breaks_out_of_it() {
        let config = Config::opening();
        let mut replay = replay(&[Variant::Ple, Variant::Duia], 2);
        let nobody = GroupInterest { users: 0, behaviours: 0.0, items: 0.0, categories: 0.0, profile: 0.0 };
        replay.data = Some(DataReport {
            origin: Origin::File,
            name: "</script><img src=x onerror=alert(1)>{script}.csv".into(),
            rows: 1,
            refused: Vec::new(),
            notes: Vec::new(),
            users: 1,
            items: 1,
            categories: 1,
            train_rows: 1,
            test_rows: 0,
            low_active_users: 0,
            low_active_row_share: 0.0,
            unseen_test_share: 0.0,
            interest: crate::data::Interest { low: nobody, high: nobody },
        });
        let page = replay.page(&made(&config)).unwrap();
        assert_eq!((page.matches("<script").count(), page.matches("</script>").count()), (2, 2));
        assert!(!page.contains("<img") && told(&page)["data"]["name"].as_str().unwrap().starts_with("</script>"));
        let rest = page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "").replace("^https?:", "");
        for request in ["http", "src=\"", "url(\"", "@import", "<link", "<iframe", "fetch(", "import("] {
            assert!(!rest.contains(request), "{request}");
        }
        assert!(page.contains("default-src 'none'; script-src 'sha256-") && page.contains("style-src 'sha256-"));
    }

    #[test]
    fn a_long_run_of_every_model_fits_and_keeps_its_end() {
        let config = Config::opening();
        let replay = replay(&Variant::ALL, 2_000);
        let page = replay.page(&made(&config)).unwrap();
        assert!(page.len() <= LONGEST, "{} bytes", page.len());
        let run = told(&page);
        let evaluations = run["evaluations"].as_array().unwrap();
        assert!(evaluations.len() > 20, "{}", evaluations.len());
        let last = |n: usize| &evaluations[evaluations.len() - n];
        assert_eq!((&last(1)["kind"], &last(2)["kind"], &last(2)["step"]), (&"whole".into(), &"probe-set".into(), &20_000.into()));
    }

    #[test]
    fn a_picture_is_rounded_and_its_members_are_few() {
        let frame = FieldFrame {
            step: 3,
            centres: 1,
            children: 1,
            centre_xy: vec![0.5, -0.25, 0.0, 1.0],
            members: (0..400).collect(),
            member_xy: vec![0.1; 800],
            assigned: vec![0; 800],
            low_active: vec![true; 400],
            ..FieldFrame::default()
        };
        let picture = Picture::of(&frame);
        assert_eq!(picture.places, [250, -125, 0, 500]);
        let lengths = (picture.ids.len(), picture.members.len(), picture.at.len(), picture.low.len());
        assert_eq!(lengths, (MEMBERS, 2 * MEMBERS, 2 * MEMBERS, MEMBERS));
    }

    #[test]
    fn the_command_says_what_differs() {
        let config = Config { history: 5, seed: 11, ..Config::default() };
        assert_eq!(command(&config, None), "duia train --preset browser --seed 11 --set history=5");
        assert_eq!((quoted("a b's"), quoted("x=1")), ("'a b'\\''s'".into(), "x=1".into()));
    }

    #[test]
    fn a_run_that_failed_at_once_has_a_file_too() {
        let config = Config::opening();
        let page = Replay::default().page(&made(&config)).unwrap();
        assert!(Replay::default().is_empty() && told(&page)["models"].as_array().unwrap().is_empty());
    }
}
