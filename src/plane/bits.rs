//! Bit strings: values of a few bits one behind the other, lowest bit first.

/// Fills a buffer with values; what does not fit is dropped.
pub(crate) struct BitWriter<'a> {
    out: std::slice::IterMut<'a, u8>,
    // Up to 7 bits left over plus a value of 64 bits.
    pending: u128,
    pending_bits: u32,
}

impl<'a> BitWriter<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        Self {
            out: out.iter_mut(),
            pending: 0,
            pending_bits: 0,
        }
    }

    /// Appends the low `width` bits of a value whose other bits are zero.
    pub(crate) fn put(&mut self, value: u64, width: u8) {
        self.pending |= u128::from(value) << self.pending_bits;
        self.pending_bits += u32::from(width);
        while self.pending_bits >= 8 {
            self.flush_byte();
            self.pending_bits -= 8;
        }
    }

    pub(crate) fn finish(mut self) {
        if self.pending_bits > 0 {
            self.flush_byte();
        }
    }

    fn flush_byte(&mut self) {
        if let Some(byte) = self.out.next() {
            *byte = self.pending.to_le_bytes()[0];
        }
        self.pending >>= 8;
    }
}

/// Takes values from a buffer; behind its end there are zeros.
pub(crate) struct BitReader<'a> {
    rest: &'a [u8],
    taken_bits: usize,
    pending: u128,
    pending_bits: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            taken_bits: 0,
            pending: 0,
            pending_bits: 0,
        }
    }

    /// The next `width` bits, 1 to 64.
    pub(crate) fn take(&mut self, width: u8) -> u64 {
        let value = self.peek() & (u64::MAX >> (64 - width));
        self.skip(width.into());
        value
    }

    /// Takes ones up to the next zero and that zero, and says how many ones there were; no more
    /// than `most`, or it is `None`.
    pub(crate) fn take_unary(&mut self, most: u32) -> Option<u32> {
        let mut ones = 0;
        loop {
            let run = self.peek().trailing_ones();
            ones += run;
            if ones > most {
                return None;
            }
            if run < 64 {
                self.skip(run + 1);
                return Some(ones);
            }
            self.skip(run);
        }
    }

    /// The next 64 bits, which stay.
    fn peek(&mut self) -> u64 {
        while self.pending_bits < 64 {
            let word = match self.rest.split_first_chunk() {
                Some((word, rest)) => {
                    self.rest = rest;
                    u64::from_le_bytes(*word)
                }
                None => {
                    let mut word = [0; 8];
                    word[..self.rest.len()].copy_from_slice(self.rest);
                    self.rest = &[];
                    u64::from_le_bytes(word)
                }
            };
            self.pending |= u128::from(word) << self.pending_bits;
            self.pending_bits += 64;
        }
        let mut low = [0; 8];
        low.copy_from_slice(&self.pending.to_le_bytes()[..8]);
        u64::from_le_bytes(low)
    }

    fn skip(&mut self, bits: u32) {
        self.pending >>= bits;
        self.pending_bits -= bits;
        self.taken_bits += bits as usize;
    }

    /// Bytes that were begun, more than the buffer has if values were taken behind its end.
    pub(crate) fn taken_bytes(&self) -> usize {
        self.taken_bits.div_ceil(8)
    }
}
