//! Somebody's own file, read under a [`Schema`]: any delimiter, a header or none, ids that are numbers or text, times in any unit or as
//! dates, from 1970 to 2106.
//!
//! The form of UserBehavior.csv is one that its publisher promises, so [`super::csv`] stops at the first line that breaks it. Nobody
//! promises the form of these: a row that cannot be read is refused and counted by its reason, with the first line as an example.

mod preview;
mod reading;

use std::io::Read;

use csv::ByteRecord;

use super::blocks::{Block, Blocks};
use super::csv::{Progress, Rows, too_long};
use super::features::known;
use super::gather::{Form, Gathered, Parsed, require_two};
use super::ids::Keys;
use super::names::Names;
use super::schema::{Columns, Schema, seconds};
use super::share::{Share, lot_of_value};
use super::{Behaviour, DataError, gather, shown, sniff};
use crate::platform::threads;

pub use preview::{Column, Preview, columns, in_short, preview};
pub use reading::{Counts, Fits, Reading};

/// A longer line than this is no row.
const LONGEST_LINE: usize = 1 << 16;

/// Reasons that are told apart: a column that is no behaviour has a word a row.
const REASONS: usize = 20;

/// Words of a block whose meaning is kept at hand.
const WORDS: usize = 32;

/// Rows that [`read_shown`] shows.
const SHOWN: usize = 6;

/// Reads and cleans a file under a schema, telling `watch` how far it is.
///
/// # Errors
/// [`DataError::Unreadable`] where reading fails, [`DataError::Foreign`] for what is no text, [`DataError::Line`] where a column of the
/// schema is not there or a line is longer than any row, [`DataError::TooLittle`] where fewer than two users or two items are left.
pub fn read(reader: impl Read + Send, name: &str, schema: &Schema, watch: &mut dyn FnMut(Progress)) -> Result<Rows, DataError> {
    read_shown(reader, name, schema, watch, &mut Vec::new())
}

/// A row as the schema has it understood, for a person to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Understood {
    /// The line, from 1.
    pub line: u64,
    /// User, item and category as the file names them, the behaviour as it stands, the time in unix seconds; or why it is refused.
    pub row: Result<Shown, String>,
}

/// [`read`], showing the first rows as they are understood, whatever comes of the others.
///
/// # Errors
/// As [`read`].
pub fn read_shown(
    reader: impl Read + Send,
    name: &str,
    schema: &Schema,
    watch: &mut dyn FnMut(Progress),
    first: &mut Vec<Understood>,
) -> Result<Rows, DataError> {
    read_all(reader, name, schema, watch, first, None)
}

/// [`read`], keeping what the file calls its users and items.
///
/// # Errors
/// As [`read`].
pub fn read_named(
    reader: impl Read + Send,
    name: &str,
    schema: &Schema,
    watch: &mut dyn FnMut(Progress),
    names: &mut Option<Names>,
) -> Result<Rows, DataError> {
    read_all(reader, name, schema, watch, &mut Vec::new(), Some(names))
}

fn read_all(
    reader: impl Read + Send,
    name: &str,
    schema: &Schema,
    watch: &mut dyn FnMut(Progress),
    first: &mut Vec<Understood>,
    names: Option<&mut Option<Names>>,
) -> Result<Rows, DataError> {
    let unreadable = |detail: String| DataError::Unreadable { name: name.into(), detail };
    let (kind, reader) = sniff::peek(reader).map_err(|error| unreadable(error.to_string()))?;
    if let Some(refusal) = kind.refusal(name, reader.get_ref().0.get_ref()) {
        return Err(refusal);
    }
    let mut blocks = Blocks::new(reader, name, Some(delimiter(schema)));
    let mut begun = Vec::new();
    let lines = loop {
        let Some(block) = blocks.next().transpose()? else { return Err(empty(name)) };
        let lines = Lines::of(schema, &block, name)?;
        begun.push(Ok(block));
        if let Some(lines) = lines {
            break lines;
        }
    };
    let mut gathered = Gathered::new(if blocks.is_over() { 1 } else { threads() }, schema.columns.features());
    let mut refusals = Refusals::default();
    gathered.gather(&lines, begun.into_iter().chain(blocks), name, watch, &mut |tally| refusals.add(tally, first))?;
    watch(Progress::Sorting(gathered.rows()));
    refusals.finish(gathered, name, "line", names)
}

