//! The race: areas under the curve by step for each model and group, the paired difference, and the figures as a table.

use duia::data::Origin;
use duia::metrics::{Evaluation, Score, TestKind};
use duia::variants::Variant;
use leptos::prelude::*;

use super::{Panel, Place};
use crate::chart::{Chart, Figure, Line, Style, Swatch, Unit};
use crate::contest::{
    Group, WIDTH_95, ceiling, headroom, interval, lift_of, lines, newest, rival, rival_model, shelved, standing, style, total, verdict,
};
use crate::run::{Role, Run};
use crate::session::Session;
use crate::shelf::Kept;
use crate::table::{Scroll, Unfold, by_step};
use crate::text;

/// Its row.
pub const PANEL: Panel = Panel {
    key: "race",
    title: "The race: with and without clusters",
    place: Place::Stage,
    body: |session| view! { <Race session /> }.into_any(),
};

#[component]
fn Race(session: Session) -> impl IntoView {
    let run = session.run;
    let choice = move || {
        let is_in_background = |(_, role): &(Variant, Role)| matches!(role, Role::Other(_));
        run.roles().iter().any(is_in_background).then_some(" Press a name below a chart to set that model against the baseline.")
    };
    view! {
        <p class="how">
            "AUC: how often the model scores an item that was taken above one drawn at random; 0.5 is chance. Curves are of a probe set \
             of the test rows, bands are 95 % intervals by these rows. This is one training: another seed may differ by more, \
             as \"Other seeds\" below shows."
            {choice}
        </p>
        <div class="lanes">
            <Lane session group=Group::Low />
            <Lane session group=Group::High />
        </div>
        <Ceiling session />
        <Standing run />
        <Unfold summary="The curves as a table" body=move || history_table(run).into_any() />
    }
}

/// What no ranker can pass, where the rows are synthetic and know it: what share of it is won, or a button that adds it.
#[component]
fn Ceiling(session: Session) -> impl IntoView {
    let run = session.run;
    let synthetic = Memo::new(move |_| run.data.with(|data| data.as_ref().is_some_and(|data| data.origin == Origin::Synthetic)));
    let share =
        move |group: Group| headroom(run, group).map(|share| format!("{} for {}", text::percent(share), group.short().to_lowercase()));
    let add = move |_| {
        // A ranker that is told the truth is nearer to what can be won than the truth itself.
        session.set_variants(run.variants.get_untracked().into_iter().chain([Variant::Group]).collect());
    };
    move || match (ceiling(run).is_some(), synthetic.get()) {
        (true, _) => {
            let parts: Vec<String> = [Group::Low, Group::High].into_iter().filter_map(share).collect();
            let won = if parts.is_empty() { "nothing is measured yet".into() } else { parts.join(", ") };
            let words = format!(
                "The thin line on top is a ceiling: it knows what the generator knows. Of the way from the baseline to it is won: {won}."
            );
            Some(view! { <p class="how" data-testid="headroom">{words}</p> }.into_any())
        }
        (false, true) => Some(
            view! {
                <p class="how">
                    <button type="button" class="small" data-testid="add-ceiling" on:click=add>
                        "Add the ceiling"
                    </button>
                    " What could be won at most? The synthetic stream knows what its users truly prefer. The race starts anew."
                </p>
            }
            .into_any(),
        ),
        (false, false) => None,
    }
}

