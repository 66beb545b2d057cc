//! `mount.weightfs`: what mount(8) runs for lines of fstab, and systemd for units of type mount; and what
//! mount.fuse3 makes of the type `fuse.weightfs`, as which the table of mounts names ours.
//!
//! Turns mount(8)'s arguments into those of `weightfs mount`, starts that in the background, and
//! ends when the mount answers. What an option means is known there alone; what none of the two
//! knows is refused, so that a misspelt option never goes unnoticed.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use clap::{Command, CommandFactory, Parser};

use super::args::Args;
use crate::console::{print, print_lines, say};
use crate::daemon::{MountCommand, MountProcess, Stay};
use crate::error::{Error, Result};
use crate::fuse;
use crate::printable::printable_name;

/// The name that mount(8) looks for; a link to the program.
pub(super) const NAME: &str = "mount.weightfs";
pub(super) const SYNOPSIS: &str = "mount.weightfs SRC DIR [-sfnv] [-o OPTION,...]";
/// Options of `weightfs mount` with a value that are given by the same name.
const WITH_VALUE: &[&str] = &[
    "bases",
    "cache_size",
    "threads",
    "readahead",
    "push",
    "ttl",
    "metrics",
    "pack_after",
];
/// The same of those without a value.
const WITHOUT_VALUE: &[&str] = &["allow_other", "inode32", "refuse_lossy", "writable"];
/// The same of those that have one or not.
const WITH_OR_WITHOUT: &[&str] = &["pack"];
/// Those that go by another name, and the other name.
const RENAMED: &[(&str, &str)] = &[("noexec", "no_exec"), ("logfile", "log_file")];
const SEE_HELP: &str = "; mount.weightfs --help tells what there is";
/// mount(8)'s exit status for wrong arguments.
const WRONG_USAGE: u8 = 1;
/// mount(8)'s exit status for a mount that failed.
const FAILURE: u8 = 32;
/// Options that are done when this program sees them, that ask for what any of our mounts is (one
/// that is only read, and has no devices and no programs that run as somebody else), or that say
/// how writes are to be done, of which there are none. `rw` comes with `defaults`.
const WITHOUT_EFFECT: &[&str] = &[
    "defaults",
    "ro",
    "rw",
    "auto",
    "noauto",
    "nofail",
    "_netdev",
    "user",
    "nouser",
    "users",
    "nousers",
    "owner",
    "noowner",
    "group",
    "nogroup",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "sync",
    "async",
    "dirsync",
    "mand",
    "nomand",
    "iversion",
    "noiversion",
    "silent",
    "loud",
];

/// True if the program was called by the name of the helper.
pub(super) fn is_called_as(program: Option<&OsStr>) -> bool {
    program.is_some_and(|program| Path::new(program).file_name() == Some(OsStr::new(NAME)))
}

/// True for the arguments by which mount.fuse3 has a file system of the type `fuse.weightfs` mounted:
/// `SRC DIR -o OPTIONS`. mount(8) makes paths of them that start with a slash; a mount that is there has
/// its source by the name that the table of mounts tells.
pub(super) fn is_meant_by(arguments: &[OsString]) -> bool {
    let [source, mountpoint, dash_o, options] = arguments else {
        return false;
    };
    let is_command = source
        .to_str()
        .is_some_and(|name| Args::command().find_subcommand(name).is_some());
    // Else it is a command that is misspelt.
    let is_source = Path::new(source).is_absolute()
        || options
            .to_string_lossy()
            .split(',')
            .any(|option| option == "remount");
    dash_o == "-o" && Path::new(mountpoint).is_absolute() && is_source && !is_command
}

/// Runs the helper with the arguments behind its name.
pub(super) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let complain = |status: u8, error: &Error| {
        say(&format!("{NAME}: {error}"));
        ExitCode::from(status)
    };
    let request = match Request::parse(arguments) {
        Ok(Some(request)) => request,
        Ok(None) => {
            let _ = print_lines(usage());
            return ExitCode::SUCCESS;
        }
        Err(error) => return complain(WRONG_USAGE, &error),
    };
    match request.mount() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILURE),
        Err(error) => complain(FAILURE, &error),
    }
}

/// What mount(8) asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    source: PathBuf,
    mountpoint: PathBuf,
    /// Arguments of `weightfs mount` that the options ask for.
    options: Vec<String>,
    no_exec: bool,
    /// Change a mount that is there: all options that it is to have.
    remount: Option<Vec<String>>,
    /// Do everything but mount.
    fake: bool,
    verbose: bool,
}

