//! A line of UserBehavior.csv under examination: what it says, or what is wrong with it.

use csv::ByteRecord;

use super::{Counts, LONGEST_LINE};
use crate::data::{Behaviour, DataError, WINDOW_END, WINDOW_START, shown};

/// The columns in the file's order, for errors.
const COLUMNS: [&str; 5] = ["user", "item", "category", "behaviour", "time"];

/// What headers call the columns: in lower case, letters and digits alone.
const NAMES: [&[&str]; 5] = [
    &["user", "userid", "uid"],
    &["item", "itemid", "iid", "product", "productid", "pid", "goods", "goodsid", "sku", "skuid"],
    &["category", "categoryid", "cat", "catid", "cate", "cateid", "itemcategory"],
    &["behavior", "behaviour", "behaviortype", "behaviourtype", "type", "action", "event", "eventtype"],
    &["time", "timestamp", "ts", "unixtime", "seconds"],
];

/// How the values stand in the lines, which the first line tells.
#[derive(Debug)]
pub(super) struct Layout {
    /// The place of each of [`COLUMNS`].
    pub columns: [usize; COLUMNS.len()],
    /// Whether quotes stand around values.
    pub quoted: bool,
    /// The header, where there is one.
    pub header: Option<Vec<u8>>,
    /// The first line that is not blank, from 1.
    first: u64,
}

impl Layout {
    /// The layout of a file that begins with this line, but for blank ones.
    pub fn of(number: u64, line: &[u8]) -> Self {
        let first = &record_of(line);
        let quoted = (0..first.len()).any(|column| is_quoted(trimmed(ending_cut(first, column))));
        let value = |column: usize| unquoted(trimmed(ending_cut(first, column)));
        let named: Vec<Option<usize>> = (0..first.len()).map(|column| column_named(value(column))).collect();
        let place = |column: usize| named.iter().position(|name| *name == Some(column));
        let places: Option<Vec<usize>> = (0..COLUMNS.len()).map(place).collect();
        match places.and_then(|places| places.try_into().ok()).filter(|_| first.len() == COLUMNS.len()) {
            Some(columns) => Self { columns, quoted, header: Some(whole(first)), first: number },
            None => Self { columns: FILE_ORDER, quoted, header: None, first: number },
        }
    }

    /// Whether values stand as they do in the original file.
    fn is_plain(&self) -> bool {
        !self.quoted && self.columns == FILE_ORDER
    }

    fn is_header(&self, record: &ByteRecord) -> bool {
        // The first byte settles it for nearly every row.
        self.header.as_ref().is_some_and(|header| ending_cut(record, 0).first() == header.first() && *header == whole(record))
    }
}

/// The column that a header calls so, by its place in [`COLUMNS`].
fn column_named(name: &[u8]) -> Option<usize> {
    let letters: Vec<u8> = name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    NAMES.iter().position(|names| names.iter().any(|known| known.as_bytes() == letters))
}

/// The line as it stands, without its end.
fn whole(record: &ByteRecord) -> Vec<u8> {
    (0..record.len()).map(|column| ending_cut(record, column)).collect::<Vec<_>>().join(&b',')
}

/// A field, without the carriage return of the line's end.
fn ending_cut(record: &ByteRecord, column: usize) -> &[u8] {
    let field = record.get(column).unwrap_or_default();
    if column + 1 < record.len() { field } else { field.strip_suffix(b"\r").unwrap_or(field) }
}

