//! What a rule is, and what it says.

use serde::Serialize;

use crate::doctor::facts::Facts;

/// How much an advice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Weight {
    /// Nothing can be mounted, or the mount does not work, until it is done.
    Blocks,
    /// Something gets better by it.
    Better,
    /// Good to know.
    Note,
}

/// An advice, and what leads to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Advice {
    pub(crate) weight: Weight,
    /// What was found, with figures.
    pub(crate) because: String,
    /// What to do; empty if there is nothing to be done.
    pub(crate) advice: String,
}

/// A rule: what it says of these facts, if anything.
pub(super) type Rule = fn(&Facts) -> Option<Advice>;

/// An advice, as a rule returns it.
pub(super) fn advice(
    weight: Weight,
    because: impl Into<String>,
    advice: impl Into<String>,
) -> Option<Advice> {
    Some(Advice {
        weight,
        because: because.into(),
        advice: advice.into(),
    })
}
