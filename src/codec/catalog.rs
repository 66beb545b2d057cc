//! The catalogue of codecs as this build has it: which planes it can decode, checked in one place.
//!
//! The list itself, with what is known of each codec, is `format::CodecId`.

use crate::error::{Error, Result};
use crate::format::CodecId;

/// Whether this build has the coder of a codec.
pub fn is_built(codec: CodecId) -> bool {
    is_feature_built(codec.cargo_feature())
}

/// Whether this build has all that needs a cargo feature, or no feature at all.
pub(super) fn is_feature_built(feature: Option<&str>) -> bool {
    match feature {
        None => true,
        Some("comparison") => cfg!(feature = "comparison"),
        Some(_) => false,
    }
}

/// Whether a plane of fields of this width can be of a codec, and be decoded.
///
/// # Errors
/// `Corrupt` for a width that the codec cannot have, `Unsupported` for a codec that this build leaves
/// out.
pub(super) fn check(codec: CodecId, width: u8) -> Result<()> {
    if !codec.widths().contain(width) {
        return Err(Error::corrupt(
            "a plane has a codec that its width cannot have",
        ));
    }
    if is_built(codec) {
        Ok(())
    } else {
        Err(not_built(codec))
    }
}

/// What is said of a codec that is left out of this build.
pub(super) fn not_built(codec: CodecId) -> Error {
    let feature = codec.cargo_feature().unwrap_or("default");
    Error::unsupported(format!(
        "a plane has the codec {}, which this weightfs was built without; build it with the cargo \
         feature {feature} to read this archive",
        codec.name()
    ))
}
