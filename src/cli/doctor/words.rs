//! How a fact is told in a line.

use std::fmt::Display;

use crate::doctor::Found;

/// A line: what, and what was found.
pub(super) fn line(what: &str, found: impl Display) -> String {
    format!("  {what:22}{found}")
}

/// What is known in words, or that it is not and why.
pub(super) fn told<T>(found: &Found<T>, words: impl FnOnce(&T) -> String) -> String {
    match found {
        Found::Known(value) => words(value),
        Found::Unknown { unknown } => format!("unknown: {unknown}"),
    }
}

pub(super) const fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}
