//! `man`: the manual pages, made from the arguments themselves.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::Args;
use super::install_args::ManArgs;
use super::{mount_helper, report};
use crate::console::csv_file::write_whole;
use crate::console::{Outcome, print_lines};
use crate::error::{Error, Result};

const MANUAL: &str = "weightfs";

pub(super) fn man(args: &ManArgs) -> Result<Outcome> {
    let mut pages = pages()?;
    match &args.dir {
        None => print_lines(pages.swap_remove(0).text.lines())?,
        Some(dir) => {
            report::prepare(dir)?;
            for page in &pages {
                write_whole(&dir.join(&page.name), page.text.as_bytes())?;
            }
        }
    }
    Ok(Outcome::Done)
}

struct Page {
    /// That of its file: the section is behind the point.
    name: String,
    text: String,
}

/// That of the program first, then those of its commands.
fn pages() -> Result<Vec<Page>> {
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    let commands = program
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let mut pages = std::iter::once(&program)
        .chain(commands)
        .map(page)
        .collect::<Result<Vec<_>>>()?;
    pages.push(helper_page(&program));
    Ok(pages)
}

fn page(command: &Command) -> Result<Page> {
    let page = Man::new(command.clone()).source(source()).manual(MANUAL);
    let mut text = Vec::new();
    page.render(&mut text)
        .map_err(|e| Error::io("cannot write a manual page", e))?;
    Ok(Page {
        name: page.get_filename(),
        text: String::from_utf8_lossy(&text).into_owned(),
    })
}

/// That of `mount.weightfs`, whose arguments are mount(8)'s. What an option means is what it means to
/// `weightfs mount`.
fn helper_page(program: &Command) -> Page {
    let mut page = Roff::new();
    page.control("TH", [mount_helper::NAME, "8", "", &source(), MANUAL])
        .control("SH", ["NAME"])
        .text([roman(format!(
            "{} - mount a directory of weightfs archives from fstab, by mount(8) and by units",
            mount_helper::NAME
        ))])
        .control("SH", ["SYNOPSIS"])
        .text([roman(mount_helper::SYNOPSIS)])
        .control("SH", ["DESCRIPTION"])
        .text([roman(
            "A link to weightfs in /sbin, run by mount -t weightfs SRC DIR, by lines of fstab and by units of \
             type mount. Returns when the mount answers; it then stays in the background until umount DIR. See \
             weightfs-mount(1).",
        )])
        .control("SH", ["MOUNT OPTIONS"]);
    for (option, value, help) in mount_helper::options_told(program) {
        let value = value.map_or_else(String::new, |value| format!("={value}"));
        page.control("TP", [])
            .text([bold(option), roman(value)])
            .text([roman(help)]);
    }
    page.control("TP", [])
        .text([roman("what mount(8) knows")])
        .text([roman(
            "ro, nofail, noauto, user, _netdev, x-systemd.automount and the like. The mount is read-only with rw as \
             well. An option that neither knows is refused, unless mount has -s.",
        )])
        .control("SH", ["EXIT STATUS"])
        .text([roman("0 done, 1 wrong arguments, 32 not mounted.")])
        .control("SH", ["SEE ALSO"])
        .text([roman("weightfs(1), weightfs-mount(1), mount(8), fstab(5), systemd.mount(5)")]);
    Page {
        name: format!("{}.8", mount_helper::NAME),
        text: page.render(),
    }
}

fn source() -> String {
    concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;
    use crate::printable::is_printable;

    #[test]
    fn every_command_that_help_tells_has_a_page_with_all_its_options() {
        let pages = pages().unwrap();
        assert_eq!(pages[0].name, "weightfs.1");
        let mut expected = 2;
        for command in Args::command().get_subcommands() {
            let name = command.get_name();
            let page = pages
                .iter()
                .find(|page| page.name == format!("weightfs-{name}.1"));
            let Some(page) = page else {
                assert!(command.is_hide_set(), "{name}");
                continue;
            };
            expected += 1;
            for argument in command.get_arguments() {
                let Some(option) = argument.get_long() else {
                    continue;
                };
                let as_roff = format!("\\-\\-{}", option.replace('-', "\\-"));
                let told = page.text.contains(&format!("\\fB{as_roff}\\fR"));
                assert_eq!(told, !argument.is_hide_set(), "{name} --{option}");
            }
        }
        assert_eq!(pages.len(), expected);
        let helper = pages.last().unwrap();
        assert_eq!(helper.name, "mount.weightfs.8");
        assert!(helper.text.contains("\\fBcache_size\\fR=SIZE"));
        for page in &pages {
            let printable = |line: &str| line.chars().all(is_printable);
            assert!(page.text.lines().all(printable), "{}", page.name);
        }
    }
}
