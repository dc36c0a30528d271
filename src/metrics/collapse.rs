//! A collapsed clustering in words: its figures stand in a table where few would see them.

use super::ClusterHealth;
use crate::config::{CentreStart, CentreStep, Config, Similarity};
use crate::data::Side;

/// Share of the test positives in one cluster from which the clustering counts as collapsed.
const ONE_CENTRE: f64 = 0.5;
/// Share of the centres in effective use (perplexity over their number) below which it does.
const IN_USE: f64 = 0.1;
/// With fewer test positives there is nothing to say.
const FEWEST: u64 = 32;

/// What is wrong with collapsed clusters and what to change in the configuration; `None` where they have not collapsed.
///
/// They have where half of the test positives share one centre, or where fewer than a tenth of the centres are in effective
/// use. Of `k` centres `n` positives can use `n` at most, so with few positives a tenth of these counts.
pub fn collapse(health: &ClusterHealth, config: &Config) -> Option<String> {
    let centres = match health.side {
        Side::Users => config.centres,
        Side::Items => config.item_centres,
    } as f64;
    let reachable = centres.min(health.positives as f64);
    let piled_up = health.top_share >= ONE_CENTRE.max(2.0 / centres);
    let hardly_used = health.perplexity_1 * centres < IN_USE * reachable;
    if health.positives < FEWEST || !(piled_up || hardly_used) {
        return None;
    }
    let members = match health.side {
        Side::Users => "users",
        Side::Items => "items",
    };
    Some(format!(
        "Collapse: {:.0} % of the test positives have their {members} at one centre, and {:.0} % of the centres are unused. {}",
        100.0 * health.top_share,
        100.0 * (1.0 - health.hit_rate_1),
        remedy(health, config)
    ))
}

/// The settings that are known to cause a collapse, as advice to change them.
fn remedy(health: &ClusterHealth, config: &Config) -> String {
    if health.side == Side::Users && !health.variant.has("user-centres") {
        return "These centres never move; compare them with those of UIE.".into();
    }
    let causes = [
        (!config.reseed, "turn on re-seeding (reseed=true)"),
        (config.similarity == Similarity::Dot, "use cosine similarity (similarity=cosine)"),
        (!config.centred, "take out the running mean (centred=true)"),
        (config.centre_start == CentreStart::Random, "start the centres at user vectors (centre_start=data)"),
        (config.centre_step != CentreStep::Mean, "move the centres by their mean (centre_step=mean)"),
    ];
    let advice: Vec<&str> = causes.into_iter().filter_map(|(is_set, advice)| is_set.then_some(advice)).collect();
    if advice.is_empty() {
        return "If it stays so, use fewer centres or a longer run.".into();
    }
    let mut sentence = advice.join(" or ");
    sentence[..1].make_ascii_uppercase();
    sentence + "."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::ByGroup;
    use crate::variants::Variant;

    fn health(top_share: f64, hit_rate_1: f64, perplexity_1: f64) -> ClusterHealth {
        ClusterHealth {
            variant: Variant::Uie,
            side: Side::Users,
            step: 100,
            positives: 2_048,
            hit_rate_1,
            hit_rate_2: hit_rate_1,
            perplexity_1,
            perplexity_2: perplexity_1,
            top_share,
            relative_error: 0.9,
            stopped: ByGroup::default(),
            nmi: None,
            purity: None,
        }
    }

    fn causes() -> Config {
        Config { similarity: Similarity::Dot, reseed: false, ..Config::default() }
    }

    #[test]
    fn a_collapse_is_said_with_its_figures_and_its_remedy() {
        assert_eq!(
            collapse(&health(0.65, 0.07, 0.07), &causes()).unwrap(),
            "Collapse: 65 % of the test positives have their users at one centre, and 93 % of the centres are unused. Turn on \
             re-seeding (reseed=true) or use cosine similarity (similarity=cosine)."
        );
        let items = ClusterHealth { side: Side::Items, ..health(0.9, 0.1, 0.05) };
        assert!(collapse(&items, &Config::default()).unwrap().contains("have their items at one centre"));
        let random = ClusterHealth { variant: Variant::RandomCentres, ..health(0.9, 0.1, 0.05) };
        assert!(collapse(&random, &causes()).unwrap().ends_with("These centres never move; compare them with those of UIE."));
    }

    #[test]
    fn healthy_clusters_of_any_size_and_few_positives_say_nothing() {
        assert_eq!(collapse(&health(0.19, 1.0, 0.95), &Config { centres: 8, ..causes() }), None);
        assert_eq!(collapse(&health(0.6, 1.0, 0.9), &Config { centres: 2, ..causes() }), None, "two centres: 60 and 40 %");
        assert_eq!(collapse(&ClusterHealth { positives: 31, ..health(1.0, 0.03, 0.03) }, &causes()), None);
        // 64 positives over 64 of 2,048 centres: all that they could use.
        let few = ClusterHealth { positives: 64, ..health(1.0 / 64.0, 1.0 / 32.0, 1.0 / 32.0) };
        assert_eq!(collapse(&few, &Config { centres: 2_048, ..causes() }), None);
        assert_eq!(collapse(&health(f64::NAN, 0.0, f64::NAN), &causes()), None);
    }
}
