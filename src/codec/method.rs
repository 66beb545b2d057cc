//! The methods: the one list of ways to pack, with what people are told of each.

use super::catalog::is_feature_built;
use super::plane::Level;
use crate::error::{Error, Result};
use crate::format::{CodecId, DEFAULT_BLOCK_BYTES};

/// How the blocks of an archive are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    /// By the codecs for weights.
    #[default]
    Weights,
    /// LZ4 on every byte plane; from the level `Default` on with its slow match finder.
    Lz4,
    /// DEFLATE on every byte plane.
    Deflate,
    /// zstd on every byte plane.
    Zstd,
    /// LZMA2 on every byte plane.
    Lzma,
    /// A static Huffman code for the highest byte of each element, the others raw.
    SplitHuffman,
    /// Static order-0 arithmetic coding of the highest byte, run lengths of the others where that
    /// makes them smaller.
    SplitArithmetic,
}

/// What kind of method one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Codecs made for weights.
    Weights,
    /// Byte planes, each by a general compressor.
    Reordered,
    /// Byte planes: an entropy code for the highest bytes and next to nothing for the others.
    Split,
}

/// What is known of a method.
struct Facts {
    name: &'static str,
    family: Family,
    /// A line for people who choose.
    help: &'static str,
    /// What the levels mean to the library that does the work, the fastest first; none where levels
    /// make no difference. To the codecs for weights it is the level of zstd for what is no weights.
    levels: Option<[i32; 3]>,
    /// The codec of the planes that tells what a build must have.
    codec: CodecId,
}

/// General compressors find the more, the longer their planes are; published figures of split
/// streams are of blocks of this size as well.
const GENERAL_BLOCK_BYTES: u32 = 4 * DEFAULT_BLOCK_BYTES;

/// At the level `fast`, blocks decode in half the time, so that twice as long ones are as fast to
/// read from anywhere; at the level `max`, size goes first. What each block costs beside its
/// contents counts half.
const LONG_BLOCK_BYTES: u32 = 2 * DEFAULT_BLOCK_BYTES;

impl Method {
    /// All that there are, ours first.
    pub const ALL: [Self; 7] = [
        Self::Weights,
        Self::Lz4,
        Self::Deflate,
        Self::Zstd,
        Self::Lzma,
        Self::SplitHuffman,
        Self::SplitArithmetic,
    ];

    /// Those that this build can pack by.
    pub fn offered() -> impl Iterator<Item = Self> + Clone {
        Self::ALL.into_iter().filter(|method| method.is_built())
    }

    const fn facts(self) -> Facts {
        match self {
            Self::Weights => Facts {
                name: "weights",
                family: Family::Weights,
                help: "The codecs made for weights",
                levels: Some([1, 3, 19]),
                codec: CodecId::Ans,
            },
            Self::Lz4 => Facts {
                name: "lz4",
                family: Family::Reordered,
                help: "Byte planes with LZ4: fast, or its slow match finder at 6 and 12",
                levels: Some([1, 6, 12]),
                codec: CodecId::Lz4,
            },
            Self::Deflate => Facts {
                name: "deflate",
                family: Family::Reordered,
                help: "Byte planes with DEFLATE 3, 6, 9",
                levels: Some([3, 6, 9]),
                codec: CodecId::Deflate,
            },
            Self::Zstd => Facts {
                name: "zstd",
                family: Family::Reordered,
                help: "Byte planes with zstd 3, 12, 19",
                levels: Some([3, 12, 19]),
                codec: CodecId::Zstd,
            },
            Self::Lzma => Facts {
                name: "lzma",
                family: Family::Reordered,
                help: "Byte planes with LZMA 3, 6, 9",
                levels: Some([3, 6, 9]),
                codec: CodecId::Lzma,
            },
            Self::SplitHuffman => Facts {
                name: "split-huffman",
                family: Family::Split,
                help: "Highest bytes with a Huffman code, the others raw; has no levels",
                levels: None,
                codec: CodecId::Huffman,
            },
            Self::SplitArithmetic => Facts {
                name: "split-arithmetic",
                family: Family::Split,
                help: "Highest bytes with an arithmetic code, run lengths of the others; has no levels",
                levels: None,
                codec: CodecId::Arithmetic,
            },
        }
    }

    /// The name that it is chosen by.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// What kind it is.
    pub const fn family(self) -> Family {
        self.facts().family
    }

    /// What it does, in a line for people who choose.
    pub const fn help(self) -> &'static str {
        self.facts().help
    }

    /// Levels that differ.
    pub const fn levels(self) -> &'static [Level] {
        match self.facts().levels {
            Some(_) => &Level::ALL,
            None => &[Level::Default],
        }
    }

    /// What a level means to the library that does the work.
    pub(super) const fn library_level(self, level: Level) -> i32 {
        match self.facts().levels {
            Some(levels) => levels[level as usize],
            None => 0,
        }
    }

    /// Bytes of the original in a block, unless somebody says otherwise.
    pub const fn default_block_bytes(self, level: Level) -> u32 {
        match (self.family(), level) {
            (Family::Reordered | Family::Split, _) => GENERAL_BLOCK_BYTES,
            (Family::Weights, Level::Default) => DEFAULT_BLOCK_BYTES,
            (Family::Weights, Level::Fast | Level::Max) => LONG_BLOCK_BYTES,
        }
    }

    /// Whether this build can pack by it.
    pub fn is_built(self) -> bool {
        is_feature_built(self.facts().codec.cargo_feature())
    }

    /// # Errors
    /// `Unsupported` for a method that is left out of this build.
    pub(super) fn check(self) -> Result<()> {
        if self.is_built() {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "this weightfs was built without {}; build it with the cargo feature {} to pack by it",
            self.name(),
            self.facts().codec.cargo_feature().unwrap_or("default"),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_weights_are_the_default() {
        let names = Method::ALL.map(Method::name);
        let unique: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        assert_eq!(Method::default(), Method::ALL[0]);
        assert_eq!(Method::offered().next(), Some(Method::Weights));
    }

    #[test]
    fn what_is_left_out_says_so() {
        for method in Method::ALL {
            match method.check() {
                Ok(()) => assert!(Method::offered().any(|other| other == method)),
                Err(error) => {
                    assert!(matches!(error, Error::Unsupported(_)), "{error}");
                    let message = error.to_string();
                    assert!(message.contains(method.name()), "{message}");
                    assert!(message.contains("comparison"), "{message}");
                }
            }
        }
    }
}
