//! Rows of the tables: a tensor each.

use serde::{Deserialize, Serialize};

use crate::console::size::ratio;
use crate::job::{FileOutlay, TensorOutlay};
use crate::model::TensorKind;

/// A row of inventory.csv.
#[derive(Debug, Default, Serialize)]
pub(super) struct InventoryRow<'a> {
    shard: String,
    tensor: &'a str,
    #[serde(rename = "type")]
    dtype: &'a str,
    shape: String,
    bytes: u64,
}

/// A row of tensors.csv, and of sweep.csv. What a method does not have is empty.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::cli) struct TensorRow {
    /// The file that the tensor is in.
    pub(in crate::cli) shard: String,
    pub(in crate::cli) tensor: String,
    pub(in crate::cli) kind: String,
    #[serde(rename = "type")]
    pub(in crate::cli) dtype: String,
    pub(in crate::cli) shape: String,
    /// Its numbers.
    pub(in crate::cli) elements: u64,
    /// `exact`, or what was asked for.
    pub(in crate::cli) method: String,
    /// The number that was asked for with it.
    pub(in crate::cli) parameter: Option<f64>,
    /// Numbers of a group.
    pub(in crate::cli) group: Option<u32>,
    /// The bound in force, in the unit of the method.
    pub(in crate::cli) bound: Option<f64>,
    pub(in crate::cli) bytes_before: u64,
    pub(in crate::cli) bytes_after: u64,
    pub(in crate::cli) ratio: f64,
    pub(in crate::cli) bits: f64,
    /// Bits a number below which no coder of independent numbers keeps the bound.
    pub(in crate::cli) limit_bits: Option<f64>,
    pub(in crate::cli) mean_error: f64,
    pub(in crate::cli) greatest_error: f64,
    pub(in crate::cli) root_mean_square_error: f64,
    /// Share of the numbers that are past the bound.
    pub(in crate::cli) past_bound: Option<f64>,
    /// Numbers that are served as they were.
    pub(in crate::cli) exact_elements: u64,
    /// Of the time that packing all of them took, the share by bytes.
    pub(in crate::cli) seconds: f64,
}

impl TensorRow {
    fn new(shard: String, found: &TensorOutlay, seconds_a_byte: f64) -> Self {
        let bytes = bytes(found);
        let elements = elements(found);
        let fidelity = found.fidelity.as_ref();
        let positive = |number: f64| Some(number).filter(|number| *number > 0.0);
        Self {
            shard,
            tensor: found.tensor.name.clone(),
            kind: TensorKind::of(&found.tensor.name).name().into(),
            dtype: found.tensor.dtype.clone(),
            shape: shape(found),
            elements,
            method: fidelity
                .map_or("exact", |fidelity| fidelity.method.name())
                .into(),
            parameter: fidelity.and_then(|fidelity| positive(fidelity.parameter)),
            group: fidelity
                .map(|fidelity| fidelity.group)
                .filter(|group| *group > 0),
            bound: fidelity.and_then(|fidelity| positive(fidelity.bound)),
            bytes_before: bytes,
            bytes_after: found.stored_bytes,
            ratio: ratio(bytes, found.stored_bytes),
            bits: 8.0 * found.stored_bytes as f64 / elements.max(1) as f64,
            limit_bits: found.limit_bits,
            mean_error: fidelity.map_or(0.0, |fidelity| fidelity.mean_error),
            greatest_error: fidelity.map_or(0.0, |fidelity| fidelity.greatest_error),
            root_mean_square_error: fidelity
                .map_or(0.0, |fidelity| fidelity.root_mean_square_error),
            past_bound: found.past.map(|past| past as f64 / elements.max(1) as f64),
            exact_elements: fidelity.map_or(elements, |fidelity| fidelity.exact),
            seconds: seconds_a_byte * bytes as f64,
        }
    }
}

fn bytes(found: &TensorOutlay) -> u64 {
    found.tensor.range.end - found.tensor.range.start
}

/// Its numbers by its shape, which of records says more than bytes do.
fn elements(found: &TensorOutlay) -> u64 {
    let shape = found.tensor.shape.iter();
    shape.fold(1, |product: u64, &dimension| {
        product.saturating_mul(dimension)
    })
}

/// `30522x384`; a single number has none.
fn shape(found: &TensorOutlay) -> String {
    let shape: Vec<_> = found.tensor.shape.iter().map(u64::to_string).collect();
    shape.join("x")
}

fn shard(file: &FileOutlay) -> String {
    file.path.display().to_string()
}

/// The rows of inventory.csv.
pub(super) fn inventory(files: &[FileOutlay]) -> Vec<InventoryRow<'_>> {
    let all = files.iter().flat_map(|file| {
        let tensors = file.tensors.iter();
        tensors.map(move |tensor| (file, tensor))
    });
    let rows = all.map(|(file, found)| InventoryRow {
        shard: shard(file),
        tensor: &found.tensor.name,
        dtype: &found.tensor.dtype,
        shape: shape(found),
        bytes: bytes(found),
    });
    rows.collect()
}

/// The rows of tensors.csv, each with the file it is of.
pub(in crate::cli) fn tensor_rows(
    files: &[FileOutlay],
    seconds: f64,
) -> Vec<(&FileOutlay, TensorRow)> {
    let all: u64 = files.iter().flat_map(|file| &file.tensors).map(bytes).sum();
    let seconds_a_byte = seconds / all.max(1) as f64;
    let mut rows = Vec::new();
    for file in files {
        for found in &file.tensors {
            rows.push((file, TensorRow::new(shard(file), found, seconds_a_byte)));
        }
    }
    rows
}
