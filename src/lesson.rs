//! Lessons: predict, run, explain. A lesson is a small text file (docs/lessons.md) that a teacher writes in an editor; here it becomes
//! steps, each with a configuration, a question that is answered before the run, an event that the run goes to, and an answer that
//! is computed from the run and never from the file.

use std::fmt;

use crate::config::Config;

/// A lesson.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// Its heading.
    pub title: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// At least one.
    pub steps: Vec<Step>,
}

/// A step of a lesson.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its heading.
    pub title: String,
    /// What is run.
    pub config: Config,
    /// What is asked before the run.
    pub question: String,
    /// The answers to choose from, each with the outcome that it stands for.
    pub options: Vec<(String, String)>,
    /// What the run goes to.
    pub until: Until,
    /// How the outcome is found.
    pub measure: Measure,
    /// Sentences by outcome; one without an outcome is for all others.
    pub explain: Vec<(Option<String>, String)>,
    /// The panel to look at, by its key.
    pub highlight: Option<String>,
    /// For the one who presents.
    pub note: String,
}

/// The event that a step's run goes to. Every run ends at the end of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// All centres are filled for the first time.
    FirstFill,
    /// Unused centres are re-seeded for the first time.
    FirstReseed,
    /// The clusters have collapsed.
    Collapse,
    /// This step of training is done.
    Step(u64),
    /// The whole test set is scored.
    End,
}

/// A question that the figures of a run can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Which group's difference is greater: `quiet`, `active`, or `neither` where the intervals of both hold the other's figure.
    GainsMore,
    /// Whether quiet users gain: `gain`, `loss`, or `open` where the interval holds 0.
    QuietGain,
    /// The difference of quiet users against that of the step before: `more`, `less`, or `same` where it is within its interval.
    QuietGainThan,
    /// Whether the clusters have collapsed: `yes` or `no`.
    Collapsed,
    /// The hit rate of level-1 centres against that of the step before: `higher`, `lower`, or `same` within two points.
    HitRateThan,
    /// Which level has the higher hit rate: `centres`, `children`, or `same` within two points.
    HitRateOf,
    /// Whether the step before came to the same verdict on quiet users: `yes` or `no`.
    Agrees,
}

/// What a run shows when its event has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Facts {
    /// Difference of quiet users' AUC and half of its 95 % interval.
    pub quiet: Option<(f64, f64)>,
    /// The same of active users.
    pub active: Option<(f64, f64)>,
    /// Whether the clusters have collapsed.
    pub collapsed: bool,
    /// Hit rates of both levels.
    pub hit_rates: Option<[f64; 2]>,
}

/// A line of a lesson that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LessonError {
    /// From 1.
    pub line: usize,
    /// What is wrong and what to write.
    pub cause: String,
}

impl fmt::Display for LessonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.cause)
    }
}

impl std::error::Error for LessonError {}

const MEASURES: [(&str, Measure); 7] = [
    ("gains-more", Measure::GainsMore),
    ("quiet-gain", Measure::QuietGain),
    ("quiet-gain-than-before", Measure::QuietGainThan),
    ("collapsed", Measure::Collapsed),
    ("hit-rate-than-before", Measure::HitRateThan),
    ("hit-rate-of", Measure::HitRateOf),
    ("agrees-with-before", Measure::Agrees),
];

/// Shares of which hit rates may differ and still be called the same.
const SAME: f64 = 0.02;

impl Measure {
    /// What it can come to.
    pub fn outcomes(self) -> &'static [&'static str] {
        match self {
            Self::GainsMore => &["quiet", "active", "neither"],
            Self::QuietGain => &["gain", "loss", "open"],
            Self::QuietGainThan => &["more", "less", "same"],
            Self::Collapsed | Self::Agrees => &["yes", "no"],
            Self::HitRateThan => &["higher", "lower", "same"],
            Self::HitRateOf => &["centres", "children", "same"],
        }
    }

    /// Whether it needs the step before.
    fn compares(self) -> bool {
        matches!(self, Self::QuietGainThan | Self::HitRateThan | Self::Agrees)
    }

    /// The outcome of a run, and of the step before it where that counts; `None` where the run shows too little.
    pub fn outcome(self, now: Facts, before: Option<Facts>) -> Option<&'static str> {
        let outcomes = self.outcomes();
        let three = |value: f64, margin: f64| {
            outcomes[if value > margin {
                0
            } else if value < -margin {
                1
            } else {
                2
            }]
        };
        match self {
            Self::GainsMore => {
                let ((quiet, half), (active, other)) = (now.quiet?, now.active?);
                Some(three(quiet - active, half.max(other)))
            }
            Self::QuietGain => now.quiet.map(|(value, half)| three(value, half)),
            Self::QuietGainThan => {
                let ((now, half), (before, _)) = (now.quiet?, before?.quiet?);
                Some(three(now - before, half))
            }
            Self::Collapsed => Some(outcomes[usize::from(!now.collapsed)]),
            Self::HitRateThan => Some(three(now.hit_rates?[0] - before?.hit_rates?[0], SAME)),
            Self::HitRateOf => now.hit_rates.map(|[centres, children]| three(centres - children, SAME)),
            Self::Agrees => {
                let verdict = |facts: Facts| Self::QuietGain.outcome(facts, None);
                Some(outcomes[usize::from(verdict(now)? != verdict(before?)?)])
            }
        }
    }
}

