//! The moving picture: users or items, the centres they belong to, and how both move while the stream comes in.

mod brush;
mod icicle;
mod scene;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use duia::data::Side;
use duia::view::FieldFrame;
use leptos::html::Canvas;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlCanvasElement, PointerEvent};

use super::{Panel, Place};
use crate::frame::{self, now};
use crate::look::{Look, wants_stillness};
use crate::people::People;
use crate::run::{Phase, Run};
use crate::session::Session;
use crate::table::{Scroll, Unfold};
use crate::text;
use brush::{Gaze, Space};
use scene::Scene;

/// Its row.
pub const PANEL: Panel = Panel {
    key: "field",
    title: "Users finding their clusters",
    place: Place::Stage,
    body: |session| view! { <Field session /> }.into_any(),
};

/// Least milliseconds between two drawings: without a GPU one costs a quarter of a frame and more of the main thread.
const PAUSE: f64 = 30.0;
/// CSS pixels within which the pointer finds a centre.
const REACH: f64 = 24.0;

/// A centre that a person looks at, by pointer, finger or key.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    centre: usize,
    /// Where it stands, in CSS pixels of the canvas.
    x: f64,
    y: f64,
    text: String,
}

/// What the drawing loop needs; shared by the effects that feed it.
#[derive(Clone)]
struct Stage {
    scene: Rc<RefCell<Scene>>,
    named: RwSignal<Option<Named>>,
    /// The centre that stays named when nobody points at any.
    pinned: RwSignal<Option<usize>>,
    by_centre: RwSignal<bool>,
    by_occupancy: RwSignal<bool>,
    running: Rc<Cell<bool>>,
    drawn: Rc<Cell<f64>>,
    canvas: NodeRef<Canvas>,
    look: Look,
}

impl Stage {
    fn new(look: Look) -> Self {
        Self {
            scene: Rc::default(),
            named: RwSignal::new(None),
            pinned: RwSignal::new(None),
            by_centre: RwSignal::new(false),
            by_occupancy: RwSignal::new(false),
            running: Rc::default(),
            drawn: Rc::default(),
            canvas: NodeRef::new(),
            look,
        }
    }

    /// Draws soon, and on while anything moves.
    fn wake(&self) {
        if self.running.replace(true) {
            return;
        }
        let stage = self.clone();
        let draw = move || request_animation_frame(move || stage.tick());
        match self.drawn.get() + PAUSE - now() {
            rest if rest > 0.0 => set_timeout(draw, Duration::from_secs_f64(rest / 1_000.0)),
            _ => draw(),
        }
    }

    fn tick(&self) {
        self.draw();
        self.running.set(false);
        if self.scene.borrow().moves(now()) {
            self.wake();
        }
    }

    fn draw(&self) {
        let Some(canvas) = self.canvas.try_get_untracked().flatten() else { return };
        let now = now();
        self.drawn.set(now);
        let gaze = Gaze { lit: self.lit(), by_centre: self.by_centre.get_untracked() };
        let (scene, palette) = (self.scene.borrow(), self.look.palette.get_untracked());
        if self.by_occupancy.get_untracked() {
            icicle::draw(&canvas, &scene, &palette, gaze);
        } else {
            brush::draw(&canvas, &scene, &palette, gaze, now);
        }
    }

    /// The centre that a person looks at.
    fn lit(&self) -> Option<usize> {
        self.named.with_untracked(|named| named.as_ref().map(|named| named.centre))
    }

    /// Names a centre, or the one that is pinned.
    fn name(&self, centre: Option<usize>) {
        let centre = centre.or(self.pinned.get_untracked());
        let named = centre.zip(self.canvas.get_untracked()).and_then(|(centre, canvas)| {
            let scene = self.scene.borrow();
            let (x, y) = self.places(&canvas, &scene).into_iter().find(|(at, _)| *at == centre)?.1;
            Some(Named { centre, x, y, text: describe(&scene, centre, self.pinned.get_untracked() == Some(centre)) })
        });
        if self.named.with_untracked(|old| *old != named) {
            self.named.set(named);
            self.wake();
        }
    }

