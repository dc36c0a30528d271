//! A table as text, for whoever reads text alone: the page.

use std::io;
use std::sync::Arc;

use ::parquet::basic::{Compression, Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::reader::ChunkReader;
use ::parquet::schema::types::ColumnDescriptor;

use super::reader::{Sheet, blocks, metadata, table, unpanicked};
use crate::data::DataError;

/// Rows of a piece of text, and all there are.
pub type Rows = [u64; 2];

/// Gives `sink` a table as CSV, piece by piece, with how many rows that were and how many there are: the names of the columns in the first
/// line, then a line a row. Times are Unix seconds, a null is an empty value. Returns the columns that it leaves out, because their values
/// are not one number or text each.
///
/// # Errors
/// [`DataError::Unreadable`] for a table that is cut off, damaged or encrypted, [`DataError::Table`] where it is packed by a method that is
/// not known here or has no column that can be text.
pub fn text<R: ChunkReader + 'static>(
    open: impl Fn() -> io::Result<R>,
    name: &str,
    sink: &mut dyn FnMut(Vec<u8>, Rows),
) -> Result<Vec<String>, DataError> {
    let about = metadata(&open, name)?;
    let columns = about.file_metadata().schema_descr().columns();
    let (kept, left_out): (Vec<usize>, Vec<usize>) = (0..columns.len()).partition(|&place| is_text(&columns[place]));
    let names = |places: &[usize]| places.iter().map(|&place| columns[place].path().string()).collect::<Vec<_>>();
    if kept.is_empty() {
        return Err(table(name, "no column holds one number or text a row".into()));
    }
    require_unpacked(&about, &kept, name, cfg!(not(target_family = "wasm")))?;
    let of = u64::try_from(about.file_metadata().num_rows()).unwrap_or(0);
    sink(lines(name, [names(&kept).into_iter().map(String::into_bytes)].into_iter())?, [0, of]);
    let (sheet, mut done) = (Sheet(&about), 0);
    for block in blocks(&about) {
        let cells = unpanicked(name, || {
            let file = Arc::new(open()?);
            kept.iter().map(|&place| sheet.cells(&file, block, place)).collect::<Result<Vec<_>, ParquetError>>()
        })?;
        let row = |row: usize| cells.iter().map(move |cells| cells.text(row));
        done += block.rows as u64;
        sink(lines(name, (0..block.rows).map(row))?, [done, of]);
    }
    Ok(names(&left_out))
}

/// Whether a column holds one number or text a row.
fn is_text(column: &ColumnDescriptor) -> bool {
    let is_number = matches!(column.physical_type(), Type::INT32 | Type::INT64 | Type::INT96 | Type::FLOAT | Type::DOUBLE | Type::BOOLEAN);
    column.max_rep_level() == 0 && (is_number || column.physical_type() == Type::BYTE_ARRAY)
}

/// Refuses what is packed by a method that this program does not have; `has_zstd` of a browser's is false.
fn require_unpacked(about: &ParquetMetaData, places: &[usize], name: &str, has_zstd: bool) -> Result<(), DataError> {
    let packed = about.row_groups().iter().flat_map(|group| places.iter().map(|&place| group.column(place).compression()));
    let is_known = |packed: &Compression| match packed {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) => true,
        Compression::ZSTD(_) => has_zstd,
        _ => false,
    };
    let Some(unknown) = packed.into_iter().find(|packed| !is_known(packed)) else { return Ok(()) };
    let method = unknown.to_string();
    let method = method.split('(').next().unwrap_or_default();
    Err(table(name, format!("its columns are packed by {method}, which cannot be unpacked here: write it once more with Snappy or gzip")))
}