impl Step {
    /// The sentences for an outcome.
    pub fn explanation(&self, outcome: &str) -> Option<&str> {
        let own = self.explain.iter().find(|(of, _)| of.as_deref() == Some(outcome));
        own.or_else(|| self.explain.iter().find(|(of, _)| of.is_none())).map(|(_, text)| text.as_str())
    }
}

/// A step as far as it is read.
#[derive(Default)]
struct Draft {
    line: usize,
    title: String,
    config: Option<Config>,
    question: Option<String>,
    options: Vec<(usize, String, String)>,
    until: Option<Until>,
    measure: Option<Measure>,
    explain: Vec<(usize, Option<String>, String)>,
    highlight: Option<String>,
    note: Vec<String>,
}

/// Reads a lesson. `panels` are the keys that can be highlighted.
///
/// # Errors
/// The first line that cannot be used, with what to write in its place.
pub fn read(text: &str, panels: &[&str]) -> Result<Lesson, LessonError> {
    let (mut title, mut about, mut steps): (Option<String>, String, Vec<Step>) = (None, String::new(), Vec::new());
    let mut draft: Option<Draft> = None;
    let mut last = 0;
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (number, line) = (at + 1, line.trim());
        last = number;
        if line.is_empty() || line.starts_with("<!--") {
            continue;
        }
        if let Some(heading) = line.strip_prefix("## ") {
            if title.is_none() {
                return Err(wrong(number, "a lesson begins with its title: write `# Title` above the first step"));
            }
            if let Some(done) = draft.take() {
                steps.push(done.finish(steps.is_empty())?);
            }
            draft = Some(Draft { line: number, title: heading.trim().into(), ..Draft::default() });
        } else if let Some(heading) = line.strip_prefix("# ") {
            if title.is_some() {
                return Err(wrong(number, "a second title: a step begins with `## `, with two signs"));
            }
            title = Some(heading.trim().into());
        } else if let Some(draft) = draft.as_mut() {
            draft.take(number, line, panels)?;
        } else if title.is_some() {
            about = if about.is_empty() { line.into() } else { format!("{about} {line}") };
        } else {
            return Err(wrong(number, "a lesson begins with its title: write `# Title` in the first line"));
        }
    }
    let Some(title) = title else {
        return Err(wrong(last.max(1), "there is nothing in it: write `# Title`, then steps that begin with `## `"));
    };
    match draft {
        Some(done) => steps.push(done.finish(steps.is_empty())?),
        None => return Err(wrong(last, "a lesson has at least one step: write `## Title of the step` and its lines")),
    }
    Ok(Lesson { title, about, steps })
}

fn wrong(line: usize, cause: impl Into<String>) -> LessonError {
    LessonError { line, cause: cause.into() }
}

/// The keys of a step, for what is said of one that is none.
const KEYS: &str = "set, ask, run, answer, explain, highlight and note, and `- outcome: text` for the answers to choose from";

impl Draft {
    fn take(&mut self, number: usize, line: &str, panels: &[&str]) -> Result<(), LessonError> {
        if let Some(option) = line.strip_prefix("- ") {
            let Some((outcome, text)) = option.split_once(':') else {
                return Err(wrong(number, "an answer to choose from is written `- outcome: text`"));
            };
            self.options.push((number, outcome.trim().into(), text.trim().into()));
            return Ok(());
        }
        let Some((key, value)) = line.split_once(':') else {
            return Err(wrong(number, format!("`{}` has no colon: a line is `key: value`; the keys are {KEYS}", short(line))));
        };
        let (key, value) = (key.trim(), value.trim());
        let twice = || wrong(number, format!("`{key}` stands in this step twice"));
        match key {
            "set" if self.config.is_none() => self.config = Some(configuration(number, value)?),
            "ask" if self.question.is_none() => self.question = Some(value.into()),
            "run" if self.until.is_none() => self.until = Some(until(number, value)?),
            "answer" if self.measure.is_none() => self.measure = Some(measure(number, value)?),
            "highlight" if self.highlight.is_none() => self.highlight = Some(panel(number, value, panels)?),
            "set" | "ask" | "run" | "answer" | "highlight" => return Err(twice()),
            "note" => self.note.push(value.into()),
            "explain" => self.explain.push((number, None, value.into())),
            _ => match key.strip_prefix("explain ") {
                Some(outcome) => self.explain.push((number, Some(outcome.trim().into()), value.into())),
                None => return Err(wrong(number, format!("`{}` is no key of a step: the keys are {KEYS}", short(key)))),
            },
        }
        Ok(())
    }

