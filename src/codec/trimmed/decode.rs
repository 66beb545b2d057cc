//! Decoding planes: the runs, then the fields of each.

use super::groups::{GROUP_BYTES, unpack_group};
use super::run::{RUN_BYTES, Run, field_count};
use crate::codec::plane::Coded;
use crate::error::{Error, Result};

/// Decodes a plane of fields of 8 or 16 bits.
///
/// # Errors
/// `Corrupt` if the coded bytes are not such a plane.
pub(in crate::codec) fn decode_into(coded: &Coded<'_>, plane: &mut [u8]) -> Result<()> {
    let (coded, width) = (coded.bytes, coded.shape.width);
    let Some(mut left) = field_count(plane, width) else {
        return Err(Error::corrupt(
            "a trimmed plane has fields of another width",
        ));
    };
    let (records, _) = coded.as_chunks();
    let mut run_count = 0;
    while left > 0 {
        let Some(&record) = records.get(run_count) else {
            return Err(Error::corrupt("a trimmed plane is cut off in its runs"));
        };
        let run = Run::decode(record, width)?;
        run_count += 1;
        left = left
            .checked_sub(run.fields)
            .ok_or_else(|| Error::corrupt("a trimmed plane has runs that are too long"))?;
    }
    let mut data = &coded[run_count * RUN_BYTES..];
    let mut plane = plane;
    for &record in &records[..run_count] {
        let run = Run::decode(record, width)?;
        let (fields, behind) = plane.split_at_mut(run.fields * usize::from(width / 8));
        let bits = run.fields * usize::from(width - run.zeros);
        let Some(packed) = data.get(..bits.div_ceil(8)) else {
            return Err(Error::corrupt("a trimmed plane is cut off in its fields"));
        };
        if !bits.is_multiple_of(8) && packed.last().is_some_and(|last| last >> (bits % 8) != 0) {
            return Err(Error::corrupt("a trimmed plane has bits behind a run"));
        }
        unpack(packed, data, width, width - run.zeros, fields);
        data = &data[packed.len()..];
        plane = behind;
    }
    if data.is_empty() {
        Ok(())
    } else {
        Err(Error::corrupt("a trimmed plane is followed by more bytes"))
    }
}

/// Fills the fields of a run from the `kept` bits of each that are in `packed`, which `data` starts
/// with.
fn unpack(packed: &[u8], data: &[u8], width: u8, kept: u8, fields: &mut [u8]) {
    // Widths that are constants become constant shifts and masks: twice as fast.
    macro_rules! unpack {
        ($width:literal: $($kept:literal)+) => {
            match kept {
                0 => fields.fill(0),
                $($kept => unpack_groups::<$width, $kept>(data, fields),)+
                _ => fields.copy_from_slice(packed),
            }
        };
    }
    if width == 8 {
        unpack!(8: 1 2 3 4 5 6 7);
    } else {
        unpack!(16: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
}

/// What `data` holds behind the run does no harm: it becomes fields that are not there.
fn unpack_groups<const WIDTH: u32, const KEPT: u32>(data: &[u8], fields: &mut [u8]) {
    let mut data = data;
    for group in fields.chunks_mut(GROUP_BYTES) {
        match (group.first_chunk_mut(), data.first_chunk()) {
            (Some(group), Some(packed)) => *group = unpack_group::<WIDTH, KEPT>(packed),
            _ => {
                let mut packed = [0; GROUP_BYTES];
                let len = data.len().min(GROUP_BYTES);
                packed[..len].copy_from_slice(&data[..len]);
                let unpacked = unpack_group::<WIDTH, KEPT>(&packed);
                group.copy_from_slice(&unpacked[..group.len()]);
            }
        }
        data = data
            .get(GROUP_BYTES / WIDTH as usize * KEPT as usize..)
            .unwrap_or_default();
    }
}
