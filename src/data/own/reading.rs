//! A file that comes in pieces, as a browser gives it: the same rows whatever the pieces, of as many users as fit.

use std::io::{self, Read};
use std::iter::once;

use super::{Lines, Refusals, empty};
use crate::data::blocks::{BLOCK, Block, Blocks};
use crate::data::gather::Gathered;
use crate::data::schema::Schema;
use crate::data::share::Share;
use crate::data::sniff::{Kind, LOOK};
use crate::data::stored::Rows;
use crate::data::{DataError, Vocabulary};

/// Whether so many rows of so many users and items fit.
pub type Fits<'a> = &'a dyn Fn(Vocabulary, u64) -> bool;

/// A file that is being read under a schema.
pub struct Reading<'a> {
    name: &'a str,
    schema: &'a Schema,
    blocks: Blocks<'a, Pieces>,
    /// What the kind of the file was looked at by.
    is_known: bool,
    /// None before the first record.
    lines: Option<Lines<'a>>,
    gathered: Gathered,
    refusals: Refusals,
    share: Share,
    /// Rows of users who are not in the share.
    left_out: u64,
}

/// How far the reading is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines read.
    pub lines: u64,
    /// Rows kept.
    pub rows: u64,
    /// Rows refused.
    pub refused: u64,
}

impl<'a> Reading<'a> {
    /// Nothing is read yet.
    pub fn new(name: &'a str, schema: &'a Schema) -> Self {
        Self {
            name,
            schema,
            blocks: Blocks::new(Pieces::default(), name, Some(super::delimiter(schema))),
            is_known: false,
            lines: None,
            gathered: Gathered::new(1, schema.columns.features()),
            refusals: Refusals::default(),
            share: Share::default(),
            left_out: 0,
        }
    }

    /// Takes the next bytes of the file in, keeping rows of as many users as fit.
    ///
    /// # Errors
    /// As [`super::read`].
    pub fn take(&mut self, piece: &[u8], fits: Fits<'_>) -> Result<(), DataError> {
        self.blocks.reader().push(piece);
        // A block is cut as from a reader that gives all it is asked for.
        while self.blocks.reader().len() >= BLOCK {
            self.next(fits)?;
        }
        Ok(())
    }

    /// The rows, once the file has no more bytes, and whether they are of all users.
    ///
    /// # Errors
    /// As [`super::read`], and [`DataError::TooLittle`] where fewer than two users fit.
    pub fn finish(mut self, fits: Fits<'_>) -> Result<(Rows, bool), DataError> {
        while self.next(fits)? {}
        if self.lines.is_none() {
            return Err(empty(self.name));
        }
        let Self { name, gathered, refusals, share, left_out, .. } = self;
        let kept = gathered.named().0;
        if !share.is_all() && kept < 2 {
            let problem = "has users of so many rows that no two of them fit into the memory here".into();
            let advice = "Use a part of its rows, or lower the sizes of the model".into();
            return Err(DataError::TooLittle { name: name.into(), problem, advice });
        }
        let mut rows = refusals.finish(gathered, name, "line", None)?;
        if !share.is_all() {
            rows.notes.insert(0, said(kept, share, left_out));
        }
        Ok((rows, share.is_all()))
    }

    /// How far it is.
    pub fn counts(&self) -> Counts {
        Counts { lines: self.gathered.lines(), rows: self.gathered.rows(), refused: self.refusals.rows() }
    }

    /// Reads a block, where there is one.
    fn next(&mut self, fits: Fits<'_>) -> Result<bool, DataError> {
        if !self.is_known {
            let first = self.blocks.reader().first();
            if let Some(refusal) = Kind::of(first).refusal(self.name, first) {
                return Err(refusal);
            }
            self.is_known = true;
        }
        let Some(block) = self.blocks.next().transpose()? else { return Ok(false) };
        self.read(block)?;
        self.thin(fits)?;
        Ok(true)
    }

    fn read(&mut self, block: Block) -> Result<(), DataError> {
        if self.lines.is_none() {
            self.lines = Lines::of(self.schema, &block, self.name)?;
        }
        // A block without a record has blank lines alone.
        let Some(lines) = &self.lines else { return Ok(()) };
        let (refusals, left_out) = (&mut self.refusals, &mut self.left_out);
        self.gathered.gather(lines, once(Ok(block)), self.name, &mut |_| {}, &mut |tally| {
            *left_out += tally.left_out;
            refusals.add(tally, &mut Vec::new());
        })
    }

    /// Halves the share of users until the rows fit.
    fn thin(&mut self, fits: Fits<'_>) -> Result<(), DataError> {
        let Some(lines) = &mut self.lines else { return Ok(()) };
        while !fits(self.gathered.vocabulary(), self.gathered.rows()) {
            let Some(half) = self.share.halved() else {
                let (problem, advice) = ("does not fit into the memory here".into(), "Lower the sizes of the model".into());
                return Err(DataError::TooLittle { name: self.name.into(), problem, advice });
            };
            let before = self.gathered.rows();
            self.gathered.keep(half);
            self.left_out += before - self.gathered.rows();
            (self.share, lines.share) = (half, half);
        }
        Ok(())
    }
}

fn said(kept: u32, share: Share, left_out: u64) -> String {
    let about = share.of_about(kept);
    format!("{kept} of about {about} users, chosen by a hash, were kept so that the run fits; {left_out} rows of the others were left out")
}

/// Bytes that came and were not read yet.
#[derive(Default)]
struct Pieces {
    bytes: Vec<u8>,
    read: usize,
}

impl Pieces {
    fn push(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(piece);
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.read
    }

