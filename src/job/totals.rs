//! Sums over the files of a job.

/// Sums over the files that a job turned into others. A file of several names counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of the original files.
    pub original_bytes: u64,
    /// Bytes of the archives, and of files that are kept as they are.
    pub stored_bytes: u64,
    /// Files that are archives on one side.
    pub archives: u64,
    /// Files that are the same on both sides.
    pub copied: u64,
    /// Of those, what would not have become smaller, or not by enough.
    pub unshrunk: u64,
    /// Further names of files that are counted.
    pub linked: u64,
}

impl Totals {
    pub(super) const fn has_shrunk(&self) -> bool {
        self.stored_bytes < self.original_bytes
    }

    pub(super) fn add(&mut self, other: Self) {
        self.original_bytes += other.original_bytes;
        self.stored_bytes += other.stored_bytes;
        self.archives += other.archives;
        self.copied += other.copied;
        self.unshrunk += other.unshrunk;
        self.linked += other.linked;
    }
}
