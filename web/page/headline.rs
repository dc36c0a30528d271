//! The headline: what the run shows so far and how certain that is, and under it the way of one user who is followed: who they are,
//! which cluster they are in, what the ranker makes of it.

use duia::metrics::{TestKind, collapse};
use duia::variants::Variant;
use duia::view::{Glance, Portrait};
use leptos::prelude::*;

use crate::contest::{Finding, Group, finding, headroom};
use crate::run::{Phase, Role, Run};
use crate::session::Session;
use crate::text;

/// Categories of a history that are named.
const NAMED: usize = 3;
/// Newest behaviours that are shown, a chip each.
const CHIPS: usize = 8;
/// Share of the quiet users who are given nothing, above which that is the reason for no gain.
const MOSTLY: f64 = 0.5;

/// The whole part.
#[component]
pub fn Headline() -> impl IntoView {
    let session = expect_context::<Session>();
    let run = session.run;
    let part = move |group: Group| {
        let found = Memo::new(move |_| finding(run, group));
        view! {
            <span class=format!("finding {}", group.ink().class()) data-testid=format!("finding-{}", group.key())>
                {group.short()}
                ": "
                <b>{move || found.with(|found| sentence(found.as_ref(), session))}</b>
            </span>
        }
    };
    view! {
        <section class="headline" aria-label="What the run shows so far" data-testid="headline">
            <p class="findings">{part(Group::Low)} " " {part(Group::High)}</p>
            <p class="why" data-testid="why">
                {move || run.recorded.with(Option::is_some).then_some("Recorded: ")}
                {move || why(session)}
            </p>
            <ol class="way">
                <li>
                    <h2>{move || if run.portrait.with(|seen| seen.as_ref().is_none_or(|seen| seen.low_active)) { "A quiet user" } else { "A user" }}</h2>
                    <div data-testid="way-user">{move || run.portrait.with(|seen| seen.as_deref().map(|seen| user(seen, session)))}</div>
                </li>
                <li>
                    <h2>"Their cluster"</h2>
                    <div data-testid="way-cluster">{move || cluster(session)}</div>
                </li>
                <li>
                    <h2>"The ranker"</h2>
                    <div data-testid="way-ranker">{move || ranker(run)}</div>
                </li>
            </ol>
        </section>
    }
}

/// A difference and what may be said of it.
fn sentence(found: Option<&Finding>, session: Session) -> String {
    let is_over = session.run.phase.get() == Phase::Finished;
    let Some(found) = found else {
        return if is_over { "not measured".into() } else { "not measured yet".into() };
    };
    if before_clusters(found, session).is_some() {
        return if is_over { "no difference".into() } else { "no difference yet".into() };
    }
    let certainty = match (found.low > 0.0, found.high < 0.0, found.kind) {
        (true, _, _) => "a gain in this run",
        (_, true, _) => "a loss in this run",
        (_, _, TestKind::ProbeSet) => "not yet certain",
        (_, _, TestKind::Whole | TestKind::Streaming) => "not certain",
    };
    format!("{}, {certainty}", text::points(found.value))
}

/// The step at which the first clusters are filled, where the models were alike until then because there was none.
fn before_clusters(found: &Finding, session: Session) -> Option<u64> {
    let steps = session.run.progress.with(|progress| progress.steps);
    let at = session.address.with(|address| address.config.warm_up_steps(steps));
    (found.is_zero() && found.step <= at).then_some(at)
}

