//! Counts the fields of records: how often each value occurs, and behind which other one.
//!
//! A stream's fields are counted one by one, as wide as the quantizer made them. A field's neighbour is the
//! one before it in the record (of levels that share a byte, the one at the same place of the byte before);
//! its predecessor is the same field of the record before. Pairs are counted of fields of at most eight bits.

use serde::Serialize;

use super::counts::{conditional, entropy, missing_bits};
use super::values::number_of_half;
use crate::plane::record::{Meaning, RecordLayout, Stream};

/// What a tensor's records, or those of all tensors of a dtype, are like.
#[derive(Debug, Clone, Serialize)]
pub struct RecordStatistics {
    /// Records that were looked at.
    pub sampled: u64,
    /// Best ratio if each field is coded with a table of its own for each tensor, tables not counted.
    pub by_field: f64,
    /// By stream.
    pub fields: Vec<FieldFacts>,
}

/// The fields of one stream.
#[derive(Debug, Clone, Serialize)]
pub struct FieldFacts {
    /// The stream.
    pub name: &'static str,
    /// Bits of a field.
    pub bits: u8,
    /// Fields in a record.
    pub in_record: usize,
    /// Bits that a field needs at order 0, with a table for each tensor. Corrected for values that a sample
    /// does not show.
    pub entropy: f64,
    /// The same with one table for all tensors. This and what follows with one table is told of dtypes only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_table: Option<f64>,
    /// The same if the neighbour is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_neighbour: Option<f64>,
    /// The same if the field of the record before is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_record: Option<f64>,
    /// Pearson's correlation with the neighbour; of dtypes, the mean over tensors.
    pub correlation_neighbour: Option<f64>,
    /// Pearson's correlation with the field of the record before.
    pub correlation_record: Option<f64>,
    /// How often each value occurs; of dtypes, and of fields of at most eight bits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
}

/// Fields of a stream, as they are counted.
#[derive(Debug, Clone, Copy)]
struct Shape {
    layout: RecordLayout,
    stream: Stream,
    /// Fields in a byte, or in two.
    together: usize,
    bits: u8,
}

/// Tables of a stream; `N` is `u32` while counting and `f64` where counts are weighted.
#[derive(Debug, Clone)]
struct Tables<N> {
    shape: Shape,
    values: Vec<N>,
    /// Of a field (low half of the index) behind its neighbour (high half).
    neighbours: Vec<N>,
    /// Of a field behind that of the record before.
    records: Vec<N>,
}

/// Counts of the records of a tensor.
#[derive(Debug)]
pub(super) struct FieldCounts {
    layout: RecordLayout,
    records: u64,
    tables: Vec<Tables<u32>>,
    /// Of floats, behind those of the record before, by stream.
    halves: Vec<Moments>,
    planes: Vec<Vec<u8>>,
}

/// Counts of the records of all tensors of a dtype.
#[derive(Debug)]
pub(super) struct FieldTotals {
    tables: Vec<Tables<f64>>,
    sums: Vec<Sums>,
    sampled: u64,
    bytes: f64,
    coded_bytes: f64,
}

/// Means over tensors in the making.
#[derive(Debug, Clone, Default)]
struct Sums {
    entropy: Mean,
    neighbour: Mean,
    record: Mean,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

/// What a correlation follows from.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: f64,
    before: f64,
    now: f64,
    both: f64,
    before_squared: f64,
    now_squared: f64,
}

impl Shape {
    fn all(layout: RecordLayout) -> Vec<Self> {
        let streams = layout.streams().iter().zip(layout.packings());
        streams
            .map(|(&stream, packing)| Self {
                layout,
                stream,
                together: packing.fields.into(),
                bits: packing.bits,
            })
            .collect()
    }

    const fn in_record(&self) -> usize {
        self.stream.fields as usize * self.together
    }

    /// What a field is worth, up to a factor and a summand; `None` where it is no number, or several.
    fn number(&self, value: usize) -> Option<f64> {
        let value = u16::try_from(value).ok()?;
        let [byte, _] = value.to_le_bytes();
        match (self.stream.meaning, self.layout) {
            (Meaning::Half, _) => Some(number_of_half(value)),
            (Meaning::Bytes | Meaning::Places, _)
            | (Meaning::Levels, RecordLayout::Mxfp4 | RecordLayout::Tq1_0) => None,
            (Meaning::Levels, RecordLayout::Q8_0 | RecordLayout::Q8_1)
            | (Meaning::Scales, RecordLayout::Q6K) => Some(byte.cast_signed().into()),
            (Meaning::Levels, _) | (Meaning::Scales, RecordLayout::Mxfp4) => Some(value.into()),
            // A byte with two scales, or a scale and a minimum.
            (Meaning::Scales, _) => (self.bits < 8).then(|| value.into()),
        }
    }

