//! Blocks that lie about what they rest on. Their checksums are right wherever something could be decoded.

use std::sync::Arc;

use weightfs::block::BlockDecoder;
use weightfs::format::{BlockHeader, CodecId, ElementType, Kinship, PlaneHeader, Reference};
use weightfs::simd::Simd;

use crate::forge::{BLOCK, Block, F32_AT, Plain, archive, base, resting_on, sound, table_of};
use crate::support::noise;

const EQUAL: Kinship = Kinship::Equal;
const DIFFERENCE: Kinship = Kinship::Difference;

/// A block of some planes and their bytes.
struct Lie {
    element: ElementType,
    reference: Reference,
    planes: Vec<(PlaneHeader, Vec<u8>)>,
}

impl Lie {
    fn new(element: ElementType, kinship: Kinship, at: u64) -> Self {
        Self {
            element,
            reference: Reference {
                kinship,
                base: 0,
                offset: at,
                is_rounded: false,
            },
            planes: Vec::new(),
        }
    }

    const fn of_base(mut self, number: u32) -> Self {
        self.reference.base = number;
        self
    }

    const fn rounded(mut self) -> Self {
        self.reference.is_rounded = true;
        self
    }

    fn plane(mut self, codec: CodecId, width: u8, bytes: &[u8]) -> Self {
        let plane = PlaneHeader {
            codec,
            shift: 0,
            width,
            stored_len: bytes.len() as u32,
        };
        self.planes.push((plane, bytes.to_vec()));
        self
    }

    fn stored(&self) -> Vec<u8> {
        let mut header = BlockHeader::of_kin(self.element, self.reference);
        self.planes
            .iter()
            .for_each(|(plane, _)| header.push(*plane));
        let mut stored = Vec::new();
        header.encode_to(&mut stored);
        stored.extend(self.planes.iter().flat_map(|(_, bytes)| bytes));
        stored
    }
}

/// The bytes of a sound block of differences, with a byte of its header set.
fn edited(stored: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut stored = stored.to_vec();
    stored[at] = byte;
    stored
}

/// Blocks that cannot be read, by what is wrong with them.
pub fn forged(base: &[u8]) -> Vec<(&'static str, Block)> {
    use CodecId::{Ans, Constant, Difference, Raw, Zstd};
    use ElementType::{Bf16, Bool, Bytes, F32, F64, I8, Q3K, Q4_0};
    let whole = sound(base);
    let near = &whole[0].stored;
    // Of a sound block of differences: header, plane header, reference, plane.
    let plane = &near[32..];
    let raw = &base[..BLOCK];
    let last = i64::MAX as u64;
    let behind = (base.len() - BLOCK + 1) as u64;
    let differs = |element, at| Lie::new(element, DIFFERENCE, at).plane(Difference, 16, plane);
    let lies = [
        ("no such base", Lie::new(Bf16, EQUAL, 0).of_base(1)),
        ("no base by far", Lie::new(Bf16, EQUAL, 0).of_base(u32::MAX)),
        ("a difference to no base", differs(Bf16, 0).of_base(7)),
        ("behind the end by a byte", Lie::new(Bytes, EQUAL, behind)),
        ("behind the end by far", Lie::new(Bytes, EQUAL, last)),
        (
            "an end that is no number",
            Lie::new(Bf16, EQUAL, last - 1).rounded(),
        ),
        ("a difference behind the end", differs(Bf16, behind)),
        (
            "offset of more than 63 bits",
            Lie::new(Bytes, EQUAL, u64::MAX),
        ),
        (
            "offset whose end is 0",
            Lie::new(Bytes, EQUAL, 0u64.wrapping_sub(BLOCK as u64)),
        ),
        (
            "rounded to F32",
            Lie::new(F32, EQUAL, F32_AT as u64).rounded(),
        ),
        ("rounded bytes", Lie::new(Bytes, EQUAL, 0).rounded()),
        (
            "rounded behind the end",
            Lie::new(Bf16, EQUAL, behind - 1).rounded(),
        ),
        ("other bytes of the base", Lie::new(Bytes, EQUAL, 1)),
        ("differences to other numbers", differs(Bf16, 2)),
        (
            "differences of bytes",
            Lie::new(Bytes, DIFFERENCE, 0).plane(Difference, 8, plane),
        ),
        (
            "differences of integers",
            Lie::new(I8, DIFFERENCE, 0).plane(Difference, 8, plane),
        ),
        (
            "differences of truths",
            Lie::new(Bool, DIFFERENCE, 0).plane(Difference, 8, plane),
        ),
        (
            "differences of 64 bits",
            Lie::new(F64, DIFFERENCE, 0).plane(Difference, 64, plane),
        ),
        (
            "differences of records",
            Lie::new(Q4_0, DIFFERENCE, 0).plane(Difference, 144, plane),
        ),
        (
            "differences of long records",
            Lie::new(Q3K, DIFFERENCE, 0).plane(Difference, 112, plane),
        ),
        (
            "raw beside a base",
            Lie::new(Bf16, DIFFERENCE, 0).plane(Raw, 16, raw),
        ),
        (
            "one value beside a base",
            Lie::new(Bf16, DIFFERENCE, 0).plane(Constant, 16, &raw[..2]),
        ),
        (
            "zstd beside a base",
            Lie::new(Bf16, DIFFERENCE, 0).plane(Zstd, 16, &noise(1, 99)),
        ),
        (
            "ans beside a base",
            Lie::new(Bf16, DIFFERENCE, 0).plane(Ans, 16, plane),
        ),
        ("no plane", Lie::new(Bf16, DIFFERENCE, 0)),
        ("two planes", differs(Bf16, 0).plane(Difference, 16, plane)),
        (
            "a plane beside what is equal",
            Lie::new(Bf16, EQUAL, 0).plane(Difference, 16, plane),
        ),
        (
            "half of the width",
            Lie::new(Bf16, DIFFERENCE, 0).plane(Difference, 8, plane),
        ),
        (
            "another type",
            Lie::new(F32, DIFFERENCE, 0).plane(Difference, 32, plane),
        ),
        (
            "no differences at all",
            Lie::new(Bf16, DIFFERENCE, 0).plane(Difference, 16, &[]),
        ),
        (
            "differences cut short",
            Lie::new(Bf16, DIFFERENCE, 0).plane(Difference, 16, &plane[..plane.len() - 1]),
        ),
        (
            "differences of zeros",
            Lie::new(Bf16, DIFFERENCE, 0).plane(Difference, 16, &[0; 300]),
        ),
        (
            "differences of ones",
            Lie::new(Bf16, DIFFERENCE, 0).plane(Difference, 16, &[255; 300]),
        ),
        (
            "differences of noise",
            Lie::new(Bf16, DIFFERENCE, 0).plane(Difference, 16, &noise(2, 3000)),
        ),
    ];
    let mut ordinary = BlockHeader::new(2, 0);
    ordinary.push(PlaneHeader {
        codec: Difference,
        shift: 0,
        width: 16,
        stored_len: plane.len() as u32,
    });
    let mut beside_nothing = Vec::new();
    ordinary.encode_to(&mut beside_nothing);
    beside_nothing.extend(plane);
    let mut all: Vec<_> = lies
        .iter()
        .map(|(what, lie)| (*what, lie.stored()))
        .collect();
    all.extend([
        ("differences that rest on nothing", beside_nothing),
        ("many planes", edited(near, 0, 255)),
        ("a kind before the first", edited(near, 2, 127)),
        ("a kind behind the last", edited(near, 2, 130)),
        ("no such type", edited(near, 3, 200)),
        ("a shift", edited(near, 9, 1)),
        ("a plane longer than its block", edited(near, 15, 255)),
        (
            "a plane a byte shorter",
            edited(near, 12, near[12].wrapping_sub(1)),
        ),
        ("a flag of 2", edited(near, 20, 2)),
        ("something reserved", edited(near, 22, 1)),
        ("nothing but a reference", near[..32].to_vec()),
        ("half a reference", near[..24].to_vec()),
        ("nothing", Vec::new()),
        ("something behind it", [&near[..], &[0]].concat()),
    ]);
    // Raw planes would decode to themselves, others to what they are made from.
    let decoded = |what| match what {
        "raw beside a base" => raw.to_vec(),
        "one value beside a base" => raw[..2].repeat(BLOCK / 2),
        _ => whole[0].decoded.clone(),
    };
    let blocks = all.into_iter().map(|(what, stored)| {
        let decoded = decoded(what);
        (what, Block { stored, decoded })
    });
    blocks.collect()
}

