//! Writes the code words of a run of ids as a stream.
//!
//! A stream holds the words of the last id first, each with its highest bit first, from the highest
//! bit of a byte down. Invariant: unused bits of its last byte are zero. Knows nothing of how a
//! plane is divided into streams.

use super::code::{IDS, MAX_LENGTH, Word};

/// Words that are put together before they are written: their bits and a started byte fit 64 bits.
const STEP: usize = 4;

/// Most bytes that `encode` touches for so many ids.
pub(super) const fn most_bytes(ids: usize) -> usize {
    ids * MAX_LENGTH as usize / 8 + 2 * size_of::<u64>()
}

/// Writes the stream of some ids to the front of `out`, which has `most_bytes` of room, and returns
/// its length. What is behind it is overwritten, too.
pub(super) fn encode(words: &[Word; IDS], ids: &[u8], out: &mut [u8]) -> usize {
    let mut stream = Stream {
        out,
        at: 0,
        bits: 0,
        used: 0,
    };
    let word = |id: u8| words[usize::from(id)];
    let mut steps = ids.rchunks_exact(STEP);
    for step in &mut steps {
        let latter = pair(word(step[3]), word(step[2]));
        let former = pair(word(step[1]), word(step[0]));
        stream.put(
            u64::from(latter.0) << former.1 | u64::from(former.0),
            latter.1 + former.1,
        );
    }
    for &id in steps.remainder().iter().rev() {
        let Word { bits, length } = word(id);
        stream.put(bits.into(), length.into());
    }
    stream.at + usize::from(stream.used > 0)
}

/// Two words, one behind the other.
fn pair(first: Word, second: Word) -> (u32, u32) {
    (
        u32::from(first.bits) << second.length | u32::from(second.bits),
        u32::from(first.length) + u32::from(second.length),
    )
}

struct Stream<'a> {
    out: &'a mut [u8],
    /// Whole bytes that were written.
    at: usize,
    /// The byte that was started, highest.
    bits: u64,
    /// Bits of it that are taken: less than 8.
    used: u32,
}

impl Stream<'_> {
    fn put(&mut self, bits: u64, length: u32) {
        self.bits |= bits << (64 - self.used - length);
        self.used += length;
        self.out[self.at..][..size_of::<u64>()].copy_from_slice(&self.bits.to_be_bytes());
        self.at += self.used as usize / 8;
        self.bits <<= self.used & !7;
        self.used %= 8;
    }
}
