//! Where the pattern of a file changes: by looking at little of it, and more closely where two looks differ.

use std::ops::Range;

use super::pattern::{Counts, PLACES, Pattern, place_of};
use crate::error::Result;
use crate::job::monitor::Monitor;
use crate::model::ReadAt;

/// Bytes of a look.
const LOOK_LEN: usize = 8 << 10;
const LOOK_BYTES: u64 = LOOK_LEN as u64;
/// From one look to the next. What is shorter than two of these is not found: its tensors take some percent more
/// then, as parts of what lies around them.
const STRIDE: u64 = 64 << 10;
/// Most looks: of a longer file they are farther apart.
const MOST_LOOKS: u64 = 1 << 16;
/// Looks all over a file that decide whether it is looked through.
const FIRST_LOOKS: u64 = 64;
/// Looks in a row that have a new pattern before it is one: one alone may be a header between two tensors.
const LOOKS_OF_A_RUN: u32 = 2;
/// Bytes that are looked at for the place where a pattern changes.
const MOST_BETWEEN: u64 = 16 << 20;

/// A run of a file with one pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub range: Range<u64>,
    pub pattern: Pattern,
}

/// The runs of a file, which tile it.
pub(super) fn runs(file: &(impl ReadAt + ?Sized), monitor: &Monitor<'_>) -> Result<Vec<Run>> {
    let all = 0..file.file_bytes();
    if !has_numbers(file)? {
        return Ok(vec![Run {
            range: all,
            pattern: Pattern::Bytes,
        }]);
    }
    let mut runs = Vec::new();
    let mut now = Open::default();
    let mut next = Open::default();
    let stride = (all.end / MOST_LOOKS).next_multiple_of(STRIDE).max(STRIDE);
    let mut at = 0;
    while at < all.end {
        monitor.check()?;
        let (pattern, counts) = look(file, at)?;
        if pattern == now.pattern || pattern == Pattern::Empty {
            now.add(at, &counts);
            next = Open::default();
        } else {
            if pattern != next.pattern {
                next = Open {
                    pattern,
                    ..Open::default()
                };
            }
            next.add(at, &counts);
        }
        let is_known = now.looks > 0 && now.pattern != Pattern::Empty;
        if next.looks >= LOOKS_OF_A_RUN || (next.looks > 0 && !is_known) {
            if is_known {
                let start = runs.last().map_or(0, |run: &Run| run.range.end);
                let end = boundary(file, &now, &next)?.max(start);
                if start < end {
                    runs.push(Run {
                        range: start..end,
                        pattern: now.pattern,
                    });
                }
            }
            now = std::mem::take(&mut next);
        }
        at += stride;
    }
    let start = runs.last().map_or(0, |run| run.range.end);
    runs.push(Run {
        range: start..all.end,
        pattern: now.pattern,
    });
    Ok(runs)
}

/// A run whose end is not known.
#[derive(Default)]
struct Open {
    pattern: Pattern,
    counts: Counts,
    looks: u32,
    /// The first look at it, and the end of the last.
    seen: Range<u64>,
}

impl Open {
    fn add(&mut self, at: u64, counts: &Counts) {
        if self.looks == 0 {
            self.seen.start = at;
        }
        self.seen.end = at + LOOK_BYTES;
        self.looks += 1;
        self.counts.merge(counts);
    }
}

fn look(file: &(impl ReadAt + ?Sized), at: u64) -> Result<(Pattern, Counts)> {
    let mut bytes = [0; LOOK_LEN];
    let len = usize::try_from(file.file_bytes().saturating_sub(at)).unwrap_or(usize::MAX);
    let bytes = &mut bytes[..len.min(LOOK_LEN)];
    file.read_at(bytes, at)?;
    let mut counts = Counts::default();
    counts.add(bytes, at);
    Ok((counts.pattern(), counts))
}

/// Whether any of the first looks sees numbers of several bytes.
fn has_numbers(file: &(impl ReadAt + ?Sized)) -> Result<bool> {
    let stride = (file.file_bytes() / FIRST_LOOKS).max(STRIDE) / PLACES as u64 * PLACES as u64;
    let mut at = 0;
    while at < file.file_bytes() {
        if matches!(look(file, at)?.0, Pattern::Numbers { .. }) {
            return Ok(true);
        }
        at += stride;
    }
    Ok(false)
}

/// The place between two runs before which bytes are likelier of the one, and from which on of the other.
fn boundary(file: &(impl ReadAt + ?Sized), before: &Open, after: &Open) -> Result<u64> {
    let end = after.seen.start + LOOK_BYTES;
    let start = (before.seen.end.saturating_sub(LOOK_BYTES)).max(end.saturating_sub(MOST_BETWEEN));
    let mut bytes = vec![0; usize::try_from(end.min(file.file_bytes()) - start).unwrap_or(0)];
    file.read_at(&mut bytes, start)?;
    let (ones, others) = (before.counts.costs(), after.counts.costs());
    let mut best = (0.0, start);
    let mut more = 0.0;
    for (at, &byte) in (start..).zip(&bytes) {
        let place = place_of(at);
        more += f64::from(ones[place][usize::from(byte)] - others[place][usize::from(byte)]);
        if more < best.0 {
            best = (more, at + 1);
        }
    }
    Ok(best.1)
}
