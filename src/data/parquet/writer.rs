//! Rows as a table.

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;
use bytes::Bytes;

use crate::data::{Behaviour, Event};

/// The columns that [`Writer`] writes.
const COLUMNS: &str = "message rows {
    required int64 user_id;
    required int64 item_id;
    required int64 category_id;
    required binary behavior (string);
    required int64 timestamp;
}";

/// Writes rows as a table; each chunk is a row group.
pub struct Writer<W: Write + Send>(SerializedFileWriter<W>);

impl<W: Write + Send> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(file: W) -> io::Result<Self> {
        let schema = parse_message_type(COLUMNS).map_err(io_error)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).map(Self).map_err(io_error)
    }

    /// Writes rows as one row group.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, rows: &[Event]) -> io::Result<()> {
        let words = Behaviour::OF_ROWS.map(|behaviour| ByteArray::from(Bytes::from_static(behaviour.word().as_bytes())));
        let whole = |value: fn(&Event) -> i64| rows.iter().map(value).collect::<Vec<i64>>();
        let mut group = self.0.next_row_group().map_err(io_error)?;
        column::<Int64Type, W>(&mut group, &whole(|row| row.user.into()))?;
        column::<Int64Type, W>(&mut group, &whole(|row| row.item.into()))?;
        column::<Int64Type, W>(&mut group, &whole(|row| row.category.into()))?;
        column::<ByteArrayType, W>(&mut group, &rows.iter().map(|row| words[row.behaviour as usize].clone()).collect::<Vec<_>>())?;
        column::<Int64Type, W>(&mut group, &whole(|row| row.time))?;
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

/// Writes the next column of a row group.
fn column<T: DataType, W: Write + Send>(group: &mut SerializedRowGroupWriter<'_, W>, values: &[T::T]) -> io::Result<()> {
    let mut column = group.next_column().map_err(io_error)?.ok_or_else(|| io::Error::other("the table has no more columns"))?;
    column.typed::<T>().write_batch(values, None, None).map_err(io_error)?;
    column.close().map_err(io_error)
}

/// What the system said, where it was the system.
pub(super) fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other),
    }
}
