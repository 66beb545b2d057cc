//! Charts.

pub(crate) mod labels;
