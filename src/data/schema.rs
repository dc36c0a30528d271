//! What the columns of somebody's own file mean: which is the user, the item, the time, and which words are which behaviour.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::features::MOST_COLUMNS;
use super::{Behaviour, shown};

/// The characters that may stand between values, the likeliest first.
const DELIMITERS: [char; 4] = [',', '\t', ';', '|'];

/// Lines that a guess looks at.
const LINES: usize = 1_000;

/// What headers call the columns: in lower case, letters and digits alone. In the order of [`Columns::FIELDS`].
const NAMES: [&[&str]; 7] = [
    &["user", "userid", "uid", "visitorid", "visitor", "customerid", "customer", "memberid", "sessionid", "account", "accountid"],
    &[
        "item",
        "itemid",
        "iid",
        "product",
        "productid",
        "pid",
        "goods",
        "goodsid",
        "sku",
        "skuid",
        "movieid",
        "newsid",
        "videoid",
        "articleid",
        "asin",
    ],
    &["category", "categoryid", "cat", "catid", "cate", "cateid", "itemcategory", "categorycode", "genre"],
    &["behavior", "behaviour", "behaviortype", "behaviourtype", "type", "action", "actiontype", "event", "eventtype"],
    &["time", "timestamp", "ts", "unixtime", "seconds", "datetime", "date", "eventtime", "createdat", "unixreviewtime"],
    &["label", "clicked", "isclick", "click", "isclicked", "taken", "label1"],
    &["label2", "longview", "islongview", "conversion", "converted", "isconversion"],
];

/// What headers call columns that tell something of users, and of items, as [`NAMES`]; the word for whose they are may stand before them.
/// No `duration`: it may be how long somebody watched.
const FEATURE_NAMES: [(&str, &[&str]); 2] = [
    (
        "user",
        &[
            "age",
            "ageband",
            "agegroup",
            "agelevel",
            "agerange",
            "birthyear",
            "city",
            "citylevel",
            "country",
            "education",
            "gender",
            "income",
            "incomelevel",
            "job",
            "memberlevel",
            "occupation",
            "profession",
            "province",
            "region",
            "sex",
            "userlevel",
            "zip",
            "zipcode",
        ],
    ),
    (
        "item",
        &[
            "artist",
            "author",
            "brand",
            "brandid",
            "color",
            "colour",
            "department",
            "director",
            "manufacturer",
            "price",
            "pricelevel",
            "publisher",
            "releaseyear",
            "seller",
            "sellerid",
            "shop",
            "shopid",
            "subcategory",
            "supplier",
            "videoduration",
            "videolength",
        ],
    ),
];

/// What columns of users and of items are called, beside [`Columns::FIELDS`].
pub(super) const FEATURES: [&str; 2] = ["profile", "attribute"];

/// Words for behaviours, as headers are compared.
const WORDS: [(&[&str], Behaviour); Behaviour::COUNT + 2] = [
    (&["pv", "view", "click", "clk", "browse", "impression", "read", "watch", "pageview"], Behaviour::View),
    (&["cart", "addtocart", "addcart", "basket"], Behaviour::Cart),
    (&["fav", "favorite", "favourite", "like", "wishlist", "collect", "save", "share"], Behaviour::Favourite),
    (&["buy", "purchase", "transaction", "order", "paid", "pay", "bought"], Behaviour::Buy),
    (&["shown"], Behaviour::Shown),
    (&["stayed"], Behaviour::Stayed),
];

/// What the columns of a file mean. As JSON it is a file for `--schema`; `duia inspect` writes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// What stands between values.
    pub delimiter: char,
    /// Whether the first line names the columns.
    pub header: bool,
    /// Which column is which.
    pub columns: Columns,
    /// Words of the behaviour's column and what they mean; without any, the usual ones (view, cart, fav, buy and their like). A row
    /// with another word is refused and counted.
    #[serde(default)]
    pub behaviors: BTreeMap<String, Behaviour>,
}