impl Request {
    /// `None` if only help is asked for.
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Option<Self>> {
        let mut request = Self::default();
        let (mut paths, mut lists, mut sloppy) = (Vec::new(), Vec::new(), false);
        while let Some(argument) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            let Some(letters) = text.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                paths.push(PathBuf::from(argument));
                continue;
            };
            if text == "--help" {
                return Ok(None);
            }
            // As getopt reads them: letters in a row, and a value in the same word or the next.
            for (at, letter) in letters.char_indices() {
                match letter {
                    's' => sloppy = true,
                    'f' => request.fake = true,
                    'v' => request.verbose = true,
                    // There is no mtab to leave alone any more.
                    'n' => {}
                    'h' => return Ok(None),
                    'o' | 't' | 'N' => {
                        let rest = &letters[at + 1..];
                        let value = match rest {
                            "" => arguments.next(),
                            rest => Some(rest.into()),
                        };
                        let value = value.ok_or_else(|| wrong(format!("-{letter} of what?")))?;
                        match letter {
                            'o' => lists.push(value),
                            't' => {}
                            _ => return Err(wrong("-N is not supported; see nsenter(1)")),
                        }
                        break;
                    }
                    _ => return Err(wrong(format!("unknown argument -{letter}{SEE_HELP}"))),
                }
            }
        }
        let [source, mountpoint] = <[PathBuf; 2]>::try_from(paths)
            .map_err(|_| wrong(format!("a source and a directory are needed{SEE_HELP}")))?;
        (request.source, request.mountpoint) = (source, mountpoint);
        let mut options = Vec::new();
        for list in lists {
            let list = list
                .to_str()
                .ok_or_else(|| wrong(format!("{} is not UTF-8", list.display())))?;
            options.extend(
                list.split(',')
                    .filter(|option| !option.is_empty())
                    .map(str::to_owned),
            );
        }
        if options.iter().any(|option| option == "remount") {
            request.remount = Some(options);
            return Ok(Some(request));
        }
        for option in &options {
            request.option(option, sloppy)?;
        }
        request.check_values()?;
        Ok(Some(request))
    }

    /// Has `weightfs mount` look at the options before anything is done.
    fn check_values(&self) -> Result<()> {
        let fixed = ["weightfs", "mount", "--background", "source", "mountpoint"];
        let arguments = fixed
            .iter()
            .copied()
            .chain(self.options.iter().map(String::as_str));
        match Args::try_parse_from(arguments) {
            Ok(_) => Ok(()),
            Err(error) => {
                // Its other paragraphs advise on a command line that is not the user's.
                let text = error.to_string();
                let said = text.lines().take_while(|line| !line.is_empty());
                let said: Vec<_> = said.map(str::trim).collect();
                Err(wrong(said.join(" ").trim_start_matches("error: ")))
            }
        }
    }

    fn option(&mut self, option: &str, sloppy: bool) -> Result<()> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        match (name, value) {
            (name, Some(value)) if WITH_VALUE.contains(&name) => {
                self.set(&format!("{}=", as_argument(name)), value);
            }
            ("logfile", Some(path)) => {
                let path = std::path::absolute(path)
                    .map_err(|e| Error::io(format!("logfile={path}"), e))?;
                self.set("--log-file=", &path.to_string_lossy());
            }
            (name, None) if name == "logfile" || WITH_VALUE.contains(&name) => {
                return Err(wrong(format!("option {name} needs a value: {name}=...")));
            }
            (name, None) if WITHOUT_VALUE.contains(&name) => self.set(&as_argument(name), ""),
            (name, value) if WITH_OR_WITHOUT.contains(&name) => {
                let argument = as_argument(name);
                // Not those of which this is how they begin.
                self.options
                    .retain(|set| set.split('=').next() != Some(argument.as_str()));
                let value = value.map_or_else(String::new, |value| format!("={value}"));
                self.options.push(argument + &value);
            }
            ("noexec", None) => self.no_exec = true,
            ("exec", None) => self.no_exec = false,
            ("comment" | "user", Some(_)) => {}
            (name, _) if name.starts_with("x-") || name.starts_with("X-") => {}
            (name, None) if WITHOUT_EFFECT.contains(&name) => {}
            _ if sloppy => {}
            _ => return Err(wrong(format!("unknown option '{option}'{SEE_HELP}"))),
        }
        Ok(())
    }

    /// The last one counts: those given by hand come behind those of fstab.
    fn set(&mut self, option: &str, value: &str) {
        self.options.retain(|set| !set.starts_with(option));
        self.options.push(format!("{option}{value}"));
    }

    /// Does nothing for options that the mount has, as `ro`, which tools ask for at a shutdown.
    fn remount(&self, wanted: &[String]) -> Result<()> {
        let mountpoint = printable_name(&self.mountpoint);
        let has = fuse::mount_line(&self.mountpoint)?
            .map(|line| line.options)
            .ok_or_else(|| wrong(format!("{mountpoint} is not a weightfs mount")))?;
        let is_so = |option: &str| match option {
            "rw" => false,
            "noexec" => has.iter().any(|has| has == option),
            "exec" => !has.iter().any(|has| has == "noexec"),
            "remount" => true,
            option => {
                has.iter().any(|has| has == option)
                    || WITHOUT_EFFECT.contains(&option)
                    || ["x-", "X-", "comment="]
                        .iter()
                        .any(|start| option.starts_with(start))
            }
        };
        match wanted.iter().find(|option| !is_so(option)) {
            None => Ok(()),
            Some(other) => Err(Error::InvalidInput(format!(
                "{mountpoint} cannot be mounted again with '{other}': a weightfs mount is only read, \
                 and its options stay as they are; unmount it (umount {mountpoint}) and mount it anew"
            ))),
        }
    }

    /// Returns when the mount answers; false if it does not, and the daemon said why.
    fn mount(&self) -> Result<bool> {
        if let Some(wanted) = &self.remount {
            self.remount(wanted)?;
            return Ok(true);
        }
        // The daemon works in the root directory, to keep no other one busy.
        let of = |path: &Path, e| Error::io(format!("cannot use {}", path.display()), e);
        let source = self
            .source
            .canonicalize()
            .map_err(|e| of(&self.source, e))?;
        // Not canonical: a mount point whose daemon was killed does not tell.
        let mountpoint =
            std::path::absolute(&self.mountpoint).map_err(|e| of(&self.mountpoint, e))?;
        let mut options: Vec<OsString> = vec!["--background".into()];
        options.extend(self.options.iter().map(OsString::from));
        if self.no_exec {
            options.push("--no-exec".into());
        }
        // By this name `mount -a` sees that a line of fstab is mounted already.
        options.extend(["--source-name".into(), source.clone().into()]);
        let command = MountCommand {
            name: "mount",
            options,
            source: Some(source),
            mountpoint,
        };
        if self.verbose {
            print(&format!("{NAME}: weightfs {}", shown(&command.arguments())))?;
        }
        if self.fake {
            return Ok(true);
        }
        start(&command)
    }
}

