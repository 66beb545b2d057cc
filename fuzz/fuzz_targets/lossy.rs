//! Makes numbers lossy in every way: what is decoded is what was promised, within the bound, and parts of a tensor
//! give the same as each other.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use weightfs::block::{BlockDecoder, BlockEncoder};
use weightfs::codec::scaled::Segment;
use weightfs::format::{ElementType, Fidelity, Profiles, checksum};
use weightfs::grid::{Bound, PartsOf, ScaleFit, Treatment, root_mean_square, values};
use weightfs::simd::Simd;
use weightfs_fuzz::{Input, LEVEL_MODEL, LEVELS, block_decoders, float_of};

thread_local! {
    static DECODERS: RefCell<Vec<(&'static str, BlockDecoder)>> = RefCell::new(block_decoders());
    static ENCODERS: RefCell<Vec<BlockEncoder>> = RefCell::new(encoders());
}

/// For no model, and for one with a shape, one a level.
fn encoders() -> Vec<BlockEncoder> {
    [None, Some(LEVEL_MODEL.model.clone())]
        .into_iter()
        .flat_map(|model| {
            LEVELS.map(|level| BlockEncoder::with_model(level, model.clone()).expect("memory"))
        })
        .collect()
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let element = input.one_of(&[
        ElementType::Bf16,
        ElementType::F16,
        ElementType::F32,
        ElementType::F64,
    ]);
    let treatment = treatment(&mut input);
    let has_model = input.once_in(2);
    let level = input.up_to(LEVELS.len() - 1);
    let row = if has_model {
        LEVEL_MODEL.columns[0]
    } else {
        1 + u32::from(input.short() % 700)
    };
    let all = numbers(element, row, &mut input);
    let width = usize::from(element.bytes());
    let elements = all.len() / width;
    // A part of it, which need not start where a row does.
    let from = input.up_to(elements - 1);
    let count = 1 + usize::from(input.short()) % (elements - from);
    let run = from as u64..(from + count) as u64;
    let whole = treatment.whole_parts(row.into(), run, elements as u64);
    let parts = PartsOf {
        bytes: &all[whole.start as usize * width..whole.end as usize * width],
        before: from - whole.start as usize,
        row,
        first_column: from as u32 % row,
    };
    let source = &all[from * width..(from + count) * width];
    let segments = has_model.then_some(Segment {
        profile: Some(0),
        columns: row,
        first_column: parts.first_column,
        elements: count as u32,
    });
    let mut stored = Vec::new();
    let encoded = ENCODERS.with_borrow_mut(|encoders| {
        encoders[usize::from(has_model) * LEVELS.len() + level]
            .encode_treated(
                element,
                &treatment,
                parts,
                count,
                segments.as_slice(),
                &mut stored,
            )
            .expect("memory")
    });
    assert!(stored.len() <= source.len() + 64, "grows");
    let stored = stored.into_boxed_slice();
    let profiles = if has_model {
        Profiles::of(&LEVEL_MODEL.profiles)
    } else {
        Profiles::NONE
    };
    let mut served = Vec::new();
    DECODERS.with_borrow_mut(|decoders| {
        for (name, decoder) in decoders {
            let mut decoded = vec![0xA5; source.len()];
            let sum = encoded.decoded_checksum;
            let result = decoder.decode_into(&stored, sum, profiles, &mut decoded);
            assert!(result.is_ok(), "{name}: {result:?}");
            assert_eq!(checksum(&decoded), sum);
            served = decoded;
        }
    });
    let is_exact = encoded.fidelity == Fidelity::Exact;
    assert_eq!(is_exact, served == source, "fidelity is told wrongly");
    compare(element, &treatment, row as usize, &all, from, &served);
});

fn treatment(input: &mut Input<'_>) -> Treatment {
    // From far below what types have to far above it.
    let bound = f64::exp2(f64::from(input.short()) / 65536.0 * 60.0 - 48.0);
    let typical = f64::exp2(f64::from(input.byte() % 32) - 20.0);
    let bounded = |bound| Treatment::Bounded { bound, typical };
    match input.byte() % 5 {
        0 => bounded(Bound::Absolute(bound)),
        1 => bounded(Bound::Row(bound)),
        2 => bounded(Bound::Pointwise(bound.min(0.999))),
        3 => bounded(Bound::Absolute(f64::from_bits(
            u64::from(input.long()) << 31 | 1,
        ))),
        _ => Treatment::Groups {
            most: input.one_of(&[7, 127]),
            group: 1 + u32::from(input.short() % 300),
            fit: input.one_of(&[ScaleFit::Max, ScaleFit::LeastSquares]),
        },
    }
}

/// Weights with what the input puts among them.
fn numbers(element: ElementType, row: u32, input: &mut Input<'_>) -> Vec<u8> {
    let width = usize::from(element.bytes());
    let kind = input.byte();
    let count = 1 + usize::from(input.short() % 5000);
    let mut all = weightfs_fuzz::weights(element, count, row as usize, kind, input.long());
    for _ in 0..input.byte() % 8 {
        let at = input.up_to(count - 1);
        let run = 1 + usize::from(input.byte());
        let number = float_of(element, input);
        for element in all.chunks_exact_mut(width).skip(at).take(run) {
            element.copy_from_slice(&number.to_le_bytes()[..width]);
        }
    }
    all
}

fn compare(
    element: ElementType,
    treatment: &Treatment,
    row: usize,
    all: &[u8],
    from: usize,
    served: &[u8],
) {
    let width = usize::from(element.bytes());
    let simd = Simd::detect();
    let (mut source, mut numbers) = (Vec::new(), Vec::new());
    values(simd, element, all, &mut source);
    values(simd, element, served, &mut numbers);
    let mut of_row = (usize::MAX, 0.0);
    for (place, &number) in (from..).zip(&numbers) {
        let value = source[place];
        let before = &all[place * width..][..width];
        if before == &served[(place - from) * width..][..width] {
            continue;
        }
        assert!(
            value.is_finite() && number.is_finite(),
            "{value} as {number}"
        );
        let Treatment::Bounded { bound, .. } = treatment else {
            continue;
        };
        let bound = match *bound {
            Bound::Absolute(bound) => bound,
            Bound::Pointwise(bound) => bound * value.abs(),
            Bound::Row(share) => {
                if of_row.0 != place / row {
                    let start = place / row * row;
                    let end = (start + row).min(source.len());
                    of_row = (
                        place / row,
                        share * root_mean_square(Simd::detect(), &source[start..end]),
                    );
                }
                of_row.1
            }
        };
        assert!(
            (number - value).abs() <= bound,
            "{treatment:?}: {value:e} as {number:e}"
        );
    }
}
