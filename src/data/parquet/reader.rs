//! A table of somebody's own, read by the names of its columns: ids are whole numbers or text, times are timestamps, dates, numbers or
//! text. Row groups are read on all cores.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::reader::{ChunkReader, FileReader};
use ::parquet::file::serialized_reader::{SerializedFileReader, SerializedPageReader};
use ::parquet::schema::types::ColumnDescriptor;

use crate::data::features::known;
use crate::data::gather::{Columns as Gathering, Form, Gathered, Parsed};
use crate::data::ids::Keys;
use crate::data::names::Names;
use crate::data::own::{Refusals, Tally, Understood, Why, Words, kept_time, labelled};
use crate::data::schema::{Columns, FEATURES, Schema, seconds, unit_of};
use crate::data::stored::{Progress, Rows};
use crate::data::{Behaviour, DataError, shown};
use crate::platform::threads;

/// Rows that are read at once.
const BLOCK: usize = 1 << 18;

/// Reads and cleans a table under a schema, telling `watch` how far it is. Every thread opens it for itself.
///
/// # Errors
/// [`DataError::Unreadable`] for a table that is cut off, damaged or encrypted, [`DataError::Table`] where a column of the schema is not
/// there or of a type that is none of its own, [`DataError::TooLittle`] where fewer than two users or two items are left.
pub fn read<R: ChunkReader + 'static>(
    open: impl Fn() -> io::Result<R> + Sync,
    name: &str,
    schema: &Schema,
    watch: &mut dyn FnMut(Progress),
) -> Result<Rows, DataError> {
    read_shown(open, name, schema, watch, &mut Vec::new())
}

/// [`read`], showing the first rows as they are understood, whatever comes of the others.
///
/// # Errors
/// As [`read`].
pub fn read_shown<R: ChunkReader + 'static>(
    open: impl Fn() -> io::Result<R> + Sync,
    name: &str,
    schema: &Schema,
    watch: &mut dyn FnMut(Progress),
    first: &mut Vec<Understood>,
) -> Result<Rows, DataError> {
    read_all(open, name, schema, watch, first, None)
}

/// [`read`], keeping what the table calls its users and items.
///
/// # Errors
/// As [`read`].
pub fn read_named<R: ChunkReader + 'static>(
    open: impl Fn() -> io::Result<R> + Sync,
    name: &str,
    schema: &Schema,
    watch: &mut dyn FnMut(Progress),
    names: &mut Option<Names>,
) -> Result<Rows, DataError> {
    read_all(open, name, schema, watch, &mut Vec::new(), Some(names))
}

fn read_all<R: ChunkReader + 'static>(
    open: impl Fn() -> io::Result<R> + Sync,
    name: &str,
    schema: &Schema,
    watch: &mut dyn FnMut(Progress),
    first: &mut Vec<Understood>,
    known: Option<&mut Option<Names>>,
) -> Result<Rows, DataError> {
    let about = metadata(&open, name)?;
    let names = names(&about);
    let places = schema.places(&names).map_err(|problem| table(name, problem))?;
    for (field, place) in Columns::FIELDS.into_iter().zip(places) {
        place.map_or(Ok(()), |place| require_type(&about.file_metadata().schema_descr().column(place), field, name))?;
    }
    let features = schema.feature_places(&names).map_err(|problem| table(name, problem))?;
    for (field, places) in FEATURES.into_iter().zip(&features) {
        places.iter().try_for_each(|&place| require_type(&about.file_metadata().schema_descr().column(place), field, name))?;
    }
    let mut before = 0;
    let blocks = blocks(&about).into_iter().map(|block| {
        let numbered = (before, block);
        before += numbered.1.rows as u64;
        Ok(numbered)
    });
    let mut gathered = Gathered::new(threads(), schema.columns.features());
    let mut refusals = Refusals::default();
    let form = Table { open, sheet: Sheet(&about), name, schema, places, features };
    gathered.gather(&form, blocks, name, watch, &mut |tally| refusals.add(tally, first))?;
    watch(Progress::Sorting(gathered.rows()));
    refusals.finish(gathered, name, "row", known)
}

