//! UserBehavior.csv: `user,item,category,behavior,unix seconds`, no header, as Tianchi publishes it (data set 649).
//!
//! People hand over copies that other programs wrote, so what is safe to read is read, and said in the notes: a mark of UTF-8, a
//! header that names these columns (in any order), spaces and quotes around values, blank lines, whole numbers with a `.0`, times in
//! milliseconds. What is no row, or has lost digits, is refused with its line, its value and what to do.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::Arc;

use csv::ByteRecord;

use super::{Behaviour, DataError, Event, Origin, Source, Vocabulary, WINDOW_END, WINDOW_START, shown, sniff};

/// No line of the real file is longer than 50 bytes. A longer one than this is no row, and is not kept in memory.
const LONGEST_LINE: usize = 1_024;

/// Rows between two words on how far reading is.
const TELL_EVERY: u64 = 1 << 16;

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

/// How far reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many lines are read.
    Lines(u64),
    /// All lines are read; so many rows are sorted by time, and repetitions removed.
    Sorting(u64),
}

/// Rows in memory, cleaned and in time order. 12 bytes a row and 4 an item stay.
///
/// Ids are counted from 0 in the order in which kept rows first name them in the file, so the same file always gives
/// the same ids. Rows of the same second keep the order of the file.
#[derive(Debug)]
pub struct Rows {
    name: String,
    origin: Origin,
    /// Unix seconds from which the rows' times are counted.
    start: i64,
    rows: Vec<Packed>,
    /// `[items]`.
    item_category: Vec<u32>,
    vocabulary: Vocabulary,
    refused: Vec<(String, u64)>,
    notes: Vec<String>,
}

/// Seconds that rows may span: 34 years.
pub(super) const SPAN: u32 = 1 << 30;

/// A row without its category, which its item tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Packed {
    user: u32,
    item: u32,
    /// Seconds since the start of all rows, below [`SPAN`], then two bits of behaviour.
    moment: u32,
}

impl Packed {
    pub(super) fn new(user: u32, item: u32, seconds: u32, behaviour: Behaviour) -> Self {
        Self { user, item, moment: seconds << 2 | behaviour as u32 }
    }

    /// The same row, so many seconds earlier.
    pub(super) fn earlier(self, seconds: u32) -> Self {
        Self { moment: self.moment - (seconds << 2), ..self }
    }

    pub(super) fn seconds(self) -> u32 {
        self.moment >> 2
    }

    fn behaviour(self) -> Behaviour {
        match self.moment & 3 {
            0 => Behaviour::View,
            1 => Behaviour::Cart,
            2 => Behaviour::Favourite,
            _ => Behaviour::Buy,
        }
    }
}

impl Rows {
    /// Reads and cleans a file. Rows outside the window and exact repetitions are left out and counted; anything that is
    /// not a row stops the reading at once, because it is more likely another file than a damaged line.
    /// While it reads, memory also holds a table of the ids.
    ///
    /// # Errors
    /// [`DataError::Unreadable`] where reading fails, [`DataError::Foreign`] for another kind of file, [`DataError::Line`] with
    /// the first line that is no row, and [`DataError::TooLittle`] where fewer than two users or two items are left.
    pub fn read(reader: impl Read, name: &str) -> Result<Self, DataError> {
        Self::read_watched(reader, name, &mut |_| {})
    }

