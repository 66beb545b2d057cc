//! Decodes blocks: damaged ones fail, and on every instruction set in the same way.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use weightfs::block::{BlockDecoder, BlockEncoder};
use weightfs::codec::{Content, Encoder, Hints, Method, PlaneShape};
use weightfs::format::{BlockHeader, PlaneHeader, Profiles};
use weightfs::plane::{Field, split};
use weightfs_fuzz::{
    AS_IT_IS, Input, LEVELS, MODELS, Sample, block_decoders, check_block, profiles,
};

/// A stored block, sound or not.
struct Case {
    stored: Vec<u8>,
    decoded_len: usize,
    profiles: Vec<u8>,
    /// What it must decode to, if it is sound.
    bytes: Option<Vec<u8>>,
}

thread_local! {
    static DECODERS: RefCell<Vec<(&'static str, BlockDecoder)>> = RefCell::new(block_decoders());
    static ENCODERS: RefCell<Vec<BlockEncoder>> = RefCell::new(encoders());
    static PLANES: RefCell<Vec<Encoder>> = RefCell::new(
        LEVELS.map(|level| Encoder::new(Method::Weights, level, None).expect("memory")).into()
    );
}

/// For each model, and for none, one a level.
fn encoders() -> Vec<BlockEncoder> {
    let models = MODELS.iter().map(|model| Some(model.model.clone()));
    std::iter::once(None)
        .chain(models)
        .flat_map(|model| {
            LEVELS.map(|level| BlockEncoder::with_model(level, model.clone()).expect("memory"))
        })
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let case = match input.byte() {
        AS_IT_IS => as_it_is(&mut input),
        kind => edited(kind, &mut input),
    };
    check(&case);
});

fn as_it_is(input: &mut Input<'_>) -> Case {
    let decoded_len = usize::from(input.short());
    let profiles = profiles(input.byte().into());
    Case {
        stored: input.rest().to_vec(),
        decoded_len,
        profiles,
        bytes: None,
    }
}

fn edited(kind: u8, input: &mut Input<'_>) -> Case {
    let model = input.up_to(MODELS.len());
    let level = input.up_to(LEVELS.len() - 1);
    let sample = Sample::new(input);
    let mut stored = Vec::new();
    if kind.is_multiple_of(2) {
        tile(&sample, level, input, &mut stored);
    } else {
        let width = usize::from(sample.element.bytes());
        let segments = match model.checked_sub(1) {
            Some(model) => MODELS[model].segments(input, sample.bytes.len() / width),
            None => Vec::new(),
        };
        ENCODERS.with_borrow_mut(|encoders| {
            encoders[model * LEVELS.len() + level]
                .encode(&sample.bytes, sample.element, &segments, &mut stored)
                .expect("memory");
        });
    }
    let mut profiles = profiles(model);
    let mut decoded_len = sample.bytes.len();
    let mut sound = true;
    if input.once_in(8) {
        decoded_len = input.short().into();
        sound = false;
    }
    if input.once_in(8) {
        let mut edits = [0; 7];
        edits.fill_with(|| input.byte());
        Input::new(&edits).edit(&mut profiles);
        sound = false;
    }
    let damaged = input.edit(&mut stored);
    Case {
        stored,
        decoded_len,
        profiles,
        bytes: (sound && !damaged).then_some(sample.bytes),
    }
}

/// Any tiling by bit fields, of which the encoder makes only a few.
fn tile(sample: &Sample, level: usize, input: &mut Input<'_>, stored: &mut Vec<u8>) {
    let element_bytes = input.one_of(&[1u8, 2, 4, 8]);
    let bits = element_bytes * 8;
    let mut header = BlockHeader::new(element_bytes, input.byte() % bits);
    let tail = header.tail_bytes(sample.bytes.len());
    let (elements, tail) = sample.bytes.split_at(sample.bytes.len() - tail);
    let mut coded = Vec::new();
    let mut plane = Vec::new();
    let mut shift = 0;
    while shift < bits {
        let left = bits - shift;
        let last = header.planes().len() == 15;
        let width = match input.byte() % 4 {
            _ if last => left,
            0 => 8.min(left),
            1 => 16.min(left),
            _ => input.byte() % left + 1,
        };
        split(
            elements,
            element_bytes,
            header.rotate,
            Field { shift, width },
            &mut plane,
        );
        let shape = PlaneShape {
            width,
            count: header.element_count(sample.bytes.len()),
        };
        let content = match input.byte() % 4 {
            0 if matches!(width, 8 | 16) => Content::FloatTop {
                exponent_bits: input.one_of(&[4, 5, 8]).min(width - 2),
            },
            1 => Content::Mantissa,
            _ => Content::Any,
        };
        let before = coded.len();
        let codec = PLANES.with_borrow_mut(|encoders| {
            encoders[level]
                .encode(&plane, shape, content, Hints::default(), &mut coded)
                .expect("memory")
        });
        header.push(PlaneHeader {
            codec,
            shift,
            width,
            stored_len: (coded.len() - before) as u32,
        });
        shift += width;
    }
    header.encode_to(stored);
    stored.extend(coded);
    stored.extend(tail);
}

fn check(case: &Case) {
    // Allocations of just the length, so that the address sanitizer sees what is read behind them.
    let stored = case.stored.clone().into_boxed_slice();
    let profiles = case.profiles.clone().into_boxed_slice();
    let profiles = Profiles::of(&profiles);
    let bytes = case.bytes.as_deref();
    DECODERS.with_borrow_mut(|decoders| {
        check_block(decoders, &stored, case.decoded_len, profiles.into(), bytes);
    });
}
