//! Frequency tables: how often each id is expected, in 1/4096, and where it lies among the slots.
//!
//! The 4096 slots are dealt to ids by the alias method: there are as many buckets as ids may be
//! (128 or 256), each bucket has equally many slots, and holds its own id first and then at most
//! one other, the alias. So what a slot means follows from one look at a bucket and one comparison,
//! which fits into vector registers, where a table of all slots would not.
//!
//! Slot `s` is place `s / buckets` of bucket `s mod buckets`. The slots of an id are numbered (its
//! ranks) through its own bucket first, then through the buckets it is the alias of, upwards.

use crate::codec::symbol::log2;
use crate::error::{Error, Result};
use crate::plane::{BitReader, BitWriter};

/// log2 of the slots.
pub(in crate::codec) const SLOT_BITS: u32 = 12;
/// Frequencies add up to this.
pub(in crate::codec) const SLOTS: usize = 1 << SLOT_BITS;
/// No frequency is larger: a plane of one id is a constant plane.
const MAX_FREQUENCY: u16 = (1 << SLOT_BITS) - 1;
/// Bits of the id count in front of a stored table.
const COUNT_BITS: u8 = 8;

/// Frequencies of the ids.
pub(in crate::codec) type Frequencies = [u16; 256];

/// Scales counts to frequencies. Every id that occurs gets at least one slot.
///
/// # Panics
/// If no id occurs.
pub(in crate::codec) fn normalize(counts: &[u32; 256]) -> Frequencies {
    let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    assert!(total > 0, "there are ids to count");
    let mut frequencies = [0u16; 256];
    let mut left = i32::from(MAX_FREQUENCY) + 1;
    for (frequency, &count) in frequencies.iter_mut().zip(counts) {
        if count > 0 {
            let share = (u64::from(count) * SLOTS as u64 + total / 2) / total;
            *frequency = u16::try_from(share)
                .unwrap_or(MAX_FREQUENCY)
                .clamp(1, MAX_FREQUENCY);
            left -= i32::from(*frequency);
        }
    }
    // Hand out what rounding left over, or take back what it gave too much, where that costs least.
    // What one slot more saves is about the derivative in the middle: count / (frequency + 1/2).
    if left == 0 {
        return frequencies;
    }
    let step = left.signum();
    let cost = |count: u32, frequency: u16| {
        let next = i32::from(frequency) + step;
        if count == 0 || !(1..=i32::from(MAX_FREQUENCY)).contains(&next) {
            return f32::INFINITY;
        }
        -step as f32 * count as f32 / (f32::from(frequency) + 0.5 * step as f32)
    };
    let mut costs = [f32::INFINITY; 256];
    for ((cost_now, &count), &frequency) in costs.iter_mut().zip(counts).zip(&frequencies) {
        *cost_now = cost(count, frequency);
    }
    while left != 0 {
        let (id, cheapest) = least(&costs);
        if cheapest == f32::INFINITY {
            // Only one id, and it may not have all slots: another takes the last.
            frequencies[usize::from(frequencies[0] > 0)] += 1;
        } else {
            frequencies[id] = frequencies[id].saturating_add_signed(if step > 0 { 1 } else { -1 });
            costs[id] = cost(counts[id], frequencies[id]);
        }
        left -= step;
    }
    frequencies
}

/// Where the least of some costs is, and the cost.
fn least(costs: &[f32; 256]) -> (usize, f32) {
    let mut lanes = [f32::INFINITY; 16];
    for costs in costs.as_chunks::<16>().0 {
        for (least, &cost) in lanes.iter_mut().zip(costs) {
            *least = if cost < *least { cost } else { *least };
        }
    }
    let least = lanes.into_iter().fold(f32::INFINITY, f32::min);
    let place = costs.iter().position(|&cost| cost == least);
    (place.unwrap_or(0), least)
}

/// Bits that coding ids with these counts takes.
pub(in crate::codec) fn coded_bits(counts: &[u32; 256], frequencies: &Frequencies) -> f64 {
    counts
        .iter()
        .zip(frequencies)
        .map(|(&count, &frequency)| {
            f64::from(count) * (f64::from(SLOT_BITS) - f64::from(log2(frequency.max(1).into())))
        })
        .sum()
}

