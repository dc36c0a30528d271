//! UserBehavior.csv: `user,item,category,behavior,unix seconds`, no header, as Tianchi publishes it (data set 649).
//!
//! People hand over copies that other programs wrote, so what is safe to read is read, and said in the notes: a mark of UTF-8, a
//! header that names these columns (in any order), spaces and quotes around values, blank lines, whole numbers with a `.0`, times in
//! milliseconds. What is no row, or has lost digits, is refused with its line, its value and what to do.

mod line;

use std::io::Read;

use super::blocks::{Block, Blocks};
use super::gather::{Columns, Form, Gathered, Parsed, noted, require_two};
use super::names::Names;
use super::{DataError, shown, sniff};
use crate::platform::threads;
use line::{Layout, Said, examine, is_blank, is_inside, of_cut_line};

pub(super) use line::too_long;

pub use super::stored::{Progress, Rows};

/// No line of the real file is longer than 50 bytes. A longer one than this is no row.
const LONGEST_LINE: usize = 1_024;

impl Rows {
    /// Reads and cleans a file on all cores. Rows outside the window and exact repetitions are left out and counted; anything that is
    /// not a row stops the reading at once, because it is more likely another file than a damaged line.
    /// While it reads, memory also holds a table of the ids, and the rows twice while they are sorted.
    ///
    /// # Errors
    /// [`DataError::Unreadable`] where reading fails, [`DataError::Foreign`] for another kind of file, [`DataError::Line`] with
    /// the first line that is no row, and [`DataError::TooLittle`] where fewer than two users or two items are left.
    pub fn read(reader: impl Read + Send, name: &str) -> Result<Self, DataError> {
        Self::read_watched(reader, name, &mut |_| {})
    }

    /// [`Rows::read`], telling `watch` how far it is.
    ///
    /// # Errors
    /// As [`Rows::read`].
    pub fn read_watched(reader: impl Read + Send, name: &str, watch: &mut dyn FnMut(Progress)) -> Result<Self, DataError> {
        Self::read_on(threads(), reader, name, watch)
    }

    /// [`Rows::read_watched`] on a number of threads, which changes nothing of what is read.
    ///
    /// # Errors
    /// As [`Rows::read`].
    pub fn read_on(threads: usize, reader: impl Read + Send, name: &str, watch: &mut dyn FnMut(Progress)) -> Result<Self, DataError> {
        Self::read_all(threads, reader, name, watch, None)
    }

    /// [`Rows::read_watched`], keeping what the file calls its users and items.
    ///
    /// # Errors
    /// As [`Rows::read`].
    pub fn read_named(
        reader: impl Read + Send,
        name: &str,
        watch: &mut dyn FnMut(Progress),
        names: &mut Option<Names>,
    ) -> Result<Self, DataError> {
        Self::read_all(threads(), reader, name, watch, Some(names))
    }

    fn read_all(
        threads: usize,
        reader: impl Read + Send,
        name: &str,
        watch: &mut dyn FnMut(Progress),
        names: Option<&mut Option<Names>>,
    ) -> Result<Self, DataError> {
        let unreadable = |detail: String| DataError::Unreadable { name: name.into(), detail };
        let (kind, reader) = sniff::peek(reader).map_err(|error| unreadable(error.to_string()))?;
        if let Some(refusal) = kind.refusal(name, reader.get_ref().0.get_ref()) {
            return Err(refusal);
        }
        let mut blocks = Blocks::new(reader, name, None);
        // The first line that is not blank tells how the others are to be read.
        let (mut begun, mut layout) = (Vec::new(), None);
        while layout.is_none() {
            let Some(block) = blocks.next().transpose()? else { break };
            layout = block.numbered().find(|(_, line)| !is_blank(line)).map(|(number, line)| Layout::of(number, line));
            begun.push(Ok(block));
        }
        let mut gathered = Gathered::new(if blocks.is_over() { 1 } else { threads }, [&[]; 2]);
        let mut counts = Counts::default();
        let form = Lines { name, layout };
        gathered.gather(&form, begun.into_iter().chain(blocks), name, watch, &mut |own| counts.add(&own))?;
        watch(Progress::Sorting(gathered.rows()));
        form.require_enough(&gathered, &counts)?;
        let refused = (counts.outside > 0).then(|| (OUTSIDE.to_owned(), counts.outside)).into_iter().collect();
        Ok(gathered.finish(name, refused, form.notes(&counts), names))
    }
}

