//! What is said of a plane to the codecs: before it is coded, and of the code.

use crate::format::Profiles;
use crate::simd::Simd;

/// What the writer optimizes for. A property of packing alone: every reader reads every level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Level {
    /// Decoding speed first, most of all on processors without AVX-512.
    Fast,
    /// Nearly as small as single tables allow, decoded fast.
    #[default]
    Default,
    /// Size first.
    Max,
}

impl Level {
    /// All there are, the fastest first.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Default, Self::Max];

    /// As it is given on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Default => "default",
            Self::Max => "max",
        }
    }
}

/// What is known of a plane's values before looking at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The highest bits of floating-point numbers: a sign, so many bits of exponent, and what is left
    /// of the mantissa.
    FloatTop {
        /// Bits of the exponent.
        exponent_bits: u8,
    },
    /// Lower bits of mantissas: noise, if all bits of the type are made use of.
    Mantissa,
    /// Scales of quantized weights: floats of 16 bits, often of few different values.
    Scale,
    /// Quantized weights: whole fields that follow a distribution, and nothing else.
    Levels,
    /// Integers, or a byte of each: quantized weights above all, or tables. One part of them is believed to be
    /// like another.
    Integers,
    /// Anything: text, tables, whole values that repeat.
    Any,
    /// A byte of each element, for the methods of byte planes.
    Byte {
        /// Whether it is the highest one.
        is_top: bool,
    },
}

/// The shape of a plane: `count` fields of `width` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneShape {
    /// Bits of a field.
    pub width: u8,
    /// Number of fields.
    pub count: usize,
}

/// A coded plane, and all that decoding it may take.
#[derive(Debug, Clone, Copy)]
pub struct Coded<'a> {
    /// The coded bytes.
    pub bytes: &'a [u8],
    /// What they decode to.
    pub shape: PlaneShape,
    /// What lies beside the block.
    pub context: Context<'a>,
    /// The vector instructions that may be used.
    pub simd: Simd,
}

/// What an archive keeps beside its blocks for codecs: each takes what it knows of.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Tables and columns that planes share.
    pub profiles: Profiles<'a>,
    /// The groups that the fields of the plane are in, if they are known from the planes before it.
    pub groups: Option<Groups<'a>>,
    /// What the fields are told by their distance from, if that is known.
    pub base: Option<Base<'a>>,
}

/// The numbers of a base at the places of those of a plane.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// As many as there are in the plane.
    pub numbers: &'a [u8],
    /// What both are.
    pub form: Form,
}

/// How a number is made up: a sign, bits of exponent, and those of the mantissa.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Bytes of a number: 1, 2 or 4.
    pub bytes: u8,
    /// Bits of the exponent, at most 8.
    pub exponent_bits: u8,
}

/// Groups of neighbouring fields, all of the same length.
#[derive(Debug, Clone, Copy)]
pub struct Groups<'a> {
    /// For each group what is known of it: fields in groups of the same key, or of near ones, are spread alike.
    pub keys: &'a [u8],
    /// Fields in a group.
    pub fields: usize,
    /// Bits of a level, if a field is two of them.
    pub pairs: Option<u8>,
}

impl Context<'_> {
    /// Of a block that stands for itself.
    pub const NONE: Context<'static> = Context {
        profiles: Profiles::NONE,
        groups: None,
        base: None,
    };
}

/// Of the bytes of a plane, the share that coding it must save, one in so many: less is not worth the
/// time to decode it.
const ENOUGH_SAVED_ONE_IN: usize = 200;

/// The length below which a coded plane saves enough of so many bytes; others are stored raw.
pub(super) const fn enough_saved(plane_bytes: usize) -> usize {
    plane_bytes - plane_bytes / ENOUGH_SAVED_ONE_IN
}

/// A coded plane of whole fields without anything beside it.
#[cfg(test)]
pub(super) fn coded_of(bytes: &[u8], width: u8, plane_bytes: usize, simd: Simd) -> Coded<'_> {
    let count = (plane_bytes * 8).checked_div(width.into()).unwrap_or(0);
    Coded {
        bytes,
        shape: PlaneShape { width, count },
        context: Context::NONE,
        simd,
    }
}
