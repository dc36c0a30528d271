//! Compact samples of whole users, for a page that is to train on real rows.
//!
//! A file is, in this order: 8 bytes `DUIAROWS`; 1 byte, the version of the format; 8 bytes, the FNV-1a hash of what
//! follows (little-endian); the payload by postcard, whose numbers take as many bytes as they need. About 7 bytes a row.

use std::hash::Hasher;

use fnv::FnvHasher;
use serde::{Deserialize, Serialize};

use super::features::Features;
use super::ids::Ids;
use super::stored::{MOST_IDS, Packed, Rows};
use super::{Behaviour, DataError, Source, Vocabulary};
use crate::counter::{Counter, Stream};

const MAGIC: &[u8; 8] = b"DUIAROWS";
const VERSION: u8 = 3;

/// What a sample holds; its ids are counted from 0 in the order of their first row.
#[derive(Default, Serialize, Deserialize)]
struct Payload {
    users: u32,
    categories: u32,
    /// `[items]`.
    item_category: Vec<u32>,
    /// Fields of a user's profile and of an item's attributes.
    fields: [u32; 2],
    /// `[users, fields]`.
    profiles: Vec<u8>,
    /// `[items, fields]`.
    attributes: Vec<u8>,
    /// `[rows]` in time order: user, item, and seconds since the row before (for the first, since 1970) times 4 plus the behaviour.
    rows: Vec<(u32, u32, u64)>,
}

/// A sample of `users` whole users, chosen by a hash of the seed and the user; all users where there are no more. What was shown and
/// not taken is left out.
pub fn write(rows: &Rows, users: usize, seed: u64) -> Vec<u8> {
    let chosen = choose(rows.vocabulary().users, users, seed);
    let fields = [rows.profiles.fields(), rows.attributes.fields()];
    let mut payload = Payload { fields, ..Payload::default() };
    let (mut user_ids, mut item_ids, mut category_ids) = (Ids::default(), Ids::default(), Ids::default());
    let mut before = 0;
    for event in rows.iter().filter(|event| chosen[event.user as usize] && event.behaviour.is_taken()) {
        let item = item_ids.of(event.item.into());
        if item as usize == payload.item_category.len() {
            payload.item_category.push(category_ids.of(event.category.into()));
            payload.attributes.extend_from_slice(rows.attributes.of_member(event.item));
        }
        let (known, user) = (user_ids.len(), user_ids.of(event.user.into()));
        if user == known {
            payload.profiles.extend_from_slice(rows.profiles.of_member(event.user));
        }
        let step = (event.time - before) as u64;
        payload.rows.push((user, item, step << 2 | event.behaviour as u64));
        before = event.time;
    }
    payload.users = user_ids.len();
    payload.categories = category_ids.len();
    framed(&payload)
}

/// Which users are kept.
fn choose(all: u32, users: usize, seed: u64) -> Vec<bool> {
    let hash = Counter::new(seed, Stream::Sample);
    let mut order: Vec<u32> = (0..all).collect();
    order.sort_unstable_by_key(|&user| (hash.bits(user.into()), user));
    let mut chosen = vec![false; all as usize];
    order.iter().take(users).for_each(|&user| chosen[user as usize] = true);
    chosen
}

fn framed(payload: &Payload) -> Vec<u8> {
    // Encoding fails only for values that postcard has no form for, and numbers and vectors are not among them.
    let body = postcard::to_stdvec(payload).expect("numbers and vectors have a form in postcard");
    [MAGIC.as_slice(), &[VERSION], &fnv(&body).to_le_bytes(), &body].concat()
}

/// The rows of a sample that [`write()`] made.
///
/// # Errors
/// [`DataError::Sample`] where the bytes are no sample, of another version, cut off or damaged, and
/// [`DataError::TooLittle`] where it holds fewer than two users or two items.
pub fn read(bytes: &[u8], name: &str) -> Result<Rows, DataError> {
    let payload = unframed(bytes).and_then(checked).map_err(|problem| DataError::Sample { name: name.into(), problem: problem.into() })?;
    if payload.users < 2 || payload.item_category.len() < 2 {
        return Err(DataError::TooLittle {
            name: name.into(),
            problem: "has rows of fewer than two users or two items".into(),
            advice: "Make a sample of more users".into(),
        });
    }
    let mut seconds = 0;
    let rows = payload.rows.iter().map(|&(user, item, step)| {
        // Checked to be times of 32 bits.
        seconds += (step >> 2) as u32;
        Packed::new(user, item, seconds, Behaviour::ALL[(step & 3) as usize])
    });
    let (rows, items) = (rows.collect(), payload.item_category.len() as u32);
    let vocabulary = Vocabulary { users: payload.users, items, categories: payload.categories };
    // Checked to be features.
    let of = |side: usize, values: Vec<u8>, members: u32| Features::of(payload.fields[side], values, members).unwrap_or_default();
    let features = [of(0, payload.profiles, payload.users), of(1, payload.attributes, items)];
    Ok(Rows::of_sample(name, rows, payload.item_category, features, vocabulary))
}

