//! Where everything in the field is at a moment: centres and members under way from where they were to where they belong.

use std::collections::HashMap;

use duia::data::Side;
use duia::view::FieldFrame;

use crate::people::{self, People};

/// Milliseconds of a flight.
const FLIGHT: f64 = 600.0;
/// Milliseconds over which the members of a frame set out, so that they come as a stream and not as a wall.
const STREAM: u32 = 300;
/// Milliseconds of the flash of a centre that was filled or re-seeded.
const FLASH: f64 = 1_400.0;
/// Frames for which a member stays on show after they were last seen.
pub const MEMORY: u8 = 5;
/// How much of a centre's occupancy a frame leaves.
const FADE: f32 = 0.85;

/// A place in the plane of the message.
pub type Place = [f32; 2];

/// A way from one place to another.
#[derive(Clone, Copy, Debug)]
struct Flight {
    from: Place,
    via: Option<Place>,
    to: Place,
    start: f64,
}

impl Flight {
    /// From 0, not yet under way, to 1, arrived.
    fn progress(&self, now: f64) -> f64 {
        ((now - self.start) / FLIGHT).clamp(0.0, 1.0)
    }

    fn at(&self, now: f64) -> Place {
        let t = ease(self.progress(now)) as f32;
        let mix = |a: Place, b: Place| [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
        match self.via {
            // A quadratic curve drawn towards the centre that the user was assigned to.
            Some(via) => mix(mix(self.from, via), mix(via, self.to)),
            None => mix(self.from, self.to),
        }
    }
}

fn ease(t: f64) -> f64 {
    t * t * (3.0 - 2.0 * t)
}

/// A user or an item on show.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    flight: Flight,
    /// The level-1 centre they were assigned to.
    pub centre: u32,
    /// Their level-2 centre, `children * centre + child`.
    pub child: u32,
    /// Whether a user is low-active, or an item of the tail.
    pub low: bool,
    /// Whether UIE stopped for them.
    pub stopped: bool,
    /// Frames since they were last seen.
    pub age: u8,
    /// Whether they were not on show before this flight.
    new: bool,
}

impl Member {
    /// Where they are.
    pub fn at(&self, now: f64) -> Place {
        self.flight.at(now)
    }

    /// Whether they are on show: a new user is not before they set out.
    pub fn shows(&self, now: f64) -> bool {
        !self.new || self.flight.progress(now) > 0.0
    }

    /// Whether they are where they belong, or nearly.
    pub fn has_arrived(&self, now: f64) -> bool {
        self.flight.progress(now) > 0.8
    }
}

/// A centre of either level.
#[derive(Clone, Copy, Debug)]
pub struct Centre {
    flight: Flight,
    /// Samples it took since the last frame.
    pub hits: f32,
    /// Samples it took lately, older ones counting less.
    pub occupancy: f32,
    flash: f64,
}

impl Centre {
    /// Where it is.
    pub fn at(&self, now: f64) -> Place {
        self.flight.at(now)
    }

    /// Where it is going, or has come.
    pub fn goal(&self) -> Place {
        self.flight.to
    }

    /// From 1, just filled or re-seeded, to 0.
    pub fn flash(&self, now: f64) -> f32 {
        (1.0 - (now - self.flash) / FLASH).clamp(0.0, 1.0) as f32
    }
}

/// Centres that were filled or re-seeded since the last frame, by level.
#[derive(Clone, Debug, Default)]
struct Born {
    parents: Vec<u32>,
    children: Vec<u32>,
}

/// The field.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Level-1 centres, then the children of the first, of the second and so on.
    pub centres: Vec<Centre>,
    /// Level-1 centres.
    pub parents: usize,
    /// Children of each.
    pub children: usize,
    /// Whose centres.
    pub side: Side,
    /// Users, or items, by id.
    pub members: HashMap<u32, Member>,
    /// Who came to each level-1 centre lately.
    people: Vec<People>,
    /// The corners of what is seen.
    pub view: View,
    /// Whether the person asked for less motion: nothing flies and no flash widens.
    pub still: bool,
    /// Centres that are to flash with the next frame: the first fill is told before there is a picture of it.
    born: Born,
    moves_until: f64,
}