/// Which column is which: by its name in the header, or by its number from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Who.
    pub user: String,
    /// What.
    pub item: String,
    /// Of which kind. Without it all items are of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What was done. Without it every row is a look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<String>,
    /// When: unix seconds, milliseconds or finer, or a date and time (ISO 8601).
    pub time: String,
    /// Whether what was shown was taken (protocol E1), in the place of a behaviour: a number, of which .5 and more says yes, or as in
    /// `watched>=30` as much as stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The label of the second task, in the same way. Without it the second task has no positives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label2: Option<String>,
    /// What is known of the user: each column becomes features of the ranker. A user has the value of their first row that has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profile: Vec<String>,
    /// What is known of the item beside its category, in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attribute: Vec<String>,
}

/// A label's column, and from which value on the label is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold<'a> {
    /// The column's name or number.
    pub column: &'a str,
    /// The least value that says yes.
    pub least: f64,
}

impl<'a> Threshold<'a> {
    /// `clicked`, or `watched>=30`.
    fn of(text: &'a str) -> Result<Self, String> {
        let Some((column, least)) = text.split_once(">=") else { return Ok(Self { column: text, least: 0.5 }) };
        let number = least.trim().parse().ok().filter(|least: &f64| least.is_finite());
        let least = number.ok_or_else(|| format!("`{}` in `{text}` is no number", least.trim()))?;
        Ok(Self { column: column.trim(), least })
    }
}

impl Columns {
    /// What a column may be.
    pub const FIELDS: [&str; 7] = ["user", "item", "category", "behavior", "time", "label", "label2"];

    /// The columns that tell something of users, and those that tell something of items.
    pub fn features(&self) -> [&[String]; 2] {
        [&self.profile, &self.attribute]
    }

    /// The columns in the order of [`Columns::FIELDS`].
    pub fn all(&self) -> [Option<&str>; 7] {
        let [label, label2] = [&self.label, &self.label2].map(|label| label.as_deref());
        [Some(&*self.user), Some(&*self.item), self.category.as_deref(), self.behavior.as_deref(), Some(&*self.time), label, label2]
    }

    /// The columns that names tell.
    ///
    /// # Errors
    /// A sentence where none is the user, the item or the time.
    pub fn named(names: &[String]) -> Result<Self, String> {
        let find = |known: &[&str]| known.iter().find_map(|known| names.iter().find(|name| letters(name) == *known)).cloned();
        let [profile, attribute] = [0, 1].map(|side| names.iter().filter(|name| tells_of(name) == Some(side)).cloned().collect());
        Ok(Self { profile, attribute, ..Self::of(NAMES.map(find))? })
    }

    /// The columns of both labels, where there are any, and what they must reach.
    ///
    /// # Errors
    /// A sentence where what a label must reach is no number, where the first is not given, or a behaviour beside it.
    pub fn labels(&self) -> Result<[Option<Threshold<'_>>; 2], String> {
        if self.label.is_some() && self.behavior.is_some() {
            return Err("a row's label and its behavior both say what was done: give one of them".into());
        }
        if self.label2.is_some() && self.label.is_none() {
            return Err("label2 is the second label, and label, the first, is not given".into());
        }
        Ok([self.label.as_deref().map(Threshold::of).transpose()?, self.label2.as_deref().map(Threshold::of).transpose()?])
    }

    /// From which value on each label is 1.
    pub(super) fn least(&self) -> [f64; 2] {
        // A schema whose labels cannot be read has no places.
        self.labels().unwrap_or_default().map(|label| label.map_or(0.5, |label| label.least))
    }

    fn of(all: [Option<String>; 7]) -> Result<Self, String> {
        let [user, item, category, behavior, time, label, label2] = all;
        let need = |column: Option<String>, field: &str| column.ok_or_else(|| format!("no column is the {field}"));
        let columns = Self {
            user: need(user, "user")?,
            item: need(item, "item")?,
            category,
            behavior,
            time: need(time, "time")?,
            label,
            label2,
            profile: Vec::new(),
            attribute: Vec::new(),
        };
        columns.labels()?;
        Ok(columns)
    }
}

impl FromStr for Columns {
    type Err = String;

