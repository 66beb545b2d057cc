//! Encoding: choose how to take the elements apart, code each plane, keep the smallest result.

use std::sync::Arc;

use super::encoded::Encoded;
use super::groups::groups;
use super::kin::{base_as_own, form_of};
use super::structure::{are_bytes_alike, is_structured};
use crate::codec::scaled::{Model, Segment};
use crate::codec::{Content, Encoder, Hints, Level, Method, PlaneShape};
use crate::error::Result;
use crate::format::{
    BlockHeader, ElementType, Fidelity, GridKind, Kinship, PlaneHeader, Reference, SCALES_SHIFT,
    checksum,
};
use crate::grid::{Levels, PartsOf, Quantizer, Treatment};
use crate::plane::record::{Meaning, RecordForm, RecordLayout};
use crate::plane::{Field, split};

/// Encodes blocks, with buffers that are used again.
pub struct BlockEncoder {
    level: Level,
    codec: Encoder,
    plane: Vec<u8>,
    streams: Vec<Vec<u8>>,
    coded: Vec<u8>,
    candidate: Vec<u8>,
    /// Of a block that rests on a base, how it would be stored without.
    alone: Vec<u8>,
    quantizer: Quantizer,
}

/// What a block may rest on.
#[derive(Debug, Clone, Copy)]
pub struct Kin<'a> {
    /// Which of the archive's bases.
    pub base: u32,
    /// The first of the bytes there.
    pub offset: u64,
    /// Whether these are F32, and the block is of what they are rounded to.
    pub is_rounded: bool,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl Kin<'_> {
    const fn reference(&self, kinship: Kinship) -> Reference {
        Reference {
            kinship,
            base: self.base,
            offset: self.offset,
            is_rounded: self.is_rounded,
        }
    }
}

/// What is stored in one so many-th of a block is not tried otherwise.
const CERTAINLY_SMALLER: usize = 4;

/// A way to take elements apart: planes of equal width.
#[derive(Debug, Clone, Copy)]
struct Split {
    element_bytes: u8,
    field_bits: u8,
}

impl Split {
    /// Elements left whole, as bytes.
    const NONE: Self = Self::bytes(1);

    const fn bytes(element_bytes: u8) -> Self {
        Self {
            element_bytes,
            field_bits: 8,
        }
    }
}

impl BlockEncoder {
    /// An encoder by the codecs for weights.
    ///
    /// # Errors
    /// `Io` if there is no memory for the codecs.
    pub fn new(level: Level) -> Result<Self> {
        Self::with_model(level, None)
    }

    /// The same for an archive whose profiles are made from a model.
    ///
    /// # Errors
    /// `Io` if there is no memory for the codecs.
    pub fn with_model(level: Level, model: Option<Arc<Model>>) -> Result<Self> {
        Self::with_method(Method::Weights, level, model)
    }

    /// An encoder by any method; a model is of use to the codecs for weights alone.
    ///
    /// # Errors
    /// `Io` if there is no memory for the codecs, `Unsupported` for a method that this build leaves
    /// out.
    pub fn with_method(method: Method, level: Level, model: Option<Arc<Model>>) -> Result<Self> {
        Ok(Self {
            level,
            codec: Encoder::new(method, level, model)?,
            plane: Vec::new(),
            streams: Vec::new(),
            coded: Vec::new(),
            candidate: Vec::new(),
            alone: Vec::new(),
            quantizer: Quantizer::default(),
        })
    }

    /// Writes the stored form of a block of at most `MAX_BLOCK_BYTES` to `stored`, replacing what
    /// it held, and says what that will decode to. It is never longer than the block by more than 16
    /// bytes.
    ///
    /// `segments` tell which matrices of the model its elements belong to; empty if that is not
    /// known, otherwise they make up all of its elements.
    ///
    /// # Errors
    /// `Io` if a codec runs out of memory.
    pub fn encode(
        &mut self,
        bytes: &[u8],
        element: ElementType,
        segments: &[Segment],
        stored: &mut Vec<u8>,
    ) -> Result<Encoded> {
        self.encode_smallest(bytes, element, segments, stored)?;
        Ok(Encoded::exact(bytes))
    }