/// Rows of a table, as it says itself.
///
/// # Errors
/// [`DataError::Unreadable`] as [`read`].
pub fn rows<R: ChunkReader + 'static>(open: impl Fn() -> io::Result<R> + Sync, name: &str) -> Result<u64, DataError> {
    let rows = metadata(&open, name)?.file_metadata().num_rows();
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// The columns of a table that their names tell.
///
/// # Errors
/// [`DataError::Unreadable`] as [`read`], [`DataError::Table`] where the names tell no user, item or time.
pub fn columns<R: ChunkReader + 'static>(open: impl Fn() -> io::Result<R> + Sync, name: &str) -> Result<Columns, DataError> {
    let about = metadata(&open, name)?;
    let names = names(&about);
    Columns::named(&names).map_err(|why| table(name, format!("{why} by its name: it has {}", names.join(", "))))
}

pub(super) fn table(name: &str, problem: String) -> DataError {
    DataError::Table { name: name.into(), problem }
}

pub(super) fn metadata<R: ChunkReader + 'static>(open: &impl Fn() -> io::Result<R>, name: &str) -> Result<Arc<ParquetMetaData>, DataError> {
    unpanicked(name, || {
        let file = SerializedFileReader::new(open()?)?;
        Ok(Arc::new(file.metadata().clone()))
    })
}

/// The library's answer; it panics at some damaged tables.
pub(super) fn unpanicked<T>(name: &str, read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, DataError> {
    let damaged = |detail: String| DataError::Unreadable { name: name.into(), detail };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(answer) => answer.map_err(|error| damaged(error.to_string())),
        Err(_) => Err(damaged("the table is damaged".into())),
    }
}

fn names(about: &ParquetMetaData) -> Vec<String> {
    about.file_metadata().schema_descr().columns().iter().map(|column| column.path().string()).collect()
}

/// Refuses a column whose values can be none of its field.
fn require_type(column: &ColumnDescriptor, field: &str, name: &str) -> Result<(), DataError> {
    let (is_time, is_any) = (field == "time", FEATURES.contains(&field) || field.starts_with("label"));
    let fits = match column.physical_type() {
        Type::INT32 | Type::INT64 | Type::BYTE_ARRAY => true,
        Type::INT96 => is_time,
        Type::FLOAT | Type::DOUBLE | Type::BOOLEAN => is_any,
        _ => false,
    };
    let own = || format!("the column {} is a {}", column.path().string(), column.physical_type());
    if column.max_rep_level() > 0 {
        Err(table(name, format!("the column {} holds lists, and the {field} of a row is one value", column.path().string())))
    } else if fits {
        Ok(())
    } else if is_time {
        Err(table(name, format!("{}, and times are timestamps, dates, whole numbers or text", own())))
    } else {
        Err(table(name, format!("{}, and the {field} is a whole number or text: cast it first", own())))
    }
}

/// Rows of a row group.
#[derive(Clone, Copy)]
pub(super) struct Block {
    group: usize,
    from: usize,
    pub(super) rows: usize,
}

/// All rows of a table, in their order.
pub(super) fn blocks(about: &ParquetMetaData) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (group, about) in about.row_groups().iter().enumerate() {
        let rows = usize::try_from(about.num_rows()).unwrap_or(0);
        blocks.extend((0..rows).step_by(BLOCK).map(|from| Block { group, from, rows: BLOCK.min(rows - from) }));
    }
    blocks
}

struct Table<'a, O> {
    open: O,
    sheet: Sheet<'a>,
    name: &'a str,
    schema: &'a Schema,
    places: [Option<usize>; 7],
    /// Of the columns of users and of items.
    features: [Vec<usize>; 2],
}

