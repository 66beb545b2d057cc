//! Where a plane lies in an element, and how long it is.

/// Length in bytes of a plane of `count` fields of `width` bits.
pub fn plane_bytes(count: usize, width: u8) -> usize {
    (count * usize::from(width)).div_ceil(8)
}

/// A field of an element: `width` bits from bit `shift` upwards of the element rotated left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Lowest bit.
    pub shift: u8,
    /// Number of bits, 1 to 64.
    pub width: u8,
}

impl Field {
    pub(super) const fn mask(self) -> u64 {
        u64::MAX >> (64 - self.width)
    }

    /// True for a whole byte of the rotated element.
    pub(super) const fn is_byte(self) -> bool {
        self.width == 8 && self.shift.is_multiple_of(8)
    }
}
