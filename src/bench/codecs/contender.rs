//! The contenders, their names, and lists of names.

use std::fmt;

use crate::codec::{self, Level, Method};
use crate::error::{Error, Result};

/// One way to compress a file. Displays as its name: `weights:max`, `split-huffman`, `xz-9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Contender {
    /// An archive, as packing makes it.
    Archive(Method, Level),
    /// An archive that rests on that of the base, as packing makes it.
    Beside(Level),
    /// The file through a general compressor, at this level, without an archive.
    Stream(Tool, u32),
}

/// A general compressor of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tool {
    /// DEFLATE in a gzip stream.
    Gzip,
    /// Block sorting.
    Bzip2,
    /// LZMA2 in an xz stream.
    Xz,
    /// Zstandard.
    Zstd,
    /// Zstandard on each stream of the records that are in the file.
    StreamsZstd,
    /// Zstandard on each byte of the file's numbers XORed with those of the base.
    XorZstd,
}

/// What kind of method a contender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Archives with the codecs made for weights.
    Weights,
    /// Archives with byte planes, each by a general compressor.
    Reordered,
    /// Archives with an entropy code for the highest bytes and next to nothing for the others.
    Split,
    /// General compressors without an archive: of the file, or of each stream of its records.
    Streams,
}

/// The least, the usual and the highest level of each; of zstd one more in between, since its levels
/// reach the farthest. LZ4 is missing: unsplit weights hold nothing that it can find.
const STREAMS: [(Tool, &[u32]); 6] = [
    (Tool::Gzip, &[1, 6, 9]),
    (Tool::Bzip2, &[1, 9]),
    (Tool::Xz, &[1, 6, 9]),
    (Tool::Zstd, &[1, 3, 12, 19]),
    (Tool::StreamsZstd, &[19]),
    (Tool::XorZstd, &[3, 19]),
];

/// Stands for everything in a list of names.
const ALL: &str = "all";

/// Up to here everything is compared unless something else is asked for; beyond, the slowest take
/// minutes each.
const DEFAULT_FOR_ALL_BYTES: u64 = 200_000_000;

impl Contender {
    /// Everyone, ours first.
    pub fn all() -> Vec<Self> {
        let archives = Method::offered().flat_map(|method| {
            let levels = method.levels().iter();
            levels.map(move |level| Self::Archive(method, *level))
        });
        let streams = STREAMS
            .iter()
            .flat_map(|(tool, levels)| levels.iter().map(move |level| Self::Stream(*tool, *level)));
        let beside = Method::Weights.levels().iter().copied().map(Self::Beside);
        archives.chain(beside).chain(streams).collect()
    }

    /// Who competes for a file of this size unless somebody says otherwise: everyone, or, for a
    /// large file, whoever is quick. What takes records apart does if there are any. Beside a base, it is what takes
    /// that, and the codecs for weights without.
    pub fn usual(original_bytes: u64, has_records: bool, has_base: bool) -> Vec<Self> {
        let mut usual = Self::all();
        usual.retain(|contender| match contender {
            _ if contender.takes_base() => has_base,
            Self::Archive(Method::Weights, _) => true,
            Self::Stream(Tool::StreamsZstd, _) => has_records && !has_base,
            _ => !has_base,
        });
        if original_bytes > DEFAULT_FOR_ALL_BYTES {
            usual.retain(|contender| contender.is_quick());
        }
        usual
    }

    /// Reads a comma-separated list of names: a contender's, one without a level for all its levels,
    /// or `all`, which stands for those that can compete. Whoever is named twice competes once; the order is that of
    /// `all()`.
    ///
    /// # Errors
    /// `InvalidInput` for a name that nobody has, in a message that lists the names that there are; and for one of what
    /// takes a base, where there is none.
    pub fn parse_list(text: &str, has_base: bool) -> Result<Vec<Self>> {
        let names: Vec<_> = text.split(',').map(str::trim).collect();
        let all = Self::all();
        let unknown = names
            .iter()
            .find(|name| !all.iter().any(|contender| contender.is_called(name)));
        if let Some(name) = unknown {
            let known: Vec<_> = all.iter().map(ToString::to_string).collect();
            return Err(Error::InvalidInput(format!(
                "'{name}' is no codec to compare. There are: {}; a name without its level (weights, \
                 xz) stands for all its levels, {ALL} for everything",
                known.join(", ")
            )));
        }
        let mut chosen = all;
        chosen.retain(|contender| names.iter().any(|name| contender.is_called(name)));
        if !has_base {
            let takes_base = |name: &&&str| {
                let mut meant = chosen.iter().filter(|contender| contender.is_called(name));
                **name != ALL && meant.any(|contender| contender.takes_base())
            };
            if let Some(name) = names.iter().find(takes_base) {
                return Err(Error::InvalidInput(format!(
                    "'{name}' compares a file beside its base: say which with --base"
                )));
            }
            chosen.retain(|contender| !contender.takes_base());
        }
        Ok(chosen)
    }

