//! Facts about paths that need no look at the disk.

use std::path::{Component, Path};

/// As many links as the kernel follows.
pub const MAX_LINKS: usize = 40;
/// Longest name that Linux file systems take.
pub const MAX_NAME_BYTES: usize = 255;

/// True if the target of a symbolic link that stands `depth` directories below a root is not below
/// that root, going by the names alone.
pub fn leads_out(mut depth: usize, target: &Path) -> bool {
    for component in target.components() {
        match component {
            Component::RootDir | Component::Prefix(_) => return true,
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::Normal(_) => depth += 1,
        }
    }
    false
}
