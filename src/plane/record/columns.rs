//! Records all of whose fields are whole bytes.

use super::layout::Magnitude::{Exponent, Half};
use super::layout::Meaning::{Bytes, Levels, Scales};
use super::layout::{Grouping, Record, Stream, bytes, factor, half, run, run_mut};

/// A record by its streams: number, where it stands in the record, how many bytes it has there, what it is.
macro_rules! columns {
    ($(#[$doc:meta])* $name:ident, $bytes:literal $(, $grouping:expr)?; $($index:literal at $at:literal, $len:literal => $stream:expr;)+) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Record for $name {
            const BYTES: usize = $bytes;
            const STREAMS: &'static [Stream] = &[$($stream),+];
            $(const GROUPING: Option<Grouping> = Some($grouping);)?

            fn take(record: &[u8], i: usize, planes: &mut [Vec<u8>]) {
                $(run_mut::<$len>(&mut planes[$index], i).copy_from_slice(&record[$at..$at + $len]);)+
            }

            fn put(planes: &[&[u8]], i: usize, record: &mut [u8]) {
                $(record[$at..$at + $len].copy_from_slice(run::<$len>(planes[$index], i));)+
            }
        }
    };
}

/// 32 levels of 4 bits with a scale.
const NIBBLES: Grouping = Grouping {
    groups: 1,
    levels: 32,
    pairs: Some(4),
    step: &[factor(0, Half)],
    minimum: &[],
    zero: None,
};

columns! {
    /// 32 levels of 4 bits, two in a byte; IQ4_NL is the same with other values of the levels.
    Q4_0, 18, Grouping { zero: Some(16), ..NIBBLES };
    0 at 0, 2 => half("scale", 1);
    1 at 2, 16 => bytes("levels", 16, Levels);
}
columns! {
    /// 32 levels of 4 bits.
    Q4_1, 20, Grouping { minimum: &[factor(1, Half)], ..NIBBLES };
    0 at 0, 2 => half("scale", 1);
    1 at 2, 2 => half("minimum", 1);
    2 at 4, 16 => bytes("levels", 16, Levels);
}
columns! {
    /// 32 levels of 8 bits.
    Q8_0, 34, Grouping { pairs: None, zero: Some(0), ..NIBBLES };
    0 at 0, 2 => half("scale", 1);
    1 at 2, 32 => bytes("levels", 32, Levels);
}
columns! {
    /// 32 levels of 8 bits, and their sum.
    Q8_1, 36, Grouping { pairs: None, zero: Some(0), ..NIBBLES };
    0 at 0, 2 => half("scale", 1);
    1 at 2, 2 => half("sum", 1);
    2 at 4, 32 => bytes("levels", 32, Levels);
}
columns! {
    /// 256 weights by 32 groups of: indices into a grid, then signs and scale.
    Iq2S, 82;
    0 at 0, 2 => half("scale", 1);
    1 at 2, 32 => bytes("grid", 32, Bytes);
    2 at 34, 32 => bytes("signs", 32, Bytes);
    3 at 66, 8 => bytes("high bits", 8, Bytes);
    4 at 74, 8 => bytes("scales", 8, Scales);
}
columns! {
    /// 256 weights: indices into a grid, then signs and scales.
    Iq3Xxs, 98;
    0 at 0, 2 => half("scale", 1);
    1 at 2, 64 => bytes("grid", 64, Bytes);
    2 at 66, 32 => bytes("signs and scales", 32, Bytes);
}
columns! {
    /// 256 weights: indices into a grid, their high bits, signs, scales.
    Iq3S, 110;
    0 at 0, 2 => half("scale", 1);
    1 at 2, 64 => bytes("grid", 64, Bytes);
    2 at 66, 8 => bytes("high bits", 8, Bytes);
    3 at 74, 32 => bytes("signs", 32, Bytes);
    4 at 106, 4 => bytes("scales", 4, Scales);
}
columns! {
    /// 256 weights: indices into a grid, then their high bits with scales and shifts.
    Iq1S, 50;
    0 at 0, 2 => half("scale", 1);
    1 at 2, 32 => bytes("grid", 32, Bytes);
    2 at 34, 16 => bytes("high bits and scales", 16, Bytes);
}
columns! {
    /// 256 weights: indices into a grid, their high bits with shifts, scales.
    Iq1M, 56;
    0 at 0, 32 => bytes("grid", 32, Bytes);
    1 at 32, 16 => bytes("high bits", 16, Bytes);
    2 at 48, 8 => bytes("scales", 8, Bytes);
}
columns! {
    /// 256 levels of three values, five in a byte, and the last ones four in a byte.
    Tq1_0, 54;
    0 at 52, 2 => half("scale", 1);
    1 at 48, 4 => bytes("last levels", 4, Levels);
    2 at 0, 48 => bytes("levels", 48, Levels);
}
columns! {
    /// 256 levels of three values, four in a byte.
    Tq2_0, 66;
    0 at 64, 2 => half("scale", 1);
    1 at 0, 64 => bytes("levels", 64, Levels);
}
columns! {
    /// 32 floats of 4 bits, two in a byte, with a power of two.
    Mxfp4, 17, Grouping { step: &[factor(0, Exponent)], ..NIBBLES };
    0 at 0, 1 => bytes("exponent", 1, Scales);
    1 at 1, 16 => bytes("levels", 16, Levels);
}
