//! Inspecting: what an archive holds and what it costs, without decoding the tensors.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;

use super::archives::named_archive;
use super::base_search::BaseSearch;
use crate::archive::{ArchiveReader, ArchivedFile};
use crate::error::Result;
use crate::format::{
    BaseRecord, BlockHeader, BlockSpan, CodecId, ElementType, Kinship, PlaneHeader, SCALES_SHIFT,
    Superblock, TensorFidelity,
};
use crate::model::{self, Tensor, WhyNot};
use crate::plane::record::RecordForm;

/// Contents of an archive, and what they cost.
#[derive(Debug)]
pub struct Inspection {
    /// What the archive says of itself.
    pub superblock: Superblock,
    /// What it says of its lossy tensors, by place.
    pub fidelity: Vec<TensorFidelity>,
    /// What its blocks may rest on, and whether that was found.
    pub bases: Vec<(BaseRecord, bool)>,
    /// The tensors by place; empty if the original is no model.
    pub tensors: Vec<TensorTotal>,
    /// Why the original, which starts as a model, is read as none.
    pub unread: Option<String>,
    /// Bytes that the original should have behind its end by its header; 0 if it is whole.
    pub missing_bytes: u64,
    /// How the planes are coded, by element type and codec.
    pub planes: Vec<PlaneTotal>,
}

/// A tensor and its share of the archive.
#[derive(Debug)]
pub struct TensorTotal {
    /// Name, dtype, shape and place.
    pub tensor: Tensor,
    /// Its share of the stored bytes. A block that holds several tensors is shared by length.
    pub stored_bytes: u64,
    /// How many of its bytes are in blocks that are equal to a base.
    pub equal_bytes: u64,
    /// How many are in blocks that are told by their difference to one.
    pub difference_bytes: u64,
}

impl Inspection {
    /// What the archive says of a tensor that is lossy.
    pub fn fidelity_of(&self, tensor: &Tensor) -> Option<&TensorFidelity> {
        let start = tensor.range.start;
        let bytes = u64::from(tensor.element.bytes());
        let found = self
            .fidelity
            .binary_search_by_key(&start, |record| record.start);
        let found = found.ok().map(|number| &self.fidelity[number]);
        found.filter(|record| record.elements.checked_mul(bytes) == Some(tensor.range.end - start))
    }

    /// The tensors of types that no codec knows, which are packed as bytes.
    pub fn packed_as_bytes(&self) -> impl Iterator<Item = &Tensor> {
        let tensors = self.tensors.iter().map(|total| &total.tensor);
        tensors.filter(|tensor| tensor.element == ElementType::Bytes)
    }
}

/// All planes of one bit field, or of one stream of records, of one element type with one codec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneTotal {
    /// Element type of the extents.
    pub element: &'static str,
    /// Bits of the plane within the rotated element, e.g. `8..16`; `unsplit` for plain bytes; of records the
    /// name of the stream, e.g. `levels`.
    pub bits: String,
    /// The codec.
    pub codec: CodecId,
    /// How many planes.
    pub planes: u64,
    /// Their stored bytes.
    pub stored_bytes: u64,
}

/// Inspects an archive.
///
/// # Errors
/// `Corrupt` if the tables, the header or a block header are damaged.
pub fn inspect(path: &Path, bases: &BaseSearch) -> Result<Inspection> {
    let reader = bases.open(&named_archive(path)?, NonZeroUsize::MIN)?;
    let original = ArchivedFile::new(&reader)?;
    let (tensors, data_end, unread) = match model::read(&original)? {
        Some(header) => (header.tensors, header.data_end, None),
        None => (Vec::new(), 0, model::why_not(&original)?),
    };
    let mut shares = Shares::new(&tensors);
    let (mut equal, mut different) = (Shares::new(&tensors), Shares::new(&tensors));
    let planes = totals(&reader, &mut shares, &mut |range, kinship| {
        let bytes = u32::try_from(range.end - range.start).unwrap_or(u32::MAX);
        let of = |kind| if kinship == Some(kind) { bytes } else { 0 };
        equal.add(range, of(Kinship::Equal));
        different.add(range, of(Kinship::Difference));
    })?;
    let records = reader.base_records()?;
    Ok(Inspection {
        bases: records.into_iter().zip(reader.found_bases()).collect(),
        superblock: *reader.superblock(),
        fidelity: reader.fidelity()?,
        tensors: tensors
            .into_iter()
            .map(|tensor| TensorTotal {
                stored_bytes: shares.bytes(&tensor.range),
                equal_bytes: equal.bytes(&tensor.range),
                difference_bytes: different.bytes(&tensor.range),
                tensor,
            })
            .collect(),
        unread: unread.map(WhyNot::into_text),
        missing_bytes: data_end.saturating_sub(reader.superblock().original_bytes),
        planes,
    })
}

