//! Decoding differences. What is stored is described in `layout`.

use std::ops::Range;

use super::keys::{self, Counted};
use super::layout::{
    DIRECT, HEADER_BYTES, KEYS, MAX_GAP_BITS, MAX_STEP_BITS, RUN_BITS, SCALES_TABLE, SPLIT,
    carried, top,
};
use super::number::{Number, by_form};
use super::tail;
use crate::codec::ans::frequencies::take_frequencies;
use crate::codec::ans::{Body, Course, EachTables, LANES, LastRaw, Pieces};
use crate::codec::grouped::MAX_CLASSES;
use crate::codec::parts::PartReader;
use crate::codec::plane::Form;
use crate::codec::symbol::Raw;
use crate::error::{Error, Result};
use crate::plane::BitReader;
use crate::simd::Simd;

/// A coded plane, taken apart.
struct Payload<'a> {
    starts: &'a [u8],
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
        let [classes, run_bits, step_bits, gap_bits, a, b, c, d, ..] = *header;
        let [.., e, f, g, h] = *header;
        let long = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
                as usize
        };
        if !(1..=MAX_CLASSES).contains(&usize::from(classes))
            || !(run_bits == 0 || RUN_BITS.contains(&run_bits))
            || step_bits > MAX_STEP_BITS
            || gap_bits > MAX_GAP_BITS
            || [g, h] != [0, 0]
        {
            return Err(malformed());
        }
        let starts = parts.take(usize::from(classes) - 1)?;
        if !starts.is_sorted_by(|a, b| a < b)
            || starts.last().is_some_and(|&last| usize::from(last) >= KEYS)
        {
            return Err(malformed());
        }
        let tables = parts.take(u16::from_le_bytes([c, d]).into())?;
        let tail = usize::from(u16::from_le_bytes([e, f]));
        let coded = count.checked_sub(tail).ok_or_else(malformed)?;
        let body = Body::take(&mut parts, SPLIT, coded, long(8))?;
        let carried = carried(long(12));
        let low = parts.take(long(12) - carried)?;
        parts.finish()?;
        Ok(Self {
            starts,
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
#[derive(Default)]
pub struct Decoder {
    tables: EachTables,
    scales: Vec<u8>,
    choice: Vec<u8>,
    ids: Vec<u8>,
    last: LastRaw,
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
        let count = base.len() / bytes;
        let payload = Payload::parse(coded, count)?;
        self.prepare(&payload)?;
        let coded = count - payload.tail.0;
        let (tail_gap_bits, tail_base) = (payload.tail.1, &base[coded * bytes..]);
        let base = &base[..coded * bytes];
        let (fields, tail_fields) = fields.split_at_mut(coded * bytes);
        tail_fields.copy_from_slice(tail_base);
        let whole = coded.next_multiple_of(LANES);
        if self.ids.len() < whole {
            self.ids.resize(whole, 0);
        }
        let mut last = std::mem::take(&mut self.last);
        let mut pieces = PlanePieces {
            decoder: self,
            payload: &payload,
            classes: keys::classes(payload.starts),
            base,
            form,
            simd,
            count: coded,
            fields,
        };
        let carried = payload.body.decode_carrying(&mut last, &mut pieces);
        self.last = last;
        let carried = carried?;
        let (low, zeros) = carried.split_at(payload.carried);
        if zeros.iter().any(|&byte| byte != 0) {
            return Err(malformed());
        }
        let low = [payload.low, low].concat();
        let ids = &self.ids[..coded];
        let mut bits = BitReader::new(&low);
        by_form!(form, put_large(ids, &mut bits, base, fields))?;
        by_form!(form, put_tail(tail_gap_bits, &mut bits, tail_fields))?;
        if bits.taken_bytes() == low.len() {
            Ok(())
        } else {
            Err(malformed())
        }
    }

    fn prepare(&mut self, payload: &Payload<'_>) -> Result<()> {
        let mut from = BitReader::new(payload.tables);
        if payload.run_bits.is_some() {
            self.tables
                .prepare_one(SCALES_TABLE, &take_frequencies(&mut from)?);
        }
        for (class, _) in (0..).zip(0..=payload.starts.len()) {
            self.tables
                .prepare_one(class, &take_frequencies(&mut from)?);
        }
        if from.taken_bytes() == payload.tables.len() {
            Ok(())
        } else {
            Err(malformed())
        }
    }
}

/// Puts the numbers that are far from those of the base in their places.
fn put_large<N: Number>(
    ids: &[u8],
    bits: &mut BitReader<'_>,
    base: &[u8],
    fields: &mut [u8],
) -> Result<()> {
    const RUN: usize = 64;
    let (base, fields) = (N::all(base), N::all_mut(fields));
    for (run, ids) in ids.chunks(RUN).enumerate() {
        // Most are near: one comparison for all.
        if ids.iter().fold(0, |most, &id| most.max(id)) < DIRECT {
            continue;
        }
        for (place, &id) in (run * RUN..).zip(ids) {
            if id >= DIRECT {
                let (top, low_bits) = top(id);
                let difference = top << low_bits | bits.take(low_bits);
                let difference = N::of(difference).ok_or_else(malformed)?;
                fields[place] = N::load(base[place]).moved_by(difference).store();
            }
        }
    }
    Ok(())
}

/// Moves the last numbers, which are those of the base.
fn put_tail<N: Number>(gap_bits: u8, bits: &mut BitReader<'_>, fields: &mut [u8]) -> Result<()> {
    let fields = N::all_mut(fields);
    tail::take(fields.len(), gap_bits, bits, |place, difference| {
        let field = &mut fields[place];
        *field = N::load(*field).moved_by(N::of(difference)?).store();
        Some(())
    })
    .ok_or_else(malformed)
}

/// A plane that is being decoded.
struct PlanePieces<'d> {
    decoder: &'d mut Decoder,
    payload: &'d Payload<'d>,
    classes: [u8; KEYS],
    base: &'d [u8],
    form: Form,
    simd: Simd,
    count: usize,
    fields: &'d mut [u8],
}

