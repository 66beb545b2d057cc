//! Planes that nobody encodes, as fuzzing found them, and blocks of levels.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::sync::Arc;

use weightfs::block::BlockDecoder;
use weightfs::codec::scaled::{Fitter, ModelBuilder, Sample, Segment};
use weightfs::codec::{
    Coded, Content, Context, Decoder, Encoder, Hints, Level, Method, PlaneShape,
};
use weightfs::error::Result;
use weightfs::format::{
    BlockHeader, CodecId, ElementType, GridHeader, GridKind, PlaneHeader, Profiles, RowParts,
    SCALES_SHIFT, checksum,
};
use weightfs::simd::Simd;

/// Decoders that work piece by piece look ahead in the words, which may have ended by then.
#[test]
fn words_that_end_before_a_piece_starts_are_an_error() {
    const COLUMNS: u32 = 128;
    const ROWS: u32 = 256;
    // Columns whose scales differ, which the tables of a plane know nothing of.
    let mut random = fastrand::Rng::with_seed(1);
    let fields: Vec<u16> = (0..ROWS * COLUMNS)
        .map(|i| {
            let scale = f32::from_bits((100 + i % 16) << 23);
            let value = (f32::from(random.u16(..)) - 32_767.5) * scale;
            u16::try_from(value.to_bits() >> 16).unwrap()
        })
        .collect();
    let plane: Vec<u8> = fields
        .iter()
        .flat_map(|field| field.to_le_bytes())
        .collect();
    let mut builder = ModelBuilder::default();
    let sample = Sample {
        exponent_bits: 8,
        columns: COLUMNS as usize,
        fields: &fields,
    };
    let segment = Segment {
        profile: Some(Fitter::default().add(sample, ROWS.into(), &mut builder)),
        columns: COLUMNS,
        first_column: 0,
        elements: ROWS * COLUMNS,
    };
    let (model, profiles) = builder.finish().unwrap();
    let shape = PlaneShape {
        width: 16,
        count: fields.len(),
    };
    let content = Content::FloatTop { exponent_bits: 8 };
    // Where the length of the words is, and of what follows behind them: nearly all words become
    // exceptions or escapes, so that all lengths add up.
    for (expected, model, words_at, others_at, other_bytes) in [
        (CodecId::Ans, None, 12, 8, 6),
        (CodecId::Scaled, Some(Arc::new(model)), 16, 24, 2),
    ] {
        let segments: Vec<_> = model.iter().map(|_| segment).collect();
        let hints = Hints {
            segments: &segments,
            ..Hints::default()
        };
        let mut coded = Vec::new();
        let codec = Encoder::new(Method::Weights, Level::Max, model)
            .unwrap()
            .encode(&plane, shape, content, hints, &mut coded)
            .unwrap();
        assert_eq!(codec, expected);
        let words = u32::from_le_bytes(coded[words_at..words_at + 4].try_into().unwrap());
        let left = words % other_bytes;
        coded[words_at..words_at + 4].copy_from_slice(&left.to_le_bytes());
        let others = u16::from_le_bytes(coded[others_at..others_at + 2].try_into().unwrap());
        let others = u32::from(others) + words / other_bytes;
        let others = u16::try_from(others).unwrap().to_le_bytes();
        coded[others_at..others_at + 2].copy_from_slice(&others);
        for simd in Simd::available() {
            let mut decoded = vec![0; plane.len()];
            let coded = Coded {
                bytes: &coded,
                shape,
                context: Context {
                    profiles: Profiles::of(&profiles),
                    ..Context::NONE
                },
                simd,
            };
            Decoder::new()
                .unwrap()
                .decode_into(codec, &coded, &mut decoded)
                .unwrap_err();
        }
    }
}

/// Numbers in the blocks below.
const COUNT: usize = 40;

/// A plane: shift, width, bytes.
type Plane<'a> = (u8, u8, &'a [u8]);