    /// Pins a centre, or lets go of the one that is pinned.
    fn pin(&self, centre: Option<usize>) {
        let pinned = self.pinned.get_untracked();
        self.pinned.set(centre.filter(|_| centre != pinned));
        self.name(centre.filter(|_| centre != pinned));
    }

    /// The same centre's place and figures of the newest frame.
    fn rename(&self) {
        self.name(self.lit());
    }

    /// The level-1 centres that can be pointed at, and where they stand on the canvas.
    fn places(&self, canvas: &HtmlCanvasElement, scene: &Scene) -> Vec<(usize, (f64, f64))> {
        if self.by_occupancy.get_untracked() {
            let (width, height) = (f64::from(canvas.client_width()), f64::from(canvas.client_height()));
            let middle = |bar: icicle::Bar| (bar.centre, (0.5 * (bar.left + bar.right), 0.25 * height));
            return icicle::bars(scene, width).into_iter().map(middle).collect();
        }
        let space = Space::of(canvas, scene);
        (0..scene.parents).map(|at| (at, space.place(scene.centres[at].goal()))).collect()
    }

    /// The centre under the pointer.
    fn under(&self, event: &PointerEvent) -> Option<usize> {
        let canvas = self.canvas.get_untracked()?;
        let (x, y) = (event.offset_x(), event.offset_y());
        let scene = self.scene.borrow();
        if self.by_occupancy.get_untracked() {
            let bars = icicle::bars(&scene, f64::from(canvas.client_width()));
            return bars.into_iter().find(|bar| (bar.left..bar.right).contains(&x)).map(|bar| bar.centre);
        }
        let near = self.places(&canvas, &scene).into_iter().map(|(at, (cx, cy))| (at, (cx - x).hypot(cy - y)));
        near.filter(|&(_, distance)| distance <= REACH).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
    }

    /// Walks with the keys from centre to centre. `true` where the key means something here.
    fn walk(&self, key: &str) -> bool {
        let direction = match key {
            "ArrowLeft" => (-1.0, 0.0),
            "ArrowRight" => (1.0, 0.0),
            "ArrowUp" => (0.0, -1.0),
            "ArrowDown" => (0.0, 1.0),
            "Home" => (0.0, 0.0),
            "Enter" if self.lit().is_some() => {
                self.pin(self.lit());
                return true;
            }
            "Escape" if self.lit().is_some() => {
                self.pin(None);
                return true;
            }
            _ => return false,
        };
        let Some(canvas) = self.canvas.get_untracked() else { return false };
        let next = {
            let scene = self.scene.borrow();
            let largest = (0..scene.parents).max_by(|&a, &b| scene.share(a).total_cmp(&scene.share(b)));
            match self.lit().filter(|_| key != "Home") {
                Some(from) => next(&self.places(&canvas, &scene), from, direction).or(Some(from)),
                None => largest,
            }
        };
        self.name(next);
        true
    }
}

/// The nearest place in a direction, what lies aside counting as three times as far.
fn next(places: &[(usize, (f64, f64))], from: usize, (right, down): (f64, f64)) -> Option<usize> {
    let (_, (x, y)) = *places.iter().find(|(at, _)| *at == from)?;
    let distance = |&(at, (to_x, to_y)): &(usize, (f64, f64))| {
        let (dx, dy) = (to_x - x, to_y - y);
        let (along, aside) = (dx * right + dy * down, (dx * down - dy * right).abs());
        (along > 1.0).then_some((at, along + 3.0 * aside))
    };
    places.iter().filter_map(distance).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at)
}

/// The field with its legend, its explanation and its table.
#[component]
fn Field(session: Session) -> impl IntoView {
    let run = session.run;
    let stage = Stage::new(expect_context::<Look>());
    let outside = RwSignal::new(0);
    feed(&stage, run, outside);
    view! {
        <p class="how">
            {move || match run.side.get() {
                Side::Users => "Each small mark is a user.",
                Side::Items => "Each small mark is an item that somebody took.",
            }}
            " It flies past the nearest centre (ring) to its place; a thin line ties it to a child of that centre (dot). Near means alike. \
             Point at a centre, tap it or walk with the arrow keys to see who is there; press it to keep it lit."
        </p>
        <Views stage=stage.clone() session />
        <div class="stage">
            <Map stage=stage.clone() run />
            <Waiting session />
            <Tip named=stage.named />
        </div>
        <Legend run />
        <p class="caption">
            <Reseeded run />
            " This is the plane in which the centres differ most."
            {move || outside_words(outside.get(), run.side.get())}
        </p>
        <Unfold
            summary="The centres as a table"
            body=move || run.field.with(|frame| frame.as_deref().map(occupancy_table)).into_any()
        />
    }
}

