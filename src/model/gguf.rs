//! The GGUF header: which bytes of a file are which tensor.
//!
//! A file starts with the magic, the version (4 bytes), the numbers of tensors and of metadata entries
//! (8 bytes each), all little-endian; then the metadata, then for each tensor its name, shape, type and
//! offset. Offsets count from the end of the header, rounded up to the alignment, which the metadata may
//! set. Strings and arrays have their lengths in front. Versions 2 and 3 are the same but for machines
//! whose bytes are the other way round, which are not read.
//!
//! The file does not say how long its header is, so this reader never asks for more than what must still
//! come: it reads front to back, nothing twice and nothing of the tensors. Metadata is passed over. What is
//! said of the tensors is held, for where the first one lies is known behind the last one's entry.

use std::ops::Range;

use super::bounds::{
    MAX_ALIGNMENT, MAX_ARRAY_DEPTH, MAX_DIMENSIONS, MAX_HEADER_BYTES, MAX_NAME_BYTES,
    MAX_TENSOR_TABLE_BYTES,
};
use super::ggml::GgmlType;
use super::read_at::ReadAt;
use super::tensor::{Ends, FoundTensor};
use crate::error::{Error, Result};
use crate::format::ElementType;

const MAGIC: [u8; 4] = *b"GGUF";
/// How the names of such files end.
pub(super) const SUFFIX: &str = "gguf";

/// The entry of the metadata that says what places of tensors are multiples of.
const ALIGNMENT: &[u8] = b"general.alignment";
const DEFAULT_ALIGNMENT: u32 = 32;

/// Least bytes of a metadata entry: the length of its key, the type, a value of one byte.
const ENTRY_BYTES: u64 = 8 + 4 + 1;
/// Least bytes of a tensor: the length of its name, the number of dimensions, type, offset.
const TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;

const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
/// Least bytes of an array in an array: the type of its elements, and their number.
const ARRAY_BYTES: u64 = 4 + 8;

/// Whether a file starts as these do.
pub(super) fn is_start(first: [u8; 8]) -> bool {
    first.starts_with(&MAGIC)
}