fn empty(name: &str) -> DataError {
    DataError::TooLittle { name: name.into(), problem: "is empty".into(), advice: "Give a file with rows".into() }
}

fn delimiter(schema: &Schema) -> u8 {
    u8::try_from(schema.delimiter).unwrap_or(b',')
}

/// Rows that were refused, by reason.
#[derive(Default)]
pub(super) struct Refusals(Vec<Refused>);

/// Rows that were refused for one reason.
struct Refused {
    reason: String,
    rows: u64,
    /// Line and value of the first.
    first: (u64, String),
}

impl Refusals {
    /// Adds what is counted of a block, and to `first` its rows that are shown.
    pub fn add(&mut self, tally: Tally, first: &mut Vec<Understood>) {
        tally.refusals.0.into_iter().for_each(|refused| self.count(refused));
        first.extend(tally.first);
        first.truncate(SHOWN);
    }

    fn count(&mut self, refused: Refused) {
        let known = self.0.iter().position(|known| known.reason == refused.reason);
        match known.or((self.0.len() > REASONS).then_some(REASONS)) {
            Some(at) => self.0[at].rows += refused.rows,
            None if self.0.len() < REASONS => self.0.push(refused),
            None => self.0.push(Refused { reason: "other reasons".into(), ..refused }),
        }
    }

    /// Counts a row.
    pub fn refuse(&mut self, reason: String, line: u64, value: &[u8]) {
        self.count(Refused { reason, rows: 1, first: (line, shown(value)) });
    }

    /// How many rows there are.
    fn rows(&self) -> u64 {
        self.0.iter().map(|refused| refused.rows).sum()
    }

    /// Reasons with the first line, or the first row of a table, that has each, and how many have.
    fn told(self, unit: &str) -> Vec<(String, u64)> {
        let told = |Refused { reason, rows, first: (line, value) }| (format!("{reason}, first in {unit} {line}: \"{value}\""), rows);
        self.0.into_iter().map(told).collect()
    }

    /// The rows that are left, of lines or of rows of a table.
    pub fn finish(self, gathered: Gathered, name: &str, unit: &str, names: Option<&mut Option<Names>>) -> Result<Rows, DataError> {
        let refused = self.told(unit);
        if gathered.rows() == 0 {
            let why =
                refused.first().map_or(format!("it has no {unit} with values"), |(reason, rows)| format!("{rows} rows have {reason}"));
            return Err(DataError::Columns { name: name.into(), problem: format!(" has no row left: {why}") });
        }
        require_two(name, gathered.named())?;
        Ok(gathered.finish(name, refused, Vec::new(), names))
    }
}

/// What is counted of a block beside its rows.
#[derive(Default)]
pub(super) struct Tally {
    pub refusals: Refusals,
    /// Rows of users who are not in the share.
    left_out: u64,
    /// The first rows of the file.
    first: Vec<Understood>,
}

/// Ids as the file names them, the behaviour and the time of a row.
pub type Shown = ([String; 3], Behaviour, u32);

impl Tally {
    /// Shows a row, if it is among the first.
    pub fn show(&mut self, line: u64, said: Result<impl FnOnce() -> Shown, &Why>) {
        if self.first.len() < SHOWN {
            let row = match said {
                Ok(row) => Ok(row()),
                Err((reason, value)) => Err(format!("{reason}, found \"{}\"", shown(value))),
            };
            self.first.push(Understood { line, row });
        }
    }
}

