//! Encoding differences. What is stored is described in `layout`.

use super::chances::Chances;
use super::changes::Changes;
use super::costs::Costs;
use super::counts::KeyCounts;
use super::keys::{self, Counted};
use super::layout::{KEY_BITS, NO_KEY, NO_TABLE, NOTHING, SCALES_TABLE, carried};
use super::number::{Number, by_form};
use super::runs::Runs;
use super::tail::Tail;
use crate::codec::ans::frequencies::{self, Frequencies, SLOT_BITS, normalize};
use crate::codec::ans::{self, EachEncoder, FLAG_WORDS, LANES, put_states};
use crate::codec::grouped::{Class, merged};
use crate::codec::plane::{Form, Level};
use crate::codec::symbol::log2;
use crate::plane::BitWriter;
use crate::simd::Simd;

/// What a table costs a decoder, as bits.
const TABLE_BITS: f32 = 60.0;
/// log2 of the elements in a run: of a row of a matrix there are some.
const RUN_BITS: &[u8] = &[7];
const RUN_BITS_OF_MAX: &[u8] = &[7, 8];
/// How often scales are improved.
const ROUNDS_OF_MAX: usize = 2;

/// Encodes planes, with buffers that are used again.
pub struct Encoder {
    level: Level,
    simd: Simd,
    ans: EachEncoder,
    changes: Changes,
    runs: Runs,
    counts: KeyCounts,
    /// Of all elements, and of some more.
    keys: Vec<u8>,
    choice: Vec<u8>,
    words: Vec<u8>,
}

/// How elements are told apart, and what all takes that follows from it.
struct Plan {
    run_bits: Option<u8>,
    /// Of runs.
    scales: Vec<u8>,
    counted: Counted,
    chances: Chances,
    classes: Vec<Class>,
    bits: f32,
}

fn chances(counts: &KeyCounts) -> Chances {
    let changed = counts.ids.each_ref().map(|ids| ids.iter().sum());
    Chances::of(&counts.equal, &changed)
}

impl Plan {
    /// What elements with these keys take.
    fn new(run_bits: Option<u8>, counted: Counted, counts: &KeyCounts, runs: &Runs) -> Self {
        let chances = chances(counts);
        let classes = merged((0..).zip(counts.ids.iter()), TABLE_BITS);
        let mut bits = chances.stored_bits() as f32;
        let keys = counts.equal.iter().zip(counts.ids.iter());
        for ((&equal, ids), &slots) in keys.zip(&chances.tables().0) {
            let changed: u32 = ids.iter().sum();
            let bits_of = |slots: u16| SLOT_BITS as f32 - log2(slots.into());
            bits += changed as f32 * bits_of(slots);
            bits += equal as f32 * bits_of((1 << SLOT_BITS) - slots);
        }
        bits += classes.iter().map(|class| class.bits).sum::<f32>();
        if run_bits.is_some() {
            bits += Class::new(0, runs.counts(), TABLE_BITS).bits;
        }
        Self {
            run_bits,
            scales: run_bits.map_or(Vec::new(), |_| runs.scales.clone()),
            counted,
            chances,
            classes,
            bits,
        }
    }
}

