//! One suite over all of the catalogue: whatever codec there is, its planes come back in each width that
//! it may have, and what is cut off, flipped or decoded into something of another length is an error or
//! some bytes, never a panic.
#![expect(clippy::cast_possible_truncation, reason = "made-up numbers")]

use std::sync::{Arc, LazyLock};

use fastrand::Rng;
use proptest::prelude::*;

use super::difference::Form;
use super::scaled::{Fitter, Model, ModelBuilder, Sample, Segment};
use super::{
    Base, Coded, Content, Context, Decoder, Encoder, Groups, Hints, Level, Method, PlaneShape,
    is_built,
};
use crate::error::Error;
use crate::format::{CodecId, Profiles};
use crate::plane::{constant_value, fill_constant, plane_bytes};
use crate::simd::Simd;

/// A way to get planes of a codec from the encoder.
#[derive(Debug, Clone, Copy)]
struct Way {
    method: Method,
    level: Level,
    content: Content,
    plane: Kind,
}

/// Planes that a codec is made for.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Noise,
    OneValue,
    Phrases,
    Runs,
    /// Floats most of which have the same exponent.
    Floats,
    /// Fields that end in zeros, row by row.
    NarrowRows,
    /// Rows of the matrix of `MODEL`.
    Matrix,
    /// Some values, far apart.
    FewValues,
    /// Groups whose spread is what the keys of `KEYS` say.
    Groups,
    /// Levels of such a matrix.
    Levels,
}

const fn weights(level: Level, content: Content, plane: Kind) -> Way {
    Way {
        method: Method::Weights,
        level,
        content,
        plane,
    }
}

const fn bytes(method: Method, is_top: bool, plane: Kind) -> Way {
    Way {
        method,
        level: Level::Default,
        content: Content::Byte { is_top },
        plane,
    }
}

const fn float(width: u8) -> Content {
    Content::FloatTop {
        exponent_bits: if width == 8 { 4 } else { 8 },
    }
}

/// How planes of each codec are got: whoever adds one to the catalogue is asked for it here.
fn ways(codec: CodecId, width: u8) -> Vec<Way> {
    use Content::{Any, Mantissa};
    match codec {
        CodecId::Raw => vec![
            weights(Level::Default, Any, Kind::Noise),
            bytes(Method::Zstd, true, Kind::Noise),
            bytes(Method::SplitHuffman, false, Kind::Phrases),
        ],
        CodecId::Constant => vec![weights(Level::Default, Any, Kind::OneValue)],
        CodecId::Zstd => vec![
            weights(Level::Fast, Any, Kind::Phrases),
            weights(Level::Max, Any, Kind::Phrases),
            bytes(Method::Zstd, true, Kind::Runs),
        ],
        CodecId::Ans => vec![weights(Level::Default, float(width), Kind::Floats)],
        CodecId::Trimmed => vec![weights(Level::Default, Mantissa, Kind::NarrowRows)],
        CodecId::Scaled => vec![weights(Level::Max, float(width), Kind::Matrix)],
        CodecId::Huffman => {
            let mut ways = vec![weights(Level::Fast, float(width), Kind::Floats)];
            if width == 8 {
                ways.push(bytes(Method::SplitHuffman, true, Kind::Floats));
            }
            ways
        }
        CodecId::Dictionary => vec![weights(Level::Default, Content::Scale, Kind::FewValues)],
        CodecId::Grouped => vec![weights(Level::Max, Content::Levels, Kind::Groups)],
        CodecId::Lz4 => vec![bytes(Method::Lz4, true, Kind::Runs)],
        CodecId::Deflate => vec![bytes(Method::Deflate, true, Kind::Runs)],
        CodecId::Lzma => vec![bytes(Method::Lzma, true, Kind::Runs)],
        CodecId::Arithmetic => vec![bytes(Method::SplitArithmetic, true, Kind::Runs)],
        CodecId::RunLength => vec![bytes(Method::SplitArithmetic, false, Kind::Runs)],
        CodecId::Difference => Level::ALL
            .map(|level| weights(level, float(width), Kind::Floats))
            .to_vec(),
        CodecId::Spread => vec![weights(Level::Default, Content::Levels, Kind::Levels)],
    }
}

fn widths(codec: CodecId) -> Vec<u8> {
    (1..=64)
        .filter(|&width| codec.widths().contain(width))
        .collect()
}

