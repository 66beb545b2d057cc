//! The order of the house: every folder's files stand in an order, from the ground up, and each
//! imports only those before it. So nothing goes in circles, and whoever reads from the ground up
//! never meets what they do not know yet.
//!
//! What counts is the code outside `#[cfg(test)]`; tests may use whatever makes what they need.
#![allow(clippy::unwrap_used, reason = "test code")]

mod graph;
mod made_up;
mod modules;
mod order;
mod reader;
mod rules;
mod sources;

use std::fs;
use std::path::PathBuf;

use graph::Graph;
use order::{EXITS, ORDER, rooms};
use rules::{against_the_order, between_wings, misplaced, strays};
use sources::Sources;

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
fn text_leaves_only_where_it_is_made_printable() {
    let src = home().join("src");
    let mut wrong = Vec::new();
    for file in house().files {
        let text = fs::read_to_string(src.join(&file)).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let leaves = [
                "print!(",
                "println!(",
                "io::stdout()",
                "io::stderr()",
                "dbg!(",
            ]
            .iter()
            .any(|way| code.contains(way));
            if leaves && !EXITS.contains(&file.as_str()) {
                wrong.push(format!("src/{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    report(
        "Text leaves by console::print and the log, which make it printable:",
        &wrong,
    );
}

#[test]
fn the_map_tells_the_same_order() {
    let path = home().join("ARCHITECTURE.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(
        told(&text),
        rooms(),
        "the rooms of ARCHITECTURE.md are not those of ORDER, or stand in another order"
    );
}

/// Names of rooms at the starts of the lines of the section "Rooms": `error`, `codec/`, or several.
fn told(text: &str) -> Vec<String> {
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
