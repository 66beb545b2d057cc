//! How what reading an archive gives compares with what the archive was made from.

/// What decoded bytes are of the bytes they were made from.
///
/// Those are two things, and whoever stores a checksum or compares says of which of them: checksums of
/// blocks and the SHA-256 of an archive are of what reading gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fidelity {
    /// The very same bytes. Nothing else exists so far, and nothing but an option that asks for it may
    /// ever make something else.
    #[default]
    Exact,
}
