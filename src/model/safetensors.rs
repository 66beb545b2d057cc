//! The safetensors header: which bytes of a file are which tensor.
//!
//! A file starts with the length of the header (8 bytes, little-endian), then the header, a JSON
//! object of `name: {dtype, shape, data_offsets}`; offsets count from the end of the header. This
//! parser is lenient where the format is strict (gaps, overlaps, unknown dtypes): the header only
//! advises the compressor, and the file is reproduced byte for byte whatever it says. It reads the
//! header as a stream and holds one tensor at a time.

use std::fmt;
use std::io::BufReader;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::bounds::{MAX_DIMENSIONS, MAX_DTYPE_BYTES, MAX_HEADER_BYTES, MAX_NAME_BYTES};
use super::read_at::{RangeReader, ReadAt};
use super::tensor::{Ends, FoundTensor};
use crate::error::{Error, Result};
use crate::format::ElementType;

/// How the names of such files end.
pub(super) const SUFFIX: &str = "safetensors";
/// Bytes in front of the JSON: its length.
const LENGTH_BYTES: u64 = 8;
/// The entry of the header that is no tensor.
const METADATA: &str = "__metadata__";

/// The length of header and length field together, if the first 8 bytes of a file of `file_bytes`
/// can be those of a safetensors file.
pub(super) fn header_end(first: [u8; 8], file_bytes: u64) -> Option<u64> {
    let len = u64::from_le_bytes(first);
    (2..=MAX_HEADER_BYTES)
        .contains(&len)
        .then(|| LENGTH_BYTES + len)
        .filter(|&end| end <= file_bytes)
}

/// Calls `visit` for each tensor, in the order of the header. `first` is what the file starts with. Of a
/// file that ends too early, tensors are what is there of them.
///
/// # Errors
/// As `ReadAt::read_at`; `NotThisFormat` if it is not the header of a safetensors file.
pub(super) fn read<R: ReadAt + ?Sized>(
    file: &R,
    first: [u8; 8],
    visit: &mut dyn FnMut(&FoundTensor<'_>),
) -> Result<Ends> {
    let file_bytes = file.file_bytes();
    let end = header_end(first, file_bytes)
        .ok_or_else(|| Error::not_this_format("not as long as a safetensors header says"))?;
    let mut reader = RangeReader::new(file, LENGTH_BYTES..end);
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(&mut reader));
    let mut ends = Ends {
        header: end,
        data: end,
    };
    let tensors = Tensors {
        ends: &mut ends,
        file_bytes,
        visit,
    };
    let parsed = json.deserialize_map(tensors).and_then(|()| json.end());
    drop(json);
    match (parsed, reader.failed()) {
        (_, Some(failed)) => Err(failed),
        (Ok(()), None) => Ok(ends),
        (Err(error), None) => Err(Error::not_this_format(format!(
            "not a safetensors header: {error}"
        ))),
    }
}

/// Visits the entries of the header.
struct Tensors<'a> {
    ends: &'a mut Ends,
    file_bytes: u64,
    visit: &'a mut dyn FnMut(&FoundTensor<'_>),
}

impl Tensors<'_> {
    /// Where a tensor lies in the file, as far as that goes.
    fn place(&mut self, (start, end): (u64, u64)) -> Option<Range<u64>> {
        let from = self.ends.header;
        let range = from.checked_add(start)?..from.checked_add(end)?;
        if range.start > range.end {
            return None;
        }
        self.ends.data = self.ends.data.max(range.end);
        Some(range.start.min(self.file_bytes)..range.end.min(self.file_bytes))
    }
}

impl<'de> Visitor<'de> for Tensors<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> std::result::Result<(), M::Error> {
        let mut name = String::new();
        while map
            .next_key_seed(Text::<MAX_NAME_BYTES>(&mut name))?
            .is_some()
        {
            if name == METADATA {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let entry: Entry = map.next_value()?;
            let range = self
                .place(entry.data_offsets)
                .ok_or_else(|| M::Error::custom("a tensor ends before it starts"))?;
            (self.visit)(&FoundTensor {
                name: &name,
                dtype: &entry.dtype.0,
                element: element_of(&entry.dtype.0),
                shape: &entry.shape.0,
                range,
            });
        }
        Ok(())
    }
}

/// The type to store a tensor of this dtype as. A complex number is two `F32`; sub-byte types and those of
/// the future are bytes.
fn element_of(dtype: &str) -> ElementType {
    match dtype {
        "BOOL" => ElementType::Bool,
        "U8" => ElementType::U8,
        "I8" => ElementType::I8,
        "U16" => ElementType::U16,
        "I16" => ElementType::I16,
        "U32" => ElementType::U32,
        "I32" => ElementType::I32,
        "U64" => ElementType::U64,
        "I64" => ElementType::I64,
        "F8_E4M3" | "F8_E4M3FNUZ" => ElementType::F8E4M3,
        "F8_E5M2" | "F8_E5M2FNUZ" => ElementType::F8E5M2,
        "F8_E8M0" => ElementType::F8E8M0,
        "F16" => ElementType::F16,
        "BF16" => ElementType::Bf16,
        "F32" | "C64" => ElementType::F32,
        "F64" => ElementType::F64,
        _ => ElementType::Bytes,
    }
}

#[derive(Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (u64, u64),
}

/// A string of at most `MAX` bytes, in place of what was there.
struct Text<'a, const MAX: usize>(&'a mut String);

impl<'de, const MAX: usize> DeserializeSeed<'de> for Text<'_, MAX> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_str(self)
    }
}

impl<const MAX: usize> Visitor<'_> for Text<'_, MAX> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string of at most {MAX} bytes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<(), E> {
        if text.len() > MAX {
            return Err(E::invalid_length(text.len(), &self));
        }
        self.0.clear();
        self.0.push_str(text);
        Ok(())
    }
}

struct Dtype(String);

impl<'de> Deserialize<'de> for Dtype {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let mut dtype = String::new();
        Text::<MAX_DTYPE_BYTES>(&mut dtype).deserialize(from)?;
        Ok(Self(dtype))
    }
}

/// A shape of a bounded number of dimensions.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Dimensions;
        impl<'de> Visitor<'de> for Dimensions {
            type Value = Shape;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_DIMENSIONS} dimensions")
            }
            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> std::result::Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(elements) = seq.next_element()? {
                    if shape.len() == MAX_DIMENSIONS {
                        return Err(A::Error::invalid_length(shape.len() + 1, &self));
                    }
                    shape.push(elements);
                }
                Ok(Shape(shape))
            }
        }
        from.deserialize_seq(Dimensions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dtypes_are_stored_as_what_their_bytes_are() {
        for &element in ElementType::ALL.iter().filter(|e| !e.is_record()) {
            assert_eq!(element_of(element.name()), element);
        }
        for (dtype, element) in [
            ("C64", ElementType::F32),
            ("F8_E4M3FNUZ", ElementType::F8E4M3),
            ("F8_E5M2FNUZ", ElementType::F8E5M2),
            ("F4", ElementType::Bytes),
            ("", ElementType::Bytes),
        ] {
            assert_eq!(element_of(dtype), element, "{dtype}");
        }
    }
}
