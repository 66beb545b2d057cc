//! Files and what they import, as a graph: its circles, and the order that a folder's imports have.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::modules::is_contents;
use super::sources::Import;

/// Names of folders and, last, of the file, without what stands at its end: `codec`, `plane`. A
/// `mod.rs` is its folder.
pub fn components(file: &str) -> Vec<String> {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    let mut names: Vec<_> = path.split('/').map(str::to_owned).collect();
    if is_contents(file) {
        names.pop();
    }
    names
}

/// The folder that a file lies in, relative to `src`.
pub fn folder_of(file: &str) -> String {
    file.rsplit_once('/')
        .map_or("", |(folder, _)| folder)
        .to_owned()
}

/// The innermost folder that two files have in common, and the part of it each of them is in: none
/// for the folder's own `mod.rs`.
#[derive(Debug)]
pub struct Meeting {
    pub folder: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

pub fn meeting(from: &str, to: &str) -> Meeting {
    let (one, other) = (components(from), components(to));
    let common = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    Meeting {
        folder: one[..common].join("/"),
        from: one.get(common).cloned(),
        to: other.get(common).cloned(),
    }
}

#[derive(Debug, Default)]
pub struct Graph<'a> {
    /// One import for each pair of files.
    edges: BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>,
}

impl<'a> Graph<'a> {
    pub fn of(imports: &'a [Import]) -> Self {
        let mut edges: BTreeMap<&str, BTreeMap<&str, &Import>> = BTreeMap::new();
        for import in imports {
            edges.entry(&import.to).or_default();
            let from = edges.entry(&import.from).or_default();
            from.entry(&import.to).or_insert(import);
        }
        Self { edges }
    }

    /// Each group of files that can all be reached from each other, with a shortest circle in it.
    pub fn circles(&self) -> Vec<String> {
        let reached: BTreeMap<_, _> = self
            .edges
            .keys()
            .map(|file| (*file, self.reached(file)))
            .collect();
        let mut told: BTreeSet<&str> = BTreeSet::new();
        let mut circles = Vec::new();
        for (file, there) in &reached {
            if !there.contains(file) || told.contains(file) {
                continue;
            }
            let group: BTreeSet<_> = there
                .iter()
                .copied()
                .filter(|other| reached[other].contains(file))
                .collect();
            let shortest = group
                .iter()
                .map(|file| self.circle(file))
                .min_by_key(Vec::len);
            let mut text = format!(
                "{} files: {}",
                group.len(),
                group.iter().copied().collect::<Vec<_>>().join(" ")
            );
            for import in shortest.unwrap_or_default() {
                text += &format!(
                    "\n      src/{}:{}: `{}` is in {}",
                    import.from, import.line, import.path, import.to
                );
            }
            circles.push(text);
            told.extend(group);
        }
        circles
    }

    /// All files that can be reached by at least one import.
    fn reached(&self, file: &str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut next = VecDeque::from([file]);
        while let Some(file) = next.pop_front() {
            for to in self.edges[file].keys() {
                if found.insert(*to) {
                    next.push_back(to);
                }
            }
        }
        found
    }

    /// A shortest way from a file back to itself.
    fn circle(&self, start: &str) -> Vec<&'a Import> {
        let mut before: BTreeMap<&str, &Import> = BTreeMap::new();
        let mut next = VecDeque::from([start]);
        while let Some(file) = next.pop_front() {
            for (to, import) in &self.edges[file] {
                if before.contains_key(to) {
                    continue;
                }
                before.insert(to, import);
                next.push_back(to);
            }
            if before.contains_key(start) {
                break;
            }
        }
        let mut way = Vec::new();
        let mut at = start;
        while let Some(import) = before.get(at) {
            way.push(*import);
            at = &import.from;
            if at == start {
                break;
            }
        }
        way.reverse();
        way
    }

    /// An order of a folder's parts in which as few imports as possible go upward; what the imports
    /// leave open stays as it is in `known`.
    pub fn suggest(&self, folder: &str, parts: &[String], known: &[&str]) -> Vec<String> {
        let mut needs: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
        for (from, imports) in &self.edges {
            for import in imports.values() {
                let meeting = meeting(from, &import.to);
                if let (true, Some(from), Some(to)) =
                    (meeting.folder == folder, meeting.from, meeting.to)
                    && let Some(part) = parts.iter().find(|part| **part == from)
                {
                    *needs.entry(part).or_default().entry(to).or_default() += 1;
                }
            }
        }
        let place = |part: &str| {
            known
                .iter()
                .position(|name| *name == part)
                .unwrap_or(usize::MAX)
        };
        let mut rest: Vec<&String> = parts.iter().collect();
        rest.sort_by_key(|part| (place(part), part.as_str()));
        let mut ordered = Vec::new();
        while !rest.is_empty() {
            let open = |part: &str| -> usize {
                let needs = needs.get(part).into_iter().flatten();
                needs
                    .filter(|(to, _)| rest.contains(to))
                    .map(|(_, count)| count)
                    .sum()
            };
            let lowest = (0..rest.len()).min_by_key(|&at| open(rest[at])).unwrap();
            ordered.push(rest.remove(lowest).clone());
        }
        ordered
    }
}
