//! Tensors: as a header tells them, and what is kept of them.

use std::ops::Range;

use crate::format::ElementType;

/// Where the parts of a file end, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The header itself.
    pub header: u64,
    /// The last of the tensors; behind the end of the file if that is not complete.
    pub data: u64,
}

/// A tensor in a header that is being read. Who reads says what of it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTensor<'a> {
    /// Name.
    pub name: &'a str,
    /// The dtype as the header spells it.
    pub dtype: &'a str,
    /// What its bytes are to the codecs.
    pub element: ElementType,
    /// Elements in each dimension, the one whose elements are neighbours last.
    pub shape: &'a [u64],
    /// Where it lies in the file (counted from the start of the file).
    pub range: Range<u64>,
}

/// A tensor with all that a header says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Name.
    pub name: String,
    /// The dtype as the header spells it.
    pub dtype: String,
    /// What its bytes are to the codecs.
    pub element: ElementType,
    /// Elements in each dimension, the one whose elements are neighbours last.
    pub shape: Vec<u64>,
    /// Where it lies in the file (counted from the start of the file).
    pub range: Range<u64>,
}

/// A run of bytes with one element type: what packing needs of a tensor, in a third of the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedRange {
    /// Where it lies in the file.
    pub range: Range<u64>,
    /// What it holds.
    pub element: ElementType,
    /// The length of its last dimension, if it has two or more.
    pub columns: Option<u64>,
}

impl From<&FoundTensor<'_>> for Tensor {
    fn from(found: &FoundTensor<'_>) -> Self {
        Self {
            name: found.name.to_owned(),
            dtype: found.dtype.to_owned(),
            element: found.element,
            shape: found.shape.to_vec(),
            range: found.range.clone(),
        }
    }
}

impl From<&FoundTensor<'_>> for TypedRange {
    fn from(found: &FoundTensor<'_>) -> Self {
        let columns = found.shape.last().filter(|_| found.shape.len() > 1);
        Self {
            range: found.range.clone(),
            element: found.element,
            columns: columns.copied(),
        }
    }
}