    /// [`Rows::read`], telling `watch` how far it is.
    ///
    /// # Errors
    /// As [`Rows::read`].
    pub fn read_watched(reader: impl Read, name: &str, watch: &mut dyn FnMut(Progress)) -> Result<Self, DataError> {
        let unreadable = |detail: String| DataError::Unreadable { name: name.into(), detail };
        let (kind, reader) = sniff::peek(reader).map_err(|error| unreadable(error.to_string()))?;
        if let Some(refusal) = kind.refusal(name, reader.get_ref().0.get_ref()) {
            return Err(refusal);
        }
        let mut lines = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .quoting(false)
            // One byte ends a line, so that lines count as an editor counts them; a carriage return before it is cut below.
            .terminator(csv::Terminator::Any(b'\n'))
            .buffer_capacity(1 << 16)
            .from_reader(ShortLines::new(reader, LONGEST_LINE));
        let mut reading = Reading::default();
        let mut record = ByteRecord::new();
        loop {
            match lines.read_byte_record(&mut record) {
                Ok(true) => {
                    // Every line ends with a line feed, which has been read: see `ShortLines`.
                    let number = lines.position().line() - 1;
                    reading.add(&record, number, name).map_err(|error| {
                        let ShortLines { is_cut, line, .. } = *lines.get_ref();
                        if is_cut && line == number + 1 { of_cut_line(error) } else { error }
                    })?;
                    if number.is_multiple_of(TELL_EVERY) {
                        watch(Progress::Lines(number));
                    }
                }
                Ok(false) => break,
                Err(error) => return Err(lines.get_ref().refusal(&error, name).unwrap_or_else(|| unreadable(error.to_string()))),
            }
        }
        reading.pass(lines.position().line());
        watch(Progress::Sorting(reading.gathered.rows.len() as u64));
        reading.finish(name)
    }

    /// Rows that are in order already, with ids below the vocabulary: what a sample holds.
    pub(super) fn of_sample(name: &str, rows: Vec<Packed>, item_category: Vec<u32>, users: u32, categories: u32) -> Self {
        let vocabulary = Vocabulary { users, items: item_category.len() as u32, categories };
        let (refused, notes) = (Vec::new(), Vec::new());
        Self { name: name.into(), origin: Origin::Sample, start: WINDOW_START, rows, item_category, vocabulary, refused, notes }
    }

    /// The rows in time order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        (0..self.rows.len()).filter_map(|at| self.event(at))
    }

    /// The row at a place in time order.
    fn event(&self, at: usize) -> Option<Event> {
        let row = self.rows.get(at)?;
        Some(Event {
            user: row.user,
            item: row.item,
            category: self.item_category[row.item as usize],
            behaviour: row.behaviour(),
            time: self.start + i64::from(row.seconds()),
        })
    }
}

