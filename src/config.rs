//! The configuration: one flat, validated struct that is a file (JSON), a command line and an address bar at once.
//!
//! Every choice where the paper is silent is a field here, with the default that was found best and the paper's own
//! reading as the alternative, so that a run can be paper-literal. Field names are the keys of the file and of the URL.

mod branching;
mod fields;
mod link;

pub use branching::UNDER_WAY;
pub use link::{Notice, link_pairs};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::variants::{Variant, Variants};

/// Version of the keys below. A file or link of another version is refused with a sentence, never half understood.
pub const VERSION: u32 = 1;

/// Hidden widths of a multilayer perceptron, written `256x128`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Widths(pub Vec<usize>);

impl Widths {
    /// The width of the last layer.
    pub fn last(&self) -> usize {
        self.0.last().copied().unwrap_or(0)
    }
}

impl fmt::Display for Widths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&parts.join("x"))
    }
}

impl FromStr for Widths {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let widths: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
        match widths {
            Ok(w) if !w.is_empty() && w.iter().all(|&n| (1..=4096).contains(&n)) && w.len() <= 8 => Ok(Self(w)),
            _ => Err(format!("`{text}` is not a list of layer widths: write one to eight numbers from 1 to 4096, like 256x128")),
        }
    }
}

impl TryFrom<String> for Widths {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Widths> for String {
    fn from(widths: Widths) -> Self {
        widths.to_string()
    }
}

/// Which sizes a run starts from. The fields of [`Config`] may then differ from it one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Small enough to be live in a browser: 32 x 4 user centres, 16 wide.
    Browser,
    /// A stream long enough to see the curves settle, with the browser's model.
    Long,
    /// The browser's sizes and a stream like the paper's users and the real file's rows: users mix interests that drift, come in
    /// sessions and on the way, items appear, and profiles are incomplete. Its low-active users have .41 of the others' behaviours and
    /// .54 of their known profile fields (Table 2 of the paper).
    Calibrated,
    /// Table 3 of the paper: 512 x 10 user centres, 64 wide.
    Paper,
}

/// What "most similar" means in Eq. 2 and 3 (A5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Similarity {
    /// Cosine: the default, because auxiliary vectors are nearly parallel and a raw dot then always picks the longest centre.
    Cosine,
    /// The raw dot product, as the paper writes it.
    Dot,
}

/// How a pull on a centre becomes a move (A4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CentreStep {
    /// `mu += 2 rho mean(sigma (v - mu))` over the centre's own samples.
    Mean,
    /// Adam on the gradient of Eq. 4 and 5, and of Eq. 9 and 10 for memories, whose size `rho` and `lambda` then cannot set.
    Adam,
    /// Plain gradient descent with the batch mean: centres stay almost where they were.
    Sgd,
}

/// What a centre is before its first sample (A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CentreStart {
    /// Filled with sampled user vectors after a warm-up of the auxiliary towers.
    Data,
    /// `N(0, 0.01)` from the first step, as "randomly initialised" reads literally.
    Random,
}

/// When UIE's enhancement vectors are zero (A10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopRule {
    /// If either level's centre is negatively correlated with the user, both vectors are zero: the paper's "or".
    Either,
    /// Each level stops for itself.
    PerLevel,
}

/// The weight of a positive in Eq. 1 (A16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PositiveWeight {
    /// `1 + sigmoid(merge_score)`, the merge score being the stop-gradient sum of the tasks' predictions.
    MergeScore,
    /// 1.5 for every positive.
    Constant,
}

/// How negatives are drawn (protocol UB-T80).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Negatives {
    /// U1: one uniformly drawn item for each positive.
    Uniform,
    /// P1: one item for each positive, drawn in proportion to (rows of the item, test rows too) to the power of 0.75.
    Popular,
    /// T1: for each row whose item is new to its user, the item of another such row, of another user and at most 256 rows later,
    /// which the user never had. Repeats are no samples.
    TimeMatched,
    /// E1: none is drawn. Rows are exposures with labels of their own, each a sample; the synthetic stream is then one of exposures.
    None,
}