    /// Whether it makes nothing of a file without its base.
    pub const fn takes_base(self) -> bool {
        matches!(self, Self::Beside(_) | Self::Stream(Tool::XorZstd, _))
    }

    /// What kind of method it is.
    pub const fn family(self) -> Family {
        match self {
            Self::Archive(method, _) => match method.family() {
                codec::Family::Weights => Family::Weights,
                codec::Family::Reordered => Family::Reordered,
                codec::Family::Split => Family::Split,
            },
            Self::Beside(_) => Family::Weights,
            Self::Stream(..) => Family::Streams,
        }
    }

    /// Roughly how fast it encodes and decodes weights on one core, in MB/s: good for nothing but to
    /// tell how far a comparison has got.
    pub const fn expected_mb_per_s(self) -> (f64, f64) {
        match self {
            Self::Archive(method, level) => match (method, level) {
                (Method::Weights, Level::Fast | Level::Default) => (330.0, 3000.0),
                (Method::Weights, Level::Max) => (85.0, 1250.0),
                (Method::Lz4, Level::Fast) => (240.0, 2600.0),
                (Method::Lz4, Level::Default) => (27.0, 2600.0),
                (Method::Lz4, Level::Max) => (7.0, 1300.0),
                (Method::Deflate, Level::Fast) => (40.0, 640.0),
                (Method::Deflate, Level::Default) => (21.0, 800.0),
                (Method::Deflate, Level::Max) => (3.0, 500.0),
                (Method::Zstd, Level::Fast) => (85.0, 640.0),
                (Method::Zstd, Level::Default) => (23.0, 1400.0),
                (Method::Zstd, Level::Max) => (6.0, 2000.0),
                (Method::Lzma, Level::Fast) => (6.5, 170.0),
                (Method::Lzma, Level::Default | Level::Max) => (4.5, 180.0),
                (Method::SplitHuffman, _) => (270.0, 2000.0),
                (Method::SplitArithmetic, _) => (130.0, 220.0),
            },
            Self::Beside(Level::Max) => (60.0, 1500.0),
            Self::Beside(_) => (140.0, 1500.0),
            Self::Stream(tool, level) => match (tool, level) {
                (Tool::Gzip, ..=1) => (160.0, 210.0),
                (Tool::Gzip, _) => (14.0, 200.0),
                (Tool::Bzip2, ..=1) => (15.0, 30.0),
                (Tool::Bzip2, _) => (12.5, 24.0),
                (Tool::Xz, ..=1) => (4.4, 46.0),
                (Tool::Xz, _) => (1.1, 35.0),
                (Tool::Zstd, ..=3) => (450.0, 1000.0),
                (Tool::Zstd, ..=12) => (16.0, 640.0),
                (Tool::Zstd, _) => (1.2, 270.0),
                (Tool::StreamsZstd, _) => (1.5, 300.0),
                (Tool::XorZstd, ..=3) => (150.0, 500.0),
                (Tool::XorZstd, _) => (2.5, 500.0),
            },
        }
    }

    /// True for what encodes weights at about 20 MB/s or faster on one core.
    const fn is_quick(self) -> bool {
        match self {
            Self::Archive(method, level) => match method {
                Method::Weights | Method::SplitHuffman | Method::SplitArithmetic => true,
                Method::Lz4 => matches!(level, Level::Fast),
                Method::Deflate | Method::Zstd => !matches!(level, Level::Max),
                Method::Lzma => false,
            },
            Self::Beside(_) => true,
            Self::Stream(tool, level) => match tool {
                Tool::Gzip => level <= 1,
                Tool::Zstd | Tool::XorZstd => level <= 3,
                Tool::Bzip2 | Tool::Xz | Tool::StreamsZstd => false,
            },
        }
    }

    fn is_called(self, name: &str) -> bool {
        name == ALL || name == self.base_name() || name == self.to_string()
    }

