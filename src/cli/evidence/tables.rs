//! Finished cells as tables, with the paper's figures beside them.

mod headroom;

use duia::config::Negatives;
use duia::data::{GroupInterest, Origin, Side};
use duia::metrics::{Earlier, Slice};
use duia::variants::{Role, Variant};

use super::super::series::{earlier_key, side_key, slice_key};
use super::super::text::{NONE, duration, figure, whole};
use super::arguments::Axis;
use super::cell::{Finished, protocol};
use super::paper;
use super::queue::Done;
use super::statistics::{Estimate, Summary};
use super::table::{Fact, Row, Table};

const AREA: &str = "Mean ± standard deviation over seeds.";

/// How a difference is written, and how its errors are combined.
pub const LIFT: &str = "Differences are paired on the same test rows: mean ± half the 95 % interval that the test's users leave (errors \
                        clustered by user; over n seeds 1.96 sqrt(sum se²) / n), in brackets half the 95 % t interval over seeds. A star says that \
                        both exclude zero after Bonferroni at 5 % over the models, and the values, of the table, sanity rows apart.";

const PAPER: &str = "The paper's figures are of other data: compare the shape.";

const SANITY: &str = "sanity rows: what a gain must beat";

const EARLIER: [Earlier; 5] = [Earlier::None, Earlier::UpTo2, Earlier::UpTo5, Earlier::UpTo10, Earlier::More];

/// Tables, and every figure that went into them.
#[derive(Debug, Default)]
pub struct Book {
    pub tables: Vec<Table>,
    pub facts: Vec<Fact>,
}

/// Cells that differ by their seed alone.
#[derive(Clone, Copy)]
pub struct Runs<'a> {
    pub done: &'a [Done],
    pub negatives: Negatives,
    pub value: Option<u64>,
}

impl<'a> Runs<'a> {
    /// The cells.
    pub fn iter(self) -> impl Iterator<Item = &'a Done> {
        self.done.iter().filter(move |done| done.cell.config.negatives == self.negatives && done.cell.value == self.value)
    }

    /// A figure over the seeds; runs that lack it do not count.
    pub fn summary(self, of: impl Fn(&Finished) -> Option<Estimate>) -> Summary {
        Summary::of(self.iter().filter_map(|done| of(&done.result)))
    }
}

/// The protocols that there are cells of, in their order.
pub fn protocols(done: &[Done]) -> Vec<Negatives> {
    let has = |negatives: &Negatives| done.iter().any(|done| done.cell.config.negatives == *negatives);
    [Negatives::TimeMatched, Negatives::None, Negatives::Uniform, Negatives::Popular].into_iter().filter(has).collect()
}