/// Lines of CSV.
fn lines(name: &str, rows: impl Iterator<Item = impl Iterator<Item = Vec<u8>>>) -> Result<Vec<u8>, DataError> {
    let failed = |detail: String| DataError::Unreadable { name: name.into(), detail };
    let mut text = csv::Writer::from_writer(Vec::new());
    for row in rows {
        text.write_record(row).map_err(|error| failed(error.to_string()))?;
    }
    text.into_inner().map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use bytes::Bytes;

    use super::*;
    use crate::config::Config;
    use crate::data::generator::Generator;
    use crate::data::output::{Format, write};

    fn open(bytes: &[u8]) -> impl Fn() -> io::Result<Bytes> + Sync + use<> {
        let bytes = Bytes::copy_from_slice(bytes);
        move || Ok(bytes.clone())
    }

    fn as_text(bytes: &[u8]) -> Result<(String, Vec<String>, Vec<Rows>), DataError> {
        let (mut all, mut counts) = (Vec::new(), Vec::new());
        let left_out = text(open(bytes), "rows.parquet", &mut |piece, rows| {
            all.extend(piece);
            counts.push(rows);
        })?;
        Ok((String::from_utf8(all).unwrap(), left_out, counts))
    }

    #[test]
    fn the_stream_is_the_same_text_as_its_own_csv() {
        let made = |format| {
            let mut bytes = Vec::new();
            write(Arc::new(Generator::new(&Config { rows: 300_000, ..Config::default() })), format, &mut bytes, &mut |_| true).unwrap();
            bytes
        };
        let (text, left_out, counts) = as_text(&made(Format::Parquet)).unwrap();
        let csv = String::from_utf8(made(Format::Csv)).unwrap();
        let (head, rows) = text.split_once('\n').unwrap();
        assert_eq!(head, "user_id,item_id,category_id,behavior,timestamp");
        assert!(rows.lines().eq(csv.lines()), "the rows differ");
        assert!(left_out.is_empty());
        assert!(counts.len() > 2 && counts.first() == Some(&[0, 300_000]) && counts.last() == Some(&[300_000; 2]), "{counts:?}");
    }

    /// A time, a date, a number, a text with everything that CSV must quote, a list; a null in each.
    fn odd(packed: Compression) -> Vec<u8> {
        let columns = "message t { optional int64 at (timestamp(millis,true)); optional int32 day (date); optional double x;
            optional binary what (string); repeated int64 many; }";
        let properties = WriterProperties::builder().set_compression(packed).build();
        let mut bytes = Vec::new();
        let mut file = SerializedFileWriter::new(&mut bytes, Arc::new(parse_message_type(columns).unwrap()), Arc::new(properties)).unwrap();
        let mut group = file.next_row_group().unwrap();
        let levels = Some(&[1, 0, 1][..]);
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[1_511_550_000_999, -1], levels, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int32Type>().write_batch(&[17_495, 0], levels, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[0.5, 3.0], levels, None).unwrap();
        column.close().unwrap();
        let texts = ["a, \"b\"\nc", "höher"].map(|text| ByteArray::from(text.as_bytes().to_vec()));
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts, levels, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[1, 2, 3], Some(&[1, 1, 1]), Some(&[0, 0, 0])).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        file.close().unwrap();
        bytes
    }

    #[test]
    fn times_are_seconds_nulls_are_empty_texts_are_quoted_and_lists_left_out() {
        for packed in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::GZIP(Default::default())] {
            let (text, left_out, _) = as_text(&odd(packed)).unwrap();
            assert_eq!(text, "at,day,x,what\n1511550000,1511568000,0.5,\"a, \"\"b\"\"\nc\"\n,,,\n-1,0,3,höher\n");
            assert_eq!(left_out, ["many"]);
        }
    }

    #[test]
    fn what_cannot_be_text_is_a_sentence() {
        let bytes = odd(Compression::ZSTD(Default::default()));
        assert!(as_text(&bytes).is_ok());
        let about = metadata(&open(&bytes), "rows.parquet").unwrap();
        let said = require_unpacked(&about, &[0], "rows.parquet", false).unwrap_err().to_string();
        assert!(said.contains("packed by ZSTD") && said.contains("Snappy or gzip"), "{said}");
        let cut = as_text(&bytes[..bytes.len() - 9]).unwrap_err().to_string();
        assert!(cut.contains("rows.parquet cannot be read"), "{cut}");
    }

    /// Bytes changed anywhere: text or a sentence.
    #[test]
    fn no_damage_makes_it_panic() {
        let table = odd(Compression::SNAPPY);
        for place in 0..table.len() {
            let mut damaged = table.clone();
            damaged[place] ^= 0x10;
            let _ = as_text(&damaged);
        }
    }
}