impl Source for Rows {
    fn origin(&self) -> Origin {
        self.origin
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn vocabulary(&self) -> Vocabulary {
        self.vocabulary
    }

    fn category(&self, item: u32) -> u32 {
        self.item_category[item as usize]
    }

    fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    fn refused(&self) -> Vec<(String, u64)> {
        self.refused.clone()
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn events(self: Arc<Self>) -> Box<dyn Iterator<Item = Event> + Send> {
        Box::new((0..self.rows.len()).filter_map(move |at| self.event(at)))
    }
}

/// Ids from 0 for any ids, in the order in which they are first asked for.
#[derive(Default)]
pub(super) struct Ids(HashMap<u64, u32>);

impl Ids {
    pub(super) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    pub(super) fn of(&mut self, id: u64) -> u32 {
        let next = self.len();
        *self.0.entry(id).or_insert(next)
    }
}

/// How the values stand in the lines, which the first line tells.
#[derive(Debug)]
struct Form {
    /// The place of each of [`COLUMNS`].
    columns: [usize; COLUMNS.len()],
    /// Whether quotes stand around values.
    quoted: bool,
    /// The header, where there is one.
    header: Option<Vec<u8>>,
}

impl Form {
    /// The form of a file that begins with this line.
    fn of(first: &ByteRecord) -> Self {
        let quoted = (0..first.len()).any(|column| is_quoted(trimmed(ending_cut(first, column))));
        let value = |column: usize| unquoted(trimmed(ending_cut(first, column)));
        let named: Vec<Option<usize>> = (0..first.len()).map(|column| column_named(value(column))).collect();
        let place = |column: usize| named.iter().position(|name| *name == Some(column));
        let places: Option<Vec<usize>> = (0..COLUMNS.len()).map(place).collect();
        match places.and_then(|places| places.try_into().ok()).filter(|_| first.len() == COLUMNS.len()) {
            Some(columns) => Self { columns, quoted, header: Some(whole(first)) },
            None => Self { columns: [0, 1, 2, 3, 4], quoted, header: None },
        }
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

/// What has been read so far.
#[derive(Default)]
struct Reading {
    form: Option<Form>,
    /// Lines up to here are accounted for.
    lines: u64,
    users: Ids,
    items: Ids,
    categories: Ids,
    gathered: Gathered,
    outside: u64,
    counts: Counts,
}

/// Rows as they come, with ids from 0.
#[derive(Default)]
pub(super) struct Gathered {
    pub rows: Vec<Packed>,
    /// `[items]`.
    pub item_category: Vec<u32>,
    /// Rows that named another category than their item's first row.
    pub other_category: u64,
}

impl Gathered {
    /// A row, `seconds` after the start; a new item has the next id.
    pub fn add(&mut self, user: u32, item: u32, category: u32, seconds: u32, behaviour: Behaviour) {
        match self.item_category.get(item as usize) {
            None => self.item_category.push(category),
            Some(&first) => self.other_category += u64::from(first != category),
        }
        self.rows.push(Packed::new(user, item, seconds, behaviour));
    }

    /// Sorts by time and removes repetitions. Returns how many rows came right after a later one, and how many were repetitions.
    pub fn sort(&mut self) -> (u64, u64) {
        let unsorted = self.rows.windows(2).filter(|pair| pair[0].seconds() > pair[1].seconds()).count();
        self.rows.sort_by_key(|row| row.seconds());
        (unsorted as u64, remove_repeated(&mut self.rows))
    }

    /// The rows of a file.
    pub fn finish(self, name: &str, start: i64, users: u32, categories: u32, refused: Vec<(String, u64)>, notes: Vec<String>) -> Rows {
        let Self { rows, item_category, .. } = self;
        let vocabulary = Vocabulary { users, items: item_category.len() as u32, categories };
        Rows { name: name.into(), origin: Origin::File, start, rows, item_category, vocabulary, refused, notes }
    }
}

/// Notes on rows of any form: how many, and what was done; none for no row.
pub(super) fn noted(rows: u64, what: &str) -> Option<String> {
    (rows > 0).then(|| format!("{rows} {what}"))
}

/// Notes of [`Gathered`].
pub(super) const UNSORTED: &str = "rows came right after a later one; all rows were sorted by time";
pub(super) const OTHER_CATEGORY: &str = "rows named another category than the item's first row; the first one was kept";
/// The reason of a refusal.
pub(super) const REPEATED: &str = "exact repetitions of another row";

/// What was put right, in rows or lines.
#[derive(Default)]
struct Counts {
    blank: u64,
    /// Headers after the first line.
    headers: u64,
    spaced: u64,
    decimal: u64,
    /// Times in milliseconds or finer.
    finer: u64,
}

impl Reading {
    /// Accounts for the lines before `number`: the parser passes over empty ones by itself.
    fn pass(&mut self, number: u64) {
        self.counts.blank += number - 1 - self.lines;
        self.lines = number;
    }

    fn add(&mut self, record: &ByteRecord, number: u64, name: &str) -> Result<(), DataError> {
        self.pass(number);
        if record.len() == 1 && trimmed(ending_cut(record, 0)).is_empty() {
            self.counts.blank += 1;
            return Ok(());
        }
        let is_first = self.form.is_none();
        let form = self.form.get_or_insert_with(|| Form::of(record));
        if form.is_header(record) {
            self.counts.headers += u64::from(!is_first);
            return Ok(());
        }
        let mut line = Line { name, number, record, form, is_first, spaced: false, decimal: false };
        line.require_columns()?;
        let (user, item, category) = (line.id(0)?, line.id(1)?, line.id(2)?);
        let behaviour = line.behaviour()?;
        let (time, is_finer) = in_seconds(line.time()?);
        self.counts.spaced += u64::from(line.spaced);
        self.counts.decimal += u64::from(line.decimal);
        self.counts.finer += u64::from(is_finer);
        if !is_inside(time) {
            self.outside += 1;
            return Ok(());
        }
        let (user, item, category) = (self.users.of(user), self.items.of(item), self.categories.of(category));
        self.gathered.add(user, item, category, (time - WINDOW_START) as u32, behaviour);
        Ok(())
    }

    fn finish(mut self, name: &str) -> Result<Rows, DataError> {
        let (unsorted, repeated) = self.gathered.sort();
        self.require_enough(name)?;
        let counted = |reason: &str, n: u64| (n > 0).then(|| (reason.to_owned(), n));
        let refused =
            [counted("outside the window from 2017-11-25 to 2017-12-03, Beijing time", self.outside), counted(REPEATED, repeated)];
        let notes = self.notes(unsorted);
        let refused = refused.into_iter().flatten().collect();
        Ok(self.gathered.finish(name, WINDOW_START, self.users.len(), self.categories.len(), refused, notes))
    }

    /// What was put right, the form of the whole file first.
    fn notes(&self, unsorted: u64) -> Vec<String> {
        let Counts { blank, headers, spaced, decimal, finer } = self.counts;
        let form = self.form.as_ref();
        let header = form.and_then(|form| Some((shown(form.header.as_ref()?), form.columns))).map(|(header, columns)| {
            let order = if columns.is_sorted() { "" } else { ", which names the order of the columns," };
            format!("The first line, the header \"{header}\"{order} was skipped")
        });
        let quotes = form.filter(|form| form.quoted).map(|_| "Quotes around the values were taken away".to_owned());
        [
            header,
            quotes,
            noted(headers, "more lines repeat the header and were skipped"),
            noted(blank, "blank lines were skipped"),
            noted(spaced, "rows had spaces around their values; they were taken away"),
            noted(decimal, "rows had whole numbers that end in \".0\"; they were read without it"),
            noted(finer, "rows had times in milliseconds or finer; they were read as the seconds in which they lie"),
            noted(unsorted, UNSORTED),
            noted(self.gathered.other_category, OTHER_CATEGORY),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn require_enough(&self, name: &str) -> Result<(), DataError> {
        let (users, items) = (self.users.len(), self.items.len());
        let (problem, advice) = if self.gathered.rows.is_empty() && self.outside == 0 {
            let only = if self.form.is_some() { "has a header and no row" } else { "is empty" };
            (only.into(), "Download UserBehavior.csv again and unpack it")
        } else if self.gathered.rows.is_empty() {
            let problem =
                format!("has no row left: all {} are outside the window from 2017-11-25 to 2017-12-03, Beijing time", self.outside);
            (problem, "Check that the last column is unix seconds of those days")
        } else {
            return require_two(name, users, items);
        };
        Err(DataError::TooLittle { name: name.into(), problem, advice: advice.into() })
    }
}

/// Refuses rows of fewer than two users or items.
pub(super) fn require_two(name: &str, users: u32, items: u32) -> Result<(), DataError> {
    let (what, advice) = if users < 2 {
        ("user", "Use a file with more users: one user has no group to learn from")
    } else if items < 2 {
        ("item", "Use a file with more items: a negative is an item that the user did not have")
    } else {
        return Ok(());
    };
    Err(DataError::TooLittle { name: name.into(), problem: format!("has rows of one {what} only"), advice: advice.into() })
}

fn is_inside(time: i64) -> bool {
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

/// Keeps the first of equal rows (same user, item, behaviour and second); says how many went. Rows are sorted by time.
fn remove_repeated(rows: &mut Vec<Packed>) -> u64 {
    let before = rows.len();
    let mut second = None;
    let mut had = HashSet::new();
    rows.retain(|row| {
        if second != Some(row.seconds()) {
            second = Some(row.seconds());
            had.clear();
        }
        had.insert(*row)
    });
    (before - rows.len()) as u64
}

/// A line under examination.
struct Line<'a> {
    name: &'a str,
    number: u64,
    record: &'a ByteRecord,
    form: &'a Form,
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
        let field = ending_cut(self.record, self.form.columns[column]);
        let value = trimmed(field);
        self.spaced |= value.len() < field.len();
        if self.form.quoted { unquoted(value) } else { value }
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
        match self.value(3) {
            b"pv" => Ok(Behaviour::View),
            b"cart" => Ok(Behaviour::Cart),
            b"fav" => Ok(Behaviour::Favourite),
            b"buy" => Ok(Behaviour::Buy),
            other => Err(self.error("the behaviour is unknown".into(), other, "It must be pv, cart, fav or buy")),
        }
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
fn of_cut_line(error: DataError) -> DataError {
    match error {
        DataError::Line { name, line, problem, value, advice } => {
            let advice = format!("{advice}. The file ends within this line: if it was cut off, download it again");
            DataError::Line { name, line, problem, value, advice }
        }
        other => other,
    }
}

/// Passes bytes on until a line grows too long, and then fails: no input can fill the memory with one line. Ends the
/// last line with a line feed where the file does not.
pub(super) struct ShortLines<R> {
    reader: R,
    longest: usize,
    /// Bytes of the line so far.
    in_line: usize,
    /// The line, from 1.
    line: u64,
    too_long: bool,
    /// Whether the last line had no end of its own.
    is_cut: bool,
}

impl<R> ShortLines<R> {
    /// Lines of up to `longest` bytes.
    pub fn new(reader: R, longest: usize) -> Self {
        Self { reader, longest, in_line: 0, line: 1, too_long: false, is_cut: false }
    }

    /// The error of a line that was too long, if `error` is one.
    pub fn refusal(&self, error: &csv::Error, name: &str) -> Option<DataError> {
        is_too_long(error).then(|| DataError::Line {
            name: name.into(),
            line: self.line,
            problem: format!("the line is longer than {} bytes", self.longest),
            value: "…".into(),
            advice: "Check that this is the file of rows itself, unpacked, with one row a line".into(),
        })
    }
}

/// What [`ShortLines`] fails with.
#[derive(Debug, thiserror::Error)]
#[error("line too long")]
struct TooLong;

fn is_too_long(error: &csv::Error) -> bool {
    matches!(error.kind(), csv::ErrorKind::Io(io) if io.get_ref().is_some_and(|inner| inner.is::<TooLong>()))
}

impl<R: Read> Read for ShortLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.too_long {
            return Err(io::Error::other(TooLong));
        }
        let mut n = self.reader.read(buffer)?;
        if n == 0 && self.in_line > 0 && !buffer.is_empty() {
            buffer[0] = b'\n';
            n = 1;
            self.is_cut = true;
        }
        for (at, &byte) in buffer[..n].iter().enumerate() {
            if byte == b'\n' {
                self.in_line = 0;
                self.line += 1;
                continue;
            }
            self.in_line += 1;
            if self.in_line > self.longest {
                // The lines before this one still go out, so that an earlier error is found first.
                self.too_long = true;
                return if at == 0 { Err(io::Error::other(TooLong)) } else { Ok(at) };
            }
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Counter, Stream};

    fn read(text: impl AsRef<[u8]>) -> Result<Rows, DataError> {
        Rows::read(text.as_ref(), "rows.csv")
    }

    fn events(rows: Rows) -> Vec<Event> {
        rows.iter().collect()
    }

    #[test]
    fn rows_are_sorted_by_time_and_then_by_line_with_ids_by_first_line() {
        let rows = read("9,70,5,pv,1511550000\n9,71,6,buy,1511540000\n4,70,5,fav,1511550000\n4,71,6,cart,1511540000").unwrap();
        assert_eq!(rows.vocabulary(), Vocabulary { users: 2, items: 2, categories: 2 });
        assert_eq!((rows.refused(), rows.origin(), rows.name()), (vec![], Origin::File, "rows.csv".into()));
        assert_eq!(rows.notes(), ["2 rows came right after a later one; all rows were sorted by time"]);
        let got: Vec<_> = events(rows).iter().map(|e| (e.user, e.item, e.category, e.behaviour, e.time)).collect();
        use Behaviour::*;
        assert_eq!(
            got,
            [
                (0, 1, 1, Buy, 1_511_540_000),
                (1, 1, 1, Cart, 1_511_540_000),
                (0, 0, 0, View, 1_511_550_000),
                (1, 0, 0, Favourite, 1_511_550_000)
            ]
        );
    }

    #[test]
    fn rows_outside_the_window_and_repetitions_are_refused_and_counted() {
        let text = format!(
            "1,1,1,pv,{}\n1,1,1,pv,{}\r\n2,2,1,pv,{}\n2,2,1,buy,{}\n1,3,1,pv,-12\n2,2,1,pv,{}\n",
            WINDOW_START - 1,
            WINDOW_START,
            WINDOW_END - 1,
            WINDOW_END - 1,
            WINDOW_END - 1,
        ) + &format!("1,9,9,pv,{WINDOW_END}\n");
        let rows = read(text).unwrap();
        let counts: Vec<u64> = rows.refused().iter().map(|r| r.1).collect();
        assert_eq!((rows.rows(), counts), (3, vec![3, 1]));
        assert!(rows.refused()[0].0.starts_with("outside the window") && rows.refused()[1].0.contains("repetitions"));
        assert_eq!(rows.vocabulary(), Vocabulary { users: 2, items: 2, categories: 1 }, "refused rows name no ids");
    }

    #[test]
    fn an_item_keeps_its_first_category() {
        let rows = read("1,1,10,pv,1511550000\n2,1,11,pv,1511550001\n2,2,11,pv,1511550002\n").unwrap();
        assert_eq!(rows.category(0), 0);
        assert_eq!(rows.notes().len(), 1);
        assert!(rows.notes()[0].starts_with("1 rows named another category"));
    }

    /// Copies that another program wrote: read as what they mean, and said.
    #[test]
    fn what_is_safe_to_read_is_read_and_noted() {
        let plain = ["1,1,1,pv,1511550000", "2,2,1,buy,1511550001", "1,2,1,fav,1511550002"];
        let expected = events(read(plain.join("\n")).unwrap());
        let header = "user_id,item_id,category_id,behavior_type,timestamp";
        let each = |change: &dyn Fn(&str) -> String| plain.map(change).join("\r\n");
        let cases = [
            (format!("\u{feff}{}\r\n", plain.join("\r\n")), ""),
            (format!("{header}\r\n{}", plain.join("\r\n")), "The first line, the header \"user_id,"),
            (format!("\u{feff}{header}\n{}", plain.join("\n")), "The first line, the header \"user_id,"),
            (format!("{header}\n{}\n{header}\n{}", plain[0], plain[1..].join("\n")), "1 more lines repeat the header"),
            (each(&|row| row.replace(',', ", ")), "3 rows had spaces around their values"),
            (each(&|row| format!(" {row}\t")), "3 rows had spaces around their values"),
            (each(&|row| format!("\"{}\"", row.replace(',', "\",\""))), "Quotes around the values were taken away"),
            (each(&|row| row.replace("pv", "\"pv\"")), "Quotes around the values were taken away"),
            (
                each(&|row| row.replace(',', ".0,").replacen("pv.0", "pv", 1).replacen("buy.0", "buy", 1).replacen("fav.0", "fav", 1)),
                "3 rows had whole numbers that end in \".0\"",
            ),
            (each(&|row| format!("{row}123")), "3 rows had times in milliseconds"),
            (format!("{}\n{}123\n{}123456", plain[0], plain[1], plain[2]), "2 rows had times in milliseconds or finer"),
            (format!("{}\n\n  \n{}\n", plain[0], plain[1..].join("\n\n")), "3 blank lines were skipped"),
            (
                each(&|row| row.split(',').rev().collect::<Vec<_>>().join(",")).replacen("", "ts,event,cate_id,iid,Uid\n", 1),
                "which names the order",
            ),
        ];
        for (text, note) in cases {
            let rows = read(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let notes = rows.notes();
            assert_eq!(notes.len(), usize::from(!note.is_empty()) + usize::from(note.contains("repeat")), "{text}: {notes:?}");
            assert!(note.is_empty() || notes.iter().any(|own| own.contains(note)), "{text}: {notes:?}");
            assert!(rows.refused().is_empty(), "{text}: {:?}", rows.refused());
            assert_eq!(events(rows), expected, "{text}");
        }
    }

    /// What cannot be read is called what it is.
    #[test]
    fn damage_is_named_with_its_remedy() {
        let row = "1,2,3,pv,1511544070";
        let cases: [(String, &[&str]); 14] = [
            (
                "who,what,kind,did,when\n".into(),
                &["line 1: the user is not a number, found \"who\"", "looks like a header", "tail -n +2 rows.csv"],
            ),
            ("who,what,kind\n".into(), &["line 1: 3 columns", "looks like a header"]),
            (format!("{row}\nuser,item,category,behavior,time\n"), &["line 2", "no header may stand between rows"]),
            (
                "1,2,3,pv,1.51E+09\n".into(),
                &["the time is not a number, found \"1.51E+09\"", "A spreadsheet shortened it", "digits are gone"],
            ),
            ("1,9.05e5,3,pv,1511544070\n".into(), &["the item", "A spreadsheet shortened it"]),
            ("1,2,3,pv,########\n".into(), &["the time", "A spreadsheet shortened it"]),
            ("1,2,3,pv,1,51E+09\n".into(), &["6 columns", "A spreadsheet shortened it"]),
            ("1;2;3;pv;1511544070\n".into(), &["1 columns instead of 5", "semicolons", "`tr ';' ',' < rows.csv > commas.csv`"]),
            ("1\t2\t3\tpv\t1511544070\n".into(), &["tabs", "`tr '\\t' ','"]),
            (
                format!("{row}\n\"1\",2,3,pv,1511544070\n"),
                &["found \"\\\"1\\\"\"", "quotes stand around all values of a file or around none"],
            ),
            ("1,2,3,pv,2017-11-25 01:21:10\n".into(), &["the time is not a number", "unix seconds"]),
            ("1,2.5,3,pv,1511544070\n".into(), &["the item is not a number", "whole numbers"]),
            (format!("{row}\n1,2,3,p"), &["line 2: 4 columns", "ends within this line", "download it again"]),
            ("user_id,item_id,category_id,behavior,timestamp\n".into(), &["has a header and no row"]),
        ];
        for (text, parts) in cases {
            let error = read(&text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
        for (bytes, part) in [(b"PK\x03\x04\x14".as_slice(), "a zip archive"), (b"\x1f\x8b\x08", "gunzip"), (b"1\x002\x003\0", "UTF-16")] {
            let error = read(bytes).unwrap_err();
            assert!(matches!(error, DataError::Foreign { .. }) && error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn reading_says_how_far_it_is() {
        let rows = TELL_EVERY * 2 + 5;
        let text: String = (0..rows).map(|n| format!("{},{},1,pv,{}\n", n % 7, n % 11, 1_511_550_000 + n)).collect();
        let mut told = Vec::new();
        Rows::read_watched(text.as_bytes(), "rows.csv", &mut |progress| told.push(progress)).unwrap();
        assert_eq!(told, [Progress::Lines(TELL_EVERY), Progress::Lines(2 * TELL_EVERY), Progress::Sorting(rows)]);
    }

    /// Each text says which file, which line, which value, and what to do.
    #[test]
    fn what_is_no_row_is_refused_with_its_line_and_value() {
        let good = "1,2,3,pv,1511544070\n";
        let cases: [(&[u8], &str); 15] = [
            (b"1,2,3,pv", "line 2: 4 columns instead of 5, found \"1,2,3,pv\""),
            (b"1,2,3,pv,1511544070,", "line 2: 6 columns"),
            (b"1\t2\t3\tpv\t5", "line 2: 1 columns instead of 5, found \"1\\t2\\t3\\tpv\\t5\""),
            (b"1,2,3,view,1511544070", "line 2: the behaviour is unknown, found \"view\". It must be pv, cart, fav or buy"),
            (b"1,2,3,,1511544070", "line 2: the behaviour is unknown, found \"\""),
            (b"1,two,3,pv,1511544070", "line 2: the item is not a number, found \"two\""),
            (b"user,item,category,behavior,time", "no header"),
            (b"1,2,3,pv,noon", "line 2: the time is not a number, found \"noon\". Times are unix seconds"),
            (b"1,2,3,pv,99999999999999999999", "the time must be a count of seconds"),
            (b"-1,2,3,pv,1511544070", "the user must be 0 or more and below 2^64, found \"-1\""),
            (b"1,2,99999999999999999999,pv,1511544070", "the category must be 0 or more"),
            (b"1,2.5,3,pv,1511544070", "the item is not a number, found \"2.5\""),
            (b"1,\xff\xfe,3,pv,1511544070", "the item is not UTF-8 text, found \"\\xff\\xfe\""),
            (b"1,2,3,\xff,1511544070", "the behaviour is unknown, found \"\\xff\""),
            (b"\"1\",2,3,pv,1511544070", "the user is not a number, found \"\\\"1\\\"\""),
        ];
        for (line, expected) in cases {
            let text = [good.as_bytes(), line, b"\n", good.as_bytes()].concat();
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with("rows.csv, line 2: ") && error.contains(expected), "{error}");
        }
        let row = good.trim();
        for lines in [format!("{row}\n{row}\nx"), format!("{row}\r\n{row}\r\nx\r\n"), format!("{row}\n\nx"), "\r\n\r\nx\r\n".into()] {
            let error = read(&lines).unwrap_err().to_string();
            assert!(error.starts_with("rows.csv, line 3: 1 columns instead of 5, found \"x\""), "{lines:?}: {error}");
        }
        let long = read(format!("{good}1,{},3,pv,1511544070", "x".repeat(500))).unwrap_err().to_string();
        assert!(long.contains(&format!("found \"{}…\"", "x".repeat(40))), "{long}");
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let endless = "1,2,3,pv,1511544070\n".as_bytes().chain(io::repeat(b'7').take(100 << 20));
        let error = Rows::read(endless, "rows.csv").unwrap_err().to_string();
        assert!(error.starts_with("rows.csv, line 2: the line is longer than 1024 bytes"), "{error}");
        let error = read(format!("1,2,3,pv\n{}", "x".repeat(2_000))).unwrap_err().to_string();
        assert!(error.contains("line 1: 4 columns"), "the first error comes first: {error}");
    }

    #[test]
    fn rows_of_which_nothing_can_be_learned_are_refused() {
        for (text, expected) in [
            ("", "rows.csv is empty. Download"),
            ("\n\n", "is empty"),
            ("1,2,3,pv,1500000000\n2,3,3,pv,1500000000\n", "has no row left: all 2 are outside the window"),
            ("1,2,3,pv,1511544070\n1,3,3,pv,1511544071\n", "one user only"),
            ("1,2,3,pv,1511544070\n2,2,3,pv,1511544071\n", "one item only"),
        ] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, DataError::TooLittle { .. }) && error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_reader_that_fails_is_an_error_with_its_reason() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let error = Rows::read(Broken, "rows.csv").unwrap_err();
        assert!(matches!(error, DataError::Unreadable { .. }) && error.to_string().contains("the disk is gone"));
    }

    /// Bytes from an alphabet that makes almost-rows likely, and any bytes: an error or rows, never a panic.
    #[test]
    fn no_bytes_make_it_panic() {
        let random = Counter::new(1, Stream::Choices);
        let pieces: [&[u8]; 16] = [
            b",",
            b",",
            b"1",
            b"2",
            b"-",
            b"pv",
            b"buy",
            b"\n",
            b"\r",
            b"\"",
            b"\0",
            b"\xff",
            b"1511544070",
            b"18446744073709551615",
            b"1,2,3,pv,1511544070\n",
            b"2,3,3,fav,1511544071\n",
        ];
        let mut accepted = 0;
        for case in 0..4_000 {
            let lane = random.lane(case);
            let text: Vec<u8> = (1..=lane.below(0, 40))
                .flat_map(|i| match case % 3 {
                    0 => vec![lane.bits(i) as u8],
                    1 => pieces[lane.below(i, 16) as usize].to_vec(),
                    _ => pieces[14 + lane.below(i, 2) as usize].to_vec(),
                })
                .collect();
            accepted += u32::from(read(text).is_ok_and(|rows| rows.iter().count() > 0));
        }
        assert!(accepted > 1_000, "{accepted}: the almost-rows must sometimes be rows");
    }
}
