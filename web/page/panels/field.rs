//! The moving picture: users, the centres they belong to, and how both move while the stream comes in.

mod scene;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use duia::view::FieldFrame;
use leptos::html::Canvas;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, PointerEvent};

use super::{Panel, Place};
use crate::frame::{self, now};
use crate::look::{Colour, Look, Palette, wants_stillness};
use crate::run::{Phase, Run};
use crate::session::Session;
use crate::table::{Scroll, Unfold};
use crate::text;
use scene::{MEMORY, Scene, User};

/// Its row.
pub const PANEL: Panel = Panel {
    key: "field",
    title: "Users finding their clusters",
    place: Place::Stage,
    body: |session| view! { <Field session /> }.into_any(),
};

/// Least milliseconds between two drawings: without a GPU one costs a quarter of a frame and more of the main thread.
const PAUSE: f64 = 30.0;
const TURN: f64 = std::f64::consts::TAU;
/// Rays of a flash.
const RAYS: u32 = 8;
/// CSS pixels within which the pointer finds a centre.
const REACH: f64 = 24.0;
/// Room for the marks of centres at the edges.
const MARGIN: f64 = 16.0;

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
        let named = self.named.with_untracked(|named| named.as_ref().map(|named| named.centre));
        draw(&canvas, &self.scene.borrow(), &self.look.palette.get_untracked(), named, now);
    }

    /// Names a centre, or none.
    fn name(&self, centre: Option<usize>) {
        let named = centre.zip(self.canvas.get_untracked()).and_then(|(centre, canvas)| {
            let scene = self.scene.borrow();
            let (x, y) = Space::of(&canvas, &scene).place(scene.centres.get(centre).filter(|_| centre < scene.parents)?.goal());
            Some(Named { centre, x, y, text: describe(&scene, centre) })
        });
        if self.named.with_untracked(|old| *old != named) {
            self.named.set(named);
            self.wake();
        }
    }

    /// The same centre's place and figures of the newest frame.
    fn rename(&self) {
        self.name(self.named.with_untracked(|named| named.as_ref().map(|named| named.centre)));
    }

    /// Names the centre under the pointer.
    fn point(&self, event: &PointerEvent) {
        let Some(canvas) = self.canvas.get_untracked() else { return };
        let (x, y) = (event.offset_x(), event.offset_y());
        let nearest = places(&canvas, &self.scene.borrow())
            .map(|(at, (cx, cy))| (at, (cx - x).hypot(cy - y)))
            .filter(|&(_, distance)| distance <= REACH)
            .min_by(|a, b| a.1.total_cmp(&b.1));
        self.name(nearest.map(|(at, _)| at));
    }

    /// Walks with the keys from centre to centre. `true` where the key means something here.
    fn walk(&self, key: &str) -> bool {
        let direction = match key {
            "ArrowLeft" => (-1.0, 0.0),
            "ArrowRight" => (1.0, 0.0),
            "ArrowUp" => (0.0, -1.0),
            "ArrowDown" => (0.0, 1.0),
            "Home" => (0.0, 0.0),
            "Escape" if self.named.with_untracked(Option::is_some) => {
                self.name(None);
                return true;
            }
            _ => return false,
        };
        let Some(canvas) = self.canvas.get_untracked() else { return false };
        let next = {
            let scene = self.scene.borrow();
            let largest = (0..scene.parents).max_by(|&a, &b| scene.share(a).total_cmp(&scene.share(b)));
            let from = self.named.with_untracked(|named| named.as_ref().map(|named| named.centre));
            match from.filter(|_| key != "Home") {
                Some(from) => next(&places(&canvas, &scene).collect::<Vec<_>>(), from, direction).or(Some(from)),
                None => largest,
            }
        };
        self.name(next);
        true
    }
}

/// The level-1 centres and where they stand on the canvas.
fn places<'a>(canvas: &HtmlCanvasElement, scene: &'a Scene) -> impl Iterator<Item = (usize, (f64, f64))> + use<'a> {
    let space = Space::of(canvas, scene);
    (0..scene.parents).map(move |at| (at, space.place(scene.centres[at].goal())))
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
            "Each small mark is a user. It flies past the nearest centre (ring) to its place; a thin line ties it to a child of that centre "
            "(dot). Near means alike. Point at a centre, tap it or walk with the arrow keys to see who is there."
        </p>
        <div class="stage">
            <Map stage=stage.clone() run />
            <Waiting session />
            <Tip named=stage.named />
        </div>
        <Legend />
        <p class="caption">
            <Reseeded run />
            " This is the plane in which the centres differ most."
            {move || outside_words(outside.get())}
        </p>
        <Unfold
            summary="The centres as a table"
            body=move || run.field.with(|frame| frame.as_deref().map(occupancy_table)).into_any()
        />
    }
}

