//! Element types: what the numbers of an extent are.

use crate::error::{Error, Result};
use crate::plane::record::RecordLayout;

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

            /// Bytes of one element: 1, 2, 4 or 8 of a number; of a record, any.
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
    // Records of llama.cpp: 64 and its number of the type.
    Q4_0 = 66, 18, "Q4_0";
    Q4_1 = 67, 20, "Q4_1";
    Q5_0 = 70, 22, "Q5_0";
    Q5_1 = 71, 24, "Q5_1";
    Q8_0 = 72, 34, "Q8_0";
    Q8_1 = 73, 36, "Q8_1";
    Q2K = 74, 84, "Q2_K";
    Q3K = 75, 110, "Q3_K";
    Q4K = 76, 144, "Q4_K";
    Q5K = 77, 176, "Q5_K";
    Q6K = 78, 210, "Q6_K";
    Iq2Xxs = 80, 66, "IQ2_XXS";
    Iq2Xs = 81, 74, "IQ2_XS";
    Iq3Xxs = 82, 98, "IQ3_XXS";
    Iq1S = 83, 50, "IQ1_S";
    Iq4Nl = 84, 18, "IQ4_NL";
    Iq3S = 85, 110, "IQ3_S";
    Iq2S = 86, 82, "IQ2_S";
    Iq4Xs = 87, 136, "IQ4_XS";
    Iq1M = 93, 56, "IQ1_M";
    Tq1_0 = 98, 54, "TQ1_0";
    Tq2_0 = 99, 66, "TQ2_0";
    Mxfp4 = 103, 17, "MXFP4";
}

impl ElementType {
    /// Whether an element is a record of several fields instead of a number: the weights of a group with
    /// their scales.
    pub const fn is_record(self) -> bool {
        self.record().is_some()
    }

    /// The layout of its records, if it is a record.
    pub const fn record(self) -> Option<RecordLayout> {
        Some(match self {
            Self::Q4_0 | Self::Iq4Nl => RecordLayout::Q4_0,
            Self::Q4_1 => RecordLayout::Q4_1,
            Self::Q5_0 => RecordLayout::Q5_0,
            Self::Q5_1 => RecordLayout::Q5_1,
            Self::Q8_0 => RecordLayout::Q8_0,
            Self::Q8_1 => RecordLayout::Q8_1,
            Self::Q2K => RecordLayout::Q2K,
            Self::Q3K => RecordLayout::Q3K,
            Self::Q4K => RecordLayout::Q4K,
            Self::Q5K => RecordLayout::Q5K,
            Self::Q6K => RecordLayout::Q6K,
            Self::Iq2Xxs => RecordLayout::Iq2Xxs,
            Self::Iq2Xs => RecordLayout::Iq2Xs,
            Self::Iq3Xxs => RecordLayout::Iq3Xxs,
            Self::Iq1S => RecordLayout::Iq1S,
            Self::Iq3S => RecordLayout::Iq3S,
            Self::Iq2S => RecordLayout::Iq2S,
            Self::Iq4Xs => RecordLayout::Iq4Xs,
            Self::Iq1M => RecordLayout::Iq1M,
            Self::Tq1_0 => RecordLayout::Tq1_0,
            Self::Tq2_0 => RecordLayout::Tq2_0,
            Self::Mxfp4 => RecordLayout::Mxfp4,
            _ => return None,
        })
    }

    /// Whether it is a float of 16 bits, which those of 32 may be rounded to.
    pub const fn is_half(self) -> bool {
        matches!(self, Self::Bf16 | Self::F16)
    }

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
            match element.record() {
                Some(record) => assert_eq!(usize::from(element.bytes()), record.bytes()),
                None => assert!(matches!(element.bytes(), 1 | 2 | 4 | 8)),
            }
        }
        let names = ElementType::ALL.iter().map(|element| element.name());
        let unique: std::collections::HashSet<_> = names.collect();
        assert_eq!(unique.len(), ElementType::ALL.len());
        assert!(ElementType::from_code(200).is_err());
    }
}
