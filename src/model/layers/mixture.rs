//! A streaming mixture of those who take the same things (A30): clusters whose centre is not a vector but counts of what its members
//! take, so that a user's place among them is evidence, added up behaviour by behaviour.
//!
//! All of it is look-ups and sums over the rows of a batch on the host, in one order: the same bytes natively and in a browser, whatever
//! computes the ranker, and nothing has to be read back.

use crate::checkpoint::{Array, CheckpointError, State, Values};
use crate::counter::{Counter, Stream};
use crate::data::protocol::{Batch, NO_ROW};
use crate::data::{Side, Vocabulary};
use crate::model::export::{self, Reads};
use crate::onnx::{Graph, Value};

/// Clusters.
pub const CLUSTERS: usize = 32;
/// Newest behaviours that clusters are learned from. A long window would make every user sure of their cluster from the start, and the
/// clusters collapse.
pub const NEWEST: usize = 5;
/// Newest behaviours that a user's present interest is read from.
pub const PRESENT: usize = 3;
/// Behaviours whose evidence counts in full; that of more is scaled down to so many.
const FULL: f32 = 8.0;
/// What is left of a user's own evidence when a new positive comes.
const KEPT: f32 = 0.95;
/// The weight of evidence while clusters are learned: a little less sure than it says.
const CAUTION: f32 = 0.7;
/// Pseudo-positives of a category that are spread as all are, and of an item that are spread as those of its category.
const CATEGORY_PRIOR: f32 = 2.0;
const ITEM_PRIOR: f32 = 4.0;
/// Pseudo-members of every cluster.
const SIZE_PRIOR: f32 = 20.0;
/// Positives of each category before the first, and the deviation of the logarithm of their random shares: what tells clusters apart at
/// the start.
const START: f32 = 3.0;
const START_DEVIATION: f64 = 0.5;
/// Pseudo-positives, spread as all are, of each category that a further pass begins with.
const RECALL: f32 = 50.0;
/// The newest positive counts `1 + n / 5000` where the first counted 1: what clusters took while they were hardly told apart fades.
const FADING: f32 = 5_000.0;
/// The most that a single behaviour can speak for or against a cluster; the product of [`AT_ONCE`] such ratios is a float.
const MOST: f32 = 1e4;
/// Ratios that are multiplied before a logarithm is taken.
const AT_ONCE: usize = 8;

/// A number for each cluster.
pub type Row = [f32; CLUSTERS];

/// What the clusters took.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// Positives of each cluster, those before the first too.
    pub sizes: Row,
    /// The same by category and by item.
    pub categories: Vec<Row>,
    /// See [`Mixture::categories`].
    pub items: Vec<Row>,
    /// By user: the evidence of their positives, `sum .95^age log p(item | k) / p(item)`.
    pub lives: Vec<Row>,
    /// By user: how many positives that evidence is of, `sum .95^age`.
    pub lengths: Vec<f32>,
    /// Positives that were learned from.
    pub seen: u32,
}

/// How much likelier members of each cluster take a thing than all do.
struct Ratios {
    category: Row,
    item: Row,
}

/// Numbers of a candidate: of its category and of itself, given the present and given the life.
pub const MATCHES: usize = 4;

fn sum(row: &Row) -> f32 {
    let mut lanes = [0.0f32; 8];
    for part in row.as_chunks::<8>().0 {
        lanes.iter_mut().zip(part).for_each(|(lane, x)| *lane += x);
    }
    lanes.iter().sum()
}

/// `exp(logs)`, summing to 1.
fn softmax(logs: &Row) -> Row {
    let most = logs.iter().copied().fold(f32::MIN, f32::max);
    let weights = logs.map(|log| libm::expf(log - most));
    let total = sum(&weights);
    weights.map(|weight| weight / total)
}

/// The share of so many behaviours' evidence that counts.
fn scale(behaviours: f32) -> f32 {
    (FULL / behaviours.max(1.0)).min(1.0)
}

