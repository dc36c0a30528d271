//! The registry: every model, one row each.
//!
//! A row names the components that the model is made of. What a component is, its inputs, its losses and its equations, stands
//! in one file of `model::components`. So a new model is one component file and one row here.

use serde::{Deserialize, Serialize};

/// What a model is for in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What all others are compared with.
    Baseline,
    /// Somebody else's answer to the same question.
    Competitor,
    /// A step of the paper's ladder, or a part of it alone.
    Ablation,
    /// Without which a gain means nothing: what costs as much and has no cluster, or has clusters without sense.
    Sanity,
    /// A ranker that is told what none can know: what there is to win.
    Ceiling,
    /// What no ranker can pass.
    Bound,
}

/// A score without a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// How often the item came so far.
    Popularity,
    /// How often the item's category is in the user's history.
    CategoryRepeat,
    /// The generator's own probability of the item: no model can be better than it. Synthetic streams only.
    Truth,
}

/// What the paper reports of a model (arXiv 2405.13238). Other data, so only the shape compares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paper {
    /// Table 4, Taobao: AUC of all users.
    pub table_4: Option<f64>,
    /// Table 5, industrial data: AUC of low-active and of high-active users. PLE+CL and PLE+TL leave high-active users as they are.
    pub table_5: Option<(f64, Option<f64>)>,
    /// Table 6, an online A/B experiment: per cent of change from PLE in UVC, UDT, UCC1, UCC2 and UCT, of low-active and of
    /// high-active users.
    pub table_6: Option<([f64; 5], Option<[f64; 5]>)>,
}

/// A row of the registry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The name in configurations, files and links.
    pub key: &'static str,
    /// The name people read.
    pub name: &'static str,
    /// What it is, in a sentence for a person who chooses.
    pub about: &'static str,
    /// The model that this one adds something to: the one below in Table 4, PLE for most. None for PLE itself.
    pub parent: Option<Variant>,
    /// What it is for.
    pub role: Role,
    /// The rule that scores, where nothing is trained.
    pub rule: Option<Rule>,
    /// What it adds to PLE, by the components' names, in the order in which their features stand.
    pub components: &'static [&'static str],
    /// What it sets in the configuration for itself, whatever the run's is.
    pub settings: &'static [(&'static str, &'static str)],
    /// What the paper reports of it.
    pub paper: Paper,
}

/// No figures.
const SILENT: Paper = Paper { table_4: None, table_5: None, table_6: None };

/// A row that adds nothing to PLE.
const PLAIN: Row = Row {
    key: "",
    name: "",
    about: "",
    parent: Some(Variant::Ple),
    role: Role::Ablation,
    rule: None,
    components: &[],
    settings: &[],
    paper: SILENT,
};

macro_rules! registry {
    ($($variant:ident = $key:literal, $name:literal, $about:literal => { $($field:ident: $value:expr),* $(,)? })*) => {
        /// A model of the comparison.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Variant { $(#[doc = $about] $variant),* }

        impl Variant {
            /// All models, in the order in which reports and charts show them.
            pub const ALL: [Self; [$($key),*].len()] = [$(Self::$variant),*];

            /// Its row of the registry.
            pub fn row(self) -> &'static Row {
                match self {
                    $(Self::$variant => {
                        const ROW: Row = Row { key: $key, name: $name, about: $about, $($field: $value,)* ..PLAIN };
                        &ROW
                    })*
                }
            }
        }
    };
}

