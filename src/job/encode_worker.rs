//! What a thread that encodes carries from block to block.

use super::lossy::{LossyPlan, TreatedBlock};
use super::source_file::SourceFile;
use super::survey::Survey;
use crate::block::{BlockEncoder, Encoded};
use crate::codec::scaled::Segment;
use crate::error::Result;
use crate::format::BlockSpan;
use crate::grid::PartsOf;

/// Reads and encodes blocks, with buffers that are used again.
pub(super) struct EncodeWorker<'p> {
    encoder: BlockEncoder,
    bytes: Vec<u8>,
    /// What the block holds.
    pub(super) span: BlockSpan,
    /// The lossy tensor it is of; then there is more than the block in `bytes`.
    treated: Option<TreatedBlock<'p>>,
    segments: Vec<Segment>,
    /// The block as it is stored.
    pub(super) stored: Vec<u8>,
    /// What `stored` will decode to, once there is something in it.
    pub(super) encoded: Option<Encoded>,
}

impl<'p> EncodeWorker<'p> {
    pub(super) fn new(encoder: BlockEncoder) -> Self {
        Self {
            encoder,
            bytes: Vec::new(),
            span: BlockSpan::EMPTY,
            treated: None,
            segments: Vec::new(),
            stored: Vec::new(),
            encoded: None,
        }
    }

    /// Reads a block, and of a lossy tensor what completes its parts of rows.
    ///
    /// # Errors
    /// As `SourceFile::read_at`.
    pub(super) fn take(
        &mut self,
        span: BlockSpan,
        source: &SourceFile,
        survey: &Survey,
        plan: &'p LossyPlan,
    ) -> Result<()> {
        self.treated = plan.block(&span);
        match &self.treated {
            Some(block) => block.read(source, &mut self.bytes)?,
            None => source.read_block(&span, &mut self.bytes)?,
        }
        self.segments = survey.segments(&span);
        self.span = span;
        Ok(())
    }

    /// Encodes what was taken.
    ///
    /// # Errors
    /// `Io` if a codec runs out of memory.
    pub(super) fn encode(&mut self) -> Result<()> {
        let (element, segments) = (self.span.element, &self.segments);
        let encoded = match &self.treated {
            Some(block) => {
                let parts = PartsOf {
                    bytes: &self.bytes,
                    before: block.before(),
                    row: block.tensor.row,
                    first_column: block.first_column(),
                };
                let count = self.span.buffer_bytes() / usize::from(element.bytes());
                let treatment = &block.tensor.treatment;
                self.encoder.encode_treated(
                    element,
                    treatment,
                    parts,
                    count,
                    segments,
                    &mut self.stored,
                )
            }
            None => self
                .encoder
                .encode(&self.bytes, element, segments, &mut self.stored),
        };
        self.encoded = Some(encoded?);
        Ok(())
    }
}
