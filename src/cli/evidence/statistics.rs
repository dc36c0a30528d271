//! Figures over seeds: means, spreads and the two intervals of a difference.

use duia::metrics::critical;

use super::super::text::HALF_95;

/// A figure of one run, with its standard error where it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub standard_error: Option<f64>,
}

impl Estimate {
    /// The difference of two figures over different rows: `se² = se_a² + se_b²`.
    pub fn minus(self, other: Self) -> Self {
        let squares = self.standard_error.zip(other.standard_error).map(|(a, b)| a * a + b * b);
        Self { value: self.value - other.value, standard_error: squares.map(f64::sqrt) }
    }
}

/// What a model and a ceiling win over the baseline in one run, and the model's share, where there is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gains {
    pub own: Estimate,
    pub ceiling: Estimate,
    pub share: Option<Estimate>,
}

impl Gains {
    /// The error of `own - share * ceiling`.
    fn error(&self, share: f64) -> Option<f64> {
        let exact = self.share.and_then(|share| share.standard_error).map(|error| error * self.ceiling.value);
        let apart = || Some(self.own.standard_error?.hypot(share * self.ceiling.standard_error?));
        exact.filter(|error| error.is_finite()).or_else(apart).filter(|error| error.is_finite())
    }
}

/// A figure over `n` seeds. Runs in which it does not exist do not count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Runs in which the figure exists.
    pub n: usize,
    /// Their mean; NaN without any.
    pub mean: f64,
    /// Standard deviation over the runs, `n - 1` below; none for fewer than two.
    pub sd: Option<f64>,
    /// `sqrt(sum se²) / n`: the error of the mean that the test's users leave, if every run had users of its own. None where
    /// a run's figure has no error.
    pub standard_error: Option<f64>,
}

impl Summary {
    /// Sums runs up.
    pub fn of(runs: impl IntoIterator<Item = Estimate>) -> Self {
        let runs: Vec<Estimate> = runs.into_iter().filter(|run| run.value.is_finite()).collect();
        let n = runs.len();
        let mean = runs.iter().map(|run| run.value).sum::<f64>() / n as f64;
        let squares: f64 = runs.iter().map(|run| (run.value - mean).powi(2)).sum();
        let errors: Option<f64> = runs.iter().map(|run| run.standard_error.filter(|e| e.is_finite()).map(|e| e * e)).sum();
        Self {
            n,
            mean,
            sd: (n >= 2).then(|| (squares / (n as f64 - 1.0)).sqrt()),
            standard_error: errors.filter(|_| n > 0).map(|sum| sum.sqrt() / n as f64),
        }
    }

    /// The share of a ceiling's gain that a model wins, over seeds: the mean gain over the ceiling's mean gain, which is the mean of the
    /// seeds' shares weighted by their headroom. So a seed with little headroom counts little. The error that the users leave is that of
    /// a ratio of sums, a seed's part being the stored error of its share; where there is no share of its own (no headroom), the errors of
    /// both gains as if they were of different rows, which is too wide. The spread over seeds is that of `own - share * ceiling`.
    pub fn of_shares(runs: impl IntoIterator<Item = Gains>) -> Self {
        let exists = |run: &Gains| run.own.value.is_finite() && run.ceiling.value.is_finite();
        let runs: Vec<Gains> = runs.into_iter().filter(exists).collect();
        let n = runs.len();
        let headroom = runs.iter().map(|run| run.ceiling.value).sum::<f64>();
        let mean = runs.iter().map(|run| run.own.value).sum::<f64>() / headroom;
        let squares: f64 = runs.iter().map(|run| (run.own.value - mean * run.ceiling.value).powi(2)).sum();
        let errors: Option<f64> = runs.iter().map(|run| run.error(mean).map(|error| error * error)).sum();
        Self {
            n,
            mean,
            sd: (n >= 2).then(|| (squares / (n as f64 - 1.0)).sqrt() / (headroom / n as f64).abs()),
            standard_error: errors.filter(|_| n > 0).map(|sum| sum.sqrt() / headroom.abs()),
        }
    }

    /// Half the 95 % interval that the test's users leave.
    pub fn half_rows(&self) -> Option<f64> {
        self.standard_error.map(|error| HALF_95 * error)
    }

    /// Whether zero is excluded by the test's users and by the spread over seeds, after Bonferroni among `family` figures. False
    /// where there is no such interval.
    pub fn excludes_zero(&self, family: usize) -> [bool; 2] {
        let excludes =
            |error: Option<f64>, degrees: Option<u32>| error.is_some_and(|error| self.mean.abs() > critical(family, degrees) * error);
        let seeds = self.sd.map(|sd| sd / (self.n as f64).sqrt());
        [excludes(self.standard_error, None), seeds.is_some() && excludes(seeds, Some(self.n as u32 - 1))]
    }

