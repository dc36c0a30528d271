//! What a file is, by its first bytes: people hand over the archive, the pointer or the page instead of the rows.

use std::io::{self, Chain, Cursor, Read};

use super::{DataError, shown};

/// Bytes that are looked at: a tar names itself at byte 257, a page after blank lines and comments.
pub(super) const LOOK: u64 = 4_096;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, as far as its beginning tells: it may be rows.
    Text,
    /// Rows that `duia sample` packed.
    Sample,
    /// Tensors, such as `duia train --weights-out` writes.
    Safetensors,
    /// A gzip stream.
    Gzip,
    /// A Zstandard stream.
    Zstandard,
    /// A zip archive.
    Zip,
    /// A zip archive that is a spreadsheet (`.xlsx`, `.ods`), or the older `.xls`.
    Spreadsheet,
    /// A bzip2 stream.
    Bzip2,
    /// An xz stream.
    Xz,
    /// An LZ4 frame.
    Lz4,
    /// A 7z archive.
    SevenZip,
    /// A rar archive.
    Rar,
    /// A tar archive.
    Tar,
    /// Text in two bytes a character.
    Utf16,
    /// Text in four bytes a character.
    Utf32,
    /// The few lines that Git LFS leaves in the place of a file.
    LfsPointer,
    /// The line that git-annex leaves in the place of a file.
    AnnexPointer,
    /// The few lines that DVC keeps in the place of a file.
    DvcPointer,
    /// A web page.
    Html,
    /// XML that is no web page.
    Xml,
    /// A Jupyter notebook.
    Notebook,
    /// Other JSON.
    Json,
    /// Lines of a program or of a notebook's cell.
    Program,
    /// A table in Parquet.
    Parquet,
    /// A table in Arrow's file format, or in Feather's.
    Arrow,
    /// A table in Avro or ORC.
    Avro,
    /// A database in a file.
    Sqlite,
    /// Arrays of HDF5, NumPy or a Python pickle.
    Arrays,
    /// A PDF.
    Pdf,
    /// Other bytes that are no text.
    Binary,
}

/// What begins with what.
const MAGIC: [(&[u8], Kind); 28] = [
    (b"DUIAROWS", Kind::Sample),
    (b"\x1f\x8b", Kind::Gzip),
    (b"\x28\xb5\x2f\xfd", Kind::Zstandard),
    (b"PK\x03\x04", Kind::Zip),
    (b"PK\x05\x06", Kind::Zip),
    (b"PK\x07\x08", Kind::Zip),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind::Spreadsheet),
    (b"BZh", Kind::Bzip2),
    (b"\xfd7zXZ\0", Kind::Xz),
    (b"\x04\x22\x4d\x18", Kind::Lz4),
    (b"7z\xbc\xaf\x27\x1c", Kind::SevenZip),
    (b"Rar!\x1a\x07", Kind::Rar),
    // Before the marks of UTF-16, of which one is its beginning.
    (b"\xff\xfe\0\0", Kind::Utf32),
    (b"\0\0\xfe\xff", Kind::Utf32),
    (b"\xff\xfe", Kind::Utf16),
    (b"\xfe\xff", Kind::Utf16),
    (b"version https://git-lfs.github.com", Kind::LfsPointer),
    (b"/annex/objects/", Kind::AnnexPointer),
    (b"outs:\n- md5:", Kind::DvcPointer),
    (b"PAR1", Kind::Parquet),
    (b"ARROW1", Kind::Arrow),
    (b"FEA1", Kind::Arrow),
    (b"Obj\x01", Kind::Avro),
    (b"ORC", Kind::Avro),
    (b"SQLite format 3\0", Kind::Sqlite),
    (b"\x89HDF\r\n\x1a\n", Kind::Arrays),
    (b"\x93NUMPY", Kind::Arrays),
    (b"%PDF-", Kind::Pdf),
];

impl Kind {
    /// What a file with this beginning is.
    pub fn of(first: &[u8]) -> Self {
        match MAGIC.into_iter().find(|(magic, _)| first.starts_with(magic)) {
            Some((_, Self::Zip)) if is_spreadsheet(first) => Self::Spreadsheet,
            Some((_, kind)) => kind,
            None if first.get(257..262) == Some(b"ustar") => Self::Tar,
            None if is_safetensors(first) => Self::Safetensors,
            None if is_pickle(first) => Self::Arrays,
            None if first.contains(&0) => of_zeros(first),
            None => of_text(first),
        }
    }

