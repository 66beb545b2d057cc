//! The last elements of a plane, which the states of the lanes carry.

use super::layout::{MAX_GAP_BITS, MAX_TAIL_BITS};
use crate::codec::ans::CARRIED_BYTES;
use crate::codec::rice::{put_rice, rice_length, take_rice};
use crate::plane::{BitReader, BitWriter};

/// Of a plane so much may be in the tail, one element in so many.
const SHARE: usize = 4;

/// Differences of the last elements.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// All elements that are in it.
    pub elements: u16,
    pub gap_bits: u8,
    /// How many equal elements are before each that differs, and its difference.
    changed: Vec<(u32, u32)>,
    /// How many are behind the last one.
    rest: u32,
}

impl Tail {
    /// As many of the last differences as find room beside so many other bits; `share` of all differ.
    pub fn of(
        differences: impl ExactSizeIterator<Item = u32> + DoubleEndedIterator,
        share: f32,
        other_bits: usize,
    ) -> Self {
        let gap_bits = gap_bits(share);
        let mut tail = Self {
            gap_bits,
            ..Self::default()
        };
        let most = (differences.len() / SHARE).min(u16::MAX.into());
        // Gaps are told by the change behind them, the last by the end.
        let mut bits = other_bits + rice_length(0, gap_bits);
        let mut gap = 0;
        let mut gaps = Vec::new();
        for difference in differences.rev().take(most) {
            let more = if difference == 0 {
                usize::from((gap + 1) % (1 << gap_bits) == 0)
            } else {
                2 * difference.ilog2() as usize + 1 + rice_length(0, gap_bits)
            };
            if bits + more > 8 * CARRIED_BYTES {
                break;
            }
            bits += more;
            tail.elements += 1;
            if difference == 0 {
                gap += 1;
            } else {
                gaps.push((gap, difference));
                gap = 0;
            }
        }
        // Each difference was found with the gap behind it.
        for (behind, difference) in gaps.into_iter().rev() {
            tail.changed.push((gap, difference));
            gap = behind;
        }
        tail.rest = gap;
        tail
    }

    pub fn bits(&self) -> usize {
        if self.elements == 0 {
            return 0;
        }
        let changed = self.changed.iter().map(|&(gap, difference)| {
            rice_length(gap, self.gap_bits) + 2 * difference.ilog2() as usize + 1
        });
        changed.sum::<usize>() + rice_length(self.rest, self.gap_bits)
    }

    pub fn put(&self, out: &mut BitWriter<'_>) {
        if self.elements == 0 {
            return;
        }
        for &(gap, difference) in &self.changed {
            put_rice(gap, self.gap_bits, out);
            let [below, ..] = difference.ilog2().to_le_bytes();
            out.put((1 << below) - 1, below + 1);
            if below > 0 {
                out.put(u64::from(difference) & ((1 << below) - 1), below);
            }
        }
        put_rice(self.rest, self.gap_bits, out);
    }
}

/// Calls `set` with the place of each of so many elements that differs, and the difference, which is not 0. `None` if
/// what is stored is no tail.
pub(super) fn take(
    elements: usize,
    gap_bits: u8,
    from: &mut BitReader<'_>,
    mut set: impl FnMut(usize, u64) -> Option<()>,
) -> Option<()> {
    if elements == 0 {
        return Some(());
    }
    let mut place = 0usize;
    loop {
        place += take_rice(from, gap_bits)? as usize;
        if place >= elements {
            return (place == elements).then_some(());
        }
        let [below, ..] = from.take_unary(MAX_TAIL_BITS)?.to_le_bytes();
        let low = if below > 0 { from.take(below) } else { 0 };
        set(place, 1 << below | low)?;
        place += 1;
    }
}

/// The Rice parameter of the gaps between what is changed, which is such a share of all.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few bits, not below 0"
)]
fn gap_bits(share: f32) -> u8 {
    let mean = std::f32::consts::LN_2 / share.max(f32::MIN_POSITIVE);
    (mean.log2().round().max(0.0) as u8).min(MAX_GAP_BITS)
}
