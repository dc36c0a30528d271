//! The moving picture: users, the centres they belong to, and how both move while the stream comes in.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use duia::view::FieldFrame;
use leptos::html::Canvas;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, PointerEvent};

use crate::look::{Colour, Look, Palette, wants_stillness};
use crate::run::{Phase, Run};
use crate::scene::{MEMORY, Scene, User};
use crate::session::Session;
use crate::text;

const TURN: f64 = std::f64::consts::TAU;
/// CSS pixels within which the pointer finds a centre.
const REACH: f64 = 24.0;
/// Room for the marks of centres at the edges.
const MARGIN: f64 = 16.0;

/// A centre under the pointer.
#[derive(Clone, Debug, PartialEq)]
struct Hover {
    centre: usize,
    x: f64,
    y: f64,
    text: String,
}

/// What the drawing loop needs; shared by the effects that feed it.
#[derive(Clone)]
struct Stage {
    scene: Rc<RefCell<Scene>>,
    hovered: Rc<Cell<Option<usize>>>,
    running: Rc<Cell<bool>>,
    canvas: NodeRef<Canvas>,
    look: Look,
}

impl Stage {
    /// Draws at the next frame, and on while anything moves.
    fn wake(&self) {
        if !self.running.replace(true) {
            let stage = self.clone();
            request_animation_frame(move || stage.tick());
        }
    }

    fn tick(&self) {
        let now = now();
        let Some(canvas) = self.canvas.try_get_untracked().flatten() else { return self.running.set(false) };
        let scene = self.scene.borrow();
        draw(&canvas, &scene, &self.look.palette.get_untracked(), self.hovered.get(), now);
        self.running.set(false);
        if scene.moves(now) {
            self.wake();
        }
    }
}

/// The field with its legend, its explanation and its table.
#[component]
pub fn Field() -> impl IntoView {
    let session = expect_context::<Session>();
    let run = session.run;
    let stage = Stage {
        scene: Rc::default(),
        hovered: Rc::default(),
        running: Rc::default(),
        canvas: NodeRef::new(),
        look: expect_context::<Look>(),
    };
    let hover = RwSignal::new(None::<Hover>);
    feed(&stage, run);
    let canvas = stage.canvas;
    let label = move || format!("Map of users and cluster centres at step {}", run.progress.with(|progress| progress.step));
    view! {
        <section class="panel field" aria-labelledby="field-title">
            <div class="panel-head">
                <h2 id="field-title">"Users finding their clusters"</h2>
                <p class="how">
                    "Each small mark is a user. It flies past the nearest centre (ring) to its place; a thin line ties it to a child of that centre (dot)."
                </p>
            </div>
            <div class="stage">
                <canvas
                    node_ref=canvas
                    class="map"
                    role="img"
                    data-testid="field"
                    aria-label=label
                    on:pointermove={
                        let stage = stage.clone();
                        move |event| point(&stage, &event, hover)
                    }
                    on:pointerdown={
                        let stage = stage.clone();
                        move |event| point(&stage, &event, hover)
                    }
                    on:pointerleave=move |_| {
                        stage.hovered.set(None);
                        hover.set(None);
                        stage.wake();
                    }
                ></canvas>
                <Waiting session />
                {move || {
                    hover
                        .get()
                        .map(|hover| {
                            view! {
                                <p class="tip" style=format!("left:{:.0}px;top:{:.0}px", hover.x, hover.y)>
                                    {hover.text}
                                </p>
                            }
                        })
                }}
            </div>
            <Legend />
            <p class="caption">
                <Reborn run />
                " Near means alike: this is the plane in which the centres differ most."
            </p>
            <Occupancy run />
        </section>
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
                    <circle cx="6" cy="6" r="4" />
                </svg>
                "high-active user"
            </li>
            <li>
                <svg class="mark ink-plain hollow" viewBox="0 0 12 12" aria-hidden="true">
                    <circle cx="6" cy="6" r="3.6" />
                </svg>
                "hollow: lent nothing"
            </li>
            <li>
                <svg class="mark wide" viewBox="0 0 24 14" aria-hidden="true">
                    <circle class="glow" cx="7" cy="7" r="7" />
                    <circle class="ring" cx="7" cy="7" r="4" />
                    <path class="tie" d="M11 7h7" />
                    <circle class="dot" cx="20" cy="7" r="2.4" />
                </svg>
                "centre in use, its child"
            </li>
            <li>
                <svg class="mark hollow ink-plain" viewBox="0 0 14 14" aria-hidden="true">
                    <circle stroke-dasharray="2.4 2" cx="7" cy="7" r="5" />
                </svg>
                "unused centre"
            </li>
            <li>
                <svg class="mark hollow ink-reborn" viewBox="0 0 14 14" aria-hidden="true">
                    <circle cx="7" cy="7" r="5.6" />
                    <circle cx="7" cy="7" r="2.4" />
                </svg>
                "born again"
            </li>
        </ul>
    }
}