    /// The same for a block that may rest on bytes of a base, if that is smaller.
    ///
    /// # Errors
    /// As `encode`.
    pub fn encode_beside(
        &mut self,
        bytes: &[u8],
        element: ElementType,
        segments: &[Segment],
        kin: &Kin<'_>,
        stored: &mut Vec<u8>,
    ) -> Result<Encoded> {
        // What is all the same takes hardly a byte, and no base.
        if is_one_byte(bytes) || !self.encode_kin(bytes, element, kin, stored) {
            return self.encode(bytes, element, segments, stored);
        }
        // No weights become as small alone.
        if stored.len() > bytes.len() / CERTAINLY_SMALLER {
            let mut alone = std::mem::take(&mut self.alone);
            self.encode_smallest(bytes, element, segments, &mut alone)?;
            if alone.len() <= stored.len() {
                std::mem::swap(stored, &mut alone);
            }
            self.alone = alone;
        }
        Ok(Encoded::exact(bytes))
    }

    /// Encodes what tells a block from its base; false if nothing can.
    fn encode_kin(
        &mut self,
        bytes: &[u8],
        element: ElementType,
        kin: &Kin<'_>,
        stored: &mut Vec<u8>,
    ) -> bool {
        let mut header = BlockHeader::of_kin(element, kin.reference(Kinship::Difference));
        let (elements, tail) = bytes.split_at(bytes.len() - header.tail_bytes(bytes.len()));
        let rounded = &mut self.plane;
        let reference = kin.reference(Kinship::Equal);
        let base = base_as_own(element, &reference, kin.bytes, elements.len(), rounded);
        let Some(base) = base.filter(|base| !base.is_empty()) else {
            return false;
        };
        self.coded.clear();
        if elements == base {
            header = BlockHeader::of_kin(element, reference);
        } else {
            let coded = &mut self.coded;
            let codec = form_of(element)
                .filter(|_| !self.codec.is_by_bytes())
                .and_then(|form| self.codec.encode_beside(elements, base, form, coded));
            let Some(codec) = codec else {
                return false;
            };
            header.push(PlaneHeader {
                codec,
                shift: 0,
                width: element.bytes() * 8,
                stored_len: stored_len(&self.coded),
            });
        }
        stored.clear();
        header.encode_to(stored);
        stored.extend_from_slice(&self.coded);
        stored.extend_from_slice(tail);
        true
    }

    /// The same for a block whose numbers may be served as others: what `treatment` allows. Those in `parts`
    /// are the block's `count` elements and what completes parts of rows.
    ///
    /// # Errors
    /// `Io` if a codec runs out of memory.
    pub fn encode_treated(
        &mut self,
        element: ElementType,
        treatment: &Treatment,
        parts: PartsOf<'_>,
        count: usize,
        segments: &[Segment],
        stored: &mut Vec<u8>,
    ) -> Result<Encoded> {
        let width = usize::from(element.bytes());
        let bytes = &parts.bytes[parts.before * width..(parts.before + count) * width];
        // Numbers that are all the same are stored as they are in hardly a byte.
        if is_one_byte(bytes) {
            return self.encode(bytes, element, segments, stored);
        }
        let mut quantizer = std::mem::take(&mut self.quantizer);
        let encoded = match quantizer.quantize(element, treatment, parts, count) {
            // Steps may be too small for the type: then only what is zero lies on the grid.
            Some(levels) if levels.grid.is_sound(count) => {
                self.encode_levels(levels, bytes, segments, stored)
            }
            _ => self.encode(bytes, element, segments, stored),
        };
        self.quantizer = quantizer;
        encoded
    }

    /// Encodes levels, or the numbers that they were made of if those take less.
    fn encode_levels(
        &mut self,
        levels: &Levels,
        bytes: &[u8],
        segments: &[Segment],
        stored: &mut Vec<u8>,
    ) -> Result<Encoded> {
        let grid = levels.grid;
        let mut header = BlockHeader::of_levels(grid);
        self.coded.clear();
        let mut planes = CodedPlanes {
            codec: &mut self.codec,
            coded: &mut self.coded,
            header: &mut header,
        };
        let mut push = |plane: &[u8], width: u8, shift: u8, content, hints| {
            let shape = PlaneShape {
                width,
                count: plane.len() / usize::from(width / 8),
            };
            planes.push(plane, shape, shift, content, hints)
        };
        if let Some(bits) = grid.kind.scale_bits(grid.element) {
            let content = match (grid.kind, bits) {
                (GridKind::Groups, 16) => Content::Scale,
                (GridKind::Groups, _) => Content::Any,
                _ => Content::Levels,
            };
            push(
                &levels.scales,
                bits,
                SCALES_SHIFT,
                content,
                Hints::default(),
            )?;
        }
        let mut shift = 0;
        if !levels.low.is_empty() {
            push(&levels.low, 8, 0, Content::Mantissa, Hints::default())?;
            shift = 8;
        }
        let hints = Hints {
            segments,
            in_steps: &levels.in_steps,
            ..Hints::default()
        };
        push(&levels.fields, levels.width, shift, Content::Levels, hints)?;
        stored.clear();
        header.encode_to(stored);
        stored.extend_from_slice(&self.coded);
        stored.extend_from_slice(&levels.exceptions);
        let encoded = Encoded {
            decoded_checksum: checksum(&levels.served),
            fidelity: if levels.served == bytes {
                Fidelity::Exact
            } else {
                Fidelity::Lossy
            },
        };
        if stored.len() > bytes.len() / 2 {
            let mut exact = Vec::new();
            self.encode_smallest(bytes, grid.element, segments, &mut exact)?;
            if exact.len() <= stored.len() {
                std::mem::swap(stored, &mut exact);
                return Ok(Encoded::exact(bytes));
            }
        }
        Ok(encoded)
    }

