//! Columns of profiles that decoders keep between blocks.

use super::place::Columns;
use super::segment::Segment;
use super::stored_profile::take_columns;
use crate::error::{Error, Result};
use crate::format::Profiles;

/// Column scales that a decoder keeps.
const KEPT_COLUMNS: usize = 4;

/// Columns of a profile.
#[derive(Debug, Default)]
struct Kept {
    /// Profiles and number.
    of: Option<(u64, u32)>,
    columns: Columns,
}

/// The last few that were asked for.
#[derive(Debug, Default)]
pub(in crate::codec) struct KeptColumns {
    kept: [Kept; KEPT_COLUMNS],
    next: usize,
}

impl KeptColumns {
    /// Keeps nothing of what was read.
    pub fn forget(&mut self) {
        for kept in &mut self.kept {
            kept.of = None;
        }
    }

    /// The columns of a segment's matrix, if it has a profile.
    ///
    /// # Errors
    /// `Corrupt` if there is no such profile, or it is not of such a matrix.
    pub fn of_segment(
        &mut self,
        profiles: Profiles<'_>,
        segment: &Segment,
    ) -> Result<Option<&Columns>> {
        let Some(number) = segment.profile else {
            return Ok(None);
        };
        let place = self.load(profiles, number)?;
        let columns = &self.kept[place].columns;
        if columns.scales.len() != segment.columns as usize
            || segment.first_column >= segment.columns
        {
            return Err(Error::corrupt(
                "a profile is not of the matrix it is used for",
            ));
        }
        Ok(Some(columns))
    }

    /// Which of the kept columns are those of a profile.
    fn load(&mut self, profiles: Profiles<'_>, number: u32) -> Result<usize> {
        let of = Some((profiles.id(), number));
        if let Some(kept) = self.kept.iter().position(|kept| kept.of == of) {
            return Ok(kept);
        }
        let place = self.next;
        let kept = &mut self.kept[place];
        kept.of = None;
        take_columns(profiles.record(number)?, &mut kept.columns)?;
        kept.of = of;
        self.next = (place + 1) % KEPT_COLUMNS;
        Ok(place)
    }
}
