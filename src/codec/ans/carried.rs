//! Raw bytes that travel in the states: an encoder may start anywhere in `2^16 .. 2^17`, and the
//! decoder ends there.

use super::lanes::{LANES, STATE_MIN, States};
use crate::codec::parts::PartReader;
use crate::codec::symbol::{Parts, Split};
use crate::error::{Error, Result};
use crate::plane::{BitReader, BitWriter};

/// About what all states take: 27.5 bits each.
pub(super) const STATES_BYTES: usize = 27 * LANES / 8 + LANES / 16;
/// Raw bytes that the states carry.
pub(in crate::codec) const CARRIED_BYTES: usize = 2 * LANES;

/// Which of the raw parts lends its last bytes to the states, and how many: the last part that is
/// not empty, if it is long enough.
#[derive(Debug, Clone, Copy)]
pub(in crate::codec) struct Carried {
    pub low: usize,
    pub packed: usize,
}

impl Carried {
    pub fn new(split: Split, count: usize) -> Self {
        let carried = |len: usize| {
            if len >= CARRIED_BYTES {
                CARRIED_BYTES
            } else {
                0
            }
        };
        if split.packed_bits() > 0 {
            Self {
                low: 0,
                packed: carried(split.packed_bytes(count)),
            }
        } else {
            Self {
                low: carried(split.low_bytes(count)),
                packed: 0,
            }
        }
    }

    /// What is left of the raw parts, and what the states carry.
    pub fn lend(self, parts: &Parts) -> (&[u8], &[u8], [u16; LANES]) {
        let (low, lent_low) = parts.low.split_at(parts.low.len() - self.low);
        let (packed, lent_packed) = parts.packed.split_at(parts.packed.len() - self.packed);
        (low, packed, payload(lent_low.iter().chain(lent_packed)))
    }
}

/// Bytes as states carry them: at most as many as they can.
pub(in crate::codec) fn payload<'b>(bytes: impl Iterator<Item = &'b u8>) -> [u16; LANES] {
    let mut payload = [0u16; LANES];
    for (i, &byte) in bytes.enumerate() {
        payload[i / 2] |= u16::from(byte) << (8 * (i % 2));
    }
    payload
}

/// States for an encoder to start from, which carry this.
pub(in crate::codec) fn starting_with(payload: &[u16; LANES]) -> States {
    payload.map(|bits| STATE_MIN | u32::from(bits))
}

/// The bytes that states carry at the end, which are zero if they carry none.
///
/// # Errors
/// `Corrupt` if the states are not where an encoder can have started.
pub(super) fn carried_bytes(states: &States) -> Result<[u8; CARRIED_BYTES]> {
    let mut bytes = [0; CARRIED_BYTES];
    for (state, bytes) in states.iter().zip(bytes.as_chunks_mut::<2>().0) {
        let [a, b, c, d] = state.wrapping_sub(STATE_MIN).to_le_bytes();
        if [c, d] != [0, 0] {
            return Err(Error::corrupt("a coded plane ends in the wrong state"));
        }
        *bytes = [a, b];
    }
    Ok(bytes)
}

/// Appends the states: for each the number of bits from 16 up to its highest, 4 bits each; the low
/// halves, 2 bytes each; then those bits but the highest, as one bit string. A state is about as
/// likely to have any of the 16 lengths, so this saves half a byte a state.
pub(in crate::codec) fn put_states(states: &States, out: &mut Vec<u8>) {
    for pair in states.as_chunks::<2>().0 {
        let [low, high] = pair.map(upper_bits);
        out.push(low | high << 4);
    }
    for state in states {
        out.extend(&state.to_le_bytes()[..2]);
    }
    let bits: usize = states
        .iter()
        .map(|&state| usize::from(upper_bits(state)))
        .sum();
    let at = out.len();
    out.resize(at + bits.div_ceil(8), 0);
    let mut writer = BitWriter::new(&mut out[at..]);
    for &state in states {
        let width = upper_bits(state);
        if width > 0 {
            writer.put(u64::from(state >> 16) & ((1 << width) - 1), width);
        }
    }
    writer.finish();
}

/// log2 of the upper half of a state, which is not zero.
fn upper_bits(state: u32) -> u8 {
    let [bits, ..] = (state >> 16).max(1).ilog2().to_le_bytes();
    bits
}

/// Takes what `put_states` wrote.
///
/// # Errors
/// `Corrupt` if there are too few bytes.
pub(super) fn take_states(parts: &mut PartReader<'_>) -> Result<States> {
    let widths = parts.take_array::<{ LANES / 2 }>()?;
    let low = parts.take_array::<{ 2 * LANES }>()?;
    let width = |lane: usize| widths[lane / 2] >> (4 * (lane % 2)) & 15;
    let bits: usize = (0..LANES).map(|lane| usize::from(width(lane))).sum();
    let mut upper = BitReader::new(parts.take(bits.div_ceil(8))?);
    let mut states = [0; LANES];
    for (lane, (state, low)) in states.iter_mut().zip(low.as_chunks::<2>().0).enumerate() {
        let width = width(lane);
        let below = if width > 0 { upper.take(width) } else { 0 };
        let [a, b, ..] = (below | 1 << width).to_le_bytes();
        *state = u32::from_le_bytes([low[0], low[1], a, b]);
    }
    Ok(states)
}
