//! GGUF: recognised by its first bytes, so that it can be told from what is no model. Its tensors are not
//! read yet, and such a file is packed as bytes.
//!
//! A file starts with the magic and the version (4 bytes each), then the numbers of tensors and of
//! metadata; what has them read belongs here, and nothing else has to change for it: `read` calls
//! `visit` for each tensor and returns where header and tensors end, and `TELLS_TENSORS` becomes true.

use super::read_at::ReadAt;
use super::tensor::{Ends, FoundTensor};
use crate::error::Result;

const MAGIC: [u8; 4] = *b"GGUF";

/// How the names of such files end.
pub(super) const SUFFIX: &str = "gguf";

/// Whether `read` tells the tensors. While it does not, archives of such files are hardly smaller than
/// they are, and nobody makes one who was not told to.
pub(super) const TELLS_TENSORS: bool = false;

/// Whether a file starts as these do.
pub(super) fn is_start(first: [u8; 8]) -> bool {
    first.starts_with(&MAGIC)
}

/// Calls `visit` for each tensor. All ends are 0, for as long as nothing is known of what lies behind the
/// magic.
///
/// # Errors
/// As `ReadAt::read_at`; `NotThisFormat` if the header is not one of these.
pub(super) fn read<R: ReadAt + ?Sized>(
    _file: &R,
    _visit: &mut dyn FnMut(&FoundTensor<'_>),
) -> Result<Ends> {
    Ok(Ends { header: 0, data: 0 })
}
