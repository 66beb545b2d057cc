//! What encoder and decoder tell the codecs of groups of levels.

use crate::codec::Groups;
use crate::plane::record::RecordForm;

/// The groups of a stream, if it is the one whose levels are in some.
pub(super) fn groups(form: RecordForm, stream: u8, keys: &[u8]) -> Option<Groups<'_>> {
    let groups = form.groups()?;
    form.is_levels(stream).then_some(Groups {
        keys,
        fields: groups.fields,
        pairs: groups.pairs,
    })
}
