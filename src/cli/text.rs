//! Text for people: output that no closed pipe can turn into a panic, and numbers as they are read.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

/// 97.5 % quantile of the normal distribution: half the width of a 95 % interval in standard errors.
pub const HALF_95: f64 = 1.96;

/// What stands where there is no figure.
pub const NONE: &str = "–";

/// One line on standard output. A reader that has gone away (`duia | head`) is no failure.
pub fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}

/// One line on standard error.
pub fn warn(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// A whole number with its thousands apart: `100,150,807`.
pub fn whole(number: u64) -> impl Display {
    indicatif::HumanCount(number)
}

/// An area or another figure of about 1.
pub fn figure(value: f64) -> String {
    if value.is_finite() { format!("{value:.4}") } else { NONE.into() }
}

/// A share where a table has many.
pub fn short(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { NONE.into() }
}

/// A share as a percentage.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", 100.0 * share) } else { NONE.into() }
}

/// A figure with its 95 % interval.
pub fn interval(value: f64, standard_error: f64) -> String {
    with_interval(figure(value), standard_error)
}

/// A difference with its sign and its 95 % interval.
pub fn difference(value: f64, standard_error: f64) -> String {
    with_interval(if value.is_finite() { format!("{value:+.4}") } else { NONE.into() }, standard_error)
}

fn with_interval(value: String, standard_error: f64) -> String {
    if standard_error.is_finite() { format!("{value} ± {:.4}", HALF_95 * standard_error) } else { value }
}

/// Seconds as a person says them.
pub fn duration(seconds: f64) -> String {
    let total = seconds.round() as u64;
    match (total / 3_600, total / 60 % 60, total % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_and_what_is_missing_is_a_dash() {
        assert_eq!(whole(100_150_807).to_string(), "100,150,807");
        assert_eq!(interval(0.8836, 0.0035), "0.8836 ± 0.0069");
        assert_eq!(difference(-0.001, 0.001), "-0.0010 ± 0.0020");
        assert_eq!(interval(f64::NAN, f64::NAN), NONE);
        assert_eq!((percent(0.0716), percent(f64::NAN)), ("7.2 %".into(), NONE.into()));
        assert_eq!([3.12, 75.0, 7_500.0].map(duration), ["3.1 s", "1 min 15 s", "2 h 5 min"]);
    }
}
