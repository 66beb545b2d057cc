//! Guesses from samples at what elements are: whether floats are weights, whether integers hold smaller
//! ones. They decide what else is tried.

/// Elements of a block that are looked at to guess its structure.
const SAMPLES: usize = 2048;
/// A block of floats may be something else than weights if so many of its samples are zero, or if
/// they have fewer different values than this. Weights in 8-bit types have 60 to 200.
const STRUCTURED_ZEROS: usize = SAMPLES / 32;
const STRUCTURED_VALUES: usize = 256;
const STRUCTURED_BYTES: usize = 32;

/// Whether floats look like something else than weights: many zeros, or few different values.
pub(super) fn is_structured(bytes: &[u8], width: u8) -> bool {
    match width {
        1 => is_structured_of::<1>(bytes),
        2 => is_structured_of::<2>(bytes),
        4 => is_structured_of::<4>(bytes),
        _ => is_structured_of::<8>(bytes),
    }
}

fn is_structured_of<const WIDTH: usize>(bytes: &[u8]) -> bool {
    let elements = bytes.as_chunks::<WIDTH>().0;
    let samples = || {
        elements
            .iter()
            .step_by((elements.len() / SAMPLES).max(1))
            .take(SAMPLES)
    };
    let zeros = samples().filter(|&&value| value == [0; WIDTH]).count();
    let different = if WIDTH == 1 {
        STRUCTURED_BYTES
    } else {
        STRUCTURED_VALUES
    };
    zeros >= STRUCTURED_ZEROS || !has_different(samples(), different)
}

/// Elements that are looked at or passed over together, and of how many such runs one is looked at.
const RUN: usize = 16;
const RUN_SHARE: usize = 8;
/// Bits that a byte may take less for knowing its place in the element, where places do not matter: what
/// tables of their own cost, and what a sample seems to have less entropy for counting each place apart.
const ALIKE_BITS: f64 = 0.08;

/// Whether the bytes of elements have the same distribution at each place, as those of integers have that
/// eight weights of 4 bits are packed into.
pub(super) fn are_bytes_alike(bytes: &[u8], width: u8) -> bool {
    let width = usize::from(width);
    let mut places = vec![[0u32; 256]; width];
    for run in bytes.chunks(RUN * width).step_by(RUN_SHARE) {
        for element in run.chunks_exact(width) {
            for (counts, &byte) in places.iter_mut().zip(element) {
                counts[usize::from(byte)] += 1;
            }
        }
    }
    let all = std::array::from_fn(|byte| places.iter().map(|counts| counts[byte]).sum());
    let apart: f64 = places.iter().map(entropy_bits).sum();
    entropy_bits(&all) - apart <= ALIKE_BITS * f64::from(all.iter().sum::<u32>())
}

/// The order-0 entropy of so many bytes, in bits of all of them.
pub(crate) fn entropy_bits(counts: &[u32; 256]) -> f64 {
    let information = |count: u32| f64::from(count) * f64::from(count.max(1)).log2();
    information(counts.iter().sum()) - counts.iter().map(|&count| information(count)).sum::<f64>()
}

/// Whether there are so many different values, at most 256.
fn has_different<'v, const WIDTH: usize>(
    values: impl Iterator<Item = &'v [u8; WIDTH]>,
    wanted: usize,
) -> bool {
    // An open hash table of the values met; most blocks have enough of them very soon.
    const PLACES: usize = 1024;
    let mut met: [Option<[u8; WIDTH]>; PLACES] = [None; PLACES];
    let mut different = 0;
    for value in values {
        let value = *value;
        let mut word = [0; 8];
        word[..WIDTH].copy_from_slice(&value);
        let [.., low, high] = u64::from_le_bytes(word)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .to_le_bytes();
        let mut place = usize::from(u16::from_le_bytes([low, high])) % PLACES;
        while met[place].is_some_and(|other| other != value) {
            place = (place + 1) % PLACES;
        }
        if met[place].is_none() {
            met[place] = Some(value);
            different += 1;
            if different == wanted {
                return true;
            }
        }
    }
    false
}
