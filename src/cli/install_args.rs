//! Arguments of the commands that write what an installation puts beside the program.

use std::path::PathBuf;

use clap::Parser;
use clap_complete::Shell;

/// Write the manual pages: of the program, of each command, and of mount.weightfs
///
/// docs/INSTALL.md tells where man(1) looks for them; man -l FILE shows one that lies elsewhere.
#[derive(Debug, Parser)]
pub(super) struct ManArgs {
    /// Where to write them all; made if it is not there [default: weightfs.1 alone, to stdout]
    #[arg(value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

/// Print what has a shell complete the names of commands and options
///
/// For bash: weightfs completions bash > ~/.local/share/bash-completion/completions/weightfs. See
/// docs/INSTALL.md for the others.
#[derive(Debug, Parser)]
pub(super) struct CompletionsArgs {
    /// For which shell
    #[arg(value_name = "SHELL")]
    pub(super) shell: Shell,
}
