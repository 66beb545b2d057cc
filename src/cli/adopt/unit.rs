//! The unit that mounts a directory over itself: its name, its text, its file.
//!
//! Invariant: a file that somebody else has put there is neither changed nor removed. Made of the units that are installed
//! for mounts, so that what those allow and deny holds for it as well.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::console::csv_file::write_whole;
use crate::error::{Error, Result};
use crate::format::checksum;
use crate::printable::printable_name;

/// The first line of all that are written here.
const HEADER: &str = "# Written by weightfs adopt.";
const SYSTEM_TEMPLATE: &str = include_str!("../../../systemd/weightfs@.service");
const USER_TEMPLATE: &str = include_str!("../../../systemd/user/weightfs@.service");
/// What a template says of its source and mount point, and how they are set: all of it is told otherwise here.
const OF_A_TEMPLATE: &[&str] = &[
    "Documentation",
    "RequiresMountsFor",
    "Environment",
    "EnvironmentFile",
    "ExecStartPre",
];
/// What a mount that is written to does for its writers, whoever they are.
const FOR_WRITERS: &str =
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_LEASE CAP_MKNOD CAP_SETGID CAP_SETUID";
const PREFIX: &str = "weightfs-";
const SUFFIX: &str = ".service";
/// Longer names are no units.
const MAX_NAME_BYTES: usize = 255;
/// Of the path, what stands in a name that would be too long, beside a checksum.
const KEPT_BYTES: usize = 180;

/// A unit, and where its file is to be.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// What is where its file is to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UnitFile {
    Missing,
    /// Of this very text.
    Same,
    /// Written here before, with other options or by another version.
    Older,
}

impl Unit {
    /// Of a directory, by its real path, for a program and the options that it mounts with.
    ///
    /// # Errors
    /// `InvalidInput` for a path that no unit can name.
    pub(super) fn new(
        directory: &Path,
        units: &Path,
        is_system: bool,
        program: &Path,
        options: &[String],
    ) -> Result<Self> {
        let template = if is_system {
            SYSTEM_TEMPLATE
        } else {
            USER_TEMPLATE
        };
        let name = name_of(directory);
        Ok(Self {
            path: units.join(&name),
            text: text(template, directory, program, options)?,
            name,
        })
    }

    /// # Errors
    /// `Environment` if a file of somebody else's is there.
    pub(super) fn file(&self) -> Result<UnitFile> {
        match fs::read(&self.path) {
            Ok(text) if text == self.text.as_bytes() => Ok(UnitFile::Same),
            Ok(text) if text.starts_with(HEADER.as_bytes()) => Ok(UnitFile::Older),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(UnitFile::Missing),
            Err(e) => Err(Error::io(format!("cannot read {}", self.path.display()), e)),
            Ok(_) => Err(Error::Environment(format!(
                "{} is there and was not written by weightfs adopt; it stays as it is. Move it away, or say --no-unit",
                printable_name(&self.path)
            ))),
        }
    }

    /// Writes the file; it is there whole or not at all.
    ///
    /// # Errors
    /// `Environment` if a file of somebody else's is there, `Io` if the system refuses.
    pub(super) fn write(&self) -> Result<()> {
        if self.file()? == UnitFile::Same {
            return Ok(());
        }
        if let Some(units) = self.path.parent() {
            fs::create_dir_all(units)
                .map_err(|e| Error::io(format!("cannot make {}", units.display()), e))?;
        }
        write_whole(&self.path, self.text.as_bytes())
    }

    /// Removes the file, if it is ours.
    ///
    /// # Errors
    /// As `write`.
    pub(super) fn remove(&self) -> Result<()> {
        if self.file()? == UnitFile::Missing {
            return Ok(());
        }
        fs::remove_file(&self.path)
            .map_err(|e| Error::io(format!("cannot remove {}", self.path.display()), e))
    }
}

