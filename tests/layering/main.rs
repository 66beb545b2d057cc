//! The order of the house: every folder's files stand in an order, from the ground up, and each
//! imports only those before it. So nothing goes in circles, and whoever reads from the ground up
//! never meets what they do not know yet.
//!
//! What counts is the code outside `#[cfg(test)]`; tests may use whatever makes what they need.
#![allow(clippy::unwrap_used, reason = "test code")]

mod graph;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use graph::{Graph, components, folder_of, meeting};
use sources::{Sources, is_contents};

/// Every folder with its files and folders, from the lowest to the highest. The first is the crate:
/// its rooms follow the bytes from the disk to the reader. A folder's `mod.rs` is above all of them.
const ORDER: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "error", "sync", "os", "simd", "plane", "format", "storage", "codec", "block", "model",
            "archive", "job", "file", "fs", "fuse", "daemon", "console", "bench", "cli", "main",
        ],
    ),
    ("archive", &["reader", "writer"]),
    ("bench", &["codecs", "mounts"]),
    (
        "bench/codecs",
        &[
            "args",
            "contender",
            "figures",
            "report",
            "plot",
            "stream",
            "run",
            "child",
            "command",
        ],
    ),
    (
        "bench/mounts",
        &[
            "args",
            "null",
            "watch",
            "server",
            "targets",
            "processes",
            "random",
            "read",
            "run",
            "report",
            "command",
        ],
    ),
    ("block", &["decode", "encode"]),
    (
        "cli",
        &[
            "args",
            "analyze",
            "mount",
            "mount_helper",
            "report",
            "commands",
            "demo",
            "stats",
        ],
    ),
    ("cli/analyze", &["html", "text"]),
    ("cli/demo", &["sample_model", "run"]),
    (
        "codec",
        &[
            "parts", "symbol", "ans", "huffman", "float", "general", "scaled", "trimmed",
        ],
    ),
    (
        "codec/ans",
        &[
            "carried",
            "piece",
            "table",
            "avx2",
            "encode",
            "encode_avx512",
            "choose",
            "plane",
            "portable",
            "kernel",
            "avx512",
            "each",
        ],
    ),
    (
        "codec/general",
        &["arithmetic", "deflate", "lz4", "lzma", "run_length"],
    ),
    ("codec/huffman", &["code", "encode", "table", "lanes"]),
    (
        "codec/scaled",
        &[
            "mean", "context", "plane", "fit", "profile", "decode", "encode",
        ],
    ),
    ("codec/symbol", &["avx2", "avx512", "plan", "portable"]),
    (
        "console",
        &["chart", "outcome", "print", "progress", "size", "serving"],
    ),
    ("console/chart", &["labels"]),
    (
        "daemon",
        &[
            "background",
            "guard",
            "metrics",
            "metrics_server",
            "supervisor",
            "watchdog",
        ],
    ),
    ("file", &["cache", "ahead", "shared"]),
    ("file/ahead", &["order", "streams", "prefetch"]),
    (
        "format",
        &[
            "block_header",
            "element",
            "geometry",
            "index",
            "name",
            "profiles",
            "superblock",
        ],
    ),
    (
        "fs",
        &["xattr", "attr", "links", "nodes", "source", "view", "tree"],
    ),
    ("fs/source", &["directory"]),
    (
        "fuse",
        &[
            "mountinfo",
            "abort",
            "progress",
            "server",
            "connection",
            "mount",
        ],
    ),
    (
        "job",
        &[
            "attributes",
            "inspect",
            "output",
            "pipeline",
            "blocks",
            "source_file",
            "read_back",
            "survey",
            "verify",
            "walk",
            "archives",
            "plan",
            "pack",
            "analyze",
            "unpack",
            "replace",
        ],
    ),
    (
        "job/analyze",
        &[
            "counts",
            "ceiling",
            "expect",
            "values",
            "redundancy",
            "gather",
        ],
    ),
    ("model", &["safetensors", "extents"]),
    (
        "os",
        &[
            "memory",
            "page_cache",
            "paths",
            "positional",
            "pressure",
            "write_back",
        ],
    ),
    ("plane", &["pack"]),
    ("simd", &["avx2", "avx512"]),
    ("storage", &["mapped"]),
];

