//! The shelf: other seeds of the same settings, and runs that a person left, laid over the race.

use duia::metrics::TestKind;
use leptos::prelude::*;

use super::{Panel, Place};
use crate::chart::Swatch;
use crate::contest::{Group, WIDTH_95, lift_of, rival_model, shelved};
use crate::session::Session;
use crate::shelf::Kept;
use crate::table::Scroll;
use crate::text;

/// Its row.
pub const PANEL: Panel = Panel {
    key: "shelf",
    title: "Other seeds, other settings",
    place: Place::Below,
    body: |session| view! { <Shelf session /> }.into_any(),
};

/// Seeds that a press of the button trains.
const MORE: u32 = 4;

#[component]
fn Shelf(session: Session) -> impl IntoView {
    let (run, shelf) = (session.run, session.shelf);
    let left = move || shelf.left.get();
    let is_under_way = move || left() != 0;
    let is_branch = Memo::new(move |_| session.branched_at().is_some());
    let progress = move || match left() {
        0 if is_branch.get() => Some("A branch is of one seed alone. Reset it to train others.".into()),
        0 => None,
        left => Some(format!("Seed {} is on its way, {left} more after it.", session.address.with(|address| address.config.seed))),
    };
    let is_empty = move || shelf.kept.with(Vec::is_empty);
    view! {
        <p class="how">
            "One training can be lucky. Train other seeds of these settings to their ends and see how far they lie apart. A run that you \
             leave stays here until you close the page, and is laid over the differences of the race."
        </p>
        <div class="keep-row">
            <button type="button" data-testid="more-seeds" disabled=move || is_under_way() || is_branch.get() on:click=move |_| session.train_seeds(MORE)>
                {format!("Train {MORE} more seeds")}
            </button>
            {move || {
                is_under_way().then(|| view! {
                    <button type="button" data-testid="no-more-seeds" on:click=move |_| shelf.left.set(0)>"Stop after this one"</button>
                })
            }}
            <span class="how" role="status" data-testid="seeds-left">{progress}</span>
        </div>
        <div data-testid="spread">
            {move || [Group::Low, Group::High].into_iter().filter_map(|group| {
                let spread = shelf.spread(run, group)?;
                let (low, high) = (spread.mean - spread.half, spread.mean + spread.half);
                let judgement = match (low > 0.0, high < 0.0) {
                    (true, _) => "a gain over seeds",
                    (_, true) => "a loss over seeds",
                    _ => "the seeds leave it open",
                };
                let figures = format!(
                    "{} in the mean of {} seeds, from {} to {}; 95 % interval of the mean {} to {} (Student's t)",
                    text::signed(spread.mean),
                    spread.seeds,
                    text::signed(spread.least),
                    text::signed(spread.most),
                    text::signed(low),
                    text::signed(high),
                );
                Some(view! {
                    <p class=format!("verdict final {}", group.ink().class())>
                        <span><span class="what">{group.short()}</span> " " <strong>{judgement}</strong></span>
                        <span>{figures}</span>
                    </p>
                })
            }).collect::<Vec<_>>()}
        </div>
        {move || if is_empty() {
            view! { <p class="how">"Nothing is kept yet."</p> }.into_any()
        } else {
            view! { <Runs session /> }.into_any()
        }}
    }
}

/// The runs on the shelf, newest first.
#[component]
fn Runs(session: Session) -> impl IntoView {
    let rows = move || session.shelf.kept.get().iter().rev().map(|kept| row(session, kept)).collect::<Vec<_>>();
    let contest = move || rival_model(session.run).map_or_else(String::new, |rival| format!("{} minus the baseline", rival.name()));
    view! {
        <Scroll label="Runs that are kept">
            <table data-testid="shelf-runs">
                <caption>{contest}</caption>
                <thead>
                    <tr>
                        <th scope="col">"run"</th>
                        <th scope="col">"what is other than now"</th>
                        <th scope="col">"measured at"</th>
                        {[Group::Low, Group::High].map(|group| view! { <th scope="col">{group.short()}</th> })}
                        <th scope="col">"laid over"</th>
                        <th scope="col">"actions"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </Scroll>
    }
}

fn row(session: Session, kept: &Kept) -> impl IntoView + use<> {
    let (shelf, name) = (session.shelf, kept.name);
    let rival = rival_model(session.run);
    let figure = |group: Group| {
        let lift = rival.and_then(|rival| lift_of(kept.newest()?, kept.place_of(rival)?, group));
        lift.map_or_else(|| "–".into(), |lift| format!("{} ± {}", text::signed(lift.value), text::area(WIDTH_95 * lift.standard_error)))
    };
    let measured = kept.newest().map_or_else(String::new, |newest| match newest.kind {
        TestKind::Whole => "the end, on the whole test set".into(),
        _ => format!("step {} of {}, on the probe set", text::count(newest.step), text::count(kept.steps)),
    });
    // The settings of a branch do not make it again.
    let again = Some(kept.setting.clone()).filter(|setting| setting.branched_at().is_none());
    let unlike = kept.setting.clone();
    let differs = move || {
        let now = shelf.setting.get();
        let Some(now) = now else { return String::new() };
        let mut pairs: Vec<String> = unlike.config.unlike(&now.config).into_iter().map(|(key, value)| format!("{key} {value}")).collect();
        if (&unlike.rows, &unlike.file) != (&now.rows, &now.file) {
            pairs.push(unlike.file.as_ref().map_or("other rows".into(), |file| file.name.clone()));
        }
        match (unlike.branched_at(), now.branched_at()) {
            (Some(step), _) => pairs.push(format!("branched at step {}", text::count(step))),
            (None, Some(_)) => pairs.push("not branched".into()),
            (None, None) => {}
        }
        if pairs.is_empty() || unlike == now { "nothing: the same run".into() } else { pairs.join(", ") }
    };
    view! {
        <tr>
            <th scope="row">
                <Swatch style=shelved(name) />
                {name}
            </th>
            <td>{differs}</td>
            <td>{measured}</td>
            <td>{figure(Group::Low)}</td>
            <td>{figure(Group::High)}</td>
            <td>
                <label class="check">
                    <input
                        type="checkbox"
                        aria-label=format!("Lay run {name} over the race")
                        data-testid=format!("lay-{name}")
                        prop:checked=move || shelf.laid.with(|laid| laid.contains(&name))
                        on:change=move |event| shelf.lay(name, event_target_checked(&event))
                    />
                </label>
            </td>
            <td><div class="keep-row">
                {again.map(|again| view! {
                    <button type="button" class="small" data-testid=format!("again-{name}") on:click=move |_| session.run_again(&again)>
                        "Run it again"
                    </button>
                })}
                <button type="button" class="small" aria-label=format!("Remove run {name}") data-testid=format!("remove-{name}") on:click=move |_| shelf.remove(name)>
                    "Remove"
                </button>
            </div></td>
        </tr>
    }
}
