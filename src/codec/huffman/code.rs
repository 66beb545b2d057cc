//! Prefix codes of limited length: which id has a code of which length, and how that is stored.
//!
//! Codes are canonical: sorted by length, then by id, and counted up from zero, so the lengths say
//! all. Invariant: the lengths of a code with two ids or more fill it, which is to say that every
//! bit string starts with a code word. A code of one id has no bits: its length is noted as 1, and
//! no bit is ever spent on it.

use crate::error::{Error, Result};

/// Most bits of a code word, and bits that a step of the decoder looks at. With 12 the table fills
/// the level 1 cache (-25 %); with 10 there are fewer ids in an entry (-7 %).
pub(super) const MAX_LENGTH: u32 = 11;
/// Ids that a byte can name.
pub(super) const IDS: usize = 256;

/// The lengths of the code words of all ids; zero for those that have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths(pub [u8; IDS]);

/// A code word: its bits, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Word {
    pub bits: u16,
    pub length: u8,
}

impl Lengths {
    /// The lengths that code ids of these frequencies in the fewest bits.
    pub fn best(counts: &[u32; IDS]) -> Self {
        let mut weights = [(0u32, 0u8); IDS];
        let mut present = 0;
        for (id, &count) in (0..=u8::MAX).zip(counts) {
            if count > 0 {
                weights[present] = (count, id);
                present += 1;
            }
        }
        let weights = &mut weights[..present];
        weights.sort_unstable();
        let mut lengths = [0; IDS];
        if let [(_, id)] = *weights {
            lengths[usize::from(id)] = 1;
        } else {
            package_merge(weights, &mut lengths);
        }
        Self(lengths)
    }

    /// Bits of the code words of ids of these frequencies.
    pub fn bits(&self, counts: &[u32; IDS]) -> u64 {
        if self.lone().is_some() {
            return 0;
        }
        let pairs = self.0.iter().zip(counts);
        pairs.map(|(&l, &c)| u64::from(l) * u64::from(c)).sum()
    }

    /// The id of a code that has but one.
    pub fn lone(&self) -> Option<u8> {
        let mut present = (0..=u8::MAX).filter(|&id| self.0[usize::from(id)] > 0);
        present.next().filter(|_| present.next().is_none())
    }

    /// Ids that have a code word, with its length, in the order of the words.
    pub fn in_order(&self) -> impl Iterator<Item = (u8, u32)> {
        let mut places = [0u8; MAX_LENGTH as usize + 2];
        for &length in self.0.iter().filter(|&&length| length > 0) {
            // At most 256 of one length: with 256, no other length follows that would be moved.
            let next = &mut places[usize::from(length) + 1];
            *next = next.wrapping_add(1);
        }
        for length in 1..places.len() {
            places[length] = places[length].wrapping_add(places[length - 1]);
        }
        let mut order = [(0, 0); IDS];
        let mut present = 0;
        for (id, &length) in (0..=u8::MAX).zip(&self.0) {
            if length > 0 {
                let place = &mut places[usize::from(length)];
                order[usize::from(*place)] = (id, u32::from(length));
                *place = place.wrapping_add(1);
                present += 1;
            }
        }
        order.into_iter().take(present)
    }

    /// The code words of all ids.
    pub fn words(&self) -> [Word; IDS] {
        let mut words = [Word::default(); IDS];
        // Position in the code space, in units of the longest word possible.
        let mut space = 0u16;
        for (id, length) in self.in_order() {
            words[usize::from(id)] = Word {
                bits: space >> (MAX_LENGTH - length),
                length: self.0[usize::from(id)],
            };
            space += 1 << (MAX_LENGTH - length);
        }
        words
    }

    /// Bytes that `put` appends.
    pub fn stored_bytes(&self) -> usize {
        1 + self.most_id() / 2 + 1
    }

