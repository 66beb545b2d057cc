//! Chooses the classes of a plane: ranges of keys whose levels are counted together.

use super::layout::MAX_CLASSES;
use crate::codec::symbol::log2;

/// Keys that are told apart: those farther from the middle are counted with the last one.
const KEYS: usize = 64;
/// About what a frequency takes in a stored table.
const FREQUENCY_BITS: f32 = 4.5;

pub(in crate::codec) type Counts = [u32; 256];

/// Counts of a range of keys.
#[derive(Debug, Clone)]
pub(in crate::codec) struct Class {
    /// The lowest key, but in the first class.
    pub start: u8,
    pub counts: Counts,
    /// What its ids and its table take.
    pub bits: f32,
}

impl Class {
    pub fn new(start: u8, counts: Counts, table_bits: f32) -> Self {
        let all: u32 = counts.iter().sum();
        let occurring = counts.iter().filter(|&&count| count > 0);
        let most = log2(all.max(1));
        let bits = occurring
            .map(|&count| count as f32 * (most - log2(count)) + FREQUENCY_BITS)
            .sum::<f32>();
        Self {
            start,
            counts,
            bits: bits + table_bits,
        }
    }

    fn with(&self, next: &Self, table_bits: f32) -> Self {
        let mut counts = self.counts;
        for (sum, count) in counts.iter_mut().zip(&next.counts) {
            *sum += count;
        }
        Self::new(self.start, counts, table_bits)
    }
}

/// The classes that cost least, where a table costs so many bits beside its frequencies: neighbours are merged as
/// long as that saves something. `count` adds what groups of a key have to counts.
pub(super) fn classes(
    keys: &[u8],
    table_bits: f32,
    mut count: impl FnMut(usize, &mut Counts),
) -> Vec<Class> {
    let lowest = lowest_key(keys);
    let place = |key: u8| usize::from(key.saturating_sub(lowest)).min(KEYS - 1);
    let mut counts = vec![[0; 256]; KEYS];
    for (group, &key) in keys.iter().enumerate() {
        count(group, &mut counts[place(key)]);
    }
    let counts = (0u8..).zip(&counts);
    merged(
        counts.map(|(place, counts)| (lowest.saturating_add(place), counts)),
        table_bits,
    )
}

/// The same, where counts are there for each key, ascending.
pub(in crate::codec) fn merged<'c>(
    counts: impl Iterator<Item = (u8, &'c Counts)>,
    table_bits: f32,
) -> Vec<Class> {
    let mut classes: Vec<Class> = counts
        .filter(|(_, counts)| counts.iter().any(|&count| count > 0))
        .map(|(key, &counts)| Class::new(key, counts, table_bits))
        .collect();
    let merged_with_next = |classes: &[Class], at: usize| {
        let [one, next, ..] = &classes[at..] else {
            return None;
        };
        Some(one.with(next, table_bits))
    };
    let mut merged: Vec<Option<Class>> = (0..classes.len())
        .map(|at| merged_with_next(&classes, at))
        .collect();
    loop {
        let saved = |at: usize| {
            let merged = merged[at].as_ref()?;
            Some(classes[at].bits + classes[at + 1].bits - merged.bits)
        };
        let best = (0..merged.len())
            .filter_map(|at| Some((at, saved(at)?)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((at, saved)) = best else {
            return classes;
        };
        if saved <= 0.0 && classes.len() <= MAX_CLASSES {
            return classes;
        }
        if let Some(both) = merged[at].take() {
            classes[at] = both;
        }
        classes.remove(at + 1);
        merged.remove(at + 1);
        let before = at.saturating_sub(1);
        merged[before] = merged_with_next(&classes, before);
        merged[at] = merged_with_next(&classes, at);
    }
}

/// The lowest of the keys that are told apart: half of them lie below the mean.
fn lowest_key(keys: &[u8]) -> u8 {
    let sum: usize = keys.iter().map(|&key| usize::from(key)).sum();
    let mean = sum / keys.len().max(1);
    let [lowest, ..] = mean.saturating_sub(KEYS / 2).to_le_bytes();
    lowest
}
