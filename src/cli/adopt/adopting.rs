//! The way there: what would be saved, packed in place, kept mounted over itself.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use super::keeper::{Keeper, mount_command, warning_of_program};
use super::mounted::{OverItself, Shown};
use super::place::refuse_what_cannot_be;
use super::store::Store;
use super::told::{Told, note_of_shells};
use super::unit::UnitFile;
use crate::cli::adopt_args::AdoptArgs;
use crate::cli::commands::tell_failures;
use crate::cli::in_mount::archive_of;
use crate::cli::{job_report, preview_report};
use crate::console::size::{self, ratio};
use crate::console::{Outcome, Stop, say, watched};
use crate::error::{Error, Result};
use crate::job::{
    self, BaseSearch, Conversion, Monitor, PackOptions, Previews, Replacements, Totals, forecast,
    free_bytes,
};
use crate::printable::printable_name;
use crate::sync::cores;

/// A directory that is to be adopted, and what was found of it.
struct Adoption<'a> {
    directory: &'a Path,
    args: &'a AdoptArgs,
    stop: &'a Stop,
    options: PackOptions,
    /// What is to keep it mounted; nothing if that is the user's own affair.
    keeper: Option<Keeper>,
    mounted: Option<OverItself>,
}

pub(super) fn adopt(
    directory: &Path,
    args: &AdoptArgs,
    stop: &Stop,
    told: &mut Told,
) -> Result<Outcome> {
    refuse_what_cannot_be(directory)?;
    let mounted = OverItself::at(directory)?;
    let store = Store::look(directory)?;
    told.put("kind", json!(store.kind.name()));
    told.put("dry_run", json!(args.dry_run));
    told.line(&format!("{}: {}", printable_name(directory), store.text))?;
    let adoption = Adoption {
        directory,
        args,
        stop,
        options: PackOptions {
            level: args.level.into(),
            threads: args.threads.unwrap_or_else(cores),
            ..PackOptions::default()
        },
        keeper: keeper(directory, args, mounted.is_some())?,
        mounted,
    };
    adoption.run(told)
}

/// # Errors
/// `Environment` if nobody could keep it mounted: what is packed could not be found then.
fn keeper(directory: &Path, args: &AdoptArgs, is_mounted: bool) -> Result<Option<Keeper>> {
    if args.no_unit {
        return Ok(None);
    }
    let keeper = match Keeper::of(directory, args.level) {
        Ok(keeper) => keeper,
        Err(Error::Environment(_)) if is_mounted => return Ok(None),
        Err(Error::Environment(why)) => {
            return Err(Error::Environment(format!(
                "nothing was packed, since no systemd answers that would keep {0} mounted: {why}. Files that are packed \
                 are there as NAME.wfz until it is mounted; with --no-unit they are packed all the same, and you mount \
                 it: {1}",
                printable_name(directory),
                mount_command(directory, args.level)
            )));
        }
        Err(error) => return Err(error),
    };
    // Before anything is done.
    keeper.unit.file()?;
    Ok(Some(keeper))
}