/// The values of a column, none for a null.
pub(super) enum Cells {
    Whole(Vec<Option<i64>>),
    /// Unix seconds, of a column whose type says that it holds times.
    Times(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Text(Vec<Option<ByteArray>>),
}

impl Cells {
    /// A value as text, empty for a null; a time as Unix seconds.
    pub(super) fn text(&self, row: usize) -> Vec<u8> {
        match self {
            Self::Whole(values) | Self::Times(values) => values[row].map(|value| value.to_string().into_bytes()).unwrap_or_default(),
            Self::Real(values) => values[row].map(|value| value.to_string().into_bytes()).unwrap_or_default(),
            Self::Text(values) => values[row].as_ref().map(|text| text.data().trim_ascii().to_vec()).unwrap_or_default(),
        }
    }

    fn is_empty(&self, row: usize) -> bool {
        match self {
            Self::Whole(values) | Self::Times(values) => values[row].is_none(),
            Self::Real(values) => values[row].is_none(),
            Self::Text(_) => self.text(row).is_empty(),
        }
    }

    /// Unix seconds of a time. A number without a type counts in the unit that its size tells.
    fn time(&self, row: usize) -> Option<i64> {
        match self {
            Self::Times(values) => values[row],
            Self::Whole(values) => values[row].map(|value| value.div_euclid(unit_of(value))),
            // A time of another type was refused.
            Self::Real(_) => None,
            Self::Text(values) => seconds(values[row].as_ref()?.data().trim_ascii()),
        }
    }

    /// Adds a value to the keys of its column.
    fn push(&self, row: usize, keys: &mut Keys) {
        match self {
            Self::Whole(values) => match values[row].map(u64::try_from) {
                Some(Ok(number)) => keys.push(number),
                _ => keys.push_any(&self.text(row)),
            },
            Self::Text(values) => keys.push_any(values[row].as_ref().map(|text| text.data().trim_ascii()).unwrap_or_default()),
            Self::Times(_) | Self::Real(_) => keys.push_any(&self.text(row)),
        }
    }
}

/// What a table says of its columns.
#[derive(Clone, Copy)]
pub(super) struct Sheet<'a>(pub(super) &'a ParquetMetaData);

impl Sheet<'_> {
    pub(super) fn column(self, place: usize) -> Arc<ColumnDescriptor> {
        self.0.file_metadata().schema_descr().column(place)
    }

    /// The values of a column in some rows.
    pub(super) fn cells<R: ChunkReader + 'static>(self, file: &Arc<R>, block: Block, place: usize) -> Result<Cells, ParquetError> {
        let group = self.0.row_group(block.group);
        let pages = SerializedPageReader::new(file.clone(), group.column(place), group.num_rows() as usize, None)?;
        let column = self.column(place);
        let (is_optional, to_seconds) = (column.max_def_level() > 0, to_seconds(&column));
        let whole = |values: Vec<Option<i64>>| match to_seconds {
            Some(to_seconds) => Cells::Times(values.into_iter().map(|value| value.and_then(to_seconds)).collect()),
            None => Cells::Whole(values),
        };
        Ok(match get_column_reader(column, Box::new(pages)) {
            ColumnReader::Int32ColumnReader(reader) => {
                whole(values(reader, block, is_optional)?.into_iter().map(|value| value.map(i64::from)).collect())
            }
            ColumnReader::Int64ColumnReader(reader) => whole(values(reader, block, is_optional)?),
            ColumnReader::BoolColumnReader(reader) => {
                Cells::Whole(values(reader, block, is_optional)?.into_iter().map(|value| value.map(i64::from)).collect())
            }
            ColumnReader::FloatColumnReader(reader) => {
                Cells::Real(values(reader, block, is_optional)?.into_iter().map(|value| value.map(f64::from)).collect())
            }
            ColumnReader::DoubleColumnReader(reader) => Cells::Real(values(reader, block, is_optional)?),
            ColumnReader::ByteArrayColumnReader(reader) => Cells::Text(values(reader, block, is_optional)?),
            ColumnReader::Int96ColumnReader(reader) => {
                Cells::Times(values(reader, block, is_optional)?.into_iter().map(|time| time.map(|time| time.to_seconds())).collect())
            }
            _ => return Err(ParquetError::General("a column of a type that was refused".into())),
        })
    }
}

