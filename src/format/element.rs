//! Element types: what the numbers of an extent are.

use crate::error::{Error, Result};

macro_rules! element_types {
    ($($variant:ident = $code:literal, $bytes:literal, $dtype:literal;)+) => {
        /// What the numbers of an extent are. The code is the one on disk.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ElementType {
            $(
                #[doc = concat!("`", $dtype, "`, ", stringify!($bytes), " bytes an element.")]
                $variant = $code,
            )+
        }

        impl ElementType {
            /// Every type, for tests and tables.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The code on disk.
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The type of a code.
            ///
            /// # Errors
            /// `Unsupported` for a code this version does not know.
            pub fn from_code(code: u8) -> Result<Self> {
                match code {
                    $($code => Ok(Self::$variant),)+
                    _ => Err(Error::unsupported(format!(
                        "unknown element type {code}; a newer weightfs is needed to read this archive"
                    ))),
                }
            }

            /// Bytes of one element: a power of two, at most 8.
            pub const fn bytes(self) -> u8 {
                match self {
                    $(Self::$variant => $bytes,)+
                }
            }

            /// The name, for people.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $dtype,)+
                }
            }
        }
    };
}

element_types! {
    Bytes = 0, 1, "BYTES";
    Bool = 1, 1, "BOOL";
    U8 = 2, 1, "U8";
    I8 = 3, 1, "I8";
    U16 = 4, 2, "U16";
    I16 = 5, 2, "I16";
    U32 = 6, 4, "U32";
    I32 = 7, 4, "I32";
    U64 = 8, 8, "U64";
    I64 = 9, 8, "I64";
    F8E4M3 = 10, 1, "F8_E4M3";
    F8E5M2 = 11, 1, "F8_E5M2";
    F8E8M0 = 12, 1, "F8_E8M0";
    F16 = 13, 2, "F16";
    Bf16 = 14, 2, "BF16";
    F32 = 15, 4, "F32";
    F64 = 16, 8, "F64";
}

impl ElementType {
    /// Bits of the exponent, for IEEE-like floats with a sign bit on top and the exponent below it.
    pub const fn exponent_bits(self) -> Option<u8> {
        match self {
            Self::F8E4M3 => Some(4),
            Self::F8E5M2 | Self::F16 => Some(5),
            Self::Bf16 | Self::F32 => Some(8),
            Self::F64 => Some(11),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_round_trip() {
        for &element in ElementType::ALL {
            assert_eq!(ElementType::from_code(element.code()).unwrap(), element);
            assert!(element.bytes().is_power_of_two() && element.bytes() <= 8);
        }
        let names = ElementType::ALL.iter().map(|element| element.name());
        let unique: std::collections::HashSet<_> = names.collect();
        assert_eq!(unique.len(), ElementType::ALL.len());
        assert!(ElementType::from_code(200).is_err());
    }
}
