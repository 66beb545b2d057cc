//! What encoder and decoder tell the codecs of groups of levels.

use crate::codec::Groups;
use crate::plane::record::RecordForm;

/// The groups of a stream, if it is the one whose levels are in some; `keys` is a buffer for theirs, which are made of
/// the planes before it.
pub(super) fn groups<'a>(
    form: RecordForm,
    stream: u8,
    planes: &[&[u8]],
    keys: &'a mut Vec<u8>,
) -> Option<Groups<'a>> {
    let groups = form.groups().filter(|_| form.is_levels(stream))?;
    form.keys(planes, keys);
    Some(Groups {
        keys,
        fields: groups.fields,
        pairs: groups.pairs,
    })
}
