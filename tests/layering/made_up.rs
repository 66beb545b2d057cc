//! The rules on a crate made up for them, sound and with faults.

use std::fs;

use super::graph::Graph;
use super::rules::{against_the_order, between_wings, misplaced};
use super::sources::Sources;

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