/// Starts the daemon, which writes to this process' stderr until the mount answers. False if it
/// ended before that, and said why.
fn start(command: &MountCommand) -> Result<bool> {
    let cannot = |e| Error::io("cannot start weightfs mount", e);
    let mut mount = MountProcess::start(command, Stay::OnItsOwn, Stdio::inherit())?;
    if mount.is_ready().map_err(cannot)? {
        return Ok(true);
    }
    let status = mount.wait().map_err(cannot)?;
    match status.code() {
        Some(code) if code != 0 => Ok(false),
        _ => Err(Error::Environment(format!(
            "weightfs mount ended with {status}"
        ))),
    }
}

/// Each option that is this program's own: its name, the name of its value, and what it means.
pub(super) fn options_told(program: &Command) -> Vec<(String, Option<String>, String)> {
    let own = |name: &&'static str| (*name, *name);
    let names = WITH_VALUE.iter().chain(WITHOUT_VALUE);
    let names = names.chain(WITH_OR_WITHOUT).map(own);
    let mount = program.find_subcommand("mount");
    names
        .chain(RENAMED.iter().copied())
        .filter_map(|(name, argument)| {
            let argument = mount?
                .get_arguments()
                .find(|given| given.get_id() == argument)?;
            let value = argument
                .get_value_names()
                .filter(|_| argument.get_action().takes_values())
                .and_then(<[_]>::first);
            let help = argument.get_help().map(ToString::to_string);
            Some((
                name.to_owned(),
                value.map(ToString::to_string),
                help.unwrap_or_default(),
            ))
        })
        .collect()
}

fn usage() -> Vec<String> {
    let options = options_told(&Args::command())
        .into_iter()
        .map(|(name, value, _)| match value {
            Some(value) => format!("{name}={value}"),
            None => name,
        });
    let options: Vec<_> = options.collect();
    vec![
        format!("usage: {SYNOPSIS}"),
        format!("options: {}, and what mount(8) knows", options.join(", ")),
        "mount.weightfs(8) and weightfs mount --help tell what they mean".to_owned(),
    ]
}

fn as_argument(option: &str) -> String {
    format!("--{}", option.replace('_', "-"))
}

fn wrong(what: impl Into<String>) -> Error {
    Error::InvalidInput(what.into())
}

