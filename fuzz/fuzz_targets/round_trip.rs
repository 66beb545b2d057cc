//! Encodes any bytes as any element type on any level, and decodes them again.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use weightfs::block::{BlockDecoder, BlockEncoder};
use weightfs::codec::scaled::{Fitter, Segment};
use weightfs::format::{ElementType, Profiles, checksum};
use weightfs_fuzz::{Input, LEVELS, Sample, SharedModel, block_decoders};

/// What `BlockEncoder::encode` promises.
const MAX_OVERHEAD_BYTES: usize = 16;

thread_local! {
    static DECODERS: RefCell<Vec<(&'static str, BlockDecoder)>> = RefCell::new(block_decoders());
    static ENCODERS: RefCell<Vec<BlockEncoder>> = RefCell::new(
        LEVELS.map(|level| BlockEncoder::new(level).expect("memory")).into()
    );
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let how = input.byte();
    let level = input.up_to(LEVELS.len() - 1);
    let mut sample = if how.is_multiple_of(2) {
        Sample::new(&mut input)
    } else {
        Sample {
            element: input.one_of(ElementType::ALL),
            columns: 32 + input.up_to(100),
            bytes: Vec::new(),
        }
    };
    let model = (how & 2 > 0)
        .then(|| choose_model(&sample, &mut input))
        .flatten();
    if how.is_multiple_of(2) {
        input.edit(&mut sample.bytes);
    } else {
        // Repeated to make up a length that codecs think worth their tables.
        let times = 1 << (how >> 2 & 7);
        sample.bytes = input.rest().repeat(times);
        sample.bytes.truncate(1 << 17);
    }
    let Some((model, segments)) = model else {
        ENCODERS.with_borrow_mut(|encoders| {
            check(&sample, &mut encoders[level], &[], Profiles::NONE);
        });
        return;
    };
    let elements = sample.bytes.len() / usize::from(sample.element.bytes());
    let segments = fit(segments, elements);
    let mut encoder =
        BlockEncoder::with_model(LEVELS[level], Some(model.model.clone())).expect("memory");
    check(
        &sample,
        &mut encoder,
        &segments,
        Profiles::of(&model.profiles),
    );
});

/// A model made from the sample, and segments of it.
fn choose_model(sample: &Sample, input: &mut Input<'_>) -> Option<(SharedModel, Vec<Segment>)> {
    let exponent_bits = sample.element.exponent_bits()?;
    let rows = 32 + u64::from(input.short());
    let columns = sample.columns;
    Fitter::wants(exponent_bits, sample.element.bytes(), rows, columns as u64).then_some(())?;
    let mut fields = sample.rows();
    if fields.is_empty() {
        fields.resize_with(2 * columns, || input.short());
    }
    let other = vec![0x3C00; 32];
    let model = SharedModel::new(exponent_bits, &[(columns, rows, fields), (32, 32, other)])?;
    let segments = model.segments(input, 1 << 17);
    Some((model, segments))
}

/// As many of the segments as make up the elements.
fn fit(segments: Vec<Segment>, elements: usize) -> Vec<Segment> {
    let mut left = elements as u32;
    let mut fitted = Vec::new();
    for mut segment in segments {
        segment.elements = segment.elements.min(left);
        left -= segment.elements;
        if segment.elements > 0 {
            fitted.push(segment);
        }
    }
    fitted
}

fn check(
    sample: &Sample,
    encoder: &mut BlockEncoder,
    segments: &[Segment],
    profiles: Profiles<'_>,
) {
    let bytes = &sample.bytes;
    let mut stored = Vec::new();
    encoder
        .encode(bytes, sample.element, segments, &mut stored)
        .expect("memory");
    assert!(
        stored.len() <= bytes.len() + MAX_OVERHEAD_BYTES,
        "{:?}: {} bytes became {}",
        sample.element,
        bytes.len(),
        stored.len()
    );
    let stored = stored.into_boxed_slice();
    DECODERS.with_borrow_mut(|decoders| {
        for (name, decoder) in decoders {
            let mut decoded = vec![0xA5; bytes.len()];
            decoder
                .decode_into(&stored, checksum(bytes), profiles, &mut decoded)
                .unwrap_or_else(|error| panic!("{name}: {:?}: {error}", sample.element));
            assert!(decoded == *bytes, "{name}: {:?}", sample.element);
        }
    });
}
