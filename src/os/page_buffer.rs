//! Buffers to read into, also past the page cache.

/// At least the size of a page.
const ALIGNMENT: usize = 4096;

/// Memory that begins at a page and was written to, so that no read pays for its first use.
#[derive(Debug)]
pub struct PageBuffer {
    memory: Vec<u8>,
    skip: usize,
    len: usize,
}

impl PageBuffer {
    /// One of this length.
    pub fn new(len: usize) -> Self {
        let memory = vec![1; len + ALIGNMENT];
        let skip = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { memory, skip, len }
    }

    /// All of it.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.skip..self.skip + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_at_a_page() {
        let mut buffer = PageBuffer::new(10_000);
        assert_eq!(buffer.bytes().len(), 10_000);
        assert_eq!(buffer.bytes().as_ptr().align_offset(ALIGNMENT), 0);
    }
}
