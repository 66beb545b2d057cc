//! Numbers in order.

use crate::codec::plane::Form;
use crate::simd::Simd;

impl Form {
    /// Whether there is a codec for it.
    pub(super) const fn is_known(self) -> bool {
        matches!(self.bytes, 1 | 2 | 4)
            && matches!(self.exponent_bits, 1..=8)
            && self.exponent_bits < self.bytes * 8
    }

    pub(super) const fn mantissa_bits(self) -> u8 {
        self.bytes * 8 - 1 - self.exponent_bits
    }
}

/// The bits of a number, as one register.
pub(super) trait Number: Copy {
    /// As they are stored.
    type Bytes: Copy;
    const ZERO: Self::Bytes;

    /// All whole numbers of some bytes.
    fn all(bytes: &[u8]) -> &[Self::Bytes];
    fn all_mut(bytes: &mut [u8]) -> &mut [Self::Bytes];
    fn bytes(numbers: &[Self::Bytes]) -> &[u8];
    fn load(bytes: Self::Bytes) -> Self;
    fn store(self) -> Self::Bytes;

    /// The exponent, of a number with so many bits of mantissa.
    fn exponent(self, mantissa_bits: u8) -> u16;
    /// Places from one number to another, zigzag.
    fn difference_to(self, own: Self) -> Self;
    /// What zigzag stands for.
    fn places(self) -> Self;
    /// The number so many places on.
    fn moved_by(self, places: Self) -> Self;
    fn of(difference: u64) -> Option<Self>;
    /// One more than an id.
    fn after(id: u8) -> Self;
    /// Numbers in the places that are flagged, and zeros in the others.
    fn spread(simd: Simd, numbers: &[Self::Bytes; 64], flags: u64, all: &mut [Self::Bytes; 64]);
    fn widen(self) -> u32;
    /// As a byte, or the greatest one.
    fn or_most(self, most: u8) -> u8;
}

macro_rules! number {
    ($($unsigned:ty, $signed:ty);+) => {$(
        impl Number for $unsigned {
            type Bytes = [u8; size_of::<$unsigned>()];
            const ZERO: Self::Bytes = [0; size_of::<$unsigned>()];

            #[inline(always)]
            fn all(bytes: &[u8]) -> &[Self::Bytes] {
                bytes.as_chunks().0
            }
            #[inline(always)]
            fn all_mut(bytes: &mut [u8]) -> &mut [Self::Bytes] {
                bytes.as_chunks_mut().0
            }
            #[inline(always)]
            fn bytes(numbers: &[Self::Bytes]) -> &[u8] {
                numbers.as_flattened()
            }
            #[inline(always)]
            fn load(bytes: Self::Bytes) -> Self {
                Self::from_le_bytes(bytes)
            }
            #[inline(always)]
            fn store(self) -> Self::Bytes {
                self.to_le_bytes()
            }
            #[inline(always)]
            #[allow(clippy::cast_possible_truncation, clippy::cast_lossless, reason = "at most 8 bits")]
            fn exponent(self, mantissa_bits: u8) -> u16 {
                ((self & (Self::MAX >> 1)) >> mantissa_bits) as u16
            }
            #[inline(always)]
            fn difference_to(self, own: Self) -> Self {
                let difference = in_order(own.cast_signed()).wrapping_sub(in_order(self.cast_signed()));
                return (difference << 1 ^ difference >> (Self::BITS - 1)).cast_unsigned();

                /// The bits as a number with two's complement: it is its own inverse.
                #[inline(always)]
                fn in_order(bits: $signed) -> $signed {
                    bits ^ (bits >> (<$signed>::BITS - 1)) & <$signed>::MAX
                }
            }
            #[inline(always)]
            fn places(self) -> Self {
                (self >> 1) ^ (self & 1).wrapping_neg()
            }
            #[inline(always)]
            fn moved_by(self, places: Self) -> Self {
                let bits = self.cast_signed();
                let ordered = bits ^ (bits >> (Self::BITS - 1)) & <$signed>::MAX;
                let moved = ordered.wrapping_add(places.cast_signed());
                (moved ^ (moved >> (Self::BITS - 1)) & <$signed>::MAX).cast_unsigned()
            }
            fn of(difference: u64) -> Option<Self> {
                Self::try_from(difference).ok()
            }
            #[inline(always)]
            fn after(id: u8) -> Self {
                Self::from(id).wrapping_add(1)
            }
            #[inline(always)]
            fn spread(
                simd: Simd,
                numbers: &[Self::Bytes; 64],
                flags: u64,
                all: &mut [Self::Bytes; 64],
            ) {
                simd.spread(numbers, flags, all);
            }
            #[inline(always)]
            fn widen(self) -> u32 {
                u32::from(self)
            }
            #[inline(always)]
            fn or_most(self, most: u8) -> u8 {
                self.min(Self::from(most)).to_le_bytes()[0]
            }
        }
    )+};
}

number!(u8, i8; u16, i16; u32, i32);

/// Does what is written once for all numbers, with the one of a form.
macro_rules! by_form {
    ($form:expr, $number:ident => $work:expr) => {
        match $form.bytes {
            1 => {
                type $number = u8;
                $work
            }
            2 => {
                type $number = u16;
                $work
            }
            _ => {
                type $number = u32;
                $work
            }
        }
    };
}
pub(super) use by_form;
