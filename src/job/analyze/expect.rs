//! What packing a file is expected to give, from encoding some of its blocks.
//!
//! Each extent is divided into as many windows as blocks are to be looked at, and one block of each
//! window, by a fixed rule that follows no period of the file, is encoded. The level `Max` is slow:
//! fewer blocks are looked at, and how it does on them in comparison with `Fast` is carried over to
//! the file.

use serde::Serialize;

use crate::block::BlockEncoder;
use crate::codec::Level;
use crate::error::{Error, Result};
use crate::format::{BlockSpan, Extent, Geometry, SUPERBLOCK_BYTES, TableLengths};
use crate::job::kin::KinPlan;
use crate::job::layout::layout;
use crate::job::lossy::LossyPlan;
use crate::job::monitor::Monitor;
use crate::job::pack_options::PackOptions;
use crate::job::pipeline;
use crate::job::source_file::SourceFile;
use crate::job::survey::{Survey, survey};

use super::options::AnalyzeOptions;

/// One in so many of the sampled blocks is encoded at the level `Max` as well.
const MAX_LEVEL_SHARE: u64 = 4;

/// What a level is expected to make of the files.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Expected {
    /// Bytes of the archive.
    pub stored_bytes: u64,
    /// Bytes of the file for each of those.
    pub ratio: f64,
}

/// For `Fast`, `Default` and `Max`, in bytes of the archive.
pub(super) fn expect(
    source: &SourceFile,
    options: &AnalyzeOptions,
    monitor: &Monitor<'_>,
) -> Result<[f64; 3]> {
    let extents = layout(source, &[], monitor)?;
    let nothing = Survey::default();
    let fast = Sampler::new(source, &extents, Level::Fast, options, monitor, &nothing)?;
    let default = Sampler::new(source, &extents, Level::Default, options, monitor, &nothing)?;
    let fast_bytes = fast.stored(&fast.choose(options.sample_bytes))?;
    let default_bytes = default.stored(&default.choose(options.sample_bytes))?;
    let survey = survey(
        source,
        (&LossyPlan::default(), &KinPlan::default()),
        Level::Max,
        monitor,
    )?;
    let max = Sampler::new(source, &extents, Level::Max, options, monitor, &survey)?;
    let few = max.choose(options.sample_bytes / MAX_LEVEL_SHARE);
    // Both have blocks of the same size, so these are the same bytes.
    let gain = max.stored(&few)? / fast.stored(&few)?.max(1.0);
    Ok([
        fast_bytes + fast.tables_bytes()?,
        default_bytes + default.tables_bytes()?,
        fast_bytes * gain + max.tables_bytes()?,
    ])
}

struct Sampler<'a> {
    source: &'a SourceFile,
    level: Level,
    geometry: Geometry,
    options: &'a AnalyzeOptions,
    monitor: &'a Monitor<'a>,
    survey: &'a Survey,
}

/// Blocks of one extent that stand for all of it.
struct Stratum {
    blocks: Vec<u64>,
    extent_bytes: u64,
}

#[derive(Default)]
struct Worker {
    encoder: Option<BlockEncoder>,
    stratum: usize,
    block: u64,
    bytes: Vec<u8>,
    stored: Vec<u8>,
}

impl<'a> Sampler<'a> {
    fn new(
        source: &'a SourceFile,
        extents: &[Extent],
        level: Level,
        options: &'a AnalyzeOptions,
        monitor: &'a Monitor<'a>,
        survey: &'a Survey,
    ) -> Result<Self> {
        let pack = PackOptions {
            level,
            ..PackOptions::default()
        };
        Ok(Self {
            source,
            level,
            geometry: Geometry::new(pack.block_bytes(), extents)?,
            options,
            monitor,
            survey,
        })
    }

    /// Bytes of an archive that are not in blocks.
    fn tables_bytes(&self) -> Result<f64> {
        let lengths = TableLengths {
            extents: self.geometry.extents().len() as u64,
            blocks: self.geometry.block_count(),
            profiles_bytes: self.survey.profiles.len() as u64,
            fidelity_bytes: 0,
            bases_bytes: 0,
            hashes_bytes: 0,
        };
        let table = lengths
            .total()
            .ok_or_else(|| Error::InvalidInput("the file is too large".into()))?;
        Ok((2 * (SUPERBLOCK_BYTES as u64 + table)) as f64)
    }

    /// Blocks of about `bytes` in all, at least one of each extent.
    fn choose(&self, bytes: u64) -> Vec<Stratum> {
        let file_bytes = self.geometry.original_bytes().max(1);
        self.geometry
            .extents()
            .map(|extent| {
                // As they are laid out: blocks of records are shorter, those of numbers begin on a grid.
                let block_at = |offset| self.geometry.block_at(offset).unwrap_or(0);
                let first = block_at(extent.start);
                let count = block_at(extent.end() - 1) - first + 1;
                let chosen = (scale(count, bytes, file_bytes) + 1).min(count);
                let blocks = (0..chosen).map(|window| {
                    let start = scale(window, count, chosen);
                    let len = scale(window + 1, count, chosen) - start;
                    first + start + scatter(window) % len.max(1)
                });
                Stratum {
                    blocks: blocks.collect(),
                    extent_bytes: extent.len,
                }
            })
            .collect()
    }

    /// Bytes that all blocks are expected to be stored in.
    fn stored(&self, strata: &[Stratum]) -> Result<f64> {
        let mut left = strata
            .iter()
            .enumerate()
            .flat_map(|(i, stratum)| stratum.blocks.iter().map(move |&block| (i, block)));
        let mut totals = vec![(0.0, 0.0); strata.len()];
        let workers = (0..self.options.threads.get())
            .map(|_| Worker::default())
            .collect();
        pipeline::run(
            workers,
            self.monitor.cancel,
            |worker| {
                let Some((stratum, block)) = left.next() else {
                    return Ok(false);
                };
                (worker.stratum, worker.block) = (stratum, block);
                Ok(true)
            },
            |worker| {
                let span = self.geometry.block(worker.block);
                span.map_or(Ok(()), |span| self.encode(&span, worker))
            },
            |worker| {
                let (original, stored) = &mut totals[worker.stratum];
                *original += worker.bytes.len() as f64;
                *stored += worker.stored.len() as f64;
                Ok(())
            },
        )?;
        let whole = |(stratum, (original, stored)): (&Stratum, (f64, f64))| {
            stratum.extent_bytes as f64 * stored / f64::max(original, 1.0)
        };
        Ok(strata.iter().zip(totals).map(whole).sum())
    }

    fn encode(&self, span: &BlockSpan, worker: &mut Worker) -> Result<()> {
        self.source.read_block(span, &mut worker.bytes)?;
        let encoder = match &mut worker.encoder {
            Some(encoder) => encoder,
            none => none.insert(BlockEncoder::with_model(
                self.level,
                self.survey.model.clone(),
            )?),
        };
        encoder.encode(
            &worker.bytes,
            span.element,
            &self.survey.segments(span),
            &mut worker.stored,
        )?;
        Ok(())
    }
}

/// `part / of` of `whole`, rounded down.
fn scale(part: u64, whole: u64, of: u64) -> u64 {
    u64::try_from(u128::from(part) * u128::from(whole) / u128::from(of.max(1))).unwrap_or(whole)
}

/// A number that looks like chance, and is the same each time.
fn scatter(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}