fn stored(grid: GridHeader, planes: &[Plane<'_>], behind: &[u8]) -> Vec<u8> {
    let mut header = BlockHeader::of_levels(grid);
    for &(shift, width, bytes) in planes {
        header.push(PlaneHeader {
            codec: CodecId::Raw,
            shift,
            width,
            stored_len: bytes.len().try_into().unwrap(),
        });
    }
    let mut stored = Vec::new();
    header.encode_to(&mut stored);
    stored.extend(planes.iter().flat_map(|(.., bytes)| *bytes));
    stored.extend(behind);
    stored
}

/// Decodes a block, whose checksum is that of what it gives.
fn decode(stored: &[u8], element_bytes: u8) -> Result<Vec<u8>> {
    let mut decoder = BlockDecoder::new()?;
    let mut decoded = vec![0; COUNT * usize::from(element_bytes)];
    let mut decode =
        |sum, decoded: &mut [u8]| decoder.decode_into(stored, sum, Profiles::NONE, decoded);
    let _ = decode(0, &mut decoded);
    let sum = checksum(&decoded);
    decode(sum, &mut decoded).map(|()| decoded)
}

/// Shift, width and bytes of a plane of levels.
type GridPlane = (u8, u8, Vec<u8>);

/// A grid of each kind for each type that it is for, and its planes.
fn grids() -> Vec<(GridHeader, Vec<GridPlane>)> {
    use ElementType::{Bf16, F16, F32, F64};
    use GridKind::{Cover, CoverRows, Groups, Logarithmic, PointwiseCover, Uniform, UniformRows};
    let mut all = Vec::new();
    for (kind, elements, parameter, steps) in [
        (Uniform, [F32, F64], 0.01, 0),
        (Cover, [F16, Bf16], 1.0, 0),
        (PointwiseCover, [F16, Bf16], 0.1, 0),
        (Logarithmic, [F32, F64], 2f64.sqrt(), 2),
        (Groups, [F16, Bf16], 0.0, 127),
        (Groups, [F32, F64], 0.0, 7),
        (UniformRows, [F32, F64], 0.0, 0),
        (CoverRows, [F16, Bf16], 0.0, 0),
    ] {
        for element in elements {
            let scale_bits = kind.scale_bits(element);
            let grid = GridHeader {
                element,
                kind,
                parameter,
                parts: match scale_bits {
                    Some(_) => RowParts {
                        row: 16,
                        first_column: 5,
                        part: 8,
                    },
                    None => RowParts::default(),
                },
                steps,
                bias: if kind == PointwiseCover { 0 } else { 128 },
                exceptions: 0,
            };
            let mut planes = Vec::new();
            if let Some(bits) = scale_bits {
                let bytes = grid.parts.count(COUNT) * usize::from(bits / 8);
                planes.push((SCALES_SHIFT, bits, vec![0x3C; bytes]));
            }
            planes.push((0, 8, (0..).map(|i| i * 6).take(COUNT).collect()));
            all.push((grid, planes));
        }
    }
    all
}

fn lent(planes: &[(u8, u8, Vec<u8>)]) -> Vec<Plane<'_>> {
    let lend = |(shift, width, bytes): &(u8, u8, Vec<u8>)| (*shift, *width, bytes.len());
    let lent = planes.iter().map(lend).zip(planes);
    lent.map(|((shift, width, _), (.., bytes))| (shift, width, bytes.as_slice()))
        .collect()
}