    /// `user=uid,item=pid,category=cat,time=ts,behavior=type`; category and behaviour may be left out. Rows with labels of their own
    /// have `label=clicked,label2=watched>=30` in the place of a behaviour. `profile=gender,profile=age,attribute=brand` may be there any
    /// number of times.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut all: [Option<String>; 7] = Default::default();
        let mut features = [Vec::new(), Vec::new()];
        for part in text.split(',') {
            let (field, column) = part.split_once('=').ok_or_else(|| format!("`{part}` is not of the form user=uid"))?;
            let field = if field.trim() == "behaviour" { "behavior" } else { field.trim() };
            if let Some(which) = FEATURES.iter().position(|known| *known == field) {
                features[which].push(column.trim().to_owned());
                continue;
            }
            let at = Self::FIELDS.iter().position(|known| *known == field);
            let at = at.ok_or_else(|| format!("`{field}` is none of {}, {}", Self::FIELDS.join(", "), FEATURES.join(", ")))?;
            if all[at].replace(column.trim().to_owned()).is_some() {
                return Err(format!("`{field}` is given twice"));
            }
        }
        let [profile, attribute] = features;
        Ok(Self { profile, attribute, ..Self::of(all)? })
    }
}

/// Words and what they mean, from `view=pv,cart=cart,buy=purchase,buy=order`.
///
/// # Errors
/// A sentence where a part is not of this form.
pub fn behaviours(text: &str) -> Result<BTreeMap<String, Behaviour>, String> {
    let one = |part: &str| {
        let (kind, word) = part.split_once('=').ok_or_else(|| format!("`{part}` is not of the form buy=purchase"))?;
        let kind = match kind.trim() {
            "view" => Behaviour::View,
            "cart" => Behaviour::Cart,
            "favourite" | "favorite" => Behaviour::Favourite,
            "buy" => Behaviour::Buy,
            other => return Err(format!("`{other}` is none of view, cart, favourite, buy")),
        };
        Ok((word.trim().to_owned(), kind))
    };
    text.split(',').map(one).collect()
}

/// A schema that was guessed, and what it was guessed from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guess {
    /// The schema.
    pub schema: Schema,
    /// What a person should check, in sentences without their full stop.
    pub doubts: Vec<String>,
}

impl Default for Schema {
    /// Commas, no header, and no column.
    fn default() -> Self {
        Self { delimiter: ',', header: false, columns: Columns::default(), behaviors: BTreeMap::new() }
    }
}

impl Schema {
    /// The schema that the first bytes of a file suggest.
    ///
    /// # Errors
    /// A sentence where no column can be the user, the item or the time.
    pub fn guess(first: &[u8]) -> Result<Guess, String> {
        let (guess, lack) = Self::sketch(first);
        lack.map_or(Ok(guess), Err)
    }