#[test]
fn a_block_that_lies_about_its_base_is_an_error_and_others_are_read() {
    let base = base();
    let whole = sound(&base);
    let forged = forged(&base);
    let blocks: Vec<_> = forged
        .iter()
        .map(|(_, block)| block)
        .chain(&whole[..3])
        .cloned()
        .collect();
    let bytes = archive(&blocks, &table_of(&base), &[]);
    let reader = resting_on(bytes, Arc::new(Plain(base.clone()))).unwrap();
    assert!(reader.check_tables().is_empty());
    for simd in Simd::available() {
        let mut decoder = BlockDecoder::with_simd(simd).unwrap();
        let mut decoded = vec![0; BLOCK];
        for (number, (what, _)) in (0..).zip(&forged) {
            let _ = (reader.reference(number), reader.block_header(number));
            reader.bases_will_need(&(0..u64::MAX));
            let read = reader.decode_block(number, &mut decoder, &mut decoded);
            let failure = read.expect_err(what);
            assert!(!failure.to_string().is_empty(), "{what}");
        }
        for (number, block) in (forged.len() as u64..).zip(&whole[..3]) {
            reader
                .decode_block(number, &mut decoder, &mut decoded)
                .unwrap();
            assert!(decoded == block.decoded);
        }
    }
}

/// Blocks of an archive without a table of bases cannot rest on one.
#[test]
fn a_block_that_rests_on_a_base_where_there_is_none_is_an_error() {
    let base = base();
    let blocks = sound(&base);
    let reader = resting_on(archive(&blocks, &[], &[]), Arc::new(Plain(base))).unwrap();
    let mut decoder = BlockDecoder::new().unwrap();
    let mut decoded = vec![0; BLOCK];
    for (number, block) in (0..).zip(&blocks).take(8) {
        let rests = block.stored[1] == 0 && block.stored[2] >= 128;
        decoded.resize(block.decoded.len(), 0);
        let read = reader.decode_block(number, &mut decoder, &mut decoded);
        assert_eq!(read.is_err(), rests, "block {number}");
    }
    assert_eq!(blocks[0].stored[2], 129);
}