    fn finish(self, is_first: bool) -> Result<Step, LessonError> {
        let missing = |what: &str| wrong(self.line, format!("this step has no `{what}:` line"));
        let measure = self.measure.ok_or_else(|| missing("answer"))?;
        if is_first && measure.compares() {
            return Err(wrong(self.line, "the first step has none before it to compare with: choose another `answer:`"));
        }
        let question = self.question.clone().ok_or_else(|| missing("ask"))?;
        if self.options.len() < 2 {
            return Err(wrong(self.line, "a question has at least two answers: write them as `- outcome: text`"));
        }
        let known = |number: usize, outcome: &str| {
            let all = measure.outcomes();
            let cause = || format!("`{}` is nothing that this question can come to: write one of {}", short(outcome), all.join(", "));
            if all.contains(&outcome) { Ok(()) } else { Err(wrong(number, cause())) }
        };
        for (number, outcome, _) in &self.options {
            known(*number, outcome)?;
        }
        for (number, outcome, _) in &self.explain {
            outcome.as_deref().map_or(Ok(()), |outcome| known(*number, outcome))?;
        }
        if self.explain.is_empty() {
            return Err(missing("explain"));
        }
        Ok(Step {
            title: self.title,
            config: self.config.unwrap_or_default(),
            question,
            options: self.options.into_iter().map(|(_, outcome, text)| (outcome, text)).collect(),
            until: self.until.unwrap_or(Until::End),
            measure,
            explain: self.explain.into_iter().map(|(_, outcome, text)| (outcome, text)).collect(),
            highlight: self.highlight,
            note: self.note.join(" "),
        })
    }
}

/// A configuration as in a link. In a lesson nothing is passed over: one that runs as something else would teach something else.
fn configuration(number: usize, value: &str) -> Result<Config, LessonError> {
    let (config, notices) = Config::from_link(value, &[]);
    match notices.first() {
        None => Ok(config),
        Some(notice) => Err(wrong(number, notice.to_string())),
    }
}

fn until(number: usize, value: &str) -> Result<Until, LessonError> {
    let known = || wrong(number, format!("`{}` is no event: write first-fill, first-reseed, collapse, step 100 or end", short(value)));
    match value.strip_prefix("to ").unwrap_or(value) {
        "first-fill" => Ok(Until::FirstFill),
        "first-reseed" => Ok(Until::FirstReseed),
        "collapse" => Ok(Until::Collapse),
        "end" => Ok(Until::End),
        other => {
            let step = other.strip_prefix("step ").and_then(|step| step.trim().parse().ok()).filter(|&step| step > 0);
            step.map(Until::Step).ok_or_else(known)
        }
    }
}

fn measure(number: usize, value: &str) -> Result<Measure, LessonError> {
    let found = MEASURES.iter().find(|(key, _)| *key == value).map(|(_, measure)| *measure);
    found.ok_or_else(|| {
        let all: Vec<&str> = MEASURES.iter().map(|(key, _)| *key).collect();
        wrong(number, format!("`{}` is nothing that a run can answer: write one of {}", short(value), all.join(", ")))
    })
}

fn panel(number: usize, value: &str, panels: &[&str]) -> Result<String, LessonError> {
    if panels.contains(&value) {
        return Ok(value.into());
    }
    Err(wrong(number, format!("`{}` is no panel: the panels are {}", short(value), panels.join(", "))))
}

