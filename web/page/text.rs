//! Figures as people read them.

use duia::wire::Reading;

/// An area under the curve.
pub fn area(value: f64) -> String {
    if value.is_finite() { format!("{value:.4}") } else { "–".into() }
}

/// A difference, with its sign.
pub fn signed(value: f64) -> String {
    if value.is_finite() { format!("{value:+.4}").replace('-', "−") } else { "–".into() }
}

/// A share.
pub fn percent(value: f64) -> String {
    if value.is_finite() { format!("{:.0} %", 100.0 * value) } else { "–".into() }
}

/// A count with its thousands apart.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size.
pub fn bytes(value: u64) -> String {
    match value {
        0..1_000 => format!("{value} bytes"),
        1_000..1_000_000 => format!("{:.0} KB", value as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value as f64 / 1e6),
        _ => format!("{:.1} GB", value as f64 / 1e9),
    }
}

/// How far the reading of a file is.
pub fn reading(Reading { bytes: read, of, rows, refused, is_sorting }: Reading) -> String {
    if is_sorting {
        return format!("all is read; {} rows are sorted and counted", count(rows));
    }
    let done = match of {
        Some(of) => format!("{} of {} read", bytes(read), bytes(of)),
        None => format!("{} read", bytes(read)),
    };
    format!("{done}, {} rows kept, {} refused", count(rows), count(refused))
}

/// Unix seconds as a date and time, in UTC.
pub fn moment(seconds: u32) -> String {
    let date = js_sys::Date::new(&(1e3 * f64::from(seconds)).into());
    String::from(date.to_iso_string()).replace(".000Z", "").replace('T', " ")
}

/// A rate that may be below ten.
pub fn rate(value: f64) -> String {
    if value >= 10.0 { count(value.round() as u64) } else { format!("{value:.1}") }
}

/// Minutes and seconds.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "–".into();
    }
    let seconds = seconds.round() as u64;
    match seconds / 3_600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours} h {:02} min", seconds / 60 % 60),
    }
}

/// A loss, or a dash where there is none yet.
pub fn loss(value: Option<f32>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.4}"))
}

/// A difference of areas as a headline has it: `+.015`.
pub fn points(value: f64) -> String {
    if value.is_finite() { format!("{value:+.3}").replace('-', "−").replacen("0.", ".", 1) } else { "–".into() }
}

/// A probability: `.42`.
pub fn score(value: f32) -> String {
    match value {
        value if !value.is_finite() => "–".into(),
        // A rule's own score may be any number.
        value if value.abs() >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.3}").replacen("0.", ".", 1),
    }
}

/// A place: `1st`.
pub fn ordinal(place: usize) -> String {
    let ending = match (place % 100, place % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{place}{ending}")
}