/// The part of the plane that is seen.
#[derive(Clone, Copy, Debug)]
pub struct View {
    low: Place,
    high: Place,
}

impl Default for View {
    fn default() -> Self {
        Self { low: [-1.0, -1.0], high: [1.0, 1.0] }
    }
}

impl View {
    /// From the plane to the unit square, y upwards in the plane and downwards here. What lies outside the view lies outside the
    /// square: drawn at its edge it would be a crowd that is not there.
    pub fn unit(&self, place: Place) -> (f64, f64) {
        let part = |axis: usize| f64::from((place[axis] - self.low[axis]) / (self.high[axis] - self.low[axis]).max(1e-6));
        (part(0), 1.0 - part(1))
    }

    /// Whether a place is in view.
    fn holds(&self, place: Place) -> bool {
        let (x, y) = self.unit(place);
        (0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y)
    }

    /// The view that has these places in it too.
    fn with(self, places: impl Iterator<Item = Place>) -> Self {
        places.fold(self, |view, place| Self {
            low: [view.low[0].min(place[0]), view.low[1].min(place[1])],
            high: [view.high[0].max(place[0]), view.high[1].max(place[1])],
        })
    }

    /// Where all but the outermost places lie.
    fn around(places: &[Place]) -> Self {
        let edge = |axis: usize, share: f64| {
            let mut values: Vec<f32> = places.iter().map(|place| place[axis]).filter(|value| value.is_finite()).collect();
            values.sort_by(f32::total_cmp);
            values.get(((values.len().max(1) - 1) as f64 * share).round() as usize).copied().unwrap_or(0.0)
        };
        let side = |axis: usize| {
            let (low, high) = (edge(axis, 0.01), edge(axis, 0.99));
            let margin = (0.06 * (high - low)).max(1e-3);
            (low - margin, high + margin)
        };
        let (x, y) = (side(0), side(1));
        Self { low: [x.0, y.0], high: [x.1, y.1] }
    }

    /// A part of the way to another view: the picture must not jump when one user strays.
    fn towards(self, other: Self) -> Self {
        let mix = |a: Place, b: Place| [a[0] + 0.25 * (b[0] - a[0]), a[1] + 0.25 * (b[1] - a[1])];
        Self { low: mix(self.low, other.low), high: mix(self.high, other.high) }
    }
}

impl Scene {
    /// Whether there is nothing to show yet.
    pub fn is_empty(&self) -> bool {
        self.centres.is_empty()
    }

    /// Whether anything is under way.
    pub fn moves(&self, now: f64) -> bool {
        now < self.moves_until
    }

    /// Takes in a frame. `still` leaves out the flights.
    pub fn take(&mut self, frame: &FieldFrame, now: f64, still: bool) {
        if frame.side != self.side {
            *self = Self { side: frame.side, ..Self::default() };
        }
        let first = self.is_empty();
        people::take(&mut self.people, frame);
        self.still = still;
        self.parents = frame.centres as usize;
        self.children = frame.children as usize;
        let start = if still { now - FLIGHT } else { now };
        self.take_centres(frame, start);
        self.light(now);
        self.take_members(frame, start, if still { 0 } else { STREAM });
        let places: Vec<Place> = self.centres.iter().map(|c| c.flight.to).chain(self.members.values().map(|m| m.flight.to)).collect();
        // Single users may be far out, but a centre that took users or was just re-seeded is never out of view.
        let shown = |centre: &&Centre| centre.hits > 0.0 || centre.flash(now) > 0.0;
        let used = self.centres.iter().take(self.parents).filter(shown).map(Centre::goal);
        let view = View::around(&places).with(used.clone());
        self.view = if first { view } else { self.view.towards(view).with(used) };
        self.moves_until = self.moves_until.max(start + FLIGHT + f64::from(STREAM));
    }