/// Why the difference for quiet users is what it is, where it is no gain: the first reason that holds.
fn why(session: Session) -> String {
    let run = session.run;
    let roles = run.roles();
    let name = |wanted: Role| roles.iter().find(|(_, role)| *role == wanted).map(|(variant, _)| variant.name());
    let (Some(rival), Some(baseline)) = (name(Role::Rival), name(Role::Baseline)) else {
        return "One model alone: add another under Models to compare.".into();
    };
    let Some(found) = finding(run, Group::Low) else {
        return format!(
            "{rival} and {baseline} train on the same rows from the same seed. The first verdict comes with the first evaluation, at step {}.",
            session.address.with(|address| address.config.evaluate_every)
        );
    };
    if let Some(at) = before_clusters(&found, session) {
        return format!("No cluster is known before step {at}: until then {rival} has nothing to add to {baseline}, and both rank alike.");
    }
    let interval = format!("95 % interval {} to {}", text::points(found.low), text::points(found.high));
    let measured = match found.kind {
        TestKind::ProbeSet => format!("on {} positives of the probe set at step {}", text::count(found.positives), text::count(found.step)),
        TestKind::Whole | TestKind::Streaming => format!("on all {} test positives of quiet users", text::count(found.positives)),
    };
    let head = format!("{rival} minus {baseline}, {measured}, {interval}.");
    let share = headroom(run, Group::Low).map(|share| format!(" That is {} of what the ceiling leaves to win.", text::percent(share)));
    if found.low > 0.0 {
        return format!("{head}{} Another seed may give another figure.", share.unwrap_or_default());
    }
    let config = session.address.with(|address| address.config.clone());
    let reason = run.with_health(|series| {
        let health = series.last()?;
        if collapse(health, &config).is_some() {
            return Some("The clusters have collapsed, so that most users share one and it says little of anybody.".to_string());
        }
        (health.stopped.low > MOSTLY).then(|| {
            format!("{} of the quiet users are given nothing, because a centre points away from them.", text::percent(health.stopped.low))
        })
    });
    let half = 0.5 * (found.high - found.low);
    let reason = match reason {
        Some(reason) => reason,
        None if run.field.with(Option::is_none) && run.all_clusters().is_empty() => "No model of this race has clusters.".into(),
        None if run.portrait.with(|seen| seen.as_ref().is_some_and(|seen| seen.now.cluster.is_none())) => {
            "The clusters are not filled yet: all users still look alike.".into()
        }
        None if found.high < 0.0 => "In this run the clusters cost more than they bring: what they say is noise to this ranker.".into(),
        None => format!("With so few rows only a difference beyond {} can be told from chance.", text::points(half).replace('+', "")),
    };
    format!("{head} {reason}")
}

/// Who is followed: how much they did, and the newest of it.
fn user(seen: &Portrait, session: Session) -> impl IntoView + use<> {
    let chips: Vec<_> = seen.history.iter().take(CHIPS).map(|thing| view! { <li>{thing.category}</li> }).collect();
    let sitting = seen.sitting;
    view! {
        <p>
            <b>{format!("User {}", seen.user)}</b>
            {format!(" did {} things before. ", text::count(seen.behaviours.into()))}
            {wish(seen)}
        </p>
        <ul class="chips" aria-label="Categories of their newest behaviours, newest first">
            {chips}
        </ul>
        <button
            type="button"
            class="small"
            data-testid="another-user"
            on:click=move |_| session.portray(duia::view::Sitting { nth: sitting.nth.wrapping_add(1), added: None })
        >
            "Follow another"
        </button>
    }
}

/// What their history says they want.
fn wish(seen: &Portrait) -> String {
    let mut counts: Vec<(u32, usize)> = Vec::new();
    for thing in &seen.history {
        match counts.iter_mut().find(|(category, _)| *category == thing.category) {
            Some((_, count)) => *count += 1,
            None => counts.push((thing.category, 1)),
        }
    }
    // Stable, so that of equally frequent ones the newest leads.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named: Vec<String> = counts.iter().take(NAMED).map(|(category, count)| format!("{category} ({count}×)")).collect();
    match named.as_slice() {
        [] => "Nobody knows what they want.".into(),
        named => format!("They want mostly things of categories {}.", named.join(", ")),
    }
}

