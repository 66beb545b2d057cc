//! The kernel's page cache, as far as it is pushed into.

use std::io;
use std::ops::Range;

use crate::os::page_bytes;

/// What is decoded and pushed at once.
pub(super) const PIECE_BYTES: u64 = 1 << 20;
/// The last page before each multiple of this is not pushed.
pub(super) const MARK_BYTES: u64 = 2 << 20;

/// Stores bytes of an inode at an offset.
pub type Store = Box<dyn Fn(u64, u64, &[u8]) -> io::Result<()> + Send + Sync>;

/// The kernel's page cache of a mount.
pub struct PageCache {
    /// How to get there.
    pub store: Store,
    /// True if the kernel itself reads far ahead of those who read on and on.
    pub reads_ahead: bool,
}

/// Whole pages of a range, in pieces that end at multiples of their length.
pub(super) fn pieces(range: &Range<u64>, file_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let page = page_bytes();
    let start = range.start / page * page;
    let end = range.end.next_multiple_of(page).min(file_bytes);
    let mut at = start;
    std::iter::from_fn(move || {
        let piece = at..(at / PIECE_BYTES * PIECE_BYTES + PIECE_BYTES).min(end);
        at = piece.end;
        (piece.start < piece.end).then_some(piece)
    })
}

/// What is stored of a piece: all but the page that the reader is to ask for.
pub(super) fn without_mark(piece: &Range<u64>) -> Range<u64> {
    let mark = if piece.end.is_multiple_of(MARK_BYTES) {
        page_bytes()
    } else {
        0
    };
    piece.start..piece.end.saturating_sub(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_pages_and_leave_marks_out() {
        let mib = 1 << 20;
        let file = 10 * mib + 5;
        let found: Vec<_> = pieces(&(mib / 2 + 100..2 * mib + 50), file).collect();
        assert_eq!(found, [mib / 2..mib, mib..2 * mib, 2 * mib..2 * mib + 4096]);
        assert_eq!(without_mark(&found[0]), found[0]);
        assert_eq!(without_mark(&found[1]), mib..2 * mib - 4096);
        let found: Vec<_> = pieces(&(10 * mib..file), file).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0], 10 * mib..file, "the last page as far as it goes");
        assert_eq!(without_mark(&found[0]), found[0]);
        assert!(pieces(&(5..5), 4096).count() <= 1);
    }
}
