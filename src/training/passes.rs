//! How often the training rows are gone through, chosen by validation: the same number for every variant of a run.
//!
//! The last part of the training rows stands in the place of the test (`validation_share`), and the first variant of the run that is
//! trained and told no truth, the one that the others are compared with, goes through the rest until its area over that part rises no
//! more. The run itself then has all training rows, as often as the best pass says. The test is not looked at.

use std::sync::Arc;

use burn::tensor::Device;
use web_time::Instant;

use super::TrainError;
use super::comparison::{Comparison, TELL_EVERY};
use super::device::Watch;
use crate::config::Config;
use crate::data::Source;
use crate::metrics::TestKind;
use crate::model::together::Together;
use crate::variants::{Variants, trained};
use crate::wire::{Event, Stage};

/// Share of the training rows that validates where the configuration names none.
const VALIDATION_SHARE: f64 = 0.1;

/// Steps between two evaluations of the probe set, which nobody looks at here.
const NEVER: u64 = 1_000_000;

/// What validation found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chosen {
    /// The passes that a run should take.
    pub passes: u32,
    /// `[passes tried]`: the area after each.
    areas: Vec<f64>,
}

impl Chosen {
    /// The first pass after which the area does not rise; all that were tried where it always does.
    fn of(areas: Vec<f64>) -> Self {
        let falls = areas.windows(2).position(|pair| pair[1] <= pair[0]);
        Self { passes: falls.map_or(areas.len().max(1), |at| at + 1) as u32, areas }
    }

    /// Whether another pass may be better.
    fn still_rises(&self) -> bool {
        self.passes as usize >= self.areas.len()
    }

    /// What a person should know of it.
    pub fn note(&self) -> String {
        let areas: Vec<String> = self.areas.iter().map(|area| format!("{area:.4}")).collect();
        let end = if self.still_rises() { ", and no more were tried" } else { "" };
        let times = if self.passes == 1 { "once".into() } else { format!("{} times", self.passes) };
        format!("Validation chose to go through the training rows {times}: its area after each pass is {}{end}", areas.join(", "))
    }
}

/// Chooses the passes of a run, of at most `most_passes`; `is_over` ends the search.
///
/// # Errors
/// As training has them.
pub(super) async fn choose(
    config: &Config,
    source: &Arc<dyn Source>,
    (device, watch, together): (&Device, &Watch, &Together),
    is_over: &dyn Fn() -> bool,
    sink: &mut dyn FnMut(Event),
) -> Result<Option<Chosen>, TrainError> {
    let Some(first) = trained(&config.variants.0).find(|variant| !variant.is_told()) else { return Ok(None) };
    sink(Event::Stage(Stage::Passes));
    let validation_share = if config.validation_share > 0.0 { config.validation_share } else { VALIDATION_SHARE };
    let variants = Variants(vec![first]);
    let (passes, requests, config) = (config.most_passes, config.requests() as u64, config.clone());
    let config = Config { validation_share, variants, passes, most_passes: 0, evaluate_every: NEVER, ..config };
    let comparison = Comparison::new(config, source.clone(), device, watch.clone(), &mut |_| {})?;
    let mut comparison = comparison.together(together.clone())?;
    let (mut areas, steps) = (Vec::new(), comparison.steps_of_a_pass().max(1));
    let (mut goes_on, mut done, mut told) = (true, 0, Instant::now());
    while goes_on && !is_over() {
        for _ in 0..steps {
            goes_on = comparison.step(&mut |_| {}).await?;
            done += 1;
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                sink(Event::Tested { kind: TestKind::ProbeSet, rows: done * requests, of: u64::from(passes) * steps * requests });
            }
            if is_over() {
                return Ok(Some(Chosen::of(areas)).filter(|chosen| !chosen.areas.is_empty()));
            }
        }
        areas.push(comparison.area_of_first().await?);
        goes_on &= Chosen::of(areas.clone()).still_rises();
    }
    Ok(Some(Chosen::of(areas)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pass_before_the_first_that_does_not_rise_is_chosen() {
        let chosen = |areas: &[f64]| Chosen::of(areas.to_vec());
        assert_eq!((chosen(&[0.7, 0.8, 0.79]).passes, chosen(&[0.7, 0.8, 0.79]).still_rises()), (2, false));
        assert_eq!((chosen(&[0.7, 0.8]).passes, chosen(&[0.7, 0.8]).still_rises()), (2, true));
        assert_eq!((chosen(&[0.7, 0.7]).passes, chosen(&[0.7]).passes), (1, 1));
        assert!(chosen(&[0.7, 0.8, 0.79]).note().ends_with("2 times: its area after each pass is 0.7000, 0.8000, 0.7900"));
        assert!(chosen(&[0.7]).note().contains("once") && chosen(&[0.7]).note().ends_with("no more were tried"));
    }
}
