//! Opens archives of the source; nothing else here does.

use super::facts::Facts;
use super::place::Place;
use super::source::Source;
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};

/// Opens the archive at a place, and tells what is known of it, as it was opened.
///
/// # Errors
/// `Io` if the system refuses it, `InvalidInput` if it is no regular file any more; `Corrupt` or
/// `Unsupported` if it cannot be read.
pub(super) fn open_archive(source: &Source, place: &Place) -> Result<(ArchiveReader, Facts)> {
    let path = place.full_path(source);
    let open = || {
        let file = place.open_file(source)?;
        let facts = place.facts_of(source, &file)?;
        Ok((file, facts))
    };
    let (file, facts) =
        open().map_err(|e| Error::io(format!("cannot open {}", path.display()), e))?;
    if !facts.is_file() {
        return Err(Error::InvalidInput(format!(
            "{} is not a regular file any more",
            path.display()
        )));
    }
    Ok((ArchiveReader::from_file(&file, &path)?, facts))
}
