//! What keeps a directory mounted over itself: a unit, and the service manager that has it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::mounted::wait_for;
use super::shell_word::shell_word;
use super::systemctl::{Systemctl, default_units};
use super::unit::{Unit, UnitFile};
use crate::cli::level::Level;
use crate::error::{Error, Result};
use crate::fuse::FuseAccess;
use crate::printable::printable_name;

/// How long after its last writer a file is packed.
const PACK_AFTER_SECONDS: u32 = 60;

/// Bits of a mode with which others than the owner can change a file.
const OTHERS_WRITE: u32 = 0o022;

/// A unit of this user's, and its manager.
pub(super) struct Keeper {
    pub(super) systemctl: Systemctl,
    pub(super) unit: Unit,
}

/// What a mount over itself is given, beside its paths.
pub(super) fn mount_options(level: Level) -> Vec<String> {
    let mut options = vec![
        "--writable".to_owned(),
        format!("--pack={}", level.name()),
        format!("--pack-after={PACK_AFTER_SECONDS}"),
    ];
    // Others could read it before.
    let access = FuseAccess::of_this_process();
    if access.is_root || access.user_allow_other == Some(true) {
        options.push("--allow-other".to_owned());
    }
    options
}

/// The command that mounts a directory over itself, for a person.
pub(super) fn mount_command(directory: &Path, level: Level) -> String {
    let options: String = mount_options(level)
        .iter()
        .map(|option| format!("{option} "))
        .collect();
    let name = shell_word(&printable_name(directory));
    format!("weightfs mount {options}{name} {name}")
}

impl Keeper {
    /// Of a directory.
    ///
    /// # Errors
    /// `Environment` if no service manager answers, `InvalidInput` if no unit can name the directory.
    pub(super) fn of(directory: &Path, level: Level) -> Result<Self> {
        let systemctl = Systemctl::find()?;
        let unit = unit_of(directory, systemctl.units(), systemctl.is_system(), level)?;
        if unit.path.starts_with(directory) {
            return Err(Error::InvalidInput(format!(
                "{} holds the units of systemd, which must be there before it is mounted",
                printable_name(directory)
            )));
        }
        Ok(Self { systemctl, unit })
    }

    /// Whether a unit of ours is running.
    ///
    /// # Errors
    /// `Environment` if the unit is somebody else's.
    pub(super) fn is_keeping(&self) -> Result<bool> {
        Ok(self.unit.file()? != UnitFile::Missing && self.systemctl.is_active(&self.unit.name))
    }

    /// Writes the unit, and has it started with the system or the user's first session; does not start it.
    ///
    /// # Errors
    /// As `Unit::write`; `Environment` if the service manager refuses.
    pub(super) fn install(&self) -> Result<()> {
        self.unit.write()?;
        self.systemctl.reload()?;
        self.systemctl.enable(&self.unit.name)
    }

    /// Starts it; returns once the directory is mounted.
    ///
    /// # Errors
    /// `Environment` that says where to look.
    pub(super) fn start(&self, directory: &Path) -> Result<()> {
        let name = &self.unit.name;
        self.systemctl
            .start(name)
            .and_then(|()| wait_for(directory))
            .map_err(|error| {
                Error::Environment(format!(
                    "{error}; {} tells more. What is packed is there as NAME.wfz until it is mounted; adopt --undo takes \
                     it back",
                    self.systemctl.shown("status", name)
                ))
            })
    }

    /// Returns once its process has ended.
    ///
    /// # Errors
    /// `Environment` if the service manager refuses.
    pub(super) fn stop(&self) -> Result<()> {
        self.systemctl.stop(&self.unit.name)
    }

    /// Removes the unit, if there is one of ours.
    ///
    /// # Errors
    /// As `install`.
    pub(super) fn remove(&self) -> Result<()> {
        self.systemctl.disable(&self.unit.name)?;
        self.unit.remove()?;
        self.systemctl.reload()
    }
}

/// Where the unit of a directory would be that nobody can be asked of.
///
/// # Errors
/// As `Keeper::of`.
pub(super) fn unit_without_manager(directory: &Path) -> Result<Unit> {
    let is_system = rustix::process::geteuid().is_root();
    unit_of(
        directory,
        &default_units(is_system)?,
        is_system,
        Level::default(),
    )
}

fn unit_of(directory: &Path, units: &Path, is_system: bool, level: Level) -> Result<Unit> {
    let program =
        std::env::current_exe().map_err(|e| Error::io("cannot tell where this program is", e))?;
    Unit::new(directory, units, is_system, &program, &mount_options(level))
}

/// What is to be said of a program that root would start at each start of the machine, and others may change.
pub(super) fn warning_of_program() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let is_of_others = |path: &Path| {
        let meta = path.metadata().ok()?;
        Some(meta.uid() != 0 || meta.mode() & OTHERS_WRITE != 0)
    };
    let may_change = [Some(program.as_path()), program.parent()]
        .into_iter()
        .flatten()
        .any(|path| is_of_others(path) == Some(true));
    may_change.then(|| {
        format!(
            "the unit has root run {}, which others than root can change; better install it for all users first",
            printable_name(&program)
        )
    })
}
