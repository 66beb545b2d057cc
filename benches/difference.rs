//! Speed of the codec of differences on blocks of 256 KiB made in here, in bytes of the original:
//! `cargo bench --bench difference`, with the name of a benchmark or of a kind to run only some.
//!
//! The base is in the cache. Blocks are encoded with the best instruction set that `WEIGHTFS_SIMD` allows, and decoded with
//! each that there is.

use std::fmt;

use divan::Bencher;
use divan::counter::BytesCount;
use fastrand::Rng;
use weightfs::codec::Form;
use weightfs::codec::Level;
use weightfs::codec::difference::{Decoder, Encoder};
use weightfs::simd::Simd;

const BLOCK_BYTES: usize = 256 * 1024;
const COLUMNS: usize = 384;

fn main() {
    divan::main();
}

/// How a model was made from its base.
#[derive(Debug, Clone, Copy)]
enum Made {
    /// By training: so much is what all numbers of a row are changed by at most, about.
    Trained(f64),
    /// One row of so many has other numbers.
    Rows(usize),
}

/// What a block is, and how it is encoded.
#[derive(Clone, Copy)]
struct Kind {
    form: Form,
    made: Made,
    level: Level,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (self.form.bytes, self.form.exponent_bits) {
            (4, _) => "F32",
            (2, 8) => "BF16",
            (2, _) => "F16",
            _ => "F8_E4M3",
        };
        write!(f, "{name} {:?} {:?}", self.made, self.level)
    }
}

/// Rates that leave about two thirds of BF16 equal, and nine tenths; and rows.
const MADE: [Made; 3] = [Made::Trained(1e-4), Made::Trained(2.5e-5), Made::Rows(60)];

fn kinds() -> impl Iterator<Item = Kind> {
    let form = |bytes, exponent_bits| Form {
        bytes,
        exponent_bits,
    };
    let bf16 = MADE.map(|made| (form(2, 8), made));
    let others = [form(2, 5), form(4, 8), form(1, 4)].map(|form| (form, Made::Trained(1e-4)));
    let all = bf16.into_iter().chain(others);
    all.flat_map(|(form, made)| {
        let levels = [Level::Default, Level::Max];
        levels.map(move |level| Kind { form, made, level })
    })
}

#[derive(Clone, Copy)]
struct OnSimd {
    simd: Simd,
    what: Kind,
}

impl fmt::Display for OnSimd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.simd.name())
    }
}

#[divan::bench(args = kinds(), max_time = 0.4)]
fn encode(bencher: Bencher<'_, '_>, kind: Kind) {
    let (own, base) = family(kind);
    let mut encoder = Encoder::new(kind.level);
    let mut coded = Vec::new();
    bencher
        .counter(BytesCount::new(BLOCK_BYTES))
        .bench_local(|| {
            coded.clear();
            encoder.encode(&own, &base, kind.form, &mut coded)
        });
}

#[divan::bench(
    args = kinds().flat_map(|what| Simd::available().map(move |simd| OnSimd { simd, what })),
    max_time = 0.3,
)]
fn decode(bencher: Bencher<'_, '_>, on: OnSimd) {
    let Kind { form, level, .. } = on.what;
    let (own, base) = family(on.what);
    let mut coded = Vec::new();
    assert!(Encoder::new(level).encode(&own, &base, form, &mut coded));
    let mut decoder = Decoder::default();
    let mut decoded = vec![0; BLOCK_BYTES];
    let mut decode = || {
        decoder
            .decode_into(&coded, &base, form, on.simd, &mut decoded)
            .expect("a sound plane");
    };
    decode();
    bencher
        .counter(BytesCount::new(BLOCK_BYTES))
        .bench_local(decode);
    assert!(decoded == own, "lost");
}

/// A block of a matrix, and the same of its base: normally distributed numbers whose rows have scales.
fn family(kind: Kind) -> (Vec<u8>, Vec<u8>) {
    let mut random = Rng::with_seed(1);
    let (mut own, mut base) = (Vec::new(), Vec::new());
    let (mut scale, mut change) = (0.0, 0.0);
    for place in 0..BLOCK_BYTES / usize::from(kind.form.bytes) {
        if place % COLUMNS == 0 {
            scale = 0.04 * (0.3 * gaussian(&mut random)).exp2();
            change = match kind.made {
                Made::Trained(most) => most * (0.7 * gaussian(&mut random)).exp2(),
                Made::Rows(share) => f64::from(u8::from((place / COLUMNS).is_multiple_of(share))),
            };
        }
        let number = scale * gaussian(&mut random);
        base.extend(bits(kind.form, number));
        own.extend(bits(
            kind.form,
            match kind.made {
                // Steps of training are about equally long for all numbers.
                Made::Trained(_) => number + change * (2.0 * random.f64() - 1.0),
                Made::Rows(_) if change > 0.0 => scale * gaussian(&mut random),
                Made::Rows(_) => number,
            },
        ));
    }
    (own, base)
}

/// A number as an element.
fn bits(form: Form, number: f64) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, reason = "rounds")]
    let single = number as f32;
    match (form.bytes, form.exponent_bits) {
        (4, _) => single.to_le_bytes().to_vec(),
        (2, 8) => half::bf16::from_f32(single).to_le_bytes().to_vec(),
        (2, _) => half::f16::from_f32(single).to_le_bytes().to_vec(),
        // A number of 5 bits of exponent that is cut off stands for one of 4 here: what it is, does not matter.
        _ => vec![half::f16::from_f32(single).to_le_bytes()[1]],
    }
}

/// From the standard normal distribution, by the transform of Box and Muller.
fn gaussian(random: &mut Rng) -> f64 {
    // From 0, which is left out, to 1.
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}
