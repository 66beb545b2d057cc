//! A plane coded with ANS: what is stored, how it is made and read.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | split |
//! | 1 | log2 of the buckets: 7 or 8 |
//! | 1 | number of frequency tables, 1 to 16 |
//! | 1 | log2 of the groups in a segment |
//! | 1 | reserved, zero |
//! | 2 | number of exceptions |
//! | 2 | length of the tables |
//! | 4 | length of the words |
//! | .. | tables, then for each segment which one it uses, as one bit string |
//! | .. | the states of the lanes |
//! | .. | words |
//! | .. | run of low bytes |
//! | .. | bit string of the other raw bits |
//! | 6 each | exceptions |
//!
//! If the last of the two raw parts that is not empty has 256 bytes or more, its last 256 bytes are
//! missing: the decoder finds them in the low halves of its states when it is done.

use super::carried::{CARRIED_BYTES, Carried, STATES_BYTES, complete_raw, put_states, take_states};
use super::encode::{self, encode};
use super::kernel::{self, decode};
use super::piece::{PIECE, prefetch_piece};
use super::table::{self, Buckets, Frequencies};
use super::{LANES, States};
use crate::codec::parts::PartReader;
use crate::codec::symbol::{
    Parts, Raw, Split, apply_exceptions, exceptions_bytes, join, put_exceptions,
};
use crate::error::{Error, Result};
use crate::plane::{BitReader, BitWriter};
use crate::simd::Simd;

const HEADER_BYTES: usize = 16;
const MAX_TABLES: usize = 16;
/// Most groups a segment may have, as log2: those of the largest block.
const MAX_SEGMENT_BITS: u8 = 16;

/// Tables that a plane is coded with, and where each is used.
#[derive(Debug, Clone)]
pub(in crate::codec) struct Tables {
    pub frequencies: Vec<Frequencies>,
    /// For each segment the number of its table.
    pub choice: Vec<u8>,
    /// log2 of the groups in a segment.
    pub segment_bits: u8,
}

/// Bits to name one of so many tables.
fn choice_bits(tables: usize) -> u8 {
    let [bits, ..] = tables.next_power_of_two().trailing_zeros().to_le_bytes();
    bits
}

/// Bytes of a plane beside its tables, words, raw bits and exceptions: what the states carry is not
/// stored elsewhere.
const FIXED_BYTES: usize = HEADER_BYTES + STATES_BYTES - CARRIED_BYTES;

/// Length of all that is stored beside words, raw bits and exceptions.
pub(in crate::codec) fn overhead_bytes(tables: &Tables) -> usize {
    FIXED_BYTES + tables_bytes(tables)
}

/// Length in bits of a plane with one table for ids that occur as often as `counts` says, its raw
/// bits aside.
pub(in crate::codec) fn coded_bits(counts: &[u32; 256]) -> u64 {
    let frequencies = table::normalize(counts);
    let bits = (8 * FIXED_BYTES + table::stored_bits(&frequencies)) as f64
        + table::coded_bits(counts, &frequencies);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate, positive and far below 2^53"
    )]
    let bits = bits as u64;
    bits
}

fn tables_bytes(tables: &Tables) -> usize {
    let bits: usize = tables.frequencies.iter().map(table::stored_bits).sum();
    let choice = usize::from(choice_bits(tables.frequencies.len())) * tables.choice.len();
    (bits + choice).div_ceil(8)
}

/// Encodes planes, with buffers that are used again.
pub(in crate::codec) struct Encoder {
    simd: Simd,
    tables: Vec<encode::Table>,
    ids: Vec<u8>,
    words: Vec<u8>,
}

impl Encoder {
    pub fn new(simd: Simd) -> Self {
        Self {
            simd,
            tables: Vec::new(),
            ids: Vec::new(),
            words: Vec::new(),
        }
    }

