//! Static order-0 arithmetic coding of bytes: a range coder of 32 bits with one table a plane.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | highest byte value that occurs, `m` |
//! | 1 or 2 each | frequencies of the values 0 to m: below 128 one byte, otherwise two, the first being 128 + the high bits, the second the low 8 bits |
//! | .. | code |
//!
//! Frequencies add up to `TOTAL`; a plane of one value is no matter of this codec. The code is a number between 0 and 1 with the first byte after the
//! point first; the interval of a value starts at the sum of the frequencies below it.
//!
//! Invariant: what decodes has used every byte of the code.

use crate::codec::plane::Coded;
use crate::error::{Error, Result};

const TOTAL_BITS: u32 = 15;
const TOTAL: u32 = 1 << TOTAL_BITS;
/// The range is kept at or above this, so that a part of `TOTAL` is not empty.
const MIN_RANGE: u32 = 1 << 24;
/// Bytes that finish a code.
const FLUSH_BYTES: usize = 5;

const VALUES: usize = 256;

/// Frequencies that add up to `TOTAL`, none of which is 0 for a value that occurs.
fn frequencies(plane: &[u8]) -> [u32; VALUES] {
    let mut counts = [0u64; VALUES];
    for &byte in plane {
        counts[usize::from(byte)] += 1;
    }
    let len = (plane.len() as u64).max(1);
    let mut scaled = counts.map(|count| {
        let share = u32::try_from(count * u64::from(TOTAL) / len).unwrap_or(TOTAL);
        if count == 0 { 0 } else { share.max(1) }
    });
    // What rounding has left over or taken too much is least felt by the most frequent values.
    let mut order: Vec<usize> = (0..VALUES).collect();
    order.sort_by_key(|&value| std::cmp::Reverse(scaled[value]));
    let mut sum: u32 = scaled.iter().sum();
    while sum != TOTAL {
        for &value in &order {
            if sum < TOTAL {
                scaled[value] += 1;
                sum += 1;
            } else if sum > TOTAL && scaled[value] > 1 {
                scaled[value] -= 1;
                sum -= 1;
            }
        }
    }
    scaled
}

pub(super) fn encode(plane: &[u8], coded: &mut Vec<u8>) {
    let frequencies = frequencies(plane);
    let highest = frequencies.iter().rposition(|&f| f > 0).unwrap_or(0);
    coded.extend(u8::try_from(highest));
    for frequency in &frequencies[..=highest] {
        let [low, high, ..] = frequency.to_le_bytes();
        if *frequency < 128 {
            coded.push(low);
        } else {
            coded.extend([0x80 | high, low]);
        }
    }
    let mut starts = [0; VALUES];
    let mut start = 0;
    for (place, frequency) in starts.iter_mut().zip(frequencies) {
        *place = start;
        start += frequency;
    }
    let mut writer = Writer::new(coded);
    for &byte in plane {
        let value = usize::from(byte);
        writer.put(starts[value], frequencies[value]);
    }
    writer.finish();
}

/// Writes a number digit by digit. A carry may still run through the digits that are held back: one
/// and any number of 255s behind it.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    low: u64,
    range: u32,
    held: u8,
    held_255s: usize,
    /// The digit before the point is always 0, and not written.
    at_point: bool,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            low: 0,
            range: u32::MAX,
            held: 0,
            held_255s: 0,
            at_point: true,
        }
    }

    fn put(&mut self, start: u32, frequency: u32) {
        let part = self.range >> TOTAL_BITS;
        self.low += u64::from(part) * u64::from(start);
        self.range = part * frequency;
        while self.range < MIN_RANGE {
            self.range <<= 8;
            self.shift();
        }
    }

    fn shift(&mut self) {
        let [.., digit, carry, _, _, _] = self.low.to_le_bytes();
        if digit < 255 || carry > 0 {
            if !self.at_point {
                self.out.push(self.held.wrapping_add(carry));
            }
            self.at_point = false;
            let digits = std::iter::repeat_n(255u8.wrapping_add(carry), self.held_255s);
            self.out.extend(digits);
            self.held_255s = 0;
            self.held = digit;
        } else {
            self.held_255s += 1;
        }
        self.low = (self.low & 0x00FF_FFFF) << 8;
    }

    fn finish(mut self) {
        for _ in 0..FLUSH_BYTES {
            self.shift();
        }
    }
}

pub(in crate::codec) struct Decoder {
    /// The value at each place of the range.
    values: Box<[u8; TOTAL as usize]>,
}

impl Decoder {
    pub fn new() -> Self {
        Self {
            values: Box::new([0; TOTAL as usize]),
        }
    }

    /// # Errors
    /// `Corrupt` if it is not the code of a plane of this length.
    pub fn decode_into(&mut self, coded: &Coded<'_>, plane: &mut [u8]) -> Result<()> {
        self.decode(coded.bytes, plane)
            .ok_or_else(|| Error::corrupt("an arithmetic code does not decode to its plane"))
    }

    fn decode(&mut self, coded: &[u8], plane: &mut [u8]) -> Option<()> {
        let (&highest, mut rest) = coded.split_first()?;
        let mut starts = [0u32; VALUES];
        let mut frequencies = [0u32; VALUES];
        let mut sum = 0u32;
        for value in 0..=highest {
            let (&first, after) = rest.split_first()?;
            rest = after;
            let mut frequency = u32::from(first);
            if first >= 0x80 {
                let (&low, after) = rest.split_first()?;
                rest = after;
                frequency = u32::from(first & 0x7F) << 8 | u32::from(low);
            }
            starts[usize::from(value)] = sum;
            frequencies[usize::from(value)] = frequency;
            let end = sum.checked_add(frequency).filter(|&end| end <= TOTAL)?;
            self.values[sum as usize..end as usize].fill(value);
            sum = end;
        }
        if sum != TOTAL {
            return None;
        }
        let mut digits = rest.iter();
        let mut code = 0u32;
        for _ in 0..FLUSH_BYTES - 1 {
            code = code << 8 | u32::from(*digits.next()?);
        }
        let mut range = u32::MAX;
        for place in plane {
            let part = range >> TOTAL_BITS;
            let at = code / part;
            let value = *self.values.get(at as usize)?;
            *place = value;
            code -= part * starts[usize::from(value)];
            range = part * frequencies[usize::from(value)];
            while range < MIN_RANGE {
                range <<= 8;
                code = code << 8 | u32::from(*digits.next()?);
            }
        }
        digits.next().is_none().then_some(())
    }
}
