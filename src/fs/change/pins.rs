//! Bases go along: an archive that is moved to another directory still finds what it rests on there.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::format::{original_name, pin_path, pins_directory};
use crate::fs::errno::at;
use crate::fs::model_tree::ModelTree;
use crate::fs::open_archive::open_archive;
use crate::fs::place::Place;

impl ModelTree {
    /// Has what is shown under a path, or below it, find its bases under another path too, where they were pinned above
    /// the one and not above the other.
    pub(super) fn take_pins_along(&self, from: &Path, to: &Path) -> Result<()> {
        let has_pins =
            |directory: &&Path| self.source.facts(&directory.join(pins_directory())).is_ok();
        let left_behind = from
            .ancestors()
            .skip(1)
            .filter(|above| !to.starts_with(above));
        let pinned: Vec<&Path> = left_behind.filter(has_pins).collect();
        if pinned.is_empty() {
            return Ok(());
        }
        let below = self.find_below(from)?;
        let mut archives = Vec::new();
        if below.is_archive {
            archives.push(below.path);
        } else if below.facts.is_directory() {
            self.archives_below(below.path, &mut archives);
        }
        let mut bases = BTreeSet::new();
        for archive in archives {
            // What cannot be opened rests on nothing that could be found.
            if let Ok((reader, _)) = open_archive(&self.source, &Place::Inside(archive)) {
                let records = reader.base_records().unwrap_or_default();
                bases.extend(records.into_iter().map(|record| record.sha256));
            }
        }
        for base in bases {
            self.take_pin_along(&base, &pinned, to)
                .map_err(|e| at(to, e))?;
        }
        Ok(())
    }

    fn take_pin_along(&self, base: &[u8; 32], pinned: &[&Path], to: &Path) -> io::Result<()> {
        let is_there = |path: &Path| self.source.facts(path).is_ok();
        let pin = pin_path(base);
        if to
            .ancestors()
            .skip(1)
            .any(|above| is_there(&above.join(&pin)))
        {
            return Ok(());
        }
        let Some(now) = pinned
            .iter()
            .map(|at| at.join(&pin))
            .find(|pin| is_there(pin))
        else {
            return Ok(());
        };
        let directory = to.parent().unwrap_or(Path::new(""));
        let Some(changes) = &self.changes else {
            return Ok(());
        };
        let pins = changes.work.pins_directory(&self.source, directory)?;
        let name = pin.file_name().unwrap_or_default();
        match self.source.add_name(&now, &pins.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(()),
        }
    }

    fn archives_below(&self, directory: PathBuf, archives: &mut Vec<PathBuf>) {
        let mut directories = vec![directory];
        while let Some(directory) = directories.pop() {
            for name in self.source.names(&directory).unwrap_or_default() {
                let path = directory.join(&name);
                match self.source.facts(&path) {
                    Ok(facts) if facts.is_directory() => directories.push(path),
                    Ok(facts) if facts.is_file() && original_name(&name).is_some() => {
                        archives.push(path);
                    }
                    _ => {}
                }
            }
        }
    }
}