impl Mixture {
    /// Clusters that differ by chance alone.
    pub fn new(seed: u64, vocabulary: Vocabulary) -> Self {
        let random = Counter::new(seed, Stream::Evidence);
        let start = |category: u32| -> Row {
            let first = u64::from(category) * CLUSTERS as u64;
            let row: Row = std::array::from_fn(|k| libm::exp(START_DEVIATION * random.normal(first + k as u64)) as f32);
            let total = sum(&row);
            row.map(|share| START * share / total)
        };
        Self {
            sizes: [SIZE_PRIOR; CLUSTERS],
            categories: (0..vocabulary.categories).map(start).collect(),
            items: vec![[0.0; CLUSTERS]; vocabulary.items as usize],
            lives: vec![[0.0; CLUSTERS]; vocabulary.users as usize],
            lengths: vec![0.0; vocabulary.users as usize],
            seen: 0,
        }
    }

    /// Begins anew before a further pass, so that no row meets its own label (A15), but with the categories' shares that were found in
    /// the place of random ones: a cluster is the same one in every pass. `RECALL` keeps a single row from showing in them.
    pub fn begin_pass(&mut self) {
        let (shares, prior) = (self.shares(), RECALL * self.unit());
        for row in &mut self.categories {
            let part = START / (sum(row) + prior);
            row.iter_mut().zip(&shares).for_each(|(count, share)| *count = part * (*count + prior * share));
        }
        self.sizes = shares.map(|share| share * SIZE_PRIOR * CLUSTERS as f32);
        self.items.fill([0.0; CLUSTERS]);
        self.lives.fill([0.0; CLUSTERS]);
        self.lengths.fill(0.0);
        self.seen = 0;
    }

    /// What a positive counts now.
    fn unit(&self) -> f32 {
        1.0 + self.seen as f32 / FADING
    }

    /// The share of each cluster in all positives.
    fn shares(&self) -> Row {
        let total = sum(&self.sizes);
        self.sizes.map(|size| size / total)
    }

    /// `p(category | k) / p(category) = p(k | category) / p(k)`, and the same of an item: `p(k | item)` from the item's own positives
    /// and [`ITEM_PRIOR`] spread as those of its category, so that an item that nobody took speaks as its category does.
    fn ratios(&self, shares: &Row, item: u32, category: u32) -> Ratios {
        let unit = self.unit();
        let (categories, items) = (&self.categories[category as usize], &self.items[item as usize]);
        let (category_prior, item_prior) = (CATEGORY_PRIOR * unit, ITEM_PRIOR * unit);
        let (of_categories, of_items) = (1.0 / (sum(categories) + category_prior), 1.0 / (sum(items) + item_prior));
        let mut ratios = Ratios { category: [0.0; CLUSTERS], item: [0.0; CLUSTERS] };
        for k in 0..CLUSTERS {
            let share = (categories[k] + category_prior * shares[k]) * of_categories;
            ratios.category[k] = (share / shares[k]).clamp(1.0 / MOST, MOST);
            ratios.item[k] = ((items[k] + item_prior * share) * of_items / shares[k]).clamp(1.0 / MOST, MOST);
        }
        ratios
    }

    /// The evidence of behaviours, `sum log p(item | k) / p(item)`, and how many there are.
    fn evidence(&self, shares: &Row, items: &[u32], categories: &[u32]) -> (Row, f32) {
        let (mut evidence, mut product, mut behaviours) = ([0.0f32; CLUSTERS], [1.0f32; CLUSTERS], 0usize);
        let take = |evidence: &mut Row, product: &Row| evidence.iter_mut().zip(product).for_each(|(sum, x)| *sum += libm::logf(*x));
        for (&item, &category) in items.iter().zip(categories).filter(|(item, _)| **item != NO_ROW) {
            let ratios = self.ratios(shares, item, category).item;
            product.iter_mut().zip(&ratios).for_each(|(product, ratio)| *product *= ratio);
            behaviours += 1;
            if behaviours.is_multiple_of(AT_ONCE) {
                take(&mut evidence, &product);
                product = [1.0; CLUSTERS];
            }
        }
        if !behaviours.is_multiple_of(AT_ONCE) {
            take(&mut evidence, &product);
        }
        (evidence, behaviours as f32)
    }

    /// The probability of each cluster: `softmax(log size_k + weight evidence_k)`.
    fn posterior(shares: &Row, evidence: &Row, weight: f32) -> Row {
        let mut logs = [0.0; CLUSTERS];
        for k in 0..CLUSTERS {
            logs[k] = libm::logf(shares[k]) + weight * evidence[k];
        }
        softmax(&logs)
    }

