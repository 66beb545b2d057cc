//! The kernels: a few fields are packed and unpacked at once, in two registers.

/// Bytes that are unpacked together: 8 fields of 16 bits or 16 fields of 8 bits.
pub(super) const GROUP_BYTES: usize = 16;

/// Takes packed fields apart, half by half, until each has its own lane:
///
/// ```text
/// 4 fields of 3 bits                dddcccbbbaaa
/// lanes of 32 bits      ......dddccc|......bbbaaa
/// lanes of 16 bits    ...ddd|...ccc|...bbb|...aaa
/// fields              ddd...|ccc...|bbb...|aaa...
/// ```
#[inline(always)]
pub(super) fn unpack_group<const WIDTH: u32, const KEPT: u32>(
    packed: &[u8; GROUP_BYTES],
) -> [u8; GROUP_BYTES] {
    let word_bits = 64 / WIDTH * KEPT;
    let second = load(packed, (word_bits / 8) as usize) >> (word_bits % 8);
    let mut words = [load(packed, 0), second];
    halve_lanes::<32, WIDTH, KEPT>(&mut words);
    halve_lanes::<16, WIDTH, KEPT>(&mut words);
    if WIDTH == 8 {
        halve_lanes::<8, WIDTH, KEPT>(&mut words);
    }
    let mut fields = [0; GROUP_BYTES];
    for (bytes, word) in fields.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&(word << (WIDTH - KEPT)).to_le_bytes());
    }
    fields
}

/// Moves the upper half of the fields in each lane to the next lane of `LANE` bits.
#[inline(always)]
fn halve_lanes<const LANE: u32, const WIDTH: u32, const KEPT: u32>(words: &mut [u64; 2]) {
    let half_bits = LANE / WIDTH * KEPT;
    let low = const { low_halves(LANE, LANE / WIDTH * KEPT) };
    for word in words {
        *word = *word & low | (*word & low << half_bits) << (LANE - half_bits);
    }
}

/// The steps of `unpack_group` backwards.
pub(super) fn pack_group(fields: &[u8; GROUP_BYTES], width: u32, kept: u32) -> [u8; GROUP_BYTES] {
    let mut words = [load(fields, 0), load(fields, 8)];
    for word in &mut words {
        *word >>= width - kept;
    }
    for lane_bits in [8, 16, 32] {
        if lane_bits >= width {
            let half_bits = lane_bits / width * kept;
            let low = low_halves(lane_bits, half_bits);
            for word in &mut words {
                *word = *word & low | *word >> (lane_bits - half_bits) & low << half_bits;
            }
        }
    }
    let [first, second] = words.map(u128::from);
    (first | second << (64 / width * kept)).to_le_bytes()
}

/// The low `half_bits` of every other lane.
#[inline(always)]
const fn low_halves(lane_bits: u32, half_bits: u32) -> u64 {
    let mut mask = (1 << half_bits) - 1;
    let mut bits = 2 * lane_bits;
    while bits < 64 {
        mask |= mask << bits;
        bits *= 2;
    }
    mask
}

#[inline(always)]
fn load(bytes: &[u8; GROUP_BYTES], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
