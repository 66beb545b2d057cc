//! A run: random things are done to a store, some of them at once, and after each it is looked at whether anything was lost.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use weightfs::format::{BaseRecord, pin_path, pins_directory};

use super::mounted::Mounted;
use super::store::{Form, Standing, Store, copy_all, hex, records, text};
use super::support::{json, ok, run, weightfs};

/// The name of what is about to take the place of something.
const INCOMING: &str = ".incoming";
/// A job is killed before it has run so long.
const MOST_MILLISECONDS: u64 = 50;

/// What was done, counted.
#[derive(Default, Debug)]
pub struct Counts {
    pub events: u64,
    pub kills: u64,
    pub missing: u64,
    pub reads: u64,
}

impl Counts {
    pub const fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.kills += other.kills;
        self.missing += other.missing;
        self.reads += other.reads;
    }
}

/// A command on the store.
struct Job {
    arguments: Vec<String>,
    /// Names that may come to be, or may get another content.
    makes: Vec<(String, usize)>,
    /// Names that nobody else is to touch meanwhile.
    busy: Vec<String>,
    /// Whether it goes through all of the store.
    is_of_all: bool,
}

pub struct Run<'s> {
    pub store: Store,
    rng: Rng,
    mounted: Option<&'s Mounted>,
    pub counts: Counts,
    pub trace: Vec<String>,
    /// Dependents that were moved, and where to.
    moved: Vec<(String, String)>,
    /// Whether pins were taken away or damaged in this step.
    takes_pins: bool,
    was_killed: bool,
}

