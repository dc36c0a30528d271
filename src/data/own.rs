//! Somebody's own file, read under a [`Schema`]: any delimiter, a header or none, ids that are numbers or text, times in any unit or as
//! dates, over any 34 years.
//!
//! The form of UserBehavior.csv is one that its publisher promises, so [`super::csv`] stops at the first line that breaks it. Nobody
//! promises the form of these: a row that cannot be read is refused and counted by its reason, with the first line as an example.

use std::collections::HashMap;
use std::io::Read;

use csv::ByteRecord;

use super::csv::{Gathered, OTHER_CATEGORY, Progress, REPEATED, Rows, SPAN, ShortLines, UNSORTED, noted, require_two};
use super::schema::{Columns, Schema, seconds};
use super::{Behaviour, DataError, shown, sniff};

/// A longer line than this is no row, and is not kept in memory.
const LONGEST_LINE: usize = 1 << 16;

/// Reasons that are told apart: a column that is no behaviour has a word a row.
const REASONS: usize = 20;

/// Rows between two words on how far reading is.
const TELL_EVERY: u64 = 1 << 16;

/// Reads and cleans a file under a schema, telling `watch` how far it is.
///
/// # Errors
/// [`DataError::Unreadable`] where reading fails, [`DataError::Foreign`] for what is no text, [`DataError::Line`] where a column of the
/// schema is not there, [`DataError::TooLittle`] where fewer than two users or two items are left.
pub fn read(reader: impl Read, name: &str, schema: &Schema, watch: &mut dyn FnMut(Progress)) -> Result<Rows, DataError> {
    read_each(reader, name, schema, watch, &mut |_| {})
}

/// A row as the schema has it understood, for a person to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Understood {
    /// The line, from 1.
    pub line: u64,
    /// User, item and category as the file names them, the behaviour as it stands, the time in unix seconds; or why it is refused.
    pub row: Result<([String; 3], Behaviour, i64), String>,
}

/// [`read`], showing `each` row as it is understood.
///
/// # Errors
/// As [`read`].
pub fn read_each(
    reader: impl Read,
    name: &str,
    schema: &Schema,
    watch: &mut dyn FnMut(Progress),
    each: &mut dyn FnMut(&dyn Fn() -> Understood),
) -> Result<Rows, DataError> {
    let unreadable = |detail: String| DataError::Unreadable { name: name.into(), detail };
    let (kind, reader) = sniff::peek(reader).map_err(|error| unreadable(error.to_string()))?;
    if let Some(refusal) = kind.refusal(name, reader.get_ref().0.get_ref()) {
        return Err(refusal);
    }
    let mut lines = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(u8::try_from(schema.delimiter).unwrap_or(b','))
        .buffer_capacity(1 << 16)
        .from_reader(ShortLines::new(reader, LONGEST_LINE));
    let mut record = ByteRecord::new();
    let mut reading: Option<Reading<'_>> = None;
    let mut count: u64 = 0;
    loop {
        match lines.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(lines.get_ref().refusal(&error, name).unwrap_or_else(|| unreadable(error.to_string()))),
        }
        let line = record.position().map_or(0, csv::Position::line);
        match &mut reading {
            None => {
                let mut begun = Reading::begin(schema, &record, line, name)?;
                if !schema.header {
                    begun.add(&record, line, each);
                }
                reading = Some(begun);
            }
            Some(reading) => reading.add(&record, line, each),
        }
        count += 1;
        if count.is_multiple_of(TELL_EVERY) {
            watch(Progress::Lines(count));
        }
    }
    let Some(reading) = reading else {
        let (problem, advice) = ("is empty".into(), "Give a file with rows".into());
        return Err(DataError::TooLittle { name: name.into(), problem, advice });
    };
    watch(Progress::Sorting(reading.gathered.rows.len() as u64));
    reading.finish(name)
}

/// Ids that are numbers or text. A number that is not written in the shortest way is text: `007` is not `7`.
#[derive(Default)]
struct AnyIds {
    numbers: HashMap<u64, u32>,
    texts: HashMap<Box<[u8]>, u32>,
}

impl AnyIds {
    fn len(&self) -> u32 {
        (self.numbers.len() + self.texts.len()) as u32
    }

    fn of(&mut self, id: &[u8]) -> u32 {
        let next = self.len();
        let number = match id {
            b"0" => Some(0),
            [b'1'..=b'9', ..] => std::str::from_utf8(id).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        match number {
            Some(number) => *self.numbers.entry(number).or_insert(next),
            None => match self.texts.get(id) {
                Some(&known) => known,
                None => {
                    self.texts.insert(id.into(), next);
                    next
                }
            },
        }
    }
}

/// Rows that were refused for one reason.
struct Refused {
    reason: String,
    rows: u64,
    /// Line and value of the first.
    first: (u64, String),
}

struct Reading<'a> {
    schema: &'a Schema,
    places: [Option<usize>; 5],
    width: usize,
    users: AnyIds,
    items: AnyIds,
    categories: AnyIds,
    gathered: Gathered,
    /// Unix seconds from which times are counted: so far before the first row's that as much may come before it as after.
    start: Option<i64>,
    refused: Vec<Refused>,
}

/// What a row says.
struct Row<'r> {
    ids: [&'r [u8]; 3],
    behaviour: Behaviour,
    time: i64,
}