/// The text of a template, for a directory over itself.
fn text(template: &str, directory: &Path, program: &Path, options: &[String]) -> Result<String> {
    let path = told(directory)?;
    let command = |path: &str| quoted(path).replace('$', "$$");
    let (program, argument) = (quoted(told(program)?), command(path));
    let is_writable = options.iter().any(|option| option == "--writable");
    let options: String = options.iter().map(|option| format!("{option} ")).collect();
    // Over itself: what must be there first is what it lies in.
    let above = directory.parent().unwrap_or(directory);
    let mut lines = vec![
        HEADER.to_owned(),
        "# To change it: systemctl edit, with --user for a user's own. To be rid of it: weightfs adopt --undo.".into(),
    ];
    for line in template.lines().filter(|line| !line.starts_with('#')) {
        let key = line.split_once('=').map_or("", |(key, _)| key);
        match key {
            key if OF_A_TEMPLATE.contains(&key) => {}
            "Description" => {
                lines.push(format!("Description=weightfs: {}", path.replace('%', "%%")));
                lines.push("Documentation=man:weightfs-adopt(1)".into());
                lines.push(format!("RequiresMountsFor={}", quoted(told(above)?)));
            }
            "ExecStart" => lines.push(format!(
                "ExecStart={program} mount {options}-- {argument} {argument}"
            )),
            "ExecStopPost" => lines.push(format!(
                "ExecStopPost=-{program} umount --abort -- {argument}"
            )),
            // Users may set these bits of what is theirs.
            "RestrictSUIDSGID" if is_writable => {}
            "CapabilityBoundingSet" if is_writable => lines.push(format!("{line} {FOR_WRITERS}")),
            _ if line.is_empty() && lines.last().is_some_and(String::is_empty) => {}
            _ => lines.push(line.to_owned()),
        }
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

/// A path that a file of systemd's can have.
fn told(path: &Path) -> Result<&str> {
    path.to_str()
        .filter(|text| !text.chars().any(char::is_control))
        .ok_or_else(|| {
            Error::InvalidInput(format!(
                "{} has characters in its path that no unit can have; rename it, or say --no-unit",
                printable_name(path)
            ))
        })
}

/// A word of a line, as systemd reads it.
fn quoted(word: &str) -> String {
    let escaped = word
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('%', "%%");
    format!("\"{escaped}\"")
}

/// The unit's name: the path as `systemd-escape --path` writes it.
fn name_of(directory: &Path) -> String {
    let escaped = escape(directory);
    if PREFIX.len() + escaped.len() + SUFFIX.len() <= MAX_NAME_BYTES {
        return format!("{PREFIX}{escaped}{SUFFIX}");
    }
    let whole = checksum(directory.as_os_str().as_encoded_bytes());
    format!("{PREFIX}{}-{whole:016x}{SUFFIX}", &escaped[..KEPT_BYTES])
}

fn escape(directory: &Path) -> String {
    let bytes = directory.as_os_str().as_encoded_bytes();
    let trimmed = bytes.strip_prefix(b"/").unwrap_or(bytes);
    let mut escaped = String::new();
    for (at, &byte) in trimmed.iter().enumerate() {
        match byte {
            b'/' => escaped.push('-'),
            b'.' if at == 0 => escaped.push_str(r"\x2e"),
            b':' | b'_' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                escaped.push(byte.into());
            }
            byte => escaped.push_str(&format!(r"\x{byte:02x}")),
        }
    }
    escaped
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_systemd_escapes_paths() {
        for (path, name) in [
            ("/srv/models", "weightfs-srv-models.service"),
            (
                "/home/a b/.x/y-z/\u{fc}",
                r"weightfs-home-a\x20b-.x-y\x2dz-\xc3\xbc.service",
            ),
            ("/.x", r"weightfs-\x2ex.service"),
        ] {
            assert_eq!(name_of(Path::new(path)), name);
        }
        let long = |end| PathBuf::from(format!("/{}{end}", "\u{fc}".repeat(100)));
        let (one, other) = (name_of(&long("a")), name_of(&long("b")));
        assert!(one != other && one.len() <= MAX_NAME_BYTES);
    }

    #[test]
    fn a_unit_has_all_of_its_template_but_where_and_what() {
        for (template, is_system) in [(SYSTEM_TEMPLATE, true), (USER_TEMPLATE, false)] {
            let directory = Path::new(r#"/srv/a "b" 100% \ $HOME"#);
            let unit = Unit::new(
                directory,
                Path::new("/units"),
                is_system,
                Path::new("/opt/my programs/weightfs"),
                &["--allow-other".into()],
            )
            .unwrap();
            let has = |line: &str| unit.text.lines().any(|there| there == line);
            for line in [
                "[Unit]",
                "[Service]",
                "[Install]",
                r#"Description=weightfs: /srv/a "b" 100%% \ $HOME"#,
                r#"RequiresMountsFor="/srv""#,
                "Type=notify",
                "Restart=on-failure",
                r#"ExecStart="/opt/my programs/weightfs" mount --allow-other -- "/srv/a \"b\" 100%% \\ $$HOME" "/srv/a \"b\" 100%% \\ $$HOME""#,
            ] {
                assert!(has(line), "{line}\n{}", unit.text);
            }
            assert!(unit.text.starts_with(HEADER));
            let kept = |line: &&str| {
                let key = line.split_once('=').map_or("", |(key, _)| key);
                !key.is_empty()
                    && !line.starts_with('#')
                    && !OF_A_TEMPLATE.contains(&key)
                    && !["Description", "ExecStart", "ExecStopPost"].contains(&key)
            };
            for line in template.lines().filter(kept) {
                assert!(has(line), "{line}");
            }
            for gone in ["%I", "%i", "SOURCE", "@"] {
                assert!(
                    !unit.text.replace("=@system-service", "").contains(gone),
                    "{gone}"
                );
            }
        }
    }

    #[test]
    fn what_is_written_to_may_do_what_writing_takes() {
        for (options, expected) in [(&[][..], false), (&["--writable".to_owned()], true)] {
            let (directory, program) = (Path::new("/srv/m"), Path::new("/weightfs"));
            let unit = Unit::new(directory, Path::new("/"), true, program, options).unwrap();
            let mut lines = unit.text.lines();
            let allowed =
                lines.find(|line| line.starts_with("CapabilityBoundingSet=CAP_SYS_ADMIN"));
            assert_eq!(allowed.unwrap().ends_with(FOR_WRITERS), expected);
        }
    }

    #[test]
    fn a_file_of_somebody_else_stays() {
        let root = tempfile::tempdir().unwrap();
        let unit = |options: &[String]| {
            Unit::new(
                Path::new("/srv/m"),
                &root.path().join("new/units"),
                true,
                Path::new("/usr/bin/weightfs"),
                options,
            )
            .unwrap()
        };
        let (first, second) = (unit(&[]), unit(&["--inode32".into()]));
        assert_eq!(first.file().unwrap(), UnitFile::Missing);
        first.write().unwrap();
        assert_eq!(first.file().unwrap(), UnitFile::Same);
        assert_eq!(second.file().unwrap(), UnitFile::Older);
        second.write().unwrap();
        assert_eq!(fs::read_to_string(&first.path).unwrap(), second.text);
        first.remove().unwrap();
        assert_eq!(first.file().unwrap(), UnitFile::Missing);
        first.remove().unwrap();
        fs::write(&first.path, "[Unit]\n").unwrap();
        assert!(first.write().is_err() && first.remove().is_err());
        assert_eq!(fs::read_to_string(&first.path).unwrap(), "[Unit]\n");
    }

    #[test]
    fn paths_that_no_unit_can_have_are_refused() {
        let unit = Unit::new(
            Path::new("/srv/a\nb"),
            Path::new("/units"),
            true,
            Path::new("/usr/bin/weightfs"),
            &[],
        );
        assert!(matches!(unit, Err(Error::InvalidInput(_))));
    }
}
