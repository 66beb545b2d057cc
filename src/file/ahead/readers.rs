//! The readers of one file: where they are, and in which order they take its tensors.

use std::sync::{Mutex, OnceLock};

use super::order::Order;
use super::streams::Streams;

/// What is known of the readers of a file.
#[derive(Debug, Default)]
pub(in crate::file) struct Readers {
    pub streams: Mutex<Streams>,
    /// In which order its tensors may be read, once that was looked for.
    pub order: OnceLock<Option<Order>>,
}
