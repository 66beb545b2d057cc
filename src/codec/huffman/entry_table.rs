//! The decoding table: what the next bits of a stream say, several ids at a time.
//!
//! An entry is indexed by the next `MAX_LENGTH` bits and names the ids whose code words lie wholly
//! within them, up to `MAX_IDS`:
//!
//! ```text
//! bits  0..8   how many of the bits the words take
//! bits  8..16  number of ids
//! bits 16..64  the ids, the first one highest
//! ```
//!
//! Ids are decoded from the last of a part to the first, so writing the whole entry in front of
//! what is there puts the ids in place; what else is in it lands where the next ids will be
//! written.

use super::code::{Lengths, MAX_LENGTH};

/// Entries of a table.
pub(super) const ENTRIES: usize = 1 << MAX_LENGTH;
/// Most ids of an entry.
pub(super) const MAX_IDS: usize = 6;

const LENGTH_AND_COUNT: u64 = 0xFFFF;
const COUNT_ONE: u64 = 1 << 8;

/// Bits that the words of an entry take.
pub(super) const fn length(entry: u64) -> u32 {
    (entry & 63) as u32
}

/// Number of ids of an entry.
pub(super) const fn count(entry: u64) -> usize {
    (entry >> 8 & 255) as usize
}

/// The first id of an entry.
pub(super) const fn first(entry: u64) -> u8 {
    entry.to_le_bytes()[7]
}

/// A table for each number of bits in sight. No entry has more than `MAX_IDS` ids.
pub(super) struct EntryTable {
    /// The table for `r` bits takes the places `2^r .. 2^(r + 1)`; place 0 is not used.
    entries: Box<[u64; 2 * ENTRIES]>,
}

impl EntryTable {
    pub fn new() -> Self {
        Self {
            entries: Box::new([0; 2 * ENTRIES]),
        }
    }

    /// Makes the table of a code of two ids or more.
    ///
    /// With `r` bits in sight, the words of `l` bits that begin with the code word of an id are
    /// what the table for `r - l` bits says, with that id in front:
    ///
    /// ```text
    /// for r in 0..=MAX_LENGTH: for (id, l) in the order of code words, l <= r:
    ///     append to the table for r that for r - l, with id before the ids of each entry
    /// fill up the table for r with empty entries: here begin words that are longer than r
    /// ```
    pub fn build(&mut self, lengths: &Lengths) {
        let mut order = [(0, 0); super::code::IDS];
        let mut present = 0;
        for (slot, word) in order.iter_mut().zip(lengths.in_order()) {
            *slot = word;
            present += 1;
        }
        let order = &order[..present];
        let shortest = order.first().map_or(1, |&(_, length)| length);
        for r in 0..=MAX_LENGTH {
            if r + shortest > MAX_LENGTH && r < MAX_LENGTH {
                continue;
            }
            let (below, entries) = self.entries.split_at_mut(1 << r);
            let mut entries = &mut entries[..1 << r];
            for &(id, length) in order.iter().take_while(|&&(_, length)| length <= r) {
                let from = &below[1 << (r - length)..2 << (r - length)];
                let (to, rest) = std::mem::take(&mut entries).split_at_mut(from.len());
                if shortest as usize * MAX_IDS >= MAX_LENGTH as usize {
                    prepend(id, length, from, to);
                } else {
                    prepend_to_full(id, length, lengths, from, to);
                }
                entries = rest;
            }
            entries.fill(0);
        }
    }

    /// What the highest `MAX_LENGTH` of these bits say.
    pub fn entry(&self, bits: u64) -> u64 {
        self.entries()[(bits >> (64 - MAX_LENGTH)) as usize]
    }

    /// The entries for all `MAX_LENGTH` bits.
    pub fn entries(&self) -> &[u64; ENTRIES] {
        let (_, entries) = self.entries.split_at(ENTRIES);
        entries.first_chunk().unwrap_or(&[0; ENTRIES])
    }
}

fn prepend(id: u8, length: u32, from: &[u64], to: &mut [u64]) {
    let front = u64::from(id) << 56 | COUNT_ONE | u64::from(length);
    for (to, &from) in to.iter_mut().zip(from) {
        let ids = from >> 8 & !LENGTH_AND_COUNT;
        *to = ids + (from & LENGTH_AND_COUNT) + front;
    }
}

/// `prepend` for codes with a word so short that there can be too many ids: the last one goes.
fn prepend_to_full(id: u8, length: u32, lengths: &Lengths, from: &[u64], to: &mut [u64]) {
    prepend(id, length, from, to);
    for (to, &from) in to.iter_mut().zip(from) {
        if count(from) == MAX_IDS {
            let last = from.to_le_bytes()[2];
            *to -= COUNT_ONE + u64::from(lengths.0[usize::from(last)]);
        }
    }
}