/// Single members far from all others would make everybody else a dot; they are left out, and said.
fn outside_words(members: usize, side: Side) -> Option<String> {
    let name = match side {
        Side::Users => "user",
        Side::Items => "item",
    };
    match members {
        0 => None,
        1 => Some(format!(" One {name} is outside it.")),
        members => Some(format!(" {members} {name}s are outside it.")),
    }
}

/// Whose centres are shown, in which view and in which colours.
#[component]
fn Views(stage: Stage, session: Session) -> impl IntoView {
    let run = session.run;
    let has_items = Memo::new(move |_| run.variants.with(|all| all.iter().any(|variant| variant.has_item_centres())));
    let side = move |side: Side, name: &'static str, id: &'static str| {
        view! {
            <button type="button" data-testid=id aria-pressed=move || (run.side.get() == side).to_string() on:click=move |_| session.show_side(side)>
                {name}
            </button>
        }
    };
    let (occupancy, colours) = (stage.clone(), stage);
    let (by_occupancy, by_centre) = (occupancy.by_occupancy, colours.by_centre);
    view! {
        <div class="views" role="group" aria-label="What the field shows">
            {move || has_items.get().then(|| [side(Side::Users, "Users", "show-users"), side(Side::Items, "Items", "show-items")])}
            <button
                type="button"
                data-testid="by-occupancy"
                aria-pressed=move || by_occupancy.get().to_string()
                on:click=move |_| {
                    by_occupancy.update(|on| *on = !*on);
                    occupancy.pin(None);
                    occupancy.wake();
                }
            >
                "By size"
            </button>
            <button
                type="button"
                data-testid="by-centre"
                aria-pressed=move || by_centre.get().to_string()
                on:click=move |_| {
                    by_centre.update(|on| *on = !*on);
                    colours.wake();
                }
            >
                "Colour by cluster"
            </button>
        </div>
    }
}

/// The picture, and what a pointer, a finger or a key may do on it.
#[component]
fn Map(stage: Stage, run: Run) -> impl IntoView {
    let label = move || {
        let step = run.progress.with(|progress| progress.step);
        let members = match run.side.get() {
            Side::Users => "users",
            Side::Items => "items",
        };
        format!(
            "Map of {members} and cluster centres at step {step}. Arrow keys go from centre to centre, Home to the largest, Enter pins one."
        )
    };
    let [moved, pressed, left, keyed, faded, elsewhere] = std::array::from_fn(|_| stage.clone());
    // A finger that is lifted leaves the canvas, and what it pointed at is to be read after that.
    let is_touch = |event: &PointerEvent| event.pointer_type() == "touch";
    let outside = window_event_listener(leptos::ev::pointerdown, move |event| {
        let target = event.target().and_then(|target| target.dyn_into::<HtmlCanvasElement>().ok());
        if target != elsewhere.canvas.get_untracked() {
            elsewhere.name(None);
        }
    });
    on_cleanup(move || outside.remove());
    view! {
        <canvas
            node_ref=stage.canvas
            class="map"
            role="application"
            aria-roledescription="map"
            tabindex="0"
            data-testid="field"
            aria-label=label
            on:pointermove=move |event| moved.name(moved.under(&event))
            on:pointerdown=move |event| {
                let under = pressed.under(&event);
                if is_touch(&event) { pressed.name(under) } else { pressed.pin(under) }
            }
            on:pointerleave=move |event| {
                if !is_touch(&event) {
                    left.name(None);
                }
            }
            on:keydown=move |event| {
                if keyed.walk(&event.key()) {
                    event.prevent_default();
                    event.stop_propagation();
                }
            }
            on:blur=move |_| faded.name(None)
        ></canvas>
    }
}

