//! What was found out, or why it was not.

use std::fmt::Display;

use serde::Serialize;

/// A fact. In JSON an unknown one is an object whose only field, `unknown`, is the reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Found<T> {
    Known(T),
    Unknown { unknown: String },
}

impl<T> Found<T> {
    /// Not to be had, for a reason.
    pub(crate) fn unknown(reason: impl Display) -> Self {
        Self::Unknown {
            unknown: reason.to_string(),
        }
    }

    /// What is known.
    pub(crate) const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown { .. } => None,
        }
    }

    /// As `known`, of what came of it if it is.
    pub(crate) fn map<U>(&self, f: impl FnOnce(&T) -> U) -> Found<U> {
        match self {
            Self::Known(value) => Found::Known(f(value)),
            Self::Unknown { unknown } => Found::unknown(unknown),
        }
    }
}

impl<T, E: Display> From<Result<T, E>> for Found<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::unknown(error),
        }
    }
}