    /// The correlation that a table of pairs tells.
    fn correlation(&self, pairs: &[u32]) -> Option<f64> {
        let mut moments = Moments::default();
        let numbers: Vec<_> = (0..1 << self.bits)
            .map(|value| self.number(value))
            .collect();
        for (row, before) in pairs.chunks_exact(numbers.len()).zip(&numbers) {
            for (&count, now) in row.iter().zip(&numbers) {
                if let (Some(before), Some(now), 1..) = (*before, *now, count) {
                    moments.add(before, now, count.into());
                }
            }
        }
        moments.correlation()
    }
}

impl<N: Copy + Default> Tables<N> {
    fn new(shape: Shape) -> Self {
        let table = |bits: u8| vec![N::default(); if bits > 16 { 0 } else { 1 << bits }];
        let pairs = |is_there: bool| table(if is_there { 2 * shape.bits } else { 32 });
        Self {
            shape,
            values: table(shape.bits),
            neighbours: pairs(shape.stream.fields > 1),
            records: pairs(true),
        }
    }
}

impl Tables<u32> {
    fn add(&mut self, plane: &[u8]) {
        let Shape { bits, together, .. } = self.shape;
        let mask = (1 << bits) - 1;
        let mut last: Option<&[u8]> = None;
        for record in plane.chunks_exact(self.shape.stream.bytes()) {
            for place in 0..together {
                let field = |byte: u8| usize::from(byte) >> (place * usize::from(bits)) & mask;
                for &byte in record {
                    self.values[field(byte)] += 1;
                }
                for (&before, &now) in record.iter().zip(record.iter().skip(1)) {
                    self.neighbours[field(before) << bits | field(now)] += 1;
                }
                for (&before, &now) in last.into_iter().flatten().zip(record) {
                    self.records[field(before) << bits | field(now)] += 1;
                }
            }
            last = Some(record);
        }
    }

    fn add_halves(&mut self, plane: &[u8], moments: &mut Moments) {
        let fields = usize::from(self.shape.stream.fields);
        let halves = plane.as_chunks().0;
        for &half in halves {
            self.values[usize::from(u16::from_le_bytes(half))] += 1;
        }
        for (&before, &now) in halves.iter().zip(halves.iter().skip(fields)) {
            let [before, now] = [before, now].map(|half| number_of_half(u16::from_le_bytes(half)));
            moments.add(before, now, 1.0);
        }
    }
}

impl FieldCounts {
    pub fn new(layout: RecordLayout) -> Self {
        let tables: Vec<_> = Shape::all(layout).into_iter().map(Tables::new).collect();
        Self {
            layout,
            records: 0,
            halves: vec![Moments::default(); tables.len()],
            tables,
            planes: Vec::new(),
        }
    }

    /// Counts a piece of whole records, at most 2^31 bytes. Pairs across pieces are not counted.
    pub fn add(&mut self, piece: &[u8]) {
        self.layout.take(piece, &mut self.planes);
        self.records += (piece.len() / self.layout.bytes()) as u64;
        let tables = self.tables.iter_mut().zip(&mut self.halves);
        for ((tables, moments), plane) in tables.zip(&self.planes) {
            if tables.shape.stream.field_bytes == 2 {
                tables.add_halves(plane, moments);
            } else {
                tables.add(plane);
            }
        }
    }

    pub const fn sampled(&self) -> u64 {
        self.records
    }

    /// Of a tensor that has so many records.
    pub fn statistics(&self, records: u64) -> RecordStatistics {
        let fields = self
            .tables
            .iter()
            .zip(&self.halves)
            .map(|(tables, moments)| {
                let shape = &tables.shape;
                let correlation = |pairs: &[u32]| shape.correlation(pairs);
                let values: Vec<f64> = tables.values.iter().map(|&n| n.into()).collect();
                let count = |records: u64| records as f64 * shape.in_record() as f64;
                // The entropy is that of the fields of this tensor, not of where they might come from: nothing
                // is missing if all of them were counted.
                let missing = missing_bits(&values, count(self.records))
                    - missing_bits(&values, count(records));
                FieldFacts {
                    name: shape.stream.name,
                    bits: shape.bits,
                    in_record: shape.in_record(),
                    entropy: entropy(&values) + missing.max(0.0),
                    one_table: None,
                    after_neighbour: None,
                    after_record: None,
                    correlation_neighbour: correlation(&tables.neighbours),
                    correlation_record: correlation(&tables.records).or(moments.correlation()),
                    shares: Vec::new(),
                }
            });
        let fields: Vec<_> = fields.collect();
        RecordStatistics {
            sampled: self.records,
            by_field: ratio(self.layout, &fields),
            fields,
        }
    }
}