fn unframed(bytes: &[u8]) -> Result<Payload, &'static str> {
    let Some((magic, rest)) = bytes.split_first_chunk() else { return Err("it is cut off") };
    if magic != MAGIC {
        return Err("it is another kind of file");
    }
    let Some((&[version], rest)) = rest.split_first_chunk() else { return Err("it is cut off") };
    if version != VERSION {
        return Err("it comes from another version of the program");
    }
    let Some((hash, body)) = rest.split_first_chunk() else { return Err("it is cut off") };
    if fnv(body) != u64::from_le_bytes(*hash) {
        return Err("it is damaged or cut off");
    }
    postcard::from_bytes(body).map_err(|_| "its rows cannot be decoded")
}

/// Bytes with a right hash may still have been made by another program: every id and time must be one that can be used, and every id
/// must have a row. So tables by id cannot be made huge by a small file, and no user is there only by name.
fn checked(payload: Payload) -> Result<Payload, &'static str> {
    let items = payload.item_category.len() as u32;
    let (mut seconds, mut users_met, mut items_met) = (0u64, 0, 0);
    let fits = payload.item_category.len() <= MOST_IDS as usize
        && payload.rows.iter().all(|&(user, item, step)| {
            seconds += step >> 2;
            seconds <= u32::MAX.into() && is_next_or_known(&mut users_met, user) && is_next_or_known(&mut items_met, item)
        });
    let whole = fits && users_met == payload.users && items_met == items && payload.categories <= items;
    let named = payload.item_category.iter().all(|&category| category < payload.categories);
    let [of_users, of_items] = payload.fields;
    let has_features = Features::fit(of_users, &payload.profiles, payload.users) && Features::fit(of_items, &payload.attributes, items);
    if whole && named && has_features { Ok(payload) } else { Err("its rows contradict each other") }
}

/// Ids are counted in the order of their first row: one is known, or it is the next.
fn is_next_or_known(met: &mut u32, id: u32) -> bool {
    *met += u32::from(id == *met);
    id < *met
}