/// Two ways to use archives, which do not know of each other: jobs on files, and mounts.
const WINGS: [&[&str]; 2] = [&["job"], &["file", "fs", "fuse", "daemon"]];

/// Crates that only some rooms or files know.
const CRATES: &[(&str, &[&str])] = &[
    ("bzip2", &["codec", "bench"]),
    ("clap", &["cli", "bench"]),
    ("flate2", &["codec", "bench"]),
    ("fuser", &["fuse", "bench/mounts/null.rs"]),
    ("httparse", &["daemon"]),
    ("indicatif", &["console", "bench"]),
    ("liblzma", &["codec", "bench"]),
    ("lz4", &["codec", "bench"]),
    ("memmap2", &["os", "storage"]),
    ("zstd", &["codec", "bench"]),
];

/// The crate's own directory; a program built once can look at another.
fn home() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

fn house() -> Sources {
    let sources = Sources::read(&home().join("src"));
    assert!(sources.imports.len() > 200, "most imports are not found");
    sources
}

/// All that is wrong, at once.
fn report(rule: &str, wrong: &[String]) {
    assert!(
        wrong.is_empty(),
        "{rule}\n\n  {}\n\n{} in all",
        wrong.join("\n  "),
        wrong.len()
    );
}

#[test]
fn files_import_only_what_stands_below_them() {
    let wrong = against_the_order(&house(), ORDER);
    report("A file imports only files before it in ORDER.", &wrong);
}

#[test]
fn imports_make_no_circle() {
    let wrong = Graph::of(&house().imports).circles();
    report("Imports of files go in circles.", &wrong);
}

#[test]
fn every_file_has_its_place_in_the_order() {
    let wrong = misplaced(&house(), ORDER);
    report("ORDER and the files of src/ differ.", &wrong);
}

#[test]
fn contents_pages_hold_nothing_else() {
    let wrong: Vec<_> = house()
        .loose
        .iter()
        .map(|item| format!("src/{}:{}: {}", item.file, item.line, item.what))
        .collect();
    report(
        "A mod.rs has docs, `mod` and `use`; this goes to files named after it:",
        &wrong,
    );
}

#[test]
fn the_wings_do_not_know_of_each_other() {
    let wrong = between_wings(&house());
    report("One wing of the house imports the other.", &wrong);
}

#[test]
fn crates_stay_in_their_rooms() {
    let wrong = strays(&house());
    report(
        "A crate is used outside of the rooms that CRATES gives it.",
        &wrong,
    );
}

#[test]
fn the_texts_tell_the_same_order() {
    let rooms: Vec<_> = rooms().iter().filter(|room| **room != "main").collect();
    let mut wrong = Vec::new();
    for (name, told) in [
        ("src/lib.rs", told_by_docs as fn(&str) -> Vec<String>),
        ("ARCHITECTURE.md", told_by_list),
    ] {
        match fs::read_to_string(home().join(name)) {
            Err(error) => wrong.push(format!("{name}: {error}")),
            Ok(text) => {
                let told: Vec<_> = told(&text)
                    .into_iter()
                    .filter(|room| room != "main")
                    .collect();
                if told.iter().ne(rooms.iter().copied()) {
                    wrong.push(format!("{name} tells   {}", told.join(" ")));
                }
            }
        }
    }
    let rooms: Vec<_> = rooms.into_iter().copied().collect();
    report(
        &format!("The rooms are, from the ground up, {}", rooms.join(" ")),
        &wrong,
    );
}

/// The rooms of the crate, lowest first.
fn rooms() -> &'static [&'static str] {
    ORDER[0].1
}