    /// Appends the highest id, then the lengths up to it, 4 bits each.
    pub fn put(&self, out: &mut Vec<u8>) {
        let most_id = self.most_id();
        out.push(most_id.to_le_bytes()[0]);
        for pair in self.0[..most_id / 2 * 2 + 2].chunks_exact(2) {
            out.push(pair[0] | pair[1] << 4);
        }
    }

    /// Reads what `put` wrote, and says how many bytes that were.
    ///
    /// # Errors
    /// `Corrupt` if these are not the lengths of a code.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let corrupt = || Error::corrupt("a huffman plane has an impossible code");
        let (&most_id, rest) = bytes.split_first().ok_or_else(corrupt)?;
        let pairs = rest.get(..usize::from(most_id) / 2 + 1);
        let pairs = pairs.ok_or_else(corrupt)?;
        let mut lengths = [0; IDS];
        for (pair, &byte) in lengths.chunks_exact_mut(2).zip(pairs) {
            pair.copy_from_slice(&[byte & 15, byte >> 4]);
        }
        let mut filled = 0u32;
        for &length in lengths.iter().filter(|&&length| length > 0) {
            if u32::from(length) > MAX_LENGTH {
                return Err(corrupt());
            }
            filled += 1 << (MAX_LENGTH - u32::from(length));
        }
        let lengths = Self(lengths);
        let lone = lengths.lone().map(|id| lengths.0[usize::from(id)]);
        if lengths.most_id() != usize::from(most_id)
            || (filled != 1 << MAX_LENGTH && lone != Some(1))
        {
            return Err(corrupt());
        }
        Ok((lengths, 1 + pairs.len()))
    }

    fn most_id(&self) -> usize {
        self.0.iter().rposition(|&length| length > 0).unwrap_or(0)
    }
}

/// Most items in a level of `package_merge`.
const LEVEL_ITEMS: usize = 2 * IDS;

/// The best lengths for weights in ascending order, at least two of them, by the package-merge
/// algorithm (L. Larmore, D. Hirschberg, "A fast algorithm for optimal length-limited Huffman
/// codes", 1990):
///
/// ```text
/// level 1 = the weights
/// level k = the weights and the sums of neighbouring pairs of level k - 1, merged in order
/// wanted  = 2 n - 2 items of the last level
/// for each level from the last to the first:
///     each weight among the first `wanted` items makes the word of its id a bit longer
///     wanted = 2 * the sums among them
/// ```
fn package_merge(weights: &[(u32, u8)], lengths: &mut [u8; IDS]) {
    const LEVELS: usize = MAX_LENGTH as usize;
    let mut is_weight = [[false; LEVEL_ITEMS]; LEVELS];
    let mut level = [0u64; LEVEL_ITEMS];
    let mut below = [0u64; LEVEL_ITEMS];
    let mut items = 0;
    let wanted = 2 * weights.len() - 2;
    for is_weight in &mut is_weight {
        std::mem::swap(&mut level, &mut below);
        let mut packages = below[..items].chunks_exact(2).map(|pair| pair[0] + pair[1]);
        let mut package = packages.next();
        let mut singles = weights.iter().map(|&(weight, _)| u64::from(weight));
        let mut single = singles.next();
        items = 0;
        for (slot, is_weight) in level.iter_mut().zip(is_weight).take(wanted) {
            *is_weight = match (single, package) {
                (Some(single), Some(package)) => single <= package,
                (single, None) if single.is_none() => break,
                (single, _) => single.is_some(),
            };
            let from = if *is_weight {
                (&mut single, singles.next())
            } else {
                (&mut package, packages.next())
            };
            *slot = std::mem::replace(from.0, from.1).unwrap_or_default();
            items += 1;
        }
    }
    let mut wanted = wanted;
    for is_weight in is_weight.iter().rev() {
        let longer = is_weight[..wanted].iter().filter(|&&is| is).count();
        for &(_, id) in &weights[..longer] {
            lengths[usize::from(id)] += 1;
        }
        wanted = 2 * (wanted - longer);
    }
}