/// FNV-1a: finds damage, keeps no secret.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = FnvHasher::default();
    hash.write(bytes);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write;
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::data::generator::Generator;
    use crate::data::schema::Schema;
    use crate::data::{Event, Origin, own};

    /// Rows of 40 users, as a file.
    fn rows() -> Rows {
        let config = Config { users: 40, rows: 3_000, ..Config::default() };
        let mut text = String::new();
        for e in Arc::new(Generator::new(&config)).events() {
            let behaviour = ["pv", "cart", "fav", "buy"][e.behaviour as usize];
            writeln!(text, "{},{},{},{behaviour},{}", e.user, e.item, e.category, e.time).unwrap();
        }
        Rows::read(text.as_bytes(), "rows.csv").unwrap()
    }

    /// What each user did, ids left out: whole users are found again by it.
    fn by_user(rows: &Rows) -> BTreeMap<u32, Vec<(i64, Behaviour)>> {
        let mut by_user: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        rows.iter().for_each(|e| by_user.entry(e.user).or_default().push((e.time, e.behaviour)));
        by_user
    }

    /// Ids are counted anew, so a user is found again by their one time.
    #[test]
    fn users_and_items_keep_what_is_known_of_them() {
        let columns = "user=u,item=i,time=t,profile=city,attribute=i".parse().unwrap();
        let schema = Schema { delimiter: ',', header: true, columns, behaviors: Default::default() };
        let lines: String = (0..40).map(|n| format!("user {n},{},{},{}\n", n % 3, 1_600_000_000 - n, ["a", "b", "", "c"][n % 4])).collect();
        let all = own::read(format!("u,i,t,city\n{lines}").as_bytes(), "own.csv", &schema, &mut |_| {}).unwrap();
        let cities = |rows: &Rows| rows.iter().map(|event| (event.time, rows.profile(event.user, 0))).collect::<BTreeMap<_, _>>();
        assert!(cities(&all).values().any(Option::is_none) && cities(&all).values().any(|city| *city == Some(2)));
        let back = read(&write(&all, 20, 1), "sample.bin").unwrap();
        assert!(back.profile_fields() == 1 && cities(&back).len() == 20);
        assert!(cities(&back).into_iter().all(|(time, city)| cities(&all)[&time] == city));
        let items = |rows: &Rows| rows.iter().map(|event| (event.time, rows.attribute(event.item, 0))).collect::<BTreeMap<_, _>>();
        assert!(back.item_fields() == 1 && items(&back).into_iter().all(|(time, item)| item.is_some() && items(&all)[&time] == item));
    }

    #[test]
    fn a_sample_of_all_users_is_the_same_rows() {
        let all = rows();
        let back = read(&write(&all, usize::MAX, 1), "sample.bin").unwrap();
        assert_eq!((back.origin(), back.name(), back.rows()), (Origin::Sample, "sample.bin".into(), all.rows()));
        assert_eq!(back.vocabulary(), all.vocabulary());
        assert_eq!(by_user(&back), by_user(&all));
        // The file was in time order, so even the ids are the same.
        assert_eq!(back.iter().collect::<Vec<Event>>(), all.iter().collect::<Vec<Event>>());
    }

    /// A file of one's own has other years than UserBehavior.csv, and more of them.
    #[test]
    fn a_sample_keeps_times_of_any_span() {
        let text = "who,what,when\nada,tea,2001-02-03\nbob,oil,2017-05-06 07:08:09\nada,oil,2031-01-01T00:00:00Z\n";
        let schema =
            Schema { delimiter: ',', header: true, columns: "user=who,item=what,time=when".parse().unwrap(), behaviors: BTreeMap::new() };
        let all = own::read(text.as_bytes(), "own.csv", &schema, &mut |_| {}).unwrap();
        let back = read(&write(&all, usize::MAX, 1), "sample.bin").unwrap();
        assert_eq!(back.iter().collect::<Vec<Event>>(), all.iter().collect::<Vec<Event>>());
        assert_eq!(back.iter().map(|event| event.time).collect::<Vec<_>>(), [981_158_400, 1_494_054_489, 1_924_992_000]);
    }

    #[test]
    fn a_sample_holds_whole_users_chosen_by_the_seed() {
        let all = rows();
        let bytes = write(&all, 12, 1);
        assert_eq!(bytes, write(&all, 12, 1));
        assert_ne!(bytes, write(&all, 12, 2));
        let kept = read(&bytes, "sample.bin").unwrap();
        assert_eq!(kept.vocabulary().users, 12);
        let whole: Vec<_> = by_user(&all).into_values().collect();
        assert!(by_user(&kept).values().all(|own| whole.contains(own)));
        assert!(bytes.len() < 8 * kept.rows() as usize, "{} bytes for {} rows", bytes.len(), kept.rows());
    }

    #[test]
    fn cut_or_damaged_bytes_are_an_error_and_never_a_panic() {
        let bytes = write(&rows(), 5, 1);
        for length in 0..bytes.len() {
            assert!(matches!(read(&bytes[..length], "s"), Err(DataError::Sample { .. })), "{length}");
        }
        let random = Counter::new(4, Stream::Choices);
        for case in 0..2_000 {
            let mut damaged = bytes.clone();
            damaged[random.below(2 * case, bytes.len() as u64) as usize] ^= 1 << random.below(2 * case + 1, 8);
            assert!(read(&damaged, "s").is_err(), "case {case}");
        }
    }

    /// Damage that the hash does not see, because it was hashed again.
    #[test]
    fn rows_that_contradict_each_other_are_an_error() {
        let good = || Payload {
            users: 2,
            categories: 1,
            item_category: vec![0, 0],
            fields: [1, 1],
            profiles: vec![7, Features::MISSING],
            attributes: vec![Features::MISSING, 0],
            rows: vec![(0, 0, 0), (1, 1, 4)],
        };
        assert_eq!(read(&framed(&good()), "s").unwrap().rows(), 2);
        let bad = [
            Payload { users: 1, ..good() },
            Payload { users: u32::MAX, ..good() },
            Payload { categories: 0, ..good() },
            Payload { item_category: vec![0], ..good() },
            Payload { item_category: vec![0, 7], ..good() },
            Payload { profiles: vec![7], ..good() },
            Payload { profiles: vec![7, 8], ..good() },
            Payload { attributes: vec![1], ..good() },
            Payload { fields: [1, 2], ..good() },
            Payload { rows: vec![(0, 0, 4), (1, 1, u64::from(u32::MAX) << 2)], ..good() },
            Payload { rows: vec![(0, 0, u64::MAX); 9], ..good() },
            // Found by the fuzzer: a user, or an item, without a row.
            Payload { rows: vec![(0, 0, 0), (0, 1, 4)], ..good() },
            Payload { rows: vec![(0, 0, 0), (1, 0, 4)], ..good() },
        ];
        for (case, payload) in bad.iter().enumerate() {
            let error = read(&framed(payload), "s").unwrap_err().to_string();
            assert!(error.contains("contradict") && error.contains("duia sample"), "{case}: {error}");
        }
        let random = Counter::new(6, Stream::Choices);
        for case in 0..5_000 {
            let lane = random.lane(case);
            let body: Vec<u8> = (0..lane.below(0, 30)).map(|i| lane.below(i + 1, 12) as u8).collect();
            let _ = read(&[MAGIC.as_slice(), &[VERSION], &fnv(&body).to_le_bytes(), &body].concat(), "s").map(|rows| rows.iter().count());
        }
    }

    #[test]
    fn other_files_and_versions_are_named_as_such() {
        let text = |bytes: &[u8]| read(bytes, "sample.bin").unwrap_err().to_string();
        assert!(text(b"1,2,3,pv,1511544070").contains("another kind of file"));
        let mut bytes = write(&rows(), 5, 1);
        bytes[8] = 1;
        assert!(text(&bytes).contains("another version"));
        assert!(text(b"").contains("cut off"));
    }
}