registry! {
    Popularity = "popularity", "popularity", "Rule: how often the item was taken so far." => {
        role: Role::Sanity, rule: Some(Rule::Popularity),
    }
    CategoryRepeat = "category-repeat", "category repeat", "Rule: how often the item's category is in the user's history." => {
        role: Role::Sanity, rule: Some(Rule::CategoryRepeat),
    }
    Truth = "truth", "true preference", "Upper bound: what the generator of the synthetic stream knows." => {
        role: Role::Bound, rule: Some(Rule::Truth),
    }
    Group = "ple-group", "PLE, told groups", "Ceiling: PLE that is told the user's planted group. Synthetic streams only." => {
        role: Role::Ceiling, components: &["history", "told-group"],
    }
    GroupItems = "ple-group-items", "PLE, told both groups", "Ceiling: PLE that is told the planted groups of the user and of the item." => {
        role: Role::Ceiling, parent: Some(Variant::Group), components: &["history", "told-group", "told-item-group"],
    }
    Posterior = "ple-posterior", "PLE, told odds", "Ceiling: PLE that is told what the window reveals of the user's planted group." => {
        role: Role::Ceiling, components: &["history", "told-posterior"],
    }
    Ple = "ple", "PLE", "The ranker alone, without clusters, reads the history by target attention: the baseline." => {
        role: Role::Baseline, parent: None, components: &["history"],
        paper: Paper { table_4: Some(0.8836), table_5: Some((0.7842, Some(0.8022))), table_6: None },
    }
    Newest = "ple-newest", "PLE, newest", "Sanity: PLE that reads no more of the history than the newest behaviour." => { role: Role::Sanity }
    Contrastive = "ple-cl", "PLE+CL", "PLE with contrastive learning for low-active users, an adaptation of ours." => {
        role: Role::Competitor, components: &["history", "contrastive"],
        paper: Paper { table_4: None, table_5: Some((0.7846, None)), table_6: Some(([0.51, 0.39, 0.07, 0.68, 0.79], None)) },
    }
    Transfer = "ple-tl", "PLE+TL", "PLE with transfer from long to short histories, an adaptation of ours." => {
        role: Role::Competitor, components: &["history", "transfer"],
        paper: Paper { table_4: None, table_5: Some((0.7849, None)), table_6: Some(([0.80, 0.43, 0.13, 0.92, 0.86], None)) },
    }
    Poso = "ple-poso", "PLE+POSO", "PLE whose task towers are gated by how much the user did so far (Dai et al. 2021)." => {
        role: Role::Competitor, components: &["history", "poso"],
    }
    Wide = "ple-wide", "PLE, wider", "Sanity: PLE with as many parameters as DUIA." => { role: Role::Sanity, components: &["history", "wide"] }
    Long = "ple-long", "PLE, mean and shares", "Sanity: PLE that reads the mean of its window and the candidate's share of it, without attention." => {
        role: Role::Sanity, parent: Some(Variant::Newest), components: &["mean-history", "shares"],
    }
    Shares = "ple-shares", "PLE, shares", "PLE that is also given how much of the window is the candidate's own item and category." => {
        role: Role::Sanity, components: &["history", "shares"],
    }
    Towers = "ple-towers", "PLE, towers", "Sanity: PLE with each user's own vector in the place of their centre." => {
        role: Role::Sanity, components: &["history", "auxiliary", "own-vector"],
    }
    Life = "ple-life", "PLE, life", "Sanity: PLE with UPBE's memory of all that a user took, and no cluster anywhere." => {
        role: Role::Sanity, parent: Some(Variant::Towers), components: &["history", "auxiliary", "own-vector", "life"],
    }
    RandomCentres = "uie-random", "UIE, random", "Sanity: UIE with random centres that never move." => {
        role: Role::Sanity, parent: Some(Variant::Towers), components: &["history", "auxiliary", "random-user-centres", "uie"],
    }
    KMeansCentres = "uie-kmeans", "UIE, k-means", "Sanity: UIE with k-means centres that never move." => {
        role: Role::Sanity, parent: Some(Variant::RandomCentres), components: &["history", "auxiliary", "k-means-user-centres", "uie"],
    }
    DailyCentres = "uie-daily", "UIE, daily k-means", "Sanity: UIE with k-means centres that are fitted anew each day." => {
        role: Role::Sanity, parent: Some(Variant::KMeansCentres), components: &["history", "auxiliary", "daily-user-centres", "uie"],
    }
    Uie = "uie", "UIE", "Enhances each user with the centres of their cluster." => {
        components: &["history", "auxiliary", "user-centres", "uie"],
        paper: Paper {
            table_4: Some(0.8940),
            table_5: Some((0.7886, Some(0.8047))),
            table_6: Some(([3.49, 2.01, 1.15, 1.97, 2.13], Some([2.19, 1.46, 0.64, 1.42, 1.83]))),
        },
    }
    Upbe = "uie-upbe", "UIE+UPBE", "UIE, and a memory of which clusters take what the user took." => {
        parent: Some(Variant::Uie), components: &["history", "auxiliary", "user-centres", "uie", "upbe"],
        paper: Paper {
            table_4: Some(0.8968),
            table_5: Some((0.7918, Some(0.8073))),
            table_6: Some(([6.03, 2.94, 3.23, 3.25, 3.96], Some([3.26, 2.29, 1.25, 2.13, 2.97]))),
        },
    }
    Duia = "duia", "DUIA", "UIE, UPBE, and the history's items by their clusters." => {
        parent: Some(Variant::Upbe), components: &["history", "auxiliary", "user-centres", "uie", "upbe", "item-centres", "uhse"],
        paper: Paper {
            table_4: Some(0.9003),
            table_5: Some((0.7961, Some(0.8119))),
            table_6: Some(([8.12, 4.05, 3.96, 4.60, 5.23], Some([4.33, 3.01, 1.71, 3.29, 3.74]))),
        },
    }
    DuiaItems = "duia-items", "DUIA u+i", "DUIA for users and for items." => {
        parent: Some(Variant::Duia),
        components: &["history", "auxiliary", "user-centres", "uie", "upbe", "item-centres", "uhse", "item-uie", "item-upbe", "consumers"],
        paper: Paper {
            table_4: Some(0.9041),
            table_5: Some((0.8014, Some(0.8153))),
            table_6: Some(([9.68, 5.74, 3.98, 4.64, 5.42], Some([5.60, 3.88, 1.76, 3.38, 4.02]))),
        },
    }
    Literal = "duia-literal", "DUIA, literal", "DUIA word for word as the paper has it, without any addition of ours." => {
        components: &["history", "auxiliary", "user-centres", "uie", "upbe", "item-centres", "uhse"],
        settings: &[
            ("similarity", "dot"),
            ("centred", "false"),
            ("centre_step", "adam"),
            ("centre_start", "random"),
            ("reseed", "false"),
            ("memory_start", "zero"),
            ("enhancement_norm", "false"),
            ("enhancement_centred", "false"),
            ("enhancement_dropout", "0.0"),
        ],
    }
    Uhse = "uhse", "UHSE", "PLE, and the history's items by their clusters." => { components: &["history", "auxiliary", "item-centres", "uhse"] }
    DuiaShares = "duia-shares", "DUIA, shares", "DUIA that is also given how much of the window is in the candidate's own clusters." => {
        parent: Some(Variant::Shares),
        components: &["history", "shares", "auxiliary", "user-centres", "uie", "upbe", "item-centres", "uhse", "cluster-shares"],
    }
    Evidence = "ple-evidence", "PLE, evidence", "PLE, and clusters by evidence: who takes what this user takes." => {
        components: &["history", "evidence"],
    }
    Plus = "duia-plus", "DUIA+", "DUIA, and clusters by evidence: who takes what this user takes." => {
        parent: Some(Variant::Duia),
        components: &["history", "auxiliary", "user-centres", "uie", "upbe", "item-centres", "uhse", "evidence"],
    }
}

