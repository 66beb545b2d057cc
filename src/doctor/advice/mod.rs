//! What is to be done, by rules that are functions of facts alone.
//!
//! A rule is a function and its name in a table. What it says names the figures that lead to it.

mod all;
mod load;
mod machine;
mod readers;
mod rule;
#[cfg(test)]
mod tests;

pub(crate) use all::advise;
pub(crate) use rule::{Advice, Weight};
