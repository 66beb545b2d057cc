//! Sound data from a few decisions.

use std::sync::{Arc, LazyLock};

use fastrand::Rng;
use weightfs::codec::Form;
use weightfs::codec::scaled::{Fitter, Model, ModelBuilder, Sample as Rows, Segment};
use weightfs::format::ElementType;

use crate::{Input, records};

/// A model that planes may be coded with, and what a decoder sees of it.
#[derive(Debug, Clone)]
pub struct SharedModel {
    /// For the encoder.
    pub model: Arc<Model>,
    /// For the decoder.
    pub profiles: Vec<u8>,
    /// Exponent bits of the floats it was made from.
    pub exponent_bits: u8,
    /// Columns of each of its matrices.
    pub columns: Vec<u32>,
}

/// A few models that are the same in every run.
pub static MODELS: LazyLock<[SharedModel; 2]> = LazyLock::new(|| {
    [(ElementType::Bf16, 8), (ElementType::F16, 5)].map(|(element, exponent_bits)| {
        let matrices = [(48usize, 0), (130, 8), (600, 0x28)].map(|(columns, kind)| {
            let bytes = weights(element, 64 * columns, columns, kind, columns as u32);
            (columns, 64, fields(element, &bytes))
        });
        SharedModel::new(exponent_bits, &matrices).expect("there are matrices")
    })
});

/// A model of one matrix that becomes levels, with the shape of these.
pub static LEVEL_MODEL: LazyLock<SharedModel> = LazyLock::new(|| {
    let columns = 200;
    let bytes = weights(ElementType::Bf16, 64 * columns, columns, 0x20, 3);
    let fields = fields(ElementType::Bf16, &bytes);
    let mut builder = ModelBuilder::default();
    let sample = Rows {
        exponent_bits: 8,
        columns,
        fields: &fields,
    };
    assert_eq!(Fitter::default().add_levels(sample, 64, &mut builder), 0);
    let (model, profiles) = builder.finish().expect("there is a matrix");
    SharedModel {
        model: Arc::new(model),
        profiles,
        exponent_bits: 8,
        columns: vec![columns as u32],
    }
});

impl SharedModel {
    /// A model of matrices given by columns, rows and the highest 16 bits of some of their rows.
    pub fn new(exponent_bits: u8, matrices: &[(usize, u64, Vec<u16>)]) -> Option<Self> {
        let mut builder = ModelBuilder::default();
        let mut fitter = Fitter::default();
        for (number, (columns, rows, fields)) in (0..).zip(matrices) {
            let sample = Rows {
                exponent_bits,
                columns: *columns,
                fields,
            };
            assert_eq!(fitter.add(sample, *rows, &mut builder), number);
        }
        let (model, profiles) = builder.finish()?;
        Some(Self {
            model: Arc::new(model),
            profiles,
            exponent_bits,
            columns: matrices.iter().map(|matrix| matrix.0 as u32).collect(),
        })
    }

    /// A way to tile so many elements by the matrices and by what is none.
    pub fn segments(&self, input: &mut Input<'_>, elements: usize) -> Vec<Segment> {
        let mut left = elements as u32;
        let mut segments = Vec::new();
        while left > 0 {
            let elements = if segments.len() < 6 && input.once_in(3) {
                (u32::from(input.short()) % 3000 + 1).min(left)
            } else {
                left
            };
            let profile = input.up_to(self.columns.len());
            let columns = self.columns.get(profile).copied();
            segments.push(Segment {
                profile: columns.map(|_| profile as u32),
                columns: columns.unwrap_or(0),
                first_column: columns.map_or(0, |columns| u32::from(input.short()) % columns),
                elements,
            });
            left -= elements;
        }
        segments
    }
}

/// Bytes to encode, and what they are.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they are.
    pub element: ElementType,
    /// Columns of the matrix that they may be of.
    pub columns: usize,
}

impl Sample {
    /// The input decides on everything.
    pub fn new(input: &mut Input<'_>) -> Self {
        let element = input.one_of(ElementType::ALL);
        let kind = input.byte();
        let columns = 32 + input.up_to(255);
        let count = match input.byte() % 8 {
            0 => usize::from(input.byte() % 16),
            1 => 128 * usize::from(input.byte() % 64),
            // Longer than decoders work on at once.
            2 => 16_000 + usize::from(input.short() % 17_000),
            _ => usize::from(input.short() % 8192),
        };
        let mut bytes = weights(element, count, columns, kind, input.long());
        if input.once_in(4) {
            bytes.extend_from_slice(&[1, 2, 3, 4, 5, 6, 7][..input.up_to(7)]);
        }
        Self {
            bytes,
            element,
            columns,
        }
    }

    /// The highest 16 bits of whole rows.
    pub fn rows(&self) -> Vec<u16> {
        let mut fields = fields(self.element, &self.bytes);
        fields.truncate(fields.len() / self.columns * self.columns);
        fields
    }
}

fn fields(element: ElementType, bytes: &[u8]) -> Vec<u16> {
    let width = usize::from(element.bytes());
    bytes
        .chunks_exact(width)
        .map(|element| u16::from_le_bytes([element[width.max(2) - 2], element[width - 1]]))
        .collect()
}