/// How the rows of a category of the synthetic stream spread over its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemPopularity {
    /// By a power law of exponent 2/3: hardly an item with fewer than a third of the mean.
    Mild,
    /// As in the whole file of Taobao: 59 % of the items have fewer than five clicks, and 5 % of all clicks. Popularity alone then
    /// ranks far better against uniform negatives, and leaves less to anything else.
    Taobao,
}

/// How candidates look at a window of behaviours (A28).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoder {
    /// Scaled dot-product attention with the candidate as the query.
    Attention,
    /// DIN's activation unit: a small network over candidate and behaviour, whose weights are not normalised.
    Unit,
}

/// What a user's or an item's memory of positive behaviours starts as (A13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryStart {
    /// The first touches make the mean of the centres that they met.
    Touch,
    /// From zero by the gradient alone, and read as it is, as Eq. 9 and 10 stand.
    Zero,
}

/// Everything that decides a run. Two runs with equal configurations on the CPU give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Version of these keys, [`VERSION`].
    pub version: u32,
    /// The preset the other fields started from.
    pub preset: Preset,
    /// The one seed: of the stream, of the negatives, of the parameters and of the clustering.
    pub seed: u64,
    /// The models that are compared, on the same batches.
    pub variants: Variants,

    /// Synthetic stream: users.
    pub users: u32,
    /// Synthetic stream: items of the catalogue.
    pub items: u32,
    /// Synthetic stream: categories.
    pub categories: u32,
    /// Synthetic stream: rows, training and test together.
    pub rows: u64,
    /// Synthetic stream: planted groups of users that share tastes.
    pub user_groups: u32,
    /// Synthetic stream: planted groups of items.
    pub item_groups: u32,
    /// Synthetic stream: how unequal items are.
    pub item_popularity: ItemPopularity,
    /// Synthetic stream: user groups that a user's taste mixes, the main one first; 1 gives each user one hard group.
    pub interests: u32,
    /// Synthetic stream: share of a user's new choices that follow their main group, where they have several; the others share
    /// the rest.
    pub interest_share: f64,
    /// Synthetic stream: probability, at the end of each of the nine days, that a user's main group is drawn anew.
    pub drift: f64,
    /// Synthetic stream: share of the catalogue that appears on the way, evenly over the nine days.
    pub new_items: f64,
    /// Synthetic stream: mean rows of a session, in which a user's rows follow each other within minutes; 1 knows no sessions.
    pub session_rows: f64,
    /// Synthetic stream: share of the users who come for the first time on the way, evenly over the nine days.
    pub newcomers: f64,
    /// Synthetic stream: how unequal users' activities are, 1 being as in the real file (on a logarithmic scale) and 0 all alike.
    pub activity_spread: f64,
    /// Synthetic stream: profile fields of a user, some of which are missing.
    pub profile_fields: u32,
    /// Rows of your own: fields of an item's attributes. A run takes their number from its rows; the synthetic stream has none.
    pub item_fields: u32,
    /// Synthetic stream: share of the profile fields that are missing for the least active user, falling to none for the most
    /// active one.
    pub profile_missing: f64,

    /// Share of the rows, in time order, that trains; the rest tests.
    pub train_share: f64,
    /// Share of the training rows, the last ones, that stands in the place of the test, which then is not looked at: for choosing options.
    pub validation_share: f64,
    /// Passes of which validation chooses the best number for the run, in the place of `passes`; 0 chooses none. The first model goes
    /// through the training rows but for a tenth (or `validation_share`) until its area over that tenth rises no more.
    pub most_passes: u32,
    /// How many times the training rows are gone through, in time order each time (A23 says once).
    pub passes: u32,
    /// The window: the newest behaviours of a user that a model may read, at most 50 in the paper's protocol (A18). It is one for
    /// all: for the ranker, for the auxiliary towers, for UHSE, for what is counted, and for what the ceiling is told.
    pub history: usize,
    /// How a ranker reads its window, and UHSE its centres (A28).
    pub encoder: Encoder,
    /// How negatives are drawn.
    pub negatives: Negatives,
    /// Share of the users called low-active: the bottom of the training behaviours (A22).
    pub low_active_share: f64,

    /// Samples of a step: half positives and half their negatives, under E1 exposures. Even.
    pub batch: usize,
    /// Learning rate of Adam, dense and row-sparse.
    pub learning_rate: f64,
    /// Width of an embedding.
    pub embedding: usize,
    /// Standard deviation of embeddings at the start.
    pub embedding_std: f64,
    /// Experts of each task at each level of PLE.
    pub specific_experts: usize,
    /// Shared experts at each level of PLE.
    pub shared_experts: usize,
    /// Hidden widths of an expert of the first level.
    pub expert_1: Widths,
    /// Hidden widths of an expert of the second level.
    pub expert_2: Widths,
    /// Hidden widths of a task tower.
    pub tower: Widths,

    /// Widths of the auxiliary towers; the last is that of the user and item vectors and of every memory.
    pub auxiliary: Widths,
    /// Whether the item tower sees how often its item came so far (A18). Off by default: through the fit of the item's
    /// enhancement vectors (A12) it reaches the ranker, which then learns "unseen, so a positive" where test items are new.
    pub item_count: bool,
    /// The weight of a positive in Eq. 1.
    pub positive_weight: PositiveWeight,

    /// Level-1 user centres, NFC in the paper.
    pub centres: usize,
    /// Level-2 centres of each level-1 centre.
    pub children: usize,
    /// Level-1 item centres, NFC of UHSE in the paper.
    pub item_centres: usize,
    /// Level-2 item centres of each level-1 item centre.
    pub item_children: usize,
    /// The weight rho of Eq. 15: how fast user centres move.
    pub rho: f64,
    /// The weight lambda of Eq. 15: how fast memories of positive behaviours move once they were touched often. Under
    /// [`MemoryStart::Touch`] a memory moves by `1 / (touches + 1)` at least, which is more up to `1 / (2 lambda)` touches.
    pub lambda: f64,
    /// The weight eta of Eq. 15: how fast item centres move.
    pub eta: f64,
    /// What a memory of positive behaviours starts as.
    pub memory_start: MemoryStart,
    /// What "most similar" means.
    pub similarity: Similarity,
    /// Whether running means of both sides' vectors are taken out before the searches and the sign test (A5).
    pub centred: bool,
    /// How a pull becomes a move.
    pub centre_step: CentreStep,
    /// What a centre is before its first sample.
    pub centre_start: CentreStart,
    /// Whether sigma of Eq. 4 and 5 is differentiated too; by default it is a weight (A1).
    pub sigma_in_graph: bool,
    /// Weight of a commitment loss that also moves users towards their centres; 0 keeps them where they are (A2).
    pub commit: f64,
    /// Whether the ranker's loss reaches centres through Eq. 6 (A3).
    pub centres_from_main: bool,
    /// Steps of training between two looks at the centres of all items, as there is one before a test (A19); 0 looks in no training.
    pub refresh_every: u64,
    /// Steps before centres are filled; 0 takes 40 or 5 % of the run, whichever is less.
    pub warm_up: u64,
    /// Whether dead centres are re-seeded (A7).
    pub reseed: bool,
    /// Samples that a centre of average share expects in a span of the re-seeding clock.
    pub reseed_expect: f64,
    /// Share of the run after which no centre is re-seeded any more, so that the last ones can settle (A7).
    pub reseed_until: f64,
    /// Weight of the newest batch in every running mean: of vectors that cluster, of memories, and of enhancement vectors.
    pub mean_rate: f64,
    /// Share of all samples that cluster, balanced by activity (A9).
    pub cluster_share: f64,
    /// When UIE's enhancement vectors are zero (A10).
    pub stop_rule: StopRule,
    /// Where the learned scale of the enhancement vectors starts (A12).
    pub enhancement_scale: f64,
    /// Share of the training requests for which all enhancement vectors of a side are dropped (A24). Without dropout the ranker
    /// over-relies on these vectors and under-trains its embeddings: even a user's own vector then makes PLE worse
    /// (docs/results/notes.md).
    #[serde(alias = "withheld_share")]
    pub enhancement_dropout: f64,
    /// Whether enhancement vectors enter normalised, with a learned scale, and on the user side with their fit (A12); else they enter
    /// as they are.
    pub enhancement_norm: bool,
    /// Whether enhancement vectors, and the vectors that they are fitted to, are centred by their running mean (A25). Vectors of a
    /// tower share a large common part, which tells nobody apart.
    #[serde(alias = "lent_centred")]
    pub enhancement_centred: bool,
    /// Last consumers that an item keeps in DUIA for items; the paper is silent on them.
    pub consumers: usize,
    /// Weight of the loss that PLE with CL adds.
    pub contrastive_weight: f64,
    /// Weight of the loss that PLE with TL adds.
    pub transfer_weight: f64,

    /// Steps between two evaluations on the probe set.
    pub evaluate_every: u64,
    /// Test positives of the probe set that live curves are computed on, each with its negative.
    #[serde(alias = "panel")]
    pub probe_set: usize,
    /// Whether the test rows are gone through once more at the end, each batch scored and then trained on (A15). The weights
    /// that a run leaves are those from before.
    pub streaming_test: bool,
}

