//! Encoding differences. What is stored is described in `layout`.

use super::keys::{self, Counted};
use super::layout::{DIRECT, KEYS, SCALES_TABLE, carried, parts};
use super::number::{Number, by_form};
use super::runs::{RUN_BITS_OF_MAX, Runs};
use super::tail::Tail;
use crate::codec::ans::frequencies::{self, Frequencies, normalize};
use crate::codec::ans::{self, EachEncoder, LANES, put_states};
use crate::codec::grouped::{Class, Counts, merged};
use crate::codec::plane::Form;
use crate::codec::plane::Level;
use crate::plane::BitWriter;
use crate::simd::Simd;

/// What a table costs a decoder, as bits.
const TABLE_BITS: f32 = 160.0;
/// Above the highest key there may be one element in so many: it is given the same table.
const FEW_ABOVE: usize = 1000;

/// Encodes planes, with buffers that are used again.
pub struct Encoder {
    level: Level,
    simd: Simd,
    ans: EachEncoder,
    plane: Plane,
    runs: Runs,
    keys: Vec<u8>,
    choice: Vec<u8>,
    counts: Box<[Counts; KEYS]>,
}

/// A plane of differences, taken apart.
#[derive(Default)]
struct Plane {
    ids: Vec<u8>,
    /// Low bits, and how many they are.
    low: Vec<(u32, u8)>,
    /// The exponents of the base.
    exponents: Vec<u8>,
}

/// How elements are told apart, and what all takes that follows from it.
struct Plan {
    run_bits: Option<u8>,
    counted: Counted,
    classes: Vec<Class>,
    bits: f32,
}

impl Encoder {
    /// For planes of one level.
    pub fn new(level: Level) -> Self {
        let simd = Simd::detect();
        Self {
            level,
            simd,
            ans: EachEncoder::new(simd, &[]),
            plane: Plane::default(),
            runs: Runs::default(),
            keys: Vec::new(),
            choice: Vec::new(),
            counts: Box::new([[0; 256]; KEYS]),
        }
    }

    /// Appends what tells numbers from those of the base. Returns false, and appends nothing, if they are not as many, are
    /// none, or are of a form that there is no codec for.
    pub fn encode(&mut self, own: &[u8], base: &[u8], form: Form, out: &mut Vec<u8>) -> bool {
        let bytes = usize::from(form.bytes);
        if !form.is_known()
            || own.is_empty()
            || own.len() != base.len()
            || !own.len().is_multiple_of(bytes)
        {
            return false;
        }
        by_form!(
            form,
            take_apart(self.simd, own, base, form, &mut self.plane)
        );
        let tail = by_form!(form, take_tail(&mut self.plane, own, base));
        let mut plan = self.plan_without_runs();
        if self.level == Level::Max {
            let other = self.plan_runs(own, base, form);
            // The keys are now those of the runs.
            if other.bits < plan.bits {
                plan = other;
            } else {
                self.find_keys(plan.counted, None);
            }
        }
        self.write(&plan, &tail, out);
        true
    }

    fn plan_without_runs(&mut self) -> Plan {
        let counted = Counted {
            step_bits: 0,
            lowest: lowest(self.plane.exponents.iter().map(|&exponent| exponent.into())),
        };
        self.find_keys(counted, None);
        self.count();
        let classes = self.merge();
        Plan {
            run_bits: None,
            counted,
            bits: classes.iter().map(|class| class.bits).sum(),
            classes,
        }
    }

    fn plan_runs(&mut self, own: &[u8], base: &[u8], form: Form) -> Plan {
        let run_bits = RUN_BITS_OF_MAX;
        self.runs.guess(own, base, form, &self.plane.exponents);
        let mut counted = self.counted_with_runs();
        for _ in 0..Runs::ROUNDS {
            self.find_keys(counted, Some(run_bits));
            self.count();
            let Plane { ids, exponents, .. } = &self.plane;
            self.runs.improve(&self.counts, counted, exponents, ids);
            counted = self.counted_with_runs();
        }
        self.find_keys(counted, Some(run_bits));
        self.count();
        let classes = self.merge();
        let scales = Class::new(0, self.runs.counts(), TABLE_BITS);
        Plan {
            run_bits: Some(run_bits),
            counted,
            bits: classes.iter().map(|class| class.bits).sum::<f32>() + scales.bits,
            classes,
        }
    }

