//! Rows in order of time: a stable sort on all cores, and repetitions left out. The result is the same for any number of threads.

use super::stored::Packed;
use crate::platform::for_each;

/// Stretches of time that rows are dealt into before each is sorted: of 100 million rows each fits a core's cache.
const STRETCHES: usize = 1 << 11;

/// Rows in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    rows: Vec<Packed>,
    /// Rows that come right after a later one.
    unsorted: u64,
}

impl Chunk {
    /// Rows that follow each other.
    pub fn of(rows: Vec<Packed>) -> Self {
        let unsorted = rows.windows(2).filter(|pair| pair[0].seconds > pair[1].seconds).count() as u64;
        Self { rows, unsorted }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows that `change` keeps, as it changes them.
    pub fn filter_map(&mut self, change: impl FnMut(Packed) -> Option<Packed>) {
        *self = Self::of(std::mem::take(&mut self.rows).into_iter().filter_map(change).collect());
    }
}

/// Rows in order, and what was done for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ordered {
    /// The rows.
    pub rows: Vec<Packed>,
    /// Rows that came right after a later one.
    pub unsorted: u64,
    /// Exact repetitions, which are left out: same user, item, behaviour and second.
    pub repeated: u64,
}

/// Sorts rows by time, those of the same second in the order of the file, and keeps the first of equal ones.
pub(super) fn in_order(chunks: Vec<Chunk>, threads: usize) -> Ordered {
    let borders = chunks.iter().filter_map(|chunk| Some((chunk.rows.first()?.seconds, chunk.rows.last()?.seconds)));
    let borders: Vec<(u32, u32)> = borders.collect();
    let between = borders.windows(2).filter(|pair| pair[0].1 > pair[1].0).count() as u64;
    let unsorted = between + chunks.iter().map(|chunk| chunk.unsorted).sum::<u64>();
    let rows = if unsorted == 0 { joined(chunks, threads) } else { sorted(chunks, threads) };
    let (rows, repeated) = without_repeated(rows, threads);
    Ordered { rows, unsorted, repeated }
}

/// The chunks in a row.
fn joined(chunks: Vec<Chunk>, threads: usize) -> Vec<Packed> {
    let mut rows = vec![Packed::default(); chunks.iter().map(|chunk| chunk.rows.len()).sum()];
    let mut rest = &mut rows[..];
    let mut places = Vec::new();
    for Chunk { rows, .. } in chunks {
        let (place, after) = rest.split_at_mut(rows.len());
        rest = after;
        places.push((place, rows));
    }
    shared(&mut places, threads, |(place, rows)| place.copy_from_slice(&std::mem::take(rows)));
    rows
}

/// The rows, sorted: dealt into stretches of time, and each stretch sorted by itself.
fn sorted(chunks: Vec<Chunk>, threads: usize) -> Vec<Packed> {
    let stretches = Stretches::of(&chunks);
    // Each thread deals out chunks that follow each other, and has a place of its own in every stretch: so rows keep their order.
    let per_thread = chunks.len().div_ceil(threads).max(1);
    let mut hands: Vec<Hand<'_>> =
        chunks.chunks(per_thread).map(|chunks| Hand { chunks, counts: Vec::new(), places: Vec::new() }).collect();
    for_each(&mut hands, threads > 1, |hand| hand.counts = stretches.counts(hand.chunks));
    let lengths: Vec<usize> = (0..STRETCHES).map(|at| hands.iter().map(|hand| hand.counts[at]).sum()).collect();
    let mut rows = vec![Packed::default(); lengths.iter().sum()];
    let mut rest = &mut rows[..];
    for at in 0..STRETCHES {
        for hand in &mut hands {
            let (place, after) = rest.split_at_mut(hand.counts[at]);
            rest = after;
            hand.places.push(place);
        }
    }
    for_each(&mut hands, threads > 1, |hand| hand.deal(&stretches));
    drop(hands);
    drop(chunks);
    let mut rest = &mut rows[..];
    let mut parts = Vec::new();
    for length in lengths {
        let (part, after) = rest.split_at_mut(length);
        rest = after;
        parts.push(part);
    }
    shared(&mut parts, threads, |part| part.sort_by_key(|row| row.seconds));
    rows
}

/// Stretches of equal length from the first second to the last.
struct Stretches {
    first: u32,
    /// Their length is 2 to the power of it.
    shift: u32,
}

impl Stretches {
    fn of(chunks: &[Chunk]) -> Self {
        let seconds = || chunks.iter().flat_map(|chunk| chunk.rows.iter().map(|row| row.seconds));
        let first = seconds().min().unwrap_or(0);
        let span = seconds().max().unwrap_or(0) - first;
        let shift = (0..u32::BITS).find(|shift| ((span >> shift) as usize) < STRETCHES).unwrap_or(0);
        Self { first, shift }
    }

    fn at(&self, row: Packed) -> usize {
        ((row.seconds - self.first) >> self.shift) as usize
    }