/// The lines of a file.
struct Lines<'a> {
    name: &'a str,
    schema: &'a Schema,
    places: [Option<usize>; 7],
    /// Of the columns of users and of items.
    features: [Vec<usize>; 2],
    /// From which value on each label is 1.
    least: [f64; 2],
    width: usize,
    /// The line of the first record.
    first: u64,
    /// The users whose rows are read.
    share: Share,
}

/// What a row says.
struct Said<'r> {
    ids: [&'r [u8]; 3],
    behaviour: Behaviour,
    time: u32,
}

/// Why a row says nothing, and the value that shows it.
pub(super) type Why = (String, Vec<u8>);

impl<'a> Lines<'a> {
    /// As the first record of a block tells; nothing where it has none.
    fn of(schema: &'a Schema, block: &Block, name: &'a str) -> Result<Option<Self>, DataError> {
        let mut record = ByteRecord::new();
        // Memory is always readable.
        if !records(schema, block).read_byte_record(&mut record).unwrap_or(false) {
            return Ok(None);
        }
        let first = line_of(&record, block);
        let cells: Vec<String> = record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        let (places, features) =
            schema.places(&cells).and_then(|places| Ok((places, schema.feature_places(&cells)?))).map_err(|problem| {
                let value = shown(&record.iter().collect::<Vec<_>>().join(&delimiter(schema)));
                DataError::Columns { name: name.into(), problem: format!(", line {first}: {problem}, found \"{value}\"") }
            })?;
        Ok(Some(Self {
            name,
            schema,
            places,
            features,
            least: schema.columns.least(),
            width: record.len(),
            first,
            share: Share::default(),
        }))
    }

    fn add(&self, fields: &[&[u8]], line: u64, words: &mut Words, parsed: &mut Parsed<Tally>, shows: bool) {
        if fields == [b""] || self.schema.header && line == self.first {
            return;
        }
        let said = self.understand(fields, words);
        if shows {
            let shown = said.as_ref().map(|Said { ids, behaviour, time }| || (ids.map(shown), *behaviour, *time));
            parsed.tally.show(line, shown);
        }
        match said {
            Ok(Said { ids: [user, ..], .. }) if !self.share.has(|| lot_of_value(user)) => parsed.tally.left_out += 1,
            Ok(Said { ids: [user, item, category], behaviour, time }) => {
                let columns = &mut parsed.columns;
                columns.users.push_any(user);
                columns.items.push_any(item);
                if self.places[2].is_some() {
                    columns.categories.push_any(category);
                }
                columns.behaviours.push(behaviour);
                columns.times.push(time);
                for (places, keys) in self.features.iter().zip([&mut columns.profiles, &mut columns.attributes]) {
                    places.iter().zip(keys).for_each(|(&place, keys)| keys.push_any(known(fields[place].trim_ascii())));
                }
            }
            Err((reason, value)) => parsed.tally.refusals.refuse(reason, line, &value),
        }
    }

    /// What a row says, or why it says nothing.
    fn understand<'r>(&self, fields: &[&'r [u8]], words: &mut Words) -> Result<Said<'r>, Why> {
        if fields.len() != self.width {
            return Err((format!("another number of columns than {}", self.width), fields.join(&delimiter(self.schema))));
        }
        let value = |field: usize| self.places[field].map(|place| fields[place].trim_ascii());
        let id = |field: usize| match value(field) {
            Some([]) => Err((format!("no {}", Columns::FIELDS[field]), Vec::new())),
            Some(id) => Ok(id),
            None => Ok(b"".as_slice()),
        };
        let (user, item) = (id(0)?, id(1)?);
        let category = value(2).unwrap_or_default();
        let behaviour = match (value(3), value(5)) {
            (Some(word), _) => words.behaviour(self.schema, word)?,
            (None, Some(label)) => labelled(self.least, [Some(label), value(6)])?,
            (None, None) => Behaviour::View,
        };
        let time = value(4).unwrap_or_default();
        let time = kept_time(seconds(time), || time.to_vec())?;
        Ok(Said { ids: [user, item, category], behaviour, time })
    }
}