/// A plane of about so many fields, and of whole bytes.
fn plane(kind: Kind, width: u8, fields: usize, seed: u64) -> Vec<u8> {
    let mut random = Rng::with_seed(seed);
    // Eight fields of any width are whole bytes.
    let fields = fields.next_multiple_of(8);
    let len = plane_bytes(fields, width);
    let words = |mut field: Box<dyn FnMut(usize) -> u64>| {
        (0..fields)
            .flat_map(|i| field(i).to_le_bytes().into_iter().take(width as usize / 8))
            .collect()
    };
    match kind {
        Kind::Noise => (0..len).map(|_| random.u8(..)).collect(),
        Kind::OneValue => {
            let mut plane = vec![0; len];
            let value = random.u64(..) & (u64::MAX >> (64 - width));
            fill_constant(value, width, fields, &mut plane);
            plane
        }
        Kind::Phrases => {
            let phrase: Vec<u8> = (0..24).map(|_| random.u8(..)).collect();
            phrase.iter().copied().cycle().take(len).collect()
        }
        Kind::Runs => {
            let mut plane = Vec::new();
            while plane.len() < len {
                let value = random.u8(..5);
                plane.extend(vec![value; random.usize(10..100)]);
            }
            plane.truncate(len);
            plane
        }
        Kind::FewValues => {
            let values: Vec<_> = (0..300).map(|_| random.u64(..)).collect();
            words(Box::new(move |_| values[random.usize(..300)]))
        }
        Kind::Groups => KEYS
            .iter()
            .cycle()
            .take(fields / GROUP_FIELDS)
            .flat_map(|&key| std::iter::repeat_n(key, GROUP_FIELDS))
            .map(|key| random.u8(..) >> key)
            .collect(),
        Kind::Floats => words(Box::new(move |_| {
            let larger = u64::from(random.u8(..8) == 0);
            match width {
                8 => (5 + larger) << 3 | random.u64(..) & 0x87,
                _ => (120 + larger) << 7 | random.u64(..) & 0x807F,
            }
        })),
        Kind::NarrowRows => words(Box::new(move |i| {
            let zeros = if i / 200 % 2 == 0 { 0 } else { width - 3 };
            random.u64(..) >> zeros << zeros
        })),
        Kind::Levels => {
            let most = if width == 8 { 100.0 } else { 20_000.0 };
            let middle = 1i32 << (width - 1);
            matrix_of(LEVELS_SCALES, fields / COLUMNS + 1, seed)
                .iter()
                .map(|&field| f32::from_bits(u32::from(field) << 16) / LARGEST * most)
                .flat_map(|level| {
                    let field = level.round() as i32 + middle;
                    field.to_le_bytes().into_iter().take(width as usize / 8)
                })
                .collect()
        }
        Kind::Matrix => matrix(fields / COLUMNS + 1, seed)
            .iter()
            .flat_map(|field| field.to_le_bytes())
            .collect(),
    }
}

/// Fields of a group.
const GROUP_FIELDS: usize = 8;
/// Keys of the groups of a plane, in turn.
static KEYS: LazyLock<Vec<u8>> = LazyLock::new(|| (0..6).cycle().take(10_000).collect());

/// The groups of a plane, if they are all of it.
fn groups(bytes: usize) -> Option<Groups<'static>> {
    bytes.is_multiple_of(GROUP_FIELDS).then(|| Groups {
        keys: &KEYS[..bytes / GROUP_FIELDS],
        fields: GROUP_FIELDS,
        pairs: None,
    })
}

const COLUMNS: usize = 128;

/// No number of the matrix is larger.
const LARGEST: f32 = 32_768.0 / 16_777_216.0;
/// Scales of columns of a matrix that becomes levels.
const LEVELS_SCALES: u32 = 4;

/// The levels of a plane as the numbers that they were made of.
fn in_steps(plane: &[u8], width: u8) -> Vec<f32> {
    let middle = 1i32 << (width - 1);
    plane
        .chunks(width as usize / 8)
        .map(|field| {
            let field = field
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | i32::from(*byte));
            (field - middle) as f32
        })
        .collect()
}

/// Rows of a matrix whose columns have scales.
fn matrix(rows: usize, seed: u64) -> Vec<u16> {
    matrix_of(16, rows, seed)
}