/// Bits of a frequency: 0 for 0, up to 12.
const fn class(frequency: u16) -> u32 {
    u16::BITS - frequency.leading_zeros()
}

/// Length in bits of a stored table.
pub(in crate::codec) fn stored_bits(frequencies: &Frequencies) -> usize {
    let mut bits = usize::from(COUNT_BITS);
    let mut before = 0;
    for &frequency in &frequencies[..id_count(frequencies)] {
        let class = class(frequency);
        bits += zigzag(class, before) as usize + 1 + class.saturating_sub(1) as usize;
        before = class;
    }
    bits
}

/// The id that costs least.
pub(in crate::codec) fn likeliest(frequencies: &Frequencies) -> u8 {
    (0u8..=255)
        .max_by_key(|&id| frequencies[usize::from(id)])
        .unwrap_or(0)
}

/// One more than the highest id that occurs.
pub(in crate::codec) fn id_count(frequencies: &Frequencies) -> usize {
    frequencies
        .iter()
        .rposition(|&frequency| frequency > 0)
        .map_or(0, |last| last + 1)
}

const fn zigzag(class: u32, before: u32) -> u32 {
    if class >= before {
        2 * (class - before)
    } else {
        2 * (before - class) - 1
    }
}

/// Stores a table: the highest id, then for each id up to it the number of bits of its frequency,
/// as the difference from that of the id before (0, -1, +1, -2, ... are 0, 1, 2, 3, ...: so many
/// ones and a zero), and the bits below the highest.
pub(in crate::codec) fn put_frequencies(frequencies: &Frequencies, out: &mut BitWriter<'_>) {
    let ids = id_count(frequencies);
    out.put(ids as u64 - 1, COUNT_BITS);
    let mut before = 0;
    for &frequency in &frequencies[..ids] {
        let class = class(frequency);
        let [ones, ..] = zigzag(class, before).to_le_bytes();
        out.put((1 << ones) - 1, ones + 1);
        if class > 1 {
            let [below, ..] = (class - 1).to_le_bytes();
            out.put(u64::from(frequency) & ((1 << below) - 1), below);
        }
        before = class;
    }
}

/// Reads a table.
///
/// # Errors
/// `Corrupt` if its frequencies are not possible or do not add up.
pub(in crate::codec) fn take_frequencies(from: &mut BitReader<'_>) -> Result<Frequencies> {
    let wrong = || Error::corrupt("a frequency table is malformed");
    let mut frequencies = [0u16; 256];
    let ids = usize::try_from(from.take(COUNT_BITS)).map_err(|_| wrong())? + 1;
    let mut before = 0u32;
    let mut sum = 0usize;
    for frequency in &mut frequencies[..ids] {
        let code = from.take_unary(2 * SLOT_BITS).ok_or_else(wrong)?;
        let half = code.div_ceil(2);
        let class = if code % 2 == 0 {
            before + half
        } else {
            before.checked_sub(half).ok_or_else(wrong)?
        };
        if class > SLOT_BITS {
            return Err(wrong());
        }
        if class > 0 {
            let [below, ..] = (class - 1).to_le_bytes();
            let bits = if below > 0 { from.take(below) } else { 0 };
            *frequency = 1 << below | u16::try_from(bits).map_err(|_| wrong())?;
        }
        sum += usize::from(*frequency);
        before = class;
    }
    if sum != SLOTS || frequencies[ids - 1] == 0 {
        return Err(wrong());
    }
    Ok(frequencies)
}

/// The slots of all ids, as buckets.
#[derive(Debug, Clone)]
pub(in crate::codec) struct Buckets {
    /// log2 of their number: 7 or 8.
    pub bits: u32,
    pub own_slots: [u8; 256],
    pub alias: [u8; 256],
    /// What is added to the place in a bucket to get the rank of its alias.
    pub alias_bias: [u16; 256],
}

