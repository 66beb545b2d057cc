//! What the files of the crate import from each other, outside their tests.
//!
//! A path is followed through `use` and `pub use` to the file that holds the item, so a `mod.rs` that
//! only re-exports it is no stop on the way. Items that macros make are taken to lie where the path
//! ends. Everything under `#[cfg(test)]` is left out, and nothing else.

use std::path::Path;

use super::modules::{Mention, Place, TargetKind, Tree, is_contents, list};
use super::reader::{load, path_text};

/// An import of one file by another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// The file that imports, relative to `src`.
    pub from: String,
    pub line: usize,
    /// The file that holds what is imported.
    pub to: String,
    /// The path as it is written.
    pub path: String,
    /// Files of the modules whose `use` the path goes through.
    pub through: Vec<String>,
}

/// All of the crate's code that is no test.
#[derive(Debug, Default)]
pub struct Sources {
    /// Relative to `src`.
    pub files: Vec<String>,
    pub imports: Vec<Import>,
    /// First segments of paths that lead out of the crate.
    pub crates: Vec<Place>,
    /// Items of a `mod.rs` or `lib.rs` that are no part of a table of contents.
    pub loose: Vec<Place>,
    /// Files that no `mod` leads to.
    pub unreached: Vec<String>,
}

impl Sources {
    /// Reads `lib.rs` and `main.rs` in a directory, and all that their modules lead to.
    pub fn read(root: &Path) -> Self {
        let mut tree = Tree::at(root);
        for name in ["lib.rs", "main.rs"] {
            if root.join(name).is_file() {
                load(&mut tree, root.join(name), None);
            }
        }
        let mut all = Vec::new();
        list(root, &mut all);
        let mut sources = Self {
            unreached: all
                .iter()
                .filter(|path| !tree.seen.contains(*path))
                .map(|path| tree.relative(path))
                .collect(),
            loose: std::mem::take(&mut tree.loose),
            ..Self::default()
        };
        for module in tree.modules.iter().filter(|module| !module.is_inline) {
            sources.files.push(module.file.clone());
        }
        sources.files.sort();
        for mention in &tree.mentions {
            sources.settle(&tree, mention);
        }
        sources.imports.sort();
        sources.imports.dedup();
        sources
    }

    /// Notes what a mention imports.
    fn settle(&mut self, tree: &Tree, mention: &Mention) {
        let from = &tree.modules[mention.module].file;
        let Some(targets) = tree.resolve(mention.module, &mention.path, &mut Vec::new()) else {
            self.crates.push(Place {
                file: from.clone(),
                line: mention.line,
                what: mention.path[0].clone(),
            });
            return;
        };
        for target in targets {
            let to = match target.kind {
                TargetKind::Item { file } => file,
                // The module is only a way to its items, which are mentioned by themselves.
                TargetKind::Module(id)
                    if !mention.is_glob
                        && !tree.modules[id].is_inline
                        && is_contents(&tree.modules[id].file) =>
                {
                    continue;
                }
                TargetKind::Module(id) => tree.modules[id].file.clone(),
            };
            if to != *from {
                self.imports.push(Import {
                    from: from.clone(),
                    line: mention.line,
                    to,
                    path: path_text(&mention.path),
                    through: target.through,
                });
            }
        }
    }
}
