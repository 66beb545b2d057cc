//! Charts.

#[cfg(feature = "comparison")]
pub(crate) mod labels;
