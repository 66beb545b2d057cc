//! Decoding planes. What is stored is described in `layout`.

use super::carried::{Carried, complete_raw, take_states};
use super::frequencies::{id_count, take_frequencies};
use super::kernel::decode;
use super::lanes::{LANES, States};
use super::layout::{HEADER_BYTES, MAX_SEGMENT_BITS, MAX_TABLES, choice_bits};
use super::piece::{PIECE, prefetch_piece};
use super::slot_table::SlotTable;
use crate::codec::parts::PartReader;
use crate::codec::plane::Coded;
use crate::codec::symbol::{Raw, Split, apply_exceptions, exceptions_bytes, join};
use crate::error::{Error, Result};
use crate::plane::BitReader;
use crate::simd::Simd;

/// A coded plane, taken apart.
struct Payload<'a> {
    split: Split,
    bucket_bits: u32,
    table_count: usize,
    segment_bits: u8,
    tables: &'a [u8],
    states: States,
    words: &'a [u8],
    /// From the words on to the end: kernels may look beyond what they take.
    from_words: &'a [u8],
    raw: Raw<'a>,
    exceptions: &'a [u8],
}

impl<'a> Payload<'a> {
    fn parse(coded: &'a [u8], width: u8, count: usize) -> Result<Self> {
        let wrong = || Error::corrupt("a plane coded with ANS is malformed");
        let mut parts = PartReader::new(coded);
        let header = parts.take_array::<HEADER_BYTES>()?;
        let [
            a,
            b,
            c,
            d,
            bucket_bits,
            table_count,
            segment_bits,
            reserved,
            ..,
        ] = *header;
        let split = Split::parse([a, b, c, d], width)?;
        let exceptions = usize::from(u16::from_le_bytes([header[8], header[9]]));
        let tables = usize::from(u16::from_le_bytes([header[10], header[11]]));
        let words = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
        if !matches!(bucket_bits, 7 | 8)
            || !(1..=MAX_TABLES).contains(&usize::from(table_count))
            || segment_bits > MAX_SEGMENT_BITS
            || reserved != 0
            || words % 2 != 0
        {
            return Err(wrong());
        }
        let carried = Carried::new(split, count);
        let tables = parts.take(tables)?;
        let states = take_states(&mut parts)?;
        let from_words = parts.rest();
        let words = parts.take(usize::try_from(words).map_err(|_| wrong())?)?;
        let low = parts.take(split.low_bytes(count) - carried.low)?;
        let packed = parts.take(split.packed_bytes(count) - carried.packed)?;
        let exceptions = parts.take(exceptions_bytes(exceptions))?;
        parts.finish()?;
        Ok(Self {
            split,
            bucket_bits: bucket_bits.into(),
            table_count: table_count.into(),
            segment_bits,
            tables,
            states,
            words,
            from_words,
            raw: Raw { low, packed },
            exceptions,
        })
    }
}

/// Decodes planes; holds tables and buffers between calls.
#[derive(Default)]
pub(in crate::codec) struct Decoder {
    tables: Vec<SlotTable>,
    choice: Vec<u8>,
    ids: Vec<u8>,
    low: Vec<u8>,
    packed: Vec<u8>,
}

impl Decoder {
    /// Decodes a plane of fields of 8 or 16 bits into `fields`.
    ///
    /// # Errors
    /// `Corrupt` if the coded bytes are not such a plane.
    pub fn decode_into(&mut self, coded: &Coded<'_>, fields: &mut [u8]) -> Result<()> {
        let (width, simd) = (coded.shape.width, coded.simd);
        let field_bytes = usize::from(width / 8);
        let count = fields.len() / field_bytes;
        let coded = Payload::parse(coded.bytes, width, count)?;
        self.prepare(&coded, count.div_ceil(LANES), simd)?;
        let split = coded.split;
        let mut states = coded.states;
        let mut at = 0;
        let mut done = 0;
        // The last piece is long enough to hold all elements with a raw bit that the states carry.
        while count - done >= 2 * PIECE {
            let raw = coded.raw.skip(split, done);
            prefetch_piece(split, raw, coded.words, at);
            self.decode_ids(&coded, simd, &mut states, &mut at, done, PIECE)?;
            let (ids, out) = (&self.ids[..PIECE], done * field_bytes);
            let fields = &mut fields[out..out + PIECE * field_bytes];
            join(split, simd, ids, raw, fields);
            done += PIECE;
        }
        let last = count - done;
        self.decode_ids(&coded, simd, &mut states, &mut at, done, last)?;
        if at != coded.words.len() {
            return Err(Error::corrupt("a coded plane has the wrong length"));
        }
        complete_raw(
            coded.raw.skip(split, done),
            Carried::new(split, count),
            &states,
            &mut self.low,
            &mut self.packed,
        )?;
        let raw = Raw {
            low: &self.low,
            packed: &self.packed,
        };
        let out = done * field_bytes;
        join(split, simd, &self.ids[..last], raw, &mut fields[out..]);
        apply_exceptions(split, coded.exceptions, fields)
    }

    fn prepare(&mut self, coded: &Payload<'_>, groups: usize, simd: Simd) -> Result<()> {
        let mut from = BitReader::new(coded.tables);
        if self.tables.len() < coded.table_count {
            self.tables.resize_with(coded.table_count, SlotTable::new);
        }
        for prepared in &mut self.tables[..coded.table_count] {
            let frequencies = take_frequencies(&mut from)?;
            if id_count(&frequencies) > 1 << coded.bucket_bits {
                return Err(Error::corrupt("a frequency table has too many ids"));
            }
            prepared.prepare(&frequencies, coded.bucket_bits, simd);
        }
        let bits = choice_bits(coded.table_count);
        self.choice.clear();
        for _ in 0..groups.div_ceil(1 << coded.segment_bits) {
            let choice = if bits == 0 { 0 } else { from.take(bits) };
            let [choice, ..] = choice.to_le_bytes();
            if usize::from(choice) >= coded.table_count {
                return Err(Error::corrupt("a segment names a table that is not there"));
            }
            self.choice.push(choice);
        }
        if from.taken_bytes() != coded.tables.len() {
            return Err(Error::corrupt(
                "the tables of a plane have the wrong length",
            ));
        }
        Ok(())
    }

    /// Decodes the ids of elements `done .. done + len` to the start of `self.ids`.
    fn decode_ids(
        &mut self,
        coded: &Payload<'_>,
        simd: Simd,
        states: &mut States,
        at: &mut usize,
        done: usize,
        len: usize,
    ) -> Result<()> {
        let len = len.next_multiple_of(LANES);
        if self.ids.len() < len {
            self.ids.resize(len, 0);
        }
        let first_group = done / LANES;
        let table_of = |group: usize| self.choice[(first_group + group) >> coded.segment_bits];
        let mut group = 0;
        while group < len / LANES {
            // As many groups as use the same table.
            let choice = table_of(group);
            let mut end = group + 1;
            while end < len / LANES && table_of(end) == choice {
                end += 1;
            }
            decode(
                simd,
                &self.tables[usize::from(choice)],
                states,
                coded.from_words,
                at,
                &mut self.ids[group * LANES..end * LANES],
            )?;
            group = end;
        }
        Ok(())
    }
}
