//! Decoding planes. What is stored is described in `layout`.

use std::ops::Range;

use super::body::{Body, LastRaw, Pieces};
use super::frequencies::{id_count, take_frequencies};
use super::kernel::decode;
use super::lanes::{Course, LANES};
use super::layout::{HEADER_BYTES, MAX_SEGMENT_BITS, MAX_TABLES, choice_bits};
use super::slot_table::SlotTable;
use crate::codec::parts::PartReader;
use crate::codec::plane::Coded;
use crate::codec::symbol::{Raw, Split, apply_exceptions, exceptions_bytes, join};
use crate::error::{Error, Result};
use crate::plane::BitReader;
use crate::simd::Simd;

/// A coded plane, taken apart.
struct Payload<'a> {
    bucket_bits: u32,
    table_count: usize,
    segment_bits: u8,
    tables: &'a [u8],
    body: Body<'a>,
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
        {
            return Err(wrong());
        }
        let tables = parts.take(tables)?;
        let words_len = usize::try_from(words).map_err(|_| wrong())?;
        let body = Body::take(&mut parts, split, count, words_len)?;
        let exceptions = parts.take(exceptions_bytes(exceptions))?;
        parts.finish()?;
        Ok(Self {
            bucket_bits: bucket_bits.into(),
            table_count: table_count.into(),
            segment_bits,
            tables,
            body,
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
    last: LastRaw,
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
        let mut last = std::mem::take(&mut self.last);
        let mut pieces = PlanePieces {
            decoder: self,
            coded: &coded,
            simd,
            field_bytes,
            fields,
        };
        let decoded = coded.body.decode(&mut last, &mut pieces);
        self.last = last;
        decoded?;
        apply_exceptions(coded.body.split(), coded.exceptions, fields)
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
}

/// A plane that is being decoded: ids come to the start of the decoder's buffer.
struct PlanePieces<'d> {
    decoder: &'d mut Decoder,
    coded: &'d Payload<'d>,
    simd: Simd,
    field_bytes: usize,
    fields: &'d mut [u8],
}

impl Pieces for PlanePieces<'_> {
    fn decode_ids(&mut self, elements: Range<usize>, course: &mut Course<'_>) -> Result<()> {
        let Decoder {
            tables,
            choice,
            ids,
            ..
        } = &mut *self.decoder;
        let len = elements.len().next_multiple_of(LANES);
        if ids.len() < len {
            ids.resize(len, 0);
        }
        let first_group = elements.start / LANES;
        let table_of = |group: usize| choice[(first_group + group) >> self.coded.segment_bits];
        let mut group = 0;
        while group < len / LANES {
            // As many groups as use the same table.
            let choice = table_of(group);
            let mut end = group + 1;
            while end < len / LANES && table_of(end) == choice {
                end += 1;
            }
            decode(
                self.simd,
                &tables[usize::from(choice)],
                &mut course.states,
                course.words,
                &mut course.at,
                &mut ids[group * LANES..end * LANES],
            )?;
            group = end;
        }
        Ok(())
    }

    fn join(&mut self, elements: Range<usize>, raw: Raw<'_>) {
        let ids = &self.decoder.ids[..elements.len()];
        let bytes = elements.start * self.field_bytes..elements.end * self.field_bytes;
        join(
            self.coded.body.split(),
            self.simd,
            ids,
            raw,
            &mut self.fields[bytes],
        );
    }
}
