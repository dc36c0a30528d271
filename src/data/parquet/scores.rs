//! Scores as a table.

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::Type;

use super::writer::io_error;
use crate::data::requests::Request;

/// Writes rows and their scores as a table: who, what and when as text, each score as a float that may be null.
pub struct Scores<W: Write + Send>(SerializedFileWriter<W>);

impl<W: Write + Send> Scores<W> {
    /// Begins a file whose columns are called so.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(file: W, who: &[String; 3], scores: &[String]) -> io::Result<Self> {
        let text = |name: &String| {
            let column = Type::primitive_type_builder(name, Physical::BYTE_ARRAY).with_repetition(Repetition::REQUIRED);
            column.with_logical_type(Some(LogicalType::String)).build().map(Arc::new)
        };
        let number =
            |name: &String| Type::primitive_type_builder(name, Physical::FLOAT).with_repetition(Repetition::OPTIONAL).build().map(Arc::new);
        let columns: Result<Vec<_>, ParquetError> = who.iter().map(text).chain(scores.iter().map(number)).collect();
        let schema = Type::group_type_builder("scores").with_fields(columns.map_err(io_error)?).build().map_err(io_error)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map(Self).map_err(io_error)
    }

    /// Writes rows as one row group; `scores` has a list of one a row for each column.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, rows: &[Request], scores: &[Vec<Option<f32>>]) -> io::Result<()> {
        let mut group = self.0.next_row_group().map_err(io_error)?;
        for part in [|row: &Request| &row.user, |row| &row.item, |row| &row.time] as [fn(&Request) -> &Vec<u8>; 3] {
            let texts: Vec<ByteArray> =
                rows.iter().map(|row| ByteArray::from(String::from_utf8_lossy(part(row)).into_owned().into_bytes())).collect();
            column::<ByteArrayType, W>(&mut group, &texts, None)?;
        }
        for scores in scores {
            let there: Vec<i16> = scores.iter().map(|score| i16::from(score.is_some())).collect();
            column::<FloatType, W>(&mut group, &scores.iter().flatten().copied().collect::<Vec<f32>>(), Some(&there))?;
        }
        group.close().map_err(io_error)?;
        Ok(())
    }

    /// Ends the file; without it there is no table.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn finish(self) -> io::Result<()> {
        self.0.close().map(|_| ()).map_err(io_error)
    }
}

fn column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    there: Option<&[i16]>,
) -> io::Result<()> {
    let mut column = group.next_column().map_err(io_error)?.ok_or_else(|| io::Error::other("the table has no more columns"))?;
    column.typed::<T>().write_batch(values, there, None).map_err(io_error)?;
    column.close().map_err(io_error)
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::RowAccessor;
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_table_of_scores_is_read_back() {
        let rows = [["007", "a", "2017"], ["8", "b", "1511550000"], ["9", "c", "x"]].map(|[user, item, time]| Request {
            user: user.into(),
            item: item.into(),
            time: time.into(),
        });
        let mut bytes = Vec::new();
        let mut table = Scores::new(&mut bytes, &["uid", "sku", "ts"].map(String::from), &["ple_a".into(), "ple_b".into()]).unwrap();
        table.write(&rows[..2], &[vec![Some(0.5), None], vec![Some(-1.25), None]]).unwrap();
        table.write(&rows[2..], &[vec![Some(3.0)], vec![Some(4.0)]]).unwrap();
        table.finish().unwrap();
        let file = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        let names: Vec<String> =
            file.metadata().file_metadata().schema_descr().columns().iter().map(|column| column.path().string()).collect();
        assert_eq!(names, ["uid", "sku", "ts", "ple_a", "ple_b"]);
        let read: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!((read.len(), read[0].get_string(0).unwrap().as_str(), read[0].get_float(4).unwrap()), (3, "007", -1.25));
        assert!(read[1].get_float(3).is_err() && read[2].get_float(3).unwrap() == 3.0);
    }
}