    fn counted_with_runs(&self) -> Counted {
        let step_bits = Runs::STEP_BITS;
        let exponents = self.plane.exponents.iter().enumerate();
        let places = exponents.map(|(place, &exponent)| {
            (i16::from(exponent) << step_bits)
                - i16::from(self.runs.scales[place >> RUN_BITS_OF_MAX])
        });
        Counted {
            step_bits,
            lowest: lowest(places),
        }
    }

    /// Finds the key of each element.
    fn find_keys(&mut self, counted: Counted, run_bits: Option<u8>) {
        let exponents = &self.plane.exponents;
        self.keys.resize(exponents.len(), 0);
        let run = run_bits.map_or(exponents.len(), |bits| 1 << bits);
        let pieces = exponents.chunks(run).zip(self.keys.chunks_mut(run));
        for (place, (exponents, keys)) in pieces.enumerate() {
            let scale = run_bits.map_or(0, |_| self.runs.scales[place]);
            keys::find_of_exponents(self.simd, counted, exponents, scale, keys);
        }
    }

    fn count(&mut self) {
        self.counts.fill([0; 256]);
        for (&key, &id) in self.keys.iter().zip(&self.plane.ids) {
            self.counts[usize::from(key) % KEYS][usize::from(id)] += 1;
        }
    }

    fn merge(&self) -> Vec<Class> {
        merged((0..).zip(self.counts.iter()), TABLE_BITS)
    }

    fn write(&mut self, plan: &Plan, tail: &Tail, out: &mut Vec<u8>) {
        let starts: Vec<u8> = plan.classes[1..].iter().map(|class| class.start).collect();
        let mut tables: Vec<Frequencies> = Vec::new();
        let mut ids = Vec::new();
        self.choice.clear();
        if plan.run_bits.is_some() {
            let table = normalize(&self.runs.counts());
            self.ans.set(SCALES_TABLE, &table);
            tables.push(table);
            ids.extend(&self.runs.scales);
            // What is coded beside them to make groups whole means nothing.
            let whole = ids.len().next_multiple_of(LANES);
            ids.resize(whole, frequencies::likeliest(&table));
            self.choice.resize(whole, SCALES_TABLE);
        }
        for (class, found) in (0..).zip(&plan.classes) {
            let table = normalize(&found.counts);
            self.ans.set(class, &table);
            tables.push(table);
        }
        self.simd.look_up(&keys::classes(&starts), &mut self.keys);
        self.choice.extend(&self.keys);
        ids.extend(&self.plane.ids);
        let low = self.plane.low_bits(tail);
        let (stored_low, carried_low) = low.split_at(low.len() - carried(low.len()));
        let last = self.choice.last().copied().unwrap_or(0);
        let (words, states) =
            self.ans
                .encode(&ids, &self.choice, last, &ans::payload(carried_low.iter()));

        let long = |len: usize| {
            u32::try_from(len)
                .expect("invariant: bounded by the block")
                .to_le_bytes()
        };
        let bits: usize = tables.iter().map(frequencies::stored_bits).sum();
        let [count, ..] = plan.classes.len().to_le_bytes();
        let Counted { step_bits, lowest } = plan.counted;
        out.extend([count, plan.run_bits.unwrap_or(0), step_bits, tail.gap_bits]);
        out.extend(lowest.to_le_bytes());
        out.extend(&long(bits.div_ceil(8))[..2]);
        out.extend(long(words.len()));
        out.extend(long(low.len()));
        out.extend(tail.elements.to_le_bytes());
        out.extend([0, 0]);
        out.extend(starts);
        let at = out.len();
        out.resize(at + bits.div_ceil(8), 0);
        let mut writer = BitWriter::new(&mut out[at..]);
        for table in &tables {
            frequencies::put_frequencies(table, &mut writer);
        }
        writer.finish();
        put_states(&states, out);
        out.extend(words);
        out.extend(stored_low);
    }
}