impl Variant {
    /// The paper's ladder, Table 4: each step adds a part to the one before.
    pub const LADDER: [Self; 5] = [Self::Ple, Self::Uie, Self::Upbe, Self::Duia, Self::DuiaItems];

    /// The name people read.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The name in configurations, files and links.
    pub fn key(self) -> &'static str {
        self.row().key
    }

    /// What it is, in a sentence for a person who chooses.
    pub fn about(self) -> &'static str {
        self.row().about
    }

    /// The model that this one adds something to: the one below in Table 4, PLE for most.
    pub fn parent(self) -> Option<Self> {
        self.row().parent
    }

    /// The rule that scores, where nothing is trained.
    pub fn rule(self) -> Option<Rule> {
        self.row().rule
    }

    /// Whether a component of this name is part of it.
    pub fn has(self, component: &str) -> bool {
        self.row().components.contains(&component)
    }

    /// Whether it is told what only the generator of a synthetic stream knows.
    pub fn is_told(self) -> bool {
        self.row().components.iter().any(|component| component.starts_with("told-"))
    }

    /// Whether it knows what only the generator of a synthetic stream knows, as a ranker that is told it or by a rule.
    pub fn knows_truth(self) -> bool {
        matches!(self.row().role, Role::Ceiling | Role::Bound)
    }

    /// Whether it has user centres, learned or not.
    pub fn has_user_centres(self) -> bool {
        self.row().components.iter().any(|component| component.ends_with("user-centres"))
    }

    /// Whether it has item centres.
    pub fn has_item_centres(self) -> bool {
        self.has("item-centres")
    }
}

