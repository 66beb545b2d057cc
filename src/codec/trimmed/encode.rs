//! Encoding planes: their runs, then the fields of each without what is zero.

use super::choose::{DEFAULT_UNIT_BYTES, find_runs, unit_zeros};
use super::groups::{GROUP_BYTES, pack_group};
use super::run::{MAX_RUN_FIELDS, field_count};
use crate::codec::plane::enough_saved;

/// Appends the coded plane to `out` and returns true, if there are whole fields of 8 or 16 bits in it
/// and that saves enough.
pub(in crate::codec) fn encode(plane: &[u8], width: u8, out: &mut Vec<u8>) -> bool {
    let Some(field_count) = field_count(plane, width) else {
        return false;
    };
    let wanted_bytes = enough_saved(plane.len());
    // No choice of runs saves more than a run for each unit, were it free. Where there is nothing to
    // save, this pass is all that the codec costs.
    let zeros: usize = unit_zeros(plane, width).map(usize::from).sum();
    let most_saved_bytes = zeros * DEFAULT_UNIT_BYTES / usize::from(width);
    if plane.len() >= wanted_bytes + most_saved_bytes || field_count > MAX_RUN_FIELDS {
        return false;
    }
    let before = out.len();
    let runs = find_runs(plane, width);
    for run in &runs {
        run.encode_to(out);
    }
    let mut rest = plane;
    for run in &runs {
        let (fields, behind) = rest.split_at(run.fields * usize::from(width / 8));
        pack(fields, width, run.zeros, out);
        rest = behind;
    }
    let saves = out.len() - before < wanted_bytes;
    if !saves {
        out.truncate(before);
    }
    saves
}

/// Appends the fields without their `zeros` lowest bits.
fn pack(fields: &[u8], width: u8, zeros: u8, out: &mut Vec<u8>) {
    if zeros == 0 {
        out.extend_from_slice(fields);
        return;
    }
    for group in fields.chunks(GROUP_BYTES) {
        let mut padded = [0; GROUP_BYTES];
        padded[..group.len()].copy_from_slice(group);
        let packed = pack_group(&padded, u32::from(width), u32::from(width - zeros));
        let bits = group.len() * 8 / usize::from(width) * usize::from(width - zeros);
        out.extend_from_slice(&packed[..bits.div_ceil(8)]);
    }
}
