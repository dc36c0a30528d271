//! The paper's Figure 2 as a diagram that lives: each block lights up as a batch walks through it in slow mode, and opens to its
//! equation, its shapes, what its gradient reaches, and what the run shows of it.

use duia::config::Config;
use duia::data::Side;
use leptos::prelude::*;

use super::{Panel, Place};
use crate::contest::{Group, finding};
use crate::run::{Phase, Role, Run};
use crate::session::{Session, Speed};
use crate::text;

/// Its row.
pub const PANEL: Panel =
    Panel { key: "flow", title: "The path of a batch", place: Place::Below, body: |session| view! { <Flow session /> }.into_any() };

/// A block of the diagram.
struct Block {
    name: &'static str,
    what: &'static str,
    equation: &'static str,
    gradient: &'static str,
    shape: fn(&Config) -> String,
    /// What the run shows of it.
    live: fn(Session) -> Option<String>,
    /// The component that it stands for; none of what every model has.
    component: Option<&'static str>,
    /// Column and row in the diagram, from 1.
    at: (u8, u8),
}

const BLOCKS: [Block; 9] = [
    Block {
        name: "Rows",
        what: "A batch of requests: a user, their history, the item they took and one drawn at random.",
        equation: "user, history, (item⁺, item⁻)",
        gradient: "Embeddings learn from the ranker's loss alone.",
        shape: |config| {
            format!("{} requests × 2 items, a history of {} each, embeddings {} wide", config.batch / 2, config.history, config.embedding)
        },
        live: |session| Some(format!("step {}", text::count(session.run.progress.with(|progress| progress.step)))),
        component: None,
        at: (1, 2),
    },
    Block {
        name: "Auxiliary towers",
        what: "Two small towers turn user and item into vectors that are alike when the user takes the item.",
        equation: "Eq. 1: ŷ = σ(v_user · v_item)",
        gradient: "They learn from their own loss alone: the ranker and the clusters do not reach them.",
        shape: |config| format!("widths {}: v_user and v_item have {} numbers each", config.auxiliary, config.auxiliary.last()),
        live: |session| loss(session.run, "auxiliary"),
        component: Some("auxiliary"),
        at: (2, 2),
    },
    Block {
        name: "User centres (GHCA)",
        what: "The nearest centre, then the nearest of its children. Both move towards the user.",
        equation: "Eq. 2–5: c = argmax v_user · μ_c, then its child; μ ← μ + 2ρ mean σ(v − μ)",
        gradient: "Centres move by their own rule; v_user is stopped, so that no user moves towards a centre.",
        shape: |config| format!("{} centres × {} children, {} wide", config.centres, config.children, config.auxiliary.last()),
        live: |session| {
            let health = session.run.with_health(|series| series.last().map(|health| (health.hit_rate_1, health.hit_rate_2)));
            health.map(|(first, second)| format!("hit rates {} and {}", text::percent(first), text::percent(second)))
        },
        component: Some("user-centres"),
        at: (3, 1),
    },
    Block {
        name: "Item centres",
        what: "The same for items: each item of a history stands for its cluster.",
        equation: "Eq. 11–14: k = argmax v_item · ν_k",
        gradient: "As user centres; v_item is stopped.",
        shape: |config| format!("{} centres × {} children", config.item_centres, config.item_children),
        live: |session| {
            let reborn = session.run.reborn.get();
            (session.run.side.get() == Side::Items).then(|| format!("{reborn} re-seeded so far"))
        },
        component: Some("item-centres"),
        at: (3, 3),
    },
    Block {
        name: "UIE",
        what: "User interest enhancement: the user is given their centre and its child, weighted by how alike they are.",
        equation: "Eq. 6: e = σ(v_user · μ) μ; zero where a centre points away",
        gradient: "The gate learns from the ranker's loss; the centres do not (A3).",
        shape: |config| format!("2 vectors of {} for each request", config.auxiliary.last()),
        live: |session| {
            let stopped = session.run.with_health(|series| series.last().map(|health| (health.stopped.low, health.stopped.high)));
            stopped.map(|(low, high)| {
                format!("no enhancement for {} of quiet and {} of active users", text::percent(low), text::percent(high))
            })
        },
        component: Some("uie"),
        at: (4, 1),
    },
    Block {
        name: "UPBE",
        what: "User positive behaviour enhancement: a memory of the clusters whose users take what this user took.",
        equation: "Eq. 7–10: b_user ← b_user + 2λ σ (μ* − b_user), μ* the user centre nearest to the item",
        gradient: "The memory moves by its own rule; its gate learns from the ranker's loss.",
        shape: |config| format!("a vector of {} for each user seen so far", config.auxiliary.last()),
        live: |session| loss(session.run, "positive"),
        component: Some("upbe"),
        at: (4, 2),
    },
    Block {
        name: "UHSE",
        what: "User historical sequence enhancement: the history by the clusters of its items.",
        equation: "Eq. 11–14: pooled ν of the items in the history",
        gradient: "Its encoder learns from the ranker's loss; item centres do not.",
        shape: |config| format!("{} items pooled to vectors of {}", config.history, config.auxiliary.last()),
        live: |_| None,
        component: Some("uhse"),
        at: (4, 3),
    },
    Block {
        name: "PLE",
        what: "The ranker: shared and specific experts, mixed by gates, then a tower for each task.",
        equation: "ŷ = σ(tower(Σ gate · expert))",
        gradient: "Learns from the ranker's loss.",
        shape: |config| format!("experts {} and {}, towers {}", config.expert_1, config.expert_2, config.tower),
        live: |session| loss(session.run, "ranking"),
        component: None,
        at: (5, 2),
    },
    Block {
        name: "Verdict",
        what: "The same test rows for every model, and the paired difference of their areas under the curve.",
        equation: "AUC(with) − AUC(without)",
        gradient: "None: nothing learns from the test.",
        shape: |config| format!("a probe set every {} steps, the whole test at the end", config.evaluate_every),
        live: |session| finding(session.run, Group::Low).map(|found| format!("quiet users {}", text::points(found.value))),
        component: None,
        at: (6, 2),
    },
];

