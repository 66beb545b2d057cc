//! Decodes planes: damaged ones fail or give some bytes, on every instruction set the same.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use weightfs::codec::{
    Base, Coded, Content, Context, Decoder, Encoder, Form, Hints, Level, Method, PlaneShape,
};
use weightfs::format::{CodecId, Profiles};
use weightfs::plane::plane_bytes;
use weightfs::simd::Simd;
use weightfs_fuzz::{
    AS_IT_IS, Input, LEVELS, LevelGroups, MODELS, base_of, decoders, moved, profiles, weights,
};

/// A coded plane, sound or not.
struct Case {
    codec: CodecId,
    shape: PlaneShape,
    coded: Vec<u8>,
    profiles: Vec<u8>,
    groups: Option<LevelGroups>,
    /// Numbers that it rests on, and their form.
    base: Option<(Vec<u8>, Form)>,
    /// What it must decode to, if it is sound.
    plane: Option<Vec<u8>>,
}

thread_local! {
    static DECODERS: RefCell<Vec<(Simd, Decoder)>> = RefCell::new(decoders());
    static ENCODERS: RefCell<Vec<Encoder>> = RefCell::new(encoders());
    static BYTE_ENCODERS: RefCell<Vec<Encoder>> = RefCell::new(byte_encoders());
}

/// One a method of byte planes.
fn byte_encoders() -> Vec<Encoder> {
    Method::offered()
        .filter(|method| *method != Method::Weights)
        .map(|method| Encoder::new(method, Level::Fast, None).expect("memory"))
        .collect()
}

/// For each model, and for none, one a level.
fn encoders() -> Vec<Encoder> {
    let models = MODELS.iter().map(|model| Some(model.model.clone()));
    std::iter::once(None)
        .chain(models)
        .flat_map(|model| {
            LEVELS.map(|level| Encoder::new(Method::Weights, level, model.clone()).expect("memory"))
        })
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let case = if input.byte() == AS_IT_IS {
        as_it_is(&mut input)
    } else {
        edited(&mut input)
    };
    check(&case);
});

fn as_it_is(input: &mut Input<'_>) -> Case {
    let codec = input.one_of(CodecId::ALL);
    let width = input.byte() % 64 + 1;
    let count = usize::from(input.short());
    let model = usize::from(input.byte());
    let hint = input.byte();
    let groups = LevelGroups::new(hint, input.byte(), count);
    let base = (codec == CodecId::Difference).then(|| base_of(width, count, hint));
    Case {
        codec,
        groups,
        base: base.flatten(),
        shape: PlaneShape { width, count },
        profiles: profiles(model),
        coded: input.rest().to_vec(),
        plane: None,
    }
}

fn edited(input: &mut Input<'_>) -> Case {
    use weightfs::format::ElementType as E;
    let elements = [E::Bf16, E::F16, E::F8E4M3, E::F8E5M2, E::U8, E::U16, E::F32];
    let element = input.one_of(&elements);
    let model = input.up_to(MODELS.len());
    let level = input.up_to(LEVELS.len() - 1);
    let kind = input.byte();
    let count = match input.byte() % 4 {
        0 => usize::from(input.byte()),
        // Longer than decoders work on at once.
        1 => 16_000 + usize::from(input.short() % 17_000),
        _ => usize::from(input.short() % 8192),
    };
    let columns = [48, 130, 600][usize::from(kind % 3)];
    let bytes = weights(element, count, columns, kind, input.long());
    let width = if element.bytes() == 1 { 8 } else { 16 };
    // Of F32 the low half, which is what planes of mantissas are.
    let plane = if element == E::F32 {
        bytes.chunks_exact(4).flat_map(|b| [b[0], b[1]]).collect()
    } else {
        bytes
    };
    let groups = match element {
        E::U8 if input.once_in(2) => LevelGroups::new(input.byte(), input.byte(), count),
        _ => None,
    };
    let plane = match &groups {
        Some(groups) => groups.levels(input.long()),
        None => plane,
    };
    let count = if groups.is_some() { plane.len() } else { count };
    let content = match (element.exponent_bits(), input.byte() % 8) {
        (None, _) if groups.is_some() => Content::Levels,
        (_, 2) if width == 8 => Content::Byte {
            is_top: input.once_in(2),
        },
        (_, 0) => Content::Any,
        (_, 1) | (Some(_), _) if element == E::F32 => Content::Mantissa,
        (Some(exponent_bits), _) => Content::FloatTop { exponent_bits },
        (None, _) => Content::Any,
    };
    let shape = PlaneShape { width, count };
    let segments = match model.checked_sub(1) {
        Some(model) if width == 16 => MODELS[model].segments(input, count),
        _ => Vec::new(),
    };
    let hints = Hints {
        segments: &segments,
        groups: groups.as_ref().map(LevelGroups::groups),
        ..Hints::default()
    };
    let mut coded = Vec::new();
    if let Some(exponent_bits) = element.exponent_bits()
        && element != E::F32
        && input.once_in(4)
    {
        return beside(input, plane, shape, exponent_bits, level);
    }
    let (encoders, encoder) = match content {
        Content::Byte { .. } => (&BYTE_ENCODERS, input.up_to(Method::offered().count() - 2)),
        _ => (&ENCODERS, model * LEVELS.len() + level),
    };
    let codec = encoders.with_borrow_mut(|encoders| {
        encoders[encoder]
            .encode(&plane, shape, content, hints, &mut coded)
            .expect("memory")
    });
    assert!(coded.len() <= plane.len(), "longer than raw");
    let mut profiles = profiles(model);
    let mut shape = shape;
    let mut sound = true;
    if input.once_in(8) {
        shape.count = usize::from(input.short());
        sound = false;
    }
    if input.once_in(8) {
        let mut edits = [0; 7];
        edits.fill_with(|| input.byte());
        Input::new(&edits).edit(&mut profiles);
        sound = false;
    }
    let damaged = input.edit(&mut coded);
    Case {
        codec,
        groups,
        base: None,
        shape,
        coded,
        profiles,
        plane: (sound && !damaged).then_some(plane),
    }
}

