//! Commands on a store, of random kinds.

use std::path::Path;

use super::run::Run;
use super::store::{Form, copy_all, records, text};

/// A command on the store.
pub struct Job {
    pub arguments: Vec<String>,
    /// Names that may come to be, or may get another content.
    pub makes: Vec<(String, usize)>,
    /// Names that nobody else is to touch meanwhile.
    pub busy: Vec<String>,
    /// Whether it goes through all of the store.
    pub is_of_all: bool,
}

impl Run<'_> {
    /// A base that somebody names.
    fn base(&mut self) -> String {
        let in_store = self.name(&[]).and_then(|name| {
            let forms = self.store.forms(&name);
            Some(self.store.file(&name, *forms.first()?))
        });
        let form = if self.rng.bool() {
            Form::Plain
        } else {
            Form::Archive
        };
        let content = self.rng.usize(..4);
        let outside = self.store.input(content, form);
        match (self.rng.u8(..4), in_store) {
            (0, _) => "auto".into(),
            (1..3, Some(inside)) => text(&inside),
            _ => text(&outside),
        }
    }

    fn packing(&mut self, source: &Path) -> Vec<String> {
        let base = self.base();
        // Where the store is reached by a mount of its own nothing can be linked from elsewhere.
        let arguments = ["pack", &text(source), "--base", &base, "--copy-base"];
        let threads = ["--threads", self.one_of(&["1", "2"]).unwrap()];
        let all = arguments.into_iter().chain(threads);
        all.map(str::to_owned).collect()
    }

    pub fn job(&mut self, is_second: bool) -> Job {
        let content = self.rng.usize(..self.store.contents.len());
        let all = text(&self.store.path);
        let of_all = |command: &[&str]| Job {
            arguments: command
                .iter()
                .copied()
                .chain([all.as_str()])
                .map(str::to_owned)
                .collect(),
            makes: Vec::new(),
            busy: Vec::new(),
            is_of_all: true,
        };
        let of_one = |archive: &Path, command: [&str; 2], name| Job {
            arguments: [command[0].into(), command[1].into(), text(archive)].into(),
            makes: Vec::new(),
            busy: vec![name],
            is_of_all: false,
        };
        match self.rng.u8(..if is_second { 8 } else { 16 }) {
            0..4 => {
                let directory = self.directory();
                let name = self.store.fresh(&directory);
                let source = self.store.input(content, Form::Plain);
                let mut arguments = self.packing(&source);
                arguments.extend(["-o".into(), text(&self.store.file(&name, Form::Archive))]);
                Job {
                    arguments,
                    makes: vec![(name.clone(), content)],
                    busy: vec![name],
                    is_of_all: false,
                }
            }
            4 => {
                let directory = self.directory();
                let name = self.store.fresh(&directory);
                let plain = self.store.file(&name, Form::Plain);
                copy_all(&self.store.input(content, Form::Plain), &plain);
                self.store.names.insert(name.clone(), content);
                let mut arguments = self.packing(&plain);
                arguments.push("--replace".into());
                Job {
                    arguments,
                    makes: Vec::new(),
                    busy: vec![name],
                    is_of_all: false,
                }
            }
            5..7 => Job {
                is_of_all: false,
                ..of_all(&["gc"])
            },
            7 => match self.name(&[]) {
                Some(name) if self.store.forms(&name).contains(&Form::Archive) => {
                    let made = self.store.fresh("new");
                    let archive = self.store.file(&name, Form::Archive);
                    let to = self.store.file(&made, Form::Archive);
                    Job {
                        arguments: ["export".into(), text(&archive), "-o".into(), text(&to)].into(),
                        makes: vec![(made.clone(), self.store.names[&name])],
                        busy: vec![name, made],
                        is_of_all: false,
                    }
                }
                _ => of_all(&["gc", "--dry-run"]),
            },
            8 | 9 => of_all(&["dedup"]),
            10 => match self.name(&[]) {
                Some(name) if !records(&self.store.file(&name, Form::Archive)).is_empty() => {
                    of_one(
                        &self.store.file(&name, Form::Archive),
                        ["pack", "--detach"],
                        name,
                    )
                }
                _ => of_all(&["dedup"]),
            },
            11 => of_all(&["unpack", "--replace"]),
            12 => {
                let path = self.store.path.clone();
                let mut arguments = self.packing(&path);
                arguments.push("--replace".into());
                Job {
                    arguments,
                    ..of_all(&[])
                }
            }
            13 => match self.name(&[]) {
                Some(name) if self.store.forms(&name) == [Form::Archive] => of_one(
                    &self.store.file(&name, Form::Archive),
                    ["unpack", "--replace"],
                    name,
                ),
                _ => of_all(&["gc"]),
            },
            _ => match self.name(&[]) {
                Some(name) if self.store.forms(&name) == [Form::Archive] => {
                    let source = self.store.input(content, Form::Plain);
                    let mut arguments = self.packing(&source);
                    let to = text(&self.store.file(&name, Form::Archive));
                    arguments.extend(["--force".into(), "-o".into(), to.clone()]);
                    // A base is not packed over, nor one of what it rests on.
                    arguments[3] = text(&self.store.input(self.rng.usize(..4), Form::Archive));
                    Job {
                        arguments,
                        makes: vec![(name.clone(), content)],
                        busy: vec![name],
                        is_of_all: false,
                    }
                }
                _ => of_all(&["gc"]),
            },
        }
    }
}
