//! Entropy coding of ids with Huffman codes, made to be decoded fast: words are so short that a
//! table tells several at a time, and several streams are decoded side by side.
//!
//! The ids of a plane are divided into `STREAMS` parts of equal length, a multiple of 64, of which
//! the last ones may be shorter or empty. Each part has its own stream. All streams share one code.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | split |
//! | 2 | number of exceptions |
//! | 1 | highest id that has a code word, `m` |
//! | m / 2 + 1 | lengths of the words of ids 0 to m, 4 bits each, first one lowest; 0 = no word |
//! | 15 | lengths of all streams but the last, 3 bytes each; that one takes what is left |
//! | .. | streams |
//! | .. | run of low bytes |
//! | .. | bit string of the other raw bits |
//! | 6 each | exceptions |
//!
//! Invariant: what decodes has exactly these parts, a code without gaps, and streams of which each
//! ends with the byte that its last word ends in, filled up with zeros.
//!
//! Knows nothing of what ids mean.

mod code;
mod encode;
mod lanes;
mod table;

#[cfg(test)]
mod tests;

use self::code::{IDS, Lengths};
use self::lanes::Lane;
use self::table::Table;
use super::parts::PartReader;
use super::symbol::{self, Parts, Raw, Split, apply_exceptions, exceptions_bytes, put_exceptions};
use crate::error::{Error, Result};
use crate::simd::{Simd, prefetch};

/// Streams of a plane: with 4, look-ups are still waited for (-15 %); with 8, there are too few
/// registers (-23 %).
const STREAMS: usize = 6;
/// Bytes of the length of a stream.
const LENGTH_BYTES: usize = 3;
/// Bytes of the lengths of all streams but the last.
const STREAM_LENGTHS_BYTES: usize = (STREAMS - 1) * LENGTH_BYTES;
/// Free bytes between the parts of ids while they are decoded; keeps parts where vectors begin.
const GAP_BYTES: usize = symbol::LANES;
/// Coded bytes that are asked for before decoding begins. They are read in a dozen places at once,
/// which the processor's own prefetching does not follow; more would not fit the level 2 cache.
const PREFETCH_BYTES: usize = 256 << 10;
const _: () = assert!(GAP_BYTES >= lanes::ROOM_BYTES);

/// Ids of each part but the last ones.
const fn part_len(count: usize) -> usize {
    count.div_ceil(symbol::LANES).div_ceil(STREAMS) * symbol::LANES
}

/// Size of code and streams in bits, for ids of these frequencies, up to the padding of the
/// streams.
pub(super) fn coded_bits(counts: &[u32; IDS]) -> u64 {
    let lengths = Lengths::best(counts);
    8 * (lengths.stored_bytes() + STREAM_LENGTHS_BYTES) as u64 + lengths.bits(counts)
}

/// A coded plane in its parts.
struct Payload<'a> {
    split: Split,
    code: Lengths,
    stream_lengths: [usize; STREAMS],
    // Each of these three is followed by what comes behind it, so that whole words can be read.
    streams: &'a [u8],
    low: &'a [u8],
    packed: &'a [u8],
    exceptions: &'a [u8],
}

impl<'a> Payload<'a> {
    fn parse(coded: &'a [u8], width: u8, count: usize) -> Result<Self> {
        let mut rest = PartReader::new(coded);
        let split = Split::parse(*rest.take_array()?, width)?;
        let exceptions = usize::from(u16::from_le_bytes(*rest.take_array()?));
        let (code, code_bytes) = Lengths::parse(rest.rest())?;
        rest.take(code_bytes)?;
        let mut stream_lengths = [0; STREAMS];
        let (last, others) = stream_lengths
            .split_last_mut()
            .expect("invariant: there are STREAMS");
        for length in others.iter_mut() {
            let [a, b, c] = *rest.take_array()?;
            *length = u32::from_le_bytes([a, b, c, 0]) as usize;
        }
        // Parts are followed by what comes behind them.
        let streams = rest.rest();
        for &length in others.iter() {
            rest.take(length)?;
        }
        let behind =
            split.low_bytes(count) + split.packed_bytes(count) + exceptions_bytes(exceptions);
        *last = rest
            .rest()
            .len()
            .checked_sub(behind)
            .filter(|_| count > 0)
            .ok_or_else(wrong_length)?;
        rest.take(*last)?;
        let low = rest.rest();
        rest.take(split.low_bytes(count))?;
        let packed = rest.rest();
        rest.take(split.packed_bytes(count))?;
        let exceptions = rest.rest();
        Ok(Self {
            split,
            code,
            stream_lengths,
            streams,
            low,
            packed,
            exceptions,
        })
    }
}

/// Encodes planes, with a buffer that is used again.
pub(super) struct Encoder {
    stream: Vec<u8>,
}

impl Encoder {
    pub fn new() -> Self {
        Self { stream: Vec::new() }
    }

