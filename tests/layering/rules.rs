//! What may import what: each rule gives all that breaks it, a line each.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Graph, components, folder_of, meeting};
use super::modules::is_contents;
use super::order::{CRATES, WINGS, room_of};
use super::sources::Sources;

pub fn against_the_order(sources: &Sources, order: &[(&str, &[&str])]) -> Vec<String> {
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

pub fn misplaced(sources: &Sources, order: &[(&str, &[&str])]) -> Vec<String> {
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

pub fn between_wings(sources: &Sources) -> Vec<String> {
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

pub fn strays(sources: &Sources) -> Vec<String> {
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
