//! The safetensors header: which bytes of a file are which tensor.
//!
//! A file starts with the length of the header (8 bytes, little-endian), then the header, a JSON
//! object of `name: {dtype, shape, data_offsets}`; offsets count from the end of the header. This
//! parser is lenient where the format is strict (gaps, overlaps, unknown dtypes): the header only
//! advises the compressor, and the file is reproduced byte for byte whatever it says.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::error::{Error, Result};
use crate::format::ElementType;

/// Most bytes of a header: the limit of the safetensors library itself.
pub const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Most dimensions of a tensor that are kept; frameworks end far below.
const MAX_DIMENSIONS: usize = 64;

/// The tensors of a file, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// The dtype as the header spells it.
    pub dtype: String,
    /// Elements in each dimension.
    pub shape: Vec<u64>,
    /// Where it lies in the file (counted from the start of the file).
    pub range: Range<u64>,
}

/// A run of bytes with one element type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedRange {
    /// Where it lies in the file.
    pub range: Range<u64>,
    /// What it holds.
    pub element: ElementType,
    /// The length of its last dimension, if it has two or more.
    pub columns: Option<u64>,
}

/// The length of header and length field together, if the first 8 bytes of a file of `file_bytes`
/// can be those of a safetensors file.
pub fn header_end(first: [u8; 8], file_bytes: u64) -> Option<u64> {
    let len = u64::from_le_bytes(first);
    (2..=MAX_HEADER_BYTES)
        .contains(&len)
        .then(|| 8 + len)
        .filter(|&end| end <= file_bytes)
}

/// The element types of the tensors in a header, sorted by place. Names are not kept.
///
/// `header` yields the JSON alone; `data_start` is where it ends in a file of `file_bytes`.
///
/// # Errors
/// `Io` if reading fails, `NotThisFormat` if it is not the header of a safetensors file.
pub fn typed_ranges(
    header: impl Read,
    data_start: u64,
    file_bytes: u64,
) -> Result<Vec<TypedRange>> {
    let mut ranges = Vec::new();
    parse(
        header,
        |_: Anonymous, dtype: Dtype, shape: Shape, offsets| {
            let range = place(offsets, data_start, file_bytes)?;
            ranges.push(TypedRange {
                range,
                element: dtype.0,
                columns: (shape.0.len() > 1)
                    .then(|| shape.0.last().copied())
                    .flatten(),
            });
            Some(())
        },
    )?;
    ranges.sort_by_key(|typed| (typed.range.start, typed.range.end));
    Ok(ranges)
}

/// The tensors in a header, sorted by place. Parameters and errors as for `typed_ranges`.
///
/// # Errors
/// As `typed_ranges`.
pub fn tensors(header: impl Read, data_start: u64, file_bytes: u64) -> Result<Vec<Tensor>> {
    let mut tensors = Vec::new();
    parse(
        header,
        |name: String, dtype: String, shape: Shape, offsets| {
            tensors.push(Tensor {
                name,
                dtype,
                shape: shape.0,
                range: place(offsets, data_start, file_bytes)?,
            });
            Some(())
        },
    )?;
    tensors.sort_by(|a, b| {
        (a.range.start, a.range.end, &a.name).cmp(&(b.range.start, b.range.end, &b.name))
    });
    Ok(tensors)
}

fn place((start, end): (u64, u64), data_start: u64, file_bytes: u64) -> Option<Range<u64>> {
    let range = data_start.checked_add(start)?..data_start.checked_add(end)?;
    (range.start <= range.end && range.end <= file_bytes).then_some(range)
}

/// Calls `tensor` with name, dtype, shape and offsets of each tensor; it returns `None` to refuse.
fn parse<K, D, S>(
    header: impl Read,
    tensor: impl FnMut(K, D, S, (u64, u64)) -> Option<()>,
) -> Result<()>
where
    K: Key,
    D: for<'de> Deserialize<'de>,
    S: for<'de> Deserialize<'de>,
{
    let mut json = serde_json::Deserializer::from_reader(io::BufReader::new(header));
    let visitor = HeaderVisitor {
        tensor,
        kinds: std::marker::PhantomData,
    };
    json.deserialize_map(visitor)
        .and_then(|()| json.end())
        .map_err(|error| match error.io_error_kind() {
            Some(_) => Error::io("cannot read the safetensors header", error.into()),
            None => Error::not_this_format(format!("not a safetensors header: {error}")),
        })
}

