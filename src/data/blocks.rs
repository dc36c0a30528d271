//! A reader cut into blocks of whole lines, which many threads can parse.

use std::io::{self, Read};

use super::{DataError, shown};

/// Bytes of a block, but for a line that is longer.
pub(super) const BLOCK: usize = 1 << 20;

/// UTF-8's mark at the beginning of a file.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Whole lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The lines; each ends with a line feed.
    pub text: Vec<u8>,
    /// The number of the first line, from 1.
    pub line: u64,
    /// Line feeds.
    pub lines: u64,
    /// Whether the file ends within the last line, whose line feed was added.
    pub is_cut: bool,
}

impl Block {
    /// The lines with their numbers, without their line feeds.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let ends = memchr::memchr_iter(b'\n', &self.text).scan(0, |from, end| {
            let line = &self.text[*from..end];
            *from = end + 1;
            Some(line)
        });
        (self.line..).zip(ends)
    }

    /// Whether the file ends within this line.
    pub fn is_cut_in(&self, line: u64) -> bool {
        self.is_cut && line + 1 == self.line + self.lines
    }
}

/// Cuts a reader at line ends.
pub(super) struct Blocks<'n, R> {
    reader: R,
    name: &'n str,
    /// The character between values, where a value in quotes may have line feeds within it.
    quoting: Option<u8>,
    /// What was read behind the last block.
    rest: Vec<u8>,
    line: u64,
    is_over: bool,
}

impl<'n, R: Read> Blocks<'n, R> {
    /// Blocks of a reader; `quoting` says what parts values, where those in quotes may have line feeds within them.
    pub fn new(reader: R, name: &'n str, quoting: Option<u8>) -> Self {
        Self { reader, name, quoting, rest: Vec::new(), line: 1, is_over: false }
    }

    /// Whether there are no more.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Where the bytes come from.
    pub fn reader(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Reads until there are whole lines; returns them, or nothing at the end. A line longer than a block comes as it is, cut off, and
    /// nothing after it: no input can fill the memory with one line.
    fn cut(&mut self) -> Result<Option<Block>, DataError> {
        let mut text = std::mem::take(&mut self.rest);
        let wanted = (BLOCK - text.len().min(BLOCK)).max(BLOCK / 4);
        let read = self.reader.by_ref().take(wanted as u64).read_to_end(&mut text).map_err(|error| self.unreadable(&error))?;
        if self.line == 1 && text.starts_with(MARK) {
            text.drain(..MARK.len());
        }
        let end = self.end_of_lines(&text);
        self.is_over = read < wanted || end == 0;
        if end == 0 && read == wanted && memchr::memchr(b'\n', &text).is_some() {
            return Err(self.unclosed(&text));
        }
        let is_cut = self.is_over && text.last().is_some_and(|last| *last != b'\n');
        if is_cut {
            text.push(b'\n');
        }
        if !self.is_over {
            self.rest = text.split_off(end);
        }
        let lines = memchr::memchr_iter(b'\n', &text).count() as u64;
        let block = Block { line: self.line, lines, is_cut, text };
        self.line += lines;
        Ok((!block.text.is_empty()).then_some(block))
    }

    /// Where the last whole line ends.
    fn end_of_lines(&self, text: &[u8]) -> usize {
        match self.quoting.filter(|_| memchr::memchr(b'"', text).is_some()) {
            Some(delimiter) => end_of_records(text, delimiter),
            None => memchr::memrchr(b'\n', text).map_or(0, |at| at + 1),
        }
    }

    /// The error of a quote that takes in all lines after it: to go on would be to lose them in silence.
    fn unclosed(&self, text: &[u8]) -> DataError {
        DataError::Line {
            name: self.name.into(),
            line: self.line,
            problem: "a quote opens a value here that does not end within a megabyte".into(),
            value: shown(text.split(|byte| *byte == b'\n').next().unwrap_or_default()),
            advice: "Close the quote, or take it away".into(),
        }
    }

    fn unreadable(&self, error: &io::Error) -> DataError {
        DataError::Unreadable { name: self.name.into(), detail: error.to_string() }
    }
}

impl<R: Read> Iterator for Blocks<'_, R> {
    type Item = Result<Block, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let block = self.cut();
        self.is_over |= block.is_err();
        block.transpose()
    }
}

