//! Speed of the codecs on blocks of 256 KiB made in here, in bytes of the original:
//! `cargo bench --bench codec`, with the name of a benchmark or of a type to run only some.
//!
//! Blocks are encoded with the best instruction set that `WEIGHTFS_SIMD` allows, and decoded with
//! each that there is.

use std::fmt;
use std::sync::Arc;
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::BytesCount;
use fastrand::Rng;
use weightfs::block::BlockEncoder;
use weightfs::codec::scaled::{Fitter, ModelBuilder, Sample, Segment};
use weightfs::codec::{Coded, Context, Decoder, Level, PlaneShape};
use weightfs::format::{BlockHeader, ElementType, Profiles};
use weightfs::plane::{Field, interleave, plane_bytes, split};
use weightfs::simd::Simd;

const BLOCK_BYTES: usize = 256 * 1024;
const COLUMNS: usize = 1024;
/// Of the whole matrix, of which the block is a part.
const MATRIX_ROWS: u64 = 4096;

const ELEMENTS: [ElementType; 7] = [
    ElementType::Bf16,
    ElementType::F16,
    ElementType::F32,
    ElementType::F64,
    ElementType::F8E4M3,
    ElementType::F8E5M2,
    ElementType::I8,
];

fn main() {
    divan::main();
}

/// What a block is, and how it is encoded.
#[derive(Clone, Copy)]
struct Kind {
    element: ElementType,
    level: Level,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.element.name(), self.level)
    }
}

/// All that differ: `max` is a level of its own only where there is a model.
fn kinds() -> impl Iterator<Item = Kind> {
    ELEMENTS.into_iter().flat_map(|element| {
        let levels = [Level::Fast, Level::Default, Level::Max];
        let last = if has_model(element) { 3 } else { 2 };
        levels
            .into_iter()
            .take(last)
            .map(move |level| Kind { element, level })
    })
}

fn has_model(element: ElementType) -> bool {
    element.exponent_bits().is_some_and(|exponent_bits| {
        Fitter::wants(exponent_bits, element.bytes(), MATRIX_ROWS, COLUMNS as u64)
    })
}

#[derive(Clone, Copy)]
struct OnSimd<T> {
    simd: Simd,
    what: T,
}

impl<T: fmt::Display> fmt::Display for OnSimd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.simd.name())
    }
}

#[divan::bench(args = kinds(), max_time = 0.4)]
fn encode(bencher: Bencher<'_, '_>, kind: Kind) {
    let mut block = Block::new(kind);
    let mut stored = Vec::new();
    bencher
        .counter(BytesCount::new(BLOCK_BYTES))
        .bench_local(|| block.encode(&mut stored));
}

#[divan::bench(
    args = kinds().flat_map(|what| Simd::available().map(move |simd| OnSimd { simd, what })),
    max_time = 0.3,
)]
fn decode(bencher: Bencher<'_, '_>, on: OnSimd<Kind>) {
    let mut block = Block::new(on.what);
    let mut stored = Vec::new();
    block.encode(&mut stored);
    let mut decoder = BlockDecoder::new(on.simd);
    let mut decoded = vec![0; BLOCK_BYTES];
    decoder.decode(&stored, &block.profiles, &mut decoded);
    assert!(decoded == block.bytes, "lost");
    bencher
        .counter(BytesCount::new(BLOCK_BYTES))
        .bench_local(|| decoder.decode(&stored, &block.profiles, &mut decoded));
}

/// Widths of the planes of an element, lowest bits first.
#[divan::bench(
    args = [[8, 8].as_slice(), &[16, 16], &[8; 4], &[7, 9], &[16, 7, 9], &[3, 20, 9]].map(Widths),
    max_time = 0.3,
)]
fn interleave_planes(bencher: Bencher<'_, '_>, widths: Widths) {
    let bits: u8 = widths.0.iter().sum();
    let bytes = weights(ElementType::F32, 1);
    let mut fields = Vec::new();
    let mut planes = Vec::new();
    let mut shift = 0;
    for &width in widths.0 {
        let field = Field { shift, width };
        let mut plane = Vec::new();
        split(&bytes, bits / 8, 0, field, &mut plane);
        fields.push(field);
        planes.push(plane);
        shift += width;
    }
    let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
    let mut elements = vec![0; BLOCK_BYTES];
    bencher
        .counter(BytesCount::new(BLOCK_BYTES))
        .bench_local(|| interleave(&planes, &fields, bits / 8, 0, &mut elements));
}

