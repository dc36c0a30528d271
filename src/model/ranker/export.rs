//! A ranker as an ONNX graph: what every model reads of a request and of its candidates, its components' nodes in turn, and PLE's.

use super::Ranker;
use crate::checkpoint::{Arrays, EmbeddingRows, NETWORK};
use crate::data::protocol::{ACTIVITY_BUCKETS, COUNT_SCALE};
use crate::data::{Behaviour, PROFILE_VALUES};
use crate::model::batch::Layout;
use crate::model::export::{ATTRIBUTES, CATEGORIES, Features, Found, NoNodes, PROFILES, Reads, SideFeatures, Window};
use crate::onnx::{Graph, Length, Value};

/// The axis of requests, and that of the candidates of a request.
const REQUESTS: Length = Length::Any("requests");
const CANDIDATES: Length = Length::Any("candidates");

/// Why a model cannot be a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// A component has no nodes.
    #[error("{model} cannot be exported: of its component `{component}`, {why}")]
    Component {
        /// The model's name.
        model: &'static str,
        /// The component's.
        component: &'static str,
        /// Why it has none.
        why: &'static str,
    },
    /// A tensor of the model is not there.
    #[error("{model} cannot be exported: it has no tensor `{name}`")]
    Missing {
        /// The model's name.
        model: &'static str,
        /// The tensor's.
        name: String,
    },
}

impl Ranker {
    /// The model as a graph over `arrays`: the tensors of its [`Ranker::state`] and those that [`crate::model::export`] names.
    ///
    /// # Errors
    /// A component without nodes.
    pub fn export(&self, arrays: Arrays) -> Result<Graph, ExportError> {
        let model = self.variant.name();
        let mut graph = Graph::over(arrays);
        let reads = self.export_reads(&mut graph);
        let (mut found, mut features) = (Found::default(), Features::default());
        for (component, name) in self.components.iter().zip(&self.names) {
            graph.scope(name);
            let said = component.export(&mut graph, &reads, &mut found, &mut features);
            said.map_err(|NoNodes(why)| ExportError::Component { model, component: name, why })?;
        }
        graph.scope("ple");
        self.export_logits(&mut graph, &reads, features);
        graph.finish().map_err(|name| ExportError::Missing { model, name })
    }

    /// PLE over what the components gave, in the order in which the forward pass joins it.
    fn export_logits(&self, graph: &mut Graph, reads: &Reads, features: Features) {
        let Features { request, candidate, sides: [users, items], tower_gates } = features;
        let mut requests = [vec![reads.own.clone(), reads.newest.clone(), reads.counts.clone()], request].concat();
        let mut candidates = [vec![reads.candidates.clone()], reads.attributes.clone().into_iter().collect(), candidate].concat();
        let SideFeatures { vectors, flags, fits, matches, .. } = users;
        requests.extend(vectors.into_iter().chain(flags));
        candidates.extend(fits.into_iter().chain(matches));
        let SideFeatures { vectors, flags, matches, .. } = items;
        candidates.extend(vectors.into_iter().chain(flags).chain(matches));
        let (request, candidate) = (graph.concat(&requests), graph.concat(&candidates));
        let specific = self.config.of(self.variant).specific_experts;
        let logits = self.ple().export(graph, &format!("{NETWORK}.ple"), specific, (&request, &candidate), &tower_gates);
        let outputs = [("logit_a", "task A: the user takes the item"), ("logit_b", "task B: cart, favourite or buy")];
        for (logit, (name, about)) in logits.iter().zip(outputs) {
            let logit = graph.squeeze(logit, -1);
            graph.output(&logit, name, &[REQUESTS, CANDIDATES], about);
        }
    }

    /// The inputs and what all components read of them.
    fn export_reads(&self, graph: &mut Graph) -> Reads {
        graph.scope("inputs");
        let (vocabulary, slots) = (self.layout.vocabulary(), self.config.of(self.variant).history);
        let user = graph.input("user", &[REQUESTS], "the user's number");
        let item = graph.input("item", &[REQUESTS, CANDIDATES], "the candidates' numbers");
        let (user, item) = (known_only(graph, &user, vocabulary.users), known_only(graph, &item, vocabulary.items));
        let categories = graph.parameter(CATEGORIES);
        let category = graph.gather_ids(&categories, &item);
        let tables = Tables::new(graph, &self.layout, self.config.of(self.variant).embedding);
        let window = tables.window(graph, slots, &categories);
        let behaviours = graph.input("counts", &[REQUESTS, Length::Fixed(Behaviour::COUNT)], "the user's behaviours so far, by kind");
        let item_rows = graph.input("item_count", &[REQUESTS, CANDIDATES], "how often each candidate was taken so far, by anybody");
        let (counts, item_count) = (log_counts(graph, &behaviours), log_counts(graph, &item_rows));
        let newest = graph.first(&window.behaviours, 1);
        Reads {
            counts: graph.unsqueeze(&counts, 1),
            item_count: graph.unsqueeze(&item_count, -1),
            candidates: tables.pair(graph, &item, &category),
            attributes: tables.attributes(graph, &item, self.layout.item_fields()),
            own: tables.own(graph, &user, &behaviours, self.layout.profile_fields()),
            newest,
            whole: mean(graph, &window),
            user,
            item,
            category,
            window,
            slots,
        }
    }
}

