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
    bytes: std::slice::Iter<'a, u8>,
    taken_bytes: usize,
    pending: u128,
    pending_bits: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: bytes.iter(),
            taken_bytes: 0,
            pending: 0,
            pending_bits: 0,
        }
    }

    pub(crate) fn take(&mut self, width: u8) -> u64 {
        while self.pending_bits < u32::from(width) {
            let byte = self.bytes.next().copied().unwrap_or(0);
            self.pending |= u128::from(byte) << self.pending_bits;
            self.pending_bits += 8;
            self.taken_bytes += 1;
        }
        let mut low = [0; 8];
        low.copy_from_slice(&self.pending.to_le_bytes()[..8]);
        self.pending >>= width;
        self.pending_bits -= u32::from(width);
        u64::from_le_bytes(low) & (u64::MAX >> (64 - width))
    }

    /// Bytes that were begun, more than the buffer has if values were taken behind its end.
    pub(crate) fn taken_bytes(&self) -> usize {
        self.taken_bytes
    }
}