/// What was filled or born again last.
#[component]
fn Reborn(run: Run) -> impl IntoView {
    move || {
        run.reseeding.with(|reseeding| match reseeding {
            None => String::new(),
            Some(last) if last.first_fill => format!("Step {}: all centres were filled with users' vectors.", last.step),
            Some(last) => format!(
                "Step {}: {} level-1 and {} level-2 centres that nobody came to were born again elsewhere ({} so far).",
                last.step,
                last.centres.len(),
                last.children.len(),
                run.reborn.get()
            ),
        })
    }
}

/// The same in figures.
#[component]
fn Occupancy(run: Run) -> impl IntoView {
    let open = RwSignal::new(false);
    view! {
        <details on:toggle=move |event| open.set(is_open(&event))>
            <summary>"The centres as a table"</summary>
            {move || open.get().then(|| run.field.with(|frame| frame.as_deref().map(occupancy_table)))}
        </details>
    }
}

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
    view! {
        <div class="scroll">
            <table>
                <caption>{format!("Samples that each centre took in the picture of step {}", frame.step)}</caption>
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
        </div>
    }
}

/// Whether the `<details>` of a toggle event is open.
pub fn is_open(event: &web_sys::Event) -> bool {
    event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok()).is_some_and(|element| element.has_attribute("open"))
}

/// Feeds the scene from the run's signals.
fn feed(stage: &Stage, run: Run) {
    let on_frame = stage.clone();
    Effect::new(move |_| {
        run.field.with(|frame| {
            let mut scene = on_frame.scene.borrow_mut();
            match frame {
                Some(frame) => scene.take(frame, now(), wants_stillness()),
                None => *scene = Scene::default(),
            }
        });
        on_frame.wake();
    });
    let on_birth = stage.clone();
    Effect::new(move |_| {
        run.reseeding.with(|reseeding| {
            if let Some(reseeding) = reseeding {
                on_birth.scene.borrow_mut().flash(&reseeding.centres, &reseeding.children, now());
            }
        });
        on_birth.wake();
    });
    let on_look = stage.clone();
    Effect::new(move |_| {
        on_look.look.track();
        on_look.canvas.track();
        on_look.wake();
    });
}

fn now() -> f64 {
    window().performance().map_or(0.0, |clock| clock.now())
}

/// Names the centre under the pointer.
fn point(stage: &Stage, event: &PointerEvent, hover: RwSignal<Option<Hover>>) {
    let Some(canvas) = stage.canvas.get_untracked() else { return };
    let (x, y) = (event.offset_x(), event.offset_y());
    let found = {
        let scene = stage.scene.borrow();
        let space = Space::of(&canvas, &scene);
        let near = (0..scene.parents)
            .map(|at| (at, space.place(scene.centres[at].at(now()))))
            .map(|(at, (cx, cy))| (at, (cx - x).hypot(cy - y)))
            .filter(|&(_, distance)| distance <= REACH)
            .min_by(|a, b| a.1.total_cmp(&b.1));
        near.map(|(at, _)| Hover { centre: at, x, y, text: describe(&scene, at) })
    };
    let centre = found.as_ref().map(|hover| hover.centre);
    if stage.hovered.replace(centre) != centre {
        stage.wake();
    }
    if hover.with_untracked(|old| *old != found) {
        hover.set(found);
    }
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

fn draw(canvas: &HtmlCanvasElement, scene: &Scene, palette: &Palette, hovered: Option<usize>, now: f64) {
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
    brush.parents(hovered);
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
            self.circle(x, y, 2.8 * self.size);
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

    fn parents(&self, hovered: Option<usize>) {
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
            self.stroke(if used { self.palette.ink } else { self.palette.muted }, 1.0, if hovered == Some(at) { 3.4 } else { 1.8 });
            self.dashes(if used { &[] } else { &[2.4, 2.2] });
            self.context.stroke();
            self.dashes(&[]);
            if used {
                self.fill(self.palette.ink, 1.0);
                self.context.begin_path();
                self.circle(x, y, 1.6 * self.size);
                self.context.fill();
            }
            self.flash(x, y, radius, centre.flash(self.now));
        }
    }

    /// A ring that widens and fades.
    fn flash(&self, x: f64, y: f64, radius: f64, strength: f32) {
        if strength > 0.0 {
            let strength = f64::from(strength);
            self.stroke(self.palette.reborn, strength, 2.4);
            self.context.begin_path();
            self.circle(x, y, radius + 14.0 * self.size * (1.0 - strength));
            self.context.stroke();
        }
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

    fn dashes(&self, lengths: &[f64]) {
        let lengths: js_sys::Array = lengths.iter().map(|&length| wasm_bindgen::JsValue::from_f64(length)).collect();
        // It fails only for what is no array.
        let _ = self.context.set_line_dash(&lengths);
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
