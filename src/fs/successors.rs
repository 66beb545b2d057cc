//! The file that is read after another: the next part of a model in several parts.

use std::path::Path;
use std::sync::Arc;

use super::inode::Inode;
use super::model_tree::ModelTree;
use super::nodes::What;
use super::place::{ArchivePlace, Place};
use crate::file::{PageCache, VirtualFile};

impl ModelTree {
    /// Fetches ahead of readers: what comes next in a file into the kernel's page cache, and the start
    /// of the model's next file.
    pub fn read_ahead(self: &Arc<Self>, page_cache: Option<PageCache>) {
        if let Some(page_cache) = page_cache {
            self.shared.push_into(page_cache);
        }
        let tree = Arc::downgrade(self);
        self.shared.open_next_with(Box::new(move |inode, push| {
            let Some(tree) = tree.upgrade() else { return };
            if let Some((next, is_known)) = tree.successor(inode) {
                next.expect_reader(push && is_known);
            }
        }));
    }

    /// The next file of the model that an archive is a part of, and whether the kernel knows of it, so that
    /// something can be pushed into its page cache.
    fn successor(&self, inode: Inode) -> Option<(Arc<VirtualFile>, bool)> {
        let What::Archive(ArchivePlace {
            place: Place::Inside(path),
            ..
        }) = self.node(inode).ok()?.what
        else {
            return None;
        };
        let next = next_part(Path::new(path.file_stem()?))?;
        let (_, described) = self.look_closely(&path.with_file_name(next)).ok()?;
        let (attr, what) = described.ok()?;
        let What::Archive(place) = what else {
            return None;
        };
        let file = self.open_archive(attr.inode, &place).ok()?;
        self.archives.expect(&file);
        Some((file, self.node(attr.inode).is_ok()))
    }
}

/// The name of the part behind `NAME-00001-of-00002.safetensors`, if that is not the last one.
fn next_part(name: &Path) -> Option<String> {
    let (before, total) = name.to_str()?.rsplit_once("-of-")?;
    let (name, number) = before.rsplit_once('-')?;
    let next = number.parse::<u32>().ok()?.checked_add(1)?;
    let last: String = total.chars().take_while(char::is_ascii_digit).collect();
    (next <= last.parse().ok()?)
        .then(|| format!("{name}-{next:0width$}-of-{total}", width = number.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_part_is_told_by_its_name() {
        let next = |name: &str| next_part(Path::new(name));
        assert_eq!(
            next("m-00009-of-00010.safetensors").as_deref(),
            Some("m-00010-of-00010.safetensors")
        );
        for last in ["m-00010-of-00010.safetensors", "m-1-of-x", "model", "-of-"] {
            assert_eq!(next(last), None, "{last}");
        }
    }
}
