//! What the process that packs a file says when it is done.

use serde::{Deserialize, Serialize};

/// One line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PackAnswer {
    /// The archive is there, whole, compared and durable.
    Packed {
        /// Bytes of the file.
        original_bytes: u64,
        /// Bytes of the archive.
        stored_bytes: u64,
    },
    /// The file does not become smaller.
    NotSmaller,
    /// It is no model.
    NoModel,
    /// Something is wrong with it, and stays so until somebody writes to it.
    Fault(String),
    /// It may go well another time.
    Failed(String),
}