    /// The beginning of what is still to be read.
    fn first(&self) -> &[u8] {
        let left = &self.bytes[self.read..];
        &left[..left.len().min(LOOK as usize)]
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&self.bytes[self.read..]).read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::counter::{Counter, Stream};
    use crate::data::{Source, own};

    const EVERYTHING: Fits<'_> = &|_, _| true;

    fn schema() -> Schema {
        let columns = "user=who,item=what,category=kind,behavior=did,time=when".parse().unwrap();
        Schema { delimiter: ';', header: true, columns, behaviors: BTreeMap::new() }
    }

    /// A file of so many rows, with refused ones, quotes and line feeds within them, texts and numbers for ids.
    fn file(rows: u64) -> String {
        let random = Counter::new(8, Stream::Choices);
        let mut text = String::from("\u{feff}\nwho;what;kind;did;when\n");
        for n in 0..rows {
            let lane = random.lane(n);
            let user = lane.below(0, 3_000);
            let who = if user.is_multiple_of(3) { format!("user {user}") } else { user.to_string() };
            let what = lane.below(1, 9_000);
            let what = if what.is_multiple_of(7) { format!("\"item;\n{what}\"") } else { what.to_string() };
            let did = ["gaze", "buy", "view"][lane.below(2, 40).min(2) as usize];
            text += &format!("{who};{what};{};{did};{}\n", lane.below(3, 50), 1_600_000_000 + n * 7 % 90_000);
        }
        text
    }

    fn in_pieces(text: &str, sizes: &[usize], fits: Fits<'_>) -> Result<Rows, DataError> {
        let schema = schema();
        let mut reading = Reading::new("own.csv", &schema);
        let (mut rest, mut sizes) = (text.as_bytes(), sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            reading.take(piece, fits)?;
            rest = after;
        }
        reading.finish(fits).map(|(rows, is_whole)| {
            assert_eq!(is_whole, !rows.notes.iter().any(|note| note.contains("chosen by a hash")));
            rows
        })
    }

    #[test]
    fn whatever_the_pieces_the_rows_are_those_of_the_whole() {
        let text = file(120_000);
        assert!(text.len() > 3 * BLOCK);
        let whole = own::read(text.as_bytes(), "own.csv", &schema(), &mut |_| {}).unwrap();
        assert!(!whole.refused.is_empty());
        for sizes in [&[1 << 16][..], &[1, 4_095, 3 * BLOCK], &[BLOCK], &[BLOCK - 1, 2], &[usize::MAX], &[977]] {
            assert!(in_pieces(&text, sizes, EVERYTHING).unwrap() == whole, "{sizes:?}");
        }
    }

    /// Against the rows of the whole file, filtered: the users who are left have all their rows, and nobody else has any.
    #[test]
    fn where_not_all_fit_whole_users_stay_whatever_the_pieces() {
        let text = file(120_000);
        let fits: Fits<'_> = &|_, rows| rows <= 30_000;
        let some = in_pieces(&text, &[1 << 16], fits).unwrap();
        for sizes in [&[usize::MAX][..], &[12_345]] {
            assert!(in_pieces(&text, sizes, fits).unwrap() == some, "{sizes:?}");
        }
        assert!((15_000..=30_000).contains(&some.rows()), "{}", some.rows());
        let whole = own::read(text.as_bytes(), "own.csv", &schema(), &mut |_| {}).unwrap();
        let of_users = |rows: &Rows| {
            let mut all: BTreeMap<u32, Vec<(i64, u8)>> = BTreeMap::new();
            rows.iter().for_each(|event| all.entry(event.user).or_default().push((event.time, event.behaviour as u8)));
            all.into_values().collect::<BTreeSet<_>>()
        };
        assert!(of_users(&some).is_subset(&of_users(&whole)));
        let Vocabulary { users, items, .. } = some.vocabulary();
        let met: [BTreeSet<u32>; 2] = [some.iter().map(|event| event.user).collect(), some.iter().map(|event| event.item).collect()];
        assert_eq!(met.map(|met| met.len() as u32), [users, items], "no user and no item without a row");
        let left_out = whole.rows() - some.rows();
        let note = &some.notes()[0];
        assert!(note.starts_with(&format!("{users} of about ")) && note.contains("chosen by a hash"), "{note}");
        // The file has no repetitions, which would be left out of the rows that are kept alone.
        assert!(note.contains(&format!("; {left_out} rows of the others")), "{note}, {left_out}");
        assert_eq!(some.refused(), whole.refused(), "what is refused is counted of the whole file");
        let about: u64 = note.split(' ').nth(3).unwrap().parse().unwrap();
        assert!((2_500..=3_500).contains(&about), "{note}");
    }

    #[test]
    fn what_cannot_fit_or_is_no_file_of_rows_is_said() {
        let said = |text: &str, fits| in_pieces(text, &[1 << 16], fits).unwrap_err().to_string();
        let text = file(2_000);
        assert!(said(&text, &|_, rows| rows == 0).contains("no two of them fit"));
        assert!(said(&text, &|_, _| false).contains("does not fit into the memory"));
        assert!(said("", EVERYTHING).contains("is empty"));
        assert!(said("\n\n", EVERYTHING).contains("is empty"));
        assert!(said("who;what;kind;did;when\n", EVERYTHING).contains("no row left"));
        assert!(said("PK\u{3}\u{4}rows", EVERYTHING).contains("a zip archive"));
        assert!(said("user;item;time\n1;2;3\n", EVERYTHING).contains("no column `who`"));
        let open = format!("who;what;kind;did;when\n1;\"2;3;view;1600000000\n{}", "1;2;3;view;1600000000\n".repeat(BLOCK / 10));
        assert!(said(&open, EVERYTHING).contains("a quote opens a value here"));
    }
}
