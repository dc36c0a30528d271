//! What columns of somebody's own file tell of a user beside what they did (the paper's profile), or of an item beside its category.
//!
//! A field of the model has [`PROFILE_VALUES`] values. A column of no more than those is one field. One of up to 64 is two, the quotient
//! and the remainder of the value's number by 8, which tell its values apart together (Shi et al. 2020, arXiv 1909.02107). Of a column
//! with more, numbers are cut into eighths of the users or items, and texts are the 63 commonest and one for all others.

use std::collections::HashMap;

use super::PROFILE_VALUES;
use super::ids::{Ids, Keys, Value};

/// Columns of users, and of items, at most: each may take two of the model's fields.
pub(super) const MOST_COLUMNS: usize = 16;

/// Values that two fields tell apart.
const SQUARE: usize = (PROFILE_VALUES * PROFILE_VALUES) as usize;

/// What files write where a value is not known, in lower case.
const UNKNOWN: [&[u8]; 6] = [b"", b"null", b"na", b"n/a", b"nan", b"\\n"];

/// A value as it is kept: nothing where it is not known.
pub(super) fn known(value: &[u8]) -> &[u8] {
    if UNKNOWN.iter().any(|unknown| value.eq_ignore_ascii_case(unknown)) { b"" } else { value }
}

/// The fields of all users, or of all items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Features {
    fields: u32,
    /// `[members, fields]`: values below [`PROFILE_VALUES`], [`Features::MISSING`] where there is none.
    values: Vec<u8>,
}

impl Features {
    /// In the place of a value that is missing.
    pub const MISSING: u8 = u8::MAX;

    /// Values as [`Features::values`] gave them, of so many members; none where they cannot be values of so many.
    pub fn of(fields: u32, values: Vec<u8>, members: u32) -> Option<Self> {
        Self::fit(fields, &values, members).then_some(Self { fields, values })
    }

    /// Whether these can be the values of so many members.
    pub fn fit(fields: u32, values: &[u8], members: u32) -> bool {
        let is_value = |value: &u8| u32::from(*value) < PROFILE_VALUES || *value == Self::MISSING;
        let fits = fields as usize <= 2 * MOST_COLUMNS && values.len() as u64 == u64::from(members) * u64::from(fields);
        fits && values.iter().all(is_value)
    }

    /// Fields of a member.
    pub fn fields(&self) -> u32 {
        self.fields
    }

    /// `[members, fields]`.
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// `[fields]`: those of a member.
    pub fn of_member(&self, member: u32) -> &[u8] {
        let fields = self.fields as usize;
        &self.values[member as usize * fields..(member as usize + 1) * fields]
    }

    /// The value of a field of a member.
    pub fn get(&self, member: u32, field: u32) -> Option<u32> {
        let value = *self.of_member(member).get(field as usize)?;
        (value != Self::MISSING).then(|| value.into())
    }
}

/// No value.
const NONE: u32 = u32::MAX;

/// The values of users or of items, as rows come. A member has the value of the first row that has one.
pub(super) struct Seen {
    /// Of whom they are, for a person.
    whose: &'static str,
    columns: Vec<Column>,
}

#[derive(Default)]
struct Column {
    name: String,
    ids: Ids,
    /// `[members]`: the id of a value, [`NONE`] without one.
    of_member: Vec<u32>,
    /// Rows that named another value than their member's first.
    other: u64,
}

impl Seen {
    /// None yet, of columns of these names that tell something of each `user` or `item`.
    pub fn of(whose: &'static str, names: &[String]) -> Self {
        Self { whose, columns: names.iter().map(|name| Column { name: name.clone(), ..Column::default() }).collect() }
    }

    /// Takes in rows of these members: for each column its values, [`known`] ones.
    pub fn add(&mut self, members: &[u32], values: Vec<Keys>) {
        for (column, values) in self.columns.iter_mut().zip(values) {
            let Column { ids, of_member, other, .. } = column;
            let is_known = |value: &Value| !matches!(value, Value::Text(text) if text.is_empty());
            for (&member, value) in members.iter().zip(values.into_values()).filter(|(_, value)| is_known(value)) {
                let member = member as usize;
                if member >= of_member.len() {
                    of_member.resize(member + 1, NONE);
                }
                // Only the first of a member is kept: a column may have another value in every row.
                match of_member[member] {
                    NONE => of_member[member] = ids.of_value(value),
                    first => *other += u64::from(ids.find_value(&value) != Some(first)),
                }
            }
        }
    }