impl Adoption<'_> {
    fn run(self, told: &mut Told) -> Result<Outcome> {
        let mut found = self.look()?;
        let left = found.leave_unfinished();
        if !left.is_empty() {
            told.put("unfinished", json!(left.len()));
            told.line(&format!(
                "{} unfinished downloads stay as they are",
                left.len()
            ))?;
        }
        self.tell_packed(told)?;
        let (mut previews, needed) = watched("looking closer", self.stop, |monitor| {
            forecast(&mut found, &self.options, monitor)
        })?;
        found.failures.append(&mut previews.failures);
        let gains = previews.files.iter().filter(|one| !one.stays);
        let gains: HashSet<_> = gains.map(|one| one.path.as_path()).collect();
        if self.is_done()? {
            tell_failures(&found.failures);
            self.tell_mounted(told)?;
            return Ok(Outcome::after(&found.failures));
        }
        self.tell_forecast(&previews, needed, told)?;
        if self.args.dry_run {
            tell_failures(&found.failures);
            return Ok(Outcome::after(&found.failures));
        }
        if let Some(keeper) = &self.keeper {
            keeper.install()?;
        }
        if let Some(mounted) = &self.mounted {
            // What lies below it is to be packed.
            mounted.unmount(self.directory)?;
            let stopped = self.keeper.as_ref().map_or(Ok(()), Keeper::stop);
            let below = stopped.and_then(|()| self.look_below());
            let below = below.inspect_err(|_| self.mount_again())?;
            found.files = below.files;
        }
        found
            .files
            .retain(|file| gains.contains(file.names[0].0.as_path()));
        self.pack_and_mount(found, told)
    }

    /// The files to pack. Of a mount, those that it shows as they are.
    fn look(&self) -> Result<Replacements> {
        let mut found = watched("looking", self.stop, |monitor| {
            let silent = Monitor::silent(monitor.cancel);
            let monitor = if self.mounted.is_some() {
                &silent
            } else {
                monitor
            };
            job::archives_to_make(self.directory, &self.options, monitor)
        })?;
        if self.mounted.is_some() {
            found
                .files
                .retain(|file| archive_of(&file.names[0].0).is_none());
        }
        Ok(found)
    }

    /// The same once nothing is mounted there.
    fn look_below(&self) -> Result<Replacements> {
        let mut found = watched("looking", self.stop, |monitor| {
            job::archives_to_make(self.directory, &self.options, monitor)
        })?;
        found.leave_unfinished();
        found.files.sort_by_key(|file| file.bytes);
        Ok(found)
    }

    /// Archives that are there.
    fn tell_packed(&self, told: &mut Told) -> Result<()> {
        let shown = if self.mounted.is_some() {
            OverItself::shown(self.directory)?
        } else {
            self.archives()?
        };
        told.put(
            "packed_before",
            json!({
                "archives": shown.archives,
                "original_bytes": shown.original_bytes,
                "stored_bytes": shown.stored_bytes,
            }),
        );
        if shown.archives > 0 {
            told.line(&format!(
                "packed already: {} archives, original {}, stored {}, ratio {:.4}",
                shown.archives,
                size::show(shown.original_bytes),
                size::show(shown.stored_bytes),
                ratio(shown.original_bytes, shown.stored_bytes)
            ))?;
        }
        Ok(())
    }

    fn archives(&self) -> Result<Shown> {
        let found = watched("looking", self.stop, |monitor| {
            job::relations(self.directory, &BaseSearch::default(), monitor)
        })?;
        let inside = || found.archives.iter().filter(|one| one.is_inside);
        Ok(Shown {
            archives: inside().count() as u64,
            original_bytes: inside().map(|one| one.superblock.original_bytes).sum(),
            stored_bytes: inside().map(|one| one.superblock.archive_bytes).sum(),
            exchanges: Vec::new(),
        })
    }

    /// Whether nothing is to be done. What is written through a mount that packs is packed
    /// behind its writers.
    ///
    /// # Errors
    /// `Environment` if somebody else than the unit keeps it mounted.
    fn is_done(&self) -> Result<bool> {
        if self.mounted.is_none() {
            return Ok(false);
        }
        let name = printable_name(self.directory);
        let Some(keeper) = &self.keeper else {
            return Ok(true);
        };
        if !keeper.is_keeping()? {
            return Err(Error::Environment(format!(
                "{name} is mounted over itself by a process that no unit keeps; unmount it (weightfs umount {name}), and \
                 adopt it again"
            )));
        }
        let is_current = keeper.unit.file()? == UnitFile::Same;
        Ok(is_current)
    }

    /// What packing would take and save, and whether there is room.
    fn tell_forecast(&self, previews: &Previews, needed: u64, told: &mut Told) -> Result<()> {
        let free = free_bytes(self.directory)?;
        self.tell_expected(previews, told)?;
        told.put("needed_bytes", json!(needed));
        told.put("free_bytes", json!(free));
        let room = format!(
            "{} are needed meanwhile, {} are free",
            size::show(needed),
            size::show(free)
        );
        told.line(&format!("room: {room}"))?;
        if let Some(keeper) = &self.keeper {
            let (path, text) = (&keeper.unit.path, &keeper.unit.text);
            told.put("unit", json!(path.display().to_string()));
            told.line(&format!("unit: {}", printable_name(path)))?;
            if keeper.systemctl.is_system()
                && let Some(warning) = warning_of_program()
            {
                say(&format!("weightfs: warning: {warning}"));
            }
            if self.args.dry_run {
                told.put("unit_text", json!(text));
                told.lines(text.lines().map(|line| format!("    {line}")))?;
            }
        }
        if needed > free {
            return Err(Error::Environment(format!(
                "{}: too little room to pack in place: {room}",
                printable_name(self.directory)
            )));
        }
        Ok(())
    }

    fn tell_expected(&self, previews: &Previews, told: &mut Told) -> Result<()> {
        if self.args.dry_run {
            told.put(
                "files",
                preview_report::previews_json(previews)["files"].take(),
            );
            for preview in &previews.files {
                told.lines(preview_report::preview_lines(preview))?;
            }
        }
        let (original, expected) = preview_report::sums(previews);
        told.put("original_bytes", json!(original));
        if previews.files.is_empty() {
            told.put("expected_bytes", json!(expected));
            return told.line("to pack: nothing more");
        }
        told.put("expected_bytes", json!(expected));
        told.line(&format!(
            "to pack: {} files, {}; expected {} (ratio {:.4}), so {} less",
            previews.files.iter().filter(|one| !one.stays).count(),
            size::show(original),
            size::show(expected),
            ratio(original, expected),
            size::show(original.saturating_sub(expected))
        ))
    }

    fn mount_again(&self) {
        if let Some(Err(error)) = self
            .keeper
            .as_ref()
            .map(|keeper| keeper.start(self.directory))
        {
            say(&format!("weightfs: {error}"));
        }
    }

    fn pack_and_mount(&self, found: Replacements, told: &mut Told) -> Result<Outcome> {
        let start = Instant::now();
        let packed: Result<Conversion> = watched("packing", self.stop, |monitor| {
            job::replace_by_archives(found, &self.options, monitor)
        });
        let time = start.elapsed();
        // Whatever became of it: what is packed is to be found.
        if let Some(keeper) = &self.keeper {
            let started = keeper.start(self.directory);
            if packed.is_err() {
                match started {
                    Ok(()) => {
                        say("weightfs: what is packed so far is mounted; run it again to go on")
                    }
                    Err(error) => say(&format!("weightfs: {error}")),
                }
            } else {
                started?;
            }
        } else if packed.is_err() {
            say(&format!(
                "weightfs: what is packed so far is there as NAME.wfz until it is mounted ({}); run it again to go on",
                mount_command(self.directory, self.args.level)
            ));
        }
        let done = packed?;
        told.put("packed", job_report::conversion_json(&done, None, time));
        tell_failures(&done.failures);
        if done.totals != Totals::default() {
            told.lines(job_report::conversion_lines(&done, None, time))?;
        }
        self.tell_mounted(told)?;
        Ok(Outcome::after(&done.failures))
    }

    /// How it stands at the end.
    fn tell_mounted(&self, told: &mut Told) -> Result<()> {
        let name = printable_name(self.directory);
        let command = mount_command(self.directory, self.args.level);
        let is_mounted = self.keeper.is_some() || self.mounted.is_some();
        told.put("mounted", json!(is_mounted));
        match &self.keeper {
            Some(keeper) => {
                let status = keeper.systemctl.shown("status", &keeper.unit.name);
                told.line(&format!(
                    "{name} is adopted: mounted over itself, with every file as before ({status})"
                ))?;
            }
            None if is_mounted => told.line(&format!("{name} is mounted over itself already"))?,
            None => {
                told.put("mount_command", json!(command));
                told.line(&format!(
                    "files that are packed are there as NAME.wfz until it is mounted: {command}"
                ))?;
            }
        }
        let note = note_of_shells(self.directory).filter(|_| is_mounted);
        if let Some(note) = note {
            say(&format!("weightfs: {note}"));
        }
        Ok(())
    }
}
