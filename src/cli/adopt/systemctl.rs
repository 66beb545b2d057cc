//! The service manager, by systemctl: the system's for root, a user's own for others. Nothing else runs that program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::shell_word::shell_word;
use crate::error::{Error, Result};

const PROGRAM: &str = "systemctl";

/// A service manager that answers.
pub(super) struct Systemctl {
    is_system: bool,
    /// Where it looks for units of whoever asks.
    units: PathBuf,
}

impl Systemctl {
    /// The one of this user.
    ///
    /// # Errors
    /// `Environment` that says why there is none.
    pub(super) fn find() -> Result<Self> {
        let is_system = rustix::process::geteuid().is_root();
        let told = run(is_system, &["show", "--property=UnitPath", "--value"])?;
        let suffix = if is_system {
            "systemd/system"
        } else {
            "systemd/user"
        };
        let mut places = told.split_ascii_whitespace().map(Path::new);
        // What lies in /run is gone with the next start. Names with blanks are told in quotes.
        let of_whoever_asks = |path: &&Path| {
            path.is_absolute() && path.ends_with(suffix) && !path.starts_with("/run")
        };
        let units = match places.find(of_whoever_asks) {
            Some(path) => path.to_path_buf(),
            None => default_units(is_system)?,
        };
        Ok(Self { is_system, units })
    }

    pub(super) fn is_system(&self) -> bool {
        self.is_system
    }

    pub(super) fn units(&self) -> &Path {
        &self.units
    }

    /// The command that shows a person more.
    pub(super) fn shown(&self, what: &str, unit: &str) -> String {
        let of = if self.is_system { "" } else { "--user " };
        format!("{PROGRAM} {of}{what} {}", shell_word(unit))
    }

    /// Has it look at the files of units again.
    ///
    /// # Errors
    /// `Environment` with what it says, as of all that follow.
    pub(super) fn reload(&self) -> Result<()> {
        run(self.is_system, &["daemon-reload"]).map(drop)
    }

    /// Starts the unit with the system, or when its user comes.
    pub(super) fn enable(&self, unit: &str) -> Result<()> {
        run(self.is_system, &["enable", "--", unit]).map(drop)
    }

    pub(super) fn disable(&self, unit: &str) -> Result<()> {
        run(self.is_system, &["disable", "--", unit]).map(drop)
    }

    /// Returns when the unit says that it is ready.
    pub(super) fn start(&self, unit: &str) -> Result<()> {
        // One that failed too often before is not started otherwise.
        let _ = run(self.is_system, &["reset-failed", "--", unit]);
        run(self.is_system, &["start", "--", unit]).map(drop)
    }

    /// Returns when its process has ended.
    pub(super) fn stop(&self, unit: &str) -> Result<()> {
        run(self.is_system, &["stop", "--", unit]).map(drop)
    }

    pub(super) fn is_active(&self, unit: &str) -> bool {
        run(self.is_system, &["is-active", "--quiet", "--", unit]).is_ok()
    }
}

/// Where the manager of this user would look, were it there.
pub(super) fn default_units(is_system: bool) -> Result<PathBuf> {
    if is_system {
        return Ok("/etc/systemd/system".into());
    }
    let set = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let settings = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let settings = settings.ok_or_else(|| {
        Error::Environment("neither XDG_CONFIG_HOME nor HOME tells where units of yours are".into())
    })?;
    Ok(settings.join("systemd/user"))
}

fn run(is_system: bool, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(PROGRAM);
    if !is_system {
        command.arg("--user");
    }
    let shown = || format!("{PROGRAM} {}", arguments.join(" "));
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Error::Environment(format!("cannot run {}: {e}", shown())))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("it did not say why");
    Err(Error::Environment(format!("{}: {said}", shown())))
}