/// The reason of a refusal.
const OUTSIDE: &str = "outside the window from 2017-11-25 to 2017-12-03, Beijing time";

/// What was refused or put right, in rows or lines.
#[derive(Debug, Default)]
struct Counts {
    /// Rows outside the window.
    outside: u64,
    blank: u64,
    /// Headers after the first line.
    headers: u64,
    spaced: u64,
    decimal: u64,
    /// Times in milliseconds or finer.
    finer: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.outside += other.outside;
        self.blank += other.blank;
        self.headers += other.headers;
        self.spaced += other.spaced;
        self.decimal += other.decimal;
        self.finer += other.finer;
    }
}

/// The lines of a file.
struct Lines<'a> {
    name: &'a str,
    /// None where all are blank.
    layout: Option<Layout>,
}

impl Form for Lines<'_> {
    type Block = Block;
    type Tally = Counts;

    fn parse(&self, block: Block) -> Result<Parsed<Counts>, DataError> {
        let (mut columns, mut tally) = (Columns::default(), Counts::default());
        for (number, line) in block.numbered() {
            let Some(layout) = &self.layout else {
                tally.blank += 1;
                continue;
            };
            let said = examine(line, number, layout, self.name, &mut tally);
            let said = said.map_err(|error| if block.is_cut_in(number) { of_cut_line(error) } else { error })?;
            match said {
                Some(Said { user, item, category, behaviour, time }) if is_inside(time) => {
                    columns.users.push(user);
                    columns.items.push(item);
                    columns.categories.push(category);
                    columns.behaviours.push(behaviour);
                    columns.times.push(time as u32);
                }
                Some(_) => tally.outside += 1,
                None => {}
            }
        }
        Ok(Parsed { columns, lines: block.lines, tally })
    }
}