impl PlanePieces<'_> {
    /// Decodes the scales of all runs, which come first.
    fn decode_scales(&mut self, run_bits: u8, course: &mut Course<'_>) -> Result<()> {
        let decoder = &mut *self.decoder;
        let runs = self.count.div_ceil(1 << run_bits);
        let whole = runs.next_multiple_of(LANES);
        decoder.choice.clear();
        decoder.choice.resize(whole, SCALES_TABLE);
        decoder.scales.resize(whole, 0);
        decoder
            .tables
            .decode(self.simd, &decoder.choice, course, &mut decoder.scales)
    }

    /// Finds the classes of some elements.
    fn choose(&mut self, elements: Range<usize>) {
        let decoder = &mut *self.decoder;
        let whole = elements.len().next_multiple_of(LANES);
        if decoder.choice.len() < whole {
            decoder.choice.resize(whole, 0);
        }
        let choice = &mut decoder.choice[..elements.len()];
        let bytes = usize::from(self.form.bytes);
        let base = &self.base[bytes * elements.start..bytes * elements.end];
        let (simd, form, counted) = (self.simd, self.form, self.payload.counted);
        match self.payload.run_bits {
            None => keys::find(simd, form, counted, base, 0, choice),
            Some(run_bits) => {
                let scales = &decoder.scales[elements.start >> run_bits..];
                let runs = base.chunks(bytes << run_bits);
                for ((base, &scale), keys) in runs.zip(scales).zip(choice.chunks_mut(1 << run_bits))
                {
                    keys::find(simd, form, counted, base, scale, keys);
                }
            }
        }
        simd.look_up(&self.classes, choice);
        let last = choice.last().copied().unwrap_or(0);
        decoder.choice[elements.len()..whole].fill(last);
    }
}

impl Pieces for PlanePieces<'_> {
    fn decode_ids(&mut self, elements: Range<usize>, course: &mut Course<'_>) -> Result<()> {
        if elements.start == 0
            && let Some(run_bits) = self.payload.run_bits
        {
            self.decode_scales(run_bits, course)?;
        }
        self.choose(elements.clone());
        let Decoder {
            tables,
            choice,
            ids,
            ..
        } = &mut *self.decoder;
        let whole = elements.len().next_multiple_of(LANES);
        let ids = &mut ids[elements.start..elements.start + whole];
        tables.decode(self.simd, &choice[..whole], course, ids)
    }

    fn join(&mut self, elements: Range<usize>, _: Raw<'_>) {
        let bytes = usize::from(self.form.bytes);
        let range = bytes * elements.start..bytes * elements.end;
        let (base, fields) = (&self.base[range.clone()], &mut self.fields[range]);
        let ids = &self.decoder.ids[elements];
        self.simd.vectorized(
            #[inline(always)]
            || by_form!(self.form, move_all(base, ids, fields)),
        );
    }
}

/// Moves the base's numbers by as many places as ids say.
#[inline(always)]
fn move_all<N: Number>(base: &[u8], ids: &[u8], fields: &mut [u8]) {
    for ((field, &base), &id) in N::all_mut(fields).iter_mut().zip(N::all(base)).zip(ids) {
        *field = N::load(base).moved_by(N::of_id(id)).store();
    }
}