    const fn base_name(self) -> &'static str {
        match self {
            Self::Archive(method, _) => method.name(),
            Self::Beside(_) => "beside",
            Self::Stream(tool, _) => match tool {
                Tool::Gzip => "gzip",
                Tool::Bzip2 => "bzip2",
                Tool::Xz => "xz",
                Tool::Zstd => "zstd",
                Tool::StreamsZstd => "streams-zstd",
                Tool::XorZstd => "xor-zstd",
            },
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.base_name();
        match self {
            Self::Archive(method, _) if method.levels().len() == 1 => f.write_str(base),
            Self::Archive(_, level) | Self::Beside(level) => {
                let level = match level {
                    Level::Fast => "fast",
                    Level::Default => "default",
                    Level::Max => "max",
                };
                write!(f, "{base}:{level}")
            }
            Self::Stream(_, level) => write!(f, "{base}-{level}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        let found = Contender::parse_list(list, true).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_name_is_one_contenders_alone_and_leads_back_to_it() {
        let all = Contender::all();
        assert_eq!(all.len(), 35);
        for contender in &all {
            let found = Contender::parse_list(&contender.to_string(), true).unwrap();
            assert_eq!(found, [*contender]);
        }
        assert_eq!(Contender::parse_list("all", true).unwrap(), all);
    }

    #[test]
    fn a_name_without_level_stands_for_all_levels() {
        assert_eq!(names("xz"), ["xz-1", "xz-6", "xz-9"]);
        assert_eq!(
            names("weights"),
            ["weights:fast", "weights:default", "weights:max"]
        );
        assert_eq!(names("split-huffman"), ["split-huffman"]);
        // Both a codec of archives and a stream.
        assert_eq!(names("zstd").len(), 7);
    }

    #[test]
    fn a_list_has_everyone_once_in_the_usual_order() {
        assert_eq!(
            names(" gzip-6, lz4:max,gzip-6,weights:fast "),
            ["weights:fast", "lz4:max", "gzip-6"]
        );
    }

    #[test]
    fn an_unknown_name_is_an_error_that_lists_the_names() {
        for list in ["", "weights,", "zip", "xz-5", "weights:best", "Weights"] {
            let error = Contender::parse_list(list, true).unwrap_err().to_string();
            for contender in Contender::all() {
                assert!(error.contains(&contender.to_string()), "{list}: {error}");
            }
        }
    }

    #[test]
    fn without_a_base_what_takes_one_is_no_part_of_all_and_an_error_by_name() {
        let mut all = Contender::all();
        all.retain(|contender| !contender.takes_base());
        assert_eq!(Contender::parse_list("all", false).unwrap(), all);
        for (list, named) in [
            ("beside,gzip-1", "'beside'"),
            ("gzip-1, beside:max", "'beside:max'"),
            ("all,xor-zstd-3", "'xor-zstd-3'"),
            ("xor-zstd", "'xor-zstd'"),
        ] {
            let error = Contender::parse_list(list, false).unwrap_err();
            assert!(matches!(error, Error::InvalidInput(_)), "{list}: {error:?}");
            let told = error.to_string();
            assert!(told.contains(named) && told.contains("--base"), "{told}");
        }
    }

    #[test]
    fn large_files_get_the_quick_ones() {
        let large = usual(200_000_001, true, false);
        assert_eq!(
            large,
            "weights:fast,weights:default,weights:max,lz4:fast,deflate:fast,deflate:default,\
             zstd:fast,zstd:default,split-huffman,split-arithmetic,gzip-1,zstd-1,zstd-3"
        );
    }

    #[test]
    fn records_are_taken_apart_where_there_are_any() {
        let with = usual(1, true, false);
        assert_eq!(with, usual(1, false, false) + ",streams-zstd-19");
        assert_eq!(with.split(',').count(), 30);
    }

    #[test]
    fn beside_a_base_those_compete_who_take_it() {
        let quick = "weights:fast,weights:default,weights:max,beside:fast,beside:default,beside:max,xor-zstd-3";
        assert_eq!(usual(1, true, true), quick.to_owned() + ",xor-zstd-19");
        assert_eq!(usual(200_000_001, false, true), quick);
    }

    fn usual(original_bytes: u64, has_records: bool, has_base: bool) -> String {
        let usual = Contender::usual(original_bytes, has_records, has_base);
        let names: Vec<_> = usual.iter().map(ToString::to_string).collect();
        names.join(",")
    }
}