/// Bits of a record by the bits that its fields need.
fn ratio(layout: RecordLayout, fields: &[FieldFacts]) -> f64 {
    let needed = fields
        .iter()
        .map(|field| field.entropy * field.in_record as f64);
    // Records that are all the same need no bits at all; what is said of them must be finite.
    (8 * layout.bytes()) as f64 / needed.sum::<f64>().max(1e-3)
}

impl FieldTotals {
    pub fn new(layout: RecordLayout) -> Self {
        let tables: Vec<_> = Shape::all(layout).into_iter().map(Tables::new).collect();
        Self {
            sums: vec![Sums::default(); tables.len()],
            tables,
            sampled: 0,
            bytes: 0.0,
            coded_bytes: 0.0,
        }
    }

    /// Adds a tensor of so many bytes.
    pub fn add(&mut self, counts: &FieldCounts, found: &RecordStatistics, bytes: u64) {
        if found.sampled == 0 {
            return;
        }
        let bytes = bytes as f64;
        let weight = bytes / found.sampled as f64;
        self.sampled += found.sampled;
        self.bytes += bytes;
        self.coded_bytes += bytes / found.by_field;
        for (to, from) in self.tables.iter_mut().zip(&counts.tables) {
            let add = |to: &mut [f64], from: &[u32]| {
                for (to, &from) in to.iter_mut().zip(from) {
                    *to += f64::from(from) * weight;
                }
            };
            add(&mut to.values, &from.values);
            add(&mut to.neighbours, &from.neighbours);
            add(&mut to.records, &from.records);
        }
        for (sums, field) in self.sums.iter_mut().zip(&found.fields) {
            sums.entropy.add(Some(field.entropy), bytes);
            sums.neighbour.add(field.correlation_neighbour, bytes);
            sums.record.add(field.correlation_record, bytes);
        }
    }

    /// Bytes of the tensors that were added by bytes that their fields need.
    fn by_field(&self) -> f64 {
        if self.coded_bytes > 0.0 {
            self.bytes / self.coded_bytes
        } else {
            1.0
        }
    }

    pub fn statistics(&self) -> RecordStatistics {
        let fields = self.tables.iter().zip(&self.sums).map(|(tables, sums)| {
            let shape = &tables.shape;
            let after =
                |pairs: &[f64]| (!pairs.is_empty()).then(|| conditional(pairs, 1 << shape.bits));
            let total = tables.values.iter().sum::<f64>().max(f64::MIN_POSITIVE);
            let shares = tables.values.iter().map(|count| count / total);
            FieldFacts {
                name: shape.stream.name,
                bits: shape.bits,
                in_record: shape.in_record(),
                entropy: sums.entropy.mean().unwrap_or(0.0),
                one_table: Some(entropy(&tables.values)),
                after_neighbour: after(&tables.neighbours),
                after_record: after(&tables.records),
                correlation_neighbour: sums.neighbour.mean(),
                correlation_record: sums.record.mean(),
                shares: if shape.bits > 8 {
                    Vec::new()
                } else {
                    shares.collect()
                },
            }
        });
        RecordStatistics {
            sampled: self.sampled,
            by_field: self.by_field(),
            fields: fields.collect(),
        }
    }
}

impl Mean {
    fn add(&mut self, value: Option<f64>, weight: f64) {
        if let Some(value) = value {
            self.sum += value * weight;
            self.weight += weight;
        }
    }

