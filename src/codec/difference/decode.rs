//! Decoding differences. What is stored is described in `layout`.

use super::chances::Chances;
use super::changes::{RUN, large};
use super::keys::{self, Counted};
use super::layout::{
    HEADER_BYTES, KEY_BITS, KEYS, MAX_GAP_BITS, MAX_STEP_BITS, NO_KEY, NO_TABLE, NOTHING, RUN_BITS,
    SCALES_TABLE, SPLIT, carried, top,
};
use super::number::{Number, by_form};
use super::tail;
use crate::codec::ans::frequencies::take_frequencies;
use crate::codec::ans::{Body, Course, EachTables, FLAG_WORDS, LANES, PIECE};
use crate::codec::grouped::MAX_CLASSES;
use crate::codec::parts::PartReader;
use crate::codec::plane::Form;
use crate::error::{Error, Result};
use crate::plane::BitReader;
use crate::simd::{Simd, places, prefetch};

/// A coded plane, taken apart.
struct Payload<'a> {
    classes: u8,
    run_bits: Option<u8>,
    counted: Counted,
    tables: &'a [u8],
    body: Body<'a>,
    /// Those that are stored; the states carry so many more bytes.
    low: &'a [u8],
    carried: usize,
    /// Elements of the tail, and the Rice parameter of its gaps.
    tail: (usize, u8),
}

fn malformed() -> Error {
    Error::corrupt("a plane of differences is malformed")
}

impl<'a> Payload<'a> {
    fn parse(coded: &'a [u8], count: usize) -> Result<Self> {
        let mut parts = PartReader::new(coded);
        let header = parts.take_array::<HEADER_BYTES>()?;
        let [classes, bits, gap_bits, a, b, c, d, e, f, ..] = *header;
        let long = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
                as usize
        };
        let (run_bits, step_bits) = (bits & 15, bits >> 4);
        if usize::from(classes) > MAX_CLASSES
            || !(run_bits == 0 || RUN_BITS.contains(&run_bits))
            || step_bits > MAX_STEP_BITS
            || gap_bits > MAX_GAP_BITS
        {
            return Err(malformed());
        }
        let tail = usize::from(u16::from_le_bytes([c, d]));
        let coded = count.checked_sub(tail).ok_or_else(malformed)?;
        let tables = parts.take(u16::from_le_bytes([e, f]).into())?;
        let body = Body::take(&mut parts, SPLIT, coded, long(9))?;
        let carried = carried(long(13));
        let low = parts.take(long(13) - carried)?;
        parts.finish()?;
        Ok(Self {
            classes,
            run_bits: (run_bits > 0).then_some(run_bits),
            counted: Counted {
                step_bits,
                lowest: i16::from_le_bytes([a, b]),
            },
            tables,
            body,
            low,
            carried,
            tail: (tail, gap_bits),
        })
    }
}

/// Decodes planes; holds tables and buffers between calls.
pub struct Decoder {
    tables: EachTables,
    scales: Vec<u8>,
    keys: Vec<u8>,
    flags: Vec<u64>,
    /// The tables of ids.
    choice: Vec<u8>,
    ids: Vec<u8>,
    /// Changes, as numbers.
    moves: Vec<u8>,
    low: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        let mut tables = EachTables::default();
        tables.prepare_in_order(Simd::PORTABLE, NO_TABLE, &NOTHING);
        Self {
            tables,
            scales: Vec::new(),
            keys: vec![NO_KEY; PIECE],
            flags: Vec::new(),
            choice: Vec::new(),
            ids: Vec::new(),
            moves: Vec::new(),
            low: Vec::new(),
        }
    }
}

impl Decoder {
    /// Decodes numbers into `fields`, which are as many as those of the base.
    ///
    /// # Errors
    /// `Corrupt` if the coded bytes are no differences to these numbers.
    pub fn decode_into(
        &mut self,
        coded: &[u8],
        base: &[u8],
        form: Form,
        simd: Simd,
        fields: &mut [u8],
    ) -> Result<()> {
        let bytes = usize::from(form.bytes);
        if !form.is_known() || base.len() != fields.len() || !base.len().is_multiple_of(bytes) {
            return Err(malformed());
        }
        by_form!(form, N => self.decode::<N>(coded, base, form, simd, fields))
    }

