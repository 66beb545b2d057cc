//! Planes that nobody encodes, as fuzzing found them.

use std::sync::Arc;

use weightfs::codec::scaled::{Fitter, ModelBuilder, Sample, Segment};
use weightfs::codec::{
    Coded, Content, Context, Decoder, Encoder, Hints, Level, Method, PlaneShape,
};
use weightfs::format::{CodecId, Profiles};
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
            groups: None,
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
                    groups: None,
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
