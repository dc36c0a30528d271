//! Ids from 0 for the values of a column, in the order in which they first come.

use std::collections::HashMap;

/// The values of a column of a block: whole numbers, and text where a value is none.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// `[rows]`; 0 for a text.
    pub numbers: Vec<u64>,
    /// The texts by their rows, in order.
    texts: Vec<(u32, Box<[u8]>)>,
}

impl Keys {
    /// A number.
    pub fn push(&mut self, number: u64) {
        self.numbers.push(number);
    }

    /// A number or text. A number that is not written in the shortest way is text: `007` is not `7`.
    pub fn push_any(&mut self, id: &[u8]) {
        match shortest(id) {
            Some(number) => self.push(number),
            None => {
                self.texts.push((self.numbers.len() as u32, id.into()));
                self.push(0);
            }
        }
    }
}

/// A value of a column.
pub(super) enum Value {
    /// A whole number in its shortest form.
    Number(u64),
    /// Anything else.
    Text(Box<[u8]>),
}

impl Keys {
    /// The values in their order.
    pub fn into_values(self) -> impl Iterator<Item = Value> {
        let mut texts = self.texts.into_iter().peekable();
        self.numbers.into_iter().zip(0..).map(move |(number, row)| match texts.next_if(|(at, _)| *at == row) {
            Some((_, text)) => Value::Text(text),
            None => Value::Number(number),
        })
    }
}

/// The number that a text is the shortest form of.
pub(super) fn shortest(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        // Nineteen digits always fit.
        [b'1'..=b'9', ..] if text.len() <= 19 => {
            text.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| 10 * number + u64::from(byte - b'0')))
        }
        [b'1'..=b'9', ..] => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

/// Ids of all values that came so far.
#[derive(Default)]
pub(super) struct Ids {
    numbers: Numbers,
    texts: HashMap<Box<[u8]>, u32>,
}

impl Ids {
    /// How many there are.
    pub fn len(&self) -> u32 {
        self.numbers.len + self.texts.len() as u32
    }

    /// The id of a value that came, a number or text.
    pub fn find(&self, value: &[u8]) -> Option<u32> {
        match shortest(value) {
            Some(number) => self.numbers.find(number),
            None => self.texts.get(value).copied(),
        }
    }

    /// `[ids]`: of each id, what `of_number` or `of_text` says of its value.
    pub fn each<T: Copy + Default>(&self, of_number: impl Fn(u64) -> T, of_text: impl Fn(&[u8]) -> T) -> Vec<T> {
        let mut each = vec![T::default(); self.len() as usize];
        self.numbers.iter().for_each(|(number, id)| each[id as usize] = of_number(number));
        self.texts.iter().for_each(|(text, id)| each[*id as usize] = of_text(text));
        each
    }

    /// The values with other ids, `[ids]`; those with none are forgotten.
    pub fn renumbered(self, new: &[Option<u32>]) -> Self {
        let mut numbers = Numbers::default();
        for (number, id) in self.numbers.iter() {
            if let Some(id) = new[id as usize] {
                numbers.of(number, id);
            }
        }
        let texts = self.texts.into_iter().filter_map(|(text, id)| Some((text, new[id as usize]?))).collect();
        Self { numbers, texts }
    }

    /// The values by their ids.
    pub fn values(&self) -> Vec<Box<[u8]>> {
        let mut values = vec![Box::default(); self.len() as usize];
        self.numbers.iter().for_each(|(number, id)| values[id as usize] = number.to_string().into_bytes().into());
        self.texts.iter().for_each(|(text, id)| values[*id as usize] = text.clone());
        values
    }

    /// The id of a number.
    pub fn of(&mut self, number: u64) -> u32 {
        let next = self.len();
        self.numbers.of(number, next)
    }

    /// The id of a value.
    pub fn of_value(&mut self, value: Value) -> u32 {
        let next = self.len();
        match value {
            Value::Number(number) => self.numbers.of(number, next),
            Value::Text(text) => *self.texts.entry(text).or_insert(next),
        }
    }

    /// The id of a value that came.
    pub fn find_value(&self, value: &Value) -> Option<u32> {
        match value {
            Value::Number(number) => self.numbers.find(*number),
            Value::Text(text) => self.texts.get(text).copied(),
        }
    }

