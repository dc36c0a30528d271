//! What the beginning of a file tells, before all of it is read: its columns, and its first rows as a schema has them understood.

use csv::ByteRecord;

use super::{Lines, Refusals, Understood, delimiter, empty};
use crate::data::blocks::{Block, Blocks, end_of_records};
use crate::data::gather::Form;
use crate::data::schema::Schema;
use crate::data::sniff::{Kind, LOOK};
use crate::data::{DataError, shown};

/// Values of a column that are told.
const VALUES: usize = 12;

/// Records that are looked at for the values of columns.
const RECORDS: usize = 5_000;

/// A column of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What a schema calls it: its name in the header where no other column has it, or its number from 1.
    pub key: String,
    /// Its first values, each once, shortened.
    pub values: Vec<String>,
}

/// The columns of a file that begins with `first`.
pub fn columns(first: &[u8], schema: &Schema) -> Vec<Column> {
    let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
    let block = Block { text: first.to_vec(), line: 1, lines: 0, is_cut: false };
    let (mut reader, mut record) = (super::records(schema, &block), ByteRecord::new());
    let mut columns: Vec<Column> = Vec::new();
    // Memory is always readable.
    for row in 0..RECORDS {
        if !reader.read_byte_record(&mut record).unwrap_or(false) {
            break;
        }
        let cells = || record.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned());
        if row == 0 {
            let names: Vec<String> = if schema.header { cells().collect() } else { vec![String::new(); record.len()] };
            let is_own = |name: &String| !name.is_empty() && names.iter().filter(|other| *other == name).count() == 1;
            let key = |(at, name): (usize, &String)| if is_own(name) { name.clone() } else { (at + 1).to_string() };
            columns = names.iter().enumerate().map(key).map(|key| Column { key, values: Vec::new() }).collect();
            if schema.header {
                continue;
            }
        }
        for (column, cell) in columns.iter_mut().zip(cells()) {
            if column.values.len() < VALUES && !cell.is_empty() && !column.values.contains(&cell) {
                column.values.push(cell);
            }
        }
    }
    columns
}

/// What a schema makes of the beginning of a file.
#[derive(Debug, Default)]
pub struct Preview {
    /// The first rows as they are understood.
    pub first: Vec<Understood>,
    /// Rows that would be kept, but for repetitions.
    pub rows: u64,
    /// Rows that would be refused, by reason, with the first of each.
    pub refused: Vec<(String, u64)>,
}

/// Reads the beginning of a file, which `is_whole` where the file has no more, as all of it would be read.
///
/// # Errors
/// As [`super::read`], but for what only the whole file can tell.
pub fn preview(first: &[u8], is_whole: bool, name: &str, schema: &Schema) -> Result<Preview, DataError> {
    let look = &first[..first.len().min(LOOK as usize)];
    if let Some(refusal) = Kind::of(look).refusal(name, look) {
        return Err(refusal);
    }
    let end = if is_whole { first.len() } else { end_of_records(first, delimiter(schema)) };
    // Where a quote is never closed, or a line never ends, all is given to who says so.
    let text = if end == 0 { first } else { &first[..end] };
    let (mut lines, mut refusals, mut preview) = (None, Refusals::default(), Preview::default());
    for block in Blocks::new(text, name, Some(delimiter(schema))) {
        let block = block?;
        if lines.is_none() {
            lines = Lines::of(schema, &block, name)?;
        }
        let Some(lines) = &lines else { continue };
        let parsed = lines.parse(block)?;
        preview.rows += parsed.columns.times.len() as u64;
        refusals.add(parsed.tally, &mut preview.first);
    }
    if lines.is_none() {
        return Err(empty(name));
    }
    preview.refused = refusals.told("line");
    if is_whole && preview.rows == 0 && preview.refused.is_empty() {
        return Err(DataError::Columns { name: name.into(), problem: " has no row left: it has no line with values".into() });
    }
    Ok(preview)
}

/// A value as a list of choices shows it.
pub fn in_short(value: &str) -> String {
    shown(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Behaviour;

    const SHOP: &str =
        "id;who;what;did;when;who\n1;ada;\"tea;\nblack\";view;2020-01-02;x\n2;bob;oil;gaze;2020-01-03;y\n3;ada;oil;buy;noon;z\n";

    fn schema(columns: &str) -> Schema {
        Schema { delimiter: ';', header: true, columns: columns.parse().unwrap(), behaviors: Default::default() }
    }

    #[test]
    fn columns_have_keys_that_a_schema_finds_them_by() {
        let schema = schema("user=2,item=what,behavior=did,time=when");
        let all = columns(SHOP.as_bytes(), &schema);
        let keys: Vec<&str> = all.iter().map(|column| &*column.key).collect();
        assert_eq!(keys, ["id", "2", "what", "did", "when", "6"], "two columns are called who");
        assert_eq!(all[2].values, ["tea;\nblack", "oil"]);
        let bare = Schema { header: false, ..schema.clone() };
        let all = columns(SHOP.as_bytes(), &bare);
        assert_eq!((&*all[1].key, &*all[1].values[0], all[1].values.len()), ("2", "who", 3));
        assert!(columns(b"", &bare).is_empty());
    }

    #[test]
    fn a_beginning_is_read_as_the_whole_would_be() {
        let schema = schema("user=2,item=what,behavior=did,time=when");
        let of = |text: &str, is_whole| preview(text.as_bytes(), is_whole, "shop.csv", &schema).unwrap();
        let all = of(SHOP, true);
        assert_eq!((all.rows, all.refused.len(), all.first.len()), (1, 2, 3));
        assert!(all.first[0].row.as_ref().is_ok_and(|(ids, did, _)| ids[1] == "tea;\\nblack" && *did == Behaviour::View));
        assert!(all.refused[1].0.contains("neither a number of seconds nor a date, first in line 5"), "{:?}", all.refused);
        // What is cut off in the middle of a row is not refused for it.
        for end in SHOP.find("bob").unwrap()..SHOP.len() {
            let part = of(&SHOP[..end], false);
            assert!(part.first == all.first[..part.first.len()] && part.rows == 1, "{end}");
        }
    }

    #[test]
    fn what_is_no_beginning_of_rows_is_said() {
        let schema = schema("user=who,item=what,time=when");
        let said = |text: &[u8], is_whole| preview(text, is_whole, "shop.csv", &schema).unwrap_err().to_string();
        assert!(said(b"", true).contains("is empty"));
        assert!(said(b"\x1f\x8b\x08\0", false).contains("a gzip archive"));
        assert!(said(b"a;b\n1;2\n", true).contains("no column `who`"));
        assert!(said(b"who;what;when\n", true).contains("no line with values"));
        let open = format!("who;what;when\n{}", "1;2;1600000000\n".repeat(10) + "\"1;" + &"2;1600000000\n".repeat(200_000));
        assert!(said(open.as_bytes(), true).contains("a quote opens a value here"));
        // The beginning alone may just be cut within a value.
        assert_eq!(preview(open.as_bytes(), false, "shop.csv", &schema).unwrap().rows, 10);
    }
}
