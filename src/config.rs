//! The configuration: one flat, validated struct that is a file (JSON), a command line and an address bar at once.
//!
//! Every choice where the paper is silent is a field here, with the default that was found best and the paper's own
//! reading as the alternative, so that a run can be paper-literal. Field names are the keys of the file and of the URL.

mod fields;
mod link;

pub use link::{Notice, link_pairs};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
    /// Table 3 of the paper: 512 x 10 user centres, 64 wide.
    Paper,
}

/// What a variant's user centres are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCentres {
    /// GHCA: two levels that follow the stream (Eq. 2-5).
    Learned,
    /// Sanity row: drawn at random once, as long as user vectors are, and never moved.
    Random,
    /// Sanity row: k-means of the user vectors at the end of the warm-up, never moved.
    KMeans,
}

/// A score without a model: the sanity rows that every model must beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// How often the item came so far.
    Popularity,
    /// How often the item's category is in the user's history.
    CategoryRepeat,
    /// The generator's own probability of the item: no model can be better than it. Synthetic streams only.
    Truth,
}

/// What a variant is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// A rule scores, and nothing is trained.
    pub rule: Option<Rule>,
    /// User centres that UIE lends from (section 4.2).
    pub uie: Option<UserCentres>,
    /// The memory of positive behaviours (section 4.3).
    pub upbe: bool,
    /// Item centres in the place of the history's items (section 4.4).
    pub uhse: bool,
    /// UIE and UPBE on the item side too (section 4.5).
    pub items: bool,
    /// Contrastive learning for low-active users (Yao et al. 2021, adapted).
    pub contrastive: bool,
    /// Transfer from long to short histories (Zhang et al. 2021, adapted).
    pub transfer: bool,
    /// Sanity row: the ranker widened to DUIA's number of parameters, with a vector of its own for each user.
    pub wide: bool,
    /// Sanity row: the auxiliary model's user vector itself instead of a centre.
    pub towers: bool,
    /// Sanity row: the ranker reads the whole history too: its mean, and how much of it is the candidate's own item and category.
    pub long: bool,
}

impl Parts {
    const RANKER: Self = Self {
        rule: None,
        uie: None,
        upbe: false,
        uhse: false,
        items: false,
        contrastive: false,
        transfer: false,
        wide: false,
        towers: false,
        long: false,
    };

    /// Whether the auxiliary towers are trained.
    pub fn has_towers(self) -> bool {
        self.has_user_centres() || self.has_item_centres() || self.towers
    }

    /// Whether there are user centres.
    pub fn has_user_centres(self) -> bool {
        self.uie.is_some()
    }

    /// Whether there are item centres.
    pub fn has_item_centres(self) -> bool {
        self.uhse || self.items
    }
}

/// A model of the race.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Variant {
    /// Sanity row: popularity alone.
    Popularity,
    /// Sanity row: the user's categories alone.
    CategoryRepeat,
    /// Sanity row: what the generator knows, the upper bound. Synthetic streams only.
    Truth,
    /// The ranker alone: the baseline (Tang et al. 2020).
    Ple,
    /// PLE with contrastive learning.
    Contrastive,
    /// PLE with transfer learning.
    Transfer,
    /// Sanity row: PLE with as many parameters as DUIA.
    Wide,
    /// Sanity row: PLE that reads the whole history beside the recent one, as UHSE does with centres: its mean, and how much of it
    /// is the candidate's own.
    Long,
    /// Sanity row: PLE with the auxiliary model's vectors and no cluster.
    Towers,
    /// Sanity row: UIE with random frozen centres.
    RandomCentres,
    /// Sanity row: UIE with frozen k-means centres.
    KMeansCentres,
    /// PLE with User Interest Enhancement (section 4.2).
    Uie,
    /// UIE and User Positive Behavior Enhancement (section 4.3).
    Upbe,
    /// UIE, UPBE and User History Sequence Enhancement (section 4.4).
    Duia,
    /// DUIA for users and items (section 4.5).
    DuiaItems,
    /// PLE with UHSE alone (Table 7).
    Uhse,
    /// DUIA on a PLE that reads the whole history itself.
    DuiaLong,
}

impl Variant {
    /// All variants, in the order in which reports and charts show them. With `Variant::entry` below, the one place
    /// to touch for a new one.
    pub const ALL: [Self; 17] = [
        Self::Popularity,
        Self::CategoryRepeat,
        Self::Truth,
        Self::Ple,
        Self::Contrastive,
        Self::Transfer,
        Self::Wide,
        Self::Long,
        Self::Towers,
        Self::RandomCentres,
        Self::KMeansCentres,
        Self::Uie,
        Self::Upbe,
        Self::Duia,
        Self::DuiaItems,
        Self::Uhse,
        Self::DuiaLong,
    ];

    /// The paper's ladder, Table 4: each rung adds a part to the one before.
    pub const LADDER: [Self; 5] = [Self::Ple, Self::Uie, Self::Upbe, Self::Duia, Self::DuiaItems];