/// How the whole numbers of a column become Unix seconds, where its type says that they are times. Writers of before 2018 say so by a
/// converted type alone; every logical type that has one is read with it, so that nanoseconds alone are left.
fn to_seconds(column: &ColumnDescriptor) -> Option<fn(i64) -> Option<i64>> {
    match (column.converted_type(), column.logical_type_ref()) {
        (ConvertedType::TIMESTAMP_MILLIS, _) => Some(|value| Some(value.div_euclid(1_000))),
        (ConvertedType::TIMESTAMP_MICROS, _) => Some(|value| Some(value.div_euclid(1_000_000))),
        (ConvertedType::DATE, _) => Some(|days| days.checked_mul(86_400)),
        (_, Some(LogicalType::Timestamp(time))) if time.unit == TimeUnit::NANOS => Some(|value| Some(value.div_euclid(1_000_000_000))),
        _ => None,
    }
}

/// The values of a block.
fn values<T: DataType>(mut reader: ColumnReaderImpl<T>, block: Block, is_optional: bool) -> Result<Vec<Option<T::T>>, ParquetError> {
    let short = || ParquetError::General("a column ends before its table".into());
    if reader.skip_records(block.from)? != block.from {
        return Err(short());
    }
    let (mut levels, mut values) = (Vec::new(), Vec::with_capacity(block.rows));
    let mut rows = 0;
    while rows < block.rows {
        match reader.read_records(block.rows - rows, is_optional.then_some(&mut levels), None, &mut values)? {
            (0, ..) => return Err(short()),
            (read, ..) => rows += read,
        }
    }
    if !is_optional {
        return Ok(values.into_iter().map(Some).collect());
    }
    let (most, mut values) = (levels.iter().copied().max().unwrap_or(0), values.into_iter());
    let full = most.max(1);
    Ok(levels.into_iter().map(|level| if level == full { values.next() } else { None }).collect())
}

impl<R: ChunkReader + 'static, O: Fn() -> io::Result<R> + Sync> Form for Table<'_, O> {
    type Block = (u64, Block);
    type Tally = Tally;

    fn parse(&self, (before, block): (u64, Block)) -> Result<Parsed<Tally>, DataError> {
        let cells = unpanicked(self.name, || {
            let file = Arc::new((self.open)()?);
            let read = |place: Option<usize>| place.map(|place| self.sheet.cells(&file, block, place)).transpose();
            let of = |places: &Vec<usize>| places.iter().map(|&place| self.sheet.cells(&file, block, place)).collect::<Result<Vec<_>, _>>();
            let features = [of(&self.features[0])?, of(&self.features[1])?];
            let [user, item, category, behaviour, time, label, label2] = self.places.map(read);
            Ok(([user?, item?, category?, behaviour?, time?, label?, label2?], features))
        })?;
        let (cells, features) = cells;
        let [profiles, attributes] = features.each_ref().map(|columns| columns.iter().map(|_| Keys::default()).collect());
        let columns = Gathering { profiles, attributes, ..Gathering::default() };
        let mut parsed = Parsed { columns, lines: block.rows as u64, tally: Tally::default() };
        let mut words = Words::default();
        for row in 0..block.rows {
            let number = before + row as u64 + 1;
            let said = self.understand(&cells, row, &mut words);
            if before == 0 {
                let ids = || [0, 1, 2].map(|field: usize| cells[field].as_ref().map(|own| shown(&own.text(row))).unwrap_or_default());
                parsed.tally.show(number, said.as_ref().map(|(behaviour, time)| || (ids(), *behaviour, *time)));
            }
            match said {
                Ok((behaviour, time)) => {
                    let columns = &mut parsed.columns;
                    let keys = [&mut columns.users, &mut columns.items, &mut columns.categories];
                    cells.iter().zip(keys).for_each(|(cells, keys)| cells.iter().for_each(|cells| cells.push(row, keys)));
                    columns.behaviours.push(behaviour);
                    columns.times.push(time);
                    for (cells, keys) in features.iter().zip([&mut columns.profiles, &mut columns.attributes]) {
                        cells.iter().zip(keys).for_each(|(cells, keys)| keys.push_any(known(&cells.text(row))));
                    }
                }
                Err((reason, value)) => parsed.tally.refusals.refuse(reason, number, &value),
            }
        }
        Ok(parsed)
    }
}