    /// The refusal of a file that begins with `first` and is no rows; `None` for one that may be.
    pub fn refusal(self, name: &str, first: &[u8]) -> Option<DataError> {
        let unpack = |command: &str| format!("Unpack it first: `{command} {name}`");
        let table = |reader: &str| {
            format!("Write it as CSV first, in Python: `import pandas; pandas.{reader}(\"{name}\").to_csv(\"rows.csv\", index=False)`")
        };
        let again = || "Download the file again; open this one in a browser or an editor to see what it says".to_owned();
        let (what, advice) = match self {
            Self::Text => return None,
            Self::Sample => (
                "a subset that `duia sample` made",
                "Train on it as it is, with `duia train --data`, or put it beside a page as assets/sample.bin".into(),
            ),
            Self::Safetensors => ("a file of weights", "Give it to `--weights-in`, and rows to `--data`".into()),
            Self::Gzip => ("a gzip archive", unpack("gunzip")),
            Self::Zstandard => ("a Zstandard archive", unpack("unzstd")),
            Self::Zip => ("a zip archive", format!("{}, or pipe it: `unzip -p {name} | duia train --data -`", unpack("unzip"))),
            Self::Spreadsheet => {
                ("a spreadsheet", "Save it as CSV first, with the columns as whole numbers, so that no digit is lost".into())
            }
            Self::Bzip2 => ("a bzip2 archive", unpack("bunzip2")),
            Self::Xz => ("an xz archive", unpack("unxz")),
            Self::Lz4 => ("an LZ4 archive", unpack("unlz4")),
            Self::SevenZip => ("a 7z archive", unpack("7z x")),
            Self::Rar => ("a rar archive", unpack("unrar x")),
            Self::Tar => ("a tar archive", unpack("tar -xf")),
            Self::Utf16 => ("text in UTF-16", format!("Convert it first: `iconv -f UTF-16 -t UTF-8 {name} > rows.csv`")),
            Self::Utf32 => ("text in UTF-32", format!("Convert it first: `iconv -f UTF-32 -t UTF-8 {name} > rows.csv`")),
            Self::LfsPointer => ("a Git LFS pointer", "The file itself was not downloaded: run `git lfs pull` in its repository".into()),
            Self::AnnexPointer => {
                ("a git-annex pointer", "The file itself was not downloaded: run `git annex get` in its repository".into())
            }
            Self::DvcPointer => ("a DVC pointer", "The file itself was not downloaded: run `dvc pull` in its repository".into()),
            Self::Html => ("a web page, perhaps one that asks to sign in", again()),
            Self::Xml => ("XML, perhaps the error message of a server", again()),
            Self::Notebook => ("a Jupyter notebook", "Give the CSV file that it reads".into()),
            Self::Json => ("JSON", "Write it as CSV first: `user,item,category,behaviour,seconds`, one row a line".into()),
            Self::Program => ("a program or a cell of a notebook", "Give the CSV file that it reads".into()),
            Self::Parquet if cfg!(feature = "parquet") => {
                ("a Parquet table", "Give it by its name, unpacked: it is read in many places".into())
            }
            Self::Parquet => {
                let build = "or build duia with `--features parquet`, which reads it as it is";
                ("a Parquet table", format!("{}, {build}", table("read_parquet")))
            }
            Self::Arrow => ("an Arrow table", table("read_feather")),
            Self::Avro => ("an Avro or ORC table", "Write it as CSV first".into()),
            Self::Sqlite => ("an SQLite database", "Write its table as CSV first: `.mode csv` and `.output rows.csv` in `sqlite3`".into()),
            Self::Arrays => ("a file of arrays", "Write it as CSV first".into()),
            Self::Pdf => ("a PDF", "Give the CSV file itself".into()),
            Self::Binary => ("a binary file", "Give UserBehavior.csv itself, unpacked".into()),
        };
        let what = match self {
            Self::Html | Self::Xml | Self::Json | Self::Program => format!("{what} (\"{}\")", shown(first_line(first))),
            _ => what.into(),
        };
        Some(DataError::Foreign { name: name.into(), what, advice })
    }
}

