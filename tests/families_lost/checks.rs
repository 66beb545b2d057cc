//! What must be so after each step: nothing is lost, what is there reads, and what is missing is told.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use weightfs::format::{BaseRecord, pins_directory};

use super::run::Run;
use super::store::{Form, Standing, hex, text};
use super::support::{json, ok, run};

impl Run<'_> {
    /// Compares what is there with what must be, and takes note of what jobs have made.
    pub fn reconcile(&mut self, makes: &[(String, usize)]) {
        let found = self.store.look();
        assert!(
            self.was_killed || found.unfinished.is_empty(),
            "left behind: {:?}",
            found.unfinished
        );
        for (name, content) in &self.store.names {
            let forms = found.names.get(name);
            let forms = forms.unwrap_or_else(|| panic!("{name} is gone"));
            for (form, is) in forms {
                let may_be = is == content || makes.contains(&(name.clone(), *is));
                assert!(may_be, "{name} as {form:?} has {is} instead of {content}");
            }
        }
        for (name, forms) in found.names {
            let content = forms[0].1;
            if let Some(known) = self.store.names.get_mut(&name) {
                *known = content;
                continue;
            }
            // Renamed while it was worked on, it may have come again.
            let is_moved = self
                .moved
                .iter()
                .any(|(from, to)| *from == name && self.store.names.get(to) == Some(&content));
            assert!(
                is_moved || makes.contains(&(name.clone(), content)),
                "{name} came from nowhere"
            );
            self.store.names.insert(name, content);
        }
    }

    /// Nobody has lost a pin unless it was taken away, and nobody was made without.
    pub fn check_pins(
        &self,
        before: &[(String, BaseRecord, Option<PathBuf>)],
        makes: &[(String, usize)],
    ) {
        if self.takes_pins {
            return;
        }
        let now = self.store.pinned();
        for (name, record, pin) in &now {
            let is_made = || makes.iter().any(|(made, _)| made == name);
            let was = before.iter().find(|(one, what, _)| {
                let came_from = self.moved.iter().find(|(_, to)| to == name);
                let before = came_from.map_or(name, |(from, _)| from);
                one == before && what.sha256 == record.sha256
            });
            let archive = self.store.file(name, Form::Archive);
            let must_have = match was {
                Some((_, _, pin)) => pin.as_ref().is_some_and(|pin| {
                    let root = pin.ancestors().nth(3).unwrap();
                    archive.starts_with(root)
                }),
                None => is_made() || self.moved.is_empty(),
            };
            assert!(
                pin.is_some() || !must_have,
                "{name} has lost {} ({})",
                hex(&record.sha256),
                record.name
            );
        }
    }

    /// What is there reads, what is missing is told.
    pub fn check_archives(&mut self) {
        let names: Vec<_> = self.store.names.keys().cloned().collect();
        let archives = names
            .iter()
            .map(|name| self.store.file(name, Form::Archive));
        let archives: Vec<_> = archives.filter(|path| path.exists()).collect();
        if archives.is_empty() {
            return;
        }
        let paths = archives.iter().map(|path| text(path));
        let arguments = ["verify", "--deep", "--json"].map(str::to_owned);
        let (_, out, _) = run(arguments.into_iter().chain(paths));
        let told = json(&out);
        for (archive, told) in archives.iter().zip(told["archives"].as_array().unwrap()) {
            assert_eq!(told["path"], text(archive), "{told}");
            self.check_verified(archive, told);
        }
    }

    fn check_verified(&mut self, archive: &Path, told: &Value) {
        let problems = told["problems"].to_string();
        match self.store.standing(archive, &[]) {
            Standing::Whole => assert_eq!(told["problem_count"], 0, "{told}"),
            Standing::Missing(missing) => {
                self.counts.missing += 1;
                assert_ne!(told["problem_count"], 0, "{told}");
                let is_told = |problems: &str| {
                    missing.iter().any(|record| {
                        let sha256 = hex(&record.sha256);
                        let words = [sha256.as_str(), &record.name, "--bases DIR"];
                        words.iter().all(|word| problems.contains(word))
                    })
                };
                assert!(is_told(&problems), "{problems}");
                let out = text(&self.store.beside("out/of-missing"));
                let (status, _, told) = run(["unpack", &text(archive), "-o", &out]);
                assert!(status == 2 && is_told(&told), "{told}");
                assert!(!Path::new(&out).exists());
            }
            Standing::Unsure => {}
        }
    }

    /// At the end, everything is unpacked and compared, and what was left is cleaned up.
    pub fn end(&mut self) {
        let elsewhere: Vec<_> = (0..4)
            .map(|content| self.store.input(content, Form::Archive))
            .collect();
        let bases = text(&self.store.beside("in"));
        for (name, content) in self.store.names.clone() {
            let archive = self.store.file(&name, Form::Archive);
            if !archive.exists() {
                continue;
            }
            let back = self.store.beside("out/back");
            let arguments = [
                "unpack",
                &text(&archive),
                "-o",
                &text(&back),
                "--force",
                "--bases",
                &bases,
            ];
            let (status, _, told) = run(arguments);
            if self.store.standing(&archive, &elsewhere) == Standing::Whole {
                assert_eq!(status, 0, "{told}");
                assert!(
                    fs::read(&back).unwrap() == self.store.contents[content].bytes,
                    "{name}"
                );
            }
        }
        self.check_family();
        self.clean_up();
    }

    fn check_family(&self) {
        let (status, out, told) = run(["family", &text(&self.store.path), "--json"]);
        if !self.store.broken.is_empty() {
            return;
        }
        let mut is_missing = false;
        for archive in json(&out)["archives"].as_array().unwrap() {
            let path = Path::new(archive["path"].as_str().unwrap());
            let bases = archive["bases"].as_array().unwrap();
            let missing: Vec<_> = bases.iter().filter(|base| base["path"].is_null()).collect();
            let expected = match self.store.standing(path, &[]) {
                Standing::Missing(missing) => missing.len(),
                _ => 0,
            };
            assert_eq!(missing.len(), expected, "{archive}");
            is_missing |= expected > 0;
        }
        // That a pin is damaged is told as well.
        let is_damaged = json(&out)["failed"]
            .as_array()
            .is_some_and(|failed| !failed.is_empty());
        let expected = if is_damaged { 2 } else { i32::from(is_missing) };
        assert_eq!(status, expected, "{told}");
    }

    /// The next job in a directory removes what killed ones have left there; and without dependents there are no pins.
    fn clean_up(&mut self) {
        for broken in std::mem::take(&mut self.store.broken) {
            fs::remove_file(self.store.path.join(broken)).unwrap();
        }
        let plain = text(&self.store.input(8, Form::Plain));
        for left in self.store.look().unfinished {
            let directory = left.parent().unwrap();
            if !directory.ends_with(pins_directory()) && left.exists() {
                let made = directory.join("cleaning.wfz");
                ok(["pack", &plain, "-o", &text(&made)]);
                fs::remove_file(made).unwrap();
            }
        }
        for name in self.store.names.clone().into_keys() {
            self.remove(&name);
        }
        // Pins that are damaged are nobody's.
        ok(["gc", &text(&self.store.path)]);
        let left = self.store.look().unfinished;
        assert!(left.is_empty(), "left behind: {left:?}");
        let pins = self.store.pins();
        assert!(pins.is_empty(), "kept for nobody: {pins:?}");
        let mut directories = vec![self.store.path.clone()];
        while let Some(directory) = directories.pop() {
            assert!(
                !directory.ends_with(pins_directory()),
                "{} is empty",
                directory.display()
            );
            let entries = fs::read_dir(&directory).unwrap();
            directories.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
}