impl Preset {
    /// The preset of a name.
    pub fn named(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::preset(Preset::Browser)
    }
}

impl Config {
    /// What the page shows where its link names no setting: a ranker, the same with clusters, and the same told whom each user
    /// resembles, at a window short enough to leave something to win.
    pub fn opening() -> Self {
        Self { variants: Variants(vec![Variant::Ple, Variant::Duia, Variant::Group]), history: 5, ..Self::default() }
    }

    /// The configuration of a preset.
    pub fn preset(preset: Preset) -> Self {
        let browser = Self {
            version: VERSION,
            preset,
            seed: 7,
            variants: Variants(vec![Variant::Ple, Variant::Duia]),
            users: 2_000,
            items: 8_400,
            categories: 200,
            rows: 200_000,
            user_groups: 16,
            item_groups: 24,
            item_popularity: ItemPopularity::Mild,
            interests: 1,
            interest_share: 0.6,
            drift: 0.0,
            new_items: 0.0,
            session_rows: 1.0,
            newcomers: 0.0,
            activity_spread: 1.0,
            profile_fields: 0,
            item_fields: 0,
            profile_missing: 0.7,
            train_share: 0.8,
            validation_share: 0.0,
            most_passes: 0,
            passes: 1,
            history: 50,
            encoder: Encoder::Attention,
            negatives: Negatives::Uniform,
            low_active_share: 0.32,
            batch: 512,
            learning_rate: 3e-3,
            embedding: 16,
            embedding_std: 0.1,
            specific_experts: 1,
            shared_experts: 1,
            expert_1: Widths(vec![64]),
            expert_2: Widths(vec![32]),
            tower: Widths(vec![16]),
            auxiliary: Widths(vec![32, 16]),
            item_count: false,
            positive_weight: PositiveWeight::MergeScore,
            centres: 32,
            children: 4,
            item_centres: 64,
            item_children: 4,
            rho: 0.05,
            lambda: 0.05,
            eta: 0.05,
            memory_start: MemoryStart::Touch,
            similarity: Similarity::Cosine,
            centred: true,
            centre_step: CentreStep::Mean,
            centre_start: CentreStart::Data,
            sigma_in_graph: false,
            commit: 0.0,
            centres_from_main: false,
            refresh_every: 0,
            warm_up: 0,
            reseed: true,
            reseed_expect: 20.0,
            reseed_until: 0.8,
            mean_rate: 0.05,
            cluster_share: 0.3,
            stop_rule: StopRule::Either,
            enhancement_scale: 0.05,
            enhancement_dropout: 0.6,
            enhancement_norm: true,
            enhancement_centred: true,
            consumers: 16,
            contrastive_weight: 0.01,
            transfer_weight: 0.1,
            evaluate_every: 25,
            probe_set: 2_048,
            streaming_test: false,
        };
        match preset {
            Preset::Browser => browser,
            Preset::Long => {
                Self { users: 20_000, items: 84_000, categories: 800, rows: 2_000_000, evaluate_every: 250, probe_set: 4_096, ..browser }
            }
            Preset::Calibrated => Self {
                interests: 3,
                drift: 0.05,
                new_items: 0.15,
                session_rows: 6.0,
                newcomers: 0.08,
                activity_spread: 0.19,
                profile_fields: 8,
                profile_missing: 1.0,
                negatives: Negatives::TimeMatched,
                ..browser
            },
            Preset::Paper => Self {
                users: 1_000_000,
                items: 4_160_000,
                categories: 9_439,
                rows: 100_000_000,
                user_groups: 256,
                item_groups: 400,
                batch: 4_096,
                learning_rate: 1e-3,
                embedding: 32,
                embedding_std: 0.01,
                specific_experts: 2,
                shared_experts: 2,
                expert_1: Widths(vec![256, 128]),
                expert_2: Widths(vec![128, 64]),
                tower: Widths(vec![64, 32]),
                auxiliary: Widths(vec![256, 128, 64]),
                centres: 512,
                children: 10,
                item_centres: 2_048,
                item_children: 10,
                evaluate_every: 2_000,
                probe_set: 16_384,
                ..browser
            },
        }
    }

