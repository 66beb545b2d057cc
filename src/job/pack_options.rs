//! How to pack, and what that means for blocks and threads.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use super::base_search::BaseSearch;
use super::file_filter::FileFilter;
use super::fitting::fitting_threads;
use super::kin::{BaseAsked, Family, KinPlan, OpenedBases};
use super::lossy::{LossyOptions, LossyPlan};
use super::monitor::Monitor;
use super::source_file::SourceFile;
use super::survey::{Survey, survey};
use crate::block::BlockEncoder;
use crate::codec::{Level, Method};
use crate::error::{Error, Result};
use crate::sync::cores;

/// Uncompressed bytes of a block where models are made lossy.
const LOSSY_BLOCK_BYTES: u32 = 1 << 20;

/// The same where most of a block rests on a base: of differences, what a block has beside them is the more.
const KIN_BLOCK_BYTES: u32 = 512 << 10;

/// How to pack.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// How blocks are coded.
    pub method: Method,
    /// What to optimize for.
    pub level: Level,
    /// Threads that encode.
    pub threads: NonZeroUsize,
    /// Replace a destination that exists.
    pub force: bool,
    /// Uncompressed bytes of a block: a power of two within the format's limits. `None` for what
    /// suits the level.
    pub block_bytes: Option<u32>,
    /// Which files of a directory are packed.
    pub files: FileFilter,
    /// How to make models lossy; nothing is without.
    pub lossy: Option<LossyOptions>,
    /// What models may rest on; nothing if they are to stand for themselves.
    pub base: Option<BaseAsked>,
    /// Where bases are that are not beside what rests on them.
    pub bases: BaseSearch,
    /// Whether a copy of the base is kept where there can be no hard link to it.
    pub copy_base: bool,
    /// What was asked for, opened: by the job, when it begins.
    pub opened: OpenedBases,
}

impl PackOptions {
    /// Bytes of a block of a file that may rest on bases, or not.
    pub(super) fn block_bytes_beside(&self, kin: &KinPlan) -> u32 {
        if kin.is_empty() {
            return self.block_bytes();
        }
        self.block_bytes.unwrap_or(match self.level {
            Level::Max => KIN_BLOCK_BYTES * 2,
            _ => KIN_BLOCK_BYTES,
        })
    }

    pub(super) fn block_bytes(&self) -> u32 {
        let default = || match (&self.lossy, self.level) {
            (None, _) => self.method.default_block_bytes(self.level),
            // Of levels the same number of stored bytes is a longer block.
            (Some(_), Level::Max) => LOSSY_BLOCK_BYTES * 2,
            (Some(_), _) => LOSSY_BLOCK_BYTES,
        };
        self.block_bytes.unwrap_or_else(default)
    }

    /// The same, with as many threads as there is memory for, and its bases open.
    ///
    /// # Errors
    /// `Environment` if there is none for a single one; as `Family::open`.
    pub(super) fn fitting(&self, monitor: &Monitor<'_>) -> Result<Self> {
        let threads = fitting_threads(self.threads, self.thread_bytes(), monitor)?;
        let family = self.base.as_ref().map(|asked| {
            let family = Family::open(asked, &self.bases, threads, monitor)?;
            Ok::<_, Error>(Arc::new(family))
        });
        Ok(Self {
            threads,
            opened: OpenedBases(family.transpose()?),
            ..self.clone()
        })
    }

    /// What encoding and comparing hold for each thread: buffers of a block's length and what the coders
    /// keep. Measured on weights: 7 times the length of a block, 20 times at the level `max`, 9 times with
    /// general compressors.
    fn thread_bytes(&self) -> u64 {
        let blocks = match (self.method, self.level) {
            // Numbers are compared as F64, the source's and those that come back.
            _ if self.lossy.is_some() => 36,
            (Method::Weights, Level::Max) => 21,
            (Method::Weights, _) => 8,
            _ => 10,
        };
        let has_bases = self.base.is_some() || self.opened.0.is_some();
        let longest = match has_bases {
            true => self.block_bytes().max(KIN_BLOCK_BYTES * 2),
            false => self.block_bytes(),
        };
        blocks * u64::from(longest) + (512 << 10)
    }

    /// What of a file may rest on what, for an archive somewhere below `root`.
    ///
    /// # Errors
    /// As `ReadAt::read_at`.
    pub(super) fn kin(
        &self,
        source: &SourceFile,
        root: &Path,
        monitor: &Monitor<'_>,
    ) -> Result<KinPlan> {
        match &self.opened.0 {
            Some(family) => family.plan(source, root, monitor),
            None => Ok(KinPlan::default()),
        }
    }

    /// What encoders are to know of a file.
    ///
    /// # Errors
    /// As `survey`.
    pub(super) fn survey(
        &self,
        source: &SourceFile,
        plans: (&LossyPlan, &KinPlan),
        monitor: &Monitor<'_>,
    ) -> Result<Survey> {
        match self.method {
            Method::Weights => survey(source, plans, self.level, monitor),
            _ => Ok(Survey::default()),
        }
    }

    pub(super) fn encoder(&self, survey: &Survey) -> Result<BlockEncoder> {
        BlockEncoder::with_method(self.method, self.level, survey.model.clone())
    }
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            method: Method::default(),
            level: Level::default(),
            threads: cores(),
            force: false,
            block_bytes: None,
            files: FileFilter::default(),
            lossy: None,
            base: None,
            bases: BaseSearch::default(),
            copy_base: false,
            opened: OpenedBases::default(),
        }
    }
}
