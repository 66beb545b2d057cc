//! What decoding a block takes beside its stored bytes.

use crate::format::Profiles;

/// What lies beside a block.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Those of the archive.
    pub profiles: Profiles<'a>,
    /// The bytes of the base that the block rests on; none for one that stands for itself.
    pub base: &'a [u8],
}

impl<'a> From<Profiles<'a>> for Beside<'a> {
    fn from(profiles: Profiles<'a>) -> Self {
        Self {
            profiles,
            base: &[],
        }
    }
}