/// A group's curves and, below them, the difference.
#[component]
fn Lane(session: Session, group: Group) -> impl IntoView {
    let run = session.run;
    let curves = move |group: Group| Signal::derive(move || areas(run, group));
    let lifts = move |group: Group| Signal::derive(move || lifts(session, group));
    let other = if group == Group::Low { Group::High } else { Group::Low };
    let verdict = Memo::new(move |_| verdict(run, group));
    let contest = move || {
        let roles = run.roles();
        let name = |wanted: Role| roles.iter().find(|(_, role)| *role == wanted).map(|(variant, _)| variant.name());
        name(Role::Rival).zip(name(Role::Baseline)).map(|(rival, baseline)| format!("{rival} minus {baseline}:"))
    };
    view! {
        <div class=format!("lane {}", group.ink().class())>
            <h3>{group.name()}</h3>
            <Chart
                class="chart tall"
                title=format!("AUC, {}", group.name())
                label=move || format!("{}: AUC by step. {}", group.name(), standing(run, group))
                figure=curves(group)
                beside=curves(other)
            />
            <p class="key">
                {move || run.roles().into_iter().map(|(variant, role)| view! { <Entry run group variant role /> }).collect::<Vec<_>>()}
            </p>
            <p class="verdict" class:final=move || verdict.get().is_final data-testid=format!("lift-{}", group.key())>
                <span>
                    <span class="what">{contest}</span>
                    " "
                    <strong>{move || verdict.get().judgement}</strong>
                </span>
                <span>{move || verdict.get().text}</span>
                <span class="what">{move || verdict.get().measured_on}</span>
            </p>
            <Chart
                class="chart short"
                title=format!("Difference of AUC, {}", group.name())
                label=move || format!("{}: difference of AUC by step. {}", group.name(), verdict.get().text)
                figure=lifts(group)
                beside=lifts(other)
            />
        </div>
    }
}

/// A model in the legend. One in the background is a button that sets it against the baseline.
#[component]
fn Entry(run: Run, group: Group, variant: Variant, role: Role) -> impl IntoView {
    let style = style(role, group.ink());
    let sign = move || {
        view! {
            <Swatch style />
            {variant.name()}
        }
    };
    match role {
        Role::Baseline | Role::Rival | Role::Ceiling => view! { <span class="entry">{sign()}</span> }.into_any(),
        Role::Other(_) => {
            let title = format!("Set {} against the baseline", variant.name());
            let id = format!("against-{}-{}", variant.name(), group.key());
            view! {
                <button type="button" class="entry" data-testid=id title=title on:click=move |_| run.set_rival(variant)>
                    {sign()}
                </button>
            }
            .into_any()
        }
    }
}

fn areas(run: Run, group: Group) -> Figure {
    let names = run.variants.get();
    let line = |at: usize, role: Role| {
        let area = |evaluation: &Evaluation| {
            let auc = group.of(&evaluation.scores.get(at)?.auc);
            Some((auc.value, WIDTH_95 * auc.standard_error))
        };
        curve(run, style(role, group.ink()), names.get(at).map(|variant| variant.name()), area)
    };
    let models = run.roles().into_iter().enumerate().map(|(at, (_, role))| (at, role));
    Figure {
        lines: lines(models, line),
        steps: total(run),
        least_span: 0.1,
        include: vec![0.5],
        bounds: (0.0, 1.0),
        unit: Unit::Decimals(2),
    }
}

/// The difference of the run on show, in front of those of runs on the shelf.
fn lifts(session: Session, group: Group) -> Figure {
    let run = session.run;
    let rival = rival(run);
    let lift = |evaluation: &Evaluation| {
        let lift = lift_of(evaluation, rival?, group)?;
        Some((lift.value, WIDTH_95 * lift.standard_error))
    };
    let kept = session.shelf.over();
    let behind = kept.iter().filter_map(|kept| left_behind(kept, rival_model(run)?, group));
    let steps = kept.iter().map(|kept| kept.steps as f64).fold(total(run), f64::max);
    Figure {
        lines: behind.chain([curve(run, Style::solid(group.ink()), None, lift)]).collect(),
        steps,
        least_span: 0.02,
        include: vec![0.0],
        bounds: (-1.0, 1.0),
        unit: Unit::Decimals(2),
    }
}

/// The difference of a run on the shelf, where this model raced in it.
fn left_behind(kept: &Kept, rival: Variant, group: Group) -> Option<Line> {
    let place = kept.place_of(rival)?;
    let of_kind = |kind: TestKind| {
        let lift = move |evaluation: &Evaluation| Some((evaluation.step as f64, lift_of(evaluation, place, group)?.value));
        kept.evaluations.iter().filter(move |evaluation| evaluation.kind == kind).filter_map(lift)
    };
    let tested = of_kind(TestKind::Whole).next_back().map(|(_, value)| (value, 0.0));
    Some(Line::plain(shelved(kept.name), kept.name, of_kind(TestKind::ProbeSet)).ending(Some(kept.name), tested).thin())
}