/// Elements made from a seed. The low bits of `kind` say what they are like, the next one whether
/// rows and columns have means, then two how much their scales differ, and the highest ones how
/// many elements are something else.
pub fn weights(element: ElementType, count: usize, columns: usize, kind: u8, seed: u32) -> Vec<u8> {
    if let Some(layout) = element.record() {
        // Of the largest ones, as many as blocks have.
        return records(layout, count % 1501, kind, seed);
    }
    let mut random = Rng::with_seed(seed.into());
    let width = usize::from(element.bytes());
    let odd_ones = [u64::MAX, 1000, 50, 5][usize::from(kind >> 6)];
    let spread = [1.0, 1.02, 1.3, 8.0][usize::from(kind >> 4 & 3)];
    let mut bytes = Vec::with_capacity(count * width);
    for i in 0..count {
        let (row, column) = (i / columns, i % columns);
        let scale = 0.02 * f64::powi(spread, (row * 7 % 13) as i32 - (column * 5 % 17) as i32);
        let noise = random.u64(..);
        let mean = f64::from(kind >> 3 & 1) * (row % 4) as f64 * ((column % 5) as f64 - 2.0);
        let gaussian = (gaussian(&mut random) + mean) * scale;
        let bits = match kind % 8 {
            0 | 1 => float_bits(element, gaussian, noise),
            // Values that were of a narrower type once, row by row.
            2 if row % 3 > 0 => float_bits(element, f64::from(gaussian as f32), 0),
            2 => float_bits(element, gaussian, noise),
            3 => noise,
            4 => [0, 0x3F80_3F80, 0x0101_0101, u64::MAX][(noise % 4) as usize],
            5 => float_bits(element, ((noise % 16) as f64 - 8.0) * 0.125, 0),
            6 => b"weights and weights "[i % 20].into(),
            _ => 0x3F80_0000_3F80_3F80,
        };
        let bits = if odd_ones != u64::MAX && random.u64(..).is_multiple_of(odd_ones) {
            match random.u64(..) % 8 {
                0 => 0,
                1 => u64::MAX,
                2 => 1,
                3 => 1 << (8 * width - 1),
                4 => float_bits(element, gaussian * 1e-9, noise),
                5 => float_bits(element, gaussian * 1e4, noise),
                6 => float_bits(element, f64::INFINITY, noise),
                _ => noise,
            }
        } else {
            bits
        };
        bytes.extend_from_slice(&bits.to_le_bytes()[..width]);
    }
    bytes
}

/// A number as an element: rounded to zero, with noise in the bits below those of an `f32`.
fn float_bits(element: ElementType, value: f64, noise: u64) -> u64 {
    let Some(exponent_bits) = element.exponent_bits() else {
        return (value * 1000.0) as i64 as u64;
    };
    let width = element.bytes() * 8;
    let bits = value.to_bits();
    if exponent_bits == 11 {
        return bits ^ noise & 0x1FFF_FFFF;
    }
    let mantissa_bits = width - 1 - exponent_bits;
    let sign = bits >> 63 << (width - 1);
    let mantissa = bits << 12 >> (64 - mantissa_bits);
    let bias = (1i64 << (exponent_bits - 1)) - 1;
    let exponent = ((bits >> 52 & 0x7FF) as i64 - 1023 + bias).clamp(0, 2 * bias + 1) as u64;
    let low_noise = if mantissa_bits > 20 && noise != 0 {
        noise & 0xFF
    } else {
        0
    };
    sign | exponent << mantissa_bits | (mantissa ^ low_noise)
}

/// About normally distributed: four sums of uniform numbers.
fn gaussian(random: &mut Rng) -> f64 {
    let bits = random.u64(..);
    let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xFFFF).sum();
    (sum as f64 / 65536.0 - 2.0) * 1.732
}

/// The base that a plane of differences has in an input that is decoded as it is.
pub fn base_of(width: u8, count: usize, how: u8) -> Option<(Vec<u8>, Form)> {
    let elements = match width {
        8 => [ElementType::F8E4M3, ElementType::F8E5M2],
        16 => [ElementType::Bf16, ElementType::F16],
        32 => [ElementType::F32; 2],
        _ => return None,
    };
    let element = elements[usize::from(how % 2)];
    let form = Form {
        bytes: element.bytes(),
        exponent_bits: element.exponent_bits()?,
    };
    Some((weights(element, count, 130, how >> 1, 7), form))
}

/// Numbers of so many bytes of which some are a few places from others; `how` says how many, and how far.
pub fn moved(numbers: &[u8], width: usize, how: u8) -> Vec<u8> {
    let mut random = Rng::with_seed(how.into());
    let often = 1 + how % 16;
    let most = 1 << (how >> 4 & 7);
    let mut moved = numbers.to_vec();
    for number in moved.chunks_exact_mut(width) {
        if random.u8(..often) == 0 {
            number[0] = number[0].wrapping_add(random.u8(..=most));
        }
    }
    moved
}

/// Bits of a number that is odd, as the input says.
pub fn float_of(element: ElementType, input: &mut Input<'_>) -> u64 {
    let width = element.bytes() * 8;
    let sign = u64::from(input.byte() & 1) << (width - 1);
    let infinite = float_bits(element, f64::INFINITY, 0);
    sign | match input.byte() % 8 {
        0 => 0,
        1 => u64::from(input.long()),
        2 => infinite,
        3 => infinite + 1 + u64::from(input.byte()),
        4 => infinite - 1 - u64::from(input.byte()),
        5 => u64::from(input.byte()),
        6 => float_bits(element, f64::from(input.byte()), 0),
        _ => u64::from(input.long()) << 32 | u64::from(input.long()),
    }
}
