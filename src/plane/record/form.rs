//! Forms of a layout: its streams as they are, or with the farthest levels of groups kept apart.

use super::layout::Meaning::{Levels, Places};
use super::layout::{Factor, Stream, bytes};
use super::layouts::RecordLayout;
use super::peaks::Group;

/// Levels that are taken apart or put together at once, so that they stay in the first cache.
const LEVELS_AT_ONCE: usize = 8192;
/// Groups around one whose steps it is compared with, itself included, as log2.
const AROUND_BITS: usize = 4;
/// Shift from logarithms to keys, which are in eighths of an octave.
const KEY_SHIFT: u32 = 7;

/// How the records of a block are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordForm {
    layout: RecordLayout,
    peaks: bool,
}

/// Groups of levels in a block.
#[derive(Debug, Clone, Copy)]
pub struct LevelGroups {
    /// Fields of the stream in a group.
    pub fields: usize,
    /// Bits of a level, if a field is two of them.
    pub pairs: Option<u8>,
}

impl RecordForm {
    /// All fields of a layout as they are.
    pub const fn plain(layout: RecordLayout) -> Self {
        Self {
            layout,
            peaks: false,
        }
    }

    /// The farthest level of each group apart, if the layout has such groups.
    pub fn with_peaks(layout: RecordLayout) -> Option<Self> {
        let form = Self {
            layout,
            peaks: true,
        };
        form.group().map(|_| form)
    }