impl Lines<'_> {
    /// What was put right, the form of the whole file first.
    fn notes(&self, counts: &Counts) -> Vec<String> {
        let Counts { blank, headers, spaced, decimal, finer, .. } = *counts;
        let layout = self.layout.as_ref();
        let header = layout.and_then(|layout| Some((shown(layout.header.as_ref()?), layout.columns))).map(|(header, columns)| {
            let order = if columns.is_sorted() { "" } else { ", which names the order of the columns," };
            format!("The first line, the header \"{header}\"{order} was skipped")
        });
        let quotes = layout.filter(|layout| layout.quoted).map(|_| "Quotes around the values were taken away".to_owned());
        [
            header,
            quotes,
            noted(headers, "more lines repeat the header and were skipped"),
            noted(blank, "blank lines were skipped"),
            noted(spaced, "rows had spaces around their values; they were taken away"),
            noted(decimal, "rows had whole numbers that end in \".0\"; they were read without it"),
            noted(finer, "rows had times in milliseconds or finer; they were read as the seconds in which they lie"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn require_enough(&self, gathered: &Gathered, counts: &Counts) -> Result<(), DataError> {
        let (problem, advice) = if gathered.rows() == 0 && counts.outside == 0 {
            let only = if self.layout.is_some() { "has a header and no row" } else { "is empty" };
            (only.into(), "Download UserBehavior.csv again and unpack it")
        } else if gathered.rows() == 0 {
            (format!("has no row left: all {} are {OUTSIDE}", counts.outside), "Check that the last column is unix seconds of those days")
        } else {
            return require_two(self.name, gathered.named());
        };
        Err(DataError::TooLittle { name: self.name.into(), problem, advice: advice.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::counter::{Counter, Stream};
    use crate::data::{Behaviour, Event, Origin, Source, Vocabulary, WINDOW_END, WINDOW_START};

    fn read(text: impl AsRef<[u8]>) -> Result<Rows, DataError> {
        Rows::read(text.as_ref(), "rows.csv")
    }

    fn events(rows: Rows) -> Vec<Event> {
        rows.iter().collect()
    }

    #[test]
    fn rows_are_sorted_by_time_and_then_by_line_with_ids_by_first_line() {
        let rows = read("9,70,5,pv,1511550000\n9,71,6,buy,1511540000\n4,70,5,fav,1511550000\n4,71,6,cart,1511540000").unwrap();
        assert_eq!(rows.vocabulary(), Vocabulary { users: 2, items: 2, categories: 2 });
        assert_eq!((rows.refused(), rows.origin(), rows.name()), (vec![], Origin::File, "rows.csv".into()));
        assert_eq!(rows.notes(), ["2 rows came right after a later one; all rows were sorted by time"]);
        let got: Vec<_> = events(rows).iter().map(|e| (e.user, e.item, e.category, e.behaviour, e.time)).collect();
        use Behaviour::*;
        assert_eq!(
            got,
            [
                (0, 1, 1, Buy, 1_511_540_000),
                (1, 1, 1, Cart, 1_511_540_000),
                (0, 0, 0, View, 1_511_550_000),
                (1, 0, 0, Favourite, 1_511_550_000)
            ]
        );
    }

    #[test]
    fn rows_outside_the_window_and_repetitions_are_refused_and_counted() {
        let text = format!(
            "1,1,1,pv,{}\n1,1,1,pv,{}\r\n2,2,1,pv,{}\n2,2,1,buy,{}\n1,3,1,pv,-12\n2,2,1,pv,{}\n",
            WINDOW_START - 1,
            WINDOW_START,
            WINDOW_END - 1,
            WINDOW_END - 1,
            WINDOW_END - 1,
        ) + &format!("1,9,9,pv,{WINDOW_END}\n");
        let rows = read(text).unwrap();
        let counts: Vec<u64> = rows.refused().iter().map(|r| r.1).collect();
        assert_eq!((rows.rows(), counts), (3, vec![3, 1]));
        assert!(rows.refused()[0].0.starts_with("outside the window") && rows.refused()[1].0.contains("repetitions"));
        assert_eq!(rows.vocabulary(), Vocabulary { users: 2, items: 2, categories: 1 }, "refused rows name no ids");
    }

    #[test]
    fn an_item_keeps_its_first_category() {
        let rows = read("1,1,10,pv,1511550000\n2,1,11,pv,1511550001\n2,2,11,pv,1511550002\n").unwrap();
        assert_eq!(rows.category(0), 0);
        assert_eq!(rows.notes().len(), 1);
        assert!(rows.notes()[0].starts_with("1 rows named another category"));
    }

    /// Copies that another program wrote: read as what they mean, and said.
    #[test]
    fn what_is_safe_to_read_is_read_and_noted() {
        let plain = ["1,1,1,pv,1511550000", "2,2,1,buy,1511550001", "1,2,1,fav,1511550002"];
        let expected = events(read(plain.join("\n")).unwrap());
        let header = "user_id,item_id,category_id,behavior_type,timestamp";
        let each = |change: &dyn Fn(&str) -> String| plain.map(change).join("\r\n");
        let cases = [
            (format!("\u{feff}{}\r\n", plain.join("\r\n")), ""),
            (format!("{header}\r\n{}", plain.join("\r\n")), "The first line, the header \"user_id,"),
            (format!("\u{feff}{header}\n{}", plain.join("\n")), "The first line, the header \"user_id,"),
            (format!("{header}\n{}\n{header}\n{}", plain[0], plain[1..].join("\n")), "1 more lines repeat the header"),
            (each(&|row| row.replace(',', ", ")), "3 rows had spaces around their values"),
            (each(&|row| format!(" {row}\t")), "3 rows had spaces around their values"),
            (each(&|row| format!("\"{}\"", row.replace(',', "\",\""))), "Quotes around the values were taken away"),
            (each(&|row| row.replace("pv", "\"pv\"")), "Quotes around the values were taken away"),
            (
                each(&|row| row.replace(',', ".0,").replacen("pv.0", "pv", 1).replacen("buy.0", "buy", 1).replacen("fav.0", "fav", 1)),
                "3 rows had whole numbers that end in \".0\"",
            ),
            (each(&|row| format!("{row}123")), "3 rows had times in milliseconds"),
            (format!("{}\n{}123\n{}123456", plain[0], plain[1], plain[2]), "2 rows had times in milliseconds or finer"),
            (format!("{}\n\n  \n{}\n", plain[0], plain[1..].join("\n\n")), "3 blank lines were skipped"),
            (
                each(&|row| row.split(',').rev().collect::<Vec<_>>().join(",")).replacen("", "ts,event,cate_id,iid,Uid\n", 1),
                "which names the order",
            ),
        ];
        for (text, note) in cases {
            let rows = read(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let notes = rows.notes();
            assert_eq!(notes.len(), usize::from(!note.is_empty()) + usize::from(note.contains("repeat")), "{text}: {notes:?}");
            assert!(note.is_empty() || notes.iter().any(|own| own.contains(note)), "{text}: {notes:?}");
            assert!(rows.refused().is_empty(), "{text}: {:?}", rows.refused());
            assert_eq!(events(rows), expected, "{text}");
        }
    }

    /// What cannot be read is called what it is.
    #[test]
    fn damage_is_named_with_its_remedy() {
        let row = "1,2,3,pv,1511544070";
        let cases: [(String, &[&str]); 14] = [
            (
                "who,what,kind,did,when\n".into(),
                &["line 1: the user is not a number, found \"who\"", "looks like a header", "tail -n +2 rows.csv"],
            ),
            ("who,what,kind\n".into(), &["line 1: 3 columns", "looks like a header"]),
            (format!("{row}\nuser,item,category,behavior,time\n"), &["line 2", "no header may stand between rows"]),
            (
                "1,2,3,pv,1.51E+09\n".into(),
                &["the time is not a number, found \"1.51E+09\"", "A spreadsheet shortened it", "digits are gone"],
            ),
            ("1,9.05e5,3,pv,1511544070\n".into(), &["the item", "A spreadsheet shortened it"]),
            ("1,2,3,pv,########\n".into(), &["the time", "A spreadsheet shortened it"]),
            ("1,2,3,pv,1,51E+09\n".into(), &["6 columns", "A spreadsheet shortened it"]),
            ("1;2;3;pv;1511544070\n".into(), &["1 columns instead of 5", "semicolons", "`tr ';' ',' < rows.csv > commas.csv`"]),
            ("1\t2\t3\tpv\t1511544070\n".into(), &["tabs", "`tr '\\t' ','"]),
            (
                format!("{row}\n\"1\",2,3,pv,1511544070\n"),
                &["found \"\\\"1\\\"\"", "quotes stand around all values of a file or around none"],
            ),
            ("1,2,3,pv,2017-11-25 01:21:10\n".into(), &["the time is not a number", "unix seconds"]),
            ("1,2.5,3,pv,1511544070\n".into(), &["the item is not a number", "whole numbers"]),
            (format!("{row}\n1,2,3,p"), &["line 2: 4 columns", "ends within this line", "download it again"]),
            ("user_id,item_id,category_id,behavior,timestamp\n".into(), &["has a header and no row"]),
        ];
        for (text, parts) in cases {
            let error = read(&text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
        for (bytes, part) in [(b"PK\x03\x04\x14".as_slice(), "a zip archive"), (b"\x1f\x8b\x08", "gunzip"), (b"1\x002\x003\0", "UTF-16")] {
            let error = read(bytes).unwrap_err();
            assert!(matches!(error, DataError::Foreign { .. }) && error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn reading_says_how_far_it_is() {
        let rows = 200_000;
        let text: String = (0..rows).map(|n| format!("{},{},1,pv,{}\n", n % 7, n % 11, 1_511_550_000 + n)).collect();
        let mut told = Vec::new();
        Rows::read_watched(text.as_bytes(), "rows.csv", &mut |progress| told.push(progress)).unwrap();
        let lines: Vec<u64> = told.iter().filter_map(|told| if let Progress::Lines(lines) = told { Some(*lines) } else { None }).collect();
        assert!(lines.len() > 1 && lines.is_sorted() && lines.last() == Some(&rows), "{told:?}");
        assert_eq!(told.last(), Some(&Progress::Sorting(rows)));
    }

    /// Several blocks, out of order, with ids of every size, repetitions and lines that need a second look; and a fault in the last.
    #[test]
    fn any_number_of_threads_reads_the_same() {
        let random = Counter::new(8, Stream::Choices);
        let line = |n: u64| {
            // Now and then the line before once more.
            let n = n - u64::from(n % 50 == 1);
            let draw = |lane: u64, below: u64| random.lane(lane).below(n, below);
            let item = if n.is_multiple_of(3) { u64::MAX - draw(1, 5_000) } else { draw(1, 5_000) };
            let (space, end) = (if n.is_multiple_of(1_000) { " " } else { "" }, if n.is_multiple_of(7) { "\r\n" } else { "\n" });
            let time = WINDOW_START + draw(3, 10 * 86_400) as i64;
            format!("{}{space},{item},{},{},{time}{end}", draw(0, 3_000), draw(2, 50), ["pv", "buy"][(n % 2) as usize])
        };
        let text: String = (0..150_000).map(line).collect();
        let on = |threads: usize, text: &str| Rows::read_on(threads, text.as_bytes(), "rows.csv", &mut |_| {});
        let one = on(1, &text).unwrap();
        assert!(one.rows() > 100_000 && one.refused().len() == 2 && one.notes().len() == 3, "{:?}", one.notes());
        for threads in [2, 3, 8] {
            assert!(on(threads, &text).unwrap() == one, "{threads} threads");
            let broken = format!("{text}1,2,3,pv,4,5\n1,2,3,pv,4,5,6\n");
            assert!(on(threads, &broken).unwrap_err().to_string().contains("line 150001: 6 columns"));
        }
    }

    /// Each text says which file, which line, which value, and what to do.
    #[test]
    fn what_is_no_row_is_refused_with_its_line_and_value() {
        let good = "1,2,3,pv,1511544070\n";
        let cases: [(&[u8], &str); 15] = [
            (b"1,2,3,pv", "line 2: 4 columns instead of 5, found \"1,2,3,pv\""),
            (b"1,2,3,pv,1511544070,", "line 2: 6 columns"),
            (b"1\t2\t3\tpv\t5", "line 2: 1 columns instead of 5, found \"1\\t2\\t3\\tpv\\t5\""),
            (b"1,2,3,view,1511544070", "line 2: the behaviour is unknown, found \"view\". It must be pv, cart, fav or buy"),
            (b"1,2,3,,1511544070", "line 2: the behaviour is unknown, found \"\""),
            (b"1,two,3,pv,1511544070", "line 2: the item is not a number, found \"two\""),
            (b"user,item,category,behavior,time", "no header"),
            (b"1,2,3,pv,noon", "line 2: the time is not a number, found \"noon\". Times are unix seconds"),
            (b"1,2,3,pv,99999999999999999999", "the time must be a count of seconds"),
            (b"-1,2,3,pv,1511544070", "the user must be 0 or more and below 2^64, found \"-1\""),
            (b"1,2,99999999999999999999,pv,1511544070", "the category must be 0 or more"),
            (b"1,2.5,3,pv,1511544070", "the item is not a number, found \"2.5\""),
            (b"1,\xff\xfe,3,pv,1511544070", "the item is not UTF-8 text, found \"\\xff\\xfe\""),
            (b"1,2,3,\xff,1511544070", "the behaviour is unknown, found \"\\xff\""),
            (b"\"1\",2,3,pv,1511544070", "the user is not a number, found \"\\\"1\\\"\""),
        ];
        for (line, expected) in cases {
            let text = [good.as_bytes(), line, b"\n", good.as_bytes()].concat();
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with("rows.csv, line 2: ") && error.contains(expected), "{error}");
        }
        let row = good.trim();
        for lines in [format!("{row}\n{row}\nx"), format!("{row}\r\n{row}\r\nx\r\n"), format!("{row}\n\nx"), "\r\n\r\nx\r\n".into()] {
            let error = read(&lines).unwrap_err().to_string();
            assert!(error.starts_with("rows.csv, line 3: 1 columns instead of 5, found \"x\""), "{lines:?}: {error}");
        }
        let long = read(format!("{good}1,{},3,pv,1511544070", "x".repeat(500))).unwrap_err().to_string();
        assert!(long.contains(&format!("found \"{}…\"", "x".repeat(40))), "{long}");
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let endless = "1,2,3,pv,1511544070\n".as_bytes().chain(io::repeat(b'7').take(100 << 20));
        let error = Rows::read(endless, "rows.csv").unwrap_err().to_string();
        assert!(error.starts_with("rows.csv, line 2: the line is longer than 1024 bytes"), "{error}");
        let error = read(format!("1,2,3,pv\n{}", "x".repeat(2_000))).unwrap_err().to_string();
        assert!(error.contains("line 1: 4 columns"), "the first error comes first: {error}");
    }

    #[test]
    fn rows_of_which_nothing_can_be_learned_are_refused() {
        for (text, expected) in [
            ("", "rows.csv is empty. Download"),
            ("\n\n", "is empty"),
            ("1,2,3,pv,1500000000\n2,3,3,pv,1500000000\n", "has no row left: all 2 are outside the window"),
            ("1,2,3,pv,1511544070\n1,3,3,pv,1511544071\n", "one user only"),
            ("1,2,3,pv,1511544070\n2,2,3,pv,1511544071\n", "one item only"),
        ] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, DataError::TooLittle { .. }) && error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_reader_that_fails_is_an_error_with_its_reason() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let error = Rows::read(Broken, "rows.csv").unwrap_err();
        assert!(matches!(error, DataError::Unreadable { .. }) && error.to_string().contains("the disk is gone"));
    }

    /// Bytes from an alphabet that makes almost-rows likely, and any bytes: an error or rows, never a panic.
    #[test]
    fn no_bytes_make_it_panic() {
        let random = Counter::new(1, Stream::Choices);
        let pieces: [&[u8]; 16] = [
            b",",
            b",",
            b"1",
            b"2",
            b"-",
            b"pv",
            b"buy",
            b"\n",
            b"\r",
            b"\"",
            b"\0",
            b"\xff",
            b"1511544070",
            b"18446744073709551615",
            b"1,2,3,pv,1511544070\n",
            b"2,3,3,fav,1511544071\n",
        ];
        let mut accepted = 0;
        for case in 0..4_000 {
            let lane = random.lane(case);
            let text: Vec<u8> = (1..=lane.below(0, 40))
                .flat_map(|i| match case % 3 {
                    0 => vec![lane.bits(i) as u8],
                    1 => pieces[lane.below(i, 16) as usize].to_vec(),
                    _ => pieces[14 + lane.below(i, 2) as usize].to_vec(),
                })
                .collect();
            accepted += u32::from(read(text).is_ok_and(|rows| rows.iter().count() > 0));
        }
        assert!(accepted > 1_000, "{accepted}: the almost-rows must sometimes be rows");
    }
}
