//! Decoding planes. What is stored is described in `layout`.

use super::code::Lengths;
use super::entry_table::{self, EntryTable};
use super::lanes::{self, Lane};
use super::layout::{STREAMS, part_len};
use crate::codec::parts::PartReader;
use crate::codec::plane::Coded;
use crate::codec::symbol::{LANES, Raw, Split, apply_exceptions, exceptions_bytes, join};
use crate::error::{Error, Result};
use crate::simd::prefetch;

/// Free bytes between the parts of ids while they are decoded; keeps parts where vectors begin.
const GAP_BYTES: usize = LANES;
/// Coded bytes that are asked for before decoding begins. They are read in a dozen places at once,
/// which the processor's own prefetching does not follow; more would not fit the level 2 cache.
const PREFETCH_BYTES: usize = 256 << 10;
const _: () = assert!(GAP_BYTES >= lanes::ROOM_BYTES);

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

/// Decodes planes; holds what is needed for that between calls.
pub(in crate::codec) struct Decoder {
    table: EntryTable,
    ids: Vec<u8>,
}

impl Decoder {
    pub fn new() -> Self {
        Self {
            table: EntryTable::new(),
            ids: Vec::new(),
        }
    }

    /// Decodes a plane of fields of 8 or 16 bits into `fields`.
    ///
    /// # Errors
    /// `Corrupt` if the coded bytes are not such a plane.
    pub fn decode_into(&mut self, coded: &Coded<'_>, fields: &mut [u8]) -> Result<()> {
        let (width, simd, coded) = (coded.shape.width, coded.simd, coded.bytes);
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
            join(split, simd, ids, raw, fields);
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
            let count = entry_table::count(entry);
            if (1..=end - start).contains(&count) {
                let to = end - size_of_val(&entry);
                self.ids[to..end].copy_from_slice(&entry.to_le_bytes());
                bit += entry_table::length(entry) as usize;
                end -= count;
            } else {
                let id = entry_table::first(entry);
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
