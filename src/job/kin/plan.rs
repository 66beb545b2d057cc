//! The plan: which bytes of which base each block of a file may rest on.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::base_file::BaseFile;
use super::matching::{Stretch, stretches};
use crate::archive::Base;
use crate::error::Result;
use crate::format::{BlockSpan, MAX_BASES, MAX_EXTENTS};
use crate::job::source_file::SourceFile;
use crate::model::{self, ReadAt};

/// Stretches of at least so many bytes have extents of their own; twice as many as long as there are too many.
const LEAST_BYTES: u64 = 64 << 10;

/// What of a file rests on what.
#[derive(Debug, Default)]
pub(in crate::job) struct KinPlan {
    /// Those that something rests on, in the order of the archive's table.
    pub bases: Vec<Arc<BaseFile>>,
    stretches: Vec<Stretch>,
}

/// Where a block may rest.
#[derive(Debug, Clone)]
pub(in crate::job) struct Place {
    pub base: u32,
    pub range: std::ops::Range<u64>,
    pub is_rounded: bool,
}

impl KinPlan {
    /// The plan of a file and some bases.
    ///
    /// # Errors
    /// As `ReadAt::read_at`.
    pub fn new(source: &SourceFile, bases: &[Arc<BaseFile>]) -> Result<Self> {
        if bases.is_empty() {
            return Ok(Self::default());
        }
        let Some(header) = model::read(source)? else {
            return Ok(Self::default());
        };
        let mut stretches = stretches(source, &header.tensors, bases)?;
        let mut used: Vec<usize> = stretches.iter().map(|stretch| stretch.base).collect();
        used.sort_unstable();
        used.dedup();
        used.truncate(MAX_BASES);
        stretches.retain_mut(|stretch| {
            let found = used.binary_search(&stretch.base);
            found.map(|number| stretch.base = number).is_ok()
        });
        Ok(Self {
            bases: used.iter().map(|&base| Arc::clone(&bases[base])).collect(),
            stretches,
        })
    }

    /// Leaves out all bases but some, and what rests on them.
    pub fn keep_bases(&mut self, kept: &BTreeSet<u32>) {
        let numbers: Vec<usize> = kept
            .iter()
            .filter_map(|&base| usize::try_from(base).ok())
            .collect();
        self.bases = numbers
            .iter()
            .filter_map(|&base| self.bases.get(base).cloned())
            .collect();
        self.stretches.retain_mut(|stretch| {
            let found = numbers.binary_search(&stretch.base);
            found.map(|number| stretch.base = number).is_ok()
        });
    }

    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// The table of the bases, for an archive at a path.
    pub fn table(&self, dependent: &Path, root: &Path) -> Vec<u8> {
        let mut table = Vec::new();
        for base in &self.bases {
            base.record(dependent, root).encode_to(&mut table);
        }
        table
    }

    /// Places where no block is to go on over, sorted.
    pub fn cuts(&self) -> Vec<u64> {
        let mut least = LEAST_BYTES;
        loop {
            let long = |stretch: &&Stretch| stretch.range.end - stretch.range.start >= least;
            let ends = |stretch: &Stretch| [stretch.range.start, stretch.range.end];
            let mut cuts: Vec<_> = self.stretches.iter().filter(long).flat_map(ends).collect();
            cuts.sort_unstable();
            cuts.dedup();
            if cuts.len() as u64 <= MAX_EXTENTS / 4 {
                return cuts;
            }
            least *= 2;
        }
    }

    /// Whether all of a range has something to rest on.
    pub fn covers(&self, range: &std::ops::Range<u64>) -> bool {
        let first = self
            .stretches
            .partition_point(|one| one.range.end <= range.start);
        let there = self.stretches[first..].iter();
        let there = there.take_while(|one| one.range.start < range.end);
        let covered: u64 = there.map(|stretch| overlap(&stretch.range, range)).sum();
        covered == range.end - range.start
    }

    /// What a block may rest on: where most of it has a place, all is compared with what lies around that.
    pub fn place(&self, span: &BlockSpan) -> Option<Place> {
        let range = &span.range;
        let first = self
            .stretches
            .partition_point(|one| one.range.end <= range.start);
        let there = self.stretches[first..].iter();
        let there = there.take_while(|one| one.range.start < range.end);
        let stretch = there.max_by_key(|one| overlap(&one.range, range))?;
        if stretch.is_rounded && !span.element.is_half() {
            return None;
        }
        let start = stretch.place(range.start)?;
        let bytes = range.end - range.start;
        let whole = bytes - bytes % u64::from(span.element.bytes());
        let end = start + whole * if stretch.is_rounded { 2 } else { 1 };
        let base = &self.bases[stretch.base];
        (whole > 0 && end <= base.source.file_bytes()).then(|| Place {
            base: u32::try_from(stretch.base).expect("invariant: at most MAX_BASES"),
            range: start..end,
            is_rounded: stretch.is_rounded,
        })
    }

    /// The base of a number.
    pub fn base(&self, number: u32) -> Option<&dyn Base> {
        let base = self.bases.get(usize::try_from(number).ok()?)?;
        Some(&base.source)
    }
}

fn overlap(one: &std::ops::Range<u64>, other: &std::ops::Range<u64>) -> u64 {
    one.end
        .min(other.end)
        .saturating_sub(one.start.max(other.start))
}
