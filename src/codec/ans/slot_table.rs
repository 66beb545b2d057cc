//! Frequency tables prepared for decoding.

use super::frequencies::{Buckets, Frequencies, SLOT_BITS, SLOTS};
use crate::simd::Simd;

/// A frequency table prepared for decoding.
pub(super) struct SlotTable {
    /// For each slot: id (8 bits), frequency (12), rank (12), from the lowest bit on.
    pub slots: Box<[u32; SLOTS]>,
    /// The same by bucket, if there are 128.
    pub buckets: BucketBytes,
    pub bucket_bits: u32,
}

/// The fields of 128 buckets, each in vectors of bytes.
pub(super) struct BucketBytes {
    pub own_slots: [u8; 128],
    pub alias: [u8; 128],
    pub bias_low: [u8; 128],
    pub bias_high: [u8; 128],
    /// Of the id that is the bucket's number, which is not always the id of the slot.
    pub frequency_low: [u8; 128],
    pub frequency_high: [u8; 128],
}

impl SlotTable {
    pub(super) fn new() -> Self {
        Self {
            slots: Box::new([0; SLOTS]),
            buckets: BucketBytes {
                own_slots: [0; 128],
                alias: [0; 128],
                bias_low: [0; 128],
                bias_high: [0; 128],
                frequency_low: [0; 128],
                frequency_high: [0; 128],
            },
            bucket_bits: 0,
        }
    }

    pub(super) fn prepare(&mut self, frequencies: &Frequencies, bucket_bits: u32, simd: Simd) {
        let dealt = Buckets::new(frequencies, bucket_bits);
        self.bucket_bits = bucket_bits;
        if in_registers(bucket_bits, simd) {
            let buckets = &mut self.buckets;
            for (i, frequency) in frequencies[..128].iter().enumerate() {
                buckets.own_slots[i] = dealt.own_slots[i];
                buckets.alias[i] = dealt.alias[i];
                [buckets.bias_low[i], buckets.bias_high[i]] = dealt.alias_bias[i].to_le_bytes();
                [buckets.frequency_low[i], buckets.frequency_high[i]] = frequency.to_le_bytes();
            }
            return;
        }
        fill_slots(frequencies, &dealt, &mut self.slots);
    }
}

/// Writes id (8 bits), frequency (12) and rank (12) of each slot.
pub(super) fn fill_slots(frequencies: &Frequencies, dealt: &Buckets, slots: &mut [u32; SLOTS]) {
    let entry = |id: u8, bias: u16| {
        u32::from(id)
            | u32::from(frequencies[usize::from(id)]) << 8
            | u32::from(bias) << (8 + SLOT_BITS)
    };
    let mut own = [0; 256];
    let mut alias = [0; 256];
    for bucket in 0..1 << dealt.bits {
        own[bucket] = entry(bucket.to_le_bytes()[0], 0);
        alias[bucket] = entry(dealt.alias[bucket], dealt.alias_bias[bucket]);
    }
    // A rank wraps at 12 bits, its width in an entry: the bias may be negative.
    for (place, slots) in slots.chunks_exact_mut(1 << dealt.bits).enumerate() {
        let place = place.to_le_bytes()[0];
        for (bucket, slot) in slots.iter_mut().enumerate() {
            let entry = if place < dealt.own_slots[bucket] {
                own[bucket]
            } else {
                alias[bucket]
            };
            *slot = entry.wrapping_add(u32::from(place) << (8 + SLOT_BITS));
        }
    }
}

/// The same of slots that are in the order of ids.
#[inline(always)]
pub(super) fn fill_slots_in_order(frequencies: &Frequencies, slots: &mut [u32; SLOTS]) {
    let mut slots = &mut slots[..];
    for (id, &frequency) in (0u32..).zip(frequencies) {
        if frequency == 0 {
            continue;
        }
        let (of_id, rest) = slots.split_at_mut(slots.len().min(frequency.into()));
        let first = id | u32::from(frequency) << 8;
        for (rank, slot) in (0u32..).zip(of_id) {
            *slot = first | rank << (8 + SLOT_BITS);
        }
        slots = rest;
    }
}

/// Whether the tables of this many buckets are looked up in vector registers.
pub(super) fn in_registers(bucket_bits: u32, simd: Simd) -> bool {
    match simd {
        #[cfg(target_arch = "x86_64")]
        _ if simd.avx512() => bucket_bits == 7,
        _ => false,
    }
}
