//! `completions`: what has a shell complete commands and options, made from the arguments themselves.
//!
//! Commands and options that are hidden from `--help` are left out: users need none of them.

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};

use super::args::Args;
use super::install_args::CompletionsArgs;
use crate::console::{Outcome, print_lines};
use crate::error::Result;

pub(super) fn completions(args: &CompletionsArgs) -> Result<Outcome> {
    print_lines(script(args.shell).lines())?;
    Ok(Outcome::Done)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    generate(
        shell,
        &mut shown(&Args::command()),
        env!("CARGO_PKG_NAME"),
        &mut script,
    );
    String::from_utf8_lossy(&script).into_owned()
}

/// The command as `--help` tells it. The crate that writes the scripts tells what is hidden as well.
fn shown(command: &Command) -> Command {
    let mut shown = Command::new(command.get_name().to_owned())
        .visible_aliases(command.get_visible_aliases().map(str::to_owned))
        .args(
            command
                .get_arguments()
                .filter(|argument| !argument.is_hide_set())
                .cloned(),
        )
        .subcommands(
            command
                .get_subcommands()
                .filter(|command| !command.is_hide_set())
                .map(self::shown),
        );
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(version.to_owned());
    }
    shown
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::printable::is_printable;

    #[test]
    fn every_shell_completes_what_help_tells_and_nothing_else() {
        for &shell in Shell::value_variants() {
            let script = script(shell);
            let printable = |line: &str| line.chars().all(is_printable);
            assert!(script.lines().all(printable), "{shell}");
            for command in Args::command().get_subcommands() {
                let name = command.get_name();
                let told = script
                    .split(|c: char| !(c.is_alphanumeric() || c == '-'))
                    .any(|word| word == name);
                assert_eq!(told, !command.is_hide_set(), "{shell}: {name}");
            }
            assert!(script.contains("cache-size"), "{shell}");
            assert!(!script.contains("source-name"), "{shell}");
        }
    }
}