    fn mean(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

impl Moments {
    fn add(&mut self, before: f64, now: f64, count: f64) {
        if !before.is_finite() || !now.is_finite() {
            return;
        }
        self.count += count;
        self.before += before * count;
        self.now += now * count;
        self.both += before * now * count;
        self.before_squared += before * before * count;
        self.now_squared += now * now * count;
    }

    /// `None` where one of both does not vary.
    fn correlation(self) -> Option<f64> {
        let n = self.count;
        let covariance = n * self.both - self.before * self.now;
        let variance = |sum: f64, squares: f64| n * squares - sum * sum;
        let (a, b) = (
            variance(self.before, self.before_squared),
            variance(self.now, self.now_squared),
        );
        // Less than rounding leaves of a variance is none.
        let varies = |variance: f64, squares: f64| variance > 1e-9 * n * squares;
        let is_known = varies(a, self.before_squared) && varies(b, self.now_squared);
        is_known.then(|| (covariance / (a * b).sqrt()).clamp(-1.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of a layout, from its streams.
    fn records(layout: RecordLayout, count: usize, stream: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        let planes: Vec<Vec<u8>> = (0..)
            .zip(layout.streams())
            .map(|(number, of)| (0..count * of.bytes()).map(|i| stream(number, i)).collect())
            .collect();
        let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        let mut records = vec![0; count * layout.bytes()];
        layout.put(&planes, &mut records);
        records
    }

    fn counted(layout: RecordLayout, records: &[u8]) -> FieldCounts {
        let mut counts = FieldCounts::new(layout);
        counts.add(records);
        counts
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }

    #[test]
    fn levels_that_share_a_byte_are_counted_one_by_one() {
        // The lower of two is 0 or 1, the upper 2 or 3: bytes of two bits, levels of two bits as well.
        let layout = RecordLayout::Q4_0;
        let bytes = records(layout, 1000, |number, i| match (number, i * 7 % 4) {
            (0, _) => 0x3C,
            (_, i) => [0x20, 0x21, 0x30, 0x31][i],
        });
        let found = counted(layout, &bytes).statistics(1000);
        let [scale, levels] = &found.fields[..] else {
            panic!("{found:?}");
        };
        assert_eq!((scale.name, scale.bits, scale.in_record), ("scale", 16, 1));
        assert_eq!(
            (levels.name, levels.bits, levels.in_record),
            ("levels", 4, 32)
        );
        close(scale.entropy, 0.0);
        close(levels.entropy, 2.0);
        close(found.by_field, 18.0 * 8.0 / 64.0);
        assert_eq!(scale.correlation_record, None);
    }

    #[test]
    fn levels_of_every_width_are_as_wide_as_they_are() {
        // Two values, equally often: one bit, wherever the bits of a level lie.
        for (layout, levels) in [
            (RecordLayout::Q2K, 4),
            (RecordLayout::Q3K, 2),
            (RecordLayout::Q4K, 4),
            (RecordLayout::Q5K, 4),
            (RecordLayout::Q6K, 2),
            (RecordLayout::Q8_0, 1),
        ] {
            let packing = layout.packings()[levels];
            let highest = (0..packing.fields).map(|place| {
                u8::try_from((1 << packing.bits) - 1).unwrap() << (place * packing.bits)
            });
            let all: u8 = highest.sum();
            let bytes = records(layout, 64, |number, i| match number {
                _ if number == levels && i % 2 == 0 => all,
                _ => 0,
            });
            let found = counted(layout, &bytes).statistics(64);
            let field = &found.fields[levels];
            assert_eq!(field.in_record, layout.weights(), "{layout:?}");
            close(field.entropy, 1.0);
            close(
                found.by_field,
                (8 * layout.bytes()) as f64 / layout.weights() as f64,
            );
        }
    }

    #[test]
    fn what_scales_have_to_do_with_those_before_is_told() {
        // Signed scales of either sign in turn: known from the neighbour, and from the record before.
        let layout = RecordLayout::Q6K;
        let bytes = records(layout, 100, |number, i| match number {
            1 if i % 2 == 0 => 5,
            1 => 250,
            0 => [0x00, 0x3C][i % 2] + u8::try_from(i / 2 % 4).unwrap() * 4,
            _ => 0,
        });
        let counts = counted(layout, &bytes);
        let found = counts.statistics(100);
        let [half, scales, _] = &found.fields[..] else {
            panic!("{found:?}");
        };
        close(scales.entropy, 1.0);
        close(scales.correlation_neighbour.unwrap(), -1.0);
        close(scales.correlation_record.unwrap(), 1.0);
        close(half.entropy, 2.0);
        assert_eq!(half.correlation_neighbour, None);
        assert!(half.correlation_record.unwrap() < 0.0);

        let mut totals = FieldTotals::new(layout);
        totals.add(&counts, &found, 21_000);
        // Another tensor, whose scales are all the same: a table of its own costs it nothing.
        let other = counted(layout, &records(layout, 100, |_, _| 1));
        totals.add(&other, &other.statistics(100), 21_000);
        let found = totals.statistics();
        assert_eq!(found.sampled, 200);
        let scales = &found.fields[1];
        close(scales.entropy, 0.5);
        close(scales.one_table.unwrap(), 1.5);
        close(scales.after_neighbour.unwrap(), 0.0);
        close(scales.after_record.unwrap(), 0.0);
        close(scales.correlation_neighbour.unwrap(), -1.0);
        close(scales.shares[5], 0.25);
        assert!(found.fields[0].shares.is_empty());
    }

    #[test]
    fn what_a_sample_does_not_show_is_missing_only_in_samples() {
        let layout = RecordLayout::Q8_0;
        let bytes = records(layout, 50, |_, i| u8::try_from(i * 31 % 251).unwrap());
        let counts = counted(layout, &bytes);
        let entropy = |records| counts.statistics(records).fields[1].entropy;
        let missing = 250.0 / (2.0 * 1600.0 * std::f64::consts::LN_2);
        close(entropy(5_000_000) - entropy(50), missing);
        // A tensor without records, or with less than one.
        let none = counted(layout, &bytes[..33]).statistics(0);
        assert_eq!(none.sampled, 0);
        assert!(none.by_field.is_finite());
    }
}