fn room_of(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Names of rooms in brackets, in the order in which the docs of the crate first name them.
fn told_by_docs(text: &str) -> Vec<String> {
    let docs = text.lines().filter_map(|line| line.strip_prefix("//!"));
    let mut told: Vec<String> = Vec::new();
    for piece in docs.collect::<Vec<_>>().join(" ").split('[').skip(1) {
        let name = piece
            .split(']')
            .next()
            .unwrap_or_default()
            .trim_matches('`');
        let name = name.strip_prefix("mod@").unwrap_or(name);
        if rooms().contains(&name) && !told.iter().any(|room| room == name) {
            told.push(name.to_owned());
        }
    }
    told
}

/// Names of rooms at the starts of the lines of the section "Rooms": `error`, `codec/`, or several.
fn told_by_list(text: &str) -> Vec<String> {
    let section = text
        .split_inclusive('\n')
        .skip_while(|line| !(line.starts_with('#') && line.contains("Rooms")))
        .skip(1)
        .take_while(|line| !line.starts_with('#'));
    let mut told = Vec::new();
    for line in section {
        for (index, word) in line.split_whitespace().enumerate() {
            let name = word.trim_end_matches('/').trim_end_matches(".rs");
            if !rooms().contains(&name) || (index > 0 && !word.ends_with('/')) {
                break;
            }
            told.push(name.to_owned());
        }
    }
    told
}

fn against_the_order(sources: &Sources, order: &[(&str, &[&str])]) -> Vec<String> {
    let rank = |folder: &str, part: &str| {
        let (_, parts) = order.iter().find(|(name, _)| *name == folder)?;
        parts.iter().position(|known| *known == part)
    };
    let mut upward: BTreeMap<(&str, &str), Vec<(usize, &str)>> = BTreeMap::new();
    for import in &sources.imports {
        // The files a path goes through count as far as they are in other rooms.
        let through = import
            .through
            .iter()
            .filter(|file| room_of(file) != room_of(&import.from) && file.as_str() != "lib.rs");
        for to in through.chain([&import.to]) {
            let meeting = meeting(&import.from, to);
            let is_upward = match (&meeting.from, &meeting.to) {
                (_, None) => true,
                (None, _) => false,
                // What has no place is told elsewhere.
                (Some(from), Some(to)) => {
                    match (rank(&meeting.folder, from), rank(&meeting.folder, to)) {
                        (Some(from), Some(to)) => from < to,
                        _ => false,
                    }
                }
            };
            if is_upward {
                let pair = (import.from.as_str(), to.as_str());
                let paths: &mut Vec<_> = upward.entry(pair).or_default();
                paths.push((import.line, import.path.as_str()));
            }
        }
    }
    upward
        .into_iter()
        .map(|((from, to), mut paths)| {
            let line = paths[0].0;
            let mut seen = BTreeSet::new();
            paths.retain(|(_, path)| seen.insert(*path));
            let paths: Vec<_> = paths.into_iter().map(|(_, path)| path).collect();
            format!("src/{from}:{line}: {to} stands above: {}", paths.join(", "))
        })
        .collect()
}

fn misplaced(sources: &Sources, order: &[(&str, &[&str])]) -> Vec<String> {
    let mut wrong: Vec<_> = sources
        .unreached
        .iter()
        .map(|file| format!("src/{file}: no `mod` leads to it"))
        .collect();
    let mut there: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in sources
        .files
        .iter()
        .filter(|file| file.as_str() != "lib.rs")
    {
        let parts = there.entry(folder_of(file)).or_default();
        if !is_contents(file) {
            parts.push(components(file).pop().unwrap());
        }
        // A folder is a part of the one it lies in.
        let mut folder = folder_of(file);
        while !folder.is_empty() {
            let (outer, name) = folder.rsplit_once('/').unwrap_or(("", &folder));
            let parts = there.entry(outer.to_owned()).or_default();
            if !parts.iter().any(|part| part == name) {
                parts.push(name.to_owned());
            }
            folder = outer.to_owned();
        }
    }
    let graph = Graph::of(&sources.imports);
    for (folder, parts) in &there {
        let known = order
            .iter()
            .find(|(name, _)| name == folder)
            .map_or(&[][..], |(_, parts)| parts);
        let missing: Vec<_> = parts
            .iter()
            .filter(|part| !known.contains(&part.as_str()))
            .collect();
        let gone: Vec<_> = known
            .iter()
            .filter(|name| !parts.iter().any(|part| part == *name))
            .collect();
        if missing.is_empty() && gone.is_empty() {
            continue;
        }
        let suggested = graph.suggest(folder, parts, known);
        wrong.push(format!(
            "src/{folder}: ORDER lacks {missing:?} and has {gone:?}, which are not there; by the \
             imports it is\n    (\"{folder}\", &{suggested:?}),"
        ));
    }
    for (folder, _) in order
        .iter()
        .filter(|(folder, _)| !there.contains_key(*folder))
    {
        wrong.push(format!("src/{folder}: in ORDER, but not there"));
    }
    wrong
}

fn between_wings(sources: &Sources) -> Vec<String> {
    let wing = |file: &str| {
        WINGS
            .iter()
            .position(|rooms| rooms.contains(&room_of(file)))
    };
    sources
        .imports
        .iter()
        .filter(|import| {
            let own = wing(&import.from);
            let mut all = import.through.iter().chain([&import.to]);
            own.is_some() && all.any(|file| wing(file).is_some_and(|other| Some(other) != own))
        })
        .map(|import| format!("src/{}:{}: `{}`", import.from, import.line, import.path))
        .collect()
}

fn strays(sources: &Sources) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, rooms) in CRATES {
        let uses = || sources.crates.iter().filter(|used| used.what == *name);
        if uses().next().is_none() {
            wrong.push(format!("{name} is in CRATES, but nobody uses it"));
        }
        let stray = uses().filter(|used| {
            !rooms.contains(&room_of(&used.file)) && !rooms.contains(&used.file.as_str())
        });
        let mut stray: Vec<_> = stray.map(|used| (&used.file, used.line)).collect();
        stray.dedup_by_key(|(file, _)| *file);
        for (file, line) in stray {
            wrong.push(format!(
                "src/{file}:{line}: {name} belongs to {}",
                rooms.join(", ")
            ));
        }
    }
    wrong
}