    /// [`Self::guess`], for a person to complete: what no column can be has an empty name, and a sentence says what is lacking.
    pub fn sketch(first: &[u8]) -> (Guess, Option<String>) {
        let text = String::from_utf8_lossy(first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first));
        let lines: Vec<&str> =
            text.lines().map(|line| line.trim_end_matches('\r')).filter(|line| !line.trim().is_empty()).take(LINES).collect();
        let lines = if text.ends_with('\n') || lines.len() < 3 { &lines[..] } else { &lines[..lines.len() - 1] };
        let Some(head) = lines.first() else { return (Guess::default(), Some("the file is empty".into())) };
        let delimiter = guess_delimiter(lines);
        let cells: Vec<Vec<&str>> = lines.iter().map(|line| split(line, delimiter)).collect();
        let header = cells[0].iter().all(|cell| is_name(cell)) && cells.get(1).is_none_or(|row| row.iter().any(|cell| !is_name(cell)));
        let body = if header { &cells[1..] } else { &cells[..] };
        let width = cells[0].len();
        if width < 3 {
            let lack =
                format!("a line has {}, and a user, an item and a time are needed (\"{}\")", columns_of(width), shown(head.as_bytes()));
            return (Guess { schema: Self { delimiter, header, ..Self::default() }, doubts: Vec::new() }, Some(lack));
        }
        let column = |at: usize| body.iter().filter_map(move |row| row.get(at).copied()).filter(|cell| !cell.is_empty());
        let mut places: [Option<usize>; 7] = [None; 7];
        let mut doubts = Vec::new();
        if header {
            for (field, names) in NAMES.iter().enumerate() {
                // The likeliest name first, wherever its column is.
                places[field] = names.iter().find_map(|name| cells[0].iter().position(|cell| letters(cell) == **name));
            }
        }
        // Of columns that say the same the labels say more.
        let is_labelled = places[5].is_some();
        if let Some(at) = places[3].filter(|_| is_labelled) {
            doubts.push(format!("Column {} may be the behaviour; the label says what was taken, and it is left out", at + 1));
            places[3] = None;
        }
        places[6] = places[6].filter(|_| is_labelled);
        let mut free: Vec<usize> = (0..width).filter(|at| !places.contains(&Some(*at))).collect();
        let take = |free: &mut Vec<usize>, fits: &dyn Fn(usize) -> bool| free.iter().position(|at| fits(*at)).map(|at| free.remove(at));
        if places[4].is_none() {
            // From the right: time comes last in most logs.
            free.reverse();
            places[4] = take(&mut free, &|at| column(at).next().is_some() && column(at).all(is_time));
            free.reverse();
            doubts.extend(places[4].map(|at| format!("Column {} is taken for the time by its values", at + 1)));
        }
        if places[3].is_none() && !is_labelled {
            let known = |at: usize| column(at).next().is_some() && column(at).all(|cell| word(cell).is_some());
            places[3] = take(&mut free, &known);
        }
        for field in [0, 1] {
            if places[field].is_none() {
                places[field] = take(&mut free, &|at| column(at).next().is_some());
                doubts
                    .extend(places[field].map(|at| format!("Column {} is taken for the {} by its place", at + 1, Columns::FIELDS[field])));
            }
        }
        if places[2].is_none() && !header && width == 5 {
            places[2] = take(&mut free, &|at| column(at).next().is_some());
            doubts.extend(places[2].map(|at| format!("Column {} is taken for the category by its place", at + 1)));
        }
        let name = |at: usize| if header { unquoted(cells[0][at].trim()).to_owned() } else { (at + 1).to_string() };
        let named = places.map(|place| place.map(name));
        let lack = Columns::of(named.clone()).err();
        let [user, item, category, behavior, time, label, label2] = named;
        let [user, item, time] = [user, item, time].map(Option::unwrap_or_default);
        let telling = |side: usize| {
            let is_free = |at: &usize| header && !places.contains(&Some(*at)) && tells_of(cells[0][*at]) == Some(side);
            (0..width).filter(is_free).map(name).take(MOST_COLUMNS).collect::<Vec<String>>()
        };
        let [profile, attribute] = [0, 1].map(telling);
        if !profile.is_empty() {
            doubts.push(format!("Taken for the user's profile by their names: {}", profile.join(", ")));
        }
        if !attribute.is_empty() {
            doubts.push(format!("Taken for attributes of the item by their names: {}", attribute.join(", ")));
        }
        let columns = Columns { user, item, category, behavior, time, label, label2, profile, attribute };
        let mut behaviors = BTreeMap::new();
        let mut unknown = Vec::new();
        for cell in places[3].into_iter().flat_map(column) {
            match word(cell) {
                Some(behaviour) => {
                    behaviors.insert(unquoted(cell.trim()).to_owned(), behaviour);
                }
                None if unknown.len() < 8 && !unknown.contains(&cell) => unknown.push(cell),
                None => {}
            }
        }
        if !unknown.is_empty() {
            doubts.push(format!("It is not known what {} mean: unless you say so, their rows are refused", unknown.join(", ")));
        }
        if places[3].is_none() && !is_labelled {
            doubts.push("No column is the behaviour: every row is taken for a look".into());
        }
        if places[2].is_none() {
            doubts.push("No column is the category: all items are taken to be of one".into());
        }
        (Guess { schema: Self { delimiter, header, columns, behaviors }, doubts }, lack)
    }

    /// What a word of the behaviour's column means.
    pub fn behaviour(&self, text: &str) -> Option<Behaviour> {
        if self.behaviors.is_empty() { word(text) } else { self.behaviors.get(text).copied() }
    }

    /// The character that parts the values of the lines that a file begins with.
    pub fn delimiter_of(first: &[u8]) -> char {
        let text = String::from_utf8_lossy(first);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(LINES).collect();
        if lines.is_empty() { ',' } else { guess_delimiter(&lines[..lines.len().div_ceil(2)]) }
    }

    /// Where the columns are, given the fields of the first line; `None` for one that the file does not have.
    ///
    /// # Errors
    /// A sentence that names the column that is not there, and those that are.
    pub fn places(&self, first: &[String]) -> Result<[Option<usize>; 7], String> {
        let [label, label2] = self.columns.labels()?.map(|label| label.map(|label| label.column));
        let mut columns = self.columns.all();
        columns[5..].copy_from_slice(&[label, label2]);
        let mut places = [None; 7];
        for (place, column) in places.iter_mut().zip(columns) {
            *place = column.map(|column| self.place(column, first)).transpose()?;
        }
        Ok(places)
    }

    /// Where the columns of users and those of items are, given the fields of the first line.
    ///
    /// # Errors
    /// As [`Schema::places`], and a sentence where there are too many.
    pub fn feature_places(&self, first: &[String]) -> Result<[Vec<usize>; 2], String> {
        let [users, items] = self.columns.features().map(|columns| {
            if columns.len() > MOST_COLUMNS {
                return Err(format!("{} columns tell something of one side, and {MOST_COLUMNS} are the most", columns.len()));
            }
            columns.iter().map(|column| self.place(column, first)).collect()
        });
        Ok([users?, items?])
    }

    fn place(&self, column: &str, first: &[String]) -> Result<usize, String> {
        let by_name = || first.iter().position(|name| self.header && unquoted(name.trim()) == column);
        let by_number = || column.parse().ok().filter(|number| (1..=first.len()).contains(number)).map(|number: usize| number - 1);
        by_name().or_else(by_number).ok_or_else(|| {
            let there =
                if self.header { format!("its header has {}", first.join(", ")) } else { format!("a line has {} columns", first.len()) };
            format!("there is no column `{column}`: {there}")
        })
    }
}