    /// Key, name, what it is in a sentence, the variant it is compared with beside PLE, and parts.
    fn entry(self) -> (&'static str, &'static str, &'static str, Self, Parts) {
        let ranker = Parts::RANKER;
        let uie = Parts { uie: Some(UserCentres::Learned), ..ranker };
        let upbe = Parts { upbe: true, ..uie };
        let duia = Parts { uhse: true, ..upbe };
        match self {
            Self::Popularity => (
                "popularity",
                "popularity",
                "Rule: how often the item was taken so far.",
                Self::Ple,
                Parts { rule: Some(Rule::Popularity), ..ranker },
            ),
            Self::CategoryRepeat => (
                "category-repeat",
                "category repeat",
                "Rule: how often the item's category is in the user's history.",
                Self::Ple,
                Parts { rule: Some(Rule::CategoryRepeat), ..ranker },
            ),
            Self::Truth => (
                "truth",
                "true preference",
                "Upper bound: what the generator of the synthetic stream knows.",
                Self::Ple,
                Parts { rule: Some(Rule::Truth), ..ranker },
            ),
            Self::Ple => ("ple", "PLE", "The ranker alone, without clusters: the baseline.", Self::Ple, ranker),
            Self::Contrastive => (
                "ple-cl",
                "PLE+CL",
                "PLE with contrastive learning for low-active users, an adaptation of ours.",
                Self::Ple,
                Parts { contrastive: true, ..ranker },
            ),
            Self::Transfer => (
                "ple-tl",
                "PLE+TL",
                "PLE with transfer from long to short histories, an adaptation of ours.",
                Self::Ple,
                Parts { transfer: true, ..ranker },
            ),
            Self::Wide => {
                ("ple-wide", "PLE, wider", "Sanity: PLE with as many parameters as DUIA.", Self::Ple, Parts { wide: true, ..ranker })
            }
            Self::Long => (
                "ple-long",
                "PLE, whole history",
                "Sanity: PLE that reads the whole history too: its mean, and the candidate's share of it.",
                Self::Ple,
                Parts { long: true, ..ranker },
            ),
            Self::Towers => (
                "ple-towers",
                "PLE, towers",
                "Sanity: PLE with each user's own vector in the place of his centre.",
                Self::Ple,
                Parts { towers: true, ..ranker },
            ),
            Self::RandomCentres => (
                "uie-random",
                "UIE, random",
                "Sanity: UIE with random centres that never move.",
                Self::Towers,
                Parts { uie: Some(UserCentres::Random), ..ranker },
            ),
            Self::KMeansCentres => (
                "uie-kmeans",
                "UIE, k-means",
                "Sanity: UIE with k-means centres that never move.",
                Self::RandomCentres,
                Parts { uie: Some(UserCentres::KMeans), ..ranker },
            ),
            Self::Uie => ("uie", "UIE", "Lends each user his cluster's centres.", Self::Ple, uie),
            Self::Upbe => ("uie-upbe", "UIE+UPBE", "UIE, and a memory of which clusters take what the user took.", Self::Uie, upbe),
            Self::Duia => ("duia", "DUIA", "UIE, UPBE, and the history's items by their clusters.", Self::Upbe, duia),
            Self::DuiaItems => ("duia-items", "DUIA u+i", "DUIA for users and for items.", Self::Duia, Parts { items: true, ..duia }),
            Self::DuiaLong => (
                "duia-long",
                "DUIA, whole history",
                "DUIA on a PLE that reads the whole history itself.",
                Self::Long,
                Parts { long: true, ..duia },
            ),
            Self::Uhse => ("uhse", "UHSE", "PLE, and the history's items by their clusters.", Self::Ple, Parts { uhse: true, ..ranker }),
        }
    }

    /// The name people read.
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// The name in configurations, files and links.
    pub fn key(self) -> &'static str {
        self.entry().0
    }

    /// What it is, in a sentence for a person who chooses.
    pub fn about(self) -> &'static str {
        self.entry().2
    }

    /// The variant that this one adds something to: the rung below in Table 4, PLE for most.
    pub fn rung_below(self) -> Option<Self> {
        Some(self.entry().3).filter(|&below| below != self)
    }

    /// What it is made of.
    pub fn parts(self) -> Parts {
        self.entry().4
    }
}

impl TryFrom<String> for Variant {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let keys = Self::ALL.map(Self::key).join(", ");
        Self::ALL.into_iter().find(|variant| variant.key() == text).ok_or_else(|| format!("`{text}` is not a model: name one of {keys}"))
    }
}

impl From<Variant> for String {
    fn from(variant: Variant) -> Self {
        variant.key().into()
    }
}

/// The models that race, written `ple,uie`: each once, the baseline of all differences first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Variants(pub Vec<Variant>);

