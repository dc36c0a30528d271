//! The losses of a training step, by name.

use serde::{Deserialize, Serialize};

use crate::variants::Variant;

/// A loss that a component has: how a chart calls it, and its names in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// What a chart of it is called.
    pub title: &'static str,
    /// What it is, in a sentence.
    pub about: &'static str,
    /// Its names in files: one, or one a level. A chart shows their sum.
    pub names: &'static [&'static str],
}

/// A [`Term`] and the models of a run that have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossTerm {
    /// What a chart of it is called.
    pub title: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Its names in files: one, or one a level. A chart shows their sum.
    pub names: Vec<String>,
    /// The models that have it.
    pub variants: Vec<Variant>,
}

impl LossTerm {
    /// A term of some models.
    pub fn new(term: &Term, variants: Vec<Variant>) -> Self {
        let names = term.names.iter().map(|&name| name.into()).collect();
        Self { title: term.title.into(), about: term.about.into(), names, variants }
    }

    /// Its value among a step's losses: the sum of its parts, where all are there.
    pub fn value(&self, losses: &Losses) -> Option<f32> {
        self.names.iter().map(|name| losses.get(name)).sum()
    }
}

/// The losses of a model at a step, each with its name in files and before its weight. Empty of a rule, which has none; those of
/// centres and memories are there once centres are filled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Losses(Vec<(String, f32)>);

impl Losses {
    /// One loss more.
    pub fn push(&mut self, name: impl Into<String>, value: f32) {
        self.0.push((name.into(), value));
    }

    /// A loss by its name.
    pub fn get(&self, name: &str) -> Option<f32> {
        self.named().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Every loss that there is, with its name in files and charts.
    pub fn named(&self) -> impl Iterator<Item = (&str, f32)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// How far each loss is from the same one of a `reference`, relative to it: infinite where it is missing here or no number.
    /// Differences of losses below a thousandth count as if the loss were a thousandth.
    pub fn differences<'a>(&'a self, reference: &'a Self) -> impl Iterator<Item = (&'a str, f64)> {
        reference.named().map(|(name, expected)| {
            let off = self.get(name).map_or(f32::NAN, |own| (own - expected).abs() / expected.abs().max(1e-3));
            (name, if off.is_finite() { off.into() } else { f64::INFINITY })
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<S: Into<String>> FromIterator<(S, f32)> for Losses {
    fn from_iter<I: IntoIterator<Item = (S, f32)>>(all: I) -> Self {
        Self(all.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_the_sum_of_its_levels_once_all_are_there() {
        const TERM: Term = Term { title: "Clustering loss", about: "", names: &["l1", "l2"] };
        let term = LossTerm::new(&TERM, vec![Variant::Uie]);
        assert_eq!(term.value(&[("l1", 1.0), ("l2", 0.5)].into_iter().collect()), Some(1.5));
        assert_eq!(term.value(&[("l1", 1.0)].into_iter().collect()), None);
        assert_eq!(term.value(&Losses::default()), None);
    }

    #[test]
    fn a_loss_that_is_no_number_or_not_there_agrees_with_nothing() {
        let all = |values: &[(&'static str, f32)]| -> Losses { values.iter().copied().collect() };
        let off =
            |own: &[(&'static str, f32)]| all(own).differences(&all(&[("mtl", 2.0), ("l1", 0.0)])).map(|(_, off)| off).collect::<Vec<_>>();
        assert_eq!(off(&[("mtl", 2.5), ("l1", 0.0005)]), [0.25, 0.5]);
        assert_eq!(off(&[("mtl", f32::NAN)]), [f64::INFINITY; 2]);
        assert_eq!(all(&[("mtl", 1.0)]).differences(&all(&[("mtl", f32::NAN)])).next(), Some(("mtl", f64::INFINITY)));
    }
}