impl Plane {
    fn low_bits(&self, tail: &Tail) -> Vec<u8> {
        let mut bytes = vec![0; (self.low_length() + tail.bits()).div_ceil(8)];
        let mut writer = BitWriter::new(&mut bytes);
        for &(low, bits) in &self.low {
            writer.put(low.into(), bits);
        }
        tail.put(&mut writer);
        writer.finish();
        bytes
    }

    fn low_length(&self) -> usize {
        self.low.iter().map(|&(_, bits)| usize::from(bits)).sum()
    }
}

/// Takes the last elements off, as many as the states carry beside the low bits.
fn take_tail<N: Number>(plane: &mut Plane, own: &[u8], base: &[u8]) -> Tail {
    let numbers = N::all(own).iter().zip(N::all(base));
    let differences =
        numbers.map(|(&own, &base)| N::load(base).difference_to(N::load(own)).widen());
    let changed = plane.ids.iter().filter(|&&id| id > 0).count();
    let share = changed as f32 / plane.ids.len() as f32;
    let tail = Tail::of(differences, share, plane.low_length());
    let left = plane.ids.len() - usize::from(tail.elements);
    let large = plane.ids[left..].iter().filter(|&&id| id >= DIRECT).count();
    plane.low.truncate(plane.low.len() - large);
    plane.ids.truncate(left);
    plane.exponents.truncate(left);
    tail
}

fn take_apart<N: Number>(simd: Simd, own: &[u8], base: &[u8], form: Form, plane: &mut Plane) {
    const RUN: usize = 64;
    let (own, base) = (N::all(own), N::all(base));
    let mantissa_bits = form.mantissa_bits();
    plane.ids.resize(own.len(), 0);
    plane.exponents.resize(own.len(), 0);
    plane.low.clear();
    let (ids, exponents) = (&mut plane.ids, &mut plane.exponents);
    simd.vectorized(
        #[inline(always)]
        || {
            let numbers = own.iter().zip(base);
            for ((id, exponent), (&own, &base)) in ids.iter_mut().zip(exponents).zip(numbers) {
                let base = N::load(base);
                *id = base.difference_to(N::load(own)).or_most(DIRECT);
                *exponent = base.exponent(mantissa_bits).to_le_bytes()[0];
            }
        },
    );
    for (run, ids) in ids.chunks_mut(RUN).enumerate() {
        if ids.iter().fold(0, |most, &id| most.max(id)) < DIRECT {
            continue;
        }
        for (place, id) in (run * RUN..).zip(ids) {
            if *id == DIRECT {
                let difference = N::load(base[place]).difference_to(N::load(own[place]));
                let (large, low, low_bits) = parts(difference.widen());
                *id = large;
                plane.low.push((low, low_bits));
            }
        }
    }
}

/// The lowest key to tell apart, so that next to none are above the highest, judged by a sample.
fn lowest(places: impl ExactSizeIterator<Item = i16> + Clone) -> i16 {
    const SHARE: usize = 7;
    let mut counts = [0usize; 2048];
    let few = places.len() / SHARE / FEW_ABOVE;
    for place in places.step_by(SHARE) {
        counts[usize::try_from(place.saturating_add(1024)).unwrap_or(0) % 2048] += 1;
    }
    let mut above = 0;
    let highest = (-1024i16..1024)
        .zip(counts)
        .rev()
        .find(|&(_, count)| {
            above += count;
            above > few
        })
        .map_or(0, |(place, _)| place);
    highest - keys::LAST
}