#[test]
fn grids_that_are_none_are_an_error() {
    for (grid, planes) in grids() {
        let width = grid.element.bytes();
        let planes = lent(&planes);
        decode(&stored(grid, &planes, &[]), width).unwrap();
        let has_scales = planes.len() > 1;
        let has_parameter = grid.parameter > 0.0;
        type Change = fn(&mut GridHeader);
        let mut changes: Vec<Change> = vec![
            |grid| grid.parameter = f64::NAN,
            |grid| grid.parameter = f64::INFINITY,
            |grid| grid.parameter = -1.0,
            |grid| grid.parameter = -0.0,
            |grid| grid.bias = 1 << 30,
            |grid| grid.bias = i32::MIN,
            |grid| grid.steps = u32::MAX,
            |grid| grid.steps += 1 << 17,
            |grid| grid.parts.first_column = u32::MAX,
            |grid| grid.parts.part = grid.parts.row + 1,
            |grid| grid.exceptions = u32::MAX,
            |grid| grid.exceptions = 1,
            |grid| grid.element = ElementType::I16,
            |grid| grid.element = ElementType::Bytes,
        ];
        if has_scales {
            changes.push(|grid| grid.parameter = 1.0);
            changes.push(|grid| grid.parts.part = 0);
            changes.push(|grid| grid.parts.first_column = grid.parts.row);
            changes.push(|grid| grid.parts.row = 0);
            changes.push(|grid| grid.parts = RowParts::default());
            // Another number of scales.
            changes.push(|grid| grid.parts.part = 1);
        } else {
            changes.push(|grid| grid.parts.row = 1);
            changes.push(|grid| grid.parts.part = 1);
        }
        if has_parameter {
            changes.push(|grid| grid.parameter = 0.0);
        }
        match grid.kind {
            GridKind::Groups => {
                changes.push(|grid| grid.steps = 0);
                changes.push(|grid| grid.steps = 128);
            }
            GridKind::Logarithmic => {
                changes.push(|grid| grid.steps = 0);
                changes.push(|grid| grid.parameter = 1.0);
                changes.push(|grid| grid.parameter = 2.0f64.next_up());
            }
            GridKind::PointwiseCover => {
                changes.push(|grid| grid.bias = 1);
                changes.push(|grid| grid.parameter = 1.0);
            }
            _ => changes.push(|grid| grid.steps = 1),
        }
        for (number, change) in changes.into_iter().enumerate() {
            let mut grid = grid;
            change(&mut grid);
            let found = decode(&stored(grid, &planes, &[]), width);
            assert!(found.is_err(), "change {number} of {grid:?}");
        }
        // Kinds that are none, or none of this type.
        for kind in 0..=255 {
            let mut stored = stored(grid, &planes, &[]);
            stored[2] = kind;
            let is_same = kind == grid.kind.code();
            assert!(is_same || decode(&stored, width).is_err() || (1..=7).contains(&kind));
        }
    }
}

#[test]
fn levels_in_other_planes_are_an_error() {
    let bytes = [0x55; COUNT * 8];
    for (grid, planes) in grids() {
        let width = grid.element.bytes();
        let planes = lent(&planes);
        let (scales, levels) = planes.split_at(planes.len() - 1);
        let plane = |shift, width: u8| (shift, width, &bytes[..COUNT * usize::from(width) / 8]);
        for wide in [&[plane(0, 16)][..], &[plane(0, 8), plane(8, 16)]] {
            // Levels are no wider than the numbers.
            let fits = wide.len() == 1 || width > 2;
            let found = decode(&stored(grid, &[scales, wide].concat(), &[]), width);
            assert_eq!(found.is_ok(), fits, "{grid:?}");
        }
        for wrong in [
            &[][..],
            &[plane(8, 16)],
            &[plane(0, 32)],
            &[plane(0, 24)],
            &[plane(0, 0)],
            &[plane(0, 4), plane(4, 4)],
            &[plane(0, 8), plane(8, 8)],
            &[plane(0, 16), plane(16, 8)],
            &[plane(0, 8), plane(8, 16), plane(24, 8)],
            &[plane(0, 8), plane(8, 16), plane(24, 0)],
            &[plane(0, 8), plane(SCALES_SHIFT, 16)],
            &[(0, 8, &bytes[..COUNT - 1])],
        ] {
            let found = decode(&stored(grid, &[scales, wrong].concat(), &[]), width);
            assert!(found.is_err(), "{wrong:?}");
        }
        let with_scale = [(SCALES_SHIFT, 16, &bytes[..16])];
        assert!(decode(&stored(grid, &[&with_scale, levels].concat(), &[]), width).is_err());
        if let &[(_, bits, scale)] = scales {
            let one_less = &scale[..scale.len() - usize::from(bits / 8)];
            for scales in [
                &[][..],
                &[(SCALES_SHIFT, bits, one_less)],
                &[(
                    SCALES_SHIFT,
                    8,
                    &scale[..scale.len() / usize::from(bits / 8)],
                )],
                &[(0, bits, scale)],
                &[(SCALES_SHIFT, bits, scale), (SCALES_SHIFT, bits, scale)],
            ] {
                assert!(decode(&stored(grid, &[scales, levels].concat(), &[]), width).is_err());
            }
        }
        let whole = stored(grid, &planes, &[]);
        for len in 0..whole.len() {
            assert!(decode(&whole[..len], width).is_err(), "{len}");
        }
        assert!(decode(&[&whole[..], &[0]].concat(), width).is_err());
    }
}