/// The same with so many different scales, an octave apart.
fn matrix_of(scales: u32, rows: usize, seed: u64) -> Vec<u16> {
    let mut random = Rng::with_seed(seed);
    (0..rows * COLUMNS)
        .map(|i| {
            let scale = f32::from_bits((100 + i as u32 % scales) << 23);
            let value = (f32::from(random.u16(..)) - 32_767.5) * scale;
            (value.to_bits() >> 16) as u16
        })
        .collect()
}

/// A model of such matrices, and its profiles.
static MODEL: LazyLock<(Arc<Model>, Vec<u8>)> = LazyLock::new(|| {
    let fields = matrix(256, 7);
    let sample = Sample {
        exponent_bits: 8,
        columns: COLUMNS,
        fields: &fields,
    };
    let mut builder = ModelBuilder::default();
    assert_eq!(Fitter::default().add(sample, 256, &mut builder), 0);
    let fields = matrix_of(LEVELS_SCALES, 256, 7);
    let of_levels = Sample {
        fields: &fields,
        ..sample
    };
    let number = Fitter::default().add_levels(of_levels, 256, &mut builder);
    assert_eq!(number, 1);
    let (model, profiles) = builder.finish().unwrap();
    (Arc::new(model), profiles)
});

/// A coded plane, and what it decodes to.
struct Case {
    codec: CodecId,
    shape: PlaneShape,
    plane: Vec<u8>,
    coded: Vec<u8>,
}

impl Case {
    fn new(codec: CodecId, way: Way, width: u8, fields: usize, seed: u64) -> Self {
        let plane = plane(way.plane, width, fields, seed);
        let count = plane.len() * 8 / usize::from(width);
        let shape = PlaneShape { width, count };
        // Methods of byte planes know bytes; what they write is a plane of any width.
        let written = match way.content {
            Content::Byte { .. } => PlaneShape {
                width: 8,
                count: plane.len(),
            },
            _ => shape,
        };
        let (model, segments) = match way.plane {
            Kind::Matrix => (Some(MODEL.0.clone()), vec![segment(0, count)]),
            Kind::Levels => (Some(MODEL.0.clone()), vec![segment(1, count)]),
            _ => (None, Vec::new()),
        };
        let in_steps = match way.plane {
            Kind::Levels => in_steps(&plane, width),
            _ => Vec::new(),
        };
        let hints = Hints {
            segments: &segments,
            groups: match way.plane {
                Kind::Groups => groups(plane.len()),
                _ => None,
            },
            in_steps: &in_steps,
        };
        let mut coded = vec![0xEE];
        let mut encoder = Encoder::new(way.method, way.level, model).unwrap();
        let found = if codec == CodecId::Difference {
            let numbers = base_of(&plane, width);
            let found = encoder.encode_beside(&plane, &numbers, form(width), &mut coded);
            found.unwrap()
        } else {
            let found = encoder.encode(&plane, written, way.content, hints, &mut coded);
            found.unwrap()
        };
        assert_eq!(found, codec, "{way:?}, width {width}, {fields} fields");
        assert_eq!(coded.remove(0), 0xEE, "appended");
        Self {
            codec,
            shape,
            plane,
            coded,
        }
    }

    /// Decodes some bytes into something of a length.
    fn decode(
        &self,
        decoder: &mut Decoder,
        bytes: &[u8],
        simd: Simd,
        len: usize,
    ) -> Result<Vec<u8>, Error> {
        let numbers = base_of(&self.plane, self.shape.width);
        let base = (self.codec == CodecId::Difference).then(|| Base {
            numbers: &numbers,
            form: form(self.shape.width),
        });
        let coded = Coded {
            bytes,
            shape: self.shape,
            context: Context {
                profiles: Profiles::of(&MODEL.1),
                groups: groups(self.plane.len()),
                base,
            },
            simd,
        };
        let mut plane = vec![0x55; len];
        decoder.decode_into(self.codec, &coded, &mut plane)?;
        Ok(plane)
    }

    /// It comes back on every instruction set, and into nothing that is not as long.
    fn comes_back(&self, decoder: &mut Decoder) {
        let len = self.plane.len();
        for simd in Simd::available() {
            let back = self.decode(decoder, &self.coded, simd, len).unwrap();
            assert!(back == self.plane, "{self} with {}", simd.name());
            for other in [0, len - 1, len + 1, 2 * len] {
                let decoded = self.decode(decoder, &self.coded, simd, other);
                assert!(decoded.is_err(), "{self} into {other} bytes");
            }
        }
    }