    /// Half the 95 % t interval that the spread over seeds leaves, `t sd / sqrt(n)`.
    pub fn half_seeds(&self) -> Option<f64> {
        self.sd.map(|sd| critical(1, Some(self.n as u32 - 1)) * sd / (self.n as f64).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-9)
    }

    #[test]
    fn three_seeds_by_hand() {
        let run = |value, error| Estimate { value, standard_error: Some(error) };
        let summary = Summary::of([run(0.001, 0.003), run(0.002, 0.004), run(0.006, 0.012)]);
        // Mean 3, deviations -2, -1, 3: sum of squares 14, variance 7. Errors 9 + 16 + 144 = 169, root 13, over 3.
        assert_eq!(summary.n, 3);
        assert!(close(Some(summary.mean), 0.003) && close(summary.sd, 0.007_f64 * (1.0 / 7.0_f64).sqrt()));
        assert!(close(summary.standard_error, 0.013 / 3.0) && close(summary.half_rows(), 1.96 * 0.013 / 3.0));
        assert!(close(summary.half_seeds(), 4.302_652_73 * 1e-3 * 7.0_f64.sqrt() / 3.0_f64.sqrt()));
    }

    #[test]
    fn what_does_not_exist_does_not_count() {
        let run = |value, standard_error| Estimate { value, standard_error };
        let summary = Summary::of([run(f64::NAN, None), run(0.5, Some(0.1)), run(0.5, None)]);
        assert_eq!((summary.n, summary.mean, summary.sd, summary.standard_error), (2, 0.5, Some(0.0), None));
        let one = Summary::of([run(0.5, Some(0.25))]);
        assert_eq!((one.sd, one.half_seeds(), one.standard_error), (None, None, Some(0.25)));
        let none = Summary::of([]);
        assert!(none.n == 0 && none.mean.is_nan() && none.sd.is_none() && none.standard_error.is_none());
        let many = Summary::of((0..100).map(|i| run(f64::from(i % 2), None)));
        assert!(close(many.half_seeds(), 1.984_216_95 * (25.0_f64 / 99.0).sqrt() / 10.0));
    }

    #[test]
    fn bonferroni_asks_more_of_a_family_and_of_few_seeds() {
        let run = |value| Estimate { value, standard_error: Some(0.002) };
        // Mean .003, errors .002 / sqrt 2 over users and .0005 over seeds, t of one degree of freedom.
        let summary = Summary::of([run(0.0025), run(0.0035)]);
        assert_eq!([1, 4].map(|family| summary.excludes_zero(family)), [[true, false], [false, false]]);
        let steady = Summary::of([run(0.0299), run(0.0301)]);
        assert_eq!([1, 40].map(|family| steady.excludes_zero(family)), [[true, true], [true, false]]);
        assert_eq!(Summary::of([run(0.1)]).excludes_zero(1), [true, false]);
        assert_eq!(Summary::of([Estimate { value: 1.0, standard_error: None }]).excludes_zero(1), [false, false]);
        assert_eq!(Summary::of([]).excludes_zero(1), [false, false]);
    }

    #[test]
    fn shares_are_weighted_by_the_headroom_of_their_seeds() {
        let run = |value, error| Estimate { value, standard_error: Some(error) };
        let first = Gains { own: run(0.003, 0.001), ceiling: run(0.004, 0.001), share: Some(run(0.75, 0.25)) };
        let one = Summary::of_shares([first]);
        assert_eq!((one.n, one.mean, one.standard_error, one.sd), (1, 0.75, Some(0.25), None));
        // A seed whose ceiling lost: no share of its own, but it counts. .002 of .003; errors .001 and hypot(.003, 2/3 .006) = .005.
        let none = Some(run(f64::NAN, f64::NAN));
        let both = Summary::of_shares([first, Gains { own: run(-0.001, 0.003), ceiling: run(-0.001, 0.006), share: none }]);
        assert!((both.mean - 2.0 / 3.0).abs() < 1e-12 && close(both.standard_error, 26.0_f64.sqrt() / 3.0), "{both:?}");
        // Residuals ±1/3 over a mean headroom of 1.5.
        assert!(close(both.sd, (2.0_f64 / 9.0).sqrt() / 1.5));
        assert!(Summary::of_shares([]).mean.is_nan() && Summary::of_shares([]).standard_error.is_none());
    }

    #[test]
    fn errors_of_different_rows_add_as_squares() {
        let difference = Estimate { value: 0.75, standard_error: Some(3.0) }.minus(Estimate { value: 0.5, standard_error: Some(4.0) });
        assert_eq!(difference, Estimate { value: 0.25, standard_error: Some(5.0) });
    }
}