    /// Lets centres flash that were filled or re-seeded, once the next frame shows where they are.
    pub fn flash(&mut self, parents: &[u32], children: &[u32]) {
        self.born.parents.extend_from_slice(parents);
        self.born.children.extend_from_slice(children);
    }

    fn light(&mut self, now: f64) {
        let Born { parents, children } = std::mem::take(&mut self.born);
        for at in parents.into_iter().chain(children.into_iter().map(|id| self.parents as u32 + id)) {
            if let Some(centre) = self.centres.get_mut(at as usize) {
                centre.flash = now;
                self.moves_until = now + FLASH;
            }
        }
    }

    /// Members on show whose place is outside the view.
    pub fn outside(&self) -> usize {
        self.members.values().filter(|member| !self.view.holds(member.flight.to)).count()
    }

    /// The place of a level-2 centre among all.
    pub fn child(&self, id: u32) -> Option<&Centre> {
        self.centres.get(self.parents + id as usize)
    }

    /// A level-1 centre's share of the recent samples.
    pub fn share(&self, parent: usize) -> f64 {
        let all: f32 = self.centres.iter().take(self.parents).map(|centre| centre.occupancy).sum();
        self.centres.get(parent).map_or(0.0, |centre| f64::from(centre.occupancy / all.max(1e-6)))
    }

    /// Who came to a level-1 centre lately.
    pub fn people(&self, parent: usize) -> Option<&People> {
        self.people.get(parent)
    }

    /// The children of a level-1 centre.
    pub fn family(&self, parent: usize) -> &[Centre] {
        let first = self.parents + parent * self.children;
        self.centres.get(first..first + self.children).unwrap_or_default()
    }

    fn take_centres(&mut self, frame: &FieldFrame, start: f64) {
        let (places, _) = frame.centre_xy.as_chunks::<2>();
        let old = std::mem::take(&mut self.centres);
        let centre = |(at, &to): (usize, &Place)| {
            let hits = frame.hits.get(at).copied().unwrap_or(0.0);
            let before = old.get(at);
            Centre {
                flight: Flight { from: before.map_or(to, |centre| centre.at(start)), via: None, to, start },
                hits,
                occupancy: before.map_or(0.0, |centre| FADE * centre.occupancy) + hits,
                flash: before.map_or(f64::NEG_INFINITY, |centre| centre.flash),
            }
        };
        self.centres = places.iter().enumerate().map(centre).collect();
    }

    fn take_members(&mut self, frame: &FieldFrame, now: f64, stream: u32) {
        self.members.retain(|_, member| {
            member.age += 1;
            member.age <= MEMORY
        });
        let (places, _) = frame.member_xy.as_chunks::<2>();
        let (assigned, _) = frame.assigned.as_chunks::<2>();
        for (((&id, &to), &[centre, child]), at) in frame.members.iter().zip(places).zip(assigned).zip(0..) {
            let before = self.members.get(&id);
            // The golden ratio spreads any run of ids evenly.
            let start = now + f64::from(id.wrapping_mul(0x9E37_79B9) % stream.max(1));
            let via = self.centres.get(centre as usize).map(|centre| centre.flight.to);
            let flight = match before {
                Some(member) if member.child == child => Flight { from: member.at(now), via: None, to, start },
                Some(member) => Flight { from: member.at(now), via, to, start },
                None => Flight { from: self.gate(to), via, to, start },
            };
            let new = before.is_none();
            let flag = |flags: &[bool]| flags.get(at).copied().unwrap_or(false);
            let (low, stopped) = (flag(&frame.low_active), flag(&frame.stopped));
            self.members.insert(id, Member { flight, centre, child, low, stopped, age: 0, new });
        }
    }

    /// Where a new user comes in: from outside the nearer of the left and the right edge.
    fn gate(&self, to: Place) -> Place {
        let (low, high) = (self.view.low[0], self.view.high[0]);
        let outside = 0.1 * (high - low);
        [if to[0] < 0.5 * (low + high) { low - outside } else { high + outside }, to[1]]
    }
}
