//! The catalogue of codecs: the one list of ways in which the bytes of a plane may be coded, with all
//! that is known of each without its code. A row here is a row of the table in `docs/FORMAT.md`.
//!
//! Knows nothing of how planes are coded; who asks for more than facts is in `codec`.

use crate::error::{Error, Result};

/// Widths in bits that the fields of a plane may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Widths {
    /// All there are, 1 to 64.
    Any,
    /// These.
    Only(&'static [u8]),
}

impl Widths {
    /// Whether a width is among them.
    pub fn contain(self, width: u8) -> bool {
        match self {
            Self::Any => (1..=64).contains(&width),
            Self::Only(widths) => widths.contains(&width),
        }
    }
}

/// The cargo feature without which this build has no coder, if there is one.
type CargoFeature = Option<&'static str>;

/// Planes of these are read by every build.
const ALWAYS: CargoFeature = None;
/// Coders of others, which weights are compared with: libraries that the daemon can do without.
const COMPARISON: CargoFeature = Some("comparison");

const BYTES_OR_PAIRS: Widths = Widths::Only(&[8, 16]);
const BYTES: Widths = Widths::Only(&[8]);
const PAIRS: Widths = Widths::Only(&[16]);
const NUMBERS: Widths = Widths::Only(&[8, 16, 32]);

macro_rules! codecs {
    ($(
        $(#[doc = $doc:literal])+
        $codec:ident = $code:literal, $name:literal, $widths:expr, $since:literal, $feature:expr;
    )+) => {
        /// How the bytes of a plane are coded. The code is the one on disk.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum CodecId {
            $($(#[doc = $doc])+ $codec = $code,)+
        }

        impl CodecId {
            /// All that this version knows.
            pub const ALL: &[Self] = &[$(Self::$codec),+];

            /// The name shown to people.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$codec => $name,)+
                }
            }

            /// Widths that the fields of a plane of this codec may have.
            pub const fn widths(self) -> Widths {
                match self {
                    $(Self::$codec => $widths,)+
                }
            }

            /// The first release of weightfs that reads it: a codec can be added without a new version
            /// of the format, as what is not known is refused by its code.
            pub const fn since(self) -> &'static str {
                match self {
                    $(Self::$codec => $since,)+
                }
            }

            /// The cargo feature without which a build cannot decode it.
            pub const fn cargo_feature(self) -> Option<&'static str> {
                match self {
                    $(Self::$codec => $feature,)+
                }
            }
        }
    };
}

codecs! {
    /// The packed values as they are.
    Raw = 0, "raw", Widths::Any, "0.1.0", ALWAYS;
    /// One value, which all elements have.
    Constant = 1, "constant", Widths::Any, "0.1.0", ALWAYS;
    /// A zstd frame of the packed values.
    Zstd = 2, "zstd", Widths::Any, "0.1.0", ALWAYS;
    /// Symbols entropy coded with ANS, other bits raw.
    Ans = 3, "ans", BYTES_OR_PAIRS, "0.1.0", ALWAYS;
    /// Runs of values whose lowest bits are zero, without those.
    Trimmed = 4, "trimmed", BYTES_OR_PAIRS, "0.1.0", ALWAYS;
    /// As `Ans`, with tables that depend on the scales of row and column.
    Scaled = 5, "scaled", PAIRS, "0.1.0", ALWAYS;
    /// Symbols coded with Huffman codes, other bits raw.
    Huffman = 6, "huffman", BYTES_OR_PAIRS, "0.1.0", ALWAYS;
    /// An LZ4 block.
    Lz4 = 7, "lz4", Widths::Any, "0.1.0", COMPARISON;
    /// A raw DEFLATE stream.
    Deflate = 8, "deflate", Widths::Any, "0.1.0", COMPARISON;
    /// A raw LZMA2 stream.
    Lzma = 9, "lzma", Widths::Any, "0.1.0", COMPARISON;
    /// Static order-0 arithmetic coding of bytes.
    Arithmetic = 10, "arithmetic", Widths::Any, "0.1.0", ALWAYS;
    /// Run lengths of bytes.
    RunLength = 11, "run-length", Widths::Any, "0.1.0", ALWAYS;
    /// Places in a list of all values there are.
    Dictionary = 12, "dictionary", PAIRS, "0.1.0", ALWAYS;
    /// As `Ans`, with tables that depend on the step of the group.
    Grouped = 13, "grouped", BYTES, "0.1.0", ALWAYS;
    /// Levels with tables that follow from the scales of row and column and one shape.
    Spread = 14, "spread", BYTES_OR_PAIRS, "0.1.0", ALWAYS;
    /// Numbers by how many places they lie beside those of a base.
    Difference = 15, "difference", NUMBERS, "0.1.0", ALWAYS;
}

impl CodecId {
    /// The codec of a code on disk.
    ///
    /// # Errors
    /// `Unsupported` for a codec this version does not know.
    pub fn from_code(code: u8) -> Result<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|codec| codec.code() == code)
            .ok_or_else(|| {
                Error::unsupported(format!(
                    "unknown codec {code}; a newer weightfs is needed to read this archive"
                ))
            })
    }

    /// The code on disk.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_lead_back() {
        let names: HashSet<_> = CodecId::ALL.iter().map(|codec| codec.name()).collect();
        assert_eq!(names.len(), CodecId::ALL.len());
        for &codec in CodecId::ALL {
            assert_eq!(CodecId::from_code(codec.code()).unwrap(), codec);
            assert!((1..=64).any(|width| codec.widths().contain(width)));
            assert!(!codec.widths().contain(0) && !codec.widths().contain(65));
        }
        assert!(CodecId::from_code(200).is_err());
    }

    /// Each row of the specification's table is that of the catalogue.
    #[test]
    fn the_catalogue_is_what_is_specified() {
        let specification = include_str!("../../docs/FORMAT.md");
        for &codec in CodecId::ALL {
            let start = format!("| {} | {} | ", codec.code(), codec.name());
            let row = specification
                .lines()
                .find(|line| line.starts_with(&start))
                .unwrap_or_else(|| panic!("no row of {}", codec.name()));
            let widths = match codec.widths() {
                Widths::Any => "any".to_owned(),
                Widths::Only(widths) => widths
                    .iter()
                    .map(u8::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            assert!(row.ends_with(&format!("| {widths} |")), "{row}");
        }
    }
}
