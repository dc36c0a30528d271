//! Which cells a command wants.

use duia::config::{Config, Negatives, Preset, Widths};
use duia::variants::{Variant, Variants};

use super::super::refusal::Refusal;
use super::arguments::{Ablate, Axis, Common, Protocol, Seeds, Sweep};
use super::cell::Cell;

const SEEDS: usize = 3;

/// Table 9's.
const HIT_RATE_SEEDS: usize = 5;

/// The cells of an ablation: seeds outside, so that a report stands after the first of them.
pub fn ablation(arguments: &Ablate) -> Result<Vec<Cell>, Refusal> {
    let protocols = if arguments.protocols.is_empty() { &[Protocol::U1, Protocol::P1][..] } else { &arguments.protocols };
    let config = arguments.common.settings.resolve()?;
    // Only the generator knows true preferences.
    let is_known = |variant: &Variant| arguments.common.data.is_none() || *variant != Variant::Truth && !variant.is_told();
    // Of exposures nobody knows what a window reveals.
    let has_exposures = config.negatives == Negatives::None || protocols.contains(&Protocol::E1);
    let is_known = |variant: &Variant| is_known(variant) && !(has_exposures && *variant == Variant::Posterior);
    let all = || Variants(Variant::ALL.into_iter().filter(is_known).collect());
    let variants = arguments.common.variants.clone().unwrap_or_else(all);
    let config = Config { variants: ple_first(variants, true), streaming_test: true, ..config };
    cells(&config, &arguments.common, SEEDS, &negatives(protocols), &[None], |config, _| Ok(config))
}

/// The cells of a sweep.
pub fn sweep(arguments: &Sweep) -> Result<Vec<Cell>, Refusal> {
    let (axis, common) = (arguments.axis, &arguments.common);
    if common.data.is_some() && matches!(axis, Axis::Size | Axis::Rows) {
        let what = format!("`duia sweep {}` makes streams of several sizes, and a file has one", axis.key());
        return Err(Refusal::input(what, "Leave out --data, or make samples of several sizes with `duia sample --users`"));
    }
    let config = common.settings.resolve()?;
    let (own, is_compared) = own_variants(axis);
    let variants = common.variants.clone().unwrap_or(Variants(own.to_vec()));
    let config = Config { variants: ple_first(variants, is_compared), ..config };
    let seeds = if axis == Axis::HitRate { HIT_RATE_SEEDS } else { SEEDS };
    let own = [config.negatives];
    let given = negatives(&arguments.protocols);
    let mut values = if arguments.values.is_empty() { default_values(axis, &config) } else { arguments.values.clone() };
    values.sort_unstable();
    values.dedup();
    let values: Vec<Option<u64>> = values.into_iter().map(Some).collect();
    let set = |config, value: Option<u64>| value.map_or(Ok(Config::clone(&config)), |value| with_value(axis, &config, value));
    cells(&config, common, seeds, if given.is_empty() { &own } else { &given }, &values, set)
}

fn negatives(protocols: &[Protocol]) -> Vec<Negatives> {
    let mut negatives: Vec<Negatives> = Vec::new();
    for protocol in protocols.iter().map(|&protocol| Negatives::from(protocol)) {
        if !negatives.contains(&protocol) {
            negatives.push(protocol);
        }
    }
    negatives
}

fn cells(
    config: &Config,
    common: &Common,
    seeds: usize,
    protocols: &[Negatives],
    values: &[Option<u64>],
    set: impl Fn(Config, Option<u64>) -> Result<Config, Refusal>,
) -> Result<Vec<Cell>, Refusal> {
    let mut cells = Vec::new();
    for seed in common.seeds.clone().unwrap_or(Seeds::Count(seeds)).from(config.seed) {
        for &negatives in protocols {
            for &value in values {
                let config = set(Config { seed, negatives, ..config.clone() }, value)?;
                config.validate().map_err(|error| Refusal::input(error, "Choose other values, or another preset"))?;
                cells.push(Cell { value, config });
            }
        }
    }
    Ok(cells)
}

/// The variants in their order, but PLE first: every difference is taken from it. Where something is compared it is
/// never left out.
fn ple_first(Variants(given): Variants, is_compared: bool) -> Variants {
    let ple = (is_compared || given.contains(&Variant::Ple)).then_some(Variant::Ple);
    let others = Variant::ALL.into_iter().filter(|variant| *variant != Variant::Ple && given.contains(variant));
    Variants(ple.into_iter().chain(others).collect())
}

/// The variants that a sweep is about, and whether it compares them with PLE.
fn own_variants(axis: Axis) -> (&'static [Variant], bool) {
    match axis {
        Axis::NfcUie => (&[Variant::Uie], true),
        Axis::NfcUhse => (&[Variant::Uhse], true),
        Axis::HitRate => (&[Variant::Uie], false),
        Axis::Width => (&[Variant::Duia], true),
        Axis::Size | Axis::Length | Axis::Rows | Axis::Epochs => (&[Variant::Duia, Variant::Shares, Variant::DuiaShares], true),
    }
}