impl<'a> Reading<'a> {
    fn begin(schema: &'a Schema, first: &ByteRecord, line: u64, name: &str) -> Result<Self, DataError> {
        let cells: Vec<String> = first.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        let places = schema.places(&cells).map_err(|problem| DataError::Line {
            name: name.into(),
            line,
            problem,
            value: shown(&first.iter().collect::<Vec<_>>().join(&(schema.delimiter as u8))),
            advice: format!("Say with --columns which column is which; `duia inspect {name}` shows what can be guessed"),
        })?;
        Ok(Self {
            schema,
            places,
            width: first.len(),
            users: AnyIds::default(),
            items: AnyIds::default(),
            categories: AnyIds::default(),
            gathered: Gathered::default(),
            start: None,
            refused: Vec::new(),
        })
    }

    fn add(&mut self, record: &ByteRecord, line: u64, each: &mut dyn FnMut(&dyn Fn() -> Understood)) {
        let understood = self.understand(record);
        each(&|| Understood {
            line,
            row: match &understood {
                Ok(Row { ids, behaviour, time }) => Ok((ids.map(shown), *behaviour, *time)),
                Err((reason, value)) => Err(format!("{reason}, found \"{}\"", shown(value))),
            },
        });
        match understood {
            Ok(Row { ids: [user, item, category], behaviour, time }) => {
                let start = *self.start.get_or_insert(time - i64::from(SPAN / 2));
                let Some(seconds) = u32::try_from(time - start).ok().filter(|seconds| *seconds < SPAN) else {
                    return self.refuse(
                        "more than 17 years from the first row".into(),
                        line,
                        record.get(self.places[4].unwrap_or(0)).unwrap_or_default(),
                    );
                };
                let (user, item, category) = (self.users.of(user), self.items.of(item), self.categories.of(category));
                self.gathered.add(user, item, category, seconds, behaviour);
            }
            Err((reason, value)) => self.refuse(reason, line, &value),
        }
    }

    /// What a row says, or why it says nothing and the value that shows it.
    fn understand<'r>(&self, record: &'r ByteRecord) -> Result<Row<'r>, (String, Vec<u8>)> {
        if record.len() != self.width {
            let whole = record.iter().collect::<Vec<_>>().join(&(self.schema.delimiter as u8));
            return Err((format!("another number of columns than {}", self.width), whole));
        }
        let value = |field: usize| self.places[field].and_then(|place| record.get(place)).map(<[u8]>::trim_ascii);
        let id = |field: usize| match value(field) {
            Some([]) => Err((format!("no {}", Columns::FIELDS[field]), Vec::new())),
            Some(id) => Ok(id),
            None => Ok(b"".as_slice()),
        };
        let (user, item) = (id(0)?, id(1)?);
        let category = value(2).unwrap_or_default();
        let behaviour = match value(3) {
            None => Behaviour::View,
            Some(word) => {
                let known = std::str::from_utf8(word).ok().and_then(|word| self.schema.behaviour(word));
                known.ok_or_else(|| (format!("a behaviour that the schema does not name (`{}`)", shown(word)), word.to_vec()))?
            }
        };
        let time = value(4).unwrap_or_default();
        let time = seconds(time).ok_or_else(|| ("a time that is neither a number of seconds nor a date".into(), time.to_vec()))?;
        Ok(Row { ids: [user, item, category], behaviour, time })
    }

    fn refuse(&mut self, reason: String, line: u64, value: &[u8]) {
        let known = self.refused.iter().position(|refused| refused.reason == reason);
        match known.or((self.refused.len() > REASONS).then_some(REASONS)) {
            Some(at) => self.refused[at].rows += 1,
            None => {
                let reason = if self.refused.len() < REASONS { reason } else { "other reasons".into() };
                self.refused.push(Refused { reason, rows: 1, first: (line, shown(value)) });
            }
        }
    }

    fn finish(mut self, name: &str) -> Result<Rows, DataError> {
        let (unsorted, repeated) = self.gathered.sort();
        let mut refused: Vec<(String, u64)> = self
            .refused
            .iter()
            .map(|Refused { reason, rows, first: (line, value) }| (format!("{reason}, first in line {line}: \"{value}\""), *rows))
            .collect();
        if repeated > 0 {
            refused.push((REPEATED.into(), repeated));
        }
        if self.gathered.rows.is_empty() {
            let why =
                refused.first().map_or("it has no line after its header".into(), |(reason, rows)| format!("{rows} rows have {reason}"));
            let advice = format!("`duia inspect {name}` shows what can be guessed; --columns and --behaviors say it otherwise");
            return Err(DataError::TooLittle { name: name.into(), problem: format!("has no row left: {why}"), advice });
        }
        require_two(name, self.users.len(), self.items.len())?;
        let start = self.rebase();
        let notes = [noted(unsorted, UNSORTED), noted(self.gathered.other_category, OTHER_CATEGORY)].into_iter().flatten().collect();
        Ok(self.gathered.finish(name, start, self.users.len(), self.categories.len(), refused, notes))
    }

    /// Counts times from the first row's, and returns it.
    fn rebase(&mut self) -> i64 {
        let first = self.gathered.rows.first().map_or(0, |row| row.seconds());
        self.gathered.rows.iter_mut().for_each(|row| *row = row.earlier(first));
        self.start.unwrap_or_default() + i64::from(first)
    }
}