    /// The values of members with other ids, `new[old]`; those with none are forgotten.
    pub fn renumber(&mut self, new: &[Option<u32>]) {
        for Column { of_member, .. } in &mut self.columns {
            let old = std::mem::take(of_member);
            for (new, id) in new.iter().zip(old).filter_map(|(new, id)| Some((new.as_ref().copied()? as usize, id))) {
                if new >= of_member.len() {
                    of_member.resize(new + 1, NONE);
                }
                of_member[new] = id;
            }
        }
    }

    /// The fields of so many members, and what a person should know of them, in sentences without their full stop.
    pub fn finish(self, members: u32) -> (Features, Vec<String>) {
        let (mut fields, mut notes, whose) = (Vec::new(), Vec::new(), self.whose);
        for mut column in self.columns {
            column.of_member.resize(members as usize, NONE);
            let name = &column.name;
            if column.other > 0 {
                notes.push(format!("{} rows named another {name} than their {whose}'s first row; the first one was kept", column.other));
            }
            let (own, note) = column.coded(whose);
            notes.push(note);
            fields.extend(own);
        }
        let mut values = Vec::with_capacity(members as usize * fields.len());
        (0..members as usize).for_each(|member| values.extend(fields.iter().map(|field: &Vec<u8>| field[member])));
        (Features { fields: fields.len() as u32, values }, notes)
    }
}

impl Column {
    /// Its fields, `[members]` each, and how they tell its values.
    fn coded(&self, whose: &str) -> (Vec<Vec<u8>>, String) {
        // By the first member that has it, so that those who were forgotten leave no trace.
        let mut order: Vec<u32> = Vec::new();
        let mut counts: HashMap<u32, u64> = HashMap::new();
        for &id in self.of_member.iter().filter(|id| **id != NONE) {
            *counts.entry(id).or_insert_with(|| {
                order.push(id);
                0
            }) += 1;
        }
        let (name, all) = (&self.name, order.len());
        if all <= SQUARE {
            let note = match all {
                0 => format!("no {whose} has a {name}, so it is left out"),
                few if few <= PROFILE_VALUES as usize => format!("{name} is a field of {few} values of each {whose}"),
                _ => format!("{name} is two fields of each {whose}, which tell its {all} values apart"),
            };
            return (self.fields_of(&order, None), note);
        }
        let texts = self.ids.values();
        let number = |id: u32| std::str::from_utf8(&texts[id as usize]).ok()?.parse().ok().filter(|number: &f64| number.is_finite());
        match order.iter().map(|&id| Some((id, number(id)?))).collect::<Option<HashMap<u32, f64>>>() {
            Some(numbers) => (vec![self.eighths(&numbers)], format!("{name} has {all} values: its field tells eighths, by {whose}s")),
            None => {
                // Of equally common ones those that came first: the sort keeps their order.
                order.sort_by_key(|id| std::cmp::Reverse(counts[id]));
                let common = &order[..SQUARE - 1];
                let note =
                    format!("{name} has {all} values: its fields tell the {} commonest, by {whose}s, and all others are one", common.len());
                (self.fields_of(common, Some(common.len())), note)
            }
        }
    }

    /// Fields that tell these values apart; `other` is the number of all others, where there are any.
    fn fields_of(&self, values: &[u32], other: Option<usize>) -> Vec<Vec<u8>> {
        let numbers: HashMap<u32, usize> = values.iter().copied().zip(0..).collect();
        let number = |id: &u32| if *id == NONE { None } else { numbers.get(id).copied().or(other) };
        let field = |part: fn(usize) -> usize| -> Vec<u8> {
            self.of_member.iter().map(|id| number(id).map_or(Features::MISSING, |number| part(number) as u8)).collect()
        };
        match values.len() {
            0 => Vec::new(),
            few if few <= PROFILE_VALUES as usize => vec![field(|number| number)],
            _ => vec![field(|number| number / PROFILE_VALUES as usize), field(|number| number % PROFILE_VALUES as usize)],
        }
    }

