//! Which containers there are.

use super::{gguf, safetensors};

/// A container of weights, told by how a file starts: a name may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelFormat {
    /// The one of Hugging Face: a header in JSON, then the tensors.
    Safetensors,
    /// The one of llama.cpp: binary metadata, then the tensors.
    Gguf,
}

impl ModelFormat {
    /// Every format, for tests and tables.
    pub const ALL: &[Self] = &[Self::Safetensors, Self::Gguf];

    /// The format that a file of `file_bytes` may have by its first 8 bytes. Only its whole header
    /// can tell that it has.
    pub fn of_start(first: [u8; 8], file_bytes: u64) -> Option<Self> {
        if gguf::is_start(first) {
            Some(Self::Gguf)
        } else {
            safetensors::header_end(first, file_bytes).map(|_| Self::Safetensors)
        }
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Gguf => "GGUF",
        }
    }

    /// How the names of such files end, behind the dot.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Safetensors => safetensors::SUFFIX,
            Self::Gguf => gguf::SUFFIX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_how_a_file_starts() {
        let of = |first: &[u8; 8], file_bytes| ModelFormat::of_start(*first, file_bytes);
        assert_eq!(of(b"GGUF\x03\0\0\0", 8), Some(ModelFormat::Gguf));
        // Whatever the version and byte order: none is the length of a safetensors header.
        assert_eq!(of(b"GGUF\0\0\0\x03", u64::MAX), Some(ModelFormat::Gguf));
        let of_len = |len: u64, file_bytes| of(&len.to_le_bytes(), file_bytes);
        assert_eq!(of_len(2, 10), Some(ModelFormat::Safetensors));
        assert_eq!(of_len(2, 9), None);
        assert_eq!(of_len(1, 100), None);
        assert_eq!(of_len(u64::MAX, u64::MAX), None);
    }

    #[test]
    fn suffixes_are_unique() {
        let mut suffixes: Vec<_> = ModelFormat::ALL.iter().map(|f| f.suffix()).collect();
        suffixes.sort_unstable();
        suffixes.dedup();
        assert_eq!(suffixes.len(), ModelFormat::ALL.len());
    }
}