    fn decode<N: Number>(
        &mut self,
        coded: &[u8],
        base: &[u8],
        form: Form,
        simd: Simd,
        fields: &mut [u8],
    ) -> Result<()> {
        let (base, fields) = (N::all(base), N::all_mut(fields));
        let payload = Payload::parse(coded, base.len())?;
        let (tail_elements, tail_gap_bits) = payload.tail;
        let (base, tail_base) = base.split_at(base.len() - tail_elements);
        let (fields, tail_fields) = fields.split_at_mut(base.len());

        let (chances, starts) = self.prepare(simd, &payload)?;
        // For whole groups, and for who writes 64 at once.
        let most = (base.len() + RUN).next_multiple_of(LANES);
        if self.choice.len() < most {
            self.choice.resize(most, 0);
        }
        let mut course = payload.body.course();
        if let Some(run_bits) = payload.run_bits {
            let runs = base.len().div_ceil(1 << run_bits);
            self.decode_scales(simd, runs, &mut course)?;
        }
        let changed = self.decode_flags::<N>(&payload, &chances, base, form, simd, &mut course)?;
        self.decode_ids(simd, &starts, changed, &mut course)?;
        if changed > 0 && payload.classes == 0 {
            return Err(malformed());
        }
        let carried = payload.body.finish(&course)?;
        let (carried, zeros) = carried.split_at(payload.carried);
        if zeros.iter().any(|&byte| byte != 0) {
            return Err(malformed());
        }
        self.low.clear();
        self.low.extend_from_slice(payload.low);
        self.low.extend_from_slice(carried);
        let low_bits = self.find_moves::<N>(simd, changed)?;
        self.join::<N>(simd, base, fields);
        tail_fields.copy_from_slice(tail_base);
        let (bytes, bits) = (low_bits / 8, (low_bits % 8).to_le_bytes()[0]);
        let tail = self.low.get(bytes..).ok_or_else(malformed)?;
        let mut from = BitReader::new(tail);
        if bits > 0 {
            from.take(bits);
        }
        put_tail::<N>(tail_gap_bits, &mut from, tail_fields)?;
        if from.taken_bytes() == tail.len() {
            Ok(())
        } else {
            Err(malformed())
        }
    }

    /// Returns the chances and the class of each key.
    fn prepare(&mut self, simd: Simd, payload: &Payload<'_>) -> Result<(Chances, [u8; 64])> {
        let mut from = BitReader::new(payload.tables);
        let chances = Chances::take(&mut from).ok_or_else(malformed)?;
        if payload.run_bits.is_some() {
            self.tables
                .prepare_in_order(simd, SCALES_TABLE, &take_frequencies(&mut from)?);
        }
        let starts = (1..payload.classes).map(|_| from.take(KEY_BITS).to_le_bytes()[0]);
        let starts: Vec<u8> = starts.collect();
        if !starts.is_sorted_by(|a, b| a < b)
            || starts.last().is_some_and(|&last| usize::from(last) >= KEYS)
        {
            return Err(malformed());
        }
        for class in 0..payload.classes {
            self.tables
                .prepare_in_order(simd, class, &take_frequencies(&mut from)?);
        }
        if from.taken_bytes() == payload.tables.len() {
            Ok((chances, keys::classes(&starts)))
        } else {
            Err(malformed())
        }
    }

    /// Decodes the scales of all runs, which come first.
    fn decode_scales(&mut self, simd: Simd, runs: usize, course: &mut Course<'_>) -> Result<()> {
        let whole = runs.next_multiple_of(LANES);
        let choice = &mut self.choice[..whole];
        choice[..runs].fill(SCALES_TABLE);
        choice[runs..].fill(NO_TABLE);
        self.scales.resize(whole, 0);
        self.tables.decode(simd, choice, course, &mut self.scales)
    }

    /// Decodes what is changed, and finds the keys of all that is. Returns how many these are.
    fn decode_flags<N: Number>(
        &mut self,
        payload: &Payload<'_>,
        chances: &Chances,
        base: &[N::Bytes],
        form: Form,
        simd: Simd,
        course: &mut Course<'_>,
    ) -> Result<usize> {
        let tables = chances.tables();
        let groups = base.len().div_ceil(LANES);
        self.flags.clear();
        self.flags.resize(groups * FLAG_WORDS, 0);
        let mut changed = 0;
        let mut bases = base.chunks(PIECE);
        let pieces = self.flags.chunks_mut(PIECE / 64).enumerate();
        for (piece, flags) in pieces {
            let base = bases.next().unwrap_or_default();
            let keys = &mut self.keys[..64 * flags.len()];
            let scales = payload
                .run_bits
                .map(|bits| (bits, &self.scales[(piece * PIECE) >> bits..]));
            simd.vectorized(
                #[inline(always)]
                || find_keys::<N>(form, payload.counted, base, scales, keys),
            );
            keys[base.len()..].fill(NO_KEY);
            // What is needed next comes near meanwhile.
            let next = bases.clone().next();
            prefetch(next.map_or(&[], |base| N::bytes(base)));
            tables.decode(simd, keys, course, flags)?;
            // A forged plane may say that something is changed behind its end.
            for (flags, start) in flags.iter_mut().zip((0..).step_by(RUN)) {
                let left = base.len().saturating_sub(start);
                if left < RUN {
                    *flags &= (1 << left) - 1;
                }
            }
            let choice = &mut self.choice;
            simd.vectorized(
                #[inline(always)]
                || {
                    for (keys, &flags) in keys.as_chunks().0.iter().zip(&*flags) {
                        if let Some(room) = choice[changed..].first_chunk_mut() {
                            simd.pick(keys, flags, room);
                        }
                        changed += flags.count_ones() as usize;
                    }
                },
            );
        }
        Ok(changed)
    }

