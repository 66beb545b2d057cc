//! Which files of a directory are packed, by their names.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use globset::GlobMatcher;

use super::globs::globs;
use super::walk::{EntryKind, WalkEntry};
use crate::error::{Error, Result};

/// Links to links that are followed.
const MOST_LINKS: usize = 8;

/// Files of a directory by name; without patterns, all of them.
#[derive(Debug, Clone, Default)]
pub struct FileFilter {
    only: Vec<GlobMatcher>,
    skip: Vec<GlobMatcher>,
}

impl FileFilter {
    /// Those that one of `only` matches, if there is any, and none of `skip`. A pattern with a slash is matched with
    /// the path below the directory, others with the name. All names of a file count, and those of links to it: files
    /// of a hub cache have no other that tells anything.
    ///
    /// # Errors
    /// `InvalidInput` if a pattern is none.
    pub fn new(only: &[String], skip: &[String]) -> Result<Self> {
        let of_files = |patterns: &[String]| {
            let bare = |pattern: &String| pattern.trim_start_matches("./").to_owned();
            globs(&patterns.iter().map(bare).collect::<Vec<_>>(), "file")
        };
        Ok(Self {
            only: of_files(only)?,
            skip: of_files(skip)?,
        })
    }

    /// Whether there is no pattern.
    pub const fn is_all(&self) -> bool {
        self.only.is_empty() && self.skip.is_empty()
    }

    /// Whether files have to be named to be packed.
    pub(super) const fn names_files(&self) -> bool {
        !self.only.is_empty()
    }

    /// Chooses among the files of a directory.
    ///
    /// # Errors
    /// `InvalidInput` if a pattern matches no file.
    pub(super) fn choose(&self, root: &Path, entries: &[WalkEntry]) -> Result<ChosenFiles> {
        if self.is_all() {
            return Ok(ChosenFiles(None));
        }
        let names = names_of_files(entries);
        let is_any = |globs: &[GlobMatcher], names: &[&Path]| {
            globs
                .iter()
                .any(|glob| names.iter().any(|name| matches(glob, name)))
        };
        let all = || names.values().flatten();
        let patterns = [("--only", &self.only), ("--skip", &self.skip)];
        for (option, globs) in patterns {
            for glob in globs {
                if !all().any(|name| matches(glob, name)) {
                    return Err(unmatched(root, option, glob, all().min().copied()));
                }
            }
        }
        let chosen = names.iter().filter(|(_, names)| {
            (self.only.is_empty() || is_any(&self.only, names)) && !is_any(&self.skip, names)
        });
        Ok(ChosenFiles(Some(
            chosen.map(|(file, _)| file.clone()).collect(),
        )))
    }
}

fn unmatched(root: &Path, option: &str, glob: &GlobMatcher, example: Option<&Path>) -> Error {
    Error::InvalidInput(format!(
        "no file in {} has a name that {option} {:?} matches{}",
        root.display(),
        glob.glob().glob(),
        example.map_or_else(String::new, |name| format!(
            "; paths are such as {:?}",
            name.display().to_string()
        ))
    ))
}

/// Files that were chosen, by the first path that each has below the directory; all of them if none were named.
pub(super) struct ChosenFiles(Option<HashSet<PathBuf>>);

impl ChosenFiles {
    /// Whether a file is one, or another name of one.
    pub(super) fn has(&self, entry: &WalkEntry) -> bool {
        let first = match &entry.kind {
            EntryKind::Again(first) => first,
            _ => &entry.relative,
        };
        self.0.as_ref().is_none_or(|chosen| chosen.contains(first))
    }
}

/// For each file all paths below the directory by which it is met.
fn names_of_files(entries: &[WalkEntry]) -> HashMap<PathBuf, Vec<&Path>> {
    let mut names: HashMap<PathBuf, Vec<&Path>> = HashMap::new();
    let mut leads_to: HashMap<&Path, PathBuf> = HashMap::new();
    for entry in entries {
        let relative = entry.relative.as_path();
        match &entry.kind {
            EntryKind::File => names.entry(relative.into()).or_default().push(relative),
            EntryKind::Again(other) | EntryKind::LinkTo(other) => {
                leads_to.insert(relative, other.clone());
            }
            EntryKind::Link(target) => {
                let parent = relative.parent().unwrap_or(Path::new(""));
                leads_to.insert(relative, without_dots(&parent.join(target)));
            }
            EntryKind::Directory | EntryKind::Special => {}
        }
    }
    for &link in leads_to.keys() {
        let mut at = link;
        for _ in 0..MOST_LINKS {
            let Some(next) = leads_to.get(at) else { break };
            at = next;
        }
        if let Some(names) = names.get_mut(at) {
            names.push(link);
        }
    }
    names
}

/// A path without `.` and `..`, as if none of it was a link.
fn without_dots(path: &Path) -> PathBuf {
    let mut end = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                end.pop();
            }
            Component::Normal(name) => end.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    end
}

fn matches(glob: &GlobMatcher, relative: &Path) -> bool {
    if glob.glob().glob().contains('/') {
        return glob.is_match(relative);
    }
    relative.file_name().is_some_and(|name| glob.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(relative: &str, kind: EntryKind) -> WalkEntry {
        WalkEntry {
            relative: relative.into(),
            from: relative.into(),
            kind,
        }
    }

    fn chosen(only: &[&str], skip: &[&str]) -> Result<Vec<&'static str>> {
        let owned = |patterns: &[&str]| -> Vec<String> {
            patterns.iter().map(ToString::to_string).collect()
        };
        let files = ["sub/model.bin", "tokenizer.json", "blobs/abc"];
        let mut entries: Vec<_> = files.map(|name| entry(name, EntryKind::File)).into();
        entries.push(entry("sub", EntryKind::Directory));
        let link = EntryKind::Link("../../blobs/abc".into());
        entries.push(entry("snapshots/1/pytorch_model.pt", link));
        let link = EntryKind::LinkTo("snapshots/1/pytorch_model.pt".into());
        entries.push(entry("again.pth", link));
        let filter = FileFilter::new(&owned(only), &owned(skip))?;
        let chosen = filter.choose(Path::new("models"), &entries)?;
        let has = |file: &&str| {
            let found = entries
                .iter()
                .find(|entry| entry.relative == Path::new(file));
            chosen.has(found.unwrap())
        };
        Ok(files.into_iter().filter(has).collect())
    }

    #[test]
    fn files_are_chosen_by_any_name_or_path() {
        let all = ["sub/model.bin", "tokenizer.json", "blobs/abc"];
        assert_eq!(chosen(&[], &[]).unwrap(), all);
        assert_eq!(chosen(&["*.bin"], &[]).unwrap(), all[..1]);
        assert_eq!(chosen(&["./sub/*"], &[]).unwrap(), all[..1]);
        assert_eq!(chosen(&["*.pt"], &[]).unwrap(), all[2..]);
        assert_eq!(chosen(&["*.pth"], &[]).unwrap(), all[2..]);
        assert_eq!(chosen(&[], &["*.pt"]).unwrap(), all[..2]);
        assert!(chosen(&["*.bin"], &["sub/*"]).unwrap().is_empty());
    }

    #[test]
    fn patterns_that_no_file_has_are_told() {
        for (only, skip, part) in [
            (&["typo*"][..], &[][..], "--only \"typo*\""),
            (&[], &["other/*.bin"], "--skip \"other/*.bin\""),
            (&["["], &[], "no pattern of file names"),
        ] {
            let error = chosen(only, skip).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