/// A crate of two folders that breaks every rule, and its cousin that breaks none.
mod made_up {
    use super::*;

    const ORDER: &[(&str, &[&str])] = &[
        ("", &["low", "job", "fs", "main"]),
        ("low", &["one", "two"]),
        ("fs", &["tree"]),
    ];

    fn house(files: &[(&str, &str)]) -> Sources {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Sources::read(root.path())
    }

    const SOUND: &[(&str, &str)] = &[
        (
            "lib.rs",
            "pub mod fs; pub mod job; pub mod low; pub use low::One;",
        ),
        ("main.rs", "fn main() { weightfs::job::work(); }"),
        (
            "low/mod.rs",
            "mod one; mod two; pub use one::One; pub(crate) use two::{self as second, *};",
        ),
        (
            "low/one.rs",
            "pub struct One; #[cfg(test)] mod tests { use crate::fs::tree::Tree; }",
        ),
        ("low/two.rs", "use super::One; pub fn two(_: One) {}"),
        (
            "job.rs",
            "use crate::One; pub fn work() { crate::low::two(One) }",
        ),
        ("fs/mod.rs", "pub mod tree; #[cfg(test)] mod tests;"),
        ("fs/tree.rs", "use crate::low::One; pub struct Tree(One);"),
        ("fs/tests.rs", "use crate::job::work;"),
    ];