/// Numbers beside those of a base, or of one that was edited since.
fn beside(
    input: &mut Input<'_>,
    mut base: Vec<u8>,
    shape: PlaneShape,
    exponent_bits: u8,
    level: usize,
) -> Case {
    let form = Form {
        bytes: shape.width / 8,
        exponent_bits,
    };
    let plane = moved(&base, form.bytes.into(), input.byte());
    let mut coded = Vec::new();
    let codec = ENCODERS
        .with_borrow_mut(|encoders| encoders[level].encode_beside(&plane, &base, form, &mut coded));
    let mut sound = codec.is_some();
    if input.once_in(4) {
        let mut edits = [0; 7];
        edits.fill_with(|| input.byte());
        Input::new(&edits).edit(&mut base);
        base.resize(plane.len(), 0);
        sound = false;
    }
    let damaged = input.edit(&mut coded);
    Case {
        codec: CodecId::Difference,
        groups: None,
        base: Some((base, form)),
        shape,
        coded,
        profiles: Vec::new(),
        plane: (sound && !damaged).then_some(plane),
    }
}

fn check(case: &Case) {
    // Allocations of just the length, so that the address sanitizer sees what is read behind them.
    let coded = case.coded.clone().into_boxed_slice();
    let profiles = case.profiles.clone().into_boxed_slice();
    let profiles = Profiles::of(&profiles);
    let base = case.base.clone();
    let base = base.map(|(numbers, form)| (numbers.into_boxed_slice(), form));
    let len = plane_bytes(case.shape.count, case.shape.width);
    let decode = |decoder: &mut Decoder, simd: Simd, fill: u8| {
        let mut plane = vec![fill; len].into_boxed_slice();
        let coded = Coded {
            bytes: &coded,
            shape: case.shape,
            context: Context {
                profiles,
                groups: case.groups.as_ref().map(LevelGroups::groups),
                base: base.as_ref().map(|(numbers, form)| Base {
                    numbers,
                    form: *form,
                }),
            },
            simd,
        };
        decoder
            .decode_into(case.codec, &coded, &mut plane)
            .map(|()| plane)
            .map_err(|error| error.to_string())
    };
    // One that has not decoded anything yet: what others have decoded must make no difference.
    let mut fresh = Decoder::new().expect("memory");
    let expected = decode(&mut fresh, Simd::PORTABLE, 0);
    DECODERS.with_borrow_mut(|decoders| {
        for (simd, decoder) in decoders {
            let name = simd.name();
            let decoded = decode(decoder, *simd, 0xA5);
            match (&decoded, &expected) {
                (Ok(plane), Ok(expected)) => {
                    let at = plane.iter().zip(expected).position(|(a, b)| a != b);
                    assert_eq!(at, None, "{:?}: {name} differs from portable", case.codec);
                }
                _ => assert_eq!(decoded.err(), expected.clone().err(), "{name}"),
            }
        }
    });
    if let Some(plane) = &case.plane {
        assert!(expected.as_deref() == Ok(plane), "{:?} lost", case.codec);
    }
}
