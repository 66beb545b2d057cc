//! Encoding planes. What is stored is described in `layout`.

use super::code::{IDS, Lengths};
use super::layout::{LENGTH_BYTES, STREAM_LENGTHS_BYTES, STREAMS, part_len};
use super::stream;
use crate::codec::symbol::{Parts, Split, put_exceptions};

/// Encodes planes, with a buffer that is used again.
pub(in crate::codec) struct Encoder {
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
            self.stream.resize(stream::most_bytes(part_len), 0);
            let words = lengths.words();
            for (i, ids) in parts.ids.chunks(part_len).enumerate() {
                let len = stream::encode(&words, ids, &mut self.stream);
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
