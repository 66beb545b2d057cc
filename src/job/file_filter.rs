//! Which files of a directory are packed, by their names.

use std::path::Path;

use globset::GlobMatcher;

use super::globs::globs;
use crate::error::Result;

/// Files of a directory by name; without patterns, all of them.
#[derive(Debug, Clone, Default)]
pub struct FileFilter {
    only: Vec<GlobMatcher>,
    skip: Vec<GlobMatcher>,
}

impl FileFilter {
    /// Those that one of `only` matches, if there is any, and none of `skip`. A pattern with a slash is matched with
    /// the path below the directory, others with the name.
    ///
    /// # Errors
    /// `InvalidInput` if a pattern is none.
    pub fn new(only: &[String], skip: &[String]) -> Result<Self> {
        Ok(Self {
            only: globs(only, "file")?,
            skip: globs(skip, "file")?,
        })
    }

    /// Whether there is no pattern.
    pub const fn is_all(&self) -> bool {
        self.only.is_empty() && self.skip.is_empty()
    }

    /// Whether a file is packed that has this path below the directory.
    pub(super) fn allows(&self, relative: &Path) -> bool {
        let is_any = |globs: &[GlobMatcher]| globs.iter().any(|glob| matches(glob, relative));
        (self.only.is_empty() || is_any(&self.only)) && !is_any(&self.skip)
    }
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

    #[test]
    fn patterns_are_of_names_or_of_paths() {
        let filter = |only: &[&str], skip: &[&str]| {
            let owned = |patterns: &[&str]| -> Vec<String> {
                patterns.iter().map(ToString::to_string).collect()
            };
            FileFilter::new(&owned(only), &owned(skip)).unwrap()
        };
        let path = Path::new("sub/model.bin");
        assert!(filter(&[], &[]).allows(path));
        assert!(filter(&["*.bin"], &[]).allows(path));
        assert!(filter(&["sub/*"], &[]).allows(path));
        assert!(!filter(&["model.safetensors"], &[]).allows(path));
        assert!(!filter(&["other/*.bin"], &[]).allows(path));
        assert!(!filter(&["*.bin"], &["sub/*"]).allows(path));
        assert!(!filter(&[], &["*.bin"]).allows(path));
        assert!(FileFilter::new(&["[".into()], &[]).is_err());
    }
}
