//! UserBehavior.csv: `user,item,category,behavior,unix seconds`, no header, as Tianchi publishes it (data set 649).

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::sync::Arc;

use csv::ByteRecord;

use super::{Behaviour, DataError, Event, Origin, Source, Vocabulary, WINDOW_END, WINDOW_START};

/// No line of the real file is longer than 50 bytes. A longer one than this is no row, and is not kept in memory.
const LONGEST_LINE: usize = 1_024;

/// Characters of a value that an error shows.
const SHOWN: usize = 40;

/// The columns, for errors.
const COLUMNS: [&str; 5] = ["user", "item", "category", "behaviour", "time"];

/// Rows in memory, cleaned and in time order. 12 bytes a row and 4 an item stay.
///
/// Ids are counted from 0 in the order in which kept rows first name them in the file, so the same file always gives
/// the same ids. Rows of the same second keep the order of the file.
#[derive(Debug)]
pub struct Rows {
    name: String,
    origin: Origin,
    rows: Vec<Packed>,
    /// `[items]`.
    item_category: Vec<u32>,
    vocabulary: Vocabulary,
    refused: Vec<(String, u64)>,
    notes: Vec<String>,
}

/// A row without its category, which its item tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Packed {
    user: u32,
    item: u32,
    /// Seconds since the window's start, then two bits of behaviour: the window has fewer than `2^20` seconds.
    moment: u32,
}

impl Packed {
    pub(super) fn new(user: u32, item: u32, seconds: u32, behaviour: Behaviour) -> Self {
        Self { user, item, moment: seconds << 2 | behaviour as u32 }
    }

