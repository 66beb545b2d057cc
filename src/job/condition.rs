//! What is wrong with files that are to be packed as models: incomplete, not a model at all, or still being
//! written.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::archives::original_path;
use super::source_file::SourceFile;
use super::walk::{EntryKind, WalkEntry};
use crate::error::{Error, Result};
use crate::model::{self, ModelFormat, ReadAt, WhyNot};
use crate::os::is_open_for_writing;

/// What files of Git LFS start with that stand for others.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// Bytes at the start of a file that tell a page of HTML.
const PAGE_BYTES: usize = 256;
/// How the names of files end that are being downloaded.
const UNFINISHED: [&str; 5] = ["incomplete", "part", "partial", "crdownload", "tmp"];
/// The same in a store of Ollama, where names have no suffixes. Such a file is as long as the model from the start.
const UNFINISHED_BLOB: &[u8] = b"-partial";
/// How the names of files end that say which tensor is in which part of a model.
const INDEX_SUFFIX: &str = ".index.json";
/// Longer ones are not read.
const MAX_INDEX_BYTES: u64 = 1 << 28;

/// Refuses to replace a file that is probably not what it should be.
///
/// # Errors
/// `Environment` if something is wrong with it.
pub(super) fn refuse_fault(source: &SourceFile, name: &Path) -> Result<()> {
    match fault(source, name)? {
        Some(fault) => Err(Error::Environment(format!(
            "{}: {fault}; it stays as it is (--force packs it all the same)",
            name.display()
        ))),
        None => Ok(()),
    }
}

/// Why a file is probably not the model that it should be, if there is something wrong.
///
/// # Errors
/// `Io` if it cannot be read.
pub(super) fn fault(source: &SourceFile, name: &Path) -> Result<Option<String>> {
    if let Some(fault) = fault_of_contents(source, name)? {
        return Ok(Some(fault));
    }
    if is_named_unfinished(name) {
        return Ok(Some("by its name it is still being downloaded".into()));
    }
    if is_open_for_writing(&source.file) {
        return Ok(Some("another process has it open for writing".into()));
    }
    Ok(None)
}

/// True for the name of a file that is being downloaded, or was until something went wrong.
pub(super) fn is_named_unfinished(name: &Path) -> bool {
    let is_one = |suffix: &OsStr| UNFINISHED.iter().any(|unfinished| suffix == *unfinished);
    match name.extension() {
        Some(suffix) => is_one(suffix),
        None => name
            .as_os_str()
            .as_encoded_bytes()
            .ends_with(UNFINISHED_BLOB),
    }
}

/// What its bytes tell of that.
///
/// # Errors
/// As `fault`.
pub(super) fn fault_of_contents(source: &SourceFile, name: &Path) -> Result<Option<String>> {
    let bytes = source.file_bytes();
    if bytes == 0 {
        return Ok(None);
    }
    let mut start = [0; PAGE_BYTES];
    let read = source.read_up_to(&mut start, 0)?;
    let start = &start[..read];
    if start.starts_with(LFS_POINTER) {
        return Ok(Some(
            "it is a pointer of Git LFS, not the file itself; get that with `git lfs pull`".into(),
        ));
    }
    if is_page(start) {
        return Ok(Some("it is an HTML page; download the file again".into()));
    }
    match model::read_keeping(source, |_| None::<()>)? {
        Some(header) if header.data_end > bytes => {
            return Ok(Some(format!(
                "it is not complete: by its header it has {} bytes, of which the last {} are missing",
                header.data_end,
                header.data_end - bytes
            )));
        }
        None => {
            if let Some(format) = format_by_name(name) {
                match model::why_not(source)? {
                    // Nothing is wrong with it.
                    Some(WhyNot::Unread(_)) => {}
                    Some(WhyNot::Damaged(why)) => {
                        return Ok(Some(format!("it cannot be read as a model: {why}")));
                    }
                    None => {
                        return Ok(Some(format!(
                            "it has no header of a {} file, or not the whole of it",
                            format.name()
                        )));
                    }
                }
            }
        }
        Some(_) => {}
    }
    Ok(None)
}

fn is_page(start: &[u8]) -> bool {
    let start = start.trim_ascii_start().to_ascii_lowercase();
    [&b"<!doctype html"[..], b"<html"]
        .iter()
        .any(|page| start.starts_with(page))
}

fn format_by_name(name: &Path) -> Option<ModelFormat> {
    let suffix = name.extension()?;
    let mut formats = ModelFormat::ALL.iter().copied();
    formats.find(|format| suffix == OsStr::new(format.suffix()))
}

/// What is to be said of parts of models that an index in a directory names and that are not there.
pub(super) fn missing_parts(entries: &[WalkEntry]) -> Vec<String> {
    let is_file = |entry: &&WalkEntry| !matches!(entry.kind, EntryKind::Directory);
    let mut names = HashSet::new();
    for entry in entries.iter().filter(is_file) {
        names.extend(original_path(&entry.relative));
        names.insert(entry.relative.clone());
    }
    let mut missing = Vec::new();
    for index in entries.iter().filter(is_file) {
        for part in parts(&index.relative, &index.from) {
            if !names.contains(&index.relative.with_file_name(&part)) {
                missing.push(format!(
                    "{} names {part}, which is not there: the model is not complete",
                    index.relative.display()
                ));
            }
        }
    }
    missing
}

/// The files that an index names; none for what is no index.
fn parts(name: &Path, path: &Path) -> Vec<String> {
    let is_index = name
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().ends_with(INDEX_SUFFIX.as_bytes()));
    if !is_index || !fs::metadata(path).is_ok_and(|meta| meta.len() <= MAX_INDEX_BYTES) {
        return Vec::new();
    }
    let index = fs::read(path)
        .ok()
        .and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let parts = index
        .as_ref()
        .and_then(|index| index.get("weight_map")?.as_object());
    let names = parts.into_iter().flat_map(|parts| parts.values());
    let mut names: Vec<String> = names
        .filter_map(|name| Some(name.as_str()?.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    names
}