impl Encoder {
    /// For planes of one level.
    pub fn new(level: Level) -> Self {
        let simd = Simd::detect();
        let mut ans = EachEncoder::new(simd, &[]);
        ans.set_in_order(NO_TABLE, &NOTHING);
        Self {
            level,
            simd,
            ans,
            changes: Changes::default(),
            runs: Runs::default(),
            counts: KeyCounts::default(),
            keys: Vec::new(),
            choice: Vec::new(),
            words: Vec::new(),
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
        let tail = by_form!(form, N => self.take_apart::<N>(own, base, form));
        let plan = self.plan(form);
        self.find_keys(&plan);
        self.write(&plan, &tail, out);
        true
    }

    fn take_apart<N: Number>(&mut self, own: &[u8], base: &[u8], form: Form) -> Tail {
        self.changes.find::<N>(self.simd, own, base, form);
        self.changes.take_tail::<N>(own, base)
    }

    /// How all takes least.
    fn plan(&mut self, form: Form) -> Plan {
        let (rounds, run_bits) = match self.level {
            Level::Max => (ROUNDS_OF_MAX, RUN_BITS_OF_MAX),
            _ => (1, RUN_BITS),
        };
        let (simd, changes, runs) = (self.simd, &self.changes, &mut self.runs);
        let mut best: Option<Plan> = None;
        for &run_bits in run_bits {
            runs.look_at(simd, changes, run_bits);
            if best.is_none() {
                let counted = runs.counted();
                runs.count(simd, counted, &changes.ids, &mut self.counts);
                best = Some(Plan::new(None, counted, &self.counts, runs));
            }
            runs.guess(&changes.ids, form.mantissa_bits());
            let mut counted = runs.counted();
            runs.count(simd, counted, &changes.ids, &mut self.counts);
            for _ in 0..rounds {
                let chances = chances(&self.counts);
                let costs = Costs::new(&chances, &self.counts, &runs.counts());
                runs.improve(simd, &costs, counted, &changes.ids);
                counted = runs.counted();
                runs.count(simd, counted, &changes.ids, &mut self.counts);
            }
            let plan = Plan::new(Some(run_bits), counted, &self.counts, runs);
            best = best.filter(|best| best.bits <= plan.bits).or(Some(plan));
        }
        best.expect("invariant: there is a length of runs")
    }

    /// Finds the key of each element, and of some more.
    fn find_keys(&mut self, plan: &Plan) {
        let count = self.changes.count;
        let exponents = &self.changes.exponents[..count];
        self.keys.resize(count, 0);
        let run = plan.run_bits.map_or(count.max(1), |bits| 1 << bits);
        let (keys, scales) = (&mut self.keys, &plan.scales);
        self.simd.vectorized(
            #[inline(always)]
            || {
                let pieces = exponents.chunks(run).zip(keys.chunks_mut(run));
                for (place, (exponents, keys)) in pieces.enumerate() {
                    let scale = scales.get(place).copied().unwrap_or(0);
                    keys::find_of_exponents(plan.counted, exponents, scale, keys);
                }
            },
        );
        self.keys.resize(count.next_multiple_of(LANES), NO_KEY);
    }

    fn write(&mut self, plan: &Plan, tail: &Tail, out: &mut Vec<u8>) {
        let tables: Vec<Frequencies> = plan
            .classes
            .iter()
            .map(|class| normalize(&class.counts))
            .collect();
        let scales = plan.run_bits.map(|_| {
            let mut counts = [0; 256];
            for &scale in &plan.scales {
                counts[usize::from(scale)] += 1;
            }
            normalize(&counts)
        });
        for (table, frequencies) in (0..).zip(&tables) {
            self.ans.set_in_order(table, frequencies);
        }
        let low = self.changes.low_bits(tail);
        let (stored_low, carried_low) = low.split_at(low.len() - carried(low.len()));
        let mut states = ans::starting_with(&ans::payload(carried_low.iter()));
        let starts: Vec<u8> = plan
            .classes
            .iter()
            .skip(1)
            .map(|class| class.start)
            .collect();
        let at = self.encode_words(plan, &starts, scales.as_ref(), &mut states);
        let words = &self.words[at..];

        let long = |len: usize| {
            u32::try_from(len)
                .expect("invariant: bounded by the block")
                .to_le_bytes()
        };
        let all = || scales.iter().chain(&tables);
        let bits = plan.chances.stored_bits()
            + usize::from(KEY_BITS) * starts.len()
            + all().map(frequencies::stored_bits).sum::<usize>();
        let Counted { step_bits, lowest } = plan.counted;
        let [classes, ..] = plan.classes.len().to_le_bytes();
        out.extend([
            classes,
            plan.run_bits.unwrap_or(0) | step_bits << 4,
            tail.gap_bits,
        ]);
        out.extend(lowest.to_le_bytes());
        out.extend(tail.elements.to_le_bytes());
        out.extend(&long(bits.div_ceil(8))[..2]);
        out.extend(long(words.len()));
        out.extend(long(low.len()));
        let at = out.len();
        out.resize(at + bits.div_ceil(8), 0);
        let mut writer = BitWriter::new(&mut out[at..]);
        plan.chances.put(&mut writer);
        if let Some(scales) = &scales {
            frequencies::put_frequencies(scales, &mut writer);
        }
        for start in starts {
            writer.put(start.into(), KEY_BITS);
        }
        for table in &tables {
            frequencies::put_frequencies(table, &mut writer);
        }
        writer.finish();
        put_states(&states, out);
        out.extend(words);
        out.extend(stored_low);
    }

    /// Encodes ids, flags and scales, so that they are decoded from the last of these to the first. Returns where the
    /// words start.
    fn encode_words(
        &mut self,
        plan: &Plan,
        starts: &[u8],
        scales: Option<&Frequencies>,
        states: &mut ans::States,
    ) -> usize {
        let choice = &mut self.choice;
        self.changes.pick(self.simd, &self.keys, choice);
        self.simd.look_up(&keys::classes(starts), choice);
        let ids = &mut self.changes.ids;
        let whole = ids.len().next_multiple_of(LANES);
        choice.resize(whole, NO_TABLE);
        ids.resize(whole, 0);
        let flags = &mut self.changes.flags;
        flags.resize(flags.len().next_multiple_of(FLAG_WORDS), 0);
        let runs = scales.map_or(0, |_| plan.scales.len().next_multiple_of(LANES));
        self.words.resize(2 * (whole + self.keys.len() + runs), 0);
        let mut at = self.ans.encode_groups(ids, choice, states, &mut self.words);
        let words = &mut self.words[..at];
        let tables = plan.chances.tables();
        at = tables.encode(self.simd, &self.keys, flags, states, words);
        if let Some(frequencies) = scales {
            self.ans.set_in_order(SCALES_TABLE, frequencies);
            choice.clear();
            choice.resize(plan.scales.len(), SCALES_TABLE);
            choice.resize(runs, NO_TABLE);
            ids.clear();
            ids.extend(&plan.scales);
            ids.resize(runs, 0);
            let words = &mut self.words[..at];
            at = self.ans.encode_groups(ids, choice, states, words);
        }
        at
    }
}