    /// Rows of each stretch.
    fn counts(&self, chunks: &[Chunk]) -> Vec<usize> {
        let mut counts = vec![0; STRETCHES];
        chunks.iter().flat_map(|chunk| &chunk.rows).for_each(|row| counts[self.at(*row)] += 1);
        counts
    }
}

/// What a thread deals out.
struct Hand<'a> {
    chunks: &'a [Chunk],
    /// `[STRETCHES]`.
    counts: Vec<usize>,
    /// `[STRETCHES]`: what is free of its place in each.
    places: Vec<&'a mut [Packed]>,
}

impl Hand<'_> {
    fn deal(&mut self, stretches: &Stretches) {
        for row in self.chunks.iter().flat_map(|chunk| &chunk.rows) {
            let place = &mut self.places[stretches.at(*row)];
            // As many places as were counted.
            if let Some((next, free)) = std::mem::take(place).split_first_mut() {
                *next = *row;
                *place = free;
            }
        }
    }
}

/// Rows in order of time without the repetitions of any, and how many those were.
fn without_repeated(mut rows: Vec<Packed>, threads: usize) -> (Vec<Packed>, u64) {
    let mut parts: Vec<(&[Packed], usize, Vec<usize>)> = Vec::new();
    let mut from = 0;
    while from < rows.len() {
        // A part ends with a second.
        let wanted = (from + rows.len().div_ceil(8 * threads)).min(rows.len());
        let last = rows[wanted - 1].seconds;
        let to = wanted + rows[wanted..].partition_point(|row| row.seconds == last);
        parts.push((&rows[from..to], from, Vec::new()));
        from = to;
    }
    shared(&mut parts, threads, |(part, from, repeated)| *repeated = repetitions(part, *from));
    let repeated: Vec<usize> = parts.into_iter().flat_map(|(.., repeated)| repeated).collect();
    if !repeated.is_empty() {
        let (mut row, mut next) = (0, repeated.iter().peekable());
        rows.retain(|_| {
            row += 1;
            next.next_if_eq(&&(row - 1)).is_none()
        });
    }
    (rows, repeated.len() as u64)
}

/// Where rows, counted from `from`, repeat an earlier one, in order.
fn repetitions(rows: &[Packed], from: usize) -> Vec<usize> {
    let (mut repeated, mut second) = (Vec::new(), Vec::new());
    let mut at = 0;
    for group in rows.chunk_by(|a, b| a.seconds == b.seconds) {
        if group.len() > 1 {
            let before = repeated.len();
            second.clear();
            second.extend(group.iter().copied().zip(from + at..));
            second.sort_unstable();
            repeated.extend(second.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1));
            repeated[before..].sort_unstable();
        }
        at += group.len();
    }
    repeated
}

/// Does a task for every part, the parts shared out to the threads in turn.
fn shared<T: Send>(parts: &mut [T], threads: usize, task: impl Fn(&mut T) + Sync) {
    let mut hands: Vec<Vec<&mut T>> = (0..threads).map(|_| Vec::new()).collect();
    parts.iter_mut().enumerate().for_each(|(at, part)| hands[at % threads].push(part));
    for_each(&mut hands, threads > 1, |hand| hand.iter_mut().for_each(|part| task(part)));
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::counter::{Counter, Stream};
    use crate::data::Behaviour;

    fn chunks(rows: &[Packed], size: usize) -> Vec<Chunk> {
        rows.chunks(size).map(|rows| Chunk::of(rows.to_vec())).collect()
    }

    /// Against the library's sort and a set of all rows, over spans of seconds and of decades, for several numbers of threads.
    #[test]
    fn rows_are_sorted_stably_and_once_for_any_number_of_threads() {
        for (case, span) in [40, 5_000, 777_600, u64::from(u32::MAX)].into_iter().enumerate() {
            let random = Counter::new(case as u64, Stream::Choices);
            let draw = |n: u64, lane: u64, below: u64| random.lane(lane).below(n, below) as u32;
            let rows: Vec<Packed> = (0..30_000)
                .map(|n| Packed::new(draw(n, 0, 20), draw(n, 1, 5), draw(n, 2, span), Behaviour::ALL[draw(n, 3, 4) as usize]))
                .collect();
            let (mut expected, mut had) = (rows.clone(), HashSet::new());
            expected.sort_by_key(|row| row.seconds);
            expected.retain(|row| had.insert(*row));
            for (threads, size) in [(1, 30_000), (2, 700), (3, 1_000), (7, 13)] {
                let ordered = in_order(chunks(&rows, size), threads);
                assert!(ordered.rows == expected, "span {span}, {threads} threads");
                assert_eq!(ordered.repeated as usize, rows.len() - expected.len());
                assert_eq!(ordered.unsorted as usize, rows.windows(2).filter(|pair| pair[0].seconds > pair[1].seconds).count());
                // Rows that are in order already are only joined.
                let again = in_order(chunks(&expected, size), threads);
                assert!(again.rows == expected && (again.unsorted, again.repeated) == (0, 0));
            }
        }
        assert_eq!(in_order(Vec::new(), 2), Ordered { rows: Vec::new(), unsorted: 0, repeated: 0 });
    }
}