/// The delimiter that most often stands in the lines in the same number.
fn guess_delimiter(lines: &[&str]) -> char {
    let columns = |delimiter: char| {
        let width = split(lines[0], delimiter).len();
        let alike = lines.iter().filter(|line| split(line, delimiter).len() == width).count();
        if width > 1 { (alike, width) } else { (0, 0) }
    };
    // The first of equals is the likeliest.
    DELIMITERS.into_iter().rev().max_by_key(|&delimiter| columns(delimiter)).unwrap_or(',')
}

/// The values of a line; a delimiter within quotes parts none.
fn split(line: &str, delimiter: char) -> Vec<&str> {
    let mut is_quoted = false;
    line.split(|c: char| {
        is_quoted ^= c == '"';
        c == delimiter && !is_quoted
    })
    .map(|cell| unquoted(cell.trim()))
    .collect()
}

fn unquoted(cell: &str) -> &str {
    cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell)
}

fn columns_of(width: usize) -> String {
    if width == 1 { "one column".into() } else { format!("{width} columns") }
}

fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whom a column's name says that it tells something of: users (0) or items (1).
fn tells_of(name: &str) -> Option<usize> {
    let name = letters(name);
    FEATURE_NAMES
        .iter()
        .position(|(whose, known)| known.contains(&&*name) || name.strip_prefix(whose).is_some_and(|name| known.contains(&name)))
}

