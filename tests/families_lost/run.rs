//! A run: random things are done to a store, some of them at once, and after each it is looked at whether anything was lost.

use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use fastrand::Rng;

use super::mounted::Mounted;
use super::store::{Form, Standing, Store};
use super::support::weightfs;

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

pub struct Run<'s> {
    pub store: Store,
    pub rng: Rng,
    pub mounted: Option<&'s Mounted>,
    pub counts: Counts,
    pub trace: Vec<String>,
    /// Dependents that were moved, and where to.
    pub moved: Vec<(String, String)>,
    /// Whether pins were taken away or damaged in this step.
    pub takes_pins: bool,
    pub was_killed: bool,
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

    pub fn one_of<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.rng.usize(..all.len())].clone())
    }

    pub fn name(&mut self, busy: &[String]) -> Option<String> {
        let names: Vec<_> = self.store.names.keys().cloned().collect();
        let free: Vec<_> = names
            .into_iter()
            .filter(|name| !busy.contains(name))
            .collect();
        self.one_of(&free)
    }

    pub fn directory(&mut self) -> String {
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

    pub fn did(&mut self, what: String) {
        self.trace.push(what);
        self.counts.events += 1;
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
        // What one works on may be gone when the other wants it as a base.
        let wants_busy = jobs.iter().any(|job| {
            let mut busy = jobs.iter().flat_map(|other| &other.busy);
            let is_base = |name| job.arguments.get(3).is_some_and(|base| base.contains(name));
            busy.any(|name| is_base(name.as_str()))
        });
        let may_meet = may_meet || jobs.len() > 1 && wants_busy;
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
}
