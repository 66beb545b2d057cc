//! Blocks that rest on a base: what is encoded beside one comes back, what is damaged fails, and with any other base as well,
//! on every instruction set in the same way. And the tables of bases and hashes.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use weightfs::block::{Beside, BlockDecoder, BlockEncoder, Kin};
use weightfs::format::{BaseRecord, BlockHeader, ElementType, Profiles, TensorHash};
use weightfs::grid::round_to_half;
use weightfs_fuzz::{AS_IT_IS, Input, LEVELS, Sample, block_decoders, check_block, moved, weights};

/// What `BlockEncoder::encode` promises.
const MAX_OVERHEAD_BYTES: usize = 16;

/// A stored block, and what it rests on.
struct Case {
    stored: Vec<u8>,
    base: Vec<u8>,
    decoded_len: usize,
    /// What it must decode to, if it is sound.
    bytes: Option<Vec<u8>>,
}

thread_local! {
    static DECODERS: RefCell<Vec<(&'static str, BlockDecoder)>> = RefCell::new(block_decoders());
    static ENCODERS: RefCell<Vec<BlockEncoder>> = RefCell::new(
        LEVELS.map(|level| BlockEncoder::new(level).expect("memory")).into()
    );
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    match input.byte() {
        AS_IT_IS => check(&as_it_is(&mut input)),
        how if how % 8 == 1 => tables(&mut input),
        how => check(&edited(how, &mut input)),
    }
});

fn as_it_is(input: &mut Input<'_>) -> Case {
    let decoded_len = usize::from(input.short());
    let base_len = usize::from(input.short());
    let rest = input.rest();
    let (base, stored) = rest.split_at(base_len.min(rest.len()));
    Case {
        stored: stored.to_vec(),
        base: base.to_vec(),
        decoded_len,
        bytes: None,
    }
}

/// Numbers, and those of a base that they are near, or not.
fn edited(how: u8, input: &mut Input<'_>) -> Case {
    let level = input.up_to(LEVELS.len() - 1);
    let mut sample = Sample::new(input);
    let is_rounded = how & 2 > 0 && sample.element.is_half();
    let width = usize::from(sample.element.bytes());
    let own = sample.bytes.len() - sample.bytes.len() % width;
    let far = input.byte();
    let mut base = sample.bytes[..own].to_vec();
    if is_rounded {
        base = weights(ElementType::F32, own / 2, sample.columns, far, input.long());
        let mut halves = vec![0; own];
        round_to_half(sample.element, &base, &mut halves);
        sample.bytes[..own].copy_from_slice(&halves);
    }
    if !far.is_multiple_of(4) {
        let near = moved(&sample.bytes[..own], width, far);
        sample.bytes[..own].copy_from_slice(&near);
    }
    if input.once_in(4) {
        let mut edits = [0; 9];
        edits.fill_with(|| input.byte());
        // As many as before.
        let len = base.len();
        Input::new(&edits).edit(&mut base);
        base.resize(len, 0);
    }
    let kin = Kin {
        base: input.long(),
        offset: input.long().into(),
        is_rounded,
        bytes: &base,
    };
    let mut stored = Vec::new();
    ENCODERS.with_borrow_mut(|encoders| {
        encoders[level]
            .encode_beside(&sample.bytes, sample.element, &[], &kin, &mut stored)
            .expect("memory");
    });
    assert!(stored.len() <= sample.bytes.len() + MAX_OVERHEAD_BYTES);
    if let Ok(header) = BlockHeader::parse(&stored, sample.bytes.len())
        && let Some((element, reference)) = header.reference
    {
        assert_eq!(
            (element, reference.base, reference.offset),
            (sample.element, kin.base, kin.offset)
        );
    }
    let mut decoded_len = sample.bytes.len();
    let mut sound = true;
    if input.once_in(8) {
        decoded_len = input.short().into();
        sound = false;
    }
    if input.once_in(8) {
        base.truncate(input.short().into());
        sound = false;
    }
    if input.once_in(4) {
        let mut edits = [0; 7];
        edits.fill_with(|| input.byte());
        Input::new(&edits).edit(&mut base);
        sound = false;
    }
    let damaged = input.edit(&mut stored);
    Case {
        stored,
        base,
        decoded_len,
        bytes: (sound && !damaged).then_some(sample.bytes),
    }
}

fn check(case: &Case) {
    // Allocations of just the length, so that the address sanitizer sees what is read behind them.
    let stored = case.stored.clone().into_boxed_slice();
    let base = case.base.clone().into_boxed_slice();
    let beside = Beside {
        profiles: Profiles::NONE,
        base: &base,
    };
    let bytes = case.bytes.as_deref();
    DECODERS.with_borrow_mut(|decoders| {
        check_block(decoders, &stored, case.decoded_len, beside, bytes);
    });
    // What can be told from the front of a block is what all of it tells.
    if let Ok(header) = BlockHeader::parse(&stored, case.decoded_len) {
        let prefix = &stored[..stored.len().min(weightfs::format::REFERENCE_PREFIX_BYTES)];
        assert_eq!(BlockHeader::reference_of(prefix), header.reference);
    }
}

/// Tables that are taken for such are written again as they are.
fn tables(input: &mut Input<'_>) {
    let is_raw = input.once_in(2);
    let mut bases = Vec::new();
    let mut hashes = Vec::new();
    if is_raw {
        bases = input.rest().to_vec();
        hashes = bases.clone();
    } else {
        let mut at = 0;
        for number in 0..input.byte() % 6 {
            let base = BaseRecord {
                sha256: [number; 32],
                bytes: input.long().into(),
                name: "n".repeat(input.byte().into()),
            };
            base.encode_to(&mut bases);
            let hash = TensorHash {
                start: at + u64::from(input.byte()),
                len: 1 + u64::from(input.short()),
                hash: input.long().into(),
            };
            at = hash.range().end;
            hash.encode_to(&mut hashes);
        }
        assert!(BaseRecord::parse(&bases).is_ok() && TensorHash::parse(&hashes).is_ok());
        let mut both = [bases.clone(), hashes.clone()];
        let which = input.up_to(1);
        input.edit(&mut both[which]);
        [bases, hashes] = both;
    }
    if let Ok(records) = BaseRecord::parse(&bases) {
        let mut again = Vec::new();
        records.iter().for_each(|base| base.encode_to(&mut again));
        assert_eq!(again, bases);
    }
    if let Ok(records) = TensorHash::parse(&hashes) {
        let mut again = Vec::new();
        records.iter().for_each(|hash| hash.encode_to(&mut again));
        assert_eq!(again, hashes);
        assert!(records.is_sorted_by(|one, next| one.range().end <= next.start));
    }
}
