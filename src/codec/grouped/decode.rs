//! Decoding planes of levels. What is stored is described in the table of contents.

use std::ops::Range;

use super::layout::{HEADER_BYTES, MAX_CLASSES, MAX_RAW_BITS, classes, split};
use super::pairs::multiply;
use crate::codec::ans::frequencies::{Frequencies, id_count, take_frequencies};
use crate::codec::ans::{Body, Course, EachTables, LANES, LastRaw, PIECE, Pieces};
use crate::codec::parts::PartReader;
use crate::codec::plane::{Coded, Groups};
use crate::codec::symbol::{Raw, join};
use crate::error::{Error, Result};
use crate::plane::BitReader;
use crate::simd::Simd;

/// Classes are written for so many fields at once, whatever the length of their group.
const RUN: usize = 32;

/// A coded plane, taken apart.
struct Payload<'a> {
    pairs: bool,
    starts: &'a [u8],
    tables: &'a [u8],
    body: Body<'a>,
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
        if pairs > 1
            || raw_bits > if pairs == 1 { 0 } else { MAX_RAW_BITS }
            || !(1..=MAX_CLASSES).contains(&usize::from(classes))
            || reserved != 0
        {
            return Err(malformed());
        }
        let starts = parts.take(usize::from(classes) - 1)?;
        let tables = parts.take(long(4))?;
        let body = Body::take(&mut parts, split(raw_bits), count, long(8))?;
        parts.finish()?;
        if !starts.is_sorted_by(|a, b| a < b) {
            return Err(malformed());
        }
        Ok(Self {
            pairs: pairs == 1,
            starts,
            tables,
            body,
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
    last: LastRaw,
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
        let mut last = std::mem::take(&mut self.last);
        let mut pieces = PlanePieces {
            decoder: self,
            body: &coded.body,
            classes: classes(coded.starts),
            groups,
            simd,
            fields,
        };
        let decoded = coded.body.decode(&mut last, &mut pieces);
        self.last = last;
        decoded
    }
}

/// A plane that is being decoded.
struct PlanePieces<'d> {
    decoder: &'d mut Decoder,
    body: &'d Body<'d>,
    classes: [u8; 256],
    groups: Groups<'d>,
    simd: Simd,
    fields: &'d mut [u8],
}

impl PlanePieces<'_> {
    /// Whether ids are the fields, and decoded where those are.
    fn is_in_place(&self, elements: &Range<usize>) -> bool {
        self.body.split().raw_bits == 0 && elements.len() == PIECE
    }
}

impl Pieces for PlanePieces<'_> {
    fn decode_ids(&mut self, elements: Range<usize>, course: &mut Course<'_>) -> Result<()> {
        let is_in_place = self.is_in_place(&elements);
        let Decoder {
            tables,
            choice,
            ids,
            ..
        } = &mut *self.decoder;
        let len = elements.len();
        choose(choice, self.groups, &self.classes, elements.start, len);
        let whole = len.next_multiple_of(LANES);
        let ids = if is_in_place {
            &mut self.fields[elements]
        } else {
            ids.resize(whole.max(ids.len()), 0);
            &mut ids[..whole]
        };
        tables.decode(self.simd, &choice[..whole], course, ids)
    }

    fn join(&mut self, elements: Range<usize>, raw: Raw<'_>) {
        if !self.is_in_place(&elements) {
            let ids = &self.decoder.ids[..elements.len()];
            join(
                self.body.split(),
                self.simd,
                ids,
                raw,
                &mut self.fields[elements],
            );
        }
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