/// The values that there are cells of, ascending.
pub fn values(done: &[Done]) -> Vec<Option<u64>> {
    let mut values: Vec<Option<u64>> = done.iter().map(|done| done.cell.value).collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// The models of the comparison.
pub fn variants(done: &[Done]) -> &[Variant] {
    done.first().map_or(&[], |done| &done.cell.config.variants.0)
}

/// The models whose differences from PLE there are.
pub fn compared(done: &[Done]) -> Vec<Variant> {
    match variants(done).split_first() {
        Some((Variant::Ple, others)) => others.to_vec(),
        _ => Vec::new(),
    }
}

/// Whether a model is there to be beaten.
pub fn is_sanity(variant: Variant) -> bool {
    matches!(variant.row().role, Role::Sanity | Role::Ceiling | Role::Bound)
}

/// Which rows, in a title. Synthetic rows are called so.
pub fn stream(done: &[Done]) -> String {
    match done.first().map(|done| &done.result.data) {
        Some(data) if data.origin == Origin::Synthetic => "synthetic stream".into(),
        Some(data) if data.origin == Origin::Sample => format!("sample {}", data.name),
        Some(data) => data.name.clone(),
        None => "no rows".into(),
    }
}

/// An area or a share over seeds.
fn area(summary: Summary) -> String {
    match summary.sd {
        Some(sd) => format!("{} ± {sd:.4}", figure(summary.mean)),
        None => figure(summary.mean),
    }
}

/// A difference over seeds with both intervals.
fn lift(summary: Summary) -> String {
    let mut text = signed(summary.mean);
    if let Some(half) = summary.half_rows() {
        text += &format!(" ± {half:.4}");
    }
    if let Some(half) = summary.half_seeds() {
        text += &format!(" ({half:.4})");
    }
    text
}

/// A difference over seeds with both intervals, and a star where both exclude zero among `family` differences.
fn gain(variant: Variant, summary: Summary, family: usize) -> String {
    let is_sure = !is_sanity(variant) && summary.excludes_zero(family.max(1)) == [true; 2];
    lift(summary) + if is_sure { " *" } else { "" }
}

/// Differences of a column: one for each value and each model that is no sanity row.
fn family(done: &[Done]) -> usize {
    values(done).len() * compared(done).into_iter().filter(|variant| !is_sanity(*variant)).count()
}

/// Which of several figures exclude zero together, in a sentence; nothing where there are none.
fn survivors(what: &str, figures: &[(Variant, Summary)]) -> String {
    let figures: Vec<_> = figures.iter().filter(|(_, summary)| summary.n > 0).collect();
    if figures.is_empty() {
        return String::new();
    }
    let names = |over: usize| {
        let survive = figures.iter().filter(|(_, summary)| summary.excludes_zero(figures.len())[over]);
        let names: Vec<&str> = survive.map(|(variant, _)| variant.name()).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    };
    format!(
        "Zero is excluded for all {what} together (Bonferroni at 5 % over {}) by the test's users for: {}; by the seeds for: {}.",
        figures.len(),
        names(0),
        names(1)
    )
}

fn signed(value: f64) -> String {
    if value.is_finite() { format!("{value:+.4}") } else { NONE.into() }
}

fn or_none(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or(NONE.into(), text)
}

/// The names of a fact: table, row, group and metric.
#[derive(Clone, Copy)]
struct At<'a>(&'a str, &'a str, &'a str, &'a str);

impl Book {
    /// Tables 2, 4 and 5 of the paper, the finer parts of the test, and the state of the clusters.
    pub fn of_ablation(done: &[Done]) -> Self {
        let mut book = Self::default();
        for (place, negatives) in protocols(done).into_iter().enumerate() {
            let runs = Runs { done, negatives, value: None };
            if place == 0 {
                book.interest(runs);
            }
            book.table_4(runs);
            book.table_5(runs);
            book.gains(runs);
            book.headroom(None, done, negatives);
            book.parts(None, done, negatives);
            book.other_areas(runs);
            book.streaming(runs);
            book.clusters(None, done, negatives);
            book.losses(runs);
        }
        book.runs(None, done);
        book
    }

    /// Tables 7 to 9 of the paper, or the curve of a question of its own.
    pub fn of_sweep(axis: Axis, done: &[Done]) -> Self {
        let mut book = Self::default();
        for negatives in protocols(done) {
            book.sweep_areas(axis, done, negatives);
            book.sweep_gains(axis, done, negatives);
            book.headroom(Some(axis), done, negatives);
            if !compared(done).is_empty() {
                book.parts(Some(axis), done, negatives);
            }
            book.clusters(Some(axis), done, negatives);
        }
        book.runs(Some(axis), done);
        book
    }

    fn push(&mut self, runs: Runs<'_>, id: &str, title: &str, notes: &str, header: &[&str], rows: Vec<Row>) {
        let drawn = if runs.negatives == Negatives::None { "" } else { "UB-T80-" };
        let title = format!("{title}, {}, protocol {drawn}{}", stream(runs.done), protocol(runs.negatives));
        let header = header.iter().map(ToString::to_string).collect();
        self.tables.push(Table { id: id.into(), title, notes: notes.into(), header, rows });
    }

    /// Writes a figure of every seed and their summary down.
    fn measure(&mut self, at: At<'_>, runs: Runs<'_>, of: impl Fn(&Finished) -> Option<Estimate>) -> Summary {
        let summary = runs.summary(&of);
        self.note(at, runs, of, summary)
    }

    /// As [`Book::measure`], where the summary is not the mean of the seeds' figures.
    fn note(
        &mut self,
        At(table, row, group, metric): At<'_>,
        runs: Runs<'_>,
        of: impl Fn(&Finished) -> Option<Estimate>,
        summary: Summary,
    ) -> Summary {
        let fact = Fact {
            table: table.into(),
            row: row.into(),
            group: group.into(),
            metric: metric.into(),
            seed: "mean".into(),
            value: summary.mean,
            sd: summary.sd,
            standard_error: summary.standard_error,
            n: summary.n,
        };
        for done in runs.iter() {
            if let Some(Estimate { value, standard_error }) = of(&done.result) {
                let seed = done.cell.config.seed.to_string();
                self.facts.push(Fact { seed, value, sd: None, standard_error, n: 1, ..fact.clone() });
            }
        }
        if summary.n > 0 {
            self.facts.push(fact);
        }
        summary
    }

    /// Writes a figure of the paper down.
    fn paper(&mut self, At(table, row, group, metric): At<'_>, value: Option<f64>) {
        if let Some(value) = value {
            let [table, row, group, metric] = [table, row, group, metric].map(String::from);
            self.facts.push(Fact { table, row, group, metric, seed: "paper".into(), value, sd: None, standard_error: None, n: 1 });
        }
    }

    /// Table 2: what is known of low-active and of high-active users.
    fn interest(&mut self, runs: Runs<'_>) {
        const TABLE: &str = "table-2";
        type Part = (&'static str, fn(&GroupInterest) -> f64);
        const PARTS: [Part; 5] = [
            ("users", |group| group.users as f64),
            ("behaviours", |group| group.behaviours),
            ("items", |group| group.items),
            ("categories", |group| group.categories),
            ("profile", |group| group.profile),
        ];
        let exact = |value| Some(Estimate { value, standard_error: None });
        let mut rows = Vec::new();
        for name in ["high-active", "low-active"] {
            let mut cells = vec![name.to_owned()];
            for (metric, part) in PARTS {
                let of = |result: &Finished| {
                    let interest = &result.data.interest;
                    exact(part(if name == "low-active" { &interest.low } else { &interest.high }))
                };
                cells.push(format!("{:.1}", self.measure(At(TABLE, name, "", metric), runs, of).mean));
            }
            rows.push(Row::Cells(cells));
        }
        let mut cells = vec!["low over high".to_owned(), NONE.into()];
        for (metric, part) in &PARTS[1..] {
            let of = |result: &Finished| exact(part(&result.data.interest.low) / part(&result.data.interest.high));
            let ratio = self.measure(At(TABLE, "low over high", "", metric), runs, of).mean;
            cells.push(if ratio.is_finite() { format!("{ratio:.2}") } else { NONE.into() });
        }
        rows.push(Row::Cells(cells));
        let [profile, behaviours] = paper::TABLE_2;
        self.paper(At(TABLE, "low over high", "", "profile"), Some(profile));
        self.paper(At(TABLE, "low over high", "", "behaviours"), Some(behaviours));
        rows.push(Row::Rule("the paper, industrial data".into()));
        let last = ["low over high".into(), NONE.into(), format!("{behaviours:.2}"), NONE.into(), NONE.into(), format!("{profile:.2}")];
        rows.push(Row::Cells(last.into()));
        let notes = format!(
            "Means a user over the training rows. The paper's last column counts profile features; without a profile distinct categories come nearest to them. {PAPER}"
        );
        let header = ["users", "number", "behaviours", "distinct items", "distinct categories", "profile fields"];
        self.push(runs, TABLE, "Table 2: interest of low-active and high-active users", &notes, &header, rows);
    }

    fn table_4(&mut self, runs: Runs<'_>) {
        let (table, family) = (table_id("table-4", runs), family(runs.done));
        let mut over_parents = Vec::new();
        let rows = by_variant(runs, |variant| {
            let key = variant.key();
            let (own, base) = (variant.row().paper.table_4, Variant::Ple.row().paper.table_4);
            let gain = own.zip(base).map(|(own, base)| own - base).filter(|_| variant != Variant::Ple);
            self.paper(At(&table, key, "all", "auc"), own);
            let auc = self.measure(At(&table, key, "all", "auc"), runs, |run| run.figure(variant, "test.auc.all"));
            let gained = self.measure(At(&table, key, "all", "lift"), runs, |run| run.figure(variant, "test.lift.all"));
            let over_parent = self.measure(At(&table, key, "all", "lift_over_parent"), runs, |run| run.lift_over_parent(variant, "all"));
            if !is_sanity(variant) {
                over_parents.push((variant, over_parent));
            }
            let [gained, over_parent] = [gained, over_parent].map(|summary| self::gain(variant, summary, family));
            vec![variant.name().into(), area(auc), gained, over_parent, or_none(own, figure), or_none(gain, signed)]
        });
        let notes = format!(
            "{AREA} {LIFT} The parent is the model that this one adds something to. {} {PAPER}",
            survivors("steps over the parent", &over_parents)
        );
        let header = ["model", "AUC", "minus PLE", "minus its parent", "paper", "minus PLE"];
        self.push(runs, &table, "Table 4: AUC of all users", &notes, &header, rows);
    }

    fn table_5(&mut self, runs: Runs<'_>) {
        let table = table_id("table-5", runs);
        let rows = by_variant(runs, |variant| {
            let own = variant.row().paper.table_5;
            let papers = [("low", own.map(|(low, _)| low)), ("high", own.and_then(|(_, high)| high))];
            let mut cells = vec![variant.name().into()];
            for (group, paper) in papers {
                self.paper(At(&table, variant.key(), group, "auc"), paper);
                let of = |run: &Finished| run.figure(variant, &format!("test.auc.{group}"));
                cells.push(area(self.measure(At(&table, variant.key(), group, "auc"), runs, of)));
            }
            cells.extend(papers.map(|(_, paper)| or_none(paper, figure)));
            cells
        });
        let header = ["model", "low-active", "high-active", "paper, low", "paper, high"];
        self.push(runs, &table, "Table 5: AUC of low-active and high-active users", &format!("{AREA} {PAPER}"), &header, rows);
    }

    /// Table 5's differences from PLE, and whether low-active users gain more.
    fn gains(&mut self, runs: Runs<'_>) {
        let (table, family) = (table_id("table-5-gains", runs), family(runs.done));
        let mut contrasts = Vec::new();
        let rows = by_variant(runs, |variant| {
            let of_group = |run: &Finished, group: &str| run.figure(variant, &format!("test.lift.{group}"));
            let mut cells = vec![variant.name().into()];
            for group in ["low", "high"] {
                let summary = self.measure(At(&table, variant.key(), group, "lift"), runs, |run| of_group(run, group));
                cells.push(gain(variant, summary, family));
            }
            let of = |run: &Finished| Some(of_group(run, "low")?.minus(of_group(run, "high")?));
            let contrast = self.measure(At(&table, variant.key(), "low minus high", "lift"), runs, of);
            cells.push(gain(variant, contrast, family));
            if !is_sanity(variant) {
                contrasts.push((variant, contrast));
            }
            let (low, high) = paper_gains(variant);
            for (group, paper) in [("low", low), ("high", high), ("low minus high", low.zip(high).map(|(low, high)| low - high))] {
                self.paper(At(&table, variant.key(), group, "lift"), paper);
                cells.push(or_none(paper, signed));
            }
            cells
        });
        let notes = format!(
            "{LIFT} The groups have no row in common, so the errors of their gains add as squares. {} {PAPER}",
            survivors("differences of the groups' gains", &contrasts)
        );
        let header = ["minus PLE", "low-active", "high-active", "low minus high", "paper, low", "paper, high", "low minus high"];
        self.push(runs, &table, "Table 5: gains of low-active and high-active users", &notes, &header, rows);
    }

    /// Differences from PLE over parts of the test, by value where there is an axis; PLE's own rows show its areas.
    fn parts(&mut self, axis: Option<Axis>, done: &[Done], negatives: Negatives) {
        let of = (axis, done, negatives);
        let items = [("tail", Slice::TailItems), ("head", Slice::HeadItems), ("seen in training, new to the user", Slice::SeenAndNew)];
        let items = items.map(|(name, slice)| (name.to_owned(), slice));
        let earlier = |of: fn(Earlier) -> Slice| EARLIER.map(|step| (earlier_key(step).to_owned(), of(step)));
        let head = "The head is the top tenth of the items by training rows.";
        self.part_table(of, "items", "Tail, head and known items", head, &items);
        let deciles: Vec<(String, Slice)> = (0..10).map(|decile| ((decile + 1).to_string(), Slice::Decile(decile))).collect();
        self.part_table(of, "deciles", "Users by tenths of activity", "1 is the least active tenth.", &deciles);
        let counted = "Test rows by how many behaviours of the user came before.";
        let users = [earlier(Slice::UserRows).as_slice(), &[("0-10".to_owned(), Slice::FewUserRows)]].concat();
        self.part_table(of, "user-rows", "Users by earlier behaviours", counted, &users);
        let counted = "Test rows by how many rows of the item came before.";
        self.part_table(of, "item-rows", "Items by earlier behaviours", counted, &earlier(Slice::ItemRows));
    }

    fn part_table(
        &mut self,
        (axis, done, negatives): (Option<Axis>, &[Done], Negatives),
        id: &str,
        title: &str,
        what: &str,
        parts: &[(String, Slice)],
    ) {
        // Ten columns of intervals are too wide to read: those stand in the plot and in report.csv.
        let is_wide = parts.len() > EARLIER.len() + 1;
        let all = Runs { done, negatives, value: None };
        let table = table_id(&axis.map_or(id.into(), |axis| format!("sweep-{}-{id}", axis.key())), all);
        let family = family(done);
        let rows = by_value(axis, all, |runs, variant| {
            let row = row_key(runs.value, variant.key());
            let mut cells = vec![variant.name().into()];
            for (name, slice) in parts {
                let slice = slice_key(*slice);
                let at = |metric| At(&table, &row, name, metric);
                let auc = self.measure(at("auc"), runs, |run| run.figure(variant, &format!("test.auc.{slice}")));
                let lift = self.measure(at("lift"), runs, |run| run.figure(variant, &format!("test.lift.{slice}")));
                cells.push(match (variant, is_wide) {
                    (Variant::Ple, true) => figure(auc.mean),
                    (Variant::Ple, false) => area(auc),
                    (_, true) => signed(lift.mean),
                    (_, false) => gain(variant, lift, family),
                });
            }
            cells
        });
        let how = if is_wide { "Mean differences; their intervals are in report.csv, and of an ablation in the plot." } else { LIFT };
        let notes = format!("{what} PLE's row shows its AUC, the others their difference from it. {how}");
        let names = ["model"].into_iter().chain(parts.iter().map(|(name, _)| name.as_str()));
        let header: Vec<&str> = axis.map(Axis::name).into_iter().chain(names).collect();
        let title = axis.map_or(title.into(), |axis| format!("{title}, by {}", axis.name()));
        self.push(all, &table, &title, &notes, &header, rows);
    }

    fn other_areas(&mut self, runs: Runs<'_>) {
        let (table, family) = (table_id("other-areas", runs), family(runs.done));
        let rows = by_variant(runs, |variant| {
            let at = |metric| At(&table, variant.key(), "all", metric);
            let [gauc, fresh, seen] = ["gauc", "auc.without_repeats", "auc.seen_items"]
                .map(|metric| area(self.measure(at(metric), runs, |run| run.figure(variant, &format!("test.{metric}")))));
            let [of_gauc, of_fresh] = ["lift.gauc", "lift.without_repeats"]
                .map(|metric| gain(variant, self.measure(at(metric), runs, |run| run.figure(variant, &format!("test.{metric}"))), family));
            let at_parent = at("lift_over_parent.without_repeats");
            let over_parent = self.measure(at_parent, runs, |run| run.lift_over_parent(variant, "without_repeats"));
            vec![variant.name().into(), gauc, of_gauc, seen, fresh, of_fresh, gain(variant, over_parent, family)]
        });
        let notes = format!(
            "{AREA} {LIFT} GAUC is the mean of the users' own areas, weighted by their rows. Repeats are items that the user had before."
        );
        let header =
            ["model", "GAUC", "minus PLE", "AUC over items seen in training", "AUC without repeats", "minus PLE", "minus its parent"];
        self.push(runs, &table, "Other areas", &notes, &header, rows);
    }

    /// A15: what the models score while they train on.
    fn streaming(&mut self, runs: Runs<'_>) {
        let (table, family) = (table_id("streaming", runs), family(runs.done));
        let rows = by_variant(runs, |variant| {
            let at = |group, metric| At(&table, variant.key(), group, metric);
            let gained = |run: &Finished| {
                let [streaming, frozen] = ["streaming", "test"].map(|set| run.figure(variant, &format!("{set}.auc.all")));
                Some(Estimate { value: streaming?.value - frozen?.value, standard_error: None })
            };
            let mut cells = vec![
                variant.name().into(),
                area(self.measure(at("all", "auc"), runs, |run| run.figure(variant, "streaming.auc.all"))),
                area(self.measure(at("all", "frozen auc"), runs, |run| run.figure(variant, "test.auc.all"))),
                lift(self.measure(at("all", "minus frozen"), runs, gained)),
                gain(variant, self.measure(at("all", "frozen lift"), runs, |run| run.figure(variant, "test.lift.all")), family),
            ];
            for group in ["all", "low", "high"] {
                let of = |run: &Finished| run.figure(variant, &format!("streaming.lift.{group}"));
                cells.push(gain(variant, self.measure(at(group, "lift"), runs, of), family));
            }
            cells
        });
        let notes = format!(
            "The test rows once more after the tests above, each batch scored and then trained on. A history's items have the centres with which they last passed; with frozen memories all are looked up anew. {AREA} {LIFT}"
        );
        let header = ["model", "AUC", "frozen AUC", "difference", "frozen, minus PLE", "minus PLE", "low-active", "high-active"];
        self.push(runs, &table, "Frozen, and scored before training on", &notes, &header, rows);
    }

    fn losses(&mut self, runs: Runs<'_>) {
        let table = table_id("losses", runs);
        for &variant in variants(runs.done) {
            let mut names: Vec<&str> = runs
                .iter()
                .flat_map(|done| &done.result.figures)
                .filter(|point| point.variant == variant && point.metric.starts_with("loss_"))
                .map(|point| point.metric.as_str())
                .collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                self.measure(At(&table, variant.key(), "last step", name), runs, |run| run.figure(variant, name));
            }
        }
    }

    /// State of all clusters, by value where there is an axis.
    fn clusters(&mut self, axis: Option<Axis>, done: &[Done], negatives: Negatives) {
        const METRICS: [&str; 12] = [
            "positives",
            "hit_rate_1",
            "hit_rate_2",
            "perplexity_1",
            "perplexity_2",
            "top_share",
            "relative_error",
            "stopped.all",
            "stopped.low",
            "stopped.high",
            "nmi",
            "purity",
        ];
        let all = Runs { done, negatives, value: None };
        let table = table_id("clusters", all);
        let mut rows = Vec::new();
        for value in values(done) {
            for (variant, side) in variants(done).iter().flat_map(|&variant| sides(variant)) {
                let runs = Runs { done, negatives, value };
                let name = if side == Side::Items { format!("{}, items", variant.name()) } else { variant.name().into() };
                let row = row_key(value, &format!("{} {}", variant.key(), side_key(side)));
                let mut cells: Vec<String> =
                    axis.map(|_| value.map_or(NONE.into(), |value| whole(value).to_string())).into_iter().collect();
                cells.push(name);
                for metric in METRICS {
                    let of = |run: &Finished| run.figure(variant, &format!("test.clusters.{}.{metric}", side_key(side)));
                    let summary = self.measure(At(&table, &row, side_key(side), metric), runs, of);
                    cells.push(match metric {
                        "positives" => or_none(Some(summary.mean).filter(|mean| mean.is_finite()), |mean| whole(mean as u64).to_string()),
                        "hit_rate_1" | "hit_rate_2" => area(summary),
                        _ => figure(summary.mean),
                    });
                }
                rows.push(Row::Cells(cells));
            }
        }
        if axis == Some(Axis::HitRate) {
            rows.push(Row::Rule("the paper, Table 9, industrial data".into()));
            for (nfc, hit_rate) in paper::TABLE_9 {
                self.paper(At(&table, &row_key(Some(nfc), "uie users"), "users", "hit_rate_1"), Some(hit_rate));
                let mut cells = vec![whole(nfc).to_string(), "UIE".into(), NONE.into(), format!("{hit_rate:.2}")];
                cells.resize(METRICS.len() + 2, NONE.into());
                rows.push(Row::Cells(cells));
            }
        }
        if rows.is_empty() {
            return;
        }
        let mut header: Vec<&str> = axis.map(Axis::name).into_iter().collect();
        header.extend(["clusters of", "test positives", "hit rate 1", "hit rate 2", "perplexity 1", "perplexity 2", "largest", "error"]);
        header.extend(["stopped", "stopped, low", "stopped, high", "NMI", "purity"]);
        let notes = format!(
            "Over the test positives, whose number a hit rate depends on, memories frozen. {AREA} Hit rate: share of a level's centres that \
             are nearest to at least one. Perplexity: over the number of centres. Largest: share of the largest cluster. Error: squared, \
             relative to one centre. Stopped: share without enhancement vectors, for a negative correlation. {}",
            if axis == Some(Axis::HitRate) { PAPER } else { "NMI and purity compare with planted groups." }
        );
        let title = if axis == Some(Axis::HitRate) { "Table 9: hit rate of the clusters" } else { "Clusters" };
        self.push(all, &table, title, &notes, &header, rows);
    }

    fn sweep_areas(&mut self, axis: Axis, done: &[Done], negatives: Negatives) {
        let all = Runs { done, negatives, value: None };
        let table = table_id(&format!("sweep-{}", axis.key()), all);
        let mut rows = Vec::new();
        for (value, variant) in values(done).into_iter().flat_map(|value| variants(done).iter().map(move |&variant| (value, variant))) {
            let runs = Runs { done, negatives, value };
            let mut cells = vec![value.map_or(NONE.into(), |value| whole(value).to_string()), variant.name().into()];
            for group in ["all", "low", "high"] {
                let of = |run: &Finished| run.figure(variant, &format!("test.auc.{group}"));
                cells.push(area(self.measure(At(&table, &row_key(value, variant.key()), group, "auc"), runs, of)));
            }
            rows.push(Row::Cells(cells));
        }
        let (number, model, of_paper) = paper_sweep(axis);
        if !of_paper.is_empty() {
            rows.push(Row::Rule(format!("the paper, {number}, industrial data")));
        }
        for &(value, low, high) in of_paper {
            for (group, figure) in [("low", low), ("high", high)] {
                self.paper(At(&table, &row_key(Some(value), model.key()), group, "auc"), Some(figure));
            }
            rows.push(Row::Cells(vec![whole(value).to_string(), model.name().into(), NONE.into(), figure(low), figure(high)]));
        }
        let notes = sentences(&[AREA, if of_paper.is_empty() { "" } else { PAPER }, fixed(axis)]);
        let header = [axis.name(), "model", "all users", "low-active", "high-active"];
        self.push(all, &table, &sweep_title(axis, "AUC"), &notes, &header, rows);
    }

    fn sweep_gains(&mut self, axis: Axis, done: &[Done], negatives: Negatives) {
        let all = Runs { done, negatives, value: None };
        let table = table_id(&format!("sweep-{}-gains", axis.key()), all);
        let mut rows = Vec::new();
        for (value, variant) in values(done).into_iter().flat_map(|value| compared(done).into_iter().map(move |variant| (value, variant))) {
            let runs = Runs { done, negatives, value };
            let mut cells = vec![value.map_or(NONE.into(), |value| whole(value).to_string()), variant.name().into()];
            for group in ["all", "low", "high"] {
                let of = |run: &Finished| run.figure(variant, &format!("test.lift.{group}"));
                let summary = self.measure(At(&table, &row_key(value, variant.key()), group, "lift"), runs, of);
                cells.push(gain(variant, summary, family(done)));
            }
            rows.push(Row::Cells(cells));
        }
        if rows.is_empty() {
            return;
        }
        let (number, model, of_paper) = paper_sweep(axis);
        let base = Variant::Ple.row().paper.table_5.and_then(|(low, high)| Some((low, high?)));
        if let (false, Some((low_base, high_base))) = (of_paper.is_empty(), base) {
            rows.push(Row::Rule(format!("the paper, {number} minus Table 5's PLE, industrial data")));
            for &(value, low, high) in of_paper {
                let cells = [whole(value).to_string(), model.name().into(), NONE.into(), signed(low - low_base), signed(high - high_base)];
                rows.push(Row::Cells(cells.into()));
            }
        }
        let notes = sentences(&[LIFT, if of_paper.is_empty() { "" } else { PAPER }, fixed(axis)]);
        let header = [axis.name(), "minus PLE", "all users", "low-active", "high-active"];
        self.push(all, &table, &sweep_title(axis, "gain over PLE"), &notes, &header, rows);
    }

    /// What was computed where, and how fast.
    fn runs(&mut self, axis: Option<Axis>, done: &[Done]) {
        let rows = done.iter().map(|Done { cell, result, .. }| {
            let mut cells: Vec<String> =
                axis.map(|_| cell.value.map_or(NONE.into(), |value| whole(value).to_string())).into_iter().collect();
            cells.extend([
                protocol(cell.config.negatives).into(),
                cell.config.seed.to_string(),
                whole(result.data.users).to_string(),
                whole(result.data.train_rows).to_string(),
                whole(result.data.test_rows).to_string(),
                whole(result.steps).to_string(),
                duration(result.seconds),
                whole(result.samples_per_second as u64).to_string(),
                result.device.as_ref().map_or(NONE.into(), |device| format!("{} ({})", device.backend, device.adapter)),
            ]);
            Row::Cells(cells)
        });
        let mut header: Vec<String> = axis.map(|axis| axis.name().into()).into_iter().collect();
        header
            .extend(["protocol", "seed", "users", "training rows", "test rows", "steps", "time", "samples/s", "device"].map(String::from));
        self.tables.push(Table {
            id: "runs".into(),
            title: format!("Runs, {}", stream(done)),
            notes: "One run of all models each, on the same batches. Samples a second of training alone, all models together.".into(),
            header,
            rows: rows.collect(),
        });
    }
}

fn table_id(name: &str, runs: Runs<'_>) -> String {
    format!("{name}-{}", protocol(runs.negatives).to_lowercase())
}

fn row_key(value: Option<u64>, key: &str) -> String {
    value.map_or(key.into(), |value| format!("{value} {key}"))
}

/// The rows of an ablation, or those of each value of a sweep, which begin with it.
fn by_value(axis: Option<Axis>, all: Runs<'_>, mut cells: impl FnMut(Runs<'_>, Variant) -> Vec<String>) -> Vec<Row> {
    if axis.is_none() {
        return by_variant(all, |variant| cells(all, variant));
    }
    let mut rows = Vec::new();
    for (value, &variant) in values(all.done).into_iter().flat_map(|value| variants(all.done).iter().map(move |variant| (value, variant))) {
        let first = value.map_or(NONE.into(), |value| whole(value).to_string());
        rows.push(Row::Cells([vec![first], cells(Runs { value, ..all }, variant)].concat()));
    }
    rows
}