impl<R: ChunkReader + 'static, O: Fn() -> io::Result<R> + Sync> Table<'_, O> {
    /// What was done in a row and when, or why it says nothing.
    fn understand(&self, cells: &[Option<Cells>; 7], row: usize, words: &mut Words) -> Result<(Behaviour, u32), Why> {
        let nothing = |field: usize| cells[field].as_ref().is_none_or(|cells| cells.is_empty(row));
        if let Some(field) = [0, 1].into_iter().find(|field| nothing(*field)) {
            return Err((format!("no {}", Columns::FIELDS[field]), Vec::new()));
        }
        let text = |field: usize| cells[field].as_ref().map(|cells| cells.text(row));
        let behaviour = match (text(3), text(5)) {
            (Some(word), _) => words.behaviour(self.schema, &word)?,
            (None, Some(label)) => labelled(self.schema.columns.least(), [Some(&label), text(6).as_deref()])?,
            (None, None) => Behaviour::View,
        };
        let value = || cells[4].as_ref().map(|cells| cells.text(row)).unwrap_or_default();
        let time = cells[4].as_ref().and_then(|cells| cells.time(row));
        Ok((behaviour, kept_time(time, value)?))
    }
}

#[cfg(test)]
mod tests {
    use ::parquet::data_type::{BoolType, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type};
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use ::parquet::schema::types::{ColumnPath, Type as SchemaType};
    use bytes::Bytes;

    use super::*;
    use crate::config::Config;
    use crate::counter::{Counter, Stream};
    use crate::data::Source;
    use crate::data::generator::Generator;
    use crate::data::output::{Format, write};

    fn open(bytes: &[u8]) -> impl Fn() -> io::Result<Bytes> + Sync {
        let bytes = Bytes::copy_from_slice(bytes);
        move || Ok(bytes.clone())
    }

    fn schema(columns: &str) -> Schema {
        Schema { delimiter: ',', header: true, columns: columns.parse().unwrap(), behaviors: Default::default() }
    }

    fn read_table(bytes: &[u8], columns: &str) -> Result<Rows, String> {
        read(open(bytes), "rows.parquet", &schema(columns), &mut |_| {}).map_err(|error| error.to_string())
    }

    /// The stream as a table and as text: the same rows.
    #[test]
    fn a_table_is_read_as_the_same_rows_as_text() {
        let stream = || Arc::new(Generator::new(&Config { rows: 300_000, ..Config::default() }));
        let made = |format| {
            let mut bytes = Vec::new();
            write(stream(), format, &mut bytes, &mut |_| true).unwrap();
            bytes
        };
        let table = made(Format::Parquet);
        let guessed = Schema { columns: columns(open(&table), "rows.parquet").unwrap(), ..schema("user=1,item=2,time=3") };
        let read = read(open(&table), "rows.csv", &guessed, &mut |_| {}).unwrap();
        let text = Rows::read(&made(Format::Csv)[..], "rows.csv").unwrap();
        assert!(read == text, "{} rows and {}", read.rows.len(), text.rows.len());
    }