/// Where the last record ends whose line feed is not within quotes; quotes open a value at its beginning only, and a pair of them within
/// it is one (RFC 4180).
pub(super) fn end_of_records(text: &[u8], delimiter: u8) -> usize {
    #[derive(Clone, Copy)]
    enum State {
        Beginning,
        Plain,
        Quoted,
        Closed,
    }
    let (mut state, mut end) = (State::Beginning, 0);
    for (at, &byte) in text.iter().enumerate() {
        state = match (state, byte) {
            (State::Quoted, b'"') => State::Closed,
            (State::Quoted, _) | (State::Beginning | State::Closed, b'"') => State::Quoted,
            (_, b'\n') => {
                end = at + 1;
                State::Beginning
            }
            (_, b'\r') => State::Beginning,
            (_, byte) if byte == delimiter => State::Beginning,
            _ => State::Plain,
        };
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Counter, Stream};

    fn blocks(text: &[u8], quoting: Option<u8>) -> Vec<Block> {
        Blocks::new(text, "rows.csv", quoting).map(Result::unwrap).collect()
    }

    #[test]
    fn blocks_are_whole_lines_and_together_the_file() {
        let line = |n: u64| format!("{n},{}\n", "x".repeat((n % 97) as usize));
        let text: String = (0..60_000).map(line).collect();
        let all = blocks(text.as_bytes(), None);
        assert!(all.len() > 2 && all.iter().all(|block| block.text.ends_with(b"\n") && !block.is_cut));
        assert_eq!(all.iter().flat_map(|block| block.text.clone()).collect::<Vec<u8>>(), text.as_bytes());
        for block in &all {
            let numbered: Vec<(u64, &[u8])> = block.numbered().collect();
            assert_eq!(numbered.len() as u64, block.lines);
            assert!(numbered.iter().all(|(number, own)| own.starts_with(format!("{},", number - 1).as_bytes())));
        }
    }

    #[test]
    fn the_mark_goes_and_a_missing_line_feed_comes() {
        let [block] = &blocks(b"\xef\xbb\xbf1,2\n3", None)[..] else { panic!("one block") };
        assert_eq!((&*block.text, block.is_cut, block.is_cut_in(1), block.is_cut_in(2)), (b"1,2\n3\n".as_slice(), true, false, true));
        assert!(blocks(b"", None).is_empty() && blocks(b"\xef\xbb\xbf", None).is_empty());
    }

    #[test]
    fn an_endless_line_ends_the_reading() {
        let endless = b"1\n".chain(io::repeat(b'7'));
        let all: Vec<Block> = Blocks::new(endless, "rows.csv", None).map(Result::unwrap).collect();
        assert!(all.len() == 2 && all[1].is_cut && all[1].line == 2 && all[1].text.len() < 2 * BLOCK);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_named_with_its_line() {
        let text = format!("1,2\n3,\"4\n{}", "5,6\n".repeat(BLOCK / 2));
        let error = Blocks::new(text.as_bytes(), "own.csv", Some(b',')).find_map(Result::err).unwrap().to_string();
        assert!(error.starts_with("own.csv, line 2: a quote opens a value here") && error.contains("found \"3,\\\"4\""), "{error}");
        // Where quotes mean nothing they part nothing.
        assert!(blocks(text.as_bytes(), None).len() > 1);
    }

    /// Blocks end where the library ends records, whatever the quotes: parsed by blocks, the records are those of the whole.
    #[test]
    fn no_record_is_cut_within_its_quotes() {
        let random = Counter::new(5, Stream::Choices);
        let pieces = ["\"", "\"", ",", "\n", "a", "\"\"", "\r\n", "b,"];
        for case in 0..2_000 {
            let lane = random.lane(case);
            let text: String = (0..lane.below(0, 40)).map(|n| pieces[lane.below(n + 1, 8) as usize]).collect();
            let end = end_of_records(text.as_bytes(), b',');
            let records = |text: &str| -> Vec<csv::StringRecord> {
                let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes()).into_records();
                reader.map(Result::unwrap).collect()
            };
            let apart = [records(&text[..end]), records(&text[end..])].concat();
            assert_eq!(apart, records(&text), "{text:?} cut at {end}");
        }
    }
}
