//! What is in a directory, as far as a program can tell.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Times before this one were set by a test.
const SET_BEFORE: i64 = 1_000_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    kind: String,
    mode: u32,
    owner: (u32, u32),
    links: u64,
    /// Time of modification, if it was set.
    modified: Option<(i64, i64)>,
    /// Of files their bytes, of links where they lead.
    bytes: Vec<u8>,
    attributes: Vec<(String, Vec<u8>)>,
}

/// All that is below a directory.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(root.join(&directory)).unwrap() {
            let name = directory.join(entry.unwrap().file_name());
            let path = root.join(&name);
            let meta = path.symlink_metadata().unwrap();
            if meta.is_dir() {
                directories.push(name.clone());
            }
            let bytes = if meta.is_file() {
                fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
            } else if meta.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                target.into_os_string().into_encoded_bytes()
            } else {
                Vec::new()
            };
            assert!(
                !meta.is_file() || bytes.len() as u64 == meta.len(),
                "{path:?}"
            );
            let is_set = meta.mtime() < SET_BEFORE;
            let entry = Entry {
                kind: format!("{:?}", meta.file_type()),
                mode: meta.mode(),
                owner: (meta.uid(), meta.gid()),
                links: if meta.is_dir() { 0 } else { meta.nlink() },
                modified: is_set.then_some((meta.mtime(), meta.mtime_nsec())),
                bytes,
                attributes: attributes(&path),
            };
            found.insert(name, entry);
        }
    }
    found
}

fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut list = vec![0; 1 << 16];
    let len = rustix::fs::llistxattr(path, &mut list[..]).unwrap_or(0);
    let names = list[..len].split(|&byte| byte == 0);
    let mut found: Vec<_> = names
        .filter(|name| name.starts_with(b"user."))
        .map(|name| {
            let name = String::from_utf8(name.to_vec()).unwrap();
            let mut value = vec![0; 1 << 12];
            let len = rustix::fs::lgetxattr(path, &name, &mut value[..]).unwrap();
            value.truncate(len);
            (name, value)
        })
        .collect();
    found.sort();
    found
}

/// The first difference between two, if there is one.
pub fn difference(
    one: &BTreeMap<PathBuf, Entry>,
    other: &BTreeMap<PathBuf, Entry>,
) -> Option<String> {
    let short = |entry: Option<&Entry>| {
        entry.map(|entry| {
            let mut entry = entry.clone();
            entry.bytes = format!("{} bytes", entry.bytes.len()).into_bytes();
            entry
        })
    };
    let names = one.keys().chain(other.keys());
    names
        .filter(|name| one.get(*name) != other.get(*name))
        .map(|name| {
            format!(
                "{name:?}: {:?} and {:?}",
                short(one.get(name)),
                short(other.get(name))
            )
        })
        .next()
}
