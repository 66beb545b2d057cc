//! Modules form ranks: each imports only lower ranks or its own folder.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest rank to the highest, as the bytes flow from the disk to the reader.
const RANKS: &[&str] = &[
    "error",
    "sync",
    "simd",
    "io",
    "format",
    "plane",
    "codec",
    "block",
    "safetensors",
    "layout",
    "pipeline",
    "archive",
    "job",
    "cache",
    "file",
    "fs",
    "fuse",
    "cli",
];

/// Jobs and mounts are two ways to use archives; neither knows of the other.
const STRANGERS: &[(&str, &str)] = &[
    ("cache", "job"),
    ("file", "job"),
    ("fs", "job"),
    ("fuse", "job"),
];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

fn module(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Every module that `crate::` is followed by, also inside braces.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap().split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            found.push(name);
        }
    }
    found
}

#[test]
fn modules_import_only_lower_ranks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rank = |module: &str| RANKS.iter().position(|known| *known == module);
    let mut checked = 0;
    for path in sources(&root) {
        let relative = path.strip_prefix(&root).unwrap();
        let own = module(relative);
        if matches!(own.as_str(), "lib" | "main") {
            continue;
        }
        let own_rank = rank(&own).unwrap_or_else(|| panic!("{own} has no rank; add it to RANKS"));
        // Tests may use whatever makes what they need.
        let code = fs::read_to_string(&path).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap();
        if relative.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        for import in imports(code) {
            let Some(import_rank) = rank(&import) else {
                panic!("{}: crate::{import} has no rank", path.display());
            };
            assert!(
                import_rank <= own_rank,
                "{}: {own} must not use {import}, which is above it",
                path.display()
            );
            assert!(
                !STRANGERS.contains(&(own.as_str(), import.as_str())),
                "{}: {own} must not use {import}",
                path.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} imports were found");
}