    /// Candidates of a request: a positive and its negative, or under E1 the one item that was shown.
    pub fn candidates(&self) -> usize {
        if self.negatives == Negatives::None { 1 } else { 2 }
    }

    /// Requests of a batch.
    pub fn requests(&self) -> usize {
        self.batch / self.candidates()
    }

    /// Width of the user and item vectors and of every memory.
    pub fn memory_width(&self) -> usize {
        self.auxiliary.last()
    }

    /// Steps of the first use of the centres: `warm_up`, or A6's rule where it is 0.
    pub fn warm_up_steps(&self, total_steps: u64) -> u64 {
        if self.warm_up > 0 { self.warm_up } else { (total_steps / 20).clamp(1, 40) }
    }
}

/// A field of the configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {value} cannot be used: it must be {allowed}")]
pub struct ConfigError {
    /// The field's name, as in the file and in the link.
    pub field: String,
    /// The value that was given; a very long one shortened.
    pub value: String,
    /// What would be accepted.
    pub allowed: String,
}

impl ConfigError {
    pub(crate) fn new(field: impl Into<String>, value: impl ToString, allowed: impl Into<String>) -> Self {
        Self { field: field.into(), value: shortened(&value.to_string()), allowed: allowed.into() }
    }
}

/// A value that somebody gave, in a length and in characters that fit into a sentence.
fn shortened(value: &str) -> String {
    const LONGEST: usize = 60;
    const SHOWN: usize = 24;
    let shown = |most: usize| value.chars().take(most).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    match value.chars().count() {
        0..=LONGEST => shown(LONGEST).collect(),
        length => format!("{}… ({length} characters)", shown(SHOWN).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_3_of_the_paper_is_the_paper_preset() {
        let paper = Config::preset(Preset::Paper);
        assert_eq!((paper.centres, paper.children, paper.memory_width()), (512, 10, 64));
        assert_eq!((paper.item_centres, paper.item_children), (2_048, 10));
        assert_eq!([paper.rho, paper.lambda, paper.eta], [0.05; 3]);
        assert_eq!(paper.auxiliary.to_string(), "256x128x64");
    }

    #[test]
    fn nonsense_is_refused_with_the_name_of_the_field() {
        for (query, field) in [
            ("seed=minus", "seed"),
            ("batch=7", "batch"),
            ("batch=513", "batch"),
            ("rho=NaN", "rho"),
            ("preset=huge", "preset"),
            ("tower=16x", "tower"),
            ("variants=ple,ple", "variants"),
            ("variants=", "variants"),
            ("passes=0", "passes"),
            ("children=1e9", "children"),
            ("learning_rate=inf", "learning_rate"),
        ] {
            let refused = Config::from_link(query, &[]).1.into_iter().find_map(|notice| match notice {
                Notice::Refused { error, .. } => Some(error.field),
                _ => None,
            });
            assert_eq!(refused.as_deref(), Some(field), "{query}");
        }
    }
}