fn trimmed(field: &[u8]) -> &[u8] {
    match field {
        [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => field.trim_ascii(),
        _ => field,
    }
}

fn is_quoted(field: &[u8]) -> bool {
    matches!(field, [b'"', .., b'"'])
}

fn unquoted(field: &[u8]) -> &[u8] {
    match field {
        [b'"', inner @ .., b'"'] => inner,
        _ => field,
    }
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub user: u64,
    pub item: u64,
    pub category: u64,
    pub behaviour: Behaviour,
    /// Unix seconds.
    pub time: i64,
}

/// The order of the columns in the original file.
const FILE_ORDER: [usize; COLUMNS.len()] = [0, 1, 2, 3, 4];

/// What a line says; nothing where it is blank or repeats the header. Counts what was put right.
///
/// # Errors
/// [`DataError::Line`] for a line that is no row.
pub(super) fn examine(line: &[u8], number: u64, layout: &Layout, name: &str, counts: &mut Counts) -> Result<Option<Said>, DataError> {
    if let Some(said) = plain(line).filter(|_| layout.is_plain()) {
        return Ok(Some(said));
    }
    if line.len() > LONGEST_LINE {
        return Err(too_long(name, number, LONGEST_LINE));
    }
    if is_blank(line) {
        counts.blank += 1;
        return Ok(None);
    }
    let record = &record_of(line);
    let is_first = number == layout.first;
    if layout.is_header(record) {
        counts.headers += u64::from(!is_first);
        return Ok(None);
    }
    let mut line = Line { name, number, record, layout, is_first, spaced: false, decimal: false };
    line.require_columns()?;
    let (user, item, category) = (line.id(0)?, line.id(1)?, line.id(2)?);
    let behaviour = line.behaviour()?;
    let (time, is_finer) = in_seconds(line.time()?);
    counts.spaced += u64::from(line.spaced);
    counts.decimal += u64::from(line.decimal);
    counts.finer += u64::from(is_finer);
    Ok(Some(Said { user, item, category, behaviour, time }))
}

/// What a line of the original form says: digits and a word alone, and a time in seconds.
fn plain(line: &[u8]) -> Option<Said> {
    let mut rest = line.strip_suffix(b"\r").unwrap_or(line);
    let (user, item, category) = (number(&mut rest)?, number(&mut rest)?, number(&mut rest)?);
    let comma = rest.iter().position(|byte| *byte == b',')?;
    let behaviour = known(&rest[..comma])?;
    rest = &rest[comma + 1..];
    let time = digits(&mut rest)? as i64;
    (rest.is_empty() && is_inside(time)).then_some(Said { user, item, category, behaviour, time })
}

/// A number and the comma behind it, taken off the front.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let number = digits(rest)?;
    *rest = rest.strip_prefix(b",")?;
    Some(number)
}

/// Up to 18 digits, taken off the front.
fn digits(rest: &mut &[u8]) -> Option<u64> {
    let (mut number, mut length) = (0, 0);
    while let Some(digit) = rest.get(length).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        number = 10 * number + u64::from(digit);
        length += 1;
        if length > 18 {
            return None;
        }
    }
    *rest = &rest[length..];
    (length > 0).then_some(number)
}

/// The behaviour of a word.
fn known(word: &[u8]) -> Option<Behaviour> {
    Behaviour::OF_ROWS.into_iter().find(|behaviour| behaviour.word().as_bytes() == word)
}

/// Whether nothing but spaces stands in a line.
pub(super) fn is_blank(line: &[u8]) -> bool {
    trimmed(line.strip_suffix(b"\r").unwrap_or(line)).is_empty()
}

/// The error of a line that is longer than any row.
pub(in crate::data) fn too_long(name: &str, line: u64, longest: usize) -> DataError {
    DataError::Line {
        name: name.into(),
        line,
        problem: format!("the line is longer than {longest} bytes"),
        value: "…".into(),
        advice: "Check that this is the file of rows itself, unpacked, with one row a line".into(),
    }
}

fn record_of(line: &[u8]) -> ByteRecord {
    ByteRecord::from_iter(line.split(|byte| *byte == b','))
}

pub(super) fn is_inside(time: i64) -> bool {
    (WINDOW_START..WINDOW_END).contains(&time)
}

/// A time in seconds, and whether it was given in milliseconds, microseconds or nanoseconds: as seconds such a number is an age of
/// mankind away, so that it can mean nothing else.
fn in_seconds(time: i64) -> (i64, bool) {
    if is_inside(time) {
        return (time, false);
    }
    let finer = [1_000, 1_000_000, 1_000_000_000].into_iter().map(|unit| time.div_euclid(unit)).find(|&seconds| is_inside(seconds));
    finer.map_or((time, false), |seconds| (seconds, true))
}

/// A line under examination.
struct Line<'a> {
    name: &'a str,
    number: u64,
    record: &'a ByteRecord,
    layout: &'a Layout,
    /// Whether no row came before it.
    is_first: bool,
    /// Whether spaces were taken away.
    spaced: bool,
    /// Whether a `.0` was.
    decimal: bool,
}

/// What became of a number.
const DIGITS_LOST: &str = "A spreadsheet shortened it and its last digits are gone: take the original file, or export it again with this \
                           column as a whole number";

impl<'a> Line<'a> {
    fn require_columns(&self) -> Result<(), DataError> {
        if self.record.len() == COLUMNS.len() {
            return Ok(());
        }
        let whole = whole(self.record);
        let problem = format!("{} columns instead of 5", self.record.len());
        let rows = "Rows read user,item,category,behaviour,seconds, with commas between them";
        let other = |delimiter: u8| whole.split(|&byte| byte == delimiter).count() == COLUMNS.len();
        let advice = if self.is_header() {
            self.header_advice()
        } else if (0..self.record.len()).any(|column| has_lost_digits(trimmed(ending_cut(self.record, column)))) {
            DIGITS_LOST.into()
        } else {
            match [(b';', "semicolons", "';'"), (b'\t', "tabs", "'\\t'"), (b'|', "bars", "'|'")].into_iter().find(|(byte, ..)| other(*byte))
            {
                Some((_, what, byte)) => format!("{rows}; here {what} stand between them: `tr {byte} ',' < {} > commas.csv`", self.name),
                None => rows.into(),
            }
        };
        Err(self.error(problem, &whole, &advice))
    }