/// Fraction bits of a share of bytes, so that rounding does not add up over many blocks.
const SHARE_BITS: u32 = 16;

/// How many stored bytes lie in front of each place where a tensor starts or ends, a block's being
/// spread evenly over what it decodes to. Any number of tensors may overlap.
struct Shares {
    places: Vec<u64>,
    /// As many as blocks have passed by.
    stored: Vec<u128>,
    all: u128,
}

impl Shares {
    fn new(tensors: &[Tensor]) -> Self {
        let ends = |tensor: &Tensor| [tensor.range.start, tensor.range.end];
        let mut places: Vec<_> = tensors.iter().flat_map(ends).collect();
        places.sort_unstable();
        places.dedup();
        Self {
            stored: Vec::with_capacity(places.len()),
            places,
            all: 0,
        }
    }

    /// Takes the next block.
    fn add(&mut self, range: &Range<u64>, stored_len: u32) {
        let stored = u128::from(stored_len) << SHARE_BITS;
        let len = u128::from(range.end - range.start).max(1);
        while let Some(place) = self.places.get(self.stored.len())
            && *place < range.end
        {
            let before = u128::from(place.saturating_sub(range.start));
            self.stored.push(self.all + stored * before / len);
        }
        self.all += stored;
    }

    fn bytes(&self, range: &Range<u64>) -> u64 {
        let before = |place| {
            let found = self.places.binary_search(place).ok();
            let found = found.and_then(|at| self.stored.get(at));
            found.copied().unwrap_or(self.all)
        };
        let share = before(&range.end).saturating_sub(before(&range.start));
        u64::try_from(share >> SHARE_BITS).unwrap_or(u64::MAX)
    }
}

/// What a plane has of its elements, in the order in which that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// From one bit to another of elements of so many bytes.
    Bits(u8, u8, u8),
    Unsplit(u8),
    /// A stream of records, by number and name.
    Stream(u8, &'static str),
    /// From one bit to another of levels.
    Levels(u8, u8),
    /// Scales of levels.
    Scales,
    /// Differences to a base.
    Differences,
}

impl Part {
    fn of(plane: &PlaneHeader, header: &BlockHeader) -> Self {
        let to = plane.shift.saturating_add(plane.width);
        if header.reference.is_some() {
            return Self::Differences;
        }
        match (header.record, header.grid) {
            (Some((_, form)), _) => Self::stream(form, plane.shift),
            (_, Some(_)) if plane.shift == SCALES_SHIFT => Self::Scales,
            (_, Some(_)) => Self::Levels(plane.shift, to),
            _ if header.planes().len() > 1 => Self::Bits(plane.shift, to, header.element_bytes),
            _ => Self::Unsplit(header.element_bytes),
        }
    }

    fn stream(form: RecordForm, number: u8) -> Self {
        let stream = form.stream(number);
        Self::Stream(number, stream.map_or("unknown", |stream| stream.name))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bits(from, to, _) => write!(f, "{from}..{to}"),
            Self::Unsplit(_) => f.write_str("unsplit"),
            Self::Stream(_, name) => f.write_str(name),
            Self::Levels(from, to) => write!(f, "levels {from}..{to}"),
            Self::Scales => f.write_str("scales"),
            Self::Differences => f.write_str("differences"),
        }
    }
}

fn totals(
    reader: &ArchiveReader,
    shares: &mut Shares,
    kin: &mut impl FnMut(&Range<u64>, Option<Kinship>),
) -> Result<Vec<PlaneTotal>> {
    let mut planes = BTreeMap::new();
    for block in 0..reader.geometry().block_count() {
        let Some(BlockSpan { range, element }) = reader.geometry().block(block) else {
            break;
        };
        let entry = reader.entry(block)?;
        let header = reader.block_header(block)?;
        for plane in header.planes() {
            let part = Part::of(plane, &header);
            let total: &mut (u64, u64) = planes
                .entry((element.code(), element.name(), part, plane.codec))
                .or_default();
            total.0 += 1;
            total.1 += u64::from(plane.stored_len);
        }
        shares.add(&range, entry.stored_len);
        kin(&range, header.reference.map(|(_, rests)| rests.kinship));
    }
    Ok(planes
        .into_iter()
        .map(
            |((_, element, part, codec), (count, stored_bytes))| PlaneTotal {
                element,
                bits: part.to_string(),
                codec,
                planes: count,
                stored_bytes,
            },
        )
        .collect())
}

/// The tensors of the archive's original; none if it is no model.
///
/// # Errors
/// `Corrupt` if the blocks of the header are damaged.
pub(super) fn tensors_of(reader: &ArchiveReader) -> Result<Vec<Tensor>> {
    let header = model::read(&ArchivedFile::new(reader)?)?;
    Ok(header.map_or_else(Vec::new, |header| header.tensors))
}