    fn encode_smallest(
        &mut self,
        bytes: &[u8],
        element: ElementType,
        segments: &[Segment],
        stored: &mut Vec<u8>,
    ) -> Result<()> {
        let width = element.bytes();
        if is_one_byte(bytes) {
            return self.encode_split(bytes, Split::NONE, |_| Content::Any, &[], stored);
        }
        if self.codec.is_by_bytes() && !element.is_record() {
            let content = |shift| Content::Byte {
                is_top: shift == (width - 1) * 8,
            };
            self.encode_split(bytes, Split::bytes(width), content, &[], stored)?;
            if stored.len() > bytes.len() {
                self.keep_if_smaller(bytes, Split::NONE, stored)?;
            }
            return Ok(());
        }
        if let Some(record) = element.record() {
            return self.encode_records(bytes, element, record, stored);
        }
        let Some(exponent_bits) = element.exponent_bits() else {
            let content = |_| match element {
                ElementType::Bytes => Content::Any,
                _ => Content::Integers,
            };
            if width > 1 && are_bytes_alike(bytes, width) {
                return self.encode_split(bytes, Split::NONE, content, &[], stored);
            }
            self.encode_split(bytes, Split::bytes(width), content, &[], stored)?;
            if width > 1 {
                // Repeats of whole values are longer matches when the bytes stay together.
                self.keep_if_smaller(bytes, Split::NONE, stored)?;
            }
            return Ok(());
        };
        // Floats are cut in planes of 16 bits: the top one holds sign, exponent and the first
        // mantissa bits.
        let how = Split {
            element_bytes: width,
            field_bits: if width == 1 { 8 } else { 16 },
        };
        let top = width * 8 - how.field_bits;
        let content = |shift| {
            if shift == top {
                Content::FloatTop { exponent_bits }
            } else {
                Content::Mantissa
            }
        };
        self.encode_split(bytes, how, content, segments, stored)?;
        if stored.len() > bytes.len() || is_structured(bytes, width) {
            self.keep_if_smaller(bytes, Split::NONE, stored)?;
            if width > 1 {
                self.keep_if_smaller(bytes, Split::bytes(width), stored)?;
            }
        }
        Ok(())
    }

    /// Takes records apart, each stream a plane; or leaves them together if that is smaller.
    fn encode_records(
        &mut self,
        bytes: &[u8],
        element: ElementType,
        layout: RecordLayout,
        stored: &mut Vec<u8>,
    ) -> Result<()> {
        let mut streams = std::mem::take(&mut self.streams);
        let form = self.take_records(bytes, layout, &mut streams);
        let mut header = BlockHeader::of_records(element, form);
        let planes: Vec<&[u8]> = streams.iter().map(Vec::as_slice).collect();
        let in_groups = form
            .groups()
            .is_some_and(|groups| self.codec.wants_groups(groups.pairs));
        let mut keys = Vec::new();
        self.coded.clear();
        for (number, (&plane, stream)) in (0..).zip(planes.iter().zip(form.streams())) {
            let shape = PlaneShape {
                width: stream.field_bytes * 8,
                count: plane.len() / usize::from(stream.field_bytes),
            };
            let content = match stream.meaning {
                // Of quantized weights, what a general method takes for the highest bytes are the levels.
                meaning if self.codec.is_by_bytes() => Content::Byte {
                    is_top: meaning == Meaning::Levels,
                },
                Meaning::Half => Content::Scale,
                Meaning::Levels | Meaning::Places => Content::Levels,
                Meaning::Scales | Meaning::Bytes => Content::Any,
            };
            let mut hints = Hints::default();
            if in_groups {
                hints.groups = groups(form, number, &planes, &mut keys);
            }
            let mut coded = CodedPlanes {
                codec: &mut self.codec,
                coded: &mut self.coded,
                header: &mut header,
            };
            coded.push(plane, shape, number, content, hints)?;
        }
        self.streams = streams;
        stored.clear();
        header.encode_to(stored);
        stored.extend_from_slice(&self.coded);
        stored.extend_from_slice(&bytes[bytes.len() - header.tail_bytes(bytes.len())..]);
        if stored.len() > bytes.len() - bytes.len() / 64 {
            self.keep_if_smaller(bytes, Split::NONE, stored)?;
        }
        Ok(())
    }