    /// The form of a number on disk.
    pub fn from_code(layout: RecordLayout, code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::plain(layout)),
            1 => Self::with_peaks(layout),
            _ => None,
        }
    }

    /// The number on disk.
    pub const fn code(self) -> u8 {
        self.peaks as u8
    }

    fn group(self) -> Option<Group> {
        let grouping = self.layout.grouping()?;
        Some(Group {
            levels: grouping.levels.into(),
            pairs: grouping.pairs,
            zero: grouping.zero?,
        })
    }

    /// Of its groups, how many a record has; 0 in the plain form.
    fn peaks_in_record(self) -> u16 {
        match self.layout.grouping() {
            Some(grouping) if self.peaks => grouping.groups,
            _ => 0,
        }
    }

    /// The streams of its fields, the levels last.
    pub fn streams(self) -> impl Iterator<Item = Stream> {
        let all = self.layout.streams();
        let (kept, apart) = if self.peaks {
            let groups = self.peaks_in_record();
            let levels = self.layout.grouping().map_or(0, |all| all.levels.into());
            let rest = groups * u16::saturating_sub(levels, 1);
            let apart = [
                bytes("places of peaks", groups, Places),
                bytes("peaks", groups, Levels),
                bytes("levels", rest, Levels),
            ];
            (&all[..all.len() - 1], Some(apart))
        } else {
            (all, None)
        };
        kept.iter().copied().chain(apart.into_iter().flatten())
    }

    /// Takes records apart: a plane for each stream, what was in them replaced. Bytes behind the last whole
    /// record are left out.
    pub fn take(self, records: &[u8], planes: &mut Vec<Vec<u8>>) {
        planes.resize_with(self.streams().count(), Vec::new);
        let Some(group) = self.group().filter(|_| self.peaks) else {
            self.layout.take(records, planes);
            return;
        };
        for plane in &mut *planes {
            plane.clear();
        }
        let [kept @ .., places, peaks, rest] = &mut planes[..] else {
            return;
        };
        let mut taken = Vec::new();
        for records in records.chunks(self.records_at_once(group) * self.layout.bytes()) {
            self.layout.take(records, &mut taken);
            let Some((levels, taken)) = taken.split_last() else {
                return;
            };
            for (plane, taken) in kept.iter_mut().zip(taken) {
                plane.extend_from_slice(taken);
            }
            group.take(levels, places, peaks, rest);
        }
    }

    /// Records that are taken apart or put together at once.
    fn records_at_once(self, group: Group) -> usize {
        LEVELS_AT_ONCE / (usize::from(self.peaks_in_record()) * group.levels)
    }

    /// Puts as many records together as there is room for. Each plane has the bytes of all of them.
    pub fn put(self, planes: &[&[u8]], records: &mut [u8]) {
        let Some(group) = self.group().filter(|_| self.peaks) else {
            self.layout.put(planes, records);
            return;
        };
        let &[ref kept @ .., mut places, mut peaks, mut rest] = planes else {
            return;
        };
        let streams = self.layout.streams();
        let mut kept: Vec<&[u8]> = kept.to_vec();
        let groups = usize::from(self.peaks_in_record());
        let at_once = self.records_at_once(group);
        let mut levels = vec![0; at_once * groups * group.bytes()];
        let mut spread = Vec::new();
        for records in records.chunks_mut(at_once * self.layout.bytes()) {
            let count = records.len() / self.layout.bytes();
            let levels = &mut levels[..count * groups * group.bytes()];
            group.put(&places[..count * groups], peaks, rest, &mut spread, levels);
            let mut planes = kept.clone();
            planes.push(levels);
            self.layout.put(&planes, records);
            places = &places[count * groups..];
            peaks = &peaks[count * groups..];
            rest = &rest[count * groups * (group.levels - 1)..];
            for (plane, stream) in kept.iter_mut().zip(streams) {
                *plane = &plane[count * stream.bytes()..];
            }
        }
    }

    /// Whether the stream of a number is that of the levels in groups.
    pub fn is_levels(self, stream: u8) -> bool {
        usize::from(stream) + 1 == self.streams().count()
    }

    /// The stream of a number.
    pub fn stream(self, number: u8) -> Option<Stream> {
        self.streams().nth(number.into())
    }

    /// How its levels are grouped, if their steps tell something of them.
    pub fn groups(self) -> Option<LevelGroups> {
        let grouping = self.layout.grouping()?;
        let levels = usize::from(grouping.levels);
        Some(match grouping.pairs {
            _ if self.peaks => LevelGroups {
                fields: levels - 1,
                pairs: None,
            },
            Some(bits) => LevelGroups {
                // Four levels of two bits are two of four.
                fields: self.levels_bytes() / usize::from(grouping.groups),
                pairs: Some(bits),
            },
            None => LevelGroups {
                fields: levels,
                pairs: None,
            },
        })
    }

    fn levels_bytes(self) -> usize {
        self.layout
            .streams()
            .last()
            .map_or(0, |levels| levels.bytes())
    }

    /// For each group of levels a key, which is made of streams that stand before the levels: groups of the
    /// same key have levels that are spread alike. It is how many steps the minimum is, or else how many the
    /// steps of groups around are, as a logarithm.
    pub fn keys(self, planes: &[&[u8]], keys: &mut Vec<u8>) {
        keys.clear();
        let Some(grouping) = self.layout.grouping() else {
            return;
        };
        let records = planes.first().map_or(0, |plane| {
            let first = self.layout.streams().first();
            plane.len() / first.map_or(1, Stream::bytes)
        });
        let groups = usize::from(grouping.groups);
        let mut values = vec![0; records * groups];
        self.add_logs(grouping.step, planes, &mut values);
        if grouping.minimum.is_empty() {
            compare_with_those_around(&mut values);
        } else {
            for value in &mut values {
                *value = -*value;
            }
            self.add_logs(grouping.minimum, planes, &mut values);
        }
        keys.extend(values.iter().map(|&value| {
            let [key, ..] = ((value >> KEY_SHIFT).clamp(-128, 127) + 128).to_le_bytes();
            key
        }));
    }

    /// Adds the logarithms of fields to the sum of each group; of those that a record has one of, to all groups.
    fn add_logs(self, factors: &[Factor], planes: &[&[u8]], sums: &mut [i32]) {
        let groups = usize::from(self.layout.grouping().map_or(1, |all| all.groups));
        for factor in factors {
            let stream = self.layout.streams()[factor.stream];
            let plane = planes[factor.stream];
            let log = |field: usize| match stream.field_bytes {
                1 => factor.magnitude.log(plane[field].into()),
                _ => {
                    let field = [plane[2 * field], plane[2 * field + 1]];
                    factor.magnitude.log(u16::from_le_bytes(field))
                }
            };
            let groups_of_field = groups / usize::from(stream.fields);
            for (field, sums) in sums.chunks_exact_mut(groups_of_field).enumerate() {
                let log = log(field);
                for sum in sums {
                    *sum += log;
                }
            }
        }
    }
}

/// Replaces each number by how much larger the mean of those around it is. At the ends, the first and the last
/// stand for those that are missing.
fn compare_with_those_around(steps: &mut [i32]) {
    const AROUND: usize = 1 << AROUND_BITS;
    let (Some(&first), Some(&last)) = (steps.first(), steps.last()) else {
        return;
    };
    let mut padded = vec![first; AROUND / 2];
    padded.extend_from_slice(steps);
    padded.resize(steps.len() + AROUND, last);
    let mut sum: i32 = padded[..AROUND].iter().sum();
    for (i, step) in steps.iter_mut().enumerate() {
        *step = (sum >> AROUND_BITS) - *step;
        sum += padded[i + AROUND] - padded[i];
    }
}