    /// Appends a plane of at least one element that was cut to `parts`, whose ids occur as often as
    /// `counts` says.
    pub fn encode(&mut self, split: Split, parts: &Parts, counts: &[u32; IDS], out: &mut Vec<u8>) {
        let exceptions = u16::try_from(parts.exceptions.len());
        let lengths = Lengths::best(counts);
        out.extend(split.to_bytes());
        out.extend(
            exceptions
                .expect("invariant: bounded by the block")
                .to_le_bytes(),
        );
        lengths.put(out);
        let stream_lengths = out.len();
        out.resize(stream_lengths + STREAM_LENGTHS_BYTES, 0);
        if lengths.lone().is_none() {
            let part_len = part_len(parts.ids.len());
            self.stream.resize(encode::most_bytes(part_len), 0);
            let words = lengths.words();
            for (i, ids) in parts.ids.chunks(part_len).enumerate() {
                let len = encode::encode(&words, ids, &mut self.stream);
                out.extend_from_slice(&self.stream[..len]);
                if i < STREAMS - 1 {
                    out[stream_lengths + LENGTH_BYTES * i..][..LENGTH_BYTES]
                        .copy_from_slice(&len.to_le_bytes()[..LENGTH_BYTES]);
                }
            }
        }
        out.extend_from_slice(&parts.low);
        out.extend_from_slice(&parts.packed);
        put_exceptions(&parts.exceptions, out);
    }
}

/// Decodes planes; holds what is needed for that between calls.
pub(super) struct Decoder {
    table: Table,
    ids: Vec<u8>,
}

impl Decoder {
    pub fn new() -> Self {
        Self {
            table: Table::new(),
            ids: Vec::new(),
        }
    }

    /// Decodes a plane of fields of `width` bits, 8 or 16, which fill `fields` exactly.
    ///
    /// # Errors
    /// `Corrupt` if the coded bytes are not such a plane.
    pub fn decode_into(
        &mut self,
        coded: &[u8],
        width: u8,
        simd: Simd,
        fields: &mut [u8],
    ) -> Result<()> {
        prefetch(&coded[..coded.len().min(PREFETCH_BYTES)]);
        let field_bytes = usize::from(width / 8);
        let count = fields.len() / field_bytes;
        let payload = Payload::parse(coded, width, count)?;
        let places = part_places(count);
        self.decode_ids(&payload, places)?;
        let (split, part_len) = (payload.split, part_len(count));
        let parts = fields.chunks_mut(part_len * field_bytes).zip(places);
        for (i, (fields, place)) in parts.enumerate() {
            let raw = Raw {
                low: &payload.low[split.low_bytes(i * part_len)..],
                packed: &payload.packed[split.packed_bytes(i * part_len)..],
            };
            let ids = &self.ids[place.start..place.end];
            symbol::join(split, simd, ids, raw, fields);
        }
        apply_exceptions(split, payload.exceptions, fields)
    }

    /// Decodes the ids of all parts to their places.
    fn decode_ids(&mut self, payload: &Payload<'_>, mut lanes: [Lane; STREAMS]) -> Result<()> {
        let room = lanes[STREAMS - 1].end.max(self.ids.len());
        self.ids.resize(room, 0);
        let Payload { streams, code, .. } = payload;
        if let Some(id) = code.lone() {
            self.ids.fill(id);
            let empty = payload.stream_lengths == [0; STREAMS];
            return empty.then_some(()).ok_or_else(wrong_stream);
        }
        self.table.build(code);
        let mut ends = payload.stream_lengths;
        let mut at = 0;
        for (lane, end) in lanes.iter_mut().zip(&mut ends) {
            lane.bit = 8 * at;
            at += *end;
            *end = at;
        }
        lanes::run(&self.table, streams, &mut self.ids, &mut lanes);
        for (lane, end) in lanes.into_iter().zip(ends) {
            let mut lane = [lane];
            lanes::run(&self.table, streams, &mut self.ids, &mut lane);
            let [lane] = lane;
            let bit = self.finish(streams, code, lane);
            let padding = (8 * end).checked_sub(bit);
            let last = streams[..end].last().map_or(0, |&byte| u32::from(byte));
            if padding.is_none_or(|bits| bits >= 8 || last & ((1 << bits) - 1) != 0) {
                return Err(wrong_stream());
            }
        }
        Ok(())
    }

    /// Decodes what is left of a stream, and returns the place of the bit behind it.
    fn finish(&mut self, input: &[u8], code: &Lengths, lane: Lane) -> usize {
        let Lane {
            mut bit,
            start,
            mut end,
        } = lane;
        while end > start {
            let entry = self.table.entry(bits_at(input, bit));
            let count = table::count(entry);
            if (1..=end - start).contains(&count) {
                let to = end - size_of_val(&entry);
                self.ids[to..end].copy_from_slice(&entry.to_le_bytes());
                bit += table::length(entry) as usize;
                end -= count;
            } else {
                let id = table::first(entry);
                bit += usize::from(code.0[usize::from(id)]);
                end -= 1;
                self.ids[end] = id;
            }
        }
        bit
    }
}

/// Where the ids of each part are kept while they are decoded.
fn part_places(count: usize) -> [Lane; STREAMS] {
    let part_len = part_len(count);
    std::array::from_fn(|i| {
        let start = i * (part_len + GAP_BYTES) + GAP_BYTES;
        let len = count.saturating_sub(i * part_len).min(part_len);
        Lane {
            bit: 0,
            start,
            end: start + len,
        }
    })
}

/// The 64 bits, less at most 7, from a place on; behind the end there are zeros.
fn bits_at(bytes: &[u8], bit: usize) -> u64 {
    let rest = bytes.get(bit / 8..).unwrap_or_default();
    let mut word = [0; size_of::<u64>()];
    let len = rest.len().min(word.len());
    word[..len].copy_from_slice(&rest[..len]);
    u64::from_be_bytes(word) << (bit % 8)
}

fn wrong_length() -> Error {
    Error::corrupt("a huffman plane has the wrong length")
}

fn wrong_stream() -> Error {
    Error::corrupt("a stream of a huffman plane does not end where it should")
}