    /// A table with columns of a type, of which every third value is a null.
    fn of_one<T: DataType>(column: &str, values: &[T::T]) -> Vec<u8> {
        let columns = format!("message t {{ optional {column}; required int64 user; required int64 item; required int64 ts; }}");
        let mut bytes = Vec::new();
        let mut file = SerializedFileWriter::new(&mut bytes, Arc::new(parse_message_type(&columns).unwrap()), Default::default()).unwrap();
        let mut group = file.next_row_group().unwrap();
        let levels: Vec<i16> = (0..values.len() * 3 / 2).map(|n| i16::from(n % 3 != 2)).collect();
        let mut first = group.next_column().unwrap().unwrap();
        first.typed::<T>().write_batch(values, Some(&levels), None).unwrap();
        first.close().unwrap();
        for of in [|n: i64| n % 5, |n| n % 7, |n| 1_511_550_000 + n] {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&(0..levels.len() as i64).map(of).collect::<Vec<_>>(), None, None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        file.close().unwrap();
        bytes
    }

    fn times(rows: &Rows) -> Vec<u32> {
        rows.rows.iter().map(|row| row.seconds).collect()
    }

    #[test]
    fn times_of_every_type_are_read_and_nulls_refused() {
        let seconds = 1_511_550_000_i64;
        let of = |bytes: Vec<u8>| read_table(&bytes, "user=user,item=item,time=x").unwrap();
        for (column, scale) in [
            ("int64 x", 1),
            ("int64 x", 1_000),
            ("int64 x (timestamp(millis,true))", 1_000),
            ("int64 x (timestamp(micros,false))", 1_000_000),
            ("int64 x (timestamp(nanos,true))", 1_000_000_000),
            ("int64 x (timestamp_millis)", 1_000),
            ("int64 x (timestamp_micros)", 1_000_000),
        ] {
            let rows = of(of_one::<Int64Type>(column, &[seconds * scale, (seconds + 9) * scale]));
            assert_eq!(times(&rows), [1_511_550_000, 1_511_550_009], "{column}");
            assert!(rows.refused[0].0.starts_with("a time that is neither") && rows.refused[0].0.contains("first in row 3"));
        }
        assert_eq!(times(&of(of_one::<Int32Type>("int32 x (date)", &[17_494, 17_495]))), [1_511_481_600, 1_511_568_000]);
        let texts = ["2017-11-25T00:00:00Z", "2017-11-25 00:00:09"].map(|text| ByteArray::from(text.as_bytes().to_vec()));
        assert_eq!(times(&of(of_one::<ByteArrayType>("binary x (string)", &texts))), [1_511_568_000, 1_511_568_009]);
    }

    /// A writer that knows no logical types.
    #[test]
    fn a_date_of_an_old_writer_is_a_date() {
        let of = |converted| {
            let column = SchemaType::primitive_type_builder("x", Type::INT32).with_converted_type(converted).build().unwrap();
            let column = ColumnDescriptor::new(Arc::new(column), 0, 0, ColumnPath::from("x"));
            assert!(column.logical_type_ref().is_none());
            to_seconds(&column)
        };
        assert_eq!(of(ConvertedType::DATE).and_then(|to_seconds| to_seconds(17_494)), Some(1_511_481_600));
        assert!(of(ConvertedType::INT_32).is_none());
    }

    #[test]
    fn labels_are_columns_of_any_number_and_nulls_are_refused() {
        let seconds = [10.0, 30.0, 29.5, f64::NAN];
        let texts = ["10", "30", "29.5", "often"].map(|text| ByteArray::from(text.as_bytes().to_vec()));
        for (table, columns, refused) in [
            (of_one::<DoubleType>("double x", &seconds), "label=x>=30", 3),
            (of_one::<FloatType>("float x", &seconds.map(|x| x as f32)), "label=x>=30", 3),
            (of_one::<ByteArrayType>("binary x (string)", &texts), "label=x>=30", 3),
            (of_one::<Int32Type>("int32 x", &[0, 1, 0, 1]), "label=x", 2),
            (of_one::<BoolType>("boolean x", &[false, true, false, true]), "label=x", 2),
        ] {
            let rows = read_table(&table, &format!("user=user,item=item,time=ts,{columns}")).unwrap();
            let taken: Vec<bool> = rows.iter().map(|event| event.behaviour.is_taken()).collect();
            assert_eq!(taken, &[false, true, false, true][..6 - refused], "{columns}");
            let said = &rows.refused[0].0;
            assert!(said.starts_with("a label that is no number") && said.contains("first in row 3"), "{said}");
        }
    }

    #[test]
    fn a_column_of_any_number_or_text_may_be_of_the_profile() {
        let texts = ["x", "y", "x", "null"].map(|text| ByteArray::from(text.as_bytes().to_vec()));
        for (table, values) in [
            (of_one::<DoubleType>("double x", &[0.5, 1.5, 0.5, f64::NAN]), [Some(0), Some(1)]),
            (of_one::<BoolType>("boolean x", &[true, false, true, false]), [Some(0), Some(1)]),
            (of_one::<ByteArrayType>("binary x (string)", &texts), [Some(0), Some(1)]),
        ] {
            let rows = read_table(&table, "user=user,item=item,time=ts,profile=x").unwrap();
            // The third row's value is a null, the fifth's is the user's first but one.
            assert_eq!([0, 1].map(|user| rows.profile(user, 0)), values);
            assert_eq!((rows.profile_fields(), rows.profile(2, 0)), (1, None));
        }
    }

    #[test]
    fn what_is_no_such_table_is_a_sentence() {
        let good = of_one::<Int64Type>("int64 x", &[1, 2, 3, 4]);
        let double = of_one::<DoubleType>("double x", &[0.5; 4]);
        let known = "user=user,item=item,time=ts";
        assert_eq!(read_table(&good, known).unwrap().rows.len(), 6);
        let cases: [(&[u8], &str, &[&str]); 6] = [
            (&good, "user=who,item=item,time=ts", &["no column `who`", "its header has x, user, item, ts"]),
            (&double, "user=x,item=item,time=ts", &["the column x is a DOUBLE", "whole number or text"]),
            (&double, "user=user,item=item,time=x", &["the column x is a DOUBLE", "timestamps"]),
            (&good[..good.len() - 9], known, &["rows.parquet cannot be read", "whole and readable"]),
            (b"PAR1", known, &["rows.parquet cannot be read"]),
            (b"", known, &["rows.parquet cannot be read"]),
        ];
        for (bytes, columns, parts) in cases {
            let said = read_table(bytes, columns).unwrap_err();
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
        let said = columns(open(&double), "rows.parquet").map(|columns| columns.all().map(|name| name.map(str::to_owned)));
        assert_eq!(said.unwrap()[0].as_deref(), Some("user"));
        let empty = of_one::<Int64Type>("int64 x", &[]);
        assert!(read_table(&empty, known).unwrap_err().contains("no row left"));
    }

    /// Bytes changed anywhere: rows or a sentence.
    #[test]
    fn no_damage_makes_it_panic() {
        let mut table = Vec::new();
        write(Arc::new(Generator::new(&Config { rows: 1_000, ..Config::default() })), Format::Parquet, &mut table, &mut |_| true).unwrap();
        let random = Counter::new(7, Stream::Choices);
        for case in 0..400 {
            let mut damaged = table.clone();
            damaged[random.below(2 * case, table.len() as u64) as usize] ^= 1 << random.below(2 * case + 1, 8);
            let _ = read_table(&damaged, "user=user_id,item=item_id,category=category_id,behavior=behavior,time=timestamp");
        }
    }
}
