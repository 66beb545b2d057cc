//! Decoding planes of levels. What is stored is described in the table of contents.

use super::layout::{HEADER_BYTES, MAX_CLASSES, MAX_RAW_BITS, classes, split};
use super::pairs::multiply;
use crate::codec::ans::frequencies::{Frequencies, id_count, take_frequencies};
use crate::codec::ans::{
    Carried, EachTables, LANES, PIECE, States, complete_raw, prefetch_piece, take_states,
};
use crate::codec::parts::PartReader;
use crate::codec::plane::{Coded, Groups};
use crate::codec::symbol::{Raw, Split, join};
use crate::error::{Error, Result};
use crate::plane::BitReader;

/// Classes are written for so many fields at once, whatever the length of their group.
const RUN: usize = 32;

/// A coded plane, taken apart.
struct Payload<'a> {
    pairs: bool,
    split: Split,
    starts: &'a [u8],
    tables: &'a [u8],
    states: States,
    words: &'a [u8],
    /// From the words on to the end: kernels may look beyond what they take.
    from_words: &'a [u8],
    packed: &'a [u8],
}

fn malformed() -> Error {
    Error::corrupt("a plane coded by groups is malformed")
}

impl<'a> Payload<'a> {
    fn parse(coded: &'a [u8], count: usize) -> Result<Self> {
        let mut parts = PartReader::new(coded);
        let header = parts.take_array::<HEADER_BYTES>()?;
        let [pairs, raw_bits, classes, reserved, ..] = *header;
        let long = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
                as usize
        };
        let words_len = long(8);
        if pairs > 1
            || raw_bits > if pairs == 1 { 0 } else { MAX_RAW_BITS }
            || !(1..=MAX_CLASSES).contains(&usize::from(classes))
            || reserved != 0
            || words_len % 2 != 0
        {
            return Err(malformed());
        }
        let split = split(raw_bits);
        let starts = parts.take(usize::from(classes) - 1)?;
        let tables = parts.take(long(4))?;
        let states = take_states(&mut parts)?;
        let from_words = parts.rest();
        let words = parts.take(words_len)?;
        let carried = Carried::new(split, count);
        let packed = parts.take(split.packed_bytes(count) - carried.packed)?;
        parts.finish()?;
        if !starts.is_sorted_by(|a, b| a < b) {
            return Err(malformed());
        }
        Ok(Self {
            pairs: pairs == 1,
            split,
            starts,
            tables,
            states,
            words,
            from_words,
            packed,
        })
    }

    /// The table of each class.
    fn tables(&self, pairs: Option<u8>) -> Result<Vec<Frequencies>> {
        let mut from = BitReader::new(self.tables);
        let pairs = match (self.pairs, pairs) {
            (false, _) => None,
            (true, Some(bits)) => Some(bits),
            (true, None) => return Err(malformed()),
        };
        let tables = (0..=self.starts.len())
            .map(|_| {
                let table = take_frequencies(&mut from)?;
                match pairs {
                    None => Ok(table),
                    Some(bits) if id_count(&table) <= 1 << bits => Ok(multiply(&table, bits)),
                    Some(_) => Err(malformed()),
                }
            })
            .collect::<Result<_>>()?;
        if from.taken_bytes() != self.tables.len() {
            return Err(malformed());
        }
        Ok(tables)
    }
}

/// Decodes planes; holds tables and buffers between calls.
#[derive(Default)]
pub(in crate::codec) struct Decoder {
    tables: EachTables,
    choice: Vec<u8>,
    ids: Vec<u8>,
    low: Vec<u8>,
    packed: Vec<u8>,
}

impl Decoder {
    /// Decodes a plane of bytes into `fields`.
    ///
    /// # Errors
    /// `Corrupt` if the coded bytes are not such a plane, or if its fields are in no groups.
    pub fn decode_into(&mut self, coded: &Coded<'_>, fields: &mut [u8]) -> Result<()> {
        let (count, simd) = (fields.len(), coded.simd);
        let groups = coded.context.groups.ok_or_else(malformed)?;
        if groups.fields == 0 || groups.keys.len().checked_mul(groups.fields) != Some(count) {
            return Err(malformed());
        }
        let coded = Payload::parse(coded.bytes, count)?;
        self.tables.prepare(&coded.tables(groups.pairs)?);
        let classes = classes(coded.starts);
        let mut states = coded.states;
        let (mut at, mut done) = (0, 0);
        let raw = Raw {
            low: &[],
            packed: coded.packed,
        };
        // The last piece is long enough to hold all elements with a raw bit that the states carry.
        while count - done >= 2 * PIECE {
            let raw = raw.skip(coded.split, done);
            prefetch_piece(coded.split, raw, coded.words, at);
            let piece = &mut fields[done..done + PIECE];
            let ids = if coded.split.raw_bits == 0 {
                &mut *piece
            } else {
                self.ids.resize(PIECE.max(self.ids.len()), 0);
                &mut self.ids[..PIECE]
            };
            choose(&mut self.choice, groups, &classes, done, PIECE);
            let choice = &self.choice[..PIECE];
            self.tables
                .decode(simd, choice, &mut states, coded.from_words, &mut at, ids)?;
            if coded.split.raw_bits > 0 {
                join(coded.split, simd, &self.ids[..PIECE], raw, piece);
            }
            done += PIECE;
        }
        let last = count - done;
        let whole = last.next_multiple_of(LANES);
        self.ids.resize(whole.max(self.ids.len()), 0);
        choose(&mut self.choice, groups, &classes, done, last);
        self.tables.decode(
            simd,
            &self.choice[..whole],
            &mut states,
            coded.from_words,
            &mut at,
            &mut self.ids[..whole],
        )?;
        if at != coded.words.len() {
            return Err(malformed());
        }
        complete_raw(
            raw.skip(coded.split, done),
            Carried::new(coded.split, count),
            &states,
            &mut self.low,
            &mut self.packed,
        )?;
        let raw = Raw {
            low: &self.low,
            packed: &self.packed,
        };
        join(
            coded.split,
            simd,
            &self.ids[..last],
            raw,
            &mut fields[done..],
        );
        Ok(())
    }
}

/// Finds the class of each of so many fields from one on, and of some behind them so that groups of lanes are
/// whole.
fn choose(
    choice: &mut Vec<u8>,
    groups: Groups<'_>,
    classes: &[u8; 256],
    first: usize,
    count: usize,
) {
    let whole = count.next_multiple_of(LANES);
    if choice.len() < whole + RUN {
        choice.resize(whole + RUN, 0);
    }
    let mut left = groups.fields - first % groups.fields;
    let mut at = 0;
    for &key in &groups.keys[first / groups.fields..] {
        if at >= count {
            break;
        }
        let class = classes[usize::from(key)];
        let run = &mut choice[at..];
        match run.first_chunk_mut::<RUN>() {
            Some(run) if left <= RUN => *run = [class; RUN],
            _ => run[..left.min(count - at)].fill(class),
        }
        at += left;
        left = groups.fields;
    }
    choice[count..whole].fill(0);
}