/// A reader whose first bytes were looked at and are still to come.
pub type Peeked<R> = Chain<Cursor<Vec<u8>>, R>;

/// What a reader's bytes are, and the reader with all of them still to come.
///
/// # Errors
/// Where reading fails.
pub fn peek<R: Read>(mut reader: R) -> io::Result<(Kind, Peeked<R>)> {
    let mut first = Vec::new();
    reader.by_ref().take(LOOK).read_to_end(&mut first)?;
    Ok((Kind::of(&first), Cursor::new(first).chain(reader)))
}

/// The first line that is not blank.
fn first_line(text: &[u8]) -> &[u8] {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty()).unwrap_or_default()
}

/// A zip whose first file is one that every `.xlsx` or `.ods` begins with.
fn is_spreadsheet(zip: &[u8]) -> bool {
    let name = zip.get(30..).unwrap_or_default();
    [b"[Content_Types].xml".as_slice(), b"xl/", b"_rels/", b"docProps/", b"mimetypeapplication/vnd.oasis"]
        .iter()
        .any(|first| name.starts_with(first))
}

/// Eight bytes of length, then a JSON object.
fn is_safetensors(first: &[u8]) -> bool {
    first.get(6..10) == Some(b"\0\0{\"")
}

/// A protocol from 2 to 5, then what every pickle of an object has next.
fn is_pickle(first: &[u8]) -> bool {
    matches!(first, [0x80, 2..=5, next, ..] if matches!(next, 0x95 | b'}' | b']' | b'c' | b'(' | b'q'))
}

/// Bytes among which are zeros: text of wide characters without a mark, or none.
fn of_zeros(first: &[u8]) -> Kind {
    let zeros = |from: usize, step: usize| first.iter().skip(from).step_by(step).all(|&byte| byte == 0);
    let wide = |step: usize| first.len() >= 2 * step && (1..step).all(|from| zeros(from, step)) && !zeros(0, step);
    let wide_big_endian = |step: usize| first.len() >= 2 * step && (0..step - 1).all(|from| zeros(from, step)) && !zeros(step - 1, step);
    if wide(4) || wide_big_endian(4) {
        Kind::Utf32
    } else if wide(2) || wide_big_endian(2) {
        Kind::Utf16
    } else {
        Kind::Binary
    }
}

fn of_text(first: &[u8]) -> Kind {
    let text = String::from_utf8_lossy(first);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let has = |part: &str| text.contains(part);
    let begins = |start: &str| text.get(..start.len()).is_some_and(|own| own.eq_ignore_ascii_case(start));
    if ["<!doctype html", "<html", "<head", "<body"].into_iter().any(begins) || begins("<?xml") && has("<html") || begins("<!--") {
        Kind::Html
    } else if begins("<") {
        Kind::Xml
    } else if begins("{") && (has("\"nbformat\"") || has("\"cell_type\"") || has("\"cells\"")) {
        Kind::Notebook
    } else if begins("{") || begins("[") {
        Kind::Json
    } else if text.lines().any(is_code) {
        Kind::Program
    } else {
        Kind::Text
    }
}