/// What a person wrote, as far as it is worth repeating.
fn short(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if text.chars().nth(40).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const PANELS: [&str; 2] = ["field", "race"];
    const GOOD: &str = "# Title\nWhat it is\nabout.\n\n## One\nset: seed=3&rows=40000\nask: Who?\n- quiet: the quiet\n- active: the others\n\
                        run: step 100\nanswer: gains-more\nexplain quiet: A.\nexplain: B.\nhighlight: race\nnote: n1\nnote: n2\n\n\
                        ## Two\nask: Same?\n- yes: y\n- no: n\nanswer: agrees-with-before\nexplain: C.\n";

    fn cause(text: &str) -> String {
        read(text, &PANELS).unwrap_err().to_string()
    }

    #[test]
    fn a_lesson_is_read_whole() {
        let lesson = read(GOOD, &PANELS).unwrap();
        assert_eq!((lesson.title.as_str(), lesson.about.as_str(), lesson.steps.len()), ("Title", "What it is about.", 2));
        let [one, two] = &lesson.steps[..] else { panic!() };
        assert_eq!((one.config.seed, one.config.rows, one.until, one.measure), (3, 40_000, Until::Step(100), Measure::GainsMore));
        assert_eq!((one.explanation("quiet"), one.explanation("neither")), (Some("A."), Some("B.")));
        assert_eq!((one.highlight.as_deref(), one.note.as_str(), two.until), (Some("race"), "n1 n2", Until::End));
        assert_eq!(read(&GOOD.replace('\n', "\r\n"), &PANELS).unwrap(), lesson, "as Windows writes lines");
        assert_eq!(read(&format!("\u{feff}{GOOD}"), &PANELS).unwrap(), lesson, "with a mark of byte order");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_what_to_write() {
        let wrong = |from: &str, to: &str| cause(&GOOD.replacen(from, to, 1));
        assert_eq!(cause(""), "line 1: there is nothing in it: write `# Title`, then steps that begin with `## `");
        assert_eq!(cause("hello"), "line 1: a lesson begins with its title: write `# Title` in the first line");
        assert!(cause("# A\nabout\n").starts_with("line 2: a lesson has at least one step"));
        assert!(wrong("# Title\n", "## Title\n").starts_with("line 1: a lesson begins with its title"));
        assert!(wrong("seed=3", "sede=3").starts_with("line 6: `sede` is not a setting and is ignored: did you mean `seed`?"));
        assert!(wrong("rows=40000", "rows=many").starts_with("line 6: rows = many cannot be used"));
        assert!(
            wrong("- quiet: the quiet", "- loud: the loud")
                .starts_with("line 8: `loud` is nothing that this question can come to: write one of quiet")
        );
        assert!(wrong("- quiet: the quiet", "- quiet").starts_with("line 8: an answer to choose from"));
        assert!(wrong("run: step 100", "run: tomorrow").starts_with("line 10: `tomorrow` is no event"));
        assert!(wrong("answer: gains-more", "answer: hope").starts_with("line 11: `hope` is nothing that a run can answer"));
        assert!(wrong("explain quiet: A.", "explain loud: A.").starts_with("line 12: `loud` is nothing"));
        assert!(wrong("highlight: race", "highlight: moon").starts_with("line 14: `moon` is no panel: the panels are field, race"));
        assert!(wrong("note: n1", "remark: n1").starts_with("line 15: `remark` is no key of a step"));
        assert!(wrong("note: n1", "ask: again?").starts_with("line 15: `ask` stands in this step twice"));
        assert!(wrong("ask: Who?\n", "").starts_with("line 5: this step has no `ask:` line"));
        assert!(wrong("answer: gains-more", "answer: agrees-with-before").starts_with("line 5: the first step has none before it"));
        assert!(wrong("- active: the others\n", "").starts_with("line 5: a question has at least two answers"));
    }

    /// Bytes that are no lesson never panic: a person may drop any file.
    #[test]
    fn any_text_is_a_lesson_or_an_error_with_a_line_that_there_is() {
        let pieces =
            ["# ", "## ", "a", "\n", ":", "- ", "set: ", "ask: é", "run: step ", "9", "answer: ", "explain ", "quiet", "\r", "\u{0}"];
        let draw = crate::counter::Counter::new(5, crate::counter::Stream::Choices);
        for text in 0..2_000u64 {
            let lane = draw.lane(text);
            let text: String = (0..lane.below(0, 30)).map(|at| pieces[lane.below(1 + at, pieces.len() as u64) as usize]).collect();
            if let Err(error) = read(&text, &PANELS) {
                assert!(error.line >= 1 && error.line <= text.lines().count().max(1), "{error} in {text:?}");
            }
        }
    }

    #[test]
    fn outcomes_are_what_the_figures_say() {
        let facts = |quiet: f64, active: f64| Facts { quiet: Some((quiet, 0.01)), active: Some((active, 0.005)), ..Facts::default() };
        assert_eq!(Measure::GainsMore.outcome(facts(0.03, 0.01), None), Some("quiet"));
        assert_eq!(Measure::GainsMore.outcome(facts(0.01, 0.03), None), Some("active"));
        assert_eq!(Measure::GainsMore.outcome(facts(0.012, 0.01), None), Some("neither"));
        assert_eq!(Measure::QuietGain.outcome(facts(0.02, 0.0), None), Some("gain"));
        assert_eq!(Measure::QuietGain.outcome(facts(0.005, 0.0), None), Some("open"));
        assert_eq!(Measure::QuietGainThan.outcome(facts(0.0, 0.0), Some(facts(0.03, 0.0))), Some("less"));
        assert_eq!(Measure::QuietGainThan.outcome(facts(0.0, 0.0), None), None);
        assert_eq!(Measure::Agrees.outcome(facts(0.02, 0.0), Some(facts(0.0, 0.0))), Some("no"));
        let hits = |centres: f64, children: f64| Facts { hit_rates: Some([centres, children]), ..Facts::default() };
        assert_eq!(Measure::HitRateThan.outcome(hits(0.5, 0.1), Some(hits(0.9, 0.1))), Some("lower"));
        assert_eq!(Measure::HitRateOf.outcome(hits(0.91, 0.9), None), Some("same"));
        assert_eq!(Measure::Collapsed.outcome(Facts { collapsed: true, ..Facts::default() }, None), Some("yes"));
        assert_eq!(Measure::Collapsed.outcome(Facts::default(), None), Some("no"));
        for (_, measure) in MEASURES {
            let all = [measure.outcome(Facts::default(), None), measure.outcome(facts(0.1, 0.0), Some(hits(0.1, 0.2)))];
            assert!(all.into_iter().flatten().all(|outcome| measure.outcomes().contains(&outcome)));
        }
    }

    /// The lessons of a folder by their names.
    fn lessons(folder: &std::path::Path) -> std::collections::BTreeMap<String, Lesson> {
        let panels = ["field", "race", "user", "controls", "flow", "clusters", "losses", "data", "keep"];
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
        let named = |path: std::path::PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap();
            let lesson = read(&text, &panels).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_name().unwrap().to_string_lossy().into_owned(), lesson)
        };
        files.map(named).collect()
    }

    /// What lies beside the page can be read, and asks only for what its answer can be.
    #[test]
    fn every_lesson_of_the_page_is_one() {
        let all = lessons(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("lessons"));
        for (file, step) in all.iter().flat_map(|(file, lesson)| lesson.steps.iter().map(move |step| (file, step))) {
            let unasked = step.measure.outcomes().iter().filter(|outcome| !step.options.iter().any(|(of, _)| of == *outcome)).count();
            assert_eq!(unasked, 0, "{file}: {} cannot be answered by every outcome", step.title);
            assert!(step.measure.outcomes().iter().all(|outcome| step.explanation(outcome).is_some()), "{}", step.title);
        }
        assert_eq!(all.len(), 6);
    }

    /// In another language a lesson runs and answers as in English; only its sentences differ, and all of them do.
    #[test]
    fn a_lesson_is_the_same_in_every_language() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("lessons");
        let english = lessons(&folder);
        let bones = |step: &Step| {
            let outcomes: Vec<String> = step.options.iter().map(|(outcome, _)| outcome.clone()).collect();
            let explained: Vec<Option<String>> = step.explain.iter().map(|(outcome, _)| outcome.clone()).collect();
            (step.config.clone(), step.until, step.measure, step.highlight.clone(), outcomes, explained, step.note.is_empty())
        };
        let sentences = |lesson: &Lesson| {
            let of_step = |step: &Step| {
                let told = step.options.iter().map(|(_, text)| text).chain(step.explain.iter().map(|(_, text)| text));
                [&step.title, &step.question, &step.note].into_iter().chain(told).cloned().collect::<Vec<_>>()
            };
            [vec![lesson.title.clone(), lesson.about.clone()], lesson.steps.iter().flat_map(of_step).collect()].concat()
        };
        let languages = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_dir());
        for language in languages {
            let told = lessons(&language);
            assert!(told.keys().eq(english.keys()), "{}", language.display());
            for (ours, theirs) in english.values().zip(told.values()) {
                let [ours_bones, theirs_bones] = [ours, theirs].map(|lesson| lesson.steps.iter().map(bones).collect::<Vec<_>>());
                assert_eq!(ours_bones, theirs_bones, "{} {}", language.display(), ours.title);
                let same = sentences(ours).into_iter().zip(sentences(theirs)).find(|(ours, theirs)| ours == theirs && !ours.is_empty());
                assert_eq!(same, None, "{}: not translated", language.display());
            }
        }
    }
}