    /// A request's probability of each cluster: given the [`PRESENT`] behaviours, and given the window and all positives of the user
    /// before.
    fn known(&self, shares: &Row, batch: &Batch, request: usize) -> [Row; 2] {
        let (items, categories) = (window(&batch.history_items, batch, request), window(&batch.history_categories, batch, request));
        let (present, user) = (PRESENT.min(batch.history), batch.user[request] as usize);
        let (mut evidence, behaviours) = self.evidence(shares, &items[..present], &categories[..present]);
        let (older, of_older) = self.evidence(shares, &items[present..], &categories[present..]);
        let of_present = Self::posterior(shares, &evidence, scale(behaviours));
        for k in 0..CLUSTERS {
            evidence[k] += older[k] + self.lives[user][k];
        }
        [of_present, Self::posterior(shares, &evidence, scale(behaviours + of_older + self.lengths[user]))]
    }

    /// `[samples, MATCHES]`, from the counts as they are: `log sum_k pi_k p(category | k) / p(category)` and the same of the item, given
    /// the present and given the life.
    pub fn matches(&self, batch: &Batch) -> Vec<f32> {
        let (shares, mut matches) = (self.shares(), Vec::with_capacity(batch.samples() * MATCHES));
        for request in 0..batch.requests {
            let known = self.known(&shares, batch, request);
            for sample in request * batch.candidates..(request + 1) * batch.candidates {
                let ratios = self.ratios(&shares, batch.item[sample], batch.category[sample]);
                matches.extend(known.iter().flat_map(|known| ratios.expected(known)));
            }
        }
        matches
    }

    /// The nodes of [`Mixture::matches`], `[requests, candidates, MATCHES]`. Nothing is counted any more, so what clusters say of each item
    /// and of each category is a table.
    pub fn export(&self, graph: &mut Graph, reads: &Reads) -> Value {
        let shares = self.shares();
        let categories = graph.ids(export::CATEGORIES);
        let ratios = |item: usize| self.ratios(&shares, item as u32, categories[item] as u32);
        let of_items: Vec<Row> = (0..self.items.len().min(categories.len())).map(|item| ratios(item).item).collect();
        let mut of_categories = vec![[1.0; CLUSTERS]; self.categories.len()];
        (0..of_items.len()).for_each(|item| of_categories[categories[item] as usize] = ratios(item).category);
        let mut table = |name: &str, rows: Vec<Row>| graph.constant(name, rows.as_flattened().to_vec(), &[rows.len(), CLUSTERS]);
        let (of_items, of_categories) = (table("evidence.item_ratios", of_items), table("evidence.category_ratios", of_categories));
        let logs = graph.constant("evidence.log_shares", shares.map(libm::logf).to_vec(), &[CLUSTERS]);
        let matched = [graph.gather(&of_categories, &reads.category), graph.gather(&of_items, &reads.item)];
        let known = self.export_known(graph, reads, &of_items);
        let mut matches = Vec::with_capacity(MATCHES);
        for (evidence, behaviours) in known {
            let pi = export_posterior(graph, &logs, &evidence, &behaviours);
            for ratios in &matched {
                let expected = graph.dot(ratios, &pi);
                matches.push(graph.log(&expected));
            }
        }
        graph.concat(&matches)
    }

    /// The evidence `[requests, 1, CLUSTERS]` of the present and of the life, and of how many behaviours it is `[requests, 1, 1]`.
    fn export_known(&self, graph: &mut Graph, reads: &Reads, of_items: &Value) -> [(Value, Value); 2] {
        let window = &reads.window;
        let items = graph.looked_up(&window.items);
        let ratios = graph.gather(of_items, &items);
        let logs = graph.log(&ratios);
        let known = graph.unsqueeze(&window.known, -1);
        let logs = graph.mul(&logs, &known);
        let slots = reads.slots;
        let is_present = (0..slots).map(|slot| f32::from(u8::from(slot < PRESENT))).collect();
        let is_present = graph.constant("evidence.present", is_present, &[slots, 1]);
        let [present, few] = [&logs, &known].map(|of_slots| {
            let present = graph.mul(of_slots, &is_present);
            graph.sum(&present, 1)
        });
        let [window, many] = [&logs, &known].map(|of_slots| graph.sum(of_slots, 1));
        let [lives, lengths] = ["evidence.lives", "evidence.lengths"].map(|name| {
            let table = graph.parameter(name);
            reads.of_members(graph, Side::Users, &table)
        });
        [(present, few), (graph.add(&window, &lives), graph.add(&many, &lengths))]
    }