/// A line that begins as one of Python, of a shell script or of a notebook's commands does, and as no row.
fn is_code(line: &str) -> bool {
    ["import ", "from ", "#!", "!pip", "!kaggle", "!wget", "!curl", "%matplotlib", "def "].iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it is, and what to do about it.
    #[test]
    fn each_kind_is_named_with_its_remedy() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let wide_big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        let rows = "1,2,3,pv,1511544070\n";
        let mut tar = vec![b'a'; 257];
        tar.extend_from_slice(b"ustar\x0000");
        let zip = |name: &str| [b"PK\x03\x04".as_slice(), &[0; 26], name.as_bytes()].concat();
        let cases: [(Vec<u8>, Kind, [&str; 2]); 27] = [
            (zip("UserBehavior.csv"), Kind::Zip, ["a zip archive", "`unzip rows.csv`"]),
            (zip("[Content_Types].xml"), Kind::Spreadsheet, ["a spreadsheet", "as CSV"]),
            (b"\x1f\x8b\x08\0".to_vec(), Kind::Gzip, ["a gzip archive", "`gunzip rows.csv`"]),
            (b"\x28\xb5\x2f\xfd\x04".to_vec(), Kind::Zstandard, ["Zstandard", "`unzstd rows.csv`"]),
            (b"BZh91AY&SY".to_vec(), Kind::Bzip2, ["bzip2", "`bunzip2 rows.csv`"]),
            (b"\xfd7zXZ\0\0".to_vec(), Kind::Xz, ["an xz archive", "`unxz rows.csv`"]),
            (b"7z\xbc\xaf\x27\x1c\0".to_vec(), Kind::SevenZip, ["7z", "`7z x rows.csv`"]),
            (b"Rar!\x1a\x07\x01".to_vec(), Kind::Rar, ["rar", "unrar"]),
            (tar, Kind::Tar, ["tar", "`tar -xf rows.csv`"]),
            ([b"\xff\xfe".to_vec(), wide(rows)].concat(), Kind::Utf16, ["UTF-16", "iconv -f UTF-16"]),
            (wide(rows), Kind::Utf16, ["UTF-16", "iconv"]),
            (wide_big(rows), Kind::Utf16, ["UTF-16", "iconv"]),
            (rows.chars().flat_map(|c| (c as u32).to_le_bytes()).collect(), Kind::Utf32, ["UTF-32", "iconv -f UTF-32"]),
            (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), Kind::LfsPointer, ["Git LFS pointer", "`git lfs pull`"]),
            (b"/annex/objects/SHA256E-s3--0.csv\n".to_vec(), Kind::AnnexPointer, ["git-annex", "`git annex get`"]),
            (b"outs:\n- md5: 0\n  path: rows.csv\n".to_vec(), Kind::DvcPointer, ["DVC", "`dvc pull`"]),
            (b"\n <!DOCTYPE html>\n<html>".to_vec(), Kind::Html, ["a web page", "Download the file again"]),
            (b"\xef\xbb\xbf<html>".to_vec(), Kind::Html, ["a web page", "\"<html>\""]),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied".to_vec(), Kind::Xml, ["XML", "again"]),
            (b"{\n \"cells\": [\n".to_vec(), Kind::Notebook, ["notebook", "CSV"]),
            (b"{\"message\": \"Not Found\"}".to_vec(), Kind::Json, ["JSON", "CSV"]),
            (b"# Fetch\nimport os, zipfile\n!kaggle datasets\n".to_vec(), Kind::Program, ["a program or a cell", "\"# Fetch\""]),
            (
                b"PAR1\x15\x04".to_vec(),
                Kind::Parquet,
                ["Parquet", if cfg!(feature = "parquet") { "by its name" } else { "read_parquet(\"rows.csv\")" }],
            ),
            (b"SQLite format 3\0\x10".to_vec(), Kind::Sqlite, ["SQLite", "sqlite3"]),
            (b"\x80\x04\x95\x10\0".to_vec(), Kind::Arrays, ["arrays", "CSV"]),
            (b"\x40\0\0\0\0\0\0\0{\"duia\":".to_vec(), Kind::Safetensors, ["weights", "--weights-in"]),
            (b"1,2\0,3".to_vec(), Kind::Binary, ["a binary file", "UserBehavior.csv itself"]),
        ];
        for (first, kind, parts) in cases {
            assert_eq!(Kind::of(&first), kind, "{:?}", first.escape_ascii().to_string());
            let said = kind.refusal("rows.csv", &first).unwrap().to_string();
            assert!(said.starts_with("rows.csv is ") && parts.iter().all(|part| said.contains(part)), "{said}");
        }
        for text in [rows, "", "\u{feff}1,2,3,pv,1", "user_id,item_id\n", "品牌,1", "# a comment\n1,2,3"] {
            assert!(Kind::of(text.as_bytes()) == Kind::Text && Kind::Text.refusal("x", b"").is_none(), "{text}");
        }
        assert_eq!(Kind::of(b"DUIAROWS\x01"), Kind::Sample);
    }

    #[test]
    fn a_peek_takes_nothing_away() {
        let text = "1,2,3,pv,1511544070\n".repeat(1_000);
        let (kind, mut reader) = peek(text.as_bytes()).unwrap();
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        assert_eq!((kind, all), (Kind::Text, text));
    }
}
