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
            None => match find(storage, superblock) {
                Ok(found) => self.0.get_or_init(|| found),
                Err(error) => return without(error, read),
            },
        };
        let sum = superblock.profiles_checksum;
        match place {
            Place::None => read(Profiles::NONE),
            Place::Kept(bytes) => read(Profiles::new(bytes, sum)),
            Place::InStorage(range) => {
                let lent = storage.with(range.clone(), |bytes| Ok(read(Profiles::new(bytes, sum))));
                lent.unwrap_or_else(|error| without(error, read))
            }
        }
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
