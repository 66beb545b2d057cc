//! Whether the raw file is what the archive was made from.

use std::fs::File;
use std::path::Path;

use super::setup::Setup;
use super::shuffled::Shuffled;
use crate::error::{Error, Result};
use crate::os::read_full_at;

/// Ranges in which the two are compared.
const COMPARED_RANGES: u64 = 32;
const COMPARED_BYTES: usize = 64 << 10;

/// # Errors
/// `InvalidInput` if the raw file is not what the archive was made from, as far as a few ranges of
/// it tell.
pub(super) fn compare(setup: &Setup<'_>, raw: &Path) -> Result<()> {
    let mount = &setup.targets[0];
    let differs = |how: String| {
        Err(Error::InvalidInput(format!(
            "{} is not what {} was made from: {how}",
            raw.display(),
            setup.args.archive.display()
        )))
    };
    let cannot = |e| Error::io(format!("cannot read {}", raw.display()), e);
    let raw_file = File::open(raw).map_err(cannot)?;
    let raw_bytes = raw_file.metadata().map_err(cannot)?.len();
    if raw_bytes != mount.bytes {
        return differs(format!("{raw_bytes} bytes instead of {}", mount.bytes));
    }
    let mounted = setup.open(mount)?;
    let in_mount = |e| setup.explain(mount, Error::io("cannot read the file in it", e));
    let ranges = Shuffled::new(raw_bytes.div_ceil(COMPARED_BYTES as u64), 0);
    let mut bytes = [(); 2].map(|()| vec![0; COMPARED_BYTES]);
    // The first and the last are where files of one kind differ most.
    for place in [0, ranges.count - 1]
        .into_iter()
        .chain((0..ranges.count.min(COMPARED_RANGES)).map(|index| ranges.at(index)))
    {
        setup.watch.beat()?;
        let at = place * COMPARED_BYTES as u64;
        let [ours, theirs] = &mut bytes;
        let read = [
            read_full_at(&mounted, ours, at).map_err(in_mount)?,
            read_full_at(&raw_file, theirs, at).map_err(cannot)?,
        ];
        if ours[..read[0]] != theirs[..read[1]] {
            return differs(format!("bytes differ behind offset {at}"));
        }
    }
    Ok(())
}
