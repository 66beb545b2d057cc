//! The bytes of libFuzzer as decisions.

/// What is left of an input.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of an input.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next byte; 0 behind the end.
    pub fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => 0,
        }
    }

    /// Two bytes as a number.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Four bytes as a number.
    pub fn long(&mut self) -> u32 {
        u32::from(self.short()) | u32::from(self.short()) << 16
    }

    /// A number from 0 to `most`, which is below 2^16.
    pub fn up_to(&mut self, most: usize) -> usize {
        if most < 256 {
            usize::from(self.byte()) % (most + 1)
        } else {
            usize::from(self.short()) % (most + 1)
        }
    }

    /// One of some.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.up_to(all.len() - 1)]
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.up_to(times - 1) == times - 1
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// True if there is nothing left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Damages bytes as long as the input tells how, and says whether it did.
    pub fn edit(&mut self, bytes: &mut Vec<u8>) -> bool {
        let before = bytes.clone();
        while !self.is_empty() && !bytes.is_empty() {
            self.edit_once(bytes);
        }
        *bytes != before
    }

    fn edit_once(&mut self, bytes: &mut Vec<u8>) {
        let how = self.byte();
        let len = bytes.len();
        let at = match how >> 6 {
            // Headers are at the front, lists of exceptions at the end.
            0 | 1 => usize::from(self.byte()) % len,
            2 => len - 1 - usize::from(self.byte()) % len,
            _ => (usize::from(self.short()) * len) >> 16,
        };
        match how % 8 {
            0 | 1 => bytes[at] = self.byte(),
            2 => bytes[at] ^= 1 << (self.byte() % 8),
            3 => bytes[at] = bytes[at].wrapping_add(1),
            4 => bytes[at] = bytes[at].wrapping_sub(1),
            5 => {
                let value = self.long().to_le_bytes();
                let end = len.min(at + 4);
                bytes[at..end].copy_from_slice(&value[..end - at]);
            }
            6 => {
                let count = usize::from(self.byte()).min(len - at);
                bytes.drain(at..at + count);
            }
            _ => {
                let count = usize::from(self.byte());
                let value = self.byte();
                bytes.splice(at..at, std::iter::repeat_n(value, count));
            }
        }
    }
}