impl Buckets {
    /// Deals the slots. Frequencies add up to `SLOTS` and only ids below `2^bits` have any.
    pub fn new(frequencies: &Frequencies, bits: u32) -> Self {
        let buckets = 1usize << bits;
        let size = 1u16 << (SLOT_BITS - bits);
        let mut left = *frequencies;
        let mut dealt = Self {
            bits,
            own_slots: [size.to_le_bytes()[0]; 256],
            alias: [0; 256],
            alias_bias: [0; 256],
        };
        // `large` walks over the ids that fill more than their bucket; `small` is a bucket that its
        // own id does not fill. An id that lends slots until less than a bucket is left of it
        // becomes the next small one if the walk over small ones is past it already.
        let next_where = |from: usize, left: &Frequencies, wanted: fn(u16, u16) -> bool| {
            (from..buckets)
                .find(|&id| wanted(left[id], size))
                .unwrap_or(buckets)
        };
        let is_large: fn(u16, u16) -> bool = |slots, size| slots > size;
        let is_small: fn(u16, u16) -> bool = |slots, size| slots < size;
        let mut large = next_where(0, &left, is_large);
        let mut small = next_where(0, &left, is_small);
        let mut next_small = next_where(small + 1, &left, is_small);
        while large < buckets && small < buckets {
            dealt.own_slots[small] = left[small].to_le_bytes()[0];
            dealt.alias[small] = large.to_le_bytes()[0];
            left[large] -= size - left[small];
            if left[large] < size && large < next_small {
                small = large;
            } else {
                small = next_small;
                next_small = next_where(next_small + 1, &left, is_small);
            }
            large = next_where(large, &left, is_large);
        }
        let mut ranks = [0u16; 256];
        for (rank, &own) in ranks.iter_mut().zip(&dealt.own_slots) {
            *rank = u16::from(own);
        }
        for bucket in 0..buckets {
            let own = u16::from(dealt.own_slots[bucket]);
            if own < size {
                let rank = &mut ranks[usize::from(dealt.alias[bucket])];
                dealt.alias_bias[bucket] = rank.wrapping_sub(own);
                *rank += size - own;
            }
        }
        dealt
    }

    /// For each slot in order: the slot, its id and its rank.
    pub fn slots(&self) -> impl Iterator<Item = (usize, u8, u16)> + '_ {
        let buckets = 1usize << self.bits;
        (0..SLOTS).map(move |slot| {
            let bucket = slot % buckets;
            let place = u16::try_from(slot / buckets).unwrap_or(0);
            if place < u16::from(self.own_slots[bucket]) {
                (slot, bucket.to_le_bytes()[0], place)
            } else {
                let rank = place.wrapping_add(self.alias_bias[bucket]);
                (slot, self.alias[bucket], rank)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Counts of some ids below a limit.
    pub(in crate::codec) fn counts(limit: usize) -> impl Strategy<Value = [u32; 256]> {
        prop::collection::vec((0..limit, 0u32..12), 1..80).prop_map(|some| {
            let mut counts = [0; 256];
            for (id, magnitude) in some {
                counts[id] += 3u32.pow(magnitude);
            }
            counts
        })
    }

    proptest! {
        #[test]
        fn tables_add_up_and_come_back(counts in counts(256)) {
            let frequencies = normalize(&counts);
            prop_assert_eq!(frequencies.iter().map(|&f| usize::from(f)).sum::<usize>(), SLOTS);
            for (count, frequency) in counts.iter().zip(frequencies) {
                prop_assert!(*count == 0 || frequency > 0);
            }
            let bits = stored_bits(&frequencies);
            let mut stored = vec![0; bits.div_ceil(8)];
            let mut writer = BitWriter::new(&mut stored);
            put_frequencies(&frequencies, &mut writer);
            writer.finish();
            prop_assert_eq!(take_frequencies(&mut BitReader::new(&stored)).unwrap(), frequencies);
        }

        #[test]
        fn each_id_has_its_ranks_once(counts in counts(128), wide: bool) {
            let frequencies = normalize(&counts);
            let buckets = Buckets::new(&frequencies, if wide { 8 } else { 7 });
            let mut seen: Vec<Vec<bool>> =
                frequencies.iter().map(|&f| vec![false; usize::from(f)]).collect();
            for (_, id, rank) in buckets.slots() {
                let seen = &mut seen[usize::from(id)][usize::from(rank)];
                prop_assert!(!*seen);
                *seen = true;
            }
            prop_assert!(seen.iter().flatten().all(|&seen| seen));
        }

        #[test]
        fn garbage_is_no_table(garbage in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(frequencies) = take_frequencies(&mut BitReader::new(&garbage)) {
                prop_assert_eq!(frequencies.iter().map(|&f| usize::from(f)).sum::<usize>(), SLOTS);
            }
        }
    }
}