/// What a row of two labels is (E1), the second one 0 where there is none; or why it cannot be told.
pub(super) fn labelled(least: [f64; 2], labels: [Option<&[u8]>; 2]) -> Result<Behaviour, Why> {
    let label = |which: usize| match labels[which] {
        None => Ok(false),
        Some(text) => match std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok()) {
            Some(number) if number.is_finite() => Ok(number >= least[which]),
            _ => Err((format!("a {} that is no number", Columns::FIELDS[5 + which]), text.to_vec())),
        },
    };
    Ok(Behaviour::of_labels([label(0)?, label(1)?]))
}

/// Unix seconds that can be kept, or why they cannot.
pub(super) fn kept_time(time: Option<i64>, value: impl Fn() -> Vec<u8>) -> Result<u32, Why> {
    let time = time.ok_or_else(|| ("a time that is neither a number of seconds nor a date".into(), value()))?;
    u32::try_from(time).map_err(|_| ("a time before 1970 or after 2106".into(), value()))
}

/// What words of the behaviour's column mean: there are few of them, and the look is dear.
#[derive(Default)]
pub(super) struct Words(Vec<(Box<[u8]>, Behaviour)>);

impl Words {
    /// The meaning of a word.
    pub fn behaviour(&mut self, schema: &Schema, word: &[u8]) -> Result<Behaviour, Why> {
        if let Some((_, behaviour)) = self.0.iter().find(|(known, _)| **known == *word) {
            return Ok(*behaviour);
        }
        let meant = std::str::from_utf8(word).ok().and_then(|word| schema.behaviour(word));
        let behaviour = meant.ok_or_else(|| (format!("a behaviour that the schema does not name (`{}`)", shown(word)), word.to_vec()))?;
        if self.0.len() < WORDS {
            self.0.push((word.into(), behaviour));
        }
        Ok(behaviour)
    }
}

/// The records of a block by the standard, values in quotes included.
fn records<'b>(schema: &Schema, block: &'b Block) -> csv::Reader<&'b [u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter(schema)).from_reader(&*block.text)
}

/// The line in which a record begins; the library counts from the blank ones before it.
fn line_of(record: &ByteRecord, block: &Block) -> u64 {
    let (byte, line) = record.position().map_or((0, 1), |position| (position.byte() as usize, position.line()));
    let blank = block.text[byte..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).filter(|byte| **byte == b'\n').count();
    block.line - 1 + line + blank as u64
}

/// Whether each line is a record and each delimiter parts values: without quotes, and line feeds alone or after a carriage return.
fn is_plain(text: &[u8]) -> bool {
    memchr::memchr(b'"', text).is_none() && memchr::memchr_iter(b'\r', text).all(|at| text.get(at + 1) == Some(&b'\n'))
}