impl TryFrom<String> for Variants {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let list = text.split(',').map(|key| Variant::try_from(key.to_string())).collect::<Result<Vec<_>, _>>()?;
        match list.iter().enumerate().find(|(at, variant)| list[..*at].contains(variant)) {
            Some((_, twice)) => Err(format!("`{text}` names {} twice", twice.key())),
            None => Ok(Self(list)),
        }
    }
}

impl From<Variants> for String {
    fn from(variants: Variants) -> Self {
        variants.0.into_iter().map(Variant::key).collect::<Vec<_>>().join(",")
    }
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
    /// Adam on the gradient of Eq. 4 and 5, whose size `rho` then cannot set.
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

/// When UIE lends nothing (A10).
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

/// What a user's or an item's memory of positive behaviours starts as (A13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryStart {
    /// The first touches make the mean of the centres that they met.
    Touch,
    /// From zero by the gradient alone, as Eq. 9 and 10 read literally.
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
    /// The models that race, on the same batches.
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

    /// Share of the rows, in time order, that trains; the rest tests.
    pub train_share: f64,
    /// How many times the training rows are gone through, in time order each time (A23 says once).
    pub passes: u32,
    /// Behaviours of a user's history that are kept, at most 50 in the paper's protocol (A18): the window of the auxiliary
    /// towers and of UHSE.
    pub history: usize,
    /// The newest of them that the ranker itself pools to a mean, in which what is newest drowns: on the generator PLE is best
    /// with 1, on 655 real users with 3 (`duia sweep recent`, docs/results.md). What a ranker gains that reads the whole history
    /// beside them says the variant `ple-long`.
    pub recent: usize,
    /// How negatives are drawn.
    pub negatives: Negatives,
    /// Share of the users called low-active: the bottom of the training behaviours (A22).
    pub low_active_share: f64,

    /// Rows of a step, half positives and half their negatives. Even.
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
    /// Whether the item tower sees how often its item came so far (A18). Off by default: through the fit of what a cluster
    /// lends to the item (A12) it reaches the ranker, which then learns "unseen, so a positive" where test items are new.
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
    /// Steps before centres are filled; 0 takes 40 or 5 % of the run, whichever is less.
    pub warm_up: u64,
    /// Whether dead centres are re-seeded (A7).
    pub reseed: bool,
    /// Samples that a centre of average share expects in a span of the re-seeding clock.
    pub reseed_expect: f64,
    /// Share of all samples that cluster, balanced by activity (A9).
    pub cluster_share: f64,
    /// When UIE lends nothing.
    pub stop_rule: StopRule,
    /// Where the learned scale of the enhancement vectors starts (A12).
    pub enhancement_scale: f64,
    /// Share of the training requests from which all vectors that are lent to a side are withheld. A ranker that always
    /// has them leans on them, and its embeddings stay behind: without this even a user's own vector, lent to
    /// himself, makes PLE worse (docs/results.md).
    pub withheld_share: f64,
    /// Whether a running mean is taken out of what is lent, and out of the vectors that it is fitted to. Vectors of a tower share
    /// a large common part, which says nothing of anybody.
    pub lent_centred: bool,

    /// Steps between two evaluations on the panel.
    pub evaluate_every: u64,
    /// Test positives of the panel that live curves are computed on, each with its negative.
    pub panel: usize,
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
            train_share: 0.8,
            passes: 1,
            history: 50,
            recent: 1,
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
            warm_up: 0,
            reseed: true,
            reseed_expect: 20.0,
            cluster_share: 0.3,
            stop_rule: StopRule::Either,
            enhancement_scale: 0.05,
            withheld_share: 0.6,
            lent_centred: true,
            evaluate_every: 25,
            panel: 2_048,
            streaming_test: false,
        };
        match preset {
            Preset::Browser => browser,
            Preset::Long => {
                Self { users: 20_000, items: 84_000, categories: 800, rows: 2_000_000, evaluate_every: 250, panel: 4_096, ..browser }
            }
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
                panel: 16_384,
                ..browser
            },
        }
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
    fn every_variant_is_found_by_its_key_alone() {
        for variant in Variant::ALL {
            assert_eq!(Variant::try_from(variant.key().to_string()), Ok(variant));
            assert!(variant.rung_below() != Some(variant));
        }
        let keys: std::collections::HashSet<_> = Variant::ALL.map(Variant::key).into();
        assert_eq!(keys.len(), Variant::ALL.len());
        assert!(Variant::LADDER.windows(2).all(|rung| rung[1].rung_below() == Some(rung[0])));
        assert!(Variants::try_from("ple,gbdt".to_string()).unwrap_err().contains("`gbdt` is not a model: name one of popularity"));
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
            ("version=2", "version"),
            ("passes=0", "passes"),
            ("children=1e9", "children"),
            ("learning_rate=inf", "learning_rate"),
        ] {
            assert_eq!(Config::from_query(query).unwrap_err().field, field, "{query}");
        }
    }
}
