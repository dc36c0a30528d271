//! What survives when several differences are looked at together.
//!
//! Of twenty differences that are all zero, one lies outside its 95 % interval in the mean. Bonferroni's correction asks each
//! of `k` for `1 - .05 / k`, so that all of them hold together in 95 % of the cases, however they depend on each other.

use super::Lift;

/// What all intervals of a family leave out together, on both sides.
const FAMILY_LEVEL: f64 = 0.05;

/// How far from zero, in standard errors, a difference must lie to survive Bonferroni among `family` differences: 1.96 for
/// one, 2.50 for four. With `degrees` of freedom the errors are from as few seeds less one (Student's t), without they are
/// from many rows (normal).
///
/// # Panics
/// Where the family or the degrees are 0.
pub fn critical(family: usize, degrees: Option<u32>) -> f64 {
    assert!(family > 0, "a family has a difference at least");
    let upper = FAMILY_LEVEL / (2.0 * family as f64);
    quantile(|z| degrees.map_or_else(|| normal_tail(z), |degrees| student_tail(z, degrees)), upper)
}

/// Which of a family of differences exclude zero together (Bonferroni at 5 %). A difference that does not exist, or whose error
/// does not, is counted and survives nothing; neither does a difference of exactly 0.
pub fn survivors(family: &[Lift]) -> Vec<bool> {
    if family.is_empty() {
        return Vec::new();
    }
    let critical = critical(family.len(), None);
    family.iter().map(|lift| lift.value.abs() > critical * lift.standard_error).collect()
}

/// A difference over several seeds of one configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OverSeeds {
    /// Seeds that have it.
    pub seeds: usize,
    /// Its mean.
    pub mean: f64,
    /// Half the 95 % interval of the mean that the spread over seeds leaves: `t sd / sqrt(n)`.
    pub half: f64,
    /// The least of them.
    pub least: f64,
    /// The greatest.
    pub most: f64,
}

/// What the seeds say together; none of fewer than two. One that is no number does not count.
pub fn over_seeds(differences: &[f64]) -> Option<OverSeeds> {
    let all: Vec<f64> = differences.iter().copied().filter(|difference| difference.is_finite()).collect();
    let degrees = u32::try_from(all.len().checked_sub(1)?).ok().filter(|&degrees| degrees > 0)?;
    let n = f64::from(degrees) + 1.0;
    let mean = all.iter().sum::<f64>() / n;
    let variance = all.iter().map(|difference| (difference - mean).powi(2)).sum::<f64>() / f64::from(degrees);
    Some(OverSeeds {
        seeds: all.len(),
        mean,
        half: critical(1, Some(degrees)) * (variance / n).sqrt(),
        least: all.iter().copied().fold(f64::INFINITY, f64::min),
        most: all.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

/// The value beyond which a falling tail has this probability, below 1/2.
fn quantile(tail: impl Fn(f64) -> f64, probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while tail(high) > probability {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if tail(middle) > probability { low = middle } else { high = middle }
    }
    high
}

/// The probability that a standard normal is above `z`.
fn normal_tail(z: f64) -> f64 {
    0.5 * libm::erfc(z / core::f64::consts::SQRT_2)
}

/// The probability that Student's t is above `t`: the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4.
fn student_tail(t: f64, degrees: u32) -> f64 {
    assert!(degrees > 0, "t needs a degree of freedom");
    let theta = libm::atan(t / libm::sqrt(degrees.into()));
    let (sine, cosine) = (libm::sin(theta), libm::cos(theta));
    let is_odd = degrees % 2 == 1;
    let first = if is_odd { cosine } else { 1.0 };
    // Odd: cos + 2/3 cos^3 + 2 4 / 3 5 cos^5 ... Even: 1 + 1/2 cos^2 + 1 3 / 2 4 cos^4 ...
    let (mut term, mut sum) = (first, 0.0);
    let mut power = if is_odd { 1 } else { 0 };
    while power + 2 <= degrees {
        sum += term;
        term *= cosine * cosine * f64::from(power + 1) / f64::from(power + 2);
        power += 2;
    }
    let inside = if is_odd { 2.0 / core::f64::consts::PI * (theta + sine * sum) } else { sine * sum };
    0.5 * (1.0 - inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_seeds_by_hand() {
        // Mean 3, deviations -2, -1, 3: variance 7; t with two degrees of freedom is 4.3027.
        let three = over_seeds(&[0.001, f64::NAN, 0.002, 0.006]).unwrap();
        assert_eq!((three.seeds, three.least, three.most), (3, 0.001, 0.006));
        assert!((three.mean - 0.003).abs() < 1e-12);
        assert!((three.half - 4.302_653 * 1e-3 * (7.0_f64 / 3.0).sqrt()).abs() < 1e-8, "{}", three.half);
        assert_eq!(over_seeds(&[0.001]), None);
        assert_eq!(over_seeds(&[0.001, f64::NAN]), None);
    }

    #[test]
    fn critical_values_are_those_of_the_tables() {
        let normal = [(1, 1.959_964), (2, 2.241_403), (4, 2.497_705), (10, 2.807_034), (100, 3.480_756)];
        for (family, expected) in normal {
            assert!((critical(family, None) - expected).abs() < 1e-5, "{family}: {}", critical(family, None));
        }
        // 97.5 % and 99.5 % quantiles of t.
        let student = [(1, 12.706, 63.657), (2, 4.303, 9.925), (3, 3.182, 5.841), (4, 2.776, 4.604), (9, 2.262, 3.250), (30, 2.042, 2.750)];
        for (degrees, two_and_a_half, half) in student {
            assert!((critical(1, Some(degrees)) - two_and_a_half).abs() < 6e-4, "{degrees}: {}", critical(1, Some(degrees)));
            assert!((critical(5, Some(degrees)) - half).abs() < 6e-4, "{degrees}: {}", critical(5, Some(degrees)));
        }
        assert!((critical(3, Some(100_000)) - critical(3, None)).abs() < 1e-3);
    }

    #[test]
    fn what_survives_alone_may_not_survive_in_a_family() {
        let lift = |value| Lift { value, standard_error: 0.001 };
        assert_eq!(survivors(&[lift(0.0021)]), [true]);
        assert_eq!(survivors(&[lift(0.0021), lift(-0.004), lift(0.0), lift(0.0024)]), [false, true, false, false]);
        assert_eq!(
            survivors(&[lift(-0.0026), lift(f64::NAN), Lift { value: 1.0, standard_error: f64::NAN }, lift(0.1)]),
            [true, false, false, true]
        );
        let exact = Lift { value: 0.0, standard_error: 0.0 };
        assert_eq!(survivors(&[exact]), [false], "a model against itself gains nothing");
        assert!(survivors(&[]).is_empty());
    }

    /// Families of true zeros: the corrected intervals hold together in about 95 % of the draws, the plain ones do not.
    #[test]
    fn a_family_of_zeros_survives_in_one_draw_of_twenty() {
        use crate::counter::{Counter, Stream};
        let noise = Counter::new(5, Stream::Choices);
        let share = |critical: f64| {
            let any = |draw: u64| (0..8).any(|comparison| noise.normal(2 * (8 * draw + comparison)).abs() > critical);
            (0..4_000).filter(|&draw| any(draw)).count() as f64 / 4_000.0
        };
        assert!((share(critical(8, None)) - 0.05).abs() < 0.015, "{}", share(critical(8, None)));
        assert!(share(critical(1, None)) > 0.3);
    }
}