    fn with<'a>(changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        SOUND.iter().chain(changed).copied().collect()
    }

    #[test]
    fn a_sound_crate_has_no_faults() {
        let house = house(SOUND);
        let empty: [String; 0] = [];
        assert_eq!(against_the_order(&house, ORDER), empty);
        assert_eq!(misplaced(&house, ORDER), empty);
        assert_eq!(between_wings(&house), empty);
        assert_eq!(Graph::of(&house.imports).circles(), empty);
        assert!(house.loose.is_empty());
    }

    /// What every way of writing it leads to.
    #[test]
    fn paths_are_followed_to_the_file_of_the_item() {
        for code in [
            "use crate::low::One;",
            "use super::One as Other;",
            "use super::low::{self as below}; type A = below::One;",
            "fn f() { use crate::low; low::One::new() }",
            "fn f() { println!(\"{}\", crate::low::One::NUMBER); }",
            "#[cfg(test)] use std::fs; impl crate::low::One { fn f() {} }",
            "#[cfg(not(test))] fn f(_: &[super::low::One]) {}",
            "mod inner { use super::super::low::One; }",
            "use crate::low::*;",
        ] {
            let house = house(&with(&[("job.rs", code)]));
            let found = house
                .imports
                .iter()
                .filter(|import| import.from == "job.rs");
            let mut found: Vec<_> = found.map(|import| import.to.as_str()).collect();
            found.dedup();
            let all = if code.contains('*') {
                "low/mod.rs"
            } else {
                "low/one.rs"
            };
            assert_eq!(found, [all], "{code}");
        }
    }

    #[test]
    fn what_only_tests_have_does_not_count() {
        for code in [
            "#[cfg(test)] use crate::fs::tree::Tree;",
            "#[cfg(all(test, unix))] mod tests { use crate::fs::tree::Tree; }",
            "struct A { #[cfg(test)] tree: crate::fs::tree::Tree }",
            "impl A { #[cfg(test)] fn f(_: crate::fs::tree::Tree) {} }",
            "#[doc = \"crate::fs::tree::Tree\"] pub(in crate::job) struct A; // crate::fs::tree::Tree",
        ] {
            let house = house(&with(&[("low/two.rs", code)]));
            assert!(against_the_order(&house, ORDER).is_empty(), "{code}");
        }
    }

    #[test]
    fn each_fault_is_found() {
        let behind_a_test = "#[cfg(test)] const A: u8 = 0; use crate::fs::tree::Tree;";
        let house = house(&with(&[
            ("low/one.rs", "pub struct One; pub use super::two::two;"),
            (
                "low/mod.rs",
                "mod one; pub mod two; pub use one::One; pub const LOOSE: u8 = 1;",
            ),
            ("low/two.rs", "use super::{LOOSE, One};"),
            ("low/three.rs", ""),
            ("job.rs", behind_a_test),
        ]));
        let upward = against_the_order(&house, ORDER);
        assert_eq!(upward.len(), 3, "{upward:#?}");
        assert!(
            upward
                .iter()
                .any(|line| line.contains("src/job.rs:1: fs/tree.rs stands above"))
        );
        let circles = Graph::of(&house.imports).circles();
        assert_eq!(circles.len(), 1, "{circles:#?}");
        assert!(
            circles[0].starts_with("3 files: low/mod.rs low/one.rs low/two.rs\n"),
            "{circles:#?}"
        );
        assert_eq!(between_wings(&house).len(), 1);
        assert_eq!(house.loose.len(), 1);
        assert_eq!(
            misplaced(&house, ORDER),
            ["src/low/three.rs: no `mod` leads to it"]
        );
        let short: &[(&str, &[&str])] = &[ORDER[0], ("low", &["two", "zero"]), ORDER[2]];
        let lists = misplaced(&house, short);
        assert_eq!(lists.len(), 2, "{lists:#?}");
        assert!(
            lists[1].contains("lacks [\"one\"] and has [\"zero\"]"),
            "{lists:#?}"
        );
    }
}