    fn seconds(self) -> u32 {
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
    /// [`DataError::Unreadable`] where reading fails, [`DataError::Line`] with the first line that is no row, and
    /// [`DataError::TooLittle`] where fewer than two users or two items are left.
    pub fn read(reader: impl Read, name: &str) -> Result<Self, DataError> {
        let mut lines = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .quoting(false)
            // One byte ends a line, so that lines count as an editor counts them; a carriage return before it is cut below.
            .terminator(csv::Terminator::Any(b'\n'))
            .buffer_capacity(1 << 16)
            .from_reader(ShortLines { reader, in_line: 0, line: 1, too_long: false });
        let mut reading = Reading::default();
        let mut record = ByteRecord::new();
        loop {
            match lines.read_byte_record(&mut record) {
                // Every line ends with a line feed, which has been read: see `ShortLines`.
                Ok(true) => reading.add(&record, lines.position().line() - 1, name)?,
                Ok(false) => break,
                Err(error) if is_too_long(&error) => {
                    let advice = "Check that this is UserBehavior.csv itself, unpacked, with one row a line".into();
                    let problem = format!("the line is longer than {LONGEST_LINE} bytes");
                    return Err(DataError::Line { name: name.into(), line: lines.get_ref().line, problem, value: "…".into(), advice });
                }
                Err(error) => return Err(DataError::Unreadable { name: name.into(), detail: error.to_string() }),
            }
        }
        reading.finish(name)
    }

    /// Rows that are in order already, with ids below the vocabulary: what a sample holds.
    pub(super) fn of_sample(name: &str, rows: Vec<Packed>, item_category: Vec<u32>, users: u32, categories: u32) -> Self {
        let vocabulary = Vocabulary { users, items: item_category.len() as u32, categories };
        Self { name: name.into(), origin: Origin::Sample, rows, item_category, vocabulary, refused: Vec::new(), notes: Vec::new() }
    }

    /// What was put right without refusing a row, in sentences.
    pub fn notes(&self) -> &[String] {
        &self.notes
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
            time: WINDOW_START + i64::from(row.seconds()),
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

/// What has been read so far.
#[derive(Default)]
struct Reading {
    rows: Vec<Packed>,
    users: Ids,
    items: Ids,
    categories: Ids,
    item_category: Vec<u32>,
    outside: u64,
    other_category: u64,
}

impl Reading {
    fn add(&mut self, record: &ByteRecord, number: u64, name: &str) -> Result<(), DataError> {
        let line = Line { name, number, record };
        if line.is_blank() {
            return Ok(());
        }
        line.require_columns()?;
        let (user, item, category) = (line.id(0)?, line.id(1)?, line.id(2)?);
        let behaviour = line.behaviour()?;
        let time = line.time()?;
        if !(WINDOW_START..WINDOW_END).contains(&time) {
            self.outside += 1;
            return Ok(());
        }
        let (user, item, category) = (self.users.of(user), self.items.of(item), self.categories.of(category));
        match self.item_category.get(item as usize) {
            None => self.item_category.push(category),
            Some(&first) => self.other_category += u64::from(first != category),
        }
        self.rows.push(Packed::new(user, item, (time - WINDOW_START) as u32, behaviour));
        Ok(())
    }

    fn finish(mut self, name: &str) -> Result<Rows, DataError> {
        let unsorted = self.rows.windows(2).filter(|pair| pair[0].seconds() > pair[1].seconds()).count();
        self.rows.sort_by_key(|row| row.seconds());
        let repeated = remove_repeated(&mut self.rows);
        self.require_enough(name)?;
        let counted = |reason: &str, n: u64| (n > 0).then(|| (reason.to_owned(), n));
        let noted = |n: u64, what: &str| (n > 0).then(|| format!("{n} rows {what}"));
        Ok(Rows {
            name: name.into(),
            origin: Origin::File,
            refused: [
                counted("outside the window from 2017-11-25 to 2017-12-03, Beijing time", self.outside),
                counted("exact repetitions of another row", repeated),
            ]
            .into_iter()
            .flatten()
            .collect(),
            notes: [
                noted(unsorted as u64, "came right after a later one; all rows were sorted by time"),
                noted(self.other_category, "named another category than the item's first row; the first one was kept"),
            ]
            .into_iter()
            .flatten()
            .collect(),
            vocabulary: Vocabulary { users: self.users.len(), items: self.item_category.len() as u32, categories: self.categories.len() },
            rows: self.rows,
            item_category: self.item_category,
        })
    }

    fn require_enough(&self, name: &str) -> Result<(), DataError> {
        let (users, items) = (self.users.len(), self.items.len());
        let (problem, advice) = if self.rows.is_empty() && self.outside == 0 {
            ("is empty".into(), "Download UserBehavior.csv again and unpack it")
        } else if self.rows.is_empty() {
            let problem =
                format!("has no row left: all {} are outside the window from 2017-11-25 to 2017-12-03, Beijing time", self.outside);
            (problem, "Check that the last column is unix seconds of those days")
        } else if users < 2 {
            ("has rows of one user only".into(), "Use a file with more users: one user has no group to learn from")
        } else if items < 2 {
            ("has rows of one item only".into(), "Use a file with more items: a negative is an item that the user did not have")
        } else {
            return Ok(());
        };
        Err(DataError::TooLittle { name: name.into(), problem, advice: advice.into() })
    }
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
}

impl Line<'_> {
    fn require_columns(&self) -> Result<(), DataError> {
        if self.record.len() == COLUMNS.len() {
            return Ok(());
        }
        let whole: Vec<&[u8]> = (0..self.record.len()).map(|column| self.field(column)).collect();
        let problem = format!("{} columns instead of 5", self.record.len());
        Err(self.error(problem, &whole.join(&b','), "Rows read user,item,category,behaviour,seconds, with commas between them"))
    }

    /// A field, without the carriage return of the line's end.
    fn field(&self, column: usize) -> &[u8] {
        let field = self.record.get(column).unwrap_or_default();
        if column + 1 < self.record.len() { field } else { field.strip_suffix(b"\r").unwrap_or(field) }
    }

    fn is_blank(&self) -> bool {
        self.record.len() == 1 && self.field(0).is_empty()
    }

    fn id(&self, column: usize) -> Result<u64, DataError> {
        let advice = "Ids are whole numbers from 0, and the file has no header line";
        self.number(column, "0 or more and below 2^64", advice)
    }

    fn time(&self) -> Result<i64, DataError> {
        self.number(4, "a count of seconds", "Times are unix seconds, as whole numbers, like 1511544070")
    }

    fn number<T: std::str::FromStr>(&self, column: usize, range: &str, advice: &str) -> Result<T, DataError> {
        let field = self.field(column);
        let Ok(text) = std::str::from_utf8(field) else {
            return Err(self.error(format!("the {} is not UTF-8 text", COLUMNS[column]), field, advice));
        };
        text.parse().map_err(|_| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let problem = if is_number {
                format!("the {} must be {range}", COLUMNS[column])
            } else {
                format!("the {} is not a number", COLUMNS[column])
            };
            self.error(problem, field, advice)
        })
    }

    fn behaviour(&self) -> Result<Behaviour, DataError> {
        match self.field(3) {
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

/// A value as an error shows it: readable text as it is, the rest escaped, the end cut off.
fn shown(value: &[u8]) -> String {
    let text = match std::str::from_utf8(value) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => value.escape_ascii().to_string(),
    };
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}

/// Passes bytes on until a line grows too long, and then fails: no input can fill the memory with one line. Ends the
/// last line with a line feed where the file does not.
struct ShortLines<R> {
    reader: R,
    /// Bytes of the line so far.
    in_line: usize,
    /// The line, from 1.
    line: u64,
    too_long: bool,
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
        }
        for (at, &byte) in buffer[..n].iter().enumerate() {
            if byte == b'\n' {
                self.in_line = 0;
                self.line += 1;
                continue;
            }
            self.in_line += 1;
            if self.in_line > LONGEST_LINE {
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