/// Single users far from all others would make everybody else a dot; they are left out, and said.
fn outside_words(users: usize) -> Option<String> {
    match users {
        0 => None,
        1 => Some(" One user is outside it.".into()),
        users => Some(format!(" {users} users are outside it.")),
    }
}

/// The picture, and what a pointer, a finger or a key may do on it.
#[component]
fn Map(stage: Stage, run: Run) -> impl IntoView {
    let label = move || {
        let step = run.progress.with(|progress| progress.step);
        format!("Map of users and cluster centres at step {step}. Arrow keys go from centre to centre, Home to the largest.")
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
            on:pointermove=move |event| moved.point(&event)
            on:pointerdown=move |event| pressed.point(&event)
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
fn Legend() -> impl IntoView {
    view! {
        <ul class="legend" aria-label="Legend of the map">
            <li>
                <svg class="mark ink-low" viewBox="0 0 12 12" aria-hidden="true">
                    <path d="M6 1.5l5 9H1z" />
                </svg>
                "low-active user"
            </li>
            <li>
                <svg class="mark ink-high" viewBox="0 0 12 12" aria-hidden="true">
                    <path d="M2.5 2.5h7v7h-7z" />
                </svg>
                "high-active user"
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
                None => *scene = Scene::default(),
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

fn describe(scene: &Scene, centre: usize) -> String {
    let used = scene.family(centre).iter().filter(|child| child.occupancy > 0.5).count();
    let low = scene.users.values().filter(|user| user.centre as usize == centre && user.low).count();
    let all = scene.users.values().filter(|user| user.centre as usize == centre).count();
    format!(
        "Centre {}: {:.1} % of recent samples, {used} of {} children in use; {all} users on show, {low} of them low-active",
        centre + 1,
        100.0 * scene.share(centre),
        scene.children
    )
}

/// From the plane to the canvas, in CSS pixels.
struct Space<'a> {
    scene: &'a Scene,
    width: f64,
    height: f64,
}

impl<'a> Space<'a> {
    fn of(canvas: &HtmlCanvasElement, scene: &'a Scene) -> Self {
        Self { scene, width: f64::from(canvas.client_width()), height: f64::from(canvas.client_height()) }
    }

    fn place(&self, place: [f32; 2]) -> (f64, f64) {
        let (x, y) = self.scene.view.unit(place);
        (MARGIN + x * (self.width - 2.0 * MARGIN), MARGIN + y * (self.height - 2.0 * MARGIN))
    }
}

fn draw(canvas: &HtmlCanvasElement, scene: &Scene, palette: &Palette, named: Option<usize>, now: f64) {
    let density = window().device_pixel_ratio();
    let space = Space::of(canvas, scene);
    let (width, height) = ((space.width * density).round() as u32, (space.height * density).round() as u32);
    if (canvas.width(), canvas.height()) != (width, height) {
        canvas.set_width(width);
        canvas.set_height(height);
    }
    let context = canvas.get_context("2d").ok().flatten().and_then(|context| context.dyn_into::<CanvasRenderingContext2d>().ok());
    let Some(context) = context else { return };
    let _ = context.set_transform(density, 0.0, 0.0, density, 0.0, 0.0);
    context.clear_rect(0.0, 0.0, space.width, space.height);
    let brush = Brush { context, space, palette, now, size: palette.type_size / 16.0 };
    brush.families();
    brush.ties();
    brush.users();
    brush.children();
    brush.parents(named);
}

struct Brush<'a> {
    context: CanvasRenderingContext2d,
    space: Space<'a>,
    palette: &'a Palette,
    now: f64,
    size: f64,
}

impl Brush<'_> {
    /// Lines from each child to its parent.
    fn families(&self) {
        self.stroke(self.palette.muted, 0.35, 1.0);
        self.context.begin_path();
        let scene = self.space.scene;
        for parent in 0..scene.parents {
            let from = self.space.place(scene.centres[parent].at(self.now));
            for child in scene.family(parent) {
                self.segment(from, self.space.place(child.at(self.now)));
            }
        }
        self.context.stroke();
    }

    /// Lines from the users of the newest frame to their children.
    fn ties(&self) {
        for (low, colour) in [(false, self.palette.high), (true, self.palette.low)] {
            self.stroke(colour, 0.28, 0.8);
            self.context.begin_path();
            for user in self
                .space
                .scene
                .users
                .values()
                .filter(|user| user.age == 0 && user.low == low && !user.stopped && user.has_arrived(self.now))
            {
                if let Some(child) = self.space.scene.child(user.child) {
                    self.segment(self.space.place(user.at(self.now)), self.space.place(child.at(self.now)));
                }
            }
            self.context.stroke();
        }
    }

    /// Users, the longest unseen first; low-active ones on top, because the story is theirs.
    fn users(&self) {
        for age in (0..=MEMORY).rev() {
            for low in [false, true] {
                for stopped in [true, false] {
                    self.group(age, low, stopped);
                }
            }
        }
    }

    fn group(&self, age: u8, low: bool, stopped: bool) {
        let colour = if low { self.palette.low } else { self.palette.high };
        let alpha = 0.9 * 0.68f64.powi(age.into()) * if stopped { 0.6 } else { 1.0 };
        self.stroke(colour, alpha, 1.2);
        self.fill(colour, alpha);
        self.context.begin_path();
        let members = self.space.scene.users.values().filter(|user| (user.age, user.low, user.stopped) == (age, low, stopped));
        members.filter(|user| user.shows(self.now)).for_each(|user| self.mark(user));
        if stopped { self.context.stroke() } else { self.context.fill() }
    }

    fn mark(&self, user: &User) {
        let (x, y) = self.space.place(user.at(self.now));
        let context = &self.context;
        if user.low {
            let r = 4.4 * self.size;
            context.move_to(x, y - r);
            context.line_to(x + 0.87 * r, y + 0.6 * r);
            context.line_to(x - 0.87 * r, y + 0.6 * r);
            context.close_path();
        } else {
            // Circles are centres.
            let side = 5.0 * self.size;
            context.rect(x - 0.5 * side, y - 0.5 * side, side, side);
        }
    }

    fn children(&self) {
        for centre in self.space.scene.centres.iter().skip(self.space.scene.parents) {
            let (x, y) = self.space.place(centre.at(self.now));
            self.context.begin_path();
            self.circle(x, y, 2.6 * self.size);
            if centre.occupancy > 0.5 {
                self.fill(self.palette.ink, 0.85);
                self.context.fill();
            } else {
                self.fill(self.palette.panel, 1.0);
                self.context.fill();
                self.stroke(self.palette.muted, 0.9, 1.0);
                self.context.stroke();
            }
            self.flash(x, y, 5.0, centre.flash(self.now));
        }
    }

    fn parents(&self, named: Option<usize>) {
        let scene = self.space.scene;
        for (at, centre) in scene.centres.iter().take(scene.parents).enumerate() {
            let (x, y) = self.space.place(centre.at(self.now));
            let radius = self.size * (5.0 + 16.0 * scene.share(at).sqrt());
            let used = centre.occupancy > 0.5;
            if centre.hits > 0.0 {
                self.fill(self.palette.hit, 0.22);
                self.context.begin_path();
                self.circle(x, y, radius + 5.0 * self.size);
                self.context.fill();
            }
            self.context.begin_path();
            self.circle(x, y, radius);
            self.fill(self.palette.panel, if used { 0.75 } else { 1.0 });
            self.context.fill();
            self.stroke(if used { self.palette.ink } else { self.palette.muted }, 1.0, if named == Some(at) { 3.4 } else { 1.8 });
            self.context.stroke();
            if used {
                self.fill(self.palette.ink, 1.0);
                self.context.begin_path();
                self.circle(x, y, 1.6 * self.size);
                self.context.fill();
            }
            self.flash(x, y, radius, centre.flash(self.now));
        }
    }

    /// Rays that fly out and fade; they stay where they are for who wants less motion.
    fn flash(&self, x: f64, y: f64, radius: f64, strength: f32) {
        if strength <= 0.0 {
            return;
        }
        let (strength, flown) = if self.space.scene.still { (1.0, 0.5) } else { (f64::from(strength), 1.0 - f64::from(strength)) };
        let (inner, outer) = (radius + self.size * (3.0 + 10.0 * flown), radius + self.size * (9.0 + 12.0 * flown));
        self.stroke(self.palette.reborn, strength, 2.2);
        self.context.begin_path();
        for ray in 0..RAYS {
            let (sin, cos) = (TURN * f64::from(ray) / f64::from(RAYS)).sin_cos();
            self.segment((x + inner * cos, y + inner * sin), (x + outer * cos, y + outer * sin));
        }
        self.context.stroke();
    }

    fn segment(&self, from: (f64, f64), to: (f64, f64)) {
        self.context.move_to(from.0, from.1);
        self.context.line_to(to.0, to.1);
    }

    fn circle(&self, x: f64, y: f64, radius: f64) {
        self.context.move_to(x + radius, y);
        // It fails only for a negative radius.
        let _ = self.context.arc(x, y, radius, 0.0, TURN);
    }

    fn stroke(&self, colour: Colour, alpha: f64, width: f64) {
        self.context.set_stroke_style_str(&css(colour, alpha));
        self.context.set_line_width(width * self.size);
    }

    fn fill(&self, colour: Colour, alpha: f64) {
        self.context.set_fill_style_str(&css(colour, alpha));
    }
}

fn css((red, green, blue): Colour, alpha: f64) -> String {
    format!("rgba({red},{green},{blue},{alpha:.3})")
}