/// A figure and half the width of its interval, by step on the probe set and at the end on the whole test set.
fn curve(run: Run, style: Style, name: Option<&'static str>, figure: impl Fn(&Evaluation) -> Option<(f64, f64)>) -> Line {
    run.evaluations.with(|series| {
        let shown = || series.iter().filter(|evaluation| run.is_shown(evaluation.step));
        let probes = shown().filter(|evaluation| evaluation.kind == TestKind::ProbeSet);
        let points = probes.filter_map(|evaluation| figure(evaluation).map(|(value, half)| (evaluation.step as f64, value, half)));
        let tested = shown().rfind(|evaluation| evaluation.kind == TestKind::Whole).and_then(&figure);
        Line::banded(style, name.unwrap_or("difference"), points).ending(name, tested)
    })
}

/// The newest figures.
#[component]
fn Standing(run: Run) -> impl IntoView {
    let newest = Memo::new(move |_| newest(run));
    let caption = move || match newest.get() {
        Some(newest) if newest.kind == TestKind::Whole => {
            format!("Final test: AUC on the whole test set after {} steps, ± 1.96 standard errors", newest.step)
        }
        Some(newest) => format!("AUC on the probe set at step {}, ± 1.96 standard errors", newest.step),
        None => "AUC: the first figures come with the first evaluation".into(),
    };
    let row = move |at: usize, variant: Variant| {
        let score = Memo::new(move |_| newest.with(|newest| newest.as_ref().and_then(|newest| newest.scores.get(at).cloned())));
        view! {
            <tr>
                <th scope="row">{variant.name()}</th>
                {Group::ALL
                    .map(|group| {
                        view! {
                            <td data-testid=format!("auc-{}-{}", variant.name(), group.key())>
                                {move || score.with(|score| score.as_ref().map_or_else(|| "–".into(), |score| interval(group.of(&score.auc))))}
                            </td>
                        }
                    })
                    }
            </tr>
        }
    };
    let positives = move |group: Group| {
        newest.with(|newest| {
            let score = newest.as_ref().and_then(|newest| newest.scores.first());
            score.map_or_else(|| "–".into(), |score| text::count(group.of(&score.auc).positives))
        })
    };
    view! {
        <Scroll label="AUC by model and group">
            <table class="figures" data-testid="auc-table">
                <caption>{caption}</caption>
                <thead>
                    <tr>
                        <th scope="col">"model"</th>
                        {Group::ALL
                            .map(|group| view! { <th scope="col">{group.name()}</th> })
                            }
                    </tr>
                </thead>
                <tbody>
                    {move || run.variants.get().into_iter().enumerate().map(|(at, variant)| row(at, variant)).collect::<Vec<_>>()}
                    <tr class="quiet">
                        <th scope="row">"positives"</th>
                        {Group::ALL
                            .map(|group| view! { <td>{move || positives(group)}</td> })
                            }
                    </tr>
                </tbody>
            </table>
        </Scroll>
    }
}

/// Every evaluation kept, newest first: the charts for those who do not see them.
fn history_table(run: Run) -> impl IntoView {
    let names = run.variants.get();
    let heads: Vec<_> = names
        .iter()
        .flat_map(|variant| [Group::Low, Group::High].map(|group| format!("{}, {}", variant.name(), group.key())))
        .map(|head| view! { <th scope="col">{head}</th> })
        .collect();
    let cells = |score: &Score| [score.auc.low, score.auc.high].map(|auc| view! { <td>{interval(auc)}</td> });
    let rows = run.evaluations.with(|series| {
        let row = |evaluation: &Evaluation| {
            let kind = match evaluation.kind {
                TestKind::ProbeSet => "probe set",
                TestKind::Whole => "whole test set",
                TestKind::Streaming => "streaming test",
            };
            view! {
                <tr>
                    <th scope="row">{text::count(evaluation.step)}</th>
                    <td>{kind}</td>
                    {evaluation.scores.iter().flat_map(cells).collect::<Vec<_>>()}
                </tr>
            }
        };
        series.iter().rev().map(row).collect::<Vec<_>>()
    });
    let heads = view! {
        <th scope="col">"measured on"</th>
        {heads}
    };
    by_step("AUC by step", heads.into_any(), rows.into_any())
}