fn default_values(axis: Axis, config: &Config) -> Vec<u64> {
    let is_paper = config.preset == Preset::Paper;
    let quarter_to_four = |middle: u64| [middle / 4, middle / 2, middle, middle * 2, middle * 4].to_vec();
    match axis {
        // As the paper's 24, 48, 64, 128 and 256 are to its 64.
        Axis::Width => [3, 6, 8, 16, 32].map(|eighths| (config.memory_width() as u64 * eighths / 8).max(1)).to_vec(),
        Axis::NfcUie | Axis::HitRate => quarter_to_four(config.centres as u64),
        Axis::NfcUhse => quarter_to_four(config.item_centres as u64),
        Axis::Size if is_paper => vec![10_000, 50_000, 100_000, 500_000, 1_000_000],
        Axis::Size => vec![1_000, 2_000, 5_000, 10_000, 20_000],
        Axis::Length => vec![3, 5, 10, 20, 50],
        Axis::Rows => quarter_to_four(config.rows),
        Axis::Epochs => vec![1, 2, 4],
    }
}

/// A configuration at a value of the axis; what else changes with it is said in the report.
fn with_value(axis: Axis, config: &Config, value: u64) -> Result<Config, Refusal> {
    let with = |config: &Config, key: &str, value: &str| {
        let changed = config.with(key, value).map_err(|error| Refusal::input(error, "Choose other --values"))?;
        changed.ok_or_else(|| Refusal::input(format!("there is no setting `{key}` to vary"), "Please report this"))
    };
    let text = value.to_string();
    match axis {
        Axis::Width => {
            let mut widths = config.auxiliary.0.clone();
            widths.pop();
            widths.push(value as usize);
            with(config, "auxiliary", &Widths(widths).to_string())
        }
        Axis::NfcUie | Axis::HitRate => with(config, "centres", &text),
        Axis::NfcUhse => with(config, "item_centres", &text),
        Axis::Size => {
            let rows = u128::from(config.rows) * u128::from(value) / u128::from(config.users.max(1));
            with(&with(config, "users", &text)?, "rows", &rows.to_string())
        }
        Axis::Length => with(config, "history", &text),
        Axis::Rows => with(config, "rows", &text),
        Axis::Epochs => with(config, "passes", &text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::arguments::{Arguments, Command};
    use super::*;
    use clap::Parser;

    fn planned(line: &str) -> Result<Vec<Cell>, Refusal> {
        match Arguments::try_parse_from(line.split(' ')).unwrap().command {
            Some(Command::Ablate(arguments)) => ablation(&arguments),
            Some(Command::Sweep(arguments)) => sweep(&arguments),
            _ => panic!("{line} is another command"),
        }
    }

    fn values(line: &str) -> Vec<u64> {
        let cells = planned(line).unwrap();
        let first = cells[0].config.seed;
        cells.iter().filter(|cell| cell.config.seed == first).filter_map(|cell| cell.value).collect()
    }

    #[test]
    fn an_ablation_is_seeds_by_protocols_with_ple_first() {
        let cells = planned("duia ablate --seeds 7,9 --variants duia,uie,popularity").unwrap();
        let order: Vec<(u64, Negatives)> = cells.iter().map(|cell| (cell.config.seed, cell.config.negatives)).collect();
        let (u1, p1) = (Negatives::Uniform, Negatives::Popular);
        assert_eq!(order, [(7, u1), (7, p1), (9, u1), (9, p1)]);
        assert_eq!(String::from(cells[0].config.variants.clone()), "ple,popularity,uie,duia");
        let all = planned("duia ablate --protocols p1,p1 --seed 3").unwrap();
        assert_eq!((all.len(), all[0].config.variants.0.len(), all[0].config.variants.0[0]), (3, Variant::ALL.len(), Variant::Ple));
        assert_eq!(all[2].config.seed, 5);
        let on_file = planned("duia ablate --data UserBehavior.csv").unwrap();
        assert!(all[0].config.variants.0.contains(&Variant::Truth) && !on_file[0].config.variants.0.contains(&Variant::Truth));
    }

    #[test]
    fn sweeps_of_the_paper_preset_are_the_papers() {
        let paper = |axis: &str| values(&format!("duia sweep {axis} --preset paper"));
        assert_eq!(paper("width"), [24, 48, 64, 128, 256]);
        assert_eq!(paper("nfc-uie"), [128, 256, 512, 1_024, 2_048]);
        assert_eq!(paper("nfc-uhse"), [512, 1_024, 2_048, 4_096, 8_192]);
        assert_eq!(paper("hit-rate"), [128, 256, 512, 1_024, 2_048]);
        assert_eq!(values("duia sweep width"), [6, 12, 16, 32, 64]);
        assert_eq!(values("duia sweep nfc-uie --values 64,8,8"), [8, 64]);
        let hits = planned("duia sweep hit-rate").unwrap();
        assert_eq!((hits.len(), String::from(hits[0].config.variants.clone())), (25, "uie".into()));
    }

    #[test]
    fn values_reach_the_configuration_or_are_refused() {
        let size = planned("duia sweep size --values 500,20000 --seeds 1").unwrap();
        let sizes: Vec<(u32, u64)> = size.iter().map(|cell| (cell.config.users, cell.config.rows)).collect();
        assert_eq!(sizes, [(500, 50_000), (20_000, 2_000_000)]);
        assert_eq!(planned("duia sweep width --values 24 --seeds 1").unwrap()[0].config.auxiliary.to_string(), "32x24");
        let passes = planned("duia sweep epochs --seeds 1").unwrap();
        assert_eq!(passes.iter().map(|cell| cell.config.passes).collect::<Vec<_>>(), [1, 2, 4]);
        for line in [
            "epochs --values 0",
            "length --values 51",
            "width --values 0",
            "nfc-uie --values 1",
            "size --values 99999999999",
            "rows --data f.csv",
        ] {
            let said = planned(&format!("duia sweep {line}")).unwrap_err().to_string();
            assert!(said.contains("cannot be used") || said.contains("a file has one"), "{line}: {said}");
        }
    }
}
