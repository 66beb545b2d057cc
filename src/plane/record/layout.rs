//! What records are described by.

/// Fields of a record that mean the same and are coded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// The name, for people.
    pub name: &'static str,
    /// Bytes of a field: 1 or 2.
    pub field_bytes: u8,
    /// Fields in a record.
    pub fields: u16,
    /// What they are.
    pub meaning: Meaning,
}

/// What the fields of a stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Quantized weights, one or several in a byte.
    Levels,
    /// A float of 16 bits that levels or scales are multiplied by, or that is added.
    Half,
    /// Scales and minima of parts of the record, one in a byte.
    Scales,
    /// Something else.
    Bytes,
}

impl Stream {
    /// Bytes of the fields of a record.
    pub const fn bytes(&self) -> usize {
        self.field_bytes as usize * self.fields as usize
    }
}

/// A stream of floats of 16 bits.
pub(super) const fn half(name: &'static str, fields: u16) -> Stream {
    Stream {
        name,
        field_bytes: 2,
        fields,
        meaning: Meaning::Half,
    }
}

/// A stream of bytes.
pub(super) const fn bytes(name: &'static str, fields: u16, meaning: Meaning) -> Stream {
    Stream {
        name,
        field_bytes: 1,
        fields,
        meaning,
    }
}

/// How records of one type are taken apart and put together. Plane `s` has `STREAMS[s].bytes()` bytes of each
/// record, one record behind the other.
pub(super) trait Record {
    /// Bytes of a record.
    const BYTES: usize;
    /// Its streams.
    const STREAMS: &'static [Stream];
    /// Takes record number `i` apart.
    fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]);
    /// Puts record number `i` together.
    fn put(planes: &[&[u8]], i: usize, record: &mut [u8]);
}

/// The `i`th run of `N` bytes of a plane.
pub(super) fn run<const N: usize>(plane: &[u8], i: usize) -> &[u8; N] {
    &plane.as_chunks().0[i]
}

/// The `i`th run of `N` bytes of a plane, to be written.
pub(super) fn run_mut<const N: usize>(plane: &mut [u8], i: usize) -> &mut [u8; N] {
    &mut plane.as_chunks_mut().0[i]
}