impl Form for Lines<'_> {
    type Block = Block;
    type Tally = Tally;

    fn parse(&self, block: Block) -> Result<Parsed<Tally>, DataError> {
        if let Some((line, _)) = block.numbered().find(|(_, line)| line.len() > LONGEST_LINE) {
            return Err(too_long(self.name, line, LONGEST_LINE));
        }
        let [profiles, attributes] = self.features.each_ref().map(|places| places.iter().map(|_| Keys::default()).collect());
        let columns = gather::Columns { profiles, attributes, ..Default::default() };
        let mut parsed = Parsed { columns, lines: block.lines, tally: Tally::default() };
        let (mut words, shows) = (Words::default(), block.line <= self.first);
        let delimiter = delimiter(self.schema);
        if is_plain(&block.text) {
            let mut fields = Vec::with_capacity(self.width);
            for (number, line) in block.numbered() {
                fields.clear();
                fields.extend(line.strip_suffix(b"\r").unwrap_or(line).split(|byte| *byte == delimiter));
                self.add(&fields, number, &mut words, &mut parsed, shows);
            }
            return Ok(parsed);
        }
        let (mut reader, mut record) = (records(self.schema, &block), ByteRecord::new());
        // Memory is always readable.
        while reader.read_byte_record(&mut record).unwrap_or(false) {
            let fields: Vec<&[u8]> = record.iter().collect();
            self.add(&fields, line_of(&record, &block), &mut words, &mut parsed, shows);
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Counter, Stream};
    use crate::data::Source;

    fn schema() -> Schema {
        let columns = "user=who,item=what,category=kind,behavior=did,time=when".parse().unwrap();
        Schema { delimiter: ';', header: true, columns, behaviors: Default::default() }
    }

    /// The same values with quotes around some of them, and with carriage returns: the fast way and the library's give the same rows.
    #[test]
    fn quotes_change_nothing_but_the_way_of_reading() {
        let random = Counter::new(3, Stream::Choices);
        let value = |n: u64, lane: u64, below: u64| random.lane(lane).below(n, below);
        let text = |quote: &str, end: &str| {
            let line = |n: u64| {
                let who = ["ada", "007", "7", "-7"][value(n, 0, 4) as usize];
                let did = ["view", "buy", "gaze"][value(n, 1, 3) as usize];
                format!("{who};{quote}item {}{quote};{};{did};2017-11-25 01:{:02}:00{end}", value(n, 2, 90), value(n, 3, 5), n % 60)
            };
            format!("who;what;kind;did;when{end}{end}{}", (0..60_000).map(line).collect::<String>())
        };
        let read = |text: &str| {
            let mut first = Vec::new();
            let rows = read_shown(text.as_bytes(), "own.csv", &schema(), &mut |_| {}, &mut first).unwrap();
            (rows, first)
        };
        let (plain, first) = read(&text("", "\n"));
        assert!(!plain.rows.is_empty() && plain.refused[0].0.contains("`gaze`") && first.len() == SHOWN && first[0].line == 3);
        for (quote, end) in [("\"", "\n"), ("", "\r\n"), ("\"", "\r\n")] {
            let (rows, shown) = read(&text(quote, end));
            assert!(rows == plain && shown == first, "{quote:?} {end:?}");
        }
    }

    #[test]
    fn labels_of_rows_are_read_by_their_thresholds() {
        let columns = "user=u,item=i,time=t,label=clicked,label2=seconds>=30".parse().unwrap();
        let schema = Schema { delimiter: ',', header: true, columns, behaviors: Default::default() };
        let text = "u,i,t,clicked,seconds\na,x,1600000000,0,0\na,y,1600000001,1,29.5\nb,x,1600000002,1,30\nb,y,1600000003,0,40\nb,z,1600000004,no,1\n";
        let rows = read(text.as_bytes(), "feed.csv", &schema, &mut |_| {}).unwrap();
        let behaviours: Vec<(u32, Behaviour)> = rows.iter().map(|event| (event.user, event.behaviour)).collect();
        assert_eq!(behaviours, [(0, Behaviour::Shown), (0, Behaviour::View), (1, Behaviour::Buy), (1, Behaviour::Stayed)]);
        let refused = &rows.refused;
        assert!(refused.len() == 1 && refused[0].0.contains("a label that is no number") && refused[0].0.contains("line 6"), "{refused:?}");
    }

    /// The same profiles by the fast way, by the library's, and in pieces with any share of the users; columns that are not there are told.
    #[test]
    fn columns_of_users_and_items_are_their_features() {
        let columns = "user=u,item=i,time=t,profile=city,profile=age,attribute=i".parse().unwrap();
        let schema = Schema { delimiter: ',', header: true, columns, behaviors: Default::default() };
        let text = |quote: &str| {
            let line = |n: u64| {
                let user = (37 * n + n / 301) % 301;
                let city = if n < 150 || user.is_multiple_of(7) { "null".into() } else { format!("{quote}city {}{quote}", user % 5) };
                format!("{user},{},{},{city},{}\n", n % 11, 1_600_000_000 + n, 18 + user % 70)
            };
            format!("u,i,t,city,age\n{}", (0..4_000).map(line).collect::<String>())
        };
        let rows = read(text("").as_bytes(), "own.csv", &schema, &mut |_| {}).unwrap();
        assert!(rows == read(text("\"").as_bytes(), "own.csv", &schema, &mut |_| {}).unwrap());
        // Five cities in a field, ages of 70 values in eighths, eleven items in two fields.
        let notes = [
            "city is a field of 5 values of each user",
            "age has 70 values: its field tells eighths, by users",
            "i is two fields of each item, which tell its 11 values apart",
        ];
        assert!(rows.profile_fields() == 2 && rows.notes.ends_with(&notes.map(String::from)), "{:?}", rows.notes);
        let values = |item: u32| [0, 1].map(|field| rows.attribute(item, field));
        assert!(rows.item_fields() == 2 && (1..11).all(|item| (0..item).all(|other| values(item) != values(other))));
        let known = (0..rows.vocabulary().users).filter(|user| rows.profile(*user, 0).is_some()).count();
        assert!(known > 100 && known < rows.vocabulary().users as usize);
        assert!((0..rows.vocabulary().users).all(|user| rows.profile(user, 1).is_some_and(|eighth| eighth < 8)));

        let fits: Fits<'_> = &|vocabulary, _| vocabulary.users < 90;
        let mut reading = Reading::new("own.csv", &schema);
        reading.take(text("").as_bytes(), fits).unwrap();
        let (few, is_all) = reading.finish(fits).unwrap();
        let city = |rows: &Rows, second: u32| {
            rows.iter().find(|event| event.time == i64::from(second)).and_then(|event| rows.profile(event.user, 0))
        };
        let seconds: Vec<u32> = few.rows.iter().map(|row| row.seconds).collect();
        let alike = |a: &u32, b: &u32| (city(&few, *a) == city(&few, *b)) == (city(&rows, *a) == city(&rows, *b));
        assert!(!is_all && few.vocabulary().users > 20 && seconds.windows(2).all(|pair| alike(&pair[0], &pair[1])));

        let columns = "user=u,item=i,time=t,profile=town".parse().unwrap();
        let refused = read(text("").as_bytes(), "own.csv", &Schema { columns, ..schema }, &mut |_| {}).unwrap_err().to_string();
        assert!(refused.contains("there is no column `town`: its header has u, i, t, city, age"), "{refused}");
    }

    /// A line feed within quotes is part of a value, and lines count on.
    #[test]
    fn lines_within_quotes_are_counted() {
        let text = "who;what;kind;did;when\n1;\"a\nb\";x;view;1511550000\n2;c;x;view;1511550001\n3;c;x;view;noon\n";
        let rows = read(text.as_bytes(), "own.csv", &schema(), &mut |_| {}).unwrap();
        assert_eq!(
            (rows.rows.len(), &*rows.refused[0].0),
            (2, "a time that is neither a number of seconds nor a date, first in line 5: \"noon\"")
        );
    }

    #[test]
    fn times_of_two_centuries_are_kept_and_others_refused() {
        let text = "who;what;kind;did;when\n1;a;x;view;1970-01-01\n2;b;x;view;2106-02-07\n1;b;x;view;1969-12-31\n1;b;x;view;2106-02-08\n";
        let rows = read(text.as_bytes(), "own.csv", &schema(), &mut |_| {}).unwrap();
        let times: Vec<u32> = rows.rows.iter().map(|row| row.seconds).collect();
        assert_eq!((times, rows.refused[0].1), (vec![0, 4_294_944_000], 2));
        assert!(rows.refused[0].0.starts_with("a time before 1970 or after 2106, first in line 4"), "{:?}", rows.refused);
    }
}
