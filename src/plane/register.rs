//! Elements as numbers in registers: what is written once for all their widths.

/// A number of the width of an element, as one register.
pub(super) trait Element: Copy {
    const BYTES: usize;
    fn load(bytes: &[u8]) -> Self;
    fn store(self, bytes: &mut [u8]);
    fn rotate_left(self, bits: u32) -> Self;
    fn rotate_right(self, bits: u32) -> Self;
    fn widen(self) -> u64;
    fn truncate(bits: u64) -> Self;
    fn low_byte_from(self, bit: u32) -> u8;
    fn merge(self, other: Self) -> Self;
}

macro_rules! element {
    ($($type:ty),+) => {$(
        impl Element for $type {
            const BYTES: usize = size_of::<$type>();
            #[inline(always)]
            fn load(bytes: &[u8]) -> Self {
                let mut word = [0; size_of::<$type>()];
                word.copy_from_slice(bytes);
                Self::from_le_bytes(word)
            }
            #[inline(always)]
            fn store(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
            #[inline(always)]
            fn rotate_left(self, bits: u32) -> Self {
                <$type>::rotate_left(self, bits)
            }
            #[inline(always)]
            fn rotate_right(self, bits: u32) -> Self {
                <$type>::rotate_right(self, bits)
            }
            #[inline(always)]
            fn widen(self) -> u64 {
                u64::from(self)
            }
            #[inline(always)]
            #[allow(
                clippy::cast_possible_truncation,
                reason = "the bits above the element are zero; for u64 nothing is cut"
            )]
            fn truncate(bits: u64) -> Self {
                bits as Self
            }
            #[inline(always)]
            fn low_byte_from(self, bit: u32) -> u8 {
                // A shift, not an index into the bytes: it vectorizes.
                (self >> bit).to_le_bytes()[0]
            }
            #[inline(always)]
            fn merge(self, other: Self) -> Self {
                self | other
            }
        }
    )+};
}

element!(u8, u16, u32, u64);

macro_rules! by_width {
    ($element_bytes:expr, $function:ident($($argument:expr),*)) => {
        match $element_bytes {
            1 => $function::<u8>($($argument),*),
            2 => $function::<u16>($($argument),*),
            4 => $function::<u32>($($argument),*),
            _ => $function::<u64>($($argument),*),
        }
    };
}
pub(super) use by_width;