/// The cluster of the followed user, and what they are given.
fn cluster(session: Session) -> AnyView {
    let run = session.run;
    let Some(seen) = run.portrait.get() else { return view! { <p>"Waiting for the first step."</p> }.into_any() };
    let Some([centre, child]) = seen.now.cluster else {
        let steps = run.progress.with(|progress| progress.steps);
        let at = session.address.with(|address| address.config.warm_up_steps(steps));
        let text = if run.variants.with(|all| all.iter().any(|variant| variant.has_user_centres())) {
            format!("None before step {at}: at first all users look alike.")
        } else {
            "No model of this race has clusters of users.".into()
        };
        return view! { <p>{text}</p> }.into_any();
    };
    let children = session.address.with(|address| address.config.children.max(1)) as u32;
    let given = if seen.now.stopped {
        "A centre points away from them, so they are given nothing."
    } else {
        "They are given what its members have in common."
    };
    let others = run.field.with(|frame| {
        let frame = frame.as_ref().filter(|frame| frame.side == duia::data::Side::Users)?;
        let (assigned, _) = frame.assigned.as_chunks::<2>();
        Some(assigned.iter().zip(&frame.members).filter(|(at, id)| at[0] == centre && **id != seen.user).count())
    });
    let company = match others {
        None => String::new(),
        Some(0) => " alone among the users just seen".into(),
        Some(others) => format!(" with {others} more of the users just seen"),
    };
    let wants = |category: u32| seen.history.iter().any(|thing| thing.category == category);
    let common = run.people.with(|all| all.get(centre as usize).map(|people| people.categories(CHIPS)).unwrap_or_default());
    let chips: Vec<_> = common.into_iter().map(|(category, _)| view! { <li class:shared=wants(category)>{category}</li> }).collect();
    view! {
        <p>
            <b>{format!("Centre {}", centre + 1)}</b>
            {format!(", child {}{company}. {given}", child % children + 1)}
        </p>
        <ul class="chips" aria-label="Categories that its members take most of; those of the user are bold">
            {chips}
        </ul>
    }
    .into_any()
}

/// What the models make of the item that the followed user took next.
fn ranker(run: Run) -> AnyView {
    let Some(seen) = run.portrait.get() else { return view! { <p>"Waiting for the first step."</p> }.into_any() };
    let roles = run.roles();
    let shown = |wanted: Role| roles.iter().position(|(_, role)| *role == wanted);
    let lines: Vec<_> = [shown(Role::Baseline), shown(Role::Rival)]
        .into_iter()
        .flatten()
        .filter_map(|at| line(&seen, &seen.now, at, roles[at].0))
        .collect();
    let since = run.followed.with(|series| {
        let first = series.iter().next()?;
        let at = shown(Role::Rival)?;
        let (then, now) = (*first.1.get(at)?, taken(&seen, &seen.now, at)?);
        (first.0 < seen.step)
            .then(|| format!("{} at step {} gave it {}; now {}.", roles[at].0.name(), first.0, text::score(then), text::score(now)))
    });
    view! {
        <p>{format!("Of {} items, the one that they took next stands", seen.offers.len())}</p>
        <ul class="places">{lines}</ul>
        <p class="how">{since}</p>
    }
    .into_any()
}

/// Where a model puts what was taken, with its score as a bar.
fn line(seen: &Portrait, glance: &Glance, at: usize, variant: Variant) -> Option<impl IntoView + use<>> {
    let (rank, score) = (seen.rank(glance, at)?, taken(seen, glance, at)?);
    Some(view! {
        <li>
            <b>{text::ordinal(rank)}</b>
            {format!(" by {} ", variant.name())}
            <meter min="0" max="1" value=format!("{score:.3}") aria-label=format!("score by {}", variant.name())></meter>
            " "
            {text::score(score)}
        </li>
    })
}

/// A model's score of what was taken.
fn taken(seen: &Portrait, glance: &Glance, at: usize) -> Option<f32> {
    let taken = seen.offers.iter().position(|offer| offer.taken)?;
    glance.scores.get(at)?.get(taken).copied()
}