    fn is_an_error_when_cut(&self, decoder: &mut Decoder) {
        for len in 0..self.coded.len() {
            let decoded = self.decode(
                decoder,
                &self.coded[..len],
                Simd::detect(),
                self.plane.len(),
            );
            assert!(decoded.is_err(), "{self} cut to {len}");
        }
    }
}

/// Numbers that those of a plane are near to.
fn base_of(plane: &[u8], width: u8) -> Vec<u8> {
    let mut base = plane.to_vec();
    for number in base.chunks_mut(usize::from(width.div_ceil(8))).step_by(3) {
        number[0] ^= 5;
    }
    base
}

const fn form(width: u8) -> Form {
    Form {
        bytes: width / 8,
        exponent_bits: if width == 8 { 4 } else { 8 },
    }
}

fn segment(profile: u32, count: usize) -> Segment {
    Segment {
        profile: Some(profile),
        columns: COLUMNS as u32,
        first_column: 0,
        elements: count as u32,
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let PlaneShape { width, count } = self.shape;
        write!(f, "{}, {count} fields of {width} bits", self.codec.name())
    }
}

/// Fields of which planes surely get the codec that they are for.
fn enough_fields(codec: CodecId, width: u8) -> usize {
    match codec {
        CodecId::Ans => 6000,
        CodecId::Scaled | CodecId::Grouped | CodecId::Spread => 8000,
        _ => 400 * 8 / usize::from(width) + 400,
    }
}

fn built() -> impl Iterator<Item = CodecId> {
    CodecId::ALL
        .iter()
        .copied()
        .filter(|codec| is_built(*codec))
}

#[test]
fn every_codec_gives_back_its_planes_in_each_width_and_misses_each_byte() {
    let mut decoder = Decoder::new().unwrap();
    for codec in built() {
        for width in widths(codec) {
            let ways = ways(codec, width);
            assert!(!ways.is_empty(), "no way to {}", codec.name());
            for way in ways {
                let case = Case::new(codec, way, width, enough_fields(codec, width), 1);
                case.comes_back(&mut decoder);
                case.is_an_error_when_cut(&mut decoder);
            }
        }
    }
}

#[test]
fn other_widths_than_a_codec_can_have_are_damage() {
    let mut decoder = Decoder::new().unwrap();
    for &codec in CodecId::ALL {
        for width in (0..=70).filter(|&width| !codec.widths().contain(width)) {
            let coded = Coded {
                bytes: &[0; 100],
                shape: PlaneShape { width, count: 8 },
                context: Context::NONE,
                simd: Simd::detect(),
            };
            let error = decoder
                .decode_into(codec, &coded, &mut vec![0; plane_bytes(8, width)])
                .unwrap_err();
            assert!(matches!(error, Error::Corrupt(_)), "{error}");
        }
    }
}

#[test]
fn a_codec_that_is_left_out_says_what_is_missing() {
    let mut decoder = Decoder::new().unwrap();
    for &codec in CodecId::ALL.iter().filter(|codec| !is_built(**codec)) {
        let coded = Coded {
            bytes: &[0; 8],
            shape: PlaneShape { width: 8, count: 8 },
            context: Context::NONE,
            simd: Simd::detect(),
        };
        let error = decoder.decode_into(codec, &coded, &mut [0; 8]).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
        let message = error.to_string();
        for part in [Some(codec.name()), codec.cargo_feature()] {
            assert!(message.contains(part.unwrap()), "{message}");
        }
    }
    assert_eq!(
        built().count() == CodecId::ALL.len(),
        cfg!(feature = "comparison")
    );
}

#[test]
fn methods_write_the_codecs_that_are_said_of_them() {
    for method in Method::offered().filter(|method| *method != Method::Weights) {
        for &level in method.levels() {
            for (is_top, kind) in [(true, Kind::Runs), (false, Kind::Runs)] {
                let way = Way {
                    level,
                    ..bytes(method, is_top, kind)
                };
                let expected = match (method, is_top) {
                    (Method::Lz4, _) => CodecId::Lz4,
                    (Method::Deflate, _) => CodecId::Deflate,
                    (Method::Lzma, _) => CodecId::Lzma,
                    (Method::SplitHuffman, true) => CodecId::Huffman,
                    (Method::SplitHuffman, false) => CodecId::Raw,
                    (Method::SplitArithmetic, true) => CodecId::Arithmetic,
                    (Method::SplitArithmetic, false) => CodecId::RunLength,
                    (Method::Zstd | Method::Weights, _) => CodecId::Zstd,
                };
                Case::new(expected, way, 8, 4000, 3).comes_back(&mut Decoder::new().unwrap());
            }
        }
    }
}