/// Who is at the centre that a person looks at.
#[component]
fn Tip(named: RwSignal<Option<Named>>) -> impl IntoView {
    // Above the centre, or below it where there is no room.
    const ROOM: f64 = 90.0;
    let shown = move || {
        named.get().map(|Named { x, y, text, .. }| {
            view! {
                <p class="tip" class:below=y < ROOM style:--x=format!("{x:.0}px") style:--y=format!("{y:.0}px")>
                    {text}
                </p>
            }
        })
    };
    view! {
        <div role="status" data-testid="field-tip">
            {shown}
        </div>
    }
}

/// What the field is waiting for, until it has something to show.
#[component]
fn Waiting(session: Session) -> impl IntoView {
    let run = session.run;
    let shown = Memo::new(move |_| run.field.with(Option::is_none));
    let at = Memo::new(move |_| {
        let steps = run.progress.with(|progress| progress.steps);
        (steps > 0).then(|| session.address.with(|address| address.config.warm_up_steps(steps)))
    });
    let clusterless = Memo::new(move |_| run.variants.with(|all| !all.is_empty() && !all.iter().any(|model| model.has_user_centres())));
    let warming = move || {
        let when = at.get().map_or_else(String::new, |step| format!(" at step {step}"));
        format!("At first all users look alike. The centres are filled with users' vectors{when}.")
    };
    move || {
        shown.get().then(|| {
            let (heading, text) = match (clusterless.get(), run.phase.get()) {
                (true, _) => ("No clusters of users in this race", "Under Models, add UIE or DUIA to see users find theirs.".into()),
                (_, Phase::Paused) => ("Press Play", warming()),
                (_, Phase::Playing) => ("Warming up the towers", warming()),
                (_, phase) => (phase.words(), warming()),
            };
            view! {
                <p class="waiting">
                    <strong>{heading}</strong>
                    {text}
                </p>
            }
        })
    }
}

#[component]
fn Legend(run: Run) -> impl IntoView {
    let of_side = move |users: &'static str, items: &'static str| {
        move || match run.side.get() {
            Side::Users => users,
            Side::Items => items,
        }
    };
    view! {
        <ul class="legend" aria-label="Legend of the map">
            <li>
                <svg class="mark ink-low" viewBox="0 0 12 12" aria-hidden="true">
                    <path d="M6 1.5l5 9H1z" />
                </svg>
                {of_side("low-active user", "item of the tail")}
            </li>
            <li>
                <svg class="mark ink-high" viewBox="0 0 12 12" aria-hidden="true">
                    <path d="M2.5 2.5h7v7h-7z" />
                </svg>
                {of_side("high-active user", "item of the head")}
            </li>
            <li>
                <svg class="mark wide ink-plain hollow" viewBox="0 0 24 12" aria-hidden="true">
                    <path d="M6 1.5l5 9H1zM14.5 2.5h7v7h-7z" />
                </svg>
                "no enhancement for this user"
            </li>
            <li>
                <svg class="mark wide" viewBox="0 0 24 14" aria-hidden="true">
                    <circle class="glow" cx="7" cy="7" r="7" />
                    <circle class="ring" cx="7" cy="7" r="4" />
                    <circle class="dot" cx="7" cy="7" r="1.5" />
                    <path class="tie" d="M11 7h7" />
                    <circle class="dot" cx="20" cy="7" r="2.4" />
                </svg>
                "centre and its child, in use"
            </li>
            <li>
                <svg class="mark wide hollow ink-plain" viewBox="0 0 24 14" aria-hidden="true">
                    <circle cx="8" cy="7" r="5" />
                    <circle cx="20" cy="7" r="2.4" />
                </svg>
                "unused"
            </li>
            <li>
                <svg class="mark hollow ink-reborn" viewBox="0 0 14 14" aria-hidden="true">
                    <path d="M7 1v3M7 10v3M1 7h3M10 7h3M2.8 2.8l2 2M9.2 9.2l2 2M11.2 2.8l-2 2M4.8 9.2l-2 2" />
                </svg>
                "re-seeded"
            </li>
        </ul>
    }
}

