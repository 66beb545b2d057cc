//! The modules of a crate and the names in them, and where a path leads.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A line of a file, and what is there.
#[derive(Debug, Clone)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub what: String,
}

#[derive(Debug)]
pub struct Module {
    pub parent: Option<usize>,
    pub root: usize,
    pub file: String,
    /// Where the files of its children lie.
    pub directory: PathBuf,
    pub is_inline: bool,
    pub names: HashMap<String, Vec<Definition>>,
    pub globs: Vec<Vec<String>>,
}

#[derive(Debug)]
pub enum Definition {
    Module(usize),
    Item,
    Import(Vec<String>),
}

/// What a path leads to.
#[derive(Debug, Clone)]
pub struct Target {
    pub kind: TargetKind,
    pub through: Vec<String>,
}

#[derive(Debug, Clone)]
pub enum TargetKind {
    Module(usize),
    Item { file: String },
}

#[derive(Debug)]
pub struct Mention {
    pub module: usize,
    pub line: usize,
    pub path: Vec<String>,
    pub is_glob: bool,
}

#[derive(Debug, Default)]
pub struct Tree {
    root: PathBuf,
    pub modules: Vec<Module>,
    pub mentions: Vec<Mention>,
    pub loose: Vec<Place>,
    /// Files read, and those left out because they are tests.
    pub seen: Vec<PathBuf>,
}

impl Tree {
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            ..Self::default()
        }
    }

    pub fn relative(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        path.to_string_lossy().into_owned()
    }

    pub fn add(
        &mut self,
        parent: Option<usize>,
        file: String,
        directory: PathBuf,
        is_inline: bool,
    ) -> usize {
        let id = self.modules.len();
        self.modules.push(Module {
            parent,
            root: parent.map_or(id, |parent| self.modules[parent].root),
            file,
            directory,
            is_inline,
            names: HashMap::new(),
            globs: Vec::new(),
        });
        id
    }

    /// The file of `mod name;` in a module.
    pub fn file_of(&self, module: usize, name: &str) -> PathBuf {
        let directory = &self.modules[module].directory;
        let alone = directory.join(format!("{name}.rs"));
        if alone.is_file() {
            alone
        } else {
            directory.join(name).join("mod.rs")
        }
    }

    /// All that a path may mean, or nothing if its first segment is not known here.
    pub fn resolve(
        &self,
        module: usize,
        path: &[String],
        asked: &mut Vec<(usize, String)>,
    ) -> Option<Vec<Target>> {
        let (first, rest) = path.split_first()?;
        let here = &self.modules[module];
        let at = |id| {
            vec![Target {
                kind: TargetKind::Module(id),
                through: Vec::new(),
            }]
        };
        let mut found = match first.as_str() {
            "crate" => at(here.root),
            // What main.rs calls the library.
            "weightfs" if here.root != 0 => at(0),
            "self" | "Self" if rest.is_empty() => return Some(Vec::new()),
            "self" => at(module),
            "super" => at(here.parent?),
            "Self" => return Some(Vec::new()),
            name => self.lookup(module, name, !rest.is_empty(), asked)?,
        };
        for (index, name) in rest.iter().enumerate() {
            let is_last = index + 1 == rest.len();
            let mut next = Vec::new();
            for target in found {
                // Of an item only the item counts, not its variant or method.
                let TargetKind::Module(id) = target.kind else {
                    next.push(target);
                    continue;
                };
                if name == "super" {
                    next.extend(self.modules[id].parent.map(at).into_iter().flatten());
                    continue;
                }
                if name == "self" {
                    next.push(target);
                    continue;
                }
                let inner = self.lookup(id, name, !is_last, asked).unwrap_or_else(|| {
                    let file = self.modules[id].file.clone();
                    vec![Target {
                        kind: TargetKind::Item { file },
                        through: Vec::new(),
                    }]
                });
                next.extend(inner.into_iter().map(|mut inner| {
                    inner.through.splice(0..0, target.through.iter().cloned());
                    inner
                }));
            }
            found = next;
        }
        Some(found)
    }

    /// What a name means in a module, or nothing if the module does not have it.
    fn lookup(
        &self,
        module: usize,
        name: &str,
        is_prefix: bool,
        asked: &mut Vec<(usize, String)>,
    ) -> Option<Vec<Target>> {
        let key = (module, name.to_owned());
        if asked.contains(&key) {
            return None;
        }
        asked.push(key);
        let found = self.lookup_new(module, name, is_prefix, asked);
        asked.pop();
        found
    }

    fn lookup_new(
        &self,
        module: usize,
        name: &str,
        is_prefix: bool,
        asked: &mut Vec<(usize, String)>,
    ) -> Option<Vec<Target>> {
        let here = &self.modules[module];
        let mut found = Vec::new();
        let definitions = here.names.get(name).map_or(&[][..], Vec::as_slice);
        for definition in definitions {
            match definition {
                Definition::Module(id) => {
                    let kind = TargetKind::Module(*id);
                    let through = Vec::new();
                    found.push(Target { kind, through });
                    if is_prefix {
                        return Some(found);
                    }
                }
                Definition::Item => {
                    let file = here.file.clone();
                    let kind = TargetKind::Item { file };
                    let through = Vec::new();
                    found.push(Target { kind, through });
                }
                Definition::Import(path) => {
                    for mut target in self.resolve(module, path, asked).unwrap_or_default() {
                        target.through.insert(0, here.file.clone());
                        found.push(target);
                    }
                }
            }
        }
        if found.is_empty() {
            for glob in &here.globs {
                for target in self.resolve(module, glob, asked).unwrap_or_default() {
                    if let TargetKind::Module(id) = target.kind {
                        found.extend(self.lookup(id, name, is_prefix, asked).unwrap_or_default());
                    }
                }
            }
        }
        (!found.is_empty()).then_some(found)
    }
}

/// All Rust files in a directory and below.
pub fn list(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            list(&path, found);
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            found.push(path);
        }
    }
}

/// Whether a file is the table of contents of its folder.
pub fn is_contents(file: &str) -> bool {
    matches!(file.rsplit('/').next(), Some("mod.rs" | "lib.rs"))
}
