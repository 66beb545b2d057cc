//! Bytes that are in memory already.

use std::io;
use std::ops::Range;

use super::access::{Hints, Storage, within};

/// An archive in memory.
#[derive(Debug)]
pub struct Memory(pub Vec<u8>);

impl Storage for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, range: Range<u64>, read: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        read(&self.0[within(&range, self.len())?]);
        Ok(())
    }

    fn hints(&self) -> Hints {
        Hints {
            in_place: true,
            ask_ahead_bytes: 0,
        }
    }
}
