//! The profiles of an open archive: found whole once, then lent to each block.
//!
//! Where bytes are seen in the storage they stay there, which costs no memory of ours; whatever became of
//! them meanwhile, a block that was decoded with wrong ones fails its checksum. Else they are kept.

use std::ops::Range;
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::format::{Profiles, Superblock, checksum};
use crate::storage::Storage;

/// Where the profiles are that were found whole. Not set while they cannot be read.
#[derive(Debug)]
pub(super) struct SharedProfiles(OnceLock<Place>);

#[derive(Debug)]
enum Place {
    /// There are none, or both copies are damaged: blocks that need none still decode.
    None,
    InStorage(Range<u64>),
    Kept(Vec<u8>),
}

impl SharedProfiles {
    /// Looks for the profiles of an archive.
    pub fn find(storage: &dyn Storage, superblock: &Superblock) -> Self {
        let place = OnceLock::new();
        // What cannot be read now may be later.
        if let Ok(found) = find(storage, superblock) {
            let _ = place.set(found);
        }
        Self(place)
    }

    /// Passes the profiles on to `read`, or none if there are none that are whole.
    ///
    /// # Errors
    /// That of `read`, or `Io` if profiles that it may have needed cannot be read.
    pub fn with<T>(
        &self,
        storage: &dyn Storage,
        superblock: &Superblock,
        read: &mut impl FnMut(Profiles<'_>) -> Result<T>,
    ) -> Result<T> {
        let place = match self.0.get() {
            Some(place) => place,
            // They could not be read. Most blocks need none, and are not to wait for a disk that fails.
            None => match read(Profiles::NONE) {
                Ok(done) => return Ok(done),
                Err(_) => {
                    let found = find(storage, superblock)?;
                    self.0.get_or_init(|| found)
                }
            },
        };
        let sum = superblock.profiles_checksum;
        match place {
            Place::None => read(Profiles::NONE),
            Place::Kept(bytes) => read(Profiles::new(bytes, sum)),
            Place::InStorage(range) => with_lent(storage, range, sum, read),
        }
    }
}

/// Passes on profiles that are seen in the storage.
fn with_lent<T>(
    storage: &dyn Storage,
    range: &Range<u64>,
    sum: u64,
    read: &mut impl FnMut(Profiles<'_>) -> Result<T>,
) -> Result<T> {
    let mut outcome = None;
    let lent = storage.with(range.clone(), |bytes| {
        // A second time if there was a fault anywhere in the archive. What a block decoded to has passed
        // its checksum whatever it was shown, and what the storage refused it has refused; only what is
        // left is tried again.
        if !matches!(outcome, Some(Ok(_) | Err(Error::Io { .. }))) {
            outcome = Some(read(Profiles::new(bytes, sum)));
        }
        Ok(())
    });
    match (outcome, lent) {
        (Some(outcome @ (Ok(_) | Err(Error::Io { .. }))), _) | (Some(outcome), Ok(())) => outcome,
        (_, Err(error)) => without(error, read),
        (None, Ok(())) => read(Profiles::NONE),
    }
}

/// Reads without profiles that cannot be had; whoever needs them gets the error.
fn without<T>(error: Error, read: &mut impl FnMut(Profiles<'_>) -> Result<T>) -> Result<T> {
    read(Profiles::NONE).map_err(|_| error)
}

/// The first copy of the profiles that is whole.
fn find(storage: &dyn Storage, superblock: &Superblock) -> Result<Place> {
    let mut unreadable = Ok(Place::None);
    for tables in superblock.table_copies() {
        let range = tables.profiles;
        if range.is_empty() {
            continue;
        }
        match checksum_of(storage, range.clone()) {
            Ok(Some(sum)) if sum == superblock.profiles_checksum => {
                if storage.hints().in_place {
                    return Ok(Place::InStorage(range));
                }
                let bytes = storage.with(range, |bytes| Ok(bytes.to_vec()))?;
                if checksum(&bytes) == sum {
                    return Ok(Place::Kept(bytes));
                }
            }
            Ok(_) => {}
            Err(error) => unreadable = Err(error),
        }
    }
    unreadable
}

/// The checksum of a range; `None` if it is not wholly inside.
///
/// # Errors
/// `Io` if the bytes cannot be had.
pub(super) fn checksum_of(storage: &dyn Storage, range: Range<u64>) -> Result<Option<u64>> {
    if range.end > storage.len() {
        return Ok(None);
    }
    storage.with(range, |bytes| Ok(Some(checksum(bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Hints;
    use std::io;

    /// Shows everything twice, as after a fault, and may then find that it cannot be had.
    #[derive(Debug)]
    struct Faulted {
        is_lost: bool,
    }

    impl Storage for Faulted {
        fn len(&self) -> u64 {
            4
        }

        fn read(&self, _: Range<u64>, read: &mut dyn FnMut(&[u8])) -> io::Result<()> {
            read(b"zero");
            if self.is_lost {
                return Err(io::ErrorKind::Other.into());
            }
            read(b"true");
            Ok(())
        }

        fn hints(&self) -> Hints {
            Hints {
                in_place: true,
                ask_ahead_bytes: 0,
            }
        }
    }

    #[test]
    fn what_a_block_has_come_to_is_not_made_again_for_a_fault_elsewhere() {
        let io = || Error::io("refused", io::ErrorKind::Other.into());
        let corrupt = || Error::corrupt("shown zeros");
        let calls = |is_lost, first: &dyn Fn() -> Result<u8>| {
            let mut calls = 0;
            let result = with_lent(&Faulted { is_lost }, &(0..4), 1, &mut |_| {
                calls += 1;
                if calls == 1 { first() } else { Ok(2) }
            });
            (calls, result)
        };
        for is_lost in [false, true] {
            assert!(matches!(calls(is_lost, &|| Ok(1)), (1, Ok(1))));
            let refused = calls(is_lost, &|| Err(io()));
            assert!(matches!(refused, (1, Err(Error::Io { .. }))));
            assert!(matches!(calls(is_lost, &|| Err(corrupt())), (2, Ok(2))));
        }
    }
}