struct HeaderVisitor<F, K, D, S> {
    tensor: F,
    kinds: std::marker::PhantomData<(K, D, S)>,
}

#[derive(Deserialize)]
struct Info<D, S> {
    dtype: D,
    shape: S,
    data_offsets: (u64, u64),
}

impl<'de, F, K, D, S> Visitor<'de> for HeaderVisitor<F, K, D, S>
where
    F: FnMut(K, D, S, (u64, u64)) -> Option<()>,
    K: Key,
    D: Deserialize<'de>,
    S: Deserialize<'de>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> std::result::Result<(), M::Error> {
        while let Some(name) = map.next_key::<K>()? {
            if name.is_metadata() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let info: Info<D, S> = map.next_value()?;
            (self.tensor)(name, info.dtype, info.shape, info.data_offsets)
                .ok_or_else(|| serde::de::Error::custom("a tensor lies outside the file"))?;
        }
        Ok(())
    }
}

/// A key of the header: a tensor's name, or the entry that is none.
trait Key: for<'de> Deserialize<'de> {
    fn is_metadata(&self) -> bool;
}

const METADATA: &str = "__metadata__";

impl Key for String {
    fn is_metadata(&self) -> bool {
        self == METADATA
    }
}

/// A name that is not kept, so that its length costs nothing.
struct Anonymous {
    is_metadata: bool,
}

impl Key for Anonymous {
    fn is_metadata(&self) -> bool {
        self.is_metadata
    }
}

impl<'de> Deserialize<'de> for Anonymous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_str(StrVisitor(|name: &str| Self {
            is_metadata: name == METADATA,
        }))
    }
}

/// Makes a value of a string that is not kept.
struct StrVisitor<F>(F);

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for StrVisitor<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<T, E> {
        Ok((self.0)(text))
    }
}

/// A dtype, reduced to the element type it is stored as.
struct Dtype(ElementType);

impl<'de> Deserialize<'de> for Dtype {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_str(StrVisitor(|dtype: &str| {
            Self(ElementType::from_dtype(dtype))
        }))
    }
}

/// A shape of a bounded number of dimensions.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct ShapeVisitor;
        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = Shape;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_DIMENSIONS} dimensions")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> std::result::Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(elements) = seq.next_element()? {
                    if shape.len() == MAX_DIMENSIONS {
                        return Err(serde::de::Error::invalid_length(shape.len() + 1, &self));
                    }
                    shape.push(elements);
                }
                Ok(Shape(shape))
            }
        }
        deserializer.deserialize_seq(ShapeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"__metadata__":{"format":"pt"},
        "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
        "a":{"dtype":"F4","shape":[8],"data_offsets":[0,4]},
        "scalar":{"dtype":"I64","shape":[],"data_offsets":[16,24]}}"#;

    #[test]
    fn tensors_come_sorted_by_place_with_absolute_ranges() {
        let found = tensors(HEADER.as_bytes(), 100, 124).unwrap();
        let names: Vec<_> = found.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "scalar"]);
        assert_eq!(found[1].range, 104..116);
        assert_eq!(found[1].shape, [2, 3]);
        let typed = typed_ranges(HEADER.as_bytes(), 100, 124).unwrap();
        assert_eq!(typed[0].element, ElementType::Bytes);
        assert_eq!(typed[2].element, ElementType::I64);
    }

    #[test]
    fn what_is_not_a_header_is_refused() {
        for (json, file_bytes) in [
            (HEADER, 123),
            ("[]", 200),
            ("{", 200),
            ("{} x", 200),
            (r#"{"a":{"dtype":"F32","shape":[1]}}"#, 200),
            (
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
                200,
            ),
            (
                r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
                200,
            ),
            (
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}"#,
                200,
            ),
        ] {
            assert!(tensors(json.as_bytes(), 100, file_bytes).is_err(), "{json}");
        }
        assert_eq!(header_end(2u64.to_le_bytes(), 10), Some(10));
        assert_eq!(header_end(2u64.to_le_bytes(), 9), None);
        assert_eq!(header_end(u64::MAX.to_le_bytes(), u64::MAX), None);
    }
}