/// What is set against the first of a race unless a person chose another: DUIA, or else the last model that is trained.
pub fn rival(race: &[Variant]) -> Option<Variant> {
    let others = race.get(1..).unwrap_or_default();
    let last = |is: fn(Variant) -> bool| others.iter().rev().copied().find(|variant| is(*variant));
    last(|variant| variant.has("upbe") && variant.has("uhse"))
        .or(last(|variant| variant.rule().is_none() && !variant.knows_truth()))
        .or(others.last().copied())
}

/// Those of some models that are trained: all but the rules.
pub fn trained(variants: &[Variant]) -> impl Iterator<Item = Variant> {
    variants.iter().copied().filter(|variant| variant.rule().is_none())
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

/// The models to compare, written `ple,uie`: each once, the baseline of all differences first.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_is_found_by_its_key_alone() {
        for variant in Variant::ALL {
            assert_eq!(Variant::try_from(variant.key().to_string()), Ok(variant));
            assert!(variant.parent() != Some(variant));
            assert!(!variant.name().is_empty() && variant.about().ends_with('.'));
        }
        let keys: std::collections::HashSet<_> = Variant::ALL.map(Variant::key).into();
        assert_eq!(keys.len(), Variant::ALL.len());
        assert!(Variant::LADDER.windows(2).all(|step| step[1].parent() == Some(step[0])));
        assert!(Variants::try_from("ple,gbdt".to_string()).unwrap_err().contains("`gbdt` is not a model: name one of popularity"));
    }

    #[test]
    fn there_is_one_baseline_and_rules_have_no_components() {
        let of_role = |role: Role| Variant::ALL.into_iter().filter(move |variant| variant.row().role == role);
        assert_eq!(of_role(Role::Baseline).collect::<Vec<_>>(), [Variant::Ple]);
        assert_eq!(of_role(Role::Bound).collect::<Vec<_>>(), [Variant::Truth]);
        assert!(Variant::ALL.into_iter().all(|variant| variant.is_told() == (variant.row().role == Role::Ceiling)));
        for variant in Variant::ALL {
            assert!(variant.rule().is_none() || variant.row().components.is_empty());
            assert_eq!(variant.parent().is_none(), variant == Variant::Ple);
        }
    }

    #[test]
    fn the_papers_ladder_climbs() {
        let areas = Variant::LADDER.map(|variant| variant.row().paper.table_4.unwrap());
        assert!(areas.is_sorted() && areas[0] < areas[4]);
    }
}