    /// Decodes the ids of what is changed.
    fn decode_ids(
        &mut self,
        simd: Simd,
        classes: &[u8; 64],
        changed: usize,
        course: &mut Course<'_>,
    ) -> Result<()> {
        let whole = changed.next_multiple_of(LANES);
        let choice = &mut self.choice[..whole];
        simd.look_up(classes, &mut choice[..changed]);
        choice[changed..].fill(NO_TABLE);
        self.ids.resize(whole, 0);
        self.tables.decode(simd, choice, course, &mut self.ids)
    }

    /// Makes changes of ids. Returns how many low bits were taken.
    fn find_moves<N: Number>(&mut self, simd: Simd, changed: usize) -> Result<usize> {
        let ids = &self.ids[..changed];
        let mut taken = 0;
        // Who puts them in their places looks at 64 at once.
        self.moves.resize((changed + RUN) * size_of::<N>(), 0);
        let moves = N::all_mut(&mut self.moves);
        for (moves, ids) in moves.chunks_mut(RUN).zip(ids.chunks(RUN)) {
            let far = simd.vectorized(
                #[inline(always)]
                || {
                    for (place, &id) in moves.iter_mut().zip(ids) {
                        *place = N::after(id).places().store();
                    }
                    large(simd, ids)
                },
            );
            for place in places(far) {
                let (top, low_bits) = top(ids[place]);
                let low = bits_at(&self.low, taken) & ((1 << low_bits) - 1);
                taken += usize::from(low_bits);
                let change = (top << low_bits | low).checked_add(1).and_then(N::of);
                let change = change.ok_or_else(malformed)?;
                moves[place] = change.places().store();
            }
        }
        Ok(taken)
    }

    /// Moves the base's numbers.
    fn join<N: Number>(&self, simd: Simd, base: &[N::Bytes], fields: &mut [N::Bytes]) {
        let moves = N::all(&self.moves);
        simd.vectorized(
            #[inline(always)]
            || {
                let mut at = 0;
                let runs = base.chunks(RUN).zip(fields.chunks_mut(RUN));
                for ((base, fields), &flags) in runs.zip(&self.flags) {
                    let next = moves[at..].first_chunk();
                    let Some(next) = next.filter(|_| flags > 0) else {
                        fields.copy_from_slice(base);
                        continue;
                    };
                    let mut spread = [N::ZERO; RUN];
                    N::spread(simd, next, flags, &mut spread);
                    at += flags.count_ones() as usize;
                    for ((field, &base), &change) in fields.iter_mut().zip(base).zip(&spread) {
                        *field = N::load(base).moved_by(N::load(change)).store();
                    }
                }
            },
        );
    }
}

/// At least 56 bits of a bit string; behind its end there are zeros.
#[inline(always)]
fn bits_at(bytes: &[u8], bit: usize) -> u64 {
    let rest = bytes.get(bit / 8..).unwrap_or_default();
    let word = match rest.first_chunk() {
        Some(word) => *word,
        None => {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            word
        }
    };
    u64::from_le_bytes(word) >> (bit % 8)
}

#[inline(always)]
fn find_keys<N: Number>(
    form: Form,
    counted: Counted,
    base: &[N::Bytes],
    scales: Option<(u8, &[u8])>,
    keys: &mut [u8],
) {
    let Some((run_bits, scales)) = scales else {
        keys::find::<N>(form, counted, base, 0, keys);
        return;
    };
    let runs = base
        .chunks(1 << run_bits)
        .zip(keys.chunks_mut(1 << run_bits));
    for ((base, keys), &scale) in runs.zip(scales) {
        keys::find::<N>(form, counted, base, scale, keys);
    }
}

/// Moves the last numbers, which are those of the base.
fn put_tail<N: Number>(
    gap_bits: u8,
    bits: &mut BitReader<'_>,
    fields: &mut [N::Bytes],
) -> Result<()> {
    tail::take(fields.len(), gap_bits, bits, |place, difference| {
        let field = &mut fields[place];
        let change = N::of(difference)?.places();
        *field = N::load(*field).moved_by(change).store();
        Some(())
    })
    .ok_or_else(malformed)
}