    /// The ids of a block's values, appended to `ids`.
    pub fn of_all(&mut self, keys: Keys, ids: &mut Vec<u32>) {
        let mut texts = keys.texts.into_iter().peekable();
        ids.reserve(keys.numbers.len());
        for (row, number) in keys.numbers.into_iter().enumerate() {
            let next = self.len();
            ids.push(match texts.next_if(|(at, _)| *at as usize == row) {
                None => self.numbers.of(number, next),
                Some((_, text)) => *self.texts.entry(text).or_insert(next),
            });
        }
    }
}

/// A hash table of numbers with open addressing: one look into memory for nearly every row, where the library's takes two.
#[derive(Default)]
struct Numbers {
    /// Number and id + 1; 0 for a free place. A power of two of places, at most two thirds of them taken.
    places: Vec<(u64, u32)>,
    len: u32,
}

impl Numbers {
    fn of(&mut self, number: u64, next: u32) -> u32 {
        if 3 * self.len as usize >= 2 * self.places.len() {
            self.grow();
        }
        let at = self.place(number);
        let place = &mut self.places[at];
        if place.1 == 0 {
            *place = (number, next + 1);
            self.len += 1;
        }
        place.1 - 1
    }

    /// All numbers with their ids, in no order.
    fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.places.iter().filter(|place| place.1 > 0).map(|&(number, id)| (number, id - 1))
    }

    fn find(&self, number: u64) -> Option<u32> {
        let place = self.places.get(if self.places.is_empty() { 0 } else { self.place(number) })?;
        place.1.checked_sub(1)
    }

    /// Where a number is, or would be.
    fn place(&self, number: u64) -> usize {
        let mask = self.places.len() - 1;
        let mut at = mixed(number) as usize & mask;
        while self.places[at].1 != 0 && self.places[at].0 != number {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let more = (2 * self.places.len()).max(1_024);
        for (number, id) in std::mem::replace(&mut self.places, vec![(0, 0); more]).into_iter().filter(|(_, id)| *id != 0) {
            let at = self.place(number);
            self.places[at] = (number, id);
        }
    }
}

/// A number whose every bit depends on all bits of another (the finaliser of MurmurHash3): ids that differ in any bit go to other places.
fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let number = (number ^ number >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    number ^ number >> 33
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Counter, Stream};

    #[test]
    fn ids_are_counted_in_the_order_in_which_values_first_come() {
        let random = Counter::new(2, Stream::Choices);
        let values: Vec<String> = (0..20_000)
            .map(|n| match random.below(3 * n, 4) {
                0 => format!("item-{}", random.below(3 * n + 1, 900)),
                1 => format!("{:03}", random.below(3 * n + 1, 900)),
                2 => (random.below(3 * n + 1, 900) << 40).to_string(),
                _ => (u64::MAX - random.below(3 * n + 1, 900)).to_string(),
            })
            .collect();
        let (mut ids, mut got) = (Ids::default(), Vec::new());
        for block in values.chunks(777) {
            let mut keys = Keys::default();
            block.iter().for_each(|value| keys.push_any(value.as_bytes()));
            ids.of_all(keys, &mut got);
        }
        let mut known: HashMap<&str, u32> = HashMap::new();
        for (value, got) in values.iter().zip(got) {
            let next = known.len() as u32;
            assert_eq!(*known.entry(value).or_insert(next), got, "{value}");
        }
        assert_eq!(ids.len() as usize, known.len());
        assert!(known.iter().all(|(value, id)| ids.find(value.as_bytes()) == Some(*id)));
        let all = ids.values();
        assert!(all.len() == known.len() && known.iter().all(|(value, id)| *all[*id as usize] == *value.as_bytes()));
        assert!(
            ["item-900", "9999", "x", ""]
                .iter()
                .all(|value| ids.find(value.as_bytes()).is_none() && Ids::default().find(value.as_bytes()).is_none())
        );
        assert!(known.contains_key("007") && known.contains_key("0") == values.iter().any(|value| value == "0"));
    }

    #[test]
    fn only_the_shortest_form_of_a_number_is_one() {
        for (text, number) in
            [("0", Some(0)), ("18446744073709551615", Some(u64::MAX)), ("9999999999999999999", Some(9_999_999_999_999_999_999))]
        {
            assert_eq!(shortest(text.as_bytes()), number);
        }
        for text in ["", "00", "07", "-1", "+1", "1.0", "18446744073709551616", "1a", "٣"] {
            assert_eq!(shortest(text.as_bytes()), None, "{text}");
        }
    }
}