impl<'s> Run<'s> {
    pub fn new(store: Store, seed: u64, mounted: Option<&'s Mounted>) -> Self {
        Self {
            store,
            rng: Rng::with_seed(seed),
            mounted,
            counts: Counts::default(),
            trace: Vec::new(),
            moved: Vec::new(),
            takes_pins: false,
            was_killed: false,
        }
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.rng.usize(..all.len())].clone())
    }

    fn name(&mut self, busy: &[String]) -> Option<String> {
        let names: Vec<_> = self.store.names.keys().cloned().collect();
        let free: Vec<_> = names
            .into_iter()
            .filter(|name| !busy.contains(name))
            .collect();
        self.one_of(&free)
    }

    fn directory(&mut self) -> String {
        self.one_of(&["base", "tuned", "tuned/deep", "more", "new"])
            .unwrap()
            .to_owned()
    }

    /// Does something, waits for its end, and looks at what came of it.
    pub fn step(&mut self) {
        let before = self.store.pinned();
        self.moved.clear();
        self.takes_pins = false;
        if let Some(mounted) = self.mounted {
            mounted.set_names(&self.store, true);
        }
        let makes = match self.rng.u8(..10) {
            0..4 => {
                self.change(&[]);
                Vec::new()
            }
            4 if self.mounted.is_none() => {
                self.move_all();
                Vec::new()
            }
            _ => self.jobs(),
        };
        self.reconcile(&makes);
        self.check_pins(&before, &makes);
        self.check_archives();
        if let Some(mounted) = self.mounted {
            mounted.set_names(&self.store, false);
            for name in [self.name(&[]), self.name(&[])].into_iter().flatten() {
                mounted.check_whole(&self.store, &name);
            }
            mounted.faults();
        }
    }

    fn did(&mut self, what: String) {
        self.trace.push(what);
        self.counts.events += 1;
    }

    /// What somebody does to files, without weightfs.
    fn change(&mut self, busy: &[String]) {
        // What stands in the way of others goes again.
        if let Some(broken) = self.store.broken.iter().next().cloned()
            && self.rng.u8(..3) == 0
        {
            self.did(format!("remove the broken {broken}"));
            fs::remove_file(self.store.path.join(&broken)).unwrap();
            self.store.broken.remove(&broken);
            return;
        }
        let Some(name) = self.name(busy) else {
            return;
        };
        match self.rng.u8(..12) {
            0 if self.store.names.len() > 4 => self.remove(&name),
            1..4 => self.rename(&name),
            4..6 => self.replace(&name),
            6 if self.store.names.len() > 4 => self.break_off(&name),
            7 => self.replace_by_link(&name),
            8 => self.remove_pin(),
            9 => self.damage_pin(),
            10 => self.make_pin_again(),
            _ => self.rename(&name),
        }
    }

    fn remove(&mut self, name: &str) {
        self.did(format!("remove {name}"));
        self.store.names.remove(name);
        for form in [Form::Archive, Form::Plain] {
            let _ = fs::remove_file(self.store.file(name, form));
        }
    }

    fn rename(&mut self, name: &str) {
        let directory = self.directory();
        let to = self.store.fresh(&directory);
        self.did(format!("rename {name} to {to}"));
        if !records(&self.store.file(name, Form::Archive)).is_empty() {
            // Its pin may not be above it any more.
            self.mounted.inspect(|mounted| mounted.may_fail());
        }
        let mut is_moved = false;
        // A job may take one form away and bring the other.
        for form in [Form::Plain, Form::Archive, Form::Plain] {
            let renamed = fs::rename(self.store.file(name, form), self.store.file(&to, form));
            is_moved |= renamed.is_ok();
        }
        if is_moved && let Some(content) = self.store.names.remove(name) {
            self.store.names.insert(to.clone(), content);
            self.moved.push((name.to_owned(), to));
        }
    }

    /// Another model comes in its place.
    fn replace(&mut self, name: &str) {
        let content = self.rng.usize(..self.store.contents.len());
        self.did(format!("replace {name} by {content}"));
        let incoming = self.store.beside("out/incoming");
        copy_all(&self.store.input(content, Form::Archive), &incoming);
        move_over(&incoming, &self.store.file(name, Form::Archive));
        let _ = fs::remove_file(self.store.file(name, Form::Plain));
        self.store.names.insert(name.to_owned(), content);
    }

    /// What is left of an archive comes in its place.
    fn break_off(&mut self, name: &str) {
        self.did(format!("break {name} off"));
        self.mounted.inspect(|mounted| mounted.may_fail());
        let archive = self.store.file(name, Form::Archive);
        let mut bytes = fs::read(self.store.input(0, Form::Archive)).unwrap();
        bytes.truncate(self.rng.usize(..bytes.len()));
        let incoming = self.store.beside("out/incoming");
        fs::write(&incoming, bytes).unwrap();
        self.store.broken.insert(format!("{name}.wfz"));
        move_over(&incoming, &archive);
        let _ = fs::remove_file(self.store.file(name, Form::Plain));
        self.store.names.remove(name);
    }

    fn replace_by_link(&mut self, name: &str) {
        let other = self.name(&[name.to_owned()]);
        let Some(other) = other.filter(|_| self.store.names.len() > 4) else {
            return;
        };
        let target = self.store.file(&other, Form::Archive);
        self.did(format!("replace {name} by a link to {other}"));
        let archive = self.store.file(name, Form::Archive);
        let incoming = archive.with_file_name(INCOMING);
        symlink(target, &incoming).unwrap();
        self.store.broken.insert(format!("{name}.wfz"));
        fs::rename(&incoming, archive).unwrap();
        let _ = fs::remove_file(self.store.file(name, Form::Plain));
        self.store.names.remove(name);
    }

    fn a_pin(&mut self) -> Option<PathBuf> {
        let pins = self.store.pins();
        let pin = self.one_of(&pins)?;
        self.takes_pins = true;
        self.mounted.inspect(|mounted| mounted.may_fail());
        Some(pin)
    }

    fn remove_pin(&mut self) {
        if let Some(pin) = self.a_pin() {
            self.did(format!("remove {}", pin.display()));
            let _ = fs::remove_file(pin);
        }
    }

    /// By a copy, so that the base itself stays whole.
    fn damage_pin(&mut self) {
        let Some(pin) = self.a_pin() else {
            return;
        };
        self.did(format!("damage {}", pin.display()));
        let Ok(mut bytes) = fs::read(&pin) else {
            return;
        };
        let at = self.rng.usize(..bytes.len());
        match self.rng.u8(..3) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1,
            _ => bytes.fill(0),
        }
        let incoming = self.store.beside("out/incoming");
        fs::write(&incoming, bytes).unwrap();
        move_over(&incoming, &pin);
    }

    /// Somebody puts an archive back.
    fn make_pin_again(&mut self) {
        let archives = self.store.pinned();
        let lost: Vec<_> = archives
            .into_iter()
            .filter(|(_, _, pin)| pin.is_none())
            .collect();
        let Some((name, record, _)) = self.one_of(&lost) else {
            return;
        };
        self.did(format!("give {name} its base again"));
        let contents = self.store.contents.iter();
        let content = contents.clone().position(|one| one.sha256 == record.sha256);
        let archive = self.store.file(&name, Form::Archive);
        let pin = archive.with_file_name("");
        let pin = pin.join(pin_path(&record.sha256));
        fs::create_dir_all(pin.parent().unwrap()).unwrap();
        let incoming = self.store.beside("out/incoming");
        copy_all(
            &self.store.input(content.unwrap(), Form::Archive),
            &incoming,
        );
        move_over(&incoming, &pin);
    }

    /// The store goes elsewhere, with all that is in it; or a copy of it.
    fn move_all(&mut self) {
        let to = self.store.beside("moved");
        let from = self.store.path.clone();
        if self.rng.bool() {
            self.did("move the store".into());
            fs::rename(&from, &to).unwrap();
        } else {
            self.did("copy the store".into());
            copy_all(&from, &to);
            fs::remove_dir_all(&from).unwrap();
        }
        fs::rename(&to, self.store.beside("store2")).unwrap();
        let (path, was) = (self.store.beside("store2"), from);
        if was == path {
            return;
        }
        self.store.path = path;
        self.check_archives();
        fs::rename(&self.store.path, &was).unwrap();
        self.store.path = was;
    }

    /// Runs one or two commands, perhaps with something else at the same time; gives what they may have made.
    fn jobs(&mut self) -> Vec<(String, usize)> {
        let mut jobs = vec![self.job(false)];
        if self.rng.u8(..3) == 0 {
            jobs.push(self.job(true));
        }
        let all_whole = self.store.broken.is_empty() && self.all_whole();
        let mut changes = false;
        let mut running: Vec<(Child, bool)> = Vec::new();
        for job in &jobs {
            let child = weightfs()
                .args(&job.arguments)
                .current_dir(self.store.beside("out"))
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn();
            let shown: Vec<_> = job.arguments.iter().map(String::as_str).collect();
            self.did(shown.join(" "));
            running.push((child.unwrap(), false));
        }
        if self.rng.u8(..3) == 0 {
            changes = true;
            sleep(Duration::from_millis(self.rng.u64(..MOST_MILLISECONDS)));
            self.trace.push("meanwhile:".into());
            let busy: Vec<_> = jobs.iter().flat_map(|job| job.busy.clone()).collect();
            if jobs.iter().any(|job| job.is_of_all) {
                // What is replaced while all is packed anew may be what comes last.
                if let Some(name) = self.name(&busy) {
                    self.rename(&name);
                }
            } else {
                self.change(&busy);
            }
        }
        for (child, is_killed) in &mut running {
            if self.rng.u8(..5) < 2 {
                sleep(Duration::from_millis(self.rng.u64(..MOST_MILLISECONDS)));
                child.kill().unwrap();
                *is_killed = true;
            }
        }
        let may_meet = jobs.len() > 1 && jobs.iter().any(|job| job.is_of_all);
        for ((child, is_killed), job) in running.into_iter().zip(&jobs) {
            let output = child.wait_with_output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let status = output.status.code();
            let what = job.arguments.join(" ");
            self.trace
                .push(format!("  {}: {status:?} {told}", job.arguments[0]));
            assert!(!told.contains("panicked"), "{what}: {told}");
            if status.is_none() {
                assert!(is_killed, "{what}: {}", output.status);
                self.was_killed = true;
                self.counts.kills += 1;
                continue;
            }
            assert!(status == Some(0) || !told.is_empty(), "{what}: {status:?}");
            // Names that a base gets or loses are a change of it as well.
            let meets = jobs.len() > 1 && told.contains("changed while it was read");
            let waits = told.contains("is in use:");
            let is_expected = changes || may_meet || !all_whole || meets || waits;
            assert!(status == Some(0) || is_expected, "{what}: {told}");
        }
        jobs.into_iter().flat_map(|job| job.makes).collect()
    }

    fn all_whole(&self) -> bool {
        let names = self.store.names.keys();
        let mut archives = names.map(|name| self.store.file(name, Form::Archive));
        archives.all(|archive| self.store.standing(&archive, &[]) == Standing::Whole)
    }

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

    fn job(&mut self, is_second: bool) -> Job {
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
                Some(name) if !records(&self.store.file(&name, Form::Archive)).is_empty() => Job {
                    arguments: ["pack", "--detach"]
                        .map(str::to_owned)
                        .into_iter()
                        .chain([text(&self.store.file(&name, Form::Archive))])
                        .collect(),
                    makes: Vec::new(),
                    busy: vec![name],
                    is_of_all: false,
                },
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
                Some(name) if self.store.forms(&name) == [Form::Archive] => Job {
                    arguments: ["unpack", "--replace"]
                        .map(str::to_owned)
                        .into_iter()
                        .chain([text(&self.store.file(&name, Form::Archive))])
                        .collect(),
                    makes: Vec::new(),
                    busy: vec![name],
                    is_of_all: false,
                },
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

    /// Compares what is there with what must be, and takes note of what jobs have made.
    fn reconcile(&mut self, makes: &[(String, usize)]) {
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
    fn check_pins(
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
    fn check_archives(&mut self) {
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

fn move_over(from: &Path, to: &Path) {
    // What lies elsewhere may be in another mount.
    let beside = to.with_file_name(INCOMING);
    copy_all(from, &beside);
    fs::remove_file(from).unwrap();
    fs::rename(beside, to).unwrap();
}