/// The newest loss whose title begins with a word, of the model that is set against the baseline.
fn loss(run: Run, word: &str) -> Option<String> {
    let at = run.roles().iter().position(|(_, role)| *role == Role::Rival)?;
    let terms = run.terms.get();
    let term = terms.iter().find(|term| term.title.to_lowercase().contains(word))?;
    let value = run.with_losses(|series| series.last().and_then(|(_, all)| term.value(all.get(at)?)))?;
    Some(format!("loss {value:.4}"))
}

#[component]
fn Flow(session: Session) -> impl IntoView {
    let open = RwSignal::new(0usize);
    let walking = RwSignal::new(None::<usize>);
    // In slow mode a batch takes half a second, in which it passes the columns one by one.
    let step = Memo::new(move |_| session.run.progress.with(|progress| progress.step));
    Effect::new(move |_| {
        step.track();
        if session.speed.get() == Speed::Slow && session.run.phase.get_untracked() != Phase::Finished {
            walk(walking, 1);
        }
    });
    let rival = Memo::new(move |_| session.run.roles().into_iter().find(|(_, role)| *role == Role::Rival).map(|(variant, _)| variant));
    let block = move |(at, block): (usize, &'static Block)| {
        let missing = move || block.component.is_some_and(|component| rival.get().is_some_and(|variant| !variant.has(component)));
        view! {
            <button
                type="button"
                class=format!("block column-{} row-{}", block.at.0, block.at.1)
                class:lit=move || walking.get() == Some(block.at.0.into())
                class:missing=missing
                data-testid=format!("block-{at}")
                aria-pressed=move || (open.get() == at).to_string()
                on:click=move |_| open.set(at)
            >
                <b>{block.name}</b>
                <span>{move || (block.live)(session).unwrap_or_default()}</span>
            </button>
        }
    };
    let details = move || {
        let block = &BLOCKS[open.get()];
        let shape = session.address.with(|address| (block.shape)(&address.config));
        let missing = block.component.is_some_and(|component| rival.get().is_some_and(|variant| !variant.has(component)));
        let facts = [
            ("Equation", block.equation.to_string()),
            ("Shapes", shape),
            ("Gradient", block.gradient.into()),
            ("In this run", (block.live)(session).unwrap_or_else(|| "nothing is measured yet".into())),
        ];
        let facts = facts.map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> });
        view! {
            <h3>{block.name}</h3>
            <p>{block.what} {missing.then_some(" The model on show does not have this block.")}</p>
            <dl class="block-facts">{facts}</dl>
        }
    };
    view! {
        <p class="how">
            "Figure 2 of the paper, from left to right. Press a block to open it. At slow speed you can follow each batch through it."
        </p>
        <div class="blocks">{BLOCKS.iter().enumerate().map(block).collect::<Vec<_>>()}</div>
        <div class="block-open" data-testid="block-open">
            {details}
        </div>
    }
}

/// Lights the columns one after another.
fn walk(walking: RwSignal<Option<usize>>, column: usize) {
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(70);
    let columns = BLOCKS.iter().map(|block| usize::from(block.at.0)).max().unwrap_or_default();
    let shown = (column <= columns).then_some(column);
    if walking.try_set(shown).is_none() && shown.is_some() {
        set_timeout(move || walk(walking, column + 1), PAUSE);
    }
}
