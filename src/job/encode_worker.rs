//! What a thread that encodes carries from block to block.

use super::kin::{KinPlan, Place};
use super::lossy::{LossyPlan, TreatedBlock};
use super::source_file::SourceFile;
use super::survey::Survey;
use crate::block::{BlockEncoder, Encoded, Kin};
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
    kin: &'p KinPlan,
    segments: Vec<Segment>,
    /// The block as it is stored.
    pub(super) stored: Vec<u8>,
    /// What `stored` will decode to, once there is something in it.
    pub(super) encoded: Option<Encoded>,
}

impl<'p> EncodeWorker<'p> {
    pub(super) fn new(encoder: BlockEncoder, kin: &'p KinPlan) -> Self {
        Self {
            encoder,
            kin,
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
    /// `Io` if a codec runs out of memory; as `Base::with`.
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
            None => match self.kin.place(&self.span) {
                Some(place) => return self.encode_beside(&place),
                None => self
                    .encoder
                    .encode(&self.bytes, element, segments, &mut self.stored),
            },
        };
        self.encoded = Some(encoded?);
        Ok(())
    }

    /// Encodes a block that may rest on a base.
    fn encode_beside(&mut self, place: &Place) -> Result<()> {
        let kin = self.kin;
        let base = kin.base(place.base);
        let base = base.expect("invariant: places are those of the plan's bases");
        let (element, segments) = (self.span.element, &self.segments);
        let (encoder, stored, own) = (&mut self.encoder, &mut self.stored, &self.bytes);
        let encoded = &mut self.encoded;
        base.with(place.range.clone(), &mut |bytes| {
            let kin = Kin {
                base: place.base,
                offset: place.range.start,
                is_rounded: place.is_rounded,
                bytes,
            };
            *encoded = Some(encoder.encode_beside(own, element, segments, &kin, stored)?);
            Ok(())
        })
    }
}