/// Calls `visit` for each tensor, in the order of the header. `first` is what the file starts with. Of a
/// file that ends too early, tensors are what is there of them.
///
/// # Errors
/// As `ReadAt::read_at`; `NotThisFormat` if it is not the header of a GGUF file, or of one that is not read.
pub(super) fn read<R: ReadAt + ?Sized>(
    file: &R,
    first: [u8; 8],
    visit: &mut dyn FnMut(&FoundTensor<'_>),
) -> Result<Ends> {
    check_version(first)?;
    let file_bytes = file.file_bytes();
    let mut fields = Fields::new(file, first.len() as u64..file_bytes.min(MAX_HEADER_BYTES));
    let (tensors, entries) = (fields.u64()?, fields.u64()?);
    fields.expect(tensors, TENSOR_BYTES)?;
    fields.expect(entries, ENTRY_BYTES)?;
    let alignment = metadata(&mut fields, entries)?;

    let mut entry = Entry::default();
    let mut offsets = Vec::new();
    fields.kept = Some(Vec::new());
    for _ in 0..tensors {
        fields.owed -= TENSOR_BYTES;
        entry.read(&mut fields)?;
        offsets.push(entry.offset);
    }
    let table = fields.kept.take().unwrap_or_default();
    let end = fields.position();
    if tensors == 0 {
        return Ok(Ends {
            header: end,
            data: end,
        });
    }

    offsets.sort_unstable();
    let start = end.next_multiple_of(alignment.into());
    let mut places = Places {
        start,
        file_bytes,
        offsets,
        end: start,
    };
    let mut fields = Fields::new(&table[..], 0..table.len() as u64);
    for _ in 0..tensors {
        entry.read(&mut fields)?;
        visit_entry(&mut entry, &mut places, visit)?;
    }
    Ok(Ends {
        header: start.min(file_bytes),
        data: places.end,
    })
}

/// # Errors
/// `NotThisFormat` for a version or byte order that is not read.
pub(super) fn check_version(first: [u8; 8]) -> Result<()> {
    let [.., a, b, c, d] = first;
    match u32::from_le_bytes([a, b, c, d]) {
        2 | 3 => Ok(()),
        // The same test as llama.cpp's: no version is that far.
        version if version > 0 && version & 0xFFFF == 0 => {
            Err(malformed("GGUF of big-endian machines is not read"))
        }
        version => Err(malformed(format!("GGUF version {version} is not read"))),
    }
}

fn malformed(what: impl Into<String>) -> Error {
    Error::not_this_format(what)
}

/// Passes over the metadata, but for the alignment, which it returns.
fn metadata<R: ReadAt + ?Sized>(fields: &mut Fields<'_, R>, entries: u64) -> Result<u32> {
    let mut alignment = None;
    for _ in 0..entries {
        fields.owed -= ENTRY_BYTES;
        let key_bytes = fields.u64()?;
        let is_alignment = if key_bytes == ALIGNMENT.len() as u64 {
            fields.take(ALIGNMENT.len())? == ALIGNMENT
        } else {
            fields.skip(key_bytes)?;
            false
        };
        let kind = fields.u32()?;
        if !is_alignment {
            skip_value(fields, kind, 0)?;
            continue;
        }
        if kind != U32 || alignment.is_some() {
            return Err(malformed("the alignment of a GGUF file is one u32"));
        }
        alignment = Some(fields.u32()?);
    }
    let alignment = alignment.unwrap_or(DEFAULT_ALIGNMENT);
    // llama.cpp takes powers of two, the specification multiples of 8.
    let is_sound = alignment.is_power_of_two() || alignment.is_multiple_of(8);
    if alignment == 0 || alignment > MAX_ALIGNMENT || !is_sound {
        return Err(malformed(format!(
            "a GGUF file cannot be aligned to {alignment} bytes"
        )));
    }
    Ok(alignment)
}

fn skip_value<R: ReadAt + ?Sized>(
    fields: &mut Fields<'_, R>,
    kind: u32,
    depth: usize,
) -> Result<()> {
    match kind {
        STRING => {
            let len = fields.u64()?;
            fields.skip(len)
        }
        ARRAY => skip_array(fields, depth + 1),
        _ => fields.skip(number_bytes(kind)?),
    }
}

fn skip_array<R: ReadAt + ?Sized>(fields: &mut Fields<'_, R>, depth: usize) -> Result<()> {
    if depth > MAX_ARRAY_DEPTH {
        return Err(malformed("arrays of GGUF metadata are nested too deeply"));
    }
    let (kind, count) = (fields.u32()?, fields.u64()?);
    let least_bytes = match kind {
        STRING => 8,
        ARRAY => ARRAY_BYTES,
        _ => return fields.skip(count.saturating_mul(number_bytes(kind)?)),
    };
    fields.expect(count, least_bytes)?;
    for _ in 0..count {
        fields.owed -= least_bytes;
        skip_value(fields, kind, depth)?;
    }
    Ok(())
}

/// Bytes of a number or truth value in metadata.
fn number_bytes(kind: u32) -> Result<u64> {
    match kind {
        // u8, i8, bool
        0 | 1 | 7 => Ok(1),
        // u16, i16
        2 | 3 => Ok(2),
        // u32, i32, f32
        U32 | 5 | 6 => Ok(4),
        // u64, i64, f64
        10..=12 => Ok(8),
        _ => Err(malformed(format!("GGUF metadata of unknown type {kind}"))),
    }
}

/// What the header says of a tensor.
#[derive(Default)]
struct Entry {
    name: Vec<u8>,
    /// The dimension whose elements are neighbours first, as in the file.
    shape: Vec<u64>,
    kind: u32,
    offset: u64,
}

impl Entry {
    /// Reads the next one in place of what was there.
    fn read<R: ReadAt + ?Sized>(&mut self, fields: &mut Fields<'_, R>) -> Result<()> {
        let name_bytes = usize::try_from(fields.u64()?).unwrap_or(usize::MAX);
        if name_bytes > MAX_NAME_BYTES {
            return Err(malformed("the name of a tensor is too long"));
        }
        self.name.clear();
        self.name.extend_from_slice(fields.take(name_bytes)?);
        let dimensions = fields.u32()? as usize;
        if dimensions > MAX_DIMENSIONS {
            return Err(malformed("a tensor has too many dimensions"));
        }
        let (shape, _) = fields.take(8 * dimensions)?.as_chunks();
        self.shape.clear();
        self.shape
            .extend(shape.iter().map(|&len| u64::from_le_bytes(len)));
        self.kind = fields.u32()?;
        self.offset = fields.u64()?;
        Ok(())
    }
}

fn visit_entry(
    entry: &mut Entry,
    places: &mut Places,
    visit: &mut dyn FnMut(&FoundTensor<'_>),
) -> Result<()> {
    entry.shape.reverse();
    let name = String::from_utf8_lossy(&entry.name);
    let known = GgmlType::of(entry.kind);
    let unknown = format!("type {}", entry.kind);
    let range = match known {
        Some(known) => known
            .tensor_bytes(&entry.shape)
            .and_then(|len| places.range(entry.offset, len)),
        None => places.up_to_the_next(entry.offset),
    };
    let range = range.ok_or_else(|| {
        malformed(format!(
            "tensor {name:.100} cannot have the shape {:?} and offset {}",
            entry.shape, entry.offset
        ))
    })?;
    visit(&FoundTensor {
        name: &name,
        dtype: known.map_or(&unknown, |known| known.name),
        element: known.map_or(ElementType::Bytes, |known| known.element),
        shape: &entry.shape,
        range,
    });
    Ok(())
}

/// Where tensors lie in a file.
struct Places {
    /// What offsets count from.
    start: u64,
    file_bytes: u64,
    /// Of all tensors, sorted.
    offsets: Vec<u64>,
    /// Where the last one ends of those that were placed.
    end: u64,
}

impl Places {
    /// The range of a tensor as far as the file goes.
    fn range(&mut self, offset: u64, len: u64) -> Option<Range<u64>> {
        let start = self.start.checked_add(offset)?;
        let end = start.checked_add(len)?;
        self.end = self.end.max(end);
        Some(start.min(self.file_bytes)..end.min(self.file_bytes))
    }

    /// The range of a tensor of unknown length: up to where another one starts, or to the end of the file.
    fn up_to_the_next(&mut self, offset: u64) -> Option<Range<u64>> {
        let next = self.offsets.partition_point(|&other| other <= offset);
        if let Some(next) = self.offsets.get(next) {
            return self.range(offset, next - offset);
        }
        let start = self.range(offset, 0)?.start;
        Some(start..self.file_bytes)
    }
}

/// Bytes that are asked of the file at once, where so many must still come.
const ENOUGH_BYTES: u64 = 16 << 10;

/// The fields of a header, one behind the other.
struct Fields<'a, R: ?Sized> {
    file: &'a R,
    /// What is to be read of the file.
    rest: Range<u64>,
    /// What was read before it; of that, what comes next.
    buffer: Vec<u8>,
    next: usize,
    /// Bytes that must come behind the fields which are being read, by what was read before.
    owed: u64,
    /// What was taken, if it is to be kept.
    kept: Option<Vec<u8>>,
}

impl<'a, R: ReadAt + ?Sized> Fields<'a, R> {
    const fn new(file: &'a R, rest: Range<u64>) -> Self {
        Self {
            file,
            rest,
            buffer: Vec::new(),
            next: 0,
            owed: 0,
            kept: None,
        }
    }

    const fn buffered(&self) -> usize {
        self.buffer.len() - self.next
    }

    const fn position(&self) -> u64 {
        self.rest.start - self.buffered() as u64
    }

    /// An error unless so many bytes can come in front of those that are owed.
    fn check(&self, len: u64) -> Result<()> {
        let left = self.rest.end.saturating_sub(self.position());
        if left.checked_sub(self.owed).is_none_or(|free| free < len) {
            return Err(malformed(
                "the header of a GGUF file does not end with the file, or is longer than any",
            ));
        }
        Ok(())
    }

    /// Owes `count` parts of at least so many bytes.
    fn expect(&mut self, count: u64, least_bytes: u64) -> Result<()> {
        let bytes = count.saturating_mul(least_bytes);
        self.check(bytes)?;
        self.owed += bytes;
        Ok(())
    }

    fn take(&mut self, len: usize) -> Result<&[u8]> {
        self.check(len as u64)?;
        if self.buffered() < len {
            let missing = (len - self.buffered()) as u64;
            let more = missing.max(ENOUGH_BYTES).min(missing + self.owed);
            self.buffer.drain(..self.next);
            self.next = 0;
            let old = self.buffer.len();
            // At most what is left of a header, by `check`; of names and shapes, a bounded length.
            self.buffer
                .resize(old + usize::try_from(more).unwrap_or(len), 0);
            self.file
                .read_at(&mut self.buffer[old..], self.rest.start)?;
            self.rest.start += (self.buffer.len() - old) as u64;
        }
        let taken = &self.buffer[self.next..self.next + len];
        self.next += len;
        if let Some(kept) = &mut self.kept {
            if kept.len() + len > MAX_TENSOR_TABLE_BYTES {
                return Err(malformed("a GGUF file has too many tensors"));
            }
            kept.extend_from_slice(taken);
        }
        Ok(taken)
    }

    /// Passes over bytes, which are not even read if there are many.
    fn skip(&mut self, len: u64) -> Result<()> {
        self.check(len)?;
        let buffered = usize::try_from(len).map_or(self.buffered(), |len| len.min(self.buffered()));
        self.next += buffered;
        self.rest.start += len - buffered as u64;
        Ok(())
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN]> {
        let mut bytes = [0; LEN];
        bytes.copy_from_slice(self.take(LEN)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
#[path = "../../tests/support/gguf.rs"]
mod written;

#[cfg(test)]
mod tests {
    use super::super::header::{self, Header, read, why_not};
    use super::super::read_at::tests::Made;
    use super::super::tensor::Tensor;
    use super::written::{GgufWriter, Value, array_value, every_value, string_value, u32_value};
    use super::*;
    use proptest::prelude::*;

    fn model(file: &[u8]) -> Header {
        read(file).unwrap().unwrap()
    }

    /// A file with an entry of every kind, and three tensors.
    fn sound() -> (Vec<u8>, usize) {
        let mut file = GgufWriter::new();
        for (number, value) in every_value().into_iter().enumerate() {
            file.entry(&format!("key.{number}"), value);
        }
        file.tensor("norm", 0, &[5], &[1; 20]);
        file.tensor("w", 12, &[2, 256], &[2; 288]);
        file.tensor("scalar", 27, &[], &[3; 8]);
        let (header, mut data) = file.finish();
        data.truncate(32 + 288 + 8);
        ([&header[..], &data].concat(), header.len())
    }

    /// Why a file with one tensor is no model.
    fn why(change: impl FnOnce(&mut GgufWriter)) -> String {
        let mut file = GgufWriter::new();
        file.tensor("w", 0, &[5], &[1; 20]);
        change(&mut file);
        let (header, data) = file.finish();
        let file = [header, data].concat();
        assert_eq!(read(&file[..]).unwrap(), None);
        why_not(&file[..]).unwrap().unwrap().into_text()
    }

    #[test]
    fn tensors_come_with_types_shapes_and_places() {
        for (version, alignment) in [(2, 32), (3, 32), (3, 8), (3, 40), (3, 1), (3, 1 << 21)] {
            let mut file = GgufWriter::new();
            (file.version, file.alignment) = (version, alignment);
            file.entry("general.alignment", u32_value(alignment));
            file.tensor("a", 14, &[3, 512], &[1; 6 * 210]);
            file.tensor("b", 1, &[7], &[2; 14]);
            let (header, data) = file.finish();
            let found = model(&[&header[..], &data].concat());
            let start = header.len() as u64;
            assert_eq!((found.format.name(), found.end), ("GGUF", start));
            let b = start + 1260u64.next_multiple_of(alignment.into());
            assert_eq!(found.data_end, b + 14);
            let [one, other] = &found.tensors[..] else {
                panic!("{found:?}")
            };
            assert_eq!((one.name.as_str(), one.dtype.as_str()), ("a", "Q6_K"));
            assert_eq!(
                (one.element, &one.shape[..]),
                (ElementType::Q6K, &[3, 512][..])
            );
            assert_eq!(one.range, start..start + 1260);
            assert_eq!(
                (other.dtype.as_str(), other.range.clone()),
                ("F16", b..b + 14)
            );
        }
    }

    #[test]
    fn a_file_without_tensors_ends_with_its_metadata() {
        let mut file = GgufWriter::new();
        file.alignment = 1;
        file.entry("a", string_value(b"vocabulary"));
        let (header, _) = file.finish();
        let found = model(&header);
        assert_eq!(
            (found.end, found.data_end),
            (header.len() as u64, found.end)
        );
    }

    #[test]
    fn tensors_lie_where_their_offsets_say() {
        let mut file = GgufWriter::new();
        file.tensor_at("last", 24, &[10], 90);
        file.tensor_at("over", 24, &[70], 30);
        file.tensor_at("first", 24, &[40], 0);
        file.tensor_at("behind", 24, &[5], 1000);
        file.tensor_at("partly", 24, &[50], 95);
        let (mut header, _) = file.finish();
        let start = header.len() as u64;
        header.resize(header.len() + 100, 0);
        let found = model(&header);
        let places: Vec<_> = found
            .tensors
            .iter()
            .map(|t| (t.name.as_str(), t.range.start - start, t.range.end - start))
            .collect();
        let expected = [
            ("first", 0, 40),
            ("over", 30, 100),
            ("last", 90, 100),
            ("partly", 95, 100),
            ("behind", 100, 100),
        ];
        assert_eq!(places, expected);
        assert_eq!(found.data_end, start + 1005);
    }

    #[test]
    fn a_tensor_of_an_unknown_type_reaches_to_the_next_one() {
        let mut file = GgufWriter::new();
        file.tensor_at("last", 1000, &[10, 3], 90);
        file.tensor_at("b", 0, &[5], 30);
        file.tensor_at("a", 31, &[40], 0);
        file.tensor_at("beside", 0, &[1], 0);
        let (mut header, _) = file.finish();
        let start = header.len() as u64;
        header.resize(header.len() + 100, 0);
        let found = model(&header);
        assert_eq!(found.data_end, start + 90);
        let a = found.tensors.iter().find(|t| t.name == "a").unwrap();
        assert_eq!(
            (a.dtype.as_str(), a.range.clone()),
            ("type 31", start..start + 30)
        );
        let last = found.tensors.last().unwrap();
        assert_eq!(
            (last.element, &last.shape[..]),
            (ElementType::Bytes, &[10, 3][..])
        );
        assert_eq!(last.range, start + 90..start + 100);
    }

    #[test]
    fn what_is_not_read_says_why() {
        let with_version = |version| why(move |file| file.version = version);
        assert_eq!(with_version(1), "GGUF version 1 is not read");
        assert_eq!(with_version(4), "GGUF version 4 is not read");
        assert_eq!(with_version(0), "GGUF version 0 is not read");
        assert!(with_version(3 << 24).contains("big-endian"));
        for alignment in [0, 12, (1 << 21) + 8, u32::MAX] {
            let change =
                |file: &mut GgufWriter| file.entry("general.alignment", u32_value(alignment));
            assert!(why(change).contains(&format!("aligned to {alignment} ")));
        }
        let is_one = "the alignment of a GGUF file is one u32";
        assert_eq!(
            why(|file| file.entry("general.alignment", (5, vec![32, 0, 0, 0]))),
            is_one
        );
        let twice = |file: &mut GgufWriter| {
            file.entry("general.alignment", u32_value(32));
            file.entry("general.alignment", u32_value(32));
        };
        assert_eq!(why(twice), is_one);
        for kind in [13, u32::MAX] {
            let unknown = format!("GGUF metadata of unknown type {kind}");
            assert_eq!(why(|file| file.entry("a", (kind, vec![0; 100]))), unknown);
            assert_eq!(why(|file| file.entry("a", array_value(kind, &[]))), unknown);
        }
        let nested =
            |depth| (1..depth).fold(array_value(0, &[]), |value, _| array_value(9, &[value]));
        assert!(why(|file| file.entry("a", nested(MAX_ARRAY_DEPTH + 1))).contains("too deeply"));
        assert!(why(|file| file.entry("a", nested(1000))).contains("too deeply"));
        let name = "n".repeat(MAX_NAME_BYTES + 1);
        assert!(why(|file| file.tensor_at(&name, 0, &[], 0)).contains("too long"));
        let shape = [1; MAX_DIMENSIONS + 1];
        assert!(why(|file| file.tensor_at("a", 0, &shape, 0)).contains("too many dimensions"));
        for (kind, shape, offset) in [
            (12, &[2, 128][..], 0),
            (12, &[], 0),
            (0, &[u64::MAX, 2], 0),
            (0, &[u64::MAX], 0),
            (0, &[1], u64::MAX - 10),
            (0, &[1 << 61], 1 << 63),
            (1000, &[1], u64::MAX - 10),
        ] {
            let why = why(|file| file.tensor_at("odd one", kind, shape, offset));
            assert!(
                why.starts_with("tensor odd one cannot have the shape"),
                "{why}"
            );
        }
        assert_eq!(why_not(&sound().0[..]).unwrap(), None);
        assert_eq!(why_not(&b"GGUF"[..]).unwrap(), None);
        assert_eq!(why_not(&b"no model at all"[..]).unwrap(), None);
    }

    #[test]
    fn names_and_dimensions_at_their_bounds_are_read() {
        let mut file = GgufWriter::new();
        let (name, shape) = ("n".repeat(MAX_NAME_BYTES), [1; MAX_DIMENSIONS]);
        file.tensor_at(&name, 0, &shape, 0);
        file.entry(
            "a",
            (1..MAX_ARRAY_DEPTH).fold(array_value(0, &[]), |value, _| array_value(9, &[value])),
        );
        let found = model(&file.finish().0);
        assert_eq!(
            (&found.tensors[0].name, &found.tensors[0].shape[..]),
            (&name, &shape[..])
        );
    }

    #[test]
    fn lengths_and_numbers_beyond_the_file_cost_nothing() {
        let start = |tensors: u64, entries: u64| {
            let parts = [
                &b"GGUF\x03\0\0\0"[..],
                &tensors.to_le_bytes(),
                &entries.to_le_bytes(),
            ];
            parts.concat()
        };
        let huge = [1 << 40, u64::MAX / 24, u64::MAX / 13 + 1, u64::MAX];
        let mut hostile = Vec::new();
        for number in huge {
            hostile.extend([start(number, 0), start(0, number), start(number, number)]);
            let entry = |value: Value| {
                let parts = [
                    &1u64.to_le_bytes()[..],
                    b"k",
                    &value.0.to_le_bytes(),
                    &value.1,
                ];
                [start(1, 1), parts.concat()].concat()
            };
            let sized = number.to_le_bytes().to_vec();
            hostile.push([start(1, 1), sized.clone()].concat());
            hostile.push([start(1, 0), sized.clone()].concat());
            hostile.push(entry((STRING, sized.clone())));
            for kind in [0, STRING, ARRAY, 12] {
                hostile.push(entry((
                    ARRAY,
                    [u32::to_le_bytes(kind).to_vec(), sized.clone()].concat(),
                )));
            }
        }
        for mut bytes in hostile {
            bytes.resize(1000, 0);
            // In a short file, and in one that goes on for ever.
            assert_eq!(read(&bytes[..]).unwrap(), None);
            let file = Made {
                file_bytes: u64::MAX,
                ..Made::new(bytes)
            };
            assert_eq!(read(&file).unwrap(), None);
            assert!(file.furthest.get() < 100 && file.reads.get() < 10);
        }
    }

    #[test]
    fn a_table_of_too_many_tensors_is_not_held() {
        let mut file = GgufWriter::new();
        let name = "n".repeat((1 << 16) - 24);
        for _ in 0..MAX_TENSOR_TABLE_BYTES >> 16 {
            file.tensor_at(&name, 0, &[], 0);
        }
        assert_eq!(
            model(&file.finish().0).tensors.len(),
            MAX_TENSOR_TABLE_BYTES >> 16
        );
        file.tensor_at("", 0, &[], 0);
        let why = why_not(&file.finish().0[..]).unwrap().unwrap();
        let why = why.into_text();
        assert!(why.contains("too many tensors"), "{why}");
    }

    #[test]
    fn of_a_file_that_ends_too_early_the_tensors_are_what_is_there() {
        let (whole, start) = sound();
        let complete = model(&whole);
        for len in 0..whole.len() {
            let found = read(&whole[..len]).unwrap();
            let Some(found) = found else {
                assert!(len < start, "{len}");
                continue;
            };
            // The padding in front of the tensors may be missing.
            assert!(len + 32 > start, "{len}");
            assert_eq!(found.data_end, complete.data_end);
            assert_eq!(found.end, start.min(len) as u64);
            for complete in &complete.tensors {
                let there = |at: u64| at.min(len as u64);
                let expected = there(complete.range.start)..there(complete.range.end);
                let found = found.tensors.iter().find(|t| t.name == complete.name);
                assert_eq!(found.unwrap().range, expected);
            }
        }
    }

    #[test]
    fn a_header_is_read_once_and_nothing_behind_it() {
        let mut file = GgufWriter::new();
        let tokens: Vec<_> = (0..100_000)
            .map(|i| string_value(&[b't'; 5][..i % 6]))
            .collect();
        file.entry("tokens", array_value(STRING, &tokens));
        file.entry("scores", array_value(6, &vec![(6, vec![0; 4]); 100_000]));
        for number in 0..500 {
            file.tensor(&format!("blk.{number}.weight"), 0, &[8], &[7; 32]);
        }
        let (header, data) = file.finish();
        let file = Made::new([&header[..], &data].concat());
        let found = read(&file).unwrap().unwrap();
        assert_eq!((found.end, found.tensors.len()), (header.len() as u64, 500));
        assert!(file.furthest.get() <= found.end);
        // Numbers are not read at all.
        assert!(file.reads.get() < 110, "{}", file.reads.get());
    }

    #[test]
    fn an_error_of_the_file_is_that_error_and_not_another_format() {
        let (whole, start) = sound();
        let last = whole[..start].iter().rposition(|&byte| byte != 0).unwrap();
        for fails_from in 0..last as u64 {
            let file = Made {
                fails_from,
                ..Made::new(whole.clone())
            };
            let error = read(&file).unwrap_err();
            assert_eq!(error.to_string(), Error::corrupt("made up").to_string());
        }
    }

    proptest! {
        #[test]
        fn headers_that_were_written_are_read(
            version in 2u32..=3,
            alignment in prop::sample::select(vec![None, Some(8), Some(24), Some(64), Some(4096)]),
            entries in prop::collection::vec(
                ("[a-z.\u{e9}]{0,20}", prop::sample::select(every_value())), 0..20),
            tensors in prop::collection::vec(
                ("[a-z.0-9\u{e9}]{0,20}", prop::sample::select(vec![0u32, 8, 13, 39, 40, 30]),
                 prop::collection::vec(0u64..4, 0..4)), 0..20),
        ) {
            let mut file = GgufWriter::new();
            file.version = version;
            for (key, value) in entries {
                file.entry(&key, value);
            }
            if let Some(alignment) = alignment {
                file.alignment = alignment;
                file.entry("general.alignment", u32_value(alignment));
            }
            let tensors: Vec<_> = tensors.into_iter().map(|(name, kind, mut shape)| {
                let known = GgmlType::of(kind).unwrap();
                shape.push(2 * known.block_elements);
                let len = known.tensor_bytes(&shape).unwrap();
                file.tensor(&name, kind, &shape, &vec![1; usize::try_from(len).unwrap()]);
                (name, known, shape, len)
            }).collect();
            let (header, data) = file.finish();
            let whole = [&header[..], &data].concat();
            let keep = |found: &FoundTensor<'_>| Some(Tensor::from(found));
            let found = header::read_keeping(&whole[..], keep).unwrap().unwrap();
            if !tensors.is_empty() {
                prop_assert_eq!(found.end, header.len() as u64);
            }
            prop_assert_eq!(found.tensors.len(), tensors.len());
            let mut at = found.end;
            for (found, (name, known, shape, len)) in found.tensors.iter().zip(&tensors) {
                prop_assert_eq!((&found.name, &found.dtype[..]), (name, known.name));
                prop_assert_eq!((found.element, &found.shape), (known.element, shape));
                prop_assert_eq!(&found.range, &(at..at + len));
                at += len.next_multiple_of(file.alignment.into());
            }
        }

        #[test]
        fn whatever_a_header_holds_its_tensors_lie_in_the_file(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let (mut file, _) = sound();
            for (at, byte) in edits {
                let at = at.index(file.len());
                file[at] = byte;
            }
            file.truncate(file.len() - cut.index(file.len()) / 4);
            if let Some(header) = read(&file[..]).unwrap().filter(|h| h.format.suffix() == SUFFIX) {
                prop_assert!(header.end <= file.len() as u64);
                for tensor in &header.tensors {
                    prop_assert!(header.end <= tensor.range.start);
                    prop_assert!(tensor.range.start <= tensor.range.end);
                    prop_assert!(tensor.range.end <= file.len() as u64);
                }
            }
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let file = [b"GGUF\x03\0\0\0", &bytes[..]].concat();
            let _ = read(&file[..]).unwrap();
            let _ = why_not(&file[..]).unwrap();
        }
    }
}
