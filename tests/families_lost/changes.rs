//! What somebody does to the files of a store, without weightfs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use weightfs::format::pin_path;

use super::run::Run;
use super::store::{Form, copy_all, records};

/// The name of what is about to take the place of something.
const INCOMING: &str = ".incoming";
impl Run<'_> {
    /// What somebody does to files, without weightfs.
    pub fn change(&mut self, busy: &[String]) {
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

    pub fn remove(&mut self, name: &str) {
        self.did(format!("remove {name}"));
        self.store.names.remove(name);
        for form in [Form::Archive, Form::Plain] {
            let _ = fs::remove_file(self.store.file(name, form));
        }
    }

    pub fn rename(&mut self, name: &str) {
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
    pub fn move_all(&mut self) {
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
}

fn move_over(from: &Path, to: &Path) {
    // What lies elsewhere may be in another mount.
    let beside = to.with_file_name(INCOMING);
    copy_all(from, &beside);
    fs::remove_file(from).unwrap();
    fs::rename(beside, to).unwrap();
}