#[test]
fn an_empty_plane_is_raw() {
    let shape = PlaneShape { width: 8, count: 0 };
    let mut coded = Vec::new();
    let mut encoder = Encoder::new(Method::Weights, Level::Default, None).unwrap();
    let codec = encoder.encode(&[], shape, Content::Any, Hints::default(), &mut coded);
    assert_eq!((codec.unwrap(), coded.len()), (CodecId::Raw, 0));
}

/// A codec that is built, one of its widths, and a way to it.
fn any_way() -> impl Strategy<Value = (CodecId, u8, Way)> {
    let all: Vec<_> = built()
        .flat_map(|codec| {
            let of_width = move |width| {
                ways(codec, width)
                    .into_iter()
                    .map(move |way| (codec, width, way))
            };
            widths(codec).into_iter().flat_map(of_width)
        })
        .collect();
    prop::sample::select(all)
}

proptest! {
    #[test]
    fn planes_of_any_length_come_back_and_flipped_ones_end_somehow(
        (codec, width, way) in any_way(),
        more_fields in 0usize..20_000, seed: u64,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u32..8, any::<bool>()), 1..4),
    ) {
        let fields = enough_fields(codec, width) + more_fields / usize::from(width);
        let case = Case::new(codec, way, width, fields, seed);
        let mut decoder = Decoder::new().unwrap();
        case.comes_back(&mut decoder);
        let mut damaged = case.coded.clone();
        for (place, bit, in_head) in flips {
            let range = if in_head { damaged.len().min(60) } else { damaged.len() };
            damaged[place.index(range)] ^= 1 << bit;
        }
        for simd in Simd::available() {
            if let Ok(decoded) = case.decode(&mut decoder, &damaged, simd, case.plane.len()) {
                prop_assert_eq!(decoded.len(), case.plane.len());
            }
        }
        // What decoded something else before decodes as ever.
        case.comes_back(&mut decoder);
    }

    #[test]
    fn any_bytes_come_back_by_every_method(
        runs in prop::collection::vec((any::<u8>(), 1usize..200), 0..40),
        noise in prop::collection::vec(0u8..20, 0..600),
        method in prop::sample::select(Method::offered().collect::<Vec<_>>()),
        is_top: bool,
    ) {
        let mut plane: Vec<u8> = runs.iter().flat_map(|&(v, n)| vec![v; n]).collect();
        plane.extend(noise);
        let shape = PlaneShape { width: 8, count: plane.len() };
        let mut coded = Vec::new();
        let codec = Encoder::new(method, Level::Default, None)
            .unwrap()
            .encode(&plane, shape, Content::Byte { is_top }, Hints::default(), &mut coded)
            .unwrap();
        let case = Case { codec, shape, plane, coded };
        let mut decoder = Decoder::new().unwrap();
        let back = case.decode(&mut decoder, &case.coded, Simd::detect(), case.plane.len()).unwrap();
        prop_assert_eq!(&back, &case.plane);
        case.is_an_error_when_cut(&mut decoder);
    }

    #[test]
    fn constant_planes_of_every_width(width in 1u8..=64, count in 1usize..100, bits: u64) {
        let value = bits & (u64::MAX >> (64 - width));
        let mut plane = vec![0; plane_bytes(count, width)];
        fill_constant(value, width, count, &mut plane);
        prop_assert_eq!(constant_value(&plane, width, count), Some(value));
    }

    #[test]
    fn garbage_never_panics(
        coded in prop::collection::vec(any::<u8>(), 0..200),
        codec in prop::sample::select(CodecId::ALL.to_vec()),
        width in 1u8..=64, count in 0usize..100,
    ) {
        let mut plane = vec![0; plane_bytes(count, width)];
        let coded = Coded {
            bytes: &coded,
            shape: PlaneShape { width, count },
            context: Context::NONE,
            simd: Simd::detect(),
        };
        let _ = Decoder::new().unwrap().decode_into(codec, &coded, &mut plane);
    }
}
