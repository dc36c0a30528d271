//! Rows as files that other programs read: CSV in the form of UserBehavior.csv, or Parquet.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

#[cfg(feature = "parquet")]
use super::parquet;
use super::{Behaviour, Event, Source};

/// Rows that are written at once.
const CHUNK: usize = 1 << 17;

/// Chunks that may wait for the writer.
const AHEAD: usize = 4;

/// A form of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `user,item,category,behavior,unix seconds`, no header.
    Csv,
    /// The same five columns by name.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Format {
    /// The format that a file's ending means.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            #[cfg(feature = "parquet")]
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

impl Behaviour {
    /// The word of UserBehavior.csv, and ours for what was not taken.
    pub fn word(self) -> &'static str {
        match self {
            Self::View => "pv",
            Self::Cart => "cart",
            Self::Favourite => "fav",
            Self::Buy => "buy",
            Self::Shown => "shown",
            Self::Stayed => "stayed",
        }
    }
}

/// Writes the rows of a source while a thread of its own makes them; memory does not grow with their number. Tells `watch` how many
/// are written, and ends early where it says no. Returns how many were written.
///
/// # Errors
/// Where the file cannot be written.
pub fn write<W: Write + Send>(source: Arc<dyn Source>, format: Format, file: W, watch: &mut dyn FnMut(u64) -> bool) -> io::Result<u64> {
    let mut writer = match format {
        Format::Csv => Writer::Csv(file, Vec::new()),
        #[cfg(feature = "parquet")]
        Format::Parquet => Writer::Parquet(parquet::Writer::new(file)?),
    };
    std::thread::scope(|scope| {
        let (sender, chunks) = sync_channel(AHEAD);
        scope.spawn(move || {
            let mut rows = source.events();
            loop {
                let chunk: Vec<Event> = rows.by_ref().take(CHUNK).collect();
                // The writer has gone where it failed or was told to stop.
                if chunk.is_empty() || sender.send(chunk).is_err() {
                    return;
                }
            }
        });
        let mut written = 0;
        for chunk in chunks {
            writer.write(&chunk)?;
            written += chunk.len() as u64;
            if !watch(written) {
                break;
            }
        }
        writer.finish()?;
        Ok(written)
    })
}

enum Writer<W: Write + Send> {
    /// The file, and text on its way there.
    Csv(W, Vec<u8>),
    #[cfg(feature = "parquet")]
    Parquet(parquet::Writer<W>),
}

impl<W: Write + Send> Writer<W> {
    fn write(&mut self, rows: &[Event]) -> io::Result<()> {
        match self {
            Self::Csv(file, text) => {
                text.clear();
                for Event { user, item, category, behaviour, time } in rows {
                    writeln!(text, "{user},{item},{category},{},{time}", behaviour.word())?;
                }
                file.write_all(text)
            }
            #[cfg(feature = "parquet")]
            Self::Parquet(file) => file.write(rows),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Csv(mut file, _) => file.flush(),
            #[cfg(feature = "parquet")]
            Self::Parquet(file) => file.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::data::generator::Generator;

    fn stream(rows: u64) -> Arc<Generator> {
        Arc::new(Generator::new(&Config { rows, ..Config::default() }))
    }

    /// More rows than a chunk has, each as the generator makes it.
    #[test]
    fn a_file_holds_the_rows_of_the_generator() {
        let rows = 2 * CHUNK as u64 + 5;
        let (mut text, mut told) = (Vec::new(), Vec::new());
        let watch = &mut |done| {
            told.push(done);
            true
        };
        assert_eq!(write(stream(rows), Format::Csv, &mut text, watch).unwrap(), rows);
        assert_eq!(told, [CHUNK as u64, 2 * CHUNK as u64, rows]);
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines();
        for event in stream(rows).events() {
            let values: Vec<&str> = lines.next().unwrap().split(',').collect();
            let expected = [event.user.to_string(), event.item.to_string(), event.category.to_string(), event.time.to_string()];
            assert_eq!([values[0], values[1], values[2], values[4]], expected.each_ref().map(|text| &**text));
            assert_eq!(Behaviour::ALL.iter().position(|b| b.word() == values[3]), Some(event.behaviour as usize));
        }
        assert_eq!(lines.next(), None);
    }

    /// Ids are numbered anew and repetitions left out; all else is the same.
    #[test]
    fn a_file_is_read_back_as_the_same_rows() {
        let mut text = Vec::new();
        write(stream(50_000), Format::Csv, &mut text, &mut |_| true).unwrap();
        let read = super::super::csv::Rows::read(&text[..], "rows.csv").unwrap();
        let (mut users, mut items, mut had) = (Vec::new(), Vec::new(), std::collections::HashSet::new());
        let id = |ids: &mut Vec<u32>, own: u32| {
            ids.iter().position(|known| *known == own).unwrap_or_else(|| {
                ids.push(own);
                ids.len() - 1
            }) as u32
        };
        let expected: Vec<Event> = stream(50_000)
            .events()
            .map(|event| Event { user: id(&mut users, event.user), item: id(&mut items, event.item), ..event })
            .filter(|event| had.insert((event.user, event.item, event.behaviour as u8, event.time)))
            .collect();
        let read: Vec<Event> = read.iter().collect();
        assert_eq!(read.len(), expected.len());
        for (own, other) in read.iter().zip(&expected) {
            assert_eq!((own.user, own.item, own.behaviour, own.time), (other.user, other.item, other.behaviour, other.time));
        }
    }

    #[test]
    fn writing_ends_where_it_is_told_to_or_fails() {
        let mut text = Vec::new();
        assert_eq!(write(stream(3 * CHUNK as u64), Format::Csv, &mut text, &mut |_| false).unwrap(), CHUNK as u64);
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = write(stream(2_000), Format::Csv, Full, &mut |_| true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