#[test]
fn exceptions_outside_of_a_block_are_an_error() {
    for (mut grid, planes) in grids() {
        let width = usize::from(grid.element.bytes());
        let planes = lent(&planes);
        let exception = |place: u32| [&place.to_le_bytes()[..], &[0xA5; 8][..width]].concat();
        let most = u32::try_from(COUNT).unwrap();
        let mut decode_with = |count: u32, behind: &[u8]| {
            grid.exceptions = count;
            decode(&stored(grid, &planes, behind), grid.element.bytes())
        };
        let last = decode_with(1, &exception(most - 1)).unwrap();
        assert!(last.ends_with(&[0xA5; 8][..width]));
        for place in [most, most + 1, 1 << 24, 1 << 31, u32::MAX] {
            decode_with(1, &exception(place)).unwrap_err();
        }
        // All are, and one more than there are elements; fewer than are told, and more.
        let all: Vec<u8> = (0..most).flat_map(exception).collect();
        assert!(
            decode_with(most, &all)
                .unwrap()
                .iter()
                .all(|&byte| byte == 0xA5)
        );
        let more = [&all[..], &exception(0)].concat();
        decode_with(most + 1, &more).unwrap_err();
        decode_with(most, &more).unwrap_err();
        decode_with(most, &all[1..]).unwrap_err();
        decode_with(0, &all).unwrap_err();
    }
}

/// Nothing that a grid may say makes decoding fail for anything but its checksum, or differ.
#[test]
fn farthest_levels_and_scales_give_some_number() {
    let ones = [0xFF; COUNT * 8];
    for (grid, planes) in grids() {
        let width = grid.element.bytes();
        let planes = lent(&planes);
        for bias in [-(1 << 30) + 1, -1, 0, (1 << 30) - 1] {
            for parameter in [
                f64::from_bits(1),
                1.0f64.next_up(),
                2.0,
                f64::MAX,
                0.999,
                0.0,
            ] {
                for (steps, parts) in [
                    (
                        1,
                        RowParts {
                            row: 1,
                            first_column: 0,
                            part: 1,
                        },
                    ),
                    (0, RowParts::default()),
                    (
                        1 << 16,
                        RowParts {
                            row: u32::MAX,
                            first_column: u32::MAX - 1,
                            part: u32::MAX,
                        },
                    ),
                    (
                        127,
                        RowParts {
                            row: u32::MAX,
                            first_column: 7,
                            part: 3,
                        },
                    ),
                ] {
                    for scale in [
                        [0xFF; 8],
                        [0x7F; 8],
                        [0x80, 0x7F, 0x80, 0x7F, 0, 0, 0xF0, 0x7F],
                    ] {
                        let changed = GridHeader {
                            parameter,
                            bias,
                            steps,
                            parts,
                            ..grid
                        };
                        if !changed.is_sound(COUNT) {
                            continue;
                        }
                        let mut scales = Vec::new();
                        let mut all = Vec::new();
                        if planes.len() > 1 {
                            let (shift, bits, _) = planes[0];
                            for _ in 0..parts.count(COUNT) {
                                scales.extend(&scale[..usize::from(bits / 8)]);
                            }
                            all.push((shift, bits, scales.as_slice()));
                        }
                        if width > 2 {
                            all.push((0, 8, &ones[..COUNT]));
                            all.push((8, 16, &ones[..2 * COUNT]));
                        } else {
                            all.push((0, 16, &ones[..2 * COUNT]));
                        }
                        let stored = stored(changed, &all, &[]);
                        let first = decode(&stored, width).unwrap();
                        assert_eq!(decode(&stored, width).unwrap(), first);
                    }
                }
            }
        }
    }
}