    /// A value, without the spaces and quotes around it.
    fn value(&mut self, column: usize) -> &'a [u8] {
        let field = ending_cut(self.record, self.layout.columns[column]);
        let value = trimmed(field);
        self.spaced |= value.len() < field.len();
        if self.layout.quoted { unquoted(value) } else { value }
    }

    /// Whether the line names columns and holds no number.
    fn is_header(&self) -> bool {
        let mut fields = (0..self.record.len()).map(|column| unquoted(trimmed(ending_cut(self.record, column))));
        let begins_with_letter =
            |field: &[u8]| std::str::from_utf8(field).is_ok_and(|text| text.starts_with(|c: char| c.is_alphabetic() || c == '_'));
        self.record.len() > 1 && fields.all(begins_with_letter)
    }

    fn header_advice(&self) -> String {
        if self.is_first {
            let name = self.name;
            format!(
                "This looks like a header with other names than user,item,category,behavior,timestamp: rename its columns, or remove the \
                 line with `tail -n +2 {name} > no-header.csv`"
            )
        } else {
            "This looks like a header, and no header may stand between rows: remove the line".into()
        }
    }

    fn id(&mut self, column: usize) -> Result<u64, DataError> {
        self.number(column, "0 or more and below 2^64", "Ids are whole numbers from 0")
    }

    fn time(&mut self) -> Result<i64, DataError> {
        self.number(4, "a count of seconds", "Times are unix seconds, as whole numbers, like 1511544070")
    }

    fn number<T: std::str::FromStr>(&mut self, column: usize, range: &str, advice: &str) -> Result<T, DataError> {
        let field = self.value(column);
        match parsed(field) {
            Some((number, decimal)) => {
                self.decimal |= decimal;
                Ok(number)
            }
            None => Err(self.no_number(column, field, range, advice)),
        }
    }

    fn no_number(&self, column: usize, field: &[u8], range: &str, advice: &str) -> DataError {
        let column = COLUMNS[column];
        let Ok(text) = std::str::from_utf8(field) else {
            return self.error(format!("the {column} is not UTF-8 text"), field, advice);
        };
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            return self.error(format!("the {column} must be {range}"), field, advice);
        }
        let problem = format!("the {column} is not a number");
        if self.is_header() {
            self.error(problem, field, &self.header_advice())
        } else if has_lost_digits(field) {
            self.error(problem, field, DIGITS_LOST)
        } else if is_quoted(field) {
            self.error(problem, field, &format!("{advice}, and quotes stand around all values of a file or around none"))
        } else {
            self.error(problem, field, advice)
        }
    }

    fn behaviour(&mut self) -> Result<Behaviour, DataError> {
        let word = self.value(3);
        known(word).ok_or_else(|| self.error("the behaviour is unknown".into(), word, "It must be pv, cart, fav or buy"))
    }

    fn error(&self, problem: String, value: &[u8], advice: &str) -> DataError {
        DataError::Line { name: self.name.into(), line: self.number, problem, value: shown(value), advice: advice.into() }
    }
}

/// A whole number, and whether it was written with a `.0`, as programs do that keep ids as floats.
fn parsed<T: std::str::FromStr>(field: &[u8]) -> Option<(T, bool)> {
    let text = std::str::from_utf8(field).ok()?;
    if let Ok(number) = text.parse() {
        return Some((number, false));
    }
    let (before, after) = text.split_once('.')?;
    let is_whole = !after.is_empty() && after.bytes().all(|byte| byte == b'0');
    before.parse().ok().filter(|_| is_whole).map(|number| (number, true))
}

/// Whether a spreadsheet has put `1.51E+09`, or `####` for a column too narrow, in the place of a number.
fn has_lost_digits(field: &[u8]) -> bool {
    let narrow = !field.is_empty() && field.iter().all(|&byte| byte == b'#');
    let mut parts = field.splitn(2, |byte| byte.eq_ignore_ascii_case(&b'e'));
    let (Some(mantissa), Some(exponent)) = (parts.next(), parts.next()) else { return narrow };
    let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let mantissa: Vec<u8> = mantissa.iter().copied().filter(|byte| *byte != b'.').collect();
    digits(&mantissa) && digits(exponent)
}

/// The error of a last line that ends without a line feed: what is wrong with it is most likely that its end is missing.
pub(super) fn of_cut_line(error: DataError) -> DataError {
    match error {
        DataError::Line { name, line, problem, value, advice } => {
            let advice = format!("{advice}. The file ends within this line: if it was cut off, download it again");
            DataError::Line { name, line, problem, value, advice }
        }
        other => other,
    }
}