/// A row for each model: those of the paper, a line across, and the sanity rows.
fn by_variant(runs: Runs<'_>, mut cells: impl FnMut(Variant) -> Vec<String>) -> Vec<Row> {
    let (sanity, papers): (Vec<Variant>, Vec<Variant>) = variants(runs.done).iter().partition(|&&variant| is_sanity(variant));
    let mut rows: Vec<Row> = papers.into_iter().map(|variant| Row::Cells(cells(variant))).collect();
    if !sanity.is_empty() {
        rows.push(Row::Rule(SANITY.into()));
        rows.extend(sanity.into_iter().map(|variant| Row::Cells(cells(variant))));
    }
    rows
}

fn sentences(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

/// The sides on which a model has clusters.
fn sides(variant: Variant) -> impl Iterator<Item = (Variant, Side)> {
    let users = variant.has_user_centres().then_some((variant, Side::Users));
    users.into_iter().chain(variant.has_item_centres().then_some((variant, Side::Items)))
}

/// The paper's gains of low-active and of high-active users over PLE.
pub fn paper_gains(variant: Variant) -> (Option<f64>, Option<f64>) {
    match (variant.row().paper.table_5, Variant::Ple.row().paper.table_5) {
        (Some((low, high)), Some((low_base, high_base))) if variant != Variant::Ple => {
            (Some(low - low_base), high.zip(high_base).map(|(high, base)| high - base))
        }
        _ => (None, None),
    }
}

/// The paper's table of a sweep of areas: its number, its model and its rows.
pub fn paper_sweep(axis: Axis) -> (&'static str, Variant, &'static [paper::Row]) {
    match axis {
        Axis::NfcUie => ("Table 7", Variant::Uie, &paper::TABLE_7_UIE),
        Axis::NfcUhse => ("Table 7", Variant::Uhse, &paper::TABLE_7_UHSE),
        Axis::Width => ("Table 8", Variant::Duia, &paper::TABLE_8),
        Axis::HitRate | Axis::Size | Axis::Length | Axis::Rows | Axis::Epochs => ("", Variant::Duia, &[]),
    }
}

fn sweep_title(axis: Axis, what: &str) -> String {
    match axis {
        Axis::NfcUie => format!("Table 7: {what} by level-1 user centres (NFC)"),
        Axis::NfcUhse => format!("Table 7: {what} by level-1 item centres (NFC)"),
        Axis::Width => format!("Table 8: {what} by the width of the memories"),
        Axis::HitRate => format!("{what} by level-1 user centres (NFC)"),
        Axis::Size => format!("{what} by the number of users"),
        Axis::Length => format!("{what} by the behaviours that a model may read"),
        Axis::Rows => format!("{what} by the number of rows"),
        Axis::Epochs => format!("{what} by passes over the training rows"),
    }
}

/// What a sweep changes beside its axis, and what it leaves.
fn fixed(axis: Axis) -> &'static str {
    match axis {
        Axis::Size => "Rows grow in proportion to the users; the catalogue stays.",
        Axis::Rows => "Users and catalogue stay, so that every user has more rows.",
        Axis::NfcUie | Axis::NfcUhse | Axis::HitRate => "Level-2 centres of each level-1 centre stay as many.",
        Axis::Epochs => "Each pass has the rows in time order, with histories begun anew and negatives of its own.",
        Axis::Length => "The window is one for all: rankers, towers, UHSE, and what a ceiling is told.",
        Axis::Width => "",
    }
}

#[cfg(test)]
mod tests;
