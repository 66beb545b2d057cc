//! Encoding planes of levels. What is stored is described in the table of contents.

use super::layout::{classes, split};
use super::merge::{self, Class};
use super::pairs::multiply;
use crate::codec::ans::frequencies::{self, Frequencies, normalize};
use crate::codec::ans::{Carried, EachEncoder, put_states};
use crate::codec::plane::Groups;
use crate::codec::symbol::{Parts, cut};
use crate::plane::BitWriter;
use crate::simd::Simd;

/// With more different fields, two low bits are left as they are: within four levels, they are about equally
/// frequent, and tables are a fourth as long.
const MANY_FIELDS: usize = 96;
const RAW_BITS_OF_MANY: u8 = 2;
/// What a table costs a decoder, as bits.
const TABLE_BITS: f32 = 160.0;

/// Encodes planes, with buffers that are used again.
#[derive(Default)]
pub(in crate::codec) struct Encoder {
    parts: Parts,
    choice: Vec<u8>,
}

impl Encoder {
    /// Appends a plane of bytes that are in these groups. Returns false, and appends nothing, if they are not.
    pub fn encode(&mut self, plane: &[u8], groups: Groups<'_>, out: &mut Vec<u8>) -> bool {
        let too_large = |&field: &u8| {
            let bits = groups.pairs.map_or(8, |bits| 2 * u32::from(bits));
            u32::from(field) >> bits > 0
        };
        if plane.is_empty()
            || groups.keys.len() * groups.fields != plane.len()
            || plane.iter().any(too_large)
        {
            return false;
        }
        let raw_bits = match groups.pairs {
            None if different(plane) > MANY_FIELDS => RAW_BITS_OF_MANY,
            _ => 0,
        };
        let split = split(raw_bits);
        cut(&mut self.parts, split, u8::MAX, 0, plane);
        let ids = &self.parts.ids;
        let classes = merge::classes(groups.keys, TABLE_BITS, |group, counts| {
            for &id in &ids[group * groups.fields..][..groups.fields] {
                match groups.pairs {
                    None => counts[usize::from(id)] += 1,
                    Some(bits) => {
                        counts[usize::from(id & ((1 << bits) - 1))] += 1;
                        counts[usize::from(id >> bits)] += 1;
                    }
                }
            }
        });
        let tables: Vec<Frequencies> = classes
            .iter()
            .map(|class| normalize(&class.counts))
            .collect();
        let multiplied: Vec<Frequencies> = match groups.pairs {
            Some(bits) => tables.iter().map(|table| multiply(table, bits)).collect(),
            None => tables.clone(),
        };
        self.choose(groups, &classes);
        let carried = Carried::new(split, plane.len());
        let (_, packed, payload) = carried.lend(&self.parts);
        let mut encoder = EachEncoder::new(Simd::detect(), &multiplied);
        let (words, states) = encoder.encode(&self.parts.ids, &self.choice, 0, &payload);

        let long = |len: usize| {
            u32::try_from(len)
                .expect("invariant: bounded by the block")
                .to_le_bytes()
        };
        let bits: usize = tables.iter().map(frequencies::stored_bits).sum();
        let [count, ..] = tables.len().to_le_bytes();
        out.extend([groups.pairs.is_some().into(), raw_bits, count, 0]);
        out.extend(long(bits.div_ceil(8)));
        out.extend(long(words.len()));
        out.extend(classes[1..].iter().map(|class| class.start));
        let at = out.len();
        out.resize(at + bits.div_ceil(8), 0);
        let mut writer = BitWriter::new(&mut out[at..]);
        for table in &tables {
            frequencies::put_frequencies(table, &mut writer);
        }
        writer.finish();
        put_states(&states, out);
        out.extend(words);
        out.extend(packed);
        true
    }

    /// Finds the class of each field.
    fn choose(&mut self, groups: Groups<'_>, found: &[Class]) {
        let starts: Vec<u8> = found[1..].iter().map(|class| class.start).collect();
        let classes = classes(&starts);
        self.choice.clear();
        for &key in groups.keys {
            let end = self.choice.len() + groups.fields;
            self.choice.resize(end, classes[usize::from(key)]);
        }
    }
}

/// How many different fields there are.
fn different(plane: &[u8]) -> usize {
    let mut seen = [false; 256];
    for &field in plane {
        seen[usize::from(field)] = true;
    }
    seen.iter().filter(|&&seen| seen).count()
}