/// Which centres were filled or re-seeded last.
#[component]
fn Reseeded(run: Run) -> impl IntoView {
    move || {
        run.reseeding.with(|reseeding| match reseeding {
            None => String::new(),
            Some(last) if last.first_fill => format!("Step {}: all centres were filled with users' vectors.", last.step),
            Some(last) => format!(
                "Step {}: {} unused centres and {} unused children were re-seeded elsewhere ({} so far).",
                last.step,
                last.centres.len(),
                last.children.len(),
                run.reborn.get()
            ),
        })
    }
}

/// The same in figures.
fn occupancy_table(frame: &FieldFrame) -> impl IntoView + use<> {
    let parents = frame.centres as usize;
    let children = frame.children as usize;
    let all: f32 = frame.hits.iter().take(parents).sum();
    let rows: Vec<_> = (0..parents)
        .map(|parent| {
            let hits = frame.hits.get(parent).copied().unwrap_or(0.0);
            let first = parents + parent * children;
            let family = frame.hits.get(first..first + children).unwrap_or_default();
            let used = family.iter().filter(|&&hits| hits > 0.0).count();
            view! {
                <tr>
                    <th scope="row">{parent + 1}</th>
                    <td>{hits}</td>
                    <td>{text::percent(f64::from(hits / all.max(1.0)))}</td>
                    <td>{format!("{used} of {children}")}</td>
                </tr>
            }
        })
        .collect();
    let caption = format!("Samples that each centre took in the picture of step {}", frame.step);
    view! {
        <Scroll label="Samples of each centre">
            <table>
                <caption>{caption}</caption>
                <thead>
                    <tr>
                        <th scope="col">"centre"</th>
                        <th scope="col">"samples"</th>
                        <th scope="col">"share"</th>
                        <th scope="col">"children in use"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </Scroll>
    }
}

/// Feeds the scene from the run's signals.
fn feed(stage: &Stage, run: Run, outside: RwSignal<usize>) {
    let on_paper = stage.clone();
    let name = frame::add(move || on_paper.draw());
    on_cleanup(move || frame::remove(name));
    let on_frame = stage.clone();
    Effect::new(move |_| {
        run.field.with(|frame| {
            let mut scene = on_frame.scene.borrow_mut();
            match frame {
                Some(frame) => scene.take(frame, now(), wants_stillness()),
                None => {
                    *scene = Scene::default();
                    on_frame.pinned.set(None);
                }
            }
            outside.set(scene.outside());
        });
        on_frame.rename();
        on_frame.wake();
    });
    let on_birth = stage.clone();
    Effect::new(move |_| {
        run.reseeding.with(|reseeding| {
            if let Some(reseeding) = reseeding {
                on_birth.scene.borrow_mut().flash(&reseeding.centres, &reseeding.children);
            }
        });
    });
    let on_look = stage.clone();
    Effect::new(move |_| {
        on_look.look.track();
        on_look.canvas.track();
        on_look.wake();
    });
}

fn describe(scene: &Scene, centre: usize, pinned: bool) -> String {
    let used = scene.family(centre).iter().filter(|child| child.occupancy > 0.5).count();
    let here = || scene.members.values().filter(|member| member.centre as usize == centre);
    let (all, low) = (here().count(), here().filter(|member| member.low).count());
    let (share, children) = (100.0 * scene.share(centre), scene.children);
    let mut text = match scene.side {
        Side::Users => format!(
            "Centre {}: {share:.1} % of recent samples, {used} of {children} children in use; {all} users on show, {low} of them low-active",
            centre + 1
        ),
        Side::Items => format!(
            "Centre {}: {share:.1} % of recent samples, {used} of {children} children in use; {all} items on show, {low} of them of the tail",
            centre + 1
        ),
    };
    let categories: Vec<String> = scene
        .people(centre)
        .map(|people| people.categories(3))
        .unwrap_or_default()
        .into_iter()
        .map(|(id, share)| format!("{id} ({:.0} %)", 100.0 * share))
        .collect();
    if !categories.is_empty() {
        text.push_str(if scene.side == Side::Users { ". They take most of categories " } else { ". Most are of categories " });
        text.push_str(&categories.join(", "));
    }
    if let Some((group, share)) = scene.people(centre).and_then(People::group) {
        text.push_str(&format!(". {:.0} % are of planted group {group}", 100.0 * share));
    }
    text.push_str(if pinned { ". Pinned: press it again to let go." } else { "." });
    text
}