/// Ids, and a number that no table has in the place of negative ones: a runtime then refuses them, as it refuses any that are too large,
/// and does not count from the end.
fn known_only(graph: &mut Graph, ids: &Value, end: u32) -> Value {
    let [none, end] = [0, i64::from(end)].map(|number| graph.integer(number));
    let is_none = graph.is_less(ids, &none);
    graph.choose(&is_none, &end, ids)
}

/// `ln(1 + n) / 5`
fn log_counts(graph: &mut Graph, counts: &Value) -> Value {
    let counts = graph.float(counts);
    let more = graph.plus(&counts, 1.0);
    let logs = graph.log(&more);
    graph.times(&logs, (1.0 / COUNT_SCALE) as f32)
}

/// The mean of a window's behaviours, `[requests, 1, 2 d]`; zeros where there is none.
fn mean(graph: &mut Graph, window: &Window) -> Value {
    let (sum, known) = (graph.sum(&window.behaviours, 1), graph.sum(&window.known, 1));
    let one = graph.number(1.0);
    let behaviours = graph.max(&known, &one);
    let behaviours = graph.unsqueeze(&behaviours, -1);
    graph.div(&sum, &behaviours)
}

/// The embedding table in parts, so that an id of one vocabulary never finds a row of the next.
struct Tables {
    items: Value,
    categories: Value,
    users: Value,
    activity: Value,
    profiles: Option<Value>,
    attributes: Option<Value>,
    /// Numbers of a row.
    width: usize,
}

impl Tables {
    fn new(graph: &mut Graph, layout: &Layout, width: usize) -> Self {
        let EmbeddingRows { items, categories, users, activity, end } = layout.embeddings();
        let (profiles, attributes) = (activity + ACTIVITY_BUCKETS, layout.first_attribute());
        let mut part =
            |name: &str, from: u32, to: u32| graph.rows("embeddings.weight", from as usize..to as usize, &format!("embeddings.{name}"));
        Self {
            items: part("items", items, categories),
            categories: part("categories", categories, users),
            users: part("users", users, activity),
            activity: part("activity", activity, profiles),
            profiles: (profiles < attributes).then(|| part("profiles", profiles, attributes)),
            attributes: (attributes < end).then(|| part("attributes", attributes, end)),
            width,
        }
    }

    /// Items and their categories side by side.
    fn pair(&self, graph: &mut Graph, items: &Value, categories: &Value) -> Value {
        let (items, categories) = (graph.gather(&self.items, items), graph.gather(&self.categories, categories));
        graph.concat(&[items, categories])
    }

    fn window(&self, graph: &mut Graph, slots: usize, categories: &Value) -> Window {
        let shape = [REQUESTS, Length::Fixed(slots)];
        let items = graph.input("history_items", &shape, "items of the user's last behaviours, the newest first; -1 after the last");
        let kinds = graph.input("history_behaviours", &shape, "what was done: 0 view, 1 cart, 2 favourite, 3 buy");
        let (known, there) = (graph.known(&items), graph.looked_up(&items));
        let of_items = graph.gather_ids(categories, &there);
        let behaviours = self.pair(graph, &there, &of_items);
        let each = graph.unsqueeze(&known, -1);
        let behaviours = graph.mul(&behaviours, &each);
        Window { items, categories: of_items, kinds, known, behaviours }
    }

    /// User, activity bucket and profile.
    fn own(&self, graph: &mut Graph, user: &Value, behaviours: &Value, profile_fields: usize) -> Value {
        let user = graph.unsqueeze(user, 1);
        let all = graph.sum(behaviours, -1);
        // The bucket is the number of binary digits.
        let bounds = graph.integers(&(0..ACTIVITY_BUCKETS - 1).map(|digit| 1 << digit).collect::<Vec<i64>>());
        let reached = graph.is_at_least(&all, &bounds);
        let reached = graph.whole(&reached);
        let bucket = graph.sum(&reached, -1);
        let mut own = vec![graph.gather(&self.users, &user), graph.gather(&self.activity, &bucket)];
        own.extend(self.profiles.as_ref().map(|table| self.fields(graph, (table, PROFILES), &user, profile_fields)));
        graph.concat(&own)
    }

    /// The attributes of items, where they have any.
    fn attributes(&self, graph: &mut Graph, items: &Value, fields: usize) -> Option<Value> {
        self.attributes.as_ref().map(|table| self.fields(graph, (table, ATTRIBUTES), items, fields))
    }

    /// The fields of `members` `[requests, n]`, `[requests, n, fields * d]`, whose values stand in a parameter of this name; zeros where one
    /// is missing.
    fn fields(&self, graph: &mut Graph, (table, values): (&Value, &str), members: &Value, fields: usize) -> Value {
        let values = graph.parameter(values);
        let values = graph.gather_ids(&values, members);
        let (known, there) = (graph.known(&values), graph.looked_up(&values));
        let first = graph.integers(&(0..fields as i64).map(|field| field * i64::from(PROFILE_VALUES)).collect::<Vec<_>>());
        let rows = graph.add(&there, &first);
        let (vectors, known) = (graph.gather(table, &rows), graph.unsqueeze(&known, -1));
        let vectors = graph.mul(&vectors, &known);
        graph.reshape(&vectors, &[0, 0, (fields * self.width) as i64])
    }
}
