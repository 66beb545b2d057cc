//! Archives that rest on others and are damaged, or that somebody forged who means harm: every read gives the right bytes
//! or an error, and ends.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "test code"
)]

#[path = "../support/mod.rs"]
mod support;

mod damage;
mod forge;
mod forged;
mod golden;
mod lies;