fn shown(arguments: &[OsString]) -> String {
    let shown: Vec<_> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy())
        .collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Option<Request>> {
        Request::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments_are_read_as_mount_gives_them() {
        let given = "rw,cache_size=1G,,noexec,x-systemd.automount,comment=of mine,allow_other,user=me,\
             metrics=[::1]:9200";
        let request = parse(&[
            "/a b",
            "/mnt",
            "-vfn",
            "-t",
            "weightfs",
            "-o",
            given,
            "-oro,ttl=5,inode32",
        ]);
        let expected = Request {
            source: "/a b".into(),
            mountpoint: "/mnt".into(),
            options: vec![
                "--cache-size=1G".into(),
                "--allow-other".into(),
                "--metrics=[::1]:9200".into(),
                "--ttl=5".into(),
                "--inode32".into(),
            ],
            no_exec: true,
            remount: None,
            fake: true,
            verbose: true,
        };
        assert_eq!(request.unwrap(), Some(expected));
        let last_wins = parse(&[
            "-o",
            "user,noexec,exec,ttl=1,allow_other,logfile=/l,ttl=2,allow_other",
            "a",
            "b",
        ])
        .unwrap()
        .unwrap();
        assert!(!last_wins.no_exec);
        assert_eq!(
            last_wins.options,
            ["--log-file=/l", "--ttl=2", "--allow-other"]
        );
        let packs = |options| parse(&["a", "b", "-o", options]).unwrap().unwrap().options;
        assert_eq!(
            packs("writable,pack=max,pack_after=3,pack"),
            ["--writable", "--pack-after=3", "--pack"]
        );
        assert_eq!(
            packs("pack,writable,pack=max"),
            ["--writable", "--pack=max"]
        );
        assert_eq!(parse(&["--help"]).unwrap(), None);
        assert!(
            parse(&["a", "b", "-s", "-o", "whatever=1"])
                .unwrap()
                .unwrap()
                .options
                .is_empty()
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (arguments, named) in [
            (&["a"][..], "a source and a directory"),
            (&["a", "b", "c"], "a source and a directory"),
            (&["a", "b", "-o"], "-o"),
            (&["a", "b", "-x"], "-x"),
            (&["a", "b", "-N", "/proc/1/ns/mnt"], "nsenter"),
            (&["a", "b", "-o", "ro,cachesize=1"], "'cachesize=1'"),
            (&["a", "b", "-o", "allow_other=1"], "'allow_other=1'"),
            (&["a", "b", "-o", "threads"], "threads=..."),
            (&["a", "b", "-o", "metrics"], "metrics=..."),
            (&["a", "b", "-o", "metrics=lo:1"], "'lo:1'"),
            (&["a", "b", "-o", "threads=0"], "--threads"),
            (&["a", "b", "-o", "cache_size=lots"], "'lots'"),
            (&["a", "b", "-o", "pack"], "--writable"),
            (&["a", "b", "-o", "writable,pack=least"], "'least'"),
        ] {
            let error = parse(arguments).unwrap_err().to_string();
            assert!(error.contains(named), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn what_every_option_means_is_found() {
        let told = options_told(&Args::command());
        assert_eq!(
            told.len(),
            WITH_VALUE.len() + WITHOUT_VALUE.len() + WITH_OR_WITHOUT.len() + RENAMED.len()
        );
        for (name, value, help) in told {
            let has_value = [WITH_VALUE, WITH_OR_WITHOUT]
                .concat()
                .contains(&name.as_str())
                || name == "logfile";
            assert_eq!(value.is_some(), has_value, "{name}");
            assert!(!help.is_empty(), "{name}");
        }
    }

    #[test]
    fn it_is_told_by_its_name() {
        for (program, expected) in [
            ("mount.weightfs", true),
            ("/sbin/mount.weightfs", true),
            ("weightfs", false),
            ("/mount.weightfs/weightfs", false),
        ] {
            assert_eq!(is_called_as(Some(program.as_ref())), expected, "{program}");
        }
        assert!(!is_called_as(None));
    }

    #[test]
    fn a_mount_that_is_there_is_told_by_its_options() {
        let request = parse(&["weightfs", "/mnt", "-o", "ro,user_id=0,remount"]);
        let options = request.unwrap().unwrap().remount.unwrap();
        assert_eq!(options, ["ro", "user_id=0", "remount"]);
    }

    #[test]
    fn the_arguments_of_mount_fuse_are_told_from_commands() {
        for (arguments, expected) in [
            (&["/src", "/mnt", "-o", "rw,dev,suid"][..], true),
            (&["weightfs", "/mnt", "-o", "remount,ro"], true),
            (&["pack", "/src", "-o", "/dst"], false),
            (&["unmount", "/src", "-o", "/dst"], false),
            (&["/src", "/mnt"], false),
            (&["mount", "/src", "/mnt"], false),
            (&["pakc", "file", "-o", "dst"], false),
            (&["pakc", "/file", "-o", "/dst"], false),
        ] {
            let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
            assert_eq!(is_meant_by(&arguments), expected, "{arguments:?}");
        }
    }
}
