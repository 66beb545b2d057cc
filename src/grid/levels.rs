//! Levels as planes have them: fields of 8 bits, of 16, or of 24 in two planes.

/// The planes of the levels of a block, as many fields as elements.
#[derive(Debug, Clone, Copy)]
pub enum LevelPlanes<'a> {
    /// Of 8 bits.
    Bytes(&'a [u8]),
    /// Of 16 bits.
    Words(&'a [[u8; 2]]),
    /// Of 24 bits: the low bytes, and what is above them.
    Wide(&'a [u8], &'a [[u8; 2]]),
}

impl<'a> LevelPlanes<'a> {
    /// Those of one plane with fields of 8 or 16 bits.
    pub fn of_one(plane: &'a [u8], width: u8) -> Self {
        if width == 8 {
            Self::Bytes(plane)
        } else {
            Self::Words(plane.as_chunks().0)
        }
    }

    /// Some of the elements.
    #[inline(always)]
    pub(super) fn part(self, from: usize, len: usize) -> Self {
        let end = from + len;
        match self {
            Self::Bytes(fields) => Self::Bytes(&fields[from..end]),
            Self::Words(fields) => Self::Words(&fields[from..end]),
            Self::Wide(low, high) => Self::Wide(&low[from..end], &high[from..end]),
        }
    }

    /// Makes elements of fields, one by one.
    #[inline(always)]
    pub(super) fn make<T>(self, elements: &mut [T], make: impl Fn(u32) -> T) {
        match self {
            Self::Bytes(fields) => {
                for (element, &field) in elements.iter_mut().zip(fields) {
                    *element = make(field.into());
                }
            }
            Self::Words(fields) => {
                for (element, &field) in elements.iter_mut().zip(fields) {
                    *element = make(u16::from_le_bytes(field).into());
                }
            }
            Self::Wide(low, high) => {
                let fields = low.iter().zip(high);
                for (element, (&low, &[middle, high])) in elements.iter_mut().zip(fields) {
                    *element = make(u32::from_le_bytes([low, middle, high, 0]));
                }
            }
        }
    }
}