    /// Stepwise EM (Cappé and Moulines 2009): each positive of a batch, in order, is counted in every cluster with the probability that
    /// the user's newest behaviours and the positive itself give it.
    pub fn learn(&mut self, batch: &Batch) {
        for (request, _) in batch.consumed_labels().enumerate().filter(|(_, label)| *label > 0.5) {
            let shares = self.shares();
            let newest = NEWEST.min(batch.history);
            let (items, categories) = (window(&batch.history_items, batch, request), window(&batch.history_categories, batch, request));
            let (mut evidence, _) = self.evidence(&shares, &items[..newest], &categories[..newest]);
            let (item, category) = (batch.item[request * batch.candidates], batch.category[request * batch.candidates]);
            let (own, _) = self.evidence(&shares, &[item], &[category]);
            evidence.iter_mut().zip(&own).for_each(|(evidence, own)| *evidence += own);
            let (taken, unit) = (Self::posterior(&shares, &evidence, CAUTION), self.unit());
            let user = batch.user[request] as usize;
            for k in 0..CLUSTERS {
                self.sizes[k] += unit * taken[k];
                self.categories[category as usize][k] += unit * taken[k];
                self.items[item as usize][k] += unit * taken[k];
                self.lives[user][k] = KEPT * self.lives[user][k] + own[k];
            }
            self.lengths[user] = KEPT * self.lengths[user] + 1.0;
            self.seen += 1;
        }
    }

    /// Its numbers by name.
    pub fn arrays(&self) -> [(&'static str, Array); 6] {
        let rows = |rows: &[Row]| Array::floats(rows.as_flattened().to_vec(), &[rows.len(), CLUSTERS]);
        [
            ("evidence.sizes", Array::floats(self.sizes.to_vec(), &[CLUSTERS])),
            // In a stack of one: a trace takes what has a row for each member for a table of which only a step changes rows.
            ("evidence.categories", Array { shape: vec![1, self.categories.len(), CLUSTERS], ..rows(&self.categories) }),
            ("evidence.items", rows(&self.items)),
            ("evidence.lives", rows(&self.lives)),
            ("evidence.lengths", Array::floats(self.lengths.clone(), &[self.lengths.len(), 1])),
            ("evidence.seen", Array { shape: vec![1], values: Values::Integers(vec![self.seen as i32]) }),
        ]
    }

    /// Puts back what [`Mixture::arrays`] gave; the state is of the same sizes.
    ///
    /// # Errors
    /// A tensor that is not there.
    pub fn restore(&mut self, state: &State) -> Result<(), CheckpointError> {
        let rows = |name: &str| -> Result<Vec<Row>, CheckpointError> { Ok(state.floats(name)?.as_chunks::<CLUSTERS>().0.to_vec()) };
        let sizes = state.floats("evidence.sizes")?;
        *self = Self {
            sizes: std::array::from_fn(|k| sizes[k]),
            categories: rows("evidence.categories")?,
            items: rows("evidence.items")?,
            lives: rows("evidence.lives")?,
            lengths: state.floats("evidence.lengths")?.to_vec(),
            seen: state.integers("evidence.seen")?[0] as u32,
        };
        Ok(())
    }
}

impl Ratios {
    /// `log sum_k pi_k ratio_k` of the category and of the item.
    fn expected(&self, known: &Row) -> [f32; 2] {
        [&self.category, &self.item].map(|ratios| {
            let mut products = [0.0; CLUSTERS];
            for k in 0..CLUSTERS {
                products[k] = known[k] * ratios[k];
            }
            libm::logf(sum(&products))
        })
    }
}

/// The probability of each cluster, of evidence that is of so many behaviours.
fn export_posterior(graph: &mut Graph, logs: &Value, evidence: &Value, behaviours: &Value) -> Value {
    let [one, full] = [1.0, FULL].map(|number| graph.number(number));
    let behaviours = graph.max(behaviours, &one);
    let scale = graph.div(&full, &behaviours);
    let scale = graph.min(&scale, &one);
    let evidence = graph.mul(evidence, &scale);
    let logs = graph.add(logs, &evidence);
    graph.softmax(&logs)
}

/// A request's part of `[requests, history]`.
fn window<'a>(ids: &'a [u32], batch: &Batch, request: usize) -> &'a [u32] {
    &ids[request * batch.history..][..batch.history]
}
