//! Frequency tables prepared for encoding.

use super::frequencies::{Buckets, Frequencies, SLOT_BITS, SLOTS};

/// log2 of the entries of `StepTable::slots` that are described together.
pub(super) const BLOCK_BITS: u32 = 5;
/// Between slots that follow each other in one of 128 buckets, as log2.
const SLOT_STRIDE_BITS: u32 = 7;
/// Blocks of `StepTable::slots`.
const BLOCKS: usize = (2 * SLOTS) >> BLOCK_BITS;
/// Pieces that a block may have beside its first to be looked up by block.
pub(super) const BLOCK_ENDS: usize = 3;
/// In place of the first end, if there are more. Its highest bit is set.
const BLOCK_OF_MORE: u8 = 0x80;

/// What encoding an id needs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Step {
    /// `ceil(2^64 / frequency)`: the high half of its product with a state is their quotient, for
    /// every state below 2^32 and every frequency below 2^12. For a frequency of 1 it is 2^64 - 1
    /// and the quotient comes out one too small, which the other fields make up for.
    pub reciprocal: u64,
    pub frequency: u32,
    /// Of the id's slots in `StepTable::slots`.
    pub first_slot: u32,
    /// Added to the new state.
    pub carry: u32,
}

/// A frequency table prepared for encoding.
pub(super) struct StepTable {
    pub(super) steps: [Step; 256],
    /// The slots of each id by rank, one id behind the other. Twice as many as are used, so that a
    /// mask shows the compiler that no index is out of range, and one more for loads of 4 bytes.
    pub(super) slots: [u16; 2 * SLOTS + 1],
    /// Of each id the bytes of its frequency, then those of its first slot.
    pub(super) step_bytes: [[[u8; 64]; 4]; 4],
    /// Of each block of `slots`, if there are 128 buckets: the piece of consecutive slots that its
    /// first entry belongs to.
    pub(super) block_pieces: [[u8; 64]; 4],
    /// Where in the block the next pieces start.
    pub(super) block_ends: [[[u8; 64]; 4]; BLOCK_ENDS],
    /// Of each piece two bytes: what is added to a place in a block, times the number of buckets, to
    /// get the slot, up to multiples of `SLOTS`.
    pub(super) piece_bytes: [[[u8; 64]; 4]; 2],
    /// Ids may be 128 or more.
    pub(super) wide: bool,
}

impl StepTable {
    pub(super) fn new() -> Self {
        Self {
            steps: [Step::default(); 256],
            slots: [0; 2 * SLOTS + 1],
            step_bytes: [[[0; 64]; 4]; 4],
            block_pieces: [[0; 64]; 4],
            block_ends: [[[0; 64]; 4]; BLOCK_ENDS],
            piece_bytes: [[[0; 64]; 4]; 2],
            wide: false,
        }
    }

    pub(super) fn prepare(&mut self, frequencies: &Frequencies, buckets: &Buckets) {
        self.wide = buckets.bits > 7;
        let align = if self.wide { 1 } else { 1 << BLOCK_BITS };
        let mut first_slots = [0u16; 256];
        let mut first = 0u16;
        for (id, (step, &frequency)) in self.steps.iter_mut().zip(frequencies).enumerate() {
            *step = match frequency {
                0 => Step::default(),
                1 => Step {
                    reciprocal: u64::MAX,
                    frequency: 1,
                    // Its rank comes out as 1.
                    first_slot: u32::from(first).wrapping_sub(1),
                    carry: 1 << SLOT_BITS,
                },
                _ => Step {
                    reciprocal: (u64::MAX / u64::from(frequency)) + 1,
                    frequency: u32::from(frequency),
                    first_slot: u32::from(first),
                    carry: 0,
                },
            };
            first_slots[id] = first;
            let [a, b] = frequency.to_le_bytes();
            let [c, d] = first.to_le_bytes();
            for (bytes, byte) in self.step_bytes.iter_mut().zip([a, b, c, d]) {
                bytes[id / 64][id % 64] = byte;
            }
            first += frequency.next_multiple_of(align);
        }
        self.deal(buckets, &first_slots);
    }

    fn deal(&mut self, buckets: &Buckets, first_slots: &[u16; 256]) {
        // Places of a bucket are consecutive ranks of its id, then of its alias.
        let count = 1u16 << buckets.bits;
        let size = 1u16 << (SLOT_BITS - buckets.bits);
        let mut starts = [0u32; BLOCKS];
        for bucket in 0..count {
            let id = usize::from(bucket);
            let own = u16::from(buckets.own_slots[id]);
            let alias = usize::from(buckets.alias[id]);
            let alias_first = first_slots[alias].wrapping_add(buckets.alias_bias[id]);
            for (bias, places) in [(first_slots[id], 0..own), (alias_first, own..size)] {
                if places.is_empty() {
                    continue;
                }
                let first = usize::from(bias.wrapping_add(places.start));
                for (slot, place) in self.slots[first..].iter_mut().zip(places) {
                    *slot = place << buckets.bits | bucket;
                }
                starts[first >> BLOCK_BITS] |= 1 << (first % (1 << BLOCK_BITS));
            }
        }
        if !self.wide {
            self.describe_blocks(&starts);
        }
    }

    /// Notes where pieces of consecutive slots start.
    fn describe_blocks(&mut self, starts: &[u32; BLOCKS]) {
        let mut pieces = 0usize;
        for (block, &starts) in starts.iter().enumerate() {
            let first = pieces - usize::from(starts & 1 == 0 && pieces > 0);
            let mut ends = [1 << BLOCK_BITS; BLOCK_ENDS];
            let mut left = starts & !1;
            for end in &mut ends {
                if left != 0 {
                    [*end, ..] = left.trailing_zeros().to_le_bytes();
                    left &= left - 1;
                }
            }
            if left != 0 {
                ends[0] = BLOCK_OF_MORE;
            }
            let (row, column) = (block / 64, block % 64);
            self.block_pieces[row][column] = first.to_le_bytes()[0];
            for (bytes, end) in self.block_ends.iter_mut().zip(ends) {
                bytes[row][column] = end;
            }
            let mut left = starts;
            while left != 0 {
                let place = left.trailing_zeros();
                left &= left - 1;
                let slot = self.slots[block << BLOCK_BITS | place as usize];
                let bias = u32::from(slot).wrapping_sub(place << SLOT_STRIDE_BITS);
                let [low, high, ..] = bias.to_le_bytes();
                let (row, column) = (pieces / 64 % 4, pieces % 64);
                self.piece_bytes[0][row][column] = low;
                self.piece_bytes[1][row][column] = high;
                pieces += 1;
            }
        }
    }
}
