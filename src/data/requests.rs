//! Rows to be scored: who, what and when, as a file names them and in its order. They are read as they come, so a file may be of any
//! size.

use std::io::Read;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::schema::{Columns, Schema, seconds};
use super::{DataError, sniff};

/// A row to be scored, as it stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Who.
    pub user: Vec<u8>,
    /// What.
    pub item: Vec<u8>,
    /// When.
    pub time: Vec<u8>,
}

impl Request {
    /// Unix seconds; none where the time is no time, or before 1970 or after 2106.
    pub fn seconds(&self) -> Option<u32> {
        seconds(self.time.trim_ascii()).and_then(|seconds| u32::try_from(seconds).ok())
    }
}

/// The rows of a file.
pub struct Requests<R> {
    records: Reader<R>,
    name: String,
    /// What the file calls user, item and time.
    columns: [String; 3],
    places: [usize; 3],
    /// The first record, where it is no header.
    first: Option<ByteRecord>,
}

impl<R: Read> Requests<R> {
    /// Begins to read a file under a schema, of which only user, item and time matter. `first` are the bytes that the file begins with.
    ///
    /// # Errors
    /// [`DataError::Foreign`] for what is no text, [`DataError::Line`] where the first line lacks a column, [`DataError::TooLittle`] for
    /// an empty file.
    pub fn new(reader: R, name: &str, schema: &Schema, first: &[u8]) -> Result<Self, DataError> {
        if let Some(refusal) = sniff::Kind::of(first).refusal(name, first) {
            return Err(refusal);
        }
        let Columns { user, item, time, .. } = schema.columns.clone();
        let schema = Schema { columns: Columns { user, item, time, ..Columns::default() }, ..schema.clone() };
        let delimiter = u8::try_from(schema.delimiter).unwrap_or(b',');
        let mut records = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(reader);
        let mut record = ByteRecord::new();
        let is_there = records.read_byte_record(&mut record).map_err(|error| unreadable(name, &error))?;
        if !is_there {
            let (problem, advice) = ("is empty".into(), "Give a file with rows".into());
            return Err(DataError::TooLittle { name: name.into(), problem, advice });
        }
        let fields: Vec<String> = record.iter().map(|field| String::from_utf8_lossy(field).trim().to_owned()).collect();
        let places = schema.places(&fields).map_err(|problem| DataError::Line {
            name: name.into(),
            line: 1,
            problem,
            value: super::shown(&fields.join(&schema.delimiter.to_string()).into_bytes()),
            advice: "Say with --columns which column is which, like user=user_id,item=item_id,time=timestamp".into(),
        })?;
        let [user, item, time] = [0, 1, 4].map(|field| places[field].unwrap_or(0));
        let called = |place: usize, usual: &str| if schema.header { fields[place].clone() } else { usual.to_owned() };
        Ok(Self {
            columns: [called(user, "user"), called(item, "item"), called(time, "time")],
            places: [user, item, time],
            first: (!schema.header).then_some(record),
            records,
            name: name.into(),
        })
    }

    /// What the file calls user, item and time.
    pub fn columns(&self) -> &[String; 3] {
        &self.columns
    }
}

impl<R: Read> Iterator for Requests<R> {
    type Item = Result<Request, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = match self.first.take() {
            Some(record) => record,
            None => {
                let mut record = ByteRecord::new();
                match self.records.read_byte_record(&mut record) {
                    Ok(true) => record,
                    Ok(false) => return None,
                    Err(error) => return Some(Err(unreadable(&self.name, &error))),
                }
            }
        };
        let [user, item, time] = self.places.map(|place| record.get(place).unwrap_or_default().to_vec());
        Some(Ok(Request { user, item, time }))
    }
}

fn unreadable(name: &str, error: &csv::Error) -> DataError {
    DataError::Unreadable { name: name.into(), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, schema: &Schema) -> Result<Vec<Request>, DataError> {
        Requests::new(text.as_bytes(), "rows.csv", schema, text.as_bytes())?.collect()
    }

    #[test]
    fn rows_come_as_they_stand_and_in_their_order() {
        let guessed = |text: &str| Schema::guess(text.as_bytes()).unwrap().schema;
        let text = "when;who;\"what\"\n2017-11-25 01:00;007;\"a;\"\"b\"\"\"\n\nlater;8\n";
        let schema = Schema {
            delimiter: ';',
            header: true,
            columns: "user=who,item=what,time=when".parse().unwrap(),
            behaviors: Default::default(),
        };
        let rows = read(text, &schema).unwrap();
        let request = |user: &str, item: &str, time: &str| Request { user: user.into(), item: item.into(), time: time.into() };
        assert_eq!(rows, [request("007", "a;\"b\"", "2017-11-25 01:00"), request("8", "", "later")]);
        assert_eq!((rows[0].seconds(), rows[1].seconds()), (Some(1_511_571_600), None));
        // A form that nobody said, and a schema with columns that scoring does not need.
        let known = "1,2,3,pv,1511550000\n4,5,6,buy,1511550001000\n";
        assert_eq!(read(known, &guessed(known)).unwrap()[1], request("4", "5", "1511550001000"));
        assert_eq!(read(known, &guessed(known)).unwrap()[1].seconds(), Some(1_511_550_001));
        let more = Schema { columns: "user=who,item=what,category=kind,behavior=did,time=when".parse().unwrap(), ..schema.clone() };
        assert_eq!(read(text, &more).unwrap(), rows);
    }

    #[test]
    fn what_is_no_such_file_is_a_sentence() {
        let schema = Schema {
            delimiter: ',',
            header: true,
            columns: "user=who,item=what,time=when".parse().unwrap(),
            behaviors: Default::default(),
        };
        let said = |text: &str| read(text, &schema).unwrap_err().to_string();
        assert!(said("who,thing,when\n").contains("rows.csv, line 1: there is no column `what`: its header has who, thing, when"));
        assert!(said("").contains("is empty"));
        assert!(said("PAR1xxxx").contains("rows.csv is"), "{}", said("PAR1xxxx"));
    }
}