#[derive(Clone, Copy)]
struct Widths(&'static [u8]);

impl fmt::Display for Widths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A block, and an encoder for it.
struct Block {
    element: ElementType,
    bytes: Vec<u8>,
    encoder: BlockEncoder,
    segments: Vec<Segment>,
    profiles: Vec<u8>,
}

impl Block {
    fn new(kind: Kind) -> Self {
        let Kind { element, level } = kind;
        let bytes = weights(element, 1);
        let mut builder = ModelBuilder::default();
        let mut segments = Vec::new();
        let model = element
            .exponent_bits()
            .filter(|_| level == Level::Max && has_model(element))
            .and_then(|exponent_bits| {
                let sample = Sample {
                    exponent_bits,
                    columns: COLUMNS,
                    // Other rows of the same matrix.
                    fields: &top_fields(element, &weights(element, 2)),
                };
                let profile = Fitter::default().add(sample, MATRIX_ROWS, &mut builder);
                segments.push(Segment {
                    profile: Some(profile),
                    columns: short(COLUMNS),
                    first_column: 0,
                    elements: short(BLOCK_BYTES / usize::from(element.bytes())),
                });
                builder.finish()
            });
        let (model, profiles) = model.unzip();
        let encoder =
            BlockEncoder::with_model(level, model.map(Arc::new)).expect("there is memory");
        Self {
            element,
            bytes,
            encoder,
            segments,
            profiles: profiles.unwrap_or_default(),
        }
    }

    fn encode(&mut self, stored: &mut Vec<u8>) {
        self.encoder
            .encode(&self.bytes, self.element, &self.segments, stored)
            .expect("there is memory");
    }
}

fn short(count: usize) -> u32 {
    u32::try_from(count).expect("a block is small")
}

/// What `block::BlockDecoder` does, but for the checksum, with the instruction set one asks for.
struct BlockDecoder {
    codec: Decoder,
    simd: Simd,
    planes: Vec<Vec<u8>>,
}

impl BlockDecoder {
    fn new(simd: Simd) -> Self {
        Self {
            codec: Decoder::new().expect("there is memory"),
            simd,
            planes: Vec::new(),
        }
    }

    fn decode(&mut self, stored: &[u8], profiles: &[u8], decoded: &mut [u8]) {
        let header = BlockHeader::parse(stored, decoded.len()).expect("a sound block");
        let count = header.element_count(decoded.len());
        let used = header.planes().len();
        self.planes.resize_with(used, Vec::new);
        let profiles = Profiles::new(profiles, 1);
        for ((plane, range), place) in header.stored_planes().zip(&mut self.planes) {
            let coded = Coded {
                bytes: &stored[range],
                shape: PlaneShape {
                    width: plane.width,
                    count,
                },
                context: Context {
                    profiles,
                    ..Context::NONE
                },
                simd: self.simd,
            };
            place.resize(plane_bytes(count, plane.width), 0);
            let place = if used == 1 { &mut *decoded } else { place };
            self.codec
                .decode_into(plane.codec, &coded, place)
                .expect("a sound block");
        }
        if used > 1 {
            let planes: Vec<&[u8]> = self.planes.iter().map(Vec::as_slice).collect();
            let fields: Vec<Field> = header
                .planes()
                .iter()
                .map(|plane| Field {
                    shift: plane.shift,
                    width: plane.width,
                })
                .collect();
            interleave(
                &planes,
                &fields,
                header.element_bytes,
                header.rotate,
                decoded,
            );
        }
    }
}

/// Scales of the columns, which all rows have in common.
static COLUMN_SCALES: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let mut random = Rng::with_seed(3);
    (0..COLUMNS)
        .map(|_| (0.5 * gaussian(&mut random)).exp2())
        .collect()
});

/// A block of a matrix of normally distributed numbers whose rows and columns have scales.
fn weights(element: ElementType, seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    let width = usize::from(element.bytes());
    let mut row_scale = 0.0;
    (0..BLOCK_BYTES / width)
        .flat_map(|i| {
            if i % COLUMNS == 0 {
                row_scale = 0.02 * (0.3 * gaussian(&mut random)).exp2();
            }
            let value = gaussian(&mut random) * row_scale * COLUMN_SCALES[i % COLUMNS];
            bits(element, value).to_le_bytes().into_iter().take(width)
        })
        .collect()
}

/// A number as an element, rounded to zero.
fn bits(element: ElementType, value: f64) -> u64 {
    let Some(exponent_bits) = element.exponent_bits() else {
        // Whole numbers with a scale for all: about -127 to 127.
        #[expect(clippy::cast_possible_truncation, reason = "rounds to a whole number")]
        let whole = (value * 1000.0).clamp(-127.0, 127.0) as i64;
        return whole.cast_unsigned();
    };
    // FP8 has a scale for all that makes use of its range.
    let value = if element.bytes() == 1 {
        value * 64.0
    } else {
        value
    };
    let bits = value.to_bits();
    if exponent_bits == 11 {
        return bits;
    }
    let mantissa_bits = element.bytes() * 8 - 1 - exponent_bits;
    let rebiased = (bits & (u64::MAX >> 1)).saturating_sub((1023 - bias(exponent_bits)) << 52);
    let sign = bits >> 63 << (exponent_bits + mantissa_bits);
    sign | rebiased >> (52 - mantissa_bits)
}

const fn bias(exponent_bits: u8) -> u64 {
    (1 << (exponent_bits - 1)) - 1
}

/// The highest 16 bits of all elements, of at least 2 bytes.
fn top_fields(element: ElementType, bytes: &[u8]) -> Vec<u16> {
    let width = usize::from(element.bytes());
    bytes
        .chunks_exact(width)
        .map(|element| u16::from_le_bytes([element[width - 2], element[width - 1]]))
        .collect()
}

/// From the standard normal distribution, by the transform of Box and Muller.
fn gaussian(random: &mut Rng) -> f64 {
    // From 0, which is left out, to 1.
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}
