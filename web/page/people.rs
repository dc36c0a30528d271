//! Who comes to which centre: what its members take, and which planted groups they are of.

use std::collections::HashMap;

use duia::view::FieldFrame;

/// How much of a count a frame leaves.
const FADE: f32 = 0.85;
/// What is less frequent than this is forgotten.
const FORGOTTEN: f32 = 0.05;

/// Who came to a centre lately: how often each category and each planted group, older ones counting less.
#[derive(Clone, Debug, Default)]
pub struct People {
    categories: HashMap<u32, f32>,
    groups: HashMap<u32, f32>,
}

/// Takes the members of a frame in, a place for each level-1 centre.
pub fn take(all: &mut Vec<People>, frame: &FieldFrame) {
    all.resize_with(frame.centres as usize, People::default);
    all.iter_mut().for_each(People::fade);
    let (assigned, _) = frame.assigned.as_chunks::<2>();
    for (at, &[centre, _]) in assigned.iter().enumerate() {
        if let Some(people) = all.get_mut(centre as usize) {
            people.add(frame.categories.get(at).copied(), frame.groups.get(at).copied());
        }
    }
}

impl People {
    /// The categories that they took most of, or are of, with their shares.
    pub fn categories(&self, most: usize) -> Vec<(u32, f32)> {
        leading(&self.categories, most)
    }

    /// The planted group that most are of, and its share; none for real rows.
    pub fn group(&self) -> Option<(u32, f32)> {
        leading(&self.groups, 1).pop()
    }

    fn add(&mut self, category: Option<u32>, group: Option<u32>) {
        for (counts, key) in [(&mut self.categories, category), (&mut self.groups, group)] {
            if let Some(key) = key {
                *counts.entry(key).or_default() += 1.0;
            }
        }
    }

    fn fade(&mut self) {
        for counts in [&mut self.categories, &mut self.groups] {
            counts.retain(|_, count| {
                *count *= FADE;
                *count > FORGOTTEN
            });
        }
    }
}

/// The most frequent keys with their shares.
fn leading(counts: &HashMap<u32, f32>, most: usize) -> Vec<(u32, f32)> {
    let all: f32 = counts.values().sum();
    let mut shares: Vec<(u32, f32)> = counts.iter().map(|(&key, &count)| (key, count / all)).collect();
    // By key where they are equally frequent, so that the order does not depend on the hash.
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    shares.truncate(most);
    shares
}
