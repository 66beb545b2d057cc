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
    /// Places in groups of levels.
    Places,
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

/// Which levels of a record share a step, and what that step is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grouping {
    /// Groups in a record.
    pub groups: u16,
    /// Levels in a group: 16 or 32.
    pub levels: u8,
    /// Bits of a level, where two share a byte of the stream: the first half of the group in the low bits.
    pub pairs: Option<u8>,
    /// The step is the product of these fields.
    pub step: &'static [Factor],
    /// What is subtracted from levels times step is the product of these, if there are any.
    pub minimum: &'static [Factor],
    /// Twice the level that stands for zero, in types whose groups are scaled to reach their farthest level.
    pub zero: Option<u8>,
}

/// A stream of which each record, or each group, has a field; and how large the numbers in it are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor {
    pub stream: usize,
    pub magnitude: Magnitude,
}

/// What a field says of the size of a number, whatever its sign.
#[derive(Debug, Clone, Copy)]
pub(super) enum Magnitude {
    /// A float of 16 bits.
    Half,
    /// A number.
    Unsigned,
    /// A number in two's complement.
    Signed,
    /// A number of which 32 is subtracted.
    Above32,
    /// The exponent of a power of two.
    Exponent,
}

impl Magnitude {
    /// About the logarithm, in 1/1024 octave: exact at powers of two, linear between them.
    pub(super) fn log(self, field: u16) -> i32 {
        let [low, _] = field.to_le_bytes();
        match self {
            Self::Half => (field & 0x7FFF).into(),
            Self::Unsigned => log(low),
            Self::Signed => log(low.cast_signed().unsigned_abs()),
            Self::Above32 => log(low.abs_diff(32)),
            Self::Exponent => i32::from(low) << 10,
        }
    }
}

/// As the bits of a float would have it: those of the mantissa below the exponent; 0 for 0.
fn log(number: u8) -> i32 {
    let Some(exponent) = number.checked_ilog2() else {
        return 0;
    };
    let mantissa = (u32::from(number) << 10 >> exponent) & 1023;
    ((exponent + 1) << 10 | mantissa).cast_signed()
}

/// A stream as a factor.
pub(super) const fn factor(stream: usize, magnitude: Magnitude) -> Factor {
    Factor { stream, magnitude }
}

/// How records of one type are taken apart and put together. The stream of levels is the last one. Plane `s` has `STREAMS[s].bytes()` bytes of each
/// record, one record behind the other.
pub(super) trait Record {
    /// Bytes of a record.
    const BYTES: usize;
    /// Its streams.
    const STREAMS: &'static [Stream];
    /// The groups of its levels, where their steps tell something of them.
    const GROUPING: Option<Grouping> = None;
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