/// Whether a cell may name a column: no number and no time.
fn is_name(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// What a word of a behaviour's column usually means.
pub fn word(cell: &str) -> Option<Behaviour> {
    let cell = letters(cell);
    WORDS.iter().find(|(words, _)| words.contains(&&*cell)).map(|(_, behaviour)| *behaviour)
}

/// Whether a value may be a time of this century: a number of seconds or finer, or a date.
fn is_time(cell: &str) -> bool {
    let recent = 915_148_800..4_102_444_800;
    seconds(cell.as_bytes()).is_some_and(|time| recent.contains(&time))
}

/// Unix seconds of a value: a whole number of seconds, milliseconds or finer, told by its size, or a date and time.
pub fn seconds(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let whole =
        text.split_once('.').map_or(text, |(whole, rest)| if rest.bytes().all(|byte| byte.is_ascii_digit()) { whole } else { text });
    let Ok(number) = whole.parse::<i64>() else { return iso_seconds(value) };
    Some(number.div_euclid(unit_of(number)))
}

/// How many of the unit of a time make a second, told by its size: as seconds, 10^11 is the year 5138.
pub(super) fn unit_of(time: i64) -> i64 {
    match time.unsigned_abs() {
        0..100_000_000_000 => 1,
        100_000_000_000..100_000_000_000_000 => 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000_000,
        _ => 1_000_000_000,
    }
}

/// Unix seconds of `2017-11-25T01:21:10.5+08:00` and its like: a space or a `T` before the time, which may end after the hours, the
/// minutes, the seconds or their fraction, or be missing; then an offset, `Z` or ` UTC`, or none, which is read as UTC.
pub fn iso_seconds(value: &[u8]) -> Option<i64> {
    let mut rest = value;
    let year = digits(&mut rest, 4)?;
    let separator = *rest.first().filter(|byte| matches!(byte, b'-' | b'/'))?;
    rest = &rest[1..];
    let month = digits(&mut rest, 2).filter(|month| (1..=12).contains(month))?;
    let day = after(&mut rest, separator, 2).filter(|day| (1..=days_of(year, month)).contains(day))?;
    let mut seconds = 86_400 * days_before(year, month, day);
    if let Some((b' ' | b'T' | b't', clock)) = rest.split_first() {
        rest = clock;
        seconds += 3_600 * digits(&mut rest, 2).filter(|hour| *hour < 24)?;
        if rest.first() == Some(&b':') {
            seconds += 60 * after(&mut rest, b':', 2).filter(|minute| *minute < 60)?;
        }
        if rest.first() == Some(&b':') {
            // A leap second is read as the second after it.
            seconds += after(&mut rest, b':', 2).filter(|second| *second <= 60)?;
        }
        if let Some((b'.' | b',', fraction)) = rest.split_first() {
            let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest = (length > 0).then_some(&fraction[length..])?;
        }
        seconds -= offset(&mut rest)?;
    }
    rest.is_empty().then_some(seconds)
}

/// Seconds that an offset is ahead of UTC.
fn offset(rest: &mut &[u8]) -> Option<i64> {
    let text = rest.trim_ascii_start();
    let (sign, mut clock) = match text {
        [] | b"Z" | b"z" | b"UTC" | b"GMT" => {
            *rest = b"";
            return Some(0);
        }
        [b'+', clock @ ..] => (1, clock),
        [b'-', clock @ ..] => (-1, clock),
        _ => return None,
    };
    let hours = digits(&mut clock, 2).filter(|hours| *hours < 24)?;
    clock = clock.strip_prefix(b":").unwrap_or(clock);
    let minutes = if clock.is_empty() { 0 } else { digits(&mut clock, 2).filter(|minutes| *minutes < 60)? };
    *rest = clock;
    Some(sign * (3_600 * hours + 60 * minutes))
}

/// So many digits, taken off the front.
fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (own, after) = rest.split_at_checked(count)?;
    *rest = after;
    own.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| 10 * number + i64::from(byte - b'0')))
}