    /// In which eighth of the members, by their number, a member is; members of one number are in one.
    fn eighths(&self, numbers: &HashMap<u32, f64>) -> Vec<u8> {
        let mut sorted: Vec<f64> = self.of_member.iter().filter_map(|id| numbers.get(id).copied()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let eighth = |number: &f64| {
            let below = sorted.partition_point(|other| other.total_cmp(number).is_lt());
            (below * PROFILE_VALUES as usize / sorted.len()) as u8
        };
        self.of_member.iter().map(|id| numbers.get(id).map_or(Features::MISSING, eighth)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features of one column, of the values of users in the order of their rows.
    fn of(rows: &[(u32, &str)], users: u32) -> (Features, Vec<String>) {
        let mut seen = Seen::of("user", &["city".into()]);
        // Block by block, as a file comes.
        for block in rows.chunks(7) {
            let mut keys = Keys::default();
            block.iter().for_each(|(_, value)| keys.push_any(known(value.as_bytes())));
            seen.add(&block.iter().map(|(user, _)| *user).collect::<Vec<_>>(), vec![keys]);
        }
        seen.finish(users)
    }

    fn values(profiles: &Features, users: u32) -> Vec<Vec<Option<u32>>> {
        (0..users).map(|user| (0..profiles.fields()).map(|field| profiles.get(user, field)).collect()).collect()
    }

    #[test]
    fn a_user_has_the_value_of_their_first_row_that_has_one() {
        let rows = [(0, ""), (1, "b"), (0, "a"), (1, "a"), (2, "NULL"), (0, "a"), (3, "b"), (4, "n/a")];
        let (profiles, notes) = of(&rows, 6);
        assert_eq!(values(&profiles, 6), [vec![Some(0)], vec![Some(1)], vec![None], vec![Some(1)], vec![None], vec![None]]);
        let other = "1 rows named another city than their user's first row; the first one was kept";
        assert_eq!(notes, [other, "city is a field of 2 values of each user"]);
        let (none, notes) = of(&[(0, "NaN")], 2);
        assert_eq!((none.fields(), &*notes[0]), (0, "no user has a city, so it is left out"));
    }

    #[test]
    fn up_to_64_values_are_told_apart() {
        for (number, fields) in [(8, 1), (9, 2), (64, 2)] {
            let texts: Vec<String> = (0..number).map(|n| format!("city {n}")).collect();
            let rows: Vec<(u32, &str)> = (0..200).map(|user| (user, &*texts[user as usize % number])).collect();
            let (profiles, notes) = of(&rows, 200);
            let all = values(&profiles, 200);
            assert!(
                notes.len() == 1 && notes[0].contains(&format!("{number} values")) && profiles.fields() == fields,
                "{number}: {notes:?}"
            );
            for (user, own) in all.iter().enumerate() {
                assert!(own.iter().flatten().all(|value| *value < PROFILE_VALUES));
                assert_eq!(own == &all[0], user % number == 0, "{number}: {user}");
            }
        }
    }

    #[test]
    fn of_more_texts_the_commonest_are_told_apart_and_of_more_numbers_eighths() {
        let texts: Vec<String> = (0..70).map(|n| format!("city {n}")).collect();
        // The last seven are rare.
        let rows: Vec<(u32, &str)> =
            (0..133).map(|user| (user, &*texts[if user < 126 { user % 63 } else { user - 63 } as usize])).collect();
        let (profiles, notes) = of(&rows, 133);
        let all = values(&profiles, 133);
        assert!((0..63).all(|a| (0..a).all(|b| all[a] != all[b])) && (126..133).all(|user| all[user] == [Some(7), Some(7)]));
        assert!(notes[0].contains("70 values: its fields tell the 63 commonest"), "{notes:?}");

        let numbers: Vec<String> = (0..80).map(|n| format!("{}", 0.5 * f64::from(n))).collect();
        let rows: Vec<(u32, &str)> = (0..80).map(|user| (user, &*numbers[(user * 7 % 80) as usize])).collect();
        let (profiles, notes) = of(&rows, 81);
        for user in 0..80 {
            assert_eq!(profiles.get(user, 0), Some(user * 7 % 80 / 10), "{user}");
        }
        assert!(profiles.get(80, 0).is_none() && notes[0].contains("80 values: its field tells eighths"), "{notes:?}");
    }

    /// As if users who are forgotten had never come.
    #[test]
    fn the_forgotten_leave_no_trace() {
        let seen = |rows: &[(u32, &str)]| {
            let mut seen = Seen::of("user", &["city".into()]);
            let mut keys = Keys::default();
            rows.iter().for_each(|(_, value)| keys.push_any(value.as_bytes()));
            seen.add(&rows.iter().map(|(user, _)| *user).collect::<Vec<_>>(), vec![keys]);
            seen
        };
        let mut thinned = seen(&[(0, "x"), (1, "b"), (2, "a"), (3, "x"), (2, "")]);
        thinned.renumber(&[None, Some(0), Some(1), None]);
        assert_eq!(thinned.finish(2), seen(&[(0, "b"), (1, "a")]).finish(2));
    }

    #[test]
    fn values_of_a_file_are_checked() {
        assert!(Features::of(2, vec![0, 7, 255, 3], 2).is_some());
        for (fields, values, users) in [(2, vec![0, 8], 1), (2, vec![0; 3], 2), (64, vec![0; 64], 1)] {
            assert!(Features::of(fields, values, users).is_none());
        }
    }
}