    /// Takes records apart in the form that is best for the level.
    fn take_records(
        &self,
        bytes: &[u8],
        layout: RecordLayout,
        streams: &mut Vec<Vec<u8>>,
    ) -> RecordForm {
        let plain = RecordForm::plain(layout);
        let in_pairs = plain.groups().is_some_and(|groups| groups.pairs.is_some());
        let wants_peaks = match self.level {
            // General methods take the fields as they are.
            _ if self.codec.is_by_bytes() => false,
            Level::Fast => false,
            // Two levels decode as fast as one.
            Level::Default => !in_pairs,
            Level::Max => true,
        };
        if wants_peaks && let Some(form) = RecordForm::with_peaks(layout) {
            form.take(bytes, streams);
            if let [.., peaks, _] = &streams[..]
                && are_few(peaks)
            {
                return form;
            }
        }
        plain.take(bytes, streams);
        plain
    }

    /// Tries another split with codecs for anything, or by the general method.
    fn keep_if_smaller(&mut self, bytes: &[u8], how: Split, stored: &mut Vec<u8>) -> Result<()> {
        let mut candidate = std::mem::take(&mut self.candidate);
        let content = if self.codec.is_by_bytes() {
            Content::Byte { is_top: true }
        } else {
            Content::Any
        };
        self.encode_split(bytes, how, |_| content, &[], &mut candidate)?;
        if candidate.len() < stored.len() {
            std::mem::swap(stored, &mut candidate);
        }
        self.candidate = candidate;
        Ok(())
    }

    fn encode_split(
        &mut self,
        bytes: &[u8],
        how: Split,
        content: impl Fn(u8) -> Content,
        segments: &[Segment],
        stored: &mut Vec<u8>,
    ) -> Result<()> {
        let mut header = BlockHeader::new(how.element_bytes, 0);
        let (elements, tail) = bytes.split_at(bytes.len() - header.tail_bytes(bytes.len()));
        self.coded.clear();
        let element_bits = how.element_bytes * 8;
        let hints = Hints {
            segments,
            ..Hints::default()
        };
        for shift in (0..element_bits).step_by(how.field_bits.into()) {
            let field = Field {
                shift,
                width: how.field_bits,
            };
            let shape = PlaneShape {
                width: field.width,
                count: header.element_count(bytes.len()),
            };
            let plane = if how.field_bits == element_bits {
                elements
            } else {
                split(elements, how.element_bytes, 0, field, &mut self.plane);
                &self.plane
            };
            let mut planes = CodedPlanes {
                codec: &mut self.codec,
                coded: &mut self.coded,
                header: &mut header,
            };
            planes.push(plane, shape, shift, content(shift), hints)?;
        }
        stored.clear();
        header.encode_to(stored);
        stored.extend_from_slice(&self.coded);
        stored.extend_from_slice(tail);
        Ok(())
    }
}

/// The planes of a block so far.
struct CodedPlanes<'e> {
    codec: &'e mut Encoder,
    coded: &'e mut Vec<u8>,
    header: &'e mut BlockHeader,
}

impl CodedPlanes<'_> {
    /// Codes the next plane.
    fn push(
        &mut self,
        plane: &[u8],
        shape: PlaneShape,
        shift: u8,
        content: Content,
        hints: Hints<'_>,
    ) -> Result<()> {
        let before = self.coded.len();
        let codec = self
            .codec
            .encode(plane, shape, content, hints, self.coded)?;
        self.header.push(PlaneHeader {
            codec,
            shift,
            width: shape.width,
            stored_len: stored_len(&self.coded[before..]),
        });
        Ok(())
    }
}

fn stored_len(plane: &[u8]) -> u32 {
    u32::try_from(plane.len()).expect("invariant: a plane is little larger than its block")
}

/// Whether most of the farthest levels are one of two: quantizers that scale groups in another way leave nothing
/// to gain.
fn are_few(peaks: &[u8]) -> bool {
    let mut counts = [0u32; 256];
    for &peak in peaks {
        counts[usize::from(peak)] += 1;
    }
    counts.sort_unstable();
    let [.., second, first] = counts;
    (first + second) as usize * 4 > peaks.len() * 3
}

fn is_one_byte(bytes: &[u8]) -> bool {
    bytes.windows(2).all(|pair| pair[0] == pair[1])
}