/// So many digits after a separator.
fn after(rest: &mut &[u8], separator: u8, count: usize) -> Option<i64> {
    *rest = rest.strip_prefix(&[separator])?;
    digits(rest, count)
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms": years begin in March).
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(text: &str) -> Guess {
        Schema::guess(text.as_bytes()).unwrap()
    }

    #[test]
    fn columns_of_a_profile_are_guessed_by_their_names_and_may_be_many() {
        let text =
            "user_id,item_id,ts,Gender,user_age_group,city level,Item Price,dwell\n1,2,1511544070,f,3,1,9,5\n1,3,1511544071,f,3,1,8,6\n";
        let Guess { schema, doubts } = guess(text);
        assert_eq!(schema.columns.features(), [&["Gender", "user_age_group", "city level"][..], &["Item Price"]]);
        assert!(doubts.iter().any(|doubt| doubt.contains("profile by their names: Gender, user_age_group, city level")), "{doubts:?}");
        assert!(doubts.iter().any(|doubt| doubt.contains("attributes of the item by their names: Item Price")), "{doubts:?}");
        let said = "user=user_id,item=item_id,time=ts,profile=Gender,profile=user_age_group,profile=city level,attribute=Item Price";
        let said: Columns = said.parse().unwrap();
        assert_eq!(said, schema.columns);
        let json = serde_json::to_string(&schema).unwrap();
        assert_eq!(serde_json::from_str::<Schema>(&json).unwrap(), schema);
        let first: Vec<String> =
            ["user_id", "item_id", "ts", "Gender", "user_age_group", "city level", "Item Price"].map(String::from).to_vec();
        assert_eq!(schema.feature_places(&first).unwrap(), [vec![3, 4, 5], vec![6]]);
        let many = Schema { columns: Columns { profile: vec!["Gender".into(); 17], ..said }, ..schema };
        assert!(many.feature_places(&first).unwrap_err().contains("17 columns tell something of one side, and 16 are the most"));
        let without = guess("user,item,time\n1,2,1511544070\n1,3,1511544071\n").schema;
        assert!(!serde_json::to_string(&without).unwrap().contains("profile"));
    }

    /// The form of public logs, with made-up rows.
    #[test]
    fn the_form_of_public_logs_is_guessed() {
        let columns = |text: &str| text.parse::<Columns>().unwrap();
        let taobao = guess("1,2,3,pv,1511544070\n1,3,3,buy,1511544071\n2,3,3,fav,1511544072\n");
        assert_eq!(taobao.schema.columns, columns("user=1,item=2,category=3,behavior=4,time=5"));
        assert!(!taobao.schema.header && taobao.schema.behaviors["fav"] == Behaviour::Favourite);

        let shop = guess(
            "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n1433224214164,992329,addtocart,248676,\n1433224214165,992329,transaction,248676,4000\n",
        );
        assert_eq!(shop.schema.columns, columns("user=visitorid,item=itemid,behavior=event,time=timestamp"));
        assert_eq!(shop.schema.behaviors["transaction"], Behaviour::Buy);
        assert_eq!(shop.doubts.len(), 1, "{:?}", shop.doubts);

        let ratings = guess("userId;movieId;rating;timestamp\n1;307;3.5;1256677221\n1;481;3.5;1256677456\n");
        assert_eq!((ratings.schema.delimiter, ratings.schema.header), (';', true));
        assert_eq!(ratings.schema.columns, columns("user=userId,item=movieId,time=timestamp"));

        let events = guess(
            "event_time\tevent_type\tproduct_id\tcategory_id\tcategory_code\tuser_id\n2019-10-01 00:00:00 UTC\tview\t44600062\t2103807459595387724\t\t541312140\n2019-10-01 00:00:01 UTC\tremove_from_cart\t3900821\t2053013552326770905\tappliances\t554748717\n",
        );
        assert_eq!(events.schema.columns, columns("user=user_id,item=product_id,category=category_id,behavior=event_type,time=event_time"));
        assert!(events.doubts[0].contains("remove_from_cart") && events.doubts[0].contains("refused"), "{:?}", events.doubts);

        for text in ["", "1,2\n3,4\n", "a,b,c\nd,e,f\n"] {
            assert!(Schema::guess(text.as_bytes()).is_err(), "{text}");
        }
        let (sketch, lack) = Schema::sketch(b"who,what,when\nada,tea,monday\nbob,oil,friday\n");
        assert_eq!((lack.as_deref(), &*sketch.schema.columns.user, &*sketch.schema.columns.time), (Some("no column is the time"), "1", ""));
        let header = guess("user,item,time\n").schema;
        assert!(header.header && header.columns == columns("user=user,item=item,time=time"), "a header without rows");
        let (sketch, lack) = Schema::sketch(b"one\ntwo\nthree\n");
        assert!(lack.unwrap().starts_with("a line has one column") && sketch.schema.columns == Columns::default());
    }

    #[test]
    fn labels_stand_in_the_place_of_a_behaviour() {
        let columns: Columns = "user=u,item=i,time=t,label=clicked,label2=watched>=30".parse().unwrap();
        let [label, label2] = columns.labels().unwrap().map(Option::unwrap);
        assert_eq!((label.column, label.least, label2.column, label2.least), ("clicked", 0.5, "watched", 30.0));
        let schema = Schema { delimiter: ',', header: true, columns, behaviors: BTreeMap::new() };
        let places = schema.places(&["u", "i", "t", "watched", "clicked"].map(String::from)).unwrap();
        assert_eq!(places, [Some(0), Some(1), None, None, Some(2), Some(4), Some(3)]);
        for (text, part) in [
            ("user=u,item=i,time=t,label=a,behavior=b", "give one of them"),
            ("user=u,item=i,time=t,label2=a", "the first, is not given"),
            ("user=u,item=i,time=t,label=a>=much", "no number"),
        ] {
            assert!(text.parse::<Columns>().unwrap_err().contains(part), "{text}");
        }
        let feed = guess("user_id,video_id,time_ms,is_click,long_view\n1,2,1650000000000,0,0\n1,3,1650000001000,1,0\n");
        let columns: Columns = "user=user_id,item=video_id,time=time_ms,label=is_click,label2=long_view".parse().unwrap();
        assert_eq!((feed.schema.columns, feed.doubts.len()), (columns, 2), "{:?}", feed.doubts);
    }

    #[test]
    fn columns_and_words_are_read_from_the_command_line_or_refused() {
        let columns: Columns = "user=uid, item=pid,time=ts,behaviour=type".parse().unwrap();
        assert_eq!(columns.all(), [Some("uid"), Some("pid"), None, Some("type"), Some("ts"), None, None]);
        for (text, part) in
            [("user=1,item=2", "the time"), ("user=1,user=2", "twice"), ("who=1", "none of user"), ("user", "form user=uid")]
        {
            assert!(text.parse::<Columns>().unwrap_err().contains(part), "{text}");
        }
        let words = behaviours("view=1,favourite=2,cart=3,buy=4,buy=5").unwrap();
        assert!(words["5"] == Behaviour::Buy && words["2"] == Behaviour::Favourite && words.len() == 5);
        assert!(behaviours("sell=1").unwrap_err().contains("none of view"));
        let schema = Schema { delimiter: ',', header: true, columns, behaviors: words };
        let json = serde_json::to_string(&schema).unwrap();
        assert_eq!(serde_json::from_str::<Schema>(&json).unwrap(), schema);
        assert!(
            schema.places(&["uid", "pid", "ts"].map(String::from)).unwrap_err().contains("no column `type`: its header has uid, pid, ts")
        );
    }

    #[cfg(not(target_family = "wasm"))]
    #[test]
    fn times_are_those_of_an_independent_library() {
        use crate::counter::{Counter, Stream};
        let random = Counter::new(3, Stream::Choices);
        for case in 0..2_000 {
            let expected = random.below(case, 8_000_000_000) as i64 - 2_000_000_000;
            let time = jiff::Timestamp::from_second(expected).unwrap();
            let minutes = random.below(case + 10_000, 1_440) as i32 - 720;
            let zone = jiff::tz::TimeZone::fixed(jiff::tz::Offset::from_seconds(60 * minutes).unwrap());
            let texts = [
                time.to_string(),
                time.to_string().replace('T', " ").replace('Z', " UTC"),
                time.to_zoned_datetime(zone).strftime("%Y-%m-%dT%H:%M:%S.25%:z").to_string(),
            ];
            for text in texts {
                assert_eq!(iso_seconds(text.as_bytes()), Some(expected), "{text}");
            }
        }
        for (text, expected) in [
            ("1511544070", Some(1_511_544_070)),
            ("1511544070123", Some(1_511_544_070)),
            ("1511544070.5", Some(1_511_544_070)),
            ("2017-11-25", Some(1_511_568_000)),
            ("2017/11/25 01", Some(1_511_571_600)),
            ("2017-02-29", None),
            ("2017-11-25 24:00", None),
            ("2017-11-25 01:21:10 CET", None),
            ("noon", None),
            ("", None),
            ("1.51E+09", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), expected, "{text}");
        }
    }
}