    /// Appends a plane that was cut to `parts`, with tables that have a frequency for each id that
    /// occurs in their segments.
    pub fn encode(&mut self, split: Split, parts: &Parts, tables: &Tables, out: &mut Vec<u8>) {
        let count = parts.ids.len();
        let ids = tables.frequencies.iter().map(table::id_count).max();
        let bucket_bits: u8 = if ids.unwrap_or(0) <= 128 { 7 } else { 8 };
        self.tables.resize_with(
            tables.frequencies.len().max(self.tables.len()),
            encode::Table::new,
        );
        for (table, frequencies) in self.tables.iter_mut().zip(&tables.frequencies) {
            table.prepare(frequencies, &Buckets::new(frequencies, bucket_bits.into()));
        }
        let choice = |group: usize| usize::from(tables.choice[group >> tables.segment_bits]);
        self.pad(&parts.ids, &tables.frequencies[choice((count - 1) / LANES)]);

        let carried = Carried::new(split, count);
        let (low, packed, payload) = carried.lend(parts);
        self.words.resize(2 * self.ids.len(), 0);
        let prepared = &self.tables;
        let (start, states) = encode(
            self.simd,
            &self.ids,
            |group| &prepared[choice(group)],
            &payload,
            &mut self.words,
        );
        let words = &self.words[start..];

        let short = |len: usize| u16::try_from(len).expect("invariant: bounded by the block");
        let tables_len = tables_bytes(tables);
        out.extend(split.to_bytes());
        out.extend([
            bucket_bits,
            tables.frequencies.len().to_le_bytes()[0],
            tables.segment_bits,
            0,
        ]);
        out.extend(short(parts.exceptions.len()).to_le_bytes());
        out.extend(short(tables_len).to_le_bytes());
        out.extend(
            u32::try_from(words.len())
                .expect("invariant: bounded by the block")
                .to_le_bytes(),
        );
        let at = out.len();
        out.resize(at + tables_len, 0);
        let mut writer = BitWriter::new(&mut out[at..]);
        for frequencies in &tables.frequencies {
            table::put(frequencies, &mut writer);
        }
        for &choice in &tables.choice {
            writer.put(choice.into(), choice_bits(tables.frequencies.len()));
        }
        writer.finish();
        put_states(&states, out);
        out.extend(words);
        out.extend(low);
        out.extend(packed);
        put_exceptions(&parts.exceptions, out);
    }

    /// Takes over the ids and fills the last group with the one that costs least.
    fn pad(&mut self, ids: &[u8], frequencies: &Frequencies) {
        self.ids.clear();
        self.ids.extend_from_slice(ids);
        self.ids.resize(
            ids.len().next_multiple_of(LANES),
            table::likeliest(frequencies),
        );
    }
}

/// A coded plane, taken apart.
struct Coded<'a> {
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

impl<'a> Coded<'a> {
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
pub(in crate::codec) struct Decoder {
    simd: Simd,
    tables: Vec<kernel::Table>,
    choice: Vec<u8>,
    ids: Vec<u8>,
    low: Vec<u8>,
    packed: Vec<u8>,
}

impl Decoder {
    pub fn new(simd: Simd) -> Self {
        Self {
            simd,
            tables: Vec::new(),
            choice: Vec::new(),
            ids: Vec::new(),
            low: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// Decodes a plane of fields of `width` bits (8 or 16) into `fields`.
    ///
    /// # Errors
    /// `Corrupt` if the coded bytes are not such a plane.
    pub fn decode_into(&mut self, coded: &[u8], width: u8, fields: &mut [u8]) -> Result<()> {
        let field_bytes = usize::from(width / 8);
        let count = fields.len() / field_bytes;
        let coded = Coded::parse(coded, width, count)?;
        self.prepare(&coded, count.div_ceil(LANES))?;
        let split = coded.split;
        let mut states = coded.states;
        let mut at = 0;
        let mut done = 0;
        // The last piece is long enough to hold all elements with a raw bit that the states carry.
        while count - done >= 2 * PIECE {
            let raw = coded.raw.skip(split, done);
            prefetch_piece(split, raw, coded.words, at);
            self.decode_ids(&coded, &mut states, &mut at, done, PIECE)?;
            let (ids, out) = (&self.ids[..PIECE], done * field_bytes);
            let fields = &mut fields[out..out + PIECE * field_bytes];
            join(split, self.simd, ids, raw, fields);
            done += PIECE;
        }
        let last = count - done;
        self.decode_ids(&coded, &mut states, &mut at, done, last)?;
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
        join(split, self.simd, &self.ids[..last], raw, &mut fields[out..]);
        apply_exceptions(split, coded.exceptions, fields)
    }

    fn prepare(&mut self, coded: &Coded<'_>, groups: usize) -> Result<()> {
        let mut from = BitReader::new(coded.tables);
        if self.tables.len() < coded.table_count {
            self.tables
                .resize_with(coded.table_count, kernel::Table::new);
        }
        for prepared in &mut self.tables[..coded.table_count] {
            let frequencies = table::take(&mut from)?;
            if table::id_count(&frequencies) > 1 << coded.bucket_bits {
                return Err(Error::corrupt("a frequency table has too many ids"));
            }
            prepared.prepare(&frequencies, coded.bucket_bits, self.simd);
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
        coded: &Coded<'_>,
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
                self.simd,
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
