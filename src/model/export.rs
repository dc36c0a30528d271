//! The forward pass once more, as nodes of an ONNX graph: what the blackboards of `component` hold as tensors, here as names of tensors. Each component says its own nodes beside its forward pass, layer by layer.
//!
//! A graph scores requests with any number of candidates each. What is of a request has the shape `[requests, 1, …]`, what is of a
//! candidate `[requests, candidates, …]`, so the two meet by broadcasting. Memories are as they are when scoring: frozen. Tensors have the
//! names of `docs/trace.md`; those that a graph has beside them are the constants below.

use crate::data::Side;
use crate::kernels::Levels;
use crate::onnx::{Graph, Value};

/// `[items]`: the category of each item.
pub const CATEGORIES: &str = "item_categories";
/// `[users]`: 1 for low-active users.
pub const LOW_ACTIVE: &str = "low_active";
/// `[users, fields]`: the profile of each user, -1 where a value is missing.
pub const PROFILES: &str = "profiles";
/// `[items, fields]`: the attributes of each item, likewise.
pub const ATTRIBUTES: &str = "attributes";
/// `[items]`: the level-2 centre of each item as scoring has it, -1 where it has none.
pub const ITEM_CENTRES: &str = "frozen_assignments";

/// Why a component has no nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNodes(pub &'static str);

/// What nodes read.
pub struct Reads {
    /// `[requests]` users.
    pub user: Value,
    /// `[requests, candidates]` items.
    pub item: Value,
    /// `[requests, candidates]` their categories.
    pub category: Value,
    /// `[requests, candidates, 1]`: how often the item came so far, as features have counts.
    pub item_count: Value,
    /// `[requests, 1, Behaviour::COUNT]`: counts by behaviour, as features have them.
    pub counts: Value,
    /// The window of behaviours.
    pub window: Window,
    /// Places of the window.
    pub slots: usize,
    /// `[requests, candidates, 2 d]`: embedded item and category.
    pub candidates: Value,
    /// `[requests, candidates, fields * d]`: embedded attributes, where items have any.
    pub attributes: Option<Value>,
    /// `[requests, 1, …]`: embedded user, activity and profile.
    pub own: Value,
    /// `[requests, 1, 2 d]`: item and category of the newest behaviour.
    pub newest: Value,
    /// `[requests, 1, 2 d]`: the whole history pooled, items and categories.
    pub whole: Value,
}

/// The window of behaviours, the newest first.
#[derive(Clone)]
pub struct Window {
    /// `[requests, slots]`: items, negative where there is none.
    pub items: Value,
    /// `[requests, slots]`: their categories; any where there is none.
    pub categories: Value,
    /// `[requests, slots]`: what was done.
    pub kinds: Value,
    /// `[requests, slots]`: 1 where there is a behaviour.
    pub known: Value,
    /// `[requests, slots, 2 d]`: embedded items and categories, zeros where there is none.
    pub behaviours: Value,
}

impl Reads {
    /// A request's fields with a history `[requests, 1, 2 d]`, and the counts.
    pub fn with_history(&self, graph: &mut Graph, history: &Value) -> Value {
        graph.concat(&[self.own.clone(), history.clone(), self.counts.clone()])
    }

    /// Rows of a table of users or of items, `[requests, 1 or candidates, …]`.
    pub fn of_members(&self, graph: &mut Graph, side: Side, table: &Value) -> Value {
        match side {
            Side::Users => {
                let user = graph.unsqueeze(&self.user, 1);
                graph.gather(table, &user)
            }
            Side::Items => graph.gather(table, &self.item),
        }
    }
}

/// Centres chosen for a side's vectors.
#[derive(Clone)]
pub struct Chosen {
    /// `[requests, n]`: level-1 centre and level-2 centre (`children * parent + child`), `n` being 1 or the candidates.
    pub rows: [Value; 2],
    /// `[requests, n, m]`: the centres themselves, by level.
    pub mu: [Value; 2],
    /// All centres by level, `[centres, m]`.
    pub centres: [Value; 2],
    /// `[1, m]`: the running mean of the vectors that clustered.
    pub mean: Value,
    /// Whether the search and the sign test take it out.
    pub is_centred: bool,
    /// The two levels' sizes.
    pub levels: Levels,
}

impl Chosen {
    /// `v` as the search and the sign test see it.
    pub fn seen(&self, graph: &mut Graph, v: &Value) -> Value {
        if self.is_centred { graph.sub(v, &self.mean) } else { v.clone() }
    }
}

/// What was found of a side.
#[derive(Default)]
pub struct SideFound {
    /// `[requests, n, m]`: vectors of the side; none in a model without towers.
    pub v: Option<Value>,
    /// The centres chosen for them; none before the first fill.
    pub chosen: Option<Chosen>,
}

/// Which centres stand for the items of the window.
#[derive(Clone)]
pub struct Assigned {
    /// `[requests, slots]`: level-1 centre and level-2 centre; any where there is none.
    pub rows: [Value; 2],
    /// `[requests, slots]`: 1 where there is one.
    pub known: Value,
}

/// What was found.
#[derive(Default)]
pub struct Found {
    /// Of users and of items.
    pub sides: [SideFound; 2],
    /// None before UHSE has looked.
    pub assigned: Option<Assigned>,
}

impl Found {
    /// What was found of a side.
    pub fn side(&mut self, side: Side) -> &mut SideFound {
        &mut self.sides[side as usize]
    }
}

/// What components give the ranker before it is stacked.
#[derive(Default)]
pub struct Features {
    /// Columns of requests.
    pub request: Vec<Value>,
    /// Columns of candidates.
    pub candidate: Vec<Value>,
    /// Of the user side and of the item side.
    pub sides: [SideFeatures; 2],
    /// Factors of the hidden units of the task towers, layer by layer, of each task `[requests, 1, width]`.
    pub tower_gates: Vec<Vec<Value>>,
}

impl Features {
    /// Those of a side.
    pub fn side(&mut self, side: Side) -> &mut SideFeatures {
        &mut self.sides[side as usize]
    }
}

/// Vectors of a side and what stands beside them; each level by itself.
#[derive(Default)]
pub struct SideFeatures {
    /// Vectors that pass a gate.
    pub gated: Vec<Value>,
    /// Vectors that do not.
    pub plain: Vec<Value>,
    /// A column each.
    pub flags: Vec<Value>,
    /// Columns of candidates.
    pub matches: Vec<Value>,
    /// The vectors behind the gates, side by side.
    pub vectors: Option<Value>,
    /// How each vector fits the other side's.
    pub fits: Option<Value>,
}

/// How many of what is known, `known` `[requests, 1 or candidates, slots]`, is of a candidate's own row, `rows` in the same shape and
/// `own` `[requests, 1 or candidates, 1]`: `[requests, candidates, 1]`.
pub fn count(graph: &mut Graph, rows: &Value, known: &Value, own: &Value) -> Value {
    let is_own = graph.is_equal(rows, own);
    let is_own = graph.float(&is_own);
    graph.dot(&is_own, known)
}
